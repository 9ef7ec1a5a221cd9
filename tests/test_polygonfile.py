"""Polygons drawn by hand: what is none is refused with a cure that is the right one."""

from __future__ import annotations

import math

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from adapters.files.polygonfile import BadPolygon, polygon_of

SQUARE = [[25.0, 54.0], [26.0, 54.0], [26.0, 55.0], [25.0, 55.0], [25.0, 54.0]]
HOLE = [[25.4, 54.4], [25.6, 54.4], [25.6, 54.6], [25.4, 54.6], [25.4, 54.4]]
BOX = (10.0, 44.0, 41.0, 65.0)


def refusal(*rings: list[list[float]], box: tuple[float, float, float, float] | None = BOX) -> BadPolygon:
    with pytest.raises(BadPolygon) as caught:
        polygon_of(rings, box)
    return caught.value


def test_a_good_one_is_what_it_was_with_its_hole() -> None:
    assert polygon_of([SQUARE], BOX).equals(shapely.Polygon(SQUARE))
    assert polygon_of([SQUARE, HOLE], BOX).area == pytest.approx(1.0 - 0.04)


def test_swapped_numbers_are_told_by_where_the_site_watches() -> None:
    swapped = [[lat, lon] for lon, lat in SQUARE]
    found = refusal(swapped)
    assert "swapped" in found.problem
    assert "longitude comes first" in found.cure
    assert polygon_of([swapped], None).area > 0.0, "without a place to compare nobody can tell"
    beyond = refusal([[54.0, 125.0], [54.0, 126.0], [55.0, 126.0], [54.0, 125.0]], box=None)
    assert "beyond" in beyond.problem
    assert "longitude comes first" in beyond.cure


def test_a_knot_is_named_with_its_place() -> None:
    found = refusal([[25.0, 54.0], [26.0, 55.0], [26.0, 54.0], [25.0, 55.0], [25.0, 54.0]])
    assert "crosses itself near longitude, latitude 25.5, 54.5" in found.problem


@pytest.mark.parametrize(
    "ring, word",
    [
        ([], "positions"),
        (SQUARE[:3], "positions"),
        (SQUARE[:4], "not closed"),
        ([[25.0, 54.0]] * 4, "not valid"),
        ([[25.0, 54.0], [26.0, 54.0], [25.5, 54.0], [25.0, 54.0]], ""),
        ([[25.0, 54.0], [math.nan, 54.0], [26.0, 55.0], [25.0, 54.0]], "position"),
        ([[25.0], [26.0, 54.0], [26.0, 55.0], [25.0]], "position"),
        ([[25.0, 54.0], [226.0, 54.0], [26.0, 55.0], [25.0, 54.0]], "beyond"),
    ],
)
def test_what_bounds_nothing_is_refused(ring: list[list[float]], word: str) -> None:
    assert word in refusal(ring).problem


def test_no_ring_is_no_polygon() -> None:
    assert "no ring" in refusal().problem


@given(st.lists(st.lists(st.floats(-200.0, 200.0), min_size=0, max_size=3), max_size=8))
def test_anything_is_a_polygon_or_a_refusal(ring: list[list[float]]) -> None:
    try:
        found = polygon_of([ring], BOX)
    except BadPolygon:
        return
    assert found.is_valid
    assert found.area > 0.0
