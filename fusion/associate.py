"""Which plot belongs to which track: address first, then grid, gate, clusters and the best assignment of each cluster.

All plots of one call come from one sensor within a fraction of its period, so each track gave at most one of them
(Bar-Shalom and Li 1995, 6.5: the score of a pair is its likelihood ratio against false plots and newcomers, and the
assignment of greatest total score is the most likely explanation of the slice).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.clutter import S_CLAIM, S_INDEX, S_PERIOD_US, S_RADAR, density_1
from fusion.kernels import BANK, ENV, PLOTS, WORK, Rec, score_1, score_first_1, signature
from fusion.schema import B1, F8, I8

# Columns of `meta`, int64 per slot.
ID, BIRTH, CONFIRMED, UPDATE, ARRIVED, STATUS, ADDRESS, MODE3A, MODE3A_US, CATEGORY, CLAIM, RADAR, HEIGHT, HITS = range(
    14
)
META = 14
# Columns of `belief`, float64 per slot: log-odds of existence, log-probability of `Tracks.unseen`, time of the last
# decay (s), velocity known from the first plot on (1) or not (0).
ODDS, UNSEEN, DECAYED, FAST = range(4)
BELIEF = 4

CELL_M = 25_000.0  # grid cell; no gate reaches further
SAME_SCAN = 0.4  # of a period: a radar does not see one object twice that soon
SAME_SCAN_PENALTY = 8.0
CODE_BONUS = 3.0  # equal Mode 3/A codes
CODE_PENALTY = 8.0  # different ones: garbled, or just changed
WEAK = 0.5  # how much a doubtful track yields to a sure one: this times log existence
BIG = 1e9
MOST_EXACT = 64  # plots in a cluster solved exactly; beyond (jamming, chaff) the best pairs are taken first


@njit("float64(float64)", cache=True, nogil=True)
def log_probability_1(odds: float) -> float:
    """Log of the probability whose log-odds are given."""
    return -math.log1p(math.exp(-odds)) if odds > -30.0 else odds


@njit("int64(int64, int64, int64, int64)", cache=True, nogil=True)
def _bucket_1(a: int, b: int, c: int, mask: int) -> int:
    return (a * 73_856_093 ^ b * 19_349_663 ^ c * 83_492_791) & mask


@njit("void(int64[::1], float64[:, ::1], float64[:, ::1], int64[::1], int64, int64[::1], int64[::1])",
      cache=True, nogil=True)  # fmt: skip
def _grid_1(live: I8, x: F8, at: F8, time_us: I8, t_us: int, first: I8, after: I8) -> None:
    """Chain the live tracks into cells of CELL_M by where they are at t_us; `at` (m, 3) gets those places."""
    mask = first.shape[0] - 1
    first[:] = -1
    for m in range(live.shape[0] - 1, -1, -1):
        slot = live[m]
        dt_s = (t_us - time_us[slot]) * 1e-6
        for k in range(3):
            at[m, k] = x[slot, k] + dt_s * x[slot, 3 + k]
        cell = _bucket_1(
            int(math.floor(at[m, 0] / CELL_M)),
            int(math.floor(at[m, 1] / CELL_M)),
            int(math.floor(at[m, 2] / CELL_M)),
            mask,
        )
        after[m] = first[cell]
        first[cell] = m


@njit("float64(int64, float64, float64[:, :, ::1])", cache=True, nogil=True)
def _wide_1(slot: int, dt_s: float, p: F8) -> float:
    """Square of a generous sigma of a track's place after dt_s."""
    place = p[slot, 0, 0] + p[slot, 1, 1] + p[slot, 2, 2]
    speed = p[slot, 3, 3] + p[slot, 4, 4] + p[slot, 5, 5]
    return float(place + dt_s * dt_s * speed + 4.0 * abs(dt_s) ** 3 + 100.0)


