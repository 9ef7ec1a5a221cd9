"""A recording on disk while it is written: MCAP in chunks of 64 KiB, and beside it what no chunk holds yet.

    e000012-20261126T164500Z.mcap         chunks, each compressed and with a check sum; a summary when it is finished
    e000012-20261126T164500Z.mcap.tail    what no chunk holds yet, without chunks ...
    e000012-20261126T164500Z.mcap.tail2   ... in turns with this one; gone when it is finished

Chunks of one tick would be small and would hardly compress; a chunk that waits in memory would be lost by kill -9. So
every flush writes to a tail, one write for a tick, and a full chunk takes the place of the tail. The tail stays until
the chunk is on the disk, where the tail may have been for long, and what comes meanwhile goes into the other one: else
a power cut would take both. While that one is still waited for too, a tail goes on, and holds several chunks. So frames
may be in chunk and tail: their numbers tell. Every byte is written twice, once of it into a file of about a chunk.

A frame is a message on the channel of its source: `log_time` its arrival in nanoseconds, `sequence` the low 32 bits of
its number. Order in the file is the order of frames. What the service said stands on channels below `out/`. What does
not fit into this (an empty tick is one that does) goes as a whole line of `replay/log.py` on the channel `frames`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from mcap.data_stream import RecordBuilder
from mcap.records import Channel, Header, McapRecord, Message, Schema
from mcap.writer import MCAP0_MAGIC, CompressionType, Writer

from fusion.schema import Frame
from replay.log import TICK, encode_line

CHUNK_BYTES = 65_536
CHANNELS_MAX = 1_000  # sources with a channel of their own; more can only be rubbish, and go as lines
MESSAGE_BYTES = 31  # of a message record beside its data
OUTPUT = "out/"
LINES = "frames"  # the channel of whole lines
PROFILE = "vedette"
LIBRARY = "vedette, first frame "  # of the header
TAIL_LIBRARY = "vedette, turn "  # of a tail's
TAILS = (".tail", ".tail2")
HIGH = 2**32  # what the 32 bits of a message's number count
STEP_MAX = 2**31  # from one frame's number to the next; further steps go as lines

NamedSchema = tuple[str, bytes]  # name, JSON schema
SchemaOf = Callable[[str, bytes], NamedSchema | None]  # of a topic, by its first payload


@dataclass(frozen=True, slots=True)
class Output:
    """What the service said at tick time `t_us`; `topic` without `out/`."""

    t_us: int
    topic: str
    payload: bytes


def tick_data(rx_us: int) -> bytes:
    """What stands in the file for the empty payload of a tick, so that viewers of JSON show it."""
    return b'{"time_us":%d}' % rx_us


def tails_of(path: Path) -> tuple[Path, Path]:
    """The files beside a recording that hold what no chunk on the disk holds yet."""
    first, second = (path.with_name(path.name + tail) for tail in TAILS)
    return first, second


class McapWriter:
    """Writes one recording: `flush` hands all of it to the operating system, `syncing` to the disk.

    A tail is only let go of behind a sync: who never syncs uses `cut` instead of `flush`, and finishes. After an
    OSError it can only be abandoned: the file is torn, and reads like one after a crash.
    """

    def __init__(self, path: Path, schema_of: SchemaOf = lambda _topic, _payload: None, first_seq: int = 0) -> None:
        """`first_seq`: number of the first frame, which the header tells, so that a lost beginning can be counted.

        Raises:
            OSError: the file is there already or cannot be made.
        """
        self.path = path
        self.frames = 0
        self._schema_of = schema_of
        self._main = _Sink(path)
        self._tails: list[_Tail] = []
        try:
            for turn, tail in enumerate(tails_of(path)):
                self._tails.append(_Tail(tail, turn))
        except OSError:
            self.abandon()
            raise
        self._tail, self._other = self._tails  # what is written to; what is free, or waits for `_needed` to be synced
        self._chunks = self._needed = self._synced = 0  # written; of these, in the other tail; on the disk
        self._writer = Writer(self._main, chunk_size=2**40, compression=CompressionType.ZSTD)  # type: ignore[arg-type]
        self._writer.start(profile=PROFILE, library=f"{LIBRARY}{first_seq}")
        self._records = RecordBuilder()
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self._newest = first_seq - 1  # number of the newest frame
        self._outputs = 0
        self._chunk_bytes = 0
        self._is_named = False  # the folder is synced since the files were made

    @property
    def size_bytes(self) -> int:
        """On disk and on its way there."""
        return self._main.size + sum(tail.size for tail in self._tails) + self._chunk_bytes

    def add(self, frame: Frame) -> None:
        """Append one frame. Raises ValueError when its `seq` does not rise."""
        if frame.seq <= self._newest:
            raise ValueError(f"seq {frame.seq} does not rise above {self._newest}")
        plain = frame.source != LINES and not frame.source.startswith(OUTPUT) and frame.seq - self._newest <= STEP_MAX
        data = frame.payload
        if frame.source == TICK:
            plain, data = plain and not frame.payload, tick_data(frame.rx_us)
        if not plain or (frame.source not in self._channels and len(self._channels) >= CHANNELS_MAX):
            self._add(LINES, frame.rx_us, frame.seq, encode_line(frame))
        else:
            self._add(frame.source, frame.rx_us, frame.seq, data)
        self._newest = frame.seq
        self.frames += 1

    def add_output(self, output: Output) -> None:
        """Append what the service said."""
        self._outputs += 1
        self._add(OUTPUT + output.topic, output.t_us, self._outputs, output.payload)

    def flush(self) -> bool:
        """Give everything to the operating system: from here on it survives kill -9. True: a chunk was finished.

        Raises:
            OSError: the disk refused.
        """
        is_free = self._needed <= self._synced
        if is_free and self._other.holds:
            self._other.empty(self._tail.turn + 1)
        if self._chunk_bytes < CHUNK_BYTES:
            self._tail.flush()
            return False
        self._finish_chunk()
        if is_free:
            self._tail.forget()
            self._tail, self._other = self._other, self._tail
            self._needed = self._chunks
        else:
            self._tail.flush()
        return True

    def cut(self) -> None:
        """Finish a chunk that is full. What none holds yet stays in memory. Raises OSError."""
        if self._chunk_bytes >= CHUNK_BYTES:
            self._finish_chunk()
        self._tail.forget()

    def syncing(self) -> Callable[[], None]:
        """What brings all of it to the disk, where it survives a power cut: to be called once, by whatever thread."""
        copies = [os.dup(self._main.fd), os.dup(self._tail.fd)]
        chunks = self._chunks

        def sync() -> None:
            try:
                for fd in copies:
                    os.fdatasync(fd)
                self._sync_names()
                self._synced = chunks
            finally:
                for fd in copies:
                    os.close(fd)

        return sync

    def finish(self) -> None:
        """End the file with its summary, on the disk; the tail goes. Raises OSError."""
        self._writer.finish()  # type: ignore[no-untyped-call]
        os.fdatasync(self._main.fd)
        self._sync_names()
        self.abandon()
        for tail in tails_of(self.path):
            tail.unlink()

    def abandon(self) -> None:
        """Let go of the files as they are."""
        self._main.close()
        for tail in self._tails:
            tail.close()

    def _finish_chunk(self) -> None:
        self._writer.flush()  # type: ignore[no-untyped-call]
        self._chunk_bytes = 0
        self._chunks += 1

    def _sync_names(self) -> None:
        """Once: a file that is synced in a folder that is not may be gone after a power cut, name and all."""
        if not self._is_named:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
            self._is_named = True

    def _add(self, topic: str, t_us: int, number: int, data: bytes) -> None:
        channel = self._channels.get(topic) or self._register(topic, data)
        t_ns, sequence = t_us * 1000, number % HIGH
        self._writer.add_message(channel, t_ns, data, t_ns, sequence)
        if len(data) < CHUNK_BYTES:  # else the next flush writes a chunk, and the tail would hold all of it for nothing
            self._tail.add(topic, Message(channel, t_ns, data, t_ns, sequence))
        self._chunk_bytes += MESSAGE_BYTES + len(data)

    def _register(self, topic: str, data: bytes) -> int:
        found = self._schema_of(topic, data)
        schema = 0
        if found is not None:
            name, text = found
            if name not in self._schemas:
                schema_id = self._schemas[name] = self._writer.register_schema(name, "jsonschema", text)
                self._chunk_bytes += len(text)
                # Named outside of chunks too: a lost or left-out chunk takes no name with it.
                self._name(Schema(schema_id, text, "jsonschema", name))
            schema = self._schemas[name]
        channel = self._channels[topic] = self._writer.register_channel(topic, "json", schema)
        self._name(Channel(channel, topic, "json", {}, schema))
        return channel

    def _name(self, record: McapRecord) -> None:
        record.write(self._records)
        self._main.write(self._records.end())  # type: ignore[no-untyped-call]


class _Sink:
    """A new file without a buffer of its own: what a write could not do is an error now, never at some later close."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        self.size = 0

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        while view:
            done = os.write(self.fd, view)
            self.size += done
            view = view[done:]
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing waits here."""

    def empty(self) -> None:
        os.ftruncate(self.fd, 0)
        os.lseek(self.fd, 0, os.SEEK_SET)
        self.size = 0

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class _Tail:
    """A tail: an MCAP file without chunks, that needs nothing of the file it stands beside. `turn` says, in its header
    too, which of the two was written later."""

    def __init__(self, path: Path, turn: int) -> None:
        self.turn = turn
        self.holds = False  # anything
        self._file = _Sink(path)
        self._records = RecordBuilder()
        self._told: dict[int, str] = {}
        self._waiting = BytesIO()
        self._begin()

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def fd(self) -> int:
        return self._file.fd

    def add(self, topic: str, message: Message) -> None:
        if message.channel_id not in self._told:
            self._told[message.channel_id] = topic
            Channel(message.channel_id, topic, "json", {}, 0).write(self._records)
        message.write(self._records)
        self._waiting.write(self._records.end())  # type: ignore[no-untyped-call]
        self.holds = True

    def flush(self) -> None:
        """One write of whatever waits."""
        data = self._waiting.getvalue()
        self._waiting = BytesIO()
        self._file.write(data)

    def forget(self) -> None:
        """What waits is in a chunk. No channel that it named counts as named."""
        self._waiting = BytesIO()
        self._told.clear()

    def empty(self, turn: int) -> None:
        """Begin anew."""
        self.turn, self.holds = turn, False
        self._file.empty()
        self._begin()

    def _begin(self) -> None:
        self._told.clear()
        Header(PROFILE, f"{TAIL_LIBRARY}{self.turn}").write(self._records)
        self._waiting = BytesIO()
        self._waiting.write(MCAP0_MAGIC + self._records.end())  # type: ignore[no-untyped-call]
        self.flush()

    def close(self) -> None:
        self._file.close()
