"""The one file that knows the MQTT client. A `Connection` outlives its broker and speaks MQTT 5.

The rules, each of them measured on Mosquitto 2.0 with aiomqtt 2.5:

- fixed client id, `clean_start=False` and a session expiry: either alone loses all that was sent while we were away;
- inputs are acknowledged by us after they were worked on, never by the library on arrival;
- the library's own bounded queue is not used: it discards messages that are already acknowledged. Back-pressure is the
  Receive Maximum: the broker holds what we have not acknowledged yet. Mosquitto 2.0 sends more than that out of a
  backlog, after its own restart all of it and out of order, so when the inbox is full we stop reading the socket;
- a new client for every connection, TCP_NODELAY (44 ms a publish without it), a short keep-alive;
- a negative PUBACK is an error of the publish it answers. The library takes it for success.
"""

from __future__ import annotations

import asyncio
import math
import random
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

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
    tls_context,
    windowed,
)

# The port's own words, for those who want all of it from one place.
__all__ = ["BrokerSettings", "Connection", "Incoming", "NotConnected", "Outgoing", "PublishDenied", "PublishError"]

RESUME_S = 0.01  # how often a held connection looks for room
FAILURE = 0x80  # MQTT 5, 2.4: reason codes from here on are refusals
UNACKNOWLEDGED_MAX = 65_535  # MQTT 5, 3.2.2.3.3: the Receive Maximum of a broker that names none
UNSENT_MAX = 500  # QoS 0 messages that may wait for the socket before their publisher has to


def _properties(message: Outgoing) -> Properties | None:
    if message.expiry_s is None and not message.user and not message.response_topic and not message.correlation:
        return None
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.user:
        properties.UserProperty = list(message.user)
    if message.response_topic:
        properties.ResponseTopic = message.response_topic
    if message.correlation:
        properties.CorrelationData = message.correlation
    return properties


def _will(will: Will | None) -> aiomqtt.Will | None:
    if will is None:
        return None
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = will.delay_s
    return aiomqtt.Will(will.topic, will.payload, will.qos, will.retain, properties)


