"""How sure we are that a track is an object: hits, misses, decay, status.

Every track carries the log-odds of its existence (integrated PDA: Musicki, Evans and Stankovic 1994). A plot adds the
log of how much likelier it is from this object than from clutter; an expected look of a sensor without one subtracts
by the probability of detection, which coverage gives and the hits and misses of all sensors refine (hits.py): an
object too small for a far radar is not killed by its silence. Sensors are judged by their own newest measured time,
so a sensor that fell silent takes no track with it.

Claims (ADS-B, Remote ID) are evidence of another kind. A track that both feed carries a second account, of what sees it
alone, and is published when that suffices, or when two claims agree: no claim confirms a plot, and no plot a claim. And
a plot counts as seen (`Tracks.radar_us`) only where what sees would have found the object without the claims.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.associate import (
    ADDRESS,
    ARRIVED,
    CATEGORY,
    CLAIM,
    CONFIRMED,
    DECAYED,
    FOUND,
    HEIGHT,
    HINT,
    HITS,
    ID,
    LEVEL,
    LEVEL_US,
    LOOKS,
    MODE3A,
    MODE3A_US,
    NAMES,
    ODDS,
    RADAR,
    SEEN,
    STATUS,
    UNSEEN,
    UPDATE,
    WAKE,
    leave_1,
    log_probability_1,
    wide_1,
)
from fusion.bare import BARE
from fusion.clutter import S_CLAIM, S_CLUTTER, S_INDEX, S_NEW, S_RADAR, S_RANGE, heat_1
from fusion.coverage import C_LN_PD, C_LOOKS, C_PERIOD_US, COVERED, TABLE, best_1, full_1, surely_1, view_1
from fusion.filters.params import M_C, M_H
from fusion.geo import polar_1
from fusion.hits import book_1, expected_1, learn_local_1, weaker_1
from fusion.kernels import ENV, PLOTS, POLAR, SLAB, Rec, T, X, signature
from fusion.schema import B1, F4, F8, I8, TrackStatus
from fusion.screening import SCREEN

TENTATIVE, CONFIRMED_NOW, COASTING = int(TrackStatus.TENTATIVE), int(TrackStatus.CONFIRMED), int(TrackStatus.COASTING)
PER_TRACK = (
    "int64[:, ::1], float64[:, ::1], int64[:, ::1], int64[:, ::1], float64[:, :, ::1], float64[:, ::1]"
    # meta, belief, hit, look, rate (blind, half: see hits.py; Pd expected of the last look, -1 before it), size
)
KNOWN = f"{TABLE}, {SCREEN}, {TABLE}, float32[:, :, ::1]"  # coverage: table, screens, local map; clutter: hot cells
# slab, sites, table, per track, scratch, rules, coverage
CORE = signature("void", "float64[::1]", ENV, PER_TRACK, "float64[::1], float64[::1]", KNOWN).args  # type: ignore[attr-defined]
FRESH_CLAIM_US = 3_000_000  # a claim this young says where the object is
MOSTLY = 0.6  # part of its declared Pd from which a sensor is not blind somewhere
# What radar would see at least of what claims to be of an emitter category (CAT021 I020), m^2: the lower ends of
# replay/objects.py, and of those that say none. What says who it is without a 24-bit address may be a small drone.
LEAST_M2 = np.full(128, 0.5)
LEAST_M2[1:7] = 1.0, 3.0, 10.0, 10.0, 10.0, 1.0
LEAST_M2[10:16] = 3.0, 0.3, 0.1, 0.01, 10.0, 0.5
DRONE_M2 = 0.01
ALIKE = 2  # plots of one kind, of what sees or of claims, that it takes to publish a track
OFTEN = (
    0.5  # a radar that sees fewer looks at such an object contradicts nobody: where its edge lies is known no better
)
PROVEN_HITS = 5  # of radar, before a claimed track may teach where a radar is blind: a ghost must not
FEW = 2  # plots of a published track that may still be two false ones
SLOW_MPS = 100.0  # drones and most of what flies low; airliners and jets are faster
SILENT_PERIODS = 4.0  # of a receiver that hears others: reports get lost singly, not four in a row
DECAY_EVERY_S = 0.5  # existence fades in steps of this at least: over its mean life of minutes nobody can tell
# A track is looked at when something is due of it (WAKE), not every tick. A sensor that is behind the newest by less
# than LAG_MOST_US is taken to stay so; one further behind is asked again after that.
LAG_MOST_US = 250_000.0
REST_MOST_US = 2_500_000.0  # nothing is left alone for longer
OLD_S, OLD_NEW_S = 20.0, 40.0  # a track that is silent for so long is looked at closely, and ends where it is tentative

# Numbers of existence as one row for compiled code; TrackerParams holds them with their reasons.
(
    E_CONFIRM, E_DELETE, E_DELETE_NEW, E_MOST, E_GAIN, E_SURVIVE_S, E_COAST, E_SIGMA, E_SPEED, E_CLAIM_S, E_DELETE_FEW,
    E_SILENT,
) = range(12)  # fmt: skip


@njit("float64(float64, float64, float64)", cache=True, nogil=True, **BARE)
def decayed_1(odds: float, dt_s: float, survive_s: float) -> float:
    """Log-odds of existence after dt_s in which the object may have left."""
    lives = math.exp(log_probability_1(odds) - dt_s / survive_s)
    return math.log(max(lives, 1e-12) / max(1.0 - lives, 1e-12))


@njit("void(int64, float64[:, ::1], boolean, float64, float64)", cache=True, nogil=True, **BARE)
def decay_1(slot: int, belief: F8, claimed: bool, t_s: float, survive_s: float) -> None:
    """Let the existence of a track fade up to a measured time, where it is behind by a step or more."""
    dt_s = t_s - belief[slot, DECAYED]
    if dt_s > DECAY_EVERY_S:
        belief[slot, ODDS] = decayed_1(belief[slot, ODDS], dt_s, survive_s)
        if claimed:
            belief[slot, SEEN] = decayed_1(belief[slot, SEEN], dt_s, survive_s)
        belief[slot, DECAYED] = t_s


@njit(
    signature("float64", "int64, int64", PER_TRACK, "float64[:, ::1]", KNOWN, "float64, float64, float64, boolean"),
    cache=True,
    nogil=True,
    **BARE,
)
def settle_look_1(
    slot: int, s: int, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8, size: F8, sites: F8, cover: F8,
    screens: F4, local: F8, hot: F4, x: float, y: float, z: float, hit: bool,
) -> float:  # fmt: skip
    """Book one look of sensor s at a track at an ECEF place: what it teaches of size, record and local map.

    Returns the Pd there of the least that claims to be of its kind (LEAST_M2), 0 where the look could see nothing: as
    declared, unless the sensor is known to be mostly blind there. What claims to be there must not gain by the chance
    misses of others, and what radar hardly sees at that range is not contradicted by its silence.
    """
    clear, margin, cell = view_1(cover, sites, screens, s, x, y, z)
    if clear <= 0.0:
        return 0.0
    full = full_1(clear, local[s], cell)
    ln_pd = cover[s, C_LN_PD]
    if meta[slot, CLAIM] >= 0 and meta[slot, UPDATE] - meta[slot, CLAIM] < FRESH_CLAIM_US:
        seen = 0
        for other in range(hit_us.shape[1]):
            seen += 1 if cover[other, C_LOOKS] > 0.0 and hit_us[slot, other] >= 0 else 0
        if seen > 0 and meta[slot, HITS] > PROVEN_HITS:
            learn_local_1(local[s], cell, expected_1(clear, margin, ln_pd, size[slot]), hit)
    rate[slot, s, 2] = book_1(full, margin, ln_pd, size[slot], rate[slot, s], hit)
    least_m2 = LEAST_M2[meta[slot, CATEGORY] & 127] if meta[slot, ADDRESS] >= 0 else DRONE_M2
    return float((clear if full > MOSTLY * clear else full) * weaker_1(margin * least_m2, ln_pd))


@njit(
    "float64(int64, int64, int64[:, ::1], int64[:, ::1], float64[:, :, ::1], float64[:, ::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def missed_1(slot: int, since_us: int, hit_us: I8, look_us: I8, rate: F8, cover: F8) -> float:
    """Log-odds of existence that looks younger than since_us cost a track: 0 when plots come in order."""
    lost = 0.0
    for s in range(hit_us.shape[1]):
        if cover[s, C_LOOKS] > 0.0 and rate[slot, s, 2] > 0.0:
            after_us = max(since_us, hit_us[slot, s])
            looks = int((look_us[slot, s] - after_us) / cover[s, C_PERIOD_US] + 0.5)
            if looks > 0:
                lost += looks * math.log1p(-rate[slot, s, 2])
    return lost


@njit("float64(float64, float64, float64, float64[::1])", cache=True, nogil=True, **BARE)
def raised_1(odds: float, gain: float, missed: float, rules: F8) -> float:
    """Log-odds after a plot, which are never surer than that the object was there at the plot's own time."""
    return float(min(odds + min(gain, rules[E_GAIN]), max(rules[E_MOST] + missed, odds)))


