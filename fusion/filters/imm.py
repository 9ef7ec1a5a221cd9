"""The default filter: three models in ECEF (see params.py for the mathematics) as compiled loops without allocation.

One track is mean (3, 6), cov (3, 6, 6) and mode (3,). Everything works on plain float64 arrays that the caller owns;
nothing depends on any other track, so the answer is the same bit for bit in every batch size and order.
The oracle is filters/reference.py; the two agree to 1e-9 per step.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SV,
    M_VE,
    MODELS,
    ImmParams,
)
from fusion.geo import ecef_1, enu_axes_1, geodetic_1, polar_1, up_1, wrap_pi_1
from fusion.schema import F8, PlotKind

# The parameters as one row for compiled code: tau, q horizontal, q vertical, stay (3 each), leave (9), start (3).
TAU, QH, QV, STAY, LEAVE, START, TABLE = 0, 3, 6, 9, 12, 21, 24
LIN = 6  # one linearised component: block (0 position, 3 velocity), H (3), innovation, variance
_PH, _X0, _LOG = 6, 7, 8  # further rows of the same scratch: P h, the predicted state, the models' log-likelihoods
WORK = (10, LIN)  # shape of the scratch that the functions below call `lin`; its last row is the caller's
POSITION, POLAR = int(PlotKind.POSITION), int(PlotKind.POLAR)
LEAST_WEIGHT = 1e-300  # of a model: smaller is nothing
LOG_2PI = math.log(2.0 * math.pi)

_STATE = "float64[:, ::1], float64[:, :, ::1], float64[::1]"


def imm_table(params: ImmParams) -> F8:
    """The parameters as float64[TABLE]."""
    leave = [p for row in params.leave for p in row]
    return np.array(
        [*params.tau_s, *params.q_horizontal, *params.q_vertical, *params.stay_s, *leave, *params.start], np.float64
    )


@njit(f"void({_STATE}, float64[::1], float64, {_STATE})", cache=True, nogil=True)
def mix_1(mean: F8, cov: F8, mode: F8, table: F8, dt_s: float, mean_out: F8, cov_out: F8, mode_out: F8) -> None:
    """IMM mixing over |dt_s|: each model's start from all three (Blom and Bar-Shalom 1988)."""
    dt = abs(dt_s)
    stay0 = math.exp(-dt / table[STAY])
    stay1 = math.exp(-dt / table[STAY + 1])
    stay2 = math.exp(-dt / table[STAY + 2])
    for j in range(MODELS):
        f0 = mode[0] * (stay0 if j == 0 else (1.0 - stay0) * table[LEAVE + j])
        f1 = mode[1] * (stay1 if j == 1 else (1.0 - stay1) * table[LEAVE + 3 + j])
        f2 = mode[2] * (stay2 if j == 2 else (1.0 - stay2) * table[LEAVE + 6 + j])
        total = f0 + f1 + f2
        mode_out[j] = total
        if total <= 0.0:  # nothing flows here (dt = 0 and a mode of no probability): keep the model as it is
            mean_out[j] = mean[j]
            cov_out[j] = cov[j]
            continue
        w0 = f0 / total
        w1 = f1 / total
        w2 = f2 / total
        for a in range(6):
            mean_out[j, a] = w0 * mean[0, a] + w1 * mean[1, a] + w2 * mean[2, a]
        for a in range(6):
            d0 = mean[0, a] - mean_out[j, a]
            d1 = mean[1, a] - mean_out[j, a]
            d2 = mean[2, a] - mean_out[j, a]
            for b in range(a, 6):
                c = (
                    w0 * (cov[0, a, b] + d0 * (mean[0, b] - mean_out[j, b]))
                    + w1 * (cov[1, a, b] + d1 * (mean[1, b] - mean_out[j, b]))
                    + w2 * (cov[2, a, b] + d2 * (mean[2, b] - mean_out[j, b]))
                )
                cov_out[j, a, b] = c
                cov_out[j, b, a] = c


