"""What leaves, on which topic, how often: events of the engine become messages. Pure; the service sends them.

    picture/{part}    retained, full every 5 s            picture-delta     ten times a second, what changed
    track/{id}        retained 15 s, 1 Hz for what an officer must watch, else on change and every 5 s; empty on drop
    ledger/{track}    retained 10 min, QoS 1, with each new entry and every 5 min; empty on drop
    search/{track}    retained 10 min, QoS 1, as it grows; once more when it ends, then empty
    alert/{id}        retained until closed, QoS 1        alert-log         every transition, QoS 1
    sensor/{id}/health  retained 15 s, on change and every 5 s
    interference/{number}  retained 15 s, on change of state and every 5 s, QoS 1; empty when it is over
    area/{number}     the same of a crowd: many alike that raise no alerts of their own; begin and end are journalled
    withheld          a red line that raised no alert because the activity is notified, QoS 1
    partner/{neighbour}/alert|track/{id}  the same payloads for every neighbour named: all alerts, and the tracks that
                      have an open one; a track is cleared when it has ended or its last alert has closed

Single tracks and ledgers are spread over ticks, so that two thousand of them never delay a delta. A row waiting for its
turn is replaced by its newer state: the waiting list is never longer than the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adapters.broker import Outgoing
from adapters.envelope import Reply, Unfit
from adapters.formats import (
    alert,
    area,
    command,
    health,
    incident,
    interference,
    ledger,
    picture,
    search,
    sighting,
    track,
    withheld,
)
from adapters.wire import Names, load_json
from fusion.cases.record import (
    Crowd,
    Incident,
    IncidentChanged,
    Passage,
    PassageNoted,
    SearchArea,
    SearchChanged,
    SightingJudged,
    Withheld,
)
from fusion.cases.trail import low_and_slow
from fusion.claims.gnss import Interference
from fusion.redlines.sentence import join_text
from fusion.schema import (
    I8,
    US_PER_S,
    Alert,
    AlertChanged,
    Answer,
    Event,
    HealthChanged,
    Picture,
)
from replay.mcapfile import Output

FULL_EVERY_S = 5
EXPIRY_S = 15  # three missed repeats: what the broker still holds then is not the picture any more
TICKS_PER_S = 10
LEDGER_EVERY_US = 300 * US_PER_S  # it changes a few times in an hour
LEDGER_EXPIRY_S = 600
SEARCH_EXPIRY_S = 600  # it is told every minute
LEDGERS_PER_TICK = 50  # at 60 us each: 3 ms of a tick; the first entries of a thousand tracks are out in two seconds


# What stands in these dictionaries is replaced, never changed, so a copy of the dictionary is a copy of the state: with
# deep ones of five thousand ledgers the engine stood for 80 ms.
_STATE = (
    "_full_slot _seq _parts _shown_us _alerted _waiting _per_tick _epoch _notable _ledgers _ledger_told_us "
    "_ledgers_waiting _health _interference _crowds"
).split()


@dataclass(slots=True)
class Turn:
    """What one tick sends. Alerts are journalled (`journal`) and synced before they are published."""

    alerts: list[Outgoing] = field(default_factory=list)
    journal: list[bytes] = field(default_factory=list)
    changed: list[Alert] = field(default_factory=list)
    others: list[Outgoing] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)  # the parts of a whole one, for the recording
    outputs: list[Output] = field(default_factory=list)  # what is recorded of all this
    arrivals_us: list[I8] = field(default_factory=list)  # of plots that a picture shows for the first time
    ages_us: list[I8] = field(default_factory=list)  # of the same plots: measurement to this picture


class Outbox:
    """Turns events into messages. Holds only what "on change" and "every 5 s" need."""

    def __init__(self, names: Names, full_us: int = FULL_EVERY_S * US_PER_S, partners: Sequence[str] = ()) -> None:
        """`full_us`: how often the whole picture is published, in whole seconds. `partners`: neighbours, by name."""
        self._names = names
        self._full_us = full_us
        self._full_expiry_s = max(EXPIRY_S, 3 * full_us // US_PER_S)
        self._full_slot = -1
        self._base = f"vedette/v1/{names.site}/"
        self._partners = tuple(partners)
        self._partner_bases = [f"{self._base}partner/{name}/" for name in partners]
        self._seq = 0
        self._parts = 0  # parts of the full picture that the broker holds
        self._shown_us = -1
        self._alerted: dict[str, list[str]] = {}  # track -> open alerts
        self._waiting: dict[int, bytes] = {}
        self._per_tick = 0
        self._epoch = 0
        self._notable: dict[int, int] = {}  # track counter -> what "on change" compares
        self._ledgers: dict[int, tuple[Passage, ...]] = {}  # by track counter, of every track that has entries
        self._ledger_told_us: dict[int, int] = {}
        self._ledgers_waiting: dict[int, None] = {}  # to be told, in order of waiting
        self._health: dict[str, tuple[str, int]] = {}
        self._interference: dict[int, int] = {}  # by number: when it was last told
        self._crowds: dict[int, int] = {}  # the same

    def snapshot(self) -> dict[str, Any]:
        """What "on change", "every 5 s" and rising numbers need to go on from; for `restore` of an equal outbox."""
        return {name: copy(getattr(self, name)) for name in _STATE} | {"mode": self._names.mode}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        for name in _STATE:
            setattr(self, name, copy(state[name]))
        self._names = replace(self._names, mode=state["mode"])

    def number_after(self, seq: int) -> None:
        """Number on from here at least: what was sent after the state was kept has had numbers too. The clock in
        microseconds is always ahead of a service that sends less than a million messages a second."""
        self._seq = max(self._seq, seq)

    def turn(self, events: Sequence[Event]) -> Turn:
        """The messages of one tick, in the order to send them."""
        out = Turn()
        mode = next((event.mode for event in events if isinstance(event, Picture)), self._names.mode)
        self._names = replace(self._names, mode=mode)
        for event in events:
            if isinstance(event, AlertChanged):
                self._alert(event.alert, out)
            elif isinstance(event, IncidentChanged):
                self._incident(event.incident, out)
            elif isinstance(event, PassageNoted):
                counter = int(event.passage.track.rpartition(":")[2])
                self._ledgers[counter] = event.ledger
                self._ledgers_waiting[counter] = None
            elif isinstance(event, Withheld):
                payload = withheld.encode(event, self._names, self._next())
                out.journal.append(payload)
                out.alerts.append(Outgoing(f"{self._base}withheld", payload, qos=1))
            elif isinstance(event, SearchChanged):
                out.others += self._search(event.area)
            elif isinstance(event, SightingJudged):
                out.others += _replies([sighting.reply(event, self._names, self._next())])
            elif isinstance(event, Picture):
                self._picture(event, out)
            elif isinstance(event, HealthChanged):
                state, at_us = self._health.get(event.health.sensor, ("", -1))
                due = event.health.t_us - at_us >= FULL_EVERY_S * US_PER_S
                if due or event.health.state != state:
                    self._health[event.health.sensor] = (event.health.state, event.health.t_us)
                    topic = f"{self._base}sensor/{event.health.sensor}/health"
                    payload = health.encode(event.health, self._next(), self._names.marks())
                    out.others.append(Outgoing(topic, payload, retain=True, expiry_s=EXPIRY_S))
            elif isinstance(event, Interference):
                self._interfered(event, out)
            elif isinstance(event, Crowd):
                self._crowd(event, out)
            elif isinstance(event, Answer):
                self._answer(event, out)
        self._spread(out)
        return out

    def refusals(self, unfit: Sequence[Unfit]) -> list[Outgoing]:
        """Answers to reports and commands that could not be read, where they say where to answer."""
        replies = []
        for one in unfit:
            refusal = sighting.refusal if one.last_level == "sighting" else command.refusal
            replies.append(refusal(one, self._names, self._next()))
        return _replies(replies)

    def again(
        self, alerts: Sequence[Alert], incidents: Sequence[Incident] = (), searches: Sequence[SearchArea] = ()
    ) -> list[Outgoing]:
        """Open alerts, incidents and searches once more as they stand: after a reconnect the broker may have lost them.

        Ledgers follow with the next turns.
        """
        self._ledgers_waiting = dict.fromkeys(self._ledgers)
        out: list[Outgoing] = []
        for a in alerts:
            payload = alert.encode(a, self._names, self._next())
            out += [Outgoing(topic, payload, qos=1, retain=True) for topic in self._everywhere(f"alert/{a.id}")]
        for one in incidents:
            payload = incident.encode(one, self._names, self._next())
            out += [Outgoing(topic, payload, qos=1, retain=True) for topic in self._everywhere(f"incident/{one.id}")]
        for search_area in searches:
            out += self._search(search_area)
        return out

    def said_again(self, entries: Sequence[bytes]) -> list[Outgoing]:
        """Entries of the journal that nobody heard: transitions, and what was withheld. Incidents and areas stand
        retained."""
        topics = {alert.SCHEMA: "alert-log", withheld.SCHEMA: "withheld"}
        found = [(topics.get(load_json(payload)["schema"]), payload) for payload in entries]
        return [Outgoing(self._base + topic, payload, qos=1) for topic, payload in found if topic]

    def cleared(self, alert_ids: Sequence[str], incident_ids: Sequence[str] = ()) -> list[Outgoing]:
        """What takes these alerts and incidents off the broker, should it still hold them."""
        names = [*(f"alert/{i}" for i in alert_ids), *(f"incident/{i}" for i in incident_ids)]
        topics = [topic for name in names for topic in self._everywhere(name)]
        return [Outgoing(topic, b"", qos=1, retain=True) for topic in topics]

    def _next(self) -> int:
        self._seq += 1
        return self._seq

    def _everywhere(self, name: str) -> list[str]:
        """The topic of this name, and the same below every partner."""
        return [base + name for base in (self._base, *self._partner_bases)]

    def _clear_at_partners(self, track_name: str, out: Turn) -> None:
        out.others += [Outgoing(f"{base}track/{track_name}", b"", retain=True) for base in self._partner_bases]

    def _alert(self, changed: Alert, out: Turn) -> None:
        payload = alert.encode(changed, self._names, self._next())
        closed = changed.state == "closed"
        out.changed.append(changed)
        out.journal.append(payload)
        out.alerts.append(Outgoing(f"{self._base}alert-log", payload, qos=1))
        for topic in self._everywhere(f"alert/{changed.id}"):
            out.alerts.append(Outgoing(topic, payload, qos=1, retain=not closed))
            if closed:
                out.alerts.append(Outgoing(topic, b"", qos=1, retain=True))
        if changed.id not in self._alerted.get(changed.track, ()):
            self._leaves_other_tracks(changed.id)
        held = [a for a in self._alerted.get(changed.track, []) if a != changed.id]
        if not closed:
            held.append(changed.id)
        if held:
            self._alerted[changed.track] = held
        elif self._alerted.pop(changed.track, None) is not None:
            self._clear_at_partners(changed.track, out)

    def _leaves_other_tracks(self, alert_id: str) -> None:
        """An alert found again after a cold start goes on with another track."""
        for name, held in list(self._alerted.items()):
            if alert_id in held:
                left = self._alerted[name] = [held_id for held_id in held if held_id != alert_id]
                if not left:
                    del self._alerted[name]

    def _incident(self, changed: Incident, out: Turn) -> None:
        payload = incident.encode(changed, self._names, self._next())
        closed = changed.state == "closed"
        out.journal.append(payload)
        for topic in self._everywhere(f"incident/{changed.id}"):
            out.alerts.append(Outgoing(topic, payload, qos=1, retain=not closed))
            if closed:
                out.alerts.append(Outgoing(topic, b"", qos=1, retain=True))

    def _search(self, area: SearchArea) -> list[Outgoing]:
        topics, payload = self._everywhere(f"search/{area.track}"), search.encode(area, self._names, self._next())
        if not area.ended:
            return [Outgoing(topic, payload, qos=1, retain=True, expiry_s=SEARCH_EXPIRY_S) for topic in topics]
        last = [Outgoing(topic, payload, qos=1) for topic in topics]
        return [*last, *(Outgoing(topic, b"", qos=1, retain=True) for topic in topics)]

    def _interfered(self, event: Interference, out: Turn) -> None:
        over = event.state == "over"
        if not over and event.t_us - self._interference.get(event.number, -1) < FULL_EVERY_S * US_PER_S:
            return
        topic = f"{self._base}interference/{event.number}"
        payload = interference.encode(event, self._names.site, self._next(), self._names.marks())
        out.others.append(Outgoing(topic, payload, qos=1, retain=not over, expiry_s=EXPIRY_S))
        self._interference[event.number] = event.t_us
        if over:
            del self._interference[event.number]
            out.others.append(Outgoing(topic, b"", retain=True))

    def _crowd(self, event: Crowd, out: Turn) -> None:
        over, told_us = event.state == "over", self._crowds.get(event.number)
        if not over and told_us is not None and event.t_us - told_us < FULL_EVERY_S * US_PER_S:
            return
        topic = f"{self._base}area/{event.number}"
        payload = area.encode(event, self._names, self._next())
        turning = over or told_us is None
        if turning:
            out.journal.append(payload)
        # A repeat is no alert: it must not take room among those that wait for a broker.
        where = out.alerts if turning else out.others
        where.append(Outgoing(topic, payload, qos=1, retain=not over, expiry_s=EXPIRY_S))
        self._crowds[event.number] = event.t_us
        if over:
            del self._crowds[event.number]
            out.alerts.append(Outgoing(topic, b"", qos=1, retain=True))

    def _answer(self, answer: Answer, out: Turn) -> None:
        if answer.command.response_topic:
            payload = command.encode_answer(self._addressed(answer), self._names, self._next())
            out.others.append(
                Outgoing(answer.command.response_topic, payload, qos=1, correlation=answer.command.correlation)
            )

    def _addressed(self, answer: Answer) -> Answer:
        """The answer; of an incident that goes to somebody whom no message of ours reaches it says so."""
        asked = answer.command
        if asked.verb != "hand-over" or not answer.ok or asked.to in self._partners:
            return answer
        known = join_text(self._partners) if self._partners else "empty"
        return replace(
            answer, detail=f"{answer.detail}, who hears nothing of it from here: publish.partners is {known}"
        )

    def _picture(self, shown: Picture, out: Turn) -> None:
        fresh = shown.tracks.rx_us > self._shown_us
        self._shown_us = shown.t_us
        out.arrivals_us.append(shown.tracks.rx_us[fresh])
        out.ages_us.append(shown.t_us - shown.tracks.update_us[fresh])
        for counter, _reason in shown.dropped:
            self._waiting.pop(counter, None)
            self._ledgers_waiting.pop(counter, None)
            name = f"{shown.tracks.epoch}:{counter}"
            self._ledgers.pop(counter, None)
            if self._ledger_told_us.pop(counter, None) is not None:
                out.others.append(Outgoing(f"{self._base}ledger/{name}", b"", retain=True))
            if self._notable.pop(counter, None) is not None:
                out.others.append(Outgoing(f"{self._base}track/{name}", b"", retain=True))
            if name in self._alerted:
                self._clear_at_partners(name, out)
        parts = picture.encode(shown, self._names, self._next())
        out.others += [Outgoing(f"{self._base}picture-delta", part, qos=0) for part in parts]
        if not shown.full:
            return
        out.pictures = parts
        slot = shown.t_us // self._full_us
        if slot != self._full_slot:
            self._full_slot = slot
            out.others += [
                Outgoing(f"{self._base}picture/{i}", part, retain=True, expiry_s=self._full_expiry_s)
                for i, part in enumerate(parts)
            ]
            out.others += [
                Outgoing(f"{self._base}picture/{i}", b"", retain=True) for i in range(len(parts), self._parts)
            ]
            self._parts = len(parts)
        self._queue_tracks(shown, shown.t_us // US_PER_S)
        old_us = shown.t_us - LEDGER_EVERY_US
        self._ledgers_waiting |= dict.fromkeys(i for i, told_us in self._ledger_told_us.items() if told_us <= old_us)

    def _queue_tracks(self, shown: Picture, second: int) -> None:
        """Choose the single tracks to publish in this second."""
        tracks, assessment = shown.tracks, shown.assessment
        watched = ~assessment.cooperative | low_and_slow(assessment)
        due = watched | (tracks.id % FULL_EVERY_S == second % FULL_EVERY_S)
        notable = tracks.status.astype(np.int64) * 4 + assessment.cooperative * 2 + assessment.contradicted
        for row, (counter, now) in enumerate(zip(tracks.id.tolist(), notable.tolist(), strict=True)):
            due[row] |= self._notable.get(counter) != now or tracks.name(row) in self._alerted
            self._notable[counter] = now
        rows = np.flatnonzero(due).tolist()
        payloads = track.encode_rows(tracks, assessment, rows, self._names, self._seq + 1, shown.forecast)
        self._seq += len(rows)
        self._waiting.update(zip(tracks.id[due].tolist(), payloads, strict=True))
        self._per_tick = -(-len(self._waiting) // (TICKS_PER_S - 2))
        self._epoch = tracks.epoch

    def _spread(self, out: Turn) -> None:
        for counter in list(self._waiting)[: self._per_tick]:
            payload = self._waiting.pop(counter)
            name = f"{self._epoch}:{counter}"
            topics = self._everywhere(f"track/{name}") if name in self._alerted else [f"{self._base}track/{name}"]
            out.others += [Outgoing(topic, payload, retain=True, expiry_s=EXPIRY_S) for topic in topics]
        for counter in list(self._ledgers_waiting)[:LEDGERS_PER_TICK]:
            del self._ledgers_waiting[counter]
            self._ledger_told_us[counter] = self._shown_us
            entries = self._ledgers[counter]
            payload = ledger.encode(entries, self._names, self._next())
            topic = f"{self._base}ledger/{entries[-1].track}"
            out.others.append(Outgoing(topic, payload, qos=1, retain=True, expiry_s=LEDGER_EXPIRY_S))


def _replies(replies: Sequence[Reply | None]) -> list[Outgoing]:
    return [Outgoing(r.topic, r.payload, qos=1, correlation=r.correlation) for r in replies if r is not None]


def joined(columns_us: Sequence[I8]) -> I8:
    """What the pictures of one tick say, in one array."""
    return np.concatenate(columns_us) if columns_us else np.empty(0, np.int64)
