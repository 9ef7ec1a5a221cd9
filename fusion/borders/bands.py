"""Warning bands: how near, how soon, how deep, in steps that a person follows by ear, and that do not flap.

A band is entered at its limit and left only well beyond it. Bands are counted from the widest: 0 is none of them, 1 the
widest, `len(limits)` the nearest (or, for depth, the deepest).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from fusion.schema import F8, I1

MOST_BANDS = 10  # of one kind: more than a person can tell apart


@dataclass(frozen=True, slots=True)
class Bands:
    """Limits of the bands. Data: `[bands]` of rules.toml sets them."""

    # Ten minutes, five, and less than two at 50 m/s.
    distance_m: tuple[float, ...] = (30_000.0, 15_000.0, 5_000.0)  # outside the border; falling
    time_s: tuple[float, ...] = (600.0, 300.0, 120.0)  # until the border is crossed; falling
    depth_m: tuple[float, ...] = (10_000.0, 25_000.0, 50_000.0, 100_000.0)  # inside; rising
    # A distance band is left at 1.1 of its limit: 500 m at 5 km, three sigmas of a coarse radar there.
    leave_distance: float = 0.1
    leave_time: float = 0.25  # a time moves with every change of course, so much more than a distance
    p_time: float = 0.5  # probability to cross from which a time counts

    def __post_init__(self) -> None:
        """Refuse limits that are not positive, or out of order (ValueError)."""
        for name, limits, sign in (
            ("distance_m", self.distance_m, -1.0),
            ("time_s", self.time_s, -1.0),
            ("depth_m", self.depth_m, 1.0),
        ):
            if len(limits) > MOST_BANDS:
                raise ValueError(f"{name} has more than {MOST_BANDS} limits")
            if not all(math.isfinite(limit) and limit > 0.0 for limit in limits):
                raise ValueError(f"{name} has a limit that is not above 0")
            if any(sign * (b - a) <= 0.0 for a, b in pairwise(limits)):
                raise ValueError(f"{name} does not {'rise' if sign > 0 else 'fall'} from limit to limit")
        if not (0.0 <= self.leave_distance <= 1.0 and 0.0 <= self.leave_time <= 1.0):
            raise ValueError("leave_distance and leave_time are between 0 and 1")
        if not 0.0 < self.p_time < 1.0:
            raise ValueError("p_time is between 0 and 1")


def nearer(held: I1, value: F8, limits: tuple[float, ...], leave: float) -> I1:
    """(n,) bands of a value that falls as it gets serious, from the bands held before. NaN is in none.

    `leave`: a band is left where the value is above its limit by this part of it.
    """
    entered, kept = _bands(value, limits), _bands(value, tuple(limit * (1.0 + leave) for limit in limits))
    return np.asarray(np.clip(held, entered, kept), np.int8)


def deeper(held: I1, value: F8, limits: tuple[float, ...], leave: float) -> I1:
    """(n,) bands of a value that rises as it gets serious; the rest as in `nearer`."""
    entered = _bands(-value, tuple(-limit for limit in limits))
    kept = _bands(-value, tuple(-limit * (1.0 - leave) for limit in limits))
    return np.asarray(np.clip(held, entered, kept), np.int8)


def limit_of(band: I1, limits: tuple[float, ...]) -> F8:
    """(n,) the limit of each band; NaN for none."""
    return np.array((math.nan, *limits))[band]


def _bands(value: F8, limits: tuple[float, ...]) -> I1:
    inside = np.zeros(len(value), np.int8)
    for limit in limits:
        inside += value <= limit
    return inside
