"""The compiled filter against its oracle on filterpy, step by step, and against what must hold of any filter."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.filters.imm import Imm, glance_1, predict_1, update_1
from fusion.filters.measure import anchor_1
from fusion.filters.models import STATE, WORK, motion_1
from fusion.filters.params import (
    M_A,
    M_B,
    M_C,
    M_H,
    M_KIND,
    M_RATE,
    M_SA,
    M_SB,
    M_SC,
    M_SH,
    M_SITE,
    M_SRATE,
    M_SV,
    M_VE,
    M_VN,
    M_VU,
    MODELS,
    ROW,
    ImmParams,
)
from fusion.filters.reference import ReferenceImm
from fusion.geo import ecef, enu_axes, geodetic, polar, site_table
from fusion.schema import F8, PlotKind, SensorKind, SensorSpec

PLACES = {
    "vilnius": (54.7, 25.3),
    "equator-dateline": (0.1, 179.9),
    "south": (-54.8, -68.3),
    "arctic": (78.2, 15.6),
}


def _site(lat_deg: float, lon_deg: float) -> F8:
    spec = SensorSpec("R", 0, SensorKind.RADAR_3D, np.radians(lat_deg), np.radians(lon_deg), 120.0)
    return site_table([spec])


def _row(kind: str, x: F8, sites: F8, rng: np.random.Generator) -> F8:
    row = np.full(ROW, np.nan)
    lat, lon, height = (float(v[0]) for v in geodetic(x[None, :3]))
    axes = enu_axes(np.array([lat]), np.array([lon]))[0]
    if kind.startswith("position"):
        row[[M_KIND, M_A, M_B, M_SA, M_SITE]] = PlotKind.POSITION, lat + rng.normal() * 3e-6, lon, 25.0, -1
        if "height" in kind:
            row[[M_C, M_SC]] = height + rng.normal() * 20, 20.0
        if "velocity" in kind:
            row[[M_VE, M_VN, M_VU]] = axes @ x[3:] + rng.normal(size=3)
            row[M_SV] = 1.5
        return row
    r, az, el = (float(v[0]) for v in polar(sites[0], x[None, :3]))
    row[[M_KIND, M_B, M_SB, M_SITE]] = PlotKind.BEARING, (az + rng.normal() * 0.002) % (2 * np.pi), 0.002, 0
    if kind != "bearing":
        row[[M_KIND, M_A, M_SA]] = PlotKind.POLAR, r + rng.normal() * 60, 60.0
    if "el" in kind:
        row[[M_C, M_SC]] = el + rng.normal() * 0.004, 0.004
    if "pressure" in kind:
        row[[M_H, M_SH]] = height + rng.normal() * 80, 100.0
    if "rate" in kind:
        sight = (x[:3] - sites[0, :3]) / r
        row[[M_RATE, M_SRATE]] = sight @ x[3:] + rng.normal() * 1.5, 1.5
    return row


def glance(state: F8, so: int, table: F8, dt_s: float, row: F8, ro: int, sites: F8, w: F8) -> tuple[float, ...]:
    anchor_1(row, ro, w)
    return tuple(glance_1(state, so, table, dt_s, row, ro, sites, w))


KINDS = (
    "position", "position-height", "position-velocity", "position-height-velocity",
    "polar", "polar-el", "polar-pressure", "polar-el-pressure", "bearing",
    "polar-rate", "polar-el-pressure-rate",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_equal_to_the_oracle_at_every_step(kind: str, place: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind) + 100)
    lat, lon = PLACES[place]
    sites = _site(lat, lon)
    axes = enu_axes(np.radians([lat]), np.radians([lon]))[0]
    start = ecef(np.radians([lat + 0.2]), np.radians([lon + 0.3]), np.array([900.0]))[0]
    x = np.append(start, axes.T @ np.array([40.0, -25.0, 1.0]))
    cov = np.diag([150.0**2] * 3 + [30.0**2] * 3)
    ours, oracle = Imm(x, cov, ImmParams()), ReferenceImm(x, cov)
    truth = x.copy()
    for step in range(25):
        dt = float(rng.choice([0.0, 0.3, 1.0, 4.0, 11.0])) if step else 0.0
        truth[:3] += dt * truth[3:]
        row = _row(kind, truth, sites, rng)
        ours.predict(dt)
        oracle.predict(dt)
        assert ours.update(row, sites) == pytest.approx(oracle.update(row, sites), rel=1e-9, abs=1e-7)
        np.testing.assert_allclose(ours.xs, oracle.xs, rtol=1e-9, atol=1e-6)
        for mine, theirs in zip(ours.Ps, oracle.Ps, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-9 * np.abs(theirs).max())
        np.testing.assert_allclose(ours.mode, oracle.mode, rtol=1e-7, atol=1e-12)


def test_innovations_are_gated_by_the_best_model_and_booked_by_the_probable_one() -> None:
    rng = np.random.default_rng(12)
    lat, lon, height = np.radians(54.7), np.radians(25.3), 900.0
    x = np.concatenate([ecef(np.array([lat]), np.array([lon]), np.array([height]))[0], [30.0, -20.0, 10.0]])
    means = x + rng.normal(size=(MODELS, 6)) * 60.0
    covs = np.array([np.diag([spread] * 3 + [25.0] * 3) for spread in (400.0, 8_000.0, 1_600.0)])
    row, sites = _row("position-height", x, _site(54.7, 25.3), rng), _site(54.7, 25.3)
    axes = enu_axes(row[[M_A]], row[[M_B]])[0]
    noise = np.diag(row[[M_SA, M_SA, M_SC]] ** 2)
    there = ecef(row[[M_A]], row[[M_B]], row[[M_C]])[0]
    nis, density = np.empty(MODELS), np.empty(MODELS)
    for j in range(MODELS):
        nu, s = axes @ (there - means[j, :3]), axes @ covs[j, :3, :3] @ axes.T + noise
        nis[j] = nu @ np.linalg.solve(s, nu)
        density[j] = np.exp(-0.5 * nis[j]) / np.sqrt(np.linalg.det(2 * np.pi * s))
    mode = np.array([0.5, 0.2, 0.3])
    triangles = covs[:, *np.triu_indices(6)]
    state = np.concatenate([mode, means.ravel(), triangles.ravel()])
    weight = mode * density
    expected = (np.log(weight.sum()), nis.min(), 3.0, weight @ nis / weight.sum())
    still = Imm(x, covs[0], ImmParams(stay_s=(1e12,) * 3)).table
    assert glance(state, 0, still, 0.0, row, 0, sites, np.empty(WORK)) == pytest.approx(expected, rel=1e-6)
    assert update_1(state, 0, row, 0, sites, np.empty(WORK)) == pytest.approx(expected, rel=1e-6)
    assert state[:MODELS] == pytest.approx(weight / weight.sum(), rel=1e-6)


@pytest.mark.parametrize("kind", ["polar", "polar-el", "polar-pressure", "position-height", "bearing"])
def test_a_glance_sees_what_an_update_says(kind: str) -> None:
    """Exactly so when nothing is mixed: mixing makes one Gaussian of three, which a likelihood does not need."""
    rng, sites = np.random.default_rng(7), _site(54.7, 25.3)
    x = np.append(ecef(np.radians([54.9]), np.radians([25.6]), np.array([900.0]))[0], [40.0, -25.0, 12.0])
    imm = Imm(x, np.diag([150.0**2] * 3 + [30.0**2] * 3), ImmParams(stay_s=(1e12,) * 3))
    for dt_s in (1.0, 4.0, 9.0):
        row = _row(kind, np.append(x[:3] + 80.0, x[3:]), sites, rng)
        before = imm.state.copy()
        seen = glance(imm.state, 0, imm.table, dt_s, row, 0, sites, np.empty(WORK))
        assert (imm.state == before).all()
        imm.predict(dt_s)
        assert update_1(imm.state, 0, row, 0, sites, np.empty(WORK)) == pytest.approx(seen, rel=1e-5)


def test_a_track_across_a_continent_has_no_seam() -> None:
    rng = np.random.default_rng(5)
    lon = np.radians(np.linspace(-9.0, 30.0, 3000))
    lat = np.full_like(lon, np.radians(50.0))
    place = ecef(lat, lon, np.full_like(lon, 11_000.0))
    imm = Imm(np.append(place[0], (place[1] - place[0]) / 4.0), np.diag([1e4] * 3 + [400.0] * 3), ImmParams())
    sites, missed = _site(50.0, 10.0), []
    for k in range(1, len(lon)):
        imm.predict(4.0)
        missed.append(float(np.linalg.norm(imm.combined()[0][:3] - place[k])))
        row = np.full(ROW, np.nan)
        row[[M_KIND, M_A, M_B, M_C, M_SA, M_SC, M_SITE]] = 0, lat[k] + rng.normal() * 2e-6, lon[k], 11_000, 15, 15, -1
        imm.update(row, sites)
    assert np.max(missed[50:]) < 150.0


def test_predicting_in_two_steps_spreads_no_less_and_moves_alike() -> None:
    x, cov = np.array([3.5e6, 1.5e6, 5.1e6, 30.0, -40.0, 10.0]), np.diag([1e4] * 3 + [100.0] * 3)
    sure = ImmParams(stay_s=(1e12, 1e12, 1e12))
    once, twice = Imm(x, cov, sure), Imm(x, cov, sure)
    once.predict(6.0)
    twice.predict(2.0)
    twice.predict(4.0)
    np.testing.assert_allclose(once.xs, twice.xs, rtol=1e-9)
    np.testing.assert_allclose(once.Ps, twice.Ps, rtol=1e-5, atol=1e-2)


def test_slow_noise_is_the_integrated_ornstein_uhlenbeck_process() -> None:
    tau, dt, steps = 20.0, 7.0, 20_000
    fine = dt / steps
    p = np.zeros((2, 2))
    f = np.array([[1.0, fine], [0.0, 1.0 - fine / tau]])
    for _ in range(steps):
        p = f @ p @ f.T
        p[1, 1] += fine
    _, _, s_pp, s_pv, s_vv = motion_1(tau, dt)
    np.testing.assert_allclose([s_pp, s_pv, s_vv], [p[0, 0], p[0, 1], p[1, 1]], rtol=2e-3)


def test_backwards_undoes_the_motion() -> None:
    x, cov = np.array([3.5e6, 1.5e6, 5.1e6, 30.0, -40.0, 10.0]), np.diag([1e4] * 3 + [100.0] * 3)
    imm = Imm(x, cov, ImmParams())
    back = Imm(x, cov, ImmParams())
    back.state = np.empty(STATE)
    predict_1(imm.state, 0, imm.table, -3.0, back.state, 0, np.empty(WORK))
    np.testing.assert_allclose(back.xs, np.repeat([np.append(x[:3] - 3.0 * x[3:], x[3:])], 3, 0), rtol=1e-12)
    assert all(np.linalg.eigvalsh(c).min() > 0.0 for c in back.Ps)
