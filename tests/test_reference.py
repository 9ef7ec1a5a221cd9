"""The oracle itself against other mathematics: matrix exponentials, differences, filterpy's own IMM, and statistics."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import block_diag, expm

from fusion import geo
from fusion.filters import params as p
from fusion.filters.reference import ReferenceImm, linearise, motion, transition_probabilities
from fusion.schema import F8, PlotKind

PARAMS = p.ImmParams()
SITES = np.stack([geo.site_row(0.95, 0.40, 80.0), geo.site_row(0.96, 0.42, 230.0)])
LAT, LON, HEIGHT_M = 0.955, 0.405, 3_000.0
ONE_MODEL = replace(PARAMS, start=(1.0, 0.0, 0.0), stay_s=(math.inf,) * 3)


def state(east_mps: float = 60.0, north_mps: float = -80.0, up_mps: float = 2.0) -> F8:
    velocity = geo.enu_axes(LAT, LON)[0].T @ np.array([east_mps, north_mps, up_mps])
    return np.concatenate([geo.ecef(LAT, LON, HEIGHT_M)[0], velocity])


def covariance(seed: int = 1) -> F8:
    root = np.random.default_rng(seed).normal(size=(6, 6)) * np.array([[200.0]] * 3 + [[15.0]] * 3)
    return np.asarray(root @ root.T)


def row(kind: PlotKind, **values: float) -> F8:
    made = np.full(p.ROW, np.nan)
    made[p.M_KIND] = kind
    for name, value in values.items():
        made[getattr(p, f"M_{name.upper()}")] = value
    return made


def radar_row(x: F8, site: int = 0, **more: float) -> F8:
    range_m, azimuth, elevation = geo.polar_1(SITES[site], x[0], x[1], x[2])
    given = {"a": range_m, "b": azimuth, "c": elevation, "sa": 50.0, "sb": 0.002, "sc": 0.004, "site": float(site)}
    return row(PlotKind.POLAR, **(given | more))


# ---- motion


@pytest.mark.parametrize("model", range(p.MODELS))
@pytest.mark.parametrize("dt_s", [0.3, 4.0, 60.0])
def test_motion_is_the_solution_of_its_differential_equation(model: int, dt_s: float) -> None:
    """Van Loan (1978): transition and noise of dx = A x dt + G dw out of one matrix exponential."""
    x = state()
    lat, lon, _ = geo.geodetic_1(x[0], x[1], x[2])
    axes = geo.enu_axes(lat, lon)[0]
    decay = 0.0 if math.isinf(PARAMS.tau_s[model]) else 1.0 / PARAMS.tau_s[model]
    a = np.block([[np.zeros((3, 3)), np.eye(3)], [np.zeros((3, 3)), -decay * np.eye(3)]])
    spectral = axes.T @ np.diag([PARAMS.q_horizontal[model]] * 2 + [PARAMS.q_vertical[model]]) @ axes
    noise = block_diag(np.zeros((3, 3)), spectral)
    exponential = expm(np.block([[-a, noise], [np.zeros((6, 6)), a.T]]) * dt_s)
    expected_f = expm(a * dt_s)  # the large matrix's own rounding reaches 2e-12 in this block
    expected_q = expected_f @ exponential[:6, 6:]
    f, q = motion(PARAMS, model, dt_s, x)
    assert np.allclose(f, expected_f, rtol=1e-12, atol=1e-12)
    assert np.allclose(exponential[6:, 6:].T, expected_f, rtol=1e-12, atol=1e-11), "both oracles are the same motion"
    # 5e-6: the noise's vertical is the approximate normal, 2e-6 rad off at this height
    assert np.allclose(q, expected_q, rtol=1e-9, atol=5e-6 * expected_q.max())
    assert np.linalg.eigvalsh(q).min() > 0.0


def test_horizontal_noise_has_no_vertical_part() -> None:
    still = replace(PARAMS, q_vertical=(0.0, 0.0, 0.0))
    x = state()
    _, q = motion(still, p.MANOEUVRE, 5.0, x)
    up = np.array(geo.up_1(x[0], x[1], x[2]))
    assert abs(up @ q[:3, :3] @ up) < 1e-10 * q.max()


def test_mode_transitions_are_probabilities_that_start_from_staying() -> None:
    assert np.array_equal(transition_probabilities(PARAMS, 0.0), np.eye(3))
    for dt_s in (0.1, 5.0, 1e6):
        m = transition_probabilities(PARAMS, dt_s)
        assert np.allclose(m.sum(axis=1), 1.0, atol=1e-15)
        assert (m >= 0.0).all()
    assert np.diag(transition_probabilities(PARAMS, 20.0)) == pytest.approx(np.exp([-20.0 / s for s in PARAMS.stay_s]))


# ---- linearisation


def predicted(measured: F8, x: F8) -> F8:
    """Innovations by the row's definition, through geo alone, in the order of params.py."""
    if measured[p.M_KIND] == PlotKind.POSITION:
        height = geo.geodetic_1(x[0], x[1], x[2])[2]
        known = not math.isnan(measured[p.M_C])
        there = geo.ecef(measured[p.M_A], measured[p.M_B], measured[p.M_C] if known else height)[0]
        axes = geo.enu_axes(measured[p.M_A], measured[p.M_B])[0]
        miss = axes @ (there - x[:3])
        slower = measured[p.M_VE : p.M_VU + 1] - axes @ x[3:]
        return np.concatenate([miss[: 3 if known else 2], slower[~np.isnan(slower)]])
    range_m, azimuth, elevation = geo.polar_1(SITES[int(measured[p.M_SITE])], x[0], x[1], x[2])
    height = geo.geodetic_1(x[0], x[1], x[2])[2]
    of = measured[[p.M_A, p.M_B, p.M_C, p.M_H]] - np.array([range_m, azimuth, elevation, height])
    of[1] = math.remainder(of[1], 2 * math.pi)
    return np.asarray(of[~np.isnan(of)])


