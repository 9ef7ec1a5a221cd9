"""Losses for the search areas to be judged by: objects of the simulator fly on unseen and come down somewhere.

Nothing of a loss is taken from fusion/cases/whereabouts.py: the ways are those of `replay/objects.py` in their own
manners, and how a flight ends is drawn apart: an engine that stops within two minutes, a fall, or a flight of a
lognormal time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.cases.contours import contours
from fusion.cases.lost import WANTED
from fusion.cases.record import Contour
from fusion.cases.whereabouts import Last, Wind, cloud
from fusion.schema import F8, US_PER_S, ObjectClass
from replay import objects
from replay.manners import Start

T0_US = 1_795_414_500_000_000
SEEN_S = 240  # flown before it is lost
KINDS = {
    "gerbera": ObjectClass.FIXED_WING_DRONE,
    "shahed": ObjectClass.FIXED_WING_DRONE,
    "parodiya": ObjectClass.FIXED_WING_DRONE,
    "orlan-10": ObjectClass.FIXED_WING_DRONE,
    "forpost": ObjectClass.FIXED_WING_DRONE,
    "lancet": ObjectClass.FIXED_WING_DRONE,
    "ar5-drone": ObjectClass.FIXED_WING_DRONE,
    "quadcopter": ObjectClass.SMALL_MULTICOPTER,
    "tu-141": ObjectClass.FAST_LOW_FLYER,
    "smuggling-balloon": ObjectClass.BALLOON,
    "ultralight": ObjectClass.ULTRALIGHT,
}
LONGEST_S = {"quadcopter": 1_200.0, "tu-141": 1_800.0}  # else 3,300


@dataclass(frozen=True, slots=True)
class Loss:
    """One object: what a tracker knew at its last plot, and what nobody saw."""

    kind: str
    last: Last
    wind: Wind
    t_s: F8  # (k,) seconds after it was last seen
    lat_rad: F8  # (k,)
    lon_rad: F8
    down_s: float  # when it came down, at the last of these places

    def place(self, t_s: float) -> tuple[float, float]:
        """Where it is at a time, in the air or on the ground."""
        lat = np.interp(t_s, self.t_s, self.lat_rad)
        return float(lat), float(np.interp(t_s, self.t_s, self.lon_rad))


def told_at_impact(loss: Loss) -> tuple[float, list[Contour], tuple[float, float]]:
    """When the area is told next after it came down (s), the contours of WANTED told then, and where it lies."""
    told_s = math.ceil(loss.down_s / 30.0) * 30.0
    last = loss.last
    places = cloud(last, last.t_us + round(told_s * US_PER_S), loss.wind)
    return told_s, list(contours(places, last.lat_rad, last.lon_rad, last.course_rad, WANTED)), loss.place(told_s)


def losses(count: int, seed: int) -> list[Loss]:
    """As many losses, each kind as often as the others."""
    rng = np.random.default_rng(seed)
    kinds = list(KINDS)
    return [_loss(kinds[i % len(kinds)], rng) for i in range(count)]


def _loss(kind: str, rng: np.random.Generator) -> Loss:
    speed, bearing = 12.0 * math.sqrt(rng.random()), rng.uniform(0.0, math.tau)
    wind = (speed * math.sin(bearing), speed * math.cos(bearing))
    start = Start(math.radians(54.6), math.radians(25.6), float(rng.uniform(0.0, math.tau)), 0.0, 0.0, *wind)
    flies_s, glide = _ending(kind, rng)
    flight = objects.draw(objects.CATALOGUE[kind], rng, start, SEEN_S + 3_600.0)
    lat, lon, height = geo.geodetic(flight.xyz_m)
    agl = float(height[SEEN_S])
    last = _known(kind, rng, lat, lon, height)
    # Down: along its way until the engine stops, then straight ahead with what is left of its height.
    stop = SEEN_S + int(flies_s)
    v = geo.inverse(lat[stop - 2 : stop], lon[stop - 2 : stop], lat[stop - 1 : stop + 1], lon[stop - 1 : stop + 1])
    pace, course = float(v[0][-1]), float(v[2][-1])
    ahead_m = min(float(height[stop]) if flies_s < 1e3 else agl, 3_000.0) * glide
    fall_s = max(ahead_m / max(pace, 3.0), 3.0)
    end = geo.direct_1(float(lat[stop]), float(lon[stop]), course % math.tau, pace * fall_s)
    times = np.r_[np.arange(stop - SEEN_S + 1, dtype=np.float64), stop - SEEN_S + fall_s]
    ways = (np.r_[lat[SEEN_S : stop + 1], end[0]], np.r_[lon[SEEN_S : stop + 1], end[1]])
    told = Wind(wind[0] + rng.normal(0, 2.0), wind[1] + rng.normal(0, 2.0)) if rng.random() < 0.5 else Wind()
    return Loss(kind, last, told, times, *ways, down_s=float(times[-1]))


def _ending(kind: str, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of flight after it was last seen, and metres forward for each metre of height."""
    fate = rng.random()
    if fate < 0.2:
        return float(rng.uniform(1.0, 120.0)), float(rng.uniform(4.0, 9.0))
    if fate < 0.35:
        return float(rng.uniform(1.0, 60.0)), float(rng.uniform(0.3, 1.5))
    flies_s = float(np.exp(rng.normal(math.log(480.0), 1.0)))
    return min(max(flies_s, 5.0), LONGEST_S.get(kind, 3_300.0)), float(rng.uniform(0.3, 9.0))


def _known(kind: str, rng: np.random.Generator, lat: F8, lon: F8, height: F8) -> Last:
    """What a tracker makes of the last plots: wrong by its own sigmas, and of its class sure only sometimes."""
    i = SEEN_S
    step, course, _ = geo.inverse(lat[i - 10 : i], lon[i - 10 : i], lat[i - 9 : i + 1], lon[i - 9 : i + 1])
    turn = float(np.mean((np.diff(course[-6:]) + np.pi) % math.tau - np.pi))
    sigma_m, sigma_mps = float(rng.uniform(30.0, 200.0)), float(rng.uniform(1.0, 4.0))
    v = np.array([step[-1] * math.sin(course[-1]), step[-1] * math.cos(course[-1])]) + rng.normal(0, sigma_mps, 2)
    off = rng.normal(0.0, sigma_m, 2)
    place = geo.direct_1(float(lat[i]), float(lon[i]), math.atan2(*off) % math.tau, math.hypot(*off))
    p = rng.dirichlet(np.full(len(ObjectClass), 0.2)) * 0.3
    p[KINDS[kind]] += 0.7 if rng.random() < 0.8 else 0.0
    return Last(
        t_us=T0_US,
        lat_rad=place[0],
        lon_rad=place[1],
        sigma_m=sigma_m,
        speed_mps=float(np.hypot(*v)),
        sigma_speed_mps=sigma_mps,
        course_rad=math.atan2(*v) % math.tau,
        agl_m=float(max(height[i] + rng.normal(0.0, 60.0), 0.0)) if rng.random() < 0.7 else math.nan,
        climb_mps=float(height[i] - height[i - 4]) / 4 + rng.normal(0.0, 1.0),
        turn_radps=turn if abs(turn) > math.radians(1.5) else 0.0,
        p_classes=tuple((p / p.sum()).tolist()),
        in_view=bool(rng.random() < 0.5),
    )
