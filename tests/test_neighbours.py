"""Objects close together: each keeps its number, nobody swaps, clutter pulls nobody away, and chaff is bounded work."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from fusion.associate import MOST_PAIRS, ODDS, P_SCORE, P_SURE, PAIR, STEP_SCRATCH, gate_1
from fusion.cluster import believe_1
from fusion.schema import F8, I8, US_PER_S, Plots
from fusion.tracker import Tracker
from tests.lateness import turning
from tests.sky import (
    AXES,
    RADAR,
    SENSORS,
    SITES,
    START_US,
    Path,
    clutter,
    line,
    place,
    play,
    radar_plots,
    scan,
)
from tests.slabs import TABLE, rows_of

SEEDS = range(6)
SETTLED_S, UNTIL_S = 40.0, 150.0  # numbers are watched from the first on
Places = list[tuple[float, F8, I8]]  # time, places (n, 3), numbers (n,)


def watched(batches: list[Plots]) -> Places:
    """The picture after each scan of the radar."""
    tracker, seen, at = Tracker(SENSORS), [], 0
    batches = sorted(batches, key=lambda b: (b.rx_us, b.sensor, int(b.t_us[0])))
    for tick in range(1, round(UNTIL_S * 10) + 1):
        now_us = START_US + tick * 100_000
        due = []
        while at < len(batches) and batches[at].rx_us <= now_us:
            due.append(batches[at])
            at += 1
        due.sort(key=lambda b: (int(b.t_us.min()), b.sensor, b.azimuth_rad.tobytes()))
        tracker.step(due, now_us)
        if tick % 50 == 0 and tick >= SETTLED_S * 10:
            tracks = tracker.table(now_us)
            seen.append((tick / 10.0, tracks.state[:, :3], tracks.id))
    return seen


def changes(seen: Places, paths: list[Path], reach_m: float = 1_500.0) -> tuple[int, int]:
    """How often an object's number changed, and how often it had one. Best one-to-one match at each time."""
    number, changed, held = [-1] * len(paths), 0, 0
    for t, where, ids in seen:
        truth = np.array([place(path, t) for path in paths])
        apart = np.linalg.norm(truth[:, None] - where[None], axis=2)
        for i, j in zip(*linear_sum_assignment(np.minimum(apart, reach_m)), strict=True):
            if apart[i, j] >= reach_m:
                continue
            held += 1
            changed += number[i] not in (-1, int(ids[j]))
            number[i] = int(ids[j])
    return changed, held


def swarm(rng: np.random.Generator) -> list[Path]:
    """Six drones at 60 to 100 km, each 400 m to 2 km from its nearest neighbour, flying one way at about one speed."""
    bearing, reach = rng.uniform(0.0, 2 * math.pi), rng.uniform(65_000.0, 95_000.0)
    heading, speed = rng.uniform(0.0, 2 * math.pi), rng.uniform(35.0, 55.0)
    places = [np.array([reach * math.sin(bearing), reach * math.cos(bearing)])]
    while len(places) < 6:
        more = places[int(rng.integers(len(places)))] + rng.uniform(-2_000.0, 2_000.0, 2)
        nearest = min(float(np.linalg.norm(more - p)) for p in places)
        if 400.0 <= nearest <= 2_000.0:
            places.append(more)
    ve, vn = speed * math.sin(heading), speed * math.cos(heading)
    return [line(float(e), float(n), 600.0 + 20.0 * k, ve, vn) for k, (e, n) in enumerate(places)]


def seen_by_radar(paths: list[Path], rng: np.random.Generator, detection: float = 0.9) -> list[Plots]:
    batches = [b for t in range(0, int(UNTIL_S), 5) for b in scan(RADAR, paths, t, rng, detection)]
    return batches + [b for t in range(0, int(UNTIL_S), 5) for b in clutter(RADAR, t, rng, 15)]


@pytest.mark.parametrize(("across_mps", "detection", "most"), [(0.0, 0.9, 10), (8.0, 0.85, 32)])
def test_drones_of_a_group_keep_their_numbers(across_mps: float, detection: float, most: int) -> None:
    """Side by side, and mingling, each with a velocity of its own and more often missed. Measured: 4 and 20 changes
    of number in 66 minutes of flight.
    """
    changed = held = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        paths = [mingling(path, rng.uniform(-across_mps, across_mps, 2)) for path in swarm(rng)]
        some, had = changes(watched(seen_by_radar(paths, rng, detection)), paths)
        changed, held = changed + some, held + had
    said = f"{changed} changes of number; held {held} of {6 * len(SEEDS) * 23}"
    assert held > 0.93 * 6 * len(SEEDS) * 23, said
    assert changed <= most, said


