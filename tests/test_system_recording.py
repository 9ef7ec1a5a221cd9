"""A real `vedette run` records what a real Mosquitto brings: nothing published is missing after kill -9, the recording
run again says the same to the bit, and the tools of others open it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TypeVar

import pytest

from adapters import config as configuration
from adapters.commands import simulate
from adapters.envelope import enveloped, opened
from adapters.formats import command
from adapters.running.offline import Offline
from adapters.running.outputs import DIGEST, read_digest
from adapters.store import AlertJournal
from adapters.wire import parse_time
from fusion.schema import US_PER_S, Command, Frame
from replay import log, recording
from replay.log import START
from replay.mcapfile import Output, tails_of
from replay.simulate import Scenario
from tests import shipped
from tests.conftest import need
from tests.running import PATIENCE_S, Ear, Mosquitto, Service, ports, vedette, write_config

SECONDS = 30
T = TypeVar("T", Frame, Output)


@dataclass
class Stand:
    """What two runs over the same feed left: the first was killed in the middle, the second ended in order."""

    config: Path
    feed: list[Frame]
    killed: list[Path]
    whole: list[Path]
    heard_us: int  # the newest picture that anybody heard of the first
    journalled: list[bytes]  # when it was killed


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    folder = tmp_path_factory.mktemp("recording")
    scene = Scenario.load("lithuania-2025-07-28")
    until_us = scene.start_us + SECONDS * US_PER_S
    frames = list(takewhile(lambda frame: frame.rx_us <= until_us, scene.frames(simulate.encode)))
    order = command.encode(Command(0, "mode", "", "the watch", "exercise", to="tension"))
    at = next(n for n, f in enumerate(frames) if f.rx_us > scene.start_us + 2 * US_PER_S)
    said = enveloped(Frame(0, frames[at].rx_us, "cmd/mode", order), response_topic="somebody/waits", correlation=b"7")
    frames = [replace(f, seq=n) for n, f in enumerate([*frames[:at], said, *frames[at:]])]
    log.write(folder / "feed.jsonl", frames)
    http_port, _ = ports()
    with Mosquitto(folder / "broker") as broker:
        formats = simulate.formats(scene)
        rolled = "[record]\nfile_s = 12"
        config = write_config(folder / "config", broker.port, scene.sensors, formats, http_port, rolled)
        play = ("replay", str(folder / "feed.jsonl"), "--broker", f"127.0.0.1:{broker.port}", "--site", "test")
        service = Service(config, http_port, "--clock", "feed")
        with service, Ear(broker.port, "picture-delta") as ear:
            player = vedette(*play, "--speed", "20", stderr=subprocess.DEVNULL)
            ear.wait_for(lambda heard: _newest(heard) > scene.start_us + SECONDS // 2 * US_PER_S)
            service.kill()
            player.kill()
            player.wait()
            heard_us = _newest(ear)
        with AlertJournal(config / "var" / "alerts.jsonl") as journal:
            journalled = list(journal.entries())
        with service:
            player = vedette(*play, "--speed", "max", stderr=subprocess.DEVNULL)
            assert player.wait(120) == 0
            assert service.get("/readyz") == (200, "ready\n")
            assert service.metric("vedette_recorder_up") == 1
            deadline = time.monotonic() + PATIENCE_S
            while service.metric("vedette_frames_recorded_total") < len(frames) + 1 and time.monotonic() < deadline:
                time.sleep(0.1)  # a replay that saw no picture yet does not wait for the last one
            assert service.metric("vedette_frames_recorded_total") == len(frames) + 1
            assert service.stop() == 0
    files = sorted((config / "var" / "recordings").glob("*.mcap"))
    killed = [file for file in files if file.name.startswith("e000001-")]
    return Stand(config, frames, killed, files[len(killed) :], heard_us, journalled)


def _newest(ear: Ear) -> int:
    return max((parse_time(told["time"]) for told in ear.of("picture-delta")), default=-1)


def _items(files: Sequence[Path], kind: type[T]) -> list[T]:
    return [item for file in files for item in recording.items(file) if isinstance(item, kind)]


def _plain(frames: Sequence[Frame]) -> list[tuple[int, str, bytes, str, bytes]]:
    """What an envelope says of this way through the broker is left out: who asked, and what, stays."""
    return [(f.rx_us, f.source, *opened(f.payload)) for f in frames]


def test_after_kill_9_every_tick_that_was_published_is_there(stand: Stand) -> None:
    beside = [tail.exists() for file in stand.killed for tail in tails_of(file)]
    assert beside == [False, False] * (len(stand.killed) - 1) + [True, True]
    start, *frames = _items(stand.killed, Frame)
    assert start.source == START
    assert len(frames) > len(stand.feed) // 4
    assert _plain(frames) == _plain(stand.feed[: len(frames)])
    assert [f.seq for f in frames] == list(range(2, len(frames) + 2))
    assert max(f.rx_us for f in frames if f.source == "tick") >= stand.heard_us > 0
    assert recording.contents(stand.killed[-1]).damage.frames == 0


def test_every_journalled_alert_was_recorded_or_is_of_the_tick_in_hand(stand: Stand) -> None:
    """The journal is synced before an alert leaves, the recording of what was said follows."""
    said = [output.payload for output in _items(stand.killed, Output) if output.topic == "alert"]
    alerts = [entry for entry in stand.journalled if b'"vedette.alert.v1"' in entry]
    assert said == alerts[: len(said)]
    ticks = {json.loads(entry)["time"] for entry in alerts[len(said) :]}
    assert len(ticks) <= 1


def test_both_runs_again_are_identical_to_the_bit(stand: Stand) -> None:
    loaded = configuration.load(stand.config, environ={})
    for files in (stand.killed, stand.whole):
        verdict = Offline(loaded, shipped.zones()).run(item for file in files for item in recording.items(file))
        assert verdict.same, verdict.words()
        assert verdict.notes == []
        assert verdict.compared >= (SECONDS if files == stand.whole else SECONDS // 2)
    assert _plain(_items(stand.whole, Frame)[1:]) == _plain(stand.feed)
    raised = [json.loads(o.payload) for o in _items(stand.whole, Output) if o.topic == "alert"]
    assert {told["mode"] for told in raised} == {"tension"}  # the order of a person was replayed too


def test_a_file_that_begins_in_the_middle_of_the_run_comes_to_the_same_end(stand: Stand) -> None:
    """It is entered at its own first checkpoint, and its digests are chains from the beginning of the run."""
    assert len(stand.whole) == 3
    loaded = configuration.load(stand.config, environ={})
    verdict = Offline(loaded, shipped.zones()).run(recording.items(stand.whole[-1]))
    assert verdict.same, verdict.words()
    assert verdict.notes == []
    assert verdict.compared < SECONDS // 2


def test_a_changed_frame_is_noticed(stand: Stand) -> None:
    loaded = configuration.load(stand.config, environ={})
    plots = [f for f in _items(stand.whole[:1], Frame) if f.source == "in/R1/plots"]
    gone = plots[len(plots) // 2].seq
    items = (i for i in recording.items(stand.whole[0]) if not (isinstance(i, Frame) and i.seq == gone))
    verdict = Offline(loaded, shipped.zones()).run(items)
    assert not verdict.same
    assert "tracks" in verdict.differs


def test_recovered_it_opens_in_the_tools_of_npm(stand: Stand, tmp_path: Path) -> None:
    """Through the index, with schemas that name the fields of what is there."""
    path = tmp_path / "recovered.mcap"
    done = vedette("record", "recover", str(stand.killed[-1]), str(path), stdout=subprocess.PIPE)
    assert b"not finished" in done.communicate(timeout=60)[0]
    assert done.returncode == 0
    modules = shipped.ROOT / ".venv" / "node"
    assert (modules / "node_modules" / "@mcap").is_dir(), "the MCAP tools of npm are missing. Cure: make test"
    for file in (path, stand.whole[0]):
        line = [need("node"), str(shipped.ROOT / "tests" / "node" / "read.mjs"), str(modules), str(file)]
        found = json.loads(subprocess.run(line, capture_output=True, check=True, timeout=60).stdout)
        ours = recording.contents(file)
        assert found["counts"] == ours.sources | {f"out/{topic}": count for topic, count in ours.outputs.items()}
        assert found["strange"] == 0
        assert found["schemas"]["in/R1/plots"] == "vedette.plots.v1"
        assert found["schemas"]["out/picture"] == "vedette.picture.v1"


def test_the_command_says_the_same_under_another_hash_seed_entered_in_the_middle(stand: Stand, tmp_path: Path) -> None:
    """Files joined by `record merge`, run by `replay --offline`: status 0, and the digests that were said last."""
    whole = tmp_path / "whole.mcap"
    assert vedette("record", "merge", str(whole), *map(str, stand.whole), stdout=subprocess.DEVNULL).wait(60) == 0
    last = [read_digest(o.payload) for o in _items([whole], Output) if o.topic == DIGEST][-1]
    done = vedette(
        "replay", str(whole), "--offline", "--config", str(stand.config), "--from", f"+{SECONDS - 4}",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONHASHSEED": "7"},
    )  # fmt: skip
    said, told = done.communicate(timeout=120)
    assert done.returncode == 0, told.decode()
    assert b"identical" in told
    assert said.decode().split() == ["tracks", last.tracks, "alerts", last.alerts, "incidents", last.incidents]


ON_ASYNCIO = """
import asyncio, pathlib, uvloop

