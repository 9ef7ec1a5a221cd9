"""Registration finds each radar's bias in common traffic, does no harm where there is none, and flags what lies."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.formats import plots as plots_format
from fusion.bias.sensorbias import SensorBias
from fusion.filters.params import M_A, M_B, M_C, M_KIND, M_SA, M_SB, M_SC, M_SV, M_VE
from fusion.geo import ecef_from_range_height, enu_axes, geodetic, site_table
from fusion.kernels import PLOT, Rec
from fusion.registration import Registration, RegistrationParams
from fusion.schema import US_PER_S, PlotKind, SensorKind, SensorSpec
from fusion.tracker import Tracker, TrackerParams
from tests.biased import T0_US, Radar, Run, Sky, batches, radar
from tests.recordings import FOOT_M, NM_M, SAN_LUIS, SAN_LUIS_RADAR, san_luis

DEG = np.pi / 180


def five() -> list[Radar]:
    """Radars of the periods and sigmas that are usual, each wrong in its own way, latencies of 0.2 and 1.3 s mixed."""
    quick, slow = (0.15, 0.25), (1.2, 1.4)
    return [
        radar(0, 54.95, 23.9, 10.0, 3, range_m=300.0, azimuth_deg=0.5, clutter=60.0, latency_s=slow),
        radar(1, 54.12, 22.95, 6.0, 3, range_m=-300.0, azimuth_deg=-0.5, clutter=40.0, latency_s=quick),
        radar(2, 55.75, 22.15, 8.0, 2, range_m=300.0, azimuth_deg=-0.5, clutter=100.0, latency_s=slow),
        radar(3, 53.8, 23.2, 5.0, 2, range_m=-150.0, azimuth_deg=0.3, clutter=20.0, latency_s=quick),
        radar(4, 54.9, 22.95, 4.0, 2, clutter=20.0, latency_s=slow),
    ]


def errors(biases: tuple[SensorBias, ...], radars: list[Radar]) -> tuple[np.ndarray, np.ndarray]:
    """What is left of the biases: metres, degrees, by radar."""
    metres = np.array([b.range_m - r.range_m for b, r in zip(biases, radars, strict=True)])
    degrees = np.array([b.azimuth_rad / DEG - r.azimuth_deg for b, r in zip(biases, radars, strict=True)])
    return metres, degrees


def same_plots(one: Rec, other: Rec) -> bool:
    """To the bit, field by field: what lies between them is nobody's."""
    return all(one[name].tobytes() == other[name].tobytes() for name in one.dtype.names or ())


@pytest.mark.parametrize("seed", [1, 2])
def test_biases_of_several_radars_are_found_within_a_minute(seed: int) -> None:
    radars = five()
    biases = Run(Sky(n=80, silent=0.5, seed=seed), radars, 60.0).through()
    metres, degrees = errors(biases, radars)
    assert np.abs(metres).max() < 30.0, metres
    assert np.abs(degrees).max() < 0.05, degrees
    assert [b.state for b in biases] == ["ok"] * 5
    assert [b.applied for b in biases] == [True] * 4 + [False]


def test_a_bias_is_taken_off_before_the_third_scan() -> None:
    radars = five()
    applied_s: dict[str, float] = {}

    def look(t_s: float, biases: tuple[SensorBias, ...]) -> None:
        for bias in biases:
            if bias.applied:
                applied_s.setdefault(bias.sensor, t_s)

    Run(Sky(n=80), radars, 30.0).through(look)
    for one in radars[:4]:
        assert applied_s[one.spec.id] < 2.0 * one.spec.period_s + 4.0


def test_gain_clock_and_elevation_are_found_with_an_honest_sigma() -> None:
    wrong = {"range_m": 200.0, "gain": 5e-4, "azimuth_deg": 0.3, "elevation_deg": 0.3, "time_s": 0.5}
    radars = [radar(0, 54.5, 23.5, 5.0, 3, **wrong), radar(1, 54.9, 22.9, 4.0, 3, **wrong)]
    for bias in Run(Sky(n=80, silent=0.3), radars, 120.0).through():
        assert abs(bias.range_gain - 5e-4) < 3.5 * bias.sigma_range_gain < 5e-4
        assert abs(bias.time_s - 0.5) < 3.5 * bias.sigma_time_s < 0.2
        assert abs(bias.elevation_rad - 0.3 * DEG) < 3.5 * bias.sigma_elevation_rad < 0.1 * DEG
        assert abs(bias.range_m - 200.0) < 3.5 * bias.sigma_range_m < 60.0
        assert "elevation" in bias.detail and "time" in bias.detail


