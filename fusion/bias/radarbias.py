"""What one radar measures wrong: its pairs with common traffic, and the estimate that they give.

First a search for the bias that explains the pairs, then a fit over the last minutes, done afresh each time: pairs
are few, and a window forgets without hidden memory. Range gain and clock error are left at zero until the traffic
shows that they are not, because both are easily mistaken for a range offset.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fusion.bias.biasfit import (
    FITTED,
    GAIN,
    N_CLAIMS,
    N_PAIRS,
    OFFSET,
    SPREAD,
    STATS,
    T_NEW,
    T_OLD,
    TAU,
    TURN,
    V_AZIMUTH,
    V_RANGE,
    fit_1,
    level_1,
    vote_1,
)
from fusion.bias.traffic import P_AZDOT, P_DAZ, P_DEL, P_DH, P_DR, P_R, P_RDOT, P_T, P_VAZ, P_VEL, P_VH, P_VR, PAIR
from fusion.schema import B1, F8, I8, US_PER_S, SensorSpec

FAULTY_PERIODS = 2.5  # that a fault may have lasted before it was seen
STARTING, FOLLOWING = 0, 4  # rounds of the fit to begin with: from a vote, from an estimate
RANGE, AZIMUTH, ELEVATION, CLOCK = 0, 1, 2, 3  # what can be taken off, as columns of `RadarBias.on`


@dataclass(frozen=True, slots=True)
class RegistrationParams:
    """Every number registration decides by, with its unit and its reason."""

    hold_s: float = 1.0  # a radar plot waits so long after its arrival for claims of its time
    window_range_m: float = 4_000.0  # biases searched for, either way
    window_azimuth_rad: float = math.radians(4.0)
    time_most_s: float = 2.0  # a clock further off than this is a fault
    step_s: float = 1.2  # and so is one that changes by more than this at once
    memory_s: float = 300.0  # pairs that enter the estimate: it lags a slow drift by half of that
    search_s: float = 60.0  # pairs that enter the search, or eight periods
    pairs_most: int = 1_024  # kept per radar, the newest: 0.003 degrees and 3 m are in them
    plots_most: int = 256  # of one radar in one turn that are paired, evenly chosen
    plots_settled: int = 48  # the same once its bias is well known: enough to see that it changes
    pairs_settled: int = 200  # a bias from so many pairs is well known
    refit_s: float = 16.0  # and is estimated again this often instead of at every turn
    leaning: float = 5.0  # or at once, when the pairs of one turn lie so many sigmas to one side of it
    # Priors, one sigma. Gain: light is 3e-4 slower in air, real radars showed 1-2e-4. Elevation needs none.
    prior_range_m: float = 1_000.0
    prior_gain: float = 5e-4
    prior_azimuth_rad: float = math.radians(2.0)
    prior_time_s: float = 1.0
    no_gain: float = 2e-5  # the same while nothing shows that there is any: 4 m at 200 km
    no_time_s: float = 0.005
    odds: float = 0.05  # that a radar has a gain, or a clock error, worth the name, before anything is known of it
    pairs_least: int = 6  # to call an estimate one
    sure: float = 4.0  # sigmas from zero at which a bias is taken off
    unsure: float = 1.5  # and below which it is left alone again
    drift_m_per_h: float = 20.0  # growth of sigma without common traffic
    drift_rad_per_h: float = math.radians(0.03)
    idle_s: float = 120.0  # without a pair: no common traffic


class RadarBias:
    """The estimate for one radar."""

    def __init__(self, spec: SensorSpec, params: RegistrationParams) -> None:
        self.params = params
        self.period_us = spec.period_s * US_PER_S
        self._elevation_var = spec.sigma_elevation_rad**2
        self._extent = np.array([params.window_range_m, params.window_azimuth_rad])
        self._cell = np.array([max(2.0 * spec.sigma_range_m, 150.0), max(2.0 * spec.sigma_azimuth_rad, 0.002)])
        self._sigma_range_m = spec.sigma_range_m
        self._slab = np.array([params.prior_range_m, params.prior_gain, params.prior_azimuth_rad, params.prior_time_s])
        self._room = np.empty((64, PAIR))
        self._from = self._to = 0  # rows of `_room` that are kept
        self.chosen: I8 = np.empty(0, np.int64)  # rows of `pairs` that the estimate rests on
        self.since_us = -math.inf  # pairs before this are of another bias
        self.fitted_us = self.before_us = -math.inf  # newest pair at the last estimate, and at the one before
        self.found = False
        self.x = np.zeros(FITTED)  # offset, gain, turn, tau
        self.cov = np.diag(self._slab**2)
        self.stats = np.zeros(STATS)
        self.level = np.array([math.nan, math.inf, math.nan, math.inf])  # elevation, its variance; pressure height, its
        self.free = np.zeros(2, np.bool_)  # gain and clock error have shown
        self.shown = np.full(4, math.nan)  # gain, its sigma, clock error, its sigma, shown or not
        self.on = np.zeros(4, np.bool_)  # taken off: RANGE, AZIMUTH, ELEVATION, CLOCK
        self.stepped_s = 0.0  # step of the clock that the newest pairs show
        self.best = np.zeros(2)  # the largest heap of the last search, and how large it has to be

    @property
    def pairs(self) -> F8:
        """The pairs (n, PAIR) kept, in the order in which they came."""
        return self._room[self._from : self._to]

    @property
    def measured(self) -> bool:
        """True with enough pairs, of more than one look, to call the estimate one."""
        span_us = self.stats[T_NEW] - self.stats[T_OLD]
        apart = self.stats[N_CLAIMS] >= 3.0 or span_us > 1.5 * self.period_us
        return self.found and self.stats[N_PAIRS] >= self.params.pairs_least and bool(apart)

    @property
    def place(self) -> tuple[F8, F8]:
        """Range offset and azimuth (2,), and their covariance (2, 2)."""
        return self.x[[OFFSET, TURN]], self.cov[np.ix_([OFFSET, TURN], [OFFSET, TURN])]

    @property
    def settled(self) -> bool:
        """True with so many pairs that more of them tell little."""
        return self.measured and len(self.chosen) >= self.params.pairs_settled

    @property
    def window(self) -> F8:
        """What `pair_1` pairs: half widths in range, azimuth, and in range for votes about the north mark."""
        known = 200.0 if self.measured else 800.0
        return np.array([self._extent[0], self._extent[1], known + 3.0 * self._sigma_range_m])

    def learn(self, pairs: F8, trusted: bool, lean: F8) -> bool:
        """Add pairs (n, PAIR) and estimate again, if it is time to. A sensor that is not trusted keeps the estimate it
        has. `lean` (3,): sums of the scores of the new pairs in range and azimuth, and how many. True: it is a new one.
        """
        self.stepped_s = 0.0
        if not trusted or self._to - self._from + len(pairs) == 0:
            return False
        self._add(pairs)
        newest = self._newest()
        waits = newest - self.fitted_us < self.params.refit_s * US_PER_S
        most = self.params.leaning * math.sqrt(lean[2] * max(1.0, self.stats[SPREAD]))
        if waits and self.settled and max(abs(lean[0]), abs(lean[1])) <= most:
            return False
        self._again(newest)
        return True

    def _add(self, pairs: F8) -> None:
        if self._to + len(pairs) > len(self._room):
            kept = self.pairs.copy()
            if 2 * (len(kept) + len(pairs)) > len(self._room):
                self._room = np.empty((4 * (len(kept) + len(pairs)), PAIR))
            self._room[: len(kept)] = kept
            self._from, self._to = 0, len(kept)
        self._room[self._to : self._to + len(pairs)] = pairs
        self._to += len(pairs)
        over = self._to - self._from - self.params.pairs_most
        if over > 0:
            self._from += over
            self.chosen = self.chosen[np.searchsorted(self.chosen, over) :] - over

    def _again(self, newest: float) -> None:
        """Estimate."""
        self.before_us, self.fitted_us = self.fitted_us, newest
        if not self.found:
            self._search()
        if self.found:
            self._fit(FOLLOWING)
            before = self.x.copy(), self.since_us
            if self._jumped() or self._moved():
                self._fit(STARTING)
                self.stepped_s = float(self.x[TAU] - before[0][TAU])
                if abs(self.stepped_s) > self.params.step_s:  # not a bias: what was known stays known
                    self._keep(self.pairs[:, P_T] < self.since_us)
                    self.x, self.since_us = before
                    return
            if abs(self.x[TAU]) > self.params.time_most_s:  # no radar's clock: two objects were taken for one
                self._forget()
            self._decide()

    def distrust(self) -> None:
        """A fault began: the pairs of the last scans say nothing of the bias."""
        if self._to > self._from:
            self._keep(self.pairs[:, P_T] < self._newest() - FAULTY_PERIODS * self.period_us)

    # ------------------------------------------------------------- inside

    def _keep(self, rows: B1) -> None:
        """Forget all other pairs."""
        number = np.cumsum(rows) - 1
        self.chosen = number[self.chosen[rows[self.chosen]]]
        kept = self.pairs[rows]
        self._room[self._from : self._from + len(kept)] = kept
        self._to = self._from + len(kept)

    def _search(self) -> None:
        p = self.params
        since = self._newest() - max(p.search_s * US_PER_S, 8.0 * self.period_us)
        shifts = (0.0, -0.5, 0.5, -1.0, 1.0) if self.best[0] >= 4.0 else (0.0,)
        for tau in shifts:  # a clock far off scatters the heap of fast traffic
            pairs = self.pairs
            if tau:
                pairs = pairs.copy()
                pairs[:, P_DR] += tau * pairs[:, P_RDOT]
                pairs[:, P_DAZ] += tau * pairs[:, P_AZDOT]
            heap = self._heap(pairs, max(since, self.since_us))
            if tau == 0.0:
                self.best = heap[2:4].copy()
            if self._convincing(heap):
                self.found = True
                self.x = np.array([heap[0], 0.0, heap[1], tau])
                self._fit(STARTING)
                return

    def _heap(self, pairs: F8, since_us: float) -> F8:
        heap = np.zeros(8)
        vote_1(pairs, since_us, self._extent, self._cell, heap)
        return heap

    def _convincing(self, heap: F8) -> bool:
        apart = heap[5] >= 3.0 or heap[7] - heap[6] > 1.5 * self.period_us
        return bool(heap[2] >= heap[3] and heap[2] > 1.4 * heap[4] and apart)

    def _newest(self) -> float:
        return float(self.pairs[:, P_T].max(initial=-math.inf))

    def _forget(self) -> None:
        """Search anew among pairs yet to come."""
        self.since_us = self._newest() + 1.0
        self.found = False
        self.x = np.zeros(FITTED)
        self.cov = np.diag(self._slab**2)
        self.stats = np.zeros(STATS)
        self.chosen = np.empty(0, np.int64)
        self.on[:] = self.free[:] = False

    def _fit(self, first: int) -> None:
        """Fit with everything free, then hold gain and clock at zero unless the traffic shows them.

        Whether it does is weighed by the odds of the two models (Laplace's approximation of the Bayes factor). What
        holding at zero may have shifted into the others, times the probability that it was wrong to, is in their sigma.
        """
        p = self.params
        since = max(self.since_us, self._newest() - p.memory_s * US_PER_S)
        prior = self._slab.copy()
        cov = self._fit_with(since, prior, first)
        free, sigma = self.x.copy(), np.sqrt(np.diag(cov))
        self.shown = np.array([free[GAIN], sigma[GAIN], free[TAU], sigma[TAU]])
        held = 0.0
        for at, (which, none) in enumerate(((GAIN, p.no_gain), (TAU, p.no_time_s))):
            z = min(abs(free[which]) / sigma[which], 30.0)
            odds = p.odds * sigma[which] / prior[which] * math.exp(0.5 * z * z)
            chance = odds / (1.0 + odds)
            self.free[at] = chance > (0.3 if self.free[at] else 0.5)
            if not self.free[at]:
                prior[which] = none
                held = max(held, chance)
        self.cov = cov
        if not self.free.all():
            self.cov = self._fit_with(since, prior, FOLLOWING)
            self.cov += held * np.outer(free - self.x, free - self.x)
        self._levels()

    def _fit_with(self, since_us: float, prior: F8, first: int) -> F8:
        chosen, cov = np.empty(len(self.pairs), np.int64), np.empty((FITTED, FITTED))
        n = fit_1(self.pairs, since_us, self.x, prior, self._cell, first, cov, chosen, self.stats)
        self.chosen = chosen[:n].copy()
        cov *= max(1.0, self.stats[SPREAD])
        # The error of one aircraft's claims may stay the same from report to report: it does not average out.
        aircraft = max(self.stats[N_CLAIMS], 1.0)
        cov[OFFSET, OFFSET] += self.stats[V_RANGE] / aircraft
        cov[TURN, TURN] += self.stats[V_AZIMUTH] / aircraft
        return cov

    def _levels(self) -> None:
        used = np.ascontiguousarray(self.pairs[self.chosen].T)
        elevation, variance = level_1(used[P_DEL], used[P_VEL])
        if math.isfinite(variance):  # the weather's error of pressure heights is the same for all: no averaging
            variance += max(float(np.nanmean(used[P_VEL])) - self._elevation_var, 0.0)
        self.level[:2] = elevation, variance
        self.level[2:] = level_1(used[P_DH], used[P_VH])

    def _residuals(self, rows: I8) -> F8:
        """Scores (3, n) of pairs for a change of range, azimuth and clock, of unit mean square where there is none."""
        p = self.pairs[rows].T
        along = p[P_DR] - self.x[OFFSET] - self.x[GAIN] * p[P_R] + p[P_RDOT] * self.x[TAU]
        across = p[P_DAZ] - self.x[TURN] + p[P_AZDOT] * self.x[TAU]
        clock = p[P_RDOT] * along / p[P_VR] + p[P_AZDOT] * across / p[P_VAZ]
        square = p[P_RDOT] ** 2 / p[P_VR] + p[P_AZDOT] ** 2 / p[P_VAZ]
        clock /= math.sqrt(max(float(square.mean()), 1e-30))
        return np.stack([along / np.sqrt(p[P_VR]), across / np.sqrt(p[P_VAZ]), clock])

    def _moved(self) -> bool:
        """Start again with the newest pairs when they no longer scatter around the estimate: the bias changed a bit."""
        t_us = self.pairs[self.chosen, P_T]
        for periods in (1.5, 4.0):
            since = self._newest() - periods * self.period_us
            recent = self.chosen[t_us >= since]
            if len(recent) < 6 or len(recent) > 0.7 * len(self.chosen) or since <= self.since_us:
                continue
            z = np.abs(self._residuals(recent).sum(axis=1)) / math.sqrt(len(recent) * max(1.0, self.stats[SPREAD]))
            if z.max() > 6.0:
                self.since_us = since
                return True
        return False

    def _jumped(self) -> bool:
        """Start again elsewhere when a heap of the newest pairs stands where the estimate has none: it changed much."""
        t_us = self.pairs[self.chosen, P_T]
        for periods in (1.5, 5.0):
            since = self._newest() - periods * self.period_us
            if since <= self.since_us:
                continue
            span = max(float(self.stats[T_NEW] - self.stats[T_OLD]), self.period_us)
            usual = len(self.chosen) / span * periods * self.period_us
            here = int((t_us >= since).sum())
            if here > 0.6 * usual:
                continue
            heap = self._heap(self.pairs, since)
            off = np.abs(heap[:2] - self.x[[OFFSET, TURN]]) / self._cell
            much = heap[2] >= 5.0 and heap[2] > 2.0 * here and heap[2] > 0.75 * usual  # a stepped clock scatters them
            if much and off.max() > 1.5 and self._convincing(heap):
                self.since_us = heap[6] - 1.0
                self.x = np.array([heap[0], 0.0, heap[1], 0.0])
                self.free[:] = False
                return True
        return False

    def _decide(self) -> None:
        """Which of the biases are sure enough to be taken off, or no longer there."""
        if not self.measured:
            return
        pair = self.cov[:2, :2]
        if self.free[0]:
            inner = pair[1, 1] * self.x[0] ** 2 - 2.0 * pair[0, 1] * self.x[0] * self.x[1] + pair[0, 0] * self.x[1] ** 2
            along = math.sqrt(max(inner, 0.0) / max(pair[0, 0] * pair[1, 1] - pair[0, 1] ** 2, 1e-30))
        else:
            along = abs(self.x[OFFSET]) / math.sqrt(pair[0, 0])
        across = abs(self.x[TURN]) / math.sqrt(self.cov[TURN, TURN])
        up = abs(self.level[0]) / math.sqrt(self.level[1]) if math.isfinite(self.level[1]) else 0.0
        ahead = abs(self.shown[2]) / self.shown[3] if self.free[1] else 0.0
        z = np.array([along, across, up, ahead])
        wanted: B1 = (z > self.params.sure) | (self.on & (z > self.params.unsure))
        self.on = wanted

    def snapshot(self) -> dict[str, object]:
        """Everything needed to go on."""
        names = ("pairs", "chosen", "x", "cov", "stats", "level", "free", "shown", "on", "best")
        kept: dict[str, object] = {name: getattr(self, name).copy() for name in names}
        plain = ("since_us", "fitted_us", "before_us", "found", "stepped_s")
        return {**kept, **{name: getattr(self, name) for name in plain}}

    def restore(self, state: dict[str, object]) -> None:
        """Go on from `snapshot`."""
        for name, value in state.items():
            at = "_room" if name == "pairs" else name  # without what is reserved: that is no memory of anything
            setattr(self, at, value.copy() if isinstance(value, np.ndarray) else value)
        self._from, self._to = 0, len(self._room)
