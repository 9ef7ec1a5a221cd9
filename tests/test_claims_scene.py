"""The engine with claims that are not true: a drone that radar alone has found stays found, and ghosts are named.

The drone flies from Belarus to Lithuania, low and slow, seen by three radars. Whatever is claimed around it, it stays
alerted: `watched` is the share of the time after its first alert in which a track within 2 km of it has an open alert.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.engine import Engine, EngineConfig
from fusion.geo import ecef, inverse
from fusion.integrity import Reason
from fusion.schema import F8, US_PER_S, AlertChanged, Assessment, Picture, PlotKind, Plots, SensorSpec, Tracks, plots
from tests import claimsky, shipped
from tests.claimsky import EARTH_M, START_US

RADARS = claimsky.radars(4.0, 5.0, 6.0)
SPEED_MPS, COURSE_RAD, HEIGHT_M = 42.0, np.radians(300.0), 350.0
FROM_LAT, FROM_LON = np.radians(54.25), np.radians(26.10)
Claims = Callable[[float], list[dict[str, Any]]]  # seconds to what is claimed then


def sensors() -> tuple[SensorSpec, ...]:
    """The radars moved to where the drone flies, and the receiver."""
    moved = [replace(r, lat_rad=r.lat_rad + FROM_LAT - np.radians(55.0), lon_rad=r.lon_rad + FROM_LON - np.radians(23.5))
             for r in RADARS]  # fmt: skip
    return (claimsky.receiver(), *moved)


def drone(t_s: float, east_m: float = 0.0, north_m: float = 0.0) -> tuple[float, float]:
    """Where the drone is, moved by so much."""
    north = north_m + SPEED_MPS * np.cos(COURSE_RAD) * t_s
    east = east_m + SPEED_MPS * np.sin(COURSE_RAD) * t_s
    lat = FROM_LAT + north / EARTH_M
    return lat, FROM_LON + east / (EARTH_M * np.cos(lat))


def on_top(t_s: float, address: int = 0x500001, east_m: float = 0.0, north_m: float = 0.0, **more: Any) -> dict[str, Any]:
    """A claim of the drone's own flight, moved by so much."""
    lat, lon = drone(t_s, east_m, north_m)
    return {
        "lat_rad": lat, "lon_rad": lon, "height_m": HEIGHT_M, "address": address, "category": 1, "nic": 8, "nacp": 9,
        "velocity_east_mps": SPEED_MPS * np.sin(COURSE_RAD), "velocity_north_mps": SPEED_MPS * np.cos(COURSE_RAD),
        "velocity_up_mps": 0.0, "sigma_position_m": 12.0, "sigma_velocity_mps": 1.0, **more,
    }  # fmt: skip


@dataclass
class Seen:
    """What became of the drone."""

    first_alert_s: float
    watched: float
    pictures: list[tuple[float, Tracks, Assessment]]


def fly(claims: Claims, seconds: int, radar: bool = True, seed: int = 5) -> Seen:
    """The whole scene through an engine, with ticks of 0.2 s."""
    used = sensors()
    engine = Engine(EngineConfig(used, shipped.rules(), shipped.zones(), epoch=1, picture_us=200_000))
    luck = np.random.default_rng(seed)
    open_at: dict[str, str] = {}
    first, told = np.inf, []
    pictures = []
    for second in range(seconds):
        batches = [batch for spec in used[1:] if radar for batch in look(spec, used, second, luck)]
        said = claims(float(second))
        if said:
            batches.append(batch_of(said, second))
        for batch in batches:
            engine.feed(batch)
        for part in range(5):
            for event in engine.tick(START_US + round((second + 1.2 + part / 5) * US_PER_S)):
                if isinstance(event, AlertChanged):
                    open_at[event.alert.track] = event.alert.state
                elif isinstance(event, Picture) and event.full:
                    pictures.append((second + 1.0, event.tracks, event.assessment))
                    alerted = {name for name, state in open_at.items() if state != "closed"}
                    watched = any(event.tracks.name(row) in alerted for row in near(event, second + 1.0))
                    first = min(first, second) if watched else first
                    if second >= first:
                        told.append(watched)
    return Seen(float(first), float(np.mean(told)) if told else 0.0, pictures)


