"""Lanes round as the scalar operations do, each for itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit

from fusion.filters.lanes import all_sound, apart, lanes, load, positive, store, where_sound
from fusion.schema import F8


@njit("void(float64[::1], float64[::1], float64, float64[::1])")
def _all(a: F8, b: F8, c: float, out: F8) -> None:
    x, y = load(a, 0), lanes(b[0], b[1], b[2])
    store(out, 0, x + y)
    store(out, 4, x - y)
    store(out, 8, x * y)
    store(out, 12, x / y)
    store(out, 16, c - x * c)
    store(out, 20, math.sqrt(y))
    store(out, 24, positive(x))
    out[28], out[29], out[30] = apart(y)


@njit("boolean(float64[::1], float64[::1], float64[::1])")
def _sound(var: F8, nu: F8, out: F8) -> bool:
    v, n = load(var, 0), load(nu, 0)
    store(out, 0, where_sound(v, n, v, -1.0))
    return bool(all_sound(v, n))


def test_every_lane_is_rounded_as_the_scalar_operation() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        a, b, c = rng.normal(0.0, 1e3, 4), rng.uniform(1e-9, 1e7, 4), float(rng.normal())
        b[3] = b[0]  # the fourth lane repeats the first
        out = np.empty(31)
        _all(a, b, c, out)
        with np.errstate(all="raise"):
            expected = [a + b, a - b, a * b, a / b, c - a * c, np.sqrt(b), np.maximum(a, 0.0)]
        assert (out[:28] == np.concatenate(expected)).all()
        assert (out[28:] == b[:3]).all()


@pytest.mark.parametrize(
    "bad", [(math.nan, 1.0), (math.inf, 1.0), (0.0, 1.0), (-1.0, 1.0), (1.0, math.nan), (1.0, -math.inf)]
)
@pytest.mark.parametrize("lane", range(4))
def test_a_lane_without_meaning_is_told_from_the_others(bad: tuple[float, float], lane: int) -> None:
    var, nu, out = np.array([2.0, 3.0, 4.0, 2.0]), np.array([-1.0, 0.0, 7.0, -1.0]), np.empty(4)
    assert _sound(var, nu, out)
    assert (out == var).all()
    var[lane], nu[lane] = bad
    assert not _sound(var, nu, out)
    expected = np.array([2.0, 3.0, 4.0, 2.0])
    expected[lane] = -1.0
    assert (out == expected).all()
