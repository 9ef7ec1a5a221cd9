"""What people saw: a report joins the track or the search that it is of, or stands for an object of its own.

A report says where an object was, or from where and in which direction it was seen. Where that puts the object is a
normal distribution on the ground, long in the direction of the look. A track that was there then, a lost object that
may have been there, an earlier report of an object nobody else saw: each explains the report with a density, weighed
by how likely people report such an object; so do the objects that no sensor sees, `other_per_m2` of them. What has
most of the sum, and at least half, is what was seen. Words are kept as they were said and never understood.

A report that no track explains is a tentative object: it is looked at again as tracks appear, and later reports may
join it. What is found on the ground is compared with the places where lost objects may have come down, ranked.

Reports wait in a queue of at most `most_waiting` (what is more is refused, and says so); `each_step` are judged in one
step, in order of time. A report that comes again gets the same answer. Bad ones are refused with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr

from fusion import geo
from fusion.cases.lost import Lost, Search, density_per_m2
from fusion.cases.record import Match, SearchChanged, Sighting, SightingJudged, cited_as
from fusion.cases.trail import Trails
from fusion.cases.whereabouts import Last, cloud
from fusion.schema import F8, US_PER_S

Event = SightingJudged | SearchChanged
Where = Callable[[float, float], tuple[str, float]]  # state code and distance to the border, as Zones.at


@dataclass(frozen=True, slots=True)
class SightingParams:
    """The numbers of this file, each with its unit and reason."""

    future_s: float = 5.0  # a report of what is to come: a wrong clock, or worse
    outside_m: float = 200_000.0  # from the border, where no state is known: nothing here can be said of it
    other_per_m2: float = 1e-9  # objects that people see and no sensor does: one on 30 km x 30 km
    found_per_m2: float = 1e-10  # objects on the ground that were never tracked: one on 100 km x 100 km
    weights: tuple[float, float, float, float] = (0.2, 0.5, 1.0, 1.0)  # of a report, by fusion.cases.trail's worth
    p_join: float = 0.5  # likelier of this one than of anything else
    p_found: float = 0.8  # from which a find ends a search
    look_m: float = 2_000.0  # how far away an object is seen when nobody says how far
    sigma_look_m: float = 1_500.0
    sigma_bearing_rad: float = math.radians(10.0)  # of a bearing without an accuracy
    away_part: float = 0.5  # one sigma of a distance estimated by eye
    slack_s: float = 120.0  # to the nearest point of a track: a track begun two minutes later is flown back
    tentative_s: float = 1_800.0  # an object that only people saw is forgotten after
    most_tentative: int = 64  # the oldest goes
    again_s: float = 60.0  # a tentative one is looked at again this often, for five minutes
    again_for_s: float = 300.0
    between_mps: float = 50.0  # speed of an object between two reports of it
    most_waiting: int = 256
    each_step: int = 4  # reports looked at in one step; a find takes a step of its own
    most_searches: int = 4  # open ones that one report is weighed against, the nearest: 4.5 ms each
    most_finds: int = 24  # losses that one find is compared with: the nearest; 0.17 s
    most_known: int = 512  # answers kept for reports that come again
    most_matches: int = 5


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a report puts the object: a normal distribution."""

    lat_rad: float
    lon_rad: float
    cov_m2: F8  # (2, 2) east, north

    @property
    def sigma_m(self) -> float:
        return math.sqrt(float(np.trace(self.cov_m2)) / 2.0)


