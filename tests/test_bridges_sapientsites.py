"""A radar's places become plots where it has said that it measures them; else they are nobody's evidence."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from geographiclib.geodesic import Geodesic

from adapters.bridges.common import Heard
from adapters.bridges.sapient import Sapient
from fusion.schema import PlotKind, Plots, SensorKind, SensorSpec
from tests.sapientpeer import NODE, frames
from tests.test_bridges_sapientnodes import REGISTRATION
from tests.test_formats_sapient import HEAD, IDS, PLACE

RX_US = 1_795_414_501_000_000
SITE = {
    "x": 25.3, "y": 54.4, "z": 120.0, "coordinate_system": "LOCATION_COORDINATE_SYSTEM_LAT_LNG_DEG_M",
    "datum": "LOCATION_DATUM_WGS84_E",
}  # fmt: skip
DEGREE_M = 111_320.0


def registration(kind: str = "NODE_TYPE_RADAR", tracking: str = "TRACKING_TYPE_NONE") -> dict[str, Any]:
    said = copy.deepcopy(REGISTRATION)
    said["node_definition"] = [{"node_type": kind}]
    said["mode_definition"][0]["tracking_type"] = tracking  # type: ignore[index]
    return {"registration": said}


def status(place: dict[str, Any] | None = None) -> dict[str, Any]:
    said = {"report_id": IDS["report_id"], "system": "SYSTEM_OK", "info": "INFO_NEW", "mode": "x"}
    return {"status_report": {**said, "node_location": SITE if place is None else place}}


def report(**changed: Any) -> dict[str, Any]:
    state = {"state": changed.pop("state")} if "state" in changed else {}
    place = {name: value for name, value in {**PLACE, **changed}.items() if value is not None}
    return {"detection_report": {**IDS, **state, "location": place}}


def heard_of(*contents: dict[str, Any], kind: SensorKind = SensorKind.RADAR_3D) -> Heard:
    """What a node that is named R1 says, written by the bindings of others."""
    ear, heard = Sapient({NODE: SensorSpec("R1", 0, kind)}), Heard()
    ear.hear([(RX_US, b"".join(frames([{**HEAD, **content} for content in contents])))], heard)
    return heard


def only(heard: Heard) -> Plots:
    assert not heard.refused
    (batch,) = heard.batches
    assert len(batch) == 1
    return batch


def test_a_radars_place_is_range_and_azimuth_from_where_it_stands() -> None:
    batch = only(heard_of(registration(), status(), report(z=120.0, x_error=0.0002, y_error=0.002)))
    assert (batch.sensor, batch.kind, batch.t_us.tolist()) == ("R1", PlotKind.POLAR, [1_795_414_500_250_000])
    way = Geodesic.WGS84.Inverse(SITE["y"], SITE["x"], PLACE["y"], PLACE["x"])
    assert batch.range_m[0] == pytest.approx(way["s12"], rel=1e-4)  # a chord, a little above the ground
    assert math.degrees(batch.azimuth_rad[0]) == pytest.approx(way["azi1"], abs=1e-3)
    # At the same height, the earth's curve alone makes it lower: half the angle between the two
    assert batch.elevation_rad[0] == pytest.approx(-way["s12"] / 6_371_000.0 / 2.0, abs=1e-5)
    east_m, north_m = 0.0002 * DEGREE_M * math.cos(math.radians(54.5)), 0.002 * DEGREE_M
    azimuth = math.radians(way["azi1"])
    along = math.sqrt((east_m * math.sin(azimuth)) ** 2 + (north_m * math.cos(azimuth)) ** 2)
    across = math.sqrt((east_m * math.cos(azimuth)) ** 2 + (north_m * math.sin(azimuth)) ** 2)
    assert batch.sigma_range_m[0] == pytest.approx(along, rel=0.01)
    assert batch.sigma_azimuth_rad[0] == pytest.approx(across / way["s12"], rel=0.01)
    assert batch.sigma_elevation_rad[0] == pytest.approx(30.0 / way["s12"], rel=0.01)


def test_heights_count_where_both_are_above_the_same() -> None:
    geoid = {"datum": "LOCATION_DATUM_WGS84_G"}
    way_m = Geodesic.WGS84.Inverse(SITE["y"], SITE["x"], PLACE["y"], PLACE["x"])["s12"]
    high = only(heard_of(registration(), status({**SITE, **geoid}), report(z=2_120.0, **geoid)))
    curve = way_m / 6_371_000.0 / 2.0
    assert high.elevation_rad[0] == pytest.approx(math.atan2(2_000.0, way_m) - curve, abs=1e-4)
    assert high.range_m[0] == pytest.approx(math.hypot(way_m, 2_000.0), rel=1e-3)
    for place in (geoid, {"z": None}, {"z_error": None}):
        flat = only(heard_of(registration(), status(), report(**place)))
        assert math.isnan(flat.elevation_rad[0])


@pytest.mark.parametrize(
    ("before", "place", "reason"),
    [
        ([], {}, "unregistered"), ([status()], {}, "unregistered"), ([registration()], {}, "no-site"),
        ([registration("NODE_TYPE_FUSION_NODE"), status()], {}, "no-measurement"),
        ([registration("NODE_TYPE_CAMERA"), status()], {}, "no-measurement"),
        ([registration(tracking="TRACKING_TYPE_TRACK"), status()], {}, "tracked"),
        ([registration(), status()], {"x_error": None}, "missing-field"),
        ([registration(), status()], {"y_error": 30.0}, "missing-field"),  # metres where degrees belong
    ],
)  # fmt: skip
def test_what_is_no_measurement_is_counted_by_why(
    before: list[dict[str, Any]], place: dict[str, Any], reason: str
) -> None:
    heard = heard_of(*before, report(**place))
    assert dict(heard.refused) == {reason: 1}
    assert not heard.batches


def test_what_a_node_says_of_itself_may_change_and_be_wrong() -> None:
    heard = heard_of(
        registration(), status({**SITE, "y": 95.0}), report(), status(), report(), report(state="lost"),
        status({**SITE, "coordinate_system": "LOCATION_COORDINATE_SYSTEM_UTM_M"}), report(),
        registration(tracking="TRACKING_TYPE_TRACK"), report(),
    )  # fmt: skip
    assert dict(heard.refused) == {"out-of-range": 1, "no-site": 1, "wrong-schema": 1, "tracked": 1}
    assert [len(batch) for batch in heard.batches] == [1, 1]


def test_a_tracker_tells_places_whoever_it_is_and_a_finder_none() -> None:
    batch = only(heard_of(report(), kind=SensorKind.TRACK))
    assert batch.kind is PlotKind.POSITION
    assert dict(heard_of(registration(), status(), report(), kind=SensorKind.BEARING).refused) == {
        "wrong-sensor-kind": 1
    }
