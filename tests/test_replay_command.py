"""`vedette replay` on a real Mosquitto: everything arrives in order with its recorded time, and nothing is overrun."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters import deck, feed
from adapters.broker import BrokerSettings, Incoming, NotConnected, Outgoing, PublishDenied, PublishError
from adapters.cli import app
from adapters.commands import replay as replay_command
from adapters.envelope import feed_of
from adapters.errors import ConfigError
from adapters.formats import clock
from adapters.mqtt import Connection
from adapters.wire import rfc3339
from fusion.schema import Frame
from replay import log, player
from tests.mosquitto import Mosquitto, free_port
from tests.shipped import ROOT

START_US = 1_753_670_400_000_000
FRAMES = [
    Frame(0, START_US + 40_000, "in/R1/plots", b'{"a":1}'),
    Frame(1, START_US + 60_000, "in/A1/plots", b"\xff\x00"),
    Frame(2, START_US + 1_210_000, "cmd/acknowledge", b"{}"),
    Frame(3, START_US + 1_995_000, "in/R1/plots", b"last"),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


class Listener:
    """Collects what arrives under a site, in a thread of its own; can answer as a service would."""

    def __init__(self, broker: Mosquitto, site: str, shows_us: int = 0, until_us: int = 2**62) -> None:
        """`shows_us`: time between two pictures, 0 for none; `until_us`: the service stops working there."""
        self.arrived: list[tuple[float, Incoming]] = []
        self._settings = BrokerSettings(broker.host, broker.port, client_id=f"listener-{site}", session_expiry_s=0)
        self._site, self._shows_us, self._until_us = site, shows_us, until_us
        self._up, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._listen()))

    async def _listen(self) -> None:
        base = f"vedette/v1/{self._site}"
        slot = -1
        connection = Connection(self._settings, [(f"{base}/in/#", 1), (f"{base}/cmd/#", 1)])
        runner = asyncio.create_task(connection.run())
        await connection.wait_connected()
        self._up.set()
        while not self._end.is_set():
            try:
                incoming = await asyncio.wait_for(connection.inbox.get(), 0.05)
            except TimeoutError:
                continue
            self.arrived.append((time.monotonic(), incoming))
            connection.ack(incoming)
            if self._shows_us and incoming.topic.endswith("/in/clock"):
                tick_us = clock.decode(incoming.payload)
                if tick_us // self._shows_us != slot and tick_us <= self._until_us:  # as the engine does
                    slot = tick_us // self._shows_us
                    shown = json.dumps({"time": rfc3339(tick_us)}).encode()
                    await connection.publish(f"{base}/picture-delta", shown, qos=0)
        runner.cancel()
        await asyncio.gather(runner, return_exceptions=True)

    def wait_for(self, count: int) -> list[Incoming]:
        deadline = time.monotonic() + 20.0
        while len(self.arrived) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        return [incoming for _, incoming in self.arrived]

    def __enter__(self) -> Listener:
        self._thread.start()
        assert self._up.wait(20.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def settings(broker: Mosquitto) -> BrokerSettings:
    return BrokerSettings(broker.host, broker.port, client_id="test")


def seen(arrived: list[Incoming], site: str) -> list[tuple[str, bytes, tuple[int, int]]]:
    return [(i.topic.removeprefix(f"vedette/v1/{site}/"), i.payload, feed_of(i.user)) for i in arrived]


def test_everything_arrives_in_order_with_its_time_and_ticks(tmp_path: Path, broker: Mosquitto) -> None:
    path = tmp_path / "feed.jsonl.zst"
    log.write(path, FRAMES)
    err = io.StringIO()
    with Listener(broker, "one") as listener:
        assert replay_command.replay(path, settings(broker), "one", "max", err=err) == 0
        expected = list(player.with_ticks(FRAMES))
        assert len(expected) == 4 + 20
        found = seen(listener.wait_for(len(expected)), "one")
    assert [topic for topic, _, _ in found] == [
        {"tick": "in/clock", "cmd/acknowledge": "in/replay/cmd/acknowledge"}.get(f.source, f.source) for f in expected
    ]
    assert [times for _, _, times in found] == [(f.rx_us, f.seq) for f in expected]
    for (topic, payload, times), frame in zip(found, expected, strict=True):
        assert (clock.decode(payload) == times[0]) if topic == "in/clock" else (payload == frame.payload)
    assert "4 frames (no ticks: one every 100 ms is added)" in err.getvalue()
    assert "2 s of feed, as fast as it goes" in err.getvalue()
    assert "done: 24 frames published" in err.getvalue()


def test_a_log_with_ticks_of_its_own_keeps_them(tmp_path: Path, broker: Mosquitto) -> None:
    frames = [*FRAMES[:2], Frame(9, START_US + 77_000, "tick", b"")]
    path = tmp_path / "feed.jsonl"
    log.write(path, frames)
    with Listener(broker, "two") as listener:
        assert replay_command.replay(path, settings(broker), "two", "max", err=io.StringIO()) == 0
        found = seen(listener.wait_for(3), "two")
    assert [times for _, _, times in found] == [(f.rx_us, f.seq) for f in frames]


def test_speed_is_a_multiple_of_recorded_time(tmp_path: Path, broker: Mosquitto) -> None:
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    with Listener(broker, "three") as listener:
        assert replay_command.replay(path, settings(broker), "three", "5", err=io.StringIO()) == 0
        listener.wait_for(24)
        at_s = {i.topic.rsplit("/", 2)[1] + i.payload.decode("latin1"): when for when, i in listener.arrived}
    apart = at_s["R1last"] - at_s['R1{"a":1}']
    assert apart > 1.955 / 5 - 0.05  # never early; how late is the machine's business
    assert len(listener.arrived) == 24


@pytest.mark.parametrize("picture_ms", [100, 200, 500, 700])
def test_it_waits_for_the_last_picture_that_the_service_can_show(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, picture_ms: int
) -> None:
    monkeypatch.setattr(replay_command, "CATCH_UP_S", 5.0)
    path = tmp_path / "feed.jsonl"
    log.write(path, [*FRAMES, Frame(4, START_US + 2_270_000, "in/R1/plots", b"")])  # its tick: 2.3 s
    with Listener(broker, f"four{picture_ms}", shows_us=picture_ms * 1000):
        assert replay_command.replay(path, settings(broker), f"four{picture_ms}", "5", err=io.StringIO()) == 0


@pytest.mark.parametrize("picture_ms", [100, 500])
def test_it_says_when_the_service_stops_before_the_end(
    tmp_path: Path, broker: Mosquitto, monkeypatch: pytest.MonkeyPatch, picture_ms: int
) -> None:
    monkeypatch.setattr(replay_command, "CATCH_UP_S", 0.5)
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    err = io.StringIO()
    with Listener(broker, f"five{picture_ms}", shows_us=picture_ms * 1000, until_us=START_US + 1_200_000):
        assert replay_command.replay(path, settings(broker), f"five{picture_ms}", "5", err=err) == 1
    assert "showed nothing new" in err.getvalue()


def test_frames_after_the_last_tick_are_not_waited_for(tmp_path: Path, broker: Mosquitto) -> None:
    """A recording that was cut off: the service keeps them for a tick that never comes."""
    ticks = [Frame(n, START_US + n * 100_000, "tick", b"") for n in range(10)]
    path = tmp_path / "feed.jsonl"
    log.write(path, [*ticks, Frame(10, START_US + 960_000, "in/R1/plots", b"x")])
    began_s = time.monotonic()
    with Listener(broker, "six", shows_us=100_000):
        assert replay_command.replay(path, settings(broker), "six", "5", err=io.StringIO()) == 0
    assert time.monotonic() - began_s < replay_command.CATCH_UP_S


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        ("+1", "", [2, 3]),
        ("", "+1.17", [0, 1, 2]),  # ends included
        ("+0.02", "+0.02", [1]),
        ("2025-07-28T02:40:01Z", "2025-07-28T02:40:01.9Z", [2]),
    ],
)
def test_a_part_is_played_with_its_own_ticks(
    tmp_path: Path, broker: Mosquitto, start: str, end: str, wanted: list[int]
) -> None:
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    site = f"part{''.join(map(str, wanted))}"
    err = io.StringIO()
    with Listener(broker, site) as listener:
        assert replay_command.replay(path, settings(broker), site, "max", err=err, start=start, end=end) == 0
        count = int(err.getvalue().rsplit("done: ", 1)[1].split()[0])
        found = seen(listener.wait_for(count), site)
    plots = [payload for topic, payload, _ in found if topic != "in/clock"]
    assert plots == [FRAMES[n].payload for n in wanted]
    times = [times for _, _, times in found]
    from_us = replay_command.moment(start, "--from", FRAMES[0].rx_us)
    to_us = replay_command.moment(end, "--to", FRAMES[0].rx_us)
    whole = [(f.rx_us, f.seq) for f in player.with_ticks(FRAMES)]
    assert times == [t for t in whole if t[0] >= from_us and (to_us < 0 or t[0] <= to_us)]


@pytest.mark.parametrize("text", ["yesterday", "+soon", "+inf", "12:00", "+1e400"])
def test_a_moment_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    for option in ("start", "end"):
        with pytest.raises(ConfigError, match="--from" if option == "start" else "--to"):
            replay_command.replay(path, BrokerSettings("127.0.0.1", 1), "x", **{option: text})  # type: ignore[arg-type]


@pytest.mark.parametrize(("start", "end"), [("+2", "+1"), ("+9", ""), ("", "2025-07-28T02:39:59Z")])
def test_a_part_without_anything_is_refused(tmp_path: Path, start: str, end: str) -> None:
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    with pytest.raises(ConfigError, match="name a part of that"):
        replay_command.replay(path, BrokerSettings("127.0.0.1", 1), "x", start=start, end=end)
    with pytest.raises(ConfigError, match="name a part of that"):
        replay_command.offline(path, tmp_path, start=start, end=end)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--offline", "--loop"), "--loop needs a broker"),
        (("--what-if", "rules.toml", "--loop"), "--loop needs a broker"),
        (("--what-if", "rules.toml", "--from", "+1"), "--what-if runs the whole recording"),
    ],
)
def test_options_that_would_be_ignored_are_refused(given: tuple[str, ...], words: str) -> None:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["replay", "feed.jsonl", *given])
    assert done.exit_code == 2
    assert words in done.output


def command(broker: Mosquitto, path: Path, site: str, *more: str) -> list[str]:
    where = ("--broker", f"{broker.host}:{broker.port}", "--site", site)
    return [sys.executable, "-m", "adapters.cli", "replay", str(path), *where, *more]


def clocks(listener: Listener) -> list[int]:
    return [clock.decode(i.payload) for _, i in list(listener.arrived) if i.topic.endswith("/in/clock")]


def wait_until(done: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90.0
    while not done():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def heeds_interrupts() -> None:
    """A shell's background jobs begin with SIGINT ignored, and so do their children."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.alone
