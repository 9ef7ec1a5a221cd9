"""Areas that warnings name by a code: a GeoJSON file of the user's in, shapes out, or why not, with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape

from adapters.errors import UNREADABLE, ConfigError, unreadable
from adapters.outlets.cap import Place

MOST_AREAS = 20_000  # the municipalities of a large country
MOST_BYTES = 200_000_000


def load(path: Path, code: str, words: str) -> tuple[Place, ...]:
    """Its polygons in their order. `code`: the property that holds the code, whose name is the kind of code in CAP too;
    `words`: the one that holds the name for people.

    Raises:
        ConfigError: the file cannot be read, is no FeatureCollection, has too many areas; a feature is no polygon, or
            lacks one of the two properties.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(
                str(path), "file", f"is larger than {MOST_BYTES:,} bytes", "leave out what cannot be reached"
            )
        features = json.loads(path.read_text(encoding="utf-8"))["features"]
    except UNREADABLE as error:
        raise unreadable(path, error) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError(str(path), "features", "is no GeoJSON FeatureCollection", "give one of polygons") from None
    if not isinstance(features, list) or not 0 < len(features) <= MOST_AREAS:
        raise ConfigError(str(path), "features", f"is no list of 1 to {MOST_AREAS:,} areas", "give polygons")
    return tuple(_place(path, number, feature, code, words) for number, feature in enumerate(features))


def _place(path: Path, number: int, feature: Any, code: str, words: str) -> Place:
    key = f"features[{number}]"
    try:
        said = feature["properties"]
        found = shape(feature["geometry"])
        value, name = said.get(code), said.get(words)
    except (KeyError, TypeError, ValueError, AttributeError, shapely.errors.ShapelyError):
        raise ConfigError(str(path), key, "is no feature with a geometry and properties", "give polygons") from None
    if found.geom_type not in ("Polygon", "MultiPolygon") or found.is_empty or not found.is_valid:
        raise ConfigError(str(path), key, f"is no valid polygon: {shapely.is_valid_reason(found)}", "repair it")
    west, south, east, north = found.bounds
    if min(west + 180.0, 180.0 - east, south + 90.0, 90.0 - north) < 0.0:
        cure = "write it in degrees of WGS84, longitude first"
        raise ConfigError(str(path), f"{key}.geometry", "is not in degrees of longitude and latitude", cure)
    for wanted, said_of in ((code, value), (words, name)):
        if not isinstance(said_of, str | int) or isinstance(said_of, bool) or not str(said_of).strip():
            cure = "name the property with --area-code and --area-name"
            raise ConfigError(str(path), f"{key}.properties.{wanted}", "is not there", cure)
    shapely.prepare(found)
    return Place(str(name)[:200], (code, str(value)[:100]), found)