ROWS = {
    "radar 3d with pressure height": radar_row(state(), h=3_100.0, sh=100.0),
    "radar 3d": radar_row(state()),
    "radar 2d": radar_row(state(), c=math.nan),
    "radar 2d with pressure height": radar_row(state(), site=1, c=math.nan, h=2_900.0, sh=100.0),
    "bearing": row(PlotKind.BEARING, b=0.3, sb=0.02, site=1.0),
    "bearing with elevation": row(PlotKind.BEARING, b=0.3, sb=0.02, c=0.05, sc=0.02, site=0.0),
    "position with height and velocity": row(
        PlotKind.POSITION, a=LAT, b=LON, c=3_050.0, sa=15.0, sc=20.0, ve=61.0, vn=-79.0, vu=1.0, sv=1.0
    ),
    "position with horizontal velocity": row(PlotKind.POSITION, a=LAT, b=LON, sa=15.0, ve=61.0, vn=-79.0, sv=1.0),
    "position": row(PlotKind.POSITION, a=LAT + 1e-5, b=LON, sa=15.0),
}
COMPONENTS = [4, 3, 2, 3, 1, 2, 6, 4, 2]


@pytest.mark.parametrize("name, components", list(zip(ROWS, COMPONENTS, strict=True)))
def test_innovation_and_jacobian_are_those_of_the_definition(name: str, components: int) -> None:
    measured, x = ROWS[name], state()
    x[:3] += [150.0, -90.0, 60.0]
    jacobian, innovation, noise = linearise(measured, SITES, x)
    assert jacobian.shape == (components, 6)
    assert innovation == pytest.approx(predicted(measured, x), abs=1e-9)
    assert noise.shape == (components, components)
    for k in range(6):
        step = np.zeros(6)
        step[k] = 20.0 if k < 3 else 1.0
        slope = (predicted(measured, x - step) - predicted(measured, x + step)) / (2 * step[k])
        assert jacobian[:, k] == pytest.approx(slope, rel=1e-4, abs=2e-8)  # differences of 6e6 m end at 1e-10


def test_noise_is_the_square_of_the_declared_sigmas_in_order() -> None:
    _, _, noise = linearise(ROWS["radar 3d with pressure height"], SITES, state())
    assert np.array_equal(noise, np.diag([50.0**2, 0.002**2, 0.004**2, 100.0**2]))
    _, _, noise = linearise(ROWS["position with height and velocity"], SITES, state())
    assert np.array_equal(noise, np.diag([15.0**2, 15.0**2, 20.0**2, 1.0, 1.0, 1.0]))


