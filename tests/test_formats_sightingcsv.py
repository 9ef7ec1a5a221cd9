"""Reports as tables: as spreadsheets of several countries write them, and beside GDAL, which reads CSV too."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.envelope import printable
from adapters.formats import sighting, sightingcsv
from adapters.formats.sightingcsv import Table
from adapters.wire import dump, parse_time
from fusion.cases.record import Sighting
from fusion.schema import Invalid, SensorKind, SensorSpec
from tests import mapjudge

POST = SensorSpec("G1", 0, SensorKind.SIGHTING)
NOON_US = 1_795_435_200_000_000


def read(table: bytes, zone: str = "") -> list[Sighting]:
    """Every report of a table, as the door of the service reads it."""
    reader = Table(ZoneInfo(zone) if zone else None)
    found = [reader.line(line) for line in table.splitlines()]
    messages = [{**one, "schema": sighting.SCHEMA, "sensor": "G1"} for one in found if one is not None]
    return [sighting.decode(dump(message), POST, NOON_US) for message in messages]


def test_a_table_of_a_spreadsheet_is_read_with_its_commas_and_its_clock() -> None:
    table = (
        "\ufefftime;lat_deg;lon_deg;bearing_deg;words;reporter;weather\r\n"
        '2026-11-23 14:00;54,571;25,688;172;"grey, ""like a moped"";\r\nlow";border guard;rain\r\n'
        "2026-11-23T14:00:30+02:00;54,6;25,7;;;;\r\n"
    ).encode()
    one, other = read(table, "Europe/Vilnius")
    assert (one.t_us, other.t_us) == (NOON_US, NOON_US + 30_000_000)
    assert one.words == 'grey, "like a moped"; low'
    assert one.reporter == "border guard"
    assert one.bearing_rad == pytest.approx(3.0019662)
    assert one.id.startswith("row-")
    assert one.id != other.id
    assert read(table, "Europe/Vilnius")[0].id == one.id  # the same row is the same report


def test_an_hour_that_is_there_twice_is_nobodys_and_so_is_a_time_without_a_zone() -> None:
    for time, zone in (
        ("2026-10-25 03:30", "Europe/Vilnius"),
        ("2026-03-29 03:30", "Europe/Vilnius"),
        ("2026-11-23 14:00", ""),
    ):
        with pytest.raises(Invalid, match="bad-time"):
            read(f"time,lat_deg,lon_deg\n{time},54,25\n".encode(), zone)


FOUND = st.fixed_dictionaries(
    {
        "time": st.integers(NOON_US, NOON_US + 10**12), "id": st.from_regex(r"\A[0-9A-Za-z._:-]{1,40}\Z"),
        "lat_deg": st.decimals(-90, 90, places=6), "lon_deg": st.decimals(-180, 180, places=6),
    },
    optional={
        "words": st.text("aäß,;\"' \t", max_size=30).filter(str.strip), "reporter": st.just("border guard"),
        "sigma_m": st.integers(1, 9_999), "bearing_deg": st.decimals(0, 360, places=2), "found": st.just("yes"),
        "height_m": st.integers(0, 500),
    },
)  # fmt: skip


@given(st.lists(FOUND, max_size=6, unique_by=lambda one: str(one["id"])), st.sampled_from(",;\t"))
def test_what_is_written_reads_back(messages: list[dict[str, Any]], comma: str) -> None:
    reader = Table()
    lines = sightingcsv.encode(messages, comma).split(b"\r\n")
    found = [said for line in lines if line and (said := reader.line(line)) is not None]
    assert len(found) == len(messages)
    for said, message in zip(found, messages, strict=True):
        assert parse_time(said.pop("time")) == message["time"]
        assert said.pop("found", False) == ("found" in message)
        for name, value in said.items():
            own = str(message[name]).strip()
            assert (float(bytes(value)) == float(own)) if name in sightingcsv.NUMBERS else value == own


def test_another_reader_of_csv_finds_the_same(tmp_path: Path) -> None:
    """GDAL's, with quotes, separators and ends of lines in the words."""
    words = ["plain", 'a "moped", low', "semi;colon", "tab\tand, comma", " blank "]
    made: list[dict[str, Any]] = [
        {"time": NOON_US + n, "id": f"r{n}", "lat_deg": "54.5", "lon_deg": f"25.{n}1", "words": text, "found": "yes"}
        for n, text in enumerate(words)
    ]
    for n, comma in enumerate((",", ";")):
        table = sightingcsv.encode(made, comma)
        rows = mapjudge.read("table", table, tmp_path / f"{n}.csv")
        assert [row["words"] for row in rows] == words
        assert [(row["id"], float(row["lon_deg"])) for row in rows] == [(m["id"], float(m["lon_deg"])) for m in made]
        assert [one.words for one in read(table)] == [
            printable(text) for text in words
        ]  # a tab in words is a blank to the service


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"time,lat_deg\n", "missing-field"), (b"time,lat_deg,lon_deg,time\n", "missing-field"),
        (b"\xff\n", "not-utf8"),
        (b"time,lat_deg,lon_deg\n1,2\n", "malformed"), (b"time,lat_deg,lon_deg\n,54,25\n", "missing-field"),
        (b"time,lat_deg,lon_deg\n2026-11-23T12:00:00Z,north,25\n", "malformed"),
        (b"time,lat_deg,lon_deg\n2026-11-23T12:00:00Z,1e9,25\n", "out-of-range"),
        (b"time,lat_deg,lon_deg\n2026-11-23T12:00:00Z,1e-99,25\n", "out-of-range"),
        (b"time,lat_deg,lon_deg\n2026-11-23T12:00:00Z,54.5,NaN\n", "out-of-range"),
        (b"time,lat_deg,lon_deg\n2026-11-23T12:00:00Z,95,25\n", "out-of-range"),
        (b"time,lat_deg,lon_deg,found\n2026-11-23T12:00:00Z,54,25,perhaps\n", "malformed"),
        (b"time,lat_deg,lon_deg\nyesterday,54,25\n", "bad-time"),
        (b'time,lat_deg,lon_deg,words\n2026-11-23T12:00:00Z,54,25,"a"b"c"\n', "malformed"),
        (b'time,lat_deg,lon_deg,words\n2026-11-23T12:00:00Z,54,25,"' + b"x" * 17_000 + b'\n', "oversized"),
    ],
)  # fmt: skip
def test_what_is_wrong_falls_by_its_reason(table: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as fault:
        read(table)
    assert fault.value.reason == reason


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_no_octets_at_all_stop_it(lines: list[bytes]) -> None:
    reader = Table()
    for line in lines:
        try:
            said = reader.line(line)
        except Invalid:
            continue
        assert said is None or said["id"]
