"""The mixed sky: as many as counted, where they belong, from the seed alone, false where it was asked for."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fusion import geo
from fusion.schema import PlotKind, SensorKind, check_plots
from replay import objects, scenario, traffic
from replay.plan import SimObject
from replay.scenario import BadScenario
from replay.simulate import Scenario
from replay.traffic import Traffic

LAT, LON = math.radians(54.5), math.radians(23.5)
CIVIL = (("airliner", 20), ("light-aircraft", 20))


def block(counts: tuple[tuple[str, int], ...] = CIVIL, **more: object) -> Traffic:
    return Traffic("t1", LAT, LON, 100_000.0, counts, **more)  # type: ignore[arg-type]


def drawn(made: Traffic, seed: int = 1, duration_s: float = 300.0) -> tuple[SimObject, ...]:
    return traffic.draw(made, 0, seed, duration_s, 0.0)


def signature(things: tuple[SimObject, ...], kind: str = "") -> list[tuple[str, bytes, float, object]]:
    return [(o.id, o.flight.xyz_m.tobytes(), o.rcs_m2, o.transponder) for o in things if kind in ("", o.kind)]


def test_every_class_comes_in_the_number_that_was_counted() -> None:
    counts = tuple((name, 3) for name in objects.CATALOGUE)
    things = drawn(block(counts))
    assert Counter(o.kind for o in things) == dict(counts)
    assert len({o.id for o in things}) == len(things)
    assert all(o.flight.t_s[0] == 0.0 and o.flight.t_s[-1] >= 299.0 for o in things)


def test_the_seed_decides_and_one_class_does_not_disturb_another() -> None:
    assert signature(drawn(block())) == signature(drawn(block()))
    assert signature(drawn(block())) != signature(drawn(block(), seed=2))
    more = block((("airliner", 25), ("light-aircraft", 20), ("shahed", 5)))
    assert signature(drawn(more), "light-aircraft") == signature(drawn(block()), "light-aircraft")
    assert signature(drawn(more), "airliner")[:20] == signature(drawn(block()), "airliner")


def test_flights_spread_over_the_region_with_the_courses_asked_for() -> None:
    things = drawn(block((("light-aircraft", 200),), course_rad=math.radians(45.0), spread_rad=math.radians(20.0)))
    middle = np.array([np.median(o.flight.xyz_m, axis=0) for o in things])
    lat, lon, _ = geo.geodetic(middle)
    away = geo.inverse(lat, lon, np.full(200, LAT), np.full(200, LON))[0]
    assert np.percentile(away, 90) < 115_000.0
    assert np.median(away) == pytest.approx(100_000.0 * math.sqrt(0.5), rel=0.15)
    first = [geo.enu_axes(LAT, LON)[0] @ (o.flight.xyz_m[1] - o.flight.xyz_m[0]) for o in things]
    course = np.degrees([math.atan2(v[0], v[1]) for v in first])
    assert 20.0 < course.min() < course.max() < 70.0


def test_some_come_and_go_within_the_scene() -> None:
    things = drawn(block((("shahed", 200),), come_and_go=0.4), duration_s=600.0)
    late = sum(o.flight.t_s[0] > 30.0 for o in things)
    early = sum(o.flight.t_s[-1] < 570.0 for o in things)
    assert late == pytest.approx(40, abs=20)
    assert early == pytest.approx(40, abs=20)


def test_in_a_long_scene_others_take_the_place_of_those_that_have_left() -> None:
    things = drawn(block((("airliner", 4),)), duration_s=9_000.0)
    spans = sorted((o.flight.t_s[0], o.flight.t_s[-1]) for o in things)
    assert [s for s, _ in spans] == [0.0] * 4 + [3_600.0] * 4 + [7_200.0] * 4
    for at_s in (100.0, 4_000.0, 8_900.0):
        assert sum(a <= at_s <= b for a, b in spans) == 4


def test_drones_of_one_launch_fly_together_and_a_jet_escorts_one() -> None:
    things = drawn(block((("shahed", 30),), group=(5, 5), escorts=1))
    assert Counter(o.kind for o in things) == {"shahed": 30, "fast-jet": 1}
    at_100 = {o.id: np.array([np.interp(150.0, o.flight.t_s, o.flight.xyz_m[:, k]) for k in range(3)]) for o in things}
    for number in range(0, 30, 5):
        members = [at_100[f"t1-shahed-{number + k}"] for k in range(5)]
        gaps = [min(float(np.linalg.norm(a - b)) for b in members if b is not a) for a in members]
        assert 250.0 < min(gaps) <= max(gaps) < 2_300.0
    assert np.linalg.norm(at_100["t1-escort-0"] - at_100["t1-shahed-0"]) < 5_000.0


def test_who_says_what_follows_the_class() -> None:
    things = drawn(block((("light-aircraft", 400), ("shahed", 50), ("airliner", 100), ("quadcopter", 200))))
    said = {kind: [o for o in things if o.kind == kind] for kind in ("light-aircraft", "shahed", "airliner")}
    adsb = sum(o.transponder is not None and o.transponder.adsb for o in said["light-aircraft"])
    silent = sum(o.transponder is None for o in said["light-aircraft"])
    assert adsb / 400 == pytest.approx(0.55, abs=0.1)
    assert silent / 400 == pytest.approx(0.10, abs=0.06)
    assert all(o.transponder is None and not o.data_link for o in said["shahed"])
    assert sum(o.transponder is not None and o.transponder.adsb for o in said["airliner"]) > 90
    assert all(o.transponder.category == 5 for o in said["airliner"] if o.transponder)
    beacons = [o.beacon for o in things if o.kind == "quadcopter"]
    assert sum(b is not None for b in beacons) == pytest.approx(100, abs=35)
    addresses = [o.transponder.address for o in things if o.transponder and o.transponder.address >= 0]
    assert len(set(addresses)) == len(addresses)
    two = [o.transponder.address for o in traffic.draw(block(), 1, 1, 300.0, 0.0) if o.transponder]
    assert not {a for a in two if a >= 0} & set(addresses)


def test_false_claims_come_in_the_part_asked_for_and_change_no_flight() -> None:
    clean = drawn(block((("airliner", 300),)))
    kinds = ("degraded", "late", "jump", "drift", "frozen", "outage", "duplicate", "ghost", "replayed")
    bad = drawn(block((("airliner", 300),), faults=tuple((kind, 0.1) for kind in kinds)))
    flights = [o.flight.xyz_m.tobytes() for o in clean]
    assert [o.flight.xyz_m.tobytes() for o in bad if not o.nothing] == flights
    found = Counter(f.kind for o in bad for f in o.faults)
    for kind in kinds[:6]:
        assert found[kind] == pytest.approx(30, abs=18), kind
    assert 30 < found["duplicate"] < 80  # both that share an address
    doubles = Counter(o.transponder.address for o in bad if o.transponder and not o.nothing)
    assert sum(n > 1 for n in doubles.values()) > 10
    nothing = Counter(o.nothing for o in bad if o.nothing)
    assert nothing["ghost"] == pytest.approx(30, abs=18)
    assert nothing["replayed"] == pytest.approx(30, abs=18)


def test_a_replayed_flight_is_the_same_flight_later_and_a_ghost_is_one_that_nobody_flies() -> None:
    things = drawn(block((("airliner", 10),), faults=(("ghost", 1.0), ("replayed", 1.0))), duration_s=600.0)
    by_id = {o.id: o for o in things}
    original, again, ghost = (by_id[f"t1-airliner-0{tail}"] for tail in ("", "-replayed", "-ghost"))
    assert again.flight.xyz_m.tobytes() == original.flight.xyz_m.tobytes()
    assert (again.flight.t_s - original.flight.t_s).min() >= 60.0
    assert again.transponder == original.transponder
    assert ghost.transponder is not None
    assert original.transponder is not None
    assert ghost.transponder.address != original.transponder.address
    heights = [geo.geodetic(o.flight.xyz_m)[2] for o in (original, ghost)]
    assert heights[0] == pytest.approx(heights[1], abs=200.0)
    assert np.linalg.norm(ghost.flight.xyz_m[-1] - original.flight.xyz_m[-1]) > 5_000.0


def test_more_of_everything_keeps_the_proportions_and_what_stands() -> None:
    blocks = (block((("airliner", 30), ("shahed", 10))), block((("geese", 60), ("wind-turbine", 7))))
    for total in (3, 1_000, 4_999):
        counts = [n for b in traffic.scaled(blocks, total) for name, n in b.counts if name != "wind-turbine"]
        assert sum(counts) == total
        assert np.array(counts) == pytest.approx(np.array([0.3, 0.1, 0.6]) * total, abs=1.0)
    assert dict(traffic.scaled(blocks, 1_000)[1].counts)["wind-turbine"] == 7


def test_the_shipped_sky_has_every_class_and_every_sensor_and_arrives_in_order() -> None:
    scene = Scenario.load("mixed-sky")
    assert {o.kind for o in scene.plan.objects} == set(objects.CATALOGUE)
    kinds = {s.kind for s in scene.sensors}
    assert kinds == set(SensorKind) - {SensorKind.TRACK}
    newest, plots = 0, Counter[str]()
    overtaken, last = Counter[str](), dict.fromkeys((s.id for s in scene.sensors), -1)
    for batch in scene.batches():
        if batch.rx_us > scene.start_us + 30_000_000:
            break
        check_plots(batch)
        assert len(batch) > 0
        assert batch.rx_us >= newest
        newest = batch.rx_us
        plots[batch.sensor] += len(batch)
        overtaken[batch.sensor] += batch.seq < last[batch.sensor]
        last[batch.sensor] = max(last[batch.sensor], batch.seq)
        if batch.kind == PlotKind.POLAR:
            assert np.isfinite(batch.sigma_azimuth_rad).all()
    assert {name for name, count in overtaken.items() if count} <= {"A1", "R3", "R5", "V1"}
    assert overtaken["A1"] > 30
    assert min(plots[name] for name in ("A1", "R1", "R2", "R3", "R4", "R5", "R6", "P1", "S1", "S2", "N1")) > 25


def test_a_sensor_less_changes_nothing_for_the_rest_of_a_mixed_sky() -> None:
    plan = replace(scenario.load_plan("mixed-sky", total=60), duration_s=900.0)
    kept = [s for s in plan.sensors if s.spec.id in ("A1", "R5", "S2")]
    fewer = tuple(replace(s, spec=replace(s.spec, index=n)) for n, s in enumerate(kept))

    def said(scene: Scenario) -> list[tuple[str, int, int, bytes, bytes]]:
        rows: list[tuple[str, int, int, bytes, bytes]] = []
        for b in scene.batches():
            if b.rx_us > scene.start_us + 15_000_000:
                return rows
            if b.sensor in ("A1", "R5", "S2"):
                rows.append((b.sensor, b.seq, b.rx_us, b.lat_rad.tobytes(), b.range_m.tobytes()))
        return rows

    assert said(Scenario(plan)) == said(Scenario(replace(plan, sensors=fewer)))


HEAD = (
    'title = "t"\nabout = []\nstart = 2025-01-01T00:00:00Z\nduration_s = 10.0\n[[sensor]]\nid = "A1"\nkind = "adsb"\n'
)
BLOCK = "[[traffic]]\nlat_deg = 54.0\nlon_deg = 24.0\nradius_m = 1e5\ncount = { airliner = 3 }\n"


@pytest.mark.parametrize(
    ("text", "key", "problem"),
    [
        (BLOCK.replace("airliner", "zeppelin"), "traffic[0].count", "no class 'zeppelin'"),
        (BLOCK + "group = [3, 2]\n", "traffic[0].group", "more at least"),
        (BLOCK.replace("3", "9_000"), "traffic[0].count[...]", "<= 8000"),
        (BLOCK + "faults = { magic = 0.1 }\n", "traffic[0].faults", "magic"),
        (BLOCK + "wind = 1.0\n", "traffic[0]", "wind"),
    ],
)
def test_bad_traffic_is_refused_with_its_key(tmp_path: Path, text: str, key: str, problem: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(HEAD + text, encoding="utf-8")
    with pytest.raises(BadScenario, match=problem) as caught:
        scenario.load_plan(path)
    assert caught.value.key == key


def test_more_objects_need_traffic() -> None:
    with pytest.raises(BadScenario, match="no traffic"):
        scenario.load_plan("hungary-from-serbia", total=100)
