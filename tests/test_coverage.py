"""coverage against the published horizon, straight rays over a 4/3 earth, and what silence may mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import coverage, geo, screening
from fusion.schema import F8, SensorKind, SensorSpec

LAT, LON = math.radians(54.95), math.radians(23.9)


def sensor(
    kind: SensorKind = SensorKind.RADAR_2D, antenna_m: float = 30.0, range_max_m: float = 400_000.0
) -> SensorSpec:
    return SensorSpec(
        "R0", 0, kind, lat_rad=LAT, lon_rad=LON, height_m=antenna_m, range_max_m=range_max_m, detection_probability=0.85
    )


def place(ground_m: float, height_m: float, azimuth_deg: float = 70.0) -> F8:
    lat, lon, _ = geo.direct_1(LAT, LON, math.radians(azimuth_deg), ground_m)
    return geo.ecef(lat, lon, height_m)


def probability(spec: SensorSpec, ground_m: float, height_m: float, surface_m: float = 0.0) -> float:
    table, sites = coverage.sensor_table([spec], surface_m), geo.site_table([spec])
    return float(coverage.detection_probability(table, sites, place(ground_m, height_m))[0, 0])


# ---- horizon


@pytest.mark.parametrize(
    "antenna_m, target_m", [(30, 50), (30, 100), (30, 200), (30, 1000), (300, 50), (300, 200), (300, 1000)]
)
def test_the_horizon_lies_where_the_published_formula_puts_it(antenna_m: float, target_m: float) -> None:
    """Line of sight in km = 4.12 (sqrt h1 + sqrt h2), the textbook form of the 4/3 earth."""
    horizon_m = 4120.0 * (math.sqrt(antenna_m) + math.sqrt(target_m))
    spec = sensor(antenna_m=antenna_m)
    assert probability(spec, horizon_m * 1.005, target_m) == 0.0
    assert probability(spec, horizon_m * 0.995, target_m) > 0.0


def straight_ray_clearance_m(antenna_m: float, target_m: float, ground_m: float) -> float:
    """Least height over a sphere of the refracted radius of the straight line between the two, found by sampling."""
    radius = screening.REFRACTED_M
    angle = ground_m / radius
    start = np.array([0.0, radius + antenna_m])
    end = (radius + target_m) * np.array([math.sin(angle), math.cos(angle)])
    share = np.linspace(0.0, 1.0, 20_001)[:, None]
    return float((np.linalg.norm(start + share * (end - start), axis=1) - radius).min())


@given(st.floats(3.0, 3_000.0), st.floats(10.0, 12_000.0), st.floats(5_000.0, 380_000.0))
def test_clearance_has_the_sign_of_a_straight_ray_over_the_refracted_earth(
    antenna_m: float, target_m: float, ground_m: float
) -> None:
    spec = sensor(antenna_m=antenna_m)
    table, site = coverage.sensor_table([spec]), geo.site_table([spec])[0]
    range_m = geo.polar(site, place(ground_m, target_m))[0][0]
    clearance = coverage.clearance_1(table[0], antenna_m, range_m, target_m)
    free = straight_ray_clearance_m(antenna_m, target_m, ground_m)
    # The sphere stands for the ellipsoid here (0.3 % of distance), so a ray that grazes may fall on either side.
    margin_m = 5.0 + 0.01 * abs(ground_m - table[0, coverage.C_HORIZON]) ** 2 / (2 * screening.REFRACTED_M)
    if clearance > margin_m:
        assert free > 0.0
    if clearance < -margin_m:
        assert free < 0.0


def test_clearance_above_the_antenna_is_the_sum_of_both_heights() -> None:
    """The tangent at the horizon comes down to the ground at the radar by the antenna's height, whichever way up."""
    spec = sensor(antenna_m=30.0)
    table, site = coverage.sensor_table([spec]), geo.site_table([spec])[0]
    range_m = geo.polar(site, place(0.0, 9_000.0))[0][0]
    assert range_m == pytest.approx(8_970.0, abs=1e-3)
    assert coverage.clearance_1(table[0], 30.0, range_m, 9_000.0) == pytest.approx(9_030.0, abs=1e-3)


def test_a_low_drone_is_hidden_from_every_mast_beyond_64_km_and_seen_nearer() -> None:
    assert probability(sensor(antenna_m=30.0), 66_000.0, 100.0) == 0.0
    assert probability(sensor(antenna_m=30.0), 25_000.0, 100.0) == 0.85


def test_detection_rises_smoothly_over_the_horizon() -> None:
    heights = np.arange(0.0, 700.0, 5.0)
    seen = np.array([probability(sensor(), 80_000.0, h) for h in heights])
    assert (np.diff(seen) >= 0.0).all()
    assert np.diff(seen).max() < 0.85 * 0.2  # no step as large as a fifth of the whole
    assert seen[0] == 0.0
    assert seen[-1] == 0.85


def test_the_surface_around_the_radar_makes_the_horizon() -> None:
    """200 m of hill under an antenna and a target 150 m over that plain: the hill's height is no advantage."""
    on_plain = probability(sensor(antenna_m=30.0), 70_000.0, 150.0)
    on_plateau = probability(sensor(antenna_m=230.0), 70_000.0, 350.0, surface_m=200.0)
    assert 0.0 < on_plain < 0.85
    assert on_plateau == pytest.approx(on_plain, abs=0.02)
    assert probability(sensor(antenna_m=230.0), 70_000.0, 150.0) == 0.85  # the same hill standing alone by the sea


