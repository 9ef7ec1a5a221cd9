"""Order: what is stored, what falls, and that arrival order within a tick cannot matter."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import order as module
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


def test_contiguous_only_after_the_drain_and_stops_at_a_gap() -> None:
    order = Order()
    for seq in (3, 4, 6):
        order.admit(batch("A", [1.0], seq))
    assert order.contiguous("A") == (-1, -1, -1)
    order.drain()
    assert order.contiguous("A") == (0, 4, 3)
    order.admit(batch("A", [1.0], 5))
    assert order.contiguous("A") == (0, 4, 3)
    order.drain()
    assert order.contiguous("A") == (0, 6, 3)
    order.admit(batch("A", [1.0], 0, boot=1))
    order.drain()
    assert order.contiguous("A") == (1, 0, 0)


def test_numbers_stay_bounded() -> None:
    order = Order()
    for seq in range(0, 4 * module.MAX_RUNS, 2):
        order.admit(batch("A", [1.0], seq))
    (_, numbers) = order._numbers["A"][0]
    assert len(numbers.first) == module.MAX_RUNS
    assert order.admit(batch("A", [1.0], 1)).duplicate == 1, "a gap given up"
    assert order.admit(batch("A", [1.0], 4 * module.MAX_RUNS - 3)).stored == 1
    for boot in range(1, 9):
        order.admit(batch("A", [1.0], 0, boot=boot))
    assert len(order._numbers["A"]) == module.MAX_BOOTS
    assert order.admit(batch("A", [1.0], 999_999, boot=0)).duplicate == 1


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
        assert order.contiguous("A") == (0, highest, lowest)
