"""Registration: what each radar measures wrong, learnt from common traffic while it works, and taken off its plots.

    observe(plots)   all plots of one tick, as they came      correct(plots)   the same plots, in place, before use
    report()         one SensorBias per radar                 believed         False: keep its plots out of association

Aircraft that say where they are (ADS-B) are the reference: `fusion.bias.traffic` pairs plots with claims,
`fusion.bias.radarbias` finds the one bias that explains the pairs, `fusion.bias.consistency` says when nothing does.
Every radar has its turn every two seconds of arrival time (four, where half a scan takes that and all is well), each at
another moment, so that no tick has the work of all; it is done on plots that arrived at least `hold_s` before the
claims were last listened to, so that claims from around their time are there.
A radar that no such aircraft shows is compared with the others (`fusion.bias.mutual`). Nothing is taken off that is not
significant: without a bias nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion.bias.biasfit import GAIN, N_CLAIMS, N_PAIRS, OFFSET, T_NEW, TAU, TURN, due_1, seen_n
from fusion.bias.consistency import Consistency, Fault
from fusion.bias.mutual import Aligned, AlignmentLimits, Mutual
from fusion.bias.radarbias import AZIMUTH, CLOCK, ELEVATION, RANGE, RadarBias, RegistrationParams
from fusion.bias.sensorbias import SensorBias
from fusion.bias.traffic import (
    HELD,
    PAIR,
    REPORT,
    TURN_BINS,
    Claims,
    in_order_1,
    pair_1,
    report_n,
    sort_out_n,
    take_n,
)
from fusion.filters.params import M_A, M_B, M_C, M_SA, M_SB, M_SC
from fusion.kernels import Rec
from fusion.schema import CLAIM, F8, I8, INDEPENDENT, US_PER_S, PlotKind, SensorSpec

__all__ = ["Registration", "RegistrationParams"]

POLAR = int(PlotKind.POLAR)
TURN_EVERY_US = 2 * US_PER_S  # of one radar: a scan or less, nothing new comes sooner than it turns
SLOW_PERIOD_US = 8 * US_PER_S  # one that turns this slowly has every second of these turns, once its bias is well known
LISTEN_EVERY_US = US_PER_S  # to claims
WAITING_MOST = 20_000  # plots of radars held back, and claims; of more, the newest are left out
RECENT_PERIODS = 4.0  # an aircraft that a radar saw within this should be seen again
LEANING = 2.0  # score of a shifted clock that excuses other radars of the same
SURE = np.array([50.0, math.radians(0.1)])  # sigmas of range and azimuth above which a radar is known by others only
ALIGNED_S = 30.0  # without a pair for longer, an alignment to other radars tells its age
DISTRUSTED = 4.0  # factor on the sigmas of a radar that is not believed
_EARLY = -(2**62)
_NONE: I8 = np.empty(0, np.int64)
_LEARNING = (int(Fault.NONE), int(Fault.LOST))  # the pairs still say something: a lost bias may be found


class Registration:
    """The biases of all sensors of one picture. Not thread-safe.

    Args:
        sensors: in order of index.
        sites: geo.site_table of them, (n, SITE).
        params: see RegistrationParams.
    """

    def __init__(self, sensors: Sequence[SensorSpec], sites: F8, params: RegistrationParams | None = None) -> None:
        self.params = params or RegistrationParams()
        self._sensors = tuple(sensors)
        self._sites = np.ascontiguousarray(sites)
        n = len(self._sensors)
        self._claims = Claims()
        self._radars = {
            spec.index: RadarBias(spec, self.params)
            for spec in self._sensors
            if spec.kind in INDEPENDENT and spec.has_site
        }
        self._role = np.array(
            [1 if i in self._radars else 2 * (s.kind in CLAIM) for i, s in enumerate(sensors)], np.int64
        )
        self._votes = Consistency(n)
        self._mutual = Mutual([self._sensors[i] for i in self._radars], self._sites)
        self._held, self._n_held = np.empty(256, HELD), 0  # plots of radars that wait for their turn
        self._said, self._n_said = np.empty(256, HELD), 0  # claims since they were last listened to
        self._heard_us = -1  # when that was
        phases = [TURN_EVERY_US * k // len(self._radars) for k in range(len(self._radars))]
        self._phase_us = dict(zip(self._radars, phases, strict=True))  # so that no two have the same moment
        self._turn = dict.fromkeys(self._radars, -1)  # number of the last turn of each radar
        self._every = dict.fromkeys(self._radars, 1)  # and in how many it has one
        self._number = np.zeros(n, np.int64)  # plots paired so far, by sensor
        self._seen_us = np.empty((n, 0), np.int64)  # by sensor and slot of the claims: last plot that fitted
        self._now_us = -1
        self.believed = np.ones(n, np.bool_)
        self._shifted = np.zeros((n, 2), np.bool_)  # range, azimuth taken off because other radars show them
        self._off = np.zeros((n, 5))  # taken off: range offset, gain, azimuth, elevation, time
        self._idle: bool | None = None  # None: to be worked out
        self._var = np.zeros((n, 5))  # variance of range offset, its covariance with gain, gain, azimuth, elevation

    # ------------------------------------------------------------- the verbs

    def observe(self, plots: Rec, now_us: int) -> None:
        """Take note of all plots of one tick as they came, before `correct`. `now_us`: the arrival clock."""
        self._now_us = now_us
        if len(plots):
            self._held = _roomy(self._held, self._n_held + len(plots))
            self._said = _roomy(self._said, self._n_said + len(plots))
            kept = sort_out_n(plots, self._role, self._held, self._n_held, self._said, self._n_said)
            self._n_held, self._n_said = kept
        if now_us // LISTEN_EVERY_US != self._heard_us // LISTEN_EVERY_US:
            self._heard_us = now_us
            self._listen()
        for s, radar in self._radars.items():
            turn = (now_us + self._phase_us[s]) // TURN_EVERY_US
            if turn - self._turn[s] >= self._every[s]:
                passed_us = (turn - self._turn[s]) * TURN_EVERY_US if self._turn[s] >= 0 else 0
                self._turn[s] = turn
                self._work(s, radar, passed_us / radar.period_us)

    @property
    def idle(self) -> bool:
        """True where every sensor is believed and nothing is taken off: `correct` would change nothing."""
        if self._idle is None:
            self._idle = bool(self.believed.all()) and not self._off.any()
        return self._idle

    def correct(self, plots: Rec) -> I8:
        """Take the biases off, in place: range, azimuth, elevation and time of measurement; sigmas grow by what is not
        known of the bias, and fourfold for a radar that is not believed. Returns the rows that changed: what the caller
        derived from them (`place`, `reach`, order of time) is to be derived anew.
        """
        if self.idle:
            return _NONE
        sensor = plots["sensor"]
        touched = self._off.any(axis=1) | ~self.believed
        mine = np.flatnonzero(touched[sensor] & (plots["kind"] == POLAR))
        if len(mine) == 0:
            return mine
        s = sensor[mine]
        off, var = self._off[s], self._var[s]
        row = plots["row"][mine]
        row[:, M_A] = np.maximum((row[:, M_A] - off[:, 0]) / (1.0 + off[:, 1]), 0.0)
        row[:, M_B] = np.mod(row[:, M_B] - off[:, 2], 2.0 * math.pi)
        row[:, M_C] = np.clip(row[:, M_C] - off[:, 3], -0.5 * math.pi, 0.5 * math.pi)
        r = row[:, M_A]
        doubt = np.where(self.believed[s], 1.0, DISTRUSTED)
        row[:, M_SA] = doubt * np.sqrt(row[:, M_SA] ** 2 + var[:, 0] + 2.0 * r * var[:, 1] + r * r * var[:, 2])
        row[:, M_SB] = doubt * np.sqrt(row[:, M_SB] ** 2 + var[:, 3])
        row[:, M_SC] = doubt * np.sqrt(row[:, M_SC] ** 2 + var[:, 4])
        plots["row"][mine] = row
        plots["t_us"][mine] -= np.round(off[:, 4] * US_PER_S).astype(np.int64)
        return mine

    def report(self) -> tuple[SensorBias | None, ...]:
        """One per radar, in order of index of all sensors; None for what is no radar or has no known place."""
        return tuple(self._one(spec) for spec in self._sensors)

    @property
    def limits(self) -> AlignmentLimits:
        """What the alignment of radars to each other left out so far."""
        return self._mutual.limits

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        return {
            "claims": self._claims.snapshot(),
            "radars": {i: radar.snapshot() for i, radar in self._radars.items()},
            "votes": self._votes.snapshot(),
            "mutual": self._mutual.snapshot(),
            "held": self._held[: self._n_held].copy(),
            "said": self._said[: self._n_said].copy(),
            "number": self._number.copy(),
            "seen_us": self._seen_us.copy(),
            "clock": (self._now_us, self._heard_us, dict(self._turn), dict(self._every)),
            "believed": self.believed.copy(),
            "shifted": self._shifted.copy(),
            "off": self._off.copy(),
            "var": self._var.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of a registration of the same sensors."""
        self._claims.restore(state["claims"])
        for i, radar in self._radars.items():
            radar.restore(state["radars"][i])
        self._seen_us = state["seen_us"].copy()
        self._votes.restore(state["votes"])
        self._mutual.restore(state["mutual"])
        self._held, self._n_held = state["held"].copy(), len(state["held"])
        self._said, self._n_said = state["said"].copy(), len(state["said"])
        self._number = state["number"].copy()
        self._now_us, self._heard_us, turn, every = state["clock"]
        self._turn, self._every = dict(turn), dict(every)
        self.believed = state["believed"].copy()
        self._off, self._var = state["off"].copy(), state["var"].copy()
        self._shifted = state["shifted"].copy()
        self._idle = None

    # ------------------------------------------------------------- inside

    def _work(self, s: int, radar: RadarBias, periods: float) -> None:
        """A radar's turn: pair what waited long enough, estimate, judge. `periods` of it went by since the last."""
        self._idle = None
        self._votes.fade(s, periods, radar.measured)
        out = np.empty(self._n_held, HELD)
        until_us = self._heard_us - round(self.params.hold_s * US_PER_S)
        count, self._n_held = take_n(self._held, self._n_held, s, until_us, out)
        if count:
            order = in_order_1(out, count)
            self._look(s, radar, out, order)
            self._align(s, out, order)
        self._judge(s, radar)
        calm = radar.period_us >= SLOW_PERIOD_US and radar.settled and bool(self.believed[s])
        self._every[s] = 2 if calm else 1

    def _listen(self) -> None:
        """Put what was claimed since the last time into the table."""
        count, self._n_said = self._n_said, 0
        if count == 0:
            return
        who, reports = np.empty((3, count), np.int64), np.empty((count, REPORT))
        report_n(self._said, in_order_1(self._said, count), who, reports)
        given = self._claims.add(who, reports)
        more = len(self._claims.key) - self._seen_us.shape[1]
        if more:
            unseen = np.full((len(self._sensors), more), _EARLY, np.int64)
            self._seen_us = np.concatenate([self._seen_us, unseen], axis=1)
        self._seen_us[:, given] = _EARLY

    def _look(self, s: int, radar: RadarBias, plots: Rec, order: I8) -> None:
        """Pair the plots of one radar, in this order, with claims, count what they say, and estimate."""
        votes, claims, measured = self._votes, self._claims, radar.measured
        votes.note_plots(s, plots, order, radar.period_us)
        most = self.params.plots_settled if radar.settled else self.params.plots_most
        chosen = order[np.arange(most) * len(order) // most] if len(order) > most else order
        out, turn = np.empty((8 * len(chosen) + 64, PAIR)), np.zeros(TURN_BINS)
        count = pair_1(
            plots, chosen, int(self._number[s]), claims.ring, claims.state, claims.key, claims.code, self._sites[s],
            radar.window, radar.x[:TAU], turn, out,
        )  # fmt: skip
        self._number[s] += len(chosen)
        pairs, seen_us = out[:count], self._seen_us[s]
        votes.note_pairs(s, turn, pairs if measured else out[:0], radar.x, len(order) / len(chosen), seen_us)
        if radar.learn(pairs, int(votes.fault[s]) in _LEARNING, votes.lean[s]):
            seen_n(radar.pairs, radar.chosen, radar.before_us, seen_us)
            self._settle(s, radar)

    def _align(self, s: int, plots: Rec, order: I8) -> None:
        """Compare the plots of one radar with those of others, where ADS-B has not measured it or one of them."""
        alone = [i for i, radar in self._radars.items() if not radar.measured]
        if self.believed[s]:
            self._mutual.follow(s, plots, order, alone)
        anchors = {i: radar.place for i, radar in self._radars.items() if radar.measured} if alone else {}
        if alone and self._mutual.align(self._now_us, anchors):
            for i in alone:
                self._settle(i, self._radars[i])

    def _settle(self, s: int, radar: RadarBias) -> None:
        """Write down what is to be taken off this radar's plots: what ADS-B shows, or else what other radars do."""
        x, cov, on = radar.x, radar.cov, radar.on
        self._off[s], self._var[s] = 0.0, 0.0
        if not radar.measured:
            self._lean(s)
            return
        self._shifted[s] = False
        if on[RANGE]:
            self._off[s, 0], self._var[s, 0] = x[OFFSET], cov[OFFSET, OFFSET]
            if radar.free[0]:
                self._off[s, 1] = x[GAIN]
                self._var[s, 1:3] = cov[OFFSET, GAIN], cov[GAIN, GAIN]
        if on[AZIMUTH]:
            self._off[s, 2], self._var[s, 3] = x[TURN], cov[TURN, TURN]
        if on[ELEVATION]:
            self._off[s, 3], self._var[s, 4] = radar.level[0], radar.level[1]
        if on[CLOCK]:
            self._off[s, 4] = x[TAU]

    def _lean(self, s: int) -> None:
        """Take off what other radars show. The sigma of its plots grows by what the pairs leave open, not by what no
        pair can tell: that is the same for all radars and doubles no track."""
        known = self._mutual.known.get(s)
        if known is None:
            self._shifted[s] = False
            return
        z = np.abs(known.bias) / known.noise
        self._shifted[s] = (z > self.params.sure) | (self._shifted[s] & (z > self.params.unsure))
        self._off[s, [0, 2]] = np.where(self._shifted[s], known.bias, 0.0)
        self._var[s, [0, 3]] = np.where(self._shifted[s], known.noise**2, 0.0)

    def _judge(self, s: int, radar: RadarBias) -> None:
        now_us = self._now_us
        since = now_us - round(RECENT_PERIODS * radar.period_us)
        self._votes.expected[s] = due_1(self._claims.state, self._seen_us[s], since, now_us)
        before = int(self._votes.fault[s])
        stepped_s = radar.stepped_s if abs(radar.stepped_s) > self.params.step_s else 0.0
        self._votes.judge(s, radar.measured, stepped_s)
        if before in _LEARNING and self._votes.fault[s] not in _LEARNING:
            radar.distrust()
        self.believed = self._votes.believed()
        if not self.believed.all():
            self._excuse()

    def _excuse(self) -> None:
        """Where every radar leans the same way, the claims are wrong: no radar is blamed for a GNSS fault."""
        measured = [i for i, other in self._radars.items() if other.measured]
        contradicted = (self._votes.fault == int(Fault.CLOCK)) | (self._votes.fault == int(Fault.LOST))
        leaning = contradicted | (self._votes.shift.max(axis=1, initial=0.0) >= LEANING)
        if len(measured) >= 2 and leaning[measured].all():
            self.believed |= contradicted

    def _one(self, spec: SensorSpec) -> SensorBias | None:
        radar = self._radars.get(spec.index)
        if radar is None:
            return None
        idle_s = (self._now_us - radar.stats[T_NEW]) / US_PER_S if radar.found else math.inf
        known = None if radar.measured else self._mutual.known.get(spec.index)
        if known is not None and self._votes.fault[spec.index] == int(Fault.NONE):
            return self._against_others(spec, known)
        state, detail = self._state(spec.index, radar, idle_s)
        if not radar.found:
            return SensorBias(spec.id, state, False, bool(self.believed[spec.index]), detail=detail)
        p = self.params
        hours = max(idle_s, 0.0) / 3600.0 if math.isfinite(idle_s) else 0.0
        sigma = np.sqrt(np.diag(radar.cov) + np.array([p.drift_m_per_h, 0.0, p.drift_rad_per_h, 0.0]) ** 2 * hours**2)
        elevation, e_var, pressure, h_var = radar.level.tolist()
        return SensorBias(
            sensor=spec.id,
            state=state,
            applied=bool(radar.on.any()),
            believed=bool(self.believed[spec.index]),
            pairs=int(radar.stats[N_PAIRS]),
            aircraft=int(radar.stats[N_CLAIMS]),
            range_m=float(radar.x[OFFSET]),
            sigma_range_m=float(sigma[OFFSET]),
            range_gain=float(radar.shown[0]),
            sigma_range_gain=float(radar.shown[1]),
            azimuth_rad=float(radar.x[TURN]),
            sigma_azimuth_rad=float(sigma[TURN]),
            elevation_rad=elevation,
            sigma_elevation_rad=math.sqrt(e_var) if math.isfinite(e_var) else math.nan,
            time_s=float(radar.shown[2]),
            sigma_time_s=float(radar.shown[3]),
            pressure_height_m=pressure,
            sigma_pressure_height_m=math.sqrt(h_var) if math.isfinite(h_var) else math.nan,
            detail=detail,
        )

    def _against_others(self, spec: SensorSpec, known: Aligned) -> SensorBias:
        """What other radars show of it; with its whole uncertainty, of which the most is what they cannot show."""
        idle_s = max((self._now_us - known.t_us) / US_PER_S, 0.0)
        drift = np.array([self.params.drift_m_per_h, self.params.drift_rad_per_h]) * idle_s / 3600.0
        sigma = np.hypot(known.sigma, drift)
        sure = bool((sigma < SURE).all())
        off = [name for name, on in zip(("range", "azimuth"), self._shifted[spec.index], strict=True) if on]
        detail = (
            f"range {known.bias[0]:+.0f} m, azimuth {math.degrees(known.bias[1]):+.3f} deg from {known.pairs} plots of "
            f"{known.couples} tracks of other radars, "
            + ("one of which ADS-B anchors" if known.anchored else "no ADS-B anchors them")
            + ("" if sure else ": known against each other only")
            + (f"; {idle_s:.0f} s ago" if idle_s > ALIGNED_S else "")
            + (f"; taken off: {', '.join(off)}" if off else "; nothing to take off")
        )
        return SensorBias(
            sensor=spec.id,
            state="ok" if sure else "relative",
            applied=bool(off),
            believed=bool(self.believed[spec.index]),
            pairs=known.pairs,
            aircraft=known.couples,
            range_m=float(known.bias[0]),
            sigma_range_m=float(sigma[0]),
            azimuth_rad=float(known.bias[1]),
            sigma_azimuth_rad=float(sigma[1]),
            detail=detail,
        )

    def _state(self, s: int, radar: RadarBias, idle_s: float) -> tuple[str, str]:
        if self._votes.fault[s] != int(Fault.NONE):
            words = self._votes.words(s)
            if self.believed[s]:
                return "settling", f"{words}; so does every radar: claims are in doubt, not this sensor"
            return "inconsistent", f"{words}; its plots are not used"
        if not radar.found:
            if radar.best[0] < 2.0:
                return "no-common-traffic", "no plot near a claim"
            return "settling", f"{radar.best[0]:.0f} pairs agree on a bias, {radar.best[1]:.0f} are needed"
        what = (
            f"range {radar.x[OFFSET]:+.0f} m, azimuth {math.degrees(radar.x[TURN]):+.3f} deg from "
            f"{radar.stats[N_PAIRS]:.0f} plots of {radar.stats[N_CLAIMS]:.0f} aircraft"
        )
        if not radar.measured:
            return "settling", what
        names = [name for name, on in zip(("range", "azimuth", "elevation", "time"), radar.on, strict=True) if on]
        what += f"; taken off: {', '.join(names)}" if names else "; nothing to take off"
        if idle_s > max(self.params.idle_s, 10.0 * radar.period_us / US_PER_S):
            return "no-common-traffic", f"{what}; {idle_s:.0f} s ago"
        return "ok", what


def _roomy(held: Rec, wanted: int) -> Rec:
    """The same plots, with room for so many if they are not too many."""
    if wanted <= len(held) or len(held) >= WAITING_MOST:
        return held
    more = np.empty(min(max(wanted, 2 * len(held)), WAITING_MOST), HELD)
    more[: len(held)] = held
    return more
