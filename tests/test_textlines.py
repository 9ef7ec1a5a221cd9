"""Lines of keys: every key of a file is found on the line on which it is written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import ConfigError
from adapters.files.textlines import line_of, located, places_of
from tests.conftest import ROOT


def paths(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(key, value) of everything in what a reader made of a file."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for row, inner in enumerate(value):
            yield from paths(inner, f"{path}[{row}]")


FILES = [*sorted((ROOT / "config").glob("*.toml")), *sorted((ROOT / "config/zones").glob("*.toml"))]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_key_of_the_shipped_files_stands_on_the_line_that_is_said(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = list(paths(tomllib.loads(text)))
    assert found
    for key, value in found[:: max(1, len(found) // 150)]:
        line = lines[line_of(text, key) - 1]
        name = key.rsplit(".", 1)[-1]
        if isinstance(value, dict | list):
            assert name.split("[")[0] in line or line.lstrip()[:1] in "[{", key
        else:
            shown = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else ""
            assert shown in line, key
            assert "[" in name or name in line, key


TEXT = '''# one
a = 1
words.x = """
not = "me"
[[rule]]
"""
[[rule]]
id = 'x'  # [[rule]]
when = [
  "slow",  # ]
  "a # b",
]
[[rule]]
id = "y"
[[rule.test]]
name = "one"
[[rule.test]]
name = "two"
given = { speed = "1 m/s", "odd key" = [1, {deep = 2}] }
[rule.mode.tension]
recipients = ["z"]
[other]
time = 2026-11-23 06:00:00Z
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("a", 2),
        ("words.x", 3),
        ("rule", 7),
        ("rule[0].id", 8),
        ("rule[0].when[0]", 10),
        ("rule[0].when[1]", 11),
        ("rule[1]", 13),
        ("rule[1].test[1].name", 18),
        ("rule[1].test[1].given.speed", 19),
        ("rule[1].test[1].given.odd key[1].deep", 19),
        ("rule[1].mode.tension.recipients[0]", 21),
        ("other.time", 23),
        ("rule[1].version", 13),  # missing: the block that lacks it
        ("nothing", 0),
        ("", 0),
    ],
)
def test_line_of_a_key(key: str, line: int) -> None:
    tomllib.loads(TEXT)
    assert line_of(TEXT, key) == line


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), VALUES, min_size=1, max_size=4))
def test_every_key_of_any_json_is_found(data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=1)
    lines = text.splitlines()
    for key, value in paths(data):
        line = lines[line_of(text, key, json=True) - 1].strip().rstrip(",")
        if not isinstance(value, dict | list):
            assert line.endswith(json.dumps(value)), key


@given(st.text(max_size=60))
def test_any_text_gives_a_line_or_none_and_nothing_else(text: str) -> None:
    assert 0 <= line_of(text, "a.b[0]") <= text.count("\n") + 1
    assert 0 <= line_of(text, "a.b[0]", json=True) <= text.count("\n") + 1


def test_a_refusal_is_given_its_line_once(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("x = 1\ny = 2\n", encoding="utf-8")
    error = located(ConfigError(str(path), "y", "is wrong", "correct it"))
    assert str(error) == f"{path}:2: y: is wrong. Cure: correct it"
    assert located(ConfigError(str(path), "y", "is wrong", "correct it", 7)).line == 7
    assert located(ConfigError(str(path), "(file)", "is not TOML: bad (at line 2, column 3)", "correct")).line == 2
    assert str(located(ConfigError("environment", "X", "is wrong", "correct it"))).startswith("environment: X: ")


def test_a_file_with_many_faults_is_walked_once() -> None:
    text = "".join(f'[[volume]]\nid = "v{i}"\n' for i in range(500))
    places_of.cache_clear()
    assert [line_of(text, f"volume[{i}].id") for i in range(500)] == [2 * i + 2 for i in range(500)]
    assert places_of.cache_info().misses == 1
