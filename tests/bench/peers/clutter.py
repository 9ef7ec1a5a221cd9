"""False plots of each radar by ring of range, learnt from plots that no published track took."""

from __future__ import annotations

import numpy as np

from fusion.schema import B1, F8, I8, SensorSpec
from tests.bench.peers.plane import Seen

RINGS = 25
MEMORY_SCANS = 5.0
LEAST_PER_RING = 0.05  # a ring that was quiet so far is not clean


class Clutter:
    """Mean false plots a scan in each ring; before anything was seen, what the sensor declares, even over its area."""

    def __init__(self, sensors: tuple[SensorSpec, ...]) -> None:
        self._range_m = np.array([spec.range_max_m for spec in sensors])
        self._fade_s = np.array([spec.period_s for spec in sensors]) * MEMORY_SCANS
        edges = np.linspace(0.0, 1.0, RINGS + 1) ** 2
        self._per_scan = np.array([spec.clutter_per_scan for spec in sensors])[:, None] * np.diff(edges)
        self._t = np.full(len(sensors), np.nan)

    def _ring(self, plots: Seen) -> I8:
        part = plots["a"] / self._range_m[plots["sensor"]]
        return np.asarray(np.clip((part * RINGS).astype(np.int64), 0, RINGS - 1))

    def log_density(self, plots: Seen) -> F8:
        """Log of false plots per scan and square metre where these radar plots (n,) are."""
        sensor = plots["sensor"]
        count = np.maximum(self._per_scan[sensor, self._ring(plots)], LEAST_PER_RING)
        width_m = self._range_m[sensor] / RINGS
        return np.asarray(np.log(count / (width_m * 2 * np.pi * np.maximum(plots["a"], 1_000.0))))

    def learn(self, plots: Seen, false: B1) -> None:
        """Take the plots of one slice of one radar, and which of them nobody took."""
        sensor, now_s = int(plots["sensor"][0]), float(plots["t"][-1])
        if now_s > self._t[sensor]:
            self._per_scan[sensor] *= np.exp(-(now_s - self._t[sensor]) / self._fade_s[sensor])
        self._t[sensor] = np.fmax(now_s, self._t[sensor])
        np.add.at(self._per_scan[sensor], self._ring(plots[false]), 1.0 / MEMORY_SCANS)
