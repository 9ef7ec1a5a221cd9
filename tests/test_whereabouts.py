"""Possible places: they start where the object was seen, go no faster than it can, and feel the wind."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion.cases.whereabouts import ABILITIES, Last, Wind, cloud, endurance_s
from fusion.schema import ObjectClass

S = 1_000_000
EAST = Last(0, 0.95, 0.45, 50.0, 42.0, 1.0, math.pi / 2, 200.0)


def of(kind: ObjectClass, last: Last = EAST) -> Last:
    p = [0.0] * len(ObjectClass)
    p[kind] = 1.0
    return replace(last, p_classes=tuple(p))


def test_at_the_time_of_loss_it_is_where_it_was_seen() -> None:
    places = cloud(of(ObjectClass.FIXED_WING_DRONE), 0)
    assert np.std(places.east_m) == pytest.approx(50.0, rel=0.02)
    assert np.mean(places.north_m) == pytest.approx(0.0, abs=2.0)
    assert places.flying.all()


@pytest.mark.parametrize("kind", list(ABILITIES))
def test_nobody_goes_further_than_the_fastest_of_its_class(kind: ObjectClass) -> None:
    for t_s in (30.0, 600.0, 3_000.0):
        places = cloud(of(kind), round(t_s * S))
        fastest = max(ABILITIES[kind].fastest_mps, ABILITIES[ObjectClass.UNKNOWN].fastest_mps, EAST.speed_mps)
        assert np.isfinite(places.east_m).all()
        assert np.hypot(places.east_m, places.north_m).max() <= fastest * t_s + 6.0 * EAST.sigma_m


def test_most_go_on_ahead_and_all_are_down_in_the_end() -> None:
    last = of(ObjectClass.FIXED_WING_DRONE)
    soon = cloud(last, 60 * S)
    assert (soon.east_m > 0.0).mean() > 0.85
    assert 0.6 < soon.flying.mean() < 0.95
    assert not cloud(last, round(endurance_s(last.p_classes) * S)).flying.any()


def test_what_sank_is_down_sooner_and_what_turned_goes_on_turning() -> None:
    last = of(ObjectClass.FIXED_WING_DRONE)
    assert cloud(replace(last, climb_mps=-8.0), 60 * S).flying.mean() < cloud(last, 60 * S).flying.mean() - 0.2
    right = cloud(replace(last, turn_radps=0.05), 60 * S)
    assert np.median(right.north_m) < -200.0


def test_the_course_of_what_hangs_in_the_air_says_nothing() -> None:
    places = cloud(replace(of(ObjectClass.SMALL_MULTICOPTER), speed_mps=1.0), 300 * S)
    assert abs((places.east_m > 0.0).mean() - 0.5) < 0.05


def test_the_wind_carries_what_flies() -> None:
    """A drone that flies 42 m/s over ground with a tail wind of 20 comes back against it at 2 m/s only."""
    last = of(ObjectClass.FIXED_WING_DRONE)
    calm = cloud(last, 600 * S)
    blown = cloud(last, 600 * S, Wind(20.0, 0.0))
    assert np.quantile(blown.east_m, 0.02) > np.quantile(calm.east_m, 0.02) + 2_000.0
    assert abs(np.median(blown.north_m)) < 2_000.0
