"""What objects said last, against a plain dictionary that is told the same one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modes import latest
from adapters.modes.latest import NEVER_US, Latest

GROUPS = {"name": {"callsign": "S8"}, "speed": {"east_mps": "f8", "nacv": "i1"}}
REPORT = st.tuples(st.integers(0, 5), st.integers(0, 3_000_000), st.booleans(), st.booleans(), st.integers(0, 99))


def told(follower: Latest, reports: list[tuple[int, int, bool, bool, int]]) -> list[tuple[object, ...]]:
    """What is known at each report: (age, callsign), (age, speed, nacv); None for nothing."""
    keys, gaps_us, names, speeds, values = (np.array(column) for column in zip(*reports, strict=True))
    t_us = 1_000_000 + np.cumsum(gaps_us)
    known = follower.follow(
        keys,
        t_us,
        {
            "name": (names, {"callsign": np.array([b"N%d" % v for v in values], "S8")}),
            "speed": (speeds, {"east_mps": values * 1.5, "nacv": (values % 5).astype(np.int8)}),
        },
    )
    return [
        tuple(
            None
            if known[g].age_us[n] == NEVER_US
            else (int(known[g].age_us[n]), *(c[n] for c in known[g].values.values()))
            for g in GROUPS
        )
        for n in range(len(keys))
    ]


def plainly(reports: list[tuple[int, int, bool, bool, int]]) -> list[tuple[object, ...]]:
    """The same with a dictionary."""
    kept: dict[tuple[int, str], tuple[int, tuple[object, ...]]] = {}
    found, t_us = list[tuple[object, ...]](), 1_000_000
    for key, gap_us, name, speed, value in reports:
        t_us += gap_us
        if name:
            kept[key, "name"] = (t_us, (b"N%d" % value,))
        if speed:
            kept[key, "speed"] = (t_us, (value * 1.5, value % 5))
        said = [kept.get((key, g)) for g in GROUPS]
        found.append(tuple(None if s is None else (t_us - s[0], *s[1]) for s in said))
    return found


@settings(max_examples=60)
@given(st.lists(REPORT, min_size=1, max_size=40))
def test_a_batch_knows_what_one_by_one_would(reports: list[tuple[int, int, bool, bool, int]]) -> None:
    assert told(Latest(GROUPS), reports) == plainly(reports)


@settings(max_examples=40)
@given(st.lists(REPORT, min_size=2, max_size=40), st.data())
def test_it_does_not_matter_where_a_batch_ends(
    reports: list[tuple[int, int, bool, bool, int]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(reports) - 1))
    follower = Latest(GROUPS)
    before = sum(gap for _, gap, *_ in reports[:cut])
    rest = [(reports[cut][0], reports[cut][1] + before, *reports[cut][2:]), *reports[cut + 1 :]]
    assert told(follower, reports[:cut]) + told(follower, rest) == plainly(reports)


def test_no_more_objects_are_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "MOST_OBJECTS", 8)
    follower = Latest(GROUPS)
    for n in range(9):
        told(follower, [(n, n, True, True, n)])
    assert follower.forgotten == 4  # the half that was silent longest
    assert len(follower) == 5
    assert told(follower, [(8, 20, False, False, 0), (7, 0, False, False, 0), (0, 0, False, False, 0)]) == [
        ((12, b"N8"), (12, 12.0, 3)),
        ((13, b"N7"), (13, 10.5, 2)),
        (None, None),
    ]


def test_more_objects_at_once_than_there_is_room_for_are_heard_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latest, "MOST_OBJECTS", 4)
    follower = Latest(GROUPS)
    reports = [(key, 1, True, True, key) for key in (0, 1, 2, *range(20), 19)]
    heard = told(follower, reports)
    assert [row[0] for row in heard] == [(0, b"N%d" % key) for key, *_ in reports]
    assert len(follower) <= 4
    assert follower.forgotten >= 16
