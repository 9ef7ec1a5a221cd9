"""Cooperative or not, low and slow, and the class, at the edges of what the words say."""

from __future__ import annotations

from dataclasses import fields
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from fusion.behaviour import Behaviour
from fusion.classes import ABSTAIN_BELOW, K
from fusion.identity import assess
from fusion.rules import Words
from fusion.schema import Assessment, ObjectClass, SensorKind
from fusion.zones import ZoneFacts
from tests.airpicture import AIRCRAFT, DRONE, RADARS, SENSORS, T0_US, S, at, picture, row


def assessed(*rows: dict[str, Any], t_us: int = T0_US, words: Words | None = None) -> Assessment:
    tracks, facts = picture(rows, t_us)
    return assess(tracks, facts, words or Words(), SENSORS)


def test_facts_pass_through_untouched_and_nothing_is_left_out() -> None:
    tracks, facts = picture([{}, AIRCRAFT])
    result = assess(tracks, facts, Words(), SENSORS)
    for field in fields(ZoneFacts):
        np.testing.assert_array_equal(getattr(result, field.name), getattr(facts, field.name))
    for field in fields(Assessment):
        assert getattr(result, field.name).shape == ((2, K) if field.name == "p_classes" else (2,)), field.name


def test_empty_picture_gives_an_empty_assessment() -> None:
    result = assessed()
    assert all(len(getattr(result, field.name)) == 0 for field in fields(Assessment))


@pytest.mark.parametrize("listened_s, expected", [(-1.0, False), (29.0, True), (31.0, False)])
def test_silence_makes_nobody_unknown_while_nobody_is_heard(listened_s: float, expected: bool) -> None:
    """Of claims and of replies, a minute after the last word of both."""
    speaks = {**AIRCRAFT, "claim_us": T0_US, "radar_us": T0_US}
    replies = {"mode3a": 1_200, "mode3a_us": T0_US, "radar_us": T0_US, "sensors": 2}
    tracks, facts = picture([speaks, replies], T0_US + 60 * S)
    listened_us = T0_US + round(listened_s * S) if listened_s >= 0 else -1
    assert assess(tracks, facts, Words(), SENSORS, listened_us=listened_us).cooperative.tolist() == [expected] * 2


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


def flown(flight: dict[str, Any], seconds: int = 90) -> Assessment:
    """What is said of one object after it flew so long, straight where nothing else is said, and was seen each second.

    `course` gives the course through the air at each second, `wind_mps` what carries it east.
    """
    memory, luck = Behaviour(), np.random.default_rng(8)
    course = flight.get("course", lambda _: 0.5)
    lat_rad, lon_rad = float(DRONE["lat_rad"]), float(DRONE["lon_rad"])
    result = assessed()
    for second in range(seconds):
        now_us = T0_US + second * S
        course_rad = course(second)
        given = {k: v for k, v in flight.items() if k not in ("course", "wind_mps")}
        east = given["speed_mps"] * np.sin(course_rad) + flight.get("wind_mps", 0.0)
        north = given["speed_mps"] * np.cos(course_rad)
        lat_rad += north / 6.37e6
        lon_rad += east / (6.37e6 * np.cos(lat_rad))
        shaken = 0.3 * given.get("sigma_speed_mps", DRONE["sigma_speed_mps"]) * luck.normal(size=5)  # as a filter's are
        given["speed_mps"] = float(np.hypot(east + shaken[0], north + shaken[1]))
        given["course_rad"] = float(np.arctan2(east + shaken[0], north + shaken[1]) % (2.0 * np.pi))
        given["climb_mps"] = float(shaken[2])
        place = {"lat_rad": lat_rad + 50.0 * shaken[3] / 6.37e6, "lon_rad": lon_rad + 50.0 * shaken[4] / 3.7e6}
        given |= {**place, "mode3a_us": now_us if "mode3a" in flight else -1}
        tracks, facts = picture([at(now_us, given)], now_us)
        result = assess(tracks, facts, Words(), SENSORS, behaviour=memory)
    return result


