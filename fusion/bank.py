"""The memory of the tracker: one slot a track, slots given out lowest first.

The table has room for MOST_TRACKS from the start. Its arrays are zeros that nobody has touched, so they take memory
only as far as slots have been in use, and nothing is ever copied to grow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fusion.associate import (
    ADDRESS,
    BELIEF,
    BIRTH,
    CATEGORY,
    CLAIM,
    CONFIRMED,
    COUNTS,
    FOUND,
    HEIGHT,
    HINT,
    HITS,
    LEVEL,
    LEVEL_US,
    LOOKS,
    META,
    MODE3A,
    MODE3A_US,
    NEAR,
    NEXT_ID,
    ODDS,
    RADAR,
    SEEN,
    STALE,
    STATUS,
    TOP,
    UPDATE,
    WAKE,
    note_1,
    note_n,
)
from fusion.filters.params import MODELS
from fusion.hits import SIZES
from fusion.kernels import PLOT, SLAB, WIDE, WORDS, ahead_n
from fusion.schema import F8, I8

MOST_TRACKS = 65_536  # tentative ones included: three times what a crowded continent and heavy clutter give
UNLIKELY = -30.0  # log-odds of what nothing has seen
MOST_RECENT = 4_096  # plots of one radar that may be given out again; the oldest fall out
# Columns of `recent_n`, for the ring of each radar's recent plots: place of the oldest, number.
R_FIRST, R_NUMBER = 0, 1
_FIELDS = "meta belief hit_us look_us rate size cell callsign serial".split()


class Bank:
    """Arrays of all tracks, (room, ...) as in the body below. A free slot has a status below 0."""

    def __init__(self, sensors: int, radars: int, room: int = MOST_TRACKS) -> None:
        self.room = room
        self.slab = np.zeros(room * SLAB)
        self.meta = np.zeros((room, META), np.int64)  # status is meaningful below counts[TOP] only
        self.belief = np.zeros((room, BELIEF))
        self.hit_us = np.zeros((room, sensors), np.int64)
        self.look_us = np.zeros((room, sensors), np.int64)
        self.rate = np.zeros((room, sensors, 3))
        self.size = np.zeros((room, SIZES))
        self.near = np.zeros((room, NEAR))  # what the gate asks, see associate.py; follows from slab and belief
        self.names = np.zeros((room, WORDS), np.int64)  # callsign and serial as eight bytes each, for compiled code
        self.callsign = self.names[:, :1].view("S8")[:, 0]
        self.serial = self.names[:, 1:].view("S24")[:, 0]
        self.after = np.zeros(room, np.int64)  # grid chains
        self.first = np.full(1024, -1, np.int64)  # buckets of the grid, a power of two of them
        self.named = np.full(1024, -1, np.int64)  # and of addresses
        self.cell = np.zeros(room, np.int64)
        self.namesake = np.zeros(room, np.int64)  # chains of addresses
        self.counts = np.zeros(COUNTS, np.int64)
        self.counts[NEXT_ID] = 1
        self.recent = np.zeros((radars, MOST_RECENT), PLOT)
        self.recent_n = np.zeros((radars, 2), np.int64)

    def per_track(self) -> tuple[Any, ...]:
        """The arrays that `existence.PER_TRACK` names, in its order."""
        return self.meta, self.belief, self.hit_us, self.look_us, self.rate, self.size

    def live(self) -> I8:
        """Slots in use, rising."""
        return np.flatnonzero(self.meta[: self.counts[TOP], STATUS] >= 0)

    def release(self, slots: I8) -> None:
        """Give slots back, at least one."""
        self.meta[slots] = -1
        self.names[slots] = 0
        self.counts[STALE] = 1
        self.counts[HINT] = min(int(self.counts[HINT]), int(slots.min()))

    def make_room(self, tracks: int) -> None:
        """Buckets enough for so many tracks."""
        if len(self.first) < tracks:
            self.first = np.full(1 << tracks.bit_length(), -1, np.int64)
            self.named = self.first.copy()
            self.counts[STALE] = 1

    def chains(self) -> tuple[I8, I8, I8, I8, I8]:
        """Tracks by place and by address: first, after, cell_of, named, namesake, see associate.py."""
        return self.first, self.after, self.cell, self.named, self.namesake

    def ahead(self, slots: I8, t_us: int, table: F8) -> tuple[F8, F8, F8]:
        """State (n, 6), covariance (n, 6, 6) and mode (n, 3) of the given tracks, carried to t_us."""
        state, cov, mode = np.empty((len(slots), 6)), np.empty((len(slots), 6, 6)), np.empty((len(slots), MODELS))
        ahead_n(slots, float(t_us), self.slab, table, state, cov, mode)
        return state, cov, mode

    def track(self, slot: int) -> F8:
        """The row of the slab of one track (SLAB,), see kernels.py."""
        return self.slab[slot * SLAB : (slot + 1) * SLAB]

    def absorb(self, keep: int, drop: int) -> None:
        """`keep` takes over from `drop`, which is the same object: the surer state, and what either knows."""
        if self.track(drop)[WIDE] < self.track(keep)[WIDE]:
            self.track(keep)[:] = self.track(drop)
        self._add_up(keep, drop)
        meta, other = self.meta[keep], self.meta[drop]
        for column in (UPDATE, MODE3A_US, CLAIM, RADAR, HEIGHT):
            meta[column] = max(meta[column], other[column])
        if other[LEVEL_US] > meta[LEVEL_US]:
            meta[LEVEL_US], self.belief[keep, LEVEL] = other[LEVEL_US], self.belief[drop, LEVEL]
        for column in (BIRTH, CONFIRMED):
            meta[column] = min(meta[column], other[column])
        meta[FOUND] = max(meta[FOUND], other[FOUND])
        for column in (ADDRESS, MODE3A, CATEGORY):
            if meta[column] < 0:
                meta[column] = other[column]
        if other[HITS] > meta[HITS]:
            self.rate[keep], self.size[keep] = self.rate[drop], self.size[drop]
        meta[HITS] += other[HITS]
        self.hit_us[keep] = np.maximum(self.hit_us[keep], self.hit_us[drop])
        # Only a plot of the other makes a look done: a track just born has its looks still before it.
        self.look_us[keep] = np.maximum(self.look_us[keep], self.hit_us[drop])
        if self.callsign[keep] == b"":
            self.callsign[keep] = self.callsign[drop]
        if self.serial[keep] == b"":
            self.serial[keep] = self.serial[drop]
        self.belief[keep, WAKE] = 0.0
        note_1(keep, self.slab, self.belief, self.near)

    def _add_up(self, keep: int, drop: int) -> None:
        """Existence of both together: the surer one, of all evidence and of what sees."""
        for slot in (keep, drop):
            if self.meta[slot, CLAIM] < 0:
                self.belief[slot, SEEN] = self.belief[slot, ODDS]
            elif self.meta[slot, LOOKS] == 0:
                self.belief[slot, SEEN] = UNLIKELY
        for column in (ODDS, SEEN):
            self.belief[keep, column] = max(self.belief[keep, column], self.belief[drop, column])
        self.meta[keep, LOOKS] += self.meta[drop, LOOKS]

    def recent_plots(self) -> np.ndarray:
        """Recent plots of all radars, oldest first within each, (n,) of PLOT."""
        parts = []
        for ring, (first, number) in zip(self.recent, self.recent_n, strict=True):
            parts.append(ring[(first + np.arange(number)) % MOST_RECENT])
        return np.concatenate(parts) if parts else np.zeros(0, PLOT)

    def snapshot(self) -> dict[str, np.ndarray | int | float]:
        """Every slot that was ever in use."""
        top = int(self.counts[TOP])
        kept = {name: getattr(self, name)[:top].copy() for name in _FIELDS}
        return {
            **kept, "slab": self.slab[: top * SLAB].copy(), "counts": self.counts.copy(),
            "recent": self.recent_plots(), "recent_n": self.recent_n.copy(),
        }  # fmt: skip

    def restore(self, state: dict[str, np.ndarray | int | float]) -> None:
        """Go on from `snapshot` of a bank for the same sensors."""
        self.counts[:] = np.asarray(state["counts"])
        self.slab[: len(np.asarray(state["slab"]))] = np.asarray(state["slab"])
        for name in _FIELDS:
            kept = np.asarray(state[name])
            getattr(self, name)[: len(kept)] = kept
        note_n(int(self.counts[TOP]), self.slab, self.belief, self.near)
        self.first[:] = self.named[:] = -1
        self.counts[STALE] = 1
        self.recent_n[:] = np.asarray(state["recent_n"])
        self.recent_n[:, R_FIRST] = 0
        at = 0
        recent = np.asarray(state["recent"])
        for row, number in enumerate(self.recent_n[:, R_NUMBER].tolist()):
            self.recent[row, :number] = recent[at : at + number]
            at += number
