"""An incident as KML (OGC 2.2) and as CZML 1.0: trails, alerts, last places and search areas. Pure.

Both hold what the GeoJSON of `report.geojson` holds, which is made first. A trail lies on the ground in KML, which
counts heights from the sea or the ground and not from the ellipsoid as we do; in CZML it has its heights and its times,
so that a viewer plays it. What was simulated or an exercise says so in every name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from adapters.formats.kml import ILLEGAL, NAMESPACE
from adapters.incidents.reading import Dossier
from adapters.incidents.report import geojson
from adapters.played import prefix
from adapters.wire import dump, parse_time
from fusion.schema import US_PER_S

_COLOURS = {  # red, green, blue, alpha
    "trail": (192, 32, 32, 255), "last-place": (31, 95, 191, 255), "alert": (255, 0, 0, 255),
    "last-seen": (232, 163, 61, 255), "search": (232, 163, 61, 90),
}  # fmt: skip
_SPEED = 10  # times as fast as it was: how a viewer of CZML begins
Feature = dict[str, Any]


def _named(of: Dossier) -> Iterator[tuple[str, str, Feature]]:
    """Features with an id and a name each."""
    mark = _mark(of)
    counts: dict[str, int] = {}
    for item in geojson([of])["features"]:
        said = item["properties"]
        kind = said["kind"]
        counts[kind] = counts.get(kind, 0) + 1
        yield f"{kind}.{counts[kind]}", f"{mark}{_name(kind, said)}", item


def _mark(of: Dossier) -> str:
    return prefix(of.incident.simulated, of.incident.mode, replayed=False)


def _name(kind: str, said: dict[str, Any]) -> str:
    if kind == "alert":
        return f"Alert, severity {said['severity']}: {said['rule']}"
    if kind == "search":
        return f"{said['track']}: search area, {said['probability']:.0%}"
    return f"{said['track']}: {kind.replace('-', ' ')}"


def _polygons(geometry: dict[str, Any]) -> list[list[list[list[float]]]]:
    if geometry["type"] == "MultiPolygon":
        polygons: list[list[list[list[float]]]] = geometry["coordinates"]
        return polygons
    return []


# --- KML ---


def kml(of: Dossier) -> bytes:
    """A whole file."""
    root = ElementTree.Element("kml", xmlns=NAMESPACE)
    document = _leaf(root, "Document")
    _leaf(document, "name", f"{_mark(of)}{of.incident.title} ({of.incident.id})")
    _leaf(document, "description", of.incident.sentence)
    for kind, (red, green, blue, alpha) in _COLOURS.items():
        style = ElementTree.SubElement(document, "Style", id=kind)
        for part, more in (("IconStyle", ""), ("LineStyle", "3"), ("PolyStyle", "")):
            made = _leaf(style, part)
            _leaf(made, "color", f"{alpha:02x}{blue:02x}{green:02x}{red:02x}")
            if more:
                _leaf(made, "width", more)
    for name, words, item in _named(of):
        _placemark(document, name, words, item)
    whole: bytes = ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return whole + b"\n"


def _placemark(document: ElementTree.Element, name: str, words: str, item: Feature) -> None:
    said, geometry = item["properties"], item["geometry"]
    mark = ElementTree.SubElement(document, "Placemark", id=name)
    _leaf(mark, "name", words)
    if "sentence" in said:
        _leaf(mark, "description", said["sentence"])
    if times := said.get("times"):
        span = _leaf(mark, "TimeSpan")
        _leaf(span, "begin", times[0])
        _leaf(span, "end", times[-1])
    _leaf(mark, "styleUrl", f"#{said['kind']}")
    data = _leaf(mark, "ExtendedData")
    for key, value in said.items():
        if key != "times":
            _leaf(ElementTree.SubElement(data, "Data", name=key), "value", str(value))
    if geometry["type"] == "Point":
        _leaf(_leaf(mark, "Point"), "coordinates", _places([geometry["coordinates"]]))
    elif geometry["type"] == "LineString":
        line = _leaf(mark, "LineString")
        _leaf(line, "tessellate", "1")
        _leaf(line, "coordinates", _places(geometry["coordinates"]))
    else:
        whole = _leaf(mark, "MultiGeometry")
        for rings in _polygons(geometry):
            polygon = _leaf(whole, "Polygon")
            for n, ring in enumerate(rings):
                boundary = _leaf(polygon, "innerBoundaryIs" if n else "outerBoundaryIs")
                _leaf(_leaf(boundary, "LinearRing"), "coordinates", _places(ring))


def _leaf(parent: ElementTree.Element, tag: str, text: str = "") -> ElementTree.Element:
    made = ElementTree.SubElement(parent, tag)
    made.text = ILLEGAL.sub("\ufffd", text) or None
    return made


def _places(line: list[list[float]]) -> str:
    return " ".join(f"{at[0]:.6f},{at[1]:.6f}" for at in line)


# --- CZML ---


def czml(of: Dossier) -> bytes:
    """A whole file, with a clock that begins where the trails do."""
    named = list(_named(of))
    times = [at for _, _, item in named for at in item["properties"].get("times", ())]
    document: dict[str, Any] = {"id": "document", "name": f"{_mark(of)}{of.incident.title}", "version": "1.0"}
    if times:
        span = f"{min(times)}/{max(times)}"
        document["clock"] = {"interval": span, "currentTime": min(times), "multiplier": _SPEED, "range": "CLAMPED"}
    return dump([document, *(packet for name, words, item in named for packet in _packets(name, words, item))]) + b"\n"


def _packets(name: str, words: str, item: Feature) -> Iterator[dict[str, Any]]:
    said, geometry = item["properties"], item["geometry"]
    colour = {"rgba": [*_COLOURS[said["kind"]]]}
    about: dict[str, Any] = {
        "name": words,
        "properties": {key: value for key, value in said.items() if key != "times" and value not in (None, "")},
    }
    if "sentence" in said:
        about["description"] = said["sentence"].replace("&", "&amp;").replace("<", "&lt;")  # it is HTML there
    dot: dict[str, dict[str, Any]] = {
        "point": {"pixelSize": 9, "color": colour},
        "label": {"text": words, "font": "12px sans-serif", "horizontalOrigin": "LEFT",
                  "pixelOffset": {"cartesian2": [10, 0]}},
    }  # fmt: skip
    if geometry["type"] == "Point":
        low = {"heightReference": {"heightReference": "CLAMP_TO_GROUND"}}
        grounded = {key: {**value, **low} for key, value in dot.items()}
        yield {
            "id": name,
            **about,
            "position": {"cartographicDegrees": [*geometry["coordinates"][:2], 0.0]},
            **grounded,
        }
    elif geometry["type"] == "LineString":
        line = [[*at, 0.0][:3] for at in geometry["coordinates"]]
        flat = [value for at in line for value in at]
        way = {"positions": {"cartographicDegrees": flat}, "width": 3, "material": {"solidColor": {"color": colour}}}
        yield {"id": name, **about, "polyline": way}
        times = said["times"]
        since_s = [(parse_time(at) - parse_time(times[0])) / US_PER_S for at in times]
        moving = [value for at, place in zip(since_s, line, strict=True) for value in (at, *place)]
        yield {
            "id": f"{name}.moving", "name": words, "availability": f"{times[0]}/{times[-1]}",
            "position": {"epoch": times[0], "cartographicDegrees": moving}, **dot,
        }  # fmt: skip
    else:
        for n, rings in enumerate(_polygons(geometry)):
            corners = [value for at in rings[0] for value in (*at[:2], 0.0)]
            area = {"positions": {"cartographicDegrees": corners}, "material": {"solidColor": {"color": colour}}}
            yield {"id": f"{name}.{n + 1}", **about, "polygon": area}
