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
from fusion.schema import B1, F8

STEP_S = 1.0  # of the knots
_TURN_CAP_RAD = math.radians(150.0)  # a sharper corner is flown past and turned after, not cut
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
    """All flights on one grid of seconds, so that every object's place is found at once."""

    def __init__(self, flights: Sequence[Flight], from_s: float, until_s: float) -> None:
        """Resample to a knot each second from `from_s` to `until_s` inclusive."""
        count = math.ceil((until_s - from_s) / STEP_S) + 1
        self._from_s = from_s
        grid = from_s + STEP_S * np.arange(count)
        self._first_s = np.array([f.t_s[0] for f in flights], np.float64)
        self._last_s = np.array([f.t_s[-1] for f in flights], np.float64)
        self._xyz: F8 = np.empty((len(flights), count, 3))
        for row, flight in enumerate(flights):
            for axis in range(3):
                self._xyz[row, :, axis] = np.interp(grid, flight.t_s, flight.xyz_m[:, axis])
        self._velocity: F8 = np.zeros_like(self._xyz)
        if count > 1:
            self._velocity = np.asarray(np.gradient(self._xyz, STEP_S, axis=1), np.float64)

    def __len__(self) -> int:
        return len(self._xyz)

    def at(self, t_s: F8 | float) -> tuple[F8, F8, B1]:
        """Where every object is: one time for all, or one each, shape (n,).

        Returns:
            ECEF place (n, 3) m, ECEF velocity (n, 3) m/s, and whether the object exists then (n,).
        """
        n, count = self._xyz.shape[:2]
        t = np.broadcast_to(np.asarray(t_s, np.float64), (n,))
        place = np.clip((t - self._from_s) / STEP_S, 0.0, count - 1)
        low = np.minimum(place.astype(np.int64), max(count - 2, 0))
        high = np.minimum(low + 1, count - 1)
        part = (place - low)[:, None]
        rows = np.arange(n)
        xyz = self._xyz[rows, low] * (1 - part) + self._xyz[rows, high] * part
        velocity = self._velocity[rows, low] * (1 - part) + self._velocity[rows, high] * part
        return xyz, velocity, (t >= self._first_s) & (t <= self._last_s)
