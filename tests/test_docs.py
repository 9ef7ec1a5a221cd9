"""What the documents say is true: links lead somewhere, commands exist, examples parse, generated pages are current."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from PIL import Image

from adapters import docs
from adapters.cli import app
from adapters.files import configfile, protectedfile, rulefile, volumefile, zonefiles
from adapters.formats import alert, bearing, plots, remoteid, search, sighting, sightingcsv
from adapters.ui import settings as ui_settings
from adapters.wire import parse_time
from fusion.schema import SensorKind, SensorSpec
from replay import scenario
from tests.conftest import ROOT, need

PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
PICTURES = ("docs/images/demo.svg",)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for page in PAGES:
        start, language, lines = 0, "", list[str]()
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
            fence = re.match(r"\s*```(\w*)$", line)
            if fence and not start:
                start, language, lines = number, fence[1], []
            elif fence:
                yield Block(page, start, language, "\n".join(lines))
                start = 0
            elif start:
                lines.append(line)
        assert not start, f"{page}:{start}: a block that does not end"


BLOCKS = list(blocks())
COMMANDS = [
    (block, line)
    for block in BLOCKS
    if block.language == "sh"
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines()
    if line.strip() and not line.lstrip().startswith("#")
]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text(encoding="utf-8"))
    text = re.sub(r"`[^`\n]*`", "", text)
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{target}: no such file"
        assert ROOT in path.parents or path == ROOT, f"{target} leads out of the project"
        if anchor:
            assert anchor in anchors(path), f"{target}: no such heading"


def test_files_that_the_architecture_names_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:fusion|adapters|replay|config|tests|docs)/[^`]*)`", text)
    assert len(named) > 30
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: list[Path] = []
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.append(page)
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http") and (page.parent / target).is_file():
                waiting.append((page.parent / target).resolve())
    lost = [str(page.relative_to(ROOT)) for page in PAGES if page not in seen]
    assert not lost, f"no link leads to {lost}"


def parse_vedette(words: list[str]) -> None:
    """Parse a `vedette ...` line as the command itself would, without running it; a wrong word raises."""
    from typer.main import get_command

    top: Any = get_command(app)
    name = next((word for word in words if not word.startswith("-")), "")
    if not name:
        assert words in (["--help"], ["--version"]), words
        return
    assert name in top.commands, f"there is no command {name!r}"
    command = top.commands[name]
    rest = words[words.index(name) + 1 :]
    if "--help" not in rest:
        command.make_context(name, rest)


def commands_of(line: str) -> Iterator[list[str]]:
    """The commands of a shell line: parts of pipes and lists, without variables set before and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words = list(lexer)
    part: list[str] = []
    redirected = False
    for word in [*words, ";"]:
        if re.fullmatch(r"[|&;]+", word):
            if part:
                yield part
            part = []
        elif re.fullmatch(r"[<>]+&?", word):
            redirected = True
        elif redirected:
            redirected = False
        elif part or not re.match(r"[A-Z_]+=", word):
            part.append(word)


