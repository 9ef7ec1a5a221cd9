"""Who may come in, and what every answer says to the browser. An ASGI layer around the page; nothing passes it by.

A browser is told apart from a person: the name in `Host` must be ours (a foreign page cannot point its own name at
us), and what changes anything, and every socket, must come from a page of ours (`Origin`). The cookie is SameSite
Strict, so that no foreign page can use it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from adapters.ui.settings import Role, UiFile, is_loopback

COOKIE = "vedette"
SESSION_S = 12 * 3600.0  # a watch
SESSIONS_MAX = 1_000
LIMITS = {  # at once, and a second after that
    "read": (300.0, 60.0), "order": (20.0, 4.0), "login": (8.0, 0.2), "dossier": (4.0, 1 / 30),
}  # fmt: skip
BUCKETS_MAX = 4_000
ROLES: tuple[Role, ...] = ("view", "acknowledge", "admin")
FREE = ("/login", "/healthz", "/web/page.css", "/web/login.js", "/web/icon.svg")  # what a stranger may see
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. A name that is empty is not known: everybody on this machine, who says his name with what he orders."""

    name: str
    role: Role

    def may(self, role: Role) -> bool:
        """True when his role holds this one."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(slots=True)
class Bucket:
    """So many at once, and so many a second after that."""

    burst: float
    rate_hz: float
    level: float = field(default=0.0)
    at_s: float = field(default=0.0)

    def take(self, now_s: float) -> bool:
        """False when it is too many."""
        self.level = max(0.0, self.level - (now_s - self.at_s) * self.rate_hz)
        self.at_s = now_s
        if self.level + 1.0 > self.burst:
            return False
        self.level += 1.0
        return True


class Limits:
    """Buckets by address and kind, the least recently used ones forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def take(self, kind: str, address: str, now_s: float) -> bool:
        """False: too many of this kind from there."""
        key = (kind, address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(*LIMITS[kind], at_s=now_s)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket.take(now_s)


class Guard:
    """The layer. What passes has `scope["state"]["person"]`."""

    def __init__(self, app: ASGIApp, settings: UiFile, port: int) -> None:
        self._app, self._settings, self._limits = app, settings, Limits()
        self._open = not settings.users
        self._sessions: OrderedDict[str, tuple[Person, float]] = OrderedDict()
        names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(settings.host) else [settings.host]
        self._hosts = dict.fromkeys([*(f"{name}:{port}" for name in names), *map(_host_of, settings.origins)])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            answer: ASGIApp = self._app
        elif scope["type"] == "websocket":
            answer = _closed
        else:
            answer = refusal
        await answer(scope, receive, _dressed(send))

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        changing = scope["type"] == "http" and scope["method"] not in ("GET", "HEAD")
        kind = _kind(path) if changing else "read"
        if headers.get("host", "").lower() not in self._hosts:
            return PlainTextResponse("this page has another name\n", 421)
        if not self._limits.take(kind, _address(scope), time.monotonic()):
            return PlainTextResponse("too many requests\n", 429, {"Retry-After": "5"})
        if (changing or scope["type"] == "websocket") and _host_of(headers.get("origin", "")) not in self._hosts:
            return PlainTextResponse("not from a page of ours\n", 403)
        person = self._person(scope, headers)
        scope.setdefault("state", {})["person"] = person
        if person is None and path not in FREE:
            if path == "/":
                return Response(status_code=303, headers={"Location": "/login"})
            return PlainTextResponse("sign in first\n", 401)
        return None

    def _person(self, scope: Scope, headers: Headers) -> Person | None:
        if self._open:
            return Person("", "admin")
        proxy = self._settings.proxy
        if proxy.header and _address(scope) in proxy.addresses and proxy.header in headers:
            return self._named(headers[proxy.header])
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._known(token)
        held = self._sessions.get(_cookie(headers))
        return held[0] if held is not None and held[1] > time.monotonic() else None

    def _named(self, name: str) -> Person | None:
        found = next((user for user in self._settings.users if user.name == name), None)
        return None if found is None else Person(found.name, found.role)

    def _known(self, token: str) -> Person | None:
        digest = hashlib.sha256(token.encode()).hexdigest()
        found = None
        for user in self._settings.users:  # all of them: how long it takes tells nothing
            if hmac.compare_digest(user.token_sha256, digest):
                found = Person(user.name, user.role)
        return found

    def sign_in(self, token: str, secure: bool) -> Response:
        """The answer to a token: a session in a cookie, or no."""
        person = self._known(token)
        if person is None:
            return Response(status_code=303, headers={"Location": "/login?refused"})
        key = secrets.token_urlsafe(32)
        self._sessions[key] = (person, time.monotonic() + SESSION_S)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)
        answer = Response(status_code=303, headers={"Location": "/"})
        answer.set_cookie(COOKIE, key, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=secure)
        return answer

    def sign_out(self, connection: HTTPConnection) -> Response:
        """Forget the session."""
        self._sessions.pop(_cookie(connection.headers), None)
        answer = Response(status_code=303, headers={"Location": "/login"})
        answer.delete_cookie(COOKIE)
        return answer


def _kind(path: str) -> str:
    """Of what changes anything, or is much work."""
    return "login" if path == "/login" else "dossier" if path.startswith("/dossier/") else "order"


def _host_of(origin: str) -> str:
    return urlsplit(origin).netloc.lower()


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _dressed(send: Send) -> Send:
    """Adds the headers that every answer carries, unless it has its own."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return dressed


async def _closed(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "websocket.close", "code": 1008})
