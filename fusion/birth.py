"""A track from its first plot, and how fast a pair of plots suggests that it is."""

from __future__ import annotations

import math

from numba import njit

from fusion.bare import BARE
from fusion.filters.imm import fit_1
from fusion.filters.lanes import WIDTH, apart, lanes, store
from fusion.filters.measure import ANCHOR, linearise_1
from fusion.filters.models import COV, MEAN, P_3, PARTS, START, TRIANGLE, X_3, correct_3, move_3
from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_RATE,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SV,
    M_VE,
    M_VN,
    M_VU,
    MODELS,
)  # fmt: skip
from fusion.geo import ecef_1, ecef_from_polar_1, ecef_from_range_height_1, normal_1, up_1
from fusion.schema import F8, PlotKind

POSITION = int(PlotKind.POSITION)

CLIMB_SIGMA_MPS = 8.0  # vertical speed of a new track: airliners climb at up to 20, most fly level
HEIGHT_PRIOR_M = 1_000.0  # an object of unknown height: this far above the radar's horizon there. What tells nobody
HEIGHT_SIGMA_M = 2_500.0  # its height mostly flies low; airliners, which do tell, are within four sigma
HIGHEST_M = 12_500.0  # airliners; what flies higher tells its height
EFFECTIVE_EARTH_M = 8_500_000.0  # 4/3 of the radius

# Speeds of what flies, as equally likely zero-mean scales per horizontal axis (m/s): hover and drift, drones and light
# aircraft, helicopters and fast light aircraft, airliners. Their mixture is close to 1/v: for two plots apart in time
# it says how much likelier a slow object is than two false plots.
SCALES = (12.0, 40.0, 100.0, 200.0)
PAIR_Q_H, PAIR_Q_V = 1.0, 0.3  # m^2/s^3 between two plots, along the ground and vertical


@njit("float64(float64[::1], int64, float64[:, ::1])", cache=True, nogil=True, **BARE)
def height_prior_1(r: F8, ro: int, sites: F8) -> float:
    """Ellipsoid height to assume for a plot that carries none."""
    if int(r[ro + M_KIND]) == POSITION:
        return HEIGHT_PRIOR_M
    antenna = max(sites[int(r[ro + M_SITE]), 14], 10.0)
    beyond = max(r[ro + M_A] - math.sqrt(2.0 * EFFECTIVE_EARTH_M * antenna), 0.0)
    return float(min(beyond * beyond / (2.0 * EFFECTIVE_EARTH_M) + HEIGHT_PRIOR_M, 12_000.0))


@njit("boolean(float64[::1], int64)", cache=True, nogil=True, **BARE)
def tells_velocity_1(r: F8, ro: int) -> bool:
    """True where the plot itself says how the object moves over ground."""
    return int(r[ro + M_KIND]) == POSITION and not math.isnan(r[ro + M_VE])


@njit("boolean(float64[::1], int64)", cache=True, nogil=True, **BARE)
def place_only_1(r: F8, ro: int) -> bool:
    """True where a plot measures place and nothing of velocity."""
    if int(r[ro + M_KIND]) == POSITION:
        return math.isnan(r[ro + M_VE]) and math.isnan(r[ro + M_VN]) and math.isnan(r[ro + M_VU])
    return math.isnan(r[ro + M_RATE])


@njit("boolean(float64[::1], int64)", cache=True, nogil=True, **BARE)
def by_elevation_1(r: F8, ro: int) -> bool:
    """True where a polar row knows its height best by elevation, not by pressure or prior."""
    return not math.isnan(r[ro + M_C]) and (
        math.isnan(r[ro + M_H]) or r[ro + M_SC] * max(r[ro + M_A], 1.0) < r[ro + M_SH]
    )


