"""Places of an incident as GeoJSON (RFC 7946) and as a vector map: trails, alerts, search areas, borders. Pure.

Whatever shows border geometry shows `ATTRIBUTION`. Text from outside is escaped here, where it becomes markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fusion.cases.record import SearchArea

ATTRIBUTION = "(c) OpenStreetMap contributors, ODbL"
WIDTH_PX = 720
MARGIN = 0.15  # of the larger side, around everything that is shown
LEAST_M = 8_000.0  # side of the smallest map
M_PER_DEG = 111_195.0
COLOURS = ("#c02020", "#1f5fbf", "#11795b", "#8a4fb3", "#b36a00", "#4d6b00", "#a0206f", "#00707f")

Place = tuple[float, float]  # lat_deg, lon_deg
Box = tuple[float, float, float, float]  # west, south, east, north, degrees


def degrees(radians: float) -> float:
    """To 0.1 m."""
    return round(math.degrees(radians), 6)


def search_geojson(area: SearchArea) -> dict[str, Any]:
    """A search area as a FeatureCollection: a polygon for every contour, and where the object was last seen."""
    about = {"track": area.track, "time_us": area.t_us, "lost_time_us": area.lost_us, "why": area.why}
    features = [feature("Point", [degrees(area.lon_rad), degrees(area.lat_rad)], {**about, "kind": "last-seen"})]
    for contour in area.contours:
        rings = [[[[degrees(lon), degrees(lat)] for lat, lon in ring]] for ring in contour.rings]
        more = {"kind": "search", "probability": contour.probability, "area_m2": round(contour.area_m2)}
        features.append(feature("MultiPolygon", rings, {**about, **more}))
    return collection(features)


def feature(kind: str, coordinates: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    """One feature of a FeatureCollection."""
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": dict(properties)}


def collection(features: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """A FeatureCollection."""
    return {"type": "FeatureCollection", **more, "features": list(features)}


@dataclass(slots=True)
class Sketch:
    """What a map shows. Lines are lists of (lat, lon) degrees."""

    trails: list[tuple[str, list[Place]]] = field(default_factory=list)  # label, line
    marks: list[tuple[str, Place]] = field(default_factory=list)  # label, where
    areas: list[list[list[Place]]] = field(default_factory=list)  # rings of search areas, the widest first
    borders: list[list[Place]] = field(default_factory=list)
    names: list[tuple[str, Place]] = field(default_factory=list)  # of states
    around: list[tuple[Place, float]] = field(default_factory=list)  # also shown: so many metres about a place

    def box(self) -> Box | None:
        """Everything but the borders, with a margin; None where nothing has a place."""
        lines = [line for _, line in self.trails] + [ring for rings in self.areas for ring in rings]
        places = [place for line in lines for place in line] + [place for _, place in self.marks]
        places += [corner for place, metres in self.around for corner in _corners(place, metres)]
        if not places:
            return None
        south, north = min(p[0] for p in places), max(p[0] for p in places)
        west, east = min(p[1] for p in places), max(p[1] for p in places)
        shrink = max(0.1, math.cos(math.radians((south + north) / 2)))
        side = max(north - south, (east - west) * shrink, LEAST_M / M_PER_DEG)
        pad = MARGIN * side
        grow_lat = max(pad, (0.5 * side - (north - south)) / 2 + pad)
        grow_lon = max(pad, (0.5 * side - (east - west) * shrink) / 2 + pad) / shrink
        return west - grow_lon, south - grow_lat, east + grow_lon, north + grow_lat


def _corners(place: Place, metres: float) -> tuple[Place, Place]:
    lat, lon = place
    up = metres / M_PER_DEG
    aside = up / max(0.1, math.cos(math.radians(lat)))
    return (lat - up, lon - aside), (lat + up, lon + aside)


def svg(sketch: Sketch, box: Box) -> str:
    """The map as inline SVG, north up, with a scale bar and the attribution of the borders."""
    west, south, east, north = box
    shrink = math.cos(math.radians((south + north) / 2))
    scale = WIDTH_PX / ((east - west) * shrink)
    height = max(120, round((north - south) * scale))

    def at(place: Place) -> str:
        return f"{(place[1] - west) * shrink * scale:.1f},{(north - place[0]) * scale:.1f}"

    def path(line: Sequence[Place], close: str = "") -> str:
        return f'd="M{" L".join(at(place) for place in line)}{close}"'

    parts = [f'<svg viewBox="0 0 {WIDTH_PX} {height}" role="img" aria-label="Map of the incident">']
    parts.append(f'<rect width="{WIDTH_PX}" height="{height}" class="ground"/>')
    parts += [f'<path {path(ring, "Z")} class="search"/>' for rings in sketch.areas for ring in rings]
    parts += [f'<path {path(line)} class="border"/>' for line in sketch.borders]
    parts += [_text(name, at(place), "state") for name, place in sketch.names]
    for n, (label, line) in enumerate(sketch.trails):
        colour = COLOURS[n % len(COLOURS)]
        parts.append(f'<path {path(line)} class="trail" stroke="{colour}"/>')
        x, y = at(line[-1]).split(",")
        parts.append(f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>')
        parts.append(_text(label, f"{float(x) + 8:.1f},{float(y) - 6:.1f}", "label"))
    for label, place in sketch.marks:
        x, y = at(place).split(",")
        parts.append(f'<path d="M{x},{y} m-5,-5 l10,10 m0,-10 l-10,10" class="mark"/>')
        parts.append(_text(label, f"{float(x) + 8:.1f},{float(y) + 12:.1f}", "label"))
    parts += _scale_bar(scale / M_PER_DEG, height)
    if sketch.borders:
        parts.append(_text(ATTRIBUTION, f"{WIDTH_PX - 8},{height - 8}", "credit"))
    return "\n".join([*parts, "</svg>"])


def _text(words: str, at: str, kind: str) -> str:
    x, y = at.split(",")
    return f'<text x="{x}" y="{y}" class="{kind}">{html.escape(words)}</text>'


def _scale_bar(px_per_m: float, height: int) -> list[str]:
    """A bar of a round number of kilometres, of at most a quarter of the width."""
    steps = [n * 10**power for power in range(2, 7) for n in (1, 2, 5)]
    length_m = max((step for step in steps if step * px_per_m <= WIDTH_PX / 4), default=steps[0])
    px = length_m * px_per_m
    words = f"{length_m / 1_000:g} km"
    return [f'<path d="M12,{height - 12} h{px:.1f}" class="bar"/>', _text(words, f"12,{height - 18}", "label")]
