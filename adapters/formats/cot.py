"""Cursor on Target 2.0, the XML events of TAK: tracks and alerts as events, their end as cancel and delete.

    <event version="2.0" uid="vedette.lt-east.track.5:17" type="a-u-A" how="m-f" time=... start=... stale=...>
      <point lat="54.5431" lon="25.7298" hae="371.0" ce="64.0" le="55.0"/>
      <detail><contact callsign="5:17"/><track course="304.0" speed="41.6"/><remarks>...</remarks>...</detail></event>

What an event claims (its type) is held here. An object is unknown (`a-u-A`) until more is known: neutral and civil only
where its own word is live, radar has seen the same and finds nothing against it, and its category is one of civil
aircraft; friend, suspect and hostile only where a person said so, and for friend that person must have said how the
identity was verified. `ce` and `le` are one sigma, 9999999 what is not known; `ce` is a circle that holds the ellipse
of the place, so it is its longer half axis, and the ellipse itself stands in our own element. `how` is m-f, fused by a
machine, and m-s where it is simulated.

An alert is an event `b-a-g` under one uid, which holds the alert's id, from its first word to its last; `b-a-o-can`
under the same uid cancels it. `t-x-d-d` takes something off the map.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from adapters.played import marks, prefix
from adapters.rows import Told, ellipse
from adapters.wire import MAX_PAYLOAD_BYTES, parse_time, rfc3339
from fusion.schema import US_PER_S, Alert, Invalid

UNKNOWN_M = 9_999_999.0
ALERT, CANCEL, DELETE = "b-a-g", "b-a-o-can", "t-x-d-d"
FUSED, SIMULATED = "m-f", "m-s"
STALE_US = 15 * US_PER_S  # as the service's own retained tracks: three missed repeats
ALERT_STALE_US = 120 * US_PER_S  # an open alert is repeated four times in that
_PERSON = {"friend": "f", "neutral": "n", "suspect": "s", "hostile": "h", "unknown": "u"}
# Emitter categories of CAT021 I020 that only civil aircraft have: aeroplanes, rotorcraft, gliders, balloons.
_CIVIL = {1: "C-F", 2: "C-F", 3: "C-F", 4: "C-F", 5: "C-F", 10: "C-H", 11: "C-F", 12: "C-L", 15: "C-F"}
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no character of XML 1.0
_END = b"</event>"


@dataclass(frozen=True, slots=True)
class Event:
    """One event. NaN for a number that is not known; "" for a text that is not there."""

    uid: str
    type: str
    how: str
    t_us: int
    stale_us: int
    lat_deg: float = 0.0
    lon_deg: float = 0.0
    hae_m: float = math.nan
    ce_m: float = math.nan
    le_m: float = math.nan
    callsign: str = ""
    course_deg: float = math.nan
    speed_mps: float = math.nan
    remarks: str = ""
    linked: str = ""  # uid of what it belongs to, or of what is to be deleted
    emergency: str = ""  # kind of an alert
    own: tuple[tuple[str, str], ...] = ()  # attributes of our own element, in their order


# --- what we say ---


def track_uid(site: str, name: str) -> str:
    """Of a track, the same all its life."""
    return f"vedette.{site}.track.{name}"


def alert_uid(site: str, name: str) -> str:
    """Of an alert, the same all its life."""
    return f"vedette.{site}.alert.{name}"


def track(told: Told, site: str, alert: Alert | None = None, replayed: bool = False) -> Event:
    """The event of a track with a place; `alert` is the one that it has open, whose identity a person may have set.
    `replayed`: all of it was long ago, and is marked like what is simulated.

    Raises:
        Invalid: `missing-field` where it has no place.
    """
    if told.lat_deg is None or told.lon_deg is None:
        raise Invalid("missing-field", f"place of track {told.id}")
    kind, said = _type(told, alert)
    spread = ellipse(told)
    words = [
        *marks(told.simulated, told.mode, replayed),
        alert.sentence if alert is not None else "",
        said,
        f"Seen by {', '.join(told.sensors)}." if told.sensors and alert is None else "",
        f"Its own word is doubted: {told.doubt}." if told.doubt else "",
        "" if told.height_known else "Height not known.",
    ]
    own = {
        "track": told.id,
        "status": told.status,
        "existence": told.existence,
        "object_class": told.object_class,
        "p_class": told.p_class,
        "state": told.state,
        "border_distance_m": told.border_distance_m,
        "address": told.address,
        "mode3a": told.mode3a,
        "serial": told.serial,
        **({} if spread is None else {f"ellipse_{name}": f"{value:.1f}" for name, value in spread._asdict().items()}),
        "simulated": "true" if told.simulated else None,
        "mode": told.mode if told.mode != "peace" else None,
    }
    return Event(
        uid=track_uid(site, told.id),
        type=kind,
        how=SIMULATED if told.simulated or replayed else FUSED,
        t_us=told.t_us,
        stale_us=told.t_us + STALE_US,
        lat_deg=told.lat_deg,
        lon_deg=told.lon_deg,
        hae_m=_number(told.height_m),
        ce_m=_number(told.sigma_horizontal_m) if spread is None else spread.major_m,
        le_m=_number(told.sigma_height_m),
        callsign=prefix(told.simulated, told.mode, replayed) + (told.callsign or told.id),
        course_deg=_number(told.course_deg),
        speed_mps=_number(told.speed_mps),
        remarks=" ".join(word for word in words if word),
        own=tuple((name, str(value)) for name, value in own.items() if value is not None),
    )


def _type(told: Told, alert: Alert | None) -> tuple[str, str]:
    """The type of a track, and in words who says it where that is a person."""
    if alert is not None and alert.identity_by and alert.identity in _PERSON:
        letter = _PERSON[alert.identity]
        reason = f": {alert.identity_reason}" if alert.identity_reason else ""
        return f"a-{letter}-A", f"Identified as {alert.identity} by {alert.identity_by}{reason}."
    verified = told.cooperative and not told.contradicted and not told.doubt and bool(told.last_radar_time)
    if verified and told.address and told.category in _CIVIL:
        return f"a-n-A-{_CIVIL[told.category]}", ""
    return "a-u-A", ""


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def alert(said: Alert, site: str, now_us: int, replayed: bool = False) -> Event:
    """The event of an alert as it stands; a closed one as the cancel of the same uid. `now_us`: when it is said.

    Where an alert has no place the event has none either: 0 N 0 E with an unknown error, as TAK's own do.
    """
    placed = math.isfinite(said.lat_rad) and math.isfinite(said.lon_rad)
    closed = said.state == "closed"
    words = [
        *marks(said.simulated, said.mode, replayed),
        f"Severity {said.severity}." if not closed else "Closed.",
        said.sentence,
        f"Acknowledged by {said.acknowledged_by}." if said.acknowledged_by else "",
        said.close_reason if closed else "",
    ]
    own = {
        "alert": said.id,
        "track": said.track,
        "alert_state": said.state,
        "severity": str(said.severity),
        "rule": said.rule,
        "near_state": said.near_state,
        "raised_time": rfc3339(said.raised_us),
    }
    return Event(
        uid=alert_uid(site, said.id),
        type=CANCEL if closed else ALERT,
        how=SIMULATED if said.simulated or replayed else FUSED,
        t_us=now_us,
        stale_us=now_us + ALERT_STALE_US,
        lat_deg=round(math.degrees(said.lat_rad), 6) if placed else 0.0,
        lon_deg=round(math.degrees(said.lon_rad), 6) if placed else 0.0,
        callsign=f"{prefix(said.simulated, said.mode, replayed)}Alert {said.track}",
        remarks=" ".join(word for word in words if word),
        linked=track_uid(site, said.track),
        emergency="Geo-fence Breached",
        own=tuple((name, value) for name, value in own.items() if value),
    )


def delete(uid: str, now_us: int) -> Event:
    """What takes the thing with this uid off the maps."""
    return Event(f"{uid}.end", DELETE, FUSED, now_us, now_us + STALE_US, linked=uid)


# --- how it is written ---


def _text(value: str) -> str:
    value = _ILLEGAL.sub("\ufffd", value)
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _attribute(name: str, value: str) -> str:
    quoted = _text(value).replace('"', "&quot;").replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;")
    return f' {name}="{quoted}"'


def _metres(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else f"{UNKNOWN_M:.1f}"


def encode(event: Event) -> bytes:
    """One event as UTF-8 XML without a declaration, as a stream of events wants it."""
    deletes = event.type == DELETE
    detail = []
    if event.callsign:
        detail.append(f"<contact{_attribute('callsign', event.callsign)}/>")
    if math.isfinite(event.course_deg) or math.isfinite(event.speed_mps):
        course = f' course="{event.course_deg:.1f}"' if math.isfinite(event.course_deg) else ""
        speed = f' speed="{event.speed_mps:.1f}"' if math.isfinite(event.speed_mps) else ""
        detail.append(f"<track{course}{speed}/>")
    if event.linked:
        relation = ' relation="none" type="none"' if deletes else ' relation="p-p"'
        detail.append(f"<link{_attribute('uid', event.linked)}{relation}/>")
    if deletes:
        detail.append("<__forcedelete/>")
    if event.emergency:
        cancel = ' cancel="true"' if event.type == CANCEL else ""
        kind = _attribute("type", event.emergency)
        detail.append(f"<emergency{cancel}{kind}>{_text(event.callsign)}</emergency>")
    if event.remarks:
        detail.append(f"<remarks>{_text(event.remarks)}</remarks>")
    if event.own:
        detail.append(f"<vedette{''.join(_attribute(name, value) for name, value in event.own)}/>")
    time = rfc3339(event.t_us)
    head = "".join(
        _attribute(*pair)
        for pair in (
            ("version", "2.0"),
            ("uid", event.uid),
            ("type", event.type),
            ("how", event.how),
            ("time", time),
            ("start", time),
            ("stale", rfc3339(event.stale_us)),
        )
    )
    where = f'<point lat="{event.lat_deg:.7f}" lon="{event.lon_deg:.7f}" hae="{_metres(event.hae_m)}"'
    point = f'{where} ce="{_metres(event.ce_m)}" le="{_metres(event.le_m)}"/>'
    return f"<event{head}>{point}<detail>{''.join(detail)}</detail></event>".encode()


def _known(text: str | None) -> float:
    value = float(text) if text is not None else math.nan
    if math.isinf(value):
        raise ValueError("infinite")
    return math.nan if value >= UNKNOWN_M else value


def decode(payload: bytes) -> Event:
    """One event, ours or anybody's; what it says beyond ours is passed over.

    Raises:
        Invalid: oversized, malformed (a document type is), missing-field, bad-time, out-of-range.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Invalid("oversized", f"{len(payload)} bytes")
    if b"<!" in payload:
        raise Invalid("malformed", "a document type or a section")
    try:
        root = ElementTree.fromstring(payload)
        point = root.find("point")
        if root.tag != "event" or point is None:
            raise Invalid("malformed", "no event with a point")
        return _event(root, point)
    except ElementTree.ParseError as error:
        raise Invalid("malformed", str(error)[:80]) from None
    except KeyError as error:
        raise Invalid("missing-field", str(error)) from None
    except LookupError as error:  # an encoding that is none
        raise Invalid("malformed", str(error)[:80]) from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid("out-of-range", str(error)[:80]) from None