class _Link(aiomqtt.Client):
    """One connection of a `Connection`: aiomqtt's sockets and handshakes, our own way with messages.

    Overridden are the callbacks that aiomqtt sets on its paho client; the pin on its major version holds their names.
    """

    def __init__(self, owner: Connection, settings: BrokerSettings, tls: ssl.SSLContext | None) -> None:
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.SessionExpiryInterval = settings.session_expiry_s
        connect.ReceiveMaximum = settings.receive_max
        connect.MaximumPacketSize = settings.packet_max_bytes
        super().__init__(
            settings.host,
            settings.port,
            username=settings.username or None,
            password=settings.password or None,
            identifier=owner.client_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=_will(owner.will),
            timeout=settings.timeout_s,
            keepalive=settings.keepalive_s,
            clean_start=settings.clean_start,
            max_inflight_messages=settings.inflight_max,
            properties=connect,
            tls_context=tls,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self._owner = owner
        self._settings = settings
        self._tls = tls
        self._generation = owner.generation
        self._thread = threading.get_ident()
        self._waiting: dict[int, asyncio.Future[None]] = {}  # by message id
        self._unsent = 0  # QoS 0 messages that the socket has not taken
        self._broker_packet_max = math.inf
        self._client.connect_timeout = settings.timeout_s
        if tls is not None:
            self._client._ssl_wrap_socket = self._wrap  # type: ignore[assignment,method-assign]
        self._client.manual_ack_set(True)

    def _wrap(self, tcp: socket.socket) -> ssl.SSLSocket:
        """As paho, but a failed handshake closes the socket instead of leaving it to the garbage collector."""
        assert self._tls is not None
        wrapped = self._tls.wrap_socket(tcp, server_hostname=self._settings.host, do_handshake_on_connect=False)
        try:
            wrapped.settimeout(self._settings.timeout_s)
            wrapped.do_handshake()
        except BaseException:
            wrapped.close()
            raise
        return wrapped

    # --- callbacks of paho, in the event loop ---

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        told: Any = properties
        allowed = getattr(told, "ReceiveMaximum", UNACKNOWLEDGED_MAX)
        # paho does not heed the broker's own limit, and Mosquitto ends the connection of a client that passes it.
        self._client._max_inflight_messages = min(self._settings.inflight_max, allowed)
        self._broker_packet_max = getattr(told, "MaximumPacketSize", math.inf)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        if self._owner._link is not self:
            return  # an abandoned connection: unacknowledged, so the broker sends it again
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._owner.traffic.bad_topics += 1
            self.ack(message.mid, message.qos)
            return
        told: Any = message.properties
        self._owner._arrived(
            Incoming(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=bool(message.retain),
                mid=message.mid,
                generation=self._generation,
                rx_us=self._owner._clock(),
                user=tuple(getattr(told, "UserProperty", ())),
                response_topic=getattr(told, "ResponseTopic", ""),
                correlation=getattr(told, "CorrelationData", b""),
            )
        )

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: ReasonCode, properties: Any) -> None:
        future = self._waiting.pop(mid, None)
        if future is None:
            self._unsent = max(0, self._unsent - 1)  # QoS 0: the socket took it
        elif not future.done():
            if reason_code.value >= FAILURE:
                self._owner.traffic.denied += 1
                future.set_exception(PublishDenied(str(reason_code)))
            else:
                self._owner.traffic.published += 1
                future.set_result(None)

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        """As aiomqtt, with a reader that can be held. Called in the thread that connects."""

        def start() -> None:
            if client.socket() is sock:
                self._loop.add_reader(sock.fileno(), self._read)
                self._misc_task = self._loop.create_task(self._misc_loop())

        self._loop.call_soon_threadsafe(start)

    def _read(self) -> None:
        try:
            while True:
                self._client.loop_read()
                sock: Any = self._client.socket()
                if sock is None:
                    return
                if self._owner._is_full():
                    self._owner.traffic.held += 1
                    self._loop.remove_reader(sock.fileno())
                    self._loop.call_later(RESUME_S, self._resume, sock)
                    return
                # TLS may hold decrypted messages of which the socket knows nothing any more
                if not getattr(sock, "pending", int)():
                    return
        except Exception as error:
            self.abandon(error)

    def _resume(self, sock: Any) -> None:
        number = sock.fileno()
        if self._client.socket() is not sock or self._disconnected.done():
            return
        if self._owner._is_full():
            self._loop.call_later(RESUME_S, self._resume, sock)
        else:
            self._loop.add_reader(number, self._read)
            self._read()

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """As aiomqtt, but never for a socket that was closed meanwhile, and at once when in the loop's own thread."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:
                self.abandon(error)

        def register() -> None:
            if client.socket() is sock and sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        if threading.get_ident() == self._thread:
            register()
        else:
            self._loop.call_soon_threadsafe(register)

    # --- what the owner calls ---

    def ack(self, mid: int, qos: int) -> None:
        """Acknowledge one message to the broker."""
        self._client.ack(mid, qos)

    def post(self, message: Outgoing) -> asyncio.Future[None]:
        """Hand a message to the client. The future ends with its PUBACK; with QoS 0 it is done already."""
        future: asyncio.Future[None] = self._loop.create_future()
        size = len(message.payload) + len(message.topic.encode()) + 64
        if size > self._broker_packet_max:
            # The broker would end the connection over it, and again after every reconnect.
            self._owner.traffic.denied += 1
            raise PublishDenied(f"{size} bytes, and the broker takes at most {self._broker_packet_max:.0f}")
        if len(self._waiting) + self._unsent >= self._settings.waiting_max:
            raise NotConnected("the broker takes messages too slowly")
        info = self._client.publish(message.topic, message.payload, message.qos, message.retain, _properties(message))
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise NotConnected(paho.error_string(info.rc))
        if message.qos == 0:
            self._unsent += 1
            self._owner.traffic.published += 1
            future.set_result(None)
        else:
            # Whoever does not wait for it must not be told so at the end of the program.
            future.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._waiting[info.mid] = future
        return future

    async def drain(self) -> None:
        """Give the socket time when many QoS 0 messages wait for it: a loop of publishes would never let it write."""
        until = self._loop.time() + self._settings.publish_timeout_s
        while self._unsent >= UNSENT_MAX and not self._disconnected.done() and self._loop.time() < until:
            await asyncio.sleep(0.001)

    async def lost(self) -> BaseException | None:
        """Wait until the connection ends; why it did. Cancelling this leaves the connection as it is."""
        await asyncio.wait([self._disconnected])
        return self._disconnected.exception()

    def abandon(self, why: BaseException) -> None:
        """End the connection from our side, at once and without a farewell."""
        if not self._disconnected.done():
            self._disconnected.set_exception(why)

    def clear(self) -> None:
        """Close the socket if it is still open, and fail what still waits for the broker."""
        self._client._sock_close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NotConnected("the connection broke before the broker answered"))
        self._waiting.clear()
        for end in (self._connected, self._disconnected):
            if end.done() and not end.cancelled():
                end.exception()  # seen: else the loop reports it as never retrieved


class Connection:
    """A connection to the broker that comes back by itself.

    `await run()` in a task of its own; it ends only by being cancelled. What arrives stands in `inbox`. It is bounded:
    QoS 0 messages are dropped (`traffic.overflow`) from the Receive Maximum on, at twice the Receive Maximum we stop
    reading (`traffic.held`) until there is room, and no new connection is made before the older half is worked off.
    Messages may come twice (after every loss of the connection) and out of order.

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
        self.inbox: asyncio.Queue[Incoming] = asyncio.Queue()  # bounded by what is read, see above
        self.traffic = Traffic()
        self.generation = 0
        self.problem = "not connected yet"  # why there is no connection; "" while there is one
        self._clock = clock
        self._birth = birth
        self._on_change = on_change
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._since_s = math.inf  # loop time of the present connection

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

    def _arrived(self, incoming: Incoming) -> None:
        self.traffic.received += 1
        if incoming.qos == 0 and self.inbox.qsize() >= self.settings.receive_max:
            self.traffic.overflow += 1
        else:
            self.inbox.put_nowait(incoming)

    def _is_full(self) -> bool:
        return self.inbox.qsize() >= 2 * self.settings.receive_max

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
            await asyncio.wait_for(self.post(message), self.settings.publish_timeout_s)
        except TimeoutError:
            raise NotConnected(f"no answer within {self.settings.publish_timeout_s:g} s") from None

    async def publish_many(self, messages: Iterable[Outgoing], window: int = 1_000) -> list[PublishError | None]:
        """Publish in order, at most `window` QoS 1 messages unanswered; the error of each, None where it arrived."""
        return await windowed(self.post, messages, window, self.settings.publish_timeout_s)

    # --- the life of the connection ---

    async def run(self) -> None:
        """Connect, and connect again whenever the connection is lost, until cancelled."""
        try:
            await self._keep_connected()
        finally:
            self._change(False, "closed")

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        pauses = Pauses(loop.time())
        while True:
            while self.inbox.qsize() > self.settings.receive_max:
                await asyncio.sleep(FIRST_PAUSE_S)  # room first: what a new connection brings must fit
            self._since_s = math.inf
            try:
                problem = await self._connect_once()
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                problem = error
            lasted_s = max(0.0, loop.time() - self._since_s)
            self._change(False, _told(problem))
            await asyncio.sleep(pauses.next_s(loop.time(), lasted_s, random.random()))

    async def _connect_once(self) -> BaseException | None:
        """One connection from its first byte to its end; why it ended."""
        # Read again for every connection, so that a renewed certificate counts from the next one on.
        tls = await asyncio.to_thread(tls_context, self.settings)
        self.generation += 1
        link = self._link = _Link(self, self.settings, tls)
        entered = False
        try:
            await link.__aenter__()
            entered = True
            await self._subscribe(link)
            self.traffic.connects += 1
            self._since_s = asyncio.get_running_loop().time()
            self._change(True, "")
            if self._birth is not None:
                with suppress(PublishError):  # lost again already, or denied and counted
                    await self._birth(self)
            return await link.lost()
        finally:
            self._up.clear()
            self._link = None
            if entered:
                with suppress(aiomqtt.MqttError, OSError, ValueError):
                    await link.__aexit__(None, None, None)  # says farewell, so that no will is published
            link.clear()

    async def _subscribe(self, link: _Link) -> None:
        if not self.subscriptions:
            return
        wanted = [(topic, SubscribeOptions(qos=qos)) for topic, qos in self.subscriptions]
        answers = await link.subscribe(wanted)
        for (topic, _), answer in zip(self.subscriptions, answers, strict=True):
            if isinstance(answer, ReasonCode) and answer.value >= FAILURE:
                raise aiomqtt.MqttError(f"subscription to {topic} refused: {answer}")

    def _change(self, up: bool, problem: str) -> None:
        changed = up != self._up.is_set() or problem != self.problem
        self.problem = problem
        if up:
            self._up.set()
        else:
            self._up.clear()
        if changed and self._on_change is not None:
            self._on_change(up, problem)


def _told(problem: BaseException | None) -> str:
    """Why there is no connection, in words."""
    if problem is None or str(problem) == "[code:128] Unspecified error":  # what paho says of a closed socket
        return "the connection was closed"
    return str(problem) or type(problem).__name__
