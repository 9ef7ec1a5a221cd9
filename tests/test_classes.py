"""Class probabilities: arithmetic, words, the weight of what an object says, and calibration on a labelled sky."""

from __future__ import annotations

from functools import cache
from math import exp, log
from typing import Any

import numpy as np
import pytest

from fusion import classes, classtable
from fusion.classes import ABSTAIN_BELOW, FEATURES, NAMES, TABLE, WORDS, K
from fusion.redlines.sentence import NEVER, check_words
from fusion.schema import ObjectClass
from replay import objects
from tests import classsky
from tests.bench import fit_classes

# What no class may be called: types, and what something is built for.
FORBIDDEN = (
    *NEVER,
    *("shahed", "geran", "gerbera", "parodiya", "orlan", "lancet", "forpost", "kalibr", "kh-", "tu-", "tupolev"),
    *("loitering", "strike", "combat", "fighter", "bomber", "cruise", "rocket", "target", "threat", "military", "lure"),
)


# --- the arithmetic ---


def parts() -> list[tuple[Any, Any, Any]]:
    table = np.array(classtable.PARTS.split(), np.float64).reshape(K - 1, classtable.PARTS_OF_CLASS, -1)
    width = len(FEATURES)
    return [(one[:, 0], one[:, 1 : 1 + width], one[:, 1 + width :]) for one in table]


def some_features(n: int) -> np.ndarray:
    """Features as they come, a fifth of them unknown."""
    luck = np.random.default_rng(4)
    centre = np.concatenate([one[1] for one in parts()])
    found = centre[luck.integers(0, len(centre), n)] + luck.normal(0.0, 0.5, (n, len(FEATURES)))
    return np.where(luck.random(found.shape) < 0.2, np.nan, found)


def test_kernel_says_what_plain_numpy_says() -> None:
    features = some_features(300)
    wanted = classtable.TEMPER * fit_classes.log_densities(features, parts())
    np.testing.assert_allclose(classes.log_densities(features)[:, 1:], wanted, rtol=0, atol=1e-7)


def test_how_well_a_track_is_known_is_no_evidence() -> None:
    """With nothing known but the noise and the age, no class is likelier for it; what is one density of one is sure."""
    features = np.full((50, len(FEATURES)), np.nan)
    luck = np.random.default_rng(2)
    features[:, classes.EVIDENCE :] = luck.uniform(0.0, 5.0, (50, len(FEATURES) - classes.EVIDENCE))
    np.testing.assert_allclose(classes.log_densities(features), 0.0, atol=1e-8)


def test_nothing_known_gives_the_priors_and_no_name() -> None:
    p = classes.posterior(classes.log_densities(np.full((1, len(FEATURES)), np.nan)), np.zeros((1, K)))
    prior = np.array([row[1] for row in TABLE])
    np.testing.assert_allclose(p[0], prior / prior.sum(), rtol=1e-12)
    assert classes.name(p)[0].tolist() == [ObjectClass.UNKNOWN]


def test_probabilities_add_up_whatever_comes() -> None:
    wild = np.concatenate([some_features(100), np.full((1, len(FEATURES)), 50.0), np.full((1, len(FEATURES)), -50.0)])
    p = classes.posterior(classes.log_densities(wild), np.zeros((len(wild), K)))
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)


def test_what_fits_no_class_is_none_of_these() -> None:
    strange = np.array([[9.0, 6.0, -5.0, 0.0, -1.0, 12.0, 8.0, 5.0, 1.0, 5.0]])  # 8 km/s, round and round, at 160 km
    p = classes.posterior(classes.log_densities(strange), np.zeros((1, K)))
    assert p[0].argmax() == ObjectClass.UNKNOWN
    assert np.isnan(classes.name(p)[1]).all()


def test_name_abstains_below_its_probability_and_names_from_it_on() -> None:
    p = np.zeros((3, K))
    p[:, ObjectClass.BALLOON] = ABSTAIN_BELOW - 1e-9, ABSTAIN_BELOW, 0.2
    p[:, ObjectClass.UNKNOWN] = 1.0 - p[:, ObjectClass.BALLOON]
    kind, probability = classes.name(p)
    assert kind.tolist() == [ObjectClass.UNKNOWN, ObjectClass.BALLOON, ObjectClass.UNKNOWN]
    np.testing.assert_array_equal(probability, [np.nan, ABSTAIN_BELOW, np.nan])


