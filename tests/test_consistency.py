"""Faults of a radar are told apart by its plots, and nothing is called a fault that is only quiet."""

from __future__ import annotations

from itertools import count as count_from

import numpy as np

from fusion.bias.consistency import V_AGREE, Consistency, Fault
from fusion.bias.traffic import HELD, TURN_BINS
from fusion.filters.params import M_A, M_B
from fusion.kernels import Rec

SEEDS = count_from(1)
PERIOD_US = 4_000_000
TURNS = count_from(1)
NO_PAIRS = np.empty((0, 16))
NO_BIAS = np.zeros(4)
NOBODY = np.empty(0, np.int64)


def note(votes: Consistency, range_m: np.ndarray, azimuth: np.ndarray) -> None:
    """Plots (n,) at these places, a period after the last."""
    plots: Rec = np.zeros(len(range_m), HELD)
    plots["t_us"] = next(TURNS) * PERIOD_US
    plots["row"][:, M_A], plots["row"][:, M_B] = range_m, azimuth
    votes.note_plots(0, plots, np.arange(len(plots)), PERIOD_US)


def scans(votes: Consistency, count: int, turn: np.ndarray, agree: float) -> None:
    """So many periods, each with these votes and 30 new plots."""
    luck = np.random.default_rng(next(SEEDS))  # other plots in every scan
    for _ in range(count):
        votes.fade(0, 1.0, True)
        note(votes, luck.uniform(1e4, 2e5, 30), luck.uniform(0.0, 6.0, 30))
        votes.note_pairs(0, turn, NO_PAIRS, NO_BIAS, 1.0, NOBODY)
        votes.votes[0, V_AGREE] += agree
        votes.judge(0, True, 0.0)


def at(degrees: int, pairs: float) -> np.ndarray:
    """Votes for one turn."""
    turn = np.zeros(TURN_BINS)
    turn[degrees % TURN_BINS] = pairs
    return turn


def test_a_turned_north_mark_is_flagged_and_forgiven() -> None:
    votes = Consistency(1)
    scans(votes, 5, at(0, 12.0), 12.0)
    assert votes.believed()[0]
    scans(votes, 2, at(-90, 12.0), 0.0)
    assert votes.fault[0] == Fault.NORTH and "-90 deg" in votes.words(0)
    scans(votes, 3, at(0, 12.0), 12.0)
    assert votes.believed()[0]


def test_chance_pairs_all_around_are_no_turn() -> None:
    votes = Consistency(1)
    luck = np.random.default_rng(5)
    for _ in range(60):
        scans(votes, 1, luck.poisson(0.3, TURN_BINS).astype(float), 5.0)
        assert votes.believed()[0]


def test_plots_that_fit_nothing_any_more_are_lost_and_silence_is_not() -> None:
    lost, silent = Consistency(1), Consistency(1)
    lost.expected[:] = silent.expected[:] = 10
    for votes in (lost, silent):
        scans(votes, 5, at(0, 10.0), 10.0)
    scans(lost, 8, np.zeros(TURN_BINS), 0.0)
    for _ in range(8):
        silent.fade(0, 1.0, True)
        silent.judge(0, True, 0.0)
    assert lost.fault[0] == Fault.LOST and "10 aircraft" in lost.words(0)
    assert silent.fault[0] == Fault.NONE


def test_repeated_plots_are_frozen_and_a_few_fixed_echoes_are_not() -> None:
    luck = np.random.default_rng(6)
    fixed = luck.uniform(1e4, 2e5, 8), luck.uniform(0.0, 6.0, 8)
    votes = Consistency(1)
    for _ in range(10):
        votes.fade(0, 1.0, False)
        note(votes, *(np.concatenate([f, luck.uniform(1.0, 6.0, 12)]) for f in fixed))
        votes.judge(0, False, 0.0)
        assert votes.believed()[0]
    for _ in range(3):
        votes.fade(0, 1.0, False)
        note(votes, *fixed)
        votes.judge(0, False, 0.0)
    assert votes.fault[0] == Fault.FROZEN and "repeats" in votes.words(0)


def test_a_coarse_radar_that_sees_mostly_fixed_echoes_is_not_frozen_in_half_an_hour() -> None:
    luck = np.random.default_rng(7)
    range_m, azimuth = luck.uniform(5e3, 1e5, 150), luck.uniform(0.0, 6.2, 150)
    step_m, step_rad = 60.0, np.radians(0.088)
    votes = Consistency(1)
    for _ in range(450):
        votes.fade(0, 1.0, False)
        seen = luck.random(150) < 0.9
        noisy = range_m[seen] + luck.normal(0.0, 40.0, seen.sum()), azimuth[seen] + luck.normal(0.0, 0.001, seen.sum())
        moving = luck.uniform(5e3, 1e5, 20), luck.uniform(0.0, 6.2, 20)
        r, a = (np.concatenate([n, m]) for n, m in zip(noisy, moving, strict=True))
        note(votes, np.round(r / step_m) * step_m, np.round(a / step_rad) * step_rad)
        votes.judge(0, False, 0.0)
        assert votes.believed()[0]


def test_a_snapshot_holds_every_vote() -> None:
    votes, other = Consistency(1), Consistency(1)
    scans(votes, 3, at(40, 9.0), 2.0)
    other.restore(votes.snapshot())
    one, two = votes.snapshot(), other.snapshot()
    assert all(np.array_equal(one[name], two[name]) for name in one if name != "keys")
    assert one["keys"].keys() == two["keys"].keys() == {0}
    assert np.array_equal(one["keys"][0], two["keys"][0])
