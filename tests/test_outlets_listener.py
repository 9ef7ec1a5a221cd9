"""A listener beside the service, on a real Mosquitto: it finds what is there, hears what changes, keeps no ghosts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import samples
from adapters.broker import BrokerSettings
from adapters.formats import alert, geojson, status
from adapters.outlets import listener as listening
from adapters.outlets.listener import Bell, Listener, attend
from adapters.samples import NAMES
from tests.broker_scene import running, settings_of, until
from tests.mosquitto import Mosquitto, free_port
from tests.test_outlets_held import track_payload

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for the file; every test has a site of its own on it."""
    with Mosquitto(tmp_path_factory.mktemp("broker")) as server:
        yield server


Publish = Callable[..., Awaitable[None]]


@asynccontextmanager
async def scene(broker: Mosquitto, site: str) -> AsyncIterator[tuple[Listener, Publish]]:
    """A listener that runs, and how to publish beside it."""
    from adapters.mqtt import Connection

    listener = Listener(settings_of(broker), site, "test")
    task = asyncio.create_task(listener.run())
    async with running(Connection(replace(settings_of(broker, "test-service"), clean_start=True))) as service:

        async def publish(topic: str, payload: bytes, retain: bool = True) -> None:
            await service.publish(f"vedette/v1/{site}/{topic}", payload, 1, retain=retain)

        try:
            yield listener, publish
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_what_is_there_is_found_and_what_changes_is_told(broker: Mosquitto) -> None:
    async def play() -> None:
        said = samples.alarm()
        async with scene(broker, "l1") as (listener, publish):
            await publish("track/5:17", track_payload(17))
            await publish(f"alert/{said.id}", alert.encode(said, NAMES, 1))
            await asyncio.wait_for(listener.changed(0), 15)
            await asyncio.wait_for(listener.alerted(0), 15)
            seen, alerts = listener.held.number, listener.held.alert_number
            waiting = asyncio.create_task(listener.changed(seen))
            await publish(f"alert/{said.id}", alert.encode(replace(said, severity=1), NAMES, 2))
            await asyncio.wait_for(listener.alerted(alerts), 15)
            assert listener.held.alerts()[0].severity == 1
            assert not waiting.done(), "no track changed"
            await publish("track/5:17", b"")
            await asyncio.wait_for(waiting, 15)
            assert listener.held.changes(seen).gone == ("5:17",)
            late = Listener(settings_of(broker), "l1", "late")
            task = asyncio.create_task(late.run())
            await asyncio.wait_for(late.alerted(0), 15)
            assert (late.held.alerts()[0].severity, late.held.count()) == (1, 0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())


def test_a_broker_that_has_forgotten_leaves_no_ghosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes back with nothing: tracks go by age, alerts are closed by name once the service is there and has had the
    time to tell them again; before, nobody knows that they have ended."""
    from adapters.outlets import held

    monkeypatch.setattr(held, "SETTLE_US", 1_000_000)
    monkeypatch.setattr(held, "EXPIRY_US", 3_000_000)
    said = samples.alarm()

    async def play() -> None:
        async with scene(server, "l2") as (listener, publish):
            await publish("track/5:17", track_payload(17))
            await publish(f"alert/{said.id}", alert.encode(said, NAMES, 1))
            await until(lambda: listener.held.count() == 1 and len(listener.held.alerts()) == 1)
            seen = listener.held.alert_number
            await asyncio.to_thread(server.kill)
            (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
            await asyncio.to_thread(server.start)
            await until(lambda: listener.held.count() == 0)
            assert listener.held.alert_number == seen
            await publish("status", status.encode(samples._status()))
            await asyncio.wait_for(listener.alerted(seen), 30)
            assert [a.state for a in listener.held.alert_changes(seen).alerts] == ["closed"]

    with Mosquitto(tmp_path / "broker") as server:
        asyncio.run(play())


def test_what_an_outlet_cannot_do_ends_it_and_a_cancel_ends_both(broker: Mosquitto) -> None:
    async def play() -> None:
        async def fails(_listener: Listener) -> None:
            raise OSError("no such place")

        with pytest.raises(OSError, match="no such place"):
            await attend(Listener(settings_of(broker), "l3", "fails"), fails, str)
        bell = Bell()
        task = asyncio.create_task(attend(Listener(settings_of(broker), "l3", "waits"), lambda _: bell.wait(), str))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 15)

    asyncio.run(play())


def test_it_says_in_words_what_it_holds_and_that_nothing_answers(broker: Mosquitto) -> None:
    port = free_port()

    async def play() -> None:
        nobody = Listener(BrokerSettings("127.0.0.1", port), "l4", "nobody")
        task = asyncio.create_task(nobody.run())
        await until(lambda: "not connected" not in nobody.connection.problem)
        assert nobody.words().startswith(f"no connection to 127.0.0.1:{port}: ")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with scene(broker, "l4") as (listener, publish):
            await publish("track/5:17", b"{")
            await until(lambda: listener.held.refused.total() == 1)
            assert listener.words() == (
                "0 tracks, 0 open alerts, 0 sensors; no word of the service; refused: 1 malformed"
            )
            assert listening.SAY_EVERY_S == 10.0

    asyncio.run(play())


def test_the_command_writes_lines_until_it_is_told_to_end(broker: Mosquitto) -> None:
    async def publish() -> None:
        async with scene(broker, "l5") as (_listener, say):
            await say("track/5:17", track_payload(17))

    asyncio.run(publish())
    words = ["out", "geojson", "--lines", "--broker", f"127.0.0.1:{broker.port}", "--site", "l5"]
    line = [sys.executable, "-m", "adapters.cli", *words]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout is not None
        feature = run.stdout.readline()
        run.terminate()
        _, err = run.communicate(timeout=60)
    assert (run.returncode, err) == (0, b"")
    assert json.loads(feature)["id"] == "5:17"
    (told,) = geojson.decode(b'{"type":"FeatureCollection","features":[%s]}' % feature).tracks
    assert told.speed_mps == 41.6


def test_the_command_writes_a_file_that_is_always_whole(broker: Mosquitto, tmp_path: Path) -> None:
    file = tmp_path / "picture.geojson"

    async def play() -> None:
        async with scene(broker, "l6") as (_listener, say):
            await say("track/5:17", track_payload(17))
            await say(f"alert/{samples.alarm().id}", alert.encode(samples.alarm(), NAMES, 1))
            words = ["out", "geojson", "--file", str(file), "--every", "0.1", "--broker", f"127.0.0.1:{broker.port}"]
            run = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "adapters.cli", *words, "--site", "l6", stderr=asyncio.subprocess.DEVNULL
            )

            def seen() -> geojson.Read:
                return geojson.decode(file.read_bytes()) if file.exists() else geojson.Read()

            async with asyncio.timeout(60):
                while not (seen().tracks and seen().alerts):
                    await asyncio.sleep(0.02)
                await say("track/5:17", b"")
                while seen().tracks:
                    await asyncio.sleep(0.02)
                run.terminate()
                assert await run.wait() == 0
            assert [mark.id for mark in seen().alerts] == [samples.alarm().id]

    asyncio.run(play())