def test_an_antenna_lower_than_its_surroundings_still_has_a_horizon() -> None:
    sunk = sensor(antenna_m=5.0)
    assert probability(sunk, 3_000.0, 300.0, surface_m=40.0) == 0.85
    assert probability(sunk, 45_000.0, 100.0, surface_m=40.0) == 0.0  # 4.12 (sqrt 2 + sqrt 60) = 38 km
    unknown = SensorSpec("R0", 0, SensorKind.RADAR_2D, lat_rad=LAT, lon_rad=LON, range_max_m=400_000.0)
    assert probability(unknown, 30_000.0, 1000.0) == 0.9
    assert probability(unknown, 60_000.0, 50.0) == 0.0


# ---- range and cone


def test_full_view_is_the_sensors_own_probability_and_nothing_lies_beyond_its_range() -> None:
    spec = sensor(range_max_m=100_000.0)
    assert probability(spec, 50_000.0, 5_000.0) == 0.85
    assert 0.0 < probability(spec, 97_000.0, 5_000.0) < 0.85
    assert probability(spec, 100_001.0, 5_000.0) == 0.0


@pytest.mark.parametrize("kind", [SensorKind.RADAR_2D, SensorKind.RADAR_3D])
def test_above_the_radar_is_the_cone_of_silence(kind: SensorKind) -> None:
    assert probability(sensor(kind), 100.0, 9_000.0) == 0.0
    assert 0.0 < probability(sensor(kind), 9_000.0, 9_000.0) < 0.85  # 45 degrees
    assert probability(sensor(kind), 15_000.0, 9_000.0) == 0.85


def test_an_acoustic_array_hears_overhead() -> None:
    assert probability(sensor(SensorKind.BEARING, range_max_m=5_000.0), 100.0, 1_000.0) == 0.85


@given(st.floats(0.0, 500_000.0), st.floats(-200.0, 30_000.0), st.floats(0.0, 360.0))
def test_probability_stays_between_nothing_and_full_view(ground_m: float, height_m: float, azimuth_deg: float) -> None:
    spec = sensor()
    table, sites = coverage.sensor_table([spec]), geo.site_table([spec])
    xyz = place(ground_m, height_m, azimuth_deg)
    seen = coverage.visibility(table, sites, xyz)[0, 0]
    assert 0.0 <= seen <= 1.0
    assert coverage.detection_probability(table, sites, xyz)[0, 0] == 0.85 * seen


# ---- what silence means


@pytest.mark.parametrize("kind", [SensorKind.ADSB, SensorKind.REMOTE_ID, SensorKind.TRACK, SensorKind.SIGHTING])
def test_silence_of_a_sensor_that_only_repeats_or_reports_says_nothing(kind: SensorKind) -> None:
    assert probability(sensor(kind), 20_000.0, 5_000.0) == 0.0
    table, sites = coverage.sensor_table([sensor(kind)]), geo.site_table([sensor(kind)])
    assert coverage.visibility(table, sites, place(20_000.0, 5_000.0))[0, 0] == 1.0  # though it could receive there
    assert coverage.visibility(table, sites, place(90_000.0, 10.0))[0, 0] == 0.0


def test_a_sensor_without_a_site_sees_everywhere_and_its_silence_says_nothing() -> None:
    network = SensorSpec("A0", 0, SensorKind.ADSB)
    lost_radar = SensorSpec("R0", 1, SensorKind.RADAR_2D)
    table, sites = coverage.sensor_table([network, lost_radar]), geo.site_table([network, lost_radar])
    xyz = place(350_000.0, 10.0)
    assert coverage.visibility(table, sites, xyz).tolist() == [[1.0, 1.0]]
    assert coverage.detection_probability(table, sites, xyz).tolist() == [[0.0, 0.0]]


def test_an_unknown_place_is_not_covered() -> None:
    table, sites = coverage.sensor_table([sensor()]), geo.site_table([sensor()])
    assert coverage.detection_probability(table, sites, np.full((1, 3), np.nan)).tolist() == [[0.0]]


# ---- arrays


def test_arrays_give_the_same_bits_as_scalars() -> None:
    rng = np.random.default_rng(5)
    sensors = [sensor(), sensor(SensorKind.RADAR_3D, 200.0, 150_000.0), SensorSpec("A0", 2, SensorKind.ADSB)]
    table, sites = coverage.sensor_table(sensors, [0.0, 100.0, 0.0]), geo.site_table(sensors)
    xyz = np.concatenate([place(g, h, a) for g, h, a in rng.uniform([0, 0, 0], [2e5, 2e3, 360], (60, 3))])
    found = coverage.detection_probability(table, sites, xyz)
    assert found.shape == (60, 3)
    assert 0.1 < (found[:, :2] > 0).mean() < 0.95  # the places are worth comparing
    for i in range(60):
        for s in range(3):
            assert found[i, s] == coverage.detection_probability_1(table[s], sites[s], *xyz[i])
    assert coverage.detection_probability(table, sites, np.empty((0, 3))).shape == (0, 3)
