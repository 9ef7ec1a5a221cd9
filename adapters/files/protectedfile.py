"""Protected areas from files: `protected.toml` or GeoJSON in, `fusion.borders.outlook.Area` out, or a refusal with a
cure.

In TOML an area is a block `[[area]]`: a circle (`lat_deg`, `lon_deg`, `radius_m`) or a `polygon` (positions in degrees,
longitude first, closed). In GeoJSON it is a feature whose properties are the same keys: a Polygon or MultiPolygon, or a
Point with `radius_m`.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from adapters.errors import UNREADABLE, ConfigError, unreadable
from adapters.files.configfile import Strict, Word
from adapters.files.polygonfile import BadPolygon, Box, Round, beside, shape_of
from adapters.files.refuse import validate
from adapters.files.textlines import located
from fusion.borders.outlook import MOST_AREAS, Area
from fusion.redlines.sentence import check_words
from fusion.schema import SensorSpec

MAX_FILE_BYTES = 10_000_000

Position = Annotated[list[float | int], Field(min_length=2, max_length=3)]
LATITUDE = "latitude of the centre of a circle, WGS84 degrees"
LONGITUDE = "longitude of the centre of a circle, WGS84 degrees"


class AreaFile(Strict):
    """`[[area]]`."""

    id: Word = Field(description="name of the area in files: letters, digits, _ . -")
    name: str = Field(
        min_length=1, max_length=100, description='as it is said in a sentence, such as "Vilnius airport"'
    )
    kind: Literal["airport", "base", "city", "training-area", "other"] = Field(
        description="airport, base, city, training-area or other"
    )
    severity: int = Field(ge=1, le=3, description="1 highest to 3: how much it matters that something flies there")
    state: str = Field(default="", pattern="^([A-Z]{2})?$", description="ISO code of its state, such as LT")
    accuracy_m: float = Field(ge=0, le=50_000, description="how far its line may be off, metres")
    lat_deg: float | None = Field(default=None, ge=-90, le=90, description=LATITUDE)
    lon_deg: float | None = Field(default=None, ge=-180, le=180, description=LONGITUDE)
    radius_m: float | None = Field(default=None, gt=0, le=200_000, description="radius of a circle, metres")
    polygon: list[Position] | None = Field(
        default=None, max_length=100_000, description="instead of a circle: positions in degrees, longitude first"
    )
    floor_m: float | None = Field(default=None, ge=0, le=60_000, description="lowest height above ground, metres")
    ceiling_m: float | None = Field(default=None, gt=0, le=60_000, description="highest height above ground, metres")


class ProtectedFile(Strict):
    """protected.toml."""

    area: list[AreaFile] = Field(default=[], max_length=MOST_AREAS, description="one [[area]] block for every area")


def load(paths: Sequence[Path], sensors: Sequence[SensorSpec] = ()) -> tuple[tuple[Area, ...], list[ConfigError]]:
    """The areas of all files, or everything wrong with them. `sensors` tell where this site watches."""
    areas: list[Area] = []
    found: list[ConfigError] = []
    named: dict[str, str] = {}
    box = beside(sensors)
    for path in paths:
        for key, block, shapes in _read(path, found):
            try:
                area = _area(block, shapes, box)
            except BadPolygon as bad:
                found.append(ConfigError(str(path), key, f'"{block.id}" {bad.problem}', bad.cure))
                continue
            if area.id in named:
                problem = f'"{area.id}" is also in {named[area.id]}'
                found.append(ConfigError(str(path), f"{key}.id", problem, "give every area an id of its own"))
            named.setdefault(area.id, f"{path} ({key})")
            areas.append(area)
    if len(areas) > MOST_AREAS:
        found.append(ConfigError(str(paths[-1]), "area", f"is one of more than {MOST_AREAS:,}", "leave some out"))
    return ((), [located(error) for error in found]) if found else (tuple(areas), [])


_Block = tuple[str, AreaFile, list[Any] | None]  # key, block, rings of each polygon where the file is GeoJSON


def _read(path: Path, found: list[ConfigError]) -> list[_Block]:
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_FILE_BYTES:
            raise ConfigError(str(path), "(file)", f"is larger than {MAX_FILE_BYTES:,} bytes", "simplify the polygons")
        text = raw.decode("utf-8")
        return _geojson(path, text, found) if path.suffix.lower() in (".geojson", ".json") else _toml(path, text, found)
    except UNREADABLE as error:
        found.append(unreadable(path, error))
    except ConfigError as error:
        found.append(error)
    return []


def _toml(path: Path, text: str, found: list[ConfigError]) -> list[_Block]:
    model, wrong = validate(ProtectedFile, tomllib.loads(text), str(path))
    found += wrong
    return [] if model is None else [(f"area[{row}]", block, None) for row, block in enumerate(model.area)]


def _geojson(path: Path, text: str, found: list[ConfigError]) -> list[_Block]:
    data = json.loads(text)
    features = data.get("features") if isinstance(data, dict) else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        cure = "write a GeoJSON FeatureCollection (RFC 7946)"
        raise ConfigError(str(path), "features", "is not a list of features", cure)
    blocks: list[_Block] = []
    for row, feature in enumerate(features):
        key = f"features[{row}]"
        given, geometry = feature.get("properties"), feature.get("geometry")
        known = {name: value for name, value in (given if isinstance(given, dict) else {}).items()
                 if name in AreaFile.model_fields}  # fmt: skip
        kind = geometry.get("type") if isinstance(geometry, dict) else None
        at: Any = geometry.get("coordinates") if isinstance(geometry, dict) else None
        shapes = None
        if kind == "Point" and _numbers(at, 0):
            known |= {"lon_deg": float(at[0]), "lat_deg": float(at[1])}
        elif kind == "Polygon" and _numbers(at, 2):
            shapes = [at]
        elif kind == "MultiPolygon" and _numbers(at, 3):
            shapes = list(at)
        else:
            cure = "give a Polygon, a MultiPolygon, or a Point with the property radius_m"
            found.append(ConfigError(str(path), f"{key}.geometry", "is none that bounds an area", cure))
            continue
        model, wrong = validate(AreaFile, known, str(path))
        found += [ConfigError(e.file, f"{key}.properties.{e.key}", e.problem, e.cure) for e in wrong]
        if model is not None:
            blocks.append((key, model, shapes))
    return blocks


def _numbers(value: Any, depth: int) -> bool:
    """Whether a value is lists of lists, `depth` deep, of positions."""
    if not isinstance(value, list) or not value:
        return False
    if depth:
        return all(_numbers(part, depth - 1) for part in value)
    return len(value) >= 2 and all(isinstance(part, int | float) and not isinstance(part, bool) for part in value)


def _area(block: AreaFile, shapes: list[Any] | None, box: Box | None) -> Area:
    try:
        check_words(block.name)
    except ValueError as error:
        raise BadPolygon(f"has the name {block.name!r}: {error}", "say only what is measured") from error
    floor_m = -math.inf if block.floor_m is None else block.floor_m
    ceiling_m = math.inf if block.ceiling_m is None else block.ceiling_m
    if floor_m >= ceiling_m:
        raise BadPolygon("has its floor_m not below its ceiling_m", "correct the two, metres above ground")
    if shapes is None and block.polygon is not None:
        shapes = [[block.polygon]]
    shape = shape_of(shapes, Round(block.lat_deg, block.lon_deg, block.radius_m), box)
    return Area(
        block.id, block.name, block.kind, block.severity, shape, block.state, block.accuracy_m, floor_m, ceiling_m
    )
