"""Peace, tension, exercise, and what is simulated: words and recipients change, what is raised never does, and nothing
that is not real leaves without saying so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from adapters.broker import Outgoing
from adapters.commands import simulate
from adapters.decode import Door
from adapters.envelope import enveloped
from adapters.errors import ConfigError
from adapters.files import rulefile
from adapters.formats import alert as alert_format
from adapters.formats import sighting
from adapters.running.outbox import Outbox
from adapters.samples import crowd, joined, passages, reported, sought
from adapters.wire import Names
from fusion import schema
from fusion.cases.casefile import incident_from
from fusion.cases.orders import MODES
from fusion.cases.record import Incident, IncidentChanged, PassageNoted, SearchChanged, Withheld
from fusion.claims.gnss import Interference
from fusion.identity import assess
from fusion.incidents import Heard, Incidents
from fusion.redlines.alerts import Watch
from fusion.rules import RuleSet
from fusion.schema import (
    Alert,
    AlertChanged,
    Answer,
    Command,
    Event,
    Frame,
    Health,
    HealthChanged,
    Picture,
    SensorKind,
    SensorSpec,
)
from replay.simulate import Scenario
from tests import shipped, states
from tests.airpicture import AIRCRAFT, CODES, NAMES, SENSOR_IDS, SENSORS, T0_US, S, at, picture
from tests.test_alerts import DEEP, INSIDE

RULE = """
[[rule]]
id = "low-slow-near"
version = 2
severity = 2
title = "Near"
when = ["slow", "near", "not exempt"]
hold_s = 5.0
recipients = ["police"]
[[rule]]
id = "inside"
version = 1
severity = 1
title = "Inside"
when = ["inside", "not exempt"]
hold_s = 5.0
recipients = ["police", "army"]
"""
MODED = RULE.replace(
    '[[rule]]\nid = "inside"',
    """[rule.mode.tension]
recipients = ["army", "ministry"]
sentence = "At once: {object}, {identity}, {place}."
[rule.mode.exercise]
recipients = ["directing-staff"]
[[rule]]
id = "inside\"""",
)


def rules(folder: Path, text: str) -> RuleSet:
    (folder / "rules.toml").write_text(text, encoding="utf-8")
    return rulefile.load(folder / "rules.toml")


