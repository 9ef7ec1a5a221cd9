"""Incidents: what an officer answers for. One object, or a swarm, from its first alert until a person or its end
closes it.

Policies, in one place:
- One object is one incident over its life, whatever rules it touches. Another object joins an open incident when
  `cases/grouping.py` says that they belong together; otherwise it begins its own. The id is a hash of the id of the
  first alert, so a restart or a replay finds it again.
- Told at once: raised, reopened, joined, severity, acknowledged, identified, handed-over, taken, lost, found, closed.
  Anything else that is new is told as `updated`, at most every 5 s.
- Severity is that of the most severe open alert; with none open, the last one stays.
- Acknowledged: by a person on the incident, or when every open alert has been. What comes after it in the same
  incident is told, and its alert still asks for an acknowledgement of its own.
- What a person says of an incident (identity) holds for its members then and for their later alerts. An object that
  joins later has not been identified, so the incident's identity is `unknown` again; each member keeps its own.
- Handing over is also an acknowledgement. It is taken by the neighbour, and only when handed over.
- An incident closes by itself when no alert has been open for `hold_s` and no search runs. When one of its objects
  alerts again, it is reopened, as long as that object is tracked; what was done before stays in the record.
- At most `max_members` objects: the next one begins another incident (`overflowed`). At most `max_open` incidents: the
  one without open alert that is quiet for longest closes first, by name; with none of that sort the alert goes out
  without an incident, is counted (`refused`, once a look), and is tried again at its next transition. At most
  `max_open` closed ones are remembered.
- The same looks give the same incidents: what one look brings is put in order first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fusion.cases.casefile import (
    CHANGES,
    IN_SIGHT,
    MAX_SIGHTINGS,
    Case,
    Object,
    acknowledge,
    acknowledged_alerts,
    begun,
    case_from,
    case_state,
    close,
    ended,
    identify,
    inherited,
    said,
    tell,
    unfit,
    weigh,
)
from fusion.cases.grouping import NOWHERE, GroupParams, Groups, Mark
from fusion.cases.lost import GIVEN_UP
from fusion.cases.orders import MAX_TEXT, refusal
from fusion.cases.record import Incident, Passage, SearchArea, Sighting, cited_as
from fusion.redlines.alerts import Watch
from fusion.schema import US_PER_S, Alert, Answer, Assessment, Command, Tracks, TrackStatus

UPDATE_US = 5 * US_PER_S  # an incident is told anew at most this often, unless something happened
PLACE_US = US_PER_S  # the places of its members are looked up this often
ENDED = "track ended: "  # how an alert says it, see fusion/redlines/alerts.py
NOT_LOST = ("merged",)  # how a track ends whose object is still seen, as another track
ON_GROUND = "found on the ground"  # the state of an object that a person found
_ALERT_ORDER = {"raised": 0, "acknowledged": 1, "updated": 2, "closed": 3}


@dataclass(frozen=True, slots=True)
class IncidentParams:
    """When an incident is over, and how many there may be."""

    hold_s: float = 300.0  # a drone behind a hill or a superseded rule is no new incident; an officer waits minutes
    max_members: int = 64  # more than any swarm seen in one night from one side; a message of 64 still fits
    max_open: int = 2_000  # twice the open alerts: each alert has an incident, and as many may wait for their hold
    group: GroupParams = field(default_factory=GroupParams)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one look at the picture brings, beside the tracks. Order does not matter."""

    alerts: Sequence[Alert] = ()  # every transition since the last look
    dropped: Sequence[tuple[int, str]] = ()  # tracks that ended: counter, why
    passages: Sequence[Passage] = ()  # new entries of the ledger
    areas: Sequence[SearchArea] = ()  # search areas that began, grew or ended
    sightings: Sequence[tuple[str, Sighting]] = ()  # reports by people, with the track that they were joined to


def _nothing(_track: str) -> Sequence[Passage]:
    return ()


