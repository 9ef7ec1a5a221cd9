"""What `vedette run` finds in its journal when it starts, and how what happens gets into the incident database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace

from adapters.incidentdb import MAX_WAITING, IncidentDb, Kept, entry_of, kept_of
from adapters.store import AlertJournal
from fusion.record import Crowd, Incident, IncidentChanged, Withheld
from fusion.schema import Alert, AlertChanged, Event

CLEARED_MAX = 1_000  # of each kind, closed before the start, that are taken off the broker once more


@dataclass(slots=True)
class Left:
    """What the journal knows when a service starts."""

    open_alerts: list[Alert] = field(default_factory=list)  # newest entry is not `closed`
    open_incidents: list[Incident] = field(default_factory=list)
    closed_alerts: list[str] = field(default_factory=list)  # ids of the newest closed ones: a crash between journal
    closed_incidents: list[str] = field(default_factory=list)  # and broker may have left them there
    newest_us: int = -1  # time of the newest entry, in whole milliseconds
    entries: dict[str, bytes] = field(default_factory=dict)  # newest entry of all that is open, by id


def left_of(payloads: Iterable[bytes]) -> Left:
    """The state that the entries of a journal came to, in order of their newest entry.

    Raises:
        Invalid: an entry is neither an alert nor an incident.
    """
    alerts: dict[str, Alert] = {}
    incidents: dict[str, Incident] = {}
    newest_us = -1
    entries: dict[str, bytes] = {}
    for payload in payloads:
        told = entry_of(payload)
        newest_us = told.t_us
        if isinstance(told, Withheld | Crowd):
            continue
        if isinstance(told, Incident):
            incidents.pop(told.id, None)
            incidents[told.id] = told
        else:
            alerts.pop(told.id, None)
            alerts[told.id] = told
        entries[told.id] = payload
        if told.state == "closed":
            del entries[told.id]
    return Left(
        [item for item in alerts.values() if item.state != "closed"],
        [item for item in incidents.values() if item.state != "closed"],
        [item.id for item in alerts.values() if item.state == "closed"][-CLEARED_MAX:],
        [item.id for item in incidents.values() if item.state == "closed"][-CLEARED_MAX:],
        newest_us,
        entries,
    )


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

    def keep_rest(self, writer: Executor) -> None:
        """Keep what is still held, before the writer ends."""
        if self._held:
            writer.submit(self._database.offer, self._held)
            self._held = []
