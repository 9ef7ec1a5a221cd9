"""Reports of people from somebody else's table or lines, to the service and its answers back.

A report is published on `in/{sensor}/sighting` and again, after pauses that double, until the service says what became
of it: a report with the same id is the same report there. What it says is logged, a refusal as a warning. At most
`MOST_REPORTS` wait for an answer; past that, or after `KEEP_S`, the oldest is given up and counted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

import msgspec
import structlog

from adapters import feed
from adapters.bridges.common import SAY_EVERY_S, TOGETHER_S, Heard, Tally
from adapters.bridges.source import Lines, Piece
from adapters.broker import BrokerSettings, Incoming, Outgoing, PublishDenied
from adapters.formats import sensorstatus, sighting, sightingcsv
from adapters.mqtt import Connection
from adapters.wire import dump, load_json
from fusion.schema import US_PER_S, Invalid, SensorKind, SensorSpec

FIRST_PAUSE_S, MOST_PAUSE_S = 5.0, 60.0  # between two times that a report is said
KEEP_S = 1_800.0  # then a report is of nothing that flies still
MOST_REPORTS = 1_000
MOST_SAID = 10  # bad lines a second stand in the log, each with its beginning; every one is counted
LETTERS_SAID = 80
MOST_DONE = 10_000  # whose answers are remembered
OVERLOAD = "overload"  # the reason with which the service asks for a report later
END_WITHIN_S = 4.0  # for answers, when the source has ended
_log = structlog.get_logger("vedette.bridge")


class Reports:
    """Lines in, reports of one sensor out: objects of JSON, or rows under a line that names columns."""

    def __init__(self, sensor: str, zone: tzinfo | None = None) -> None:
        self._spec, self._zone = SensorSpec(sensor, 0, SensorKind.SIGHTING), zone
        self._lines, self._table = Lines(), sightingcsv.Table(zone)
        self._said: tuple[int, int] = (0, 0)  # the second of arrival, and bad lines of it that were told

    def cut(self) -> None:
        """The connection ended: what comes next names its columns again."""
        self._lines.cut()
        self._table = sightingcsv.Table(self._zone)

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the reports of these pieces."""
        for rx_us, line in self._lines.of(pieces, heard):
            try:
                said = _object(line) if line.lstrip().startswith(b"{") else self._table.line(line)
                if said is not None:
                    named = {**said, "schema": sighting.SCHEMA, "sensor": self._spec.id}
                    heard.reports.append(sighting.decode(dump(named), self._spec, rx_us))
            except Invalid as fault:
                heard.refused[fault.reason] += 1
                self._say(rx_us, line, fault)

    def _say(self, rx_us: int, line: bytes, fault: Invalid) -> None:
        """What a person wrote is looked for by a person: which line it was, and why."""
        second, many = rx_us // US_PER_S, 0
        if second == self._said[0]:
            many = self._said[1]
        if many < MOST_SAID:
            self._said = second, many + 1
            begins = line[:LETTERS_SAID].decode("utf-8", "replace")
            why = {"reason": fault.reason, "detail": fault.detail[:200]}
            _log.warning("a report is not passed on", **why, line=begins)


def _object(line: bytes) -> dict[str, Any]:
    """A report as an object of JSON, its numbers as they are written."""
    load_json(line)  # what is wrong with it, in our words
    fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    made: dict[str, Any] = {name: value for name, value in fields.items() if bytes(value) != b"null"}
    made.setdefault("id", sightingcsv.row_id(line))
    return made


@dataclass(slots=True)
class _Said:
    message: Outgoing
    first_s: float
    due_s: float
    pause_s: float = FIRST_PAUSE_S


