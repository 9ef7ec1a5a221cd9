"""A `Connection` ends when it is cancelled, in whatever moment of connecting the cancel comes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
import uvloop

from adapters import broker as words
from adapters.broker import BrokerSettings, NotConnected, Outgoing
from adapters.link import Link
from adapters.mqtt import Connection
from tests.broker_scene import play, running, settings_of, take, until
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.alone

ENDS_S = 2.0
LOOPS = pytest.mark.parametrize("run", [asyncio.run, uvloop.run])  # the commands use both
Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(name="broker", scope="module")
def _broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running_:
        yield running_


async def ends(task: asyncio.Task[None]) -> bool:
    """True when a cancelled task ends as cancelled in time."""
    await asyncio.wait([task], timeout=ENDS_S)
    if task.done():
        return task.cancelled()
    task.cancel()  # the second one, so that the test itself can end
    await asyncio.wait([task], timeout=ENDS_S)
    return False


async def swept(make: Callable[[int], Connection], delays_ms: list[float]) -> list[float]:
    """Cancel one connection after each of these times; the times after which it did not end."""
    hung = []
    for number, delay_ms in enumerate(delays_ms):
        task = asyncio.create_task(make(number).run())
        await asyncio.sleep(delay_ms / 1000)
        task.cancel()
        if not await ends(task):
            hung.append(delay_ms)
    return hung


@LOOPS
def test_at_any_time_with_a_broker_that_answers(broker: Mosquitto, run: Runner) -> None:
    async def birth(connection: Connection) -> None:
        await connection.publish("status", b"online", 1)

    def make(number: int) -> Connection:
        return Connection(settings_of(broker, f"sweep{number}"), [("t", 1)], birth=birth)

    async def scene() -> None:
        assert await swept(make, [n * 0.25 for n in range(160)]) == []

    run(scene())


class Silent:
    """Takes connections and never answers."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]

    def heard(self) -> list[bytes]:
        """What each connection sent until it was closed from the other side. One left open fails the test."""
        found: list[bytes] = []
        while True:
            try:
                taken, _ = self._listener.accept()
            except BlockingIOError:
                return found
            with taken:
                taken.settimeout(ENDS_S)
                said = b""
                while part := taken.recv(4096):
                    said += part
                found.append(said)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def silent() -> Iterator[Silent]:
    port = Silent()
    try:
        yield port
    finally:
        port.close()


@LOOPS
def test_at_any_time_with_a_port_that_never_answers(run: Runner) -> None:
    async def scene() -> None:
        settings = BrokerSettings("127.0.0.1", port.port, timeout_s=0.1)
        # The first steps are those of connecting, the later ones those of the timeout and the pause after it.
        delays_ms = [n * 0.5 for n in range(60)] + [95.0 + n for n in range(40)]
        assert await swept(lambda _: Connection(settings, [("t", 1)]), delays_ms) == []

    with silent() as port:
        run(scene())
        assert len(port.heard()) >= 50


CALLBACKS = ["_on_socket_open", "_on_connect", "_on_subscribe", "_on_publish"]


