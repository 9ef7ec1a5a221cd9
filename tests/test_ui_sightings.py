"""A sighting as an operator types it becomes the service's own message, and the service's word comes back."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette

from adapters.broker import BrokerSettings
from adapters.formats import sighting
from adapters.ui.access import Guard
from adapters.ui.listener import Listener, NoAnswer
from adapters.ui.settings import UiFile
from adapters.ui.sightings import Sightings
from adapters.wire import load_json, parse_time
from fusion.schema import SensorKind, SensorSpec
from tests.asgibrowser import Browser
from tests.test_ui_access import USERS

SENSORS = (SensorSpec("R1", 0, SensorKind.RADAR_2D), SensorSpec("G1", 1, SensorKind.SIGHTING))
TYPED = {"sensor": "G1", "place": "54.60, 25.40", "time": "05:00", "words": "like a moped", "operator": "J. Petraitis"}


class Heard(Listener):
    """A listener without a broker that keeps what was published."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        super().__init__("demo", BrokerSettings("127.0.0.1", 1))
        self.answer, self.published = answer, list[tuple[str, bytes]]()

    async def ask(self, subject: str, payload: bytes, about: str) -> dict[str, Any]:
        self.published.append((subject, payload))
        if self.answer is None:
            raise NoAnswer("the service did not answer")
        return self.answer


def at(listener: Listener, settings: UiFile | None = None) -> Browser:
    return Browser(Guard(Starlette(routes=Sightings(listener, SENSORS).routes()), settings or UiFile(), 8080))


def test_what_was_typed_is_what_the_service_reads() -> None:
    heard = Heard({"ok": True, "track": "1:7"})
    found = at(heard).post("/sighting", json={**TYPED, "bearing": "95", "reporter": "border guard"})
    assert (found.status_code, found.json()) == (200, {"ok": True, "detail": "1:7"})
    ((subject, payload),) = heard.published
    assert subject == "in/G1/sighting"
    read = sighting.decode(payload, SENSORS[1], 0)
    assert (read.words, read.reporter) == ("like a moped", "border guard")
    said = load_json(payload, sighting.SCHEMA)
    assert (said["lat_deg"], said["lon_deg"], said["bearing_deg"]) == (54.6, 25.4, 95.0)
    assert "T05:00:00" in said["time"]


def test_a_time_of_day_is_the_last_one_that_was() -> None:
    from adapters.ui.sightings import _TYPED, message
    from adapters.wire import dump

    now_us = parse_time("2026-11-23T06:13:00Z")
    for typed, meant in (
        ("06:13:30", "2026-11-23T06:13:30"),
        ("06:20", "2026-11-22T06:20:00"),
        ("6:05", "2026-11-23T06:05:00"),
    ):
        said = message(_TYPED.decode(dump({**TYPED, "time": typed})), now_us)
        assert said["time"].startswith(meant)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"place": "near Vilnius"}, "place"),
        ({"place": "95, 25"}, "latitude is"),
        ({"place": "54.6, 200"}, "longitude"),
        ({"time": "five"}, "time"),
        ({"time": "24:00"}, "time"),
        ({"bearing": "north"}, "bearing"),
        ({"bearing": "400"}, "bearing: 0 to 360"),
        ({"words": ""}, "write what was seen"),
        ({"words": "\u202e\n"}, "write what was seen"),
        ({"sensor": "R1"}, "no source"),
        ({"operator": " "}, "name"),
        ({"words": "x" * 5_000}, "not a sighting"),
    ],
)
def test_what_is_wrong_is_said_and_not_sent(wrong: dict[str, str], says: str) -> None:
    heard = Heard({"ok": True})
    found = at(heard).post("/sighting", json={**TYPED, **wrong})
    assert found.status_code == 400
    assert says in found.json()["detail"]
    assert heard.published == []


def test_bytes_that_are_no_text_are_refused_and_no_fault_of_ours() -> None:
    heard = Heard({"ok": True})
    assert at(heard).post("/sighting", content=b'{"sensor": "\xff"}').status_code == 400
    assert heard.published == []


def test_no_and_silence_come_back_as_such() -> None:
    refused = at(Heard({"ok": False, "detail": "too old"})).post("/sighting", json=TYPED)
    assert (refused.status_code, refused.json()["detail"]) == (409, "too old")
    assert at(Heard(None)).post("/sighting", json=TYPED).status_code == 504


def test_a_viewer_reports_nothing() -> None:
    heard = Heard({"ok": True})
    found = at(heard, UiFile(users=USERS)).post(
        "/sighting", json=TYPED, headers={"origin": "http://127.0.0.1:8080", "authorization": "Bearer jonas-token"}
    )
    assert (found.status_code, found.json()["detail"]) == (403, "your role is view")
    assert heard.published == []
