"""The memory of the tracker: one slot a track, arrays that grow by doubling, slots given out lowest first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from fusion.associate import (
    ADDRESS,
    BELIEF,
    BIRTH,
    CATEGORY,
    CLAIM,
    CONFIRMED,
    HEIGHT,
    HITS,
    META,
    MODE3A,
    MODE3A_US,
    ODDS,
    RADAR,
    STATUS,
    UPDATE,
)
from fusion.filters.imm import combine_1, predict_1
from fusion.filters.params import MODELS
from fusion.kernels import HIST, RING
from fusion.schema import F8, I8

FIRST_ROOM = 256
_FIELDS = "mean cov mode time_us x p hist ring v_sigma meta belief hit_us look_us rate callsign serial".split()


class Bank:
    """Arrays of all tracks. A free slot has status -1. Array shapes: (room, ...) as in the body below."""

    def __init__(self, sensors: int) -> None:
        self._sensors = sensors
        self._allot(FIRST_ROOM)

    def _allot(self, room: int) -> None:
        n = self._sensors
        self.mean = np.zeros((room, MODELS, 6))
        self.cov = np.zeros((room, MODELS, 6, 6))
        self.mode = np.zeros((room, MODELS))
        self.time_us = np.zeros(room, np.int64)
        self.x = np.zeros((room, 6))
        self.p = np.zeros((room, 6, 6))
        self.hist = np.zeros((room, RING, HIST))
        self.ring = np.zeros((room, 3), np.int64)
        self.v_sigma = np.zeros(room)
        self.meta = np.full((room, META), -1, np.int64)
        self.belief = np.zeros((room, BELIEF))
        self.hit_us = np.full((room, n), -1, np.int64)
        self.look_us = np.full((room, n), -1, np.int64)
        self.rate = np.zeros((room, n, 2))
        self.callsign = np.zeros(room, "S8")
        self.serial = np.zeros(room, "S20")

    def filter(self) -> tuple[Any, ...]:
        """The arrays that `kernels.BANK` names, in its order."""
        return (
            self.mean, self.cov, self.mode, self.time_us, self.x, self.p, self.hist, self.ring, self.v_sigma,
        )  # fmt: skip

    def live(self) -> I8:
        """Slots in use, rising."""
        return np.flatnonzero(self.meta[:, STATUS] >= 0)

    def free(self) -> I8:
        """Slots not in use, rising."""
        return np.flatnonzero(self.meta[:, STATUS] < 0)

    def reserve(self, n: int) -> None:
        """Make sure that n slots are free."""
        room = len(self.meta)
        if len(self.free()) >= n:
            return
        old = {name: getattr(self, name) for name in _FIELDS}
        self._allot(max(2 * room, room + n))
        for name in _FIELDS:
            getattr(self, name)[:room] = old[name]

    def release(self, slot: int) -> None:
        """Give a slot back."""
        self.meta[slot] = -1
        self.callsign[slot] = b""
        self.serial[slot] = b""

    def addresses(self, live: I8) -> tuple[I8, I8]:
        """(addresses, slots) of the tracks that have one, in order of address."""
        slots = live[self.meta[live, ADDRESS] >= 0]
        known = self.meta[slots, ADDRESS]
        order = np.argsort(known, kind="stable")
        return known[order], slots[order]

    def ahead(self, slots: I8, t_us: int, table: F8) -> tuple[F8, F8, F8]:
        """State (n, 6), covariance (n, 6, 6) and mode (n, 3) of the given tracks, carried to t_us."""
        state, cov, mode = np.empty((len(slots), 6)), np.empty((len(slots), 6, 6)), np.empty((len(slots), MODELS))
        _ahead_n(slots, t_us, self.mean, self.cov, self.mode, self.time_us, table, state, cov, mode)
        return state, cov, mode

    def absorb(self, keep: int, drop: int) -> None:
        """`keep` takes over from `drop`, which is the same object: the surer state, and what either knows."""
        if np.trace(self.p[drop, :3, :3]) < np.trace(self.p[keep, :3, :3]):
            for array in self.filter():
                array[keep] = array[drop]
        meta, other = self.meta[keep], self.meta[drop]
        for column in (UPDATE, MODE3A_US, CLAIM, RADAR, HEIGHT):
            meta[column] = max(meta[column], other[column])
        for column in (BIRTH, CONFIRMED):
            meta[column] = min(meta[column], other[column])
        for column in (ADDRESS, MODE3A, CATEGORY):
            if meta[column] < 0:
                meta[column] = other[column]
        meta[HITS] += other[HITS]
        self.belief[keep, ODDS] = max(self.belief[keep, ODDS], self.belief[drop, ODDS])
        self.hit_us[keep] = np.maximum(self.hit_us[keep], self.hit_us[drop])
        self.look_us[keep] = np.maximum(self.look_us[keep], self.look_us[drop])
        self.rate[keep] += self.rate[drop]
        if self.callsign[keep] == b"":
            self.callsign[keep] = self.callsign[drop]
        if self.serial[keep] == b"":
            self.serial[keep] = self.serial[drop]

    def snapshot(self) -> dict[str, np.ndarray | int | float]:
        """Every slot up to the highest in use."""
        live = self.live()
        end = int(live[-1]) + 1 if len(live) else 0
        return {"room": len(self.meta), **{name: getattr(self, name)[:end].copy() for name in _FIELDS}}

    def restore(self, state: dict[str, np.ndarray | int | float]) -> None:
        """Go on from `snapshot`."""
        self._allot(int(state["room"]))
        for name in _FIELDS:
            kept = np.asarray(state[name])
            getattr(self, name)[: len(kept)] = kept


@njit(
    "void(int64[::1], int64, float64[:, :, ::1], float64[:, :, :, ::1], float64[:, ::1], int64[::1], float64[::1], "
    "float64[:, ::1], float64[:, :, ::1], float64[:, ::1])",
    cache=True,
    nogil=True,
)
def _ahead_n(
    slots: I8, t_us: int, mean: F8, cov: F8, mode: F8, time_us: I8, table: F8, out_x: F8, out_p: F8, out_mode: F8
) -> None:
    mean_w = np.empty((MODELS, 6))
    cov_w = np.empty((MODELS, 6, 6))
    for i in range(slots.shape[0]):
        slot = slots[i]
        dt_s = (t_us - time_us[slot]) * 1e-6
        predict_1(mean[slot], cov[slot], mode[slot], table, dt_s, mean_w, cov_w, out_mode[i])
        combine_1(mean_w, cov_w, out_mode[i], out_x[i], out_p[i])
