"""The page over HTTP: its files, a socket with the picture, commands, the past, reports. GET changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from adapters import http, log
from adapters.formats import command
from adapters.ui.access import Guard, Person
from adapters.ui.answers import as_json, body_of
from adapters.ui.listener import Listener, NoAnswer
from adapters.ui.settings import Role, UiFile
from fusion.cases.orders import VERBS
from fusion.schema import Command, Invalid

WEB = Path(__file__).resolve().parent.parent / "web"
NEWS_EVERY_S = 0.25
PULSE_EVERY_S = 1.0  # where nothing is new: that there is still somebody
STUCK_S = 15.0  # a viewer who has not taken one message for so long is cut off, and may come again
VIEWERS_MAX = 50
ROLE_OF: dict[str, Role] = {"mode": "admin"}  # every other verb: acknowledge


class _Order(msgspec.Struct):
    """What a page asks for."""

    operator: str = ""
    alert_id: str = ""
    incident_id: str = ""
    reason: str = ""
    identity: str = ""
    to: str = ""


_ORDER = msgspec.json.Decoder(_Order)


class Page:
    """The handlers, around what they show."""

    def __init__(self, listener: Listener, basemap: Callable[[], dict[str, Any]], more: list[BaseRoute]) -> None:
        """`basemap`: seconds of work, done once, in a thread. `more`: further routes, with the past and reports."""
        self._listener, self._basemap, self._more = listener, basemap, more
        self._drawn: asyncio.Future[bytes] | None = None
        self._viewers = 0
        self._turns: asyncio.Event = asyncio.Event()
        self.guard: Guard | None = None

    def routes(self) -> list[BaseRoute]:
        """Where what is."""
        return [
            Route("/", self._index),
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/healthz", self._health),
            Route("/who", self._who),
            Route("/map", self._map),
            Route("/track/{id}", self._track),
            Route("/command/{verb}", self._command, methods=["POST"]),
            WebSocketRoute("/feed", self._feed),
            *self._more,
            Mount("/web", StaticFiles(directory=WEB)),
        ]

    async def _index(self, _request: Request) -> Response:
        return FileResponse(WEB / "index.html")

    async def _health(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _login(self, request: Request) -> Response:
        assert self.guard is not None
        if request.method == "GET":
            return FileResponse(WEB / "login.html")
        body = await body_of(request)
        if body is None:
            return PlainTextResponse("too long\n", 413)
        token = dict(part.partition("=")[::2] for part in body.decode("ascii", "replace").split("&")).get("token", "")
        return self.guard.sign_in(token, request.headers.get("origin", "").startswith("https:"))

    async def _logout(self, request: Request) -> Response:
        assert self.guard is not None
        return self.guard.sign_out(request)

    async def _who(self, request: Request) -> Response:
        person: Person = request.state.person
        return as_json({"name": person.name, "role": person.role, "site": self._listener.site})

    def draw(self) -> asyncio.Future[bytes]:
        """Begin with the map, unless that was done before: whoever comes first need not wait for all of it."""
        if self._drawn is None:
            made = run_in_threadpool(lambda: msgspec.json.encode(self._basemap()))
            self._drawn = asyncio.ensure_future(made)
        return self._drawn

    async def _map(self, _request: Request) -> Response:
        return Response(await asyncio.shield(self.draw()), media_type="application/json")

    async def _track(self, request: Request) -> Response:
        found = self._listener.sky.track(request.path_params["id"])
        return Response(found or b"null", media_type="application/json")  # a track that has just gone is no fault

    async def _command(self, request: Request) -> Response:
        person: Person = request.state.person
        verb = request.path_params["verb"]
        if verb not in VERBS:
            return PlainTextResponse("no such command\n", 404)
        if not person.may(ROLE_OF.get(verb, "acknowledge")):
            return as_json({"ok": False, "detail": f"your role is {person.role}"}, 403)
        body = await body_of(request)
        if body is None:
            return PlainTextResponse("too long\n", 413)
        try:
            asked = _ORDER.decode(body)
            name = person.name or asked.operator
            given = Command(
                -1, verb, asked.alert_id, name, asked.reason, asked.identity, b"", "", asked.incident_id, asked.to
            )
            command.decode(command.encode(given), verb, 0)  # what the door of the service refuses, we do not send
        except (msgspec.DecodeError, UnicodeDecodeError):
            return as_json({"ok": False, "detail": "not a command"}, 400)
        except Invalid as error:
            return as_json({"ok": False, "detail": f"{error.reason}: {error}"}, 400)
        try:
            answer = await self._listener.say(given)
        except NoAnswer as error:
            return as_json({"ok": False, "detail": str(error)}, 504)
        log.get("ui").info("command", verb=verb, operator=name, ok=answer.get("ok"))
        return as_json(answer, 200 if answer.get("ok") else 409)

    # --- the socket ---

    async def _feed(self, socket: WebSocket) -> None:
        if self._viewers >= VIEWERS_MAX:
            await socket.close(1013)
            return
        await socket.accept()
        self._viewers += 1
        teller = asyncio.create_task(self._tell(socket), name="ui-viewer")
        hearer = asyncio.create_task(_until_gone(socket), name="ui-viewer-gone")
        try:
            await asyncio.wait([teller, hearer], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers -= 1
            for task in (teller, hearer):
                task.cancel()
            await asyncio.gather(teller, hearer, return_exceptions=True)

    async def _tell(self, socket: WebSocket) -> None:
        version, told_s = -1, 0.0
        while True:
            now_s = time.monotonic()
            sky = self._listener.sky
            if version != sky.version or now_s - told_s >= PULSE_EVERY_S:
                pulse = {**self._listener.pulse(), "viewers": self._viewers}
                message, version = sky.since(version, pulse, now_s)
                told_s = now_s
                try:
                    async with asyncio.timeout(STUCK_S):
                        await socket.send_text(message.decode())
                except TimeoutError:
                    log.get("ui").warning("a viewer takes nothing, and is cut off")
                    return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(NEWS_EVERY_S):
                    await self._turns.wait()

    async def turn(self) -> None:
        """Wakes the viewers when something is to be told at once; until cancelled."""
        news = self._listener.news
        while True:
            await news.wait()
            news.clear()
            turns, self._turns = self._turns, asyncio.Event()
            turns.set()


async def _until_gone(socket: WebSocket) -> None:
    """A viewer has nothing to say here: whatever he says is not heard."""
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            await socket.receive_text()


@contextlib.asynccontextmanager
async def serve(page: Page, listener: Listener, settings: UiFile) -> AsyncIterator[int]:
    """Listen to the broker and serve the page for the length of the `async with` block; yields the port taken.

    Raises:
        ConfigError: the address cannot be had.
    """
    with contextlib.closing(http.bind(settings.host, settings.port, "ui.toml", "port")) as sock:
        port = int(sock.getsockname()[1])
        guard = page.guard = Guard(Starlette(routes=page.routes()), settings, port)
        tasks = [asyncio.create_task(listener.run(), name="ui"), asyncio.create_task(page.turn(), name="ui-turn")]
        try:
            async with http.running(guard, sock, ws="websockets-sansio"):
                page.draw()
                yield port
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
