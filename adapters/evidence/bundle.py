"""The file of a dossier: a ZIP without compression whose every byte follows from what is in it.

    manifest.txt     first: what it is, every member with size and sha256, and a line for every record of every member
    {member} ...     in the order in which the manifest names them
    directory        of the ZIP, as any program reads it

Lines of the manifest are `{chain} {json}`: chain = sha256(chain of the line before + "\\n" + json), 64 zeros before the
first. The chain of the last line is the head: it stands for all of it. A record is a line of a `.jsonl` member, a frame
or output of a `.mcap` member, 64 KiB of any other.

Reading trusts nothing: lengths have limits, names are plain, nothing is unpacked by the ZIP's own word, and whatever
differs from the one way to write these members is a fault. What `check` cannot know is whether somebody wrote all of it
anew, chain included: compare the head with a copy kept elsewhere, or sign it.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import msgspec

from adapters.wire import rfc3339
from fusion.schema import Frame
from replay.log import BadLog
from replay.mcapread import Item, McapReader
from replay.recording import MCAP

SCHEMA = "vedette.dossier.v1"
MANIFEST = "manifest.txt"
DIRECTORY = "directory"
GENESIS = "0" * 64
MAX_BYTES = 3_000_000_000  # of a bundle: a ZIP without extensions ends at 4 GB
MAX_MEMBERS = 400
MAX_RECORDS = 4_000_000
MAX_HEAD_BYTES = 1_000_000
MAX_LINE_BYTES = 4_096  # of the manifest
MAX_PLAIN_BYTES = 8_000_000_000  # that a recording may unpack to ...
MAX_CHUNK_BYTES = 268_435_456  # ... and one chunk of it, which has to fit into memory
BLOCK_BYTES = 65_536
NAME = re.compile(r"(?!.*//)[A-Za-z0-9_][A-Za-z0-9_. -]*(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*")
MAX_NAME = 200
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_DATE, _TIME = (1 << 5) | 1, 0  # 1980-01-01 00:00: no clock goes into it
_UNIX, _PLAIN_FILE = 3 << 8 | 20, 0o100644 << 16
# Of an MCAP chunk: kind, length, two times; the size that it unpacks to; check sum, name of the compression.
_CHUNK = re.compile(rb"\x06(?=.{24}(.{8}).{4}\x04\x00\x00\x00zstd)", re.DOTALL)


class BadBundle(ValueError):
    """A file that is refused as a whole: no dossier, beyond a limit, or with names that lead elsewhere."""


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member as the manifest has it."""

    name: str
    bytes: int
    crc32: int
    sha256: str
    records: int


class Head(msgspec.Struct, frozen=True):
    """The first line of a manifest."""

    schema: str
    about: dict[str, Any]
    members: list[Member]


class _Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    records: int


_Line = tuple[str, int, str, str]  # member, number of the record in it, what it is, sha256


@dataclass(frozen=True, slots=True)
class Fault:
    """The first record that is not as it was written."""

    member: str
    record: int  # counted from 0; -1 what stands around the records
    what: str
    problem: str

    def __str__(self) -> str:
        where = f"record {self.record} of {self.member}" if self.record >= 0 else self.member
        return f"{where}{f' ({self.what})' if self.what else ''} {self.problem}"


@dataclass(slots=True)
class Checked:
    """What a look through a bundle found."""

    about: dict[str, Any] = field(default_factory=dict)
    members: dict[str, tuple[int, int]] = field(default_factory=dict)  # offset and length in the file
    records: int = 0
    head: str = ""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """What becomes a member: a file, or bytes."""

    name: str
    content: Path | bytes


