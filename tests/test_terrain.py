"""Height grids: exact on planes, equal to scipy's interpolator, honest outside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import RegularGridInterpolator

from fusion.borders import terrain
from fusion.borders.terrain import Grid

STEP = np.radians(1.0 / 12.0)


def grid_of(values: np.ndarray, lat_deg: float = 50.0, lon_deg: float = 20.0) -> Grid:
    return Grid(np.radians(lat_deg), np.radians(lon_deg), STEP, np.ascontiguousarray(values, np.float32))


def test_sample_is_scipys_bilinear_interpolation() -> None:
    rng = np.random.default_rng(7)
    grid = grid_of(rng.uniform(-50, 900, (20, 30)))
    lat = grid.lat0_rad + STEP * np.arange(20)
    lon = grid.lon0_rad + STEP * np.arange(30)
    oracle = RegularGridInterpolator((lat, lon), grid.values.astype(float))
    at = np.column_stack([rng.uniform(lat[0], lat[-1], 500), rng.uniform(lon[0], lon[-1], 500)])
    np.testing.assert_allclose(terrain.sample(grid, at[:, 0], at[:, 1]), oracle(at), atol=1e-6)


def test_nodes_are_given_back_exactly_including_the_outermost() -> None:
    values = np.arange(12.0).reshape(3, 4)
    grid = grid_of(values)
    i, j = (a.ravel() for a in np.meshgrid(np.arange(3), np.arange(4), indexing="ij"))
    found = terrain.sample(grid, grid.lat0_rad + STEP * i, grid.lon0_rad + STEP * j)
    np.testing.assert_allclose(found, values.ravel(), atol=1e-6)


@pytest.mark.parametrize("row, column", [(-0.01, 1), (2.01, 1), (1, -0.01), (1, 3.01), (np.nan, 1), (1, np.inf)])
def test_outside_the_lattice_nothing_is_known(row: float, column: float) -> None:
    grid = grid_of(np.ones((3, 4)))
    lat, lon = np.array([grid.lat0_rad + STEP * row]), np.array([grid.lon0_rad + STEP * column])
    assert np.isnan(terrain.sample(grid, lat, lon)).all()
    assert np.isnan(terrain.local_sigma_m(grid, lat, lon)).all()


@given(st.floats(0.0, 2.0), st.floats(0.0, 3.0))
def test_a_sample_lies_between_the_nodes_around_it(row: float, column: float) -> None:
    values = np.array([[3.0, 900.0, -4.0, 17.0], [5.0, 0.0, 2000.0, 8.0], [1.0, 1.0, 30.0, -70.0]])
    grid = grid_of(values)
    found = terrain.sample(grid, np.array([grid.lat0_rad + STEP * row]), np.array([grid.lon0_rad + STEP * column]))[0]
    i, j = min(int(row), 1), min(int(column), 2)
    around = values[i : i + 2, j : j + 2]
    assert around.min() - 1e-3 <= found <= around.max() + 1e-3


def test_an_unknown_node_makes_its_surroundings_unknown() -> None:
    grid = grid_of(np.array([[1.0, 1.0, 1.0], [1.0, np.nan, 1.0], [1.0, 1.0, 1.0]]))
    lat, lon = np.array([grid.lat0_rad + 0.5 * STEP]), np.array([grid.lon0_rad + 0.5 * STEP])
    assert np.isnan(terrain.sample(grid, lat, lon)).all()


@pytest.mark.parametrize(
    "height, sigma",
    [(100.0, terrain.SIGMA_PLAIN_M), (450.0, 82.5), (900.0, terrain.SIGMA_HILLS_M), (0.0, terrain.SIGMA_SEA_M)],
)
def test_sigma_follows_the_height_of_flat_ground(height: float, sigma: float) -> None:
    grid = grid_of(np.full((4, 4), height))
    at = np.array([grid.lat0_rad + 1.5 * STEP]), np.array([grid.lon0_rad + 1.5 * STEP])
    assert terrain.local_sigma_m(grid, *at)[0] == pytest.approx(sigma)


def test_sigma_grows_with_relief_that_the_grid_cannot_follow() -> None:
    grid = grid_of(np.array([[0.0, 800.0], [800.0, 0.0]]))
    at = np.array([grid.lat0_rad + 0.5 * STEP]), np.array([grid.lon0_rad + 0.5 * STEP])
    assert terrain.local_sigma_m(grid, *at)[0] == pytest.approx(400.0)


def test_a_coast_one_step_away_counts_as_land() -> None:
    values = np.zeros((6, 6))
    values[:, 5] = 60.0
    grid = grid_of(values)
    lat = np.full(2, grid.lat0_rad + 2.5 * STEP)
    lon = grid.lon0_rad + STEP * np.array([1.5, 3.5])
    assert terrain.local_sigma_m(grid, lat, lon).tolist() == [terrain.SIGMA_SEA_M, terrain.SIGMA_PLAIN_M]


def test_slope_of_a_plane() -> None:
    lat = np.radians(50.0) + STEP * np.arange(4)
    north_m = 6_371_000.0 * (lat - lat[0])
    grid = grid_of(np.repeat(0.1 * north_m[:, None], 4, axis=1))
    at = grid.lat0_rad + 1.3 * STEP, grid.lon0_rad + 1.7 * STEP
    args = grid.values, grid.lat0_rad, grid.lon0_rad, grid.step_rad
    assert terrain.slope_1(*args, *at) == pytest.approx(0.1, rel=1e-4)
    assert terrain.slope_1(*args, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(
    "values",
    [np.ones((1, 5), np.float32), np.ones(5, np.float32), np.ones((3, 3)), np.ones((4, 4), np.float32)[:, ::2]],
)
def test_a_grid_of_the_wrong_shape_is_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="grid"):
        Grid(0.0, 0.0, STEP, values)


def test_a_grid_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="step"):
        Grid(0.0, 0.0, 0.0, np.ones((3, 3), np.float32))


def test_places_come_in_any_shape_and_the_step_is_in_metres() -> None:
    grid = grid_of(np.arange(12.0).reshape(3, 4))
    lat, lon = np.meshgrid(grid.lat0_rad + STEP * np.arange(3), grid.lon0_rad + STEP * np.arange(4), indexing="ij")
    np.testing.assert_allclose(terrain.sample(grid, lat, lon), grid.values, atol=1e-6)
    assert terrain.local_sigma_m(grid, lat, lon).shape == (3, 4)
    assert grid.step_m == pytest.approx(9_266.0, abs=1.0)
