"""The past on the page: a second is the picture that was recorded in it, with the alerts of the journal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from adapters.running.outputs import transitions
from adapters.store import AlertJournal
from adapters.ui.access import Guard
from adapters.ui.past import AT_ONCE_S, Past
from adapters.ui.picture import compact, decode
from adapters.ui.settings import UiFile
from adapters.wire import dump, rfc3339
from fusion.schema import US_PER_S, Frame
from replay import recording
from replay.mcapfile import Output
from replay.mcapread import Item
from tests.asgibrowser import Browser
from tests.test_ui_sky import picture

T0_S = 1_753_670_400  # 2025-07-28T02:40:00Z
NAME = "e000007-20250728T024000Z.mcap"


def parts(second: int, k: int) -> bytes:
    return picture([2 * k + 1, 2 * k + 2], second, True, part=k, parts=2, simulated=True)


def transition(second: int, name: str, state: str) -> bytes:
    said = {"schema": "vedette.alert.v1", "time": rfc3339((T0_S + second) * US_PER_S), "id": name, "state": state}
    return dump({**said, "track": "1:1", "severity": 2})


def recorded(folder: Path, seconds: int = 120) -> Past:
    """Two parts of a picture a second, and two alerts of which one is closed."""
    items: list[Item] = [Frame(1, T0_S * US_PER_S, "start", b"start")]
    journal = {10: [transition(10, "a", "raised")], 40: [transition(40, "b", "raised"), transition(40, "a", "closed")]}
    with_alerts = AlertJournal(folder / "alerts.jsonl").open()
    for s in range(seconds):
        at_us = (T0_S + s) * US_PER_S
        items.append(Frame(s + 2, at_us, "tick", b""))
        items += [Output(at_us, "picture", parts(s, k)) for k in range(2)]
        items += transitions(at_us, journal.get(s, []))
        with_alerts.append(journal.get(s, []))
    with_alerts.close()
    recording.write(folder / NAME, iter(items))
    os.utime(folder / NAME, (T0_S + seconds, T0_S + seconds))
    return Past(folder, folder / "alerts.jsonl")


def recorded_rows(path: Path, second: int) -> list[list[Any]]:
    """The oracle: every whole picture of that second, read from the file from its beginning."""
    outputs = [item for item in recording.items(path) if isinstance(item, Output) and item.topic == "picture"]
    rows = [decode(o.payload).tracks for o in outputs if o.t_us // US_PER_S == T0_S + second]
    return [compact(row) for part in rows for row in part]


def test_a_second_is_the_picture_that_was_recorded_in_it(tmp_path: Path) -> None:
    past = recorded(tmp_path)
    found = past.pictures(T0_S + 50, T0_S + 55)
    assert [second for second, _ in found] == [T0_S + n for n in range(50, 55)]
    for second, message in found:
        assert message["rows"] == recorded_rows(tmp_path / NAME, second - T0_S)
        assert len(message["rows"]) == 4
        assert message["things"][0] == ["status", "", {"state": "recorded", "simulated": True, "mode": "peace"}]


def test_alerts_are_as_they_stood_then(tmp_path: Path) -> None:
    past = recorded(tmp_path)

    def stood(second: int) -> list[tuple[str, str, str]]:
        ((_, message),) = past.pictures(T0_S + second, T0_S + second + 1)
        return [(kind, name, body["state"]) for kind, name, body in message["things"][1:]]

    assert [stood(5), stood(20), stood(60)] == [[], [("alert", "a", "raised")], [("alert", "b", "raised")]]


def test_the_timeline_names_its_span_and_every_alert_once(tmp_path: Path) -> None:
    past = recorded(tmp_path)
    found = past.timeline(1_800)
    assert (found["from_us"], found["to_us"]) == (T0_S * US_PER_S, (T0_S + 120) * US_PER_S)
    assert [tick["t_us"] // US_PER_S - T0_S for tick in found["alerts"]] == [10, 40]
    late = past.timeline(90)
    assert (late["from_us"] // US_PER_S - T0_S, len(late["alerts"])) == (30, 2)


def test_the_line_goes_back_over_recordings_that_have_a_gap_between_them(tmp_path: Path) -> None:
    past = recorded(tmp_path)
    later_s = T0_S + 7_200
    recording.write(tmp_path / "e000008-20250728T044000Z.mcap", iter([Frame(1, later_s * US_PER_S, "start", b"start")]))
    os.utime(tmp_path / "e000008-20250728T044000Z.mcap", (later_s + 300, later_s + 300))
    newest = past.timeline(1_800)
    assert (newest["first_us"], newest["newest_us"]) == (T0_S * US_PER_S, (later_s + 300) * US_PER_S)
    assert newest["recorded"] == [(later_s * US_PER_S, (later_s + 300) * US_PER_S)]
    assert newest["alerts"] == []
    old = past.timeline(1_800, T0_S + 600)
    assert (old["from_us"], old["to_us"]) == (T0_S * US_PER_S, (T0_S + 600) * US_PER_S)
    assert old["recorded"] == [(T0_S * US_PER_S, (T0_S + 120) * US_PER_S)]
    assert len(old["alerts"]) == 2
    assert len(past.timeline(86_400)["recorded"]) == 2
    assert past.timeline(1_800, 5)["from_us"] == T0_S * US_PER_S
    assert past.timeline(1_800, 2**40)["to_us"] == newest["newest_us"]


def test_what_the_journal_gets_meanwhile_is_read_on(tmp_path: Path) -> None:
    past = recorded(tmp_path)
    assert len(past.timeline(1_800)["alerts"]) == 2
    journal = AlertJournal(tmp_path / "alerts.jsonl").open()
    journal.append([transition(100, "c", "raised")])
    journal.close()
    assert len(past.timeline(1_800)["alerts"]) == 3


def test_nothing_recorded_and_damaged_files_are_an_empty_past(tmp_path: Path) -> None:
    past = Past(tmp_path / "none", tmp_path / "none.jsonl")
    assert past.timeline(1_800)["to_us"] == past.timeline(1_800)["first_us"] == 0
    (tmp_path / NAME).write_bytes(b"no recording at all")
    (tmp_path / "alerts.jsonl").write_bytes(b'{"payload":"{\\"schema\\":\\"vedette.alert.v1\\""}\nhalf a line')
    past = Past(tmp_path, tmp_path / "alerts.jsonl")
    assert past.pictures(T0_S, T0_S + 5) == []
    assert past.timeline(1_800)["alerts"] == []


@pytest.mark.parametrize("query", ["/past", "/past?from_s=a&to_s=2", "/timeline?span_s=1", "/timeline?span_s=x"])
def test_crooked_questions_are_refused(tmp_path: Path, query: str) -> None:
    past = Past(tmp_path, tmp_path / "alerts.jsonl")
    assert Browser(Guard(Starlette(routes=past.routes()), UiFile(), 8080)).get(query).status_code == 400


def test_one_answer_holds_so_much_at_most(tmp_path: Path) -> None:
    past = recorded(tmp_path)
    at = Browser(Guard(Starlette(routes=past.routes()), UiFile(), 8080))
    found = at.get(f"/past?from_s={T0_S}&to_s={T0_S + 1_000}").json()["pictures"]
    assert [second for second, _ in found] == [T0_S + n for n in range(AT_ONCE_S)]
    assert at.get("/timeline").json()["from_us"] == T0_S * US_PER_S
