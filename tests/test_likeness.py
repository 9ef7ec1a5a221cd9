"""What an object has looked like over minutes: it begins with nothing, needs plots, and goes on after a restart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusion.classes import K
from fusion.redlines.likeness import FORGET_S, HEIR_S, KNOWN_S, QUANTITIES, START_S, WEIGHT_S
from fusion.redlines.likeness import Likeness as _Likeness
from fusion.schema import F8, US_PER_S, Assessment, ObjectClass, Tracks
from tests import scene
from tests.states import bits, kept

T0_US = scene.T_US
SKIM_M = 200.0
APART_M = 50_000.0  # objects of a table, from each other


class Likeness(_Likeness):
    """As alerts have it, looked at with probabilities of classes alone."""

    def __init__(self) -> None:
        super().__init__(SKIM_M)

    def of(self, tracks: Tracks, p_classes: F8, agl_m: float = 500.0, sigma_m: float = 100.0) -> dict[str, F8]:
        return self.look(tracks, seen(tracks, p_classes, agl_m, sigma_m))


def seen(tracks: Tracks, p_classes: F8, agl_m: float, sigma_m: float, known: bool = True) -> Assessment:
    """All at one height."""
    n = len(tracks)
    numbers = {"agl_m": agl_m, "sigma_agl_m": sigma_m, "sigma_horizontal_m": 50.0, "sigma_speed_mps": 2.0}
    columns = {name: np.full(n, value) for name, value in numbers.items()}
    return replace(scene.table(n)[1], p_classes=p_classes, height_known=np.full(n, known), **columns)


def table(ids: list[int], t_s: float, speed_mps: float = 0.0, from_m: float = 0.0) -> Tracks:
    """Tracks of these numbers, all with a plot at `t_s`, on one way each, `from_m` along it at second 0."""
    n = len(ids)
    tracks, _ = scene.table(n)
    t_us = T0_US + round(t_s * US_PER_S)
    state = np.zeros((n, 6))
    state[:, 0], state[:, 1] = np.array(ids) * APART_M, from_m + speed_mps * t_s
    state[:, 2], state[:, 4] = 6e6, speed_mps
    return replace(tracks, id=np.array(ids, np.int64), t_us=t_us, update_us=np.full(n, t_us), state=state)


def sure(*kinds: ObjectClass) -> F8:
    """(n, K): each row surely of one class."""
    return np.eye(K)[list(kinds)]


def test_the_mean_is_the_sum_that_is_stated() -> None:
    like = Likeness()
    said = [0.1, 0.9, 0.4, 0.7]
    for t_s, p in zip((0.0, 2.0, 6.0, 7.0), said, strict=True):
        classes = np.zeros((1, K))
        classes[0, ObjectClass.BIRD_FLOCK] = p
        found = like.of(table([1], t_s), classes)
    weights = [2.0 * np.exp(-5.0 / FORGET_S), 4.0 * np.exp(-1.0 / FORGET_S), 1.0]
    expected = np.dot(weights, said[1:]) / (START_S + sum(weights))
    assert found["probability_bird"][0] == pytest.approx(expected)
    assert found["probability_unpowered"][0] == pytest.approx(expected)
    assert found["probability_soaring"][0] == 0.0


def test_what_was_just_seen_is_nothing_yet_and_what_is_birds_for_a_minute_is_birds() -> None:
    like = Likeness()
    for t_s in range(61):
        found = like.of(table([1, 2], t_s), sure(ObjectClass.BIRD_FLOCK, ObjectClass.FIXED_WING_DRONE))
        if t_s == 5:
            assert (found["probability_unpowered"] < 0.3).all()
    assert found["probability_unpowered"][0] > 0.6
    assert found["probability_unpowered"][1] == 0.0


def test_a_light_aircraft_is_planelike_and_not_unpowered() -> None:
    like = Likeness()
    for t_s in range(61):
        found = like.of(table([1, 2], t_s), sure(ObjectClass.LIGHT_AIRCRAFT, ObjectClass.FIXED_WING_DRONE))
    assert found["probability_light_aircraft"].tolist() == [pytest.approx(0.75, abs=0.01), 0.0]
    assert found["probability_unpowered"].tolist() == [0.0, 0.0]


def test_silence_is_no_evidence_and_a_long_gap_counts_as_one_plot() -> None:
    like = Likeness()
    birds = sure(ObjectClass.BIRD_FLOCK)
    like.of(table([1], 0.0), birds)
    later = replace(table([1], 0.0), t_us=T0_US + 60 * US_PER_S)
    assert like.of(later, birds)["probability_unpowered"][0] == 0.0
    assert like.of(table([1], 120.0), birds)["probability_unpowered"][0] == pytest.approx(
        WEIGHT_S / (START_S + WEIGHT_S)
    )


def test_memory_follows_the_track_and_not_the_row() -> None:
    like = Likeness()
    for t_s in range(31):
        like.of(table([3, 9], t_s), sure(ObjectClass.BALLOON, ObjectClass.PARAGLIDER))
    found = like.of(table([5, 9], 30.0), sure(ObjectClass.BALLOON, ObjectClass.PARAGLIDER))
    assert found["probability_soaring"].tolist() == [0.0, pytest.approx(0.6, abs=0.05)]
    assert like.of(table([], 31.0), np.zeros((0, K)))["probability_bird"].shape == (0,)


def test_it_goes_on_after_a_restart() -> None:
    one, two = Likeness(), Likeness()
    kinds = sure(ObjectClass.BIRD_FLOCK, ObjectClass.PARAGLIDER)
    for t_s in range(20):
        one.of(table([1, 2], t_s), kinds)
    two.restore(kept(one.snapshot()))
    first, second = (like.of(table([1, 2], 21.0), kinds) for like in (one, two))
    assert all((first[name] == second[name]).all() for name in QUANTITIES)
    assert bits(one.snapshot()) == bits(two.snapshot())


BIRDS = sure(ObjectClass.BIRD_FLOCK)


def known(kind: ObjectClass, speed_mps: float, lasts_s: int = 240) -> Likeness:
    """Track 1, of this class and speed for so long, which then ends."""
    like = Likeness()
    for t_s in range(lasts_s + 1):
        like.of(table([1], t_s, speed_mps), sure(kind))
    return like


def heir(like: Likeness, t_s: float, speed_mps: float, from_m: float) -> float:
    """Of a track that begins then, that it is unpowered, by its first look. Its number is 2, and its way that of 1."""
    tracks = table([2], t_s, speed_mps, from_m)
    state = tracks.state.copy()
    state[:, 0] = APART_M
    like.of(table([], t_s - 1.0), np.zeros((0, K)))
    return float(like.of(replace(tracks, state=state), BIRDS)["probability_unpowered"][0])


INHERITED = pytest.approx(HEIR_S / (START_S + HEIR_S), abs=0.05)


@pytest.mark.parametrize(
    ("kind", "speed_mps", "after_s", "off_m", "heir_mps", "expected"),
    [
        (ObjectClass.BIRD_FLOCK, 18.0, 60.0, 300.0, 18.0, INHERITED),
        (ObjectClass.BIRD_FLOCK, 18.0, 60.0, 5_000.0, 18.0, 0.0),
        (ObjectClass.BIRD_FLOCK, 18.0, 60.0, 0.0, 40.0, 0.0),
        (ObjectClass.BIRD_FLOCK, 18.0, 400.0, 0.0, 18.0, 0.0),
        (ObjectClass.FIXED_ECHO, 0.0, 1_800.0, 200.0, 3.0, INHERITED),
        (ObjectClass.FIXED_ECHO, 0.0, 1_800.0, 1_000.0, 3.0, 0.0),
        (ObjectClass.FIXED_ECHO, 0.0, 1_800.0, 0.0, 35.0, 0.0),
        (ObjectClass.FIXED_ECHO, 0.0, 4_000.0, 0.0, 0.0, 0.0),
        (ObjectClass.FIXED_WING_DRONE, 40.0, 30.0, 0.0, 40.0, 0.0),
    ],
    ids=[
        "birds, found again", "elsewhere", "faster", "too late", "a turbine", "a kilometre off", "over a turbine",
        "after an hour", "what was a drone is one",
    ],
)  # fmt: skip
def test_a_track_that_begins_where_another_would_be_goes_on_from_it(
    kind: ObjectClass, speed_mps: float, after_s: float, off_m: float, heir_mps: float, expected: object
) -> None:
    t_s = 240.0 + after_s
    off_m += (speed_mps - heir_mps) * t_s  # on the way of the first at that second, but for what it is off
    assert heir(known(kind, speed_mps), t_s, heir_mps, off_m) == expected


def test_an_heir_that_flies_on_otherwise_is_none() -> None:
    like = known(ObjectClass.BIRD_FLOCK, 18.0)
    assert heir(like, 270.0, 18.0, 0.0) == INHERITED
    faster = table([2], 274.0, 35.0, (18.0 - 35.0) * 274.0)
    assert like.of(faster, sure(ObjectClass.FIXED_WING_DRONE))["probability_unpowered"][0] == 0.0


def test_birds_that_turn_later_stay_birds() -> None:
    like = known(ObjectClass.BIRD_FLOCK, 18.0)
    assert heir(like, 270.0, 18.0, 0.0) == INHERITED
    back = table([2], 340.0, -18.0, 36.0 * 340.0)
    assert like.of(back, BIRDS)["probability_unpowered"][0] > 0.7


def test_a_second_track_on_what_stands_is_its_heir() -> None:
    like, echo = known(ObjectClass.FIXED_ECHO, 0.0), sure(ObjectClass.FIXED_ECHO, ObjectClass.SMALL_MULTICOPTER)
    for from_m, expected in ((200.0, INHERITED), (1_500.0, 0.0)):
        tracks = table([1, 2], 241.0)
        state = tracks.state.copy()
        state[1, 0], state[1, 1] = APART_M, from_m
        again = Likeness()
        again.restore(like.snapshot())
        assert again.of(replace(tracks, state=state), echo)["probability_unpowered"][1] == expected


def test_what_was_seen_for_a_moment_leaves_nothing() -> None:
    assert heir(known(ObjectClass.BIRD_FLOCK, 18.0, int(KNOWN_S) - 5), 270.0, 18.0, 0.0) == 0.0


def test_it_skims_by_a_mean_and_not_by_a_moment() -> None:
    like = Likeness()
    for t_s in range(120):
        found = like.of(table([1], t_s), BIRDS, agl_m=350.0)
    assert found["probability_skimming"][0] < 0.1
    for t_s in range(120, 135):
        found = like.of(table([1], t_s), BIRDS, agl_m=120.0)
    assert found["probability_skimming"][0] < 0.35
    for t_s in range(135, 360):
        found = like.of(table([1], t_s), BIRDS, agl_m=120.0)
    assert found["probability_skimming"][0] > 0.7


def test_without_a_height_nobody_knows_whether_it_skims() -> None:
    like, tracks = Likeness(), table([1], 0.0)
    assert np.isnan(like.look(tracks, seen(tracks, BIRDS, 100.0, 50.0, known=False))["probability_skimming"][0])
    assert like.look(tracks, seen(tracks, BIRDS, 100.0, 50.0))["probability_skimming"][0] > 0.9
