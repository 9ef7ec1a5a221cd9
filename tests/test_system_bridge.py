"""A radar over UDP or a receiver over TCP, a real bridge, a real broker and a real service: aircraft become tracks."""

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
from fusion.schema import F8, SensorKind, SensorSpec
from tests import squitters
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


class Receiver:
    """A receiver of Beast for whoever connects: three aircraft, once a second, while it is there."""

    def __init__(self, port: int) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(0.05)
        self._heard: list[socket.socket] = []
        self._began_us = now_us()
        self._told = 0

    def tell(self) -> None:
        """Positions and velocities of this moment."""
        with contextlib.suppress(TimeoutError):
            self._heard.append(self._server.accept()[0])
        address, after_us = np.arange(3) + 0x480000, now_us() - self._began_us
        lat_deg: F8 = 54.5 + 0.1 * np.arange(3.0) + after_us / 1e6 * 200.0 / 111_200.0
        lon_deg, height_m, north_mps = np.full(3, 25.0), np.full(3, 3_000.0), np.full(3, 200.0)
        self._told += 1
        octets = [
            squitters.names(address, "LOT12"), squitters.states(address),
            squitters.velocities(address, np.zeros(3), north_mps),
            squitters.positions(address, lat_deg, lon_deg, height_m, np.full(3, self._told % 2)),
        ]  # fmt: skip
        frames = squitters.frames(np.concatenate(octets), np.full(12, 12 * after_us + 1))
        for one in list(self._heard):
            try:
                one.sendall(frames + b"no frame")
            except OSError:
                self._heard.remove(one)

    def close(self) -> None:
        """It is switched off."""
        for one in [self._server, *self._heard]:
            one.close()


def test_what_a_receiver_of_1090_mhz_hears_becomes_tracks_and_outlives_the_receiver(tmp_path: Path) -> None:
    http_port, _ = ports()
    beast_port = free_port()
    adsb = SensorSpec("A1", 0, SensorKind.ADSB)
    with Mosquitto(tmp_path / "broker") as broker, Ear(broker.port, "sensor/A1/health") as ear:
        config = write_config(tmp_path / "config", broker.port, [adsb], {"A1": "plots"}, http_port)
        with Service(config, http_port) as service:
            passing = vedette(
                "bridge", "beast", "--connect", f"127.0.0.1:{beast_port}", "--sensor", "A1",
                "--broker", f"127.0.0.1:{broker.port}", "--site", "test", stderr=subprocess.PIPE,
            )  # fmt: skip
            try:

                def until(what: Callable[[], bool], receiver: Receiver | None) -> None:
                    deadline = time.monotonic() + PATIENCE_S
                    while not what():
                        assert time.monotonic() < deadline, service.metrics("vedette_")
                        if receiver is not None:
                            receiver.tell()
                        time.sleep(1.0)

                def states() -> list[str]:
                    return [told["state"] for told in ear.of("sensor/")]

                until(lambda: "off" in states(), None)  # the receiver is not there yet
                receiver = Receiver(beast_port)
                until(lambda: service.metric('vedette_tracks{status="confirmed"}') == 3, receiver)
                receiver.close()
                seen = len(states())
                until(lambda: "off" in states()[seen:], None)
                receiver = Receiver(beast_port)
                used = service.metric("vedette_items_used_total")
                until(lambda: service.metric("vedette_items_used_total") > used + 12, receiver)
                until(lambda: states()[-1] == "ok", receiver)
                receiver.close()
                assert service.metric("vedette_items_unaccounted") == 0
            finally:
                os.kill(passing.pid, signal.SIGTERM)
                said = passing.communicate(timeout=PATIENCE_S)[1].decode()
            assert passing.returncode == 0, said
            assert "not-a-frame" in said  # what was no Beast was counted and stopped nothing
