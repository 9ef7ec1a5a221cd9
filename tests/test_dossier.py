"""A dossier of an incident: what is in it, the same bytes twice, no secret, and a clear word on what is missing."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
import subprocess
import tomllib
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters import config as configuration
from adapters.cli import app
from adapters.errors import ConfigError
from adapters.evidence import bundle, dossier, verify
from adapters.evidence.dossier import member_of, rerun_service, toml
from adapters.evidence.verify import Result as Verdict
from adapters.incidents.borderlines import drawn
from adapters.incidents.database import read_only
from adapters.incidents.reading import Dossier
from adapters.incidents.reading import dossier as all_of
from adapters.incidents.recorded import recorded
from adapters.incidents.report import report
from adapters.service import names_of
from adapters.store import JournalError, piece_of
from fusion.schema import US_PER_S, Frame
from replay import recording
from replay.log import START
from replay.mcapfile import Output
from replay.mcapread import Damage, Item
from tests import shipped
from tests.watchedincident import Watched, watch

SECRET = "hunter2-s3cret"


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """An incident that a person closed, across a restart, with a new file every ten seconds."""
    more = f'username = "vedette"\npassword = "{SECRET}"\n[record]\nfile_s = 10'
    return watch(tmp_path_factory.mktemp("dossier") / "config", 26, more, restart_s=22, close_s=24)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders are read once for all tests; these are the shipped ones, which a dossier brings along."""
    monkeypatch.setattr(configuration, "load_zones", lambda _config: shipped.zones())
    monkeypatch.setattr(dossier, "drawn", cache(drawn))


def told(stand: Watched) -> Dossier:
    with read_only(stand.config.data_dir / "incidents.db") as db:
        return all_of(db, stand.incident.id)


def make(stand: Watched, out: Path, of: Dossier | None = None) -> dossier.Made:
    return dossier.make(of or told(stand), stand.config, names_of(stand.config, shipped.zones()), out)


def run_again(path: Path, folder: Path) -> verify.Outcome:
    found = bundle.check(path)
    assert found.fault is None
    return verify.rerun(path, found, folder)


