"""`vedette.sighting.v1` on `in/{sensor}/sighting`: what a person saw; and `vedette.sighting-answer.v1`, its answer.

    {"schema": "vedette.sighting.v1", "sensor": "G1", "id": "17", "time": "2026-11-23T06:13:00Z", "lat_deg": 54.6,
     "lon_deg": 25.7, "bearing_deg": 95, "words": "like a moped, low, towards the lake", "reporter": "border guard"}

The place is that of the object, or of the observer where a bearing is given. Bearings are from true north. Words are
shown as they were said, without control characters; a reporter is a role, never a private name. Where the sender gave
a response topic it hears there what became of its report, also why it was refused.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters import exact
from adapters.envelope import Reply, Unfit, opened, printable
from adapters.wire import (
    BAD_JSON,
    Names,
    dump,
    finite,
    parse_time,
    read_once,
    rfc3339,
    rfc3339_exact,
    rounded,
    without_none,
)
from fusion.cases.record import Sighting, SightingJudged
from fusion.schema import Invalid, SensorKind, SensorSpec

SCHEMA = "vedette.sighting.v1"
ANSWER_SCHEMA = "vedette.sighting-answer.v1"
_Metres = Annotated[float, Meta(ge=0.0, le=100_000.0)]
_LEAST_M, _LEAST_S = 1.0, 0.001  # nobody's eyes are better


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    id: Annotated[str, Meta(pattern=r"\A[0-9A-Za-z._:-]{1,40}\Z")]
    time: str
    lat_deg: Decimal
    lon_deg: Decimal
    sigma_m: _Metres = 500.0
    bearing_deg: Decimal | None = None
    sigma_bearing_deg: Decimal | None = None
    elevation_deg: Decimal | None = None
    distance_m: _Metres | None = None
    height_m: Annotated[float, Meta(ge=-500.0, le=30_000.0)] | None = None
    sigma_time_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 60.0
    words: Annotated[str, Meta(max_length=1_000)] = ""
    reporter: Annotated[str, Meta(max_length=64)] = ""
    found: bool = False


class _Names(msgspec.Struct):
    id: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_NAMES = msgspec.json.Decoder(_Names)


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Sighting:
    """One report from the sensor `spec`, bare or in its envelope.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time,
            unknown-sensor (it names another sensor than its topic), wrong-sensor-kind (not a sensor for sightings).
    """
    payload, response_topic, correlation = opened(payload)
    m = read_once(_MESSAGE, payload, SCHEMA)
    if m.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{m.sensor[:60]!r} on the topic of {spec.id!r}")
    if spec.kind != SensorKind.SIGHTING:
        raise Invalid("wrong-sensor-kind", f"a sighting from {spec.kind.name.lower()} {spec.id}")
    _within("lat_deg", m.lat_deg, -90, 90)
    _within("lon_deg", m.lon_deg, -180, 180)
    _within("bearing_deg", m.bearing_deg, 0, 360)
    _within("sigma_bearing_deg", m.sigma_bearing_deg, 0, 180)
    _within("elevation_deg", m.elevation_deg, -90, 90)
    return Sighting(
        sensor=spec.id,
        rx_us=rx_us,
        t_us=parse_time(m.time),
        id=m.id,
        lat_rad=exact.radians(m.lat_deg),
        lon_rad=exact.radians(m.lon_deg),
        sigma_m=max(m.sigma_m, _LEAST_M),
        bearing_rad=exact.radians(m.bearing_deg),
        sigma_bearing_rad=exact.radians(m.sigma_bearing_deg),
        distance_m=_number(m.distance_m),
        height_m=_number(m.height_m),
        words=printable(m.words),
        reporter=printable(m.reporter),
        found=m.found,
        elevation_rad=exact.radians(m.elevation_deg),
        sigma_t_s=max(m.sigma_time_s, _LEAST_S),
        response_topic=response_topic,
        correlation=correlation,
    )


def _within(name: str, value: Decimal | None, low: int, high: int) -> None:
    if value is not None and not (value.is_finite() and low <= value <= high):
        raise Invalid("out-of-range", name)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def encode(report: Sighting) -> bytes:
    """The message of a report; reads back exactly. Response topic and correlation travel outside the payload."""
    r = report
    message = {
        "schema": SCHEMA,
        "sensor": r.sensor,
        "id": r.id,
        "time": rfc3339_exact(r.t_us),
        "lat_deg": exact.degrees(r.lat_rad),
        "lon_deg": exact.degrees(r.lon_rad),
        "sigma_m": r.sigma_m,
        "bearing_deg": exact.degrees(r.bearing_rad),
        "sigma_bearing_deg": exact.degrees(r.sigma_bearing_rad),
        "elevation_deg": exact.degrees(r.elevation_rad),
        "distance_m": finite(r.distance_m),
        "height_m": finite(r.height_m),
        "sigma_time_s": r.sigma_t_s,
        "words": r.words or None,
        "reporter": r.reporter or None,
        "found": r.found or None,
    }
    return dump(without_none(message))


def answer(judged: SightingJudged, names: Names, seq: int) -> bytes:
    """What became of a report."""
    report = judged.sighting
    matches = [
        without_none(
            {
                "track": m.track,
                "probability": rounded(m.probability, 3),
                "away_m": rounded(m.away_m, 0),
                "away_s": rounded(m.away_s, 1),
                "rests_on": m.rests_on,
            }
        )
        for m in judged.matches
    ]
    message = {
        "schema": ANSWER_SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339(judged.t_us),
        **names.marks(),
        "sensor": report.sensor,
        "id": report.id,
        "sighting_time": rfc3339(report.t_us),
        "ok": judged.ok,
        "detail": judged.detail,
        "track": judged.track or None,
        "matches": matches or None,
    }
    return dump(without_none(message))


def reply(judged: SightingJudged, names: Names, seq: int) -> Reply | None:
    """The answer and where it goes; None where the sender asked for none."""
    report = judged.sighting
    if not report.response_topic:
        return None
    return Reply(report.response_topic, answer(judged, names, seq), report.correlation)


def refusal(unfit: Unfit, names: Names, seq: int) -> Reply | None:
    """The answer to a report that was refused at the door, where its envelope can be read and asks for one."""
    asked = unfit.asked()
    if asked is None:
        return None
    inner, topic, correlation = asked
    try:
        given = _NAMES.decode(inner).id[:40]
    except BAD_JSON:
        given = ""
    message = {
        "schema": ANSWER_SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339(unfit.frame.rx_us),
        **names.marks(),
        "sensor": printable(unfit.frame.source.split("/")[1])[:60],
        "id": printable(given) or None,
        "ok": False,
        "detail": unfit.detail,
    }
    return Reply(topic, dump(without_none(message)), correlation)
