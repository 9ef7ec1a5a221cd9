"""What hits and misses teach, against Bayes' rule on fine grids and the simulator's own Swerling law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import hits
from fusion.schema import F8
from replay.sky import swerling

PD = 0.9
LN_PD = math.log(PD)
POSITIVE = st.floats(1e-9, 1e9)


# ---- size


@given(st.floats(1e-3, 1e3), st.floats(0.02, 1.0), st.floats(0.2, 0.98))
def test_a_small_object_is_seen_less_as_the_swerling_law_says(rcs_m2: float, part: float, pd: float) -> None:
    law = swerling(np.array([rcs_m2]), np.array([part]), pd)[0]
    assert hits.weaker_1(rcs_m2 / part**4, math.log(pd)) == pytest.approx(law, rel=1e-9)


def test_an_object_a_sixteenth_as_large_is_seen_as_well_at_half_the_range() -> None:
    assert hits.weaker_1(0.3, LN_PD) == pytest.approx(hits.weaker_1(0.3 / 16.0 / 0.5**4, LN_PD), rel=1e-12)
    assert hits.weaker_1(1.0, LN_PD) == 1.0
    assert hits.weaker_1(0.05, LN_PD) < 0.2  # the drone of 0.05 m^2 at the edge of the range for 1 m^2


Looks = list[tuple[int, float, float, bool]]  # sensor, full, margin, hit


def brute_force(looks: Looks) -> F8:
    """The joint posterior over 200 sizes and what each sensor's record may be, (200, 3, 3): blind, half, well."""
    size = np.linspace(hits.SIZE_LEAST - 0.72, hits.SIZE_MOST + 0.72, 200)
    prior = np.exp(-0.5 * (size / hits.SIZE_SIGMA) ** 2)
    prior /= prior.sum()
    own = np.array([hits.BLIND, hits.HALF, 1.0 - hits.BLIND - hits.HALF])
    joint: F8 = prior[:, None, None] * own[:, None] * own
    factor = np.array([0.0, 0.5, 1.0])
    for sensor, full, margin, hit in looks:
        joint = (1 - hits.FORGET) * joint + hits.FORGET * prior[:, None, None] * joint.sum(axis=0)
        mixed = own[:, None] * joint.sum(axis=1, keepdims=True) if sensor == 0 else own * joint.sum(2, keepdims=True)
        joint = (1 - hits.FORGET) * joint + hits.FORGET * mixed
        p = full * np.array([hits.weaker_1(margin * math.exp(s), LN_PD) for s in size])[:, None, None]
        p = p * (factor[:, None] if sensor == 0 else factor)
        joint = joint * (p if hit else 1.0 - p)
        joint /= joint.sum()
    return joint


def predicted(joint: F8, sensor: int, full: float, margin: float) -> float:
    size = np.linspace(hits.SIZE_LEAST - 0.72, hits.SIZE_MOST + 0.72, 200)
    p = full * np.array([hits.weaker_1(margin * math.exp(s), LN_PD) for s in size])[:, None, None]
    factor = np.array([0.0, 0.5, 1.0])
    return float((joint * p * (factor[:, None] if sensor == 0 else factor)).sum())


@pytest.mark.parametrize("rcs_m2, factor", [(0.01, 1.0), (0.1, 1.0), (1.0, 1.0), (10.0, 1.0), (1.0, 0.5), (3.0, 0.0)])
def test_nine_sizes_and_a_record_predict_as_the_whole_of_bayes_rule_does(rcs_m2: float, factor: float) -> None:
    """Two radars, the second hampered by `factor`, looks at 0.4 to 1.3 of the range for 1 m^2; the joint posterior of
    200 sizes and both records is the oracle. Typically 0.02 apart; never 0.2, even after three looks."""
    rng = np.random.default_rng(round(100 * rcs_m2 + 7 * factor))
    size, records, apart = hits.PRIOR.copy(), np.stack([hits.RECORD, hits.RECORD]), []
    looks: Looks = []
    for look, margin in enumerate(rng.uniform(0.3, 40.0, 40)):
        sensor = look % 2
        p = 0.85 * hits.weaker_1(margin * rcs_m2, LN_PD) * (factor if sensor else 1.0)
        looks.append((sensor, 0.85, margin, bool(rng.random() < p)))
        hits.book_1(0.85, margin, LN_PD, size, records[sensor], looks[-1][3])
        assert size.sum() == pytest.approx(1.0)
        if look % 6 == 2:
            joint = brute_force(looks)
            for s in (0, 1):
                for ahead in (0.3, 1.0, 5.0, 40.0):
                    mine = hits.detection_1(0.85, ahead, LN_PD, size, records[s])
                    apart.append(abs(mine - predicted(joint, s, 0.85, ahead)))
    assert max(apart) < 0.2
    assert np.mean(apart) < 0.035


