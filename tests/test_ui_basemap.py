"""What the map shows of the configuration: the border where it is one, the band outside it, names, sensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import shapely

from adapters import config as configuration
from adapters.ui.basemap import basemap
from tests.conftest import ROOT

A = [[[20.0, 50.0], [22.0, 50.0], [22.0, 52.0], [20.0, 52.0], [20.0, 50.0]]]
B = [[[22.0, 50.0], [24.0, 50.0], [24.0, 52.0], [22.0, 52.0], [22.0, 50.0]]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two square states side by side, west an ally, east another."""
    folder = tmp_path_factory.mktemp("config")
    states = [("AA", "Westland", "ally", A), ("BB", "Eastland", "other", B)]
    features = [
        {
            "type": "Feature",
            "properties": {"iso_a2": c, "name": n, "alliance": a},
            "geometry": {"type": "Polygon", "coordinates": g},
        }
        for c, n, a, g in states
    ]
    collection = {"type": "FeatureCollection", "attribution": "drawn by hand", "features": features}
    (folder / "two.geojson").write_bytes(msgspec.json.encode(collection))
    for name in ("rules.toml", "sensors.toml", "volumes.toml"):
        (folder / name).write_bytes((ROOT / "config" / name).read_bytes())
    text = (ROOT / "config" / "service.toml").read_text("utf-8").replace('"zones/osm"', '"two.geojson"')
    text = text.replace('"terrain/', f'"{ROOT}/config/terrain/').replace('"zones/protected.toml"', "")
    (folder / "service.toml").write_text(text, "utf-8")
    config = configuration.load(folder, environ={})
    found: dict[str, Any] = msgspec.json.decode(
        msgspec.json.encode(basemap(config, configuration.load_zones(config), 30_000.0))
    )
    return found


def shape(found: dict[str, Any], name: str) -> Any:
    (feature,) = found[name]["features"]
    return shapely.geometry.shape(feature["geometry"])


def test_the_border_is_where_the_other_state_is(drawn: dict[str, Any]) -> None:
    border = shape(drawn, "border")
    assert border.distance(shapely.Point(22.0, 51.0)) < 1e-6
    assert border.hausdorff_distance(shapely.LineString([(22, 50), (22, 52)])) < 1e-3


def test_the_band_lies_outside_and_is_as_wide_as_asked(drawn: dict[str, Any]) -> None:
    band = shape(drawn, "band")
    degree_m = 111_320.0 * 0.6293  # of longitude at 51 N
    inside, near, far = (shapely.Point(22.0 + m / degree_m, 51.0) for m in (-500.0, 29_000.0, 31_500.0))
    assert [band.contains(point) for point in (inside, near, far)] == [False, True, False]


def test_states_names_and_attribution(drawn: dict[str, Any]) -> None:
    assert [f["properties"]["alliance"] for f in drawn["states"]["features"]] == ["ally", "other"]
    assert [f["properties"]["name"] for f in drawn["labels"]["features"]] == ["Westland", "Eastland"]
    assert "drawn by hand" in drawn["attribution"]


def test_sensors_stand_where_they_are_configured(drawn: dict[str, Any]) -> None:
    config = configuration.load(Path("config") if Path("config").is_dir() else ROOT / "config", environ={})
    assert [s["id"] for s in drawn["sensors"]] == [s.id for s in config.sensors]
    for said, spec in zip(drawn["sensors"], config.sensors, strict=True):
        assert ("lat_deg" in said) is spec.has_site
        assert said["range_max_m"] == spec.range_max_m
