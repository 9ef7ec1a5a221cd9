"""Is a radar to be believed? Votes of its plots for what may be wrong with it, fading over its own periods.

Four faults are told apart, each by plots that have to say so together, never by silence:

    frozen   it repeats plots it gave in an earlier scan, to the last digit
    north    its ranges fit common traffic and its azimuths do so only when turned by many degrees
    clock    its plots fit common traffic only at another time
    lost     aircraft it saw are still there, it sends plots, and none of them fits

A vote is judged over half a period where there is much traffic, over two and over six where there is little.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from numba import njit

from fusion.bias.biasfit import heap_1, shifts_1, turned_1
from fusion.bias.traffic import HELDS, TURN_BINS
from fusion.filters.params import M_A, M_B
from fusion.kernels import Rec, signature
from fusion.schema import B1, F8, I8

FADES = (0.5, 2.0, 6.0)  # periods
N_FADES = len(FADES)
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
REPEAT_PERIODS = 2.5  # a frozen radar repeats its last turn; over minutes the digits of an echo come back by chance
KEYS = 8_192  # places of plots remembered per radar, each where its digits put it; a newer one takes the place
RANGE_STEP_M, AZIMUTH_STEP_RAD = 0.25, 1e-6  # two plots closer than this are the same plot


class Fault(IntEnum):
    """What is wrong with a sensor."""

    NONE = 0
    FROZEN = 1
    NORTH = 2
    CLOCK = 3
    LOST = 4


NONE, FROZEN, NORTH, CLOCK, LOST = (int(fault) for fault in Fault)  # as compiled code has them
# The votes about one sensor for each fade: plots that fit some claim, plots, repeated plots, and periods that the first
# stands for: less than the fade at first.
V_AGREE, V_PLOTS, V_REPEATS, V_RIPE = range(4)
VOTES = 4
_VOTE, _TURN = "float64[:, ::1]", "float64[:, ::1]"  # (VOTES, fades), (fades, TURN_BINS)


@njit(f"void({_TURN}, {_VOTE}, float64, boolean)", cache=True, nogil=True)
def fade_1(turn: F8, votes: F8, periods: float, measured: bool) -> None:
    """So many periods of a sensor went by."""
    for f in range(N_FADES):
        keep = math.exp(-periods / FADES[f])
        for k in range(V_RIPE):
            votes[k, f] *= keep
        votes[V_RIPE, f] = votes[V_RIPE, f] * keep + (1.0 - keep) * FADES[f] * measured
        for k in range(TURN_BINS):
            turn[f, k] *= keep


@njit(signature("int64", HELDS, "int64[::1], int64, int64[:, ::1]"), cache=True, nogil=True)
def repeats_1(plots: Rec, order: I8, age_us: int, keys: I8) -> int:
    """How many plots repeat one of the scans before, at most so old, to the last digit; all are remembered after that.

    `keys` (KEYS, 2): digits, and when they were measured last.
    """
    n, repeated = order.size, 0
    key = np.empty(n, np.int64)
    for i in range(n):
        row = plots[order[i]].row
        key[i] = int(math.floor(row[M_A] / RANGE_STEP_M + 0.5)) * 10_000_000
        key[i] += int(math.floor(row[M_B] / AZIMUTH_STEP_RAD + 0.5))
        at = (key[i] * 0x5851F42D4C957F2D >> 33) & (KEYS - 1)
        repeated += keys[at, 0] == key[i] and plots[order[i]].t_us - keys[at, 1] <= age_us
    for i in range(n):
        at = (key[i] * 0x5851F42D4C957F2D >> 33) & (KEYS - 1)
        keys[at, 0], keys[at, 1] = key[i], int(plots[order[i]].t_us)
    return int(repeated)


@njit(f"UniTuple(float64, 4)({_TURN}, int64)", cache=True, nogil=True)
def _turned_1(turn: F8, f: int) -> tuple[float, float, float, float]:
    """(1 where azimuths heap up elsewhere, at how many degrees, pairs where they should be, pairs there)."""
    heap, degrees, here = turned_1(turn[f], TURN_LEAST)
    total = 0.0
    for k in range(TURN_BINS):
        total += turn[f, k]
    mean = 3.0 * max(total - heap, 0.0) / TURN_BINS
    if heap < LEAST_VOTES or heap <= 2.0 * here:
        return 0.0, degrees, here, heap
    found = 1.0 if heap >= heap_1(2.0 * mean, float(TURN_BINS)) else 0.0
    return found, degrees, here, heap


@njit("float64(float64)", cache=True, nogil=True)
def _much_1(expected: float) -> float:
    """Score of a shifted clock to believe in: many of the aircraft that there are, as a bias that changed also moves
    some of them as a clock would."""
    return max(SHIFT_LEAST, SHIFT_SHARE * expected)


@njit(f"UniTuple(float64, 2)({_TURN}, {_VOTE}, float64[::1], float64[::1], float64, int64, boolean)",
      cache=True, nogil=True)  # fmt: skip
def suspect_1(
    turn: F8, votes: F8, shift: F8, shift_s: F8, expected: float, fault: int, measured: bool
) -> tuple[float, float]:
    """The fault that the votes about one sensor show now, and its size; (NONE, 0) for none.

    Args:
        shift: score of each of `shift_s`; expected: aircraft it should see; fault: what it is held to have already.
    """
    for f in range(N_FADES):
        repeats = votes[V_REPEATS, f]
        if repeats >= REPEATS_LEAST and repeats > REPEATS_SHARE * votes[V_PLOTS, f]:
            return float(FROZEN), 0.0
    there = np.empty(N_FADES)
    for f in range(N_FADES):
        north, size, _, there[f] = _turned_1(turn, f)
        fits = False  # does a faster memory already say that the sensor is well?
        for g in range(f):
            fits = fits or (measured and votes[V_AGREE, g] >= 2.0 and votes[V_AGREE, g] > there[g])
        if north > 0.0 and not fits:
            return float(NORTH), size
    best = 0.0
    for k in range(shift.size):
        best = max(best, shift[k])
    if fault != CLOCK and best >= _much_1(expected):
        total, n = 0.0, 0
        for k in range(shift.size):
            if shift[k] >= best - 0.5:  # slow traffic fits several: the middle of the best
                total += shift_s[k]
                n += 1
        return float(CLOCK), total / n
    ripe = votes[V_RIPE, 1]
    sends = ripe > LOST_RIPE * FADES[1] and votes[V_PLOTS, 1] >= ripe * 0.5 * expected
    if measured and expected >= LEAST_VOTES and sends and votes[V_AGREE, 1] < LOST_SHARE * ripe * expected:
        return float(LOST), expected
    return float(NONE), 0.0


@njit(f"boolean({_TURN}, {_VOTE}, float64, float64, int64, boolean)", cache=True, nogil=True)
def well_1(turn: F8, votes: F8, shifted: float, expected: float, fault: int, measured: bool) -> bool:
    """Is a sensor with this fault well again? `shifted`: score of the clock that it is held to have."""
    if fault == FROZEN:
        for f in range(2):
            if votes[V_REPEATS, f] >= 0.3 * votes[V_PLOTS, f]:
                return False
        return bool(votes[V_PLOTS, 1] >= 1.0)
    if fault == CLOCK:
        return bool(shifted < 1.0 and votes[V_AGREE, 1] >= 2.0)
    for f in range(N_FADES):
        _, _, near, bad = _turned_1(turn, f)
        here = votes[V_AGREE, f] if measured else near
        if fault == LOST:
            bad, here = FADES[f] * 0.3 * expected, votes[V_AGREE, f]
        if here + bad >= 3.0:
            return bool(here >= 2.0 and here >= bad)
    return False


class Consistency:
    """The votes about every radar, by sensor index."""

    def __init__(self, sensors: int) -> None:
        n, f = sensors, N_FADES
        self.turn = np.zeros((n, f, TURN_BINS))
        self.shift = np.zeros((n, len(SHIFT_S)))  # how much better plots fit with the clock shifted so much
        self.votes = np.zeros((n, VOTES, f))
        self.lean = np.zeros((n, 3))  # of the newest pairs: sums of scores in range and azimuth, how many
        self.keys: dict[int, I8] = {}  # (KEYS, 2) of each sensor that has plots here: radars alone have
        self.fault: I8 = np.zeros(n, np.int64)  # Fault
        self.expected: I8 = np.zeros(n, np.int64)  # aircraft it saw of late that are still there
        self.size = np.zeros(n)  # of the fault: degrees, seconds, or aircraft it should see

    def fade(self, s: int, periods: float, measured: bool) -> None:
        """So many periods of the sensor went by; `measured`: with a known bias, so that plots were tried."""
        fade_1(self.turn[s], self.votes[s], periods, measured)

    def note_plots(self, s: int, plots: Rec, order: I8, period_us: float) -> None:
        """Count plots (n,) of traffic.HELD, and those that repeat one of the last scans."""
        if s not in self.keys:
            self.keys[s] = np.full((KEYS, 2), -1, np.int64)
        self.votes[s, V_PLOTS] += len(order)
        self.votes[s, V_REPEATS] += repeats_1(plots, order, round(REPEAT_PERIODS * period_us), self.keys[s])

    def note_pairs(self, s: int, turn: F8, pairs: F8, bias: F8, weight: float, seen_us: I8) -> None:
        """Count the votes of new pairs of a sensor whose bias is known.

        Args:
            turn: votes for a turn of the north mark (TURN_BINS,).
            pairs: (n, PAIR) of new plots, each of which stands for `weight` of them.
            seen_us: by slot of the claims, when each was last seen: brought up to date.
        """
        self.turn[s] += turn
        self.lean[s] = 0.0
        if len(pairs):
            most = SHIFT_MOST * _much_1(float(self.expected[s]))
            self.votes[s, V_AGREE] += shifts_1(pairs, bias, SHIFT_S, weight, most, self.shift[s], seen_us, self.lean[s])

    def judge(self, s: int, measured: bool, stepped_s: float) -> None:
        """Raise or clear the fault of a sensor.

        Args:
            measured: its bias is known.
            stepped_s: step of its clock that the fit of its bias came upon; 0 none.
        """
        expected, fault = float(self.expected[s]), int(self.fault[s])
        kind, size = suspect_1(self.turn[s], self.votes[s], self.shift[s], SHIFT_S, expected, fault, measured)
        found = int(kind)
        if found == NONE and stepped_s != 0.0:
            found, size = CLOCK, stepped_s
            self.shift[s, _nearest(size)] = SHIFT_MOST * _much_1(expected)
        if found != NONE:
            self.fault[s], self.size[s] = found, size
        elif fault != NONE:
            shifted = float(self.shift[s, _nearest(float(self.size[s]))])
            if well_1(self.turn[s], self.votes[s], shifted, expected, fault, measured):
                self.fault[s], self.size[s] = NONE, 0.0
                self.turn[s] = self.shift[s] = self.votes[s, V_REPEATS] = 0.0  # what was held against it is over

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

    def snapshot(self) -> dict[str, Any]:
        """Everything needed to go on."""
        names = ("turn", "shift", "votes", "lean", "expected", "fault", "size")
        arrays = {name: getattr(self, name).copy() for name in names}
        return {**arrays, "keys": {s: keys.copy() for s, keys in self.keys.items()}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `snapshot`."""
        for name, value in state.items():
            kept = {s: keys.copy() for s, keys in value.items()} if name == "keys" else value.copy()
            setattr(self, name, kept)


def _nearest(shift_s: float) -> int:
    """Index into SHIFT_S."""
    return int(np.argmin(np.abs(SHIFT_S - shift_s)))
