"""What a tick fuses, and in which order.

`admit` stores a batch, refuses what was seen before by (sensor, boot, seq) and what claims to come from the future;
`drain` hands out everything stored, sorted by (time, sensor, boot, seq), without what is too late to be fused.
Arrival order between two drains cannot change the answer.

A sensor should name a new start by a new `boot`. One that counts from nought again under the old name would be taken
for its own repetition for ever. But what is repeated was measured when it was measured: a message under a number that
was heard, measured after all that was heard of that sensor before this tick, is none. The sensor has begun anew, what
was heard before is forgotten with the next drain, and that is counted (`begun_anew`).

Memory is bounded: of the numbers seen by fusion/numbers.py, of what is stored between two drains by the caller, who
drains every tick and whose inbox is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.numbers import Numbers, Run
from fusion.schema import Plots, take

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


class Order:
    """Holds what came since the last tick. Times in microseconds of the sensors' clocks."""

    def __init__(self, late_us: int = 10_000_000, future_us: int = 2_000_000) -> None:
        self._late_us = late_us
        self.future_us = future_us
        self._newest_us = NEVER_US
        self._stored: list[Plots] = []
        self._numbers: dict[str, Numbers] = {}
        self._touched: dict[str, dict[tuple[int, int], None]] = {}  # new numbers since the last drain
        self._measured_us: dict[str, int] = {}  # newest numbered plot of each sensor, as of the last drain
        self._lately_us: dict[str, int] = {}  # the same since then
        self._anew: dict[str, Numbers] = {}  # of sensors that have begun anew since then
        self.begun_anew = 0  # sensors' starts under an old name
        self._turn = 0  # drains so far

    def admit(self, batch: Plots) -> Admission:
        """Store a batch for the next drain.

        A numbered batch seen before is a `duplicate` as a whole. A plot measured more than `future_us` after the
        batch arrived is `future` and falls alone: a clock that runs ahead must not make everybody else late.
        """
        n = len(batch)
        if batch.seq >= 0 and not self._new(batch):
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
        self.begun_anew += len(self._anew)
        self._numbers.update(self._anew)
        self._measured_us.update(self._lately_us)
        for sensor in self._touched:
            self._numbers[sensor].settle(self._turn)
        for since_drain in (self._touched, self._anew, self._lately_us):
            since_drain.clear()
        self._turn += 1
        return Drained(batches, used, late)

    @property
    def given_up(self) -> int:
        """Numbers of messages that count as heard and never were."""
        return sum(numbers.given_up for numbers in self._numbers.values())

    @property
    def let_go(self) -> tuple[int, int]:
        """`given_up`, and how often a sensor began its numbers anew under an old `boot`."""
        return self.given_up, self.begun_anew

    def fused(self, sensor: str) -> tuple[Run, ...]:
        """What was drained of a sensor's numbered messages, as `Numbers.told`; () when there were none."""
        numbers = self._numbers.get(sensor)
        return numbers.told if numbers is not None else ()

    def snapshot(self) -> dict[str, object]:
        """Everything that can change a later answer, as plain values (batches are immutable and shared)."""
        return {
            "newest_us": self._newest_us,
            "stored": list(self._stored),
            "numbers": {sensor: numbers.snapshot() for sensor, numbers in sorted(self._numbers.items())},
            "touched": {sensor: sorted(heard) for sensor, heard in sorted(self._touched.items())},
            "measured_us": dict(sorted(self._measured_us.items())),
            "lately_us": dict(sorted(self._lately_us.items())),
            "anew": {sensor: numbers.snapshot() for sensor, numbers in sorted(self._anew.items())},
            "begun_anew": self.begun_anew,
            "turn": self._turn,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `snapshot`."""
        newest_us, stored, numbers, touched, turn = (
            state[k] for k in ("newest_us", "stored", "numbers", "touched", "turn")
        )
        assert isinstance(newest_us, int) and isinstance(stored, list) and isinstance(turn, int)
        assert isinstance(numbers, dict) and isinstance(touched, dict)
        self._newest_us, self._turn = newest_us, turn
        self._stored = list(stored)
        self._numbers = {sensor: Numbers.restored(kept) for sensor, kept in numbers.items()}
        self._touched = {sensor: dict.fromkeys(map(tuple, heard)) for sensor, heard in touched.items()}
        measured_us, lately_us, anew, begun_anew = (
            state[k] for k in ("measured_us", "lately_us", "anew", "begun_anew")
        )
        assert isinstance(measured_us, dict) and isinstance(lately_us, dict)
        assert isinstance(anew, dict) and isinstance(begun_anew, int)
        self._measured_us, self._lately_us, self.begun_anew = dict(measured_us), dict(lately_us), begun_anew
        self._anew = {sensor: Numbers.restored(kept) for sensor, kept in anew.items()}

    def _new(self, batch: Plots) -> bool:
        sensor, boot, seq = batch.sensor, batch.boot, batch.seq
        lately = self._touched.setdefault(sensor, {})
        last_us = int(np.maximum.reduce(batch.t_us)) if len(batch) else NEVER_US
        new = self._numbers.setdefault(sensor, Numbers()).add(boot, seq, self._turn)
        if new:
            lately[boot, seq] = None
        elif (boot, seq) not in lately and last_us > self._measured_us.get(sensor, last_us):
            new = self._anew.setdefault(sensor, Numbers()).add(boot, seq, self._turn)
        if new:
            self._lately_us[sensor] = max(self._lately_us.get(sensor, NEVER_US), last_us)
        return new


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