def _event(root: ElementTree.Element, point: ElementTree.Element) -> Event:
    lat, lon = float(point.attrib["lat"]), float(point.attrib["lon"])
    if not (abs(lat) <= 90.0 and abs(lon) <= 180.0):
        raise Invalid("out-of-range", "place")
    found = {name: root.find(f"detail/{name}") for name in ("contact", "track", "link", "emergency", "vedette")}
    given = {name: {} if element is None else element.attrib for name, element in found.items()}
    return Event(
        uid=root.attrib["uid"],
        type=root.attrib["type"],
        how=root.attrib.get("how", ""),
        t_us=parse_time(root.attrib["time"]),
        stale_us=parse_time(root.attrib["stale"]),
        lat_deg=lat,
        lon_deg=lon,
        hae_m=_known(point.get("hae")),
        ce_m=_known(point.get("ce")),
        le_m=_known(point.get("le")),
        callsign=given["contact"].get("callsign", ""),
        course_deg=_known(given["track"].get("course")),
        speed_mps=_known(given["track"].get("speed")),
        remarks=root.findtext("detail/remarks") or "",
        linked=given["link"].get("uid", ""),
        emergency=given["emergency"].get("type", ""),
        own=tuple(given["vedette"].items()),
    )


def split(waiting: bytearray) -> Iterator[bytes]:
    """Whole events from the front of a stream, which is cut by them.

    Raises:
        Invalid: `oversized`: more than an event may have, and no end of one in it.
    """
    while (at := waiting.find(_END)) >= 0:
        event = bytes(waiting[: at + len(_END)])
        del waiting[: at + len(_END)]
        yield event[max(event.find(b"<event"), 0) :]
    if len(waiting) > MAX_PAYLOAD_BYTES:
        raise Invalid("oversized", "no end of an event")
