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
    DECAYED,
    HEIGHT,
    HITS,
    ID,
    LEFT_OUT,
    LEVEL,
    LEVEL_US,
    MODE3A,
    MODE3A_US,
    MOST_PAIRS,
    NEXT_ID,
    ODDS,
    PAIR,
    RADAR,
    REFUSED,
    SPLIT,
    STATUS,
    STEP_SCRATCH,
    TOP,
    UNSEEN,
    UPDATE,
)
from fusion.bank import MOST_TRACKS, Bank
from fusion.bias.mutual import AlignmentLimits
from fusion.bias.pressure import Pressure
from fusion.borders.terrain import Grid
from fusion.clutter import GRID, HOT, S_CLUTTER, SENSOR, numbers_of
from fusion.coverage import Coverage
from fusion.existence import look_1
from fusion.filters.imm import imm_table
from fusion.filters.params import SITE, ImmParams
from fusion.geo import pressure_height_correction, site_table
from fusion.kernels import Rec
from fusion.registration import Registration, RegistrationParams
from fusion.rows import head_of, order_1, place_n, plots_of, take
from fusion.schema import (
    CLAIM as CLAIMS,
)
from fusion.schema import (
    F8,
    I8,
    INDEPENDENT,
    US_PER_S,
    Plots,
    SensorKind,
    SensorSpec,
    Tracks,
    TrackStatus,
)
from fusion.step import step_1
from fusion.twins import twins_1

SLICE_US = 250_000  # plots this close in time are associated together
MERGE_EVERY_US = US_PER_S
FADE_EVERY_US = 60 * US_PER_S
RECENT_US = 30 * US_PER_S  # `Tracks.sensors` shows who fed a track this long
METRES_PER_HPA = 8.3  # of pressure altitude near sea level, ICAO Doc 7488


@dataclass(frozen=True, slots=True)
class TrackerParams:
    """Every number the tracker decides by, with its unit and its reason."""

    imm: ImmParams = field(default_factory=ImmParams)
    registration: RegistrationParams = field(default_factory=RegistrationParams)
    p_confirm: float = 0.95  # existence at which a track is published: one false track in twenty at that moment
    p_delete: float = 0.01  # existence below which a published track ends: four looks missed by a radar that sees it
    p_delete_few: float = 0.05  # ... of two plots, which may be two false ones: a look less
    p_delete_new: float = 0.0005  # and an unpublished one: survives one missed look, not two
    p_most: float = 0.9999  # existence never counts as surer: about six missed looks must end any track
    gain_most: float = 9.0  # log-likelihood ratio one plot can add: no single plot proves an object
    survive_s: float = 150.0  # mean time an object stays in the picture without being seen
    new_per_scan: float = 2.0  # newcomers in one period of a radar
    claim_clutter_per_scan: float = 0.01  # false claims in one period: they carry a checksum
    claim_new_per_scan: float = 0.1
    coast_periods: float = 2.0  # longer than this many periods unseen: coasting
    p_silent: float = 0.5  # existence of what fell silent where radar misses it too: it left, or its transmitter did
    claim_silence_s: float = 30.0  # a track that only claims fed ends after this silence: thirty reports missed
    sigma_most_m: float = 1_500.0  # a track whose place along the ground is less sure than this is no longer news
    new_speed_mps: float = 100.0  # sigma of each velocity axis after one plot
    fast_gate: float = 30.0  # squared Mahalanobis distance within which an address is believed
    patience_periods: float = 0.35  # after its due time a look still counts as not yet missed
    most_tracks: int = MOST_TRACKS  # room in the table, tentative tracks included; when full, nothing new starts
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


@dataclass(frozen=True, slots=True)
class TrackerLimits:
    """How often a limit of the tracker was reached, since its start."""

    refused: int  # plots that could have started a track in a table that was full
    pairs_left_out: int  # pairs of plot and track beyond the best sixteen of a plot
    clusters_split: int  # clusters too large for the best joint explanation
    alignment: AlignmentLimits = field(default_factory=AlignmentLimits)  # of radars to each other


