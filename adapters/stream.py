"""`vedette track`: standard input to standard output, so that any tool can feed the fusion core without a broker."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, TextIO

from adapters.formats import stream
from fusion.order import Order
from fusion.schema import Invalid, PlotKind, SensorSpec
from fusion.tracker import Tracker, TrackerParams

WINDOW_US = 100_000  # arrival time that one step fuses, the same as live
MOST_REPORTS = 100  # bad lines reported one by one; the rest are only counted


def run(inp: BinaryIO, out: TextIO, err: TextIO) -> int:
    """Read the plain stream to its end, answering every tick. Returns the exit status: 0, or 2 on a bad header."""
    try:
        sensors = stream.decode_header(inp.readline(stream.MAX_LINE_BYTES))
    except Invalid as refused:
        err.write(f"line 1: bad header: {refused}\n")
        return 2
    session = Session(sensors)
    bad = 0
    for number, line in enumerate(inp, start=2):
        if not line.strip():
            continue
        try:
            answer = session.line(line)
        except Invalid as refused:
            bad += 1
            if bad <= MOST_REPORTS:
                err.write(f"line {number}: {refused}\n")
            continue
        if answer is not None:
            out.write(answer)
            out.flush()
    if bad:
        err.write(f"{bad} malformed lines skipped\n")
    return 0


class Session:
    """One run over one stream: what arrived since the last step, and the tracker."""

    def __init__(self, sensors: tuple[SensorSpec, ...], params: TrackerParams | None = None) -> None:
        self.order = Order()
        self.tracker = Tracker(sensors, params or TrackerParams())
        self._radar = {spec.id: spec.has_site for spec in sensors}
        self._kept: dict[str, list[stream.Plot]] = {}
        self._window = -(2**62)
        self._encode: Callable[..., str] = stream.encode

    def line(self, line: bytes) -> str | None:
        """Take one line; the text to write when it was a tick.

        Raises:
            Invalid: the line cannot be used; nothing else has changed.
        """
        got = stream.decode_line(line)
        if isinstance(got, stream.Tick):
            self.step(got.t_us)
            return self._encode(self.tracker.table(got.t_us))
        if got.sensor not in self._radar:
            raise Invalid("unknown-sensor", got.sensor)
        if self._radar[got.sensor] != (got.kind == PlotKind.POLAR):
            raise Invalid("wrong-sensor-kind", got.sensor)
        window = got.rx_us // WINDOW_US
        if window > self._window:
            self.step(window * WINDOW_US)
            self._window = window
        self._kept.setdefault(got.sensor, []).append(got)
        return None

    def step(self, now_us: int) -> None:
        """Fuse what arrived."""
        for sensor, kept in sorted(self._kept.items()):
            self.order.admit(stream.batch(sensor, kept))
        self._kept.clear()
        self.tracker.step(self.order.drain().batches, now_us)
