"""What other rules would have done with a recording: both sets look at the one picture that the recording makes.

Where the words or bands differ too, the picture itself carries other probabilities: then the recording runs twice. What
a person asked for in the recording is done to both where an alert has the same id, and else to the rules in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from adapters.config import Config
from adapters.decode import Door
from adapters.service import engine_of, run
from adapters.wire import rfc3339
from fusion.alerts import Watch
from fusion.engine import Engine
from fusion.rules import RuleSet
from fusion.schema import US_PER_S, Alert, AlertChanged, Answer, Event, Frame, Picture
from fusion.volumes import Notified
from fusion.zones import Zones


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
    engine = _engine(config, zones)
    now, then = _Book(), _Book()
    if (other.words, other.bands) == (in_force.words, in_force.bands):
        run(frames, engine, _door(engine, config), _Second(engine, config, zones, other, now, then).hear)
    else:
        run(frames, engine, _door(engine, config), lambda _tick, events: now.note(_alerts(events)))
        second = _engine(replace(config, rules=other), zones)
        run(again, second, _door(second, config), lambda _tick, events: then.note(_alerts(events)))
    return compare(list(now.lives.values()), list(then.lives.values()), dict(engine.counters.rejected))


def _engine(config: Config, zones: Zones) -> Engine:
    """As configured, but it takes simulated recordings, since nothing leaves, and every picture is a full one."""
    engine = engine_of(config, zones, epoch=0)
    engine.config = replace(engine.config, simulated=True, full_us=engine.config.picture_us)
    return engine


def _door(engine: Engine, config: Config) -> Door:
    return Door(engine, config.formats, lambda _frame, _reason, _detail: None)


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


class _Second:
    """A second watch on the pictures of the first."""

    def __init__(self, engine: Engine, config: Config, zones: Zones, rules: RuleSet, now: _Book, then: _Book) -> None:
        names = tuple(spec.id for spec in config.sensors)
        notified = Notified(config.declared, zones.geoid)
        self._watch = Watch(
            rules, zones.codes, zones.names, names, config.simulated, notified=notified, mode=config.mode
        )
        self._engine, self._now, self._then = engine, now, then

    def hear(self, _tick: Frame, events: list[Event]) -> None:
        """The events of one tick."""
        self._now.note(_alerts(events))
        for event in events:
            if isinstance(event, Answer) and event.ok and event.command.verb == "mode":
                self._watch.set_mode(event.command.to)
            elif isinstance(event, Answer) and event.ok and event.command.alert_id:
                self._then.note(self._watch.command(event.command, _tick.rx_us)[1])
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
