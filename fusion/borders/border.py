"""The allied border out of the polygons of states: what it is, where it runs, and what lies beyond it.

The border is the outer edge of the union of all allied states, after gaps narrower than the declared accuracy are
closed (neighbours are drawn and simplified apart), and only where it faces open sea or a state whose alliance is
`other`. Where it faces a partner it is no border. Where it faces land, or the territorial sea of land, that belongs to
no state of the data, or the edge of the data itself, we do not know who is there: `no-data`, and no border either.

Overlaps of two states narrower than the accuracy or smaller than 1 km2 are slivers of drawing; larger ones, disputed.
Runs once, at load; takes and gives plain values, degrees only inside the polygons handed in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from shapely.geometry.base import BaseGeometry

from fusion import geo
from fusion.borders.segments import split
from fusion.borders.terrain import Grid
from fusion.schema import B1, F8, I1, I2

ALLIANCES = ("ally", "partner", "other")

# What the outer edge of the allied union faces.
OTHER, SEA, PARTNER, NO_DATA = 0, 1, 2, 3
Cut = tuple[float, float, float, float]
_Small = TypeVar("_Small", np.int8, np.int16)
FACING = ("other", "open-sea", "partner", "no-data")

SLIVER_M2 = 1e6  # overlaps below 1 km2 are drawing, not dispute
# Beyond a gap (an undrawn pocket, as along the Danube between Croatia and Serbia) the next state is who we face.
POCKET_M = 3_000.0
TERRITORIAL_SEA_M = 12 * 1852.0  # UNCLOS article 3
COAST_MESHES = 2.0  # a coarse terrain misses low islands and spits: the undrawn shore may lie so many steps further out
_EARTH_M = 6_371_000.0  # a sphere will do for closing, for areas and for probes; distances are geodesic elsewhere
_ROUND_DEG = 1e-7  # a vertex this close to the edge of the data lies on it (1 cm)


@dataclass(frozen=True, slots=True)
class State:
    """One state as given: `shape` is a valid polygon or multipolygon in degrees, x longitude, y latitude."""

    code: str  # ISO 3166-1 alpha-2
    name: str
    alliance: str  # one of ALLIANCES
    shape: BaseGeometry


@dataclass(frozen=True, slots=True)
class Border:
    """The traced outer edge: every piece of it, border or not. Allied ground is on the left of every piece."""

    lines: F8  # (k, 4) lat, lon, lat, lon radians
    facing: I1  # (k,) OTHER, SEA (these two are the border), PARTNER, NO_DATA
    near_state: I2  # (k,) index of the allied state that the piece belongs to
    allied: BaseGeometry  # the closed union, degrees
    disputed: BaseGeometry  # overlaps of two states that are more than slivers, degrees

    @property
    def is_border(self) -> B1:
        """(k,) True where the piece is border."""
        return np.asarray((self.facing == OTHER) | (self.facing == SEA))


@dataclass(frozen=True, slots=True)
class _Cone:
    """Conformal conic projection on the sphere: true to shape, and to scale within some percent over a continent, which
    is what closing a gap of so many metres needs (Snyder 1987, USGS 1395, 15-1 to 15-5)."""

    n: float
    f: float
    lon0_rad: float

    @classmethod
    def over(cls, bounds_deg: tuple[float, float, float, float]) -> _Cone:
        west, south, east, north = (math.radians(v) for v in bounds_deg)
        low = south + (north - south) / 6.0
        high = north - (north - south) / 6.0
        if abs(low + high) < 1e-3:  # a cone needs one side of the equator; this far off it is almost a cylinder
            low += 1e-3
        ratio = math.tan(math.pi / 4 + high / 2) / math.tan(math.pi / 4 + low / 2)
        n = math.sin(low) if abs(high - low) < 1e-9 else math.log(math.cos(low) / math.cos(high)) / math.log(ratio)
        f = math.cos(low) * math.tan(math.pi / 4 + low / 2) ** n / n
        return cls(n, f, 0.5 * (west + east))

    def flat(self, lonlat_deg: F8) -> F8:
        lon, lat = np.radians(lonlat_deg).T
        rho = _EARTH_M * self.f / np.tan(np.pi / 4 + lat / 2) ** self.n
        angle = self.n * (lon - self.lon0_rad)
        return np.column_stack([rho * np.sin(angle), -rho * np.cos(angle)])

    def back(self, flat_m: F8) -> F8:
        x, y = np.sign(self.n) * flat_m.T
        rho = np.sign(self.n) * np.hypot(x, y)
        lat = 2 * np.arctan((_EARTH_M * self.f / rho) ** (1 / self.n)) - np.pi / 2
        lon_lat: F8 = np.degrees(np.column_stack([self.lon0_rad + np.arctan2(x, -y) / self.n, lat]))
        return lon_lat


def polygons(shape: BaseGeometry) -> BaseGeometry:
    """Only the areas of a geometry: lines and points that unions and repairs leave behind are dropped."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.multipolygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])


