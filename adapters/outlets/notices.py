"""Word of alerts for those who do not listen to MQTT: what is news, and its way to a web hook or a mailbox.

An alert is news when it is raised, acknowledged or identified, when its severity changes, and when it closes; the
repetitions in between are not. What waits is one notice an alert, its newest word: who was away for an hour is told
how things stand, not everything that happened. A notice that cannot be delivered is tried again with growing pauses for
`GIVE_UP_S`, and does not hold up those of other alerts; one that is refused for good is counted and said.

Every notice has a key made of what it says. A notice may arrive twice, after a crash or a lost answer, and under the
same key: whoever takes it in can tell.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from adapters import log
from adapters.outlets.held import NO_LONGER_HELD
from adapters.outlets.listener import Listener
from adapters.played import marks
from fusion.schema import Alert

Kind = Literal["raised", "changed", "acknowledged", "closed"]
MOST_WAITING = 5_000  # alerts; of more, the one that waits longest is given up
GIVE_UP_S = 900.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
AT_ONCE = 4  # deliveries under way


@dataclass(frozen=True, slots=True)
class Notice:
    """One word of one alert."""

    kind: Kind
    alert: Alert
    replayed: bool

    @property
    def key(self) -> str:
        """The same for the same news, in every run."""
        said = self.alert
        return f"{said.id}.{self.kind}.{said.severity}.{said.identity}"

    @property
    def text(self) -> str:
        """A line for people: what is not real comes first, then what happened, then the alert's own sentence."""
        said = self.alert
        words = {
            "raised": f"Alert, severity {said.severity}:",
            "changed": f"Alert, now severity {said.severity}, identity {said.identity}:",
            "acknowledged": f"Acknowledged by {said.acknowledged_by or 'somebody'}:",
            "closed": f"Closed ({said.close_reason or 'no reason given'}):",
        }[self.kind]
        return " ".join((*marks(said.simulated, said.mode, self.replayed), words, said.sentence))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts somebody is told of."""

    least_severity: int = 2  # as severe as that, or more (1)
    states: tuple[str, ...] = ()  # only alerts that concern one of these; none: all
    recipients: tuple[str, ...] = ()  # only alerts that name one of these; none: all
    played: bool = False  # simulations, exercises and replays too

    def takes(self, said: Alert) -> bool:
        """Whether its kind is asked for, whatever the sky it is of."""
        concerned = not self.states or said.near_state in self.states
        named = not self.recipients or any(one in said.recipients for one in self.recipients)
        return concerned and named and said.severity <= self.least_severity


class Later(Exception):
    """It could not be delivered now."""


class Refused(Exception):
    """It will never be taken."""


class Post(Protocol):
    """A way to somebody."""

    async def deliver(self, notice: Notice) -> None:
        """Raises Later or Refused."""

    def words(self) -> str:
        """Where to, for people; no secret in it."""
        ...


class News:
    """What was told of each open alert, and what is new of it."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._told: dict[str, Alert] = {}  # that were told and are open, as they were told last
        self.kept_back = 0  # played ones that nobody asked for

    def of(self, listener: Listener, since: int) -> tuple[int, list[Notice]]:
        """(number to ask with the next time, notices in their order)."""
        held = listener.held
        found = held.alert_changes(since)
        notices = [notice for said in found.alerts for notice in self._news(said, held.replayed)]
        if found.whole:  # too far behind to know how they ended
            there = {said.id for said in found.alerts}
            for said in [said for name, said in self._told.items() if name not in there]:
                notices += self._news(replace(said, state="closed", close_reason=NO_LONGER_HELD), held.replayed)
        return found.number, notices

    def _news(self, said: Alert, replayed: bool) -> Iterator[Notice]:
        before = self._told.get(said.id)
        if said.state == "closed":
            if self._told.pop(said.id, None) is not None:
                yield Notice("closed", said, replayed)
            return
        if before is None and not self._wanted.takes(said):
            return  # what was told once is told to its end
        if not self._wanted.played and marks(said.simulated, said.mode, replayed):
            self.kept_back += before is None
            return
        self._told[said.id] = said
        if before is None:
            yield Notice("raised", said, replayed)
        elif said.state == "acknowledged" and before.state != said.state:
            yield Notice("acknowledged", said, replayed)
        elif (said.severity, said.identity) != (before.severity, before.identity):
            yield Notice("changed", said, replayed)


