"""`vedette record` as a user calls it: info, recover, cut, merge, export, import."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.commands.record import record
from fusion.schema import Frame
from replay import recording
from replay.mcapfile import McapWriter, Output
from replay.mcapread import Item
from tests.test_mcapfile import START_US, feed, written

FRAMES = feed(100)  # ten seconds


def call(*words: str | Path) -> Result:
    return CliRunner().invoke(record, [str(word) for word in words])


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Ten seconds with a checkpoint every two."""
    items: list[Item] = []
    for frame in FRAMES:
        items.append(frame)
        if frame.source == "tick" and (frame.rx_us - START_US) // 100_000 % 20 == 19:
            items.append(Output(frame.rx_us, "checkpoint", b"{}"))
    recording.write(tmp_path / "night.mcap", iter(items))
    return tmp_path / "night.mcap"


def test_info_says_what_is_in_it(night: Path) -> None:
    done = call("info", night)
    assert done.exit_code == 0
    assert (
        "500 frames (100 ticks), from 2025-07-28T02:40:00.000Z to 2025-07-28T02:40:09.950Z, 9.9 s; who" in done.output
    )
    assert "  in   in/R0/plots: 100" in done.output
    assert "  out  checkpoint: 5" in done.output


def test_a_torn_recording_is_told_and_recovered(night: Path, tmp_path: Path) -> None:
    written(tmp_path / "torn.mcap", FRAMES).abandon()
    data = bytearray((tmp_path / "torn.mcap").read_bytes())
    data[data.index(b"\x04\x00\x00\x00zstd") + 200] ^= 1  # within the first chunk
    (tmp_path / "torn.mcap").write_bytes(data)
    done = call("info", tmp_path / "torn.mcap")
    assert done.exit_code == 1
    assert "not finished" in done.output
    assert "frames are missing" in done.output
    assert call("recover", tmp_path / "torn.mcap", tmp_path / "mended.mcap").exit_code == 0
    assert call("info", tmp_path / "mended.mcap").exit_code == 0
    assert list(recording.frames(tmp_path / "mended.mcap")) == list(recording.frames(tmp_path / "torn.mcap"))


def test_a_cut_begins_at_a_checkpoint_and_ends_where_it_was_told(night: Path, tmp_path: Path) -> None:
    done = call("cut", night, tmp_path / "piece.mcap", "--from", "+5.0", "--to", "2025-07-28T02:40:07Z")
    assert done.exit_code == 0, done.output
    first, *rest = recording.items(tmp_path / "piece.mcap")
    assert first == Output(START_US + 3_950_000, "checkpoint", b"{}")
    frames = [item for item in rest if isinstance(item, Frame)]
    assert frames == [f for f in FRAMES if START_US + 3_950_000 < f.rx_us <= START_US + 7_000_000]


def test_a_cut_without_a_checkpoint_before_it_begins_where_it_was_told(night: Path, tmp_path: Path) -> None:
    assert call("cut", night, tmp_path / "piece.mcap", "--from", "+1").exit_code == 0
    assert list(recording.frames(tmp_path / "piece.mcap")) == [f for f in FRAMES if f.rx_us >= START_US + 1_000_000]


def test_pieces_join_to_the_whole(night: Path, tmp_path: Path) -> None:
    call("cut", night, tmp_path / "a.mcap", "--to", "+4")
    rest = (f for f in FRAMES if f.rx_us > START_US + 4_000_000)
    recording.write(tmp_path / "b.mcap", rest)
    done = call("merge", tmp_path / "all.mcap", tmp_path / "b.mcap", tmp_path / "a.mcap")
    assert done.exit_code == 0, done.output
    assert list(recording.frames(tmp_path / "all.mcap")) == FRAMES


def test_runs_that_count_anew_are_numbered_on(tmp_path: Path) -> None:
    later = [replace(f, rx_us=f.rx_us + 60_000_000) for f in FRAMES]
    recording.write(tmp_path / "a.mcap", iter(FRAMES))
    recording.write(tmp_path / "b.mcap", iter(later))
    assert call("merge", tmp_path / "all.mcap", tmp_path / "a.mcap", tmp_path / "b.mcap").exit_code == 0
    found = list(recording.frames(tmp_path / "all.mcap"))
    assert [f.seq for f in found] == list(range(1000))
    assert [replace(f, seq=0) for f in found] == [replace(f, seq=0) for f in [*FRAMES, *later]]


