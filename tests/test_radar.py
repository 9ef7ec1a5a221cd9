"""A radar's true errors, its Doppler and its false plots: each fault does what it says, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from fusion.schema import F8, Plots, SensorKind
from replay import motion
from replay.plan import ClutterSector, SimObject, SimSensor, Transponder
from replay.simulate import Scenario
from replay.sky import swerling
from tests.test_simulate import LAT, LON, START_US, plan, radar, ring, spread, together

SITE = geo.site_row(LAT, LON, 100.0)
TALK = Transponder(address=0x503C01, callsign=b"LTV01", mode3a=0o4521)


def measured(sensor: SimSensor, objects: list[SimObject] | None = None, **more: object) -> Plots:
    """All plots of one radar in order of its messages."""
    made = plan([sensor], ring(12, 30_000.0, 3_000.0) if objects is None else objects)
    batches = sorted(Scenario(replace(made, **more)).batches(), key=lambda b: b.seq)  # type: ignore[arg-type]
    return together(batches)


def truths(scene: Scenario, found: Plots) -> tuple[F8, F8, F8]:
    """True range, azimuth and elevation of the object nearest in azimuth to each plot."""
    rows = []
    for t_us, azimuth in zip(found.t_us.tolist(), found.azimuth_rad.tolist(), strict=True):
        r, a, e = geo.polar(SITE, scene.truth(t_us).xyz_m)
        o = int(np.abs((azimuth - a + math.pi) % math.tau - math.pi).argmin())
        rows.append((r[o], a[o], e[o]))
    r, a, e = np.array(rows).T
    return r, a, e


def test_gain_and_offsets_can_be_recovered_from_the_plots() -> None:
    objects = [*ring(6, 20_000.0, 3_000.0), *ring(12, 90_000.0, 6_000.0)[::2]]
    true = SimSensor(radar(), bias_range_m=80.0, gain_range=2e-3, bias_azimuth_rad=0.004, bias_elevation_rad=0.003)
    found = measured(true, objects)
    r, a, e = truths(Scenario(plan([true], objects)), found)
    line = np.polyfit(r, found.range_m - r, 1)
    assert line[0] == pytest.approx(2e-3, abs=2e-4)
    assert np.polyval(line, 0.0) == pytest.approx(80.0 * 1.002, abs=12.0)
    off = (found.azimuth_rad - a + math.pi) % math.tau - math.pi
    spread(off - 0.004, 0.003)
    spread(found.elevation_rad - e - 0.003, 0.006)


def test_a_wrong_clock_and_a_clock_step_change_the_stamps_and_nothing_else() -> None:
    right = measured(SimSensor(radar()))
    wrong = measured(SimSensor(radar(), bias_time_s=0.25, clock_steps_s=((200.0, -3.0),)))
    true_s = (right.t_us - START_US) / 1e6
    assert ((wrong.t_us - right.t_us) / 1e6).tolist() == pytest.approx(np.where(true_s >= 200.0, -2.75, 0.25).tolist())
    assert wrong.range_m.tolist() == right.range_m.tolist()


def test_a_turned_north_mark_turns_every_plot_from_then_on() -> None:
    right = measured(SimSensor(radar()))
    turned = measured(SimSensor(radar(), north_turns=((150.0, math.pi / 2),)))
    by = (turned.azimuth_rad - right.azimuth_rad) % math.tau
    late = right.t_us >= START_US + 150_000_000
    assert by[late] == pytest.approx(math.pi / 2)
    assert np.abs(by[~late]).max() == 0.0
    assert turned.t_us.tolist() == right.t_us.tolist()


def test_a_frozen_radar_repeats_its_last_turn_and_then_sees_again() -> None:
    right = measured(SimSensor(radar(clutter_per_scan=5.0)))
    sensor = SimSensor(radar(clutter_per_scan=5.0), frozen_s=((100.0, 140.0),))
    frozen = measured(sensor)
    second = (frozen.t_us - START_US) / 1e6
    turns = [frozen.range_m[(second >= at) & (second < at + 4.0)].tolist() for at in range(96, 148, 4)]
    assert len(turns[0]) > 5
    assert [turn == turns[0] for turn in turns] == [True] * 11 + [False] * 2
    before = (right.t_us - START_US) / 1e6 < 100.0
    assert frozen.range_m[second < 100.0].tolist() == right.range_m[before].tolist()
    scene = Scenario(plan([sensor], ring(12, 30_000.0, 3_000.0)))
    assert [scene.truth(START_US + at * 1_000_000).visible.any() for at in (99, 120, 141)] == [True, False, True]


def test_range_rate_is_that_of_the_object_with_the_declared_noise() -> None:
    objects = ring(12, 30_000.0, 3_000.0)  # 20 km away within 400 s
    found = measured(SimSensor(radar(), sigma_doppler_mps=1.5), objects)
    spread(found.doppler_mps - 50.0, 1.5)
    assert np.isnan(measured(SimSensor(radar()), objects).doppler_mps).all()


def test_a_wind_turbine_is_always_there_and_its_blades_flash() -> None:
    lat, lon, _ = geo.direct_1(LAT, LON, 1.0, 12_000.0)
    stands = motion.from_points(np.array([0.0, 400.0]), np.full(2, lat), np.full(2, lon), np.full(2, 200.0))
    turbine = SimObject("farm", stands, 300.0, kind="wind-turbine", blade_mps=75.0)
    found = measured(SimSensor(radar(), sigma_doppler_mps=0.5), [turbine])
    assert len(found) == pytest.approx(90, abs=15)
    assert np.std(found.range_m) == pytest.approx(50.0, rel=0.25)
    assert 0.1 < (np.abs(found.doppler_mps) > 3.0).mean() < 0.5
    assert np.abs(found.doppler_mps).max() < 77.0


def test_clutter_of_a_sector_lies_there_evenly_over_its_area() -> None:
    sea = ClutterSector(40.0, math.radians(300.0), math.radians(30.0), 4_000.0, 20_000.0)
    found = measured(SimSensor(radar(), sectors=(sea,)), [])
    assert len(found) == pytest.approx(4_000, abs=5 * math.sqrt(4_000))
    turn = (found.azimuth_rad - sea.from_azimuth_rad) % math.tau
    assert 0.0 <= turn.min() <= turn.max() <= math.pi / 2
    assert found.range_m.min() >= 4_000.0
    half = math.sqrt((4_000.0**2 + 20_000.0**2) / 2)
    assert (found.range_m < half).mean() == pytest.approx(0.5, abs=0.04)


def test_garbled_replies_have_one_wrong_bit_at_the_declared_rate() -> None:
    objects = ring(12, 30_000.0, 3_000.0, transponder=TALK)
    found = measured(SimSensor(radar(), secondary=True, mode_s=True, garble=0.1), objects)
    read = found.mode3a[found.mode3a >= 0]
    wrong = read[read != 0o4521]
    assert len(wrong) / len(read) == pytest.approx(0.1, abs=0.045)
    assert {int(code).bit_count() for code in (wrong ^ 0o4521)} == {1}


def test_a_radar_without_primary_sees_transponders_only_and_mode_c_tells_no_address() -> None:
    objects = [
        *ring(3, 30_000.0, 3_000.0),
        *(replace(o, id=f"s{o.id}", transponder=TALK) for o in ring(4, 40_000.0, 3_000.0)),
        *(replace(o, id=f"c{o.id}", transponder=replace(TALK, mode_s=False)) for o in ring(5, 50_000.0, 3_000.0)),
    ]
    sensor = SimSensor(radar(clutter_per_scan=50.0), primary=False, secondary=True, mode_s=True)
    found = measured(sensor, objects)
    assert (found.mode3a == 0o4521).all()
    assert len(found) == pytest.approx(9 * 100 * 0.97, abs=40)
    assert (found.address >= 0).mean() == pytest.approx(4 / 9, abs=0.06)


@pytest.mark.parametrize("rcs_m2", [1.0, 0.1, 0.02])
def test_small_objects_are_found_as_often_as_swerling_says(rcs_m2: float) -> None:
    objects = ring(12, 70_000.0, 4_000.0, rcs_m2=rcs_m2)
    found = len(measured(SimSensor(radar()), objects))
    part = np.linspace(70_000.0, 90_000.0, 101) / 150_000.0
    expected = 12 * 100 * 0.9 * float(swerling(np.full(101, rcs_m2), part, 0.9).mean())
    assert abs(found - expected) < 5 * math.sqrt(12 * 100 * 0.25) + 5


def test_pressure_height_follows_the_weather() -> None:
    objects = ring(12, 30_000.0, 3_000.0, transponder=TALK)
    sensor = SimSensor(radar(), secondary=True)
    usual = np.nanmean(measured(sensor, objects).pressure_height_m)
    low = np.nanmean(measured(sensor, objects, qnh_hpa=1003.25).pressure_height_m)
    cold = np.nanmean(measured(sensor, objects, warmer_k=-20.0).pressure_height_m)
    assert low - usual == pytest.approx(83.0, abs=2.0)  # 8.3 m a hPa
    assert cold / usual == pytest.approx(1.0 + 20.0 / 258.0, abs=0.002)  # ICAO Doc 8168: 4 % for each 10 K


def test_an_object_out_of_reach_costs_no_chance_of_those_within() -> None:
    near = ring(6, 30_000.0, 3_000.0)
    there = measured(SimSensor(radar()), [*near, *ring(1, 400_000.0, 9_000.0)])
    gone = measured(SimSensor(radar()), [*near, *ring(1, 900_000.0, 9_000.0)])
    assert there.range_m.tolist() == gone.range_m.tolist()


def test_a_3d_radar_and_a_2d_radar_measure_what_they_declare() -> None:
    flat = measured(SimSensor(radar(kind=SensorKind.RADAR_2D, sigma_elevation_rad=math.nan), bias_elevation_rad=0.01))
    assert np.isnan(flat.elevation_rad).all()
    assert np.isfinite(measured(SimSensor(radar())).elevation_rad).all()
