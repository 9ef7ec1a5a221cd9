"""Borders, terrain and geoid from files: GeoJSON and GeoTIFF in, `fusion.zones.Zones` out, or a refusal with a cure.

A border file is a GeoJSON FeatureCollection (RFC 7946) of polygons. Every feature has the properties `iso_a2` and
`alliance` (ally, partner, other) and perhaps `name`; one state may have several features in one file. The collection
itself may carry `attribution` (shown wherever its geometry is shown), `accuracy_m` (how far its lines may be off) and
`clipped_to` (west, south, east, north in degrees: lines along that box are cuts, not borders).
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np
import scipy
import shapely
import tifffile
from msgspec import Meta, Struct

from adapters.errors import ConfigError
from adapters.files.polygonfile import Box
from fusion import zones
from fusion.borders import border, segments
from fusion.borders.border import SLIVER_M2, Cut, State, area_m2, polygons
from fusion.borders.terrain import Grid, sample
from fusion.coverage import LOOKING
from fusion.schema import F8, SensorSpec
from fusion.screening import FINE_M, is_fine

MAX_FILE_BYTES = 64_000_000  # a border of 1 m detail for this part of the world; more is a mistake
KEPT = 4  # outlines in the cache, about 10 MB each; the oldest goes
MAX_NODES = 50_000_000  # of a grid: 200 MB as float32

Position = Annotated[list[float], Meta(min_length=2)]
Ring = Annotated[list[Position], Meta(min_length=4)]
Rings = Annotated[list[Ring], Meta(min_length=1)]


class Polygon(Struct, tag_field="type", tag="Polygon"):
    """RFC 7946, 3.1.6."""

    coordinates: Rings


class MultiPolygon(Struct, tag_field="type", tag="MultiPolygon"):
    """RFC 7946, 3.1.7."""

    coordinates: Annotated[list[Rings], Meta(min_length=1)]


class Properties(Struct):
    """What we need to know of a state; anything else may be there and is not read."""

    iso_a2: Annotated[str, Meta(pattern="^[A-Z]{2}$")]
    alliance: Literal["ally", "partner", "other"]
    name: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


class Feature(Struct, tag_field="type", tag="Feature"):
    """One state, or a part of one."""

    properties: Properties
    geometry: Polygon | MultiPolygon


class Collection(Struct, tag_field="type", tag="FeatureCollection"):
    """One border file."""

    features: Annotated[list[Feature], Meta(min_length=1)]
    attribution: Annotated[str, Meta(max_length=500)] = ""
    accuracy_m: Annotated[float, Meta(gt=0.0, le=100_000.0)] | None = None
    clipped_to: tuple[float, float, float, float] | None = None


CURES = (  # what the decoder's complaint is about, and what to do; the first that fits
    ("iso_a2", 'give every feature the property "iso_a2", two capital letters such as "LT"'),
    ("alliance", 'give every feature the property "alliance": "ally", "partner" or "other"'),
    ("geometry", "keep only Polygon and MultiPolygon features, rings of at least four positions in degrees"),
    ("clipped_to", '"clipped_to" is west, south, east, north in degrees; leave it out when the data are not clipped'),
    ("", "write a GeoJSON FeatureCollection of polygons (RFC 7946), for example with ogr2ogr -f GeoJSON"),
)


def load(paths: Sequence[Path], terrain: Path, geoid: Path, accuracy_m: float, box: Box | None = None) -> zones.Zones:
    """Read border files (a folder stands for its *.geojson), terrain and geoid, and build the zones.

    Some seconds the first time; what took them is kept in the user's cache under a hash of everything it depends on,
    and the next start takes a fraction. The zones are the same with and without.

    `accuracy_m`: how far border lines may be off. `box`: where this site watches (polygonfile.beside); None: not told.

    Raises:
        ConfigError: the first thing wrong, with file, key and cure.
    """
    ground, level = load_terrain(terrain), load_geoid(geoid)
    files = border_files(paths)
    kept = _cache(_key([*files, terrain], accuracy_m))
    found = _recall(kept) if kept else None
    if found is None:
        states, attribution, cut = _states(files, accuracy_m)
        if not any(state.alliance == "ally" for state in states):
            cure = 'set "alliance": "ally" on the states to be watched over'
            raise ConfigError(str(paths[0]), "alliance", "no state is an ally, so there is no border", cure)
        names = {state.code: (state.name, state.alliance) for state in states}
        found = Found(names, attribution, zones.outline(states, ground, accuracy_m, cut))
        if kept:
            _remember(kept, found)
    if box is not None:
        _refuse_swapped(files[0], found.drawn, box)
    return zones.assemble(found.names, found.drawn, ground, level, accuracy_m, found.attribution)


def _refuse_swapped(path: Path, drawn: zones.Outline, box: Box) -> None:
    """No state comes near the sensors, but some would with latitude and longitude swapped: a common slip of exports."""
    corners = np.degrees(np.concatenate([drawn.edges[:, :2], drawn.edges[:, 2:]]))
    west, south, east, north = box

    def met(lon: F8, lat: F8) -> bool:
        return bool((lon.max() >= west) and (lon.min() <= east) and (lat.max() >= south) and (lat.min() <= north))

    lat, lon = corners.T
    if not met(lon, lat) and met(lat, lon):
        cure = "swap the two numbers of every position: longitude comes first (RFC 7946, 3.1.1)"
        problem = "has longitude and latitude swapped: every state lies far from every sensor"
        raise ConfigError(str(path), "features", problem, cure)


class Found(NamedTuple):
    """What border files came to: all that `load` keeps for the next start."""

    names: dict[str, tuple[str, str]]  # code to name and alliance, in order of code
    attribution: str
    drawn: zones.Outline


def _key(files: Sequence[Path], accuracy_m: float) -> str:
    """A hash of all that an outline depends on: what the files hold, the code, and the libraries that compute it."""
    code = [Path(module.__file__ or "") for module in (border, segments, zones)] + [Path(__file__)]
    digest = hashlib.sha256(repr((accuracy_m, shapely.geos_version, np.__version__, scipy.__version__)).encode())
    for path in [*code, *files]:
        try:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        except OSError as error:
            raise ConfigError(str(path), "", f"cannot be read: {error.strerror}", "correct the path") from error
    return digest.hexdigest()


def _cache(key: str) -> Path | None:
    """Where the outline of that key is kept: the user's cache folder (XDG base directories); None: there is none."""
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # an account without a home, as in a container
        return None
    return base / "vedette" / f"zones-{key[:32]}.npz"


