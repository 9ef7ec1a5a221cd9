"""The three models side by side: predict and update in lanes (lanes.py; params.py has the mathematics).

A state on its way from one measurement to the next stands in the scratch `w`, from LANED on: the probabilities of the
models, then means (X_3) and covariances (P_3) as in a state, but for each number the models beside each other.
"""

from __future__ import annotations

import math

from numba import njit

from fusion.bare import BARE, FAR
from fusion.filters.lanes import LANES, WIDTH, Lanes, all_sound, apart, kinds, lanes, load, positive, store, where_sound
from fusion.filters.measure import ANCHOR, LIN, SCRATCH, anchor_1, linearise_1
from fusion.filters.params import MODELS
from fusion.geo import up_1
from fusion.schema import F8

# The parameters as one row for compiled code: tau, q horizontal, q vertical, stay (3 each), leave (9), start (3).
TAU, QH, QV, STAY, LEAVE, START, TABLE = 0, 3, 6, 9, 12, 21, 24

TRIANGLE = 21  # entries of a packed 6 x 6 covariance: (a, b) with b >= a stands at a * 6 - a * (a - 1) / 2 + b - a
MODE, MEAN, COV = 0, MODELS, MODELS + 6 * MODELS  # where they begin in a state
STATE = COV + TRIANGLE * MODELS
VELOCITY = 15  # of a packed covariance: its last six entries are those of the velocity

# The scratch `w`: components and anchor of measure.py, the models' log-likelihoods, their NIS, their means, their
# components, and what stands in lanes.
LOG = SCRATCH
NIS = LOG + MODELS
X = NIS + MODELS
PARTS = X + 6 * MODELS
LANED = PARTS + MODELS * ANCHOR
X_3, P_3 = LANED + WIDTH, LANED + 7 * WIDTH
WORK = P_3 + TRIANGLE * WIDTH
LEAST_WEIGHT = 1e-300  # of a model: smaller is nothing
LOG_2PI = math.log(2.0 * math.pi)
F8_1, I8_0 = kinds.float64[::1], kinds.int64


@njit("UniTuple(float64, 3)(float64[::1], float64)", cache=True, nogil=True, **BARE)
def stay_1(table: F8, dt_s: float) -> tuple[float, float, float]:
    """Probability that each model stays for so long, s, whatever its sign."""
    dt = abs(dt_s)
    return math.exp(-dt / table[STAY]), math.exp(-dt / table[STAY + 1]), math.exp(-dt / table[STAY + 2])


@njit("UniTuple(float64, 4)(float64, float64, float64, int64)", cache=True, nogil=True, **BARE)
def _shares_1(f0: float, f1: float, f2: float, j: int) -> tuple[float, float, float, float]:
    """What flows into model j in all, and the shares of the three in it."""
    total = f0 + f1 + f2
    if total <= 0.0:  # nothing does (dt = 0 and a mode of no probability): keep the model as it is
        return total, 1.0 if j == 0 else 0.0, 1.0 if j == 1 else 0.0, 1.0 if j == 2 else 0.0
    return total, f0 / total, f1 / total, f2 / total  # the inverse of what next to nothing flows into is infinite


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


@njit(kinds.void(F8_1, I8_0, F8_1, LANES, LANES, LANES), cache=True, nogil=True, **BARE)
def _means_3(s: F8, m: int, w: F8, a: Lanes, b: Lanes, c: Lanes) -> None:
    """The mixed means, from those at s[m:]."""
    for k in range(6):
        store(w, X_3 + WIDTH * k, a * s[m + k] + b * s[m + 6 + k] + c * s[m + 12 + k])


@njit(kinds.void(F8_1, I8_0, F8_1, I8_0, *[LANES] * 6, *[kinds.float64] * 3), cache=True, nogil=True, **BARE)
def _blend_3(
    s: F8, p: int, w: F8, k: int, a: Lanes, b: Lanes, c: Lanes, u: Lanes, v: Lanes, z: Lanes, dd: float, ee: float,
    de: float,
) -> None:  # fmt: skip
    """Entry k of the three mixed covariances, from those at s[p:]. With d and e from the first mean to the others the
    spread of the means is u dd^T + v ee^T - z (de^T + ed^T)."""
    p += k
    mixed = a * s[p] + b * s[p + TRIANGLE] + c * s[p + 2 * TRIANGLE] + (u * dd + v * ee - z * de)
    store(w, P_3 + WIDTH * k, mixed)


