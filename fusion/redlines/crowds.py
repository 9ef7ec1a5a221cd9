"""Many alike are one event of an area: bird migration and wind farms, instead of an alert for each echo.

A *crowd* is told once, with its size, place and motion, and what belongs to it raises no alert of its own; whatever
stands out from it is alerted as ever. Two kinds:
- **flock**: at least `flock_count` objects that say nothing, none faster than a bird with the wind, in a chain of
  neighbours, none of which stands out: the velocity of each is as near the median of all as those of the others are;
- **fixed**: at least `fixed_count` echoes close together that do not move, and have not since each was first seen.

What a crowd must never swallow is a swarm. Drones fly 33 m/s and more, and are no members; the slow ones (15 m/s)
cannot be told from birds by how they move, so the size decides: `flock_count` is twice the largest number of drones
that came over one border in one night. One slow drone in the midst of a flock, with its speed and its course, is not
told apart: nothing that a radar of positions measures does that. A hovering drone from elsewhere is no member.

Looked at once a second. Memory follows the picture; numbers of crowds count up and are never used twice in one epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fusion import geo
from fusion.cases.record import Crowd, CrowdKind
from fusion.rules import probability_at_most
from fusion.schema import B1, F8, I8, US_PER_S, Assessment, ObjectClass, Tracks

LIVE_US = 30 * US_PER_S  # a claim younger than this speaks: who says who he is belongs to no crowd
FORGET_US = 60 * US_PER_S  # a track that left the picture is forgotten, and a crowd that fell apart is over, after this
MOST_IDS = 1_000  # members named in an event: the lowest numbers
_DRONES = (ObjectClass.FIXED_WING_DRONE, ObjectClass.FAST_LOW_FLYER)


@dataclass(frozen=True, slots=True)
class CrowdParams:
    """What counts as many, alike and near, each with its reason."""

    flock_count: int = 40  # 21 drones came over Poland in the night of September 2025, the most in any one
    flock_mps: float = 35.0  # over ground: geese fly 25 through the air at most, and leave with the wind behind them
    flock_cell_m: float = 6_000.0  # neighbours are at most two cells apart: flocks on migration fly 1 to 10 km apart
    alike_mps: float = 10.0  # from the median velocity, and twice its own sigma: geese differ by so much in one flock,
    alike_spread: float = 2.5  # or by so many times the spread of a crowd whose members fly this way and that
    fixed_count: int = 10  # a wind farm; of fewer, each is told, and they are one incident
    fixed_mps: float = 8.0  # estimates of a turbine wander by so much: its blades spread its echo
    fixed_cell_m: float = 1_500.0  # turbines stand 300 to 800 m apart
    fixed_m: float = 600.0  # from where it was first seen: what came from further moved
    p_least: float = 0.75  # that it is so slow; and of being a drone's class at most 1 - this
    p_copter: float = 0.9  # of being a small multicopter at most this: turbines and birds were taken for one up to 0.75
    keep: float = 0.5  # of the count: a crowd once told goes on until it is smaller than this
    stay_us: int = 30 * US_PER_S  # a member that is doubtful for shorter than this stays one


@dataclass(frozen=True, slots=True)
class _Look:
    tracks: Tracks
    a: Assessment
    silent: B1  # (n,) says nothing, and flies like no drone
    xyz_m: F8  # (n, 3) on the ellipsoid below each track
    velocity: F8  # (n, 2) east, north
    now_us: int


_KINDS = (CrowdKind.FLOCK, CrowdKind.FIXED)
_NONE = -1


class Crowds:
    """Every crowd in the picture. `codes`: of the states, as in `Zones`."""

    def __init__(self, codes: Sequence[str], params: CrowdParams | None = None) -> None:
        self.params = params or CrowdParams()
        self._codes = tuple(codes)
        self._clear(-1)

    def step(self, tracks: Tracks, assessment: Assessment, now_us: int) -> list[Crowd]:
        """Look at the picture, once a second: every crowd as it stands, and those that are over, in order of number."""
        if tracks.epoch != self._epoch:
            self._clear(tracks.epoch)
        a = assessment
        east, north = a.speed_mps * np.sin(a.course_rad), a.speed_mps * np.cos(a.course_rad)
        velocity = np.nan_to_num(np.stack([east, north], axis=1))
        xyz_m = geo.ecef(a.lat_rad, a.lon_rad, np.zeros(len(tracks)))
        look = _Look(tracks, a, self._silent(tracks, a, now_us), xyz_m, velocity, now_us)
        at = self._align(look)
        before = np.where(now_us - self._sure_us[at] <= FORGET_US, self._was[at], _NONE)
        fixed = self._fixed(look, at)
        could = (self._flying(look) & ~fixed, fixed)
        now = np.full(len(tracks), _NONE, np.int64)
        told: dict[int, Crowd] = {}
        for kind, rows in zip(_KINDS, could, strict=True):
            for members in self._find(look, kind, np.flatnonzero(rows), before):
                number = self._number(before[members], kind, told)
                now[members] = number
                told[number] = self._tell(look, number, kind, members)
        self._remember(look, at, now, before, told)
        return self._all_told(told, now_us)

    def member(self, ids: I8) -> I8:
        """(n,) the number of the crowd that each track (its counter) belongs to, -1 none. Ids in ascending order."""
        at = np.minimum(np.searchsorted(self._id, ids), max(0, len(self._id) - 1))
        if not len(self._id):
            return np.full(len(ids), _NONE, np.int64)
        return np.where(self._id[at] == ids, self._crowd[at], _NONE)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later event."""
        names = ("id", "first", "sigma", "crowd", "was", "sure_us", "seen")
        rows = {name: getattr(self, f"_{name}").copy() for name in names}
        crowds = [{**asdict(crowd), "kind": str(crowd.kind)} for crowd in self._open.values()]
        return {"epoch": self._epoch, "last": self._last, "rows": rows, "crowds": crowds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._clear(state["epoch"])
        self._last = int(state["last"])
        for name, rows in state["rows"].items():
            setattr(self, f"_{name}", rows.copy())
        for plain in state["crowds"]:
            lists = {name: tuple(plain[name]) for name in ("states", "members")}
            self._open[plain["number"]] = Crowd(**{**plain, **lists, "kind": CrowdKind(plain["kind"])})

    def _clear(self, epoch: int) -> None:
        self._epoch = epoch
        self._last = 0  # number given last
        self._open: dict[int, Crowd] = {}  # as last told
        self._id = np.empty(0, np.int64)  # rows in order of track id
        self._first = np.empty((0, 3))  # where it was first seen, ECEF, on the ellipsoid
        self._sigma = np.empty(0)  # of that place
        self._crowd = np.empty(0, np.int64)
        self._was = np.empty(0, np.int64)  # the crowd that it last belonged to without doubt
        self._sure_us = np.empty(0, np.int64)  # when it last belonged without doubt
        self._seen = np.empty(0, np.int64)

    def _align(self, look: _Look) -> I8:
        """Rows for new tracks, none for those that are gone; (n,) the row of each."""
        ids = look.tracks.id
        new = ~np.isin(ids, self._id, assume_unique=True)
        keep = (look.now_us - self._seen < FORGET_US) | np.isin(self._id, ids, assume_unique=True)
        count = int(new.sum())
        blank = np.full(count, _NONE, np.int64)
        ids_now = np.concatenate([self._id[keep], ids[new]])
        order = np.argsort(ids_now, kind="stable")
        self._id = ids_now[order]
        self._first = np.concatenate([self._first[keep], look.xyz_m[new]])[order]
        self._sigma = np.concatenate([self._sigma[keep], look.a.sigma_horizontal_m[new]])[order]
        self._crowd = np.concatenate([self._crowd[keep], blank])[order]
        self._was = np.concatenate([self._was[keep], blank])[order]
        self._sure_us = np.concatenate([self._sure_us[keep], blank])[order]
        self._seen = np.concatenate([self._seen[keep], blank])[order]
        at = np.asarray(np.searchsorted(self._id, ids), np.int64)
        self._seen[at] = look.now_us
        return at

    def _silent(self, tracks: Tracks, a: Assessment, now_us: int) -> B1:
        claiming = (tracks.claim_us >= 0) & (now_us - tracks.claim_us <= LIVE_US)
        drone = a.p_classes[:, list(_DRONES)].sum(axis=1) > 1.0 - self.params.p_least
        copter = a.p_classes[:, ObjectClass.SMALL_MULTICOPTER] > self.params.p_copter
        silent: B1 = ~claiming & ~a.cooperative & ~drone & ~copter
        return silent

    def _flying(self, look: _Look) -> B1:
        p = probability_at_most(look.a.speed_mps, look.a.sigma_speed_mps, self.params.flock_mps)
        return np.asarray(look.silent & (p >= self.params.p_least), np.bool_)

    def _fixed(self, look: _Look, at: I8) -> B1:
        p = probability_at_most(look.a.speed_mps, look.a.sigma_speed_mps, self.params.fixed_mps)
        moved_m = np.sqrt(((look.xyz_m - self._first[at]) ** 2).sum(axis=1))
        open_m = 2.0 * np.hypot(self._sigma[at], look.a.sigma_horizontal_m)
        still = moved_m <= self.params.fixed_m + open_m
        return np.asarray(look.silent & (p >= self.params.p_least) & still, np.bool_)

    def _find(self, look: _Look, kind: CrowdKind, rows: I8, before: I8) -> list[I8]:
        """Crowds of one kind among these rows: the rows of each, in order of their first."""
        flock = kind is CrowdKind.FLOCK
        cell_m = self.params.flock_cell_m if flock else self.params.fixed_cell_m
        least = self.params.flock_count if flock else self.params.fixed_count
        known = np.isin(before, [n for n, crowd in self._open.items() if crowd.kind is kind])
        found = []
        for near in neighbours(look.xyz_m[rows], cell_m):
            members = rows[near]
            goes_on = int(known[members].sum()) >= self.params.keep * least
            needed = self.params.keep * least if goes_on else least
            if flock and len(members) >= needed:
                members = self._together(look, members)
            if len(members) >= needed:
                found.append(members)
        return found

    def _together(self, look: _Look, members: I8) -> I8:
        """Those that do not stand out from the others: near the median velocity of all, then of those."""
        inner = members
        for _ in range(2):
            middle, spread_mps = _median(look.velocity[inner])
            off_mps = np.sqrt(((look.velocity[members] - middle) ** 2).sum(axis=1))
            inner = members[off_mps <= self._alike(spread_mps) + 2.0 * look.a.sigma_speed_mps[members]]
            if not len(inner):
                break
        return inner

    def _alike(self, spread_mps: float) -> float:
        return max(self.params.alike_mps, self.params.alike_spread * spread_mps)

    def _number(self, before: I8, kind: CrowdKind, told: dict[int, Crowd]) -> int:
        """Of the crowd that most of its members belonged to, the oldest of equals; a new one where there is none."""
        numbers, counts = np.unique(before[before >= 0], return_counts=True)
        for number in numbers[np.argsort(-counts, kind="stable")].tolist():
            known = self._open.get(int(number))
            if known is not None and known.number not in told and known.kind is kind:
                return known.number
        self._last += 1
        return self._last

    def _tell(self, look: _Look, number: int, kind: CrowdKind, rows: I8) -> Crowd:
        a, tracks = look.a, look.tracks
        lat, lon, radius_m = _disc(look.xyz_m[rows])
        (east, north), spread_mps = _median(look.velocity[rows])
        heights = a.agl_m[rows][a.height_known[rows] & np.isfinite(a.agl_m[rows])]
        low, high = np.quantile(heights, [0.05, 0.95]) if len(heights) else (np.nan, np.nan)
        states = [self._codes[i] for i in np.unique(a.state[rows]).tolist() if i >= 0]
        was = self._open.get(number)
        return Crowd(
            number=number,
            kind=kind,
            state="open",
            since_us=was.since_us if was else look.now_us,
            t_us=look.now_us,
            lat_rad=lat,
            lon_rad=lon,
            radius_m=radius_m,
            count=len(rows),
            most=max(len(rows), was.most if was else 0),
            inside=int((a.p_inside[rows] >= 0.5).sum()),
            speed_mps=float(np.hypot(east, north)),
            course_rad=float(np.arctan2(east, north) % (2.0 * np.pi)),
            spread_mps=spread_mps,
            low_m=float(low),
            high_m=float(high),
            states=tuple(states),
            members=tuple(tracks.id[rows][:MOST_IDS].tolist()),
        )

    def _remember(self, look: _Look, at: I8, now: I8, before: I8, told: dict[int, Crowd]) -> None:
        """Who is doubtful for a moment stays a member of a crowd that goes on; who stands out leaves it at once."""
        sure = now >= 0
        self._sure_us[at] = np.where(sure, look.now_us, self._sure_us[at])
        self._was[at] = np.where(sure, now, self._was[at])
        stays = ~sure & look.silent & (look.now_us - self._sure_us[at] <= self.params.stay_us)
        for row in np.flatnonzero(stays).tolist():
            crowd = told.get(int(before[row]))
            stays[row] = crowd is not None and self._may_stay(look, row, crowd)
        self._crowd[at] = np.where(sure, now, np.where(stays, before, _NONE))

    def _may_stay(self, look: _Look, row: int, crowd: Crowd) -> bool:
        """It may still be as slow as the crowd's are, and move with it, by three times its sigma."""
        most_mps = self.params.flock_mps if crowd.kind is CrowdKind.FLOCK else self.params.fixed_mps
        open_mps = 3.0 * float(look.a.sigma_speed_mps[row])
        if look.a.speed_mps[row] - open_mps > most_mps:
            return False
        middle = crowd.speed_mps * np.array([np.sin(crowd.course_rad), np.cos(crowd.course_rad)])
        off_mps = float(np.sqrt(((look.velocity[row] - middle) ** 2).sum()))
        return off_mps <= self._alike(crowd.spread_mps) + open_mps

    def _all_told(self, told: dict[int, Crowd], now_us: int) -> list[Crowd]:
        """With those that fell apart: silent for a minute, in which they may come together again, then over."""
        over = []
        for number, crowd in list(self._open.items()):
            if number not in told and now_us - crowd.t_us >= FORGET_US:
                over.append(replace(crowd, state="over", t_us=now_us, count=0, inside=0, members=()))
                del self._open[number]
        self._open |= told
        return sorted([*told.values(), *over], key=lambda crowd: crowd.number)


def neighbours(xyz_m: F8, cell_m: float) -> list[I8]:
    """Groups of points (n, 3) whose cubes of `cell_m` touch, also at a corner: the indices of each, ascending.

    Groups in order of their first point. Points closer than one cell always touch, those two cells apart never.
    """
    if not len(xyz_m):
        return []
    cells, of = np.unique(np.floor(xyz_m / cell_m), axis=0, return_inverse=True)
    touching = cKDTree(cells).query_pairs(1.5, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(touching)), touching.T), (len(cells), len(cells)))
    label = connected_components(links, directed=False)[1][of.reshape(-1)]
    first = np.unique(label, return_index=True)[1]
    return [np.flatnonzero(label == label[point]) for point in np.sort(first)]


def _median(velocity: F8) -> tuple[F8, float]:
    """Median of each axis of (n, 2), and the median distance from it."""
    middle: F8 = np.median(velocity, axis=0)
    return middle, float(np.median(np.sqrt(((velocity - middle) ** 2).sum(axis=1))))


def _disc(xyz_m: F8) -> tuple[float, float, float]:
    """(latitude, longitude, radius in m) of a circle around these points, about their mean."""
    middle = xyz_m.mean(axis=0)
    lat, lon, _ = geo.geodetic(middle[None, :])
    ground = geo.ecef(lat, lon, np.zeros(1))[0]
    radius_m = float(np.sqrt(((xyz_m - ground) ** 2).sum(axis=1)).max())
    return float(lat[0]), float(lon[0]), radius_m