# --- the words ---


def test_no_class_is_called_after_a_weapon_or_a_purpose() -> None:
    for text in (*NAMES, *WORDS.values()):
        check_words(text)
        assert not [word for word in FORBIDDEN if word in text.lower()], text


def test_every_fixed_wing_drone_of_the_catalogue_is_one_class() -> None:
    drones = ("shahed", "gerbera", "parodiya", "orlan-10", "lancet", "forpost", "ar5-drone")
    assert {classsky.KIND_CLASS[kind] for kind in drones} == {"FIXED_WING_DRONE"}
    assert sorted(classsky.KIND_CLASS) == sorted(objects.CATALOGUE)
    assert set(classsky.KIND_CLASS.values()) == {kind.name for kind in list(ObjectClass)[1:]}


def test_every_class_has_a_row_of_the_table_and_a_word() -> None:
    assert [row[0] for row in TABLE] == [kind.name for kind in ObjectClass]
    assert list(WORDS) == list(ObjectClass)
    numbers = np.array([row[1:] for row in TABLE], np.float64)
    assert numbers[:, 0].sum() == pytest.approx(1.0)
    np.testing.assert_allclose(numbers[:, 1:5].sum(axis=1), 1.0)
    assert (numbers[:, 1:] >= 0.005).all()
    assert (numbers <= 0.99).all()


# --- what an object says ---


def said(**given: Any) -> np.ndarray:
    """(K,) log likelihood of one object that speaks, or not."""
    row: dict[str, Any] = {"claiming": True, "replying": False, "serial": b"", "heard": True, "category": -1}
    row |= {"callsign": b"", "mode3a": -1} | given
    voice = classes.voices(np.array([row["claiming"]]), np.array([row["replying"]]), np.array([row["serial"]], "S20"))
    found = classes.log_identity(
        voice,
        np.array([row["heard"]]),
        np.array([row["category"]], np.int8),
        np.array([row["callsign"]], "S8"),
        np.array([row["mode3a"]], np.int32),
    )
    return np.asarray(found[0])


def times(given: dict[str, Any], kind: ObjectClass, against: ObjectClass) -> float:
    """How much more what is given speaks for one class than for the other, beside speaking at all."""
    return exp(float((said(**given) - said())[kind] - (said(**given) - said())[against]))


@pytest.mark.parametrize(
    "given, kind, against",
    [
        ({"category": 10}, ObjectClass.ROTORCRAFT, ObjectClass.LIGHT_AIRCRAFT),
        ({"category": 11}, ObjectClass.GLIDER, ObjectClass.FIXED_WING_DRONE),
        ({"category": 12}, ObjectClass.BALLOON, ObjectClass.BIRD_FLOCK),
        ({"category": 13}, ObjectClass.FIXED_WING_DRONE, ObjectClass.ULTRALIGHT),
        ({"category": 5}, ObjectClass.AIRLINER, ObjectClass.FAST_JET),
        ({"serial": b"1581F0062001"}, ObjectClass.SMALL_MULTICOPTER, ObjectClass.BIRD_FLOCK),
        ({"serial": b"FLR62C000"}, ObjectClass.GLIDER, ObjectClass.AIRLINER),
        ({"callsign": b"LOT3PA"}, ObjectClass.AIRLINER, ObjectClass.LIGHT_AIRCRAFT),
        ({"callsign": b"LYABC"}, ObjectClass.LIGHT_AIRCRAFT, ObjectClass.AIRLINER),
        ({"mode3a": 0o7000}, ObjectClass.ULTRALIGHT, ObjectClass.AIRLINER),
    ],
)
def test_identity_is_strong_and_not_absolute(given: dict[str, Any], kind: ObjectClass, against: ObjectClass) -> None:
    assert 2.0 < times(given, kind, against) < 4_000.0  # two words of its own at most, each up to about sixty to one