@njit(kinds.void(F8_1, *[kinds.float64] * 3, LANES, LANES, kinds.float64), cache=True, nogil=True, **BARE)
def move_3(w: F8, tau0_s: float, tau1_s: float, tau2_s: float, q_h: Lanes, q_v: Lanes, dt_s: float) -> None:
    """Move the models in the lanes of w by dt_s, each by its own law."""
    x0, x1, x2 = load(w, X_3), load(w, X_3 + 4), load(w, X_3 + 8)
    x3, x4, x5 = load(w, X_3 + 12), load(w, X_3 + 16), load(w, X_3 + 20)
    p0, p1, p2 = load(w, P_3), load(w, P_3 + 4), load(w, P_3 + 8)
    p3, p4, p5 = load(w, P_3 + 12), load(w, P_3 + 16), load(w, P_3 + 20)
    p6, p7, p8 = load(w, P_3 + 24), load(w, P_3 + 28), load(w, P_3 + 32)
    p9, p10, p11 = load(w, P_3 + 36), load(w, P_3 + 40), load(w, P_3 + 44)
    p12, p13, p14 = load(w, P_3 + 48), load(w, P_3 + 52), load(w, P_3 + 56)
    p15, p16, p17 = load(w, P_3 + 60), load(w, P_3 + 64), load(w, P_3 + 68)
    p18, p19, p20 = load(w, P_3 + 72), load(w, P_3 + 76), load(w, P_3 + 80)
    g0, f0, s0, t0, r0 = motion_1(tau0_s, dt_s)
    g1, f1, s1, t1, r1 = motion_1(tau1_s, dt_s)
    g2, f2, s2, t2, r2 = motion_1(tau2_s, dt_s)
    g, f = lanes(g0, g1, g2), lanes(f0, f1, f2)
    s_pp, s_pv, s_vv = lanes(s0, s1, s2), lanes(t0, t1, t2), lanes(r0, r1, r2)
    q = q_v - q_h
    ux, uy, uz = up_1(x0, x1, x2)
    store(w, X_3, x0 + g * x3)
    store(w, X_3 + 4, x1 + g * x4)
    store(w, X_3 + 8, x2 + g * x5)
    store(w, X_3 + 12, x3 * f)
    store(w, X_3 + 16, x4 * f)
    store(w, X_3 + 20, x5 * f)
    d00, d11, d22 = q_h + q * ux * ux, q_h + q * uy * uy, q_h + q * uz * uz
    d01, d02, d12 = q * ux * uy, q * ux * uz, q * uy * uz
    gg, ff = g * g, f * f
    store(w, P_3 + 0, p0 + (2.0 * g * p3 + gg * p15 + s_pp * d00))
    store(w, P_3 + 4, p1 + (g * (p4 + p8) + gg * p16 + s_pp * d01))
    store(w, P_3 + 8, p2 + (g * (p5 + p12) + gg * p17 + s_pp * d02))
    store(w, P_3 + 24, p6 + (2.0 * g * p9 + gg * p18 + s_pp * d11))
    store(w, P_3 + 28, p7 + (g * (p10 + p13) + gg * p19 + s_pp * d12))
    store(w, P_3 + 44, p11 + (2.0 * g * p14 + gg * p20 + s_pp * d22))
    store(w, P_3 + 12, f * (p3 + g * p15) + s_pv * d00)
    store(w, P_3 + 16, f * (p4 + g * p16) + s_pv * d01)
    store(w, P_3 + 20, f * (p5 + g * p17) + s_pv * d02)
    store(w, P_3 + 32, f * (p8 + g * p16) + s_pv * d01)
    store(w, P_3 + 36, f * (p9 + g * p18) + s_pv * d11)
    store(w, P_3 + 40, f * (p10 + g * p19) + s_pv * d12)
    store(w, P_3 + 48, f * (p12 + g * p17) + s_pv * d02)
    store(w, P_3 + 52, f * (p13 + g * p19) + s_pv * d12)
    store(w, P_3 + 56, f * (p14 + g * p20) + s_pv * d22)
    store(w, P_3 + 60, ff * p15 + s_vv * d00)
    store(w, P_3 + 64, ff * p16 + s_vv * d01)
    store(w, P_3 + 68, ff * p17 + s_vv * d02)
    store(w, P_3 + 72, ff * p18 + s_vv * d11)
    store(w, P_3 + 76, ff * p19 + s_vv * d12)
    store(w, P_3 + 80, ff * p20 + s_vv * d22)