def test_what_a_near_radar_learns_of_the_size_predicts_the_far_one() -> None:
    near, far = 20.0, 1.0  # margins
    small, large = hits.PRIOR.copy(), hits.PRIOR.copy()
    records = np.stack([hits.RECORD, hits.RECORD])
    for look in range(40):
        hits.book_1(PD, near, LN_PD, small, records[0], look % 4 == 0)  # the near radar sees it every fourth time
        hits.book_1(PD, near, LN_PD, large, records[1], True)
    before = hits.expected_1(PD, far, LN_PD, hits.PRIOR)
    assert hits.expected_1(PD, far, LN_PD, small) < 0.15
    assert 0.4 < before < hits.expected_1(PD, far, LN_PD, large)
    assert math.exp(float(small @ hits.SIZE)) < 0.1 < math.exp(float(large @ hits.SIZE))


def test_a_look_where_nothing_can_be_seen_teaches_nothing() -> None:
    size, record = hits.PRIOR.copy(), hits.RECORD.copy()
    hits.book_1(0.01, 1.0, LN_PD, size, record, True)
    hits.book_1(0.0, 1.0, LN_PD, size, record, False)
    np.testing.assert_array_equal(size, hits.PRIOR)
    np.testing.assert_array_equal(record, hits.RECORD)


# ---- one sensor and one track


def test_prediction_settles_at_what_is_seen() -> None:
    for seen in (0.2, 0.5, 0.8):
        size, record, said = hits.PRIOR.copy(), hits.RECORD.copy(), []
        for look in range(60):
            said.append(hits.detection_1(PD, 5.0, LN_PD, size, record))
            hit = math.floor((look + 1) * seen) > math.floor(look * seen)
            hits.book_1(PD, 5.0, LN_PD, size, record, hit)
        assert np.mean(said[-20:]) == pytest.approx(seen, abs=0.1)


def flight(rng: np.random.Generator) -> tuple[list[float], list[float], list[float]]:
    """(log-loss of our predictions, of hits and misses alone, of the truth) on one object that two radars look at while
    it comes nearer to one and leaves the other; to the second it may be mute, or half lost in a lobe."""
    rcs_m2 = math.exp(rng.uniform(math.log(0.01), math.log(30.0)))
    factor = (1.0, float(rng.choice([1.0, 1.0, 1.0, 1.0, 0.5, 0.0])))
    size, records, rate = hits.PRIOR.copy(), np.stack([hits.RECORD, hits.RECORD]), np.zeros((2, 2))
    ours: list[float] = []
    alone: list[float] = []
    truth: list[float] = []
    for look in range(50):
        for s, part in enumerate((1.0 - 0.016 * look, 0.2 + 0.016 * look)):
            margin = part**-4
            p = PD * hits.weaker_1(margin * rcs_m2, LN_PD) * factor[s]
            hit = bool(rng.random() < p)
            said = hits.detection_1(PD, margin, LN_PD, size, records[s])
            plain = PD * (rate[s, 0] + 1.0) / (rate[s].sum() + 1.0)
            for loss, q in ((ours, said), (alone, plain), (truth, p)):
                held = min(max(q, 0.01), 0.98)
                loss.append(-math.log(held if hit else 1.0 - held))
            hits.book_1(PD, margin, LN_PD, size, records[s], hit)
            rate[s] = rate[s] * 0.85 + ((1.0, 0.0) if hit else (0.0, PD))
    return ours, alone, truth


def test_size_and_record_predict_looks_better_than_hits_and_misses_alone() -> None:
    """Log-loss over 60 objects, above that of the truth, which knows every size: at most 0.6 of (hits + 1) over
    (hits + misses + 1), each fading over seven looks."""
    rng = np.random.default_rng(11)
    ours, alone, truth = (np.mean(loss) for loss in zip(*(flight(rng) for _ in range(60)), strict=True))
    assert ours - truth < 0.6 * (alone - truth)


