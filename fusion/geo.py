"""Places on the earth: WGS84, ECEF, local east-north-up axes, polar measurements, geodesics, pressure and height.

The only file that knows frames. Compiled scalars end in `_1`, take and return floats; the functions without the suffix
take and return float64 arrays and loop over those scalars, so that one formula serves the compiled and the plain side.

Frames and words: latitude, longitude geodetic in radians; height in metres above the ellipsoid; ECEF x y z in metres;
azimuth from true north, clockwise, 0..2 pi, at the site's ellipsoid normal; range is the straight line.
A NaN that comes in goes out as NaN; nothing here raises.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from fusion.borders.geodesic import A_M, B_M, E2, EP2, F, direct_1, inverse_1, wrap_pi_1, wrap_two_pi_1
from fusion.filters.lanes import LANES, kinds
from fusion.filters.params import SITE
from fusion.schema import F8, SensorSpec

__all__ = [
    "A_M",
    "B_M",
    "E2",
    "ISA_HPA",
    "F",
    "direct",
    "direct_1",
    "ecef",
    "ecef_1",
    "ecef_from_polar",
    "ecef_from_polar_1",
    "ecef_from_range_height",
    "ecef_from_range_height_1",
    "enu_axes",
    "enu_axes_1",
    "enu_covariance",
    "geodetic",
    "geodetic_1",
    "height_1",
    "inverse",
    "inverse_1",
    "isa_height_1",
    "isa_pressure_1",
    "isa_pressure_hpa",
    "normal_1",
    "polar",
    "polar_1",
    "pressure_height_correction",
    "site_row",
    "site_table",
    "up_1",
    "wrap_pi_1",
    "wrap_two_pi_1",
]  # fmt: skip

# ISA, ICAO Doc 7488: pressure at sea level, temperature there, lapse to the tropopause, g0 and R of dry air.
ISA_HPA = 1013.25
_T0_K = 288.15
_LAPSE_K_PER_M = 0.0065
_G0 = 9.80665
_R_AIR = 287.05287
_ISA_EXPONENT = _G0 / (_R_AIR * _LAPSE_K_PER_M)
_TROPOPAUSE_M = 11_000.0
_T11_K = _T0_K - _LAPSE_K_PER_M * _TROPOPAUSE_M
_FLAT = A_M * A_M / (B_M * B_M)
_P11_HPA = ISA_HPA * math.pow(_T11_K / _T0_K, _ISA_EXPONENT)


@njit("UniTuple(float64, 3)(float64, float64, float64)", cache=True, nogil=True)
def ecef_1(lat_rad: float, lon_rad: float, height_m: float) -> tuple[float, float, float]:
    """Geodetic place to ECEF (x, y, z) metres."""
    s = math.sin(lat_rad)
    c = math.cos(lat_rad)
    n = A_M / math.sqrt(1.0 - E2 * s * s)
    r = (n + height_m) * c
    return r * math.cos(lon_rad), r * math.sin(lon_rad), (n * (1.0 - E2) + height_m) * s


@njit("UniTuple(float64, 3)(float64, float64, float64)", cache=True, nogil=True)
def geodetic_1(x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
    """ECEF to (lat_rad, lon_rad, height_m), better than 1e-9 rad and 1e-6 m from -10 km to 1,000 km.

    Bowring (1985) in the reduced latitude, iterated: each pass gains six digits, three are far past double precision.
    The height formula has no division by cos or sin of latitude, so it holds at the poles.
    """
    p = math.hypot(x_m, y_m)
    lon = math.atan2(y_m, x_m)
    beta = math.atan2(z_m * A_M, p * B_M)
    lat = beta
    for _ in range(3):
        sb = math.sin(beta)
        cb = math.cos(beta)
        lat = math.atan2(z_m + EP2 * B_M * sb * sb * sb, p - E2 * A_M * cb * cb * cb)
        beta = math.atan2(B_M * math.sin(lat), A_M * math.cos(lat))
    s = math.sin(lat)
    h = p * math.cos(lat) + z_m * s - A_M * math.sqrt(1.0 - E2 * s * s)
    return lat, lon, h


@njit("UniTuple(float64, 2)(float64, float64, float64, float64)", cache=True, nogil=True)
def bowring_1(p_m: float, z_m: float, cb: float, sb: float) -> tuple[float, float]:
    """One pass of Bowring's formula with ratios in place of angles: cosine and sine of the latitude of a place.

    `p_m` from the axis, `z_m` above the equator; `cb` and `sb` are to each other as cosine and sine of the parametric
    latitude.
    """
    n = max(math.sqrt(cb * cb + sb * sb), 1.0)  # 1: the middle of the earth has a latitude too
    cb /= n
    sb /= n
    c = p_m - E2 * A_M * cb * cb * cb
    s = z_m + EP2 * B_M * sb * sb * sb
    n = max(math.sqrt(c * c + s * s), 1.0)
    return c / n, s / n


@njit("float64(float64, float64, float64)", cache=True, nogil=True)
def height_1(x_m: float, y_m: float, z_m: float) -> float:
    """Height in metres above the ellipsoid of an ECEF place: one pass of Bowring's formula without trigonometry.

    Within 1e-5 m of `geodetic_1` from -10 km to 1,000 km, in a tenth of its time.
    """
    p = math.sqrt(x_m * x_m + y_m * y_m)
    c, s = bowring_1(p, z_m, p * B_M, z_m * A_M)
    return p * c + z_m * s - A_M * math.sqrt(1.0 - E2 * s * s)


@njit("UniTuple(float64, 4)(float64, float64, float64)", cache=True, nogil=True)
def normal_1(x_m: float, y_m: float, z_m: float) -> tuple[float, float, float, float]:
    """Unit normal of the ellipsoid below an ECEF place, and the height above it in metres: as `geodetic_1` has them.

    Two passes of Bowring's formula with sines and cosines as ratios, so without trigonometry: a tenth of its time.
    """
    p = math.sqrt(x_m * x_m + y_m * y_m)
    c, s = bowring_1(p, z_m, p * B_M, z_m * A_M)
    c, s = bowring_1(p, z_m, A_M * c, B_M * s)
    h = p * c + z_m * s - A_M * math.sqrt(1.0 - E2 * s * s)
    if p <= 0.0:  # at a pole longitude is 0, as atan2 has it
        return c, 0.0, s, h
    return c * x_m / p, c * y_m / p, s, h


@njit(
    ["UniTuple(float64, 3)(float64, float64, float64)", kinds.UniTuple(LANES, 3)(LANES, LANES, LANES)],
    cache=True,
    nogil=True,
)
def up_1(x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
    """Unit vector up at an ECEF place, proportional to (x/A^2, y/A^2, z/B^2), as filters/params.py defines it. Compiled
    code may ask for several places at once, in lanes.

    Exact on the ellipsoid; 7e-6 rad off at 12 km height: a few cm over the vertical scale of any noise here.
    """
    uz = z_m * _FLAT
    one = 1.0 / math.sqrt(x_m * x_m + y_m * y_m + uz * uz)
    return x_m * one, y_m * one, uz * one


@njit("UniTuple(float64, 9)(float64, float64)", cache=True, nogil=True)
def enu_axes_1(lat_rad: float, lon_rad: float) -> tuple[float, float, float, float, float, float, float, float, float]:
    """Unit vectors east, north, up in ECEF at a geodetic place, row after row."""
    sp = math.sin(lat_rad)
    cp = math.cos(lat_rad)
    sl = math.sin(lon_rad)
    cl = math.cos(lon_rad)
    return -sl, cl, 0.0, -sp * cl, -sp * sl, cp, cp * cl, cp * sl, sp


# ---------------------------------------------------------------- sites and polar measurements


@njit("UniTuple(float64, 3)(float64[::1], float64, float64, float64)", cache=True, nogil=True)
def polar_1(site: F8, x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
    """An ECEF place as a site (15,) sees it: (range_m, azimuth_rad 0..2 pi, elevation_rad), without refraction."""
    dx = x_m - site[0]
    dy = y_m - site[1]
    dz = z_m - site[2]
    e = site[3] * dx + site[4] * dy + site[5] * dz
    n = site[6] * dx + site[7] * dy + site[8] * dz
    u = site[9] * dx + site[10] * dy + site[11] * dz
    ground = math.hypot(e, n)
    return math.hypot(ground, u), wrap_two_pi_1(math.atan2(e, n)), math.atan2(u, ground)


@njit("UniTuple(float64, 3)(float64[::1], float64, float64, float64)", cache=True, nogil=True)
def ecef_from_polar_1(site: F8, range_m: float, azimuth_rad: float, elevation_rad: float) -> tuple[float, float, float]:
    """The ECEF place at a slant range, azimuth and elevation from a site (15,)."""
    ground = range_m * math.cos(elevation_rad)
    e = ground * math.sin(azimuth_rad)
    n = ground * math.cos(azimuth_rad)
    u = range_m * math.sin(elevation_rad)
    return (
        site[0] + site[3] * e + site[6] * n + site[9] * u,
        site[1] + site[4] * e + site[7] * n + site[10] * u,
        site[2] + site[5] * e + site[8] * n + site[11] * u,
    )


@njit("float64(float64)", cache=True, nogil=True)
def _sine_1(value: float) -> float:
    """Held to -1..1; written with comparisons because min and max would turn NaN into a number."""
    if value > 1.0:
        return 1.0
    return -1.0 if value < -1.0 else value


@njit("UniTuple(float64, 3)(float64[::1], float64, float64, float64, float64)", cache=True, nogil=True)
def _ecef_1(site: F8, range_m: float, sa: float, ca: float, sin_el: float) -> tuple[float, float, float]:
    """As `ecef_from_polar_1`, from sine and cosine of the azimuth and the sine of the elevation."""
    ground = range_m * math.sqrt(1.0 - sin_el * sin_el)
    e = ground * sa
    n = ground * ca
    u = range_m * sin_el
    return (
        site[0] + site[3] * e + site[6] * n + site[9] * u,
        site[1] + site[4] * e + site[7] * n + site[10] * u,
        site[2] + site[5] * e + site[8] * n + site[11] * u,
    )


@njit("UniTuple(float64, 3)(float64[::1], float64, float64, float64)", cache=True, nogil=True)
def ecef_from_range_height_1(
    site: F8, range_m: float, azimuth_rad: float, height_m: float
) -> tuple[float, float, float]:
    """The ECEF place at a slant range and azimuth from a site (15,) that lies height_m above the ellipsoid.

    Where no place does (the height is more than the range above or below the antenna) the range is kept and the place
    lies straight above or below the site. The first guess, on the sphere that fits the ellipsoid along the azimuth, is
    5 m off in height at 500 km and 40 m at 1,000 km; each pass divides that by 1e5, so two end at nanometres.
    """
    s = math.sin(site[12])
    n_m = A_M / math.sqrt(1.0 - E2 * s * s)
    m_m = n_m * (1.0 - E2) / (1.0 - E2 * s * s)
    ca = math.cos(azimuth_rad)
    sa = math.sin(azimuth_rad)
    radius = 1.0 / (ca * ca / m_m + sa * sa / n_m)
    antenna = radius + site[14]
    there = radius + height_m
    if range_m <= 0.0:
        return site[0], site[1], site[2]
    sin_el = ((there - antenna) * (there + antenna) - range_m * range_m) / (2.0 * range_m * antenna)
    sin_el = _sine_1(sin_el)
    slope = range_m * antenna / there
    for _ in range(2):
        x, y, z = _ecef_1(site, range_m, sa, ca, sin_el)
        sin_el = _sine_1(sin_el + (height_m - normal_1(x, y, z)[3]) / slope)
    return _ecef_1(site, range_m, sa, ca, sin_el)


# ---------------------------------------------------------------- pressure and height


@njit("float64(float64)", cache=True, nogil=True)
def isa_pressure_1(height_m: float) -> float:
    """Pressure in hPa of the standard atmosphere (ICAO Doc 7488) at a geopotential height above MSL, to 20 km."""
    if height_m > _TROPOPAUSE_M:
        return _P11_HPA * math.exp(-_G0 * (height_m - _TROPOPAUSE_M) / (_R_AIR * _T11_K))
    return ISA_HPA * math.pow(1.0 - _LAPSE_K_PER_M * height_m / _T0_K, _ISA_EXPONENT)


@njit("float64(float64)", cache=True, nogil=True)
def isa_height_1(pressure_hpa: float) -> float:
    """Inverse of isa_pressure_1: the pressure height in metres of a pressure in hPa."""
    if pressure_hpa < _P11_HPA:
        return _TROPOPAUSE_M - _R_AIR * _T11_K / _G0 * math.log(pressure_hpa / _P11_HPA)
    return _T0_K / _LAPSE_K_PER_M * (1.0 - math.pow(pressure_hpa / ISA_HPA, 1.0 / _ISA_EXPONENT))


def isa_pressure_hpa(height_m: float) -> float:
    """Pressure of the standard atmosphere at a height above mean sea level (metres, -1.5 km to 20 km), in hPa."""
    return float(isa_pressure_1(height_m))


def pressure_height_correction(qnh_hpa: float) -> float:
    """Metres to add to a height reported against 1013.25 hPa to get height above mean sea level, for a QNH in hPa.

    What an altimeter's subscale does (ICAO Doc 7488 atmosphere): about 8.3 m per hPa. Warmth of the air is not in it.
    """
    return 0.0 - float(isa_height_1(qnh_hpa))


# ---------------------------------------------------------------- the same over arrays

_V = "float64[::1]"


@njit(f"float64[:,::1]({_V}, {_V}, {_V})", cache=True, nogil=True)
def _ecef_n(lat: F8, lon: F8, height: F8) -> F8:
    out = np.empty((lat.size, 3))
    for i in range(lat.size):
        out[i, 0], out[i, 1], out[i, 2] = ecef_1(lat[i], lon[i], height[i])
    return out


@njit(f"float64[:,::1]({_V}, {_V}, {_V})", cache=True, nogil=True)
def _geodetic_n(x: F8, y: F8, z: F8) -> F8:
    out = np.empty((3, x.size))
    for i in range(x.size):
        out[0, i], out[1, i], out[2, i] = geodetic_1(x[i], y[i], z[i])
    return out


@njit(f"float64[:,:,::1]({_V}, {_V})", cache=True, nogil=True)
def _enu_axes_n(lat: F8, lon: F8) -> F8:
    out = np.empty((lat.size, 3, 3))
    for i in range(lat.size):
        axes = enu_axes_1(lat[i], lon[i])
        for k in range(9):
            out[i, k // 3, k % 3] = axes[k]
    return out


@njit(f"float64[:,:,::1]({_V}, {_V}, float64[:,:,::1])", cache=True, nogil=True)
def _enu_covariance_n(lat: F8, lon: F8, cov: F8) -> F8:
    out = np.empty((lat.size, 3, 3))
    axes = _enu_axes_n(lat, lon)
    for i in range(lat.size):
        for r in range(3):
            for c in range(3):
                total = 0.0
                for j in range(3):
                    for k in range(3):
                        total += axes[i, r, j] * cov[i, j, k] * axes[i, c, k]
                out[i, r, c] = total
    return out


@njit(f"float64[:,::1]({_V}, {_V}, {_V}, {_V})", cache=True, nogil=True)
def _inverse_n(lat1: F8, lon1: F8, lat2: F8, lon2: F8) -> F8:
    out = np.empty((3, lat1.size))
    for i in range(lat1.size):
        out[0, i], out[1, i], out[2, i] = inverse_1(lat1[i], lon1[i], lat2[i], lon2[i])
    return out


@njit(f"float64[:,::1]({_V}, {_V}, {_V}, {_V})", cache=True, nogil=True)
def _direct_n(lat: F8, lon: F8, azimuth: F8, distance: F8) -> F8:
    out = np.empty((3, lat.size))
    for i in range(lat.size):
        out[0, i], out[1, i], out[2, i] = direct_1(lat[i], lon[i], azimuth[i], distance[i])
    return out


@njit(f"float64[:,::1]({_V}, float64[:,::1])", cache=True, nogil=True)
def _polar_n(site: F8, xyz: F8) -> F8:
    out = np.empty((3, xyz.shape[0]))
    for i in range(xyz.shape[0]):
        out[0, i], out[1, i], out[2, i] = polar_1(site, xyz[i, 0], xyz[i, 1], xyz[i, 2])
    return out


@njit(f"float64[:,::1]({_V}, {_V}, {_V}, {_V})", cache=True, nogil=True)
def _ecef_from_polar_n(site: F8, range_m: F8, azimuth: F8, elevation: F8) -> F8:
    out = np.empty((range_m.size, 3))
    for i in range(range_m.size):
        out[i, 0], out[i, 1], out[i, 2] = ecef_from_polar_1(site, range_m[i], azimuth[i], elevation[i])
    return out


@njit(f"float64[:,::1]({_V}, {_V}, {_V}, {_V})", cache=True, nogil=True)
def _ecef_from_range_height_n(site: F8, range_m: F8, azimuth: F8, height: F8) -> F8:
    out = np.empty((range_m.size, 3))
    for i in range(range_m.size):
        out[i, 0], out[i, 1], out[i, 2] = ecef_from_range_height_1(site, range_m[i], azimuth[i], height[i])
    return out


def _vectors(*given: ArrayLike) -> list[F8]:
    """Flat contiguous float64 vectors of one length; a scalar among them is repeated."""
    return [np.ascontiguousarray(v, dtype=np.float64).reshape(-1) for v in np.broadcast_arrays(*given)]


def _rows(xyz: ArrayLike) -> F8:
    """(n, 3) contiguous float64; one place (3,) becomes one row."""
    return np.ascontiguousarray(xyz, dtype=np.float64).reshape(-1, 3)


def ecef(lat_rad: ArrayLike, lon_rad: ArrayLike, height_m: ArrayLike) -> F8:
    """Geodetic places (n,) to ECEF (n, 3) metres."""
    return np.asarray(_ecef_n(*_vectors(lat_rad, lon_rad, height_m)))


def geodetic(xyz_m: ArrayLike) -> tuple[F8, F8, F8]:
    """ECEF (n, 3) metres to (lat_rad, lon_rad, height_m), each (n,)."""
    xyz = _rows(xyz_m)
    lat, lon, height = _geodetic_n(*(np.ascontiguousarray(xyz[:, k]) for k in range(3)))
    return lat, lon, height


def enu_axes(lat_rad: ArrayLike, lon_rad: ArrayLike) -> F8:
    """Unit vectors of the local axes in ECEF, (n, 3, 3): rows east, north, up. `axes @ v_ecef` is v in ENU."""
    return np.asarray(_enu_axes_n(*_vectors(lat_rad, lon_rad)))


def enu_covariance(lat_rad: ArrayLike, lon_rad: ArrayLike, cov: ArrayLike) -> F8:
    """ECEF covariances (n, 3, 3) at places (n,) expressed in east, north, up there: (n, 3, 3)."""
    blocks = np.ascontiguousarray(cov, dtype=np.float64).reshape(-1, 3, 3)
    lat, lon, _ = _vectors(lat_rad, lon_rad, np.empty(len(blocks)))
    return np.asarray(_enu_covariance_n(lat, lon, blocks))


def inverse(lat1_rad: ArrayLike, lon1_rad: ArrayLike, lat2_rad: ArrayLike, lon2_rad: ArrayLike) -> tuple[F8, F8, F8]:
    """Geodesics between places, see inverse_1: (distance_m, azimuth at 1, azimuth at 2), each (n,)."""
    distance, az1, az2 = _inverse_n(*_vectors(lat1_rad, lon1_rad, lat2_rad, lon2_rad))
    return distance, az1, az2


def direct(lat_rad: ArrayLike, lon_rad: ArrayLike, azimuth_rad: ArrayLike, distance_m: ArrayLike) -> tuple[F8, F8, F8]:
    """Ends of geodesics, see direct_1: (lat_rad, lon_rad, azimuth there), each (n,)."""
    lat, lon, az = _direct_n(*_vectors(lat_rad, lon_rad, azimuth_rad, distance_m))
    return lat, lon, az


def site_row(lat_rad: float, lon_rad: float, height_m: float) -> F8:
    """One site as (15,), layout SITE of filters/params.py: ECEF x y z, east, north, up, then lat, lon, height."""
    row = np.empty(SITE)
    row[:3] = ecef_1(lat_rad, lon_rad, height_m)
    row[3:12] = enu_axes_1(lat_rad, lon_rad)
    row[12:] = lat_rad, lon_rad, height_m
    return row


def site_table(sensors: Sequence[SensorSpec]) -> F8:
    """Sites of all sensors as (len, 15), in their order; NaN rows without site; an unknown height counts as 0."""
    table = np.full((len(sensors), SITE), np.nan)
    for row, sensor in zip(table, sensors, strict=True):
        if sensor.has_site:
            height = sensor.height_m if math.isfinite(sensor.height_m) else 0.0
            row[:] = site_row(sensor.lat_rad, sensor.lon_rad, height)
    return table


def polar(site: F8, xyz_m: ArrayLike) -> tuple[F8, F8, F8]:
    """ECEF places (n, 3) as a site (15,) sees them: (range_m, azimuth_rad, elevation_rad), each (n,)."""
    range_m, azimuth, elevation = _polar_n(np.ascontiguousarray(site), _rows(xyz_m))
    return range_m, azimuth, elevation


def ecef_from_polar(site: F8, range_m: ArrayLike, azimuth_rad: ArrayLike, elevation_rad: ArrayLike) -> F8:
    """Places (n, 3) in ECEF at slant ranges, azimuths and elevations from a site (15,)."""
    return np.asarray(_ecef_from_polar_n(np.ascontiguousarray(site), *_vectors(range_m, azimuth_rad, elevation_rad)))


def ecef_from_range_height(site: F8, range_m: ArrayLike, azimuth_rad: ArrayLike, height_m: ArrayLike) -> F8:
    """Places (n, 3) in ECEF from slant range, azimuth and an assumed height, see ecef_from_range_height_1."""
    vectors = _vectors(range_m, azimuth_rad, height_m)
    return np.asarray(_ecef_from_range_height_n(np.ascontiguousarray(site), *vectors))
