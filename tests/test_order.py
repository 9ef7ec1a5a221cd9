"""Order: what is stored, what falls, and that arrival order within a tick cannot matter."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.numbers import GIVE_UP_TURNS, MAX_BOOTS, MAX_RUNS
from fusion.order import Order
from fusion.schema import PlotKind, Plots, plots

S = 1_000_000


def batch(sensor: str, seconds: list[float], seq: int = -1, boot: int = 0, rx_s: float | None = None) -> Plots:
    t_us = np.round(np.array(seconds, np.float64) * S).astype(np.int64)
    n = len(t_us)
    arrived = int((max(seconds, default=0.0) if rx_s is None else rx_s) * S)
    azimuth = np.linspace(0.1, 1.0, n) if n else np.empty(0)
    return plots(sensor, PlotKind.POLAR, arrived, t_us, boot, seq, range_m=np.full(n, 1e4), azimuth_rad=azimuth)


def test_order_of_arrival_does_not_matter() -> None:
    batches = [batch("B", [2.0, 2.5]), batch("A", [2.0]), batch("A", [1.0], 1), batch("A", [1.0], 0), batch("C", [0.5])]
    seen = []
    for arrived in permutations(batches):
        order = Order()
        for one in arrived:
            order.admit(one)
        seen.append([(b.sensor, b.seq, b.t_us.tolist()) for b in order.drain().batches])
    assert all(answer == seen[0] for answer in seen)
    assert [s for s, _, _ in seen[0]] == ["C", "A", "A", "A", "B"]
    assert [q for _, q, _ in seen[0]] == [-1, 0, 1, -1, -1]


def test_unnumbered_twins_in_time_are_ordered_by_content() -> None:
    one, two = batch("A", [1.0]), batch("A", [1.0])
    two.azimuth_rad[0] = 2.0
    answers = []
    for arrived in ((one, two), (two, one)):
        order = Order()
        for each in arrived:
            order.admit(each)
        answers.append([float(b.azimuth_rad[0]) for b in order.drain().batches])
    assert answers[0] == answers[1]


def test_a_numbered_batch_counts_once() -> None:
    order = Order()
    assert order.admit(batch("A", [1.0, 1.1], 7)).stored == 2
    again = order.admit(batch("A", [1.0, 1.1], 7))
    assert (again.stored, again.duplicate) == (0, 2)
    assert order.admit(batch("A", [1.0, 1.1], 7, boot=1)).stored == 2
    assert order.admit(batch("B", [1.0], 7)).stored == 1
    assert order.drain().used == 5
    assert order.admit(batch("A", [1.0, 1.1], 7)).duplicate == 2


def test_an_empty_duplicate_is_counted() -> None:
    order = Order()
    assert order.admit(batch("A", [], 0)).duplicate == 0
    assert order.admit(batch("A", [], 0)).duplicate == 1


def test_late_and_future_fall_plot_by_plot() -> None:
    order = Order(late_us=10 * S, future_us=2 * S)
    first = order.admit(batch("A", [100.0, 102.5], rx_s=100.0))
    assert (first.stored, first.future) == (1, 1)
    assert order.drain().used == 1
    order.admit(batch("A", [89.0, 90.0, 95.0], rx_s=101.0))
    drained = order.drain()
    assert (drained.used, drained.late) == (2, 1)
    assert drained.batches[0].t_us.tolist() == [90 * S, 95 * S]


def test_lateness_is_judged_by_what_was_fused_before_not_by_the_backlog() -> None:
    order = Order()
    order.admit(batch("A", [0.0, 50.0], rx_s=50.0))
    assert order.drain().late == 0


def test_runs_are_told_after_the_drain_with_that_of_the_newest_start_first() -> None:
    order = Order()
    for seq in (3, 4, 6):
        order.admit(batch("A", [1.0], seq))
    assert order.fused("A") == ()
    order.drain()
    assert order.fused("A") == ((0, 3, 4), (0, 6, 6))
    order.admit(batch("A", [1.0], 5))
    assert order.fused("A") == ((0, 3, 4), (0, 6, 6))
    order.drain()
    assert order.fused("A") == ((0, 3, 6),)
    order.admit(batch("A", [1.0], 0, boot=1))
    order.drain()
    assert order.fused("A") == ((1, 0, 0), (0, 3, 6))


def test_gaps_without_number_stay_bounded_and_what_is_given_up_is_counted_and_a_duplicate() -> None:
    order = Order()
    for seq in range(0, 2 * MAX_RUNS + 20, 2):
        order.admit(batch("A", [1.0], seq))
    order.drain()
    assert len(order.fused("A")) == MAX_RUNS
    assert order.given_up == 10
    assert order.fused("A")[0] == (0, 0, 20), "the lowest gaps"
    assert order.admit(batch("A", [1.0], 1)).duplicate == 1
    assert order.admit(batch("A", [1.0], 21)).stored == 1


def test_starts_share_the_room_for_gaps_and_the_oldest_gives_way() -> None:
    order = Order()
    for boot in (1, 2):
        for seq in range(0, MAX_RUNS, 2):
            order.admit(batch("A", [1.0], seq, boot=boot))
    assert order.given_up == 0
    order.admit(batch("A", [1.0], 2 * MAX_RUNS, boot=2))
    order.drain()
    runs = order.fused("A")
    assert (len(runs), order.given_up, runs[-1]) == (MAX_RUNS, 1, (1, 0, 2))


def test_a_start_with_a_lower_number_is_one_as_soon_as_a_known_one_has_fallen_silent() -> None:
    """A receiver whose clock fell back while it had no power: it was refused for ever."""
    order = Order()
    for boot in range(11, 15):
        order.admit(batch("A", [1.0], 0, boot=boot))
    turns(order, GIVE_UP_TURNS - 1)
    order.admit(batch("A", [1.0], 1, boot=14))
    assert order.admit(batch("A", [1.0], 0, boot=5)).duplicate == 1, "perhaps sent again"
    order.drain()
    assert order.admit(batch("A", [1.0], 0, boot=5)).stored == 1
    order.drain()
    assert order.fused("A") == ((14, 0, 1), (5, 0, 0))
    assert order.admit(batch("A", [1.0], 0, boot=14)).duplicate == 1


def test_the_newest_starts_are_known_and_an_older_one_is_a_duplicate() -> None:
    order = Order()
    for boot in range(1, 9):
        assert order.admit(batch("A", [1.0], 0, boot=boot)).stored == 1
    order.drain()
    assert [run.boot for run in order.fused("A")] == [8, 7, 6, 5][:MAX_BOOTS]
    assert order.admit(batch("A", [1.0], 999_999, boot=4)).duplicate == 1


def turns(order: Order, count: int) -> None:
    for _ in range(count):
        order.drain()


def test_a_gap_that_nobody_can_fill_any_more_is_given_up_from_the_lowest_on() -> None:
    order = Order()
    order.admit(batch("A", [1.0], 5))
    order.admit(batch("A", [1.0], 7))
    turns(order, 100)
    order.admit(batch("A", [1.0], 10))
    turns(order, GIVE_UP_TURNS - 101)
    order.admit(batch("A", [1.0], 11))
    order.drain()
    assert order.fused("A") == ((0, 5, 5), (0, 10, 11), (0, 7, 7))
    order.admit(batch("A", [1.0], 12))
    order.drain()
    assert order.fused("A") == ((0, 5, 7), (0, 10, 12)), "6 is, 8 and 9 are younger"
    assert order.given_up == 1
    assert order.admit(batch("A", [1.0], 6)).duplicate == 1
    assert order.admit(batch("A", [1.0], 9)).stored == 1
    turns(order, 100)
    order.admit(batch("A", [1.0], 13))
    order.drain()
    assert order.fused("A") == ((0, 5, 13),)
    assert order.given_up == 2


def test_below_the_number_heard_first_a_gap_begins_when_something_still_lower_comes() -> None:
    order = Order()
    order.admit(batch("A", [1.0], 50))
    turns(order, 2 * GIVE_UP_TURNS)
    order.admit(batch("A", [1.0], 40))
    turns(order, GIVE_UP_TURNS - 1)
    order.admit(batch("A", [1.0], 51))
    order.drain()
    assert order.fused("A") == ((0, 50, 51), (0, 40, 40))
    order.admit(batch("A", [1.0], 52))
    order.drain()
    assert order.fused("A") == ((0, 40, 52),)


def test_a_former_start_is_told_as_long_as_anybody_keeps_its_messages() -> None:
    order = Order()
    order.admit(batch("A", [1.0], 7, boot=1))
    order.admit(batch("A", [1.0], 0, boot=2))
    turns(order, GIVE_UP_TURNS - 1)
    order.admit(batch("A", [1.0], 1, boot=2))
    order.drain()
    assert order.fused("A") == ((2, 0, 1), (1, 7, 7))
    order.admit(batch("A", [1.0], 2, boot=2))
    order.drain()
    assert order.fused("A") == ((2, 0, 2),)
    assert order.admit(batch("A", [1.0], 7, boot=1)).duplicate == 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.integers(0, 60))
def test_numbers_against_a_plain_set(sent: list[int], cut: int) -> None:
    order, seen = Order(), dict[int, None]()
    for at, seq in enumerate(sent):
        if at == cut:  # a checkpoint in the middle changes nothing
            kept = order.snapshot()
            order = Order()
            order.restore(kept)
        assert order.admit(batch("A", [1.0], seq)).stored == (0 if seq in seen else 1)
        seen[seq] = None
    assert order.drain().used == len(seen)
    if sent:
        highest = lowest = sent[0]
        while highest + 1 in seen:
            highest += 1
        while lowest - 1 in seen:
            lowest -= 1
        first, *others = order.fused("A")
        assert first == (0, lowest, highest)
        assert [*others] == sorted(others, reverse=True)
        told = [seq for run in (first, *others) for seq in range(run.first, run.last + 1)]
        assert sorted(told) == sorted(seen), "each number once"
        assert all((run.first - 1 in seen, run.last + 1 in seen) == (False, False) for run in order.fused("A"))


def test_a_sensor_that_counts_from_nought_again_under_its_old_name_is_heard() -> None:
    order = Order()
    for seq in range(5):
        order.admit(batch("A", [float(seq)], seq))
        order.drain()
    assert order.admit(batch("A", [3.0], 3)).duplicate == 1, "a repetition was measured when it was"
    assert (order.begun_anew, order.fused("A")) == (0, ((0, 0, 4),))
    for seq in range(3):
        assert order.admit(batch("A", [60.0 + seq], seq)).stored == 1
        assert order.admit(batch("A", [60.0 + seq], seq)).duplicate == 1, "and comes once all the same"
        assert order.drain().used == 1
        assert order.admit(batch("A", [60.0 + seq], seq)).duplicate == 1
        order.drain()
    assert (order.begun_anew, order.fused("A")) == (1, ((0, 0, 2),))
    assert order.admit(batch("B", [99.0], 0)).stored == 1
    assert order.let_go == (0, 1)


def test_whatever_order_the_first_messages_of_a_new_start_come_in() -> None:
    """The last of the old start, the first two of the new one, and repetitions of all, in one tick."""
    last, first, second = batch("A", [5.0], 5), batch("A", [6.0], 0), batch("A", [7.0], 1)
    answers = []
    for arrived in permutations((last, first, second, last, first, second)):
        order = Order()
        for seq in range(5):
            order.admit(batch("A", [float(seq)], seq))
        order.drain()
        for one in arrived:
            order.admit(one)
        halfway = Order()
        halfway.restore(order.snapshot())
        answers.append([(b.seq, b.t_us.tolist()) for b in halfway.drain().batches])
    assert all(answer == answers[0] for answer in answers)
    assert [seq for seq, _ in answers[0]] == [5, 0, 1]
