"""Who could have been heard, by the textbook horizon; who flies like an airliner; which claims are like the flight."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.claims.earshot import SIGMAS, Earshot, alike, surely_airliner
from fusion.claims.witness import AIRLINER_M, AIRLINER_MPS
from fusion.geo import direct
from fusion.schema import SensorKind, SensorSpec
from fusion.zones import ZoneFacts
from tests.airpicture import picture

LAT, LON, ANTENNA_M = 0.95, 0.44, 50.0
RADIUS_M = 6_371_008.8 * 4.0 / 3.0


def receiver(**more: Any) -> SensorSpec:
    given: dict[str, Any] = {"lat_rad": LAT, "lon_rad": LON, "height_m": ANTENNA_M, "range_max_m": 400_000.0}
    return SensorSpec("A1", 0, SensorKind.ADSB, **{**given, **more})


def away(distance_m: float, height_m: float, **row: Any) -> ZoneFacts:
    lat, lon, _ = direct(LAT, LON, 1.0, distance_m)
    place = {"lat_rad": float(lat[0]), "lon_rad": float(lon[0]), "height_m": height_m, "sigma_height_m": 0.0}
    return picture([{**place, **row}])[1]


def surely(facts: ZoneFacts, *sensors: SensorSpec) -> bool:
    return bool(Earshot(sensors).surely(facts, np.array([0]))[0])


@given(st.floats(500.0, 5_000.0))
def test_earshot_ends_at_the_horizon_of_a_bigger_earth(height_m: float) -> None:
    horizon_m = math.sqrt(2.0 * RADIUS_M * height_m) + math.sqrt(2.0 * RADIUS_M * ANTENNA_M)
    assert surely(away(0.97 * horizon_m, height_m), receiver())
    assert not surely(away(1.03 * horizon_m, height_m), receiver())


def test_a_height_in_doubt_counts_by_its_lower_end() -> None:
    facts = away(150_000.0, 2_500.0, sigma_height_m=1_000.0)
    assert surely(away(150_000.0, 2_500.0), receiver())
    assert not surely(facts, receiver())


@pytest.mark.parametrize(
    ("distance_m", "sensors", "heard"),
    [
        (340_000.0, (receiver(range_max_m=300_000.0),), False),
        (340_000.0, (receiver(range_max_m=300_000.0), receiver(lat_rad=LAT + 0.02)), True),
        (340_000.0, (SensorSpec("A2", 0, SensorKind.ADSB),), True),  # without a site: anywhere
        (20_000.0, (SensorSpec("R1", 0, SensorKind.RADAR_3D, LAT, LON, ANTENNA_M),), False),
        (20_000.0, (), False),
    ],
)
def test_earshot_is_that_of_the_receivers(distance_m: float, sensors: tuple[SensorSpec, ...], heard: bool) -> None:
    assert surely(away(distance_m, 11_000.0), *sensors) is heard


AIRLINER: dict[str, Any] = {"speed_mps": 230.0, "sigma_speed_mps": 5.0, "agl_m": 10_000.0, "sigma_agl_m": 200.0}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, True),
        ({"speed_mps": AIRLINER_MPS + 10.0}, False),  # perhaps slower
        ({"agl_m": AIRLINER_M + 300.0}, False),
        ({"agl_m": np.nan}, False),
        ({"height_known": False}, False),
        ({"speed_mps": 42.0, "agl_m": 150.0}, False),
    ],
)
def test_an_airliner_is_fast_and_high_for_sure(row: dict[str, Any], expected: bool) -> None:
    assert surely_airliner(picture([{**AIRLINER, **row}])[1]).tolist() == [expected]


@given(st.floats(-300.0, 300.0), st.floats(-300.0, 300.0), st.floats(-5_000.0, 5_000.0))
def test_a_claim_is_alike_when_speed_course_and_height_are(east_mps: float, north_mps: float, up_m: float) -> None:
    facts = picture([{**AIRLINER, "course_rad": 1.2, "height_m": 10_000.0, "sigma_height_m": 100.0}])[1]
    apart_mps = math.hypot(east_mps - 230.0 * math.sin(1.2), north_mps - 230.0 * math.cos(1.2))
    near = apart_mps <= 30.0 + SIGMAS * 5.0 and abs(up_m) <= 600.0 + SIGMAS * 100.0
    said = alike(np.array([east_mps]), np.array([north_mps]), np.array([10_000.0 + up_m]), facts, np.array([0]))
    assert said.tolist() == [near]


def test_what_a_claim_does_not_say_is_not_alike() -> None:
    facts = picture([AIRLINER])[1]
    one, unsaid, rows = np.array([200.0]), np.array([np.nan]), np.array([0])
    assert not alike(unsaid, one, one, facts, rows).any()
    assert not alike(one, one, unsaid, facts, rows).any()
