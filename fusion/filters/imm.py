"""The default filter: three models in ECEF (see params.py for the mathematics) as compiled loops without allocation.

One track is one row of STATE float64: probabilities of the models, their means, their covariances as packed upper
triangles (row after row). Packed, because a track is copied, stored and mixed far more often than it is looked at.
Nothing depends on any other track, so the answer is the same bit for bit in every batch size and order.
The oracle is filters/reference.py; the two agree to 1e-9 per step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bare import BARE, FAR
from fusion.filters.measure import LIN, linearise_1
from fusion.filters.models import (
    COV,
    LEAST_WEIGHT,
    LEAVE,
    LOG,
    LOG_2PI,
    MEAN,
    NIS,
    QH,
    QV,
    STATE,
    TAU,
    TRIANGLE,
    WORK,
    X,
    gather_3,
    motion_1,
    predict_3,
    spread_3,
    stay_1,
    update_3,
)
from fusion.filters.params import MODELS, ImmParams
from fusion.geo import up_1
from fusion.schema import F8


def imm_table(params: ImmParams) -> F8:
    """The parameters as float64[TABLE]."""
    leave = [p for row in params.leave for p in row]
    return np.array(
        [*params.tau_s, *params.q_horizontal, *params.q_vertical, *params.stay_s, *leave, *params.start], np.float64
    )


@njit("void(float64[::1], int64, float64[::1], float64, float64[::1], int64, float64[::1])",
      cache=True, nogil=True, **BARE)  # fmt: skip
def predict_1(s: F8, so: int, table: F8, dt_s: float, out: F8, oo: int, w: F8) -> None:
    """Mix and move all three models of s[so:] by dt_s into out[oo:]."""
    predict_3(s, so, table, dt_s, w)
    spread_3(w, out, oo)


@njit(
    "UniTuple(float64, 4)(float64[::1], int64, float64[::1], int64, float64[:, ::1], float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def update_1(s: F8, so: int, r: F8, ro: int, sites: F8, w: F8) -> tuple[float, float, float, float]:
    """As `update_3`, of the state s[so:] in place."""
    gather_3(s, so, w)
    told = update_3(r, ro, sites, w)
    spread_3(w, s, so)
    return told


@njit("UniTuple(float64, 2)(UniTuple(float64, 6), float64[::1], int64)", cache=True, nogil=True, **BARE)
def fit_1(place: tuple[float, ...], w: F8, n: int) -> tuple[float, float]:
    """As `correct_1` for n components of place alone, of a model whose covariance of place is given, packed; nothing is
    updated."""
    p00, p01, p02, p11, p12, p22 = place
    y0 = 0.0
    y1 = 0.0
    y2 = 0.0
    nis = 0.0
    volume = 1.0
    for o in range(0, LIN * n, LIN):
        h0 = w[o + 1]
        h1 = w[o + 2]
        h2 = w[o + 3]
        g0 = p00 * h0 + p01 * h1 + p02 * h2
        g1 = p01 * h0 + p11 * h1 + p12 * h2
        g2 = p02 * h0 + p12 * h1 + p22 * h2
        var = max(h0 * g0 + h1 * g1 + h2 * g2, 0.0) + w[o + 5]
        nu = w[o + 4] - h0 * y0 - h1 * y1 - h2 * y2
        volume *= var
        one = 1.0 / var
        nis += nu * nu * one
        k0, k1, k2 = g0 * one, g1 * one, g2 * one
        y0 += k0 * nu
        y1 += k1 * nu
        y2 += k2 * nu
        p00 -= k0 * g0
        p01 -= k0 * g1
        p02 -= k0 * g2
        p11 -= k1 * g1
        p12 -= k1 * g2
        p22 -= k2 * g2
    return -0.5 * (n * LOG_2PI + math.log(volume) + nis), nis


@njit(
    "UniTuple(float64, 4)(float64[::1], int64, float64[::1], float64, float64[::1], int64, float64[:, ::1], "
    "float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def glance_1(
    s: F8, so: int, table: F8, dt_s: float, r: F8, ro: int, sites: F8, w: F8
) -> tuple[float, float, float, float]:
    """How well a row r[ro:] that measures place only fits the state s[so:] carried over dt_s: as `update_1`, but the
    state is not touched.

    `anchor_1` of the same row came before, once for all states. The models are not mixed first, which the likelihood of
    a mixture does not need, and only the 3 x 3 covariance of place is carried: a tenth of the work of an update, for
    the many pairs that association looks at.
    """
    assert 0 <= so < FAR and 0 <= ro < FAR
    stay0, stay1, stay2 = stay_1(table, dt_s)
    best = -math.inf
    nearest = math.inf
    n = 0
    for j in range(MODELS):
        weight = s[so] * (stay0 if j == 0 else (1.0 - stay0) * table[LEAVE + j])
        weight += s[so + 1] * (stay1 if j == 1 else (1.0 - stay1) * table[LEAVE + 3 + j])
        weight += s[so + 2] * (stay2 if j == 2 else (1.0 - stay2) * table[LEAVE + 6 + j])
        m = so + MEAN + 6 * j
        p = so + COV + TRIANGLE * j
        a, _, s_pp, _, _ = motion_1(table[TAU + j], dt_s)
        for i in range(3):
            w[X + i] = s[m + i] + a * s[m + 3 + i]
            w[X + 3 + i] = s[m + 3 + i]
        ux, uy, uz = up_1(w[X], w[X + 1], w[X + 2])
        q_h = s_pp * table[QH + j]
        q = s_pp * table[QV + j] - q_h
        aa = a * a
        p00 = s[p] + 2.0 * a * s[p + 3] + aa * s[p + 15] + q_h + q * ux * ux
        p01 = s[p + 1] + a * (s[p + 4] + s[p + 8]) + aa * s[p + 16] + q * ux * uy
        p02 = s[p + 2] + a * (s[p + 5] + s[p + 12]) + aa * s[p + 17] + q * ux * uz
        p11 = s[p + 6] + 2.0 * a * s[p + 9] + aa * s[p + 18] + q_h + q * uy * uy
        p12 = s[p + 7] + a * (s[p + 10] + s[p + 13]) + aa * s[p + 19] + q * uy * uz
        p22 = s[p + 11] + 2.0 * a * s[p + 14] + aa * s[p + 20] + q_h + q * uz * uz
        n = linearise_1(r, ro, sites, w, X, w, 0)
        log_l, nis = fit_1((p00, p01, p02, p11, p12, p22), w, n)
        w[LOG + j] = log_l + math.log(max(weight, LEAST_WEIGHT))
        w[NIS + j] = nis
        best = max(best, w[LOG + j])
        nearest = min(nearest, nis)
    total = 0.0
    booked = 0.0
    for j in range(MODELS):
        share = math.exp(w[LOG + j] - best)
        total += share
        booked += share * w[NIS + j]
    return best + math.log(total), nearest, float(n), booked / total


@njit("void(float64[::1], int64, float64[::1], int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def combine_1(s: F8, so: int, x: F8, xo: int, p: F8, po: int) -> None:
    """Moments of the mixture s[so:] into x[xo:] (6) and, packed, p[po:] (TRIANGLE)."""
    assert 0 <= so < FAR and 0 <= xo < FAR and 0 <= po < FAR
    for a in range(6):
        m = so + MEAN + a
        x[xo + a] = s[so] * s[m] + s[so + 1] * s[m + 6] + s[so + 2] * s[m + 12]
    k = 0
    for a in range(6):
        for b in range(a, 6):
            total = 0.0
            for j in range(MODELS):
                m = so + MEAN + 6 * j
                apart = (s[m + a] - x[xo + a]) * (s[m + b] - x[xo + b])
                total += s[so + j] * (s[so + COV + TRIANGLE * j + k] + apart)
            p[po + k] = total
            k += 1


@njit("void(float64[::1], float64[:, ::1])", cache=True, nogil=True, **BARE)
def unpack_1(p: F8, full: F8) -> None:
    """A packed covariance (TRIANGLE,) as a matrix (6, 6)."""
    k = 0
    for a in range(6):
        for b in range(a, 6):
            full[a, b] = p[k]
            full[b, a] = p[k]
            k += 1


class Imm:
    """One track's filter for those who want one: tests, benchmarks, the oracle's counterpart."""

    def __init__(self, x: F8, cov: F8, params: ImmParams) -> None:
        self.table = imm_table(params)
        triangle = np.asarray(cov, np.float64)[np.triu_indices(6)]
        self.state = np.concatenate(
            [params.start, np.tile(np.asarray(x, np.float64), MODELS), np.tile(triangle, MODELS)]
        )
        self._work = np.empty(WORK)

    def predict(self, dt_s: float) -> None:
        """Mix and move by dt_s seconds."""
        out = np.empty(STATE)
        predict_1(self.state, 0, self.table, dt_s, out, 0, self._work)
        self.state = out

    def update(self, row: F8, sites: F8) -> float:
        """Fuse one measurement row (ROW,); returns its log-likelihood."""
        return float(update_1(self.state, 0, row, 0, sites, self._work)[0])

    @property
    def mode(self) -> F8:
        """Probabilities of the models (3,)."""
        return self.state[:MODELS]

    @property
    def xs(self) -> F8:
        """The models' means (3, 6)."""
        return self.state[MEAN:COV].reshape(MODELS, 6)

    @property
    def Ps(self) -> F8:  # noqa: N802 - the name of the literature
        """The models' covariances (3, 6, 6)."""
        full = np.empty((MODELS, 6, 6))
        for j in range(MODELS):
            unpack_1(self.state[COV + TRIANGLE * j : COV + TRIANGLE * (j + 1)], full[j])
        return full

    def combined(self) -> tuple[F8, F8]:
        """State (6,) and covariance (6, 6) of the mixture."""
        x, triangle, cov = np.empty(6), np.empty(TRIANGLE), np.empty((6, 6))
        combine_1(self.state, 0, x, 0, triangle, 0)
        unpack_1(triangle, cov)
        return x, cov