def edges(shape: BaseGeometry) -> F8:
    """Every edge of the polygons as (k, 4) lat, lon, lat, lon radians, the area on the left of each."""
    rings = shapely.get_rings(shapely.get_parts(shapely.orient_polygons(shape)))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    lat_lon: F8 = np.radians(xy[:, ::-1])
    same = ring[1:] == ring[:-1]
    return np.hstack([lat_lon[:-1][same], lat_lon[1:][same]])


def area_m2(shape: BaseGeometry) -> float:
    """Area on the sphere of polygons in degrees, good to a percent."""
    flat = shapely.transform(
        shape, lambda xy: np.column_stack([np.radians(xy[:, 0]), np.sin(np.radians(xy[:, 1]))]) * _EARTH_M
    )
    return float(flat.area)


def disputed(states: Sequence[State], cone: _Cone, accuracy_m: float) -> BaseGeometry:
    """Overlaps of any two states of 1 km2 or more that are wider than the accuracy, joined."""
    shapes = np.asarray([s.shape for s in states])
    one, two = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < two
    parts = shapely.get_parts(shapely.get_parts(shapely.intersection(shapes[one[pairs]], shapes[two[pairs]])))
    found = [
        part
        for part in parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
        if area_m2(part) >= SLIVER_M2 and not shapely.transform(part, cone.flat).buffer(-0.5 * accuracy_m).is_empty
    ]
    return polygons(shapely.union_all(found)) if found else shapely.MultiPolygon()


def close(shape: BaseGeometry, cone: _Cone, gap_m: float) -> BaseGeometry:
    """Close gaps, notches and holes narrower than `gap_m`: grow by half of it, then shrink by the same.

    Mitred, so that the vertices that nothing happens to come back where they were."""
    if gap_m <= 0.0 or shape.is_empty:
        return fill(shape)
    flat = shapely.transform(shape, cone.flat)
    grown = shapely.buffer(flat, 0.5 * gap_m, join_style="mitre", mitre_limit=2.0)
    shrunk = shapely.buffer(grown, -0.5 * gap_m, join_style="mitre", mitre_limit=2.0)
    return fill(polygons(shapely.transform(shrunk, cone.back)))


def fill(shape: BaseGeometry) -> BaseGeometry:
    """Fill holes below `SLIVER_M2`: gaps of drawing that are short, though wider than the accuracy."""
    kept = []
    for part in shapely.get_parts(shape):
        holes = [ring for ring in part.interiors if area_m2(shapely.Polygon(ring)) >= SLIVER_M2]
        kept.append(shapely.Polygon(part.exterior, holes))
    return shapely.MultiPolygon(kept)


