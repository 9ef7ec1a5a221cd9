"""The watch log: notes on the disk before they are shown, among what happened to alerts."""

from __future__ import annotations

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from adapters.store import JournalError, verify
from adapters.ui import watchlog
from adapters.ui.access import Guard
from adapters.ui.settings import UiFile
from adapters.ui.watchlog import FILE, SPAN_S, WatchLog, changes
from fusion.schema import US_PER_S
from tests.asgibrowser import Browser

NOW_US = time.time_ns() // 1_000


def nothing(_since_us: int) -> list[tuple[int, dict[str, Any]]]:
    return []


def opened(folder: Path) -> WatchLog:
    log = WatchLog(folder, nothing)
    log.open()
    return log


def test_a_note_is_there_after_a_restart_and_the_chain_holds(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.note("J. Petraitis", "R2 is being moved to the north", NOW_US)
    first.close()
    second = opened(tmp_path)
    second.note("A. Kalnins", "taken over", NOW_US + 1)
    assert [(line.who, line.words) for line in second.lines(NOW_US + 2)] == [
        ("J. Petraitis", "R2 is being moved to the north"),
        ("A. Kalnins", "taken over"),
    ]
    assert (verify(tmp_path / FILE).entries, verify(tmp_path / FILE).problem) == (2, "")
    second.close()


def test_alerts_and_notes_stand_in_one_order_and_old_ones_are_left_out(tmp_path: Path) -> None:
    raised = {"id": "a", "state": "raised", "severity": 1, "track": "1:7", "sentence": "low and slow"}
    log = WatchLog(tmp_path, lambda _since: [(NOW_US - 5, raised)])
    log.open()
    log.note("old", "yesterday", NOW_US - (SPAN_S + 1) * US_PER_S)
    log.note("J. Petraitis", "seen by patrol too", NOW_US - 3)
    assert [line.words for line in log.lines(NOW_US)] == [
        "alert of severity 1, 1:7: low and slow",
        "seen by patrol too",
    ]
    log.close()


def test_what_persons_did_to_an_alert_is_told_once_with_their_names() -> None:
    said = {"id": "a", "state": "raised", "severity": 2, "track": "1:7", "sentence": "low"}
    acknowledged = {**said, "state": "acknowledged", "acknowledged_by": "J. P."}
    identified = {**acknowledged, "identity": "suspect", "identity_by": "A. K.", "identity_reason": "no wings"}
    closed = {**identified, "state": "closed", "close_reason": "landed"}
    told = list(changes(list(enumerate([said, said | {"severity": 1}, acknowledged, identified, identified, closed]))))
    assert [(line.t_us, line.who, line.words) for line in told if line.who] == [
        (2, "J. P.", "acknowledged 1:7"),
        (3, "A. K.", "identified 1:7 as suspect: no wings"),
    ]
    assert told[-1].words == "alert of 1:7 closed: landed"


def test_one_page_keeps_the_log_and_the_other_says_so(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    with pytest.raises(JournalError, match="another page"):
        second.note("J. P.", "hello", NOW_US)
    first.note("J. P.", "hello", NOW_US)
    first.close()
    second.note("A. K.", "the other page has ended", NOW_US)
    assert [line.words for line in second.lines(NOW_US)] == ["hello", "the other page has ended"]
    second.close()
    with pytest.raises(JournalError, match="not open"):
        second.note("A. K.", "too late", NOW_US)
    assert verify(tmp_path / FILE).entries == 2


def test_notes_that_are_written_at_once_stand_in_one_chain(tmp_path: Path) -> None:
    log = opened(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: log.note("J. P.", f"note {n}", NOW_US + n), range(40)))
    log.close()
    found = verify(tmp_path / FILE)
    assert (found.entries, found.problem) == (40, "")


def test_a_disk_without_room_loses_one_note_and_not_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = opened(tmp_path)
    log.note("J. P.", "before", NOW_US)
    with monkeypatch.context() as full:

        def refused(fd: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        full.setattr("adapters.store.os.fdatasync", refused)
        with pytest.raises(JournalError, match="No space left"):
            log.note("J. P.", "lost", NOW_US + 1)
    assert "No space left" in log.problem
    log.note("J. P.", "after", NOW_US + 2)
    assert (log.problem, [line.words for line in log.lines(NOW_US + 3)]) == ("", ["before", "after"])
    log.close()
    assert (verify(tmp_path / FILE).entries, verify(tmp_path / FILE).problem) == (2, "")


def test_a_full_log_refuses_a_note_with_the_cure_and_goes_on_when_it_was_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = opened(tmp_path)
    log.note("J. Petraitis", "the last that has room", NOW_US)
    monkeypatch.setattr(watchlog, "FILE_BYTES_MAX", (tmp_path / FILE).stat().st_size)
    for _ in range(2):
        with pytest.raises(JournalError, match=f"it is full .*Cure: stop the page, put {FILE} away"):
            log.note("J. Petraitis", "one too many", NOW_US + 1)
    assert verify(tmp_path / FILE).entries == 1
    log.close()
    (tmp_path / FILE).rename(tmp_path / "kept.jsonl")
    again = opened(tmp_path)
    again.note("A. Kalnins", "a new file", NOW_US + 2)
    assert (verify(tmp_path / FILE).entries, verify(tmp_path / "kept.jsonl").problem) == (1, "")
    again.close()


def test_words_from_the_network_cannot_forge_a_line_of_the_text(tmp_path: Path) -> None:
    said = {"id": "a", "state": "raised", "severity": 2, "track": "1:7", "sentence": "low"}
    forged = "no wings\n2026-11-27 05:00:00  J. Petraitis: all clear\x1b[2J"
    identified = {**said, "identity": "suspect", "identity_by": "A. K.", "identity_reason": forged}
    log = WatchLog(tmp_path, lambda _since: [(NOW_US - 5, said), (NOW_US - 4, identified)])
    text = Browser(Guard(Starlette(routes=log.routes()), UiFile(), 8080)).get("/watch.txt").text
    assert (len(text.splitlines()), "\x1b" in text) == (2, False)


def test_a_changed_log_is_not_written_on(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.note("J. P.", "all is quiet", NOW_US)
    first.close()
    path = tmp_path / FILE
    path.write_text(path.read_text("utf-8").replace("quiet", "lost"), "utf-8")
    second = opened(tmp_path)
    assert "cannot be kept" in second.problem
    second.close()


def test_over_http(tmp_path: Path) -> None:
    log = opened(tmp_path)
    at = Browser(Guard(Starlette(routes=log.routes()), UiFile(), 8080))
    assert at.post("/watch", json={"words": "fog\u202e", "operator": "J. P."}).json() == {
        "ok": True,
        "detail": "written down",
    }
    for bad in ({"words": ""}, {"words": "x" * 5_000}, {"words": "no name"}, {"words": "\u0000", "operator": "J. P."}):
        assert at.post("/watch", json=bad).status_code == 400
    assert at.post("/watch", content=b'{"words": "\xff", "operator": "J. P."}').status_code == 400
    told = at.get("/watch").json()
    assert [(line["who"], line["words"], line["note"]) for line in told["lines"]] == [("J. P.", "fog", True)]
    assert at.get("/watch.txt").text.endswith("J. P.: fog\n")
    log.close()
    assert at.post("/watch", json={"words": "late", "operator": "J. P."}).status_code == 503