class Incidents:
    """Holds every open incident, and closed ones while their objects fly. `names`: of the states, by `codes`.

    Args:
        ledger: all passages of a track so far: asked when an object enters an incident.
        mode: peace, tension, exercise: said in every incident from now on.
    """

    def __init__(
        self,
        codes: Sequence[str],
        names: Sequence[str],
        params: IncidentParams | None = None,
        ledger: Callable[[str], Sequence[Passage]] = _nothing,
        mode: str = "peace",
    ) -> None:
        self.params = params or IncidentParams()
        self.mode = mode
        self.refused = 0  # looks at which an alert found no room for an incident
        self.overflowed = 0  # objects that began another incident because theirs was full
        self._names = dict(zip(codes, names, strict=True))
        self._ledger = ledger
        self._cases: dict[str, Case] = {}  # by id, in order of raising
        self._of: dict[str, str] = {}  # track -> incident id
        self._marks: dict[str, Mark] = {}  # of tracks alerted in this look
        self._groups: tuple[Groups, list[Case]] | None = None  # of this look, once it is needed
        self._placed_us = -1

    def step(self, tracks: Tracks, assessment: Assessment, heard: Heard, now_us: int) -> list[Incident]:
        """One look: what was heard goes to its incidents, and what is to be told of them comes back, in order."""
        if now_us - self._placed_us >= PLACE_US or heard.alerts or heard.dropped:
            self._place(tracks, assessment, heard.alerts)
            self._placed_us = now_us
        self._groups = None
        for alert in sorted(heard.alerts, key=_alert_key):
            self._hear(alert, now_us)
        for passage in sorted(heard.passages, key=lambda p: (track_key(p.track), p.number)):
            self._pass(passage)
        for track, report in sorted(heard.sightings, key=lambda s: (track_key(s[0]), s[1].rx_us, s[1].sensor, s[1].id)):
            self._cite(track, report)
        for area in sorted(heard.areas, key=lambda a: (track_key(a.track), a.number)):
            self._search(area)
        for counter, why in sorted(heard.dropped):
            self._end(f"{tracks.epoch}:{counter}", why)
        said = [item for case in self._in_order() for item in self._tell(case, now_us)]
        said += self._close_quiet(now_us)
        self._forget()
        return said

    def command(self, command: Command, watch: Watch, now_us: int) -> tuple[Answer, list[Alert], list[Incident]]:
        """Carry out what a person asked for, of an alert or of an incident. Refusals are answers, never exceptions.

        The alerts that come back have been heard here already: they need not come again with the next look.
        """
        if not command.incident_id:
            answer, alerts = watch.command(command, now_us)
            return answer, alerts, self._heard_from(alerts, now_us)
        refused = refusal(command)
        case = self._cases.get(command.incident_id)
        if not refused and (case is None or case.closed):
            refused = f"no open incident {command.incident_id[:MAX_TEXT]!r}"
        if refused or case is None:
            return Answer(command, False, refused), [], []
        return self._carry_out(case, command, watch, now_us)

    def set_mode(self, mode: str) -> None:
        """Every open incident is told anew with the next look."""
        self.mode = mode
        for case in self._in_order():
            if not case.closed:
                case.told = replace(case.told, mode=mode)
                case.note("updated")

    def open_incidents(self) -> list[Incident]:
        """Every incident not closed, as last told, in order of raising."""
        return [case.told for case in self._in_order() if not case.closed]

    def inherit(self, told: Incident, alerts: Sequence[Alert]) -> None:
        """An incident of an earlier epoch with open alerts among these (redlines/adrift.py); without, it is let be."""
        case = inherited(told, alerts)
        if case is not None:
            self._cases[told.id] = case
            self._of |= {item.track: told.id for item in case.objects}

    def end(self, told: Alert | Incident) -> None:
        """As `Watch.end`: an alert of one of these, or one of these."""
        ended(self._cases.values(), told)

    def found(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Objects of an earlier epoch are seen again: tracks of old, and those they have now."""
        for old, new in pairs:
            case = self._case_of(old)
            if case is None:
                continue
            item = case.object(old)
            item.open = None  # the alert comes with its new track
            if new not in self._of or new == old:  # the same track: it went on from a state before the alert
                del self._of[old]
                self._of[new] = case.told.id
                item.track, item.alive, item.lost, item.state = new, True, False, IN_SIGHT
            case.fresh = True

    def incident_of(self, track: str) -> str:
        """The id of the incident that a track belongs to; "" none."""
        return self._of.get(track, "")

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later incident, JSON-able."""
        return {
            "cases": [case_state(case) for case in self._cases.values()],
            "counts": [self.refused, self.overflowed],
            "placed_us": self._placed_us,
            "mode": self.mode,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        cases = [case_from(plain) for plain in state["cases"]]
        self._cases = {case.told.id: case for case in cases}
        self._of = {item.track: case.told.id for case in cases for item in case.objects}
        self.refused, self.overflowed = state["counts"]
        self._placed_us, self.mode = state["placed_us"], state["mode"]

    # --- hearing ---

    def _place(self, tracks: Tracks, a: Assessment, alerts: Sequence[Alert]) -> None:
        """Look up where every member is, and every object just alerted."""
        head = f"{tracks.epoch}:"
        wanted = dict.fromkeys([*self._of, *(alert.track for alert in alerts)])
        counters = {int(track[len(head) :]): track for track in wanted if track.startswith(head)}
        ids = np.array(sorted(counters), np.int64)
        at = np.searchsorted(tracks.id, ids)
        found = [(counters[int(i)], int(row)) for i, row in zip(ids, at, strict=True) if row < len(tracks)]
        rows = {track: row for track, row in found if tracks.name(row) == track}
        self._marks = {
            track: Mark(
                int(tracks.t_us),
                float(a.lat_rad[row]),
                float(a.lon_rad[row]),
                float(a.course_rad[row]),
                float(a.speed_mps[row]),
            )
            for track, row in rows.items()
        }
        for item in (item for case in self._cases.values() for item in case.objects):
            if item.alive and not item.track.startswith(head):
                item.alive, item.state = False, "tracks were numbered anew"
            elif item.alive and item.track in rows:
                item.last = self._marks[item.track]
                coasting = tracks.status[rows[item.track]] == TrackStatus.COASTING
                item.state = "coasting" if coasting else IN_SIGHT

    def _hear(self, alert: Alert, now_us: int) -> None:
        case = self._case_of(alert.track)
        if case is None:
            if alert.state == "closed":
                return
            case = self._enter(alert, now_us)
            if case is None:
                self.refused += 1
                return
        item = case.object(alert.track)
        item.note_alert(alert)
        case.fresh = True
        if alert.state == "closed":
            if item.open is not None and item.open.id == alert.id:
                item.open = None
            self._ended_with(case, item, alert)
            return
        item.open = alert
        if case.closed:
            self._reopen(case, now_us)
        if alert.identity_by:
            item.identity, item.identity_by = alert.identity, alert.identity_by
            if len(case.objects) == 1:
                identify(case, alert.identity, alert.identity_by, alert.identity_reason)

    def _heard_from(self, alerts: Sequence[Alert], now_us: int) -> list[Incident]:
        """Alerts changed by a person: those of known objects."""
        known = [alert for alert in sorted(alerts, key=_alert_key) if alert.track in self._of]
        for alert in known:
            self._hear(alert, now_us)
        touched = dict.fromkeys(self._of[alert.track] for alert in known)
        return [item for name in touched for item in self._tell(self._cases[name], now_us)]

    def _enter(self, alert: Alert, now_us: int) -> Case | None:
        """A new object: into the incident that it belongs to, or into one of its own; None: there is no room."""
        mark = self._marks.get(alert.track, replace(NOWHERE, t_us=now_us, lat_rad=alert.lat_rad, lon_rad=alert.lon_rad))
        item = Object(alert.track, alert.first_plot_us, alert.confirmed_us, alert.raised_us, mark, mark)
        for passage in self._ledger(alert.track):
            item.note_passage(passage)
        groups, cases = self._groups or self._gather(mark.t_us)
        at = groups.nearest(mark, [self._takes(case) for case in cases])
        if at < 0 and groups.nearest(mark, [not case.closed for case in cases]) >= 0:
            self.overflowed += 1  # it belongs to one that is full
        if at >= 0:
            case = cases[at]
            case.objects.append(item)
            if case.told.identity_by:
                case.told = replace(case.told, identity="unknown", identity_by="", identity_reason="")
            case.note("joined")
        elif not self._has_room():
            return None
        else:
            case = begun(alert, item, self.mode, now_us)
            self._cases[case.told.id] = case
            at = len(cases)
            cases.append(case)
        groups.add(at, mark, mark)
        self._of[alert.track] = case.told.id
        return case

    def _takes(self, case: Case) -> bool:
        """One more object has room in it."""
        return not case.closed and len(case.objects) < self.params.max_members

    def _gather(self, t_us: int) -> tuple[Groups, list[Case]]:
        """Every open incident as grouping sees it in this look."""
        cases = [case for case in self._in_order() if not case.closed]
        groups = Groups(t_us, self.params.group)
        for i, case in enumerate(cases):
            for item in case.objects:
                groups.add(i, item.first, item.last)
        self._groups = groups, cases
        return self._groups

    def _has_room(self) -> bool:
        """One more incident may be open, perhaps because the one that is quiet for longest closes for it."""
        if len(self._cases) < self.params.max_open:
            return True
        open_cases = [case for case in self._in_order() if not case.closed]
        if len(open_cases) < self.params.max_open:
            return True
        quiet = [case for case in open_cases if case.quiet_us >= 0 and not case.open_alerts()]
        if not quiet:
            return False
        victim = min(quiet, key=lambda case: (case.quiet_us, case.told.raised_us, case.told.id))
        close(victim, f"displaced: {self.params.max_open} incidents are open")
        return True

    def _reopen(self, case: Case, now_us: int) -> None:
        blank = {"acknowledged_by": "", "handed_to": "", "handed_by": "", "handed_reason": "", "taken_by": ""}
        times = {"acknowledged_us": -1, "handed_us": -1, "taken_us": -1, "reopened_us": now_us}
        case.told = replace(case.told, state="open", close_reason="", **blank, **times)  # type: ignore[arg-type]
        case.pending = [change for change in case.pending if change != "closed"]
        case.note("reopened")

    def _ended_with(self, case: Case, item: Object, alert: Alert) -> None:
        """An alert that ends with its track: the object is lost, unless it goes on as another track."""
        if alert.close_reason.startswith(ENDED) and not item.lost:
            why = alert.close_reason.removeprefix(ENDED)
            item.state = why
            if why not in NOT_LOST:
                item.lost = True
                case.note("lost")

    def _pass(self, passage: Passage) -> None:
        case = self._case_of(passage.track)
        if case is not None:
            case.object(passage.track).note_passage(passage)
            case.fresh = True

    def _cite(self, track: str, report: Sighting) -> None:
        case = self._case_of(track)
        if case is None:
            return
        name = cited_as(report.sensor, report.id)
        if name not in case.told.sightings and len(case.told.sightings) < MAX_SIGHTINGS:
            case.told = replace(case.told, sightings=(*case.told.sightings, name))
            case.fresh = True
        item = case.object(track)
        if report.found and item.state != ON_GROUND:
            item.state, item.lost = ON_GROUND, False
            case.note("found")

    def _search(self, area: SearchArea) -> None:
        case = self._case_of(area.track)
        if case is None:
            return
        item = case.object(area.track)
        case.fresh = True
        if not area.ended and not item.sought:
            item.sought = True
            if not item.lost:
                item.lost = True
                case.note("lost")
        elif area.ended and item.sought:
            item.sought = False
            item.state = area.why
            if not area.why.startswith(GIVEN_UP):
                item.lost = False
                case.note("found")

    def _end(self, track: str, why: str) -> None:
        case = self._case_of(track)
        if case is not None:
            item = case.object(track)
            item.alive, item.state = False, why
            case.fresh = True

    # --- commands ---

    def _carry_out(
        self, case: Case, command: Command, watch: Watch, now_us: int
    ) -> tuple[Answer, list[Alert], list[Incident]]:
        refused = unfit(case.told, command)
        if refused:
            return Answer(command, False, refused), [], []
        verb, told, alerts = command.verb, case.told, list[Alert]()
        if verb in ("acknowledge", "hand-over"):
            alerts = _each_alert(case, replace(command, verb="acknowledge"), watch, now_us)
            done = acknowledge(case, command, now_us, len(alerts))
        if verb == "identify":
            alerts = _each_alert(case, command, watch, now_us)
            done = self._identified(case, command, watch)
        elif verb == "hand-over":
            done = f"handed over to {command.to}"
            given = {"handed_to": command.to, "handed_by": command.operator, "handed_reason": command.reason}
            case.told = replace(case.told, state="handed-over", handed_us=now_us, taken_by="", taken_us=-1, **given)  # type: ignore[arg-type]
            case.note("handed-over")
        elif verb == "take":
            done = f"taken from {told.handed_by}"
            case.told = replace(told, taken_by=command.operator, taken_us=now_us)
            case.note("taken")
        elif verb == "close":
            alerts, done = _each_alert(case, command, watch, now_us), "closed"
        for alert in alerts:
            self._hear(alert, now_us)
        if verb == "close":
            close(case, f"closed by {command.operator}: {command.reason}")
        return Answer(command, True, done), alerts, self._tell(case, now_us)

    def _identified(self, case: Case, command: Command, watch: Watch) -> str:
        told = case.told
        if (told.identity, told.identity_by, told.identity_reason) == said(command):
            return f"already identified as {command.identity}"
        for item in case.objects:
            item.identity, item.identity_by = command.identity, command.operator
            if item.open is None and item.alive:
                watch.remember(item.track, command)
        identify(case, *said(command))
        return f"identified as {command.identity}"

    # --- telling ---

    def _tell(self, case: Case, now_us: int) -> list[Incident]:
        """What is to be told of an incident now: each change on its own, all of them as it stands after this look."""
        if not case.fresh and not case.pending:
            return []
        weigh(case)
        acknowledged_alerts(case)
        changes = sorted(case.pending, key=CHANGES.index)
        if not changes and (case.closed or now_us - case.sent_us < UPDATE_US):
            return []
        case.pending.clear()
        case.fresh, case.sent_us = False, now_us
        return [tell(case, change, self._names, now_us) for change in changes or ["updated"]]

    def _close_quiet(self, now_us: int) -> list[Incident]:
        """Incidents over by themselves."""
        said = []
        for case in self._in_order():
            if case.closed:
                continue
            if case.open_alerts():
                case.quiet_us = -1
            elif case.quiet_us < 0:
                case.quiet_us = now_us
            searched = any(item.sought for item in case.objects)
            if case.quiet_us >= 0 and now_us - case.quiet_us >= self.params.hold_s * US_PER_S and not searched:
                close(case, f"no alert open for {self.params.hold_s:g} s")
                said += self._tell(case, now_us)
        return said

    def _forget(self) -> None:
        """Closed incidents go when none of their objects flies any more, or when there are too many."""
        closed = [case for case in self._in_order() if case.closed and not case.pending]
        over = len(closed) - self.params.max_open
        for i, case in enumerate(closed):
            if i < over or not any(item.alive for item in case.objects):
                del self._cases[case.told.id]
                for item in case.objects:
                    self._of.pop(item.track, None)

    def _case_of(self, track: str) -> Case | None:
        return self._cases.get(self._of.get(track, ""))

    def _in_order(self) -> list[Case]:
        return list(self._cases.values())


def track_key(track: str) -> tuple[int, int]:
    """Order of tracks by name "epoch:counter"."""
    epoch, counter = track.split(":")
    return int(epoch), int(counter)


def _alert_key(alert: Alert) -> tuple[tuple[int, int], int, str, int]:
    """By object; an older alert before the one that took over; each in the order of its life."""
    return track_key(alert.track), alert.raised_us, alert.id, _ALERT_ORDER[alert.state]


def _each_alert(case: Case, command: Command, watch: Watch, now_us: int) -> list[Alert]:
    """The same command for every open alert of an incident."""
    changed: list[Alert] = []
    for alert in case.open_alerts():
        changed += watch.command(replace(command, alert_id=alert.id, incident_id=""), now_us)[1]
    return changed
