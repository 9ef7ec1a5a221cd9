"""The picture to TAK as Cursor on Target: to a server over TCP or TLS, or as datagrams to an address or a group.

Tracks that changed leave once every `every_s`, alerts at once. An alert that is open is said again every half minute,
which is also what a datagram that was lost costs. After a connection was lost the whole picture is sent anew, and what
is gone meanwhile is deleted by name. A server that takes nothing for ten seconds is left, and tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from adapters import log
from adapters.broker import Pauses, now_us
from adapters.formats import cot
from adapters.outlets.listener import Listener
from fusion.schema import Alert, Invalid

ALERTS_AGAIN_S = 30.0
CANCELS = 3  # datagrams may be lost: each end is said so often, a period apart
PATIENCE_S = 10.0
MOST_UNSENT_BYTES = 1 << 20  # in our own memory of one server; past that we wait for it
AT_ONCE = 100  # tracks between two looks whether an alert wants to leave
DATAGRAMS_AT_ONCE = 20  # and then a pause: together 4,000 a second, which the buffer of a usual receiver takes
DATAGRAMS_PAUSE_S = 0.005
IGNORED_BYTES = 1 << 16  # of what a server sends to us at once


class Link(Protocol):
    """A way to one TAK."""

    lossy: bool

    async def open(self) -> None:
        """Raises OSError."""

    async def send(self, events: Iterable[bytes]) -> None:
        """Raises OSError, also TimeoutError."""

    def check(self) -> None:
        """Raises OSError when the other side has gone."""

    def close(self) -> None:
        """At any time."""

    def __str__(self) -> str: ...


@dataclass(slots=True)
class Datagrams:
    """UDP, one event a datagram; a group where the address is one."""

    host: str
    port: int
    lossy = True
    _socket: socket.socket | None = None

    async def open(self) -> None:
        """Look the address up and take a socket."""
        found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_UNSENT_BYTES)
        self._socket.setblocking(False)
        self._socket.connect(address)

    async def send(self, events: Iterable[bytes]) -> None:
        """Each at once; nobody says whether it arrives."""
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        for number, event in enumerate(events, 1):
            with contextlib.suppress(ConnectionRefusedError):  # nobody listens there now: said of the one before
                await loop.sock_sendall(self._socket, event)
            if number % DATAGRAMS_AT_ONCE == 0:
                await asyncio.sleep(DATAGRAMS_PAUSE_S)

    def check(self) -> None:
        """Nobody is there who could go."""

    def close(self) -> None:
        """Give the socket back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __str__(self) -> str:
        return f"udp {self.host}:{self.port}"


@dataclass(slots=True)
class Stream:
    """TCP to a server, with TLS where there is a context; what it says to us is read and passed over."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    lossy = False
    _writer: asyncio.StreamWriter | None = None
    _reading: asyncio.Task[str] | None = None

    async def open(self) -> None:
        """Connect."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, self._writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        except TimeoutError:
            raise OSError(f"no answer within {PATIENCE_S:g} s") from None
        self._writer.transport.set_write_buffer_limits(MOST_UNSENT_BYTES)
        self._reading = asyncio.create_task(_pass_over(reader), name="cot-reading")

    def check(self) -> None:
        """The server has not closed the connection."""
        if self._reading is None or self._reading.done():
            why = "" if self._reading is None or self._reading.cancelled() else self._reading.result()
            raise ConnectionResetError(f"the server closed the connection{why and ': '}{why}")

    async def send(self, events: Iterable[bytes]) -> None:
        """All of them, or an error when the server does not take them in time, or has gone."""
        assert self._writer is not None
        for event in events:
            self.check()
            self._writer.write(event)
            async with asyncio.timeout(PATIENCE_S):
                await self._writer.drain()

    def close(self) -> None:
        """End it without waiting for the other side."""
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = self._reading = None

    def __str__(self) -> str:
        return f"{'tls' if self.tls else 'tcp'} {self.host}:{self.port}"


async def _pass_over(reader: asyncio.StreamReader) -> str:
    """Read until the end; why, where that is not an orderly one: a server that refuses our certificate says so here."""
    try:
        while await reader.read(IGNORED_BYTES):
            pass
    except OSError as error:
        return str(error)
    return ""


