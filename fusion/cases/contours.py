"""Contours of probability around a cloud of possible places: the smallest area that holds 50 or 90 % of them.

The cloud is counted in the cells of a grid laid along its course, smoothed, and cells are taken in order of density
until they hold the probability. Their outline is the contour; holes are filled, small bits are left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.ndimage import binary_closing

from fusion import geo
from fusion.cases.record import Contour
from fusion.cases.whereabouts import Cloud
from fusion.schema import B1, F8, I8

GRID = 64  # cells along each side
EDGE = 10  # of them outside the cloud, for the smoothing
OUT = 0.002  # of the places on each side are beyond the grid, and count for its outermost cells
CELL_M = 20.0  # the smallest
BLURS = (8.0, 4.5, 2.5, 1.4)  # cells, one sigma of a blur: the narrowest that still rests on enough places is used,
ENOUGH = 60.0  # which is so many under the blur
PARTS_FROM = 0.03  # of the places in the air, or down: fewer of them have no contour of their own
MOST_RINGS = 6  # of a contour
MOST_POINTS = 160  # of a contour: both, exact, are a quarter of a message
TRIES = 4  # outlines drawn until one holds what it shall, and
CLOSE = 0.02  # not more than so much beyond
PLACES_DEG = 5  # decimals of a degree, 1 m


@dataclass(frozen=True, slots=True)
class _Grid:
    """Cells along a course: first edge and step along and across, metres."""

    along: tuple[float, float]
    across: tuple[float, float]

    def count(self, along: F8, across: F8) -> F8:
        """How many places lie in each cell, (GRID, GRID)."""
        (a0, a), (b0, b) = self.along, self.across
        rows = np.clip(np.floor((along - a0) / a), 0, GRID - 1).astype(np.int64)
        columns = np.clip(np.floor((across - b0) / b), 0, GRID - 1).astype(np.int64)
        flat = np.bincount(rows * GRID + columns, minlength=GRID * GRID)
        return flat.astype(np.float64).reshape(GRID, GRID)


@dataclass(frozen=True, slots=True)
class _Part:
    """The places in the air, or those on the ground."""

    counts: F8  # (GRID * GRID,)
    order: I8  # cells by falling density
    held: F8  # share of the density in the first so many


def contours(cloud: Cloud, lat_rad: float, lon_rad: float, along_rad: float, wanted: Sequence[float]) -> list[Contour]:
    """One contour for each of `wanted` (probabilities, rising), about a place, on a grid laid along a course.

    Each holds its probability of the places in the air, and also of those on the ground: nobody knows which it is.
    """
    s, c = (math.sin(along_rad), math.cos(along_rad)) if math.isfinite(along_rad) else (0.0, 1.0)
    along, across = cloud.east_m * s + cloud.north_m * c, cloud.east_m * c - cloud.north_m * s
    grid = _Grid(_axis(along), _axis(across))
    masks = [mask for mask in (cloud.flying, ~cloud.flying) if np.count_nonzero(mask) >= PARTS_FROM * len(mask)]
    parts = [_part(grid.count(along[mask], across[mask])) for mask in masks]
    found = []
    for probability in wanted:
        shapes = _outline(grid, parts, probability)
        rings = tuple(_ring(shape, s, c, lat_rad, lon_rad) for shape in shapes)
        found.append(Contour(float(probability), float(sum(shape.area for shape in shapes)), rings))
    return found


def _axis(values: F8) -> tuple[float, float]:
    """Start and step of the cells along one axis."""
    ordered = np.sort(values)
    cut = int(OUT * len(values))
    low, high = float(ordered[cut]), float(ordered[-1 - cut])
    step = max((high - low) / (GRID - 2 * EDGE), CELL_M)
    return (low + high) / 2.0 - step * GRID / 2.0, step


def _part(counts: F8) -> _Part:
    density = _smooth(counts).ravel()
    order = np.argsort(-density, kind="stable")
    return _Part(counts.ravel(), order, np.cumsum(density[order]) / density.sum())


def _blur_matrix(sigma: float) -> F8:
    """(GRID, GRID) weights of one blur along one axis; what would fall out stays in."""
    x = np.arange(GRID)
    weights = np.exp(-0.5 * ((x[:, None] - x[None, :]) / sigma) ** 2)
    return np.asarray(weights / weights.sum(axis=0), np.float64)


_BLURS = tuple(_blur_matrix(sigma) for sigma in BLURS)


def _smooth(counts: F8) -> F8:
    """Wide where places are few, narrow where they are many."""
    density: F8 | None = None
    for sigma, matrix in zip(BLURS, _BLURS, strict=True):
        narrower = matrix @ counts @ matrix.T
        part = np.minimum(4.0 * np.pi * sigma**2 * narrower / ENOUGH, 1.0)
        density = narrower if density is None else part * narrower + (1.0 - part) * density
    assert density is not None
    return density


def _outline(grid: _Grid, parts: Sequence[_Part], probability: float) -> list[shapely.Polygon]:
    """The smallest outline found that holds the probability of every part, the largest polygon first."""
    asked, best = [probability] * len(parts), np.ones((GRID, GRID), np.bool_)
    for _ in range(TRIES):
        inside = np.zeros(GRID * GRID, np.bool_)
        for part, share in zip(parts, asked, strict=True):
            inside[part.order[: int(np.searchsorted(part.held, share)) + 1]] = True
        cells = _closed(inside.reshape(GRID, GRID))
        within = cells.ravel()
        holds = [float(part.counts[within].sum() / part.counts.sum()) for part in parts]
        if min(holds) >= probability and np.count_nonzero(cells) < np.count_nonzero(best):
            best = cells
        if all(probability <= share <= probability + CLOSE for share in holds):
            break
        # Cells hold more than was asked (gaps are closed, one part's lie in the other's) or less: ask accordingly.
        out = [(1.0 - probability - 0.5 * CLOSE) / max(1.0 - share, 0.002) for share in holds]
        asked = [min(max(1.0 - (1.0 - a) * o, 0.05), 0.999) for a, o in zip(asked, out, strict=True)]
    return _drawn(grid, best)


def _closed(cells: B1) -> B1:
    """The same without gaps of a cell or two."""
    return np.asarray(binary_closing(np.pad(cells, 2), np.ones((3, 3), np.bool_))[2:-2, 2:-2], np.bool_)


def _drawn(grid: _Grid, inside: B1) -> list[shapely.Polygon]:
    """Outlines of cells in metres (across, along): holes filled, few points."""
    (a0, a), (b0, b) = grid.along, grid.across
    steps = np.diff(np.pad(inside.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, first = np.nonzero(steps == 1)
    _, last = np.nonzero(steps == -1)
    union = shapely.union_all(shapely.box(b0 + first * b, a0 + rows * a, b0 + last * b, a0 + (rows + 1) * a))
    union = union.buffer(0.2 * min(a, b), join_style="mitre")  # cells that touch at a corner are one; corners get cut
    shapes = [shapely.Polygon(shape.exterior) for shape in getattr(union, "geoms", [union])]
    shapes.sort(key=lambda shape: (-shape.area, shape.bounds))
    tolerance = 0.6 * min(a, b)
    while True:
        few = [shape.simplify(tolerance) for shape in shapes[:MOST_RINGS]]
        if sum(len(shape.exterior.coords) for shape in few) <= MOST_POINTS:
            return few
        tolerance *= 1.5


def _ring(part: shapely.Polygon, s: float, c: float, lat_rad: float, lon_rad: float) -> tuple[tuple[float, float], ...]:
    across, along = np.asarray(shapely.orient_polygons(part).exterior.coords).T
    east, north = along * s + across * c, along * c - across * s
    lat, lon, _ = geo.direct(lat_rad, lon_rad, np.mod(np.arctan2(east, north), 2.0 * np.pi), np.hypot(east, north))
    lat, lon = np.radians(np.round(np.degrees(lat), PLACES_DEG)), np.radians(np.round(np.degrees(lon), PLACES_DEG))
    return tuple(zip(lat.tolist(), lon.tolist(), strict=True))
