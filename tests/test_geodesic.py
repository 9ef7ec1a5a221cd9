"""Geodesics, through geo, against geographiclib: anywhere, nearby, and near antipodes where Vincenty fails."""

from __future__ import annotations

import math

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo


def angle_between(a_rad: float, b_rad: float) -> float:
    return abs(math.remainder(a_rad - b_rad, 2 * math.pi))


def check_inverse(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    """Same length as geographiclib, and the azimuths really lead from one place to the other. Degrees."""
    exact = Geodesic.WGS84.Inverse(lat1, lon1, lat2, lon2)
    distance, az1, az2 = geo.inverse_1(*(math.radians(v) for v in (lat1, lon1, lat2, lon2)))
    assert abs(distance - exact["s12"]) < 2e-4
    assert 0.0 <= az1 < 2 * math.pi
    assert 0.0 <= az2 < 2 * math.pi
    if distance < 1.0:
        return  # the azimuth of nearly nothing means nothing
    end = Geodesic.WGS84.Direct(lat1, lon1, math.degrees(az1), distance)
    assert Geodesic.WGS84.Inverse(lat2, lon2, end["lat2"], end["lon2"])["s12"] < 2e-4
    if abs(lat2) < 89.9:  # the azimuth at a pole is a matter of its longitude
        assert angle_between(az2, math.radians(end["azi2"])) * math.cos(math.radians(lat2)) < 1e-8


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(-90, 90), st.floats(-180, 180))
def test_inverse_anywhere_agrees_with_geographiclib(lat1: float, lon1: float, lat2: float, lon2: float) -> None:
    check_inverse(lat1, lon1, lat2, lon2)


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-1, 1), st.floats(-1, 1))
def test_inverse_near_antipodes_agrees_with_geographiclib(lat: float, lon: float, dlat: float, dlon: float) -> None:
    check_inverse(lat, lon, min(90.0, max(-90.0, -lat + dlat)), lon + 180.0 + dlon)


@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(-1, 1), st.floats(-1, 1))
def test_inverse_nearby_agrees_with_geographiclib(lat: float, lon: float, dlat: float, dlon: float) -> None:
    check_inverse(lat, lon, lat + dlat, lon + dlon)


@pytest.mark.parametrize(
    "case",
    [
        (0, 0, 0, 179.9),  # Vincenty's own failure: leaves the equator
        (0, 0, 0, 180),
        (0, 0, 0, 179.3),  # along the equator to the last
        (0, 0, 0.5, 179.5),
        (0, 0, -0.5, 179.7),
        (1e-9, 0, 0, 180),
        (90, 0, -90, 50),
        (90, 10, 50, 20),
        (30, 0, -30, 180),
        (30, 0, -30, 179.99999),
        (10, 5, 60, 5),
        (60, 5, 10, 185),
        (0, 179, 0, -179),
    ],
)
def test_inverse_where_formulas_break(case: tuple[float, float, float, float]) -> None:
    check_inverse(*case)


def test_inverse_of_equal_places_is_zero() -> None:
    assert geo.inverse_1(0.9, 0.4, 0.9, 0.4) == (0.0, 0.0, 0.0)
    assert geo.inverse_1(0.9, math.pi, 0.9, -math.pi)[0] == 0.0


@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 360), st.floats(0, 20_003_000))
def test_direct_agrees_with_geographiclib(lat: float, lon: float, azimuth: float, distance: float) -> None:
    exact = Geodesic.WGS84.Direct(lat, lon, azimuth, distance)
    lat2, lon2, az2 = geo.direct_1(math.radians(lat), math.radians(lon), math.radians(azimuth), distance)
    off = Geodesic.WGS84.Inverse(exact["lat2"], exact["lon2"], math.degrees(lat2), math.degrees(lon2))["s12"]
    assert off < 2e-4
    assert -math.pi <= lon2 <= math.pi
    assert 0.0 <= az2 < 2 * math.pi
    assert angle_between(az2, math.radians(exact["azi2"])) * math.cos(lat2) < 1e-8


def test_direct_backwards_undoes_direct() -> None:
    lat, lon, azimuth = geo.direct_1(0.95, 0.42, 1.2, 300_000.0)
    assert geo.direct_1(lat, lon, azimuth, -300_000.0) == pytest.approx((0.95, 0.42, 1.2), abs=1e-12)


@given(st.floats(-1e4, 1e4))
def test_wrapping_keeps_the_angle(angle: float) -> None:
    half, full = geo.wrap_pi_1(angle), geo.wrap_two_pi_1(angle)
    assert -math.pi <= half <= math.pi
    assert 0.0 <= full < 2 * math.pi
    assert angle_between(half, angle) < 1e-11
    assert angle_between(full, angle) < 1e-11


def test_longitude_never_leaves_its_limits_by_rounding() -> None:
    """An ulp beyond -pi would be refused at the door (schema: -pi..pi inclusive)."""
    just_below_pi = math.radians(179.99999999999997)
    assert abs(geo.wrap_pi_1(just_below_pi)) <= math.pi
    assert abs(geo.direct_1(0.0, just_below_pi, 0.0, 0.0)[1]) <= math.pi
    assert geo.wrap_two_pi_1(-1e-17) == 0.0
    assert geo.wrap_two_pi_1(-5e-324) == 0.0
