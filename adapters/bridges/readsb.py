"""A receiver that runs readsb: its `aircraft.json`, or the lines of its `--json-port`.

Positions are passed on once, however often they are told.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.bridges.asked import Answers
from adapters.bridges.common import Heard
from adapters.bridges.source import Lines, Piece
from adapters.formats import readsb
from fusion.schema import US_PER_S

STALE_US = 15 * US_PER_S  # the same file for so long: readsb writes one a second, but the web server outlives it


class Readsb:
    """Answers or lines in, plots of one sensor out."""

    def __init__(self, sensor: str) -> None:
        self._lines = Lines()
        self._answers = Answers(sensor, readsb.decode_answer, STALE_US, "its file is not written any more")

    def cut(self) -> None:
        """The connection ended."""
        self._lines.cut()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of lines of `--json-port`."""
        lines = self._lines.of(pieces, heard)
        if lines:
            spec, passed = self._answers.spec, self._answers.passed
            made = readsb.decode_lines([line for _, line in lines], spec, lines[-1][0], passed)
            heard.refused.update(made.rejected)
            if len(made.batch):
                heard.batches.append(made.batch)

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add the plots of a whole `aircraft.json`; says what is wrong with it, or nothing."""
        return self._answers.answer(rx_us, body, heard)
