"""One alert has one id and one life in every dialect: raised, changed and closed reaches each of them under that id."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from adapters import samples, ulids
from adapters.broker import BrokerSettings, now_us
from adapters.formats import alert as alerts
from adapters.formats import cap, cat004, cot, czml, geojson, kml, sapient
from adapters.formats import status as statuses
from adapters.outlets.asterix import Teller
from adapters.outlets.cap import Drafter, Wanted
from adapters.outlets.cot import CotOutlet
from adapters.outlets.geojson import GeoJson, Mouth
from adapters.outlets.listener import Listener
from adapters.outlets.maps import as_czml, as_kml
from adapters.outlets.systemtracks import Sender
from adapters.outlets.web import geojson_pages, tar1090_pages
from adapters.samples import NAMES
from fusion.schema import Alert
from tests.broker_scene import until
from tests.test_outlets_held import BASE, track_payload

RAISED = samples.alarm()
LIFE = (
    RAISED,
    replace(RAISED, state="acknowledged", acknowledged_by="J. Petraitis", severity=1),
    replace(RAISED, state="updated", severity=1, identity="suspect", identity_by="J. Petraitis"),
    replace(RAISED, state="closed", severity=1, close_reason="landed"),
)


class Ear:
    """A way to TAK that keeps what it is given."""

    lossy = False

    def __init__(self) -> None:
        self.events: list[cot.Event] = []

    async def open(self) -> None:
        """At once."""

    def check(self) -> None:
        """It is there."""

    async def send(self, events: Iterable[bytes]) -> None:
        """Kept, read back."""
        self.events += map(cot.decode, events)

    def close(self) -> None:
        """Nothing to do."""


def say(listener: Listener, said: Alert) -> None:
    """What the broker brings of a transition: the alert, and after its end the empty topic."""
    topic = f"{BASE}alert/{said.id}"
    listener.held.take(topic, alerts.encode(said, NAMES, 1), False, now_us())
    if said.state == "closed":
        listener.held.take(topic, b"", False, now_us())
    listener.ring()


def served(listener: Listener, path: str) -> Any:
    """What a page answers now."""
    pages = {page.path: page.make for page in (*geojson_pages(), *tar1090_pages(()))}
    return json.loads(pages[path](listener))


def test_an_alert_is_raised_changed_and_closed_under_one_id_in_every_dialect() -> None:
    listener = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test")
    listener.held.take(f"{BASE}track/{RAISED.track}", track_payload(17, now_us()), False, now_us())
    ear, pipe, pages = Ear(), io.BytesIO(), list[tuple[list[str], list[str]]]()

    def lines() -> list[geojson.AlertMark]:
        return [
            mark
            for line in pipe.getvalue().splitlines()
            for mark in geojson.decode(b'{"type":"FeatureCollection","features":[%s]}' % line).alerts
        ]

    def told() -> list[cot.Event]:
        return [event for event in ear.events if event.uid == cot.alert_uid(NAMES.site, RAISED.id)]

    def heard(count: int) -> Callable[[], bool]:
        return lambda: len(lines()) >= count and len(told()) >= count

    async def play() -> None:
        out = GeoJson(0.05, None)
        tasks = [
            asyncio.create_task(CotOutlet(ear, 0.05).serve(listener)),
            asyncio.create_task(out._alert_lines(listener, Mouth(pipe))),
        ]
        for count, said in enumerate(LIFE, 1):
            say(listener, said)
            await until(heard(count))
            collection, shown = served(listener, "/picture.geojson"), served(listener, "/data/aircraft.json")
            pages.append((
                [f["id"] for f in collection["features"] if f["properties"]["kind"] == "alert"],
                [name for aircraft in shown["aircraft"] for name in aircraft["vedette"].get("alerts", ())],
            ))  # fmt: skip
        await until(lambda: any(event.type == cot.DELETE for event in ear.events))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(play())
    assert [(mark.id, mark.state, mark.severity) for mark in lines()] == [(a.id, a.state, a.severity) for a in LIFE]
    assert [(event.type, dict(event.own)["alert"]) for event in told()] == [
        *[(cot.ALERT, RAISED.id)] * 3, (cot.CANCEL, RAISED.id)
    ]  # fmt: skip
    assert [dict(event.own)["alert_state"] for event in told()] == [said.state for said in LIFE]
    assert [event.linked for event in ear.events if event.type == cot.DELETE] == [told()[0].uid]
    assert pages == [([RAISED.id], [RAISED.id])] * 3 + [([], [])]
    # What a person says of it reaches the object on the map, and is taken back with the alert.
    last = listener.held.track(RAISED.track)
    assert last is not None
    assert cot.track(last, NAMES.site, LIFE[2]).type == "a-s-A"


def test_an_update_and_an_end_reach_sapient_cap_kml_and_czml_under_the_same_id() -> None:
    """What each says at every transition; what peers read of it is in their own tests."""
    listener = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test")
    listener.held.take(f"{BASE}status", statuses.encode(statuses.StatusInfo(NAMES.site, now_us(), "live", 5)), True, 1)
    node, drafter = sapient.Node(sapient.node_of(NAMES.site), NAMES.site), Drafter(Wanted(NAMES.site, "a@example.org"))
    drafts: list[cap.Draft] = []
    warned, shown, packets = [], [], []
    for n, said in enumerate(LIFE):
        near = msgspec.json.decode(track_payload(17, now_us())) | {"time_to_border_s": 500.0 - 150.0 * n}
        listener.held.take(f"{BASE}track/{RAISED.track}", msgspec.json.encode(near), False, now_us())
        before = listener.held.alert_number
        say(listener, said)
        (found,) = listener.held.alert_changes(before).alerts if before else listener.held.alerts()
        warned.append(sapient.alert(node, found, now_us()).alert)
        drafts += [draft for _, _, draft in drafter.due(listener.held, True, now_us() + n)]
        shown.append([mark.said["state"] for mark in kml.decode(as_kml(listener)) if mark.folder == kml.ALERTS])
        packets.append([p.properties["id"] for p in czml.decode(as_czml(listener)) if p.id.startswith("alert.")])
    assert {ulids.alert_of(one.alert_id) for one in warned} == {RAISED.id}
    assert [one.status for one in warned] == [1, 2, 1, 5]  # active, acknowledged, active again, clear
    assert {draft.incident for draft in drafts} == {f"vedette.{NAMES.site}.{RAISED.id}"}
    assert [(draft.type, draft.level) for draft in drafts] == [
        ("Alert", "yellow"),
        ("Update", "red"),
        ("Update", "clear"),
    ]
    assert shown == [["raised"], ["acknowledged"], ["updated"], []]
    assert packets == [[RAISED.id]] * 3 + [[]]


def test_in_asterix_it_has_one_number_from_its_first_word_to_its_end() -> None:
    listener, teller = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test"), Teller(Sender(25, 100), {})
    heard: list[cat004.Warned] = []
    for said in LIFE:
        before = listener.held.alert_number
        say(listener, said)
        found = listener.held.alert_changes(before)
        heard += cat004.decode(b"".join(teller.alerts(listener.held, found.alerts, found.whole, now_us())))[0]
    assert [one.kind for one in heard] == [cat004.AIRSPACE_INFRINGEMENT] * 3 + [cat004.END_OF_CONFLICT]
    assert [one.alert for one in heard] == [heard[0].alert] * 4
    assert [one.severe for one in heard[:3]] == [False, True, True]  # its end says nothing of that


@pytest.mark.parametrize("state", ["raised", "updated", "acknowledged"])
def test_a_reader_that_comes_late_finds_the_alert_as_it_stands(state: str) -> None:
    listener = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test")
    say(listener, replace(RAISED, state=state))
    ear = Ear()

    async def play() -> None:
        task = asyncio.create_task(CotOutlet(ear, 0.05).serve(listener))
        await until(lambda: bool(ear.events))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())
    assert (ear.events[0].type, dict(ear.events[0].own)["alert_state"]) == (cot.ALERT, state)
    assert [f["id"] for f in served(listener, "/picture.geojson")["features"]] == [RAISED.id]
