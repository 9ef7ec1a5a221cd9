"""Contours: nested, simple, in the right place, and they hold what they say of places that they were not drawn from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely

from fusion import geo
from fusion.cases.contours import MOST_POINTS, MOST_RINGS, contours
from fusion.cases.record import Contour
from fusion.cases.whereabouts import Cloud

LAT, LON = 0.95, 0.45


def shape(contour: Contour) -> shapely.Geometry:
    rings = [shapely.Polygon([(lon, lat) for lat, lon in ring]) for ring in contour.rings]
    assert all(ring.is_valid for ring in rings)
    return shapely.union_all(rings)


def share(contour: Contour, cloud: Cloud) -> float:
    azimuth = np.mod(np.arctan2(cloud.east_m, cloud.north_m), 2.0 * math.pi)
    lat, lon, _ = geo.direct(LAT, LON, azimuth, np.hypot(cloud.east_m, cloud.north_m))
    return float(shapely.contains_xy(shape(contour), lon, lat).mean())


def normal(rng: np.random.Generator, east_m: float, north_m: float, course_rad: float = 0.0) -> Cloud:
    """Places about the origin, longer along a course."""
    a, b = rng.normal(0.0, north_m, 8_192), rng.normal(0.0, east_m, 8_192)
    s, c = math.sin(course_rad), math.cos(course_rad)
    return Cloud(a * s + b * c, a * c - b * s, np.ones(8_192, np.bool_))


@pytest.mark.parametrize("course_rad", [0.0, 0.7, 4.0])
def test_of_a_known_distribution_the_contour_is_its_ellipse(course_rad: float) -> None:
    rng = np.random.default_rng(3)
    half, most = contours(normal(rng, 500.0, 4_000.0, course_rad), LAT, LON, course_rad, (0.5, 0.9))
    fresh = normal(rng, 500.0, 4_000.0, course_rad)
    for contour, p in ((half, 0.5), (most, 0.9)):
        assert p - 0.02 <= share(contour, fresh) <= p + 0.06
        exact_m2 = -2.0 * math.log(1.0 - p) * math.pi * 500.0 * 4_000.0
        assert exact_m2 * 0.95 <= contour.area_m2 <= 1.3 * exact_m2


def test_the_area_is_that_of_the_rings_on_the_ground() -> None:
    (contour,) = contours(normal(np.random.default_rng(1), 3_000.0, 3_000.0), LAT, LON, math.nan, (0.9,))
    scale = 6.3713e6**2 * math.cos(LAT)  # mean of the two radii of curvature there, within a percent
    assert shape(contour).area * scale == pytest.approx(contour.area_m2, rel=0.02)


def test_what_is_down_and_what_flies_are_both_held() -> None:
    rng = np.random.default_rng(5)
    here, there = normal(rng, 300.0, 300.0), normal(rng, 2_000.0, 2_000.0)
    flying = np.arange(8_192) % 10 == 0
    east = np.where(flying, there.east_m + 20_000.0, here.east_m)
    cloud = Cloud(east, np.where(flying, there.north_m, here.north_m), flying)
    (contour,) = contours(cloud, LAT, LON, math.pi / 2, (0.9,))
    for mask in (flying, ~flying):
        assert share(contour, Cloud(east[mask], cloud.north_m[mask], flying[mask])) >= 0.88
    assert len(contour.rings) == 2


def test_a_contour_of_scattered_places_has_few_points() -> None:
    rng = np.random.default_rng(9)
    cloud = Cloud(rng.uniform(-1, 1, 8_192) ** 3 * 1e5, rng.uniform(-1, 1, 8_192) ** 5 * 1e5, rng.random(8_192) < 0.5)
    half, most = contours(cloud, LAT, LON, 1.0, (0.5, 0.9))
    for contour in (half, most):
        assert 1 <= len(contour.rings) <= MOST_RINGS
        assert sum(map(len, contour.rings)) <= MOST_POINTS
        assert all(ring[0] == ring[-1] for ring in contour.rings)
    assert half.area_m2 < most.area_m2


def test_places_all_alike_still_have_an_area() -> None:
    same = Cloud(np.zeros(8_192), np.zeros(8_192), np.ones(8_192, np.bool_))
    (contour,) = contours(same, LAT, LON, 0.0, (0.9,))
    assert 0.0 < contour.area_m2 < 1e6
    assert shape(contour).covers(shapely.Point(LON, LAT))
