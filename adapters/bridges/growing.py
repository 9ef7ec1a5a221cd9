"""A file of lines that somebody else writes to: what is added to it, like a connection that ends when it goes away.

A file that is not there is looked for again; one that was cut, or is another one under the same name, is read from its
beginning.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from adapters.bridges.common import Heard
from adapters.bridges.source import MOST_LINE_OCTETS, PIECE_OCTETS, Health, Listener
from adapters.broker import now_us

LOOK_EVERY_S = 0.25


class Growing:
    """A file as it grows. `header`: its first line is one, and is read even where what is there already is not."""

    def __init__(self, path: Path, is_all: bool, header: bool = False) -> None:
        self._path, self._is_all, self._header = path, is_all, header
        self._file: BinaryIO | None = None
        self._begun = False  # it was looked at: what comes later under this name is new

    def read(self) -> tuple[bytes, bool, str]:
        """What was added, at most `PIECE_OCTETS`; whether it begins another file than before; why there is none."""
        try:
            now = self._path.stat()
            if self._file is None:
                another = self._begun
                return self._opened(), another, ""
            if now.st_ino != os.fstat(self._file.fileno()).st_ino or now.st_size < self._file.tell():
                self.close()
                return self._opened(), True, ""
            return self._file.read(PIECE_OCTETS), False, ""
        except OSError as error:
            self.close()
            self._begun = True
            return b"", False, error.strerror or str(error)

    def close(self) -> None:
        """Let go of it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opened(self) -> bytes:
        file = self._path.open("rb")
        first = b""
        if not self._is_all and not self._begun:
            first = file.readline(MOST_LINE_OCTETS) if self._header else b""
            file.seek(0, os.SEEK_END)
        self._file, self._begun = file, True
        return first


async def from_file(growing: Growing, listener: Listener, *sensors: str) -> AsyncIterator[Heard]:
    """What is added to the file, every `LOOK_EVERY_S`; for ever, whether it is there or not."""
    health = [Health(name) for name in sensors]
    try:
        while True:
            heard = Heard()
            octets, another, why = growing.read()
            if another or why:
                listener.cut()
            if octets:
                listener.hear([(now_us(), octets)], heard)
            for one in health:
                heard.words += one.words(now_us(), "off" if why else "ok", why)
            yield heard
            await asyncio.sleep(0.0 if octets else LOOK_EVERY_S)
    finally:
        growing.close()
