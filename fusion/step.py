"""One tick as one compiled call: groups of plots of one sensor, each associated as a whole and fused plot by plot.

`step_1` walks through plots that are sorted by (slice of measured time, sensor, kind, time). A group is what these
first three have in common. Claims go by address first. What is left is gated, clustered, and goes to the track that
`associate.cluster_1` chose, or starts one.

Plots of one scan come in any order and in several ticks. Where a new plot contends for a track that took another plot
in the same scan, that plot is taken back and given out again together with it, so that neighbours are told apart as if
all had come at once.
"""

from __future__ import annotations

import math

import numpy as np
from numba import from_dtype, njit

from fusion.associate import (
    ADDRESS,
    BIRTH,
    DECAYED,
    FAST,
    FOUND,
    GRASP,
    GRASP_SIGMAS2,
    GRID,
    GRID_EVERY_US,
    GRIDDED,
    HINT,
    HITS,
    ID,
    LEFT_OUT,
    LEVEL,
    LOOKS,
    MOST_PAIRS,
    NAMES,
    NEXT_ID,
    NOWHERE,
    ODDS,
    P_GAIN,
    P_SPEED,
    P_SURE,
    PAIR,
    REFUSED,
    ROW_AT,
    SAME_SCAN,
    SPLIT,
    STALE,
    STATUS,
    TOP,
    UNSEEN,
    chain_n,
    enter_1,
    gate_1,
    name_1,
    note_1,
    row_of_1,
    wide_1,
)
from fusion.bank import R_NUMBER
from fusion.bare import BARE
from fusion.birth import tells_velocity_1
from fusion.cluster import cluster_1
from fusion.clutter import (
    OLD_US,
    S_CLAIM,
    S_FAST_GATE,
    S_INDEX,
    S_PERIOD_US,
    S_RADAR,
    STILL_MPS,
    heat_1,
    learn_1,
    newcomer_1,
)
from fusion.existence import CORE, E_GAIN, E_SPEED, TENTATIVE, mark_1
from fusion.filters.params import M_A, M_B
from fusion.hits import PRIOR, SIZES
from fusion.hits import RECORD as UNMET
from fusion.kernels import BEARING, PLOT, PLOTS, RING, SLAB, WORDS, Rec, T, X, fuse_1, signature, start_1
from fusion.reopen import ENDED, contended_1, forget_1, remember_1, reopen_1
from fusion.schema import B1, F4, F8, I8

NO_GATE = 1e18
REOPEN_US = 1_500_000  # plots of one scan come in any order within this
NIS_MEMORY = 500.0  # plots over which the innovation statistic of a sensor is averaged
SILENT_PERIODS = 2.5  # a sensor that says nothing for longer was off
LEAST_SURE = 1.0  # a doubtful association takes this much of a track's gain at most: a factor of fifty

RECORD = from_dtype(PLOT)


@njit("int64(int64[::1], int64[:, ::1])", cache=True, nogil=True, **BARE)
def slot_1(counts: I8, meta: I8) -> int:
    """The lowest free slot, or -1 when the table is full."""
    slot = counts[HINT]
    while slot < counts[TOP] and meta[slot, STATUS] != -1:
        slot += 1
    counts[HINT] = slot
    if slot == meta.shape[0]:
        return -1
    counts[TOP] = max(counts[TOP], slot + 1)
    return int(slot)