def test_sigmas_are_those_of_the_errors() -> None:
    """Over seeds the errors in units of their sigma are about one in the mean square, whatever is free or held."""
    found: list[list[float]] = []
    for seed in range(6):
        radars = [radar(0, 54.9, 23.9, 10.0, 3), radar(1, 54.5, 23.0, 4.0, 3), radar(2, 54.0, 23.4, 6.0, 3)]
        for b in Run(Sky(n=24, seed=seed, extent_m=150_000.0), radars, 50.0).through():
            found.append(
                [
                    b.range_m / b.sigma_range_m,
                    b.azimuth_rad / b.sigma_azimuth_rad,
                    b.elevation_rad / b.sigma_elevation_rad,
                    b.time_s / b.sigma_time_s,
                    b.range_gain / b.sigma_range_gain,
                ]
            )
    rms = np.sqrt(np.mean(np.array(found) ** 2, axis=0))
    assert (rms > 0.4).all() and (rms < 1.5).all(), rms


@pytest.mark.parametrize(
    "sky", [Sky(n=60), Sky(n=3, silent=0.0, extent_m=100_000.0), Sky(n=60, ghosts=40, degraded=0.3)]
)
def test_without_a_bias_no_plot_is_changed(sky: Sky) -> None:
    run = Run(sky, [radar(0, 54.95, 23.9, 10.0, 3), radar(1, 54.5, 23.0, 5.0)], 90.0)
    for t_s, plots in run.ticks():
        before = plots.copy()
        run.registration.observe(plots, T0_US + round(t_s * US_PER_S))
        assert len(run.registration.correct(plots)) == 0
        assert same_plots(plots, before)
    for bias in run.report():
        assert bias.state == "ok" and bias.believed and not bias.applied
        assert abs(bias.range_m) < 3.5 * bias.sigma_range_m and abs(bias.azimuth_rad) < 3.5 * bias.sigma_azimuth_rad


def test_a_radar_alone_without_adsb_is_left_as_it_is() -> None:
    run = Run(Sky(n=60, claims=False), five()[:1], 60.0)
    biases = run.through()
    assert {b.state for b in biases} == {"no-common-traffic"}
    assert not any(b.applied for b in biases) and all(b.believed for b in biases)
    assert all(np.isnan(b.range_m) for b in biases)


def test_one_aircraft_is_enough_in_time() -> None:
    one = radar(0, 54.6, 23.7, 4.0, 2, range_m=300.0, azimuth_deg=0.5)
    (bias,) = Run(Sky(n=1, silent=0.0, degraded=0.0, extent_m=60_000.0), [one], 60.0).through()
    assert bias.aircraft == 1 and bias.applied
    assert abs(bias.range_m - 300.0) < 3.0 * bias.sigma_range_m < 150.0
    assert abs(bias.azimuth_rad / DEG - 0.5) < 3.0 * bias.sigma_azimuth_rad / DEG < 0.3


def test_ghosts_degraded_claims_and_shared_addresses_do_not_mislead() -> None:
    radars = five()[:3]
    biases = Run(Sky(n=80, ghosts=60, degraded=0.3, shared=8), radars, 60.0).through()
    metres, degrees = errors(biases, radars)
    assert np.abs(metres).max() < 30.0 and np.abs(degrees).max() < 0.05, (metres, degrees)


def test_known_addresses_of_a_mode_s_radar_serve_too() -> None:
    one = radar(0, 54.6, 23.7, 4.0, 2, range_m=300.0, azimuth_deg=0.5, mode_s=True)
    (bias,) = Run(Sky(n=20), [one], 40.0).through()
    assert abs(bias.range_m - 300.0) < 30.0 and abs(bias.azimuth_rad / DEG - 0.5) < 0.05


