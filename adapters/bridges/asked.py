"""Web servers that are asked again and again: what of that is the same, whatever they answer.

A server that is away, fails or hangs is no fault of ours: it is asked again, in pauses that double to five seconds and
spread by chance, or when it said so itself; the sensor is `off` meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

import httpx
import structlog

from adapters.bridges.common import TOGETHER_S, Heard
from adapters.bridges.source import Health
from adapters.broker import Pauses, now_us
from adapters.passed import Passed
from adapters.wire import MOST_ANSWER_OCTETS, Decoded
from fusion.schema import Invalid, SensorKind, SensorSpec

ANSWER_WITHIN_S = 5.0
MOST_SAID = 200  # letters of a server's header that are told
_log = structlog.get_logger("vedette.bridge")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said, or why it said nothing."""

    body: bytes = b""
    why: str = ""  # there is none
    wait_s: float = 0.0  # until it wants to be asked again, where it says so
    status: int = 0  # of HTTP; 0: none came
    headers: Mapping[str, str] = field(default_factory=dict)


class Question(Protocol):
    """Asks a server."""

    @property
    def url(self) -> str:
        """Where."""

    async def ask(self, client: httpx.AsyncClient) -> Answer:
        """Once; a server that fails is an answer too."""


class Asked(Protocol):
    """Makes batches of what a web server answers."""

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add what an answer says to `heard`; says what is wrong with it, or nothing."""


# Octets of an answer, sensor, arrival: its new positions, and the answer's own time.
Decode = Callable[[bytes, SensorSpec, int, Passed], tuple[Decoded, int]]


class Answers:
    """Whole answers in, plots of one sensor out; that an answer stays the same for too long is told."""

    def __init__(self, sensor: str, decode: Decode, stale_us: int, stale: str) -> None:
        """`stale`: what is wrong with an answer that has been the same for more than `stale_us`."""
        self.spec, self.passed = SensorSpec(sensor, 0, SensorKind.ADSB), Passed()
        self._decode, self._stale_us, self._stale = decode, stale_us, stale
        self._at_us, self._since_us = -1, -1  # the answer's own time, and when we first saw it

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add what is new in an answer; says what is wrong with it, or nothing."""
        heard.pieces += 1
        try:
            made, at_us = self._decode(body, self.spec, rx_us, self.passed)
        except Invalid as fault:
            heard.refused[fault.reason] += 1
            return f"its answer is {fault.reason}"
        if at_us == self._at_us:
            return self._stale if rx_us - self._since_us > self._stale_us else ""
        self._at_us, self._since_us = at_us, rx_us
        heard.refused.update(made.rejected)
        if len(made.batch):
            heard.batches.append(made.batch)
        return ""


@dataclass(frozen=True, slots=True)
class Page:
    """What lies at an address."""

    url: str

    async def ask(self, client: httpx.AsyncClient) -> Answer:
        """Fetch it."""
        return await fetched(client, client.build_request("GET", self.url))


def is_address(url: str) -> bool:
    """Whether a web server can be asked there."""
    try:
        found = urlsplit(url)
        asked = httpx.URL(url)
        return found.scheme in ("http", "https") and bool(asked.host) and found.port != 0
    except (ValueError, httpx.InvalidURL):  # a port beyond all ports is a ValueError, and only when it is asked for
        return False


async def from_http(question: Question, every_s: float, receiver: Asked, *sensors: str) -> AsyncIterator[Heard]:
    """What a web server answers, asked every so many seconds; for ever, whether it is there or not."""
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every answer is none for people
    loop, health = asyncio.get_running_loop(), [Health(name) for name in sensors]
    pauses, said, next_s = Pauses(loop.time()), "", 0.0
    headers = {"Accept-Encoding": "identity"}  # what is small on the wire and large here has no limit
    async with httpx.AsyncClient(headers=headers, timeout=None) as client:  # the whole has a limit: `fetched`
        asking: asyncio.Task[Answer] | None = None
        try:
            while True:
                await asyncio.sleep(min(TOGETHER_S, every_s))
                heard = Heard()
                if asking is None and loop.time() >= next_s:
                    asking = asyncio.create_task(question.ask(client), name=f"ask-{question.url}")
                if asking is not None and asking.done():
                    got, asking = asking.result(), None
                    state, why = "off", got.why
                    pause_s = max(every_s, got.wait_s, pauses.next_s(loop.time(), 0.0, random.random()))
                    next_s = loop.time() + pause_s
                    if not why:
                        why = receiver.answer(now_us(), got.body, heard)
                        state, next_s, pauses = "degraded" if why else "ok", loop.time() + every_s, Pauses(loop.time())
                    if why != said:
                        say = _log.warning if why else _log.info
                        say("the source is not well" if why else "it is well", url=question.url, why=why)
                    said = why
                    for one in health:
                        heard.words += one.words(now_us(), state, why)
                yield heard
        finally:
            if asking is not None:
                asking.cancel()
                await asyncio.wait([asking])


async def fetched(client: httpx.AsyncClient, request: httpx.Request, within_s: float = ANSWER_WITHIN_S) -> Answer:
    """The answer to a request; of a status that is not 200 without its body."""
    body = bytearray()
    try:
        async with asyncio.timeout(within_s):
            response = await client.send(request, stream=True)
            try:
                if why := _refusal(response):
                    return Answer(why=why, status=response.status_code, headers=response.headers)
                async for octets in response.aiter_raw():
                    body += octets
                    if len(body) > MOST_ANSWER_OCTETS:
                        return Answer(why=f"its answer is longer than {MOST_ANSWER_OCTETS} octets")
            finally:
                await response.aclose()
    except TimeoutError:
        return Answer(why="no answer")
    except httpx.HTTPError as error:
        return Answer(why=str(error) or type(error).__name__)
    return Answer(bytes(body), status=response.status_code, headers=response.headers)


def _refusal(response: httpx.Response) -> str:
    """Why its body is not read; nothing where it is."""
    if response.has_redirect_location:
        return f"it answers {response.status_code}: ask {response.headers['location'][:MOST_SAID]!r} instead"
    if response.status_code != httpx.codes.OK:
        return f"it answers {response.status_code}"
    encoding = response.headers.get("content-encoding", "identity")
    if encoding.lower() not in ("", "identity"):
        return f"its answer is compressed ({encoding[:MOST_SAID]}), and was asked for plain"
    return ""
