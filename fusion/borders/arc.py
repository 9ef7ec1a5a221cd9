"""When and where an object crosses a line that it flies towards, straight or in a turn: one compiled answer a row.

Nobody knows how an object flies on, so it flies on in a small fixed set of ways. An object that goes straight strays to
either side by what its covariance and white acceleration allow: seven courses of equal probability. An object that
turns goes on turning for a time that nobody knows (exponential, bounded: neither people nor autopilots turn for ever)
at a rate that is known with a sigma, and then straight on: fifteen pairs of rate and time, likewise. Both sets are
weighed by the probability that it turns. Each way that crosses gives a time, normal about it by how uncertain the place
along the way is. From their mixture come the probability of crossing, the median, and the 5 and 95 % points.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numba import njit

from fusion import geo
from fusion.borders.segments import SEGMENTS, Segments, crossing_1, types
from fusion.schema import F8, I8
from fusion.zones import ahead_variance_1, heading_1

# Columns of a row that goes in, ...
LAT, LON, SPEED, COURSE, DISTANCE, P_TURN, TURN, SIGMA_TURN = range(8)
# ... and of one that comes out.
P, TIME, LOW, HIGH, SIGMA, CROSSING_LAT, CROSSING_LON, PLACE = range(8)
# Numbers that the loop decides by.
HORIZON, SPEED_MIN, DRIFT_Q, ACCURACY, TURN_S, TURN_MOST_S, P_LEAST, REACH = range(8)
# Scratch of one way: seconds, its sigma, weight, lat, lon; which line, and which way.
_SECONDS, _SPREAD, _WEIGHT, _TO_LAT, _TO_LON, _LINE, _WAY = range(7)

STRAIGHT = 7
TURNING = 15
_PIECE_RAD = math.radians(20.0)  # of an arc that may meet the line: its chord is within 1.5 % of the radius
_STEPS = 18  # halvings of the interval that holds a quantile: a thousandth of a second in minutes
_PATH = types.float64[::1]
_FOUND = types.Tuple((types.int64, types.float64, types.float64, types.float64))


def _normals(n: int) -> F8:
    """(n,) middles of n equally probable parts of the normal distribution, stretched to a variance of one."""
    middles = np.array([NormalDist().inv_cdf((k + 0.5) / n) for k in range(n)])
    stretched: F8 = middles / np.sqrt((middles**2).mean())
    return stretched


_SIDE = _normals(STRAIGHT)[[3, 0, 6, 1, 5, 2, 4]]  # straight ahead, the outermost, then those between
# Which part of the turns ends earlier is in order; the rate is spread evenly over it: 4 and 15 have no common divisor.
_ENDS = (np.arange(TURNING) + 0.5) / TURNING
_RATES = _normals(TURNING)[(4 * np.arange(TURNING) + 2) % TURNING]


class Ways(NamedTuple):
    """What the compiled loop is given of the line: its tree, and the numbers above."""

    tree: Segments
    numbers: F8  # (8,)


_WAYS = types.NamedTuple((SEGMENTS, _PATH), Ways)


@njit(types.float64(types.float64), cache=True, nogil=True)
def _chord_1(half_rad: float) -> float:
    """sin(x) / x: chord over arc, with half the angle turned."""
    return math.sin(half_rad) / half_rad if abs(half_rad) > 1e-6 else 1.0


@njit(
    _FOUND(SEGMENTS, types.float64, types.float64, types.float64, types.float64, _PATH),
    cache=True,
    nogil=True,
)
def meet_1(
    tree: Segments, lat_rad: float, lon_rad: float, course_rad: float, within_m: float, path: F8
) -> tuple[int, float, float, float]:
    """(line, metres, lat, lon) of the first crossing from right to left on a straight path; line -1: none.

    `path` (9,) is scratch.
    """
    path[0], path[1], path[2] = geo.ecef_1(lat_rad, lon_rad, 0.0)
    path[3], path[4], path[5] = heading_1(lat_rad, lon_rad, course_rad)
    path[6], path[7], path[8] = heading_1(lat_rad, lon_rad, course_rad - 0.5 * math.pi)
    k, along = crossing_1(tree, path, within_m)
    if k < 0:
        return -1, math.nan, math.nan, math.nan
    d2 = 0.0
    for axis in range(3):
        d = tree.ends[k, axis] + along * (tree.ends[k, axis + 3] - tree.ends[k, axis]) - path[axis]
        d2 += d * d
    p = tree.places[k]
    # The chord is short of the arc by (d / R)^2 / 24: 1 m at 100 km.
    return k, math.sqrt(d2), p[0] + along * (p[2] - p[0]), p[1] + along * (p[3] - p[1])


@njit(
    types.UniTuple(types.float64, 2)(types.float64, types.float64, types.float64, types.float64), cache=True, nogil=True
)
def _along_1(lat_rad: float, lon_rad: float, azimuth_rad: float, metres: float) -> tuple[float, float]:
    """(lat, lon) of a place up to some 20 km away, by way of the tangent: off by metres^3 / R^2, 20 cm at 20 km."""
    x, y, z = geo.ecef_1(lat_rad, lon_rad, 0.0)
    dx, dy, dz = heading_1(lat_rad, lon_rad, azimuth_rad)
    lat, lon, _ = geo.geodetic_1(x + metres * dx, y + metres * dy, z + metres * dz)
    return lat, lon


@njit(_FOUND(_WAYS, _PATH, types.float64, types.float64, _PATH), cache=True, nogil=True)
def _turning_1(ways: Ways, row: F8, turn_radps: float, turn_s: float, path: F8) -> tuple[int, float, float, float]:
    """(line, seconds, lat, lon) of the first crossing when it turns at that rate for that long and then flies straight.

    The arc is flown in chords only where it is long enough to reach the line at all.
    """
    speed = row[SPEED]
    lat = row[LAT]
    lon = row[LON]
    turned = turn_radps * turn_s
    pieces = 1
    if speed * turn_s > 0.9 * row[DISTANCE]:
        pieces = max(1, int(math.ceil(abs(turned) / _PIECE_RAD)))
        step_s = turn_s / pieces
        step_m = speed * step_s * _chord_1(0.5 * turn_radps * step_s)
        for i in range(pieces):
            course = row[COURSE] + turn_radps * step_s * (i + 0.5)
            k, metres, to_lat, to_lon = meet_1(ways.tree, lat, lon, course, step_m, path)
            if k >= 0:
                return k, i * step_s + metres / speed, to_lat, to_lon
            lat, lon = _along_1(lat, lon, course, step_m)
    else:
        lat, lon = _along_1(lat, lon, row[COURSE] + 0.5 * turned, speed * turn_s * _chord_1(0.5 * turned))
    left_m = min(speed * (ways.numbers[HORIZON] - turn_s), ways.numbers[REACH])
    k, metres, to_lat, to_lon = meet_1(ways.tree, lat, lon, row[COURSE] + turned, left_m, path)
    return k, turn_s + metres / speed, to_lat, to_lon


@njit(
    types.int64(_WAYS, types.float64[:, ::1], _PATH, types.float64, types.float64[:, ::1], _PATH),
    cache=True,
    nogil=True,
)
def _fly_1(ways: Ways, cov: F8, row: F8, weight_turn: float, found: F8, path: F8) -> int:
    """Fill `found` with every way that crosses; how many."""
    speed = row[SPEED]
    numbers = ways.numbers
    horizon = numbers[HORIZON]
    reach = min(speed * horizon, numbers[REACH])
    n = 0
    k, metres, lat, lon = meet_1(ways.tree, row[LAT], row[LON], row[COURSE], reach, path)
    ahead_s = metres / speed if k >= 0 else row[DISTANCE] / speed
    aside = heading_1(row[LAT], row[LON], row[COURSE] - 0.5 * math.pi)
    strayed = math.sqrt(ahead_variance_1(cov, ahead_s, numbers[DRIFT_Q], aside))
    stray = math.atan2(strayed, max(ahead_s * speed, 1.0))
    for way in range(STRAIGHT + TURNING):
        if way < STRAIGHT:
            if way >= 3 and n == 0:
                continue  # neither straight ahead nor far to either side: what lies between is not worth a look
            weight = (1.0 - weight_turn) / STRAIGHT
            course = row[COURSE] + _SIDE[way] * stray
            if way > 0:
                k, metres, lat, lon = meet_1(ways.tree, row[LAT], row[LON], course, reach, path)
            seconds = metres / speed
        else:
            if weight_turn <= 0.0:
                break
            weight = weight_turn / TURNING
            point = way - STRAIGHT
            rate = row[TURN] + _RATES[point] * row[SIGMA_TURN]
            # By the exponential distribution, cut at the longest turn that is believed.
            most = 1.0 - math.exp(-numbers[TURN_MOST_S] / numbers[TURN_S])
            turn_s = -numbers[TURN_S] * math.log(1.0 - _ENDS[point] * most)
            turn_s = min(turn_s, math.pi / max(abs(rate), 1e-9))
            k, seconds, lat, lon = _turning_1(ways, row, rate, turn_s, path)
            course = row[COURSE] + rate * turn_s
        if k < 0 or not seconds <= horizon:
            continue
        ahead = heading_1(row[LAT], row[LON], course)
        variance = ahead_variance_1(cov, seconds, numbers[DRIFT_Q], ahead) + numbers[ACCURACY] ** 2
        found[n, _SECONDS] = seconds
        found[n, _SPREAD] = max(math.sqrt(variance) / speed, 1e-3)
        found[n, _WEIGHT] = weight
        found[n, _TO_LAT] = lat
        found[n, _TO_LON] = lon
        found[n, _LINE] = k
        found[n, _WAY] = way
        n += 1
    return n


@njit(types.float64(types.float64[:, ::1], types.int64, types.float64, types.float64), cache=True, nogil=True)
def _quantile_1(found: F8, n: int, total: float, part: float) -> float:
    """The time before which `part` of the crossings lie."""
    low = math.inf
    high = -math.inf
    for i in range(n):
        low = min(low, found[i, _SECONDS] - 4.0 * found[i, _SPREAD])
        high = max(high, found[i, _SECONDS] + 4.0 * found[i, _SPREAD])
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        below = 0.0
        for i in range(n):
            z = (middle - found[i, _SECONDS]) / found[i, _SPREAD]
            below += found[i, _WEIGHT] * 0.5 * (1.0 + math.erf(z * 0.7071067811865476))
        if below < part * total:
            low = middle
        else:
            high = middle
    return max(0.5 * (low + high), 0.0)


@njit(
    types.int64(_WAYS, types.float64[:, ::1], _PATH, _PATH, types.float64[:, ::1], _PATH),
    cache=True,
    nogil=True,
)
def predict_1(ways: Ways, cov: F8, row: F8, out: F8, found: F8, path: F8) -> int:
    """Fill `out` (8,) for one row (8,): probability, median, 5 and 95 % points, sigma, place and its sigma along.

    Returns the line crossed by the way nearest to the median; -1: none crosses within the horizon. `found` and `path`
    are scratch.
    """
    out[:] = math.nan
    out[P] = 0.0
    most_m = min(row[SPEED] * ways.numbers[HORIZON], ways.numbers[REACH])
    if not (row[SPEED] >= ways.numbers[SPEED_MIN] and row[DISTANCE] <= most_m):
        return -1
    weight_turn = row[P_TURN] if row[P_TURN] >= ways.numbers[P_LEAST] else 0.0
    n = _fly_1(ways, cov, row, weight_turn, found, path)
    if n == 0:
        return -1
    total = 0.0
    mean = 0.0
    for i in range(n):
        total += found[i, _WEIGHT]
        mean += found[i, _WEIGHT] * found[i, _SECONDS]
    if total <= 1e-6:  # it surely turns, and only the straight path would cross
        return -1
    mean /= total
    variance = 0.0
    for i in range(n):
        off = found[i, _SECONDS] - mean
        variance += found[i, _WEIGHT] * (off * off + found[i, _SPREAD] ** 2)
    out[P] = min(total, 1.0)
    out[TIME] = _quantile_1(found, n, total, 0.5)
    out[LOW] = _quantile_1(found, n, total, 0.05)
    out[HIGH] = _quantile_1(found, n, total, 0.95)
    out[SIGMA] = math.sqrt(variance / total)
    at = 0
    for i in range(1, n):
        if abs(found[i, _SECONDS] - out[TIME]) < abs(found[at, _SECONDS] - out[TIME]):
            at = i
    for i in range(n):
        # Who surely flies straight crosses where the straight path does; the other ways say how sure that is.
        if weight_turn <= 0.0 and found[i, _WAY] == 0:
            at = i
            out[TIME] = found[i, _SECONDS]
    out[CROSSING_LAT] = found[at, _TO_LAT]
    out[CROSSING_LON] = found[at, _TO_LON]
    x, y, z = geo.ecef_1(out[CROSSING_LAT], out[CROSSING_LON], 0.0)
    spread = 0.0
    for i in range(n):
        xi, yi, zi = geo.ecef_1(found[i, _TO_LAT], found[i, _TO_LON], 0.0)
        spread += found[i, _WEIGHT] * ((xi - x) ** 2 + (yi - y) ** 2 + (zi - z) ** 2)
    out[PLACE] = math.sqrt(spread / total)
    return int(found[at, _LINE])


@njit(
    types.void(
        _WAYS, types.float64[:, :, ::1], types.float64[:, ::1], types.int64[::1], types.float64[:, ::1],
        types.int64[::1],
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def predict(ways: Ways, cov: F8, rows: F8, which: I8, out: F8, line: I8) -> None:
    """`predict_1` for the rows `which` (m,) of (n, 8) rows and (n, 6, 6) covariances into `out` (n, 8), `line` (n,)."""
    found = np.empty((STRAIGHT + TURNING, 7))
    path = np.empty(9)
    for i in range(which.shape[0]):
        row = which[i]
        line[row] = predict_1(ways, cov[row], rows[row], out[row], found, path)
