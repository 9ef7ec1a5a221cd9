"""A sky for tests of late plots: aircraft that fly straight, turn or hover, three sensors, and ways of being late."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fusion.schema import US_PER_S, Plots
from tests.sky import FLAT, RADAR, Path, claim, line, scan

END_S = 75.0  # of what is measured
ADDRESSES = {0: 0x400001, 1: 0x400002}  # objects that claim, by place in `paths`
Delay = Callable[[np.random.Generator], float]  # seconds from the measurement to its arrival


def turning(
    path_m: tuple[float, float, float], speed_mps: float, heading_rad: float, from_s: float, until_s: float,
    rate_radps: float, climb_mps: float = 0.0,
) -> Path:  # fmt: skip
    """Straight, then a turn of constant rate, then straight; perhaps a climb all the way. Heading from north."""

    def at(t: float) -> tuple[float, float, float]:
        east, north, height = path_m
        heading, t0 = heading_rad, min(t, from_s)
        east += speed_mps * t0 * math.sin(heading)
        north += speed_mps * t0 * math.cos(heading)
        if t > from_s:
            turned = rate_radps * (min(t, until_s) - from_s)
            radius = speed_mps / rate_radps
            east += radius * (math.cos(heading) - math.cos(heading + turned))
            north += radius * (math.sin(heading + turned) - math.sin(heading))
            heading += turned
            rest = max(t - until_s, 0.0)
            east += speed_mps * rest * math.sin(heading)
            north += speed_mps * rest * math.cos(heading)
        return east, north, height + climb_mps * t

    return at


def paths(rng: np.random.Generator) -> list[Path]:
    """Five objects, far from each other: two that claim (one turns), a fast one that turns, a slow one, a hover."""
    turn_s = float(rng.uniform(25.0, 60.0))
    heading = float(rng.uniform(0.0, 2 * math.pi))
    return [
        turning((30_000, 40_000, 5_000), 180.0, heading, turn_s, turn_s + 15.0, 0.05, 5.0),
        line(-50_000, 30_000, 9_000, 210.0, -60.0),
        turning((-30_000, -45_000, 2_500), 120.0, heading, turn_s - 10.0, turn_s + 10.0, -0.06),
        line(35_000, -25_000, 600, 22.0, -12.0),
        line(-25_000, 15_000, 400, 0.0, 0.0),
    ]


def measured(found: list[Path], rng: np.random.Generator, detection: float = 0.95) -> list[Plots]:
    """What two radars and a receiver measure of them up to END_S, one plot a batch, each arriving as it is measured."""
    batches = []
    for t in np.arange(0.0, END_S, RADAR.period_s):
        for spec in (RADAR, FLAT):
            batches += scan(spec, found, float(t), rng, detection)
    for k, address in ADDRESSES.items():
        first = float(rng.uniform(0.0, 1.0))
        batches += [claim(found[k], first + t, address, rng) for t in range(int(END_S) - 1)]
    return [replace(b, rx_us=int(b.t_us[0])) for b in batches if b.t_us[0] < batches[0].t_us[0] + END_S * US_PER_S]


def delayed(batches: list[Plots], delay: Delay, rng: np.random.Generator) -> list[Plots]:
    """The same, each later by its own delay."""
    return [replace(b, rx_us=b.rx_us + round(delay(rng) * US_PER_S)) for b in batches]


def mixed(rng: np.random.Generator) -> float:
    """0.2 or 1.3 s."""
    return float(rng.choice([0.2, 1.3]))


def harsh(rng: np.random.Generator) -> float:
    """Anything up to 9.9 s: what is over 10 s late falls at the door."""
    return float(rng.uniform(0.0, 9.9))
