"""What each sensor can see: the probability that one look at an object somewhere gives a plot.

A missed detection may only count against a track where the sensor could have seen it. Here a place is judged by the
sensor's range, by the radio horizon of a smooth earth whose radius is stretched by 4/3 for standard refraction
(ITU-R P.834; d = sqrt(2 k R h) for each end of the path) or by the ground itself where terrain is known
(fusion/screening.py), and by the cone of silence above a rotating radar. What an object's size, its own hits and
misses, and the sensor's record in that place change is in fusion/hits.py. Edges are soft, because diffraction, lobing
and declared heights are: a step would swing existence at every crossing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from fusion import hits
from fusion.bare import BARE
from fusion.borders.terrain import Grid, sample
from fusion.filters.params import SITE
from fusion.geo import height_1, site_table
from fusion.hits import CERTAIN, LOCAL, cell_1, detection_1, expected_1, learn_local_1, local_1, weaker_1
from fusion.schema import F8, SensorKind, SensorSpec
from fusion.screening import EARTH_M, REFRACTED_M, SCREEN, SHAPE, around_m, clear_1, is_fine, land_m, profile, ramp_1

EDGE_HEIGHT_M = 50.0  # from the horizon to full view: one Fresnel zone at S band, sqrt(0.1 m x 80 km / 4) = 45 m
EDGE_RANGE = 0.05  # last part of range_max_m over which detection fades
CONE_FULL_RAD = math.radians(40.0)  # full view up to here; cosecant-squared beams of area radars end at 40-50 degrees
CONE_END_RAD = math.radians(50.0)
CONE_FULL_TAN = math.tan(CONE_FULL_RAD)
LEAST_ANTENNA_M = 2.0  # an antenna is never lower over its surroundings than this, whatever the heights say
COARSE_LEAST = 0.5  # what coarse terrain may hide counts half: it never hides
WEAKER = 1.15 / (4.0 / 3.0)  # of REFRACTED_M, where rays bend half as much as by standard: -20 instead of -39 N/km
COVERED = 0.3  # a sensor that sees an object less often than this does not cover it

# Columns of the table, one row a sensor.
C_LOOKS = 0  # detection probability of one look in full view; 0 for sensors whose silence says nothing
C_RANGE = 1  # range_max_m
C_GROUND = 2  # height above the ellipsoid of the surface that makes the horizon, m
C_HORIZON = 3  # ground distance from the antenna to its own horizon, m
C_CONE = 4  # 1 with a cone of silence, 0 without
C_SITE = 5  # 1 with a site, 0 without
C_ANTENNA = 6  # height of the antenna above the ellipsoid, m
C_LN_PD = 7  # log of detection_probability
C_RCS = 8  # RCS in m^2 to which detection_probability at range_max_m belongs; 0: size does not matter
C_SCREEN = 9  # row of the screens, -1 none
C_LEAST = 10  # of what terrain leaves: 0 where it hides, COARSE_LEAST where it only may
C_PERIOD_US = 11  # from one look to the next
COLS = 12
TABLE = "float64[:, ::1]"
COVER = f"{TABLE}, {TABLE}, {SCREEN}, {TABLE}"  # table, sites, screens, local: Coverage.arrays()

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
        antenna_m = sensor.height_m if math.isfinite(sensor.height_m) else surface_m + LEAST_ANTENNA_M
        looks = sensor.has_site and sensor.kind in LOOKING
        row[C_LOOKS] = sensor.detection_probability if looks else 0.0
        row[C_RANGE] = sensor.range_max_m
        row[C_CONE] = 1.0 if sensor.kind in _RADARS else 0.0
        row[C_SITE] = 1.0 if sensor.has_site else 0.0
        row[C_LN_PD] = math.log(min(max(sensor.detection_probability, 0.01), 0.999))
        row[C_RCS] = sensor.reference_rcs_m2 if sensor.kind in _RADARS else 0.0
        row[C_SCREEN] = -1.0
        row[C_PERIOD_US] = sensor.period_s * 1e6
        _stand(row, antenna_m, surface_m)
    return table


def _stand(row: F8, antenna_m: float, surface_m: float) -> None:
    row[C_ANTENNA], row[C_GROUND] = antenna_m, surface_m
    row[C_HORIZON] = math.sqrt(2.0 * REFRACTED_M * max(antenna_m - surface_m, LEAST_ANTENNA_M))


@njit("float64(float64[::1], float64, float64, float64)", cache=True, nogil=True, **BARE)
def _ground_1(row: F8, antenna_m: float, range_m: float, height_m: float) -> float:
    """Distance along the ground between antenna and object at a slant range, on a sphere at the sensor's surface."""
    above = height_m - row[C_GROUND]
    rise = height_m - antenna_m
    scale = (1.0 + above / EARTH_M) * (1.0 + (antenna_m - row[C_GROUND]) / EARTH_M)
    chord = math.sqrt(max(0.0, range_m * range_m - rise * rise) / scale)
    return 2.0 * EARTH_M * math.asin(min(1.0, chord / (2.0 * EARTH_M)))


