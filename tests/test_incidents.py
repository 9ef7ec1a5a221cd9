"""One object is one incident over its life, a swarm is one, two directions are two; persons and the clock."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.cases.casefile import CHANGES, MAX_ALERTS, clock
from fusion.cases.record import Incident, PassageKind
from fusion.incidents import UPDATE_US, IncidentParams, track_key
from tests.airpicture import T0_US, S
from tests.incidentnight import AWAY, INSIDE, Night, Row, area, beside, changes, passage, report

ONE: dict[int, Row] = {1: {}}


def begun(night: Night, rows: dict[int, Row] | None = None) -> Incident:
    """Run until the first incident is raised."""
    return night.run(6.0, ONE if rows is None else rows)[0]


def test_the_first_alert_raises_an_incident_that_says_the_same() -> None:
    night = Night(simulated=True)
    raised = begun(night)
    (alert,) = [alert for alert in night.alerts if alert.state == "raised"]
    assert raised.id == hashlib.sha256(f"incident|{alert.id}".encode()).hexdigest()[:16]
    assert (raised.number, raised.change, raised.state, raised.severity) == (1, "raised", "open", 2)
    assert (raised.raised_us, raised.near_state, raised.simulated) == (alert.raised_us, "LT", True)
    assert (raised.title, raised.sentence) == ("Simulated: Object near Lithuania", alert.sentence)
    assert (raised.severity_reason, raised.recipients) == ("2: low-slow-near", ("air-surveillance",))
    (member,) = raised.members
    assert (member.track, member.alerts, member.state) == ("7:1", (alert.id,), "in sight")
    assert (member.first_plot_us, member.confirmed_us, member.alert_us) == (T0_US - 20 * S, T0_US - 10 * S, alert.t_us)
    assert np.degrees(member.lat_rad) == pytest.approx(54.25)


def test_updates_come_every_five_seconds_and_only_with_something_new() -> None:
    night = Night()
    begun(night)
    said = night.run(60.0, ONE)
    assert {item.change for item in said} == {"updated"}
    assert len(said) == 12
    assert np.diff([item.t_us for item in said]).min() >= UPDATE_US
    assert [item.number for item in night.said] == list(range(1, 14))
    stale = {1: {"update_us": night.now_us}}
    night.run(10.0, stale)
    assert night.run(30.0, stale) == []


def test_an_object_stays_one_incident_whatever_rules_it_touches() -> None:
    night = Night()
    first = begun(night)
    said = night.run(30.0, {1: INSIDE})
    (worse,) = [item for item in said if item.change == "severity"]
    assert (worse.id, worse.severity, worse.worst) == (first.id, 1, 1)
    assert worse.severity_reason == "1 (was 2): low-slow-inside took over from low-slow-near"
    assert worse.title == "Object inside Lithuania"
    said = night.run(60.0, ONE)
    (milder,) = [item for item in said if item.change == "severity"]
    assert (milder.severity, milder.worst) == (2, 1)
    assert milder.severity_reason == "2 (was 1): low-slow-near took over from low-slow-inside"
    assert len(milder.members[0].alerts) == 3
    assert changes(night.said) == ["raised", "severity", "severity"]
    assert {item.id for item in night.said} == {first.id}


def test_a_gap_shorter_than_the_hold_is_the_same_incident_and_a_longer_one_closes_it() -> None:
    night = Night()
    first = begun(night)
    night.run(250.0, {1: AWAY})
    night.run(20.0, ONE)
    assert changes(night.said) == ["raised"]
    assert len(night.said[-1].members[0].alerts) == 2
    said = night.run(330.0, {1: AWAY})
    assert changes(said) == ["closed"]
    assert (said[-1].id, said[-1].state, said[-1].severity) == (first.id, "closed", 2)
    assert said[-1].close_reason == "no alert open for 300 s"
    closed_us = max(alert.t_us for alert in night.alerts if alert.state == "closed")
    assert said[-1].t_us - closed_us == 300 * S
    assert night.incidents.open_incidents() == []


def test_an_object_that_alerts_again_reopens_its_incident() -> None:
    night = Night()
    first = begun(night)
    night.say("acknowledge", first.id)
    night.run(330.0, {1: AWAY})
    (again,) = night.run(6.0, ONE)
    assert (again.change, again.id, again.state) == ("reopened", first.id, "open")
    assert (again.acknowledged_by, again.close_reason, again.reopened_us) == ("", "", night.now_us - S // 2)
    assert (clock(again).alert_us, clock(again).called_us) == (clock(first).alert_us, again.reopened_us)
    night.run(330.0, {1: AWAY})
    night.run(1.0, {}, dropped=[(1, "left coverage")])
    assert night.incidents.incident_of("7:1") == "", "what is over and gone is forgotten"


def test_a_swarm_is_one_incident_and_two_directions_are_two() -> None:
    """Twenty objects in two groups that cross: both within 10 km of each other, one flies to 300, one to 20 degrees."""
    west = {i: beside(400.0 * i, 150.0 * i) for i in range(1, 11)}
    north = {i: beside(400.0 * i, -300.0 * i, course_rad=np.radians(20.0)) for i in range(11, 21)}
    night = Night()
    said = night.run(8.0, {**west, **north})
    assert sorted(Counter(item.id for item in said if item.change in ("raised", "joined")).values()) == [2, 2]
    groups = sorted([member.track for member in item.members] for item in night.incidents.open_incidents())
    assert groups == [[f"7:{i}" for i in range(1, 11)], [f"7:{i}" for i in range(11, 21)]]
    one = night.incidents.open_incidents()[0]
    assert one.title == "10 objects near Lithuania"
    assert one.sentence.startswith("One of 10 objects: Slow, low object, unknown, ")


def test_one_that_joins_later_and_is_worse_says_so() -> None:
    night = Night()
    first = begun(night)
    said = night.run(8.0, {1: {}, 2: beside(3_000.0, **INSIDE)})
    assert changes(said) == ["joined", "severity"]
    assert {item.id for item in said} == {first.id}
    assert [member.track for member in said[0].members] == ["7:1", "7:2"]
    assert said[1].severity_reason == "1 (was 2): low-slow-inside of 7:2"
    said = night.run(40.0, {1: {}, 2: beside(3_000.0, **AWAY)})
    (milder,) = [item for item in said if item.change == "severity"]
    assert milder.severity_reason == "2 (was 1): low-slow-inside of 7:2 is closed, low-slow-near of 7:1 is open"


def test_acknowledging_an_incident_acknowledges_its_open_alerts_once() -> None:
    night = Night()
    rows: dict[int, Row] = {1: {}, 2: beside(2_000.0)}
    first = begun(night, rows)
    answer, said = night.say("acknowledge", first.id)
    assert (answer.ok, answer.detail) == (True, "acknowledged")
    assert changes(said) == ["acknowledged"]
    assert (said[0].state, said[0].acknowledged_by, said[0].acknowledged_us) == (
        "acknowledged", "Lt Jonaitis", night.now_us,
    )  # fmt: skip
    assert [alert.acknowledged_by for alert in night.watch.open_alerts()] == ["Lt Jonaitis"] * 2
    night.run(30.0, {**rows, 3: beside(4_000.0)})
    assert [alert.acknowledged_by for alert in night.watch.open_alerts()] == ["Lt Jonaitis"] * 2 + [""]
    answer, said = night.say("acknowledge", first.id, operator="Capt Ozols")
    assert answer.detail == "already acknowledged by Lt Jonaitis; 1 further alerts acknowledged"
    assert night.incidents.open_incidents()[0].acknowledged_by == "Lt Jonaitis"
    assert changes(night.said).count("acknowledged") == 1


def test_an_incident_is_acknowledged_when_all_its_alerts_are() -> None:
    night = Night()
    begun(night, {1: {}, 2: beside(2_000.0)})
    one, two = night.watch.open_alerts()
    assert changes(night.say("acknowledge", one.id, alert=True)[1]) == []
    (said,) = night.say("acknowledge", two.id, alert=True, operator="Capt Ozols")[1]
    assert (said.change, said.state, said.acknowledged_by) == ("acknowledged", "acknowledged", "Capt Ozols")


def test_what_a_person_said_of_an_object_outlives_updates_and_alerts() -> None:
    night = Night()
    first = begun(night)
    answer, (said,) = night.say("identify", first.id, identity="neutral", reason="a known farmer's drone")
    assert (answer.detail, said.change) == ("identified as neutral", "identified")
    assert (said.identity, said.identity_by, said.identity_reason) == (
        "neutral", "Lt Jonaitis", "a known farmer's drone",
    )  # fmt: skip
    assert night.say("identify", first.id, identity="neutral", reason="a known farmer's drone")[1] == []
    night.run(20.0, {1: INSIDE})
    assert [alert.identity for alert in night.watch.open_alerts()] == ["neutral"]
    night.run(60.0, {1: AWAY})
    answer, _ = night.say("identify", first.id, identity="suspect")
    assert answer.ok
    night.run(10.0, ONE)
    assert [alert.identity for alert in night.watch.open_alerts()] == ["suspect"], "said while no alert was open"
    assert night.said[-1].identity == "suspect"


def test_an_identity_does_not_spread_to_one_that_joins() -> None:
    night = Night()
    first = begun(night)
    night.say("identify", first.id, identity="friend", reason="called by radio")
    (joined,) = [i for i in night.run(8.0, {1: {}, 2: beside(2_000.0)}) if i.change == "joined"]
    assert (joined.identity, joined.identity_by) == ("unknown", "")
    assert [member.identity for member in joined.members] == ["friend", "unknown"]
    night.say("identify", night.watch.open_alerts()[1].id, alert=True, identity="neutral")
    assert [member.identity for member in night.say("acknowledge", first.id)[1][0].members] == ["friend", "neutral"]
    (said,) = night.say("identify", first.id, identity="suspect")[1]
    assert (said.identity, [member.identity for member in said.members]) == ("suspect", ["suspect"] * 2)


def test_handing_over_and_the_word_of_the_neighbour() -> None:
    night = Night()
    first = begun(night)
    assert night.say("take", first.id)[0].detail == "not handed over to anybody"
    answer, said = night.say("hand-over", first.id, to="LV", reason="flies to Latvia")
    assert (answer.detail, changes(said)) == ("handed over to LV", ["acknowledged", "handed-over"])
    handed = said[-1]
    assert (handed.state, handed.handed_to, handed.handed_by) == ("handed-over", "LV", "Lt Jonaitis")
    assert (handed.handed_reason, handed.handed_us) == ("flies to Latvia", night.now_us)
    night.run(7.0, ONE)
    assert night.say("take", first.id, operator="Capt Ozols", to="EE")[0].detail == "handed over to LV, not to EE"
    answer, (taken,) = night.say("take", first.id, operator="Capt Ozols", to="LV")
    assert (answer.detail, taken.change, taken.state) == ("taken from Lt Jonaitis", "taken", "handed-over")
    assert (taken.taken_by, taken.taken_us - taken.acknowledged_us) == ("Capt Ozols", 7 * S)
    assert night.say("take", first.id)[0].detail == "already taken by Capt Ozols"
    told = clock(taken)
    times = [told.first_plot_us, told.confirmed_us, told.alert_us, told.acknowledged_us, told.taken_us]
    assert (np.diff(times) / S).tolist() == [10.0, 15.5, 0.5, 7.0]


def test_closing_closes_every_alert_and_only_a_more_severe_rule_reopens() -> None:
    night = Night()
    rows: dict[int, Row] = {1: {}, 2: beside(2_000.0)}
    first = begun(night, rows)
    answer, (said,) = night.say("close", first.id, reason="an exercise")
    assert (answer.detail, said.state, said.close_reason) == ("closed", "closed", "closed by Lt Jonaitis: an exercise")
    assert night.watch.open_alerts() == []
    assert night.run(60.0, rows) == [], "the same rules are silenced"
    assert night.say("acknowledge", first.id)[0].detail == f"no open incident '{first.id}'"
    (again, worse) = night.run(6.0, {**rows, 2: beside(2_000.0, **INSIDE)})
    assert (again.change, worse.change, worse.id, worse.severity) == ("reopened", "severity", first.id, 1)


def test_refused_commands_change_nothing() -> None:
    night = Night()
    first = begun(night)
    before = night.incidents.snapshot()
    assert night.say("close", first.id, reason="")[0].detail == "closing needs a reason"
    assert night.say("close", "0123456789abcdef")[0].detail == "no open incident '0123456789abcdef'"
    assert night.say("close", "0123456789abcdef", alert=True)[0].detail == "no open alert '0123456789abcdef'"
    assert night.incidents.snapshot() == before


def test_lost_then_sought_then_found() -> None:
    night = Night()
    begun(night)
    said = night.run(1.0, {}, dropped=[(1, "left coverage")], areas=[area("7:1", 1, night.now_us)])
    assert changes(said) == ["lost"]
    assert said[0].members[0].state == "left coverage"
    growing = [area("7:1", n, night.now_us) for n in (2, 3)]
    assert changes(night.run(600.0, {}, areas=growing)) == [], "the search keeps it open"
    said = night.run(1.0, {}, areas=[area("7:1", 4, night.now_us, "seen again as 7:9", ended=True)])
    assert changes(said) == ["found", "closed"]
    assert said[0].members[0].state == "seen again as 7:9"


def test_a_search_given_up_finds_nothing() -> None:
    night = Night()
    begun(night)
    night.run(1.0, {}, areas=[area("7:1", 1, night.now_us)], dropped=[(1, "dropped")])
    assert changes(night.run(1.0, {}, areas=[area("7:1", 2, night.now_us, "given up", ended=True)])) == []
    assert changes(night.said) == ["raised", "lost"]


def test_a_track_that_was_merged_is_not_lost() -> None:
    night = Night()
    begun(night)
    said = night.run(8.0, {2: {}}, dropped=[(1, "merged")])
    assert changes(said) == ["joined"]
    assert [(member.track, member.state) for member in said[-1].members] == [("7:1", "merged"), ("7:2", "in sight")]


def test_reports_are_cited_once_and_a_find_is_told() -> None:
    night = Night()
    begun(night)
    night.run(6.0, ONE, sightings=[report("7:1"), report("7:1")])
    assert night.said[-1].sightings == ("G1/17",)
    said = night.run(1.0, {}, sightings=[report("7:1", found=True)], dropped=[(1, "dropped")])
    assert changes(said) == ["lost", "found"]
    assert night.run(6.0, ONE, sightings=[report("7:77")])[-1].sightings == ("G1/17",)


def test_states_are_those_passed_before_and_after_the_alert_in_order_of_time() -> None:
    night = Night()
    night.passages = [passage("7:1", 1, PassageKind.FIRST, "BY", T0_US - 19 * S)]
    assert begun(night).states == ("BY",)
    over = T0_US + 7 * S
    entries = [
        passage("7:1", 2, PassageKind.EXIT, "BY", over, "LT"),
        passage("7:1", 3, PassageKind.ENTER, "LT", over, "BY"),
        passage("7:1", 4, PassageKind.SEAM, "LT", over + S, "PL"),
        passage("7:1", 5, PassageKind.EXIT, "LT", over + 2 * S, ""),
        passage("7:1", 6, PassageKind.RE_ENTER, "LT", over + 3 * S, ""),
        passage("7:8", 1, PassageKind.FIRST, "PL", over),
    ]
    night.run(6.0, ONE, passages=entries)
    told = night.said[-1]
    assert (told.states, told.members[0].states) == (("BY", "LT"), ("BY", "LT", "", "LT"))


def test_full_incidents_begin_another_and_are_counted() -> None:
    night = Night(IncidentParams(max_members=3))
    night.run(8.0, {i: beside(200.0 * i) for i in range(1, 8)})
    assert [len(item.members) for item in night.incidents.open_incidents()] == [3, 3, 1]
    assert night.incidents.overflowed == 2


def test_without_room_the_quiet_one_goes_by_name_and_a_living_one_never() -> None:
    night = Night(IncidentParams(max_open=2))
    far = {i: beside(30_000.0 * i) for i in range(1, 5)}
    night.run(8.0, {1: far[1], 2: far[2]})
    night.run(8.0, {1: far[1], 2: far[2], 3: far[3]})
    assert night.incidents.refused > 0
    assert [item.members[0].track for item in night.incidents.open_incidents()] == ["7:1", "7:2"]
    said = night.run(40.0, {1: {**far[1], **AWAY}, 2: far[2], 3: far[3]})
    closed = next(item for item in said if item.change == "closed")
    assert (closed.members[0].track, closed.close_reason) == ("7:1", "displaced: 2 incidents are open")
    assert [item.members[0].track for item in night.incidents.open_incidents()] == ["7:2", "7:3"]


def test_tracks_numbered_anew_are_other_objects() -> None:
    night = Night()
    first = begun(night)
    assert changes(night.run(8.0, ONE, epoch=8)) == ["joined"], "the same place and way: the same incident"
    members = [(member.track, member.state) for member in night.said[-1].members]
    assert members == [("7:1", "tracks were numbered anew"), ("8:1", "in sight")]
    assert night.said[-1].id == first.id


def test_an_object_that_never_rests_keeps_a_bounded_list_of_alerts() -> None:
    night = Night()
    begun(night)
    case = next(iter(night.incidents._cases.values()))
    (alert,) = [alert for alert in night.alerts if alert.state == "raised"]
    for n in range(MAX_ALERTS + 5):
        case.objects[0].alerts.append(f"{n:016x}")
    case.objects[0].alerts[:] = case.objects[0].alerts[:MAX_ALERTS]
    case.objects[0].note_alert(night.watch.open_alerts()[0])
    assert len(case.objects[0].alerts) == MAX_ALERTS
    assert case.objects[0].alerts[0] == alert.id


# --- the same, whatever the order and wherever it is cut ---


def busy_night(shuffle: int | None = None, cuts: frozenset[int] = frozenset()) -> Night:
    """Three dozen objects that come and go in three groups, with everything that can happen to an incident."""
    night = Night(shuffle=shuffle)
    swarm = {i: beside(300.0 * i, 200.0 * (i % 3)) for i in range(1, 13)}
    others = {i: beside(-60_000.0 + 400.0 * i, course_rad=np.radians(30.0)) for i in range(21, 33)}
    worse = {i: {**swarm[i], **INSIDE} for i in swarm}
    acts: list[Callable[[], object]] = [
        lambda: night.run(7.0, swarm),
        lambda: night.run(9.0, {**swarm, **others}, sightings=[report(f"7:{i}") for i in (3, 2, 1)]),
        lambda: night.say("acknowledge", night.incidents.open_incidents()[0].id),
        lambda: night.run(9.0, {**worse, **others}, areas=[area("7:25", 1, T0_US), area("7:26", 1, T0_US)]),
        lambda: night.say("hand-over", night.incidents.open_incidents()[-1].id, to="LV"),
        lambda: night.run(5.0, others, dropped=[(i, "left coverage") for i in swarm]),
        lambda: night.run(330.0, {}, dropped=[(i, "dropped") for i in others]),
        lambda: night.run(7.0, {40: {}, 41: beside(100.0)}),
    ]
    for i, act in enumerate(acts):
        if i in cuts:
            night.restart()
        act()
    return night


@cache
def whole() -> Night:
    return busy_night()


def test_the_busy_night_has_everything_in_it() -> None:
    assert {*changes(whole().said)} >= {"raised", "joined", "severity", "acknowledged", "handed-over", "lost", "closed"}
    assert len({item.id for item in whole().said}) == 3
    assert {*changes(whole().said)} <= {*CHANGES}


@settings(max_examples=3, deadline=None)  # of a night of three seconds; the soak takes many times as many
@given(st.integers(0, 2**32 - 1), st.frozensets(st.integers(0, 7)))
def test_shuffled_within_a_look_and_cut_anywhere_it_is_the_same_night(seed: int, cuts: frozenset[int]) -> None:
    other = busy_night(seed, cuts)
    assert [asdict(item) for item in other.said] == [asdict(item) for item in whole().said]


def test_tracks_are_in_order_of_number_and_not_of_text() -> None:
    assert sorted(["7:10", "7:9", "10:1"], key=track_key) == ["7:9", "7:10", "10:1"]
