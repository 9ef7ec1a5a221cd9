"""What happened, as a database to ask: `incidents.db` in the data folder (SQLite, WAL, synchronous FULL).

`vedette run` writes it on its writer thread, after the journal and behind it: what a few ticks brought is one
transaction. The hash-chained journal stays the primary record. From it `rebuild` makes incidents, their transitions,
members and alerts again; what no journal holds is gone with the database: ledgers of passages, search areas, trails,
reports of people, and what operators asked for as such, refusals among it (what they changed stands in the
transitions).

A locked or full disk never stops anything: what was not taken is kept (at most `MAX_WAITING` items, beyond that the
oldest fall and are counted as `lost`) and offered again a second later; `failed` counts the attempts. `max_bytes`
bounds the file; when it is full, that is such a failure. Passages, trails, searches and reports that belong to no
incident go after 30 days, when the database is opened.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from adapters.errors import ConfigError
from adapters.formats import alert as alert_format
from adapters.formats import area, sighting, withheld
from adapters.formats import incident as incident_format
from adapters.incidents.drawing import search_geojson
from adapters.wire import Names
from fusion.cases.record import (
    Crowd,
    Incident,
    IncidentChanged,
    Passage,
    PassageNoted,
    Point,
    SearchArea,
    SearchChanged,
    SightingJudged,
    Withheld,
)
from fusion.schema import US_PER_S, Alert, AlertChanged, Answer, Event, Invalid, Picture

VERSION = 2  # of the tables below
MAX_WAITING = 20_000  # items kept while the disk refuses: half an hour of a busy night
RETRY_US = US_PER_S
BUSY_S = 0.05  # the journal waits on the same thread: a lock may not hold it up
MAX_BYTES = 8_000_000_000
PAGE_BYTES = 4096
TRAIL_US = 10 * US_PER_S  # a point of the trail of each member this often
STRAY_US = 30 * 86_400 * US_PER_S  # what belongs to no incident is kept so long

TABLES = """
CREATE TABLE incidents (
  id TEXT PRIMARY KEY, number INTEGER NOT NULL, state TEXT NOT NULL, severity INTEGER NOT NULL, worst INTEGER NOT NULL,
  raised_us INTEGER NOT NULL, changed_us INTEGER NOT NULL, near_state TEXT NOT NULL, title TEXT NOT NULL,
  simulated INTEGER NOT NULL, lat_rad REAL, lon_rad REAL, record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX incidents_raised ON incidents (raised_us);
CREATE TABLE transitions (
  incident TEXT NOT NULL, number INTEGER NOT NULL, t_us INTEGER NOT NULL, change TEXT NOT NULL,
  severity INTEGER NOT NULL, journal_entries INTEGER NOT NULL, journal_head TEXT NOT NULL, record TEXT NOT NULL,
  PRIMARY KEY (incident, number)
) WITHOUT ROWID;
CREATE TABLE members (
  incident TEXT NOT NULL, track TEXT NOT NULL, joined INTEGER NOT NULL, alert_us INTEGER NOT NULL,
  PRIMARY KEY (incident, track)
) WITHOUT ROWID;
CREATE INDEX members_track ON members (track);
CREATE TABLE alerts (
  id TEXT PRIMARY KEY, track TEXT NOT NULL, rule TEXT NOT NULL, rule_version INTEGER NOT NULL,
  severity INTEGER NOT NULL, state TEXT NOT NULL, raised_us INTEGER NOT NULL, t_us INTEGER NOT NULL,
  record TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX alerts_track ON alerts (track);
CREATE TABLE passages (
  track TEXT NOT NULL, number INTEGER NOT NULL, t_us INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
  other TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (track, number)
) WITHOUT ROWID;
CREATE TABLE actions (
  number INTEGER PRIMARY KEY, t_us INTEGER NOT NULL, verb TEXT NOT NULL, operator TEXT NOT NULL,
  incident TEXT NOT NULL, alert TEXT NOT NULL, recipient TEXT NOT NULL, identity TEXT NOT NULL, reason TEXT NOT NULL,
  ok INTEGER NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX actions_incident ON actions (incident);
CREATE INDEX actions_alert ON actions (alert);
CREATE TABLE searches (
  track TEXT NOT NULL, lost_us INTEGER NOT NULL, t_us INTEGER NOT NULL, ended INTEGER NOT NULL, why TEXT NOT NULL,
  geojson TEXT NOT NULL, PRIMARY KEY (track, lost_us)
) WITHOUT ROWID;
CREATE TABLE trails (
  track TEXT NOT NULL, t_us INTEGER NOT NULL, lat_rad REAL NOT NULL, lon_rad REAL NOT NULL, height_m REAL,
  PRIMARY KEY (track, t_us)
) WITHOUT ROWID;
"""
# What people reported, refusals among it: what was said, and what was answered last. Since version 2.
REPORTS = """
CREATE TABLE reports (
  sensor TEXT NOT NULL, id TEXT NOT NULL, t_us INTEGER NOT NULL, rx_us INTEGER NOT NULL, ok INTEGER NOT NULL,
  track TEXT NOT NULL, found INTEGER NOT NULL, detail TEXT NOT NULL, said TEXT NOT NULL, answer TEXT NOT NULL,
  PRIMARY KEY (sensor, id, t_us, ok)
) WITHOUT ROWID;
CREATE INDEX reports_track ON reports (track);
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What one tick brought that is worth keeping, and where the journal stood after it."""

    t_us: int
    events: tuple[Event, ...]
    journal_entries: int = 0
    journal_head: str = ""

    @property
    def count(self) -> int:
        """Items in it."""
        return len(self.events)


def kept_of(t_us: int, events: Iterable[Event], journal_entries: int = 0, journal_head: str = "") -> Kept | None:
    """What to keep of one tick; None: nothing."""
    wanted = tuple(
        event for event in events if isinstance(event, _WANTED) or (isinstance(event, Picture) and event.full)
    )
    return Kept(t_us, wanted, journal_entries, journal_head) if wanted else None


_WANTED = (IncidentChanged, AlertChanged, PassageNoted, SearchChanged, SightingJudged, Answer)


class IncidentDb:
    """The database, for its one writer. Call from one thread; opening and closing may happen on another."""

    def __init__(self, path: Path, names: Names, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self.failed = 0  # attempts that the disk refused
        self.lost = 0  # items that fell because it refused for too long
        self.problem = ""  # why, while it does
        self.journalled = 0  # entries of the journal that are surely in it, when it was opened
        self._names = names
        self._max_bytes = max_bytes
        self._waiting: list[Kept] = []
        self._retry_us = -1
        self._watched: dict[str, int] = {}  # tracks of open incidents: time of the last point of their trail
        self._db: sqlite3.Connection | None = None

    def open(self) -> Self:
        """Make or open the file. A locked or full disk is a failure like any later one: opening is tried again.

        Raises:
            ConfigError: it is no database of ours, or of a later version.
        """
        try:
            self._db = self._connect()
        except sqlite3.OperationalError as error:
            self.failed += 1
            self.problem = str(error)
        except sqlite3.Error as error:
            cure = "move the file away: `vedette incidents rebuild` makes it anew from the journal"
            raise ConfigError(str(self.path), "database", f"cannot be used ({error})", cure) from error
        return self

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(db)
        except BaseException:
            db.close()
            raise
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            cure = "start the later Vedette that wrote it, or move the file away"
            raise ConfigError(str(self.path), "user_version", f"is {found}, newer than {VERSION}", cure)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // PAGE_BYTES)}")
        if found < VERSION:
            missing = REPORTS if found else TABLES + REPORTS
            db.executescript(f"BEGIN IMMEDIATE;{missing}PRAGMA user_version = {VERSION};COMMIT;")
        strays = ("passages", "trails", "searches")
        newest = max(db.execute(f"SELECT max(t_us) FROM {table}").fetchone()[0] or 0 for table in strays)
        for table in strays:
            stray = "t_us < ? AND track NOT IN (SELECT track FROM members)"
            db.execute(f"DELETE FROM {table} WHERE {stray}", (newest - STRAY_US,))
        unjoined = "rx_us < ? AND track NOT IN (SELECT track FROM members)"  # by our clock: theirs may be anything
        db.execute(f"DELETE FROM reports WHERE {unjoined}", (newest - STRAY_US,))
        self.journalled = db.execute("SELECT max(journal_entries) FROM transitions").fetchone()[0] or 0
        query = "SELECT track FROM members JOIN incidents ON id = incident WHERE state != 'closed' ORDER BY track"
        self._watched = {track: -1 for (track,) in db.execute(query)}

    def offer(self, kept: Sequence[Kept]) -> bool:
        """Write these, and what waits, in one transaction. False: the disk refused, it waits, and it was counted."""
        self._waiting += kept
        if not self._waiting:
            return True
        now_us = self._waiting[-1].t_us
        if self._retry_us >= 0 and 0 <= self._retry_us - now_us <= RETRY_US:
            self._drop_oldest()
            return True  # not tried
        try:
            self._write(self._waiting)
        except sqlite3.Error as error:
            self.failed += 1
            self.problem = str(error)
            self._retry_us = now_us + RETRY_US
            self._drop_oldest()
            return False
        self._waiting.clear()
        self._retry_us, self.problem = -1, ""
        return True

    def _drop_oldest(self) -> None:
        held = sum(item.count for item in self._waiting)
        while held > MAX_WAITING and self._waiting:
            gone = self._waiting.pop(0).count
            held -= gone
            self.lost += gone

    def _write(self, batch: Sequence[Kept]) -> None:
        if self._db is None:
            self._db = self._connect()
        watched = dict(self._watched)
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for kept in batch:
                for event in kept.events:
                    self._one(self._db, event, kept, watched)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._watched = watched

    def _one(self, db: sqlite3.Connection, event: Event, kept: Kept, watched: dict[str, int]) -> None:
        if isinstance(event, IncidentChanged):
            self._incident(db, event, kept, watched)
        elif isinstance(event, AlertChanged):
            db.execute(_PUT["alerts"], _alert_row(event.alert, self._names))
        elif isinstance(event, PassageNoted):
            db.execute(_PUT["passages"], _passage_row(event.passage))
        elif isinstance(event, SearchChanged):
            db.execute(_PUT["searches"], _search_row(event.area))
        elif isinstance(event, SightingJudged):
            db.execute(_PUT["reports"], _report_row(event, self._names))
        elif isinstance(event, Answer):
            db.execute(_PUT["actions"], (None, kept.t_us, *_action(event)))
        elif isinstance(event, Picture) and watched:
            db.executemany(_PUT["trails"], _trail_rows(event, watched))

    def _incident(self, db: sqlite3.Connection, event: IncidentChanged, kept: Kept, watched: dict[str, int]) -> None:
        i = event.incident
        record = incident_format.encode(i, self._names, i.number).decode()
        lat, lon = (i.members[0].lat_rad, i.members[0].lon_rad) if i.members else (math.nan, math.nan)
        head = (i.id, i.number, i.state, i.severity, i.worst, i.raised_us, i.t_us, i.near_state, i.title, i.simulated)
        db.execute(_PUT["incidents"], (*head, _known(lat), _known(lon), record))
        journal = (kept.journal_entries, kept.journal_head)
        db.execute(_PUT["transitions"], (i.id, i.number, i.t_us, i.change, i.severity, *journal, record))
        members = [(i.id, m.track, n, m.alert_us) for n, m in enumerate(i.members)]
        db.executemany(_PUT["members"], members)
        db.executemany(_PUT["trails"], [(track, *_point(point)) for track, points in event.before for point in points])
        for member in i.members:
            if i.state == "closed":
                watched.pop(member.track, None)
            else:
                watched.setdefault(member.track, -1)

    def close(self) -> None:
        """Give the file free. Twice does no harm."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _put(table: str, columns: int) -> str:
    return f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * columns)})"