def test_a_loop_begins_again_until_it_is_stopped(tmp_path: Path, broker: Mosquitto) -> None:
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    with Listener(broker, "loop") as listener:
        line = command(broker, path, "loop", "--speed", "max", "--loop", "--no-wait")
        process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.PIPE, preexec_fn=heeds_interrupts)  # noqa: PLW1509
        try:
            wait_until(lambda: clocks(listener).count(START_US + 100_000) >= 3, "it did not begin a third time")
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=60)[1]
        finally:
            process.kill()
    assert process.returncode == 1
    assert said.endswith(b"stopped\n"), said
    whole = [f.rx_us for f in player.with_ticks(FRAMES) if f.source == "tick"]
    heard = clocks(listener)
    assert heard[: 2 * len(whole)] == whole + whole


@pytest.mark.alone
def test_on_a_terminal_it_shows_a_bar_and_listens_to_keys(tmp_path: Path, broker: Mosquitto) -> None:
    """A pause sends nothing, a jump sends what is there and nothing of what lies between, q ends it."""
    path = tmp_path / "feed.jsonl"
    log.write(path, [Frame(n, START_US + n * 1_000_000, "in/R1/plots", str(n).encode()) for n in range(300)])
    master, slave = os.openpty()
    screen: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):  # the other end is closed
            while True:
                screen.append(os.read(master, 65_536))

    def shown(text: bytes) -> Callable[[], bool]:
        return lambda: text in b"".join(screen)

    with Listener(broker, "keys") as listener:
        process = subprocess.Popen(
            command(broker, path, "keys", "--speed", "2", "--no-wait"),
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(slave)
        reader = threading.Thread(target=read)
        reader.start()
        try:
            wait_until(lambda: len(clocks(listener)) > 5, "nothing was sent")
            os.write(master, b" ")
            wait_until(shown(b"(paused)"), "no pause is shown")
            held = clocks(listener)[-1]
            assert held < START_US + 60_000_000
            os.write(master, b"\x1b[A\x1b[A")  # a minute on, twice
            os.write(master, b" ")
            wait_until(lambda: clocks(listener)[-1] > held + 100_000_000, "the jump was not made")
            after = next(t for t in clocks(listener) if t > held + 100_000_000)
            before = [t for t in clocks(listener) if t < after][-1]
            os.write(master, b"\x1b[D\x1b[D")
            wait_until(lambda: clocks(listener)[-1] < after, "the jump back was not made")
            os.write(master, b"q")
            assert process.wait(60) == 1
        finally:
            process.kill()
            os.close(master)
            reader.join()
    assert after - before > 100_000_000, "what lies between was sent"
    assert abs(after - before - 120_000_000) <= 1_100_000  # counted from what was shown last
    whole = b"".join(screen)
    assert deck.HELP.encode() in whole
    assert b" %" in whole
    assert rfc3339(START_US).encode()[:10] in whole
    assert b"ended by a key: " in whole


def test_no_broker_is_said_and_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "CONNECT_PATIENCE_S", 0.5)
    path = tmp_path / "feed.jsonl"
    log.write(path, FRAMES)
    err = io.StringIO()
    assert replay_command.replay(path, BrokerSettings("127.0.0.1", free_port()), "x", "max", err=err) == 1
    assert "no answer from 127.0.0.1" in err.getvalue()


