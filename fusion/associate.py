"""Which plot may belong to which track: grid and gate.

All plots of one call come from one sensor within a fraction of its period, so each track gave at most one of them
(Bar-Shalom and Li 1995, 6.5: the score of a pair is its likelihood ratio against false plots and newcomers). Which of
the pairs is taken is for `fusion.cluster`.

Bounded work: a plot keeps its best MOST_PAIRS pairs, and what is left out is counted.
"""

from __future__ import annotations

import math

from numba import njit

from fusion.bare import BARE
from fusion.birth import pair_1
from fusion.clutter import S_CLAIM, S_INDEX, S_PERIOD_US, S_RADAR, density_1
from fusion.filters.measure import anchor_1
from fusion.filters.params import ROW
from fusion.kernels import ENV, FAST_WIDE, LOST, PLOTS, RING, SCRATCH, SLAB, WIDE, A, N, Rec, T, score_1, signature
from fusion.schema import B1, F4, F8, I8

# Columns of `meta`, int64 per slot. FOUND: 1 for what was found by what sees it, 0 while it was not, -1 where a claim
# was first. LOOKS: of HITS, those of what sees; the others are claims. LEVEL_US: when LEVEL was measured, -1 never.
ID, BIRTH, CONFIRMED, UPDATE, ARRIVED, STATUS, ADDRESS, MODE3A, MODE3A_US, CATEGORY, CLAIM, RADAR, HEIGHT = range(13)
HITS, FOUND, LOOKS, LEVEL_US, META = 13, 14, 15, 16, 17
# Columns of `belief`, float64 per slot: log-odds of existence, log-probability of `Tracks.unseen`, time of the last
# decay (s), velocity known from the first plot on (1) or not (0), square of the distance (m2) at which another plot of
# the same scan could have been the one it took, measured time (us) before which no look, no decay and no limit of age
# can change anything of it (existence.look_1); log-odds of existence by what sees alone, which counts from the
# first claim on (existence.account_1); pressure height (m) of the newest plot that told one.
ODDS, UNSEEN, DECAYED, FAST, GRASP, WAKE, SEEN, LEVEL = range(8)
BELIEF = 8
# Columns of `near`, what the gate asks of every track around a plot, side by side: time, place, velocity, spread of
# both (kernels.WIDE, FAST_WIDE), GRASP. A copy: `note_1` after every change of a track.
N_T, N_X, N_V, N_WIDE, N_FAST, N_GRASP, NEAR = 0, 1, 4, 7, 8, 9, 10
NOWHERE = -1  # cell of a track that has ended
GRID = "int64[::1], int64[::1], int64[::1], float64[:, ::1]"  # first, after, cell_of, near
NAMES = "int64[::1], int64[::1]"  # named, namesake: tracks by address
# Columns of `counts`: next id; first slot never used; no free slot below; births refused, pairs left out, splits; the
# second of measured time that the cells are of, and 1 where grid and addresses are to be chained anew.
NEXT_ID, TOP, HINT, REFUSED, LEFT_OUT, SPLIT, GRIDDED, STALE = range(8)
COUNTS = 8
# Columns of one pair of plot and track.
P_SCORE, P_GAIN, P_SPEED, P_SURE = range(4)
PAIR = 4

CELL_M = 10_000.0  # grid cell on the ground; no gate reaches further
GRID_EVERY_US = 1_000_000  # cells are worked out anew this often: at 300 m/s a track drifts a thirtieth of a cell
EARTH_M = 6_371_000.0
OFFSET = 262_144.0  # makes cell numbers positive
SAME_SCAN = 0.4  # of a period: a radar does not see one object twice that soon
SAME_SCAN_PENALTY = 8.0
GRASP_SIGMAS2 = 12.0  # squared sigmas of place within which two plots contend for a track
CODE_BONUS = 3.0  # equal Mode 3/A codes
CODE_PENALTY = 8.0  # different ones: garbled, or just changed
WEAK = 0.5  # how much a doubtful track yields to a sure one: this times log existence
KEPT = 0.05  # ... but its own plot, which no other track wants, does not start another beside it: it has this much
FIRST_SEEN = 0.8  # probability of detection before a sensor has looked at a track
LEAST_SEEN = 0.1  # and at least, where there is a plot after all
MOST_PAIRS = 16  # tracks that one plot may contend for
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


