"""Is a radar to be believed? Votes of its plots for what may be wrong with it, fading over its own periods.

Four faults are told apart, each by plots that have to say so together, never by silence:

    frozen   it repeats plots it gave in an earlier scan, to the last digit
    north    its ranges fit common traffic and its azimuths do so only when turned by many degrees
    clock    its plots fit common traffic only at another time
    lost     aircraft it saw are still there, it sends plots, and none of them fits

A vote is judged over half a period where there is much traffic, over two and over six where there is little.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from fusion.biasfit import heap_1, shifts_1, turned_1
from fusion.schema import B1, F8, I8
from fusion.traffic import TURN_BINS

FADES = np.array([0.5, 2.0, 6.0])  # periods
TURN_LEAST = 4  # degrees: less is a bias that can be corrected
SHIFT_LEAST = 5.0  # plots that fit only at another time
SHIFT_MOST = 1.25  # times what is needed: the score stops there, so that a clock set right is believed soon
SHIFT_SHARE = 0.4  # and as a share of the aircraft that there are
SHIFT_S = np.concatenate([np.arange(-8.0, -1.0, 0.5), np.arange(1.5, 8.1, 0.5)])
LEAST_VOTES = 4.0
REPEATS_LEAST = 5.0
REPEATS_SHARE = 0.6  # of all plots: fixed echoes come back at the same place in coarse steps, aircraft do not
LOST_SHARE = 0.15  # of the aircraft a radar should see, fitted by its plots: fewer, and it is lost
LOST_RIPE = 0.6  # once it was tried for about two periods
KEYS = 1_024  # plots remembered per radar, newest first
RANGE_STEP_M, AZIMUTH_STEP_RAD = 0.25, 1e-6  # two plots closer than this are the same plot


class Fault(IntEnum):
    """What is wrong with a sensor."""

    NONE = 0
    FROZEN = 1
    NORTH = 2
    CLOCK = 3
    LOST = 4


class Consistency:
    """The votes about every radar, by sensor index."""

    def __init__(self, sensors: int) -> None:
        n, f = sensors, len(FADES)
        self.turn = np.zeros((n, f, TURN_BINS))
        self.shift = np.zeros((n, len(SHIFT_S)))  # how much better plots fit with the clock shifted so much
        self.agree = np.zeros((n, f))  # plots that fit some claim
        self.plots = np.zeros((n, f))
        self.repeats = np.zeros((n, f))
        self.ripe = np.zeros((n, f))  # periods that `agree` stands for: less than the fade at first
        self.keys: I8 = np.full((n, KEYS), -1, np.int64)
        self.fault: I8 = np.zeros(n, np.int64)  # Fault
        self.expected: I8 = np.zeros(n, np.int64)  # aircraft it saw of late that are still there
        self.size = np.zeros(n)  # of the fault: degrees, seconds, or aircraft it should see

    def fade(self, s: int, periods: float, measured: bool) -> None:
        """So many periods of the sensor went by; `measured`: with a known bias, so that plots were tried."""
        keep = np.exp(-periods / FADES)
        self.ripe[s] = self.ripe[s] * keep + (1.0 - keep) * FADES * measured
        for votes in (self.agree, self.plots, self.repeats):
            votes[s] *= keep
        self.turn[s] *= keep[:, None]

    def note_plots(self, s: int, range_m: F8, azimuth_rad: F8) -> None:
        """Count plots (n,), and those that repeat one of the last scans."""
        key = np.round(range_m / RANGE_STEP_M).astype(np.int64) * 10_000_000
        key += np.round(azimuth_rad / AZIMUTH_STEP_RAD).astype(np.int64)
        self.plots[s] += len(key)
        known = np.sort(self.keys[s])
        self.repeats[s] += np.count_nonzero(known[np.minimum(np.searchsorted(known, key), KEYS - 1)] == key)
        self.keys[s] = np.concatenate([key[::-1], self.keys[s]])[:KEYS]

    def note_pairs(self, s: int, turn: F8, pairs: F8, bias: F8, measured: bool) -> None:
        """Count the votes of new pairs; for a clock only where the bias is measured, as without it nothing fits."""
        self.turn[s] += turn
        if measured:
            self.agree[s] += shifts_1(pairs, bias, SHIFT_S, SHIFT_MOST * self._much(s), self.shift[s])

    def judge(self, s: int, measured: bool, stepped_s: float) -> None:
        """Raise or clear the fault of a sensor.

        Args:
            measured: its bias is known.
            stepped_s: step of its clock that the fit of its bias came upon; 0 none.
        """
        found, size = self._suspect(s, measured)
        if found == Fault.NONE and stepped_s != 0.0:
            found, size = Fault.CLOCK, stepped_s
            self.shift[s, _nearest(size)] = SHIFT_MOST * self._much(s)
        if found != Fault.NONE:
            self.fault[s], self.size[s] = int(found), size
        elif self.fault[s] != Fault.NONE and self._well(s, measured):
            self.fault[s], self.size[s] = int(Fault.NONE), 0.0
            for votes in (self.turn, self.shift, self.repeats):  # what was held against it is over
                votes[s] = 0.0

    def _suspect(self, s: int, measured: bool) -> tuple[Fault, float]:
        repeats = self.repeats[s]
        if ((repeats >= REPEATS_LEAST) & (repeats > REPEATS_SHARE * self.plots[s])).any():
            return Fault.FROZEN, 0.0
        for f in range(len(FADES)):
            north, size, _, _ = self._turned(s, f)
            if north and not self._fits(s, f, measured):
                return Fault.NORTH, size
        if self.fault[s] != Fault.CLOCK and self.shift[s].max() >= self._much(
            s
        ):  # slow traffic fits several: the middle of the best
            return Fault.CLOCK, float(SHIFT_S[self.shift[s] >= self.shift[s].max() - 0.5].mean())
        ripe, expected = float(self.ripe[s, 1]), int(self.expected[s])
        sends = ripe > LOST_RIPE * FADES[1] and self.plots[s, 1] >= ripe * 0.5 * expected
        if measured and expected >= LEAST_VOTES and sends and self.agree[s, 1] < LOST_SHARE * ripe * expected:
            return Fault.LOST, float(expected)
        return Fault.NONE, 0.0

    def _turned(self, s: int, f: int) -> tuple[bool, float, float, float]:
        """(is there a heap of azimuths elsewhere, at how many degrees, pairs where they should be, pairs there)."""
        votes = self.turn[s, f]
        heap, degrees, here = turned_1(votes, TURN_LEAST)
        mean = 3.0 * max(float(votes.sum()) - heap, 0.0) / TURN_BINS
        enough = heap >= max(LEAST_VOTES, float(heap_1(2.0 * mean, TURN_BINS)))
        return enough and heap > 2.0 * here, degrees, here, heap

    def _fits(self, s: int, f: int, measured: bool) -> bool:
        """Does a faster memory already say that the sensor is well?"""
        agree = self.agree[s]
        return any(measured and agree[g] >= 2.0 and agree[g] > self._turned(s, g)[3] for g in range(f))

    def _much(self, s: int) -> float:
        """Score of a shifted clock to believe in: many of the aircraft that there are, as a bias that changed also
        moves some of them as a clock would."""
        return max(SHIFT_LEAST, SHIFT_SHARE * float(self.expected[s]))

    def _well(self, s: int, measured: bool) -> bool:
        fault = Fault(int(self.fault[s]))
        if fault == Fault.FROZEN:
            return bool((self.repeats[s, :2] < 0.3 * self.plots[s, :2]).all() and self.plots[s, 1] >= 1.0)
        if fault == Fault.CLOCK:
            return bool(self.shift[s, _nearest(float(self.size[s]))] < 1.0 and self.agree[s, 1] >= 2.0)
        for f in range(len(FADES)):
            bad = self._turned(s, f)[3]
            here = self.agree[s, f] if measured else self._turned(s, f)[2]
            if fault == Fault.LOST:
                bad, here = FADES[f] * 0.3 * float(self.expected[s]), self.agree[s, f]
            if here + bad >= 3.0:
                return bool(here >= 2.0 and here >= bad)
        return False

    def words(self, s: int) -> str:
        """The fault in words, "" for none."""
        size = self.size[s]
        return {
            Fault.NONE: "",
            Fault.FROZEN: "repeats its plots of earlier scans",
            Fault.NORTH: f"azimuth fits common traffic only when turned by {size:+.0f} deg",
            Fault.CLOCK: f"clock {'ahead' if size > 0 else 'behind'} by about {abs(size):.1f} s against common traffic",
            Fault.LOST: f"plots fit none of {size:.0f} aircraft it saw before",
        }[Fault(int(self.fault[s]))]

    def believed(self) -> B1:
        """(n,) sensors without a fault."""
        return np.asarray(self.fault == int(Fault.NONE), np.bool_)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything needed to go on."""
        names = ("turn", "shift", "agree", "plots", "repeats", "ripe", "expected", "keys", "fault", "size")
        return {name: getattr(self, name).copy() for name in names}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `snapshot`."""
        for name, value in state.items():
            setattr(self, name, value.copy())


def _nearest(shift_s: float) -> int:
    """Index into SHIFT_S."""
    return int(np.argmin(np.abs(SHIFT_S - shift_s)))
