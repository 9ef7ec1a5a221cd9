"""Flights over the shipped map as a tracker would have them: exactly, or with the errors of a filter, many at once.

The filter is the textbook one (constant velocity, white acceleration, position plots, every axis alike), so that its
covariance says how wrong it is, in turns too; its errors hang together in time as those of any tracker.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import shapely

from fusion import geo, zones
from fusion.borders.border import State
from fusion.borders.ledger import Ledger
from fusion.borders.terrain import Grid
from fusion.cases.record import Passage, state_entered
from fusion.schema import F8, Tracks, TrackStatus
from fusion.zones import Zones
from tests import shipped

T0_US = 1_795_414_500_000_000
S = 1_000_000
CONFIG = Path(__file__).parent.parent / "config"
KM_PER_DEG = 111.54  # of longitude, times the cosine of the latitude, at 50 to 51 N
SENSOR_IDS = ("A1", "R1", "R2")


# Real incidents and one invented: way (estimated), speed, and the states with the seconds that others measured over
# polygons of the same source, where they did and the polygons bear them out. "" is the open sea.
WAYS: dict[str, tuple[list[list[float]], float, list[tuple[str, float | None]]]] = {
    "zagreb-2022": (
        [[48.25, 24.30], [48.00, 23.40], [47.90, 22.92], [47.93, 22.70], [47.60, 21.40], [46.35, 17.02],
         [45.7844, 15.95]], 262.0, [("UA", 277), ("RO", 164), ("HU", 1868), ("HR", 348)]),
    "bistrita-2022": (
        [[48.20, 25.30], [47.95, 24.90], [47.18, 24.43]], 30.0, [("UA", 1875), ("RO", 2571)]),
    "forpost-2022": (
        [[49.98, 23.70], [50.02, 23.25], [49.93, 22.95], [49.90, 23.30], [49.95, 23.80]], 45.0,
        [("UA", None), ("PL", 602), ("UA", None)]),
    "plauru-2023": (
        [[45.70, 29.75], [45.48, 29.10], [45.35, 28.88], [45.305, 28.845]], 48.0, [("UA", None), ("RO", 27)]),
    "grindu-2023": ([[45.75, 29.20], [45.42, 28.45], [45.375, 28.235]], 48.0, [("UA", None), ("RO", 100)]),
    "missile-2024": (
        [[50.50, 24.55], [50.435, 24.06], [50.430, 23.97], [50.425, 23.90], [50.385, 23.86]], 222.0,
        [("UA", None), ("PL", 41), ("UA", None)]),
    "tyszowce-2024": (
        [[50.20, 24.55], [50.43, 24.05], [50.62, 23.70], [50.64, 23.45]], 27.0, [("UA", None), ("PL", 1800)]),
    "rezekne-2024": (
        [[52.12, 26.10], [53.60, 25.83], [54.50, 26.95], [55.55, 27.55], [56.74, 27.07]], 48.0,
        [("BY", None), ("LV", 2250)]),
    "rezekne-straight": (  # from the second place to the last; the seconds are those at 50 m/s
        [[53.60, 25.83], [56.74, 27.07]], 50.0,
        [("BY", None), ("LT", 450), ("BY", None), ("LT", 245), ("BY", None), ("LT", 335), ("LV", None)]),
    "romania-2024": (
        [[44.90, 30.20], [45.10, 29.55], [45.30, 29.40], [45.41, 29.62]], 45.0,
        [("", None), ("RO", None), ("UA", None)]),
    "lithuania-2025-07-10": ([[54.58, 25.95], [54.60, 25.74], [54.602, 25.70]], 15.0, [("BY", None), ("LT", 236)]),
    "lithuania-2025-07-28": (
        [[54.25, 26.10], [54.55, 25.72], [54.70, 25.33], [55.02, 24.45]], 40.0, [("BY", None), ("LT", 2400)]),
    "olesno-2025": (
        [[51.70, 25.20], [52.25, 24.20], [52.62, 23.40], [53.30, 21.40], [54.11, 19.30]], 45.0,
        [("UA", None), ("BY", None), ("PL", None)]),
    "suwalki-seam": (
        [[53.90, 23.75], [53.96, 23.52], [54.05, 23.35], [54.20, 23.25], [54.36, 22.90], [54.42, 22.75]], 45.0,
        [("BY", None), ("LT", None), ("PL", None), ("LT", None)]),
}  # fmt: skip


def level(height_m: float) -> Grid:
    """Ground or geoid of one height."""
    return Grid(np.radians(45.0), np.radians(15.0), np.radians(0.5), np.full((31, 41), height_m, np.float32))


@cache
def zigzag(amplitude_m: float, period_m: float) -> Zones:
    """An ally east and another state west of a border that zigzags about 20 E."""
    step = period_m / 2 / 111_200.0
    wide = amplitude_m / 1e3 / (KM_PER_DEG * math.cos(math.radians(51.0)))
    east = [(20.0 + (-1) ** i * wide, 50.0 + i * step) for i in range(int(1.0 / step))]
    one = shapely.Polygon([(22.0, east[0][1]), *east, (22.0, east[-1][1])])
    two = shapely.Polygon([(18.0, east[0][1]), *east, (18.0, east[-1][1])])
    made = [State("AA", "Aland", "ally", one), State("OO", "Otherland", "other", two)]
    return zones.build(made, level(100.0), level(30.0), 25.0)


@cache
def three() -> Zones:
    """Three states that meet at 20 E 51 N, two of them claiming a strip, and the sea in the north."""
    made = [
        State("AA", "Aland", "ally", shapely.box(20.0, 50.0, 22.0, 51.5)),
        State("BB", "Beeland", "other", shapely.box(18.0, 51.0, 20.0, 51.5)),
        State("CC", "Ceeland", "other", shapely.box(18.0, 50.0, 20.05, 51.0)),
    ]
    return zones.build(made, level(0.0), level(30.0), 25.0)


def east_of(border_km: float, lat: float = 50.5) -> list[float]:
    """The place so far east of the zigzag's middle, degrees."""
    return [lat, 20.0 + border_km / (KM_PER_DEG * math.cos(math.radians(lat)))]


