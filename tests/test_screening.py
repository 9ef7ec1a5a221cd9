"""Terrain profiles against straight rays over a 4/3 earth walked by brute force, and made-up ridges."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo, screening
from fusion.borders import terrain
from fusion.borders.terrain import Grid

LAT, LON = math.radians(54.5), math.radians(23.5)
SITE = geo.site_row(LAT, LON, 30.0)
FINE = math.radians(1.0 / 120.0)  # 30 arc-seconds, 927 m
RANGE_M = 150_000.0


def grid(step_rad: float = FINE, ridge_m: float = 0.0, ridge_km: float = 40.0, level_m: float = 0.0) -> Grid:
    """A plain 3 x 5.2 degrees around the site, with a ridge running north to south, 3 km wide, east of it."""
    rows, columns = round(math.radians(3.0) / step_rad), round(math.radians(5.2) / step_rad)
    lon = math.radians(20.9) + step_rad * np.arange(columns)
    east_m = (lon - LON) * math.cos(LAT) * screening.EARTH_M
    heights = np.where(np.abs(east_m - 1000.0 * ridge_km) < 1_500.0, ridge_m, level_m)
    values = np.ascontiguousarray(np.broadcast_to(heights, (rows, columns)), np.float32)
    return Grid(math.radians(53.0), math.radians(20.9), step_rad, values)


def clear(
    found: np.ndarray, far_m: float, height_m: float, azimuth_deg: float = 90.0, antenna_m: float = 30.0
) -> float:
    tangent = (height_m - antenna_m) / far_m - far_m / (2.0 * screening.REFRACTED_M)
    return screening.clear_1(found[None], 0, math.radians(azimuth_deg), far_m / RANGE_M, tangent)


PLAIN = screening.profile(SITE, 30.0, RANGE_M, grid(), None)
RIDGE = screening.profile(SITE, 30.0, RANGE_M, grid(ridge_m=400.0), None)


@pytest.mark.parametrize("target_m, horizon_km", [(50, 52), (100, 64), (200, 81), (1000, 153)])
def test_over_a_plain_the_edge_lies_at_the_published_line_of_sight(target_m: float, horizon_km: float) -> None:
    """30 m mast: 52, 64, 81 and 153 km, d_km = 4.12 (sqrt h1 + sqrt h2). Surely hidden 7 % beyond, where a surface
    5 m lower hides too; free where it is a sigma and 0.6 of a Fresnel zone higher."""
    assert 4.12 * (math.sqrt(30) + math.sqrt(target_m)) == pytest.approx(horizon_km, abs=1.0)
    if horizon_km * 1.07e3 < RANGE_M:
        assert clear(PLAIN, horizon_km * 1.07e3, target_m) == 0.0
        assert 0.0 < clear(PLAIN, horizon_km * 0.97e3, target_m) < 0.7
    assert clear(PLAIN, horizon_km * 0.6e3, target_m) > 0.95


def test_a_ridge_hides_what_is_behind_it_and_nothing_in_front() -> None:
    over_m = 400.0 * 60.0 / 40.0  # the straight line over the top, 60 km away; the bend comes on top
    assert clear(RIDGE, 60_000.0, 300.0) == 0.0
    assert clear(RIDGE, 60_000.0, over_m + 400.0) == 1.0
    assert clear(RIDGE, 35_000.0, 300.0) == clear(PLAIN, 35_000.0, 300.0) == 1.0
    assert clear(RIDGE, 60_000.0, 600.0, azimuth_deg=270.0) == clear(PLAIN, 60_000.0, 600.0) == 1.0


def test_rays_bend_as_over_an_earth_a_third_larger() -> None:
    """Behind the ridge the edge of the shadow lies on the straight line over its top, on the stretched earth: 43 m
    lower at 100 km than without refraction would be geometry alone."""
    top, far, radius = 40_000.0, 100_000.0, screening.REFRACTED_M
    slope = (400.0 - 30.0) / top - top / (2.0 * radius)
    shadow_m = 30.0 + far * slope + far * far / (2.0 * radius)
    unbent_m = 30.0 + far * ((400.0 - 30.0) / top - top / (2.0 * screening.EARTH_M)) + far**2 / (2 * screening.EARTH_M)
    assert unbent_m - shadow_m == pytest.approx(118.0, abs=2.0)
    # 2 % of the height for the ridge's own width (1.5 km of 40), a sigma and a Fresnel zone at the top times 100 / 40.
    assert clear(RIDGE, far, shadow_m - 60.0) == 0.0
    assert clear(RIDGE, far, shadow_m + 130.0) == 1.0
    assert 0.0 < clear(RIDGE, far, shadow_m + 20.0) < 1.0


def test_a_profile_is_the_steepest_ray_that_brute_force_finds() -> None:
    rng = np.random.default_rng(3)
    rough = grid()
    rough = Grid(rough.lat0_rad, rough.lon0_rad, FINE, rng.uniform(0.0, 300.0, rough.values.shape).astype(np.float32))
    found = screening.profile(SITE, 30.0, RANGE_M, rough, None)
    for a in (0, 77, 180, 301):
        low, high = np.inf, -np.inf
        for ray in range(screening.RAYS):
            azimuth = math.radians(a + (ray + 0.5) / screening.RAYS)
            far_m = np.arange(screening.NEAR_M, 80_000.0, rough.step_m)
            lat, lon, _ = geo.direct(LAT, LON, azimuth, far_m)
            height_m = terrain.sample(rough, lat, lon)
            bend_m = far_m**2 / (2.0 * screening.REFRACTED_M)
            low = min(low, float(((height_m - 5.0 - 30.0 - bend_m) / far_m).max()))
            edge_m = np.minimum(0.6 * np.sqrt(0.1 * far_m), 30.0)
            high = max(high, float(((height_m + 5.0 + edge_m - 30.0 - bend_m) / far_m).max()))
        node = round(screening.STEPS * math.sqrt(80_000.0 / RANGE_M))
        np.testing.assert_allclose(found[a, node], [low, high], rtol=1e-3, atol=2e-5)


def test_looks_never_fall_with_distance_and_low_stays_below_high() -> None:
    for found in (PLAIN, RIDGE, screening.profile(SITE, 200.0, RANGE_M, grid(level_m=150.0), None)):
        assert found.shape == screening.SHAPE
        assert np.isfinite(found).all()
        assert (np.diff(found, axis=1) >= 0.0).all()
        assert (found[:, :, 0] <= found[:, :, 1]).all()


@given(st.floats(0.0, 2 * math.pi), st.floats(500.0, RANGE_M), st.floats(-100.0, 15_000.0), st.floats(0.0, 500.0))
def test_more_height_never_hides(azimuth_rad: float, far_m: float, height_m: float, more_m: float) -> None:
    azimuth_deg = math.degrees(azimuth_rad)
    lower, higher = (clear(RIDGE, far_m, h, azimuth_deg) for h in (height_m, height_m + more_m))
    assert 0.0 <= lower <= higher <= 1.0


@given(st.floats(-10.0, 10.0), st.floats(-1.0, 3.0), st.floats(allow_nan=False))
def test_any_lookup_gives_a_share(azimuth_rad: float, part: float, tangent: float) -> None:
    assert 0.0 <= screening.clear_1(RIDGE[None], 0, azimuth_rad, part, tangent) <= 1.0


def test_unknown_ground_is_sea_and_a_plateau_moves_the_horizon_with_it() -> None:
    holes = Grid(math.radians(53.0), math.radians(20.9), FINE, np.full(grid().values.shape, np.nan, np.float32))
    np.testing.assert_array_equal(screening.profile(SITE, 30.0, RANGE_M, holes, None), PLAIN)
    high = screening.profile(geo.site_row(LAT, LON, 230.0), 230.0, RANGE_M, grid(level_m=200.0), None)
    np.testing.assert_allclose(high[:, 40:], PLAIN[:, 40:], atol=2e-6)


def test_the_geoid_lifts_the_ground() -> None:
    geoid = Grid(math.radians(50.0), math.radians(15.0), math.radians(1.0), np.full((10, 20), 25.0, np.float32))
    lifted = screening.profile(geo.site_row(LAT, LON, 55.0), 55.0, RANGE_M, grid(), geoid)
    np.testing.assert_allclose(lifted[:, 40:], PLAIN[:, 40:], atol=1e-6)


def test_the_surface_that_makes_the_horizon_is_the_lower_quartile_of_the_ground() -> None:
    assert screening.around_m(SITE, RANGE_M, grid(level_m=120.0)) == 120.0
    assert screening.around_m(SITE, RANGE_M, grid(level_m=120.0, ridge_m=900.0, ridge_km=10.0)) == 120.0


def test_profiles_take_bounded_memory_and_are_the_same_bits_again() -> None:
    assert PLAIN.nbytes == screening.SCREEN_BYTES < 400_000
    tracemalloc.start()
    again = screening.profile(SITE, 30.0, 1_000_000.0, grid(ridge_m=400.0), None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000
    assert screening.profile(SITE, 30.0, 1_000_000.0, grid(ridge_m=400.0), None).tobytes() == again.tobytes()


def test_thirty_arc_seconds_are_fine_and_five_minutes_are_not() -> None:
    assert screening.is_fine(grid())
    assert not screening.is_fine(grid(math.radians(0.01)))
    assert not screening.is_fine(grid(math.radians(1.0 / 12.0)))
