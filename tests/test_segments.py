"""Nearest segment, first crossing and containment against brute force, geographiclib and shapely."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion import geo
from fusion.borders import border, segments

F8 = np.ndarray


def walk(rng: np.random.Generator, n: int, step_deg: float = 0.05) -> F8:
    """A random polyline around 50 N 20 E as (n, 4) lines in radians."""
    at = np.radians(np.array([50.0, 20.0]) + np.cumsum(rng.normal(0, step_deg, (n + 1, 2)), axis=0))
    return np.hstack([at[:-1], at[1:]])


def surface(lat_deg: float, lon_deg: float) -> F8:
    place: F8 = geo.ecef(np.radians([lat_deg]), np.radians([lon_deg]), [0.0])[0]
    return place


def nearest(tree: segments.Segments, at: F8, within_m: float = 1e7) -> tuple[int, float, float]:
    found: tuple[int, float, float] = segments.nearest_1(tree, at[0], at[1], at[2], within_m)
    return found


def test_pieces_join_without_a_gap_and_stay_short() -> None:
    lines = walk(np.random.default_rng(1), 300, 0.3)
    pieces, owner = segments.split(lines, np.arange(300).astype(np.int16))
    assert (np.abs(pieces[:, 2:] - pieces[:, :2]).max(axis=1) <= segments.STEP_RAD * (1 + 1e-9)).all()
    np.testing.assert_array_equal(pieces[1:, :2], pieces[:-1, 2:])
    np.testing.assert_array_equal(pieces[owner == 0][0, :2], lines[0, :2])
    np.testing.assert_array_equal(pieces[owner == 299][-1, 2:], lines[-1, 2:])


def test_nearest_is_the_least_of_all() -> None:
    rng = np.random.default_rng(2)
    tree = segments.segments(walk(rng, 400), np.zeros(400, np.int16))
    a, d = tree.ends[:, :3], tree.ends[:, 3:] - tree.ends[:, :3]
    for _ in range(200):
        p = surface(50 + rng.normal(0, 2), 20 + rng.normal(0, 2))
        along = np.clip(((p - a) * d).sum(1) / (d * d).sum(1), 0, 1)
        away = np.linalg.norm(a + along[:, None] * d - p, axis=1)
        k, _, found = nearest(tree, p)
        assert found == pytest.approx(away.min(), abs=1e-6)
        assert away[k] == pytest.approx(away.min(), abs=1e-6)


def test_nearest_place_is_geographiclibs_nearest_of_a_dense_line() -> None:
    lines = np.radians([[54.0, 23.0, 54.4, 24.5], [54.4, 24.5, 55.3, 25.1]])
    tree = segments.segments(lines, np.zeros(2, np.int16))
    blend = np.linspace(0, 1, 4001)[:, None]
    dense = np.degrees(np.vstack([(1 - blend) * p[:2] + blend * p[2:] for p in lines]))
    for lat, lon in [(54.1, 24.6), (55.0, 22.0), (53.0, 23.0), (54.41, 24.52), (52.0, 30.0)]:
        k, along, _ = nearest(tree, surface(lat, lon))
        place = np.degrees((1 - along) * tree.places[k, :2] + along * tree.places[k, 2:])
        ours = Geodesic.WGS84.Inverse(lat, lon, *place)["s12"]
        best = min(Geodesic.WGS84.Inverse(lat, lon, *q)["s12"] for q in dense)
        # The dense line has a point every 25-30 m: up to 15 m beside the foot, which is s - sqrt(s^2 - 15^2) further.
        assert best - 15.0**2 / ours - 0.1 <= ours <= best + 0.1


def test_nothing_within_reach_is_said_so() -> None:
    tree = segments.segments(walk(np.random.default_rng(3), 50), np.zeros(50, np.int16))
    k, _, away = nearest(tree, surface(10.0, 100.0), 1000.0)
    assert k == -1
    assert away == np.inf


def test_an_empty_tree_finds_nothing() -> None:
    tree = segments.segments(np.empty((0, 4)), np.empty(0, np.int16))
    assert nearest(tree, surface(50.0, 20.0))[0] == -1
    assert segments.crossing_1(tree, path_of(50.0, 20.0, 90.0), 1e7)[0] == -1


def path_of(lat_deg: float, lon_deg: float, azimuth_deg: float) -> F8:
    east, north, _ = geo.enu_axes(np.radians([lat_deg]), np.radians([lon_deg]))[0]
    az = np.radians(azimuth_deg)
    ahead, left = np.sin(az) * east + np.cos(az) * north, np.cos(az) * -east + np.sin(az) * north
    return np.concatenate([surface(lat_deg, lon_deg), ahead, left])


def test_the_first_crossing_lies_on_the_geodesic() -> None:
    rng = np.random.default_rng(4)
    tree = segments.segments(walk(rng, 400), np.zeros(400, np.int16))
    met = 0
    for _ in range(300):
        lat, lon, azimuth = 50 + rng.normal(0, 1.5), 20 + rng.normal(0, 1.5), rng.uniform(0, 360)
        k, along = segments.crossing_1(tree, path_of(lat, lon, azimuth), 400e3)
        if k < 0:
            continue
        met += 1
        place = np.degrees((1 - along) * tree.places[k, :2] + along * tree.places[k, 2:])
        line = Geodesic.WGS84.Inverse(lat, lon, *place)
        off = np.radians((line["azi1"] - azimuth + 180) % 360 - 180) * line["s12"]
        assert abs(off) < 1.0  # 5 cm of chord, decimetres of normal section against geodesic
        # Nothing that is crossed the same way comes earlier.
        p = path_of(lat, lon, azimuth)
        side_a, side_b = (tree.ends[:, :3] - p[:3]) @ p[6:], (tree.ends[:, 3:] - p[:3]) @ p[6:]
        cut = (side_a >= 0) & (side_b < 0)
        q = tree.ends[:, :3] + (side_a / (side_a - side_b))[:, None] * (tree.ends[:, 3:] - tree.ends[:, :3]) - p[:3]
        cut &= q @ p[3:6] > 0
        assert np.linalg.norm(q[cut], axis=1).min() == pytest.approx(np.linalg.norm(q[k]), abs=1e-6)
    assert met > 50


def test_only_a_crossing_to_the_left_side_counts() -> None:
    eastward = segments.segments(np.radians([[50.0, 20.0, 50.0, 21.0]]), np.zeros(1, np.int16))
    westward = segments.segments(np.radians([[50.0, 21.0, 50.0, 20.0]]), np.zeros(1, np.int16))
    northbound, southbound = path_of(49.9, 20.5, 0.0), path_of(50.1, 20.5, 180.0)
    assert segments.crossing_1(eastward, northbound, 1e5)[0] >= 0
    assert segments.crossing_1(eastward, southbound, 1e5)[0] == -1
    assert segments.crossing_1(westward, southbound, 1e5)[0] >= 0
    assert segments.crossing_1(eastward, path_of(49.9, 20.5, 180.0), 1e5)[0] == -1  # behind
    assert segments.crossing_1(eastward, northbound, 1e3)[0] == -1  # too far


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_containment_is_shapelys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 40))
    ring = np.column_stack([20 + np.cos(angle) * rng.uniform(0.5, 2, 40), 50 + np.sin(angle) * rng.uniform(0.5, 1, 40)])
    shape = shapely.make_valid(shapely.Polygon(ring)).difference(shapely.box(19.9, 49.9, 20.2, 50.1))
    shape = border.polygons(shape)
    held = segments.areas([np.empty((0, 4)), border.edges(shape)])
    lon, lat = rng.uniform(17.5, 22.5, 400), rng.uniform(48.5, 51.5, 400)
    ours = [segments.contains_1(held, 1, a, b) for a, b in zip(np.radians(lat), np.radians(lon), strict=True)]
    assert ours == shapely.contains_xy(shape, lon, lat).tolist()
    assert not any(segments.contains_1(held, 0, a, b) for a, b in zip(np.radians(lat), np.radians(lon), strict=True))


def test_neighbours_share_every_place_once() -> None:
    """Half-open rule: a place on the common edge of two squares, at the height of a vertex, is in exactly one."""
    one = border.edges(shapely.box(20, 50, 21, 51))
    two = border.edges(shapely.box(20, 51, 21, 52))
    held = segments.areas([one, two])
    for lat in (50.5, 51.0, 51.5):
        at = np.radians(lat), np.radians(20.5)
        assert segments.contains_1(held, 0, *at) + segments.contains_1(held, 1, *at) == 1