def test_a_secondary_radar_that_gets_no_answer_does_not_make_the_object_small() -> None:
    """Forty silent looks of a radar that should see 1 m^2 five times over, and hits of another throughout."""
    size, silent, seen = hits.PRIOR.copy(), hits.RECORD.copy(), hits.RECORD.copy()
    for _ in range(40):
        hits.book_1(PD, 5.0, LN_PD, size, silent, False)
        hits.book_1(PD, 5.0, LN_PD, size, seen, True)
    assert hits.detection_1(PD, 5.0, LN_PD, size, silent) < 0.05
    assert hits.detection_1(PD, 5.0, LN_PD, size, seen) > 0.85


def test_silence_about_what_was_always_seen_counts_in_full_and_about_the_unknown_less() -> None:
    """The record excuses a sensor only after several misses in a row: an object that is gone must die quickly."""
    size, record = hits.PRIOR.copy(), hits.RECORD.copy()
    for _ in range(30):
        hits.book_1(PD, 20.0, LN_PD, size, record, True)
    known, new = [], []
    other = hits.RECORD.copy()
    for _ in range(3):
        known.append(hits.detection_1(PD, 20.0, LN_PD, size, record))
        new.append(hits.detection_1(PD, 20.0, LN_PD, size, other))
        hits.book_1(PD, 20.0, LN_PD, size, record, False)
        hits.book_1(PD, 20.0, LN_PD, size, other, False)
    assert min(known) > 0.7
    assert new[2] < 0.4


@given(
    st.lists(st.tuples(st.floats(0.0, 0.98), POSITIVE, st.booleans()), max_size=40),
    st.floats(0.0, 0.98),
    POSITIVE,
)
def test_whatever_was_booked_the_prediction_is_a_probability(
    looks: list[tuple[float, float, bool]], full: float, margin: float
) -> None:
    size, record = hits.PRIOR.copy(), hits.RECORD.copy()
    for was_full, was_margin, hit in looks:
        hits.book_1(was_full, was_margin, LN_PD, size, record, hit)
    assert size.sum() == pytest.approx(1.0)
    assert (size >= 0.0).all()
    assert (record >= 0.0).all()
    assert record.sum() <= 1.0 + 1e-12
    assert 0.0 <= hits.detection_1(full, margin, LN_PD, size, record) <= hits.CERTAIN


# ---- the map


def test_before_anything_was_learnt_the_map_changes_nothing() -> None:
    local = np.zeros(hits.LOCAL)
    assert {hits.local_1(local, cell) for cell in range(hits.CELLS)} == {1.0}


def test_cells_part_azimuth_range_and_height() -> None:
    places = [(a, r, h) for a in (0.01, 3.0, 6.28) for r in (0.01, 0.5, 0.999) for h in (0.0, 700.0, 2e3, 9e3)]
    cells = [hits.cell_1(*place) for place in places]
    assert len(cells) == len(set(cells))
    assert max(cells) == hits.CELLS - 1


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(-5.0, 5.0), st.floats(-1e6, 1e6))
def test_any_place_has_a_cell(azimuth_rad: float, part: float, height_m: float) -> None:
    assert 0 <= hits.cell_1(min(max(azimuth_rad, -100.0), 100.0), part, height_m) < hits.CELLS


def test_a_radar_that_sees_less_than_declared_is_believed_less_in_cells_it_never_looked_at() -> None:
    local = np.zeros(hits.LOCAL)
    for look in range(400):
        hits.learn_local_1(local, look % 7, 0.9, look % 2 == 0)
    assert hits.local_1(local, 500) == pytest.approx(0.5 / 0.9, abs=0.05)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 0.98), st.booleans()), min_size=1, max_size=300))
def test_the_map_stays_bounded(looks: list[tuple[int, float, bool]]) -> None:
    local = np.zeros(hits.LOCAL)
    for cell, expected, hit in looks * 3:
        hits.learn_local_1(local, cell, expected, hit)
    assert np.isfinite(local).all()
    assert local[0] <= hits.WHOLE_MOST
    assert local[2::2].max() <= hits.CELL_MOST + 1e-9
    for cell in range(4):
        assert hits.FACTOR_LEAST <= hits.local_1(local, cell) <= hits.FACTOR_MOST
