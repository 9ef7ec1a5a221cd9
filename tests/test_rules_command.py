"""`vedette rules`: what it prints and the status it ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.cli import app
from replay import recording
from tests.conftest import ROOT
from tests.test_mcapfile import feed

TESTS = (ROOT / "config" / "rules.toml").read_text(encoding="utf-8").count("[[rule.test]]")

SHIPPED = str(ROOT / "config")
BASE = str(ROOT / "config/rules.toml")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["rules", *words])


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """The shipped rules with one limit moved, so that tests inside fail."""
    path = tmp_path / "rules.toml"
    text = (ROOT / "config/rules.toml").read_text(encoding="utf-8")
    path.write_text(text.replace('"plots >= 3"', '"plots >= 5"', 1), encoding="utf-8")
    path.write_text(text.replace("slow_mps = 80.0", "slow_mps = 40.0", 1), encoding="utf-8")
    return path


def test_check_counts_what_is_good_and_refuses_what_is_not(broken: Path) -> None:
    for of in (SHIPPED, BASE):
        good = run("check", of)
        assert (good.exit_code, good.stdout) == (0, f"{of}: 6 rules, {TESTS} tests\n")
    bad = run("check", str(broken))
    assert bad.exit_code == 2
    assert f"vedette: {broken}:" in bad.stderr
    assert "rule[0].test[0]: test 'a drone that came over the border' expects true" in bad.stderr
    assert ". Cure: " in bad.stderr


def test_test_shows_every_test_and_why_it_fails(broken: Path) -> None:
    good = run("test", SHIPPED)
    assert good.exit_code == 0
    assert good.stdout.splitlines()[-1] == f"{TESTS} tests, 0 failed"
    assert "ok    incursion: an airliner" in good.stdout
    bad = run("test", str(broken))
    assert bad.exit_code == 1
    assert "FAIL  low-slow-inside: a drone that came over the border\n" in bad.stdout
    told = json.loads(run("test", str(broken), "--json").stdout)
    assert told["failed_count"] == len([t for t in told["tests"] if not t["ok"]]) > 0
    assert len(told["tests"]) == TESTS


def test_diff_of_the_same_is_nothing_and_of_an_overlay_what_it_changes(tmp_path: Path) -> None:
    same = run("diff", BASE, SHIPPED)
    assert (same.exit_code, same.stdout) == (0, f"{BASE} and {SHIPPED} mean the same\n")
    overlay = tmp_path / "lt.toml"
    overlay.write_text('disable = ["slow-high"]\n', encoding="utf-8")
    found = run("diff", SHIPPED, f"{BASE}+{overlay}")
    assert found.exit_code == 1
    first, *_, last = found.stdout.splitlines()
    assert first.startswith(f"slow-high: only in A (A {SHIPPED}/rules.toml:")
    assert "    A raises it, B does not" in found.stdout
    assert last == f"1 difference between A ({SHIPPED}) and B ({BASE}+{overlay})"
    (plain,) = json.loads(run("diff", SHIPPED, f"{BASE}+{overlay}", "--json").stdout)["differences"]
    assert (plain["rule"], plain["kind"], plain["example"]["by"]) == ("slow-high", "removed", "a")


@pytest.mark.parametrize("words", [("check", "none.toml"), ("diff", BASE, "+"), ("test", "none.toml")])
def test_what_cannot_be_read_is_a_wrong_question(words: tuple[str, ...]) -> None:
    wrong = run(*words)
    assert wrong.exit_code == 2
    assert "Cure: " in wrong.stderr


def test_a_dry_run_says_what_the_recording_lost(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.mcap", tmp_path / "torn.mcap"
    recording.write(whole, iter(feed(50)))
    torn.write_bytes(whole.read_bytes()[:-2_000])
    for file, said in ((whole, ""), (torn, f"note: {torn}: not finished, ")):
        done = run("dry-run", str(file), "--rules", BASE, "--config", SHIPPED)
        assert done.exit_code == 0, done.output
        notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
        assert len(notes) == bool(said)
        assert "".join(notes).startswith(said)
