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

from fusion.bare import BARE
from fusion.filters.measure import LIN, SCRATCH, anchor_1, linearise_1
from fusion.filters.params import MODELS, ImmParams
from fusion.geo import up_1
from fusion.schema import F8

# The parameters as one row for compiled code: tau, q horizontal, q vertical, stay (3 each), leave (9), start (3).
TAU, QH, QV, STAY, LEAVE, START, TABLE = 0, 3, 6, 9, 12, 21, 24

TRIANGLE = 21  # entries of a packed 6 x 6 covariance: (a, b) with b >= a stands at a * 6 - a * (a - 1) / 2 + b - a
MODE, MEAN, COV = 0, MODELS, MODELS + 6 * MODELS  # where they begin in a state
STATE = COV + TRIANGLE * MODELS
VELOCITY = 15  # of a packed covariance: its last six entries are those of the velocity

# The scratch `w`: components and anchor of measure.py, the models' log-likelihoods, their NIS, a place and velocity.
_LOG = SCRATCH
_NIS = _LOG + MODELS
_X = _NIS + MODELS
WORK = _X + 6
LEAST_WEIGHT = 1e-300  # of a model: smaller is nothing
LOG_2PI = math.log(2.0 * math.pi)


def imm_table(params: ImmParams) -> F8:
    """The parameters as float64[TABLE]."""
    leave = [p for row in params.leave for p in row]
    return np.array(
        [*params.tau_s, *params.q_horizontal, *params.q_vertical, *params.stay_s, *leave, *params.start], np.float64
    )


@njit("UniTuple(float64, 3)(float64[::1], float64)", cache=True, nogil=True, **BARE)
def _stay_1(table: F8, dt_s: float) -> tuple[float, float, float]:
    dt = abs(dt_s)
    return math.exp(-dt / table[STAY]), math.exp(-dt / table[STAY + 1]), math.exp(-dt / table[STAY + 2])


@njit("void(float64[::1], int64, float64[::1], float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def mix_1(s: F8, so: int, table: F8, dt_s: float, out: F8, oo: int) -> None:
    """IMM mixing of the state s[so:] over |dt_s| into out[oo:], another place: each model's start from all three
    (Blom and Bar-Shalom 1988)."""
    stay0, stay1, stay2 = _stay_1(table, dt_s)
    for j in range(MODELS):
        f0 = s[so] * (stay0 if j == 0 else (1.0 - stay0) * table[LEAVE + j])
        f1 = s[so + 1] * (stay1 if j == 1 else (1.0 - stay1) * table[LEAVE + 3 + j])
        f2 = s[so + 2] * (stay2 if j == 2 else (1.0 - stay2) * table[LEAVE + 6 + j])
        total = f0 + f1 + f2
        out[oo + j] = total
        m = oo + MEAN + 6 * j
        k = oo + COV + TRIANGLE * j
        if total <= 0.0:  # nothing flows here (dt = 0 and a mode of no probability): keep the model as it is
            for a in range(6):
                out[m + a] = s[so + MEAN + 6 * j + a]
            for a in range(TRIANGLE):
                out[k + a] = s[so + COV + TRIANGLE * j + a]
            continue
        w0 = f0 / total
        w1 = f1 / total
        w2 = f2 / total
        for a in range(6):
            out[m + a] = w0 * s[so + MEAN + a] + w1 * s[so + MEAN + 6 + a] + w2 * s[so + MEAN + 12 + a]
        c = 0
        for a in range(6):
            d0 = w0 * (s[so + MEAN + a] - out[m + a])
            d1 = w1 * (s[so + MEAN + 6 + a] - out[m + a])
            d2 = w2 * (s[so + MEAN + 12 + a] - out[m + a])
            for b in range(a, 6):
                e = out[m + b]
                within = w0 * s[so + COV + c] + w1 * s[so + COV + TRIANGLE + c] + w2 * s[so + COV + 2 * TRIANGLE + c]
                apart = d0 * (s[so + MEAN + b] - e) + d1 * (s[so + MEAN + 6 + b] - e) + d2 * (s[so + MEAN + 12 + b] - e)
                out[k + c] = within + apart
                c += 1


@njit("UniTuple(float64, 5)(float64, float64)", cache=True, nogil=True, **BARE)
def motion_1(tau_s: float, dt_s: float) -> tuple[float, float, float, float, float]:
    """(a, b, s_pp, s_pv, s_vv) of one model over dt; backwards (dt < 0) every model keeps its velocity."""
    if math.isinf(tau_s) or dt_s < 0.0:
        t = abs(dt_s)
        return dt_s, 1.0, t * t * t / 3.0, 0.5 * dt_s * t, t
    b = math.exp(-dt_s / tau_s)
    a = tau_s * (1.0 - b)
    s_pp = tau_s * tau_s * (dt_s - 2.0 * a + 0.5 * tau_s * (1.0 - b * b))
    return a, b, s_pp, 0.5 * tau_s * tau_s * (1.0 - b) * (1.0 - b), 0.5 * tau_s * (1.0 - b * b)


@njit("void(float64[::1], int64, int64, float64, float64, float64, float64)", cache=True, nogil=True, **BARE)
def move_1(s: F8, m: int, p: int, tau_s: float, q_h: float, q_v: float, dt_s: float) -> None:
    """Predict one model in place: mean (6) at s[m:], packed covariance at s[p:]."""
    a, b, s_pp, s_pv, s_vv = motion_1(tau_s, dt_s)
    ux, uy, uz = up_1(s[m], s[m + 1], s[m + 2])
    for i in range(3):
        s[m + i] += a * s[m + 3 + i]
        s[m + 3 + i] *= b
    q = q_v - q_h
    d00 = q_h + q * ux * ux
    d01 = q * ux * uy
    d02 = q * ux * uz
    d11 = q_h + q * uy * uy
    d12 = q * uy * uz
    d22 = q_h + q * uz * uz
    v00, v01, v02, v11, v12, v22 = s[p + 15], s[p + 16], s[p + 17], s[p + 18], s[p + 19], s[p + 20]
    aa = a * a
    s[p] += 2.0 * a * s[p + 3] + aa * v00 + s_pp * d00
    s[p + 1] += a * (s[p + 4] + s[p + 8]) + aa * v01 + s_pp * d01
    s[p + 2] += a * (s[p + 5] + s[p + 12]) + aa * v02 + s_pp * d02
    s[p + 6] += 2.0 * a * s[p + 9] + aa * v11 + s_pp * d11
    s[p + 7] += a * (s[p + 10] + s[p + 13]) + aa * v12 + s_pp * d12
    s[p + 11] += 2.0 * a * s[p + 14] + aa * v22 + s_pp * d22
    s[p + 3] = b * (s[p + 3] + a * v00) + s_pv * d00
    s[p + 4] = b * (s[p + 4] + a * v01) + s_pv * d01
    s[p + 5] = b * (s[p + 5] + a * v02) + s_pv * d02
    s[p + 8] = b * (s[p + 8] + a * v01) + s_pv * d01
    s[p + 9] = b * (s[p + 9] + a * v11) + s_pv * d11
    s[p + 10] = b * (s[p + 10] + a * v12) + s_pv * d12
    s[p + 12] = b * (s[p + 12] + a * v02) + s_pv * d02
    s[p + 13] = b * (s[p + 13] + a * v12) + s_pv * d12
    s[p + 14] = b * (s[p + 14] + a * v22) + s_pv * d22
    bb = b * b
    s[p + 15] = bb * v00 + s_vv * d00
    s[p + 16] = bb * v01 + s_vv * d01
    s[p + 17] = bb * v02 + s_vv * d02
    s[p + 18] = bb * v11 + s_vv * d11
    s[p + 19] = bb * v12 + s_vv * d12
    s[p + 20] = bb * v22 + s_vv * d22


@njit("void(float64[::1], int64, float64[::1], float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def predict_1(s: F8, so: int, table: F8, dt_s: float, out: F8, oo: int) -> None:
    """Mix and move all three models of s[so:] by dt_s into out[oo:] (another place)."""
    mix_1(s, so, table, dt_s, out, oo)
    for j in range(MODELS):
        m = oo + MEAN + 6 * j
        p = oo + COV + TRIANGLE * j
        move_1(out, m, p, table[TAU + j], table[QH + j], table[QV + j], dt_s)


@njit("UniTuple(float64, 2)(float64[::1], int64, int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def correct_1(s: F8, m: int, p: int, w: F8, n: int) -> tuple[float, float]:
    """Joint update of one model in place, mean at s[m:], covariance at s[p:], by the n components in w, one scalar at a
    time (equal to the joint one, as their errors are independent).

    Returns (log-likelihood, normalised innovation squared).
    """
    x0, x1, x2, x3, x4, x5 = s[m], s[m + 1], s[m + 2], s[m + 3], s[m + 4], s[m + 5]
    nis = 0.0
    volume = 1.0
    used = 0
    for o in range(0, LIN * n, LIN):
        h0 = w[o + 1]
        h1 = w[o + 2]
        h2 = w[o + 3]
        if w[o] == 0.0:
            g0 = s[p] * h0 + s[p + 1] * h1 + s[p + 2] * h2
            g1 = s[p + 1] * h0 + s[p + 6] * h1 + s[p + 7] * h2
            g2 = s[p + 2] * h0 + s[p + 7] * h1 + s[p + 11] * h2
            g3 = s[p + 3] * h0 + s[p + 8] * h1 + s[p + 12] * h2
            g4 = s[p + 4] * h0 + s[p + 9] * h1 + s[p + 13] * h2
            g5 = s[p + 5] * h0 + s[p + 10] * h1 + s[p + 14] * h2
            s_hat = h0 * g0 + h1 * g1 + h2 * g2
            nu = w[o + 4] - h0 * (s[m] - x0) - h1 * (s[m + 1] - x1) - h2 * (s[m + 2] - x2)
        else:
            g0 = s[p + 3] * h0 + s[p + 4] * h1 + s[p + 5] * h2
            g1 = s[p + 8] * h0 + s[p + 9] * h1 + s[p + 10] * h2
            g2 = s[p + 12] * h0 + s[p + 13] * h1 + s[p + 14] * h2
            g3 = s[p + 15] * h0 + s[p + 16] * h1 + s[p + 17] * h2
            g4 = s[p + 16] * h0 + s[p + 18] * h1 + s[p + 19] * h2
            g5 = s[p + 17] * h0 + s[p + 19] * h1 + s[p + 20] * h2
            s_hat = h0 * g3 + h1 * g4 + h2 * g5
            nu = w[o + 4] - h0 * (s[m + 3] - x3) - h1 * (s[m + 4] - x4) - h2 * (s[m + 5] - x5)
        # Never below the measurement's own variance, whatever rounding has done to the covariance.
        var = max(s_hat, 0.0) + w[o + 5]
        if not (var > 0.0 and math.isfinite(var) and math.isfinite(nu)):
            continue  # a geometry without meaning, such as the bearing to the antenna itself, says nothing
        used += 1
        volume *= var
        one = 1.0 / var
        nis += nu * nu * one
        k0, k1, k2, k3, k4, k5 = g0 * one, g1 * one, g2 * one, g3 * one, g4 * one, g5 * one
        s[m] += k0 * nu
        s[m + 1] += k1 * nu
        s[m + 2] += k2 * nu
        s[m + 3] += k3 * nu
        s[m + 4] += k4 * nu
        s[m + 5] += k5 * nu
        s[p] -= k0 * g0
        s[p + 1] -= k0 * g1
        s[p + 2] -= k0 * g2
        s[p + 3] -= k0 * g3
        s[p + 4] -= k0 * g4
        s[p + 5] -= k0 * g5
        s[p + 6] -= k1 * g1
        s[p + 7] -= k1 * g2
        s[p + 8] -= k1 * g3
        s[p + 9] -= k1 * g4
        s[p + 10] -= k1 * g5
        s[p + 11] -= k2 * g2
        s[p + 12] -= k2 * g3
        s[p + 13] -= k2 * g4
        s[p + 14] -= k2 * g5
        s[p + 15] -= k3 * g3
        s[p + 16] -= k3 * g4
        s[p + 17] -= k3 * g5
        s[p + 18] -= k4 * g4
        s[p + 19] -= k4 * g5
        s[p + 20] -= k5 * g5
    return -0.5 * (used * LOG_2PI + math.log(volume) + nis), nis


@njit(
    "UniTuple(float64, 4)(float64[::1], int64, float64[::1], int64, float64[:, ::1], float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def update_1(s: F8, so: int, r: F8, ro: int, sites: F8, w: F8) -> tuple[float, float, float, float]:
    """Update the predicted models s[so:] and their probabilities in place by the measurement row r[ro:].

    Returns (log-likelihood of the mixture, smallest NIS, components, NIS to book). The smallest NIS gates: a plot
    belongs if any model explains it. It would flatter the statistics, so those get the mean over the models by how
    probable each is after the plot.
    """
    n = 0
    best = -math.inf
    nearest = math.inf
    anchor_1(r, ro, w)
    for j in range(MODELS):
        m = so + MEAN + 6 * j
        n = linearise_1(r, ro, sites, s, m, w)
        log_l, nis = correct_1(s, m, so + COV + TRIANGLE * j, w, n)
        # With the model's own weight in it: else a model of no weight could make all the others vanish.
        w[_LOG + j] = log_l + math.log(max(s[so + j], LEAST_WEIGHT))
        w[_NIS + j] = nis
        best = max(best, w[_LOG + j])
        nearest = min(nearest, nis)
    total = 0.0
    for j in range(MODELS):
        s[so + j] = math.exp(w[_LOG + j] - best)
        total += s[so + j]
    booked = 0.0
    for j in range(MODELS):
        s[so + j] /= total
        booked += s[so + j] * w[_NIS + j]
    return best + math.log(total), nearest, float(n), booked


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

    The models are not mixed first, which the likelihood of a mixture does not need, and only the 3 x 3 covariance of
    place is carried: a tenth of the work of an update, for the many pairs that association looks at.
    """
    stay0, stay1, stay2 = _stay_1(table, dt_s)
    anchor_1(r, ro, w)
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
            w[_X + i] = s[m + i] + a * s[m + 3 + i]
            w[_X + 3 + i] = s[m + 3 + i]
        ux, uy, uz = up_1(w[_X], w[_X + 1], w[_X + 2])
        q_h = s_pp * table[QH + j]
        q = s_pp * table[QV + j] - q_h
        aa = a * a
        p00 = s[p] + 2.0 * a * s[p + 3] + aa * s[p + 15] + q_h + q * ux * ux
        p01 = s[p + 1] + a * (s[p + 4] + s[p + 8]) + aa * s[p + 16] + q * ux * uy
        p02 = s[p + 2] + a * (s[p + 5] + s[p + 12]) + aa * s[p + 17] + q * ux * uz
        p11 = s[p + 6] + 2.0 * a * s[p + 9] + aa * s[p + 18] + q_h + q * uy * uy
        p12 = s[p + 7] + a * (s[p + 10] + s[p + 13]) + aa * s[p + 19] + q * uy * uz
        p22 = s[p + 11] + 2.0 * a * s[p + 14] + aa * s[p + 20] + q_h + q * uz * uz
        n = linearise_1(r, ro, sites, w, _X, w)
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
            y0 += g0 * one * nu
            y1 += g1 * one * nu
            y2 += g2 * one * nu
            p00 -= g0 * one * g0
            p01 -= g0 * one * g1
            p02 -= g0 * one * g2
            p11 -= g1 * one * g1
            p12 -= g1 * one * g2
            p22 -= g2 * one * g2
        log_l = -0.5 * (n * LOG_2PI + math.log(volume) + nis)
        w[_LOG + j] = log_l + math.log(max(weight, LEAST_WEIGHT))
        w[_NIS + j] = nis
        best = max(best, w[_LOG + j])
        nearest = min(nearest, nis)
    total = 0.0
    booked = 0.0
    for j in range(MODELS):
        share = math.exp(w[_LOG + j] - best)
        total += share
        booked += share * w[_NIS + j]
    return best + math.log(total), nearest, float(n), booked / total


@njit("void(float64[::1], int64, float64[::1], int64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def combine_1(s: F8, so: int, x: F8, xo: int, p: F8, po: int) -> None:
    """Moments of the mixture s[so:] into x[xo:] (6) and, packed, p[po:] (TRIANGLE)."""
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
        predict_1(self.state, 0, self.table, dt_s, out, 0)
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