@njit("UniTuple(float64, 3)(float64[::1], int64, float64[:, ::1])", cache=True, nogil=True, **BARE)
def place_1(r: F8, ro: int, sites: F8) -> tuple[float, float, float]:
    """Where a row of kind POSITION or POLAR points, ECEF; unknown height by its prior."""
    if int(r[ro + M_KIND]) == POSITION:
        return ecef_1(r[ro + M_A], r[ro + M_B], HEIGHT_PRIOR_M if math.isnan(r[ro + M_C]) else r[ro + M_C])
    site = sites[int(r[ro + M_SITE])]
    reach = max(r[ro + M_A], 1.0)
    if by_elevation_1(r, ro):
        return ecef_from_polar_1(site, reach, r[ro + M_B], r[ro + M_C])
    height = height_prior_1(r, ro, sites) if math.isnan(r[ro + M_H]) else r[ro + M_H]
    return ecef_from_range_height_1(site, reach, r[ro + M_B], height)


@njit("float64(float64[::1], int64)", cache=True, nogil=True, **BARE)
def reach_1(r: F8, ro: int) -> float:
    """How far along the ground the object may be from `place_1`, m, one generous sigma, both axes together."""
    if int(r[ro + M_KIND]) == POSITION:
        return float(1.5 * r[ro + M_SA])
    reach = max(r[ro + M_A], 1.0)
    if by_elevation_1(r, ro):
        steep = r[ro + M_SC] * reach * abs(math.sin(r[ro + M_C]))
    elif math.isnan(r[ro + M_H]):  # an unknown height moves the foot of a given slant range
        steep = min(HIGHEST_M * HIGHEST_M / (10.0 * reach), reach)  # five of these: h^2 / 2r of an airliner
    else:
        steep = min(r[ro + M_SH] * abs(r[ro + M_H]) / reach, reach)
    return math.sqrt(r[ro + M_SA] * r[ro + M_SA] + r[ro + M_SB] * r[ro + M_SB] * reach * reach + steep * steep)


@njit(
    "void(float64[::1], int64, int64, int64, float64, float64, float64, float64)",
    cache=True,
    nogil=True,
    **BARE,
)
def _add_1(p: F8, first: int, second: int, third: int, square: float, ex: float, ey: float, ez: float) -> None:
    """Add square * e e^T to a 3 x 3 block of a packed covariance whose rows begin at these places."""
    p[first] += square * ex * ex
    p[first + 1] += square * ex * ey
    p[first + 2] += square * ex * ez
    p[second] += square * ey * ey
    p[second + 1] += square * ey * ez
    p[third] += square * ez * ez


@njit(
    "void(float64[::1], int64, float64[:, ::1], float64[::1], int64, int64)",
    cache=True,
    nogil=True,
    **BARE,
)
def _spread_1(r: F8, ro: int, sites: F8, s: F8, m: int, p: int) -> None:
    """Covariance of the place of a polar plot: along the ray, to its right, and across both."""
    i = int(r[ro + M_SITE])
    reach = max(r[ro + M_A], 1.0)
    ux, uy, uz = up_1(s[m], s[m + 1], s[m + 2])
    rx = (s[m] - sites[i, 0]) / reach
    ry = (s[m + 1] - sites[i, 1]) / reach
    rz = (s[m + 2] - sites[i, 2]) / reach
    sine = math.sin(r[ro + M_B])
    cosine = math.cos(r[ro + M_B])
    ax = cosine * sites[i, 3] - sine * sites[i, 6]
    ay = cosine * sites[i, 4] - sine * sites[i, 7]
    az = cosine * sites[i, 5] - sine * sites[i, 8]
    ex = ry * az - rz * ay
    ey = rz * ax - rx * az
    ez = rx * ay - ry * ax
    if by_elevation_1(r, ro):
        steep = r[ro + M_SC] * reach
    else:  # a sigma of height: how far along the third vector that is
        steep = HEIGHT_SIGMA_M if math.isnan(r[ro + M_H]) else r[ro + M_SH]
        steep /= max(abs(ex * ux + ey * uy + ez * uz), 0.2)
    wide = max(r[ro + M_SB] * reach, 1.0)
    _add_1(s, p, p + 6, p + 11, r[ro + M_SA] * r[ro + M_SA], rx, ry, rz)
    _add_1(s, p, p + 6, p + 11, wide * wide, ax, ay, az)
    _add_1(s, p, p + 6, p + 11, steep * steep, ex, ey, ez)


