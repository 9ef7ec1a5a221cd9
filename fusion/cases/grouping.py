"""Is this object one of those? When several objects are one incident.

Objects that were sent together fly close, the same way, equally fast, or one after the other over the same place; two
groups that come from different sides are two incidents even where they meet. So a new object belongs to a known one
when, all at once, by the defaults of `GroupParams`:
- it is near where the known one is now (reckoned on with its course and speed for the time since it was last seen), or
  it was first alerted near where the known one was first alerted, and not long after;
- courses and speeds are alike;
- its course is not clearly another than that of the group as a whole: a chain of small differences may not turn round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.schema import B1, F8, I8, US_PER_S


@dataclass(frozen=True, slots=True)
class GroupParams:
    """What counts as near, alike and soon."""

    near_m: float = 10_000.0  # drones of one launch were seen 0.4 to 5 km apart; twice that for a late first detection
    course_rad: float = math.radians(30.0)  # turns at way points are not flown at once; a track's first course is vague
    spread_rad: float = math.radians(60.0)  # from the mean course of the whole group
    speed_mps: float = 15.0  # Gerbera and Shahed fly 33 to 50 m/s in one group
    soon_s: float = 600.0  # after this a place says nothing any more: 48 m/s are 29 km
    still_mps: float = 5.0  # below it a course means nothing, and two such objects have none to differ in


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an object was, and how it moved. NaN: not known."""

    t_us: int
    lat_rad: float
    lon_rad: float
    course_rad: float
    speed_mps: float


_COLUMNS = ("now_lat", "now_lon", "age_s", "course", "speed", "first_lat", "first_lon", "after_s")
_LEAST_RADIUS_M = 6_335_000.0  # of the meridian, at the equator
NOWHERE = Mark(-1, math.nan, math.nan, math.nan, math.nan)


class Groups:
    """The members of every group as one look sees them: reckoned on to `t_us` once, then asked for every new object.

    Groups are numbered from 0 in order of adding. Columns are arrays of (capacity,), of which `count` rows are used.
    """

    def __init__(self, t_us: int, params: GroupParams) -> None:
        self.t_us = t_us
        self.params = params
        self._count = 0
        self._group = np.empty(64, np.int64)
        self._rows = np.empty((64, len(_COLUMNS)))
        self._mean = np.zeros((64, 2))  # (groups, 2) sum of the courses as unit vectors, east and north

    def add(self, group: int, first: Mark, last: Mark) -> None:
        """A member of a group: when it was first alerted, and newest."""
        if self._count == len(self._group):
            self._group = np.concatenate([self._group, self._group])
            self._rows = np.concatenate([self._rows, self._rows])
        if group >= len(self._mean):
            self._mean = np.concatenate([self._mean, np.zeros_like(self._mean)])
        after_s = (self.t_us - first.t_us) / US_PER_S
        self._group[self._count] = group
        self._rows[self._count] = (*self._reckoned(last), first.lat_rad, first.lon_rad, after_s)
        self._count += 1
        if not math.isnan(last.course_rad):
            self._mean[group] += math.sin(last.course_rad), math.cos(last.course_rad)

    def nearest(self, new: Mark, allowed: Sequence[bool]) -> int:
        """The group that `new` belongs to, -1 none: of all `allowed` that fit, that of the nearest member, then the
        lowest. `allowed`: of every group."""
        if self._count == 0 or not any(allowed):
            return -1
        group, params = self._group[: self._count], self.params
        now_lat, now_lon, age_s, course, speed, lat, lon, after_s = self._rows[: self._count].T
        fits = np.asarray(allowed)[group] & self._alike(new, group, course, speed)
        # A place further north or south than this is further away: spares the geodesics
        band = params.near_m / _LEAST_RADIUS_M
        now = fits & (age_s <= params.soon_s) & (np.abs(now_lat - new.lat_rad) <= band)
        then = fits & (after_s <= params.soon_s) & (np.abs(lat - new.lat_rad) <= band)
        rows = np.concatenate([np.flatnonzero(now), np.flatnonzero(then)])
        if len(rows) == 0:
            return -1
        apart = geo.inverse(
            new.lat_rad,
            new.lon_rad,
            np.concatenate([now_lat[now], lat[then]]),
            np.concatenate([now_lon[now], lon[then]]),
        )[0]
        best = np.lexsort((group[rows], apart))[0]
        return int(group[rows[best]]) if apart[best] <= params.near_m else -1

    def _reckoned(self, last: Mark) -> tuple[float, float, float, float, float]:
        """Where it should be now, how long it was not seen, and how it moved."""
        age_s = (self.t_us - last.t_us) / US_PER_S
        lat, lon = last.lat_rad, last.lon_rad
        if 0.0 < age_s <= self.params.soon_s:
            lat, lon, _ = geo.direct_1(lat, lon, last.course_rad, age_s * last.speed_mps)
        return lat, lon, age_s, last.course_rad, last.speed_mps

    def _alike(self, new: Mark, group: I8, course: F8, speed: F8) -> B1:
        """(k,) courses and speeds fit, and the group as a whole does not fly another way."""
        params = self.params
        still = speed < params.still_mps
        if new.speed_mps < params.still_mps:
            way = still
        else:
            mean = np.arctan2(self._mean[:, 0], self._mean[:, 1])[group]
            same = np.abs(_turn(course - new.course_rad)) <= params.course_rad
            way = ~still & same & (np.abs(_turn(mean - new.course_rad)) <= params.spread_rad)
        return np.asarray(way & (np.abs(speed - new.speed_mps) <= params.speed_mps))


def _turn(angle_rad: F8) -> F8:
    """The same angles in [-pi, pi)."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi
