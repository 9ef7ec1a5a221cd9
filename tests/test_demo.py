"""`vedette demo` as a visitor runs it: the alert comes, the lines it names work, and nothing is left behind."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

from adapters import config as configuration
from adapters.broker import BrokerSettings, now_us
from adapters.cli import app
from adapters.commands import demo, simulate
from adapters.commands.demo_view import View, alert_lines
from adapters.errors import ConfigError
from adapters.formats import alert as alert_format
from adapters.wire import Names
from fusion.schema import Alert, Quantity
from replay.scenario import SHIPPED
from replay.simulate import Scenario
from tests.browsing import chromium, tab
from tests.mosquitto import SYSTEM_PATH, find
from tests.test_account import alert as alert_about

pytestmark = pytest.mark.alone

MARK = "DEMO_TEST_MARK"
START_S = 240.0  # for a busy machine to compile everything and bring the service up


def marked(mark: str) -> list[int]:
    """Processes that carry the mark in their environment: the demo's and all it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


class Running:
    """A demo in a process of its own."""

    def __init__(self, folder: Path, arguments: str) -> None:
        self.mark = uuid.uuid4().hex
        self.said = ""
        self._path = folder / "said.txt"
        code = f"import sys; from adapters.commands.demo import demo; sys.exit(demo({arguments}))"
        environment = {**os.environ, MARK: self.mark, "NO_COLOR": "1", "TMPDIR": str(folder)}
        with self._path.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code], stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment
            )

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """Wait until it has said this."""
        deadline = time.monotonic() + seconds
        while True:
            ended = self.process.poll() is not None
            self.said = self._path.read_text("utf-8")
            found = re.search(pattern, self.said, re.MULTILINE)
            if found:
                return found
            assert not ended, f"ended without saying {pattern!r}:\n{self.said}"
            assert time.monotonic() < deadline, f"did not say {pattern!r} in {seconds} s:\n{self.said}"
            time.sleep(0.1)

    def end(self) -> int:
        """Its exit status, and all it said."""
        status = self.process.wait(120.0)
        self.said = self._path.read_text("utf-8")
        return status

    def nothing_left(self, seconds: float = 20.0) -> None:
        """No process of it is there any more."""
        deadline = time.monotonic() + seconds
        while left := marked(self.mark):
            assert time.monotonic() < deadline, f"still running: {left}\n{self.said}"
            time.sleep(0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("vedette-demo-")] == []  # its own folder is gone


def test_the_alert_comes_and_every_line_it_names_works(folder: Path) -> None:
    running = Running(folder, "seconds=30.0")
    line = running.wait_for(r"^  (mosquitto_sub .*)$", START_S)[1]
    tail = running.wait_for(r"^  (\S*vedette tail .*)$", 1.0)[1]
    metrics = running.wait_for(r"^  (http://127\.0\.0\.1:\d+/metrics)$", 1.0)[1]
    page = running.wait_for(r"^  (http://127\.0\.0\.1:\d+/)$", 1.0)[1]
    intro = running.said.split("The operator's page")[0]
    assert len([row for row in intro.splitlines() if row.startswith("  ")]) == 5
    running.wait_for("the scene begins", START_S)
    assert len(marked(running.mark)) == 4  # the demo, its broker, the service, the page
    heard = subprocess.Popen(
        [find("mosquitto_sub"), *shlex.split(line)[1:], "-C", "1", "-W", "90"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PATH": SYSTEM_PATH},
    )
    words = [*shlex.split(tail), "--count", "1", "--seconds", "90"]
    tailed = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=os.getcwd())
    running.wait_for("^SIMULATED ALERT", 60.0)
    topic, _, payload = heard.communicate(timeout=100)[0].decode().partition(" ")
    seen = alert_format.decode(payload.strip().encode())
    assert topic == f"vedette/v1/demo/alert/{seen.id}"
    assert (seen.near_state, seen.simulated) == ("LT", True)
    assert json.loads(tailed.communicate(timeout=100)[0])["id"] == seen.id
    with urllib.request.urlopen(metrics, timeout=10) as answer:
        assert b"vedette_" in answer.read()
    with urllib.request.urlopen(page, timeout=10) as answer:
        assert b"<title>Vedette</title>" in answer.read()
    assert running.end() == 0, running.said
    assert re.search(r"The expected alert for gerbera came 00:[0-5]\d into the scene", running.said)
    assert "Not expected" not in running.said
    assert "  because speed_mps" in running.said
    counts = re.findall(r"^\d\d:\d\d  tracks: (\d+)", running.said, re.MULTILINE)
    assert len(counts) >= 5
    assert int(counts[-1]) >= 12
    running.nothing_left()


