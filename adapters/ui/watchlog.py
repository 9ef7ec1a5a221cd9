"""The watch log: what operators write for those who come after them, among what happened to alerts.

Notes stand in `watch.jsonl` of the data folder, chained by hashes like the journal of alerts (`vedette journal` reads
both); what happened to alerts is read from that journal. Nothing in it is ever changed: a wrong note gets another one,
and nothing falls out of it: when it is full, notes are refused until somebody puts it away.
"""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
from msgspec import Meta
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from adapters import log
from adapters.envelope import printable
from adapters.store import AlertJournal, JournalError
from adapters.ui.access import Person
from adapters.ui.answers import as_json, body_of, told
from adapters.wire import load_json, parse_time, rfc3339
from fusion.schema import US_PER_S, Invalid

FILE = "watch.jsonl"
SCHEMA = "vedette.watch-note.v1"
SPAN_S = 12 * 3600  # a watch and what went before it
LINES_MAX = 500  # that a page is told, the newest
FILE_BYTES_MAX = 64_000_000  # years of notes; a full log refuses the next one and says the cure


class _Note(msgspec.Struct):
    """What a page sends."""

    words: Annotated[str, Meta(min_length=1, max_length=1_000)]
    operator: Annotated[str, Meta(max_length=64)] = ""


_NOTE = msgspec.json.Decoder(_Note)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    t_us: int
    who: str  # empty: the rules
    words: str
    note: bool = False

    def __str__(self) -> str:
        stamp = rfc3339(self.t_us)[:19].replace("T", " ")
        return f"{stamp}  {self.who or 'rules'}: {self.words}"


class WatchLog:
    """Notes of one data folder, and `happened(since_us)`: the alerts as they changed, in order of time."""

    def __init__(self, folder: Path, happened: Callable[[int], Sequence[tuple[int, dict[str, Any]]]]) -> None:
        self._path = folder / FILE
        self._journal = AlertJournal(self._path)
        self._happened = happened
        self._notes: list[Line] = []
        self._lock: TextIO | None = None
        self._writing = threading.Lock()  # two persons write at once: each line must hold the hash of the one before
        self._wanted = False  # opened, and not closed since
        self.problem = "the watch log is not open"

    def open(self) -> None:
        """Take the file; where it cannot be had, notes are refused with the reason and everything else goes on. The
        next note tries again: another page may have ended, a disk may have room."""
        self._release()
        self._wanted = True
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._path.with_suffix(".lock").open("w", encoding="utf-8")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._journal = AlertJournal(self._path).open()
            self._notes = [note for payload in self._journal.entries() if (note := _read(payload)) is not None]
            self.problem = ""
        except BlockingIOError:
            self.problem = "another page of this folder keeps the watch log"
        except (OSError, JournalError) as error:
            self.problem = f"the watch log cannot be kept: {error}"
        if self.problem:
            log.get("ui").warning("no watch log", problem=self.problem)

    def close(self) -> None:
        """Give the file free; notes are refused from here on."""
        with self._writing:
            self._wanted, self.problem = False, "the watch log is not open"
            self._release()

    def _release(self) -> None:
        self._journal.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def routes(self) -> list[BaseRoute]:
        """Where to read and write."""
        return [
            Route("/watch", self._get, methods=["GET"]),
            Route("/watch", self._post, methods=["POST"]),
            Route("/watch.txt", self._text, methods=["GET"]),
        ]

    def note(self, who: str, words: str, now_us: int) -> None:
        """Write one down; it is on the disk when this returns. Threads take turns.

        Raises:
            JournalError: it could not be written.
        """
        said = {"schema": SCHEMA, "time": rfc3339(now_us), "operator": who, "words": words}
        with self._writing:
            if self.problem and self._wanted:
                self.open()
            if self.problem:
                raise JournalError(self.problem)
            try:
                if self._path.stat().st_size >= FILE_BYTES_MAX:
                    full = f"it is full ({FILE_BYTES_MAX // 1_000_000} MB)"
                    raise JournalError(f"{full}. Cure: stop the page, put {FILE} away and start it")
                self._journal.append([msgspec.json.encode(said)])
            except (JournalError, OSError) as error:
                self.problem = f"the watch log cannot be kept: {error}"
                raise JournalError(self.problem) from error
            self._notes = [note for note in self._notes if note.t_us >= now_us - 2 * SPAN_S * US_PER_S]
            self._notes.append(Line(now_us, who, words, note=True))

    def lines(self, now_us: int) -> list[Line]:
        """What was written and what happened in the last `SPAN_S`, in order of time, the newest `LINES_MAX`."""
        since_us = now_us - SPAN_S * US_PER_S
        notes = [note for note in self._notes if note.t_us >= since_us]
        return sorted([*notes, *changes(self._happened(since_us))], key=lambda line: line.t_us)[-LINES_MAX:]

    # --- over HTTP ---

    async def _get(self, _request: Request) -> Response:
        lines = await run_in_threadpool(self.lines, _now_us())
        shown = [{"time_us": line.t_us, "who": line.who, "words": line.words, "note": line.note} for line in lines]
        return as_json({"lines": shown, "problem": self.problem})

    async def _text(self, _request: Request) -> Response:
        lines = await run_in_threadpool(self.lines, _now_us())
        return PlainTextResponse("".join(f"{line}\n" for line in lines))

    async def _post(self, request: Request) -> Response:
        person: Person = request.state.person
        if not person.may("acknowledge"):
            return told(False, f"your role is {person.role}", 403)
        try:
            asked = _NOTE.decode(await body_of(request) or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return told(False, "not a note: it has 1 to 1,000 characters", 400)
        who, words = printable(person.name or asked.operator), printable(asked.words)
        if not who or not words:
            return told(False, "a note needs words and the name of who writes it", 400)
        try:
            await run_in_threadpool(self.note, who, words, _now_us())
        except JournalError as error:
            return told(False, str(error), 503)
        return told(True, "written down")


def changes(messages: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[Line]:
    """What happened to alerts, out of their messages in order of time."""
    return (replace(line, who=printable(line.who), words=printable(line.words)) for line in _changes(messages))


def _changes(messages: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[Line]:
    before: dict[str, dict[str, Any]] = {}
    for t_us, said in messages:
        name, was = str(said.get("id", "")), before.get(str(said.get("id", "")), {})
        track, by = str(said.get("track", "")), str(said.get("acknowledged_by", ""))
        if not was and said.get("state") == "raised":
            yield Line(t_us, "", f"alert of severity {said.get('severity')}, {track}: {said.get('sentence', '')}")
        if by and by != was.get("acknowledged_by", ""):
            yield Line(t_us, by, f"acknowledged {track}")
        identity = (said.get("identity", "unknown"), said.get("identity_by", ""))
        if was and identity != (was.get("identity", "unknown"), was.get("identity_by", "")):
            yield Line(
                t_us, str(identity[1]), f"identified {track} as {identity[0]}: {said.get('identity_reason', '')}"
            )
        if said.get("state") == "closed":
            yield Line(t_us, "", f"alert of {track} closed: {said.get('close_reason', '')}")
        before[name] = said


def _read(payload: bytes) -> Line | None:
    try:
        said = load_json(payload, SCHEMA)
        return Line(parse_time(said["time"]), str(said["operator"]), str(said["words"]), note=True)
    except (Invalid, KeyError):
        return None


def _now_us() -> int:
    return time.time_ns() // 1_000
