"""Which plot belongs to which track: grid, gate, clusters, probabilities by belief propagation, one assignment.

All plots of one call come from one sensor within a fraction of its period, so each track gave at most one of them
(Bar-Shalom and Li 1995, 6.5: the score of a pair is its likelihood ratio against false plots and newcomers). Pairs fall
into clusters that share nothing. In each, belief propagation gives every pair its probability, at a cost that grows
with the number of pairs (Williams and Lau, "Approximate evaluation of marginal association probabilities with belief
propagation", IEEE Trans. AES 50, 2014). A plot goes to the track of the most likely joint explanation, and counts for
that track's existence by how sure that is.

Bounded work: a plot keeps its best MOST_PAIRS pairs. A cluster of more than MOST_EXACT plots (jamming, chaff) is split:
the most probable pair is taken first, then the next, instead of the best explanation of the whole. Both are counted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bare import BARE
from fusion.birth import pair_1
from fusion.clutter import S_CLAIM, S_INDEX, S_PERIOD_US, S_RADAR, density_1
from fusion.filters.params import ROW
from fusion.kernels import ENV, FAST_WIDE, LOST, PLOTS, RING, SCRATCH, SLAB, WIDE, A, N, Rec, T, score_1, signature
from fusion.schema import B1, F4, F8, I8

# Columns of `meta`, int64 per slot.
ID, BIRTH, CONFIRMED, UPDATE, ARRIVED, STATUS, ADDRESS, MODE3A, MODE3A_US, CATEGORY, CLAIM, RADAR, HEIGHT, HITS = range(
    14
)
META = 14
# Columns of `belief`, float64 per slot: log-odds of existence, log-probability of `Tracks.unseen`, time of the last
# decay (s), velocity known from the first plot on (1) or not (0), square of the distance (m2) at which another plot of
# the same scan could have been the one it took.
ODDS, UNSEEN, DECAYED, FAST, GRASP = range(5)
BELIEF = 5
# Columns of `near`, what the gate asks of every track around a plot, side by side: time, place, velocity, spread of
# both (kernels.WIDE, FAST_WIDE), GRASP. A copy: `note_1` after every change of a track.
N_T, N_X, N_V, N_WIDE, N_FAST, N_GRASP = 0, 1, 4, 7, 8, 9
NEAR = 10
NOWHERE = -1  # cell of a track that has ended
GRID = "int64[::1], int64[::1], int64[::1], float64[:, ::1]"  # first, after, cell_of, near
# Columns of `counts`: next id; first slot never used; no free slot below; births refused, pairs left out, splits.
NEXT_ID, TOP, HINT, REFUSED, LEFT_OUT, SPLIT = range(6)
COUNTS = 6
# Columns of one pair of plot and track.
P_SCORE, P_GAIN, P_SPEED, P_SURE = range(4)
PAIR = 4

CELL_M = 10_000.0  # grid cell on the ground; no gate reaches further
EARTH_M = 6_371_000.0
OFFSET = 262_144.0  # makes cell numbers positive
SAME_SCAN = 0.4  # of a period: a radar does not see one object twice that soon
SAME_SCAN_PENALTY = 8.0
GRASP_SIGMAS2 = 12.0  # squared sigmas of place within which two plots contend for a track
CODE_BONUS = 3.0  # equal Mode 3/A codes
CODE_PENALTY = 8.0  # different ones: garbled, or just changed
WEAK = 0.5  # how much a doubtful track yields to a sure one: this times log existence
FIRST_SEEN = 0.8  # probability of detection before a sensor has looked at a track
LEAST_SEEN = 0.1  # and at least, where there is a plot after all
BIG = 1e9
MOST_EXACT = 64  # plots in a cluster solved exactly
MOST_PAIRS = 16  # tracks that one plot may contend for
ROUNDS = 30  # of messages: they settle in a few, and always do (Williams and Lau, theorem 3)
SETTLED = 1e-4
ROW_AT = SCRATCH  # where the row of the plot in hand stands in the scratch, behind the kernels' own
STEP_SCRATCH = ROW_AT + ROW


@njit("float64(float64)", cache=True, nogil=True, **BARE)
def log_probability_1(odds: float) -> float:
    """Log of the probability whose log-odds are given."""
    return -math.log1p(math.exp(-odds)) if odds > -30.0 else odds


@njit(signature("void", PLOTS, "int64, float64[::1]"), cache=True, nogil=True, **BARE)
def row_of_1(plots: Rec, i: int, w: F8) -> None:
    """The measurement row of plot i into w[ROW_AT:]."""
    row = plots[i].row
    for k in range(ROW):
        w[ROW_AT + k] = row[k]


@njit("UniTuple(int64, 3)(float64, float64, float64)", cache=True, nogil=True, **BARE)
def cell_1(x: float, y: float, z: float) -> tuple[int, int, int]:
    """The grid cell on the ground below an ECEF place; numbers from 0 up."""
    f = EARTH_M / (CELL_M * math.sqrt(x * x + y * y + z * z))
    return int(x * f + OFFSET), int(y * f + OFFSET), int(z * f + OFFSET)


@njit("int64(int64, int64, int64)", cache=True, nogil=True, **BARE)
def _number_1(a: int, b: int, c: int) -> int:
    return a << 40 | b << 20 | c


@njit("int64(int64, int64)", cache=True, nogil=True, **BARE)
def _bucket_1(cell: int, mask: int) -> int:
    h = cell * 0x9E3779B97F4A7C1
    return (h ^ (h >> 29)) & mask


@njit("void(int64, int64, int64[::1], int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def _chain_1(slot: int, cell: int, first: I8, after: I8, cell_of: I8) -> None:
    bucket = _bucket_1(cell, first.shape[0] - 1)
    cell_of[slot] = cell
    after[slot] = first[bucket]
    first[bucket] = slot


@njit("void(int64, float64[::1], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True, **BARE)
def note_1(slot: int, slab: F8, belief: F8, near: F8) -> None:
    """Bring the row of a track in `near` up to date."""
    o = slot * SLAB + T
    for k in range(N_GRASP):
        near[slot, k] = slab[o + k]
    near[slot, N_GRASP] = belief[slot, GRASP]


@njit("void(int64, float64[::1], float64[:, ::1], float64[:, ::1])", cache=True, nogil=True, **BARE)
def note_n(top: int, slab: F8, belief: F8, near: F8) -> None:
    """Bring `near` up to date for all slots below top."""
    for slot in range(top):
        note_1(slot, slab, belief, near)


@njit("void(int64, float64[:, ::1], int64, int64[::1], int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def enter_1(slot: int, near: F8, t_us: int, first: I8, after: I8, cell_of: I8) -> None:
    """Chain a track into its grid cell at t_us."""
    dt_s = (t_us - near[slot, N_T]) * 1e-6
    a, b, c = cell_1(
        near[slot, N_X] + dt_s * near[slot, N_V], near[slot, N_X + 1] + dt_s * near[slot, N_V + 1],
        near[slot, N_X + 2] + dt_s * near[slot, N_V + 2],
    )  # fmt: skip
    _chain_1(slot, _number_1(a, b, c), first, after, cell_of)


@njit("float64(float64, float64, float64)", cache=True, nogil=True, **BARE)
def _spread_1(wide: float, fast: float, dt_s: float) -> float:
    return float(wide + dt_s * dt_s * fast + 4.0 * abs(dt_s) ** 3 + 100.0)


@njit("float64(float64[::1], int64, float64)", cache=True, nogil=True, **BARE)
def wide_1(slab: F8, o: int, dt_s: float) -> float:
    """Square of a generous sigma of a track's place along the ground after dt_s."""
    return _spread_1(slab[o + WIDE], slab[o + FAST_WIDE], dt_s)


