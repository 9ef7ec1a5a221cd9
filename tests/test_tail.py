"""`vedette tail` against a real Mosquitto: lines on standard output, logs on standard error, an end that is clean."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.broker import BrokerSettings
from adapters.cli import app
from adapters.commands import tail
from adapters.mqtt import Connection
from tests.mosquitto import Mosquitto, free_port, passwords

pytestmark = pytest.mark.alone

TRACK = b'{"schema": "vedette.track.v1",\n  "id": "1:7", "speed_mps": 42.10}'
Publish = Callable[..., Awaitable[None]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for the file; every test has a site of its own on it."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as server:
        yield server


@asynccontextmanager
async def publisher(port: int) -> AsyncIterator[Publish]:
    """A connected client's publish."""
    connection = Connection(BrokerSettings("127.0.0.1", port, f"test-{os.getpid()}", clean_start=True))
    task = asyncio.create_task(connection.run())
    try:
        await asyncio.wait_for(connection.wait_connected(), 10)
        yield connection.publish
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def listen(port: int, site: str, what: str, messages: list[tuple[str, bytes, bool]], count: int) -> list[str]:
    """The lines of `count` messages, published (topic below the site, payload, retained) before and while listening."""

    async def scene() -> list[str]:
        out = io.StringIO()
        async with publisher(port) as publish:
            for topic, payload, retained in messages:
                if retained:
                    await publish(f"vedette/v1/{site}/{topic}", payload, retain=True)
            settings = BrokerSettings("127.0.0.1", port)
            task = asyncio.create_task(tail.follow(site, settings, what, out, count=count, seconds=15))
            await asyncio.sleep(0.5)
            for topic, payload, retained in messages:
                if not retained:
                    await publish(f"vedette/v1/{site}/{topic}", payload)
            assert await task == 0
        return out.getvalue().splitlines()

    return asyncio.run(scene())


def test_a_message_is_one_line_and_its_numbers_stay_as_they_were() -> None:
    assert tail.line("t", TRACK) == '{"schema":"vedette.track.v1","id":"1:7","speed_mps":42.10}'


def test_the_end_of_a_retained_topic_is_a_line_too() -> None:
    text = tail.line("vedette/v1/demo/track/1:7", b"")
    assert json.loads(text) == {"schema": "vedette.gone.v1", "topic": "vedette/v1/demo/track/1:7", "id": "1:7"}


@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_whatever_arrives_gives_one_line_of_json_or_a_refusal(payload: bytes) -> None:
    try:
        text = tail.line("t", payload)
    except ValueError:
        return
    assert "\n" not in text
    assert payload == b"" or json.loads(text) == json.loads(payload)


def test_retained_and_new_tracks_are_listened_to(broker: Mosquitto) -> None:
    lines = listen(
        broker.port,
        "s1",
        "tracks",
        [("track/1:7", TRACK, True), ("alert/a", b'{"no":1}', True), ("track/1:8", b'{"id":"1:8"}', False)],
        2,
    )
    assert [json.loads(line)["id"] for line in lines] == ["1:7", "1:8"]


def test_alerts_and_status_have_their_own_topics(broker: Mosquitto) -> None:
    messages = [
        ("alert/a1", b'{"id":"a1"}', True),
        ("alert-log", b'{"id":"log"}', True),
        ("status", b'{"state":"ok"}', True),
        ("sensor/R1/health", b'{"sensor":"R1"}', True),
        ("track/1:7", TRACK, True),
    ]
    assert listen(broker.port, "s2", "alerts", messages, 1) == ['{"id":"a1"}']
    assert sorted(listen(broker.port, "s2", "status", messages, 2)) == ['{"sensor":"R1"}', '{"state":"ok"}']


def test_a_message_that_is_not_json_is_left_out_and_the_next_is_not(broker: Mosquitto) -> None:
    messages = [("track/1:1", b"\xff{", False), ("track/1:2", b'{"id":"1:2"}', False)]
    assert listen(broker.port, "s3", "tracks", messages, 1) == ['{"id":"1:2"}']


def test_more_may_arrive_than_was_asked_for(broker: Mosquitto) -> None:
    messages = [(f"track/1:{i}", b'{"id":%d}' % i, True) for i in range(50)]
    assert len(listen(broker.port, "s4", "tracks", messages, 7)) == 7


