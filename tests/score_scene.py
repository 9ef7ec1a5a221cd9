"""Small scenes for the scorer: objects that fly straight, tracks with every fault, and Stone Soup's opinion of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from fusion import geo
from fusion.schema import F8
from replay.sampling import places
from replay.scorefiles import States, TracksFile, TruthFile

LAT, LON = math.radians(54.5), math.radians(23.5)
STEP_S = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One state: seconds, number of its object or track, metres east and north of the middle, velocity."""

    time_s: float
    who: int
    east_m: float
    north_m: float
    east_mps: float = 0.0
    north_mps: float = 0.0
    seen: bool = True
    covariance_m2: tuple[float, float, float] = (math.nan, math.nan, math.nan)


def states(rows: Sequence[Row]) -> States:
    """Rows, which must be in order of time, as the readers give them."""
    lat, lon, _ = geo.direct(
        LAT, LON, [math.atan2(r.east_m, r.north_m) for r in rows], [math.hypot(r.east_m, r.north_m) for r in rows]
    ) if rows else (np.empty(0),) * 3  # fmt: skip
    time_ms = np.array([round(r.time_s * 1_000) for r in rows], np.int64)
    who = np.array([r.who for r in rows], np.int64)
    velocity = np.array([(r.east_mps, r.north_mps) for r in rows]).reshape(-1, 2)
    return States(time_ms, who, lat, lon, velocity[:, 0].copy(), velocity[:, 1].copy())


def truth_of(rows: Sequence[Row], class_of: Sequence[int] = (), first_hit_s: Sequence[float] = ()) -> TruthFile:
    """A truth. Without more, all objects are of one class and were first hit when first there."""
    rows = sorted(rows, key=lambda row: (row.time_s, row.who))
    objects = max(row.who for row in rows) + 1
    first = [min((r.time_s for r in rows if r.who == k), default=math.nan) for k in range(objects)]
    kinds = np.array(class_of or [0] * objects, np.int64)
    return TruthFile(
        states(rows),
        np.array([row.seen for row in rows], np.bool_),
        tuple(f"o{k}" for k in range(objects)),
        tuple(f"class-{k}" for k in range(int(kinds.max()) + 1)),
        kinds,
        np.array(first_hit_s or first, np.float64),
    )


def tracks_of(rows: Sequence[Row]) -> TracksFile:
    """What a tracker said."""
    rows = sorted(rows, key=lambda row: (row.time_s, row.who))
    names = tuple(f"t{k}" for k in range(max((row.who for row in rows), default=-1) + 1))
    return TracksFile(states(rows), names, np.array([row.covariance_m2 for row in rows]).reshape(-1, 3), 0)


def faulty_scene(seed: int, objects: int = 7, samples: int = 24) -> tuple[list[Row], list[Row]]:
    """Objects that come and go in a small box, and tracks with errors, breaks, swaps, doubles and ghosts.

    A track has no gap inside: Stone Soup would go on with its last state, and we count only what was said.
    """
    rng = np.random.default_rng(seed)
    truth: list[Row] = []
    tracks: list[Row] = []
    start = rng.uniform(-4_000, 4_000, (objects, 2))
    velocity = rng.uniform(-60, 60, (objects, 2))
    born, gone = rng.integers(0, samples // 3, objects), rng.integers(2 * samples // 3, samples + 1, objects)
    born[0], gone[0] = 0, samples  # Stone Soup knows no sample without any state
    number = 0
    for k in range(objects):
        life = [(j, *(start[k] + velocity[k] * STEP_S * j), *velocity[k]) for j in range(born[k], gone[k])]
        truth += [Row(j * STEP_S, k, *state) for j, *state in life]
        at = 0
        while at < len(life):
            length = int(rng.integers(2, len(life) + 1))
            spoilt = rng.uniform(size=len(life)) < 0.15
            for i in range(at, min(at + length, len(life))):
                j, east, north = life[i][:3]
                off = rng.normal(0.0, 1_500.0 if spoilt[i] else 150.0, 2)
                tracks.append(
                    Row(j * STEP_S, number, east + off[0], north + off[1], *(velocity[k] + rng.normal(0, 5, 2)))
                )
            number += 1
            at += length - int(rng.integers(-2, 4)) if length > 4 else length
    for _ in range(3):
        a, b = sorted(rng.integers(0, samples, 2))
        east, north = rng.uniform(-5_000, 5_000, 2)
        tracks += [Row(j * STEP_S, number, east, north) for j in range(a, b + 1)]
        number += 1
    return truth, tracks


def stone_soup(truth: TruthFile, tracks: TracksFile, threshold_m: float, origin: tuple[float, float]) -> dict[str, Any]:
    """Stone Soup's own SIAP, GOSPA and OSPA of the same states, in the plane at origin."""
    from stonesoup.dataassociator.tracktotrack import TrackToTruth
    from stonesoup.measures import Euclidean
    from stonesoup.metricgenerator.manager import MultiManager
    from stonesoup.metricgenerator.ospametric import GOSPAMetric, OSPAMetric
    from stonesoup.metricgenerator.tracktotruthmetrics import SIAPMetrics
    from stonesoup.types.groundtruth import GroundTruthPath, GroundTruthState
    from stonesoup.types.state import State
    from stonesoup.types.track import Track

    place, speed = Euclidean((0, 2)), Euclidean((1, 3))
    keys = {"tracks_key": "t", "truths_key": "g"}
    manager = MultiManager(
        [
            SIAPMetrics(position_measure=place, velocity_measure=speed, generator_name="siap", **keys),
            GOSPAMetric(p=2, c=threshold_m, measure=place, generator_name="gospa", **keys),
            OSPAMetric(p=1, c=threshold_m, measure=place, generator_name="ospa", **keys),
        ],
        TrackToTruth(association_threshold=threshold_m, measure=place),
    )
    manager.add_data(
        {
            "t": {Track(path) for path in _paths(tracks.states, State, origin)},
            "g": {GroundTruthPath(path) for path in _paths(truth.states, GroundTruthState, origin)},
        }
    )
    made = manager.generate_metrics()
    found: dict[str, Any] = {
        name: float(metric.value) for name, metric in made["siap"].items() if not name.endswith("at times")
    }
    gospa = [metric.value for metric in made["gospa"]["GOSPA Metrics"].value]
    found["GOSPA"] = np.array([g["distance"] for g in gospa])
    found["missed"] = np.array([g["missed"] for g in gospa]) / (threshold_m**2 / 2)
    found["false"] = np.array([g["false"] for g in gospa]) / (threshold_m**2 / 2)
    found["localisation"] = np.sqrt(np.array([g["localisation"] for g in gospa]))
    found["OSPA"] = np.array([metric.value for metric in made["ospa"]["OSPA distances"].value])
    # It joins the associations of one track with one object to one that has gaps, and counts the whole as a segment.
    found["split"] = any(len(a.time_range.key_times) > 2 for a in manager.association_set)
    return found


def _paths(said: States, kind: Any, origin: tuple[float, float]) -> list[list[Any]]:
    place: F8 = places(said.lat_rad, said.lon_rad, origin)
    paths: dict[int, list[Any]] = {}
    for k in range(len(said)):
        when = datetime(2026, 1, 1) + timedelta(milliseconds=int(said.time_ms[k]))
        vector = [[place[k, 0]], [said.east_mps[k]], [place[k, 1]], [said.north_mps[k]]]
        paths.setdefault(int(said.who[k]), []).append(kind(vector, timestamp=when))
    return list(paths.values())
