"""filterpy's Kalman filter and its IMM estimator, on (x, vx, y, vy) of the plane: constant velocity, white noise."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from filterpy.kalman import IMMEstimator, KalmanFilter

from fusion.schema import F8

H_PLACE = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0]])
H_ALL = np.array([[1.0, 0, 0, 0], [0, 0, 1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])


class Filter(Protocol):
    """What a track needs of its filter."""

    x: F8
    P: F8

    def predict(self, dt_s: float) -> None:
        """Move on by dt_s."""

    def update(self, z: F8, cov: F8) -> None:
        """Fuse a place (2,), or a place and a velocity (4,)."""


def transition(dt_s: float) -> F8:
    """Constant velocity."""
    f = np.eye(4)
    f[0, 1] = f[2, 3] = dt_s
    return f


def noise(dt_s: float, q: float) -> F8:
    """White acceleration of spectral density q, m2/s3."""
    block = q * np.array([[dt_s**3 / 3, dt_s**2 / 2], [dt_s**2 / 2, dt_s]])
    out = np.zeros((4, 4))
    out[:2, :2] = out[2:, 2:] = block
    return out


def _start(x: F8, cov: F8) -> Any:
    kf = KalmanFilter(dim_x=4, dim_z=2)
    kf.x, kf.P = x.reshape(4, 1).copy(), cov.copy()
    return kf


class Kalman:
    """One model."""

    def __init__(self, x: F8, cov: F8, q: float) -> None:
        self._kf, self._q = _start(x, cov), q
        self.x, self.P = x, cov

    def predict(self, dt_s: float) -> None:
        """See Filter."""
        self._kf.predict(F=transition(dt_s), Q=noise(dt_s, self._q))

    def update(self, z: F8, cov: F8) -> None:
        """See Filter."""
        self._kf.update(z.reshape(-1, 1), R=cov, H=H_PLACE if len(z) == 2 else H_ALL)
        self.x, self.P = self._kf.x[:, 0], self._kf.P


class Imm:
    """Two or more constant-velocity models of different noise; `stay_s` is the mean time in a mode."""

    def __init__(self, x: F8, cov: F8, q: tuple[float, ...], stay_s: tuple[float, ...]) -> None:
        self._q, self._stay_s = q, np.array(stay_s)
        self._imm = IMMEstimator([_start(x, cov) for _ in q], np.full(len(q), 1.0 / len(q)), self._jumps(1.0))
        self.x, self.P = x, cov

    def _jumps(self, dt_s: float) -> F8:
        stay = np.exp(-dt_s / self._stay_s)
        n = len(stay)
        jumps: F8 = np.where(np.eye(n, dtype=bool), stay[:, None], (1.0 - stay[:, None]) / (n - 1))
        return jumps

    def predict(self, dt_s: float) -> None:
        """See Filter."""
        imm = self._imm
        imm.M = self._jumps(dt_s)
        imm._compute_mixing_probabilities()  # filterpy mixes with the matrix of the last update; ours depends on dt
        for one, q in zip(imm.filters, self._q, strict=True):
            one.F, one.Q = transition(dt_s), noise(dt_s, q)
        imm.predict()

    def update(self, z: F8, cov: F8) -> None:
        """See Filter."""
        for one in self._imm.filters:
            one.dim_z, one.H, one.R = len(z), H_PLACE if len(z) == 2 else H_ALL, cov
        self._imm.update(z.reshape(-1, 1))
        self.x, self.P = self._imm.x[:, 0], self._imm.P