def look(spec: SensorSpec, used: tuple[SensorSpec, ...], second: int, luck: np.random.Generator) -> list[Plots]:
    if second % int(spec.period_s) or luck.random() > 0.9:
        return []
    lat, lon = drone(float(second))
    xyz = ecef(np.array([lat]), np.array([lon]), np.array([HEIGHT_M]))
    return [claimsky.radar_plots(spec, used, xyz, np.array([float(second)]), luck)]


def batch_of(said: list[dict[str, Any]], second: int) -> Plots:
    names = sorted({name for row in said for name in row} - {"dt_s"})
    t_us = np.array([START_US + round((second + row.get("dt_s", 0.0)) * US_PER_S) for row in said])
    columns = {name: np.array([row.get(name, -1) for row in said]) for name in names}
    return plots("A0", PlotKind.POSITION, START_US + second * US_PER_S + US_PER_S // 2, t_us, **columns)


def near(event: Picture, t_s: float) -> list[int]:
    lat, lon = drone(t_s)
    n = len(event.tracks)
    away: F8 = inverse(np.full(n, lat), np.full(n, lon), event.assessment.lat_rad, event.assessment.lon_rad)[0]
    return [int(row) for row in np.flatnonzero(away < 2_000.0)]


def claims_none(t_s: float) -> list[dict[str, Any]]:
    return []


def late(t_s: float) -> list[dict[str, Any]]:
    """Exactly on top, once radar has it."""
    return [on_top(t_s)] if t_s >= 35 else []


def late_with_code(t_s: float) -> list[dict[str, Any]]:
    """With a squawk, as if radar had received it."""
    return [on_top(t_s, mode3a=0o4521)] if t_s >= 35 else []


def high(t_s: float) -> list[dict[str, Any]]:
    """On top and far above: not low any more."""
    return [on_top(t_s, height_m=2_500.0)] if t_s >= 35 else []


def landing(t_s: float) -> list[dict[str, Any]]:
    """On top, and then it has landed."""
    return [on_top(t_s, on_ground=int(t_s > 45 and t_s % 5 == 0))] if t_s >= 35 else []


def dragging(t_s: float) -> list[dict[str, Any]]:
    """On top, and then slowly away."""
    return [on_top(t_s, north_m=-12.0 * max(0.0, t_s - 45.0))] if t_s >= 35 else []


def two(t_s: float) -> list[dict[str, Any]]:
    """One drags the track away, another takes its place."""
    away = -15.0 * max(0.0, t_s - 45.0)
    return [on_top(t_s, north_m=away), on_top(t_s, 0x500002)] if t_s >= 35 else []


def joining(t_s: float) -> list[dict[str, Any]]:
    """Claimed long before, two kilometres beside it, and then on top."""
    return [on_top(t_s, north_m=2_000.0 * max(0.0, min(1.0, (60.0 - t_s) / 25.0)))]


def faster(t_s: float) -> list[dict[str, Any]]:
    """On top, at a speed that is not slow."""
    return [on_top(t_s, velocity_east_mps=-120.0, velocity_north_mps=70.0)] if t_s >= 35 else []


ATTACKS = (claims_none, late, late_with_code, high, landing, dragging, two, joining, faster)


@pytest.mark.parametrize("claims", ATTACKS, ids=lambda c: c.__name__)
def test_a_low_slow_object_that_radar_found_stays_alerted_whatever_is_claimed(claims: Claims) -> None:
    seen = fly(claims, 100)
    assert seen.first_alert_s < 35
    assert seen.watched == 1.0
