"""CZML 1.0, for Cesium: tracks with the ellipse of their place, and alerts, as packets; whole files and changes alike.

Every object is a packet under an id of its own, `track.5:17` or `alert.8c1f...`, and ends with `"delete": true`.
Heights are above the WGS84 ellipsoid, as ours; what has none lies on the ground. A track is to be seen for as long
after its time as the service repeats it. Everything that we publish is in `properties` under our own names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.played import prefix
from adapters.rows import Told, ellipse, facts
from adapters.wire import BAD_JSON, dump, reason_of, rfc3339
from fusion.schema import US_PER_S, Alert, Invalid

LASTS_US = 15 * US_PER_S  # three repeats of the service
MOST_BYTES = 256 << 20
_COLOURS = {
    "own": [255, 165, 0, 255], "civil": [208, 208, 208, 255], "doubt": [255, 255, 0, 255], "alert": [255, 0, 0, 255]
}  # fmt: skip


class Packet(msgspec.Struct, frozen=True):
    """One as it is read back; its graphics are passed over."""

    id: str
    name: str = ""
    version: str = ""
    delete: bool = False
    availability: str = ""
    description: str = ""
    position: dict[str, list[float]] = {}
    properties: dict[str, Any] = {}


_PACKETS = msgspec.json.Decoder(list[Packet])


def _graphics(colour: str, name: str, grounded: bool) -> dict[str, Any]:
    where = {"heightReference": {"heightReference": "CLAMP_TO_GROUND"}} if grounded else {}
    return {
        "point": {"pixelSize": 9, "color": {"rgba": _COLOURS[colour]}, **where},
        "label": {
            "text": name, "font": "12px sans-serif", "horizontalOrigin": "LEFT",
            "pixelOffset": {"cartesian2": [10, 0]}, **where,
        },
    }  # fmt: skip


def track(told: Told, alerted: bool = False, replayed: bool = False) -> dict[str, Any]:
    """The packet of a track.

    Raises:
        Invalid: `missing-field` where it has no place.
    """
    if told.lat_deg is None or told.lon_deg is None:
        raise Invalid("missing-field", f"place of track {told.id}")
    name = prefix(told.simulated, told.mode, replayed) + (told.callsign or told.id)
    colour = "alert" if alerted else "doubt" if told.contradicted else "civil" if told.cooperative else "own"
    said: dict[str, Any] = msgspec.to_builtins(told)
    packet: dict[str, Any] = {
        "id": f"track.{told.id}",
        "name": name,
        "availability": f"{rfc3339(told.t_us)}/{rfc3339(told.t_us + LASTS_US)}",
        "position": {"cartographicDegrees": [told.lon_deg, told.lat_deg, told.height_m or 0.0]},
        "properties": {key: value for key, value in said.items() if key != "schema"},
        **_graphics(colour, name, told.height_m is None),
    }
    found = ellipse(told)
    if found is not None:
        packet["ellipse"] = {
            "semiMajorAxis": round(max(found.major_m, 0.1), 1),
            "semiMinorAxis": round(max(found.minor_m, 0.1), 1),
            "rotation": round(-math.radians(found.azimuth_deg), 4),  # from north, the other way round
            "fill": False,
            "outline": True,
            "outlineColor": {"rgba": _COLOURS[colour]},
            "height": 0.0,
        }
    return packet


def alert(said: Alert, replayed: bool = False) -> dict[str, Any]:
    """The packet of an alert as it stands; of a closed one its end.

    Raises:
        Invalid: `missing-field` where it has no place.
    """
    if said.state == "closed":
        return gone(f"alert.{said.id}")
    if not (math.isfinite(said.lat_rad) and math.isfinite(said.lon_rad)):
        raise Invalid("missing-field", f"place of alert {said.id}")
    name = f"{prefix(said.simulated, said.mode, replayed)}Alert {said.track}"
    lon, lat = round(math.degrees(said.lon_rad), 6), round(math.degrees(said.lat_rad), 6)
    return {
        "id": f"alert.{said.id}",
        "name": name,
        "description": said.sentence.replace("&", "&amp;").replace("<", "&lt;"),  # it is HTML there
        "position": {"cartographicDegrees": [lon, lat, 0.0]},
        "properties": {key: value for key, value in facts(said).items() if value is not None and value != ""},
        **_graphics("alert", name, True),
    }


def gone(name: str) -> dict[str, Any]:
    """What takes an object off the map."""
    return {"id": name, "delete": True}


def encode(packets: Sequence[dict[str, Any]], site: str) -> bytes:
    """A whole file."""
    return dump([{"id": "document", "name": f"Vedette {site}", "version": "1.0"}, *packets]) + b"\n"


def decode(payload: bytes) -> tuple[Packet, ...]:
    """The packets of a file, without that of the document.

    Raises:
        Invalid: oversized, not-utf8, malformed, missing-field, out-of-range, wrong-schema (no document packet first).
    """
    if len(payload) > MOST_BYTES:
        raise Invalid("oversized", f"{len(payload)} bytes")
    try:
        packets = _PACKETS.decode(payload)
    except BAD_JSON as error:
        raise Invalid(reason_of(error), str(error)[:120]) from None
    if not packets or packets[0].id != "document" or packets[0].version != "1.0":
        raise Invalid("wrong-schema", "no document packet")
    for packet in packets[1:]:
        place = packet.position.get("cartographicDegrees", [0.0, 0.0, 0.0])
        if len(place) != 3 or not (abs(place[0]) <= 180.0 and abs(place[1]) <= 90.0):
            raise Invalid("out-of-range", f"place of {packet.id[:60]}")
    return tuple(packets[1:])