@njit(
    signature("float64", PLOTS, "int64, float64[::1], int64, int64[:, ::1]"),
    cache=True,
    nogil=True,
    **BARE,
)
def code_1(plots: Rec, i: int, sensor: F8, slot: int, meta: I8) -> float:
    """What Mode 3/A codes say for or against a pair."""
    code = plots[i].mode3a
    if code < 0 or meta[slot, MODE3A] < 0:
        return 0.0
    return CODE_BONUS if code == meta[slot, MODE3A] else -CODE_PENALTY


@njit(
    signature(
        "float64", PLOTS, "int64, float64[::1], int64, float64, float64[::1]", ENV, "int64[:, ::1], float64[:, ::1]",
        "int64[:, ::1], float64[:, :, ::1], float64[::1], float64[:, ::1], int64",
    ),
    cache=True,
    nogil=True, **BARE,
)  # fmt: skip
def weigh_1(
    plots: Rec, i: int, sensor: F8, slot: int, false_plots: float, slab: F8, sites: F8, table: F8, meta: I8, belief: F8,
    hit_us: I8, rate: F8, w: F8, pair: F8, n: int,
) -> float:  # fmt: skip
    """Weigh plot i, whose row is in w[ROW_AT:], against one track, into pair[n]. Returns the score;
    not above 0: no pair."""
    t_us = plots[i].t_us
    o = slot * SLAB
    speed = math.nan
    if slab[o + N] == 1.0 and slab[o + LOST] == 0.0 and belief[slot, FAST] == 0.0:
        dt_s = (t_us - slab[o + RING]) * 1e-6
        ll, nis, comps, speed = pair_1(slab, o + RING + 1, dt_s, w, ROW_AT, sites, w, A)
    else:
        ll, nis, comps, _ = score_1(slab, o, float(t_us), w, ROW_AT, sites, table, w)
    if not nis <= 12.0 + 2.5 * comps:
        return -1.0
    s = int(sensor[S_INDEX])
    seen = max(rate[slot, s, 2], LEAST_SEEN) if rate[slot, s, 2] >= 0.0 else FIRST_SEEN
    gain = ll - false_plots + math.log(seen)
    score = gain + WEAK * log_probability_1(belief[slot, ODDS]) + code_1(plots, i, sensor, slot, meta)
    if sensor[S_RADAR] > 0.0 and abs(t_us - hit_us[slot, s]) < SAME_SCAN * sensor[S_PERIOD_US]:
        score -= SAME_SCAN_PENALTY
    pair[n, P_SCORE] = score
    pair[n, P_GAIN] = gain
    pair[n, P_SPEED] = speed
    pair[n, P_SURE] = 1.0
    return score