def test_azimuth_wraps_at_north() -> None:
    north = np.concatenate([geo.ecef_from_polar(SITES[0], 50_000.0, 2 * math.pi - 0.001, 0.02)[0], np.zeros(3)])
    _, innovation, _ = linearise(radar_row(north, b=0.001), SITES, north)
    assert innovation[1] == pytest.approx(0.002, abs=1e-9)


def test_straight_above_the_antenna_stays_finite() -> None:
    above = np.concatenate([SITES[0, :3] + 2_000.0 * SITES[0, 9:12], np.zeros(3)])
    imm = ReferenceImm(above, covariance())
    imm.predict(1.0)
    imm.update(radar_row(above, b=1.0), SITES)
    assert np.isfinite(imm.x).all()
    assert np.isfinite(imm.P).all()


# ---- one model, three models


def test_one_certain_model_is_a_kalman_filter() -> None:
    x, cov = state(), covariance()
    imm = ReferenceImm(x, cov, ONE_MODEL)
    f, q = motion(ONE_MODEL, p.CRUISE, 4.0, x)
    x, cov = f @ x, f @ cov @ f.T + q
    imm.predict(4.0)
    assert imm.x == pytest.approx(x, rel=1e-14)
    measured = radar_row(x, a=geo.polar_1(SITES[0], x[0], x[1], x[2])[0] + 70.0)
    jacobian, innovation, noise = linearise(measured, SITES, x)
    information = np.linalg.inv(np.linalg.inv(cov) + jacobian.T @ np.linalg.inv(noise) @ jacobian)
    log_likelihood = imm.update(measured, SITES)
    assert np.allclose(imm.P, information, rtol=1e-7, atol=1e-7 * information.max())
    moved = information @ jacobian.T @ np.linalg.inv(noise) @ innovation
    assert imm.x - x == pytest.approx(moved, abs=1e-6)
    s = jacobian @ cov @ jacobian.T + noise
    density = math.exp(-0.5 * innovation @ np.linalg.solve(s, innovation)) / math.sqrt(np.linalg.det(2 * math.pi * s))
    assert log_likelihood == pytest.approx(math.log(density), abs=1e-7)
    assert imm.mode.tolist() == [1.0, 0.0, 0.0]


def test_three_models_mix_as_filterpys_own_estimator_does() -> None:
    """On a linear problem (position and velocity at one place, noise without a vertical) the two must be one."""
    from filterpy.kalman import IMMEstimator, KalmanFilter

    even = replace(PARAMS, q_vertical=PARAMS.q_horizontal)
    dt_s, x, cov = 5.0, state(2.0, -3.0, 0.0), covariance()
    measured = row(PlotKind.POSITION, a=LAT, b=LON, c=HEIGHT_M, sa=30.0, sc=40.0, ve=0.0, vn=0.0, vu=0.0, sv=8.0)
    jacobian, _, noise = linearise(measured, SITES, x)
    models = []
    for model in range(p.MODELS):
        kf = KalmanFilter(dim_x=6, dim_z=6)
        kf.x, kf.P, kf.H, kf.R = x.copy(), cov.copy(), jacobian, noise
        kf.F, kf.Q = motion(even, model, dt_s, x)
        models.append(kf)
    peer = IMMEstimator(models, np.array(even.start), transition_probabilities(even, dt_s))
    imm = ReferenceImm(x, cov, even)
    axes = geo.enu_axes(LAT, LON)[0]
    z = np.concatenate([axes @ geo.ecef(LAT, LON, HEIGHT_M)[0], [0.0, 0.0, 0.0]])
    for _ in range(6):
        peer.predict()
        imm.predict(dt_s)
        peer.update(z)
        imm.update(measured, SITES)
        assert imm.mode == pytest.approx(peer.mu, abs=1e-7)
        assert imm.x == pytest.approx(peer.x, abs=1e-5)
        assert np.allclose(imm.P, peer.P, rtol=1e-7, atol=1e-7 * peer.P.max())
        assert imm.xs == pytest.approx(np.array([m.x for m in models]), abs=1e-5)
    assert imm.mode.max() < 0.999  # the mixture was one to the end


