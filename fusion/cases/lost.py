"""Where to look for objects that were lost inside, or heading inside: search areas that grow until one is found.

A track that ends raises a search when it is not cooperative and was inside the border or about to cross it, unless it
was merged into another, landed as it said itself, was seen only for moments, or was only ever seen inside and is no
drone (departed inside, as a paraglider does); a track that had an alert is always searched for. The area is told at
once and then every half minute, later every minute. A search ends when a new track continues the object, when a find
is matched to it, or when the object can be in the air no longer: `why` then starts with "seen again", "found", or
"given up".

At most `most_open` searches are open; the one that was lost longest ago, one without an alert before one with, gives
way and is counted (`gave_way`). At most `tells` areas are worked out in one step, 15 ms each: the longest due first.
Losses are remembered for a week (at most `most_past`, the oldest go) for finds on the ground.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion import geo
from fusion.cases.contours import contours
from fusion.cases.record import Contour, SearchArea, SearchChanged
from fusion.cases.whereabouts import Cloud, Last, Wind, cloud, endurance_s
from fusion.classes import NAMES
from fusion.schema import US_PER_S, Assessment, ObjectClass, Tracks

GIVEN_UP, FOUND, SEEN_AGAIN = "given up", "found", "seen again"  # first words of why a search ended
NO_LOSS = ("merged", "landed")  # how a track ends whose object is not lost
WANTED = (0.5, 0.9)  # probabilities of the contours
_KEPT = (
    "update_us birth_us seen_us first_us lat_rad lon_rad sigma_m speed_mps sigma_speed_mps course_rad agl_m climb_mps "
    "turn_radps height_m inside coming was_out alerted"
).split()
_FLAGS = ("inside", "coming", "was_out", "alerted")
_TIMES = ("update_us", "birth_us", "seen_us", "first_us")
_DRONES = (int(ObjectClass.FIXED_WING_DRONE), int(ObjectClass.FAST_LOW_FLYER), int(ObjectClass.SMALL_MULTICOPTER))
_HARMLESS = (int(ObjectClass.BIRD_FLOCK), int(ObjectClass.FIXED_ECHO))


@dataclass(frozen=True, slots=True)
class LostParams:
    """The numbers of this file, each with its unit and reason."""

    most_open: int = 64  # the objects of one night; each is 15 ms of work and 20 kB on the wire a minute
    most_past: int = 4_096  # a busy month of losses, 2 MB
    past_s: float = 7 * 86_400.0  # the find of July 2025 came after four days
    heading_s: float = 600.0  # to the border: who is further out when lost is not about to cross
    lived_s: float = 20.0  # a shorter track without an alert was probably clutter
    p_class: float = 0.6  # of birds or fixed echoes: no search; of a drone: searched although only seen inside
    every_s: float = 30.0  # an area is told anew this often
    later_s: float = 60.0  # and this often
    later_from_s: float = 600.0  # from then on
    tells: int = 2  # areas worked out in one second, whoever asks
    p_again: float = 0.9  # probability from which a new track is one of those that are lost, and nothing new
    clouds: int = 8  # worked out in one look for that, 4.5 ms each; who needs more waits for the next look
    most_near: int = 6  # searches that one new track is weighed against: the nearest, by what they can have flown
    most_due: int = 1_000  # new tracks that wait for it; more are left out, and counted
    other_per_m2: float = 1e-10  # new objects that say nothing of themselves: one on 100 km x 100 km
    remember_s: float = 30.0  # a track that is out of the picture and was not said to have ended is forgotten


@dataclass(slots=True)
class Search:
    """One loss: what was known, and how far the search is."""

    track: str
    last: Last
    height_m: float
    why: str
    until_us: int
    alerted: bool
    number: int = 0  # of areas told
    told_us: int = -1
    area: SearchArea | None = None  # told last
    ended: str = ""  # why, once it has


def _nowhere(_lat_rad: float, _lon_rad: float) -> str:
    return ""


class Lost:
    """All searches. `state_of` says the ISO code of the state at a place, "" none."""

    def __init__(self, state_of: Callable[[float, float], str] = _nowhere, params: LostParams | None = None) -> None:
        self.params = params or LostParams()
        self.gave_way = 0  # searches ended because too many were open
        self.unweighed = 0  # new tracks that were not asked whether they continue one: too many waited
        self.wind, self.wind_from = Wind(), ""
        self._state_of = state_of
        self._searches: dict[str, Search] = {}  # by track, in order of loss
        self._past: dict[str, Search] = {}
        self._epoch = -1
        self._told_in = (-1, 0)  # this second, and areas worked out in it
        self._blank()

    def set_wind(self, wind: Wind, sensor: str) -> None:
        """The wind from now on, and who reported it."""
        self.wind, self.wind_from = wind, sensor

    def open(self) -> list[SearchArea]:
        """The area told last of every open search, in order of loss: published again after a reconnect."""
        return [search.area for search in self._searches.values() if search.area is not None]

    def searching(self) -> list[Search]:
        """Every open search, in order of opening."""
        return list(self._searches.values())

    def losses(self) -> list[Search]:
        """Every loss remembered, those that are over first; `ended` says why a search is over, "" while it is open."""
        return [*self._past.values(), *self._searches.values()]

    def step(
        self, tracks: Tracks, a: Assessment, now_us: int, alerted: Collection[int] = (), turn_radps: Any = None
    ) -> list[SearchChanged]:
        """Remember where tracks are, look whether new ones continue lost ones, and tell the areas that are due.

        Args:
            tracks, a: the picture at `now_us`; call it once a second, before `ended` of the same look.
            alerted: numbers of tracks with an open alert.
            turn_radps: (n,) rate of turn from the forecast, where there is one.
        """
        if tracks.epoch != self._epoch:
            self._epoch = tracks.epoch
            self._blank()
        new = ~np.isin(tracks.id, self._id) & ~a.cooperative & (tracks.confirmed_us >= 0)
        if self._searches:
            self._await(tracks.id[new].tolist())
        events = self._continued(tracks, a, now_us)
        self._remember(tracks, a, now_us, alerted, turn_radps)
        return events + self._tell(now_us)

    def ended(self, dropped: Sequence[tuple[int, str]], epoch: int, now_us: int) -> list[SearchChanged]:
        """Tracks that ended (counter, why): those to be searched for, their first areas as far as there is time."""
        events: list[SearchChanged] = []
        for counter, why in sorted(dropped) if epoch == self._epoch else ():
            row = int(np.searchsorted(self._id, counter))
            if row >= len(self._id) or self._id[row] != counter:
                continue
            if self._matters(row, why):
                events += self._open(row, f"{epoch}:{counter}", why, now_us)
            self._seen_us[row] = -1
        return events + self._tell(now_us)

    def found(self, track: str, by: str, now_us: int) -> list[SearchChanged]:
        """The object of this search was found; `by` says by whom and how."""
        search = self._searches.get(track)
        return [] if search is None else [self._close(search, f"{FOUND}: {by}", now_us)]

    def seen(self, track: str, last: Last, by: str, now_us: int) -> list[SearchChanged]:
        """A person saw the lost object: the search goes on from there."""
        search = self._searches.get(track)
        if search is None or last.t_us < search.last.t_us:
            return []
        search.last, search.until_us = last, last.t_us + round(endurance_s(last.p_classes) * US_PER_S)
        search.why, search.told_us = f"{search.why.split(';')[0]}; {by}", -1
        return self._tell(now_us)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        return {
            "epoch": self._epoch,
            "counts": (self.gave_way, self.unweighed),
            "due": list(self._due),
            "told_in": self._told_in,
            "wind": (self.wind, self.wind_from),
            "searches": [replace(search) for search in self._searches.values()],
            "past": [replace(search) for search in self._past.values()],
            "rows": {name: getattr(self, f"_{name}").copy() for name in ("id", *_KEPT, "p_classes")},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._told_in = state["told_in"]
        self._epoch, (self.gave_way, self.unweighed) = state["epoch"], state["counts"]
        self.wind, self.wind_from = state["wind"]
        self._searches = {search.track: replace(search) for search in state["searches"]}
        self._past = {search.track: replace(search) for search in state["past"]}
        for name, column in state["rows"].items():
            setattr(self, f"_{name}", np.array(column))
        self._due.clear()
        self._await(state["due"])

    # --- what was known of tracks ---

    def _blank(self) -> None:
        self._due: dict[int, None] = {}  # tracks that may continue a lost one, and were not weighed yet
        self._id = np.empty(0, np.int64)
        for name in _KEPT:
            kind = np.int64 if name in _TIMES else np.bool_ if name in _FLAGS else np.float64
            setattr(self, f"_{name}", np.empty(0, kind))
        self._p_classes = np.empty((0, len(ObjectClass)))
        self._seen_us: Any = np.empty(0, np.int64)

    def _remember(self, tracks: Tracks, a: Assessment, now_us: int, alerted: Collection[int], turn: Any) -> None:
        """Keep, of every track that says nothing reliable of itself, what was known at its last plot."""
        mine = np.flatnonzero(~a.cooperative & (tracks.confirmed_us >= 0))
        ids = tracks.id[mine]
        at = np.minimum(np.searchsorted(self._id, ids), max(len(self._id) - 1, 0))
        known = self._id[at] == ids if len(self._id) else np.zeros(len(ids), np.bool_)
        row = self._row_of(tracks, a, mine, now_us, turn)
        # What is coasted is a guess: the row of the last plot stays, with what is remembered beside it.
        stale = known.copy()
        stale[known] = self._update_us[at[known]] == tracks.update_us[mine][known]  # type: ignore[attr-defined]
        row["alerted"] = np.isin(ids, np.array(sorted(alerted), np.int64))
        for name in ("was_out", "alerted"):
            row[name][known] |= getattr(self, f"_{name}")[at[known]]
        row["first_us"][known] = self._first_us[at[known]]  # type: ignore[attr-defined]
        p = a.p_classes[mine].copy()
        for name in _KEPT:
            if name not in ("seen_us", "was_out", "alerted"):
                row[name][stale] = getattr(self, f"_{name}")[at[stale]]
        p[stale] = self._p_classes[at[stale]]
        gone = ~np.isin(self._id, ids) & (now_us - self._seen_us <= self.params.remember_s * US_PER_S)
        gone &= (self._seen_us >= 0) & ~np.isin(self._id, tracks.id)  # who says now what it is has nothing to fear
        order = np.argsort(np.concatenate([self._id[gone], ids]), kind="stable")
        for name in _KEPT:
            setattr(self, f"_{name}", np.concatenate([getattr(self, f"_{name}")[gone], row[name]])[order])
        self._p_classes = np.concatenate([self._p_classes[gone], p])[order]
        self._id = np.concatenate([self._id[gone], ids])[order]

    def _row_of(self, tracks: Tracks, a: Assessment, mine: Any, now_us: int, turn: Any) -> dict[str, Any]:
        inside = np.nan_to_num(a.p_inside[mine]) >= 0.5
        return {
            "update_us": tracks.update_us[mine].copy(),
            "birth_us": tracks.birth_us[mine].copy(),
            "seen_us": np.full(len(mine), now_us, np.int64),
            "first_us": np.full(len(mine), now_us, np.int64),
            "lat_rad": a.lat_rad[mine].copy(),
            "lon_rad": a.lon_rad[mine].copy(),
            "sigma_m": np.maximum(a.sigma_horizontal_m[mine], 1.0),
            "speed_mps": a.speed_mps[mine].copy(),
            "sigma_speed_mps": a.sigma_speed_mps[mine].copy(),
            "course_rad": a.course_rad[mine].copy(),
            "agl_m": np.where(a.height_known[mine], a.agl_m[mine], np.nan),
            "climb_mps": np.nan_to_num(a.climb_mps[mine]) * a.height_known[mine],
            "turn_radps": np.zeros(len(mine)) if turn is None else np.nan_to_num(np.asarray(turn)[mine]),
            "height_m": np.where(a.height_known[mine], a.height_m[mine], np.nan),
            "inside": inside,
            "coming": np.nan_to_num(a.time_to_border_s[mine], nan=math.inf) <= self.params.heading_s,
            "was_out": ~inside,
        }

    def _matters(self, row: int, why: str) -> bool:
        """Is this object lost, where somebody must look for it?"""
        get: dict[str, Any] = {name: getattr(self, f"_{name}")[row] for name in _KEPT}
        if why in NO_LOSS or get["seen_us"] < 0 or not (get["inside"] or get["coming"]):
            return False
        if get["alerted"]:
            return True
        p = self._p_classes[row]
        if get["update_us"] - get["birth_us"] < self.params.lived_s * US_PER_S:
            return False
        if p[list(_HARMLESS)].sum() >= self.params.p_class:
            return False
        return bool(get["was_out"] or p[list(_DRONES)].sum() >= self.params.p_class)

    # --- searches ---

    def _open(self, row: int, track: str, why: str, now_us: int) -> list[SearchChanged]:
        get: dict[str, Any] = {name: getattr(self, f"_{name}")[row].item() for name in _KEPT}
        names = ("lat_rad", "lon_rad", "sigma_m", "speed_mps", "sigma_speed_mps", "course_rad", "agl_m", "climb_mps")
        turn = get["turn_radps"] if abs(get["turn_radps"]) >= math.radians(1.5) else 0.0
        last = Last(
            t_us=get["update_us"],
            **{name: get[name] for name in names},
            turn_radps=turn,
            p_classes=tuple(np.nan_to_num(self._p_classes[row]).tolist()),
            in_view=why == "dropped",
        )
        until_us = last.t_us + round(endurance_s(last.p_classes) * US_PER_S)
        self._searches[track] = Search(track, last, get["height_m"], why, until_us, get["alerted"])
        self._await(self._id[(self._birth_us > last.t_us) & (self._seen_us >= 0)].tolist())  # type: ignore[attr-defined]
        if len(self._searches) <= self.params.most_open:
            return []
        self.gave_way += 1
        least = min(self._searches.values(), key=lambda s: (s.alerted, s.last.t_us, s.track))
        words = f"{GIVEN_UP}: {self.params.most_open} others are searched for"
        if least.area is not None:
            return [self._close(least, words, now_us)]
        self._put_by(least, words, now_us)  # never told, so there is nothing to take back
        return []

    def _tell(self, now_us: int) -> list[SearchChanged]:
        events = []
        for search in list(self._searches.values()):
            if now_us >= search.until_us:
                after = f"{(search.until_us - search.last.t_us) / US_PER_S / 60:.0f} min"
                events.append(
                    self._close(search, f"{GIVEN_UP}: not found, and no longer in the air after {after}", now_us)
                )
        due = [s for s in self._searches.values() if now_us >= self._due_us(s)]
        second, told = self._told_in if self._told_in[0] == now_us // US_PER_S else (now_us // US_PER_S, 0)
        for search in sorted(due, key=lambda s: (self._due_us(s), s.track))[: self.params.tells - told]:
            told += 1
            search.number += 1
            search.told_us = now_us
            search.area = self._area(search, now_us)
            events.append(SearchChanged(search.area))
        self._told_in = second, told
        return events

    def _due_us(self, search: Search) -> int:
        if search.told_us < 0:
            return search.last.t_us
        late = search.told_us - search.last.t_us >= self.params.later_from_s * US_PER_S
        return search.told_us + round((self.params.later_s if late else self.params.every_s) * US_PER_S)

    def _area(self, search: Search, now_us: int) -> SearchArea:
        last = search.last
        places = cloud(last, now_us, self.wind)
        found = tuple(contours(places, last.lat_rad, last.lon_rad, last.course_rad, WANTED))
        return SearchArea(
            track=search.track,
            number=search.number,
            t_us=now_us,
            lost_us=last.t_us,
            why=search.why,
            lat_rad=last.lat_rad,
            lon_rad=last.lon_rad,
            height_m=search.height_m,
            speed_mps=last.speed_mps,
            course_rad=last.course_rad,
            contours=found,
            states=self._states(found[-1], last),
            assumed=self._assumed(search),
        )

    def _states(self, widest: Contour, last: Last) -> tuple[str, ...]:
        """Codes at its corners and half way to them; a state that lies between and is touched by none is not named."""
        places = [(last.lat_rad, last.lon_rad)]
        for ring in widest.rings:
            for lat, lon in ring[: -1 : max(1, len(ring) // 24)]:
                places += [(lat, lon), ((lat + last.lat_rad) / 2, (lon + last.lon_rad) / 2)]
        return tuple(code for code in sorted(dict.fromkeys(self._state_of(*place) for place in places)) if code)

    def _assumed(self, search: Search) -> tuple[str, ...]:
        p = np.array(search.last.p_classes)
        order = [int(k) for k in np.argsort(-p, kind="stable") if p[k] >= 0.1][:3]
        classes = ", ".join(f"{NAMES[k]} {p[k]:.0%}" for k in order) or "not known"
        minutes = (search.until_us - search.last.t_us) / US_PER_S / 60
        if self.wind.known:
            speed = math.hypot(self.wind.east_mps, self.wind.north_mps)
            comes = math.degrees(math.atan2(-self.wind.east_mps, -self.wind.north_mps)) % 360.0
            wind = f"wind {speed:.0f} m/s from {comes:.0f} deg, reported by {self.wind_from}"
        else:
            wind = "wind not known"
        return f"class: {classes}", f"in the air for at most {minutes:.0f} min", wind

    def _close(self, search: Search, why: str, now_us: int) -> SearchChanged:
        """End a search; its last area, as told, goes with it."""
        if search.area is None:
            search.area = self._area(search, now_us)
        search.number += 1
        area = replace(search.area, number=search.number, t_us=now_us, why=why, ended=True)
        self._put_by(search, why, now_us)
        return SearchChanged(area)

    def _put_by(self, search: Search, why: str, now_us: int) -> None:
        """A search that is over is remembered for finds."""
        del self._searches[search.track]
        search.ended, search.area = why, None
        self._past[search.track] = search
        old_us = now_us - round(self.params.past_s * US_PER_S)
        for track in [track for track, past in self._past.items() if past.last.t_us < old_us]:
            del self._past[track]
        while len(self._past) > self.params.most_past:
            del self._past[min(self._past.values(), key=lambda s: (s.last.t_us, s.track)).track]

    # --- what continues a lost object ---

    def _await(self, counters: Iterable[int]) -> None:
        """New tracks to be weighed against the searches; of too many the newest are left out."""
        for counter in counters:
            if counter in self._due or len(self._due) < self.params.most_due:
                self._due[counter] = None
            else:
                self.unweighed += 1

    def _continued(self, tracks: Tracks, a: Assessment, now_us: int) -> list[SearchChanged]:
        """Weigh new tracks against all searches that each may continue; who finds no time now waits for a look."""
        events = []
        clouds: dict[str, Cloud] = {}
        for counter in list(self._due):
            row = int(np.searchsorted(tracks.id, counter))
            if row < len(tracks) and tracks.id[row] == counter and not a.cooperative[row]:
                near = self._near(tracks, a, row, now_us)
                if len(clouds) + sum(s.track not in clouds for s in near) > self.params.clouds:
                    break
                events += self._weigh(near, clouds, tracks, a, row, now_us)
            del self._due[counter]
        return events

    def _near(self, tracks: Tracks, a: Assessment, row: int, now_us: int) -> list[Search]:
        """Searches of objects that were lost before it was seen and can have come so far by now: the nearest."""
        found = []
        for search in self._searches.values():
            away = _stretch(search.last, a, row, now_us)
            if tracks.birth_us[row] > search.last.t_us and away <= 1.0:
                found.append((away, search.track, search))
        return [search for _, _, search in sorted(found, key=lambda f: f[:2])[: self.params.most_near]]

    def _weigh(
        self, near: list[Search], clouds: dict[str, Cloud], tracks: Tracks, a: Assessment, row: int, now_us: int
    ) -> list[SearchChanged]:
        """Of those that it may continue the likeliest is over, once it is likely to be one of them and nothing new."""
        if not near:
            return []
        weights = []
        for search in near:
            if search.track not in clouds:
                clouds[search.track] = cloud(search.last, now_us, self.wind)
            weights.append(self._weight(search.last, clouds[search.track], a, row))
        total = self.params.other_per_m2 + sum(weights)
        best = int(np.argmax(weights))
        if sum(weights) < self.params.p_again * total:
            return []
        words = f"{SEEN_AGAIN}: as track {tracks.name(row)}, probability {weights[best] / total:.2f}"
        return [self._close(near[best], words, now_us)]

    def _weight(self, last: Last, places: Cloud, a: Assessment, row: int) -> float:
        """How dense the lost object would be where the new track is, and as fast."""
        place = float(a.lat_rad[row]), float(a.lon_rad[row]), float(a.sigma_horizontal_m[row])
        density = density_per_m2(last, places, *place, flying=True)
        sigma = 0.15 * last.speed_mps + 3.0 + math.hypot(last.sigma_speed_mps, float(a.sigma_speed_mps[row]))
        return density * math.exp(-0.5 * ((float(a.speed_mps[row]) - last.speed_mps) / sigma) ** 2)


def _stretch(last: Last, a: Assessment, row: int, now_us: int) -> float:
    """How far a track is from a lost object, as a part of what that can have flown since."""
    away_m = geo.inverse_1(last.lat_rad, last.lon_rad, float(a.lat_rad[row]), float(a.lon_rad[row]))[0]
    dt_s = (now_us - last.t_us) / US_PER_S
    return float(away_m / ((1.5 * last.speed_mps + 15.0) * dt_s + 4.0 * last.sigma_m))


def density_per_m2(
    last: Last, places: Cloud, lat_rad: float, lon_rad: float, sigma_m: float, flying: bool | None = None
) -> float:
    """How dense the possible places of a lost object are about a place, of all or of those in the air, or down.

    The kernel is as wide as `sigma_m`, or so that it reaches one place in a hundred, whichever is more.
    """
    away_m, azimuth, _ = geo.inverse_1(last.lat_rad, last.lon_rad, lat_rad, lon_rad)
    off_m = np.hypot(places.east_m - away_m * math.sin(azimuth), places.north_m - away_m * math.cos(azimuth))
    chosen = np.ones(len(off_m), np.bool_) if flying is None else places.flying if flying else ~places.flying
    near = np.sort(off_m[chosen])
    if len(near) == 0:
        return 0.0
    rank = min(max(len(off_m) // 100, 1), len(near) - 1)
    width = max(sigma_m, min(float(near[rank]), 0.15 * away_m + 500.0))
    weight = float(np.exp(-0.5 * (near / width) ** 2).sum()) / len(off_m)
    return weight / (2.0 * math.pi * width**2)
