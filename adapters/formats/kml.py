"""KML 2.2 (OGC), for Google Earth and others: tracks, where each is with one sigma, and open alerts, a folder of each.

A track is a point with a name, its course as the heading of its symbol, and everything else that we publish of it as
extended data under our own names. It stands above the ground where that is known, else on it: KML counts heights from
the sea or from the ground, and what we know best is above the ellipsoid (`height_m` among the data). Symbols have no
picture from elsewhere: no other host is asked for anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import msgspec

from adapters.played import prefix
from adapters.rows import Told, facts, outline
from adapters.wire import rfc3339
from fusion.schema import Alert, Invalid

NAMESPACE = "http://www.opengis.net/kml/2.2"
MOST_BYTES = 256 << 20
TRACKS, SPREAD, ALERTS = "Tracks", "Uncertainty", "Alerts"
# Colours as KML writes them: alpha, blue, green, red
_STYLES = {"own": "ff00a5ff", "civil": "ffd0d0d0", "doubt": "ff00ffff", "alert": "ff0000ff"}
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # no character of XML 1.0
_PLACE = ("lat_deg", "lon_deg", "schema", "time")


@dataclass(frozen=True, slots=True)
class Mark:
    """A placemark as it is read back; `said` is the extended data, all of it text."""

    folder: str
    id: str
    name: str
    lat_deg: float
    lon_deg: float
    height_m: float  # above the ground; NaN: on it
    said: dict[str, str]


def _text(value: object) -> str:
    text = ILLEGAL.sub("\ufffd", str(value).lower() if isinstance(value, bool) else str(value))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _data(said: dict[str, Any]) -> str:
    parts = []
    for name, value in said.items():
        if name in _PLACE or value in (None, "", []):
            continue
        text = msgspec.json.encode(value).decode() if isinstance(value, list | tuple | dict) else value
        parts.append(f'<Data name="{name}"><value>{_text(text)}</value></Data>')
    return f"<ExtendedData>{''.join(parts)}</ExtendedData>"


def _point(lat: float, lon: float, height_m: float | None) -> str:
    mode = "clampToGround" if height_m is None else "relativeToGround"
    height = "" if height_m is None else f",{height_m:.1f}"
    return f"<Point><altitudeMode>{mode}</altitudeMode><coordinates>{lon:.6f},{lat:.6f}{height}</coordinates></Point>"


def _track(told: Told, alerted: bool, replayed: bool) -> str:
    if told.lat_deg is None or told.lon_deg is None:
        raise Invalid("missing-field", f"place of track {told.id}")
    name = prefix(told.simulated, told.mode, replayed) + (told.callsign or told.id)
    style = "alert" if alerted else "doubt" if told.contradicted else "civil" if told.cooperative else "own"
    heading = (
        f"<Style><IconStyle><heading>{told.course_deg:.1f}</heading></IconStyle></Style>" if told.course_deg else ""
    )
    above = max(told.agl_m, 0.0) if told.agl_m is not None else None
    return (
        f'<Placemark id="track.{_text(told.id)}"><name>{_text(name)}</name>'
        f"<TimeStamp><when>{rfc3339(told.t_us)}</when></TimeStamp><styleUrl>#{style}</styleUrl>{heading}"
        f"{_data(msgspec.to_builtins(told))}{_point(told.lat_deg, told.lon_deg, above)}</Placemark>"
    )


def _spread(told: Told) -> str:
    ring = outline(told)
    if not ring:
        return ""
    places = " ".join(f"{lon:.6f},{lat:.6f}" for lat, lon in ring)
    return (
        f'<Placemark id="spread.{_text(told.id)}"><name>{_text(told.id)}</name><styleUrl>#spread</styleUrl><Polygon>'
        f"<outerBoundaryIs><LinearRing><coordinates>{places}</coordinates></LinearRing></outerBoundaryIs></Polygon>"
        "</Placemark>"
    )


def _alert(said: Alert, replayed: bool) -> str:
    if not (math.isfinite(said.lat_rad) and math.isfinite(said.lon_rad)):
        return ""
    name = f"{prefix(said.simulated, said.mode, replayed)}Alert {said.track}, severity {said.severity}"
    return (
        f'<Placemark id="alert.{_text(said.id)}"><name>{_text(name)}</name><description>{_text(said.sentence)}'
        f"</description><TimeStamp><when>{rfc3339(said.t_us)}</when></TimeStamp><styleUrl>#alert</styleUrl>{_data(facts(said))}"
        f"{_point(math.degrees(said.lat_rad), math.degrees(said.lon_rad), None)}</Placemark>"
    )


def encode(tracks: Sequence[Told], alerts: Sequence[Alert], time_us: int, site: str, replayed: bool = False) -> bytes:
    """A whole file: all tracks with a place, their ellipses, the open alerts."""
    alerted = {said.track for said in alerts}
    placed = [told for told in tracks if told.lat_deg is not None and told.lon_deg is not None]
    styles = "".join(
        f'<Style id="{name}"><IconStyle><color>{colour}</color></IconStyle></Style>' for name, colour in _STYLES.items()
    )
    spread = (
        '<Style id="spread"><LineStyle><color>a000a5ff</color></LineStyle><PolyStyle><fill>0</fill></PolyStyle></Style>'
    )
    folders = (
        (TRACKS, [_track(told, told.id in alerted, replayed) for told in placed]),
        (SPREAD, [_spread(told) for told in placed]),
        (ALERTS, [_alert(said, replayed) for said in alerts]),
    )
    body = "\n".join(f"<Folder><name>{name}</name>{chr(10).join(marks)}</Folder>" for name, marks in folders)
    head = f"<name>Vedette {_text(site)}</name><description>{rfc3339(time_us)}</description>"
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="{NAMESPACE}"><Document>{head}{styles}{spread}\n{body}'
    return f"{text}</Document></kml>\n".encode()


def link(address: str, every_s: float, site: str) -> bytes:
    """A file that a viewer opens once, and that makes it ask `address` again and again."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<kml xmlns="{NAMESPACE}"><NetworkLink>'
        f"<name>Vedette {_text(site)}</name><Link><href>{_text(address)}</href><refreshMode>onInterval</refreshMode>"
        f"<refreshInterval>{every_s:g}</refreshInterval></Link></NetworkLink></kml>\n"
    ).encode()


