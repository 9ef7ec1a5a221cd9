"""Which claims are contradicted, and that those without evidence against them are left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fusion.existence import silence_1
from fusion.integrity import REASON_TEXTS, Integrity, IntegrityParams, Reason, check
from tests.airpicture import AIRCRAFT, T0_US, S, picture

CLAIM = {"claim_us": T0_US, "radar_us": -1, "sensors": 1, "address": 0xABCDEF}


def checked(*rows: dict[str, Any], t_us: int = T0_US, params: IntegrityParams | None = None) -> Integrity:
    tracks, facts = picture(rows, t_us)
    return check(tracks, facts, params)


def north(metres: float) -> dict[str, float]:
    """A place so far north of the default one."""
    return {"lat_rad": np.radians(54.25) + metres / 6_380_000.0}


def test_ordinary_aircraft_is_believed() -> None:
    assert checked(AIRCRAFT, CLAIM | {"address": 1}).reason.tolist() == [Reason.NONE] * 2


@pytest.mark.parametrize("probability, expected", [(0.5, False), (0.0055, False), (0.0045, True), (1e-9, True)])
def test_claim_that_radar_keeps_missing_is_contradicted(probability: float, expected: bool) -> None:
    result = checked(CLAIM | {"unseen": float(np.log(probability))})
    assert result.contradicted.tolist() == [expected]
    assert bool(result.reason[0] == Reason.UNSEEN_BY_RADAR) is expected


@pytest.mark.parametrize("probability, expected", [(0.0045, False), (1.1e-4, False), (0.9e-4, True)])
def test_what_radar_had_seen_there_is_missed_for_longer_before_it_is_contradicted(
    probability: float, expected: bool
) -> None:
    """Six misses in a row of a radar that sees three looks in five are nothing: 65 s, of a tourer in a civil day."""
    seen = CLAIM | {"radar_us": T0_US - 65 * S, "unseen": float(np.log(probability))}
    assert checked(seen).contradicted.tolist() == [expected]


def test_a_radar_that_hardly_sees_such_an_object_contradicts_nobody() -> None:
    """A helicopter at the edge of a coverage, looked for forty times with one chance in five each."""
    assert silence_1(0.2) == silence_1(0.499) == 0.0
    assert silence_1(0.5) == pytest.approx(np.log(1.0 - 0.475))
    assert silence_1(0.9) == pytest.approx(np.log(1.0 - 0.855))


def test_radar_that_sees_it_now_silences_old_misses() -> None:
    assert not checked(AIRCRAFT | {"unseen": -20.0}).contradicted.any()
    stale = AIRCRAFT | {"unseen": -20.0, "radar_us": T0_US - 31 * S}
    assert checked(stale).contradicted.all()


def test_object_without_a_live_claim_has_nothing_to_contradict() -> None:
    silent = {"unseen": -20.0, "speed_mps": 2_000.0, "address": 0xABCDEF}
    old = CLAIM | {"claim_us": T0_US - 31 * S, "unseen": -20.0, "speed_mps": 2_000.0}
    assert not checked(silent, old, CLAIM | north(90_000.0)).contradicted.any()


def test_same_address_far_apart_is_contradicted_for_both_when_radar_sees_neither() -> None:
    result = checked(CLAIM, CLAIM | north(50_000.0), CLAIM | north(20_000.0) | {"address": 5})
    assert result.reason.tolist() == [Reason.DUPLICATE_ADDRESS, Reason.DUPLICATE_ADDRESS, Reason.NONE]


def test_the_one_that_radar_sees_keeps_the_address() -> None:
    result = checked(CLAIM | north(50_000.0), AIRCRAFT | {"address": CLAIM["address"]}, CLAIM | north(-50_000.0))
    assert result.reason.tolist() == [Reason.DUPLICATE_ADDRESS, Reason.NONE, Reason.DUPLICATE_ADDRESS]


def test_two_seen_by_radar_leave_the_address_to_neither() -> None:
    result = checked(AIRCRAFT, AIRCRAFT | north(50_000.0))
    assert result.contradicted.tolist() == [True, True]


@pytest.mark.parametrize("metres, sigma_m, expected", [(2_900, 0.0, False), (3_100, 0.0, True), (3_100, 120.0, False)])
def test_one_aircraft_tracked_twice_is_no_duplicate(metres: float, sigma_m: float, expected: bool) -> None:
    near = {"sigma_horizontal_m": sigma_m}
    assert checked(CLAIM | near, CLAIM | near | north(metres)).contradicted.tolist() == [expected] * 2


def test_abandoned_track_of_the_same_aircraft_is_no_duplicate() -> None:
    left_behind = CLAIM | north(50_000.0) | {"claim_us": T0_US - 11 * S}
    assert not checked(CLAIM, left_behind).contradicted.any()


def test_objects_without_an_address_are_not_duplicates_of_each_other() -> None:
    nameless = CLAIM | {"address": -1}
    assert not checked(nameless, nameless | north(50_000.0)).contradicted.any()


@pytest.mark.parametrize(
    "name, flight, expected",
    [
        ("airliner in the jet stream", {"category": 4, "speed_mps": 369.0}, False),
        ("airliner at the speed of a rocket", {"category": 4, "speed_mps": 500.0}, True),
        ("paraglider", {"category": 15, "speed_mps": 17.8}, False),
        ("paraglider as fast as a jet", {"category": 15, "speed_mps": 250.0}, True),
        ("uncertain speed is no proof", {"category": 15, "speed_mps": 130.0, "sigma_speed_mps": 12.0}, False),
        ("helicopter", {"category": 10, "speed_mps": 75.0}, False),
        ("unknown kind, fast jet", {"speed_mps": 600.0}, False),
        ("unknown kind, beyond any aircraft", {"speed_mps": 1_100.0}, True),
        ("fast jet in a zoom", {"category": 6, "climb_mps": 200.0}, False),
        ("airliner in a zoom", {"category": 4, "climb_mps": -200.0}, True),
        ("balloon in the stratosphere", {"category": 12, "height_m": 30_000.0}, False),
        ("light aircraft in the stratosphere", {"category": 1, "height_m": 30_000.0}, True),
        ("height that is not known", {"category": 1, "height_m": 30_000.0, "height_known": False}, False),
        ("space vehicle", {"category": 14, "speed_mps": 3_000.0, "height_m": 60_000.0}, False),
        ("category out of the table", {"category": 127, "speed_mps": 300.0}, False),
    ],
)
def test_flight_has_to_fit_the_reported_kind(name: str, flight: dict[str, Any], expected: bool) -> None:
    result = checked(CLAIM | flight)
    assert result.contradicted.tolist() == [expected], name
    assert bool(result.reason[0] == Reason.IMPOSSIBLE_MOTION) is expected


def test_strongest_evidence_gives_the_reason() -> None:
    all_wrong = CLAIM | {"unseen": -20.0, "speed_mps": 2_000.0}
    assert checked(all_wrong, CLAIM | north(50_000.0)).reason[0] == Reason.UNSEEN_BY_RADAR


def test_every_reason_has_words() -> None:
    assert set(REASON_TEXTS) == set(Reason) - {Reason.NONE}


def test_answer_does_not_depend_on_the_order_of_rows() -> None:
    rows: list[dict[str, Any]] = [
        CLAIM,
        CLAIM | north(50_000.0),
        AIRCRAFT,
        CLAIM | {"unseen": -9.0, "address": 3},
        CLAIM | {"address": 9},
    ]
    forward, backward = checked(*rows), checked(*rows[::-1])
    assert forward.reason.tolist() == backward.reason.tolist()[::-1]
    assert forward.contradicted.any()


def test_empty_picture() -> None:
    assert checked().contradicted.shape == (0,)


ELSEWHERE: dict[str, Any] = {"radar_us": T0_US, "claim_us": -1, "address": -1, "mode3a": -1, "sensors": 0b110}


def test_a_claim_whose_flight_radar_sees_nearby_is_out_of_place() -> None:
    seen = [AIRCRAFT | north(20_000.0 * n) | {"address": n} for n in (1, 2)]
    result = checked(CLAIM | {"unseen": -9.0}, ELSEWHERE | north(4_000.0), *seen)
    assert result.reason.tolist() == [Reason.SEEN_ELSEWHERE, 0, 0, 0]


def test_a_discrete_code_finds_it_further_away() -> None:
    lost = CLAIM | {"unseen": -9.0, "mode3a": 0o4521}
    found = ELSEWHERE | north(40_000.0) | {"mode3a": 0o4521, "speed_mps": 200.0}
    good = AIRCRAFT | north(-20_000.0) | {"address": 7}
    assert checked(lost, found, good).reason[0] == Reason.SEEN_ELSEWHERE
    shared = {"mode3a": 0o7000}
    assert checked(lost | shared, found | shared, good).reason[0] == Reason.UNSEEN_BY_RADAR


def test_a_radar_that_puts_everybody_elsewhere_contradicts_nobody() -> None:
    rows: list[dict[str, Any]] = []
    for n in range(5):
        rows += [
            CLAIM | north(30_000.0 * n) | {"unseen": -9.0, "address": n},
            ELSEWHERE | north(30_000.0 * n + 3_000.0),
        ]
    assert not checked(*rows).contradicted.any()


def test_an_aircraft_tracked_twice_is_seen_when_one_of_its_tracks_is() -> None:
    assert not checked(
        CLAIM | {"unseen": -9.0}, AIRCRAFT | north(60.0) | {"address": CLAIM["address"]}
    ).contradicted.any()
