"""The picture at TAK: a real server and a real client read what we send, field by field, and all of it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters import pki, samples
from adapters.broker import BrokerSettings, now_us
from adapters.formats import alert as alerts
from adapters.formats import cot
from adapters.outlets import cot as outlet
from adapters.outlets.command import _context
from adapters.outlets.cot import CotOutlet, Datagrams, Link, Stream
from adapters.outlets.listener import Listener
from adapters.samples import NAMES
from fusion.schema import Alert
from tests.broker_scene import until
from tests.mosquitto import free_port
from tests.shipped import ROOT
from tests.tak import Reader, Taky
from tests.test_outlets_held import BASE, track_payload

pytestmark = pytest.mark.alone
SAMPLE = 300  # events through taky and pytak here; tests/soak has the long form


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taky]:
    """One TAK server for the file."""
    with Taky(tmp_path_factory.mktemp("taky")) as taky:
        yield taky


def listener(site: str = NAMES.site) -> Listener:
    """One that is told by the test what a broker would tell it."""
    return Listener(BrokerSettings("127.0.0.1"), site, "test")


def hear(to: Listener, name: str, payload: bytes) -> None:
    to.held.take(BASE + name, payload, False, now_us())
    to.ring()


def say(to: Listener, said: Alert) -> None:
    hear(to, f"alert/{said.id}", alerts.encode(said, NAMES, 1))


@asynccontextmanager
async def sending(link: Link, to: Listener) -> AsyncIterator[CotOutlet]:
    out = CotOutlet(link, 0.1)
    task = asyncio.create_task(out.serve(to))
    try:
        yield out
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_a_tak_client_reads_what_we_say_through_a_tak_server(server: Taky) -> None:
    """pytak and taky find in every event what our own decoder finds."""
    to = listener()
    for counter in range(SAMPLE):
        hear(to, f"track/5:{counter}", track_payload(counter, now_us(), 10.0 + counter / 10))

    async def play(reader: Reader) -> None:
        async with sending(Stream("127.0.0.1", server.port), to) as out:
            await asyncio.to_thread(reader.all, SAMPLE)
            assert out.sent >= SAMPLE

    with Reader(f"tcp://127.0.0.1:{server.port}", 10_000) as reader:
        asyncio.run(play(reader))
    assert sorted(event["uid"] for event in reader.seen) == sorted(
        cot.track_uid(NAMES.site, f"5:{counter}") for counter in range(SAMPLE)
    )
    for event in reader.seen:
        told = to.held.track(event["uid"].removeprefix(cot.track_uid(NAMES.site, "")))
        assert told is not None
        ours = cot.decode(cot.encode(cot.track(told, NAMES.site)))
        time = datetime.fromisoformat(event["time"]).replace(tzinfo=UTC)
        assert (event["type"], event["how"], time) == (
            ours.type,
            ours.how,
            told.time.replace(microsecond=time.microsecond),
        )
        assert event["stale_s"] == pytest.approx((ours.stale_us - ours.t_us) / 1e6, abs=0.0015)
        assert event["point"] == pytest.approx([ours.lat_deg, ours.lon_deg, ours.hae_m, ours.ce_m, ours.le_m], abs=1e-6)
        assert event["detail"]["contact"]["callsign"] == ours.callsign
        assert float(event["detail"]["track"]["speed"]) == ours.speed_mps == told.speed_mps
        assert float(event["detail"]["track"]["course"]) == ours.course_deg
        assert event["detail"]["remarks"]["text"] == ours.remarks
        assert {**event["detail"]["vedette"], "text": ""} == {**dict(ours.own), "text": ""}


def test_an_alert_is_raised_changed_and_cancelled_under_one_uid(server: Taky) -> None:
    to, raised = listener(), samples.alarm()
    uid = cot.alert_uid(NAMES.site, raised.id)

    async def play(reader: Reader) -> None:
        async with sending(Stream("127.0.0.1", server.port), to) as out:
            await until(lambda: out.connects == 1)
            say(to, raised)
            first = await asyncio.to_thread(reader.until, uid, cot.ALERT)
            assert raised.sentence in first["detail"]["remarks"]["text"]
            say(to, replace(raised, state="updated", severity=1))
            second = await asyncio.to_thread(reader.until, uid, cot.ALERT)
            assert second["detail"]["vedette"]["severity"] == "1"
            say(to, replace(raised, state="closed", close_reason="landed"))
            last = await asyncio.to_thread(reader.until, uid, cot.CANCEL)
            assert last["detail"]["emergency"]["cancel"] == "true"
            gone = await asyncio.to_thread(reader.until, f"{uid}.end", cot.DELETE)
            assert gone["detail"]["link"]["uid"] == uid

    with Reader(f"tcp://127.0.0.1:{server.port}", 10_000) as reader:
        asyncio.run(play(reader))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority with a server of 127.0.0.1 and clients, as `vedette pki` makes them."""
    folder = tmp_path_factory.mktemp("keys") / "pki"
    pki.generate(folder, ROOT / "config", pki.Wanted((), (), ("127.0.0.1",), "test", 2))
    return folder


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, keys: Path) -> Iterator[Taky]:
    """A TAK server that speaks TLS and wants a certificate of that authority."""
    with Taky(tmp_path_factory.mktemp("secured"), keys=keys) as taky:
        yield taky


