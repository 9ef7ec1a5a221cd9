"""What Vedette is made of is written down, validly and the same every time; an audit that skipped anything fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests import supply
from tests.conftest import ROOT

PINS = {"numpy": "2.4.6", "typer": "0.29.2"}


def answered(**changes: Any) -> str:
    good = [{"name": name, "version": version, "vulns": []} for name, version in PINS.items()]
    good[1].update(changes)
    return json.dumps({"dependencies": good, "fixes": []})


def test_every_needed_package_is_in_it_with_the_tested_version() -> None:
    told = json.loads(supply.sbom())
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.6")
    parts = {part["name"]: part for part in told["components"]}
    pins = supply.pinned(supply.PINS.read_text(encoding="utf-8"))
    assert {name: part["version"] for name, part in parts.items()} == {name: pins[name] for name in parts}
    assert {"numpy", "numba", "llvmlite", "paho-mqtt", "starlette", "pydantic-core", "anyio"} <= {*parts}
    assert not {"pytest", "mypy", "stonesoup"} & {*parts}  # what only tests need
    assert parts["numpy"]["purl"] == f"pkg:pypi/numpy@{pins['numpy']}"
    below = {one["ref"]: one.get("dependsOn", []) for one in told["dependencies"]}
    assert "numba" in below["vedette"]
    assert "llvmlite" in below["numba"]


def test_the_same_files_give_the_same_bytes() -> None:
    assert supply.sbom() == supply.sbom()


def test_a_package_that_is_not_pinned_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "needed", lambda: {"vedette": ["left-pad"], "left-pad": []})
    with pytest.raises(ValueError, match=r"left-pad\. Cure: make constraints"):
        supply.sbom()


def test_pins_hold_for_this_python_only() -> None:
    text = "numpy==2.4.6 ; python_full_version < '3.15'\nnumpy==2.5.5 ; python_full_version >= '3.15'\nA_b.c==1\n"
    assert supply.pinned(text) == {"a-b-c": "1", "numpy": "2.4.6"}


def test_every_pin_is_looked_up_wherever_it_is_for() -> None:
    looked_up = [f"{name}=={version}" for pins in supply.rounds() for name, version in pins.items()]
    files = [supply.PINS, *supply.JUDGES.glob("*.txt")]
    lines = [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    named = [line.partition(";")[0].strip().partition("==") for line in lines]
    assert sorted(looked_up) == sorted({f"{supply.plain(name)}=={version}" for name, _, version in named})
    assert supply.rounds()[0] == supply.pinned(supply.PINS.read_text(encoding="utf-8"))
    assert len(looked_up) > len(supply.rounds()[0])


@pytest.mark.parametrize(
    "answer, words",
    [
        (answered(skip_reason="not found"), "NOT AUDITED: typer 0.29.2: not found"),
        (answered(name="other"), "NOT AUDITED: typer 0.29.2: no answer"),
        (answered(version="1"), "NOT AUDITED: typer 0.29.2: the answer is about 1"),
        (answered(vulns=[{"id": "GHSA-1", "fix_versions": ["9"]}]), "BAD: typer 0.29.2: GHSA-1, cured in ['9']"),
        ("", "NOT AUDITED: all 2 packages: no network"),
    ],
)
def test_whatever_was_not_looked_at_fails_it(answer: str, words: str) -> None:
    cure = [supply.CURE] if "NOT AUDITED" in words else []
    assert supply.judged(PINS, answer, "a\nno network\n") == (1, [words, *cure])


def test_it_passes_when_everything_was_looked_at() -> None:
    assert supply.judged(PINS, answered(), "") == (0, ["2 packages looked up, nothing is known of any"])


def test_offline_it_fails_and_says_what_was_skipped() -> None:
    """The real program, with a proxy that nobody answers at."""
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [sys.executable, "-m", "tests.supply", "audit"],
        cwd=ROOT, env=os.environ | nowhere | {"no_proxy": "", "NO_PROXY": ""}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    count = len(supply.pinned(supply.PINS.read_text(encoding="utf-8")))
    assert done.returncode == 1
    assert done.stdout.startswith(f"NOT AUDITED: all {count} packages: "), done.stdout + done.stderr
    assert done.stdout.endswith(f"{supply.CURE}\n")
