"""A SAPIENT peer of others registers us, reads what we say, loses us and has it again; and what it says comes in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from adapters import samples, ulids
from adapters.bridges.common import Heard
from adapters.bridges.sapient import Sapient
from adapters.broker import now_us
from adapters.formats import sapient
from adapters.formats import status as statuses
from adapters.outlets import sapient as outlet
from adapters.outlets.held import Held
from adapters.outlets.listener import Listener
from adapters.outlets.sapient import SapientOutlet, troubles
from adapters.samples import NAMES
from fusion.schema import SensorKind, SensorSpec
from tests.broker_scene import until
from tests.sapientpeer import NODE, Peer, frames
from tests.test_formats_sapient import HEAD, IDS, PLACE, SEEN
from tests.test_outlets_cot import hear, listener, say
from tests.test_outlets_held import BASE, track_payload

pytestmark = pytest.mark.alone
OURS = sapient.Node(sapient.node_of(NAMES.site), NAMES.site)


def watching(state: str = "live") -> Listener:
    """A listener that has heard how the service is."""
    to = listener()
    hear(to, "status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), state, 5)))
    return to


@asynccontextmanager
async def telling(to: Listener, port: int, played: bool = False) -> AsyncIterator[SapientOutlet]:
    out = SapientOutlet(("127.0.0.1", port), OURS, 0.05, played)
    task = asyncio.create_task(out.serve(to))
    try:
        yield out
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_we_register_and_then_tell_tracks_alerts_and_their_ends() -> None:
    to, raised = watching(), samples.alarm()
    for counter in (1, 2, 17):
        hear(to, f"track/5:{counter}", track_payload(counter, now_us()))

    async def play(peer: Peer) -> None:
        async with telling(to, peer.port) as out:
            await asyncio.to_thread(peer.next, "status_report")
            assert [next(iter(set(m) - {"timestamp", "node_id"})) for m in peer.seen] == [
                "registration",
                "status_report",
            ]
            for _ in range(3):
                await asyncio.to_thread(peer.next, "detection_report")
            for said in (raised, replace(raised, state="acknowledged", acknowledged_by="ada"), replace(raised, state="closed")):  # noqa: E501 # fmt: skip
                say(to, said)
                await asyncio.to_thread(peer.next, "alert")
            hear(to, "track/5:2", b"")
            last = await asyncio.to_thread(peer.next, "detection_report")
            while last["detection_report"]["state"] != "lost":
                last = await asyncio.to_thread(peer.next, "detection_report")
            assert ulids.track_of(last["detection_report"]["object_id"]) == "5:2"
            assert "registered" in out.words()
        goodbye = await asyncio.to_thread(peer.next, "status_report")
        while goodbye["status_report"]["system"] != "SYSTEM_GOODBYE":
            goodbye = await asyncio.to_thread(peer.next, "status_report")

    with Peer() as peer:
        asyncio.run(play(peer))
    assert {message["node_id"] for message in peer.seen} == {OURS.id}
    alerts = [message["alert"] for message in peer.seen if "alert" in message]
    assert {ulids.alert_of(one["alert_id"]) for one in alerts} == {raised.id}
    assert [one["status"][13:] for one in alerts] == ["ACTIVE", "ACKNOWLEDGE", "CLEAR"]
    places = [m["detection_report"] for m in peer.seen if "detection_report" in m]
    assert {ulids.track_of(one["object_id"]) for one in places} == {"5:1", "5:2", "5:17"}
    told = to.held.track("5:1")
    assert told is not None
    assert (places[0]["location"]["y"], places[0]["location"]["x"]) == (told.lat_deg, told.lon_deg)


def test_after_a_lost_connection_what_ended_is_ended_and_the_rest_told_anew() -> None:
    to, raised = watching(), samples.alarm()
    for counter in (1, 2):
        hear(to, f"track/5:{counter}", track_payload(counter, now_us()))
    say(to, raised)

    async def play(peer: Peer) -> None:
        async with telling(to, peer.port) as out:
            await until(lambda: len(out._shown) == 2 and len(out._open) == 1)
            await asyncio.to_thread(peer.next, "alert")
            await asyncio.to_thread(peer.cut)
            hear(to, "track/5:1", b"")
            hear(to, "alert/" + raised.id, b"")
            await until(lambda: out.connects == 2 and list(out._shown) == ["5:2"] and not out._open)
        while True:
            message = await asyncio.to_thread(peer.next, "status_report")
            if message["status_report"]["system"] == "SYSTEM_GOODBYE":
                return

    with Peer() as peer:
        asyncio.run(play(peer))
    ends = [
        (m["detection_report"]["object_id"]) for m in peer.seen if m.get("detection_report", {}).get("state") == "lost"
    ]
    assert [ulids.track_of(name) for name in ends] == ["5:1"]
    assert [m["alert"]["status"][13:] for m in peer.seen if "alert" in m][-1] == "CLEAR"


def test_who_refuses_us_or_does_not_answer_hears_nothing_and_we_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "PATIENCE_S", 1.0)
    to = listener()
    hear(to, "track/5:1", track_payload(1, now_us()))

    async def play(port: int, why: str) -> None:
        async with telling(to, port) as out:
            await until(lambda: why in out.problem)
            assert not out._shown

    with Peer(accepts=False) as peer:
        asyncio.run(play(peer.port, "it refused us: not wanted here"))
        assert "registration" in peer.next("registration")
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        asyncio.run(play(deaf.getsockname()[1], "no answer to our registration"))


def test_what_is_played_is_kept_back_unless_it_is_asked_for() -> None:
    to = watching()
    payload = track_payload(1, now_us())
    hear(to, "track/5:1", payload[:-1] + b',"simulated":true}')

    async def play(peer: Peer, played: bool) -> str:
        async with telling(to, peer.port, played) as out:
            await until(lambda: bool(out._shown) if played else out.kept_back > 0)
            if not played:
                assert not out._shown
            else:
                said = await asyncio.to_thread(peer.next, "detection_report")
                assert said["additional_information"] == "SIMULATED."
            return out.words()

    with Peer() as peer:
        assert "1 of a simulation, exercise or replay kept back" in asyncio.run(play(peer, False))
        asyncio.run(play(peer, True))


def test_nothing_is_told_before_it_is_known_whether_it_is_played() -> None:
    to = listener()
    hear(to, "track/5:1", track_payload(1, now_us()))
    say(to, samples.alarm())

    async def play(peer: Peer) -> None:
        async with telling(to, peer.port) as out:
            await until(lambda: out.connects == 1 and out.sent >= 2)
            await asyncio.sleep(0.3)
            assert (out.sent, out._shown, out._open) == (2, {}, {})
            hear(to, "status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), "replay", 5)))
            await until(lambda: out.kept_back >= 2)
            assert not out._shown

    with Peer() as peer:
        asyncio.run(play(peer))


def test_what_was_told_as_real_is_ended_when_a_replay_begins() -> None:
    to, raised = watching(), samples.alarm()
    hear(to, "track/5:1", track_payload(1, now_us()))
    say(to, raised)

    async def play(peer: Peer) -> None:
        async with telling(to, peer.port) as out:
            await until(lambda: bool(out._shown and out._open))
            hear(to, "status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), "replay", 5)))
            hear(to, "track/5:1", track_payload(1, now_us()))
            say(to, replace(raised, state="closed", close_reason="landed"))
            await until(lambda: not out._shown and not out._open)
            lost = clear = False
            while not (lost and clear):
                await asyncio.to_thread(peer.next, "node_id")
                lost |= peer.seen[-1].get("detection_report", {}).get("state") == "lost"
                clear |= peer.seen[-1].get("alert", {}).get("status") == "ALERT_STATUS_CLEAR"

    with Peer() as peer:
        asyncio.run(play(peer))
    assert not [message for message in peer.seen if "additional_information" in message]


def test_an_end_that_may_not_have_come_is_said_again() -> None:
    to, raised = watching(), samples.alarm()
    hear(to, "track/5:1", track_payload(1, now_us()))
    say(to, raised)

    async def play(peer: Peer) -> None:
        async with telling(to, peer.port) as out:
            await until(lambda: bool(out._shown and out._open))
            hear(to, "track/5:1", b"")
            say(to, replace(raised, state="closed", close_reason="landed"))
            await until(lambda: not out._shown and not out._open)
            await asyncio.to_thread(peer.cut)
            await until(lambda: out.connects == 2)
            while [len(found) for found in ended(peer)] != [2, 2]:
                await asyncio.to_thread(peer.next, "node_id")

    def ended(peer: Peer) -> tuple[list[str], list[str]]:
        reports = [message.get("detection_report", {}) for message in peer.seen]
        alerts = [message.get("alert", {}) for message in peer.seen]
        return (
            [one["report_id"] for one in reports if one.get("state") == "lost"],
            [one["alert_id"] for one in alerts if one.get("status") == "ALERT_STATUS_CLEAR"],
        )

    with Peer() as peer:
        asyncio.run(play(peer))
        assert [len(set(found)) for found in ended(peer)] == [1, 1]


def test_what_keeps_the_picture_from_being_good_is_told() -> None:
    held = Held(NAMES.site)
    assert troubles(held, True) == [("no word of the service", False)]
    well = statuses.StatusInfo(NAMES.site, now_us(), "live", 5)
    held.take(BASE + "status", statuses.encode(well), True, now_us())
    assert troubles(held, True) == []
    assert troubles(held, False) == [("no word of the service", False)]
    held.take(BASE + "status", statuses.encode(replace(well, state="starting", load_level=2)), True, now_us())
    assert [text for text, _ in troubles(held, True)] == ["service starting", "overload, level 2"]


# --- the other way ---


def test_reports_of_named_nodes_come_in_and_all_else_is_counted() -> None:
    other = "99999999-2222-4333-8444-555555555555"
    said = frames(
        [
            {**HEAD, "detection_report": {**IDS, "range_bearing": SEEN}},
            {**HEAD, "node_id": NODE.upper(), "detection_report": {**IDS, "range_bearing": SEEN}},
            {**HEAD, "node_id": other, "detection_report": {**IDS, "range_bearing": SEEN}},
            {**HEAD, "detection_report": {**IDS, "location": PLACE}},  # of a node that is a radar here
            {**HEAD, "alert": {"alert_id": IDS["report_id"]}},
        ]
    )
    ear, heard = Sapient({NODE: SensorSpec("R1", 0, SensorKind.RADAR_3D)}), Heard()
    stream = b"".join(said)
    for start in range(0, len(stream), 11):
        ear.hear([(1_795_414_501_000_000, stream[start : start + 11])], heard)
    assert [batch.sensor for batch in heard.batches] == ["R1", "R1"]
    assert heard.pieces == 5
    assert dict(heard.refused) == {"unknown-node": 1, "unregistered": 1, "no-detection: alert": 1}
    ear.hear([(1, said[0][:20]), (1, b"\xff\xff\xff\xff"), (2, b"\xff" * 40)], heard)
    ear.cut()
    ear.hear([(3, said[0])], heard)
    assert len(heard.batches) == 3
