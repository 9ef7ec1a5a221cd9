"""Looking ahead: calibrated on simulated crossings through the real tracker, bands and memory on made-up tables."""

from __future__ import annotations

import math
import time
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from adapters.files import protectedfile
from fusion import geo
from fusion.borders.bands import Bands
from fusion.borders.forecast import AHEAD_M, Forecaster
from fusion.borders.outlook import Area, Forecast, blank, circle
from fusion.schema import US_PER_S, Tracks, take
from tests import shipped
from tests.crossings import Run, run
from tests.test_zones import NOW_US, square, table

F8 = np.ndarray


@pytest.fixture(scope="module")
def flown() -> Run:
    return run()


def judged(flown: Run) -> F8:
    """Looks at objects that really cross within 20 to 300 s, and are predicted to."""
    return np.asarray((flown.left_s > 20.0) & (flown.left_s < 300.0) & ~np.isnan(flown.time_s))


def within(flown: Run) -> F8:
    return np.asarray((flown.left_s >= flown.low_s) & (flown.left_s <= flown.high_s))


def test_the_true_time_lies_in_the_ninety_per_cent_interval_that_often(flown: Run) -> None:
    rows = judged(flown)
    assert len(np.unique(flown.who[rows])) >= 120
    assert 0.85 <= within(flown)[rows].mean() <= 0.95
    turner = flown.who >= 270 // 3
    assert within(flown)[rows & ~turner].mean() >= 0.9
    assert within(flown)[rows & turner].mean() >= 0.82, "before, in and after their turn, which nobody can know before"


def test_who_crosses_is_predicted_to_and_who_is_predicted_to_crosses(flown: Run) -> None:
    crosses = (flown.left_s > 20.0) & (flown.left_s < 300.0)
    assert (~np.isnan(flown.time_s))[crosses].mean() > 0.97
    soon = (flown.time_s < 120.0) & (flown.p_crossing > 0.9) & (flown.t_s < 300.0)
    assert (~np.isnan(flown.left_s))[soon].mean() > 0.9


