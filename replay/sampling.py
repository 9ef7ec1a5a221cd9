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

    def edges(self, samples: int) -> I8:
        """Where each sample begins, (samples + 1,)."""
        return np.searchsorted(self.sample, np.arange(samples + 1))


def near_what(truth: Side, stretch: I8, tracks: Side, samples: int, threshold_m: float) -> tuple[I8, B1]:
    """For each state of a track the nearest stretch within the threshold (NONE), and whether it is to be ignored."""
    nearest, ignored = np.full(len(tracks.row), NONE), np.zeros(len(tracks.row), np.bool_)
    truth_edges, track_edges = truth.edges(samples), tracks.edges(samples)
    for k in range(samples):
        here, there = slice(*truth_edges[k : k + 2]), slice(*track_edges[k : k + 2])
        in_view = stretch[here] != NONE
        names = stretch[here][in_view]
        away_m, row = _query(truth.place_m[here][in_view], tracks.place_m[there])
        hidden_m, _ = _query(truth.place_m[here][~in_view], tracks.place_m[there])
        close = away_m < threshold_m
        nearest[there][close] = names[row[close]]
        ignored[there] = (hidden_m < threshold_m) & ~close
    return nearest, ignored


def _query(among_m: F8, places_m: F8) -> tuple[F8, I8]:
    """Distance to the nearest point and its row; infinity where there is none."""
    if not len(among_m) or not len(places_m):
        return np.full(len(places_m), np.inf), np.zeros(len(places_m), np.int64)
    distance, row = cKDTree(among_m).query(places_m)
    return np.asarray(distance), np.asarray(row, np.int64)


@dataclass(frozen=True, slots=True)
class Series:
    """GOSPA and OSPA of each sample; all (samples,)."""

    gospa_m: F8
    localisation_m: F8
    missed: I8
    false: I8
    ospa_m: F8


def compare(truth: Side, tracks: Side, samples: int, cut_off_m: float) -> tuple[Series, B1]:
    """GOSPA and OSPA over time, and which states of objects have a track of their own."""
    paired = np.zeros(len(truth.row), np.bool_)
    found: list[Gospa] = []
    ospa_m = np.empty(samples)
    truth_edges, track_edges = truth.edges(samples), tracks.edges(samples)
    for k in range(samples):
        here, there = slice(*truth_edges[k : k + 2]), slice(*track_edges[k : k + 2])
        near = pairing.near_pairs(truth.place_m[here], tracks.place_m[there], cut_off_m)
        counts = int(here.stop - here.start), int(there.stop - there.start)
        pairs = pairing.assign(near, cut_off_m, GOSPA_ORDER)
        paired[here][pairs.truth] = True
        found.append(pairing.gospa(*counts, pairs, cut_off_m, GOSPA_ORDER))
        ospa_m[k] = pairing.ospa(*counts, pairing.assign(near, cut_off_m, OSPA_ORDER), cut_off_m, OSPA_ORDER)
    columns = [(g.total_m, g.localisation_m, g.missed, g.false) for g in found]
    total, localisation, missed, false = np.array(columns).reshape(-1, 4).T
    return Series(total, localisation, missed.astype(np.int64), false.astype(np.int64), ospa_m), paired


def first_tracked(truth: TruthFile, tracks: States, end_ms: int, threshold_m: float, origin_rad: Origin) -> F8:
    """When each object first had a confirmed track within the threshold, at or after its first hit, (objects,) in s.

    Every time of the tracks at which the truth has states is looked at, not only samples. NaN never.
    """
    found_s = np.full(len(truth.names), np.nan)
    times_ms = np.unique(tracks.time_ms[tracks.time_ms <= end_ms])
    for time_ms in times_ms.tolist():
        rows = np.arange(len(truth.states))[truth.states.at(time_ms)]
        who = truth.states.who[rows]
        waiting = np.isnan(found_s[who]) & (truth.first_hit_s[who] * 1_000 <= time_ms)
        if not waiting.any():
            continue
        rows, who, said = rows[waiting], who[waiting], tracks.at(time_ms)
        among_m = places(tracks.lat_rad[said], tracks.lon_rad[said], origin_rad)
        away_m, _ = _query(among_m, places(truth.states.lat_rad[rows], truth.states.lon_rad[rows], origin_rad))
        found_s[who[away_m < threshold_m]] = time_ms / 1_000
    return found_s
