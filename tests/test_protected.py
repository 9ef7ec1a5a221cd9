"""Protected areas: which one, how far, against shapely and geographiclib."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic

from fusion.borders.outlook import Area, circle
from fusion.borders.protected import REACH_M, build

WGS84 = Geodesic.WGS84


def box(name: str, west: float, south: float, east: float, north: float, severity: int = 2, **more: float) -> Area:
    return Area(name, name.title(), "city", severity, shapely.box(west, south, east, north), **more)  # type: ignore[arg-type]


def at(*places: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    lat, lon = np.radians(np.array(places)).T
    return lat, lon


def test_a_circle_is_a_circle_of_that_radius() -> None:
    shape = circle(math.radians(54.6), math.radians(25.3), 5_000.0)
    made = build([Area("a", "A", "airport", 1, shape)])
    for azimuth in (0.0, 50.0, 123.0, 271.0):
        for metres in (500.0, 4_980.0, 5_020.0, 30_000.0):
            place = WGS84.Direct(54.6, 25.3, azimuth, metres)
            area, distance = made.where(*at((place["lat2"], place["lon2"])))
            assert area.tolist() == [0]
            assert distance[0] == pytest.approx(metres - 5_000.0, abs=10.0)


def test_the_nearest_of_many_is_found_and_inside_is_as_shapely_says() -> None:
    rng = np.random.default_rng(2)
    areas = []
    for row in range(300):
        place, radius = (rng.uniform(50.0, 56.0), rng.uniform(20.0, 30.0)), rng.uniform(300.0, 15_000.0)
        shape = circle(math.radians(place[0]), math.radians(place[1]), radius)
        areas.append(Area(f"a{row}", "A", "other", int(rng.integers(1, 4)), shape))
    made = build(areas)
    lat, lon = rng.uniform(49.0, 57.0, 400), rng.uniform(19.0, 31.0, 400)
    found, distance = made.where(np.radians(lat), np.radians(lon))
    shapes = [area.shape for area in made.areas]
    holds = np.stack([shapely.contains_xy(shape, lon, lat) for shape in shapes])  # (areas, places)
    for row in range(400):
        held = np.flatnonzero(holds[:, row]).tolist()
        if held:
            assert found[row] == min(held, key=lambda i: (made.areas[i].severity, i))
            assert distance[row] < 0.0
        elif found[row] >= 0:
            assert distance[row] > 0.0
            metres = [
                edge_m(shape, lat[row], lon[row]) for shape in (shapes[found[row]], *_near(shapes, lon[row], lat[row]))
            ]
            assert distance[row] == pytest.approx(metres[0], rel=0.02, abs=50.0)
            assert metres[0] <= min(metres) * 1.02 + 50.0


def _near(shapes: list[shapely.Geometry], lon: float, lat: float) -> list[shapely.Geometry]:
    point = shapely.Point(lon, lat)
    return [shapes[i] for i in np.argsort(shapely.distance(np.array(shapes), point), kind="stable")[:5]]


def edge_m(shape: shapely.Geometry, lat: float, lon: float) -> float:
    """Distance to the corners and middles of sides: within 1 % for a circle of 72 corners."""
    xy = shapely.get_coordinates(shape)
    xy = np.vstack([xy, 0.5 * (xy[1:] + xy[:-1])])
    # The oracle is slow: it measures the twelve that are nearest in the plane, and the nearest of all is among them.
    plane = np.hypot(xy[:, 1] - lat, (xy[:, 0] - lon) * math.cos(math.radians(lat)))
    return min(float(WGS84.Inverse(lat, lon, y, x)["s12"]) for x, y in xy[np.argsort(plane, kind="stable")[:12]])


def test_of_two_that_hold_a_place_the_more_severe_counts_and_depth_is_to_its_own_edge() -> None:
    made = build([box("town", 20.0, 50.0, 22.0, 52.0, 3), box("base", 20.9, 50.9, 21.1, 51.1, 1)])
    names = [area.id for area in made.areas]
    area, distance = made.where(*at((51.0, 21.0), (51.0, 20.8), (51.0, 19.9)))
    assert [names[i] for i in area] == ["base", "town", "town"]
    assert distance[1] == pytest.approx(-WGS84.Inverse(51.0, 20.8, 51.0, 20.0)["s12"], rel=0.01)
    assert distance[2] == pytest.approx(WGS84.Inverse(51.0, 19.9, 51.0, 20.0)["s12"], rel=0.01)


def test_out_of_reach_is_none_and_so_is_a_place_that_is_not_known() -> None:
    made = build([box("a", 20.0, 50.0, 20.1, 50.1)])
    area, distance = made.where(np.array([math.radians(50.0), np.nan]), np.radians([23.0, 20.0]))
    assert WGS84.Inverse(50.0, 23.0, 50.0, 20.1)["s12"] > REACH_M
    assert area.tolist() == [-1, -1]
    assert np.isnan(distance).all()
    nothing = build([]).where(*at((50.0, 20.0)))
    assert nothing[0].tolist() == [-1]
    assert not build([]).at_height(nothing[0], np.zeros(1)).any()


def test_a_hole_is_not_within() -> None:
    ring = shapely.Polygon(shapely.box(20.0, 50.0, 22.0, 52.0).exterior, [shapely.box(20.5, 50.5, 21.5, 51.5).exterior])
    made = build([Area("a", "A", "other", 2, ring)])
    assert (made.where(*at((51.0, 21.0), (50.2, 21.0)))[1] < 0.0).tolist() == [False, True]


def test_floor_and_ceiling_leave_out_what_is_known_to_be_outside_them() -> None:
    made = build([box("a", 20.0, 50.0, 22.0, 52.0, floor_m=100.0, ceiling_m=900.0)])
    heights = np.array([50.0, 100.0, 900.0, 901.0, np.nan])
    assert made.at_height(np.zeros(5, np.int64), heights).tolist() == [False, True, True, False, True]
    assert made.at_height(np.array([-1]), np.array([500.0])).tolist() == [False]


def test_what_cannot_be_watched_is_refused() -> None:
    with pytest.raises(ValueError, match="id of its own"):
        build([box("a", 20.0, 50.0, 22.0, 52.0)] * 2)
    for wrong in ({"severity": 4}, {"kind": "harbour"}, {"floor_m": 5.0, "ceiling_m": 5.0}, {"accuracy_m": -1.0}):
        given = {"id": "a", "name": "A", "kind": "city", "severity": 1, "shape": shapely.box(0, 0, 1, 1), **wrong}
        with pytest.raises(ValueError, match="a"):
            Area(**given)
    with pytest.raises(ValueError, match="crosses itself"):
        Area("a", "A", "city", 1, shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]))
