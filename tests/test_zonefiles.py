"""Border, terrain and geoid files: what ships is sound, what is wrong is refused with file, key and cure."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import ConfigError
from adapters.files import zonefiles
from fusion.borders import border, terrain
from fusion.schema import SensorKind, SensorSpec
from fusion.zones import Zones

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / "config"
TERRAIN = CONFIG / "terrain" / "etopo5_5min_35-72N_0-50E.tif"
GEOID = CONFIG / "terrain" / "egm2008_undulation_5min_cm_40-72N_4-45E.tif"
SQUARE = [[[21.0, 54.0], [22.0, 54.0], [22.0, 55.0], [21.0, 55.0], [21.0, 54.0]]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vedette"


def feature(code: str = "AA", alliance: str = "ally", rings: Any = None, **more: Any) -> dict[str, Any]:
    properties = {"iso_a2": code, "alliance": alliance, **more}
    geometry = {"type": "Polygon", "coordinates": SQUARE if rings is None else rings}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def write(path: Path, *features: dict[str, Any], **more: Any) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", **more, "features": features or [feature()]}))
    return path


def load(*paths: Path, accuracy_m: float = 50.0) -> Zones:
    return zonefiles.load(paths, TERRAIN, GEOID, accuracy_m)


def refusal(*paths: Path, accuracy_m: float = 50.0) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(*paths, accuracy_m=accuracy_m)
    assert caught.value.problem
    assert caught.value.cure
    return caught.value


def test_a_users_own_file_makes_zones(tmp_path: Path) -> None:
    found = load(write(tmp_path / "own.geojson", feature(name="Ourland", extra=[1, 2]), attribution="(c) us"))
    assert (found.codes, found.names, found.alliance) == (("AA",), ("Ourland",), ("ally",))
    assert (found.attribution, found.accuracy_m) == ("(c) us", 50.0)
    assert found.at(np.radians(54.5), np.radians(21.5))[0] == "AA"


def test_a_name_is_the_code_where_none_is_given(tmp_path: Path) -> None:
    assert load(write(tmp_path / "own.geojson")).names == ("AA",)


def test_a_folder_stands_for_its_files_in_any_order(tmp_path: Path) -> None:
    east = [[[22.0, 54.0], [23.0, 54.0], [23.0, 55.0], [22.0, 55.0], [22.0, 54.0]]]
    write(tmp_path / "z.geojson", feature("AA"), attribution="one")
    write(tmp_path / "a.geojson", feature("OO", "other", east), attribution="two")
    (tmp_path / "LICENSE.md").write_text("not a border")
    found = load(tmp_path)
    assert found.codes == ("AA", "OO")
    assert found.attribution == "two; one"


def test_parts_of_one_state_are_joined(tmp_path: Path) -> None:
    east = [[[22.0, 54.0], [23.0, 54.0], [23.0, 55.0], [22.0, 55.0], [22.0, 54.0]]]
    found = load(write(tmp_path / "own.geojson", feature(), feature(rings=east)))
    assert found.codes == ("AA",)
    assert found.at(np.radians(54.5), np.radians(22.5))[0] == "AA"


def test_multipolygons_holes_and_altitudes_are_understood(tmp_path: Path) -> None:
    hole = [[21.4, 54.4], [21.4, 54.6], [21.6, 54.6], [21.6, 54.4], [21.4, 54.4]]
    rings = [[[*p, 100.0] for p in SQUARE[0]], hole]
    one = feature()
    one["geometry"] = {"type": "MultiPolygon", "coordinates": [rings]}
    found = load(write(tmp_path / "own.geojson", one))
    assert found.at(np.radians(54.5), np.radians(21.5))[0] == ""
    assert found.at(np.radians(54.2), np.radians(21.2))[0] == "AA"


def test_a_small_knot_is_repaired(tmp_path: Path) -> None:
    knot = [[22.0, 54.999], [22.0, 55.0], [21.999, 54.999], [21.999, 55.0]]  # 65 m by 111 m, crossed
    found = load(write(tmp_path / "own.geojson", feature(rings=[[*SQUARE[0][:2], *knot, *SQUARE[0][3:]]])))
    assert found.at(np.radians(54.5), np.radians(21.5))[0] == "AA"
    assert found.at(np.radians(54.5), np.radians(22.1))[0] == ""


def test_a_ring_that_crosses_itself_is_refused_where_it_does(tmp_path: Path) -> None:
    bow = [[[21.0, 54.0], [22.0, 55.0], [22.0, 54.0], [21.0, 55.0], [21.0, 54.0]]]
    found = refusal(write(tmp_path / "own.geojson", feature("OO", "other"), feature(rings=bow)))
    assert found.key == "features[1].geometry.coordinates"
    assert "crosses itself near longitude, latitude 21.5, 54.5" in found.problem


def test_swapped_numbers_are_refused_from_the_cache_too(tmp_path: Path) -> None:
    swapped = write(tmp_path / "own.geojson", feature(rings=[[p[::-1] for p in SQUARE[0]]]))
    baltic, arabia = (10.0, 44.0, 40.0, 65.0), (40.0, 5.0, 65.0, 40.0)
    for _ in range(2):
        with pytest.raises(ConfigError, match="swapped"):
            zonefiles.load([swapped], TERRAIN, GEOID, 50.0, baltic)
    assert zonefiles.load([swapped], TERRAIN, GEOID, 50.0, arabia).codes == ("AA",)


BAD_FEATURES: dict[str, tuple[dict[str, Any], str]] = {
    "no code": ({"type": "Feature", "properties": {"alliance": "ally"}, "geometry": feature()["geometry"]}, "iso_a2"),
    "long code": (feature("LTU"), "iso_a2"),
    "number for a code": (feature(7), "iso_a2"),  # type: ignore[arg-type]
    "strange alliance": (feature(alliance="friend"), "alliance"),
    "point": ({**feature(), "geometry": {"type": "Point", "coordinates": [21.0, 54.0]}}, "geometry"),
    "no geometry": ({**feature(), "geometry": None}, "geometry"),
    "short ring": (feature(rings=[SQUARE[0][:3]]), "geometry"),
    "open ring": (feature(rings=[SQUARE[0][:4]]), "coordinates"),
    "text for a number": (feature(rings=[[["x", 54.0], *SQUARE[0][1:]]]), "geometry"),
    "one number a position": (feature(rings=[[[21.0], *SQUARE[0][1:]]]), "geometry"),
    "metres": (feature(rings=[[[p[0] * 1e5, p[1] * 1e5] for p in SQUARE[0]]]), "coordinates"),
    "a line": (feature(rings=[[[21.0, 54.0], [22.0, 55.0], [21.0, 54.0], [21.0, 54.0]]]), "geometry"),
}


@pytest.mark.parametrize("case", BAD_FEATURES)
def test_a_bad_feature_is_refused_by_its_key(case: str, tmp_path: Path) -> None:
    bad, key = BAD_FEATURES[case]
    path = write(tmp_path / "own.geojson", bad)
    found = refusal(path)
    assert found.file == str(path)
    assert key in found.key + found.problem


def test_nan_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "own.geojson")
    path.write_text(path.read_text().replace("21.0", "NaN"))
    assert refusal(path).file == str(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"type":"Feature"}', '{"type":"FeatureCollection","features":[]}', "\xff", "[" * 9999],
)
def test_what_is_no_border_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "own.geojson"
    path.write_bytes(text.encode("latin-1"))
    assert refusal(path).file == str(path)


WORDS = st.sampled_from(["type", "features", "properties", "geometry", "coordinates", "iso_a2", "alliance"])
SCALARS = st.none() | st.booleans() | st.floats() | st.text()


@given(st.recursive(SCALARS, lambda below: st.lists(below) | st.dictionaries(WORDS, below)))
def test_nothing_but_a_refusal_comes_out_of_any_json(thing: Any) -> None:
    collection = {"type": "FeatureCollection", "features": [thing]}
    for given_ in (thing, collection, {**collection, "features": thing}):
        raw = json.dumps(given_).encode()
        with contextlib.suppress(ConfigError):
            zonefiles.decode_borders("x.geojson", raw)


def test_one_state_in_two_files_is_refused(tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.geojson"), write(tmp_path / "b.geojson")
    assert refusal(one, two).file == str(two)


def test_one_state_given_differently_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", feature(), feature(alliance="other"))
    assert refusal(path).key == "features[1].properties"


def test_a_map_without_an_ally_is_refused(tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.geojson", feature(alliance="other"))).key == "alliance"


@pytest.mark.parametrize("accuracy_m", [0.0, -1.0, float("nan"), float("inf")])
def test_an_accuracy_that_is_none_is_refused(accuracy_m: float, tmp_path: Path) -> None:
    assert refusal(write(tmp_path / "a.geojson"), accuracy_m=accuracy_m).key == "zones.accuracy_m"


def test_an_accuracy_finer_than_the_file_declares_is_refused(tmp_path: Path) -> None:
    found = refusal(write(tmp_path / "a.geojson", accuracy_m=3000.0))
    assert found.key == "zones.accuracy_m"
    assert "3000" in found.cure


def test_files_clipped_to_different_boxes_are_refused(tmp_path: Path) -> None:
    one = write(tmp_path / "a.geojson", clipped_to=[4, 40, 45, 72.5])
    two = write(tmp_path / "b.geojson", feature("BB"), clipped_to=[4, 40, 45, 70])
    assert refusal(one, two).key == "clipped_to"


def test_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.geojson").problem
    assert "no *.geojson" in refusal(tmp_path).problem
    assert refusal().key == "zones.borders"


def geotiff(path: Path, values: Any, *, keys: Any = None, scale: Any = (0.5, 0.5, 0.0), nodata: str = "") -> Path:
    keys = keys if keys is not None else (1, 1, 0, 2, 1024, 0, 1, 2, 1025, 0, 1, 1)
    tags: list[Any] = [
        (33550, "d", 3, scale, True),
        (33922, "d", 6, (0.0, 0.0, 0.0, 20.0, 56.0, 0.0), True),
        (34735, "H", len(keys), keys, True),
    ]
    if nodata:
        tags.append((42113, "s", 0, nodata, True))
    tifffile.imwrite(path, np.asarray(values), photometric="minisblack", extratags=tags)
    return path


def at(grid: terrain.Grid, lat_deg: float, lon_deg: float) -> float:
    return float(terrain.sample(grid, np.radians([lat_deg]), np.radians([lon_deg]))[0])


def test_cells_and_points_are_told_apart(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    cells = zonefiles.load_terrain(geotiff(tmp_path / "a.tif", values))
    points = zonefiles.load_terrain(
        geotiff(tmp_path / "b.tif", values, keys=(1, 1, 0, 2, 1024, 0, 1, 2, 1025, 0, 1, 2))
    )
    assert at(cells, 55.75, 20.25) == pytest.approx(0.0, abs=1e-6)
    assert at(cells, 54.75, 21.75) == pytest.approx(11.0, abs=1e-5)
    assert at(points, 56.0, 20.0) == pytest.approx(0.0, abs=1e-6)
    assert at(points, 55.0, 21.5) == pytest.approx(11.0, abs=1e-5)


def test_integer_geoids_are_centimetres_and_floats_metres(tmp_path: Path) -> None:
    whole = zonefiles.load_geoid(geotiff(tmp_path / "a.tif", np.full((3, 4), 2150, np.int16)))
    metres = zonefiles.load_geoid(geotiff(tmp_path / "b.tif", np.full((3, 4), 21.5, np.float32)))
    assert at(whole, 55.5, 20.5) == at(metres, 55.5, 20.5) == 21.5


def test_nodata_is_not_known(tmp_path: Path) -> None:
    values = np.full((3, 4), 100, np.int16)
    values[0, 0] = -32768
    grid = zonefiles.load_terrain(geotiff(tmp_path / "a.tif", values, nodata="-32768"))
    assert np.isnan(at(grid, 55.7, 20.3))
    assert at(grid, 54.8, 21.7) == 100.0


FLAT = np.full((3, 4), 100, np.int16)


@pytest.mark.parametrize(
    "values, more, key",
    [
        (FLAT, {"keys": (1, 1, 0, 1, 1024, 0, 1, 1)}, "GTModelType"),
        (FLAT, {"scale": (0.5, 0.25, 0.0)}, "ModelPixelScale"),
        (FLAT, {"scale": (-0.5, -0.5, 0.0)}, "ModelPixelScale"),
        (FLAT, {"scale": (60.0, 60.0, 0.0)}, "ModelTiepoint"),
        (np.full((3, 3, 4), 1, np.int16), {}, "bands"),
        (np.full((1, 4), 1, np.int16), {}, "bands"),
        (np.full((3, 4), 20_000, np.int16), {}, "values"),
    ],
)
def test_a_grid_that_is_not_what_we_need_is_refused(values: Any, more: Any, key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        zonefiles.load_terrain(geotiff(tmp_path / "a.tif", values, **more))
    assert caught.value.key == key


FINE = (1 / 120, 1 / 120, 0.0)  # degrees: 30 arc-seconds
HILLS = np.arange(360 * 480, dtype=np.int16).reshape(360, 480) % 300  # 3 x 4 degrees, 53-56 N, 20-24 E


def radar(lat_deg: float, lon_deg: float, kind: SensorKind = SensorKind.RADAR_2D) -> SensorSpec:
    return SensorSpec("R7", 0, kind, math.radians(lat_deg), math.radians(lon_deg), 100.0)


def test_a_dem_of_30_seconds_around_every_sensor_that_looks_is_taken(tmp_path: Path) -> None:
    receiver = radar(10.0, 10.0, SensorKind.ADSB)
    grid = zonefiles.load_dem(geotiff(tmp_path / "a.tif", HILLS, scale=FINE), [radar(54.5, 22.0), receiver])
    assert grid.step_m == pytest.approx(926.6, abs=0.1)


HOLE = HILLS.copy()
HOLE[150:210] = -32768  # around 54.5 N


@pytest.mark.parametrize(
    "values, more, where, problem, cure",
    [
        (HILLS, {"scale": (1 / 12, 1 / 12, 0.0)}, (54.5, 22.0), "every 9,266 m", "30 arc-seconds or less"),
        (HILLS, {"scale": (0.01, 0.01, 0.0)}, (54.5, 22.0), "every 1,112 m", "leave it out"),
        (np.full((360, 480), 3, np.int16), {"scale": FINE}, (54.5, 22.0), "one height only, 3 m", "export"),
        (HILLS, {"scale": FINE}, (57.0, 22.0), 'no height at 57.0000 22.0000, where "R7" stands', "gdalwarp"),
        (HOLE, {"scale": FINE, "nodata": "-32768"}, (54.5, 22.0), "no height at", "gdalwarp"),
    ],
)
def test_a_dem_that_cannot_hide_anything_is_refused(
    values: Any, more: Any, where: tuple[float, float], problem: str, cure: str, tmp_path: Path
) -> None:
    path = geotiff(tmp_path / "a.tif", values, **more)
    with pytest.raises(ConfigError) as caught:
        zonefiles.load_dem(path, [radar(*where)])
    assert (caught.value.file, caught.value.key) == (str(path), "zones.dem")
    assert problem in caught.value.problem
    assert cure in caught.value.cure


def test_an_empty_dem_is_refused(tmp_path: Path) -> None:
    path = geotiff(tmp_path / "a.tif", np.full((360, 480), -32768, np.int16), scale=FINE, nodata="-32768")
    with pytest.raises(ConfigError) as caught:
        zonefiles.load_dem(path, [radar(54.5, 22.0)])
    assert caught.value.key == "values"


def test_a_picture_a_text_and_a_cut_off_file_are_refused(tmp_path: Path) -> None:
    plain, text, cut = tmp_path / "a.tif", tmp_path / "b.tif", tmp_path / "c.tif"
    tifffile.imwrite(plain, FLAT)
    text.write_text("height")
    cut.write_bytes(TERRAIN.read_bytes()[:5000])
    for path in (plain, text, cut, tmp_path / "none.tif"):
        with pytest.raises(ConfigError) as caught:
            zonefiles.load_terrain(path)
        assert caught.value.file == str(path)


def test_a_geoid_in_the_wrong_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        zonefiles.load_geoid(geotiff(tmp_path / "a.tif", np.full((3, 4), 2150.0, np.float32)))
    assert "centimetres" in caught.value.cure


def arrays(found: Zones) -> list[bytes]:
    held = [found.edge, found.facing, found.terrain.values, found.geoid.values]
    for group in found._land:
        held += [group] if isinstance(group, np.ndarray) else list(group)
    return [np.ascontiguousarray(a).tobytes() for a in held]


def test_the_cache_changes_nothing(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "own.geojson", feature(name="Ourland"), attribution="(c) us")
    first = load(path)
    (kept,) = own_cache.glob("*")
    stamp = kept.stat().st_mtime_ns
    second = load(path)
    assert kept.stat().st_mtime_ns == stamp  # recalled, not made anew
    assert arrays(first) == arrays(second)
    assert (first.codes, first.names, first.alliance, first.attribution) == (
        second.codes, second.names, second.alliance, second.attribution)  # fmt: skip
    kept.write_bytes(kept.read_bytes()[:-200])
    assert arrays(load(path)) == arrays(first)
    assert load(path, accuracy_m=60.0).accuracy_m == 60.0
    assert len(list(own_cache.glob("*"))) == 2


def test_a_changed_file_is_not_answered_from_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path / "own.geojson", feature(name="One"))
    assert load(path).names == ("One",)
    assert load(write(path, feature(name="Two"))).names == ("Two",)


def test_the_cache_is_bounded(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "own.geojson")
    for extra in range(zonefiles.KEPT + 2):
        load(path, accuracy_m=50.0 + extra)
    assert len(list(own_cache.glob("*"))) == zonefiles.KEPT


def test_a_cache_that_cannot_be_written_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load(write(tmp_path / "own.geojson")).codes == ("AA",)


ALLIES = "BG CZ DE EE FI HR HU LT LV NO PL RO SE SI SK".split()
OTHERS = "BY MD RS RU UA".split()


@pytest.mark.parametrize("folder, accuracy_m", [("osm", 25.0), ("naturalearth", 3000.0)])
def test_what_ships_is_complete(folder: str, accuracy_m: float) -> None:
    where = CONFIG / "zones" / folder
    states, attribution, cut = zonefiles._states(zonefiles.border_files([where]), accuracy_m)
    by_alliance = {a: [s.code for s in states if s.alliance == a] for a in border.ALLIANCES}
    assert by_alliance == {"ally": ALLIES, "partner": ["AT"], "other": OTHERS}
    assert all(s.shape.is_valid and len(s.name) > 3 for s in states)
    assert cut == (4.0, 40.0, 45.0, 72.5)
    assert (
        attribution
        == {"osm": "(c) OpenStreetMap contributors, ODbL 1.0", "naturalearth": "Made with Natural Earth"}[folder]
    )
    assert (where / "LICENSE.md").is_file()
    assert max(p.stat().st_size for p in where.iterdir()) < 3_000_000


def test_the_shipped_geoid_and_terrain_are_those_of_the_earth() -> None:
    geoid, ground = zonefiles.load_geoid(GEOID), zonefiles.load_terrain(TERRAIN)
    # EGM2008 to a metre: Munich 46, Warsaw 31, Vilnius 24, Helsinki 17, Bucharest 36 m.
    known = [(48.14, 11.58, 46), (52.23, 21.01, 31), (54.69, 25.28, 24), (60.17, 24.94, 17), (44.43, 26.10, 36)]
    for lat, lon, metres in known:
        assert at(geoid, lat, lon) == pytest.approx(metres, abs=2.0)
    for lat, lon, metres in [(47.5, 19.05, 130), (54.69, 25.28, 150), (46.5, 20.5, 85), (55.5, 18.5, -80)]:
        assert at(ground, lat, lon) == pytest.approx(metres, abs=120)
    assert at(ground, 46.6, 8.0) > 1500  # the Bernese Alps, smoothed over 9 km


@pytest.mark.real_data
@pytest.mark.parametrize("folder, name", [("osm", "osm_borders_{}_10m"), ("naturalearth", "naturalearth10m_{}_ts12nm")])
def test_what_ships_is_what_was_given(folder: str, name: str, data: Path) -> None:
    given_states = {}
    for group in ("allied", "neighbours"):
        for one in json.loads((data / "borders" / f"{name.format(group)}.geojson").read_text())["features"]:
            given_states[one["properties"]["iso_a2"]] = shapely.geometry.shape(one["geometry"])
    shipped = sorted((CONFIG / "zones" / folder).glob("*.geojson"))
    assert [p.stem for p in shipped] == sorted(given_states)
    for path in shipped:
        (one,) = json.loads(path.read_text())["features"]
        assert shapely.geometry.shape(one["geometry"]).equals_exact(given_states[path.stem], 0.0)
