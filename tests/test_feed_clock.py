"""`vedette run --clock feed`: time from a replay, live sensors refused, another replay begins anew; and a loud end."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from adapters.commands import simulate
from adapters.envelope import feed_properties
from adapters.formats import clock, plots
from fusion.schema import PlotKind
from fusion.schema import plots as make_plots
from replay.simulate import Scenario
from tests.running import Ear, Mosquitto, Service, ports, write_config
from tests.shipped import ROOT

T0_US = 1_600_000_000_000_000


@dataclass
class Stand:
    """A broker, a service that takes time from a feed, and an ear."""

    service: Service
    ear: Ear


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[tuple[Mosquitto, Path, int]]:
    http_port, _ = ports()
    scenario = Scenario.load("lithuania-2025-07-28")
    with Mosquitto(tmp_path / "broker") as broker:
        formats = simulate.formats(scenario)
        yield broker, write_config(tmp_path / "config", broker.port, scenario.sensors, formats, http_port), http_port


@pytest.fixture
def stand(folder: tuple[Mosquitto, Path, int]) -> Iterator[Stand]:
    broker, config, http_port = folder
    with Service(config, http_port, "--clock", "feed") as service, Ear(broker.port, "#") as ear:
        yield Stand(service, ear)


def message(t_us: int, seq: int) -> bytes:
    batch = make_plots("R1", PlotKind.POLAR, t_us, np.array([t_us]), boot=1, seq=seq, range_m=[2e4], azimuth_rad=[4.9])
    return plots.encode(batch)


def tick(ear: Ear, t_us: int) -> None:
    ear.publish("in/clock", clock.encode(t_us), user=feed_properties(t_us, 0))


def test_a_flood_of_live_sensors_does_not_stop_the_replay(stand: Stand) -> None:
    """More of them than the broker hands out at a time: refused at once, they leave room for the clock."""
    for seq in range(1_200):
        stand.ear.publish("in/R1/plots", message(T0_US, seq), wait=False)
    for n in range(1, 11):
        tick(stand.ear, T0_US + n * 100_000)
    stand.ear.wait_for(lambda ear: len(ear.of("picture-delta")) >= 10, 30)
    refused, deadline = 'vedette_items_rejected_total{reason="bad-time"}', time.monotonic() + 20
    while stand.service.metric(refused) < 1_200 and time.monotonic() < deadline:
        time.sleep(0.1)  # the numbers follow a moment after what was sent
    assert stand.service.metric(refused) == 1_200
    assert stand.service.metric("vedette_items_used_total") == 0


def test_more_messages_than_the_broker_hands_out_between_two_ticks(stand: Stand) -> None:
    for seq in range(1_200):
        t_us = T0_US + 10 * seq
        stand.ear.publish("in/R1/plots", message(t_us, seq), user=feed_properties(t_us, seq), wait=False)
    tick(stand.ear, T0_US + 100_000)
    stand.ear.wait_for(lambda ear: bool(ear.of("picture-delta")), 30)
    deadline = time.monotonic() + 20
    while stand.service.metric("vedette_items_used_total") < 1_200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stand.service.metric("vedette_items_used_total") == 1_200


def test_another_replay_begins_anew(stand: Stand) -> None:
    for n in range(20):
        tick(stand.ear, T0_US + n * 100_000)
    stand.ear.wait_for(lambda ear: any(s.get("epoch") == 1 and s["state"] == "replay" for s in ear.of("status")), 30)
    first = len(stand.ear.of("picture-delta"))
    earlier_us = T0_US - 3_600_000_000
    for n in range(20):
        tick(stand.ear, earlier_us + n * 100_000)
    stand.ear.wait_for(lambda ear: any(s.get("epoch") == 2 for s in ear.of("status")), 30)
    stand.ear.wait_for(lambda ear: len(ear.of("picture-delta")) >= first + 10, 30)
    assert stand.service.get("/readyz")[0] == 200


def test_a_service_that_fails_says_that_it_is_gone(folder: tuple[Mosquitto, Path, int]) -> None:
    """A closed connection takes its last will with it, so a crash must say it itself."""
    broker, config, _ = folder
    broken = (
        "from adapters import service\n"
        "def work(*_): raise ZeroDivisionError('injected')\n"
        "service.Core.work = work\n"
        "import sys; from adapters.cli import main\n"
        f"sys.argv = ['vedette', 'run', '--config', {str(config)!r}]\n"
        "main()\n"
    )
    with Ear(broker.port, "status") as ear:
        done = subprocess.run([sys.executable, "-c", broken], cwd=ROOT, capture_output=True, timeout=120, check=False)
        assert done.returncode == 1, done.stderr.decode()
        assert b"injected" in done.stderr
        ear.wait_for(lambda heard: heard.of("status")[-1]["state"] == "offline", 10)
        assert ear.of("status")[-1]["detail"] == "failed"
