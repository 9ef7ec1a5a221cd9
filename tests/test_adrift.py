"""Alerts that a cold start finds open wait to be found again: who goes on as which, how it is told, when it ends."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import config as configuration
from adapters.commands import simulate
from adapters.config import Config
from adapters.running import startframe
from adapters.running.keeping import adrift as waiting
from adapters.running.keeping import left_of
from adapters.running.offline import Offline
from adapters.running.recorder import Recorder
from adapters.running.starting import Start, inherited
from adapters.service import Core
from fusion.cases.record import Incident, IncidentChanged
from fusion.redlines import adrift
from fusion.redlines.adrift import LINK_S, OLD_S
from fusion.schema import US_PER_S, Alert, AlertChanged, Event, Frame, Quantity
from replay.log import LEFT, START, TICK
from replay.recording import items
from replay.simulate import Scenario
from tests import shipped
from tests.airpicture import S
from tests.crashes import refused
from tests.running import write_config
from tests.test_alerts import Night, brief


def left(seconds: float = 10.0, **changed: Any) -> tuple[Alert, int]:
    """An alert that a service left open, and when."""
    night = Night()
    night.run(seconds, [{}])
    (alert,) = night.watch.open_alerts()
    return replace(alert, **changed), night.now_us


def later(alert: Alert, now_us: int, after_s: float) -> Night:
    """The watch of a service that started cold so much later, with this alert of the one before."""
    night = Night()
    night.now_us = now_us + round(after_s * S)
    night.watch.inherit(alert)
    return night


def test_it_stays_open_as_not_seen_and_goes_on_under_its_id_when_it_is_found() -> None:
    old, now_us = left(acknowledged_by="Lt Jonaitis", acknowledged_us=7)
    night = later(old, now_us, 20.0)
    (told,) = night.run(4.0, [{}], epoch=8)
    assert (told.id, told.state, told.track) == (old.id, "updated", old.track)
    assert told.sentence == f"Not seen since the picture was reset: {old.sentence}"
    assert "closes when none is within 120 s" in told.clears
    assert [q.value for q in told.quantities if q.name == "unseen_s"] == [pytest.approx(20.2 + _age_s(old, now_us))]
    assert night.watch.open_alerts() == [told]
    (found,) = night.run(2.0, [{}], epoch=8)
    assert (found.id, found.state, found.track) == (old.id, "updated", "8:1")
    assert (found.raised_us, found.acknowledged_by, found.acknowledged_us) == (old.raised_us, "Lt Jonaitis", 7)
    assert not any(q.name == "unseen_s" for q in found.quantities)
    assert "Not seen" not in found.sentence
    assert night.watch.drain_found() == [("7:1", "8:1")]
    assert night.watch.open_alerts() == [found]


def _age_s(alert: Alert, now_us: int) -> float:
    return (now_us - alert.t_us) / S


def test_what_a_person_said_of_it_goes_with_it() -> None:
    old, now_us = left()
    night = later(old, now_us, 20.0)
    night.run(1.0, [], epoch=8)
    answer, (changed,) = night.say("identify", old, identity="friend")
    assert (answer.ok, changed.identity) == (True, "friend")
    assert night.say("acknowledge", old)[0].detail == "acknowledged"
    *_, found = night.run(8.0, [{}], epoch=8)
    assert (found.id, found.identity, found.identity_by) == (old.id, "friend", "Lt Jonaitis")
    assert night.watch._said[1][0] == "friend"


def test_a_person_may_close_it() -> None:
    old, now_us = left()
    night = later(old, now_us, 20.0)
    night.run(1.0, [], epoch=8)
    answer, (closed,) = night.say("close", old)
    assert (answer.ok, closed.state) == (True, "closed")
    assert night.watch.open_alerts() == []


def test_what_is_not_found_in_time_is_closed_by_name() -> None:
    old, now_us = left()
    night = later(old, now_us, 20.0)
    said = night.run(LINK_S + 1.0, [], epoch=8)
    assert brief(said) == [(old.rule, "updated"), (old.rule, "closed")]
    assert said[1].close_reason == "picture reset: not found again within 120 s"
    assert said[1].t_us - said[0].t_us == round(LINK_S * S)


def test_what_nobody_saw_for_long_or_knows_the_place_of_is_closed_at_once() -> None:
    old, now_us = left()
    for alert, after_s, why in (
        (old, OLD_S + 1.0, "not seen for 600 s"),
        (replace(old, lat_rad=np.nan), 1.0, "nobody knows where"),
        (replace(old, rule_version=99), 1.0, "the rule was withdrawn"),
    ):
        (closed,) = later(alert, now_us, after_s).run(0.2, [], epoch=8)
        assert closed.state == "closed"
        assert why in closed.close_reason


def test_a_second_reset_does_not_make_it_seen_again() -> None:
    old, now_us = left()
    once = adrift.told(old, now_us + 60 * S)
    twice = adrift.told(once, now_us + 200 * S)
    assert adrift.seen_us(twice) == pytest.approx(adrift.seen_us(old), abs=S // 5)
    assert twice.sentence == once.sentence
    assert [q.name for q in twice.quantities].count("unseen_s") == 1


def test_only_what_it_can_have_flown_is_within_reach() -> None:
    old, _ = left()
    slow = replace(old, quantities=(Quantity("speed_mps", 40.0),))
    unknown = replace(old, quantities=(Quantity("speed_mps", "unknown"),))
    for alert, after_s, reach_m in (
        (slow, 0, 2_000),
        (slow, 100, 8_000),
        (unknown, 100, 14_000),
        (unknown, 599, 30_000),
    ):
        assert adrift.reach_m(alert, adrift.seen_us(alert) + after_s * S) == pytest.approx(reach_m)
    fresh = replace(old, id="f" * 16, t_us=old.t_us + 100 * S)
    step_rad = 1_000.0 / 6_371_000.0
    assert adrift.nearest([slow], replace(fresh, lat_rad=old.lat_rad + 7 * step_rad)) == slow
    assert adrift.nearest([slow], replace(fresh, lat_rad=old.lat_rad + 9 * step_rad)) is None
    assert adrift.nearest([slow], replace(fresh, rule="another")) is None


def test_of_several_the_nearest_goes_on_and_each_only_once() -> None:
    old, now_us = left()
    step_rad = 1_000.0 / 6_371_000.0
    near = replace(old, id="a" * 16, lat_rad=old.lat_rad + step_rad)
    far = replace(old, id="b" * 16, lat_rad=old.lat_rad + 4 * step_rad)
    for given in ([near, far], [far, near]):
        night = later(given[0], now_us, 60.0)
        night.watch.inherit(given[1])
        assert len(night.run(1.0, [], epoch=8)) == 2
        said = night.run(6.0, [{}, {}, {}], epoch=8)
        assert [(a.id[:1], a.state, a.track) for a in said if a.id[:1] in "ab"] == [
            ("a", "updated", "8:1"),
            ("b", "updated", "8:2"),
        ]
        assert [(a.state, a.track) for a in said if a.id[:1] not in "ab"] == [("raised", "8:3")]


def test_a_checkpoint_keeps_what_waits() -> None:
    old, now_us = left()
    night = later(old, now_us, 20.0)
    night.run(1.0, [{}], epoch=8)
    other = Night()
    other.now_us = night.now_us
    other.watch.restore(night.watch.snapshot())
    assert other.run(6.0, [{}], epoch=8) == night.run(6.0, [{}], epoch=8)
    assert other.watch.drain_found() == [("7:1", "8:1")]


# --- a whole service ---

RESET_S, GAP_S, END_S = 30, 5, 75


@dataclass
class Twice:
    """A scene fused by one service until 30 s, and from 35 s on by another that started cold."""

    config: Config
    events: list[Event]
    left: Start
    open_before: list[Alert]
    incidents_before: list[Incident]
    recorded: list[Path]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    scene = Scenario.load("lithuania-2025-07-28")
    folder = tmp_path_factory.mktemp("twice")
    write_config(folder, 1883, scene.sensors, simulate.formats(scene), 9464)
    config = configuration.load(folder, environ={})
    at = {s: scene.start_us + s * US_PER_S for s in (RESET_S, RESET_S + GAP_S, END_S)}
    frames = list(takewhile(lambda f: f.rx_us <= at[END_S], scene.frames(simulate.encode)))
    first = Core(config, shipped.zones(), 1, refused)
    journal = [e for _, entries in play(first, [f for f in frames if f.rx_us <= at[RESET_S]]) for e in entries]
    begun = Start(Core(config, shipped.zones(), 2, refused), 2, reason="for a test")
    found = left_of(journal)
    gone = inherited(begun, found, True, False)
    assert (gone.open_alerts, gone.open_incidents) == ([], [])
    rest = [f for f in frames if f.rx_us > at[RESET_S + GAP_S]]
    t_us = rest[0].rx_us
    given = [Frame(0, t_us, START, startframe.encode(config, 2, t_us)), *(replace(f, rx_us=t_us) for f in begun.left)]
    numbered = [replace(f, seq=n) for n, f in enumerate([*given, *rest], 1)]
    with ThreadPoolExecutor(1) as syncer:
        recorder = Recorder(config.record_dir, config.record, lambda _topic, _payload: None, syncer)
        recorder.begin(2, numbered[0], numbered[1 : len(given)])
        begun.core.enter(numbered[1 : len(given)])
        events: list[Event] = []
        batch: list[Frame] = []
        for frame in numbered[len(given) :]:
            batch.append(frame)
            if frame.source == TICK:
                recorder.write(batch, frame.rx_us)
                said, turn, _ = begun.core.work(batch[:-1], frame)
                recorder.say(turn.outputs)
                events += said
                batch = []
        recorder.close()
    return Twice(
        config, events, begun, found.open_alerts, found.open_incidents, sorted(config.record_dir.glob("*.mcap"))
    )


def play(core: Core, frames: Sequence[Frame]) -> list[tuple[int, list[bytes]]]:
    """What each tick journalled."""
    told, batch = [], list[Frame]()
    for frame in frames:
        if frame.source == TICK:
            told.append((frame.rx_us, core.work(batch, frame)[1].journal))
            batch = []
        else:
            batch.append(frame)
    return told


def test_a_cold_start_raises_nothing_twice_and_its_incident_goes_on(twice: Twice) -> None:
    assert twice.open_before, "nothing was open: the scene does not try it"
    alerts = [e.alert for e in twice.events if isinstance(e, AlertChanged)]
    before = {a.id for a in twice.open_before}
    assert {a.id for a in alerts[: len(before)]} == before
    assert [a for a in alerts if a.state == "raised"] == []
    linked = {a.id for a in alerts if a.track.startswith("2:") and a.state == "updated"}
    assert linked == before
    incidents = [e.incident for e in twice.events if isinstance(e, IncidentChanged)]
    assert incidents
    (before_one,) = twice.incidents_before
    assert {i.id for i in incidents} == {before_one.id}
    assert incidents[0].number == before_one.number + 1
    assert all(m.track.startswith("2:") for m in incidents[-1].members)
    assert incidents[-1].raised_us == before_one.raised_us


def test_what_it_found_is_a_function_of_its_recording(twice: Twice) -> None:
    run = Offline(twice.config, shipped.zones())
    recorded = [item for path in twice.recorded for item in items(path)]
    assert [f.source for f in recorded if isinstance(f, Frame)][:2] == [START, LEFT]
    verdict = run.run(recorded)
    assert verdict.words().startswith("identical")
    assert verdict.digest == twice.left.core.outputs.digest


def test_what_belongs_to_a_simulation_does_not_outlive_it(twice: Twice) -> None:
    entries = [frame.payload for frame in twice.left.left]
    gone, kept = waiting(left_of(entries), simulated=False)
    assert kept == []
    assert [a.id for a in gone.open_alerts] == [a.id for a in twice.open_before]
    assert [i.id for i in gone.open_incidents] == [i.id for i in twice.incidents_before]
