"""How every track has turned of late, and whether it is where it was predicted to be: the memory of `forecast.py`.

Struct of arrays, rows in the order of the table; only looks with a new plot add to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion import geo
from fusion.filters.params import MANOEUVRE
from fusion.schema import B1, F8, I8, US_PER_S, Tracks
from fusion.zones import ZoneFacts

# Measured against simulated turns seen by four sensors: the longer the fit looks back, the later it sees a turn.
FORGET_S = 3.0  # the fit of the course forgets with this time
FADE_MOST = 1.0  # of that time at one plot: a slow radar's line goes through three plots
SPEED_MIN_MPS = 5.0  # below this a course is mostly noise
SIGMA_RATE_RADPS = float(np.radians(2.5))  # of the rates of objects that turn: rate one is 3 degrees a second
# Probability of a turn before the fit is looked at: the part of the time that objects turn (20 s of every three
# minutes), or more where the filter itself believes in a manoeuvre, which it is slow to do.
P_TURN_LEAST, P_TURN_MOST, PER_MANOEUVRE = 0.12, 0.9, 3.0
# The filter's sigma of the course allows for manoeuvres; straight flights show this part of it, with the likeness of
# neighbouring courses (the filter's own memory) counted in.
SHOWN = 0.35
SAMPLES_LEAST = 3
ANCHOR_S = 30.0  # a prediction is made so often, and two are kept
GATE_99 = 9.21  # squared distance within which 99 % of a plane normal distribution lies
PLOTS_OUT = 3  # in a row: one outlier is the radar's, three are the object's
AGAIN_S = 60.0  # a divergence so soon after another is no news

# Columns of the fit: sums of weight, age, age^2, course, age x course, and the last course itself; then what follows:
# rate, its sigma, probability that it turns.
S0, S1, S2, C0, C1, COURSE, RATE, SIGMA_RATE, P_TURN = range(9)
# Columns of a prediction: where, how fast, how it turns, and the covariance along and across: place, both, speed.
LAT, LON, HEAD, SPEED, TURN, SIGMA_TURN, PP, PV, VV, QQ, QW, WW = range(12)
# Columns of the times: newest plot, samples, when each prediction was made, plots in a row outside.
_PLOT, _SAMPLES, _OLD, _NEW, _OUT = range(5)
# A turn that was going on is held to end at once, after one, two or three times its mean, or not at all.
_ENDS = (0.0, 0.5, 1.0, 2.0, 3.0)
_RATES = (-1.3, 0.0, 1.3)


@dataclass(slots=True)
class Memory:
    """Of n rows. `look` is the only thing that changes it."""

    id: I8  # (n,)
    turn: F8  # (n, 9) the fit of the course
    old: F8  # (n, 12) the older prediction, which the track is held against
    new: F8  # (n, 12) the younger one
    whens: I8  # (n, 5)
    diverged_us: I8  # (n,) -1 never
    diverged_m: F8  # (n,)

    @staticmethod
    def empty(n: int) -> Memory:
        """Nothing known of n rows."""
        whens = np.full((n, 5), -1, np.int64)
        whens[:, [_SAMPLES, _OUT]] = 0
        turn = np.zeros((n, 9))
        turn[:, [RATE, SIGMA_RATE]] = np.nan
        never = np.full(n, -1, np.int64)
        return Memory(
            never.copy(), turn, np.full((n, 12), np.nan), np.full((n, 12), np.nan), whens, never, np.full(n, np.nan)
        )

    def _arrays(self) -> tuple[Any, ...]:
        return self.turn, self.old, self.new, self.whens, self.diverged_us, self.diverged_m

    def aligned(self, ids: I8, at: I8, known: B1) -> Memory:
        """The same memory for the rows of a table: row i is row at[i] here where it is known, else blank."""
        made = Memory.empty(len(ids))
        made.id = ids.copy()
        for ours, theirs in zip(self._arrays(), made._arrays(), strict=True):
            theirs[known] = ours[at[known]]
        return made

    def snapshot(self) -> tuple[Any, ...]:
        """Copies of all arrays."""
        return self.id.copy(), *(array.copy() for array in self._arrays())

    @staticmethod
    def restored(state: tuple[Any, ...]) -> Memory:
        """From `snapshot`."""
        return Memory(*(array.copy() for array in state))

    def look(self, tracks: Tracks, facts: ZoneFacts, turn_s: float, drift_q: float) -> B1:
        """Take in the table of this moment; (n,) where a track diverged just now, and had not just before."""
        fresh = np.asarray(tracks.update_us > self.whens[:, _PLOT])
        slow = ~(facts.speed_mps >= SPEED_MIN_MPS)
        self._forget(np.flatnonzero(slow))
        rows = np.flatnonzero(fresh & ~slow)
        told = np.zeros(len(tracks), np.bool_)
        if len(rows):
            ahead, right = _axes(facts, rows)
            cov = tracks.cov[rows]
            self._fit(rows, tracks, facts, np.sqrt(_form(right, cov[:, 3:, 3:], right)))
            self._compare(rows, tracks, facts, turn_s, drift_q, told)
            self._anchor(rows, tracks, facts, (ahead, right, cov))
        self.whens[rows, _PLOT] = tracks.update_us[rows]
        return told

    def _forget(self, rows: I8) -> None:
        """A course that is none says nothing, and nothing is predicted of what stands."""
        self.turn[rows] = 0.0
        self.turn[rows[:, None], [RATE, SIGMA_RATE]] = np.nan
        self.whens[rows[:, None], [_OLD, _NEW]] = -1
        self.whens[rows[:, None], [_SAMPLES, _OUT]] = 0

    def _fit(self, rows: I8, tracks: Tracks, facts: ZoneFacts, sigma_across_mps: F8) -> None:
        """Add a course to the line through those before, and take its slope."""
        t = self.turn[rows]
        first = self.whens[rows, _SAMPLES] == 0
        passed_s = np.where(first, 0.0, (tracks.update_us[rows] - self.whens[rows, _PLOT]) / US_PER_S)
        course = facts.course_rad[rows]
        by = np.where(first, 0.0, (course - t[:, COURSE] + np.pi) % (2.0 * np.pi) - np.pi)
        s0, s1, s2, c0, c1 = (t[:, i] for i in range(5))
        # Ages and courses are counted from the newest: shift the sums there, fade them, add the newest at (0, 0).
        c1 = c1 - passed_s * c0 - by * s1 + passed_s * by * s0
        c0 = c0 - by * s0
        s2 = s2 - 2.0 * passed_s * s1 + passed_s**2 * s0
        s1 = s1 - passed_s * s0
        fade = np.exp(-np.minimum(passed_s / FORGET_S, FADE_MOST))
        s0, s1, s2, c0, c1 = fade * s0 + 1.0, fade * s1, fade * s2, fade * c0, fade * c1
        spread = np.maximum(s2 - s1**2 / s0, 1e-9)
        rate = (c1 - s1 * c0 / s0) / spread
        sigma = SHOWN * sigma_across_mps / facts.speed_mps[rows] / np.sqrt(spread)
        samples = self.whens[rows, _SAMPLES] + 1
        enough = samples >= SAMPLES_LEAST
        for column, value in enumerate((s0, s1, s2, c0, c1, course)):
            self.turn[rows, column] = value
        rate, sigma, p = weighed(rate, sigma, tracks.mode[rows, MANOEUVRE])
        self.turn[rows, RATE] = np.where(enough, rate, np.nan)
        self.turn[rows, SIGMA_RATE] = np.where(enough, sigma, np.nan)
        self.turn[rows, P_TURN] = np.where(enough, p, 0.0)
        self.whens[rows, _SAMPLES] = samples

    def _anchor(self, rows: I8, tracks: Tracks, facts: ZoneFacts, form: tuple[F8, F8, F8]) -> None:
        """Predict anew where the younger prediction is old enough; the younger becomes the older."""
        age_us = tracks.t_us - self.whens[rows, _NEW]
        none = self.whens[rows, _NEW] < 0
        due = (self.whens[rows, _SAMPLES] > SAMPLES_LEAST) & (none | (age_us >= ANCHOR_S * US_PER_S))
        if not due.any():
            return
        here, (ahead, right, cov) = rows[due], (part[due] for part in form)
        turns = self.turn[here, P_TURN] >= 0.5
        made = np.column_stack([
            facts.lat_rad[here], facts.lon_rad[here], facts.course_rad[here], facts.speed_mps[here],
            np.where(turns, self.turn[here, RATE], 0.0), np.where(turns, self.turn[here, SIGMA_RATE], 0.0),
            *(_form(d, cov[:, i : i + 3, j : j + 3], d) for d in (ahead, right) for i, j in ((0, 0), (0, 3), (3, 3))),
        ])  # fmt: skip
        self.old[here] = np.where(none[due][:, None], made, self.new[here])
        self.whens[here, _OLD] = np.where(none[due], tracks.t_us, self.whens[here, _NEW])
        self.new[here] = made
        self.whens[here, _NEW] = tracks.t_us

    def _compare(self, rows: I8, tracks: Tracks, facts: ZoneFacts, turn_s: float, drift_q: float, told: B1) -> None:
        """Count plots outside the region of the older prediction, and note a divergence when there are enough."""
        rows = rows[self.whens[rows, _OLD] >= 0]
        if not len(rows):
            return
        a = self.old[rows]
        age_s = (tracks.t_us - self.whens[rows, _OLD]) / US_PER_S
        metres, azimuth, _ = geo.inverse(a[:, LAT], a[:, LON], facts.lat_rad[rows], facts.lon_rad[rows])
        x, y = metres * np.cos(azimuth - a[:, HEAD]), metres * np.sin(azimuth - a[:, HEAD])
        now2 = facts.sigma_horizontal_m[rows] ** 2 + drift_q * age_s**3 / 3.0
        along2 = now2 + a[:, PP] + 2.0 * age_s * a[:, PV] + age_s**2 * a[:, VV]
        across2 = now2 + a[:, QQ] + 2.0 * age_s * a[:, QW] + age_s**2 * a[:, WW]
        least, off_m = np.full(len(rows), np.inf), np.full(len(rows), np.inf)
        turns = np.flatnonzero(a[:, TURN] != 0.0)
        for end in _ENDS:
            for side in _RATES:
                at = slice(None) if end == 0.0 else turns  # a turn that ends at once is straight flight
                rate = a[at, TURN] + side * a[at, SIGMA_TURN]
                px, py = _flown(a[at, SPEED], rate, np.minimum(age_s[at], end * turn_s), age_s[at])
                d2 = (x[at] - px) ** 2 / along2[at] + (y[at] - py) ** 2 / across2[at]
                better = d2 < least[at]
                least[at] = np.where(better, d2, least[at])
                off_m[at] = np.where(better, np.hypot(x[at] - px, y[at] - py), off_m[at])
                if end == 0.0:
                    break
        self.whens[rows, _OUT] = np.where(least > GATE_99, self.whens[rows, _OUT] + 1, 0)
        gone = self.whens[rows, _OUT] >= PLOTS_OUT
        out = rows[gone]
        last_us = self.diverged_us[out]
        told[out] = (last_us < 0) | (tracks.t_us - last_us >= AGAIN_S * US_PER_S)
        self.diverged_us[out], self.diverged_m[out] = tracks.t_us, off_m[gone]
        self.whens[out[:, None], [_OLD, _NEW]] = -1  # predicted anew from here
        self.whens[out, _OUT] = 0


def weighed(rate_radps: F8, sigma_radps: F8, p_manoeuvre: F8) -> tuple[F8, F8, F8]:
    """(rate, sigma, probability that it turns): a fitted rate and its sigma, weighed by how objects fly.

    Straight flight, or a rate with `SIGMA_RATE_RADPS` about zero: both are held against the fit by Bayes' rule, and
    the rate of a turn is drawn towards zero as far as the fit is unsure.
    """
    wide2, own2 = SIGMA_RATE_RADPS**2, sigma_radps**2
    both2 = wide2 + own2
    against = np.exp(-0.5 * rate_radps**2 * (1.0 / own2 - 1.0 / both2)) * np.sqrt(both2 / own2)
    before = np.clip(PER_MANOEUVRE * p_manoeuvre, P_TURN_LEAST, P_TURN_MOST)
    p = before / (before + (1.0 - before) * against)
    return rate_radps * wide2 / both2, np.sqrt(wide2 * own2 / both2), p


def _axes(facts: ZoneFacts, rows: I8) -> tuple[F8, F8]:
    """((m, 3) ahead, (m, 3) to the right), ECEF unit vectors of the course."""
    axes = geo.enu_axes(facts.lat_rad[rows], facts.lon_rad[rows])
    s, c = np.sin(facts.course_rad[rows])[:, None], np.cos(facts.course_rad[rows])[:, None]
    return s * axes[:, 0] + c * axes[:, 1], c * axes[:, 0] - s * axes[:, 1]


def _form(d: F8, block: F8, e: F8) -> F8:
    """(m,) d' B e of each row."""
    value: F8 = np.einsum("ni,nij,nj->n", d, block, e)
    return value


def _flown(speed_mps: F8, rate_radps: F8, turn_s: F8, age_s: F8) -> tuple[F8, F8]:
    """(ahead, to the right) metres from the start after a turn and straight flight until `age_s`, in the plane."""
    turned = rate_radps * turn_s
    chord = speed_mps * turn_s * np.sinc(0.5 * turned / np.pi)
    left_m = speed_mps * (age_s - turn_s)
    x = chord * np.cos(0.5 * turned) + left_m * np.cos(turned)
    y = chord * np.sin(0.5 * turned) + left_m * np.sin(turned)
    return x, y
