"""One look at one track: what weighs how much."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion.borders import passing
from fusion.borders.passing import LedgerParams, blank, look_1
from fusion.schema import US_PER_S

AA, OO = 0, 1


class Track:
    """What is remembered of a track that is looked at, always beside the border of the two states."""

    def __init__(self, params: LedgerParams | None = None) -> None:
        ints, floats = blank(np.array([1]))
        self.mine, self.own, self.t_s, self.hits = ints[0], floats[0], 0.0, 0
        self.numbers = (params or LedgerParams()).row()

    def look(self, state: int, edge_m: float, plots: int = 1, sigma_m: float = 50.0, coasting: bool = False) -> int:
        """The next look, two seconds later."""
        self.t_s += 2.0
        self.hits += plots
        who = np.array([state, 1 - state, self.hits, coasting, False], np.int64)
        at = np.array([0.88, 0.35, 60.0, 48.0, edge_m, sigma_m, 40.0])
        return int(look_1(self.mine, self.own, who, at, self.numbers, round(self.t_s * US_PER_S)))


def settled() -> Track:
    """Surely over OO, 2.9 km from AA."""
    track = Track()
    assert [track.look(OO, 2_900.0) for _ in range(2)] == [passing.NOTHING, passing.FIRST]
    return track


def test_two_clear_looks_tell_and_one_never_does() -> None:
    track = settled()
    assert [track.look(AA, 900.0) for _ in range(2)] == [passing.NOTHING, passing.SWITCH]
    track = settled()
    assert [track.look(AA, 900.0, plots=50), track.look(OO, 900.0), track.look(AA, 900.0)] == [passing.NOTHING] * 3


def test_only_new_plots_count_and_the_more_the_sooner() -> None:
    track = settled()
    assert [track.look(AA, 900.0, plots=0) for _ in range(50)] == [passing.NOTHING] * 50
    assert [track.look(AA, 900.0, coasting=True) for _ in range(50)] == [passing.NOTHING] * 50
    weights = []
    for plots in (1, 2, 5):
        track = settled()
        track.look(AA, 180.0, plots)
        weights.append(track.own[passing.WEIGHT])
    assert 0.0 < weights[0] < weights[1] < weights[2] < passing.SURE


def test_within_the_margin_nothing_adds_up() -> None:
    margin_m = LedgerParams().beyond_m
    track = settled()
    assert [track.look(AA, margin_m - 1.0) for _ in range(20)] == [passing.NOTHING] * 20
    assert track.own[passing.WEIGHT] == 0.0
    assert passing.SWITCH in [track.look(AA, margin_m + 60.0) for _ in range(20)]


def test_doubt_takes_longer_than_clearness() -> None:
    looks = []
    for sigma_m in (50.0, 150.0, 400.0):
        track = settled()
        said = [track.look(AA, 500.0, sigma_m=sigma_m) for _ in range(40)]
        looks.append(said.index(passing.SWITCH))
    assert looks == sorted(looks)
    assert looks[0] == 1
    assert looks[2] > 2


def test_the_crossing_lies_where_both_were_as_near() -> None:
    track = settled()
    track.look(OO, 30.0)
    track.look(AA, 90.0)
    assert track.mine[passing.CROSS_US] == round((track.t_s - 2.0 + 0.25 * 2.0) * US_PER_S)
    assert track.own[passing.CROSS_SIGMA_T] == pytest.approx(50.0 / 40.0)


def test_neither_told_for_long_is_a_seam_even_of_a_track_that_was_never_settled() -> None:
    track = Track()
    said = [track.look(OO if i % 2 else AA, 20.0, sigma_m=300.0) for i in range(70)]
    assert said.count(passing.SEAM) == 1
    assert said.index(passing.SEAM) == pytest.approx(LedgerParams().seam_s / 2.0, abs=1)
    assert set(said) == {passing.NOTHING, passing.SEAM}


@pytest.mark.parametrize("p, z", [(0.05, 1.6449), (0.5, 0.0), (0.001, 3.0902)])
def test_doubt_is_the_quantile_of_the_normal_distribution(p: float, z: float) -> None:
    assert LedgerParams(p_doubt=p).row()[passing.Z_DOUBT] == pytest.approx(z, abs=1e-4)
    assert math.erfc(z / math.sqrt(2.0)) / 2.0 == pytest.approx(p, abs=1e-4)