@njit(
    signature("void", PLOTS, "int64, float64[::1]", *CORE, "int64[::1], float64", GRID, NAMES),
    cache=True,
    nogil=True,
    **BARE,
)
def begin_1(
    plots: Rec, i: int, sensor: F8, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8,
    rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, counts: I8, newest_s: float,
    first: I8,
    after: I8, cell_of: I8, near: F8, named: I8, namesake: I8,
) -> None:  # fmt: skip
    """Plot i, which no track explains, starts one. With a full table it starts nothing, and that is counted."""
    slot = slot_1(counts, meta)
    if slot < 0:
        counts[REFUSED] += 1
        return
    row_of_1(plots, i, w)
    t_us = plots[i].t_us
    start_1(slab, slot * SLAB, float(t_us), w, ROW_AT, rules[E_SPEED], sites, table, w)
    meta[slot, :] = -1
    cell_of[slot] = NOWHERE
    meta[slot, ID] = counts[NEXT_ID]
    counts[NEXT_ID] += 1
    meta[slot, BIRTH] = t_us
    meta[slot, HITS] = 0
    meta[slot, LOOKS] = 0
    meta[slot, FOUND] = -1 if sensor[S_CLAIM] > 0.0 else 0
    meta[slot, STATUS] = TENTATIVE
    hit_us[slot, :] = -1
    look_us[slot, :] = t_us
    for s in range(rate.shape[1]):
        rate[slot, s, 0] = UNMET[0]
        rate[slot, s, 1] = UNMET[1]
        rate[slot, s, 2] = -1.0
    for k in range(SIZES):
        size[slot, k] = PRIOR[k]
    belief[slot, ODDS] = newcomer_1(w, ROW_AT, sensor, hot, float(t_us))
    belief[slot, UNSEEN] = 0.0
    belief[slot, LEVEL] = math.nan
    belief[slot, GRASP] = GRASP_SIGMAS2 * plots[i].reach * plots[i].reach
    belief[slot, DECAYED] = newest_s
    belief[slot, FAST] = 1.0 if tells_velocity_1(w, ROW_AT) else 0.0
    mark_1(
        slot,
        plots,
        i,
        meta,
        belief,
        hit_us,
        look_us,
        rate,
        size,
        sensor,
        True,
        0.0,
        rules,
        sites,
        cover,
        screens,
        local,
        hot,
    )
    note_1(slot, slab, belief, near)
    enter_1(slot, near, t_us, first, after, cell_of)
    if meta[slot, ADDRESS] >= 0:
        name_1(slot, meta[slot, ADDRESS], named, namesake)


@njit(
    signature(
        "void", PLOTS, "float64[::1], boolean[::1]", *CORE, "int64[::1], int64[::1], float64[::1], float64[:, ::1]"
    ),
    cache=True,
    nogil=True,
    **BARE,
)
def by_address_1(
    plots: Rec, sensor: F8, taken: B1, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8,
    rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, named: I8, namesake: I8, nis: F8,
    near: F8,
) -> None:  # fmt: skip
    """The address fast path: plots that carry the address of a track go there unless physics says no, to the first
    of several that will have it. `named` and `namesake` chain the tracks that have an address."""
    for i in range(plots.shape[0]):
        address = plots[i].address
        if address < 0:
            continue
        slot = named[address & (named.shape[0] - 1)]
        row_of_1(plots, i, w)
        while slot >= 0:
            mine = slot
            slot = namesake[slot]
            if meta[mine, STATUS] < 0 or meta[mine, ADDRESS] != address:
                continue
            done, booked, comps = fuse_1(
                slab, mine * SLAB, float(plots[i].t_us), w, ROW_AT, sensor[S_FAST_GATE], sites, table, w
            )
            if done < 0.0:
                continue
            note_1(mine, slab, belief, near)
            if done > 0.0:
                nis[0] += booked
                nis[1] += comps
            mark_1(
                mine,
                plots,
                i,
                meta,
                belief,
                hit_us,
                look_us,
                rate,
                size,
                sensor,
                False,
                rules[E_GAIN],
                rules,
                sites,
                cover,
                screens,
                local,
                hot,
            )
            taken[i] = True
            break