@pytest.mark.parametrize("code", [0, 0o7500, 0o7600, 0o7700, -1])
def test_codes_of_an_emergency_say_nothing_of_the_class(code: int) -> None:
    np.testing.assert_array_equal(said(mode3a=code), said())


def test_what_is_doubted_counts_for_nothing() -> None:
    assert not said(heard=False, category=5, callsign=b"LOT123", mode3a=0o2000, serial=b"1581F00").any()


def test_what_a_silent_track_remembers_counts_for_nothing() -> None:
    silent = {"claiming": False, "replying": False}
    before = said(**silent, category=5, callsign=b"LOT123", serial=b"1581F00", mode3a=0o2000)
    np.testing.assert_array_equal(before, said(**silent))
    assert before[ObjectClass.BIRD_FLOCK] > before[ObjectClass.AIRLINER] + log(20.0)  # silence itself speaks


@pytest.mark.parametrize(
    "callsign, airline",
    [
        (b"LOT123", 1),
        (b"DLH4", 1),
        (b"LYABC", 0),
        (b"N123AB", 0),
        (b"", 0),
        (b"AB1", 0),
        (b"lot12", 0),
        (b"RYR12AB8", 1),
    ],
)
def test_form_of_a_callsign(callsign: bytes, airline: int) -> None:
    assert classes.airline_form(np.array([callsign], "S8")).tolist() == [airline]


# --- calibration ---

SEED = 11  # not one of those the densities were fitted on
SECONDS = 150.0
COUNTS = {
    "shahed": 4, "gerbera": 4, "orlan-10": 2, "ar5-drone": 2, "lancet": 1, "tu-141": 1, "cruise-missile": 1,
    "quadcopter": 5, "light-aircraft": 16, "ultralight": 5, "sailplane": 6, "paraglider": 6, "airliner": 26,
    "fast-jet": 4, "helicopter": 6, "smuggling-balloon": 8, "geese": 14, "wind-turbine": 6,
}  # fmt: skip


@cache
def small_sky() -> classsky.Judged:
    """A sky of every class through the engine, once for all tests."""
    assert SEED not in (*fit_classes.SEEDS, fit_classes.TEMPER_SEED)
    return classsky.judged(classsky.watch(classsky.sky(COUNTS, SEED, SECONDS), SECONDS))


def test_probabilities_are_calibrated_on_a_sky_that_was_not_fitted() -> None:
    found = small_sky()
    assert len(found.label) > 1_500
    assert len(np.unique(found.label)) >= K - 3, "a sky of a few classes would prove little"
    assert found.error() <= 0.05 + found.chance(), found.bins()


def test_bolder_probabilities_would_fail_that() -> None:
    """Odds to the fourth power: the bound is not so wide that everything passes."""
    bold = small_sky().sharpened(4.0)
    assert bold.error() > 0.05 + bold.chance(), bold.bins()


def test_what_is_named_is_mostly_right_and_what_is_not_named_would_mostly_be_wrong() -> None:
    found = small_sky()
    named, _ = classes.name(found.p)
    right = found.p.argmax(axis=1) == found.label
    assert right[named > 0].mean() > 0.85
    assert right[named == 0].mean() < 0.6
    assert 0.4 < (named > 0).mean() < 0.95


def test_birds_and_balloons_are_seldom_named_drones() -> None:
    table = small_sky().confusion()
    for kind in (ObjectClass.BIRD_FLOCK, ObjectClass.BALLOON, ObjectClass.FIXED_ECHO):
        assert table[kind].sum() > 50
        assert table[kind, ObjectClass.FIXED_WING_DRONE] <= 0.1 * table[kind].sum(), kind.name


def test_calibration_error_of_answers_that_are_known() -> None:
    """The judge itself: of answers of 0.75 that are right three times in four nothing is wrong, of 0.95 a fifth is."""
    p = np.zeros((400, K))
    label = np.where(np.arange(400) % 4 == 0, 2, 1)
    for top, error in ((0.75, 0.0), (0.95, 0.2)):
        p[:, 1], p[:, 2] = top, 1.0 - top
        found = classsky.Judged(p.copy(), label, np.arange(400))
        assert found.error() == pytest.approx(error, abs=1e-12)
        assert 0.0 < found.chance() < 0.03
