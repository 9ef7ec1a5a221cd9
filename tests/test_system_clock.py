"""The host's clock is set while `vedette run` works, by libfaketime: what it absorbs, and where it ends loudly."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from adapters.wire import parse_time, rfc3339
from fusion.schema import US_PER_S, SensorKind, SensorSpec
from tests.conftest import need
from tests.running import PATIENCE_S, Ear, Mosquitto, Service, ports, write_config

pytestmark = pytest.mark.alone
USED = "vedette_items_used_total"
SENSOR = SensorSpec(
    "R1", 0, SensorKind.RADAR_2D, lat_rad=np.radians(54.6), lon_rad=np.radians(25.2), height_m=150.0, period_s=1.0,
    range_max_m=200_000.0, sigma_range_m=50.0, sigma_azimuth_rad=np.radians(0.1),
)  # fmt: skip


class Clock:
    """The service's idea of the time: the machine's, and so much added."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        assert need("faketime") and found, "the library of faketime is not where Debian puts it"
        self._path = folder / "offset"
        self.set(0.0)
        self.environ = {
            "LD_PRELOAD": str(found[0]), "FAKETIME_TIMESTAMP_FILE": str(self._path), "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1",
        }  # fmt: skip

    def set(self, ahead_s: float) -> None:
        """From now on."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{ahead_s:+f}\n", encoding="ascii")
        new.replace(self._path)


@contextmanager
def speaking(ear: Ear) -> Iterator[None]:
    """A radar whose clock is right: one plot ten times a second."""
    over = threading.Event()

    def speak() -> None:
        for seq in range(10_000):
            measured = rfc3339(time.time_ns() // 1000 - 300_000)
            plot = {"time": measured, "range_m": 40_000.0 + 20.0 * seq, "azimuth_deg": 80.0}
            said = {"schema": "vedette.plots.v1", "sensor": "R1", "boot": 1, "seq": seq, "kind": "polar"}
            said["plots"] = [plot]
            ear.publish("in/R1/plots", json.dumps(said).encode(), wait=False)
            if over.wait(0.1):
                return

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_hosts_clock_is_set(tmp_path: Path) -> None:
    clock, (http_port, _) = Clock(tmp_path), ports()
    with Mosquitto(tmp_path / "broker") as broker:
        config = write_config(tmp_path / "config", broker.port, [SENSOR], {"R1": "plots"}, http_port)
        service = Service(config, http_port, environ=clock.environ)
        with service, Ear(broker.port, "status") as ear, speaking(ear):
            for ahead_s in (0.0, 3.0, 2.0, 0.8):  # as it is, forward at once, back within what is absorbed
                clock.set(ahead_s)
                time.sleep(1.5)  # the library looks once a second
                fused, until_s = service.metrics(USED).get(USED, 0.0), time.monotonic() + PATIENCE_S
                while service.metrics(USED).get(USED, 0.0) < fused + 10:
                    assert time.monotonic() < until_s, f"{ahead_s} s: nothing more is fused"
                    time.sleep(0.2)
            assert service.metric("vedette_items_unaccounted") == 0
            assert not any(service.metrics('vedette_items_rejected_total{reason="future"').values())
            times = [parse_time(said["time"]) for said in ear.of("status") if said["state"] == "live"]
            assert min(np.diff(times)) > -2 * US_PER_S
            clock.set(-3_600.0)
            assert service.wait() != 0  # no answer would be right: systemd starts it anew
        assert "clock was set back by 360" in service.log.read_text(encoding="utf-8")
        with service, Ear(broker.port, "status") as ear, speaking(ear):
            ear.wait_for(lambda heard: "clock has not reached" in str(heard.of("status")[-1:]))