def test_the_alert_is_acknowledged_on_the_page_by_keyboard_and_the_service_records_it(folder: Path) -> None:
    running = Running(folder, "")
    line = running.wait_for(r"^  (mosquitto_sub .*)$", START_S)[1]
    address = running.wait_for(r"^  (http://127\.0\.0\.1:\d+/)$", 1.0)[1]
    running.wait_for("^SIMULATED ALERT", START_S)
    with chromium() as browser, tab(browser, address, reduced_motion="reduce") as (page, seen):
        card = page.locator(".card").first
        expect(card).to_contain_text("SIMULATED")
        page.keyboard.press("n")
        expect(card).to_have_class(re.compile("chosen"))
        page.keyboard.press("a")
        expect(page.locator("#toast")).to_contain_text("done")
        expect(card).to_contain_text("acknowledged by J. Petraitis")
        assert seen.strays == []
    told = subprocess.run(
        [find("mosquitto_sub"), *shlex.split(line)[1:], "-C", "1", "-W", "30"],
        stdout=subprocess.PIPE, env={**os.environ, "PATH": SYSTEM_PATH}, timeout=60, check=True,
    ).stdout.decode()  # fmt: skip
    said = alert_format.decode(told.partition(" ")[2].strip().encode())
    assert said.acknowledged_by == "J. Petraitis"
    assert said.acknowledged_us > said.t_us - 60_000_000
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0, running.said
    running.nothing_left()


def test_ctrl_c_to_the_whole_terminal_ends_all_of_it(folder: Path) -> None:
    running = Running(folder, "")
    running.wait_for("the scene begins", START_S)
    for pid in marked(running.mark):  # a terminal tells all of its foreground group: the broker too, not the service
        if os.getsid(pid) == os.getsid(0):
            os.kill(pid, signal.SIGINT)
    assert running.end() == 0, running.said
    assert "Traceback" not in running.said
    running.nothing_left()


def test_sigterm_while_starting_ends_all_of_it(folder: Path) -> None:
    running = Running(folder, "seconds=60.0")
    running.wait_for("starting the service", START_S)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 1, running.said  # it was told to wait for the alert, which did not come
    assert "Traceback" not in running.said
    running.nothing_left()


def test_a_killed_demo_leaves_no_process_either(tmp_path: Path) -> None:
    running = Running(tmp_path, "")
    running.wait_for("the scene begins", START_S)
    assert len(marked(running.mark)) == 4
    running.process.kill()
    running.process.wait()
    running.nothing_left()


def test_an_alert_that_does_not_come_is_status_1(folder: Path) -> None:
    scene = (SHIPPED / "lithuania-2025-07-28.toml").read_text("utf-8")
    path = folder / "no-drone.toml"
    path.write_text(scene.replace("54.25, 26.10", "52.25, 26.10").replace("54.55, 25.72", "52.5, 25.7"), "utf-8")
    running = Running(folder, f"seconds=2.0, scenario={str(path)!r}")
    assert running.end() == 1, running.said
    missing = "The expected alert for gerbera (low-slow-near or low-slow-unknown-height)"
    assert f"{missing} is due between 00:03 and 01:00 of the scene, which was shown up to 00:0" in running.said
    running.nothing_left()


def test_a_service_that_does_not_start_is_status_1_with_its_words(folder: Path) -> None:
    config = folder / "config"
    for part in ("zones", "terrain"):
        (config / part).parent.mkdir(exist_ok=True)
        os.symlink(demo.CONFIG / part, config / part)
    (config / "rules.toml").write_text("[[rule]]\nid = 1\n", "utf-8")
    running = Running(folder, f"config=__import__('pathlib').Path({str(config)!r})")
    assert running.end() == 1, running.said
    assert "vedette run did not stay up" in running.said
    assert "rules.toml" in running.said
    running.nothing_left()


def test_the_command_takes_a_scenario_and_refuses_one_that_is_none() -> None:
    done = CliRunner().invoke(app, ["demo", "--seconds", "1", "--scenario", "atlantis"])
    assert done.exit_code == 2
    assert "atlantis: scenario: not known. Cure: one of " in done.stderr


def test_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rules\.toml"):
        demo.demo(config=tmp_path, out=io.StringIO())


