"""Where each track was during the last hour: sparse, bounded, for sightings that come late, finds, and reports.

The picture has no history, the log has all of it and is slow to ask. Here a track leaves a point every 10 s, sooner
where it turns; one that says who it is and where it is, only every 30 s. Points are of the time shown, and none is kept
of a track that nothing has seen since the point before: what is coasted is a guess.

Memory is pages of 32 points, given out lowest first, 1,048,576 points in all (44 MB when all are in use: 5,000 tracks
for 58 minutes at 30 s, and 1,500 beside them at 10 s). When no page is free, the oldest page of the least important
track is taken: cooperative before others before low and slow before alerted, and of equals ended before live. None is
taken from a track that matters more than the one that asks: that one gives up its own past, or leaves no point. A track
is forgotten half an hour after its last point; one that is low and slow or had an alert after an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion import geo
from fusion.schema import B1, F4, F8, I4, I8, US_PER_S, Assessment, Tracks

PAGE = 32  # points: five minutes at one every 10 s
PAGES = 32_768
HOUR_US = 3_600 * US_PER_S
WATCHED_US = 10 * US_PER_S  # between two points of a track that matters: 400 m of a drone's flight
OTHER_US = 30 * US_PER_S  # of one that says where it is: others record it too
TURN_US = 3 * US_PER_S  # and of one that turns, not more often than this
TURN_RAD = float(np.radians(15.0))  # since the last point: the chord of such an arc is 0.4 % short
KEEP_US = (HOUR_US // 2, HOUR_US // 2, HOUR_US, HOUR_US)  # after the last point, by worth
COOPERATIVE, OTHER, LOW_SLOW, ALERTED = range(4)  # worth
LOW_SLOW_P = 0.5  # probability of low and slow from which a track counts as such
GAP_US = 45 * US_PER_S  # between two points further apart than this nobody knows where it was
_TRACK = "id worth first last used count last_us last_course update_us ended merged".split()
_POINT = "t_us lat_rad lon_rad height_m speed_mps course_rad sigma_m".split()


@dataclass(frozen=True, slots=True)
class Trail:
    """Points of one track, time rising; all arrays (k,)."""

    track_id: int
    ended: bool
    t_us: I8
    lat_rad: F8
    lon_rad: F8
    height_m: F4  # above the ellipsoid; NaN not known
    speed_mps: F4
    course_rad: F4  # NaN where it stood
    sigma_m: F4  # one sigma of each horizontal axis


@dataclass(frozen=True, slots=True)
class Then:
    """Where tracks were at one time; all arrays (n,), in order of id."""

    id: I8
    lat_rad: F8
    lon_rad: F8
    height_m: F8
    speed_mps: F8
    course_rad: F8
    sigma_m: F8
    away_us: I8  # to the nearest point that it rests on


class Trails:
    """The trails of one picture. `pages` is the room; see above for what happens when it is full."""

    def __init__(self, pages: int = PAGES) -> None:
        self.pages = pages
        self.taken = 0  # pages taken from a track before its time
        self._clear(-1)

    def step(self, tracks: Tracks, assessment: Assessment, now_us: int) -> None:
        """Note where the tracks are, once a second. `tracks` and its assessment are of `now_us`."""
        if tracks.epoch != self._epoch:
            self._clear(tracks.epoch)
        self._forget(now_us)
        new = tracks.id[~np.isin(tracks.id, self.id, assume_unique=True)]
        if len(new):
            self._insert(new)
        at = np.searchsorted(self.id, tracks.id)
        worth = _worth(assessment)
        self.worth[at] = np.maximum(self.worth[at], worth)
        self.ended[at] = False
        since_us = now_us - self.last_us[at]
        turned = np.abs(_wrapped(assessment.course_rad - self.last_course[at])) >= TURN_RAD
        often = np.where(self.worth[at] == COOPERATIVE, OTHER_US, WATCHED_US)
        due = (since_us >= often) | (turned & (since_us >= TURN_US))
        due &= tracks.update_us > self.update_us[at]
        rows = np.flatnonzero(due)
        if len(rows):
            self._write(at[rows], tracks, assessment, rows, now_us)

    def mark(self, track_ids: Sequence[int]) -> None:
        """These tracks have, or had, an alert: they are kept longest."""
        for track_id in track_ids:
            row = self._row(track_id)
            if row >= 0:
                self.worth[row] = ALERTED

    def end(self, dropped: Sequence[tuple[int, str]], epoch: int) -> None:
        """Tracks ended (counter, why). Their trails stay for a while."""
        if epoch == self._epoch:
            for track_id, why in dropped:
                row = self._row(track_id)
                if row >= 0:
                    self.ended[row], self.merged[row] = True, why == "merged"

    def of(self, track_id: int) -> Trail | None:
        """All that is kept of one track; None when nothing is."""
        row = self._row(track_id)
        if row < 0 or self.count[row] == 0:
            return None
        chain = self._chain(row)
        sizes = [PAGE] * (len(chain) - 1) + [int(self.used[row])]
        columns = {
            name: np.concatenate([getattr(self, f"_{name}")[p, :n] for p, n in zip(chain, sizes, strict=True)])
            for name in _POINT
        }
        return Trail(track_id=track_id, ended=bool(self.ended[row]), **columns)

    def at(self, t_us: int, slack_us: int = GAP_US) -> Then:
        """Where every track was at `t_us`: between two points on the straight line, beyond an end straight on.

        Only tracks with a point no further than `slack_us` away.
        """
        page, slot = np.nonzero((np.abs(self._t_us - t_us) <= slack_us) & (self._t_us >= 0))
        times, owner = self._t_us[page, slot], self._owner[page]
        order = np.lexsort((times, owner))
        page, slot, times, owner = page[order], slot[order], times[order], owner[order]
        first = np.flatnonzero(np.r_[True, owner[1:] != owner[:-1]][: len(owner)])
        last = np.r_[first[1:], len(owner)][: len(first)] - 1
        before = np.add.reduceat(times <= t_us, first) if len(first) else np.empty(0, np.int64)
        low = np.clip(first + before - 1, first, last)
        high = np.minimum(low + 1, last)
        columns = {name: getattr(self, f"_{name}")[page, slot].astype(np.float64) for name in _POINT}
        span_s = (times[high] - times[low]) / US_PER_S
        inside = (span_s > 0.0) & (times[low] <= t_us)
        ahead_s = (t_us - times[low]) / US_PER_S
        part = np.where(inside, ahead_s / np.where(span_s > 0.0, span_s, 1.0), 0.0)
        lat = columns["lat_rad"][low] + part * (columns["lat_rad"][high] - columns["lat_rad"][low])
        lon = columns["lon_rad"][low] + part * _wrapped(columns["lon_rad"][high] - columns["lon_rad"][low])
        on_m = np.where(inside, 0.0, ahead_s * columns["speed_mps"][low])
        course = np.nan_to_num(columns["course_rad"][low]) + np.where(on_m < 0.0, np.pi, 0.0)
        lat, lon, _ = geo.direct(lat, lon, course, np.abs(on_m))
        away = np.minimum(np.abs(times[low] - t_us), np.abs(times[high] - t_us))
        names = ("height_m", "speed_mps", "course_rad", "sigma_m")
        known = {name: columns[name][low] for name in names}
        return Then(id=owner[first], lat_rad=lat, lon_rad=lon, away_us=away, **known)

    def ends(self) -> Then:
        """The last point kept of every track that has ended; `away_us` is its time.

        Not of one that left a single point and had no alert: nobody saw it for ten seconds, and clutter does as much.
        Nor of one that became another: there the object flew on.
        """
        lived = (self.count > 1) | (self.used > 1) | (self.worth == ALERTED)
        rows = np.flatnonzero(self.ended & ~self.merged & (self.count > 0) & lived)
        page, slot = self.last[rows], self.used[rows] - 1
        columns = {name: getattr(self, f"_{name}")[page, slot] for name in _POINT}
        known = {name: columns[name].astype(np.float64) for name in _POINT[1:]}
        return Then(id=self.id[rows], away_us=columns["t_us"], **known)

    def name(self, track_id: int) -> str:
        """The public track id "epoch:counter"."""
        return f"{self._epoch}:{track_id}"

    def __len__(self) -> int:
        return len(self.id)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer; arrays of what is in use."""
        top = int(np.max(np.flatnonzero(self._owner >= 0), initial=-1)) + 1
        kept = {name: getattr(self, name).copy() for name in _TRACK}
        points = {name: getattr(self, f"_{name}")[:top].copy() for name in (*_POINT, "owner", "next")}
        return {"epoch": self._epoch, "taken": self.taken, "tracks": kept, "points": points}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of trails with as many pages."""
        self._clear(state["epoch"])
        self.taken = state["taken"]
        for name, column in state["tracks"].items():
            setattr(self, name, np.array(column))
        for name, table in state["points"].items():
            getattr(self, f"_{name}")[: len(table)] = table

    # ------------------------------------------------------------- inside

    def _clear(self, epoch: int) -> None:
        """Nothing is known: track numbers of another epoch mean other objects."""
        self._epoch = epoch
        self.id: I8 = np.empty(0, np.int64)  # (m,) rising
        self.worth: I8 = np.empty(0, np.int64)
        self.first: I8 = np.empty(0, np.int64)  # (m,) oldest page, -1 none
        self.last: I8 = np.empty(0, np.int64)  # (m,) page in hand
        self.used: I8 = np.empty(0, np.int64)  # (m,) points in it
        self.count: I8 = np.empty(0, np.int64)  # (m,) pages
        self.last_us: I8 = np.empty(0, np.int64)  # (m,) of the newest point
        self.last_course: F8 = np.empty(0)
        self.update_us: I8 = np.empty(0, np.int64)  # (m,) of the plot that it rests on
        self.ended, self.merged = np.empty(0, np.bool_), np.empty(0, np.bool_)
        shape = (self.pages, PAGE)
        self._t_us: I8 = np.full(shape, -1, np.int64)
        self._lat_rad, self._lon_rad = np.zeros(shape), np.zeros(shape)
        self._height_m, self._speed_mps = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._course_rad, self._sigma_m = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._owner: I8 = np.full(self.pages, -1, np.int64)
        self._next: I4 = np.full(self.pages, -1, np.int32)

    def _row(self, track_id: int) -> int:
        at = int(np.searchsorted(self.id, track_id))
        return at if at < len(self.id) and self.id[at] == track_id else -1

    def _chain(self, row: int) -> list[int]:
        pages = []
        page = int(self.first[row])
        while page >= 0:
            pages.append(page)
            page = int(self._next[page])
        return pages

    def _insert(self, new: I8) -> None:
        n = len(new)
        blank = {"id": new, "worth": np.zeros(n, np.int64), "last_course": np.full(n, np.nan)}
        blank |= {"used": np.zeros(n, np.int64), "count": np.zeros(n, np.int64), "ended": np.zeros(n, np.bool_)}
        blank["merged"] = np.zeros(n, np.bool_)
        order = np.argsort(np.concatenate([self.id, new]), kind="stable")
        for name in _TRACK:
            added = blank.get(name, np.full(n, -1, np.int64))
            setattr(self, name, np.concatenate([getattr(self, name), added])[order])
        self.last_us[self.count == 0] = -HOUR_US  # due at once

    def _forget(self, now_us: int) -> None:
        """Tracks without a point for too long, and pages that are older than an hour."""
        old = (self.count > 0) & (now_us - self.last_us > np.array(KEEP_US)[self.worth])
        old |= (self.count == 0) & self.ended
        for row in np.flatnonzero(old).tolist():
            for page in self._chain(row):
                self._free(page)
        if old.any():
            for name in _TRACK:
                setattr(self, name, getattr(self, name)[~old])

    def _free(self, page: int) -> None:
        self._owner[page] = self._next[page] = -1
        self._t_us[page] = -1

    def _write(self, at: I8, tracks: Tracks, a: Assessment, rows: I8, now_us: int) -> None:
        need = (self.count[at] == 0) | (self.used[at] == PAGE)
        self._new_pages(at[need], now_us)
        page, slot = self.last[at], self.used[at]
        got = page >= 0
        page, slot, at, rows = page[got], slot[got], at[got], rows[got]
        self._t_us[page, slot] = now_us
        for name in ("lat_rad", "lon_rad", "speed_mps", "course_rad"):
            getattr(self, f"_{name}")[page, slot] = getattr(a, name)[rows]
        self._height_m[page, slot] = np.where(a.height_known[rows], a.height_m[rows], np.nan)
        self._sigma_m[page, slot] = a.sigma_horizontal_m[rows]
        self.used[at] += 1
        self.last_us[at] = now_us
        self.last_course[at] = a.course_rad[rows]
        self.update_us[at] = tracks.update_us[rows]

    def _new_pages(self, rows: I8, now_us: int) -> None:
        """A fresh page for each of these tracks, the most important first; a track's own pages past the hour go."""
        rows = rows[np.lexsort((rows, -self.worth[rows]))]
        for row in rows.tolist():
            while self.count[row] > 1 and now_us - self._t_us[self.first[row], PAGE - 1] > HOUR_US:
                self._drop_first(row)
        free = np.flatnonzero(self._owner < 0)[: len(rows)].tolist()
        for row in rows.tolist():
            page = free.pop(0) if free else self._take(row)
            if page < 0:
                continue
            self._owner[page], self._next[page] = self.id[row], -1
            if self.count[row]:
                self._next[self.last[row]] = page
            else:
                self.first[row] = page
            self.last[row], self.used[row] = page, 0
            self.count[row] += 1

    def _take(self, asks: int) -> int:
        """The oldest page of the least important track, none more important than the one that asks; -1: there is none.

        A live track keeps the page in hand unless it asks itself, or a more important one asks that has none.
        """
        may = (self.count > 0) & (self.worth <= self.worth[asks])
        alone = (self.count[asks] == 0) & (self.worth < self.worth[asks])
        may &= (self.count > 1) | self.ended | alone | (np.arange(len(self.id)) == asks)
        rows = np.flatnonzero(may)
        if len(rows) == 0:
            return -1
        oldest = self._t_us[self.first[rows], 0]
        victim = int(rows[np.lexsort((rows, oldest, ~self.ended[rows], self.worth[rows]))[0]])
        page = int(self.first[victim])
        self._drop_first(victim)
        self.taken += 1
        return page

    def _drop_first(self, row: int) -> None:
        page = int(self.first[row])
        self.first[row] = self._next[page]
        self.count[row] -= 1
        if self.count[row] == 0:
            self.last[row], self.used[row] = -1, 0
        self._free(page)


def _wrapped(angle_rad: F8) -> F8:
    return np.asarray(np.mod(angle_rad + np.pi, 2 * np.pi) - np.pi, np.float64)


def low_and_slow(a: Assessment) -> B1:
    """(n,) both words, taken as independent, with `LOW_SLOW_P`; unknown height counts as low: it must be watched."""
    both: B1 = np.where(np.isnan(a.p_low), 1.0, a.p_low) * a.p_slow >= LOW_SLOW_P
    return both


def _worth(a: Assessment) -> I8:
    return np.where(a.cooperative, COOPERATIVE, np.where(low_and_slow(a), LOW_SLOW, OTHER)).astype(np.int64)
