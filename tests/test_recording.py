"""Recordings in any form: the ending decides, and lines and MCAP hold the same frames."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from fusion.schema import Frame
from replay import log, recording
from replay.mcapfile import Output
from replay.mcapread import Damage
from tests.test_mcapfile import feed, frame_lists


@given(frame_lists)
@settings(max_examples=30)
def test_out_as_lines_and_in_again_nothing_changes(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Frame]
) -> None:
    folder = tmp_path_factory.mktemp("r")
    recording.write(folder / "a.mcap", iter(frames))
    for name in ("b.jsonl", "b.jsonl.zst", "b.jsonl.gz"):
        assert recording.write(folder / name, recording.items(folder / "a.mcap")) == len(frames)
        recording.write(folder / f"{name}.mcap", recording.items(folder / name))
        assert list(recording.frames(folder / f"{name}.mcap")) == frames
    assert (folder / "b.jsonl.mcap").read_bytes() == (folder / "a.mcap").read_bytes()


def test_contents_count_frames_and_what_was_said(tmp_path: Path) -> None:
    frames = feed(10)
    path = tmp_path / "a.mcap"
    recording.write(path, iter([*frames, Output(frames[-1].rx_us, "digest", b"{}")]))
    found = recording.contents(path)
    assert (found.frames, found.ticks, found.outputs) == (50, 10, {"digest": 1})
    assert found.sources["in/R0/plots"] == 10
    assert (found.first_us, found.last_us) == (frames[0].rx_us, frames[-1].rx_us)
    assert found.damage.words() == "whole"
    log.write(tmp_path / "a.jsonl", frames)
    assert recording.contents(tmp_path / "a.jsonl").sources == found.sources


def test_damage_is_handed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    recording.write(path, iter(feed(200)))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x10
    path.write_bytes(data)
    damage = Damage()
    count = len(list(recording.items(path, damage)))
    assert damage.frames == 1000 - count > 0
    assert not damage.harmless


def test_a_recording_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    frames = feed(3)
    with pytest.raises(ValueError, match="does not rise"):
        recording.write(tmp_path / "a.mcap", iter([*frames, frames[0]]))
    assert list(tmp_path.iterdir()) == []
