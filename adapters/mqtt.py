"""The connection to the broker: a `Connection` outlives its broker and speaks MQTT 5.

The rules, each of them measured on Mosquitto 2.0:

- fixed client id, `clean_start=False` and a session expiry: either alone loses all that was sent while we were away;
- back-pressure is the Receive Maximum: the broker holds what we have not acknowledged yet. Mosquitto 2.0 sends more
  than that out of a backlog, after its own restart all of it and out of order, so when the inbox is full we stop
  reading the socket;
- a new client (adapters/link.py) for every connection, a short keep-alive;
- a cancel ends it, whatever it is doing.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

from adapters.broker import (
    FIRST_PAUSE_S,
    BrokerSettings,
    Incoming,
    NotConnected,
    Outgoing,
    Pauses,
    PublishDenied,
    PublishError,
    Traffic,
    Will,
    now_us,
    spoken,
    tls_context,
    windowed,
)
from adapters.link import Link, LinkError

# The port's own words, for those who want all of it from one place.
__all__ = ["BrokerSettings", "Connection", "Incoming", "NotConnected", "Outgoing", "PublishDenied", "PublishError"]


INBOX_BYTES = 8_000_000  # in which a flood of five times 2,000 plots a second has a second or more to wait


class Inbox(asyncio.Queue[Incoming]):
    """What has arrived and nobody has taken yet, with the sum of its payloads."""

    size_bytes = 0

    def _put(self, item: Incoming) -> None:
        super()._put(item)
        self.size_bytes += len(item.payload)

    def _get(self) -> Incoming:
        item = super()._get()
        self.size_bytes -= len(item.payload)
        return item


class Connection:
    """A connection to the broker that comes back by itself.

    `await run()` in a task of its own; it ends only by being cancelled. What arrives stands in `inbox`. It is bounded:
    QoS 0 messages are dropped (`traffic.overflow`) from the Receive Maximum on, at twice the Receive Maximum we stop
    reading (`traffic.held`) until there is room, as we do at `INBOX_BYTES`, and no new connection is made before the
    older half is worked off. Messages may come twice (after every loss of the connection) and out of order.

    Args:
        subscriptions: (topic filter, QoS 0 or 1).
        name: appended to the client id: separate connections, for plots and for alerts, need separate sessions.
        clock: microseconds UTC, for `Incoming.rx_us`.
        birth: awaited after every (re)connection, for example to publish the retained status that replaces the will.
        on_change: called with (connected, why) at every change.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        subscriptions: Sequence[tuple[str, int]] = (),
        will: Will | None = None,
        name: str = "",
        clock: Callable[[], int] = now_us,
        birth: Callable[[Connection], Awaitable[None]] | None = None,
        on_change: Callable[[bool, str], None] | None = None,
    ) -> None:
        if any(qos not in (0, 1) for _, qos in subscriptions):
            raise ValueError("subscriptions are QoS 0 or 1: duplicates are settled by number, not by QoS 2")
        self.settings = settings
        self.subscriptions = tuple(subscriptions)
        self.will = will
        self.name = name
        self.client_id = f"{settings.client_id}-{name}" if name else settings.client_id
        self.inbox = Inbox()  # bounded by what is read, see above
        self.traffic = Traffic()
        self.generation = 0
        self.problem = "not connected yet"  # why there is no connection; "" while there is one
        self._clock = clock
        self._birth = birth
        self._on_change = on_change
        self._link: Link | None = None
        self._up = asyncio.Event()
        self._since_s = math.inf  # loop time of the present connection
        self._cancels = 0  # cancels of the running task that are older than `run`

    @property
    def connected(self) -> bool:
        """True while there is a connection and it is subscribed."""
        return self._up.is_set()

    async def wait_connected(self) -> None:
        """Return as soon as there is a connection."""
        await self._up.wait()

    # --- incoming ---

    def ack(self, incoming: Incoming) -> None:
        """Tell the broker that a message was worked on. In the order in which they came (MQTT 5, 4.6).

        One of an earlier connection is only counted: the broker sends it again, and duplicates fall by their number.
        """
        if incoming.qos == 0:
            return
        if self._link is None or incoming.generation != self.generation:
            self.traffic.stale_acks += 1
            return
        self.traffic.acked += 1
        self._link.ack(incoming.mid, incoming.qos)

    def arrived(self, incoming: Incoming) -> None:
        """For the link: a message has come."""
        self.traffic.received += 1
        if incoming.qos == 0 and self.inbox.qsize() >= self.settings.receive_max:
            self.traffic.overflow += 1
        else:
            self.inbox.put_nowait(incoming)

    def is_full(self) -> bool:
        """For the link: read no more for now."""
        return self.inbox.qsize() >= 2 * self.settings.receive_max or self.inbox.size_bytes >= INBOX_BYTES

    def now_us(self) -> int:
        """For the link: the time of arrival."""
        return self._clock()

    def holds(self, link: Link) -> bool:
        """For the link: False for a connection that was given up."""
        return self._link is link

    # --- outgoing ---

    def post(self, message: Outgoing) -> asyncio.Future[None]:
        """Start to publish, for callers that keep a window themselves. The future ends with the broker's answer.

        Raises:
            NotConnected: now, or in the future.
            PublishDenied: now (larger than the broker takes), or in the future.
        """
        if self._link is None or not self._up.is_set():
            raise NotConnected(self.problem)
        return self._link.post(message)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        expiry_s: int | None = None,
        user_properties: Iterable[tuple[str, str]] = (),
        correlation: bytes = b"",
        response_topic: str = "",
    ) -> None:
        """Publish one message and, with QoS 1, wait until the broker has it.

        Raises:
            NotConnected: no connection, or none any more, or no answer within `publish_timeout_s`.
            PublishDenied: the broker's answer was no.
        """
        if qos == 0 and self._link is not None:
            await self._link.drain()
        user = tuple(user_properties)
        message = Outgoing(topic, payload, qos, retain, expiry_s, user, response_topic, correlation)
        try:
            async with asyncio.timeout(self.settings.publish_timeout_s):
                await self.post(message)
        except TimeoutError:
            raise NotConnected(f"no answer within {self.settings.publish_timeout_s:g} s") from None

    async def publish_many(self, messages: Iterable[Outgoing], window: int = 1_000) -> list[PublishError | None]:
        """Publish in order, at most `window` QoS 1 messages unanswered; the error of each, None where it arrived."""
        return await windowed(self.post, messages, window, self.settings.publish_timeout_s)

    # --- the life of the connection ---

    async def run(self) -> None:
        """Connect, and connect again whenever the connection is lost, until cancelled."""
        self._cancels = _cancels()
        try:
            await self._keep_connected()
        finally:
            self._change(False, "closed")

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pauses = Pauses(loop.time())
        while True:
            while self.inbox.qsize() > self.settings.receive_max or 2 * self.inbox.size_bytes > INBOX_BYTES:
                await asyncio.sleep(FIRST_PAUSE_S)  # room first: what a new connection brings must fit
            self._since_s = math.inf
            try:
                problem = await self._connect_once()
            except (LinkError, OSError, ValueError) as error:
                problem = error
            lasted_s = max(0.0, loop.time() - self._since_s)
            self._end_if_cancelled()
            self._change(False, spoken(problem))
            await asyncio.sleep(pauses.next_s(loop.time(), lasted_s, random.random()))

    async def _connect_once(self) -> BaseException | None:
        """One connection from its first byte to its end; why it ended."""
        # Read again for every connection, so that a renewed certificate counts from the next one on.
        tls = await asyncio.to_thread(tls_context, self.settings)
        self.generation += 1
        link = self._link = Link(self, self.settings, tls)
        entered = False
        try:
            await link.enter()
            entered = True
            if self.subscriptions:
                await link.listen(self.subscriptions)
            self.traffic.connects += 1
            self._since_s = asyncio.get_running_loop().time()
            self._change(True, "")
            if self._birth is not None:
                with suppress(PublishError):  # lost again already, or denied and counted
                    await self._birth(self)
                self._end_if_cancelled()
            return await link.lost()
        finally:
            self._up.clear()
            self._link = None
            try:
                if entered:
                    await link.take_leave()
            finally:
                link.clear()

    def _end_if_cancelled(self) -> None:
        """A cancel counts, too, when somebody whom we called has kept it for himself."""
        if _cancels() > self._cancels:
            raise asyncio.CancelledError

    def _change(self, up: bool, problem: str) -> None:
        changed = up != self._up.is_set() or problem != self.problem
        self.problem = problem
        if up:
            self._up.set()
        else:
            self._up.clear()
        if changed and self._on_change is not None:
            self._on_change(up, problem)


def _cancels() -> int:
    task = asyncio.current_task()
    assert task is not None
    return task.cancelling()
