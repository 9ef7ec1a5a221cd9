"""Plots of one scan that are given out again, because a later plot of the scan contends for their tracks.

Plots of one scan come in any order and in several ticks. Each radar keeps its plots of the last moments in a ring.
Where a new plot lies where another track could have taken it, the plot that this track took instead is taken back, and
both go through association together, as if they had come at once.
"""

from __future__ import annotations

from numba import njit

from fusion.associate import (
    GRID,
    HITS,
    ID,
    LOOKS,
    NAMES,
    ODDS,
    ROW_AT,
    SEEN,
    STATUS,
    WAKE,
    leave_1,
    note_1,
    row_of_1,
)
from fusion.bank import MOST_RECENT, R_FIRST, R_NUMBER
from fusion.bare import BARE
from fusion.clutter import S_INDEX
from fusion.existence import CORE, TENTATIVE
from fusion.kernels import PLOTS, SLAB, Rec, signature, undo_1
from fusion.schema import F4, F8, I8

ENDED = -2  # status of a slot whose track ended within this step: not to be given out before the next


@njit(signature("int64", PLOTS, "int64, float64[::1]", *CORE, GRID, NAMES), cache=True, nogil=True, **BARE)
def take_back_1(
    plots: Rec, i: int, sensor: F8, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8,
    rate: F8, size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4,
    first: I8, after: I8, cell_of: I8, near: F8,
    named: I8, namesake: I8,
) -> int:  # fmt: skip
    """Take plot i back from its track. A track that was nothing else ends. Returns 0 where that cannot be done."""
    s = int(sensor[S_INDEX])
    slot = plots[i].slot
    if slot < 0 or meta[slot, STATUS] < 0 or meta[slot, ID] != plots[i].id or hit_us[slot, s] != plots[i].t_us:
        return 0
    if meta[slot, HITS] <= 1 and meta[slot, STATUS] != TENTATIVE:  # a published track must not just vanish
        return 0
    row_of_1(plots, i, w)
    code = undo_1(slab, slot * SLAB, float(plots[i].t_us), w, ROW_AT, sites, table, w)
    if code == 0 or (code == 2 and meta[slot, STATUS] != TENTATIVE):
        return 0
    if code == 2:
        meta[slot, STATUS] = ENDED
        leave_1(slot, meta, first, after, cell_of, named, namesake)
        return 1
    note_1(slot, slab, belief, near)
    belief[slot, ODDS] -= plots[i].gain
    belief[slot, SEEN] -= plots[i].seen
    belief[slot, WAKE] = 0.0
    meta[slot, HITS] -= 1
    meta[slot, LOOKS] = max(meta[slot, LOOKS] - 1, 0)
    hit_us[slot, s] = plots[i].hit_us
    return 1


@njit(signature("int64", PLOTS, "int64[::1], int64, int64, int64"), cache=True, nogil=True, **BARE)
def holder_1(ring: Rec, ring_n: I8, slot: int, track: int, t_us: int) -> int:
    """Place in the ring of the recent plot that a track took at t_us, or -1."""
    for k in range(ring_n[R_NUMBER] - 1, -1, -1):
        at = (ring_n[R_FIRST] + k) % MOST_RECENT
        if ring[at].slot == slot and ring[at].t_us == t_us and ring[at].id == track:
            return int(at)
    return -1


@njit(
    signature("int64", "float64[::1], int64[:, ::1], int64[:, ::1]", PLOTS, "int64[::1], int64[::1], int64"),
    cache=True,
    nogil=True,
    **BARE,
)
def contended_1(sensor: F8, meta: I8, hit_us: I8, ring: Rec, ring_n: I8, held: I8, count: int) -> int:
    """Turn slots of contended tracks into places in the ring of the plots that they took, each once; their number."""
    s = int(sensor[S_INDEX])
    n = 0
    for k in range(count):
        slot = held[k]
        at = holder_1(ring, ring_n, slot, meta[slot, ID], hit_us[slot, s])
        known = at < 0
        for i in range(n):
            known = known or held[i] == at
        if not known:
            held[n] = at
            n += 1
    return n


