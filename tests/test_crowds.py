"""Many alike are one event, and what must not be swallowed is not: swarms, crossing drones, whoever says who he is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo
from fusion.cases.record import Crowd, CrowdKind
from fusion.redlines.crowds import FORGET_US, CrowdParams, Crowds, neighbours
from fusion.schema import F8, US_PER_S, Assessment, ObjectClass, Tracks, take
from tests.scene import NAMES, T_US, table
from tests.states import kept
from tests.test_alerts import INSIDE, Night

P = CrowdParams()
LAT, LON = np.radians(54.5), np.radians(25.7)


class Sky:
    """Silent objects that fly straight on: (east m, north m, east m/s, north m/s) each, about one place."""

    def __init__(self, *flown: F8, sigma_mps: float = 3.0) -> None:
        self.at = np.concatenate(flown)
        self.sigma_mps = sigma_mps

    def look(self, second: float = 0.0) -> tuple[Tracks, Assessment]:
        """The picture of a second."""
        n = len(self.at)
        tracks, a = table(n)
        east, north = (self.at[:, i] + second * self.at[:, i + 2] for i in (0, 1))
        distance_m = np.hypot(east, north)
        lat, lon, _ = geo.direct(np.full(n, LAT), np.full(n, LON), np.arctan2(east, north), distance_m)
        v_east, v_north = self.at[:, 2], self.at[:, 3]
        tracks = replace(
            tracks,
            t_us=T_US + round(second * US_PER_S),
            claim_us=np.full(n, -1),
            birth_us=np.full(n, T_US),
        )
        drones = np.zeros((n, len(ObjectClass)))
        drones[:, ObjectClass.BIRD_FLOCK] = 1.0
        return tracks, replace(
            a,
            lat_rad=lat,
            lon_rad=lon,
            speed_mps=np.hypot(v_east, v_north),
            sigma_speed_mps=np.full(n, self.sigma_mps),
            sigma_horizontal_m=np.full(n, 60.0),
            course_rad=np.arctan2(v_east, v_north) % (2 * np.pi),
            cooperative=np.zeros(n, np.bool_),
            p_classes=drones,
        )


def spread(n: int, radius_m: float, east_mps: float, north_mps: float, seed: int = 1, jitter_mps: float = 3.0) -> F8:
    """`n` objects at random places within a square, with velocities alike."""
    luck = np.random.default_rng(seed)
    place = luck.uniform(-radius_m, radius_m, (n, 2))
    return np.hstack([place, luck.normal((east_mps, north_mps), jitter_mps, (n, 2))])


def run(crowds: Crowds, sky: Sky, *seconds: float) -> list[Crowd]:
    """What the last of these looks tells."""
    told: list[Crowd] = []
    for second in seconds:
        tracks, a = sky.look(second)
        told = crowds.step(tracks, a, tracks.t_us)
    return told


def members(crowds: Crowds, sky: Sky) -> list[int]:
    """The crowd of each object."""
    return [int(number) for number in crowds.member(sky.look()[0].id)]


def test_birds_on_migration_are_one_event_and_a_drone_among_them_is_not_of_it() -> None:
    drone, crossing = np.array([[0.0, 0.0, -30.0, -27.0]]), np.array([[500.0, 0.0, 18.0, 14.0]])
    sky, crowds = Sky(spread(150, 25_000.0, -13.0, -8.0), drone, crossing), Crowds(NAMES.codes)
    (flock,) = run(crowds, sky, 0.0)
    assert (flock.kind, flock.count, flock.state, flock.number) == (CrowdKind.FLOCK, 150, "open", 1)
    assert members(crowds, sky) == [1] * 150 + [-1, -1]
    assert flock.members == tuple(range(1, 151))
    assert flock.speed_mps == pytest.approx(np.hypot(13, 8), abs=1.0)
    assert np.degrees(flock.course_rad) == pytest.approx(180 + np.degrees(np.arctan2(13, 8)), abs=5.0)
    xyz = geo.ecef(*(np.array([v]) for v in (flock.lat_rad, flock.lon_rad, 0.0)))
    tracks, a = sky.look()
    away_m = np.sqrt(((geo.ecef(a.lat_rad, a.lon_rad, np.zeros(len(tracks)))[:150] - xyz) ** 2).sum(axis=1))
    assert away_m.max() == pytest.approx(flock.radius_m)
    assert flock.inside == int((a.p_inside[:150] >= 0.5).sum())
    known = a.agl_m[:150][a.height_known[:150]]
    assert known.min() <= flock.low_m < flock.high_m <= known.max()


def test_birds_that_fly_this_way_and_that_are_a_flock_and_a_drone_through_it_is_not_of_it() -> None:
    birds, luck = spread(150, 25_000.0, 0.0, 0.0), np.random.default_rng(5)
    course, speed = luck.uniform(0.0, 2 * np.pi, 150), luck.uniform(10.0, 25.0, 150)
    birds[:, 2], birds[:, 3] = speed * np.sin(course), speed * np.cos(course)
    sky, crowds = Sky(birds, np.array([[0.0, 0.0, -30.0, -27.0]])), Crowds(NAMES.codes)
    (flock,) = run(crowds, sky, 0.0)
    assert flock.count >= 145
    assert flock.spread_mps > flock.speed_mps
    assert members(crowds, sky)[-1] == -1


@pytest.mark.parametrize("speed_mps", [14.0, 17.0, 24.0])
def test_a_swarm_as_large_as_any_seen_stays_a_swarm_however_slow(speed_mps: float) -> None:
    sky, crowds = Sky(spread(21, 5_000.0, -speed_mps, 0.0)), Crowds(NAMES.codes)
    assert run(crowds, sky, *range(100)) == []
    assert set(members(crowds, sky)) == {-1}


def test_many_drones_are_no_flock() -> None:
    fast = Sky(spread(200, 25_000.0, -40.0, 0.0))
    assert run(Crowds(NAMES.codes), fast, 0.0) == []
    sky, crowds = Sky(spread(60, 10_000.0, -15.0, 0.0)), Crowds(NAMES.codes)
    tracks, a = sky.look()
    classes = a.p_classes.copy()
    classes[:30] = 0.0
    classes[:30, ObjectClass.FIXED_WING_DRONE] = 1.0
    assert crowds.step(tracks, replace(a, p_classes=classes), T_US) == []


def test_who_says_who_he_is_belongs_to_no_crowd() -> None:
    sky, crowds = Sky(spread(60, 10_000.0, -15.0, 0.0)), Crowds(NAMES.codes)
    tracks, a = sky.look()
    claims, cooperative = tracks.claim_us.copy(), a.cooperative.copy()
    claims[3], cooperative[5] = T_US - 10 * US_PER_S, True
    (flock,) = crowds.step(replace(tracks, claim_us=claims), replace(a, cooperative=cooperative), T_US)
    assert flock.count == 58
    of = crowds.member(tracks.id)
    assert of[3] == of[5] == -1


def test_a_wind_farm_is_one_event_and_who_comes_to_hover_in_it_is_not_of_it() -> None:
    farm = spread(16, 2_000.0, 0.0, 0.0, jitter_mps=0.0)
    crowds, hover = Crowds(NAMES.codes), Sky(farm, np.array([[-1_500.0, 0.0, 15.0, 0.0]]), sigma_mps=4.0)
    run(crowds, hover, *range(0, 100, 10))
    assert members(crowds, hover) == [1] * 16 + [-1]
    standing = Sky(hover.at.copy(), sigma_mps=4.0)
    standing.at[16] = [0.0, 0.0, 0.0, 0.0]
    (fixed,) = run(crowds, standing, *range(100, 200, 10))
    assert (fixed.kind, fixed.count, fixed.number) == (CrowdKind.FIXED, 16, 1)
    assert members(crowds, standing) == [1] * 16 + [-1]
    few = Sky(farm[: P.fixed_count - 1])
    assert run(Crowds(NAMES.codes), few, 0.0, 10.0) == []


def test_a_crowd_that_shrinks_goes_on_to_half_and_is_over_a_minute_after() -> None:
    crowds = Crowds(NAMES.codes)
    sky = Sky(spread(60, 10_000.0, -15.0, 0.0))
    assert run(crowds, sky, 0.0)[0].number == 1
    tracks, a = sky.look(1.0)

    def some(n: int, second: int) -> list[Crowd]:
        t_us = T_US + second * US_PER_S
        return crowds.step(replace(take(tracks, np.arange(n)), t_us=t_us), take(a, np.arange(n)), t_us)

    (smaller,) = some(25, 2)
    assert (smaller.number, smaller.count, smaller.most, smaller.since_us) == (1, 25, 60, T_US)
    assert some(10, 3) == []
    assert set(crowds.member(tracks.id[:10]).tolist()) == {-1}
    after_s = 2 + FORGET_US // US_PER_S
    assert some(10, after_s - 1) == []
    (over,) = some(10, after_s)
    assert (over.number, over.state, over.count, over.most) == (1, "over", 0, 60)
    assert some(10, after_s + 1) == []
    (again,) = some(60, after_s + 2)
    assert again.number == 2, "a number is never used twice"


def test_who_is_doubtful_for_a_moment_stays_and_who_stands_out_leaves_at_once() -> None:
    sky, crowds = Sky(spread(60, 10_000.0, -15.0, 0.0, jitter_mps=1.0)), Crowds(NAMES.codes)
    run(crowds, sky, 0.0)
    sky.at[0, 2], sky.at[1, 2] = -33.0, -60.0
    run(crowds, sky, 1.0)
    assert members(crowds, sky)[:3] == [1, -1, 1]
    run(crowds, sky, *range(2, 40))
    assert members(crowds, sky)[:3] == [-1, -1, 1], "not for longer than half a minute"


def test_a_crowd_that_falls_apart_for_one_look_comes_together_again_with_its_number() -> None:
    sky, crowds = Sky(spread(60, 10_000.0, -15.0, 0.0)), Crowds(NAMES.codes)
    run(crowds, sky, 0.0)
    tracks, a = sky.look(1.0)
    rows = np.arange(30)
    blurred = replace(take(a, rows), sigma_speed_mps=np.full(30, 90.0))
    assert crowds.step(take(tracks, rows), blurred, tracks.t_us) == []
    tracks, a = sky.look(2.0)
    (again,) = crowds.step(take(tracks, rows), take(a, rows), tracks.t_us)
    assert (again.number, again.count) == (1, 30), "fewer than a new crowd needs"


def test_two_flocks_apart_are_two_and_keep_their_numbers_when_they_meet_others() -> None:
    far = spread(50, 8_000.0, -15.0, 0.0, seed=2) + np.array([70_000.0, 0.0, 0.0, 0.0])
    sky, crowds = Sky(spread(60, 8_000.0, -15.0, 0.0), far), Crowds(NAMES.codes)
    assert [(c.number, c.count) for c in run(crowds, sky, 0.0)] == [(1, 60), (2, 50)]
    alone = Sky(far)
    tracks, a = sky.look(5.0)
    rows = np.arange(60, 110)
    assert [c.number for c in crowds.step(take(tracks, rows), take(a, rows), tracks.t_us)] == [2]
    assert len(alone.at) == 50


def test_a_snapshot_goes_on_as_if_nothing_had_happened_and_a_new_epoch_starts_empty() -> None:
    sky, whole = (
        Sky(spread(60, 10_000.0, -15.0, 0.0), spread(14, 2_000.0, 0.0, 0.0, jitter_mps=0.0)),
        Crowds(NAMES.codes),
    )
    run(whole, sky, 0.0, 10.0)
    other = Crowds(NAMES.codes)
    other.restore(kept(whole.snapshot()))
    for second in (20.0, 30.0, 90.0):
        assert run(other, sky, second) == run(whole, sky, second)
        assert members(other, sky) == members(whole, sky)
    tracks, a = sky.look(91.0)
    (first, *_) = whole.step(replace(tracks, epoch=8), a, tracks.t_us)
    assert first.number == 1


def test_an_empty_sky_is_no_crowd() -> None:
    tracks, a = Sky(np.empty((0, 4))).look()
    crowds = Crowds(NAMES.codes)
    assert crowds.step(tracks, a, T_US) == []
    assert crowds.member(np.array([4], np.int64)).tolist() == [-1]


@given(st.lists(st.tuples(*[st.integers(-30, 30)] * 3), max_size=60))
def test_neighbours_are_what_touching_cubes_join(places: list[tuple[int, int, int]]) -> None:
    xyz = np.array(places, np.float64).reshape(-1, 3)
    found = neighbours(xyz, 4.0)
    cells = np.floor(xyz / 4.0)
    touch = (np.abs(cells[:, None] - cells[None]) <= 1).all(axis=2)
    reached = np.linalg.matrix_power(touch.astype(np.float64), max(len(xyz), 1)) > 0 if len(xyz) else touch
    expected = dict.fromkeys(tuple(np.flatnonzero(row).tolist()) for row in reached)
    assert [tuple(group.tolist()) for group in found] == list(expected)


def test_one_of_a_crowd_raises_nothing_and_whoever_stands_out_does() -> None:
    night = Night()
    night.crowd = [4, -1]
    told = night.run(20, [INSIDE, INSIDE])
    assert [(alert.track, alert.state) for alert in told if alert.state == "raised"] == [("7:2", "raised")]
    night.crowd = [-1, -1]
    assert ("7:1", "raised") in [(alert.track, alert.state) for alert in night.run(20, [INSIDE, INSIDE])]


def test_an_alert_closes_with_the_crowd_named_unless_a_person_has_said_what_it_is() -> None:
    night = Night()
    first, second = [alert for alert in night.run(20, [INSIDE, INSIDE]) if alert.state == "raised"]
    answer, _ = night.say("identify", second, identity="suspect")
    assert answer.ok
    night.crowd = [4, 4]
    closed = [alert for alert in night.run(60, [INSIDE, INSIDE]) if alert.state == "closed"]
    assert [alert.id for alert in closed] == [first.id]
    assert "one of many alike, told as area event 4" in closed[0].close_reason


def test_what_a_person_has_identified_is_raised_in_a_crowd_though_its_alert_had_closed() -> None:
    night = Night()
    (alert,) = [one for one in night.run(20, [INSIDE]) if one.state == "raised"]
    assert night.say("identify", alert, identity="suspect")[0].ok
    far = {**INSIDE, "distance_m": 200_000.0, "p_inside": 0.0}
    assert [one.state for one in night.run(60, [far]) if one.state == "closed"] == ["closed"]
    night.crowd = [4]
    again = [one for one in night.run(40, [INSIDE]) if one.state == "raised"]
    assert [one.identity for one in again] == ["suspect"]


def test_what_surely_flies_as_a_multicopter_is_no_part_of_a_wind_farm() -> None:
    farm = spread(16, 2_000.0, 0.0, 0.0, jitter_mps=0.0)
    sky, crowds = Sky(farm), Crowds(NAMES.codes)
    tracks, a = sky.look()
    classes = a.p_classes.copy()
    classes[3] = 0.0
    classes[3, ObjectClass.SMALL_MULTICOPTER] = 1.0
    (fixed,) = crowds.step(tracks, replace(a, p_classes=classes), T_US)
    assert fixed.count == 15
    assert crowds.member(tracks.id)[3] == -1