def _recall(path: Path) -> Found | None:
    """What was kept, or None when it is not there or not whole (the archive has a checksum for every array)."""
    try:
        # Opened here, because numpy leaves a file open that turns out to be cut short.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            codes, texts, alliances = kept["codes"].tolist(), kept["texts"].tolist(), kept["alliances"].tolist()
            names = {code: (text, alliance) for code, text, alliance in zip(codes, texts, alliances, strict=True)}
            drawn = zones.Outline(*(kept[name] for name in zones.Outline._fields))
            return Found(names, str(kept["attribution"]), drawn)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _remember(path: Path, found: Found) -> None:
    """Keep it for the next start; a cache that cannot be written is no reason not to start."""
    texts = np.asarray([name for name, _ in found.names.values()])
    alliances = np.asarray([alliance for _, alliance in found.names.values()])
    words: dict[str, Any] = {
        "codes": np.asarray(list(found.names)),
        "texts": texts,
        "alliances": alliances,
        "attribution": np.asarray(found.attribution),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        older = sorted(path.parent.glob("zones-*.npz"), key=lambda p: p.stat().st_mtime)
        for old in older[: max(len(older) - KEPT + 1, 0)]:
            old.unlink(missing_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            np.savez(file, **words, **found.drawn._asdict())
        Path(file.name).replace(path)
    except OSError:
        return


def load_terrain(path: Path) -> Grid:
    """Heights of the ground above mean sea level, metres. Raises ConfigError."""
    grid = _grid(path, 1.0)
    _within(path, grid, -12_000.0, 9_000.0, "the ground is between -12,000 and 9,000 m", "give metres")
    return grid


def load_dem(path: Path, sensors: Sequence[SensorSpec]) -> Grid:
    """Terrain fine enough to say what each of the sensors that look cannot see: 1 km or finer, around all of them.

    Raises:
        ConfigError: it is coarser, knows one height only, or knows nothing where one of these sensors stands.
    """
    grid = load_terrain(path)
    if not is_fine(grid):
        problem = f"has a height every {grid.step_m:,.0f} m, and what is coarser than {FINE_M:,.0f} m knows no ridges"
        cure = "give one of 30 arc-seconds or less, or leave it out: zones.terrain then makes silence count less"
        raise ConfigError(str(path), "zones.dem", problem, cure)
    if np.nanmin(grid.values) == np.nanmax(grid.values):
        cure = "export the heights again: a band of heights in metres, not a mask"
        raise ConfigError(str(path), "zones.dem", f"holds one height only, {np.nanmin(grid.values):g} m", cure)
    for spec in sensors:
        if not (spec.has_site and spec.kind in LOOKING):
            continue
        if not math.isfinite(sample(grid, np.array([spec.lat_rad]), np.array([spec.lon_rad]))[0]):
            place = f"{math.degrees(spec.lat_rad):.4f} {math.degrees(spec.lon_rad):.4f}"
            cure = "give terrain of all that the sensors see, in one file: gdalwarp joins tiles"
            raise ConfigError(str(path), "zones.dem", f'knows no height at {place}, where "{spec.id}" stands', cure)
    return grid


def load_geoid(path: Path) -> Grid:
    """The geoid above the ellipsoid, metres; integer files are in centimetres. Raises ConfigError."""
    grid = _grid(path, 0.01)
    cure = "give undulation in metres as floats, or in centimetres as integers"
    _within(path, grid, -120.0, 120.0, "the geoid is between -120 and 120 m", cure)
    return grid


def border_files(paths: Sequence[Path]) -> list[Path]:
    """Folders opened, in order of name. Raises ConfigError."""
    out: list[Path] = []
    for path in paths:
        inside = sorted(path.glob("*.geojson")) if path.is_dir() else [path]
        if not inside:
            raise ConfigError(str(path), "", "has no *.geojson in it", "name a folder with border files, or a file")
        out += inside
    if not out:
        cure = 'name border files, for example borders = ["zones/osm"]'
        raise ConfigError("service.toml", "zones.borders", "names no border file", cure)
    return out


def _states(files: Sequence[Path], accuracy_m: float) -> tuple[list[State], str, Cut | None]:
    """All states of all files in order of code, their attribution, and the box to which they were clipped."""
    if not (math.isfinite(accuracy_m) and accuracy_m > 0.0):
        cure = "give metres above 0: 25 for zones/osm, 3000 for zones/naturalearth"
        raise ConfigError("service.toml", "zones.accuracy_m", f"{accuracy_m} is not an accuracy", cure)
    states: dict[str, State] = {}
    named_in: dict[str, Path] = {}
    attributions: list[str] = []
    cut: Cut | None = None
    for path in files:
        read = read_borders(path)
        if read.accuracy_m is not None and accuracy_m < read.accuracy_m:
            problem = f"{accuracy_m:g} is finer than the {read.accuracy_m:g} m of {path}"
            cure = f"set accuracy_m = {read.accuracy_m:g} or more, or use finer borders"
            raise ConfigError("service.toml", "zones.accuracy_m", problem, cure)
        if read.clipped_to is not None:
            if cut is not None and cut != read.clipped_to:
                cure = "clip all border files to one box"
                raise ConfigError(str(path), "clipped_to", f"is not the box of the files before, {cut}", cure)
            cut = read.clipped_to
        if read.attribution and read.attribution not in attributions:
            attributions.append(read.attribution)
        for state in _merged(path, read):
            if state.code in named_in:
                cure = "name each state in one file only, and only one of zones/osm and zones/naturalearth"
                problem = f"{state.code} is also in {named_in[state.code]}"
                raise ConfigError(str(path), "iso_a2", problem, cure)
            named_in[state.code] = path
            states[state.code] = state
    return [states[code] for code in sorted(states)], "; ".join(attributions), cut


def read_borders(path: Path) -> Collection:
    """One border file, checked against its format but not yet made into areas. Raises ConfigError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            cure = "simplify the polygons, for example to 10 m"
            raise ConfigError(str(path), "", f"is larger than {MAX_FILE_BYTES:,} bytes", cure)
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror}", "correct the path") from error
    return decode_borders(str(path), raw)


def decode_borders(file: str, raw: bytes) -> Collection:
    """The bytes of a border file, checked against its format; `file` names it in refusals. Raises ConfigError."""
    try:
        return msgspec.json.decode(raw, type=Collection)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # ValidationError is a DecodeError
        problem, _, key = str(error).partition(" - at ")
        cure = next(cure for word, cure in CURES if word in key + problem)
        raise ConfigError(file, key.strip("`$.") or "FeatureCollection", problem.rstrip("."), cure) from error


def _merged(path: Path, read: Collection) -> list[State]:
    """The states of one file; features of one code are joined when they agree."""
    parts: dict[str, list[shapely.Geometry]] = {}
    what: dict[str, Properties] = {}
    for row, feature in enumerate(read.features):
        code = feature.properties.iso_a2
        if code in what and what[code] != feature.properties:
            cure = "give all features of one state the same alliance and name"
            raise ConfigError(str(path), f"features[{row}].properties", f"{code} is given twice, differently", cure)
        what[code] = feature.properties
        many = feature.geometry.coordinates if isinstance(feature.geometry, MultiPolygon) else None
        for rings in many if many is not None else [feature.geometry.coordinates]:
            parts.setdefault(code, []).append(_polygon(path, f"features[{row}].geometry.coordinates", rings))
    states = []
    for code, shapes in parts.items():
        # What make_valid turns into lines and points is dropped: they bound nothing.
        shape = polygons(shapely.union_all(shapes) if len(shapes) > 1 else shapes[0])
        if shape.is_empty:
            cure = "check the rings: do they cross themselves, or have no area?"
            raise ConfigError(str(path), "geometry", f"{code} has no area", cure)
        states.append(State(code, what[code].name or code, what[code].alliance, shape))
    return states


def _polygon(path: Path, key: str, rings: list[Any]) -> shapely.Geometry:
    """One polygon out of rings of positions; small knots, as in every large border, are repaired.

    A ring that crosses itself does not say which side of it is the state. For a knot that hardly matters; where the
    repair takes or gives more than a square kilometre it would be a guess at a border, and is refused.
    """
    arrays = []
    for nth, ring in enumerate(rings):
        xy = np.array([(p[0], p[1]) for p in ring])
        if not (np.abs(xy[:, 0]) <= 180.0).all() or not (np.abs(xy[:, 1]) <= 90.0).all():
            cure = "give longitude, latitude in degrees of WGS84 (reproject with ogr2ogr -t_srs EPSG:4326)"
            raise ConfigError(str(path), f"{key}[{nth}]", "positions beyond 180, 90 degrees", cure)
        if (xy[0] != xy[-1]).any():
            cure = "repeat the first position at the end of the ring (RFC 7946, 3.1.6)"
            raise ConfigError(str(path), f"{key}[{nth}]", "the ring is not closed", cure)
        arrays.append(xy)
    shape = shapely.Polygon(arrays[0], arrays[1:])
    if shape.is_valid:
        return shape
    repaired = shapely.make_valid(shape)
    moved_m2 = abs(area_m2(polygons(repaired)) - area_m2(shape))
    if moved_m2 > SLIVER_M2:
        where = shapely.is_valid_reason(shape).partition("[")[2].rstrip("]").replace(" ", ", ")
        problem = (
            f"crosses itself near longitude, latitude {where}: {moved_m2 / 1e6:,.0f} km2 may or may not belong to it"
        )
        raise ConfigError(
            str(path), key, problem, "put the positions of each ring in the order in which one walks around it"
        )
    return repaired


def _grid(path: Path, integer_unit: float) -> Grid:
    """A one-band GeoTIFF in degrees as a grid; integers are multiplied by `integer_unit`."""
    cure = "give a GeoTIFF of one band in geographic WGS84 degrees, north up, with square cells"

    def refuse(key: str, problem: str) -> ConfigError:
        return ConfigError(str(path), key, problem, cure)

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            if math.prod(page.shape) > MAX_NODES:
                raise refuse("size", f"has more than {MAX_NODES:,} cells")
            tags = {tag.code: tag.value for tag in page.tags}
            bands = file.series[0].shape
            values = page.asarray()
    except OSError as error:
        raise ConfigError(str(path), "", f"cannot be read: {error.strerror or error}", "correct the path") from error
    except ConfigError:
        raise
    except Exception as error:  # tifffile raises many kinds on a file that is cut short or no TIFF
        raise refuse("TIFF", f"is not a readable TIFF ({type(error).__name__}: {error})") from error
    if values.shape != bands or values.ndim != 2 or min(bands) < 2:
        raise refuse("bands", f"has the shape {bands}")
    scale, tie, keys = tags.get(33550), tags.get(33922), tags.get(34735)
    if scale is None or tie is None or keys is None or len(scale) < 2 or len(tie) < 5:
        raise refuse("GeoKeyDirectory", "has no place on the earth (ModelPixelScale, ModelTiepoint, GeoKeyDirectory)")
    geo_keys = {keys[i]: keys[i + 3] for i in range(4, len(keys) - 3, 4)}
    if geo_keys.get(1024) != 2:  # GTModelType, GeoTIFF 1.1, 7.1.1
        raise refuse("GTModelType", "is projected")
    if not (scale[0] > 0.0 and abs(scale[0] - scale[1]) < 1e-12):
        raise refuse("ModelPixelScale", f"has cells of {scale[0]} by {scale[1]} degrees")
    half = 0.0 if geo_keys.get(1025) == 2 else 0.5  # GTRasterType: PixelIsPoint, or PixelIsArea (also the default)
    west = tie[3] + (half - tie[0]) * scale[0]
    north = tie[4] - (half - tie[1]) * scale[1]
    south = north - (values.shape[0] - 1) * scale[1]
    if not (-181.0 <= west <= 181.0 and -90.0 <= south <= north <= 90.0):
        raise refuse("ModelTiepoint", f"begins at {west} east, {north} north")
    heights = values[::-1].astype(np.float64)
    if 42113 in tags:  # GDAL_NODATA
        heights[heights == float(tags[42113])] = np.nan
    if np.issubdtype(values.dtype, np.integer):
        heights *= integer_unit
    step = math.radians(scale[0])
    return Grid(math.radians(south), math.radians(west), step, np.ascontiguousarray(heights, np.float32))


def _within(path: Path, grid: Grid, low: float, high: float, problem: str, cure: str) -> None:
    """Refuse a grid whose numbers cannot be right: most often a wrong unit. NaN means not known, and is fine."""
    values = grid.values[~np.isnan(grid.values)]
    if not len(values) or values.min() < low or values.max() > high:
        raise ConfigError(str(path), "values", problem, cure)
