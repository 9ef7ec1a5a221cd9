"""Passwords, keys and credentials in addresses reach no log, no error, no metric and no recording."""

from __future__ import annotations

import io
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from adapters import config as configuration
from adapters import log
from adapters.cli import app
from adapters.errors import ConfigError
from fusion.schema import Frame
from replay import recording
from replay.scenario import load_plan
from tests.mosquitto import Mosquitto, free_port, passwords
from tests.running import Service, vedette, write_config

SECRET = "hunter2-s3cret"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49hunter2\n-----END PRIVATE KEY-----\n"


def folder_with(tmp_path: Path, broker: str, http_port: int = 9464) -> Path:
    plan = load_plan("lithuania-2025-07-28")
    sensors = [sensor.spec for sensor in plan.sensors]
    formats = {sensor.spec.id: sensor.format for sensor in plan.sensors}
    made = write_config(tmp_path / "config", 1883, sensors, formats, http_port)
    service = made / "service.toml"
    text = service.read_text(encoding="utf-8").replace('host = "127.0.0.1"\nport = 1883', broker)
    service.write_text(text, encoding="utf-8")
    (made / "broker.password").write_text(f"{SECRET}\n", encoding="utf-8")
    (made / "vedette.key").write_text(KEY, encoding="utf-8")
    (made / "vedette.pem").write_text("no certificate", encoding="utf-8")
    return made


@pytest.mark.parametrize(
    "broker, environ",
    [
        (f'username = "v"\npassword = ["{SECRET}"]', {}),
        (f'password = "{SECRET}"', {}),  # without a user
        (f'username = "v"\npassword = "{SECRET}"\npassword_file = "broker.password"', {}),
        (f'username = 5\npassword = "{SECRET}"\nport = 99999', {}),
        (f'pasword = "{SECRET}"', {}),  # a key that is none
        (f'host = "mqtt://v:{SECRET}@mqtt.example:1883"', {}),
        (f'host = "v:{SECRET}@mqtt.example"', {}),
        ('port = 0\nusername = "v"\npassword_file = "broker.password"', {}),
        ('tls = true\ntls_cert = "vedette.pem"\ntls_key = "vedette.key"', {}),
        ('port = 0', {"VEDETTE_BROKER_USER": "v", "VEDETTE_BROKER_PASSWORD": SECRET}),
        ("", {"VEDETTE_BROKER_PASSWORD": SECRET}),
        ("", {"VEDETTE_BROKER_HOST": f"mqtt://v:{SECRET}@mqtt.example"}),
    ],
)  # fmt: skip
def test_no_refusal_of_a_configuration_tells_one(tmp_path: Path, broker: str, environ: dict[str, str]) -> None:
    folder = folder_with(tmp_path, broker)
    found = configuration.problems(folder, environ)
    assert found
    said = "\n".join(map(str, found))
    assert SECRET not in said
    assert "hunter2" not in said
    with pytest.raises(ConfigError):
        configuration.load(folder, environ)


@pytest.mark.parametrize("address", [f"v:{SECRET}@mqtt.example", f"mqtt://v:{SECRET}@mqtt.example:1883"])
def test_an_address_with_a_password_is_refused_and_not_repeated(address: str) -> None:
    done = CliRunner().invoke(app, ["tail", "--broker", address], catch_exceptions=False)
    assert done.exit_code == 2
    assert SECRET not in done.output
    assert "give HOST or HOST:PORT" in done.output


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_traceback_in_the_log_shows_no_local_variables(style: str) -> None:
    out = io.StringIO()
    with logging_to(out, style):
        try:
            _fail(SECRET.upper())
        except ValueError:
            log.get("test").exception("it failed")
    assert "it failed" in out.getvalue()
    assert "ValueError" in out.getvalue()
    assert SECRET.upper() not in out.getvalue()


def _fail(password: str) -> None:
    assert password
    raise ValueError("no")


@contextmanager
def logging_to(out: io.StringIO, style: str) -> Iterator[None]:
    import logging

    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    log.setup("debug", style, out)
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.alone
def test_a_service_that_runs_tells_none(tmp_path: Path) -> None:
    """At the level of most words, let in and not: log, /metrics, status, journal, recording, all of its files."""
    broker_folder = tmp_path / "broker"
    broker_folder.mkdir()
    known = passwords(broker_folder, {"vedette": SECRET})
    http_port = free_port()
    with Mosquitto(broker_folder, f"allow_anonymous false\npassword_file {known}") as broker:
        address = f'host = "127.0.0.1"\nport = {broker.port}\nusername = "vedette"\npassword = "{SECRET}"'
        config = folder_with(tmp_path, address, http_port)
        with Service(config, http_port, "--log-level", "debug") as service:
            deadline = time.monotonic() + 90.0
            while service.metric("vedette_frames_recorded_total") == 0 and time.monotonic() < deadline:
                time.sleep(0.1)
            told = [service.get(path)[1] for path in ("/metrics", "/readyz", "/healthz")]
            assert service.stop() == 0
        told.append(service.log.read_text(encoding="utf-8"))
        wrong = os.environ | {"VEDETTE_BROKER_PASSWORD": SECRET[::-1]}
        tail = vedette(
            "tail", "status", "--config", str(config), "--seconds", "2", "--log-level", "debug",
            env=wrong, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        told.append(tail.communicate(timeout=120)[0].decode())
    files = sorted((config / "var" / "recordings").glob("*.mcap"))
    items = [item for file in files for item in recording.items(file)]
    assert [item for item in items if isinstance(item, Frame) and item.source == "start"]
    told += [item.payload.decode("utf-8", "replace") for item in items]
    told += [path.read_text("utf-8", "replace") for path in (config / "var").rglob("*") if path.is_file()]
    assert "broker connected" in "".join(told)
    assert "Not authorized" in "".join(told)
    assert [text[:200] for text in told if SECRET in text or SECRET[::-1] in text] == []