def test_recordings_of_one_time_are_not_joined(night: Path, tmp_path: Path) -> None:
    recording.write(tmp_path / "b.mcap", iter(FRAMES[100:]))
    done = call("merge", tmp_path / "all.mcap", night, tmp_path / "b.mcap")
    assert done.exit_code == 2
    assert not (tmp_path / "all.mcap").exists()


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"])
def test_out_and_in_again(night: Path, tmp_path: Path, name: str) -> None:
    assert call("export", night, tmp_path / name).exit_code == 0
    assert call("import", tmp_path / name, tmp_path / "b.mcap").exit_code == 0
    assert list(recording.frames(tmp_path / "b.mcap")) == FRAMES


def test_wrong_questions_are_refused_and_touch_nothing(night: Path, tmp_path: Path) -> None:
    (tmp_path / "taken.mcap").write_bytes(b"precious")
    for words in (
        ("recover", night, tmp_path / "taken.mcap"),
        ("export", night, tmp_path / "a.csv"),
        ("import", night, tmp_path / "a.jsonl"),
        ("cut", night, tmp_path / "a.mcap", "--from", "yesterday"),
        ("info", tmp_path / "none.mcap"),
        ("info", tmp_path / "taken.mcap"),
    ):
        done = call(*words)
        assert done.exit_code == 2, (words, done.output)
    assert (tmp_path / "taken.mcap").read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night.mcap", "taken.mcap"]


def test_what_is_no_recording_is_named_and_not_what_was_to_be_made_of_it(tmp_path: Path) -> None:
    bad, lines = tmp_path / "bad.mcap", tmp_path / "lines.jsonl"
    bad.write_bytes(b"no recording at all" * 9)
    lines.write_text("{}\n", encoding="utf-8")
    for what, file, name in (("recover", bad, "a.mcap"), ("export", bad, "a.jsonl"), ("import", lines, "a.mcap")):
        out = tmp_path / name
        done = call(what, file, out)
        assert done.exit_code == 2
        assert done.output.startswith(f"vedette: {file}: "), done.output
        assert not out.exists()
    assert "give a recording of vedette run" in call("recover", bad, tmp_path / "a.mcap").output


def test_a_file_that_cannot_be_written_is_no_file_that_cannot_be_read(night: Path, tmp_path: Path) -> None:
    done = call("recover", night, tmp_path / "none" / "a.mcap")
    assert done.exit_code == 2
    assert "a.mcap cannot be written (No such file or directory). Cure: name a file in a folder" in done.output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--from", "+5", "--to", "+2"), "--to: 2025-07-28T02:40:02.000Z is before --from 2025-07-28T02:40:05.000Z"),
        (("--from", "+11"), "--from: 2025-07-28T02:40:11.000Z is after the end"),
        (("--to", "2025-07-28T02:39:59Z"), "--to: 2025-07-28T02:39:59.000Z is before the beginning"),
    ],
)
def test_a_piece_of_nothing_is_refused(night: Path, tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    done = call("cut", night, tmp_path / "a.mcap", *given)
    assert done.exit_code == 2
    assert words in done.output
    assert "goes from 2025-07-28T02:40:00.000Z to 2025-07-28T02:40:09.950Z: name a part of that" in done.output
    assert not (tmp_path / "a.mcap").exists()


def test_what_was_lost_before_a_copy_is_said_with_it(night: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(night.read_bytes()[:-5_000])
    for words in (
        ("cut", torn, tmp_path / "a.mcap", "--from", "+1"),
        ("export", torn, tmp_path / "a.jsonl"),
        ("merge", tmp_path / "b.mcap", torn),
    ):
        done = call(*words)
        assert done.exit_code == 1, done.output
        assert f"note: {torn} was: not finished" in done.output
    assert call("export", night, tmp_path / "whole.jsonl").output == f"{tmp_path}/whole.jsonl: 500 frames\n"


def test_a_recording_in_the_making_can_be_looked_into(tmp_path: Path) -> None:
    writer = McapWriter(tmp_path / "a.mcap")
    for frame in FRAMES[:5]:
        writer.add(frame)
    writer.flush()
    done = call("info", tmp_path / "a.mcap")
    writer.abandon()
    assert done.exit_code == 0
    assert "5 frames" in done.output
