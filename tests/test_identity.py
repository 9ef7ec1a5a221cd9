"""Cooperative or not, low and slow, and the class, at the edges of what the words say."""

from __future__ import annotations

from dataclasses import fields
from math import hypot
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from fusion.identity import ABSTAIN_BELOW, AGL_FLOOR_M, CATEGORY_WEIGHT, CLASSES, SPEED_FLOOR_MPS, assess
from fusion.rules import Words
from fusion.schema import Assessment, ObjectClass
from fusion.zones import ZoneFacts
from tests.airpicture import AIRCRAFT, DRONE, RADARS, SENSORS, T0_US, S, picture, row


def assessed(*rows: dict[str, Any], t_us: int = T0_US, words: Words | None = None) -> Assessment:
    tracks, facts = picture(rows, t_us)
    return assess(tracks, facts, words or Words(), SENSORS)


def test_facts_pass_through_untouched_and_nothing_is_left_out() -> None:
    tracks, facts = picture([{}, AIRCRAFT])
    result = assess(tracks, facts, Words(), SENSORS)
    for field in fields(ZoneFacts):
        np.testing.assert_array_equal(getattr(result, field.name), getattr(facts, field.name))
    for field in fields(Assessment):
        assert getattr(result, field.name).shape == (2,), field.name


def test_empty_picture_gives_an_empty_assessment() -> None:
    result = assessed()
    assert all(getattr(result, field.name).shape == (0,) for field in fields(Assessment))


def test_low_and_slow_are_probabilities_of_a_normal_quantity() -> None:
    result = assessed({"speed_mps": 70.0, "sigma_speed_mps": 10.0, "agl_m": 900.0, "sigma_agl_m": 150.0})
    assert row(result, "p_slow") == pytest.approx(NormalDist(70.0, 10.0).cdf(80.0), rel=1e-12)
    assert row(result, "p_low") == pytest.approx(NormalDist(900.0, 150.0).cdf(1_000.0), rel=1e-12)


def test_unknown_height_is_neither_low_nor_high() -> None:
    assert np.isnan(row(assessed({"height_known": False}), "p_low"))


@pytest.mark.parametrize("age_s, expected", [(0, True), (30, True), (31, False)])
def test_claim_is_live_for_thirty_seconds(age_s: int, expected: bool) -> None:
    claim = {"claim_us": T0_US, "radar_us": -1, "sensors": 1}
    assert row(assessed(claim, t_us=T0_US + age_s * S), "cooperative") == expected


@pytest.mark.parametrize("age_s, expected", [(0, True), (30, True), (31, False)])
def test_reply_to_radar_is_as_live_as_the_last_plot_with_a_code(age_s: int, expected: bool) -> None:
    now_us = T0_US + age_s * S
    reply = {"mode3a": 0o7000, "mode3a_us": T0_US, "radar_us": now_us}
    assert row(assessed(reply, t_us=now_us), "cooperative") == expected
    # nor does it outlive the radar that asked
    reply = {"mode3a": 0o7000, "mode3a_us": now_us, "radar_us": T0_US}
    assert row(assessed(reply, t_us=now_us), "cooperative") == expected


def test_object_that_says_nothing_is_not_cooperative() -> None:
    assert not row(assessed(DRONE), "cooperative")
    # A code that is remembered, while no radar has seen the object lately, is no reply.
    assert not row(assessed({"mode3a": 0o7000, "mode3a_us": T0_US, "radar_us": -1, "sensors": 0}), "cooperative")
    assert not row(assessed({"mode3a": 0o7000, "mode3a_us": T0_US, "sensors": 0}), "cooperative")


def test_contradicted_claim_is_not_cooperative() -> None:
    ghost = {"claim_us": T0_US, "radar_us": -1, "sensors": 1, "unseen": -6.0}
    result = assessed(ghost)
    assert row(result, "contradicted")
    assert not row(result, "cooperative")


def test_reply_does_not_save_a_contradicted_claim() -> None:
    too_fast = {**AIRCRAFT, "category": 15, "speed_mps": 250.0}
    assert not row(assessed(too_fast), "cooperative")


