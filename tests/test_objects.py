"""Every class flies as the class does: percentiles of speed, climb and turn, levels, and who belongs together."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from fusion import geo
from fusion.schema import F8
from replay import objects
from replay.manners import Start
from replay.motion import Flight

LAT, LON = math.radians(54.5), math.radians(24.0)

# Measured in real recordings over steps of 5 s and more: speed over ground p5, p50, p95; climb p1, p99; turn p50, p95,
# p99 in degrees a second.
MEASURED = {
    "paraglider": ((5.8, 11.0, 17.8), (-3.6, 4.2), (1.7, 23.7, 31.2)),
    "sailplane": ((11.0, 31.1, 51.8), (-8.8, 9.2), (0.7, 10.7, 13.8)),
    "helicopter": ((22.5, 55.1, 72.1), (-8.3, 7.6), (0.2, 5.7, 9.1)),
    "light-aircraft": ((31.4, 56.4, 88.1), (-4.4, 5.1), (0.1, 3.6, 6.1)),
    "ar5-drone": ((12.1, 24.8, 42.9), (-2.3, 1.2), (0.1, 4.0, 7.5)),
}
# Published: slowest, fastest m/s; most climb m/s; most turn degrees a second; lowest, highest m.
PUBLISHED = {
    "shahed": (40, 51, 4, 3, 50, 4_000),
    "gerbera": (14, 45, 4, 5, 50, 3_000),
    "parodiya": (33, 45, 4, 5, 50, 3_000),
    "tu-141": (190, 305, 30, 2, 50, 6_000),
    "orlan-10": (25, 42, 5, 8, 200, 5_000),
    "forpost": (33, 55, 3, 5, 1_000, 5_500),
    "lancet": (22, 80, 60, 15, 0, 4_000),
    "quadcopter": (0, 20, 5, 90, 0, 500),
    "smuggling-balloon": (0, 30, 6, 360, 0, 8_100),
    "ultralight": (15, 45, 4, 10, 50, 2_000),
    "airliner": (60, 265, 20, 3, 0, 12_500),
    "fast-jet": (70, 600, 200, 15, 30, 15_000),
    "cruise-missile": (190, 270, 20, 5, 30, 6_000),
    "geese": (5, 40, 1, 3, 50, 3_000),
}


def steps(flight: Flight, every: int = 5) -> tuple[F8, F8, F8, F8]:
    """Speed over ground, climb, rate of turn in degrees a second, and height, over steps of some seconds."""
    lat, lon, height = geo.geodetic(flight.xyz_m[::every])
    axes = geo.enu_axes(lat[:-1], lon[:-1])
    step = np.einsum("nij,nj->ni", axes, np.diff(flight.xyz_m[::every], axis=0)) / every
    course = np.arctan2(step[:, 0], step[:, 1])
    turn = np.abs((np.diff(course) + math.pi) % math.tau - math.pi) / every
    return np.hypot(step[:, 0], step[:, 1]), step[:, 2], np.degrees(turn), height


def start(rng: np.random.Generator, wind_mps: float = 2.5) -> Start:
    east, north = rng.normal(0.0, wind_mps, 2).tolist()
    return Start(LAT, LON, float(rng.uniform(0, math.tau)), wind_east_mps=east, wind_north_mps=north)


@cache
def flown(name: str) -> tuple[F8, F8, F8, F8]:
    rng = np.random.default_rng(5)
    flights = [objects.draw(objects.CATALOGUE[name], rng, start(rng), 1_800.0) for _ in range(30)]
    speed, climb, turn, height = zip(*(steps(f) for f in flights), strict=True)
    return np.concatenate(speed), np.concatenate(climb), np.concatenate(turn), np.concatenate(height)


@pytest.mark.parametrize("name", sorted(MEASURED))
def test_measured_classes_fly_with_the_percentiles_of_real_flights(name: str) -> None:
    """Median and upper ends as measured; the lower end of real speeds has launches and landings in it."""
    speed, climb, turn, _ = flown(name)
    (v5, v50, v95), (down, up), (t50, t95, t99) = MEASURED[name]
    assert np.percentile(speed, [50, 95]) == pytest.approx([v50, v95], rel=0.2)
    assert 0.8 * v5 < np.percentile(speed, 5) < 2.0 * v5
    low, high = np.percentile(climb, [1, 99])
    assert 1.15 * down < low < 0.5 * down
    assert 0.5 * up < high < 1.15 * up
    assert np.percentile(turn, [95, 99]) == pytest.approx([t95, t99], rel=0.3)
    assert np.percentile(turn, 50) == pytest.approx(t50, rel=0.4, abs=0.1)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_every_class_stays_within_its_published_limits(name: str) -> None:
    speed, climb, turn, height = flown(name)
    slowest, fastest, most_climb, most_turn, lowest, highest = PUBLISHED[name]
    wind = 4 * 2.5 if name in ("geese", "smuggling-balloon") else 0.0
    assert slowest * 0.97 - wind <= np.percentile(speed, 1) <= np.percentile(speed, 99) <= fastest * 1.03 + wind
    assert np.percentile(np.abs(climb), 99) <= most_climb * 1.15 + 0.5
    assert np.percentile(turn, 99.5) <= most_turn * 1.15 + 0.5
    assert lowest - 60.0 <= height.min() <= height.max() <= highest + 60.0


def test_every_class_of_the_reference_is_there_and_can_be_drawn() -> None:
    assert set(objects.CATALOGUE) == {*MEASURED, *PUBLISHED, "wind-turbine"}
    rng = np.random.default_rng(1)
    for name, spec in objects.CATALOGUE.items():
        flight = objects.draw(spec, rng, start(rng), 120.0)
        assert spec.name == name
        assert np.isfinite(flight.xyz_m).all()
        assert (np.diff(flight.t_s) > 0).all()
        assert flight.t_s[-1] == 120.0
        assert math.fsum((spec.emits.adsb, spec.emits.mode_s, spec.emits.mode_ac)) <= 1.0


def test_the_same_seed_gives_the_same_flight_and_another_another() -> None:
    spec = objects.CATALOGUE["paraglider"]
    one, two, other = (
        objects.draw(spec, np.random.default_rng(seed), Start(LAT, LON, 1.0), 300.0).xyz_m for seed in (3, 3, 4)
    )
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() != other.tobytes()


def test_radar_cross_sections_are_in_their_range_and_a_lens_makes_half_of_the_gerberas_large() -> None:
    rng = np.random.default_rng(6)
    for spec in objects.CATALOGUE.values():
        drawn = np.array([objects.draw_rcs(spec, rng) for _ in range(400)])
        low, high = spec.rcs_m2
        small = drawn <= high
        assert (drawn >= low).all()
        if spec.lens_rcs_m2 is None:
            assert small.all()
        else:
            assert 0.4 < small.mean() < 0.6
