"""coverage against the published horizon, straight rays over a 4/3 earth, and what silence may mean."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.files import zonefiles
from fusion import coverage, geo, hits, screening
from fusion.borders.terrain import Grid
from fusion.coverage import Coverage
from fusion.schema import F8, SensorKind, SensorSpec
from tests.conftest import ROOT

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


# ---- terrain


def ground(step_deg: float, ridge_m: float = 0.0, level_m: float = 0.0) -> Grid:
    """A plain 4 x 8 degrees around the radar; a ridge from north to south 30 to 33 km east of it (or one node wide)."""
    step = math.radians(step_deg)
    lon = math.radians(19.9) + step * np.arange(round(8.0 / step_deg))
    east_m = (lon - LON) * math.cos(LAT) * screening.EARTH_M
    width_m = max(3_000.0, step * screening.EARTH_M * math.cos(LAT))
    heights = np.where((east_m > 30_000.0) & (east_m <= 30_000.0 + width_m), ridge_m, level_m)
    values = np.broadcast_to(heights, (round(4.0 / step_deg), len(lon)))
    return Grid(math.radians(53.0), math.radians(19.9), step, np.ascontiguousarray(values, np.float32))


FINE, COARSE = ground(1 / 120, 400.0), ground(1 / 12, 400.0)
LARGE = math.log(1e4)  # seen at any range: what is left is geometry


def seen(known: Coverage, ground_m: float, height_m: float, azimuth_deg: float = 90.0, ln_rcs: float = LARGE) -> float:
    return float(known.detection(place(ground_m, height_m, azimuth_deg), ln_rcs)[0, 0])


def test_fine_terrain_hides_what_is_behind_it() -> None:
    known, open_ = Coverage([sensor()], FINE), Coverage([sensor()])
    assert seen(open_, 50_000.0, 500.0) == 0.85
    assert seen(known, 50_000.0, 500.0) == 0.0
    assert seen(known, 50_000.0, 1_200.0) == 0.85
    assert seen(known, 25_000.0, 500.0) == 0.85  # in front of the ridge
    assert seen(known, 50_000.0, 500.0, azimuth_deg=270.0) == 0.85


def test_a_low_object_that_slips_under_the_horizon_has_no_chance_and_one_in_full_view_all() -> None:
    for known in (Coverage([sensor()]), Coverage([sensor()], ground(1 / 120)), Coverage([sensor()], None, COARSE)):
        assert seen(known, 80_000.0, 100.0, 270.0) == 0.0
        assert seen(known, 80_000.0, 3_000.0, 270.0) == 0.85


def test_coarse_terrain_is_refused_for_hiding() -> None:
    with pytest.raises(ValueError, match="9266 m apart"):
        Coverage([sensor()], COARSE)


def test_coarse_terrain_makes_silence_count_less_and_never_nothing() -> None:
    known, open_ = Coverage([sensor()], terrain=COARSE), Coverage([sensor()])
    assert known.table[0, coverage.C_GROUND] == open_.table[0, coverage.C_GROUND] == 0.0
    assert seen(open_, 60_000.0, 350.0) == 0.85
    assert seen(known, 60_000.0, 350.0) == pytest.approx(0.85 * coverage.COARSE_LEAST)  # perhaps behind that ridge
    assert seen(known, 60_000.0, 3_000.0) == 0.85
    heights = np.arange(0.0, 3_000.0, 20.0)
    wide = np.array([seen(known, 60_000.0, h) for h in heights])
    sharp = np.array([seen(open_, 60_000.0, h) for h in heights])
    assert (wide <= sharp).all()
    assert (wide >= coverage.COARSE_LEAST * sharp).all()
    assert (np.diff(wide) >= 0.0).all()
    assert ((wide > 0) & (wide < 0.85)).sum() > 3 * ((sharp > 0) & (sharp < 0.85)).sum()  # a softer edge


def surely(known: Coverage, ground_m: float, height_m: float) -> float:
    table, sites, screens, _ = known.arrays()
    return coverage.surely_1(table, sites, screens, 0, *place(ground_m, height_m).ravel().tolist())


@given(st.floats(3.0, 300.0), st.floats(10.0, 12_000.0), st.floats(20_000.0, 380_000.0))
def test_what_surely_stands_over_the_horizon_does_so_with_rays_that_bend_half_as_much(
    antenna_m: float, target_m: float, ground_m: float
) -> None:
    """A mirage aside: the horizon of an earth of 1.15 radii, in its textbook form."""
    radius_m = 1.15 * screening.EARTH_M
    horizon_m = math.sqrt(2.0 * radius_m * antenna_m) + math.sqrt(2.0 * radius_m * target_m)
    known = Coverage([sensor(antenna_m=antenna_m, range_max_m=500_000.0)])
    if ground_m > 1.01 * horizon_m + 500.0:
        assert surely(known, ground_m, target_m) == 0.0
    if ground_m < 0.98 * horizon_m - 5_000.0 and target_m > coverage.EDGE_HEIGHT_M:
        assert surely(known, ground_m, target_m) > 0.0


def test_near_the_horizon_a_place_may_be_seen_and_is_not_surely_so() -> None:
    """As a light aircraft 210 km from a radar, in a civil day: under the horizon for two minutes, by 100 m."""
    open_ = Coverage([sensor(antenna_m=100.0)])
    assert seen(open_, 210_000.0, 2_000.0) == 0.85
    assert surely(open_, 210_000.0, 2_000.0) == 0.0
    assert surely(open_, 210_000.0, 2_500.0) == 1.0
    known = Coverage([sensor()], terrain=COARSE)
    assert seen(known, 60_000.0, 350.0) > 0.0
    assert surely(known, 60_000.0, 350.0) < 0.1  # perhaps behind that ridge
    assert surely(known, 60_000.0, 3_000.0) == 1.0


def test_the_shipped_terrain_only_widens() -> None:
    """Around Kosice, 20 km from the Slovak Ore Mountains, on 5-minute terrain and the geoid."""
    terrain = zonefiles.load_terrain(ROOT / "config/terrain/etopo5_5min_35-72N_0-50E.tif")
    geoid = zonefiles.load_geoid(ROOT / "config/terrain/egm2008_undulation_5min_cm_40-72N_4-45E.tif")
    lat, lon = math.radians(48.70), math.radians(21.26)
    spec = SensorSpec("R0", 0, SensorKind.RADAR_2D, lat_rad=lat, lon_rad=lon, height_m=280.0, range_max_m=200_000.0)
    known = Coverage([spec], None, terrain, geoid)
    smooth, sites = known.table.copy(), known.sites
    rng = np.random.default_rng(2)
    azimuth, far_m, height_m = rng.uniform([0, 1e3, 200], [2 * math.pi, 1.5e5, 6e3], (2000, 3)).T
    end_lat, end_lon, _ = geo.direct(lat, lon, azimuth, far_m)
    xyz = geo.ecef(end_lat, end_lon, height_m)
    over_sphere = coverage.detection_probability(smooth, sites, xyz)[:, 0]
    found = known.detection(xyz, LARGE)[:, 0]
    assert (found <= over_sphere + 1e-12).all()
    assert (found >= coverage.COARSE_LEAST * over_sphere - 1e-12).all()
    assert 0.1 < (found < 0.99 * over_sphere).mean() < 0.9
    assert 150.0 < known.table[0, coverage.C_GROUND] < 400.0  # terrain around, and 42 m of geoid


def test_heights_are_above_the_ellipsoid_whatever_the_geoid() -> None:
    geoid = Grid(math.radians(50.0), math.radians(10.0), math.radians(1.0), np.full((10, 30), 40.0, np.float32))
    plain, lifted = Coverage([sensor()], FINE), Coverage([sensor(antenna_m=70.0)], FINE, geoid=geoid)
    for far_m, height_m in ((50_000.0, 800.0), (60_000.0, 900.0), (20_000.0, 50.0), (70_000.0, 300.0)):
        assert seen(lifted, far_m, height_m + 40.0) == pytest.approx(seen(plain, far_m, height_m), abs=0.01)


def test_an_antenna_below_fine_ground_is_put_on_it() -> None:
    high = ground(1 / 120, level_m=200.0)
    assert Coverage([sensor(antenna_m=30.0)], high).table[0, coverage.C_ANTENNA] == 202.0
    assert Coverage([sensor(antenna_m=230.0)], high).table[0, coverage.C_ANTENNA] == 230.0
    assert Coverage([sensor(antenna_m=30.0)], terrain=high).table[0, coverage.C_GROUND] == 200.0
    coarse = ground(1 / 12, level_m=200.0)  # may be 200 m wrong itself
    assert Coverage([sensor(antenna_m=150.0)], terrain=coarse).table[0, coverage.C_ANTENNA] == 150.0


def test_terrain_that_does_not_know_the_site_changes_nothing() -> None:
    far = Grid(0.0, 0.0, math.radians(1 / 120), np.full((50, 50), 900.0, np.float32))
    np.testing.assert_array_equal(Coverage([sensor()], far).table, Coverage([sensor()]).table)


# ---- size


def test_a_small_object_is_seen_less_far_out_and_as_well_near() -> None:
    known = Coverage([sensor(range_max_m=100_000.0)])
    assert seen(known, 30_000.0, 3_000.0, ln_rcs=math.log(0.02)) == 0.85
    assert seen(known, 90_000.0, 3_000.0, ln_rcs=0.0) == 0.85
    ratio = known.table[0, coverage.C_RANGE] / geo.polar(known.sites[0], place(90_000.0, 3_000.0))[0][0]
    expected = 0.85 * hits.weaker_1(0.05 * ratio**4, math.log(0.85))
    assert seen(known, 90_000.0, 3_000.0, ln_rcs=math.log(0.05)) == pytest.approx(expected)
    assert 0.05 < expected < 0.4


def test_a_radar_made_for_small_objects_has_a_smaller_reference() -> None:
    spec = dataclasses.replace(sensor(range_max_m=40_000.0), reference_rcs_m2=0.1)
    assert seen(Coverage([spec]), 35_000.0, 2_000.0, ln_rcs=math.log(0.1)) == 0.85
    assert seen(Coverage([sensor(range_max_m=40_000.0)]), 35_000.0, 2_000.0, ln_rcs=math.log(0.1)) < 0.6


def test_size_means_nothing_to_a_microphone() -> None:
    known = Coverage([sensor(SensorKind.BEARING, range_max_m=5_000.0)])
    assert seen(known, 4_000.0, 300.0, ln_rcs=math.log(0.001)) == 0.85


# ---- what was learnt


def learn(known: Coverage, seed: int, rounds: int, blind_deg: tuple[float, float]) -> None:
    """Airliners all around at 9 km; the radar sees none of them in the sector, for a mast or a hill nobody told of."""
    rng = np.random.default_rng(seed)
    size = np.zeros(hits.SIZES)
    size[-2] = 1.0
    for _ in range(rounds):
        azimuth_deg, far_m = rng.uniform(0.0, 360.0), rng.uniform(30_000.0, 200_000.0)
        hit = bool(rng.random() < 0.85) and not blind_deg[0] < azimuth_deg < blind_deg[1]
        known.learn(0, place(far_m, 9_000.0, azimuth_deg)[0], size, hit)


def sector(known: Coverage, azimuth_deg: float) -> float:
    return float(np.mean([seen(known, far_m, 9_000.0, azimuth_deg) for far_m in range(50_000, 200_000, 10_000)]))


def test_the_map_learns_a_screened_sector_from_cooperative_traffic_and_forgets_it() -> None:
    known = Coverage([sensor()])
    learn(known, 1, 6_000, (100.0, 140.0))
    assert sector(known, 120.0) < 0.25
    assert sector(known, 300.0) == pytest.approx(0.85, abs=0.08)
    assert seen(known, 100_000.0, 9_000.0, 200.0) == pytest.approx(0.85, abs=0.1)
    assert seen(known, 100_000.0, 1_000.0, 120.0) > 0.6  # nothing was learnt so low
    kept = known.snapshot()
    learn(known, 2, 25_000, (0.0, 0.0))  # the mast is gone
    assert sector(known, 120.0) > 0.7
    known.restore(kept)
    assert sector(known, 120.0) < 0.25
    known.fade(2.0 * 86_400.0)
    assert sector(known, 120.0) > 0.8


def test_the_same_looks_teach_the_same_bits_with_a_restart_between() -> None:
    whole, half = Coverage([sensor()], FINE, COARSE), Coverage([sensor()], FINE, COARSE)
    learn(whole, 5, 400, (10.0, 50.0))
    learn(whole, 6, 400, (10.0, 50.0))
    learn(half, 5, 400, (10.0, 50.0))
    again = Coverage([sensor()], FINE, COARSE)
    again.restore(half.snapshot())
    learn(again, 6, 400, (10.0, 50.0))
    assert [array.tobytes() for array in whole.arrays()] == [array.tobytes() for array in again.arrays()]
    assert again.local.tobytes() != half.local.tobytes()


# ---- all together


def test_a_track_is_expected_by_place_size_and_record_in_one_call() -> None:
    known = Coverage([sensor(), sensor(range_max_m=60_000.0)])
    at = place(50_000.0, 3_000.0)[0].tolist()
    records = np.stack([hits.RECORD, hits.RECORD])
    calls: list[tuple[Any, ...]] = [(*known.arrays(), s, *at, hits.PRIOR, records[s]) for s in range(2)]
    alone = [coverage.track_detection_1(*call) for call in calls]
    clear, margin, cell = coverage.view_1(known.table, known.sites, known.screens, 1, *at)
    full = coverage.full_1(clear, known.local[1], cell)
    assert alone[1] == hits.detection_1(full, margin, math.log(0.85), hits.PRIOR, hits.RECORD)
    call: tuple[Any, ...] = (*known.arrays(), *at, hits.PRIOR, records)
    assert coverage.best_1(*call) == max(alone) > coverage.COVERED
    call = (*known.arrays(), *place(120_000.0, 100.0)[0].tolist(), hits.PRIOR, records)
    assert coverage.best_1(*call) == 0.0  # it left coverage


KNOWN = Coverage(
    [sensor(), sensor(SensorKind.BEARING, range_max_m=8_000.0), SensorSpec("A0", 2, SensorKind.ADSB)], FINE, COARSE
)
ANY = st.one_of(st.floats(), st.floats(-7e6, 7e6))


@given(ANY, ANY, ANY, st.floats(-50.0, 50.0))
def test_any_place_has_a_probability(x_m: float, y_m: float, z_m: float, ln_rcs: float) -> None:
    found = KNOWN.detection(np.array([[x_m, y_m, z_m]]), ln_rcs)
    assert ((found >= 0.0) & (found <= 1.0)).all()


@given(st.floats(0.0, 450_000.0), st.floats(-500.0, 30_000.0), st.floats(0.0, 360.0), st.floats(-10.0, 10.0))
def test_any_place_around_has_a_probability_and_a_larger_object_no_smaller_one(
    ground_m: float, height_m: float, azimuth_deg: float, ln_rcs: float
) -> None:
    xyz = place(ground_m, height_m, azimuth_deg)
    found, more = KNOWN.detection(xyz, ln_rcs)[0], KNOWN.detection(xyz, ln_rcs + 1.0)[0]
    assert (found >= 0.0).all()
    assert (more >= found).all()
    assert (more <= hits.CERTAIN).all()
    assert more[2] == 0.0  # the silence of ADS-B


def test_what_is_kept_of_64_sensors_is_bounded() -> None:
    assert KNOWN.screens.shape == (2, *screening.SHAPE)
    assert KNOWN.local.shape == (3, hits.LOCAL)
    assert 64 * (screening.SCREEN_BYTES + hits.LOCAL * 8) < 26_000_000
