"""Plots in, tracks out: predict, associate, update, spawn, prune.

A step takes the plots that one tick fuses, cuts them into slices of a quarter second of measured time and, within a
slice, into groups of one sensor. Each group is associated with the tracks as a whole and fused plot by plot at its own
time. Nothing here looks at the wall clock; the same plots in the same order give the same tracks, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.associate import (
    ADDRESS,
    ARRIVED,
    BIRTH,
    CATEGORY,
    CLAIM,
    CONFIRMED,
    HEIGHT,
    HITS,
    ID,
    MODE3A,
    MODE3A_US,
    ODDS,
    RADAR,
    SAME_SCAN,
    STATUS,
    UNSEEN,
    UPDATE,
    cluster_1,
    gate_1,
)
from fusion.bank import Bank
from fusion.clutter import S_CLAIM, S_CLUTTER, S_PERIOD_US, S_RADAR, SENSOR, learn_1, numbers_of
from fusion.coverage import C_LOOKS, detection_probability, sensor_table
from fusion.existence import absorb_1, by_address_1, look_1, reopen_1, twins_1
from fusion.filters.imm import WORK, imm_table
from fusion.filters.params import MODELS, SITE, ImmParams
from fusion.geo import pressure_height_correction, site_table
from fusion.kernels import PLOT, Rec
from fusion.registration import Registration, RegistrationParams
from fusion.rows import near_1, places, plots_of, stack
from fusion.schema import (
    CLAIM as CLAIMS,
)
from fusion.schema import (
    F8,
    I8,
    INDEPENDENT,
    US_PER_S,
    PlotKind,
    Plots,
    SensorKind,
    SensorSpec,
    Tracks,
    TrackStatus,
)
from fusion.terrain import Grid

SLICE_US = 250_000  # plots this close in time are associated together
MERGE_EVERY_US = US_PER_S
RECENT_US = 30 * US_PER_S  # `Tracks.sensors` shows who fed a track this long
SILENT_PERIODS = 2.5  # a sensor that says nothing for longer was off
NIS_MEMORY = 500.0  # plots over which the innovation statistic of a sensor is averaged
METRES_PER_HPA = 8.3  # of pressure altitude near sea level, ICAO Doc 7488


@dataclass(frozen=True, slots=True)
class TrackerParams:
    """Every number the tracker decides by, with its unit and its reason."""

    imm: ImmParams = field(default_factory=ImmParams)
    registration: RegistrationParams = field(default_factory=RegistrationParams)
    p_confirm: float = 0.95  # existence at which a track is published: one false track in twenty at that moment
    p_delete: float = 0.07  # existence below which a published track ends
    p_delete_new: float = 0.0005  # and an unpublished one: survives one missed look, not two
    p_most: float = 0.9995  # existence never counts as surer: about five missed looks must end any track
    gain_most: float = 9.0  # log-likelihood ratio one plot can add: no single plot proves an object
    survive_s: float = 150.0  # mean time an object stays in the picture without being seen
    new_per_scan: float = 2.0  # newcomers in one period of a radar
    claim_clutter_per_scan: float = 0.01  # false claims in one period: they carry a checksum
    claim_new_per_scan: float = 0.1
    forget: float = 0.85  # per look, of the hits and misses a track had with a sensor: about seven looks count
    coast_periods: float = 2.0  # longer than this many periods unseen: coasting
    claim_silence_s: float = 60.0  # a track that only claims fed ends after this silence
    sigma_most_m: float = 3_000.0  # a track whose place is less sure than this is no longer news
    new_speed_mps: float = 100.0  # sigma of each velocity axis after one plot
    fast_gate: float = 30.0  # squared Mahalanobis distance within which an address is believed
    patience_periods: float = 0.35  # after its due time a look still counts as not yet missed
    reopen_s: float = 1.5  # plots of one scan come in any order within this
    reopen_m: float = 6_000.0  # and may contend for tracks when this close
    merge_m: float = 2_000.0  # tracks further apart are never merged
    merge_gate: float = 9.0  # squared Mahalanobis distance of place and of velocity for a merger
    pressure_sigma_m: float = 100.0  # of a pressure height without QNH: day-to-day weather
    pressure_sigma_qnh_m: float = 30.0  # with QNH: what temperature leaves


@dataclass(frozen=True, slots=True)
class SensorStats:
    """What the tracker learnt of each sensor, by index."""

    hits: I8  # (n,) plots fused into a track
    misses: I8  # (n,) expected looks at tracks it had seen that gave nothing
    nis: F8  # (n,) mean normalised innovation squared per degree of freedom of late; NaN: none yet
    innovations: I8  # (n,) plots that entered `nis`
    clutter_per_scan: F8  # (n,) estimate of false plots in one period


class Tracker:
    """All tracks of one picture. Not thread-safe.

    Args:
        sensors: in order of index, ids unique.
        params: see TrackerParams.
        epoch: raised by every cold start; first half of every track's name.
        geoid: mean sea level above the ellipsoid, for pressure heights.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        params: TrackerParams | None = None,
        epoch: int = 0,
        geoid: Grid | None = None,
    ) -> None:
        self.params = params or TrackerParams()
        self.epoch = epoch
        self._sensors = tuple(sensors)
        self._row_of = {spec.id: i for i, spec in enumerate(self._sensors)}
        self._geoid = geoid
        self._sites = np.ascontiguousarray(site_table(self._sensors)).reshape(-1, SITE)
        self.registration = Registration(self._sensors, self._sites, self.params.registration)
        self._table = imm_table(self.params.imm)
        self._coverage = sensor_table(self._sensors)
        self._rules = _rules(self.params)
        self._numbers = np.array([self._sensor_numbers(spec) for spec in self._sensors]).reshape(-1, SENSOR)
        self._looks = np.array([self._look_numbers(spec) for spec in self._sensors]).reshape(-1, 4)
        self._work = (np.empty((MODELS, 6)), np.empty((MODELS, 6, 6)), np.empty(MODELS), np.empty(WORK))
        self._bank = Bank(len(self._sensors))
        self._next_id = 1
        self._newest_us = -1
        self._sensor_us = np.full(len(self._sensors), -(2**62), np.int64)
        self._merge_slot = -1
        self._recent = [np.empty(0, PLOT) for _ in self._sensors]  # per radar: plots that may be given out again
        self._dropped: list[tuple[int, str]] = []
        self._hits = np.zeros(len(self._sensors), np.int64)
        self._misses = np.zeros(len(self._sensors), np.int64)
        self._innovations = np.zeros(len(self._sensors), np.int64)
        self._nis = np.zeros((len(self._sensors), 2))  # sum, degrees of freedom, both fading
        self._qnh_m = 0.0
        self._qnh_sigma_m = self.params.pressure_sigma_m

    # ------------------------------------------------------------- the verbs

    def step(self, batches: Sequence[Plots], now_us: int) -> int:
        """Fuse what one tick holds. Batches in the order that `Order.drain` gives; returns the plots used.

        Raises:
            KeyError: a batch of a sensor that the tracker does not know; decoders refuse those at the door.
        """
        used = sum(len(batch) for batch in batches)
        plots = self._plots(batches, now_us)
        if len(plots):
            keys = np.stack([plots["t_us"] // SLICE_US, plots["sensor"], plots["kind"]])
            cuts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
            for group in np.split(plots, cuts):
                self._fuse(group)
        if self._newest_us >= 0:
            self._prune(now_us)
            if self._newest_us // MERGE_EVERY_US != self._merge_slot:
                self._merge_slot = self._newest_us // MERGE_EVERY_US
                self._merge()
        return used

    def table(self, t_us: int) -> Tracks:
        """Confirmed and coasting tracks, extrapolated to t_us, in order of id."""
        bank = self._bank
        slots = bank.live()
        slots = slots[bank.meta[slots, STATUS] > int(TrackStatus.TENTATIVE)]
        slots = slots[np.argsort(bank.meta[slots, ID], kind="stable")]
        state, cov, mode = bank.ahead(slots, t_us, self._table)
        meta = bank.meta[slots]
        recent = (bank.hit_us[slots] >= 0) & (self._newest_us - bank.hit_us[slots] <= RECENT_US)
        bits = np.left_shift(np.uint64(1), np.minimum(np.arange(len(self._sensors)), 63).astype(np.uint64))
        seen = np.bitwise_or.reduce(np.where(recent, bits, np.uint64(0)), axis=1) if len(self._sensors) else None
        return Tracks(
            epoch=self.epoch,
            t_us=t_us,
            id=meta[:, ID].copy(),
            birth_us=meta[:, BIRTH].copy(),
            confirmed_us=meta[:, CONFIRMED].copy(),
            update_us=meta[:, UPDATE].copy(),
            rx_us=meta[:, ARRIVED].copy(),
            state=state,
            cov=cov,
            mode=mode,
            existence=1.0 / (1.0 + np.exp(-bank.belief[slots, ODDS])),
            status=meta[:, STATUS].astype(np.int8),
            address=meta[:, ADDRESS].astype(np.int32),
            mode3a=meta[:, MODE3A].astype(np.int32),
            mode3a_us=meta[:, MODE3A_US].copy(),
            category=meta[:, CATEGORY].astype(np.int8),
            callsign=bank.callsign[slots],
            serial=bank.serial[slots],
            claim_us=meta[:, CLAIM].copy(),
            radar_us=meta[:, RADAR].copy(),
            height_us=meta[:, HEIGHT].copy(),
            hits=meta[:, HITS].astype(np.int32),
            unseen=bank.belief[slots, UNSEEN].copy(),
            sensors=np.zeros(len(slots), np.uint64) if seen is None else seen.astype(np.uint64),
        )

    @property
    def counts(self) -> dict[str, int]:
        """Tracks by status, by lower-case name; the tentative are there too."""
        status = self._bank.meta[self._bank.live(), STATUS]
        return {s.name.lower(): int((status == int(s)).sum()) for s in TrackStatus}

    def drain_dropped(self) -> list[tuple[int, str]]:
        """(counter, why) of every once published track that ended since the last call."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def set_qnh(self, hpa: float, sigma_hpa: float) -> None:
        """The pressure at mean sea level from now on; turns pressure height into height."""
        self._qnh_m = float(pressure_height_correction(hpa))
        self._qnh_sigma_m = math.hypot(self.params.pressure_sigma_qnh_m, METRES_PER_HPA * sigma_hpa)

    def sensor_stats(self) -> SensorStats:
        """What was learnt of each sensor up to now."""
        dof = self._nis[:, 1]
        nis = np.where(dof > 0.0, self._nis[:, 0] / np.maximum(dof, 1e-9), np.nan)
        return SensorStats(
            self._hits.copy(), self._misses.copy(), nis, self._innovations.copy(), self._numbers[:, S_CLUTTER].copy()
        )

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        dropped = np.array([i for i, _ in self._dropped], np.int64)
        why = np.array([w.encode() for _, w in self._dropped], "S16")
        return {
            **self._bank.snapshot(),
            "registration": self.registration.snapshot(),
            "next_id": self._next_id,
            "newest_us": self._newest_us,
            "merge_slot": self._merge_slot,
            "sensor_us": self._sensor_us.copy(),
            "numbers": self._numbers.copy(),
            "hits_n": self._hits.copy(),
            "misses_n": self._misses.copy(),
            "innovations_n": self._innovations.copy(),
            "nis": self._nis.copy(),
            "qnh_m": self._qnh_m,
            "qnh_sigma_m": self._qnh_sigma_m,
            "recent": stack(self._recent),
            "dropped_id": dropped,
            "dropped_why": why,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of a tracker with the same sensors and parameters."""
        self._bank.restore(state)
        self.registration.restore(state["registration"])
        self._next_id = int(state["next_id"])
        self._newest_us = int(state["newest_us"])
        self._merge_slot = int(state["merge_slot"])
        self._sensor_us = np.array(state["sensor_us"], np.int64)
        self._numbers = np.array(state["numbers"], np.float64)
        self._hits = np.array(state["hits_n"], np.int64)
        self._misses = np.array(state["misses_n"], np.int64)
        self._innovations = np.array(state["innovations_n"], np.int64)
        self._nis = np.array(state["nis"], np.float64)
        self._qnh_m = float(state["qnh_m"])
        self._qnh_sigma_m = float(state["qnh_sigma_m"])
        recent = np.asarray(state["recent"])
        self._recent = [recent[recent["sensor"] == i] for i in range(len(self._sensors))]
        ids, why = np.asarray(state["dropped_id"]), np.asarray(state["dropped_why"])
        self._dropped = [(int(i), bytes(w).decode()) for i, w in zip(ids, why, strict=True)]

    # ------------------------------------------------------------- inside

    def _sensor_numbers(self, spec: SensorSpec) -> F8:
        claim = spec.kind in CLAIMS or spec.kind == SensorKind.TRACK
        p = self.params
        return numbers_of(
            spec.index,
            spec.period_s * US_PER_S,
            spec.kind in INDEPENDENT,
            claim,
            p.claim_clutter_per_scan if claim else max(spec.clutter_per_scan, 0.1),
            p.claim_new_per_scan if claim else p.new_per_scan,
            spec.range_max_m,
            p.fast_gate,
        )

    def _look_numbers(self, spec: SensorSpec) -> list[float]:
        patience_s = self.params.patience_periods * spec.period_s + spec.latency_s
        return [spec.period_s * US_PER_S, patience_s * US_PER_S, float(spec.kind in INDEPENDENT), 0.0]

    def _plots(self, batches: Sequence[Plots], now_us: int) -> Rec:
        """All plots of believed sensors, biases taken off, in order of (slice of measured time, sensor, kind, time)."""
        found = []
        for batch in batches:
            spec = self._sensors[self._row_of[batch.sensor]]
            found.append(plots_of(batch, spec, self._sites, self._geoid, self._qnh_m, self._qnh_sigma_m))
        plots = stack(found)
        self.registration.observe(plots, now_us)
        plots = plots[self.registration.believed[plots["sensor"]]]
        moved = self.registration.correct(plots)
        if len(moved):
            row = np.ascontiguousarray(plots["row"][moved])
            plots["place"][moved], plots["reach"][moved] = places(row, self._sites)
        order = np.lexsort((plots["t_us"], plots["kind"], plots["sensor"], plots["t_us"] // SLICE_US))
        ordered: Rec = plots[order]
        return ordered

    def _fuse(self, plots: Rec) -> None:
        """Associate and fuse one group: plots of one sensor and kind within one slice, in order of time."""
        bank, sensor = self._bank, int(plots["sensor"][0])
        numbers = self._numbers[sensor]
        if numbers[S_CLAIM] > 0.0:
            landed = plots["on_ground"] == 1
            if landed.any():
                self._landed(plots["address"][landed])
                plots = plots[~landed]
                if len(plots) == 0:
                    return
        fresh = len(plots)
        if numbers[S_RADAR] > 0.0:
            plots = self._reopen(sensor, plots)
        live = bank.live()
        bank.reserve(len(plots))
        taken, nis = np.zeros(len(plots), np.bool_), np.zeros(2)
        common: tuple[Any, ...] = (*bank.filter(), self._sites, self._table, *self._work)
        per_track: tuple[Any, ...] = (bank.meta, bank.belief, bank.hit_us, bank.look_us, bank.rate)
        if numbers[S_CLAIM] > 0.0:
            known, slots = bank.addresses(live)
            call: tuple[Any, ...] = (plots, numbers, taken, *common, *per_track, known, slots, self._rules, nis)
            by_address_1(*call)
        if not taken.all():
            chosen, pair_slot, pair = self._choose(plots, numbers, taken, live, common)
            taken |= (chosen < 0) & (plots["kind"] == int(PlotKind.BEARING))  # a direction is no place to start from
            call = (
                plots, numbers, taken, *common, *per_track, chosen, pair_slot, pair, bank.free(), self._next_id,
                max(self._newest_us, int(plots["t_us"][-1])) * 1e-6, self._rules, nis,
            )  # fmt: skip
            self._next_id += int(absorb_1(*call))
        for name, column in (("callsign", bank.callsign), ("serial", bank.serial)):
            said = np.flatnonzero((plots[name] != b"") & (plots["slot"] >= 0))
            column[plots["slot"][said]] = plots[name][said]
        self._learn(sensor, plots, fresh, nis)
        if numbers[S_RADAR] > 0.0:
            self._recent[sensor] = stack([self._recent[sensor], plots])

    def _reopen(self, sensor: int, plots: Rec) -> Rec:
        """The group, with those plots of the same scan that came before it and may have taken its tracks.

        Plots of one scan come in any order and in several ticks. Those near a new one are taken back from their tracks
        and given out again together with it, so that neighbours are told apart as if all had come at once.
        """
        recent = self._recent[sensor]
        if len(recent) == 0:
            return plots
        numbers, bank = self._numbers[sensor], self._bank
        window_us = min(SAME_SCAN * numbers[S_PERIOD_US], self.params.reopen_s * US_PER_S)
        recent = recent[recent["t_us"] > max(int(self._sensor_us[sensor]), int(plots["t_us"][-1])) - window_us]
        wanted = near_1(recent, plots, self.params.reopen_m)
        if wanted.any():
            call: tuple[Any, ...] = (
                recent, numbers, wanted, *bank.filter(), self._sites, self._table, *self._work,
                bank.meta, bank.belief, bank.hit_us, bank.look_us, bank.rate, self._rules,
            )  # fmt: skip
            reopen_1(*call)
            again = recent[wanted]
            recent = recent[~wanted]
            plots = stack([again, plots])
            plots = plots[np.argsort(plots["t_us"], kind="stable")]
        self._recent[sensor] = recent
        return plots

    def _choose(
        self, plots: Rec, numbers: F8, taken: np.ndarray, live: I8, common: tuple[Any, ...]
    ) -> tuple[I8, I8, F8]:
        bank, n = self._bank, len(plots)
        room = 32 * n + 256
        while True:
            pair_plot, pair_slot, pair = np.empty(room, np.int64), np.empty(room, np.int64), np.empty((room, 5))
            call: tuple[Any, ...] = (
                plots, numbers, taken, live, *common, bank.meta, bank.belief, bank.hit_us, bank.rate,
                pair_plot, pair_slot, pair,
            )  # fmt: skip
            count = int(gate_1(*call))
            if count >= 0:
                break
            room *= 4
        chosen = np.full(n, -1, np.int64)
        cluster_1(n, count, pair_plot, pair_slot, pair, chosen)
        return chosen, pair_slot, pair

    def _learn(self, sensor: int, plots: Rec, fresh: int, nis: F8) -> None:
        """Book what a group says of its sensor: newest time, hits, innovations, clutter."""
        numbers, owner = self._numbers[sensor], plots["slot"]
        newest_us = int(plots["t_us"][-1])
        self._newest_us = max(self._newest_us, newest_us)
        before_us = int(self._sensor_us[sensor])
        self._sensor_us[sensor] = max(before_us, newest_us)
        if newest_us - before_us > SILENT_PERIODS * numbers[S_PERIOD_US]:
            # It was silent, not blind: what it did not say in that time counts against nobody.
            looks = self._bank.look_us[:, sensor]
            np.maximum(looks, newest_us - round(numbers[S_PERIOD_US]), out=looks)
        sure = (owner >= 0) & (self._bank.meta[np.maximum(owner, 0), STATUS] > int(TrackStatus.TENTATIVE))
        share = fresh / len(plots)
        self._hits[sensor] += fresh
        if nis[1] > 0.0:
            keep = math.exp(-fresh / NIS_MEMORY)
            self._nis[sensor] = self._nis[sensor] * keep + nis * share
            self._innovations[sensor] += fresh
        if numbers[S_CLAIM] == 0.0 and before_us > 0:
            once = self._bank.meta[np.maximum(owner, 0), HITS] <= 1  # a second plot that fits is perhaps no clutter
            learn_1(numbers, plots, ~sure & once, share, max(newest_us - before_us, 0) / US_PER_S)

    def _prune(self, now_us: int) -> None:
        bank = self._bank
        live = bank.live()
        ended = np.empty(len(live), np.int64)
        count = look_1(
            live, self._newest_us, now_us, self._sensor_us, self._looks, self._coverage, self._sites,
            bank.meta, bank.belief, bank.hit_us, bank.look_us, bank.rate, bank.time_us, bank.x, bank.p,
            self._rules, ended, self._misses,
        )  # fmt: skip
        for slot in ended[:count]:
            self._end(int(slot), "dropped" if self._covered(int(slot)) else "left coverage")

    def _covered(self, slot: int) -> bool:
        """Would any sensor that looks by itself see the object where it should be now?"""
        bank = self._bank
        ahead_s = (self._newest_us - int(bank.time_us[slot])) / US_PER_S
        place = bank.x[slot, :3] + ahead_s * bank.x[slot, 3:]
        looks = self._coverage[:, C_LOOKS] > 0.0
        if not looks.any():
            return False
        seen = detection_probability(self._coverage[looks], self._sites[looks], place[None])
        return bool((seen > 0.3).any())

    def _merge(self) -> None:
        bank = self._bank
        live = bank.live()
        live = live[bank.meta[live, STATUS] > int(TrackStatus.TENTATIVE)]
        if len(live) < 2:
            return
        state, cov, _ = bank.ahead(live, self._newest_us, self._table)
        pairs = np.empty((len(live), 2), np.int64)
        p = self.params
        count = twins_1(live, state, cov, bank.meta, bank.hit_us, self._looks, p.merge_m, p.merge_gate, pairs)
        for keep, drop in pairs[:count]:
            bank.absorb(int(keep), int(drop))
            self._end(int(drop), "merged")

    def _landed(self, addresses: np.ndarray) -> None:
        known, slots = self._bank.addresses(self._bank.live())
        for slot in np.sort(slots[np.isin(known, addresses)]):
            self._end(int(slot), "landed")

    def _end(self, slot: int, why: str) -> None:
        if self._bank.meta[slot, STATUS] > int(TrackStatus.TENTATIVE):
            self._dropped.append((int(self._bank.meta[slot, ID]), why))
        self._bank.release(slot)


def _rules(p: TrackerParams) -> F8:
    def odds(probability: float) -> float:
        return math.log(probability / (1.0 - probability))

    return np.array(
        [
            odds(p.p_confirm),
            odds(p.p_delete),
            odds(p.p_delete_new),
            odds(p.p_most),
            p.gain_most,
            p.survive_s,
            p.forget,
            p.coast_periods,
            p.sigma_most_m,
            p.new_speed_mps,
            p.claim_silence_s,
        ]
    )
