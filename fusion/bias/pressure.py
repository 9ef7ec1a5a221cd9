"""Pressure height to height: the difference, learnt from aircraft that report both, and how sure it is.

    observe(batches, now_us)   what one tick fuses      numbers   the correction as fusion.rows takes it
    set_qnh(...)               a station's word         estimate  the same for people

A pressure height p errs by a + w g(p): a is the pressure at mean sea level (8.3 m for each hectopascal), w how much
warmer the air is than the standard atmosphere, g(p) = p / (its mean temperature below p), the hypsometric equation;
ICAO Doc 8168 has it as 4 % for 10 K. Each aircraft has one vote, its own mean over some ten seconds; once a second of
measured time, and in every fourth second after the first minute, the votes are fitted anew by iterated reweighting
with the prior 0 +- 100 m (or a station's QNH) and 0 +- 10 K. Nothing changes before three aircraft, and three fifths of
all, agree. After the first minute the result moves no faster than weather does, and its sigma covers what it lags
behind; so those who come to lie later cannot move it at once, and those who contradict each other not at all. Who lie
alike from the first, as three in five or more, are believed up to four sigma of the prior: a lie at all heights looks
like warm air, and to know better takes a sensor that measures height. A station keeps low heights right even then.

One estimate for the picture. Pressure changes by about 1 hPa over 100 km, so its sigma grows by 8 m for each 100 km
from the middle of the traffic it was learnt from, beyond that traffic's spread; within, the scatter of the votes shows
it. A grid would need three honest aircraft in every cell, and most cells have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, types

from fusion.borders.terrain import Grid, sample
from fusion.columns import unmeasured
from fusion.geo import ecef
from fusion.schema import F8, I1, I4, I8, US_PER_S, PlotKind, Plots, SensorKind, SensorSpec

# `numbers`: offset, warmth, variance that no estimate removes, covariance of the two, middle (ECEF), spread, learnt.
P_A, P_W, P_LEFT, P_AA, P_AW, P_WW, P_X, P_SPREAD, P_LEARNT, PRESSURE = 0, 1, 2, 3, 4, 5, 6, 9, 10, 11
C_T, C_ADDRESS, C_LAT, C_LON, C_HEIGHT, C_PRESSURE, CAME = 0, 1, 2, 3, 4, 5, 6  # a claim that waits: numbers as told
V_D, V_G, V_X, V_N, VOTE = 0, 1, 2, 5, 6  # a vote: difference (m), g (m/K), place (ECEF), seconds heard
# A fit: offset, warmth, covariance, scatter, votes, votes that agree, middle, spread.
(F_A, F_W, F_AA, F_AW, F_WW, F_LEFT, F_VOTES, F_AGREE, F_X, F_SPREAD, FIT) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12)

T0_K, LAPSE_K_PER_M, TROPOPAUSE_M = 288.15, 0.0065, 11_000.0  # ICAO Doc 7488
VOTES_MOST = 256  # aircraft; of more, those heard last longest ago make room, and the newest wait
WAITING_MOST = 20_000  # claims of one second; the rest of that second is left out
SECONDS_LEAST = 3.0  # an aircraft heard in fewer seconds has no vote yet
SMOOTH = 0.1  # weight of the newest second in an aircraft's mean
FADE_S = 120.0  # an aircraft not heard for so long weighs a third
SILENT_US = 600 * US_PER_S  # and after this has no vote
SIGMA_HEIGHT_MOST_M = 100.0  # a geometric height worse than this says nothing
CEILING_M = 15_000.0
AIRCRAFT_M = 30.0  # sigma of one aircraft: altimetry (RVSM: 25 m), GNSS height, geometric height told above the sea
LEFT_LEAST_M = 20.0  # sigma that no amount of traffic takes away
WARMTH_K = 10.0  # sigma of the air's temperature against the standard, over a year
POSITION = int(PlotKind.POSITION)
TURNS_HUBER, TURNS_TUKEY = 10, 7
AGREE_LEAST = 3  # aircraft
AGREE_SHARE = 0.6
PRIOR_MOST = 4.0  # sigmas from the prior beyond which claims are not believed
START_US = 60 * US_PER_S  # from the first fit the result follows it at once
CALM = 4  # and after that one second in so many is listened to: weather does not change in four
MOVE_MPS = 2.0 / 60.0  # then this: a front that brings 10 hPa in an hour does 1.4 m a minute
LOOSE_M = 30.0  # where the estimate was worse than this it is still free to move by its sigma
HIGH_G = 10_000.0 / (T0_K - 0.5 * LAPSE_K_PER_M * 10_000.0)  # m/K; motion is limited at the ground and at 10 km
AGE_MPS = 8.3 / 3600.0  # sigma that grows while nobody teaches: 1 hPa an hour
FORGET_US = 12 * 3600 * US_PER_S  # by then that sigma is the prior's
FAR_M_PER_M = 8.3e-5  # 1 hPa in 100 km
QNH_PLACE_M = 15.0  # a station's QNH some way off
QNH_STEP_M = 20.0  # a step of QNH larger than this starts the learning anew


@dataclass(frozen=True, slots=True)
class PressureEstimate:
    """What is added to a pressure height near the ground: metres above mean sea level, and one sigma."""

    offset_m: float
    sigma_m: float
    warmer_k: float  # than the standard atmosphere
    aircraft: int  # that agree; 0: not learnt, the prior or a station's word


class Pressure:
    """The correction of pressure heights of one picture. Not thread-safe.

    Args:
        sensors: claims are taken from those of kind ADSB.
        geoid: mean sea level above the ellipsoid; without it the two are taken as one.
        sigma_m: of a pressure height about which nothing is known.
    """

    def __init__(self, sensors: Sequence[SensorSpec], geoid: Grid | None, sigma_m: float) -> None:
        self._claims = {spec.id: spec.sigma_height_m for spec in sensors if spec.kind == SensorKind.ADSB}
        self._geoid = geoid
        self._flat = np.array([0.0, sigma_m])  # correction and sigma while nothing is learnt
        self._prior = np.array([0.0, sigma_m])
        self._came, self._n_came = np.empty((256, CAME)), 0  # usable claims of the second in hand
        self._waiting = 0  # claims of that second, usable or not
        self._slot = -1  # second of measured time in hand
        self._address = np.full(VOTES_MOST, -1, np.int64)
        self._heard_us = np.full(VOTES_MOST, -1, np.int64)
        self._vote = np.zeros((VOTES_MOST, VOTE))
        self._learnt = np.zeros(FIT)  # the last fit that was believed
        self._known = np.zeros(5)  # offset, warmth, and their covariance, as they are used
        self._since_us = self._learnt_us = -1
        self._aged = -1  # second of the arrival clock that `numbers` stands for
        self.numbers: F8 = self._told(0)

    # ------------------------------------------------------------- the verbs

    def observe(self, batches: Sequence[Plots], now_us: int) -> None:
        """Take note of what one tick fuses, in its order. `now_us`: the arrival clock, by which knowledge ages."""
        for batch in batches:
            if batch.kind != POSITION or batch.sensor not in self._claims or batch.t_us.size == 0:
                continue
            if unmeasured(batch.height_m) or unmeasured(batch.pressure_height_m) or unmeasured(batch.address):
                continue
            slot = int(batch.t_us.max()) // US_PER_S
            if slot > self._slot:
                self._work()
                self._slot = slot
            if self._waiting < WAITING_MOST and not (slot % CALM and self._calm(slot)):
                self._take(batch)
        if self._learnt_us >= 0 and now_us // US_PER_S != self._aged:
            self._aged = now_us // US_PER_S
            self.numbers = self._told(now_us)

    def set_qnh(self, offset_m: float, sigma_m: float, flat_sigma_m: float) -> None:
        """A station told the pressure: metres to add to a pressure height at the sea, and one sigma of them.

        Args:
            flat_sigma_m: of a corrected pressure height at any height, as long as no claims teach better.
        """
        if abs(offset_m - self._flat[0]) > QNH_STEP_M:
            self._since_us = -1
        self._flat[:] = offset_m, flat_sigma_m
        self._prior[:] = offset_m, math.hypot(QNH_PLACE_M, sigma_m)
        if self._learnt_us < 0:
            self.numbers = self._told(0)

    @property
    def estimate(self) -> PressureEstimate:
        """The correction as it stands now."""
        n = self.numbers
        count = int(self._learnt[F_AGREE]) if n[P_LEARNT] else 0
        return PressureEstimate(float(n[P_A]), math.sqrt(n[P_LEFT] + n[P_AA]), float(n[P_W]), count)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        arrays = (self._flat, self._prior, self._address, self._heard_us, self._vote, self._learnt, self._known)
        return {
            "arrays": [array.copy() for array in (*arrays, self.numbers)],
            "came": self._came[: self._n_came].copy(),
            "clock": (self._waiting, self._slot, self._since_us, self._learnt_us, self._aged),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of one with the same sensors."""
        (
            self._flat, self._prior, self._address, self._heard_us, self._vote, self._learnt, self._known, self.numbers,
        ) = (array.copy() for array in state["arrays"])  # fmt: skip
        self._came, self._n_came = state["came"].copy(), len(state["came"])
        self._waiting, self._slot, self._since_us, self._learnt_us, self._aged = state["clock"]

    # ------------------------------------------------------------- inside

    def _calm(self, slot: int) -> bool:
        """Is the estimate past its start, and of late?"""
        passed_us = slot * US_PER_S - self._since_us
        return self._since_us >= 0 and passed_us > START_US and slot * US_PER_S - self._learnt_us < START_US

    def _take(self, batch: Plots) -> None:
        """Keep the claims of a batch that carry both heights."""
        more = batch.t_us.size
        self._waiting += more
        if self._n_came + more > len(self._came):
            kept = self._came[: self._n_came]
            self._came = np.empty((2 * (self._n_came + more), CAME))
            self._came[: self._n_came] = kept
        self._n_came = came_n(
            self._came, self._n_came, self._claims[batch.sensor], batch.t_us, batch.lat_rad, batch.lon_rad,
            batch.height_m, batch.sigma_height_m, batch.pressure_height_m, batch.address, batch.on_ground,
        )  # fmt: skip

    def _work(self) -> None:
        """A second is over: its claims become votes, the votes a fit, the fit what is known."""
        count, self._n_came, self._waiting = self._n_came, 0, 0
        if count == 0:
            return
        newest = np.ascontiguousarray(self._came[newest_n(self._came, count)].T)
        lat, lon, height, pressure = newest[C_LAT:]
        sea = 0.0 if self._geoid is None else np.nan_to_num(sample(self._geoid, lat, lon), nan=0.0)
        vote_n(
            newest[C_ADDRESS].astype(np.int64), newest[C_T].astype(np.int64), height - sea - pressure, pressure,
            ecef(lat, lon, height), self._address, self._heard_us, self._vote,
        )  # fmt: skip
        newest_us = int(self._heard_us.max())
        fit = np.zeros(FIT)
        fit_1(self._heard_us, self._vote, newest_us, self._prior[0], self._prior[1], fit)
        self._learn(fit, newest_us)

    def _learn(self, fit: F8, newest_us: int) -> None:
        known = self._known
        if fit[F_AGREE] < max(AGREE_LEAST, AGREE_SHARE * fit[F_VOTES]):
            return
        if math.hypot((fit[F_A] - self._prior[0]) / self._prior[1], fit[F_W] / WARMTH_K) > PRIOR_MOST:
            return
        if self._since_us < 0:
            self._since_us = newest_us
        if newest_us - self._since_us < START_US:
            known[:2] = fit[:2]
        else:
            passed_s = max(newest_us - self._learnt_us, 0) / US_PER_S
            low = _towards(known, self._learnt, fit, 0.0, passed_s)
            high = _towards(known, self._learnt, fit, HIGH_G, passed_s)
            known[:2] = low, (high - low) / HIGH_G
        behind_m, behind_k = fit[F_A] - known[0], fit[F_W] - known[1]
        known[2] = fit[F_AA] + behind_m * behind_m
        known[3] = fit[F_AW] + behind_m * behind_k
        known[4] = fit[F_WW] + behind_k * behind_k
        self._learnt = fit
        self._learnt_us = newest_us
        self._aged = -1

    def _told(self, now_us: int) -> F8:
        """`numbers` at a time. What was learnt longest ago is forgotten."""
        told = np.zeros(PRESSURE)
        if self._learnt_us >= 0 and now_us - self._learnt_us > FORGET_US:
            self._learnt_us = self._since_us = -1
        if self._learnt_us < 0:
            told[P_A], told[P_LEFT] = self._flat[0], self._flat[1] ** 2
            return told
        aged_m = AGE_MPS * max(now_us - self._learnt_us, 0) / US_PER_S
        told[[P_A, P_W, P_AA, P_AW, P_WW]] = self._known
        told[P_LEFT] = self._learnt[F_LEFT] ** 2 + aged_m * aged_m
        told[P_X : P_X + 3] = self._learnt[F_X : F_X + 3]
        told[P_SPREAD], told[P_LEARNT] = self._learnt[F_SPREAD], 1.0
        return told


