"""One connection to the broker. This file is the only one that knows the MQTT client, aiomqtt on paho.

What the client does otherwise than we need is put right here, each of it measured on aiomqtt 2.5 and Mosquitto 2.0:

- inputs are acknowledged by us after they were worked on, never by the library on arrival;
- the library's own bounded queue is not used: it discards messages that are already acknowledged;
- the keep-alive is looked at five times a second, not once: a half-open link is known within two keep-alives;
- TCP_NODELAY (44 ms a publish without it);
- a negative PUBACK is an error of the publish it answers. The library takes it for success;
- `asyncio.wait_for` is not used: in Python 3.11 it forgets a cancel that arrives together with what it waits for, and
  whoever cancelled us in that moment would wait for ever;
- the library connects in a thread, which nobody can cancel: it closes what comes too late.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
import threading
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import aiomqtt
import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from adapters.broker import BrokerSettings, Incoming, NotConnected, Outgoing, PublishDenied, Traffic, Will

LinkError = aiomqtt.MqttError  # what ends a connection, or keeps it from beginning
RESUME_S = 0.01  # how often a held connection looks for room
FAILURE = 0x80  # MQTT 5, 2.4: reason codes from here on are refusals
UNACKNOWLEDGED_MAX = 65_535  # MQTT 5, 3.2.2.3.3: the Receive Maximum of a broker that names none
LOOK_S = 0.2  # how often the keep-alive is looked at; aiomqtt's second made five seconds of two keep-alives
UNSENT_MAX = 500  # QoS 0 messages that may wait for the socket before their publisher has to
T = TypeVar("T")


class Owner(Protocol):
    """What a link needs of the `Connection` that it is one of."""

    client_id: str
    will: Will | None
    generation: int
    traffic: Traffic

    def now_us(self) -> int:
        """Time of arrival, microseconds UTC."""

    def holds(self, link: Link) -> bool:
        """False once the link was given up."""

    def arrived(self, incoming: Incoming) -> None:
        """Take a message."""

    def is_full(self) -> bool:
        """True while nothing more should be read."""


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


class Link(aiomqtt.Client):
    """One connection of a `Connection`: aiomqtt's sockets and handshakes, our own way with messages.

    Overridden are the callbacks that aiomqtt sets on its paho client; the pin on its major version holds their names.
    """

    def __init__(self, owner: Owner, settings: BrokerSettings, tls: ssl.SSLContext | None) -> None:
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
        self._abandoned = False
        self._held = False  # nothing is read until there is room
        self._over = False  # guarded by the lock: the connecting thread may still be at work when we are through
        self._over_lock = threading.Lock()
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

    def _client_connect(self) -> None:
        """As aiomqtt, in a thread that cannot be cancelled: what comes too late is closed before a byte is sent."""
        super()._client_connect()
        with self._over_lock:
            if self._over:
                self._client._sock_close()

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await fut
        except TimeoutError:
            raise LinkError("no answer in time") from None

    # --- callbacks of paho, in the event loop ---

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason_code: ReasonCode, properties: Properties | None = None
    ) -> None:
        told: Any = properties
        allowed = getattr(told, "ReceiveMaximum", UNACKNOWLEDGED_MAX)
        # paho does not heed the broker's own limit, and Mosquitto ends the connection of a client that passes it.
        self._client._max_inflight_messages = min(self._settings.inflight_max, allowed)
        self._broker_packet_max = getattr(told, "MaximumPacketSize", math.inf)
        # CONNECT has told the broker; our own patience is shorter by what looking and a busy loop add to it.
        self._client._keepalive = self._settings.keepalive_s - 1.5 * LOOK_S  # type: ignore[assignment]
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        if not self._owner.holds(self):
            return  # an abandoned connection: unacknowledged, so the broker sends it again
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._owner.traffic.bad_topics += 1
            self.ack(message.mid, message.qos)
            return
        told: Any = message.properties
        self._owner.arrived(
            Incoming(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=bool(message.retain),
                mid=message.mid,
                generation=self._generation,
                rx_us=self._owner.now_us(),
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
            if not self._over and client.socket() is sock:
                self._loop.add_reader(sock.fileno(), self._read)
                self._misc_task = self._loop.create_task(self._misc_loop())

        self._loop.call_soon_threadsafe(start)

    async def _misc_loop(self) -> None:
        while self._client.loop_misc() == paho.MQTT_ERR_SUCCESS:
            await asyncio.sleep(LOOK_S)
            if self._held:  # the broker's answer to a ping waits behind what we do not read: that is no silence of his
                self._client._ping_t = 0.0

    def _read(self) -> None:
        try:
            while True:
                self._client.loop_read()
                sock: Any = self._client.socket()
                if sock is None:
                    return
                if self._owner.is_full():
                    self._owner.traffic.held += 1
                    self._held = True
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
        if self._owner.is_full():
            self._loop.call_later(RESUME_S, self._resume, sock)
        else:
            self._held = False
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
            if not self._over and client.socket() is sock and sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        if threading.get_ident() == self._thread:
            register()
        else:
            self._loop.call_soon_threadsafe(register)

    def _on_socket_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if not self._over:  # else the loop has never heard of this socket, and this may be the connecting thread
            super()._on_socket_unregister_write(client, userdata, sock)

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        if not self._over:
            super()._on_socket_close(client, userdata, sock)

    # --- what the owner calls ---

    async def enter(self) -> None:
        """Connect: returns after the broker's yes.

        Raises:
            LinkError: no answer, or no.
        """
        await self.__aenter__()
        # aiomqtt forgets an end that came at the heels of the beginning, and would wait for another one.
        if self._abandoned or self._client.socket() is None:
            raise LinkError("the connection was closed at once")

    async def take_leave(self) -> None:
        """Say farewell, so that no will is published; nothing happens when the connection is gone already."""
        with suppress(LinkError, OSError, ValueError):
            await self.__aexit__(None, None, None)

    async def listen(self, subscriptions: Sequence[tuple[str, int]]) -> None:
        """Subscribe to (topic filter, QoS). Raises LinkError: no answer, or one of them is refused."""
        wanted = [(topic, SubscribeOptions(qos=qos)) for topic, qos in subscriptions]
        answers = await self.subscribe(wanted)
        for (topic, _), answer in zip(subscriptions, answers, strict=True):
            if isinstance(answer, ReasonCode) and answer.value >= FAILURE:
                raise LinkError(f"subscription to {topic} refused: {answer}")

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
        self._abandoned = True
        if not self._disconnected.done():
            self._disconnected.set_exception(why)

    def clear(self) -> None:
        """Close the socket if it is still open, or as soon as it is, and fail what still waits for the broker."""
        with self._over_lock:
            self._client._sock_close()
            self._over = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(NotConnected("the connection broke before the broker answered"))
        self._waiting.clear()
        for end in (self._connected, self._disconnected):
            if end.done() and not end.cancelled():
                end.exception()  # seen: else the loop reports it as never retrieved
