"""Reports by people: they join what was there, stand alone where nothing was, and a find is matched, ranked."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fusion import geo
from fusion.cases.lost import Lost, Search
from fusion.cases.record import SearchChanged, Sighting, SightingJudged
from fusion.cases.sightings import Event, SightingParams, Sightings
from fusion.cases.trail import Trails
from tests.airpicture import AIRCRAFT, T0_US, S, at
from tests.losses import losses
from tests.test_lost import INSIDE, lost_one, seen
from tests.test_trail import straight

NOW_US = T0_US + 100 * S


def place(lat_rad: float, lon_rad: float) -> tuple[str, float]:
    """Lithuania and Belarus side by side; nothing further than 10 degrees away."""
    if abs(np.degrees(lat_rad) - 54.5) > 10.0:
        return "", math.nan
    return ("LT" if np.degrees(lon_rad) < 26.0 else "BY"), 1_000.0


def report(**given: Any) -> Sighting:
    """Where the drone of `airpicture` is after 60 s, seen then."""
    here = straight(T0_US + 60 * S)
    known: dict[str, Any] = {
        "sensor": "G1", "rx_us": NOW_US, "t_us": T0_US + 60 * S, "id": "17", "lat_rad": here["lat_rad"],
        "lon_rad": here["lon_rad"], "sigma_m": 800.0, "words": "like a moped", "sigma_t_s": 20.0,
    }  # fmt: skip
    return Sighting(**(known | given))


@pytest.fixture(scope="module")
def trails() -> Trails:
    """The drone (1) and an aircraft (2) 30 km further north, flown for 100 s."""
    trails = Trails(64)
    for second in range(100):
        t_us = T0_US + second * S
        north = {**AIRCRAFT, "lat_rad": np.radians(54.52), "speed_mps": 42.0}
        trails.step(*seen([at(t_us, straight(t_us)), at(t_us, straight(t_us, north))], t_us), t_us)
    return trails


def judged(events: list[Event]) -> SightingJudged:
    (one,) = (event for event in events if isinstance(event, SightingJudged))
    return one


def told(
    given: Sighting, trails: Trails, lost: Lost | None = None, sightings: Sightings | None = None
) -> SightingJudged:
    sightings = sightings or Sightings(place)
    sightings.feed(given)
    return judged(sightings.step(trails, lost or Lost(), NOW_US))


def test_a_report_of_a_place_joins_the_track_that_was_there(trails: Trails) -> None:
    answer = told(report(), trails)
    assert (answer.ok, answer.track) == (True, "7:1")
    assert answer.matches[0].probability > 0.9
    assert answer.sighting.words == "like a moped"


def test_a_bearing_joins_the_track_in_that_direction_and_not_the_one_behind(trails: Trails) -> None:
    target = straight(T0_US + 60 * S)
    for from_deg in (0.0, 90.0, 200.0):
        lat, lon, _ = geo.direct_1(target["lat_rad"], target["lon_rad"], math.radians(from_deg), 3_000.0)
        bearing = geo.inverse_1(lat, lon, target["lat_rad"], target["lon_rad"])[1]
        there = {"lat_rad": lat, "lon_rad": lon, "sigma_m": 50.0, "sigma_bearing_rad": 0.1}
        assert told(report(**there, bearing_rad=bearing), trails).track == "7:1"
        assert told(report(**there, bearing_rad=bearing, distance_m=3_000.0, height_m=150.0), trails).track == "7:1"
        assert told(report(**there, bearing_rad=(bearing + math.pi) % math.tau), trails).track == ""


def test_a_report_where_nothing_was_is_a_tentative_object_and_a_second_one_joins_it(trails: Trails) -> None:
    sightings = Sightings(place)
    far = report(lat_rad=np.radians(55.2))
    first = told(far, trails, sightings=sightings)
    assert (first.ok, first.track) == (True, "")
    assert "tentative" in first.detail
    second = told(replace(far, id="18", sensor="G2", t_us=far.t_us + 20 * S), trails, sightings=sightings)
    assert second.track == "sighting G1/17"
    assert second.matches[0].rests_on == "sighting"


def test_a_tentative_object_joins_the_track_that_appears_later() -> None:
    trails, sightings, lost = Trails(8), Sightings(place), Lost()
    sightings.feed(report(t_us=T0_US - 60 * S, rx_us=T0_US, **where(-60)))
    assert judged(sightings.step(trails, lost, T0_US)).track == ""
    events: list[Event] = []
    for second in range(70):
        t_us = T0_US + second * S
        trails.step(*seen([at(t_us, straight(t_us))], t_us), t_us)
        events += sightings.step(trails, lost, t_us)
    assert judged(events).track == "7:1"
    assert sightings.step(trails, lost, T0_US + 200 * S) == []


def where(second: int) -> dict[str, float]:
    here = straight(T0_US)
    lat, lon, _ = geo.direct_1(here["lat_rad"], here["lon_rad"], here["course_rad"] + math.pi, -second * 42.0)
    return {"lat_rad": lat, "lon_rad": lon}


def test_bad_reports_are_refused_with_the_reason(trails: Trails) -> None:
    future = told(report(t_us=NOW_US + 3_600 * S), trails)
    assert not future.ok
    assert future.detail.startswith("future: its time is 3600 s ahead")
    outside = told(report(lat_rad=np.radians(10.0)), trails)
    assert not outside.ok
    assert outside.detail.startswith("outside-area: no state is known there")
    assert told(report(t_us=NOW_US + 4 * S), trails).ok


def test_another_report_with_a_known_id_is_refused_and_takes_nothing_over(trails: Trails) -> None:
    sightings = Sightings(place)
    assert told(report(), trails, sightings=sightings).ok
    other = told(report(found=True), trails, sightings=sightings)
    assert (other.ok, other.track, other.matches) == (False, "", ())
    assert other.detail.startswith("id-used: ")
    assert sightings.refused["id-used"] == 1


def test_a_report_that_comes_again_gets_the_same_answer(trails: Trails) -> None:
    sightings = Sightings(place)
    first = told(report(), trails, sightings=sightings)
    again = told(report(rx_us=NOW_US + S, response_topic="a/b"), Trails(1), sightings=sightings)
    assert (again.track, again.matches, again.sighting.response_topic) == (first.track, first.matches, "a/b")


def test_a_flood_of_reports_is_bounded_and_says_so(trails: Trails) -> None:
    params = SightingParams(most_waiting=10, each_step=2)
    sightings = Sightings(place, params)
    for number in range(15):
        sightings.feed(report(id=str(number), rx_us=NOW_US + number))
    events = sightings.step(trails, Lost(), NOW_US)
    answers = [event for event in events if isinstance(event, SightingJudged)]
    assert [a.sighting.id for a in answers if not a.ok] == ["10", "11", "12", "13", "14"]
    assert sum(a.ok for a in answers) == 2
    assert sightings.refused == {"overload": 5}
    later = [e for k in range(4) for e in sightings.step(trails, Lost(), NOW_US + k)]
    assert [e.sighting.id for e in later if isinstance(e, SightingJudged)] == [str(n) for n in range(2, 10)]


def test_the_order_of_arrival_within_a_step_does_not_matter(trails: Trails) -> None:
    reports = [report(id=str(n), lat_rad=np.radians(55.0 + 0.01 * n)) for n in range(4)]
    answers = []
    for order in (reports, reports[::-1]):
        sightings = Sightings(place)
        for one in order:
            sightings.feed(one)
        answers.append(sightings.step(trails, Lost(), NOW_US))
    assert answers[0] == answers[1]


def test_a_report_of_a_lost_object_moves_its_search_there() -> None:
    lost, trails = Lost(), Trails(8)
    lost_one(INSIDE, before={}, lost=lost)
    t_us = T0_US + 300 * S
    lat, lon, _ = geo.direct_1(np.radians(54.25), np.radians(26.10), math.radians(310.0), 42.0 * 300)
    sightings = Sightings(place)
    sightings.feed(report(lat_rad=lat, lon_rad=lon, t_us=t_us, rx_us=t_us))
    events = sightings.step(trails, lost, t_us)
    assert judged(events).track == "7:1"
    assert judged(events).matches[0].rests_on == "search"
    (area,) = (event.area for event in events if isinstance(event, SearchChanged))
    assert geo.inverse_1(area.lat_rad, area.lon_rad, lat, lon)[0] < 1.0
    assert area.lost_us == t_us
    assert area.why == "dropped; sighting G1/17"


def test_a_find_is_matched_to_past_losses_ranked() -> None:
    """Six objects lost over 60 km; what is found is most probably the one that could come down there."""
    lost = Lost()
    rows = [{**INSIDE, "lat_rad": np.radians(54.0 + 0.1 * i)} for i in range(6)]
    lost.step(*seen([at(T0_US - 30 * S, {**r, **OUT}) for r in rows], T0_US - 30 * S), T0_US - 30 * S)
    lost.step(*seen([at(T0_US, r) for r in rows], T0_US), T0_US)
    lost.ended([(i, "dropped") for i in range(1, 7)], 7, T0_US + S)
    lat, lon, _ = geo.direct_1(np.radians(54.3), np.radians(26.10), math.radians(300.0), 600.0)
    sightings = Sightings(place)
    late_us = T0_US + 4 * 86_400 * S
    sightings.feed(report(lat_rad=lat, lon_rad=lon, sigma_m=20.0, t_us=late_us, rx_us=late_us, found=True))
    answer = judged(sightings.step(Trails(8), lost, late_us))
    assert answer.track == "7:4"
    assert [m.probability for m in answer.matches] == sorted((m.probability for m in answer.matches), reverse=True)
    assert answer.matches[0].away_s == 4 * 86_400


def test_a_find_is_of_no_track_that_nobody_saw_for_ten_seconds() -> None:
    """Two false plots make a track for a moment: its area is wide, and without this every find was most probably it."""

    def matched(seconds: int, alerted: bool, why: str = "dropped") -> tuple[str, float]:
        trails, sightings = Trails(8), Sightings(place)
        for second in range(seconds):
            t_us = T0_US + second * S
            trails.step(*seen([at(t_us, straight(t_us))], t_us), t_us)
        trails.mark([1] * alerted)
        trails.end([(1, why)], 7)
        restored = Trails(8)
        restored.restore(trails.snapshot())
        t_us = T0_US + 90 * S
        sightings.feed(report(**where(60), sigma_m=50.0, t_us=t_us, rx_us=t_us, found=True))
        answer = judged(sightings.step(restored, Lost(), t_us))
        return answer.track, sum(match.probability for match in answer.matches)

    assert matched(5, alerted=False) == ("", 0.0)
    (long, p_long), (short, p_short) = matched(40, alerted=False), matched(5, alerted=True)
    assert (long, short) == ("7:1", "7:1")
    assert min(p_long, p_short) > 0.5
    assert matched(40, alerted=True, why="merged") == ("", 0.0)  # the object flew on under the other number


OUT = {"p_inside": 0.0, "time_to_border_s": np.nan}


def test_a_sure_find_ends_the_search() -> None:
    lost = Lost()
    lost_one(INSIDE, before={}, lost=lost)
    t_us = T0_US + 1_200 * S
    sightings = Sightings(place)
    sightings.feed(report(**where(20), sigma_m=20.0, t_us=t_us, rx_us=t_us, found=True))
    events = sightings.step(Trails(8), lost, t_us)
    assert judged(events).track == "7:1"
    (area,) = (event.area for event in events if isinstance(event, SearchChanged))
    assert area.ended
    assert area.why.startswith("found: sighting G1/17")


def test_finds_of_a_night_are_ranked_well() -> None:
    """Twelve objects lost at once within 50 km: each that is found ranks its own track high."""
    rng = np.random.default_rng(11)
    night = [x for x in losses(66, seed=5) if x.kind in ("gerbera", "shahed", "parodiya") and x.down_s < 900.0][:12]
    lost, moved, searches = Lost(), [], list[Search]()
    for number, loss in enumerate(night):
        lat = loss.last.lat_rad + float(rng.uniform(-0.004, 0.004))
        lon = loss.last.lon_rad + float(rng.uniform(-0.007, 0.007))
        last = replace(loss.last, lat_rad=lat, lon_rad=lon)
        away, azimuth, _ = geo.inverse_1(loss.last.lat_rad, loss.last.lon_rad, *loss.place(loss.down_s))
        moved.append(geo.direct_1(lat, lon, azimuth, away)[:2])
        searches.append(Search(f"7:{number + 1}", last, np.nan, "dropped", T0_US + 3_600 * S, alerted=False))
    lost.restore(lost.snapshot() | {"past": searches})
    ranks = []
    t_us = T0_US + 3_600 * S
    for number, (lat, lon) in enumerate(moved):
        sightings = Sightings(place)
        sightings.feed(report(lat_rad=lat, lon_rad=lon, sigma_m=20.0, t_us=t_us, rx_us=t_us, found=True))
        names = [m.track for m in judged(sightings.step(Trails(8), lost, t_us)).matches]
        ranks.append(names.index(f"7:{number + 1}") if f"7:{number + 1}" in names else 99)
    assert len(ranks) >= 8
    assert np.mean(np.array(ranks) <= 2) >= 0.7


def test_restored_sightings_go_on_as_if_nothing_had_happened(trails: Trails) -> None:
    one, other = Sightings(place), Sightings(place)
    for number in range(7):
        one.feed(report(id=str(number), lat_rad=np.radians(55.0)))
    one.step(trails, Lost(), NOW_US)
    other.restore(one.snapshot())
    for second in range(200):
        t_us = NOW_US + second * S
        assert one.step(trails, Lost(), t_us) == other.step(trails, Lost(), t_us)
