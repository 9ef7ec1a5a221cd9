"""One polygon out of rings of positions as a file gives them, or why it is none, and the cure.

Shared by every file with polygons that are drawn by hand. Borders are too large to be refused for a knot and are
repaired (`adapters/files/zonefiles.py`); what somebody drew is not: a repair would be a guess at what was meant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry.base import BaseGeometry

from fusion.borders.outlook import circle
from fusion.schema import SensorSpec

WIDEST_DEG = 5.0  # of an area, so that ten thousand of them fit a grid of quarter degrees
BESIDE_DEG = (15.0, 10.0)  # of longitude, latitude beside the sensors: where an area may well lie

Ring = Sequence[Sequence[float]]
Box = tuple[float, float, float, float]  # west, south, east, north in degrees


@dataclass(slots=True)
class BadPolygon(Exception):
    """What is wrong with it, and what to do."""

    problem: str
    cure: str


@dataclass(frozen=True, slots=True)
class Round:
    """A circle as a file gives it; None: not given."""

    lat_deg: float | None = None
    lon_deg: float | None = None
    radius_m: float | None = None


def shape_of(polygons: Sequence[Sequence[Ring]] | None, around: Round, box: Box | None = None) -> BaseGeometry:
    """What a file draws in one of two ways: polygons (rings each, the outer one first), or a circle.

    Raises:
        BadPolygon: both, none, one that `polygon_of` refuses, one wider than `WIDEST_DEG`.
    """
    circular = (around.lat_deg, around.lon_deg, around.radius_m)
    if polygons is not None:
        if any(value is not None for value in circular):
            raise BadPolygon("is a circle and a polygon", "give lat_deg, lon_deg and radius_m, or a polygon")
        shape = shapely.union_all([polygon_of(rings, box) for rings in polygons])
    else:
        lat, lon, radius_m = circular
        if lat is None or lon is None or radius_m is None:
            raise BadPolygon("has no place", "give lat_deg, lon_deg and radius_m, or a polygon")
        polygon_of([[(lon, lat), (lon + 1e-6, lat), (lon, lat + 1e-6), (lon, lat)]], box)  # swapped?
        shape = circle(math.radians(lat), math.radians(lon), radius_m)
    west, south, east, north = shape.bounds
    if east - west > 180.0:
        raise BadPolygon("crosses the 180th meridian", "cut it there into two: no line may run across it")
    if max(east - west, north - south) > WIDEST_DEG:
        raise BadPolygon(f"is more than {WIDEST_DEG:g} degrees wide", "cut it into several areas")
    return shape


def beside(sensors: Sequence[SensorSpec]) -> Box | None:
    """The box about all sensors that have a site, and what may well lie beside them; None: no sensor has one."""
    sites = [(math.degrees(s.lon_rad), math.degrees(s.lat_rad)) for s in sensors if s.has_site]
    if not sites:
        return None
    lons, lats = zip(*sites, strict=True)
    east, north = BESIDE_DEG
    return min(lons) - east, min(lats) - north, max(lons) + east, max(lats) + north


def polygon_of(rings: Sequence[Ring], box: Box | None = None) -> shapely.Polygon:
    """A polygon of an outer ring and perhaps holes, positions in degrees, longitude first.

    `box`: where this site watches; a polygon outside it that would lie inside with its numbers swapped is refused.

    Raises:
        BadPolygon: too few positions, beyond 180 and 90 degrees, swapped, not closed, crossing itself, without area.
    """
    if not rings:
        raise BadPolygon("has no ring", "give a ring of at least four positions")
    for ring in rings:
        _check_ring(ring, box)
    shape = shapely.Polygon(*_outer_and_holes(rings))
    if not shape.is_valid:
        why, _, place = shapely.is_valid_reason(shape).partition("[")
        at = f" near longitude, latitude {place.rstrip(']').replace(' ', ', ')}" if place else ""
        crosses = why.strip().lower() in ("self-intersection", "ring self-intersection")
        problem = f"{'crosses itself' if crosses else f'is not valid ({why.strip().lower()})'}{at}"
        raise BadPolygon(problem, "put its positions in the order in which one walks around it, each once")
    if not shape.area > 0.0:
        raise BadPolygon("has no area", "give at least three different positions that do not lie on one line")
    return shape


def _outer_and_holes(rings: Sequence[Ring]) -> tuple[list[tuple[float, float]], list[list[tuple[float, float]]]]:
    plain = [[(float(p[0]), float(p[1])) for p in ring] for ring in rings]
    return plain[0], plain[1:]


def _check_ring(ring: Ring, box: Box | None) -> None:
    if len(ring) < 4:
        raise BadPolygon(f"has {len(ring)} positions", "give at least four; the last repeats the first")
    for position in ring:
        if len(position) < 2 or not all(math.isfinite(value) for value in position[:2]):
            raise BadPolygon(f"has the position {list(position)}", "give longitude, latitude in degrees")
    lons, lats = [p[0] for p in ring], [p[1] for p in ring]
    swapped = "swap the two numbers of every position: longitude comes first, as in GeoJSON"
    if max(map(abs, lats)) > 90.0 or max(map(abs, lons)) > 180.0:
        possible = max(map(abs, lons)) <= 90.0 and max(map(abs, lats)) <= 180.0
        cure = swapped if possible else "give longitude, latitude in degrees of WGS84"
        raise BadPolygon("has positions beyond 180, 90 degrees", cure)
    if box is not None and not _meets(lons, lats, box) and _meets(lats, lons, box):
        raise BadPolygon("has longitude and latitude swapped: it lies far from every sensor", swapped)
    if list(ring[0][:2]) != list(ring[-1][:2]):
        raise BadPolygon("is not closed", "repeat the first position at the end")


def _meets(lons: Sequence[float], lats: Sequence[float], box: Box) -> bool:
    west, south, east, north = box
    return max(lons) >= west and min(lons) <= east and max(lats) >= south and min(lats) <= north
