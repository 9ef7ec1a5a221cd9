"""What somebody saw or heard, as an operator types it: into the service's own message, and its answer back."""

from __future__ import annotations

import re
import secrets
import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from adapters import log
from adapters.envelope import printable
from adapters.formats import sighting
from adapters.ui.access import Person
from adapters.ui.answers import body_of, told
from adapters.ui.listener import Listener, NoAnswer
from adapters.wire import dump, rfc3339
from fusion.schema import US_PER_S, Invalid, SensorKind, SensorSpec

DAY_US = 86_400 * US_PER_S
AHEAD_US = 60 * US_PER_S  # somebody's watch may be so much before ours
_PLACE = re.compile(r"\s*(-?\d+(?:\.\d+)?)°?\s*[,; ]\s*(-?\d+(?:\.\d+)?)°?\s*")
_TIME = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_BEARING = re.compile(r"\d{1,3}(?:\.\d+)?")


class _Typed(msgspec.Struct):
    """What a page sends: text as it was typed."""

    sensor: Annotated[str, Meta(max_length=64)]
    place: Annotated[str, Meta(max_length=80)]
    time: Annotated[str, Meta(max_length=20)]
    words: Annotated[str, Meta(max_length=500)]
    bearing: Annotated[str, Meta(max_length=20)] = ""
    reporter: Annotated[str, Meta(max_length=64)] = ""
    operator: Annotated[str, Meta(max_length=64)] = ""


_TYPED = msgspec.json.Decoder(_Typed)


def message(typed: _Typed, now_us: int) -> dict[str, Any]:
    """The message of the service. A time of day is the last one that was.

    Raises:
        Invalid: out-of-range, with what is wrong in words.
    """
    place, at = _PLACE.fullmatch(typed.place), _TIME.fullmatch(typed.time.strip())
    if place is None:
        raise Invalid("out-of-range", "place: write latitude, longitude in degrees: 54.60, 25.40")
    hour, minute, second = (int(part or 0) for part in at.groups()) if at else (99, 0, 0)
    if hour > 23 or minute > 59 or second > 59:
        raise Invalid("out-of-range", "time: write hours and minutes of UTC: 05:00")
    bearing = typed.bearing.strip().rstrip("°")
    if bearing and not _BEARING.fullmatch(bearing):
        raise Invalid("out-of-range", "bearing: write degrees from true north: 95")
    lat_deg, lon_deg = float(place[1]), float(place[2])
    if abs(lat_deg) > 90 or abs(lon_deg) > 180:
        raise Invalid("out-of-range", "place: latitude is -90 to 90, longitude -180 to 180: 54.60, 25.40")
    if bearing and float(bearing) > 360:
        raise Invalid("out-of-range", "bearing: 0 to 360 degrees from true north: 95")
    if not printable(typed.words):
        raise Invalid("out-of-range", "words: write what was seen or heard")
    t_us = now_us - now_us % DAY_US + (hour * 3_600 + minute * 60 + second) * US_PER_S
    if t_us > now_us + AHEAD_US:
        t_us -= DAY_US
    said: dict[str, Any] = {"schema": sighting.SCHEMA, "sensor": typed.sensor, "id": f"page-{secrets.token_hex(6)}"}
    said |= {"time": rfc3339(t_us), "lat_deg": lat_deg, "lon_deg": lon_deg, "words": typed.words}
    said |= {"bearing_deg": float(bearing)} if bearing else {}
    said |= {"reporter": typed.reporter} if typed.reporter.strip() else {}
    return said


class Sightings:
    """`POST /sighting`."""

    def __init__(self, listener: Listener, sensors: tuple[SensorSpec, ...]) -> None:
        self._listener = listener
        self._sensors = {spec.id: spec for spec in sensors if spec.kind == SensorKind.SIGHTING}

    def routes(self) -> list[BaseRoute]:
        """Where to tell."""
        return [Route("/sighting", self._post, methods=["POST"])]

    async def _post(self, request: Request) -> Response:
        person: Person = request.state.person
        if not person.may("acknowledge"):
            return told(False, f"your role is {person.role}", 403)
        try:
            typed, now_us = _TYPED.decode(await body_of(request) or b""), time.time_ns() // 1_000
            spec = self._sensors.get(typed.sensor)
            if spec is None:
                return told(False, "no source of sightings has that name", 400)
            if not (person.name or typed.operator.strip()):
                return told(False, "a report needs the name of who types it", 400)
            payload = dump(message(typed, now_us))
            sighting.decode(payload, spec, now_us)  # what the door of the service refuses, we do not send
        except (msgspec.DecodeError, UnicodeDecodeError):
            return told(False, "not a sighting, or more than 500 characters of words", 400)
        except Invalid as error:
            return told(False, error.detail or error.reason, 400)
        try:
            answer = await self._listener.ask(f"in/{spec.id}/sighting", payload, "sighting")
        except NoAnswer as error:
            return told(False, str(error), 504)
        ok = bool(answer.get("ok"))
        log.get("ui").info("sighting", sensor=spec.id, operator=person.name or typed.operator.strip(), ok=ok)
        return told(ok, str(answer.get("detail") or answer.get("track") or ""), 200 if ok else 409)
