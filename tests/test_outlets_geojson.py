"""A file that is written anew: what it may take the place of, and what is left where it cannot be written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.outlets.command import out
from adapters.outlets.geojson import replace_file


@pytest.mark.parametrize("name", ["geojson", "kml", "czml"])
def test_a_file_that_is_written_anew_never_takes_the_place_of_a_pipe(tmp_path: Path, name: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for file, problem in ((pipe, "no ordinary file"), (tmp_path, "no ordinary file"), (tmp_path / "no/x", "not there")):
        told = CliRunner().invoke(out, [name, "--file", str(file)])
        assert (told.exit_code, problem in told.output.replace("\n", " ")) == (2, True)
    assert pipe.is_fifo()


@pytest.mark.parametrize(("file", "problem"), [("", "is a folder"), ("no/night.ast", "is not there")])
def test_data_blocks_are_appended_to_nothing_that_is_no_file(tmp_path: Path, file: str, problem: str) -> None:
    told = CliRunner().invoke(out, ["asterix", "--source", "25/1", "--file", str(tmp_path / file)])
    assert (told.exit_code, problem in told.output.replace("\n", " ")) == (2, True)


def test_what_cannot_be_written_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "x", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