@njit(
    signature(
        "int64", PLOTS, "float64[::1], boolean[::1], int64[::1]", BANK, ENV, WORK,
        "int64[:, ::1], float64[:, ::1], int64[:, ::1], float64[:, :, ::1], int64[::1], int64[::1], float64[:, ::1]",
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def gate_1(
    plots: Rec, sensor: F8, taken: B1, live: I8,
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, sites: F8, table: F8,
    mean_w: F8, cov_w: F8, mode_w: F8, lin: F8, meta: I8, belief: F8, hit_us: I8, rate: F8,
    pair_plot: I8, pair_slot: I8, pair: F8,
) -> int:  # fmt: skip
    """Pairs of plots and tracks that may belong together, plot after plot, slots as `live` has them.

    Returns their number, or -1 when the arrays are too short. `pair` (k, 5): score, log-likelihood less that of false
    plots, NIS to book, components, velocity sigma for a track of one plot (NaN otherwise).
    """
    m = live.shape[0]
    size = 64
    while size < 2 * m:
        size *= 2
    first = np.empty(size, np.int64)
    after = np.empty(m, np.int64)
    at = np.empty((m, 3))
    t_ref = plots[plots.shape[0] // 2].t_us
    _grid_1(live, x, at, time_us, t_ref, first, after)
    n = 0
    for i in range(plots.shape[0]):
        if taken[i]:
            continue
        plot = plots[i]
        t_us = plot.t_us
        row = plot.row[:]
        place = plot.place
        false_plots = density_1(row, sensor)
        ci = int(math.floor(place[0] / CELL_M))
        cj = int(math.floor(place[1] / CELL_M))
        ck = int(math.floor(place[2] / CELL_M))
        for cell in range(27):
            a = ci + cell // 9 - 1
            b = cj + (cell // 3) % 3 - 1
            c = ck + cell % 3 - 1
            q = first[_bucket_1(a, b, c, size - 1)]
            while q >= 0:
                near = q
                q = after[q]
                if (
                    int(math.floor(at[near, 0] / CELL_M)) != a
                    or int(math.floor(at[near, 1] / CELL_M)) != b
                    or int(math.floor(at[near, 2] / CELL_M)) != c
                ):
                    continue
                slot = live[near]
                dx = at[near, 0] - place[0]
                dy = at[near, 1] - place[1]
                dz = at[near, 2] - place[2]
                dt_s = (t_us - time_us[slot]) * 1e-6
                wide = _wide_1(slot, dt_s, p) + plot.reach * plot.reach
                if dx * dx + dy * dy + dz * dz > 30.0 * wide:
                    continue
                if sensor[S_CLAIM] > 0.0 and plot.address >= 0 and meta[slot, ADDRESS] >= 0:
                    continue  # its own address was asked before; another's is not its own
                speed, booked = math.nan, 0.0  # pairs with a first plot do not enter the statistics
                if ring[slot, 0] == 1 and belief[slot, FAST] == 0.0:
                    ll, nis, comps, speed = score_first_1(
                        mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, t_us, row, sites, table,
                        mean_w, cov_w, mode_w, lin,
                    )  # fmt: skip
                else:
                    ll, nis, comps, booked = score_1(
                        mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, t_us, row, sites, table,
                        mean_w, cov_w, mode_w, lin,
                    )  # fmt: skip
                if nis > 12.0 + 2.5 * comps:
                    continue
                s = int(sensor[S_INDEX])
                seen = (rate[slot, s, 0] + 1.0) / (rate[slot, s, 0] + rate[slot, s, 1] + 1.2)
                gain = ll - false_plots + math.log(seen)
                score = gain + WEAK * log_probability_1(belief[slot, ODDS])
                if plot.mode3a >= 0 and meta[slot, MODE3A] >= 0:
                    score += CODE_BONUS if plot.mode3a == meta[slot, MODE3A] else -CODE_PENALTY
                if sensor[S_RADAR] > 0.0 and abs(t_us - hit_us[slot, s]) < SAME_SCAN * sensor[S_PERIOD_US]:
                    score -= SAME_SCAN_PENALTY
                if score <= 0.0:
                    continue
                if n == pair_plot.shape[0]:
                    return -1
                pair_plot[n] = i
                pair_slot[n] = slot
                pair[n, 0] = score
                pair[n, 1] = gain
                pair[n, 2] = booked
                pair[n, 3] = comps
                pair[n, 4] = speed
                n += 1
    return n


@njit("int64(int64[::1], int64)", cache=True, nogil=True)
def _root_1(parent: I8, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit("void(float64[:, ::1], int64[::1])", cache=True, nogil=True)
def assign_1(cost: F8, column_of: I8) -> None:
    """Assignment of least total cost (n rows, m >= n columns): column of every row.

    Successive shortest paths with potentials (Jonker and Volgenant 1987), O(n^2 m).
    """
    n, m = cost.shape
    u = np.zeros(n + 1)
    v = np.zeros(m + 1)
    row_of = np.zeros(m + 1, np.int64)
    way = np.zeros(m + 1, np.int64)
    least = np.empty(m + 1)
    used = np.empty(m + 1, np.bool_)
    for i in range(1, n + 1):
        row_of[0] = i
        j0 = 0
        least[:] = np.inf
        used[:] = False
        while True:
            used[j0] = True
            i0 = row_of[j0]
            delta = np.inf
            j1 = 0
            for j in range(1, m + 1):
                if used[j]:
                    continue
                c = cost[i0 - 1, j - 1] - u[i0] - v[j]
                if c < least[j]:
                    least[j] = c
                    way[j] = j0
                if least[j] < delta:
                    delta = least[j]
                    j1 = j
            for j in range(m + 1):
                if used[j]:
                    u[row_of[j]] += delta
                    v[j] -= delta
                else:
                    least[j] -= delta
            j0 = j1
            if row_of[j0] == 0:
                break
        while j0 != 0:
            row_of[j0] = row_of[way[j0]]
            j0 = way[j0]
    for j in range(1, m + 1):
        if row_of[j] > 0:
            column_of[row_of[j] - 1] = j - 1


@njit("void(int64[::1], int64[::1], int64[::1], float64[:, ::1], int64[::1])", cache=True, nogil=True)
def greedy_1(members: I8, pair_plot: I8, column: I8, pair: F8, chosen: I8) -> None:
    """Best pair first, until plots or tracks run out: n log n where the exact way would take n cubed."""
    used = np.zeros(np.max(column) + 1, np.bool_)
    for k in members[np.argsort(-pair[members, 0], kind="mergesort")]:
        if chosen[pair_plot[k]] < 0 and not used[column[k]]:
            chosen[pair_plot[k]] = k
            used[column[k]] = True


@njit("void(int64, int64, int64[::1], int64[::1], float64[:, ::1], int64[::1])", cache=True, nogil=True)
def cluster_1(plots: int, count: int, pair_plot: I8, pair_slot: I8, pair: F8, chosen: I8) -> None:
    """The pair chosen for every plot, or -1: pairs fall into clusters that share nothing, each solved on its own."""
    chosen[:] = -1
    slots = np.unique(pair_slot[:count])
    parent = np.arange(plots + slots.shape[0])
    column = np.searchsorted(slots, pair_slot[:count])
    for k in range(count):
        a = _root_1(parent, pair_plot[k])
        b = _root_1(parent, plots + column[k])
        if a != b:
            parent[max(a, b)] = min(a, b)
    root = np.empty(count, np.int64)
    for k in range(count):
        root[k] = _root_1(parent, pair_plot[k])
    order = np.argsort(root, kind="mergesort")
    start = 0
    while start < count:
        end = start
        while end < count and root[order[end]] == root[order[start]]:
            end += 1
        members = order[start:end]
        rows = np.unique(pair_plot[members])
        columns = np.unique(column[members])
        nr = rows.shape[0]
        nc = columns.shape[0]
        if nr == 1:
            best = members[0]
            for k in members:
                if pair[k, 0] > pair[best, 0]:
                    best = k
            chosen[rows[0]] = best
        elif nr > MOST_EXACT:
            greedy_1(members, pair_plot, column, pair, chosen)
        else:
            cost = np.full((nr, nc + nr), BIG)
            which = np.full((nr, nc), -1)
            for k in members:
                i = np.searchsorted(rows, pair_plot[k])
                j = np.searchsorted(columns, column[k])
                cost[i, j] = -pair[k, 0]
                which[i, j] = k
            for i in range(nr):
                cost[i, nc + i] = 0.0
            taken = np.empty(nr, np.int64)
            assign_1(cost, taken)
            for i in range(nr):
                if taken[i] < nc:
                    chosen[rows[i]] = which[i, taken[i]]
        start = end
