"""Through the whole engine: a report joins the track it is of, and who is lost on the way in is searched for."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

from fusion.cases.record import IncidentChanged, SearchArea, SearchChanged, Sighting, SightingJudged
from fusion.engine import Engine
from fusion.schema import AlertChanged, Event, Met, Picture, Plots, take
from replay.simulate import Scenario
from tests import shipped

SEEN_S = 45
TICK_US = 500_000  # nothing that is asked of afterwards is told more often


LATER_S = 230  # by then nobody has seen the drone for three minutes; the sensors look on
Night = tuple[Engine, list[Event], int, list[Plots]]


@pytest.fixture(scope="module")
def night() -> Night:
    """The drone of July 2025 for 45 s, the time then, and what sensors see afterwards, without the drone."""
    scenario = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    until_us = scenario.start_us + SEEN_S * 1_000_000
    silent = [row for row, thing in enumerate(scenario.plan.objects) if thing.transponder is None]
    before, after = list[Plots](), list[Plots]()
    for batch, owner in scenario.owned():
        if batch.rx_us > scenario.start_us + LATER_S * 1_000_000:
            break
        if batch.rx_us <= until_us:
            before.append(batch)
        else:
            after.append(take(batch, ~np.isin(owner, silent)))
    engine = shipped.engine(scenario.sensors)
    events = [e for _, told in shipped.play(engine, scenario, float(SEEN_S), before) for e in told]
    return engine, events, until_us, after


def go_on(night: Night, until_s: float, *reports: Sighting | Met) -> list[Event]:
    return and_on(night, until_s, *reports)[0]


def and_on(night: Night, until_s: float, *reports: Sighting | Met) -> tuple[list[Event], Engine]:
    """Another engine goes on from there."""
    engine, _, now_us, after = night
    other = Engine(engine.config)
    other.restore(copy.deepcopy(engine.snapshot()))
    for report in reports:
        other.feed(report)
    told, waiting = list[Event](), list(after)
    for tick_us in range(now_us + TICK_US, now_us + round((until_s - SEEN_S) * 1e6) + 1, TICK_US):
        while waiting and waiting[0].rx_us <= tick_us:
            other.feed(waiting.pop(0))
        told += other.tick(tick_us)
    assert other.counters.balance() == 0
    return told, other


def report(night: Night, after_s: float = 0.0) -> Sighting:
    """A person saw the drone where the picture has it."""
    _, events, now_us, _ = night
    shown = [e for e in events if isinstance(e, Picture) and e.full and len(e.tracks)][-1]
    alerted = next(e.alert.track for e in events if isinstance(e, AlertChanged))
    row = [shown.tracks.name(row) for row in range(len(shown.tracks))].index(alerted)
    place = float(shown.assessment.lat_rad[row]), float(shown.assessment.lon_rad[row])
    return Sighting("G1", now_us, shown.t_us + round(after_s * 1e6), "17", *place, sigma_m=500.0, sigma_t_s=10.0)


def test_a_report_joins_its_track_and_is_cited_by_the_incident(night: Night) -> None:
    told = go_on(night, SEEN_S + 8.0, report(night))
    (answer,) = (e for e in told if isinstance(e, SightingJudged))
    assert answer.ok
    incidents = [e.incident for e in told if isinstance(e, IncidentChanged)]
    assert any("G1/17" in i.sightings and answer.track in [m.track for m in i.members] for i in incidents)


def test_every_report_is_counted_once_as_what_became_of_it(night: Night) -> None:
    seen = report(night)
    given = (
        seen,
        seen,
        replace(seen, words="another"),
        replace(report(night, after_s=600.0), id="3"),
        replace(seen, id="2", lat_rad=0.1),
    )
    told, engine = and_on(night, SEEN_S + 2.0, *given)
    _, without = and_on(night, SEEN_S + 2.0)
    assert [e.ok for e in told if isinstance(e, SightingJudged)].count(True) == 2
    counts, base = engine.counters, without.counters
    assert (counts.used - base.used, counts.duplicate - base.duplicate) == (1, 1)
    assert counts.rejected == {"id-used": 1, "future": 1, "outside-area": 1}
    assert counts.received - base.received == len(given)


def test_an_incident_brings_where_its_object_had_been(night: Night) -> None:
    _, events, _, _ = night
    raised = next(e for e in events if isinstance(e, IncidentChanged))
    ((track, points),) = raised.before
    assert track == raised.incident.members[0].track
    times = [point[0] for point in points]
    assert times == sorted(times)
    assert len(points) >= 2
    assert raised.incident.members[0].first_plot_us <= times[0] < times[-1] <= raised.incident.raised_us
    later = [e.before for e in events if isinstance(e, IncidentChanged) and e.incident.change == "updated"]
    assert later and not any(later)


def test_a_report_of_what_is_to_come_is_counted_and_answered(night: Night) -> None:
    told = go_on(night, SEEN_S + 2.0, report(night, after_s=600.0))
    (answer,) = (e for e in told if isinstance(e, SightingJudged))
    assert not answer.ok
    assert answer.detail.startswith("future")


def searched(told: list[Event]) -> list[SearchArea]:
    return [e.area for e in told if isinstance(e, SearchChanged)]


def test_who_is_lost_on_the_way_in_is_searched_for(night: Night) -> None:
    now_us = night[2]
    wind = Met("R1", now_us, now_us, 1_010.0, (6.0, 0.0))
    told = go_on(night, LATER_S, wind)
    areas = searched(told)
    assert len(areas) >= 2
    first, later = areas[0], areas[-1]
    assert first.contours[-1].area_m2 < later.contours[-1].area_m2
    assert now_us - 15_000_000 <= first.lost_us <= now_us
    assert (first.states, later.states) == (("BY",), ("BY", "LT"))  # 5.3 km from the border when it was lost
    assert later.assumed[-1] == "wind 6 m/s from 270 deg, reported by R1"
    lost = [e.incident for e in told if isinstance(e, IncidentChanged) and e.incident.change == "lost"]
    assert any(first.track in [m.track for m in i.members] for i in lost)
    assert areas == searched(go_on(night, LATER_S, wind))
