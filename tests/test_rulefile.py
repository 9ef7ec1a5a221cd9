"""rules.toml: what it may say, how it refuses what it may not, and that its own tests can fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import ConfigError
from adapters.files import rulefile
from fusion.borders.bands import Bands
from fusion.rules import QUANTITIES, SENTENCE, Kind, RuleSet, Scene, Words, holds

SHIPPED = Path(__file__).parent.parent / "config" / "rules.toml"
RULE = """
[[rule]]
id = "a"
version = 1
severity = 2
title = "A"
when = ["slow", "not exempt"]
"""


def load(folder: Path, text: str, *overlays: str) -> RuleSet:
    """The rules of these texts, the first of them the base."""
    paths = []
    for row, content in enumerate((text, *overlays)):
        paths.append(folder / f"rules{row}.toml")
        paths[-1].write_text(content, encoding="utf-8")
    return rulefile.load(paths[0], paths[1:])


def refusal(folder: Path, text: str, *overlays: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overlays)
    assert caught.value.problem
    assert caught.value.cure
    named = caught.value.key not in ("(file)", "rule") and Path(caught.value.file).is_file()
    assert not named or 1 <= caught.value.line <= len(Path(caught.value.file).read_text("utf-8").splitlines())
    return caught.value


def test_shipped_rules_are_the_named_six_and_all_ask_for_existence_and_exemption() -> None:
    ruleset = rulefile.load(SHIPPED)
    assert [(rule.id, rule.severity) for rule in ruleset.rules] == [
        ("low-slow-inside", 1),
        ("incursion", 2),
        ("low-slow-near", 2),
        ("low-slow-unknown-height", 3),
        ("slow-high", 3),
        ("protected-area", 1),
    ]
    for rule in ruleset.rules:
        written = {condition.text for condition in rule.when}
        asked = "plots >= 4" if rule.id == "low-slow-unknown-height" else "plots >= 3"
        assert {"not exempt", asked} <= written, rule.id
        assert {"existence >= 0.9", "existence >= 0.99"} & written, rule.id
        assert rule.recipients, rule.id


def test_shipped_words_are_those_of_the_design() -> None:
    words = rulefile.load(SHIPPED).words
    assert words == Words()
    assert (words.slow_mps, words.p_slow, words.low_m, words.p_low, words.near_m) == (80.0, 0.8, 1_000.0, 0.5, 30_000.0)


def _cases() -> list[tuple[str, str]]:
    """(rule, condition) of every condition of the shipped rules."""
    return [(rule.id, condition.text) for rule in rulefile.load(SHIPPED).rules for condition in rule.when]


@pytest.mark.parametrize("rule_id, line", _cases())
def test_tests_of_the_shipped_file_notice_when_a_condition_is_turned_round(
    tmp_path: Path, rule_id: str, line: str
) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    head, block = text.split(f'id = "{rule_id}"', 1)
    opposite = {"near or inside": "not near", "not low": "low"}
    turned = opposite.get(line) or (line.removeprefix("not ") if line.startswith("not ") else f"not {line}")
    turned = line.replace(">=", "<") if ">=" in line else turned
    turned = line.replace("<=", ">") if "<=" in line else turned
    turned = turned.replace("not height_above_ground unknown", "height_above_ground known")
    broken = f'{head}id = "{rule_id}"' + block.replace(f'"{line}"', f'"{turned}"', 1)
    assert broken != text
    error = refusal(tmp_path, broken)
    assert ".test[" in error.key
    assert "expects" in error.problem


@pytest.mark.parametrize("rule_id", list(dict.fromkeys(rule for rule, _ in _cases())))
def test_every_shipped_rule_is_tested_both_ways(rule_id: str) -> None:
    block = SHIPPED.read_text(encoding="utf-8").split(f'id = "{rule_id}"', 1)[1].split("[[rule]]", 1)[0]
    assert "expect = true" in block
    assert "expect = false" in block


@pytest.mark.parametrize(
    "line, expected",
    [
        ("slow", ("slow", "is", 1.0)),
        ("not  exempt", ("exempt", "is", 0.0)),
        ("distance <= 30 km", ("distance", "<=", 30_000.0)),
        ("distance<=30km", ("distance", "<=", 30_000.0)),
        ("distance > -0.5 NM", ("distance", ">", -926.0)),
        ("height_above_ground < 1000 ft", ("height_above_ground", "<", 304.8)),
        ("speed >= 36 km/h", ("speed", ">=", 10.0)),
        ("speed <= 100 kn", ("speed", "<=", 100 * 1_852 / 3_600)),
        ("time_to_border <= 2 min", ("time_to_border", "<=", 120.0)),
        ("existence >= 0.9", ("existence", ">=", 0.9)),
        ("plots >= 3", ("plots", ">=", 3.0)),
        ("class is balloon", ("class", "is", "balloon")),
        ("state is not BY", ("state", "is-not", "BY")),
    ],
)
def test_condition_is_read_into_si(line: str, expected: tuple[str, str, float | str]) -> None:
    got = rulefile.condition(line)
    assert (got.quantity, got.op) == expected[:2]
    assert got.value == (pytest.approx(expected[2], rel=1e-15) if isinstance(expected[2], float) else expected[2])
    assert np.isnan(got.p)
    assert got.text == " ".join(line.split())


def test_condition_with_probability_unknown_and_alternatives() -> None:
    assert rulefile.condition("speed <= 80 m/s with p >= 0.8").p == 0.8
    assert rulefile.condition("distance <= 3 km with p >= 0.5").value == 3_000.0
    for line in ("height_above_ground unknown", "height_above_ground is unknown"):
        assert rulefile.condition(line).op == "unknown"
    either = rulefile.condition("near or inside or speed known")
    assert (either.op, [part.text for part in either.either]) == ("any", ["near", "inside", "speed known"])


@pytest.mark.parametrize(
    "line, problem, cure",
    [
        ("speeed <= 80 m/s", "'speeed' is not a known quantity", "did you mean speed?"),
        ("speed <= 80", "'speed' needs a unit", "m/s, km/h, kn"),
        ("speed <= 80 km", "'km' is not a unit of 'speed'", "take one of m/s, km/h, kn"),
        ("speed <= 80 mph", "'mph' is not a unit of 'speed'", "take one of m/s, km/h, kn"),
        ("existence >= 90 m", "'m' is not a unit of 'existence'", "leave the unit out"),
        ("existence >= 0.9 with p >= 0.5", "carries no uncertainty", "leave out"),
        ("speed <= 80 m/s with p >= 1.5", "is not between 0 and 1", "with p >= 0.8"),
        ("slow <= 80 m/s", "'slow' is a flag, not a number", '"not slow"'),
        ("speed", "has no limit", "speed <= 1 m/s"),
        ("not class", "has no limit", "class is balloon"),
        ("class is baloon", "'baloon' is not a class", "did you mean balloon?"),
        ("class is unknown", None, None),
        ("state is Belarus", "'Belarus' is not a state", "ISO code"),
        ("slow is true", "'slow' is a flag, not a name", '"not slow"'),
        ("speed = 80 m/s", "is not a condition", "write it like"),
        ("near or", "is not a condition", "write it like"),
        (f"plots >= {'9' * 400}", "is too large", "finite"),
        ("speed <= nan m/s", "is not a condition", "write it like"),
        ("not not slow", "is not a condition", "write it like"),
    ],
)
def test_bad_condition_is_refused_with_its_place_and_cure(
    tmp_path: Path, line: str, problem: str | None, cure: str | None
) -> None:
    text = RULE.replace('"not exempt"', f'"{line}"')
    if problem is None or cure is None:
        assert load(tmp_path, text).rules[0].when[1].op == "unknown"
        return
    error = refusal(tmp_path, text)
    assert error.file.endswith("rules0.toml")
    assert error.key == "rule[0].when[1]"
    assert problem in error.problem
    assert cure in error.cure


@pytest.mark.parametrize(
    "change, key",
    [
        (("severity = 2", "severity = 4"), "rule[0].severity"),
        (("severity = 2", "severity = '2'"), "rule[0].severity"),
        (("severity = 2", "severity = true"), "rule[0].severity"),
        (("severity = 2", "severty = 2"), "rule[0].severity"),
        (('title = "A"', 'title = "A"\ncolour = 3'), "rule[0].colour"),
        (('title = "A"', 'title = "A hostile one"'), "rule[0].title"),
        (('title = "A"', 'title = "A"\nsentence = "{places}."'), "rule[0].sentence"),
        (('title = "A"', 'title = "A"\nsentence = "Attack {place}."'), "rule[0].sentence"),
        (('title = "A"', 'title = "A"\ndwell_s = nan'), "rule[0].dwell_s"),
        (('title = "A"', 'title = "A"\ndwell_s = -1.0'), "rule[0].dwell_s"),
        (('title = "A"', 'title = "A"\nkeep = ["nothing"]'), "rule[0].keep[0]"),
        (('when = ["slow", "not exempt"]', "when = []"), "rule[0].when"),
        (('id = "a"', 'id = "a/b"'), "rule[0].id"),
        (("[[rule]]", "[words]\nslow_mps = inf\n[[rule]]"), "words.slow_mps"),
        (("[[rule]]", "[words]\nslow_mps = 0.0\n[[rule]]"), "words.slow_mps"),
        (("[[rule]]", "[words]\np_inside = 0.1\n[[rule]]"), "words.p_outside"),
        (("[[rule]]", "[words]\nlive_s = 31.0\n[[rule]]"), "words.live_s"),
        (("[[rule]]", 'disable = ["a"]\n[[rule]]'), "disable[0]"),
        (("[[rule]]", "[[rule"), "(file)"),
        ((RULE, ""), "rule"),
        ((RULE, RULE + RULE), "rule[1].id"),
    ],
)
def test_bad_file_is_refused_with_its_key(tmp_path: Path, change: tuple[str, str], key: str) -> None:
    text = RULE.replace(*change)
    assert text != RULE
    error = refusal(tmp_path, text)
    assert error.key == key or (key == "rule[0].severity" and error.key in (key, "rule[0].severty"))


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('["slow", "not exempt"]', '[\n  "slow",\n  "speeed <= 80 m/s",\n]', 9,
         "rule[0].when[1]: 'speeed' is not a known quantity. Cure: did you mean speed?"),
        ('["slow", "not exempt"]', '["slow", "speed <= 80 km"]', 7,
         "rule[0].when[1]: 'km' is not a unit of 'speed'. Cure: take one of m/s, km/h, kn"),
        (RULE, RULE + RULE, 10, "rule[1].id: 'a' stands twice. Cure: give every rule its own id"),
        ("version = 1", "version = 1 2", 4, "(file): is not TOML: "),
    ],
)  # fmt: skip
def test_refusal_names_file_line_and_cure(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    error = refusal(tmp_path, RULE.replace(old, new))
    assert str(error).startswith(f"{tmp_path / 'rules0.toml'}:{line}: {said}")


def test_refusal_of_an_overlay_names_the_overlay(tmp_path: Path) -> None:
    error = refusal(tmp_path, RULE, "\n" + RULE)
    assert (error.file, error.line, error.key) == (str(tmp_path / "rules1.toml"), 5, "rule[0].version")


def test_misspelt_key_is_answered_with_the_right_one(tmp_path: Path) -> None:
    assert "did you mean recipients?" in refusal(tmp_path, RULE + 'recipents = ["x"]').cure


def test_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        rulefile.load(tmp_path / "none.toml")
    assert caught.value.key == "(file)"
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        rulefile.load(broken)
    assert "UTF-8" in caught.value.problem


TEST = '[[rule.test]]\nname = "n"\ngiven = { speed = "40 m/s +- 3", exempt = false }\nexpect = true\n'


@pytest.mark.parametrize(
    "change, key, problem",
    [
        (("expect = true", "expect = false"), "rule[0].test[0]", "expects false, but every condition holds"),
        (("exempt = false", "exempt = true"), "rule[0].test[0]", "expects true, but these do not hold: not exempt"),
        ((", exempt = false", ""), "rule[0].test[0]", "expects true, but these do not hold: not exempt"),
        (("40 m/s +- 3", "75 m/s +- 20"), "rule[0].test[0]", "these do not hold: slow"),
        (("40 m/s +- 3", "40"), "rule[0].test[0].given.speed", "needs a unit"),
        (("40 m/s +- 3", "fast"), "rule[0].test[0].given.speed", "not a number with its unit"),
        (("exempt = false", "exempt = 1"), "rule[0].test[0].given.exempt", "is a flag"),
        (("exempt = false", 'exemt = "no"'), "rule[0].test[0].given.exemt", "not a known quantity"),
        (("exempt = false", 'plots = "3 +- 1"'), "rule[0].test[0].given.plots", "carries no uncertainty"),
        (("exempt = false", "existence = true"), "rule[0].test[0].given.existence", "not a number"),
    ],
)
def test_test_in_the_file_is_run_and_can_fail(tmp_path: Path, change: tuple[str, str], key: str, problem: str) -> None:
    load(tmp_path, RULE + TEST)
    error = refusal(tmp_path, RULE + TEST.replace(*change))
    assert error.key == key
    assert problem in error.problem


def test_overlay_sets_words_replaces_adds_and_switches_off(tmp_path: Path) -> None:
    base = RULE + RULE.replace('"a"', '"b"') + RULE.replace('"a"', '"c"')
    overlay = (
        'disable = ["b"]\n[words]\nslow_mps = 60.0\n'
        + RULE.replace("version = 1", "version = 2").replace("severity = 2", "severity = 1")
        + RULE.replace('"a"', '"d"')
    )
    ruleset = load(tmp_path, base, overlay)
    assert [(rule.id, rule.version, rule.severity) for rule in ruleset.rules] == [("a", 2, 1), ("c", 1, 2), ("d", 1, 2)]
    assert ruleset.words == Words(slow_mps=60.0)
    assert ruleset.rules[0].sentence == SENTENCE


def test_overlay_that_replaces_a_rule_has_to_raise_its_version(tmp_path: Path) -> None:
    error = refusal(tmp_path, RULE, RULE)
    assert (error.key, error.cure) == ("rule[0].version", "set version = 2")
    assert error.file.endswith("rules1.toml")


def test_overlay_cannot_switch_off_what_is_not_there(tmp_path: Path) -> None:
    error = refusal(tmp_path, RULE.replace('"a"', '"low-slow"'), 'disable = ["low-slw"]')
    assert (error.key, error.cure) == ("disable[0]", "did you mean low-slow?")


def test_tests_run_with_the_words_of_their_own_layer(tmp_path: Path) -> None:
    """The base is right by its own words, whatever an overlay makes of them; the overlay answers for itself."""
    slower = "[words]\nslow_mps = 20.0\n"
    load(tmp_path, RULE + TEST, slower)
    error = refusal(tmp_path, RULE + TEST, slower + (RULE + TEST).replace('"a"', '"b"'))
    assert "these do not hold: slow" in error.problem


def _slices(text: str) -> Sequence[str]:
    return [line for line in text.splitlines(keepends=True) if line.strip()]


_LINES = _slices(SHIPPED.read_text(encoding="utf-8"))
_JUNK = ["", "x = ", '"', "[words]\n", "nan", "not ", "1e999", "\x00"]
_EDITS = st.lists(
    st.tuples(st.integers(0, len(_LINES) - 1), st.sampled_from(_JUNK)),
    min_size=1,
    max_size=3,
)


@given(_EDITS)
def test_broken_file_is_refused_as_configuration_and_never_otherwise(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, str]]
) -> None:
    lines = list(_LINES)
    for row, text in edits:
        lines[row] = text + lines[row][len(text) :] if text else ""
    path = tmp_path_factory.getbasetemp() / "broken-rules.toml"
    path.write_text("".join(lines), encoding="utf-8")
    try:
        assert rulefile.load(path).rules
    except ConfigError as error:
        assert_told(error, path)


def assert_told(error: ConfigError, path: Path) -> None:
    """The file comes first in the line a person reads, and nothing is left empty."""
    assert str(error).startswith(str(path))
    assert error.key
    assert error.problem
    assert error.cure


_WORDS = ["<=", ">=", "<", "is", "not", "or", "with", "p", "80", "9" * 400, "-3.5", "0.5", "unknown", "LT", "é"]
_PIECES = st.sampled_from([*QUANTITIES, *rulefile.UNITS, *_WORDS])


@given(st.lists(_PIECES, min_size=1, max_size=9).map(" ".join) | st.text(max_size=30))
def test_every_line_is_a_condition_that_can_be_evaluated_or_is_refused(line: str) -> None:
    try:
        got = rulefile.condition(line)
    except rulefile.Fault as fault:
        told = fault.problem, fault.cure
    else:
        told = got.text, "read"
        assert holds(got, Scene(2)).shape == (2,)
    assert all(told)


def test_every_quantity_can_be_written() -> None:
    example = {Kind.NUMBER: "{} <= 1{}", Kind.FLAG: "not {}{}", Kind.NAME: "{} known{}"}
    for spec in QUANTITIES.values():
        line = example[spec.kind].format(spec.name, f" {spec.unit}" if spec.unit else "")
        assert rulefile.condition(line).quantity == spec.name


def test_bands_of_a_file_and_of_its_overlay(tmp_path: Path) -> None:
    base = tmp_path / "rules.toml"
    base.write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    overlay = tmp_path / "own.toml"
    overlay.write_text("[bands]\ndistance_m = [20000.0]\ntime_s = []\n", encoding="utf-8")
    assert rulefile.load(base).bands == Bands()
    laid = rulefile.load(base, [overlay]).bands
    assert (laid.distance_m, laid.time_s, laid.depth_m) == ((20_000.0,), (), Bands().depth_m)
    for wrong, key in (
        ("distance_m = [5000.0, 15000.0]", "bands"),
        ("depth_m = [0.0]", "bands.depth_m[0]"),
        ("distances = []", "bands.distances"),
    ):
        overlay.write_text(f"[bands]\n{wrong}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as caught:
            rulefile.load(base, [overlay])
        assert caught.value.key == key
        assert caught.value.cure


def test_a_kind_of_area_is_one_of_those_there_are(tmp_path: Path) -> None:
    assert rulefile.condition("protected_kind is training-area").value == "training-area"
    with pytest.raises(rulefile.Fault) as caught:
        rulefile.condition("protected_kind is airprt")
    assert "airport" in caught.value.cure


def test_a_file_that_is_nested_too_deep_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text("a = " + "[" * 5_000 + "]" * 5_000, encoding="utf-8")
    with pytest.raises(ConfigError, match="nested too deep"):
        rulefile.load(path)


def with_line(folder: Path, line: str) -> tuple[Path, RuleSet]:
    """An overlay with this line among what keeps its rule, on line 9."""
    overlay = RULE.replace('"a"', '"b"') + f'keep = [\n  "{line}",\n]\n'
    return folder / "rules1.toml", load(folder, RULE, overlay)


@pytest.mark.parametrize("line", ["state is LX", "state is not LX", "slow or near_state is LX"])
def test_a_state_that_no_border_file_has_is_refused_where_it_stands(tmp_path: Path, line: str) -> None:
    overlay, ruleset = with_line(tmp_path, line)
    with pytest.raises(ConfigError) as caught:
        rulefile.refuse_states((tmp_path / "rules0.toml", overlay), ruleset, ("LT", "PL"))
    error = caught.value
    assert (error.file, error.key, error.line) == (str(overlay), "rule[0].keep[0]", 9)
    assert (error.problem, error.cure) == ("no border file has a state 'LX'", "known: LT, PL")


@pytest.mark.parametrize("line", ["state is LT", "state unknown", "near_state is not PL or slow"])
def test_states_that_are_there_may_be_asked_for(tmp_path: Path, line: str) -> None:
    overlay, ruleset = with_line(tmp_path, line)
    assert [rule.id for rule in ruleset.rules] == ["a", "b"]
    rulefile.refuse_states((tmp_path / "rules0.toml", overlay), ruleset, ("LT", "PL"))
