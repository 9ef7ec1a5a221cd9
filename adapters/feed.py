"""Sends frames to a broker in order and in time: what `vedette replay`, `vedette simulate` and the demo share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from adapters.broker import BrokerSettings, NotConnected, Outgoing, PublishDenied
from adapters.deck import Deck
from adapters.envelope import ORDERS, feed_properties, opened
from adapters.formats import clock, load, watermark
from adapters.mqtt import Connection
from adapters.resend import Unfused
from adapters.wire import load_json, number_of, parse_time
from fusion.schema import Frame, Invalid
from replay.log import LEFT, START, TICK
from replay.player import Due

CLOCK_TOPIC = "in/clock"
REPLAYED = "in/replay/"  # before what persons asked for then: no live service listens there, and no replay commands
ASIDE = (*ORDERS, load.SOURCE)  # what no sensor said, and a replay sends beside what sensors did
CHUNK = 500  # frames handed to the connection at once: half of its window, so that it never runs dry
CONNECT_PATIENCE_S = 10.0
HEARD_WITHIN_S = 4.0  # of a service that is there: it says every second how far the state is that it keeps every second
AGAIN_EVERY_S = 0.5  # how often it is looked whether something is to be sent again
LEAD_FRAMES = 20_000  # a fifth of the broker's queue for the service: past that it drops what it acknowledged
LEAD_PATIENCE_S = 30.0  # without any progress of a service that was there: it has gone
ANOTHER_REPLAY_US = 1_000_000  # a replay's clock that falls by more begins anew
PICTURE_STEP_US = 100_000  # the configuration takes whole multiples of this between two pictures
GAPS_KEPT = 101  # of the newest gaps between pictures; the usual one of them counts


class NoBroker(Exception):
    """Nothing answers at the broker's address, or it went away for longer than anybody wants to wait."""


@contextlib.asynccontextmanager
async def connected(
    settings: BrokerSettings, name: str, subscriptions: Sequence[tuple[str, int]] = ()
) -> AsyncIterator[Connection]:
    """A connection of this process alone, with nothing kept for it while it is away.

    Raises:
        NoBroker: no connection within `CONNECT_PATIENCE_S`; says why.
    """
    own = replace(
        settings, client_id=f"{settings.client_id}-{name}-{os.getpid()}", session_expiry_s=0, clean_start=True
    )
    connection = Connection(own, subscriptions)
    runner = asyncio.create_task(connection.run(), name=f"{name}-connection")
    try:
        try:
            async with asyncio.timeout(CONNECT_PATIENCE_S):
                await connection.wait_connected()
        except TimeoutError:
            raise NoBroker(f"no answer from {settings.host}:{settings.port}: {connection.problem}") from None
        yield connection
    finally:
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)


