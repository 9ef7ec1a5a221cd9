"""Registration: what each radar measures wrong, learnt from common traffic while it works, and taken off its plots.

    observe(plots)   all plots of one tick, as they came      correct(plots)   the same plots, in place, before use
    report()         one SensorBias per radar                 believed         False: keep its plots out of association

Aircraft that say where they are (ADS-B) are the reference: `fusion.traffic` pairs plots with claims, `fusion.radarbias`
finds the one bias that explains the pairs, `fusion.consistency` says when nothing does. Work is done every two seconds
of arrival time, on radar plots that arrived at least `hold_s` before, so that claims from around their time are there.
Nothing is taken off that is not significant: without a bias, and without ADS-B, nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fusion.biasfit import GAIN, N_CLAIMS, N_PAIRS, OFFSET, T_NEW, TAU, TURN
from fusion.consistency import Consistency, Fault
from fusion.filters.params import M_A, M_B, M_C, M_SA, M_SB, M_SC, M_SV, M_VE, M_VU, ROW
from fusion.geo import ecef, enu_axes
from fusion.kernels import Rec
from fusion.radarbias import AZIMUTH, CLOCK, ELEVATION, RANGE, RadarBias, RegistrationParams
from fusion.schema import CLAIM, F8, I8, INDEPENDENT, US_PER_S, PlotKind, SensorSpec
from fusion.sensorbias import SensorBias
from fusion.traffic import P_SLOT, P_T, PAIR, R_SH, R_SP, R_SV, R_T, R_V, R_X, REPORT, TURN_BINS, Claims, pair_1

__all__ = ["Registration", "RegistrationParams"]

POSITION, POLAR = int(PlotKind.POSITION), int(PlotKind.POLAR)
WORK_EVERY_US = 2 * US_PER_S  # a scan or less: nothing new comes sooner than a radar turns
WAITING_MOST = 20_000  # plots held back; of more, the newest are left out
RECENT_PERIODS = 4.0  # an aircraft that a radar saw within this should be seen again
ALIVE_US = 5 * US_PER_S  # and is there as long as it says so
LEANING = 2.0  # score of a shifted clock that excuses other radars of the same
DISTRUSTED = 4.0  # factor on the sigmas of a radar that is not believed
_EARLY = -(2**62)
_LEARNING = (Fault.NONE, Fault.LOST)  # with a fault of these the pairs still say something: a lost bias may be found

# A radar plot that waits for claims: everything pairing needs.
HELD = np.dtype(
    [
        ("t_us", "i8"), ("rx_us", "i8"), ("sensor", "i8"), ("kind", "i8"), ("address", "i8"), ("mode3a", "i8"),
        ("row", "f8", (ROW,)),
    ]
)  # fmt: skip


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
        self._is_claim = np.array([spec.kind in CLAIM for spec in self._sensors], np.bool_)
        self._is_radar = np.array([i in self._radars for i in range(n)], np.bool_)
        self._votes = Consistency(n)
        self._held = np.empty(0, HELD)
        self._came: list[Rec] = []  # since the last second, as they came
        self._number = np.zeros(n, np.int64)  # plots paired so far, by sensor
        self._seen_us = {i: np.empty(0, np.int64) for i in self._radars}  # by slot of the claims: last plot that fitted
        self._now_us = -1
        self._slot = -1
        self.believed = np.ones(n, np.bool_)
        self._off = np.zeros((n, 5))  # taken off: range offset, gain, azimuth, elevation, time
        self._var = np.zeros((n, 5))  # variance of range offset, its covariance with gain, gain, azimuth, elevation

    # ------------------------------------------------------------- the verbs

    def observe(self, plots: Rec, now_us: int) -> None:
        """Take note of all plots of one tick as they came, before `correct`. `now_us`: the arrival clock."""
        self._now_us = now_us
        if len(plots):
            self._came.append(plots.copy())
        slot = now_us // WORK_EVERY_US
        if slot != self._slot:
            passed_s = (slot - self._slot) * WORK_EVERY_US / US_PER_S if self._slot >= 0 else 0.0
            self._slot = slot
            self._work(now_us, passed_s)

    def correct(self, plots: Rec) -> I8:
        """Take the biases off, in place: range, azimuth, elevation and time of measurement; sigmas grow by what is not
        known of the bias, and fourfold for a radar that is not believed. Returns the rows that changed: what the caller
        derived from them (`place`, `reach`, order of time) is to be derived anew.
        """
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

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        return {
            "claims": self._claims.snapshot(),
            "radars": {i: radar.snapshot() for i, radar in self._radars.items()},
            "votes": self._votes.snapshot(),
            "held": self._held.copy(),
            "came": [plots.copy() for plots in self._came],
            "number": self._number.copy(),
            "seen_us": {i: seen.copy() for i, seen in self._seen_us.items()},
            "clock": (self._now_us, self._slot),
            "believed": self.believed.copy(),
            "off": self._off.copy(),
            "var": self._var.copy(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of a registration of the same sensors."""
        self._claims.restore(state["claims"])
        for i, radar in self._radars.items():
            radar.restore(state["radars"][i])
            self._seen_us[i] = state["seen_us"][i].copy()
        self._votes.restore(state["votes"])
        self._held, self._came = state["held"].copy(), [plots.copy() for plots in state["came"]]
        self._number = state["number"].copy()
        self._now_us, self._slot = state["clock"]
        self.believed = state["believed"].copy()
        self._off, self._var = state["off"].copy(), state["var"].copy()

    # ------------------------------------------------------------- inside

    def _work(self, now_us: int, passed_s: float) -> None:
        """What is done every WORK_EVERY_US: keep claims, pair what waited long enough, estimate, judge."""
        came = _held(self._held[:0], self._came)
        self._came.clear()
        sensor = came["sensor"]
        said = came[self._is_claim[sensor] & (came["kind"] == POSITION) & (came["address"] >= 0)]
        self._held = _held(self._held, [came[self._is_radar[sensor] & (came["kind"] == POLAR)]])
        if len(said):
            self._listen(said[np.lexsort((said["address"], said["t_us"]))])
        ready = self._held["rx_us"] <= now_us - round(self.params.hold_s * US_PER_S)
        plots = self._held[ready]
        self._held = self._held[~ready]
        plots = plots[np.lexsort((plots["row"][:, M_B], plots["row"][:, M_A], plots["t_us"], plots["sensor"]))]
        ends = np.searchsorted(plots["sensor"], np.arange(len(self._sensors) + 1))
        for s, radar in self._radars.items():
            self._votes.fade(s, passed_s * US_PER_S / radar.period_us, radar.measured)
            part = plots[ends[s] : ends[s + 1]]
            if len(part):
                self._look(s, radar, part)
                self._settle(s, radar)
        self._judge()

    def _listen(self, said: Rec) -> None:
        row = said["row"]
        lat, lon = row[:, M_A], row[:, M_B]
        reports = np.empty((len(said), REPORT))
        reports[:, R_T] = said["t_us"]
        height_known = ~np.isnan(row[:, M_C])
        reports[:, R_X : R_X + 3] = ecef(lat, lon, np.where(height_known, row[:, M_C], 0.0))
        enu = row[:, M_VE : M_VU + 1]
        level = np.where(np.isnan(enu), [np.nan, np.nan, 0.0], enu)  # no climb told: taken as level
        reports[:, R_V : R_V + 3] = np.einsum("nij,ni->nj", enu_axes(lat, lon), level)
        reports[:, R_SP], reports[:, R_SV] = row[:, M_SA], row[:, M_SV]
        reports[:, R_SH] = np.where(height_known, row[:, M_SC], np.nan)
        usable = ~np.isnan(reports[:, R_SP]) & height_known
        said, reports = said[usable], reports[usable]
        given = self._claims.add(said["t_us"].copy(), said["address"].copy(), said["mode3a"].copy(), reports)
        for i, seen in self._seen_us.items():
            grown = np.concatenate([seen, np.full(len(self._claims.key) - len(seen), _EARLY, np.int64)])
            grown[given] = _EARLY
            self._seen_us[i] = grown

    def _look(self, s: int, radar: RadarBias, plots: Rec) -> None:
        """Pair the plots of one radar with claims, count what they say, and estimate."""
        row = np.ascontiguousarray(plots["row"])
        self._votes.note_plots(s, row[:, M_A], row[:, M_B])
        most = self.params.plots_settled if radar.settled else self.params.plots_most
        if len(plots) > most:
            keep = np.linspace(0, len(plots) - 1, most).astype(np.int64)
            plots, row = plots[keep], np.ascontiguousarray(row[keep])
        out, turn, claims = np.empty((16 * len(plots) + 64, PAIR)), np.zeros(TURN_BINS), self._claims
        bias = radar.x[[OFFSET, GAIN, TURN]].copy()
        columns: list[I8] = [np.ascontiguousarray(plots[name]) for name in ("t_us", "address", "mode3a")]
        count = pair_1(
            columns[0], row, columns[1], columns[2], int(self._number[s]), claims.ring, claims.used, claims.doubt_us,
            claims.key, claims.code, self._sites[s], radar.window, bias, turn, out,
        )  # fmt: skip
        self._number[s] += len(plots)
        pairs = out[:count]
        self._votes.note_pairs(s, turn, pairs, radar.x, radar.measured)
        radar.learn(pairs, Fault(int(self._votes.fault[s])) in _LEARNING)
        fresh = radar.fresh
        np.maximum.at(self._seen_us[s], fresh[:, P_SLOT].astype(np.int64), fresh[:, P_T].astype(np.int64))

    def _settle(self, s: int, radar: RadarBias) -> None:
        """Write down what is to be taken off this radar's plots."""
        x, cov, on = radar.x, radar.cov, radar.on
        self._off[s], self._var[s] = 0.0, 0.0
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

    def _judge(self) -> None:
        now_us = self._now_us
        alive = (self._claims.newest_us > now_us - ALIVE_US) & (self._claims.doubt_us < now_us)
        witnesses = np.array([s in self._radars and self._radars[s].measured for s in range(len(self._sensors))])
        for s, radar in self._radars.items():
            since = now_us - round(RECENT_PERIODS * radar.period_us)
            self._votes.expected[s] = np.count_nonzero((self._seen_us[s] > since) & alive)
            before = self._votes.fault[s]
            stepped_s = radar.stepped_s if abs(radar.stepped_s) > self.params.step_s else 0.0
            self._votes.judge(s, radar.measured, stepped_s)
            if Fault(int(before)) in _LEARNING and Fault(int(self._votes.fault[s])) not in _LEARNING:
                radar.distrust()
        # Where every radar leans the same way, it is the claims that are wrong: no radar is blamed for a GNSS fault.
        contradicted = np.isin(self._votes.fault, (int(Fault.CLOCK), int(Fault.LOST)))
        leaning = contradicted | (self._votes.shift.max(axis=1, initial=0.0) >= LEANING)
        excused = int(witnesses.sum()) >= 2 and bool(leaning[witnesses].all())
        self.believed = self._votes.believed()
        if excused:
            self.believed |= contradicted

    def _one(self, spec: SensorSpec) -> SensorBias | None:
        radar = self._radars.get(spec.index)
        if radar is None:
            return None
        idle_s = (self._now_us - radar.stats[T_NEW]) / US_PER_S if radar.found else math.inf
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


def _held(before: Rec, parts: Sequence[Rec]) -> Rec:
    """The plots waiting and these, without what does not fit any more."""
    after = np.empty(min(WAITING_MOST, len(before) + sum(len(part) for part in parts)), HELD)
    at = len(before)
    after[:at] = before
    for part in parts:
        end = min(WAITING_MOST, at + len(part))
        for name in HELD.names or ():
            after[name][at:end] = part[name][: end - at]
        at = end
    return after
