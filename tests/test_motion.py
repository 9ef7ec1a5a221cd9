"""The fleet holds windows and gives the same places as the knots themselves; thinning keeps the way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion.schema import F8
from replay import motion, objects
from replay.manners import Start
from replay.motion import Fleet, Flight

LAT, LON = math.radians(54.5), math.radians(24.0)


def flights() -> list[Flight]:
    rng = np.random.default_rng(11)
    drawn = [
        objects.draw(objects.CATALOGUE[name], rng, Start(LAT, LON, 1.0, t_s), 200.0)
        for name, t_s in (("airliner", 0.0), ("paraglider", -50.3), ("shahed", 70.4), ("quadcopter", 10.0))
    ]
    return [*drawn, motion.thin(drawn[0])]


@pytest.mark.parametrize("order", [1, -1])
def test_places_are_those_of_the_knots_in_whatever_order_they_are_asked_for(order: int) -> None:
    made = flights()
    fleet = Fleet(made, 0.0, 300.0)
    for t_s in np.arange(0.0, 300.0, 7.3)[::order].tolist():
        xyz, _, alive = fleet.at(t_s)
        assert alive.tolist() == [f.t_s[0] <= t_s <= f.t_s[-1] for f in made]
        for row, flight in enumerate(made):
            low, high = math.floor(t_s), math.floor(t_s) + 1
            if flight.t_s[0] <= low and high <= flight.t_s[-1]:
                knots = [
                    np.array([np.interp(s, flight.t_s, flight.xyz_m[:, k]) for k in range(3)]) for s in (low, high)
                ]
                expected = knots[0] * (high - t_s) + knots[1] * (t_s - low)
                assert xyz[row] == pytest.approx(expected, abs=1e-6)


def test_some_rows_at_a_time_each_are_the_same_as_all_at_one_time() -> None:
    made = flights()
    fleet = Fleet(made, 0.0, 300.0)
    times = np.array([31.9, 32.0, 100.5, 31.5])
    rows = np.array([0, 1, 3, 4])
    xyz, velocity, alive = fleet.at(times, rows)
    for k, (t_s, row) in enumerate(zip(times.tolist(), rows.tolist(), strict=True)):
        one = fleet.at(t_s)
        assert xyz[k].tolist() == one[0][row].tolist()
        assert velocity[k].tolist() == one[1][row].tolist()
        assert alive[k] == one[2][row]


def test_an_object_has_its_full_speed_in_its_first_and_last_second() -> None:
    lat, lon = np.full(3, LAT), LON + np.array([0.0, 1e-4, 2e-4])
    flight = motion.from_points(np.array([20.4, 30.4, 40.4]), lat, lon, np.full(3, 100.0))
    fleet = Fleet([flight], 0.0, 100.0)
    speeds = [float(np.linalg.norm(fleet.at(t_s)[1][0])) for t_s in (20.4, 20.9, 30.0, 40.0, 40.3)]
    assert speeds == pytest.approx([speeds[2]] * 5, rel=1e-3)
    assert speeds[2] > 30.0


def test_thinning_drops_knots_of_straight_flight_and_keeps_the_way() -> None:
    for flight in flights():
        thin = motion.thin(flight, 0.1)
        back = np.stack([np.interp(flight.t_s, thin.t_s, thin.xyz_m[:, k]) for k in range(3)], axis=1)
        assert np.linalg.norm(back - flight.xyz_m, axis=1).max() < 0.1
        assert thin.t_s[[0, -1]].tolist() == flight.t_s[[0, -1]].tolist()
    lon: F8 = LON + 1e-5 * np.arange(161, dtype=np.float64)
    straight = motion.from_points(np.arange(161.0), np.full(161, LAT), lon, np.full(161, 5e3))
    assert len(motion.thin(straight).t_s) == 11


def test_a_fleet_without_flights_is_empty() -> None:
    xyz, velocity, alive = Fleet([], 0.0, 10.0).at(5.0)
    assert xyz.shape == velocity.shape == (0, 3)
    assert alive.shape == (0,)
