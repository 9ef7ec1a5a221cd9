"""The picture that a listener holds: what it keeps, what it lets go, and what a reader learns of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import samples
from adapters.formats import alert, health, picture, status, track
from adapters.outlets.held import EXPIRY_US, MOST_TRACKS, NO_LONGER_HELD, SETTLE_US, Held
from adapters.rows import OWN
from adapters.running.outbox import Outbox
from adapters.samples import NAMES, NOW_US
from adapters.ui import sky
from fusion import bank, schema
from fusion.schema import US_PER_S, AlertChanged, Event, Health, Picture

BASE = f"vedette/v1/{NAMES.site}/"
RAISED = samples.alarm()


def track_payload(counter: int = 17, t_us: int = NOW_US, speed_mps: float = 41.6) -> bytes:
    tracks = replace(samples.tracks(), id=np.array([counter]), t_us=t_us)
    assessment = replace(samples.assessment(), speed_mps=np.array([speed_mps]))
    return track.encode(tracks, assessment, 0, NAMES, 1, samples.forecast())


def picture_payload(
    counters: list[int],
    full: bool = False,
    dropped: tuple[int, ...] = (),
    t_us: int = NOW_US,
    speed_mps: float = 50.0,
    seq: int = 1,
) -> list[bytes]:
    rows = np.zeros(len(counters), np.int64)
    tracks = replace(schema.take(samples.tracks(), rows), id=np.array(counters, np.int64), t_us=t_us)
    assessment = replace(
        schema.take(samples.assessment(), rows), speed_mps=np.full(len(counters), speed_mps, np.float64)
    )
    ended = tuple((counter, "left coverage") for counter in dropped)
    return picture.encode(Picture(t_us, full, tracks, assessment, ended), NAMES, seq)


def holding(*counters: int) -> Held:
    held = Held(NAMES.site)
    for counter in counters:
        held.take(f"{BASE}track/5:{counter}", track_payload(counter), False, NOW_US)
    return held


def ids(held: Held) -> list[str]:
    return sorted(told.id for told in held.tracks())


def test_a_track_reads_back_as_it_was_said() -> None:
    held = holding(17)
    told = held.track("5:17")
    assert told is not None
    said = json.loads(track_payload())
    for name, value in said.items():
        if name in ("site", "seq", "time", "other_classes", "sensors"):
            continue
        assert getattr(told, name) == value, name
    assert told.t_us == NOW_US
    assert [(c.object_class, c.p_class) for c in told.other_classes or ()] == [
        (c["object_class"], c["p_class"]) for c in said["other_classes"]
    ]


def test_a_picture_renews_a_track_and_leaves_what_only_its_own_topic_says() -> None:
    held = holding(17)
    before = held.track("5:17")
    for part in picture_payload([17, 18], t_us=NOW_US + 100_000):
        held.take(f"{BASE}picture-delta", part, False, NOW_US)
    told, other = held.track("5:17"), held.track("5:18")
    assert told is not None
    assert other is not None
    assert before is not None
    assert (told.speed_mps, told.t_us) == (50.0, NOW_US + 100_000)
    assert [getattr(told, name) for name in OWN] == [getattr(before, name) for name in OWN]
    assert {getattr(other, name) for name in OWN} == {None}
    # Its own topic comes late: what it alone says is taken, the older place is not.
    held.take(f"{BASE}track/5:17", track_payload(17, NOW_US + 50_000, 30.0), False, NOW_US)
    late = held.track("5:17")
    assert late is not None
    assert (late.speed_mps, late.t_us) == (50.0, NOW_US + 100_000)


def test_a_track_goes_when_it_is_said_to_have_ended() -> None:
    held = holding(1, 2, 3)
    seen = held.number
    held.take(f"{BASE}track/5:1", b"", False, NOW_US)
    held.take(f"{BASE}picture-delta", picture_payload([], dropped=(2,))[0], False, NOW_US)
    found = held.changes(seen)
    assert (ids(held), found.gone, found.changed, found.whole) == (["5:3"], ("5:1", "5:2"), (), False)
    assert held.changes(found.number).gone == ()


def test_a_whole_picture_leaves_nothing_that_it_does_not_name() -> None:
    held = holding(1, 2, *range(100, 260))
    parts = picture_payload(list(range(100, 260)), full=True, t_us=NOW_US, seq=9)
    assert len(parts) > 1, "one part would prove little"
    for part in parts[:-1]:
        held.take(f"{BASE}picture-delta", part, False, NOW_US)
    assert held.count() == 162
    held.take(f"{BASE}picture-delta", parts[-1], False, NOW_US)
    assert ids(held) == [f"5:{counter}" for counter in range(100, 260)]


def test_halves_of_two_runs_of_a_service_make_no_whole_though_both_count_from_nothing() -> None:
    held = holding(*range(100, 260))
    torn = picture_payload(list(range(100, 260)), full=True, seq=1)[0]  # the service ended with it
    parts = picture_payload(list(range(100, 260)), full=True, t_us=NOW_US + 5_000_000, seq=1)
    for payload in (torn, *parts):
        held.take(f"{BASE}picture-delta", payload, False, NOW_US)
        assert held.count() == 160


def test_half_of_a_whole_picture_and_half_of_the_next_make_no_whole() -> None:
    held = holding(1, *range(100, 260))
    first = picture_payload(list(range(100, 260)), full=True, seq=9)
    second = picture_payload(list(range(100, 260)), full=True, seq=10)
    held.take(f"{BASE}picture-delta", first[0], False, NOW_US)
    held.take(f"{BASE}picture-delta", second[1], False, NOW_US)
    assert "5:1" in ids(held)


def test_what_nothing_was_said_of_goes_with_time() -> None:
    held = holding(1, 2)
    held.take(f"{BASE}sensor/R1/health", health.encode(sensor(), 1), False, NOW_US)
    held.take(f"{BASE}track/5:2", track_payload(2, NOW_US + 10 * US_PER_S), False, NOW_US + 10 * US_PER_S)
    held.expire(NOW_US + EXPIRY_US)
    assert (ids(held), list(held.health)) == (["5:1", "5:2"], ["R1"])
    held.expire(NOW_US + EXPIRY_US + 1)
    assert (ids(held), list(held.health)) == (["5:2"], [])


def test_an_old_retained_track_is_judged_by_the_clock_of_the_service_not_by_ours() -> None:
    """Our clock may be a day wrong: only what the service says beside it tells that a retained message is old."""
    ours_us = NOW_US - 86_400 * US_PER_S
    held = Held(NAMES.site)
    held.take(f"{BASE}track/5:1", track_payload(1, NOW_US - EXPIRY_US - 1), True, ours_us)
    held.take(f"{BASE}track/5:2", track_payload(2, NOW_US - 1), True, ours_us)
    held.expire(ours_us)
    assert ids(held) == ["5:1", "5:2"], "nobody has said what time it is"
    held.take(f"{BASE}picture-delta", picture_payload([3])[0], False, ours_us)
    held.expire(ours_us)
    assert ids(held) == ["5:2", "5:3"]


def sensor() -> Health:
    return Health("R1", NOW_US, "ok", NOW_US - 400_000, NOW_US, 11.4, 0.41, 1.04, 812, 77, bias=samples._bias())


def test_health_and_status_are_held() -> None:
    held = Held(NAMES.site)
    held.take(f"{BASE}sensor/R1/health", health.encode(sensor(), 1), True, NOW_US)
    held.take(f"{BASE}status", status.encode(samples._status()), True, NOW_US)
    assert held.health["R1"].rate_hz == 11.4
    assert held.status == samples._status()
    held.take(f"{BASE}status", status.will(NAMES.site), False, NOW_US)
    assert (held.status.state, held.status.t_us) == ("offline", -1)
    assert "service offline" in held.words()


def say(held: Held, *transitions: schema.Alert) -> None:
    for said in transitions:
        held.take(f"{BASE}alert/{said.id}", alert.encode(said, NAMES, 1), False, NOW_US)


def test_an_alert_lives_and_every_transition_is_told_once() -> None:
    held = Held(NAMES.site)
    raised = replace(RAISED, severity=3)
    say(held, raised)
    first = held.alert_changes(0)
    assert (first.whole, first.alerts) == (True, (raised,))
    updated = replace(raised, state="updated", severity=1, t_us=NOW_US + 1_000)
    closed = replace(updated, state="closed", close_reason="landed")
    say(held, updated, updated, closed)
    held.take(f"{BASE}alert/{RAISED.id}", b"", False, NOW_US)
    then = held.alert_changes(first.number)
    assert (then.whole, then.alerts, held.alerts()) == (False, (updated, closed), ())


def test_an_alert_that_a_new_connection_does_not_bring_again_is_closed_once_it_has_settled() -> None:
    held = Held(NAMES.site)
    other = replace(RAISED, id="0" * 16)
    held.connected(NOW_US)
    say(held, RAISED, other)
    seen = held.alert_number
    held.connected(NOW_US + US_PER_S)
    say(held, other)
    held.expire(NOW_US + SETTLE_US)
    assert held.alert_number == seen, "still time to be told again"
    held.expire(NOW_US + US_PER_S + SETTLE_US)
    assert held.alert_number == seen, "the service is not heard: nobody knows"
    for state in ("offline", "starting", "live"):
        held.take(f"{BASE}status", status.encode(status.StatusInfo(NAMES.site, NOW_US, state, 5)), True, NOW_US)
        assert held.alert_number == seen
        held.expire(NOW_US + US_PER_S + SETTLE_US)
    (gone,) = held.alert_changes(seen).alerts
    assert (gone.id, gone.state, gone.close_reason) == (RAISED.id, "closed", NO_LONGER_HELD)
    assert held.alerts() == (other,)


def test_limits_are_kept_and_counted() -> None:
    held = Held(NAMES.site, tracks=2, alerts=1)
    for counter in (1, 2, 3, 1):
        held.take(f"{BASE}track/5:{counter}", track_payload(counter), False, NOW_US)
    say(held, RAISED, replace(RAISED, id="0" * 16))
    assert ids(held) == ["5:1", "5:2"]
    assert held.refused == {"too-many-tracks": 1, "too-many-alerts": 1}


def test_a_reader_that_is_too_far_behind_starts_anew() -> None:
    held = Held(NAMES.site, remembered=3)
    for counter in range(1, 7):
        held.take(f"{BASE}track/5:{counter}", track_payload(counter), False, NOW_US)
    seen = held.number
    for counter in (1, 2, 3):
        held.take(f"{BASE}track/5:{counter}", b"", False, NOW_US)
    assert (held.changes(seen).whole, held.changes(seen).gone) == (False, ("5:1", "5:2", "5:3"))
    held.take(f"{BASE}track/5:4", b"", False, NOW_US)
    found = held.changes(seen)
    assert found.whole
    assert [told.id for told in found.changed] == ["5:5", "5:6"]


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("track/5:18", track_payload(17), "malformed"),
        ("track/5:17", track_payload(17).replace(b"54.5431", b"154.5431"), "out-of-range"),
        ("track/5:17", b"{", "malformed"),
        ("track/5:17", b'{"schema": "vedette.track.v9"}', "wrong-schema"),
        ("alert/x", alert.encode(RAISED, NAMES, 1), "malformed"),
        ("sensor/R9/health", health.encode(sensor(), 1), "malformed"),
        ("else", b"{}", "unknown-topic"),
    ],
)
def test_what_cannot_be_used_is_counted_by_reason(topic: str, payload: bytes, reason: str) -> None:
    held = Held(NAMES.site)
    held.take(BASE + topic, payload, False, NOW_US)
    assert (held.refused, held.count(), held.alerts()) == ({reason: 1}, 0, ())


@given(st.sampled_from(["track/5:1", "picture-delta", "alert/a", "sensor/R1/health", "status"]), st.binary(max_size=60))
def test_nothing_that_arrives_stops_it(topic: str, payload: bytes) -> None:
    held = Held(NAMES.site)
    held.take(BASE + topic, payload, False, NOW_US)
    held.expire(NOW_US)
    assert sum(held.refused.values()) == (0 if payload == b"" and topic[0] in "ta" else 1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["own", "delta", "whole", "end", "drop", "wait"]), st.integers(1, 4), st.booleans()),
    max_size=25,
)


@given(STEPS)
def test_a_slow_reader_comes_to_the_same_picture_as_the_listener(steps: list[tuple[str, int, bool]]) -> None:
    held = Held(NAMES.site, remembered=4)
    number, mine, t_us = 0, dict[str, float | None](), NOW_US
    for verb, counter, reads in steps:
        t_us += 100_000
        if verb == "own":
            held.take(f"{BASE}track/5:{counter}", track_payload(counter, t_us, t_us % 1_000), False, t_us)
        elif verb == "end":
            held.take(f"{BASE}track/5:{counter}", b"", False, t_us)
        elif verb == "wait":
            t_us += EXPIRY_US
        else:
            dropped = (counter,) if verb == "drop" else ()
            shown = [] if verb == "drop" else [counter]
            for part in picture_payload(shown, verb == "whole", dropped, t_us, speed_mps=t_us % 777, seq=t_us):
                held.take(f"{BASE}picture-delta", part, False, t_us)
        held.expire(t_us)
        if reads:
            found = held.changes(number)
            number = found.number
            if found.whole:
                mine = {}
            for name in found.gone:
                mine.pop(name, None)
            mine.update((told.id, told.speed_mps) for told in found.changed)
            assert mine == {told.id: told.speed_mps for told in held.tracks()}


def test_what_the_service_publishes_is_held_as_the_service_has_it() -> None:
    """Through the service's own outbox: whole pictures, changes, single tracks, ends, an alert and its end."""
    outbox, held = Outbox(NAMES), Held(NAMES.site)
    table, facts = samples.tracks(), samples.assessment()

    def turn(step: int, counters: list[int], full: bool, dropped: tuple[int, ...], *alerts: schema.Alert) -> None:
        t_us, rows = NOW_US + step * 100_000, np.zeros(len(counters), np.int64)
        tracks = replace(schema.take(table, rows), id=np.array(counters, np.int64), t_us=t_us)
        shown = replace(schema.take(facts, rows), speed_mps=np.full(len(counters), 30.0 + step))
        ended = tuple((counter, "left coverage") for counter in dropped)
        events: list[Event] = [*(AlertChanged(said) for said in alerts), Picture(t_us, full, tracks, shown, ended)]
        out = outbox.turn(events)
        for message in [*out.alerts, *out.others]:
            if not message.topic.endswith(("alert-log", "picture/0")):
                held.take(message.topic, message.payload, False, t_us)
        held.expire(t_us)

    turn(0, [1, 2, 3], True, (), RAISED)
    for step in range(1, 10):
        turn(step, [1, 2], False, ())
    assert ids(held) == ["5:1", "5:2", "5:3"]
    assert [told.speed_mps for told in held.tracks() if told.id != "5:3"] == [39.0, 39.0]
    assert all(told.sigma_height_m == 55.0 for told in held.tracks()), "their own topics were heard too"
    assert held.alerts() == (RAISED,)
    turn(10, [1], False, (2,), replace(RAISED, state="closed", close_reason="landed"))
    assert (ids(held), held.alerts()) == (["5:1", "5:3"], ())
    turn(20, [1, 4], True, ())
    assert ids(held) == ["5:1", "5:4"], "a whole picture leaves nothing that it does not name"
    assert held.refused == {}


def test_there_is_room_for_every_track_that_the_tracker_may_hold() -> None:
    assert bank.MOST_TRACKS == MOST_TRACKS == sky.TRACKS_MAX