@njit(
    signature(
        "void", PLOTS, "float64[::1], boolean[::1]", *CORE,
        "int64[::1], int64[::1], float64[:, ::1], int64[::1], float64", GRID, NAMES, "float64[::1]",
    ),
    cache=True,
    nogil=True, **BARE,
)  # fmt: skip
def absorb_1(
    plots: Rec, sensor: F8, taken: B1, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8,
    rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, chosen: I8, pair_slot: I8,
    pair: F8,
    counts: I8, newest_s: float, first: I8, after: I8,
    cell_of: I8, near: F8, named: I8, namesake: I8, nis: F8,
) -> None:  # fmt: skip
    """Fuse every plot into the track of its chosen pair; the others start tracks, but for directions."""
    for i in range(plots.shape[0]):
        if taken[i]:
            continue
        k = chosen[i]
        if k < 0:
            if plots[i].kind != BEARING:  # a direction is no place to start from
                begin_1(
                    plots, i, sensor, slab, sites, table, meta, belief, hit_us, look_us, rate, size, w, rules, cover,
                    screens, local, hot, counts,
                    newest_s, first, after, cell_of, near, named, namesake,
                )  # fmt: skip
            continue
        slot = pair_slot[k]
        o = slot * SLAB
        nameless = meta[slot, ADDRESS] < 0
        paired = not math.isnan(pair[k, P_SPEED])
        if paired:  # the pair says how fast: start again from the first plot with that
            start_1(slab, o, slab[o + T], slab, o + RING + 1, pair[k, P_SPEED], sites, table, w)
        row_of_1(plots, i, w)
        wide = wide_1(slab, o, (plots[i].t_us - slab[o + T]) * 1e-6)
        belief[slot, GRASP] = GRASP_SIGMAS2 * (wide + plots[i].reach * plots[i].reach)
        done, booked, comps = fuse_1(slab, o, float(plots[i].t_us), w, ROW_AT, NO_GATE, sites, table, w)
        note_1(slot, slab, belief, near)
        enter_1(slot, near, plots[i].t_us, first, after, cell_of)
        if done > 0.0 and not paired:
            nis[0] += booked
            nis[1] += comps
        gain = pair[k, P_GAIN] + math.log(max(pair[k, P_SURE], LEAST_SURE))
        mark_1(
            slot,
            plots,
            i,
            meta,
            belief,
            hit_us,
            look_us,
            rate,
            size,
            sensor,
            False,
            gain,
            rules,
            sites,
            cover,
            screens,
            local,
            hot,
        )
        if nameless and meta[slot, ADDRESS] >= 0:
            name_1(slot, meta[slot, ADDRESS], named, namesake)


