"""A real `vedette run` against a real Mosquitto, and an ear on what it publishes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.config import sensors_toml
from fusion.schema import SensorSpec
from tests.mosquitto import Mosquitto, free_port
from tests.shipped import ROOT

SITE = "test"
BASE = f"vedette/v1/{SITE}/"
PATIENCE_S = 90.0  # a machine shared by many starts slowly


def write_config(
    folder: Path, port: int, sensors: Sequence[SensorSpec], formats: Mapping[str, str], http_port: int, more: str = ""
) -> Path:
    """A configuration folder with these sensors and the shipped rules and zones; `more` goes under [broker]."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = ROOT / "config"
    (folder / "rules.toml").write_text((shipped / "rules.toml").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "sensors.toml").write_text(sensors_toml(sensors, formats), encoding="utf-8")
    (folder / "service.toml").write_text(
        f"""
site = "{SITE}"
simulated = true
data_dir = "var"

[broker]
host = "127.0.0.1"
port = {port}
{more}

[http]
host = "127.0.0.1"
port = {http_port}

[zones]
borders = ["{shipped}/zones/osm"]
terrain = "{shipped}/terrain/etopo5_5min_35-72N_0-50E.tif"
geoid = "{shipped}/terrain/egm2008_undulation_5min_cm_40-72N_4-45E.tif"
accuracy_m = 25.0

[rules]
base = "rules.toml"
""",
        encoding="utf-8",
    )
    return folder


COMMAND = ("-m", "adapters.cli")


def vedette(*arguments: str, program: Sequence[str] = COMMAND, **more: Any) -> subprocess.Popen[bytes]:
    """Start the command as a user would, from this environment. `program`: Python's own arguments, to change a part."""
    return subprocess.Popen([sys.executable, *program, *arguments], cwd=ROOT, **more)


class Service:
    """`vedette run` in a process of its own; a context manager that waits until it is ready."""

    def __init__(
        self, config: Path, http_port: int, *arguments: str, program: Sequence[str] = COMMAND,
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.config = config
        self._environ = dict(environ or {})  # beside our own
        self._program = program
        self.http_port = http_port
        self.log = config / "run.log"
        self._arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start and wait for /readyz."""
        with self.log.open("ab") as log:
            asked = ("run", "--config", str(self.config), *self._arguments)
            environ = os.environ | self._environ
            self._process = vedette(*asked, program=self._program, stdout=log, stderr=log, env=environ)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log.read_text(encoding="utf-8")
            if self.get("/readyz")[0] == 200:
                return self
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.get('/readyz')}\n{self.log.read_text(encoding='utf-8')}")

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of an HTTP request; (0, reason) without an answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}", timeout=5.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, OSError) as error:
            return 0, str(error)

    def metric(self, name: str) -> float:
        """One sample of /metrics by its name with labels, as written there."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith(f"{name} "):
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(name)

    def metrics(self, prefix: str) -> dict[str, float]:
        """All samples whose name starts so."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(prefix)]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}

    def peak_bytes(self) -> int:
        """The most memory that it had resident."""
        assert self._process is not None
        lines = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))

    def stop(self) -> int:
        """End it in order; its exit status."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Until it has ended by itself; its exit status."""
        assert self._process is not None
        status = self._process.wait(PATIENCE_S)
        self._process = None
        return status

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        status = self._process.wait(PATIENCE_S)
        self._process = None
        return status

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self.kill()


class Ear:
    """An independent client that keeps all it hears: (topic below the site, payload, retained)."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._new = threading.Condition()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"ear-{os.getpid()}-{id(self)}", protocol=paho.MQTTv5
        )
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.loop_start()
        self._client.subscribe([(BASE + topic, 1) for topic in topics])
        assert subscribed.wait(10.0)

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        with self._new:
            self.heard.append((message.topic.removeprefix(BASE), bytes(message.payload), bool(message.retain)))
            self._new.notify_all()

    def of(self, prefix: str) -> list[dict[str, Any]]:
        """Every message heard so far under topics that start so, decoded."""
        with self._new:
            return [json.loads(payload) for topic, payload, _ in self.heard if topic.startswith(prefix) and payload]

    def wait_for(self, what: Callable[[Ear], bool], seconds: float = PATIENCE_S) -> None:
        """Wait until `what` is true of what was heard."""
        deadline = time.monotonic() + seconds
        while not what(self):
            with self._new:
                left = deadline - time.monotonic()
                assert left > 0, f"not heard within {seconds} s; last: {self.heard[-3:]}"
                self._new.wait(min(left, 0.5))

    def publish(
        self,
        topic: str,
        payload: bytes,
        response_topic: str = "",
        correlation: bytes = b"",
        user: Sequence[tuple[str, str]] = (),
        wait: bool = True,
    ) -> None:
        """Publish with QoS 1 and, unless told otherwise, wait for the broker."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        if user:
            properties.UserProperty = list(user)
        if response_topic:
            properties.ResponseTopic = response_topic
            properties.CorrelationData = correlation
        sent = self._client.publish(BASE + topic, payload, 1, properties=properties)
        if wait:
            sent.wait_for_publish(10.0)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def ports() -> tuple[int, int]:
    """Two free ports."""
    return free_port(), free_port()


__all__ = ["BASE", "Ear", "Mosquitto", "Service", "ports", "vedette", "write_config"]