@njit("void(float64[::1], int64, float64[::1], float64, float64[::1])", cache=True, nogil=True, **BARE)
def predict_3(s: F8, so: int, table: F8, dt_s: float, w: F8) -> None:
    """Mix all three models of s[so:] over |dt_s| (Blom and Bar-Shalom 1988: each model's start from all three) and move
    them by dt_s, into the lanes of w."""
    assert 0 <= so < FAR
    stay0, stay1, stay2 = stay_1(table, dt_s)
    f0, f1, f2 = s[so], s[so + 1], s[so + 2]
    go0, go1, go2 = f0 * (1.0 - stay0), f1 * (1.0 - stay1), f2 * (1.0 - stay2)
    t0, a0, b0, c0 = _shares_1(f0 * stay0, go1 * table[LEAVE + 3], go2 * table[LEAVE + 6], 0)
    t1, a1, b1, c1 = _shares_1(go0 * table[LEAVE + 1], f1 * stay1, go2 * table[LEAVE + 7], 1)
    t2, a2, b2, c2 = _shares_1(go0 * table[LEAVE + 2], go1 * table[LEAVE + 5], f2 * stay2, 2)
    w[LANED], w[LANED + 1], w[LANED + 2] = t0, t1, t2
    a, b, c = lanes(a0, a1, a2), lanes(b0, b1, b2), lanes(c0, c1, c2)
    u, v, z = b * (a + c), c * (a + b), b * c
    m, p = so + MEAN, so + COV
    d0, e0 = s[m + 6] - s[m + 0], s[m + 12] - s[m + 0]
    d1, e1 = s[m + 7] - s[m + 1], s[m + 13] - s[m + 1]
    d2, e2 = s[m + 8] - s[m + 2], s[m + 14] - s[m + 2]
    d3, e3 = s[m + 9] - s[m + 3], s[m + 15] - s[m + 3]
    d4, e4 = s[m + 10] - s[m + 4], s[m + 16] - s[m + 4]
    d5, e5 = s[m + 11] - s[m + 5], s[m + 17] - s[m + 5]
    _means_3(s, m, w, a, b, c)
    _blend_3(s, p, w, 0, a, b, c, u, v, z, d0 * d0, e0 * e0, 2.0 * d0 * e0)
    _blend_3(s, p, w, 1, a, b, c, u, v, z, d0 * d1, e0 * e1, d0 * e1 + e0 * d1)
    _blend_3(s, p, w, 2, a, b, c, u, v, z, d0 * d2, e0 * e2, d0 * e2 + e0 * d2)
    _blend_3(s, p, w, 3, a, b, c, u, v, z, d0 * d3, e0 * e3, d0 * e3 + e0 * d3)
    _blend_3(s, p, w, 4, a, b, c, u, v, z, d0 * d4, e0 * e4, d0 * e4 + e0 * d4)
    _blend_3(s, p, w, 5, a, b, c, u, v, z, d0 * d5, e0 * e5, d0 * e5 + e0 * d5)
    _blend_3(s, p, w, 6, a, b, c, u, v, z, d1 * d1, e1 * e1, 2.0 * d1 * e1)
    _blend_3(s, p, w, 7, a, b, c, u, v, z, d1 * d2, e1 * e2, d1 * e2 + e1 * d2)
    _blend_3(s, p, w, 8, a, b, c, u, v, z, d1 * d3, e1 * e3, d1 * e3 + e1 * d3)
    _blend_3(s, p, w, 9, a, b, c, u, v, z, d1 * d4, e1 * e4, d1 * e4 + e1 * d4)
    _blend_3(s, p, w, 10, a, b, c, u, v, z, d1 * d5, e1 * e5, d1 * e5 + e1 * d5)
    _blend_3(s, p, w, 11, a, b, c, u, v, z, d2 * d2, e2 * e2, 2.0 * d2 * e2)
    _blend_3(s, p, w, 12, a, b, c, u, v, z, d2 * d3, e2 * e3, d2 * e3 + e2 * d3)
    _blend_3(s, p, w, 13, a, b, c, u, v, z, d2 * d4, e2 * e4, d2 * e4 + e2 * d4)
    _blend_3(s, p, w, 14, a, b, c, u, v, z, d2 * d5, e2 * e5, d2 * e5 + e2 * d5)
    _blend_3(s, p, w, 15, a, b, c, u, v, z, d3 * d3, e3 * e3, 2.0 * d3 * e3)
    _blend_3(s, p, w, 16, a, b, c, u, v, z, d3 * d4, e3 * e4, d3 * e4 + e3 * d4)
    _blend_3(s, p, w, 17, a, b, c, u, v, z, d3 * d5, e3 * e5, d3 * e5 + e3 * d5)
    _blend_3(s, p, w, 18, a, b, c, u, v, z, d4 * d4, e4 * e4, 2.0 * d4 * e4)
    _blend_3(s, p, w, 19, a, b, c, u, v, z, d4 * d5, e4 * e5, d4 * e5 + e4 * d5)
    _blend_3(s, p, w, 20, a, b, c, u, v, z, d5 * d5, e5 * e5, 2.0 * d5 * e5)
    q_h = lanes(table[QH], table[QH + 1], table[QH + 2])
    q_v = lanes(table[QV], table[QV + 1], table[QV + 2])
    move_3(w, table[TAU], table[TAU + 1], table[TAU + 2], q_h, q_v, dt_s)