def test_time_over_is_a_good_end_and_no_broker_is_not(broker: Mosquitto) -> None:
    quiet = tail.follow("s5", BrokerSettings("127.0.0.1", broker.port), "tracks", io.StringIO(), seconds=1.0)
    assert asyncio.run(quiet) == 0
    nobody = tail.follow("s5", BrokerSettings("127.0.0.1", free_port()), "tracks", io.StringIO(), seconds=1.0)
    assert asyncio.run(nobody) == 1


def test_the_service_is_not_thrown_out_by_a_listener(broker: Mosquitto) -> None:
    async def scene() -> bool:
        settings = BrokerSettings("127.0.0.1", broker.port, "vedette-s6", clean_start=True)
        service = Connection(settings)
        task = asyncio.create_task(service.run())
        await asyncio.wait_for(service.wait_connected(), 10)
        await tail.follow("s6", settings, "tracks", io.StringIO(), seconds=1.0)
        stayed = service.connected and service.generation == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return stayed

    assert asyncio.run(scene())


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "adapters.cli", "tail", *arguments]


def start(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `vedette tail` to its end."""
    env = {**os.environ, **(environ or {})}
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False, env=env)


def test_the_command_keeps_answers_and_logs_apart(broker: Mosquitto) -> None:
    address = f"127.0.0.1:{broker.port}"
    asyncio.run(_retain(broker.port, "vedette/v1/s7/track/1:7", TRACK))
    run = start("tracks", "--broker", address, "--site", "s7", "-n", "1")
    assert run.returncode == 0
    assert run.stdout == '{"schema":"vedette.track.v1","id":"1:7","speed_mps":42.10}\n'
    logged = [json.loads(line) for line in run.stderr.splitlines()]
    assert [entry["event"] for entry in logged] == ["listening"]


async def _retain(port: int, topic: str, payload: bytes) -> None:
    async with publisher(port) as publish:
        await publish(topic, payload, retain=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(broker: Mosquitto, number: signal.Signals) -> None:
    arguments = command("status", "--broker", f"127.0.0.1:{broker.port}", "--site", "s8")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert "listening" in run.stderr.readline()
        run.send_signal(number)
        out, err = run.communicate(timeout=15)
    assert (run.returncode, out, err) == (0, "", "")


def test_a_reader_that_has_seen_enough_is_no_error(broker: Mosquitto) -> None:
    async def scene() -> tuple[int, bytes]:
        async with publisher(broker.port) as publish:
            await publish("vedette/v1/s9/track/1:0", b'{"id":"1:0"}', retain=True)
            arguments = command("tracks", "--broker", f"127.0.0.1:{broker.port}", "--site", "s9")
            run = await asyncio.create_subprocess_exec(
                *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, limit=1 << 16
            )
            assert run.stdout is not None
            assert run.stderr is not None
            assert await asyncio.wait_for(run.stdout.readline(), 20) == b'{"id":"1:0"}\n'
            run._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # as `| head -1` does
            for i in range(50):
                if run.returncode is not None:
                    break
                await publish(f"vedette/v1/s9/track/1:{i}", TRACK)
                await asyncio.sleep(0.1)
            return await asyncio.wait_for(run.wait(), 10), await run.stderr.read()

    code, errors = asyncio.run(scene())
    assert code == 0
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


@pytest.fixture
def _logging_as_it_was() -> Iterator[None]:
    """A command in this process sets up its logging here."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.usefixtures("_logging_as_it_was")
def test_the_command_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    for arguments, message in (
        (["birds"], "birds"),
        (["--broker", "host:port"], "--broker"),
        (["--config", str(tmp_path)], "service.toml"),
        (["--count", "0", "--broker", "h"], "--count"),
    ):
        run = CliRunner().invoke(app, ["tail", *arguments])  # in this process: starting one costs a second
        assert (run.exit_code, run.stdout) == (2, ""), run.stderr
        assert message in run.stderr


def test_user_and_password_are_taken_from_the_environment(tmp_path: Path) -> None:
    file = passwords(tmp_path, {"watcher": "pw"})
    with Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {file}") as server:
        arguments = ("tracks", "--broker", f"127.0.0.1:{server.port}", "--seconds", "2")
        user = {"VEDETTE_BROKER_USER": "watcher"}
        assert start(*arguments, environ={**user, "VEDETTE_BROKER_PASSWORD": "pw"}).returncode == 0
        run = start(*arguments, environ={**user, "VEDETTE_BROKER_PASSWORD": "wrong"})
        assert run.returncode == 1
        assert "Not authorized" in run.stderr or "not authorised" in run.stderr
