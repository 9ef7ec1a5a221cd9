"""What a start finds in the journal, and how what happens gets into the database without holding anything up."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.formats import alert as alert_format
from adapters.formats import incident as incident_format
from adapters.incidents import reading
from adapters.incidents.database import IncidentDb, read_only
from adapters.incidents.reading import Filters
from adapters.running import keeping
from adapters.running.keeping import Keeper, closed_incident, left_of
from adapters.samples import NAMES, NOW_US, alarm, happened
from adapters.store import AlertJournal
from fusion.cases.record import IncidentChanged
from fusion.schema import US_PER_S


def test_what_the_journal_holds_open_is_found_by_its_newest_entry() -> None:
    one, two = replace(alarm(), id="1" * 16), replace(alarm(), id="2" * 16)
    first, second = replace(happened(), id="a" * 16), replace(happened(), id="b" * 16)
    entries = [
        *(alert_format.encode(item, NAMES, 1) for item in (one, two, replace(one, state="closed"))),
        *(incident_format.encode(item, NAMES, 1) for item in (first, second, closed_incident(second, NOW_US, "over"))),
    ]
    left = left_of(entries)
    assert left.open_alerts == [two]
    assert left.open_incidents == [first]
    assert (left.closed_alerts, left.closed_incidents) == (["1" * 16], ["b" * 16])


def test_an_incident_that_ends_with_its_picture_says_so() -> None:
    ended = closed_incident(happened(), NOW_US + 5, "picture reset")
    assert (ended.number, ended.change, ended.state, ended.t_us) == (10, "closed", "closed", NOW_US + 5)
    assert (ended.close_reason, ended.members) == ("picture reset", happened().members)


def test_a_slow_write_holds_nothing_up_and_nothing_is_missed(tmp_path: Path) -> None:
    go = threading.Event()
    with (
        AlertJournal(tmp_path / "alerts.jsonl") as journal,
        IncidentDb(tmp_path / "incidents.db", NAMES) as database,
        ThreadPoolExecutor(1) as writer,
    ):
        journal.append([b"{}"])
        keeper = Keeper(database, journal)
        writer.submit(go.wait)
        for n in range(20):
            changed = IncidentChanged(replace(happened(), number=n + 1, t_us=NOW_US + n * US_PER_S))
            assert keeper.keep(NOW_US + n * US_PER_S, [changed], writer)
        go.set()
        keeper.keep_rest(writer)
        writer.submit(int).result()
        with read_only(database.path) as asked:
            got = reading.dossier(asked, happened().id)
            assert [item.incident.number for item in got.transitions] == list(range(1, 21))
            assert {(item.journal_entries, item.journal_head) for item in got.transitions} == {(1, journal.head)}
            assert len(reading.incidents(asked, Filters())) == 1


def test_what_waits_behind_a_write_is_bounded_and_what_falls_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MAX_WAITING", 3)
    go = threading.Event()
    with (
        AlertJournal(tmp_path / "alerts.jsonl") as journal,
        IncidentDb(tmp_path / "incidents.db", NAMES) as database,
        ThreadPoolExecutor(1) as writer,
    ):
        keeper = Keeper(database, journal)
        writer.submit(go.wait)
        for n in range(8):  # the first is offered at once, and waits for the writer
            keeper.keep(NOW_US + n, [IncidentChanged(replace(happened(), number=n + 1, t_us=NOW_US + n))], writer)
        assert keeper.lost == 4
        go.set()
        keeper.keep_rest(writer)
        writer.submit(int).result()
        with read_only(database.path) as asked:
            got = reading.dossier(asked, happened().id)
        assert [item.incident.number for item in got.transitions] == [1, 6, 7, 8]


def test_a_write_that_failed_is_told_by_the_next(tmp_path: Path) -> None:
    with (
        AlertJournal(tmp_path / "alerts.jsonl") as journal,
        ThreadPoolExecutor(1) as writer,
        IncidentDb(tmp_path / "incidents.db", NAMES, max_bytes=1) as database,
    ):
        keeper = Keeper(database, journal)
        assert keeper.keep(NOW_US, [IncidentChanged(happened())], writer)
        writer.submit(int).result()
        assert not keeper.keep(NOW_US + US_PER_S, [], writer)
        assert "full" in keeper.problem
        assert keeper.keep(NOW_US + US_PER_S, [], writer)
