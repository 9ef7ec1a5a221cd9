"""The vote and the fit against what scipy and numpy say, and with false pairs among the true."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from fusion.bias.biasfit import CHANCE, GAIN, N_CLAIMS, OFFSET, SPREAD, STATS, TAU, TURN, fit_1, heap_1, level_1, vote_1
from fusion.bias.traffic import (
    P_AZDOT,
    P_DAZ,
    P_DR,
    P_PLOT,
    P_R,
    P_RDOT,
    P_SLOT,
    P_T,
    P_VAZ,
    P_VC,
    P_VR,
    PAIR,
)

WINDOW = np.array([4_000.0, 0.07])
CELL = np.array([150.0, 0.0035])
WIDE = np.array([1e6, 1e2, 1e2, 1e4])  # priors that say nothing
TRUE = np.array([300.0, 3e-4, 0.0087, 0.4])


def pairs(n: int, false: int, seed: int = 1) -> np.ndarray:
    """True pairs of `n` plots of 20 aircraft and false ones all over the window."""
    luck = np.random.default_rng(seed)
    out = np.zeros((n + false, PAIR))
    total = n + false
    out[:, P_T], out[:, P_PLOT] = np.arange(total) * 1e5, np.arange(total)
    out[:, P_SLOT] = luck.integers(0, 20, total)
    out[:, P_R], out[:, P_RDOT] = luck.uniform(2e4, 2e5, total), luck.uniform(-200, 200, total)
    out[:, P_AZDOT] = luck.normal(0.0, 1e-3, total)
    out[:, P_VR], out[:, P_VAZ], out[:, P_VC] = 60.0**2, 0.00175**2, 100.0
    out[:, P_DR] = TRUE[OFFSET] + TRUE[GAIN] * out[:, P_R] - TRUE[TAU] * out[:, P_RDOT] + luck.normal(0, 60.0, total)
    out[:, P_DAZ] = TRUE[TURN] - TRUE[TAU] * out[:, P_AZDOT] + luck.normal(0, 0.00175, total)
    wrong = luck.permutation(total)[:false]
    out[wrong, P_DR], out[wrong, P_DAZ] = luck.uniform(-4e3, 4e3, false), luck.uniform(-0.07, 0.07, false)
    return out


@pytest.mark.parametrize(("mean", "cells"), [(0.01, 1000), (0.4, 1000), (3.0, 2000), (40.0, 500)])
def test_a_heap_is_as_large_as_the_poisson_law_asks(mean: float, cells: float) -> None:
    need = heap_1(mean, cells)
    assert poisson.sf(need - 1, mean) * cells <= CHANCE
    assert need == 4 or poisson.sf(need - 2, mean) * cells > CHANCE


def test_the_vote_finds_the_bias_among_ten_times_as_many_false_pairs() -> None:
    heap = np.empty(8)
    vote_1(pairs(40, 400), -np.inf, WINDOW, CELL, heap)
    assert abs(heap[0] - 330.0) < 150.0 and abs(heap[1] - TRUE[TURN]) < 0.0035
    assert heap[2] > heap[3] and heap[2] > 2.0 * heap[4]


def test_false_pairs_alone_convince_nobody() -> None:
    heap = np.empty(8)
    for seed in range(20):
        vote_1(pairs(0, 400, seed), -np.inf, WINDOW, CELL, heap)
        assert heap[2] < heap[3]


def fitted(given: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, cov, stats = np.array([330.0, 0.0, 0.0087, 0.0]), np.empty((4, 4)), np.empty(STATS)
    fit_1(given, -np.inf, x, prior, CELL, 0, cov, np.empty(len(given), np.int64), stats)
    return x, cov, stats


def test_the_fit_is_weighted_least_squares_when_no_pair_is_far_off() -> None:
    given = pairs(300, 0)
    middle = np.abs(given[:, P_DR] - 300.0 - 3e-4 * given[:, P_R] + 0.4 * given[:, P_RDOT]) < 120.0
    middle &= np.abs(given[:, P_DAZ] - TRUE[TURN] + 0.4 * given[:, P_AZDOT]) < 0.0026
    given = np.ascontiguousarray(given[middle])
    x, cov, stats = fitted(given, WIDE)
    n = len(given)
    zero, one = np.zeros(n), np.ones(n)
    along = np.stack([one, given[:, P_R], zero, -given[:, P_RDOT]], axis=1) / 60.0
    across = np.stack([zero, zero, one, -given[:, P_AZDOT]], axis=1) / 0.00175
    h = np.concatenate([along, across])
    y = np.concatenate([given[:, P_DR] / 60.0, given[:, P_DAZ] / 0.00175])
    expected, *_ = np.linalg.lstsq(h, y, rcond=None)
    sigma = np.sqrt(np.diag(np.linalg.inv(h.T @ h)))
    assert (np.abs(x - expected) < 0.5 * sigma).all()  # Student weights differ from one a little
    assert np.allclose(np.sqrt(np.diag(cov)), sigma, rtol=0.15)
    assert stats[N_CLAIMS] == 20.0 and 0.3 < stats[SPREAD] < 1.2


def test_false_pairs_do_not_pull_the_fit() -> None:
    x, cov, _ = fitted(pairs(300, 150), WIDE)
    assert (np.abs(x - TRUE) < 3.5 * np.sqrt(np.diag(cov))).all()


def test_what_the_pairs_do_not_show_stays_at_its_prior() -> None:
    given = pairs(50, 0)
    given[:, P_RDOT] = given[:, P_AZDOT] = 0.0
    _, cov, _ = fitted(given, np.array([1e3, 5e-4, 0.03, 0.7]))
    assert np.sqrt(cov[TAU, TAU]) == pytest.approx(0.7)


def test_a_level_is_the_mean_without_outliers() -> None:
    luck = np.random.default_rng(3)
    value = luck.normal(5.0, 2.0, 200)
    value[:10], value[10:20] = 100.0, np.nan
    mean, variance = level_1(value, np.full(200, 4.0))
    assert abs(mean - 5.0) < 0.5 and 0.1 < np.sqrt(variance) < 0.4
    none, endless = level_1(np.full(3, np.nan), np.ones(3))
    assert np.isnan(none) and np.isinf(endless)
