"""The simulator: simulated seconds for each second of CPU, and memory, with six radars, ADS-B and thousands of objects.

`python -m tests.bench.bench_simulate [objects ...]`
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import replace

from replay import scenario
from replay.simulate import Scenario

SECONDS = 120.0
SENSORS = ("A1", "R1", "R2", "R3", "R4", "R5", "R6")


def measure(objects: int) -> None:
    """One run, one line of figures."""
    began = time.process_time()
    plan = scenario.load_plan("mixed-sky", total=objects)
    kept = [s for s in plan.sensors if s.spec.id in SENSORS]
    sensors = tuple(replace(s, spec=replace(s.spec, index=n)) for n, s in enumerate(kept))
    scene = Scenario(replace(plan, sensors=sensors))
    drawn_s = time.process_time() - began
    began, found = time.process_time(), 0
    for batch in scene.batches():
        if batch.rx_us > scene.start_us + SECONDS * 1e6:
            break
        found += len(batch)
    spent_s = time.process_time() - began
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(plan.objects):6d} objects, {len(sensors)} sensors: drawn in {drawn_s:5.1f} s of CPU for "
        f"{plan.duration_s:.0f} s; {SECONDS / spent_s:6.1f} simulated seconds a CPU second, "
        f"{found / SECONDS:7.0f} plots a simulated second, {found / spent_s:8.0f} a CPU second; {memory_mb:5.0f} MB"
    )


def main() -> None:
    """Every size in turn; the memory is the highest so far."""
    Scenario.load("hungary-from-serbia")  # compiled, or read from the cache, before anything is timed
    for objects in [int(word) for word in sys.argv[1:]] or [200, 1_000, 5_000]:
        measure(objects)


if __name__ == "__main__":
    main()
