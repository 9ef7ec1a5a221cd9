"""The simulator against its own truth: noise, detection, horizon, beam and time are what the scenario says."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusion import geo
from fusion.schema import PlotKind, Plots, SensorKind, SensorSpec, check_plots
from replay import motion, scenario
from replay.motion import Agility, Waypoint
from replay.plan import Plan, SimObject, SimSensor, Transponder
from replay.scenario import BadScenario
from replay.simulate import Scenario
from replay.sky import swerling

START_US = 1_753_673_400_000_000
LAT, LON = math.radians(54.6), math.radians(25.3)


def radar(**changes: object) -> SensorSpec:
    spec = SensorSpec(
        "R1",
        0,
        SensorKind.RADAR_3D,
        LAT,
        LON,
        100.0,
        period_s=4.0,
        range_max_m=150_000.0,
        sigma_range_m=50.0,
        sigma_azimuth_rad=0.003,
        sigma_elevation_rad=0.006,
        clutter_per_scan=0.0,
    )
    return replace(spec, **changes)  # type: ignore[arg-type]


def straight(azimuth_deg: float, from_m: float, to_m: float, height_m: float, duration_s: float) -> motion.Flight:
    """A straight flight away from the radar's place."""
    ends = [geo.direct_1(LAT, LON, math.radians(azimuth_deg), d)[:2] for d in (from_m, to_m)]
    return motion.from_points(
        np.array([0.0, duration_s]),
        np.array([e[0] for e in ends]),
        np.array([e[1] for e in ends]),
        np.array([height_m, height_m]),
    )


def plan(sensors: list[SimSensor], objects: list[SimObject], duration_s: float = 400.0) -> Plan:
    return Plan("test", "", (), 7, START_US, duration_s, 0.0, 1013.25, 0.0, tuple(sensors), tuple(objects))


def ring(count: int, range_m: float, height_m: float, duration_s: float = 400.0, **more: object) -> list[SimObject]:
    return [
        SimObject(
            f"o{n}",
            straight((n + 0.5) * 360 / count, range_m, range_m + 20_000.0, height_m, duration_s),
            **more,  # type: ignore[arg-type]
        )
        for n in range(count)
    ]


def together(batches: list[Plots]) -> Plots:
    """All plots of one sensor as one batch, with the stamps of the first."""
    columns: dict[str, Any] = {
        f.name: np.concatenate([getattr(b, f.name) for b in batches])
        for f in fields(Plots)
        if isinstance(getattr(batches[0], f.name), np.ndarray)
    }
    return replace(batches[0], **columns)


def spread(found: np.ndarray, expected: float) -> None:
    """Mean zero and standard deviation as expected, within five standard errors."""
    n = len(found)
    assert n > 300
    assert abs(found.mean()) < 5 * expected / math.sqrt(n)
    assert abs(found.std() / expected - 1) < 5 / math.sqrt(2 * n)


def residuals(scene: Scenario, batch: Plots) -> list[tuple[float, float, float]]:
    """Measured minus true range, azimuth and elevation of each plot, against the object nearest to it."""
    site = geo.site_table(scene.sensors)[0]
    rows = []
    for k, t_us in enumerate(batch.t_us.tolist()):
        r, a, e = geo.polar(site, scene.truth(t_us).xyz_m)
        off = (batch.azimuth_rad[k] - a + math.pi) % math.tau - math.pi
        o = int(np.abs(off).argmin())
        rows.append((batch.range_m[k] - r[o], off[o], batch.elevation_rad[k] - e[o]))
    return rows


def test_radar_noise_is_the_declared_one_and_biases_come_on_top() -> None:
    scene = Scenario(plan([SimSensor(radar(), bias_range_m=120.0, bias_azimuth_rad=0.01)], ring(12, 30_000.0, 3_000.0)))
    rows = np.array([row for batch in scene.batches() for row in residuals(scene, batch)])
    spread(rows[:, 0] - 120.0, 50.0)
    spread(rows[:, 1] - 0.01, 0.003)
    spread(rows[:, 2], 0.006)


def test_an_ordinary_object_in_full_view_is_seen_as_often_as_declared() -> None:
    scene = Scenario(plan([SimSensor(radar())], ring(12, 30_000.0, 3_000.0)))
    found = sum(len(batch) for batch in scene.batches())
    looks = 12 * 400 / 4
    assert abs(found - 0.9 * looks) < 5 * math.sqrt(looks * 0.9 * 0.1)


