"""Conditions and rules, against scalar re-statements, the normal distribution of `statistics` and geographiclib."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.borders.outlook import blank
from fusion.identity import assess
from fusion.rules import (
    QUANTITIES,
    Condition,
    Kind,
    Rule,
    RuleSet,
    Scene,
    Words,
    holds,
    probability_at_most,
    scene_of,
    with_words,
)
from fusion.schema import ObjectClass
from tests.airpicture import AIRCRAFT, CODES, SENSORS, T0_US, S, picture

SPEED = Condition("speed", "<=", 80.0)


def scene(**columns: object) -> Scene:
    """One object with these quantities."""
    numbers: dict[str, np.ndarray] = {}
    flags: dict[str, np.ndarray] = {}
    for name, value in columns.items():
        target = numbers if QUANTITIES[name].kind is Kind.NUMBER else flags
        target[name] = np.array([value], np.float64)
    return Scene(1, numbers, {}, flags)


def test_probability_is_that_of_the_normal_distribution() -> None:
    values = [10.0, 79.0, 80.0, 81.0, 300.0]
    sigmas = [0.5, 3.0, 7.0, 20.0, 100.0]
    expected = [NormalDist(v, s).cdf(80.0) for v, s in zip(values, sigmas, strict=True)]
    np.testing.assert_allclose(probability_at_most(np.array(values), np.array(sigmas), 80.0), expected, rtol=1e-12)


def test_probability_without_spread_is_certain_and_unknown_stays_unknown() -> None:
    value = np.array([80.0, 80.001, np.nan, 10.0])
    sigma = np.array([0.0, 0.0, 0.0, np.nan])
    np.testing.assert_array_equal(probability_at_most(value, sigma, 80.0), [1.0, 0.0, np.nan, np.nan])
    np.testing.assert_array_equal(probability_at_most(value[:3], None, 80.0), [1.0, 0.0, np.nan])


@given(st.one_of(st.just(math.nan), st.floats(-1e6, 1e6)), st.floats(-1e6, 1e6))
def test_what_is_not_known_satisfies_neither_a_condition_nor_its_opposite(value: float, limit: float) -> None:
    one = scene(speed=value)
    below, above = (bool(holds(Condition("speed", op, limit), one)[0]) for op in ("<=", ">"))
    unknown, known = (bool(holds(Condition("speed", op), one)[0]) for op in ("unknown", "known"))
    assert (below, above) == ((False, False) if math.isnan(value) else (value <= limit, value > limit))
    assert unknown is math.isnan(value)
    assert known is not unknown


@pytest.mark.parametrize("flag, wanted", [(1.0, (True, False)), (0.0, (False, True)), (math.nan, (False, False))])
def test_flag_is_true_false_or_neither(flag: float, wanted: tuple[bool, bool]) -> None:
    one = scene(exempt=flag)
    assert bool(holds(Condition("exempt", "is", 1.0), one)[0]) is wanted[0]
    assert bool(holds(Condition("exempt", "is", 0.0), one)[0]) is wanted[1]
    assert bool(holds(Condition("exempt", "is-not", 1.0), one)[0]) is wanted[1]


def test_missing_column_is_unknown() -> None:
    assert not holds(SPEED, Scene(3)).any()
    assert holds(Condition("speed", "unknown"), Scene(3)).all()
    assert not holds(Condition("class", "is-not", "airliner"), Scene(3)).any()


def test_probability_condition_asks_for_the_probability() -> None:
    three = Scene(3, {"speed": np.array([60.0, 75.0, 79.0])}, {"speed": np.array([10.0, 10.0, 10.0])})
    expected = [NormalDist(v, 10.0).cdf(80.0) >= 0.8 for v in (60.0, 75.0, 79.0)]
    assert expected == [True, False, False]
    assert holds(Condition("speed", "<=", 80.0, 0.8), three).tolist() == expected
    upper = [1.0 - NormalDist(v, 10.0).cdf(80.0) >= 0.4 for v in (60.0, 75.0, 79.0)]
    assert holds(Condition("speed", ">=", 80.0, 0.4), three).tolist() == upper


def test_name_compares_by_text_and_alternatives_need_only_one() -> None:
    named = Scene(3, names={"state": (np.array([1, 0, -1], np.int16), CODES)})
    assert holds(Condition("state", "is", "BY"), named).tolist() == [True, False, False]
    assert holds(Condition("state", "is-not", "BY"), named).tolist() == [False, True, False]
    assert holds(Condition("state", "is", "XX"), named).tolist() == [False, False, False]
    either = Condition("", "any", either=(Condition("state", "is", "BY"), Condition("state", "is", "LT")))
    assert holds(either, named).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "arguments",
    [
        ("speeed", "<=", 1.0),
        ("slow", "<=", 1.0),
        ("speed", "is", 1.0),
        ("existence", ">=", 0.9, 0.5),
        ("", "any"),
    ],
)
def test_condition_that_could_never_work_is_refused(arguments: tuple[object, ...]) -> None:
    with pytest.raises(ValueError):
        Condition(*arguments)  # type: ignore[arg-type]


def test_rule_and_rule_set_refuse_what_could_not_work() -> None:
    for broken in ({"when": ()}, {"severity": 4}, {"dwell_s": -1.0}, {"hold_s": math.nan}):
        with pytest.raises(ValueError):
            Rule(**{"id": "a", "version": 1, "severity": 1, "title": "", "when": (SPEED,), **broken})  # type: ignore[arg-type]
    rule = Rule("a", 1, 1, "", (SPEED,))
    with pytest.raises(ValueError):
        RuleSet((rule, rule))


def _word(values: Mapping[str, float], words: Words, word: str) -> bool | None:
    """The words of DESIGN 5, said once more for one object; None is unknown."""
    distance, inside = values["distance"], values["probability_inside"]
    if word in ("slow", "low"):
        p = values[f"probability_{word}"]
        return None if math.isnan(p) else p >= (words.p_slow if word == "slow" else words.p_low)
    if word == "near":
        return (
            None if math.isnan(distance) or math.isnan(inside) else inside < words.p_inside and distance <= words.near_m
        )
    if math.isnan(inside):
        return None
    return inside >= words.p_inside and values["from_outside"] == 1.0


_maybe = st.one_of(st.just(math.nan), st.floats(0.0, 1.0))


@given(_maybe, _maybe, _maybe, st.one_of(st.just(math.nan), st.floats(-1e5, 1e5)), st.sampled_from([0.0, 1.0]))
def test_words_mean_what_the_design_says(slow: float, low: float, inside: float, distance: float, out: float) -> None:
    values = {
        "probability_slow": slow,
        "probability_low": low,
        "probability_inside": inside,
        "distance": distance,
        "from_outside": out,
    }
    words = Words()
    worked_out = with_words(scene(**values), words)
    for word in ("slow", "low", "near", "inside"):
        flag = float(worked_out.flags[word][0])
        assert (None if math.isnan(flag) else flag == 1.0) == _word(values, words, word), word


def test_near_ends_at_thirty_kilometres_and_inside_is_not_near() -> None:
    flags = with_words(Scene(4, {"distance": np.array([30_000.0, 30_000.1, 0.1, -0.1])}), Words()).flags
    assert flags["near"].tolist() == [1.0, 0.0, 1.0, 0.0]
    assert flags["within_border"].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_scene_takes_every_quantity_from_the_picture() -> None:
    unknown = {"height_known": False, "claim_us": T0_US, "radar_us": -1, "sensors": 1, "state": -1}
    tracks, facts = picture([{}, AIRCRAFT, unknown], T0_US + 2 * S)
    words = Words()
    assessment = assess(tracks, facts, words, SENSORS)
    ruleset = RuleSet((Rule("a", 1, 1, "", (SPEED,)),), words)
    built = scene_of(tracks, assessment, np.array([True, False, False]), ruleset, CODES)
    for spec in QUANTITIES.values():
        columns = {Kind.NUMBER: built.numbers, Kind.FLAG: built.flags, Kind.NAME: built.names}[spec.kind]
        assert spec.name in columns, spec.name
        assert (spec.name in built.sigmas) == spec.has_sigma, spec.name
    assert built.numbers["height_above_ground"].tolist()[:2] == [150.0, 150.0]
    assert np.isnan([built.numbers["height_above_ground"][2], built.flags["low"][2], built.numbers["height"][2]]).all()
    assert built.flags["claim_only"].tolist() == [0.0, 0.0, 1.0]
    assert built.flags["exempt"].tolist() == [0.0, 1.0, 1.0]
    assert built.numbers["data_age"].tolist() == [2.0, 2.0, 2.0]
    assert built.numbers["age"].tolist() == [22.0, 22.0, 22.0]
    assert holds(Condition("state", "unknown"), built).tolist() == [False, False, True]
    abstains = assessment.object_class == ObjectClass.UNKNOWN
    assert holds(Condition("class", "unknown"), built).tolist() == abstains.tolist()


def test_keep_never_fails_where_when_holds() -> None:
    rule = Rule("a", 1, 1, "", (SPEED,), keep=(Condition("speed", "<=", 50.0),))
    when, keep = RuleSet((rule,)).evaluate(Scene(3, {"speed": np.array([40.0, 70.0, 90.0])}))
    assert when[:, 0].tolist() == [True, True, False]
    assert keep[:, 0].tolist() == [True, True, False]


def test_what_is_ahead_becomes_quantities_and_what_is_not_looked_at_is_unknown() -> None:
    tracks, facts = picture([{}, {"distance_m": -12_000.0, "p_inside": 1.0}], T0_US)
    assessment = assess(tracks, facts, Words(), SENSORS)
    ruleset = RuleSet((Rule("a", 1, 1, "", (SPEED,)),))
    outside = np.zeros(2, np.bool_)
    unknown = scene_of(tracks, assessment, outside, ruleset, CODES)
    assert holds(Condition("band", "unknown"), unknown).all()
    assert holds(Condition("turning", "unknown"), unknown).all()
    assert holds(Condition("protected_kind", "unknown"), unknown).all()
    assert unknown.numbers["depth"].tolist()[1] == 12_000.0
    known = replace(
        blank(2),
        band_m=np.array([15_000.0, np.nan]),
        area_kind=np.array([0, -1], np.int16),
        area_distance_m=np.array([2_000.0, np.nan]),
        sigma_area_m=np.array([500.0, np.nan]),
        area=np.array([0, -1], np.int16),
        diverged=np.array([True, False]),
        area_names=("Base",),
    )
    built = scene_of(tracks, assessment, outside, ruleset, CODES, known)
    assert holds(Condition("band", "<=", 15_000.0), built).tolist() == [True, False]
    assert holds(Condition("protected_kind", "is", "airport"), built).tolist() == [True, False]
    assert holds(Condition("protected_distance", "<=", 2_500.0, 0.8), built).tolist() == [True, False]
    assert holds(Condition("protected_distance", "<=", 2_400.0, 0.8), built).tolist() == [False, False]
    assert holds(Condition("diverged", "is", 1.0), built).tolist() == [True, False]
