"""Protected areas from files, and every way a file can be wrong: file, key and cure."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import shapely

from adapters.errors import ConfigError
from adapters.files import protectedfile
from adapters.files.polygonfile import beside
from fusion.schema import SensorKind, SensorSpec
from tests.conftest import ROOT

SENSORS = (SensorSpec("R1", 0, SensorKind.RADAR_2D, math.radians(54.6), math.radians(25.3), 200.0),)
HEAD = '[[area]]\nid = "a"\nname = "A town"\nkind = "city"\nseverity = 2\naccuracy_m = 100.0\n'
ROUND = "lat_deg = 54.7\nlon_deg = 25.3\nradius_m = 4000.0\n"


def load(tmp_path: Path, text: str, name: str = "protected.toml") -> list[ConfigError]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    areas, found = protectedfile.load([path], SENSORS)
    assert not (areas and found)
    return found


def test_the_shipped_areas_are_where_their_names_say() -> None:
    areas, found = protectedfile.load([ROOT / "config/zones/protected.toml"], SENSORS)
    assert found == []
    by_id = {area.id: area for area in areas}
    assert len(by_id) >= 12
    assert {area.kind for area in areas} >= {"airport", "city", "training-area"}
    assert all(area.accuracy_m > 0 and area.state for area in areas), "what is approximate says so"
    assert by_id["vilnius-airport"].shape.contains(shapely.Point(25.2858, 54.6341))
    assert by_id["rzeszow-airport"].shape.contains(shapely.Point(22.019, 50.110))
    assert not by_id["rezekne"].shape.contains(shapely.Point(27.07, 56.74))


def test_circle_and_polygon_become_areas(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        HEAD + ROUND + 'state = "LT"\nfloor_m = 0.0\nceiling_m = 3000.0\n' + HEAD.replace('"a"', '"b"')
        + "polygon = [[25.0, 54.0], [26.0, 54.0], [26.0, 55.0], [25.0, 54.0]]\n", encoding="utf-8")  # fmt: skip
    areas, found = protectedfile.load([path], SENSORS)
    assert found == []
    assert [area.id for area in areas] == ["a", "b"]
    assert areas[0].ceiling_m == 3_000.0
    assert areas[1].ceiling_m == math.inf
    assert areas[1].shape.area == pytest.approx(0.5)


def feature(geometry: object, **properties: object) -> str:
    given = {"id": "a", "name": "A", "kind": "base", "severity": 1, "accuracy_m": 50.0, "colour": "red", **properties}
    one = {"type": "Feature", "properties": given, "geometry": geometry}
    return json.dumps({"type": "FeatureCollection", "features": [one]})


RING = [[25.0, 54.0], [26.0, 54.0], [26.0, 55.0], [25.0, 54.0]]


@pytest.mark.parametrize(
    "geometry, more",
    [
        ({"type": "Polygon", "coordinates": [RING]}, {}),
        ({"type": "MultiPolygon", "coordinates": [[RING]]}, {}),
        ({"type": "Point", "coordinates": [25.3, 54.6]}, {"radius_m": 3000.0}),
    ],
)
def test_geojson_says_the_same(tmp_path: Path, geometry: object, more: dict[str, object]) -> None:
    path = tmp_path / "a.geojson"
    path.write_text(feature(geometry, **more), encoding="utf-8")
    areas, found = protectedfile.load([path], SENSORS)
    assert found == []
    assert areas[0].shape.contains(shapely.Point(25.3, 54.6) if more else shapely.Point(25.8, 54.4))
    assert areas[0].kind == "base"


@pytest.mark.parametrize(
    "text, key, problem, cure",
    [
        (HEAD, "area[0]", "no place", "lat_deg"),
        (HEAD + "lat_deg = 25.3\nlon_deg = 54.7\nradius_m = 4000.0\n", "area[0]", "swapped", "swap"),
        (HEAD + ROUND + "floor_m = 500.0\nceiling_m = 100.0\n", "area[0]", "floor_m", "above ground"),
        (HEAD + "polygon = [[25.0, 54.0], [26.0, 55.0], [26.0, 54.0], [25.0, 55.0], [25.0, 54.0]]\n", "area[0]",
         "crosses itself", "order"),
        (HEAD + "polygon = [[20.0, 54.0], [26.0, 54.0], [26.0, 55.0], [20.0, 54.0]]\n", "area[0]", "wide", "several"),
        (HEAD + "polygon = []\n", "area[0]", "0 positions", "four"),
        (HEAD + ROUND + "polygon = [[25.0, 54.0], [26.0, 54.0], [26.0, 55.0], [25.0, 54.0]]\n", "area[0]",
         "circle and a polygon", "or a polygon"),
        (HEAD.replace("A town", "enemy town") + ROUND, "area[0]", "enemy", "measured"),
        (HEAD + ROUND + HEAD + ROUND, "area[1].id", "also in", "own"),
        (HEAD.replace('"city"', '"citty"') + ROUND, "area[0].kind", "citty", "city"),
        (HEAD.replace("accuracy_m = 100.0\n", "") + ROUND, "area[0].accuracy_m", "missing", "how far"),
        (HEAD + ROUND + "radius_km = 4\n", "area[0].radius_km", "not a known key", "radius_m"),
        ("[[area]\n", "(file)", "not TOML", "correct"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_key_and_cure(tmp_path: Path, text: str, key: str, problem: str, cure: str) -> None:
    (found, *_) = load(tmp_path, text)
    assert found.key == key
    assert problem in found.problem
    assert cure in found.cure
    assert found.file.endswith("protected.toml")


@pytest.mark.parametrize(
    "text, key",
    [
        ("{", "(file)"),
        ("[]", "features"),
        ('{"features": [3]}', "features"),
        (feature({"type": "LineString", "coordinates": RING}), "features[0].geometry"),
        (feature(None), "features[0].geometry"),
        (feature({"type": "Polygon", "coordinates": [[["a", "b"]]]}), "features[0].geometry"),
        (feature({"type": "Polygon", "coordinates": [RING[:3]]}), "features[0]"),
        (feature({"type": "Polygon", "coordinates": [RING]}, kind="x"), "features[0].properties.kind"),
        (feature({"type": "Point", "coordinates": [25.3, 54.6]}), "features[0]"),
    ],
)
def test_geojson_that_bounds_nothing_is_refused(tmp_path: Path, text: str, key: str) -> None:
    assert load(tmp_path, text, "a.geojson")[0].key == key


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in protectedfile.load([tmp_path / "none.toml"])[1][0].problem
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in protectedfile.load([tmp_path / "b.toml"])[1][0].problem
    (tmp_path / "c.toml").write_bytes(b"#" * (protectedfile.MAX_FILE_BYTES + 1))
    assert "larger" in protectedfile.load([tmp_path / "c.toml"])[1][0].problem


def test_where_the_site_watches_is_about_its_sensors() -> None:
    west, south, east, north = beside(SENSORS) or (0.0, 0.0, 0.0, 0.0)
    assert west < 25.3 < east
    assert south < 54.6 < north
    assert beside(()) is None


def ring(*positions: tuple[float, float]) -> str:
    return "polygon = [\n" + "".join(f"  [{x}, {y}],\n" for x, y in positions) + "]\n"


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (ring((25, 54), (26, 55), (26, 54), (25, 55), (25, 54)), '"a" crosses itself'),
        (ring((54, 25), (54, 26), (55, 26), (54, 25)), '"a" has longitude and latitude swapped'),
        (ring(), '"a" has 0 positions'),
        (ring((179, 54), (-179, 54), (-179, 55), (179, 54)), '"a" crosses the 180th meridian'),
    ],
)
def test_polygon_that_is_none_is_refused_with_file_line_and_cure(tmp_path: Path, drawn: str, said: str) -> None:
    other = HEAD.replace('"a"', '"b"') + ROUND
    (error,) = load(tmp_path, other + HEAD + drawn)
    assert str(error).startswith(f"{tmp_path / 'protected.toml'}:10: area[1]: {said}")
    assert ". Cure: " in str(error)


def test_polygon_of_geojson_is_refused_with_its_line(tmp_path: Path) -> None:
    crossed = {"type": "Polygon", "coordinates": [[[25, 54], [26, 55], [26, 54], [25, 55], [25, 54]]]}
    text = json.dumps(json.loads(feature(crossed)), indent=1)
    (error,) = load(tmp_path, text, "areas.geojson")
    assert (error.key, error.line) == ("features[0]", 4)
    assert '"a" crosses itself' in error.problem
