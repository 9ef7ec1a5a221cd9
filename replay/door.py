"""From what a sensor measured to its messages: cut by time, numbered, stamped by its clock, delayed, perhaps lost."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.schema import I8, US_PER_S, PlotKind, Plots, SensorKind, plots
from replay.plan import SimSensor
from replay.sky import is_out, steps_at

# Columns of plots in the making: "t_s" (seconds of the scene), "owner" (row of the object, -1 none), as schema.Plots.
Look = dict[str, NDArray[Any]]
Owned = tuple[Plots, I8]  # a message, and the row of the object that each of its plots is of; -1 none

MOST_PLOTS = 120  # of one message: 400 bytes each in the wordiest format, of 64 KiB that a broker takes
_KINDS = {
    SensorKind.RADAR_2D: PlotKind.POLAR,
    SensorKind.RADAR_3D: PlotKind.POLAR,
    SensorKind.BEARING: PlotKind.BEARING,
}

_COLUMNS = [f.name for f in fields(Plots)][6:]  # after sensor, kind and stamps


def only(look: Look, rows: NDArray[Any]) -> Look:
    """The same columns with only these rows."""
    return {name: column[rows] for name, column in look.items()}


def joined(look: Look, more: Look) -> Look:
    """Both, one after the other; what `more` does not have stands as not measured."""
    count = len(more["t_s"])
    out: Look = {}
    for name, column in look.items():
        empty = np.nan if column.dtype.kind == "f" else b"" if column.dtype.kind == "S" else -1
        out[name] = np.concatenate([column, more.get(name, np.full(count, empty, column.dtype))])
    return out


class Door:
    """The messages of one sensor in order of arrival. `extra` is the chance of losses."""

    def __init__(
        self, sensor: SimSensor, start_us: int, boot: int, rng: np.random.Generator, extra: np.random.Generator
    ) -> None:
        self._sensor = sensor
        self._boot = boot
        self._start_us = start_us
        self._rng = rng
        self._extra = extra
        self._seq = 0
        self._newest_us = 0
        self._kind = _KINDS.get(sensor.spec.kind, PlotKind.POSITION)
        self._waiting: list[tuple[int, int, Owned]] = []  # messages that a later one may overtake

    def messages(self, look: Look, together_s: float, until_s: float, next_s: float) -> Iterator[Owned]:
        """The messages of one look; what was measured outside the scene or in an outage is not there.

        `together_s` of measurements make one message; nothing of a later look is measured before `next_s`.
        """
        t_s = look["t_s"]
        look = only(look, (t_s >= 0.0) & (t_s <= until_s) & ~is_out(self._sensor, t_s))
        if len(look["t_s"]):
            look = only(look, np.argsort(look["t_s"], kind="stable"))
            yield from self._cut(look, together_s)
        if self._sensor.overtakes:
            least_s = np.floor(max(next_s, 0.0) / together_s) * together_s + together_s + self._sensor.spec.latency_s
            yield from self._arrived(self._start_us + round(float(least_s) * US_PER_S))

    def rest(self) -> Iterator[Owned]:
        """What is still on its way when the scene is over."""
        yield from self._arrived(None)

    def _cut(self, look: Look, together_s: float) -> Iterator[Owned]:
        """Checked as one batch, sent in parts: the check costs more than all the rest."""
        true_s, owner = look.pop("t_s"), look.pop("owner")
        clock_s = true_s + self._sensor.bias_time_s + steps_at(self._sensor.clock_steps_s, true_s)
        t_us: I8 = self._start_us + np.round(clock_s * US_PER_S).astype(np.int64)
        whole = plots(self._sensor.spec.id, self._kind, 0, t_us, -1, -1, **look)
        slot = np.floor(true_s / together_s).astype(np.int64)
        for first, last in _parts(slot):
            sent_s = (int(slot[first]) + 1) * together_s
            delay_s = self._sensor.spec.latency_s + self._rng.exponential(self._sensor.jitter_s)
            rx_us = self._start_us + round((sent_s + delay_s) * US_PER_S)
            if not self._sensor.overtakes:
                rx_us = self._newest_us = max(self._newest_us, rx_us)
            self._seq += 1
            if self._sensor.loss and self._extra.random() < self._sensor.loss:
                continue
            columns = (getattr(whole, name)[first:last] for name in _COLUMNS)
            stamps = rx_us, whole.t_us[first:last], self._boot, self._seq - 1
            message = Plots(whole.sensor, whole.kind, *stamps, *columns), owner[first:last]
            if self._sensor.overtakes:
                heapq.heappush(self._waiting, (rx_us, self._seq, message))
            else:
                yield message

    def _arrived(self, until_us: int | None) -> Iterator[Owned]:
        while self._waiting and (until_us is None or self._waiting[0][0] < until_us):
            yield heapq.heappop(self._waiting)[2]


def _parts(slot: I8) -> Iterator[tuple[int, int]]:
    """Rows (first, behind the last) of each message: of one slot, and no more of it than a message holds."""
    for first, last in pairwise([*np.flatnonzero(np.diff(slot, prepend=-1)).tolist(), len(slot)]):
        for at in range(first, last, MOST_PLOTS):
            yield at, min(at + MOST_PLOTS, last)
