"""The words of the broker's port, free of any client: settings, messages in and out, errors, pauses.

`adapters/mqtt.py` is the port itself and hands these names on.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

FIRST_PAUSE_S = 0.05
QUICK_CAP_S = 0.2  # in the first seconds of an outage: a broker that restarts is found again within a quarter second
QUICK_FOR_S = 10.0
SLOW_CAP_S = 5.0
STEADY_S = 10.0  # a connection that lasted so long was a good one


class PublishError(Exception):
    """A message that the broker did not take."""


class NotConnected(PublishError):
    """There is no connection, it broke before the broker answered, or the answer is overdue: it may have arrived."""


class PublishDenied(PublishError):
    """The broker refused the message, by its access rules or its limits; sending it again changes nothing."""


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Where the broker is, and how to talk to it. Paths are those of PEM files; "" for not used."""

    host: str
    port: int = 1883
    client_id: str = "vedette"  # fixed: the session on the broker hangs on it
    username: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    tls_ca: str = ""  # "" with tls: the authorities that the system trusts
    tls_cert: str = ""
    tls_key: str = ""
    keepalive_s: int = 2  # a dead broker or a half-open link is noticed within 2 of these
    timeout_s: float = 1.0  # for the socket, the CONNACK and the SUBACK, each
    publish_timeout_s: float = 5.0  # for a PUBACK
    session_expiry_s: int = 86_400  # how long the broker keeps messages for us while we are away; 0: not at all
    clean_start: bool = False  # True for readers that want nothing of the past
    receive_max: int = 1_000  # acknowledgements come a tick later, so many messages may be open
    inflight_max: int = 1_000  # of our own publishes; the broker's Receive Maximum is kept if it is smaller
    waiting_max: int = 10_000  # publishes waiting here; more are refused as NotConnected
    packet_max_bytes: int = 262_144  # the broker drops what is larger before it reaches our memory


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes for us when we vanish without saying so."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = True
    delay_s: int = 0


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that arrived. `retain` means: an old one, sent because we subscribed."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    mid: int
    generation: int  # number of the connection it came through
    rx_us: int
    user: tuple[tuple[str, str], ...] = ()
    response_topic: str = ""
    correlation: bytes = b""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expiry_s: int | None = None
    user: tuple[tuple[str, str], ...] = ()
    response_topic: str = ""
    correlation: bytes = b""


@dataclass(slots=True)
class Traffic:
    """Counts of one `Connection` over all its connections."""

    connects: int = 0
    received: int = 0
    acked: int = 0
    stale_acks: int = 0  # acknowledged after the connection broke: the broker sends these again
    overflow: int = 0  # QoS 0 messages dropped because the inbox was half full
    held: int = 0  # times that we stopped reading because the inbox was full
    bad_topics: int = 0  # topics that are not UTF-8: acknowledged and dropped
    published: int = 0
    denied: int = 0


def now_us() -> int:
    """The machine's clock, microseconds UTC."""
    return time.time_ns() // 1000


def spoken(problem: BaseException | None) -> str:
    """Why there is no connection, in words."""
    if problem is None or str(problem) == "[code:128] Unspecified error":  # what paho says of a closed socket
        return "the connection was closed"
    return str(problem) or type(problem).__name__


def tls_context(settings: BrokerSettings) -> ssl.SSLContext | None:
    """The TLS context of these settings, None without TLS.

    Raises:
        OSError: a file cannot be read or is not PEM (ssl.SSLError is an OSError).
    """
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.tls_ca or None)
    if settings.tls_cert:
        # An empty password makes an encrypted key an error instead of a question on the terminal.
        context.load_cert_chain(settings.tls_cert, settings.tls_key or None, password="")
    return context


class Pauses:
    """How long to wait before the next connection attempt. Pure: times are handed in, seconds of any clock.

    The pauses double from 50 ms. In the first 10 s of a series of failures they stay under 200 ms, so that a restarted
    broker is found again within a quarter second, then they grow to 5 s. Only a connection that lasted 10 s ends a
    series: two clients with one name, who throw each other out, must not do so twenty times a second.
    """

    def __init__(self, now_s: float) -> None:
        self._attempt = 0
        self._since_s = now_s

    def next_s(self, now_s: float, lasted_s: float, luck: float) -> float:
        """The pause after a connection that lasted `lasted_s` (0: there was none); `luck` in 0..1 spreads clients."""
        if lasted_s >= STEADY_S:
            self._attempt, self._since_s = 0, now_s
        cap = QUICK_CAP_S if now_s - self._since_s < QUICK_FOR_S else SLOW_CAP_S
        pause = min(cap, FIRST_PAUSE_S * 2.0 ** min(self._attempt, 30)) * (0.5 + 0.5 * luck)
        self._attempt += 1
        return pause


async def windowed(
    post: Callable[[Outgoing], asyncio.Future[None]], messages: Iterable[Outgoing], window: int, timeout_s: float
) -> list[PublishError | None]:
    """Post in order with at most `window` unanswered; the error of each, None where it arrived.

    Waits at most `timeout_s` for room in the window, and as long again for the last answers.
    """
    room = asyncio.Semaphore(window)
    posted: list[asyncio.Future[None] | PublishError] = []
    overdue = False
    for message in messages:
        try:
            if room.locked():
                # Once overdue there is no more waiting: a hanging broker must not cost this long for every message.
                # Not wait_for: in Python 3.11 it may forget a cancel.
                async with asyncio.timeout(0.0 if overdue else timeout_s):
                    await room.acquire()
            else:
                await room.acquire()
        except TimeoutError:
            overdue = True
            posted.append(NotConnected(f"no answer within {timeout_s:g} s"))
            continue
        try:
            future = post(message)
        except PublishError as error:
            posted.append(error)
            room.release()
        else:
            future.add_done_callback(lambda _: room.release())
            posted.append(future)
    waiting = [entry for entry in posted if isinstance(entry, asyncio.Future) and not entry.done()]
    if waiting:
        await asyncio.wait(waiting, timeout=timeout_s)
    return [entry if isinstance(entry, PublishError) else _outcome(entry) for entry in posted]


def _outcome(future: asyncio.Future[None]) -> PublishError | None:
    if not future.done():
        return NotConnected("no answer in time")
    error = future.exception()
    return error if isinstance(error, PublishError) else None