def test_a_new_filter_has_all_models_alike_and_the_start_probabilities() -> None:
    imm = ReferenceImm(state(), covariance())
    assert imm.mode.tolist() == list(PARAMS.start)
    assert np.array_equal(imm.xs, np.stack([state()] * 3))
    assert imm.x == pytest.approx(state(), rel=1e-15)
    assert np.allclose(imm.P, covariance(), rtol=1e-12)


def test_predicting_by_nothing_changes_nothing() -> None:
    """One model kept at probability zero: with dt = 0 nothing flows into it, and it must not become NaN."""
    imm = ReferenceImm(state(), covariance(), replace(PARAMS, start=(0.6, 0.4, 0.0)))
    imm.predict(0.0)
    assert imm.mode.tolist() == [0.6, 0.4, 0.0]
    assert np.isfinite(imm.Ps).all()
    assert np.allclose(imm.P, covariance(), rtol=1e-12)


@pytest.mark.parametrize("dt_s", [-0.1, math.nan, math.inf])
def test_time_runs_forward(dt_s: float) -> None:
    with pytest.raises(ValueError, match="cannot predict"):
        ReferenceImm(state(), covariance()).predict(dt_s)


def fly(imm: ReferenceImm, velocity: F8, turn_rad_s: float, decay_s: float) -> None:
    """Feed 30 position plots, one each 2 s, of an object that turns or slows down; no noise."""
    x = state(*velocity)
    up = np.array(geo.up_1(x[0], x[1], x[2]))
    place, v = x[:3].copy(), x[3:].copy()
    for _ in range(30):
        for _ in range(20):
            v += 0.1 * (turn_rad_s * np.cross(up, v) - v / decay_s)
            place += 0.1 * v
        lat, lon, height = geo.geodetic_1(*place)
        imm.predict(2.0)
        imm.update(row(PlotKind.POSITION, a=lat, b=lon, c=height, sa=10.0, sc=10.0), SITES)


def test_the_models_recognise_what_they_model() -> None:
    wide = block_diag(np.eye(3) * 100.0, np.eye(3) * 25.0)
    modes = {}
    for name, velocity, turn, decay in (
        ("cruise", (200.0, 0.0, 0.0), 0.0, math.inf),
        ("turn", (200.0, 0.0, 0.0), 0.06, math.inf),
        ("hover", (3.0, 0.0, 0.0), 0.0, 5.0),
    ):
        imm = ReferenceImm(state(*velocity), wide)
        fly(imm, np.array(velocity), turn, decay)
        modes[name] = imm.mode
    assert modes["cruise"].argmax() == p.CRUISE
    assert modes["turn"].argmax() == p.MANOEUVRE
    assert modes["hover"][p.SLOW] > modes["cruise"][p.SLOW]


def test_declared_uncertainty_is_the_real_one() -> None:
    """Truth drawn from the cruise model, radar noise as declared: the normalised error must average 6.

    40 flights of 12 plots; the flights are independent, so their mean error is chi-square of 240 degrees over 40, whose
    0.1 % and 99.9 % points are 4.45 and 7.86.
    """
    rng = np.random.default_rng(11)
    spread = block_diag(np.eye(3) * 100.0**2, np.eye(3) * 20.0**2)
    last = []
    for _ in range(40):
        start = state()
        truth = start + rng.multivariate_normal(np.zeros(6), spread)
        imm = ReferenceImm(start, spread, ONE_MODEL)
        for _ in range(12):
            f, q = motion(ONE_MODEL, p.CRUISE, 4.0, truth)
            truth = f @ truth + rng.multivariate_normal(np.zeros(6), q, method="cholesky")
            clean = radar_row(truth)
            clean[[p.M_A, p.M_B, p.M_C]] += rng.normal(size=3) * clean[[p.M_SA, p.M_SB, p.M_SC]]
            imm.predict(4.0)
            imm.update(clean, SITES)
        miss = imm.x - truth
        last.append(float(miss @ np.linalg.solve(imm.P, miss)))
    assert 4.45 < np.mean(last) < 7.86
