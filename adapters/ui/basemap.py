"""What the page's map shows of the configuration: the border, the band outside it, states, sensors, protected areas."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from adapters.files import zonefiles
from adapters.incidents.drawing import collection, feature
from fusion.borders.border import OTHER, SEA, band, polygons

if TYPE_CHECKING:
    from adapters.config import Config
    from fusion.schema import SensorSpec
    from fusion.zones import Zones

DIGITS = 4  # of a degree: ten metres, less than a pixel at any zoom of the page
BORDER_STEP_DEG = 0.0002  # less than the line may be off
STATE_STEP_DEG = 0.004  # the polygons of states are a faint wash and may be simplified
LABEL_LEAST_DEG2 = 0.05  # parts of a state from this size on carry its name


def basemap(config: Config, zones: Zones, band_m: float) -> dict[str, Any]:
    """Everything as GeoJSON collections by name, with the attribution that must be shown beside it.

    Raises:
        ConfigError: a border file cannot be read.
    """
    edge = zones.edge[(zones.facing == OTHER) | (zones.facing == SEA)]
    states = _states(config)
    allied = shapely.union_all([shape for _, _, alliance, shape in states if alliance == "ally"])
    lines = np.degrees(edge)[:, [1, 0, 3, 2]].reshape(-1, 2, 2)
    border = shapely.line_merge(shapely.multilinestrings(shapely.linestrings(lines))).simplify(BORDER_STEP_DEG)
    return {
        "attribution": zones.attribution,
        "band_m": band_m,
        "border": collection([_feature(border, {})]),
        "band": collection([_feature(band(allied, edge, band_m), {})]),
        "states": collection([_feature(s, {"code": c, "name": n, "alliance": a}) for c, n, a, s in states]),
        "labels": collection([label for state in states for label in _labels(*state)]),
        "partners": list(config.partners),
        "sensors": [_sensor(spec) for spec in config.sensors],
        "protected": collection([_feature(area.shape, {"name": area.name}) for area in config.protected]),
    }


def _states(config: Config) -> list[tuple[str, str, str, BaseGeometry]]:
    """Code, name, alliance and simplified shape of every state of the border files, in order of code."""
    found: dict[str, tuple[str, str, list[BaseGeometry]]] = {}
    for path in zonefiles.border_files(config.zone_paths):
        for item in zonefiles.read_borders(path).features:
            p, shape = item.properties, item.geometry
            many = shape.coordinates if isinstance(shape, zonefiles.MultiPolygon) else [shape.coordinates]
            drawn = [shapely.Polygon(rings[0], rings[1:]).simplify(STATE_STEP_DEG) for rings in many]
            found.setdefault(p.iso_a2, (p.name or p.iso_a2, p.alliance, []))[2].extend(drawn)
    valid = shapely.make_valid
    return [
        (code, name, alliance, polygons(shapely.union_all([valid(s) for s in parts])))
        for code, (name, alliance, parts) in sorted(found.items())
    ]


def _labels(code: str, name: str, alliance: str, shape: BaseGeometry) -> list[dict[str, Any]]:
    parts = sorted(shapely.get_parts(shape), key=lambda part: -part.area)
    at = [part.representative_point() for n, part in enumerate(parts) if n == 0 or part.area > LABEL_LEAST_DEG2]
    properties = {"code": code, "name": name, "alliance": alliance}
    return [feature("Point", [round(p.x, DIGITS), round(p.y, DIGITS)], properties) for p in at]


def _feature(shape: BaseGeometry, properties: dict[str, Any]) -> dict[str, Any]:
    rounded = shapely.transform(shape, lambda xy: np.round(xy, DIGITS))
    said = shapely.geometry.mapping(rounded)
    return feature(said["type"], said["coordinates"], properties)


def _sensor(spec: SensorSpec) -> dict[str, Any]:
    """Where a sensor stands and how far it sees at most; one without a place has none."""
    place = {"lat_deg": round(math.degrees(spec.lat_rad), DIGITS), "lon_deg": round(math.degrees(spec.lon_rad), DIGITS)}
    return {
        "id": spec.id,
        "kind": spec.kind.name.lower().replace("_", "-"),
        "period_s": spec.period_s,
        "range_max_m": spec.range_max_m,
        "height_m": spec.height_m if math.isfinite(spec.height_m) else None,
        **(place if spec.has_site else {}),
    }
