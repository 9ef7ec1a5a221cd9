"""Where two sets of rules differ: what means the same is no difference, and every example is one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.commands.rulecompare import Difference, Side, compare, side_of
from adapters.files import rulefile

RULE = """
[[rule]]
id = "near"
version = 1
severity = 2
title = "Near"
when = ["slow", "distance <= 30 km", "not exempt"]
keep = ["distance <= 33 km"]
dwell_s = 5.0
recipients = ["police"]
"""


def side(folder: Path, name: str, *texts: str) -> Side:
    paths = []
    for row, text in enumerate(texts):
        paths.append(folder / f"{name}{row}.toml")
        paths[-1].write_text(text, encoding="utf-8")
    return side_of(name, paths, rulefile.load(paths[0], paths[1:]))


def differences(folder: Path, other: str, *overlays: str, base: str = RULE) -> list[Difference]:
    return compare(side(folder, "a", base), side(folder, "b", other, *overlays), situations=4_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("30 km", "30000 m"),
        ('"slow", "distance <= 30 km", "not exempt"', '"not exempt", "slow", "distance<=30km"'),
        ("# ", "# "),
        ("dwell_s = 5.0", "dwell_s = 5.00  # seconds"),
    ],
)
def test_what_means_the_same_is_no_difference(tmp_path: Path, old: str, new: str) -> None:
    assert differences(tmp_path, RULE.replace(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("30 km", "20 km", 'when: "distance <= 30 km" -> "distance <= 20 km"'),
        ('"slow", ', "", 'when: without "slow"'),
        ('"slow", ', '"slow", "low", ', 'when: also "low"'),
        ("33 km", "40 km", 'keep: "distance <= 33 km" -> "distance <= 40 km"'),
        ("severity = 2", "severity = 1", "severity: 2 -> 1"),
        ("dwell_s = 5.0", "dwell_s = 6.0", "dwell_s: 5 s -> 6 s"),
        ('["police"]', '["army"]', "recipients: [police] -> [army]"),
        ('["police"]', '["police"]\nsentence = "{place}."', "sentence: '{object}, "),
        ('["police"]', '["police"]\n[rule.mode.tension]\nrecipients = ["army"]',
         "mode.tension.recipients: [police] -> [army]"),
    ],
)  # fmt: skip
def test_a_difference_is_told_by_its_field_with_its_unit_and_place(
    tmp_path: Path, old: str, new: str, line: str
) -> None:
    (found,) = differences(tmp_path, RULE.replace(old, new))
    assert (found.rule, found.kind) == ("near", "changed")
    assert len(found.changes) == 1
    assert found.changes[0].startswith(line)
    assert (found.place_a, found.place_b) == (f"{tmp_path}/a0.toml:2", f"{tmp_path}/b0.toml:2")
    decides = line.startswith(("when", "keep"))
    assert (found.example is not None) is decides


def test_rule_of_an_overlay_is_told_with_the_overlay_that_it_comes_from(tmp_path: Path) -> None:
    more = RULE.replace('"near"', '"other"')
    found = differences(tmp_path, RULE, RULE.replace("version = 1", "version = 2") + more)
    assert [(d.rule, d.kind, d.place_b) for d in found] == [
        ("near", "changed", f"{tmp_path}/b1.toml:2"),
        ("other", "added", f"{tmp_path}/b1.toml:12"),
    ]
    assert found[0].changes == ("version: 1 -> 2",)


def test_removed_rule_is_told_with_a_situation_that_only_it_raises(tmp_path: Path) -> None:
    other = RULE.replace('"near"', '"other"')
    (found,) = differences(tmp_path, RULE + other, 'disable = ["other"]', base=RULE + other)
    assert (found.rule, found.kind, found.place_b) == ("other", "removed", "")
    assert found.place_a == f"{tmp_path}/a0.toml:12"
    assert found.example is not None
    assert (found.example.by, found.example.what) == ("a", "raises")


def test_words_change_what_an_unchanged_rule_means(tmp_path: Path) -> None:
    words, rule = differences(tmp_path, f"[words]\nslow_mps = 60.0\n{RULE}")
    assert (words.rule, words.changes) == ("[words]", ("slow_mps: 80 m/s -> 60 m/s",))
    assert (rule.kind, rule.changes) == ("meaning", ())
    assert rule.example is not None
    assert rule.example.by == "a"


def expects(folder: Path, text: str, given: str, expect: bool) -> bool:
    """Whether a rule file passes with this situation as a test of its only rule."""
    path = folder / "test.toml"
    path.write_text(f'{text}[[rule.test]]\nname = "t"\n{given}\nexpect = {str(expect).lower()}\n', encoding="utf-8")
    (tested,) = rulefile.load_tested(path)[1]
    return tested.fault is None


NUMBERS = ("speed <= {} m/s", "distance > -{} km", "height_above_ground <= {} m with p >= 0.6", "plots >= {}")
CONDITION = st.one_of(
    st.builds(lambda text, n: text.format(n), st.sampled_from(NUMBERS), st.integers(1, 60)),
    st.sampled_from(
        ["slow", "not low", "near", "inside", "exempt", "class is balloon", "state is not BY", "depth known"]
        + ["not unpowered", "soaring", "skimming", "probability_unpowered <= 0.5", "probability_skimming >= 0.6"]
    ),
)
WHEN = st.lists(CONDITION, min_size=1, max_size=3, unique=True)


@given(WHEN, WHEN)
def test_every_example_is_one_when_pasted_into_either_file(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], other: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("examples")
    texts = []
    for conditions in (one, other):
        when = ", ".join(f'"{condition}"' for condition in conditions)
        text = f'[[rule]]\nid = "r"\nversion = 1\nseverity = 2\ntitle = "R"\nwhen = [{when}]\n'
        tomllib.loads(text)
        texts.append(text)
    found = compare(side(folder, "a", texts[0]), side(folder, "b", texts[1]), situations=500)
    if sorted(one) == sorted(other):
        assert found == []
        return
    for difference in found:
        if difference.example is not None:
            by_a = difference.example.by == "a"
            assert expects(folder, texts[0], difference.example.given, by_a)
            assert expects(folder, texts[1], difference.example.given, not by_a)


def test_the_same_seed_gives_the_same_example(tmp_path: Path) -> None:
    sides = side(tmp_path, "a", RULE), side(tmp_path, "b", RULE.replace("30 km", "20 km"))
    assert compare(*sides, seed=3) == compare(*sides, seed=3)
    (found,) = compare(*sides, seed=3)
    assert found.example is not None
    assert found.example.given.startswith("given = { speed = ")
    assert "class" not in found.example.given, "what decides nothing is not shown"
