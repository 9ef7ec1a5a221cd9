"""How unsure a place is, as it is published: the tracker's covariance, turned to east and north, and its ellipse."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import samples
from adapters.formats import track
from adapters.rows import Row, check_row, ellipse, rows_of
from fusion import geo
from fusion.schema import Invalid
from tests.scene import NAMES, table

ROW = Row("5:17", "confirmed", False, False, (), 3)


def test_the_covariance_of_a_track_is_published_along_east_and_north() -> None:
    """Beside displaced places: the spread of a cloud drawn from the tracker's state, as geodesics see it from there."""
    tracks, assessment = table(1)
    lat, lon = assessment.lat_rad, assessment.lon_rad
    spread = np.diag([900.0, 250.0, 400.0]) + np.array([[0, 300.0, 50.0], [300.0, 0, -80.0], [50.0, -80.0, 0]])
    axes = geo.enu_axes(lat, lon)[0]
    cov = np.zeros((1, 6, 6))
    cov[0, :3, :3] = axes.T @ spread @ axes
    cov[0, 3:, 3:] = axes.T @ np.diag([16.0, 4.0, 1.0]) @ axes
    (row,) = rows_of(replace(tracks, cov=cov), replace(assessment, height_known=np.array([True])), NAMES)
    cloud = np.random.default_rng(5).multivariate_normal(geo.ecef(lat, lon, 0.0)[0], cov[0, :3, :3], 40_000)
    far, azimuth, _ = geo.inverse(np.full(40_000, lat[0]), np.full(40_000, lon[0]), *geo.geodetic(cloud)[:2])
    seen = np.cov(far * np.sin(azimuth), far * np.cos(azimuth))
    assert (row.var_east_m2, row.cov_east_north_m2, row.var_north_m2) == pytest.approx((900.0, 300.0, 250.0))
    assert np.array([900.0, 300.0, 250.0]) == pytest.approx(seen[[0, 0, 1], [0, 1, 1]], rel=0.05)
    assert (row.sigma_velocity_east_mps, row.sigma_velocity_north_mps, row.sigma_climb_mps) == (4.0, 2.0, 1.0)
    found = ellipse(row)
    assert found is not None
    half_axes = np.sqrt(np.linalg.eigvalsh(np.array([[900.0, 300.0], [300.0, 250.0]])))
    assert (found.minor_m, found.major_m) == pytest.approx(half_axes)
    cloud_azimuth = np.degrees(0.5 * np.arctan2(2 * seen[0, 1], seen[1, 1] - seen[0, 0])) % 180.0
    assert found.azimuth_deg == pytest.approx(cloud_azimuth, abs=1.5)


@given(st.floats(0.0, 180.0, exclude_max=True), st.floats(0.5, 5_000.0), st.floats(0.5, 5_000.0))
def test_an_ellipse_is_read_back_from_what_is_published(azimuth_deg: float, one_m: float, other_m: float) -> None:
    major, minor = max(one_m, other_m), min(one_m, other_m)
    along = np.radians(azimuth_deg)
    turn = np.array([[np.sin(along), np.cos(along)], [np.cos(along), -np.sin(along)]])
    cov = turn.T @ np.diag([major**2, minor**2]) @ turn
    row = msgspec.structs.replace(
        ROW, **{name: round(float(cov[at]), 1) for name, at in
                (("var_east_m2", (0, 0)), ("var_north_m2", (1, 1)), ("cov_east_north_m2", (0, 1)))}
    )  # fmt: skip
    check_row(row)
    found = ellipse(row)
    assert found is not None
    assert found.major_m == pytest.approx(major, rel=1e-6, abs=0.15)
    assert found.minor_m == pytest.approx(minor, rel=1e-6, abs=0.25)
    if major**2 - minor**2 > 200.0:
        assert abs((found.azimuth_deg - azimuth_deg + 90.0) % 180.0 - 90.0) < 0.1


def test_who_says_one_sigma_alone_has_no_ellipse() -> None:
    assert ellipse(ROW) is None
    check_row(ROW)


@pytest.mark.parametrize(
    ("east", "north", "both"),
    [(-1.0, 4.0, 0.0), (4.0, 4.0, 5.0), (4.0, 4.0, -5.0), (1e17, 4.0, 0.0), (4.0, 4.0, 1e300)],
)
def test_what_no_covariance_can_be_is_refused(east: float, north: float, both: float) -> None:
    said = track.encode(samples.tracks(), samples.assessment(), 0, samples.NAMES, 1)
    message = {
        **msgspec.json.decode(said), "var_east_m2": east, "var_north_m2": north, "cov_east_north_m2": both
    }  # fmt: skip
    with pytest.raises(Invalid, match="out-of-range"):
        track.told(msgspec.json.encode(message))
