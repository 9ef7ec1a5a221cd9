"""What an object has looked like over minutes: it begins with nothing, needs plots, and goes on after a restart."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fusion.classes import K
from fusion.likeness import FORGET_S, QUANTITIES, START_S, Likeness
from fusion.schema import F8, US_PER_S, ObjectClass, Tracks
from tests import scene

T0_US = scene.T_US


def table(ids: list[int], t_s: float) -> Tracks:
    """Tracks of these numbers, all with a plot at `t_s`."""
    tracks, _ = scene.table(len(ids))
    t_us = T0_US + round(t_s * US_PER_S)
    return replace(tracks, id=np.array(ids, np.int64), t_us=t_us, update_us=np.full(len(ids), t_us))


def sure(*kinds: ObjectClass) -> F8:
    """(n, K): each row surely of one class."""
    return np.eye(K)[list(kinds)]


def test_the_mean_is_the_sum_that_is_stated() -> None:
    like = Likeness()
    said = [0.1, 0.9, 0.4, 0.7]
    for t_s, p in zip((0.0, 2.0, 6.0, 7.0), said, strict=True):
        classes = np.zeros((1, K))
        classes[0, ObjectClass.BIRD_FLOCK] = p
        found = like.look(table([1], t_s), classes)
    weights = [2.0 * np.exp(-5.0 / FORGET_S), 4.0 * np.exp(-1.0 / FORGET_S), 1.0]
    expected = np.dot(weights, said[1:]) / (START_S + sum(weights))
    assert found["probability_bird"][0] == pytest.approx(expected)
    assert found["probability_unpowered"][0] == pytest.approx(expected)
    assert found["probability_soaring"][0] == 0.0


def test_what_was_just_seen_is_nothing_yet_and_what_is_birds_for_a_minute_is_birds() -> None:
    like = Likeness()
    for t_s in range(61):
        found = like.look(table([1, 2], t_s), sure(ObjectClass.BIRD_FLOCK, ObjectClass.FIXED_WING_DRONE))
        if t_s == 5:
            assert (found["probability_unpowered"] < 0.3).all()
    assert found["probability_unpowered"][0] > 0.6
    assert found["probability_unpowered"][1] == 0.0


def test_silence_is_no_evidence_and_a_long_gap_counts_as_one_plot() -> None:
    like = Likeness()
    birds = sure(ObjectClass.BIRD_FLOCK)
    like.look(table([1], 0.0), birds)
    later = replace(table([1], 0.0), t_us=T0_US + 60 * US_PER_S)
    assert like.look(later, birds)["probability_unpowered"][0] == 0.0
    assert like.look(table([1], 120.0), birds)["probability_unpowered"][0] == pytest.approx(10.0 / (START_S + 10.0))


def test_memory_follows_the_track_and_not_the_row() -> None:
    like = Likeness()
    for t_s in range(31):
        like.look(table([3, 9], t_s), sure(ObjectClass.BALLOON, ObjectClass.PARAGLIDER))
    found = like.look(table([5, 9], 30.0), sure(ObjectClass.BALLOON, ObjectClass.PARAGLIDER))
    assert found["probability_soaring"].tolist() == [0.0, pytest.approx(0.6, abs=0.05)]
    assert like.look(table([], 31.0), np.zeros((0, K)))["probability_bird"].shape == (0,)


def test_it_goes_on_after_a_restart() -> None:
    one, two = Likeness(), Likeness()
    kinds = sure(ObjectClass.BIRD_FLOCK, ObjectClass.PARAGLIDER)
    for t_s in range(20):
        one.look(table([1, 2], t_s), kinds)
    two.restore(json.loads(json.dumps(one.snapshot())))
    first, second = (like.look(table([1, 2], 21.0), kinds) for like in (one, two))
    assert all((first[name] == second[name]).all() for name in QUANTITIES)
    assert one.snapshot() == two.snapshot()