def decode(payload: bytes) -> tuple[Mark, ...]:
    """The points of a file of ours, in their order.

    Raises:
        Invalid: oversized, malformed (a document type is), missing-field, out-of-range.
    """
    if len(payload) > MOST_BYTES:
        raise Invalid("oversized", f"{len(payload)} bytes")
    if b"<!" in payload:
        raise Invalid("malformed", "a document type or a section")
    try:
        root = ElementTree.fromstring(payload)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise Invalid("malformed", str(error)[:80]) from None
    space = {"k": NAMESPACE}
    return tuple(
        _read(folder.findtext("k:name", "", space), mark, space)
        for folder in root.iterfind("k:Document/k:Folder", space)
        for mark in folder.iterfind("k:Placemark[k:Point]", space)
    )


def _read(folder: str, mark: ElementTree.Element, space: dict[str, str]) -> Mark:
    where = mark.findtext("k:Point/k:coordinates", "", space).split(",")
    try:
        lon, lat, *height = map(float, where)
    except ValueError:
        raise Invalid("missing-field", "coordinates") from None
    if not (abs(lat) <= 90.0 and abs(lon) <= 180.0):
        raise Invalid("out-of-range", "place")
    said = {
        one.get("name", ""): one.findtext("k:value", "", space) for one in mark.iterfind("k:ExtendedData/k:Data", space)
    }
    name = mark.findtext("k:name", "", space)
    return Mark(folder, mark.get("id", ""), name, lat, lon, height[0] if height else math.nan, said)
