"""Tracks that ended, and what may go on from them."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.redlines import bygone
from fusion.redlines.bygone import FARTHEST_M, FLOWN_US, MOST, PLACE_US, STOOD_M, Bygone, Past, heirs
from fusion.schema import US_PER_S
from tests.states import bits, kept

SIGMA_M = 50.0


def ended(east_m: list[float], speed_mps: float = 0.0, stood: bool = False, end_us: int = 0) -> Past:
    """So many tracks in a row, that moved east."""
    n = len(east_m)
    xyz, velocity = np.zeros((n, 3)), np.zeros((n, 3))
    xyz[:, 0], velocity[:, 0] = east_m, speed_mps
    numbers = np.arange(2.0 * n).reshape(n, 2)
    return Past(np.full(n, end_us), xyz, velocity, np.full(n, SIGMA_M), np.full(n, stood), numbers)


def found(past: Past, east_m: list[float], after_s: float) -> list[int]:
    xyz = np.zeros((len(east_m), 3))
    xyz[:, 0] = east_m
    rows = heirs(past, xyz, np.full(len(east_m), SIGMA_M), round(after_s * US_PER_S))
    return [int(row) for row in rows]


def test_the_nearest_to_where_it_would_be_is_gone_on_from() -> None:
    past = ended([0.0, 700.0, 9_000.0], speed_mps=20.0)
    assert found(past, [600.0, 1_200.0, 1_000.0, 5_000.0, 9_590.0], 30.0) == [0, 1, 1, -1, 2]
    assert found(past, [], 30.0) == []
    assert found(bygone.nothing(2), [600.0], 30.0) == [-1]


@pytest.mark.parametrize(("stood", "lasts_us"), [(False, FLOWN_US), (True, PLACE_US)])
def test_it_is_forgotten_after_its_time(stood: bool, lasts_us: int) -> None:
    past, last_s = ended([0.0], stood=stood), lasts_us / US_PER_S
    assert found(past, [0.0], last_s) == [0]
    assert found(past, [0.0], last_s + 1.0) == [-1]
    memory = Bygone(2)
    memory.add(past, 0)
    memory.add(ended([50_000.0], end_us=lasts_us + 1), lasts_us + 1)
    assert memory.past.xyz_m[:, 0].tolist() == [50_000.0]


def test_what_stood_is_gone_on_from_where_it_stood_and_silence_widens_only_what_flew() -> None:
    near_m = STOOD_M + 2.0 * SIGMA_M
    assert found(ended([0.0], stood=True), [near_m, 2.0 * near_m], 1_000.0) == [0, -1]
    assert found(ended([0.0]), [near_m], 1.0) == [-1]
    assert found(ended([0.0]), [near_m], 60.0) == [0]
    assert found(ended([0.0]), [1.01 * FARTHEST_M], 119.0) == [-1]


def test_what_is_remembered_has_a_limit_and_the_oldest_go() -> None:
    memory = Bygone(2)
    for number in range(3):
        memory.add(ended([float(number)] * 1_000, stood=True, end_us=number), number)
    assert len(memory.past) == MOST
    assert memory.past.end_us[0] == 1
    assert memory.past.end_us[-1] == 2


def test_it_goes_on_after_a_restart() -> None:
    one, two = Bygone(2), Bygone(2)
    one.add(ended([0.0, 700.0], speed_mps=20.0), 0)
    two.restore(kept(one.snapshot()))
    assert found(two.past, [600.0], 30.0) == [0]
    assert bits(two.snapshot()) == bits(one.snapshot())
    one.clear()
    two.restore(one.snapshot())
    assert len(two.past) == 0
