"""How fast, how large: CPU time of steps over windows of 0.1 s of arrival, warm-up left out; all from process_time."""

from __future__ import annotations

import gc
import io
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adapters import stream
from adapters.formats import scene as lines
from fusion.schema import US_PER_S
from fusion.tracker import Tracker
from tests.bench.peers.choice import Make
from tests.bench.scenes import WINDOW_US, Scene

PAGE_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class Speed:
    """Of one tracker on one scene."""

    tracks: int
    plots_per_cpu_s: float
    p50_ms: float
    p99_ms: float


def timed(scene: Scene, warm_s: float, step: Callable[[int], int], tracks: Callable[[], int]) -> Speed:
    """Run all windows and time those after the warm-up."""
    took, used = [], 0
    for window in range(len(scene.windows)):
        start = time.process_time()
        count = step(window)
        spent = time.process_time() - start
        if window * WINDOW_US >= warm_s * US_PER_S:
            took.append(spent)
            used += count
    p50, p99 = np.percentile(took, [50, 99]) * 1e3
    return Speed(tracks(), used / sum(took), float(p50), float(p99))


def ours(scene: Scene, warm_s: float) -> Speed:
    """Vedette: decoded batches to updated tracks."""
    tracker = Tracker(scene.sensors)
    end_us = len(scene.windows) * WINDOW_US
    return timed(
        scene, warm_s, lambda w: tracker.step(scene.windows[w], (w + 1) * WINDOW_US), lambda: len(tracker.table(end_us))
    )


def peer(scene: Scene, warm_s: float, make: Make, hold_s: float) -> Speed:
    """A peer on the same windows; a plot counts in the step that took it, though its buffer fuses it later."""
    one = make(scene.sensors, hold_s)
    return timed(
        scene,
        warm_s,
        lambda w: one.step(scene.windows[w], (w + 1) * WINDOW_US),
        lambda: int(one.tracks.public[: one.tracks.n].sum()),
    )


def as_lines(scene: Scene) -> bytes:
    """The scene in the plain stream of `vedette track`."""
    out = [lines.header(scene.sensors, 1.0).decode()]
    for window, batches in enumerate(scene.windows):
        out += [lines.plots(batch, 0) for batch in batches]
        now_us = (window + 1) * WINDOW_US
        if now_us % US_PER_S == 0:
            out.append(lines.tick(now_us / US_PER_S))
    return "".join(out).encode()


class Marked(io.BytesIO):
    """A stream that notes the CPU time when its reader has come past a place and asks for more."""

    def __init__(self, text: bytes, mark: int) -> None:
        super().__init__(text)
        self.mark, self.passed_s = mark, math.inf

    def read1(self, size: int | None = -1, /) -> bytes:
        """As the base class, but what it gives ends at the mark once."""
        left = self.mark - self.tell()
        if left <= 0:
            self.passed_s = min(self.passed_s, time.process_time())
            return super().read1(size)
        return super().read1(left if size is None or size < 0 else min(size, left))


def through_lines(scene: Scene, warm_s: float) -> float:
    """Plots per CPU-second from JSON lines to JSON lines, after the warm-up. One run: what loads once is in no part."""
    first = scene.first(warm_s)
    text = Marked(as_lines(scene), len(as_lines(first)))
    err = io.StringIO()
    if stream.run(text, io.StringIO(), err):
        raise RuntimeError(err.getvalue())
    return (scene.plots - first.plots) / (time.process_time() - text.passed_s)


def array_bytes(thing: object) -> int:
    """Bytes of every numpy array that an object holds, each once; what is reserved and never touched counts too."""
    seen: dict[int, int] = {}
    waiting, known = [thing], {id(thing): thing}
    while waiting:
        one: Any = waiting.pop()
        if isinstance(one, np.ndarray):
            base: Any = one
            while isinstance(base.base, np.ndarray):
                base = base.base
            seen[id(base)] = base.nbytes
            continue
        parts = list(vars(one).values()) if hasattr(one, "__dict__") else []
        parts += [getattr(one, name) for name in getattr(type(one), "__slots__", ()) if hasattr(one, name)]
        if isinstance(one, list | tuple):
            parts = list(one)
        if isinstance(one, dict):
            parts = list(one.values())
        for part in parts:
            if isinstance(part, type) or callable(part) or id(part) in known:
                continue
            known[id(part)] = part
            waiting.append(part)
    return sum(seen.values())


def memory(objects: int, seconds: float) -> dict[str, float]:
    """In a process of its own: resident bytes that a run adds, and bytes of the tracker's arrays."""
    asked = [sys.executable, "-m", "tests.bench.speed", str(objects), str(seconds)]
    return dict(json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout))


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def _memory(objects: int, seconds: float) -> dict[str, float]:
    from tests.bench.scenes import scene

    ours(scene(50, 3.0), 1.0)  # kernels loaded, as after the first second of any service
    sky = scene(objects, seconds)
    gc.collect()
    tracker, before = Tracker(sky.sensors), resident_bytes()
    for window, batches in enumerate(sky.windows):
        tracker.step(batches, (window + 1) * WINDOW_US)
    gc.collect()
    grown = resident_bytes() - before
    tracks = len(tracker.table(len(sky.windows) * WINDOW_US))
    return {"tracks": tracks, "resident": grown, "arrays": array_bytes(tracker)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_memory(int(sys.argv[1]), float(sys.argv[2]))))
