"""Several objects, one incident or two: place, way, speed and time, each on its own."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion import geo
from fusion.cases.grouping import NOWHERE, GroupParams, Groups, Mark
from fusion.schema import US_PER_S
from tests.airpicture import T0_US

PARAMS = GroupParams()
HERE = Mark(T0_US, math.radians(54.5), math.radians(25.5), math.radians(300.0), 42.0)


def moved(mark: Mark, bearing_deg: float, distance_m: float, **changed: float) -> Mark:
    lat, lon, _ = geo.direct(mark.lat_rad, mark.lon_rad, math.radians(bearing_deg), distance_m)
    return replace(mark, lat_rad=float(lat[0]), lon_rad=float(lon[0]), **changed)  # type: ignore[arg-type]


def nearest(new: Mark, *known: tuple[int, Mark, Mark]) -> int:
    """Of members (group, first, last)."""
    groups = Groups(new.t_us, PARAMS)
    for member in known:
        groups.add(*member)
    return groups.nearest(new, [True] * (1 + max((group for group, _, _ in known), default=0)))


def group_of(new: Mark, *known: Mark) -> int:
    return nearest(new, *((i, mark, mark) for i, mark in enumerate(known)))


@pytest.mark.parametrize(
    "name, other, same",
    [
        ("beside", moved(HERE, 30.0, 9_900.0), True),
        ("too far", moved(HERE, 30.0, 10_100.0), False),
        ("a slight turn", moved(HERE, 30.0, 900.0, course_rad=math.radians(329.0)), True),
        ("another way", moved(HERE, 30.0, 900.0, course_rad=math.radians(331.0)), False),
        ("across north", moved(HERE, 30.0, 900.0, course_rad=math.radians(300.0 - 360.0 + 10.0)), True),
        ("a little faster", moved(HERE, 30.0, 900.0, speed_mps=56.9), True),
        ("much faster", moved(HERE, 30.0, 900.0, speed_mps=57.1), False),
        ("it stands", moved(HERE, 30.0, 900.0, speed_mps=4.0), False),
        ("course not known", moved(HERE, 30.0, 900.0, course_rad=math.nan), False),
        ("nowhere", NOWHERE, False),
    ],
)
def test_each_limit_counts_on_its_own(name: str, other: Mark, same: bool) -> None:
    assert group_of(other, HERE) == (0 if same else -1), name


def test_two_that_stand_have_no_way_to_differ_in() -> None:
    still = replace(HERE, speed_mps=2.0)
    assert group_of(moved(still, 0.0, 500.0, course_rad=math.radians(120.0)), still) == 0


def test_one_that_was_lost_is_reckoned_on() -> None:
    """42 m/s for 500 s is 21 km along its course: there it belongs, and not where it was."""
    later = replace(HERE, t_us=HERE.t_us + 500 * US_PER_S)
    old = (0, replace(HERE, t_us=HERE.t_us - 3_600 * US_PER_S), HERE)
    assert nearest(moved(later, 300.0, 21_000.0), old) == 0
    assert nearest(later, old) == -1
    much_later = replace(HERE, t_us=HERE.t_us + 601 * US_PER_S)
    assert nearest(moved(much_later, 300.0, 601 * 42.0), old) == -1


def test_one_behind_another_over_the_same_place_belongs_to_it() -> None:
    """The first has flown on 21 km; the second is first alerted where the first was, 500 s before."""
    first = (0, HERE, moved(HERE, 300.0, 21_000.0, t_us=HERE.t_us + 500 * US_PER_S))
    assert nearest(replace(HERE, t_us=HERE.t_us + 500 * US_PER_S), first) == 0
    assert nearest(replace(HERE, t_us=HERE.t_us + 601 * US_PER_S), first) == -1


def test_small_differences_do_not_add_up_to_another_direction() -> None:
    chain = [moved(HERE, 0.0, 100.0 * i, course_rad=math.radians(0.0 + 25.0 * i)) for i in range(4)]
    known = [(0, mark, mark) for mark in chain]
    assert nearest(replace(HERE, course_rad=math.radians(95.0)), *known) == 0
    assert nearest(replace(HERE, course_rad=math.radians(104.0)), *known) == -1


@given(st.permutations(range(6)))
def test_the_nearest_group_whatever_the_order(order: list[int]) -> None:
    known = [(i // 2, mark, mark) for i, mark in enumerate(moved(HERE, 60.0 * i, 9_000.0 - i) for i in range(6))]
    assert nearest(HERE, *(known[i] for i in order)) == 2


@given(st.floats(-1.4, 1.4), st.floats(-math.pi, math.pi), st.floats(0.0, 2 * math.pi), st.floats(0.0, 300.0))
def test_an_object_belongs_to_itself_anywhere(lat: float, lon: float, course: float, speed: float) -> None:
    mark = Mark(T0_US, lat, lon, course, speed)
    assert group_of(mark, mark) == 0
    assert group_of(mark) == -1
    assert np.isnan(NOWHERE.lat_rad)


def test_groups_grow_and_one_that_is_not_allowed_is_passed_over() -> None:
    groups = Groups(T0_US, PARAMS)
    for i in range(200):
        place = moved(HERE, 90.0, 20_000.0 * i)
        groups.add(i, place, place)
    assert [groups.nearest(moved(HERE, 90.0, 20_000.0 * i), [True] * 200) for i in (0, 63, 64, 199)] == [0, 63, 64, 199]
    assert groups.nearest(HERE, [False] + [True] * 199) == -1
