"""`vedette.area.v1` on `area/{number}`: many objects alike, told as one event instead of an alert for each.

What is written reads back to the same event. The words say what they are alike to, never what they are.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters import exact
from adapters.wire import Names, dump, finite, parse_time, read, rfc3339_exact, without_none
from fusion.cases.record import Crowd, CrowdKind

SCHEMA = "vedette.area.v1"
_COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_Count = Annotated[int, Meta(ge=0)]


class _Message(msgspec.Struct):
    schema: str
    number: _Count
    kind: CrowdKind
    state: Literal["open", "over"]
    since_time: str
    time: str
    lat_deg: Decimal
    lon_deg: Decimal
    radius_m: float
    count: _Count
    most_count: _Count
    inside_count: _Count
    speed_mps: float
    course_deg: Decimal
    spread_mps: float
    states: list[str] = []
    tracks: list[int] = []
    low_m: float = float("nan")
    high_m: float = float("nan")


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(crowd: Crowd, names: Names, seq: int) -> bytes:
    """The message of one event as it stands."""
    return dump(
        without_none(
            {
                "schema": SCHEMA,
                "site": names.site,
                "seq": seq,
                **names.marks(),
                "number": crowd.number,
                "kind": crowd.kind,
                "state": crowd.state,
                "since_time": rfc3339_exact(crowd.since_us),
                "time": rfc3339_exact(crowd.t_us),
                "lat_deg": exact.degrees(crowd.lat_rad),
                "lon_deg": exact.degrees(crowd.lon_rad),
                "radius_m": crowd.radius_m,
                "count": crowd.count,
                "most_count": crowd.most,
                "inside_count": crowd.inside,
                "speed_mps": crowd.speed_mps,
                "course_deg": exact.degrees(crowd.course_rad),
                "spread_mps": crowd.spread_mps,
                "low_m": finite(crowd.low_m),
                "high_m": finite(crowd.high_m),
                "states": crowd.states or None,
                "tracks": crowd.members or None,
                "sentence": sentence(crowd, names),
            }
        )
    )


def decode(payload: bytes) -> Crowd:
    """What was encoded, exactly. A height that was not known comes back as NaN.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return Crowd(
        number=m.number,
        kind=m.kind,
        state=m.state,
        since_us=parse_time(m.since_time),
        t_us=parse_time(m.time),
        lat_rad=exact.radians(m.lat_deg),
        lon_rad=exact.radians(m.lon_deg),
        radius_m=m.radius_m,
        count=m.count,
        most=m.most_count,
        inside=m.inside_count,
        speed_mps=m.speed_mps,
        course_rad=exact.radians(m.course_deg),
        spread_mps=m.spread_mps,
        low_m=m.low_m,
        high_m=m.high_m,
        states=tuple(m.states),
        members=tuple(m.tracks),
    )


def sentence(crowd: Crowd, names: Names) -> str:
    """What happens there, to read aloud."""
    lat, lon = math.degrees(crowd.lat_rad), math.degrees(crowd.lon_rad)
    known = dict(zip(names.codes, names.state_names, strict=False))
    over = f" over {', '.join(known.get(code, code) for code in crowd.states)}" if crowd.states else ""
    where = f"within {crowd.radius_m / 1_000:.0f} km of {abs(lat):.2f} {'NS'[lat < 0]} {abs(lon):.2f} {'EW'[lon < 0]}"
    where += over
    if crowd.state == "over":
        return f"Many alike {where}: over; they were up to {crowd.most}."
    return f"{crowd.count} silent objects {where} {_moving(crowd)}; they raise no alerts of their own."


def _moving(crowd: Crowd) -> str:
    if crowd.kind is CrowdKind.FIXED:
        return "stand still, as wind turbines do"
    if crowd.speed_mps <= crowd.spread_mps:
        return "fly this way and that, as birds do"
    course = _COMPASS[round(crowd.course_rad / (math.pi / 4)) % 8]
    return f"fly {course} together at {crowd.speed_mps:.0f} m/s, as birds on migration do"
