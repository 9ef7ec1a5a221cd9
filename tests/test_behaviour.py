"""The features of how a track flew, against flights whose answer is known, and what the memory keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import asinh, exp, log, pi, sin
from typing import Any

import numpy as np
import pytest

from fusion import classes
from fusion.behaviour import OLDEST_S, Behaviour
from fusion.classes import FEATURES
from tests.airpicture import T0_US, S, at, picture

Row = dict[str, Any]


def flown(
    row_at: Callable[[float], Row], seconds: float = 120.0, every_s: float = 1.0, memory: Behaviour | None = None
) -> dict[str, float]:
    """Features of one track after it was looked at so often; `row_at` gives what its row has at each second."""
    memory = memory or Behaviour()
    for step in range(round(seconds / every_s) + 1):
        t_s = step * every_s
        now_us = T0_US + round(t_s * S)
        memory.look(*picture([at(now_us, row_at(t_s))], now_us))
    return dict(zip(FEATURES, memory.features[0].tolist(), strict=True))


def north(speed_mps: float) -> Callable[[float], Row]:
    return lambda t_s: {
        "speed_mps": speed_mps,
        "course_rad": 0.0,
        "lat_rad": 0.95 + speed_mps * t_s / 6.37e6,
        "lon_rad": 0.44,
        "agl_m": 400.0,
        "climb_mps": 2.0,
    }


def test_a_straight_flight_has_its_speed_and_no_turn() -> None:
    found = flown(north(40.0))
    assert found["speed"] == pytest.approx(log(41.0))
    assert found["speed_spread"] == pytest.approx(log(0.3), abs=1e-6)
    assert found["turn"] == pytest.approx(log(0.003))
    assert found["crooked"] == pytest.approx(log(0.01))
    assert found["net"] == pytest.approx(log(40.3), abs=0.01)
    assert found["height"] == pytest.approx(log(430.0))
    assert found["climb"] == pytest.approx(asinh(2.0))
    assert found["climb_spread"] == pytest.approx(log(0.1), abs=1e-6)
    assert found["noise"] == pytest.approx(log(3.1))
    assert found["age"] == pytest.approx(log(122.0))


def test_circling_shows_in_the_turn_and_not_in_the_speed() -> None:
    """20 degrees a second through north: no step at 360 degrees, and a mean velocity of almost nothing."""
    found = flown(lambda t_s: {"speed_mps": 11.0, "course_rad": (pi / 9 * t_s) % (2.0 * pi)})
    assert exp(found["turn"]) - 0.003 == pytest.approx(pi / 9, rel=1e-3)
    assert found["crooked"] > log(0.8)
    assert found["net"] == pytest.approx(log(0.3), abs=1e-6)
    assert found["speed_spread"] == pytest.approx(log(0.3), abs=1e-6)


def test_what_stands_goes_nowhere_however_its_velocity_shakes() -> None:
    luck = np.random.default_rng(3)
    shaking = luck.uniform(0.0, 2.0 * pi, 200)
    found = flown(lambda t_s: {"speed_mps": 4.0, "course_rad": float(shaking[int(t_s)])})
    assert exp(found["net"]) < 0.31
    assert exp(found["crooked"]) > 0.6


def test_a_speed_that_swings_has_its_spread() -> None:
    found = flown(lambda t_s: {"speed_mps": 30.0 + 8.0 * sin(t_s), "course_rad": 0.0}, seconds=400.0)
    assert exp(found["speed_spread"]) - 0.3 == pytest.approx(8.0 / 2**0.5, rel=0.05)


def test_the_past_is_forgotten() -> None:
    found = flown(lambda t_s: {"speed_mps": 200.0 if t_s < 100.0 else 20.0, "course_rad": 0.0}, seconds=700.0)
    assert found["speed"] == pytest.approx(log(21.0), rel=1e-3)
    assert found["age"] == pytest.approx(log(2.0 + OLDEST_S))


def test_unknown_height_leaves_the_vertical_unknown_and_nothing_else() -> None:
    found = flown(lambda _: {"height_known": False, "agl_m": np.nan})
    assert {name for name, value in found.items() if np.isnan(value)} == {"height", "climb", "climb_spread"}


def test_a_new_track_has_no_spread_yet() -> None:
    found = flown(north(40.0), seconds=1.0)
    unknown = {name for name, value in found.items() if np.isnan(value)}
    assert unknown == {"speed_spread", "turn", "crooked", "net", "climb_spread"}


def test_looking_ten_times_a_second_says_the_same_as_once() -> None:
    often, once = flown(north(40.0), every_s=0.1), flown(north(40.0))
    assert often == pytest.approx(once, rel=1e-9)


def test_without_a_new_plot_nothing_is_added() -> None:
    memory = Behaviour()
    flown(north(40.0), seconds=20.0, memory=memory)
    before = memory.features.copy()
    row = at(T0_US + 20 * S, {"speed_mps": 90.0})
    for second in range(21, 60):
        memory.look(*picture([row], T0_US + second * S))
    np.testing.assert_array_equal(memory.features, before)


def mixed(ids: list[int], second: int, seed: int = 1) -> tuple[Any, Any]:
    """A table of some of the tracks of one night, each as it is at this second whoever is beside it."""
    rows = []
    now_us = T0_US + second * S
    for one in ids:
        luck = np.random.default_rng([seed, one, second])
        row = {"speed_mps": float(luck.uniform(5, 90)), "course_rad": float(luck.uniform(0, 6)), "agl_m": 50.0 * one}
        rows.append(at(now_us, {**row, "height_known": bool(luck.random() < 0.7)}))
    return picture(rows, now_us, ids)


def test_tracks_do_not_depend_on_their_neighbours() -> None:
    together, alone = Behaviour(), Behaviour()
    for second in range(30):
        together.look(*mixed([2, 5, 9][: 1 + second % 3] if second < 6 else [2, 5, 9], second))
        alone.look(*mixed([2], second))
    np.testing.assert_array_equal(together.features[0], alone.features[0])
    np.testing.assert_array_equal(together.densities[0], alone.densities[0])


def test_memory_is_as_long_as_the_table_and_a_track_that_comes_back_is_new() -> None:
    memory = Behaviour()
    for second in range(20):
        memory.look(*mixed([1, 2, 3], second))
    memory.look(*mixed([3], 20))
    assert memory.features.shape == (1, len(FEATURES))
    memory.look(*mixed([1, 3], 21))
    assert memory.features[0, FEATURES.index("age")] == pytest.approx(log(2.0))
    assert memory.features[1, FEATURES.index("age")] == pytest.approx(log(23.0))


def test_a_cold_start_forgets_everything() -> None:
    memory = Behaviour()
    for second in range(20):
        memory.look(*mixed([1], second))
    tracks, facts = mixed([1], 20)
    memory.look(replace(tracks, epoch=tracks.epoch + 1), facts)
    assert memory.features[0, FEATURES.index("age")] == pytest.approx(log(2.0))


def test_a_restored_memory_goes_on_as_if_nothing_had_happened() -> None:
    whole, first = Behaviour(), Behaviour()
    for second in range(15):
        for memory in (whole, first):
            memory.look(*mixed([1, 4], second))
    kept = first.snapshot()
    second_half = Behaviour()
    second_half.restore(kept)
    first.look(*mixed([1], 15, seed=9))  # what happens to the old one does not reach the copy
    for second in range(15, 40):
        for memory in (whole, second_half):
            memory.look(*mixed([1, 4, 6], second))
    np.testing.assert_array_equal(whole.features, second_half.features)
    np.testing.assert_array_equal(whole.densities, second_half.densities)


def test_densities_are_those_of_the_features() -> None:
    memory = Behaviour()
    for second in range(10):
        memory.look(*mixed([1, 2, 3, 4], second))
    np.testing.assert_array_equal(memory.densities, classes.log_densities(memory.features))


def test_an_empty_table_is_no_trouble() -> None:
    memory = Behaviour()
    memory.look(*mixed([], 0))
    memory.look(*mixed([1], 1))
    memory.look(*mixed([], 2))
    assert memory.features.shape == (0, len(FEATURES))
