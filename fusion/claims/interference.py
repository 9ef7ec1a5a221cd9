"""GNSS interference seen from many aircraft at once: an event of an area, not a fault of anybody in it.

Jamming and spoofing take the position from every receiver in sight of the transmitter. Aircraft then report NIC and
NACp that fall together, or jump together (Eurocontrol Voluntary ATM Incident Reporting; OpenSky "GPS jamming" maps use
the same sign). One aircraft whose NIC was always low is an old transponder and no event: every aircraft is compared
with its own past, and the area with what flies elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion import geo
from fusion.claims.gnss import Interference
from fusion.schema import B1, F8, I8, US_PER_S

LEAST_AIRCRAFT = 4  # hit together: two or three can be one airline's avionics
LEAST_SHARE = 0.5  # of the aircraft in the area
ELSEWHERE = 0.5  # the share hit elsewhere is at most this part of it: else the feed itself is what changed
ELSEWHERE_LEAST = 6  # aircraft elsewhere, below which they say nothing
TOGETHER_US = 120 * US_PER_S  # from the first to the last of those that open an event
LINK_M = 150_000.0  # two aircraft hit within this belong to one area: a jammer reaches 100-300 km at cruise height
MARGIN_M = 20_000.0  # around the aircraft hit
QUIET_US = 60 * US_PER_S  # an event is over when nobody was hit any more for this long
MOST_HIT = 512  # aircraft hit that are looked at, in order of key: the size of an area needs no more
MOST_EVENTS = 16  # open at once, the oldest first: more than that is one event with a wide area
WIDE_M = 4_000.0  # sigma of a position by a receiver under interference: NACp 4 and worse


@dataclass(frozen=True, slots=True)
class Aircraft:
    """What is known of every aircraft that can be hit (one whose NIC or NACp was good); each (n,) in order of key."""

    key: I8
    lat_rad: F8
    lon_rad: F8
    hit: B1  # fallen, or jumped
    hit_us: I8  # since when


class InterferenceWatch:
    """Finds events, follows them, and says when they are over."""

    def __init__(self) -> None:
        self.open: list[Interference] = []
        self._quiet_us: list[int] = []  # by event: when it was last seen
        self._next = 1

    def look(self, seen: Aircraft, now_us: int) -> list[Interference]:
        """Every open event as it is now, and those that ended, in order of number."""
        found = _areas(seen)
        said: list[Interference] = []
        for n, event in enumerate(self.open):
            mine = next((a for a in found if _touch(event, a)), None)
            if mine is not None:
                found.remove(mine)
                self._quiet_us[n] = now_us
                self.open[n] = replace(
                    event, state="open", t_us=now_us, lat_rad=mine.lat_rad, lon_rad=mine.lon_rad,
                    radius_m=max(event.radius_m, mine.radius_m), hit=mine.hit, aircraft=mine.aircraft,
                    most_hit=max(event.most_hit, mine.hit),
                )  # fmt: skip
            elif now_us - self._quiet_us[n] > QUIET_US:
                self.open[n] = replace(event, state="over", t_us=now_us)
            else:
                self.open[n] = replace(event, t_us=now_us)
            said.append(self.open[n])
        kept = [n for n, event in enumerate(self.open) if event.state != "over"]
        self.open = [self.open[n] for n in kept]
        self._quiet_us = [self._quiet_us[n] for n in kept]
        for area in found:
            if area.sudden and len(self.open) < MOST_EVENTS:
                event = Interference(
                    self._next, "open", area.since_us, now_us, area.lat_rad, area.lon_rad, area.radius_m,
                    area.hit, area.aircraft, area.hit,
                )  # fmt: skip
                self._next += 1
                self.open.append(event)
                self._quiet_us.append(now_us)
                said.append(event)
        return said

    def within(self, lat_rad: F8, lon_rad: F8) -> B1:
        """(n,) where a place is within the area of an open event."""
        result = np.zeros(len(lat_rad), np.bool_)
        for event in self.open:
            centre = np.full(len(lat_rad), event.lat_rad), np.full(len(lat_rad), event.lon_rad)
            result |= geo.inverse(*centre, lat_rad, lon_rad)[0] <= event.radius_m
        return result

    def snapshot(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"open": list(self.open), "quiet_us": list(self._quiet_us), "next": self._next}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.open, self._quiet_us, self._next = list(state["open"]), list(state["quiet_us"]), state["next"]


@dataclass(frozen=True, slots=True)
class _Area:
    lat_rad: float
    lon_rad: float
    radius_m: float
    hit: int
    aircraft: int
    since_us: int
    sudden: bool  # enough of them were hit together


def _areas(seen: Aircraft) -> list[_Area]:
    """Groups of aircraft hit that are many, most of those around, and more than elsewhere; the greatest first."""
    rows = np.flatnonzero(seen.hit)[:MOST_HIT]
    if len(rows) < LEAST_AIRCRAFT:
        return []
    place = geo.ecef(seen.lat_rad, seen.lon_rad, np.zeros(len(seen.key)))
    apart = np.sqrt(((place[rows, None, :] - place[None, rows, :]) ** 2).sum(axis=2))
    group = _linked(apart <= LINK_M)
    found = []
    for number in range(int(group.max()) + 1):
        members = rows[group == number]
        if len(members) < LEAST_AIRCRAFT:
            continue
        centre = place[members].mean(axis=0)
        lat, lon, _ = geo.geodetic(centre[None])
        away = np.sqrt(((place - geo.ecef(lat, lon, [0.0])) ** 2).sum(axis=1))
        radius_m = float(away[members].max()) + MARGIN_M
        inside = away <= radius_m
        hit, around = int((seen.hit & inside).sum()), int(inside.sum())
        beyond, beyond_hit = int((~inside).sum()), int((seen.hit & ~inside).sum())
        share = hit / around
        if share < LEAST_SHARE or (beyond >= ELSEWHERE_LEAST and beyond_hit / beyond > ELSEWHERE * share):
            continue
        begun = np.sort(seen.hit_us[members])
        sudden = begun[LEAST_AIRCRAFT - 1 :] - begun[: len(begun) - LEAST_AIRCRAFT + 1] <= TOGETHER_US
        since_us = int(begun[int(np.argmax(sudden))])
        found.append(_Area(float(lat[0]), float(lon[0]), radius_m, hit, around, since_us, bool(sudden.any())))
    return sorted(found, key=lambda area: (-area.hit, area.lat_rad, area.lon_rad))


def _linked(near: B1) -> I8:
    """(n,) number of the group of each row; groups are what is connected by `near` (n, n), symmetric."""
    group = np.full(len(near), -1, np.int64)
    number = 0
    for start in range(len(near)):
        if group[start] >= 0:
            continue
        members = np.zeros(len(near), np.bool_)
        fresh = members.copy()
        fresh[start] = True
        while fresh.any():
            members |= fresh
            fresh = near[fresh].any(axis=0) & ~members
        group[members] = number
        number += 1
    return group


def _touch(event: Interference, area: _Area) -> bool:
    apart_m = geo.inverse([event.lat_rad], [event.lon_rad], [area.lat_rad], [area.lon_rad])[0][0]
    return bool(apart_m <= max(event.radius_m, area.radius_m))
