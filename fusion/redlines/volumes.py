"""Notified activities: a declared drone flight, an exercise area. What flies in one by arrangement raises no alert.

A volume is a polygon with a floor and a ceiling, a time, an owner and a reason, and perhaps the one object that may fly
there. Policies, in one place:
- Only what is within with high probability counts: place and height with their uncertainty, so that an object beside a
  volume, or one that nobody measures well, is alerted as if there were none. An object of unknown height is in no
  volume that has a floor or a ceiling.
- Where a volume names an address or a serial number, only an object that reports it, and is not contradicted, counts.
- The object stays in the picture; the words of the rules call it `exempt`. A rule that held and was not told for it is
  told as `Withheld`, when it begins and when it ends, so that nothing is silent without a trace.
- When the object leaves, or the time is over, rules hold again and alert after their usual dwell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import shapely
from scipy.special import ndtr

from fusion.borders.outlook import Area
from fusion.borders.protected import Protected, build
from fusion.borders.terrain import Grid, sample
from fusion.cases.record import Withheld
from fusion.redlines.declared import Declared, Volume
from fusion.rules import RuleSet
from fusion.schema import B1, F8, I2, I8, US_PER_S, Assessment, Tracks


class Notified:
    """The declared volumes, laid out for looking up. `geoid` turns heights above the sea into those of tracks."""

    def __init__(self, declared: Declared, geoid: Grid | None = None) -> None:
        self.volumes = declared.volumes
        self._p_within = declared.p_within
        self._geoid = geoid
        self._tree = shapely.STRtree([shapely.box(*np.radians(volume.shape.bounds)) for volume in declared.volumes])
        self._held: list[Protected] = [build([Area(v.id, v.id, "other", 3, v.shape)]) for v in declared.volumes]

    def within(self, tracks: Tracks, a: Assessment) -> I2:
        """(n,) the first volume that holds each object with enough probability, in order of the file; -1 none."""
        found = np.full(len(tracks), -1, np.int16)
        if not self.volumes:
            return found
        row, near = self._tree.query(shapely.points(a.lon_rad, a.lat_rad))
        for index in np.unique(near).tolist():
            volume = self.volumes[index]
            if volume.from_us <= tracks.t_us < volume.until_us:
                rows = np.sort(row[near == index])
                rows = rows[(found[rows] < 0) & _named(volume, tracks, a)[rows]]
                sure = self._probability(index, a, rows) >= self._p_within
                found[rows[sure]] = index
        return found

    def _probability(self, index: int, a: Assessment, rows: I8) -> F8:
        """(rows,) at most this probable: within its polygon and between floor and ceiling."""
        _, distance_m = self._held[index].where(a.lat_rad[rows], a.lon_rad[rows])
        return p_around(-distance_m, a.sigma_horizontal_m[rows]) * self._p_height(self.volumes[index], a, rows)

    def _p_height(self, volume: Volume, a: Assessment, rows: I8) -> F8:
        if math.isinf(volume.floor_m) and math.isinf(volume.ceiling_m):
            return np.ones(len(rows))
        if volume.above == "ground":
            height_m, sigma_m = a.agl_m[rows], a.sigma_agl_m[rows]
        else:
            height_m, sigma_m = a.height_m[rows], a.sigma_height_m[rows]
        if volume.above == "sea":
            geoid = self._geoid
            height_m = height_m - (np.nan if geoid is None else sample(geoid, a.lat_rad[rows], a.lon_rad[rows]))
        spread = np.maximum(sigma_m, 1e-3)
        p = ndtr((volume.ceiling_m - height_m) / spread) - ndtr((volume.floor_m - height_m) / spread)
        return np.where(a.height_known[rows], np.nan_to_num(p), 0.0)


def p_around(inside_m: F8, sigma_m: F8) -> F8:
    """(n,) a lower bound of the probability to be within an outline whose nearest line is `inside_m` away.

    `sigma_m` is the root of the mean of the two horizontal variances; all of the spread may lie in one direction, so
    each is taken as twice that. Within a circle that touches the line, then: 1 - exp(-d2 / 2 (2 sigma2)). Outside: 0.
    """
    spread = np.maximum(2.0 * sigma_m * sigma_m, 1e-6)
    return np.where(inside_m > 0.0, -np.expm1(-np.square(inside_m) / (2.0 * spread)), 0.0)


def _named(volume: Volume, tracks: Tracks, a: Assessment) -> B1:
    """(n,) where the object may be the one that the volume is for."""
    if volume.address < 0 and not volume.serial:
        return np.ones(len(tracks), np.bool_)
    same = np.zeros(len(tracks), np.bool_)
    if volume.address >= 0:
        same |= tracks.address == volume.address
    if volume.serial:
        same |= tracks.serial == volume.serial
    return np.asarray(same & ~a.contradicted, np.bool_)


class Withholding:
    """Which rules are withheld from which objects, and since when. Its size is that of the picture."""

    def __init__(self, ruleset: RuleSet, volumes: Sequence[Volume], rank: I8) -> None:
        self._rules = ruleset.rules
        self._volumes = volumes
        self._rank = rank  # (rules,) 0 is told before all others
        self._held: dict[int, tuple[Withheld, int]] = {}  # by track id: what was told, and when it last held
        self.count = 0  # times that one began

    def look(self, tracks: Tracks, a: Assessment, held: B1, volume: I2, now_us: int) -> list[Withheld]:
        """`held` (n, rules): rules that hold but for the volume that the object is in. What ended and began."""
        told: list[Withheld] = []
        for here in np.flatnonzero(held.any(axis=1)).tolist():
            rule = self._rules[int(np.argmin(np.where(held[here], self._rank, len(self._rank))))]
            inside = self._volumes[int(volume[here])]
            track_id = int(tracks.id[here])
            known = self._held.get(track_id)
            if known and known[0].volume == inside.id and known[0].severity <= rule.severity:
                self._held[track_id] = known[0], now_us
                continue
            if known:
                told.append(self._end(track_id, f"goes on as {rule.id} in {inside.id}", now_us))
            place = float(a.lat_rad[here]), float(a.lon_rad[here])
            names = (tracks.name(here), rule.id, rule.version, rule.severity, inside.id, inside.owner, inside.reason)
            began = Withheld(*names, now_us, now_us, *place)
            self._held[track_id] = began, now_us
            self.count += 1
            told.append(began)
        return told + self._over(tracks, volume, now_us)

    def _over(self, tracks: Tracks, volume: I2, now_us: int) -> list[Withheld]:
        """What has not held for as long as its rule would keep an alert open."""
        told = []
        for track_id in sorted(self._held):
            record, last_us = self._held[track_id]
            hold_s = next((r.hold_s for r in self._rules if r.id == record.rule), 0.0)
            if last_us != now_us and now_us - last_us >= hold_s * US_PER_S:
                here = int(np.searchsorted(tracks.id, track_id))
                there = here < len(tracks) and tracks.id[here] == track_id
                told.append(self._end(track_id, self._why(record, there and volume[here] >= 0, now_us), now_us))
        return told

    def _why(self, record: Withheld, inside: bool, now_us: int) -> str:
        volume = next((v for v in self._volumes if v.id == record.volume), None)
        if volume is None or now_us >= volume.until_us:
            return "its time is over"
        return "the rule does not hold any more" if inside else "it is not surely within any more"

    def ended(self, ids: Sequence[tuple[int, str]], now_us: int) -> list[Withheld]:
        """Tracks ended (counter, why)."""
        return [self._end(i, f"track ended: {why}", now_us) for i, why in sorted(ids) if i in self._held]

    def clear(self, why: str, now_us: int) -> list[Withheld]:
        """All ended."""
        return [self._end(i, why, now_us) for i in sorted(self._held)]

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        rows = [[i, asdict(record), last_us] for i, (record, last_us) in sorted(self._held.items())]
        return {"held": rows, "count": self.count}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._held = {i: (Withheld(**plain), last_us) for i, plain, last_us in state["held"]}
        self.count = state["count"]

    def _end(self, track_id: int, why: str, now_us: int) -> Withheld:
        record, _ = self._held.pop(track_id)
        return replace(record, t_us=now_us, ended=why)
