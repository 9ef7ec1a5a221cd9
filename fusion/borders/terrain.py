"""Height grids: ground above mean sea level and the geoid above the ellipsoid, sampled between their nodes.

A grid is plain numbers on a regular lattice of latitude and longitude; where it comes from is the business of
`adapters.files.zonefiles`. Outside its nodes a grid knows nothing and answers NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusion.schema import F8

EARTH_M = 6_371_000.0  # a mean radius will do for steps and slopes
LATTICE = "Array(float32, 2, 'C', readonly=True), float64, float64, float64"
GRID = f"{LATTICE}, float64, float64"

# Error of 5-minute terrain (ETOPO5) against surveyed heights: about 40 m (one sigma) where the ground is below 300 m,
# 100 to 150 m above that. The ramp between is ours.
PLAIN_M = 300.0
HILLS_M = 600.0
SIGMA_PLAIN_M = 40.0
SIGMA_HILLS_M = 125.0
SIGMA_SEA_M = 5.0  # tide, surge and waves; where no node around is land


@dataclass(frozen=True, slots=True)
class Grid:
    """Values on a regular lattice of latitude and longitude (WGS84).

    Node (i, j) stands at latitude `lat0_rad + i step_rad`, longitude `lon0_rad + j step_rad`.
    """

    lat0_rad: float  # southernmost node
    lon0_rad: float  # westernmost node
    step_rad: float
    values: NDArray[np.float32]  # (rows south to north, columns west to east), metres; C order

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.dtype != np.float32 or not self.values.flags.c_contiguous:
            raise ValueError("grid values: a C-contiguous float32 array of two dimensions")
        if min(self.values.shape) < 2 or not self.step_rad > 0.0:
            raise ValueError("grid: at least 2 x 2 nodes and a positive step")

    @property
    def step_m(self) -> float:
        """Distance between two rows of nodes along a meridian, metres."""
        return self.step_rad * EARTH_M


@njit(f"float64({GRID})", cache=True, nogil=True)
def sample_1(
    values: NDArray[np.float32], lat0_rad: float, lon0_rad: float, step_rad: float, lat_rad: float, lon_rad: float
) -> float:
    """The grid at one place, bilinear between its four nodes; NaN outside the lattice."""
    rows, columns = values.shape
    y = (lat_rad - lat0_rad) / step_rad
    x = (lon_rad - lon0_rad) / step_rad
    # A billionth of a step forgives the rounding of a place that is exactly on the outer nodes.
    if not (-1e-9 <= y <= rows - 1 + 1e-9 and -1e-9 <= x <= columns - 1 + 1e-9):
        return math.nan
    i = min(max(int(y), 0), rows - 2)
    j = min(max(int(x), 0), columns - 2)
    y -= i
    x -= j
    south = (1.0 - x) * values[i, j] + x * values[i, j + 1]
    north = (1.0 - x) * values[i + 1, j] + x * values[i + 1, j + 1]
    between: float = (1.0 - y) * south + y * north
    return between


@njit(f"float64({GRID})", cache=True, nogil=True)
def slope_1(
    values: NDArray[np.float32], lat0_rad: float, lon0_rad: float, step_rad: float, lat_rad: float, lon_rad: float
) -> float:
    """Steepness of the bilinear surface at one place, metres per metre (dimensionless); 0 outside the lattice."""
    rows, columns = values.shape
    y = (lat_rad - lat0_rad) / step_rad
    x = (lon_rad - lon0_rad) / step_rad
    if not (0.0 <= y <= rows - 1 and 0.0 <= x <= columns - 1):
        return 0.0
    i = min(int(y), rows - 2)
    j = min(int(x), columns - 2)
    y -= i
    x -= j
    east = (1.0 - y) * (values[i, j + 1] - values[i, j]) + y * (values[i + 1, j + 1] - values[i + 1, j])
    north = (1.0 - x) * (values[i + 1, j] - values[i, j]) + x * (values[i + 1, j + 1] - values[i, j + 1])
    step_m = step_rad * EARTH_M
    return math.hypot(east / (step_m * max(math.cos(lat_rad), 0.01)), north / step_m)


@njit(f"float64({GRID})", cache=True, nogil=True)
def local_sigma_1(
    values: NDArray[np.float32], lat0_rad: float, lon0_rad: float, step_rad: float, lat_rad: float, lon_rad: float
) -> float:
    """One sigma of the ground's height at one place, metres: the larger of the terrain model's own error at that
    height and of the spread of the four nodes around, for valleys narrower than a step; NaN outside the lattice."""
    rows, columns = values.shape
    height_m = sample_1(values, lat0_rad, lon0_rad, step_rad, lat_rad, lon_rad)
    if math.isnan(height_m):
        return math.nan
    i = min(max(int((lat_rad - lat0_rad) / step_rad), 0), rows - 2)
    j = min(max(int((lon_rad - lon0_rad) / step_rad), 0), columns - 2)
    land = False  # within one more step around: a coarse coast may be off by one
    for a in range(max(i - 1, 0), min(i + 3, rows)):
        for b in range(max(j - 1, 0), min(j + 3, columns)):
            land = land or values[a, b] > 0.0
    if not land:
        return SIGMA_SEA_M
    mean = 0.25 * (values[i, j] + values[i, j + 1] + values[i + 1, j] + values[i + 1, j + 1])
    spread = 0.0
    for a in range(i, i + 2):
        for b in range(j, j + 2):
            spread += 0.25 * (values[a, b] - mean) ** 2
    ramp = min(max((height_m - PLAIN_M) / (HILLS_M - PLAIN_M), 0.0), 1.0)
    return max(SIGMA_PLAIN_M + ramp * (SIGMA_HILLS_M - SIGMA_PLAIN_M), math.sqrt(spread))


@njit(f"void({LATTICE}, float64[::1], float64[::1], boolean, float64[::1])", cache=True, nogil=True)
def _each(
    values: NDArray[np.float32], lat0_rad: float, lon0_rad: float, step_rad: float,
    lat_rad: F8, lon_rad: F8, sigma: bool, out: F8,
) -> None:  # fmt: skip
    for i in range(out.shape[0]):
        if sigma:
            out[i] = local_sigma_1(values, lat0_rad, lon0_rad, step_rad, lat_rad[i], lon_rad[i])
        else:
            out[i] = sample_1(values, lat0_rad, lon0_rad, step_rad, lat_rad[i], lon_rad[i])


def _at(grid: Grid, lat_rad: F8, lon_rad: F8, sigma: bool) -> F8:
    lat, lon = np.ascontiguousarray(lat_rad, np.float64), np.ascontiguousarray(lon_rad, np.float64)
    out = np.empty(lat.shape)
    _each(
        grid.values, grid.lat0_rad, grid.lon0_rad, grid.step_rad, lat.ravel(), lon.ravel(), sigma, out.reshape(-1)
    )  # fmt: skip
    return out


def sample(grid: Grid, lat_rad: F8, lon_rad: F8) -> F8:
    """The grid at places of any shape, bilinear; NaN outside."""
    return _at(grid, lat_rad, lon_rad, False)


def local_sigma_m(grid: Grid, lat_rad: F8, lon_rad: F8) -> F8:
    """One sigma of a terrain grid at places of any shape, metres; NaN outside. See `local_sigma_1`."""
    return _at(grid, lat_rad, lon_rad, True)
