"""What each sensor can see: the probability that one look at an object somewhere gives a plot.

A missed detection may only count against a track where the sensor could have seen it. Here a place is judged by the
sensor's range, by the radio horizon of a smooth earth whose radius is stretched by 4/3 for standard refraction
(ITU-R P.834; d = sqrt(2 k R h) for each end of the path), and by the cone of silence above a rotating radar. Edges are
soft, because diffraction, lobing and declared heights are: a step would swing existence at every crossing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from fusion.filters.params import SITE
from fusion.geo import geodetic_1, polar_1
from fusion.schema import F8, SensorKind, SensorSpec

EARTH_M = 6_371_008.8  # mean radius, IUGG
REFRACTED_M = EARTH_M * 4.0 / 3.0  # radius over which rays of standard refraction run straight
EDGE_HEIGHT_M = 50.0  # from the horizon to full view: one Fresnel zone at S band, sqrt(0.1 m x 80 km / 4) = 45 m
EDGE_RANGE = 0.05  # last part of range_max_m over which detection fades
CONE_FULL_RAD = math.radians(40.0)  # full view up to here; cosecant-squared beams of area radars end at 40-50 degrees
CONE_END_RAD = math.radians(50.0)
LEAST_ANTENNA_M = 2.0  # an antenna is never lower over its surroundings than this, whatever the heights say

# Columns of the table, one row a sensor.
C_LOOKS = 0  # detection probability of one look in full view; 0 for sensors whose silence says nothing
C_RANGE = 1  # range_max_m
C_GROUND = 2  # height above the ellipsoid of the surface that makes the horizon, m
C_HORIZON = 3  # ground distance from the antenna to its own horizon, m
C_CONE = 4  # 1 with a cone of silence, 0 without
C_SITE = 5  # 1 with a site, 0 without
COLS = 6

# Sensors that look by themselves, so that seeing nothing is evidence. Claims, neighbours' tracks and people report
# when something makes them report: their silence says nothing.
LOOKING = (SensorKind.RADAR_2D, SensorKind.RADAR_3D, SensorKind.BEARING)
_RADARS = (SensorKind.RADAR_2D, SensorKind.RADAR_3D)


def sensor_table(sensors: Sequence[SensorSpec], ground_m: ArrayLike = 0.0) -> F8:
    """What coverage needs of each sensor, (n_sensors, COLS) float64 in their order.

    Args:
        sensors: as configured; an unknown antenna height counts as LEAST_ANTENNA_M over the ground.
        ground_m: height above the ellipsoid of the surface around each sensor, (n_sensors,) or one number. Zero, the
            ellipsoid itself, is right to some tens of metres at sea; hand in geoid or terrain heights where known.
    """
    ground = np.broadcast_to(np.asarray(ground_m, np.float64), (len(sensors),))
    table = np.zeros((len(sensors), COLS))
    for row, sensor, surface_m in zip(table, sensors, ground.tolist(), strict=True):
        height_m = sensor.height_m - surface_m if math.isfinite(sensor.height_m) else LEAST_ANTENNA_M
        looks = sensor.has_site and sensor.kind in LOOKING
        row[C_LOOKS] = sensor.detection_probability if looks else 0.0
        row[C_RANGE] = sensor.range_max_m
        row[C_GROUND] = surface_m
        row[C_HORIZON] = math.sqrt(2.0 * REFRACTED_M * max(height_m, LEAST_ANTENNA_M))
        row[C_CONE] = 1.0 if sensor.kind in _RADARS else 0.0
        row[C_SITE] = 1.0 if sensor.has_site else 0.0
    return table


@njit("float64(float64)", cache=True, nogil=True)
def _ramp_1(share: float) -> float:
    """Smooth step: 0 up to share 0, 1 from share 1, with level ends."""
    s = min(1.0, max(0.0, share))
    return s * s * (3.0 - 2.0 * s)


@njit("float64(float64[::1], float64, float64, float64)", cache=True, nogil=True)
def clearance_1(row: F8, antenna_m: float, range_m: float, height_m: float) -> float:
    """Metres by which an object at height_m above the ellipsoid stands over the sensor's refracted horizon.

    Negative: below it. `range_m` is the slant range, turned into distance along the ground on a sphere; before the
    horizon the tangent goes on upwards, so that the value is smooth and at the antenna is the sum of both heights.
    """
    above = height_m - row[C_GROUND]
    rise = above - (antenna_m - row[C_GROUND])
    scale = (1.0 + above / EARTH_M) * (1.0 + (antenna_m - row[C_GROUND]) / EARTH_M)
    chord = math.sqrt(max(0.0, range_m * range_m - rise * rise) / scale)
    ground = 2.0 * EARTH_M * math.asin(min(1.0, chord / (2.0 * EARTH_M)))
    past = ground - row[C_HORIZON]
    return float(above - past * abs(past) / (2.0 * REFRACTED_M))


@njit("float64(float64[::1], float64[::1], float64, float64, float64)", cache=True, nogil=True)
def visibility_1(row: F8, site: F8, x_m: float, y_m: float, z_m: float) -> float:
    """How well a sensor's place lets it see an ECEF place, 0..1, whatever its kind: range, horizon, cone of silence.

    `row` is its row of the sensor table, `site` (15,) its row of the site table. 1 everywhere for one without a site.
    """
    if row[C_SITE] == 0.0:
        return 1.0
    range_m, _, elevation = polar_1(site, x_m, y_m, z_m)
    if not range_m < row[C_RANGE]:
        return 0.0
    over_m = clearance_1(row, site[14], range_m, geodetic_1(x_m, y_m, z_m)[2])
    seen = _ramp_1((row[C_RANGE] - range_m) / (EDGE_RANGE * row[C_RANGE])) * _ramp_1(over_m / EDGE_HEIGHT_M)
    if row[C_CONE] > 0.0:
        seen *= _ramp_1((CONE_END_RAD - elevation) / (CONE_END_RAD - CONE_FULL_RAD))
    return seen


@njit("float64(float64[::1], float64[::1], float64, float64, float64)", cache=True, nogil=True)
def detection_probability_1(row: F8, site: F8, x_m: float, y_m: float, z_m: float) -> float:
    """Probability that one look of a sensor gives a plot of an ordinary object at an ECEF place.

    0 outside range or below the horizon, the sensor's own detection_probability in full view, and 0 everywhere for
    sensors whose silence says nothing (ADS-B, Remote ID, neighbours' tracks, sightings, sensors without a site).
    """
    if row[C_LOOKS] == 0.0:
        return 0.0
    return float(row[C_LOOKS] * visibility_1(row, site, x_m, y_m, z_m))


@njit("float64[:,::1](float64[:,::1], float64[:,::1], float64[:,::1])", cache=True, nogil=True)
def _detection_n(table: F8, sites: F8, xyz: F8) -> F8:
    out = np.empty((xyz.shape[0], table.shape[0]))
    for i in range(xyz.shape[0]):
        for s in range(table.shape[0]):
            out[i, s] = detection_probability_1(table[s], sites[s], xyz[i, 0], xyz[i, 1], xyz[i, 2])
    return out


@njit("float64[:,::1](float64[:,::1], float64[:,::1], float64[:,::1])", cache=True, nogil=True)
def _visibility_n(table: F8, sites: F8, xyz: F8) -> F8:
    out = np.empty((xyz.shape[0], table.shape[0]))
    for i in range(xyz.shape[0]):
        for s in range(table.shape[0]):
            out[i, s] = visibility_1(table[s], sites[s], xyz[i, 0], xyz[i, 1], xyz[i, 2])
    return out


def _rows(values: ArrayLike, columns: int) -> F8:
    return np.ascontiguousarray(values, dtype=np.float64).reshape(-1, columns)


def detection_probability(table: F8, sites: F8, xyz_m: ArrayLike) -> F8:
    """detection_probability_1 of every sensor for every place: (n, 3) ECEF to (n, n_sensors).

    `table` from sensor_table, `sites` from geo.site_table, of the same sensors in the same order.
    """
    return np.asarray(_detection_n(_rows(table, COLS), _rows(sites, SITE), _rows(xyz_m, 3)))


def visibility(table: F8, sites: F8, xyz_m: ArrayLike) -> F8:
    """visibility_1 of every sensor for every place: (n, 3) ECEF to (n, n_sensors), each 0..1."""
    return np.asarray(_visibility_n(_rows(table, COLS), _rows(sites, SITE), _rows(xyz_m, 3)))