_PUT = {
    name: _put(name, columns)
    for name, columns in (
        ("incidents", 13), ("transitions", 8), ("members", 4), ("alerts", 9), ("passages", 7), ("actions", 11),
        ("searches", 6), ("trails", 5), ("reports", 10),
    )
}  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _point(point: Point) -> tuple[int, float, float, float | None]:
    t_us, lat, lon, height = point
    return t_us, lat, lon, _known(height)


def _alert_row(alert: Alert, names: Names) -> tuple[Any, ...]:
    record = alert_format.encode(alert, names, 0).decode()
    rule = (alert.rule, alert.rule_version, alert.severity)
    return alert.id, alert.track, *rule, alert.state, alert.raised_us, alert.t_us, record


def _passage_row(p: Passage) -> tuple[Any, ...]:
    record = msgspec.json.encode(p).decode()  # NaN as null: it is read by people, not put back into the engine
    return p.track, p.number, p.t_us, str(p.kind), p.state, p.other, record


def _search_row(area: SearchArea) -> tuple[Any, ...]:
    geojson = msgspec.json.encode(search_geojson(area)).decode()
    return area.track, area.lost_us, area.t_us, area.ended, area.why, geojson


def _report_row(judged: SightingJudged, names: Names) -> tuple[Any, ...]:
    s = judged.sighting
    said = (sighting.encode(s).decode(), sighting.answer(judged, names, 0).decode())
    return s.sensor, s.id, s.t_us, s.rx_us, judged.ok, judged.track, s.found, judged.detail, *said