def _towards(known: F8, before: F8, fit: F8, g: float, passed_s: float) -> float:
    """The known correction at one height, moved to the fitted one as far as weather may move it.

    Where the fit before was unsure (no traffic at these heights) it may move by that sigma. A lag is no such freedom.
    """
    now, then = known[0] + known[1] * g, fit[F_A] + fit[F_W] * g
    sigma_m = math.sqrt(max(before[F_AA] + g * (2.0 * before[F_AW] + g * before[F_WW]), 0.0))
    most_m = MOVE_MPS * passed_s + (sigma_m if sigma_m > LOOSE_M else 0.0)
    return float(now + min(max(then - now, -most_m), most_m))


@njit("float64(float64)", cache=True, nogil=True)
def thickness_1(pressure_height_m: float) -> float:
    """g(p): metres that a pressure height gains with each kelvin that the air is warmer than the standard."""
    return pressure_height_m / (T0_K - 0.5 * LAPSE_K_PER_M * min(max(pressure_height_m, 0.0), TROPOPAUSE_M))


@njit("UniTuple(float64, 2)(float64[::1], int64, float64)", cache=True, nogil=True)
def corrected_1(numbers: F8, at: int, pressure_height_m: float) -> tuple[float, float]:
    """Height above mean sea level and one sigma of a pressure height; NaN stays NaN. `numbers` begin at `at`."""
    g = thickness_1(pressure_height_m)
    height = pressure_height_m + numbers[at + P_A] + numbers[at + P_W] * g
    var = numbers[at + P_LEFT] + numbers[at + P_AA] + g * (2.0 * numbers[at + P_AW] + g * numbers[at + P_WW])
    if math.isnan(var):
        var = numbers[at + P_LEFT]
    return height, math.sqrt(max(var, numbers[at + P_LEFT]))