@dataclass(frozen=True, slots=True)
class Truth:
    """Where an object was, once a second."""

    t_s: F8  # (k,)
    state: F8  # (k, 6) ECEF


def truth(
    way: Sequence[Sequence[float]], speed_mps: float, height_m: float = 400.0, step_s: float = 1.0, on_s: float = 0.0
) -> Truth:
    """Along geodesics between places in degrees, at one speed and one height above the ellipsoid, and on for `on_s`."""
    lat, lon = np.radians(np.array(way, float)).T
    legs, azimuth, _ = geo.inverse(lat[:-1], lon[:-1], lat[1:], lon[1:])
    start_m = np.concatenate([[0.0], np.cumsum(legs)])
    t_s = np.arange(0.0, float(start_m[-1]) / speed_mps + on_s, step_s)
    leg = np.minimum(np.searchsorted(start_m, t_s * speed_mps, side="right") - 1, len(legs) - 1)
    at_lat, at_lon, course = geo.direct(lat[leg], lon[leg], azimuth[leg], t_s * speed_mps - start_m[leg])
    axes = geo.enu_axes(at_lat, at_lon)
    velocity = speed_mps * (np.sin(course)[:, None] * axes[:, 0] + np.cos(course)[:, None] * axes[:, 1])
    return Truth(t_s, np.hstack([geo.ecef(at_lat, at_lon, np.full(len(t_s), height_m)), velocity]))


def table(
    t_s: float, state: F8, cov: F8, hits: int, status: int = TrackStatus.CONFIRMED, ids: F8 | None = None
) -> Tracks:
    """Tracks (n, 6) with their covariances (n, 6, 6) at a time, all with as many plots."""
    n = len(state)
    now_us = T0_US + round(t_s * S)
    whole, none = np.full(n, now_us), np.full(n, -1, np.int32)
    return Tracks(
        7, now_us, np.arange(1, n + 1), whole, whole, whole, whole, state, cov,
        np.full((n, 3), 1 / 3), np.ones(n), np.full(n, status, np.int8), none, none, np.full(n, -1),
        np.full(n, -1, np.int8), np.zeros(n, "S8"), np.zeros(n, "S20"), np.full(n, -1), whole, whole,
        np.full(n, np.nan), np.full(n, -1), np.full(n, hits, np.int32), np.zeros(n), np.full(n, 0b110, np.uint64),
    )  # fmt: skip


