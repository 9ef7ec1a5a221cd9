"""Who could have been heard, and who flies like an airliner: what `fusion/claims/witness.py` asks of a claim that
begins late.

An object past the range or under the horizon of every ADS-B receiver is silent through no fault of its own. Whether it
is there is asked of the sensors' places (`fusion/coverage.py`), with the doubt about its height against it: it is in
earshot already where the lower end of its height would be. A receiver without a site hears everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from fusion.claims.witness import AIRLINER_M, AIRLINER_MPS
from fusion.coverage import Coverage, visibility
from fusion.geo import ecef
from fusion.schema import B1, F8, I8, SensorKind, SensorSpec

SIGMAS = 2.33  # one side, 99 in 100
HEARD = 0.5  # of full view: at the edges of range and horizon
ALIKE_MPS, ALIKE_M = (
    30.0,
    600.0,
)  # a claim says what radar has within this and SIGMAS: pressure heights are off by 500 m


class Motion(Protocol):
    """The part of `ZoneFacts` that is looked at here; each (n,)."""

    @property
    def lat_rad(self) -> F8: ...
    @property
    def lon_rad(self) -> F8: ...
    @property
    def height_m(self) -> F8: ...
    @property
    def sigma_height_m(self) -> F8: ...
    @property
    def speed_mps(self) -> F8: ...
    @property
    def sigma_speed_mps(self) -> F8: ...
    @property
    def course_rad(self) -> F8: ...
    @property
    def agl_m(self) -> F8: ...
    @property
    def sigma_agl_m(self) -> F8: ...
    @property
    def height_known(self) -> B1: ...


class Earshot:
    """Places of the ADS-B receivers."""

    def __init__(self, sensors: Sequence[SensorSpec], coverage: Coverage | None = None) -> None:
        """`coverage` of the same sensors, where terrain or geoid are known."""
        rows = [n for n, spec in enumerate(sensors) if spec.kind == SensorKind.ADSB]
        known = coverage or Coverage(sensors)
        self._table, self._sites = known.table[rows], known.sites[rows]

    def surely(self, motion: Motion, rows: I8) -> B1:
        """(n,) whether some receiver hears what is at these rows of the table, by the lower end of their heights."""
        if not len(rows) or not len(self._table):
            return np.zeros(len(rows), np.bool_)
        lower_m = motion.height_m[rows] - SIGMAS * motion.sigma_height_m[rows]
        lower = ecef(motion.lat_rad[rows], motion.lon_rad[rows], lower_m)
        return np.asarray((visibility(self._table, self._sites, lower) >= HEARD).any(axis=1), np.bool_)


def surely_airliner(motion: Motion) -> B1:
    """(n,) faster and higher above ground than AIRLINER_* by SIGMAS; never where the height is not known."""
    fast = motion.speed_mps - SIGMAS * motion.sigma_speed_mps >= AIRLINER_MPS
    high = motion.agl_m - SIGMAS * motion.sigma_agl_m >= AIRLINER_M  # NaN is not
    return np.asarray(fast & high & motion.height_known, np.bool_)


def alike(east_mps: F8, north_mps: F8, height_m: F8, motion: Motion, rows: I8) -> B1:
    """(n,) whether claimed velocities and heights (n,), NaN unsaid, are those of these rows of the table."""
    speed, course = motion.speed_mps[rows], motion.course_rad[rows]
    apart_mps = np.hypot(east_mps - speed * np.sin(course), north_mps - speed * np.cos(course))
    like = apart_mps <= ALIKE_MPS + SIGMAS * motion.sigma_speed_mps[rows]
    apart_m = np.abs(height_m - motion.height_m[rows])
    return np.asarray(like & (apart_m <= ALIKE_M + SIGMAS * motion.sigma_height_m[rows]), np.bool_)
