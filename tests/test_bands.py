"""Warning bands: hysteresis against a restatement one value at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.borders.bands import Bands, deeper, limit_of, nearer

LIMITS = (30.0, 15.0, 5.0)
DEPTHS = (10.0, 25.0, 50.0)
LEAVE = 0.1


def step(held: int, value: float, limits: tuple[float, ...], leave: float) -> int:
    """The band after one value, said once more: enter at a limit, leave beyond it."""
    inside = sum(value <= limit for limit in limits)
    if inside >= held:
        return inside
    return max(inside, min(held, sum(value <= limit * (1 + leave) for limit in limits)))


@given(st.lists(st.one_of(st.just(math.nan), st.floats(-50.0, 60.0)), min_size=1, max_size=30))
def test_each_value_moves_the_band_as_one_by_one(values: list[float]) -> None:
    held, expected = np.zeros(1, np.int8), 0
    for value in values:
        held = nearer(held, np.array([value]), LIMITS, LEAVE)
        expected = step(expected, value, LIMITS, LEAVE)
        assert held[0] == expected


def test_a_value_about_a_limit_enters_once() -> None:
    held, entered = np.zeros(1, np.int8), 0
    for value in 15.0 + np.sin(np.arange(100)) * 1.4:
        before, held = held, nearer(held, np.array([value]), LIMITS, LEAVE)
        entered += max(int(held[0]) - int(before[0]), 0)
    assert entered == 2, "the 30 band and, once, the 15 band"


def test_depth_rises_and_falls_the_other_way_round() -> None:
    held, seen = np.zeros(1, np.int8), []
    for depth in (-5.0, 9.0, 10.0, 9.2, 8.9, 26.0, 23.0, 22.0, 60.0, math.nan):
        held = deeper(held, np.array([depth]), DEPTHS, LEAVE)
        seen.append(int(held[0]))
    assert seen == [0, 0, 1, 1, 0, 2, 2, 1, 3, 0]


def test_the_limit_of_a_band_is_what_it_is_called_by() -> None:
    np.testing.assert_array_equal(limit_of(np.array([0, 1, 3], np.int8), LIMITS), [np.nan, 30.0, 5.0])


@pytest.mark.parametrize(
    "wrong, why",
    [
        ({"distance_m": (5.0, 15.0)}, "fall"),
        ({"depth_m": (25.0, 10.0)}, "rise"),
        ({"time_s": (600.0, 0.0)}, "above 0"),
        ({"time_s": (math.inf, 3.0)}, "above 0"),
        ({"depth_m": tuple(float(i + 1) for i in range(11))}, "more than"),
        ({"leave_time": 1.5}, "between 0 and 1"),
        ({"p_time": 1.0}, "between 0 and 1"),
    ],
)
def test_limits_that_make_no_bands_are_refused(wrong: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Bands(**wrong)  # type: ignore[arg-type]


def test_no_limits_make_no_bands() -> None:
    assert nearer(np.zeros(2, np.int8), np.array([1.0, np.nan]), (), LEAVE).tolist() == [0, 0]
