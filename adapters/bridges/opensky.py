"""OpenSky's REST interface, `/states/all`, asked for one box: with an account, or without and less often.

A day has 400 credits, with an account 4,000, and a question costs 1 to 4 of them by the size of the box. Who has none
left is told when to come again, and comes then. The account is an API client of OAuth 2: its token lasts half an hour,
and a new one is asked for before it ends, or once it is refused. That grant (RFC 6749, 4.4) is one POST, which has the
limits of every other question here; a library for it would bring its own session.
https://openskynetwork.github.io/opensky-api/rest.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode

import httpx
import msgspec
import structlog

from adapters.bridges.asked import Answer, Answers, fetched
from adapters.formats import opensky
from fusion.schema import US_PER_S

STATES_URL = "https://opensky-network.org/api/states/all"
TOKEN_URL = "https://auth.opensky-network.org/auth/realms/opensky-network/protocol/openid-connect/token"
WITHIN_S = 20.0  # it is slow at times
STALE_US = 60 * US_PER_S  # the same answer for so long
EARLY_S = 60.0  # a token is asked for anew so long before it ends
WAIT_MOST_S = 86_400.0  # its day
CREDITS_A_DAY, CREDITS_OF_ACCOUNTS = 400, 4_000
_COSTS = ((25.0, 1), (100.0, 2), (400.0, 3))  # square degrees up to which a question costs so many credits; else 4
_log = structlog.get_logger("vedette.bridge")
Box = tuple[float, float, float, float]  # south, west, north, east, degrees


class _Token(msgspec.Struct):
    access_token: str
    expires_in: float = 1_800.0


def receiver(sensor: str) -> Answers:
    """Answers in, plots of one sensor out."""
    return Answers(sensor, opensky.decode_answer, STALE_US, "its answer is the same all the time")


@dataclass(slots=True)
class States:
    """The question."""

    url: str
    box: Box | None = None
    client_id: str = ""
    secret: str = field(default="", repr=False)
    token_url: str = TOKEN_URL
    _token: str = field(default="", repr=False)
    _until_s: float = 0.0  # of time.monotonic

    async def ask(self, client: httpx.AsyncClient) -> Answer:
        """Once, with a token where there is an account."""
        if self.client_id and time.monotonic() >= self._until_s:
            refused = await self._log_in(client)
            if refused is not None:
                return refused
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        got = await fetched(client, client.build_request("GET", self._asked_url(), headers=headers), WITHIN_S)
        if got.status == httpx.codes.TOO_MANY_REQUESTS:
            wait_s = _seconds(got.headers.get("X-Rate-Limit-Retry-After-Seconds", ""))
            return Answer(why=f"its credits are used up, there are more in {wait_s:.0f} s", wait_s=wait_s)
        if got.status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) and self._token:
            self._token, self._until_s = "", 0.0
            return Answer(why="the token is not accepted, a new one is asked for")
        return got

    def _asked_url(self) -> str:
        if self.box is None:
            return self.url
        south, west, north, east = self.box
        query = {"lamin": south, "lomin": west, "lamax": north, "lomax": east, "extended": 1}
        return f"{self.url}{'&' if '?' in self.url else '?'}{urlencode(query)}"

    async def _log_in(self, client: httpx.AsyncClient) -> Answer | None:
        """Have a token; else why there is none."""
        said = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.secret}
        got = await fetched(client, client.build_request("POST", self.token_url, data=said), WITHIN_S)
        if got.why:
            return Answer(why=f"no token: {got.why}")
        try:
            token = msgspec.json.decode(got.body, type=_Token)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Answer(why="no token: its answer is none")
        if not token.access_token.isascii() or not token.access_token.isprintable():
            return Answer(why="no token: its answer is none")
        self._token = token.access_token
        self._until_s = time.monotonic() + max(min(token.expires_in, WAIT_MOST_S) - EARLY_S, EARLY_S)
        return None


def say_cost(question: States, every_s: float) -> None:
    """Log what a day of questions costs, and warn where it is more than a day has."""
    if question.url != STATES_URL:
        return
    cost, most = credits_a_day(question.box, every_s), CREDITS_OF_ACCOUNTS if question.client_id else CREDITS_A_DAY
    if cost > most:
        enough_s = math.ceil(every_s * cost / most)
        _log.warning("credits will not last a day", a_day=cost, there_are=most, cure=f"--every {enough_s}")
    else:
        _log.info("credits", a_day=cost, there_are=most)


def credits_a_day(box: Box | None, every_s: float) -> int:
    """What a day of questions costs."""
    square = (box[2] - box[0]) * (box[3] - box[1]) if box else 360.0 * 180.0
    cost = next((cost for most, cost in _COSTS if square <= most), 4)
    return round(86_400.0 / every_s * cost)


def box_of(numbers: Sequence[float]) -> Box | None:
    """South, west, north, east in degrees; None where they are no box."""
    if len(numbers) != 4:
        return None
    south, west, north, east = numbers
    return (south, west, north, east) if -90.0 <= south < north <= 90.0 and -180.0 <= west < east <= 180.0 else None


def _seconds(text: str) -> float:
    """Of the header; a minute where it says nothing that can be meant."""
    return min(float(text), WAIT_MOST_S) if text.isascii() and text.isdigit() and len(text) < 9 else EARLY_S
