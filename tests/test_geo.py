"""geo against published vectors, geographiclib and the definitions of its own frames; geodesics: test_geodesic.py."""

from __future__ import annotations

import math

import numpy as np
import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo
from fusion.schema import SensorKind, SensorSpec

LATITUDES = st.floats(-math.pi / 2, math.pi / 2)
LONGITUDES = st.floats(-math.pi, math.pi)
AZIMUTHS = st.floats(0.0, 2 * math.pi, exclude_max=True)
HEIGHTS = st.floats(-10_000.0, 1_000_000.0)
SITE = geo.site_row(math.radians(54.95), math.radians(23.9), 80.0)

# Munich, Flensburg, Trieste, Kaliningrad, the Danube delta, Narva (degrees): where this will be used.
PLACES = [(48.137, 11.575), (54.784, 9.437), (45.650, 13.777), (54.710, 20.510), (45.200, 29.500), (59.379, 28.190)]


def angle_between(a_rad: float, b_rad: float) -> float:
    return abs(math.remainder(a_rad - b_rad, 2 * math.pi))


# ---- ECEF and geodetic


def test_ecef_of_the_epsg_worked_example() -> None:
    """EPSG guidance note 7-2, method 9602: 53d48'33.820"N 2d07'46.380"E 73.0 m on WGS84."""
    lat = math.radians(53 + 48 / 60 + 33.82 / 3600)
    lon = math.radians(2 + 7 / 60 + 46.38 / 3600)
    assert geo.ecef_1(lat, lon, 73.0) == pytest.approx((3771793.968, 140253.342, 5124304.349), abs=1e-3)
    assert geo.geodetic_1(3771793.968, 140253.342, 5124304.349) == pytest.approx((lat, lon, 73.0), abs=1e-3)


def test_ecef_of_equator_and_poles_are_the_axes_of_the_ellipsoid() -> None:
    assert geo.ecef_1(0.0, 0.0, 5.0) == pytest.approx((6378142.0, 0.0, 0.0), abs=1e-9)
    assert geo.ecef_1(0.0, math.pi / 2, 0.0) == pytest.approx((0.0, 6378137.0, 0.0), abs=1e-9)
    assert geo.ecef_1(math.pi / 2, 0.3, 10.0) == pytest.approx((0.0, 0.0, 6356752.314245 + 10.0), abs=1e-6)


@given(LATITUDES, LONGITUDES, HEIGHTS)
def test_height_alone_is_that_of_geodetic(lat: float, lon: float, height: float) -> None:
    place = geo.ecef_1(lat, lon, height)
    assert geo.height_1(*place) == pytest.approx(geo.geodetic_1(*place)[2], abs=1e-5)


@given(LATITUDES, LONGITUDES, HEIGHTS)
def test_the_normal_is_that_of_geodetic_without_its_trigonometry(lat: float, lon: float, height: float) -> None:
    place = geo.ecef_1(lat, lon, height)
    there = geo.geodetic_1(*place)
    assert geo.normal_1(*place)[3] == pytest.approx(there[2], abs=1e-6)
    assert geo.normal_1(*place)[:3] == pytest.approx(geo.enu_axes_1(*there[:2])[6:], abs=1e-14)


@pytest.mark.parametrize("z_m", [geo.B_M + 250.0, -geo.B_M - 250.0])
def test_the_normal_at_a_pole_stands_upright(z_m: float) -> None:
    assert geo.normal_1(0.0, 0.0, z_m) == pytest.approx((0.0, 0.0, math.copysign(1.0, z_m), 250.0), abs=1e-8)


@given(LATITUDES, LONGITUDES, HEIGHTS)
def test_geodetic_undoes_ecef(lat: float, lon: float, height: float) -> None:
    lat2, lon2, height2 = geo.geodetic_1(*geo.ecef_1(lat, lon, height))
    assert abs(lat2 - lat) < 1e-9
    assert angle_between(lon2, lon) * math.cos(lat) < 1e-9
    assert abs(height2 - height) < 1e-6


@pytest.mark.parametrize("lat_deg, lon_deg", PLACES)
def test_a_short_way_in_ecef_is_as_long_as_geographiclib_says(lat_deg: float, lon_deg: float) -> None:
    for azimuth in range(0, 360, 30):
        end = Geodesic.WGS84.Direct(lat_deg, lon_deg, azimuth, 100.0)
        a, b = geo.ecef(np.radians([lat_deg, end["lat2"]]), np.radians([lon_deg, end["lon2"]]), 0.0)
        assert np.linalg.norm(a - b) == pytest.approx(100.0, abs=1e-7)


