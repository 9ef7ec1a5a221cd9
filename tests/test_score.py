"""The score of tracks against Stone Soup's own metric generators, and of pictures whose faults are known."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from replay.score import Rules, Score, score
from tests.score_scene import LAT, LON, STEP_S, Row, faulty_scene, stone_soup, tracks_of, truth_of

FLAT = Rules(start_s=0.0, origin_rad=(LAT, LON))
WHOLE = 1e-9  # relative; the same sums in another order


@pytest.mark.parametrize("seed", range(12))
def test_every_number_is_stone_soups(seed: int) -> None:
    rows, said = faulty_scene(seed)
    truth, tracks = truth_of(rows), tracks_of(said)
    found = score(truth, tracks, FLAT)
    theirs = stone_soup(truth, tracks, FLAT.threshold_m, (LAT, LON))
    siap, gospa = found.overall.siap, found.gospa
    assert found.ignored == 0
    assert siap.completeness == pytest.approx(theirs["SIAP Completeness"], rel=WHOLE)
    assert siap.ambiguity == pytest.approx(theirs["SIAP Ambiguity"], rel=WHOLE)
    assert siap.spuriousness == pytest.approx(theirs["SIAP Spuriousness"], rel=WHOLE)
    assert siap.position_accuracy_m == pytest.approx(theirs["SIAP Position Accuracy"], rel=WHOLE)
    assert siap.velocity_accuracy_mps == pytest.approx(theirs["SIAP Velocity Accuracy"], rel=WHOLE)
    assert siap.number_changes_per_s == pytest.approx(theirs["SIAP Rate of Track Number Change"], rel=WHOLE)
    if theirs["split"]:  # a track left an object and came back: Stone Soup adds both parts up, we do not
        assert siap.longest_segment <= theirs["SIAP Longest Track Segment"]
    else:
        assert siap.longest_segment == pytest.approx(theirs["SIAP Longest Track Segment"], rel=WHOLE)
    assert gospa.total_m == pytest.approx(theirs["GOSPA"], rel=WHOLE)
    assert gospa.localisation_m == pytest.approx(np.abs(theirs["localisation"]), rel=WHOLE)
    assert gospa.missed == pytest.approx(np.abs(theirs["missed"]))
    assert gospa.false == pytest.approx(np.abs(theirs["false"]))
    assert found.ospa_m == pytest.approx(theirs["OSPA"], rel=WHOLE)


def test_the_scenes_for_stone_soup_hold_every_fault() -> None:
    """Else the comparison would prove little."""
    found = [score(truth_of(a), tracks_of(b), FLAT) for a, b in map(faulty_scene, range(12))]
    assert all(one.overall.siap.completeness < 0.97 for one in found)
    assert all(one.overall.siap.spuriousness > 0.05 for one in found)
    assert sum(one.overall.siap.ambiguity > 1.02 for one in found) >= 6
    assert sum(one.overall.siap.number_changes_per_s > 0 for one in found) >= 10


def still(who: int, times: Iterable[float], east_m: float, seen: bool = True, off_m: float = 0.0) -> list[Row]:
    """Something that stands at a place on the parallel."""
    return [Row(t, who, east_m + off_m, 0.0, seen=seen) for t in times]


def judged(truth: list[Row], tracks: list[Row], rules: Rules = FLAT, **more: list[float]) -> Score:
    first_hit = more.get("first_hit_s", [])
    classes = [int(kind) for kind in more.get("class_of", [])]
    return score(truth_of(truth, classes, first_hit), tracks_of(tracks), rules)


def test_a_perfect_picture_scores_perfectly() -> None:
    rows = [Row(t, k, 3_000.0 * k + 40.0 * t, 0.0, 40.0, 0.0) for t in range(61) for k in range(3)]
    found = judged(rows, rows)
    siap = found.overall.siap
    assert (siap.completeness, siap.ambiguity, siap.spuriousness, siap.longest_segment) == (1.0, 1.0, 0.0, 1.0)
    assert (siap.position_accuracy_m, siap.velocity_accuracy_mps, siap.number_changes_per_s) == (0.0, 0.0, 0.0)
    assert found.gospa.total_m.max() == 0.0
    assert (len(found.time_s), found.overall.missed, found.ignored) == (13, 0.0, 0)
    assert (found.overall.delays.p50_s, found.overall.delays.never, found.overall.delays.of) == (0.0, 0, 3)
    assert math.isnan(found.overall.nees)


def test_classes_are_counted_apart_and_together() -> None:
    times = range(61)
    truth = still(0, times, 0.0) + still(1, times, 20_000.0) + still(2, times, 40_000.0)
    tracks = still(0, times, 0.0, off_m=30.0) + still(1, range(30, 61), 20_000.0, off_m=100.0)
    found = judged(truth, tracks, class_of=[0, 1, 1])
    one, other = found.classes
    assert (one.siap.objects, other.siap.objects, found.overall.siap.objects) == (1, 2, 3)
    assert one.siap.rms_position_m == pytest.approx(30.0, rel=1e-6)
    assert other.siap.rms_position_m == pytest.approx(100.0, rel=1e-5)  # in a plane that touches 20 km away
    assert one.siap.completeness == 1.0
    assert other.siap.completeness == pytest.approx(7 / 26)
    assert found.overall.siap.completeness == pytest.approx((13 + 7) / 39)
    assert one.missed == 0.0
    assert other.missed == pytest.approx((13 + 6) / 13)
    assert found.overall.missed == pytest.approx(float(found.gospa.missed.mean()))
    assert (other.delays.p50_s, other.delays.never, other.delays.of) == (30.0, 1, 2)
    assert math.isnan(one.siap.spuriousness)


def test_a_short_gap_in_view_is_bridged_and_a_long_one_parts_two_objects() -> None:
    def seen(gap_until: int) -> list[Row]:
        return [
            Row(t, 0, 0.0, 0.0, seen=not 40 < t < gap_until) for t in range(101)
        ]  # seen at 40 and at gap_until, not between

    tracks = still(0, range(101), 0.0)
    bridged, parted = judged(seen(55), tracks), judged(seen(56), tracks)
    assert (bridged.overall.siap.objects, parted.overall.siap.objects) == (1, 2)
    assert (bridged.overall.siap.completeness, bridged.ignored) == (1.0, 0)
    assert (parted.overall.siap.spuriousness, parted.ignored) == (0.0, 3)  # 45, 50 and 55 s


def test_what_is_in_view_for_a_moment_does_not_count_and_its_track_is_ignored() -> None:
    truth = still(0, range(61), 0.0) + still(1, range(10, 30), 9_000.0) + still(1, range(30, 61), 9_000.0, seen=False)
    tracks = still(0, range(61), 0.0) + still(1, range(10, 61), 9_000.0)
    found = judged(truth, tracks)
    assert (found.overall.siap.objects, found.overall.siap.spuriousness) == (1, 0.0)
    assert found.ignored == 11
    longer = [Row(r.time_s, r.who, r.east_m, 0.0, seen=r.seen or r.time_s == 30) for r in truth]
    assert judged(longer, tracks).overall.siap.objects == 2


def test_a_track_near_both_the_seen_and_the_unseen_counts() -> None:
    truth = still(0, range(61), 0.0) + still(1, range(61), 900.0, seen=False)
    found = judged(truth, still(0, range(61), 500.0))
    assert (found.ignored, found.overall.siap.completeness) == (0, 1.0)


def test_delays_run_from_the_first_hit_at_every_time_of_the_tracks() -> None:
    truth = [row for k in range(3) for row in still(k, range(61), 20_000.0 * k)]
    tracks = still(0, range(7, 61), 0.0) + still(1, range(3, 61), 20_000.0, off_m=1_000.5)
    found = judged(truth, tracks, first_hit_s=[2.5, 1.0, math.nan])
    assert found.overall.delays.p50_s == 4.5
    assert (found.overall.delays.never, found.overall.delays.of) == (1, 2)
    assert found.scene.delay_s[0] == 4.5


def test_a_track_that_was_there_before_the_first_hit_is_no_early_one() -> None:
    found = judged(still(0, range(61), 0.0), still(0, range(61), 0.0), first_hit_s=[20.0])
    assert found.overall.delays.p50_s == 0.0


def test_nees_is_two_for_a_track_that_knows_its_error() -> None:
    rng = np.random.default_rng(3)
    covariance = np.array([[900.0, 400.0], [400.0, 2_500.0]])
    off = rng.multivariate_normal((0, 0), covariance, 4_001)
    truth = still(0, range(0, 20_005, 5), 0.0)
    known = (900.0, 400.0, 2_500.0)
    tracks = [Row(5 * k, 0, off[k, 0], off[k, 1], covariance_m2=known) for k in range(4_001)]
    nees = judged(truth, tracks).overall.nees
    assert nees == pytest.approx(2.0, abs=4 * 2 / math.sqrt(4_001))  # variance of a chi-square of 2 degrees is 4
    unsure = [Row(r.time_s, 0, r.east_m, r.north_m, covariance_m2=(9e3, 4e3, 25e3)) for r in tracks]
    assert judged(truth, unsure).overall.nees == pytest.approx(nees / 10)


def test_true_distances_and_those_in_a_plane_differ_far_from_its_origin() -> None:
    truth, tracks = still(0, range(61), 300_000.0), still(0, range(61), 300_000.0, off_m=500.0)
    flat, true = judged(truth, tracks), judged(truth, tracks, Rules(start_s=0.0))
    assert true.overall.siap.position_accuracy_m == pytest.approx(500.0, rel=1e-5)
    assert flat.overall.siap.position_accuracy_m == pytest.approx(500.0 * math.cos(300 / 6_390), rel=1e-4)


def test_without_tracks_all_is_missed_and_nothing_is_a_number_that_was_not_counted() -> None:
    found = judged(still(0, range(61), 0.0), [])
    siap = found.overall.siap
    assert (siap.completeness, siap.longest_segment, found.overall.missed) == (0.0, 0.0, 1.0)
    assert all(
        math.isnan(x) for x in (siap.ambiguity, siap.spuriousness, siap.rms_position_m, found.rms_localisation_m)
    )
    assert (found.overall.delays.never, found.overall.delays.of) == (1, 1)
    assert found.ospa_m.tolist() == [1_000.0] * 13


def test_warm_up_start_and_end_choose_the_samples() -> None:
    rows = still(0, range(100, 201), 0.0)
    assert judged(rows, rows, Rules()).time_s[[0, -1]].tolist() == [130.0, 200.0]
    assert judged(rows, rows, Rules(start_s=112.0, end_s=139.0)).time_s.tolist() == [112, 117, 122, 127, 132, 137]
    assert judged(rows, rows, Rules(step_s=0.5, end_s=131.0)).time_s.tolist() == [130.0, 130.5, 131.0]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (Rules(start_s=500.0), "samples from 500"),
        (Rules(start_s=0.0, end_s=10.0), "in view for 20 s"),
        (Rules(start_s=0.25), "in view at any sample"),
        (Rules(step_s=0.001, start_s=-1e6), "1 to 1000000"),
    ],
)
def test_rules_that_leave_nothing_to_judge_are_refused(rules: Rules, problem: str) -> None:
    rows = still(0, range(0, 101, STEP_S), 0.0)
    with pytest.raises(ValueError, match=problem):
        judged(rows, rows, rules)
