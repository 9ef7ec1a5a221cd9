"""A radar over UDP, a real bridge, a real broker and a real service: its aircraft are tracks, its state is known."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapters.broker import now_us
from adapters.formats import cat048
from fusion.schema import SensorKind, SensorSpec
from tests.mosquitto import free_port
from tests.running import PATIENCE_S, Ear, Mosquitto, Service, ports, vedette, write_config
from tests.test_bridges_asterix import DAY_US, state, targets

pytestmark = pytest.mark.alone
RADAR = SensorSpec(
    "R1", 0, SensorKind.RADAR_2D, np.radians(54.5), np.radians(25.2), 150.0, period_s=1.0,
    sigma_range_m=60.0, sigma_azimuth_rad=np.radians(0.1), clutter_per_scan=0.1,
)  # fmt: skip


def scan(began_us: int) -> list[bytes]:
    """Four aircraft that fly away from the radar, as it sees them now."""
    from dataclasses import replace

    seen = targets(4)
    t_us = now_us()
    range_m = np.round((40_000.0 + 200.0 * (t_us - began_us) / 1e6) / cat048.RANGE_UNIT_M) * cat048.RANGE_UNIT_M
    return cat048.encode(replace(seen, day_us=np.full(4, t_us % DAY_US), range_m=np.full(4, range_m)))


def test_what_a_radar_sends_over_udp_becomes_tracks_and_outlives_the_broker(tmp_path: Path) -> None:
    http_port, _ = ports()
    udp_port = free_port()
    with Mosquitto(tmp_path / "broker") as broker:
        config = write_config(tmp_path / "config", broker.port, [RADAR], {"R1": "plots"}, http_port)
        with Service(config, http_port) as service:
            passing = vedette(
                "bridge", "asterix", "--udp", f"127.0.0.1:{udp_port}", "--radar", "25/201=R1",
                "--broker", f"127.0.0.1:{broker.port}", "--site", "test", stderr=subprocess.PIPE,
            )  # fmt: skip
            try:
                began_us = now_us()
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as radar:
                    radar.connect(("127.0.0.1", udp_port))

                    def until(what: Callable[[], bool], no_go: bool) -> None:
                        deadline = time.monotonic() + PATIENCE_S
                        while not what():
                            assert time.monotonic() < deadline, service.metrics("vedette_")
                            for data in (*scan(began_us), state(no_go, t_us=now_us()), b"no asterix"):
                                with contextlib.suppress(ConnectionRefusedError):  # the bridge is not there yet
                                    radar.send(data)
                            time.sleep(1.0)

                    until(lambda: service.metric('vedette_tracks{status="confirmed"}') == 4, no_go=False)
                    broker.kill()
                    broker.start()
                    used = service.metric("vedette_items_used_total")
                    until(lambda: service.metric("vedette_items_used_total") > used + 12, no_go=False)
                    with Ear(broker.port, "sensor/R1/health") as ear:
                        until(lambda: any(told["state"] == "off" for told in ear.of("sensor/")), no_go=True)
                assert service.metric("vedette_items_unaccounted") == 0
            finally:
                os.kill(passing.pid, signal.SIGTERM)
                said = passing.communicate(timeout=PATIENCE_S)[1].decode()
            assert passing.returncode == 0, said
            assert "truncated" in said  # what was no ASTERIX was counted and stopped nothing
