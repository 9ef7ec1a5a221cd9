"""The jurisdiction ledger: which states a track was over, in order, when it came and left, and how sure that is.

Told in entries (`record.Passage`):
- `first` once it is sure where the track was first seen; `exit` and `enter` (or `re-enter`) of one time when it is sure
  to have passed from one state to another; the open sea has no entry of its own, only the exit to it.
- `seam` when it flies along the border of two states for minutes, or back and forth between them (`passing.py` says
  when). It ends with an `exit` and `enter`, or with `clear` when it never surely left the first of the two.
The time and place are those of the moment at which both states were as probable, not those at which it was told.

Policies, in one place:
- What is remembered follows the picture: a row goes when its track ends, or has been out of the table for `FORGET_US`.
- A track has at most `MAX_ENTRIES` entries. When full, the oldest after the first `KEPT_FIRST` go, exit and enter
  together; `left_out` counts them, and the gap in their numbers shows it.
- A state that is not finite is no look. A new epoch starts empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.borders import passing
from fusion.borders.beside import Beside, beside
from fusion.borders.passing import LedgerParams
from fusion.borders.terrain import sample_1
from fusion.cases.record import Passage, PassageKind
from fusion.schema import F8, I1, I8, US_PER_S, Assessment, Tracks, TrackStatus
from fusion.zones import ZoneFacts, Zones

MAX_ENTRIES = 64  # of one track: the busiest real flight had seven
KEPT_FIRST = 16
FORGET_US = 120 * US_PER_S  # a track that left the table without a word is forgotten after this


@dataclass(slots=True)
class _Flight:
    """What was told of one track."""

    entries: list[Passage] = field(default_factory=list)
    visited: list[int] = field(default_factory=list)  # states it was over, in order, once each
    number: int = 0  # of the last entry


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the picture."""

    tracks: Tracks
    assessment: Assessment | ZoneFacts
    beside: Beside
    now_us: int


@dataclass(frozen=True, slots=True)
class _Where:
    """Time and place of an entry, with their sigmas."""

    t_us: int
    sigma_t_s: float
    lat_rad: float
    lon_rad: float
    sigma_m: float
    disputed: bool