@njit("float64(float64[::1], float64, float64, float64)", cache=True, nogil=True, **BARE)
def clearance_1(row: F8, antenna_m: float, range_m: float, height_m: float) -> float:
    """Metres by which an object at height_m above the ellipsoid stands over the sensor's refracted horizon.

    Negative: below it. `range_m` is the slant range, turned into distance along the ground on a sphere; before the
    horizon the tangent goes on upwards, so that the value is smooth and at the antenna is the sum of both heights.
    """
    past = _ground_1(row, antenna_m, range_m, height_m) - row[C_HORIZON]
    return float(height_m - row[C_GROUND] - past * abs(past) / (2.0 * REFRACTED_M))


@njit("UniTuple(float64, 4)(float64[::1], float64[::1], float64, float64, float64)", cache=True, nogil=True, **BARE)
def _place_1(row: F8, site: F8, x_m: float, y_m: float, z_m: float) -> tuple[float, float, float, float]:
    """An ECEF place as coverage needs it: (range_m, east_m, north_m, what range and cone leave 0..1)."""
    dx = x_m - site[0]
    dy = y_m - site[1]
    dz = z_m - site[2]
    range_m = math.sqrt(dx * dx + dy * dy + dz * dz)
    if not range_m < row[C_RANGE]:
        return range_m, 0.0, 0.0, 0.0
    east = site[3] * dx + site[4] * dy + site[5] * dz
    north = site[6] * dx + site[7] * dy + site[8] * dz
    up = site[9] * dx + site[10] * dy + site[11] * dz
    seen = ramp_1((row[C_RANGE] - range_m) / (EDGE_RANGE * row[C_RANGE]))
    if row[C_CONE] > 0.0:
        level = math.sqrt(east * east + north * north)
        if up > CONE_FULL_TAN * level:
            seen *= ramp_1((CONE_END_RAD - math.atan2(up, level)) / (CONE_END_RAD - CONE_FULL_RAD))
    return range_m, east, north, seen


@njit("float64(float64[::1], float64[::1], float64, float64, float64)", cache=True, nogil=True, **BARE)
def visibility_1(row: F8, site: F8, x_m: float, y_m: float, z_m: float) -> float:
    """How well a sensor's place lets it see an ECEF place over a smooth earth, 0..1, whatever its kind.

    `row` is its row of the sensor table, `site` (15,) its row of the site table. 1 everywhere for one without a site.
    """
    if row[C_SITE] == 0.0:
        return 1.0
    range_m, _, _, seen = _place_1(row, site, x_m, y_m, z_m)
    if seen <= 0.0:
        return 0.0
    over_m = clearance_1(row, row[C_ANTENNA], range_m, height_1(x_m, y_m, z_m))
    return seen * ramp_1(over_m / EDGE_HEIGHT_M)


@njit("float64(float64[::1], float64[::1], float64, float64, float64)", cache=True, nogil=True, **BARE)
def detection_probability_1(row: F8, site: F8, x_m: float, y_m: float, z_m: float) -> float:
    """Probability that one look of a sensor gives a plot of an ordinary object at an ECEF place, over a smooth earth.

    0 outside range or below the horizon, the sensor's own detection_probability in full view, and 0 everywhere for
    sensors whose silence says nothing (ADS-B, Remote ID, neighbours' tracks, sightings, sensors without a site).
    """
    if row[C_LOOKS] == 0.0:
        return 0.0
    return float(row[C_LOOKS] * visibility_1(row, site, x_m, y_m, z_m))


# ---- with terrain, size and what was learnt


