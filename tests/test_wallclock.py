"""The service's clock never falls, follows the machine, and refuses what it cannot absorb."""

from __future__ import annotations

import itertools

import pytest

from adapters.running.wallclock import ClockSteppedBack, WallClock

START_US = 1_774_000_000_000_000


def test_it_is_the_machines_clock() -> None:
    clock = WallClock()
    assert [clock.at(START_US + t, 7 + t) for t in (0, 100_000, 200_000)] == [
        START_US + t for t in (0, 100_000, 200_000)
    ]


def test_a_step_forward_is_followed_at_once() -> None:
    clock = WallClock()
    clock.at(START_US, 0)
    assert clock.at(START_US + 3_600_000_000, 100_000) == START_US + 3_600_000_000


def test_set_back_by_a_second_it_goes_on_at_half_speed_until_the_machine_has_caught_up() -> None:
    clock = WallClock()
    clock.at(START_US, 0)
    said = [clock.at(START_US - 1_000_000 + t, t) for t in range(100_000, 4_000_000, 100_000)]
    assert all(b > a for a, b in itertools.pairwise(said))
    assert said[0] == START_US + 50_000
    assert said[-1] == START_US - 1_000_000 + 3_900_000


def test_what_arrives_while_nobody_looks_is_stamped_on() -> None:
    """The end is decided on where ticks are made; a clock that was right again by then has done no harm."""
    clock = WallClock()
    clock.at(START_US, 0)
    said = [clock.stamp(START_US + t - 3_600_000_000, t) for t in (100_000, 200_000)]
    assert said == [START_US + 50_000, START_US + 100_000]
    assert clock.at(START_US + 300_000, 300_000) == START_US + 300_000


def test_set_back_by_an_hour_it_ends_loudly() -> None:
    clock = WallClock()
    clock.at(START_US, 0)
    with pytest.raises(ClockSteppedBack, match=r"3600\.0 s"):
        clock.at(START_US - 3_600_000_000, 100_000)
