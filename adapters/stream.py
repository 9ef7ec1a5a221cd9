"""`vedette track`: standard input to standard output, so that any tool can feed the fusion core without a broker."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, TextIO

import numpy as np

from adapters.formats import stream
from fusion.order import Order
from fusion.schema import I8, Invalid, SensorSpec
from fusion.tracker import Tracker, TrackerParams

WINDOW_US = 100_000  # arrival time that one step fuses, the same as live
MOST_PLOTS = 65_536  # of one window; where the clock of a stream stands still they are fused in parts of this size
MOST_PARTS = 64  # in which an open window, or what waits, is kept: a live stream comes line by line
MOST_REPORTS = 100  # bad lines reported one by one; the rest are only counted
READ_BYTES = 60_000  # at most, at once: with what is left of a line it stays within what is decoded in one call
LEAP_US = 5_000_000  # a plot that says it arrived later than this after the newest tick waits for the next one
NEVER = -(2**62)


def run(inp: BinaryIO, out: TextIO, err: TextIO) -> int:
    """Read the plain stream to its end, answering every tick. Returns the exit status: 0, or 2 on a bad header."""
    try:
        sensors = stream.decode_header(inp.readline(stream.MAX_HEADER_BYTES))
    except Invalid as refused:
        err.write(f"line 1: bad header: {refused}\n")
        return 2
    session, leaps = Session(sensors), Leaps()
    bad, number = 0, 2
    for block in blocks(inp):
        lines, refused_lines = session.decoder.decode(block)
        for at, why in refused_lines:
            bad += 1
            if bad <= MOST_REPORTS:
                err.write(f"line {number + at}: {why}\n")
        for answer in session.take(leaps.without(lines)):
            out.write(answer)
            out.flush()
        number += block.count(b"\n")
    if bad:
        err.write(f"{bad} malformed lines skipped\n")
    if leaps.wrong:
        err.write(f"{leaps.wrong} plots skipped that say they arrived long after the tick behind them\n")
    return 0


def blocks(inp: BinaryIO) -> Iterator[bytes]:
    """Whole lines, as many as have arrived: never waits for more while there is one. Of a line too long, its start."""
    assert isinstance(inp, io.BufferedIOBase), "a buffered stream: only these can read what is there"
    tail = b""
    while piece := inp.read1(READ_BYTES):
        end = piece.rfind(b"\n") + 1
        if end:
            yield tail + piece[:end]
            tail = piece[end:]
        else:
            tail = (tail + piece)[: stream.MAX_LINE_BYTES + 1]
    if tail:
        yield tail


class Leaps:
    """What leaps ahead of the clock waits until a tick says whether that was the clock, or one wrong number, which
    would make everything after it late. What comes behind it waits too; without a tick, no more than `MOST_PLOTS`."""

    def __init__(self) -> None:
        self.wrong = 0
        self._tick_us = NEVER
        self._waiting: list[stream.Lines] = []
        self._many = 0  # rows of them

    def without(self, lines: stream.Lines) -> stream.Lines:
        """These and those that waited, in order, as far as they are sure, without the wrong ones."""
        if self._waiting:
            nothing, tick = lines.part(slice(0)), (lines.sensor == stream.TICK).any()
            self._waiting.append(lines)
            self._many += len(lines)
            if not tick and self._many <= MOST_PLOTS:
                if len(self._waiting) > MOST_PARTS:
                    self._waiting = [stream.join(self._waiting)]
                return nothing
            lines = stream.join(self._waiting)
            self._waiting = []
        ticks = np.flatnonzero(lines.sensor == stream.TICK)
        told = np.concatenate(([self._tick_us], lines.rx_us[ticks], [NEVER]))
        number = np.searchsorted(ticks, np.arange(len(lines)))  # of ticks before a row
        leaps = (lines.rx_us > told[number] + LEAP_US) & (lines.sensor != stream.TICK)
        if len(ticks):
            self._tick_us = int(lines.rx_us[ticks[-1]])
        if not leaps.any():
            return lines
        open_end = number == len(ticks)
        wrong = leaps & ~open_end & (lines.rx_us > told[number + 1] + LEAP_US)
        first = int(np.argmax(leaps & open_end)) if (leaps & open_end).any() else len(lines)
        if len(lines) - first > MOST_PLOTS:
            first = len(lines)
        if first < len(lines):
            self._waiting = [lines.part(slice(first, None))]
            self._many = len(lines) - first
        self.wrong += int(wrong[:first].sum())
        return lines.part(slice(first)).part(~wrong[:first])


class Session:
    """One run over one stream: what arrived since the last step, and the tracker."""

    def __init__(self, sensors: tuple[SensorSpec, ...], params: TrackerParams | None = None) -> None:
        self.order = Order()
        self.tracker = Tracker(sensors, params or TrackerParams())
        self.decoder = stream.Decoder(sensors)
        self._open: list[stream.Lines] = []  # lines that no step has fused yet
        self._window = NEVER

    def take(self, lines: stream.Lines) -> Iterator[str]:
        """Fuse the windows that these lines end, in turn; the answer to every tick before what follows it is fused."""
        if len(lines) == 0:
            return
        kept = sum(map(len, self._open))
        cuts, window = self._cut(lines, kept)
        if len(cuts) == 0:
            self._open.append(lines)
            if len(self._open) > MOST_PARTS:
                self._open = [stream.join(self._open)]
            return
        lines = stream.join([*self._open, lines])
        step = np.zeros(len(lines), np.int64)
        step[kept + cuts] = 1
        step = np.cumsum(step)
        last = kept + int(cuts[-1])
        waiting = self.decoder.batches(lines.part(slice(last)), step[:last])
        self._open = [lines.part(slice(last, None))]
        tick = lines.sensor[kept + cuts] == stream.TICK
        now_us = np.where(tick, lines.t_us[kept + cuts], window[cuts] * WINDOW_US)
        found = next(waiting, None)
        for number, (now, answered) in enumerate(zip(now_us.tolist(), tick.tolist(), strict=True)):
            while found is not None and found[0] == number:
                self.order.admit(found[1])
                found = next(waiting, None)
            self.tracker.step(self.order.drain().batches, now)
            if answered:
                yield stream.encode(self.tracker.table(now))

    def _cut(self, lines: stream.Lines, kept: int) -> tuple[I8, I8]:
        """Rows that end a step before themselves: ticks, and plots that open a window; and the window of every row."""
        tick = lines.sensor == stream.TICK
        window = np.maximum.accumulate(np.where(tick, self._window, lines.rx_us // WINDOW_US))
        window = np.maximum(window, self._window)
        cut = tick | (window > np.concatenate(([self._window], window[:-1])))
        self._window = int(window[-1])
        if kept + len(lines) > MOST_PLOTS:
            row = np.arange(kept, kept + len(lines))
            age = row - np.maximum.accumulate(np.where(cut, row, 0))
            cut |= (age > 0) & (age % MOST_PLOTS == 0)
        return np.flatnonzero(cut), window