class Night:
    """A watch and its incidents in one mode."""

    def __init__(self, ruleset: RuleSet, mode: str) -> None:
        self.watch = Watch(ruleset, CODES, NAMES, SENSOR_IDS, mode=mode)
        self.incidents = Incidents(CODES, NAMES, mode=mode)
        self.now_us = T0_US

    def run(self, seconds: float, rows: Sequence[dict[str, Any]]) -> tuple[list[Alert], list[Incident]]:
        alerts: list[Alert] = []
        told: list[Incident] = []
        for _ in range(round(seconds * 5)):
            self.now_us += S // 5
            tracks, facts = picture([at(self.now_us // S * S, row) for row in rows], self.now_us)
            assessment = assess(tracks, facts, self.watch.ruleset.words, SENSORS)
            changed = self.watch.step(tracks, assessment, self.now_us)
            told += self.incidents.step(tracks, assessment, Heard(alerts=changed), self.now_us)
            alerts += changed
        return alerts, told

    def set_mode(self, mode: str) -> None:
        self.watch.set_mode(mode)
        self.incidents.set_mode(mode)


def storm(night: Night) -> tuple[list[Alert], list[Incident]]:
    """A minute of eight objects that come, go and cross."""
    rng = np.random.default_rng(11)
    kinds: list[dict[str, Any]] = [{}, dict(INSIDE), dict(DEEP), dict(AIRCRAFT), {"speed_mps": 200.0}]
    alerts: list[Alert] = []
    told: list[Incident] = []
    for _ in range(20):
        rows = [kinds[k] for k in rng.integers(0, len(kinds), 8)]
        more, said = night.run(3.0, rows)
        alerts, told = alerts + more, told + said
    return alerts, told


WORDS_OF_MODE = ("sentence", "recipients", "mode")


def without_words(alert: Alert) -> Alert:
    return replace(alert, sentence="", recipients=(), mode="")


def test_the_same_alerts_are_raised_in_every_mode_at_the_same_times_under_the_same_ids(tmp_path: Path) -> None:
    ruleset = rules(tmp_path, MODED)
    nights = {mode: storm(Night(ruleset, mode)) for mode in MODES}
    peace = [without_words(alert) for alert in nights["peace"][0]]
    assert len([a for a in peace if a.state == "raised"]) > 20
    for mode, (alerts, told) in nights.items():
        assert [without_words(alert) for alert in alerts] == peace, mode
        assert {alert.mode for alert in alerts} == {incident.mode for incident in told} == {mode}
        changes = [(i.id, i.number, i.change, i.t_us, i.severity) for i in told]
        assert changes == [(i.id, i.number, i.change, i.t_us, i.severity) for i in nights["peace"][1]]


def test_changing_the_mode_on_the_way_raises_and_closes_the_same(tmp_path: Path) -> None:
    ruleset = rules(tmp_path, MODED)
    steady, moved = Night(ruleset, "peace"), Night(ruleset, "peace")
    life: list[list[tuple[str, str, int]]] = [[], []]
    for step in range(8):
        moved.set_mode(MODES[step % 3])
        rows = [[{}, dict(INSIDE)], [dict(INSIDE), {}], [dict(AIRCRAFT)] * 2][step % 3]
        for night, kept in zip((steady, moved), life, strict=True):
            kept += [(a.id, a.state, a.t_us) for a in night.run(8.0, rows)[0] if a.state in ("raised", "closed")]
    assert life[0] == life[1]
    assert len(life[0]) > 8


def test_texts_and_recipients_are_those_of_the_mode_and_the_rest_is_as_in_peace(tmp_path: Path) -> None:
    ruleset = rules(tmp_path, MODED)
    said = {mode: {a.rule: a for a in Night(ruleset, mode).run(1.0, [{}, INSIDE])[0]} for mode in MODES}
    near = {mode: said[mode]["low-slow-near"] for mode in MODES}
    assert {mode: a.recipients for mode, a in near.items()} == {
        "peace": ("police",),
        "tension": ("army", "ministry"),
        "exercise": ("directing-staff",),
    }
    assert near["tension"].sentence == "At once: Slow, low object, unknown, 23 km outside Lithuania over Belarus."
    assert near["exercise"].sentence == f"Exercise: {near['peace'].sentence}"
    inside = {mode: said[mode]["inside"] for mode in MODES}
    assert {a.recipients for a in inside.values()} == {("police", "army")}
    assert inside["tension"].sentence == inside["peace"].sentence


def test_open_alerts_and_incidents_are_told_anew_at_once_when_the_mode_changes(tmp_path: Path) -> None:
    night = Night(rules(tmp_path, MODED), "exercise")
    (raised,), (began,) = night.run(1.0, [{}])
    assert began.title.startswith("Exercise: ")
    night.set_mode("peace")
    (updated,), (told,) = night.run(0.2, [{}])
    assert (updated.id, updated.state, updated.mode, updated.recipients) == (raised.id, "updated", "peace", ("police",))
    assert f"Exercise: {updated.sentence}" == raised.sentence
    assert (told.id, told.mode, told.title) == (began.id, "peace", began.title.removeprefix("Exercise: "))
    assert night.run(2.0, [{}]) == ([], []), "once is enough"


def test_mode_survives_a_restart(tmp_path: Path) -> None:
    ruleset = rules(tmp_path, MODED)
    night, other = Night(ruleset, "peace"), Night(ruleset, "peace")
    night.run(1.0, [{}])
    night.set_mode("tension")
    other.watch.restore(states.kept(night.watch.snapshot()))
    other.incidents.restore(states.kept(night.incidents.snapshot()))
    other.now_us = night.now_us
    assert night.run(1.0, [{}]) == other.run(1.0, [{}])


@pytest.mark.parametrize(
    "line", ["severity = 1", 'when = ["slow"]', "dwell_s = 0.0", "hold_s = 1.0", 'keep = ["slow"]']
)
@pytest.mark.parametrize("mode", ["tension", "exercise"])
def test_a_mode_cannot_change_what_is_raised(tmp_path: Path, mode: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules(tmp_path, f"{RULE}[rule.mode.{mode}]\n{line}\n")
    key = line.partition(" ")[0]
    assert caught.value.key == f"rule[1].mode.{mode}.{key}"
    assert (caught.value.problem, caught.value.line) == ("is not a known key", 19)


def test_sentence_of_a_mode_may_say_no_more_than_any_other(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="hostile"):
        rules(tmp_path, f'{RULE}[rule.mode.tension]\nsentence = "hostile {{object}}"\n')
    with pytest.raises(ConfigError, match="not a known key"):
        rules(tmp_path, f"{RULE}[rule.mode.war]\nrecipients = []\n")


def order(to: str, now_us: int, reason: str = "orders") -> Command:
    return Command(now_us, "mode", "", "Lt Jonaitis", reason, to=to, response_topic="answer/x")


def test_a_command_changes_the_mode_of_the_engine_and_a_wrong_one_nothing() -> None:
    engine = shipped.engine(SENSORS)
    engine.feed(order("war", T0_US))
    engine.feed(order("exercise", T0_US))
    events = engine.tick(T0_US)
    answers = [event for event in events if isinstance(event, Answer)]
    assert [(a.ok, a.detail) for a in answers] == [
        (False, "say in `to` which mode: peace, tension or exercise"),
        (True, "mode is exercise"),
    ]
    assert [event.mode for event in events if isinstance(event, Picture)] == ["exercise"]
    assert (engine.watch.mode, engine.incidents.mode) == ("exercise", "exercise")


# --- what leaves ---


def everything() -> list[Event]:
    """One event of every kind that is published."""
    tracks, facts = picture([{}, AIRCRAFT], T0_US)
    assessment = assess(tracks, facts, shipped.rules().words, SENSORS)
    watch = Watch(shipped.rules(), CODES, NAMES, SENSOR_IDS, mode="exercise")
    alerts = [a for step in range(8) for a in watch.step(tracks, assessment, T0_US + step * S)]
    told = Incidents(CODES, NAMES, mode="exercise").step(tracks, assessment, Heard(alerts=alerts[:1]), T0_US + 8 * S)
    return [
        AlertChanged(alerts[0]),
        *(IncidentChanged(incident) for incident in told),
        PassageNoted(passages()[0], passages()),
        SearchChanged(sought()),
        crowd(),
        replace(joined(), sighting=replace(joined().sighting, response_topic="answer/patrol")),
        Withheld("7:1", "r", 1, 2, "v", "Army", "flights", T0_US, T0_US, 0.9, 0.4),
        HealthChanged(Health("R1", T0_US, "ok", T0_US, T0_US, 1.0, 0.1, 1.0, 5, 0)),
        Interference(1, "open", T0_US, T0_US, 0.9, 0.4, 80_000.0, 5, 6, 6),
        Answer(order("exercise", T0_US), True, "mode is exercise"),
        Picture(T0_US, True, tracks, assessment, ((9, "left coverage"),), None, "exercise"),
        Picture(T0_US, False, tracks, assessment, (), None, "exercise"),
    ]


def sent(names: Names) -> list[tuple[str, dict[str, Any]]]:
    """(topic, message) of everything that leaves, the journal included."""
    outbox = Outbox(names, partners=("LV",))
    turn = outbox.turn(everything())
    messages: list[Outgoing] = [*turn.alerts, *turn.others]
    for _ in range(12):
        messages += outbox.turn([]).others
    messages += outbox.again([e.alert for e in everything() if isinstance(e, AlertChanged)])
    payloads = [*((m.topic, m.payload) for m in messages if m.payload), *(("journal", p) for p in turn.journal)]
    return [(topic, json.loads(payload)) for topic, payload in payloads]


KINDS = {"alert", "incident", "ledger", "search", "sighting-answer", "withheld", "health", "interference"}
KINDS |= {"area", "answer", "picture", "track"}


@pytest.mark.parametrize("mode", MODES)
def test_every_message_of_a_simulated_service_says_so(mode: str) -> None:
    messages = sent(Names("test", CODES, NAMES, SENSOR_IDS, simulated=True, mode=mode))
    assert {message["schema"].split(".")[1] for _, message in messages} == KINDS
    assert [topic for topic, message in messages if message.get("simulated") is not True] == []


def test_every_message_in_an_exercise_says_so_and_a_real_one_in_peace_nothing() -> None:
    messages = sent(Names("test", CODES, NAMES, SENSOR_IDS, mode="exercise"))
    assert {message["schema"].split(".")[1] for _, message in messages} == KINDS
    assert [topic for topic, message in messages if message.get("mode") != "exercise"] == []
    assert [topic for topic, message in messages if message.get("simulated")] == []


def test_every_event_that_the_engine_can_say_is_in_this_test() -> None:
    """A new kind of event has to be thought of here: does its message say what is not real?"""
    assert {type(event) for event in everything()} == set(get_args(schema.Event))


def test_mode_and_mark_are_read_back() -> None:
    (changed,) = [event.alert for event in everything() if isinstance(event, AlertChanged)]
    names = Names("test", CODES, NAMES, SENSOR_IDS)
    assert alert_format.decode(alert_format.encode(changed, names, 1)) == changed
    marked = alert_format.decode(alert_format.encode(changed, replace(names, simulated=True), 1))
    assert (marked.simulated, marked.mode) == (True, "exercise")
    assert "mode" in {field.name for field in fields(Incident)}
    assert callable(incident_from)


# --- what comes in ---


@pytest.mark.parametrize("simulated", [False, True])
def test_a_real_service_takes_in_nothing_simulated(simulated: bool) -> None:
    scene = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    engine = shipped.engine(scene.sensors)
    engine.config = replace(engine.config, simulated=simulated)
    refused: list[str] = []
    door = Door(engine, simulate.formats(scene), lambda _frame, reason, _detail: refused.append(reason))
    sensors = {sensor.spec.id: sensor for sensor in scene.plan.sensors}
    batches = [b for b in scene.batches() if b.rx_us <= scene.start_us + 10 * S]
    for n, batch in enumerate(batches):
        payload = simulate.encode(sensors[batch.sensor], batch)
        door.enter(Frame(n, batch.rx_us, f"in/{batch.sensor}/plots", payload))
    engine.tick(scene.start_us + 10 * S)
    assert len(batches) > 10
    if simulated:
        assert (refused, engine.counters.rejected) == ([], {})
        assert engine.counters.used > 10
    else:
        assert set(refused) == {"simulated"}
        assert engine.counters.rejected == {"simulated": len(batches)}
        assert engine.counters.used == 0
    assert engine.counters.balance() == 0


@pytest.mark.parametrize(
    ("payload", "refused"),
    [
        (b'{"simulated": true}', True),
        (b'{"a":1,"simulated" :\n true}', True),
        (b'{"\\u0073imu\\u006c\\u0061ted":true}', True),
        (b'{"simulated":false}', False),
        (b'{"a":"\\"simulated\\":true"}', False),
    ],
)
def test_the_mark_is_seen_however_it_is_written(payload: bytes, refused: bool) -> None:
    engine = shipped.engine(SENSORS)
    engine.config = replace(engine.config, simulated=False)
    said: list[str] = []
    Door(engine, {}, lambda _frame, reason, _detail: said.append(reason)).enter(
        Frame(1, T0_US, "in/R1/status", payload)
    )
    assert (said == ["simulated"]) is refused


def test_a_simulated_report_of_a_person_is_refused_in_its_envelope_too() -> None:
    scene = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    guard = SensorSpec("G1", len(scene.sensors), SensorKind.SIGHTING)
    engine = shipped.engine([*scene.sensors, guard])
    engine.config = replace(engine.config, simulated=False)
    said: list[str] = []
    door = Door(engine, {}, lambda _frame, reason, _detail: said.append(reason))
    report = json.loads(sighting.encode(reported()))
    bare = Frame(1, T0_US, "in/G1/sighting", json.dumps({**report, "simulated": True}).encode())
    door.enter(bare)
    door.enter(enveloped(bare, (), "answer/G1", b"1"))
    assert said == ["simulated", "simulated"]