@pytest.mark.parametrize("gap_m", [500.0, 900.0])
def test_who_is_missed_for_a_while_is_not_taken_for_his_neighbour(gap_m: float) -> None:
    """Two drones abreast. One is missed four times, and grows so unsure that the other is within a few sigmas of it."""
    number = held = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        paths = [line(70_000.0, 60_000.0 + gap_m * k, 600.0, -40.0, 25.0) for k in range(2)]
        batches = [b for t in range(0, int(UNTIL_S), 5) for b in scan(RADAR, paths[:1], t, rng)]
        batches += [b for t in range(0, int(UNTIL_S), 5) if not 80 <= t < 100 for b in scan(RADAR, paths[1:], t, rng)]
        batches += [b for t in range(0, int(UNTIL_S), 5) for b in clutter(RADAR, t, rng, 15)]
        some, had = changes(watched(batches), paths)
        number, held = number + some, held + had
    assert number == 0, f"{number} changes of number"
    assert held == 2 * len(SEEDS) * 23


def test_a_plot_that_no_other_track_wants_goes_to_the_doubtful_one_that_it_fits() -> None:
    """Where clutter is learnt to be dense, a first plot is worth little. Were its track too weak to take the second,
    this would begin another, come to nothing as the first did, and be learnt as clutter too, and so on for ever."""
    rng, drone = np.random.default_rng(5), line(60_000.0, 40_000.0, 600.0, 40.0, 20.0)
    tracker = play(Tracker(SENSORS), scan(RADAR, [drone], 0.0, rng), 3.0)
    assert tracker.counts["tentative"] == 1
    tracker._bank.belief[0, ODDS] = -15.0
    (second,) = scan(RADAR, [drone], 5.0, rng)
    assert pairs_of(tracker, second) == 1
    tracker.step([second], START_US + 6 * US_PER_S)
    assert tracker.counts["tentative"] == 1, "one track of two plots"
    assert tracker._bank.belief[0, ODDS] > -15.0


def mingling(path: Path, more_mps: F8) -> Path:
    """The same path with some more velocity east and north."""
    return lambda t: (path(t)[0] + more_mps[0] * t, path(t)[1] + more_mps[1] * t, path(t)[2])


JETS = {
    "across": line(55_000.0 - 240.0 * 75, 40_000.0, 2_300.0, 240.0, 0.0),
    "past": line(55_400.0, 40_000.0 - 230.0 * 75, 2_100.0, 0.0, 230.0),
    "around": turning((55_000.0, 28_000.0, 2_300.0), 200.0, 0.0, 65.0, 120.0, 0.03),
}


@pytest.mark.parametrize("jet", JETS)
def test_a_jet_that_crosses_or_escorts_does_not_swap_with_whom_it_meets(jet: str) -> None:
    slow = line(55_000.0, 40_000.0 - 60.0 * 75, 2_000.0, 0.0, 60.0)
    swapped = renumbered = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        seen = watched(seen_by_radar([slow, JETS[jet]], rng))
        before, after = ({k: number_of(seen[i], path) for k, path in enumerate((slow, JETS[jet]))} for i in (0, -1))
        assert before[0] != before[1], "both are tracked before they meet"
        swapped += after[0] == before[1] or after[1] == before[0]
        renumbered += after[0] != before[0]
    assert swapped == 0, f"{swapped} of {len(SEEDS)} meetings"
    assert renumbered == 0, "the slow one keeps its number"


def number_of(seen: tuple[float, F8, I8], path: Path) -> int:
    """Of the track nearest to an object, -1 without one within 1.5 km."""
    t, where, ids = seen
    apart = np.linalg.norm(where - place(path, t), axis=1)
    return int(ids[apart.argmin()]) if apart.min() < 1_500.0 else -1


def test_clutter_does_not_pull_a_hovering_quadcopter_away() -> None:
    """Two false plots a scan within 1.5 km of it."""
    worst, changed = [], 0
    hover = line(24_000.0, 18_000.0, 200.0, 0.0, 0.0)
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        batches = seen_by_radar([hover], rng)
        for t in range(0, int(UNTIL_S), 5):
            for _ in range(int(rng.poisson(2.0))):
                near = place(hover, 0.0) + rng.uniform(-1_500.0, 1_500.0, 2) @ AXES[:2]
                batches.append(radar_plots(RADAR, [near], [t + 0.75 + float(rng.uniform(-0.1, 0.1))], rng, 0.2))
        seen = watched(batches)
        number, held = changes(seen, [hover], 500.0)
        changed += number
        worst.append(held / len(seen))
    said = f"tracked within 500 m: {np.round(worst, 2)}, {changed} changes of number"
    assert min(worst) > 0.8, said
    assert changed <= 3, said


# ---- chaff


