"""What is remembered of every track between two looks: since when each rule holds, and where the object came from.

Struct of arrays, rows in order of track id; a column for every rule. Times are tick times; -1 is "not".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion.rules import Rule, RuleSet
from fusion.schema import B1, F8, I4, I8, US_PER_S

FAR_M = 1e9  # further than anything
FORGET_US = 120 * US_PER_S  # a track that left the table without a word is forgotten after this


class Dwell:
    """Memory per track and rule. Its size is that of the picture: rows go when the track ends."""

    def __init__(self, ruleset: RuleSet) -> None:
        self.rules = ruleset.rules
        self.words = ruleset.words
        self.dwell_us = np.array([round(rule.dwell_s * US_PER_S) for rule in self.rules], np.int64)
        self.hold_us = np.array([round(rule.hold_s * US_PER_S) for rule in self.rules], np.int64)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        width = len(self.rules)
        self.id: I8 = np.empty(0, np.int64)  # (m,)
        self.seen_us: I8 = np.empty(0, np.int64)  # (m,) last in the table
        self.out: B1 = np.empty(0, np.bool_)  # (m,) it was clearly outside, near the border
        self.from_outside: B1 = np.empty(0, np.bool_)  # (m,) or may have come over it before it was first seen
        self.first_us: I8 = np.empty(0, np.int64)  # (m,) first in the table
        self.first_m: F8 = np.empty(0)  # (m,) how deep inside it was then; FAR_M: not near the border
        self.true_us: I8 = np.empty((0, width), np.int64)  # (m, rules) since when `when` holds without a break
        self.false_us: I8 = np.empty((0, width), np.int64)  # (m, rules) since when `keep` does not hold
        self.muted: B1 = np.empty((0, width), np.bool_)  # (m, rules) a person closed it; until it has cleared
        self.episode: I4 = np.empty((0, width), np.int32)  # (m, rules) times raised

    def align(self, ids: I8, distance_m: F8, p_inside: F8, speed_mps: F8, now_us: int) -> I8:
        """Add rows for new ids and bring the memory of origin up to date; (n,) the row of each id here.

        An object whose first place is just within can have come over the border before it was seen: no deeper than
        `first_seen_m`, and (beyond `first_seen_always_m`) than it flies in `first_seen_s` at `speed_mps`. That is what
        it surely has: the first plots make paragliders fast. What is known after `origin_s` stands.
        """
        new = ids[~np.isin(ids, self.id, assume_unique=True)]
        if len(new):
            self._insert(new, now_us)
        at = np.asarray(np.searchsorted(self.id, ids), np.int64)
        first = np.isin(ids, new, assume_unique=True)
        near = distance_m <= self.words.near_m
        clearly_out = (p_inside <= self.words.p_outside) & near
        self.first_m[at] = np.where(first, np.where(near, -distance_m, FAR_M), self.first_m[at])
        self.out[at] |= clearly_out
        words = self.words
        flown_m = np.fmax(speed_mps * words.first_seen_s, words.first_seen_always_m)
        reach_m = np.minimum(flown_m, words.first_seen_m)
        young = now_us - self.first_us[at] <= self.words.origin_s * US_PER_S
        came = np.where(young, self.first_m[at] <= reach_m, self.from_outside[at])
        self.from_outside[at] = self.out[at] | came
        self.seen_us[at] = now_us
        return at

    def update(self, at: I8, when: B1, keep: B1, now_us: int) -> None:
        """Note which rules hold now: `when` and `keep` (n, rules) of the rows `at`. Absent rows hold none."""
        shape = self.true_us.shape
        when_all, keep_all = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
        when_all[at], keep_all[at] = when, keep
        self.true_us = np.where(when_all, np.where(self.true_us < 0, now_us, self.true_us), -1)
        self.false_us = np.where(keep_all, -1, np.where(self.false_us < 0, now_us, self.false_us))
        self.muted &= ~self.cleared(now_us)

    def ready(self, now_us: int) -> B1:
        """(m, rules) true for long enough to be raised, and not closed by a person."""
        return np.asarray((self.true_us >= 0) & (now_us - self.true_us >= self.dwell_us) & ~self.muted, np.bool_)

    def cleared(self, now_us: int) -> B1:
        """(m, rules) not true for long enough to be closed."""
        return np.asarray((self.false_us >= 0) & (now_us - self.false_us >= self.hold_us), np.bool_)

    def row(self, track_id: int) -> int:
        """Row of a track, -1 when it is not remembered."""
        at = int(np.searchsorted(self.id, track_id))
        return at if at < len(self.id) and self.id[at] == track_id else -1

    def mute(self, row: int, severity: int) -> None:
        """A person closed an alert: rules that hold now and are not more severe stay silent until they have cleared."""
        milder = np.array([rule.severity >= severity for rule in self.rules], np.bool_)
        self.muted[row] |= milder & (self.false_us[row] < 0)

    def forget(self, ids: Sequence[int]) -> None:
        """Drop tracks that ended."""
        self._keep(~np.isin(self.id, np.asarray(ids, np.int64)))

    def forget_absent(self, now_us: int) -> None:
        """Drop tracks that have been out of the table for `FORGET_US`."""
        stay = now_us - self.seen_us < FORGET_US
        if not stay.all():
            self._keep(stay)

    def snapshot(self) -> dict[str, Any]:
        """All that it remembers."""
        return {
            "rules": [_key(rule) for rule in self.rules],
            "id": self.id.copy(),
            "seen_us": self.seen_us.copy(),
            "out": self.out.copy(),
            "from_outside": self.from_outside.copy(),
            "first_us": self.first_us.copy(),
            "first_m": self.first_m.copy(),
            "true_us": self.true_us.copy(),
            "false_us": self.false_us.copy(),
            "muted": self.muted.copy(),
            "episode": self.episode.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`. A rule that was not there, or in another version, starts without memory."""
        self.clear()
        self._insert(state["id"], 0)
        for name in ("seen_us", "from_outside", "out", "first_us", "first_m"):
            setattr(self, name, state[name].copy())
        for column, rule in enumerate(self.rules):
            if _key(rule) not in state["rules"] or not len(self.id):
                continue
            old = state["rules"].index(_key(rule))
            for name in ("true_us", "false_us", "muted", "episode"):
                getattr(self, name)[:, column] = state[name][:, old]

    def _insert(self, new: I8, now_us: int) -> None:
        blank = np.full((len(new), len(self.rules)), -1, np.int64)
        ids = np.concatenate([self.id, new])
        order = np.argsort(ids, kind="stable")
        self.id = ids[order]
        self.seen_us = np.concatenate([self.seen_us, np.full(len(new), now_us, np.int64)])[order]
        self.out = np.concatenate([self.out, np.zeros(len(new), np.bool_)])[order]
        self.from_outside = np.concatenate([self.from_outside, np.zeros(len(new), np.bool_)])[order]
        self.first_us = np.concatenate([self.first_us, np.full(len(new), now_us, np.int64)])[order]
        self.first_m = np.concatenate([self.first_m, np.full(len(new), FAR_M)])[order]
        self.true_us = np.concatenate([self.true_us, blank])[order]
        self.false_us = np.concatenate([self.false_us, blank])[order]
        self.muted = np.concatenate([self.muted, np.zeros(blank.shape, np.bool_)])[order]
        self.episode = np.concatenate([self.episode, np.zeros(blank.shape, np.int32)])[order]

    def _keep(self, rows: B1) -> None:
        for name in (
            "id",
            "seen_us",
            "out",
            "from_outside",
            "first_us",
            "first_m",
            "true_us",
            "false_us",
            "muted",
            "episode",
        ):
            setattr(self, name, getattr(self, name)[rows])


def _key(rule: Rule) -> str:
    return f"{rule.id}|{rule.version}"