def test_nothing_is_seen_below_the_horizon() -> None:
    objects = ring(6, 90_000.0, 50.0)  # line of sight from 100 m to 50 m ends at 70 km
    scene = Scenario(plan([SimSensor(radar())], objects))
    assert list(scene.batches()) == []
    assert not scene.truth(START_US).visible.any()


def test_the_beam_meets_objects_at_its_own_time() -> None:
    sensor = SimSensor(radar(sigma_azimuth_rad=1e-6), rpm_phase=0.25)
    scene = Scenario(plan([sensor], ring(12, 30_000.0, 3_000.0)))
    for batch in scene.batches():
        turn = (batch.t_us - START_US) / 4e6 + 0.25
        off = (batch.azimuth_rad - math.tau * turn + math.pi) % math.tau - math.pi
        assert np.abs(off).max() < 1e-4


def test_small_objects_fade_with_the_fourth_power_of_range() -> None:
    part = np.array([1.0, 0.5, 0.47, 1.0])
    rcs = np.array([1.0, 1.0, 0.05, 0.05])
    factor = swerling(rcs, part, 0.9)
    assert factor[0] == pytest.approx(1.0, abs=1e-12)  # the reference itself
    assert factor[1] == 1.0  # nearer is never better than declared
    assert factor[2] == pytest.approx(1.0, abs=0.02)  # 0.05 m2 at 47 % of the range is as 1 m2 at the full range
    snr = (math.log(1e-6) / math.log(0.9) - 1) * 0.05
    assert factor[3] == pytest.approx(math.exp(math.log(1e-6) / (1 + snr)) / 0.9)


def test_secondary_radar_reads_transponders_and_pressure_height() -> None:
    spec = radar(kind=SensorKind.RADAR_2D, sigma_elevation_rad=math.nan)
    talk = Transponder(address=0x503C01, callsign=b"LTV01", mode3a=0o4521)
    objects = ring(8, 30_000.0, 3_000.0, transponder=talk)
    scene = Scenario(
        replace(plan([SimSensor(spec, secondary=True, mode_s=True)], objects), qnh_hpa=1003.25, geoid_m=24.0)
    )
    batches = list(scene.batches())
    heard = np.concatenate([b.mode3a for b in batches])
    assert set(heard.tolist()) == {0o4521, -1}
    assert (heard >= 0).mean() == pytest.approx(0.97, abs=0.03)
    reply = heard >= 0
    assert set(np.concatenate([b.address for b in batches])[reply].tolist()) == {0x503C01}
    assert set(np.concatenate([b.callsign for b in batches])[reply].tolist()) == {b"LTV01"}
    height = np.concatenate([b.pressure_height_m for b in batches])
    assert np.isnan(height[~reply]).all()
    assert np.isnan(np.concatenate([b.elevation_rad for b in batches])).all()
    expected = 3_000.0 - 24.0 - geo.pressure_height_correction(1003.25)
    assert expected == pytest.approx(3_000 - 24 + 83, abs=3)  # 10 hPa low: about 83 m more by the altimeter
    # a straight line between two knots 20 km apart sinks below constant height by up to 8 m in its middle
    assert np.nanmean(height) == pytest.approx(expected - 5, abs=5)
    assert np.abs(height[reply] % 7.62 % 7.62 - 3.81).min() > 3.8  # steps of 25 ft


def test_adsb_is_as_accurate_as_its_category_says() -> None:
    spec = SensorSpec("A1", 0, SensorKind.ADSB, detection_probability=0.95, latency_s=0.5)
    talk = Transponder(address=1, nacp=8, nacv=1)
    objects = ring(8, 30_000.0, 3_000.0, transponder=talk)
    objects += [replace(objects[0], id="silent", transponder=None)]
    objects += [replace(objects[0], id="mode-c", transponder=replace(talk, adsb=False))]
    scene = Scenario(plan([SimSensor(spec)], objects))
    east, north, speed, count = [], [], [], 0
    for batch in scene.batches():
        assert batch.kind == PlotKind.POSITION
        assert batch.sigma_position_m == pytest.approx(92.6 / 2.448)
        count += len(batch)
        for k, t_us in enumerate(batch.t_us.tolist()):
            truth = scene.truth(t_us)
            there = geo.ecef(batch.lat_rad[k], batch.lon_rad[k], batch.height_m[k])[0]
            o = int(np.linalg.norm(truth.xyz_m[:8] - there, axis=1).argmin())
            axes = geo.enu_axes(truth.lat_rad[o], truth.lon_rad[o])[0]
            off = axes @ (there - truth.xyz_m[o])
            east.append(off[0])
            north.append(off[1])
            speed.append(batch.velocity_east_mps[k] - axes[0] @ truth.velocity_mps[o])
    spread(np.array(east), 92.6 / 2.448)
    spread(np.array(north), 92.6 / 2.448)
    spread(np.array(speed), 10.0 / 2.448)
    assert abs(count - 0.95 * 8 * 400) < 5 * math.sqrt(8 * 400 * 0.95 * 0.05) + 8  # the last second is cut


