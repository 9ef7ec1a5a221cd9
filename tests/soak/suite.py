"""Campaigns that are tests of the suite: whole scenes, and property tests with more examples and new seeds."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT
from tests.soak.campaign import Campaign, Counts, Verdict, total
from tests.test_scenarios import TOLD

ROUNDS = 10  # of every file of property tests, each with a seed of its own
TIMES = 20  # the examples of `make test`, in each round


def run(name: str, *options: str) -> dict[str, int]:
    """Run tests of one file in a process of their own; AssertionError when one fails or none is there."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts")
        path = str(ROOT / "tests" / f"{name}.py")
        words = ["-q", "-p", "no:cacheprovider", "-p", "tests.soak.watch", f"--soak-counts={counts}", *options, path]
        done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False)
        found: dict[str, int] = json.loads(counts.read_text(encoding="utf-8")) if counts.exists() else {}
    assert done.returncode == 0, f"pytest ended with status {done.returncode}"
    assert found["tests"], "no test ran"
    return found


def scene(name: str) -> Counts:
    """One shipped scene from its beginning to its end."""
    return {"scenes": run("test_scenarios", f"--soak-test=test_a_scenario_keeps_its_word[{name}]")["tests"]}


def scenes(found: Sequence[Counts]) -> list[Verdict]:
    flown = total(found, "scenes")
    return [
        Verdict(True, f"{flown:g} scenes flown whole, each with the alerts it expects and the faults KNOWN, no other")
    ]


def files() -> list[str]:
    """Test files that hold property tests."""
    paths = sorted((ROOT / "tests").glob("test_*.py"))
    return [path.stem for path in paths if "\n@given(" in path.read_text(encoding="utf-8")]


def properties(piece: str) -> Counts:
    """All property tests of one file with one seed: piece "test_geo 3"."""
    name, seed = piece.split()
    return run(name, "--soak-times", str(TIMES), f"--hypothesis-seed={seed}")


def examples(found: Sequence[Counts]) -> list[Verdict]:
    tried, tests = total(found, "examples"), total(found, "tests")
    return [
        Verdict(True, f"{tried:,.0f} examples in {tests:,.0f} runs of property tests, none of them against its law")
    ]


CAMPAIGNS = (
    Campaign(
        "scenes",
        "Every shipped scene from beginning to end: the alerts that it expects come, no other does, and every object "
        "that stays has one track. What is known to be wrong is in `KNOWN` of `tests/test_scenarios.py`.",
        TOLD,
        scene,
        scenes,
        patience_s=4 * 3_600.0,
    ),
    Campaign(
        "properties",
        f"Every property test (parsers, round trips, mutations, geometry, invariants): {ROUNDS} rounds of a seed each, "
        f"every round with {TIMES} times the examples of `make test`.",
        tuple(f"{name} {seed}" for seed in range(1, ROUNDS + 1) for name in files()),
        properties,
        examples,
        patience_s=4 * 3_600.0,
    ),
)
