"""How dense false plots and newcomers are where a plot stands, learnt per sensor from the plots that no track explains.

False plots are not spread evenly over the area of a radar: birds, ground echoes and second-time echoes crowd near it
and low down. A radar that is taken to have even clutter believes in two false plots close to it, where there are many.
So each radar carries a fading histogram of its unexplained plots over range, with their mean elevation in each bin;
a few imagined plots keep bins that have seen little near what is usual.

Wind farms, bird areas and harbours are hot places. Each radar has a map of cells a few kilometres wide: plots of
tentative tracks that came to nothing, and of old tracks that stand still and say nothing, heat the cell they are in. In
a hot cell a plot proves little; an object that hovers alone hardly heats its cell, and what moves heats none.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bare import BARE
from fusion.filters.params import M_A, M_B, M_C, M_H, M_KIND, M_VE
from fusion.kernels import PLOTS, Rec, signature
from fusion.schema import B1, F4, F8, PlotKind

POSITION, POLAR = int(PlotKind.POSITION), int(PlotKind.POLAR)

BINS = 24  # of range: 3 km of a gap filler, 8 km of an area radar
# Columns of one sensor's row of numbers for association: what it is, expected false plots and newcomers in one period,
# scans that it was listened to, the fading number of unexplained plots in all bins; then that number in each bin, and
# the sum of their elevations.
S_INDEX, S_PERIOD_US, S_RADAR, S_CLAIM, S_CLUTTER, S_NEW, S_RANGE, S_FAST_GATE, S_SCANS, S_TOTAL = range(10)
S_COUNT = 10
S_ELEVATION = S_COUNT + BINS
SENSOR = S_ELEVATION + BINS

GRID = 128  # cells across the disc of a radar: 4 km of one that reaches 280 km
HOT = 2  # of a cell: fading number of false plots, scan of the last (since 1970, in periods, modulo WRAP)
WRAP = 1_048_576  # scans that a float32 tells apart
HOT_SCANS = 40.0  # memory of a cell
FREE = 1.5  # so many false plots in a cell prove nothing
SCANS_LEAST = 4.0  # a map is at least so old: it takes that long until a track comes to nothing
OLD_US = 30_000_000  # a track this old that hardly moves and says nothing may be a wind farm: its plots count as false
STILL_MPS = 15.0  # ... when it is slower than this

RATE_SCANS = 8.0  # memory of the number of false plots
MAP_SCANS = 40.0  # memory of where they are: weather and birds change over minutes
IMAGINED = 40.0  # imagined plots over all bins, even in area
IMAGINED_LOW = 2.0  # and in each bin, for its elevation
LEAST = 0.1  # false plots in one period of any radar
HEIGHT_SPAN_M = 10_000.0  # over which false plots and newcomers spread
ELEVATION_SPAN_RAD = 0.2  # over which newcomers spread, and false plots of which nothing is known yet
BEAM_SPAN_RAD = 0.7  # elevation of a whole beam
ANYWHERE = 0.2  # share of false plots that come from noise, at any elevation of the beam
VELOCITY_SPAN_MPS = 400.0


@njit("float64(float64[::1], int64, float64, float64)", cache=True, nogil=True, **BARE)
def spread_1(r: F8, ro: int, number: float, range_max_m: float) -> float:
    """Log-density in measurement space of `number` objects spread evenly over a sensor's area, at this plot."""
    log_d = math.log(max(number, 1e-9))
    kind = int(r[ro + M_KIND])
    if kind == POSITION:
        log_d -= math.log(math.pi * range_max_m * range_max_m)
        if not math.isnan(r[ro + M_C]):
            log_d -= math.log(HEIGHT_SPAN_M)
        for c in range(3):
            if not math.isnan(r[ro + M_VE + c]):
                log_d -= math.log(VELOCITY_SPAN_MPS if c < 2 else 0.1 * VELOCITY_SPAN_MPS)
        return float(log_d)
    log_d -= math.log(2.0 * math.pi)
    if not math.isnan(r[ro + M_C]):
        log_d -= math.log(ELEVATION_SPAN_RAD)
    if kind == POLAR:
        log_d += math.log(2.0 * max(r[ro + M_A], 1_000.0) / (range_max_m * range_max_m))
        if not math.isnan(r[ro + M_H]):
            log_d -= math.log(HEIGHT_SPAN_M)
    return float(log_d)