@njit(
    "void(float64[::1], int64, float64[:, ::1], float64, float64[::1], int64)",
    cache=True,
    nogil=True,
    **BARE,
)
def born_1(r: F8, ro: int, sites: F8, v_sigma: float, s: F8, so: int) -> None:
    """Model 0 of the state s[so:] from one plot of kind POSITION or POLAR; velocity unknown to `v_sigma` (m/s per
    horizontal axis)."""
    m = so + MEAN
    p = so + COV
    for i in range(6):
        s[m + i] = 0.0
    for i in range(TRIANGLE):
        s[p + i] = 0.0
    s[m], s[m + 1], s[m + 2] = place_1(r, ro, sites)
    ux, uy, uz, _ = normal_1(s[m], s[m + 1], s[m + 2])
    level = math.sqrt(ux * ux + uy * uy)
    cosine, sine = (ux / level, uy / level) if level > 0.0 else (1.0, 0.0)  # of the longitude
    axes = (-sine, cosine, 0.0, -uz * cosine, -uz * sine, level, ux, uy, uz)
    position = int(r[ro + M_KIND]) == POSITION
    if position:
        height = HEIGHT_SIGMA_M if math.isnan(r[ro + M_C]) else r[ro + M_SC]
        for c in range(3):
            sigma = r[ro + M_SA] if c < 2 else height
            _add_1(s, p, p + 6, p + 11, sigma * sigma, axes[3 * c], axes[3 * c + 1], axes[3 * c + 2])
    else:
        _spread_1(r, ro, sites, s, m, p)
    for c in range(3):
        known = position and not math.isnan(r[ro + M_VE + c])
        sigma = r[ro + M_SV] if known else (CLIMB_SIGMA_MPS if c == 2 else v_sigma)
        _add_1(s, p + 15, p + 18, p + 20, sigma * sigma, axes[3 * c], axes[3 * c + 1], axes[3 * c + 2])
        if known:
            for i in range(3):
                s[m + 3 + i] += r[ro + M_VE + c] * axes[3 * c + i]


@njit(
    "void(float64[::1], int64, float64[:, ::1], float64, float64[::1], float64[::1], int64)",
    cache=True,
    nogil=True,
    **BARE,
)
def born_all_1(r: F8, ro: int, sites: F8, v_sigma: float, table: F8, s: F8, so: int) -> None:
    """All models of the state s[so:] from one plot, with the mode probabilities of a new track."""
    born_1(r, ro, sites, v_sigma, s, so)
    for j in range(MODELS):
        s[so + j] = table[START + j]
        if j > 0:
            for i in range(6):
                s[so + MEAN + 6 * j + i] = s[so + MEAN + i]
            for i in range(TRIANGLE):
                s[so + COV + TRIANGLE * j + i] = s[so + COV + i]


@njit("UniTuple(float64, 2)(float64[::1], int64, float64, float64, int64)", cache=True, nogil=True, **BARE)
def _apart_1(w: F8, p: int, square: float, dt_s: float, n: int) -> tuple[float, float]:
    """Log-likelihood and NIS of n components of place dt_s after a birth whose packed covariance is w[p:], with so much
    more variance of velocity along the ground; the model's mean and its vertical do not depend on that."""
    m = p - COV + MEAN
    ux, uy, uz = up_1(w[m], w[m + 1], w[m + 2])
    far = dt_s * dt_s
    noise = abs(dt_s) ** 3 / 3.0 * PAIR_Q_H
    level = far * square + noise
    steep = (PAIR_Q_V / PAIR_Q_H - 1.0) * noise - far * square
    return fit_1(
        (
            w[p] + far * w[p + 15] + level + steep * ux * ux,
            w[p + 1] + far * w[p + 16] + steep * ux * uy,
            w[p + 2] + far * w[p + 17] + steep * ux * uz,
            w[p + 6] + far * w[p + 18] + level + steep * uy * uy,
            w[p + 7] + far * w[p + 19] + steep * uy * uz,
            w[p + 11] + far * w[p + 20] + level + steep * uz * uz,
        ),
        w,
        n,
    )


