"""The newest that each object said: receivers hear of an aircraft in pieces, and a plot needs them together.

An aircraft says its name, its place and its velocity in messages of their own. `Latest` keeps the newest of each group
of values by key, and gives every new report what its object had said by then, with its age. How old is too old is the
caller's to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.schema import B1, I8

NEVER_US = np.iinfo(np.int64).max  # the age of what was never said
MOST_OBJECTS = 8_192  # ten times the busiest sky that one antenna hears
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Known:
    """Of n reports, what their objects had said of one group by then."""

    age_us: I8  # (n,) NEVER_US: nothing
    values: Columns  # each (n,); whatever, where nothing was said

    def within(self, most_us: int) -> B1:
        """(n,) where it is no older than that."""
        return self.age_us <= most_us


class Latest:
    """Keeps at most `MOST_OBJECTS`; where more are heard of, the half that was silent longest is forgotten, counted."""

    def __init__(self, groups: Mapping[str, Mapping[str, str]]) -> None:
        """`groups` gives the columns of each group and their numpy types."""
        self._rows: dict[int, int] = {}
        self._free = list(range(MOST_OBJECTS))[::-1]
        self._heard_us = np.zeros(MOST_OBJECTS, np.int64)
        self._said_us = {group: np.full(MOST_OBJECTS, -1, np.int64) for group in groups}
        self._values = {
            group: {name: np.zeros(MOST_OBJECTS, kind) for name, kind in columns.items()}
            for group, columns in groups.items()
        }
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._rows)

    def holds(self, keys: I8) -> B1:
        """(n,) of whom anything is kept."""
        return np.array([key in self._rows for key in keys.tolist()], np.bool_)

    def follow(self, keys: I8, t_us: I8, said: Mapping[str, tuple[B1, Columns]]) -> dict[str, Known]:
        """What is known at each of n reports, in the order in which they came, themselves included.

        Args:
            keys: (n,) who each report is of.
            t_us: (n,) when.
            said: by group, where a report says it (n,), and what (n,).
        """
        if not len(keys):
            return {group: Known(t_us, columns) for group, (_, columns) in said.items()}
        if len(keys) > MOST_OBJECTS:  # of as many objects, perhaps: there is room for those of a part at least
            parts = [slice(at, at + MOST_OBJECTS) for at in range(0, len(keys), MOST_OBJECTS)]
            return _joined([self.follow(keys[part], t_us[part], _cut(said, part)) for part in parts])
        names, owner = np.unique(keys, return_inverse=True)
        kept = self._kept(names, int(t_us.max()))
        m, n = len(names), len(keys)
        # Behind one another: what was kept of each object, then its reports.
        order = np.argsort(np.concatenate([np.arange(m), owner]), kind="stable")
        place = np.empty(m + n, np.int64)
        place[order] = np.arange(m + n)
        first = place[:m]
        last = np.append(first[1:], m + n) - 1
        known = {}
        for group, (has, columns) in said.items():
            stored_us = self._said_us[group]
            t_all_us = np.concatenate([stored_us[kept], t_us])
            there = np.concatenate([stored_us[kept] >= 0, has])
            run = np.maximum.accumulate(np.where(there[order], np.arange(m + n), -1))
            at = run[place[m:]]
            ok = at >= first[owner]
            source = order[np.where(ok, at, 0)]
            both = {k: np.concatenate([self._values[group][k][kept], column]) for k, column in columns.items()}
            age_us = np.where(ok, t_us - t_all_us[source], NEVER_US)
            known[group] = Known(age_us, {name: column[source] for name, column in both.items()})
            newest = run[last]
            some = newest >= first
            source = order[newest[some]]
            stored_us[kept[some]] = t_all_us[source]
            for name, column in both.items():
                self._values[group][name][kept[some]] = column[source]
        self._heard_us[kept] = np.maximum(self._heard_us[kept], t_us[order[last] - m])
        return known

    def _kept(self, names: I8, now_us: int) -> I8:
        """The row of each of these objects; new ones get one."""
        rows = [self._rows.get(name, -1) for name in names.tolist()]
        new = [n for n, row in enumerate(rows) if row < 0]
        if len(new) > len(self._free):
            self._forget(max(len(new), MOST_OBJECTS // 2), [row for row in rows if row >= 0])
        for n in new:
            rows[n] = self._rows[int(names[n])] = row = self._free.pop()
            self._heard_us[row] = now_us
            for times in self._said_us.values():
                times[row] = -1
        return np.array(rows, np.int64)

    def _forget(self, room: int, needed: list[int]) -> None:
        spared = np.zeros(MOST_OBJECTS, np.bool_)
        spared[needed] = True
        oldest = sorted(self._rows.items(), key=lambda item: (int(self._heard_us[item[1]]), item[0]))
        for name, row in oldest:
            if len(self._free) >= room:
                break
            if not spared[row]:
                del self._rows[name]
                self._free.append(row)
                self.forgotten += 1


def _cut(said: Mapping[str, tuple[B1, Columns]], part: slice) -> dict[str, tuple[B1, Columns]]:
    return {
        group: (has[part], {name: column[part] for name, column in columns.items()})
        for group, (has, columns) in said.items()
    }


def _joined(parts: Sequence[dict[str, Known]]) -> dict[str, Known]:
    return {
        group: Known(
            np.concatenate([part[group].age_us for part in parts]),
            {name: np.concatenate([part[group].values[name] for part in parts]) for name in parts[0][group].values},
        )
        for group in parts[0]
    }