class Unanswered:
    """Reports that the service has not answered yet, by id. Knows no clock."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}
        self._done: dict[str, None] = {}  # answered; a table that is written anew holds them again
        self.fell = 0  # given up

    def __len__(self) -> int:
        return len(self._said)

    def add(self, name: str, message: Outgoing, now_s: float) -> None:
        """A report is to be said; one with an id that waits already, or was answered, is the same one."""
        if name in self._said or name in self._done:
            return
        while len(self._said) >= MOST_REPORTS:
            self._drop(next(iter(self._said)))
        self._said[name] = _Said(message, now_s, now_s)

    def answered(self, name: str) -> bool:
        """The service has said what became of it; False: nobody asked."""
        if self._said.pop(name, None) is None:
            return False
        self._done[name] = None
        while len(self._done) > MOST_DONE:
            del self._done[next(iter(self._done))]
        return True

    def due(self, now_s: float) -> list[Outgoing]:
        """What is to be said now, in the order in which it came."""
        for name in [name for name, one in self._said.items() if now_s - one.first_s > KEEP_S]:
            self._drop(name)
        chosen = [one for one in self._said.values() if now_s >= one.due_s]
        for one in chosen:
            one.due_s, one.pause_s = now_s + one.pause_s, min(2.0 * one.pause_s, MOST_PAUSE_S)
        return [one.message for one in chosen]

    def _drop(self, name: str) -> None:
        del self._said[name]
        self.fell += 1


async def deliver(
    source: AsyncIterator[Heard], settings: BrokerSettings, site: str, sensors: Sequence[str], tally: Tally
) -> None:
    """Pass on the reports of one sensor until cancelled or the source ends.

    Raises:
        adapters.broker.PublishDenied: the broker refuses a message: wrong account or topic.
        feed.NoBroker: it was never there.
    """
    (sensor,) = sensors
    base = f"vedette/v1/{site}/"
    answers = f"{base}answer/{sensor}/reports"
    waiting, words = Unanswered(), list[Outgoing]()
    async with feed.connected(settings, "bridge", [(answers, 1)]) as connection:
        tasks = [
            asyncio.create_task(_hear(connection, waiting, tally), name="answers"),
            asyncio.create_task(_say(connection, waiting, words), name="reports"),
            asyncio.create_task(_talk(waiting, tally), name="talk"),
        ]
        try:
            async for heard in source:
                if any(task.done() for task in tasks):
                    break
                tally.note(heard, len(heard.reports))
                for report in heard.reports:
                    payload = sighting.encode(replace(report, response_topic="", correlation=b""))
                    message = Outgoing(
                        f"{base}in/{sensor}/sighting", payload, 1, response_topic=answers, correlation=b"r"
                    )
                    waiting.add(report.id, message, asyncio.get_running_loop().time())
                if heard.words:  # how it is, not how it was
                    words[:] = [
                        Outgoing(f"{base}in/{sensor}/status", sensorstatus.encode(word), 1) for word in heard.words[-1:]
                    ]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_WITHIN_S):
                    while len(waiting) and not any(task.done() for task in tasks):
                        await asyncio.sleep(TOGETHER_S)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            tally.fell += waiting.fell
        for task in tasks:
            if not task.cancelled():
                task.result()


async def _hear(connection: Connection, waiting: Unanswered, tally: Tally) -> None:
    while True:
        incoming = await connection.inbox.get()
        connection.ack(incoming)
        with contextlib.suppress(Invalid):
            _answer(incoming, waiting, tally)


def _answer(incoming: Incoming, waiting: Unanswered, tally: Tally) -> None:
    said = load_json(incoming.payload, sighting.ANSWER_SCHEMA)
    name, ok, detail = str(said.get("id", "")), said.get("ok") is True, str(said.get("detail", ""))
    if detail.startswith(OVERLOAD):
        return  # it asks to hear it again
    first = waiting.answered(name)
    words = {"id": name, "detail": detail[:200], "track": str(said.get("track", ""))[:40]}
    if ok:
        _log.info("a report was taken", **words)
    else:
        _log.warning("a report was refused", **words)
        tally.refused["by-the-service"] += first


async def _say(connection: Connection, waiting: Unanswered, words: list[Outgoing]) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(TOGETHER_S)
        if not connection.connected:
            continue
        sent = [*words, *waiting.due(loop.time())]
        words.clear()
        errors = await connection.publish_many(sent)
        denied = next((error for error in errors if isinstance(error, PublishDenied)), None)
        if denied is not None:
            raise denied


async def _talk(waiting: Unanswered, tally: Tally) -> None:
    said = ""
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        words = f"{tally.words()}; {len(waiting)} reports wait for an answer"
        if words != said:
            _log.info("passed on", so_far=words)
        said = words