@njit(
    f"Tuple((float64, float64, int64))({TABLE}, {TABLE}, {SCREEN}, int64, float64, float64, float64)",
    cache=True,
    nogil=True,
    **BARE,
)
def view_1(
    table: F8, sites: F8, screens: NDArray[np.float32], sensor: int, x_m: float, y_m: float, z_m: float
) -> tuple[float, float, int]:
    """How one look of a sensor sees an ECEF place: (clear, margin, cell).

    `clear` is the Pd of a large object there by range, cone and horizon or terrain; `margin` the signal of 1 m^2 there
    over that of the sensor's reference object at full range; `cell` that of the local map. (0, 0, 0) where it sees
    nothing, or where its silence says nothing.
    """
    row = table[sensor]
    if row[C_LOOKS] == 0.0:
        return 0.0, 0.0, 0
    range_m, east, north, seen = _place_1(row, sites[sensor], x_m, y_m, z_m)
    if seen <= 0.0:
        return 0.0, 0.0, 0
    height_m = height_1(x_m, y_m, z_m)
    far_m = max(_ground_1(row, row[C_ANTENNA], range_m, height_m), 1.0)
    azimuth = math.atan2(east, north)
    if azimuth < 0.0:
        azimuth += 2.0 * math.pi
    if row[C_SCREEN] < 0.0 or row[C_LEAST] > 0.0:
        past = far_m - row[C_HORIZON]
        over_m = height_m - row[C_GROUND] - past * abs(past) / (2.0 * REFRACTED_M)
        seen *= ramp_1(over_m / EDGE_HEIGHT_M)
    part = far_m / row[C_RANGE]
    if row[C_SCREEN] >= 0.0 and seen > 0.0:
        tangent = (height_m - row[C_ANTENNA]) / far_m - far_m / (2.0 * REFRACTED_M)
        free = clear_1(screens, int(row[C_SCREEN]), azimuth, part, tangent)
        seen *= row[C_LEAST] + (1.0 - row[C_LEAST]) * free
    margin = 1e9  # of a sensor to which size means nothing
    if row[C_RCS] > 0.0:
        ratio = row[C_RANGE] / max(range_m, 1.0)
        margin = ratio * ratio * ratio * ratio / row[C_RCS]
    return float(row[C_LOOKS] * seen), margin, cell_1(azimuth, part, height_m)


@njit(f"float64({TABLE}, {TABLE}, {SCREEN}, int64, float64, float64, float64)", cache=True, nogil=True, **BARE)
def surely_1(
    table: F8, sites: F8, screens: NDArray[np.float32], sensor: int, x_m: float, y_m: float, z_m: float
) -> float:
    """How surely an ECEF place stands over a sensor's horizon, 0..1: also on a day when rays bend less, and where
    terrain that may hide does.

    Each miss of one radar near its horizon has the same cause: it is no chance that multiplies. At 200 km the horizon
    of one day and of another are 300 m apart.
    """
    row = table[sensor]
    range_m, east, north, seen = _place_1(row, sites[sensor], x_m, y_m, z_m)
    if seen <= 0.0:
        return 0.0
    height_m = height_1(x_m, y_m, z_m)
    far_m = max(_ground_1(row, row[C_ANTENNA], range_m, height_m), 1.0)
    past = far_m - row[C_HORIZON] * math.sqrt(WEAKER)
    over_m = height_m - row[C_GROUND] - past * abs(past) / (2.0 * WEAKER * REFRACTED_M)
    sure = ramp_1(over_m / EDGE_HEIGHT_M)
    if row[C_SCREEN] < 0.0 or sure <= 0.0:
        return float(sure)
    azimuth = math.atan2(east, north)
    if azimuth < 0.0:
        azimuth += 2.0 * math.pi
    tangent = (height_m - row[C_ANTENNA]) / far_m - far_m / (2.0 * REFRACTED_M)
    return float(sure * clear_1(screens, int(row[C_SCREEN]), azimuth, far_m / row[C_RANGE], tangent))


@njit("float64(float64, float64[::1], int64)", cache=True, nogil=True, **BARE)
def full_1(clear: float, local: F8, cell: int) -> float:
    """Pd of a large object by place and by what the sensor (LOCAL,) did there before, 0..CERTAIN."""
    return min(clear * local_1(local, cell), CERTAIN)


@njit(
    f"float64({COVER}, int64, float64, float64, float64, float64[::1], float64[::1])",
    cache=True,
    nogil=True,
    **BARE,
)
def track_detection_1(
    table: F8, sites: F8, screens: NDArray[np.float32], local: F8, sensor: int,
    x_m: float, y_m: float, z_m: float, size: F8, record: F8,
) -> float:  # fmt: skip
    """Probability that the next look of a sensor sees a track at an ECEF place: everything that is known, in one call.

    `size` (SIZES,) is the track's, `record` (2,) its record with that sensor.
    """
    clear, margin, cell = view_1(table, sites, screens, sensor, x_m, y_m, z_m)
    if clear <= 0.0:
        return 0.0
    return detection_1(full_1(clear, local[sensor], cell), margin, table[sensor, C_LN_PD], size, record)


@njit(f"float64({COVER}, float64, float64, float64, float64[::1], {TABLE})", cache=True, nogil=True, **BARE)
def best_1(
    table: F8, sites: F8, screens: NDArray[np.float32], local: F8,
    x_m: float, y_m: float, z_m: float, size: F8, records: F8,
) -> float:  # fmt: skip
    """The greatest track_detection_1 of all sensors; `records` (n_sensors, 2). Below COVERED nobody watches there."""
    best = 0.0
    for s in range(table.shape[0]):
        best = max(best, track_detection_1(table, sites, screens, local, s, x_m, y_m, z_m, size, records[s]))
    return best


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


