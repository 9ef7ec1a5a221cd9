"""When a track has come over another state: a sequential test for every track, one compiled look at a time.

What is weighed is how many times more likely the track is beyond the edge than not, by the covariance of the track
across that edge and the accuracy of the drawing. Looks are not independent, for an estimate holds all plots before it:
so only looks with new plots count, each by the share of the estimate that is new, and no single look decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from fusion.borders.segments import types
from fusion.schema import F8, I1, I8, US_PER_S
from fusion.zones import phi_1

UNSETTLED = -2  # no state was told yet; also: no candidate
SURE = math.log(100.0)  # odds at which a passage is told
_MOST_Z = 6.0  # of one look; what is surer is as sure

# What one look says.
NOTHING, FIRST, SWITCH, SEAM, BACK, CLEAR = range(6)
# Why it flies on a seam.
NO_SEAM, ALONG, DOUBT, TURNS = range(4)

# Columns of what is remembered of a track.
(
    ID, SEEN, CURRENT, CANDIDATE, LAST, HITS, LOOK_US, CROSS_US, BAND_US, BAND_ONE, BAND_TWO, DOUBT_US, SINCE_US,
    SEAM_WHY, SEAM_OTHER, SEAM_TOLD, BEEN, SWITCHED, TURN_OLD_US, TURN_NEW_US, TURN_OTHER,
) = range(21)  # fmt: skip
INTS = 21
(
    WEIGHT, EDGE, LAT, LON, CROSS_LAT, CROSS_LON, CROSS_SIGMA, CROSS_SIGMA_T, CROSS_DISPUTED, PATH, BAND_EDGE,
    SINCE_LAT, SINCE_LON, SINCE_SIGMA,
) = range(14)  # fmt: skip
FLOATS = 14

# Columns of one look.
STATE, OTHER, NEW_HITS, COASTING, DISPUTED = range(5)
AT_LAT, AT_LON, AT_SIGMA, SPEED, AT_EDGE, SIGMA_EDGE, CLOSING = range(7)


@dataclass(frozen=True, slots=True)
class LedgerParams:
    """The numbers of the ledger, each with its unit and reason."""

    fresh: float = 0.6  # share of an estimate that its newest plot brings: gain of a tracking filter on a flying object
    most: float = 4.5  # of the log-odds that one look may bring: less than SURE, so that one wrong plot tells nothing
    beyond_m: float = 100.0  # so deep it must be: a meander of a border river, two seconds of flight
    speed_min_mps: float = 1.0  # slower across an edge than this, its time is as open as if so fast
    near_m: float = 3_000.0  # of both states: a minute of flight, the error of borders in circulation
    seam_s: float = 120.0  # for so long on the seam before it is told
    along: float = 0.3  # least slant of a crossing: whoever nears an edge by less of his way flies along it
    along_mps: float = 5.0  # slower than this nobody flies along anything
    p_doubt: float = 0.05  # of the less likely state: above, neither can be told
    turns_s: float = 240.0  # a third passage between two states within this time is a seam: two visits of two minutes
    often: int = 6  # passages between two states without leaving their border: the next is the seam, until it leaves it
    clear_m: float = 500.0  # deeper than a zigzag: so deep, surely, and
    clear_s: float = 30.0  # for so long it must be over a state to end a seam that alternated

    def row(self) -> F8:
        """As the compiled loop takes it."""
        z_doubt = -float(ndtri(self.p_doubt))
        times = [self.seam_s * US_PER_S, self.turns_s * US_PER_S, self.clear_s * US_PER_S]
        return np.array(
            [self.fresh, self.most, self.beyond_m, self.speed_min_mps, self.near_m, self.along,
             self.along_mps * self.seam_s, z_doubt, *times, self.clear_m, self.often]
        )  # fmt: skip


(FRESH, MOST, BEYOND, SLOWEST, NEAR, SLANT, PATH_MIN, Z_DOUBT, SEAM_US, TURNS_US, CLEAR_US, CLEAR_M, OFTEN) = range(13)

WIDER = 1.2  # a band once entered is left this much further out, so that its edge does not flap either


_LINE = types.int64[::1]
_REALS = types.float64[::1]
_LOOK = (_LINE, _REALS, _LINE, _REALS, _REALS, types.int64)


@njit(types.void(*_LOOK), cache=True, nogil=True)
def _cross_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> None:
    """Note when and where the likeliest state changed: between two looks, where both were as near."""
    state = who[STATE]
    if mine[LOOK_US] < 0:
        mine[CANDIDATE] = state
        mine[CROSS_US] = now_us
        own[CROSS_LAT] = at[AT_LAT]
        own[CROSS_LON] = at[AT_LON]
        own[CROSS_SIGMA] = at[AT_SIGMA]
        own[CROSS_DISPUTED] = who[DISPUTED]
    elif state != mine[LAST]:
        both = own[EDGE] + at[AT_EDGE]
        part = own[EDGE] / both if both > 0.0 else 0.5
        mine[CROSS_US] = mine[LOOK_US] + round(part * (now_us - mine[LOOK_US]))
        own[CROSS_LAT] = own[LAT] + part * (at[AT_LAT] - own[LAT])
        own[CROSS_LON] = own[LON] + part * (at[AT_LON] - own[LON])
        own[CROSS_SIGMA] = at[AT_SIGMA]
        own[CROSS_SIGMA_T] = at[SIGMA_EDGE] / max(abs(at[CLOSING]), numbers[SLOWEST])
        own[CROSS_DISPUTED] = who[DISPUTED]
        if state != mine[CURRENT] and state != mine[CANDIDATE]:
            mine[CANDIDATE] = state
            own[WEIGHT] = 0.0
    if mine[BAND_US] >= 0:
        own[PATH] += at[SPEED] * (now_us - mine[LOOK_US]) / US_PER_S
    mine[LAST] = state
    mine[LOOK_US] = now_us
    own[EDGE] = at[AT_EDGE]
    own[LAT] = at[AT_LAT]
    own[LON] = at[AT_LON]


@njit(types.void(*_LOOK[:-1], types.int64), cache=True, nogil=True)
def _weigh_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, plots: int) -> None:
    """Weigh the candidate against everything else by a look that `plots` new plots went into."""
    if mine[CANDIDATE] == UNSETTLED:
        return
    deep = at[AT_EDGE] if who[STATE] == mine[CANDIDATE] else -at[AT_EDGE]
    margin = numbers[BEYOND] if mine[CURRENT] != UNSETTLED else 0.0
    z = min(max((deep - margin) / at[SIGMA_EDGE], -_MOST_Z), _MOST_Z)
    odds = min(max(math.log(phi_1(z) / phi_1(-z)), -numbers[MOST]), numbers[MOST])
    new = 1.0 - (1.0 - numbers[FRESH]) ** plots
    own[WEIGHT] = min(max(own[WEIGHT] + new * odds, 0.0), SURE)


@njit(types.void(*_LOOK), cache=True, nogil=True)
def _band_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> None:
    """Since when it is near the edge of these two states, and since when neither can be told."""
    state = who[STATE]
    other = who[OTHER]
    one = min(state, other)
    two = max(state, other)
    same = mine[BAND_US] >= 0 and mine[BAND_ONE] == one and mine[BAND_TWO] == two
    if other == state or at[AT_EDGE] > numbers[NEAR] * (WIDER if same else 1.0):
        mine[BAND_US] = -1
        mine[DOUBT_US] = -1
        return
    if not same:
        mine[BAND_US] = now_us
        mine[BAND_ONE] = one
        mine[BAND_TWO] = two
        mine[DOUBT_US] = -1
        mine[SEAM_TOLD] = 0
        mine[SWITCHED] = 0
        mine[SINCE_US] = now_us
        own[SINCE_LAT] = at[AT_LAT]
        own[SINCE_LON] = at[AT_LON]
        own[SINCE_SIGMA] = at[AT_SIGMA]
        own[PATH] = 0.0
        own[BAND_EDGE] = at[AT_EDGE] if state == one else -at[AT_EDGE]
    if at[AT_EDGE] > numbers[Z_DOUBT] * at[SIGMA_EDGE]:
        mine[DOUBT_US] = -1
    elif mine[DOUBT_US] < 0:
        mine[DOUBT_US] = now_us


@njit(types.void(_LINE, _REALS), cache=True, nogil=True)
def _since_1(mine: I8, own: F8) -> None:
    """A seam told from now on began at the last crossing."""
    mine[SINCE_US] = mine[CROSS_US]
    own[SINCE_LAT] = own[CROSS_LAT]
    own[SINCE_LON] = own[CROSS_LON]
    own[SINCE_SIGMA] = own[CROSS_SIGMA]


@njit(types.int64(*_LOOK), cache=True, nogil=True)
def _pass_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> int:
    """Go over to the candidate that is sure, if it may be told."""
    candidate = mine[CANDIDATE]
    if mine[SEAM_WHY] != NO_SEAM and candidate == mine[SEAM_OTHER]:
        mine[BEEN] = 1
    turned = mine[SEAM_WHY] == TURNS and candidate == mine[SEAM_OTHER]
    again = mine[BAND_US] >= 0 and mine[SEAM_TOLD] == 1 and mine[SWITCHED] > 0
    often = mine[BAND_US] >= 0 and mine[SWITCHED] >= numbers[OFTEN]
    if turned or again:
        surely = at[AT_EDGE] >= numbers[CLEAR_M] + 2.0 * at[SIGMA_EDGE]
        long = now_us - mine[CROSS_US] >= numbers[CLEAR_US] or at[AT_EDGE] >= numbers[NEAR]
        if not (surely and long) or (turned and often):
            return NOTHING
    back = candidate == mine[TURN_OTHER]
    third = back and mine[TURN_OLD_US] >= 0 and mine[CROSS_US] - mine[TURN_OLD_US] <= numbers[TURNS_US]
    if (third or (back and often)) and not turned:
        mine[SEAM_WHY] = TURNS
        mine[SEAM_OTHER] = candidate
        mine[SEAM_TOLD] = 1
        mine[BEEN] = 1
        _since_1(mine, own)
        return SEAM
    mine[TURN_OLD_US] = mine[TURN_NEW_US] if back else -1
    mine[TURN_NEW_US] = mine[CROSS_US]
    mine[TURN_OTHER] = mine[CURRENT]
    mine[CURRENT] = candidate
    mine[CANDIDATE] = UNSETTLED
    mine[SEAM_WHY] = NO_SEAM
    mine[SWITCHED] += 1
    own[WEIGHT] = 0.0
    if mine[CROSS_US] > mine[SINCE_US]:
        _since_1(mine, own)
    own[PATH] = 0.0
    own[BAND_EDGE] = at[AT_EDGE] if candidate == mine[BAND_ONE] else -at[AT_EDGE]
    return SWITCH


@njit(types.int64(*_LOOK), cache=True, nogil=True)
def _seam_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> int:
    """Does a flight along a seam begin, or end without a passage?"""
    current = mine[CURRENT]
    paired = mine[BAND_US] >= 0 and (current == mine[BAND_ONE] or current == mine[BAND_TWO])
    other = mine[BAND_ONE] + mine[BAND_TWO] - current
    if mine[SEAM_WHY] != NO_SEAM:
        if (paired and other == mine[SEAM_OTHER]) or who[STATE] != current:
            return NOTHING
        mine[SEAM_WHY] = NO_SEAM
        mine[CANDIDATE] = UNSETTLED
        own[WEIGHT] = 0.0
        if mine[BEEN] == 0:
            return CLEAR
        mine[TURN_OLD_US] = -1
        mine[TURN_NEW_US] = mine[CROSS_US]
        return BACK
    if not paired or mine[SEAM_TOLD] == 1:
        return NOTHING
    signed = at[AT_EDGE] if who[STATE] == mine[BAND_ONE] else -at[AT_EDGE]
    long = now_us - mine[SINCE_US] >= numbers[SEAM_US] and own[PATH] >= numbers[PATH_MIN]
    along = mine[BAND_ONE] >= 0 and long and abs(signed - own[BAND_EDGE]) <= numbers[SLANT] * own[PATH]
    doubt = mine[DOUBT_US] >= 0 and now_us - mine[DOUBT_US] >= numbers[SEAM_US]
    if not (along or doubt):
        return NOTHING
    if who[STATE] == mine[CANDIDATE] and mine[CROSS_US] < mine[SINCE_US]:
        _since_1(mine, own)  # it crossed before it was found on the seam: if that is told, it is told later
    mine[SEAM_WHY] = ALONG if along else DOUBT
    mine[SEAM_OTHER] = other
    mine[SEAM_TOLD] = 1
    mine[BEEN] = 0
    return SEAM


@njit(types.int64(*_LOOK), cache=True, nogil=True)
def _settle_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> int:
    """The first state of a track: when it is sure, or when neither of two could be told for long."""
    if own[WEIGHT] >= SURE:
        mine[CURRENT] = mine[CANDIDATE]
        mine[CANDIDATE] = UNSETTLED
        own[WEIGHT] = 0.0
        if mine[CROSS_US] > mine[SINCE_US]:
            _since_1(mine, own)
        return FIRST
    if mine[DOUBT_US] < 0 or now_us - mine[DOUBT_US] < numbers[SEAM_US]:
        return NOTHING
    mine[CURRENT] = who[STATE]
    mine[CANDIDATE] = UNSETTLED
    own[WEIGHT] = 0.0
    said: int = _seam_1(mine, own, who, at, numbers, now_us)
    return said


@njit(types.int64(*_LOOK), cache=True, nogil=True)
def look_1(mine: I8, own: F8, who: I8, at: F8, numbers: F8, now_us: int) -> int:
    """One look at one track: what it says, one of NOTHING, FIRST, SWITCH, SEAM, BACK, CLEAR.

    `mine` (INTS,) and `own` (FLOATS,) are what is remembered, `who` (5,) and `at` (7,) the look, `numbers` the params.
    """
    if math.isnan(at[AT_LAT]):
        return NOTHING
    _cross_1(mine, own, who, at, numbers, now_us)
    plots = who[NEW_HITS] - mine[HITS]
    mine[HITS] = who[NEW_HITS]
    if plots <= 0 or who[COASTING] != 0:
        return NOTHING  # nothing new was seen: a prediction is no evidence
    _weigh_1(mine, own, who, at, numbers, plots)
    _band_1(mine, own, who, at, numbers, now_us)
    if mine[CURRENT] == UNSETTLED:
        said: int = _settle_1(mine, own, who, at, numbers, now_us)
        return said
    said = NOTHING
    if own[WEIGHT] >= SURE and who[STATE] == mine[CANDIDATE]:
        said = _pass_1(mine, own, who, at, numbers, now_us)
    if said == NOTHING:
        said = _seam_1(mine, own, who, at, numbers, now_us)
    return said


@njit(
    types.void(
        types.int64[:, ::1], types.float64[:, ::1], types.int64[::1], types.int64[:, ::1], types.float64[:, ::1],
        types.float64[::1], types.int64, types.int8[::1],
    ),
    cache=True,
    nogil=True,
)  # fmt: skip
def look(ints: I8, floats: F8, rows: I8, who: I8, at: F8, numbers: F8, now_us: int, said: I1) -> None:
    """`look_1` for rows (n,) of what is remembered, with looks `who` (n, 5) and `at` (n, 7); answers in `said` (n,)."""
    for i in range(rows.shape[0]):
        row = rows[i]
        said[i] = look_1(ints[row], floats[row], who[i], at[i], numbers, now_us)


def blank(ids: I8) -> tuple[NDArray[np.int64], F8]:
    """What is remembered of tracks never looked at: (n, INTS) and (n, FLOATS)."""
    ints = np.full((len(ids), INTS), -1, np.int64)
    ints[:, [HITS, SEAM_WHY, SEAM_TOLD, BEEN, SWITCHED]] = 0
    ints[:, [CURRENT, CANDIDATE, SEAM_OTHER, TURN_OTHER]] = UNSETTLED
    ints[:, ID] = ids
    return ints, np.zeros((len(ids), FLOATS))
