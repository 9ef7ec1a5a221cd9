"""The file of a dossier: the same bytes, read by others' tools, every manipulation found and named, nothing trusted."""

from __future__ import annotations

import hashlib
import io
import random
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest
import zstandard
from mcap.writer import CompressionType, Writer

from adapters.evidence import bundle
from adapters.evidence.bundle import MANIFEST, BadBundle, Head, Member, Source
from replay import recording
from replay.mcapfile import McapWriter
from tests.manipulated import KINDS, RECORDING, as_named, edited, other_items, rewritten, small, spoilt


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(tmp_path_factory.mktemp("bundle"))


def found_in(folder: Path, data: bytes) -> bundle.Checked:
    (folder / "changed.zip").write_bytes(data)
    return bundle.check(folder / "changed.zip")


def test_the_same_sources_give_the_same_bytes_and_the_head_stands_for_them(whole: Path, tmp_path: Path) -> None:
    again = small(tmp_path)
    assert again.read_bytes() == whole.read_bytes()
    found = bundle.check(whole)
    assert (found.fault, found.about) == (None, {"incident": "5b0c"})
    assert len(found.head) == 64
    assert found.records == 1 + 2 + 200 + 0 + 1 + (5 * 120 + 120)
    sources = [Source("a.txt", b"x")]
    assert bundle.write(tmp_path / "a.zip", {}, sources) != bundle.write(tmp_path / "b.zip", {"n": 1}, sources)


def test_programs_of_others_read_it(whole: Path, tmp_path: Path) -> None:
    """Python finds every member whole; the chain is what README.txt says, in ten lines without us."""
    with zipfile.ZipFile(whole) as read:
        assert read.testzip() is None
        read.extractall(tmp_path)
        assert read.namelist()[0] == MANIFEST
        assert all(info.compress_type == zipfile.ZIP_STORED for info in read.infolist())
        assert {info.date_time for info in read.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        lines = read.read(MANIFEST).splitlines()
    chain = b"0" * 64
    for line in lines:
        told, _, text = line.partition(b" ")
        chain = hashlib.sha256(chain + b"\n" + text).hexdigest().encode()
        assert told == chain
    assert chain.decode() == bundle.check(whole).head
    for member in msgspec.json.decode(lines[0].partition(b" ")[2], type=Head).members:
        content = (tmp_path / member.name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (member.bytes, member.sha256)


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_of_the_file_is_found_where_it_is(whole: Path, tmp_path: Path, kind: str) -> None:
    """A seeded sample; the soak does a thousand and more."""
    data, rng = whole.read_bytes(), random.Random(f"bytes {kind}")
    for _ in range(10):
        changed = spoilt(data, rng, kind)
        found = found_in(tmp_path, changed)
        assert found.fault is not None
        assert as_named(data, changed, found.fault), found.fault


@pytest.mark.parametrize("kind", KINDS)
def test_every_change_of_a_recorded_frame_is_named_to_the_record(whole: Path, tmp_path: Path, kind: str) -> None:
    data, rng = whole.read_bytes(), random.Random(f"records {kind}")
    bundle.extract(whole, bundle.check(whole), [RECORDING], tmp_path)
    items = list(recording.items(tmp_path / RECORDING))
    for _ in range(3):
        made, at = other_items(items, rng, kind)
        fault = found_in(tmp_path, rewritten(data, made, tmp_path)).fault
        assert fault is not None
        assert (fault.member, fault.record) == (RECORDING, at), fault
        assert "2025-07-28T" in fault.what  # and which frame it was


def test_a_line_that_was_changed_and_packed_again_is_named(whole: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(whole) as read:
        lines = read.read("journal.jsonl").splitlines(keepends=True)
    lines[77] = lines[77].replace(b"said", b"SAID!")
    fault = found_in(tmp_path, edited(whole.read_bytes(), "journal.jsonl", b"".join(lines))).fault
    assert fault is not None
    assert str(fault) == "record 77 of journal.jsonl was changed, or is not in its place"


def test_what_is_no_dossier_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"PK\x03\x04", b"x" * 10_000):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(BadBundle):
            bundle.check(tmp_path / "a")


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "/etc/passwd",
        "a/../../b",
        "a\\b",
        "C:evil",
        "a//b",
        ".ssh/key",
        "a\nb",
        "x" * 300,
        "",
        "MANIFEST.txt",
    ],
)
def test_names_that_lead_elsewhere_are_refused_by_writer_and_reader(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadBundle):
        bundle.write(tmp_path / "a.zip", {}, [Source(name, b"x")])
    with pytest.raises(BadBundle):
        found_in(tmp_path, forged([Member(name, 1, zlib.crc32(b"x"), hashlib.sha256(b"x").hexdigest(), 1)]))
    assert not list(tmp_path.parent.glob("evil"))


