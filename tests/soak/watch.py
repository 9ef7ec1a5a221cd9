"""A plugin of pytest for the soak: runs one test, or the property tests with more examples, and counts what ran."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the soak asks for."""
    parser.addoption("--soak-counts", required=True, help="file for the counts")
    parser.addoption("--soak-test", default="", help="the one test to run")
    parser.addoption("--soak-times", type=int, default=1, help="this many times the examples of property tests")


def pytest_configure(config: pytest.Config) -> None:
    """Watch this run."""
    config.pluginmanager.register(Watch(config), "soak-watch")


class Watch:
    """Counts of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.counts = {"tests": 0, "examples": 0}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        from hypothesis import is_hypothesis_test

        only = self.config.getoption("--soak-test")
        if only:
            items[:] = [item for item in items if item.name == only]
            return
        items[:] = [item for item in items if is_hypothesis_test(getattr(item, "obj", None))]
        for test in dict.fromkeys(item.obj for item in items):  # type: ignore[attr-defined]
            self._more(test)

    def _more(self, test: Any) -> None:
        from hypothesis import settings

        usual = test._hypothesis_internal_use_settings  # nothing public says them
        times = self.config.getoption("--soak-times")
        test._hypothesis_internal_use_settings = settings(usual, max_examples=times * usual.max_examples)
        inner = test.hypothesis.inner_test

        @functools.wraps(inner)
        def counted(*args: Any, **given: Any) -> Any:
            self.counts["examples"] += 1
            return inner(*args, **given)

        test.hypothesis.inner_test = counted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.counts["tests"] += report.when == "call" and report.passed

    def pytest_sessionfinish(self) -> None:
        Path(self.config.getoption("--soak-counts")).write_text(json.dumps(self.counts), encoding="utf-8")
