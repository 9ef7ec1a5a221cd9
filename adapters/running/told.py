"""How far of the journal the broker was told, so that a start says again what a crash kept from `alert-log`.

Alerts are journalled before they are published, and a process can die between the two. What is open is told again
anyway, retained; a transition on `alert-log` is told once. So the number of entries that were published is kept in a
small file, written without waiting for the disk: after a crash it is true or behind, and then some entries are told
twice, which their ids make harmless.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import structlog

_DIGITS = 20
_log = structlog.get_logger("vedette.alerts")


class Told:
    """The number of entries, in a file. A file that was never there knows of nothing that was kept from anybody."""

    def __init__(self, path: Path, entries: int) -> None:
        """`entries` of the journal now.

        Raises:
            OSError: the file cannot be made.
        """
        self._path = path
        made = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        text = b"" if made else os.pread(self._fd, _DIGITS, 0)
        self.count = entries if made else min(int(text), entries) if text.isdigit() else 0
        if made:
            self._write(entries)
            os.fsync(self._fd)

    def note(self, count: int) -> None:
        """All entries up to this number were published. A disk that refuses costs repeats, and nothing else."""
        if count != self.count:
            with contextlib.suppress(OSError):
                self._write(count)

    def unsaid(self, recent: Sequence[tuple[int, bytes]], entries: int) -> list[bytes]:
        """Of the newest entries of a journal, each with its number from 1, those that were not published; `entries`:
        how many of them a start found there."""
        found = [payload for number, payload in recent if self.count < number <= entries]
        missing = entries - self.count - len(found)
        if missing > 0:
            _log.error("transitions are not told again, the journal holds them", count=missing)
        return found

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _write(self, count: int) -> None:
        data = b"%0*d" % (_DIGITS, count)
        if os.lseek(self._fd, 0, os.SEEK_SET) == 0 and os.write(self._fd, data) == len(data):
            self.count = count
