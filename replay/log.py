"""The frame log as text: one frame a line, JSON, plain or compressed by the file's ending (`.jsonl`, `.gz`, `.zst`).

    {"seq":12,"rx_us":1753670400100000,"source":"in/R1/plots","payload":"{\\"schema\\":...}"}

What came through the door is kept to the byte: a payload that is UTF-8 stands as text in `payload`, anything else in
base64 as `payload_b64`. Sequence numbers rise from line to line, so a lost or doubled line shows itself.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import msgspec
import zstandard

from fusion.schema import Frame

TICK = "tick"  # the source of a clock frame
START = "start"  # the source of the first frame of a run: epoch, configuration, versions; it is for readers
LEFT = "left"  # the source of the frames behind it, after a cold start: what the journal of the runs before holds open
MAX_LINE_BYTES = 524_288  # a 64 KiB payload of control characters, each escaped to six bytes, and its base64, fit in
_MAX_US = 2**53  # exact in float64 and in JavaScript


class BadLog(ValueError):
    """A log that cannot be read: which file, which line (1 = first), and what is wrong with it."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.path = path
        self.line = line
        self.problem = problem


class _Line(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    seq: int
    rx_us: int
    source: str
    payload: str | None = None
    payload_b64: str | None = None


_DECODER = msgspec.json.Decoder(_Line)
_ENCODER = msgspec.json.Encoder()


def encode_line(frame: Frame) -> bytes:
    """One frame as one line without its newline. `decode_line` gives back an equal frame, to the byte."""
    line = _Line(frame.seq, frame.rx_us, frame.source)
    try:
        line.payload = frame.payload.decode("utf-8")
    except UnicodeDecodeError:
        line.payload_b64 = base64.b64encode(frame.payload).decode("ascii")
    return _ENCODER.encode(line)


def decode_line(text: bytes) -> Frame:
    """The frame of one line.

    Raises:
        ValueError: not JSON, a field missing, unknown or of the wrong type, both payloads or none, a number out of
            range; the message says which.
    """
    line = _DECODER.decode(text)
    if (line.payload is None) == (line.payload_b64 is None):
        raise ValueError("exactly one of payload and payload_b64 is needed")
    if line.seq < 0:
        raise ValueError(f"seq {line.seq} is negative")
    if not 0 <= line.rx_us <= _MAX_US:
        raise ValueError(f"rx_us {line.rx_us} is outside 0..2^53")
    if not line.source:
        raise ValueError("source is empty")
    if line.payload is not None:
        return Frame(line.seq, line.rx_us, line.source, line.payload.encode("utf-8"))
    try:
        return Frame(line.seq, line.rx_us, line.source, base64.b64decode(str(line.payload_b64), validate=True))
    except binascii.Error as error:
        raise ValueError(f"payload_b64 is not base64: {error}") from error


def read(path: Path) -> Iterator[Frame]:
    """Yield the frames of a log in file order, one line in memory at a time.

    Raises:
        BadLog: at the first line that is malformed, too long, cut off, or whose `seq` does not rise.
        OSError: the file cannot be opened.
    """
    number, newest = 0, -1
    with open_read(path) as stream:
        while True:
            number += 1
            try:
                text = stream.readline(MAX_LINE_BYTES + 1)
            except (EOFError, OSError, zlib.error, zstandard.ZstdError) as error:
                raise BadLog(path, number, f"the compressed stream is damaged or cut off ({error})") from error
            if not text:
                return
            if not text.endswith(b"\n"):
                why = f"longer than {MAX_LINE_BYTES} bytes" if len(text) > MAX_LINE_BYTES else "cut off: no line end"
                raise BadLog(path, number, why)
            if not text.strip():
                continue
            try:
                frame = decode_line(text)
            except ValueError as error:  # msgspec's errors are ValueErrors too
                raise BadLog(path, number, str(error)) from error
            if frame.seq <= newest:
                raise BadLog(path, number, f"seq {frame.seq} does not rise above {newest}")
            newest = frame.seq
            yield frame


@dataclass(frozen=True, slots=True)
class Summary:
    """What a log holds, found by reading it once."""

    frames: int  # ticks included
    ticks: int
    first_us: int  # rx time; -1 of an empty log
    last_us: int
    sources: dict[str, int]  # frames by source, in order of name

    @property
    def duration_s(self) -> float:
        """Seconds from the first to the last frame, 0 for an empty log."""
        return max(0, self.last_us - self.first_us) / 1e6


def summary(path: Path) -> Summary:
    """Read a log through and say what is in it. Raises `BadLog` and OSError like `read`."""
    counts: dict[str, int] = {}
    first, last = -1, -1
    for frame in read(path):
        counts[frame.source] = counts.get(frame.source, 0) + 1
        first = frame.rx_us if first < 0 else first
        last = max(last, frame.rx_us)
    return Summary(sum(counts.values()), counts.get(TICK, 0), first, last, dict(sorted(counts.items())))


class Writer:
    """Writes a log, compressed by the ending of `path`. The file appears under its name only when it is complete.

    Use it as a context manager: leaving normally renames `<path>.part` to `path`, leaving by an exception removes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._stream = open_write(self._part, path.suffix)
        self._newest = -1
        self.frames = 0

    def add(self, frame: Frame) -> None:
        """Append one frame. Raises ValueError when its `seq` does not rise."""
        if frame.seq <= self._newest:
            raise ValueError(f"seq {frame.seq} does not rise above {self._newest}")
        self._newest = frame.seq
        self._stream.write(encode_line(frame) + b"\n")
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._stream.close()
        if kind is None:
            os.replace(self._part, self._path)
        else:
            self._part.unlink(missing_ok=True)


def write(path: Path, frames: Iterable[Frame]) -> int:
    """Write all frames to a new log and return how many there were. Raises ValueError when `seq` does not rise."""
    with Writer(path) as writer:
        for frame in frames:
            writer.add(frame)
    return writer.frames


def open_read(path: Path) -> BinaryIO:
    """A file as bytes, decompressed by its ending (`.gz`, `.zst`). Raises OSError when it cannot be opened."""
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return cast(BinaryIO, io.BufferedReader(reader))
    return path.open("rb")


def open_write(part: Path, suffix: str) -> BinaryIO:
    """A new file, compressed by the ending that its name will have."""
    if suffix == ".gz":  # no name and no time inside: the same frames give the same bytes
        return cast(BinaryIO, _GzipFile(part.open("wb")))
    if suffix == ".zst":
        return cast(BinaryIO, zstandard.ZstdCompressor(level=9).stream_writer(part.open("wb"), closefd=True))
    return part.open("wb")


class _GzipFile(gzip.GzipFile):
    """A gzip file that also closes the file under it, which `gzip` leaves open when it is handed in."""

    def __init__(self, under: BinaryIO) -> None:
        super().__init__(filename="", mode="wb", fileobj=under, mtime=0)
        self._under = under

    def close(self) -> None:
        super().close()
        self._under.close()
