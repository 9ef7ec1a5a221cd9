"""The file of one incident while it is worked on: its objects, their alerts, and how it is told.

`Case` is what `fusion/incidents.py` changes; `tell` makes a frozen `Incident` of it. The policies stand there.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from fusion.cases.grouping import NOWHERE, Mark
from fusion.cases.record import Incident, Member, Passage, state_entered
from fusion.redlines.alerts import alert_from
from fusion.redlines.sentence import marked
from fusion.schema import Alert, Command

CHANGES = (  # in the order in which one look tells them
    "raised",
    "reopened",
    "joined",
    "severity",
    "acknowledged",
    "identified",
    "handed-over",
    "taken",
    "lost",
    "found",
    "updated",
    "closed",
)
MAX_ALERTS = 20  # ids kept of one object: the first and the newest
MAX_PASSED = 50  # states kept of one object: the first ones
MAX_SIGHTINGS = 50  # reports cited in one incident: the first ones
IN_SIGHT = "in sight"


@dataclass(slots=True)
class Object:
    """One object of an incident."""

    track: str
    first_plot_us: int
    confirmed_us: int
    alert_us: int
    first: Mark  # when it was first alerted
    last: Mark  # newest
    alerts: list[str] = field(default_factory=list)
    open: Alert | None = None
    state: str = IN_SIGHT
    alive: bool = True  # its track goes on
    lost: bool = False  # told as lost, and not seen since
    sought: bool = False  # a search area runs
    identity: str = "unknown"
    identity_by: str = ""
    passed: list[tuple[int, str]] = field(default_factory=list)  # when, which state

    def note_alert(self, alert: Alert) -> None:
        """Keep its id; of more than MAX_ALERTS the second goes."""
        if alert.id not in self.alerts:
            self.alerts.append(alert.id)
            if len(self.alerts) > MAX_ALERTS:
                del self.alerts[1]

    def note_passage(self, passage: Passage) -> None:
        """Keep the state it came over, "" the open sea; a seam is no passage."""
        known = self.passed[-1][1] if self.passed else None
        state = state_entered(passage)
        if state is not None and state != known and len(self.passed) < MAX_PASSED:
            self.passed.append((passage.t_us, state))


@dataclass(slots=True)
class Case:
    """One incident. `told` is its newest transition, and holds what persons did."""

    told: Incident
    objects: list[Object]
    top: Alert  # its most urgent open alert; the last one once none is open
    pending: list[str] = field(default_factory=list)  # changes to tell
    fresh: bool = True  # something new since it was told
    sent_us: int = -1
    quiet_us: int = -1  # since when no alert is open; -1 while one is

    @property
    def closed(self) -> bool:
        """It is over, unless one of its objects alerts again."""
        return self.told.state == "closed"

    def object(self, track: str) -> Object:
        """Its object of this track."""
        return next(item for item in self.objects if item.track == track)

    def open_alerts(self) -> list[Alert]:
        """In order of joining."""
        return [item.open for item in self.objects if item.open is not None]

    def note(self, change: str) -> None:
        """Something to be told at once."""
        if change not in self.pending:
            self.pending.append(change)


def incident_id(alert: Alert) -> str:
    """16 hex digits out of the id of the first alert."""
    return hashlib.sha256(f"incident|{alert.id}".encode()).hexdigest()[:16]


def begun(alert: Alert, first: Object, mode: str, now_us: int) -> Case:
    """A new incident of one object."""
    told = Incident(
        id=incident_id(alert),
        number=0,
        change="raised",
        state="open",
        t_us=now_us,
        raised_us=now_us,
        severity=alert.severity,
        worst=alert.severity,
        severity_reason=f"{alert.severity}: {alert.rule}",
        title="",
        sentence="",
        near_state="",
        states=(),
        members=(),
        recipients=(),
        mode=mode,
        simulated=alert.simulated,
    )
    return Case(told, [first], alert, ["raised"])


def weigh(case: Case) -> None:
    """Find the most urgent open alert, and note what changed with it and why."""
    urgent = sorted(case.open_alerts(), key=lambda alert: (alert.severity, alert.raised_us))  # then by joining
    if not urgent:
        return
    old, new = case.top, urgent[0]
    case.top = new
    if new.id == old.id:
        return
    was, now = case.told.severity, new.severity
    if old.track == new.track:
        why = f"{new.rule} took over from {old.rule}"
    elif now < was:
        why = f"{new.rule} of {new.track}"
    else:
        why = f"{old.rule} of {old.track} is closed, {new.rule} of {new.track} is open"
    head = str(now) if now == was else f"{now} (was {was})"
    case.told = replace(case.told, severity=now, worst=min(now, case.told.worst), severity_reason=f"{head}: {why}")
    if now != was:
        case.note("severity")


def acknowledge(case: Case, command: Command, now_us: int, alerts: int) -> str:
    """A person acknowledged the incident, and with it so many alerts; returns what to answer."""
    told = case.told
    if told.acknowledged_by:
        more = f"; {alerts} further alerts acknowledged" if alerts else ""
        return f"already acknowledged by {told.acknowledged_by}{more}"
    state = "acknowledged" if told.state == "open" else told.state
    case.told = replace(told, state=state, acknowledged_by=command.operator, acknowledged_us=now_us)
    case.note("acknowledged")
    return "acknowledged"


def acknowledged_alerts(case: Case) -> None:
    """Every open alert was acknowledged one by one: so is the incident, by the last who did."""
    alerts = case.open_alerts()
    if case.told.acknowledged_by or not alerts or not all(alert.acknowledged_by for alert in alerts):
        return
    last = max(alerts, key=lambda alert: (alert.acknowledged_us, alert.id))
    state = "acknowledged" if case.told.state == "open" else case.told.state
    case.told = replace(
        case.told, state=state, acknowledged_by=last.acknowledged_by, acknowledged_us=last.acknowledged_us
    )
    case.note("acknowledged")


def identify(case: Case, identity: str, operator: str, reason: str) -> None:
    """A person said what it is."""
    if (case.told.identity, case.told.identity_by, case.told.identity_reason) != (identity, operator, reason):
        case.told = replace(case.told, identity=identity, identity_by=operator, identity_reason=reason)
        case.note("identified")


def said(command: Command) -> tuple[str, str, str]:
    """Identity, by whom, why."""
    return command.identity, command.operator, command.reason


def close(case: Case, why: str) -> None:
    """It is over."""
    case.told = replace(case.told, state="closed", close_reason=why)
    case.note("closed")


def ended(cases: Iterable[Case], told: Alert | Incident) -> None:
    """This alert or incident is over, and that was told."""
    for case in cases:
        if isinstance(told, Incident) and case.told.id == told.id:
            case.told = told
        for item in case.objects:
            if item.open is not None and item.open.id == told.id:
                item.open = None


def unfit(told: Incident, command: Command) -> str:
    """Why this incident is not in the state for the command; empty when it is."""
    if command.verb != "take":
        return ""
    if not told.handed_to:
        return "not handed over to anybody"
    if command.to and command.to != told.handed_to:
        return f"handed over to {told.handed_to}, not to {command.to}"
    return f"already taken by {told.taken_by}" if told.taken_by else ""


def tell(case: Case, change: str, names: Mapping[str, str], now_us: int) -> Incident:
    """The next transition of an incident. `names`: readable names of states by ISO code."""
    recipients = [name for alert in case.open_alerts() for name in alert.recipients]
    case.told = replace(
        case.told,
        number=case.told.number + 1,
        change=change,
        t_us=now_us,
        title=_title(case, names),
        sentence=_sentence(case),
        near_state=case.top.near_state,
        states=_states(case.objects),
        members=tuple(_member(item) for item in case.objects),
        recipients=tuple(dict.fromkeys([*case.told.recipients, *recipients])),
    )
    return case.told


def _title(case: Case, names: Mapping[str, str]) -> str:
    """Such as "3 objects inside Lithuania"."""
    distance = next((q.value for q in case.top.quantities if q.name == "distance_m"), math.nan)
    inside = isinstance(distance, float) and distance < 0.0
    place = names.get(case.top.near_state, case.top.near_state) or "the allied border"
    count = len(case.objects)
    objects = "Object" if count == 1 else f"{count} objects"
    text = f"{objects} {'inside' if inside else 'near'} {place}"
    return marked(text, case.told.simulated, case.told.mode == "exercise")


def _sentence(case: Case) -> str:
    count = len(case.objects)
    return case.top.sentence if count == 1 else f"One of {count} objects: {case.top.sentence}"


def _states(objects: Sequence[Object]) -> tuple[str, ...]:
    """ISO codes in order of time, once each."""
    passed = sorted(entry for item in objects for entry in item.passed if entry[1])
    return tuple(dict.fromkeys(state for _, state in passed))


def _member(item: Object) -> Member:
    return Member(
        track=item.track,
        alerts=tuple(item.alerts),
        first_plot_us=item.first_plot_us,
        confirmed_us=item.confirmed_us,
        alert_us=item.alert_us,
        state=item.state,
        t_us=item.last.t_us,
        lat_rad=item.last.lat_rad,
        lon_rad=item.last.lon_rad,
        states=tuple(state for _, state in item.passed),
        identity=item.identity,
        identity_by=item.identity_by,
    )


@dataclass(frozen=True, slots=True)
class Clock:
    """How fast an incident was reacted to. Times in microseconds UTC, -1 not yet."""

    first_plot_us: int
    confirmed_us: int
    alert_us: int
    called_us: int  # when people were called: the alert, or that it was reopened
    acknowledged_us: int
    taken_us: int


def clock(incident: Incident) -> Clock:
    """The reaction clock of an incident: of its first object, then of the people."""
    first = incident.members[0]
    called_us = max(first.alert_us, incident.reopened_us)
    return Clock(
        first.first_plot_us, first.confirmed_us, first.alert_us, called_us, incident.acknowledged_us, incident.taken_us
    )


def incident_from(state: Mapping[str, Any]) -> Incident:
    """An incident from its plain form (`dataclasses.asdict`, perhaps by way of JSON)."""
    members = tuple(
        Member(**{**plain, "alerts": tuple(plain["alerts"]), "states": tuple(plain["states"])})
        for plain in state["members"]
    )
    texts = {name: tuple(state[name]) for name in ("states", "recipients", "sightings")}
    return Incident(**{**state, **texts, "members": members})


def case_state(case: Case) -> dict[str, Any]:
    """A case as plain values."""
    return {
        "told": asdict(case.told),
        "objects": [asdict(item) for item in case.objects],
        "top": asdict(case.top),
        "rest": [list(case.pending), case.fresh, case.sent_us, case.quiet_us],
    }


def case_from(state: Mapping[str, Any]) -> Case:
    """A case from its plain values."""
    pending, fresh, sent_us, quiet_us = state["rest"]
    objects = [_object_from(plain) for plain in state["objects"]]
    return Case(
        incident_from(state["told"]), objects, alert_from(state["top"]), list(pending), fresh, sent_us, quiet_us
    )


def inherited(told: Incident, alerts: Sequence[Alert]) -> Case | None:
    """A case as it was told by an earlier epoch, with those of these open alerts that are its own; None: with none."""
    objects = [_object_of(member, alerts) for member in told.members]
    opened = [item.open for item in objects if item.open is not None]
    if not opened:
        return None
    return Case(told, objects, min(opened, key=lambda alert: (alert.severity, alert.raised_us)), fresh=False)


def _object_of(m: Member, alerts: Sequence[Alert]) -> Object:
    mark = replace(NOWHERE, t_us=m.t_us, lat_rad=m.lat_rad, lon_rad=m.lon_rad)
    opened = next((alert for alert in alerts if alert.id in m.alerts), None)
    return Object(
        track=m.track,
        first_plot_us=m.first_plot_us,
        confirmed_us=m.confirmed_us,
        alert_us=m.alert_us,
        first=mark,
        last=mark,
        alerts=list(m.alerts),
        open=opened,
        state="tracks were numbered anew",
        alive=False,
        identity=m.identity,
        identity_by=m.identity_by,
        passed=[(m.t_us, state) for state in m.states],
    )


def _object_from(plain: Mapping[str, Any]) -> Object:
    opened = plain["open"]
    given = {
        "first": Mark(**plain["first"]),
        "last": Mark(**plain["last"]),
        "alerts": list(plain["alerts"]),
        "open": None if opened is None else alert_from(opened),
        "passed": [(int(t_us), str(state)) for t_us, state in plain["passed"]],
    }
    return Object(**{**plain, **given})