_I8, _F8, _F8_2 = types.int64[::1], types.float64[::1], types.float64[:, ::1]
# Columns of a batch as decoders made them: perhaps read-only, perhaps shared between batches.
F8_COLUMN, I8_COLUMN, I4_COLUMN, I1_COLUMN = (
    types.Array(t, 1, "A", readonly=True) for t in (types.float64, types.int64, types.int32, types.int8)
)


@njit(
    types.int64(_F8_2, types.int64, types.float64, I8_COLUMN, *[F8_COLUMN] * 5, I4_COLUMN, I1_COLUMN),
    cache=True, nogil=True,
)  # fmt: skip
def came_n(
    came: F8, n: int, default_m: float, t_us: I8, lat: F8, lon: F8, height: F8, sigma: F8, pressure: F8, address: I4,
    on_ground: I1,
) -> int:  # fmt: skip
    """Write the claims of a batch that carry both heights behind the first n rows of `came`, (m, CAME); returns how
    many there are then. `default_m`: sigma of a height that tells none."""
    for i in range(t_us.shape[0]):
        sigma_m = default_m if math.isnan(sigma[i]) else sigma[i]
        if address[i] < 0 or on_ground[i] == 1 or math.isnan(height[i]) or sigma_m > SIGMA_HEIGHT_MOST_M:
            continue
        if not abs(pressure[i]) < CEILING_M:
            continue
        row = came[n]
        row[C_T], row[C_ADDRESS] = t_us[i], address[i]
        row[C_LAT], row[C_LON], row[C_HEIGHT], row[C_PRESSURE] = lat[i], lon[i], height[i], pressure[i]
        n += 1
    return n


