"""From pairs of common traffic to the bias of one radar: a vote that finds it, and a robust fit that measures it.

The vote counts pairs in cells of (difference in azimuth, difference in range): true pairs fall together whatever the
bias is, false ones scatter (a Hough transform). The fit is weighted least squares with weights of a Student
distribution, started at the vote, choosing for every plot the claim that fits best, with a prior on every parameter
so that what the traffic does not show stays where it was, with the uncertainty that says so.

Model, with the true range r and its rate, the true azimuth a and its rate:

    measured range   = r + offset + gain r - rate tau        measured azimuth = a + turn - rate tau

where tau is how far the radar's clock is ahead.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bias.traffic import (
    C_DOUBT,
    C_NEWEST,
    P_AZDOT,
    P_DAZ,
    P_DR,
    P_PLOT,
    P_R,
    P_RDOT,
    P_SLOT,
    P_T,
    P_VAZ,
    P_VC,
    P_VR,
)
from fusion.schema import F8, I8, US_PER_S

OFFSET, GAIN, TURN, TAU = 0, 1, 2, 3  # order of the fitted parameters: m, -, rad, s
FITTED = 4
FREEDOM = 4.0  # degrees of freedom of the Student weights: a plot four sigma off weighs a third
ROUNDS = 8
STILL = 0.02  # sigmas: a round that moves the answer less is the last
GATE = 16.0  # squared distance of two components within which a pair counts: all but 0.03 %
CHANCE = 1e-4  # a heap of false pairs this unlikely anywhere in the window is taken for true
ALIVE_US = 5 * US_PER_S  # an aircraft is there as long as it says so
UNEVEN = 2.0  # false pairs crowd: along airways, near the radar

# What fit_1 says beside bias and covariance: pairs, aircraft, spread of normalised residuals, variance that the claims
# leave in range and azimuth of one aircraft if their errors stay the same, time of the oldest and newest pair used.
N_PAIRS, N_CLAIMS, SPREAD, V_RANGE, V_AZIMUTH, T_OLD, T_NEW = range(7)
STATS = 7

_V, _M = "float64[::1]", "float64[:, ::1]"


@njit("int64(float64, float64)", cache=True, nogil=True)
def heap_1(mean: float, cells: float) -> int:
    """Smallest count that a Poisson law of this mean reaches by chance in any of so many cells less than `CHANCE`."""
    term = math.exp(-mean)
    tail = 1.0 - term
    k = 1
    while tail * cells > CHANCE and k < 100_000:
        term *= mean / k
        tail -= term
        k += 1
    return max(k, 4)


@njit(f"void({_M}, float64, {_V}, {_V}, {_V})", cache=True, nogil=True)
def vote_1(pairs: F8, since_us: float, window: F8, cell: F8, out: F8) -> None:
    """Find where pairs since a time heap up.

    Args:
        pairs: (n, PAIR); window: half widths in range and azimuth; cell: widths of a cell in range and azimuth.
        out: (8,) range offset and azimuth there, pairs in the heap (3 by 3 cells), how many chance needs, pairs in
            the best heap that does not touch it, aircraft in the heap, its first and its last time.
    """
    nr = int(math.ceil(2.0 * window[0] / cell[0])) + 2
    na = int(math.ceil(2.0 * window[1] / cell[1])) + 2
    grid = np.zeros((nr, na))
    total = 0.0
    for i in range(pairs.shape[0]):
        if pairs[i, P_T] >= since_us:
            r = int((pairs[i, P_DR] + window[0]) / cell[0]) + 1
            a = int((pairs[i, P_DAZ] + window[1]) / cell[1]) + 1
            grid[min(r, nr - 2), min(a, na - 2)] += 1.0
            total += 1.0
    out[:] = 0.0
    best = -1.0
    br, ba = 1, 1
    sums = np.zeros((nr, na))
    for r in range(1, nr - 1):
        for a in range(1, na - 1):
            for k in range(9):
                sums[r, a] += grid[r - 1 + k // 3, a - 1 + k % 3]
            # Of equal heaps the one nearer to no bias; and the one whose middle is full.
            x = ((r - 0.5) * cell[0] - window[0]) / window[0]
            y = ((a - 0.5) * cell[1] - window[1]) / window[1]
            score = sums[r, a] + 1e-2 * grid[r, a] - 1e-3 * (x * x + y * y)
            if sums[r, a] > 0.0 and score > best:
                best, br, ba = score, r, a
    if best < 0.0:
        return
    for r in range(1, nr - 1):
        for a in range(1, na - 1):
            if abs(r - br) > 3 or abs(a - ba) > 3:
                out[4] = max(out[4], sums[r, a])
    claims = np.zeros(0, np.float64)
    n = 0.0
    out[6], out[7] = math.inf, -math.inf
    for i in range(pairs.shape[0]):
        if pairs[i, P_T] < since_us:
            continue
        r = min(int((pairs[i, P_DR] + window[0]) / cell[0]) + 1, nr - 2)
        a = min(int((pairs[i, P_DAZ] + window[1]) / cell[1]) + 1, na - 2)
        if abs(r - br) <= 1 and abs(a - ba) <= 1:
            out[0] += pairs[i, P_DR]
            out[1] += pairs[i, P_DAZ]
            out[6], out[7] = min(out[6], pairs[i, P_T]), max(out[7], pairs[i, P_T])
            n += 1.0
            if len(claims) < 16 and not (claims == pairs[i, P_SLOT]).any():
                claims = np.append(claims, pairs[i, P_SLOT])
    out[0], out[1], out[2], out[5] = out[0] / n, out[1] / n, n, float(len(claims))
    cells = float((nr - 2) * (na - 2))
    out[3] = float(heap_1(UNEVEN * 9.0 * (total - n) / cells, cells))


@njit(f"void({_M}, {_V}, {_V}, {_M})", cache=True, nogil=True)
def solve_1(info: F8, known: F8, x: F8, cov: F8) -> None:
    """x = info^-1 known and cov = info^-1 of a small positive definite matrix, by Gauss and Jordan."""
    n = known.size
    a = np.zeros((n, 2 * n))
    for i in range(n):
        for j in range(n):
            a[i, j] = info[i, j]
        a[i, n + i] = 1.0
    for c in range(n):
        pivot = a[c, c]
        for j in range(2 * n):
            a[c, j] /= pivot
        for i in range(n):
            if i != c:
                factor = a[i, c]
                for j in range(2 * n):
                    a[i, j] -= factor * a[c, j]
    for i in range(n):
        x[i] = 0.0
        for j in range(n):
            cov[i, j] = a[i, n + j]
            x[i] += cov[i, j] * known[j]


@njit(f"void({_M}, int64[::1], {_V})", cache=True, nogil=True)
def _count_1(pairs: F8, chosen: I8, stats: F8) -> None:
    """Fill in the stats of the pairs chosen."""
    n = chosen.size
    stats[N_PAIRS] = n
    stats[T_OLD], stats[T_NEW] = math.inf, -math.inf
    slots = np.empty(n)
    for j in range(n):
        slots[j] = pairs[chosen[j], P_SLOT]
        stats[T_OLD] = min(stats[T_OLD], pairs[chosen[j], P_T])
        stats[T_NEW] = max(stats[T_NEW], pairs[chosen[j], P_T])
    slots.sort()
    for j in range(n):
        if j == 0 or slots[j] != slots[j - 1]:
            stats[N_CLAIMS] += 1.0


@njit(f"UniTuple(int64, 2)({_M}, int64, {_V}, float64, {_V})", cache=True, nogil=True)
def _best_1(pairs: F8, first: int, x: F8, wide: float, cell: F8) -> tuple[int, int]:
    """The pair that fits best of those of one plot that begin at `first`, -1 where none does; and where they end."""
    best, at, k = GATE, -1, first
    while k < pairs.shape[0] and pairs[k, P_PLOT] == pairs[first, P_PLOT]:
        p = pairs[k]
        yr = p[P_DR] - x[OFFSET] - x[GAIN] * p[P_R] + p[P_RDOT] * x[TAU]
        ya = p[P_DAZ] - x[TURN] + p[P_AZDOT] * x[TAU]
        d = yr * yr / (p[P_VR] + wide * cell[0] * cell[0]) + ya * ya / (p[P_VAZ] + wide * cell[1] * cell[1])
        if d <= best:
            best, at = d, k
        k += 1
    return at, k


@njit(f"float64({_V}, {_V}, {_V}, {_V}, {_M}, {_V}, {_V})", cache=True, nogil=True)
def _add_1(p: F8, x: F8, scale: F8, sums: F8, info: F8, known: F8, stats: F8) -> float:
    """Add one pair to the normal equations (upper half), in scaled parameters; returns its weighted square."""
    yr = p[P_DR] - x[OFFSET] - x[GAIN] * p[P_R] + p[P_RDOT] * x[TAU]
    ya = p[P_DAZ] - x[TURN] + p[P_AZDOT] * x[TAU]
    d = yr * yr / p[P_VR] + ya * ya / p[P_VAZ]
    w = (FREEDOM + 2.0) / (FREEDOM + d)
    along, across = w / p[P_VR], w / p[P_VAZ]
    h0, h1, h3 = scale[OFFSET], scale[GAIN] * p[P_R], -scale[TAU] * p[P_RDOT]
    g2, g3 = scale[TURN], -scale[TAU] * p[P_AZDOT]
    info[0, 0] += along * h0 * h0
    info[0, 1] += along * h0 * h1
    info[0, 3] += along * h0 * h3
    info[1, 1] += along * h1 * h1
    info[1, 3] += along * h1 * h3
    info[2, 2] += across * g2 * g2
    info[2, 3] += across * g2 * g3
    info[3, 3] += along * h3 * h3 + across * g3 * g3
    known[0] += along * h0 * p[P_DR]
    known[1] += along * h1 * p[P_DR]
    known[2] += across * g2 * p[P_DAZ]
    known[3] += along * h3 * p[P_DR] + across * g3 * p[P_DAZ]
    sums[0] += along
    sums[1] += across
    stats[V_RANGE] += along * along * p[P_VC]
    stats[V_AZIMUTH] += across * across * p[P_VC] / (p[P_R] * p[P_R])
    return float(w * d)


@njit(f"int64({_M}, float64, {_V}, {_V}, {_V}, int64, {_M}, int64[::1], {_V})", cache=True, nogil=True)
def fit_1(
    pairs: F8, since_us: float, start: F8, prior: F8, cell: F8, first: int, cov: F8, chosen: I8, stats: F8
) -> int:
    """Fit bias (4,) to the pairs since a time.

    Args:
        start: where to begin; overwritten with the answer (offset m, gain, turn rad, tau s).
        prior: one sigma of each parameter around zero.
        cell: first gate beyond noise, in range and azimuth: how unsure the start is.
        first: round to begin with, 0 from a vote; from an estimate a later one, where the gate is narrow already.
        cov: (4, 4) written; chosen: (n,) the pairs used, written; stats: (STATS,) written. Returns how many are used.
    """
    x = start
    n = 0
    sums, before = np.zeros(2), np.empty(FITTED)
    info, known = np.empty((FITTED, FITTED)), np.empty(FITTED)
    scale = np.array([1.0, 1e-5, 1e-3, 1.0])  # of each parameter, so that the matrix is well conditioned
    for turn in range(first, ROUNDS):
        wide = 0.25 ** (2 * turn) if turn < 5 else 0.0
        info[:] = 0.0
        known[:] = 0.0
        for c in range(FITTED):
            info[c, c] = (scale[c] / prior[c]) ** 2
        n = 0
        i = 0
        total = 0.0
        stats[:] = 0.0
        sums[:] = 0.0
        while i < pairs.shape[0]:
            at, i = _best_1(pairs, i, x, wide, cell)
            if at >= 0 and pairs[at, P_T] >= since_us:
                chosen[n] = at
                n += 1
                total += _add_1(pairs[at], x, scale, sums, info, known, stats)
        for a in range(FITTED):
            before[a] = x[a]
            for b in range(a):
                info[a, b] = info[b, a]
        solve_1(info, known, x, cov)
        moved = 0.0
        for a in range(FITTED):
            x[a] *= scale[a]
            for b in range(FITTED):
                cov[a, b] *= scale[a] * scale[b]
            moved = max(moved, abs(x[a] - before[a]) / math.sqrt(cov[a, a]))
        stats[SPREAD] = total / (2.0 * n) if n > 0 else 1.0
        if wide == 0.0 and moved < STILL:
            break
    if n > 0:
        stats[V_RANGE] *= n / (sums[0] * sums[0])
        stats[V_AZIMUTH] *= n / (sums[1] * sums[1])
    _count_1(pairs, chosen[:n], stats)
    return n


@njit(f"UniTuple(float64, 2)({_V}, {_V})", cache=True, nogil=True)
def level_1(value: F8, variance: F8) -> tuple[float, float]:
    """Robust weighted mean of values (n,) and its variance; those that are NaN do not count; (NaN, inf) of none."""
    mean, info, first = math.nan, 0.0, True
    finite = value[~np.isnan(value) & ~np.isnan(variance)]
    if finite.size == 0:
        return math.nan, math.inf
    mean = float(np.median(finite))
    for _ in range(4):
        total, info, spread, n = 0.0, 0.0, 0.0, 0
        for i in range(value.size):
            if math.isnan(value[i]) or math.isnan(variance[i]):
                continue
            d = (value[i] - mean) ** 2 / variance[i]
            w = (FREEDOM + 1.0) / (FREEDOM + d)
            total += w * value[i] / variance[i]
            info += w / variance[i]
            spread += w * d
            n += 1
        mean = total / info
        first = spread > n
    return mean, (spread / n if first else 1.0) / info


@njit(f"int64({_M}, int64, int64, {_V}, float64)", cache=True, nogil=True)
def _fits_1(pairs: F8, first: int, last: int, bias: F8, tau_s: float) -> int:
    """The first pair of one plot (rows first to last) that fits with the bias (4,) and this clock error in place of its
    own; -1 for none."""
    for k in range(first, last):
        p = pairs[k]
        yr = p[P_DR] - bias[OFFSET] - bias[GAIN] * p[P_R] + p[P_RDOT] * tau_s
        ya = p[P_DAZ] - bias[TURN] + p[P_AZDOT] * tau_s
        if yr * yr / p[P_VR] + ya * ya / p[P_VAZ] < GATE:
            return k
    return -1


@njit(f"float64({_M}, {_V}, {_V}, float64, float64, {_V}, int64[::1], {_V})", cache=True, nogil=True)
def shifts_1(pairs: F8, bias: F8, shift_s: F8, weight: float, most: float, score: F8, seen_us: I8, lean: F8) -> float:
    """Score how much better plots fit with the clock shifted by each of `shift_s` than as they are (Page's test).

    A plot that fits only when shifted adds its weight, one that fits only as it is takes it away, between 0 and `most`.
    Notes in `seen_us`, by slot, when a claim was last seen where it should be; adds the scores of range and azimuth of
    those to `lean` (3,), and how many. Returns the weight of the plots that fit as they are.
    """
    agree = 0.0
    i = 0
    while i < pairs.shape[0]:
        last = i
        while last < pairs.shape[0] and pairs[last, P_PLOT] == pairs[i, P_PLOT]:
            last += 1
        at = _fits_1(pairs, i, last, bias, bias[TAU])
        if at >= 0:
            p = pairs[at]
            slot = int(p[P_SLOT])
            seen_us[slot] = max(seen_us[slot], int(p[P_T]))
            lean[0] += (p[P_DR] - bias[OFFSET] - bias[GAIN] * p[P_R] + p[P_RDOT] * bias[TAU]) / math.sqrt(p[P_VR])
            lean[1] += (p[P_DAZ] - bias[TURN] + p[P_AZDOT] * bias[TAU]) / math.sqrt(p[P_VAZ])
            lean[2] += 1.0
            agree += weight
        for s in range(shift_s.size):
            if at >= 0 and score[s] <= 0.0:
                continue  # it cannot sink, and what fits as it is does not raise it
            then = weight if _fits_1(pairs, i, last, bias, bias[TAU] + shift_s[s]) >= 0 else 0.0
            score[s] = min(most, max(0.0, score[s] + then - (weight if at >= 0 else 0.0)))
        i = last
    return agree


@njit(f"UniTuple(float64, 3)({_V}, int64)", cache=True, nogil=True)
def turned_1(votes: F8, least: int) -> tuple[float, float, float]:
    """Votes for a turn of the north mark, one bin a degree: the largest heap of three bins that is `least` or more
    away from none, at how many bins (-n/2..n/2), and the votes for less than that."""
    n = votes.size
    here = 0.0
    for k in range(-least + 1, least):
        here += votes[k % n]
    heap, at = 0.0, 0
    for k in range(least, n - least + 1):
        near = votes[k - 1] + votes[k] + votes[(k + 1) % n]
        if near > heap or (near == heap and votes[k] > votes[at]):
            heap, at = near, k
    return heap, float(at if at <= n // 2 else at - n), here


@njit(f"void({_M}, int64[::1], float64, int64[::1])", cache=True, nogil=True)
def seen_n(pairs: F8, chosen: I8, since_us: float, seen_us: I8) -> None:
    """Note in `seen_us`, by slot of the claims, when each was last seen in the chosen pairs since a time."""
    for j in range(chosen.size):
        p = pairs[chosen[j]]
        if p[P_T] > since_us:
            seen_us[int(p[P_SLOT])] = max(seen_us[int(p[P_SLOT])], int(p[P_T]))


@njit("int64(int64[:, ::1], int64[::1], int64, int64)", cache=True, nogil=True)
def due_1(claims: I8, seen_us: I8, since_us: int, now_us: int) -> int:
    """How many claims were seen since a time and still say that they are there (state of traffic.Claims)."""
    count = 0
    for slot in range(claims.shape[0]):
        alive = claims[slot, C_NEWEST] > now_us - ALIVE_US and claims[slot, C_DOUBT] < now_us
        count += alive and seen_us[slot] > since_us
    return int(count)
