"""Trails: sparse, bounded, the important kept longest, and where a track was at any time of the last hour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from fusion import geo
from fusion.cases.trail import ALERTED, GAP_US, PAGE, Trails
from fusion.identity import assess
from fusion.rules import Words
from fusion.schema import Assessment, Tracks
from tests.airpicture import AIRCRAFT, DRONE, SENSORS, T0_US, S, at, picture

Row = Mapping[str, Any]


def seen(rows: Sequence[Row], t_us: int, ids: Sequence[int] | None = None, epoch: int = 7) -> tuple[Tracks, Assessment]:
    tracks, facts = picture([at(t_us, row) for row in rows], t_us, ids, epoch)
    return tracks, assess(tracks, facts, Words(), SENSORS)


def straight(t_us: int, row: Row | None = None) -> dict[str, Any]:
    """The drone of `airpicture` after flying straight on from `T0_US`."""
    given = {**DRONE, **(row or {})}
    lat, lon, course = geo.direct(
        given["lat_rad"], given["lon_rad"], given["course_rad"], given["speed_mps"] * (t_us - T0_US) / S
    )
    return {**(row or {}), "lat_rad": lat[0], "lon_rad": lon[0], "course_rad": course[0]}


def fly(trails: Trails, seconds: int, rows: Sequence[Row] = ({},), ids: Sequence[int] | None = None) -> int:
    """Step once a second, all flying straight; the time of the last step."""
    for second in range(seconds):
        t_us = T0_US + second * S
        trails.step(*seen([straight(t_us, row) for row in rows], t_us, ids), t_us)
    return T0_US + (seconds - 1) * S


def test_a_straight_flight_leaves_a_point_every_ten_seconds_and_a_cooperative_one_every_thirty() -> None:
    trails = Trails(64)
    fly(trails, 121, [{}, AIRCRAFT], ids=[4, 9])
    drone, aircraft = trails.of(4), trails.of(9)
    assert drone is not None
    assert aircraft is not None
    assert np.diff(drone.t_us).tolist() == [10 * S] * 12
    assert np.diff(aircraft.t_us).tolist() == [30 * S] * 4
    assert (drone.track_id, drone.ended) == (4, False)
    assert drone.speed_mps == pytest.approx(42.0)
    assert trails.of(5) is None


def test_a_turn_leaves_points_sooner() -> None:
    trails = Trails(8)
    for second in range(30):
        t_us = T0_US + second * S
        trails.step(*seen([{"course_rad": np.radians((300.0 + 6.0 * second) % 360.0)}], t_us), t_us)
    trail = trails.of(1)
    assert trail is not None
    assert np.diff(trail.t_us).tolist() == [3 * S] * 9


def test_what_is_coasted_leaves_no_point() -> None:
    trails = Trails(8)
    for second in range(60):
        t_us = T0_US + second * S
        row = straight(t_us) | {"update_us": T0_US + min(second, 15) * S}
        trails.step(*seen([row], t_us), t_us)
    trail = trails.of(1)
    assert trail is not None
    assert trail.t_us.tolist() == [T0_US, T0_US + 10 * S, T0_US + 20 * S]  # the plot at 15 s, shown at 20 s


def test_where_a_track_was_lies_on_its_way_and_beyond_an_end_straight_on() -> None:
    trails = Trails(8)
    last_us = fly(trails, 101)
    for t_us in (T0_US, T0_US + 4 * S, T0_US + 55 * S, last_us + 20 * S, T0_US - 20 * S):
        then = trails.at(t_us)
        want = straight(t_us)
        off_m = geo.inverse(then.lat_rad, then.lon_rad, want["lat_rad"], want["lon_rad"])[0]
        assert then.id.tolist() == [1]
        assert off_m[0] < 5.0
        assert then.away_us[0] <= 20 * S
    assert len(trails.at(last_us + GAP_US + S).id) == 0
    assert len(trails.at(T0_US - GAP_US - S).id) == 0


def test_every_track_is_found_at_its_own_place_in_order_of_id() -> None:
    trails = Trails(64)
    rows = [{"lat_rad": np.radians(54.0 + 0.1 * i)} for i in range(7)]
    fly(trails, 41, rows, ids=[2, 3, 5, 8, 13, 21, 34])
    then = trails.at(T0_US + 33 * S)
    assert then.id.tolist() == [2, 3, 5, 8, 13, 21, 34]
    want = [straight(T0_US + 33 * S, row)["lat_rad"] for row in rows]
    assert then.lat_rad == pytest.approx(np.array(want), abs=1e-6)


def test_a_track_is_forgotten_half_an_hour_after_its_end_and_a_low_slow_one_after_an_hour() -> None:
    trails = Trails(64)
    high = {"agl_m": 6_000.0}
    fly(trails, 5, [high, {}], ids=[1, 2])
    trails.end([(1, "dropped"), (2, "left coverage"), (77, "dropped")], 7)
    trail = trails.of(1)
    assert trail is not None
    assert trail.ended

    def kept(minutes: float) -> list[bool]:
        t_us = T0_US + round(minutes * 60 * S)
        trails.step(*seen([], t_us), t_us)
        return [trails.of(1) is not None, trails.of(2) is not None]

    assert kept(29) == [True, True]
    assert kept(31) == [False, True]
    assert kept(61) == [False, False]
    assert len(trails) == 0


def test_a_long_flight_keeps_its_last_hour() -> None:
    trails = Trails(64)
    last_us = fly(trails, 7_200)
    trail = trails.of(1)
    assert trail is not None
    assert last_us - 3_600 * S - 2 * PAGE * 10 * S <= trail.t_us[0] <= last_us - 3_600 * S
    assert (np.diff(trail.t_us) == 10 * S).all()


def test_when_full_the_least_important_pays_and_an_alerted_track_never_does() -> None:
    """Four pages, four tracks: who needs a second page takes it from the cooperative one, which ended."""
    trails = Trails(4)
    rows = [{}, {}, AIRCRAFT, {"agl_m": 6_000.0}]
    for second in range(400):
        t_us = T0_US + second * S
        shown = rows if second < 20 else rows[:2]
        trails.step(*seen([straight(t_us, row) for row in shown], t_us), t_us)
        trails.mark([1])
        if second == 20:
            trails.end([(3, "left coverage"), (4, "dropped")], 7)
    assert trails.worth[0] == ALERTED
    assert trails.taken == 2
    alerted, other = trails.of(1), trails.of(2)
    assert alerted is not None
    assert other is not None
    assert (len(alerted.t_us), len(other.t_us)) == (40, 40)
    assert trails.of(3) is None
    assert trails.of(4) is None
    for second in range(400, 700):
        t_us = T0_US + second * S
        trails.step(*seen([straight(t_us, row) for row in rows[:2]], t_us), t_us)
    alerted, other = trails.of(1), trails.of(2)
    assert alerted is not None
    assert other is not None
    assert alerted.t_us[0] == T0_US  # and the other paid for itself
    assert other.t_us[0] == T0_US + 2 * PAGE * 10 * S  # all of it: the alerted one has the other three pages


def test_another_epoch_means_other_objects() -> None:
    trails = Trails(8)
    fly(trails, 11)
    trails.end([(1, "dropped")], 6)
    trail = trails.of(1)
    assert trail is not None
    assert not trail.ended
    trails.step(*seen([], T0_US + 12 * S, epoch=8), T0_US + 12 * S)
    assert trails.of(1) is None


def test_restored_trails_go_on_as_if_nothing_had_happened() -> None:
    trails, other = Trails(6), Trails(6)
    rows = [{}, AIRCRAFT, {"agl_m": 6_000.0}]
    for second in range(900):
        t_us = T0_US + second * S
        if second == 450:
            other.restore(trails.snapshot())
        for each in [trails] + [other] * (second >= 450):
            each.step(*seen([straight(t_us, row) for row in rows], t_us), t_us)
    assert trails.taken == other.taken > 0
    for track_id in (1, 2, 3):
        one, two = trails.of(track_id), other.of(track_id)
        assert one is not None
        assert two is not None
        for name in ("t_us", "lat_rad", "lon_rad", "height_m", "speed_mps", "course_rad", "sigma_m"):
            assert np.array_equal(getattr(one, name), getattr(two, name)), name