class Tracker:
    """All tracks of one picture. Not thread-safe.

    Args:
        sensors: in order of index, ids unique.
        params: see TrackerParams.
        epoch: raised by every cold start; first half of every track's name.
        geoid: mean sea level above the ellipsoid, for pressure heights.
        coverage: of the same sensors, with terrain where there is any; without it the earth is smooth.
    """

    def __init__(
        self,
        sensors: Sequence[SensorSpec],
        params: TrackerParams | None = None,
        epoch: int = 0,
        geoid: Grid | None = None,
        coverage: Coverage | None = None,
    ) -> None:
        self.params = params or TrackerParams()
        self.epoch = epoch
        self._sensors = tuple(sensors)
        self._row_of = {spec.id: i for i, spec in enumerate(self._sensors)}
        self._geoid = geoid
        self._sites = np.ascontiguousarray(site_table(self._sensors)).reshape(-1, SITE)
        self.registration = Registration(self._sensors, self._sites, self.params.registration)
        self._table = imm_table(self.params.imm)
        self.coverage = coverage or Coverage(self._sensors, geoid=geoid)
        n = len(self._sensors)
        self._rules = _rules(self.params)
        self._numbers = np.array([self._sensor_numbers(spec) for spec in self._sensors]).reshape(-1, SENSOR)
        self._looks = np.array([self._look_numbers(spec) for spec in self._sensors]).reshape(-1, 4)
        self._work = np.zeros(STEP_SCRATCH)
        self._heads = [head_of(spec) for spec in self._sensors]
        self._bank = Bank(n, n, self.params.most_tracks)
        self._newest_us = -1
        self._sensor_us = np.full(n, -(2**62), np.int64)
        self._merge_slot = self._minute = -1
        self._dropped: list[tuple[int, str]] = []
        self._stats = np.zeros((n, 3), np.int64)  # hits, misses, innovations
        self._hot = np.zeros((n, GRID * GRID, HOT), np.float32)
        self._nis = np.zeros((n, 4))  # sum, degrees of freedom, both fading; and scratch of the group in hand
        self._pairs = np.empty((2, 1), np.int64), np.empty((1, PAIR))  # scratch of association
        self.pressure = Pressure(self._sensors, geoid, self.params.pressure_sigma_m)

    # ------------------------------------------------------------- the verbs

    def step(self, batches: Sequence[Plots], now_us: int) -> int:
        """Fuse what one tick holds. Batches in the order that `Order.drain` gives; returns the plots used.

        Raises:
            KeyError: a batch of a sensor that the tracker does not know; decoders refuse those at the door.
        """
        used = sum([batch.t_us.size for batch in batches])
        plots = self._plots(batches, now_us)
        if len(plots):
            self._fuse(plots)
        if self._newest_us >= 0:
            self._fade()
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
            existence=self._existence(slots),
            status=meta[:, STATUS].astype(np.int8),
            address=meta[:, ADDRESS].astype(np.int32),
            mode3a=meta[:, MODE3A].astype(np.int32),
            mode3a_us=meta[:, MODE3A_US].copy(),
            category=meta[:, CATEGORY].astype(np.int8),
            callsign=bank.callsign[slots],
            serial=bank.serial[slots].astype("S20"),
            claim_us=meta[:, CLAIM].copy(),
            radar_us=meta[:, RADAR].copy(),
            height_us=meta[:, HEIGHT].copy(),
            pressure_height_m=np.where(meta[:, LEVEL_US] >= 0, bank.belief[slots, LEVEL], np.nan),
            pressure_height_us=meta[:, LEVEL_US].copy(),
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
        sigma_m = METRES_PER_HPA * sigma_hpa
        flat_m = math.hypot(self.params.pressure_sigma_qnh_m, sigma_m)
        self.pressure.set_qnh(float(pressure_height_correction(hpa)), sigma_m, flat_m)

    def sensor_stats(self) -> SensorStats:
        """What was learnt of each sensor up to now."""
        dof = self._nis[:, 1]
        nis = np.where(dof > 0.0, self._nis[:, 0] / np.maximum(dof, 1e-9), np.nan)
        return SensorStats(
            self._stats[:, 0].copy(), self._stats[:, 1].copy(), nis, self._stats[:, 2].copy(),
            self._numbers[:, S_CLUTTER].copy(),
        )  # fmt: skip

    @property
    def limits(self) -> TrackerLimits:
        """How often a limit was reached."""
        counts = self._bank.counts
        left_out = int(counts[REFUSED]), int(counts[LEFT_OUT]), int(counts[SPLIT])
        return TrackerLimits(*left_out, self.registration.limits)

    def pass_over(self, ids: int) -> None:
        """Give out no track number of the next so many: somebody may have seen them on other objects."""
        self._bank.counts[NEXT_ID] += ids

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        dropped = np.array([i for i, _ in self._dropped], np.int64)
        why = np.array([w.encode() for _, w in self._dropped], "S16")
        return {
            **self._bank.snapshot(),
            "registration": self.registration.snapshot(),
            **self.coverage.snapshot(),
            "newest_us": self._newest_us,
            "merge_slot": self._merge_slot,
            "minute": self._minute,
            "sensor_us": self._sensor_us.copy(),
            "numbers": self._numbers.copy(),
            "stats": self._stats.copy(),
            "nis": self._nis.copy(),
            "hot": self._hot.copy(),
            "pressure": self.pressure.snapshot(),
            "dropped_id": dropped,
            "dropped_why": why,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of a tracker with the same sensors and parameters."""
        self._bank.restore(state)
        self.registration.restore(state["registration"])
        self.coverage.restore(state)
        self._newest_us = int(state["newest_us"])
        self._merge_slot = int(state["merge_slot"])
        self._minute = int(state["minute"])
        self._sensor_us = np.array(state["sensor_us"], np.int64)
        self._numbers = np.array(state["numbers"], np.float64)
        self._stats = np.array(state["stats"], np.int64)
        self._nis = np.array(state["nis"], np.float64)
        self._hot = np.array(state["hot"], np.float32)
        self.pressure.restore(state["pressure"])
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
        return [
            spec.period_s * US_PER_S,
            patience_s * US_PER_S,
            float(spec.kind in INDEPENDENT),
            float(spec.kind in CLAIMS),
        ]

    def _plots(self, batches: Sequence[Plots], now_us: int) -> Rec:
        """All plots of believed sensors, biases taken off, in order of (slice of measured time, sensor, kind, time)."""
        heads = [self._heads[self._row_of[batch.sensor]] for batch in batches]
        self.pressure.observe(batches, now_us)
        plots = plots_of(batches, heads, self._sites, self._geoid, self.pressure.numbers)
        self.registration.observe(plots, now_us)
        if not self.registration.idle:
            plots = take(plots, self.registration.believed[plots["sensor"]])
            if len(self.registration.correct(plots)):
                place_n(plots, self._sites)
        return take(plots, order_1(plots, SLICE_US))

    def _fuse(self, plots: Rec) -> None:
        landed = plots["on_ground"] == 1
        if np.logical_or.reduce(landed):
            landed &= self._looks[plots["sensor"], 3] > 0.0  # claims only: they know
            self._landed(plots["address"][landed])
            plots = take(plots, ~landed)
        if len(plots) == 0:
            return
        bank = self._bank
        top = int(bank.counts[TOP])
        bank.make_room(top + len(plots))
        most = MOST_PAIRS * len(plots) + 1
        if len(self._pairs[1]) < most:
            self._pairs = np.empty((2, 2 * most), np.int64), np.empty((2 * most, PAIR))
        first, after, cell, named, namesake = bank.chains()
        call: tuple[Any, ...] = (
            plots, SLICE_US, self._numbers, bank.slab, self._sites, self._table, *bank.per_track(), self._work,
            self._rules, *self._known(), bank.counts, self._newest_us, self._sensor_us, first, after,
            cell, bank.near, bank.recent, bank.recent_n, self._stats, self._nis, named, namesake,
            *self._pairs, plots.view(np.int64).reshape(len(plots), -1), bank.names,
        )  # fmt: skip
        self._newest_us = int(step_1(*call))

    def _existence(self, slots: I8) -> F8:
        """Probabilities up to the newest measured time: a track that nothing was due of has not faded yet."""
        odds, decayed = self._bank.belief[slots, ODDS], self._bank.belief[slots, DECAYED]
        passed_s = np.maximum(self._newest_us / US_PER_S - decayed, 0.0)
        return np.asarray(np.exp(-np.logaddexp(0.0, -odds) - passed_s / self.params.survive_s))

    def _fade(self) -> None:
        """What coverage learnt of places fades by measured time, a minute at a time."""
        minute = self._newest_us // FADE_EVERY_US
        if minute > self._minute >= 0:
            self.coverage.fade((minute - self._minute) * FADE_EVERY_US / US_PER_S)
        self._minute = max(minute, self._minute)

    def _known(self) -> tuple[Any, ...]:
        """What coverage knows (table, screens, local map) and what clutter does (hot cells)."""
        table, _, screens, local = self.coverage.arrays()
        return table, screens, local, self._hot

    def _prune(self, now_us: int) -> None:
        bank = self._bank
        top = int(bank.counts[TOP])
        ended, in_view = np.empty(top, np.int64), np.empty(top, np.bool_)
        call: tuple[Any, ...] = (
            top, self._newest_us, now_us, self._sensor_us, self._looks, self._numbers, self._sites, *self._known(),
            *bank.per_track(), bank.slab, self._rules, ended, in_view, self._stats, bank.counts,
            bank.names, *bank.chains(),
        )  # fmt: skip
        count = int(look_1(*call))
        for number, seen in zip(ended[:count].tolist(), in_view[:count].tolist(), strict=True):
            self._dropped.append((number, "dropped" if seen else "left coverage"))

    def _merge(self) -> None:
        bank = self._bank
        live = bank.live()
        live = live[bank.meta[live, STATUS] > int(TrackStatus.TENTATIVE)]
        if len(live) < 2:
            return
        pairs = np.empty((len(live), 2), np.int64)
        p = self.params
        count = twins_1(
            live, float(self._newest_us), bank.slab, bank.near, self._table, bank.meta, bank.hit_us, self._looks,
            p.merge_m, p.merge_gate, pairs,
        )  # fmt: skip
        for keep, drop in pairs[:count].tolist():
            bank.absorb(keep, drop)
        if count:
            self._end(pairs[:count, 1], ["merged"] * count)

    def _landed(self, addresses: np.ndarray) -> None:
        live = self._bank.live()
        gone = live[np.isin(self._bank.meta[live, ADDRESS], addresses[addresses >= 0])]
        if len(gone):
            self._end(gone, ["landed"] * len(gone))

    def _end(self, slots: I8, why: Sequence[str]) -> None:
        meta = self._bank.meta[slots]
        published = meta[:, STATUS] > int(TrackStatus.TENTATIVE)
        self._dropped += [
            (i, w) for i, w, said in zip(meta[:, ID].tolist(), why, published.tolist(), strict=True) if said
        ]
        self._bank.release(slots)


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
            p.coast_periods,
            p.sigma_most_m,
            p.new_speed_mps,
            p.claim_silence_s,
            odds(p.p_delete_few),
            odds(p.p_silent),
        ]
    )