@pytest.mark.parametrize(
    "name, flight, expected",
    [
        ("drone", {"speed_mps": 42.0, "agl_m": 150.0}, ObjectClass.DRONE_LIKE),
        (
            "airliner",
            {**AIRCRAFT, "speed_mps": 230.0, "agl_m": 11_000.0, "category": 4},
            ObjectClass.AIRLINER,
        ),
        ("unidentified, fast", {"speed_mps": 420.0, "agl_m": 3_000.0}, ObjectClass.FAST_JET),
        ("balloon", {"speed_mps": 8.0, "agl_m": 7_000.0}, ObjectClass.BALLOON_LIKE),
        ("helicopter that says so", {**AIRCRAFT, "speed_mps": 55.0, "category": 10}, ObjectClass.ROTORCRAFT),
        (
            "survey aircraft that says so",
            {**AIRCRAFT, "speed_mps": 56.0, "agl_m": 1_188.0, "category": 1},
            ObjectClass.LIGHT_AIRCRAFT,
        ),
    ],
)
def test_clear_cases_get_their_class(name: str, flight: dict[str, Any], expected: ObjectClass) -> None:
    result = assessed(flight)
    assert row(result, "object_class") == expected, name
    assert ABSTAIN_BELOW <= row(result, "p_class") <= 1.0


def test_class_abstains_where_speed_cannot_tell() -> None:
    """Light aircraft and helicopters fly alike, and so do a fast drone and a slow light aircraft: lesson 3 of the
    incidents."""
    result = assessed({**AIRCRAFT, "speed_mps": 55.0}, {"speed_mps": 62.0})
    assert result.object_class.tolist() == [ObjectClass.UNKNOWN] * 2
    assert np.isnan(result.p_class).all()


def _posterior(speed_mps: float, agl_m: float, answers: bool, category: int) -> dict[ObjectClass, float]:
    """Bayes' rule over the classes for one object, in plain scalars."""

    def inside(value: float, sigma: float, limits: tuple[float, float]) -> float:
        spread = NormalDist(value, sigma)
        return (spread.cdf(limits[1]) - spread.cdf(limits[0])) / (limits[1] - limits[0])

    weights = {}
    for model in CLASSES:
        weight = model.prior * inside(speed_mps, hypot(3.0, SPEED_FLOOR_MPS), model.speed_mps)
        weight *= inside(agl_m, hypot(60.0, AGL_FLOOR_M), model.agl_m)
        weight *= model.answers if answers else 1.0 - model.answers
        weights[model.kind] = weight * (CATEGORY_WEIGHT if answers and category in model.categories else 1.0)
    return {kind: weight / sum(weights.values()) for kind, weight in weights.items()}


def test_class_is_the_posterior_of_bayes_rule() -> None:
    rng = np.random.default_rng(5)
    rows: list[dict[str, Any]] = []
    for _ in range(200):
        base = AIRCRAFT if rng.random() < 0.5 else DRONE
        speed, agl = float(rng.uniform(0.0, 300.0)), float(rng.uniform(0.0, 12_000.0))
        rows.append({**base, "speed_mps": speed, "agl_m": agl, "category": int(rng.integers(-1, 16)), "address": -1})
    result = assessed(*rows)
    assert not result.contradicted.all()
    for index, one in enumerate(rows):
        posterior = _posterior(one["speed_mps"], one["agl_m"], bool(result.cooperative[index]), one["category"])
        kind, p = max(posterior.items(), key=lambda item: item[1])
        if p >= ABSTAIN_BELOW:
            assert result.object_class[index] == kind, one
            assert result.p_class[index] == pytest.approx(p, rel=1e-6)
        else:
            assert result.object_class[index] == ObjectClass.UNKNOWN


def test_category_of_an_object_that_does_not_answer_counts_for_nothing() -> None:
    """A stale or contradicted report cannot turn a drone into an airliner."""
    silent = assessed({"category": 4, "speed_mps": 42.0})
    assert row(silent, "object_class") == row(assessed({"speed_mps": 42.0}), "object_class") == ObjectClass.DRONE_LIKE


def test_no_motion_gives_no_class_and_no_warning() -> None:
    nothing = assessed({"speed_mps": np.nan, "sigma_speed_mps": np.nan, "height_known": False, "sensors": RADARS})
    assert row(nothing, "object_class") == ObjectClass.UNKNOWN
    assert np.isnan(row(nothing, "p_slow"))


def test_words_are_data() -> None:
    words = Words(slow_mps=30.0, low_m=100.0, live_s=5.0)
    result = assessed({**AIRCRAFT, "claim_us": T0_US - 6 * S, "radar_us": T0_US - 6 * S}, words=words)
    assert row(result, "p_slow") < 0.01
    assert row(result, "p_low") < 0.5
    assert not row(result, "cooperative")


def test_rows_do_not_depend_on_their_neighbours() -> None:
    rows = [{}, AIRCRAFT, {"speed_mps": 200.0}, {"height_known": False}]
    together = assessed(*rows)
    for index, one in enumerate(rows):
        alone = assessed(one)
        for field in fields(Assessment):
            np.testing.assert_array_equal(getattr(together, field.name)[index], getattr(alone, field.name)[0])
