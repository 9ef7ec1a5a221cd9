"""Places that are watched over more than the rest: airports, bases, cities, training areas, and how far they are.

Areas are polygons (a circle is one of 72 corners) with an id, a kind and a severity of their own. They lie in the same
tree as border segments and in a grid of cells of a quarter degree, so that thousands of them cost a track what a dozen
do. Distances are horizontal, positive outside; floor and ceiling are above ground and decide only what is within: an
object of unknown height is within.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from fusion import geo
from fusion.borders import border
from fusion.borders.outlook import KINDS, MOST_AREAS, Area
from fusion.borders.segments import (
    AREAS,
    SEGMENTS,
    Areas,
    Segments,
    areas,
    contains_1,
    nearest_1,
    segments,
    to_segment_1,
    types,
)
from fusion.schema import B1, F8, I2, I8

REACH_M = 100_000.0  # a place further away than this is nobody's neighbour: half an hour at 55 m/s
CELL_RAD = math.radians(0.25)


class _Held(NamedTuple):
    """All that the compiled loop reads."""

    tree: Segments
    areas: Areas  # one layer an area
    first: I8  # (areas + 1,) first segment of each area; they stand in the tree area by area
    severity: I8  # (areas,)
    cells: I8  # area numbers, cell by cell
    cell: I8  # (rows * columns + 1,) first of each cell
    grid: F8  # (4,) lowest lat, lowest lon, rows, columns


_ROW = types.float64[::1]
_INTS = types.int64[::1]
_HELD = types.NamedTuple((SEGMENTS, AREAS, _INTS, _INTS, _INTS, _INTS, _ROW), _Held)
_WHERE = types.Tuple((types.int64, types.float64))


@njit(_WHERE(_HELD, types.float64, types.float64), cache=True, nogil=True)
def where_1(held: _Held, lat_rad: float, lon_rad: float) -> tuple[int, float]:
    """(area, signed distance): the most severe one that holds the place, else the nearest; -1: none within reach."""
    within = -1
    row = math.floor((lat_rad - held.grid[0]) / CELL_RAD)
    column = math.floor((lon_rad - held.grid[1]) / CELL_RAD)
    if 0.0 <= row < held.grid[2] and 0.0 <= column < held.grid[3]:
        at = int(row * held.grid[3] + column)
        for i in range(held.cell[at], held.cell[at + 1]):
            area = held.cells[i]
            if (within < 0 or held.severity[area] < held.severity[within]) and contains_1(
                held.areas, area, lat_rad, lon_rad
            ):
                within = area
    x, y, z = geo.ecef_1(lat_rad, lon_rad, 0.0)
    if within < 0:
        k, _, away = nearest_1(held.tree, x, y, z, REACH_M)
        return (int(held.tree.owner[k]), away) if k >= 0 else (-1, math.nan)
    least2 = math.inf
    for k in range(held.first[within], held.first[within + 1]):
        d2, _ = to_segment_1(held.tree.ends, k, x, y, z)
        least2 = min(least2, d2)
    return within, -math.sqrt(least2)


@njit(types.void(_HELD, _ROW, _ROW, _INTS, _ROW), cache=True, nogil=True)
def _where(held: _Held, lat: F8, lon: F8, area: I8, distance: F8) -> None:
    for row in range(lat.shape[0]):
        if not math.isnan(lat[row]):
            area[row], distance[row] = where_1(held, lat[row], lon[row])


@dataclass(frozen=True, slots=True)
class Protected:
    """All areas, in order of place. Made by `build`."""

    areas: tuple[Area, ...]
    floor_m: F8  # (areas,)
    ceiling_m: F8
    accuracy_m: F8
    severity: I8
    kind: I2  # index into KINDS
    held: _Held

    def where(self, lat_rad: F8, lon_rad: F8) -> tuple[I8, F8]:
        """(n,) the most severe area that holds each place, else the nearest within reach, -1 none; and its distance."""
        area, distance = np.full(len(lat_rad), -1, np.int64), np.full(len(lat_rad), np.nan)
        if self.areas:
            _where(self.held, np.ascontiguousarray(lat_rad), np.ascontiguousarray(lon_rad), area, distance)
        return area, distance

    def at_height(self, area: I8, agl_m: F8) -> B1:
        """(n,) whether a height above ground is between floor and ceiling; unknown is. Area -1 is False."""
        if not self.areas:
            return np.zeros(len(area), np.bool_)
        known = ~np.isnan(agl_m)
        out = known & ((agl_m < self.floor_m[area]) | (agl_m > self.ceiling_m[area]))
        return np.asarray(~out & (area >= 0), np.bool_)


def build(given: Sequence[Area]) -> Protected:
    """Lay the areas out for looking up.

    Raises:
        ValueError: two of one id, or more than `MOST_AREAS`.
    """
    ids = [area.id for area in given]
    if len(ids) != len(dict.fromkeys(ids)) or len(ids) > MOST_AREAS:
        raise ValueError(f"every area needs an id of its own, and there are at most {MOST_AREAS}")
    # Neighbours stand together in the tree, whatever the order of the file.
    placed = sorted(given, key=lambda a: (math.floor(a.shape.bounds[1]), a.shape.bounds[0], a.id))
    lines = [border.edges(border.polygons(area.shape)) for area in placed]
    owner = np.repeat(np.arange(len(placed)), [len(e) for e in lines]).astype(np.int16)
    tree = segments(np.vstack([np.empty((0, 4)), *lines]), owner)
    first = np.searchsorted(tree.owner, np.arange(len(placed) + 1)).astype(np.int64)
    severity = np.array([area.severity for area in placed], np.int64)
    layers = areas(lines)
    cells, cell, grid = _cells(layers.bounds)
    return Protected(
        areas=tuple(placed),
        floor_m=np.array([area.floor_m for area in placed]),
        ceiling_m=np.array([area.ceiling_m for area in placed]),
        accuracy_m=np.array([area.accuracy_m for area in placed]),
        severity=severity,
        kind=np.array([KINDS.index(area.kind) for area in placed], np.int16),
        held=_Held(tree, layers, first, severity, cells, cell, grid),
    )


def _cells(bounds: F8) -> tuple[I8, I8, F8]:
    """(area numbers cell by cell, first of each cell, grid) of boxes (n, 4) lowest and highest lat, lon."""
    if not len(bounds):
        return np.empty(0, np.int64), np.zeros(1, np.int64), np.zeros(4)
    south, west = bounds[:, 0].min(), bounds[:, 2].min()
    rows = math.floor((bounds[:, 1].max() - south) / CELL_RAD) + 1
    columns = math.floor((bounds[:, 3].max() - west) / CELL_RAD) + 1
    here: list[I8] = []
    for area, (low, high, left, right) in enumerate(bounds):
        r = np.arange(math.floor((low - south) / CELL_RAD), math.floor((high - south) / CELL_RAD) + 1)
        c = np.arange(math.floor((left - west) / CELL_RAD), math.floor((right - west) / CELL_RAD) + 1)
        at = (r[:, None] * columns + c[None, :]).ravel()
        here.append(np.column_stack([at, np.full(len(at), area)]).astype(np.int64))
    pairs = np.vstack(here)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    first = np.searchsorted(pairs[:, 0], np.arange(rows * columns + 1)).astype(np.int64)
    return np.ascontiguousarray(pairs[:, 1]), first, np.array([south, west, rows, columns], np.float64)
