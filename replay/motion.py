"""How simulated objects move: along waypoints with limited turn, climb and acceleration, or along recorded points.

A flight is a row of knots in ECEF with straight lines between; with knots a second apart the error of the straight
line is below half a metre in the hardest turn flown here (3 m/s^2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.schema import B1, F8, I8

STEP_S = 1.0  # of the knots
_TURN_CAP_RAD = math.radians(150.0)  # a sharper corner is flown past and turned after, not cut
_WINDOW = 32  # knots that are resampled at a time
_KEY_BITS, _KEY_HALF = 40, 2.0**39 - 1  # microseconds of a scene: six days to each side
_WINDOWS_HELD = 4  # sensors of one scene are never further apart than that
_LEAD_CAP_RADII = 3.0  # a waypoint closer than this inside the turning circle counts as passed when it falls behind


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A place to fly over."""

    lat_rad: float
    lon_rad: float
    height_m: float  # above the ellipsoid
    speed_mps: float  # over ground, on the leg that leads here; of the first waypoint: at departure


@dataclass(frozen=True, slots=True)
class Agility:
    """What the object can do."""

    turn_radps: float = math.radians(3.0)  # rate one
    climb_mps: float = 8.0
    accelerate_mps2: float = 1.5


@dataclass(frozen=True, slots=True)
class Flight:
    """Knots of one object, time rising; the object exists from the first to the last."""

    t_s: F8  # (k,) seconds from the start of the scene; may be negative: it flew before the scene began
    xyz_m: F8  # (k, 3) ECEF


def from_points(t_s: F8, lat_rad: F8, lon_rad: F8, height_m: F8) -> Flight:
    """A flight along given points (a recorded track); heights above the ellipsoid.

    Raises:
        ValueError: fewer than two points, lengths differ, something is not finite, or time does not rise.
    """
    arrays = [np.asarray(a, np.float64) for a in (t_s, lat_rad, lon_rad, height_m)]
    n = len(arrays[0])
    if n < 2 or any(a.shape != (n,) for a in arrays):
        raise ValueError("a flight needs at least two points, and arrays of one length")
    if not all(np.isfinite(a).all() for a in arrays):
        raise ValueError("a point is not finite")
    if (np.diff(arrays[0]) <= 0).any():
        raise ValueError("the time of the points does not rise")
    return Flight(arrays[0], geo.ecef(arrays[1], arrays[2], arrays[3]))


def fly(way: Sequence[Waypoint], departs_s: float, until_s: float, agility: Agility, repeat: bool = False) -> Flight:
    """Fly over the waypoints from `departs_s`, turning ahead of each corner as a pilot does.

    The flight ends over the last waypoint or at `until_s`; with `repeat` it goes on to the first waypoint again.
    Raises ValueError for fewer than two waypoints, or when it would be over before it began (`until_s` too early).
    """
    if len(way) < 2:
        raise ValueError("a way needs at least two waypoints")
    if until_s < departs_s + STEP_S:
        raise ValueError("the flight departs after the end of the scene")
    lat, lon, height, speed = way[0].lat_rad, way[0].lon_rad, way[0].height_m, way[0].speed_mps
    heading = geo.inverse_1(lat, lon, way[1].lat_rad, way[1].lon_rad)[1]
    goal, nearest = 1, math.inf
    rows = [(departs_s, lat, lon, height)]
    while rows[-1][0] + STEP_S <= until_s:
        target = way[goal % len(way)]
        distance, bearing, _ = geo.inverse_1(lat, lon, target.lat_rad, target.lon_rad)
        nearest = min(nearest, distance)
        if _passed(way, goal, distance, bearing, nearest, speed, agility, repeat):
            if not repeat and goal == len(way) - 1:
                break
            goal, nearest = goal + 1, math.inf
            continue
        change = max(-agility.accelerate_mps2, min(agility.accelerate_mps2, target.speed_mps - speed)) * STEP_S
        turn = max(-agility.turn_radps, min(agility.turn_radps, _wrap(bearing - heading))) * STEP_S
        step_m = (speed + change / 2) * STEP_S
        climb = max(-agility.climb_mps, min(agility.climb_mps, (target.height_m - height) * speed / max(distance, 1.0)))
        lat, lon, _ = geo.direct_1(lat, lon, (heading + turn / 2) % math.tau, step_m)
        heading, speed, height = heading + turn, speed + change, height + climb * STEP_S
        rows.append((rows[-1][0] + STEP_S, lat, lon, height))
    table = np.array(rows)
    if len(table) < 2:
        raise ValueError("the way is over within a second")
    return from_points(table[:, 0], table[:, 1], table[:, 2], table[:, 3])


