"""A scene as text: the plain stream reads back as the same plots, and the truth says what the simulator knows."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from adapters.formats import scene, stream
from fusion import geo
from fusion.schema import PlotKind, Plots, SensorKind
from replay.plan import ClaimFault, SimSensor, Transponder
from replay.simulate import Scenario
from tests.test_replay_claims import HEARS
from tests.test_simulate import START_US, plan, radar, ring

TALK = Transponder(address=0x503C01, callsign=b"LTV01")


def made() -> Scenario:
    flat = radar(id="R2", index=2, kind=SensorKind.RADAR_2D, sigma_elevation_rad=math.nan)
    ear = radar(id="Z1", index=3, kind=SensorKind.BEARING)
    sensors = [HEARS, SimSensor(radar(id="R1", index=1)), SimSensor(flat), SimSensor(ear, hears="radio")]
    objects = ring(4, 30_000.0, 3_000.0, transponder=TALK, kind="airliner")
    objects[0] = replace(objects[0], faults=(ClaimFault("outage", 0.0, 50.0),))
    return Scenario(plan(sensors, objects, 60.0))


def test_the_header_tells_what_vedette_is_told_of_each_sensor() -> None:
    told = made()
    specs = {spec.id: spec for spec in stream.decode_header(scene.header(told.sensors, 1.0))}
    assert set(specs) == {"A1", "R1", "R2"}
    for name, spec in specs.items():
        own = next(s for s in told.sensors if s.id == name)
        assert spec.kind == own.kind
        assert spec.period_s == own.period_s
        assert spec.latency_s == own.latency_s
        if own.kind != SensorKind.ADSB:
            for field in ("lat_rad", "lon_rad", "height_m", "range_max_m", "sigma_range_m", "detection_probability"):
                assert getattr(spec, field) == pytest.approx(getattr(own, field), rel=1e-9)
            assert spec.sigma_azimuth_rad == pytest.approx(own.sigma_azimuth_rad, rel=1e-3)
            assert spec.sigma_elevation_rad == pytest.approx(own.sigma_elevation_rad, rel=1e-3, nan_ok=True)


def decoder(told: Scenario) -> stream.Decoder:
    return stream.Decoder(stream.decode_header(scene.header(told.sensors, 1.0)))


def same(lines: stream.Lines, batch: Plots, k: int) -> None:
    assert abs(int(lines.t_us[k]) - (int(batch.t_us[k]) - START_US)) <= 1
    assert lines.rx_us[k] == batch.rx_us - START_US
    assert lines.address[k] == (batch.address[k] if batch.kind == PlotKind.POSITION else -1)
    values = lines.values[:, k]
    if batch.kind == PlotKind.POLAR:
        assert values[0] == pytest.approx(batch.range_m[k], abs=0.006)
        assert values[1:3] == pytest.approx((batch.azimuth_rad[k], batch.elevation_rad[k]), abs=2e-8, nan_ok=True)
        return
    there = geo.ecef(values[3], values[4], values[5])[0]
    assert there == pytest.approx(geo.ecef(batch.lat_rad[k], batch.lon_rad[k], batch.height_m[k])[0], abs=0.02)
    names = "velocity_east_mps velocity_north_mps velocity_up_mps sigma_position_m sigma_height_m sigma_velocity_mps"
    assert values[6:] == pytest.approx([getattr(batch, name)[k] for name in names.split()], abs=0.006)


def test_every_plot_of_the_stream_reads_back_as_it_was() -> None:
    told = made()
    reads, kinds = decoder(told), []
    names = [spec.id for spec in stream.decode_header(scene.header(told.sensors, 1.0))]
    for batch in told.batches():
        if batch.sensor == "Z1":
            continue
        text = scene.plots(batch, START_US).encode()
        lines, refused = reads.decode(text)
        assert refused == []
        assert len(lines) == len(batch)
        assert {names[number] for number in lines.sensor.tolist()} == {batch.sensor}
        for k in range(len(batch)):
            same(lines, batch, k)
        kinds += [json.loads(line)["k"] for line in text.splitlines()]
    assert set(kinds) == {"adsb", "r2", "r3"}


def test_an_aircraft_without_address_has_none_in_the_stream() -> None:
    told = made()
    batch = next(b for b in told.batches() if b.sensor == "A1")
    text = scene.plots(replace(batch, address=np.full(len(batch), -1)), START_US).encode()
    lines, refused = decoder(told).decode(text)
    assert refused == []
    assert lines.address.tolist() == [-1] * len(batch)


def test_ticks_are_the_clock_of_arrival() -> None:
    lines, _ = decoder(made()).decode(scene.tick(15.0).encode())
    assert (lines.sensor.tolist(), lines.rx_us.tolist()) == ([stream.TICK], [15_000_000])


def test_the_truth_says_where_everything_is_and_what_is_wrong_with_it() -> None:
    told = made()
    head = json.loads(scene.truth_header(told.sensors, told.start_us, 1.0, "test", 7))
    assert head["truth"] == 1
    assert head["start"] == START_US / 1e6
    assert head["step"] == 1.0
    assert head["sensors"][0] == {"s": "A1", "kind": "adsb"}
    truth = told.truth(START_US + 30_000_000)
    rows = [json.loads(line) for line in scene.truth(truth, START_US).splitlines()]
    assert [row["id"] for row in rows] == ["o0", "o1", "o2", "o3"]
    assert [row["fault"] for row in rows] == ["outage", "", "", ""]
    for k, row in enumerate(rows):
        assert row["time"] == 30.0
        assert row["class"] == "airliner"
        assert row["seen"] is True
        assert row["cooperative"] is True
        there = geo.ecef(math.radians(row["lat"]), math.radians(row["lon"]), row["alt"])[0]
        assert there == pytest.approx(truth.xyz_m[k], abs=0.01)
        assert math.hypot(row["ve"], row["vn"]) == pytest.approx(50.0, rel=1e-3)
