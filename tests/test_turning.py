"""The rate of turn and the predictions that a track is held against, on made-up tables."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo
from fusion.borders import turning
from fusion.borders.turning import Memory, weighed
from fusion.schema import US_PER_S, Tracks
from tests.test_zones import NOW_US, square, table

F8 = np.ndarray


def flown(rates_deg_s: list[float], speed_mps: float = 50.0, sigma_mps: float = 1.0) -> list[Tracks]:
    """Tables of one object, one a second, that turns at the given rate in each."""
    lat, lon, head = math.radians(51.0), math.radians(17.0), math.radians(80.0)
    tables = []
    for second, rate in enumerate(rates_deg_s):
        made = table([(math.degrees(lat), math.degrees(lon))], speed_mps=speed_mps, course_deg=math.degrees(head),
                     sigma_m=30.0, sigma_mps=sigma_mps)  # fmt: skip
        now_us = NOW_US + second * US_PER_S
        tables.append(replace(made, t_us=now_us, update_us=np.array([now_us]), mode=np.array([[0.94, 0.03, 0.03]])))
        lat, lon, _ = geo.direct_1(lat, lon, (head + math.radians(rate) / 2) % math.tau, speed_mps)
        head += math.radians(rate)
    return tables


def fed(tables: list[Tracks]) -> tuple[Memory, list[bool]]:
    memory, told = Memory.empty(0).aligned(tables[0].id, np.zeros(1, np.int64), np.zeros(1, np.bool_)), []
    for one in tables:
        told.append(bool(memory.look(one, square().facts(one), 20.0, 0.2)[0]))
    return memory, told


@pytest.mark.parametrize("rate", [-3.0, -0.5, 1.0, 4.0])
def test_a_steady_turn_comes_out_at_its_rate(rate: float) -> None:
    memory, _ = fed(flown([rate] * 20))
    assert math.degrees(memory.turn[0, turning.RATE]) == pytest.approx(rate, abs=0.05 + 0.02 * abs(rate))
    assert memory.turn[0, turning.P_TURN] > (0.9 if abs(rate) >= 1.0 else 0.1)


def test_straight_flight_is_no_turn_and_a_turn_that_ended_is_forgotten() -> None:
    straight, _ = fed(flown([0.0] * 20))
    assert straight.turn[0, turning.P_TURN] < 0.06
    ended, _ = fed(flown([3.0] * 20 + [0.0] * 20))
    assert ended.turn[0, turning.P_TURN] < 0.06


def test_only_new_plots_count_and_three_are_needed() -> None:
    tables = flown([2.0] * 4)
    memory, _ = fed(tables[:2])
    assert np.isnan(memory.turn[0, turning.RATE])
    assert memory.turn[0, turning.P_TURN] == 0.0
    memory.look(tables[1], square().facts(tables[1]), 20.0, 0.2)
    assert np.isnan(memory.turn[0, turning.RATE]), "the same plot again"
    memory.look(tables[2], square().facts(tables[2]), 20.0, 0.2)
    assert math.degrees(memory.turn[0, turning.RATE]) == pytest.approx(2.0, abs=0.2)


def test_an_object_that_stops_has_no_course_to_remember() -> None:
    memory, _ = fed([*flown([2.0] * 10), *flown([0.0] * 11, speed_mps=1.0)[10:]])
    assert np.isnan(memory.turn[0, turning.RATE])
    assert memory.turn[0, turning.P_TURN] == 0.0


@given(st.floats(-0.1, 0.1), st.floats(1e-4, 0.1), st.floats(0.0, 1.0))
def test_weighing_is_bayes_rule(rate: float, sigma: float, manoeuvre: float) -> None:
    def density(spread: float) -> float:
        return math.exp(-0.5 * (rate / spread) ** 2) / spread

    before = min(max(3.0 * manoeuvre, 0.12), 0.9)
    wide, narrow = before * density(math.hypot(sigma, turning.SIGMA_RATE_RADPS)), (1.0 - before) * density(sigma)
    drawn, spread, p = (float(v[0]) for v in weighed(*(np.array([v]) for v in (rate, sigma, manoeuvre))))
    assert p == pytest.approx(wide / (wide + narrow) if wide + narrow > 0.0 else 1.0, abs=1e-9)
    assert abs(drawn) <= abs(rate)
    assert spread <= min(sigma, turning.SIGMA_RATE_RADPS)


def test_a_turn_out_of_straight_flight_diverges_and_says_by_how_much() -> None:
    tables = flown([0.0] * 50 + [3.0] * 20 + [0.0] * 30)
    memory, told = fed(tables)
    first = told.index(True)
    assert 55 <= first <= 75
    assert not any(told[:55])
    assert 100.0 < memory.diverged_m[0] < 2_000.0
    assert memory.diverged_us[0] >= NOW_US + first * US_PER_S


def test_straight_flight_and_a_steady_turn_never_diverge_and_the_turn_may_end_at_any_time() -> None:
    assert not any(fed(flown([0.0] * 300))[1])
    turned = fed(flown([2.0] * 45 + [0.0] * 60))[1]
    assert not any(turned), "it was known to turn, and that a turn ends is no surprise"


def test_one_outlier_is_the_radars_and_three_are_the_objects() -> None:
    def beside(one: Tracks) -> Tracks:
        return replace(one, state=one.state + np.array([0.0, 3_000.0, 0.0, 0.0, 0.0, 0.0]))

    straight = flown([0.0] * 60)
    for out, expected in ((1, False), (2, False), (3, True)):
        tables = [beside(one) if 45 <= second < 45 + out else one for second, one in enumerate(straight)]
        assert any(fed(tables)[1][:48]) is expected


def test_a_second_divergence_soon_after_is_noted_but_no_news() -> None:
    memory, told = fed(flown([0.0] * 50 + [3.0] * 20 + [0.0] * 12 + [-3.0] * 20 + [0.0] * 10))
    assert told.count(True) == 1
    assert memory.diverged_us[0] > NOW_US + (told.index(True) + 5) * US_PER_S


def test_a_memory_goes_on_from_its_snapshot() -> None:
    tables = flown([0.0] * 20 + [2.0] * 30)
    whole, _ = fed(tables)
    half, _ = fed(tables[:25])
    other = Memory.restored(half.snapshot())
    for one in tables[25:]:
        other.look(one, square().facts(one), 20.0, 0.2)
    for ours, theirs in zip(whole.snapshot(), other.snapshot(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
