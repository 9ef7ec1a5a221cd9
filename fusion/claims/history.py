"""Follows what every aircraft and drone says of itself, and says why it should not be believed.

Every admitted claim (ADS-B, Remote ID) passes `hear`, every table of tracks passes `look`. The work per claim is
compiled (`fusion/claims/path.py`); here is the book it writes in, and how its verdicts reach the rows of a table.

Everything is bounded. The book has room for `MOST_IDENTITIES`; when it fills, identities not heard for ten minutes go
first, then those heard longest ago, and a claim that still finds no room is not watched (`unwatched` counts them). The
memory of flown paths keeps every eighth position in 131,072 slots, and the newest takes a slot: at 2,000 claims
a second a position is remembered for nine minutes on average, at 200 for an hour and a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from fusion.claims import path as cp
from fusion.claims.earshot import Earshot, Motion, alike, surely_airliner
from fusion.claims.gnss import Interference
from fusion.claims.interference import WIDE_M, Aircraft, InterferenceWatch
from fusion.claims.witness import Sight, Witness
from fusion.coverage import Coverage
from fusion.filters.params import SITE
from fusion.geo import ecef, site_table
from fusion.schema import (
    B1,
    CLAIM,
    F8,
    I1,
    I8,
    INDEPENDENT,
    US_PER_S,
    PlotKind,
    Plots,
    S,
    SensorSpec,
    Tracks,
)

ROWS = 16_384  # of the book; a power of two
MOST_IDENTITIES = ROWS * 3 // 4  # more would make the search in it long
MARKS = 131_072  # of the memory of flown paths; a power of two
FORGET_US = 600 * US_PER_S
HOLD_US = 30 * US_PER_S  # a verdict stands this long after its last evidence
NEAR_US = 60 * US_PER_S  # a place silent for longer is nobody's
YOUNG_US = 10 * US_PER_S  # an identity younger than this cannot declare a track landed
BESIDE_M = 4_000.0  # from a track that radar alone had found: more than the gate of its association
LIGHT_M = 1_000.0  # sigma of what a stranger says there: several times that of any radar at 100 km
HIT_JUMP_US = 60 * US_PER_S  # a jump counts towards an interference event for this long
HIT_US = 3_600 * US_PER_S
SETTLED_US = 30 * US_PER_S  # an identity heard for less has no past to compare with

# Limits by emitter category (CAT021 I020): ground speed, acceleration between two claims, climb, height, least ground
# speed in the air. A limit must be beyond what is flown, with wind, gusts and rounding: it finds what cannot be, not
# what is unusual.
LIMITS = np.empty((128, 5))
LIMITS[:] = (1_000.0, 60.0, 200.0, 25_000.0, -1.0)  # unknown kind: 6 g turns, fast jets in a zoom
LIMITS[1] = (300.0, 60.0, 100.0, 18_000.0, -1.0)  # light: aerobatics at 6 g; light jets climb at 50
LIMITS[2:6] = (
    420.0,
    30.0,
    100.0,
    18_000.0,
    38.0,
)  # small to heavy: built for 2.5 g (CS-25.337), landing at 60 and more
LIMITS[2, 4] = 30.0  # small: landing at 45 and more; a strong wind against it taken off
LIMITS[6] = (1_000.0, 90.0, 350.0, 30_000.0, -1.0)  # high performance: 9 g
LIMITS[10] = (180.0, 40.0, 60.0, 10_000.0, -1.0)  # rotorcraft
LIMITS[11] = (150.0, 60.0, 60.0, 25_000.0, -1.0)  # gliders: 22,657 m is the record, waves of 30
LIMITS[12] = (120.0, 30.0, 60.0, 60_000.0, -1.0)  # lighter than air
LIMITS[13] = (300.0, 60.0, 100.0, 25_000.0, -1.0)  # unmanned
LIMITS[14] = (np.inf, np.inf, np.inf, np.inf, -1.0)  # space vehicles
LIMITS[15] = (100.0, 60.0, 60.0, 12_000.0, -1.0)  # ultralight, hang glider, paraglider


@dataclass(frozen=True, slots=True)
class Doubts:
    """What the claims' own history says of each row of a `Tracks` table; each (n,)."""

    reason: I1  # fusion.integrity.Reason
    unproven: B1  # the claim does not exempt, see fusion/claims/witness.py
    excused: B1  # hit by GNSS interference: wrong, and not its own fault
    replying: B1  # radar itself received a Mode 3/A code from it lately
    p_low: F8  # where unproven: as radar alone had it
    p_slow: F8


