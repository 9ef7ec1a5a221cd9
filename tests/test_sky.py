"""What each sensor's place lets it know: the Swerling law, horizon by class, hearing, people, pressure."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from fusion.schema import SensorKind
from replay.plan import SimObject, SimSensor, Transponder
from replay.sky import Sky, is_blind, is_out, steps_at, swerling
from tests.test_simulate import LAT, LON, plan, radar, ring, straight

EAR = radar(kind=SensorKind.BEARING, range_max_m=5_000.0, height_m=20.0, detection_probability=0.8)


def test_a_small_drone_is_lost_much_nearer_than_an_airliner() -> None:
    """Range goes with the fourth root: 0.05 m^2 is found at 47 % of the range of 1 m^2."""
    part = np.linspace(0.02, 1.0, 2_000)
    half = [part[swerling(np.full(2_000, rcs), part, 0.9) > 0.5].max() for rcs in (0.01, 0.05, 0.1)]
    assert half[1] / half[0] == pytest.approx(5.0**0.25, rel=0.01)
    assert half[2] / half[0] == pytest.approx(10.0**0.25, rel=0.01)
    assert part[swerling(np.full(2_000, 0.05), part, 0.9) > 0.999].max() == pytest.approx(0.05**0.25, abs=0.01)


@pytest.mark.parametrize(("height_m", "sees_m"), [(50.0, 52_000.0), (200.0, 81_000.0), (1_000.0, 153_000.0)])
def test_the_horizon_of_a_mast_is_that_of_the_books(height_m: float, sees_m: float) -> None:
    """d km = 4.12 (sqrt h + sqrt H): 30 m mast."""
    spec = radar(height_m=30.0, range_max_m=400_000.0)
    things = [
        SimObject(f"o{n}", straight(10.0, sees_m * far, sees_m * far + 1, height_m, 10.0), 100.0)
        for n, far in enumerate((0.8, 1.05))
    ]
    sky = Sky(plan([SimSensor(spec)], things, 10.0))
    near, beyond = sky.view(spec, sky.fleet.at(0.0)[0]).tolist()
    assert near > 0.5  # the edge is soft: one Fresnel zone
    assert beyond < 0.05


def test_hearing_ends_at_the_loudness_of_the_object_and_not_beyond_the_range_of_the_node() -> None:
    things = [
        SimObject(f"o{n}", straight(10.0, away, away + 1, 100.0, 10.0), heard_m=loud)
        for n, (away, loud) in enumerate([(1_000.0, 4_000.0), (4_200.0, 4_000.0), (4_900.0, 10_000.0), (500.0, 0.0)])
    ]
    sky = Sky(plan([SimSensor(EAR, hears="sound")], things, 10.0))
    heard = sky.heard(sky.plan.sensors[0], np.arange(4), sky.fleet.at(0.0)[0]).tolist()
    assert heard[0] == pytest.approx(0.8)
    assert heard[1] == 0.0
    assert 0.0 < heard[2] < 0.3
    assert heard[3] == 0.0


def test_a_bearing_or_a_person_makes_nothing_visible_and_a_beacon_does() -> None:
    things = [replace(o, heard_m=9_000.0, data_link=True) for o in ring(3, 1_000.0, 300.0)]
    for sensor in (SimSensor(EAR, hears="sound"), SimSensor(replace(EAR, kind=SensorKind.SIGHTING))):
        sky = Sky(plan([sensor], things))
        assert not sky.visible(sensor, sky.fleet.at(0.0)[0]).any()
    sensor = SimSensor(replace(EAR, kind=SensorKind.ADSB))
    sky = Sky(plan([sensor], [*things, replace(things[0], id="says", transponder=Transponder(address=1))]))
    assert (sky.visible(sensor, sky.fleet.at(0.0)[0]) > 0).tolist() == [False, False, False, True]


def test_who_may_come_into_reach_is_found_without_a_site_and_with_one() -> None:
    things = [*ring(2, 30_000.0, 3_000.0), *ring(2, 400_000.0, 9_000.0)]
    sited, free = SimSensor(radar()), SimSensor(radar(kind=SensorKind.ADSB, lat_rad=math.nan, lon_rad=math.nan))
    sky = Sky(plan([sited], things))
    assert sky.in_reach(sited.spec, 0.0).tolist() == [0, 1]
    assert sky.in_reach(free.spec, 0.0).tolist() == [0, 1, 2, 3]


def test_outages_and_steps_hold_from_their_second_on() -> None:
    sensor = SimSensor(radar(), outages_s=((10.0, 20.0),), frozen_s=((30.0, 40.0),))
    t_s = np.array([9.9, 10.0, 19.9, 20.0, 35.0])
    assert is_out(sensor, t_s).tolist() == [False, True, True, False, False]
    assert [is_blind(sensor, t) for t in t_s.tolist()] == [False, True, True, False, True]
    assert steps_at(((10.0, 2.0), (20.0, -0.5)), t_s).tolist() == [0.0, 2.0, 2.0, 1.5, 1.5]


def test_a_pressure_height_in_the_standard_atmosphere_is_the_height_above_the_sea() -> None:
    sky = Sky(replace(plan([SimSensor(radar())], []), geoid_m=24.0))
    found = sky.pressure_height(geo.ecef(LAT, LON, 3_024.0), np.zeros(1))
    assert found[0] == pytest.approx(3_000.0, abs=7.62 / 2)
