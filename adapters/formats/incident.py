"""`vedette.incident.v1` on `incident/{id}` (retained until closed), and in the journal: every transition.

What is written reads back to the same incident. Only one that would not fit a message is cut, and says so
(`shortened`): of each member's alerts and states the first and the last stay.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from adapters import exact
from adapters.wire import MAX_PAYLOAD_BYTES, Names, dump, parse_time, read, rfc3339_exact, without_none
from fusion.cases.casefile import clock
from fusion.cases.record import Incident, Member
from fusion.schema import US_PER_S

SCHEMA = "vedette.incident.v1"


class _Member(msgspec.Struct):
    track: str
    state: str
    time: str = ""
    lat_deg: Decimal | None = None
    lon_deg: Decimal | None = None
    alerts: list[str] = []
    first_plot_time: str = ""
    confirmed_time: str = ""
    alert_time: str = ""
    states: list[str] = []
    identity: str = "unknown"
    identity_by: str = ""


class _Message(msgspec.Struct):
    schema: str
    id: str
    number: int
    change: str
    state: str
    time: str
    raised_time: str
    severity: int
    worst_severity: int
    members: list[_Member]
    severity_reason: str = ""
    title: str = ""
    sentence: str = ""
    near_state: str = ""
    states: list[str] = []
    recipients: list[str] = []
    mode: str = "peace"
    simulated: bool = False
    acknowledged_by: str = ""
    acknowledged_time: str = ""
    identity: str = "unknown"
    identity_by: str = ""
    identity_reason: str = ""
    handed_to: str = ""
    handed_by: str = ""
    handed_reason: str = ""
    handed_time: str = ""
    taken_by: str = ""
    taken_time: str = ""
    sightings: list[str] = []
    close_reason: str = ""
    reopened_time: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(incident: Incident, names: Names, seq: int) -> bytes:
    """The message of one transition, of at most 64 KiB."""
    payload = _encode(incident, names, seq)
    if len(payload) <= MAX_PAYLOAD_BYTES:
        return payload
    members = tuple(replace(m, alerts=_ends(m.alerts), states=_ends(m.states)) for m in incident.members)
    return _encode(replace(incident, members=members), names, seq, shortened=True)


def _ends(items: tuple[str, ...]) -> tuple[str, ...]:
    return items if len(items) < 3 else (items[0], items[-1])


def _encode(incident: Incident, names: Names, seq: int, shortened: bool = False) -> bytes:
    i = incident
    known = dict(zip(names.codes, names.state_names, strict=False))
    message: dict[str, Any] = {
        "schema": SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339_exact(i.t_us),
        "id": i.id,
        "number": i.number,
        "change": i.change,
        "state": i.state,
        "severity": i.severity,
        "worst_severity": i.worst,
        "severity_reason": i.severity_reason or None,
        "title": i.title or None,
        "sentence": i.sentence or None,
        "raised_time": rfc3339_exact(i.raised_us),
        "near_state": i.near_state or None,
        "near_state_name": known.get(i.near_state),
        "states": i.states or None,
        "members": [_member(m) for m in i.members],
        "reaction": _reaction(i) or None,
        "recipients": i.recipients or None,
        "mode": i.mode,
        "simulated": i.simulated or names.simulated,
        "acknowledged_by": i.acknowledged_by or None,
        "acknowledged_time": exact.time(i.acknowledged_us),
        "identity": i.identity,
        "identity_by": i.identity_by or None,
        "identity_reason": i.identity_reason or None,
        "handed_to": i.handed_to or None,
        "handed_by": i.handed_by or None,
        "handed_reason": i.handed_reason or None,
        "handed_time": exact.time(i.handed_us),
        "taken_by": i.taken_by or None,
        "taken_time": exact.time(i.taken_us),
        "sightings": i.sightings or None,
        "close_reason": i.close_reason or None,
        "reopened_time": exact.time(i.reopened_us),
        "shortened": shortened or None,
    }
    return dump(without_none(message))


def _member(member: Member) -> dict[str, Any]:
    return without_none(
        {
            "track": member.track,
            "state": member.state,
            "time": exact.time(member.t_us),
            "lat_deg": exact.degrees(member.lat_rad),
            "lon_deg": exact.degrees(member.lon_rad),
            "alerts": member.alerts,
            "first_plot_time": exact.time(member.first_plot_us),
            "confirmed_time": exact.time(member.confirmed_us),
            "alert_time": exact.time(member.alert_us),
            "states": member.states or None,
            "identity": member.identity,
            "identity_by": member.identity_by or None,
        }
    )


def _reaction(incident: Incident) -> dict[str, float]:
    """Seconds from one step to the next, as far as it has come."""
    if not incident.members:
        return {}
    told = clock(incident)
    steps = (
        ("first_plot_to_confirmed_s", told.first_plot_us, told.confirmed_us),
        ("confirmed_to_alert_s", told.confirmed_us, told.alert_us),
        ("alert_to_acknowledged_s", told.called_us, told.acknowledged_us),
        ("acknowledged_to_taken_s", told.acknowledged_us, told.taken_us),
    )
    return {name: (to - since) / US_PER_S for name, since, to in steps if since >= 0 and to >= since}


def decode(payload: bytes) -> Incident:
    """The incident of a message, exactly as it was encoded; a place that is not known comes back as NaN.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return Incident(
        id=m.id,
        number=m.number,
        change=m.change,
        state=m.state,
        t_us=parse_time(m.time),
        raised_us=parse_time(m.raised_time),
        severity=m.severity,
        worst=m.worst_severity,
        severity_reason=m.severity_reason,
        title=m.title,
        sentence=m.sentence,
        near_state=m.near_state,
        states=tuple(m.states),
        members=tuple(_read_member(item) for item in m.members),
        recipients=tuple(m.recipients),
        mode=m.mode,
        simulated=m.simulated,
        acknowledged_by=m.acknowledged_by,
        acknowledged_us=exact.us(m.acknowledged_time),
        identity=m.identity,
        identity_by=m.identity_by,
        identity_reason=m.identity_reason,
        handed_to=m.handed_to,
        handed_by=m.handed_by,
        handed_reason=m.handed_reason,
        handed_us=exact.us(m.handed_time),
        taken_by=m.taken_by,
        taken_us=exact.us(m.taken_time),
        sightings=tuple(m.sightings),
        close_reason=m.close_reason,
        reopened_us=exact.us(m.reopened_time),
    )


def _read_member(m: _Member) -> Member:
    return Member(
        track=m.track,
        alerts=tuple(m.alerts),
        first_plot_us=exact.us(m.first_plot_time),
        confirmed_us=exact.us(m.confirmed_time),
        alert_us=exact.us(m.alert_time),
        state=m.state,
        t_us=exact.us(m.time),
        lat_rad=exact.radians(m.lat_deg),
        lon_rad=exact.radians(m.lon_deg),
        states=tuple(m.states),
        identity=m.identity,
        identity_by=m.identity_by,
    )
