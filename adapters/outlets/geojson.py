"""The picture as GeoJSON: a file that is written anew, or a line on standard output for every change."""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sys
import threading
from pathlib import Path
from typing import BinaryIO

from adapters.broker import now_us
from adapters.formats import geojson
from adapters.outlets.held import Held
from adapters.outlets.listener import Listener


class Mouth:
    """Writes to a pipe in a thread of its own: a reader who does not read stops neither us nor our end."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._waiting: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write, args=(asyncio.get_running_loop(),), daemon=True).start()

    async def say(self, text: bytes) -> None:
        """Until it is written. Raises OSError."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.put((text, done))
        await done

    def _write(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            text, done = self._waiting.get()
            problem: OSError | None = None
            try:
                self._pipe.write(text)
                self._pipe.flush()
            except OSError as error:
                problem = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(_settle, done, problem)


def _settle(done: asyncio.Future[None], problem: OSError | None) -> None:
    if done.done():
        return
    if problem is None:
        done.set_result(None)
    else:
        done.set_exception(problem)


class GeoJson:
    """One of the two, until cancelled."""

    def __init__(self, every_s: float, file: Path | None) -> None:
        self._every_s, self._file = every_s, file
        self._written = 0

    def words(self) -> str:
        """One line for people."""
        return f"{self._written} {'lines' if self._file is None else 'files'} written"

    async def serve(self, listener: Listener) -> None:
        """Write. Raises OSError where that cannot be done."""
        if self._file is None:
            mouth = Mouth(sys.stdout.buffer)
            await asyncio.gather(self._alert_lines(listener, mouth), self._track_lines(listener, mouth))
        else:
            await self._files(listener, self._file)

    async def _files(self, listener: Listener, file: Path) -> None:
        while True:
            text = whole(listener.held, listener.site, now_us())
            await asyncio.to_thread(replace_file, file, text)
            self._written += 1
            await asyncio.sleep(self._every_s)

    async def _track_lines(self, listener: Listener, mouth: Mouth) -> None:
        number = 0
        while True:
            await listener.changed(number)
            found = listener.held.changes(number)
            number = found.number
            lines = [geojson.track(told) for told in found.changed]
            lines += [geojson.ended(name, now_us()) for name in found.gone]
            await self._say(mouth, lines)
            await asyncio.sleep(self._every_s)

    async def _alert_lines(self, listener: Listener, mouth: Mouth) -> None:
        number = 0
        while True:
            await listener.alerted(number)
            found = listener.held.alert_changes(number)
            number = found.number
            await self._say(mouth, [geojson.alert(said) for said in found.alerts])

    async def _say(self, mouth: Mouth, lines: list[bytes]) -> None:
        await mouth.say(b"".join(line + b"\n" for line in lines))
        self._written += len(lines)


def whole(held: Held, site: str, time_us: int) -> bytes:
    """All tracks and open alerts as one collection."""
    features = [geojson.track(told) for told in held.tracks()] + [geojson.alert(said) for said in held.alerts()]
    return geojson.collection(features, time_us, site)


def replace_file(file: Path, text: bytes) -> None:
    """A reader finds the old file or the new one, never a part. Raises OSError, and leaves nothing beside it then."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_bytes(text)
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
