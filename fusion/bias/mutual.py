"""Radars aligned to each other: what they measure wrong against one another, where no aircraft says where it is.

Pairs of the chains of two radars (fusion/bias/chains.py) tell differences of place. Radars that stand apart turn and
stretch the sky around different places, so the differences also tell what each of them has wrong, the better the
further apart they stand; a weak prior, that a radar is wrong by nothing in the mean, holds what nothing tells. A radar
that common traffic with ADS-B has measured comes in with what it is known by, and so anchors all that overlap with it.
Range offset and azimuth only; the height of an object that nobody measures is a nuisance of each couple of chains,
integrated out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

from fusion.bias.biasfit import FREEDOM, GATE, solve_1
from fusion.bias.chains import (
    CHAINS,
    COUPLE,
    HEAD,
    LINK,
    LINKS,
    Q_A,
    Q_B,
    Q_CHAIN,
    Q_COUPLE,
    Q_G,
    Q_H,
    Q_R,
    Q_T,
    Q_VH,
    Q_Y,
    couple_1,
    follow_1,
)
from fusion.kernels import Rec
from fusion.schema import B1, F8, I8, US_PER_S, SensorSpec

PRIOR_RANGE_M, PRIOR_AZIMUTH_RAD = 200.0, math.radians(0.5)  # one sigma of what a radar is wrong by, nothing known
SHARED = 2.0  # factor on the variance: pairs of one chain share plots, and heights of one aircraft are wrong together
SCALE = np.array([100.0, 1e-2])  # of range and azimuth, so that matrices are well conditioned
RADARS_MOST = 16  # aligned together, those of least index; the others stay as they are
PARTNERS = 6  # of one radar: the nearest that overlap with it
PLOTS_MOST = 512  # of one radar in one turn
PAIRS_MOST = 1_024  # kept of all, the newest
MEMORY_S = 150.0  # pairs that enter
EVERY_US = 4 * US_PER_S  # aligned anew
LEAST_PAIRS, LEAST_COUPLES = 12, 3  # of a radar, to say anything of it
SPREAD_MOST = 3.0  # pairs that scatter more than this many times their variance say nothing
ROUNDS, NARROW = 8, 6  # of the fit, and the round from which the gate is that of noise alone
BRACKET_PERIODS = 1.1  # a plot is compared once the other radar must have seen the object again
TABLE = 4_096  # places for couples, four times the pairs

_V, _M = "float64[::1]", "float64[:, ::1]"


@dataclass(frozen=True, slots=True)
class AlignmentLimits:
    """What the alignment of radars to each other left out for its limits, since its start."""

    radars: int = 0  # beyond the first sixteen: never compared
    couples: int = 0  # of radars that overlap, neither among the six nearest of the other: never compared
    plots: int = 0  # beyond those that one turn looks at
    unchained: int = 0  # plots that found no chain and no room for one
    pairs: int = 0  # of a plot and a chain, beyond those of one comparison, or forgotten while they still counted


@dataclass(frozen=True, slots=True)
class Aligned:
    """One radar against the others: bias (range m, azimuth rad), its sigmas, and the sigmas of the differences that it
    rests on; how many plots and couples of chains; when the newest pair was measured; whether ADS-B measured one that
    it is tied to."""

    bias: F8
    sigma: F8
    noise: F8
    pairs: int
    couples: int
    t_us: float
    anchored: bool


@njit(f"float64({_V}, {_V}, int64, int64, float64, {_V}, {_V})", cache=True, nogil=True)
def _square_1(q: F8, x: F8, a: int, b: int, wide: float, prior: F8, y: F8) -> float:
    """Squared distance of a pair from what the biases explain, with its height unknown and the biases unsure by `wide`
    times their prior variances (2 n,); what is left of it goes into y (2,)."""
    y[0] = q[Q_Y] - x[2 * b] - q[Q_H] * x[2 * a] - q[Q_H + 1] * x[2 * a + 1]
    y[1] = q[Q_Y + 1] - x[2 * b + 1] - q[Q_H + 2] * x[2 * a] - q[Q_H + 3] * x[2 * a + 1]
    pa, ta = wide * prior[2 * a], wide * prior[2 * a + 1]
    s00 = q[Q_R] + q[Q_VH] * q[Q_G] ** 2 + wide * prior[2 * b] + q[Q_H] ** 2 * pa + q[Q_H + 1] ** 2 * ta
    s01 = q[Q_R + 1] + q[Q_VH] * q[Q_G] * q[Q_G + 1] + q[Q_H] * q[Q_H + 2] * pa + q[Q_H + 1] * q[Q_H + 3] * ta
    s11 = q[Q_R + 2] + q[Q_VH] * q[Q_G + 1] ** 2 + wide * prior[2 * b + 1]
    s11 += q[Q_H + 2] ** 2 * pa + q[Q_H + 3] ** 2 * ta
    return float((s11 * y[0] * y[0] - 2.0 * s01 * y[0] * y[1] + s00 * y[1] * y[1]) / (s00 * s11 - s01 * s01))


@njit(f"void({_V}, float64, int64, int64, {_V}, {_V}, {_M}, {_V}, {_M}, int64)", cache=True, nogil=True)
def _add_1(q: F8, w: float, a: int, b: int, j: F8, g: F8, info: F8, known: F8, nuisance: F8, c: int) -> None:
    """Add a pair of weight w to the normal equations, in scaled parameters, and to the row of its couple."""
    det = q[Q_R] * q[Q_R + 2] - q[Q_R + 1] * q[Q_R + 1]
    i00, i01, i11 = w * q[Q_R + 2] / det, -w * q[Q_R + 1] / det, w * q[Q_R] / det
    j[0], j[1], j[2], j[3] = q[Q_H] * SCALE[0], q[Q_H + 1] * SCALE[1], SCALE[0], 0.0
    j[4], j[5], j[6], j[7] = q[Q_H + 2] * SCALE[0], q[Q_H + 3] * SCALE[1], 0.0, SCALE[1]
    g[0], g[1] = i00 * q[Q_G] + i01 * q[Q_G + 1], i01 * q[Q_G] + i11 * q[Q_G + 1]
    for r in range(4):
        at = (2 * a + r) if r < 2 else (2 * b + r - 2)
        jr, js = i00 * j[r] + i01 * j[4 + r], i01 * j[r] + i11 * j[4 + r]
        known[at] += jr * q[Q_Y] + js * q[Q_Y + 1]
        nuisance[c, r] += g[0] * j[r] + g[1] * j[4 + r]
        for s in range(4):
            to = (2 * a + s) if s < 2 else (2 * b + s - 2)
            info[at, to] += jr * j[s] + js * j[4 + s]
    nuisance[c, 4] += g[0] * q[Q_G] + g[1] * q[Q_G + 1]
    nuisance[c, 5] += g[0] * q[Q_Y] + g[1] * q[Q_Y + 1]
    nuisance[c, 6], nuisance[c, 7], nuisance[c, 8] = float(a), float(b), q[Q_VH]


@njit(f"int64({_V}, float64, int64)", cache=True, nogil=True)
def _couple_of_1(table: F8, couple: float, used: int) -> int:
    """Row of a couple; `used` where it is new. The table (2 TABLE,) holds couples, then rows."""
    k = int(couple % 1_000_003.0) & (TABLE - 1)
    while table[k] >= 0.0 and table[k] != couple:
        k = (k + 1) & (TABLE - 1)
    if table[k] < 0.0:
        table[k], table[TABLE + k] = couple, float(used)
    return int(table[TABLE + k])


@njit(f"void({_M}, int64, {_M}, {_V})", cache=True, nogil=True)
def _integrate_1(nuisance: F8, used: int, info: F8, known: F8) -> None:
    """Take out of the normal equations what the unknown height of each couple may explain."""
    for c in range(used):
        a, b = int(nuisance[c, 6]), int(nuisance[c, 7])
        gain = 1.0 / (1.0 / nuisance[c, 8] + nuisance[c, 4])
        for r in range(4):
            at = (2 * a + r) if r < 2 else (2 * b + r - 2)
            known[at] -= gain * nuisance[c, r] * nuisance[c, 5]
            for s in range(4):
                to = (2 * a + s) if s < 2 else (2 * b + s - 2)
                info[at, to] -= gain * nuisance[c, r] * nuisance[c, s]


@njit(f"float64({_M}, float64, int64[::1], {_V}, {_M}, {_V}, {_M}, {_V}, {_M})", cache=True, nogil=True)
def align_1(pairs: F8, since_us: float, place: I8, centre: F8, sure: F8, x: F8, cov: F8, noise: F8, told: F8) -> float:
    """Fit range offsets and azimuths of n radars to pairs (m, COUPLE) since a time.

    Args:
        place: which of the n each sensor is, -1 for none of them.
        centre: (2 n,) what they are wrong by before the pairs; sure: (2 n, 2 n) inverse of its covariance.
        x: (2 n,) where to begin, in m and rad; overwritten with the answer.
        cov: (2 n, 2 n) written: its covariance; noise: (2 n,) written: variance of what the pairs alone do to it.
        told: (n, 2) written: pairs and couples of each.

    Returns the spread of what is left, 1 for what is as sure as it says.
    """
    n, m = place.max() + 1, pairs.shape[0]
    info, known, y = np.empty((2 * n, 2 * n)), np.empty(2 * n), np.empty(2)
    scaled, prior = np.empty((2 * n, 2 * n)), np.empty(2 * n)
    j, g, nuisance, table = np.empty(8), np.empty(2), np.empty((m, 9)), np.empty(2 * TABLE)
    for r in range(2 * n):
        prior[r] = 1.0 / sure[r, r]
        for s in range(2 * n):
            scaled[r, s] = sure[r, s] * SCALE[r % 2] * SCALE[s % 2]
    spread = 1.0
    for turn in range(ROUNDS):
        wide = 0.25**turn if turn < NARROW else 0.0
        told[:] = 0.0
        nuisance[:] = 0.0
        table[:] = -1.0
        for r in range(2 * n):
            known[r] = 0.0
            for s in range(2 * n):
                info[r, s] = scaled[r, s]
                known[r] += scaled[r, s] * centre[s] / SCALE[s % 2]
        used, total, count, i = 0, 0.0, 0, 0
        while i < m:
            best, mine, k = GATE, -1, i
            a, b = place[int(pairs[i, Q_A])], place[int(pairs[i, Q_B])]
            while (
                k < m
                and pairs[k, Q_T] == pairs[i, Q_T]
                and pairs[k, Q_CHAIN] == pairs[i, Q_CHAIN]
                and pairs[k, Q_A] == pairs[i, Q_A]
                and pairs[k, Q_B] == pairs[i, Q_B]
            ):
                if a >= 0 and b >= 0 and pairs[k, Q_T] >= since_us:
                    d = _square_1(pairs[k], x, a, b, wide, prior, y)
                    if d < best:
                        best, mine = d, k
                k += 1
            i = k
            if mine < 0:
                continue
            q = pairs[mine]
            d = _square_1(q, x, a, b, 0.0, prior, y)
            w = (FREEDOM + 2.0) / (FREEDOM + d)
            total += w * d
            count += 1
            c = _couple_of_1(table, q[Q_COUPLE], used)
            if c == used:
                used += 1
                told[a, 1] += 1.0
                told[b, 1] += 1.0
            told[a, 0] += 1.0
            told[b, 0] += 1.0
            _add_1(q, w / max(1.0, spread), a, b, j, g, info, known, nuisance, c)
        _integrate_1(nuisance, used, info, known)
        solve_1(info, known, x, cov)
        for r in range(2 * n):
            x[r] *= SCALE[r % 2]
            for s in range(2 * n):
                cov[r, s] *= SCALE[r % 2] * SCALE[s % 2]
        spread = total / (2.0 * count) if count > 0 else 1.0
    for r in range(2 * n):
        noise[r] = cov[r, r]
        for s in range(2 * n):
            for t in range(2 * n):
                noise[r] -= cov[r, s] * sure[s, t] * cov[t, r]
    return spread


class Mutual:
    """Chains of all radars, their pairs, and what they say. Not thread-safe.

    Args:
        radars: that measure range and azimuth from a known place, in order of index.
        sites: geo.site_table of all sensors.
    """

    def __init__(self, radars: Sequence[SensorSpec], sites: F8) -> None:
        self._specs = {spec.index: spec for spec in radars[:RADARS_MOST]}
        self._sites = sites
        over = {s: self._overlapping(s) for s in self._specs}
        near = {s: over[s][:PARTNERS] for s in self._specs}  # who is chosen by another compares with it too
        self._partners = {s: tuple(p for p in self._specs if p in near[s] or s in near[p]) for s in self._specs}
        apart = sum(len(over[s]) - len(self._partners[s]) for s in self._specs) // 2
        self._never = len(radars) - len(self._specs), apart
        self._left_out = np.zeros(3, np.int64)  # plots of a turn, plots without a chain, pairs
        self._links: dict[int, F8] = {}
        self._heads: dict[int, I8] = {}
        self._number = 0  # of the next chain of any of them
        self._newest_us = dict.fromkeys(self._specs, -math.inf)
        self._done_us: dict[tuple[int, int], float] = {}  # plots of the first up to this were compared with the second
        self._pairs = np.empty((0, COUPLE))
        self._aligned_us = -1
        self.spread = 1.0
        self.known: dict[int, Aligned] = {}

    def follow(self, s: int, plots: Rec, order: I8, alone: Sequence[int]) -> None:
        """Take plots of one radar, in this order, where it or one that overlaps with it is among those `alone`."""
        if s not in self._specs or not self._partners[s]:
            return
        if s not in alone and not any(p in alone for p in self._partners[s]):
            self._forget(s)
            return
        if s not in self._links:
            self._links[s] = np.full((CHAINS, LINKS, LINK), np.nan)
            self._heads[s] = np.zeros((CHAINS, HEAD), np.int64)
        period_us = self._specs[s].period_s * US_PER_S
        links, heads = self._links[s], self._heads[s]
        self._left_out[0] += max(len(order) - PLOTS_MOST, 0)
        unchained = self._left_out[1:2]
        self._number = follow_1(
            plots, order, PLOTS_MOST, period_us, self._sites[s], self._number, links, heads, unchained
        )
        self._newest_us[s] = max(self._newest_us[s], float(plots["t_us"][order[-1]]))
        for partner in self._partners[s]:
            if partner in self._links and (s in alone or partner in alone):
                self._compare(s, partner)

    def align(self, now_us: int, anchors: Mapping[int, tuple[F8, F8]]) -> bool:
        """Say anew what the radars are wrong by. True where that was due.

        Args:
            anchors: bias (2,) and covariance (2, 2), in m and rad, of each that ADS-B has measured.
        """
        if now_us - self._aligned_us < EVERY_US or len(self._pairs) == 0:
            return False
        self._aligned_us = now_us
        radars = [s for s in self._specs if s in self._links]
        place = np.full(len(self._sites), -1, np.int64)
        place[radars] = np.arange(len(radars))
        n = 2 * len(radars)
        centre, sure, x = np.zeros(n), np.zeros((n, n)), np.zeros(n)
        for k, s in enumerate(radars):
            x[2 * k : 2 * k + 2] = self.known[s].bias if s in self.known else 0.0
            sure[2 * k, 2 * k], sure[2 * k + 1, 2 * k + 1] = PRIOR_RANGE_M**-2, PRIOR_AZIMUTH_RAD**-2
            if s in anchors:
                bias, cov = anchors[s]
                centre[2 * k : 2 * k + 2] = x[2 * k : 2 * k + 2] = bias
                sure[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = np.linalg.inv(cov)
        cov, noise, told = np.empty((n, n)), np.empty(n), np.empty((len(radars), 2))
        since_us = float(self._pairs[:, Q_T].max()) - MEMORY_S * US_PER_S
        self.spread = align_1(self._pairs, since_us, place, centre, sure, x, cov, noise, told)
        tied = self._tied(since_us, anchors)
        held, self.known = self.known, {}
        for k, s in enumerate(radars):
            enough = told[k, 0] >= LEAST_PAIRS and told[k, 1] >= LEAST_COUPLES
            if s not in anchors and enough and self.spread < SPREAD_MOST:
                at = slice(2 * k, 2 * k + 2)
                sigma, rest = np.sqrt(SHARED * np.diag(cov)[at]), np.sqrt(SHARED * np.maximum(noise[at], 1e-12))
                mine = (self._pairs[:, Q_A] == s) | (self._pairs[:, Q_B] == s)
                newest_us = float(self._pairs[mine, Q_T].max())
                self.known[s] = Aligned(
                    x[at].copy(), sigma, rest, int(told[k, 0]), int(told[k, 1]), newest_us, bool(tied[s])
                )
            elif s not in anchors and s in held and not enough:
                self.known[s] = held[s]  # no pairs any more: what was known stays, with its age
        return True

    @property
    def limits(self) -> AlignmentLimits:
        """What was left out so far."""
        return AlignmentLimits(*self._never, *self._left_out.tolist())

    def snapshot(self) -> dict[str, object]:
        """Everything needed to go on."""
        return {
            "links": {s: links.copy() for s, links in self._links.items()},
            "heads": {s: heads.copy() for s, heads in self._heads.items()},
            "number": self._number,
            "newest_us": dict(self._newest_us),
            "done_us": dict(self._done_us),
            "pairs": self._pairs.copy(),
            "left_out": self._left_out.copy(),
            "plain": (self._aligned_us, self.spread, dict(self.known)),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._links = {s: links.copy() for s, links in state["links"].items()}
        self._heads = {s: heads.copy() for s, heads in state["heads"].items()}
        self._number, self._newest_us = state["number"], dict(state["newest_us"])
        self._done_us, self._pairs = dict(state["done_us"]), state["pairs"].copy()
        self._left_out = state["left_out"].copy()
        self._aligned_us, self.spread, known = state["plain"]
        self.known = dict(known)

    # ------------------------------------------------------------- inside

    def _overlapping(self, s: int) -> tuple[int, ...]:
        """The radars that overlap with one, nearest first."""
        apart = {p: float(np.linalg.norm(self._sites[p, :3] - self._sites[s, :3])) for p in self._specs if p != s}
        reach = self._specs[s].range_max_m
        near = [p for p in apart if apart[p] < reach + self._specs[p].range_max_m]
        return tuple(sorted(near, key=lambda p: (apart[p], p)))

    def _tied(self, since_us: float, anchors: Mapping[int, tuple[F8, F8]]) -> B1:
        """(sensors,) those that pairs since a time tie to an anchor, if only through others."""
        tied = np.zeros(len(self._sites), np.bool_)
        tied[list(anchors)] = True
        recent = self._pairs[self._pairs[:, Q_T] >= since_us]
        a, b = recent[:, Q_A].astype(np.int64), recent[:, Q_B].astype(np.int64)
        count = -1
        while count != tied.sum():
            count = tied.sum()
            tied[a[tied[b]]] = True
            tied[b[tied[a]]] = True
        return tied

    def _forget(self, s: int) -> None:
        """Nobody asks for its chains."""
        if s in self._links:
            del self._links[s], self._heads[s]
            self.known.pop(s, None)

    def _compare(self, s: int, other: int) -> None:
        """Pair the plots of one radar with the chains of another, of the two the one that turns faster."""
        mine, its = self._specs[s].period_s, self._specs[other].period_s
        a, b = (s, other) if (mine, -s) > (its, -other) else (other, s)
        until_us = self._newest_us[b] - BRACKET_PERIODS * self._specs[b].period_s * US_PER_S
        until_us = min(until_us, self._newest_us[a] - US_PER_S)
        since_us = self._done_us.get((a, b), -math.inf)
        if until_us <= since_us:
            return
        self._done_us[a, b] = until_us
        out = np.empty((PAIRS_MOST // 4, COUPLE))
        count = couple_1(
            self._links[a], self._heads[a], self._sites[a], a, self._links[b], self._heads[b], self._sites[b], b,
            since_us, until_us, out, len(out),
        )  # fmt: skip
        if count:
            pairs = np.concatenate([self._pairs, out[:count]])
            self._pairs, gone = pairs[-PAIRS_MOST:], pairs[:-PAIRS_MOST]
            counted_us = float(pairs[:, Q_T].max()) - MEMORY_S * US_PER_S
            self._left_out[2] += max(count - len(out), 0) + int((gone[:, Q_T] >= counted_us).sum())