@njit("void(float64[::1], int64, float64[::1])", cache=True, nogil=True, **BARE)
def gather_3(s: F8, so: int, w: F8) -> None:
    """A state s[so:] into the lanes of w."""
    assert 0 <= so < FAR
    for j in range(MODELS):
        w[LANED + j] = s[so + j]
    for k in range(6):
        m = so + MEAN + k
        store(w, X_3 + WIDTH * k, lanes(s[m], s[m + 6], s[m + 12]))
    for k in range(TRIANGLE):
        p = so + COV + k
        store(w, P_3 + WIDTH * k, lanes(s[p], s[p + TRIANGLE], s[p + 2 * TRIANGLE]))


@njit("void(float64[::1], float64[::1], int64)", cache=True, nogil=True, **BARE)
def spread_3(w: F8, out: F8, oo: int) -> None:
    """The lanes of w as a state at out[oo:]."""
    assert 0 <= oo < FAR
    for j in range(MODELS):
        out[oo + j] = w[LANED + j]
    for k in range(6):
        x0, x1, x2 = apart(load(w, X_3 + WIDTH * k))
        m = oo + MEAN + k
        out[m], out[m + 6], out[m + 12] = x0, x1, x2
    for k in range(TRIANGLE):
        x0, x1, x2 = apart(load(w, P_3 + WIDTH * k))
        p = oo + COV + k
        out[p], out[p + TRIANGLE], out[p + 2 * TRIANGLE] = x0, x1, x2


@njit(LANES(F8_1, I8_0), cache=True, nogil=True, **BARE)
def _part_3(w: F8, o: int) -> Lanes:
    """One number of a component of the three models."""
    return lanes(w[o], w[o + ANCHOR], w[o + 2 * ANCHOR])