@njit(f"float64[:, ::1]({COVER}, {TABLE}, float64)", cache=True, nogil=True)
def _seen_n(table: F8, sites: F8, screens: NDArray[np.float32], local: F8, xyz: F8, ln_rcs: float) -> F8:
    out = np.empty((xyz.shape[0], table.shape[0]))
    for i in range(xyz.shape[0]):
        for s in range(table.shape[0]):
            clear, margin, cell = view_1(table, sites, screens, s, xyz[i, 0], xyz[i, 1], xyz[i, 2])
            weaker = weaker_1(margin * math.exp(ln_rcs), table[s, C_LN_PD])
            out[i, s] = full_1(clear, local[s], cell) * weaker
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


class Coverage:
    """What is known of all sensors of one picture, as plain arrays for compiled loops.

    Args:
        sensors: in order of index.
        dem: ground above mean sea level at steps of 1 km or finer: hides what is behind it.
        terrain: the same at any step, where there is no dem: may hide, so that silence counts less, and never hides.
        geoid: mean sea level above the ellipsoid; antenna heights are above the ellipsoid.

    Raises:
        ValueError: the dem is coarser than 1 km.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        dem: Grid | None = None,
        terrain: Grid | None = None,
        geoid: Grid | None = None,
    ) -> None:
        if dem is not None and not is_fine(dem):
            raise ValueError(f"dem: nodes {dem.step_m:.0f} m apart, of at most 1000")
        self.sites = np.ascontiguousarray(site_table(sensors)).reshape(-1, SITE)
        self.table = sensor_table(sensors)
        screens: list[NDArray[np.float32]] = []
        for row, site, spec in zip(self.table, self.sites, sensors, strict=True):
            if row[C_SITE] == 0.0:
                continue
            ground = next((grid for grid in (dem, terrain) if grid is not None and _knows(grid, site)), None)
            _settle(row, site, spec, ground, geoid)
            if row[C_LOOKS] > 0.0 and ground is not None:
                row[C_SCREEN], row[C_LEAST] = len(screens), 0.0 if is_fine(ground) else COARSE_LEAST
                screens.append(profile(site, row[C_ANTENNA], row[C_RANGE], ground, geoid))
        self.screens = np.ascontiguousarray(np.stack(screens)) if screens else np.zeros((1, *SHAPE), np.float32)
        self.local = np.zeros((len(sensors), LOCAL))

    def arrays(self) -> tuple[F8, F8, NDArray[np.float32], F8]:
        """(table, sites, screens, local), as compiled loops take them (COVER). `local` changes as it learns."""
        return self.table, self.sites, self.screens, self.local

    def detection(self, xyz_m: ArrayLike, ln_rcs: float = 0.0) -> F8:
        """Probability that one look of each sensor sees an object of a size (ln m^2) at places: (n, 3) ECEF to
        (n, n_sensors)."""
        return np.asarray(_seen_n(*self.arrays(), _rows(xyz_m, 3), ln_rcs))

    def learn(self, sensor: int, xyz_m: ArrayLike, size: F8, hit: bool) -> None:
        """Book one look at an object whose place others know, of sizes (SIZES,). Compiled loops use learn_local_1."""
        x, y, z = np.asarray(xyz_m, np.float64).tolist()
        clear, margin, cell = view_1(self.table, self.sites, self.screens, sensor, x, y, z)
        expected = expected_1(clear, margin, self.table[sensor, C_LN_PD], size)
        learn_local_1(self.local[sensor], cell, expected, hit)

    def fade(self, passed_s: float) -> None:
        """Let what was learnt fade by time, on the measured clock; once a minute is often enough."""
        self.local *= math.exp(-max(passed_s, 0.0) / hits.MAP_S)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that can change a later answer."""
        return {"coverage_local": self.local.copy()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `snapshot` of a coverage of the same sensors and terrain."""
        self.local[:] = state["coverage_local"]


def _knows(grid: Grid, site: F8) -> bool:
    return bool(np.isfinite(sample(grid, site[12:13], site[13:14]))[0])


def _settle(row: F8, site: F8, spec: SensorSpec, ground: Grid | None, geoid: Grid | None) -> None:
    """Where antenna and horizon of a sensor are, above the ellipsoid. Fine terrain corrects an antenna below it."""
    sea_m = 0.0 if geoid is None else float(np.nan_to_num(sample(geoid, site[12:13], site[13:14]))[0])
    surface_m, least_m = sea_m, sea_m
    if ground is not None:
        surface_m += around_m(site, row[C_RANGE], ground)
        least_m += float(land_m(ground, site[12:13], site[13:14])[0])
    antenna_m = spec.height_m if math.isfinite(spec.height_m) else least_m + LEAST_ANTENNA_M
    if ground is not None and is_fine(ground):
        antenna_m = max(antenna_m, least_m + LEAST_ANTENNA_M)
    _stand(row, antenna_m, surface_m)
