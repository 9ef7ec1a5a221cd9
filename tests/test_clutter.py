"""The density of false plots: it adds up to their number, before and after learning, and learns where they are."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.clutter import (
    BEAM_SPAN_RAD,
    BINS,
    GRID,
    HOT,
    IMAGINED,
    MAP_SCANS,
    RATE_SCANS,
    S_CLUTTER,
    S_COUNT,
    S_ELEVATION,
    densities_1,
    density_1,
    heat_1,
    learn_1,
    newcomer_1,
    numbers_of,
    spread_1,
)
from fusion.filters.params import M_A, M_B, M_C, M_KIND, ROW
from fusion.kernels import PLOT
from fusion.schema import F8, PlotKind

REACH_M, PERIOD_S = 200_000.0, 5.0
STEP_M = 50.0
COLD = np.zeros((1, GRID * GRID, HOT), np.float32)


def radar(clutter: float = 40.0) -> F8:
    return numbers_of(0, PERIOD_S * 1e6, True, False, clutter, 2.0, REACH_M, 30.0)


def polar(range_m: float, elevation_rad: float = np.nan) -> F8:
    row = np.full(ROW, np.nan)
    row[[M_KIND, M_A, M_B, M_C]] = PlotKind.POLAR, range_m, 1.0, elevation_rad
    return row


def whole(sensor: F8, column: int) -> float:
    """The density of a 2D radar (0 false, 1 new) summed over all it sees."""
    reach = (np.arange(round(REACH_M / STEP_M)) + 0.5) * STEP_M
    return float(sum(np.exp(densities_1(polar(r), 0, sensor, COLD, 0.0)[column]) for r in reach) * STEP_M * 2 * np.pi)


def taught(number: int, elevation: bool, seed: int = 1, scans: int = 60) -> F8:
    """A radar after scans with so many false plots each, even in range (so denser near it), below 3 km."""
    sensor, rng = radar(clutter=10.0), np.random.default_rng(seed)
    for _ in range(scans):
        plots = np.zeros(number, PLOT)
        for i in range(number):
            range_m = rng.uniform(1_000.0, REACH_M)
            plots["row"][i] = polar(range_m, 3_000.0 * rng.random() / range_m if elevation else np.nan)
        learn_1(sensor, plots, np.ones(number, np.bool_), 1.0, PERIOD_S)
    return sensor


def test_false_plots_of_a_2d_radar_add_up_to_their_number() -> None:
    assert whole(radar(), 0) == pytest.approx(40.0, rel=1e-3)
    assert whole(radar(), 1) == pytest.approx(2.0, rel=1e-3)
    learnt = taught(25, False)
    assert whole(learnt, 0) == pytest.approx(learnt[S_CLUTTER], rel=1e-3)


def test_the_number_is_learnt() -> None:
    assert taught(25, False)[S_CLUTTER] == pytest.approx(25.0, rel=0.08)  # a fading sum of 25 a scan
    assert radar(0.0)[S_CLUTTER] == 0.0
    quiet = taught(25, False)
    learn_1(quiet, np.zeros(0, PLOT), np.zeros(0, np.bool_), 1.0, 100 * RATE_SCANS * PERIOD_S)
    assert quiet[S_CLUTTER] == 0.1, "never none at all"


def test_where_they_are_is_learnt() -> None:
    """Even in range: 25 / (R 2 pi) per metre and radian, at every range; even in area would be 20 times less there."""
    sensor = taught(25, False)
    for range_m in (5_000.0, 60_000.0, 190_000.0):
        found = np.exp(densities_1(polar(range_m), 0, sensor, COLD, 0.0)[0])
        assert found == pytest.approx(25.0 / REACH_M / (2 * np.pi), rel=0.35)
    near, far = (newcomer_1(polar(range_m), 0, sensor, COLD, 0.0) for range_m in (5_000.0, 190_000.0))
    assert near < far - 3.0, "what appears close to the radar is clutter before it is news"


def test_how_low_they_are_is_learnt_in_each_bin() -> None:
    sensor = taught(25, True)
    range_m = 60_000.0
    low, high = (densities_1(polar(range_m, e), 0, sensor, COLD, 0.0)[0] for e in (0.5 * 3_000.0 / range_m, 0.3))
    assert low > high + 2.0
    elevations = np.linspace(0.0, BEAM_SPAN_RAD, 7_001)[:-1] + BEAM_SPAN_RAD / 14_000
    total = (
        sum(np.exp(densities_1(polar(range_m, e), 0, sensor, COLD, 0.0)[0]) for e in elevations) * BEAM_SPAN_RAD / 7_000
    )
    assert total == pytest.approx(np.exp(densities_1(polar(range_m), 0, sensor, COLD, 0.0)[0]), rel=2e-3)


def test_only_what_is_false_is_booked_and_by_its_share() -> None:
    plots = np.zeros(3, PLOT)
    plots["row"] = [polar(10_000.0, 0.1), polar(10_000.0, 0.1), polar(150_000.0, 0.02)]
    sensor = radar(clutter=0.0)
    learn_1(sensor, plots, np.array([True, False, True]), 0.5, 0.0)
    assert sensor[S_COUNT : S_COUNT + BINS].sum() == pytest.approx(1.0)
    assert sensor[S_COUNT + 1] == sensor[S_COUNT + 18] == 0.5
    assert sensor[S_ELEVATION + 1] == pytest.approx(0.05)
    assert sensor[S_CLUTTER] == pytest.approx(2 * 0.5 / RATE_SCANS)
    learn_1(sensor, plots, np.zeros(3, np.bool_), 1.0, MAP_SCANS * PERIOD_S)
    assert sensor[S_COUNT + 1] == pytest.approx(0.5 / np.e)


def test_a_few_plots_do_not_empty_the_other_bins() -> None:
    plots = np.zeros(5, PLOT)
    plots["row"] = polar(10_000.0)
    sensor = radar()
    before = densities_1(polar(150_000.0), 0, sensor, COLD, 0.0)[0]
    learn_1(sensor, plots, np.ones(5, np.bool_), 1.0, 0.0)
    lost = before - densities_1(polar(150_000.0), 0, sensor, COLD, 0.0)[0] + np.log(sensor[S_CLUTTER] / 40.0)
    assert lost == pytest.approx(np.log((IMAGINED + 5.0) / IMAGINED))


def test_both_together_and_their_odds() -> None:
    false, new = densities_1(polar(30_000.0), 0, radar(), COLD, 0.0)
    assert density_1(polar(30_000.0), 0, radar(), COLD, 0.0) == pytest.approx(np.logaddexp(false, new))
    assert newcomer_1(polar(30_000.0), 0, radar(), COLD, 0.0) == pytest.approx(new - false)


def test_a_cell_is_as_hot_after_a_few_scans_as_after_many() -> None:
    """What a map has counted is of the scans that it has seen: not of a memory that is still to be filled."""

    def false(scans: int) -> float:
        sensor, hot = radar(), COLD.copy()
        for scan in range(scans):
            t_us = 1e15 + scan * PERIOD_S * 1e6
            heat_1(hot, sensor, 30_000.0, 1.0, t_us, 3.0)
            learn_1(sensor, np.zeros(0, PLOT), np.zeros(0, np.bool_), 1.0, PERIOD_S)
        place = polar(30_000.0)
        return float(
            np.exp(densities_1(place, 0, sensor, hot, t_us)[0]) - np.exp(densities_1(place, 0, sensor, COLD, t_us)[0])
        )

    cell_m = 2.0 * REACH_M / GRID
    assert false(300) == pytest.approx(3.0 / cell_m**2 * 30_000.0, rel=0.05), "three in each scan, per metre and radian"
    assert false(6) > 0.6 * false(300)
    assert false(1) < 0.5 * false(300), "one scan is no map"


def test_false_positions_add_up_to_their_number() -> None:
    row = np.full(ROW, np.nan)
    row[[M_KIND, M_A, M_B]] = PlotKind.POSITION, 0.9, 0.4
    assert np.exp(spread_1(row, 0, 3.0, 1_000.0)) * np.pi * 1e6 == pytest.approx(3.0)
    row[M_C] = 500.0
    assert np.exp(spread_1(row, 0, 3.0, 1_000.0)) * np.pi * 1e6 * 10_000.0 == pytest.approx(3.0)
