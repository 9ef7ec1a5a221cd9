"""Where an object came from: seen outside, or first seen no deeper than it may have come before anybody saw it."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.redlines.dwell import Dwell
from fusion.rules import RuleSet, Words
from fusion.schema import US_PER_S
from tests.shipped import START_US
from tests.states import kept


def seen(dwell: Dwell, t_s: float, distance_m: float, speed_mps: float) -> bool:
    """Whether track 1, seen at `t_s`, counts as from outside."""
    now_us = START_US + round(t_s * US_PER_S)
    p_inside = np.array([1.0 if distance_m < 0.0 else 0.0])
    at = dwell.align(np.array([1]), np.array([distance_m]), p_inside, np.array([speed_mps]), now_us)
    return bool(dwell.from_outside[at][0])


@pytest.mark.parametrize(
    "depth_m, speed_mps, came",
    [
        (9_000.0, 42.0, True),  # a drone that nobody saw for four minutes
        (11_000.0, 60.0, False),  # deeper than first_seen_m
        (5_000.0, 11.0, False),  # a paraglider takes eight minutes for it: it took off here
        (2_000.0, 11.0, True),
        (5_000.0, np.nan, False),
        (1_900.0, 0.0, True),  # it hovers, and came before it was seen
        (1_900.0, np.nan, True),
        (2_100.0, 0.0, False),
    ],
)
def test_first_seen_inside_it_came_over_the_border_if_it_can_have(depth_m: float, speed_mps: float, came: bool) -> None:
    dwell = Dwell(RuleSet(()))
    assert seen(dwell, 0.0, -depth_m, speed_mps) == came
    assert seen(dwell, 100.0, -depth_m - 3_000.0, speed_mps) == came


def test_a_first_speed_that_was_wrong_is_made_good_within_half_a_minute_and_not_later() -> None:
    dwell = Dwell(RuleSet(()))
    assert seen(dwell, 0.0, -6_000.0, 40.0)
    assert not seen(dwell, 20.0, -6_000.0, 12.0)
    assert not seen(dwell, 31.0, -6_000.0, 40.0)
    other = Dwell(RuleSet((), Words(origin_s=60.0)))
    assert not seen(other, 0.0, -6_000.0, 12.0)
    assert seen(other, 31.0, -6_000.0, 40.0)


def test_once_outside_it_is_from_outside_whatever_its_speed_and_after_a_restart() -> None:
    dwell = Dwell(RuleSet(()))
    assert not seen(dwell, 0.0, -20_000.0, 11.0)
    assert seen(dwell, 60.0, 1_000.0, 11.0)
    again = Dwell(RuleSet(()))
    again.restore(kept(dwell.snapshot()))
    assert seen(again, 61.0, -500.0, 11.0)
    assert again.snapshot()["first_m"].tolist() == [20_000.0]