@njit(
    "float64(int64, boolean, boolean, float64, float64, float64[::1], int64[:, ::1], float64[:, ::1], float64[::1])",
    cache=True, nogil=True, **BARE,
)  # fmt: skip
def account_1(
    slot: int, claimed: bool, claim: bool, gain: float, missed: float, sensor: F8, meta: I8, belief: F8, rules: F8
) -> float:  # fmt: skip
    """Book a plot, a claim or not, with what is seen of a track; returns what that gains.

    Until a track is `claimed` all is seen, and SEEN stands for nothing. What sees a track of claims for the first time,
    or again after it should have ended had nobody claimed it, is where a track would begin, wherever it is claimed to
    be: the claim is no witness for it.
    """
    if not claimed:
        belief[slot, SEEN] = belief[slot, ODDS]  # before this plot
    if claim:
        return 0.0
    meta[slot, LOOKS] += 1
    before = belief[slot, SEEN]
    if claimed and (meta[slot, LOOKS] == 1 or before < rules[E_DELETE_NEW]):
        belief[slot, SEEN] = min(math.log(sensor[S_NEW] / max(sensor[S_CLUTTER], 1e-9)), 0.0)
    else:
        belief[slot, SEEN] = raised_1(before, gain, missed, rules)
    return float(belief[slot, SEEN] - before)


