"""The classes: how right their probabilities are on skies they were not fitted on, and what a picture of them costs.

`python -m tests.bench.bench_classes [seconds]`: the scene `mixed-sky` with two seeds, then a sky with another mix (few
drones and birds, much sport), which the table of priors does not expect; reliability, confusion, and the time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import chain

import numpy as np

from fusion import classes, integrity
from fusion.behaviour import Behaviour
from fusion.identity import classify
from fusion.schema import US_PER_S
from replay.simulate import Scenario
from tests import airpicture, classsky

MIXED_SEEDS, SHIFTED_SEED = (2, 3), 21
SHIFTED = {
    "shahed": 2, "gerbera": 2, "forpost": 1, "orlan-10": 1, "ar5-drone": 3, "cruise-missile": 1, "quadcopter": 10,
    "light-aircraft": 60, "ultralight": 30, "sailplane": 20, "paraglider": 25, "airliner": 30, "fast-jet": 3,
    "helicopter": 20, "smuggling-balloon": 4, "geese": 10, "wind-turbine": 8,
}  # fmt: skip


def report(title: str, found: classsky.Judged) -> None:
    """Reliability and confusion of one sky."""
    named, _ = classes.name(found.p)
    hit, said = named == found.label, named > 0
    print(f"{title}: {len(said)} samples of {len(np.unique(found.track))} tracks")
    print(f"  expected calibration error {found.error():.3f} (of perfect answers, by chance, {found.chance():.3f})")
    print(f"  a class is named in {said.mean():.0%}, and right in {hit[said].mean():.1%} of these")
    print("  probability    samples  tracks  said   right")
    for b in found.bins():
        low = min(int(b.confidence * 10), 9) / 10
        print(f"  {low:.1f} to {low + 0.1:.1f} {b.samples:10d} {b.tracks:7d}  {b.confidence:.3f}  {b.accuracy:.3f}")
    table = found.confusion()
    print(f"  {'true class, part named as':26s}   none" + "".join(f"{one[:7]:>8s}" for one in classes.NAMES[1:]))
    for kind in np.flatnonzero(table.sum(axis=1)).tolist():
        part = table[kind] / table[kind].sum()
        print(f"  {classes.NAMES[kind]:20s} {table[kind].sum():6d}" + "".join(f"{p:7.2f} " for p in part))


def cost(n: int = 1_000) -> None:
    """Milliseconds of one picture of n tracks, all with a new plot or none."""
    luck = np.random.default_rng(1)
    rows = [
        {
            **(airpicture.AIRCRAFT if i % 2 else airpicture.DRONE),
            "speed_mps": luck.uniform(5, 250),
            "callsign": b"ABC12",
        }
        for i in range(n)
    ]
    all_ms: list[float] = []
    none_ms: list[float] = []
    memory = Behaviour()
    for second in range(40):
        now_us = airpicture.T0_US + second * US_PER_S
        tracks, facts = airpicture.picture([airpicture.at(now_us, row) for row in rows], now_us)
        claiming = tracks.claim_us >= 0
        checked = integrity.check(tracks, facts)
        for spent in (all_ms, none_ms):
            began = time.perf_counter()
            memory.look(tracks, facts)
            classes.name(classify(tracks, memory.densities, claiming, claiming, checked, airpicture.SENSORS))
            spent.append(1e3 * (time.perf_counter() - began))
    print(f"{n} tracks: {np.median(all_ms):.2f} ms a picture, all new; {np.median(none_ms):.2f} ms, none")


def main() -> None:
    """Every sky in turn."""
    seconds = float(sys.argv[1]) if sys.argv[1:] else 600.0
    looks: Iterator[classsky.Look] = chain.from_iterable(
        classsky.watch(Scenario.load("mixed-sky", seed=seed), seconds) for seed in MIXED_SEEDS
    )
    report("mixed-sky", classsky.judged(looks))
    report("another mix", classsky.judged(classsky.watch(classsky.sky(SHIFTED, SHIFTED_SEED, seconds), seconds)))
    cost()


if __name__ == "__main__":
    main()
