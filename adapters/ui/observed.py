"""How far each sensor was seen to see: by direction, the farthest object that it took part in, low ones apart.

What counts is a confirmed track in the picture that names the sensor among those of its last half minute: so far may an
object be from where the sensor had it. It begins anew with the page's process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.ui.picture import Row
from fusion import geo
from fusion.schema import F8, SensorSpec

BINS = 72  # of 5 degrees
BELOW = 2.0  # what flew at most twice as high above ground counts for a height
HEIGHTS_M = (50.0, 150.0, 500.0)  # that the page's key goes through


class Observed:
    """The farthest of every sensor with a place. `see` every picture."""

    def __init__(self, sensors: Sequence[SensorSpec]) -> None:
        self._sensors = {spec.id: spec for spec in sensors if spec.has_site}
        self._far_m: dict[str, F8] = {name: np.zeros((len(HEIGHTS_M), BINS)) for name in self._sensors}

    def see(self, rows: Sequence[Row]) -> None:
        """Tracks of one message."""
        for name, spec in self._sensors.items():
            seen = [
                (row.lat_deg, row.lon_deg, row.agl_m)
                for row in rows
                if row.agl_m is not None
                and row.agl_m <= BELOW * HEIGHTS_M[-1]
                and row.lat_deg is not None
                and row.lon_deg is not None
                and row.status == "confirmed"
                and name in row.sensors
            ]
            if seen:
                self._note(name, spec, np.array(seen, np.float64))

    def _note(self, name: str, spec: SensorSpec, places: F8) -> None:
        lat, lon, agl_m = np.radians(places[:, 0]), np.radians(places[:, 1]), places[:, 2]
        here = np.full(len(lat), spec.lat_rad), np.full(len(lat), spec.lon_rad)
        far_m, azimuth, _ = geo.inverse(*here, lat, lon)
        bins = np.minimum((azimuth % (2.0 * math.pi)) * (BINS / (2.0 * math.pi)), BINS - 1).astype(np.int64)
        near = far_m <= spec.range_max_m
        for level, height_m in enumerate(HEIGHTS_M):
            low = near & (agl_m <= BELOW * height_m)
            np.maximum.at(self._far_m[name][level], bins[low], far_m[low])

    def outlines(self, agl_m: float) -> list[tuple[str, list[list[float]]]]:
        """Sensor, and its outline as longitude and latitude in degrees, for one of HEIGHTS_M; where it saw anything."""
        if agl_m not in HEIGHTS_M:
            return []
        level, found = HEIGHTS_M.index(agl_m), list[tuple[str, list[list[float]]]]()
        for name, spec in self._sensors.items():
            far_m = self._far_m[name][level]
            if far_m.any():
                azimuth: F8 = np.repeat(np.linspace(0.0, 2.0 * math.pi, BINS + 1), 2)[1:-1]
                here = np.full(len(azimuth), spec.lat_rad), np.full(len(azimuth), spec.lon_rad)
                lat, lon, _ = geo.direct(*here, azimuth, np.repeat(far_m, 2))
                ring: list[Any] = np.round(np.degrees(np.stack([lon, lat], axis=-1)), 4).tolist()
                found.append((name, [*ring, ring[0]]))
        return found
