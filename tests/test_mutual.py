"""Radars are aligned to each other without ADS-B: they stand apart, so the sky tells what each has wrong; what it does
not tell stays unsure, and an anchor is passed on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fusion.bias.chains import COUPLE, Q_A, Q_B, Q_CHAIN, Q_COUPLE, Q_G, Q_H, Q_R, Q_T, Q_VH, Q_Y
from fusion.bias.mutual import (
    LEAST_PAIRS,
    PARTNERS,
    PRIOR_AZIMUTH_RAD,
    PRIOR_RANGE_M,
    RADARS_MOST,
    AlignmentLimits,
    Mutual,
    align_1,
)
from fusion.bias.sensorbias import SensorBias
from fusion.geo import ecef_from_polar, geodetic, polar, site_table
from fusion.registration import RegistrationParams
from tests.biased import T0_US, Radar, Run, Sky, radar
from tests.test_registration import OFF, tracked, tracks_near

DEG = np.pi / 180


def pair_of_radars() -> list[Radar]:
    """Two radars that overlap, wrong by 600 m and a degree against each other."""
    return [
        radar(0, 54.95, 23.9, 5.0, 3, range_m=300.0, azimuth_deg=0.5, clutter=20.0),
        radar(1, 54.3, 23.2, 6.0, 3, range_m=-300.0, azimuth_deg=-0.5, clutter=20.0),
    ]


def apart_m(sky: Sky, radars: list[Radar], biases: tuple[SensorBias, ...] | None) -> np.ndarray:
    """How far apart two radars put each aircraft that both see, with these biases taken off; (n,) without noise."""
    places = []
    sites = site_table([one.spec for one in radars])
    near = np.ones(sky.n, np.bool_)
    for site, radar_, k in zip(sites, radars, [one.spec.index for one in radars], strict=True):
        r, azimuth, elevation = polar(site, sky.x0[: sky.n])
        near &= (r < 150_000.0) & (r > 20_000.0)
        known = biases[k] if biases else None
        off_m, off_rad = (known.range_m, known.azimuth_rad) if known and known.applied else (0.0, 0.0)
        r, azimuth = r + radar_.range_m - off_m, azimuth + radar_.azimuth_deg * DEG - off_rad
        places.append(ecef_from_polar(site, r, azimuth, elevation))
    return np.asarray(np.linalg.norm(places[0] - places[1], axis=1)[near])


UNSEEN = (1405, 1406, 1407, 1408)  # skies that no choice of a number has looked at


@pytest.mark.parametrize("seed", UNSEEN)
def test_two_radars_without_adsb_agree_within_a_minute_and_with_the_truth(seed: int) -> None:
    """They stand 85 km apart: turned by the same angle they would see two skies, 740 m apart for half a degree."""
    for second in ({"range_m": -300.0, "azimuth_deg": -0.5}, {"range_m": 300.0, "azimuth_deg": 0.5}, {}):
        first, other = pair_of_radars()
        radars = [first, radar(1, 54.3, 23.2, 6.0, 3, clutter=20.0, **second)]
        assert other.spec == radars[1].spec
        sky = Sky(n=60, claims=False, seed=seed)
        biases = Run(sky, radars, 75.0).through()
        before, after = apart_m(sky, radars, None), apart_m(sky, radars, biases)
        assert np.median(before) > 300.0
        assert np.median(after) < 120.0 and np.percentile(after, 95) < 300.0, after
        assert biases[0].applied
        for bias, true in zip(biases, radars, strict=True):
            assert bias.state == "ok" and bias.believed, bias
            assert "no ADS-B anchors them" in bias.detail and "only" not in bias.detail
            assert abs(bias.azimuth_rad - true.azimuth_deg * DEG) < min(0.05 * DEG, 3.5 * bias.sigma_azimuth_rad)
            assert abs(bias.range_m - true.range_m) < min(120.0, 3.5 * bias.sigma_range_m)


@pytest.mark.parametrize("seed", UNSEEN)
def test_of_two_radars_side_by_side_only_the_difference_is_known(seed: int) -> None:
    """On one hill, both turned by half a degree and one by as much again: their tracks become one, in a place that is
    said not to be sure."""
    radars = [
        radar(0, 54.95, 23.9, 5.0, 3, range_m=200.0, azimuth_deg=0.5, clutter=20.0),
        radar(1, 54.955, 23.905, 6.0, 3, range_m=-100.0, azimuth_deg=1.0, clutter=20.0),
    ]
    sky = Sky(n=60, claims=False, seed=seed)
    biases = Run(sky, radars, 75.0).through()
    assert np.median(apart_m(sky, radars, biases)) < 120.0 < np.median(apart_m(sky, radars, None))
    assert abs(biases[1].azimuth_rad - biases[0].azimuth_rad - 0.5 * DEG) < 0.05 * DEG
    assert abs(biases[1].range_m - biases[0].range_m + 300.0) < 60.0
    for bias, true in zip(biases, radars, strict=True):
        assert bias.state == "relative" and "known against each other only" in bias.detail
        assert bias.sigma_range_m > 50.0 or bias.sigma_azimuth_rad > 0.1 * DEG, "the difference is not each"
        assert abs(bias.azimuth_rad - true.azimuth_deg * DEG) < 3.5 * bias.sigma_azimuth_rad
        assert abs(bias.range_m - true.range_m) < 3.5 * bias.sigma_range_m


def test_sigmas_are_those_of_the_errors() -> None:
    """Over unseen skies, few and many aircraft, two and three dimensions: squares of error over sigma."""
    scores = []
    for seed in range(1311, 1323):
        dims, n = 2 + seed % 2, (20, 60)[seed // 2 % 2]
        radars = [
            radar(0, 54.95, 23.9, 5.0, dims, range_m=250.0, azimuth_deg=0.4, clutter=20.0),
            radar(1, 54.3, 23.2, 6.0, dims, range_m=100.0, azimuth_deg=-0.3, clutter=20.0),
        ]
        for bias, true in zip(Run(Sky(n=n, claims=False, seed=seed), radars, 75.0).through(), radars, strict=True):
            scores.append([(bias.range_m - true.range_m) / bias.sigma_range_m, 0.0])
            scores[-1][1] = (bias.azimuth_rad - true.azimuth_deg * DEG) / bias.sigma_azimuth_rad
    mean = (np.array(scores) ** 2).mean(axis=0)
    assert (mean > 0.2).all() and (mean < 2.0).all(), mean


@pytest.mark.parametrize("dims", [2, 3])
def test_right_radars_without_adsb_are_left_alone(dims: int) -> None:
    for seed in range(3):
        radars = [radar(0, 54.95, 23.9, 5.0, dims, clutter=20.0), radar(1, 54.3, 23.2, 6.0, dims, clutter=20.0)]
        for bias in Run(Sky(n=60, claims=False, seed=seed), radars, 75.0).through():
            assert not bias.applied, bias
            assert bias.believed
            assert bias.pairs >= LEAST_PAIRS, "compared, and found right"


def test_flat_radars_are_aligned_too() -> None:
    """Nobody measures a height: it is integrated out, and far traffic tells."""
    sky = Sky(n=80, claims=False)
    radars = [
        radar(0, 54.95, 23.9, 5.0, 2, range_m=300.0, azimuth_deg=0.5, clutter=20.0),
        radar(1, 54.3, 23.2, 6.0, 2, range_m=-300.0, azimuth_deg=-0.5, clutter=20.0),
    ]
    biases = Run(sky, radars, 90.0).through()
    assert np.median(apart_m(sky, radars, biases)) < 250.0


def test_tracks_of_one_aircraft_are_one_without_any_adsb() -> None:
    def picture(params: RegistrationParams) -> np.ndarray:
        sky = Sky(n=30, silent=0.0, claims=False, extent_m=120_000.0, seed=3)
        return tracks_near(tracked(sky, pair_of_radars(), 90.0, params), sky, 90.0, 4_000.0)[0]

    doubled, one = picture(OFF), picture(RegistrationParams())
    assert doubled.mean() > 1.5, doubled
    assert (one == 1).mean() > 0.9 and one.mean() < 1.1, one


def test_a_pair_beside_an_anchored_radar_is_anchored_through_it() -> None:
    sky = Sky(n=140, silent=0.0, centre=(54.8, 24.5), extent_m=300_000.0)
    _, lon, _ = geodetic(sky.x0)
    sky.talks &= lon < 22.3 * DEG  # all that talk are beyond the reach of the two
    radars = [radar(0, 54.6, 22.6, 6.0, 3, range_m=150.0, azimuth_deg=-0.3, clutter=20.0)]
    for index, lat, lon_deg, range_m, azimuth_deg in ((1, 54.5, 25.6, 300.0, 0.5), (2, 55.2, 26.2, -250.0, -0.4)):
        one = radar(index, lat, lon_deg, 5.0, 3, range_m=range_m, azimuth_deg=azimuth_deg, clutter=20.0)
        radars.append(replace(one, spec=replace(one.spec, range_max_m=190_000.0)))
    biases = Run(sky, radars, 120.0).through()
    assert biases[0].state == "ok" and "other radars" not in biases[0].detail
    for bias, true in zip(biases[1:], radars[1:], strict=True):
        assert "one of which ADS-B anchors" in bias.detail and bias.applied
        assert bias.sigma_azimuth_rad < 0.1 * DEG, bias
        assert abs(bias.azimuth_rad - true.azimuth_deg * DEG) < max(3.5 * bias.sigma_azimuth_rad, 0.02 * DEG)
        assert abs(bias.range_m - true.range_m) < max(3.5 * bias.sigma_range_m, 30.0)


def test_a_radar_that_falls_silent_keeps_its_alignment_and_tells_its_age() -> None:
    radars = [*pair_of_radars(), radar(2, 54.2, 24.6, 5.0, 3, range_m=100.0, azimuth_deg=0.3, clutter=20.0)]
    run = Run(Sky(n=60, claims=False, seed=9), radars, 300.0)
    before: SensorBias | None = None
    for t_s, plots in run.ticks():
        heard = plots[plots["sensor"] != 0] if t_s > 75.0 else plots
        run.registration.observe(heard, T0_US + round(t_s * 1e6))
        if t_s == 75.0:
            before = run.report()[0]
    after = run.report()[0]
    assert before is not None and before.applied and after.applied
    assert "s ago" not in before.detail
    assert int(after.detail.split(" s ago")[0].rsplit(" ", 1)[1]) > 200
    assert after.sigma_azimuth_rad > before.sigma_azimuth_rad


def test_a_radar_whose_neighbours_have_nearer_ones_is_aligned_all_the_same() -> None:
    crowd = [radar(k, 54.5 + 0.05 * (k % 3), 23.5 + 0.08 * (k // 3), 5.0, 3) for k in range(PARTNERS + 1)]
    last = radar(PARTNERS + 1, 55.2, 24.9, 5.0, 3)
    specs = [r.spec for r in (*crowd, last)]
    mutual = Mutual(specs, site_table(specs))
    chosen = mutual._partners[PARTNERS + 1]
    assert len(chosen) == PARTNERS
    assert all(PARTNERS + 1 in mutual._partners[k] for k in chosen)


def test_what_is_left_out_is_counted() -> None:
    """More radars than are aligned, more plots than a turn looks at, more pairs than are kept."""
    many = [radar(k, 54.5 + 0.05 * (k % 3), 23.5 + 0.08 * (k // 3), 5.0, 3) for k in range(RADARS_MOST + 2)]
    crowded = Mutual([r.spec for r in many], site_table([r.spec for r in many])).limits
    assert crowded.radars == 2
    whole, compared = RADARS_MOST * (RADARS_MOST - 1) // 2, RADARS_MOST * PARTNERS
    assert whole - compared <= crowded.couples <= whole - compared // 2, "each is compared with six, by its own choice"

    def limits(n: int, clutter: float, until_s: float) -> AlignmentLimits:
        first, other = pair_of_radars()
        radars = [replace(first, clutter=clutter), other]
        run = Run(Sky(n=n, claims=False), radars, until_s)
        run.through()
        return run.registration.limits

    assert limits(20, 20.0, 30.0) == AlignmentLimits()
    cluttered, crowded = limits(20, 2_000.0, 30.0), limits(250, 20.0, 90.0)
    assert cluttered.plots > 0 and cluttered.unchained > 0
    assert crowded.pairs > 0
    assert cluttered.radars == cluttered.couples == crowded.plots == 0


def test_a_snapshot_goes_on_to_the_bit() -> None:
    def run(cut_s: float) -> str:
        one, other = (Run(Sky(n=30, claims=False), pair_of_radars(), 60.0) for _ in range(2))
        for t_s, plots in one.ticks():
            if t_s == cut_s:
                other.registration.restore(one.registration.snapshot())
                one.registration = other.registration
            one.registration.observe(plots, 1_795_414_500_000_000 + round(t_s * 1e6))
        return repr(one.report())

    assert run(30.5) == run(-1.0)


def made(luck: np.random.Generator, count: int) -> np.ndarray:
    """Pairs of three radars, of couples of eight, with heights that nobody knows."""
    q = np.zeros((count, COUPLE))
    q[:, Q_T] = np.arange(count) * 1e5
    q[:, Q_A], q[:, Q_B] = np.arange(count) // 8 % 2, 2
    q[:, Q_CHAIN] = q[:, Q_COUPLE] = np.arange(count) // 8
    q[:, Q_H : Q_H + 4] = luck.normal(0.0, 1.0, (count, 4)) * [0.7, 5e4, 7e-6, 0.7]
    q[:, Q_R], q[:, Q_R + 1], q[:, Q_R + 2] = 100.0**2, 0.02, 0.003**2
    q[:, Q_G : Q_G + 2], q[:, Q_VH] = luck.normal(0.0, 1.0, (count, 2)) * [0.05, 1e-7], 3_000.0**2
    return q


def test_the_fit_is_least_squares_with_a_prior_and_unknown_heights() -> None:
    luck = np.random.default_rng(5)
    q, true = made(luck, 240), np.array([150.0, 0.004, -200.0, -0.003, 60.0, 0.002])
    n, couples = len(q), 30
    h = np.zeros((2 * n, 6 + couples))
    y, weight = np.zeros(2 * n), np.zeros((2 * n, 2 * n))
    height = luck.normal(0.0, 1_000.0, couples)
    for i, row in enumerate(q):
        a, at = int(row[Q_A]), slice(2 * i, 2 * i + 2)
        h[at, 2 * a : 2 * a + 2] = row[Q_H : Q_H + 4].reshape(2, 2)
        h[at, 4:6] = np.eye(2)
        h[at, 6 + i // 8] = row[Q_G : Q_G + 2]
        noise = np.array([[row[Q_R], row[Q_R + 1]], [row[Q_R + 1], row[Q_R + 2]]])
        weight[at, at] = np.linalg.inv(noise)
        y[at] = h[at, :6] @ true + row[Q_G : Q_G + 2] * height[i // 8] + 0.3 * luck.multivariate_normal([0, 0], noise)
        q[i, Q_Y : Q_Y + 2] = y[at]
    prior = np.tile([PRIOR_RANGE_M**-2, PRIOR_AZIMUTH_RAD**-2], 3)
    inverse = h.T @ weight @ h + np.diag(np.concatenate([prior, np.full(couples, 3_000.0**-2)]))
    expected = np.linalg.solve(inverse, h.T @ weight @ y)[:6]
    sigma = np.sqrt(np.diag(np.linalg.inv(inverse))[:6])
    x, cov, noise_x, told = np.zeros(6), np.empty((6, 6)), np.empty(6), np.empty((3, 2))
    align_1(q, -np.inf, np.arange(3), np.zeros(6), np.diag(prior), x, cov, noise_x, told)
    assert (np.abs(x - expected) < 0.3 * sigma).all(), (x, expected, sigma)  # weights differ a little from one
    assert np.allclose(np.sqrt(np.diag(cov)), sigma, rtol=0.25)
    assert (noise_x <= np.diag(cov)).all() and (noise_x > 0.0).all()
    assert told.tolist() == [[120.0, 15.0], [120.0, 15.0], [240.0, 30.0]]
