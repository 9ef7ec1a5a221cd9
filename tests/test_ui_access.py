"""Who comes in: names, origins, roles, sessions, limits, and the headers of every answer."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from adapters.ui.access import LIMITS, Bucket, Guard, Limits, Person
from adapters.ui.settings import ProxyFile, UiFile, UserFile
from tests.asgibrowser import ORIGIN, Browser


def user(name: str, role: Any, token: str = "") -> UserFile:
    return UserFile(name=name, role=role, token_sha256=hashlib.sha256(token.encode()).hexdigest() if token else "")


USERS = [user("Ona", "admin", "ona-token"), user("Jonas", "view", "jonas-token")]


def client(settings: UiFile, address: str = "127.0.0.1") -> Browser:
    """A browser at a page that says who it takes one for."""

    async def who(request: Request) -> Response:
        person: Person = request.state.person
        return JSONResponse([person.name, person.role])

    async def login(request: Request) -> Response:
        if request.method == "GET":
            return Response("your token")
        return guard.sign_in((await request.body()).decode(), False)

    async def logout(request: Request) -> Response:
        return guard.sign_out(request)

    async def feed(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text("hello")
        await socket.close()

    routes = [
        Route("/", who),
        Route("/who", who, methods=["GET", "POST"]),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
        WebSocketRoute("/feed", feed),
    ]
    guard = Guard(Starlette(routes=routes), settings, 8080)
    return Browser(guard, address)


def test_without_users_everybody_here_is_admin_and_names_himself() -> None:
    assert client(UiFile()).get("/who").json() == ["", "admin"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9999", "", "127.0.0.1:8080.evil.example"])
def test_another_name_than_ours_is_refused(host: str) -> None:
    assert client(UiFile()).get("/who", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["", "http://evil.example", "null", "http://127.0.0.1:9999"])
def test_what_changes_anything_and_sockets_come_from_a_page_of_ours(origin: str) -> None:
    browser = client(UiFile())
    headers = {"origin": origin} if origin else {}
    assert browser.post("/who", headers=headers).status_code == 403
    assert browser.socket("/feed", headers) == []
    assert browser.post("/who", headers={"origin": ORIGIN}).status_code == 200
    assert browser.socket("/feed", {"origin": ORIGIN}) == ["hello"]


def test_configured_origins_are_ours_too() -> None:
    browser = client(UiFile(origins=["https://air.example"]))
    headers = {"host": "air.example", "origin": "https://air.example"}
    assert browser.post("/who", headers=headers).status_code == 200


def test_a_stranger_sees_the_sign_in_and_nothing_else() -> None:
    browser = client(UiFile(users=USERS))
    assert browser.get("/").headers["location"] == "/login"
    assert browser.get("/who").status_code == 401
    assert browser.get("/login").text == "your token"
    assert browser.socket("/feed", {"origin": ORIGIN}) == []


def test_a_token_makes_a_session_that_ends() -> None:
    browser = client(UiFile(users=USERS))
    assert browser.post("/login", content="wrong", headers={"origin": ORIGIN}).headers["location"] == "/login?refused"
    done = browser.post("/login", content="jonas-token", headers={"origin": ORIGIN})
    cookie = done.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get("/who").json() == ["Jonas", "view"]
    browser.post("/logout", headers={"origin": ORIGIN})
    assert browser.get("/who").status_code == 401


def test_a_bearer_token_is_taken_and_a_wrong_one_is_not() -> None:
    browser = client(UiFile(users=USERS))
    assert browser.get("/who", headers={"authorization": "Bearer ona-token"}).json() == ["Ona", "admin"]
    for word in ("Bearer ona", "Bearer ", "Basic ona-token"):
        assert browser.get("/who", headers={"authorization": word}).status_code == 401


def test_a_proxy_names_people_only_from_its_own_address() -> None:
    settings = UiFile(users=[user("Ona", "admin")], proxy=ProxyFile(header="X-User", addresses=["192.0.2.1"]))
    assert client(settings, "192.0.2.1").get("/who", headers={"X-User": "Ona"}).json() == ["Ona", "admin"]
    assert client(settings, "192.0.2.1").get("/who", headers={"X-User": "Eve"}).status_code == 401
    assert client(settings, "192.0.2.9").get("/who", headers={"X-User": "Ona"}).status_code == 401


def test_roles_hold_those_below() -> None:
    assert Person("", "admin").may("acknowledge")
    assert Person("", "acknowledge").may("view")
    assert not Person("", "view").may("acknowledge")
    assert not Person("", "acknowledge").may("admin")


def test_too_many_sign_ins_are_stopped_and_others_go_on() -> None:
    browser = client(UiFile(users=USERS))
    answers = [browser.post("/login", content="guess", headers={"origin": ORIGIN}).status_code for _ in range(20)]
    assert answers.count(303) == LIMITS["login"][0]
    assert answers[-1] == 429
    assert browser.get("/login").status_code == 200


def test_a_bucket_fills_again() -> None:
    bucket = Bucket(2.0, 1.0)
    assert [bucket.take(0.0), bucket.take(0.0), bucket.take(0.0), bucket.take(1.0), bucket.take(1.0)] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_addresses_are_counted_apart() -> None:
    limits = Limits()
    assert not all(limits.take("login", "192.0.2.1", 0.0) for _ in range(9))
    assert limits.take("login", "192.0.2.2", 0.0)


def test_every_answer_carries_the_policy() -> None:
    for path in ("/who", "/nowhere"):
        headers = client(UiFile()).get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