LINER: dict[str, Any] = {**AIRCRAFT, "speed_mps": 230.0, "agl_m": 11_000.0, "sigma_speed_mps": 1.5}
SLOW: dict[str, Any] = {"sigma_speed_mps": 6.0}
SILENT_LINER = {**LINER, "claim_us": -1, "mode3a": -1, "sensors": RADARS}


@pytest.mark.parametrize(
    "flight, expected",
    [
        ({"speed_mps": 42.0, "agl_m": 150.0}, ObjectClass.FIXED_WING_DRONE),
        ({**LINER, "category": 4, "callsign": b"LOT123"}, ObjectClass.AIRLINER),
        ({"speed_mps": 215.0, "agl_m": 300.0, "sigma_speed_mps": 10.0}, ObjectClass.FAST_LOW_FLYER),
        ({**AIRCRAFT, "speed_mps": 55.0, "category": 10}, ObjectClass.ROTORCRAFT),
        ({**AIRCRAFT, "speed_mps": 56.0, "agl_m": 1_188.0, "category": 1}, ObjectClass.LIGHT_AIRCRAFT),
        (
            {**SLOW, "speed_mps": 11.0, "agl_m": 1_700.0, "wind_mps": 5.0, "course": lambda s: 0.35 * s},
            ObjectClass.PARAGLIDER,
        ),
        (
            {**SLOW, "speed_mps": 0.0, "agl_m": 140.0},
            ObjectClass.FIXED_ECHO,
        ),
    ],
)
def test_clear_cases_get_their_class(flight: dict[str, Any], expected: ObjectClass) -> None:
    result = flown(flight)
    assert row(result, "object_class") == expected, row(result, "p_classes").round(3)
    assert ABSTAIN_BELOW <= row(result, "p_class") <= 1.0
    assert row(result, "p_class") == row(result, "p_classes")[expected]


def test_class_abstains_where_flight_cannot_tell() -> None:
    """Light aircraft and helicopters fly alike (lesson 3 of the incidents), and one look is no behaviour."""
    for result in (flown({"speed_mps": 56.0, "agl_m": 600.0, "sigma_speed_mps": 6.0}), assessed({"speed_mps": 62.0})):
        assert row(result, "object_class") == ObjectClass.UNKNOWN
        assert np.isnan(row(result, "p_class"))
        assert row(result, "p_classes").sum() == pytest.approx(1.0)


def test_what_an_object_says_moves_its_class() -> None:
    plain, told = flown({**AIRCRAFT, "speed_mps": 55.0}), flown({**AIRCRAFT, "speed_mps": 55.0, "category": 10})
    before, after = (row(one, "p_classes")[ObjectClass.ROTORCRAFT] for one in (plain, told))
    assert after / (1.0 - after) > 10.0 * before / (1.0 - before)


def test_report_that_integrity_doubts_counts_for_nothing() -> None:
    """Radar that should see it does not: neither its category nor that it speaks at all says what it is."""
    ghost = {"claim_us": T0_US, "radar_us": -1, "sensors": 1, "unseen": -6.0, "speed_mps": 42.0}
    told, other = (assessed({**ghost, "category": c, "callsign": call}) for c, call in ((5, b"LOT123"), (12, b"LYABC")))
    assert row(told, "contradicted")
    np.testing.assert_array_equal(row(told, "p_classes"), row(other, "p_classes"))


def test_category_of_an_object_that_does_not_answer_counts_for_nothing() -> None:
    """A stale report cannot turn a drone into an airliner."""
    drone = {"speed_mps": 42.0, "agl_m": 150.0}
    silent, plain = flown({**drone, "category": 4, "callsign": b"LOT123"}), flown(drone)
    np.testing.assert_array_equal(row(silent, "p_classes"), row(plain, "p_classes"))


def test_silence_says_nothing_where_nobody_listens() -> None:
    tracks, facts = picture([SILENT_LINER])
    deaf = tuple(sensor for sensor in SENSORS if sensor.kind != SensorKind.ADSB)
    listening, not_listening = (assess(tracks, facts, Words(), sensors) for sensors in (SENSORS, deaf))
    liner = ObjectClass.AIRLINER
    assert row(listening, "p_classes")[liner] < row(not_listening, "p_classes")[liner]


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
