"""What the page's server answers: files, the picture on a socket, tracks, commands by role; GET changes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.websockets import WebSocket

from adapters.broker import BrokerSettings
from adapters.ui import server
from adapters.ui.access import Guard
from adapters.ui.listener import Listener, NoAnswer
from adapters.ui.server import Page
from adapters.ui.settings import UiFile
from adapters.wire import dump
from fusion.cases.orders import VERBS
from fusion.schema import Command
from tests.asgibrowser import ORIGIN, Browser
from tests.test_ui_access import USERS
from tests.test_ui_sky import alert, picture

ID = "8c1f0a52d3b94e67"


class Quiet(Listener):
    """A listener without a broker: it answers as `answer` says, and keeps what was ordered."""

    def __init__(self, answer: dict[str, Any] | None = None) -> None:
        super().__init__("demo", BrokerSettings("127.0.0.1", 1))
        self.answer, self.ordered = answer, list[Command]()

    async def say(self, wanted: Command) -> dict[str, Any]:
        self.ordered.append(wanted)
        if self.answer is None:
            raise NoAnswer("the service did not answer")
        return self.answer


def browser(listener: Listener, settings: UiFile | None = None) -> Browser:
    page = Page(listener, lambda: {"border": 1}, [])
    page.guard = Guard(Starlette(routes=page.routes()), settings or UiFile(), 8080)
    return Browser(page.guard)


def test_files_map_and_name() -> None:
    at = browser(Quiet())
    assert "<title>Vedette</title>" in at.get("/").text
    assert at.get("/web/main.js").headers["content-type"].startswith("text/javascript")
    assert at.get("/web/vendor/ol.js").status_code == 200
    assert at.get("/web/../server.py").status_code == 404
    assert at.get("/map").json() == {"border": 1}
    assert at.get("/who").json() == {"name": "", "role": "admin", "site": "demo"}
    assert at.get("/healthz").text == "ok\n"


def test_a_newcomer_has_the_whole_picture_in_the_first_message() -> None:
    listener = Quiet()
    listener.sky.take("picture-delta", picture([1, 2], 1), 0.0)
    listener.sky.take("alert/a", alert("a"), 0.0)
    (said,) = browser(listener).socket("/feed", {"origin": ORIGIN})
    told = msgspec.json.decode(said)
    assert (told["kind"], [row[0] for row in told["rows"]], told["things"][0][:2]) == (
        "whole",
        ["1:1", "1:2"],
        ["alert", "a"],
    )
    assert (told["pulse"]["connected"], told["pulse"]["site"]) == (False, "demo")


def test_without_news_a_pulse_says_that_somebody_is_there() -> None:
    first, second = browser(Quiet()).socket("/feed", {"origin": ORIGIN}, 2)
    assert msgspec.json.decode(first)["kind"] == "whole"
    assert set(msgspec.json.decode(second)) == {"kind", "version", "pulse"}


def test_a_viewer_who_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STUCK_S", 0.05)
    page = Page(Quiet(), dict, [])

    async def never(message: Any) -> None:
        if message["type"] == "websocket.send":
            await asyncio.Event().wait()

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    async def told() -> None:
        scope = {"type": "websocket", "path": "/feed", "headers": [], "query_string": b""}
        socket = WebSocket(scope, connect, never)
        await socket.accept()
        async with asyncio.timeout(20.0):  # or this test fails
            await page._tell(socket)

    asyncio.run(told())
    assert page._viewers == 0


def test_no_more_viewers_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "VIEWERS_MAX", 0)
    assert browser(Quiet()).socket("/feed", {"origin": ORIGIN}) == []


def test_a_track_in_full() -> None:
    listener = Quiet()
    listener.sky.take("track/1:1", dump({"id": "1:1", "sigma_time_s": 11.0}), 0.0)
    listener.sky.take("ledger/1:1", dump({"track": "1:1", "entries": []}), 0.0)
    at = browser(listener)
    assert at.get("/track/1:1").json() == {"id": "1:1", "sigma_time_s": 11.0, "ledger": {"track": "1:1", "entries": []}}
    assert at.get("/track/1:9").json() is None


def test_a_command_goes_to_the_service_and_its_answer_comes_back() -> None:
    listener = Quiet({"ok": True, "detail": "acknowledged"})
    done = browser(listener).post("/command/acknowledge", json={"alert_id": ID, "operator": "J. Petraitis"})
    assert (done.status_code, done.json()["detail"]) == (200, "acknowledged")
    (given,) = listener.ordered
    assert (given.verb, given.alert_id, given.operator) == ("acknowledge", ID, "J. Petraitis")


def test_refused_unanswered_and_wrong_commands_say_so() -> None:
    order = {"alert_id": ID, "operator": "J. Petraitis"}
    assert (
        browser(Quiet({"ok": False, "detail": "no such alert"})).post("/command/close", json=order).status_code == 409
    )
    assert browser(Quiet()).post("/command/close", json=order).status_code == 504
    listener = Quiet({"ok": True})
    at = browser(listener)
    assert at.post("/command/engage", json=order).status_code == 404
    for wrong in (
        {},
        {"operator": "x"},
        {**order, "operator": ""},
        {**order, "alert_id": "../x"},
        {**order, "identity": "orc"},
    ):
        assert at.post("/command/identify", json=wrong).status_code == 400
    assert at.post("/command/identify", content=b"not json").status_code == 400
    assert at.post("/command/identify", content=b"x" * 5_000).status_code == 413
    assert listener.ordered == []


def test_reading_changes_nothing() -> None:
    listener = Quiet({"ok": True})
    at = browser(listener)
    for verb in VERBS:
        assert at.get(f"/command/{verb}").status_code == 405
    assert listener.ordered == []


def test_roles_and_names_come_from_the_server_where_it_knows_them() -> None:
    listener = Quiet({"ok": True})
    at = browser(listener, UiFile(users=USERS))
    order = {"alert_id": ID, "operator": "Somebody Else"}

    def sent(verb: str, token: str) -> int:
        headers = {"origin": ORIGIN, "authorization": f"Bearer {token}"}
        return at.post(f"/command/{verb}", json=order, headers=headers).status_code

    assert sent("acknowledge", "jonas-token") == 403
    assert sent("acknowledge", "ona-token") == 200
    assert [given.operator for given in listener.ordered] == ["Ona"]


def test_only_an_admin_sets_the_mode() -> None:
    assert server.ROLE_OF["mode"] == "admin"


def test_signing_in_by_the_form() -> None:
    at = browser(Quiet(), UiFile(users=USERS))
    assert "Sign in" in at.get("/login").text
    assert at.post("/login", content="token=ona-token").headers["location"] == "/"
    assert at.get("/who").json()["name"] == "Ona"
    at.post("/logout")
    assert at.get("/who").status_code == 401
