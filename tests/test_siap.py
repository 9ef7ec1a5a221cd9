"""SIAP from associations that are given; tests/test_score.py holds the whole against Stone Soup."""

from __future__ import annotations

import math

import numpy as np
import pytest

from replay.pairing import Association
from replay.siap import Matches, Sampled, Siap, match, siap, wholeness

SAMPLES = 10


def sampled(*lives: tuple[int, int, float]) -> Sampled:
    """Things numbered in order, each there from one sample to another (included) at a place on a line, at rest."""
    who = np.concatenate([np.full(last - first + 1, k) for k, (first, last, _) in enumerate(lives)])
    sample = np.concatenate([np.arange(first, last + 1) for first, last, _ in lives])
    place = np.array([(lives[k][2], 0.0) for k in who])
    order = np.argsort(sample, kind="stable")
    return Sampled(who[order], sample[order], place[order], np.zeros((len(who), 2)))


def scored(truth: Sampled, tracks: Sampled, *associations: Association) -> tuple[Siap, Matches]:
    stretches = int(truth.who.max()) + 1
    found = match(truth, tracks, associations, SAMPLES)
    whole = wholeness(truth, stretches, associations)
    return siap(found, whole, np.ones(stretches, np.bool_), truth.who, 5.0, True), found


def test_rows_are_found_by_who_and_sample() -> None:
    states = sampled((0, 3, 0.0), (2, 4, 9.0))
    rows = states.rows(np.array([0, 1, 1, 0]), np.array([3, 4, 0, 9]), SAMPLES)
    assert rows[2:].tolist() == [-1, -1]
    assert (states.who[rows[:2]].tolist(), states.sample[rows[:2]].tolist()) == ([0, 1], [3, 4])


def test_one_object_with_two_tracks_is_ambiguous_and_a_third_is_spurious() -> None:
    truth, tracks = sampled((0, 9, 0.0)), sampled((0, 9, 3.0), (5, 9, -5.0), (0, 4, 700.0))
    found, _ = scored(truth, tracks, Association(0, 0, 0, 9), Association(1, 0, 5, 9))
    assert (found.completeness, found.ambiguity, found.spuriousness) == (1.0, 1.5, 0.25)
    assert found.position_accuracy_m == pytest.approx((10 * 3 + 5 * 5) / 15)
    assert found.rms_position_m == pytest.approx(math.sqrt((10 * 9 + 5 * 25) / 15))
    assert (found.number_changes_per_s, found.longest_segment, found.objects) == (0.0, 1.0, 1)


def test_a_break_counts_a_change_per_second_tracked() -> None:
    truth, tracks = sampled((0, 9, 0.0)), sampled((0, 4, 0.0), (5, 9, 0.0))
    found, _ = scored(truth, tracks, Association(0, 0, 0, 4), Association(1, 0, 5, 9))
    assert found.number_changes_per_s == pytest.approx(1 / (8 * 5.0))
    assert found.longest_segment == pytest.approx(4 / 9)


def test_a_track_that_is_silent_for_a_sample_leaves_its_object_tracked() -> None:
    truth, tracks = sampled((0, 9, 0.0)), sampled((0, 9, 4.0))
    keep = tracks.sample != 6
    silent = Sampled(tracks.who[keep], tracks.sample[keep], tracks.place_m[keep], tracks.velocity_mps[keep])
    found, matches = scored(truth, silent, Association(0, 0, 0, 9))
    assert (found.completeness, found.ambiguity) == (1.0, 0.9)
    assert matches.truth_is_tracked.all()
    assert len(matches.truth) == 9


def test_an_unknown_velocity_is_left_out_of_the_mean() -> None:
    truth, tracks = sampled((0, 9, 0.0)), sampled((0, 9, 0.0))
    velocity = np.where(np.arange(20).reshape(10, 2) < 10, 3.0, np.nan)
    said = Sampled(tracks.who, tracks.sample, tracks.place_m, velocity)
    found, _ = scored(truth, said, Association(0, 0, 0, 9))
    assert found.velocity_accuracy_mps == pytest.approx(math.hypot(3.0, 3.0))
    assert found.rms_velocity_mps == pytest.approx(math.hypot(3.0, 3.0))
    assert found.position_accuracy_m == 0.0
