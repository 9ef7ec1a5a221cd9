"""volumes.toml: what it may say, and every refusal with file, line and cure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
import shapely

from adapters.errors import ConfigError
from adapters.files import volumefile
from fusion.redlines.declared import Declared
from fusion.schema import SensorKind, SensorSpec
from tests.conftest import ROOT

SENSORS = (SensorSpec("R1", 0, SensorKind.RADAR_2D, math.radians(54.6), math.radians(25.3), 200.0),)
HEAD = '[[volume]]\nid = "a"\nowner = "Army"\nreason = "drones"\n'
TIMES = "from_time = 2026-11-23T06:00:00Z\nuntil_time = 2026-11-23T18:00:00Z\n"
ROUND = "lat_deg = 54.7\nlon_deg = 25.3\nradius_m = 4000.0\n"
SQUARE = "polygon = [[25.0, 54.0], [26.0, 54.0], [26.0, 55.0], [25.0, 55.0], [25.0, 54.0]]\n"


def load(tmp_path: Path, text: str) -> tuple[Declared, list[ConfigError]]:
    path = tmp_path / "volumes.toml"
    path.write_text(text, encoding="utf-8")
    return volumefile.load([path], SENSORS)


def test_the_shipped_file_declares_nothing_and_its_example_is_right(tmp_path: Path) -> None:
    text = (ROOT / "config/volumes.toml").read_text(encoding="utf-8")
    assert load(tmp_path, text) == (Declared((), 0.95), [])
    head, example = text.split("# [[volume]]")
    lines = [line.removeprefix("# ") for line in ("# [[volume]]" + example).splitlines()]
    declared, found = load(tmp_path, head + "\n".join(lines))
    assert found == []
    assert [v.id for v in declared.volumes] == ["pabrade-range"]


def test_circle_and_polygon_with_holes_are_read(tmp_path: Path) -> None:
    hole = "holes = [[[25.4, 54.4], [25.6, 54.4], [25.6, 54.6], [25.4, 54.4]]]\n"
    other = HEAD.replace('"a"', '"b"') + TIMES + SQUARE + hole
    more = 'floor_m = 100.0\nceiling_m = 900.0\nabove = "sea"\naddress = "4ca123"\nserial = "1581F"\n'
    declared, found = load(tmp_path, f"p_within = 0.9\n{HEAD}{TIMES}{ROUND}{more}{other}")
    assert found == []
    first, second = declared.volumes
    assert declared.p_within == 0.9
    assert (first.owner, first.reason, first.floor_m, first.ceiling_m) == ("Army", "drones", 100.0, 900.0)
    assert (first.above, first.address, first.serial) == ("sea", 0x4CA123, b"1581F")
    assert first.from_us == datetime(2026, 11, 23, 6, tzinfo=UTC).timestamp() * 1e6
    assert first.until_us == datetime(2026, 11, 23, 18, tzinfo=UTC).timestamp() * 1e6
    assert first.shape.contains(shapely.Point(25.3, 54.7))
    assert not second.shape.contains(shapely.Point(25.55, 54.45))
    assert second.shape.contains(shapely.Point(25.2, 54.2))
    assert math.isinf(second.floor_m) and math.isinf(second.ceiling_m)


REFUSED = {
    "crosses itself": (
        TIMES + "polygon = [[25.0, 54.0], [26.0, 55.0], [26.0, 54.0], [25.0, 55.0], [25.0, 54.0]]\n",
        7,
        "volume[0].polygon",
        '"a" crosses itself near longitude, latitude 25.5, 54.5',
        "put its positions in the order in which one walks around it, each once",
    ),
    "swapped": (
        TIMES + "polygon = [\n  [54.0, 25.0], [54.0, 26.0],\n  [55.0, 26.0], [54.0, 25.0]]\n",
        7,
        "volume[0].polygon",
        '"a" has longitude and latitude swapped: it lies far from every sensor',
        "swap the two numbers of every position: longitude comes first, as in GeoJSON",
    ),
    "swapped circle": (
        TIMES + "lat_deg = 25.3\nlon_deg = 54.7\nradius_m = 4000.0\n", 1, "volume[0]", '"a" has longitude', "swap",
    ),
    "empty polygon": (TIMES + "polygon = []\n", 7, "volume[0].polygon", '"a" has 0 positions', "give at least four"),
    "flat polygon": (
        TIMES + "polygon = [[25.0, 54.0], [26.0, 54.0], [25.5, 54.0], [25.0, 54.0]]\n",
        7, "volume[0].polygon", '"a" ', "",
    ),
    "antimeridian": (
        TIMES + "polygon = [[179.0, 54.0], [-179.0, 54.0], [-179.0, 55.0], [179.0, 54.0]]\n",
        7, "volume[0].polygon", '"a" crosses the 180th meridian', "cut it there into two",
    ),
    "no place": (TIMES, 1, "volume[0]", '"a" has no place', "give lat_deg"),
    "both places": (TIMES + ROUND + SQUARE, 10, "volume[0].polygon", '"a" is a circle and a polygon', "give lat_deg"),
    "no zone": (
        "from_time = 2026-11-23T06:00:00\nuntil_time = 2026-11-23T18:00:00Z\n" + ROUND,
        5, "volume[0].from_time", "has no time zone", "write UTC with a Z at the end, such as 2026-11-23T06:00:00Z",
    ),
    "not UTC": (
        "from_time = 2026-11-23T06:00:00Z\nuntil_time = 2026-11-23T18:00:00+02:00\n" + ROUND,
        6, "volume[0].until_time", "is 2026-11-23T18:00:00+02:00, which is not UTC", "write 2026-11-23T16:00:00Z",
    ),
    "turned times": (
        "from_time = 2026-11-23T06:00:00Z\nuntil_time = 2026-11-23T05:00:00Z\n" + ROUND,
        6, "volume[0].until_time", "is not after from_time", "correct the times",
    ),
    "floor above ceiling": (
        TIMES + ROUND + "floor_m = 500.0\nceiling_m = 400.0\n", 10, "volume[0].floor_m", "is not below ceiling_m", "",
    ),
    "no end": ("from_time = 2026-11-23T06:00:00Z\n" + ROUND, 1, "volume[0].until_time", "is missing", "add it: end"),
    "unknown key": (TIMES + ROUND + 'colour = "red"\n', 10, "volume[0].colour", "is not a known key", "known"),
    "address": (TIMES + ROUND + 'address = "4CA12"\n', 10, "volume[0].address", 'is "4CA12"', "give: only"),
    "reference": (TIMES + ROUND + 'above = "QNH"\n', 10, "volume[0].above", 'is "QNH", not one of ground, sea', ""),
    "twice": (TIMES + ROUND + HEAD + TIMES + ROUND, 11, "volume[1].id", '"a" is also in', "give every activity an id"),
    "not TOML": (TIMES + ROUND + "x = \n", 10, "(file)", "is not TOML", "correct that line"),
}  # fmt: skip


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_used_is_refused_with_file_line_and_cure(tmp_path: Path, name: str) -> None:
    text, line, key, problem, cure = REFUSED[name]
    declared, found = load(tmp_path, HEAD + text)
    assert declared == Declared()
    (error,) = found
    assert (error.file, error.line, error.key) == (str(tmp_path / "volumes.toml"), line, key)
    assert error.problem.startswith(problem)
    assert error.cure.startswith(cure)
    assert error.cure
    assert str(error).startswith(f"{tmp_path / 'volumes.toml'}:{line}: {key}: ")


def test_words_that_claim_intent_are_refused_in_the_reason(tmp_path: Path) -> None:
    _, (error,) = load(tmp_path, HEAD.replace("drones", "hostile drones") + TIMES + ROUND)
    assert (error.key, error.line) == ("volume[0].reason", 4)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    _, (missing,) = volumefile.load([tmp_path / "none.toml"])
    assert missing.problem.startswith("cannot be read")
    (tmp_path / "b.toml").write_bytes(b"\xff")
    _, (binary,) = volumefile.load([tmp_path / "b.toml"])
    assert binary.problem == "is not UTF-8 text (byte 0)"
