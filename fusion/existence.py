"""How sure we are that a track is an object: births, hits, misses, decay, status, and tracks that are one object.

Every track carries the log-odds of its existence (integrated PDA: Musicki, Evans and Stankovic 1994). A plot adds the
log of how much likelier it is from this object than from clutter; an expected look of a sensor without one subtracts
by the probability of detection, which coverage gives and the track's own hits and misses with that sensor refine: an
object too small for a far radar is not killed by its silence. Sensors are judged by their own newest measured time,
so a sensor that fell silent takes no track with it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.associate import (
    ADDRESS,
    ARRIVED,
    BIRTH,
    CATEGORY,
    CLAIM,
    CONFIRMED,
    DECAYED,
    FAST,
    HEIGHT,
    HITS,
    ID,
    MODE3A,
    MODE3A_US,
    ODDS,
    RADAR,
    STATUS,
    UNSEEN,
    UPDATE,
    log_probability_1,
)
from fusion.clutter import S_CLAIM, S_FAST_GATE, S_INDEX, S_RADAR, newcomer_1
from fusion.coverage import detection_probability_1
from fusion.filters.params import M_C, M_H, M_VE
from fusion.kernels import BANK, ENV, H_ROW, HIST, PLOTS, WORK, Rec, fuse_1, score_1, signature, start_1, undo_1
from fusion.schema import B1, F8, I8, TrackStatus

EMPTY = -1
TENTATIVE, CONFIRMED_NOW, COASTING = int(TrackStatus.TENTATIVE), int(TrackStatus.CONFIRMED), int(TrackStatus.COASTING)
PER_TRACK = (
    "int64[:, ::1], float64[:, ::1], int64[:, ::1], int64[:, ::1], float64[:, :, ::1]"  # meta, belief, hit, look, rate
)

# Numbers of existence as one row for compiled code; TrackerParams holds them with their reasons.
E_CONFIRM, E_DELETE, E_DELETE_NEW, E_MOST, E_GAIN, E_SURVIVE_S, E_FORGET, E_COAST, E_SIGMA, E_SPEED, E_CLAIM_S = range(
    11
)
RULES = 11


@njit(signature("void", "int64", PLOTS, "int64", PER_TRACK, "float64[::1], boolean, float64, float64[::1]"),
      cache=True, nogil=True)  # fmt: skip
def _mark_1(
    slot: int, plots: Rec, i: int, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    sensor: F8, born: bool, gain: float, rules: F8,
) -> None:  # fmt: skip
    """Book plot i on a track, and on the plot where it went."""
    plot = plots[i]
    t_us = plot.t_us
    s = int(sensor[S_INDEX])
    meta[slot, UPDATE] = max(meta[slot, UPDATE], t_us)
    meta[slot, ARRIVED] = max(meta[slot, ARRIVED], plot.rx_us)
    meta[slot, HITS] += 1
    plots[i].hit_us = hit_us[slot, s]
    hit_us[slot, s] = max(hit_us[slot, s], t_us)
    look_us[slot, s] = max(look_us[slot, s], t_us)
    rate[slot, s, 0] = rate[slot, s, 0] * rules[E_FORGET] + 1.0
    rate[slot, s, 1] *= rules[E_FORGET]
    if sensor[S_CLAIM] > 0.0:
        meta[slot, CLAIM] = max(meta[slot, CLAIM], t_us)
        if plot.address >= 0:
            meta[slot, ADDRESS] = plot.address
    elif sensor[S_RADAR] > 0.0:
        meta[slot, RADAR] = max(meta[slot, RADAR], t_us)
        belief[slot, UNSEEN] = 0.0
    if plot.mode3a >= 0:
        meta[slot, MODE3A] = plot.mode3a
        meta[slot, MODE3A_US] = max(meta[slot, MODE3A_US], t_us)
    if plot.category >= 0:
        meta[slot, CATEGORY] = plot.category
    if not math.isnan(plot.row[M_C]) or not math.isnan(plot.row[M_H]):
        meta[slot, HEIGHT] = max(meta[slot, HEIGHT], t_us)
    plots[i].slot = slot
    plots[i].id = meta[slot, ID]
    plots[i].gain = 0.0
    if not born:
        before = belief[slot, ODDS]
        belief[slot, ODDS] = min(before + min(gain, rules[E_GAIN]), rules[E_MOST])
        plots[i].gain = belief[slot, ODDS] - before
    if meta[slot, STATUS] != TENTATIVE:
        meta[slot, STATUS] = CONFIRMED_NOW
    elif meta[slot, HITS] >= 2 and belief[slot, ODDS] >= rules[E_CONFIRM]:
        meta[slot, STATUS] = CONFIRMED_NOW
        meta[slot, CONFIRMED] = plot.rx_us


@njit(
    signature(
        "int64", PLOTS, "float64[::1], boolean[::1]", BANK, ENV, WORK, PER_TRACK,
        "int64[::1], int64[::1], float64[::1], float64[::1]",
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def by_address_1(
    plots: Rec, sensor: F8, taken: B1,
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, sites: F8, table: F8,
    mean_w: F8, cov_w: F8, mode_w: F8, lin: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    known: I8, slots: I8, rules: F8, nis_sum: F8,
) -> int:  # fmt: skip
    """The address fast path: plots that carry the address of a track go there unless physics says no.

    `known` (sorted addresses) and `slots` list the tracks with an address. Returns the number of plots placed, which
    are `taken` from then on.
    """
    placed = 0
    for i in range(plots.shape[0]):
        plot = plots[i]
        if plot.address < 0:
            continue
        k = np.searchsorted(known, plot.address)
        best = -1
        best_ll = -math.inf
        best_nis = 0.0
        best_n = 1.0
        while k < known.shape[0] and known[k] == plot.address:
            slot = slots[k]
            k += 1
            ll, nis, comps, booked = score_1(
                mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, plot.t_us, plot.row[:], sites, table,
                mean_w, cov_w, mode_w, lin,
            )  # fmt: skip
            if nis <= sensor[S_FAST_GATE] + 2.5 * comps and ll > best_ll:
                best = slot
                best_ll = ll
                best_nis = booked
                best_n = comps
        if best < 0:
            continue
        fuse_1(
            mean, cov, mode, time_us, x, p, hist, ring, v_sigma, best, plot.t_us, plot.row[:], sites, table,
            mean_w, cov_w, mode_w, lin,
        )  # fmt: skip
        _mark_1(best, plots, i, meta, belief, hit_us, look_us, rate, sensor, False, rules[E_GAIN], rules)
        nis_sum[0] += best_nis
        nis_sum[1] += best_n
        taken[i] = True
        placed += 1
    return placed


@njit(
    signature(
        "int64", PLOTS, "float64[::1], boolean[::1]", BANK, ENV, WORK, PER_TRACK,
        "int64[::1], int64[::1], float64[:, ::1], int64[::1], int64, float64, float64[::1], float64[::1]",
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def absorb_1(
    plots: Rec, sensor: F8, taken: B1,
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, sites: F8, table: F8,
    mean_w: F8, cov_w: F8, mode_w: F8, lin: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    chosen: I8, pair_slot: I8, pair: F8, free: I8, next_id: int, newest_s: float, rules: F8, nis_sum: F8,
) -> int:  # fmt: skip
    """Fuse every plot into the track of its chosen pair; the others start tracks in `free` slots, ids from next_id.

    Returns the number of births.
    """
    births = 0
    for i in range(plots.shape[0]):
        if taken[i]:
            continue
        plot = plots[i]
        k = chosen[i]
        if k >= 0:
            slot = pair_slot[k]
            if not math.isnan(pair[k, 4]):  # the pair says how fast: start again from the first plot with that
                entry = hist[slot, ring[slot, 1]]
                start_1(
                    mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, time_us[slot],
                    entry[H_ROW:HIST].copy(), pair[k, 4], sites, table, mean_w, cov_w, mode_w, lin,
                )  # fmt: skip
            else:
                nis_sum[0] += pair[k, 2]
                nis_sum[1] += pair[k, 3]
            fuse_1(
                mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, plot.t_us, plot.row[:], sites, table,
                mean_w, cov_w, mode_w, lin,
            )  # fmt: skip
            _mark_1(slot, plots, i, meta, belief, hit_us, look_us, rate, sensor, False, pair[k, 1], rules)
            continue
        slot = free[births]
        births += 1
        start_1(
            mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, plot.t_us, plot.row[:], rules[E_SPEED], sites,
            table, mean_w, cov_w, mode_w, lin,
        )  # fmt: skip
        meta[slot, :] = -1
        meta[slot, ID] = next_id
        next_id += 1
        meta[slot, BIRTH] = plot.t_us
        meta[slot, HITS] = 0
        meta[slot, STATUS] = TENTATIVE
        hit_us[slot, :] = -1
        look_us[slot, :] = plot.t_us
        rate[slot, :, :] = 0.0
        belief[slot, ODDS] = newcomer_1(plot.row[:], sensor)
        belief[slot, UNSEEN] = 0.0
        belief[slot, DECAYED] = newest_s
        belief[slot, FAST] = 0.0 if math.isnan(plot.row[M_VE]) else 1.0
        _mark_1(slot, plots, i, meta, belief, hit_us, look_us, rate, sensor, True, 0.0, rules)
    return births


@njit(
    signature("int64", PLOTS, "float64[::1], boolean[::1]", BANK, ENV, WORK, PER_TRACK, "float64[::1]"),
    cache=True,
    nogil=True,
)
def reopen_1(
    plots: Rec, sensor: F8, wanted: B1,
    mean: F8, cov: F8, mode: F8, time_us: I8, x: F8, p: F8, hist: F8, ring: I8, v_sigma: F8, sites: F8, table: F8,
    mean_w: F8, cov_w: F8, mode_w: F8, lin: F8, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    rules: F8,
) -> int:  # fmt: skip
    """Take back the `wanted` plots of a sensor from their tracks, newest first, so that they can be given out again
    together with plots of the same scan that came later. A track that was nothing else ends. `wanted` becomes false
    where that cannot be done. Returns the number taken back."""
    s = int(sensor[S_INDEX])
    done = 0
    for i in range(plots.shape[0] - 1, -1, -1):
        if not wanted[i]:
            continue
        plot = plots[i]
        slot = plot.slot
        wanted[i] = False
        if slot < 0 or meta[slot, STATUS] < 0 or meta[slot, ID] != plot.id or hit_us[slot, s] != plot.t_us:
            continue
        code = undo_1(
            mean, cov, mode, time_us, x, p, hist, ring, v_sigma, slot, plot.t_us, plot.row[:], sites, table,
            mean_w, cov_w, mode_w, lin,
        )  # fmt: skip
        if code == 0 or (code == 2 and meta[slot, STATUS] != TENTATIVE):  # a published track must not just vanish
            continue
        wanted[i] = True
        done += 1
        if code == 2:
            meta[slot, :] = -1
            continue
        belief[slot, ODDS] -= plot.gain
        meta[slot, HITS] -= 1
        hit_us[slot, s] = plot.hit_us
        rate[slot, s, 0] = max(rate[slot, s, 0] - 1.0, 0.0) / rules[E_FORGET]
        rate[slot, s, 1] /= rules[E_FORGET]
    return done


@njit(
    f"int64(int64[::1], int64, int64, int64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1], {PER_TRACK}, "
    "int64[::1], float64[:, ::1], float64[:, :, ::1], float64[::1], int64[::1], int64[::1])",
    cache=True,
    nogil=True,
)
def look_1(
    live: I8, newest_us: int, rx_us: int, sensor_us: I8, sensors: F8, coverage: F8, sites: F8,
    meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8,
    time_us: I8, x: F8, p: F8, rules: F8, ended: I8, missed: I8,
) -> int:  # fmt: skip
    """Count expected looks that gave nothing, let existence decay, set status. Fills `ended` with dying slots.

    `sensors` (n, 4): period_us, patience_us (jitter and latency before a look counts as missed), radar, clutter.
    """
    dying = 0
    for m in range(live.shape[0]):
        slot = live[m]
        covered = 0.0
        fresh = False
        due_now = False
        for s in range(sensor_us.shape[0]):
            period = np.int64(sensors[s, 0])
            if hit_us[slot, s] >= 0 and newest_us - hit_us[slot, s] < rules[E_COAST] * period + sensors[s, 1]:
                fresh = True
            while look_us[slot, s] + period + np.int64(sensors[s, 1]) <= sensor_us[s]:
                look_us[slot, s] += period
                if coverage[s, 0] == 0.0:
                    look_us[slot, s] = max(look_us[slot, s], sensor_us[s] - period)
                    continue
                due_now = True
                dt_s = (look_us[slot, s] - time_us[slot]) * 1e-6
                seen = detection_probability_1(
                    coverage[s], sites[s],
                    x[slot, 0] + dt_s * x[slot, 3], x[slot, 1] + dt_s * x[slot, 4], x[slot, 2] + dt_s * x[slot, 5],
                )  # fmt: skip
                if seen <= 0.0:
                    continue
                if sensors[s, 2] > 0.0 and meta[slot, CLAIM] >= 0:
                    belief[slot, UNSEEN] += math.log1p(-min(0.95 * seen, 0.95))
                mine = seen * (rate[slot, s, 0] + 1.0) / (rate[slot, s, 0] + rate[slot, s, 1] + 1.0)
                covered = max(covered, mine)
                belief[slot, ODDS] += math.log1p(-min(mine, 0.98))
                rate[slot, s, 1] = rate[slot, s, 1] * rules[E_FORGET] + seen
                rate[slot, s, 0] *= rules[E_FORGET]
                if hit_us[slot, s] >= 0:
                    missed[s] += 1
        dt_s = newest_us * 1e-6 - belief[slot, DECAYED]
        if dt_s > 0.0:
            odds = belief[slot, ODDS]
            lives = math.exp(log_probability_1(odds) - dt_s / rules[E_SURVIVE_S])
            belief[slot, ODDS] = math.log(max(lives, 1e-12) / max(1.0 - lives, 1e-12))
            belief[slot, DECAYED] = newest_us * 1e-6
        confirmed = meta[slot, STATUS] != TENTATIVE
        if confirmed:
            meta[slot, STATUS] = CONFIRMED_NOW if fresh else COASTING
        age_s = (newest_us - meta[slot, UPDATE]) * 1e-6
        limit = rules[E_DELETE] if confirmed else rules[E_DELETE_NEW]
        dead = belief[slot, ODDS] < limit
        if due_now or age_s > 20.0:
            wide = p[slot, 0, 0] + p[slot, 1, 1] + p[slot, 2, 2]
            wide += age_s * age_s * (p[slot, 3, 3] + p[slot, 4, 4] + p[slot, 5, 5])
            dead = dead or (confirmed and age_s > 5.0 and wide > rules[E_SIGMA] * rules[E_SIGMA])
        if not confirmed and age_s > 40.0:
            dead = True
        if confirmed and age_s > rules[E_CLAIM_S] and meta[slot, CLAIM] == meta[slot, UPDATE]:
            dead = True
        if dead:
            ended[dying] = slot
            dying += 1
    return dying


@njit("float64(float64[::1], float64[::1], float64[:, ::1], float64[:, ::1], int64)", cache=True, nogil=True)
def distance_1(xa: F8, xb: F8, pa: F8, pb: F8, o: int) -> float:
    """Squared Mahalanobis distance of two states' places (o = 0) or velocities (o = 3)."""
    a = pa[o, o] + pb[o, o]
    b = pa[o, o + 1] + pb[o, o + 1]
    c = pa[o, o + 2] + pb[o, o + 2]
    d = pa[o + 1, o + 1] + pb[o + 1, o + 1]
    e = pa[o + 1, o + 2] + pb[o + 1, o + 2]
    f = pa[o + 2, o + 2] + pb[o + 2, o + 2]
    dx = xa[o] - xb[o]
    dy = xa[o + 1] - xb[o + 1]
    dz = xa[o + 2] - xb[o + 2]
    ca = d * f - e * e
    cb = c * e - b * f
    cc = b * e - c * d
    det = a * ca + b * cb + c * cc
    if det <= 0.0:
        return math.inf
    cd = a * f - c * c
    ce = b * c - a * e
    cf = a * d - b * b
    square = dx * dx * ca + dy * dy * cd + dz * dz * cf + 2.0 * (dx * dy * cb + dx * dz * cc + dy * dz * ce)
    return float(square / det)


