"""Where an object can be within a time: a polygon for warnings of people. Pure.

It flies on at its speed and two sigmas more, and may turn by no more than `turn_deg` to either side of its course; of
whom neither is known any place around can be reached. Three sigmas of its place are around all of it. At the 180th
meridian it is cut in two, and nearer to a pole than it reaches it is all around it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from adapters.rows import Told, ellipse
from fusion import geo
from fusion.borders.outlook import circle

UNKNOWN_MPS = 80.0  # where no speed is known: the fastest that the rules call slow
LEAST_M = 500.0  # around the place: nobody warns of less
MOST_M = 2_000_000.0  # two hours of an airliner: beyond, no polygon of degrees is one
POLAR_DEG = 85.0
DEGREE_M = 110_000.0  # of latitude, the shortest
EVERY_RAD = math.radians(5.0)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far is looked."""

    seconds: float = 600.0
    turn_deg: float = 90.0


def polygon(told: Told, reach: Reach) -> BaseGeometry | None:
    """In degrees, longitude first; None where the track has no place."""
    if told.lat_deg is None or told.lon_deg is None:
        return None
    lat, lon = math.radians(told.lat_deg), math.radians(told.lon_deg)
    spread = ellipse(told)
    sigma_m = spread.major_m if spread is not None else told.sigma_horizontal_m or 0.0
    about_m = min(max(3.0 * sigma_m, LEAST_M), MOST_M)
    turn_deg = reach.turn_deg
    speed_mps = UNKNOWN_MPS if told.speed_mps is None else told.speed_mps + 2.0 * (told.sigma_speed_mps or 0.0)
    if told.speed_mps is None or told.course_deg is None:
        speed_mps, turn_deg = UNKNOWN_MPS, 180.0
    far_m = min(about_m + speed_mps * reach.seconds, MOST_M)
    far_deg = far_m / DEGREE_M
    if abs(told.lat_deg) + far_deg > POLAR_DEG:
        south, north = max(told.lat_deg - far_deg, -90.0), min(told.lat_deg + far_deg, 90.0)
        north, south = (90.0, south) if told.lat_deg > 0.0 else (north, -90.0)
        return shapely.box(-180.0, south, 180.0, north)
    if turn_deg >= 180.0:
        return _cut(_near(circle(lat, lon, far_m), told.lon_deg))
    course, turn = math.radians(told.course_deg or 0.0), math.radians(turn_deg)
    azimuths = np.linspace(course - turn, course + turn, 2 + math.ceil(2.0 * turn / EVERY_RAD))
    n = np.ones(len(azimuths))
    ends = geo.direct(n * lat, n * lon, azimuths % (2.0 * math.pi), n * far_m)
    fan = shapely.Polygon([(told.lon_deg, told.lat_deg), *np.degrees(np.column_stack([ends[1], ends[0]])).tolist()])
    parts = [_near(fan, told.lon_deg), _near(circle(lat, lon, about_m), told.lon_deg)]
    return _cut(shapely.union_all(parts))


def _near(shape: BaseGeometry, lon_deg: float) -> BaseGeometry:
    """The same with longitudes within half a turn of this one, past 180 where it lies across."""

    def unwound(places: NDArray[np.float64]) -> NDArray[np.float64]:
        lons = (places[:, 0] - lon_deg + 180.0) % 360.0 - 180.0 + lon_deg
        return np.column_stack([lons, places[:, 1]])

    return shapely.transform(shape, unwound)


def _cut(shape: BaseGeometry) -> BaseGeometry:
    """What lies past the 180th meridian, on the other side of the map."""
    west, _, east, _ = shape.bounds
    if west >= -180.0 and east <= 180.0:
        return shape
    parts = []
    for low, by in ((-540.0, 360.0), (-180.0, 0.0), (180.0, -360.0)):
        inside = shape.intersection(shapely.box(low, -90.0, low + 360.0, 90.0))
        parts.append(shapely.affinity.translate(inside, by))
    return shapely.union_all(parts)