@njit("void(int64, int64, int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def link_1(slot: int, bucket: int, first: I8, after: I8) -> None:
    """Put a slot into the chain of a bucket. Chains rise, so that they are the same whenever they were made."""
    before = -1
    at = first[bucket]
    while at >= 0 and at < slot:
        before = at
        at = after[at]
    after[slot] = at
    if before < 0:
        first[bucket] = slot
    else:
        after[before] = slot


@njit("void(int64, int64, int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def unlink_1(slot: int, bucket: int, first: I8, after: I8) -> None:
    """Take a slot out of the chain of a bucket, where it is in it."""
    before = -1
    at = first[bucket]
    while at >= 0 and at != slot:
        before = at
        at = after[at]
    if at < 0:
        return
    if before < 0:
        first[bucket] = after[slot]
    else:
        after[before] = after[slot]


@njit(f"void(int64, int64, {NAMES})", cache=True, nogil=True, **BARE)
def name_1(slot: int, address: int, named: I8, namesake: I8) -> None:
    """Chain a track by its address."""
    link_1(slot, address & (named.shape[0] - 1), named, namesake)


@njit(f"void(int64, int64[:, ::1], int64[::1], int64[::1], int64[::1], {NAMES})", cache=True, nogil=True, **BARE)
def leave_1(slot: int, meta: I8, first: I8, after: I8, cell_of: I8, named: I8, namesake: I8) -> None:
    """Take a track that ends out of grid and addresses. While they are stale (STALE) there is nothing to be found."""
    if cell_of[slot] != NOWHERE:
        unlink_1(slot, _bucket_1(cell_of[slot], first.shape[0] - 1), first, after)
        cell_of[slot] = NOWHERE
    if meta[slot, ADDRESS] >= 0:
        unlink_1(slot, meta[slot, ADDRESS] & (named.shape[0] - 1), named, namesake)


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


@njit("int64(int64, float64[:, ::1], int64)", cache=True, nogil=True, **BARE)
def _cell_of_1(slot: int, near: F8, t_us: int) -> int:
    """The grid cell of a track at t_us."""
    dt_s = (t_us - near[slot, N_T]) * 1e-6
    a, b, c = cell_1(
        near[slot, N_X] + dt_s * near[slot, N_V], near[slot, N_X + 1] + dt_s * near[slot, N_V + 1],
        near[slot, N_X + 2] + dt_s * near[slot, N_V + 2],
    )  # fmt: skip
    return int(_number_1(a, b, c))


@njit("void(int64, float64[:, ::1], int64, int64[::1], int64[::1], int64[::1])", cache=True, nogil=True, **BARE)
def enter_1(slot: int, near: F8, t_us: int, first: I8, after: I8, cell_of: I8) -> None:
    """Chain a track into its grid cell at t_us, and out of the one that it was in."""
    cell = _cell_of_1(slot, near, t_us)
    if cell == cell_of[slot]:
        return
    mask = first.shape[0] - 1
    if cell_of[slot] != NOWHERE:
        unlink_1(slot, _bucket_1(cell_of[slot], mask), first, after)
    cell_of[slot] = cell
    link_1(slot, _bucket_1(cell, mask), first, after)


@njit(f"void(int64[::1], int64[:, ::1], int64, int64, {GRID}, {NAMES})", cache=True, nogil=True, **BARE)
def chain_n(
    counts: I8, meta: I8, t_us: int, second: int, first: I8, after: I8, cell_of: I8, near: F8, named: I8, namesake: I8
) -> None:
    """Chain all tracks anew: into the cells of `second` where they still are of another, else into those they have."""
    moved = counts[GRIDDED] != second
    mask, most = first.shape[0] - 1, named.shape[0] - 1
    first[:] = -1
    named[:] = -1
    for slot in range(counts[TOP] - 1, -1, -1):  # so that every chain rises
        if meta[slot, STATUS] < 0:
            cell_of[slot] = NOWHERE
            continue
        if moved or cell_of[slot] == NOWHERE:
            cell_of[slot] = _cell_of_1(slot, near, t_us)
        bucket = _bucket_1(cell_of[slot], mask)
        after[slot] = first[bucket]
        first[bucket] = slot
        if meta[slot, ADDRESS] >= 0:
            bucket = meta[slot, ADDRESS] & most
            namesake[slot] = named[bucket]
            named[bucket] = slot
    counts[GRIDDED] = second
    counts[STALE] = 0


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
    """Weigh plot i, whose row is in w[ROW_AT:] and anchored, against one track, into pair[n]. Returns the score; not
    above 0: no pair."""
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
    least = KEPT * gain if sensor[S_RADAR] > 0.0 else -math.inf  # a claim makes no track of what radar hardly saw
    score = max(gain + WEAK * log_probability_1(belief[slot, ODDS]), least) + code_1(plots, i, sensor, slot, meta)
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
        anchor_1(w, ROW_AT, w)
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
