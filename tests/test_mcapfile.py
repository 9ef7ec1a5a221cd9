"""Recordings as they are written: every frame comes back to the byte, finished or not, and other programs read them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import accumulate, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from fusion.schema import Frame
from replay.mcapfile import CHANNELS_MAX, CHUNK_BYTES, McapWriter, Output, tails_of
from replay.mcapread import Item, McapReader

START_US = 1_753_670_400_000_000

sources = st.sampled_from(["in/R1/plots", "tick", "cmd/close", "out/picture", "frames", "start"]) | st.text(
    st.characters(codec="utf-8"), min_size=1, max_size=20
)
payloads = st.binary(max_size=300) | st.just(b"")
steps = st.integers(1, 5) | st.integers(2**31 - 2, 2**33)
frame_lists = st.lists(st.tuples(steps, st.integers(0, 2**53), sources, payloads), max_size=30).map(
    lambda rows: [
        Frame(seq, us, source, payload)
        for seq, (_, us, source, payload) in zip(accumulate(row[0] for row in rows), rows, strict=True)
    ]
)


def feed(ticks: int, size: int = 400) -> list[Frame]:
    """A tick every 100 ms after four messages that hardly compress."""
    frames = []
    for n in range(ticks):
        for k in range(4):
            noise = os.urandom(size // 2).hex()
            frames.append(
                Frame(0, START_US + n * 100_000 + k, f"in/R{k}/plots", b'{"schema":"x","a":"%s"}' % noise.encode())
            )
        frames.append(Frame(0, START_US + n * 100_000 + 50_000, "tick", b""))
    return [Frame(n, f.rx_us, f.source, f.payload) for n, f in enumerate(frames)]


def written(path: Path, items: Iterable[Item]) -> McapWriter:
    """A writer that has written all, flushed at every tick, and is not finished."""
    writer = McapWriter(path)
    for item in items:
        if isinstance(item, Output):
            writer.add_output(item)
        else:
            writer.add(item)
            if item.source == "tick" and writer.flush():
                writer.syncing()()
    writer.flush()
    return writer


@given(frame_lists, st.booleans())
@settings(max_examples=60)
def test_what_goes_in_comes_out_to_the_byte(
    tmp_path_factory: pytest.TempPathFactory, frames: list[Frame], end: bool
) -> None:
    path = tmp_path_factory.mktemp("m") / "a.mcap"
    writer = written(path, frames)
    if end:
        writer.finish()
    else:
        writer.abandon()
    reader = McapReader(path)
    assert list(reader) == frames
    assert reader.damage.harmless
    assert reader.damage.finished == end
    assert [tail.exists() for tail in tails_of(path)] == [not end] * 2


def test_every_flush_is_in_the_files(tmp_path: Path) -> None:
    """Read after every tick, as after kill -9 there: nothing is missing, nothing comes twice."""
    frames = feed(120)
    writer = McapWriter(tmp_path / "a.mcap")
    chunks = 0
    for n, frame in enumerate(frames):
        writer.add(frame)
        if frame.source == "tick":
            whole = writer.flush()
            chunks += whole
            if n % 7 == 0 or n > len(frames) - 40:
                assert list(McapReader(tmp_path / "a.mcap")) == frames[: n + 1]
            if whole:
                writer.syncing()()
    writer.abandon()
    assert chunks >= 2
    assert all(tail.stat().st_size < 2 * CHUNK_BYTES for tail in tails_of(tmp_path / "a.mcap"))


@pytest.mark.parametrize("every", [1, 4, 9, 30])
def test_a_power_cut_takes_nothing_that_was_synced(tmp_path: Path, every: int) -> None:
    """Whatever of each file survives, as it was synced or as it is: a chunk may be there and its tail empty, or neither
    chunk nor tail of what came since."""
    path, frames, seen = tmp_path / "a.mcap", feed(40, 3_000), tmp_path / "cut.mcap"
    writer = McapWriter(path)
    files, copies = (path, *tails_of(path)), (seen, *tails_of(seen))
    durable, synced, chunks = [b"", b"", b""], 0, 0
    for n, frame in enumerate(frames):
        writer.add(frame)
        if frame.source != "tick":
            continue
        chunks += writer.flush()
        now = [file.read_bytes() for file in files]
        for survives in product((0, 1), repeat=3):
            for copy, old, new, which in zip(copies, durable, now, survives, strict=True):
                copy.write_bytes(new if which else old)
            if durable[0]:
                found = list(McapReader(seen))
                assert found[:synced] == frames[:synced], (n, survives)
        if n // 5 % every == 0:
            writer.syncing()()
            synced = n + 1
            current = writer._tail.turn % 2 + 1
            durable[0], durable[current] = now[0], now[current]
    writer.abandon()
    assert chunks >= 4


def test_a_file_that_is_finished_at_once_writes_no_tails(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mcap", feed(120)
    writer = McapWriter(path)
    for frame in frames:
        writer.add(frame)
        writer.cut()
        assert all(tail.stat().st_size < 100 for tail in tails_of(path))
    writer.finish()
    assert list(McapReader(path)) == frames


def test_what_is_in_chunk_and_tail_gives_no_frame_twice(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.mcap", [*feed(60)]
    items: list[Item] = []
    for frame in frames:
        items.append(frame)
        if frame.source == "tick":
            items.append(Output(frame.rx_us, "digest", b"{}"))
    writer = McapWriter(path)
    for item in items:
        if isinstance(item, Output):
            writer.add_output(item)
            continue
        writer.add(item)
        if item.source == "tick" and writer.flush():
            break
    writer.abandon()
    found = list(McapReader(path))
    assert found == items[: len(found)]
    assert found[-1] == items[items.index(item)]


def test_numbers_must_rise(tmp_path: Path) -> None:
    writer = McapWriter(tmp_path / "a.mcap")
    writer.add(Frame(5, START_US, "tick", b""))
    with pytest.raises(ValueError, match="does not rise"):
        writer.add(Frame(5, START_US, "tick", b""))
    writer.abandon()


def test_a_flood_of_sources_does_not_make_a_flood_of_channels(tmp_path: Path) -> None:
    frames = [Frame(n, START_US, f"in/bogus{n}/plots", b"{}") for n in range(CHANNELS_MAX + 50)]
    writer = written(tmp_path / "a.mcap", frames)
    writer.finish()
    assert list(McapReader(tmp_path / "a.mcap")) == frames
    with (tmp_path / "a.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    assert len(summary.channels) == CHANNELS_MAX + 1


def test_pythons_own_tools_read_it_with_schemas_and_an_index(tmp_path: Path) -> None:
    schema = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}}).encode()
    writer = McapWriter(tmp_path / "a.mcap", lambda topic, _: ("x", schema) if topic.startswith("in/") else None)
    frames = feed(100)
    for frame in frames:
        writer.add(frame)
        if frame.source == "tick":
            writer.flush()
    writer.finish()
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(frames)
        assert max(index.uncompressed_size for index in summary.chunk_indexes) < 2 * CHUNK_BYTES
        assert len(summary.chunk_indexes) > 2
        from_ns, to_ns = frames[200].rx_us * 1000, frames[300].rx_us * 1000
        found = list(reader.iter_messages(topics=["in/R2/plots"], starting_at=from_ns, ending_before=to_ns))
    assert [m.data for _, _, m in found] == [
        f.payload for f in frames if f.source == "in/R2/plots" and from_ns <= f.rx_us * 1000 < to_ns
    ]
    assert {s.encoding for s, _, _ in found if s} == {"jsonschema"}
    assert all(json.loads(s.data)["properties"] for s, _, _ in found if s)


def test_a_name_that_is_taken_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        McapWriter(tmp_path / "a.mcap")
    assert (tmp_path / "a.mcap").read_bytes() == b"precious"