@dataclass(slots=True)
class Progress:
    """How far the service has come with what was sent, seen by the time of the pictures it publishes."""

    newest_us: int = -1  # -1: no picture yet
    _gaps_us: deque[int] = field(default_factory=lambda: deque(maxlen=GAPS_KEPT))

    @property
    def interval_us(self) -> int:
        """Time between two pictures, from those that came; 0: fewer than two came.

        The median: a picture may be lost on its way, and a tick may be late. Rounded up to what can be configured.
        """
        if not self._gaps_us:
            return 0
        median_us = sorted(self._gaps_us)[len(self._gaps_us) // 2]
        return -(-median_us // PICTURE_STEP_US) * PICTURE_STEP_US

    def shown(self, time_us: int) -> None:
        """A picture of this time was published; several messages may carry parts of it.

        Time that falls is another replay: the service begins anew.
        """
        if time_us < self.newest_us - ANOTHER_REPLAY_US:
            self.newest_us = time_us
        elif time_us > self.newest_us:
            if self.newest_us >= 0:
                self._gaps_us.append(time_us - self.newest_us)
            self.newest_us = time_us

    def reached(self, tick_us: int) -> bool:
        """True when the service has worked on this tick, as far as its pictures can tell.

        Not every tick gives a picture: the newest one may stay behind the last tick by less than the interval.
        """
        return self.newest_us >= 0 and tick_us - self.newest_us < max(self.interval_us, 1)

    async def began(self, patience_s: float) -> bool:
        """Wait for the first picture; False: there is no service, or it shows nothing."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + patience_s
        while self.newest_us < 0 and loop.time() < deadline_s:
            await asyncio.sleep(0.02)
        return self.newest_us >= 0

    async def follow(self, connection: Connection) -> None:
        """Read the pictures that arrive, until cancelled."""
        while True:
            incoming = await connection.inbox.get()
            connection.ack(incoming)
            with contextlib.suppress(Invalid):
                if not incoming.retain:  # a retained picture is of an earlier run
                    self.shown(parse_time(load_json(incoming.payload).get("time")))


class Sender:
    """Publishes frames under a site's topics, each once the broker has taken those before it.

    Args:
        recorded: True adds what a replay must say (user properties rx_us and seq, ticks on in/clock); False sends as
            live sensors do, and leaves ticks out.
        unfused: keeps what is numbered until the service has it; send within `watched`, on a connection that hears
            the watermarks of these sensors.
    """

    def __init__(
        self,
        connection: Connection,
        site: str,
        recorded: bool,
        progress: Progress | None = None,
        unfused: Unfused | None = None,
    ) -> None:
        self._connection = connection
        self._base = f"vedette/v1/{site}/"
        self._recorded = recorded
        self._progress = progress
        self._unfused = unfused
        self._ahead: deque[int] = deque()  # rx_us of frames that the service has not shown yet
        self._last_us = self._last_tick_us = -1
        self.sent = 0

    async def send(self, frames: Sequence[Frame]) -> None:
        """Publish all of them in order. After a lost connection it goes on with the first that was not acknowledged.

        Raises:
            adapters.broker.PublishDenied: the broker refuses one; none after it is sent.
            NoBroker: the connection did not come back.
        """
        unsent = (START, LEFT) if self._recorded else (START, LEFT, TICK)  # a replay has a picture of its own
        messages = [self._message(frame) for frame in frames if frame.source not in unsent]
        while messages:
            errors = await self._connection.publish_many(messages)
            bad = next((n for n, error in enumerate(errors) if error is not None), None)
            if bad is None:
                break
            error = errors[bad]
            if not isinstance(error, NotConnected):
                raise error if error is not None else AssertionError("no error")
            messages = messages[bad:]
            try:
                async with asyncio.timeout(CONNECT_PATIENCE_S):
                    await self._connection.wait_connected()
            except TimeoutError:
                raise NoBroker(self._connection.problem) from None
        self.sent += len(frames)
        if self._unfused is not None:
            self._keep(frames, self._unfused)
        if self._progress is not None:
            self._ahead.extend(frame.rx_us for frame in frames)
            for frame in frames:
                self._last_us = max(self._last_us, frame.rx_us)
                if frame.source == TICK:
                    self._last_tick_us = max(self._last_tick_us, frame.rx_us)
            if self._progress.newest_us >= 0:  # without a service there is nothing to wait for
                await self._wait_for(lambda: self._lead() <= LEAD_FRAMES, LEAD_PATIENCE_S)

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Hears watermarks meanwhile, and sends again what they leave out.

        Raises:
            adapters.broker.PublishDenied: at the end, when the broker refused a message that was sent again.
        """
        watch = asyncio.create_task(self._watch(), name="watermarks")
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.wait([watch])
        if not watch.cancelled():
            watch.result()

    async def _watch(self) -> None:
        assert self._unfused is not None
        loop = asyncio.get_running_loop()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_EVERY_S):
                    incoming = await self._connection.inbox.get()
                    self._connection.ack(incoming)
                    with contextlib.suppress(Invalid):
                        self._unfused.heard(loop.time(), *watermark.decode(incoming.payload))
            if self._connection.connected:
                errors = await self._connection.publish_many(self._unfused.due(loop.time()))
                refused = next((error for error in errors if isinstance(error, PublishDenied)), None)
                if refused is not None:
                    raise refused  # who is not connected or not answered is due again later

    async def fused(self, patience_s: float) -> bool:
        """Wait until the service has everything that was sent; False: it has not after so long, or says nothing."""
        assert self._unfused is not None
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + patience_s
        while len(self._unfused) and loop.time() < deadline_s:
            if not self._unfused.is_heard and loop.time() > deadline_s - patience_s + HEARD_WITHIN_S:
                return False
            await asyncio.sleep(0.1)
        return not len(self._unfused)

    def _keep(self, frames: Sequence[Frame], unfused: Unfused) -> None:
        now_s = asyncio.get_running_loop().time()
        for frame in frames:
            place, _, sensor = frame.source.removesuffix("/plots").partition("/")
            number = number_of(frame.payload, sensor) if place == "in" and frame.source.endswith("/plots") else None
            if number is not None:
                boot, seq = number
                unfused.sent(sensor, (max(boot, 0), seq), self._message(frame), now_s)

    def jumped(self) -> None:
        """What is sent next is of another moment: what was sent before it is not waited for."""
        self._ahead.clear()
        self._last_us = self._last_tick_us = -1

    async def caught_up(self, patience_s: float) -> bool:
        """Wait until the service has worked on the last tick; False when it stopped showing anything new.

        What comes after the last tick waits in the service for the next one and is shown by no picture.
        """
        progress = self._progress
        if progress is None:
            return True
        end_us = self._last_tick_us if self._last_tick_us >= 0 else self._last_us
        return await self._wait_for(lambda: progress.reached(end_us), patience_s)

    def _lead(self) -> int:
        """Frames that the service is behind."""
        assert self._progress is not None
        while self._ahead and self._progress.reached(self._ahead[0]):
            self._ahead.popleft()
        return len(self._ahead)

    async def _wait_for(self, done: Callable[[], bool], patience_s: float) -> bool:
        """Wait until it is done; False when no new picture came for so long."""
        assert self._progress is not None
        loop = asyncio.get_running_loop()
        seen_us, since = self._progress.newest_us, loop.time()
        while not done():
            if self._progress.newest_us != seen_us:
                seen_us, since = self._progress.newest_us, loop.time()
            if loop.time() - since > patience_s:
                return False
            await asyncio.sleep(0.02)
        return True

    def _message(self, frame: Frame) -> Outgoing:
        user = feed_properties(frame.rx_us, frame.seq) if self._recorded else ()
        if frame.source == TICK:
            return Outgoing(self._base + CLOCK_TOPIC, clock.encode(frame.rx_us), qos=1, user=user)
        payload, response_topic, correlation = _bare(frame) if self._recorded else (frame.payload, "", b"")
        topic = frame.source
        if self._recorded and topic.startswith(ASIDE):
            topic = REPLAYED + topic
        return Outgoing(self._base + topic, payload, 1, False, None, user, response_topic, correlation)


def _bare(frame: Frame) -> tuple[bytes, str, bytes]:
    """A command or report as it came, with what travelled beside it: the service puts it into its envelope again."""
    try:
        return opened(frame.payload)
    except Invalid:
        return frame.payload, "", b""  # the service refused it, and will again


async def play(
    sender: Sender, schedule: Iterable[Due], shown: Callable[[Frame, int], None], deck: Deck | None = None
) -> None:
    """Send a timetable: each frame when it is due, in chunks of what is due at once.

    `shown` is told of the newest frame sent and how many there were, after every chunk. `deck` may pause it, and break
    it off. Raises what `send` raises.
    """
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    chunk: list[Frame] = []
    for due in schedule:
        held = deck is not None and (deck.paused or deck.interrupted)
        if chunk and (held or len(chunk) >= CHUNK or start_s + due.after_s > loop.time()):
            await sender.send(chunk)
            shown(chunk[-1], sender.sent)
            chunk = []
        while (wait_s := start_s + due.after_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        if deck is not None and deck.paused:
            start_s += await deck.held()
        if deck is not None and deck.interrupted:
            break
        chunk.append(due.frame)
    if chunk:
        await sender.send(chunk)
        shown(chunk[-1], sender.sent)