class Sightings:
    """All reports that matter still. `where`: the state and the distance to the border of a place (`Zones.at`)."""

    def __init__(self, where: Where, params: SightingParams | None = None) -> None:
        self.params = params or SightingParams()
        self.refused: dict[str, int] = {}  # by reason
        self._where = where
        self._waiting: list[Sighting] = []
        self._tentative: dict[str, tuple[Sighting, int]] = {}  # by name: the report, when it was last looked at
        self._known: dict[str, SightingJudged] = {}
        self._fates: list[str] = []

    def feed(self, report: Sighting) -> None:
        """Store a report for the next step; with too many waiting the sensor that has most of them is refused some."""
        self._waiting.append(report)

    def step(self, trails: Trails, lost: Lost, now_us: int) -> list[Event]:
        """Judge what waits and look at tentative ones again."""
        waiting = _in_turn(self._waiting)
        over = waiting[self.params.most_waiting :]
        events: list[Event] = [
            self._refuse(r, now_us, "overload", "too many reports at once, send again") for r in over
        ]
        now = waiting[: self.params.each_step]
        finds = [i for i, report in enumerate(now) if report.found]
        if finds:  # the work of a whole step
            now = now[: max(1, finds[0])]
        self._waiting = waiting[len(now) : self.params.most_waiting]
        for report in now:
            events += self._judge(report, trails, lost, now_us)
        return events + self._look_again(trails, lost, now_us)

    def drain_fates(self) -> list[str]:
        """What became of every report judged since the last call: "used", "duplicate", or why it was refused."""
        fates, self._fates = self._fates, []
        return fates

    def _fault(self, report: Sighting) -> tuple[str, str]:
        """Why a report is refused whatever else is known: a countable reason and its sentence; empty when it is not."""
        if report.t_us > report.rx_us + self.params.future_s * US_PER_S:
            ahead_s = (report.t_us - report.rx_us) / US_PER_S
            return "future", f"its time is {ahead_s:.0f} s ahead of its arrival"
        code, distance_m = self._where(report.lat_rad, report.lon_rad)
        if not code and not abs(distance_m) <= self.params.outside_m:
            most_km = self.params.outside_m / 1_000
            return "outside-area", f"no state is known there, and the border is further than {most_km:.0f} km"
        return "", ""

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        kept = {"waiting": list(self._waiting), "tentative": dict(self._tentative)}
        return {**kept, "known": dict(self._known), "refused": dict(self.refused)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._waiting, self._tentative = list(state["waiting"]), dict(state["tentative"])
        self._known, self.refused = dict(state["known"]), dict(state["refused"])

    # --- one report ---

    def _judge(self, report: Sighting, trails: Trails, lost: Lost, now_us: int) -> list[Event]:
        name = name_of(report)
        known = self._known.get(name)
        if known is not None and _content(known.sighting) == _content(report):
            self._fates.append("duplicate")
            return [replace(known, sighting=report, t_us=now_us)]
        if known is not None:
            return [self._refuse(report, now_us, "id-used", "another report of this sensor had this id")]
        reason, detail = self._fault(report)
        if reason:
            return [self._refuse(report, now_us, reason, detail)]
        events = self._find(report, trails, lost, now_us) if report.found else self._see(report, trails, lost, now_us)
        self._fates.append("used")
        self._known[name] = next(e for e in events if isinstance(e, SightingJudged))
        while len(self._known) > self.params.most_known:
            del self._known[next(iter(self._known))]
        return events

    def _refuse(self, report: Sighting, now_us: int, reason: str, detail: str) -> SightingJudged:
        self._fates.append(reason)
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return SightingJudged(report, now_us, False, f"{reason}: {detail}")

    def _see(self, report: Sighting, trails: Trails, lost: Lost, now_us: int) -> list[Event]:
        spot = _spot(report, self.params)
        weighed = [*self._of_tracks(report, spot, trails), *self._of_searches(report, spot, lost)]
        matches = _ranked(
            [*weighed, *self._of_reports(report, spot)], self.params.other_per_m2, self.params.most_matches
        )
        best = matches[0] if matches and matches[0].probability >= self.params.p_join else None
        if best is None or best.rests_on == "sighting":
            self._tentative[name_of(report)] = (report, now_us)
            while len(self._tentative) > self.params.most_tentative:
                del self._tentative[next(iter(self._tentative))]
            detail = (
                f"seen with {best.track} by nobody else" if best else "no track is likely to be it: kept as tentative"
            )
            return [SightingJudged(report, now_us, True, detail, best.track if best else "", matches)]
        self._tentative.pop(name_of(report), None)
        detail = f"joined to track {best.track}, probability {best.probability:.2f}"
        told: list[Event] = [SightingJudged(report, now_us, True, detail, best.track, matches)]
        if best.rests_on == "search":
            told += lost.seen(best.track, _from_here(report, spot, lost, best.track), name_of(report), now_us)
        return told

    def _look_again(self, trails: Trails, lost: Lost, now_us: int) -> list[Event]:
        events: list[Event] = []
        budget = self.params.each_step
        for name, (report, looked_us) in list(self._tentative.items()):
            if now_us - report.rx_us > self.params.tentative_s * US_PER_S:
                del self._tentative[name]
            elif budget and now_us - looked_us >= self.params.again_s * US_PER_S:
                if now_us - report.rx_us > self.params.again_for_s * US_PER_S:
                    continue
                budget -= 1
                told = self._see(report, trails, lost, now_us)
                if name not in self._tentative:
                    self._known[name] = next(e for e in told if isinstance(e, SightingJudged))
                    events += told
        return events

    # --- what explains it: (match without its probability, weight times density) ---

    def _of_tracks(self, report: Sighting, spot: _Spot, trails: Trails) -> list[tuple[Match, float]]:
        then = trails.at(report.t_us, round(self.params.slack_s * US_PER_S))
        away, azimuth, _ = geo.inverse(spot.lat_rad, spot.lon_rad, then.lat_rad, then.lon_rad)
        # What happens within the error of its time, the track flies through; and beyond its points it is a guess.
        along = then.speed_mps * math.hypot(report.sigma_t_s, 1.0)
        guess = np.square(then.sigma_m) + np.square(3.0 * then.away_us / US_PER_S)
        course = np.nan_to_num(then.course_rad)
        s, c = np.sin(course), np.cos(course)
        ee = spot.cov_m2[0, 0] + guess + (along * s) ** 2
        nn = spot.cov_m2[1, 1] + guess + (along * c) ** 2
        en = spot.cov_m2[0, 1] + along**2 * s * c
        density = _normal(away * np.sin(azimuth), away * np.cos(azimuth), ee, nn, en)
        density = density * _height_fits(report, then.lat_rad, then.lon_rad, then.height_m)
        density = density * _in_front(report, then.lat_rad, then.lon_rad, np.sqrt(guess + along**2))
        worth = trails.worth[np.searchsorted(trails.id, then.id)] if len(then.id) else np.empty(0, np.int64)
        weight = density * np.array(self.params.weights)[worth]
        likely = np.argsort(-weight, kind="stable")[: 2 * self.params.most_matches].tolist()
        return [
            (Match(trails.name(int(then.id[i])), 0.0, float(away[i]), 0.0, "track"), float(weight[i])) for i in likely
        ]

    def _of_searches(self, report: Sighting, spot: _Spot, lost: Lost) -> list[tuple[Match, float]]:
        found = []
        before = [(_stretch(s, spot, report.t_us), s) for s in lost.searching() if s.last.t_us < report.t_us]
        near = sorted(((far, s) for far, s in before if far[0] <= 1.5), key=lambda pair: pair[0])
        for _, search in near[: self.params.most_searches]:
            since_s = (report.t_us - search.last.t_us) / US_PER_S
            places = cloud(search.last, report.t_us, lost.wind)
            away, azimuth, _ = geo.inverse_1(search.last.lat_rad, search.last.lon_rad, spot.lat_rad, spot.lon_rad)
            one = np.ones(len(places.east_m))
            wide = [spot.cov_m2[0, 0] * one, spot.cov_m2[1, 1] * one, spot.cov_m2[0, 1] * one]
            east, north = places.east_m - away * math.sin(azimuth), places.north_m - away * math.cos(azimuth)
            density = float(np.mean(_normal(east, north, *wide) * places.flying))
            found.append((Match(search.track, 0.0, away, since_s, "search"), density))
        return found

    def _of_reports(self, report: Sighting, spot: _Spot) -> list[tuple[Match, float]]:
        found = []
        for name, (other, _) in self._tentative.items():
            since_s = (report.t_us - other.t_us) / US_PER_S
            if name == name_of(report) or abs(since_s) > self.params.tentative_s / 2:
                continue
            there = _spot(other, self.params)
            away, azimuth, _ = geo.inverse_1(spot.lat_rad, spot.lon_rad, there.lat_rad, there.lon_rad)
            flown = (self.params.between_mps * math.hypot(since_s, other.sigma_t_s, report.sigma_t_s)) ** 2 / 2.0
            cov = spot.cov_m2 + there.cov_m2 + flown * np.eye(2)
            one = np.ones(1)
            offset = (one * away * math.sin(azimuth), one * away * math.cos(azimuth))
            density = float(_normal(*offset, cov[0, 0] * one, cov[1, 1] * one, cov[0, 1] * one)[0])
            found.append((Match(name, 0.0, away, since_s, "sighting"), density))
        return found

    # --- finds ---

    def _find(self, report: Sighting, trails: Trails, lost: Lost, now_us: int) -> list[Event]:
        spot = _spot(report, self.params)
        sigma_m = max(spot.sigma_m, 100.0)
        ended = _ended(trails, lost)
        weights = {search.track: self.params.weights[worth] for search, worth in ended}
        searches = [*lost.losses(), *(search for search, _ in ended)]
        near = sorted((s for s in searches if s.last.t_us <= report.t_us), key=lambda s: _stretch(s, spot, report.t_us))
        weighed = []
        for search in near[: self.params.most_finds]:
            until_us = min(report.t_us, search.until_us)
            places = cloud(search.last, until_us, lost.wind)
            density = density_per_m2(search.last, places, spot.lat_rad, spot.lon_rad, sigma_m)
            away = geo.inverse_1(search.last.lat_rad, search.last.lon_rad, spot.lat_rad, spot.lon_rad)[0]
            since_s = (report.t_us - search.last.t_us) / US_PER_S
            weight = weights.get(search.track, 1.0)
            weighed.append((Match(search.track, 0.0, away, since_s, "search"), weight * density))
        matches = _ranked(weighed, self.params.found_per_m2, self.params.most_matches)
        best = matches[0] if matches and matches[0].probability >= self.params.p_join else None
        if best is None:
            return [SightingJudged(report, now_us, True, "no track of the past is likely to be it", "", matches)]
        detail = f"most probably track {best.track}, probability {best.probability:.2f}"
        told: list[Event] = [SightingJudged(report, now_us, True, detail, best.track, matches)]
        if best.probability >= self.params.p_found:
            told += lost.found(best.track, f"{name_of(report)}, probability {best.probability:.2f}", now_us)
        return told


def name_of(report: Sighting) -> str:
    """How a report is cited, and a tentative object named."""
    return f"sighting {cited_as(report.sensor, report.id)}"


def _content(report: Sighting) -> str:
    """All that it says; not when it came and who is to be answered."""
    return repr(replace(report, rx_us=0, response_topic="", correlation=b""))


def _in_turn(reports: list[Sighting]) -> list[Sighting]:
    """In order of time, but every sensor's first before anybody's second: who floods waits behind who reports."""
    turns: dict[str, int] = {}
    ranked = []
    for report in sorted(reports, key=lambda r: (r.rx_us, r.t_us, r.sensor, r.id, _content(r))):
        turns[report.sensor] = turns.get(report.sensor, -1) + 1
        ranked.append((turns[report.sensor], report))
    return [report for _, report in sorted(ranked, key=lambda pair: pair[0])]


def _spot(report: Sighting, p: SightingParams) -> _Spot:
    own = max(report.sigma_m, 10.0)
    if not math.isfinite(report.bearing_rad):
        return _Spot(report.lat_rad, report.lon_rad, own**2 * np.eye(2))
    known = math.isfinite(report.distance_m)
    away = report.distance_m if known else p.look_m
    sigma = report.sigma_bearing_rad if math.isfinite(report.sigma_bearing_rad) else p.sigma_bearing_rad
    along = math.hypot(p.away_part * away if known else p.sigma_look_m, own)
    across = math.hypot(away * min(sigma, 1.0), own)
    lat, lon, _ = geo.direct_1(report.lat_rad, report.lon_rad, report.bearing_rad % math.tau, away)
    s, c = math.sin(report.bearing_rad), math.cos(report.bearing_rad)
    axes = np.array([[s, c], [c, -s]])
    return _Spot(lat, lon, np.asarray(axes @ np.diag([along**2, across**2]) @ axes.T, np.float64))


def _normal(east: F8, north: F8, ee: F8, nn: F8, en: F8) -> F8:
    """Density per m2 of offsets under covariances, all (n,)."""
    det = ee * nn - en * en
    square = (nn * east * east - 2.0 * en * east * north + ee * north * north) / det
    return np.asarray(np.exp(-0.5 * square) / (2.0 * math.pi * np.sqrt(det)), np.float64)


def _height_fits(report: Sighting, lat_rad: F8, lon_rad: F8, height_m: F8) -> F8:
    """1 where the height said fits the track's, less where it does not; ground and eye are both uncertain."""
    if math.isfinite(report.height_m):
        said = np.full(len(lat_rad), report.height_m)
    elif math.isfinite(report.elevation_rad) and math.isfinite(report.bearing_rad):
        away = geo.inverse(report.lat_rad, report.lon_rad, lat_rad, lon_rad)[0]
        said = away * math.tan(min(max(report.elevation_rad, 0.0), math.radians(80.0)))
    else:
        return np.ones(len(lat_rad))
    off = (height_m - said) / (400.0 + 0.5 * said)
    return np.where(np.isfinite(off), np.exp(-0.5 * off**2), 1.0)


def _in_front(report: Sighting, lat_rad: F8, lon_rad: F8, sigma_m: F8) -> F8:
    """Probability that a place is on the side to which the observer looked; 1 where no bearing was given."""
    if not math.isfinite(report.bearing_rad):
        return np.ones(len(lat_rad))
    away, azimuth, _ = geo.inverse(report.lat_rad, report.lon_rad, lat_rad, lon_rad)
    ahead = away * np.cos(azimuth - report.bearing_rad)
    return np.asarray(ndtr(ahead / np.hypot(sigma_m, max(report.sigma_m, 10.0))), np.float64)


def _ranked(weighed: list[tuple[Match, float]], other: float, most: int) -> tuple[Match, ...]:
    """Probabilities among all that explain it and all else; of two that are one track the better stands for both."""
    best: dict[str, tuple[Match, float]] = {}
    for match, weight in weighed:
        if match.track not in best or weight > best[match.track][1]:
            best[match.track] = (match, weight)
    total = other + sum(weight for _, weight in best.values())
    order = sorted(best.values(), key=lambda pair: (-pair[1], pair[0].track))[:most]
    return tuple(replace(m, probability=w / total) for m, w in order if w / total >= 0.01)


def _from_here(report: Sighting, spot: _Spot, lost: Lost, track: str) -> Last:
    """What is known of a lost object now that somebody saw it."""
    old = next(search.last for search in lost.searching() if search.track == track)
    moved, _, course = geo.inverse_1(old.lat_rad, old.lon_rad, spot.lat_rad, spot.lon_rad)
    sigma_m = spot.sigma_m
    far = moved >= 2.0 * sigma_m
    return replace(
        old,
        t_us=max(report.t_us, old.t_us),
        lat_rad=spot.lat_rad,
        lon_rad=spot.lon_rad,
        sigma_m=sigma_m,
        course_rad=course % math.tau if far else old.course_rad,
        sigma_course_rad=math.atan2(sigma_m, moved) if far else 0.7,
        agl_m=report.height_m if math.isfinite(report.height_m) else old.agl_m,
        climb_mps=0.0,
        turn_radps=0.0,
        in_view=False,
    )


def _stretch(search: Search, spot: _Spot, t_us: int) -> tuple[float, str]:
    """How far a place is for a lost object, as a part of what it can reach."""
    last = search.last
    away = geo.inverse_1(last.lat_rad, last.lon_rad, spot.lat_rad, spot.lon_rad)[0]
    flown_s = max(min(t_us, search.until_us) - last.t_us, 0) / US_PER_S
    return away / ((1.3 * last.speed_mps + 15.0) * flown_s + 4.0 * (last.sigma_m + spot.sigma_m)), search.track


def _ended(trails: Trails, lost: Lost) -> list[tuple[Search, int]]:
    """Tracks that ended without being searched for, as losses of which little is known, and what each is worth."""
    known = {search.track: 0 for search in lost.losses()}
    ends, hour = trails.ends(), 3_600 * US_PER_S
    worth = trails.worth[np.searchsorted(trails.id, ends.id)].tolist()
    found = []
    for i, number in enumerate(ends.id.tolist()):
        track = trails.name(number)
        if track in known:
            continue
        t_us = int(ends.away_us[i])
        last = Last(
            t_us, float(ends.lat_rad[i]), float(ends.lon_rad[i]), max(float(ends.sigma_m[i]), 1.0),
            float(ends.speed_mps[i]), 5.0, float(ends.course_rad[i]),
        )  # fmt: skip
        found.append((Search(track, last, float(ends.height_m[i]), "ended", t_us + hour, alerted=False), worth[i]))
    return found
