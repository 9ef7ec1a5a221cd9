"""Where receivers are listened to: a TCP connection that is made again when it ends, and what is said of it.

A source that is away is no fault of ours: it is looked for again, in pauses that double up to five seconds and spread
by chance, and the sensor is `off` meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import structlog

from adapters.bridges.common import TOGETHER_S, Heard
from adapters.broker import Pauses, now_us, spoken
from fusion.schema import US_PER_S, SensorStatus

STATUS_EVERY_US = 10 * US_PER_S
CONNECT_WITHIN_S = 10.0
DEAF_S = (
    120.0  # without an octet: a connection that died without a word is made anew; receivers of Beast say more often
)
MOST_OCTETS = 1 << 20  # between two looks; past that we stop reading, and the sender's own limit holds
PIECE_OCTETS = 1 << 16
MOST_LINE_OCTETS = 16_384  # of one aircraft or one message: twenty times what was ever seen
Piece = tuple[int, bytes]  # arrival in microseconds UTC, octets
_log = structlog.get_logger("vedette.bridge")


class Listener(Protocol):
    """Makes batches of what a connection brings."""

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add what these say to `heard`; what is torn waits for its end."""

    def cut(self) -> None:
        """The connection ended: what is torn will never be whole."""


class Health:
    """What is told of a sensor's state: at every change, and every ten seconds."""

    def __init__(self, sensor: str) -> None:
        self._sensor = sensor
        self._said: tuple[str, int] = ("", -STATUS_EVERY_US)

    def words(self, rx_us: int, state: str, detail: str = "") -> list[SensorStatus]:
        """One, or none where nothing is new."""
        before, said_us = self._said
        if state == before and rx_us - said_us < STATUS_EVERY_US:
            return []
        self._said = (state, rx_us)
        return [SensorStatus(self._sensor, rx_us, rx_us, state, detail[:500])]


class Lines:
    """Whole lines out of pieces; one that is longer than any can be falls and is counted."""

    def __init__(self) -> None:
        self._torn = b""
        self._skipping = False

    def of(self, pieces: Sequence[Piece], heard: Heard) -> list[Piece]:
        """Each with the arrival of its end, without the end of line; empty ones are left out."""
        found: list[Piece] = []
        for rx_us, octets in pieces:
            *whole, rest = octets.split(b"\n")
            if whole:
                whole[0] = self._torn + whole[0]
                self._torn = b""
                heard.pieces += len(whole)
                whole, self._skipping = whole[self._skipping :], False
                for line in whole:
                    if len(line) > MOST_LINE_OCTETS:
                        heard.refused["oversized"] += 1
                    elif line.strip():
                        found.append((rx_us, line.rstrip(b"\r")))
            self._torn = b"" if self._skipping else self._torn + rest
            if len(self._torn) > MOST_LINE_OCTETS:
                heard.refused["oversized"] += 1
                self._torn, self._skipping = b"", True
        return found

    def cut(self) -> None:
        """The end of the line never comes."""
        self._torn, self._skipping = b"", False


class _Caught:
    """What was read and not yet looked at. Holds at most `MOST_OCTETS`: past that nothing is read."""

    def __init__(self) -> None:
        self.pieces: list[Piece | None] = []  # None: the connection ended here
        self.octets = 0
        self.state, self.detail = "off", "not connected yet"
        self.room = asyncio.Event()
        self.room.set()

    def take(self) -> list[Piece | None]:
        """What came since the last look."""
        taken, self.pieces, self.octets = self.pieces, [], 0
        self.room.set()
        return taken


async def from_tcp(host: str, port: int, sensor: str, listener: Listener, *others: str) -> AsyncIterator[Heard]:
    """What a TCP server sends, every `TOGETHER_S`; for ever, whether it is there or not.

    `others`: sensors beside the first that come over the same connection.
    """
    caught, health = _Caught(), [Health(name) for name in (sensor, *others)]
    reading = asyncio.create_task(_read(host, port, caught), name=f"read-{sensor}")
    try:
        while not reading.done():
            await asyncio.sleep(TOGETHER_S)
            heard, run = Heard(), list[Piece]()
            for piece in caught.take():
                if piece is not None:
                    run.append(piece)
                    continue
                listener.hear(run, heard)
                listener.cut()
                run = []
            listener.hear(run, heard)
            for one in health:
                heard.words += one.words(now_us(), caught.state, caught.detail)
            yield heard
        reading.result()
    finally:
        reading.cancel()
        await asyncio.wait([reading])


async def _read(host: str, port: int, caught: _Caught) -> None:
    loop = asyncio.get_running_loop()
    pauses = Pauses(loop.time())
    while True:
        began_s, lasted_s, why = loop.time(), 0.0, ""
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                reader, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError) as error:
            why = spoken(error) if str(error) else "no answer"
        else:
            _log.info("connected to the source", host=host, port=port)
            caught.state, caught.detail = "ok", ""
            try:
                why = await _listen(reader, writer, caught)
            finally:
                writer.close()
            lasted_s = loop.time() - began_s
            caught.pieces.append(None)
        pause_s = pauses.next_s(loop.time(), lasted_s, random.random())
        if caught.state != "off" or caught.detail != why:
            _log.warning("the source is away", host=host, port=port, why=why, again_in_s=round(pause_s, 2))
        caught.state, caught.detail = "off", why
        await asyncio.sleep(pause_s)


async def _listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caught: _Caught) -> str:
    """Until the connection ends; says why."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    while True:
        try:
            async with asyncio.timeout(DEAF_S):
                octets = await reader.read(PIECE_OCTETS)
        except TimeoutError:
            return f"nothing came for {DEAF_S:.0f} s"
        except OSError as error:
            return spoken(error)
        if not octets:
            return "it closed the connection"
        caught.pieces.append((now_us(), octets))
        caught.octets += len(octets)
        if caught.octets > MOST_OCTETS:
            caught.room.clear()
            await caught.room.wait()