@njit("UniTuple(float64, 5)(float64, float64)", cache=True, nogil=True)
def motion_1(tau_s: float, dt_s: float) -> tuple[float, float, float, float, float]:
    """(a, b, s_pp, s_pv, s_vv) of one model over dt; backwards (dt < 0) every model keeps its velocity."""
    if math.isinf(tau_s) or dt_s < 0.0:
        t = abs(dt_s)
        return dt_s, 1.0, t * t * t / 3.0, 0.5 * dt_s * t, t
    b = math.exp(-dt_s / tau_s)
    a = tau_s * (1.0 - b)
    s_pp = tau_s * tau_s * (dt_s - 2.0 * a + 0.5 * tau_s * (1.0 - b * b))
    return a, b, s_pp, 0.5 * tau_s * tau_s * (1.0 - b) * (1.0 - b), 0.5 * tau_s * (1.0 - b * b)


@njit("void(float64[::1], float64[:, ::1], float64, float64, float64, float64)", cache=True, nogil=True)
def move_1(x: F8, p: F8, tau_s: float, q_h: float, q_v: float, dt_s: float) -> None:
    """Predict one model in place: x (6,), p (6, 6)."""
    a, b, s_pp, s_pv, s_vv = motion_1(tau_s, dt_s)
    u = up_1(x[0], x[1], x[2])
    for i in range(3):
        x[i] += a * x[3 + i]
        x[3 + i] *= b
    for i in range(3):
        for j in range(i, 3):
            d = (q_v - q_h) * u[i] * u[j]
            if i == j:
                d += q_h
            c = p[i, j] + a * (p[i, 3 + j] + p[3 + i, j]) + a * a * p[3 + i, 3 + j] + s_pp * d
            p[i, j] = c
            p[j, i] = c
    for i in range(3):
        for j in range(3):
            d = (q_v - q_h) * u[i] * u[j]
            if i == j:
                d += q_h
            c = b * (p[i, 3 + j] + a * p[3 + i, 3 + j]) + s_pv * d
            p[i, 3 + j] = c
            p[3 + j, i] = c
    for i in range(3):
        for j in range(i, 3):
            d = (q_v - q_h) * u[i] * u[j]
            if i == j:
                d += q_h
            c = b * b * p[3 + i, 3 + j] + s_vv * d
            p[3 + i, 3 + j] = c
            p[3 + j, 3 + i] = c


@njit(f"void({_STATE}, float64[::1], float64, {_STATE})", cache=True, nogil=True)
def predict_1(mean: F8, cov: F8, mode: F8, table: F8, dt_s: float, mean_out: F8, cov_out: F8, mode_out: F8) -> None:
    """Mix and move all three models by dt_s into the `_out` arrays (which must not be the inputs)."""
    mix_1(mean, cov, mode, table, dt_s, mean_out, cov_out, mode_out)
    for j in range(MODELS):
        move_1(mean_out[j], cov_out[j], table[TAU + j], table[QH + j], table[QV + j], dt_s)


@njit("int64(float64[::1], float64[::1], float64[:, ::1])", cache=True, nogil=True)
def _linearise_position_1(row: F8, x: F8, lin: F8) -> int:
    n = 0
    height = row[M_C]
    known = not math.isnan(height)
    if not known:
        height = geodetic_1(x[0], x[1], x[2])[2]
    place = ecef_1(row[M_A], row[M_B], height)
    axes = enu_axes_1(row[M_A], row[M_B])
    for c in range(3 if known else 2):
        lin[n, 0] = 0.0
        nu = 0.0
        for k in range(3):
            lin[n, 1 + k] = axes[3 * c + k]
            nu += axes[3 * c + k] * (place[k] - x[k])
        lin[n, 4] = nu
        sigma = row[M_SC] if c == 2 else row[M_SA]
        lin[n, 5] = sigma * sigma
        n += 1
    for c in range(3):
        if not math.isnan(row[M_VE + c]):
            lin[n, 0] = 3.0
            nu = row[M_VE + c]
            for k in range(3):
                lin[n, 1 + k] = axes[3 * c + k]
                nu -= axes[3 * c + k] * x[3 + k]
            lin[n, 4] = nu
            lin[n, 5] = row[M_SV] * row[M_SV]
            n += 1
    return n