@njit("int64(float64, float64)", cache=True, nogil=True, **BARE)
def _bin_1(range_m: float, range_max_m: float) -> int:
    return min(max(int(range_m / range_max_m * BINS), 0), BINS - 1)


@njit("int64(float64, float64, float64)", cache=True, nogil=True, **BARE)
def cell_1(range_m: float, azimuth_rad: float, range_max_m: float) -> int:
    """The cell of a radar's map that a place is in."""
    part = 0.5 * GRID * min(range_m / range_max_m, 0.999)
    return int(0.5 * GRID + part * math.sin(azimuth_rad)) * GRID + int(0.5 * GRID + part * math.cos(azimuth_rad))


@njit("float64(float64[::1], float64)", cache=True, nogil=True, **BARE)
def scan_1(sensor: F8, t_us: float) -> float:
    """Number of the scan that a time is in, modulo WRAP."""
    return float(int(t_us / sensor[S_PERIOD_US]) % WRAP)


@njit("float64(float32[:, :, ::1], float64[::1], int64, float64)", cache=True, nogil=True, **BARE)
def faded_1(hot: F4, sensor: F8, cell: int, scan: float) -> float:
    """False plots of late in a cell of a radar's map."""
    s = int(sensor[S_INDEX])
    if hot[s, cell, 0] == 0.0:
        return 0.0
    gone = scan - hot[s, cell, 1]
    if gone < 0.0:
        gone = gone + WRAP if gone < -0.5 * WRAP else 0.0
    return float(hot[s, cell, 0] * math.exp(-gone / HOT_SCANS))


@njit("void(float32[:, :, ::1], float64[::1], float64, float64, float64, float64)", cache=True, nogil=True, **BARE)
def heat_1(hot: F4, sensor: F8, range_m: float, azimuth_rad: float, t_us: float, number: float) -> None:
    """Count false plots of a radar at a place."""
    s = int(sensor[S_INDEX])
    cell = cell_1(range_m, azimuth_rad, sensor[S_RANGE])
    scan = scan_1(sensor, t_us)
    hot[s, cell, 0] = faded_1(hot, sensor, cell, scan) + number
    hot[s, cell, 1] = scan


@njit("float64(float64[::1], int64, float64[::1], float32[:, :, ::1], float64)", cache=True, nogil=True, **BARE)
def local_1(r: F8, ro: int, sensor: F8, hot: F4, t_us: float) -> float:
    """False plots in one period per metre of range and radian, for the cell of this plot; 0 where nothing is known."""
    cell = cell_1(r[ro + M_A], r[ro + M_B], sensor[S_RANGE])
    number = faded_1(hot, sensor, cell, scan_1(sensor, t_us)) - FREE
    if number <= 0.0:
        return 0.0
    side = 2.0 * sensor[S_RANGE] / GRID
    scans = HOT_SCANS * (1.0 - math.exp(-max(sensor[S_SCANS], SCANS_LEAST) / HOT_SCANS))  # that the number is of
    return float(number / scans / (side * side) * max(r[ro + M_A], 1_000.0))


