"""What hits and misses teach: how large an object is, how well one sensor sees it, and where a sensor is blind.

Size. A radar sees a small object less at long range: Swerling 1, Pd = Pfa^(1 / (1 + SNR)), SNR as RCS / range^4. Each
track carries probabilities of a few sizes, and every look of every sensor teaches it by Bayes' rule, so that what one
radar learns predicts the other. Before each look a small part goes back to the prior: aspects change.

Record. What size cannot explain (a secondary radar and an object that does not answer, a lobe, a jammed sector) is a
factor on the detections of one sensor for one track: blind, half or well, with probabilities, taught by the same looks.

Map. A factor for a sensor as a whole, and around that for every cell of azimuth, range and height, from traffic
whose place is known without it. Old looks fade, by new ones and by time.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion.bare import BARE
from fusion.schema import F8

LN_FALSE_ALARM = math.log(1e-6)  # of one radar cell: ties Pd to the signal in the Swerling 1 law
CERTAIN = 0.98  # no look is surer to see than this, whatever was learnt
HARDLY = 0.02  # nor does a look teach anything about size where a sensor sees next to nothing

SIZES = 9
SIZE_LEAST, SIZE_MOST = math.log(0.001), math.log(100.0)  # ln m^2: an insect-like drone to an airliner
SIZE = np.linspace(SIZE_LEAST, SIZE_MOST, SIZES)  # a step moves the range of detection by 1.43
GAIN = np.exp(SIZE)  # RCS, m^2
SIZE_SIGMA = 2.3  # of ln RCS before anything is known, around 1 m^2: 0.1 to 10 m^2 within one sigma
PRIOR = np.exp(-0.5 * (SIZE / SIZE_SIGMA) ** 2)
PRIOR /= PRIOR.sum()
BLIND, HALF = 0.05, 0.05  # prior probabilities that a sensor sees nothing, half, of what size and place promise
RECORD = np.array([BLIND, HALF])  # of a track and sensor that have not met
FORGET = 0.01  # of what is known of size and record, each look: memory of a hundred

AZIMUTHS, RANGES = 36, 12
HEIGHT_EDGES_M = (500.0, 1_500.0, 4_000.0)  # above the ellipsoid
CELLS = AZIMUTHS * RANGES * (len(HEIGHT_EDGES_M) + 1)
LOCAL = 2 + 2 * CELLS  # one sensor: expected and hits of all, then of each cell
WHOLE_LOOKS = 30.0  # expected detections after which a sensor's own record weighs as much as its declared Pd
CELL_LOOKS = 6.0  # and a cell's as much as its sensor's
WHOLE_MOST, CELL_MOST = 3_000.0, 200.0  # memory, expected detections
FACTOR_LEAST, FACTOR_MOST = (
    0.02,
    1.0,
)  # never above what is declared: replies of transponders say nothing of silent objects
MAP_S = 6 * 3600.0  # memory by time: weather, a crane, a ship before the antenna


# ---- size


@njit("float64(float64, float64)", cache=True, nogil=True, **BARE)
def weaker_1(margin: float, ln_pd: float) -> float:
    """Swerling 1: how much less an object is seen than an ordinary one at the same place, 0..1.

    `margin` is its signal over that of the reference at full range, where Pd is exp(ln_pd); from 1 on it is ordinary.
    """
    if margin >= 1.0:
        return 1.0
    return float(math.exp(LN_FALSE_ALARM / (1.0 + (LN_FALSE_ALARM / ln_pd - 1.0) * margin) - ln_pd))


@njit("float64(float64, float64, float64, float64[::1])", cache=True, nogil=True, **BARE)
def expected_1(full: float, margin: float, ln_pd: float, size: F8) -> float:
    """Probability of detection over the sizes (SIZES,) that a track may have; `margin` is that of 1 m^2."""
    total = 0.0
    for k in range(SIZES):
        total += size[k] * weaker_1(margin * GAIN[k], ln_pd)
    return full * total


@njit("float64(float64, float64, float64, float64[::1], float64[::1])", cache=True, nogil=True, **BARE)
def detection_1(full: float, margin: float, ln_pd: float, size: F8, record: F8) -> float:
    """Probability that the next look of a sensor sees a track, from all that is known, 0..CERTAIN.

    Args:
        full: of a large object at that place (coverage.full_1).
        margin: signal of 1 m^2 there over that of the reference at full range (coverage.view_1).
        ln_pd: column C_LN_PD of the sensor.
        size: (SIZES,) of the track, PRIOR at its birth.
        record: (2,) of the track and sensor, probabilities of blind and half, RECORD at its birth.
    """
    return float(min(expected_1(full, margin, ln_pd, size) * (1.0 - record[0] - 0.5 * record[1]), CERTAIN))


@njit("float64(float64, float64, float64, float64[::1], float64[::1], boolean)", cache=True, nogil=True, **BARE)
def book_1(full: float, margin: float, ln_pd: float, size: F8, record: F8, hit: bool) -> float:
    """Bayes' rule after one look, hit or missed, for the size of a track and its record with the sensor, in place.

    Arguments as detection_1, and returns what that gave before. Size and record are kept as if independent: each is
    taught with the mean of the other. A look where next to nothing can be seen teaches nothing.
    """
    if full < HARDLY:
        return detection_1(full, margin, ln_pd, size, record)
    free = 1.0 - record[0] - 0.5 * record[1]
    blind = record[0] + FORGET * (BLIND - record[0])
    half = record[1] + FORGET * (HALF - record[1])
    well = 1.0 - blind - half
    part = full * (well + 0.5 * half)
    before, expected, total = 0.0, 0.0, 0.0
    for k in range(SIZES):
        weaker = weaker_1(margin * GAIN[k], ln_pd)
        before += size[k] * weaker
        size[k] += FORGET * (PRIOR[k] - size[k])
        expected += size[k] * weaker
        seen = part * weaker
        size[k] *= seen if hit else 1.0 - seen
        total += size[k]
    expected *= full
    for k in range(SIZES):
        size[k] /= total
    if hit:
        blind = 0.0
        half *= 0.5
    else:
        half *= 1.0 - 0.5 * expected
        well *= 1.0 - expected
    total = blind + half + well
    record[0] = blind / total
    record[1] = half / total
    return float(min(full * before * free, CERTAIN))


# ---- one sensor and its surroundings


@njit("int64(float64, float64, float64)", cache=True, nogil=True, **BARE)
def cell_1(azimuth_rad: float, part_of_range: float, height_m: float) -> int:
    """Cell of a place: azimuth 0..2 pi, range over the greatest range, height above the ellipsoid."""
    a = min(max(int(azimuth_rad * (AZIMUTHS / (2.0 * math.pi))), 0), AZIMUTHS - 1)
    r = min(max(int(part_of_range * RANGES), 0), RANGES - 1)
    h = 0
    for edge_m in HEIGHT_EDGES_M:
        if height_m >= edge_m:
            h += 1
    return (h * RANGES + r) * AZIMUTHS + a


@njit("float64(float64[::1], int64)", cache=True, nogil=True, **BARE)
def local_1(local: F8, cell: int) -> float:
    """Factor on the Pd of a sensor in a cell; `local` (LOCAL,) is the sensor's row. 1 before anything was learnt."""
    whole = (local[1] + WHOLE_LOOKS) / (local[0] + WHOLE_LOOKS)
    here = (local[3 + 2 * cell] + CELL_LOOKS * whole) / (local[2 + 2 * cell] + CELL_LOOKS)
    return float(min(max(here, FACTOR_LEAST), FACTOR_MOST))


@njit("void(float64[::1], int64, float64, boolean)", cache=True, nogil=True, **BARE)
def learn_local_1(local: F8, cell: int, expected: float, hit: bool) -> None:
    """Book one look at an object whose place is known without this sensor, `expected` without the map.

    A row that is full forgets as fast as it learns.
    """
    if expected < HARDLY:
        return
    for at, most in ((0, WHOLE_MOST), (2 + 2 * cell, CELL_MOST)):
        keep = min(1.0, (most - expected) / max(local[at], 1e-9))
        local[at] = local[at] * keep + expected
        local[at + 1] = local[at + 1] * keep + (1.0 if hit else 0.0)
