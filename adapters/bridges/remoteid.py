"""A receiver of Remote ID that sends a line of JSON for everything it hears: plots under the drones' serial numbers.

A transmitter of Bluetooth 4 says who it is and where it is in messages of their own; they are put together here.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.bridges.common import Heard
from adapters.bridges.source import Lines, Piece
from adapters.formats import remoteid
from fusion.schema import Invalid, SensorKind, SensorSpec


class RemoteId:
    """Lines in, plots of one sensor out."""

    def __init__(self, sensor: str) -> None:
        self._spec = SensorSpec(sensor, 0, SensorKind.REMOTE_ID)
        self._lines = Lines()
        self._transmitters = remoteid.Transmitters()

    def cut(self) -> None:
        """The connection ended."""
        self._lines.cut()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of these pieces."""
        found = list[tuple[int, remoteid.Heard]]()
        for rx_us, line in self._lines.of(pieces, heard):
            try:
                found.append((rx_us, remoteid.decode_line(line)))
            except Invalid as fault:
                heard.refused[fault.reason] += 1
        if found:
            made = remoteid.gathered(found, self._spec, found[-1][0], self._transmitters, {})
            heard.refused.update(made.rejected)
            if len(made.batch):
                heard.batches.append(made.batch)
