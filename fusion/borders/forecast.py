"""What is ahead of every track: when and where it will cross, which warning band it is in, what it flies towards.

Once a second every row is looked at. Three things are remembered of each: how its course has turned of late, where it
was predicted to be (two predictions, half a minute and a minute old), and the bands it is in. Between two looks times
run down with the clock. Memory has as many rows as the table.

Turn. Courses of the last plots, fitted by a line that forgets, give a rate and its sigma. Most objects fly straight
most of the time, so the rate is weighed: the probability that it turns at all is that of a mixture, a narrow one about
zero and a wide one (`sigma_rate_radps`), by the fit.

Divergence. Where a track now is, is held against where it was predicted to be. When it is outside the region of 99 %
for several plots in a row, it has diverged, and by how much is kept. A turn that was going on may end at any time
without that. It says that the path changed, and nothing of why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from fusion.borders import arc, bands, turning
from fusion.borders.bands import Bands
from fusion.borders.outlook import INDICES, NEAR_AREA_M, Area, Forecast
from fusion.borders.protected import build
from fusion.schema import B1, F8, I1, I2, I8, US_PER_S, Tracks
from fusion.zones import ZoneFacts, Zones

LOOK_US = US_PER_S
AHEAD_M = 100_000.0  # the border is looked for when it is so near: half an hour at 55 m/s; beyond, `zones` alone tells
PATH_M = 150_000.0  # and along so long a path: it may come in at a slant
AREA_AHEAD_M, AREA_PATH_M = 50_000.0, 60_000.0  # areas are smaller, and matter later


@dataclass(frozen=True, slots=True)
class ForecastParams:
    """The numbers of this file, each with its unit and reason; how paths are flown on stands in `ZoneParams`."""

    # m^2/s^3, white acceleration: an autopilot that corrects by 0.1 degrees a second for 8 s at 45 m/s has 0.1 across
    # its path and less along it. `ZoneParams` allows twice as much, for turns that it does not know.
    drift_q: float = 0.08
    turn_s: float = 20.0  # mean time that a turn goes on: 60 degrees at rate one
    turn_most_s: float = 60.0  # and the longest that is believed: rate one turns by half a circle
    p_turn_least: float = 0.08  # a turn less probable is not flown out: a steady straight course leaves 2 to 5 %
    area_horizon_s: float = 900.0  # a place is warned of no earlier: three bands of five minutes
    told_s: float = 120.0  # for so long a divergence is told


# Columns of what a look leaves, kept until the next.
_LATER = ("changed", "diverged", "diverged_m", "diverged_s", "area_names")
_KEPT = tuple(f.name for f in fields(Forecast) if f.name not in _LATER)
_COLUMN = {name: i for i, name in enumerate(_KEPT)}
_RUN_DOWN = ("time_s", "time_low_s", "time_high_s", "area_time_s")
_BAND, _TIME_BAND, _DEPTH_BAND = range(3)


class Forecaster:
    """Looks ahead for every track.

    Raises:
        ValueError: two areas of one id.
    """

    def __init__(
        self,
        zones: Zones,
        areas: Sequence[Area] = (),
        limits: Bands | None = None,
        params: ForecastParams | None = None,
    ) -> None:
        self.areas = build(areas)
        self.limits = limits or Bands()
        self.params = params or ForecastParams()
        self._flight = p = zones.params
        numbers = [p.horizon_s, p.speed_min_mps, p.drift_q, zones.accuracy_m]
        numbers[arc.DRIFT_Q] = self.params.drift_q
        numbers += [self.params.turn_s, self.params.turn_most_s, self.params.p_turn_least, PATH_M]
        self._border = arc.Ways(zones.border_tree, np.array(numbers))
        numbers[arc.ACCURACY] = 0.0  # each area has its own
        numbers[arc.HORIZON], numbers[arc.REACH] = self.params.area_horizon_s, AREA_PATH_M
        self._around = arc.Ways(self.areas.held.tree, np.array(numbers))
        self._names = tuple(area.name for area in self.areas.areas)
        self._clear(-1)

    def _clear(self, epoch: int) -> None:
        self._epoch = epoch
        self._slot = -1
        self._look_us = -1
        self._memory = turning.Memory.empty(0)
        self._kept: F8 = np.empty((0, len(_KEPT)))
        self._bands: I1 = np.empty((0, 3), np.int8)

    def step(self, tracks: Tracks, facts: ZoneFacts, now_us: int) -> Forecast:
        """What is ahead of every row of the table."""
        if tracks.epoch != self._epoch:
            self._clear(tracks.epoch)
        self._align(tracks)
        changed = np.zeros(len(tracks), np.bool_)
        if now_us // LOOK_US != self._slot:
            self._slot = now_us // LOOK_US
            self._look_us = now_us
            changed = self._look(tracks, facts, now_us)
        return self._forecast(changed, now_us)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        return {
            "epoch": self._epoch,
            "slot": self._slot,
            "look_us": self._look_us,
            "memory": self._memory.snapshot(),
            "arrays": (self._kept.copy(), self._bands.copy()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._clear(state["epoch"])
        self._slot, self._look_us = state["slot"], state["look_us"]
        self._memory = turning.Memory.restored(state["memory"])
        self._kept, self._bands = (array.copy() for array in state["arrays"])

    def _align(self, tracks: Tracks) -> None:
        """Rows of the memory in the order of the table; a new row knows nothing."""
        if np.array_equal(self._memory.id, tracks.id):
            return
        known = self._memory.id
        at = np.minimum(np.searchsorted(known, tracks.id), max(len(known) - 1, 0))
        old = known[at] == tracks.id if len(known) else np.zeros(len(tracks), np.bool_)
        kept, held = np.full((len(tracks), len(_KEPT)), np.nan), np.zeros((len(tracks), 3), np.int8)
        kept[old], held[old] = self._kept[at[old]], self._bands[at[old]]
        self._memory = self._memory.aligned(tracks.id, at, old)
        self._kept, self._bands = kept, held

    def _look(self, tracks: Tracks, facts: ZoneFacts, now_us: int) -> B1:
        """Look at every row; (n,) what is to be told at once."""
        diverged = self._memory.look(tracks, facts, self.params.turn_s, self._flight.drift_q)
        rows = np.full((len(tracks), 8), np.nan)
        rows[:, arc.LAT], rows[:, arc.LON] = facts.lat_rad, facts.lon_rad
        rows[:, arc.SPEED], rows[:, arc.COURSE] = facts.speed_mps, facts.course_rad
        silent_s = np.maximum((tracks.t_us - tracks.update_us) / US_PER_S, 0.0)
        turn = self._memory.turn
        # A turn that nobody sees may have ended since.
        rows[:, arc.P_TURN] = turn[:, turning.P_TURN] * np.exp(-silent_s / self.params.turn_s)
        rows[:, arc.TURN], rows[:, arc.SIGMA_TURN] = turn[:, turning.RATE], turn[:, turning.SIGMA_RATE]
        self._kept[:] = np.nan
        self._put("turn_radps", turn[:, turning.RATE])
        self._put("sigma_turn_radps", turn[:, turning.SIGMA_RATE])
        self._put("p_turn", rows[:, arc.P_TURN])
        cov = np.ascontiguousarray(tracks.cov)
        self._ahead(facts, cov, rows)
        self._protect(facts, cov, rows)
        return self._warn(facts) | diverged

    def _put(self, name: str, value: F8 | I2 | I8 | B1, rows: B1 | slice = slice(None)) -> None:
        self._kept[rows, _COLUMN[name]] = value

    def _get(self, name: str) -> F8:
        found: F8 = self._kept[:, _COLUMN[name]].copy()
        return found

    def _ahead(self, facts: ZoneFacts, cov: F8, rows: F8) -> None:
        """When and where each row crosses the border."""
        rows[:, arc.DISTANCE] = facts.distance_m
        seen = np.asarray((facts.distance_m > 0.0) & (facts.distance_m <= AHEAD_M))
        out, _ = self._predict(self._border, cov, rows, seen)
        likely = seen & (out[:, arc.P] >= 0.5)
        self._put("p_crossing", out[seen, arc.P], seen)
        for name, column in (
            ("time_s", arc.TIME),
            ("time_low_s", arc.LOW),
            ("time_high_s", arc.HIGH),
            ("sigma_time_s", arc.SIGMA),
            ("crossing_lat_rad", arc.CROSSING_LAT),
            ("crossing_lon_rad", arc.CROSSING_LON),
            ("sigma_place_m", arc.PLACE),
        ):
            self._put(name, out[likely, column], likely)

    def _predict(self, ways: arc.Ways, cov: F8, rows: F8, where: B1) -> tuple[F8, I8]:
        """((n, 8) as in `arc.predict_1`, (n,) line crossed) of the rows that can get there; the others NaN and -1."""
        out, line = np.full((len(rows), 8), np.nan), np.full(len(rows), -1, np.int64)
        out[where, arc.P] = 0.0
        speed = rows[:, arc.SPEED]
        near = (speed >= self._flight.speed_min_mps) & (rows[:, arc.DISTANCE] <= speed * ways.numbers[arc.HORIZON])
        which = np.flatnonzero(where & near & ~np.isnan(rows[:, arc.COURSE])).astype(np.int64)
        if len(which):
            arc.predict(ways, cov, rows, which, out, line)
        return out, line

    def _protect(self, facts: ZoneFacts, cov: F8, rows: F8) -> None:
        """Which protected area each row is in, near or on its way to."""
        if not self._names:
            return
        held = self.areas
        area, distance = held.where(facts.lat_rad, facts.lon_rad)
        at = np.maximum(area, 0)
        some = area >= 0
        rows[:, arc.DISTANCE] = distance
        out, line = self._predict(self._around, cov, rows, np.asarray((distance > 0.0) & (distance <= AREA_AHEAD_M)))
        sure = (line >= 0) & (out[:, arc.P] >= 0.5)
        ahead = np.where(sure, held.held.tree.owner[np.maximum(line, 0)], -1)
        own = np.where(sure, held.accuracy_m[np.maximum(ahead, 0)], 0.0)
        spread = np.hypot(out[:, arc.SIGMA], own / np.maximum(facts.speed_mps, self._flight.speed_min_mps))
        self._put("area", area)
        self._put("area_distance_m", distance)
        self._put("sigma_area_m", np.hypot(facts.sigma_horizontal_m, held.accuracy_m[at])[some], some)
        agl = np.where(facts.height_known, facts.agl_m, np.nan)
        self._put("within_area", (distance <= 0.0) & held.at_height(area, agl))
        self._put("ahead", ahead)
        self._put("area_time_s", np.where(sure, out[:, arc.TIME], np.nan))
        self._put("sigma_area_time_s", np.where(sure, spread, np.nan))
        kind = np.where(sure & ~(distance <= NEAR_AREA_M), ahead, area)
        self._put("area_kind", np.where(kind >= 0, held.kind[np.maximum(kind, 0)], -1))
        near = np.where(some & (distance <= NEAR_AREA_M), held.severity[at], np.nan)
        coming = np.where(sure, held.severity[np.maximum(ahead, 0)], np.nan)
        self._put("area_severity", np.fmin(near, coming))

    def _warn(self, facts: ZoneFacts) -> B1:
        """Bring the bands up to date; (n,) where a nearer or deeper one was entered."""
        limits, before = self.limits, self._bands.copy()
        outside, inside = facts.distance_m > 0.0, facts.distance_m <= 0.0
        # Inside, the nearest band stays held, so that leaving again is no news.
        near = bands.nearer(before[:, _BAND], facts.distance_m, limits.distance_m, limits.leave_distance)
        time = np.where(self._get("p_crossing") >= limits.p_time, self._get("time_s"), np.nan)
        soon = bands.nearer(before[:, _TIME_BAND], time, limits.time_s, limits.leave_time)
        soon = np.where(inside, before[:, _TIME_BAND], soon)
        deep = bands.deeper(before[:, _DEPTH_BAND], -facts.distance_m, limits.depth_m, limits.leave_distance)
        self._bands = np.column_stack([near, soon, deep]).astype(np.int8)
        self._put("band_m", np.where(outside, bands.limit_of(near, limits.distance_m), np.nan))
        self._put("time_band_s", np.where(outside, bands.limit_of(self._bands[:, _TIME_BAND], limits.time_s), np.nan))
        self._put("depth_band_m", np.where(inside, bands.limit_of(deep, limits.depth_m), np.nan))
        return np.asarray((self._bands > before).any(axis=1), np.bool_)

    def _forecast(self, changed: B1, now_us: int) -> Forecast:
        """What the last look left, with times as they are now."""
        since_s = (now_us - self._look_us) / US_PER_S
        columns: dict[str, Any] = {name: self._kept[:, i].copy() for name, i in _COLUMN.items()}
        for name in _RUN_DOWN:
            columns[name] = np.maximum(columns[name] - since_s, 0.0)
        for name in INDICES:
            columns[name] = np.where(np.isnan(columns[name]), -1, columns[name]).astype(np.int16)
        columns["within_area"] = columns["within_area"] == 1.0
        when_us, by_m = self._memory.diverged_us, self._memory.diverged_m
        ago_s = np.where(when_us >= 0, (now_us - when_us) / US_PER_S, np.nan)
        return Forecast(
            **columns,
            changed=changed,
            diverged=ago_s <= self.params.told_s,
            diverged_m=by_m.copy(),
            diverged_s=ago_s,
            area_names=self._names,
        )
