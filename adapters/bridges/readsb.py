"""A receiver that runs readsb: its `aircraft.json`, asked for over HTTP, or the lines of its `--json-port`.

Positions are passed on once, however often they are told.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import structlog

from adapters.bridges.common import TOGETHER_S, Heard
from adapters.bridges.source import Health, Lines, Piece
from adapters.broker import Pauses, now_us
from adapters.formats import readsb
from fusion.schema import US_PER_S, Invalid, SensorKind, SensorSpec

ANSWER_WITHIN_S = 5.0
STALE_US = 15 * US_PER_S  # the same file for so long: readsb writes one a second, but the web server outlives it
_log = structlog.get_logger("vedette.bridge")


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


def is_address(url: str) -> bool:
    """Whether a web server can be asked there."""
    try:
        found = urlsplit(url)
        asked = httpx.URL(url)
        return found.scheme in ("http", "https") and bool(asked.host) and found.port != 0
    except (ValueError, httpx.InvalidURL):  # a port beyond all ports is a ValueError, and only when it is asked for
        return False


class Asked(Protocol):
    """Makes batches of what a web server answers."""

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add what an answer says to `heard`; says what is wrong with it, or nothing."""


async def from_http(url: str, every_s: float, receiver: Asked, *sensors: str) -> AsyncIterator[Heard]:
    """What a web server answers, asked every so many seconds; for ever, whether it is there or not."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every answer is none for people
    loop, health = asyncio.get_running_loop(), [Health(name) for name in sensors]
    pauses, said, next_s = Pauses(loop.time()), "", 0.0
    headers = {"Accept-Encoding": "identity"}  # what is small on the wire and large here has no limit
    async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S, headers=headers) as client:
        asking: asyncio.Task[tuple[bytes, str]] | None = None
        try:
            while True:
                await asyncio.sleep(min(TOGETHER_S, every_s))
                heard = Heard()
                if asking is None and loop.time() >= next_s:
                    asking = asyncio.create_task(_ask(client, url), name=f"ask-{url}")
                if asking is not None and asking.done():
                    (body, why), asking = asking.result(), None
                    state, next_s = "off", loop.time() + max(every_s, pauses.next_s(loop.time(), 0.0, random.random()))
                    if not why:
                        why = receiver.answer(now_us(), body, heard)
                        state, next_s, pauses = "degraded" if why else "ok", loop.time() + every_s, Pauses(loop.time())
                    if why != said:
                        _log.warning("the source is not well", url=url, why=why) if why else _log.info("it is well")
                    said = why
                    for one in health:
                        heard.words += one.words(now_us(), state, why)
                yield heard
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.wait([asking])


async def _ask(client: httpx.AsyncClient, url: str) -> tuple[bytes, str]:
    """The body of the answer, and why there is none."""
    body = bytearray()
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S), client.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                return b"", f"it answers {response.status_code}"
            async for octets in response.aiter_raw():
                body += octets
                if len(body) > readsb.MOST_ANSWER_OCTETS:
                    return b"", f"its answer is longer than {readsb.MOST_ANSWER_OCTETS} octets"
    except TimeoutError:
        return b"", "no answer"
    except httpx.HTTPError as error:
        return b"", str(error) or type(error).__name__
    return bytes(body), ""