@dataclass(slots=True)
class _Waiting:
    notice: Notice
    since_s: float
    tries: int = 0
    next_s: float = 0.0
    under_way: bool = False


class Notices:
    """From the listener to one post, until cancelled."""

    def __init__(self, wanted: Wanted, post: Post, give_up_s: float = GIVE_UP_S) -> None:
        self._news, self._post, self._give_up_s = News(wanted), post, give_up_s
        self._waiting: dict[str, _Waiting] = {}  # by alert, in order of its oldest word
        self._deliveries: dict[asyncio.Task[None], str] = {}
        self.counts: Counter[str] = Counter()  # delivered, refused, given-up, crowded-out
        self.problem = ""

    def words(self) -> str:
        """One line for people."""
        counted = ", ".join(f"{count} {what}" for what, count in sorted(self.counts.items())) or "nothing delivered yet"
        kept = f", {self._news.kept_back} played ones kept back" if self._news.kept_back else ""
        trouble = f"; last problem: {self.problem}" if self.problem else ""
        return f"to {self._post.words()}: {counted}, {len(self._waiting)} waiting{kept}{trouble}"

    async def serve(self, listener: Listener) -> None:
        """Tell, for ever."""
        loop, number = asyncio.get_running_loop(), 0
        try:
            while True:
                number, notices = self._news.of(listener, number)
                for notice in notices:
                    self._put(notice, loop.time())
                self._start(loop.time())
                await self._wait(listener, number, loop.time())
                for task in [task for task in self._deliveries if task.done()]:
                    self._end(task, loop.time())
        finally:
            for task in self._deliveries:
                task.cancel()
            await asyncio.gather(*self._deliveries, return_exceptions=True)

    def _put(self, notice: Notice, now_s: float) -> None:
        name = notice.alert.id
        before = self._waiting.get(name)
        if before is None and len(self._waiting) >= MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.counts["crowded-out"] += 1
        if before is None:
            self._waiting[name] = _Waiting(notice, now_s)
        elif before.notice.kind == "raised" and notice.kind != "closed" and not before.under_way:
            before.notice = replace(notice, kind="raised")  # nobody was told that it is there
        else:
            before.notice = notice

    def _start(self, now_s: float) -> None:
        for name, one in self._waiting.items():
            if len(self._deliveries) >= AT_ONCE:
                return
            if not one.under_way and one.next_s <= now_s:
                one.under_way = True
                task = asyncio.create_task(self._post.deliver(one.notice), name=one.notice.key)
                self._deliveries[task] = name

    async def _wait(self, listener: Listener, number: int, now_s: float) -> None:
        """Until there is news, a delivery has ended, or one is due again."""
        due_s = [one.next_s - now_s for one in self._waiting.values() if not one.under_way]
        news = asyncio.create_task(listener.alerted(number), name="news")
        timeout = max(min(due_s), 0.0) if due_s and len(self._deliveries) < AT_ONCE else None
        try:
            await asyncio.wait({news, *self._deliveries}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            news.cancel()
            await asyncio.wait([news])

    def _end(self, task: asyncio.Task[None], now_s: float) -> None:
        name = self._deliveries.pop(task)
        one = self._waiting.get(name)
        error = task.exception()
        if error is not None and not isinstance(error, Later | Refused):
            raise error
        if one is None:  # crowded out meanwhile
            return
        one.under_way = False
        if error is None:
            self.counts["delivered"] += 1
            self._done(name, one, task.get_name(), now_s)
        elif isinstance(error, Refused):
            self._lost("refused", one, error)
            self._done(name, one, task.get_name(), now_s)
        elif now_s - one.since_s > self._give_up_s:
            self._lost("given-up", one, error)
            del self._waiting[name]
        else:
            self.problem = str(error)
            pause_s = min(FIRST_PAUSE_S * 2.0 ** min(one.tries, 10), LONGEST_PAUSE_S)
            one.tries, one.next_s = one.tries + 1, now_s + pause_s * random.uniform(0.5, 1.0)

    def _done(self, name: str, one: _Waiting, key: str, now_s: float) -> None:
        """Off the list, unless there was news of it while it was under way."""
        if one.notice.key == key:
            del self._waiting[name]
        else:
            self._waiting[name] = _Waiting(one.notice, now_s)

    def _lost(self, what: str, one: _Waiting, why: Exception) -> None:
        self.counts[what] += 1
        self.problem = str(why)
        log.get("out").error("a notice was not taken", what=what, alert=one.notice.alert.id, why=str(why))