def chaff(t: float, rng: np.random.Generator, number: int) -> Plots:
    """A cloud of plots within one scan and a quarter of a second, 4 km across."""
    middle = place(line(30_000.0, 30_000.0, 2_000.0, 0.0, 0.0), 0.0)
    found = [middle + rng.normal(0.0, 1_000.0, 2) @ AXES[:2] for _ in range(number)]
    return radar_plots(RADAR, found, [t] * number, rng, 0.2)


def test_a_cloud_of_chaff_is_split_counted_and_bounded() -> None:
    rng, tracker = np.random.default_rng(3), Tracker(SENSORS)
    jet = line(60_000.0, -20_000.0, 8_000.0, -100.0, 150.0)
    batches = [chaff(5.0 * k + 0.6, rng, 300) for k in range(5)]
    batches += [b for t in range(0, 30, 5) for b in scan(RADAR, [jet], t, rng)]
    play(tracker, batches, 27.0)
    limits = tracker.limits
    assert limits.clusters_split >= 3, "a cluster of more than MOST_EXACT plots is split, and counted"
    assert limits.pairs_left_out > 0, "and so are pairs beyond MOST_PAIRS of a plot"
    assert limits.refused == 0
    assert sum(tracker.counts.values()) <= 5 * 300 + 1, "no more tracks than plots"
    tracks = tracker.table(START_US + 27 * US_PER_S)
    assert np.linalg.norm(tracks.state[:, :3] - place(jet, 27.0), axis=1).min() < 500.0, "the others go on"
    assert pairs_of(tracker, chaff(25.6, rng, 300)) <= MOST_PAIRS * 300


def pairs_of(tracker: Tracker, batch: Plots) -> int:
    """How many pairs the next step would weigh against each other, with the tracks where they are."""
    plots, bank = rows_of([batch]), tracker._bank
    room = MOST_PAIRS * len(plots) + 1
    none, pair = np.empty((3, room), np.int64), np.empty((room, PAIR))
    return int(
        gate_1(
            plots, tracker._numbers[RADAR.index], np.zeros(len(plots), np.bool_), bank.slab, SITES, TABLE, bank.meta,
            bank.belief, bank.hit_us, bank.rate, np.empty(STEP_SCRATCH), bank.first, bank.after, bank.cell,
            bank.near, none[0], none[1], pair, none[2], np.zeros(2, np.int64), tracker._hot,
        )
    )  # fmt: skip


# ---- probabilities


def marginals(row: I8, column: I8, score: F8) -> F8:
    """Of each pair, over all joint explanations, by counting them all."""
    total, found = 0.0, np.zeros(len(score))
    for taken in itertools.product((False, True), repeat=len(score)):
        chosen = np.flatnonzero(taken)
        if len(np.unique(row[chosen])) < len(chosen) or len(np.unique(column[chosen])) < len(chosen):
            continue
        weight = math.exp(score[chosen].sum())
        total += weight
        found[chosen] += weight
    return found / total


def believed(row: I8, column: I8, score: F8) -> F8:
    pair = np.zeros((len(score), PAIR))
    pair[:, P_SCORE] = score
    believe_1(np.arange(len(score)), row, column, pair, int(row.max()) + 1, int(column.max()) + 1)
    return pair[:, P_SURE]


@settings(max_examples=150)
@given(plots=st.integers(1, 4), tracks=st.integers(1, 4), seed=st.integers(0, 2**32 - 1), spread=st.floats(0.1, 6.0))
def test_probabilities_are_close_to_those_of_counting_every_explanation(
    plots: int, tracks: int, seed: int, spread: float
) -> None:
    rng = np.random.default_rng(seed)
    at = np.argwhere(rng.random((plots, tracks)) < 0.7)
    if len(at) == 0 or len(at) > 11:
        return
    row, column = np.ascontiguousarray(at[:, 0]), np.ascontiguousarray(at[:, 1])
    score = rng.normal(2.0, spread, len(at))
    found, exact = believed(row, column, score), marginals(row, column, score)
    assert (found >= 0.0).all() and (found <= 1.0 + 1e-9).all()
    assert np.abs(found - exact).max() < 0.25, "loops cost accuracy, and no more than this"
    assert np.abs(found - exact).mean() < 0.1


@settings(max_examples=100)
@given(links=st.integers(1, 9), seed=st.integers(0, 2**32 - 1), spread=st.floats(0.1, 8.0))
def test_probabilities_of_a_chain_are_exact(links: int, seed: int, spread: float) -> None:
    """Plot, track, plot, track and so on: without a loop belief propagation is exact."""
    score = np.random.default_rng(seed).normal(1.0, spread, links)
    row, column = (np.arange(links) + 1) // 2, np.arange(links) // 2
    np.testing.assert_allclose(believed(row, column, score), marginals(row, column, score), atol=2e-4)
