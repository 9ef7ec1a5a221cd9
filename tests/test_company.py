"""Flights that belong together: groups and escorts."""

from __future__ import annotations

import numpy as np
import pytest

from fusion import geo
from replay import company, objects
from tests.test_objects import start, steps


def test_a_group_keeps_its_distances_and_its_way() -> None:
    rng = np.random.default_rng(7)
    lead = objects.draw(objects.CATALOGUE["shahed"], rng, start(rng), 900.0)
    members = company.group(lead, 6, rng)
    assert members[0] is lead
    places = np.array([[np.interp(300.0, m.t_s, m.xyz_m[:, axis]) for axis in range(3)] for m in members])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    nearest = np.where(np.eye(6, dtype=bool), np.inf, apart).min(axis=1)
    assert 250.0 < nearest.min() <= nearest.max() < 2_300.0
    for member in members:
        assert np.median(steps(member)[0]) == pytest.approx(np.median(steps(lead)[0]), rel=0.03)


def test_an_escort_stays_beside_a_slow_object_at_its_own_speed_in_s_turns() -> None:
    rng = np.random.default_rng(9)
    lead = objects.draw(objects.CATALOGUE["gerbera"], rng, start(rng), 900.0)
    jet = company.escort(lead, 110.0, rng)
    speed, _, turn, _ = steps(jet, every=1)
    assert np.percentile(speed, [1, 50, 99]) == pytest.approx(110.0, rel=0.15)
    assert np.linalg.norm(jet.xyz_m - lead.xyz_m, axis=1).max() < 4_000.0
    assert 4.0 < np.percentile(turn, 90) < 25.0
    assert np.percentile(np.radians(turn) * speed[1:], 99) < 3.2 * 9.81


def test_an_escort_of_something_as_fast_as_itself_flies_straight_beside_it() -> None:
    rng = np.random.default_rng(10)
    lead = objects.draw(objects.CATALOGUE["light-aircraft"], rng, start(rng), 300.0)
    fast = float(np.median(steps(lead)[0]))
    jet = company.escort(lead, 0.5 * fast, rng)
    assert np.linalg.norm(jet.xyz_m - lead.xyz_m, axis=1).max() < 2_500.0
    assert np.median(steps(jet)[0]) == pytest.approx(fast, rel=0.1)


def test_the_same_seed_gives_the_same_group() -> None:
    lead = objects.draw(objects.CATALOGUE["gerbera"], np.random.default_rng(1), start(np.random.default_rng(1)), 100.0)
    one, two = (company.group(lead, 4, np.random.default_rng(2)) for _ in range(2))
    assert [m.xyz_m.tobytes() for m in one] == [m.xyz_m.tobytes() for m in two]
    assert (geo.geodetic(one[3].xyz_m)[2] > -50.0).all()