@njit(signature("void", PLOTS, PLOTS, "int64[::1]"), cache=True, nogil=True, **BARE)
def remember_1(plots: Rec, ring: Rec, ring_n: I8) -> None:
    """Put plots behind the recent ones of their radar, which move to the front of the ring where there is room: plots
    of the last moments need a part of it, and memory that was walked through once stays in use."""
    first, number = ring_n[R_FIRST], ring_n[R_NUMBER]
    if 0 < number <= first and first + number <= MOST_RECENT:
        for k in range(number):
            ring[k] = ring[first + k]
        ring_n[R_FIRST] = 0
    for i in range(plots.shape[0]):
        if ring_n[R_NUMBER] == MOST_RECENT:
            ring_n[R_FIRST] = (ring_n[R_FIRST] + 1) % MOST_RECENT
            ring_n[R_NUMBER] -= 1
        ring[(ring_n[R_FIRST] + ring_n[R_NUMBER]) % MOST_RECENT] = plots[i]
        ring_n[R_NUMBER] += 1


@njit(signature("void", "int64", PLOTS, "int64[::1]"), cache=True, nogil=True, **BARE)
def forget_1(until_us: int, ring: Rec, ring_n: I8) -> None:
    """Drop recent plots that are older, oldest first."""
    while ring_n[R_NUMBER] > 0 and ring[ring_n[R_FIRST]].t_us <= until_us:
        ring_n[R_FIRST] = (ring_n[R_FIRST] + 1) % MOST_RECENT
        ring_n[R_NUMBER] -= 1
    if ring_n[R_NUMBER] == 0:
        ring_n[R_FIRST] = 0


@njit(
    signature("int64", PLOTS, "float64[::1]", *CORE, GRID, NAMES, PLOTS, "int64[::1], int64", PLOTS, "int64[::1]"),
    cache=True,
    nogil=True,
)
def reopen_1(
    plots: Rec, sensor: F8, slab: F8, sites: F8, table: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    size: F8, w: F8, rules: F8, cover: F8, screens: F4, local: F8, hot: F4, first: I8, after: I8, cell_of: I8, near: F8,
    named: I8, namesake: I8,
    ring: Rec, held: I8, wanted: int, whole: Rec,
    origin: I8,
) -> int:  # fmt: skip
    """Take the `wanted` plots held in the ring back, newest first, and put them and `plots` into `whole` by time.

    `origin` tells which of `plots` each is, -1 for one taken back. Returns their number.
    """
    n = 0
    for i in range(plots.shape[0]):
        whole[n] = plots[i]
        origin[n] = i
        n += 1
    for _ in range(wanted):
        newest = -1
        for k in range(wanted):
            if held[k] >= 0 and (newest < 0 or ring[held[k]].t_us > ring[held[newest]].t_us):
                newest = k
        at = held[newest]
        held[newest] = -1
        if (
            take_back_1(
                ring,
                at,
                sensor,
                slab,
                sites,
                table,
                meta,
                belief,
                hit_us,
                look_us,
                rate,
                size,
                w,
                rules,
                cover,
                screens,
                local,
                hot,
                first,
                after,
                cell_of,
                near,
                named,
                namesake,
            )
            == 1
        ):
            whole[n] = ring[at]
            origin[n] = -1
            n += 1
            ring[at].slot = -1
    for i in range(1, n):  # few, and nearly in order
        moved = whole[i : i + 1].copy()
        from_ = origin[i]
        k = i
        while k > 0 and (
            whole[k - 1].t_us > moved[0].t_us or (whole[k - 1].t_us == moved[0].t_us and origin[k - 1] > from_)
        ):
            whole[k] = whole[k - 1]
            origin[k] = origin[k - 1]
            k -= 1
        whole[k] = moved[0]
        origin[k] = from_
    return n
