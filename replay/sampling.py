"""Truth and tracks side by side at the samples: what is in view, who is near whom, GOSPA and OSPA of each sample."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree

from fusion import geo
from fusion.schema import B1, F8, I8
from replay import pairing
from replay.pairing import NONE, Gospa
from replay.scorefiles import States, TruthFile
from replay.siap import Sampled

BRIDGED_MS = 15_000  # out of view for no longer than this is still in view: a turn of a slow radar, and a missed one
SHORTEST_MS = 20_000  # what is in view for less than this nobody can be asked to track
OSPA_ORDER, GOSPA_ORDER = 1.0, 2.0

Origin = tuple[float, float] | None


def places(lat_rad: ArrayLike, lon_rad: ArrayLike, origin_rad: Origin) -> F8:
    """Points whose distances are horizontal: foot points on the ellipsoid (n, 3), or in the plane at origin (n, 2).

    Straight lines between foot points are short of geodesics by 1e-6 of 30 km. The plane that touches the ellipsoid at
    an origin is what many trackers and judges reckon in; it shortens distances by 0.1 % at 300 km from there.
    """
    feet = geo.ecef(lat_rad, lon_rad, 0.0)
    if origin_rad is None:
        return feet
    lat, lon = origin_rad
    return np.asarray((feet - geo.ecef(lat, lon, 0.0)) @ geo.enu_axes(lat, lon)[0, :2].T)


@dataclass(frozen=True, slots=True)
class Grid:
    """The times of the samples."""

    start_ms: int
    step_ms: int
    end_ms: int  # what is later does not count

    @property
    def samples(self) -> int:
        """How many there are."""
        return max(0, (self.end_ms - self.start_ms) // self.step_ms + 1)

    def rows(self, states: States) -> tuple[I8, I8]:
        """The rows that lie on samples, and their samples."""
        since = states.time_ms - self.start_ms
        rows = np.flatnonzero((since >= 0) & (states.time_ms <= self.end_ms) & (since % self.step_ms == 0))
        return rows, since[rows] // self.step_ms


@dataclass(frozen=True, slots=True)
class Stretches:
    """From when to when objects were in view, in order of object, then of time; all (n,)."""

    who: I8
    first_ms: I8
    last_ms: I8

    def of(self, who: I8, time_ms: I8) -> I8:
        """The stretch that each (who, time) lies in, NONE outside of all."""
        span = int(max(self.last_ms.max(), time_ms.max(initial=0))) + 1
        low = int(min(self.first_ms.min(), time_ms.min(initial=0)))
        width = span - low
        row = np.searchsorted(self.who * width + (self.first_ms - low), who * width + (time_ms - low), side="right") - 1
        inside = (row >= 0) & (self.who[row] == who) & (time_ms <= self.last_ms[row])
        return np.where(inside, row, NONE)


def stretches(truth: TruthFile, end_ms: int) -> Stretches:
    """Objects in view until `end_ms`, gaps bridged, what is short left out. Raises ValueError when nothing is left."""
    rows = np.flatnonzero(truth.seen & (truth.states.time_ms <= end_ms))
    who, time_ms = truth.states.who[rows], truth.states.time_ms[rows]
    order = np.lexsort((time_ms, who))
    who, time_ms = who[order], time_ms[order]
    broken = (np.diff(who) != 0) | (np.diff(time_ms) > BRIDGED_MS)
    first = np.flatnonzero(np.concatenate([[True], broken])) if len(rows) else np.empty(0, np.int64)
    last = np.append(first[1:], len(rows)) - 1
    long = time_ms[last] - time_ms[first] >= SHORTEST_MS if len(first) else np.zeros(0, np.bool_)
    if not long.any():
        raise ValueError(f"no object is in view for {SHORTEST_MS // 1_000} s before the end")
    first, last = first[long], last[long]
    return Stretches(who[first], time_ms[first], time_ms[last])


@dataclass(frozen=True, slots=True)
class Side:
    """The states of one side at the samples, in order of sample."""

    row: I8  # (n,) in the file
    sample: I8  # (n,)
    place_m: F8  # (n, d)
    velocity_mps: F8  # (n, 2)

    @classmethod
    def cut(cls, states: States, grid: Grid, origin_rad: Origin) -> Side:
        """Take what lies on samples."""
        row, sample = grid.rows(states)
        velocity = np.stack([states.east_mps[row], states.north_mps[row]], axis=1)
        return cls(row, sample, places(states.lat_rad[row], states.lon_rad[row], origin_rad), velocity)

    def take(self, which: B1) -> Side:
        """Some of the states."""
        return Side(self.row[which], self.sample[which], self.place_m[which], self.velocity_mps[which])

    def known_as(self, who: I8) -> Sampled:
        """The same for SIAP."""
        return Sampled(who, self.sample, self.place_m, self.velocity_mps)

    def count(self, samples: int) -> I8:
        """How many states each sample has, (samples,)."""
        return np.bincount(self.sample, minlength=samples)

    def apart(self, reach_m: float) -> F8:
        """The places with one axis more that puts samples so far apart that nothing within reach is of another."""
        return np.column_stack([self.place_m, self.sample * (2.0 * reach_m)])


def near_what(truth: Side, stretch: I8, tracks: Side, threshold_m: float) -> tuple[I8, B1]:
    """For each state of a track the nearest stretch within the threshold (NONE), and whether it is to be ignored."""
    in_view = stretch != NONE
    where = tracks.apart(threshold_m)
    away_m, row = _query(truth.take(in_view).apart(threshold_m), where)
    hidden_m, _ = _query(truth.take(~in_view).apart(threshold_m), where)
    close = away_m < threshold_m
    nearest = np.full(len(where), NONE)
    nearest[close] = stretch[in_view][row[close]]
    return nearest, (hidden_m < threshold_m) & ~close


def _query(among_m: F8, places_m: F8) -> tuple[F8, I8]:
    """Distance to the nearest point and its row; infinity where there is none."""
    if not len(among_m) or not len(places_m):
        return np.full(len(places_m), np.inf), np.zeros(len(places_m), np.int64)
    distance, row = cKDTree(among_m).query(places_m)
    return np.asarray(distance), np.asarray(row, np.int64)


def compare(truth: Side, tracks: Side, samples: int, cut_off_m: float) -> tuple[Gospa, F8, B1]:
    """GOSPA and OSPA of each sample, and which states of objects have a track of their own (GOSPA)."""
    near = pairing.near_pairs(truth.apart(cut_off_m), tracks.apart(cut_off_m), cut_off_m)
    counts = truth.count(samples), tracks.count(samples)
    for_gospa = pairing.assign(near, cut_off_m, GOSPA_ORDER)
    for_ospa = pairing.assign(near, cut_off_m, OSPA_ORDER)
    paired = np.zeros(len(truth.row), np.bool_)
    paired[for_gospa.truth] = True
    return (
        pairing.gospa(for_gospa, truth.sample[for_gospa.truth], *counts, cut_off_m, GOSPA_ORDER),
        pairing.ospa(for_ospa, truth.sample[for_ospa.truth], *counts, cut_off_m, OSPA_ORDER),
        paired,
    )


def first_tracked(truth: TruthFile, tracks: States, end_ms: int, threshold_m: float, origin_rad: Origin) -> F8:
    """When each object first had a confirmed track within the threshold, at or after its first hit, (objects,) in s.

    Every time of the tracks at which the truth has states is looked at, not only samples. NaN never.
    """
    found_s = np.full(len(truth.names), np.nan)
    times_ms = np.unique(tracks.time_ms[tracks.time_ms <= end_ms])
    for time_ms in times_ms.tolist():
        here = truth.states.at(time_ms)
        rows = np.arange(here.start, here.stop)
        who = truth.states.who[rows]
        waiting = np.isnan(found_s[who]) & (truth.first_hit_s[who] * 1_000 <= time_ms)
        if not waiting.any():
            continue
        rows, who, said = rows[waiting], who[waiting], tracks.at(time_ms)
        among_m = places(tracks.lat_rad[said], tracks.lon_rad[said], origin_rad)
        away_m, _ = _query(among_m, places(truth.states.lat_rad[rows], truth.states.lon_rad[rows], origin_rad))
        found_s[who[away_m < threshold_m]] = time_ms / 1_000
    return found_s
