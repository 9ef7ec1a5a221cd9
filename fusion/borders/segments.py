"""Many short border segments and large areas, laid out so that one place finds its nearest segment in microseconds.

Two structures on plain arrays, both exact, both built once:

`Segments`  a tree of boxes over segments in ECEF on the ellipsoid, for the nearest point and for the first crossing of
            a straight path. Nearest by straight line in space is nearest over ground: at 100 km the two differ by the
            earth's flattening only, about a centimetre.
`Areas`     polygon edges sorted into bands of latitude, for "which polygons hold this place" by counting crossings.

Lines between vertices are straight in longitude and latitude, as GeoJSON (RFC 7946, 3.1.1) has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba import types as numba_types

from fusion import geo
from fusion.schema import F8, I2, I8

LEAF = 8  # segments in one leaf of the tree
STEP_RAD = math.radians(0.01)  # longest piece, 1.1 km: a chord this short stays within 5 cm of its lon-lat line at 72 N
BAND_RAD = math.radians(0.02)  # height of a latitude band, 2.2 km: tens of edges a band for a detailed border
_STACK = 128  # the tree is 25 deep at 200 million segments; one open sibling a level


class Segments(NamedTuple):
    """k directed segments of at most about 1 km, in a tree of boxes (heap order: children of i are 2i and 2i + 1)."""

    boxes: F8  # (nodes, 6) lowest x y z, highest x y z, ECEF metres; row 0 unused, row 1 the root
    ends: F8  # (k, 6) ECEF of both ends at height 0
    places: F8  # (k, 4) lat, lon of the first end, lat, lon of the second, radians
    owner: I2  # (k,) index of a state


class Areas(NamedTuple):
    """Layers of polygons for containment; a place is in a layer when it is in any of its polygons."""

    edges: F8  # (e, 4) lat, lon, lat, lon radians, band by band
    start: I8  # (bands + 1,) first edge of every band of every layer
    bounds: F8  # (layers, 4) lowest lat, highest lat, lowest lon, highest lon; NaN for an empty layer
    first: I8  # (layers,) first band of every layer


# The same two, as the compiled code knows them. Numba's own types carry no annotations.
types: Any = numba_types
_F8_2D = types.float64[:, ::1]
SEGMENTS = types.NamedTuple((_F8_2D, _F8_2D, _F8_2D, types.int16[::1]), Segments)
AREAS = types.NamedTuple((_F8_2D, types.int64[::1], _F8_2D, types.int64[::1]), Areas)
_NEAREST = types.Tuple((types.int64, types.float64, types.float64))
_CROSSING = types.Tuple((types.int64, types.float64))


def split(lines: F8, owner: I2) -> tuple[F8, I2]:
    """Cut (k, 4) lat-lon-lat-lon lines into equal pieces no longer than `STEP_RAD` in latitude or longitude."""
    span = np.maximum(np.abs(lines[:, 2] - lines[:, 0]), np.abs(lines[:, 3] - lines[:, 1]))
    pieces = np.maximum(np.ceil(span / STEP_RAD), 1.0).astype(np.int64)
    row = np.repeat(np.arange(len(lines)), pieces)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    a = (nth / pieces[row])[:, None]
    b = ((nth + 1) / pieces[row])[:, None]
    p, q = lines[row, :2], lines[row, 2:]
    # A blend by two weights gives the end vertices exactly, so that neighbouring pieces meet without a gap.
    return np.ascontiguousarray(np.hstack([(1.0 - a) * p + a * q, (1.0 - b) * p + b * q])), owner[row]


def segments(lines: F8, owner: I2) -> Segments:
    """Build the tree over (k, 4) lat, lon, lat, lon lines in radians, in the given direction and order."""
    places, who = split(np.asarray(lines, np.float64).reshape(-1, 4), np.asarray(owner, np.int16))
    zero = np.zeros(len(places))
    ends = np.hstack([geo.ecef(places[:, 0], places[:, 1], zero), geo.ecef(places[:, 2], places[:, 3], zero)])
    leaves = max(-(-len(places) // LEAF), 1)
    width = 1 << (leaves - 1).bit_length()
    boxes = np.empty((2 * width, 6))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    if len(places):
        at = np.arange(0, len(places), LEAF)
        boxes[width : width + leaves, :3] = np.minimum.reduceat(np.minimum(ends[:, :3], ends[:, 3:]), at)
        boxes[width : width + leaves, 3:] = np.maximum.reduceat(np.maximum(ends[:, :3], ends[:, 3:]), at)
    while width > 1:
        width //= 2
        below = boxes[2 * width : 4 * width]
        boxes[width : 2 * width, :3] = np.minimum(below[0::2, :3], below[1::2, :3])
        boxes[width : 2 * width, 3:] = np.maximum(below[0::2, 3:], below[1::2, 3:])
    return Segments(boxes, np.ascontiguousarray(ends), places, who)


def areas(layers: Sequence[F8]) -> Areas:
    """Sort the edges of every layer, each (k, 4) lat, lon, lat, lon in radians, into bands of latitude."""
    edges, start, bounds, first = [np.empty((0, 4))], [np.zeros(1, np.int64)], np.full((len(layers), 4), np.nan), []
    total = bands = 0
    for layer, lines in enumerate(layers):
        first.append(bands)
        if not len(lines):
            continue
        low, high = np.minimum(lines[:, 0], lines[:, 2]), np.maximum(lines[:, 0], lines[:, 2])
        bounds[layer] = (low.min(), high.max(), lines[:, [1, 3]].min(), lines[:, [1, 3]].max())
        from_band = ((low - bounds[layer, 0]) / BAND_RAD).astype(np.int64)
        to_band = ((high - bounds[layer, 0]) / BAND_RAD).astype(np.int64)
        count = to_band - from_band + 1
        row = np.repeat(np.arange(len(lines)), count)
        band = from_band[row] + np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        order = np.argsort(band, kind="stable")
        edges.append(lines[row[order]])
        size = np.bincount(band, minlength=int(to_band.max()) + 1)
        start.append(total + np.cumsum(size))
        total += len(row)
        bands += len(size)
    return Areas(np.ascontiguousarray(np.vstack(edges)), np.concatenate(start), bounds, np.asarray(first, np.int64))


@njit(types.boolean(AREAS, types.int64, types.float64, types.float64), cache=True, nogil=True)
def contains_1(held: Areas, layer: int, lat_rad: float, lon_rad: float) -> bool:
    """Is the place in a polygon of the layer (even-odd rule, so that holes are outside)?"""
    bounds = held.bounds
    edges = held.edges
    if not (bounds[layer, 0] <= lat_rad <= bounds[layer, 1] and bounds[layer, 2] <= lon_rad <= bounds[layer, 3]):
        return False
    band = held.first[layer] + int((lat_rad - bounds[layer, 0]) / BAND_RAD)
    inside = False
    for e in range(held.start[band], held.start[band + 1]):
        a = edges[e, 0]
        b = edges[e, 2]
        # Half open in latitude: a vertex exactly at this latitude counts once.
        if (a > lat_rad) != (b > lat_rad):
            at_rad = edges[e, 1] + (lat_rad - a) / (b - a) * (edges[e, 3] - edges[e, 1])
            if lon_rad < at_rad:
                inside = not inside
    return inside


@njit("float64(float64[:, ::1], int64, float64, float64, float64)", cache=True, nogil=True, inline="always")
def _box_distance2_1(boxes: F8, node: int, x: float, y: float, z: float) -> float:
    """Squared distance from a point to a box; 0 inside."""
    dx = max(boxes[node, 0] - x, 0.0, x - boxes[node, 3])
    dy = max(boxes[node, 1] - y, 0.0, y - boxes[node, 4])
    dz = max(boxes[node, 2] - z, 0.0, z - boxes[node, 5])
    square: float = dx * dx + dy * dy + dz * dz
    return square


@njit("UniTuple(float64, 2)(float64[:, ::1], int64, float64, float64, float64)", cache=True, nogil=True)
def to_segment_1(ends: F8, k: int, x: float, y: float, z: float) -> tuple[float, float]:
    """(squared distance, fraction 0..1 along the segment) of the nearest point of segment k."""
    ax = ends[k, 0]
    ay = ends[k, 1]
    az = ends[k, 2]
    dx = ends[k, 3] - ax
    dy = ends[k, 4] - ay
    dz = ends[k, 5] - az
    length2 = dx * dx + dy * dy + dz * dz
    along = 0.0
    if length2 > 0.0:
        along = min(max(((x - ax) * dx + (y - ay) * dy + (z - az) * dz) / length2, 0.0), 1.0)
    ex = ax + along * dx - x
    ey = ay + along * dy - y
    ez = az + along * dz - z
    return ex * ex + ey * ey + ez * ez, along


@njit(_NEAREST(SEGMENTS, types.float64, types.float64, types.float64, types.float64), cache=True, nogil=True)
def nearest_1(tree: Segments, x_m: float, y_m: float, z_m: float, within_m: float) -> tuple[int, float, float]:
    """The nearest segment to an ECEF point: (segment, fraction along it, straight distance in metres).

    Segment -1 and an infinite distance when none is within `within_m`.
    """
    boxes = tree.boxes
    ends = tree.ends
    best = -1
    best_along = 0.0
    best2 = within_m * within_m
    width = boxes.shape[0] // 2
    stack = np.empty(_STACK, np.int64)
    stack[0] = 1
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if _box_distance2_1(boxes, node, x_m, y_m, z_m) >= best2:
            continue
        if node < width:
            left = 2 * node
            if _box_distance2_1(boxes, left, x_m, y_m, z_m) <= _box_distance2_1(boxes, left + 1, x_m, y_m, z_m):
                stack[top] = left + 1
                stack[top + 1] = left
            else:
                stack[top] = left
                stack[top + 1] = left + 1
            top += 2
            continue
        for k in range((node - width) * LEAF, min((node - width + 1) * LEAF, ends.shape[0])):
            d2, along = to_segment_1(ends, k, x_m, y_m, z_m)
            if d2 < best2:
                best2 = d2
                best = k
                best_along = along
    return best, best_along, math.sqrt(best2) if best >= 0 else math.inf


@njit("float64(float64[:, ::1], int64, float64[::1])", cache=True, nogil=True)
def _box_ahead_1(boxes: F8, node: int, path: F8) -> float:
    """Squared distance to a box that the path's plane cuts ahead of its start; infinite when it does not."""
    if boxes[node, 0] > boxes[node, 3]:
        return math.inf
    side = 0.0
    reach = 0.0
    ahead = 0.0
    for axis in range(3):
        middle = 0.5 * (boxes[node, axis] + boxes[node, axis + 3]) - path[axis]
        half = 0.5 * (boxes[node, axis + 3] - boxes[node, axis])
        side += path[6 + axis] * middle
        reach += abs(path[6 + axis]) * half
        ahead += path[3 + axis] * middle + abs(path[3 + axis]) * half
    if abs(side) > reach or ahead < 0.0:
        return math.inf
    return _box_distance2_1(boxes, node, path[0], path[1], path[2])


