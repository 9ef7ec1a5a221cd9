"""Where an object may be some time after it was last seen: many ways it could have gone on, each as probable.

A particle is one possible future: it is of one class (drawn by the probabilities of the track), goes straight on, turns
on, turns back or loiters, flies legs with a change of course between, and comes down at some time: soon, or when
nobody knows within its endurance. The draws are one fixed low-discrepancy sequence (Richtmyer: fractions of
multiples of square roots of primes), the same for every object and time: no luck, and no jumps from one look to the
next beyond what time brings. Turns are corners: at 45 m/s and 3 deg/s that is off by less than 400 m.

What it cannot know: terrain, and where radar would have seen the object had it flown on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import ndtri

from fusion.schema import B1, F8, ObjectClass

PARTICLES = 8_192
LEGS = 6  # of a particle; where it would fly more, they are stretched and its speed cut to the same spread
WIND_SIGMA_MPS = 3.0  # of a wind measured some way off, at another height
TURN_MOST_RAD = math.radians(120.0)  # a turn begun goes on for no more than this
HEIGHT_M = 300.0  # above ground, where it is not known
HEIGHT_SIGMA = 0.7  # of its logarithm then
CORNER_SPEED_MPS = 3.0  # slower than this, a course says nothing
SINKING_MPS = -2.0  # who sank faster than this when last seen is probably coming down
_PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103)


@dataclass(frozen=True, slots=True)
class Ability:
    """What a class of object does when nobody sees it."""

    leg_s: tuple[float, float]  # mean time between changes of course: from one that turns much to one that hardly does
    change_rad: tuple[float, float]  # largest usual change of course of the one and the other; smaller are likelier
    back: float  # part of the objects that turn back at once
    loiter: float  # part that stays about where it is: circles, hovers
    endurance_s: float  # no longer in the air than this after it was last seen
    fastest_mps: float
    spread: float  # of its mean speed from now on, as a part of its speed (one sigma)
    glide_low: float = 0.5  # metres forward per metre down once its engine has stopped: a fall
    glide_high: float = 10.0  # and a glide
    drifts: bool = False  # goes with the air


def _a(
    leg_s: tuple[float, float], change_deg: tuple[float, float], back: float, loiter: float, endurance_s: float,
    fastest_mps: float, spread: float,
) -> Ability:  # fmt: skip
    low, high = change_deg
    return Ability(leg_s, (math.radians(low), math.radians(high)), back, loiter, endurance_s, fastest_mps, spread)


# Speeds, turns: shared reference of objects. Endurance: how long a search by prediction makes sense; an hour of a drone
# is 160 km. Rows in order of ObjectClass.
ABILITIES: dict[ObjectClass, Ability] = {
    ObjectClass.UNKNOWN: _a((60.0, 600.0), (180.0, 50.0), 0.05, 0.10, 3_600.0, 310.0, 0.15),
    ObjectClass.FIXED_WING_DRONE: _a((80.0, 700.0), (180.0, 60.0), 0.03, 0.10, 3_600.0, 60.0, 0.10),
    ObjectClass.SMALL_MULTICOPTER: _a((15.0, 60.0), (180.0, 120.0), 0.15, 0.30, 1_500.0, 22.0, 0.4),
    ObjectClass.LIGHT_AIRCRAFT: _a((60.0, 600.0), (180.0, 90.0), 0.05, 0.08, 3_600.0, 95.0, 0.15),
    ObjectClass.ULTRALIGHT: _a((60.0, 500.0), (180.0, 90.0), 0.05, 0.10, 3_600.0, 50.0, 0.15),
    ObjectClass.GLIDER: _a((100.0, 600.0), (180.0, 120.0), 0.05, 0.30, 3_600.0, 65.0, 0.3),
    ObjectClass.PARAGLIDER: _a((60.0, 400.0), (180.0, 120.0), 0.05, 0.40, 3_600.0, 20.0, 0.3),
    ObjectClass.AIRLINER: _a((200.0, 900.0), (90.0, 45.0), 0.02, 0.02, 3_600.0, 310.0, 0.08),
    ObjectClass.FAST_JET: _a((40.0, 300.0), (180.0, 120.0), 0.10, 0.10, 2_400.0, 600.0, 0.25),
    ObjectClass.ROTORCRAFT: _a((30.0, 200.0), (180.0, 100.0), 0.05, 0.15, 3_600.0, 85.0, 0.25),
    ObjectClass.FAST_LOW_FLYER: _a((200.0, 900.0), (90.0, 50.0), 0.02, 0.02, 2_400.0, 310.0, 0.08),
    ObjectClass.BALLOON: replace(_a((600.0, 1_200.0), (35.0, 20.0), 0.0, 0.02, 3_600.0, 40.0, 0.15), drifts=True),
    ObjectClass.BIRD_FLOCK: _a((200.0, 700.0), (70.0, 40.0), 0.02, 0.10, 3_600.0, 35.0, 0.15),
    ObjectClass.FIXED_ECHO: _a((600.0, 1_200.0), (10.0, 10.0), 0.0, 1.0, 600.0, 1.0, 0.0),
}
_CLASSES = tuple(ABILITIES)
_NUMBERS = np.array(
    [
        (
            *a.leg_s,
            *a.change_rad,
            a.back,
            a.loiter,
            a.endurance_s,
            a.fastest_mps,
            a.spread,
            a.glide_low,
            a.glide_high,
            a.drifts,
        )
        for a in ABILITIES.values()
    ],
    np.float64,
)
LEG, LEG_MOST, CHANGE, CHANGE_LEAST, BACK, LOITER, ENDURANCE, FASTEST, SPREAD, GLIDE_LOW, GLIDE_HIGH, DRIFTS = range(12)
# Dimensions of the draws; two for each leg follow the last.
(
    U_CLASS, U_MANNER, U_COURSE, U_SPEED, U_ALONG, U_ACROSS, U_FATE, U_WHEN, U_GLIDE, U_HEIGHT, U_EAST, U_NORTH, U_TURN,
    U_HABIT, U_LEGS,
) = range(15)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Last:
    """What was known of an object when it was last seen."""

    t_us: int
    lat_rad: float
    lon_rad: float
    sigma_m: float  # one sigma of each horizontal axis
    speed_mps: float  # over ground
    sigma_speed_mps: float
    course_rad: float
    agl_m: float = math.nan  # NaN not known
    climb_mps: float = 0.0
    turn_radps: float = 0.0  # positive to the right; 0 straight on
    p_classes: tuple[float, ...] = field(default=())  # in order of ObjectClass; empty: nothing is known
    in_view: bool = False  # sensors should have seen it and did not
    sigma_course_rad: float = 0.0  # beyond what the sigma of the speed makes of it


@dataclass(frozen=True, slots=True)
class Wind:
    """Where the air goes, as reported; NaN not known."""

    east_mps: float = math.nan
    north_mps: float = math.nan

    @property
    def known(self) -> bool:
        """True where a wind was reported."""
        return math.isfinite(self.east_mps) and math.isfinite(self.north_mps)


@dataclass(frozen=True, slots=True)
class Cloud:
    """Possible places (n,), metres east and north of where the object was last seen; `flying` not yet down."""

    east_m: F8
    north_m: F8
    flying: B1


def _draws(count: int) -> F8:
    """(dimensions, count) in (0, 1)."""
    roots = np.sqrt(np.array(_PRIMES, np.float64))
    return np.ascontiguousarray(np.mod(np.arange(1, count + 1)[None, :] * np.mod(roots, 1.0)[:, None] + 0.5 / count, 1))


_U = np.clip(_draws(PARTICLES), 1e-9, 1.0 - 1e-9)
_Z = ndtri(_U)
assert len(_U) >= U_LEGS + 2 * LEGS


def endurance_s(p_classes: tuple[float, ...]) -> float:
    """The longest endurance among classes that are at all probable (0.1)."""
    p = _shares(p_classes)
    return float(_NUMBERS[p >= min(0.1, float(p.max())), ENDURANCE].max())


def cloud(last: Last, t_us: int, wind: Wind | None = None) -> Cloud:
    """Where the object may be at `t_us`, not before `last.t_us`."""
    wind = wind or Wind()
    ahead_s = max(t_us - last.t_us, 0) / 1e6
    kind = np.searchsorted(np.cumsum(_shares(last.p_classes))[:-1], _U[U_CLASS], side="right")
    n = _NUMBERS[kind]
    course, speed = _first_course(last, n), _speed(last, n)
    over_s = _comes_down_s(last, n, speed)
    flown_s = np.minimum(over_s, ahead_s)
    blown = wind if wind.known else Wind(0.0, 0.0)
    sigma_mps = WIND_SIGMA_MPS if wind.known else 0.0
    drifts = n[:, DRIFTS] > 0.0  # their own speed is the air's
    w_east = np.where(drifts, 0.0, blown.east_mps + sigma_mps * _Z[U_EAST])
    w_north = np.where(drifts, 0.0, blown.north_mps + sigma_mps * _Z[U_NORTH])
    # Through the air: the same airspeed whatever the course; over ground what the air adds.
    east_mps, north_mps = speed * np.sin(course) - w_east, speed * np.cos(course) - w_north
    air_mps, heading = np.hypot(east_mps, north_mps), np.arctan2(east_mps, north_mps)
    back = _U[U_MANNER] < n[:, BACK]
    heading = heading + np.where(back, np.pi, 0.0)
    loiters = (_U[U_MANNER] >= 1.0 - n[:, LOITER]) & ~back
    air_mps = np.where(loiters, air_mps * 0.1, air_mps)
    east, north = _legs(n, flown_s, air_mps, heading)
    stays = loiters & ~drifts  # holds its place against the wind
    east += np.where(stays, 0.0, w_east) * flown_s + last.sigma_m * _Z[U_ALONG]
    north += np.where(stays, 0.0, w_north) * flown_s + last.sigma_m * _Z[U_ACROSS]
    return Cloud(east, north, over_s > ahead_s)


def _shares(p_classes: tuple[float, ...]) -> F8:
    """Probability of each class, (classes,), with a little for "none of these"."""
    given = np.asarray(p_classes, np.float64) if p_classes else np.zeros(len(_CLASSES))
    shares = np.where(np.isfinite(given), given, 0.0)
    shares[0] += 0.05 if shares.sum() > 0.0 else 1.0
    shares /= shares.sum()
    return np.asarray(shares, np.float64)


def _first_course(last: Last, n: F8) -> F8:
    if not math.isfinite(last.course_rad) or last.speed_mps < CORNER_SPEED_MPS:
        return np.asarray(2.0 * np.pi * _U[U_COURSE], np.float64)
    sigma = math.hypot(math.atan2(last.sigma_speed_mps, last.speed_mps), math.radians(2.0))
    course: F8 = last.course_rad + math.hypot(sigma, last.sigma_course_rad) * _Z[U_COURSE]
    if last.turn_radps:
        course = course + math.copysign(TURN_MOST_RAD, last.turn_radps) * (1.0 - np.sqrt(_U[U_TURN]))
    return np.asarray(course, np.float64)


def _speed(last: Last, n: F8) -> F8:
    sigma = np.hypot(last.sigma_speed_mps, n[:, SPREAD] * last.speed_mps)
    return np.asarray(
        np.clip(last.speed_mps + sigma * _Z[U_SPEED], 0.0, np.maximum(n[:, FASTEST], last.speed_mps)), np.float64
    )


def _comes_down_s(last: Last, n: F8, speed: F8) -> F8:
    """When each particle comes down: after an engine stopped soon, or at any time of its endurance, early likelier."""
    sinking = last.climb_mps < SINKING_MPS
    soon = 0.6 if sinking else 0.35 if last.in_view else 0.2
    if math.isfinite(last.agl_m):
        agl = np.full(PARTICLES, max(last.agl_m, 20.0))
    else:
        agl = HEIGHT_M * np.exp(HEIGHT_SIGMA * _Z[U_HEIGHT])
    glide = n[:, GLIDE_LOW] + _U[U_GLIDE] * (n[:, GLIDE_HIGH] - n[:, GLIDE_LOW])
    sink = np.maximum(speed / glide, 1.5)
    stops_s = -60.0 * np.log(_U[U_WHEN])
    if sinking:
        sink, stops_s = np.full(PARTICLES, -last.climb_mps) * (0.6 + 1.4 * _U[U_GLIDE]), 0.1 * stops_s
    early = np.minimum(stops_s + agl / sink, n[:, ENDURANCE])
    return np.asarray(np.where(_U[U_FATE] < soon, early, n[:, ENDURANCE] * _U[U_WHEN] ** 2), np.float64)


def _legs(n: F8, flown_s: F8, air_mps: F8, heading: F8) -> tuple[F8, F8]:
    """Metres east and north through the air after `flown_s`."""
    usual_s = n[:, LEG] * (n[:, LEG_MOST] / n[:, LEG]) ** _U[U_HABIT]
    change = n[:, CHANGE] + _U[U_HABIT] * (n[:, CHANGE_LEAST] - n[:, CHANGE])
    leg_s = np.maximum(usual_s, flown_s / LEGS)
    # Two walks are as wide when their g are the same: spread of a walk that forgets its course after a time.
    forget = np.maximum(1.0 - np.sinc(change / (2.0 * np.pi)) ** 2, 0.02)
    air_mps = air_mps * np.sqrt(_width(usual_s / forget, flown_s) / _width(leg_s / forget, flown_s))
    east, north = np.zeros(PARTICLES), np.zeros(PARTICLES)
    left_s = flown_s.copy()
    for k in range(LEGS):
        last = k == LEGS - 1
        here_s = left_s if last else np.minimum(-leg_s * np.log(_U[U_LEGS + 2 * k]), left_s)
        east += air_mps * here_s * np.sin(heading)
        north += air_mps * here_s * np.cos(heading)
        left_s = left_s - here_s
        side = 2.0 * _U[U_LEGS + 2 * k + 1] - 1.0
        heading = heading + change * np.sign(side) * (1.0 - np.sqrt(1.0 - np.abs(side)))
    return east, north


def _width(memory_s: F8, t_s: F8) -> F8:
    ratio = t_s / memory_s
    return np.asarray(np.where(t_s > 0.0, memory_s * (t_s + memory_s * np.expm1(-ratio)), 1.0), np.float64)
