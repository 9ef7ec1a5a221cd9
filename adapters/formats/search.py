"""`vedette.search.v1` on `search/{track}`, retained ten minutes and told anew before that: where to look for a lost
object.

The message is a GeoJSON FeatureCollection (RFC 7946) with more members: any map shows it. Its features are the place
last seen and, in order of probability, the contours as MultiPolygons, each polygon one ring. Each contour holds its
probability of what still flies, and of what is down. Rings are to a metre, as they are drawn; all else reads back as
it was.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from adapters import exact
from adapters.wire import Names, dump, finite, parse_time, read, rfc3339_exact, without_none
from fusion.cases.record import Contour, SearchArea
from fusion.schema import Invalid

SCHEMA = "vedette.search.v1"
PLACES = 5  # decimals of a degree in rings: 1 m


class _Geometry(msgspec.Struct):
    type: str
    coordinates: msgspec.Raw


class _Properties(msgspec.Struct):
    kind: str
    probability: Annotated[float, Meta(ge=0.0, le=1.0)] | None = None
    area_m2: Annotated[float, Meta(ge=0)] | None = None


class _Feature(msgspec.Struct):
    geometry: _Geometry
    properties: _Properties


class _Message(msgspec.Struct):
    schema: str
    track: str
    number: int
    time: str
    lost_time: str
    why: str
    lat_deg: Decimal
    lon_deg: Decimal
    features: Annotated[list[_Feature], Meta(max_length=16)]
    height_m: float | None = None
    speed_mps: float | None = None
    course_deg: Decimal | None = None
    states: list[str] = []
    assumed: list[str] = []
    ended: bool = False


_Degrees = Annotated[float, Meta(ge=-360.0, le=360.0)]
_MESSAGE = msgspec.json.Decoder(_Message)
_RINGS = msgspec.json.Decoder(list[list[list[tuple[_Degrees, _Degrees]]]])


def encode(area: SearchArea, names: Names, seq: int) -> bytes:
    """The message of one area as it stands."""
    known = dict(zip(names.codes, names.state_names, strict=False))
    point = [exact.degrees(area.lon_rad), exact.degrees(area.lat_rad)]
    features = [_feature("Point", point, {"kind": "last-seen", "time": rfc3339_exact(area.lost_us)})]
    for contour in area.contours:
        rings = [[[[_degrees(lon), _degrees(lat)] for lat, lon in ring]] for ring in contour.rings]
        about = {"kind": "search", "probability": contour.probability, "area_m2": contour.area_m2}
        features.append(_feature("MultiPolygon", rings, about))
    message = {
        "schema": SCHEMA,
        "type": "FeatureCollection",
        "site": names.site,
        "seq": seq,
        "time": rfc3339_exact(area.t_us),
        **names.marks(),
        "track": area.track,
        "number": area.number,
        "lost_time": rfc3339_exact(area.lost_us),
        "why": area.why,
        "ended": area.ended,
        "lat_deg": point[1],
        "lon_deg": point[0],
        "height_m": finite(area.height_m),
        "speed_mps": finite(area.speed_mps),
        "course_deg": exact.degrees(area.course_rad),
        "states": area.states or None,
        "state_names": [known.get(code, code) for code in area.states] or None,
        "assumed": area.assumed or None,
        "features": features,
    }
    return dump(without_none(message))


def _feature(kind: str, coordinates: Any, properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _degrees(radians: float) -> float:
    return round(math.degrees(radians), PLACES) + 0.0


def decode(payload: bytes) -> SearchArea:
    """The area of a message; what was not known is NaN.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return SearchArea(
        track=m.track,
        number=m.number,
        t_us=parse_time(m.time),
        lost_us=parse_time(m.lost_time),
        why=m.why,
        lat_rad=exact.radians(m.lat_deg),
        lon_rad=exact.radians(m.lon_deg),
        height_m=_number(m.height_m),
        speed_mps=_number(m.speed_mps),
        course_rad=exact.radians(m.course_deg),
        contours=tuple(_contour(f) for f in m.features if f.properties.kind == "search"),
        states=tuple(m.states),
        assumed=tuple(m.assumed),
        ended=m.ended,
    )


def _contour(feature: _Feature) -> Contour:
    properties = feature.properties
    if properties.probability is None or properties.area_m2 is None:
        raise Invalid("missing-field", "probability and area_m2 of a contour")
    try:
        polygons = _RINGS.decode(feature.geometry.coordinates)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise Invalid("malformed", "coordinates of a contour") from None
    rings = tuple(
        tuple((math.radians(lat), math.radians(lon)) for lon, lat in polygon[0]) for polygon in polygons if polygon
    )
    return Contour(properties.probability, properties.area_m2, rings)


def _number(value: float | None) -> float:
    return math.nan if value is None else value
