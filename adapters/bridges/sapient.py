"""A SAPIENT network that is listened to: detection reports of the nodes that are named become plots of our sensors.

The other side is a message handler that passes on what its nodes say. What a node says of itself tells whether places
that it reports are measurements (`sapientsites.py`); alerts of others make no plots; tasks are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adapters.bridges.common import Heard
from adapters.bridges.sapientsites import Sites
from adapters.bridges.source import Piece
from adapters.formats import sapient
from adapters.wire import GEOMETRY
from fusion.schema import Invalid, PlotKind, SensorSpec


class Sapient:
    """Octets in, plots of several sensors out. `nodes`: the sensor of each node, by UUID in lower case."""

    def __init__(self, nodes: Mapping[str, SensorSpec]) -> None:
        self._nodes = dict(nodes)
        self._torn = bytearray()
        self._sites = Sites()

    def cut(self) -> None:
        """The connection ended."""
        self._torn.clear()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of these pieces. Where no length makes sense any more, the next piece begins a message anew."""
        for rx_us, octets in pieces:
            self._torn += octets
            try:
                for payload in sapient.split(self._torn):
                    heard.pieces += 1
                    self.take(payload, rx_us, heard)
            except Invalid as fault:
                heard.refused[fault.reason] += 1
                self._torn.clear()

    def take(self, payload: bytes, rx_us: int, heard: Heard) -> None:
        """One whole message."""
        try:
            message = sapient.read(payload)
            kind = message.WhichOneof("content") or "nothing"
            name = message.node_id.lower()
            spec = self._nodes.get(name)
            if kind in ("registration", "status_report") and spec is not None:
                self._sites.learn(name, message)
            elif kind != "detection_report":
                heard.refused[f"no-detection: {kind}"] += 1
            elif spec is None:
                heard.refused["unknown-node"] += 1
            else:
                made = sapient.plot(message, spec, rx_us)
                if made.batch.kind is PlotKind.POSITION and PlotKind.POLAR in GEOMETRY[spec.kind]:
                    made = self._sites.polar(name, message, spec, rx_us, made.batch)
                if made.batch.kind not in GEOMETRY[spec.kind]:
                    raise Invalid("wrong-sensor-kind")
                heard.refused.update(made.rejected)
                if len(made.batch):
                    heard.batches.append(made.batch)
        except Invalid as fault:
            heard.refused[fault.reason] += 1
