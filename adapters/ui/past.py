"""The past as it was recorded: whole pictures by the second from recordings, alerts from the journal. Reads only.

What is shown of a second is the picture that was published in it, and every alert as the journal had it by then.
"""

from __future__ import annotations

import asyncio
import re
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from adapters.ui.picture import COLUMNS, UNITS, compact, decode
from adapters.wire import load_json, parse_time
from fusion.schema import US_PER_S, Invalid
from replay.log import BadLog
from replay.mcapfile import Output, tails_of
from replay.mcapread import McapReader

SPAN_S, SPAN_MAX_S = 1_800, 24 * 3_600  # of the timeline
AT_ONCE_S = 30  # seconds of pictures in one answer
ALERTS_MAX = 50_000  # transitions that are kept of a journal, the newest
BEFORE_S = 5  # a chunk holds so much at most before what is looked for
_NAME = re.compile(r"e\d{6,}-(\d{8}T\d{6}Z)(?:_\d{4})?\.mcap")
_ALERT = b'{\\"schema\\":\\"vedette.alert.v1\\"'


class _Line(msgspec.Struct):
    """What is read of a line of the journal."""

    payload: str


_LINE = msgspec.json.Decoder(_Line)


class Past:
    """What a folder of recordings and a journal hold."""

    def __init__(self, recordings: Path, journal: Path) -> None:
        self._folder, self._journal = recordings, journal
        self._read_to = 0  # bytes of the journal
        self._times_us: list[int] = []
        self._alerts: list[dict[str, Any]] = []  # beside `_times_us`, in order of the journal
        self._reading = threading.Lock()  # the watch log asks too
        self._turn = asyncio.Lock()  # one reader at a time: a disk and half a core are enough

    def routes(self) -> list[BaseRoute]:
        """Where to ask."""
        return [Route("/timeline", self._timeline), Route("/past", self._past)]

    async def _timeline(self, request: Request) -> Response:
        try:
            span_s = int(request.query_params.get("span_s", SPAN_S))
            to_s = int(request.query_params.get("to_s", 0))
        except ValueError:
            span_s = to_s = 0
        if not 60 <= span_s <= SPAN_MAX_S:
            return PlainTextResponse(f"span_s is 60 to {SPAN_MAX_S}, to_s whole seconds since 1970\n", 400)
        return await self._answer(lambda: self.timeline(span_s, to_s))

    async def _past(self, request: Request) -> Response:
        try:
            from_s, to_s = (int(request.query_params[name]) for name in ("from_s", "to_s"))
        except (KeyError, ValueError):
            return PlainTextResponse("from_s and to_s are whole seconds since 1970\n", 400)
        return await self._answer(lambda: {"pictures": self.pictures(from_s, min(to_s, from_s + AT_ONCE_S))})

    async def _answer(self, work: Any) -> Response:
        def done() -> bytes:
            with self._reading:
                return msgspec.json.encode(work())

        async with self._turn:
            found = await run_in_threadpool(done)
        return Response(found, media_type="application/json")

    # --- what there is ---

    def timeline(self, span_s: int, to_s: int = 0) -> dict[str, Any]:
        """From when to when there are pictures, at most `span_s` up to `to_s` (0: the newest), the stretches that are
        recorded between, and the alerts that were raised."""
        files = self._files()
        if not files:
            return {"first_us": 0, "newest_us": 0, "from_us": 0, "to_us": 0, "recorded": [], "alerts": []}
        ends_us = [_written_us(path) for _, path in files]
        first_us, newest_us = files[0][0], max(ends_us)
        to_us = min(newest_us, max(to_s * US_PER_S, first_us + 60 * US_PER_S)) if to_s > 0 else newest_us
        from_us = max(first_us, to_us - span_s * US_PER_S)
        recorded = [
            (max(start_us, from_us), min(end_us, to_us))
            for (start_us, _), end_us in zip(files, ends_us, strict=True)
            if start_us < to_us and end_us > from_us
        ]
        self._hear()
        first: dict[str, dict[str, Any]] = {}
        for t_us, said in zip(self._times_us, self._alerts, strict=True):
            if from_us <= t_us <= to_us:
                tick = {"t_us": t_us, "severity": said["severity"], "track": said["track"], "state": said["state"]}
                first.setdefault(said["id"], tick)
        whole = {"first_us": first_us, "newest_us": newest_us, "from_us": from_us, "to_us": to_us}
        return {**whole, "recorded": recorded, "alerts": list(first.values())}

    def pictures(self, from_s: int, to_s: int) -> list[tuple[int, dict[str, Any]]]:
        """Seconds and what was in the picture of each, as a viewer takes it."""
        self._hear()
        rows = list(self._rows(from_s, to_s))
        alerts = self.alerts_at([(second + 1) * US_PER_S for second, _, _ in rows])
        return [(at, self._whole(seen, said, marks)) for (at, seen, marks), said in zip(rows, alerts, strict=True)]

    def _whole(self, rows: list[list[Any]], alerts: list[dict[str, Any]], marks: dict[str, Any]) -> dict[str, Any]:
        things: list[Any] = [["status", "", {"state": "recorded", **marks}]]
        things += [["alert", alert["id"], alert] for alert in alerts]
        return {
            "kind": "whole",
            "version": 0,
            "columns": COLUMNS,
            "units": UNITS,
            "rows": rows,
            "things": things,
            "pulse": {},
        }

    def happened(self, since_us: int) -> list[tuple[int, dict[str, Any]]]:
        """What was told of alerts since then, in the order of the journal."""
        with self._reading:
            self._hear()
            first = bisect_left(self._times_us, since_us)
            return list(zip(self._times_us[first:], self._alerts[first:], strict=True))

    def alerts_at(self, times_us: Sequence[int]) -> list[list[dict[str, Any]]]:
        """Every alert that was open at each of these times, rising, as the journal had it: it is walked once."""
        found: dict[str, dict[str, Any]] = {}
        answers, done = [], 0
        for t_us in times_us:
            upto = bisect_right(self._times_us, t_us)
            for said in self._alerts[done:upto]:
                if said["state"] == "closed":
                    found.pop(said["id"], None)
                else:
                    found[said["id"]] = said
            done = upto
            answers.append(list(found.values()))
        return answers

    def _rows(self, from_s: int, to_s: int) -> Iterator[tuple[int, list[list[Any]], dict[str, Any]]]:
        """(second, rows, marks) of every whole picture in order; the newest file that has a second wins."""
        told: dict[int, tuple[int, list[list[Any]], dict[str, Any]]] = {}
        for start_us, path in self._files():
            if start_us > to_s * US_PER_S or _written_us(path) < from_s * US_PER_S:
                continue
            for output in _outputs(path, from_s):
                second = output.t_us // US_PER_S
                if second >= to_s:
                    break
                if output.topic != "picture" or second < from_s:
                    continue
                try:
                    message = decode(output.payload)
                except Invalid:
                    continue
                if second not in told or told[second][0] != message.seq:
                    told[second] = (message.seq, [], {"simulated": message.simulated, "mode": message.mode})
                told[second][1].extend(compact(row) for row in message.tracks)
        return ((second, *told[second][1:]) for second in sorted(told))

    def _files(self) -> list[tuple[int, Path]]:
        """Recordings with the time of their first frame, in order of it."""
        if not self._folder.is_dir():
            return []
        found = []
        for path in self._folder.iterdir():
            name = _NAME.fullmatch(path.name)
            if name is not None:
                began = datetime.strptime(name[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                found.append((round(began.timestamp()) * US_PER_S, path))
        return sorted(found)

    def _hear(self) -> None:
        """Read on in the journal; one that became shorter is another."""
        if not self._journal.is_file():
            return
        if self._journal.stat().st_size < self._read_to:
            self._read_to = 0
            self._times_us.clear()
            self._alerts.clear()
        with self._journal.open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read_to += len(line)
                if _ALERT in line:
                    self._note(line)
        if len(self._alerts) > ALERTS_MAX:
            del self._times_us[:-ALERTS_MAX], self._alerts[:-ALERTS_MAX]

    def _note(self, line: bytes) -> None:
        try:
            said = load_json(_LINE.decode(line).payload.encode())
            t_us = parse_time(said["time"])
        except (Invalid, msgspec.DecodeError, KeyError):
            return  # `vedette journal` says what is wrong with it
        # A clock that was set back may not hide what came after.
        self._times_us.append(max(t_us, self._times_us[-1] if self._times_us else t_us))
        self._alerts.append(said)


def _outputs(path: Path, from_s: int) -> Iterator[Output]:
    try:
        for item in McapReader(path, (from_s - BEFORE_S) * US_PER_S):
            if isinstance(item, Output):
                yield item
    except (BadLog, OSError):
        return  # a file that was just taken away, or is none: `vedette record info` says more


def _written_us(path: Path) -> int:
    """When a recording was last written to."""
    times = [0.0]
    for part in (path, *tails_of(path)):
        try:
            times.append(part.stat().st_mtime)
        except OSError:
            continue
    return round(max(times)) * US_PER_S
