"""What `vedette run` finds in its journal when it starts, and how what happens gets into the incident database."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from adapters.incidents.database import MAX_WAITING, IncidentDb, Kept, entry_of, kept_from, kept_of
from adapters.store import AlertJournal
from fusion.cases.record import Crowd, Incident, IncidentChanged, Withheld
from fusion.schema import Alert, AlertChanged, Event

CLEARED_MAX = 1_000  # of each kind, closed before the start, that are taken off the broker once more
RECENT_MAX = 2_000  # entries that a start offers to the database again: what it was behind the journal by, and more


@dataclass(slots=True)
class Left:
    """What the journal knows when a service starts."""

    open_alerts: list[Alert] = field(default_factory=list)  # newest entry is not `closed`
    open_incidents: list[Incident] = field(default_factory=list)
    closed_alerts: list[str] = field(default_factory=list)  # ids of the newest closed ones: a crash between journal
    closed_incidents: list[str] = field(default_factory=list)  # and broker may have left them there
    newest_us: int = -1  # time of the newest entry, in whole milliseconds
    entries: dict[str, bytes] = field(default_factory=dict)  # newest entry of all that is open, by id
    recent: list[tuple[int, bytes]] = field(default_factory=list)  # the newest, each with its number from 1
    ended: dict[str, bytes] = field(default_factory=dict)  # newest entry of the newest closed ones, by id
    unsaid: list[bytes] = field(default_factory=list)  # entries that were never published


class Reading:
    """Reads a journal once, entry by entry, in order."""

    def __init__(self) -> None:
        self.newest_us = -1  # time of the newest entry ...
        self.of_newest = 0  # ... and how many at the end are of that time: a crash may have torn a tick in two
        self._alerts: dict[str, Alert] = {}  # in order of their newest entry
        self._incidents: dict[str, Incident] = {}
        self._entries: dict[str, bytes] = {}
        self._ended: dict[str, bytes] = {}
        self._count = 0
        self._recent: deque[tuple[int, bytes]] = deque(maxlen=RECENT_MAX)

    def hear(self, payload: bytes) -> None:
        """The next entry. Raises Invalid: it is neither an alert nor an incident."""
        told = entry_of(payload)
        self.of_newest = self.of_newest + 1 if told.t_us == self.newest_us else 1
        self.newest_us = told.t_us
        self._count += 1
        self._recent.append((self._count, payload))
        if isinstance(told, Withheld | Crowd):
            return
        if isinstance(told, Incident):
            self._incidents.pop(told.id, None)
            self._incidents[told.id] = told
        else:
            self._alerts.pop(told.id, None)
            self._alerts[told.id] = told
        self._ended.pop(told.id, None)
        self._entries[told.id] = payload
        if told.state == "closed":
            self._ended[told.id] = self._entries.pop(told.id)
            for name in [*self._ended][:-CLEARED_MAX]:
                del self._ended[name]

    def left(self) -> Left:
        """The state that the entries came to."""
        alerts, incidents = self._alerts.values(), self._incidents.values()
        return Left(
            [item for item in alerts if item.state != "closed"],
            [item for item in incidents if item.state != "closed"],
            [item.id for item in alerts if item.state == "closed"][-CLEARED_MAX:],
            [item.id for item in incidents if item.state == "closed"][-CLEARED_MAX:],
            self.newest_us,
            self._entries,
            list(self._recent),
            self._ended,
        )


def left_of(payloads: Iterable[bytes]) -> Left:
    """The state that the entries of a journal came to, in order of their newest entry.

    Raises:
        Invalid: an entry is neither an alert nor an incident.
    """
    reading = Reading()
    for payload in payloads:
        reading.hear(payload)
    return reading.left()


def adrift(left: Left, simulated: bool) -> tuple[Left, list[bytes]]:
    """What of this is closed by name at a cold start, and the entries of what waits to be found again, alerts first.

    An incident waits with its open alerts. What was simulated does not outlive the simulation, nor the other way round.
    """
    waiting = [a for a in left.open_alerts if a.simulated == simulated]
    ids = {a.id: None for a in waiting}
    of = [i for i in left.open_incidents if any(name in ids for m in i.members for name in m.alerts)]
    kept = [*ids, *(i.id for i in of)]
    gone = Left(
        [a for a in left.open_alerts if a.id not in kept],
        [i for i in left.open_incidents if i.id not in kept],
    )
    return gone, [left.entries[name] for name in kept]


def closed_incident(incident: Incident, t_us: int, why: str) -> Incident:
    """An incident that ends with the picture it belongs to."""
    ended = {"change": "closed", "state": "closed", "close_reason": why}
    return replace(incident, number=incident.number + 1, t_us=t_us, **ended)  # type: ignore[arg-type]


def closings(alerts: Sequence[Alert], incidents: Sequence[Incident], t_us: int, why: str) -> list[Event]:
    """All of them end with the picture they belong to."""
    ended: list[Event] = [AlertChanged(replace(a, state="closed", t_us=t_us, close_reason=why)) for a in alerts]
    return [*ended, *(IncidentChanged(closed_incident(i, t_us, why)) for i in incidents)]


class Keeper:
    """Hands what happens to the database, one write at a time, on the thread that also syncs the journal."""

    def __init__(self, database: IncidentDb, journal: AlertJournal) -> None:
        self._database = database
        self._journal = journal
        self._held: list[Kept] = []  # since the write that is still going on; beyond MAX_WAITING the oldest fall
        self._fell = 0  # items of those
        self._write: Future[bool] | None = None

    @property
    def problem(self) -> str:
        """Why the database refuses, "" while it does not."""
        return self._database.problem

    @property
    def lost(self) -> int:
        """Items that fell since the start, because the disk refused or one write lasted for too long."""
        return self._fell + self._database.lost

    def keep(self, t_us: int, events: Sequence[Event], writer: Executor) -> bool:
        """Keep what one tick brought. False: the write that ended since the last call failed, and is tried again."""
        kept = kept_of(t_us, events, len(self._journal), self._journal.head)
        if kept is not None:
            self._held.append(kept)
            self._fell += sum(old.count for old in self._held[:-MAX_WAITING])
            del self._held[:-MAX_WAITING]
        if self._write is not None and not self._write.done():
            return True
        good = self._write is None or self._write.result()
        self._write = writer.submit(self._database.offer, self._held) if self._held else None
        self._held = []
        return good

    def catch_up(self, recent: Sequence[tuple[int, bytes]], writer: Executor) -> None:
        """A service that was killed may have journalled what the database never got. Twice does no harm there."""
        missing = [kept_from(n, payload) for n, payload in recent if n > self._database.journalled]
        kept = [item for item in missing if item is not None]
        if kept:
            writer.submit(self._database.offer, kept)

    def keep_rest(self, writer: Executor) -> None:
        """Keep what is still held, before the writer ends."""
        if self._held:
            writer.submit(self._database.offer, self._held)
            self._held = []
