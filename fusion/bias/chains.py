"""Chains: plots of one radar that follow each other as those of one object would; pairs of the chains of two radars.

For aligning radars to each other (fusion/bias/mutual.py) where nobody says who he is. A chain holds the last plots of
one radar that lie on a nearly straight way; clutter makes no long ones. A plot in a chain of one radar, put beside the
chain of another radar at the plot's own time (between two of its plots, never carried on), is one pair: what the other
measured less what it should have, with how both depend on the biases of both radars.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bias.traffic import HELDS
from fusion.filters.params import M_A, M_B, M_C, M_H, M_SA, M_SB, M_SC, M_SH
from fusion.geo import ecef_from_polar_1, ecef_from_range_height_1, height_1, polar_1, up_1, wrap_pi_1
from fusion.kernels import Rec, signature
from fusion.schema import F8, I8

CHAINS = 256  # of one radar; when full, what fits none is left out until a chain is over
LINKS = 6  # newest plots kept of each
LONG = 3  # plots of a chain before it is compared
SPEED_MPS = 400.0  # of what is followed
BEND_MPS2 = 6.0  # a standard turn of a fast aircraft
APART_PERIODS = 0.5  # two plots of one object are at least so far apart
GONE_PERIODS = 2.5  # a chain is over when it got nothing for so long
ALONE_PERIODS = 1.5  # and one of a single plot sooner, but not before its object must have been seen again
SIGMAS = 4.0
WINDOW_M = 12_000.0  # two chains further apart are not compared: 0.5 degrees twice at 300 km, and height
DRIFT_MPS = 15.0  # difference of velocities that the two radars' different planes may make
HEIGHT_M, SIGMA_HEIGHT_M = 5_000.0, 3_000.0  # of an object of which nobody measures it
LEAST_RANGE_M = 5_000.0  # nearer to a radar height is all
BINS = 64  # of azimuth, in which chains are looked up

# One link: time (us, exact in float64), range, azimuth, their variances, place in the radar's own slant plane (east,
# north), height above the ellipsoid and its variance (NaN: nobody measured it).
L_T, L_R, L_AZ, L_VR, L_VAZ, L_E, L_N, L_H, L_VH = range(9)
LINK = 9
# Of one chain: plots so far (0: free), where the newest link stands, its number, address and code (-1 none).
H_COUNT, H_NEWEST, H_NUMBER, H_ADDRESS, H_CODE = range(5)
HEAD = 5

# One pair of plot and chain: time; radar of the plot and of the chain; which two chains; the chain of the plot; range
# and azimuth, measured less expected; how these two depend on range and azimuth bias of the radar of the plot; their
# covariance; how they depend on the height of the object, and its variance.
Q_T, Q_A, Q_B, Q_COUPLE, Q_CHAIN, Q_Y, Q_H, Q_R, Q_G, Q_VH = 0, 1, 2, 3, 4, 5, 7, 11, 14, 16
COUPLE = 17
NUMBERS = 1 << 26  # of chains, of all radars together: two of them make a couple that float64 holds

_L, _H, _V, _M = "float64[:, :, ::1]", "int64[:, ::1]", "float64[::1]", "float64[:, ::1]"


@njit(signature("void", HELDS, f"int64, {_V}, {_V}"), cache=True, nogil=True)
def link_1(plots: Rec, i: int, site: F8, link: F8) -> None:
    """Plot i as a link."""
    row = plots[i].row
    link[L_T], link[L_R], link[L_AZ] = float(plots[i].t_us), row[M_A], row[M_B]
    link[L_VR], link[L_VAZ] = row[M_SA] ** 2, row[M_SB] ** 2
    link[L_E], link[L_N] = row[M_A] * math.sin(row[M_B]), row[M_A] * math.cos(row[M_B])
    link[L_H], link[L_VH] = row[M_H], row[M_SH] ** 2
    if math.isnan(row[M_H]) and not math.isnan(row[M_C]) and not math.isnan(row[M_SC]):
        x, y, z = ecef_from_polar_1(site, row[M_A], row[M_B], row[M_C])
        link[L_H], link[L_VH] = height_1(x, y, z), (row[M_A] * row[M_SC]) ** 2


@njit(f"boolean({_L}, {_H}, int64, float64, {_V})", cache=True, nogil=True)
def ahead_1(links: F8, heads: I8, c: int, t_us: float, out: F8) -> bool:
    """Where chain c should be at a time, in its radar's slant plane, and how far from there it may be along and across
    the line of sight, into out (4,). False where no plot of it can be."""
    new = links[c, heads[c, H_NEWEST]]
    dt = (t_us - new[L_T]) * 1e-6
    kept = min(heads[c, H_COUNT], LINKS)
    across2 = new[L_VAZ] * new[L_R] * new[L_R]
    if kept == 1:
        out[0], out[1] = new[L_E], new[L_N]
        out[2] = SPEED_MPS * dt + SIGMAS * math.sqrt(2.0 * new[L_VR])
        out[3] = SPEED_MPS * dt + SIGMAS * math.sqrt(2.0 * across2)
        return bool(dt > 0.0)
    old = links[c, (heads[c, H_NEWEST] - min(kept, 4) + 1) % LINKS]
    span = (new[L_T] - old[L_T]) * 1e-6
    part = dt / span
    out[0], out[1] = new[L_E] + part * (new[L_E] - old[L_E]), new[L_N] + part * (new[L_N] - old[L_N])
    grown = 1.0 + (1.0 + part) ** 2 + part * part
    bend = 0.5 * BEND_MPS2 * dt * (dt + 0.5 * span)
    out[2] = SIGMAS * math.sqrt(grown * new[L_VR]) + bend
    out[3] = SIGMAS * math.sqrt(grown * across2) + bend
    return bool(dt > 0.0)


@njit(f"int64({_L}, {_H}, float64, float64)", cache=True, nogil=True)
def _room_1(links: F8, heads: I8, over_us: float, alone_us: float) -> int:
    """Where a new chain may stand: a free place, or that of a chain that is over; -1 nowhere. What waits for its second
    plot keeps its place: where clutter fills the table in less than a turn, no chain would ever get one."""
    for c in range(CHAINS):
        if heads[c, H_COUNT] == 0:
            return c
        newest = links[c, heads[c, H_NEWEST], L_T]
        if newest < over_us or (heads[c, H_COUNT] == 1 and newest < alone_us):
            return c
    return -1


@njit(f"void({_L}, {_H}, int64, {_V}, int64, int64)", cache=True, nogil=True)
def _put_1(links: F8, heads: I8, c: int, link: F8, address: int, code: int) -> None:
    """Put a link at the end of chain c."""
    at = (heads[c, H_NEWEST] + 1) % LINKS
    links[c, at] = link
    heads[c, H_NEWEST] = at
    heads[c, H_COUNT] += 1
    heads[c, H_ADDRESS] = max(heads[c, H_ADDRESS], address)
    heads[c, H_CODE] = max(heads[c, H_CODE], code)


@njit(f"void({_L}, {_H}, float64, float64, int64[::1], int64[::1])", cache=True, nogil=True)
def _enter_1(links: F8, heads: I8, t_us: float, over_us: float, first: I8, after: I8) -> None:
    """Enter every chain in all bins of azimuth that its next plot may be in; an entry is chain * 4 + which."""
    first[:] = -1
    at = np.empty(4)
    for c in range(CHAINS):
        if heads[c, H_COUNT] == 0 or links[c, heads[c, H_NEWEST], L_T] < over_us:
            continue
        if not ahead_1(links, heads, c, t_us, at):
            continue
        r = math.hypot(at[0], at[1])
        half = math.atan2(at[3] + SPEED_MPS * 2.0, max(r, LEAST_RANGE_M))
        azimuth = math.atan2(at[0], at[1])
        low = int(math.floor((azimuth - half) * BINS / (2.0 * math.pi)))
        high = int(math.floor((azimuth + half) * BINS / (2.0 * math.pi)))
        for which in range(min(high - low + 1, 4)):
            k = (low + which) % BINS
            after[4 * c + which] = first[k]
            first[k] = 4 * c + which


@njit(signature("int64", HELDS, f"int64[::1], int64, float64, {_V}, int64, {_L}, {_H}, int64[::1]"), cache=True,
      nogil=True)  # fmt: skip
def follow_1(
    plots: Rec, order: I8, most: int, period_us: float, site: F8, number: int, links: F8, heads: I8, left_out: I8
) -> int:  # fmt: skip
    """Put plots of one radar, in order of time, to its chains (CHAINS, LINKS, LINK), heads (CHAINS, HEAD), the nearest
    first; what fits none begins one. Only the first `most` plots are looked at. `number`: of the next chain; the one
    after is returned. `left_out` (1,) grows by the plots that found no chain and no room for one.
    """
    n = min(order.size, most)
    if n == 0:
        return number
    first, after = np.empty(BINS, np.int64), np.empty(4 * CHAINS, np.int64)
    middle_us = float(plots[order[n // 2]].t_us)
    over_us, alone_us = middle_us - GONE_PERIODS * period_us, middle_us - ALONE_PERIODS * period_us
    _enter_1(links, heads, middle_us, over_us, first, after)
    link, at = np.empty(LINK), np.empty(4)
    for j in range(n):
        i = order[j]
        link_1(plots, i, site, link)
        if link[L_R] < LEAST_RANGE_M:
            continue
        sa, ca = math.sin(link[L_AZ]), math.cos(link[L_AZ])
        k = int(math.floor(wrap_pi_1(link[L_AZ]) * BINS / (2.0 * math.pi))) % BINS
        best, mine = 3.0, -1
        entry = first[k]
        while entry >= 0:
            c = entry // 4
            entry = after[entry]
            if link[L_T] - links[c, heads[c, H_NEWEST], L_T] < APART_PERIODS * period_us:
                continue
            if heads[c, H_ADDRESS] >= 0 and plots[i].address >= 0 and heads[c, H_ADDRESS] != plots[i].address:
                continue
            if heads[c, H_CODE] >= 0 and plots[i].mode3a >= 0 and heads[c, H_CODE] != plots[i].mode3a:
                continue
            if not ahead_1(links, heads, c, link[L_T], at):
                continue
            de, dn = link[L_E] - at[0], link[L_N] - at[1]
            along, across = (sa * de + ca * dn) / at[2], (ca * de - sa * dn) / at[3]
            off = along * along + across * across
            if off >= 1.0:
                continue
            if heads[c, H_COUNT] == 1:
                off += 1.0  # what has a way goes before what has none
            if off < best or (off == best and c < mine):
                best, mine = off, c
        if mine < 0:
            mine = _room_1(links, heads, over_us, alone_us)
            if mine < 0:
                left_out[0] += 1
                continue
            heads[mine, H_COUNT], heads[mine, H_NUMBER] = 0, number
            heads[mine, H_ADDRESS] = heads[mine, H_CODE] = -1
            number = (number + 1) % NUMBERS
        _put_1(links, heads, mine, link, plots[i].address, plots[i].mode3a)
    return number


@njit(f"boolean({_V}, {_V}, float64, {_V})", cache=True, nogil=True)
def between_1(old: F8, new: F8, t_us: float, out: F8) -> bool:
    """Range, azimuth and their variances between two links at a time, into out (4,)."""
    part = (t_us - old[L_T]) / (new[L_T] - old[L_T])
    e, n = old[L_E] + part * (new[L_E] - old[L_E]), old[L_N] + part * (new[L_N] - old[L_N])
    both = (1.0 - part) ** 2 + part * part
    out[0], out[1] = math.hypot(e, n), math.atan2(e, n)
    out[2], out[3] = both * new[L_VR], both * new[L_VAZ]
    return bool(out[0] > LEAST_RANGE_M)


@njit(f"boolean({_V}, {_V}, {_V}, float64, float64, {_V})", cache=True, nogil=True)
def compare_1(link: F8, site_a: F8, site_b: F8, height_m: float, v_height: float, q: F8) -> bool:
    """What radar b should measure of a plot of radar a at a height, and how that depends on a's biases and on the
    height: into q (COUPLE,) expected range and azimuth at Q_Y, then Q_H, Q_R (of the plot alone), Q_G, Q_VH."""
    x, y, z = ecef_from_range_height_1(site_a, link[L_R], link[L_AZ], height_m)
    ux, uy, uz = up_1(x, y, z)
    dx, dy, dz = (x - site_a[0]) / link[L_R], (y - site_a[1]) / link[L_R], (z - site_a[2]) / link[L_R]
    rise = dx * ux + dy * uy + dz * uz
    level = math.sqrt(max(1.0 - rise * rise, 1e-6))
    gx, gy, gz = (dx - rise * ux) / level, (dy - rise * uy) / level, (dz - rise * uz) / level
    r, az, el = polar_1(site_b, x, y, z)
    ground = r * math.cos(el)
    if r < LEAST_RANGE_M or level < 0.5 or ground < LEAST_RANGE_M:
        return False
    bx, by, bz = (x - site_b[0]) / r, (y - site_b[1]) / r, (z - site_b[2]) / r
    ca, sa = math.cos(az) / ground, math.sin(az) / ground
    cx, cy, cz = ca * site_b[3] - sa * site_b[6], ca * site_b[4] - sa * site_b[7], ca * site_b[5] - sa * site_b[8]
    across = link[L_R] * level
    tx, ty, tz = (gy * uz - gz * uy) * across, (gz * ux - gx * uz) * across, (gx * uy - gy * ux) * across
    tilt = rise / level
    hx, hy, hz = ux - tilt * gx, uy - tilt * gy, uz - tilt * gz
    q[Q_Y], q[Q_Y + 1] = r, az
    q[Q_H], q[Q_H + 1] = -(bx * gx + by * gy + bz * gz) / level, -(bx * tx + by * ty + bz * tz)
    q[Q_H + 2], q[Q_H + 3] = -(cx * gx + cy * gy + cz * gz) / level, -(cx * tx + cy * ty + cz * tz)
    q[Q_R] = q[Q_H] ** 2 * link[L_VR] + q[Q_H + 1] ** 2 * link[L_VAZ]
    q[Q_R + 1] = q[Q_H] * q[Q_H + 2] * link[L_VR] + q[Q_H + 1] * q[Q_H + 3] * link[L_VAZ]
    q[Q_R + 2] = q[Q_H + 2] ** 2 * link[L_VR] + q[Q_H + 3] ** 2 * link[L_VAZ]
    q[Q_G], q[Q_G + 1] = bx * hx + by * hy + bz * hz, cx * hx + cy * hy + cz * hz
    q[Q_VH] = v_height
    return True


@njit(f"UniTuple(float64, 3)({_L}, {_H}, int64)", cache=True, nogil=True)
def _pace_1(links: F8, heads: I8, c: int) -> tuple[float, float, float]:
    """Velocity of a chain in its slant plane, east and north, and the larger of its two variances."""
    new = links[c, heads[c, H_NEWEST]]
    old = links[c, (heads[c, H_NEWEST] - min(heads[c, H_COUNT], LINKS) + 1) % LINKS]
    span = (new[L_T] - old[L_T]) * 1e-6
    v = 2.0 * max(new[L_VR], new[L_VAZ] * new[L_R] * new[L_R]) / (span * span)
    return (new[L_E] - old[L_E]) / span, (new[L_N] - old[L_N]) / span, v


@njit(f"boolean({_L}, {_H}, int64, {_L}, {_H}, int64)", cache=True, nogil=True)
def _alike_1(links_a: F8, heads_a: I8, a: int, links_b: F8, heads_b: I8, b: int) -> bool:
    """May two chains of two radars be of one object, by what they say of themselves and by how they move?"""
    ha, hb = heads_a[a], heads_b[b]
    if ha[H_ADDRESS] >= 0 and hb[H_ADDRESS] >= 0 and ha[H_ADDRESS] != hb[H_ADDRESS]:
        return False
    if ha[H_CODE] >= 0 and hb[H_CODE] >= 0 and ha[H_CODE] != hb[H_CODE]:
        return False
    ea, na, va = _pace_1(links_a, heads_a, a)
    eb, nb, vb = _pace_1(links_b, heads_b, b)
    return math.hypot(ea - eb, na - nb) < SIGMAS * math.sqrt(va + vb) + DRIFT_MPS


@njit(f"boolean({_L}, {_H}, int64, float64, {_V}, {_V})", cache=True, nogil=True)
def _beside_1(links: F8, heads: I8, b: int, t_us: float, q: F8, out: F8) -> bool:
    """Chain b at a time, near where q expects it: see `between_1`."""
    kept = min(heads[b, H_COUNT], LINKS)
    e, n = q[Q_Y] * math.sin(q[Q_Y + 1]), q[Q_Y] * math.cos(q[Q_Y + 1])
    for k in range(1, kept):
        old = links[b, (heads[b, H_NEWEST] - k) % LINKS]
        if old[L_T] <= t_us:
            later = links[b, (heads[b, H_NEWEST] - k + 1) % LINKS]
            if not between_1(old, later, t_us, out):
                return False
            return math.hypot(out[0] * math.sin(out[1]) - e, out[0] * math.cos(out[1]) - n) < WINDOW_M
    return False


@njit(f"int64({_L}, {_H}, {_V}, int64, {_L}, {_H}, {_V}, int64, float64, float64, {_M}, int64)", cache=True, nogil=True)
def couple_1(
    links_a: F8, heads_a: I8, site_a: F8, a: int, links_b: F8, heads_b: I8, site_b: F8, b: int, since_us: float,
    until_us: float, out: F8, room: int,
) -> int:  # fmt: skip
    """Pairs of the plots of radar a measured in [since, until) with the chains of radar b; the first `room` of them are
    written to `out`. Returns how many there are."""
    count = 0
    q, rough, at = np.empty(COUPLE), np.empty(COUPLE), np.empty(4)
    for c in range(CHAINS):
        if heads_a[c, H_COUNT] < LONG:
            continue
        for k in range(LINKS):
            link = links_a[c, k]
            if k >= heads_a[c, H_COUNT] or not since_us <= link[L_T] < until_us:
                continue
            height, v_height = link[L_H], link[L_VH]
            if math.isnan(height):
                height, v_height = HEIGHT_M, SIGMA_HEIGHT_M**2
            if not compare_1(link, site_a, site_b, height, v_height, rough):
                continue
            e, n = rough[Q_Y] * math.sin(rough[Q_Y + 1]), rough[Q_Y] * math.cos(rough[Q_Y + 1])
            for d in range(CHAINS):
                if heads_b[d, H_COUNT] < LONG:
                    continue
                other = links_b[d, heads_b[d, H_NEWEST]]
                if abs(e - other[L_E]) > 2.0 * WINDOW_M or abs(n - other[L_N]) > 2.0 * WINDOW_M:
                    continue
                if other[L_T] < link[L_T] or not _alike_1(links_a, heads_a, c, links_b, heads_b, d):
                    continue
                q[:] = rough
                if other[L_VH] < v_height and not compare_1(link, site_a, site_b, other[L_H], other[L_VH], q):
                    continue
                if not _beside_1(links_b, heads_b, d, link[L_T], q, at):
                    continue
                count += 1
                if count > room:
                    continue
                q[Q_T], q[Q_A], q[Q_B] = link[L_T], float(a), float(b)
                q[Q_COUPLE] = float(heads_a[c, H_NUMBER] * NUMBERS + heads_b[d, H_NUMBER])
                q[Q_CHAIN] = float(heads_a[c, H_NUMBER])
                q[Q_Y], q[Q_Y + 1] = at[0] - q[Q_Y], wrap_pi_1(at[1] - q[Q_Y + 1])
                q[Q_R] += at[2]
                q[Q_R + 2] += at[3]
                out[count - 1] = q
    return count
