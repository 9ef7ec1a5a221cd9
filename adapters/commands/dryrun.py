"""What other rules would have done with a recording: both sets look at the one picture that the recording makes.

Where the words or bands differ too, the picture itself carries other probabilities: then the recording runs twice. What
a person asked for in the recording is about objects: it is done to every alert that the other rules have open for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from adapters.config import Config
from adapters.decode import Door
from adapters.running import startframe
from adapters.service import engine_of, run
from adapters.wire import rfc3339
from fusion.cases.record import IncidentChanged
from fusion.engine import Engine
from fusion.redlines.alerts import Watch
from fusion.redlines.volumes import Notified
from fusion.rules import RuleSet
from fusion.schema import US_PER_S, Alert, AlertChanged, Answer, Command, Event, Frame, Picture
from fusion.zones import Zones
from replay.log import START


@dataclass(slots=True)
class Life:
    """One alert from its beginning to its end, or to that of the recording."""

    id: str
    rule: str
    rule_version: int
    severity: int
    track: str
    raised_us: int
    sentence: str  # as it was raised
    recipients: tuple[str, ...]
    closed_us: int = -1  # -1: open at the end
    close_reason: str = ""

    @property
    def end_us(self) -> int:
        """When it closed; never, for one that is open."""
        return self.closed_us if self.closed_us >= 0 else 2**62


@dataclass(frozen=True, slots=True)
class Changed:
    """An alert that both sets raise, and what differs."""

    now: Life  # by the rules in force
    then: Life  # by the other rules
    what: tuple[str, ...]


@dataclass(slots=True)
class Outcome:
    """The whole comparison."""

    gained: list[Life] = field(default_factory=list)
    lost: list[Life] = field(default_factory=list)
    changed: list[Changed] = field(default_factory=list)
    same: int = 0
    refused: dict[str, int] = field(default_factory=dict)  # input of the recording, by reason

    def plain(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "gained": [_plain(life) for life in self.gained],
            "lost": [_plain(life) for life in self.lost],
            "changed": [{"now": _plain(c.now), "then": _plain(c.then), "what": list(c.what)} for c in self.changed],
            "same_count": self.same,
            "refused_count": self.refused,
        }


def dry_run(config: Config, zones: Zones, other: RuleSet, frames: Iterable[Frame], again: Iterable[Frame]) -> Outcome:
    """Alerts gained, lost and changed by `other` against the rules of `config`.

    `again`: the same frames once more, read only where the words or bands differ.
    """
    in_force = config.rules
    epoch, frames = _epoch_of(frames)
    engine = _engine(config, zones, epoch)
    now, then = _Book(), _Book()
    if (other.words, other.bands) == (in_force.words, in_force.bands):
        run(frames, engine, _door(engine, config), _Second(engine, config, zones, other, now, then).hear)
    else:
        first, second = _Asked(now), _engine(replace(config, rules=other), zones, epoch)
        given: list[tuple[int, Command, tuple[str, ...]]] = []

        def hear(tick: Frame, events: list[Event]) -> None:
            given.extend((tick.rx_us, command, tracks) for command, tracks in first.hear(events))

        def follow(tick: Frame, events: list[Event]) -> None:
            then.note(_alerts(events))
            while given and given[0][0] <= tick.rx_us:
                then.note(_obey(second.watch, *given.pop(0)[1:], tick.rx_us))

        run(frames, engine, _door(engine, config), hear)
        run((f for f in again if not _is_order(f)), second, _door(second, config), follow)
    return compare(list(now.lives.values()), list(then.lives.values()), dict(engine.counters.rejected))


def _epoch_of(frames: Iterable[Frame]) -> tuple[int, Iterable[Frame]]:
    """(epoch, all the frames): of the service that recorded them, so that its tracks and alerts have their names."""
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        return 0, ()
    epoch = startframe.epoch_of(startframe.decode(first.payload)) if first.source == START else 0
    return epoch, chain([first], rest)


def _engine(config: Config, zones: Zones, epoch: int) -> Engine:
    """As configured, but it takes simulated recordings, since nothing leaves, and every picture is a full one."""
    engine = engine_of(config, zones, epoch)
    engine.config = replace(engine.config, simulated=True, full_us=engine.config.picture_us)
    return engine


def _door(engine: Engine, config: Config) -> Door:
    return Door(engine, config.formats, lambda _frame, _reason, _detail: None, config.partners)


def _alerts(events: Iterable[Event]) -> Iterator[Alert]:
    return (event.alert for event in events if isinstance(event, AlertChanged))


class _Book:
    """The lives of alerts, in order of raising."""

    def __init__(self) -> None:
        self.lives: dict[str, Life] = {}

    def note(self, alerts: Iterable[Alert]) -> None:
        for a in alerts:
            if a.id not in self.lives:
                told = (a.id, a.rule, a.rule_version, a.severity, a.track, a.raised_us, a.sentence, a.recipients)
                self.lives[a.id] = Life(*told)
            if a.state == "closed":
                self.lives[a.id].closed_us, self.lives[a.id].close_reason = a.t_us, a.close_reason


def _is_order(frame: Frame) -> bool:
    """A command about alerts or incidents, which have other ids under other rules."""
    return frame.source.startswith(("cmd/", "partner/")) and frame.source != "cmd/mode"


def _obey(watch: Watch, command: Command, tracks: tuple[str, ...], now_us: int) -> list[Alert]:
    """Do what a person asked for of these objects to every alert that is open for them."""
    if command.verb == "take":
        return []  # the neighbour's own word changes no alert
    verb = "acknowledge" if command.verb == "hand-over" else command.verb
    changed: list[Alert] = []
    for alert in watch.open_alerts():
        if alert.track in tracks:
            changed += watch.command(replace(command, verb=verb, alert_id=alert.id, incident_id=""), now_us)[1]
    if verb == "identify":
        for track in tracks:
            watch.remember(track, command)
    return changed


class _Asked:
    """Notes the alerts of the rules in force, and what persons asked for, with the objects that it is about."""

    def __init__(self, book: _Book) -> None:
        self._book = book
        self._members: dict[str, tuple[str, ...]] = {}  # by incident

    def hear(self, events: list[Event]) -> list[tuple[Command, tuple[str, ...]]]:
        """The events of one tick: what was carried out of what was asked."""
        self._book.note(_alerts(events))
        asked = []
        for event in events:
            if isinstance(event, IncidentChanged):
                self._members[event.incident.id] = tuple(member.track for member in event.incident.members)
            elif isinstance(event, Answer) and event.ok and event.command.verb != "mode":
                about = self._book.lives.get(event.command.alert_id)
                tracks = (about.track,) if about else self._members.get(event.command.incident_id, ())
                asked.append((event.command, tracks))
        return asked


class _Second:
    """A second watch on the pictures of the first."""

    def __init__(self, engine: Engine, config: Config, zones: Zones, rules: RuleSet, now: _Book, then: _Book) -> None:
        names = tuple(spec.id for spec in config.sensors)
        notified = Notified(config.declared, zones.geoid)
        self._watch = Watch(
            rules, zones.codes, zones.names, names, config.simulated, notified=notified, mode=config.mode
        )
        self._engine, self._asked, self._then = engine, _Asked(now), then

    def hear(self, tick: Frame, events: list[Event]) -> None:
        """The events of one tick."""
        for command, tracks in self._asked.hear(events):
            self._then.note(_obey(self._watch, command, tracks, tick.rx_us))
        for event in events:
            if isinstance(event, Answer) and event.ok and event.command.verb == "mode":
                self._watch.set_mode(event.command.to)
            elif isinstance(event, Picture):
                crowd = self._engine.crowds.member(event.tracks.id)
                self._then.note(self._watch.step(event.tracks, event.assessment, event.t_us, event.forecast, crowd))
                self._then.note(self._watch.ended(event.dropped, event.tracks.epoch, event.t_us))
                self._watch.drain_withheld()


def compare(now: list[Life], then: list[Life], refused: dict[str, int]) -> Outcome:
    """Pair alerts of one track that overlap in time: of one rule first, then of any; what is left is gained or lost."""
    outcome = Outcome(refused=refused)
    pairs: list[tuple[Life, Life]] = []
    rest, free = list(now), list(then)
    for same_rule in (True, False):
        for life in list(rest):
            kin = [
                x for x in free if x.track == life.track and _overlap(x, life) and (x.rule == life.rule) >= same_rule
            ]
            if kin:
                other = min(kin, key=lambda x: (abs(x.raised_us - life.raised_us), x.raised_us, x.id))
                pairs.append((life, other))
                rest.remove(life)
                free.remove(other)
    for life, other in sorted(pairs, key=lambda pair: (pair[0].raised_us, pair[0].id)):
        what = _what(life, other)
        if what:
            outcome.changed.append(Changed(life, other, what))
        else:
            outcome.same += 1
    outcome.lost, outcome.gained = rest, free
    return outcome


def _overlap(one: Life, other: Life) -> bool:
    return one.raised_us <= other.end_us and other.raised_us <= one.end_us


def _what(now: Life, then: Life) -> tuple[str, ...]:
    lines = []
    if now.rule != then.rule:
        lines.append(f"rule {now.rule} -> {then.rule}")
    if now.severity != then.severity:
        lines.append(f"severity {now.severity} -> {then.severity}")
    if now.raised_us != then.raised_us:
        lines.append(f"raised {_later(then.raised_us - now.raised_us)}")
    if now.closed_us != then.closed_us:
        if now.closed_us < 0 or then.closed_us < 0:
            lines.append("still open at the end" if then.closed_us < 0 else f"closed at {rfc3339(then.closed_us)}")
        else:
            lines.append(f"closed {_later(then.closed_us - now.closed_us)}")
    if now.recipients != then.recipients:
        lines.append(f"recipients {', '.join(now.recipients) or 'none'} -> {', '.join(then.recipients) or 'none'}")
    if now.sentence != then.sentence and now.raised_us == then.raised_us:
        lines.append(f'sentence "{then.sentence}"')
    return tuple(lines)


def _later(us: int) -> str:
    return f"{abs(us) / US_PER_S:.1f} s {'later' if us > 0 else 'earlier'}"


def _plain(life: Life) -> dict[str, Any]:
    plain = asdict(life)
    raised_us, closed_us = plain.pop("raised_us"), plain.pop("closed_us")
    return {**plain, "raised_time": rfc3339(raised_us), "closed_time": rfc3339(closed_us) if closed_us >= 0 else None}
