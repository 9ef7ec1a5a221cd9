"""What is recorded of what was said: digests that differ where anything differs, transitions by their kind."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from adapters.running.outbox import Turn
from adapters.running.outputs import Digest, Outputs, read_digest, transitions
from fusion.schema import AlertChanged, Event, Picture
from replay.simulate import Scenario
from tests import shipped

SCENE = Scenario.load("lithuania-2025-07-28")


@cache
def _played() -> list[tuple[int, list[Event]]]:
    return list(shipped.play(shipped.engine(SCENE.sensors), SCENE, 40.0))


def told(seconds: float) -> list[tuple[int, list[Event]]]:
    return [(tick_us, list(events)) for tick_us, events in _played()[: round(seconds * 10)]]


def final(ticks: list[tuple[int, list[Event]]], start: Digest | None = None) -> Digest:
    outputs = Outputs(start)
    for tick_us, events in ticks:
        outputs.hear(tick_us, events)
    return outputs.digest


def test_a_digest_a_second_that_reads_back_and_can_be_carried_on() -> None:
    ticks = told(40)
    outputs = Outputs()
    said = [digest for tick_us, events in ticks for digest in outputs.hear(tick_us, events)]
    assert len(said) == 41  # the first tick shows the whole picture too
    assert read_digest(said[-1].payload) == outputs.digest == final(ticks)
    assert "0" * 64 not in (outputs.digest.tracks, outputs.digest.alerts, outputs.digest.incidents)
    assert final(ticks[200:], final(ticks[:200])) == outputs.digest


def test_one_bit_of_one_track_changes_the_digest_of_tracks_and_no_other() -> None:
    ticks = told(6)
    whole = final(ticks)
    n = max(n for n, (_, events) in enumerate(ticks) if any(isinstance(e, Picture) and e.full for e in events))
    tick_us, events = ticks[n]
    at = next(i for i, e in enumerate(events) if isinstance(e, Picture))
    picture = events[at]
    assert isinstance(picture, Picture)
    state = picture.tracks.state.copy()
    state.view("u8")[0, 0] ^= 1
    spoilt = replace(picture, tracks=replace(picture.tracks, state=state))
    ticks[n] = (tick_us, [*events[:at], spoilt, *events[at + 1 :]])
    other = final(ticks)
    assert other.tracks != whole.tracks
    assert (other.alerts, other.incidents) == (whole.alerts, whole.incidents)


def test_one_word_of_one_alert_changes_the_digest_of_alerts() -> None:
    ticks = told(40)
    n, at = next((n, i) for n, (_, es) in enumerate(ticks) for i, e in enumerate(es) if isinstance(e, AlertChanged))
    whole = final(ticks)
    changed = ticks[n][1][at]
    assert isinstance(changed, AlertChanged)
    ticks[n][1][at] = replace(changed, alert=replace(changed.alert, sentence=changed.alert.sentence + " "))
    assert final(ticks).alerts != whole.alerts
    assert final(ticks).tracks == whole.tracks


def test_transitions_go_by_their_schema() -> None:
    entries = [b'{"schema":"vedette.alert.v1","seq":1}', b'{"schema":"vedette.incident.v1"}', b"rubbish"]
    assert [(o.topic, o.t_us) for o in transitions(5, entries)] == [("alert", 5), ("incident", 5)]
    assert [o.topic for o in Outputs().of(5, [], Turn(journal=entries, pictures=[b"{}"]))] == [
        "alert",
        "incident",
        "picture",
    ]
