"""What `vedette run` writes of its frames and of what it said: recordings that roll, within a budget of disk.

A disk that refuses stops the recording and nothing else: what is not recorded is counted, the service says so, and
every ten seconds a new file is tried. All methods block; call them from the writer thread, in order of ticks.
"""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from datetime import UTC, datetime
from pathlib import Path

from adapters.files.configfile import RecordFile
from fusion.schema import US_PER_S, Frame
from replay.mcapfile import McapWriter, Output, SchemaOf, tails_of
from replay.recording import MCAP

SYNC_EVERY_US = US_PER_S  # a power cut costs no more than this, or one chunk where a chunk is filled sooner
RETRY_EVERY_US = 10 * US_PER_S
RESERVE_BYTES = 300_000_000  # left free on the disk, for the journal before all: old recordings go first
_NAME = re.compile(r"e\d{6,}-\d{8}T\d{6}Z(_\d{4})?\.mcap(\.tail2?)?")


class Recorder:
    """Recordings of one service in one folder. `problem` is "" while it records."""

    def __init__(self, folder: Path, limits: RecordFile, schema_of: SchemaOf, syncer: Executor) -> None:
        """`syncer` waits for the disk, so that nobody else has to."""
        self.folder = folder
        self.problem = ""
        self.frames = 0  # recorded
        self.lost = 0  # frames that no disk took
        self.files_deleted = 0  # to stay within the budget
        self.folder_bytes = 0
        self.is_fresh = False  # a file has begun: it stands for itself from its first checkpoint on
        self._limits = limits
        self._schema_of = schema_of
        self._syncer = syncer
        self._syncing: Future[None] | None = None
        self._writer: McapWriter | None = None
        self._start: Frame | None = None  # what the run began with
        self._epoch = 0
        self._opened_us = self._synced_us = self._retry_us = -1

    def begin(self, epoch: int, start: Frame, left: Sequence[Frame] = ()) -> None:
        """A run begins, with a file of its own: `start` is its first frame, what the runs before left comes behind."""
        self._finish()
        self._epoch, self._start, self._retry_us = epoch, start, -1
        self._keep(start.rx_us, [start, *left])

    def go_on(self, epoch: int, start: Frame, left: Sequence[Frame] = ()) -> None:
        """A run goes on in a file of its own, numbered on; `start` says who goes on, and is no frame of the run."""
        self._finish()
        self._epoch, self._start, self._retry_us = epoch, start, -1
        if left:
            self._keep(start.rx_us, left)

    def write(self, frames: Sequence[Frame], tick_us: int) -> None:
        """Frames in order, in the hands of the operating system when this returns, unless `problem` says otherwise."""
        if self._is_due(tick_us):
            self._finish()
        self._keep(tick_us, frames)

    def say(self, outputs: Sequence[Output]) -> None:
        """What the service said at a tick that is written."""
        if self._writer is None or not outputs:
            return
        try:
            for output in outputs:
                self._writer.add_output(output)
            self._flush(outputs[-1].t_us)
        except OSError as error:
            self._fail(error, outputs[-1].t_us)

    def close(self) -> None:
        """End the file in order."""
        self._finish()
        if self._syncing is not None:
            self._syncing.cancel()

    def _keep(self, tick_us: int, frames: Sequence[Frame]) -> None:
        if not self._limits.enabled:
            return
        try:
            if self._writer is None:
                if tick_us < self._retry_us:
                    self.lost += len(frames)
                    return
                self._writer = self._open(tick_us, frames)
            for frame in frames:
                self._writer.add(frame)
            self._flush(tick_us)
        except OSError as error:
            self.lost += len(frames)
            self._fail(error, tick_us)
        else:
            self.frames += len(frames)

    def _open(self, tick_us: int, frames: Sequence[Frame]) -> McapWriter:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        writer = McapWriter(_free(self.folder, self._epoch, tick_us), self._schema_of, frames[0].seq)
        self._opened_us = self._synced_us = tick_us
        self.problem = ""
        if self._start is not None and self._start not in frames:
            writer.add_output(Output(tick_us, "start", self._start.payload))
            self.is_fresh = True
        return writer

    def _flush(self, tick_us: int) -> None:
        assert self._writer is not None
        whole = self._writer.flush()
        if whole or tick_us - self._synced_us >= SYNC_EVERY_US:
            self._synced_us = tick_us
            if self._syncing is None or self._syncing.done():  # a slow disk is asked again when it has answered
                self._syncing = self._syncer.submit(_quietly, self._writer.syncing())

    def _is_due(self, tick_us: int) -> bool:
        if self._writer is None or not self._writer.frames:
            return False
        old = tick_us - self._opened_us >= self._limits.file_s * US_PER_S
        return old or self._writer.size_bytes >= self._limits.file_bytes

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            writer.finish()
        except OSError as error:
            writer.abandon()
            self.problem = error.strerror or str(error)

    def _fail(self, error: OSError, tick_us: int) -> None:
        self.problem = error.strerror or str(error)
        self._retry_us = tick_us + RETRY_EVERY_US
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    def _make_room(self) -> None:
        """Let the oldest files go until a whole new one fits into the budget, and the disk has room for the journal."""
        files = sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))
        sizes = {path: path.stat().st_size for path in files}
        total = sum(sizes.values())
        for path in files:
            within = total + self._limits.file_bytes <= self._limits.budget_bytes
            if within and shutil.disk_usage(self.folder).free >= RESERVE_BYTES:
                break
            path.unlink()
            total -= sizes[path]
            self.files_deleted += path.suffix == MCAP
        self.folder_bytes = total
        if shutil.disk_usage(self.folder).free < RESERVE_BYTES:
            raise OSError(
                errno.ENOSPC, f"less than {RESERVE_BYTES // 1_000_000} MB are free, which the journal may need"
            )


def _free(folder: Path, epoch: int, tick_us: int) -> Path:
    """A name that is not taken: names sort in the order of writing, whatever a replayed clock says."""
    stamp = datetime.fromtimestamp(tick_us // US_PER_S, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(10_000):
        path = folder / f"e{epoch:06d}-{stamp}{f'_{number:04d}' if number else ''}{MCAP}"  # "_" sorts behind "."
        if not any(one.exists() for one in (path, *tails_of(path))):
            return path
    raise OSError(f"10,000 recordings begin with {stamp}")


def _quietly(sync: Callable[[], None]) -> None:
    """A sync that fails says so at the next write, which is the one that counts."""
    try:
        sync()
    except OSError:
        return
