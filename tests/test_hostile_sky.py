"""Plots that pass every check at the door and still make no sense: the engine takes them all, and never stops.

Every kind of sensor, values at and between the limits of the schema, thousands of them on one spot.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from adapters.running.outbox import Outbox
from adapters.wire import Names
from fusion.engine import Engine, EngineConfig
from fusion.schema import INT_FIELDS, LIMITS, NEEDED, Picture, PlotKind, Plots, SensorKind, SensorSpec, plots
from tests import shipped

TICKS = 150
KINDS = {
    "B1": (SensorKind.BEARING, (PlotKind.BEARING,)),
    "R1": (SensorKind.RADAR_2D, (PlotKind.POLAR,)),
    "R2": (SensorKind.RADAR_3D, (PlotKind.POLAR,)),
    "S1": (SensorKind.SIGHTING, (PlotKind.POSITION, PlotKind.BEARING)),
    "T1": (SensorKind.TRACK, (PlotKind.POSITION,)),
    "X1": (SensorKind.REMOTE_ID, (PlotKind.POSITION,)),
}
SENSORS = tuple(
    SensorSpec(name, index, kind, lat_rad=0.95, lon_rad=0.44, height_m=200.0, period_s=2.0, range_max_m=300_000.0)
    for index, (name, (kind, _)) in enumerate(KINDS.items())
)
ONE_SPOT = {
    "lat_rad": (0.9529, 0.9533),
    "lon_rad": (0.4484, 0.4488),
    "range_m": (29_700.0, 30_300.0),
    "azimuth_rad": (2.07, 2.11),
}


def value(draw: random.Random, name: str) -> float:
    low, high = LIMITS[name]
    if name in ONE_SPOT and draw.random() < 0.6:
        return draw.uniform(*ONE_SPOT[name])
    return draw.choice([low, high, min(max(0.0, low), high), draw.uniform(low, high), draw.uniform(low, high)])


def batch(draw: random.Random, now_us: int) -> Plots:
    name = draw.choice(sorted(KINDS))
    kind = draw.choice(KINDS[name][1])
    n = draw.randint(1, 12)
    age_us = [draw.choice([0, 0, 100_000, 500_000, 3_000_000, 9_000_000, 20_000_000]) for _ in range(n)]
    given: dict[str, Any] = {}
    for field in LIMITS:
        known = [field in NEEDED[kind] or draw.random() < 0.25 for _ in range(n)]
        given[field] = [value(draw, field) if there else np.nan for there in known]
    for field in INT_FIELDS:
        given[field] = [draw.choice([-1, 0, 1, 5]) for _ in range(n)]
    return plots(name, kind, now_us, np.array([now_us - age for age in age_us]), **given)


@pytest.mark.parametrize("seed", range(6))
def test_nothing_that_passes_the_door_stops_the_engine(seed: int) -> None:
    draw = random.Random(seed)
    engine = Engine(EngineConfig(SENSORS, shipped.rules(), shipped.zones(), epoch=1))
    outbox = Outbox(Names("test", shipped.zones().codes, shipped.zones().names, tuple(KINDS)))
    for n in range(1, TICKS + 1):
        now_us = shipped.START_US + n * shipped.TICK_US
        for _ in range(draw.randint(0, 4)):
            engine.feed(batch(draw, now_us))
        events = engine.tick(now_us)
        outbox.turn(events)
        assert engine.counters.balance() == 0
        for event in events:
            if isinstance(event, Picture):
                assert np.isfinite(event.tracks.state).all()
                assert np.isfinite(event.tracks.cov).all()
                assert np.allclose(event.tracks.mode.sum(axis=1), 1.0)
                assert ((event.tracks.existence >= 0.0) & (event.tracks.existence <= 1.0)).all()
    assert engine.counters.used > 1_000