@njit("boolean(int64, boolean, int64[:, ::1], float64[:, ::1], float64[::1])", cache=True, nogil=True, **BARE)
def seen_so_1(slot: int, claimed: bool, meta: I8, belief: F8, rules: F8) -> bool:
    """Would this track be published without any claim?"""
    odds = belief[slot, SEEN] if claimed else belief[slot, ODDS]
    least = rules[E_DELETE] if meta[slot, FOUND] == 1 else rules[E_CONFIRM]
    return bool(meta[slot, LOOKS] >= ALIKE and odds >= least)


@njit(
    signature(
        "void",
        "int64",
        PLOTS,
        "int64",
        PER_TRACK,
        "float64[::1], boolean, float64, float64[::1], float64[:, ::1]",
        KNOWN,
    ),
    cache=True,
    nogil=True,
    **BARE,
)
def mark_1(
    slot: int, plots: Rec, i: int, meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8, size: F8, sensor: F8,
    born: bool, gain: float, rules: F8, sites: F8, cover: F8, screens: F4, local: F8, hot: F4,
) -> None:  # fmt: skip
    """Book plot i on a track, and on the plot where it went."""
    plot = plots[i]
    t_us = plot.t_us
    s = int(sensor[S_INDEX])
    claim = sensor[S_CLAIM] > 0.0
    claimed = meta[slot, CLAIM] >= 0
    belief[slot, WAKE] = 0.0
    meta[slot, UPDATE] = max(meta[slot, UPDATE], t_us)
    meta[slot, ARRIVED] = max(meta[slot, ARRIVED], plot.rx_us)
    meta[slot, HITS] += 1
    plots[i].hit_us = hit_us[slot, s]
    hit_us[slot, s] = max(hit_us[slot, s], t_us)
    look_us[slot, s] = max(look_us[slot, s], t_us)
    if cover[s, C_LOOKS] > 0.0 and plots[i].booked == 0:
        place = plots[i].place
        settle_look_1(
            slot, s, meta, belief, hit_us, look_us, rate, size, sites, cover, screens, local, hot, place[0], place[1],
            place[2], True,
        )  # fmt: skip
        plots[i].booked = 1
    if claim:
        meta[slot, CLAIM] = max(meta[slot, CLAIM], t_us)
        if plot.address >= 0:
            meta[slot, ADDRESS] = plot.address
    if plot.mode3a >= 0:
        meta[slot, MODE3A] = plot.mode3a
        meta[slot, MODE3A_US] = max(meta[slot, MODE3A_US], t_us)
    if plot.category >= 0:
        meta[slot, CATEGORY] = plot.category
    if not math.isnan(plot.pressure_m) and t_us > meta[slot, LEVEL_US]:  # a late one is not the last
        meta[slot, LEVEL_US] = t_us
        belief[slot, LEVEL] = plot.pressure_m
    row = plot.row
    if not math.isnan(row[M_C]) or (plot.kind == POLAR and not math.isnan(row[M_H])):
        meta[slot, HEIGHT] = max(meta[slot, HEIGHT], t_us)
    plots[i].slot = slot
    plots[i].id = meta[slot, ID]
    plots[i].gain = 0.0
    missed = 0.0
    before = belief[slot, ODDS]
    if not born:
        # A late plot does not undo the misses after it: nothing is surer than that it was there at its own time.
        decay_1(slot, belief, claimed, t_us * 1e-6, rules[E_SURVIVE_S])
        missed = missed_1(slot, meta[slot, UPDATE], hit_us, look_us, rate, cover)
        before = belief[slot, ODDS]
    plots[i].seen = account_1(slot, claimed, claim, 0.0 if born else gain, missed, sensor, meta, belief, rules)
    if not born:
        belief[slot, ODDS] = raised_1(before, gain, missed, rules)
        plots[i].gain = belief[slot, ODDS] - before
    found = seen_so_1(slot, claimed or claim, meta, belief, rules)
    if found and meta[slot, FOUND] == 0:
        meta[slot, FOUND] = 1
    if claim and not claimed and not found:
        meta[slot, RADAR] = -1  # of a plot or two that may be false
    if sensor[S_RADAR] > 0.0:
        if found or not claimed:
            meta[slot, RADAR] = max(meta[slot, RADAR], t_us)
            belief[slot, UNSEEN] = 0.0
        else:
            belief[slot, UNSEEN] = min(belief[slot, UNSEEN] + max(min(gain, rules[E_GAIN]), 0.0), 0.0)
    said = meta[slot, HITS] - meta[slot, LOOKS] >= ALIKE
    if meta[slot, STATUS] != TENTATIVE:
        meta[slot, STATUS] = CONFIRMED_NOW
    elif found or said:
        meta[slot, STATUS] = CONFIRMED_NOW
        meta[slot, CONFIRMED] = plot.rx_us


