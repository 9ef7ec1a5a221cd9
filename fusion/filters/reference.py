"""The same filter as imm.py with filterpy's objects and plain matrices: slow, obvious, the oracle.

The mathematics is that of params.py, written down literally. What both filters must do alike inside a step:

1. `predict(dt_s)`, dt_s >= 0. Mixing over dt_s comes first: with p_ij the probability of changing from mode i to j,
   c_j = sum_i p_ij mode_i, and model j starts from the moments of the mixture with weights p_ij mode_i / c_j. A mode
   into which nothing flows (c_j = 0) keeps its own mean and covariance. Then each model moves by its own transition and
   noise, whose vertical u is taken at that model's mixed mean, before it moves. The mode probabilities become c_j.
2. `update(row, sites)`. Each model is linearised once, at its own predicted state; all components of the row are one
   joint measurement with independent errors. A component that is NaN was not measured. Angles are compared modulo
   2 pi. The gradient of azimuth uses a ground distance of at least 1 m, so that it stays finite above an antenna; that
   of height is the exact ellipsoid normal at the predicted place, not the approximate vertical of the noise.
   Position: the innovation is the straight ECEF difference between the measured and the predicted place along the
   axes at the measured place; without height the measured place is put at the predicted height and U is left out.
3. Mode probabilities are multiplied by the joint likelihoods and normalised; `x`, `P` are the moments of the mixture.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_RATE,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SRATE,
    M_SV,
    M_VE,
    MODELS,
    ImmParams,
)
from fusion.geo import ecef_1, enu_axes, geodetic_1, up_1
from fusion.schema import F8, PlotKind


def transition_probabilities(params: ImmParams, dt_s: float) -> F8:
    """Probabilities (3, 3) of being in mode j after dt_s when in mode i before, [i, j]."""
    p = np.zeros((MODELS, MODELS))
    for i in range(MODELS):
        stay = math.exp(-dt_s / params.stay_s[i])
        for j in range(MODELS):
            p[i, j] = stay if i == j else (1.0 - stay) * params.leave[i][j]
    return p


def motion(params: ImmParams, model: int, dt_s: float, at: F8) -> tuple[F8, F8]:
    """Transition matrix (6, 6) and process noise (6, 6) of one model over dt_s, for a state (6,) at its start."""
    tau = params.tau_s[model]
    if math.isinf(tau):
        a, b = dt_s, 1.0
        s_pp, s_pv, s_vv = dt_s**3 / 3, dt_s**2 / 2, dt_s
    else:
        b = math.exp(-dt_s / tau)
        a = tau * (1 - b)
        s_pp = tau**2 * (dt_s - 2 * a + tau / 2 * (1 - b**2))
        s_pv = tau**2 / 2 * (1 - b) ** 2
        s_vv = tau / 2 * (1 - b**2)
    eye = np.eye(3)
    u = np.array(up_1(at[0], at[1], at[2]))
    q_h, q_v = params.q_horizontal[model], params.q_vertical[model]
    d = q_h * eye + (q_v - q_h) * np.outer(u, u)
    f = np.block([[eye, a * eye], [0 * eye, b * eye]])
    return f, np.block([[s_pp * d, s_pv * d], [s_pv * d, s_vv * d]])


def _position_components(row: F8, x: F8) -> list[tuple[F8, float, float]]:
    known = not math.isnan(row[M_C])
    height_m = row[M_C] if known else geodetic_1(x[0], x[1], x[2])[2]
    miss = np.array(ecef_1(row[M_A], row[M_B], height_m)) - x[:3]
    east, north, up = enu_axes(row[M_A], row[M_B])[0]
    zero = np.zeros(3)
    found = [
        (np.append(east, zero), float(east @ miss), float(row[M_SA])),
        (np.append(north, zero), float(north @ miss), float(row[M_SA])),
    ]
    if known:
        found.append((np.append(up, zero), float(up @ miss), float(row[M_SC])))
    for k, axis in enumerate((east, north, up)):
        if not math.isnan(row[M_VE + k]):
            found.append((np.append(zero, axis), float(row[M_VE + k] - axis @ x[3:]), float(row[M_SV])))
    return found


def _polar_components(row: F8, site: F8, x: F8) -> list[tuple[F8, float, float]]:
    east, north, up = site[3:6], site[6:9], site[9:12]
    line = x[:3] - site[:3]
    e, n, u = east @ line, north @ line, up @ line
    range_m = float(np.linalg.norm(line))
    ground_m = max(math.hypot(e, n), 1.0)
    polar = row[M_KIND] == PlotKind.POLAR
    zero = np.zeros(3)
    found = []
    if polar:
        found.append((np.append(line / range_m, zero), float(row[M_A] - range_m), float(row[M_SA])))
    if not math.isnan(row[M_B]):
        gradient = (n * east - e * north) / ground_m**2
        found.append((np.append(gradient, zero), _wrapped(row[M_B] - math.atan2(e, n)), float(row[M_SB])))
    if not math.isnan(row[M_C]):
        gradient = (up - u / range_m**2 * line) / ground_m
        missed = _wrapped(row[M_C] - math.atan2(u, math.hypot(e, n)))
        found.append((np.append(gradient, zero), missed, float(row[M_SC])))
    if polar and not math.isnan(row[M_H]):
        lat, lon, height_m = geodetic_1(x[0], x[1], x[2])
        found.append((np.append(enu_axes(lat, lon)[0, 2], zero), float(row[M_H] - height_m), float(row[M_SH])))
    if polar and not math.isnan(row[M_RATE]):
        steep = math.atan2(u, math.hypot(e, n)) if math.isnan(row[M_C]) else row[M_C]
        level = math.sin(row[M_B]) * east + math.cos(row[M_B]) * north
        sight = math.cos(steep) * level + math.sin(steep) * up
        along = float(sight @ x[3:])
        across = math.sqrt(max(float(x[3:] @ x[3:]) - along**2, 0.0))
        found.append((np.append(zero, sight), float(row[M_RATE] - along), math.hypot(row[M_SRATE], across * row[M_SB])))
    return found


def _wrapped(angle_rad: float) -> float:
    return math.remainder(angle_rad, 2 * math.pi)


def linearise(row: F8, sites: F8, x: F8) -> tuple[F8, F8, F8]:
    """A measurement row (ROW,) seen from a state (6,): Jacobian (m, 6), innovation (m,), noise covariance (m, m).

    `sites` (n, 15) is the table that the row's M_SITE points into. Rows of the Jacobian are the measured components
    in the order of params.py, position in its first three columns, velocity in the others.
    """
    if row[M_KIND] == PlotKind.POSITION:
        found = _position_components(row, x)
    else:
        found = _polar_components(row, sites[int(row[M_SITE])], x)
    jacobian = np.array([h for h, _, _ in found]).reshape(-1, 6)
    return jacobian, np.array([y for _, y, _ in found]), np.diag([s**2 for _, _, s in found])


class ReferenceImm:
    """Three filterpy extended Kalman filters, mixed as params.py and this file's head say.

    Attributes: `x` (6,), `P` (6, 6) moments of the mixture, ECEF m and m/s; `mode` (3,) probabilities; `xs` (3, 6),
    `Ps` (3, 6, 6) the models' own; `log_likelihood` of the mixture at the last update.
    """

    def __init__(self, x: F8, P: F8, params: ImmParams | None = None) -> None:
        from filterpy.kalman import ExtendedKalmanFilter  # judges and tests only: not worth its import on every start

        self.params = params or ImmParams()
        self.mode: F8 = np.array(self.params.start, np.float64)
        self.log_likelihood = math.nan
        self._filters: list[Any] = []
        for _ in range(MODELS):
            model = ExtendedKalmanFilter(dim_x=6, dim_z=1)
            model.x = np.array(x, np.float64)
            model.P = np.array(P, np.float64)
            self._filters.append(model)
        self._combine()

    def predict(self, dt_s: float) -> None:
        """Mix the models and move them dt_s >= 0 seconds on. Raises ValueError for a negative or non-finite dt_s."""
        if not 0.0 <= dt_s < math.inf:
            raise ValueError(f"cannot predict by {dt_s} s")
        p = transition_probabilities(self.params, dt_s)
        flow = p * self.mode[:, None]  # from i to j
        self.mode = flow.sum(axis=0)
        xs, Ps = self.xs.copy(), self.Ps.copy()
        for j, model in enumerate(self._filters):
            if self.mode[j] > 0.0:
                model.x, model.P = _moments(flow[:, j] / self.mode[j], xs, Ps)
            model.F, model.Q = motion(self.params, j, dt_s, model.x)
            model.predict()
        self._combine()

    def update(self, row: F8, sites: F8) -> float:
        """Fuse one measurement row (ROW,) at the time predicted to; returns the mixture's log-likelihood."""
        logs = np.array([_correct(model, row, sites) for model in self._filters])
        best = float(logs.max())
        weighed = self.mode * np.exp(logs - best)
        self.mode = weighed / weighed.sum()
        self.log_likelihood = best + math.log(float(weighed.sum()))
        self._combine()
        return self.log_likelihood

    def _combine(self) -> None:
        self.xs: F8 = np.array([model.x for model in self._filters])
        self.Ps: F8 = np.array([model.P for model in self._filters])
        self.x, self.P = _moments(self.mode, self.xs, self.Ps)


def _correct(model: Any, row: F8, sites: F8) -> float:
    """Update one filterpy filter with a row; the log-likelihood of the row under it."""
    jacobian, innovation, noise = linearise(row, sites, model.x)
    predicted = np.zeros(len(innovation))  # filterpy subtracts this: the innovation is already a difference
    model.update(innovation, HJacobian=lambda _: jacobian, Hx=lambda _: predicted, R=noise)
    return _log_density(innovation, model.S)


def _moments(weights: F8, xs: F8, Ps: F8) -> tuple[F8, F8]:
    """Mean (6,) and covariance (6, 6) of a mixture of Gaussians."""
    mean = np.asarray(weights @ xs)
    cov = np.zeros((6, 6))
    for w, x, P in zip(weights, xs, Ps, strict=True):
        cov += w * (P + np.outer(x - mean, x - mean))
    return mean, cov


def _log_density(innovation: F8, S: F8) -> float:
    """Log of the zero-mean normal density of covariance S (m, m) at an innovation (m,)."""
    _, log_det = np.linalg.slogdet(S)
    spread = float(innovation @ np.linalg.solve(S, innovation))
    return -0.5 * (len(innovation) * math.log(2 * math.pi) + float(log_det) + spread)
