"""A broker and lines to it in one process: QoS 1, retained topics, sessions, wills, and all that can happen to them.

`SimLink` stands where `adapters.link.Link` stands: between a real `Connection` and the broker. Like Mosquitto, the
broker acknowledges at once, sends again after a reconnect what was not acknowledged, and comes back after its own
death with what it had saved, in no particular order. QoS 0 goes nowhere: nobody counts it.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context, copy_context
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.broker import BrokerSettings, Incoming, NotConnected, Outgoing, Will
from adapters.link import LinkError
from adapters.mqtt import Connection
from tests.simulation.loop import LIFE, VirtualLoop

BROKER_PATIENCE = 1.5  # keep-alives until the broker gives a silent client up, and ...
CLIENT_PATIENCE = 2.0  # ... the client a silent broker
QUEUED_MAX = 1_000


@dataclass(slots=True)
class Session:
    """What the broker keeps for one client id."""

    client_id: str
    lasts: bool
    subscriptions: dict[str, None] = field(default_factory=dict)
    queue: deque[Outgoing] = field(default_factory=deque)
    inflight: dict[int, Outgoing] = field(default_factory=dict)
    next_mid: int = 1
    link: SimLink | None = None


class Pipe:
    """One direction of a connection: in order, each thing some time after it was sent, nothing after a cut."""

    def __init__(self, net: Net, context: Context) -> None:
        self._net, self._context = net, context
        self._last_s = 0.0
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.held = self.cut = False

    def send(self, what: Callable[..., None], *arguments: Any) -> None:
        """Have this called at the other end."""
        if not self.cut:
            self._last_s = max(self._last_s, self._net.loop.time() + self._net.lag())
            self._net.loop.call_at(self._last_s, self._arrive, what, arguments, context=self._context)

    def _arrive(self, what: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        if self.cut:
            return
        if self.held:
            self._waiting.append((what, arguments))
        else:
            what(*arguments)

    def release(self) -> None:
        """What was held goes on."""
        self.held = False
        while self._waiting:
            what, arguments = self._waiting.popleft()
            self.send(what, *arguments)


class Net:
    """The broker, its lines, and who listened to all of it."""

    def __init__(self, loop: VirtualLoop, luck: random.Random, hear: Callable[[Outgoing], None]) -> None:
        """`hear`: told of every message that the broker takes."""
        self.loop, self.luck, self.hear = loop, luck, hear
        self.context = copy_context()  # of nobody who can be killed
        self.up = True
        self.refuses = False
        self.lag_s = 0.002
        self.retained: dict[str, Outgoing] = {}
        self.sessions: dict[str, Session] = {}
        self.links: list[SimLink] = []
        self.delivered: dict[str, int] = {}  # times that a topic was sent to anybody, for what has no number
        self._saved: tuple[dict[str, Outgoing], dict[str, Session]] = ({}, {})

    def lag(self) -> float:
        """How long the next thing is under way, seconds."""
        return self.lag_s * (0.5 + self.luck.random())

    def make(self, owner: Connection, settings: BrokerSettings, _tls: object) -> SimLink:
        """In the place of `Link`."""
        return SimLink(self, owner, settings)

    # --- what happens to it ---

    def save(self) -> None:
        """As Mosquitto does every half hour."""
        kept = {name: replace(session, link=None) for name, session in self.sessions.items() if session.lasts}
        self._saved = dict(self.retained), deepcopy(kept)

    def kill(self) -> None:
        """All lines break; what was not saved is lost."""
        self.up = False
        for link in [*self.links]:
            link.cut("the broker is gone")
        self.links.clear()

    def start(self, empty: bool) -> None:
        """It comes back with what it had saved, or with nothing; unless somebody has started it already."""
        if self.up:
            return
        self.up = True
        self.retained, sessions = ({}, {}) if empty else (dict(self._saved[0]), deepcopy(self._saved[1]))
        self.sessions = sessions
        for session in sessions.values():
            waiting = [*session.inflight.values(), *session.queue]
            self.luck.shuffle(waiting)
            session.inflight, session.queue = {}, deque(waiting)

    def named(self, name: str) -> list[SimLink]:
        """Lines of clients that are called so; "" is all."""
        return [link for link in self.links if f"-{name}" in link.owner.client_id]

    def hold(self, name: str) -> list[SimLink]:
        """A black hole: nothing comes through, and nobody is told."""
        held = self.named(name)
        for link in held:
            link.hold()
        return held

    # --- what clients do ---

    def on_connect(self, link: SimLink) -> None:
        """CONNECT has arrived."""
        if not self.up:
            return
        name = link.owner.client_id
        session = self.sessions.get(name)
        if session is not None and session.link is not None:
            old = session.link
            self._detached(old, graceful=False)
            old.cut("somebody else took our name")
        if session is None or link.settings.clean_start:
            session = self.sessions[name] = Session(name, link.settings.session_expiry_s > 0)
        session.link, link.session = link, session
        self.links.append(link)
        link.down.send(link.on_accepted)
        for mid, message in session.inflight.items():
            self._send(link, mid, message, False)
        self._pump(session)

    def on_disconnect(self, link: SimLink) -> None:
        """A farewell."""
        self._detached(link, graceful=True)

    def on_broken(self, link: SimLink) -> None:
        """The line is dead, and the broker has noticed."""
        self._detached(link, graceful=False)

    def on_subscribe(self, link: SimLink, topics: Sequence[str]) -> None:
        """Retained messages of these topics come at once."""
        if link.session is None or link.session.link is not link:
            return
        for topic in topics:
            link.session.subscriptions[topic] = None
        link.down.send(link.on_subscribed)
        for topic, message in self.retained.items():
            if any(matches(wanted, topic) for wanted in topics):
                link.down.send(link.on_message, 0, message, True)

    def on_publish(self, link: SimLink, mid: int, message: Outgoing) -> None:
        """A client says something, and the broker takes it."""
        if link.session is not None and link.session.link is link:
            self.take(message)
            link.down.send(link.on_published, mid)

    def take(self, message: Outgoing) -> None:
        """Keep it if it is to be kept, and hand it to all who want it."""
        self.hear(message)
        if message.retain:
            self.retained.pop(message.topic, None)
            if message.payload:
                self.retained[message.topic] = message
        for session in self.sessions.values():
            wants = any(matches(wanted, message.topic) for wanted in session.subscriptions)
            if wants and (session.lasts or session.link is not None):
                session.queue.append(message)
                if len(session.queue) > QUEUED_MAX:
                    session.queue.pop()  # the newest, as Mosquitto does
                self._pump(session)

    def on_ack(self, link: SimLink, mid: int) -> None:
        """A client has worked on a message."""
        if link.session is not None and link.session.link is link:
            link.session.inflight.pop(mid, None)
            self._pump(link.session)

    def _pump(self, session: Session) -> None:
        link = session.link
        while link is not None and session.queue and len(session.inflight) < link.settings.receive_max:
            message = session.queue.popleft()
            mid, session.next_mid = session.next_mid, session.next_mid % 65_535 + 1
            session.inflight[mid] = message
            self._send(link, mid, message, False)

    def _send(self, link: SimLink, mid: int, message: Outgoing, retain: bool) -> None:
        self.delivered[message.topic] = self.delivered.get(message.topic, 0) + 1
        link.down.send(link.on_message, mid, message, retain)

    def _detached(self, link: SimLink, graceful: bool) -> None:
        if link in self.links:
            self.links.remove(link)
        link.up.cut = True
        session = link.session
        if session is None or session.link is not link:
            return
        session.link = None
        if not session.lasts:
            del self.sessions[session.client_id]
        will: Will | None = link.owner.will
        if will is not None and not graceful:
            self.take(Outgoing(will.topic, will.payload, will.qos, will.retain))


class SimLink:
    """One connection of a `Connection`, to a `Net`."""

    def __init__(self, net: Net, owner: Connection, settings: BrokerSettings) -> None:
        self.net, self.owner, self.settings = net, owner, settings
        self.session: Session | None = None
        self.life = LIFE.get()
        self.up, self.down = Pipe(net, net.context), Pipe(net, copy_context())
        self._generation = owner.generation
        self._end: asyncio.Future[None] = net.loop.create_future()
        self._answer: asyncio.Future[None] = net.loop.create_future()
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._mid = 0

    def _point(self, kind: str) -> None:
        if self.life is not None:
            self.life.point(kind)

    # --- what Connection calls ---

    async def enter(self) -> None:
        """Connect."""
        await asyncio.sleep(self.net.lag())
        if not self.net.up or self.net.refuses:
            raise LinkError("Connection refused")
        self._point("connect")
        self.up.send(self.net.on_connect, self)
        await self._answered()

    async def listen(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Subscribe."""
        self._answer = self.net.loop.create_future()
        self.up.send(self.net.on_subscribe, self, [topic for topic, _ in subscriptions])
        await self._answered()

    async def _answered(self) -> None:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                await asyncio.wait([self._answer, self._end], return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            raise LinkError("no answer in time") from None
        if self._end.done():
            raise LinkError("the connection was closed at once")

    async def take_leave(self) -> None:
        """Say farewell."""
        if not self._end.done():
            self.up.send(self.net.on_disconnect, self)

    def ack(self, mid: int, qos: int) -> None:
        """PUBACK of ours."""
        if qos and mid:
            self._point("ack")
            self.up.send(self.net.on_ack, self, mid)

    def post(self, message: Outgoing) -> asyncio.Future[None]:
        """PUBLISH."""
        if self._end.done():
            raise NotConnected("the connection is lost")
        future: asyncio.Future[None] = self.net.loop.create_future()
        if message.qos == 0:
            self.owner.traffic.published += 1
            future.set_result(None)
            return future
        self._point("post alert" if "/alert" in message.topic else "post")
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._mid += 1
        self._waiting[self._mid] = future
        self.up.send(self.net.on_publish, self, self._mid, message)
        return future

    async def drain(self) -> None:
        """QoS 0 never waits here."""

    async def lost(self) -> BaseException | None:
        """Wait for the end."""
        await asyncio.wait([self._end])
        return self._end.exception()

    def abandon(self, why: BaseException) -> None:
        """End it."""
        if not self._end.done():
            self._end.set_exception(why)
            self._end.exception()

    def clear(self) -> None:
        """Nothing comes through any more; the broker sees it, unless it has heard a farewell."""
        self.down.cut = True
        self.abandon(LinkError("closed"))
        self.up.send(self.net.on_broken, self)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NotConnected("the connection broke before the broker answered"))
                future.exception()  # whoever waited for it may be dead
        self._waiting.clear()

    # --- what arrives ---

    def on_accepted(self) -> None:
        """CONNACK."""
        if not self._answer.done():
            self._answer.set_result(None)

    on_subscribed = on_accepted

    def on_published(self, mid: int) -> None:
        """PUBACK."""
        future = self._waiting.pop(mid, None)
        if future is not None and not future.done():
            self.owner.traffic.published += 1
            future.set_result(None)

    def on_message(self, mid: int, message: Outgoing, retain: bool) -> None:
        """PUBLISH of the broker."""
        if self.owner.holds(self):  # type: ignore[arg-type]
            now_us = self.owner.now_us()
            self.owner.arrived(
                Incoming(
                    message.topic, message.payload, int(mid > 0), retain, mid, self._generation, now_us,
                    message.user, message.response_topic, message.correlation,
                )
            )  # fmt: skip

    # --- what happens to it ---

    def cut(self, why: str) -> None:
        """The line breaks: what is under way is lost, and each end is told."""
        self.up.cut = self.down.cut = True
        self.net.loop.call_later(self.net.lag(), self.net.on_broken, self, context=self.net.context)
        context = copy_context() if self.life is None else self.down._context
        self.net.loop.call_later(self.net.lag(), self.abandon, LinkError(why), context=context)

    def hold(self) -> None:
        """Nothing comes through until it is released, or until one end loses patience."""
        self.up.held = self.down.held = True
        later = self.net.loop.call_later
        later(BROKER_PATIENCE * self.settings.keepalive_s, self._given_up, self.net.on_broken, context=self.net.context)
        late = CLIENT_PATIENCE * self.settings.keepalive_s
        later(late, self._given_up, lambda _: self.abandon(LinkError("keep-alive")), context=self.down._context)

    def _given_up(self, then: Callable[[SimLink], None]) -> None:
        if self.up.held:
            then(self)

    def release(self) -> None:
        """The line is well again; a broker that has given us up meanwhile says so."""
        if self.up.cut:
            self.cut("the broker has given us up")
        self.up.release()
        self.down.release()

    def vanish(self, quiet: bool) -> None:
        """Its process died. `quiet`: without the machine's own farewell, as in a power cut."""
        self.up.cut = self.down.cut = True
        later_s = BROKER_PATIENCE * self.settings.keepalive_s if quiet else self.net.lag()
        self.net.loop.call_later(later_s, self.net.on_broken, self, context=self.net.context)


def matches(wanted: str, topic: str) -> bool:
    """MQTT's topic filters."""
    parts, told = wanted.split("/"), topic.split("/")
    for n, part in enumerate(parts):
        if part == "#":
            return True
        if n >= len(told) or part not in ("+", told[n]):
            return False
    return len(parts) == len(told)
