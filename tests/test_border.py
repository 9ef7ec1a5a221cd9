"""The border on a small invented map: what is border, what is closed, what is disputed."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic

from fusion.borders import border
from fusion.borders.border import NO_DATA, OTHER, PARTNER, SEA, Border, State
from fusion.borders.terrain import Grid

F8 = np.ndarray
ACCURACY_M = 50.0
SLIT_DEG = 0.0003  # about 21 m at 50 N


def box(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    return shapely.box(west, south, east, north)


# Two allies A and B side by side with a slit of drawing between them, O east of them, P north, sea south, and land
# of nobody in the data to the west:   west | A | B | O
A = State("AA", "Aland", "ally", box(20.0, 50.0, 21.0, 51.0))
B = State("BB", "Beland", "ally", box(21.0 + SLIT_DEG, 50.0, 22.0, 51.0))
O = State("OO", "Otherland", "other", box(22.0 + SLIT_DEG, 49.0, 23.0, 51.0))  # noqa: E741
P = State("PP", "Partnerland", "partner", box(20.0, 51.0, 23.0, 52.0))


def sea_and_west() -> Grid:
    """Land west of 20 E and between 50 and 52 N, sea elsewhere; every quarter of a degree."""
    lat, lon = np.meshgrid(48.0 + 0.25 * np.arange(21), 18.0 + 0.25 * np.arange(25), indexing="ij")
    land = ((lon < 20.0) & (lat >= 50.0)) | ((lat >= 50.0) & (lat <= 52.0) & (lon >= 20.0))
    return Grid(np.radians(48.0), np.radians(18.0), np.radians(0.25), np.where(land, 100.0, -50.0).astype(np.float32))


def traced(*states: State, accuracy_m: float = ACCURACY_M, cut: border.Cut | None = None) -> Border:
    return border.trace(states or (A, B, O, P), sea_and_west(), accuracy_m, cut)


def length_m(lines: F8) -> float:
    return float(sum(Geodesic.WGS84.Inverse(*np.degrees(p))["s12"] for p in lines))


def test_each_side_faces_what_lies_beyond_it() -> None:
    found = traced()
    middle = np.degrees(0.5 * (found.lines[:, :2] + found.lines[:, 2:]))
    east, north = np.abs(middle[:, 1] - 22.0) < 1e-3, np.abs(middle[:, 0] - 51.0) < 1e-3
    west, south = np.abs(middle[:, 1] - 20.0) < 1e-3, np.abs(middle[:, 0] - 50.0) < 1e-3
    assert set(found.facing[east]) == {OTHER}
    assert set(found.facing[north]) == {PARTNER}
    assert set(found.facing[west]) == {NO_DATA}
    # The coast of the undrawn land ends at 20 E: 12 NM (and two steps of this coarse grid) of sea belong to it.
    reach_deg = (12 * 1852 + 2 * np.radians(0.25) * 6_371_000) / 111_320 / np.cos(np.radians(50.0))
    assert set(found.facing[south & (middle[:, 1] > 19.75 + reach_deg + 0.02)]) == {SEA}
    assert set(found.facing[south & (middle[:, 1] < 19.75 + reach_deg - 0.02)]) == {NO_DATA}
    np.testing.assert_array_equal(found.is_border, (found.facing == OTHER) | (found.facing == SEA))


def test_the_slit_between_two_allies_is_closed() -> None:
    found = traced()
    assert len(shapely.get_parts(found.allied)) == 1
    assert found.allied.contains(shapely.Point(21.0 + SLIT_DEG / 2, 50.5))
    around = border.edges(box(20.0, 50.0, 22.0, 51.0))
    assert length_m(found.lines) == pytest.approx(length_m(around), rel=1e-4)


def test_a_slit_wider_than_the_accuracy_stays_open() -> None:
    found = traced(accuracy_m=10.0)
    assert not found.allied.contains(shapely.Point(21.0 + SLIT_DEG / 2, 50.5))
    assert len(shapely.get_parts(found.allied)) == 2


def test_a_short_hole_is_filled_and_a_large_one_kept() -> None:
    small, large = box(20.3, 50.3, 20.305, 50.305), box(20.6, 50.6, 20.65, 50.65)  # 0.2 km2 and 20 km2
    holed = State("AA", "Aland", "ally", A.shape.difference(small).difference(large))
    found = border.trace((holed, O), sea_and_west(), ACCURACY_M)
    assert found.allied.contains(shapely.Point(20.302, 50.302))
    assert not found.allied.contains(shapely.Point(20.62, 50.62))


def test_allied_ground_is_on_the_left_of_every_piece() -> None:
    found = traced()
    north, east = found.lines[:, 2] - found.lines[:, 0], found.lines[:, 3] - found.lines[:, 1]
    middle = 0.5 * (found.lines[:, :2] + found.lines[:, 2:])
    left = np.degrees(middle + 1e-5 * np.column_stack([east, -north]) / np.hypot(north, east)[:, None])
    assert shapely.contains_xy(found.allied, left[:, 1], left[:, 0]).all()


def test_every_piece_knows_its_ally() -> None:
    found = traced()
    lon = np.degrees(0.5 * (found.lines[:, 1] + found.lines[:, 3]))
    assert set(found.near_state[lon < 20.99]) == {0}
    assert set(found.near_state[lon > 21.01]) == {1}


def test_closing_leaves_the_vertices_where_they_were() -> None:
    found = traced()
    corners = [[20.0, 50.0], [22.0, 50.0], [22.0, 51.0], [20.0, 51.0]]
    vertices = shapely.get_coordinates(found.allied)
    for corner in corners:
        assert np.abs(vertices - corner).max(axis=1).min() < 1e-8


def test_small_overlaps_are_slivers_and_large_ones_disputed() -> None:
    sliver = State("OO", "Otherland", "other", box(22.0 - 0.0002, 49.0, 23.0, 51.0))  # 1.6 km2, 14 m wide
    small = State("QQ", "Smalland", "other", box(20.3, 49.0, 20.305, 50.005))  # 0.2 km2
    large = State("RR", "Largeland", "other", box(20.6, 49.0, 20.7, 50.1))  # 7 x 11 km
    found = traced(A, B, sliver, small, large)
    assert border.area_m2(found.disputed) == pytest.approx(border.area_m2(box(20.6, 50.0, 20.7, 50.1)), rel=1e-6)
    assert found.disputed.contains(shapely.Point(20.65, 50.05))
    # Alert as allied: the disputed ground is inside.
    assert found.allied.contains(shapely.Point(20.65, 50.05))


def test_the_box_of_the_data_is_no_border() -> None:
    alone = State("AA", "Aland", "ally", box(21.0, 49.5, 22.0, 50.5))
    sea = Grid(np.radians(48.0), np.radians(18.0), np.radians(0.25), np.full((21, 25), -50.0, np.float32))
    free = border.trace((alone,), sea, ACCURACY_M)
    clipped = border.trace((alone,), sea, ACCURACY_M, (21.0, 40.0, 45.0, 72.5))
    assert set(free.facing) == {SEA}
    west = np.abs(np.degrees(clipped.lines[:, [1, 3]]) - 21.0).max(axis=1) < 1e-6
    assert set(clipped.facing[west]) == {NO_DATA}
    assert set(clipped.facing[~west]) == {SEA}


def test_a_pocket_nobody_drew_does_not_hide_the_state_beyond() -> None:
    beyond = State("OO", "Otherland", "other", box(22.02, 49.0, 23.0, 52.0))  # 1.4 km of nothing between
    found = border.trace((A, B, beyond), sea_and_west(), ACCURACY_M)
    east = np.abs(np.degrees(found.lines[:, [1, 3]]) - 22.0).max(axis=1) < 1e-3
    assert set(found.facing[east]) == {OTHER}


def test_a_narrow_inlet_faces_what_its_mouth_faces() -> None:
    inlet = box(21.9, 50.5, 22.0, 50.502)  # 220 m wide, 7 km deep, belongs to O
    ally = State("BB", "Beland", "ally", box(21.0, 50.0, 22.0, 51.0).difference(inlet))
    found = border.trace((ally, O), sea_and_west(), ACCURACY_M)
    middle = np.degrees(0.5 * (found.lines[:, :2] + found.lines[:, 2:]))
    inside = (np.abs(middle[:, 0] - 50.501) < 0.0011) & (middle[:, 1] > 21.9 - 1e-6) & (middle[:, 1] < 21.999)
    assert inside.sum() > 10
    assert set(found.facing[inside]) <= {OTHER, SEA}


def test_without_allies_there_is_no_border() -> None:
    found = traced(O, P)
    assert len(found.lines) == 0
    assert found.allied.is_empty


def test_where_terrain_is_unknown_land_counts_as_sea_so_that_no_border_is_lost() -> None:
    far = State("AA", "Aland", "ally", box(100.0, 10.0, 101.0, 11.0))
    assert set(border.trace((far,), sea_and_west(), ACCURACY_M).facing) == {SEA}


@pytest.mark.parametrize("bounds", [(4.0, 40.0, 45.0, 72.5), (100.0, -45.0, 120.0, -10.0), (10.0, -20.0, 30.0, 20.0)])
def test_the_cone_is_true_to_scale_and_comes_back(bounds: tuple[float, float, float, float]) -> None:
    cone = border._Cone.over(bounds)
    rng = np.random.default_rng(5)
    at = np.column_stack([rng.uniform(bounds[0], bounds[2], 200), rng.uniform(bounds[1], bounds[3], 200)])
    np.testing.assert_allclose(cone.back(cone.flat(at)), at, atol=1e-10)
    step = 1e-4
    flat = cone.flat(at)
    east = np.linalg.norm(cone.flat(at + np.array([step, 0])) - flat, axis=1) / (
        np.radians(step) * 6_371_000 * np.cos(np.radians(at[:, 1]))
    )
    north = np.linalg.norm(cone.flat(at + np.array([0, step])) - flat, axis=1) / (np.radians(step) * 6_371_000)
    np.testing.assert_allclose(east, north, rtol=1e-4)  # conformal
    assert np.abs(north - 1).max() < 0.06


def test_areas_are_good_to_a_percent() -> None:
    shape = box(20.0, 50.0, 21.0, 51.0)
    oracle = Geodesic.WGS84.Polygon()
    for x in np.linspace(20, 21, 50):
        oracle.AddPoint(50.0, float(x))
    for x in np.linspace(21, 20, 50):
        oracle.AddPoint(51.0, float(x))
    assert border.area_m2(shape) == pytest.approx(oracle.Compute()[2], rel=0.01)


def test_polygons_drops_what_bounds_nothing() -> None:
    mixed = shapely.GeometryCollection([box(0, 0, 1, 1), shapely.LineString([(0, 0), (2, 2)]), shapely.Point(5, 5)])
    assert border.polygons(mixed).equals(box(0, 0, 1, 1))
    assert border.polygons(shapely.Point(1, 1)).is_empty
