"""Pressure heights become heights, taught by aircraft that report both; nobody who lies can teach anything else."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusion.bias.pressure import LEFT_LEAST_M, P_LEARNT, Pressure, corrected_1, thickness_1
from fusion.borders.terrain import Grid
from fusion.filters.params import M_C, M_SC
from fusion.geo import geodetic, pressure_height_correction
from fusion.rows import head_of, plots_of
from fusion.schema import F8, US_PER_S, PlotKind, Plots, plots
from fusion.tracker import Tracker
from tests.sky import ADSB, FLAT, LAT, LON, SENSORS, SITES, START_US, line, play, scan

FEET_25_M = 7.62
GEOID_M = 24.0
GEOID = Grid(LAT - 0.2, LON - 0.2, 0.1, np.full((5, 5), GEOID_M, np.float32))
WEATHER = ((1028.25, 15.0), (993.25, -15.0))  # QNH (hPa), warmer than standard (K): both push the same way


def told(height_m: F8, qnh_hpa: float, warmer_k: float) -> F8:
    """Pressure heights of heights above the sea: the oracle, by the hypsometric equation."""
    mean_k = 288.15 - 0.0065 * np.clip(height_m, 0.0, 11_000.0) / 2
    return np.asarray(height_m * mean_k / (mean_k + warmer_k) - pressure_height_correction(qnh_hpa))


class Traffic:
    """Aircraft within some 150 km, level, each with an altimeter error of its own."""

    def __init__(
        self, count: int, weather: tuple[float, float], seed: int = 1, low_m: float = 800.0, high_m: float = 11_500.0,
        first: int = 1,
    ) -> None:  # fmt: skip
        rng = self.rng = np.random.default_rng(seed)
        self.address = np.arange(first, first + count)
        self.height_m = rng.uniform(low_m, high_m, count)
        self.wrong_m = rng.normal(0.0, 20.0, count)
        self.lat, self.lon = LAT + rng.uniform(-0.02, 0.02, count), LON + rng.uniform(-0.03, 0.03, count)
        self.weather = weather

    def claims(self, t: float, lie_m: float | F8 = 0.0) -> Plots:
        """What they say at t seconds; `lie_m` is added to the geometric height."""
        n = len(self.address)
        pressure = told(self.height_m, *self.weather) + self.wrong_m
        return plots(
            "A0", PlotKind.POSITION, START_US + round((t + 0.3) * US_PER_S),
            np.full(n, START_US + round(t * US_PER_S)), lat_rad=self.lat, lon_rad=self.lon,
            height_m=self.height_m + GEOID_M + lie_m + self.rng.normal(0.0, 10.0, n),
            pressure_height_m=np.round(pressure / FEET_25_M) * FEET_25_M, address=self.address,
            sigma_position_m=np.full(n, 10.0), sigma_height_m=np.full(n, 15.0),
        )  # fmt: skip


def after(pressure: Pressure, skies: list[tuple[Traffic, Any]], from_s: int, to_s: int) -> Pressure:
    for t in range(from_s, to_s):
        for sky, lie_m in skies:
            pressure.observe([sky.claims(float(t), lie_m)], START_US + (t + 1) * US_PER_S)
    return pressure


def fresh() -> Pressure:
    return Pressure(SENSORS, GEOID, 100.0)


def errors_m(pressure: Pressure, weather: tuple[float, float]) -> tuple[F8, F8]:
    """Error and sigma of the corrected heights of perfect altimeters at 300 m, 3 km and 10 km."""
    heights = np.array([300.0, 3_000.0, 10_000.0])
    found = np.array([corrected_1(pressure.numbers, 0, float(p)) for p in told(heights, *weather)])
    return found[:, 0] - heights, found[:, 1]


@pytest.mark.parametrize("weather", WEATHER)
def test_within_a_minute_of_traffic_the_weather_is_taken_off(weather: tuple[float, float]) -> None:
    before, _ = errors_m(fresh(), weather)
    assert np.abs(before).min() > 120.0
    found, sigma = errors_m(after(fresh(), [(Traffic(12, weather), 0.0)], 0, 60), weather)
    assert np.abs(found).max() < 40.0
    assert sigma.min() >= LEFT_LEAST_M
    assert sigma.max() < 60.0


def test_the_sigma_tells_how_wrong_it_is() -> None:
    ratios = []
    for seed in range(40):
        weather = WEATHER[seed % 2]
        found, sigma = errors_m(after(fresh(), [(Traffic(3 + seed % 9, weather, seed), 0.0)], 0, 8), weather)
        ratios.append((found / sigma) ** 2)
    assert 0.02 < np.mean(ratios) < 1.2
    assert np.max(ratios) < 9.0


@pytest.mark.parametrize("weather", WEATHER)
def test_the_height_of_an_aircraft_that_only_secondary_radar_sees_is_right(weather: tuple[float, float]) -> None:
    rng, path = np.random.default_rng(2), line(30_000.0, 20_000.0, 3_000.0 + GEOID_M, 60.0, 10.0)
    reply = np.round(told(np.array([3_000.0]), *weather) / FEET_25_M) * FEET_25_M
    seen = [b for t in range(0, 60, 5) for b in scan(FLAT, [path], float(t), rng)]
    seen = [replace(b, pressure_height_m=reply, mode3a=np.array([0o4321], np.int32)) for b in seen]
    sky = Traffic(12, weather)
    heights = []
    for claims in ([], [sky.claims(float(t)) for t in range(60)]):
        tracker = play(Tracker(SENSORS, geoid=GEOID), seen + claims, 60.0)
        tracks = tracker.table(START_US + 60 * US_PER_S)
        mine = int(np.flatnonzero(tracks.mode3a == 0o4321)[0])
        heights.append(abs(float(geodetic(tracks.state[mine, None, :3])[2][0]) - 3_000.0 - GEOID_M))
    assert heights[0] > 150.0
    assert heights[1] < 40.0


def test_without_claims_of_both_heights_nothing_changes() -> None:
    plain, sky = fresh(), Traffic(12, WEATHER[0])
    nobody = np.full(12, -1, np.int32)
    only = {"height_m": np.full(12, np.nan)}, {"pressure_height_m": np.full(12, np.nan)}, {"address": nobody}
    other = {"on_ground": np.ones(12, np.int8)}, {"sigma_height_m": np.full(12, 400.0)}
    for column in (*only, *other):
        pressure = fresh()
        for t in range(60):
            pressure.observe([replace(sky.claims(float(t)), **column)], START_US + (t + 1) * US_PER_S)
        assert pressure.numbers.tobytes() == plain.numbers.tobytes()
    found = [corrected_1(plain.numbers, 0, p) for p in (0.0, 1_234.5, 11_000.0)]
    assert found == [(0.0, 100.0), (1_234.5, 100.0), (11_000.0, 100.0)]


def test_two_aircraft_are_not_enough_and_three_are() -> None:
    assert not after(fresh(), [(Traffic(2, WEATHER[0]), 0.0)], 0, 60).numbers[P_LEARNT]
    assert after(fresh(), [(Traffic(3, WEATHER[0]), 0.0)], 0, 60).estimate.aircraft == 3


def test_many_messages_of_one_aircraft_are_one_vote() -> None:
    pressure, sky, loud = fresh(), Traffic(9, WEATHER[0]), Traffic(1, WEATHER[0], 5, first=99)
    for t in range(60):
        batches = [sky.claims(float(t))] + [loud.claims(t + k / 50, 250.0) for k in range(50)]
        pressure.observe(batches, START_US + (t + 1) * US_PER_S)
    assert np.abs(errors_m(pressure, WEATHER[0])[0]).max() < 40.0


@pytest.mark.parametrize("lie_m", [-400.0, 150.0, 300.0])
def test_liars_in_the_minority_move_nothing(lie_m: float) -> None:
    sky, liars = Traffic(12, WEATHER[0]), Traffic(7, WEATHER[0], 3, first=100)
    found, _ = errors_m(after(fresh(), [(sky, 0.0), (liars, lie_m)], 0, 60), WEATHER[0])
    assert np.abs(found).max() < 40.0


def test_a_crowd_of_liars_that_comes_later_moves_it_no_faster_than_weather() -> None:
    sky, liars = Traffic(12, WEATHER[0]), Traffic(60, WEATHER[0], 3, first=100)
    pressure = after(fresh(), [(sky, 0.0)], 0, 90)
    honest = errors_m(pressure, WEATHER[0])[0]
    moved, sigma = errors_m(after(pressure, [(sky, 0.0), (liars, 250.0)], 90, 210), WEATHER[0])
    assert np.abs(moved - honest).max() < 2 * 2.0 + 0.5
    assert (np.abs(moved) < sigma).all()


def test_claims_that_contradict_each_other_teach_nothing() -> None:
    sky = Traffic(10, WEATHER[0])
    lies = np.linspace(-450.0, 450.0, 10)
    assert not after(fresh(), [(sky, lies)], 0, 60).numbers[P_LEARNT]


def test_a_station_is_refined_by_honest_traffic() -> None:
    weather = (1028.25, 15.0)
    offset_m = pressure_height_correction(weather[0])
    pressure = fresh()
    pressure.set_qnh(offset_m - 20.0, 17.0, 34.0)
    assert corrected_1(pressure.numbers, 0, 1_000.0) == (1_000.0 + offset_m - 20.0, 34.0)
    assert errors_m(pressure, weather)[0].min() < -400.0, "what temperature does at 10 km no station tells"
    after(pressure, [(Traffic(8, weather), 0.0)], 0, 60)
    assert np.abs(errors_m(pressure, weather)[0]).max() < 30.0


def test_where_all_lie_alike_a_station_keeps_low_heights_right() -> None:
    """A lie at all heights looks like warm air, and nothing here can tell; at the ground the station can."""
    weather = (1028.25, 0.0)
    for lie_m in (-600.0, -300.0, 300.0, 600.0):
        pressure = fresh()
        pressure.set_qnh(pressure_height_correction(weather[0]), 17.0, 34.0)
        after(pressure, [(Traffic(8, weather, high_m=3_000.0), lie_m)], 0, 60)
        assert abs(errors_m(pressure, weather)[0][0]) < 90.0


def test_low_traffic_that_comes_late_still_teaches_what_high_traffic_could_not() -> None:
    weather = (1028.25, -15.0)  # one pushes up, one down: at 10 km alone they are one number
    pressure = after(fresh(), [(Traffic(10, weather, low_m=9_500.0), 0.0)], 0, 100)
    early, unsure = errors_m(pressure, weather)
    assert abs(early[2]) < 40.0
    assert abs(early[0]) < 2.0 * unsure[0]
    low = Traffic(6, weather, 4, high_m=2_500.0, first=50)
    found, sigma = errors_m(after(pressure, [(low, 0.0)], 100, 130), weather)
    assert abs(found[0]) < 40.0
    assert sigma[0] < 0.7 * unsure[0]


def test_far_from_the_traffic_that_taught_it_a_pressure_height_is_less_sure() -> None:
    pressure = after(fresh(), [(Traffic(12, WEATHER[0]), 0.0)], 0, 60)
    batch = plots(
        "A0", PlotKind.POSITION, START_US, np.array([START_US] * 2), lat_rad=[LAT, LAT + 0.16], lon_rad=[LON] * 2,
        pressure_height_m=[900.0, 900.0],
    )  # fmt: skip
    row = plots_of([batch], [head_of(ADSB)], SITES, GEOID, pressure.numbers)["row"]
    height, sigma = corrected_1(pressure.numbers, 0, 900.0)
    np.testing.assert_allclose(row[:, M_C], height + GEOID_M, atol=1e-6)
    assert row[0, M_SC] == pytest.approx(sigma, rel=0.01)
    assert row[1, M_SC] > math.hypot(sigma, 60.0), "1,000 km away: 8 hPa or so"


def test_what_nobody_confirms_grows_old_and_is_forgotten() -> None:
    pressure = after(fresh(), [(Traffic(12, WEATHER[0]), 0.0)], 0, 60)
    young = pressure.estimate
    pressure.observe([], START_US + 6 * 3_600 * US_PER_S)
    assert pressure.estimate.offset_m == young.offset_m
    assert pressure.estimate.sigma_m == pytest.approx(math.hypot(young.sigma_m, 6 * 8.3), rel=0.02)
    pressure.observe([], START_US + 13 * 3_600 * US_PER_S)
    assert pressure.numbers.tobytes() == fresh().numbers.tobytes()


def test_the_table_of_aircraft_is_bounded() -> None:
    pressure = after(fresh(), [(Traffic(400, WEATHER[0]), 0.0)], 0, 10)
    assert pressure.estimate.aircraft <= 256
    assert np.abs(errors_m(pressure, WEATHER[0])[0]).max() < 40.0


def test_it_goes_on_bit_for_bit_after_a_restore() -> None:
    first, second = ([(Traffic(12, WEATHER[1], seed=8), 0.0)] for _ in range(2))
    whole = after(fresh(), first, 0, 90)
    half = after(fresh(), second, 0, 45)
    again = fresh()
    again.restore(half.snapshot())
    after(again, second, 45, 90)
    assert again.numbers.tobytes() == whole.numbers.tobytes()
    assert whole.numbers[P_LEARNT] == 1.0


def test_thickness_is_four_per_cent_for_ten_kelvin() -> None:
    assert 10.0 * thickness_1(5_000.0) / 5_000.0 == pytest.approx(0.04, abs=0.004)


@pytest.mark.real_data
def test_half_of_the_real_aircraft_over_britain_predict_the_heights_of_the_others(data: Path) -> None:
    """OpenSky states of 12 July 2021, every ten seconds; no geoid there, so the undulation is part of the offset."""
    with (data / "recordings/uav-and-states-stonesoup/OpenSky_Plane_States.csv").open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["baroaltitude"] and r["geoaltitude"] and r["onground"] == "False"]
    pressure, scored = Pressure(SENSORS, None, 100.0), []
    for now_s in sorted({int(float(r["time"])) for r in rows}):
        mine = [r for r in rows if int(float(r["time"])) == now_s]
        for r in mine:
            if int(r["icao24"], 16) % 2 and pressure.numbers[P_LEARNT]:
                height, sigma = corrected_1(pressure.numbers, 0, float(r["baroaltitude"]))
                scored.append((float(r["geoaltitude"]), float(r["baroaltitude"]), height, sigma))
        mine = [r for r in mine if int(r["icao24"], 16) % 2 == 0]
        if not mine:
            continue
        columns = {
            name: np.array([float(r[key]) for r in mine])
            for name, key in (("lat", "lat"), ("lon", "lon"), ("height", "geoaltitude"), ("baro", "baroaltitude"))
        }
        batch = plots(
            "A0", PlotKind.POSITION, now_s * US_PER_S, np.full(len(mine), now_s * US_PER_S),
            lat_rad=np.radians(columns["lat"]), lon_rad=np.radians(columns["lon"]), height_m=columns["height"],
            pressure_height_m=columns["baro"], address=[int(r["icao24"], 16) for r in mine],
        )  # fmt: skip
        pressure.observe([batch], now_s * US_PER_S)
    true, baro, height, sigma = np.array(scored).T
    assert len(scored) > 500
    assert np.median(np.abs(true - height)) < 0.35 * np.median(np.abs(true - baro))
    assert np.mean(np.abs(true - height) < 2.0 * sigma) > 0.85
