"""One track: it starts, fuses, refuses, takes back and remembers within its row; and what it costs in memory."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from fusion.bank import Bank
from fusion.filters.imm import predict_1, update_1
from fusion.filters.measure import anchor_1
from fusion.filters.models import STATE, WORK
from fusion.filters.params import M_RATE, M_SRATE, ROW
from fusion.kernels import (
    LOST,
    NEW,
    NEWER,
    OLD,
    OLDER,
    RING,
    ROWS,
    SCRATCH,
    SLAB,
    N,
    Rec,
    before_1,
    score_1,
)
from fusion.schema import F8, US_PER_S
from tests.lateness import turning
from tests.sky import AXES, FLAT, RADAR, SENSORS, SITES, START_US, Path, claim, line, place, radar_plots, scan
from tests.slabs import TABLE, Lone, all_in_order, rows_of

UP = AXES[2]
AWAY = line(40_000, 30_000, 3_000, -80, 60)


def claims(seconds: list[float], path: Path = AWAY, seed: int = 1) -> Rec:
    rng = np.random.default_rng(seed)
    return rows_of([claim(path, t, 1, rng) for t in seconds])


def test_a_track_filters_as_the_filter_alone() -> None:
    rows = claims([0.0, 0.7, 2.1, 5.0, 5.3])
    track = Lone().start(rows[0])
    state, w, ahead = track.state.copy(), np.empty(WORK), np.empty(STATE)
    for before, plot in itertools.pairwise(rows):
        predict_1(state, 0, TABLE, (plot["t_us"] - before["t_us"]) * 1e-6, ahead, 0, w)
        nis = update_1(ahead, 0, plot["row"].copy(), 0, SITES, w)[3]
        state = ahead.copy()
        assert track.fuse(plot) == (1.0, nis, 6.0)
        assert (track.state == state).all()
    assert track.t_us == rows[-1]["t_us"]


def test_a_plot_outside_the_gate_changes_nothing() -> None:
    rows, other = claims([0.0, 1.0, 2.0]), claims([2.5, 1.5], line(45_000, 30_000, 3_000, -80, 60))
    track = all_in_order(rows)
    before = track.b.copy()
    assert track.fuse(other[1], gate=30.0)[0] == -1.0
    assert track.fuse(other[0], gate=30.0)[0] == -1.0, "nor a late one"
    assert track.b.tobytes() == before.tobytes()


def test_rows_stay_in_order_of_time_and_within_bounds() -> None:
    rng = np.random.default_rng(3)
    rows = claims([float(t) for t in rng.permutation(np.arange(0.0, 20.0, 0.25))])
    arrived = rows[np.argsort(rows["t_us"] + rng.uniform(0, 2 * US_PER_S, len(rows)))]
    track = Lone().start(arrived[0])
    for plot in arrived[1:]:
        track.fuse(plot)
        n = int(track.b[N])
        times = track.b[RING : RING + n * (1 + ROW) : 1 + ROW]
        assert 1 <= n <= ROWS
        assert (np.diff(times) >= 0.0).all()
        held = [track.b[c] for c in (OLDER, OLD, NEW, NEWER) if track.b[c] >= 0.0]
        assert held == sorted(held), "checkpoints stand in order of time"
        assert all(h <= n for h in held)
    assert track.b[LOST] == 1.0
    assert before_1(track.b, 0, track.t_us) == int(track.b[N])


def test_a_plot_older_than_the_first_becomes_the_first() -> None:
    rows = claims([0.0, 1.0, 2.0, 3.0])
    track = Lone().start(rows[1])
    for plot in (rows[2], rows[3]):
        track.fuse(plot)
    assert track.fuse(rows[0])[0] == 1.0
    assert (track.mean == all_in_order(rows).mean).all()


def test_what_a_full_track_no_longer_remembers_is_left_out() -> None:
    rows = claims([0.5 * k for k in range(60)])
    track = all_in_order(rows[1:])
    before = track.b.copy()
    assert track.fuse(rows[0]) == (0.0, 0.0, 0.0)
    assert track.undo(rows[1]) == 0
    np.testing.assert_array_equal(track.at(track.t_us)[0], Lone(b=before).at(track.t_us)[0])


@pytest.mark.parametrize("late_s", [0.0, 0.4, 1.5, 4.0, 8.0])
def test_the_score_of_a_plot_is_near_what_fusing_it_finds_and_changes_nothing(late_s: float) -> None:
    rng = np.random.default_rng(5)
    rows = rows_of([b for t in range(0, 60, 5) for b in scan(RADAR, [AWAY], t, rng)])
    track = all_in_order(rows)
    last_s = (track.t_us - START_US) / US_PER_S
    plot = rows_of([radar_plots(FLAT, [place(AWAY, last_s - late_s)], [last_s - late_s], rng, 0.0)])[0]
    before, w = track.b.copy(), np.empty(SCRATCH)
    anchor_1(plot["row"].copy(), 0, w)
    _, nearest, comps, nis = score_1(track.b, 0, float(plot["t_us"]), plot["row"].copy(), 0, SITES, TABLE, w)
    assert track.b.tobytes() == before.tobytes()
    done, booked, same = track.fuse(plot)
    assert (done, same) == (1.0, comps)
    assert 0.0 <= nearest < 14.0
    assert abs(nis - booked) < 3.0


def turn_errors(heading_rad: float, known: bool) -> tuple[float, ...]:
    """RMSE of range rate (m/s), of velocity (m/s) and of place 2.5 s ahead (m), of a jet in and after a turn that a 2D
    radar sees with range rate, or without."""
    path = turning((45_000, 20_000, 4_000), 160.0, heading_rad, 20.0, 60.0, 0.04)
    doppler = replace(FLAT, sigma_doppler_mps=1.5)
    radial, speeds, places = [], [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        batches = []
        for t in np.arange(0.0, 90.0, 5.0):
            sight = place(path, t) - SITES[FLAT.index, :3]
            rate = float(velocity(path, t) @ sight / np.linalg.norm(sight)) + rng.normal() * 1.5
            seen = radar_plots(FLAT, [place(path, t)], [float(t)], rng, 0.2)
            batches.append(replace(seen, doppler_mps=np.array([rate])))
        rows = rows_of(batches, (*SENSORS[:2], doppler))
        assert not np.isnan(rows["row"][:, M_RATE]).any()
        assert (rows["row"][:, M_SRATE] == 1.5).all()
        if not known:
            rows["row"][:, [M_RATE, M_SRATE]] = math.nan
        track = Lone().start(rows[0])
        for plot in rows[1:]:
            track.fuse(plot)
            t_s = (track.t_us - START_US) / US_PER_S
            if t_s >= 20.0:
                ahead, _ = track.at(track.t_us + 2.5 * US_PER_S)
                places.append(float(np.linalg.norm(np.cross(ahead[:3] - place(path, t_s + 2.5), UP))))
                missed = track.mean[3:] - velocity(path, t_s)
                sight = place(path, t_s) - SITES[FLAT.index, :3]
                radial.append(float(missed @ sight / np.linalg.norm(sight)))
                speeds.append(float(np.linalg.norm(np.cross(missed, UP))))
    return tuple(float(np.sqrt(np.mean(np.square(found)))) for found in (radial, speeds, places))


def velocity(path: Path, t: float) -> F8:
    """ECEF velocity on a path (3,)."""
    return np.asarray((place(path, t + 0.05) - place(path, t - 0.05)) / 0.1)


def test_range_rate_helps_a_radar_through_a_turn() -> None:
    """Doppler end to end: the same plots with and without, four ways to fly. It tells one direction of two, and that
    one it tells well; across, the beam's width decides as before."""
    headings = (0.4, 2.0, 3.6, 5.2)
    with_rate, without = (np.array([turn_errors(h, known) for h in headings]) for known in (True, False))
    ratio = np.sqrt((with_rate**2).mean(axis=0) / (without**2).mean(axis=0))
    said = f"RMSE with over without: range rate {ratio[0]:.2f}, velocity {ratio[1]:.2f}, place ahead {ratio[2]:.2f}"
    assert ratio[0] < 0.3, said
    assert ratio[1] < 0.95, said
    assert ratio[2] < 0.98, said
    assert (with_rate < without).all(), "each way"


def test_memory_per_track_is_as_stated() -> None:
    """With seven sensors; the tables are given by number of tracks, so nothing else grows with them."""
    room = 100
    bank = Bank(7, 7, room)
    arrays = {name: value for name, value in vars(bank).items() if isinstance(value, np.ndarray)}
    grows = {k: v.nbytes for k, v in arrays.items() if len(v) == room or (k == "slab" and len(v) == room * SLAB)}
    each = sum(grows.values()) / room
    assert {*arrays} - {*grows} == {"counts", "recent", "recent_n", "first", "named"}
    assert each <= 4_650, f"{each:.0f} bytes a track: {grows}"
