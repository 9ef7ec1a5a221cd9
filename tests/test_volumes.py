"""Notified activities: what is surely within raises no alert and leaves a trace, and nothing else is silenced."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic
from hypothesis import given
from hypothesis import strategies as st

from fusion.borders.outlook import circle
from fusion.borders.terrain import Grid
from fusion.cases.record import Withheld
from fusion.identity import assess
from fusion.redlines.alerts import Watch
from fusion.redlines.declared import Declared, Volume
from fusion.redlines.volumes import Notified, p_around
from fusion.rules import Words
from fusion.schema import Alert
from tests.airpicture import AIRCRAFT, CODES, NAMES, SENSOR_IDS, SENSORS, T0_US, S, at, picture
from tests.states import bits
from tests.test_alerts import RULES, TICK_US

LAT, LON = 54.25, 26.10  # where the drone of `airpicture` is
HOUR = 3_600 * S


def volume(radius_m: float = 8_000.0, **more: Any) -> Volume:
    shape = circle(math.radians(LAT), math.radians(LON), radius_m)
    given: dict[str, Any] = {"shape": shape, "from_us": T0_US - HOUR, "until_us": T0_US + HOUR, **more}
    return Volume("range", "Army", "drone flights", **given)


def within(volumes: Sequence[Volume], rows: Sequence[dict[str, Any]], t_us: int = T0_US, p: float = 0.95) -> list[int]:
    tracks, facts = picture(list(rows), t_us)
    assessment = assess(tracks, facts, Words(), SENSORS)
    flat = Grid(math.radians(50), math.radians(20), math.radians(5), np.full((4, 4), 25.0, np.float32))
    return Notified(Declared(tuple(volumes), p), flat).within(tracks, assessment).tolist()  # type: ignore[no-any-return]


def place(azimuth_deg: float, away_m: float) -> dict[str, float]:
    found = Geodesic.WGS84.Direct(LAT, LON, azimuth_deg, away_m)
    return {"lat_rad": math.radians(found["lat2"]), "lon_rad": math.radians(found["lon2"])}


@pytest.mark.parametrize("sigma_m", [5.0, 60.0, 400.0])
def test_the_edge_moves_inwards_with_the_uncertainty_of_the_place(sigma_m: float) -> None:
    margin_m = sigma_m * math.sqrt(-4.0 * math.log(0.05))
    rows = [
        {**place(azimuth, 8_000.0 - margin_m + off), "sigma_horizontal_m": sigma_m}
        for azimuth in (10.0, 130.0, 250.0)
        for off in (-25.0, 25.0)  # a circle of 72 corners is off by up to a thousandth of its radius
    ]
    assert within([volume()], rows) == [0, -1] * 3


@given(st.floats(0, 2_000), st.floats(1, 500), st.floats(0, 1), st.floats(0, math.pi))
def test_the_bound_is_below_the_true_probability_of_a_half_plane(
    inside: float, sigma: float, part: float, turn: float
) -> None:
    """However the two variances share their sum, and whichever way the line runs."""
    total = 2.0 * sigma * sigma
    across = total * (part * math.cos(turn) ** 2 + (1.0 - part) * math.sin(turn) ** 2)
    true = 0.5 * (1.0 + math.erf(inside / math.sqrt(2.0 * max(across, 1e-12))))
    assert p_around(np.array([inside]), np.array([sigma]))[0] <= true + 1e-12


def test_outside_is_never_within() -> None:
    assert p_around(np.array([-1.0, 0.0]), np.array([1e-9, 0.0])).tolist() == [0.0, 0.0]


def test_height_counts_with_its_uncertainty_and_unknown_height_is_not_within() -> None:
    """The drone: 150 m above ground, 330 m above the ellipsoid, here 305 m above the sea; one sigma is 60 m."""
    unknown = {"height_known": False}
    assert within([volume()], [{}, unknown]) == [0, 0]
    assert within([volume(ceiling_m=300.0)], [{}, unknown]) == [0, -1]
    assert within([volume(ceiling_m=230.0)], [{}]) == [-1]  # 1.3 sigma below the top: 0.91
    assert within([volume(floor_m=160.0)], [{}]) == [-1]
    assert within([volume(ceiling_m=440.0, above="ellipsoid")], [{}]) == [0]
    assert within([volume(ceiling_m=420.0, above="ellipsoid")], [{}]) == [-1]
    assert within([volume(ceiling_m=420.0, above="sea")], [{}]) == [0]
    assert within([volume(ceiling_m=390.0, above="sea")], [{}]) == [-1]


def test_time_begins_with_its_start_and_is_over_at_its_end() -> None:
    held = [volume()]
    times = (T0_US - HOUR - 1, T0_US - HOUR, T0_US + HOUR - 1, T0_US + HOUR)
    assert [within(held, [{}], t_us)[0] for t_us in times] == [-1, 0, 0, -1]


def test_hole_is_not_part_of_it_and_the_first_volume_of_two_is_named() -> None:
    ring = volume().shape.difference(circle(math.radians(LAT), math.radians(LON), 2_000.0))
    assert within([volume(shape=ring)], [{}, place(90.0, 5_000.0)]) == [-1, 0]
    assert within([volume(shape=ring), volume()], [{}, place(90.0, 5_000.0)]) == [1, 0]


def test_volume_for_one_object_is_for_no_other_and_not_for_a_contradicted_claim() -> None:
    only = volume(address=0x4CA123, serial=b"1581F4FEB")
    rows: list[dict[str, Any]] = [
        {},
        {"address": 0x4CA123},
        {"serial": b"1581F4FEB"},
        {"serial": b"1581F4FEC"},
    ]
    assert within([only], rows) == [-1, 0, 0, -1]
    tracks, facts = picture(rows, T0_US)
    assessment = assess(tracks, facts, Words(), SENSORS)
    doubted = replace(assessment, contradicted=np.ones(4, np.bool_))
    assert Notified(Declared((only,))).within(tracks, doubted).tolist() == [-1] * 4


def test_impossible_volume_is_refused() -> None:
    for more in ({"floor_m": 9.0, "ceiling_m": 9.0}, {"until_us": T0_US - HOUR}, {"above": "roof"}):
        with pytest.raises(ValueError, match="range"):
            volume(**more)


class Flight:
    """One drone before a watch that knows of a volume."""

    def __init__(self, *volumes: Volume) -> None:
        self.watch = Watch(RULES, CODES, NAMES, SENSOR_IDS, notified=Notified(Declared(volumes)))
        self.now_us = T0_US

    def run(self, seconds: float, *rows: dict[str, Any]) -> tuple[list[Alert], list[Withheld]]:
        alerts: list[Alert] = []
        for _ in range(round(seconds * S / TICK_US)):
            self.now_us += TICK_US
            tracks, facts = picture([at(self.now_us // S * S, row) for row in rows], self.now_us)
            alerts += self.watch.step(tracks, assess(tracks, facts, RULES.words, SENSORS), self.now_us)
        return alerts, self.watch.drain_withheld()


AWAY = place(0.0, 20_000.0)


def test_nothing_is_raised_within_and_the_record_says_what_and_why() -> None:
    flight = Flight(volume())
    alerts, (began,) = flight.run(60.0, {}, AIRCRAFT)
    assert alerts == []
    assert (began.track, began.rule, began.volume, began.owner) == ("7:1", "low-slow-near", "range", "Army")
    assert (began.reason, began.ended, began.since_us, began.t_us) == ("drone flights", "", *[T0_US + TICK_US] * 2)
    assert flight.watch.withholding.count == 1


def test_object_that_leaves_alerts_after_the_usual_dwell() -> None:
    flight = Flight(volume())
    flight.run(30.0, {})
    alerts, told = flight.run(30.0, AWAY)
    assert [(a.rule, a.state) for a in alerts][:1] == [("low-slow-near", "raised")]
    assert alerts[0].raised_us == T0_US + 35 * S + TICK_US
    assert [item.ended for item in told] == ["it is not surely within any more"]


def test_alert_comes_when_the_time_is_over() -> None:
    flight = Flight(volume(until_us=T0_US + 30 * S))
    assert flight.run(29.0, {})[0] == []
    alerts, told = flight.run(30.0, {})
    assert alerts[0].raised_us == T0_US + 35 * S
    assert [item.ended for item in told] == ["its time is over"]


def test_open_alert_closes_by_its_rule_and_names_the_activity() -> None:
    flight = Flight(volume())
    assert flight.run(6.0, AWAY)[0][0].state == "raised"
    alerts, _ = flight.run(25.0, {})
    (closed,) = [a for a in alerts if a.state == "closed"]
    assert closed.close_reason == "no longer: not exempt; notified activity range (Army: drone flights)"
    assert closed.t_us == T0_US + 26 * S + TICK_US  # after the hold of its rule


def test_a_short_loss_of_certainty_is_told_as_nothing_at_all() -> None:
    flight = Flight(volume())
    flight.run(10.0, {})
    alerts, told = flight.run(3.0, {"sigma_horizontal_m": 9_000.0})
    more, again = flight.run(30.0, {})
    assert (alerts, told, more, again) == ([], [], [], [])


def test_what_gets_worse_or_goes_on_elsewhere_ends_one_record_and_begins_another() -> None:
    flight = Flight(volume(until_us=T0_US + 30 * S), replace(volume(), id="second"))
    flight.run(10.0, {})
    inside = {"distance_m": -4_000.0, "p_inside": 1.0, "state": 0, "time_to_border_s": np.nan}
    told = flight.run(10.0, inside)[1] + flight.run(30.0, inside)[1]
    flight.watch.ended([(1, "left coverage")], 7, flight.now_us)
    told += flight.watch.drain_withheld()
    assert [(r.rule, r.volume, r.ended) for r in told] == [
        ("low-slow-near", "range", "goes on as low-slow-inside in range"),
        ("low-slow-inside", "range", ""),
        ("low-slow-inside", "range", "goes on as low-slow-inside in second"),
        ("low-slow-inside", "second", ""),
        ("low-slow-inside", "second", "track ended: left coverage"),
    ]


def test_ended_track_and_new_epoch_end_the_record() -> None:
    flight = Flight(volume())
    flight.run(1.0, {}, {})
    assert flight.watch.ended([(1, "left coverage")], 7, flight.now_us) == []
    (ended,) = flight.watch.drain_withheld()
    assert (ended.track, ended.ended) == ("7:1", "track ended: left coverage")
    tracks, facts = picture([{}], flight.now_us, epoch=8)
    flight.watch.step(tracks, assess(tracks, facts, RULES.words, SENSORS), flight.now_us)
    assert [(r.track, r.ended) for r in flight.watch.drain_withheld()] == [
        ("7:2", "tracks were numbered anew"),
        ("8:1", ""),
    ]


def test_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    one, other = Flight(volume()), Flight(volume())
    one.run(30.0, {}, {})
    other.watch.restore(one.watch.snapshot())
    other.now_us = one.now_us
    assert one.run(40.0, {}, AWAY) == other.run(40.0, {}, AWAY)
    assert bits(one.watch.snapshot()) == bits(other.watch.snapshot())


def test_polygon_with_any_outline_is_looked_up_exactly() -> None:
    rng = np.random.default_rng(4)
    turns, radii = np.sort(rng.uniform(0, 2 * math.pi, 12)), rng.uniform(0.4, 1.0, 12)
    corners = [(LON + 0.3 * r * math.cos(a), LAT + 0.2 * r * math.sin(a)) for a, r in zip(turns, radii, strict=True)]
    shape = shapely.Polygon(corners)
    lons, lats = LON + rng.uniform(-0.4, 0.4, 400), LAT + rng.uniform(-0.3, 0.3, 400)
    rows = [{"lat_rad": math.radians(y), "lon_rad": math.radians(x), "sigma_horizontal_m": 0.01}
            for x, y in zip(lons, lats, strict=True)]  # fmt: skip
    far = [shape.boundary.distance(shapely.Point(x, y)) > 1e-4 for x, y in zip(lons, lats, strict=True)]
    found = within([volume(shape=shape)], rows)
    for x, y, clear, got in zip(lons, lats, far, found, strict=True):
        assert not clear or (got == 0) == shape.contains(shapely.Point(x, y))
