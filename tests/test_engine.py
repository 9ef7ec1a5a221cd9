"""The engine as a whole: determinism, accounting, pictures, commands. The scene is the shipped drone on Lithuania."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from fusion.cases.record import IncidentChanged, PassageKind, PassageNoted
from fusion.schema import (
    AlertChanged,
    Answer,
    Command,
    Event,
    HealthChanged,
    Met,
    Picture,
    PlotKind,
    Plots,
    SensorStatus,
    TrackStatus,
    plots,
    take,
)
from replay.simulate import Scenario
from tests import shipped


@pytest.fixture(scope="module")
def scene() -> tuple[Scenario, list[Plots]]:
    scenario = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    until_us = scenario.start_us + 40_000_000
    return scenario, [batch for batch in scenario.batches() if batch.rx_us <= until_us]


def digest(events: list[Event]) -> str:
    """A hash over every number of every event."""
    found = hashlib.sha256()
    for event in events:
        found.update(type(event).__name__.encode())
        if isinstance(event, Picture):
            found.update(repr((event.t_us, event.full, event.dropped)).encode())
            for table in (event.tracks, event.assessment):
                for field in fields(table):
                    value = getattr(table, field.name)
                    found.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
        else:
            found.update(repr(event).encode())
    return found.hexdigest()


def run(scenario: Scenario, batches: list[Plots], seconds: float = 40.0) -> list[list[Event]]:
    return [events for _, events in shipped.play(shipped.engine(scenario.sensors), scenario, seconds, batches)]


def test_the_same_input_gives_the_same_events_whatever_the_arrival_order_within_a_tick(
    scene: tuple[Scenario, list[Plots]],
) -> None:
    scenario, batches = scene
    ticks: dict[int, list[Plots]] = {}
    for batch in batches:
        ticks.setdefault(-(-batch.rx_us // shipped.TICK_US), []).append(batch)
    backwards = [batch for slot in sorted(ticks) for batch in reversed(ticks[slot])]
    assert any(a is not b for a, b in zip(batches, backwards, strict=True))
    forward = run(scenario, batches)
    assert [digest(e) for e in forward] == [digest(e) for e in run(scenario, backwards)]
    assert any(isinstance(event, AlertChanged) for events in forward for event in events)


def test_a_snapshot_taken_anywhere_goes_on_as_if_nothing_had_happened(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    whole = [digest(e) for e in run(scenario, batches)]
    engine, cut = shipped.engine(scenario.sensors), []
    tick_us = scenario.start_us
    for tick_us, events in shipped.play(engine, scenario, 20.0, batches):  # noqa: B007
        cut.append(digest(events))
    other = shipped.engine(scenario.sensors)
    other.restore(copy.deepcopy(engine.snapshot()))
    rest = [batch for batch in batches if batch.rx_us > tick_us]
    for later_us in range(tick_us + shipped.TICK_US, scenario.start_us + 40_000_001, shipped.TICK_US):
        while rest and rest[0].rx_us <= later_us:
            other.feed(rest.pop(0))
        cut.append(digest(other.tick(later_us)))
    assert cut == whole


def test_every_plot_is_accounted_for(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    engine = shipped.engine(scenario.sensors)
    again = [b for batch in batches for b in (batch, batch)]  # everything twice
    for _, _ in shipped.play(engine, scenario, 30.0, again):
        assert engine.counters.balance() == 0
    fed = [b for b in batches if b.rx_us <= scenario.start_us + 30_000_000]
    assert engine.counters.used == sum(max(1, len(b)) for b in fed)
    assert engine.counters.duplicate == sum(max(1, len(b)) for b in fed)
    assert engine.counters.received == engine.counters.used + engine.counters.duplicate


def test_late_and_future_plots_are_counted_and_change_nothing(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    clean, dirty = shipped.engine(scenario.sensors), shipped.engine(scenario.sensors)
    list(shipped.play(clean, scenario, 20.0, batches))
    ticks = shipped.play(dirty, scenario, 20.0, batches)
    for tick_us, _ in ticks:
        if tick_us == scenario.start_us + 19_000_000:
            for off_us in (-15_000_000, 5_000_000):
                t_us = np.array([tick_us + off_us])
                dirty.feed(plots("R1", PlotKind.POLAR, tick_us, t_us, range_m=[9e4], azimuth_rad=[1.0]))
    assert dirty.counters.late == 1
    assert dirty.counters.rejected == {"future": 1}
    assert dirty.counters.balance() == 0
    now_us = scenario.start_us + 20_100_000
    a, b = clean.tracker.table(now_us), dirty.tracker.table(now_us)
    assert np.array_equal(a.state, b.state)


def test_rejected_plots_of_a_message_are_counted_beside_the_valid_ones(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, _ = scene
    engine = shipped.engine(scenario.sensors)
    batch = plots("R1", PlotKind.POLAR, shipped.START_US, np.empty(0, np.int64), boot=1, seq=0)
    engine.feed(batch, {"out-of-range": 3})
    assert (engine.counters.received, engine.counters.used) == (3, 0)
    assert engine.fused("R1") == ()  # before the tick nothing is promised
    engine.tick(shipped.START_US + shipped.TICK_US)
    assert engine.fused("R1") == ((1, 0, 0),)
    engine.feed(replace(batch, seq=1))
    assert (engine.counters.received, engine.counters.used) == (4, 1)


def test_deltas_added_to_the_last_full_picture_give_the_next_full_one(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    held: dict[int, tuple[int, int]] = {}
    full_seen = 0
    for events in run(scenario, batches, 30.0):
        for event in events:
            if not isinstance(event, Picture):
                continue
            rows = zip(event.tracks.id.tolist(), event.tracks.hits.tolist(), event.tracks.status.tolist(), strict=True)
            shown = {i: (hits, status) for i, hits, status in rows}
            for counter, _why in event.dropped:
                held.pop(counter, None)
            if event.full:
                full_seen += 1
                stale = {i for i in held if held[i] != shown.get(i)}
                assert all(shown.get(i) is not None for i in held), f"a track left without a word: {stale}"
                held = shown
            else:
                held.update(shown)
    assert full_seen >= 29


def test_only_confirmed_and_coasting_tracks_are_shown(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    pictures = [e for events in run(scenario, batches, 15.0) for e in events if isinstance(e, Picture)]
    assert max(len(p.tracks) for p in pictures) >= 12
    for picture in pictures:
        assert not (picture.tracks.status == TrackStatus.TENTATIVE).any()
        assert (np.diff(picture.tracks.id) > 0).all()


def test_the_ledger_is_told_and_stands_in_the_incident(scene: tuple[Scenario, list[Plots]]) -> None:
    events = [event for one in run(*scene) for event in one]
    noted = [event for event in events if isinstance(event, PassageNoted)]
    assert len({event.passage.track for event in noted}) > 10, "every object of the scene was first seen over a state"
    for event in noted:
        assert event.passage in event.ledger
        assert [entry.number for entry in event.ledger] == list(range(1, len(event.ledger) + 1))
    told = [event.incident for event in events if isinstance(event, IncidentChanged)]
    (drone,) = told[-1].members
    (first,) = [event.passage for event in noted if event.passage.track == drone.track]
    assert (first.kind, first.state) == (PassageKind.FIRST, "BY")
    assert drone.states == told[-1].states == ("BY",)


def test_commands_are_answered_at_the_next_tick(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    engine = shipped.engine(scenario.sensors)
    raised = []
    tick_us = scenario.start_us
    for tick_us, events in shipped.play(engine, scenario, 40.0, batches):  # noqa: B007
        raised += [e.alert for e in events if isinstance(e, AlertChanged) and e.alert.state == "raised"]
        if raised:
            break
    alert = raised[0]
    engine.feed(Command(tick_us, "acknowledge", alert.id, "J. Kazlauskas", correlation=b"7", response_topic="r"))
    engine.feed(Command(tick_us, "acknowledge", "nothing-of-that-name", "J. Kazlauskas"))
    events = engine.tick(tick_us + shipped.TICK_US)
    answers = [e for e in events if isinstance(e, Answer)]
    assert [a.ok for a in answers] == [True, False]
    changed = [e.alert for e in events if isinstance(e, AlertChanged)]
    assert changed[0].state == "acknowledged"
    assert changed[0].acknowledged_by == "J. Kazlauskas"
    assert changed[0].id == alert.id


def test_health_tells_a_silent_sensor_from_a_quiet_sky(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    engine = shipped.engine(scenario.sensors)
    without = [b for b in batches if b.sensor != "R2" or b.rx_us < scenario.start_us + 5_000_000]
    seen: list[HealthChanged] = []
    for _, events in shipped.play(engine, scenario, 35.0, without):
        seen += [e for e in events if isinstance(e, HealthChanged)]
    states = {s: [e.health.state for e in seen if e.health.sensor == s] for s in ("A1", "R1", "R2")}
    assert states["R1"][-1] == "ok"
    assert states["R2"][-1] == "stale"
    assert Counter(states["A1"])["ok"] >= 25
    last = seen[-1].health
    engine.feed(SensorStatus("R1", last.t_us, last.t_us, "degraded", "transmitter at half power"))
    engine.feed(Met("R1", last.t_us, last.t_us, 1002.0))
    events = engine.tick(last.t_us + 2_000_000)
    found = {e.health.sensor: e.health for e in events if isinstance(e, HealthChanged)}
    assert (found["R1"].state, found["R1"].detail) == ("degraded", "transmitter at half power")


def test_time_that_runs_backwards_is_a_broken_invariant(scene: tuple[Scenario, list[Plots]]) -> None:
    engine = shipped.engine(scene[0].sensors)
    engine.tick(shipped.START_US)
    with pytest.raises(ValueError, match="after tick"):
        engine.tick(shipped.START_US - 1)


def test_an_alert_raised_from_a_backlog_says_so(scene: tuple[Scenario, list[Plots]]) -> None:
    scenario, batches = scene
    engine = shipped.engine(scenario.sensors)
    late = [take_late(batch, 12_000_000) for batch in batches]
    alerts = [
        event.alert
        for _, events in shipped.play(engine, scenario, 52.0, late)
        for event in events
        if isinstance(event, AlertChanged) and event.alert.state == "raised"
    ]
    assert alerts
    assert all(alert.delayed for alert in alerts)


def take_late(batch: Plots, by_us: int) -> Plots:
    """The same batch, arriving later."""
    return replace(take(batch, np.arange(len(batch))), rx_us=batch.rx_us + by_us)
