"""Tracks of one tracker over one scene, judged by replay/score.py."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.schema import F8, I8, US_PER_S
from fusion.tracker import Tracker
from replay import score
from replay.score import Score
from replay.scorefiles import States, TracksFile
from tests.bench.scenes import ORIGIN, WINDOW_US, Scene

Step = Callable[[int], int]  # window number to plots taken
Table = Callable[[int], tuple[I8, F8, F8]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One row of the table of quality."""

    name: str
    score: Score
    plots_per_cpu_s: float


def ours(scene: Scene) -> tuple[Step, Table]:
    """Vedette's tracker as the others are asked."""
    tracker = Tracker(scene.sensors)

    def table(t_us: int) -> tuple[I8, F8, F8]:
        found = tracker.table(t_us)
        lat, lon, _ = geo.geodetic(found.state[:, :3])
        return found.id, lat, lon

    return lambda window: tracker.step(scene.windows[window], (window + 1) * WINDOW_US), table


def judge(name: str, scene: Scene, step: Step, table: Table) -> Judged:
    """Run it over the whole scene, asking for the picture once a second; only steps are timed."""
    rows: list[tuple[I8, I8, F8, F8]] = []
    used, took = 0, 0.0
    for window in range(len(scene.windows)):
        start = time.process_time()
        used += step(window)
        took += time.process_time() - start
        now_us = (window + 1) * WINDOW_US
        if now_us % US_PER_S == 0:
            ids, lat, lon = table(now_us)
            rows.append((np.full(len(ids), now_us // 1_000), ids, lat, lon))
    stamp, ids, lat, lon = (np.concatenate(column) for column in zip(*rows, strict=True))
    names, who = np.unique(ids, return_inverse=True)
    unknown = np.full(len(ids), np.nan)
    tracks = TracksFile(
        States(stamp, who, lat, lon, unknown, unknown), tuple(map(str, names)), np.full((len(ids), 3), np.nan), 0
    )
    rules = score.Rules(start_s=30.0, end_s=scene.seconds - 1.0, origin_rad=ORIGIN)
    return Judged(name, score.score(scene.truth, tracks, rules), used / took)