# ---- local axes


@given(LATITUDES, LONGITUDES)
def test_enu_axes_are_orthonormal_and_right_handed(lat: float, lon: float) -> None:
    axes = geo.enu_axes(lat, lon)[0]
    assert np.allclose(axes @ axes.T, np.eye(3), atol=1e-15)
    assert np.linalg.det(axes) == pytest.approx(1.0, abs=1e-14)


@pytest.mark.parametrize("lat_deg, lon_deg", [*PLACES, (-33.9, 151.2), (0.0, 0.0)])
def test_enu_axes_point_where_latitude_longitude_and_height_grow(lat_deg: float, lon_deg: float) -> None:
    lat, lon, step = math.radians(lat_deg), math.radians(lon_deg), 1e-6
    here = geo.ecef(lat, lon, 0.0)[0]
    moved = [geo.ecef(lat, lon + step, 0.0)[0], geo.ecef(lat + step, lon, 0.0)[0], geo.ecef(lat, lon, 10.0)[0]]
    for axis, there in zip(geo.enu_axes(lat, lon)[0], moved, strict=True):
        assert axis @ (there - here) / np.linalg.norm(there - here) == pytest.approx(1.0, abs=1e-11)


@given(LATITUDES, LONGITUDES)
def test_up_is_the_ellipsoid_normal_on_the_ellipsoid_and_close_to_it_in_the_air(lat: float, lon: float) -> None:
    exact = geo.enu_axes(lat, lon)[0, 2]
    on_ground = np.array(geo.up_1(*geo.ecef_1(lat, lon, 0.0)))
    in_air = np.array(geo.up_1(*geo.ecef_1(lat, lon, 12_000.0)))
    assert np.linalg.norm(np.cross(exact, on_ground)) < 1e-14
    assert np.linalg.norm(np.cross(exact, in_air)) < 8e-6
    assert np.linalg.norm(in_air) == pytest.approx(1.0, abs=1e-15)


def test_enu_covariance_turns_each_block_with_its_own_axes() -> None:
    rng = np.random.default_rng(7)
    lat, lon = rng.uniform(-1.5, 1.5, 20), rng.uniform(-3.1, 3.1, 20)
    root = rng.normal(size=(20, 3, 3))
    cov = root @ root.transpose(0, 2, 1)
    axes = geo.enu_axes(lat, lon)
    assert np.allclose(geo.enu_covariance(lat, lon, cov), axes @ cov @ axes.transpose(0, 2, 1), rtol=0, atol=1e-13)
    east_only = 9.0 * np.einsum("ni,nj->nij", axes[:, 0], axes[:, 0])
    assert np.allclose(geo.enu_covariance(lat, lon, east_only), np.diag([9.0, 0.0, 0.0]), atol=1e-13)


# ---- sites and polar measurements


def test_site_row_holds_place_axes_and_position() -> None:
    assert SITE.shape == (15,)
    assert tuple(SITE[:3]) == geo.ecef_1(SITE[12], SITE[13], 80.0)
    assert np.array_equal(SITE[3:12].reshape(3, 3), geo.enu_axes(SITE[12], SITE[13])[0])
    assert tuple(SITE[12:]) == (math.radians(54.95), math.radians(23.9), 80.0)


def test_site_table_keeps_order_and_leaves_sensors_without_site_unknown() -> None:
    sensors = [
        SensorSpec("A0", 0, SensorKind.ADSB),
        SensorSpec("R0", 1, SensorKind.RADAR_2D, lat_rad=SITE[12], lon_rad=SITE[13], height_m=80.0),
        SensorSpec("R1", 2, SensorKind.RADAR_2D, lat_rad=0.9, lon_rad=0.3),
    ]
    table = geo.site_table(sensors)
    assert table.shape == (3, 15)
    assert np.isnan(table[0]).all()
    assert np.array_equal(table[1], SITE)
    assert table[2, 14] == 0.0
    assert geo.site_table([]).shape == (0, 15)


