"""The player's timetable: ticks where they belong, and due times that neither drift nor run backwards."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.schema import Frame
from replay import player


def frames(*rx_ms: int) -> list[Frame]:
    return [Frame(n * 5, ms * 1_000, "in/R1/plots", b"x") for n, ms in enumerate(rx_ms)]


def test_ticks_come_after_everything_they_close() -> None:
    found = [(f.source == "tick", f.rx_us // 1_000) for f in player.with_ticks(frames(40, 100, 101, 350))]
    assert found == [
        (False, 40),
        (False, 100),
        (True, 100),
        (False, 101),
        (True, 200),
        (True, 300),
        (False, 350),
        (True, 400),
    ]


def test_ticks_fill_from_start_to_end() -> None:
    found = list(player.with_ticks(frames(250), from_us=95_000, until_us=600_000))
    assert [f.rx_us for f in found if f.source == "tick"] == [100_000, 200_000, 300_000, 400_000, 500_000, 600_000]
    assert [f.seq for f in found] == list(range(7))
    assert found[2].source == "in/R1/plots"


def test_no_frames_give_no_ticks() -> None:
    assert list(player.with_ticks([])) == []


def test_a_log_with_ticks_keeps_its_own() -> None:
    with pytest.raises(ValueError, match="ticks of their own"):
        list(player.with_ticks([Frame(0, 0, "tick", b"")]))


@given(st.lists(st.integers(0, 3_000), max_size=30))
def test_ticks_are_complete_ordered_and_lose_nothing(rx_ms: list[int]) -> None:
    given_frames = frames(*rx_ms)
    out = list(player.with_ticks(given_frames))
    assert [f.seq for f in out] == list(range(len(out)))
    assert [f.rx_us for f in out if f.source != "tick"] == [f.rx_us for f in given_frames]
    ticks = [f.rx_us for f in out if f.source == "tick"]
    assert all(b - a == player.TICK_US for a, b in pairwise(ticks))
    newest = -1
    for frame in out:
        if frame.source == "tick":
            assert frame.rx_us >= newest
        newest = max(newest, frame.rx_us)
    assert not out or out[-1].source == "tick"


def test_frames_are_due_at_their_distance_from_the_first_by_speed() -> None:
    due = list(player.pace(frames(1_000, 1_500, 3_000), 2.0))
    assert [d.after_s for d in due] == [0.0, 0.25, 1.0]
    assert [d.frame.rx_us for d in due] == [1_000_000, 1_500_000, 3_000_000]


def test_a_step_back_in_time_is_due_at_once() -> None:
    assert [d.after_s for d in player.pace(frames(1_000, 2_000, 1_200, 2_500), 1.0)] == [0.0, 1.0, 1.0, 1.5]


def test_the_highest_speed_never_waits() -> None:
    assert {d.after_s for d in player.pace(frames(0, 10_000, 90_000), math.inf)} == {0.0}


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("10x", 10.0), (" 0.5 ", 0.5), ("MAX", math.inf)])
def test_speeds_as_people_write_them(text: str, speed: float) -> None:
    assert player.parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", "", "20000"])
def test_speeds_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        player.parse_speed(text)
