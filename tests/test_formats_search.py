"""A search area leaves as GeoJSON that any map shows, and reads back as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.formats import search
from adapters.samples import sought
from fusion.cases.contours import MOST_POINTS, contours
from fusion.cases.record import Contour, SearchArea
from fusion.cases.whereabouts import Last, cloud
from tests.samples import reason
from tests.scene import NAMES
from tests.test_formats_incident import TIMES, drawn
from tests.test_formats_out import same, values

ON_A_METRE = st.tuples(
    st.integers(-9_000_000, 9_000_000).map(lambda n: math.radians(round(n / 1e5, 5))),
    st.integers(-18_000_000, 18_000_000).map(lambda n: math.radians(round(n / 1e5, 5))),
)
RINGS = st.lists(ON_A_METRE, min_size=4, max_size=6).map(tuple)
CONTOURS = st.builds(
    Contour, st.floats(0.0, 1.0), st.floats(0.0, 1e12), st.lists(RINGS, min_size=1, max_size=3).map(tuple)
)
AREAS = drawn(SearchArea, t_us=TIMES, lost_us=TIMES, contours=st.lists(CONTOURS, max_size=2).map(tuple))


@given(AREAS)
def test_every_area_reads_back_exactly(area: SearchArea) -> None:
    payload = search.encode(area, NAMES, 3)
    got = search.decode(payload)
    assert same(got, area)
    assert search.encode(got, NAMES, 3) == payload


def test_what_is_drawn_reads_back_exactly_and_fits_a_message() -> None:
    last = Last(0, 0.95, 0.45, 100.0, 42.0, 2.0, 5.2, 150.0)
    drawn_ = tuple(contours(cloud(last, 900_000_000), 0.95, 0.45, 5.2, (0.5, 0.9)))
    area = replace(sought(), contours=drawn_, lat_rad=0.9512345678901234, height_m=np.nan)
    payload = search.encode(area, NAMES, 3)
    assert same(search.decode(payload), area)
    assert len(payload) < 2 * MOST_POINTS * 24 + 3_000 < wire.MAX_PAYLOAD_BYTES


def test_the_message_is_geojson() -> None:
    said = json.loads(search.encode(sought(), NAMES, 3))
    assert (said["schema"], said["type"], said["track"]) == ("vedette.search.v1", "FeatureCollection", "5:17")
    assert None not in values(said)
    point, half, most = said["features"]
    assert point["geometry"]["type"] == "Point"
    assert point["geometry"]["coordinates"] == pytest.approx([25.6891, 54.5583], abs=1e-9)  # longitude first
    assert [f["geometry"]["type"] for f in (half, most)] == ["MultiPolygon", "MultiPolygon"]
    assert [f["properties"]["probability"] for f in (half, most)] == [0.5, 0.9]
    for polygon in half["geometry"]["coordinates"] + most["geometry"]["coordinates"]:
        (ring,) = polygon
        assert ring[0] == ring[-1]
        assert len(ring) >= 4
    assert said["state_names"] == ["Belarus", "Lithuania"]


def test_a_contour_without_its_numbers_is_refused() -> None:
    said = json.loads(search.encode(sought(), NAMES, 3))
    del said["features"][1]["properties"]["area_m2"]
    assert reason(search.decode, json.dumps(said).encode()) == "missing-field"
    said["features"][1]["properties"]["area_m2"] = 1.0
    said["features"][1]["geometry"]["coordinates"] = [[[["a", 1]]]]
    assert reason(search.decode, json.dumps(said).encode()) == "malformed"
