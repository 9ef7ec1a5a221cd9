"""The compiled part of `fusion/claims/history.py`: what is remembered of a claimed identity, and what one more claim
does.

A claim is a position that an aircraft or a drone reports of itself. One row of the book belongs to one identity (24-bit
address, or Remote ID serial). It has room for two places, because one address can be alive at two. A claim goes to the
place it can have been flown to from, and opens the other one when there is none. Everything a verdict rests on is kept
per place, so that of two users of one address only the one that radar does not see loses it.

Tolerances are sums of what is known to be wrong with honest claims: declared accuracy, time stamps that are up to two
seconds off (a receiver stamps arrival, not validity; ED-129B allows 0.2 to 1.5 s of latency), and manoeuvres.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.geo import ecef_1, polar_1
from fusion.schema import F8, I8

EMPTY = -1
SECOND = 1_000_000

# Columns of one claim as it comes in: floats (n, IN_F) and integers (n, IN_I).
C_LAT, C_LON, C_SIGMA, C_PRESSURE, C_HEIGHT, C_VE, C_VN, C_VU, C_SIGMA_V = range(9)
IN_F = 9
C_CATEGORY, C_GROUND, C_QUALITY = range(3)
IN_I = 3

# Columns of a place, floats (rows, 2, PLACE_F). R_* is the start of a window, D_* the way since by the velocities.
LAT, LON, VE, VN, SIGMA, PRESSURE, HEIGHT, R_LAT, R_LON, R_SIGMA, D_EAST, D_NORTH, D_TOLERANCE, HARD = range(14)
PLACE_F = 14
# Integers (rows, 2, PLACE_I). T newest time, BORN, COUNT since the place opened, WINDOW its start, STRIKES windows
# in a row that did not fit, HARD_US time of HARD, REASON and BAD_US the verdict and when it last held, SEEN_US when
# radar last agreed, MISSED its disagreements in a row.
T, BORN, COUNT, WINDOW, STRIKES, HARD_US, REASON, BAD_US, SEEN_US, MISSED = range(10)
PLACE_I = 10
# Columns of an identity, integers (rows, KEY_I). LOW_US since when its NIC or NACp is down, JUMP_US when it jumped,
# SOURCE.. the earlier path it repeats; VETTED_US when radar had agreed with it for long enough.
FIRST, LAST, MAIN, LATEST, TURNS, TURN_US, LOW_US, JUMP_US, SOURCE, SHIFT_US, MATCHES, MATCH_US, MATCHED, VETTED_US = (
    range(14)
)
KEY_I = 14

# Reasons; fusion.integrity.Reason has the words.
DUPLICATE, IMPOSSIBLE, OFFSET, JUMP, VELOCITY, FROZEN, REPLAY = 2, 3, 4, 5, 6, 7, 8

STAMP_S = 2.0  # time stamps of honest claims are right within this
FLOOR_M = 600.0  # CPR and rounding, and what no one needs to know of
SIGMA_MOST_M = 2_000.0  # a claim that declares less accuracy than this buys no more tolerance by it
TURN_MPS2 = 15.0  # hard manoeuvre of anything civil: 1.5 g
UNKNOWN_MPS = 300.0  # speed of what reports none
GAP_S = 15.0  # a longer silence says nothing about the way flown in it
RESTART_S = 60.0  # a place silent for longer starts anew
WINDOW_S, WINDOW_MOST_S = 8.0, 30.0  # shortest way that is compared with its velocities, and longest
STRIKES_MOST = 2  # windows in a row that must not fit: one may straddle a bad decode
WAY_SHARE = 0.15  # of the way: ground speed is rounded to a knot and sampled
FROZEN_M = 5.0  # not moved: one step of CPR
TURNS_LEAST = 4  # changes between two places, each within TURN_S of the one before: one bad decode makes two
TURN_S = 20.0
HARD_MOST = 4.0  # impossible claims, less HARD_FADES a second: one bad decode makes two
HARD_FADES_HZ = 0.1
QUALITY_GOOD, QUALITY_LOW = 6, 3  # NIC, NACp: 0.3-0.5 NM and better; 1-8 NM and worse, or unknown
QUALITY_MEMORY_S = 60.0
MATCHES_LEAST = (
    3  # equal positions with one and the same shift: chance makes one in 10^7 (docs/explanation/integrity.md)
)
SHIFT_LEAST_S, SHIFT_SLACK_S = 30.0, 2.0
MATCH_LIVE_S = 120.0
MOVING_MPS = 5.0  # what stands sends one position for ever
EARTH_M = 6_371_008.8


@njit("uint64(uint64)", cache=True, nogil=True)
def mix_1(value: np.uint64) -> np.uint64:
    """Finaliser of splitmix64 (Steele, Lea and Flood 2014): every bit of the input moves every bit of the output."""
    x = np.uint64(value)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit("int64(int64[::1], int64)", cache=True, nogil=True)
def find_1(keys: I8, key: int) -> int:
    """Row of a key, or -1 less the free row where it would stand. There is always a free one."""
    mask = keys.shape[0] - 1
    at = np.int64(mix_1(np.uint64(key)) & np.uint64(mask))
    while keys[at] != key:
        if keys[at] == EMPTY:
            return -1 - int(at)
        at = (at + 1) & mask
    return int(at)


@njit("UniTuple(float64, 2)(float64, float64, float64, float64)", cache=True, nogil=True)
def offset_1(lat: float, lon: float, to_lat: float, to_lon: float) -> tuple[float, float]:
    """Metres east and north from one place to another nearby, on a sphere: right to 0.3 %."""
    turn = (to_lon - lon + math.pi) % (2.0 * math.pi) - math.pi
    return EARTH_M * turn * math.cos(0.5 * (lat + to_lat)), EARTH_M * (to_lat - lat)


@njit("float64(float64[::1], int64[::1], float64[::1], int64)", cache=True, nogil=True)
def misfit_1(f: F8, i: I8, claim: F8, t_us: int) -> float:
    """How far a claim is from where it could have been flown to from a place, in tolerances: at most 1 fits."""
    dt_s = (t_us - i[T]) / SECOND
    east, north = offset_1(f[LAT], f[LON], claim[C_LAT], claim[C_LON])
    before, now = not math.isnan(f[VE]), not math.isnan(claim[C_VE])
    ve = 0.5 * (f[VE] + claim[C_VE]) if before and now else (f[VE] if before else claim[C_VE])
    vn = 0.5 * (f[VN] + claim[C_VN]) if before and now else (f[VN] if before else claim[C_VN])
    tolerance = FLOOR_M + 4.0 * (min(f[SIGMA], SIGMA_MOST_M) + min(claim[C_SIGMA], SIGMA_MOST_M))
    if math.isnan(ve):
        return float(math.hypot(east, north) / (tolerance + UNKNOWN_MPS * (abs(dt_s) + STAMP_S)))
    speed = math.hypot(ve, vn)
    tolerance += speed * STAMP_S + min(0.5 * TURN_MPS2 * dt_s * dt_s, (2.0 * speed + 50.0) * abs(dt_s))
    return float(math.hypot(east - ve * dt_s, north - vn * dt_s) / tolerance)


@njit("void(float64[::1], int64[::1], float64[::1], int64)", cache=True, nogil=True)
def window_1(f: F8, i: I8, claim: F8, t_us: int) -> None:
    """Start the comparison of way and velocity anew at this claim."""
    i[WINDOW] = t_us
    f[R_LAT] = claim[C_LAT]
    f[R_LON] = claim[C_LON]
    f[R_SIGMA] = claim[C_SIGMA]
    f[D_EAST] = 0.0
    f[D_NORTH] = 0.0
    f[D_TOLERANCE] = 0.0


@njit("void(float64[::1], int64[::1], float64[::1], int64, float64)", cache=True, nogil=True)
def way_1(f: F8, i: I8, claim: F8, t_us: int, dt_s: float) -> None:
    """Does the way flown since the window began agree with the velocities reported on it?"""
    if dt_s > GAP_S or math.isnan(f[VE]) or math.isnan(claim[C_VE]):
        window_1(f, i, claim, t_us)
        return
    ve = 0.5 * (f[VE] + claim[C_VE])
    vn = 0.5 * (f[VN] + claim[C_VN])
    speed = math.hypot(ve, vn)
    f[D_EAST] += ve * dt_s
    f[D_NORTH] += vn * dt_s
    f[D_TOLERANCE] += min(0.5 * TURN_MPS2 * dt_s * dt_s, 2.0 * speed * dt_s)
    age_s = (t_us - i[WINDOW]) / SECOND
    if age_s < WINDOW_S:
        return
    east, north = offset_1(f[R_LAT], f[R_LON], claim[C_LAT], claim[C_LON])
    wrong_m = math.hypot(east - f[D_EAST], north - f[D_NORTH])
    way_m = math.hypot(f[D_EAST], f[D_NORTH])
    accuracy_m = min(f[R_SIGMA], SIGMA_MOST_M) + min(claim[C_SIGMA], SIGMA_MOST_M)
    if wrong_m > 100.0 + 3.0 * accuracy_m + STAMP_S * speed + WAY_SHARE * way_m + f[D_TOLERANCE]:
        i[STRIKES] += 1
        if i[STRIKES] >= STRIKES_MOST:
            i[REASON] = FROZEN if math.hypot(east, north) < FROZEN_M else VELOCITY
            i[BAD_US] = t_us
        window_1(f, i, claim, t_us)
    elif age_s > WINDOW_MOST_S:
        i[STRIKES] = 0
        window_1(f, i, claim, t_us)


@njit("void(float64[::1], int64[::1], float64[::1], int64, float64, float64[::1])", cache=True, nogil=True)
def motion_1(f: F8, i: I8, claim: F8, t_us: int, dt_s: float, limits: F8) -> None:
    """Count a claim that its kind cannot fly. `limits`: most speed, acceleration, climb, height, and least speed."""
    wrong = abs(claim[C_VU]) > limits[2]  # false for NaN, as are all of these
    speed = math.hypot(claim[C_VE], claim[C_VN])
    wrong = wrong or speed - 3.0 * claim[C_SIGMA_V] > limits[0] or speed + 3.0 * claim[C_SIGMA_V] < limits[4]
    wrong = wrong or claim[C_PRESSURE] > limits[3] or claim[C_HEIGHT] > limits[3]
    if dt_s <= GAP_S:
        change = math.hypot(claim[C_VE] - f[VE], claim[C_VN] - f[VN])
        wrong = wrong or change > 20.0 + 4.0 * claim[C_SIGMA_V] + limits[1] * (dt_s + 0.5 * STAMP_S)
        rise = limits[2] * (dt_s + STAMP_S) + 300.0
        wrong = wrong or abs(claim[C_PRESSURE] - f[PRESSURE]) > rise or abs(claim[C_HEIGHT] - f[HEIGHT]) > rise
    f[HARD] = max(0.0, f[HARD] - HARD_FADES_HZ * (t_us - i[HARD_US]) / SECOND)
    i[HARD_US] = t_us
    if wrong:
        f[HARD] = min(f[HARD] + 1.0, 2.0 * HARD_MOST)
        if f[HARD] >= HARD_MOST:
            i[REASON] = IMPOSSIBLE
            i[BAD_US] = t_us


@njit("void(float64[::1], int64[::1], float64[::1], int64)", cache=True, nogil=True)
def place_1(f: F8, i: I8, claim: F8, t_us: int) -> None:
    """The place is where this claim says."""
    i[T] = t_us
    i[COUNT] += 1
    f[LAT] = claim[C_LAT]
    f[LON] = claim[C_LON]
    f[SIGMA] = claim[C_SIGMA]
    f[VE] = claim[C_VE]
    f[VN] = claim[C_VN]
    f[PRESSURE] = claim[C_PRESSURE]
    f[HEIGHT] = claim[C_HEIGHT]


@njit("void(float64[::1], int64[::1], float64[::1], int64)", cache=True, nogil=True)
def open_1(f: F8, i: I8, claim: F8, t_us: int) -> None:
    """A place that nothing is known of but this claim."""
    f[:] = 0.0
    i[:] = 0
    i[BORN] = t_us
    i[SEEN_US] = EMPTY
    i[HARD_US] = t_us
    place_1(f, i, claim, t_us)
    window_1(f, i, claim, t_us)


@njit("int64(float64[:, ::1], int64[:, ::1], float64[::1], int64)", cache=True, nogil=True)
def choose_1(f: F8, i: I8, claim: F8, t_us: int) -> int:
    """The place a claim belongs to, or -1 less the one that must give way: empty, silent, or the younger."""
    best = -1
    least = 1.0
    for p in range(2):
        if i[p, COUNT] > 0 and t_us - i[p, T] < RESTART_S * SECOND:
            fit = misfit_1(f[p], i[p], claim, t_us)
            if fit <= least:
                best = p
                least = fit
    if best >= 0:
        return best
    for p in range(2):
        if i[p, COUNT] == 0 or t_us - i[p, T] >= RESTART_S * SECOND:
            return -1 - p
    return -1 if i[0, COUNT] < i[1, COUNT] else -2


@njit("void(int64[::1], int64[:, ::1], int64, int64)", cache=True, nogil=True)
def twice_1(k: I8, i: I8, p: int, t_us: int) -> None:
    """Has the identity jumped to place p, or is it alive at both?"""
    if t_us - k[TURN_US] > TURN_S * SECOND:
        k[TURNS] = 0
    if p != k[LATEST]:
        k[LATEST] = p
        k[TURNS] += 1
        k[TURN_US] = t_us
    other = 1 - p
    if i[other, COUNT] == 0 or t_us - i[other, T] > RESTART_S * SECOND:
        k[MAIN] = p
        return
    if k[TURNS] >= TURNS_LEAST and i[0, COUNT] >= 3 and i[1, COUNT] >= 3:
        for q in range(2):
            i[q, REASON] = DUPLICATE
            i[q, BAD_US] = t_us
    elif p != k[MAIN] and i[p, COUNT] >= 3 and i[other, T] < i[p, BORN]:
        k[MAIN] = p
        if i[other, COUNT] >= 3:  # else it was the old place that was decoded wrong
            k[JUMP_US] = t_us
            i[p, REASON] = JUMP
            i[p, BAD_US] = t_us


@njit("void(float64[::1], int64[::1], int64, int64, float64)", cache=True, nogil=True)
def quality_1(base: F8, k: I8, quality: int, t_us: int, dt_s: float) -> None:
    """Follow NIC and NACp (the lower of both): `base` (1,) is what is usual for this aircraft."""
    if quality < 0:
        return
    if base[0] < 0.0:
        base[0] = quality
    fallen = base[0] >= QUALITY_GOOD and quality <= QUALITY_LOW
    if fallen and k[LOW_US] < 0:
        k[LOW_US] = t_us
    if quality > QUALITY_LOW or base[0] < QUALITY_GOOD:
        k[LOW_US] = EMPTY
    if not fallen or t_us - k[LOW_US] > 3_600 * SECOND:  # after an hour it is what is usual
        base[0] += (quality - base[0]) * min(1.0, max(dt_s, 0.0) / QUALITY_MEMORY_S)


@njit("boolean(int64[::1], int64, float64[::1], int64, int64[:, ::1])", cache=True, nogil=True)
def repeat_1(k: I8, key: int, claim: F8, t_us: int, memory: I8) -> bool:
    """Was this very position claimed before, and are several in a row the same time ago?

    `memory` (m, 3): fingerprint of a position, time, key; the newest takes the slot. Which positions are kept follows
    from the position itself (content-defined sampling), so that both flights pick the same ones.
    """
    lat = np.int64(round(claim[C_LAT] * 1e7))
    lon = np.int64(round(claim[C_LON] * 1e7))
    mark = mix_1(np.uint64(np.uint64(lat) * np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(lon)))
    if mark & np.uint64(7) != np.uint64(0) or math.hypot(claim[C_VE], claim[C_VN]) < MOVING_MPS:
        return False
    slot = np.int64((mark >> np.uint64(3)) & np.uint64(memory.shape[0] - 1))
    stored = np.int64(mark >> np.uint64(1))
    if memory[slot, 0] != stored or t_us - memory[slot, 1] < 0:
        memory[slot, 0] = stored
        memory[slot, 1] = t_us
        memory[slot, 2] = key
        return False
    shift_us = t_us - memory[slot, 1]
    if shift_us < SHIFT_LEAST_S * SECOND or stored == k[MATCHED]:
        return False  # a position that is sent again and again is frozen, no path
    k[MATCHED] = stored
    same = memory[slot, 2] == k[SOURCE] and abs(shift_us - k[SHIFT_US]) <= SHIFT_SLACK_S * SECOND
    if same and t_us - k[MATCH_US] <= MATCH_LIVE_S * SECOND:
        k[MATCHES] += 1
    else:
        k[MATCHES] = 1
        k[SHIFT_US] = shift_us
        k[SOURCE] = memory[slot, 2]
    k[MATCH_US] = t_us
    return bool(k[MATCHES] >= MATCHES_LEAST)


@njit(
    "int64(int64[::1], int64[::1], float64[:, ::1], int64[:, ::1], float64[:, ::1], int64, int64[::1], "
    "float64[:, ::1], int64[:, ::1], float64[:, :, ::1], int64[:, :, ::1], int64[:, ::1])",
    cache=True,
    nogil=True,
)
def hear_n(
    key: I8, t_us: I8, number: F8, flag: I8, limits: F8, room: int,
    keys: I8, base: F8, ident: I8, place_f: F8, place_i: I8, memory: I8,
) -> int:  # fmt: skip
    """Take in n claims in order of time. Returns how many new identities were taken up; at most `room`.

    key (n,), t_us (n,), number (n, IN_F), flag (n, IN_I) are the claims; limits (128, 5) by category; the others are
    the book: keys (rows,), base (rows, 1), ident (rows, KEY_I), place_f (rows, 2, PLACE_F), place_i (rows, 2, PLACE_I),
    memory (m, 3).
    """
    added = 0
    for n in range(key.shape[0]):
        r = find_1(keys, key[n])
        if r < 0:
            if added >= room:
                continue
            added += 1
            r = -1 - r
            keys[r] = key[n]
            base[r, 0] = -1.0
            ident[r, :] = EMPTY
            ident[r, TURNS] = 0
            ident[r, FIRST] = t_us[n]
            ident[r, LAST] = t_us[n]
            place_i[r, :, :] = 0
        k = ident[r]
        f = place_f[r]
        i = place_i[r]
        claim = number[n]
        since_s = (t_us[n] - k[LAST]) / SECOND
        k[LAST] = max(k[LAST], t_us[n])
        quality_1(base[r], k, flag[n, C_QUALITY], t_us[n], since_s)
        if flag[n, C_GROUND] == 1:
            continue  # and what is known of it in the air stays as it is
        repeated = repeat_1(k, key[n], claim, t_us[n], memory)
        p = choose_1(f, i, claim, t_us[n])
        if p < 0:
            p = -1 - p
            open_1(f[p], i[p], claim, t_us[n])
            if i[1 - p, COUNT] == 0:
                k[MAIN] = p
                k[LATEST] = p
        else:
            dt_s = (t_us[n] - i[p, T]) / SECOND
            if dt_s <= 0.0:
                continue  # out of order: its place is known to fit, and there is nothing more to learn
            if dt_s > GAP_S:
                i[p, STRIKES] = 0
            way_1(f[p], i[p], claim, t_us[n], dt_s)
            motion_1(f[p], i[p], claim, t_us[n], dt_s, limits[min(max(flag[n, C_CATEGORY], 0), 127)])
            place_1(f[p], i[p], claim, t_us[n])
        twice_1(k, i, p, t_us[n])
        if repeated:
            i[p, REASON] = REPLAY
            i[p, BAD_US] = t_us[n]
    return added


# How far radar may be from an honest claim: registration that is not yet estimated.
BIAS_M = 600.0
BIAS_RAD = math.radians(0.7)
MISSED_MOST = 4  # disagreements in a row of radar replies with this address
TRUST_STEP = 0.05  # of one plot in the share of plots of a radar that agree with claims
TRUST_LEAST = 0.8  # a radar that agrees with fewer claims is itself what is wrong


@njit(
    "void(int64[::1], int64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], "
    "int64[::1], float64[:, :, ::1], int64[:, :, ::1])",
    cache=True,
    nogil=True,
)
def reply_n(key: I8, t_us: I8, number: F8, site: F8, sigma: F8, trust: F8, keys: I8, place_f: F8, place_i: I8) -> None:
    """Compare n Mode S replies of one radar with what the same addresses claim.

    number (n, 3): slant range, azimuth, height above the ellipsoid (NaN: that of the claim); sigma (2,) of range and
    azimuth; trust (1,): share of this radar's replies that agree with claims, updated here.
    """
    for n in range(key.shape[0]):
        r = find_1(keys, key[n])
        if r < 0:
            continue
        best = -1
        asked = False
        for p in range(2):
            i = place_i[r, p]
            f = place_f[r, p]
            dt_s = (t_us[n] - i[T]) / SECOND
            if i[COUNT] < 2 or abs(dt_s) > GAP_S or math.isnan(f[VE]):
                continue
            asked = True
            height = number[n, 2]
            if math.isnan(height):
                height = f[HEIGHT] if not math.isnan(f[HEIGHT]) else f[PRESSURE]
            if math.isnan(height):
                height = 0.0
            lat = f[LAT] + f[VN] * dt_s / EARTH_M
            lon = f[LON] + f[VE] * dt_s / (EARTH_M * max(math.cos(f[LAT]), 0.01))
            x, y, z = ecef_1(lat, lon, height)
            range_m, azimuth, _ = polar_1(site, x, y, z)
            turn = (number[n, 1] - azimuth + math.pi) % (2.0 * math.pi) - math.pi
            moved = 4.0 * min(f[SIGMA], SIGMA_MOST_M) + STAMP_S * math.hypot(f[VE], f[VN])
            along = abs(number[n, 0] - range_m) / (BIAS_M + 5.0 * sigma[0] + moved)
            across = abs(turn) * range_m / (BIAS_M + (BIAS_RAD + 5.0 * sigma[1]) * range_m + moved)
            if max(along, across) <= 1.0:
                best = p
        if not asked:
            continue
        trust[0] += TRUST_STEP * ((1.0 if best >= 0 else 0.0) - trust[0])
        for p in range(2):
            i = place_i[r, p]
            if p == best:
                i[SEEN_US] = t_us[n]
                i[MISSED] = 0
            elif i[COUNT] >= 2 and trust[0] >= TRUST_LEAST:
                i[MISSED] += 1
                if i[MISSED] >= MISSED_MOST:
                    i[REASON] = OFFSET
                    i[BAD_US] = t_us[n]


@njit("void(int64[::1], int64[::1], int64[::1])", cache=True, nogil=True)
def index_n(keys: I8, wanted: I8, out: I8) -> None:
    """Row of every wanted key (n,) into out (n,); -1 where there is none."""
    for n in range(wanted.shape[0]):
        out[n] = -1
        if wanted[n] >= 0:
            r = find_1(keys, wanted[n])
            if r >= 0:
                out[n] = r


@njit("void(int64[::1], int64[::1], int64[::1])", cache=True, nogil=True)
def rehash_n(keys: I8, wanted: I8, out: I8) -> None:
    """Put the wanted keys (n,), each once, into empty `keys`; their rows into out (n,)."""
    for n in range(wanted.shape[0]):
        r = -1 - find_1(keys, wanted[n])
        keys[r] = wanted[n]
        out[n] = r