@njit("float64(float64)", cache=True, nogil=True, **BARE)
def silence_1(seen: float) -> float:
    """Log-probability of a look that missed what claims to be there, which `seen` of such looks would see."""
    return math.log1p(-min(0.95 * seen, 0.95)) if seen >= OFTEN else 0.0


@njit("boolean(float64[::1], int64)", cache=True, nogil=True, **BARE)
def slow_1(slab: F8, o: int) -> bool:
    """Is a track slower than SLOW_MPS, by its mean?"""
    vx, vy, vz = slab[o + X + 3], slab[o + X + 4], slab[o + X + 5]
    return bool(vx * vx + vy * vy + vz * vz < SLOW_MPS * SLOW_MPS)


@njit("boolean(int64, float64[::1], int64[:, ::1], int64[:, ::1], float64[:, ::1], int64[::1])",
      cache=True, nogil=True, **BARE)  # fmt: skip
def silent_1(slot: int, slab: F8, meta: I8, hit_us: I8, sensors: F8, sensor_us: I8) -> bool:
    """Has a track fallen silent, though its receiver hears others, and nothing come of it since? Not of a slow one that
    radar had found: what somebody says and unsays must not end it."""
    if meta[slot, FOUND] == 1 and slow_1(slab, slot * SLAB):
        return False
    for s in range(sensor_us.shape[0]):
        if sensors[s, 3] > 0.0 and hit_us[slot, s] == meta[slot, CLAIM]:
            gone_us = hit_us[slot, s] + SILENT_PERIODS * sensors[s, 0]
            return bool(sensor_us[s] > gone_us and meta[slot, UPDATE] <= gone_us)
    return False


@njit("void(int64, float64, boolean, float64, float64[:, ::1])", cache=True, nogil=True, **BARE)
def unseen_1(slot: int, expected: float, claimed: bool, most: float, belief: F8) -> None:
    """A look that would have seen a track with probability `expected` did not; `most`: log-odds that it had at most."""
    belief[slot, ODDS] = min(belief[slot, ODDS], most) + math.log1p(-expected)
    if claimed:
        belief[slot, SEEN] += math.log1p(-expected)


@njit("boolean(int64, float64[::1], int64, boolean, int64[:, ::1], float64[:, ::1], float64[::1])",
      cache=True, nogil=True, **BARE)  # fmt: skip