@LOOPS
@pytest.mark.parametrize("callback", CALLBACKS)
def test_together_with_the_very_answer_that_it_waits_for(
    broker: Mosquitto, run: Runner, callback: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What asyncio.wait_for of Python 3.11 forgets."""
    original: Callable[..., None] = getattr(Link, callback)
    tasks: list[asyncio.Task[None]] = []

    def cancelling(link: Link, *given: Any) -> None:
        original(link, *given)
        link._loop.call_soon_threadsafe(tasks[0].cancel) if callback == "_on_socket_open" else tasks[0].cancel()

    async def birth(connection: Connection) -> None:
        await connection.publish("status", b"online", 1)

    async def scene() -> None:
        connection = Connection(settings_of(broker, f"at{callback}"), [("t", 1)], birth=birth)
        monkeypatch.setattr(Link, callback, cancelling)
        tasks.append(asyncio.create_task(connection.run()))
        async with asyncio.timeout(10.0):
            while not tasks[0].cancelling():
                await asyncio.sleep(0.001)
        assert await ends(tasks[0])
        assert not connection.connected
        assert connection.problem == "closed"

    run(scene())


def test_a_cancel_that_the_birth_keeps_for_itself_counts_too(broker: Mosquitto) -> None:
    async def scene() -> None:
        started = asyncio.Event()

        async def birth(_: Connection) -> None:
            started.set()
            try:
                await asyncio.sleep(60.0)
            except asyncio.CancelledError:
                return

        task = asyncio.create_task(Connection(settings_of(broker), birth=birth).run())
        await started.wait()
        task.cancel()
        assert await ends(task)

    play(scene())


def test_a_connection_can_run_in_a_task_that_was_cancelled_before(broker: Mosquitto) -> None:
    """Only cancels younger than `run` end it: a cleanup may need the broker."""

    async def scene() -> None:
        connection = Connection(settings_of(broker), [("t", 1)])

        async def cleanup() -> None:
            try:
                await asyncio.sleep(60.0)
            finally:
                await connection.run()

        task = asyncio.create_task(cleanup())
        await asyncio.sleep(0)
        task.cancel()
        await until(lambda: connection.connected)
        task.cancel()
        assert await ends(task)

    play(scene())


def test_a_publish_cancelled_together_with_its_answer_is_cancelled(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Link._on_publish
    tasks: list[asyncio.Task[Any]] = []

    def cancelling(link: Link, *given: Any) -> None:
        original(link, *given)
        tasks[-1].cancel()

    async def scene() -> None:
        monkeypatch.setattr(Link, "_on_publish", cancelling)
        async with running(Connection(settings_of(broker))) as connection:
            many = [Outgoing("t", b"x", 1) for _ in range(3)]
            works: list[Awaitable[Any]] = [
                connection.publish("t", b"x", 1),
                connection.publish_many(many, window=1),
            ]
            for work in works:
                tasks.append(asyncio.ensure_future(work))
                await asyncio.wait([tasks[-1]], timeout=ENDS_S)
                assert tasks[-1].cancelled()

    play(scene())


def test_a_window_that_gets_room_in_the_moment_of_the_cancel_is_cancelled() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        posted: list[asyncio.Future[None]] = []

        def post(_: Outgoing) -> asyncio.Future[None]:
            posted.append(loop.create_future())
            return posted[-1]

        messages = [Outgoing("t", b"", 1) for _ in range(3)]
        task = asyncio.create_task(words.windowed(post, messages, 1, 5.0))
        await until(lambda: len(posted) == 1)
        posted[0].set_result(None)
        await asyncio.sleep(0)  # the room is there, and whoever waits for it is about to be woken
        task.cancel()
        await asyncio.wait([task], timeout=ENDS_S)
        assert task.cancelled()

    play(scene())


def test_a_socket_that_opens_after_the_cancel_is_closed_before_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that connects cannot be cancelled. Left alone it would take over our own session later."""
    original = paho.Client._create_socket_connection

    def slow(client: paho.Client) -> Any:
        time.sleep(0.3)
        return original(client)

    async def scene() -> None:
        task = asyncio.create_task(Connection(BrokerSettings("127.0.0.1", port.port), [("t", 1)]).run())
        await asyncio.sleep(0.1)
        task.cancel()
        assert await ends(task)
        await asyncio.sleep(0.5)  # longer than the thread needs
        assert await asyncio.to_thread(port.heard) == [b""]

    monkeypatch.setattr(paho.Client, "_create_socket_connection", slow)
    with silent() as port:
        play(scene())


@pytest.mark.parametrize("by", ["us", "the broker"])
def test_a_connection_that_ends_at_the_heels_of_its_beginning_is_made_again(
    broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    original = Link._on_connect

    def cut(link: Link, *given: Any) -> None:
        original(link, *given)
        sock = link._client.socket()
        if link._generation == 1 and isinstance(sock, socket.socket):
            if by == "us":
                link.abandon(OSError("cut"))
            else:
                sock.shutdown(socket.SHUT_RDWR)
                link._loop.call_soon(link._read)

    async def scene() -> None:
        monkeypatch.setattr(Link, "_on_connect", cut)
        async with running(Connection(settings_of(broker))) as connection:  # nothing to subscribe, nobody to notice
            await until(lambda: connection.generation == 2 and connection.connected)
            await connection.publish("t", b"", 1)

    play(scene())


def test_a_farewell_that_is_cancelled_leaves_nothing_open(tmp_path: Path) -> None:
    async def scene() -> None:
        connection = Connection(replace(settings_of(hung), timeout_s=30.0, keepalive_s=60))
        async with running(connection):
            await connection.publish("t", b"", 1)
        task = asyncio.create_task(connection.run())
        await until(lambda: connection.connected)
        link = connection._link
        assert link is not None
        hung.pause()
        answer = link.post(Outgoing("t", b"", 1))
        link._client.disconnect = lambda *_: paho.MQTT_ERR_SUCCESS  # type: ignore[method-assign]
        task.cancel()
        await asyncio.sleep(0.1)
        assert not task.done()  # the farewell waits for a broker that stands still
        task.cancel()
        assert await ends(task)
        assert link._client.socket() is None
        assert isinstance(answer.exception(), NotConnected)
        hung.resume()

    with Mosquitto(tmp_path / "hung") as hung:
        play(scene())


def test_the_next_of_the_same_name_is_not_thrown_out_by_one_that_was_cancelled(broker: Mosquitto) -> None:
    async def scene() -> None:
        settings = settings_of(broker, "same")
        await swept(lambda _: Connection(settings, [("same", 1)]), [0.0, 0.5, 1.0, 2.0, 3.0, 5.0])
        async with running(Connection(settings, [("same", 1)])) as connection:
            await connection.publish("same", b"x", 1)
            await take(connection, 1)
            await asyncio.sleep(0.5)
            assert connection.connected
            assert connection.generation == 1

    play(scene())