def forged(members: list[Member]) -> bytes:
    """A bundle whose chain fits, by somebody who knows how it is made."""
    manifest, _ = bundle._manifest(Head(bundle.SCHEMA, {}, members), [])
    return bundle._local(Member(MANIFEST, len(manifest), zlib.crc32(manifest), "", 0)) + manifest


def test_sizes_are_not_believed(tmp_path: Path) -> None:
    huge = Member("a.bin", 2**60, 0, "", 1)
    negative, many = replace_(huge, bytes=-1), replace_(huge, bytes=1, records=10**9)
    for members in ([huge], [negative], [many], [_small(n) for n in range(500)], [_small(1), _small(1)]):
        with pytest.raises(BadBundle):
            found_in(tmp_path, forged(members))
    fault = found_in(tmp_path, forged([Member("a.bin", 10**9, 0, "", 1)])).fault  # more than the file has
    assert fault is not None and fault.member == "a.bin"


def replace_(member: Member, **changes: int) -> Member:
    return msgspec.structs.replace(member, **changes)


def _small(number: int) -> Member:
    return Member(f"m{number}", 1, 0, "", 1)


def test_a_recording_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path) -> None:
    """By what its chunks say; and a chunk whose compressed data say otherwise is damage."""
    out = io.BytesIO()
    writer = Writer(out, chunk_size=2**40, compression=CompressionType.ZSTD)
    writer.start()
    channel = writer.register_channel("in/R1/plots", "json", 0)
    writer.add_message(channel, 0, b"\0" * 300_000_000, 0)
    writer.finish()  # type: ignore[no-untyped-call]
    bomb = out.getvalue()
    assert len(bomb) < 100_000
    with pytest.raises(BadBundle, match="unpack"):
        list(bundle.records(RECORDING, bomb))
    unpacked = zstandard.frame_content_size(bomb[bomb.index(b"\x04\x00\x00\x00zstd") + 16 :])
    liar = bomb.replace(unpacked.to_bytes(8, "little"), (100_000).to_bytes(8, "little"), 1)
    assert list(bundle.records(RECORDING, liar)) == []


def test_a_frame_that_unpacks_to_more_than_its_chunk_says_is_never_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    writer = McapWriter(path)
    writer.finish()
    assert recording.contents(path).damage.harmless
    big = zstandard.ZstdCompressor().compress(b"\0" * 1_000_000)
    assert zstandard.frame_content_size(big) == 1_000_000
    from mcap.records import Chunk

    from replay.mcapread import _unpacked

    with pytest.raises(ValueError, match="two sizes"):
        _unpacked(
            Chunk(
                compression="zstd",
                data=big,
                message_end_time=0,
                message_start_time=0,
                uncompressed_crc=0,
                uncompressed_size=10,
            )
        )


def test_writing_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        bundle.write(tmp_path / "none" / "a.zip", {}, [Source("a.txt", b"x")])
    with pytest.raises(BadBundle):
        bundle.write(tmp_path / "a.zip", {"x": "y" * 2_000_000}, [Source("a.txt", b"x")])
    assert list(tmp_path.iterdir()) == []