def _undrawn_land(states: Sequence[State], terrain: Grid, at: F8, reach_m: float) -> F8:
    """(k, 3) ECEF of terrain nodes that are land of no drawn state, within reach of any of the places `at` (n, 3).

    A node closer than `POCKET_M` to a drawn state may lie in a gap of drawing, and says nothing.
    """
    i, j = np.nonzero(terrain.values > 0.0)
    lat = np.asarray(terrain.lat0_rad + terrain.step_rad * i, np.float64)
    lon = np.asarray(terrain.lon0_rad + terrain.step_rad * j, np.float64)
    node = geo.ecef(lat, lon, np.zeros(len(lat)))
    near = np.isfinite(cKDTree(at).query(node, distance_upper_bound=reach_m)[0]) if len(node) else np.zeros(0, np.bool_)
    lat, lon, node = lat[near], lon[near], node[near]
    shapes = [s.shape for s in states]
    drawn = _inside_any(shapes, lat, lon)
    for turn in np.arange(8) * (np.pi / 4):
        north = float(np.cos(turn)) * POCKET_M / _EARTH_M
        east = float(np.sin(turn)) * POCKET_M / _EARTH_M / np.cos(lat)
        drawn |= _inside_any(shapes, np.asarray(lat + north, np.float64), np.asarray(lon + east, np.float64))
    return node[~drawn]


def _inside_any(shapes: Sequence[BaseGeometry], lat_rad: F8, lon_rad: F8) -> B1:
    """(n,) True where the place is in any of the shapes."""
    out = np.zeros(len(lat_rad), np.bool_)
    for shape in shapes:
        shapely.prepare(shape)
        out |= shapely.contains_xy(shape, np.degrees(lon_rad), np.degrees(lat_rad))
    return out


def _beside(lines: F8, offset_m: float) -> tuple[F8, F8]:
    """(lat, lon) of points `offset_m` to the right (outside) of the middle of each line; negative: to the left."""
    lat, lon = 0.5 * (lines[:, 0] + lines[:, 2]), 0.5 * (lines[:, 1] + lines[:, 3])
    north = lines[:, 2] - lines[:, 0]
    east = (lines[:, 3] - lines[:, 1]) * np.cos(lat)
    length = np.maximum(np.hypot(north, east), 1e-15)
    reach = offset_m / _EARTH_M / length
    return lat - east * reach, lon + north * reach / np.cos(lat)


def _probes(accuracy_m: float) -> F8:
    """Distances beside an edge at which to look, from just beyond the accuracy to across a pocket."""
    first_m = max(2.0 * accuracy_m, 1.0)
    return np.geomspace(first_m, max(POCKET_M, 2.0 * first_m), 8)


def _as_before(found: NDArray[_Small]) -> NDArray[_Small]:
    """What a line did not find (-1) it takes from the line before it, which it touches."""
    known = np.flatnonzero(found >= 0)
    if not len(known):
        return found
    before = np.searchsorted(known, np.arange(len(found)), side="right") - 1
    return found[known[np.maximum(before, 0)]]


def _facing(states: Sequence[State], lines: F8, allied: BaseGeometry, terrain: Grid, accuracy_m: float) -> I1:
    """(k,) what each line of the outer edge faces, by probes further and further out until one finds a state."""
    found = np.full(len(lines), -1, np.int8)
    undrawn = np.zeros(len(lines), np.bool_)  # some probe came out where nobody is
    by_kind = [
        (kind, [s.shape for s in states if s.alliance == alliance])
        for kind, alliance in ((OTHER, "other"), (PARTNER, "partner"))
    ]
    for offset_m in _probes(accuracy_m):
        rest = np.flatnonzero(found < 0)
        lat, lon = _beside(lines[rest], offset_m)
        for kind, shapes in by_kind:
            hit = (found[rest] < 0) & _inside_any(shapes, lat, lon)
            found[rest[hit]] = kind
        undrawn[rest] |= (found[rest] < 0) & ~_inside_any([allied], lat, lon)
    rest = np.flatnonzero((found < 0) & undrawn)
    found[rest] = SEA
    if len(rest):
        middle = 0.5 * (lines[rest, :2] + lines[rest, 2:])
        at = geo.ecef(middle[:, 0], middle[:, 1], np.zeros(len(rest)))
        reach_m = TERRITORIAL_SEA_M + COAST_MESHES * terrain.step_rad * _EARTH_M
        land = _undrawn_land(states, terrain, at, reach_m)
        if len(land):
            found[rest[np.isfinite(cKDTree(land).query(at, distance_upper_bound=reach_m)[0])]] = NO_DATA
    return _as_before(found)  # a narrow inlet, where every probe comes out over allied ground again