@njit(
    "int64(int64[::1], float64[:, ::1], float64[:, :, ::1], int64[:, ::1], int64[:, ::1], float64[:, ::1], "
    "float64, float64, int64[:, ::1])",
    cache=True,
    nogil=True,
)
def twins_1(live: I8, x: F8, p: F8, meta: I8, hit_us: I8, sensors: F8, near_m: float, gate: float, pairs: I8) -> int:
    """Pairs (keep, drop) of tracks that are one object: close in place and velocity, and never seen apart.

    `x`, `p` (m, ..) are the tracks of `live` at one common time. Two tracks that the same radar saw in the same scan
    are two objects; so are two live addresses.
    """
    m = live.shape[0]
    order = np.argsort(x[:, 0], kind="mergesort")
    gone = np.zeros(m, np.bool_)
    count = 0
    for ia in range(m):
        a = order[ia]
        if gone[a]:
            continue
        for ib in range(ia + 1, m):
            b = order[ib]
            if x[b, 0] - x[a, 0] > near_m or gone[a]:
                break
            if gone[b] or abs(x[b, 1] - x[a, 1]) > near_m or abs(x[b, 2] - x[a, 2]) > near_m:
                continue
            sa = live[a]
            sb = live[b]
            if meta[sa, STATUS] == TENTATIVE or meta[sb, STATUS] == TENTATIVE:
                continue
            if meta[sa, ADDRESS] >= 0 and meta[sb, ADDRESS] >= 0 and meta[sa, ADDRESS] != meta[sb, ADDRESS]:
                continue
            if meta[sa, MODE3A] >= 0 and meta[sb, MODE3A] >= 0 and meta[sa, MODE3A] != meta[sb, MODE3A]:
                continue
            apart = False
            for s in range(hit_us.shape[1]):
                if sensors[s, 2] > 0.0 and hit_us[sa, s] >= 0 and hit_us[sb, s] >= 0:
                    apart = apart or abs(hit_us[sa, s] - hit_us[sb, s]) < 0.5 * sensors[s, 0]
            if apart:
                continue
            if distance_1(x[a], x[b], p[a], p[b], 0) > gate or distance_1(x[a], x[b], p[a], p[b], 3) > gate:
                continue
            older = meta[sa, ID] < meta[sb, ID]
            pairs[count, 0] = sa if older else sb
            pairs[count, 1] = sb if older else sa
            count += 1
            gone[a] = True
            gone[b] = True
    return count