def test_the_generated_folder_holds_exactly_the_sensors_of_the_scene(tmp_path: Path) -> None:
    scene = Scenario.load("hungary-from-serbia")
    demo._write_config(tmp_path, demo.CONFIG, scene, BrokerSettings("127.0.0.1", 1234), 2345)
    loaded = configuration.load(tmp_path, environ={})
    assert (loaded.broker.port, loaded.http.port, loaded.simulated, loaded.clock) == (1234, 2345, True, "live")
    assert loaded.formats == simulate.formats(scene)
    for ours, theirs in zip(scene.sensors, loaded.sensors, strict=True):
        assert (ours.id, ours.kind, ours.index, ours.period_s) == (
            theirs.id,
            theirs.kind,
            theirs.index,
            theirs.period_s,
        )
        assert repr(ours.lat_rad)[:12] == repr(theirs.lat_rad)[:12]
        assert ours.sigma_azimuth_rad == pytest.approx(theirs.sigma_azimuth_rad)
    assert loaded.data_dir == tmp_path / "var"
    shutil.rmtree(tmp_path / "var", ignore_errors=True)


def test_a_port_that_is_taken_is_not_taken_again() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert demo._free_port(port) not in (0, port)
    assert demo._free_port(port) == port


class Terminal(io.StringIO):
    """Looks like a terminal."""

    def isatty(self) -> bool:
        return True


NAMES = Names("demo", ("LT", "BY"), ("Lithuania", "Belarus"), ("R1",))


def watched(out: io.StringIO) -> tuple[View, Alert]:
    view = View(out)
    scene = Scenario.load("lithuania-2025-07-28", start_us=now_us() - 20_000_000)
    view.begin(scene)
    row = {"id": "1:7", "speed_mps": 40.2, "agl_m": 210.0, "state": "BY", "border_distance_m": 6_300.0}
    other = {"id": "1:8", "cooperative": True, "callsign": "LTV01", "border_distance_m": -9_000.0}
    view.take("status", json.dumps({"tracks_count": {"tentative": 4}, "used_count": 321}).encode())
    view.take("picture/0", json.dumps({"tracks": [row, other, {"id": "1:9"}]}).encode())
    view.take("picture-delta", json.dumps({"tracks": [], "dropped": [{"id": "1:9", "reason": "dropped"}]}).encode())
    reasons = (Quantity("speed_mps", 40.2, 2.1, "<= 80 with p >= 0.8"), Quantity("overflown", "BY"))
    found = replace(
        alert_about(scene, "gerbera", 12.0), quantities=reasons, sentence="Slow, low object.", clears="gone"
    )
    return view, found


def test_lines_tell_counts_and_alerts_once() -> None:
    out = io.StringIO()
    view, found = watched(out)
    view.refresh()
    view.take("alert/x", alert_format.encode(found, NAMES, 1))
    view.take("alert/x", alert_format.encode(replace(found, state="updated"), NAMES, 2))
    view.take("alert/x", b"")
    view.take("alert/x", b"not ours")
    view.close()
    said = out.getvalue()
    assert "tracks: 2 (say who they are: 1, do not: 1, not confirmed yet: 4)  plots used: 321  alerts open: 0" in said
    assert said.count("ALERT") == 1
    assert "alerts open: 1" in said
    assert view.verdict(False) == 0
    assert "came 00:12 into the scene (low-slow-near)" in out.getvalue()


def test_a_terminal_gets_a_table_with_the_silent_object_first() -> None:
    out = Terminal()
    view, _ = watched(out)
    view.refresh()
    said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue())
    assert said.index("1:7") < said.index("LTV01")
    assert "unknown" in said
    assert "6.3" in said
    view.close()


def test_nothing_seen_is_a_failure_unless_the_viewer_left() -> None:
    view, found = watched(io.StringIO())
    assert view.verdict(False) == 1
    assert view.verdict(True) == 0
    out = io.StringIO()
    view, found = watched(out)
    view.take("alert/x", alert_format.encode(replace(found, lat_rad=1.0), NAMES, 1))
    assert view.verdict(False) == 1
    assert "Not expected: low-slow-near" in out.getvalue()


def test_an_alert_reads_as_words_reasons_and_end() -> None:
    _, found = watched(io.StringIO())
    assert alert_lines(replace(found, simulated=True), 61.0) == [
        "SIMULATED ALERT  01:01  severity 1  rule low-slow-near version 1",
        "  Slow, low object.",
        "  because speed_mps 40.2 (plus or minus 2.1); the rule says <= 80 with p >= 0.8",
        "  also: overflown BY",
        "  gone",
    ]