@njit(types.int64[::1](_F8_2, types.int64), cache=True, nogil=True)
def newest_n(came: F8, n: int) -> I8:
    """Rows of the newest claim of each aircraft among the first n, in order of address; of two of one time the one
    that came later."""
    order = np.argsort(came[:n, C_ADDRESS].copy(), kind="mergesort")
    rows, count = np.empty(n, np.int64), 0
    for k in range(n):
        row = order[k]
        if count == 0 or came[rows[count - 1], C_ADDRESS] != came[row, C_ADDRESS]:
            rows[count] = row
            count += 1
        elif came[row, C_T] >= came[rows[count - 1], C_T]:
            rows[count - 1] = row
    return rows[:count]


@njit(types.void(_I8, _I8, _F8, _F8, _F8_2, _I8, _I8, _F8_2), cache=True, nogil=True)
def vote_n(address: I8, t_us: I8, d: F8, pressure: F8, place: F8, known: I8, heard_us: I8, vote: F8) -> None:
    """One claim an aircraft (n,), addresses all different, into the table of votes (VOTES_MOST,)."""
    newest_us = np.int64(heard_us.max())
    for i in range(address.shape[0]):
        newest_us = max(newest_us, t_us[i])
        slot, oldest = -1, 0
        for k in range(known.shape[0]):
            if known[k] == address[i]:
                slot = k
                break
            if heard_us[k] < heard_us[oldest]:
                oldest = k
        if slot < 0:
            if known[oldest] >= 0 and t_us[i] - heard_us[oldest] < FADE_S * US_PER_S:
                continue
            slot = oldest
            known[slot] = address[i]
            vote[slot, V_N] = 0.0
        elif t_us[i] <= heard_us[slot]:
            continue  # late
        heard_us[slot] = t_us[i]
        v = vote[slot]
        v[V_N] += 1.0
        share = max(1.0 / v[V_N], SMOOTH)
        v[V_D] += share * (d[i] - v[V_D])
        v[V_G] += share * (thickness_1(pressure[i]) - v[V_G])
        for k in range(3):
            v[V_X + k] = place[i, k]
    for k in range(known.shape[0]):
        if known[k] >= 0 and newest_us - heard_us[k] > SILENT_US:
            known[k] = heard_us[k] = -1


