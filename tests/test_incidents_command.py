"""`vedette incidents`: lists, records in words, reports with a map, GeoJSON, CSV, statistics, a database made anew."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic
from typer.testing import CliRunner, Result

from adapters.cli import app
from adapters.formats import alert as alert_format
from adapters.formats import incident as incident_format
from adapters.incidents import borderlines, database, drawing, mapfiles, report, statistics
from adapters.incidents.database import IncidentDb, kept_of, read_only
from adapters.incidents.drawing import ATTRIBUTION, Sketch
from adapters.incidents.reading import dossier
from adapters.samples import happened, joined, reported
from adapters.store import AlertJournal
from fusion.borders.border import OTHER, PARTNER
from fusion.cases.record import IncidentChanged
from fusion.schema import AlertChanged
from tests.airpicture import T0_US, S
from tests.conftest import ROOT
from tests.mapjudge import read
from tests.test_incidentdb import WORDS, events, night

WGS84 = Geodesic.WGS84
EVIL = '<script>alert("x")</script>&\x1b[31m'
TRAIL = tuple(
    (T0_US + n * 10 * S, float(np.radians(54.2 + 0.02 * n)), float(np.radians(26.2 - 0.05 * n)), 330.0)
    for n in range(30)
)
OSM = ROOT / "config" / "zones" / "osm"


def raised_id() -> str:
    """The incident of the eventful night."""
    return night().said[0].id


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The eventful night, one incident full of markup, and one of the week before."""
    file = tmp_path_factory.mktemp("incidents") / "incidents.db"
    evil = replace(
        happened(), id="e" * 16, title=EVIL, sentence=EVIL, acknowledged_by=EVIL, identity_reason=EVIL, near_state="PL",
        state="closed", close_reason=EVIL, change="closed",
    )  # fmt: skip
    old = replace(happened(), id="a" * 16, raised_us=T0_US - 7 * 86_400 * S, title="=HYPERLINK(1)")
    with IncidentDb(file, WORDS) as db:
        kept = kept_of(T0_US, [*events(), IncidentChanged(night().said[-1], (("7:1", TRAIL),))], 812, "ab" * 32)
        more = kept_of(T0_US, [IncidentChanged(evil), IncidentChanged(old)])
        assert kept is not None and more is not None
        assert db.offer([kept, more])
        yield file


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def vedette(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "100"}).invoke(app, ["incidents", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("command", ["list", "show", "export", "stats", "rebuild"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    run = vedette(command, "--help")
    assert (run.exit_code, run.stderr) == (0, "")
    assert re.search(rf"Examples?:\n +vedette incidents {command}\b", run.stdout), run.stdout


def test_the_list_is_filtered_and_cannot_command_a_terminal(path: Path) -> None:
    run = vedette("list", "--db", str(path))
    lines = run.stdout.splitlines()
    assert [line[:16] for line in lines] == ["a" * 16, "e" * 16, raised_id()]
    assert "\x1b" not in run.stdout
    assert "acknowledged by J. Petraitis" in lines[0]
    for given, count in (
        (["--state", "open"], 1), (["--state", "closed"], 2), (["--near-state", "pl"], 1), (["--limit", "1"], 1),
        (["--since", "2026-11-23"], 2), (["--until", "2026-11-23T00:00:00Z"], 1), (["--near-state", "EE"], 0),
    ):  # fmt: skip
        assert len(vedette("list", "--db", str(path), *given).stdout.splitlines()) == count, given


def test_a_record_in_words_has_clock_states_numbers_people_and_journal(path: Path) -> None:
    told = vedette("show", raised_id()[:6], "--db", str(path)).stdout
    for title in ("Reaction clock", "Timeline", "Objects", "States passed", "Rules and numbers", "Sensors", "Searches"):
        assert f"\n{title}\n" in told
    assert re.search(r"confirmed +2026-11-23 06:14:50 UTC +10\.0 s", told)
    assert re.search(r"severity +1 \(was 2\): low-slow-inside took over from low-slow-near", told)
    assert re.search(r"Lt Jonaitis +take to EE \w+ +seen by patrol +refused: handed over to LV, not to EE", told)
    assert re.search(r"speed_mps +42 \(plus or minus 3\) +<= 80 with p >= 0\.8", told)
    assert re.search(r"enter +LT +51\.5662 N", told)
    assert re.search(r"90% +2\.0 km2", told)
    assert "ab" * 32 in told
    assert "\x1b" not in vedette("show", "eee", "--db", str(path)).stdout


class Reader(HTMLParser):
    """What a browser would make of a page: tags that are open, all tags, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.names: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names += [name for name, _ in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.text += data


def test_reports_of_people_stand_with_their_words_and_what_became_of_them(tmp_path: Path) -> None:
    said = replace(joined(), track="7:1", sighting=replace(reported(), words=EVIL))
    with IncidentDb(tmp_path / "i.db", WORDS) as db:
        kept = kept_of(T0_US, [*events(), said])
        assert kept is not None and db.offer([kept])
        shown = vedette("show", raised_id(), "--db", str(tmp_path / "i.db"))
        with read_only(db.path) as asked:
            of = dossier(asked, raised_id())
    assert "Reports by people" in shown.output
    assert "joined to track 5:17" in shown.output
    assert "\x1b[31m" not in shown.output
    page = report.report(of, None)
    assert "&lt;script&gt;" in page and "<script>alert" not in page
    unknown = replace(of, reports=(), incident=replace(of.incident, sightings=("G1/17",)))
    assert "not in this database" in report.report(unknown, None)


def test_the_report_stands_alone_with_a_map_of_the_borders_and_their_attribution(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    assert vedette("export", raised_id(), "--db", str(path), "--out", str(out)).exit_code == 0
    page = out.read_text(encoding="utf-8")
    read = Reader(page)
    assert read.open == []
    assert "script" not in read.tags
    assert not {"src", "href", "onclick", "onload"} & set(read.names)
    assert not re.search(r"url\(|@import|https?:", page)
    assert read.text.count(ATTRIBUTION) == 2, "in the map and at the end"
    assert "Lithuania" in read.text and "Belarus" in read.text
    assert page.count('class="border"') >= 1
    assert page.count('class="search"') == 1
    assert "ab" * 32 in read.text
    for words in ("Reaction clock", "Operator actions", "Rules and numbers", "refused: handed over to LV"):
        assert words in read.text


@pytest.mark.parametrize(
    "marks, words",
    [
        ({}, ""),
        ({"simulated": True}, "SIMULATED"),
        ({"mode": "exercise"}, "EXERCISE"),
        ({"simulated": True, "mode": "exercise"}, "SIMULATED EXERCISE"),
    ],
)
def test_a_report_of_what_is_not_real_says_so_at_the_top(path: Path, marks: dict[str, Any], words: str) -> None:
    with read_only(path) as db:
        of = dossier(db, raised_id())
    given = {"simulated": False, "mode": "peace", **marks}
    page = report.report(replace(of, incident=replace(of.incident, **given)), None)
    assert re.findall(r'<p class="mark">([^<]*)</p>', page) == [words][: bool(words)]


def test_markup_from_the_network_is_text(path: Path) -> None:
    page = vedette("export", "eee", "--db", str(path)).stdout
    read = Reader(page)
    assert "script" not in read.tags
    assert '<script>alert("x")</script>&' in read.text
    evil = Sketch(trails=[("<b>", [(54.0, 25.0), (54.1, 25.1)])], names=[("<i>", (54.0, 25.0))])
    assert {"b", "i"} & set(Reader(drawing.svg(evil, (24.0, 53.0, 26.0, 55.0))).tags) == set()


def test_geojson_is_in_the_order_of_the_standard_and_holds_every_place(path: Path) -> None:
    made = json.loads(vedette("export", "--all", "--format", "geojson", "--db", str(path)).stdout)
    features = made["features"]
    (line,) = [item for item in features if item["properties"]["kind"] == "trail"]
    assert line["geometry"]["coordinates"][0] == [26.2, 54.2, 330.0]
    assert len(line["geometry"]["coordinates"]) == len(line["properties"]["times"]) == 30
    assert line["properties"]["times"][:2] == ["2026-11-23T06:15:00Z", "2026-11-23T06:15:10Z"]
    kinds = [item["properties"]["kind"] for item in features if item["properties"]["incident"] == raised_id()]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "trail": 1, "last-place": 2, "alert": 4, "last-seen": 1, "search": 1,
    }  # fmt: skip
    for item in features:
        assert shapely.geometry.shape(item["geometry"]).is_valid


def test_gdal_and_a_library_of_czml_find_the_incident_in_files_for_maps(path: Path, tmp_path: Path) -> None:
    def made(incident: str, form: str) -> bytes:
        return vedette("export", incident, "--format", form, "--db", str(path)).stdout.encode()

    kinds = {"trail": 1, "last-place": 2, "alert": 4, "last-seen": 1, "search": 1}
    features = json.loads(made(raised_id(), "geojson"))["features"]
    (layer,) = read("ogr", made(raised_id(), "kml"), tmp_path / "incident.kml").values()
    assert {kind: sum(mark["kind"] == kind for mark in layer["features"]) for kind in kinds} == kinds
    for item, mark in zip(features, layer["features"], strict=True):
        if item["geometry"]["type"] == "Point":
            assert mark["at"][:2] == pytest.approx(item["geometry"]["coordinates"][:2], abs=1e-6)
    packets = read("czml", made(raised_id(), "czml"), tmp_path / "incident.czml")
    document, *packets = packets
    assert document["clock"]["interval"].startswith("2026-11-23T06:15:00Z/2026-11-23T06:19:50Z")
    moving = next(packet for packet in packets if packet["id"] == "trail.1.moving")
    assert moving["position"]["cartographicDegrees"][:8] == [0.0, 26.2, 54.2, 330.0, 10.0, 26.15, 54.22, 330.0]
    assert {packet["id"].split(".")[0] for packet in packets} == {*kinds}


def test_files_for_maps_hold_what_came_from_outside_as_text_and_say_what_was_simulated(path: Path) -> None:
    with read_only(path) as db:
        of, whole = dossier(db, "e" * 16), dossier(db, raised_id())
    evil = replace(of, alerts=tuple(replace(alert, sentence=EVIL) for alert in whole.alerts))
    played = replace(evil, incident=replace(of.incident, simulated=True))
    told = mapfiles.kml(played).decode()
    assert ElementTree.fromstring(told).tag.endswith("kml")
    assert "<script>" not in told
    assert "\x1b" not in told
    names = re.findall(r"<name>([^<]*)", told)  # of the document too, which a viewer shows first
    assert len(names) > 1
    assert all(name.startswith("SIM ") for name in names)
    assert not any(name.startswith("SIM ") for name in re.findall(r"<name>([^<]*)", mapfiles.kml(evil).decode()))
    packets = json.loads(mapfiles.czml(played))
    assert all(packet["name"].startswith("SIM ") for packet in packets)
    assert [p["description"] for p in packets if "description" in p]
    assert not any("<script>" in packet.get("description", "") for packet in packets)  # it is HTML there


def test_a_file_for_maps_is_of_one_incident(path: Path) -> None:
    run = vedette("export", "--all", "--format", "kml", "--db", str(path))
    assert run.exit_code == 2
    assert "kml is of one incident" in run.stderr


def test_csv_has_a_line_an_incident_and_runs_nothing(path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(vedette("export", "--all", "--format", "csv", "--db", str(path)).stdout)))
    assert [row["incident"] for row in rows] == ["a" * 16, "e" * 16, raised_id()]
    assert rows[0]["title"] == "'=HYPERLINK(1)"
    assert (rows[2]["first_plot_to_confirmed_s"], rows[2]["acknowledged_to_taken_s"]) == ("10.0", "0.0")
    assert (rows[2]["handed_to"], rows[2]["objects_count"], rows[2]["state"]) == ("LV", "2", "closed")
    assert (rows[0]["raised_time"], rows[2]["raised_time"]) == ("2026-11-16T06:15:00Z", "2026-11-23T06:15:05Z")


def test_the_numbers_of_an_alert_stand_under_its_name_once(path: Path) -> None:
    told = vedette("show", raised_id(), "--db", str(path)).stdout
    numbers = told.partition("Rules and numbers\n")[2].partition("\n\n")[0].splitlines()[1:]
    named = [line.split()[0] for line in numbers if line[2] != " "]
    assert len(named) == len(set(named)) == 4
    assert len(numbers) > len(named)


def test_a_reopened_incident_keeps_the_time_of_its_alert_and_counts_the_reaction_anew(tmp_path: Path) -> None:
    first = happened()
    again = replace(first, reopened_us=first.raised_us + 180 * S, acknowledged_us=first.raised_us + 200 * S)
    (row,) = csv.DictReader(io.StringIO(report.table([again])))
    assert (row["confirmed_to_alert_s"], row["alert_to_acknowledged_s"]) == ("30.0", "20.0")
    with IncidentDb(tmp_path / "incidents.db", WORDS) as db:
        kept = kept_of(T0_US, [IncidentChanged(again)])
        assert kept is not None and db.offer([kept])
        told = vedette("show", again.id, "--db", str(db.path)).stdout
    assert re.search(r"alert +2026-11-23 06:1\d:\d\d UTC +30\.0 s", told)
    assert re.search(r"reopened +2026-11-23 06:1\d:\d\d UTC +180\.0 s", told)
    assert re.search(r"acknowledged +2026-11-23 06:1\d:\d\d UTC +20\.0 s", told)


def test_statistics_count_by_sector_and_week(path: Path) -> None:
    run = vedette("stats", "--db", str(path))
    head, *lines = run.stdout.splitlines()
    assert head.split() == ["sector", "all", "2026-W47", "2026-W48"]
    assert [line.split()[0] for line in lines] == ["LT", "LT", "PL"]
    assert sum(int(line.split()[5]) for line in lines) == 3


def test_one_stretch_of_the_border_is_one_sector() -> None:
    """A straight border along 54 N, its eastern half towards a partner; incidents 10 km off it, on both sides."""
    lon = np.radians(np.linspace(20.0, 24.0, 401))
    lat = np.full(400, np.radians(54.0))
    edge = np.column_stack([lat, lon[:-1], lat, lon[1:]])
    facing = np.where(lon[:-1] < np.radians(22.0), OTHER, PARTNER).astype(np.int8)

    def at(lat_deg: float, lon_deg: float) -> object:
        member = replace(happened().members[0], lat_rad=float(np.radians(lat_deg)), lon_rad=float(np.radians(lon_deg)))
        return replace(happened(), members=(member,))

    same = [at(54.09, 21.0), at(53.91, 21.02), at(54.0, 21.01)]
    counts = statistics.counted([*same, at(54.0, 20.2), at(54.0, 23.9)], edge, facing)  # type: ignore[list-item]
    assert [by_week.total() for by_week in counts.values()] == [3, 1, 1]
    assert not [sector for sector in counts if " 23." in sector], "a partner is no border"
    unknown = replace(happened(), members=(replace(happened().members[0], lat_rad=np.nan),))
    assert list(statistics.counted([unknown], edge, facing)) == ["LT place not known"]
    assert statistics.table({}) == "sector    all\n"


def test_borders_of_a_box_lie_in_it_and_name_their_states() -> None:
    box = (25.3, 54.2, 26.3, 54.9)
    lines, names = borderlines.drawn([OSM], box)
    assert [name for name, _ in names] == ["Belarus", "Lithuania"]
    points = [place for line in lines for place in line]
    assert 50 < len(points) < 5_000
    assert all(box[1] - 1e-9 <= lat <= box[3] + 1e-9 and box[0] - 1e-9 <= lon <= box[2] + 1e-9 for lat, lon in points)


def test_a_database_made_anew_shows_the_same(path: Path, tmp_path: Path) -> None:
    with AlertJournal(tmp_path / "alerts.jsonl") as journal:
        journal.append(alert_format.encode(e.alert, WORDS, 1) for e in events() if isinstance(e, AlertChanged))
        journal.append(incident_format.encode(e.incident, WORDS, 1) for e in events() if isinstance(e, IncidentChanged))
    anew = tmp_path / "anew.db"
    run = vedette("rebuild", str(tmp_path / "alerts.jsonl"), str(anew))
    assert (run.exit_code, run.stdout.split()[0]) == (0, str(len(night().alerts)))
    assert vedette("rebuild", str(tmp_path / "alerts.jsonl"), str(anew)).exit_code == 2
    with read_only(path) as old, read_only(anew) as new:
        assert dossier(new, raised_id()).incident == dossier(old, raised_id()).incident
        assert "Borders" not in report.report(dossier(new, raised_id()), None)
    assert "made anew" in vedette("show", raised_id(), "--db", str(anew)).stdout


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["show", "b"], "'b' is the beginning of 0 incidents"),
        (["list", "--since", "yesterday"], "'yesterday' is no time (bad-time)"),
        (["list", "--db", "none.db"], "does not exist. Cure: run the service"),
        (["export", "eee", "--out", "/nowhere/at/all.html"], "cannot be written"),
    ],
)
def test_wrong_questions_are_refused_with_a_cure(path: Path, arguments: list[str], words: str) -> None:
    run = vedette(*arguments, *([] if "--db" in arguments else ["--db", str(path)]))
    assert run.exit_code == 2
    assert words in run.stderr and "Cure: " in run.stderr
    assert vedette("export", "--all", "--format", "html", "--db", str(path)).exit_code == 2
    assert vedette("export", "--db", str(path)).exit_code == 2


def test_the_map_of_something_near_a_border_shows_that_border(path: Path) -> None:
    with read_only(path) as db:
        of = dossier(db, raised_id())
    here = of.alerts[0]
    told = tuple(replace(q, value=-20_000.0) if q.name == "distance_m" else q for q in here.quantities)
    assert any(q.name == "distance_m" for q in told)
    alone = replace(of, alerts=(replace(here, quantities=told),), trails={}, searches=())
    west, south, east, north = report.sketch_of(alone).box() or (0.0, 0.0, 0.0, 0.0)
    lat, lon = np.degrees([here.lat_rad, here.lon_rad])
    for azimuth in range(0, 360, 15):
        there = WGS84.Direct(lat, lon, azimuth, 19_900.0)
        assert south < there["lat2"] < north and west < there["lon2"] < east
    assert north - south < 1.0
    assert report.sketch_of(replace(alone, alerts=())).around == []


def test_a_map_of_one_place_and_of_none() -> None:
    assert Sketch().box() is None
    west, south, east, north = Sketch(marks=[("here", (54.0, 25.0))]).box() or (0.0, 0.0, 0.0, 0.0)
    assert south < 54.0 < north and west < 25.0 < east
    assert (north - south) * drawing.M_PER_DEG < 30_000.0


def test_a_list_names_its_columns_and_statistics_of_nothing_are_none(path: Path) -> None:
    run = vedette("list", "--db", str(path))
    (header,), lines = run.stderr.splitlines(), run.stdout.splitlines()  # whoever pipes lines on gets none of it
    assert header.split() == ["incident", "raised", "state", "severity", "near", "title"]
    assert all(line[header.index("severity")] in "123" for line in lines)
    none = vedette("stats", "--until", "2001-01-01", "--db", str(path))
    assert (none.exit_code, none.stdout, none.stderr) == (0, "", "no incident fits\n")


def injured(path: Path, to: Path) -> Path:
    """A copy with a bit turned in every page but the first."""
    with sqlite3.connect(path) as old, sqlite3.connect(to) as new:
        old.backup(new)
    data = bytearray(to.read_bytes())
    for at in range(database.PAGE_BYTES, len(data), database.PAGE_BYTES):
        data[at] ^= 0xFF
    to.write_bytes(data)
    return to


@pytest.mark.parametrize(
    "asked", [["list"], ["show", "e"], ["stats"], ["export", "e"], ["export", "--all", "--format=csv"]]
)
def test_a_damaged_database_is_refused_with_the_way_to_a_new_one(path: Path, tmp_path: Path, asked: list[str]) -> None:
    bad = injured(path, tmp_path / "incidents.db")
    run = vedette(*asked, "--db", str(bad))
    assert run.exit_code == 2
    assert "cannot be read (" in run.stderr
    assert f"Cure: make it anew from the journal: vedette incidents rebuild {tmp_path}/alerts.jsonl" in run.stderr


def test_a_record_that_is_none_any_more_is_refused_too(path: Path, tmp_path: Path) -> None:
    bad = tmp_path / "incidents.db"
    with sqlite3.connect(path) as old, sqlite3.connect(bad) as new:
        old.backup(new)
        new.execute("UPDATE incidents SET record = replace(record, '\"severity\":', '\"severitz\":')")
    run = vedette("list", "--db", str(bad))
    assert run.exit_code == 2
    assert "cannot be read (missing-field" in run.stderr


def test_a_copy_without_what_was_not_written_back_says_so(path: Path, tmp_path: Path) -> None:
    empty = tmp_path / "incidents.db"
    empty.touch()
    run = vedette("list", "--db", str(empty))
    assert run.exit_code == 2
    assert "a copy of one in use needs incidents.db-wal beside it" in run.stderr