@njit("int64(float64[::1], float64[:, ::1], float64[::1], float64[:, ::1])", cache=True, nogil=True)
def linearise_1(row: F8, sites: F8, x: F8, lin: F8) -> int:
    """Components of a measurement row at the state x: their number; `lin` (n, LIN) is filled."""
    n = 0
    if int(row[M_KIND]) == POSITION:
        return _linearise_position_1(row, x, lin)
    site = sites[int(row[M_SITE])]
    r, az, el = polar_1(site, x[0], x[1], x[2])
    dx = x[0] - site[0]
    dy = x[1] - site[1]
    dz = x[2] - site[2]
    e = site[3] * dx + site[4] * dy + site[5] * dz
    nn = site[6] * dx + site[7] * dy + site[8] * dz
    ground2 = max(e * e + nn * nn, 1.0)  # straight above the antenna azimuth says nothing: keep it finite
    azimuth = row[M_B]
    elevation = row[M_C]
    if int(row[M_KIND]) == POLAR:
        lin[n, 0] = 0.0
        lin[n, 1] = dx / r
        lin[n, 2] = dy / r
        lin[n, 3] = dz / r
        lin[n, 4] = row[M_A] - r
        lin[n, 5] = row[M_SA] * row[M_SA]
        n += 1
    if not math.isnan(azimuth):
        lin[n, 0] = 0.0
        for k in range(3):
            lin[n, 1 + k] = (nn * site[3 + k] - e * site[6 + k]) / ground2
        lin[n, 4] = wrap_pi_1(azimuth - az)
        lin[n, 5] = row[M_SB] * row[M_SB]
        n += 1
    if not math.isnan(elevation):
        ground = math.sqrt(ground2)
        s = math.sin(el) / r
        lin[n, 0] = 0.0
        lin[n, 1] = (site[9] - s * dx) / ground
        lin[n, 2] = (site[10] - s * dy) / ground
        lin[n, 3] = (site[11] - s * dz) / ground
        lin[n, 4] = wrap_pi_1(elevation - el)
        lin[n, 5] = row[M_SC] * row[M_SC]
        n += 1
    if int(row[M_KIND]) == POLAR and not math.isnan(row[M_H]):
        lat, lon, h = geodetic_1(x[0], x[1], x[2])
        axes = enu_axes_1(lat, lon)
        lin[n, 0] = 0.0
        lin[n, 1] = axes[6]
        lin[n, 2] = axes[7]
        lin[n, 3] = axes[8]
        lin[n, 4] = row[M_H] - h
        lin[n, 5] = row[M_SH] * row[M_SH]
        n += 1
    return n


@njit("UniTuple(float64, 2)(float64[::1], float64[:, ::1], float64[:, ::1], int64)", cache=True, nogil=True)
def correct_1(x: F8, p: F8, lin: F8, n: int) -> tuple[float, float]:
    """Joint update of one model in place by n linearised components, one scalar at a time (equal to the joint one,
    as their errors are independent). Returns (log-likelihood, normalised innovation squared)."""
    ph = lin[_PH]
    x0 = lin[_X0]
    x0[:] = x
    loglik = 0.0
    nis = 0.0
    for c in range(n):
        o = int(lin[c, 0])
        h0 = lin[c, 1]
        h1 = lin[c, 2]
        h2 = lin[c, 3]
        for a in range(6):
            ph[a] = p[a, o] * h0 + p[a, o + 1] * h1 + p[a, o + 2] * h2
        # Never below the measurement's own variance, whatever rounding has done to the covariance.
        s = max(h0 * ph[o] + h1 * ph[o + 1] + h2 * ph[o + 2], 0.0) + lin[c, 5]
        nu = lin[c, 4] - h0 * (x[o] - x0[o]) - h1 * (x[o + 1] - x0[o + 1]) - h2 * (x[o + 2] - x0[o + 2])
        if not (s > 0.0 and math.isfinite(s) and math.isfinite(nu)):
            continue  # a geometry without meaning, such as the bearing to the antenna itself, says nothing
        loglik -= 0.5 * (LOG_2PI + math.log(s) + nu * nu / s)
        nis += nu * nu / s
        for a in range(6):
            gain = ph[a] / s
            x[a] += gain * nu
            for b in range(a, 6):
                v = p[a, b] - gain * ph[b]
                p[a, b] = v
                p[b, a] = v
    return loglik, nis


