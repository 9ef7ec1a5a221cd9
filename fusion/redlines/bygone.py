"""What was known of tracks that ended, for those that begin where they would be now.

A radar loses what it hardly sees and finds it again under a new number: birds between two thermals, a balloon, a wind
turbine whose blades stand still for a while. What it was is not forgotten with its number. The new track is its heir
when it begins where the old one would have flown to, and for as long as it moves as that did.

- What flew is remembered for `FLOWN_US`. Its heir begins within three sigmas of where it would be, the sigma growing
  with `STRAY_MPS`.
- What stands beside it and is still seen may be split in two by its own echo: the second track is an heir too.
- What stood, no further than `STOOD_M` from where it was first seen for `STOOD_S`, is remembered for `PLACE_US`: its
  heir begins within `STOOD_M` of it.

At most `MOST` are remembered; when there are more, those that ended first go.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from fusion.schema import B1, F8, I8, US_PER_S

FLOWN_US = 120 * US_PER_S  # after which something slow may be anywhere within kilometres
PLACE_US = 3_600 * US_PER_S  # a turbine that stood still for longer is new again, for half a minute
STRAY_MPS = 4.0  # one sigma of how far birds and balloons stray from where they were flying, per second of silence
STOOD_M = 300.0  # echoes of turbines wander by so much; turbines stand as far apart
FARTHEST_M = 3_000.0  # from where it would be, however uncertain: beyond, others are as likely
STOOD_S = 120.0  # nothing that is flown across a border stands still for so long before
ALIKE_MPS = 10.0  # an heir moves as the old one did, within this and three sigmas: drones are faster than birds by more
NEAREST = 8  # that are looked at: no more tracks than this end within FARTHEST_M of each other, but in crowds
MOST = 2_000  # a night beside a wind farm loses some hundred tracks an hour


@dataclass(frozen=True, slots=True)
class Past:
    """What is remembered of tracks: struct of arrays, one row a track."""

    end_us: I8  # (n,) time of the place
    xyz_m: F8  # (n, 3) ECEF
    velocity_mps: F8  # (n, 3)
    sigma_m: F8  # (n,) of the place, horizontal
    stood: B1  # (n,)
    sums: F8  # (n, k) what was known

    def __len__(self) -> int:
        return len(self.end_us)

    def take(self, rows: B1 | I8) -> Past:
        """Only these rows."""
        return Past(*(getattr(self, f.name)[rows] for f in fields(self)))

    def with_rows(self, more: Past) -> Past:
        """These and more."""
        return Past(*(np.concatenate([getattr(self, f.name), getattr(more, f.name)]) for f in fields(self)))


def nothing(width: int) -> Past:
    """No row, of so many columns of what is known."""
    none = np.empty(0)
    rows = np.empty((0, 3))
    return Past(np.empty(0, np.int64), rows, rows, none, np.empty(0, np.bool_), np.empty((0, width)))


class Bygone:
    """Tracks that ended, in order of when."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.past = nothing(width)

    def clear(self) -> None:
        """Forget everything."""
        self.past = nothing(self._width)

    def add(self, ended: Past, now_us: int) -> None:
        """Remember these too; forget what is too old, and the oldest of too many."""
        past = self.past.with_rows(ended)
        lasts_us = np.where(past.stood, PLACE_US, FLOWN_US)
        self.past = past.take(np.flatnonzero(now_us - past.end_us <= lasts_us)[-MOST:])

    def snapshot(self) -> dict[str, Any]:
        """All that it remembers."""
        return {f.name: getattr(self.past, f.name).copy() for f in fields(Past)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.past = Past(*(state[f.name].copy() for f in fields(Past)))


def heirs(past: Past, xyz_m: F8, sigma_m: F8, now_us: int) -> I8:
    """(n,) the row of `past` that something which begins at these places (n, 3) may go on from; -1 none.

    The nearest that may be, among the `NEAREST` nearest.
    """
    if not len(past) or not len(xyz_m):
        return np.full(len(xyz_m), -1, np.int64)
    dt_s = (now_us - past.end_us) / US_PER_S
    moved_m = np.where(past.stood[:, None], 0.0, past.velocity_mps * dt_s[:, None])
    stray_m = np.where(past.stood, 0.0, STRAY_MPS * dt_s)
    young = now_us - past.end_us <= np.where(past.stood, PLACE_US, FLOWN_US)
    away_m, at = cKDTree(past.xyz_m + moved_m).query(xyz_m, k=range(1, NEAREST + 1), distance_upper_bound=FARTHEST_M)
    row = np.minimum(at, len(past) - 1)  # beyond the last where there is none, infinitely far away
    open_m = 3.0 * np.sqrt(sigma_m[:, None] ** 2 + past.sigma_m[row] ** 2 + stray_m[row] ** 2)
    away_m = np.where((away_m <= open_m + STOOD_M * past.stood[row]) & young[row], away_m, np.inf)
    first = np.argmin(away_m, axis=1)
    every = np.arange(len(xyz_m))
    return np.where(np.isfinite(away_m[every, first]), row[every, first], -1)
