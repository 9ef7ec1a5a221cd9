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


@njit("UniTuple(float64, 4)(float64, float64, float64, int64)", cache=True, nogil=True, **BARE)
def _shares_1(f0: float, f1: float, f2: float, j: int) -> tuple[float, float, float, float]:
    """What flows into model j in all, and the shares of the three in it."""
    total = f0 + f1 + f2
    if total <= 0.0:  # nothing does (dt = 0 and a mode of no probability): keep the model as it is
        return total, 1.0 if j == 0 else 0.0, 1.0 if j == 1 else 0.0, 1.0 if j == 2 else 0.0
    return total, f0 / total, f1 / total, f2 / total  # the inverse of what next to nothing flows into is infinite


@njit(
    "void(float64[::1], int64, float64[::1], int64, UniTuple(float64, 9), float64, float64, float64)",
    cache=True,
    nogil=True,
    **BARE,
)
def _blend_1(s: F8, p: int, out: F8, k: int, shares: tuple[float, ...], dd: float, ee: float, de: float) -> None:
    """One entry of the three mixed covariances at out[k:], from those at s[p:]. With d and e from the first mean to the
    others the spread of the means is a (b + c) dd^T + c (a + b) ee^T - b c (de^T + ed^T), b and c shares of the others.
    """
    p0, p1, p2 = s[p], s[p + TRIANGLE], s[p + 2 * TRIANGLE]
    for j in range(MODELS):
        a, b, c = shares[3 * j], shares[3 * j + 1], shares[3 * j + 2]
        apart = b * (a + c) * dd + c * (a + b) * ee - b * c * de
        out[k + TRIANGLE * j] = a * p0 + b * p1 + c * p2 + apart


@njit("void(float64[::1], int64, float64[::1], float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def mix_1(s: F8, so: int, table: F8, dt_s: float, out: F8, oo: int) -> None:
    """IMM mixing of the state s[so:] over |dt_s| into out[oo:], another place: each model's start from all three
    (Blom and Bar-Shalom 1988)."""
    assert 0 <= so < FAR and 0 <= oo < FAR
    stay0, stay1, stay2 = _stay_1(table, dt_s)
    f0, f1, f2 = s[so], s[so + 1], s[so + 2]
    go0, go1, go2 = f0 * (1.0 - stay0), f1 * (1.0 - stay1), f2 * (1.0 - stay2)
    t0, a0, b0, c0 = _shares_1(f0 * stay0, go1 * table[LEAVE + 3], go2 * table[LEAVE + 6], 0)
    t1, a1, b1, c1 = _shares_1(go0 * table[LEAVE + 1], f1 * stay1, go2 * table[LEAVE + 7], 1)
    t2, a2, b2, c2 = _shares_1(go0 * table[LEAVE + 2], go1 * table[LEAVE + 5], f2 * stay2, 2)
    shares = (a0, b0, c0, a1, b1, c1, a2, b2, c2)
    out[oo], out[oo + 1], out[oo + 2] = t0, t1, t2
    m, n = so + MEAN, oo + MEAN
    d0, e0 = s[m + 6] - s[m], s[m + 12] - s[m]
    d1, e1 = s[m + 7] - s[m + 1], s[m + 13] - s[m + 1]
    d2, e2 = s[m + 8] - s[m + 2], s[m + 14] - s[m + 2]
    d3, e3 = s[m + 9] - s[m + 3], s[m + 15] - s[m + 3]
    d4, e4 = s[m + 10] - s[m + 4], s[m + 16] - s[m + 4]
    d5, e5 = s[m + 11] - s[m + 5], s[m + 17] - s[m + 5]
    for i in range(6):
        x0, x1, x2 = s[m + i], s[m + 6 + i], s[m + 12 + i]
        for j in range(MODELS):
            out[n + 6 * j + i] = shares[3 * j] * x0 + shares[3 * j + 1] * x1 + shares[3 * j + 2] * x2
    p, k = so + COV, oo + COV
    _blend_1(s, p + 0, out, k + 0, shares, d0 * d0, e0 * e0, 2.0 * d0 * e0)
    _blend_1(s, p + 1, out, k + 1, shares, d0 * d1, e0 * e1, d0 * e1 + e0 * d1)
    _blend_1(s, p + 2, out, k + 2, shares, d0 * d2, e0 * e2, d0 * e2 + e0 * d2)
    _blend_1(s, p + 3, out, k + 3, shares, d0 * d3, e0 * e3, d0 * e3 + e0 * d3)
    _blend_1(s, p + 4, out, k + 4, shares, d0 * d4, e0 * e4, d0 * e4 + e0 * d4)
    _blend_1(s, p + 5, out, k + 5, shares, d0 * d5, e0 * e5, d0 * e5 + e0 * d5)
    _blend_1(s, p + 6, out, k + 6, shares, d1 * d1, e1 * e1, 2.0 * d1 * e1)
    _blend_1(s, p + 7, out, k + 7, shares, d1 * d2, e1 * e2, d1 * e2 + e1 * d2)
    _blend_1(s, p + 8, out, k + 8, shares, d1 * d3, e1 * e3, d1 * e3 + e1 * d3)
    _blend_1(s, p + 9, out, k + 9, shares, d1 * d4, e1 * e4, d1 * e4 + e1 * d4)
    _blend_1(s, p + 10, out, k + 10, shares, d1 * d5, e1 * e5, d1 * e5 + e1 * d5)
    _blend_1(s, p + 11, out, k + 11, shares, d2 * d2, e2 * e2, 2.0 * d2 * e2)
    _blend_1(s, p + 12, out, k + 12, shares, d2 * d3, e2 * e3, d2 * e3 + e2 * d3)
    _blend_1(s, p + 13, out, k + 13, shares, d2 * d4, e2 * e4, d2 * e4 + e2 * d4)
    _blend_1(s, p + 14, out, k + 14, shares, d2 * d5, e2 * e5, d2 * e5 + e2 * d5)
    _blend_1(s, p + 15, out, k + 15, shares, d3 * d3, e3 * e3, 2.0 * d3 * e3)
    _blend_1(s, p + 16, out, k + 16, shares, d3 * d4, e3 * e4, d3 * e4 + e3 * d4)
    _blend_1(s, p + 17, out, k + 17, shares, d3 * d5, e3 * e5, d3 * e5 + e3 * d5)
    _blend_1(s, p + 18, out, k + 18, shares, d4 * d4, e4 * e4, 2.0 * d4 * e4)
    _blend_1(s, p + 19, out, k + 19, shares, d4 * d5, e4 * e5, d4 * e5 + e4 * d5)
    _blend_1(s, p + 20, out, k + 20, shares, d5 * d5, e5 * e5, 2.0 * d5 * e5)


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
    assert 0 <= m < FAR and 0 <= p < FAR
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
    assert 0 <= so < FAR and 0 <= oo < FAR
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
    assert 0 <= m < FAR and 0 <= p < FAR
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
    assert 0 <= so < FAR and 0 <= ro < FAR
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
    stay0, stay1, stay2 = _stay_1(table, dt_s)
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
        log_l, nis = fit_1((p00, p01, p02, p11, p12, p22), w, n)
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