@njit(
    "UniTuple(float64, 2)(float64[::1], int64, float64, float64, float64[::1], int64, float64[:, ::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def _moving_1(w: F8, so: int, square: float, dt_s: float, r: F8, ro: int, sites: F8) -> tuple[float, float]:
    """The same for a row that also measures velocity: a whole update, of the same model in all lanes."""
    m = so + MEAN
    p = so + COV
    spare = p + 2 * TRIANGLE
    ux, uy, uz = up_1(w[m], w[m + 1], w[m + 2])
    for i in range(TRIANGLE):
        w[spare + i] = w[p + i]
    _add_1(w, spare + 15, spare + 18, spare + 20, -square, ux, uy, uz)
    w[spare + 15] += square
    w[spare + 18] += square
    w[spare + 20] += square
    for i in range(6):
        store(w, X_3 + WIDTH * i, lanes(w[m + i], w[m + i], w[m + i]))
    for i in range(TRIANGLE):
        store(w, P_3 + WIDTH * i, lanes(w[spare + i], w[spare + i], w[spare + i]))
    q_h, q_v = lanes(PAIR_Q_H, PAIR_Q_H, PAIR_Q_H), lanes(PAIR_Q_V, PAIR_Q_V, PAIR_Q_V)
    move_3(w, math.inf, math.inf, math.inf, q_h, q_v, dt_s)
    for i in range(6):
        w[m + 6 + i] = w[X_3 + WIDTH * i]
    n = 0
    for j in range(MODELS):
        n = linearise_1(r, ro, sites, w, m + 6, w, PARTS + ANCHOR * j)
    log_l, nis = correct_3(w, n)
    return apart(log_l)[0], apart(nis)[0]


@njit(
    "UniTuple(float64, 4)(float64[::1], int64, float64, float64[::1], int64, float64[:, ::1], float64[::1], int64)",
    cache=True,
    nogil=True,
    **BARE,
)
def pair_1(
    first: F8, fo: int, dt_s: float, r: F8, ro: int, sites: F8, w: F8, so: int
) -> tuple[float, float, float, float]:
    """How well the row r[ro:], anchored, fits dt_s after a first plot first[fo:] without velocity: over `SCALES`.

    Returns (log-likelihood, smallest NIS, components, velocity sigma in m/s per axis that the pair suggests).
    `w` is the filter's scratch, with room for a state from `so` on.
    """
    nearest = math.inf
    n = 0
    best = -math.inf
    born_1(first, fo, sites, 1.0, w, so)
    place_only = place_only_1(r, ro)
    m = so + MEAN
    for i in range(3):  # where it is then, whatever its speed
        w[m + 6 + i] = w[m + i] + dt_s * w[m + 3 + i]
        w[m + 9 + i] = w[m + 3 + i]
    n = linearise_1(r, ro, sites, w, m + 6, w, 0)
    unknown = math.isnan(r[ro + M_VE]) or int(first[fo + M_KIND]) != POSITION
    for k in range(len(SCALES)):
        # More than the 1 m/s that it was born with, along the ground only.
        square = SCALES[k] * SCALES[k] - 1.0 if unknown else 0.0
        if place_only:
            log_l, nis = _apart_1(w, so + COV, square, dt_s, n)
        else:
            log_l, nis = _moving_1(w, so, square, dt_s, r, ro, sites)
        w[so + k if k < 3 else so + MEAN + 12] = log_l
        best = max(best, log_l)
        nearest = min(nearest, nis)
    total = 0.0
    square = 0.0
    for k in range(len(SCALES)):
        weight = math.exp(w[so + k if k < 3 else so + MEAN + 12] - best)
        total += weight
        square += weight * SCALES[k] * SCALES[k]
    return best + math.log(total / len(SCALES)), nearest, float(n), math.sqrt(square / total)
