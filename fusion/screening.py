"""What the ground hides from an antenna: for every azimuth, how high one must look at each distance to see over it.

Around each antenna terrain is walked once along rays, on an earth whose radius is stretched by 4/3 for standard
refraction (ITU-R P.834), so that rays run straight. The steepest look that the ground so far has met is kept for each
azimuth and distance, twice: `low`, below which the ground surely hides, with the ground one sigma lower, and `high`,
above which it surely does not, with the ground one sigma and 0.6 of a Fresnel zone higher (ITU-R P.530: no diffraction
loss from there). Between the two detection rises smoothly.

Terrain of 1 km or finer hides. Coarser terrain knows no ridge and may hide nothing: what stands below `high` counts
half there, because nobody knows; it is never taken for hidden.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusion.bare import BARE
from fusion.borders.terrain import Grid, local_sigma_m, sample
from fusion.geo import A_M, E2, geodetic
from fusion.schema import F8

EARTH_M = 6_371_008.8  # mean radius, IUGG
REFRACTED_M = EARTH_M * 4.0 / 3.0  # radius over which rays of standard refraction run straight
FINE_M = 1_000.0  # coarser terrain has no ridges
AZIMUTHS = 360  # bins; 1 degree is 1.7 km at 100 km
AT_ONCE = 60  # azimuths walked together: 30 MB for 1,000 km
RAYS = 3  # walked in each bin: the bin is as sure as its lowest, as open as its highest ray
STEPS = 128  # of distance, growing as its root does: 50 m near the antenna, 6 km at 400 km
SCREEN = "float32[:, :, :, ::1]"  # (screens, AZIMUTHS, STEPS + 1, 2): low and high, tangent of elevation
SHAPE = (AZIMUTHS, STEPS + 1, 2)
SCREEN_BYTES = AZIMUTHS * (STEPS + 1) * 2 * 4  # of one sensor: 64 sensors come to 24 MB
WALK_M = 200.0  # the rays are walked no finer than this, whatever the terrain: a day's work for no ridge
NEAR_M = 500.0  # an antenna stands where it sees: nearer ground hides nothing
SIGMA_FINE_M = 5.0  # of fine terrain: SRTM and Copernicus promise 16 m and 4 m at 90 %, bare of trees
KNOT_M = 5_000.0  # places along a ray are computed this often
WAVE_M = 0.1  # S band
CLEAR = 0.6  # share of the first Fresnel zone that must be free
EDGE_MOST_M = 30.0  # and the most of it: 0.6 of the zone in the middle of 100 km
OPEN = -1.0  # tangent: nothing stands here, one may look down by 45 degrees
AROUND_M = 40_000.0  # how far from it the surface lies that makes an antenna's horizon: 1.6 times that of 35 m of mast


@njit("float64(float64)", cache=True, nogil=True, **BARE)
def ramp_1(share: float) -> float:
    """Smooth step: 0 up to share 0, 1 from share 1, with level ends."""
    s = min(1.0, max(0.0, share))
    return s * s * (3.0 - 2.0 * s)


@njit(f"float64({SCREEN}, int64, float64, float64, float64)", cache=True, nogil=True, **BARE)
def clear_1(
    screens: NDArray[np.float32], screen: int, azimuth_rad: float, part_of_range: float, tangent: float
) -> float:
    """How free of ground the look to a place is, 0 hidden to 1 free.

    `part_of_range` is the distance along the ground over the sensor's greatest range, `tangent` that of the elevation
    over the refracted earth: rise / distance - distance / (2 REFRACTED_M).
    """
    a = min(max(int(azimuth_rad * (AZIMUTHS / (2.0 * math.pi))), 0), AZIMUTHS - 1)
    at = STEPS * math.sqrt(min(max(part_of_range, 0.0), 1.0))
    j = min(int(at), STEPS - 1)
    at -= j
    low = (1.0 - at) * screens[screen, a, j, 0] + at * screens[screen, a, j + 1, 0]
    high = (1.0 - at) * screens[screen, a, j, 1] + at * screens[screen, a, j + 1, 1]
    return float(ramp_1((tangent - low) / max(high - low, 1e-9)))


def is_fine(grid: Grid) -> bool:
    """True where terrain may hide: its nodes stand 1 km apart or closer."""
    return grid.step_m <= FINE_M


def profile(site: F8, antenna_m: float, range_m: float, terrain: Grid, geoid: Grid | None) -> NDArray[np.float32]:
    """Lowest looks around an antenna, (AZIMUTHS, STEPS + 1, 2) float32: tangents of low and high, never falling.

    Args:
        site: (15,), see geo.site_row.
        antenna_m: height of the antenna above the ellipsoid.
        range_m: as far as the sensor sees; the last step.
        terrain: ground above mean sea level, of any step; where it knows nothing, the sea.
        geoid: mean sea level above the ellipsoid; None: they are the same.
    """
    fine = is_fine(terrain)
    step_m = max(terrain.step_m if fine else 0.5 * terrain.step_m, WALK_M)
    near_m = NEAR_M if fine else terrain.step_m
    far_m: F8 = np.arange(near_m, max(range_m, near_m) + step_m, step_m, dtype=np.float64)
    nodes_m = range_m * (np.arange(STEPS + 1) / STEPS) ** 2
    last = np.searchsorted(far_m, nodes_m, side="right") - 1
    edge_m = np.minimum(CLEAR * np.sqrt(WAVE_M * far_m), EDGE_MOST_M)
    level = far_m / (2.0 * REFRACTED_M)
    out = np.empty(SHAPE, np.float32)
    for first in range(0, AZIMUTHS, AT_ONCE):
        low, high = np.full((AT_ONCE, STEPS + 1), np.inf), np.full((AT_ONCE, STEPS + 1), -np.inf)
        for ray in range(RAYS):
            azimuth = (np.arange(AT_ONCE, dtype=np.float64) + first + (ray + 0.5) / RAYS) * (2.0 * np.pi / AZIMUTHS)
            height_m, sigma_m = _walk(site, azimuth, far_m, terrain, geoid)
            below = np.maximum.accumulate((height_m - sigma_m - antenna_m) / far_m - level, axis=1)
            above = np.maximum.accumulate((height_m + sigma_m + edge_m - antenna_m) / far_m - level, axis=1)
            np.minimum(low, np.where(last < 0, OPEN, below[:, np.maximum(last, 0)]), out=low)
            np.maximum(high, np.where(last < 0, OPEN, above[:, np.maximum(last, 0)]), out=high)
        out[first : first + AT_ONCE, :, 0], out[first : first + AT_ONCE, :, 1] = low, high
    return out


def _walk(site: F8, azimuth_rad: F8, far_m: F8, terrain: Grid, geoid: Grid | None) -> tuple[F8, F8]:
    """Ground above the ellipsoid and its sigma along rays, each (azimuths, distances), metres.

    Places are computed every KNOT_M and joined by straight lines: that is half a metre off, and ten times as quick.
    """
    knots_m = np.arange(0.0, far_m[-1] + KNOT_M, KNOT_M)
    lat, lon = _places(site, azimuth_rad, knots_m)
    sea = np.zeros(lat.shape) if geoid is None else np.nan_to_num(sample(geoid, lat, lon))
    before = np.minimum((far_m / KNOT_M).astype(np.int64), len(knots_m) - 2)
    part = far_m / KNOT_M - before
    lat, lon, sea = (values[:, before] * (1.0 - part) + values[:, before + 1] * part for values in (lat, lon, sea))
    height_m = sea + land_m(terrain, lat, lon)
    if is_fine(terrain):
        return height_m, np.full(height_m.shape, SIGMA_FINE_M)
    return height_m, np.nan_to_num(local_sigma_m(terrain, lat, lon))


def _places(site: F8, azimuth_rad: F8, far_m: F8) -> tuple[F8, F8]:
    """Latitude and longitude, each (azimuths, distances), on the sphere that fits the ellipsoid along each azimuth."""
    s = math.sin(site[12])
    n_m = A_M / math.sqrt(1.0 - E2 * s * s)
    m_m = n_m * (1.0 - E2) / (1.0 - E2 * s * s)
    sin, cos = np.sin(azimuth_rad)[:, None], np.cos(azimuth_rad)[:, None]
    radius_m = 1.0 / (cos * cos / m_m + sin * sin / n_m)
    angle = far_m / radius_m
    out_m, down_m = radius_m * np.sin(angle), radius_m * (1.0 - np.cos(angle)) + site[14]
    axes = site[3:12].reshape(3, 3)
    east, north = out_m * sin, out_m * cos
    xyz = [site[c] + east * axes[0, c] + north * axes[1, c] - down_m * axes[2, c] for c in range(3)]
    lat, lon, _ = geodetic(np.stack(xyz, axis=-1).reshape(-1, 3))
    return lat.reshape(angle.shape), lon.reshape(angle.shape)


def land_m(terrain: Grid, lat_rad: F8, lon_rad: F8) -> F8:
    """Height of the surface above mean sea level at places of any shape; the sea where terrain knows nothing."""
    out: F8 = np.maximum(np.nan_to_num(sample(terrain, lat_rad, lon_rad)), 0.0)
    return out


def around_m(site: F8, range_m: float, terrain: Grid) -> float:
    """Height above mean sea level of the surface that surely makes an antenna's horizon.

    The lower quartile of the ground within 40 km: what stands higher is for the profile to say.
    """
    azimuth = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
    reach_m: F8 = min(range_m, AROUND_M) * np.sqrt((np.arange(16) + 0.5) / 16)  # even in area
    return float(np.quantile(land_m(terrain, *_places(site, azimuth, reach_m)), 0.25))