def _action(answer: Answer) -> tuple[Any, ...]:
    c = answer.command
    about = (c.incident_id, c.alert_id, c.to, c.identity, c.reason)
    return c.verb, c.operator, *about, answer.ok, answer.detail


def _trail_rows(shown: Picture, watched: dict[str, int]) -> list[tuple[Any, ...]]:
    """Points of members that are due, out of a full picture."""
    head = f"{shown.tracks.epoch}:"
    rows = []
    for row, counter in enumerate(shown.tracks.id.tolist()):
        last_us = watched.get(f"{head}{counter}")
        if last_us is None or shown.t_us - last_us < TRAIL_US:
            continue
        a = shown.assessment
        lat, lon, height = (float(column[row]) for column in (a.lat_rad, a.lon_rad, a.height_m))
        if math.isfinite(lat) and math.isfinite(lon):
            watched[f"{head}{counter}"] = shown.t_us
            rows.append((f"{head}{counter}", shown.t_us, lat, lon, _known(height) if a.height_known[row] else None))
    return rows


class _Schema(msgspec.Struct):
    schema: str


_SCHEMA = msgspec.json.Decoder(_Schema)


def entry_of(payload: bytes) -> Alert | Incident | Withheld | Crowd:
    """What one entry of the journal says.

    Raises:
        Invalid: it is none of them.
    """
    schema = _SCHEMA.decode(payload).schema
    if schema == incident_format.SCHEMA:
        return incident_format.decode(payload)
    if schema == withheld.SCHEMA:
        return withheld.decode(payload)
    if schema == area.SCHEMA:
        return area.decode(payload)
    return alert_format.decode(payload)