def dead_1(slot: int, slab: F8, newest_us: int, due_now: bool, meta: I8, belief: F8, rules: F8) -> bool:
    """Does this track end: unlikely, too wide, forgotten, or of claims that fell silent?"""
    confirmed = meta[slot, STATUS] != TENTATIVE
    age_s = (newest_us - meta[slot, UPDATE]) * 1e-6
    least = rules[E_DELETE_FEW] if meta[slot, HITS] <= FEW else rules[E_DELETE]
    if belief[slot, ODDS] < (least if confirmed else rules[E_DELETE_NEW]):
        return True
    if not confirmed:
        return bool(age_s > OLD_NEW_S)
    looked = age_s > 5.0 and (due_now or age_s > OLD_S)
    if looked and wide_1(slab, slot * SLAB, age_s) > rules[E_SIGMA] * rules[E_SIGMA]:
        return True
    silent = age_s > rules[E_CLAIM_S] and meta[slot, CLAIM] == meta[slot, UPDATE]
    return bool(silent and (meta[slot, FOUND] != 1 or not slow_1(slab, slot * SLAB)))


@njit("void(float64[::1], int64, int64[::1], int64, float64[:, ::1], float64[:, ::1], float32[:, :, ::1])",
      cache=True, nogil=True)  # fmt: skip
def nothing_1(slab: F8, o: int, hit_us: I8, hits: int, numbers: F8, sites: F8, hot: F4) -> None:
    """A tentative track came to nothing: its plots were false, where the radar that saw it last saw it."""
    s = int(np.argmax(hit_us))
    if numbers[s, S_RADAR] == 0.0:
        return
    range_m, azimuth, _ = polar_1(sites[s], slab[o + X], slab[o + X + 1], slab[o + X + 2])
    if range_m < numbers[s, S_RANGE]:
        heat_1(hot, numbers[s], range_m, azimuth, float(hit_us[s]), float(hits))


@njit(
    f"boolean(float64[::1], int64, int64, {TABLE}, {KNOWN}, float64[::1], {TABLE})",
    cache=True,
    nogil=True,
    **BARE,
)
def in_view_1(
    slab: F8, o: int, now_us: int, sites: F8, cover: F8, screens: F4, local: F8, hot: F4, size: F8, records: F8
) -> bool:
    """Would any sensor that looks by itself see the object where it should be now?"""
    dt_s = (now_us - slab[o + T]) * 1e-6
    x = slab[o + X] + dt_s * slab[o + X + 3]
    y = slab[o + X + 1] + dt_s * slab[o + X + 4]
    z = slab[o + X + 2] + dt_s * slab[o + X + 5]
    return bool(best_1(cover, sites, screens, local, x, y, z, size, records) > COVERED)


@njit(
    "float64(int64, int64[:, ::1], int64[:, ::1], int64[:, ::1], float64[:, ::1], float64[:, ::1], float64[::1], "
    "float64, int64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def wake_1(
    slot: int, meta: I8, hit_us: I8, look_us: I8, sensors: F8, cover: F8, rules: F8, newest_us: float, sensor_us: I8
) -> float:
    """The newest measured time before which nothing is due of a track that gets no plot: no look of any sensor, no
    change from confirmed to coasting, no limit of age."""
    wake = newest_us + REST_MOST_US
    update = float(meta[slot, UPDATE])
    stale = 0.0
    for s in range(sensor_us.shape[0]):
        if cover[s, C_LOOKS] > 0.0:
            due = look_us[slot, s] + sensors[s, 0] + sensors[s, 1]
            wake = min(wake, max(due, newest_us) + min(newest_us - sensor_us[s], LAG_MOST_US))
        if hit_us[slot, s] >= 0:
            stale = max(stale, hit_us[slot, s] + rules[E_COAST] * sensors[s, 0] + sensors[s, 1])
    if meta[slot, STATUS] == TENTATIVE:
        return min(wake, update + OLD_NEW_S * 1e6)
    if meta[slot, STATUS] == CONFIRMED_NOW:
        wake = min(wake, stale)
    if newest_us - update > OLD_S * 1e6:
        return min(wake, newest_us + DECAY_EVERY_S * 1e6)
    if meta[slot, CLAIM] == meta[slot, UPDATE]:
        wake = min(wake, update + rules[E_CLAIM_S] * 1e6)
    return min(wake, update + OLD_S * 1e6)