@pytest.mark.parametrize("azimuth_deg", [0.65, -0.4, 3.0])
def test_a_bias_that_changes_is_followed(azimuth_deg: float) -> None:
    changed = radar(0, 54.6, 23.7, 5.0, azimuth_deg=0.5, range_m=200.0, changes={60.0: {"azimuth_deg": azimuth_deg}})
    (bias,) = Run(Sky(n=60), [changed], 105.0).through()
    assert abs(bias.azimuth_rad / DEG - azimuth_deg) < 0.05
    assert abs(bias.range_m - 200.0) < 30.0
    assert bias.believed


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "north": ({"north_deg": (90.0, 60.0, 100.0)}, r"turned by \+(89|90|91) deg"),
    "north a little": ({"north_deg": (-10.0, 60.0, 100.0)}, r"turned by -(9|10|11) deg"),
    "clock ahead": ({"clock_s": (5.0, 60.0, 100.0)}, r"clock ahead by about [3-7]\."),
    "clock behind": ({"clock_s": (-5.0, 60.0, 100.0)}, r"clock behind by about [3-7]\."),
    "frozen": ({"frozen_s": (60.0, 100.0)}, "repeats its plots"),
}


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_is_flagged_with_words_within_two_scans_and_forgiven_when_it_is_over(name: str) -> None:
    wrong, words = FAULTS[name]
    period_s = 5.0
    radars = [radar(0, 54.95, 23.9, period_s, 3, range_m=200.0, azimuth_deg=0.4, **wrong), radar(1, 54.5, 23.0, 6.0)]
    seen: list[tuple[float, bool, str]] = []

    def look(t_s: float, biases: tuple[SensorBias, ...]) -> None:
        seen.append((t_s, biases[0].believed, biases[0].detail))
        assert biases[1].believed, biases[1].detail
        assert biases[0].believed or biases[0].state == "inconsistent"

    bias = Run(Sky(n=50, extent_m=150_000.0), radars, 130.0).through(look)[0]
    flagged = [t_s for t_s, believed, _ in seen if not believed]
    assert 60.0 < min(flagged) < 60.0 + 2.0 * period_s
    assert 100.0 < max(flagged) < 100.0 + 4.0 * period_s
    assert len(flagged) == max(flagged) - min(flagged) + 1.0, "it came and went"
    told = [detail for _, believed, detail in seen if not believed]
    assert any(re.search(words, detail) for detail in told), told[-1]
    assert bias.state == "ok" and abs(bias.azimuth_rad / DEG - 0.4) < 0.05 and abs(bias.range_m - 200.0) < 40.0


def test_claims_that_contradict_every_radar_are_in_doubt_themselves() -> None:
    sky = Sky(n=50, extent_m=150_000.0, claim_clock_s=(-5.0, 60.0))
    run = Run(sky, [radar(0, 54.95, 23.9, 5.0), radar(1, 54.5, 23.0, 5.0), radar(2, 54.2, 23.6, 6.0)], 90.0)
    run.through()
    assert run.registration.believed.all()
    assert any("claims are in doubt" in bias.detail for bias in run.report())


def test_an_estimate_outlives_the_traffic_that_gave_it() -> None:
    (bias,) = Run(
        Sky(n=60, claims_until_s=60.0), [radar(0, 54.6, 23.7, 5.0, range_m=300.0, azimuth_deg=0.5)], 200.0
    ).through()
    assert bias.state == "no-common-traffic" and bias.applied and bias.believed
    assert abs(bias.azimuth_rad / DEG - 0.5) < 0.05


def test_the_order_of_plots_within_a_tick_does_not_matter() -> None:
    def report(shuffled: bool) -> tuple[SensorBias, ...]:
        run = Run(Sky(n=30), five()[:2], 40.0)
        luck = np.random.default_rng(7)
        for t_s, plots in run.ticks():
            chosen = plots[luck.permutation(len(plots))] if shuffled else plots
            run.registration.observe(chosen, T0_US + round(t_s * US_PER_S))
        return run.report()

    assert repr(report(True)) == repr(report(False))  # NaN differs from itself


def test_a_snapshot_goes_on_to_the_bit() -> None:
    whole, parts = Run(Sky(n=30), five()[:2], 60.0), Run(Sky(n=30), five()[:2], 60.0)
    second = Run(Sky(n=30), five()[:2], 60.0).registration
    for (t_s, plots), (_, same) in zip(whole.ticks(), parts.ticks(), strict=True):
        now_us = T0_US + round(t_s * US_PER_S)
        whole.registration.observe(plots, now_us)
        if t_s == 30.5:
            second.restore(parts.registration.snapshot())
        (second if t_s >= 30.5 else parts.registration).observe(same, now_us)
        whole.registration.correct(plots)
        (second if t_s >= 30.5 else parts.registration).correct(same)
        assert same_plots(plots, same)
    assert repr(second.report()) == repr(whole.registration.report())