class CotOutlet:
    """Everything that goes to one TAK, until cancelled."""

    def __init__(self, link: Link, every_s: float = 1.0) -> None:
        self._link = link
        self._every_s = every_s
        self._number, self._alert_number = 0, 0
        self._shown: dict[str, None] = {}  # uids that the other side shows
        self._ending: dict[str, tuple[list[bytes], int]] = {}  # uid: what ends it, how often it is still to be said
        self._said_s = 0.0  # when open alerts were all said last
        self.sent, self.left_out, self.connects = 0, 0, 0
        self.problem = "not connected yet"

    def words(self) -> str:
        """One line for people."""
        how = f"no connection: {self.problem}" if self.problem else "connected"
        left = f", {self.left_out} tracks without a place" if self.left_out else ""
        return f"{self._link}: {how}, {self.sent} events sent, {len(self._shown)} shown{left}"

    async def serve(self, listener: Listener) -> None:
        """Connect, send, and connect again whenever that fails."""
        loop = asyncio.get_running_loop()
        pauses = Pauses(loop.time())
        while True:
            since_s = loop.time()
            try:
                await self._link.open()
                self.problem, self.connects = "", self.connects + 1
                self._number, self._alert_number, self._said_s = 0, 0, -ALERTS_AGAIN_S
                since_s = loop.time()
                await self._send_on(listener)
            except OSError as error:  # TimeoutError is one
                before, self.problem = self.problem, str(error) or "it takes nothing any more"
                if self.problem != before:
                    log.get("out").warning("no way to TAK", to=str(self._link), why=self.problem)
            finally:
                self._link.close()
            now_s = loop.time()
            await asyncio.sleep(pauses.next_s(now_s, now_s - since_s, random.random()))

    async def _send_on(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            self._link.check()
            await self._alerts(listener)
            if loop.time() >= next_s:
                next_s = max(next_s + self._every_s, loop.time())
                await self._endings()
                await self._tracks(listener)
            # A word of the alerts comes at once, all else when it is time.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_s - loop.time())):
                    await listener.alerted(self._alert_number)

    async def _alerts(self, listener: Listener) -> None:
        found = listener.held.alert_changes(self._alert_number)
        self._alert_number = found.number
        said = list(found.alerts)
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_s >= ALERTS_AGAIN_S and listener.connection.connected:
            self._said_s = now_s
            changed = [one.id for one in said]
            said += [one for one in listener.held.alerts() if one.id not in changed]
        if found.whole:
            open_now = [cot.alert_uid(listener.site, one.id) for one in said]
            prefix = cot.alert_uid(listener.site, "")
            for uid in [uid for uid in self._shown if uid.startswith(prefix) and uid not in open_now]:
                self._end(uid, [cot.encode(cot.delete(uid, now_us()))])
        for one in said:
            event = cot.alert(one, listener.site, now_us(), listener.held.replayed)
            if one.state == "closed":
                self._end(event.uid, [cot.encode(event), cot.encode(cot.delete(event.uid, now_us()))])
            else:
                self._ending.pop(event.uid, None)
                self._shown[event.uid] = None
                await self._send([cot.encode(event)])
        await self._endings(first=True)

    async def _tracks(self, listener: Listener) -> None:
        found = listener.held.changes(self._number)
        self._number = found.number
        events, there = [], dict[str, None]()
        alerted = _by_track(listener.held.alerts())
        for told in found.changed:
            try:
                event = cot.track(told, listener.site, alerted.get(told.id), listener.held.replayed)
            except Invalid:
                self.left_out += 1
                continue
            there[event.uid] = None
            self._ending.pop(event.uid, None)
            events.append(cot.encode(event))
        gone = [cot.track_uid(listener.site, name) for name in found.gone]
        if found.whole:
            prefix = cot.track_uid(listener.site, "")
            gone = [uid for uid in self._shown if uid.startswith(prefix) and uid not in there]
        for uid in gone:
            if uid in self._shown:
                self._end(uid, [cot.encode(cot.delete(uid, now_us()))])
        self._shown.update(there)
        await self._endings(first=True)
        for at in range(0, len(events), AT_ONCE):
            await self._send(events[at : at + AT_ONCE])
            if listener.held.alert_number != self._alert_number:
                await self._alerts(listener)

    def _end(self, uid: str, events: list[bytes]) -> None:
        self._shown.pop(uid, None)
        self._ending[uid] = (events, CANCELS if self._link.lossy else 1)

    async def _endings(self, first: bool = False) -> None:
        """Say what has ended: at once the first time, and on a lossy way again with every period."""
        for uid, (events, left) in list(self._ending.items()):
            if first and self._link.lossy and left < CANCELS:
                continue
            await self._send(events)
            if left > 1:
                self._ending[uid] = (events, left - 1)
            else:
                self._ending.pop(uid, None)

    async def _send(self, events: list[bytes]) -> None:
        await self._link.send(events)
        self.sent += len(events)


def _by_track(alerts: Iterable[Alert]) -> dict[str, Alert]:
    """The most severe open alert of every track; one that a person has identified goes before all others."""
    found: dict[str, Alert] = {}
    for one in alerts:
        before = found.get(one.track)
        if before is None or (bool(one.identity_by), -one.severity) > (bool(before.identity_by), -before.severity):
            found[one.track] = one
    return found
