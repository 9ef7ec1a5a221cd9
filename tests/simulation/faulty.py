"""Known faults, each put into the shell for a while: a simulation that does not find them proves nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from adapters import store
from adapters.broker import now_us
from adapters.formats import watermark
from adapters.running import checkpoint, live
from adapters.running.alertline import AlertLine
from adapters.running.intake import Arrived
from adapters.running.keeping import Keeper, Left, Reading
from adapters.running.outbox import Turn
from adapters.running.starting import Marks, Saver, Start
from adapters.running.told import Told
from adapters.running.wallclock import WallClock
from adapters.store import AlertJournal
from fusion.numbers import Run


async def _published_first(self: live._Live, turn: Turn) -> None:
    """Published, then journalled."""
    if turn.journal:
        await self._alerts.send(turn.alerts)
        await self._on_writer(self._journal.append, turn.journal)


def _claimed_first(_self: Saver, fused: Marks) -> Marks:
    """Watermarks of what is fused, whether a disk has it or not."""
    return fused


async def _never_again(_self: AlertLine, _link: object) -> None:
    """Open alerts are not told again after a reconnect."""


def _left_behind(_self: Keeper, _recent: Sequence[tuple[int, bytes]], _writer: Executor) -> None:
    """The database is not told of what it missed."""


def _closed_by_name(begun: Start, left: Left, _simulated: bool) -> Left:
    """What the state does not know is closed, and its track may raise it again."""
    engine = begun.core.engine
    known = [*(a.id for a in engine.open_alerts()), *(i.id for i in engine.incidents.open_incidents())]
    return Left(
        [a for a in left.open_alerts if a.id not in known], [i for i in left.open_incidents if i.id not in known]
    )


def _torn(begun: Start, journal: AlertJournal, _told: Told) -> Left:
    """A tick of which the journal has a part counts as journalled."""
    reading = Reading()
    for payload in journal.entries():
        reading.hear(payload)
    begun.turns[:] = [turn for turn in begun.turns if turn[0] // 1000 * 1000 > reading.newest_us]
    for _, _, turn in begun.turns:
        journal.append(turn.journal)
        for payload in turn.journal:
            reading.hear(payload)
    return reading.left()


def _kept_back(_self: Told, _recent: Sequence[tuple[int, bytes]], _entries: int) -> list[bytes]:
    """What a crash kept from everybody stays untold, though the journal has it."""
    return []


def _from_anywhere(sensor: str, runs: Sequence[Run]) -> bytes:
    """Whatever came before the highest number that was heard counts as fused."""
    return _encode(sensor, [max(runs)._replace(first=0)])


async def _acknowledged_first(self: live._Live, arrived: Arrived) -> None:
    """The broker lets go of what nobody has written down."""
    arrived.acknowledge()
    arrived.taken.clear()
    await asyncio.sleep(0.02)  # it waits for its turn
    await _turn(self, arrived)


class _Unsynced:
    """`os` with a sync that does nothing."""

    def __init__(self, sync: str) -> None:
        self._sync = sync

    def __getattr__(self, name: str) -> Any:
        return (lambda _fd: None) if name == self._sync else getattr(os, name)


_encode, _turn = watermark.encode, live._Live._turn
FAULTS: dict[str, tuple[Any, str, Any]] = {
    "published before it is journalled": (live._Live, "_publish_alerts", _published_first),
    "claimed before it is kept": (Saver, "sure", _claimed_first),
    "not told again": (AlertLine, "_born", _never_again),
    "the database is left behind": (Keeper, "catch_up", _left_behind),
    "closed by name and raised again": (live, "unknown", _closed_by_name),
    "half a tick is journalled": (live, "journal_rest", _torn),
    "kept back and not told": (Told, "unsaid", _kept_back),
    "counted from the first number heard": (watermark, "encode", _from_anywhere),
    "arrivals by the machine's clock": (WallClock, "now_us", lambda _self: now_us()),
    "the journal is not synced": (store, "os", _Unsynced("fdatasync")),
    "the state is not synced": (checkpoint, "os", _Unsynced("fsync")),
    "acknowledged first": (live._Live, "_turn", _acknowledged_first),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """This fault is in the shell within."""
    owner, attribute, faulty = FAULTS[name]
    sound = getattr(owner, attribute)
    setattr(owner, attribute, faulty)
    try:
        yield
    finally:
        setattr(owner, attribute, sound)