def write(path: Path, about: dict[str, Any], sources: Sequence[Source]) -> str:
    """Write a bundle that must not be there yet; the same sources give the same bytes. Returns the head.

    Raises:
        BadBundle: beyond a limit, or a name that has no place in a bundle.
        OSError: the disk refuses.
    """
    members: list[Member] = []
    lines: list[_Line] = []
    for source in sources:
        data = _data(source)
        digests = [(source.name, n, what, sha) for n, (what, sha) in enumerate(records(source.name, data))]
        lines += digests
        whole = hashlib.sha256(data).hexdigest()
        members.append(Member(source.name, len(data), zlib.crc32(data), whole, len(digests)))
    _within_limits(members)
    manifest, head = _manifest(Head(SCHEMA, about, members), lines)
    if len(manifest) + sum(member.bytes for member in members) > MAX_BYTES:
        raise BadBundle(f"it would be larger than {MAX_BYTES // 1_000_000} MB")
    first = Member(MANIFEST, len(manifest), zlib.crc32(manifest), "", len(lines))
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as out:
            for member, content in zip([first, *members], chain([manifest], map(_data, sources)), strict=True):
                out.write(_local(member))
                out.write(content)
            out.write(_directory([first, *members]))
        part.rename(path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return head


def check(path: Path) -> Checked:
    """Look through a bundle: every record against the chain; `fault` is the first that does not fit.

    Raises:
        BadBundle: it is refused as a whole.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise BadBundle("it is empty") from None
    with data:
        if len(data) > MAX_BYTES + 100_000_000:
            raise BadBundle(f"it has {len(data)} bytes, more than any dossier")
        begins = _LOCAL.size + len(MANIFEST)
        named = data[_LOCAL.size : begins] == MANIFEST.encode()
        if not named and SCHEMA.encode() not in data[:4096]:
            raise BadBundle("it is no dossier")
        found = Checked()
        found.fault = _look(data, begins, found)
        return found


def extract(path: Path, found: Checked, names: Sequence[str], folder: Path) -> None:
    """Write members of a bundle that has been checked below `folder`. Raises OSError."""
    with path.open("rb") as file:
        for name in names:
            offset, length = found.members[name]
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            file.seek(offset)
            target.write_bytes(file.read(length))


def read(path: Path, found: Checked, name: str) -> bytes:
    """One member of a bundle that has been checked; empty where there is none."""
    offset, length = found.members.get(name, (0, 0))
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def records(name: str, data: bytes | memoryview) -> Iterator[tuple[str, str]]:
    """What every record of a member is, and its sha256. A recording that is damaged gives what can be read of it.

    Raises:
        BadBundle: a recording that would unpack to more than memory or patience hold.
    """
    if name.endswith(MCAP):
        for item in _items(data):
            yield _words(item), _digest(item)
    elif name.endswith(".jsonl"):
        for line in bytes(data).splitlines(keepends=True):
            yield "", hashlib.sha256(line).hexdigest()
    else:
        for at in range(0, len(data), BLOCK_BYTES):
            yield "", hashlib.sha256(data[at : at + BLOCK_BYTES]).hexdigest()


# --- reading ---


def _look(data: mmap.mmap, begins: int, found: Checked) -> Fault | None:
    """The first fault, in the order in which things stand in the file."""
    static = _local(Member(MANIFEST, 0, 0, "", 0))
    if data[:14] != static[:14] or data[26:begins] != static[26:]:
        return Fault(MANIFEST, -1, "", "does not begin as it was written")
    lines = _lines(data, begins, found)
    head = next(lines)
    if isinstance(head, Fault):
        return head
    assert isinstance(head, Head)
    _within_limits(head.members)
    found.about = head.about
    listed: list[_Line] = []
    for line in lines:
        if isinstance(line, Fault):
            return line
        assert isinstance(line, tuple)
        listed.append(line)
    at = begins + found.members[MANIFEST][1]
    manifest = data[begins:at]
    first = Member(MANIFEST, len(manifest), zlib.crc32(manifest), "", 0)
    if data[:begins] != _local(first):
        return Fault(MANIFEST, -1, "", "has another size or check sum before it")
    return _members(data, [first, *head.members], listed, at, found)


def _members(
    data: mmap.mmap, members: Sequence[Member], listed: Sequence[_Line], at: int, found: Checked
) -> Fault | None:
    """The first fault behind the manifest, which is the first of `members` and ends at `at`."""
    row = 0
    for member in members[1:]:
        start = at + _LOCAL.size + len(member.name)
        if data[at:start] != _local(member):
            return _replaced(data, member, at, listed[row : row + member.records])
        at = start + member.bytes
        fault = _fault_in(member, memoryview(data)[start:at], listed[row : row + member.records])
        if fault is not None:
            return fault
        row += member.records
        found.members[member.name] = (start, member.bytes)
    found.records = row
    if row != len(listed):
        return Fault(MANIFEST, row + 1, "", "is of no member")
    if data[at:] != _directory(members):
        return Fault(DIRECTORY, -1, "the end of the file", "is not as it was written")
    return None


def _replaced(data: mmap.mmap, member: Member, at: int, listed: Sequence[_Line]) -> Fault:
    """The fault in a member that begins otherwise than written: by the record where another one took its place."""
    fault = Fault(member.name, -1, "", "does not begin where and as it was written")
    start = at + _LOCAL.size + len(member.name)
    if len(data) < start:
        return fault
    *_, crc, size, _, _, _ = _LOCAL.unpack_from(data, at)
    with memoryview(data)[start : start + size] as content:
        other = Member(member.name, len(content), zlib.crc32(content), "", 0)
        if data[at:start] != _local(other) or other.crc32 != crc:
            return fault
        found = _fault_in(member, content, listed)
    return found if found is not None and found.record >= 0 else fault


def _lines(data: mmap.mmap, at: int, found: Checked) -> Iterator[Head | _Line | Fault]:
    """The head, then the lines of records; a Fault is the last. Sets where the manifest lies, and the head's hash."""
    begins, chain, number = at, GENESIS, 0
    while True:
        limit = MAX_LINE_BYTES if number else MAX_HEAD_BYTES
        end = data.find(b"\n", at, at + limit)
        line = data[at:end] if end >= 0 else b""
        told, _, text = line.partition(b" ")
        chain = _chained(chain, text)
        if told != chain.encode() or number > MAX_RECORDS + 1:
            yield Fault(MANIFEST, number, "", "does not follow the record before it: changed, or not the next one")
            return
        at, number = end + 1, number + 1
        try:
            if number == 1:
                yield _head(text)
            elif text.startswith(b"{"):
                last = msgspec.json.decode(text, type=_Last)
                if last.records != number - 2:
                    yield Fault(MANIFEST, number - 1, "", f"says {last.records} records, there are {number - 2}")
                found.head, found.members[MANIFEST] = chain, (begins, at - begins)
                return
            else:
                yield msgspec.json.decode(text, type=_Line)
        except msgspec.MsgspecError as error:
            yield Fault(MANIFEST, number - 1, "", f"is not understood: {error}")
            return


def _head(text: bytes) -> Head:
    head = msgspec.json.decode(text, type=Head)
    if head.schema != SCHEMA:
        raise BadBundle(f"it is {head.schema[:40]!r}, and this program reads {SCHEMA}")
    return head


def _fault_in(member: Member, data: memoryview, listed: Sequence[_Line]) -> Fault | None:
    """The first record of a member that differs from what the manifest says of it."""
    count = 0
    with data:
        for ours, theirs in zip_longest(records(member.name, data), listed):
            if theirs is None:
                return Fault(member.name, count, ours[0] if ours else "", "was put in")
            where = (member.name, count, theirs[2])
            if theirs[:2] != (member.name, count):
                return Fault(*where, "is not the one that the manifest has here")
            if ours is None:
                return Fault(*where, "is missing, or cannot be read")
            if ours[1] != theirs[3]:
                return Fault(*where, "was changed, or is not in its place")
            count += 1
        if hashlib.sha256(data).hexdigest() != member.sha256 or zlib.crc32(data) != member.crc32:
            return Fault(member.name, -1, "what stands around its records", "was changed")
    return None


def _within_limits(members: Sequence[Member]) -> None:
    seen: list[str] = [MANIFEST]
    for member in members:
        plain = NAME.fullmatch(member.name) and len(member.name) <= MAX_NAME and ".." not in member.name
        if not plain:
            raise BadBundle(f"a member is named {member.name[:60]!r}, which has no place in a dossier")
        if member.name.lower() in seen:
            raise BadBundle(f"two members are named {member.name}")
        seen.append(member.name.lower())
        if not 0 <= member.bytes <= MAX_BYTES or not 0 <= member.crc32 < 2**32 or member.records < 0:
            raise BadBundle(f"{member.name} says it has {member.bytes} bytes")
    if len(members) > MAX_MEMBERS or not 0 <= sum(member.records for member in members) <= MAX_RECORDS:
        raise BadBundle(f"more than {MAX_MEMBERS} members or {MAX_RECORDS} records")


# --- records of recordings ---


def _items(data: bytes | memoryview) -> Iterator[Item]:
    _no_bomb(data)
    with tempfile.TemporaryDirectory(prefix="vedette-") as folder:
        path = Path(folder) / f"recording{MCAP}"
        path.write_bytes(data)
        try:
            yield from McapReader(path)
        except BadLog:
            return  # none of its records can be read


def _no_bomb(data: bytes | memoryview) -> None:
    """Add up what the chunks say they unpack to, before one is unpacked; the reader holds them to it."""
    total = 0
    for found in _CHUNK.finditer(data):  # also behind damage, where the reader looks for the next one
        size = int.from_bytes(found[1], "little")
        total += size
        if size > MAX_CHUNK_BYTES or total > MAX_PLAIN_BYTES:
            raise BadBundle("its recording would unpack to more than any real one")


def _words(item: Item) -> str:
    if isinstance(item, Frame):
        return f"frame {item.seq} {item.source[:80]} {_time(item.rx_us)}"
    return f"out/{item.topic[:80]} {_time(item.t_us)}"


def _time(us: int) -> str:
    try:
        return rfc3339(us)
    except (ValueError, OverflowError, OSError):
        return f"{us} us"


def _digest(item: Item) -> str:
    if isinstance(item, Frame):
        head = f"frame\n{item.seq}\n{item.rx_us}\n{item.source}\n"
    else:
        head = f"output\n{item.t_us}\n{item.topic}\n"
    return hashlib.sha256(head.encode() + item.payload).hexdigest()


# --- writing ---


def _data(source: Source) -> bytes | memoryview:
    """Its bytes; a recording, which may be larger than memory, as a view of the file. It is read twice: once for the
    manifest, which stands before it."""
    if isinstance(source.content, bytes):
        return source.content
    if not source.name.endswith(MCAP):
        return source.content.read_bytes()
    with source.content.open("rb") as file:
        empty = not file.seek(0, os.SEEK_END)
        return b"" if empty else memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _chained(chain: str, text: bytes) -> str:
    return hashlib.sha256(chain.encode() + b"\n" + text).hexdigest()


def _manifest(head: Head, lines: Sequence[_Line]) -> tuple[bytes, str]:
    chain, out = GENESIS, []
    for told in (head, *lines, _Last(len(lines))):
        text = msgspec.json.encode(told)
        chain = _chained(chain, text)
        out.append(b"%s %s\n" % (chain.encode(), text))
    if len(out[0]) > MAX_HEAD_BYTES or max(map(len, out[1:])) > MAX_LINE_BYTES:
        raise BadBundle("a line of its manifest would be too long")
    return b"".join(out), chain


def _local(member: Member) -> bytes:
    name = member.name.encode()
    sizes = (member.crc32, member.bytes, member.bytes, len(name), 0)
    return _LOCAL.pack(b"PK\x03\x04", 20, 0, 0, _TIME, _DATE, *sizes) + name


def _directory(members: Sequence[Member]) -> bytes:
    at, entries = 0, []
    for member in members:
        name = member.name.encode()
        sizes = (member.crc32, member.bytes, member.bytes, len(name), 0, 0, 0, 0)
        entries.append(_CENTRAL.pack(b"PK\x01\x02", _UNIX, 20, 0, 0, _TIME, _DATE, *sizes, _PLAIN_FILE, at) + name)
        at += _LOCAL.size + len(name) + member.bytes
    listed = b"".join(entries)
    return listed + _END.pack(b"PK\x05\x06", 0, 0, len(members), len(members), len(listed), at, 0)