def test_what_is_no_frame_log_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "feed.jsonl"
    nowhere = BrokerSettings("127.0.0.1", 1)
    path.write_text("{}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        replay_command.replay(path, nowhere, "x")
    path.write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="no frames"):
        replay_command.replay(path, nowhere, "x")
    with pytest.raises(ConfigError, match="No such file"):
        replay_command.replay(tmp_path / "none", nowhere, "x")
    with pytest.raises(ConfigError, match="--speed"):
        replay_command.replay(path, nowhere, "x", "fast")


class Flaky:
    """Stands for a connection: takes messages, or not, as told; records what it took."""

    def __init__(self, *refusals: tuple[int, PublishError]) -> None:
        self.taken: list[Outgoing] = []
        self.problem = "down"
        self._refusals = list(refusals)

    async def publish_many(self, messages: Iterable[Outgoing], window: int = 1_000) -> list[PublishError | None]:
        given = list(messages)
        if not self._refusals:
            self.taken += given
            return [None] * len(given)
        at, error = self._refusals.pop(0)
        self.taken += given[:at]
        return [None] * at + [error] * (len(given) - at)

    async def wait_connected(self) -> None:
        await asyncio.sleep(0)


def frames(count: int) -> list[Frame]:
    return [Frame(n, START_US + n * 1_000, "in/R1/plots", str(n).encode()) for n in range(count)]


