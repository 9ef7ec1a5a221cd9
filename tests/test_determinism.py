"""The same plots give the same bits: in any order of arrival within a tick, under any hash seed, compiled afresh, and
split by a snapshot."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from fusion.order import Order
from fusion.schema import US_PER_S, Plots, Tracks
from fusion.tracker import Tracker
from tests.sky import FLAT, RADAR, SENSORS, START_US, claim, clutter, line, one_by_one, play, scan
from tests.states import bits

UNTIL_S = 60.0
END_US = START_US + round(UNTIL_S * US_PER_S)


def sky() -> list[Plots]:
    """Two radars with clutter over a group of five of which two claim, with lateness, plot by plot."""
    rng = np.random.default_rng(14)
    paths = [line(20_000 + 700 * k, 40_000 - 900 * k, 800 + 100 * k, -40, 12 - k) for k in range(5)]
    batches = [b for t in range(0, 60, 5) for spec in (RADAR, FLAT) for b in scan(spec, paths, t, rng, 0.85)]
    batches += [b for t in range(0, 60, 5) for spec in (RADAR, FLAT) for b in clutter(spec, t, rng, 25)]
    batches += [claim(paths[k], t + 0.1 * k, 5 + k, rng) for t in range(60) for k in range(2)]
    batches = [single for batch in batches for single in one_by_one(batch)]
    return [replace(b, rx_us=b.rx_us + int(rng.integers(0, 4 * US_PER_S))) for b in batches]


def told(tracks: Tracks) -> bytes:
    """All bits of a picture."""
    return b"".join(f.name.encode() + bits(getattr(tracks, f.name)) for f in fields(tracks))


def digest(tracker: Tracker) -> str:
    """Of the picture and of everything that can change a later one, coverage and registration too."""
    whole = told(tracker.table(END_US)) + bits(tracker.snapshot()) + repr(tracker.sensor_stats().hits).encode()
    return hashlib.sha256(whole).hexdigest()


def test_any_order_of_arrival_within_a_tick_gives_the_same_bits() -> None:
    batches = sky()
    straight = digest(play(Tracker(SENSORS), batches, UNTIL_S))
    for seed in range(3):
        jumbled = [batches[i] for i in np.random.default_rng(seed).permutation(len(batches))]
        waiting = sorted(jumbled, key=lambda b: (b.rx_us - 1) // 100_000)  # stable: jumbled within each tick
        order, tracker, at = Order(), Tracker(SENSORS), 0
        for tick in range(1, round(UNTIL_S * 10) + 1):
            now_us = START_US + tick * 100_000
            while at < len(waiting) and waiting[at].rx_us <= now_us:
                order.admit(waiting[at])
                at += 1
            tracker.step(order.drain().batches, now_us)
        assert digest(tracker) == straight


def test_a_tracker_restored_in_mid_flight_goes_on_with_the_same_bits() -> None:
    """Every ten seconds a new tracker takes over: tracks, plots to be given out again, registration, coverage."""
    batches = sorted(sky(), key=lambda b: (b.rx_us, b.sensor, int(b.t_us[0]), b.azimuth_rad.tobytes()))
    straight, split = Tracker(SENSORS), Tracker(SENSORS)
    at = 0
    for tick in range(1, round(UNTIL_S * 10) + 1):
        now_us, due = START_US + tick * 100_000, []
        while at < len(batches) and batches[at].rx_us <= now_us:
            due.append(batches[at])
            at += 1
        due.sort(key=lambda b: (int(b.t_us[0]), b.sensor, b.azimuth_rad.tobytes(), b.lat_rad.tobytes()))
        straight.step(due, now_us)
        split.step(due, now_us)
        if tick % 100 == 37:
            taken = split.snapshot()
            split = Tracker(SENSORS)
            split.restore(taken)
    assert told(split.table(END_US)) == told(straight.table(END_US))
    assert bits(split.registration.snapshot()) == bits(straight.registration.snapshot())
    assert bits(split.coverage.snapshot()) == bits(straight.coverage.snapshot())
    assert split.limits == straight.limits
    assert split.counts == straight.counts
    assert bits(list(vars_of(split))) == bits(list(vars_of(straight)))
    assert len(straight.table(END_US)) >= 5, "there is something to compare"


def vars_of(tracker: Tracker) -> list[np.ndarray]:
    stats = tracker.sensor_stats()
    return [stats.hits, stats.misses, stats.nis, stats.innovations, stats.clutter_per_scan]


def run_elsewhere(code: str, **environment: str) -> str:
    """What another process prints."""
    root = Path(__file__).resolve().parent.parent
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False, cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **environment},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2_000:]
    return found.stdout.strip()


def test_any_hash_seed_gives_the_same_bits() -> None:
    code = (
        "from adapters import kernelcache; kernelcache.prepare()\n"
        "from tests.test_determinism import *\n"
        "print(digest(play(Tracker(SENSORS), sky(), UNTIL_S)))"
    )
    here = digest(play(Tracker(SENSORS), sky(), UNTIL_S))
    for seed in ("0", "4242"):
        assert run_elsewhere(code, PYTHONHASHSEED=seed) == here


LEARN = """
from adapters import kernelcache; kernelcache.prepare()
import hashlib
import numpy as np
from fusion.hits import PRIOR, RECORD, book_1, detection_1
rng, size, record, found = np.random.default_rng(1), PRIOR.copy(), RECORD.copy(), []
for look in range(500):
    full, margin = rng.uniform(0.1, 1.0), float(np.exp(rng.normal()))
    found.append(detection_1(full, margin, np.log(0.9), size, record))
    book_1(full, margin, np.log(0.9), size, record, bool(rng.random() < found[-1]))
print(hashlib.sha256(np.array(found).tobytes() + size.tobytes() + record.tobytes()).hexdigest())
"""


def test_kernels_compiled_afresh_give_the_bits_of_cached_ones(tmp_path: Path) -> None:
    """What hits teach, full of logarithms and exponentials, in an empty cache, then again from what that left.

    One module, because to compile all takes a minute; all are compiled with the same options.
    """
    fresh = run_elsewhere(LEARN, NUMBA_CACHE_DIR=str(tmp_path / "kernels"))
    left = sorted((tmp_path / "kernels").rglob("hits.*.nbc"))
    assert left, "it was compiled there"
    stamps = [path.stat().st_mtime_ns for path in left]
    assert run_elsewhere(LEARN, NUMBA_CACHE_DIR=str(tmp_path / "kernels")) == fresh
    assert [path.stat().st_mtime_ns for path in left] == stamps, "and not again"
    assert run_elsewhere(LEARN) == fresh, "nor does the user's own cache differ"
