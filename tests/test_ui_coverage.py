"""Coverage on the map is where the tracker counts a place as covered, and grows with height."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import shapely
from starlette.applications import Starlette

from adapters import config as configuration
from adapters.ui.access import Guard
from adapters.ui.coverage import CoverageMap, covered
from adapters.ui.observed import Observed
from adapters.ui.picture import Row
from adapters.ui.settings import UiFile
from fusion import geo
from fusion.borders.terrain import sample
from fusion.coverage import COVERED, Coverage
from fusion.zones import Zones
from tests.asgibrowser import Browser
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def known() -> tuple[configuration.Config, Coverage, Zones]:
    config = configuration.load(ROOT / "config", environ={})
    zones = configuration.load_zones(
        replace(config, zone_paths=(ROOT / "config" / "zones" / "naturalearth",), border_accuracy_m=3_000.0)
    )
    return config, configuration.load_coverage(config, zones), zones


def test_what_is_drawn_is_what_the_tracker_counts(known: Any) -> None:
    config, coverage, zones = known
    spec = next(s for s in config.sensors if s.id == "R1")
    shape = covered(spec, coverage, zones, 150.0)
    rng = np.random.default_rng(4)
    lat = spec.lat_rad + rng.uniform(-1.3, 1.3, 3_000) * math.pi / 180.0
    lon = spec.lon_rad + rng.uniform(-2.3, 2.3, 3_000) * math.pi / 180.0
    ground = np.maximum(np.nan_to_num(sample(zones.terrain, lat, lon)), 0.0) + np.nan_to_num(
        sample(zones.geoid, lat, lon)
    )
    seen = coverage.detection(geo.ecef(lat, lon, ground + 150.0))[:, spec.index] >= COVERED
    drawn = shapely.contains_xy(shape, np.degrees(lon), np.degrees(lat))
    # Cells are 2 degrees by 1.6 km: what differs lies on their edge.
    edge = shapely.distance(shape.boundary, shapely.points(np.degrees(lon), np.degrees(lat))) < 0.06
    assert 200 < seen.sum() < 2_500
    assert (seen == drawn)[~edge].all()
    assert (seen == drawn).mean() > 0.93


def test_it_grows_with_height_and_a_lone_antenna_sees_to_its_horizon(known: Any) -> None:
    config, coverage, zones = known
    spec = next(s for s in config.sensors if s.id == "R2")
    low, high = (covered(spec, coverage, zones, height) for height in (50.0, 500.0))
    assert low.area < high.area
    assert low.difference(high.buffer(0.02)).area < 0.02 * low.area
    assert all(shape.is_valid and shape.geom_type in ("Polygon", "MultiPolygon") for shape in (low, high))


def test_over_http_it_is_made_once_and_crooked_heights_are_refused(known: Any) -> None:
    config, coverage, zones = known
    loads = []

    def load() -> tuple[Coverage, Zones]:
        loads.append(1)
        return coverage, zones

    at = Browser(
        Guard(Starlette(routes=CoverageMap(config.sensors, load, Observed(config.sensors)).routes()), UiFile(), 8080)
    )
    for _ in range(2):
        told = at.get("/coverage?agl_m=150").json()
        assert {f["properties"]["sensor"] for f in told["features"]} == {"R1", "R2"}
    assert len(loads) == 1
    for crooked in ("", "?agl_m=x", "?agl_m=0", "?agl_m=99999"):
        assert at.get(f"/coverage{crooked}").status_code == 400


def test_what_was_seen_is_an_outline_by_direction_and_height(known: Any) -> None:
    config, *both = known
    observed = Observed(config.sensors)
    site = next(s for s in config.sensors if s.id == "R1")
    at = math.degrees(site.lat_rad), math.degrees(site.lon_rad)

    def row(north_deg: float, agl_m: float | None, sensors: list[str], status: str = "confirmed") -> Row:
        return Row("1:1", at[0] + north_deg, at[1], agl_m=agl_m, sensors=sensors, status=status)

    observed.see([row(0.3, 90.0, ["R1"]), row(0.2, 90.0, ["R1"]), row(0.6, 280.0, ["R1"]), row(0.25, 90.0, ["R2"])])
    observed.see(
        [row(0.9, 90.0, ["R1"], "coasting"), row(0.9, None, ["R1"]), row(-0.4, 900.0, ["R1"]), row(9.0, 9.0, ["R1"])]
    )
    seen = {agl_m: dict(observed.outlines(agl_m)) for agl_m in (50, 150, 500)}
    for agl_m, north, south in ((50, 0.3, 0.0), (150, 0.6, 0.0), (500, 0.6, -0.4)):
        lats = [lat - at[0] for _, lat in seen[agl_m]["R1"]]
        assert max(lats) == pytest.approx(north, abs=1e-3)
        assert min(lats) == pytest.approx(south, abs=2e-3)
    assert observed.outlines(60) == []
    at_page = Browser(
        Guard(
            Starlette(routes=CoverageMap(config.sensors, lambda: (both[0], both[1]), observed).routes()), UiFile(), 8080
        )
    )
    told = at_page.get("/observed?agl_m=150").json()
    assert {f["properties"]["sensor"] for f in told["features"]} == {"R1", "R2"}
    assert at_page.get("/observed").json()["features"] == []
