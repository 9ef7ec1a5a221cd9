"""The suite is honest about what it did not run, and about what is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PACKAGE_OF, ROOT

INNER = """
import pytest
from conftest import need

@pytest.mark.real_data
def test_of_recordings(data):
    assert (data / "recordings").is_dir()

def test_of_a_program():
    assert need("{program}")
"""


def run(
    folder: Path, program: str = "mosquitto", processes: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A small suite with our conftest, in a project of its own that has no recordings beside it."""
    tests = folder / "project" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "conftest.py", tests)
    (tests / "test_inner.py").write_text(INNER.format(program=program), encoding="utf-8")
    # Options as in pyproject.toml, but for the way that test files find each other.
    (folder / "project" / "pytest.ini").write_text(
        "[pytest]\nmarkers = real_data: x\npythonpath = tests\n", encoding="utf-8"
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("VEDETTE_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", str(processes), "tests"],
        cwd=folder / "project",
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_recordings_the_run_says_what_it_did_not_run(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT RUN: 1 real-data tests" in done.stdout
    assert re.search(r"1 passed, 1 deselected", done.stdout)


def test_two_processes_say_it_once(tmp_path: Path) -> None:
    done = run(tmp_path, processes=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("NOT RUN: 1 real-data tests") == 1
    assert "1 passed" in done.stdout


def test_with_recordings_nothing_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "data" / "recordings").mkdir(parents=True)
    done = run(tmp_path, VEDETTE_DATA=str(tmp_path / "data"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NOT RUN" not in done.stdout
    assert "2 passed" in done.stdout


@pytest.mark.parametrize("variable", ["VEDETTE_DATA", "VEDETTE_REQUIRE_DATA"])
def test_a_missing_recording_fails_where_one_is_expected(tmp_path: Path, variable: str) -> None:
    done = run(tmp_path, "mosquitto", 0, **{variable: str(tmp_path / "nowhere")})
    assert done.returncode == 1
    assert "no recordings at" in done.stdout
    assert "1 passed, 1 error" in done.stdout


def test_a_missing_program_fails_with_the_line_that_installs_it(tmp_path: Path) -> None:
    done = run(tmp_path, program="prometheus", PATH=str(tmp_path))
    found_in_system = any(Path(folder, "prometheus").exists() for folder in ("/usr/sbin", "/sbin"))
    assert not found_in_system, "this test needs prometheus outside of the folders that conftest adds"
    assert done.returncode == 1
    assert "prometheus is not installed. Cure: apt-get install prometheus" in done.stdout


def test_make_installs_every_program_that_tests_need() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = re.search(r"(?m)^SYSTEM := ((?:.*\\\n)*.*)$", makefile)
    assert listed
    package_of = dict(pair.split(":") for pair in listed[1].replace("\\\n", " ").split())
    assert {PACKAGE_OF[name] for name in package_of} == set(PACKAGE_OF.values())
    for program, package in package_of.items():
        assert package == PACKAGE_OF[program]


def test_make_asks_for_no_package_whose_program_is_there(tmp_path: Path) -> None:
    """A machine may have its node from elsewhere, beside which Debian's npm refuses to be installed."""
    asked = tmp_path / "asked"
    for name, body in (("apt-get", f'echo "$@" >> {asked}'), ("sudo", 'shift; exec "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    wanted = "SYSTEM=sh:shell no-such-program:its-package"
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["make", "system", wanted, f"VENV={tmp_path}"], cwd=ROOT, env=environment, check=True)
    assert asked.read_text(encoding="utf-8").splitlines()[-1].split()[-1] == "its-package"
    assert "shell" not in asked.read_text(encoding="utf-8")
