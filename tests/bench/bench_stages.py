"""Where the time of a step goes: CPU time of each stage of the tracker, per plot, after the warm-up.

A stage is a function that the tracker calls; each is timed from outside, so what is left ("the rest") holds the timing
itself too. What a stage calls in turn is part of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fusion import tracker as module
from fusion.bias.pressure import Pressure
from fusion.registration import Registration
from fusion.schema import US_PER_S
from fusion.tracker import Tracker
from tests.bench.scenes import WINDOW_US, Scene

STAGES: dict[str, tuple[Any, str]] = {
    "rows of plots": (module, "plots_of"),
    "registration": (Registration, "observe"),
    "pressure": (Pressure, "observe"),
    "association and update": (module, "step_1"),
    "looks and ends": (module, "look_1"),
    "mergers": (Tracker, "_merge"),
}
REST = "the rest"


@contextmanager
def _timed(spent: dict[str, float]) -> Iterator[None]:
    """While inside, every stage adds its CPU time to `spent`."""
    kept = [(owner, name, getattr(owner, name)) for owner, name in STAGES.values()]

    def clocked(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            start = time.process_time()
            done = work(*args)
            spent[stage] += time.process_time() - start
            return done

        return run

    try:
        for stage, (owner, name, work) in zip(STAGES, kept, strict=True):
            setattr(owner, name, clocked(stage, work))
        yield
    finally:
        for owner, name, work in kept:
            setattr(owner, name, work)


def measure(scene: Scene, warm_s: float) -> dict[str, float]:
    """Microseconds of each stage per plot."""
    spent = dict.fromkeys(STAGES, 0.0)
    tracker, used, before, start = Tracker(scene.sensors), 0, dict(spent), 0.0
    with _timed(spent):
        for window, batches in enumerate(scene.windows):
            if window * WINDOW_US == round(warm_s * US_PER_S):
                used, before, start = 0, dict(spent), time.process_time()
            used += tracker.step(batches, (window + 1) * WINDOW_US)
        whole = time.process_time() - start
    per = {stage: (spent[stage] - before[stage]) / used * 1e6 for stage in STAGES}
    return {**per, REST: whole / used * 1e6 - sum(per.values())}
