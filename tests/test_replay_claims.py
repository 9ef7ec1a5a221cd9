"""What objects say of themselves: declared accuracy is real, and every fault does what it says while it lasts."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from fusion.schema import F8, Plots, SensorKind, SensorSpec
from replay.plan import Beacon, ClaimFault, Interference, Plan, SimObject, SimSensor, Transponder
from replay.simulate import Scenario
from tests.test_simulate import LAT, LON, START_US, plan, radar, ring, spread, together

TALK = Transponder(address=0x503C01, callsign=b"LTV01", nacp=10, nacv=3)
HEARS = SimSensor(SensorSpec("A1", 0, SensorKind.ADSB, detection_probability=1.0))
ONE = ring(1, 30_000.0, 3_000.0, transponder=TALK)[0]  # 50 m/s to the south for 400 s


def told(thing: SimObject, sensor: SimSensor = HEARS, **more: object) -> tuple[F8, F8, F8, Plots]:
    """Seconds, errors east and north in metres of the claims of one object, and the claims."""
    made: Plan = replace(plan([sensor], [thing]), **more)  # type: ignore[arg-type]
    scene = Scenario(made)
    batches = list(scene.batches())
    rows = []
    for batch in batches:
        for k, t_us in enumerate(batch.t_us.tolist()):
            truth = scene.truth(t_us)
            axes = geo.enu_axes(truth.lat_rad[0], truth.lon_rad[0])[0]
            there = geo.ecef(batch.lat_rad[k], batch.lon_rad[k], truth.height_m[0])[0]
            off = axes @ (there - truth.xyz_m[0])
            rows.append(((t_us - START_US) / 1e6, off[0], off[1]))
    t_s, east, north = np.array(rows).T
    return t_s, east, north, together(batches)


def faulty(kind: str, value: float = math.nan, bearing_rad: float = 0.0) -> SimObject:
    return replace(ONE, faults=(ClaimFault(kind, 100.0, 200.0, value, bearing_rad),))


def fault_in_truth(thing: SimObject, second: float) -> tuple[str, bool]:
    truth = Scenario(plan([HEARS], [thing])).truth(START_US + round(second * 1e6))
    return truth.fault[0], bool(truth.visible[0])


def test_a_jump_moves_the_position_while_it_lasts_and_is_in_the_truth() -> None:
    thing = faulty("jump", 5_000.0, math.pi / 2)
    t_s, east, north, _ = told(thing)
    during = (t_s >= 100.0) & (t_s < 200.0)
    assert east[during] == pytest.approx(5_000.0, abs=30.0)
    assert np.abs(east[~during]).max() < 30.0
    assert np.abs(north).max() < 30.0
    assert [fault_in_truth(thing, at)[0] for at in (99.0, 150.0, 200.0)] == ["", "jump", ""]


def test_a_drift_grows_with_time() -> None:
    t_s, _, north, _ = told(faulty("drift", 10.0))
    during = (t_s >= 100.0) & (t_s < 200.0)
    assert north[during] == pytest.approx(10.0 * (t_s[during] - 100.0), abs=30.0)
    assert np.abs(north[~during]).max() < 30.0


def test_a_frozen_position_is_told_again_and_again() -> None:
    t_s, _, north, found = told(faulty("frozen"))
    during = (t_s >= 100.0) & (t_s < 200.0)
    away = np.hypot(*(v[during] for v in told(faulty("frozen"))[1:3]))
    assert away == pytest.approx(50.0 * (t_s[during] - 100.0), abs=40.0)
    assert np.ptp(found.height_m[during]) < 120.0
    assert np.abs(north[~during]).max() < 30.0


def test_a_late_position_is_where_the_object_was() -> None:
    t_s, east, north, _ = told(faulty("late", 4.0))
    during = (t_s >= 100.0) & (t_s < 200.0)
    assert np.hypot(east[during], north[during]).mean() == pytest.approx(200.0, abs=3.0)
    assert np.hypot(east[~during], north[~during]).mean() < 10.0


def test_an_outage_is_silent_and_the_object_is_not_seen_then() -> None:
    thing = faulty("outage")
    t_s = told(thing)[0]
    assert not ((t_s >= 100.0) & (t_s < 200.0)).any()
    assert len(t_s) == pytest.approx(300, abs=3)
    assert fault_in_truth(thing, 150.0) == ("outage", False)
    assert fault_in_truth(thing, 250.0) == ("", True)


def test_a_degraded_position_declares_its_category_and_has_its_accuracy() -> None:
    thing = replace(ONE, faults=(ClaimFault("degraded", -math.inf, math.inf, 5.0),))
    _, east, north, found = told(thing)
    assert set(found.nacp.tolist()) == {5}
    assert set(found.nic.tolist()) == {5}
    assert found.sigma_position_m == pytest.approx(926.0 / 2.448)
    spread(east, 926.0 / 2.448)
    spread(north, 926.0 / 2.448)


@pytest.mark.parametrize(("gva", "sigma_m"), [(-1, 15.0), (1, 150.0 / 1.96), (2, 45.0 / 1.96)])
def test_height_is_as_accurate_as_its_category_says(gva: int, sigma_m: float) -> None:
    thing = replace(ONE, transponder=replace(TALK, gva=gva))
    scene = Scenario(plan([HEARS], [thing]))
    found = [(b.height_m[0], b.sigma_height_m[0], scene.truth(int(b.t_us[0])).height_m[0]) for b in scene.batches()]
    height, declared, true = np.array(found).T
    assert declared == pytest.approx(sigma_m)
    spread(height - true, sigma_m)


def test_interference_disturbs_an_area_for_a_time() -> None:
    area = Interference(LAT, LON, 60_000.0, 100.0, 200.0, drift_mps=15.0, loss=0.3)
    t_s, east, north, found = told(ONE, interference=(area,))
    during = (t_s >= 100.0) & (t_s < 200.0)
    assert during.sum() == pytest.approx(70, abs=25)
    assert set(found.nacp[during].tolist()) == {0}
    assert set(found.nic[during].tolist()) == {0}
    assert set(found.nacp[~during].tolist()) == {10}
    off = np.hypot(east, north)
    assert off[~during].max() < 40.0
    assert off[during].max() > 15_000.0  # NACp 0 stands for 18.5 km, 95 %
    spoofed = replace(area, declared=False, loss=0.0)
    t_s, east, north, found = told(ONE, interference=(spoofed,))
    during = (t_s >= 100.0) & (t_s < 200.0)
    assert set(found.nacp.tolist()) == {10}
    assert np.hypot(east, north)[during] == pytest.approx(15.0 * (t_s[during] - t_s[during][0]), abs=40.0)
    far = replace(area, lat_rad=LAT + 0.1)
    assert np.hypot(*told(ONE, interference=(far,))[1:3]).max() < 40.0


def test_interference_is_in_the_truth_of_those_it_reaches() -> None:
    area = Interference(LAT, LON, 60_000.0, 100.0, 200.0)
    scene = Scenario(replace(plan([HEARS], [ONE, replace(ONE, id="quiet", transponder=None)]), interference=(area,)))
    assert scene.truth(START_US + 150_000_000).fault == ("interference", "")
    assert scene.truth(START_US + 250_000_000).fault == ("", "")


def test_a_ghost_is_heard_and_never_seen() -> None:
    ghost = replace(ONE, nothing="ghost")
    eye = SimSensor(radar(id="R1", index=1), secondary=True, mode_s=True)
    scene = Scenario(plan([HEARS, eye], [ghost]))
    heard = {batch.sensor: len(batch) for batch in scene.batches()}
    assert set(heard) == {"A1"}
    truth = scene.truth(START_US + 60_000_000)
    assert truth.fault == ("ghost",)
    assert not truth.visible.any()


def test_what_is_wrong_in_an_object_is_wrong_for_every_receiver() -> None:
    area = Interference(LAT, LON, 60_000.0, 100.0, 200.0, loss=0.0, declared=False)
    second = replace(HEARS, spec=replace(HEARS.spec, id="A2"))
    one, two = (told(ONE, sensor, interference=(area,)) for sensor in (HEARS, second))
    late = [np.arctan2(e[(t > 150) & (t < 200)], n[(t > 150) & (t < 200)]).mean() for t, e, n, _ in (one, two)]
    assert late[0] == pytest.approx(late[1], abs=0.05)


def test_faults_change_nothing_in_the_claims_of_others() -> None:
    other = ring(2, 40_000.0, 3_000.0, transponder=replace(TALK, address=0x503C02))[1]
    clean = Scenario(plan([HEARS], [ONE, other]))
    bad = Scenario(plan([HEARS], [faulty("jump", 5_000.0), other]))

    def of_other(scene: Scenario) -> list[float]:
        return [lat for b in scene.batches() for lat, a in zip(b.lat_rad, b.address, strict=True) if a == 0x503C02]

    assert of_other(clean) == of_other(bad)
    assert len(of_other(clean)) > 390


@pytest.mark.parametrize(("hears", "expected"), [("remote-id", b"1581F1"), ("flarm", b"FLR1")])
def test_a_short_range_receiver_hears_its_kind_of_beacon_near_by(hears: str, expected: bytes) -> None:
    near = [replace(o, id=f"n{o.id}", beacon=Beacon("remote-id", b"1581F1")) for o in ring(1, 1_000.0, 300.0)]
    near += [replace(o, id=f"f{o.id}", beacon=Beacon("flarm", b"FLR1")) for o in ring(1, 1_000.0, 300.0)]
    near += [replace(o, id=f"g{o.id}", beacon=Beacon("flarm", b"FLR2")) for o in ring(1, 60_000.0, 300.0)]
    spec = radar(kind=SensorKind.REMOTE_ID, range_max_m=25_000.0, sigma_position_m=8.0, period_s=1.0)
    batches = list(Scenario(plan([SimSensor(spec, hears=hears)], near)).batches())
    assert {s for b in batches for s in b.serial.tolist()} == {expected}
    assert all(np.isfinite(b.lat_rad).all() and (b.address == -1).all() for b in batches)
    assert {float(v) for b in batches for v in b.sigma_position_m} == {8.0}
    assert sum(map(len, batches)) > 200
