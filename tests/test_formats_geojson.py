"""GeoJSON: as RFC 7946 wants it, with the names and absences of our own messages, read back without loss."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from geojson_pydantic import FeatureCollection
from hypothesis import given
from hypothesis import strategies as st

from adapters import samples
from adapters.formats import geojson, track
from adapters.rows import Told
from fusion.schema import Invalid
from tests.scene import NAMES, T_US, table


def told() -> list[Told]:
    tracks, assessment = table(60)
    return [track.told(payload) for payload in track.encode_rows(tracks, assessment, range(60), NAMES, 1)]


def test_tracks_and_alerts_read_back_as_they_were() -> None:
    rows, said = told(), samples.alarm()
    features = [*map(geojson.track, rows), geojson.alert(said), geojson.ended("5:1", T_US)]
    read = geojson.decode(geojson.collection(features, T_US, "test"))
    assert read.tracks == tuple(rows)
    assert read.ended == ("5:1",)
    (mark,) = read.alerts
    assert (mark.id, mark.sentence, mark.track, mark.identity) == (said.id, said.sentence, said.track, "unknown")


def test_a_feature_has_the_ellipse_of_its_place() -> None:
    row = track.told(track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1))
    said = json.loads(geojson.track(row))["properties"]
    half_axes = np.sqrt(np.linalg.eigvalsh(np.array([[6_100.0, -1_500.0], [-1_500.0, 2_092.0]])))
    assert (said["ellipse_minor_m"], said["ellipse_major_m"]) == pytest.approx(half_axes, abs=0.05)
    assert said["ellipse_azimuth_deg"] == 108.4  # half of atan2(2 cov, var north - var east)
    plain = msgspec.structs.replace(row, var_east_m2=None)
    assert not [name for name in json.loads(geojson.track(plain))["properties"] if name.startswith("ellipse")]


def test_a_collection_is_what_rfc_7946_says() -> None:
    whole = json.loads(geojson.collection([*map(geojson.track, told()), geojson.alert(samples.alarm())], T_US, "test"))
    assert whole["type"] == "FeatureCollection"
    assert "crs" not in whole
    for feature in whole["features"]:
        assert set(feature) == {"type", "id", "geometry", "properties"}
        assert feature["geometry"]["type"] == "Point"
        lon, lat, *height = feature["geometry"]["coordinates"]
        assert -180 <= lon <= 180
        assert -90 <= lat <= 90
        assert len(height) == int(feature["properties"].get("height_known", False))


def test_a_reader_of_others_takes_it_and_finds_the_same_places() -> None:
    """geojson-pydantic, which holds the rules of RFC 7946 as types."""
    rows = told()
    nowhere = replace(samples.alarm(), lat_rad=math.nan)
    features = [*map(geojson.track, rows), geojson.alert(samples.alarm()), geojson.alert(nowhere)]
    read: Any = FeatureCollection.model_validate_json(geojson.collection(features, T_US, "test"))
    assert len(read.features) == 62
    for row, feature in zip(rows, read.features, strict=False):
        assert feature.geometry is not None
        assert tuple(feature.geometry.coordinates) == tuple(
            value for value in (row.lon_deg, row.lat_deg, row.height_m) if value is not None
        )
        assert feature.properties is not None
        assert (feature.id, feature.properties["speed_mps"]) == (row.id, row.speed_mps)
    assert read.features[-1].geometry is None


def test_what_has_no_place_has_no_geometry() -> None:
    nowhere = replace(samples.alarm(), lat_rad=math.nan, lon_rad=math.nan)
    assert json.loads(geojson.alert(nowhere))["geometry"] is None
    assert json.loads(geojson.ended("5:1", T_US))["geometry"] is None


def test_attribution_of_borders_stands_beside_them() -> None:
    text = "(c) OpenStreetMap contributors, ODbL"
    assert json.loads(geojson.collection([], T_US, "test", text))["attribution"] == text


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"[]", "malformed"),
        (b'{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"kind": "track"}}]}',
         "missing-field"),
        (b'{"type": "FeatureCollection"}', "missing-field"),
        (b'{"type": "Feature", "features": []}', "malformed"),
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_a_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        geojson.decode(payload)
    assert refused.value.reason == reason


@given(st.binary(max_size=80))
def test_no_bytes_do_anything_else(payload: bytes) -> None:
    with pytest.raises(Invalid):
        geojson.decode(payload)
