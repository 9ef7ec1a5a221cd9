"""A receiver that runs readsb: its `aircraft.json`, or the lines of its `--json-port`.

Positions are passed on once, however often they are told.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.bridges.common import Heard
from adapters.bridges.source import Lines, Piece
from adapters.formats import readsb
from fusion.schema import US_PER_S, Invalid, SensorKind, SensorSpec

STALE_US = 15 * US_PER_S  # the same file for so long: readsb writes one a second, but the web server outlives it


class Readsb:
    """Answers or lines in, plots of one sensor out."""

    def __init__(self, sensor: str) -> None:
        self._spec = SensorSpec(sensor, 0, SensorKind.ADSB)
        self._lines = Lines()
        self._passed = readsb.Passed()
        self._file_us, self._since_us = -1, -1  # the file's own time, and when we first saw it

    def cut(self) -> None:
        """The connection ended."""
        self._lines.cut()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of lines of `--json-port`."""
        lines = self._lines.of(pieces, heard)
        if lines:
            made = readsb.decode_lines([line for _, line in lines], self._spec, lines[-1][0], self._passed)
            heard.refused.update(made.rejected)
            if len(made.batch):
                heard.batches.append(made.batch)

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add the plots of a whole `aircraft.json`; says what is wrong with it, or nothing."""
        heard.pieces += 1
        try:
            made, file_us = readsb.decode_answer(body, self._spec, rx_us, self._passed)
        except Invalid as fault:
            heard.refused[fault.reason] += 1
            return f"its answer is {fault.reason}"
        if file_us == self._file_us:
            return "its file is not written any more" if rx_us - self._since_us > STALE_US else ""
        self._file_us, self._since_us = file_us, rx_us
        heard.refused.update(made.rejected)
        if len(made.batch):
            heard.batches.append(made.batch)
        return ""
