"""The incident database: what goes in comes out, no disk stops anything, the journal makes it anew."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.errors import ConfigError
from adapters.formats import alert as alert_format
from adapters.formats import incident as incident_format
from adapters.formats import sighting
from adapters.incidents import database, reading
from adapters.incidents.database import IncidentDb, kept_of, read_only, rebuild
from adapters.incidents.reading import Filters
from adapters.samples import NOW_US, happened, joined, reported
from adapters.store import AlertJournal
from adapters.wire import Names
from fusion.cases.record import IncidentChanged, PassageKind, PassageNoted, SightingJudged
from fusion.identity import assess
from fusion.schema import Answer, Command, Event, Picture, SensorKind, SensorSpec
from tests.airpicture import CODES, NAMES, SENSOR_IDS, SENSORS, T0_US, S, at, picture
from tests.incidentnight import RULES, Night, beside, eventful, passage

WORDS = Names("test", CODES, NAMES, SENSOR_IDS)


def night() -> Night:
    return eventful()[0]


def events() -> list[Event]:
    return eventful()[1]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[IncidentDb]:
    with IncidentDb(tmp_path / "incidents.db", WORDS) as opened:
        yield opened


def shown(t_us: int, full: bool = True) -> Picture:
    """Two tracks, of which one belongs to the incident, and one of an object that is nobody's business."""
    tracks, facts = picture([at(t_us, {}), at(t_us, beside(900.0))], t_us, [1, 30])
    return Picture(t_us, full, tracks, assess(tracks, facts, RULES.words, SENSORS))


def put(db: IncidentDb, *events: Event, t_us: int = NOW_US, **more: object) -> bool:
    kept = kept_of(t_us, events, **more)  # type: ignore[arg-type]
    return db.offer([kept] if kept else [])


def test_everything_of_an_incident_comes_out_as_it_went_in(db: IncidentDb) -> None:
    assert put(db, *events(), journal_entries=812, journal_head="ab" * 32)
    with read_only(db.path) as asked:
        (told,) = reading.incidents(asked, Filters())
        got = reading.dossier(asked, told.id)
        assert reading.first_told(asked, told.id) == night().said[0]
    assert told == got.incident == night().said[-1]
    assert [item.incident for item in got.transitions] == night().said
    assert {(item.journal_entries, item.journal_head) for item in got.transitions} == {(812, "ab" * 32)}
    newest = {alert.id: alert for alert in night().alerts}
    assert {alert.id: repr(alert) for alert in got.alerts} == {name: repr(alert) for name, alert in newest.items()}
    assert [(item["track"], item["kind"], item["state"]) for item in got.passages] == [
        ("7:1", "first", "BY"), ("7:1", "enter", "LT"),
    ]  # fmt: skip
    assert [(item.verb, item.operator, item.recipient, item.ok) for item in got.actions] == [
        ("acknowledge", "Lt Jonaitis", "", True), ("hand-over", "Lt Jonaitis", "LV", True),
        ("take", "Lt Jonaitis", "EE", False), ("take", "Lt Jonaitis", "LV", True),
    ]  # fmt: skip
    (search,) = got.searches
    polygon = search["features"][1]["geometry"]
    assert polygon["type"] == "MultiPolygon"
    assert polygon["coordinates"][0][0][0] == pytest.approx(np.degrees([0.441, 0.951]), abs=1e-6)