def test_correction_is_the_inverse_of_the_error() -> None:
    """Without noise, what is taken off gives back range, azimuth and time."""
    radars = [radar(0, 54.95, 23.9, 5.0, range_m=250.0, azimuth_deg=0.4, gain=4e-4, time_s=0.5, clutter=0.0)]
    clean = [radar(0, 54.95, 23.9, 5.0, clutter=0.0)]
    wrong, right = Run(Sky(n=40), radars, 200.0), Run(Sky(n=40), clean, 200.0)
    for (t_s, plots), _ in zip(wrong.ticks(), range(390), strict=False):
        wrong.registration.observe(plots, T0_US + round(t_s * US_PER_S))
    mine, true = wrong.plots[wrong.plots["sensor"] == 0].copy(), right.plots[right.plots["sensor"] == 0]
    wrong.registration.correct(mine)
    off = mine["row"] - true["row"]
    assert np.abs(np.median(off[:, 1])) < 25.0 and np.abs(off[:, 1]).max() < 80.0
    assert np.abs(np.median(off[:, 2])) < 0.02 * DEG
    assert np.abs(np.median(mine["t_us"] - true["t_us"])) < 0.1 * US_PER_S
    assert (mine["row"][:, 4] > true["row"][:, 4]).all(), "what is not known of the bias is in the sigma"


# ------------------------------------------------------------------------------------------------- with the tracker


def tracks_near(tracker: Tracker, sky: Sky, t_s: float, within_m: float) -> tuple[np.ndarray, int]:
    """Confirmed tracks near each aircraft that talks, and tracks that are near no aircraft at all."""
    table = tracker.table(T0_US + round(t_s * US_PER_S))
    truth = sky.x0[: sky.n] + sky.v[: sky.n] * t_s
    apart = np.linalg.norm(table.state[:, None, :3] - truth[None], axis=2)
    return (apart[:, sky.talks[: sky.n]] < within_m).sum(axis=0), int((apart.min(axis=1, initial=1e9) > within_m).sum())


def tracked(sky: Sky, radars: list[Radar], until_s: float, params: RegistrationParams) -> Tracker:
    """The picture that a tracker has of it."""
    run = Run(sky, radars, until_s)
    tracker = Tracker(run.sensors, TrackerParams(registration=params))
    for t_s, plots in run.ticks():
        tracker.step(batches(plots, run.sensors), T0_US + round(t_s * US_PER_S))
    return tracker


OFF = RegistrationParams(sure=1e9)  # nothing is ever sure enough to be taken off


def test_without_registration_tracks_are_doubled_and_with_it_they_are_one() -> None:
    def picture(params: RegistrationParams) -> np.ndarray:
        sky = Sky(n=30, silent=0.3, extent_m=120_000.0, seed=3)
        wrong = [
            radar(0, 54.95, 23.9, 5.0, 3, range_m=300.0, azimuth_deg=0.5, clutter=20.0),
            radar(1, 54.3, 23.2, 6.0, 3, range_m=-300.0, azimuth_deg=-0.5, clutter=20.0),
        ]
        return tracks_near(tracked(sky, wrong, 70.0, params), sky, 70.0, 4_000.0)[0]

    doubled, one = picture(OFF), picture(RegistrationParams())
    assert doubled.mean() > 1.5, doubled
    assert (one == 1).mean() > 0.9 and one.mean() < 1.1, one


def test_a_radar_whose_north_turns_spawns_no_ghosts() -> None:
    def ghosts(believing: bool) -> int:
        sky = Sky(n=40, silent=0.3, extent_m=120_000.0, seed=4)
        radars = [
            radar(0, 54.95, 23.9, 6.0, 3, clutter=10.0, north_deg=(90.0, 60.0, 1e9)),
            radar(1, 54.3, 23.2, 6.0, 3, clutter=10.0),
        ]
        run = Run(sky, radars, 95.0)
        tracker = Tracker(run.sensors, TrackerParams())
        for t_s, plots in run.ticks():
            if believing:
                tracker.registration.believed[:] = True
            tracker.step(batches(plots, run.sensors), T0_US + round(t_s * US_PER_S))
        return tracks_near(tracker, sky, 95.0, 4_000.0)[1]

    assert ghosts(believing=False) <= 2


# ----------------------------------------------------------------------------------------------- with real recordings


