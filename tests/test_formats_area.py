"""An area event on the wire: what is written reads back, and the words never say what it is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import area
from adapters.samples import crowd
from fusion.cases.record import Crowd, CrowdKind
from fusion.schema import Invalid
from tests.scene import NAMES, T_US

finite = st.floats(allow_nan=False, allow_infinity=False, min_value=0.0, max_value=1e9)
angle = st.floats(-np.pi / 2, np.pi / 2)
crowds = st.builds(
    Crowd,
    number=st.integers(1, 10**9),
    kind=st.sampled_from(CrowdKind),
    state=st.sampled_from(["open", "over"]),
    since_us=st.integers(T_US - 10**12, T_US),
    t_us=st.integers(T_US, T_US + 10**12),
    lat_rad=angle,
    lon_rad=angle,
    radius_m=finite,
    count=st.integers(0, 5_000),
    most=st.integers(0, 5_000),
    inside=st.integers(0, 5_000),
    speed_mps=finite,
    course_rad=st.floats(0.0, 2 * np.pi),
    spread_mps=finite,
    low_m=finite,
    high_m=finite,
    states=st.lists(st.sampled_from(NAMES.codes), max_size=3, unique=True).map(tuple),
    members=st.lists(st.integers(1, 10**9), max_size=20).map(tuple),
)


@given(crowds)
def test_what_is_written_reads_back(event: Crowd) -> None:
    assert area.decode(area.encode(event, NAMES, 1)) == event


def test_a_height_that_is_not_known_stays_unknown_and_the_largest_fits() -> None:
    event = replace(crowd(), low_m=np.nan, high_m=np.nan, members=tuple(range(10**9, 10**9 + 1_000)))
    payload = area.encode(event, NAMES, 1)
    assert "low_m" not in json.loads(payload)
    assert len(payload) < 48 * 1024
    back = area.decode(payload)
    assert np.isnan([back.low_m, back.high_m]).all()
    assert replace(back, low_m=0.0, high_m=0.0) == replace(event, low_m=0.0, high_m=0.0)


def test_the_words_say_what_it_is_like() -> None:
    assert area.sentence(crowd(), NAMES) == (
        "144 silent objects within 37 km of 54.41 N 25.83 E over Lithuania, Belarus fly south-west together at 11 m/s, "
        "as birds on migration do; they raise no alerts of their own."
    )
    assert "fly this way and that, as birds do" in area.sentence(replace(crowd(), spread_mps=11.0), NAMES)
    fixed = replace(crowd(), kind=CrowdKind.FIXED, states=(), count=16, radius_m=5_600.0)
    assert area.sentence(fixed, NAMES) == (
        "16 silent objects within 6 km of 54.41 N 25.83 E stand still, as wind turbines do; "
        "they raise no alerts of their own."
    )
    assert area.sentence(replace(fixed, state="over"), NAMES).endswith("over; they were up to 151.")


@pytest.mark.parametrize(
    ("key", "value"),
    [("state", "closed"), ("kind", "birds"), ("count", -1), ("lat_deg", 400.0), ("course_deg", 400.0), ("time", "now")],
)
def test_what_cannot_be_is_refused(key: str, value: object) -> None:
    message = json.loads(area.encode(crowd(), NAMES, 1))
    with pytest.raises(Invalid):
        area.decode(json.dumps({**message, key: value}).encode())
