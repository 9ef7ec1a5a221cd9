"""Pairs, GOSPA and OSPA against brute force, and the rules of who is on whom, one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay import pairing
from replay.pairing import NONE, Association, Continuity

CUT = 1_000.0


def assignments(n: int, m: int) -> list[list[tuple[int, int]]]:
    """Every way to pair some of n with some of m."""
    return [
        list(zip(rows, columns, strict=True))
        for size in range(min(n, m) + 1)
        for rows in itertools.combinations(range(n), size)
        for columns in itertools.permutations(range(m), size)
    ]


def brute_gospa(away: np.ndarray, order: float) -> float:
    """GOSPA by its definition with alpha = 2: the best of all partial assignments."""
    n, m = away.shape
    costs = [
        sum(away[pair] ** order for pair in pairs) + CUT**order / 2 * (n + m - 2 * len(pairs))
        for pairs in assignments(n, m)
        if all(away[pair] < CUT for pair in pairs)
    ]
    return float(min(costs) ** (1 / order))


def brute_ospa(away: np.ndarray) -> float:
    """OSPA by its definition with p = 1: the best of all full assignments of distances that are cut off."""
    n, m = away.shape
    if not max(n, m):
        return 0.0
    full = [pairs for pairs in assignments(n, m) if len(pairs) == min(n, m)]
    return float(min(sum(min(away[pair], CUT) for pair in pairs) + CUT * abs(n - m) for pairs in full) / max(n, m))


def best(away: np.ndarray, order: float) -> tuple[pairing.Near, np.ndarray, np.ndarray, np.ndarray]:
    """The best pairs of one sample, their sample, and how many there are on each side."""
    pairs = pairing.assign(pairing.near_of(away, CUT), CUT, order)
    n, m = away.shape
    return pairs, np.zeros(len(pairs.truth), np.int64), np.array([n]), np.array([m])


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32 - 1), st.sampled_from([1.0, 2.0, 3.0]))
def test_gospa_is_the_best_of_all_assignments(n: int, m: int, seed: int, order: float) -> None:
    away = np.random.default_rng(seed).uniform(0.0, 1_800.0, (n, m))
    found = pairing.gospa(*best(away, order), CUT, order)
    assert found.total_m[0] == pytest.approx(brute_gospa(away, order), rel=1e-12)
    parts = found.localisation_m**order + CUT**order / 2 * (found.missed + found.false)
    assert found.total_m == pytest.approx(parts ** (1 / order))


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_ospa_is_the_best_of_all_assignments(n: int, m: int, seed: int) -> None:
    away = np.random.default_rng(seed).uniform(0.0, 1_800.0, (n, m))
    found = pairing.ospa(*best(away, 1.0), CUT, 1.0)
    assert found.tolist() == pytest.approx([brute_ospa(away)], rel=1e-12)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 2**32 - 1))
def test_near_pairs_are_those_of_the_whole_matrix(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.uniform(0, 3_000, (n, 2)), rng.uniform(0, 3_000, (m, 2))
    found = pairing.near_pairs(one, other, CUT)
    away = np.linalg.norm(one[:, None] - other[None], axis=2)
    whole = pairing.near_of(away, CUT)
    assert (found.truth.tolist(), found.track.tolist()) == (whole.truth.tolist(), whole.track.tolist())
    assert found.distance_m == pytest.approx(whole.distance_m)


def test_a_pair_in_one_place_is_near_and_one_at_the_cut_off_is_not() -> None:
    here = np.zeros((1, 2))
    assert pairing.near_pairs(here, here, CUT).distance_m.tolist() == [0.0]
    assert not len(pairing.near_pairs(here, np.array([[CUT, 0.0]]), CUT).truth)


def on(*nearest: int) -> list[tuple[int, int, int]]:
    """(object, first, last) of a track that has these nearest objects, one sample after the other."""
    sample = np.arange(len(nearest))
    found = pairing.associate(np.full(len(nearest), 7), sample, np.array(nearest, np.int64))
    assert all(one.track == 7 for one in found)
    return [(one.truth, one.first, one.last) for one in found]


def test_three_in_a_row_begin_and_two_misses_end_with_the_last_match() -> None:
    assert on(5, 5) == []
    assert on(5, 5, NONE, 5, 5) == []
    assert on(5, 5, 5) == [(5, 0, 2)]
    assert on(5, 5, 5, NONE, 5, NONE) == [(5, 0, 4)]
    assert on(5, 5, 5, NONE, NONE, 5, 5) == [(5, 0, 2)]
    assert on(5, 5, 5, NONE, NONE, 5, 5, 5) == [(5, 0, 2), (5, 5, 7)]


def test_the_next_object_is_taken_over_from_its_first_match() -> None:
    assert on(5, 5, 5, 6, 6) == [(5, 0, 2)]
    assert on(5, 5, 5, 6, 6, 6) == [(5, 0, 2), (6, 3, 5)]


def test_matches_of_a_rival_count_across_a_return() -> None:
    """As in Stone Soup: the run of a rival is not broken by a match of the object itself."""
    assert on(5, 5, 5, 6, 5, 6, 6) == [(5, 0, 4), (6, 3, 6)]


def test_after_a_new_start_one_miss_ends_it() -> None:
    """As in Stone Soup: the count of misses is set back by a match, and not by a new association."""
    assert on(5, 5, 5, NONE, NONE, 6, 6, 6, NONE) == [(5, 0, 2), (6, 5, 7)]
    assert on(5, 5, 5, NONE, NONE, 6, 6, 6, NONE, 6, 6) == [(5, 0, 2), (6, 5, 7)]
    assert on(5, 5, 5, NONE, NONE, 6, 6, 6, 6, NONE, 6) == [(5, 0, 2), (6, 5, 10)]


def test_tracks_are_told_apart_and_samples_sorted() -> None:
    track, sample = np.array([2, 1, 2, 1, 2, 1]), np.array([4, 0, 3, 2, 5, 1])
    found = pairing.associate(track, sample, np.full(6, 9))
    assert found == [Association(1, 9, 0, 2), Association(2, 9, 3, 5)]
    assert pairing.associate(*(np.empty(0, np.int64),) * 3) == []


def test_continuity_needs_the_fewest_tracks_that_cover_it() -> None:
    assert pairing.continuity([(0, 10)], 0, 10) == Continuity(1, 10, 10)
    assert pairing.continuity([(0, 4), (5, 10)], 0, 10) == Continuity(2, 9, 5)
    assert pairing.continuity([(0, 4), (2, 8), (3, 10)], 0, 10) == Continuity(2, 10, 7)
    assert pairing.continuity([(0, 10), (5, 11), (15, 20)], 0, 20) == Continuity(3, 16, 10)
    assert pairing.continuity([(2, 8)], 0, 20) == Continuity(1, 6, 6)


def test_gospa_of_nothing_is_nothing() -> None:
    found = pairing.gospa(*best(np.empty((0, 0)), 2.0), CUT)
    columns = (found.total_m, found.localisation_m, found.missed, found.false)
    assert [column.tolist() for column in columns] == [[0], [0], [0], [0]]
    assert pairing.ospa(*best(np.empty((0, 0)), 1.0), CUT).tolist() == [0.0]
    assert pairing.gospa(*best(np.empty((2, 0)), 2.0), CUT).total_m.tolist() == [pytest.approx(math.sqrt(CUT**2))]