@njit("void(int64, int64, int64[::1], float64[:, ::1])", cache=True, nogil=True, **BARE)
def _outdo_1(start: int, n: int, pair_slot: I8, pair: F8) -> None:
    """Let pair n take the place of the worst of the pairs start .. n - 1, where it scores higher."""
    worst = start
    for k in range(start + 1, n):
        if pair[k, P_SCORE] < pair[worst, P_SCORE]:
            worst = k
    if pair[n, P_SCORE] > pair[worst, P_SCORE]:
        pair_slot[worst] = pair_slot[n]
        for c in range(PAIR):
            pair[worst, c] = pair[n, c]


@njit(
    signature(
        "int64", PLOTS, "float64[::1], boolean[::1], float64[::1]", ENV, "int64[:, ::1], float64[:, ::1]",
        "int64[:, ::1], float64[:, :, ::1], float64[::1], int64[::1], int64[::1], int64[::1], float64[:, ::1]",
        "int64[::1], int64[::1], float64[:, ::1], int64[::1], int64[::1], float32[:, :, ::1]",
    ),
    cache=True,
    nogil=True, **BARE,
)  # fmt: skip
def gate_1(
    plots: Rec, sensor: F8, taken: B1, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, rate: F8,
    w: F8, first: I8, after: I8, cell_of: I8, near: F8, pair_plot: I8, pair_slot: I8, pair: F8, held: I8, count: I8,
    hot: F4,
) -> int:  # fmt: skip
    """Pairs of plots and tracks that may belong together, plot after plot; returns their number.

    `held` gets the slots of tracks that took another plot in this scan but might have taken one of these, as often as
    that is so; `count[1]` their number, as far as there is room. The three pair arrays have room for MOST_PAIRS a plot
    (pair: P_SCORE, P_GAIN log-likelihood less that of false plots, P_SPEED velocity sigma for a track of one plot or
    NaN, P_SURE). `count[0]` grows by the pairs left out.
    """
    n = 0
    mask = first.shape[0] - 1
    claim = sensor[S_CLAIM] > 0.0
    s = int(sensor[S_INDEX])
    scan_us = SAME_SCAN * sensor[S_PERIOD_US] if sensor[S_RADAR] > 0.0 else -1.0
    for i in range(plots.shape[0]):
        if taken[i]:
            continue
        t_us = plots[i].t_us
        place = plots[i].place
        px, py, pz = place[0], place[1], place[2]
        addressed = claim and plots[i].address >= 0
        reach2 = plots[i].reach * plots[i].reach
        row_of_1(plots, i, w)
        false_plots = density_1(w, ROW_AT, sensor, hot, float(t_us))
        start = n
        ca, cb, cc = cell_1(px, py, pz)
        down = 1.0 / math.sqrt(px * px + py * py + pz * pz)
        for around in range(27):
            cell = _number_1(ca + around // 9 - 1, cb + (around // 3) % 3 - 1, cc + around % 3 - 1)
            slot = first[_bucket_1(cell, mask)]
            while slot >= 0:
                one = slot
                slot = after[slot]
                if cell_of[one] != cell:
                    continue
                dt_s = (t_us - near[one, N_T]) * 1e-6
                dx = near[one, N_X] + dt_s * near[one, N_V] - px
                dy = near[one, N_X + 1] + dt_s * near[one, N_V + 1] - py
                dz = near[one, N_X + 2] + dt_s * near[one, N_V + 2] - pz
                climb = (dx * px + dy * py + dz * pz) * down
                square = dx * dx + dy * dy + dz * dz - climb * climb  # along the ground: height is for the filter
                grasped = square < near[one, N_GRASP] + GRASP_SIGMAS2 * reach2 and count[1] < held.shape[0]
                if grasped and hit_us[one, s] >= 0 and abs(t_us - hit_us[one, s]) < scan_us:
                    held[count[1]] = one
                    count[1] += 1
                if square > 30.0 * (_spread_1(near[one, N_WIDE], near[one, N_FAST], dt_s) + reach2):
                    continue
                if addressed and meta[one, ADDRESS] >= 0:
                    continue  # its own address was asked before; another's is not its own
                score = weigh_1(
                    plots, i, sensor, one, false_plots, slab, sites, table, meta, belief, hit_us, rate, w, pair, n
                )
                if score <= 0.0:
                    continue
                pair_plot[n] = i
                pair_slot[n] = one
                if n < start + MOST_PAIRS:
                    n += 1
                else:  # full: it takes the place of the worst, or none
                    _outdo_1(start, n, pair_slot, pair)
                    count[0] += 1
    return n


@njit("int64(int64[::1], int64)", cache=True, nogil=True, **BARE)
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


@njit(
    "void(int64[::1], int64[::1], int64[::1], float64[:, ::1], int64, int64)",
    cache=True,
    nogil=True,
)
def believe_1(members: I8, row: I8, column: I8, pair: F8, rows: int, columns: int) -> None:
    """Marginal probability of every pair of a cluster into its P_SURE: belief propagation of Williams and Lau (2014).

    `row` and `column` (len(members),) number the plots and tracks within the cluster. Alternatives of a plot (false, or
    new) and of a track (not seen) have weight one; a pair has exp(score).
    """
    n = members.shape[0]
    weight = np.empty(n)
    to_plot = np.empty(n)  # track's message to plot
    to_track = np.ones(n)
    plot_sum = np.empty(rows)
    track_sum = np.empty(columns)
    for e in range(n):
        weight[e] = math.exp(min(pair[members[e], P_SCORE], 50.0))
    for _ in range(ROUNDS):
        track_sum[:] = 1.0
        for e in range(n):
            track_sum[column[e]] += weight[e] * to_track[e]
        plot_sum[:] = 1.0
        for e in range(n):
            to_plot[e] = weight[e] / max(track_sum[column[e]] - weight[e] * to_track[e], 1.0)
            plot_sum[row[e]] += to_plot[e]
        change = 0.0
        for e in range(n):
            message = 1.0 / max(plot_sum[row[e]] - to_plot[e], 1.0)
            change = max(change, abs(message - to_track[e]))
            to_track[e] = message
        if change < SETTLED:
            break
    track_sum[:] = 1.0
    for e in range(n):
        track_sum[column[e]] += weight[e] * to_track[e]
    for e in range(n):
        pair[members[e], P_SURE] = weight[e] * to_track[e] / track_sum[column[e]]


@njit(
    "void(int64[::1], int64[::1], int64[::1], float64[:, ::1], int64[::1], int64, int64)",
    cache=True,
    nogil=True,
)
def greedy_1(members: I8, row: I8, column: I8, pair: F8, chosen: I8, rows: int, columns: int) -> None:
    """Most probable pair first, until plots or tracks run out: n log n where the exact way would take n cubed."""
    used = np.zeros(columns, np.bool_)
    given = np.zeros(rows, np.bool_)
    for e in np.argsort(-pair[members, P_SURE], kind="mergesort"):
        if not given[row[e]] and not used[column[e]]:
            chosen[row[e]] = members[e]
            used[column[e]] = True
            given[row[e]] = True


@njit(
    "void(int64[::1], int64[::1], int64[::1], float64[:, ::1], int64[::1], int64, int64)",
    cache=True,
    nogil=True,
)
def exact_1(members: I8, row: I8, column: I8, pair: F8, chosen: I8, rows: int, columns: int) -> None:
    """The pairs of the most likely joint explanation of a cluster, by row; -1 where the plot is nobody's."""
    cost = np.full((rows, columns + rows), BIG)
    which = np.full((rows, columns), -1)
    for e in range(members.shape[0]):
        cost[row[e], column[e]] = -pair[members[e], P_SCORE]
        which[row[e], column[e]] = members[e]
    for i in range(rows):
        cost[i, columns + i] = 0.0
    taken = np.empty(rows, np.int64)
    assign_1(cost, taken)
    for i in range(rows):
        chosen[i] = which[i, taken[i]] if taken[i] < columns else -1


@njit(
    "int64(int64[::1], int64[::1], int64[::1], float64[:, ::1], int64[::1])",
    cache=True,
    nogil=True,
)
def _solve_1(members: I8, pair_plot: I8, column: I8, pair: F8, chosen: I8) -> int:
    rows = np.unique(pair_plot[members])
    columns = np.unique(column[members])
    row = np.searchsorted(rows, pair_plot[members])
    col = np.searchsorted(columns, column[members])
    believe_1(members, row, col, pair, rows.shape[0], columns.shape[0])
    best = np.full(rows.shape[0], -1)
    if rows.shape[0] > MOST_EXACT:
        greedy_1(members, row, col, pair, best, rows.shape[0], columns.shape[0])
    else:
        exact_1(members, row, col, pair, best, rows.shape[0], columns.shape[0])
    total = np.zeros(rows.shape[0])
    for e in range(members.shape[0]):
        total[row[e]] += pair[members[e], P_SURE]
    for i in range(rows.shape[0]):
        chosen[rows[i]] = best[i]
    for e in range(members.shape[0]):
        pair[members[e], P_SURE] /= max(total[row[e]], 1e-300)
    return 1 if rows.shape[0] > MOST_EXACT else 0


@njit("boolean(int64, int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def _alone_1(count: int, pair_plot: I8, pair_slot: I8) -> bool:
    """True where no two of a few pairs share a plot or a track; many pairs are not looked at."""
    if count > 24:
        return False
    for k in range(count):
        for m in range(k):
            if pair_plot[m] == pair_plot[k] or pair_slot[m] == pair_slot[k]:
                return False
    return True


@njit(
    "int64(int64, int64, int64[::1], int64[::1], float64[:, ::1], int64[::1])",
    cache=True,
    nogil=True,
)
def cluster_1(plots: int, count: int, pair_plot: I8, pair_slot: I8, pair: F8, chosen: I8) -> int:
    """The pair chosen for every plot, or -1; P_SURE of every pair becomes its probability among the plot's tracks.

    Pairs fall into clusters that share nothing, each solved on its own. Returns the number of clusters split.
    """
    chosen[:] = -1
    if _alone_1(count, pair_plot, pair_slot):
        for k in range(count):
            chosen[pair_plot[k]] = k
        return 0
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
    split = 0
    start = 0
    while start < count:
        end = start
        while end < count and root[order[end]] == root[order[start]]:
            end += 1
        if end - start == 1:
            chosen[pair_plot[order[start]]] = order[start]
        else:
            split += _solve_1(order[start:end], pair_plot, column, pair, chosen)
        start = end
    return split