def test_clutter_comes_at_the_declared_rate_and_an_outage_is_silent() -> None:
    sensor = SimSensor(radar(clutter_per_scan=20.0), outages_s=((100.0, 200.0),))
    scene = Scenario(plan([sensor], []))
    t_s = np.concatenate([(b.t_us - START_US) / 1e6 for b in scene.batches()])
    assert abs(len(t_s) - 20 * 75) < 5 * math.sqrt(20 * 75)
    assert not ((t_s >= 100.0) & (t_s < 200.0)).any()


@pytest.mark.parametrize("name", ["hungary-from-serbia", "lithuania-2025-07-28"])
def test_shipped_scenarios_arrive_in_order_numbered_and_valid(name: str) -> None:
    scene = Scenario(replace(scenario.load_plan(name), duration_s=60.0))
    newest, seq = 0, dict.fromkeys((s.id for s in scene.sensors), -1)
    for batch in scene.batches():
        check_plots(batch)
        assert batch.rx_us >= newest
        newest = batch.rx_us
        assert (batch.boot, batch.seq) == (1, seq[batch.sensor] + 1)
        seq[batch.sensor] = batch.seq
        assert len(batch) > 0
        assert (np.diff(batch.t_us) >= 0).all()
        assert batch.rx_us - int(batch.t_us[-1]) >= 0
        assert batch.rx_us - int(batch.t_us[0]) < 3_000_000
    assert min(seq.values()) > 30


def signature(scene: Scenario, sensor: str = "") -> list[bytes]:
    return [
        repr((b.sensor, b.rx_us, b.seq)).encode() + b.t_us.tobytes() + b.range_m.tobytes() + b.lat_rad.tobytes()
        for b in scene.batches()
        if sensor in ("", b.sensor)
    ]


def test_the_same_scenario_gives_the_same_batches_and_another_seed_others() -> None:
    short = replace(scenario.load_plan("lithuania-2025-07-28"), duration_s=20.0)
    assert signature(Scenario(short)) == signature(Scenario(short))
    assert signature(Scenario(short)) != signature(Scenario(replace(short, seed=short.seed + 1)))


def test_a_sensor_less_changes_nothing_for_the_rest() -> None:
    short = replace(scenario.load_plan("lithuania-2025-07-28"), duration_s=20.0)
    kept = [s for s in short.sensors if s.spec.id != "A1"]
    fewer = tuple(replace(s, spec=replace(s.spec, index=n)) for n, s in enumerate(kept))
    assert signature(Scenario(short), "R2") == signature(Scenario(replace(short, sensors=fewer)), "R2")


def test_every_plot_knows_whose_it_is() -> None:
    talk = Transponder(address=1)
    hears = SimSensor(SensorSpec("A1", 1, SensorKind.ADSB))
    scene = Scenario(
        plan([SimSensor(radar(clutter_per_scan=10.0)), hears], ring(8, 30_000.0, 3_000.0, transponder=talk))
    )
    site, clutter, real = geo.site_table(scene.sensors)[0], 0, 0
    for batch, owner in scene.owned():
        for k, row in enumerate(owner.tolist()):
            if row < 0:
                clutter += 1
                continue
            real += 1
            there = scene.truth(int(batch.t_us[k])).xyz_m[row]
            if batch.sensor == "A1":
                place = geo.ecef(batch.lat_rad[k], batch.lon_rad[k], batch.height_m[k])[0]
                assert np.linalg.norm(place - there) < 200.0
            else:
                r, a, _ = geo.polar(site, there)
                assert abs(batch.range_m[k] - r[0]) < 300.0
                assert abs((batch.azimuth_rad[k] - a[0] + math.pi) % math.tau - math.pi) < 0.018
    assert clutter == pytest.approx(1_000, abs=160)
    assert real > 3_000


