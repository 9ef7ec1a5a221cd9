"""The picture to a SAPIENT network, as one of its nodes: registered first, then status, detections and alerts.

The other side is a fusion node above us or a message handler that nodes connect to. A track that changed is a detection
report once every `every_s`, an alert goes at once, and how the service is every five seconds. After a lost connection
everything that is open is said anew, and what ended meanwhile is ended: a track by the state "lost" at its last place,
an alert by CLEAR. What is played is kept back unless it is asked for: the format has no field for it, only words. So
nothing is told before the service has said whether it plays, and what becomes played is ended.

Of what the other side says, the answer to the registration counts, and refusals are told. Tasks are passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
import socket
import ssl
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adapters import log
from adapters.broker import Pauses, now_us
from adapters.formats import sapient
from adapters.formats.sapient import Node
from adapters.outlets.held import NO_LONGER_HELD, Held
from adapters.outlets.listener import Listener
from adapters.played import marks
from adapters.rows import Told
from fusion.schema import Alert, Invalid

STATUS_EVERY_S = 5.0
PATIENCE_S = 10.0  # for a connection, for the answer to a registration, and until what we say is taken
MOST_UNSENT_OCTETS = 1 << 20
READ_OCTETS = 1 << 16
# What was sent and not confirmed by then has a dead connection; ends that were said so shortly before it was lost may
# not have come, and are said again.
UNCONFIRMED_S, AGAIN_S = 30.0, 60.0
MOST_ENDS = 20_000
KEPT_BACK = "not told any more: an exercise or a replay has begun"
AT_ONCE = 100  # tracks between two looks whether an alert wants to leave


@dataclass(slots=True)
class Peer:
    """What the other side said on this connection."""

    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    refused: str = ""
    heard: Counter[str] = field(default_factory=Counter)

    async def listen(self, reader: asyncio.StreamReader) -> str:
        """Until the connection ends; why."""
        waiting = bytearray()
        try:
            while octets := await reader.read(READ_OCTETS):
                waiting += octets
                for payload in sapient.split(waiting):
                    self._take(payload)
                    if self.refused:
                        return f"it refused us: {self.refused}"
        except (OSError, Invalid) as error:
            return str(error)
        return "it closed the connection"

    def _take(self, payload: bytes) -> None:
        try:
            message = sapient.read(payload)
        except Invalid as fault:
            self.heard[fault.reason] += 1
            return
        kind = message.WhichOneof("content") or "nothing"
        self.heard[kind] += 1
        if kind == "registration_ack":
            if message.registration_ack.acceptance:
                self.accepted.set()
            else:
                self.refused = ", ".join(message.registration_ack.ack_response_reason)[:200] or "no reason given"
        elif kind == "error":
            why = ", ".join(message.error.error_message)[:200]
            log.get("out").warning("SAPIENT peer found fault with what we said", why=why)


class SapientOutlet:
    """Everything that goes to one peer, until cancelled."""

    def __init__(
        self,
        place: tuple[str, int],
        node: Node,
        every_s: float,
        played: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._place, self._node, self._every_s, self._played, self._tls = place, node, every_s, played, tls
        self._number, self._alert_number = 0, 0
        self._shown: dict[str, Told] = {}  # tracks that the other side has, as they were told last
        self._open: dict[str, Alert] = {}
        self._ends: dict[str, tuple[float, bytes]] = {}  # of either, when it was said; the newest last
        self._lost_s = math.inf  # when the last connection was lost
        self._well: tuple[bool, str] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[str] | None = None
        self.peer = Peer()
        self.sent, self.left_out, self.kept_back, self.connects = 0, 0, 0, 0
        self.problem = "not connected yet"

    def words(self) -> str:
        """One line for people."""
        how = f"no connection: {self.problem}" if self.problem else "registered"
        heard = ", ".join(f"{count} {kind}" for kind, count in sorted(self.peer.heard.items()))
        more = [f"heard {heard}" if heard else "", f"{self.left_out} without a place" if self.left_out else ""]
        more.append(f"{self.kept_back} of a simulation, exercise or replay kept back" if self.kept_back else "")
        shown = f"{self.sent} messages sent, {len(self._shown)} tracks and {len(self._open)} alerts told"
        return "; ".join(part for part in (f"{self._place[0]}:{self._place[1]}: {how}", shown, *more) if part)

    async def serve(self, listener: Listener) -> None:
        """Connect, register, tell, and connect again whenever that fails."""
        loop = asyncio.get_running_loop()
        pauses = Pauses(loop.time())
        while True:
            since_s = loop.time()
            try:
                await self._register()
                self.problem, self.connects, since_s = "", self.connects + 1, loop.time()
                await self._tell_on(listener)
            except OSError as error:  # TimeoutError is one
                before, self.problem = self.problem, str(error) or "no answer in time"
                if self.problem != before:
                    log.get("out").warning("no way to the SAPIENT peer", to=self._place, why=self.problem)
            finally:
                self._close()
            now_s = self._lost_s = loop.time()
            await asyncio.sleep(pauses.next_s(now_s, now_s - since_s, random.random()))

    async def _register(self) -> None:
        self.peer = Peer()
        async with asyncio.timeout(PATIENCE_S):
            reader, self._writer = await asyncio.open_connection(*self._place, ssl=self._tls)
        self._writer.transport.set_write_buffer_limits(MOST_UNSENT_OCTETS)
        plain = self._writer.get_extra_info("socket")
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1_000 * UNCONFIRMED_S))
        self._reading = asyncio.create_task(self.peer.listen(reader), name="sapient-reading")
        await self._say([sapient.frame(sapient.registration(self._node, now_us(), STATUS_EVERY_S))])
        accepted = asyncio.create_task(self.peer.accepted.wait())
        await asyncio.wait({accepted, self._reading}, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        accepted.cancel()
        self._check()
        if not self.peer.accepted.is_set():
            raise OSError("no answer to our registration")

    def _check(self) -> None:
        if self._reading is None or self._reading.done():
            why = "closed" if self._reading is None or self._reading.cancelled() else self._reading.result()
            raise ConnectionResetError(why)

    async def _tell_on(self, listener: Listener) -> None:
        loop, held = asyncio.get_running_loop(), listener.held
        self._number, self._alert_number, self._well = 0, 0, None
        next_s, status_s = loop.time(), loop.time()
        await self._say([octets for said_s, octets in self._ends.values() if said_s >= self._lost_s - AGAIN_S])
        while True:
            self._check()
            known = held.status is not None
            if loop.time() >= status_s:
                status_s = max(status_s + STATUS_EVERY_S, loop.time())
                await self._status(listener)
            if known:
                await self._alerts(listener)
            if loop.time() >= next_s:
                next_s = max(next_s + self._every_s, loop.time())
                if known:
                    await self._tracks(listener)
            # A word of the alerts comes at once, all else when it is time.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(next_s, status_s) - loop.time())):
                    await (listener.alerted(self._alert_number) if known else listener.changed(held.number))

    async def _status(self, listener: Listener) -> None:
        words = troubles(listener.held, listener.connection.connected)
        now = (not words, repr(words))
        message = sapient.status(self._node, now_us(), not words, now != self._well, words)
        self._well = now
        await self._say([sapient.frame(message)])

    async def _alerts(self, listener: Listener) -> None:
        held = listener.held
        found = held.alert_changes(self._alert_number)
        self._alert_number = found.number
        said = list(found.alerts)
        if found.whole:
            there = [one.id for one in said]
            gone = [one for name, one in self._open.items() if name not in there]
            said += [replace(one, state="closed", close_reason=NO_LONGER_HELD) for one in gone]
        frames = []
        for new in said:
            one, before = new, self._open.get(new.id)
            if self._is_kept_back(one.simulated, one.mode, held):
                if before is None:
                    continue
                one = replace(before, state="closed", close_reason=new.close_reason or KEPT_BACK)
            try:
                octets = sapient.frame(sapient.alert(self._node, one, now_us(), self._played and held.replayed))
            except Invalid:
                self.left_out += 1
                continue
            frames.append(octets)
            if one.state == "closed":
                self._open.pop(one.id, None)
                self._end(one.id, octets)
            else:
                self._open[one.id] = one
                self._ends.pop(one.id, None)
        await self._say(frames)

    def _end(self, name: str, octets: bytes) -> None:
        """Remember how it was ended, in case it has not come."""
        self._ends.pop(name, None)
        self._ends[name] = (asyncio.get_running_loop().time(), octets)
        while len(self._ends) > MOST_ENDS:
            del self._ends[next(iter(self._ends))]

    def _lost(self, name: str, held: Held) -> bytes:
        """The last word of a track that was told."""
        last, replayed = self._shown.pop(name), self._played and held.replayed
        octets = sapient.frame(sapient.detection(self._node, last, replayed, now_us()))
        self._end(name, octets)
        return octets

    def _is_kept_back(self, simulated: bool, mode: str, held: Held) -> bool:
        kept = not self._played and bool(marks(simulated, mode, held.replayed))
        self.kept_back += kept
        return kept

    async def _tracks(self, listener: Listener) -> None:
        held = listener.held
        found = held.changes(self._number)
        self._number = found.number
        gone = [name for name in found.gone if name in self._shown]
        if found.whole:
            there = {told.id: None for told in found.changed}
            gone = [name for name in self._shown if name not in there]
        await self._say([self._lost(name, held) for name in gone])
        for first in range(0, len(found.changed), AT_ONCE):
            frames = []
            for told in found.changed[first : first + AT_ONCE]:
                if self._is_kept_back(told.simulated, told.mode, held):
                    if told.id in self._shown:
                        frames.append(self._lost(told.id, held))
                    continue
                try:
                    frames.append(sapient.frame(sapient.detection(self._node, told, held.replayed)))
                except Invalid:
                    self.left_out += 1
                    continue
                self._shown[told.id] = told
                self._ends.pop(told.id, None)
            await self._say(frames)
            if held.alert_number != self._alert_number:
                await self._alerts(listener)

    async def _say(self, frames: Sequence[bytes]) -> None:
        """All of them, or an error when the other side does not take them in time, or has gone."""
        if self._writer is None:
            raise ConnectionResetError("not connected")
        for octets in frames:
            self._check()
            self._writer.write(octets)
            async with asyncio.timeout(PATIENCE_S):
                await self._writer.drain()
        self.sent += len(frames)

    def _close(self) -> None:
        """End it; what is still to be sent goes, as far as the other side takes it at once."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            if not self.problem:
                self._writer.write(sapient.frame(sapient.goodbye(self._node, now_us())))
                self._writer.close()
            else:
                self._writer.transport.abort()
        self._writer = self._reading = None


def troubles(held: Held, connected: bool) -> list[tuple[str, bool]]:
    """What keeps the picture from being good, and whether it comes from outside."""
    if not connected or held.status is None or held.status.state == "offline":
        return [("no word of the service", False)]
    found = [] if held.status.state == "live" else [(f"service {held.status.state}", False)]
    if held.status.load_level > 0:
        found.append((f"overload, level {held.status.load_level}", False))
    found += [(f"sensor {name}: {one.state}", True) for name, one in sorted(held.health.items()) if one.state != "ok"]
    return found
