"""One assignment of plots to tracks: clusters of pairs, their probabilities by belief propagation, the likeliest whole.

Pairs of plot and track (`fusion.associate`) fall into clusters that share nothing. In each, belief propagation gives
every pair its probability, at a cost that grows with the number of pairs (Williams and Lau, "Approximate evaluation of
marginal association probabilities with belief propagation", IEEE Trans. AES 50, 2014). A plot goes to the track of the
most likely joint explanation, and counts for that track's existence by how sure that is.

Bounded work: a cluster of more than MOST_EXACT plots (jamming, chaff) is split: the most probable pair is taken first,
then the next, instead of the best explanation of the whole. That is counted.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.associate import P_SCORE, P_SURE
from fusion.bare import BARE
from fusion.schema import F8, I8

BIG = 1e9
MOST_EXACT = 64  # plots in a cluster solved exactly
ROUNDS = 30  # of messages: they settle in a few, and always do (Williams and Lau, theorem 3)
SETTLED = 1e-4


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
def _solve_1(members: I8, pair_plot: I8, pair_slot: I8, pair: F8, chosen: I8) -> int:
    rows = np.unique(pair_plot[members])
    columns = np.unique(pair_slot[members])
    row = np.searchsorted(rows, pair_plot[members])
    col = np.searchsorted(columns, pair_slot[members])
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
    if count > 12:
        return False
    for k in range(count):
        for m in range(k):
            if pair_plot[m] == pair_plot[k] or pair_slot[m] == pair_slot[k]:
                return False
    return True


@njit("void(int64, int64[::1], int64[::1], int64[::1])", cache=True, nogil=True)
def _join_1(count: int, pair_plot: I8, pair_slot: I8, parent: I8) -> None:
    """Join plots that share a track: `parent` of each leads to the first plot of its cluster."""
    size = 64
    while size < 2 * count:
        size *= 2
    pair_of = np.full(size, -1)  # the first pair of each track, by the number of its slot
    for k in range(count):
        at = (pair_slot[k] * 40_503) & (size - 1)
        while pair_of[at] >= 0 and pair_slot[pair_of[at]] != pair_slot[k]:
            at = (at + 1) & (size - 1)
        if pair_of[at] < 0:
            pair_of[at] = k
            continue
        a = _root_1(parent, pair_plot[k])
        b = _root_1(parent, pair_plot[pair_of[at]])
        parent[max(a, b)] = min(a, b)


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
    parent = np.arange(plots)
    _join_1(count, pair_plot, pair_slot, parent)
    end = np.zeros(plots + 1, np.int64)  # of the pairs of each cluster, by its first plot
    for k in range(count):
        end[_root_1(parent, pair_plot[k]) + 1] += 1
    for i in range(plots):
        end[i + 1] += end[i]
    order = np.empty(count, np.int64)
    for k in range(count):  # the ends become those of the clusters before, and grow to their own
        root = _root_1(parent, pair_plot[k])
        order[end[root]] = k
        end[root] += 1
    split = 0
    start = 0
    for i in range(plots):
        if end[i] - start == 1:
            chosen[pair_plot[order[start]]] = order[start]
        elif end[i] > start:
            split += _solve_1(order[start : end[i]], pair_plot, pair_slot, pair, chosen)
        start = end[i]
    return split
