"""Dossiers that somebody has changed, and where: for tests and the soak."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adapters.evidence import bundle
from adapters.evidence.bundle import BLOCK_BYTES, DIRECTORY, MANIFEST, Source
from replay import recording
from replay.mcapfile import Output
from replay.mcapread import Item
from tests.test_mcapfile import START_US, feed

KINDS = ("flip", "delete", "insert", "swap", "truncate")
RECORDING = "recording.mcap"


def small(folder: Path) -> Path:
    """A bundle with every kind of member, a few hundred kB."""
    items: list[Item] = []
    rng = random.Random(5)
    for drawn in feed(120):
        noise = b"" if drawn.source == "tick" else b'{"a":"%s"}' % rng.randbytes(200).hex().encode()
        frame = replace(drawn, payload=noise)  # the same every time
        items.append(frame)
        if frame.source == "tick":
            items.append(Output(frame.rx_us, "picture", b'{"tracks":[%d]}' % frame.seq))
    recording.write(folder / RECORDING, iter(items))
    lines = [b'{"n":%d,"said":"%s"}\n' % (n, rng.randbytes(30).hex().encode()) for n in range(200)]
    sources = [
        Source("README.txt", b"what this is\n"), Source("report.html", rng.randbytes(BLOCK_BYTES + 999)),
        Source("journal.jsonl", b"".join(lines)), Source("empty.jsonl", b""), Source("config/zones/LT.geojson", b"{}"),
        Source(RECORDING, folder / RECORDING),
    ]  # fmt: skip
    bundle.write(folder / "small.zip", {"incident": "5b0c"}, sources)
    return folder / "small.zip"


def spoilt(data: bytes, rng: random.Random, kind: str) -> bytes:
    """One manipulation of a file at a place of chance, that changes something."""
    while True:
        a, b = sorted(rng.randrange(len(data)) for _ in range(2))
        length = rng.choice([1, 1, 7, 100, 3_000])
        made = bytearray(data)
        if kind == "flip":
            made[a] ^= 1 << rng.randrange(8)
        elif kind == "delete":
            del made[a : a + length]
        elif kind == "insert":
            made[a:a] = rng.randbytes(length)
        elif kind == "swap":
            one, other = data[a : a + length], data[b : b + length]
            if a + length > b or b + length > len(data):
                continue
            made[b : b + length], made[a : a + length] = one, other
        else:
            del made[a:]
        if made != data:
            return bytes(made)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: a record of a member; -1 around its records."""

    member: str
    record: int


def place_of(data: bytes, changed: bytes) -> Place:
    """Where two versions of a bundle first differ, found by Python's own reader of ZIP files."""
    at = next((n for n, (a, b) in enumerate(zip(data, changed, strict=False)) if a != b), min(len(data), len(changed)))
    with zipfile.ZipFile(io.BytesIO(data)) as whole:
        for info in whole.infolist():
            begins = info.header_offset + 30 + len(info.filename)
            if at < begins:
                return Place(info.filename, -1)
            if at < begins + info.file_size:
                content = data[begins : begins + info.file_size]
                if info.filename == RECORDING:
                    return Place(RECORDING, -1)  # which record a byte of compressed data belongs to, nobody can say
                if info.filename.endswith((".jsonl", MANIFEST)):
                    return Place(info.filename, content[: at - begins].count(b"\n"))
                return Place(info.filename, (at - begins) // BLOCK_BYTES)
    return Place(DIRECTORY, -1)


def as_named(data: bytes, changed: bytes, found: bundle.Fault) -> bool:
    """The fault that was found stands where the first difference is."""
    true = place_of(data, changed)
    if true.member == RECORDING or (true.member == MANIFEST and true.record < 0):
        return found.member == true.member
    return (found.member, found.record) == (true.member, true.record)


def edited(data: bytes, member: str, content: bytes) -> bytes:
    """The bundle with another content of one member, put together by Python's own writer of ZIP files."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            fresh = zipfile.ZipInfo(info.filename, info.date_time)
            new.writestr(fresh, content if info.filename == member else old.read(info))
    return out.getvalue()


def other_items(items: Sequence[Item], rng: random.Random, kind: str) -> tuple[list[Item], int]:
    """Records of a recording as somebody has changed them, and the number of the first that is not as it was."""
    made = list(items)
    at = rng.randrange(1, len(made) - 12)
    if kind == "flip":
        payload = bytearray(made[at].payload or b" ")
        payload[rng.randrange(len(payload))] ^= 1
        made[at] = replace(made[at], payload=bytes(payload))
    elif kind == "delete":
        del made[at]
    elif kind == "insert":
        made.insert(at, Output(START_US, "picture", b"{}"))
    elif kind == "truncate":
        del made[at:]
    else:  # outputs of two moments
        a, b = _two(made, at)
        made[a], made[b], at = made[b], made[a], a
    return made, at


def _two(items: Sequence[Item], at: int) -> tuple[int, int]:
    outputs = [n for n, item in enumerate(items) if n >= at and isinstance(item, Output)]
    return outputs[0], outputs[1]


def rewritten(data: bytes, items: Sequence[Item], folder: Path) -> bytes:
    """The bundle with these items as its recording, written as a recorder writes them."""
    path = folder / "other.mcap"
    path.unlink(missing_ok=True)
    recording.write(path, iter(items))
    return edited(data, RECORDING, path.read_bytes())
