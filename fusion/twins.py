"""Tracks that are one object: close in place and velocity, and never seen apart.

Two slow tracks that say nothing of themselves, fed by one radar, may as well be two of a group, one of which was missed
for a while and grew unsure: they are one only where their places are known well enough to say so.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.associate import ADDRESS, FOUND, ID, MODE3A, N_T, N_V, N_X
from fusion.bare import BARE
from fusion.existence import slow_1
from fusion.filters.params import MODELS
from fusion.geo import up_1
from fusion.kernels import SLAB, ahead_n
from fusion.schema import F8, I8

COMPANY_M2 = 3e-7  # density of others beside one of a group: two or three, half a kilometre to two away
LOST_FOR = 4.0  # periods of a radar without a plot: of two that it fed, one is gone, or never was another
STARVED = 2.5  # periods of a radar without a plot: neighbours miss one look, seldom two


@njit(
    "float64(float64[::1], float64[::1], float64[:, ::1], float64[:, ::1], int64)",
    cache=True,
    nogil=True,
    **BARE,
)
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


@njit("float64(float64[::1], float64[:, ::1], float64[:, ::1], float64)", cache=True, nogil=True, **BARE)
def closer_1(xa: F8, pa: F8, pb: F8, square: float) -> float:
    """Log of how much likelier two places `square` (Mahalanobis) apart are of one object than of two in company.

    The density of the difference along the ground, whose determinant is u' adj(P) u, over that of company there. Places
    that are known badly say nothing for either, however small their distance in sigmas.
    """
    a = pa[0, 0] + pb[0, 0]
    b = pa[0, 1] + pb[0, 1]
    c = pa[0, 2] + pb[0, 2]
    d = pa[1, 1] + pb[1, 1]
    e = pa[1, 2] + pb[1, 2]
    f = pa[2, 2] + pb[2, 2]
    ux, uy, uz = up_1(xa[0], xa[1], xa[2])
    flat = ux * ux * (d * f - e * e) + uy * uy * (a * f - c * c) + uz * uz * (a * d - b * b)
    flat += 2.0 * (ux * uy * (c * e - b * f) + ux * uz * (b * e - c * d) + uy * uz * (b * c - a * e))
    return -0.5 * square - math.log(2.0 * math.pi * COMPANY_M2) - 0.5 * math.log(max(flat, 1.0))


@njit("boolean(int64, int64, float64[::1], int64[:, ::1], int64[:, ::1], float64[:, ::1])",
      cache=True, nogil=True, **BARE)  # fmt: skip
def company_1(sa: int, sb: int, slab: F8, meta: I8, hit_us: I8, sensors: F8) -> bool:
    """True where two tracks may be a group's: slow, silent both, and one radar has fed both, and none starves long."""
    if not slow_1(slab, sa * SLAB) or not slow_1(slab, sb * SLAB):
        return False
    if meta[sa, ADDRESS] >= 0 or meta[sb, ADDRESS] >= 0 or meta[sa, MODE3A] >= 0 or meta[sb, MODE3A] >= 0:
        return False
    shared = False
    for s in range(hit_us.shape[1]):
        both = sensors[s, 2] > 0.0 and hit_us[sa, s] >= 0 and hit_us[sb, s] >= 0
        shared = shared or (both and abs(hit_us[sa, s] - hit_us[sb, s]) < LOST_FOR * sensors[s, 0])
    return shared


@njit("boolean(int64, int64, int64[:, ::1], int64[:, ::1], float64[:, ::1])", cache=True, nogil=True, **BARE)
def apart_1(sa: int, sb: int, meta: I8, hit_us: I8, sensors: F8) -> bool:
    """True where two tracks cannot be one object: other addresses, other codes, or both fed by one radar, as each
    object of a group is; of two tracks of one object, one starves."""
    if meta[sa, ADDRESS] >= 0 and meta[sb, ADDRESS] >= 0 and meta[sa, ADDRESS] != meta[sb, ADDRESS]:
        return True
    if meta[sa, MODE3A] >= 0 and meta[sb, MODE3A] >= 0 and meta[sa, MODE3A] != meta[sb, MODE3A]:
        return True
    silent = meta[sa, ADDRESS] < 0 and meta[sb, ADDRESS] < 0 and meta[sa, MODE3A] < 0 and meta[sb, MODE3A] < 0
    apart = STARVED if silent else 0.5  # what says who it is flies alone: the other is its own garbled replies
    for s in range(hit_us.shape[1]):
        both = sensors[s, 2] > 0.0 and hit_us[sa, s] >= 0 and hit_us[sb, s] >= 0
        if both and abs(hit_us[sa, s] - hit_us[sb, s]) < apart * sensors[s, 0]:
            return True
    return False


@njit(
    "int64(int64[::1], float64, float64[::1], float64[:, ::1], float64[::1], int64[:, ::1], int64[:, ::1], "
    "float64[:, ::1], float64, float64, int64[:, ::1])",
    cache=True,
    nogil=True,
)
def twins_1(
    live: I8, t_us: float, slab: F8, near: F8, table: F8, meta: I8, hit_us: I8, sensors: F8, near_m: float, gate: float,
    pairs: I8,
) -> int:  # fmt: skip
    """Pairs (keep, drop) of tracks that are one object at t_us: close in place and velocity, and never seen apart."""
    m = live.shape[0]
    place = np.empty((m, 3))
    for i in range(m):
        at = near[live[i]]
        dt_s = (t_us - at[N_T]) * 1e-6
        for k in range(3):
            place[i, k] = at[N_X + k] + dt_s * at[N_V + k]
    order = np.argsort(place[:, 0].copy(), kind="mergesort")
    gone = np.zeros(m, np.bool_)
    two = np.empty(2, np.int64)
    x = np.empty((2, 6))
    p = np.empty((2, 6, 6))
    mode = np.empty((2, MODELS))
    count = 0
    for ia in range(m):
        a = order[ia]
        for ib in range(ia + 1, m):
            b = order[ib]
            if gone[a] or place[b, 0] - place[a, 0] > near_m:
                break
            if gone[b] or abs(place[b, 1] - place[a, 1]) > near_m or abs(place[b, 2] - place[a, 2]) > near_m:
                continue
            sa = live[a]
            sb = live[b]
            if apart_1(sa, sb, meta, hit_us, sensors):
                continue
            two[0] = sa
            two[1] = sb
            ahead_n(two, t_us, slab, table, x, p, mode)
            away = distance_1(x[0], x[1], p[0], p[1], 0)
            if away > gate or distance_1(x[0], x[1], p[0], p[1], 3) > gate:
                continue
            if company_1(sa, sb, slab, meta, hit_us, sensors) and closer_1(x[0], p[0], p[1], away) < 0.0:
                continue
            first = meta[sa, ID] < meta[sb, ID]
            found = meta[sa, FOUND] == 1
            if found != (meta[sb, FOUND] == 1):  # what radar found is not ended by a claim that came to it
                first = found
            pairs[count, 0] = sa if first else sb
            pairs[count, 1] = sb if first else sa
            count += 1
            gone[a] = True
            gone[b] = True
    return count
