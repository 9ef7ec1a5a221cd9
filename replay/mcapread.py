"""Reads recordings, whole ones and torn ones: what is damaged is left out, and said with how much is missing.

Nothing of the index is needed: records are walked from the start. Where the length of a record is broken, the search
goes on at the next chunk, which its compression gives away. Numbers of frames rise by one, so what is missing is
counted.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel, Chunk, Header
from mcap.writer import MCAP0_MAGIC

from fusion.schema import Frame
from replay.log import TICK, BadLog, decode_line
from replay.mcapfile import HIGH, LIBRARY, LINES, OUTPUT, STEP_MAX, TAIL_LIBRARY, Output, tails_of, tick_data

Item = Frame | Output
MAX_CHUNK_BYTES = 512 * 2**20  # a checkpoint of the largest picture is far below; a damaged length is not believed
_RECORD = struct.Struct("<BQ")
_FOOTER = struct.Struct("<BQQQI")
_CHUNK_TIMES = struct.Struct("<QQ")
_MESSAGE = struct.Struct("<HIQQ")
_CHUNK_HEAD = 9 + 8 + 8 + 8 + 4  # of a chunk record, before the name of its compression
_ZSTD = b"\x04\x00\x00\x00zstd"
# What a damaged record makes of the parsers below.
_DAMAGE = (ValueError, struct.error, zstandard.ZstdError, McapError, MemoryError)


@dataclass(slots=True)
class Damage:
    """What reading found wrong. All zero and `finished`: the file is as its writer left it."""

    frames: int = 0  # missing between frames that are there, by their numbers
    unread_bytes: int = 0
    places: list[str] = field(default_factory=list)  # the first ten, in words
    finished: bool = False  # with its summary; without it the end of the file says nothing about the end of the run

    @property
    def harmless(self) -> bool:
        """Nothing is missing that was ever written whole."""
        return not self.frames and not self.unread_bytes

    def note(self, place: str, count: int = 0) -> None:
        """Something at `place` could not be read, of so many bytes."""
        self.unread_bytes += count
        if len(self.places) < 10:
            self.places.append(place)

    def words(self) -> str:
        """One line for people."""
        said = [] if self.finished else ["not finished"]
        if self.unread_bytes:
            said.append(f"{self.unread_bytes} bytes cannot be read ({'; '.join(self.places)})")
        if self.frames:
            said.append(f"{self.frames} frames are missing")
        return ", ".join(said) or "whole"


class McapReader:
    """Items of one recording in the order in which they were written. `damage` is complete when they are through."""

    def __init__(self, path: Path, from_us: int = -1) -> None:
        """`from_us`: chunks that end before are left out unread."""
        self.path = path
        self._from_ns = from_us * 1000
        self.damage = Damage()
        self._newest = self._outputs = -1
        self._broken = False  # something was unreadable since the newest frame
        self._counted = False  # the number before the next frame is known

    def __iter__(self) -> Iterator[Item]:
        """Every item once, what the tail repeats of the chunks left out.

        Raises:
            BadLog: the file is no MCAP file at all.
            OSError: it cannot be opened.
        """
        self.damage, self._newest, self._outputs = Damage(), -1, 0
        self._broken = self._counted = False
        # The tails first: a chunk that takes the place of one meanwhile then holds what it did.
        tails = sorted(((tail.name, _read(tail)) for tail in tails_of(self.path)), key=lambda item: _turn(item[1]))
        with self.path.open("rb") as file:
            data = _mapped(file.fileno())
        # The name of a channel may be what is damaged: the summary and the tail name it again.
        channels: dict[int, str] = {}
        for _, beside in tails:
            channels |= _channels(beside, len(MCAP0_MAGIC))
        channels |= _channels(data, _summary_start(data))
        yield from self._walk(data, self.path.name, channels)
        for name, beside in tails:
            if beside.startswith(MCAP0_MAGIC):
                yield from self._walk(beside, name, {})

    def _walk(self, data: bytes | mmap.mmap, name: str, channels: dict[int, str]) -> Iterator[Item]:
        if data[: len(MCAP0_MAGIC)] != MCAP0_MAGIC:
            if not MCAP0_MAGIC.startswith(data[: len(MCAP0_MAGIC)]) and data.find(_ZSTD) < 0:
                raise BadLog(self.path, 1, "not an MCAP file")
            self._note(f"{name} at 0: no MCAP magic", min(len(data), 8))
        at = len(MCAP0_MAGIC)
        while at < len(data):
            body, end = at + _RECORD.size, len(data) + 1
            if body <= len(data):
                opcode, length = _RECORD.unpack_from(data, at)
                end = body + length
            if end > len(data) or not 1 <= opcode <= Opcode.DATA_END:
                following = _next_chunk(data, at + 1)
                self._note(f"{name} at {at}: torn", following - at)
                at = following
                continue
            if opcode == Opcode.DATA_END:
                self.damage.finished = True  # what follows repeats
                return
            try:
                items = list(self._record(opcode, data[body:end], channels))
            except _DAMAGE as error:
                self._note(f"{name} at {at}: {error}", end - at)
                items = []
            at = end
            yield from items

    def _record(self, opcode: int, body: bytes, channels: dict[int, str]) -> Iterator[Item]:
        """The items of one record of the data section; channels are noted."""
        if opcode == Opcode.CHANNEL:
            found = Channel.read(ReadDataStream(BytesIO(body)))
            channels[found.id] = found.topic
        elif opcode == Opcode.HEADER:
            library = Header.read(ReadDataStream(BytesIO(body))).library
            first = library.removeprefix(LIBRARY)
            if not self._counted and library != first and first.isdecimal():
                self._newest, self._counted = int(first) - 1, True
        elif opcode == Opcode.MESSAGE:
            item = self._message(body, channels)
            if item is not None:
                yield item
        elif opcode == Opcode.CHUNK:
            _, end_ns = _CHUNK_TIMES.unpack_from(body)
            if end_ns < self._from_ns:
                self._counted = False
                return
            records = _unpacked(Chunk.read(ReadDataStream(BytesIO(body))))
            at = 0
            while at < len(records):
                inner, length = _RECORD.unpack_from(records, at)
                at += _RECORD.size + length
                yield from self._record(inner, records[at - length : at], channels)

    def _message(self, body: bytes, channels: dict[int, str]) -> Item | None:
        channel, low, log_ns, _ = _MESSAGE.unpack_from(body)
        topic, data, t_us = channels.get(channel), body[_MESSAGE.size :], log_ns // 1000
        if topic is None:  # it was named in a chunk that is lost
            self._note(f"a message on channel {channel}, which is not known", len(body))
            return None
        if topic.startswith(OUTPUT):
            if low <= self._outputs:
                return None
            self._outputs = low
            return Output(t_us, topic.removeprefix(OUTPUT), data)
        if topic == LINES:
            frame = decode_line(data)
        else:
            further = (low - self._newest - 1) % HIGH
            if further >= STEP_MAX:
                return None  # the tail repeats what a chunk has said
            seq = self._newest + 1 + further
            frame = Frame(seq, t_us, topic, b"" if topic == TICK and data == tick_data(t_us) else data)
        if frame.seq <= self._newest:
            return None
        if self._broken:  # numbers of a cut or an exchanged recording may have gaps of their own
            self.damage.frames += frame.seq - self._newest - 1 if self._counted else 0
            self._broken = False
        self._counted = True
        self._newest = frame.seq
        return frame

    def _note(self, place: str, count: int) -> None:
        self.damage.note(place, count)
        self._broken = True


def _read(tail: Path) -> bytes:
    try:
        return tail.read_bytes()
    except FileNotFoundError:
        return b""


def _turn(tail: bytes) -> int:
    """Which of the tails was written later; -1 where its head does not say."""
    at = len(MCAP0_MAGIC)
    try:
        opcode, length = _RECORD.unpack_from(tail, at)
        if opcode != Opcode.HEADER:
            return -1
        body = tail[at + _RECORD.size : at + _RECORD.size + length]
        turn = Header.read(ReadDataStream(BytesIO(body))).library.removeprefix(TAIL_LIBRARY)
    except _DAMAGE:
        return -1
    return int(turn) if turn.isdecimal() else -1


def _mapped(fd: int) -> bytes | mmap.mmap:
    try:
        return mmap.mmap(fd, 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file
        return b""


def _summary_start(data: bytes | mmap.mmap) -> int:
    """Where the summary begins; the end of the data where there is none."""
    footer = len(data) - len(MCAP0_MAGIC) - _FOOTER.size
    if footer < 0 or data[len(data) - len(MCAP0_MAGIC) :] != MCAP0_MAGIC:
        return len(data)
    opcode, length, start, _, _ = _FOOTER.unpack_from(data, footer)
    return start if (opcode, length) == (Opcode.FOOTER, 20) and 0 < start < footer else len(data)


def _channels(data: bytes | mmap.mmap, at: int) -> dict[int, str]:
    """Topics by number that stand in records from `at` on, as far as these are whole."""
    found: dict[int, str] = {}
    while at + _RECORD.size <= len(data):
        opcode, length = _RECORD.unpack_from(data, at)
        body, at = data[at + _RECORD.size : at + _RECORD.size + length], at + _RECORD.size + length
        if at > len(data):
            break
        if opcode == Opcode.CHANNEL:
            try:
                channel = Channel.read(ReadDataStream(BytesIO(body)))
            except _DAMAGE:
                break
            found[channel.id] = channel.topic
    return found


def _next_chunk(data: bytes | mmap.mmap, start: int) -> int:
    """Where the next chunk that may be whole begins; the end of the data without one."""
    found = data.find(_ZSTD, start + _CHUNK_HEAD)
    while found >= 0:
        at = found - _CHUNK_HEAD
        opcode, length = _RECORD.unpack_from(data, at)
        if opcode == Opcode.CHUNK and at + _RECORD.size + length <= len(data):
            return at
        found = data.find(_ZSTD, found + 1)
    return len(data)


def _unpacked(chunk: Chunk) -> bytes:
    if chunk.uncompressed_size > MAX_CHUNK_BYTES:
        raise ValueError(f"a chunk of {chunk.uncompressed_size} bytes")
    if chunk.compression == "zstd":
        if zstandard.frame_content_size(chunk.data) not in (-1, chunk.uncompressed_size):  # it is what is allocated
            raise ValueError("a chunk says two sizes")
        plain = zstandard.ZstdDecompressor().decompress(chunk.data, max_output_size=chunk.uncompressed_size)
    elif chunk.compression == "":
        plain = chunk.data
    else:
        raise ValueError(f"compression {chunk.compression!r}")
    if chunk.uncompressed_crc and zlib.crc32(plain) != chunk.uncompressed_crc:
        raise ValueError("the check sum of a chunk does not fit")
    return plain