@njit(f"float64({_STATE}, float64[::1], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True)
def update_1(mean: F8, cov: F8, mode: F8, row: F8, sites: F8, lin: F8) -> float:
    """Update predicted models and their probabilities in place. Returns the log-likelihood of the mixture."""
    log_l = lin[_LOG]
    best = -math.inf
    for j in range(MODELS):
        n = linearise_1(row, sites, mean[j], lin)
        # With the model's own weight in it: else a model of no weight could make all the others vanish.
        log_l[j] = correct_1(mean[j], cov[j], lin, n)[0] + math.log(max(mode[j], LEAST_WEIGHT))
        best = max(best, log_l[j])
    total = 0.0
    for j in range(MODELS):
        mode[j] = math.exp(log_l[j] - best)
        total += mode[j]
    for j in range(MODELS):
        mode[j] /= total
    return best + math.log(total)


@njit(f"UniTuple(float64, 4)({_STATE}, float64[::1], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True)
def likelihood_1(mean: F8, cov: F8, mode: F8, row: F8, sites: F8, lin: F8) -> tuple[float, float, float, float]:
    """What `update_1` would say, without it: (log-likelihood of the mixture, smallest NIS, components, NIS to book).

    The smallest NIS gates: a plot belongs if any model explains it. It would flatter the statistics, so those get the
    mean over the models by how probable each is after the plot.

    The predicted arrays are used up.
    """
    n = 0
    best = -math.inf
    nearest = math.inf
    log_l = lin[_LOG]
    for j in range(MODELS):
        n = linearise_1(row, sites, mean[j], lin)
        log_l[j], nis = correct_1(mean[j], cov[j], lin, n)
        lin[_LOG, MODELS + j] = nis
        best = max(best, log_l[j])
        nearest = min(nearest, nis)
    total = 0.0
    booked = 0.0
    for j in range(MODELS):
        weight = mode[j] * math.exp(log_l[j] - best)
        total += weight
        booked += weight * lin[_LOG, MODELS + j]
    return best + math.log(max(total, 1e-300)), nearest, float(n), booked / max(total, 1e-300)


@njit(f"void({_STATE}, float64[::1], float64[:, ::1])", cache=True, nogil=True)
def combine_1(mean: F8, cov: F8, mode: F8, x: F8, p: F8) -> None:
    """Moments of the mixture into x (6,) and p (6, 6)."""
    for a in range(6):
        x[a] = mode[0] * mean[0, a] + mode[1] * mean[1, a] + mode[2] * mean[2, a]
    for a in range(6):
        for b in range(a, 6):
            s = 0.0
            for j in range(MODELS):
                s += mode[j] * (cov[j, a, b] + (mean[j, a] - x[a]) * (mean[j, b] - x[b]))
            p[a, b] = s
            p[b, a] = s


class Imm:
    """One track's filter for those who want one: tests, benchmarks, the oracle's counterpart."""

    def __init__(self, x: F8, cov: F8, params: ImmParams) -> None:
        self.table = imm_table(params)
        self.xs = np.repeat(np.asarray(x, np.float64)[None], MODELS, 0)  # (3, 6)
        self.Ps = np.repeat(np.asarray(cov, np.float64)[None], MODELS, 0)  # (3, 6, 6)
        self.mode = np.array(params.start, np.float64)
        self._lin = np.empty(WORK)

    def predict(self, dt_s: float) -> None:
        """Mix and move by dt_s seconds."""
        xs, covs, mode = np.empty_like(self.xs), np.empty_like(self.Ps), np.empty_like(self.mode)
        predict_1(self.xs, self.Ps, self.mode, self.table, dt_s, xs, covs, mode)
        self.xs, self.Ps, self.mode = xs, covs, mode

    def update(self, row: F8, sites: F8) -> float:
        """Fuse one measurement row (ROW,); returns its log-likelihood."""
        return float(update_1(self.xs, self.Ps, self.mode, row, sites, self._lin))

    def combined(self) -> tuple[F8, F8]:
        """State (6,) and covariance (6, 6) of the mixture."""
        x, cov = np.empty(6), np.empty((6, 6))
        combine_1(self.xs, self.Ps, self.mode, x, cov)
        return x, cov
