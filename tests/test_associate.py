"""Assignment against scipy, and clusters against the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fusion.associate import MOST_PAIRS, P_SCORE, PAIR, _outdo_1, log_probability_1
from fusion.cluster import assign_1, cluster_1
from fusion.schema import F8, I8


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(0, 8), st.integers(0, 2**32 - 1))
def test_assignment_is_as_cheap_as_scipys(rows: int, extra: int, seed: int) -> None:
    cost = np.random.default_rng(seed).normal(0.0, 5.0, (rows, rows + extra))
    taken = np.full(rows, -1, np.int64)
    assign_1(cost, taken)
    assert len(np.unique(taken)) == rows
    a, b = linear_sum_assignment(cost)
    assert cost[np.arange(rows), taken].sum() == pytest.approx(cost[a, b].sum())


def _pairs(rng: np.random.Generator, plots: int, tracks: int, share: float) -> tuple[I8, I8, F8]:
    at = np.argwhere(rng.random((plots, tracks)) < share)
    pair = np.zeros((len(at), 5))
    pair[:, 0] = rng.gamma(2.0, 3.0, len(at))
    return np.ascontiguousarray(at[:, 0]), np.ascontiguousarray(at[:, 1] * 7 + 3), pair


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.floats(0.05, 0.9), st.integers(0, 2**32 - 1))
def test_clusters_together_are_the_best_assignment_of_all(plots: int, tracks: int, share: float, seed: int) -> None:
    pair_plot, pair_slot, pair = _pairs(np.random.default_rng(seed), plots, tracks, share)
    chosen = np.empty(plots, np.int64)
    cluster_1(plots, len(pair), pair_plot, pair_slot, pair, chosen)
    used = chosen[chosen >= 0]
    assert len(np.unique(pair_slot[used])) == len(used), "a track takes one plot"
    assert (pair_plot[used] == np.flatnonzero(chosen >= 0)).all()
    whole = np.zeros((plots, tracks + plots))
    whole[pair_plot, (pair_slot - 3) // 7] = -pair[:, 0]
    a, b = linear_sum_assignment(whole)
    assert pair[used, 0].sum() == pytest.approx(-whole[a, b].sum())


def test_a_huge_cluster_is_still_one_to_one_and_takes_the_best_pair() -> None:
    pair_plot, pair_slot, pair = _pairs(np.random.default_rng(3), 300, 200, 0.5)
    chosen = np.empty(300, np.int64)
    cluster_1(300, len(pair), pair_plot, pair_slot, pair, chosen)
    used = chosen[chosen >= 0]
    assert len(used) == len(np.unique(pair_slot[used])) == 200
    assert int(pair[:, 0].argmax()) in used.tolist()


def test_no_pairs_choose_nothing() -> None:
    chosen = np.zeros(3, np.int64)
    cluster_1(3, 0, np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 5)), chosen)
    assert chosen.tolist() == [-1, -1, -1]


def test_log_probability_of_odds() -> None:
    for odds in (-50.0, -3.0, 0.0, 4.0, 40.0):
        assert log_probability_1(odds) == pytest.approx(-np.logaddexp(0.0, -odds), abs=1e-12)


def test_a_plot_keeps_its_best_pairs_whatever_order_they_come_in() -> None:
    scores = np.random.default_rng(5).permutation(40).astype(float)
    slot, pair = np.empty(MOST_PAIRS + 1, np.int64), np.zeros((MOST_PAIRS + 1, PAIR))
    for k, score in enumerate(scores):
        at = min(k, MOST_PAIRS)
        slot[at], pair[at, P_SCORE] = k, score
        if k >= MOST_PAIRS:
            _outdo_1(0, MOST_PAIRS, slot, pair)
    assert sorted(pair[:MOST_PAIRS, P_SCORE].tolist()) == sorted(scores)[-MOST_PAIRS:]
    assert scores[slot[:MOST_PAIRS]].tolist() == pair[:MOST_PAIRS, P_SCORE].tolist()
