"""A real `vedette run` that leaves something out: it says so, tells of the drone all the same, and runs again alike."""

from __future__ import annotations

import array
import fcntl
import multiprocessing
import socket
import subprocess
import termios
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import config as configuration
from adapters.commands import simulate
from adapters.formats import load
from adapters.running.offline import Offline
from fusion.schema import Frame
from fusion.thinning import CLASS
from replay import recording
from replay.motion import from_points
from replay.scenario import SimObject
from replay.simulate import Scenario
from tests import shipped
from tests.bench import bench_live
from tests.running import BASE, PATIENCE_S, Ear, Mosquitto, Service, ports, vedette, write_config

pytestmark = pytest.mark.alone
SECONDS = 25.0
# How long a tick takes is the machine's affair (tests/test_overload.py has the meter); here the ticks are counted.
SCRIPTED = """
import sys
from adapters import cli
from adapters.running import intake, overload
def turned(self, busy_s, used, shed):
    self.turns = getattr(self, "turns", 0) + 1 if used else getattr(self, "turns", 0)
    self.level = 2 if 80 <= self.turns < 180 else 0
    return self.level
class Scripted(overload.LoadMeter):
    turned = turned
intake.LoadMeter = Scripted
sys.argv[0] = "vedette"
cli.main()
"""


def scene() -> Scenario:
    """Airliners over four states, and one that says nothing and flies low from Belarus towards Vilnius."""
    full = bench_live.scene(150, SECONDS)
    lats, lons = np.radians([54.33, 54.60]), np.radians([25.85, 25.20])
    flight = from_points(np.array([0.0, 900.0]), lats, lons, np.full(2, 400.0))
    objects = (*full.plan.objects, SimObject("drone", flight, 0.5))
    return Scenario(replace(full.plan, objects=objects), boot=full.boot)


class Deaf:
    """A consumer of everything that the service says, which never reads a byte of it."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
        self._socket.connect(("127.0.0.1", port))
        connect = text("MQTT") + b"\x05\x02\x00\x00\x00" + text("deaf")  # clean start, keep-alive 0, no properties
        self._socket.sendall(packet(0x10, connect))
        assert self._socket.recv(2)[0] == 0x20, "no CONNACK"
        self._socket.sendall(packet(0x82, b"\x00\x01\x00" + text(BASE + "#") + b"\x01"))

    def unread(self) -> int:
        """Bytes that wait for it on this side."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._socket, termios.FIONREAD, waiting)
        return waiting[0]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def text(word: str) -> bytes:
    """UTF-8 string of MQTT (5.0, 1.5.4)."""
    return len(word).to_bytes(2, "big") + word.encode()


def packet(kind: int, body: bytes) -> bytes:
    """A control packet of less than 128 bytes (MQTT 5.0, 2.1)."""
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


@dataclass
class Night:
    """What one run under load left."""

    config: Path
    metrics: dict[str, float] = field(default_factory=dict)
    statuses: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    unread: int = 0  # bytes, by a consumer that never reads
    again: dict[str, float] = field(default_factory=dict)  # what a service said that got the recording through a broker


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("overload")
    http_port, _ = ports()
    first = scene()
    with Mosquitto(folder / "broker") as broker:
        config = write_config(folder / "config", broker.port, first.sensors, simulate.formats(first), http_port)
        one = Night(config)
        service = Service(config, http_port, program=("-c", SCRIPTED))
        with service, Ear(broker.port, "status", "alert-log") as ear:
            deaf = Deaf(broker.port)
            sender = multiprocessing.Process(target=bench_live.publish, args=(broker.port, scene()))
            sender.start()
            ear.wait_for(lambda heard: any(s.get("load_level") == 2 for s in heard.of("status")))
            ear.wait_for(lambda heard: any(a["state"] == "raised" for a in heard.of("alert-log")))
            ear.wait_for(lambda heard: heard.of("status")[-1].get("load_level") == 0)
            sender.join(PATIENCE_S)
            one.statuses, one.alerts = ear.of("status"), ear.of("alert-log")
            one.metrics, one.unread = service.metrics("vedette_"), deaf.unread()
            deaf.close()
            assert service.stop() == 0
        one.files = sorted((config / "var" / "recordings").glob("*.mcap"))
        whole = folder / "whole.mcap"
        assert vedette("record", "merge", str(whole), *map(str, one.files), stdout=subprocess.DEVNULL).wait(60) == 0
        with Service(config, http_port, "--clock", "feed") as service:
            play = ("replay", str(whole), "--broker", f"127.0.0.1:{broker.port}", "--site", "test", "--speed", "max")
            assert vedette(*play, stderr=subprocess.DEVNULL).wait(PATIENCE_S) == 0
            used, until_s = "vedette_items_used_total", time.monotonic() + PATIENCE_S
            while service.metric(used) < one.metrics[used] and time.monotonic() < until_s:
                time.sleep(0.1)
            one.again = service.metrics("vedette_items_")
    return one


def loads(files: list[Path]) -> list[int]:
    frames = [item for file in files for item in recording.items(file) if isinstance(item, Frame)]
    return [load.decode(f.payload, f.rx_us).level for f in frames if f.source == load.SOURCE]


def test_it_leaves_out_known_airliners_says_so_and_counts_all(night: Night) -> None:
    shed = night.metrics[f'vedette_items_shed_total{{class="{CLASS}"}}']
    assert shed > 100
    assert night.metrics["vedette_items_unaccounted"] == 0
    assert night.metrics["vedette_load_level"] == 0  # it is over
    assert {said["load_level"] for said in night.statuses if "load_level" in said} == {0, 2}
    assert max(said.get("shed_count", 0) for said in night.statuses) <= shed


def test_the_drone_is_told_all_the_same(night: Night) -> None:
    raised = [told for told in night.alerts if told["state"] == "raised"]
    assert len({told["track"] for told in raised}) == 1
    assert {told["near_state"] for told in raised} == {"LT"}


def test_a_consumer_that_never_reads_delays_nothing(night: Night) -> None:
    """All else here was heard and counted while the broker kept for it what it could."""
    assert night.unread > 1_000
    sums, counts = (f'vedette_stage_seconds_{part}{{stage="publish"}}' for part in ("sum", "count"))
    assert night.metrics[sums] / night.metrics[counts] < 1.0


def test_the_load_is_on_record_and_the_run_again_is_identical(night: Night) -> None:
    assert loads(night.files) == [2, 0]
    loaded = configuration.load(night.config, environ={})
    items = (item for file in night.files for item in recording.items(file))
    verdict = Offline(loaded, shipped.zones()).run(items)
    assert verdict.same, verdict.words()
    without = Offline(loaded, shipped.zones()).run(
        item
        for file in night.files
        for item in recording.items(file)
        if not (isinstance(item, Frame) and item.source == load.SOURCE)
    )
    assert not without.same


def test_through_a_broker_the_same_is_left_out(night: Night) -> None:
    for name in ("used_total", "received_total", f'shed_total{{class="{CLASS}"}}'):
        assert night.again[f"vedette_items_{name}"] == night.metrics[f"vedette_items_{name}"], name