def vedette(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def made(stand: Watched, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "incident.zip"
    make(stand, out)
    return out


def test_everything_is_in_it(stand: Watched, made: Path) -> None:
    with zipfile.ZipFile(made) as read:
        names, content = read.namelist(), {name: read.read(name) for name in read.namelist()}
    assert {"report.html", "README.txt", "start.json", "recording.mcap", "rerun.toml", "trails.jsonl"} <= {*names}
    assert len([name for name in names if name.endswith(".geojson")]) == 21
    assert content["config/rules.toml"] == (stand.folder / "rules.toml").read_bytes()
    entries, problem = piece_of(content["journal.jsonl"])
    assert problem == ""
    assert {json.loads(e.payload)["schema"] for e in entries} == {"vedette.alert.v1", "vedette.incident.v1"}
    changes = [json.loads(line)["change"] for line in content["incident.jsonl"].splitlines()]
    assert (changes[0], changes[-1]) == ("raised", "closed")
    action = json.loads(content["actions.jsonl"])
    assert (action["verb"], action["operator"], action["reason"]) == ("close", "Lt Jonaitis", "it has landed")
    assert json.loads(content["ledger.jsonl"].splitlines()[0])["state"] == "BY"
    start = json.loads(content["start.json"])
    assert start["config_hash"] == stand.config.hash
    assert {"numba", "numpy", "python", "vedette"} <= {*start["versions"]}
    page = content["report.html"].decode()
    assert "OpenStreetMap contributors" in page
    assert "Lt Jonaitis" in page
    assert not any(word in page for word in ("<script", "src=", "http://", "https://"))
    assert "OpenStreetMap contributors" in content["README.txt"].decode()


def pictures_of(stand: Watched, track: str) -> dict[int, dict[str, Any]]:
    """By time, what every recorded picture told of a track; read in another way than the report does."""
    told = {}
    for file in sorted(stand.config.record_dir.glob("*.mcap")):
        for item in recording.items(file, Damage()):
            if isinstance(item, Output) and item.topic == "picture":
                for row in json.loads(item.payload).get("tracks", []):
                    if row["id"] == track:
                        told[item.t_us] = row
    return told


def test_its_report_tells_how_the_track_was_fed_with_what_configuration_and_from_which_piece(
    stand: Watched, made: Path
) -> None:
    with zipfile.ZipFile(made) as read:
        page, piece = read.read("report.html").decode(), read.read("recording.mcap")
    member = stand.incident.members[0]
    looks = recorded(stand.config.record_dir, told(stand)).looks
    truth = pictures_of(stand, member.track)
    assert len(looks) > 5 and {look.track for look in looks} == {member.track}
    for look in looks:
        row = truth[look.t_us]
        assert (look.plots, list(look.sensors), look.lat_deg) == (row["plots_count"], row["sensors"], row["lat_deg"])
    assert sum(look.more for look in looks) == looks[-1].plots
    assert all(look.more > 0 for look in looks)
    assert all(0 <= look.t_us - look.newest_us < 10 * US_PER_S for look in looks), "the age of the newest plot"
    assert looks[0].t_us - member.confirmed_us < 2 * US_PER_S and member.t_us - looks[-1].t_us < 5 * US_PER_S
    for words in ("Detections", f"{looks[-1].more} of {looks[-1].plots}", hashlib.sha256(piece).hexdigest()):
        assert words in page
    assert page.count(stand.config.hash) == 1, "one configuration, also after the restart"
    assert f"python {platform.python_version()}" in page


def test_a_long_incident_and_a_swarm_are_looked_into_so_often_and_no_more(stand: Watched) -> None:
    of = told(stand)
    member = of.incident.members[0]
    long = replace(member, t_us=member.t_us + 7_200 * US_PER_S)
    found = recorded(stand.config.record_dir, replace(of, incident=replace(of.incident, members=(long,))))
    assert found.step_s == math.ceil((long.t_us - long.confirmed_us) / US_PER_S / 59)
    assert 1 <= len(found.looks) <= 2, "the recording ends long before"
    swarm = replace(of, incident=replace(of.incident, members=(member,) * 200))
    assert len(recorded(stand.config.record_dir, swarm).looks) <= 1_400


def test_without_recordings_or_with_damaged_ones_a_report_says_so(stand: Watched, tmp_path: Path) -> None:
    gone = recorded(tmp_path, told(stand))
    assert (gone.looks, gone.runs, gone.files) == ((), (), ())
    page = report(told(stand), None, seen=gone)
    assert page.count("no recording of its time is left, or none was made") == 2
    assert f"vedette dossier {stand.incident.id} --out incident-{stand.incident.id}.zip" in page
    for file in stand.config.record_dir.glob("*.mcap"):
        (tmp_path / file.name).write_bytes(b"no recording at all")
    torn = recorded(tmp_path, told(stand))
    assert (torn.looks, torn.runs) == ((), ()) and len(torn.files) > 1


def test_the_same_data_gives_the_same_bytes(stand: Watched, made: Path, tmp_path: Path) -> None:
    head = make(stand, tmp_path / "again.zip").head
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
    assert bundle.check(made).head == head


def test_no_secret_is_in_it(made: Path, stand: Watched) -> None:
    assert SECRET in (stand.folder / "service.toml").read_text(encoding="utf-8")
    with zipfile.ZipFile(made) as read:
        held = {name: read.read(name) for name in read.namelist()}
    assert [name for name, content in held.items() if SECRET.encode() in content] == []
    assert "broker" not in tomllib.loads(held["rerun.toml"].decode())
    assert b"recording" not in held["config/service.toml"] or b"***" in held["config/service.toml"]
    assert "service.toml is here without its password" in bundle.check(made).about["notes"]


def test_run_again_elsewhere_it_is_identical_across_the_restart(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "else").mkdir()
    shutil.copy(made, tmp_path / "else")
    monkeypatch.chdir(tmp_path / "else")
    monkeypatch.setenv("VEDETTE_SITE", "another")
    outcome = run_again(tmp_path / "else" / "incident.zip", tmp_path / "work")
    assert (outcome.result, outcome.lines) == (Verdict.IDENTICAL, []), outcome
    assert "the service was restarted at 2025-07-28T03:30:22.000Z" in " ".join(bundle.check(made).about["notes"])


def test_the_bundle_brings_the_whole_configuration(made: Path, tmp_path: Path) -> None:
    """Borders, terrain and rules come out of it and out of nothing else: every file by its hash."""
    found = bundle.check(made)
    start = json.loads(bundle.read(made, found, "start.json"))
    loaded = verify._configured(made, found, start, tmp_path, None)
    assert len(loaded.zone_paths) == 21
    assert all(tmp_path in path.parents for path in loaded.files)
    assert loaded.hash == start["config_hash"]
    assert loaded.site == "test"


def test_what_the_disk_budget_took_is_said_and_the_rest_runs_again(stand: Watched, tmp_path: Path) -> None:
    gone = tmp_path / "recordings"
    shutil.copytree(stand.config.record_dir, gone)
    first, *rest = sorted(gone.glob("*.mcap"))
    first.unlink()
    part = replace(stand, config=replace(stand.config, record_dir=gone))
    made = make(part, tmp_path / "part.zip")
    assert made.about["recording"]["entered"] == "checkpoint"
    assert any("disk budget takes the oldest" in note for note in made.about["notes"])
    assert run_again(tmp_path / "part.zip", tmp_path / "a").result is Verdict.IDENTICAL
    for file in rest:
        file.unlink()
    made = make(part, tmp_path / "none.zip")
    assert any("cannot be run again" in note for note in made.about["notes"])
    outcome = run_again(tmp_path / "none.zip", tmp_path / "b")
    assert (outcome.result, outcome.words) == (Verdict.NOT_RUN, "it holds no recording")


def test_an_open_incident_and_a_cold_start_are_said(stand: Watched, tmp_path: Path) -> None:
    of = told(stand)
    made = make(stand, tmp_path / "open.zip", replace(of, incident=replace(of.incident, state="open")))
    assert "the incident is open: this is how it stood at 2025-07-28T03:30:26.000Z" in made.about["notes"]
    why = replace(of.incident, close_reason="picture reset: the service started anew; raised again if still true")
    made = make(stand, tmp_path / "cold.zip", replace(of, incident=why))
    assert any("the service started anew, without the picture" in note for note in made.about["notes"])


def test_what_was_seen_before_a_cold_start_is_in_it_too(stand: Watched, tmp_path: Path) -> None:
    """The run of the stand as the second of two: the first had seen the object a minute before."""
    of = told(stand)
    both = tmp_path / "recordings"
    shutil.copytree(stand.config.record_dir, both)
    first = of.incident.members[0]
    seen_us = stand.start_us - 60 * US_PER_S
    before = recorded_before(seen_us - 30 * US_PER_S, stand.start_us - 10 * US_PER_S)
    recording.write(both / "e000000-20250728T032830Z.mcap", iter(before))
    member = replace(first, first_plot_us=seen_us)
    made = make(
        replace(stand, config=replace(stand.config, record_dir=both)), tmp_path / "both.zip",
        replace(of, incident=replace(of.incident, members=(member, *of.incident.members[1:]))),
    )  # fmt: skip
    notes = "; ".join(made.about["notes"])
    assert "disk budget" not in notes
    assert "the service started anew at 2025-07-28T03:30:00.000Z" in notes
    assert "earlier/e000000.mcap has it to 2025-07-28T03:29:50.000Z" in notes
    found = bundle.check(tmp_path / "both.zip")
    bundle.extract(tmp_path / "both.zip", found, ["earlier/e000000.mcap"], tmp_path)
    assert list(recording.items(tmp_path / "earlier" / "e000000.mcap")) == before
    assert run_again(tmp_path / "both.zip", tmp_path / "work").result is Verdict.IDENTICAL


def recorded_before(from_us: int, to_us: int) -> list[Item]:
    """A run that only ticks."""
    ticks = range(from_us + US_PER_S, to_us + 1, US_PER_S)
    return [Frame(1, from_us, START, b"{}"), *(Frame(n, t_us, "tick", b"") for n, t_us in enumerate(ticks, 2))]


def test_a_configuration_that_has_changed_since_is_told_by_its_hash(stand: Watched, made: Path, tmp_path: Path) -> None:
    """Small files are in the recording; a large one that is gone is named, and may be given to `verify`."""
    here = tuple(path for path in stand.config.files if path.name != "LT.geojson")
    made_now = make(replace(stand, config=replace(stand.config, files=here)), tmp_path / "b.zip")
    assert "LT.geojson with sha256" in made_now.about["missing"][0]
    outcome = run_again(tmp_path / "b.zip", tmp_path / "work")
    assert outcome.result is Verdict.NOT_RUN
    assert "LT.geojson: is not in it as it was" in outcome.words
    found = bundle.check(tmp_path / "b.zip")
    start = json.loads(bundle.read(tmp_path / "b.zip", found, "start.json"))
    given = verify._configured(tmp_path / "b.zip", found, start, tmp_path / "given", shipped.ROOT / "config")
    assert len(given.zone_paths) == 21


def test_the_commands_make_it_and_verify_it(stand: Watched, tmp_path: Path) -> None:
    out = tmp_path / "a.zip"
    done = vedette("dossier", stand.incident.id[:6], "--out", out, "--config", stand.folder)
    assert done.exit_code == 0, done.output
    head = done.stdout.split()[-1]
    assert vedette("dossier", stand.incident.id, "--out", out, "--config", stand.folder).exit_code == 2  # is there
    assert vedette("dossier", "nothing", "--out", tmp_path / "b.zip", "--config", stand.folder).exit_code == 2
    done = vedette("verify", out, "--head", head)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0] == f"head {head}"
    assert done.stdout.splitlines()[1].startswith("IDENTICAL: ")
    done = vedette("verify", out, "--no-rerun", "--head", "0" * 64)
    assert (done.exit_code, done.stderr.split(":")[0]) == (1, "CHANGED")
    spoilt = bytearray(out.read_bytes())
    spoilt[bundle.check(out).members["journal.jsonl"][0] + 40] ^= 1
    out.write_bytes(spoilt)
    done = vedette("verify", out)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "CHANGED: record 0 of journal.jsonl was changed, or is not in its place\n"
    out.write_bytes(b"PK no such thing")
    assert vedette("verify", out).exit_code == 2
    assert vedette("verify", tmp_path / "none.zip").exit_code == 2


def test_a_head_can_be_signed_as_the_page_says(tmp_path: Path) -> None:
    """The very lines of docs/how-to/evidence.md: another head does not fit the signature."""
    page = (shipped.ROOT / "docs" / "how-to" / "evidence.md").read_text(encoding="utf-8")
    lines = [line.split() for line in page.splitlines() if line.startswith("openssl ")]
    assert len(lines) == 4
    (tmp_path / "incident.head").write_text(f"head {'ab' * 32}\n", encoding="utf-8")
    done = [subprocess.run(line, cwd=tmp_path, capture_output=True, timeout=60, check=False) for line in lines]
    assert [one.returncode for one in done] == [0, 0, 0, 0]
    (tmp_path / "incident.head").write_text(f"head {'ac' * 32}\n", encoding="utf-8")
    assert subprocess.run(lines[3], cwd=tmp_path, capture_output=True, timeout=60, check=False).returncode != 0


def test_a_damaged_journal_is_not_put_into_a_dossier(stand: Watched, tmp_path: Path) -> None:
    data = tmp_path / "var"
    shutil.copytree(stand.config.data_dir, data)
    lines = (data / "alerts.jsonl").read_bytes().splitlines(keepends=True)
    (data / "alerts.jsonl").write_bytes(b"".join([lines[0].replace(b"alert", b"ALERT"), *lines[1:]]))
    config = replace(stand.config, data_dir=data)
    with pytest.raises(JournalError, match=r"alerts\.jsonl:1: was changed"):
        make(replace(stand, config=config), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_a_file_that_cannot_be_written_is_refused(stand: Watched, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        make(stand, tmp_path / "none" / "a.zip")


def test_names_of_files_outside_of_the_folder_stay_inside_of_the_bundle() -> None:
    assert member_of("zones/osm/LT.geojson") == "config/zones/osm/LT.geojson"
    assert member_of("../../srv/zones/LT.geojson") == "config/outside/srv/zones/LT.geojson"
    assert member_of("/etc/passwd") == "config/outside/etc/passwd"


def test_a_service_file_runs_again_without_broker_and_with_its_own_paths(tmp_path: Path) -> None:
    text = (shipped.ROOT / "config" / "service.toml").read_text(encoding="utf-8")
    names = [path.relative_to(shipped.ROOT / "config").as_posix() for path in shipped.configuration().files]
    made = rerun_service(text.encode(), {"site": "lt"}, tmp_path, names)
    assert made is not None
    data = tomllib.loads(made.decode())
    assert data["site"] == "lt"
    assert not {"broker", "http", "data_dir", "record"} & {*data}
    assert len(data["zones"]["borders"]) == 21
    assert rerun_service(text.encode(), {}, tmp_path, [n for n in names if "etopo" not in n]) is None


def test_toml_is_read_back_as_it_was() -> None:
    data = {"a": 'x"\\\n\u00e9', "b": [1, 2.5, "y"], "c": True, "d": {"e": {"f.g": "h"}, "i": []}, "j": -3}
    assert tomllib.loads(toml(data)) == data
