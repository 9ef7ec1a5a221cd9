"""Manners of moving: what the wind does, who follows the ground, and how a flight adds up over the ellipsoid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from replay import manners, objects
from replay.manners import Start
from tests.test_objects import LAT, LON, start


def test_a_way_over_the_ellipsoid_is_as_long_as_its_speed_says() -> None:
    k = 3_601
    flight = manners.along(Start(LAT, LON, 0.0), np.full(k, 120.0), np.full(k, 160.0), np.full(k, 10_000.0))
    assert np.linalg.norm(np.diff(flight.xyz_m, axis=0), axis=1) == pytest.approx(200.0, abs=0.02)
    height = geo.geodetic(flight.xyz_m)[2]
    assert height == pytest.approx(10_000.0, abs=1e-3)


def test_a_paraglider_in_a_thermal_drifts_with_the_wind() -> None:
    calm, windy = (
        objects.draw(objects.CATALOGUE["paraglider"], np.random.default_rng(8), at, 1_200.0)
        for at in (Start(LAT, LON, 0.0), Start(LAT, LON, 0.0, wind_east_mps=5.0))
    )
    away = geo.enu_axes(LAT, LON)[0] @ (windy.xyz_m[-1] - calm.xyz_m[-1])
    assert away[0] == pytest.approx(5.0 * 1_200.0, rel=0.01)
    assert abs(away[1]) < 30.0


def test_a_balloon_rises_and_then_floats() -> None:
    rng = np.random.default_rng(3)
    spec = objects.CATALOGUE["smuggling-balloon"]
    heights = [geo.geodetic(objects.draw(spec, rng, start(rng), 3_600.0).xyz_m)[2] for _ in range(20)]
    rising = [h for h in heights if h[600] - h[0] > 500.0]
    assert len(rising) >= 4
    for height in rising:
        assert height[-1] >= height[600] - 60.0
        assert np.percentile(np.diff(height), 95) <= 6.5


def test_low_drones_follow_the_ground_and_high_ones_do_not() -> None:
    rng = np.random.default_rng(2)
    shahed = objects.CATALOGUE["shahed"]
    assert isinstance(shahed.manner, manners.Legs)
    level = replace(shahed.manner, hold_s=(1e5, 1e5))
    for at_m, least_m, most_m in ((150.0, 8.0, 40.0), (2_500.0, 0.0, 0.1)):
        spec = replace(shahed, manner=level, bands_m=((at_m, at_m, 1.0),))
        height = geo.geodetic(objects.draw(spec, rng, start(rng), 1_200.0).xyz_m)[2]
        assert least_m <= np.abs(height - at_m).max() <= most_m
        assert np.abs(np.diff(height)).max() < 4.0


def test_a_lancet_ends_in_a_dive_to_the_ground() -> None:
    rng = np.random.default_rng(4)
    flight = objects.draw(objects.CATALOGUE["lancet"], rng, start(rng), 600.0)
    assert geo.geodetic(flight.xyz_m)[2][-1] == pytest.approx(0.0, abs=5.0)
    assert np.linalg.norm(flight.xyz_m[-1] - flight.xyz_m[-4]) / 3 == pytest.approx(80.0, rel=0.1)