class Place(Motion, Protocol):
    """The part of `ZoneFacts` that is looked at here; each (n,)."""

    @property
    def distance_m(self) -> F8: ...


class ClaimWatch:
    """The history of every claimed identity. Times are those of the sensors."""

    def __init__(self, sensors: Sequence[SensorSpec], coverage: Coverage | None = None) -> None:
        self._sensors = tuple(sensors)
        self._earshot = Earshot(self._sensors, coverage)
        self._spec = {spec.id: spec for spec in self._sensors}
        self._sites = np.ascontiguousarray(site_table(self._sensors)).reshape(-1, SITE)
        self._trust = np.full((len(self._sensors), 1), 0.5)
        self.interference = InterferenceWatch()
        self.witness = Witness()
        self.unwatched = 0
        self.events = 0  # interference events opened
        self._codes = [np.empty((0, 2), np.int64)]  # time and Mode 3/A code of radar replies since the last looks
        self._codes_before = np.empty((0, 2), np.int64)
        self._barred = np.empty(0, np.int64)  # identities on rows where they are unproven, rising
        self._count = 0
        self._newest_us = -1
        self._allot()
        self._memory = np.full((MARKS, 3), cp.EMPTY, np.int64)

    def _allot(self) -> None:
        self._keys = np.full(ROWS, cp.EMPTY, np.int64)
        self._base = np.full((ROWS, 1), -1.0)
        self._ident = np.full((ROWS, cp.KEY_I), cp.EMPTY, np.int64)
        self._place_f = np.zeros((ROWS, 2, cp.PLACE_F))
        self._place_i = np.zeros((ROWS, 2, cp.PLACE_I), np.int64)

    # ------------------------------------------------------------- plots

    def hear(self, batches: Sequence[Plots]) -> list[Plots]:
        """Take in what one tick fuses; returns it with what claims may not do taken out, plot for plot.

        A position from a receiver under interference gets the sigma it deserves. An identity that has just appeared, or
        is unproven, cannot declare an object landed that radar sees. And beside a track that radar alone had found, an
        identity that radar never followed says roughly where and nothing else, so that it can neither drag that track
        away, nor tell its speed, height or code, nor take its radar plots with tracks of its own.
        """
        claims = [batch for batch in batches if self._spec[batch.sensor].kind in CLAIM]
        if claims:
            self._hear(claims)
        for batch in batches:
            if self._spec[batch.sensor].kind in INDEPENDENT and batch.kind == PlotKind.POLAR:
                coded = batch.mode3a >= 0
                if coded.any():
                    self._codes.append(np.stack([batch.t_us[coded], batch.mode3a[coded].astype(np.int64)], axis=1))
                if (batch.address >= 0).any():
                    self._compare(batch)
        return [self._screen(batch) if self._spec[batch.sensor].kind in CLAIM else batch for batch in batches]

    def _hear(self, batches: Sequence[Plots]) -> None:
        key = np.concatenate([key_of(batch.address, batch.serial) for batch in batches])
        t_us = np.concatenate([batch.t_us for batch in batches])
        number = np.concatenate([self._numbers(batch) for batch in batches])
        flag = np.concatenate([_flags(batch) for batch in batches])
        order = np.argsort(t_us, kind="stable")
        order = order[key[order] >= 0]
        if not len(order):
            return
        self._newest_us = max(self._newest_us, int(t_us[order[-1]]))
        if self._count + len(order) > MOST_IDENTITIES:
            self._forget()
        room = MOST_IDENTITIES - self._count
        self._count += int(
            cp.hear_n(
                key[order], t_us[order], number[order], flag[order], LIMITS, room,
                self._keys, self._base, self._ident, self._place_f, self._place_i, self._memory,
            )
        )  # fmt: skip
        if self._count >= MOST_IDENTITIES:
            self.unwatched += int((self._rows(key[order]) < 0).sum())

    def _numbers(self, batch: Plots) -> F8:
        spec = self._spec[batch.sensor]
        columns = (
            batch.lat_rad, batch.lon_rad, _given(batch.sigma_position_m, spec.sigma_position_m),
            batch.pressure_height_m, batch.height_m, batch.velocity_east_mps, batch.velocity_north_mps,
            batch.velocity_up_mps, _given(batch.sigma_velocity_mps, spec.sigma_velocity_mps),
        )  # fmt: skip
        return np.stack(columns, axis=1)

    def _compare(self, batch: Plots) -> None:
        """Mode S replies beside the claims of the same addresses."""
        spec = self._spec[batch.sensor]
        rows = np.flatnonzero(batch.address >= 0)
        height = np.where(np.isnan(batch.pressure_height_m), batch.height_m, batch.pressure_height_m)
        number = np.stack([batch.range_m, batch.azimuth_rad, height], axis=1)[rows]
        sigma = np.array([spec.sigma_range_m, spec.sigma_azimuth_rad])
        cp.reply_n(
            batch.address[rows].astype(np.int64), batch.t_us[rows], number, self._sites[spec.index], sigma,
            self._trust[spec.index], self._keys, self._place_f, self._place_i,
        )  # fmt: skip

    def _screen(self, batch: Plots) -> Plots:
        landed = batch.on_ground == 1
        key = key_of(batch.address, batch.serial)
        batch = self._lighten(batch, key)
        if landed.any():
            rows = self._rows(key)
            young = (rows < 0) | (self._newest_us - self._ident[np.maximum(rows, 0), cp.FIRST] < YOUNG_US)
            batch = replace(
                batch, on_ground=np.where(landed & (young | _among(key, self._barred)), np.int8(0), batch.on_ground)
            )
        if self.interference.open:
            wide = self._hit(key) & self.interference.within(batch.lat_rad, batch.lon_rad)
            given = _given(batch.sigma_position_m, self._spec[batch.sensor].sigma_position_m)
            batch = replace(batch, sigma_position_m=np.where(wide, np.fmax(given, WIDE_M), batch.sigma_position_m))
        return batch

    def _lighten(self, batch: Plots, key: I8) -> Plots:
        rows = self._rows(key)
        followed = (rows >= 0) & (self._ident[np.maximum(rows, 0), cp.VETTED_US] >= 0)
        stranger = np.flatnonzero(~followed)
        height_m = np.where(np.isnan(batch.height_m), batch.pressure_height_m, batch.height_m)[stranger]
        place = ecef(batch.lat_rad[stranger], batch.lon_rad[stranger], np.nan_to_num(height_m))
        light = np.zeros(len(batch), np.bool_)
        light[stranger] = self.witness.beside(place, batch.t_us[stranger], key[stranger], BESIDE_M)
        if not light.any():
            return batch
        spec = self._spec[batch.sensor]
        unsaid: dict[str, Any] = {
            name: np.where(light, np.nan, getattr(batch, name))
            for name in ("velocity_east_mps", "velocity_north_mps", "velocity_up_mps")
        }
        return replace(
            batch,
            **unsaid,
            sigma_position_m=np.where(
                light, np.fmax(_given(batch.sigma_position_m, spec.sigma_position_m), LIGHT_M), batch.sigma_position_m
            ),
            sigma_height_m=np.where(light, LIGHT_M, batch.sigma_height_m),
            mode3a=np.where(light, -1, batch.mode3a).astype(np.int32),
        )

    # ------------------------------------------------------------- tracks

    def look(self, tracks: Tracks, place: Place, claiming: B1, p_low: F8, p_slow: F8, listened_us: int = -1) -> Doubts:
        """What is to be said of every row of a table; `claiming` (n,) has a live claim, `p_*` are of the words.
        `listened_us`: by this time replies are old; -1 by that of the table."""
        key = key_of(tracks.address, tracks.serial)
        rows = self._rows(key)
        known = rows >= 0
        at = np.maximum(rows, 0)
        reason = self._verdict(at, tracks.t_us, place.lat_rad, place.lon_rad)
        reason[~(known & claiming)] = 0
        excused = known & self._hit(key) & self.interference.within(place.lat_rad, place.lon_rad)
        reason[excused] = 0
        followed = known & (self._ident[at, cp.VETTED_US] >= 0)
        coded = self._coded(tracks)
        airliner = surely_airliner(place)
        earshot = np.ones(len(tracks), np.bool_)
        asked = np.flatnonzero(airliner & ~claiming)  # nearly always nobody
        earshot[asked] = self._earshot.surely(place, asked)
        alike = known & airliner & claiming
        alike[alike] = self._alike(at[alike], place, np.flatnonzero(alike), tracks.t_us)
        sight = Sight(
            key, claiming, coded, p_low, p_slow, place.distance_m, followed, reason != 0, airliner, earshot, alike
        )
        finding = self.witness.look(tracks, sight, tracks.t_us if listened_us < 0 else listened_us)
        self._ident[rows[finding.follows & known], cp.VETTED_US] = tracks.t_us
        self._barred = np.unique(key[finding.unproven & (key >= 0)])
        return Doubts(reason, finding.unproven, excused, finding.replying, finding.p_low, finding.p_slow)

    def _coded(self, tracks: Tracks) -> B1:
        """(n,) where the newest radar plot of a track, or the newest plot that had a code, is a reply that radar heard.

        `Tracks.mode3a_us` does not say who reported the code, and a claim may report any. A radar plot is known again
        by its time, to the microsecond. Both times are asked: of two radars only the slower may hear replies.
        """
        fresh = np.concatenate(self._codes)
        codes = np.concatenate([self._codes_before, fresh])
        self._codes, self._codes_before = [fresh[:0]], fresh
        said = np.unique(codes[:, 0] * 4_096 + codes[:, 1])
        heard = _among(tracks.radar_us * 4_096 + tracks.mode3a, said)
        heard |= _among(tracks.mode3a_us * 4_096 + tracks.mode3a, said)
        return (tracks.mode3a >= 0) & (tracks.radar_us >= 0) & heard

    def report(self, now_us: int) -> list[Interference]:
        """GNSS interference as it stands; once a second."""
        rows = np.flatnonzero(self._keys != cp.EMPTY)
        rows = rows[np.argsort(self._keys[rows], kind="stable")]
        ident = self._ident[rows]
        live = (now_us - ident[:, cp.LAST] <= HOLD_US) & (ident[:, cp.LAST] - ident[:, cp.FIRST] >= SETTLED_US)
        rows = rows[live & (self._base[rows, 0] >= cp.QUALITY_GOOD)]
        place = self._ident[rows, cp.MAIN]
        key = self._keys[rows]
        low_us, jump_us = self._ident[rows, cp.LOW_US], self._ident[rows, cp.JUMP_US]
        seen = Aircraft(
            key, self._place_f[rows, place, cp.LAT], self._place_f[rows, place, cp.LON],
            self._hit(key), np.where(low_us >= 0, low_us, jump_us),
        )  # fmt: skip
        before = [event.number for event in self.interference.open]
        said = self.interference.look(seen, now_us)
        self.events += sum(event.number not in before for event in self.interference.open)
        return said

    def _verdict(self, at: I8, t_us: int, lat_rad: F8, lon_rad: F8) -> I1:
        """(n,) reason that stands for the place of the book which each row is nearest to."""
        reason = np.zeros(len(at), np.int8)
        bad_us = self._place_i[at, :, cp.BAD_US].max(axis=1)
        doubted = np.flatnonzero((bad_us > 0) & (t_us - bad_us <= HOLD_US))  # nearly always nobody
        if len(doubted):
            reason[doubted] = self._nearest(at[doubted], t_us, lat_rad[doubted], lon_rad[doubted])
        return reason

    def _nearest(self, at: I8, t_us: int, lat_rad: F8, lon_rad: F8) -> I1:
        mine = self._place_i[at, self._near_place(at, t_us, lat_rad, lon_rad)]
        stands = (mine[:, cp.COUNT] > 0) & (mine[:, cp.BAD_US] > 0) & (t_us - mine[:, cp.BAD_US] <= HOLD_US)
        return np.where(stands, mine[:, cp.REASON], 0).astype(np.int8)

    def _alike(self, at: I8, place: Place, rows: I8, t_us: int) -> B1:
        """(n,) whether the newest claim nearest to each of these rows says the track's own speed, course and height."""
        where = self._near_place(at, t_us, place.lat_rad[rows], place.lon_rad[rows])
        f = self._place_f[at, where]
        return alike(
            f[:, cp.VE],
            f[:, cp.VN],
            np.where(np.isnan(f[:, cp.HEIGHT]), f[:, cp.PRESSURE], f[:, cp.HEIGHT]),
            place,
            rows,
        )

    def _near_place(self, at: I8, t_us: int, lat_rad: F8, lon_rad: F8) -> I8:
        """(n,) which of the two places of the book a row is nearest to."""
        f, i = self._place_f[at], self._place_i[at]
        age_s = (t_us - i[:, :, cp.T]) / US_PER_S
        north = (lat_rad[:, None] - f[:, :, cp.LAT]) * cp.EARTH_M - np.nan_to_num(f[:, :, cp.VN]) * age_s
        east = (lon_rad[:, None] - f[:, :, cp.LON] + np.pi) % (2.0 * np.pi) - np.pi
        east = east * cp.EARTH_M * np.cos(lat_rad)[:, None] - np.nan_to_num(f[:, :, cp.VE]) * age_s
        live = (i[:, :, cp.COUNT] > 0) & (age_s <= NEAR_US / US_PER_S)
        return np.asarray(np.argmin(np.where(live, np.hypot(east, north), np.inf), axis=1), np.int64)

    # ------------------------------------------------------------- the book

    def _rows(self, key: I8) -> I8:
        rows = np.empty(len(key), np.int64)
        cp.index_n(self._keys, key, rows)
        return rows

    def _hit(self, key: I8) -> B1:
        """(n,) identities whose position accuracy is down, or that jumped lately."""
        rows = self._rows(key)
        ident = self._ident[np.maximum(rows, 0)]
        low = (ident[:, cp.LOW_US] >= 0) & (self._newest_us - ident[:, cp.LOW_US] <= HIT_US)
        jumped = (ident[:, cp.JUMP_US] >= 0) & (self._newest_us - ident[:, cp.JUMP_US] <= HIT_JUMP_US)
        settled = ident[:, cp.LAST] - ident[:, cp.FIRST] >= SETTLED_US
        return np.asarray((rows >= 0) & (low | jumped) & settled, np.bool_)

    def _forget(self) -> None:
        """Make room: who was not heard for long, and then the half heard longest ago."""
        rows = np.flatnonzero(self._keys != cp.EMPTY)
        rows = rows[self._newest_us - self._ident[rows, cp.LAST] <= FORGET_US]
        if len(rows) > MOST_IDENTITIES // 2:
            order = np.lexsort((self._keys[rows], -self._ident[rows, cp.LAST]))
            rows = rows[order[: MOST_IDENTITIES // 2]]
        rows = rows[np.argsort(self._keys[rows], kind="stable")]
        self._refill({name: getattr(self, name)[rows] for name in _BOOK})

    def _refill(self, kept: dict[str, np.ndarray]) -> None:
        """The book with exactly these rows, in order of key."""
        self._allot()
        at = np.empty(len(kept["_keys"]), np.int64)
        cp.rehash_n(self._keys, np.ascontiguousarray(kept["_keys"]), at)
        for name in _BOOK[1:]:
            getattr(self, name)[at] = kept[name]
        self._count = len(at)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        rows = np.flatnonzero(self._keys != cp.EMPTY)
        marks = np.flatnonzero(self._memory[:, 0] != cp.EMPTY)
        return {
            "book": {name: getattr(self, name)[rows] for name in _BOOK},
            "at": rows,
            "marks": (marks, self._memory[marks]),
            "trust": self._trust.copy(),
            "barred": self._barred.copy(),
            "codes": (np.concatenate(self._codes), self._codes_before.copy()),
            "counts": (self.unwatched, self.events, self._newest_us),
            "interference": self.interference.snapshot(),
            "witness": self.witness.snapshot(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._allot()
        for name in _BOOK:
            getattr(self, name)[state["at"]] = state["book"][name]
        self._count = len(state["at"])
        self._memory = np.full((MARKS, 3), cp.EMPTY, np.int64)
        marks, memory = state["marks"]
        self._memory[marks] = memory
        self._trust = state["trust"].copy()
        self._barred = state["barred"].copy()
        codes, self._codes_before = (column.copy() for column in state["codes"])
        self._codes = [codes]
        self.unwatched, self.events, self._newest_us = state["counts"]
        self.interference.restore(state["interference"])
        self.witness.restore(state["witness"])


_BOOK = ("_keys", "_base", "_ident", "_place_f", "_place_i")


def key_of(address: np.ndarray, serial: S) -> I8:
    """(n,) one number for who claims: the 24-bit address, else a hash of the Remote ID serial above it; -1 neither."""
    key = address.astype(np.int64)
    named = (key < 0) & (serial != b"")
    if named.any():
        words = np.zeros((int(named.sum()), 3), np.uint64)
        text = np.ascontiguousarray(serial[named].astype("S24"))
        words[:] = text.view(np.uint64).reshape(-1, 3)
        mixed = words[:, 0]
        for column in (1, 2):
            mixed = (mixed ^ (mixed >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15) ^ words[:, column]
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        key[named] = ((mixed >> np.uint64(2)) | np.uint64(1 << 61)).astype(np.int64)
    return key


def _flags(batch: Plots) -> I8:
    quality = np.where(
        batch.nic < 0, batch.nacp, np.where(batch.nacp < 0, batch.nic, np.minimum(batch.nic, batch.nacp))
    )
    return np.stack([batch.category, batch.on_ground, quality], axis=1).astype(np.int64)


def _given(values: F8, default: float) -> F8:
    return np.where(np.isnan(values), default, values)


def _among(key: I8, wanted: I8) -> B1:
    """(n,) where a key is one of the wanted ones, which are in rising order."""
    if not len(wanted):
        return np.zeros(len(key), np.bool_)
    at = np.minimum(np.searchsorted(wanted, key), len(wanted) - 1)
    return np.asarray(wanted[at] == key, np.bool_)