def test_the_straight_path_is_as_good_as_it_was(flown: Run) -> None:
    rows = judged(flown) & (flown.who < 270 // 3) & ~np.isnan(flown.straight_s)
    now, before = (np.abs(t - flown.left_s)[rows] for t in (flown.time_s, flown.straight_s))
    assert np.median(now) <= 1.05 * np.median(before)


def test_a_minute_of_warning_for_nine_of_ten_that_were_seen_that_long(flown: Run) -> None:
    warned = seen = 0
    for who in np.unique(flown.who[~np.isnan(flown.left_s)]):
        rows = (flown.who == who) & (flown.left_s >= 60.0)
        if np.count_nonzero(rows) < 30:
            continue
        seen += 1
        # In a band of time since at least a minute before, and until it crossed.
        later = (flown.who == who) & (flown.left_s <= 60.0)
        warned += bool(~np.isnan(flown.time_band_s[rows][-1]) and (~np.isnan(flown.time_band_s[later])).mean() > 0.9)
    assert seen >= 120
    assert warned >= 0.9 * seen


def test_the_place_of_the_crossing_is_off_by_about_its_sigma(flown: Run) -> None:
    rows = judged(flown)
    assert (flown.off_m[rows] <= 2.0 * np.maximum(flown.place_m[rows], 100.0)).mean() > 0.85


def test_divergence_is_told_of_turns_and_not_of_straight_flight(flown: Run) -> None:
    straight = flown.who < 270 // 3
    assert flown.diverged[straight].sum() <= straight.sum() / 3600 * 0.5
    turned, told = 0, []
    for who in np.unique(flown.who[~straight]):
        rows = (flown.who == who) & (flown.since_turn_s >= 0.0) & (flown.since_turn_s < 60.0)
        if np.count_nonzero(rows) > 50:
            turned += 1
            told += flown.since_turn_s[rows][flown.diverged[rows] > 0][:1].tolist()
    assert turned >= 80
    assert len(told) >= 0.85 * turned
    assert np.median(told) < 45.0


def towards(metres: float, speed_mps: float = 50.0, now_us: int = NOW_US, course_deg: float = 90.0) -> Tracks:
    """One track that far outside the border of `square`, flying at it unless told otherwise."""
    at = geo.direct(np.radians([51.0]), np.radians([20.0]), np.radians([270.0]), np.abs([metres]))
    lon = 2.0 * math.radians(20.0) - at[1][0] if metres < 0 else at[1][0]
    made = table([(51.0, math.degrees(lon))], speed_mps=speed_mps, course_deg=course_deg, sigma_m=20.0, sigma_mps=0.5)
    mode = np.array([[0.94, 0.03, 0.03]])
    return replace(made, t_us=now_us, update_us=np.array([now_us]), mode=mode)


def looked(ahead: Forecaster, metres: float, second: int, **more: float) -> Forecast:
    now_us = NOW_US + second * US_PER_S
    tracks = towards(metres, now_us=now_us, **more)
    return ahead.step(tracks, square().facts(tracks), now_us)


def test_bands_are_entered_one_after_the_other_and_each_is_news_once() -> None:
    ahead = Forecaster(square())
    told = []
    for second in range(720):
        found = looked(ahead, 36_000.0 - 50.0 * second, second)
        if found.changed[0]:
            told.append((second, found.band_m[0], found.time_band_s[0]))
    # At 50 m/s ten minutes are 30 km: these two bands are entered together, give or take a second.
    assert [second for second, _, _ in told] == sorted(second for second, _, _ in told)
    entered: dict[tuple[str, float], int] = {}
    for second, band_m, time_band_s in told:
        entered.setdefault(("m", band_m), second)
        entered.setdefault(("s", time_band_s), second)
    wanted = {
        ("m", 30e3): 120,
        ("m", 15e3): 420,
        ("m", 5e3): 620,
        ("s", 600.0): 120,
        ("s", 300.0): 420,
        ("s", 120.0): 600,
    }
    assert {key: entered[key] for key in wanted} == pytest.approx(wanted, abs=3)
    assert len(told) <= 6


def test_a_band_is_left_well_beyond_its_limit_and_a_zigzag_is_no_news() -> None:
    ahead = Forecaster(square(), limits=Bands(time_s=()))
    path = [16_000.0, 14_900.0, 15_300.0, 14_800.0, 15_900.0, 14_900.0, 16_600.0, 14_900.0]
    # Too slow for a course, so that these jumps are no divergence.
    found = [looked(ahead, metres, second, speed_mps=3.0) for second, metres in enumerate(path)]
    assert [f.band_m[0] for f in found] == [30_000, 15_000, 15_000, 15_000, 15_000, 15_000, 30_000, 15_000]
    assert [bool(f.changed[0]) for f in found] == [True, True, False, False, False, False, False, True]


def test_inside_there_is_no_band_but_a_depth_and_leaving_is_no_news() -> None:
    ahead = Forecaster(square())
    path = [3_000.0, -2_000.0, -11_000.0, -9_500.0, -26_000.0, -2_000.0, 2_000.0]
    # Too slow for a course, so that these jumps are no divergence.
    found = [looked(ahead, metres, second, speed_mps=3.0) for second, metres in enumerate(path)]
    depths = [np.nan, np.nan, 10e3, 10e3, 25e3, np.nan, np.nan]
    np.testing.assert_array_equal([f.depth_band_m[0] for f in found], depths)
    np.testing.assert_array_equal([f.band_m[0] for f in found[1:]], [*[np.nan] * 5, 5_000.0])
    assert [bool(f.changed[0]) for f in found] == [True, False, True, False, True, False, False]
    assert np.isnan(found[1].p_crossing[0]), "inside, nothing is left to cross"


def test_between_two_looks_times_run_down_and_nothing_is_news() -> None:
    ahead = Forecaster(square())
    first = looked(ahead, 12_000.0, 0)
    tracks = towards(12_000.0)
    later = ahead.step(tracks, square().facts(tracks), NOW_US + 400_000)
    assert first.time_s[0] - later.time_s[0] == pytest.approx(0.4)
    assert first.time_low_s[0] - later.time_low_s[0] == pytest.approx(0.4)
    assert first.changed[0]
    assert not later.changed[0]


def test_what_flies_away_or_far_off_is_left_alone() -> None:
    ahead = Forecaster(square())
    away = looked(ahead, 12_000.0, 0, course_deg=270.0)
    assert away.p_crossing[0] == 0.0
    assert np.isnan(away.time_s[0])
    assert np.isnan(away.time_band_s[0])
    far = towards(AHEAD_M + 30_000.0, speed_mps=200.0)
    facts = square().facts(far)
    kept = Forecaster(square()).step(far, facts, NOW_US)
    assert np.isnan(kept.p_crossing[0])


def test_the_assessment_takes_over_what_is_known_here() -> None:
    near, far = towards(12_000.0, course_deg=60.0), towards(AHEAD_M + 20_000.0, speed_mps=200.0)
    for tracks, ours in ((near, True), (far, False)):
        facts = square().facts(tracks)
        forecast = Forecaster(square()).step(tracks, facts, NOW_US)
        # What a forecast replaces of an assessment stands in the facts of `zones` by the same names.
        moved = forecast.onto(facts)  # type: ignore[arg-type]
        expected = forecast.time_s[0] if ours else facts.time_to_border_s[0]
        assert moved.time_to_border_s[0] == expected


def test_an_area_is_warned_of_by_distance_time_severity_and_name() -> None:
    zones = square()
    base = Area("b", "Base", "base", 1, circle(math.radians(51.0), math.radians(20.1), 3_000.0), accuracy_m=300.0)
    town = Area("t", "Town", "city", 3, circle(math.radians(51.4), math.radians(20.3), 3_000.0))
    ahead = Forecaster(zones, (town, base))
    found = looked(ahead, -500.0, 0)
    assert found.area_names[found.area[0]] == "Base"
    assert found.area_names[found.ahead[0]] == "Base"
    edge_m = geo.inverse_1(math.radians(51.0), math.radians(20.1), math.radians(51.0), math.radians(20.0))[0] - 3_500.0
    assert found.area_distance_m[0] == pytest.approx(edge_m, abs=10.0)
    assert found.area_time_s[0] == pytest.approx(edge_m / 50.0, rel=0.02)
    assert found.sigma_area_time_s[0] > 300.0 / 50.0
    assert found.area_severity[0] == 1.0
    assert found.area_kind[0] == 1
    past = looked(ahead, -18_000.0, 1)
    assert past.ahead[0] == -1
    assert np.isnan(past.area_severity[0])
    inside = looked(ahead, -7_000.0, 2)
    assert inside.within_area[0]
    assert inside.concerned().tolist() == inside.area.tolist()


def test_a_snapshot_goes_on_as_if_nothing_had_happened() -> None:
    whole, first = Forecaster(square()), Forecaster(square())
    second = Forecaster(square())
    for now in range(40):
        metres = 20_000.0 - 50.0 * now
        expected = looked(whole, metres, now)
        if now < 20:
            looked(first, metres, now)
        else:
            if now == 20:
                second.restore(first.snapshot())
            same(looked(second, metres, now), expected)


def same(one: Forecast, other: Forecast) -> None:
    for item in fields(Forecast):
        np.testing.assert_array_equal(getattr(one, item.name), getattr(other, item.name), err_msg=item.name)


def test_rows_come_and_go_and_another_epoch_forgets() -> None:
    ahead, alone = Forecaster(square()), Forecaster(square())
    for now in range(10):
        now_us = NOW_US + now * US_PER_S
        pair = two(18_000.0 - 50.0 * now, 9_000.0, now_us)
        both = ahead.step(pair, square().facts(pair), now_us)
        single = take(pair, np.array([True, False]))
        same(take(both, np.array([True, False])), alone.step(single, square().facts(single), now_us))
    left = take(pair, np.array([False, True]))
    kept = ahead.step(left, square().facts(left), now_us + US_PER_S)
    assert kept.band_m.tolist() == [15_000.0]
    assert not kept.changed[0]
    anew = ahead.step(replace(left, epoch=9), square().facts(left), now_us + 2 * US_PER_S)
    assert anew.changed[0], "another epoch: another object"


def two(one_m: float, other_m: float, now_us: int) -> Tracks:
    a, b = towards(one_m, now_us=now_us), towards(other_m, now_us=now_us)
    joined: dict[str, Any] = {
        f.name: np.concatenate([getattr(a, f.name), getattr(b, f.name)])
        for f in fields(Tracks)
        if isinstance(getattr(a, f.name), np.ndarray)
    }
    return replace(a, **{**joined, "id": np.array([3, 8])})


def test_a_blank_forecast_knows_nothing_and_counts_nothing() -> None:
    none = blank(3)
    assert np.isnan(none.time_s).all()
    assert not none.changed.any()
    assert none.concerned().tolist() == [-1, -1, -1]


def test_looking_ahead_of_five_thousand_tracks_costs_less_than_saying_where_they_are() -> None:
    """One in five in a turn, spread over the eastern flank with the shipped border and areas: 40 ms on one core of a
    small machine, where `Zones.facts` takes about twice that. A ratio holds on a busy one too."""
    rng, n = np.random.default_rng(3), 5_000
    places = np.column_stack([rng.uniform(46.0, 58.0, n), rng.uniform(18.0, 32.0, n)])
    still = replace(table([tuple(p) for p in places]), mode=np.tile([0.9, 0.06, 0.04], (n, 1)))
    axes = geo.enu_axes(*np.radians(places).T)
    speed = np.where(rng.random(n) < 0.5, rng.uniform(20.0, 80.0, n), rng.uniform(120.0, 250.0, n))
    head = rng.uniform(0.0, math.tau, n)
    turn = np.where(rng.random(n) < 0.2, np.radians(rng.uniform(-3.0, 3.0, n)), 0.0)
    zones, areas = shipped.zones(), protectedfile.load([shipped.ROOT / "config/zones/protected.toml"])[0]
    ahead, ratio, place = Forecaster(zones, areas), [], still.state[:, :3]
    for second in range(12):
        now = head + turn * second
        velocity = speed[:, None] * (np.sin(now)[:, None] * axes[:, 0] + np.cos(now)[:, None] * axes[:, 1])
        place = place + velocity
        now_us = NOW_US + second * US_PER_S
        tracks = replace(
            still, t_us=now_us, update_us=np.full(n, now_us), state=np.hstack([place, velocity]), id=np.arange(n)
        )
        start_s = time.process_time()
        facts = zones.facts(tracks)
        between_s = time.process_time()
        found = ahead.step(tracks, facts, now_us)
        ratio.append((time.process_time() - between_s) / (between_s - start_s))
    assert np.count_nonzero(found.p_turn > 0.5) > 700
    assert np.count_nonzero(~np.isnan(found.time_s)) > 300
    assert np.median(ratio[6:]) < 1.0, ratio