def _passed(
    way: Sequence[Waypoint],
    goal: int,
    distance_m: float,
    bearing_rad: float,
    nearest_m: float,
    speed_mps: float,
    agility: Agility,
    repeat: bool,
) -> bool:
    """True when it is time to turn towards the waypoint after `goal`."""
    radius_m = speed_mps / agility.turn_radps
    lead_m = speed_mps * STEP_S / 2
    if repeat or goal < len(way) - 1:
        target, after = way[goal % len(way)], way[(goal + 1) % len(way)]
        course = geo.inverse_1(target.lat_rad, target.lon_rad, after.lat_rad, after.lon_rad)[1]
        corner = min(abs(_wrap(course - bearing_rad)), _TURN_CAP_RAD)
        lead_m += min(radius_m * math.tan(corner / 2), _LEAD_CAP_RADII * radius_m)
    fell_behind = nearest_m < _LEAD_CAP_RADII * radius_m and distance_m > nearest_m + 2 * speed_mps * STEP_S
    return distance_m <= lead_m or fell_behind


def _wrap(angle_rad: float) -> float:
    return (angle_rad + math.pi) % math.tau - math.pi


class Fleet:
    """All flights on one grid of seconds, so that every object's place is found at once.

    Only windows of the grid are held, the latest few that somebody asked for: a long scene with thousands of objects
    costs the memory of its knots and no more.
    """

    def __init__(self, flights: Sequence[Flight], from_s: float, until_s: float) -> None:
        """Knots each second from `from_s` to `until_s` inclusive."""
        self._count = max(math.ceil((until_s - from_s) / STEP_S) + 1, 2)
        self._from_s = from_s
        self._first_s = np.array([f.t_s[0] for f in flights], np.float64)
        self._last_s = np.array([f.t_s[-1] for f in flights], np.float64)
        self._first_m = np.array([f.xyz_m[0] for f in flights], np.float64).reshape(-1, 3)
        self._last_m = np.array([f.xyz_m[-1] for f in flights], np.float64).reshape(-1, 3)
        self._flights = tuple(flights)
        self._windows: dict[int, tuple[F8, F8]] = {}  # the latest asked for last

    def __len__(self) -> int:
        return len(self._first_s)

    def at(self, t_s: F8 | float, rows: I8 | None = None) -> tuple[F8, F8, B1]:
        """Where objects are: all of them or the given rows, at one time for all, or one each, shape (n,).

        Returns:
            ECEF place (n, 3) m, ECEF velocity (n, 3) m/s, and whether the object exists then (n,).
        """
        who = np.arange(len(self)) if rows is None else rows
        t = np.broadcast_to(np.asarray(t_s, np.float64), who.shape)
        place = np.clip((t - self._from_s) / STEP_S, 0.0, self._count - 1)
        low = np.minimum(place.astype(np.int64), self._count - 2)
        part = (place - low)[:, None]
        number = low // _WINDOW
        windows = np.unique(number).tolist()
        if len(windows) == 1:
            xyz, velocity = (_mix(table, low - windows[0] * _WINDOW, who, part) for table in self._window(windows[0]))
        else:
            xyz, velocity = np.empty((len(who), 3)), np.empty((len(who), 3))
            for window in windows:
                here = np.flatnonzero(number == window)
                for out, table in zip((xyz, velocity), self._window(window), strict=True):
                    out[here] = _mix(table, low[here] - window * _WINDOW, who[here], part[here])
        return xyz, velocity, (t >= self._first_s[who]) & (t <= self._last_s[who])

    def about(self, t_s: float) -> F8:
        """ECEF places (n, 3) of all objects at the last full second: quick, for finding who is near."""
        low = min(max(int((t_s - self._from_s) / STEP_S), 0), self._count - 2)
        places, _ = self._window(low // _WINDOW)
        return np.asarray(places[low % _WINDOW], np.float64)

    def _window(self, number: int) -> tuple[F8, F8]:
        """Places and velocities (knots, n, 3) of one window and the first knot of the next."""
        found = self._windows.pop(number, None)
        if found is None:
            found = self._resample(number * _WINDOW)
            while len(self._windows) >= _WINDOWS_HELD:
                del self._windows[next(iter(self._windows))]
        self._windows[number] = found
        return found

    def _resample(self, first: int) -> tuple[F8, F8]:
        """Straight lines between knots; beyond the ends they go on straight, so that velocity there is the flight's."""
        last = min(first + _WINDOW, self._count - 1)
        low, high = max(first - 1, 0), min(last + 1, self._count - 1)  # a knot more at each end, for the velocity
        grid = self._from_s + STEP_S * np.arange(low, high + 1, dtype=np.float64)
        gone = self._last_s < grid[0] - STEP_S
        xyz = np.repeat(np.where(gone[:, None], self._last_m, self._first_m)[None], len(grid), axis=0)
        rows = np.flatnonzero(~gone & (self._first_s <= grid[-1] + STEP_S))
        if len(rows):
            xyz[:, rows] = _lines([self._flights[row] for row in rows.tolist()], grid)
        velocity = np.asarray(np.gradient(xyz, STEP_S, axis=0), np.float64)
        kept = slice(first - low, last - low + 1)
        return np.ascontiguousarray(xyz[kept]), np.ascontiguousarray(velocity[kept])


def _lines(flights: Sequence[Flight], grid_s: F8) -> F8:
    """Places (knots, n, 3) of flights on the grid, all at once: one search in keys that rise with flight, then time."""
    parts = [np.searchsorted(f.t_s, (grid_s[0], grid_s[-1])) for f in flights]
    spans = [(max(min(a - 1, len(f.t_s) - 2), 0), max(b + 1, 2)) for f, (a, b) in zip(flights, parts, strict=True)]
    t_s = np.concatenate([f.t_s[a:b] for f, (a, b) in zip(flights, spans, strict=True)])
    xyz_m = np.concatenate([f.xyz_m[a:b] for f, (a, b) in zip(flights, spans, strict=True)])
    ends = np.cumsum([0, *(min(b, len(f.t_s)) - a for f, (a, b) in zip(flights, spans, strict=True))])
    rows = np.arange(len(flights))
    keys = _key(np.repeat(rows, np.diff(ends)), t_s)
    ask_s = np.broadcast_to(grid_s[:, None], (len(grid_s), len(flights)))
    first_s, last_s = np.array([(f.t_s[0], f.t_s[-1]) for f in flights]).T
    ask_s = np.clip(ask_s, first_s - 2 * STEP_S, last_s + 2 * STEP_S)  # further out it stands
    knot = np.searchsorted(keys, _key(rows, ask_s).T.ravel(), "right").reshape(len(rows), len(grid_s)).T - 1
    knot = np.clip(knot, ends[:-1], ends[1:] - 2)
    slope = (xyz_m[knot + 1] - xyz_m[knot]) / (t_s[knot + 1] - t_s[knot])[..., None]
    found: F8 = slope * (ask_s - t_s[knot])[..., None] + xyz_m[knot]
    return found


def _key(row: I8, t_s: F8) -> I8:
    found: I8 = (row << _KEY_BITS) + np.clip(np.floor(t_s * 1e6), -_KEY_HALF, _KEY_HALF).astype(np.int64)
    return found


def _mix(table: F8, low: I8, rows: I8, part: F8) -> F8:
    """Between knot `low` and the next of each row."""
    n = table.shape[1]
    flat, at = table.reshape(-1, 3), low * n + rows
    found: F8 = flat[at] * (1 - part) + flat[at + n] * part
    return found


def thin(flight: Flight, within_m: float = 0.1) -> Flight:
    """The same flight with fewer knots: runs of up to 16 s become one straight line where no knot is further off.

    Straight flight then costs a tenth of the memory, and circles as much as before.
    """
    keep = np.ones(len(flight.t_s), np.bool_)
    for size in (2, 4, 8, 16):
        starts = np.arange(0, len(keep) - size, size)
        inner = starts[:, None] + np.arange(1, size)
        ends = flight.xyz_m[starts], flight.xyz_m[starts + size]
        times = flight.t_s[inner] - flight.t_s[starts][:, None]
        part = times / (flight.t_s[starts + size] - flight.t_s[starts])[:, None]
        line = ends[0][:, None] * (1 - part[..., None]) + ends[1][:, None] * part[..., None]
        off = np.linalg.norm(flight.xyz_m[inner] - line, axis=2).max(axis=1)
        halves = keep[inner].sum(axis=1) <= 1  # both halves are straight lines already
        keep[inner[(off < within_m) & halves]] = False
    return Flight(flight.t_s[keep], flight.xyz_m[keep])
