"""Where an object can be within a time: a polygon for warnings of people. Pure.

It flies on at its speed and two sigmas more, and may turn by no more than `turn_deg` to either side of its course; of
whom neither is known any place around can be reached. Three sigmas of its place are around all of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from adapters.rows import Told, ellipse
from fusion import geo
from fusion.outlook import circle

UNKNOWN_MPS = 80.0  # where no speed is known: the fastest that the rules call slow
LEAST_M = 500.0  # around the place: nobody warns of less
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
    about_m = max(3.0 * sigma_m, LEAST_M)
    if told.speed_mps is None or told.course_deg is None:
        return circle(lat, lon, about_m + UNKNOWN_MPS * reach.seconds)
    far_m = about_m + (told.speed_mps + 2.0 * (told.sigma_speed_mps or 0.0)) * reach.seconds
    if reach.turn_deg >= 180.0:
        return circle(lat, lon, far_m)
    course, turn = math.radians(told.course_deg), math.radians(reach.turn_deg)
    azimuths = np.linspace(course - turn, course + turn, 2 + math.ceil(2.0 * turn / EVERY_RAD))
    n = np.ones(len(azimuths))
    ends = geo.direct(n * lat, n * lon, azimuths % (2.0 * math.pi), n * far_m)
    fan = shapely.Polygon([(told.lon_deg, told.lat_deg), *np.degrees(np.column_stack([ends[1], ends[0]])).tolist()])
    return shapely.union_all([fan, circle(lat, lon, about_m)])
