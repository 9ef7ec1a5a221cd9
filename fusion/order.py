"""What a tick fuses, and in which order.

`admit` stores a batch, refuses what was seen before by (sensor, boot, seq) and what claims to come from the future;
`drain` hands out everything stored, sorted by (time, sensor, boot, seq), without what is too late to be fused.
Arrival order between two drains cannot change the answer.

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
        self._touched: dict[str, None] = {}  # sensors with numbers since the last drain
        self._turn = 0  # drains so far

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
        for sensor in self._touched:
            self._numbers[sensor].settle(self._turn)
        self._touched.clear()
        self._turn += 1
        return Drained(batches, used, late)

    @property
    def given_up(self) -> int:
        """Numbers of messages that count as heard and never were."""
        return sum(numbers.given_up for numbers in self._numbers.values())

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
            "touched": sorted(self._touched),
            "turn": self._turn,
        }

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `snapshot`."""
        newest_us, stored, numbers, touched, turn = (
            state[k] for k in ("newest_us", "stored", "numbers", "touched", "turn")
        )
        assert isinstance(newest_us, int) and isinstance(stored, list) and isinstance(turn, int)
        assert isinstance(numbers, dict) and isinstance(touched, list)
        self._newest_us, self._turn = newest_us, turn
        self._stored = list(stored)
        self._numbers = {sensor: Numbers.restored(kept) for sensor, kept in numbers.items()}
        self._touched = dict.fromkeys(touched)

    def _new(self, sensor: str, boot: int, seq: int) -> bool:
        self._touched[sensor] = None
        return self._numbers.setdefault(sensor, Numbers()).add(boot, seq, self._turn)


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
