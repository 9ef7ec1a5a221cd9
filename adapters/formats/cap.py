"""CAP 1.2 (Common Alerting Protocol, OASIS): drafts of public warnings, for civil protection to read, change and send.

One message is an alert, its update, or its cancel; an all-clear is an update whose response is AllClear. What a message
replaces stands in `references`, and the id that the alert has in every other format in `incidents`.

Nothing here sends anything, and a draft says so in `note`. Its status is Test unless somebody configured another, and
what is simulated, replayed or an exercise can have no other than Test and Exercise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from xml.etree import ElementTree

from adapters.wire import MAX_PAYLOAD_BYTES, parse_time
from fusion.schema import US_PER_S, Invalid

NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
NOTE = "Draft by a machine. It was sent to nobody: a person decides."
RESTRICTION = "For civil protection to decide; not to be passed on as it is."
EVENT, EVENT_CODE = "Unidentified object in the air", ("OET:v1.2", "OET-019")  # aviation hazard
Status = Literal["Actual", "Exercise", "System", "Test", "Draft"]
STATUSES: tuple[Status, ...] = ("Actual", "Exercise", "System", "Test", "Draft")
MsgType = Literal["Alert", "Update", "Cancel"]
Level = Literal["red", "yellow", "clear"]
# What each level asks of people: response, urgency, severity, certainty, headline, instruction
LEVELS: dict[Level, tuple[str, str, str, str, str, str]] = {
    "red": (
        "Shelter", "Immediate", "Severe", "Observed", "Object in the air near you",
        "Go indoors and stay away from windows until the all-clear.",
    ),
    "yellow": (
        "Prepare", "Expected", "Moderate", "Likely", "Object in the air may come near you",
        "Be ready to go indoors at once. Wait for more.",
    ),
    "clear": ("AllClear", "Past", "Minor", "Observed", "All clear", "You need not stay indoors any more."),
}  # fmt: skip
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no character of XML 1.0
_WORD = re.compile(r"[^\s,<&]+")  # what an identifier and a sender may be


@dataclass(frozen=True, slots=True)
class Sent:
    """Which message: what others refer to it by."""

    sender: str
    identifier: str
    sent_us: int


@dataclass(frozen=True, slots=True)
class Area:
    """Where. Rings are (n, 2) latitude and longitude in degrees, closed; codes are (kind, value)."""

    words: str
    rings: tuple[tuple[tuple[float, float], ...], ...] = ()
    codes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """One message."""

    id: Sent
    status: Status
    type: MsgType
    incident: str
    references: tuple[Sent, ...] = ()
    level: Level = "yellow"
    language: str = "en"
    sender_name: str = ""
    description: str = ""
    expires_us: int = -1
    areas: tuple[Area, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()


def _time(us: int) -> str:
    """To a second, with +00:00: CAP knows no Z."""
    return datetime.fromtimestamp(us // US_PER_S, UTC).isoformat(timespec="seconds")


def _add(to: ElementTree.Element, name: str, text: str) -> None:
    if text:
        ElementTree.SubElement(to, name).text = _ILLEGAL.sub("\ufffd", text)


def _pairs(to: ElementTree.Element, name: str, pairs: Sequence[tuple[str, str]]) -> None:
    for key, value in pairs:
        one = ElementTree.SubElement(to, name)
        _add(one, "valueName", key)
        _add(one, "value", value)


def encode(draft: Draft) -> bytes:
    """The message as a file of XML.

    Raises:
        Invalid: `malformed`: a sender or an identifier that CAP does not allow; `out-of-range`: a ring that is none.
    """
    _check_named(draft)
    root = ElementTree.Element("alert", {"xmlns": NAMESPACE})
    for name, text in (
        ("identifier", draft.id.identifier),
        ("sender", draft.id.sender),
        ("sent", _time(draft.id.sent_us)),
        ("status", draft.status),
        ("msgType", draft.type),
        ("scope", "Restricted"),
        ("restriction", RESTRICTION),
        ("note", NOTE),
        ("references", " ".join(f"{one.sender},{one.identifier},{_time(one.sent_us)}" for one in draft.references)),
        ("incidents", draft.incident),
    ):
        _add(root, name, text)
    _info(root, draft)
    ElementTree.indent(root)
    made: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return made + b"\n"


def _info(root: ElementTree.Element, draft: Draft) -> None:
    info = ElementTree.SubElement(root, "info")
    response, urgency, severity, certainty, headline, instruction = LEVELS[draft.level]
    for name, text in (
        ("language", draft.language),
        ("category", "Safety"),
        ("event", EVENT),
        ("responseType", response),
        ("urgency", urgency),
        ("severity", severity),
        ("certainty", certainty),
    ):
        _add(info, name, text)
    _pairs(info, "eventCode", [EVENT_CODE])
    for name, text in (
        ("effective", _time(draft.id.sent_us)),
        ("expires", _time(draft.expires_us) if draft.expires_us >= 0 else ""),
        ("senderName", draft.sender_name),
        ("headline", headline),
        ("description", draft.description),
        ("instruction", instruction),
    ):
        _add(info, name, text)
    _pairs(info, "parameter", (("vedette.level", draft.level), *draft.parameters))
    for area in draft.areas:
        one = ElementTree.SubElement(info, "area")
        _add(one, "areaDesc", area.words)
        for ring in area.rings:
            _check(ring)
            _add(one, "polygon", " ".join(f"{lat:.4f},{lon:.4f}" for lat, lon in ring))
        _pairs(one, "geocode", area.codes)


def _check_named(draft: Draft) -> None:
    for sent in (draft.id, *draft.references):
        if not (_WORD.fullmatch(sent.sender) and _WORD.fullmatch(sent.identifier)):
            raise Invalid("malformed", "identifier or sender")


def _check(ring: Sequence[tuple[float, float]]) -> None:
    inside = all(abs(lat) <= 90.0 and abs(lon) <= 180.0 for lat, lon in ring)  # false of NaN too
    if len(ring) < 4 or ring[0] != ring[-1] or not inside:
        raise Invalid("out-of-range", "a polygon")


def decode(payload: bytes) -> Draft:
    """A message that `encode` wrote, or that a person changed within what it has.

    Raises:
        Invalid: oversized, malformed (a document type is), missing-field, bad-time, out-of-range, wrong-schema.
    """
    if len(payload) > 16 * MAX_PAYLOAD_BYTES:
        raise Invalid("oversized", f"{len(payload)} bytes")
    if b"<!" in payload:
        raise Invalid("malformed", "a document type or a section")
    try:
        root = ElementTree.fromstring(payload)
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding that is none
        raise Invalid("malformed", str(error)[:80]) from None
    if root.tag != f"{{{NAMESPACE}}}alert":
        raise Invalid("wrong-schema", root.tag[:80])
    try:
        draft = _draft(root)
        _check_named(draft)  # who goes on from it has to name it
        return draft
    except (KeyError, StopIteration) as error:
        raise Invalid("missing-field", str(error)) from None
    except ValueError as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid("out-of-range", str(error)[:80]) from None


def _text(of: ElementTree.Element, name: str) -> str:
    return of.findtext(f"{{{NAMESPACE}}}{name}") or ""


def _all(of: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return of.findall(f"{{{NAMESPACE}}}{name}")


def _named(of: ElementTree.Element, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((_text(one, "valueName"), _text(one, "value")) for one in _all(of, name))


def _sent(text: str) -> Sent:
    sender, identifier, sent = text.split(",")
    return Sent(sender, identifier, parse_time(sent))


def _area(one: ElementTree.Element) -> Area:
    rings = []
    for polygon in _all(one, "polygon"):
        places = [place.split(",") for place in (polygon.text or "").split()]
        rings.append(tuple((float(lat), float(lon)) for lat, lon in places))
        _check(rings[-1])
    return Area(_text(one, "areaDesc"), tuple(rings), _named(one, "geocode"))


def _draft(root: ElementTree.Element) -> Draft:
    info = next(iter(_all(root, "info")))
    named = dict(_named(info, "parameter"))
    level: Level = next(level for level in LEVELS if level == named["vedette.level"])
    types: tuple[MsgType, ...] = ("Alert", "Update", "Cancel")
    expires = _text(info, "expires")
    return Draft(
        Sent(_text(root, "sender"), _text(root, "identifier"), parse_time(_text(root, "sent"))),
        next(status for status in STATUSES if status == _text(root, "status")),
        next(kind for kind in types if kind == _text(root, "msgType")),
        _text(root, "incidents"),
        tuple(map(_sent, _text(root, "references").split())),
        level,
        _text(info, "language"),
        _text(info, "senderName"),
        _text(info, "description"),
        parse_time(expires) if expires else -1,
        tuple(map(_area, _all(info, "area"))),
        tuple((name, value) for name, value in named.items() if name != "vedette.level"),
    )


def ring_of(lon_lat: Sequence[Sequence[float]]) -> tuple[tuple[float, float], ...]:
    """A ring of a map, longitude first, as CAP wants it: latitude first, closed, 4 decimals (10 m).

    Raises:
        Invalid: `out-of-range`: fewer than three corners are left of it.
    """
    ring = [(round(lat, 4), round(lon, 4)) for lon, lat in lon_lat if math.isfinite(lat) and math.isfinite(lon)]
    corners = [place for i, place in enumerate(ring) if i == 0 or place != ring[i - 1]]
    if corners and corners[0] != corners[-1]:
        corners.append(corners[0])
    if len(corners) < 4:
        raise Invalid("out-of-range", "a polygon without three corners")
    return tuple(corners)