@njit(
    signature(
        "int64", PLOTS, "float64[::1], boolean[::1]", *CORE, "int64[::1], float64", GRID, NAMES, PLOTS, "int64[::1]",
        "float64[::1], int64[:, ::1], float64[:, ::1]",
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def associate_1(
    plots: Rec, sensor: F8, taken: B1, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8,
    rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, counts: I8, newest_s: float,
    first: I8,
    after: I8, cell_of: I8, near: F8, named: I8, namesake: I8, ring: Rec, ring_n: I8,
    nis: F8, pair_of: I8, pair: F8,
) -> int:  # fmt: skip
    """Gate, cluster and fuse the plots of a group that no address placed, with those of the same scan they contend
    with; returns how many of those there were."""
    n = plots.shape[0]
    pair_plot, pair_slot = pair_of[0], pair_of[1]
    held = np.empty(8 * n + 32 if ring_n[R_NUMBER] > 0 else 0, np.int64)
    left_out = np.zeros(2, np.int64)
    count = gate_1(
        plots, sensor, taken, slab, sites, table, meta, belief, hit_us, rate, w, first, after, cell_of, near, pair_plot,
        pair_slot, pair, held, left_out, hot,
    )  # fmt: skip
    wanted = contended_1(sensor, meta, hit_us, ring, ring_n, held, left_out[1])
    group = plots
    origin = held
    if wanted > 0:
        group = np.empty(n + wanted, RECORD)  # type: ignore[arg-type]  # numba takes its own types here
        origin = np.empty(n + wanted, np.int64)
        m = reopen_1(
            plots, sensor, slab, sites, table, meta, belief, hit_us, look_us, rate, size, w, rules, cover, screens,
            local, hot, first, after, cell_of, near, named, namesake, ring, held, wanted, group,
            origin,
        )  # fmt: skip
        group = group[:m]
        taken = np.zeros(m, np.bool_)
        if MOST_PAIRS * m >= pair.shape[0]:
            pair_plot = np.empty(MOST_PAIRS * m + 1, np.int64)
            pair_slot = np.empty(MOST_PAIRS * m + 1, np.int64)
            pair = np.empty((MOST_PAIRS * m + 1, PAIR))
        left_out[0] = 0
        count = gate_1(
            group, sensor, taken, slab, sites, table, meta, belief, hit_us, rate, w, first, after, cell_of, near,
            pair_plot, pair_slot, pair, held[:0], left_out, hot,
        )  # fmt: skip
    counts[LEFT_OUT] += left_out[0]
    chosen = np.empty(group.shape[0], np.int64)
    counts[SPLIT] += cluster_1(group.shape[0], count, pair_plot, pair_slot, pair, chosen)
    absorb_1(
        group, sensor, taken, slab, sites, table, meta, belief, hit_us, look_us, rate, size, w, rules, cover, screens,
        local, hot, chosen, pair_slot,
        pair, counts, newest_s, first, after, cell_of, near, named, namesake, nis,
    )  # fmt: skip
    if sensor[S_RADAR] > 0.0:
        remember_1(group, ring, ring_n)
    if wanted > 0:
        for i in range(group.shape[0]):
            if origin[i] >= 0:
                plots[origin[i]] = group[i]
    return int(wanted)


@njit(
    signature(
        "void",
        PLOTS,
        "float64[::1], int64[:, ::1], float64[::1], float64, int64[:, ::1], float64[:, ::1]",
        "float32[:, :, ::1]",
    ),
    cache=True,
    nogil=True,
)
def book_1(plots: Rec, sensor: F8, meta: I8, slab: F8, passed_s: float, stats: I8, nis: F8, hot: F4) -> None:
    """Book what a group says of its sensor: hits, innovations, and clutter; `passed_s` since its last, or -1."""
    n = plots.shape[0]
    s = int(sensor[S_INDEX])
    stats[s, 0] += n
    if nis[s, 3] > 0.0:
        keep = math.exp(-n / NIS_MEMORY)
        nis[s, 0] = nis[s, 0] * keep + nis[s, 2]
        nis[s, 1] = nis[s, 1] * keep + nis[s, 3]
        stats[s, 2] += n
        nis[s, 2] = 0.0
        nis[s, 3] = 0.0
    if sensor[S_CLAIM] > 0.0 or passed_s < 0.0:
        return
    false = np.empty(n, np.bool_)
    for i in range(n):
        slot = plots[i].slot
        sure = slot >= 0 and meta[slot, STATUS] > TENTATIVE
        # a second plot that fits is perhaps no clutter
        false[i] = not sure and (slot < 0 or meta[slot, HITS] <= 1)
        if slot >= 0 and meta[slot, ADDRESS] < 0 and plots[i].t_us - meta[slot, BIRTH] > OLD_US:
            o = slot * SLAB
            vx, vy, vz = slab[o + X + 3], slab[o + X + 4], slab[o + X + 5]
            if sensor[S_RADAR] > 0.0 and vx * vx + vy * vy + vz * vz < STILL_MPS * STILL_MPS:
                row = plots[i].row
                heat_1(hot, sensor, row[M_A], row[M_B], float(plots[i].t_us), 1.0)
    learn_1(sensor, plots, false, 1.0, passed_s)


@njit(signature("int64", PLOTS, "int64, int64"), cache=True, nogil=True, **BARE)
def group_end_1(plots: Rec, start: int, slice_us: int) -> int:
    """End of the group that begins at `start`: one slice, sensor and kind."""
    end = start + 1
    while (
        end < plots.shape[0]
        and plots[end].sensor == plots[start].sensor
        and plots[end].kind == plots[start].kind
        and plots[end].t_us // slice_us == plots[start].t_us // slice_us
    ):
        end += 1
    return int(end)


@njit(
    signature(
        "int64", PLOTS, "int64, float64[:, ::1]", *CORE, "int64[::1], int64, int64[::1]", GRID,
        PLOTS.copy(ndim=2), "int64[:, ::1], int64[:, ::1], float64[:, ::1], int64[::1], int64[::1]",
        "int64[:, ::1], float64[:, ::1], int64[:, ::1], int64[:, ::1]",
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def step_1(
    plots: Rec, slice_us: int, numbers: F8, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8,
    look_us: I8, rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, counts: I8,
    newest_us: int,
    sensor_us: I8, first: I8, after: I8,
    cell_of: I8, near: F8, rings: Rec, rings_n: I8, stats: I8, nis: F8, named: I8, namesake: I8,
    pair_of: I8, pair: F8, words: I8, names: I8,
) -> int:  # fmt: skip
    """Fuse the plots of one tick, sorted by (slice, sensor, kind, time); returns the newest measured time.

    `numbers` (n, SENSOR) and `sensor_us` (n,) newest measured time, one row a sensor; `stats` (n, 3) hits, misses,
    innovations; `nis` (n, 4) fading sum and components, and the same of the group in hand. The grid of places (`first`,
    `after`, `cell_of`) and the chains of addresses (`named`, `namesake`) are brought up to date here. `pair_of`
    (2, m) and `pair` (m, PAIR), m at least MOST_PAIRS a plot and one more, are scratch. `words` are the plots as
    numbers, whose last WORDS go into `names` of the tracks that took them, where they say anything.
    """
    second = (newest_us + GRID_EVERY_US // 2) // GRID_EVERY_US
    if counts[STALE] > 0 or counts[GRIDDED] != second:
        chain_n(counts, meta, plots[0].t_us, second, first, after, cell_of, near, named, namesake)
    reopened = 0
    start = 0
    while start < plots.shape[0]:
        end = group_end_1(plots, start, slice_us)
        group = plots[start:end]
        start = end
        s = int(group[0].sensor)
        sensor = numbers[s]
        group_us = group[group.shape[0] - 1].t_us
        newest_us = max(newest_us, group_us)
        taken = np.zeros(group.shape[0], np.bool_)
        if sensor[S_CLAIM] > 0.0:
            by_address_1(
                group, sensor, taken, slab, sites, table, meta, belief, hit_us, look_us, rate, size, w, rules, cover,
                screens, local, hot, named,
                namesake, nis[s, 2:], near,
            )  # fmt: skip
        if sensor[S_RADAR] > 0.0:
            window_us = min(int(SAME_SCAN * sensor[S_PERIOD_US]), REOPEN_US)
            forget_1(max(sensor_us[s], group_us) - window_us, rings[s], rings_n[s])
        if not taken.all():
            reopened += associate_1(
                group, sensor, taken, slab, sites, table, meta, belief, hit_us, look_us, rate, size, w, rules, cover,
                screens, local, hot, counts, newest_us * 1e-6, first, after, cell_of, near, named, namesake, rings[s],
                rings_n[s], nis[s, 2:], pair_of, pair,
            )  # fmt: skip
        passed_us = group_us - sensor_us[s]
        known_before = sensor_us[s] > 0
        sensor_us[s] = max(sensor_us[s], group_us)
        if passed_us > SILENT_PERIODS * sensor[S_PERIOD_US]:
            # It was silent, not blind: what it did not say in that time counts against nobody.
            least_us = group_us - int(sensor[S_PERIOD_US])
            for slot in range(counts[TOP]):
                look_us[slot, s] = max(look_us[slot, s], least_us)
        book_1(group, sensor, meta, slab, max(passed_us, 0) * 1e-6 if known_before else -1.0, stats, nis, hot)
    for slot in range(counts[TOP] if reopened > 0 else 0):
        if meta[slot, STATUS] == ENDED:
            meta[slot, STATUS] = -1
            counts[HINT] = min(counts[HINT], slot)
    at = words.shape[1] - WORDS
    for i in range(plots.shape[0]):
        slot = plots[i].slot
        if slot >= 0 and words[i, at] != 0:
            names[slot, 0] = words[i, at]
        if slot >= 0 and words[i, at + 1] != 0:
            for k in range(1, WORDS):
                names[slot, k] = words[i, at + k]
    return newest_us