@pytest.mark.parametrize(("block", "line"), COMMANDS, ids=[f"{block}: {line[:50]}" for block, line in COMMANDS])
def test_commands_exist(block: Block, line: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    known = {"git", "cd", "docker", "apt-get", "sudo", "export", "openssl", "curl", "jq", "head", "zstdcat", "source"}
    known |= {"mosquitto", "systemd-analyze"}
    for words in commands_of(line):
        program = words[0].removeprefix(".venv/bin/")
        if program == "vedette":
            parse_vedette(words[1:])
        elif program == "make":
            assert [word for word in words[1:] if "=" not in word and word not in targets] == [], f"{block}: {line}"
        elif program == "python":
            assert words[1] == "-m", f"{block}: {line}"
        elif program.startswith("mosquitto_"):
            need(program)
            check_mosquitto_options(program, words[1:])
        else:
            assert program in known, f"{block}: {program!r} is not known to be there"


def check_mosquitto_options(program: str, words: list[str]) -> None:
    """Every option of the line is one that the installed program lists in its help."""
    done = subprocess.run([need(program), "--help"], capture_output=True, text=True, timeout=10, check=False)
    known = set(re.findall(r"(?<![\w-])(-\w|--[\w-]+)", done.stdout + done.stderr))
    used = {word for word in words if re.match(r"-\w$|--\w", word)}
    assert used <= known, f"{program} has no {sorted(used - known)}"


def test_the_readme_starts_with_two_commands() -> None:
    first = next(block for block in BLOCKS if block.page.name == "README.md" and block.language == "sh")
    assert first.text.splitlines() == ["make demo", "make test"]


JSON = [block for block in BLOCKS if block.language == "json"]
TABLES = [block for block in BLOCKS if block.language == "text" and block.text.startswith("time;")]
TOML = [block for block in BLOCKS if block.language == "toml"]


def json_values(text: str) -> list[Any]:
    """One JSON value, or one a line."""
    lines = text.splitlines()
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        return [json.loads(text)]


@pytest.mark.parametrize("block", JSON, ids=str)
def test_json_examples_are_taken_by_their_readers(block: Block, tmp_path: Path) -> None:
    for value in json_values(block.text):
        payload = json.dumps(value).encode()
        if value.get("schema") == "vedette.plots.v1":
            site = SensorSpec(value["sensor"], 0, SensorKind.RADAR_3D, lat_rad=0.9, lon_rad=0.4, height_m=100.0)
            decoded = plots.decode(payload, site, 0)
            assert (len(decoded.batch), decoded.rejected) == (len(value["plots"]), {})
        elif value.get("schema") == remoteid.SCHEMA:
            came_us = max(parse_time(one["time"]) for one in value["heard"])
            decoded = remoteid.decode(payload, SensorSpec(value["sensor"], 0, SensorKind.REMOTE_ID), came_us)
            assert (len(decoded.batch), decoded.rejected) == (len(value["heard"]), {})
        elif value.get("schema") == "vedette.alert.v1":
            assert alert.decode(payload).id == value["id"]
        elif value.get("schema") == search.SCHEMA:
            assert search.decode(payload).track == value["track"]
        elif value.get("schema") == sighting.SCHEMA:
            person = SensorSpec(value["sensor"], 0, SensorKind.SIGHTING)
            assert sighting.decode(payload, person, 0).id == value["id"]
        elif "schema" not in value and value.keys() & {"azimuth_deg", "state"}:
            assert bearing.decode_line(payload).source == value["source"]
        elif value.get("type") == "FeatureCollection":
            path = tmp_path / "own.geojson"
            path.write_bytes(payload)
            terrain = ROOT / "config" / "terrain"
            ground, geoid = next(terrain.glob("etopo*")), next(terrain.glob("egm*"))
            assert zonefiles.load([path], ground, geoid, 25.0).codes == ("LT",)


@pytest.mark.parametrize("block", TABLES, ids=str)
def test_examples_of_reports_are_taken_by_their_reader(block: Block) -> None:
    reader = sightingcsv.Table(ZoneInfo("Europe/Vilnius"))
    found = [reader.line(line.encode()) for line in block.text.splitlines()]
    assert all(found[1:])


def test_there_is_an_example_of_a_table() -> None:
    assert TABLES


@pytest.mark.parametrize("block", TOML, ids=str)
def test_toml_examples_are_taken_by_their_readers(block: Block, tmp_path: Path) -> None:
    value = tomllib.loads(block.text)
    if "rule" in value:
        path = tmp_path / "rules.toml"
        path.write_text(block.text, encoding="utf-8")
        assert len(rulefile.load(path).rules) == len(value["rule"])
    elif "bands" in value:
        assert rulefile.RulesFile.model_validate(value).bands.distance_m == value["bands"]["distance_m"]
    elif "volume" in value:
        path = tmp_path / "volumes.toml"
        path.write_text(block.text, encoding="utf-8")
        declared, wrong = volumefile.load([path])
        assert (len(declared.volumes), wrong) == (len(value["volume"]), [])
    elif "area" in value:
        assert len(protectedfile.ProtectedFile.model_validate(value).area) == len(value["area"])
    elif "traffic" in value:
        path = tmp_path / "sky.toml"
        head = 'title = ""\nabout = []\nstart = 2025-01-01T00:00:00Z\nduration_s = 60.0\n'
        sensor = '[[sensor]]\nid = "A1"\nkind = "adsb"\n'
        path.write_text(head + sensor + block.text, encoding="utf-8")
        assert len(scenario.load_plan(path).objects) >= sum(value["traffic"][0]["count"].values())
    elif "users" in value:
        assert len(ui_settings.UiFile.model_validate(value).users) == len(value["users"])
    elif "sensors" in value:
        assert len(configfile.SensorsFile.model_validate(value).sensors) == len(value["sensors"])
    else:
        shipped = tomllib.loads((ROOT / "config" / "service.toml").read_text(encoding="utf-8"))
        merged = {**shipped, **{key: {**shipped.get(key, {}), **part} for key, part in value.items()}}
        assert configfile.ServiceFile.model_validate(merged).site == shipped["site"]


@pytest.mark.parametrize("name", docs.PAGES)
def test_generated_page_is_current(name: str) -> None:
    written = (docs.FOLDER / name).read_text(encoding="utf-8")
    assert written == docs.PAGES[name](), f"docs/reference/{name} is old: run `make docs`"


def test_every_example_in_help_is_a_real_command() -> None:
    text = (docs.FOLDER / "command-line.md").read_text(encoding="utf-8")
    lines = [line.split("#")[0].strip() for line in re.findall(r"(?m)^ {4}((?:[A-Z_]+=\S+ )?vedette .+)$", text)]
    assert len(lines) >= 5
    for line in lines:
        for words in commands_of(line):
            if words[0] == "vedette":
                parse_vedette(words[1:])


@pytest.mark.parametrize("name", PICTURES)
def test_picture_renders(name: str, tmp_path: Path) -> None:
    """In a real browser, without a network: the picture must carry its own fonts and styles."""
    picture = ROOT / name
    assert f"]({name})" in (ROOT / "README.md").read_text(encoding="utf-8"), f"the README does not show {name}"
    svg = picture.read_text(encoding="utf-8")
    assert not re.search(r"(href|src|url\()\s*=?\s*[\"']?https?://(?!www\.w3\.org)", svg), (
        "it would load from elsewhere"
    )
    shot = tmp_path / "picture.png"
    line = [
        need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
        f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1200,800", f"--screenshot={shot}", picture.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
    assert shot.exists(), done.stderr[-1000:]
    with Image.open(shot) as image:
        pixels = image.convert("RGB")
        colours = pixels.getcolors(maxcolors=pixels.width * pixels.height) or []
    assert len(colours) >= 8, f"only {len(colours)} colours: an empty page or an error message"


def test_the_tests_that_hold_the_page_are_there() -> None:
    page = (ROOT / "docs" / "explanation" / "page.md").read_text("utf-8")
    python = "".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    node = (ROOT / "tests" / "node" / "page.test.mjs").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith(("| P0", "| P1", "| P2"))]
    assert len(rows) == 26
    for row in rows:
        named = [name for name in re.findall(r"`(test_\w+)`", row[-1]) if f"def {name}(" in python]
        named += [name for name in re.findall(r'"([^"]+)"', row[-1]) if f'"{name}"' in node]
        named += [name for name in re.findall(r"`(tests/\w+\.py)`", row[-1]) if (ROOT / name).is_file()]
        written = re.findall(r"`test_\w+`|`tests/\w+\.py`|\"[^\"]+\"", row[-1])
        assert len(named) == len(written) > 0, row
