"""What a tick fuses, and in which order.

`admit` stores a batch, refuses what was seen before by (sensor, boot, seq) and what claims to come from the future;
`drain` hands out everything stored, sorted by (time, sensor, boot, seq), without what is too late to be fused.
Arrival order between two drains cannot change the answer.

Memory is bounded: the numbers seen are kept as runs, at most `MAX_RUNS` per start of a sensor (past that the oldest
gap is given up: what would still fill it counts as a duplicate) and for the newest `MAX_BOOTS` starts of each sensor
(anything from an older start counts as a duplicate). What is stored between two drains is bounded by the caller, who
drains every tick and whose inbox is bounded.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from fusion.schema import Plots, take

MAX_RUNS = 1_024
MAX_BOOTS = 4
NEVER_US = -(2**62)


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one batch, in plots (a message that holds none counts as one duplicate)."""

    stored: int
    duplicate: int
    future: int


@dataclass(frozen=True, slots=True)
class Drained:
    """What one tick fuses. `used` plots in `batches`; `late` plots were too old and fell."""

    batches: list[Plots]
    used: int
    late: int


class Run(NamedTuple):
    """Every message of one start of a sensor from `first` to `seq` went through a drain; -1: none was numbered."""

    boot: int = -1
    seq: int = -1
    first: int = -1


@dataclass(slots=True)
class _Numbers:
    """Message numbers seen from one start of one sensor, as disjoint runs [first, last] in rising order."""

    anchor: int  # the number seen first: contiguity is counted from there
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)

    def add(self, seq: int) -> bool:
        """Note a number; False when it was there."""
        at = bisect_right(self.first, seq)
        if at > 0 and seq <= self.last[at - 1]:
            return False
        joins_left = at > 0 and self.last[at - 1] == seq - 1
        joins_right = at < len(self.first) and self.first[at] == seq + 1
        if joins_left and joins_right:
            self.last[at - 1] = self.last[at]
            del self.first[at], self.last[at]
        elif joins_left:
            self.last[at - 1] = seq
        elif joins_right:
            self.first[at] = seq
        else:
            self.first.insert(at, seq)
            self.last.insert(at, seq)
            if len(self.first) > MAX_RUNS:
                self.last[0] = self.last[1]
                del self.first[1], self.last[1]
        return True

    def contiguous(self, boot: int) -> Run:
        """The numbers around the anchor of which none is missing."""
        at = bisect_right(self.first, self.anchor) - 1
        return Run(boot, self.last[at], self.first[at])


class Order:
    """Holds what came since the last tick. Times in microseconds of the sensors' clocks."""

    def __init__(self, late_us: int = 10_000_000, future_us: int = 2_000_000) -> None:
        self._late_us = late_us
        self.future_us = future_us
        self._newest_us = NEVER_US
        self._stored: list[Plots] = []
        self._numbers: dict[str, list[tuple[int, _Numbers]]] = {}  # per sensor, boots in rising order
        self._fused: dict[str, Run] = {}

    def admit(self, batch: Plots) -> Admission:
        """Store a batch for the next drain.

        A numbered batch seen before is a `duplicate` as a whole. A plot measured more than `future_us` after the
        batch arrived is `future` and falls alone: a clock that runs ahead must not make everybody else late.
        """
        n = len(batch)
        if batch.seq >= 0 and not self._new(batch.sensor, batch.boot, batch.seq):
            return Admission(0, max(n, 1), 0)
        if n == 0:
            return Admission(0, 0, 0)
        future = 0
        last_us = batch.rx_us + self.future_us
        if np.maximum.reduce(batch.t_us) > last_us:
            fine = batch.t_us <= last_us
            future = n - int(np.count_nonzero(fine))
            batch = take(batch, fine)
        if future < n:
            self._stored.append(batch)
        return Admission(n - future, 0, future)

    def drain(self) -> Drained:
        """Everything stored, sorted; late is what was measured more than `late_us` before the newest fused plot."""
        batches: list[Plots] = []
        late = used = 0
        oldest_us = self._newest_us - self._late_us
        newest_us = self._newest_us
        for first_us, batch in _sorted(self._stored):
            fresh = batch
            if first_us < oldest_us:
                fresh = take(batch, batch.t_us >= oldest_us)
                late += len(batch) - len(fresh)
                if len(fresh) == 0:
                    continue
            batches.append(fresh)
            used += len(fresh)
            newest_us = max(newest_us, int(np.maximum.reduce(fresh.t_us)))
        self._newest_us = newest_us
        self._stored = []
        for sensor, boots in self._numbers.items():
            boot, numbers = boots[-1]
            self._fused[sensor] = numbers.contiguous(boot)
        return Drained(batches, used, late)

    def contiguous(self, sensor: str) -> Run:
        """What was drained without a gap of the sensor's newest start, around the number that was seen first.

        What has lower numbers was before our time, or is lost on its way: whoever sent it knows which.
        """
        return self._fused.get(sensor, Run())

    def snapshot(self) -> dict[str, object]:
        """Everything that can change a later answer, as plain values (batches are immutable and shared)."""
        numbers = {
            sensor: [(boot, seen.anchor, list(seen.first), list(seen.last)) for boot, seen in boots]
            for sensor, boots in sorted(self._numbers.items())
        }
        return {
            "newest_us": self._newest_us,
            "stored": list(self._stored),
            "numbers": numbers,
            "fused": {sensor: tuple(run) for sensor, run in sorted(self._fused.items())},
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `snapshot`."""
        newest_us, stored, numbers, fused = (state[k] for k in ("newest_us", "stored", "numbers", "fused"))
        assert isinstance(newest_us, int) and isinstance(stored, list)
        assert isinstance(numbers, dict) and isinstance(fused, dict)
        self._newest_us = newest_us
        self._stored = list(stored)
        self._numbers = {
            sensor: [(boot, _Numbers(anchor, list(first), list(last))) for boot, anchor, first, last in boots]
            for sensor, boots in numbers.items()
        }
        self._fused = {sensor: Run(*run) for sensor, run in fused.items()}

    def _new(self, sensor: str, boot: int, seq: int) -> bool:
        boots = self._numbers.setdefault(sensor, [])
        for known, numbers in boots:
            if known == boot:
                return numbers.add(seq)
        if len(boots) == MAX_BOOTS and boot < boots[0][0]:
            return False
        numbers = _Numbers(seq)
        numbers.add(seq)
        boots.append((boot, numbers))
        boots.sort(key=lambda pair: pair[0])
        del boots[:-MAX_BOOTS]
        return True


def _sorted(stored: list[Plots]) -> list[tuple[int, Plots]]:
    """(first measured time, batch) by time, sensor, number.

    What carries no number is told apart by its content, never by its arrival; that is read only where it is needed.
    """
    first_us = [int(np.minimum.reduce(batch.t_us)) for batch in stored]
    keys: list[tuple[Any, ...]] = [
        (us, batch.sensor, batch.boot, batch.seq) for us, batch in zip(first_us, stored, strict=True)
    ]
    if len(dict.fromkeys(keys)) < len(keys):
        keys = [(*key, *_content(batch)) for key, batch in zip(keys, stored, strict=True)]
    return [(first_us[at], stored[at]) for at in sorted(range(len(keys)), key=keys.__getitem__)]


def _content(batch: Plots) -> tuple[bytes, bytes, bytes]:
    place = batch.azimuth_rad if np.isnan(batch.lat_rad).all() else batch.lat_rad
    return batch.t_us.tobytes(), place.tobytes(), batch.address.tobytes()