def kept_from(n: int, payload: bytes) -> Kept | None:
    """What to keep of the n-th entry of a journal, from 1; None: no alert was raised, so there is nothing.

    Raises:
        Invalid: it is no entry of a journal.
    """
    told = entry_of(payload)
    if isinstance(told, Withheld | Crowd):
        return None
    event = IncidentChanged(told) if isinstance(told, Incident) else AlertChanged(told)
    return Kept(told.t_us, (event,), journal_entries=n)


def rebuild(db: IncidentDb, payloads: Iterable[bytes]) -> tuple[int, int]:
    """Fill a database from the entries of a journal; returns how many alert and incident transitions there were.

    Raises:
        sqlite3.Error: the disk refuses.
        Invalid: an entry is neither an alert nor an incident.
    """
    alerts = incidents = 0
    batch: list[Kept] = []
    for n, payload in enumerate(payloads, 1):
        kept = kept_from(n, payload)
        if kept is None:
            continue
        if isinstance(kept.events[0], IncidentChanged):
            incidents += 1
        else:
            alerts += 1
        batch.append(kept)
        if len(batch) >= 1_000:
            db._write(batch)
            batch.clear()
    db._write(batch)
    return alerts, incidents


class _Asked(closing[sqlite3.Connection]):
    """A connection for asking. What turns out to be damaged while it is read is refused like what cannot be opened."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        super().__init__(db)
        self._path = path

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        error = raised[1]
        if isinstance(error, sqlite3.Error | Invalid):
            raise _damaged(self._path, str(error)[:120]) from error


def _damaged(path: Path, problem: str) -> ConfigError:
    journal, fresh = path.with_name("alerts.jsonl"), path.with_name("incidents-new.db")
    cure = f"make it anew from the journal: vedette incidents rebuild {journal} {fresh}, and name that with --db"
    return ConfigError(str(path), "database", f"cannot be read ({problem})", cure)


def read_only(path: Path) -> closing[sqlite3.Connection]:
    """A connection for asking, also while the service writes.

    Raises:
        ConfigError: there is no such database, or it is not one of this version; at the end of its `with`, that what
            was asked for is damaged.
    """
    if not path.is_file():
        cure = "run the service on this data folder first, or name another incidents.db with --db"
        raise ConfigError(str(path), "database", "does not exist", cure)
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        db.row_factory = sqlite3.Row
        found = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as error:
        raise _damaged(path, str(error)) from error
    if not 0 < found <= VERSION:
        db.close()
        cure = "name the incidents.db of a data folder, written by this version or an earlier one"
        if not found:
            cure += f"; a copy of one in use needs {path.name}-wal beside it"
        raise ConfigError(str(path), "user_version", f"is {found}, expected 1 to {VERSION}", cure)
    return _Asked(db, path)