def claims_from(rows: list[dict[str, str]], site: np.ndarray, sigma_m: float, luck: np.random.Generator) -> Rec:
    """ADS-B that the aircraft behind one real track could have sent: the track smoothed over nine scans, once a second.

    Place and velocity are those of the quadratic through the plots around each second.
    """
    t = np.array([float(r["tod_s"]) for r in rows])
    height = np.array([float(r["fl"]) * 100.0 * FOOT_M for r in rows])
    azimuth = np.array([float(r["theta_deg"]) for r in rows]) * DEG
    xyz = ecef_from_range_height(site, np.array([float(r["rho_nm"]) * NM_M for r in rows]), azimuth, height)
    when = np.arange(np.ceil(t[0]), t[-1])
    when = when[np.abs(when[:, None] - t).min(axis=1) < 10.0]
    at = np.empty((len(when), 2, 3))
    for k, now in enumerate(when):
        near = np.argsort(np.abs(t - now))[:9]
        fit = np.polynomial.polynomial.polyfit(t[near] - now, xyz[near], 2)
        at[k] = fit[0], fit[1]
    lat, lon, up = geodetic(at[:, 0])
    axes = enu_axes(lat, lon)
    out = np.zeros(len(when), PLOT)
    out["row"] = np.nan
    out["row"][:, M_KIND] = int(PlotKind.POSITION)
    out["row"][:, M_A], out["row"][:, M_B], out["row"][:, M_C] = lat, lon, up
    out["row"][:, M_SA], out["row"][:, M_SC], out["row"][:, M_SV] = sigma_m, 15.0, 1.0
    out["row"][:, M_VE : M_VE + 3] = np.einsum("nij,nj->ni", axes, at[:, 1])
    out["kind"], out["sensor"], out["address"] = int(PlotKind.POSITION), 1, int(rows[0]["mode3a"], 8)
    out["mode3a"] = -1
    out["t_us"] = np.round(when * US_PER_S)
    out["rx_us"] = out["t_us"] + luck.integers(100_000, 1_000_000, len(when))
    return out


@pytest.mark.real_data
def test_what_a_bias_does_to_the_real_plots_of_san_luis_is_found(data: Path) -> None:
    """The plots are real, their noise too. No recording at hand has ADS-B of what its radar sees, so the reference is
    the radar's own smoothed tracks and the bias, that of the reference document, is added: 0.54 degrees and 117 m."""
    with (data / SAN_LUIS).open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["rho_nm"] and r["theta_deg"] and r["mode3a"]]
    spec = replace(SAN_LUIS_RADAR, sigma_range_m=30.0, sigma_azimuth_rad=0.05 * DEG)
    sensors = (spec, SensorSpec("Z", 1, SensorKind.ADSB))
    site = site_table(sensors)[0]
    luck = np.random.default_rng(1)
    plots = np.zeros(len(rows), PLOT)
    plots["row"] = np.nan
    plots["row"][:, M_KIND] = int(PlotKind.POLAR)
    plots["row"][:, M_A] = [float(r["rho_nm"]) * NM_M + 117.0 for r in rows]
    plots["row"][:, M_B] = np.mod([float(r["theta_deg"]) * DEG + 0.54 * DEG for r in rows], 2 * np.pi)
    plots["row"][:, M_SA], plots["row"][:, M_SB] = spec.sigma_range_m, spec.sigma_azimuth_rad
    plots["kind"], plots["address"], plots["mode3a"] = int(PlotKind.POLAR), -1, -1
    plots["t_us"] = np.round([float(r["tod_s"]) * US_PER_S for r in rows])
    plots["rx_us"] = plots["t_us"] + 600_000
    parts = [plots]
    for code in ("5353", "5362", "5360", "0572", "2303", "5355", "2315", "2064", "2051"):  # one aircraft each
        track = [r for r in rows if r["mode3a"] == code and r["fl"]]
        parts.append(claims_from(track, site, 20.0, luck))
    every = np.concatenate(parts)
    every = every[np.argsort(every["rx_us"], kind="stable")]
    registration = Registration(sensors, site_table(sensors))
    start_us = int(every["rx_us"][0])
    for k in range(1, 1_300):
        part = every[(every["rx_us"] >= start_us + (k - 1) * US_PER_S) & (every["rx_us"] < start_us + k * US_PER_S)]
        registration.observe(part, start_us + k * US_PER_S)
        if k in (90, 1_290):
            bias = registration.report()[0]
            assert bias is not None and bias.state == "ok" and bias.applied, bias
            assert abs(bias.azimuth_rad / DEG - 0.54) < 0.05, bias
            assert abs(bias.range_m - 117.0) < 30.0, bias
            assert abs(bias.time_s) < 0.3, bias


@pytest.mark.real_data
def test_a_real_radar_without_adsb_is_left_alone(data: Path) -> None:
    frames = san_luis(data)
    tracker = Tracker((SAN_LUIS_RADAR,))
    for frame in frames[:3_000]:
        if frame.source != "tick":
            batch = plots_format.decode(frame.payload, SAN_LUIS_RADAR, frame.rx_us).batch
            tracker.step([batch], frame.rx_us)
    (bias,) = tracker.registration.report()
    assert bias is not None and bias.state == "no-common-traffic" and bias.believed and not bias.applied
