"""`vedette score` as people and scripts meet it: the table, the file, the pictures, and what is refused."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from PIL import Image
from typer.testing import CliRunner

from adapters.cli import app
from adapters.commands import score
from adapters.errors import ConfigError
from replay.score import Rules
from tests.conftest import ROOT

TIMES = range(121)


def line(**values: object) -> str:
    return json.dumps(values) + "\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Truth of a gerbera and a balloon, and tracks: one on the gerbera that is renamed, and a ghost."""
    truth, tracks = tmp_path / "truth.jsonl", tmp_path / "tracks.jsonl"
    rows, said = [line(truth=1)], []
    for t in TIMES:
        lon = 24.0 + 0.0005 * t
        rows.append(line(time=t, id="g", **{"class": "gerbera"}, lat=54.0, lon=lon, ve=32.7, vn=0.0, seen=True))
        rows.append(line(time=t, id="b", **{"class": "balloon"}, lat=55.0, lon=24.0, ve=0.0, vn=0.0, seen=t > 9))
        if t >= 12:
            name = "1" if t < 70 else "2"
            said.append(line(time=t, track_id=name, lat=54.001, lon=lon, ve=30.0, vn=0.0, cov=[100.0, 0.0, 12_000.0]))
            said.append(line(time=t, track_id="3", lat=53.0, lon=24.0, ve=0.0, vn=0.0))
        said.append(line(tick=t, n=2))
    truth.write_text("".join(rows))
    tracks.write_text("".join(said) + "nonsense\n")
    return truth, tracks