def test_a_trail_is_kept_for_members_every_ten_seconds_while_the_incident_is_open(db: IncidentDb) -> None:
    put(db, IncidentChanged(night().said[0], (("7:1", ((T0_US - S, 0.9, 0.4, np.nan),)),)))
    for second in range(35):
        put(db, shown(T0_US + second * S), shown(T0_US + second * S, full=False))
    put(db, IncidentChanged(night().said[-1]))
    put(db, shown(T0_US + 100 * S))
    with read_only(db.path) as asked:
        trails = reading.dossier(asked, night().said[0].id).trails
        assert asked.execute("SELECT DISTINCT track FROM trails").fetchall()[0][0] == "7:1"
    assert [(point[0] - T0_US) // S for point in trails["7:1"]] == [-1, 0, 10, 20, 30]
    assert np.isnan(trails["7:1"][0][3])
    assert np.degrees(trails["7:1"][1][1]) == pytest.approx(54.25)
    assert trails["7:2"] == ()


def test_what_is_asked_for_is_what_is_listed(db: IncidentDb) -> None:
    for n in range(10):
        near = "LT" if n % 2 else "PL"
        state = "closed" if n < 6 else "acknowledged"
        put(
            db,
            IncidentChanged(
                replace(happened(), id=f"{n:016x}", raised_us=NOW_US + n * S, near_state=near, state=state)
            ),
        )
    with read_only(db.path) as asked:

        def listed(**wanted: object) -> list[int]:
            return [int(item.id, 16) for item in reading.incidents(asked, Filters(**wanted))]  # type: ignore[arg-type]

        assert listed() == list(range(10))
        assert listed(limit=3) == [7, 8, 9]
        assert listed(since_us=NOW_US + 3 * S, until_us=NOW_US + 5 * S) == [3, 4]
        assert listed(state="open") == [6, 7, 8, 9]
        assert listed(state="closed", near_state="LT") == [1, 3, 5]
        assert reading.find(asked, "000000000000000") == [f"{n:016x}" for n in range(10)]
        assert reading.find(asked, "0000000000000007") == ["0000000000000007"]


def test_it_is_written_with_full_sync_ahead_of_the_file(db: IncidentDb) -> None:
    assert db._db is not None
    assert db._db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db._db.execute("PRAGMA synchronous").fetchone()[0] == 2


def test_a_tick_is_one_transaction_or_nothing(db: IncidentDb, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(database, "_search_row", broken)
    assert not put(db, *events())
    with read_only(db.path) as asked:
        assert reading.incidents(asked, Filters()) == []
    monkeypatch.undo()
    assert db.problem == "disk I/O error"
    assert put(db, Answer(Command(1, "close", "00", "Ada"), False, "no"), t_us=NOW_US + 2 * S)
    with read_only(db.path) as asked:
        assert len(reading.incidents(asked, Filters())) == 1, "what waited went with it"
    assert (db.failed, db.lost, db.problem) == (1, 0, "")


def test_a_locked_database_costs_a_moment_and_nothing_is_lost(db: IncidentDb) -> None:
    other = sqlite3.connect(db.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not put(db, *events()[:4])
    assert put(db, *events()[4:], t_us=NOW_US + S // 10), "not tried again before a second is over"
    assert not put(db, *events()[:1], t_us=NOW_US + 2 * S)
    assert db.failed == 2
    assert "locked" in db.problem
    other.execute("ROLLBACK")
    assert put(db, *events()[:1], t_us=NOW_US + 4 * S)
    with read_only(db.path) as asked:
        (told,) = reading.incidents(asked, Filters())
        assert [t.incident for t in reading.dossier(asked, told.id).transitions] == night().said


def test_a_lock_at_the_start_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "i.db"
    with IncidentDb(path, WORDS):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with IncidentDb(path, WORDS) as db:
        assert (db.failed, "locked" in db.problem) == (1, True)
        assert not put(db, *events())
        other.execute("ROLLBACK")
        assert put(db, events()[0], t_us=NOW_US + 2 * S)
        with read_only(path) as asked:
            assert reading.incidents(asked, Filters()) == [night().said[-1]]


def test_a_full_disk_is_counted_and_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_WAITING", 50)
    with IncidentDb(tmp_path / "small.db", WORDS, max_bytes=600_000) as db:
        put(db, IncidentChanged(night().said[0]), t_us=NOW_US - 9 * S)
        for n in range(100):
            put(db, *events()[-30:], *(replaced(n, k) for k in range(10)), t_us=NOW_US + 2 * n * S)
        assert db.failed > 10
        assert "full" in db.problem
        assert db.lost > 0
        assert sum(item.count for item in db._waiting) <= 50
    with read_only(tmp_path / "small.db") as asked:
        assert reading.incidents(asked, Filters()), "what is in it can be read"


def replaced(n: int, k: int) -> Event:
    return IncidentChanged(replace(happened(), id=f"{n:08x}{k:08x}"))


def test_a_later_version_and_what_is_no_database_are_refused_with_a_cure(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    with IncidentDb(path, WORDS):
        pass
    later_version = database.VERSION + 1
    later = sqlite3.connect(path)
    later.execute(f"PRAGMA user_version = {later_version}")
    later.close()
    with pytest.raises(
        ConfigError, match=rf"is {later_version}, newer than {database.VERSION}. Cure: start the later Vedette"
    ):
        IncidentDb(path, WORDS).open()
    with pytest.raises(ConfigError, match=rf"is {later_version}, expected 1 to {database.VERSION}"):
        read_only(path)
    path.write_bytes(b"not a database, and longer than a header of one" * 100)
    with pytest.raises(ConfigError, match=r"cannot be used \(file is not a database\)"):
        IncidentDb(path, WORDS).open()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_only(path)
    with pytest.raises(ConfigError, match=r"does not exist\. Cure: run the service on this data folder first"):
        read_only(tmp_path / "none.db")


def test_opening_again_goes_on_with_the_trails_of_what_is_open(tmp_path: Path) -> None:
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, IncidentChanged(night().said[0]))
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, shown(T0_US))
        with read_only(db.path) as asked:
            assert len(reading.dossier(asked, night().said[0].id).trails["7:1"]) == 1


def test_passages_of_nobody_go_after_a_month(tmp_path: Path) -> None:
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, *events())
        entry = passage("7:10", 1, PassageKind.FIRST, "BY", T0_US + database.STRAY_US + 9 * S)
        put(db, PassageNoted(entry, (entry,)))
    with IncidentDb(tmp_path / "i.db", WORDS) as db, read_only(db.path) as asked:
        rows = asked.execute("SELECT track, number FROM passages ORDER BY track, number").fetchall()
    assert [tuple(row) for row in rows] == [("7:1", 1), ("7:1", 2), ("7:10", 1)]


def test_the_journal_makes_it_anew(tmp_path: Path, db: IncidentDb) -> None:
    """Incidents, transitions, members and alerts are the same; passages, searches and refused commands are not."""
    put(db, *events())
    with AlertJournal(tmp_path / "alerts.jsonl") as journal:
        journal.append(alert_format.encode(item, WORDS, 1) for item in night().alerts)
        journal.append(incident_format.encode(item, WORDS, 1) for item in night().said)
        with IncidentDb(tmp_path / "anew.db", WORDS) as anew:
            assert rebuild(anew, journal.entries()) == (len(night().alerts), len(night().said))
    with read_only(db.path) as old, read_only(tmp_path / "anew.db") as new:
        for table in ("incidents", "members", "alerts"):
            query = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert [tuple(row) for row in new.execute(query)] == [tuple(row) for row in old.execute(query)]
        query = "SELECT incident, number, record FROM transitions ORDER BY 1, 2"
        assert [tuple(row) for row in new.execute(query)] == [tuple(row) for row in old.execute(query)]
        assert new.execute("SELECT count(*) FROM passages").fetchone()[0] == 0


def judged(**changed: Any) -> SightingJudged:
    guard = replace(reported(), words="grey <b>", **changed)
    return replace(joined(), sighting=guard, track="7:1")


def test_reports_are_kept_with_their_words_and_refusals_beside_what_they_did_not_overwrite(db: IncidentDb) -> None:
    used = judged()
    put(db, *events(), used, replace(judged(found=True), ok=False, detail="id-used: another", track=""))
    with read_only(db.path) as asked:
        (got,) = reading.dossier(asked, night().said[0].id).reports
        rows = asked.execute("SELECT ok, detail, said FROM reports ORDER BY ok").fetchall()
    assert (got.name, got.t_us, got.words, got.track) == ("G1/17", reported().t_us, "grey <b>", "7:1")
    assert [tuple(row)[:2] for row in rows] == [(0, "id-used: another"), (1, used.detail)]
    kept = sighting.decode(rows[1]["said"].encode(), SensorSpec("G1", 0, SensorKind.SIGHTING), used.sighting.rx_us)
    assert repr(kept) == repr(used.sighting)


def test_a_report_whose_clock_is_years_ahead_makes_nothing_else_old(tmp_path: Path) -> None:
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, *events(), judged(), replace(judged(id="9", t_us=NOW_US * 2), ok=False, track=""))
    with IncidentDb(tmp_path / "i.db", WORDS) as db, read_only(db.path) as asked:
        assert asked.execute("SELECT count(*) FROM reports").fetchone()[0] == 2
        assert asked.execute("SELECT count(*) FROM passages").fetchone()[0] > 0


def test_a_database_without_reports_can_be_read_and_gets_them_when_it_is_opened(tmp_path: Path) -> None:
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, *events())
    with closing(sqlite3.connect(tmp_path / "i.db")) as before:
        before.executescript("DROP TABLE reports; PRAGMA user_version = 1;")
    with read_only(tmp_path / "i.db") as asked:
        assert reading.dossier(asked, night().said[0].id).reports == ()
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        put(db, judged())
        with read_only(db.path) as asked:
            assert len(reading.dossier(asked, night().said[0].id).reports) == 1


def test_a_tick_without_anything_is_nothing() -> None:
    assert kept_of(NOW_US, [shown(NOW_US, full=False)]) is None
    assert kept_of(NOW_US, []) is None