def test_a_server_with_certificates_and_we_know_each_other(secured: Taky, keys: Path) -> None:
    """pytak reads over TLS, with a certificate of its own, what came over TLS with ours."""
    to, raised = listener(), samples.alarm()
    context = _context(keys / "ca.pem", keys / "outlet.pem", keys / "outlet.key")

    async def play(reader: Reader) -> None:
        async with sending(Stream("127.0.0.1", secured.port, context), to) as out:
            await until(lambda: out.connects == 1)
            hear(to, "track/5:1", track_payload(1, now_us()))
            say(to, raised)
            event = await asyncio.to_thread(reader.until, cot.alert_uid(NAMES.site, raised.id), cot.ALERT)
            assert raised.sentence in event["detail"]["remarks"]["text"]
            await asyncio.to_thread(reader.until, cot.track_uid(NAMES.site, "5:1"), "a-u-A")

    own = {"CERT": "operator.pem", "KEY": "operator.key", "CAFILE": "ca.pem"}
    settings = {f"PYTAK_TLS_CLIENT_{name}": str(keys / file) for name, file in own.items()}
    with Reader(f"tls://127.0.0.1:{secured.port}", 10_000, pytak=settings) as reader:
        asyncio.run(play(reader))


@pytest.mark.parametrize(
    ("mine", "host", "why"),
    [("no authority", "127.0.0.1", "certificate verify failed"), ("another name", "localhost", "Hostname mismatch"),
     ("no certificate", "127.0.0.1", "certificate required"), ("no TLS", "127.0.0.1", "closed the connection")],
)  # fmt: skip
def test_who_does_not_know_the_other_says_nothing_to_it(
    secured: Taky, keys: Path, mine: str, host: str, why: str
) -> None:
    to = listener()
    hear(to, "track/5:1", track_payload(1, now_us()))
    named = mine in ("another name", "no authority")
    ca, cert, key = (keys / name for name in ("ca.pem", "outlet.pem", "outlet.key"))
    context = _context(None if mine == "no authority" else ca, cert if named else None, key if named else None)

    async def play() -> None:
        link = Stream(host, secured.port, None if mine == "no TLS" else context)
        async with sending(link, to) as out:
            await until(lambda: why in out.problem)

    asyncio.run(play())


def test_what_is_gone_when_a_server_comes_back_is_deleted_by_name(tmp_path: Path) -> None:
    to, port, raised = listener(), free_port(), samples.alarm()
    for counter in (1, 2):
        hear(to, f"track/5:{counter}", track_payload(counter, now_us()))
    say(to, raised)

    async def play() -> None:
        link = Stream("127.0.0.1", port)
        async with sending(link, to) as out:
            first = await asyncio.to_thread(Taky(tmp_path / "one", port).__enter__)
            await until(lambda: len(out._shown) == 3)
            await asyncio.to_thread(first.kill)
            await until(lambda: out.problem != "")
            hear(to, "track/5:1", b"")
            hear(to, "alert/" + raised.id, b"")
            second = await asyncio.to_thread(Taky(tmp_path / "two", port).__enter__)
            try:
                await until(lambda: out.connects == 2 and len(out._shown) == 1)
                assert list(out._shown) == [cot.track_uid(NAMES.site, "5:2")]
                assert "connected" in out.words()
            finally:
                await asyncio.to_thread(second.kill)

    asyncio.run(play())


@contextmanager
def deaf() -> Iterator[int]:
    """A server that takes a connection and never reads; its port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield int(server.getsockname()[1])


def test_a_server_that_reads_nothing_is_left_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "PATIENCE_S", 0.5)
    monkeypatch.setattr(outlet, "MOST_UNSENT_BYTES", 10_000)
    to, payload = listener(), track_payload(1, now_us())

    async def play(port: int) -> None:
        async with sending(Stream("127.0.0.1", port), to) as out:
            for counter in range(400_000):
                if out.connects > 1:
                    break
                hear(to, f"track/5:{counter % 2_000}", payload.replace(b'"5:1"', b'"5:%d"' % (counter % 2_000)))
                if counter % 20 == 0:
                    await asyncio.sleep(0.0005)
            assert out.connects > 1, "it was left and tried again"

    with deaf() as port:
        asyncio.run(play(port))


def test_datagrams_arrive_and_an_end_is_said_three_times() -> None:
    to, raised = listener(), samples.alarm()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(15.0)
        hear(to, "track/5:1", track_payload(1, now_us()))
        say(to, raised)

        def events(count: int) -> list[cot.Event]:
            return [cot.decode(ear.recv(65_536)) for _ in range(count)]

        async def play() -> None:
            async with sending(Datagrams("127.0.0.1", ear.getsockname()[1]), to):
                first = await asyncio.to_thread(events, 2)
                assert sorted(event.type for event in first) == ["a-u-A", "b-a-g"]
                hear(to, "track/5:1", b"")
                gone = await asyncio.to_thread(events, 3)
                assert {(event.type, event.linked) for event in gone} == {("t-x-d-d", first[1].uid)}
                say(to, replace(raised, state="closed"))
                ended = await asyncio.to_thread(events, 6)
                assert [event.type for event in ended] == ["b-a-o-can", "t-x-d-d"] * 3

        asyncio.run(play())