def test_after_a_lost_connection_it_goes_on_with_the_first_that_was_not_taken() -> None:
    link = Flaky((3, NotConnected("gone")), (0, NotConnected("gone")), (2, NotConnected("gone")))
    sender = feed.Sender(link, "x", recorded=True)  # type: ignore[arg-type]
    asyncio.run(sender.send(frames(10)))
    assert [m.payload for m in link.taken] == [str(n).encode() for n in range(10)]
    assert sender.sent == 10


def test_a_refusal_ends_it() -> None:
    sender = feed.Sender(Flaky((3, PublishDenied("not allowed"))), "x", recorded=True)  # type: ignore[arg-type]
    with pytest.raises(PublishDenied):
        asyncio.run(sender.send(frames(10)))


def test_live_sensors_send_no_ticks_and_no_recorded_time() -> None:
    link = Flaky()
    sender = feed.Sender(link, "x", recorded=False)  # type: ignore[arg-type]
    asyncio.run(sender.send([*frames(2), Frame(2, START_US, "tick", b"")]))
    assert [(m.topic, m.user, m.qos) for m in link.taken] == [("vedette/v1/x/in/R1/plots", (), 1)] * 2


def test_the_fastest_replay_never_runs_far_ahead_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LEAD_FRAMES", 20)
    seen = feed.Progress(newest_us=START_US)
    link = Flaky()
    sender = feed.Sender(link, "x", recorded=True, progress=seen)  # type: ignore[arg-type]
    lead: list[int] = []

    async def serve() -> None:
        while seen.newest_us < START_US + 200_000:
            await asyncio.sleep(0.01)
            lead.append(len(link.taken) - (seen.newest_us - START_US) // 1_000)
            seen.newest_us += 5_000

    async def run() -> None:
        service = asyncio.create_task(serve())
        for n in range(20):
            await sender.send([Frame(f.seq, f.rx_us, f.source, f.payload) for f in frames(200)[n * 10 : n * 10 + 10]])
        await service
        assert await sender.caught_up(1.0)

    asyncio.run(run())
    assert len(link.taken) == 200
    assert max(lead) <= 20 + 10 + 1  # the limit, and the chunk that reached it


def progress_of(tick_us: list[int], picture_us: int) -> list[int]:
    """The ticks that become pictures: the first of each slot, as the engine chooses them."""
    return [t for n, t in enumerate(tick_us) if n == 0 or t // picture_us != tick_us[n - 1] // picture_us]


@pytest.mark.parametrize("apart_us", [60_000, 90_000, 100_000, 130_000, 250_000])
@pytest.mark.parametrize("picture_us", [100_000, 200_000, 500_000, 1_000_000, 5_000_000])
def test_the_end_is_reached_with_the_last_picture_and_not_long_before(apart_us: int, picture_us: int) -> None:
    for extra in range(picture_us // apart_us + 1):
        tick_us = [START_US + n * apart_us for n in range(15_000_000 // apart_us + extra)]
        pictures = progress_of(tick_us, picture_us)
        seen = feed.Progress()
        early_us = []
        for time_us in pictures:
            seen.shown(time_us)
            seen.shown(time_us)  # a picture in two parts
            if seen.reached(tick_us[-1]):
                early_us.append(pictures[-1] - time_us)
        assert early_us, (len(tick_us), seen.interval_us)  # reached in the end
        assert max(early_us) < picture_us + apart_us + feed.PICTURE_STEP_US
        if apart_us == 100_000:
            assert early_us == [0]  # exact for the ticks that a replay adds, and near it for others


def test_a_lost_picture_and_a_late_tick_do_not_change_the_interval() -> None:
    seen = feed.Progress()
    assert seen.interval_us == 0
    for n in range(20):
        if n != 7:
            seen.shown(START_US + n * 500_000 + (170_000 if n == 12 else n * 100))
    assert seen.interval_us == 600_000  # 500.1 ms, rounded up


def test_without_a_service_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "LEAD_FRAMES", 5)
    sender = feed.Sender(Flaky(), "x", recorded=True, progress=feed.Progress())  # type: ignore[arg-type]
    started = time.monotonic()
    asyncio.run(asyncio.wait_for(sender.send(frames(500)), 10.0))
    assert time.monotonic() - started < 5.0


def test_a_timetable_is_sent_in_chunks_of_what_is_due() -> None:
    link = Flaky()
    chunks: list[int] = []
    sender = feed.Sender(link, "x", recorded=True)  # type: ignore[arg-type]
    schedule = player.pace(frames(1_200), math.inf)
    asyncio.run(feed.play(sender, schedule, lambda frame, sent: chunks.append(sent)))
    assert chunks == [500, 1_000, 1_200]
    assert [m.payload for m in link.taken] == [str(n).encode() for n in range(1_200)]
