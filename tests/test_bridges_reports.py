"""Reports of people become messages of the service, said until it answers; nothing stops them."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from adapters.bridges.common import Heard, Tally
from adapters.bridges.reports import FIRST_PAUSE_S, KEEP_S, MOST_REPORTS, MOST_SAID, Reports, Unanswered
from adapters.broker import Outgoing

RX_US = 1_795_435_201_000_000
TABLE = b"time,lat_deg,lon_deg,words\n2026-11-23T12:00:00Z,54.5,25.25,low\n2026-11-23T12:01:00Z,54.5,25.25,lower\n"


def hear(ear: Reports, *pieces: bytes) -> Heard:
    """What pieces add."""
    heard = Heard()
    ear.hear([(RX_US, octets) for octets in pieces], heard)
    return heard


def test_rows_and_objects_become_reports_however_they_are_torn() -> None:
    said = {
        "time": "2026-11-23T12:02:00Z",
        "lat_deg": 54.123456789012345,
        "lon_deg": 25,
        "id": "7",
        "bearing_deg": None,
    }
    octets = TABLE + json.dumps(said).encode() + b"\n"
    heard = hear(Reports("G1"), octets[:40], octets[40:41], octets[41:])
    assert [(one.sensor, one.words, one.rx_us) for one in heard.reports] == [
        ("G1", "low", RX_US), ("G1", "lower", RX_US), ("G1", "", RX_US),
    ]  # fmt: skip
    assert len({one.id for one in heard.reports}) == 3
    assert heard.reports[2].id == "7"
    assert not heard.refused
    tally = Tally()
    tally.note(heard, 3)
    assert tally.words() == "4 received, 3 reports in 3 messages; refused: none"


def test_every_bad_row_is_told_with_its_beginning_and_a_flood_is_not() -> None:
    ear = Reports("G1")
    with capture_logs() as told:
        hear(ear, TABLE + b"noon,54,25,x\n2026-11-23T12:00:00Z,north,25,y\n2026-11-23T12:00:00Z,54,25,\xe4\n")
    assert [(one["reason"], one["detail"], one["line"][:10]) for one in told[1:]] == [
        ("malformed", "lat_deg", "2026-11-23"), ("not-utf8", "save the table as CSV in UTF-8", "2026-11-23"),
    ]  # fmt: skip
    assert (told[0]["reason"], told[0]["line"]) == ("bad-time", "noon,54,25,x")
    with capture_logs() as told:
        assert hear(ear, b"noon,54,25,x\n" * 100).refused == {"bad-time": 100}
    assert len(told) == MOST_SAID - 3


def test_a_new_connection_names_its_columns_again() -> None:
    ear = Reports("G1", ZoneInfo("Europe/Vilnius"))
    assert len(hear(ear, TABLE[:-1]).reports) == 1
    ear.cut()
    again = hear(ear, b"lon_deg;lat_deg;time\n25,25;54,5;2026-11-23 14:00\n")
    assert [round(one.lat_rad, 4) for one in again.reports] == [0.9512]


def test_what_is_wrong_is_counted_and_stops_nothing() -> None:
    bad = b'2026-11-23T12:00:00Z,95,25,x\nnoon,54,25,x\n{"time": 1}\n{]\n{"schema": "x", "lat_deg": 1e999}\n'
    heard = hear(Reports("G1"), TABLE + bad + TABLE.splitlines(keepends=True)[1])
    assert len(heard.reports) == 3
    assert dict(heard.refused) == {
        "out-of-range": 1, "bad-time": 1, "malformed": 2, "not-finite": 1,
    }  # fmt: skip


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_octets_at_all_stop_it(pieces: list[bytes]) -> None:
    ear = Reports("G1")
    hear(ear, *pieces)
    ear.cut()
    assert len(hear(ear, TABLE).reports) == 2


def message(n: int) -> Outgoing:
    """Any."""
    return Outgoing("in/G1/sighting", str(n).encode(), 1)


def test_a_report_is_said_until_it_is_answered_ever_more_seldom() -> None:
    waiting, said = Unanswered(), list[float]()
    waiting.add("a", message(1), 0.0)
    waiting.add("a", message(2), 1.0)  # the same report
    for tenth in range(3_000):
        if sent := waiting.due(tenth / 10.0):
            assert sent == [message(1)]
            said.append(tenth / 10.0)
    assert said == [0.0, 5.0, 15.0, 35.0, 75.0, 135.0, 195.0, 255.0]
    assert said[1] == FIRST_PAUSE_S
    assert waiting.answered("a")
    assert not waiting.answered("a")
    waiting.add("a", message(3), 400.0)  # a table that was written anew holds it again
    assert not waiting.due(400.0)
    assert (len(waiting), waiting.fell) == (0, 0)


def test_what_nobody_answers_is_given_up_and_counted() -> None:
    waiting = Unanswered()
    for n in range(MOST_REPORTS + 7):
        waiting.add(str(n), message(n), 0.0)
    assert (len(waiting), waiting.fell) == (MOST_REPORTS, 7)
    assert waiting.due(0.0)[0] == message(7)
    assert waiting.due(KEEP_S + 1.0) == []
    assert (len(waiting), waiting.fell) == (0, MOST_REPORTS + 7)
