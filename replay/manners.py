"""How a class of object flies when nobody wrote its way down: a random flight with the class's own manner of moving.

A manner gives three profiles, a value a second: rate of turn, speed and height. They are smoothed by the time the
object needs to roll or to change its climb, limited by its bank, and added up to a way over the ellipsoid. No loop runs
over time, only over legs. All chance comes from the generator handed in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from fusion import geo
from fusion.schema import F8
from replay.motion import STEP_S, Flight

G_MPS2 = 9.80665
_A_M, _E2 = 6_378_137.0, 6.69437999014e-3  # WGS84
_RELIEF_M = (14.0, 10.0, 8.0)  # amplitudes of the ground that a low flyer follows: rolling country,
_RELIEF_WAVE_M = (11_000.0, 6_100.0, 3_700.0)  # and its wavelengths; at 45 m/s this asks for 1.3 m/s of climb
_RELIEF_BELOW_M = 600.0  # who flies higher does not follow the ground
_CLIMB_LAG_S = 5  # over which a climb is begun and ended

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Legs:
    """Straight legs between waypoints with turns between, perhaps orbits, stops in the air, a dive at the end."""

    leg_s: Span  # time on a straight leg
    turn_radps: Span  # rate of a turn, before the limit by bank
    bank_rad: float = math.radians(30.0)
    change_rad: float = math.radians(60.0)  # largest change of course at a waypoint
    orbits: float = 0.0  # part of the turns that go round, once to four times
    stops: float = 0.0  # part of the legs on which the object hangs in the air
    hold_s: Span = (300.0, 1_500.0)  # time on a level
    level_step_m: float = math.inf  # a new level is not further than this from the old one
    roll_s: int = 4
    wander_radps: float = math.radians(0.1)  # one sigma of the rate with which an autopilot or a pilot corrects
    wander_s: float = 8.0
    accelerate_mps2: float = 1.0
    speed_sigma: float = 0.04  # spread of the speed from leg to leg, as a part of the object's usual one
    speed_at: tuple[Span, ...] = ()  # (height, speed): jets fly as fast as the air there lets them
    follows_ground: bool = False
    in_wind: bool = False  # the wind carries it; else its speed is the speed over ground
    dive_mps: float = 0.0  # at the end it dives to the ground at this speed


@dataclass(frozen=True, slots=True)
class Soar:
    """Glides from thermal to thermal and circles up in them, drifting with the wind."""

    circle_radps: tuple[float, float, float]  # mean, sigma, least
    circle_s: Span
    glide_s: Span
    circle_mps: Span  # airspeed in the circle
    lift_mps: Span
    sink_mps: Span  # positive numbers
    wander_radps: float
    zooms: float = 0.0  # part of the time in a glide spent on a pull-up and push-over, speed against height


@dataclass(frozen=True, slots=True)
class Drift:
    """Goes with the wind, and rises until it floats."""

    rise_mps: Span
    gust_mps: float = 1.0
    gust_s: float = 90.0
    shear_per_m: float = 1.5e-4  # the wind grows by so much of itself for each metre higher


@dataclass(frozen=True, slots=True)
class Fixed:
    """Stands on the ground."""


Manner = Legs | Soar | Drift | Fixed


@dataclass(frozen=True, slots=True)
class Limits:
    """What one object can do: the numbers of its class, and those drawn for it."""

    speed_mps: float  # its own usual speed
    slowest_mps: float
    fastest_mps: float
    bands_m: tuple[tuple[float, float, float], ...]  # lowest, highest above ground, weight: where it likes to be
    sinks_mps: float  # positive
    climbs_mps: float


@dataclass(frozen=True, slots=True)
class Start:
    """Where and when a flight begins, and in which air."""

    lat_rad: float
    lon_rad: float
    heading_rad: float
    t_s: float = 0.0
    ground_m: float = 0.0  # height of the ground above the ellipsoid
    wind_east_mps: float = 0.0
    wind_north_mps: float = 0.0


@dataclass(frozen=True, slots=True)
class _Profile:
    turn_radps: F8  # (k,)
    speed_mps: F8  # (k,)
    height_m: F8  # (k,) above ground
    wind: F8  # (k,) part of the wind that moves it


def fly(manner: Manner, limits: Limits, start: Start, duration_s: float, rng: np.random.Generator) -> Flight:
    """One flight of `duration_s` (at least 2 s), a knot a second."""
    k = max(2, int(duration_s / STEP_S) + 1)
    if isinstance(manner, Legs):
        profile = _legs(manner, limits, k, rng)
    elif isinstance(manner, Soar):
        profile = _soar(manner, limits, k, rng)
    elif isinstance(manner, Drift):
        profile = _drift(manner, limits, k, rng)
    else:
        height = np.full(2, pick_height(limits.bands_m, rng) + start.ground_m)
        lat, lon = np.full(2, start.lat_rad), np.full(2, start.lon_rad)
        times: F8 = start.t_s + np.array([0.0, (k - 1) * STEP_S])
        return Flight(times, geo.ecef(lat, lon, height))
    heading = start.heading_rad + np.cumsum(profile.turn_radps) * STEP_S - profile.turn_radps * STEP_S / 2
    east = profile.speed_mps * np.sin(heading) + profile.wind * start.wind_east_mps
    north = profile.speed_mps * np.cos(heading) + profile.wind * start.wind_north_mps
    if isinstance(manner, Drift):
        east, north = (v + wander(rng, k, manner.gust_mps, manner.gust_s) for v in (east, north))
    return along(start, east, north, profile.height_m)


def along(start: Start, east_mps: F8, north_mps: F8, height_m: F8) -> Flight:
    """The way of a velocity over ground, a value a second (k,), at heights above ground (k,)."""
    height = height_m + start.ground_m
    lat: F8 = np.full(len(height), start.lat_rad)
    for _ in range(2):  # the curvature of the meridian changes by 0.02 % a degree: once more with the latitudes found
        curve = 1.0 - _E2 * np.sin(lat) ** 2
        lat = start.lat_rad + _sum(north_mps * STEP_S / (_A_M * (1 - _E2) / curve**1.5 + height))
    normal = _A_M / np.sqrt(1.0 - _E2 * np.sin(lat) ** 2)
    lon = start.lon_rad + _sum(east_mps * STEP_S / ((normal + height) * np.cos(lat)))
    return Flight(start.t_s + STEP_S * np.arange(len(height), dtype=np.float64), geo.ecef(lat, lon, height))


def wander(rng: np.random.Generator, k: int, sigma: float, time_s: float) -> F8:
    """A value that wanders about zero (Ornstein-Uhlenbeck), one a second: (k,)."""
    keep = math.exp(-STEP_S / time_s)
    noise = rng.normal(0.0, sigma * math.sqrt(1 - keep**2), k)
    noise[0] = rng.normal(0.0, sigma)
    found: F8 = lfilter([1.0], [1.0, -keep], noise)
    return found


def pick_height(bands_m: tuple[tuple[float, float, float], ...], rng: np.random.Generator) -> float:
    """A height of one of the bands, by weight."""
    weights = np.array([band[2] for band in bands_m])
    low, high, _ = bands_m[int(rng.choice(len(bands_m), p=weights / weights.sum()))]
    return float(rng.uniform(low, high))


def _sum(steps: F8) -> F8:
    """Where the steps have led at the beginning of each second."""
    return np.concatenate([[0.0], np.cumsum(steps)[:-1]])


def _smooth(values: F8, width: int) -> F8:
    """Mean over `width` seconds; the ends count on as they are."""
    if width < 2:
        return values
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    found: F8 = np.convolve(padded, np.full(width, 1.0 / width), mode="valid")
    return found


def _heights(manner: Legs, limits: Limits, k: int, rng: np.random.Generator) -> F8:
    """Levels held for a time and climbs between, (k,) above ground."""
    level = pick_height(limits.bands_m, rng)
    lowest, highest = min(b[0] for b in limits.bands_m), max(b[1] for b in limits.bands_m)
    t, times, levels = 0.0, [0.0], [level]
    while t < k:
        t += float(rng.uniform(*manner.hold_s)) * (rng.random() if t == 0.0 else 1.0)
        times.append(t)
        levels.append(level)
        wanted = pick_height(limits.bands_m, rng)
        wanted = min(max(wanted, level - manner.level_step_m), level + manner.level_step_m)
        rate = (limits.climbs_mps if wanted > level else limits.sinks_mps) * float(rng.uniform(0.4, 1.0))
        t += abs(wanted - level) / rate
        level = min(max(wanted, lowest), highest)
        times.append(t)
        levels.append(level)
    found = np.interp(np.arange(k) * STEP_S, times, levels)
    return _smooth(found, _CLIMB_LAG_S)


def _relief(distance_m: F8, rng: np.random.Generator) -> F8:
    phases = rng.uniform(0.0, math.tau, len(_RELIEF_M))
    waves = zip(_RELIEF_M, _RELIEF_WAVE_M, phases.tolist(), strict=True)
    found: F8 = np.sum([a * np.sin(math.tau * distance_m / w + p) for a, w, p in waves], axis=0)
    return found


def _legs(manner: Legs, limits: Limits, k: int, rng: np.random.Generator) -> _Profile:
    lasts: list[int] = []
    rates: list[float] = []
    times, speeds = [0.0], [limits.speed_mps]
    t = 0
    while t < k:
        straight = max(1, round(rng.uniform(*manner.leg_s)))
        rate = float(rng.uniform(*manner.turn_radps))
        change = float(rng.triangular(0.0, 0.0, manner.change_rad)) + rate
        if rng.random() < manner.orbits:
            change = math.tau * float(rng.uniform(1.0, 4.0))
        wanted = float(
            np.clip(limits.speed_mps * rng.normal(1.0, manner.speed_sigma), limits.slowest_mps, limits.fastest_mps)
        )
        if rng.random() < manner.stops:
            wanted = 0.0
        reach = min(float(straight), abs(wanted - speeds[-1]) / manner.accelerate_mps2)
        step = math.copysign(reach * manner.accelerate_mps2, wanted - speeds[-1])
        times += [float(t), t + reach]
        speeds += [speeds[-1], speeds[-1] + step]
        turning = max(1, round(change / rate))
        lasts += [straight, turning]
        rates += [0.0, rate * float(rng.choice((-1.0, 1.0)))]
        t += straight + turning
    height = _heights(manner, limits, k, rng)
    seconds = np.arange(k) * STEP_S
    speed = np.interp(seconds, times, speeds)
    if manner.speed_at:
        speed = speed / limits.speed_mps * np.interp(height, *np.array(manner.speed_at).T)
    if manner.follows_ground and height.min() < _RELIEF_BELOW_M:
        part = np.clip(1.0 - height / _RELIEF_BELOW_M, 0.0, 1.0)
        height = np.maximum(height + part * _relief(np.cumsum(speed) * STEP_S, rng), 20.0)
    if manner.dive_mps:
        height, speed = _dive(manner, height, speed)
    cap = G_MPS2 * math.tan(manner.bank_rad) / np.maximum(speed, 1.0)
    turn = np.clip(np.repeat(rates, lasts)[:k], -cap, cap)
    turn = _smooth(turn, manner.roll_s) + wander(rng, k, manner.wander_radps, manner.wander_s)
    return _Profile(turn, speed, height, np.full(k, float(manner.in_wind)))


def _dive(manner: Legs, height_m: F8, speed_mps: F8) -> tuple[F8, F8]:
    """The last seconds go down steeply, to the ground at the very end: 45 degrees, and the speed of the dive."""
    sink = manner.dive_mps * math.sqrt(0.5)
    k = len(height_m)
    left = np.arange(k)[::-1] * STEP_S  # seconds to the end
    diving = left * sink < height_m
    speed = np.where(diving, np.minimum(sink, speed_mps + 9.0 * np.cumsum(diving) * STEP_S), speed_mps)
    return np.minimum(height_m, left * sink), speed


def _soar(manner: Soar, limits: Limits, k: int, rng: np.random.Generator) -> _Profile:
    lowest, highest = min(b[0] for b in limits.bands_m), max(b[1] for b in limits.bands_m)
    height = pick_height(limits.bands_m, rng)
    lasts: list[int] = []
    rows: list[tuple[float, float, float]] = []  # turn, airspeed, climb
    t, circles = 0, bool(rng.random() < 0.3)
    while t < k:
        last = max(10, round(rng.uniform(*(manner.circle_s if circles else manner.glide_s))))
        mean, sigma, least = manner.circle_radps
        if circles:
            rate = max(least, float(rng.normal(mean, sigma))) * float(rng.choice((-1.0, 1.0)))
            lift = float(rng.uniform(*manner.lift_mps))
            last = min(last, max(10, int((highest - height) / lift)))
            rows.append((rate, float(rng.uniform(*manner.circle_mps)), lift))
        else:
            sink = float(rng.uniform(*manner.sink_mps))
            last = min(last, max(10, int((height - lowest) / sink)))
            rows.append((0.0, max(limits.slowest_mps, limits.speed_mps * float(rng.normal(1.0, 0.12))), -sink))
        lasts.append(last)
        height += rows[-1][2] * last
        t += last
        circles = not circles
    table = np.repeat(np.array(rows), lasts, axis=0)[:k]
    turn = _smooth(table[:, 0], 3) + wander(rng, k, manner.wander_radps, 12.0)
    speed = _smooth(table[:, 1], 5)
    start_m = height - sum(row[2] * last for row, last in zip(rows, lasts, strict=True))
    up = _smooth(table[:, 2], 4) + wander(rng, k, 0.5, 6.0)
    if manner.zooms:
        up, speed = _zoom(manner, up, speed, table[:, 0] == 0.0, rng)
    return _Profile(turn, speed, np.maximum(start_m + _sum(up * STEP_S), 5.0), np.ones(k))


def _zoom(manner: Soar, up_mps: F8, speed_mps: F8, glides: F8, rng: np.random.Generator) -> tuple[F8, F8]:
    """Pull-ups that trade speed for height and back, 16 s each: v^2/2 + g h stays."""
    k = len(up_mps)
    swing = np.zeros(k)
    for at in np.flatnonzero(rng.random(k) < manner.zooms / 16.0).tolist():
        if at + 16 < k and glides[at : at + 16].all():
            swing[at : at + 16] = rng.uniform(4.0, 9.0) * np.sin(math.tau * np.arange(16) / 16.0)
    gained = _sum(swing * STEP_S)
    return up_mps + swing, np.sqrt(np.maximum(speed_mps**2 - 2 * G_MPS2 * np.maximum(gained, 0.0), 15.0**2))


def _drift(manner: Drift, limits: Limits, k: int, rng: np.random.Generator) -> _Profile:
    floats_m = pick_height(limits.bands_m, rng)
    seconds = np.arange(k) * STEP_S
    rise = float(rng.uniform(*manner.rise_mps))
    first = float(rng.uniform(0.0, floats_m)) if rng.random() < 0.5 else floats_m
    height = np.minimum(first + rise * seconds, floats_m)
    height = np.maximum(_smooth(height, 20) + wander(rng, k, 8.0, 120.0), 2.0)
    wind = 1.0 + manner.shear_per_m * height
    return _Profile(np.zeros(k), np.zeros(k), height, wind)