def run(main):
    pathlib.Path({mark!r}).write_text("asyncio")
    return asyncio.run(main)

uvloop.run = run
"""


def test_on_the_loop_of_python_itself_it_says_the_same(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As fast as it goes on asyncio against 20 times real time on uvloop, until that one was killed."""
    mark = tmp_path / "mark"
    (tmp_path / "sitecustomize.py").write_text(ON_ASYNCIO.format(mark=str(mark)), encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    http_port, _ = ports()
    scene = Scenario.load("lithuania-2025-07-28")
    feed = tmp_path / "feed.jsonl"
    log.write(feed, stand.feed)
    with Mosquitto(tmp_path / "broker") as broker:
        formats = simulate.formats(scene)
        config = write_config(tmp_path / "config", broker.port, scene.sensors, formats, http_port)
        with Service(config, http_port, "--clock", "feed") as service:
            where = ("--broker", f"127.0.0.1:{broker.port}", "--site", "test")
            player = vedette("replay", str(feed), *where, "--speed", "max", stderr=subprocess.DEVNULL)
            assert player.wait(120) == 0
            deadline = time.monotonic() + PATIENCE_S
            while service.metric("vedette_frames_recorded_total") < len(stand.feed) + 1 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert service.stop() == 0
    assert mark.read_text() == "asyncio"
    said = {o.t_us: o.payload for o in _items(sorted((config / "var" / "recordings").glob("*.mcap")), Output)
            if o.topic == DIGEST}  # fmt: skip
    of_uvloop = {o.t_us: o.payload for o in _items(stand.killed, Output) if o.topic == DIGEST}
    assert len(of_uvloop) >= SECONDS // 2
    assert {t_us: said[t_us] for t_us in of_uvloop} == of_uvloop


def test_a_disk_that_refuses_is_shown_and_stops_nothing_else(tmp_path: Path) -> None:
    scene = Scenario.load("lithuania-2025-07-28")
    http_port, _ = ports()
    with Mosquitto(tmp_path / "broker") as broker:
        formats = simulate.formats(scene)
        taken = '[record]\nfolder = "taken"'
        config = write_config(tmp_path / "config", broker.port, scene.sensors, formats, http_port, taken)
        (config / "taken").write_text("a file where the folder should be", encoding="utf-8")
        with Service(config, http_port) as service, Ear(broker.port, "status", "picture-delta") as ear:
            ear.wait_for(
                lambda heard: any("not recorded: " in told.get("detail", "") for told in heard.of("status")), 20
            )
            ear.wait_for(lambda heard: len(heard.of("picture-delta")) > 10, 20)
            status, words = service.get("/readyz")
            assert (status, words.split(";")[0]) == (200, "ready")
            assert "not recorded" in words
            assert service.metric("vedette_recorder_up") == 0
            assert service.metric("vedette_frames_unrecorded_total") > 10
        assert '"nothing is recorded"' in service.log.read_text(encoding="utf-8")