@njit(
    signature(
        "int64", "int64, int64, int64, int64[::1], float64[:, ::1], float64[:, ::1], float64[:, ::1]", KNOWN, PER_TRACK,
        "float64[::1], float64[::1], int64[::1], boolean[::1], int64[:, ::1], int64[::1], int64[:, ::1]",
        "int64[::1], int64[::1], int64[::1]", NAMES,
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def look_1(
    top: int, newest_us: int, rx_us: int, sensor_us: I8, sensors: F8, numbers: F8, sites: F8, cover: F8, screens: F4,
    local: F8, hot: F4,
    meta: I8, belief: F8, hit_us: I8, look_us: I8, rate: F8, size: F8, slab: F8, rules: F8, ended: I8, in_view: B1,
    stats: I8, counts: I8, names: I8, first: I8, after: I8, cell_of: I8, named: I8, namesake: I8,
) -> int:  # fmt: skip
    """Count expected looks that gave nothing, let existence decay, set status, and end tracks below top. Of those that
    were published fills `ended` with the ids and `in_view` with whether a sensor that looks by itself would see the
    object where it should be now; returns their number.

    `sensors` (n, 4): period_us, patience_us (jitter and latency before a look counts as missed), radar, claims.
    """
    dying = 0
    n = sensor_us.shape[0]
    due_us = np.empty(n, np.int64)
    fresh_us = np.empty(n, np.int64)
    for s in range(n):
        due_us[s] = sensor_us[s] - np.int64(sensors[s, 0]) - np.int64(sensors[s, 1])
        fresh_us[s] = newest_us - np.int64(rules[E_COAST] * sensors[s, 0] + sensors[s, 1])
    newest_s = newest_us * 1e-6
    for slot in range(top):
        if belief[slot, WAKE] > newest_us:
            continue
        if meta[slot, STATUS] < 0:
            belief[slot, WAKE] = math.inf  # until a track begins there
            continue
        o = slot * SLAB
        claimed = meta[slot, CLAIM] >= 0
        confirmed = meta[slot, STATUS] != TENTATIVE
        fresh = not confirmed  # of no interest then
        due_now = False
        for s in range(n):
            fresh = fresh or (hit_us[slot, s] >= 0 and hit_us[slot, s] > fresh_us[s])
            if cover[s, C_LOOKS] == 0.0 or look_us[slot, s] > due_us[s]:
                continue
            due_now = True
            period = np.int64(sensors[s, 0])
            while look_us[slot, s] <= due_us[s]:
                look_us[slot, s] += period
                dt_s = (look_us[slot, s] - slab[o + T]) * 1e-6
                x = slab[o + X] + dt_s * slab[o + X + 3]
                y = slab[o + X + 1] + dt_s * slab[o + X + 4]
                z = slab[o + X + 2] + dt_s * slab[o + X + 5]
                seen = settle_look_1(
                    slot, s, meta, belief, hit_us, look_us, rate, size, sites, cover, screens, local, hot,
                    x, y, z, False,
                )  # fmt: skip
                if seen <= 0.0:
                    continue
                if sensors[s, 2] > 0.0 and claimed and look_us[slot, s] <= meta[slot, CLAIM] + FRESH_CLAIM_US:
                    belief[slot, UNSEEN] += silence_1(seen * surely_1(cover, sites, screens, s, x, y, z))
                silent = claimed and silent_1(slot, slab, meta, hit_us, sensors, sensor_us)
                unseen_1(slot, rate[slot, s, 2], claimed, rules[E_SILENT] if silent else math.inf, belief)
                if hit_us[slot, s] >= 0:
                    stats[s, 1] += 1
        decay_1(slot, belief, claimed, newest_s, rules[E_SURVIVE_S])
        if confirmed:
            meta[slot, STATUS] = CONFIRMED_NOW if fresh else COASTING
        dead = dead_1(slot, slab, newest_us, due_now, meta, belief, rules)
        if dead:
            if not confirmed:
                nothing_1(slab, o, hit_us[slot], meta[slot, HITS], numbers, sites, hot)
            else:
                ended[dying] = meta[slot, ID]
                in_view[dying] = in_view_1(
                    slab, o, newest_us, sites, cover, screens, local, hot, size[slot], rate[slot]
                )
                dying += 1
            leave_1(slot, meta, first, after, cell_of, named, namesake)
            meta[slot, :] = -1
            names[slot, :] = 0
            counts[HINT] = min(counts[HINT], slot)
            belief[slot, WAKE] = math.inf
        else:
            belief[slot, WAKE] = wake_1(slot, meta, hit_us, look_us, sensors, cover, rules, float(newest_us), sensor_us)
    return dying