def test_a_scenario_can_be_moved_in_time() -> None:
    there = Scenario.load("hungary-from-serbia", start_us=START_US)
    here = Scenario.load("hungary-from-serbia")
    one, two = next(there.batches()), next(here.batches())
    assert (one.t_us - START_US).tolist() == (two.t_us - here.start_us).tolist()
    assert there.truth(START_US).lat_rad.tolist() == here.truth(here.start_us).lat_rad.tolist()


def test_frames_carry_batches_and_ticks() -> None:
    scene = Scenario(replace(scenario.load_plan("lithuania-2025-07-28"), duration_s=5.0))
    frames = list(scene.frames(lambda sensor, batch: f"{sensor.format} {batch.seq}".encode()))
    assert [f.seq for f in frames] == list(range(len(frames)))
    ticks = [f for f in frames if f.source == "tick"]
    assert ticks[0].rx_us == scene.start_us
    assert ticks[-1].rx_us >= scene.end_us
    assert {f.source for f in frames} == {"tick", "in/A1/plots", "in/R1/plots", "in/R2/plots"}
    assert any(f.source == "in/A1/plots" and f.payload.startswith(b"readsb ") for f in frames)
    assert len(list(scene.frames(lambda s, b: b"", ticks=False))) == len(frames) - len(ticks)


def test_lithuania_is_the_scene_it_says() -> None:
    scene = Scenario.load("lithuania-2025-07-28")
    kinds = [s.kind for s in scene.sensors]
    assert kinds.count(SensorKind.ADSB) == 1
    assert len(kinds) == 3
    assert len(scene.plan.quiet) >= 10
    assert {o.id for o in scene.plan.objects} == {*scene.plan.quiet, "gerbera"}
    assert all(o.cooperative == (o.id != "gerbera") for o in scene.plan.objects)
    drone = scene.plan.objects[0]
    way = np.radians([[54.25, 26.10], [54.55, 25.72], [54.70, 25.33]])
    lat, lon, height = geo.geodetic(drone.flight.xyz_m)
    for place in way:  # as reported, corners cut by no more than a turn
        distance = geo.inverse(lat, lon, np.full(len(lat), place[0]), np.full(len(lat), place[1]))[0]
        assert distance.min() < 250.0
    steps = np.linalg.norm(np.diff(drone.flight.xyz_m, axis=0), axis=1)
    assert steps == pytest.approx(40.0, abs=0.1)
    assert 290.0 < height.min() <= height.max() < 380.0


def test_turns_climbs_and_waypoints_are_flown_within_limits() -> None:
    def place(east_m: float, north_m: float, height_m: float, speed_mps: float) -> Waypoint:
        lat, lon, _ = geo.direct_1(LAT, LON, math.atan2(east_m, north_m), math.hypot(east_m, north_m))
        return Waypoint(lat, lon, height_m, speed_mps)

    way = [place(0, 0, 100, 50), place(0, 9_000, 900, 50), place(9_000, 9_000, 300, 70), place(9_000, -3_000, 300, 70)]
    agility = Agility(math.radians(3.0), 5.0, 1.0)
    flight = motion.fly(way, 10.0, 2_000.0, agility)
    lat, lon, height = geo.geodetic(flight.xyz_m)
    assert flight.t_s[0] == 10.0
    assert len(flight.t_s) < 600  # it ends over the last waypoint
    axes = geo.enu_axes(lat[:-1], lon[:-1])
    step = np.einsum("nij,nj->ni", axes, np.diff(flight.xyz_m, axis=0))
    speed, course = np.hypot(step[:, 0], step[:, 1]), np.unwrap(np.arctan2(step[:, 0], step[:, 1]))
    assert np.abs(np.diff(course)).max() < math.radians(3.01)
    assert np.abs(np.diff(height)).max() < 5.01
    assert np.abs(np.diff(speed)).max() < 1.01
    assert 49.9 < speed.min() <= speed.max() < 70.2
    for point in way:
        near = geo.inverse(lat, lon, np.full(len(lat), point.lat_rad), np.full(len(lat), point.lon_rad))[0]
        assert near.min() < 600.0  # radius 1,340 m at 70 m/s: the corner is cut by 0.41 of it
    again = motion.fly(way, 0.0, 2_000.0, agility, repeat=True)
    assert again.t_s[-1] == 2_000.0


