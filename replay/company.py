"""Flights that belong together: a group on one programmed way, and a jet that escorts something slower."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import j0

from fusion import geo
from fusion.schema import F8
from replay.manners import wander
from replay.motion import STEP_S, Flight

_DRIFT_M = 25.0  # how far a member of a group wanders about its own place, one sigma
_DRIFT_S = 150.0
_BESSEL_TO_RAD = 2.4  # first zero of J0: a weave this wide makes no way at all
_LEAST_APART_M = 400.0


def group(
    lead: Flight, count: int, rng: np.random.Generator, apart_m: tuple[float, float] = (400.0, 2_000.0)
) -> list[Flight]:
    """`count` flights on the way of `lead`, itself the first: each behind or beside the one before by `apart_m`.

    A member flies the same way, some seconds later and some metres aside, and wanders a little about its place: so do
    drones that were launched one after the other with waypoints of one plan. No two begin nearer than 400 m.
    """
    lat, lon, _ = geo.geodetic(lead.xyz_m)
    axes = geo.enu_axes(lat, lon)
    step = np.einsum("nij,nj->ni", axes[:-1], np.diff(lead.xyz_m, axis=0))
    course = math.atan2(float(step[:, 0].sum()), float(step[:, 1].sum()))
    speed = float(np.hypot(step[:, 0], step[:, 1]).mean()) / STEP_S
    places = [(0.0, 0.0)]  # behind, to the right
    while len(places) < count:
        behind, aside = places[-1]
        far, angle = rng.uniform(*apart_m), rng.uniform(-math.pi / 2, math.pi / 2)
        new = (behind + far * math.cos(angle), aside + far * math.sin(angle))
        if min(math.dist(new, place) for place in places) >= min(apart_m[0], _LEAST_APART_M):
            places.append(new)
    return [lead, *(_beside(lead, axes, course, behind / max(speed, 1.0), aside, rng) for behind, aside in places[1:])]


def _beside(
    lead: Flight, axes: F8, course_rad: float, late_s: float, aside_m: float, rng: np.random.Generator
) -> Flight:
    k = len(lead.t_s)
    right = axes[:, 0] * math.cos(course_rad) - axes[:, 1] * math.sin(course_rad)
    along = axes[:, 0] * math.sin(course_rad) + axes[:, 1] * math.cos(course_rad)
    xyz = lead.xyz_m + right * (aside_m + wander(rng, k, _DRIFT_M, _DRIFT_S))[:, None]
    xyz = xyz + along * wander(rng, k, _DRIFT_M, _DRIFT_S)[:, None]
    up = np.clip(wander(rng, k, _DRIFT_M / 3, _DRIFT_S), -20.0, 20.0)
    return Flight(lead.t_s + late_s, xyz + axes[:, 2] * up[:, None])


def escort(
    lead: Flight, speed_mps: float, rng: np.random.Generator, beside_m: float = 600.0, above_m: float = 150.0
) -> Flight:
    """A jet that stays with `lead` for its whole flight without flying slower than `speed_mps`: S-turns beside it.

    A weave of heading A sin(2 pi t / P) makes good the part J0(A) of the speed: A follows from the speed of the lead.
    When the lead is as fast, the jet flies straight beside it. P is chosen for turns of at most 3 g.
    """
    lat, lon, _ = geo.geodetic(lead.xyz_m)
    axes = geo.enu_axes(lat, lon)
    k = len(lead.t_s)
    velocity = np.einsum("nij,nj->ni", axes, np.gradient(lead.xyz_m, lead.t_s, axis=0))
    course = np.unwrap(np.arctan2(velocity[:, 0], velocity[:, 1]))
    course = np.convolve(np.pad(course, 15, mode="edge"), np.full(31, 1 / 31), mode="valid")
    slow = float(np.hypot(velocity[:, 0], velocity[:, 1]).mean())
    widths = np.linspace(0.0, _BESSEL_TO_RAD, 200)
    width = float(np.interp(min(slow / speed_mps, 1.0), j0(widths)[::-1], widths[::-1]))
    period_s = max(30.0, width * math.tau * speed_mps / (2.8 * 9.81))  # 2.8 g sideways is 3 g in all
    fast = max(speed_mps, slow)
    swing = width * np.sin(math.tau * np.arange(k) * STEP_S / period_s + rng.uniform(0.0, math.tau))
    ahead, aside = np.cumsum(fast * np.cos(swing) - slow) * STEP_S, np.cumsum(fast * np.sin(swing)) * STEP_S
    ahead, aside = ahead - _trend(ahead), aside - aside.mean() + beside_m * float(rng.choice((-1.0, 1.0)))
    east = ahead * np.sin(course) + aside * np.cos(course)
    north = ahead * np.cos(course) - aside * np.sin(course)
    xyz = lead.xyz_m + axes[:, 0] * east[:, None] + axes[:, 1] * north[:, None] + axes[:, 2] * above_m
    return Flight(lead.t_s, xyz)


def _trend(values: F8) -> F8:
    """The straight line through the values: what whole seconds and rounding of the period add up to."""
    t = np.arange(len(values)) - (len(values) - 1) / 2
    slope = float((t * values).sum() / max(float((t * t).sum()), 1.0))
    line: F8 = values.mean() + slope * t
    return line