@njit(types.void(_F8, _F8, _F8, types.float64, types.float64, _F8), cache=True, nogil=True)
def _solve_1(weight: F8, d: F8, g: F8, offset_m: float, sigma_m: float, fit: F8) -> None:
    """Weighted least squares with the prior: offset, warmth and their covariance."""
    aa, aw, ww = 1.0 / (sigma_m * sigma_m), 0.0, 1.0 / (WARMTH_K * WARMTH_K)
    a, w = aa * offset_m, 0.0
    for i in range(d.shape[0]):
        aa += weight[i]
        aw += weight[i] * g[i]
        ww += weight[i] * g[i] * g[i]
        a += weight[i] * d[i]
        w += weight[i] * g[i] * d[i]
    det = aa * ww - aw * aw
    fit[F_AA], fit[F_AW], fit[F_WW] = ww / det, -aw / det, aa / det
    fit[F_A] = fit[F_AA] * a + fit[F_AW] * w
    fit[F_W] = fit[F_AW] * a + fit[F_WW] * w


@njit(types.void(_I8, _F8_2, types.int64, types.float64, types.float64, _F8), cache=True, nogil=True)
def fit_1(heard_us: I8, vote: F8, now_us: int, offset_m: float, sigma_m: float, fit: F8) -> None:
    """The correction that most votes agree with: Huber's weights first, which have one answer, then Tukey's biweight,
    which leaves out who is more than three scatters off (Huber & Ronchetti, Robust Statistics, 2009, chapter 7)."""
    mine = np.flatnonzero((heard_us >= 0) & (vote[:, V_N] >= SECONDS_LEAST))
    n = mine.shape[0]
    fit[:] = 0.0
    fit[F_VOTES] = n
    if n < AGREE_LEAST:
        return
    d, g, base, weight, off = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        d[i], g[i] = vote[mine[i], V_D], vote[mine[i], V_G]
        base[i] = math.exp(-(now_us - heard_us[mine[i]]) / (FADE_S * US_PER_S)) / (AIRCRAFT_M * AIRCRAFT_M)
        weight[i] = base[i]
    cut = 0.0
    for turn in range(TURNS_HUBER + TURNS_TUKEY):
        _solve_1(weight, d, g, offset_m, sigma_m, fit)
        for i in range(n):
            off[i] = abs(d[i] - fit[F_A] - fit[F_W] * g[i])
        if turn >= TURNS_HUBER:
            scatter = 1.4826 * np.median(off)
            cut = 3.0 * min(max(scatter, AIRCRAFT_M), 2.0 * AIRCRAFT_M)
        for i in range(n):
            if turn < TURNS_HUBER:
                weight[i] = base[i] * min(1.0, AIRCRAFT_M / max(off[i], 1e-9))
            else:
                weight[i] = base[i] * max(1.0 - (off[i] / cut) ** 2, 0.0) ** 2
    inside = np.flatnonzero(off < cut)
    fit[F_AGREE] = inside.shape[0]
    if inside.shape[0] == 0:
        return
    fit[F_LEFT] = max(1.4826 * np.median(off[inside]), LEFT_LEAST_M)
    for k in range(3):
        fit[F_X + k] = vote[mine[inside], V_X + k].mean()
    spread = 0.0
    for i in range(inside.shape[0]):
        for k in range(3):
            spread += (vote[mine[inside[i]], V_X + k] - fit[F_X + k]) ** 2
    fit[F_SPREAD] = math.sqrt(spread / inside.shape[0])