@pytest.mark.parametrize("east, north, azimuth_deg", [(0, 1, 0), (1, 1, 45), (1, 0, 90), (0, -1, 180), (-1, 0, 270)])
def test_azimuth_runs_clockwise_from_north(east: float, north: float, azimuth_deg: float) -> None:
    axes = SITE[3:12].reshape(3, 3)
    place = SITE[:3] + 1000.0 * (east * axes[0] + north * axes[1])
    range_m, azimuth, elevation = geo.polar_1(SITE, *place)
    assert range_m == pytest.approx(1000.0 * math.hypot(east, north), abs=1e-6)
    assert angle_between(azimuth, math.radians(azimuth_deg)) < 1e-11
    assert elevation == pytest.approx(0.0, abs=1e-11)


def test_overhead_and_at_the_antenna_are_finite() -> None:
    above = SITE[:3] + 500.0 * SITE[9:12]
    assert geo.polar_1(SITE, *above)[::2] == pytest.approx((500.0, math.pi / 2), abs=1e-9)
    assert all(math.isfinite(v) for v in geo.polar_1(SITE, *SITE[:3]))


@pytest.mark.parametrize("azimuth_deg", range(0, 360, 30))
def test_azimuth_of_a_distant_place_is_that_of_the_geodesic(azimuth_deg: float) -> None:
    """Normal section and geodesic differ by far less than any radar's noise: 2e-7 rad at 150 km."""
    end = Geodesic.WGS84.Direct(54.95, 23.9, azimuth_deg, 150_000.0)
    place = geo.ecef_1(math.radians(end["lat2"]), math.radians(end["lon2"]), 0.0)
    assert angle_between(geo.polar_1(SITE, *place)[1], math.radians(azimuth_deg)) < 2e-7


@given(st.floats(1.0, 500_000.0), AZIMUTHS, st.floats(-1.5, 1.5))
def test_polar_undoes_ecef_from_polar(range_m: float, azimuth: float, elevation: float) -> None:
    r, az, el = geo.polar_1(SITE, *geo.ecef_from_polar_1(SITE, range_m, azimuth, elevation))
    assert abs(r - range_m) < 1e-8
    assert angle_between(az, azimuth) * range_m * math.cos(elevation) < 1e-7
    assert abs(el - elevation) * range_m < 1e-7


@given(LATITUDES, AZIMUTHS, st.floats(50.0, 1_000_000.0), st.floats(-1_500.0, 60_000.0))
def test_range_and_height_give_the_place_with_both(lat: float, azimuth: float, range_m: float, height: float) -> None:
    site = geo.site_row(lat, 0.4, 250.0)
    place = geo.ecef_from_range_height_1(site, range_m, azimuth, height)
    r, az, el = geo.polar_1(site, *place)
    found = geo.geodetic_1(*place)[2]
    assert abs(r - range_m) < 1e-6
    assert angle_between(az, azimuth) * range_m * math.cos(el) < 1e-6
    if abs(height - 250.0) < 0.99 * range_m:
        assert abs(found - height) < 1e-6
    elif abs(height - 250.0) > 1.01 * range_m:
        assert el == pytest.approx(math.copysign(math.pi / 2, height - 250.0), abs=1e-9)


@pytest.mark.parametrize("height, found", [(9_000.0, 650.0), (-900.0, -150.0)])
def test_a_height_out_of_reach_is_taken_straight_above_or_below_at_the_measured_range(
    height: float, found: float
) -> None:
    site = geo.site_row(0.95, 0.4, 250.0)
    assert geo.geodetic_1(*geo.ecef_from_range_height_1(site, 400.0, 1.0, height))[2] == pytest.approx(found, abs=1e-6)


def test_range_zero_is_the_antenna() -> None:
    assert geo.ecef_from_range_height_1(SITE, 0.0, 1.0, 500.0) == tuple(SITE[:3])


# ---- arrays


