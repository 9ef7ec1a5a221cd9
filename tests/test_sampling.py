"""What is in view, who is near whom, and when an object first had a track."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion import geo
from replay import sampling
from replay.pairing import NONE
from replay.sampling import Grid, Side, Stretches
from tests.score_scene import LAT, LON, Row, states, tracks_of, truth_of


def test_places_keep_distances_and_the_plane_shortens_them_far_out() -> None:
    for far_m in (0.0, 300_000.0):
        lat, lon, azimuth = geo.direct([LAT, LAT], [LON, LON], [1.0, 1.0], [far_m, far_m + 1_000.0])
        for origin, expected in ((None, 1_000.0), ((LAT, LON), 1_000.0 * math.cos(far_m / 6_390_000))):
            one, other = sampling.places(lat, lon, origin)
            assert float(np.linalg.norm(one - other)) == pytest.approx(expected, rel=1e-4)
        assert len(azimuth) == 2


def test_a_grid_takes_whole_steps_until_the_end() -> None:
    grid = Grid(30_000, 5_000, 44_999)
    said = states([Row(t, 0, 0.0, 0.0) for t in (25, 30, 31, 35, 40, 45)])
    rows, sample = grid.rows(said)
    assert (grid.samples, rows.tolist(), sample.tolist()) == (3, [1, 3, 4], [0, 1, 2])
    assert Grid(30_000, 5_000, 20_000).samples == 0


def test_stretches_bridge_fifteen_seconds_and_need_twenty() -> None:
    def rows(who: int, *times: int) -> list[Row]:
        return [Row(t, who, 0.0, 0.0) for t in times]

    truth = truth_of(rows(0, 0, 15, 20) + rows(1, 0, 10, 19) + rows(2, 0, 20, 36, 50, 56) + rows(3, 80, 100))
    found = sampling.stretches(truth, 90_000)
    assert found.who.tolist() == [0, 2]
    assert (found.first_ms.tolist(), found.last_ms.tolist()) == ([0, 36_000], [20_000, 56_000])
    with pytest.raises(ValueError, match="20 s"):
        sampling.stretches(truth, 10_000)


def test_a_time_lies_in_the_stretch_of_its_object() -> None:
    found = Stretches(np.array([1, 1, 4]), np.array([0, 50, -20]), np.array([30, 90, 70]))
    who, time_ms = np.array([1, 1, 1, 1, 0, 4, 4, 5]), np.array([0, 31, 50, 91, 20, -20, 71, 0])
    assert found.of(who, time_ms).tolist() == [0, NONE, 1, NONE, NONE, 2, NONE, NONE]


def side(*rows: Row) -> Side:
    return Side.cut(states(rows), Grid(0, 5_000, 60_000), (LAT, LON))


def test_the_nearest_in_view_counts_and_samples_do_not_mix() -> None:
    truth = side(Row(0, 0, 0.0, 0.0), Row(0, 1, 600.0, 0.0), Row(0, 2, 9_000.0, 0.0), Row(5, 0, 0.0, 0.0))
    tracks = side(Row(0, 0, 350.0, 0.0), Row(0, 1, 9_100.0, 0.0), Row(0, 2, 40_000.0, 0.0), Row(5, 0, 350.0, 0.0))
    nearest, ignored = sampling.near_what(truth, np.array([10, 11, NONE, 10]), tracks, 1_000.0)
    assert nearest.tolist() == [11, NONE, NONE, 10]
    assert ignored.tolist() == [False, True, False, False]


def test_gospa_is_counted_sample_by_sample() -> None:
    truth = side(Row(0, 0, 0.0, 0.0), Row(5, 0, 0.0, 0.0), Row(5, 1, 5_000.0, 0.0))
    tracks = side(Row(0, 0, 300.0, 400.0), Row(10, 0, 0.0, 0.0))
    gospa, ospa_m, paired = sampling.compare(truth, tracks, 3, 1_000.0)
    assert gospa.total_m == pytest.approx([500.0, 1_000.0, math.sqrt(500_000.0)], rel=1e-6)
    assert (gospa.missed.tolist(), gospa.false.tolist()) == ([0, 2, 0], [0, 0, 1])
    assert ospa_m == pytest.approx([500.0, 1_000.0, 1_000.0], rel=1e-6)
    assert paired.tolist() == [True, False, False]


def test_the_first_track_is_found_at_any_time_of_the_tracks_and_not_after_the_end() -> None:
    truth = truth_of([Row(t, k, 30_000.0 * k, 0.0) for t in range(20) for k in range(3)], first_hit_s=[0.5, 9.0, 0.0])
    tracks = tracks_of(
        [Row(t, k, 30_000.0 * k, 0.0) for t in range(3, 20) for k in range(2)] + [Row(18, 2, 60_000.0, 0.0)]
    )
    found = sampling.first_tracked(truth, tracks.states, 15_000, 1_000.0, None)
    assert found[:2].tolist() == [3.0, 9.0]
    assert math.isnan(found[2])
