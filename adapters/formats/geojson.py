"""GeoJSON (RFC 7946): tracks and alerts as points, for any map, and as lines of one feature each (newline-delimited).

    {"type": "FeatureCollection", "time": "...", "site": "lt-east", "features": [
       {"type": "Feature", "id": "5:17", "geometry": {"type": "Point", "coordinates": [25.7298, 54.5431, 371.0]},
        "properties": {"kind": "track", "time": "...", "speed_mps": 41.6, ...}}]}

Longitude first, the third coordinate is the height above the WGS84 ellipsoid and absent when that is not known.
Properties have the names, units and absences of our own messages, and for maps the ellipse in which the place is with
one sigma: `ellipse_major_m`, `ellipse_minor_m`, half axes, and `ellipse_azimuth_deg`, where the longer one points. What
ended is a feature without geometry whose property `ended` is true; that, like `time` and `site` beside `features`, is a
foreign member that maps ignore.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters.rows import Told, check_row, ellipse
from adapters.wire import BAD_JSON, check_envelope, dump, load_json, reason_of, rfc3339, rounded, without_none
from fusion.schema import Alert, Invalid

TRACK_SCHEMA = "vedette.track.v1"  # of the rows that are read back
_PLACE = ("lat_deg", "lon_deg", "height_m")
_ROW = msgspec.json.Encoder()


class AlertMark(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an alert's feature says; times RFC 3339."""

    id: str
    state: str
    severity: int
    sentence: str
    rule: str
    track: str
    raised_time: str
    time: str
    near_state: str = ""
    overflown: str = ""
    disputed: bool = False
    sensors: tuple[str, ...] = ()
    identity: str = "unknown"
    identity_by: str = ""
    acknowledged_by: str = ""
    close_reason: str = ""
    simulated: bool = False
    mode: str = "peace"


class _Geometry(msgspec.Struct, tag="Point", tag_field="type"):
    coordinates: Annotated[tuple[float, ...], Meta(min_length=2, max_length=3)]


class _Feature(msgspec.Struct, tag="Feature", tag_field="type"):
    properties: dict[str, Any]
    geometry: _Geometry | None = None
    id: str = ""


class _Collection(msgspec.Struct, tag="FeatureCollection", tag_field="type"):
    features: list[_Feature]
    time: Annotated[datetime, Meta(tz=True)] | None = None


_COLLECTION = msgspec.json.Decoder(_Collection)


class Read(msgspec.Struct, frozen=True):
    """A collection as it is read back."""

    tracks: tuple[Told, ...] = ()
    alerts: tuple[AlertMark, ...] = ()
    ended: tuple[str, ...] = ()


def _point(lon: float | None, lat: float | None, height_m: float | None) -> dict[str, Any] | None:
    if lon is None or lat is None:
        return None
    return {"type": "Point", "coordinates": [lon, lat] if height_m is None else [lon, lat, height_m]}


def _feature(name: str, point: dict[str, Any] | None, properties: dict[str, Any]) -> bytes:
    # The one null of a message of ours: RFC 7946 wants `geometry` to be there, and null where a feature has no place.
    geometry = dump(point) if point is not None else b"null"
    return b'{"type":"Feature","id":%s,"geometry":%s,"properties":%s}' % (dump(name), geometry, dump(properties))


def track(told: Told) -> bytes:
    """The feature of a track."""
    said: dict[str, Any] = msgspec.to_builtins(told)
    place = [said.pop(name, None) for name in _PLACE]
    del said["schema"]
    spread = ellipse(told)
    if spread is not None:
        said |= {f"ellipse_{name}": round(value, 1) for name, value in spread._asdict().items()}
    properties = {"kind": "track", "time": rfc3339(told.t_us), **{k: v for k, v in said.items() if k != "time"}}
    return _feature(told.id, _point(place[1], place[0], place[2]), properties)


def alert(said: Alert) -> bytes:
    """The feature of an alert as it stands, at the place of its last transition."""
    mark = AlertMark(
        id=said.id,
        state=said.state,
        severity=said.severity,
        sentence=said.sentence,
        rule=said.rule,
        track=said.track,
        raised_time=rfc3339(said.raised_us),
        time=rfc3339(said.t_us),
        near_state=said.near_state,
        overflown=said.overflown,
        disputed=said.disputed,
        sensors=said.sensors,
        identity=said.identity,
        identity_by=said.identity_by,
        acknowledged_by=said.acknowledged_by,
        close_reason=said.close_reason,
        simulated=said.simulated,
        mode=said.mode,
    )
    place = [rounded(math.degrees(angle), 6) for angle in (said.lon_rad, said.lat_rad)]
    return _feature(said.id, _point(place[0], place[1], None), {"kind": "alert", **msgspec.to_builtins(mark)})


def ended(name: str, time_us: int) -> bytes:
    """A track that is no more."""
    return _feature(name, None, {"kind": "track", "id": name, "time": rfc3339(time_us), "ended": True})


def collection(features: Sequence[bytes], time_us: int, site: str, attribution: str = "") -> bytes:
    """A whole file. `attribution` is that of borders, where some are among the features."""
    head = dump(
        without_none(
            {
                "type": "FeatureCollection",
                "site": site,
                "time": rfc3339(time_us),
                "attribution": attribution or None,
            }
        )
    )
    return head[:-1] + b',"features":[' + b",\n".join(features) + b"]}\n"


def decode(payload: bytes) -> Read:
    """What a collection of ours says, of any size. Features of another kind are passed over.

    Raises:
        Invalid: not-utf8, malformed, not-finite, missing-field, bad-time, out-of-range, length.
    """
    try:
        found = _COLLECTION.decode(payload)
        tracks, alerts, gone = [], [], []
        for feature in found.features:
            said = feature.properties
            kind = said.pop("kind", "")
            if kind == "track" and said.get("ended") is True:
                gone.append(str(said.get("id", "")))
            elif kind == "track":
                tracks.append(_told(feature, said))
            elif kind == "alert":
                alerts.append(msgspec.convert(said, AlertMark))
    except BAD_JSON as error:
        if isinstance(error, Invalid):
            raise
        if len(payload) <= 1 << 16:
            load_json(payload)  # says what is wrong with the whole, where that is it
            check_envelope(payload)
        raise Invalid(reason_of(error), str(error)[:120]) from None
    return Read(tuple(tracks), tuple(alerts), tuple(gone))


def _told(feature: _Feature, said: dict[str, Any]) -> Told:
    if feature.geometry is not None:
        said.update(zip(("lon_deg", "lat_deg", "height_m"), feature.geometry.coordinates, strict=False))
    row = msgspec.convert({**said, "schema": TRACK_SCHEMA}, Told)
    check_row(row)
    return row