def test_arrays_give_the_same_bits_as_scalars_in_any_batch() -> None:
    rng = np.random.default_rng(3)
    lat, lon, height = rng.uniform(-1.5, 1.5, 50), rng.uniform(-3.1, 3.1, 50), rng.uniform(0, 12_000, 50)
    xyz = geo.ecef(lat, lon, height)
    range_m, azimuth, elevation = geo.polar(SITE, xyz)
    distance, az1, az2 = geo.inverse(lat, lon, lat[::-1], lon[::-1])
    far_lat, far_lon, far_az = geo.direct(lat, lon, az1, distance)
    back = geo.geodetic(xyz)
    ground = geo.ecef_from_range_height(SITE, range_m, azimuth, height)
    space = geo.ecef_from_polar(SITE, range_m, azimuth, elevation)
    assert np.array_equal(geo.ecef(lat[20:30], lon[20:30], height[20:30]), xyz[20:30])
    for i in range(50):
        assert tuple(xyz[i]) == geo.ecef_1(lat[i], lon[i], height[i])
        assert (back[0][i], back[1][i], back[2][i]) == geo.geodetic_1(*xyz[i])
        assert (range_m[i], azimuth[i], elevation[i]) == geo.polar_1(SITE, *xyz[i])
        assert (distance[i], az1[i], az2[i]) == geo.inverse_1(lat[i], lon[i], lat[49 - i], lon[49 - i])
        assert (far_lat[i], far_lon[i], far_az[i]) == geo.direct_1(lat[i], lon[i], az1[i], distance[i])
        assert tuple(ground[i]) == geo.ecef_from_range_height_1(SITE, range_m[i], azimuth[i], height[i])
        assert tuple(space[i]) == geo.ecef_from_polar_1(SITE, range_m[i], azimuth[i], elevation[i])


def test_arrays_accept_scalars_slices_and_nothing() -> None:
    lat = np.linspace(0.8, 1.0, 12)
    assert geo.ecef(lat[::3], 0.4, 100.0).shape == (4, 3)
    assert geo.inverse(0.9, 0.4, lat[::-2], 0.4)[0].shape == (6,)
    assert geo.geodetic(np.empty((0, 3)))[2].shape == (0,)
    assert geo.enu_covariance(np.empty(0), np.empty(0), np.empty((0, 3, 3))).shape == (0, 3, 3)


def test_not_measured_goes_in_and_comes_out() -> None:
    for found in (
        geo.inverse_1(0.9, math.nan, 0.8, 0.4),
        geo.inverse_1(math.nan, 0.4, 0.8, 0.4),
        geo.direct_1(0.9, 0.4, math.nan, 10.0),
        geo.geodetic_1(math.nan, 0.0, 0.0),
        geo.ecef_1(math.nan, 0.0, 0.0),
        geo.polar_1(SITE, math.nan, 0.0, 0.0),
        geo.ecef_from_range_height_1(SITE, 1000.0, 1.0, math.nan),
        geo.ecef_from_range_height_1(SITE, math.nan, 1.0, 500.0),
        geo.ecef_from_range_height_1(SITE, 1000.0, math.nan, 500.0),
    ):
        assert any(math.isnan(v) for v in found)


# ---- pressure and height


@pytest.mark.parametrize(
    "height_m, pressure_hpa",
    [
        (-1000, 1139.29),
        (0, 1013.25),
        (1000, 898.745),
        (5000, 540.199),
        (11_000, 226.320),
        (15_000, 120.445),
        (20_000, 54.7487),
    ],
)
def test_isa_pressure_of_the_icao_table(height_m: float, pressure_hpa: float) -> None:
    """ICAO Doc 7488/3, pressure by geopotential height."""
    assert geo.isa_pressure_hpa(height_m) == pytest.approx(pressure_hpa, rel=1e-5)


@given(st.floats(-1_500.0, 20_000.0))
def test_isa_height_undoes_isa_pressure(height_m: float) -> None:
    assert geo.isa_height_1(geo.isa_pressure_1(height_m)) == pytest.approx(height_m, abs=1e-6)


def test_qnh_correction_is_8_metres_per_hectopascal_and_zero_in_the_standard_atmosphere() -> None:
    assert geo.pressure_height_correction(1013.25) == 0.0
    assert geo.pressure_height_correction(1023.25) == pytest.approx(83.0, abs=0.5)
    assert geo.pressure_height_correction(983.25) == pytest.approx(-253.0, abs=1.0)


@given(st.floats(940.0, 1060.0))
def test_where_the_pressure_is_qnh_the_corrected_height_is_sea_level(qnh_hpa: float) -> None:
    assert geo.isa_height_1(qnh_hpa) + geo.pressure_height_correction(qnh_hpa) == pytest.approx(0.0, abs=1e-9)