class Ledger:
    """The entries of every track in the picture. `sensor_ids` by sensor index."""

    def __init__(self, zones: Zones, sensor_ids: Sequence[str], params: LedgerParams | None = None) -> None:
        self.zones = zones
        self.sensor_ids = tuple(sensor_ids)
        self.params = params or LedgerParams()
        self.left_out = 0  # entries that made room
        self._numbers = self.params.row()
        self._clear(-1)

    def step(self, tracks: Tracks, assessment: Assessment | ZoneFacts, now_us: int) -> list[Passage]:
        """Look at the picture, about once a second: every new entry, in order of track, then of number."""
        if tracks.epoch != self._epoch:
            self._clear(tracks.epoch)
        rows = self._align(tracks.id, now_us)
        near = beside(self.zones, tracks, assessment, passing.WIDER * self.params.near_m)
        said = self._said(tracks, assessment, near, rows)
        look = _Look(tracks, assessment, near, now_us)
        told: list[Passage] = []
        for here in np.flatnonzero(said):
            told += self._tell(look, int(here), int(rows[here]), int(said[here]))
        self._forget(now_us - self._ints[:, passing.SEEN] >= FORGET_US)
        return told

    def ended(self, dropped: Sequence[tuple[int, str]]) -> None:
        """Tracks ended (counter, why): nothing more is told of them, and `entries` knows them no longer."""
        if dropped:
            self._forget(np.isin(self._ints[:, passing.ID], np.array([track_id for track_id, _ in dropped], np.int64)))

    def entries(self, track_id: int) -> tuple[Passage, ...]:
        """All entries of a track (its counter) so far, in order; empty for one that is not in the picture."""
        flight = self._flights.get(track_id)
        return tuple(flight.entries) if flight else ()

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later entry."""
        return {
            "codes": list(self.zones.codes),
            "epoch": self._epoch,
            "left_out": self.left_out,
            "ints": self._ints.copy(),
            "floats": self._floats.copy(),
            "flights": [
                (track_id, flight.number, tuple(flight.visited), tuple(flight.entries))
                for track_id, flight in sorted(self._flights.items())
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`. With other states than then, nothing can be gone on with, and it starts empty."""
        self._clear(state["epoch"])
        self.left_out = state["left_out"]
        if list(state["codes"]) != list(self.zones.codes):
            return
        self._ints, self._floats = state["ints"].copy(), state["floats"].copy()
        for track_id, number, visited, entries in state["flights"]:
            self._flights[track_id] = _Flight(list(entries), list(visited), number)

    def _clear(self, epoch: int) -> None:
        self._epoch = epoch
        self._ints, self._floats = passing.blank(np.empty(0, np.int64))  # rows in order of track id
        self._flights: dict[int, _Flight] = {}  # by track id; of those with entries

    def _align(self, ids: I8, now_us: int) -> I8:
        """Add rows for new tracks; (n,) the row of each id here."""
        new = ids[~np.isin(ids, self._ints[:, passing.ID], assume_unique=True)]
        if len(new):
            ints, floats = passing.blank(new)
            ints = np.concatenate([self._ints, ints])
            order = np.argsort(ints[:, passing.ID], kind="stable")
            self._ints = np.ascontiguousarray(ints[order])
            self._floats = np.ascontiguousarray(np.concatenate([self._floats, floats])[order])
        rows = np.asarray(np.searchsorted(self._ints[:, passing.ID], ids), np.int64)
        self._ints[rows, passing.SEEN] = now_us
        return rows

    def _said(self, tracks: Tracks, assessment: Assessment | ZoneFacts, near: Beside, rows: I8) -> I1:
        """(n,) what the look says of every track."""
        a = assessment
        who = np.empty((len(tracks), 5), np.int64)
        coasting = tracks.status == TrackStatus.COASTING
        for column, value in enumerate((a.state, near.other, tracks.hits, coasting, a.disputed)):
            who[:, column] = value
        at: F8 = np.empty((len(tracks), 7))
        place = (a.lat_rad, a.lon_rad, a.sigma_horizontal_m, a.speed_mps)
        for column, number in enumerate((*place, near.edge_m, near.sigma_edge_m, near.closing_mps)):
            at[:, column] = number
        said: I1 = np.zeros(len(tracks), np.int8)
        passing.look(self._ints, self._floats, rows, who, at, self._numbers, tracks.t_us, said)
        return said

    def _forget(self, gone: np.ndarray[Any, np.dtype[np.bool_]]) -> None:
        if not gone.any():
            return
        for track_id in self._ints[gone, passing.ID]:
            self._flights.pop(int(track_id), None)
        self._ints, self._floats = self._ints[~gone], self._floats[~gone]

    def _tell(self, look: _Look, here: int, row: int, said: int) -> list[Passage]:
        """The entries of what one look says of one track."""
        mine = self._ints[row]
        current, came_from = int(mine[passing.CURRENT]), int(mine[passing.TURN_OTHER])
        partner = int(mine[passing.SEAM_OTHER])
        if said == passing.FIRST:
            told = [self._entry(look, here, row, PassageKind.FIRST, current, -1)]
        elif said == passing.SEAM:
            told = [self._entry(look, here, row, PassageKind.SEAM, current, partner)]
        elif said == passing.CLEAR:
            told = [self._entry(look, here, row, PassageKind.CLEAR, current, partner)]
        else:
            told = self._passed(look, here, row, came_from if said == passing.SWITCH else partner, current)
        flight = self._flights.setdefault(int(mine[passing.ID]), _Flight())
        if current >= 0 and current not in flight.visited:
            flight.visited.append(current)
        flight.entries += told
        if len(flight.entries) > MAX_ENTRIES:
            self._shorten(flight)
        return told

    def _passed(self, look: _Look, here: int, row: int, left: int, entered: int) -> list[Passage]:
        """From one state into another, either of which may be the open sea."""
        told = []
        if left >= 0:
            told.append(self._entry(look, here, row, PassageKind.EXIT, left, entered))
        if entered >= 0:
            flight = self._flights.get(int(look.tracks.id[here]))
            before = flight is not None and entered in flight.visited
            kind = PassageKind.RE_ENTER if before else PassageKind.ENTER
            told.append(self._entry(look, here, row, kind, entered, left))
        return told

    def _entry(self, look: _Look, here: int, row: int, kind: PassageKind, state: int, other: int) -> Passage:
        tracks = look.tracks
        flight = self._flights.setdefault(int(tracks.id[here]), _Flight())
        flight.number += 1
        where = self._where(look, here, row, kind)
        return Passage(
            track=tracks.name(here),
            number=flight.number,
            kind=kind,
            state=self._code(state),
            other=self._code(other),
            t_us=where.t_us,
            sigma_t_s=where.sigma_t_s,
            told_us=look.now_us,
            lat_rad=where.lat_rad,
            lon_rad=where.lon_rad,
            sigma_m=where.sigma_m,
            probability=_probability(look, here, kind, state),
            disputed=where.disputed,
            sea=state >= 0 and self._over_water(where.lat_rad, where.lon_rad),
            sensors=self._sensors(int(tracks.sensors[here])),
            plots=int(tracks.hits[here]),
        )

    def _where(self, look: _Look, here: int, row: int, kind: PassageKind) -> _Where:
        mine, own, a = self._ints[row], self._floats[row].tolist(), look.assessment
        if kind is PassageKind.SEAM:
            lat_rad, lon_rad, sigma_m = own[passing.SINCE_LAT : passing.SINCE_SIGMA + 1]
            return _Where(int(mine[passing.SINCE_US]), 0.0, lat_rad, lon_rad, sigma_m, bool(a.disputed[here]))
        if kind is PassageKind.CLEAR:
            place = float(a.lat_rad[here]), float(a.lon_rad[here]), float(a.sigma_horizontal_m[here])
            return _Where(look.tracks.t_us, 0.0, *place, bool(a.disputed[here]))
        lat_rad, lon_rad, sigma_m, sigma_t_s, disputed = own[passing.CROSS_LAT : passing.CROSS_DISPUTED + 1]
        return _Where(int(mine[passing.CROSS_US]), sigma_t_s, lat_rad, lon_rad, sigma_m, bool(disputed))

    def _over_water(self, lat_rad: float, lon_rad: float) -> bool:
        """Ground at or below the level of the sea, as far as the grid is fine enough to tell; False off the grid."""
        grid = self.zones.terrain
        height_m = sample_1(grid.values, grid.lat0_rad, grid.lon0_rad, grid.step_rad, lat_rad, lon_rad)
        return bool(height_m <= 0.0)

    def _code(self, state: int) -> str:
        return self.zones.codes[state] if state >= 0 else ""

    def _sensors(self, mask: int) -> tuple[str, ...]:
        return tuple(name for bit, name in enumerate(self.sensor_ids) if mask >> bit & 1)

    def _shorten(self, flight: _Flight) -> None:
        """Make room: the oldest entries after the first ones, those of one time together."""
        entries = flight.entries
        first = KEPT_FIRST
        while entries[first].t_us == entries[first - 1].t_us:
            first += 1
        last = first + len(entries) - MAX_ENTRIES
        while entries[last].t_us == entries[last - 1].t_us:
            last += 1
        self.left_out += last - first
        del entries[first:last]


def _probability(look: _Look, here: int, kind: PassageKind, state: int) -> float:
    """To be over the state, or of an exit to be out of it, by the look at which it is told."""
    over = int(look.assessment.state[here]) == state
    p_state = float(look.beside.p_state[here])
    return p_state if over != (kind is PassageKind.EXIT) else 1.0 - p_state
