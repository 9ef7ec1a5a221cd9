"""SAPIENT nodes that connect to us, as nodes do: a fusion node that registers those that are named and hears them.

Whoever registers under a name that nobody gave is refused with the reason, and cut off. What a registered node reports
becomes plots of its sensor, and its own word about itself its sensor's state; a node that is away is `off`. We task
nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from adapters.bridges.common import TOGETHER_S, Heard
from adapters.bridges.sapient import Sapient
from adapters.bridges.source import DEAF_S, PIECE_OCTETS, Health
from adapters.broker import now_us, spoken
from adapters.formats import sapient
from adapters.formats.sapient import Node
from fusion.schema import Invalid, SensorSpec

MOST_CONNECTIONS = 64
# Between two looks; past one of them nothing is read, and the sender's own limit holds.
MOST_WAITING, MOST_WAITING_OCTETS = 10_000, 8 << 20


@dataclass(slots=True)
class _Caught:
    """What was read and not yet looked at."""

    messages: list[tuple[int, bytes]] = field(default_factory=list)
    states: dict[str, tuple[str, str]] = field(default_factory=dict)  # of sensors
    octets: int = 0  # of these messages
    faults: Counter[str] = field(default_factory=Counter)
    room: asyncio.Event = field(default_factory=asyncio.Event)


class Nodes:
    """A server for the nodes that are named, by UUID in lower case."""

    def __init__(self, ours: Node, nodes: Mapping[str, SensorSpec]) -> None:
        self._ours, self._nodes = ours, dict(nodes)
        self._caught = _Caught(states={spec.id: ("off", "not connected yet") for spec in nodes.values()})
        self._caught.room.set()
        self._here: dict[str, asyncio.StreamWriter] = {}  # node: its newest connection
        self._open = 0
        self.port = 0

    async def heard(self, host: str, port: int) -> AsyncIterator[Heard]:
        """What they say, every `TOGETHER_S`; for ever.

        Raises:
            OSError: the address cannot be used.
        """
        ear, health = Sapient(self._nodes), [Health(spec.id) for spec in self._nodes.values()]
        server = await asyncio.start_server(self._attend, host, port)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            while True:
                await asyncio.sleep(TOGETHER_S)
                found = Heard()
                taken, self._caught.messages, self._caught.octets = self._caught.messages, [], 0
                found.refused, self._caught.faults = self._caught.faults, Counter()
                self._caught.room.set()
                for rx_us, payload in taken:
                    found.pieces += 1
                    ear.take(payload, rx_us, found)
                for spec, one in zip(self._nodes.values(), health, strict=True):
                    found.words += one.words(now_us(), *self._caught.states[spec.id])
                yield found
        finally:
            server.close()
            for writer in list(self._here.values()):
                writer.transport.abort()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it ends."""
        why = "it closed the connection"
        self._open += 1
        try:
            if self._open > MOST_CONNECTIONS:
                self._caught.faults["too-many-nodes"] += 1
                return
            await self._hear(reader, writer)
        except (OSError, TimeoutError) as error:
            why = spoken(error) if str(error) else f"nothing came for {DEAF_S:.0f} s"
        except Invalid as fault:
            self._caught.faults[fault.reason] += 1
            why = str(fault)
        finally:
            self._open -= 1
            for name in [name for name, one in self._here.items() if one is writer]:
                del self._here[name]
                self._caught.states[self._nodes[name].id] = ("off", why)
            with contextlib.suppress(OSError):
                writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting = bytearray()
        while True:
            async with asyncio.timeout(DEAF_S):
                octets = await reader.read(PIECE_OCTETS)
            if not octets:
                return
            waiting += octets
            for payload in sapient.split(waiting):
                await self._take(payload, writer)
            if len(self._caught.messages) > MOST_WAITING or self._caught.octets > MOST_WAITING_OCTETS:
                self._caught.room.clear()
                await self._caught.room.wait()

    async def _take(self, payload: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            message = sapient.read(payload)
        except Invalid as fault:
            if not any(one is writer for one in self._here.values()):
                raise
            self._caught.faults[fault.reason] += 1  # of who is registered one bad message costs that message alone
            return
        name, kind = message.node_id.lower(), message.WhichOneof("content")
        spec = self._nodes.get(name)
        if kind == "registration":
            why_not = "" if spec is not None else "no sensor is named for this node"
            writer.write(sapient.frame(sapient.answer(self._ours, message.node_id, now_us(), why_not)))
            async with asyncio.timeout(DEAF_S):
                await writer.drain()
            if spec is None:
                raise Invalid("unknown-node", name)
            self._here[name] = writer
            self._caught.states[spec.id] = ("ok", "")
            self._pass_on(payload)
        elif spec is None or self._here.get(name) is not writer:
            raise Invalid("unknown-node", "it speaks before it has registered here")
        else:
            if kind == "status_report":
                self._caught.states[spec.id] = sapient.state_of(message)
            self._pass_on(payload)

    def _pass_on(self, payload: bytes) -> None:
        self._caught.messages.append((now_us(), payload))
        self._caught.octets += len(payload)
