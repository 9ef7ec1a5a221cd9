"""Questions to the incident database, and their answers as the types of the core."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

import msgspec

from adapters.formats import alert as alert_format
from adapters.formats import incident as incident_format
from fusion.cases.record import Incident, Point, cited_as
from fusion.schema import Alert

MAX_LISTED = 10_000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which incidents are wanted. Times are microseconds UTC of the raising, -1 any; "" any."""

    since_us: int = -1
    until_us: int = -1
    state: str = ""  # open stands for everything that is not closed
    near_state: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of the record of an incident, and where the journal stood after it."""

    incident: Incident
    journal_entries: int
    journal_head: str


@dataclass(frozen=True, slots=True)
class Action:
    """What a person asked for, and the answer."""

    t_us: int
    verb: str
    operator: str
    about: str  # incident or alert id
    recipient: str
    identity: str
    reason: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a person reported, and what became of it."""

    name: str  # as an incident cites it
    t_us: int
    reporter: str
    words: str
    found: bool
    track: str
    detail: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything the database has of one incident."""

    incident: Incident  # as last told
    transitions: tuple[Transition, ...]  # in order
    alerts: tuple[Alert, ...]  # as last told, in order of raising
    passages: tuple[dict[str, Any], ...]  # of its members, in order of time
    actions: tuple[Action, ...]  # in order of time
    searches: tuple[dict[str, Any], ...]  # GeoJSON, the newest of every loss
    trails: dict[str, tuple[Point, ...]]  # by track, in order of joining
    reports: tuple[Report, ...] = ()  # by people, that belong to its members, in order of time


def incidents(db: sqlite3.Connection, wanted: Filters) -> list[Incident]:
    """The newest `limit` that fit, in order of raising."""
    where, given = ["1"], list[object]()
    for condition, value, asked in (
        ("raised_us >= ?", wanted.since_us, wanted.since_us >= 0),
        ("raised_us < ?", wanted.until_us, wanted.until_us >= 0),
        ("near_state = ?", wanted.near_state, bool(wanted.near_state)),
        ("state = ?", wanted.state, wanted.state not in ("", "open")),
        ("state != ?", "closed", wanted.state == "open"),
    ):
        if asked:
            where.append(condition)
            given.append(value)
    query = f"SELECT record FROM incidents WHERE {' AND '.join(where)} ORDER BY raised_us DESC, id DESC LIMIT ?"
    rows = db.execute(query, [*given, min(wanted.limit, MAX_LISTED)]).fetchall()
    return [incident_format.decode(row["record"].encode()) for row in reversed(rows)]


def find(db: sqlite3.Connection, beginning: str) -> list[str]:
    """Ids of incidents that begin so."""
    rows = db.execute("SELECT id FROM incidents WHERE substr(id, 1, ?) = ? ORDER BY id", (len(beginning), beginning))
    return [row["id"] for row in rows]


def of_alert(db: sqlite3.Connection, alert: str) -> str:
    """Id of the incident that an alert belongs to; "" where the database has none."""
    query = (
        "SELECT incidents.id, incidents.record FROM alerts JOIN members ON members.track = alerts.track "
        "JOIN incidents ON incidents.id = members.incident WHERE alerts.id = ? ORDER BY incidents.raised_us"
    )
    for row in db.execute(query, (alert,)):  # a track may be in several, one after the other
        told = incident_format.decode(row["record"].encode())
        if any(alert in member.alerts for member in told.members):
            return str(row["id"])
    return ""


def first_told(db: sqlite3.Connection, incident: str) -> Incident:
    """An incident as it was raised."""
    query = "SELECT record FROM transitions WHERE incident = ? ORDER BY number LIMIT 1"
    return incident_format.decode(db.execute(query, (incident,)).fetchone()["record"].encode())


def dossier(db: sqlite3.Connection, incident: str) -> Dossier:
    """Everything about one incident that exists (its whole id)."""
    row = db.execute("SELECT record FROM incidents WHERE id = ?", (incident,)).fetchone()
    told = incident_format.decode(row["record"].encode())
    tracks = [member.track for member in told.members]
    transitions = db.execute("SELECT * FROM transitions WHERE incident = ? ORDER BY number", (incident,))
    alerts = _of_tracks(db, "SELECT record FROM alerts WHERE track IN ({}) ORDER BY raised_us, id", tracks)
    passages = _of_tracks(db, "SELECT record FROM passages WHERE track IN ({}) ORDER BY t_us, track, number", tracks)
    searches = _of_tracks(db, "SELECT geojson FROM searches WHERE track IN ({}) ORDER BY lost_us, track", tracks)
    known = tuple(alert_format.decode(row["record"].encode()) for row in alerts)
    return Dossier(
        told,
        tuple(_transition(row) for row in transitions),
        known,
        tuple(msgspec.json.decode(row["record"]) for row in passages),
        _actions(db, incident, [alert.id for alert in known]),
        tuple(msgspec.json.decode(row["geojson"]) for row in searches),
        {track: _trail(db, track) for track in tracks},
        tuple(_report(row) for row in _reports(db, tracks)),
    )


def _of_tracks(db: sqlite3.Connection, query: str, tracks: list[str]) -> list[sqlite3.Row]:
    return db.execute(query.format(", ".join("?" * len(tracks))), tracks).fetchall()


def _reports(db: sqlite3.Connection, tracks: list[str]) -> list[sqlite3.Row]:
    if db.execute("PRAGMA user_version").fetchone()[0] < 2:  # that has none of them
        return []
    return _of_tracks(db, "SELECT * FROM reports WHERE track IN ({}) AND ok ORDER BY t_us, sensor, id", tracks)


def _report(row: sqlite3.Row) -> Report:
    said = msgspec.json.decode(row["said"])
    name = cited_as(row["sensor"], row["id"])
    who = (said.get("reporter", ""), said.get("words", ""))
    return Report(name, row["t_us"], *who, bool(row["found"]), row["track"], row["detail"])


def _transition(row: sqlite3.Row) -> Transition:
    told = incident_format.decode(row["record"].encode())
    return Transition(told, row["journal_entries"], row["journal_head"])


def _actions(db: sqlite3.Connection, incident: str, alerts: list[str]) -> tuple[Action, ...]:
    query = f"SELECT * FROM actions WHERE incident = ? OR alert IN ({', '.join('?' * len(alerts))}) ORDER BY number"
    return tuple(
        Action(
            row["t_us"],
            row["verb"],
            row["operator"],
            row["incident"] or row["alert"],
            row["recipient"],
            row["identity"],
            row["reason"],
            bool(row["ok"]),
            row["detail"],
        )
        for row in db.execute(query, [incident, *alerts])
    )


def _trail(db: sqlite3.Connection, track: str) -> tuple[Point, ...]:
    rows = db.execute("SELECT t_us, lat_rad, lon_rad, height_m FROM trails WHERE track = ? ORDER BY t_us", (track,))
    return tuple(
        (r["t_us"], r["lat_rad"], r["lon_rad"], float("nan") if r["height_m"] is None else r["height_m"]) for r in rows
    )