@njit(kinds.void(F8_1, I8_0, LANES, LANES, LANES), cache=True, nogil=True, **BARE)
def _put_3(w: F8, o: int, a: Lanes, b: Lanes, c: Lanes) -> None:
    store(w, o, a)
    store(w, o + WIDTH, b)
    store(w, o + 2 * WIDTH, c)


@njit(kinds.Tuple((LANES, LANES))(F8_1, I8_0), cache=True, nogil=True, **BARE)
def correct_3(w: F8, n: int) -> tuple[Lanes, Lanes]:
    """Joint update of the models in the lanes of w by n components of each in w[PARTS:], one scalar at a time (equal
    to the joint one, as their errors are independent).

    Returns (log-likelihood, normalised innovation squared), in lanes.
    """
    a0, a1, a2 = load(w, X_3), load(w, X_3 + 4), load(w, X_3 + 8)
    a3, a4, a5 = load(w, X_3 + 12), load(w, X_3 + 16), load(w, X_3 + 20)
    x0, x1, x2, x3, x4, x5 = a0, a1, a2, a3, a4, a5
    p0, p1, p2 = load(w, P_3 + 0), load(w, P_3 + 4), load(w, P_3 + 8)
    p3, p4, p5 = load(w, P_3 + 12), load(w, P_3 + 16), load(w, P_3 + 20)
    p6, p7, p8 = load(w, P_3 + 24), load(w, P_3 + 28), load(w, P_3 + 32)
    p9, p10, p11 = load(w, P_3 + 36), load(w, P_3 + 40), load(w, P_3 + 44)
    p12, p13, p14 = load(w, P_3 + 48), load(w, P_3 + 52), load(w, P_3 + 56)
    p15, p16, p17 = load(w, P_3 + 60), load(w, P_3 + 64), load(w, P_3 + 68)
    p18, p19, p20 = load(w, P_3 + 72), load(w, P_3 + 76), load(w, P_3 + 80)
    none, one = lanes(0.0, 0.0, 0.0), lanes(1.0, 1.0, 1.0)
    nis, volume, used = none, one, none
    for o in range(PARTS, PARTS + LIN * n, LIN):
        h0, h1, h2 = _part_3(w, o + 1), _part_3(w, o + 2), _part_3(w, o + 3)
        nu = _part_3(w, o + 4)
        if w[o] == 0.0:
            g0 = p0 * h0 + p1 * h1 + p2 * h2
            g1 = p1 * h0 + p6 * h1 + p7 * h2
            g2 = p2 * h0 + p7 * h1 + p11 * h2
            g3 = p3 * h0 + p8 * h1 + p12 * h2
            g4 = p4 * h0 + p9 * h1 + p13 * h2
            g5 = p5 * h0 + p10 * h1 + p14 * h2
            s_hat = h0 * g0 + h1 * g1 + h2 * g2
            nu = nu - h0 * (x0 - a0) - h1 * (x1 - a1) - h2 * (x2 - a2)
        else:
            g0 = p3 * h0 + p4 * h1 + p5 * h2
            g1 = p8 * h0 + p9 * h1 + p10 * h2
            g2 = p12 * h0 + p13 * h1 + p14 * h2
            g3 = p15 * h0 + p16 * h1 + p17 * h2
            g4 = p16 * h0 + p18 * h1 + p19 * h2
            g5 = p17 * h0 + p19 * h1 + p20 * h2
            s_hat = h0 * g3 + h1 * g4 + h2 * g5
            nu = nu - h0 * (x3 - a3) - h1 * (x4 - a4) - h2 * (x5 - a5)
        # Never below the measurement's own variance, whatever rounding has done to the covariance.
        var = positive(s_hat) + _part_3(w, o + 5)
        more = one
        if not all_sound(
            var, nu
        ):  # a geometry without meaning, such as the bearing to the antenna itself, says nothing
            g0, g1, g2 = where_sound(var, nu, g0, 0.0), where_sound(var, nu, g1, 0.0), where_sound(var, nu, g2, 0.0)
            g3, g4, g5 = where_sound(var, nu, g3, 0.0), where_sound(var, nu, g4, 0.0), where_sound(var, nu, g5, 0.0)
            more, var, nu = (
                where_sound(var, nu, one, 0.0),
                where_sound(var, nu, var, 1.0),
                where_sound(var, nu, nu, 0.0),
            )
        used = used + more
        volume = volume * var
        inverse = 1.0 / var
        nis = nis + nu * nu * inverse
        k0, k1, k2 = g0 * inverse, g1 * inverse, g2 * inverse
        k3, k4, k5 = g3 * inverse, g4 * inverse, g5 * inverse
        x0, x1, x2 = x0 + k0 * nu, x1 + k1 * nu, x2 + k2 * nu
        x3, x4, x5 = x3 + k3 * nu, x4 + k4 * nu, x5 + k5 * nu
        p0, p1, p2 = p0 - k0 * g0, p1 - k0 * g1, p2 - k0 * g2
        p3, p4, p5 = p3 - k0 * g3, p4 - k0 * g4, p5 - k0 * g5
        p6, p7, p8 = p6 - k1 * g1, p7 - k1 * g2, p8 - k1 * g3
        p9, p10, p11 = p9 - k1 * g4, p10 - k1 * g5, p11 - k2 * g2
        p12, p13, p14 = p12 - k2 * g3, p13 - k2 * g4, p14 - k2 * g5
        p15, p16, p17 = p15 - k3 * g3, p16 - k3 * g4, p17 - k3 * g5
        p18, p19, p20 = p18 - k4 * g4, p19 - k4 * g5, p20 - k5 * g5
    _put_3(w, X_3, x0, x1, x2)
    _put_3(w, X_3 + 12, x3, x4, x5)
    _put_3(w, P_3, p0, p1, p2)
    _put_3(w, P_3 + 12, p3, p4, p5)
    _put_3(w, P_3 + 24, p6, p7, p8)
    _put_3(w, P_3 + 36, p9, p10, p11)
    _put_3(w, P_3 + 48, p12, p13, p14)
    _put_3(w, P_3 + 60, p15, p16, p17)
    _put_3(w, P_3 + 72, p18, p19, p20)
    v0, v1, v2 = apart(volume)
    return -0.5 * (used * LOG_2PI + lanes(math.log(v0), math.log(v1), math.log(v2)) + nis), nis


