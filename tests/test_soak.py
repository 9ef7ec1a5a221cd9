"""The soak keeps what has ended through any stop, tells a failure as a failure, and claims nothing that has not run."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.soak import __main__ as soak
from tests.soak import page, registry, state
from tests.soak.campaign import Campaign, Verdict, no_verdict, seeds
from tests.soak.suite import TIMES, files, properties
from tests.soak.suite import run as run_tests
from tests.soakpieces import BLOCKED, CAMPAIGNS
from tests.test_tidy import PYTHON

HERE = ("tests.soakpieces",)


def record(piece: str, code: str = "c0de", **more: Any) -> state.Record:
    made = state.Record(
        "numbers",
        piece,
        code,
        "abc1234",
        "a machine",
        "2026-11-26T10:00:00Z",
        30.0,
        {"sum": float(piece) if piece.isdecimal() else 0.0},
    )
    return replace(made, **more)


def shown(*records: state.Record, campaign: Campaign = CAMPAIGNS[0]) -> str:
    return page.text([page.standing(campaign, {one.piece: one for one in records})])


def run(folder: Path, *only: str, **more: Any) -> tuple[int, str]:
    status = soak.soak(folder / "state", folder / "soak.md", only, modules=HERE, **more)
    return status, (folder / "soak.md").read_text(encoding="utf-8")


def test_what_has_not_run_is_not_claimed() -> None:
    said = shown()
    assert "| numbers | 0 of 3 | 0 | 0.0 | not run |" in said
    assert "Not run: none of its 3 pieces, so nothing is claimed." in said
    assert "- 0 of 3 pieces have run" in said
    assert "held" not in said


def test_a_part_is_told_as_a_part_and_the_whole_as_the_whole() -> None:
    part = shown(record("1"), record("3"))
    assert "| numbers | 2 of 3 | 0 | 0.0 | held so far |" in part
    assert "- run: 1, 3\n- not run: 2\n- counted: sum 4\n- held: 4 in all; at most 6 (so far: 2 of 3 pieces)" in part
    whole = shown(*(record(piece) for piece in "123"))
    assert "| held |" in whole
    assert "- run: 1 to 3\n- counted: sum 6\n- held: 6 in all; at most 6\n" in whole
    assert "not run" not in whole.split("## numbers")[1]


def test_a_failed_piece_and_a_verdict_that_does_not_hold_are_failures() -> None:
    failed = shown(record("1"), record("2", counts={}, words="no track"), record("3"))
    assert "| numbers | 3 of 3 | 1 | 0.0 | FAILED |" in failed
    assert "- FAILED, 2: no track" in failed
    assert "(so far: 2 of 3 pieces)" in failed
    assert "1 of them failed" in failed
    over = shown(*(record(piece, counts={"sum": 3.0}) for piece in "123"))
    assert "| numbers | 3 of 3 | 0 | 0.0 | FAILED |" in over
    assert "- NOT HELD: 9 in all; at most 6" in over
    dull = shown(record("1"), campaign=replace(CAMPAIGNS[0], judge=lambda found: [Verdict(True, str(found[0]["x"]))]))
    assert "NOT HELD: could not be judged: KeyError: 'x'" in dull
    only_failed = shown(record("1", counts={}, words="no track"))
    assert "held" not in only_failed


def test_the_page_names_days_commits_and_the_machine() -> None:
    said = shown(record("1"), record("2", began="2026-11-28T01:00:00Z", commit="def5678 with changes", seconds=7_170.0))
    assert "- 2026-11-26 to 2026-11-28, commit abc1234, def5678 with changes\n- a machine\n" in said
    assert "2 of 3 pieces have run, 2.0 hours in all; 0 of them failed" in said


def test_what_is_kept_comes_back_and_other_code_does_not_count(tmp_path: Path) -> None:
    state.keep(tmp_path, record("1"))
    state.keep(tmp_path, record("2", code="0ld"))
    state.keep(tmp_path, record("9"))  # no piece of the campaign any more
    with (tmp_path / "numbers.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"torn')
    assert state.kept(tmp_path, CAMPAIGNS[0], "c0de") == {"1": record("1")}
    assert list(state.kept(tmp_path, CAMPAIGNS[0], "")) == ["1", "2"]
    state.keep(tmp_path, record("2"))
    assert list(state.kept(tmp_path, CAMPAIGNS[0], "c0de")) == ["1", "2"]
    assert state.kept(tmp_path, CAMPAIGNS[0], "")["2"].code == "c0de", "the last counts"
    assert len((tmp_path / "numbers.jsonl").read_text(encoding="utf-8").splitlines()) == 5, "and the others stay"


def test_a_long_list_is_told_as_ranges() -> None:
    pieces = ("1", "2", "3", "7", "track 1", "met 1", "track 2", "met 2", "track 4", "alone")
    campaign = replace(CAMPAIGNS[0], pieces=(*pieces, "9"))
    told = shown(*(record(piece, counts={"sum": 1.0}) for piece in pieces), campaign=campaign)
    assert "- run: 1 to 3, 7, track 1 to 2, 4, met 1 to 2, alone\n- not run: 9\n" in told


def test_code_is_all_that_decides_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in state.CODE:
        (tmp_path / name).mkdir() if "." not in name else (tmp_path / name).touch()
    monkeypatch.setattr(state, "ROOT", tmp_path)
    before = state.code()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "soak.md").write_text("x")
    (tmp_path / "tests" / "__pycache__").mkdir()
    (tmp_path / "tests" / "__pycache__" / "x.pyc").touch()
    assert state.code() == before
    (tmp_path / "config" / "rules.toml").write_text("x")
    assert state.code() != before


def test_pieces_run_are_kept_and_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = run(tmp_path, "numbers")
    assert status == 0
    assert "- counted: tries 30, sum 6" in said
    assert "| waiting | 0 of 3 | 0 | 0.0 | not run |" in said, "the page is about all campaigns"
    assert run(tmp_path, "numbers") == (0, said)
    assert capsys.readouterr().out.endswith("0 pieces to run\n")


def test_every_way_to_fail_is_recorded_as_a_failure(tmp_path: Path) -> None:
    status, said = run(tmp_path, "troubles", "endless")
    assert status == 1
    assert "| troubles | 5 of 5 | 4 | 0.0 | FAILED |" in said
    assert "- FAILED, wrong: AssertionError: the sky has fallen / today" in said
    assert "- FAILED, dead: ended by signal 9" in said
    assert "- FAILED, empty: gave no counts: a piece counts at least one thing" in said
    assert "- FAILED, not a number: gave no counts: tries is nan, not a finite number" in said
    assert "- FAILED, endless: took longer than 8 s" in said
    again = [one for one in CAMPAIGNS if one.name == "troubles"]
    assert soak.soak(tmp_path / "state", tmp_path / "soak.md", ["troubles"], for_s=0.0, modules=HERE) == 1
    assert len(state.kept(tmp_path / "state", again[0], "")) == 5, "a failure stays one without --again"


def test_killed_in_the_middle_it_goes_on_where_it_was(tmp_path: Path) -> None:
    (block := tmp_path / "block").touch()
    script = (
        "import sys, signal; from pathlib import Path; from tests.soak import __main__ as soak, state\n"
        "state.code = lambda: 'c0de'\n"
        "def stop(number, frame): raise SystemExit(3)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"sys.exit(soak.soak(folder / 'state', folder / 'soak.md', ['waiting'], modules={HERE!r}))"
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env={**os.environ, BLOCKED: str(block)})

    for number in (signal.SIGTERM, signal.SIGKILL):
        with start() as running:
            deadline = time.monotonic() + 120.0
            while not (tmp_path / "began-2").exists():
                assert running.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            running.send_signal(number)
            assert running.wait(60.0) == (3 if number == signal.SIGTERM else -number)
        (tmp_path / "began-2").unlink()
        said = (tmp_path / "soak.md").read_text(encoding="utf-8")
        assert "| waiting | 1 of 3 | 0 | 0.0 | held so far |" in said
        assert "- not run: 2 to 3" in said
        assert (tmp_path / "began-1").exists() == (number == signal.SIGTERM), "the first is not run again"
        (tmp_path / "began-1").unlink(missing_ok=True)
    block.unlink()
    with start() as running:
        assert running.wait(120.0) == 0
    assert "| waiting | 3 of 3 | 0 | 0.0 | held |" in (tmp_path / "soak.md").read_text(encoding="utf-8")
    assert not (tmp_path / "began-1").exists()


def test_all_campaigns_get_on_together() -> None:
    turns = [(campaign.name, piece) for campaign, piece in soak.in_turn(CAMPAIGNS[:2])]
    assert turns == [(name, piece) for piece in "123" for name in ("numbers", "waiting")]
    long = replace(CAMPAIGNS[0], pieces=seeds(100))
    first = [campaign.name for campaign, _ in soak.in_turn([long, CAMPAIGNS[1]])[:51]]
    assert (first.count("numbers"), first.count("waiting")) == (50, 1)


@pytest.mark.parametrize(("words", "seconds"), [("90s", 90.0), ("30m", 1_800.0), ("1.5h", 5_400.0), ("2d", 172_800.0)])
def test_times_are_read(words: str, seconds: float) -> None:
    assert soak.duration_s(words) == seconds
    for bad in ("", "30", "m", "-5m", "5 m"):
        with pytest.raises(argparse.ArgumentTypeError, match="Cure: 90s"):
            soak.duration_s(bad)


def test_campaigns_of_the_project_have_names_sentences_and_pieces() -> None:
    all_of = registry.campaigns()
    assert {"scenes", "properties", "losses"} <= {campaign.name for campaign in all_of}
    for campaign in all_of:
        assert campaign.about.endswith(".")
        assert campaign.judge is no_verdict or campaign.judge is not None
    given_in = [path for path in PYTHON if "\n@given(" in path.read_text(encoding="utf-8")]
    assert {path.stem for path in given_in} == {*files()}


@settings(max_examples=7)
@given(st.integers())
def test_seven(number: int) -> None:
    """A property test for the next one to be run in a process of the soak."""
    assert isinstance(number, int)


def test_a_property_test_gets_many_times_its_examples_and_they_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEDETTE_HYPOTHESIS", "soak")
    assert properties("test_soak 3") == {"tests": 1, "examples": 7 * TIMES}
    with pytest.raises(AssertionError, match="pytest ended with status"):
        run_tests("test_soak", "--soak-test=test_that_is_not_there")


def test_the_page_of_the_project_is_what_the_soak_writes() -> None:
    said = soak.PAGE.read_text(encoding="utf-8")
    assert said.startswith(page.HEAD)
    told = re.findall(r"(?m)^## (.+)$", said)
    assert told
    assert {*told} <= {campaign.name for campaign in registry.campaigns()}, "make soak ARGS='--for 0s' writes it anew"