@njit(
    "UniTuple(float64, 3)(float64[::1], int64, float64[::1], float32[:, :, ::1], float64)",
    cache=True,
    nogil=True,
    **BARE,
)
def parts_1(r: F8, ro: int, sensor: F8, hot: F4, t_us: float) -> tuple[float, float, float]:
    """Densities in measurement space at this plot, in one period of a sensor, of false plots and of newcomers, but for
    the log of a factor that both share, which is the third.

    Newcomers are spread evenly over the sensor's area. Over elevation they are as false plots are: what was not seen
    before comes over the horizon or off the ground.
    """
    if int(r[ro + M_KIND]) != POLAR:
        return max(sensor[S_CLUTTER], 1e-9), max(sensor[S_NEW], 1e-9), spread_1(r, ro, 1.0, sensor[S_RANGE])
    b = _bin_1(r[ro + M_A], sensor[S_RANGE])
    share = (sensor[S_COUNT + b] + IMAGINED * (2.0 * b + 1.0) / (BINS * BINS)) / (sensor[S_TOTAL] + IMAGINED)
    false = max(sensor[S_CLUTTER], 1e-9) * share * BINS / sensor[S_RANGE]
    new = max(sensor[S_NEW], 1e-9) * 2.0 * max(r[ro + M_A], 1_000.0) / (sensor[S_RANGE] * sensor[S_RANGE])
    false += 2.0 * math.pi * local_1(r, ro, sensor, hot, t_us)
    other = 1.0 / (2.0 * math.pi)
    if not math.isnan(r[ro + M_C]):
        span = 2.0 * sensor[S_ELEVATION + b] + IMAGINED_LOW * ELEVATION_SPAN_RAD
        span /= sensor[S_COUNT + b] + IMAGINED_LOW
        low = (1.0 - ANYWHERE) / span if abs(r[ro + M_C]) < span else 0.0
        other *= low + ANYWHERE / BEAM_SPAN_RAD
    if not math.isnan(r[ro + M_H]):
        other /= HEIGHT_SPAN_M
    return false, new, math.log(other)


@njit(
    "UniTuple(float64, 2)(float64[::1], int64, float64[::1], float32[:, :, ::1], float64)",
    cache=True,
    nogil=True,
    **BARE,
)
def densities_1(r: F8, ro: int, sensor: F8, hot: F4, t_us: float) -> tuple[float, float]:
    """Log-densities in measurement space at this plot, in one period of a sensor: of false plots, and of newcomers."""
    false, new, other = parts_1(r, ro, sensor, hot, t_us)
    return math.log(false) + other, math.log(new) + other


@njit("float64(float64[::1], int64, float64[::1], float32[:, :, ::1], float64)", cache=True, nogil=True, **BARE)
def density_1(r: F8, ro: int, sensor: F8, hot: F4, t_us: float) -> float:
    """Log-density at this plot of all that no track explains: false plots and newcomers together."""
    false, new, other = parts_1(r, ro, sensor, hot, t_us)
    return math.log(false + new) + other


@njit("float64(float64[::1], int64, float64[::1], float32[:, :, ::1], float64)", cache=True, nogil=True, **BARE)
def newcomer_1(r: F8, ro: int, sensor: F8, hot: F4, t_us: float) -> float:
    """Log-odds that a plot which no track explains comes from an object, not from clutter."""
    false, new, _ = parts_1(r, ro, sensor, hot, t_us)
    return math.log(new / false)


@njit(
    signature("void", "float64[::1]", PLOTS, "boolean[::1], float64, float64"),
    cache=True,
    nogil=True,
    **BARE,
)
def learn_1(sensor: F8, plots: Rec, false: B1, share: float, passed_s: float) -> None:
    """Book the plots of a group that no track explains; `share` of each counts, after `passed_s` since the last."""
    scans = passed_s / (sensor[S_PERIOD_US] * 1e-6)
    sensor[S_SCANS] += scans
    count = 0
    keep = math.exp(-scans / MAP_SCANS)
    for k in range(2 * BINS):
        sensor[S_COUNT + k] *= keep
    sensor[S_TOTAL] *= keep
    for i in range(plots.shape[0]):
        if not false[i]:
            continue
        count += 1
        row = plots[i].row
        if int(row[M_KIND]) == POLAR:
            b = _bin_1(row[M_A], sensor[S_RANGE])
            sensor[S_COUNT + b] += share
            sensor[S_TOTAL] += share
            sensor[S_ELEVATION + b] += share * (0.5 * ELEVATION_SPAN_RAD if math.isnan(row[M_C]) else abs(row[M_C]))
    sensor[S_CLUTTER] = max(sensor[S_CLUTTER] * math.exp(-scans / RATE_SCANS) + share * count / RATE_SCANS, LEAST)


def numbers_of(index: int, period_us: float, radar: bool, claim: bool, clutter: float, new: float, range_m: float,
               gate: float) -> F8:  # fmt: skip
    """The row (SENSOR,) of one sensor before it said anything."""
    row = np.zeros(SENSOR)
    row[:S_SCANS] = index, period_us, radar, claim, clutter, new, range_m, gate
    return row