@njit(
    "UniTuple(float64, 4)(float64[::1], int64, float64[:, ::1], float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def update_3(r: F8, ro: int, sites: F8, w: F8) -> tuple[float, float, float, float]:
    """Update the predicted models in the lanes of w and their probabilities by the measurement row r[ro:].

    Returns (log-likelihood of the mixture, smallest NIS, components, NIS to book). The smallest NIS gates: a plot
    belongs if any model explains it. It would flatter the statistics, so those get the mean over the models by how
    probable each is after the plot.
    """
    assert 0 <= ro < FAR
    n = 0
    anchor_1(r, ro, w)
    for k in range(6):
        w[X + k], w[X + 6 + k], w[X + 12 + k] = apart(load(w, X_3 + WIDTH * k))
    for j in range(MODELS):
        n = linearise_1(r, ro, sites, w, X + 6 * j, w, PARTS + ANCHOR * j)
    log_l, nis = correct_3(w, n)
    w[LOG], w[LOG + 1], w[LOG + 2] = apart(log_l)
    w[NIS], w[NIS + 1], w[NIS + 2] = apart(nis)
    best = -math.inf
    nearest = math.inf
    for j in range(MODELS):
        # With the model's own weight in it: else a model of no weight could make all the others vanish.
        w[LOG + j] += math.log(max(w[LANED + j], LEAST_WEIGHT))
        best = max(best, w[LOG + j])
        nearest = min(nearest, w[NIS + j])
    total = 0.0
    for j in range(MODELS):
        w[LANED + j] = math.exp(w[LOG + j] - best)
        total += w[LANED + j]
    booked = 0.0
    for j in range(MODELS):
        w[LANED + j] /= total
        booked += w[LANED + j] * w[NIS + j]
    return best + math.log(total), nearest, float(n), booked