def run(truth: Path, tracks: str, rules: Rules | None = None, **more: Path) -> tuple[str, str]:
    """What it writes on standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    assert score.score(truth, tracks, rules or Rules(), out=out, err=err, **more) == 0
    return out.getvalue(), err.getvalue()


def test_the_table_says_it_per_class_and_for_all(files: tuple[Path, Path]) -> None:
    out, err = run(files[0], str(files[1]))
    assert out.startswith("19 samples, 30 to 120 s; threshold 1000 m, true distances\n")
    assert re.search(r"^ *missed +1\.00 ", out, re.M)
    assert re.search(r"^ *false +1\.00 ", out, re.M)
    assert re.search(r"^spuriousness +0\.5000 ", out, re.M)
    gerbera = re.search(r"^ ?gerbera +(.*)$", out, re.M)
    balloon = re.search(r"^ ?balloon +(.*)$", out, re.M)
    assert gerbera is not None
    assert balloon is not None
    assert gerbera[1].split()[:5] == ["1", "1.0000", "1.0000", "0.00", "111.3"]
    assert gerbera[1].split()[-4:] == ["12.0", "12.0", "0/1", "1.03"]
    assert balloon[1].split()[:3] == ["1", "0.0000", "-"]
    assert re.search(r"^ ?all +2 +0\.5000", out, re.M)
    told, counted = err.splitlines()
    assert told.startswith(f"{files[1]}: line {len(TIMES) + 2 * 109 + 1}: JSON is malformed")
    assert counted == f"{files[1]}: 1 malformed lines skipped"
    assert all(row == row.rstrip() for row in out.splitlines())


def test_only_the_first_malformed_lines_are_told_one_by_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    many = tmp_path / "many.jsonl"
    many.write_text(files[1].read_text() + "nonsense\n" * 99)
    lines = run(files[0], str(many))[1].splitlines()
    assert len(lines) == score.MOST_REPORTS + 1
    assert lines[-1] == f"{many}: 100 malformed lines skipped"


def test_the_commands_of_the_page_run(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "how-to" / "score-tracks.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^\.venv/bin/vedette (score [^|\n]*)$", page)
    assert len(lines) >= 3
    (tmp_path / "truth.jsonl.zst").write_bytes(zstandard.compress(files[0].read_bytes()))
    monkeypatch.chdir(tmp_path)
    for arguments in lines:
        done = CliRunner().invoke(app, arguments.split(), catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        assert " samples, " in done.stdout
    assert (tmp_path / "score.json").is_file()
    assert (tmp_path / "pictures" / "map.png").is_file()


def test_the_file_holds_every_number(files: tuple[Path, Path], tmp_path: Path) -> None:
    run(files[0], str(files[1]), json_path=tmp_path / "score.json")
    found = json.loads((tmp_path / "score.json").read_bytes())
    assert (found["score"], found["samples"], found["malformed_lines"], found["truth"]) == (1, 19, 1, "truth.jsonl")
    assert (found["gospa_missed"], found["gospa_false"]) == (1.0, 1.0)
    assert found["gospa_m"] == pytest.approx((1e6 + found["gospa_localisation_rms_m"] ** 2) ** 0.5)
    assert set(found["classes"]) == {"gerbera", "balloon"}
    assert found["classes"]["gerbera"]["number_changes_per_s"] == pytest.approx(1 / 85)
    assert found["classes"]["balloon"]["rms_position_m"] is None
    assert found["overall"]["first_track_never"] == 1
    assert [len(column) for column in found["series"].values()] == [19] * 6
    assert found["rules"]["threshold_m"] == 1_000.0


def test_pictures_are_drawn_and_show_something(files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "pictures"
    run(files[0], str(files[1]), plots=folder)
    assert sorted(path.name for path in folder.iterdir()) == ["delays.png", "errors.png", "gospa.png", "map.png"]
    for path in folder.iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 500
            assert len(image.convert("RGB").getcolors(maxcolors=image.width * image.height) or []) > 20


def test_pictures_of_a_score_without_tracks_are_drawn_too(files: tuple[Path, Path], tmp_path: Path) -> None:
    empty = tmp_path / "none.jsonl"
    empty.write_text(line(tick=1.0, n=0))
    out, err = run(files[0], str(empty), plots=tmp_path / "pictures")
    assert err == ""
    assert re.search(r"^spuriousness +- ", out, re.M)
    assert re.search(r"^ *localisation +- m ", out, re.M)
    assert len(list((tmp_path / "pictures").iterdir())) == 4


@pytest.mark.parametrize(
    ("text", "place"),
    [("", None), ("0,0", (0.0, 0.0)), ("90,-180", (pytest.approx(1.570796), pytest.approx(-3.141593)))],
)
def test_an_origin_is_a_place(text: str, place: object) -> None:
    assert score.origin(text) == place


@pytest.mark.parametrize("text", ["54.5", "a,b", "91,0", "nan,0", "1,2,3"])
def test_a_wrong_origin_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--origin"):
        score.origin(text)


def test_what_cannot_be_judged_is_refused_with_a_cure(files: tuple[Path, Path], tmp_path: Path) -> None:
    truth, tracks = files
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"hdr":1}\n')
    cases = [
        (bad, str(tracks), Rules(), "bad.jsonl: line 1: "),
        (tmp_path / "no.jsonl", str(tracks), Rules(), "no.jsonl: TRUTH: No such file"),
        (tmp_path, str(tracks), Rules(), "TRUTH: Is a directory"),
        (truth, str(tmp_path / "no.jsonl"), Rules(), "no.jsonl: TRACKS: No such file"),
        (truth, str(tracks), Rules(start_s=900.0), "samples: 0 samples from 900"),
    ]
    for truth_path, tracks_path, rules, problem in cases:
        with pytest.raises(ConfigError) as refused:
            run(truth_path, tracks_path, rules)
        assert problem in str(refused.value)
        assert ". Cure: " in str(refused.value)
    with pytest.raises(ConfigError, match="--json"):
        run(truth, str(tracks), json_path=tmp_path / "no" / "score.json")
    with pytest.raises(ConfigError, match="--plots"):
        run(truth, str(tracks), plots=truth / "pictures")


def test_the_command_reads_standard_input_and_its_status_tells(files: tuple[Path, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "adapters.cli", "score"]
    options = ["--threshold", "500", "--step", "10", "--start", "40", "--end", "100", "--origin", "54,24"]
    with files[1].open("rb") as stream:
        done = subprocess.run(
            [*command, str(files[0]), "-", *options],
            cwd=ROOT,
            stdin=stream,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("7 samples, 40 to 100 s; threshold 500 m, distances in the plane of the origin\n")
    refused = CliRunner().invoke(app, ["score", str(files[1]), str(files[1])], catch_exceptions=False)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith(f"vedette: {files[1]}: line 1: ")
