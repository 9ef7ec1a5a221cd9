"""The life of an alert: when it is raised, by which rule, under which id, what keeps it open and what ends it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.files import rulefile
from fusion.identity import assess
from fusion.redlines.alerts import UPDATE_US, Watch, alert_from
from fusion.rules import Condition, Rule, RuleSet
from fusion.schema import Alert, Answer, Command, ObjectClass, TrackStatus
from tests.airpicture import AIRCRAFT, CODES, NAMES, SENSOR_IDS, SENSORS, T0_US, S, at, picture
from tests.states import bits, kept

RULES = rulefile.load(Path(__file__).parent.parent / "config" / "rules.toml")
TICK_US = S // 5
INSIDE = {"distance_m": -4_000.0, "p_inside": 1.0, "state": 0, "time_to_border_s": np.nan}
DEEP = {**INSIDE, "distance_m": -40_000.0}
Row = Mapping[str, Any]


class Night:
    """A watch and its clock: `run` looks at a picture every 200 ms, with a fresh plot each second."""

    def __init__(self, rules: RuleSet = RULES, max_open: int = 1_000, simulated: bool = False) -> None:
        self.rules = rules
        self.watch = Watch(rules, CODES, NAMES, SENSOR_IDS, simulated, max_open)
        self.now_us = T0_US
        self.crowd: Sequence[int] | None = None  # of each row, as crowds.py numbers them
        self.named: tuple[ObjectClass, float] | None = None  # what the classes would say after a minute of flight

    def run(self, seconds: float, rows: Sequence[Row], ids: Sequence[int] | None = None, epoch: int = 7) -> list[Alert]:
        found: list[Alert] = []
        for _ in range(round(seconds * 5)):
            self.now_us += TICK_US
            seen_us = self.now_us // S * S
            fresh = [at(seen_us, row) for row in rows]
            tracks, facts = picture(fresh, self.now_us, ids, epoch)
            assessment = assess(tracks, facts, self.rules.words, SENSORS)
            if self.named is not None:
                kind, p_class = (np.full(len(rows), value) for value in self.named)
                assessment = replace(assessment, object_class=kind.astype(np.int8), p_class=p_class)
            crowd = None if self.crowd is None else np.array(self.crowd, np.int64)
            found += self.watch.step(tracks, assessment, self.now_us, crowd=crowd)
        return found

    def say(self, verb: str, alert: Alert, **more: str) -> tuple[Answer, list[Alert]]:
        plain = Command(self.now_us, verb, alert.id, "Lt Jonaitis", "seen by patrol")
        command = replace(plain, **more)  # type: ignore[arg-type]
        return self.watch.command(command, self.now_us)


def brief(alerts: Sequence[Alert]) -> list[tuple[str, str]]:
    return [(alert.rule, alert.state) for alert in alerts]


def one_rule(**changed: Any) -> RuleSet:
    fast = {"id": "fast", "version": 3, "severity": 2, "title": "", "when": (Condition("speed", ">=", 30.0),)}
    return RuleSet((Rule(**{**fast, **changed}),))


def test_drone_near_the_border_is_raised_after_the_dwell_and_said_in_one_sentence() -> None:
    night = Night()
    night.named = ObjectClass.FIXED_WING_DRONE, 0.86
    assert night.run(5.0, [{}]) == []
    (alert,) = night.run(0.4, [{}])
    assert (alert.rule, alert.severity, alert.state, alert.track) == ("low-slow-near", 2, "raised", "7:1")
    assert alert.raised_us == alert.t_us == T0_US + 5 * S + TICK_US
    assert alert.sentence == (
        "Slow, low object, unknown, probably a fixed-wing drone, 23 km outside Lithuania over Belarus, "
        "course 300 degrees at 42 m/s, 150 m above ground (plus or minus 60), "
        "predicted to cross in 3 min 10 s (plus or minus 20 s); seen by R1 and R2."
    )
    assert (alert.overflown, alert.near_state, alert.sensors) == ("BY", "LT", ("R1", "R2"))
    assert alert.recipients == ("air-surveillance",)
    assert (alert.identity, alert.identity_by, alert.simulated, alert.delayed) == ("unknown", "", False, False)
    assert alert.clears.startswith("closes when not all of this holds for 20 s: probability_slow >= 0.5; ")


def test_alert_tells_its_numbers_with_uncertainty_and_limit() -> None:
    night = Night()
    night.named = ObjectClass.FIXED_WING_DRONE, 0.86
    (alert,) = night.run(5.4, [{}])
    told = {quantity.name: quantity for quantity in alert.quantities}
    assert len(told) == len(alert.quantities)
    assert (told["speed_mps"].value, told["speed_mps"].sigma) == (42.0, 3.0)
    assert told["speed_mps"].condition == "<= 80 with p >= 0.8"
    assert told["height_above_ground_m"].condition == "<= 1000 with p >= 0.5"
    assert (told["distance_m"].value, told["distance_m"].condition) == (23_000.0, "<= 30000, outside")
    assert (told["exempt"].value, told["exempt"].condition) == (False, "is false")
    assert (told["existence"].value, told["existence"].condition) == (0.99, ">= 0.9")
    assert (told["time_to_border_s"].value, told["time_to_border_s"].sigma) == (190.0, 20.0)
    assert (told["class"].value, told["class_probability"].value) == ("fixed-wing-drone", 0.86)


def test_alert_of_an_object_that_may_be_anything_names_no_class() -> None:
    (alert,) = Night().run(5.4, [{}])
    assert not {"class", "class_probability"} & {quantity.name for quantity in alert.quantities}
    assert "unknown, 23 km" in alert.sentence


def test_id_is_the_stated_hash_and_the_same_in_every_run() -> None:
    (alert,) = Night().run(5.4, [{}])
    key = f"low-slow-near|{alert.rule_version}|{T0_US - 20 * S}|7:1|1"
    assert alert.id == hashlib.sha256(key.encode()).hexdigest()[:16]
    assert Night(simulated=True).run(5.4, [{}])[0].id == alert.id


@pytest.mark.parametrize(
    "name, row",
    [
        ("cooperative", AIRCRAFT),
        ("perhaps clutter", {"existence": 0.89}),
        ("tentative", {"status": TrackStatus.TENTATIVE}),
        ("far away", {"distance_m": 31_000.0}),
        ("fast, still outside", {"speed_mps": 200.0}),
        ("never out", DEEP),
        ("nowhere", {"distance_m": np.nan, "p_inside": np.nan, "near_state": -1}),
    ],
)
def test_no_alert(name: str, row: Row) -> None:
    assert Night().run(30.0, [row]) == [], name


@pytest.mark.parametrize(
    "row, rule",
    [
        (INSIDE, "low-slow-inside"),
        ({**INSIDE, "speed_mps": 222.0}, "incursion"),
        ({"height_known": False}, "low-slow-unknown-height"),
        ({"agl_m": 5_000.0}, "slow-high"),
        ({"status": TrackStatus.COASTING}, "low-slow-near"),
        ({"disputed": True}, "low-slow-near"),
        ({**AIRCRAFT, "radar_us": -1, "sensors": 1, "unseen": -9.0}, "low-slow-near"),
    ],
)
def test_one_object_one_alert_by_the_most_severe_rule(row: Row, rule: str) -> None:
    raised = [alert for alert in Night().run(30.0, [row]) if alert.state == "raised"]
    assert [alert.rule for alert in raised] == [rule]
    assert raised[0].disputed == bool(row.get("disputed", False))


def test_contradicted_claim_says_why_it_is_not_believed() -> None:
    (alert,) = Night().run(5.4, [{**AIRCRAFT, "radar_us": -1, "sensors": 1, "unseen": -9.0}])
    assert "contradicted because radar that covers the place does not see it" in alert.sentence
    assert alert.quantities[-1].name == "own_report"


def test_break_in_the_dwell_starts_it_anew() -> None:
    night = Night()
    assert night.run(4.8, [{}]) + night.run(0.2, [{"speed_mps": 200.0}]) + night.run(5.0, [{}]) == []
    assert brief(night.run(0.4, [{}])) == [("low-slow-near", "raised")]


def test_flicker_shorter_than_the_hold_does_not_close_and_looser_limits_keep_it_open() -> None:
    night = Night()
    night.run(6.0, [{}])
    gone = {"distance_m": 40_000.0}
    for _ in range(4):
        assert all(state == "updated" for _, state in brief(night.run(19.0, [gone]) + night.run(1.0, [{}])))
    loose = {"distance_m": 32_900.0, "speed_mps": 78.0}
    assert all(state == "updated" for _, state in brief(night.run(60.0, [loose])))
    closed = [alert for alert in night.run(25.0, [gone]) if alert.state == "closed"]
    assert len(closed) == 1
    assert closed[0].close_reason == "no longer: distance <= 33 km"
    assert closed[0].t_us - night.now_us <= 0
    assert night.watch.open_alerts() == []


def test_new_episode_gets_a_new_id() -> None:
    night = Night()
    (first,) = night.run(5.4, [{}])
    night.run(25.0, [{"distance_m": 40_000.0}])
    (second,) = [alert for alert in night.run(6.0, [{}]) if alert.state == "raised"]
    assert (first.episode, second.episode) == (1, 2)
    assert first.id != second.id


def test_crossing_is_told_once_and_the_old_alert_names_the_new_one() -> None:
    night = Night()
    (near,) = night.run(5.4, [{}])
    changed = [alert for alert in night.run(60.0, [INSIDE]) if alert.state != "updated"]
    assert brief(changed) == [("low-slow-near", "closed"), ("low-slow-inside", "raised")]
    assert changed[0].id == near.id
    assert changed[0].close_reason == "superseded by low-slow-inside"
    assert changed[0].t_us == changed[1].t_us
    assert len(night.watch.open_alerts()) == 1
    back = [alert for alert in night.run(60.0, [{}]) if alert.state != "updated"]
    assert brief(back) == [("low-slow-inside", "closed"), ("low-slow-near", "raised")]


def test_equal_severity_takes_over_only_when_the_open_one_no_longer_holds() -> None:
    night = Night()
    night.run(6.0, [{}])
    changed = [alert for alert in night.run(10.0, [{**INSIDE, "speed_mps": 222.0}]) if alert.state != "updated"]
    assert brief(changed) == [("low-slow-near", "closed"), ("incursion", "raised")]
    assert changed[1].t_us - T0_US < 11 * S


def test_milder_rule_waits_until_the_open_alert_is_closed() -> None:
    mild = Rule("mild", 1, 3, "", (Condition("speed", ">=", 20.0),))
    rules = RuleSet((mild, *one_rule(severity=1).rules))
    night = Night(rules)
    assert brief(night.run(1.0, [{}])) == [("fast", "raised")]
    changed = [alert for alert in night.run(30.0, [{"speed_mps": 25.0}]) if alert.state != "updated"]
    assert brief(changed) == [("fast", "closed"), ("mild", "raised")]


def test_object_that_left_and_came_back_is_inside() -> None:
    """Seen only inside it is exempt; once it was clearly outside near the border it is not any more."""
    night = Night()
    assert night.run(30.0, [DEEP]) == []
    assert night.run(2.0, [{"distance_m": 500.0, "p_inside": 0.3}]) == [], "noise at the border is no departure"
    assert night.run(30.0, [DEEP]) == []
    night.run(2.0, [{"distance_m": 2_000.0}])
    assert brief(night.run(4.0, [DEEP])) == [("low-slow-inside", "raised")]


@pytest.mark.parametrize("depth_m, expected", [(9_000.0, ["low-slow-inside"]), (11_000.0, [])])
def test_first_seen_just_inside_may_have_come_over_the_border_unseen(depth_m: float, expected: list[str]) -> None:
    raised = Night().run(6.0, [{**INSIDE, "distance_m": -depth_m}])
    assert [alert.rule for alert in raised if alert.state == "raised"] == expected


def test_object_that_flew_in_from_an_ally_did_not_come_over_the_border() -> None:
    night = Night()
    night.run(5.0, [{"distance_m": 200_000.0}])
    assert night.run(30.0, [DEEP]) == []


def test_open_alert_is_updated_at_most_every_five_seconds_and_only_by_new_plots() -> None:
    night = Night()
    night.run(5.4, [{}])
    updates = night.run(60.0, [{"speed_mps": 50.0}])
    times = [alert.t_us for alert in updates]
    assert all(alert.state == "updated" for alert in updates)
    assert 10 <= len(updates) <= 12
    assert min(np.diff(times)) >= UPDATE_US
    assert "at 50 m/s" in updates[0].sentence
    silent = {"update_us": night.now_us // S * S}
    assert len(night.run(30.0, [silent])) <= 1


def test_ended_track_closes_its_alert_with_the_reason_and_is_forgotten() -> None:
    night = Night()
    night.run(6.0, [{}, {}])
    closed = night.watch.ended([(2, "left coverage"), (99, "dropped")], 7, night.now_us)
    assert brief(closed) == [("low-slow-near", "closed")]
    assert (closed[0].track, closed[0].close_reason) == ("7:2", "track ended: left coverage")
    assert night.watch.ended([(1, "dropped")], 6, night.now_us) == [], "a number of another epoch"
    assert [alert.track for alert in night.watch.open_alerts()] == ["7:1"]
    assert night.watch.snapshot()["dwell"]["id"].tolist() == [1]


def test_track_that_leaves_the_table_without_a_word_closes_after_the_hold_and_is_forgotten() -> None:
    night = Night()
    night.run(6.0, [{}])
    assert night.run(19.0, []) == []
    (closed,) = night.run(2.0, [])
    assert (closed.state, closed.close_reason) == ("closed", "not in the picture any more")
    night.run(120.0, [])
    assert night.watch.snapshot()["dwell"]["id"].tolist() == []


def test_new_epoch_closes_everything_because_numbers_mean_other_objects() -> None:
    night = Night()
    night.run(6.0, [{}])
    changed = night.run(0.2, [{}], epoch=8)
    assert brief(changed) == [("low-slow-near", "closed")]
    assert changed[0].close_reason == "tracks were numbered anew"
    (again,) = [alert for alert in night.run(6.0, [{}], epoch=8) if alert.state == "raised"]
    assert (again.track, again.episode) == ("8:1", 1)


def test_backlog_is_marked_delayed() -> None:
    night = Night(one_rule())
    (alert,) = night.run(0.2, [{"update_us": T0_US - 60 * S, "rx_us": T0_US}])
    assert alert.delayed


def test_tracks_keep_their_memory_when_numbers_appear_out_of_order() -> None:
    """A number is given at the first plot, a row appears at confirmation: a smaller one can come later."""
    night = Night()
    assert night.run(4.0, [{}], ids=[9]) == []
    raised = night.run(1.4, [{}, {}], ids=[4, 9])
    assert [alert.track for alert in raised] == ["7:9"]
    raised = [alert for alert in night.run(4.2, [{}, {}], ids=[4, 9]) if alert.state == "raised"]
    assert [alert.track for alert in raised] == ["7:4"]


def test_full_house_lets_the_more_severe_displace_the_mildest_newest() -> None:
    night = Night(max_open=2)
    night.run(6.0, [{}], ids=[1])
    night.run(6.0, [{}, {}], ids=[1, 2])
    assert [a for a in night.run(10.0, [{}, {}, {}], ids=[1, 2, 3]) if a.state == "raised"] == []
    assert night.watch.refused > 0
    intruder = [alert for alert in night.run(4.0, [{}, {}, INSIDE], ids=[1, 2, 4]) if alert.state != "updated"]
    assert [(alert.track, alert.state) for alert in intruder] == [("7:2", "closed"), ("7:4", "raised")]
    assert intruder[0].close_reason == "displaced: 2 alerts are open"
    assert len(night.watch.open_alerts()) == 2


def test_acknowledge_once_by_name() -> None:
    night = Night()
    (alert,) = night.run(5.4, [{}])
    answer, changed = night.say("acknowledge", alert)
    assert answer.ok
    assert [(a.state, a.acknowledged_by, a.acknowledged_us) for a in changed] == [
        ("acknowledged", "Lt Jonaitis", night.now_us)
    ]
    again, nothing = night.say("acknowledge", alert, operator="Cpt Kask")
    assert (again.ok, nothing) == (True, [])
    assert "Lt Jonaitis" in again.detail
    (updated, *_) = night.run(6.0, [{}])
    assert (updated.state, updated.acknowledged_by) == ("updated", "Lt Jonaitis")


def test_identity_is_a_persons_word_and_goes_with_the_track_to_its_next_alert() -> None:
    night = Night()
    (alert,) = night.run(5.4, [{}])
    answer, (changed,) = night.say("identify", alert, identity="hostile")
    assert answer.ok
    assert (changed.identity, changed.identity_by, changed.identity_reason) == (
        "hostile",
        "Lt Jonaitis",
        "seen by patrol",
    )
    (told,) = night.run(0.4, [{}])  # with the next look, once, and not five seconds later
    assert "identified (set by Lt Jonaitis)" in told.sentence
    assert night.say("identify", alert, identity="hostile")[1] == []
    raised = [alert for alert in night.run(10.0, [INSIDE]) if alert.state == "raised"]
    assert [(a.rule, a.identity, a.acknowledged_by) for a in raised] == [("low-slow-inside", "hostile", "")]
    assert "hostile" not in raised[0].sentence


def test_closed_by_a_person_stays_silent_until_it_has_cleared() -> None:
    night = Night()
    night.run(6.0, [{}])
    (inside,) = [alert for alert in night.run(10.0, [INSIDE]) if alert.state == "raised"]
    answer, (closed,) = night.say("close", inside)
    assert answer.ok
    assert closed.close_reason == "closed by Lt Jonaitis: seen by patrol"
    assert night.run(60.0, [INSIDE]) == [], "the incursion is the same thing and not more severe"
    assert night.watch.open_alerts() == []
    assert brief(night.run(6.0, [{}])) == [("low-slow-near", "raised")], "it left: a new situation"
    night.run(30.0, [{}])
    raised = [alert for alert in night.run(10.0, [INSIDE]) if alert.state == "raised"]
    assert [(alert.rule, alert.episode) for alert in raised] == [("low-slow-inside", 2)], "it came again"


def test_more_severe_rule_speaks_although_a_milder_alert_was_closed() -> None:
    night = Night()
    (near,) = night.run(5.4, [{}])
    night.say("close", near)
    assert night.run(30.0, [{}]) == []
    assert brief(night.run(4.0, [INSIDE])) == [("low-slow-inside", "raised")]


@pytest.mark.parametrize(
    "verb, more",
    [
        ("engage", {}),
        ("acknowledge", {"operator": " "}),
        ("close", {"reason": ""}),
        ("identify", {"identity": "enemy"}),
        ("identify", {"identity": "friend", "reason": ""}),
        ("identify", {"identity": "hostile", "reason": ""}),
        ("close", {"reason": "x" * 501}),
    ],
)
def test_command_that_cannot_be_carried_out_is_refused_and_changes_nothing(verb: str, more: dict[str, str]) -> None:
    night = Night()
    (alert,) = night.run(5.4, [{}])
    before = bits(night.watch.snapshot())
    answer, changed = night.say(verb, alert, **more)
    assert (answer.ok, changed) == (False, [])
    assert answer.detail
    assert bits(night.watch.snapshot()) == before


def test_command_to_an_alert_that_is_not_open_is_refused() -> None:
    night = Night()
    (alert,) = night.run(5.4, [{}])
    answer, changed = night.say("acknowledge", replace(alert, id="0" * 16))
    assert (answer.ok, changed) == (False, [])


def _storm(seed: int) -> list[list[dict[str, Any]]]:
    """Twenty objects wandering about the border with gaps: rows of 160 pictures; `id` tells which object."""
    rng = np.random.default_rng(seed)
    count = 20
    distance = rng.uniform(-20_000.0, 40_000.0, count)
    rate = rng.normal(0.0, 400.0, count)
    pictures = []
    for _ in range(160):
        rate += rng.normal(0.0, 60.0, count)
        distance += rate
        shown = rng.random(count) > 0.1
        rows = []
        for i in np.flatnonzero(shown):
            base = AIRCRAFT if i % 5 == 0 else {}
            rows.append(
                {
                    **base,
                    "id": int(i) + 1,
                    "distance_m": float(distance[i]),
                    "p_inside": float(distance[i] < 0.0),
                    "speed_mps": float(rng.choice([40.0, 76.0, 120.0], p=[0.8, 0.1, 0.1])),
                    "height_known": bool(rng.random() > 0.1 * (i % 3)),
                    "agl_m": 200.0 if i % 7 else 4_000.0,
                    "existence": float(rng.choice([0.99, 0.7], p=[0.95, 0.05])),
                }
            )
        pictures.append(rows)
    return pictures


def _play(watch: Watch, pictures: Sequence[Sequence[Row]], start: int) -> list[Alert]:
    found: list[Alert] = []
    for step, rows in enumerate(pictures, start):
        now_us = T0_US + step * S
        bare = [at(now_us, {k: v for k, v in row.items() if k != "id"}) for row in rows]
        tracks, facts = picture(bare, now_us, [row["id"] for row in rows])
        found += watch.step(tracks, assess(tracks, facts, RULES.words, SENSORS), now_us)
        if step % 47 == 46:
            found += watch.ended([(step % 20, "dropped")], 7, now_us)
    return found


def _plain(alerts: Sequence[Alert]) -> list[str]:
    return [json.dumps(asdict(alert), allow_nan=False) for alert in alerts]


def test_storm_keeps_every_promise() -> None:
    watch = Watch(RULES, CODES, NAMES, SENSOR_IDS)
    open_by_track: dict[str, Alert] = {}
    used: dict[str, str] = {}
    alerts = _play(watch, _storm(1), 0)
    assert len(alerts) > 100
    assert {alert.state for alert in alerts} == {"raised", "updated", "closed"}
    for alert in alerts:
        if alert.state == "raised":
            assert alert.track not in open_by_track, "two open alerts of one track"
            assert alert.id not in used, "an id was used twice"
            used[alert.id] = alert.track
            open_by_track[alert.track] = alert
        else:
            was = open_by_track[alert.track]
            assert alert.id == was.id
            assert alert.t_us >= was.t_us
            open_by_track[alert.track] = alert
            if alert.state == "closed":
                assert alert.close_reason
                del open_by_track[alert.track]
    assert {a.id for a in open_by_track.values()} == {a.id for a in watch.open_alerts()}
    cooperative = {f"7:{number}" for number in range(1, 21, 5)}
    assert not cooperative & set(used.values())


def test_after_a_snapshot_the_watch_goes_on_as_if_nothing_had_happened() -> None:
    pictures = _storm(2)
    whole = Watch(RULES, CODES, NAMES, SENSOR_IDS)
    expected = _plain(_play(whole, pictures, 0))
    for cut in (1, 80, 159):
        first = Watch(RULES, CODES, NAMES, SENSOR_IDS)
        head = _play(first, pictures[:cut], 0)
        state = kept(first.snapshot())
        second = Watch(RULES, CODES, NAMES, SENSOR_IDS)
        second.restore(state)
        assert _plain(second.open_alerts()) == _plain(first.open_alerts())
        assert _plain(head + _play(second, pictures[cut:], cut)) == expected
        assert bits(second.snapshot()) == bits(whole.snapshot())


def test_alert_of_a_withdrawn_rule_closes_after_a_restart() -> None:
    night = Night()
    (alert,) = night.run(5.4, [{}])
    fewer = RuleSet(tuple(rule for rule in RULES.rules if rule.id != alert.rule), RULES.words)
    after = Night(fewer)
    after.watch.restore(kept(night.watch.snapshot()))
    after.now_us = night.now_us
    (closed,) = after.run(0.2, [{}])
    assert (closed.id, closed.close_reason) == (alert.id, "the rule was withdrawn")


def test_alert_survives_its_plain_form() -> None:
    (alert,) = Night(simulated=True).run(5.4, [{}])
    assert alert_from(json.loads(json.dumps(asdict(alert)))) == alert
    assert alert.sentence.startswith("Simulated: ")