def test_a_waypoint_inside_the_turning_circle_is_not_orbited_for_ever() -> None:
    near = geo.direct_1(LAT, LON, math.pi / 2, 400.0)
    ahead = geo.direct_1(LAT, LON, 0.0, 5_000.0)
    way = [Waypoint(LAT, LON, 100, 60), Waypoint(*ahead[:2], 100, 60), Waypoint(*near[:2], 100, 60)]
    way += [Waypoint(*geo.direct_1(near[0], near[1], math.pi / 2, 500.0)[:2], 100, 60)]
    assert motion.fly(way, 0.0, 3_000.0, Agility()).t_s[-1] < 400.0


def test_points_must_be_a_flight() -> None:
    ok = np.array([0.0, 1.0])
    for bad in (np.array([1.0, 1.0]), np.array([0.0]), np.array([0.0, math.nan])):
        with pytest.raises(ValueError, match=r"point|time"):
            motion.from_points(bad, ok, ok, ok)


HEAD = 'title = "t"\nabout = []\nstart = 2025-01-01T00:00:00Z\nduration_s = 10.0\n'
OBJECT = '[[object]]\nid = "a"\nspeed_mps = 50.0\nway = [[54.0, 25.0, 100.0], [54.5, 25.0, 100.0]]\n'
RADAR = '[[sensor]]\nid = "R1"\nkind = "radar-2d"\nlat_deg = 54.0\nlon_deg = 25.0\nheight_m = 100.0\n'


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        ("title", "file", "not TOML"),
        (HEAD + "sensr = 1\n" + RADAR, "file", "sensr"),
        (HEAD.replace("10.0", '"10"') + RADAR, "duration_s", "float"),
        (HEAD.replace("10.0", "nan") + RADAR, "duration_s", "Expected"),
        (HEAD.replace("00Z", "00") + RADAR, "start", "no time zone"),
        (HEAD + RADAR.replace("height_m = 100.0", ""), "sensor[0]", "without a site"),
        (HEAD + RADAR.replace("2d", "3d"), "sensor[0]", "without elevation"),
        (HEAD + RADAR + "sigma_elevation_deg = 1.0\n", "sensor[0].sigma_elevation_deg", "not a 3D"),
        (HEAD + RADAR + 'format = "readsb"\n', "sensor[0].format", "no radar plots"),
        (HEAD + RADAR + RADAR, "sensor[1].id", "twice"),
        (HEAD + RADAR + OBJECT + OBJECT, "object[1].id", "twice"),
        (HEAD + RADAR + OBJECT.replace("54.5, 25.0", "25.0, 254.5"), "object[0].way[1]", "no place"),
        (HEAD + RADAR + OBJECT.replace(", 100.0]]", "]]"), "object[0].way[1]", "3 or 4"),
        (HEAD + RADAR + OBJECT + "departs_s = 60.0\n", "object[0]", "after the end"),
        (HEAD + 'quiet = ["b"]\n' + RADAR + OBJECT, "quiet[0]", "no object"),
        (HEAD + 'quiet = ["a"]\nothers_quiet = true\n' + RADAR + OBJECT, "quiet", "others_quiet"),
        (
            HEAD + 'theatre = "baltic"\n' + "".join(RADAR.replace("R1", f"X{i}") for i in range(64)),
            "sensor",
            "with those of its theatre",
        ),
        (
            HEAD + RADAR + OBJECT + '[[expect]]\nobject="x"\nrules=["r"]\nfrom_s=0\nuntil_s=1\n',
            "expect[0]",
            "no object",
        ),
    ],
)
def test_a_bad_scenario_is_refused_with_its_key_and_a_cure(tmp_path: Path, text: str, key: str, problem: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadScenario, match=problem) as caught:
        scenario.load_plan(path)
    assert caught.value.key == key
    assert caught.value.cure


def test_an_unknown_scenario_names_those_that_there_are() -> None:
    with pytest.raises(BadScenario, match="lithuania-2025-07-28"):
        scenario.load_plan("atlantis")