def exactly(flown: Truth, sigma_m: float = 30.0, period_s: float = 1.0) -> Iterator[Tracks]:
    """One track that is always right and says it is wrong by so much, with a plot every `period_s`."""
    cov = np.diag([sigma_m**2] * 3 + [4.0] * 3)[None]
    for t_s, state in zip(flown.t_s, flown.state, strict=True):
        yield table(t_s, state[None].copy(), cov, 3 + int((t_s - flown.t_s[0]) // period_s))


def filtered(flown: Truth, plot_m: float, seeds: int, period_s: float = 4.0, seed: int = 1) -> Iterator[Tracks]:
    """`seeds` tracks of one flight, each with plots of its own; the first look is when a track has four plots."""
    rng = np.random.default_rng(seed)
    step_s = float(flown.t_s[1] - flown.t_s[0])
    drift_q = (0.05 * float(np.linalg.norm(flown.state[0, 3:]))) ** 2  # what turns it allows for grow with its speed
    move = np.array([[1.0, step_s], [0.0, 1.0]])
    noise = drift_q * np.array([[step_s**3 / 3, step_s**2 / 2], [step_s**2 / 2, step_s]])
    root = np.linalg.cholesky(noise)
    spread = np.diag([plot_m**2, 20.0**2])
    off = rng.normal(0.0, 1.0, (seeds, 3, 2)) * np.sqrt(np.diag(spread))  # of the estimate from the truth
    hits = 1
    for look, (t_s, state) in enumerate(zip(flown.t_s, flown.state, strict=True)):
        if look:
            off = off @ move.T + rng.normal(0.0, 1.0, (seeds, 3, 2)) @ root.T
            spread = move @ spread @ move.T + noise
        if look and (t_s - flown.t_s[0]) // period_s >= hits:
            gain = spread[:, 0] / (spread[0, 0] + plot_m**2)
            off = off + (rng.normal(0.0, plot_m, (seeds, 3)) - off[:, :, 0])[:, :, None] * gain
            spread = spread - np.outer(gain, spread[0])
            hits += 1
        if hits >= 4:
            estimate = state + np.concatenate([off[:, :, 0], off[:, :, 1]], axis=1)
            yield table(t_s, estimate, np.tile(np.kron(spread, np.eye(3)), (seeds, 1, 1)), hits)


def fly(ledger: Ledger, looks: Iterator[Tracks]) -> list[Passage]:
    """Every entry told."""
    told = []
    for tracks in looks:
        told += ledger.step(tracks, ledger.zones.facts(tracks), tracks.t_us)
    return told


def states(entries: Sequence[Passage]) -> list[str]:
    """The states passed, in order, "" the open sea."""
    return [state for entry in entries if (state := state_entered(entry)) is not None]


def agreed(told: Sequence[str], wanted: Sequence[str]) -> int:
    """Border events that are told as they were: the longest common part of both in their order."""
    before = [0] * (len(wanted) + 1)
    for state in told:
        row = [0]
        for n, true in enumerate(wanted):
            row.append(before[n] + 1 if state == true else max(before[n + 1], row[n]))
        before = row
    return before[-1]


def second(entry: Passage) -> float:
    """Since the flight began."""
    return (entry.t_us - T0_US) / S


def sky(objects: int, seconds: int, border_km: float = 0.0, seed: int = 5) -> Iterator[Tracks]:
    """Objects over and around the Baltic states and Poland that fly straight, each with a plot a second."""
    rng = np.random.default_rng(seed)
    draws = objects if border_km == 0.0 else 20 * objects
    places = np.radians(np.column_stack([rng.uniform(49.0, 59.0, draws), rng.uniform(18.0, 28.0, draws)]))
    state = np.zeros((len(places), 6))
    state[:, :3] = geo.ecef(places[:, 0], places[:, 1], np.full(len(places), 1_000.0))
    if border_km > 0.0:
        away = shipped.zones().facts(table(0.0, state, np.zeros((len(state), 6, 6)), 1)).distance_m
        state = state[np.abs(away) <= border_km * 1e3]
    assert len(state) >= objects
    state = state[:objects]
    lat, lon, _ = geo.geodetic(state[:, :3])
    axes, course, speed = geo.enu_axes(lat, lon), rng.uniform(0, 2 * np.pi, objects), rng.uniform(15.0, 250.0, objects)
    state[:, 3:] = (speed * np.sin(course))[:, None] * axes[:, 0] + (speed * np.cos(course))[:, None] * axes[:, 1]
    cov = np.tile(np.diag([100.0**2] * 3 + [3.0**2] * 3), (objects, 1, 1))
    for t_s in range(seconds):
        moved = state.copy()
        moved[:, :3] += t_s * state[:, 3:]
        yield table(float(t_s), moved, cov, 4 + t_s)
