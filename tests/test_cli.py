"""The command line as people and scripts meet it: help with examples, exit status, and which stream says what."""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from typer.testing import CliRunner, Result

from adapters import log
from adapters.cli import app
from adapters.commands.check import _coverage
from adapters.store import AlertJournal
from fusion.borders.terrain import Grid
from fusion.coverage import Coverage
from fusion.schema import SensorKind, SensorSpec
from tests.conftest import ROOT
from tests.mosquitto import Mosquitto

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands set up logging for their process; here that is the process of the tests."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    monkeypatch.chdir(ROOT)
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def vedette(*arguments: str) -> Result:
    """Run a command in this process: its libraries are loaded once and not for every call."""
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, arguments, catch_exceptions=False)


def process(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a process of its own, as its entry point does."""
    command = [sys.executable, "-m", "adapters.cli", *arguments]
    return subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=120, check=False)


def test_the_commands_are_the_promised_ones() -> None:
    assert set(COMMANDS) == {
        "run",
        "check",
        "track",
        "tail",
        "replay",
        "simulate",
        "score",
        "journal",
        "demo",
        "dossier",
        "ui",
        "top",
        "verify",
        "pki",
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    run = vedette(command, "--help")
    assert (run.exit_code, run.stderr) == (0, "")
    assert re.search(rf"Examples?:\n +(\S+=\S+ )?vedette {command}\b", run.stdout), run.stdout
    assert "\x1b" not in run.stdout


def test_every_example_in_the_help_is_understood() -> None:
    """Options and arguments of the examples exist: `--help` at the end stops before anything is done."""
    seen = 0
    for command in COMMANDS:
        for line in vedette(command, "--help").stdout.splitlines():
            found = re.match(r" {4}(?:\S+=\S+ )?vedette (.*)", line)
            if found:
                words = re.split(r" [|<>#]| {2,}", found[1])[0].split()
                assert vedette(*words, "--help").exit_code == 0, line
                seen += 1
    assert seen >= len(COMMANDS)


def test_help_comes_without_the_heavy_libraries() -> None:
    script = (
        "import sys; sys.argv = ['vedette', 'run', '--help']\n"
        "from adapters.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted({'numba', 'numpy', 'scipy', 'shapely', 'aiomqtt', 'uvicorn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_no_argument_shows_help_and_a_wrong_one_is_status_2() -> None:
    assert "Usage: " in vedette().stdout + vedette().stderr
    for arguments in (["fly"], ["run", "--fast"], ["tail", "--count", "x"], ["replay"]):
        run = vedette(*arguments)
        assert (run.exit_code, run.stdout) == (2, ""), arguments
        assert run.stderr
    run_alone = process("fly")  # the same as a process
    assert (run_alone.returncode, run_alone.stdout) == (2, "")


def test_the_version_is_that_of_the_project() -> None:
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)
    assert version is not None
    assert vedette("--version").stdout == f"vedette {version[1]}\n"


def test_check_of_the_shipped_configuration_says_what_it_is() -> None:
    run = vedette("check", "config")
    assert (run.exit_code, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[-1] == "This configuration is good."
    assert any(line.startswith("sensor R1 ") and "radar-2d" in line and "54.6340 25.2870" in line for line in lines)
    assert any(line.startswith("rule low-slow-near ") for line in lines)
    assert any("states (" in line and " ally" in line and " other" in line for line in lines)
    assert "OpenStreetMap" in run.stdout
    low = [line for line in lines if line.startswith("coverage ")]
    assert [line.split()[1] for line in low] == ["R1", "R2"]
    assert all(re.search(r"an object 100 m over them is seen to \d\d-\d\d km; coarse terrain", line) for line in low)
    assert re.fullmatch(r"hash +[0-9a-f]{64}", lines[-2])


def test_check_says_what_terrain_does_and_when_an_antenna_stands_below_it() -> None:
    step, lat, lon = math.radians(1 / 120), math.radians(54.5), math.radians(23.5)
    dem = Grid(lat - 120 * step, lon - 200 * step, step, np.full((240, 400), 150.0, np.float32))
    sunk = SensorSpec("R1", 0, SensorKind.RADAR_2D, lat, lon, 140.0, range_max_m=60_000.0)
    words = _coverage(sunk, Coverage([sunk], dem))
    assert words.startswith("antenna 2 m over its surroundings, though 12 m lower by height_m (above the ellipsoid?); ")
    assert words.endswith(" km; terrain hides")
    high = dataclasses.replace(sunk, height_m=180.0)
    reach = re.search(r"seen to (\d+)-(\d+) km", _coverage(high, Coverage([high], dem)))
    assert reach is not None
    assert 50 <= int(reach[1]) <= int(reach[2]) <= 60  # 64 km of line of sight, softly; 60 of range
    assert _coverage(high, Coverage([high])).endswith("no terrain known")


def test_check_names_every_problem_with_file_line_key_and_cure(tmp_path: Path) -> None:
    for name in ("service.toml", "sensors.toml", "rules.toml", "volumes.toml"):
        shutil.copy(ROOT / "config" / name, tmp_path / name)
    for name in ("zones", "terrain"):
        (tmp_path / name).symlink_to(ROOT / "config" / name)
    assert vedette("check", str(tmp_path), "--no-borders").exit_code == 0
    service = (tmp_path / "service.toml").read_text()
    (tmp_path / "service.toml").write_text(service.replace("port = 1883", 'prot = "x"'))
    sensors = (tmp_path / "sensors.toml").read_text()
    (tmp_path / "sensors.toml").write_text(sensors.replace("lat_deg = 54.634", "lat_deg = nan"))
    run = vedette("check", str(tmp_path), "--no-borders")
    assert (run.exit_code, run.stdout) == (2, "")
    assert run.stderr.splitlines() == [
        f"vedette: {tmp_path}/service.toml:10: broker.prot: is not a known key. Cure: did you mean port?",
        f"vedette: {tmp_path}/sensors.toml:23: sensors[1].lat_deg: is nan, not a finite number."
        " Cure: give: latitude of the antenna, WGS84 degrees",
    ]


def test_run_refuses_a_folder_that_is_none(tmp_path: Path) -> None:
    run = vedette("run", "--config", str(tmp_path))
    assert run.exit_code == 2
    assert "service.toml: file: does not exist" in run.stderr
    assert "Traceback" not in run.stderr


def test_track_reads_standard_input_and_refuses_a_bad_header() -> None:
    header = '{"hdr":1,"tick":1.0,"origin":[54.5,23.5],"sensors":[{"s":"A0","adsb":true,"period":1.0}]}'
    good = process("track", stdin=header + '\n{"tick":1.0}\n')
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout) == {"tick": 1.0, "n": 0}
    bad = process("track", stdin="nonsense\n")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr


def test_journal_tells_good_from_changed(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    with AlertJournal(path) as journal:
        journal.append([b'{"n":1}', b'{"n":2}'])
        head = journal.head
    run = vedette("journal", str(path))
    assert (run.exit_code, run.stdout) == (0, f"2 entries, every one unchanged; head {head}\n")
    run = vedette("journal", str(path), "--entries")
    assert (run.exit_code, run.stdout) == (0, '{"n":1}\n{"n":2}\n')
    path.write_bytes(path.read_bytes().replace(b'\\"n\\":2', b'\\"n\\":3'))
    for arguments in ((), ("--entries",)):
        run = vedette("journal", str(path), *arguments)
        assert run.exit_code == 1
        assert f"{path}:2: was changed" in run.stderr
        assert run.stdout == ('{"n":1}\n' if arguments else "")
    assert vedette("journal", str(tmp_path / "none.jsonl")).exit_code == 2


def test_simulate_takes_one_destination() -> None:
    run = vedette("simulate", "lithuania-2025-07-28", "--out", "x.jsonl", "--publish")
    assert run.exit_code == 2
    assert "--publish writes no files: leave out --out" in run.stderr


def test_simulate_writes_a_log_that_replay_takes(tmp_path: Path) -> None:
    path = tmp_path / "scene.jsonl.gz"
    made = vedette("simulate", "lithuania-2025-07-28", "--out", str(path), "--seconds", "5")
    assert made.exit_code == 0, made.stderr
    assert path.stat().st_size > 0
    with Mosquitto(tmp_path / "broker") as broker:
        address = f"127.0.0.1:{broker.port}"
        sent = vedette("replay", str(path), "--speed", "max", "--no-wait", "--broker", address, "--site", "s")
        assert sent.exit_code == 0, sent.stderr
    unknown = vedette("simulate", "atlantis", "--out", str(path))
    assert unknown.exit_code == 2
    assert "Cure: " in unknown.stderr


def test_run_serves_until_it_is_told_to_end(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker") as broker:
        environ = {
            **os.environ,
            "VEDETTE_BROKER_PORT": str(broker.port),
            "VEDETTE_HTTP_PORT": "0",
            "VEDETTE_DATA_DIR": str(tmp_path / "var"),
        }
        command = [sys.executable, "-m", "adapters.cli", "run", "--log-style", "json"]
        with subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as service:
            watchdog = threading.Timer(120, service.kill)  # else a service that hangs would hang this test for ever
            watchdog.start()
            try:
                assert service.stderr is not None
                address = ""
                for line in service.stderr:
                    address = json.loads(line).get("address", "")  # every line of the log is one object
                    if address:
                        break
                assert address.startswith("http://127.0.0.1:"), "the service never said where it serves"
                service.send_signal(signal.SIGTERM)
                out, rest = service.communicate(timeout=30)
            finally:
                watchdog.cancel()
                service.kill()
        assert (service.returncode, out) == (0, ""), rest
        assert "Traceback" not in rest
        assert (tmp_path / "var" / "epoch").read_text() == "1\n"


@pytest.fixture
def logs() -> io.StringIO:
    """A stream to log to."""
    return io.StringIO()


def test_a_log_line_is_one_object_with_time_level_and_name_first(logs: io.StringIO) -> None:
    log.setup("info", "auto", logs)  # not a terminal: json
    log.get("store").info("opened", path="x", entries=3)
    log.get("store").debug("too small to be heard")
    logging.getLogger("some.library").warning("careful: %s", "thin ice")
    first, second = [json.loads(line) for line in logs.getvalue().splitlines()]
    assert list(first)[:4] == ["timestamp", "level", "logger", "event"]
    assert (first["level"], first["logger"], first["event"], first["entries"]) == ("info", "vedette.store", "opened", 3)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["timestamp"])
    assert (second["level"], second["event"]) == ("warning", "careful: thin ice")


def test_an_exception_in_the_log_keeps_its_traceback_on_one_line(logs: io.StringIO) -> None:
    log.setup("info", "json", logs)
    try:
        raise ValueError("no such thing")
    except ValueError:
        log.get("test").exception("failed")
    (line,) = logs.getvalue().splitlines()
    assert "ValueError: no such thing" in json.loads(line)["exception"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_and_not_under_no_color(logs: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, plain = Terminal(), Terminal()
    log.setup("info", "auto", coloured)
    log.get("test").info("hello")
    monkeypatch.setenv("NO_COLOR", "1")
    log.setup("info", "auto", plain)
    log.get("test").info("hello")
    log.setup("info", "text", logs)
    log.get("test").info("hello")
    assert "\x1b[" in coloured.getvalue()
    for stream in (plain, logs):
        assert "hello" in stream.getvalue()
        assert "\x1b" not in stream.getvalue()


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment in which nothing was prepared."""
    for name in ("NUMBA_CACHE_DIR", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    return monkeypatch


def test_kernels_are_kept_in_the_users_cache(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    unset.setenv("XDG_CACHE_HOME", str(tmp_path))
    log.prepare_numerics()
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    assert cache.is_dir()
    assert cache.parent == tmp_path / "vedette"
    assert os.environ["OPENBLAS_NUM_THREADS"] == "1"


def test_what_the_user_has_set_stays(unset: pytest.MonkeyPatch) -> None:
    unset.setenv("NUMBA_CACHE_DIR", "mine")
    unset.setenv("OPENBLAS_NUM_THREADS", "2")
    log.prepare_numerics()
    assert (os.environ["NUMBA_CACHE_DIR"], os.environ["OPENBLAS_NUM_THREADS"]) == ("mine", "2")


def test_a_cache_that_cannot_be_written_is_replaced(unset: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # not even root can make a folder in it
    unset.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    unset.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    log.prepare_numerics()
    cache = Path(os.environ["NUMBA_CACHE_DIR"])
    assert cache.is_dir()
    assert cache.parent == tmp_path / "vedette"