@njit("UniTuple(float64, 2)(float64[:, ::1], int64, float64[::1])", cache=True, nogil=True)
def _cross_1(ends: F8, k: int, path: F8) -> tuple[float, float]:
    """(squared distance from the path's start, fraction along segment k) where the path crosses it towards its left
    side; infinite when it does not, or crosses the other way."""
    a = 0.0
    b = 0.0
    for axis in range(3):
        a += path[6 + axis] * (ends[k, axis] - path[axis])
        b += path[6 + axis] * (ends[k, axis + 3] - path[axis])
    if not a >= 0.0 > b:
        return math.inf, 0.0
    along = a / (a - b)
    ahead = 0.0
    d2 = 0.0
    for axis in range(3):
        q = ends[k, axis] + along * (ends[k, axis + 3] - ends[k, axis]) - path[axis]
        ahead += path[3 + axis] * q
        d2 += q * q
    return (d2 if ahead > 0.0 else math.inf), along


@njit(_CROSSING(SEGMENTS, types.float64[::1], types.float64), cache=True, nogil=True)
def crossing_1(tree: Segments, path: F8, within_m: float) -> tuple[int, float]:
    """The first segment that a straight path crosses from its right side to its left: (segment, fraction along it).

    `path` (9,): ECEF start at height 0, then the horizontal unit vectors ahead and to the left. The path is
    the normal section, within decimetres of the geodesic over 500 km. Segment -1 when there is none within `within_m`.
    """
    boxes = tree.boxes
    ends = tree.ends
    best = -1
    best_along = 0.0
    best2 = within_m * within_m
    width = boxes.shape[0] // 2
    stack = np.empty(_STACK, np.int64)
    stack[0] = 1
    top = 1
    while top > 0:
        top -= 1
        node = stack[top]
        if _box_ahead_1(boxes, node, path) >= best2:
            continue
        if node < width:
            left = 2 * node
            if _box_ahead_1(boxes, left, path) <= _box_ahead_1(boxes, left + 1, path):
                stack[top] = left + 1
                stack[top + 1] = left
            else:
                stack[top] = left
                stack[top + 1] = left + 1
            top += 2
            continue
        for k in range((node - width) * LEAF, min((node - width + 1) * LEAF, ends.shape[0])):
            d2, along = _cross_1(ends, k, path)
            if d2 < best2:
                best2 = d2
                best = k
                best_along = along
    return best, best_along