def _cut_edges(lines: F8, cut: Cut) -> B1:
    """(k,) lines that lie on the box to which the data were clipped: cut off by the data, not by anybody's border."""
    west, south, east, north = cut
    on = np.zeros(len(lines), np.bool_)
    for column, value in ((0, south), (0, north), (1, west), (1, east)):
        on |= np.abs(np.degrees(lines[:, [column, column + 2]]) - value).max(axis=1) < _ROUND_DEG
    return on


def _near_state(states: Sequence[State], lines: F8, accuracy_m: float) -> I2:
    """(k,) the allied state that each line belongs to: the first that a probe inwards finds."""
    allied = [i for i, s in enumerate(states) if s.alliance == "ally"]
    out = np.full(len(lines), -1, np.int16)
    for offset_m in _probes(0.5 * accuracy_m):
        rest = np.flatnonzero(out < 0)
        lat, lon = _beside(lines[rest], -offset_m)
        for i in allied:
            hit = (out[rest] < 0) & _inside_any([states[i].shape], lat, lon)
            out[rest[hit]] = i
    return _as_before(out)  # needle-sharp corners, where every probe comes out on the far side


def trace(states: Sequence[State], terrain: Grid, accuracy_m: float, cut: Cut | None = None) -> Border:
    """Trace the outer edge of the allied union and say what each piece of it faces.

    `cut`: west, south, east, north in degrees to which the data were clipped, where they were. Where the terrain grid
    does not reach, land without a state cannot be told from sea: it counts as sea, so that no border is lost.
    """
    allied_shapes = [s.shape for s in states if s.alliance == "ally"]
    if not allied_shapes:
        empty = shapely.MultiPolygon()
        return Border(np.empty((0, 4)), np.empty(0, np.int8), np.empty(0, np.int16), empty, empty)
    cone = _Cone.over(tuple(shapely.total_bounds([s.shape for s in states])))
    allied = close(shapely.union_all(allied_shapes), cone, accuracy_m)
    lines = edges(allied)
    lines, _ = split(lines, np.zeros(len(lines), np.int16))
    facing = _facing(states, lines, allied, terrain, accuracy_m)
    if cut is not None:
        facing[_cut_edges(lines, cut)] = NO_DATA
    return Border(lines, facing, _near_state(states, lines, accuracy_m), allied, disputed(states, cone, accuracy_m))


def band(allied: BaseGeometry, lines: F8, width_m: float) -> BaseGeometry:
    """Ground within `width_m` outside the border, degrees: for drawing, true within some percent.

    `lines`: (k, 4) lat, lon, lat, lon radians; `allied`: what lies inside, degrees.
    """
    if not len(lines):
        return shapely.MultiPolygon()
    degrees = np.degrees(lines)
    cone = _Cone.over((degrees[:, 1].min(), degrees[:, 0].min(), degrees[:, 1].max(), degrees[:, 0].max()))
    pieces = shapely.linestrings(degrees[:, [1, 0, 3, 2]].reshape(-1, 2, 2))
    flat = shapely.transform(shapely.line_merge(shapely.multilinestrings(pieces)), cone.flat).simplify(width_m / 30.0)
    around = shapely.transform(shapely.buffer(flat, width_m, quad_segs=6).simplify(width_m / 100.0), cone.back)
    return polygons(shapely.difference(around, allied))
