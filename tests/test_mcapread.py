"""Torn and damaged recordings: what is left is read, what is missing is counted, and nothing is invented."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fusion.schema import Frame
from replay.log import BadLog
from replay.mcapfile import tails_of
from replay.mcapread import McapReader
from tests.test_mcapfile import feed, written


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Frame], bytes, bytes]:
    """Frames, the file that is not finished, and the tail that was written to."""
    path, frames = tmp_path_factory.mktemp("whole") / "a.mcap", feed(260)
    writer = written(path, frames)
    writer.abandon()
    return frames, path.read_bytes(), tails_of(path)[writer._tail.turn % 2].read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Frame], bytes]:
    path, frames = tmp_path_factory.mktemp("finished") / "a.mcap", feed(260)
    written(path, frames).finish()
    return frames, path.read_bytes()


def test_a_file_torn_anywhere_gives_its_beginning(tmp_path: Path, whole: tuple[list[Frame], bytes, bytes]) -> None:
    frames, data, _ = whole
    rng = random.Random(5)
    path = tmp_path / "a.mcap"
    for cut in [8, 9, *(rng.randrange(10, len(data)) for _ in range(30))]:
        path.write_bytes(data[:cut])
        reader = McapReader(path)
        found = list(reader)
        assert found == frames[: len(found)]
        assert not reader.damage.finished


def test_a_torn_tail_loses_the_record_that_was_torn(tmp_path: Path, whole: tuple[list[Frame], bytes, bytes]) -> None:
    frames, data, tail = whole
    path = tmp_path / "a.mcap"
    path.write_bytes(data)
    in_chunks = len(list(McapReader(path)))
    assert 0 < in_chunks < len(frames)
    for gone in (1, 100, 700, len(tail) // 2):
        tails_of(path)[0].write_bytes(tail[:-gone])
        reader = McapReader(path)
        found = list(reader)
        assert in_chunks <= len(found) < len(frames)
        assert found == frames[: len(found)]
        assert reader.damage.unread_bytes > 0


def test_a_power_cut_that_leaves_zeros_ends_the_file_there(
    tmp_path: Path, whole: tuple[list[Frame], bytes, bytes]
) -> None:
    frames, data, _ = whole
    path = tmp_path / "a.mcap"
    path.write_bytes(data[: len(data) // 2] + bytes(4096))
    reader = McapReader(path)
    found = list(reader)
    assert found == frames[: len(found)]
    assert reader.damage.unread_bytes >= 4096


@pytest.mark.parametrize("seed", range(60))
def test_flipped_bits_cost_what_they_hit_and_invent_nothing(
    tmp_path: Path, finished: tuple[list[Frame], bytes], seed: int
) -> None:
    frames, data = finished
    rng = random.Random(seed)
    spoilt = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    path = tmp_path / "a.mcap"
    path.write_bytes(spoilt)
    reader = McapReader(path)
    found = [item for item in reader if isinstance(item, Frame)]
    true = {f.seq: f for f in frames}
    assert all(true[f.seq] == f for f in found)
    assert [f.seq for f in found] == sorted({f.seq for f in found})
    missing = len(frames) - len(found)
    if missing:
        assert not reader.damage.harmless
    at_the_end = frames[-1].seq - found[-1].seq if found else len(frames)
    header = spoilt[:39] != data[:39]  # it tells the first number
    assert reader.damage.frames == missing - at_the_end or (header and found[0].seq > 0)


def test_a_lost_first_chunk_costs_itself_and_not_the_names_of_its_sources(
    tmp_path: Path, finished: tuple[list[Frame], bytes]
) -> None:
    frames, data = finished
    spoilt = bytearray(data)
    spoilt[data.index(b"\x04\x00\x00\x00zstd") + 200] ^= 0xFF
    path = tmp_path / "a.mcap"
    path.write_bytes(spoilt)
    reader = McapReader(path)
    found = list(reader)
    assert found == frames[-len(found) :]
    assert len(found) > len(frames) // 2
    assert reader.damage.frames == len(frames) - len(found)
    assert "frames are missing" in reader.damage.words()


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    path.write_bytes(b'{"seq":0}\n' * 50)
    with pytest.raises(BadLog, match="not an MCAP file"):
        list(McapReader(path))
    path.write_bytes(b"")
    assert list(McapReader(path)) == []
