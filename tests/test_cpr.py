"""Compact positions: what is encoded is found again, and the places that textbooks work out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modes import cpr

LAT = st.floats(-86.9, 86.9)
LON = st.floats(-179.9, 179.9)


def one(value: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([value])


@pytest.mark.parametrize(
    ("lat_deg", "nl"),
    [(0.0, 59), (10.4, 59), (10.5, 58), (-10.5, 58), (52.2572, 36), (86.9, 2), (87.1, 1), (90.0, 1), (-90.0, 1)],
)
def test_zones_of_longitude(lat_deg: float, nl: int) -> None:
    assert cpr.zones_of_longitude(one(lat_deg)) == nl


def test_the_pair_of_the_textbook() -> None:
    """J. Sun, The 1090 megahertz riddle: 8D40621D58C382D690C8AC2863A7 and 8D40621D58C386435CC412692AD6."""
    even, odd = (np.array([93_000]), np.array([51_372])), (np.array([74_158]), np.array([50_194]))
    lat, lon, ok = cpr.anywhere(even, odd, np.array([False]))
    assert ok[0]
    assert (lat[0], lon[0]) == (pytest.approx(52.2572, abs=1e-4), pytest.approx(3.91937, abs=1e-4))


@settings(max_examples=200)
@given(LAT, LON, st.booleans(), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
def test_a_pair_tells_the_place_of_the_newer_message(
    lat_deg: float, lon_deg: float, newest_odd: bool, north_deg: float, east_deg: float
) -> None:
    span, moved = one(360.0), (one(lat_deg + north_deg), one(lon_deg + east_deg / 2.0))
    first = (one(lat_deg), one(lon_deg))
    even = cpr.encode(*(first if newest_odd else moved), np.array([0]), span)
    odd = cpr.encode(*(moved if newest_odd else first), np.array([1]), span)
    lat, lon, ok = cpr.anywhere(even, odd, np.array([newest_odd]))
    nl = cpr.zones_of_longitude(np.array([lat_deg - 0.03, lat_deg + 0.03, lat_deg + north_deg - 0.03]))
    if len(np.unique(nl)) == 1:
        assert ok[0]
    near_seam = abs(east_deg) * nl[0] > 0.3  # the zones of longitude differ by less than it moved
    if ok[0] and not near_seam:
        # Half a step: 6 degrees, or a zone's width, in 2**17 parts.
        assert lat[0] == pytest.approx(moved[0][0], abs=2.4e-5)
        assert (lon[0] - moved[1][0] + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=360.0 / 2**17)


@settings(max_examples=200)
@given(LAT, LON, st.booleans(), st.booleans(), st.floats(-0.35, 0.35), st.floats(-0.35, 0.35))
def test_one_message_tells_the_place_near_a_known_one(
    lat_deg: float, lon_deg: float, odd: bool, surface: bool, north_deg: float, east_deg: float
) -> None:
    span = one(90.0 if surface else 360.0)
    lat17, lon17 = cpr.encode(one(lat_deg), one(lon_deg), np.array([int(odd)]), span)
    near = one(np.clip(lat_deg + north_deg, -87.0, 87.0)), one(lon_deg + east_deg)
    lat, lon, ok = cpr.near(lat17, lon17, np.array([odd]), *near, span)
    assert ok[0]
    assert lat[0] == pytest.approx(lat_deg, abs=2.4e-5)
    assert (lon[0] - lon_deg + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=360.0 / 2**17)
