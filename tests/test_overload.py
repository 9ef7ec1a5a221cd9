"""The meter of load: up when ticks grow, down when the flood is over, and no flapping in between."""

from __future__ import annotations

import itertools

from adapters.running.overload import CALM_S, FINE_S, HOT_S, LoadMeter
from fusion.thinning import MOST, PICTURES


def test_one_long_tick_is_no_overload() -> None:
    meter = LoadMeter()
    for _ in range(20):
        assert meter.turned(10.0 * HOT_S, 1_000, 0) == 0
        assert meter.turned(0.05, 1_000, 0) == 0


def test_two_in_a_row_raise_it_by_one_each_up_to_the_most() -> None:
    meter = LoadMeter()
    assert [meter.turned(1.1 * HOT_S, 1_000, 0) for _ in range(10)] == [0, 1, 1, 2, 2, 3, 3, 3, 3, 3]
    assert meter.level == MOST


def test_ticks_with_a_picture_count_though_others_lie_between() -> None:
    """At the levels a picture comes every 2nd and every 3rd tick: what it costs is noticed all the same."""
    meter = LoadMeter(level=1)
    assert [meter.turned(b, 1_000, 0) for b in (2.0 * HOT_S, 0.02, 2.0 * HOT_S)] == [1, 1, 2]
    assert [meter.turned(b, 1_000, 0) for b in (2.0 * HOT_S, 0.02, 0.02, 2.0 * HOT_S)] == [2, 2, 2, 3]


def test_it_falls_step_by_step_within_ten_seconds_of_the_end() -> None:
    meter = LoadMeter(level=MOST)
    took_s, levels = 0.0, [MOST]
    while meter.level:
        levels.append(meter.turned(0.03, 200, 10))
        took_s += 0.1
    assert MOST * CALM_S <= took_s + 1e-6 < 10.0
    assert all(0 <= a - b <= 1 for a, b in itertools.pairwise(levels))


def test_pictures_of_many_tracks_do_not_hold_it_when_the_flood_is_over() -> None:
    """Tracks of a flood coast for half a minute: a picture of them takes longer than a quiet tick should."""
    meter, turns = LoadMeter(level=MOST), 0
    while meter.level and turns < 1_000:
        meter.turned(0.18 if turns % PICTURES[meter.level] == 0 else 0.03, 200, 10)
        turns += 1
    assert meter.level == 0
    assert turns <= 60
    steady = LoadMeter(level=2)
    assert {steady.turned(0.18, 200, 10) for _ in range(100)} == {2}, "where all take as long it stays"


def test_it_stays_while_what_is_left_out_would_be_too_much() -> None:
    meter = LoadMeter(level=2)
    for _ in range(200):
        assert meter.turned(0.5 * FINE_S, 400, 600) == 2  # 0.15 s with what was left out
    for _ in range(200):
        meter.turned(0.5 * FINE_S, 400, 100)
    assert meter.level == 0


def flood(per_s: float, cost_s: float, fixed_s: float, part: float, seconds: float) -> tuple[list[float], list[int]]:
    """A service whose tick costs so much, with a part of the input that is thinned by level: (busy times, levels)."""
    meter, waited_s, busy, levels = LoadMeter(), 0.1, [], []
    now_s = 0.0
    while now_s < seconds:
        arrived = per_s * waited_s
        shed = arrived * part * (0.0, 0.5, 0.75, 0.85)[meter.level]
        busy.append(fixed_s + cost_s * (arrived - shed))
        levels.append(meter.turned(busy[-1], round(arrived - shed), round(shed)))
        waited_s = max(0.1, busy[-1])
        now_s += waited_s
    return busy, levels


def test_a_flood_that_thinning_can_master_is_mastered_within_seconds() -> None:
    busy, levels = flood(per_s=12_000.0, cost_s=1e-4, fixed_s=0.01, part=0.6, seconds=60.0)
    assert max(levels) > 0
    assert max(busy[20:]) < HOT_S * 1.5
    assert sum(a != b for a, b in itertools.pairwise(levels[20:])) <= 2


def test_a_load_that_fits_never_leaves_anything_out() -> None:
    _, levels = flood(per_s=6_000.0, cost_s=1e-4, fixed_s=0.01, part=0.6, seconds=60.0)
    assert max(levels) == 0
