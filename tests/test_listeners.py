"""Microphones hear where things were, direction finders hear radios, and people tell once, late and roughly."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from fusion.schema import PlotKind, Plots, SensorKind
from replay.plan import SimObject, SimSensor
from replay.simulate import Scenario
from tests.test_simulate import LAT, LON, START_US, plan, radar, ring, spread, straight, together

EAR = radar(
    kind=SensorKind.BEARING, period_s=1.0, sigma_azimuth_rad=0.05, sigma_elevation_rad=math.nan, range_max_m=5_000.0,
    height_m=20.0, detection_probability=1.0,
)  # fmt: skip
SITE = geo.site_row(LAT, LON, 20.0)


def heard(sensor: SimSensor, objects: list[SimObject]) -> tuple[Scenario, list[Plots]]:
    scene = Scenario(plan([sensor], objects))
    return scene, list(scene.batches())


def test_a_bearing_has_the_declared_noise_and_no_range() -> None:
    loud = [replace(o, heard_m=5_000.0) for o in ring(4, 500.0, 200.0)]
    near = [replace(o, flight=straight(45.0 + 90 * n, 2_000.0, 2_001.0, 200.0, 400.0)) for n, o in enumerate(loud)]
    scene, batches = heard(SimSensor(EAR, hears="sound"), near)
    off = []
    for batch in batches:
        assert batch.kind == PlotKind.BEARING
        assert np.isnan(batch.range_m).all()
        assert np.isnan(batch.elevation_rad).all()
        _, azimuth, _ = geo.polar(SITE, scene.truth(int(batch.t_us[0])).xyz_m)
        for a in batch.azimuth_rad.tolist():
            off.append(min(((a - b + math.pi) % math.tau - math.pi for b in azimuth.tolist()), key=abs))
    spread(np.array(off), 0.05)


def test_sound_comes_from_where_the_object_was() -> None:
    """3 km to the north, flying east at 50 m/s: 8.8 s of sound are 440 m, 8.4 degrees to the west."""
    lat, lon, _ = geo.direct_1(LAT, LON, 0.0, 3_000.0)
    ends = [geo.direct_1(lat, lon, math.pi / 2, d)[:2] for d in (-1_000.0, 1_000.0)]
    flight = replace(ring(1, 1.0, 1.0)[0].flight, t_s=np.array([0.0, 40.0]), xyz_m=np.concatenate(
        [geo.ecef(end[0], end[1], 100.0) for end in ends]
    ))  # fmt: skip
    thing = SimObject("o", flight, heard_m=6_000.0, data_link=True)
    sharp = replace(EAR, sigma_azimuth_rad=1e-4)
    for hears, lag_s in (("sound", 3_000.0 / 340.0), ("radio", 0.0)):
        scene, batches = heard(SimSensor(sharp, hears=hears), [thing])
        at_20 = next(b for b in batches if abs(b.t_us[0] - START_US - 20e6) < 1e5)
        _, azimuth, _ = geo.polar(SITE, scene.truth(START_US + round((20.0 - lag_s) * 1e6)).xyz_m)
        assert (at_20.azimuth_rad[0] - azimuth[0] + math.pi) % math.tau - math.pi == pytest.approx(0.0, abs=0.004)


def test_only_what_is_loud_or_sends_is_heard() -> None:
    quiet = SimObject("quiet", straight(10.0, 2_000.0, 2_001.0, 200.0, 400.0))
    loud = SimObject("loud", straight(100.0, 2_000.0, 2_001.0, 200.0, 400.0), heard_m=4_000.0)
    far = SimObject("far", straight(150.0, 3_000.0, 3_001.0, 200.0, 400.0), heard_m=2_000.0)
    link = SimObject("link", straight(200.0, 3_000.0, 3_001.0, 200.0, 400.0), data_link=True)
    for hears, expected in (("sound", 100.0), ("radio", 200.0)):
        _, batches = heard(SimSensor(EAR, hears=hears), [quiet, loud, far, link])
        azimuth = np.degrees(np.concatenate([b.azimuth_rad for b in batches]))
        assert len(azimuth) > 300
        assert np.abs(azimuth - expected).max() < 20.0


def test_false_bearings_come_from_anywhere_at_the_declared_rate() -> None:
    _, batches = heard(SimSensor(replace(EAR, clutter_per_scan=2.0), hears="sound"), [])
    azimuth = np.concatenate([b.azimuth_rad for b in batches])
    assert len(azimuth) == pytest.approx(800, abs=150)
    assert np.histogram(azimuth, 4, (0.0, math.tau))[0].min() > 130


def test_people_tell_once_late_and_roughly() -> None:
    spec = replace(
        EAR, kind=SensorKind.SIGHTING, period_s=20.0, sigma_position_m=800.0, latency_s=60.0, range_max_m=5_000.0,
        detection_probability=0.5,
    )  # fmt: skip
    low = [SimObject(f"o{n}", straight(n * 0.9, 2_000.0, 2_001.0, 300.0, 400.0)) for n in range(400)]
    high = [SimObject("high", straight(90.0, 2_000.0, 2_001.0, 9_000.0, 400.0))]
    scene, batches = heard(SimSensor(spec, jitter_s=200.0, overtakes=True), low + high)
    assert sum(map(len, batches)) == 400
    delay_s = np.array([(b.rx_us - int(b.t_us[0])) / 1e6 for b in batches])
    assert delay_s.min() >= 60.0
    assert delay_s.mean() == pytest.approx(260.0, abs=50.0)
    assert np.median(delay_s) < delay_s.mean()
    rx_us = [b.rx_us for b in batches]
    assert rx_us == sorted(rx_us)
    truth = scene.truth(START_US)
    centre = geo.ecef(LAT, LON, 300.0)[0]
    found = together(batches)
    there = geo.ecef(found.lat_rad, found.lon_rad, 300.0)
    off = np.linalg.norm(there - centre, axis=1)
    assert math.sqrt((off**2).mean()) == pytest.approx(math.hypot(2_000.0, 800.0 * math.sqrt(2)), rel=0.1)
    assert not truth.visible.any()  # people are no cover
