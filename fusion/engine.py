"""The file to read first: everything that enters Vedette passes `feed`, everything that leaves comes out of `tick`.

    feed(item)      only stores (and refuses duplicates and plots from the future)
    tick(rx_us)     orders what is stored by (time, sensor, seq), fuses it, and says what follows from it

Nothing here knows the clock: live, replay and test differ only in who calls. The same calls give the same events, to
the bit. Arrival order within a tick cannot matter, and nothing waits longer than a tick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from fusion.behaviour import Behaviour
from fusion.borders.forecast import Forecaster
from fusion.borders.ledger import Ledger
from fusion.borders.outlook import Area
from fusion.cases.afterwards import Afterwards, areas, cited
from fusion.cases.orders import refusal
from fusion.cases.record import Incident, IncidentChanged, Passage, PassageNoted, Sighting
from fusion.claims.history import ClaimWatch
from fusion.coverage import Coverage
from fusion.health import SensorWatch
from fusion.identity import assess
from fusion.incidents import Heard, IncidentParams, Incidents
from fusion.numbers import Run
from fusion.order import Order
from fusion.redlines.alerts import Watch
from fusion.redlines.crowds import Crowds
from fusion.redlines.declared import Declared
from fusion.redlines.volumes import Notified
from fusion.rules import RuleSet
from fusion.schema import (
    B1,
    US_PER_S,
    Alert,
    AlertChanged,
    Answer,
    Command,
    Counters,
    Event,
    HealthChanged,
    Item,
    Met,
    Picture,
    Plots,
    SensorSpec,
    SensorStatus,
    Tracks,
    take,
)
from fusion.thinning import CLASS, PICTURES, Load, Thinning
from fusion.tracker import Tracker, TrackerParams
from fusion.zones import Zones

_NONE: Mapping[str, int] = MappingProxyType({})
QNH_SIGMA_HPA = 2.0  # of a station's pressure, a few hundred km away: about 17 m


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine is made of. Sensors in order of index; the epoch is raised by every cold start."""

    sensors: tuple[SensorSpec, ...]
    ruleset: RuleSet
    zones: Zones
    tracker: TrackerParams = field(default_factory=TrackerParams)
    protected: tuple[Area, ...] = ()
    declared: Declared = field(default_factory=Declared)  # notified activities
    coverage: Coverage | None = None  # of these sensors, with terrain where there is any
    epoch: int = 0
    simulated: bool = False
    mode: str = "peace"  # to begin with; a command changes it
    incidents: IncidentParams = field(default_factory=IncidentParams)
    picture_us: int = 100_000  # a picture, and the rules, this often
    full_us: int = US_PER_S  # a full picture this often


class Engine:
    """One air picture. Not thread-safe: one caller at a time."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.counters = Counters()
        self.zones = config.zones
        self.tracker = Tracker(config.sensors, config.tracker, config.epoch, config.zones.geoid, config.coverage)
        self.order = Order()
        self.thinning = Thinning(config.sensors)
        self.claims = ClaimWatch(config.sensors, self.tracker.coverage)
        self.behaviour = Behaviour()
        self.forecaster = Forecaster(config.zones, config.protected, config.ruleset.bands)
        self.health = SensorWatch(config.sensors)
        names = tuple(spec.id for spec in config.sensors)
        notified = Notified(config.declared, config.zones.geoid)
        words = (config.zones.codes, config.zones.names, names)
        self.watch = Watch(config.ruleset, *words, config.simulated, notified=notified, mode=config.mode)
        self.ledger = Ledger(config.zones, names)
        self.crowds = Crowds(config.zones.codes)
        states = (config.zones.codes, config.zones.names)
        self.incidents = Incidents(*states, config.incidents, self._passages, config.mode)
        self.afterwards = Afterwards(config.zones)
        self._commands: list[Command] = []
        self._heard: list[Plots] = []
        self._loads: list[Load] = []
        self._words: list[SensorStatus | Met] = []
        self._word_us: dict[str, int] = {}  # measured time of the newest word heeded, by kind and sensor
        self._now_us = -1
        self._picture_slot = self._full_slot = self._health_slot = self._between_slot = -1
        self._shown_id = np.empty(0, np.int64)
        self._shown_hits = np.empty(0, np.int32)
        self._shown_status = np.empty(0, np.int8)
        self._dropped: list[tuple[int, str]] = []

    def feed(self, item: Item | Load, rejected: Mapping[str, int] = _NONE) -> int:
        """Store one item for the next tick. `rejected`: plots of the same message that its decoder refused, by reason.

        A numbered message whose plots were all refused is fed as an empty batch: it must not be asked for again.
        Returns how many were refused here as `future`: plots, or the item itself.
        """
        if isinstance(item, Plots):
            return self._feed_plots(item, rejected)
        if isinstance(item, Command):
            self._commands.append(item)
        elif isinstance(item, Load):
            self._loads.append(item)
            return 0  # our own: nothing that was received
        elif isinstance(item, Sighting):
            self.afterwards.sightings.feed(item)
            return 0  # counted when it is judged: its sender hears of it with that look
        else:
            if item.t_us > item.rx_us + self.order.future_us:
                self.counters.reject("future")
                return 1
            self._words.append(item)
        self._used_message()
        return 0

    def inherit(self, told: Alert | Incident) -> None:
        """An alert or incident that a start found in the journal, and the state knows otherwise; alerts before the
        incidents that they belong to. An open one waits to be found again (fusion/redlines/adrift.py), a closed one
        ends."""
        if told.state == "closed":
            self.incidents.end(told)
            if isinstance(told, Alert):
                self.watch.end(told)
        elif isinstance(told, Alert):
            self.watch.inherit(told)
        else:
            self.incidents.inherit(told, self.watch.open_alerts())

    def tick(self, rx_us: int) -> list[Event]:
        """The clock reached `rx_us`: fuse what is stored, and say what follows.

        Raises:
            ValueError: time ran backwards; the caller owns the clock, so this is a broken invariant.
        """
        if rx_us < self._now_us:
            raise ValueError(f"tick {rx_us} after tick {self._now_us}")
        self._now_us = rx_us
        events: list[Event] = self._answer(rx_us)
        self._listen()
        self._fuse(rx_us)
        picture_slot = rx_us // (self.config.picture_us * PICTURES[self.thinning.level])
        if picture_slot != self._picture_slot:
            self._picture_slot = picture_slot
            events += self._show(rx_us)
        if rx_us // US_PER_S != self._health_slot:
            self._health_slot = rx_us // US_PER_S
            stats = self.tracker.sensor_stats()
            biases = self.tracker.registration.report()
            healths = self.health.report(rx_us, stats.nis, stats.hits, stats.misses, biases)
            events += [HealthChanged(health) for health in healths]
            events += self.claims.report(rx_us)
        assert self.counters.balance() == 0, "a received item is not accounted for"
        return events

    def open_alerts(self) -> list[Alert]:
        """Every alert not closed, in order of raising: re-published after a reconnect."""
        return self.watch.open_alerts()

    def fused(self, sensor: str) -> tuple[Run, ...]:
        """The numbered messages of this sensor that were fused, as runs."""
        return self.order.fused(sensor)

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer, between two ticks."""
        return {
            "tracker": self.tracker.snapshot(),
            "order": self.order.snapshot(),
            "thinning": (self.thinning.snapshot(), list(self._loads)),
            "claims": self.claims.snapshot(),
            "behaviour": self.behaviour.snapshot(),
            "forecaster": self.forecaster.snapshot(),
            "health": self.health.snapshot(),
            "watch": self.watch.snapshot(),
            "ledger": self.ledger.snapshot(),
            "crowds": self.crowds.snapshot(),
            "incidents": self.incidents.snapshot(),
            "afterwards": self.afterwards.snapshot(),
            "counters": replace(self.counters, rejected=dict(self.counters.rejected), shed=dict(self.counters.shed)),
            "commands": list(self._commands),
            "heard": list(self._heard),
            "words": (list(self._words), dict(self._word_us)),
            "slots": (self._now_us, self._picture_slot, self._full_slot, self._health_slot, self._between_slot),
            "shown": (self._shown_id.copy(), self._shown_hits.copy(), self._shown_status.copy()),
            "dropped": list(self._dropped),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` as if nothing had happened."""
        self.tracker.restore(state["tracker"])
        self.order.restore(state["order"])
        thinning, loads = state["thinning"]
        self.thinning.restore(thinning)
        self._loads = list(loads)
        self.claims.restore(state["claims"])
        self.behaviour.restore(state["behaviour"])
        self.forecaster.restore(state["forecaster"])
        self.health.restore(state["health"])
        self.watch.restore(state["watch"])
        self.ledger.restore(state["ledger"])
        self.crowds.restore(state["crowds"])
        self.incidents.restore(state["incidents"])
        self.afterwards.restore(state["afterwards"])
        kept: Counters = state["counters"]
        self.counters = replace(kept, rejected=dict(kept.rejected), shed=dict(kept.shed))
        self._commands = list(state["commands"])
        self._heard = list(state["heard"])
        words, word_us = state["words"]
        self._words, self._word_us = list(words), dict(word_us)
        self._now_us, self._picture_slot, self._full_slot, self._health_slot, self._between_slot = state["slots"]
        self._shown_id, self._shown_hits, self._shown_status = (a.copy() for a in state["shown"])
        self._dropped = list(state["dropped"])

    def _feed_plots(self, batch: Plots, rejected: Mapping[str, int]) -> int:
        admitted = self.order.admit(batch)
        if admitted.duplicate:
            count = max(1, len(batch) + sum(rejected.values()))  # what was refused the first time is not counted twice
            self.counters.received += count
            self.counters.duplicate += count
            return 0
        for reason, count in rejected.items():
            self.counters.reject(reason, count)
        if admitted.future:
            self.counters.reject("future", admitted.future)
            batch = take(batch, batch.t_us <= batch.rx_us + self.order.future_us)
        elif len(batch) == 0 and not rejected:
            self._used_message()
        self._heard.append(batch)
        return admitted.future

    def _listen(self) -> None:
        """What sensors said since the last tick, in the order of its time; an older word never overrules a newer."""
        for batch in sorted(self._heard, key=lambda b: (b.sensor, b.rx_us, b.boot, b.seq, len(b))):
            self.health.heard(batch)
        for word in sorted(self._words, key=lambda w: (w.t_us, w.sensor, repr(w))):
            kind = f"{type(word).__name__} {word.sensor}"
            if word.t_us < self._word_us.get(kind, -1):
                continue
            self._word_us[kind] = word.t_us
            if isinstance(word, SensorStatus):
                self.health.said(word)
            else:
                self.tracker.set_qnh(word.qnh_hpa, QNH_SIGMA_HPA)
                self.afterwards.heard(word)
        self._heard.clear()
        self._words.clear()

    def _used_message(self) -> None:
        self.counters.received += 1
        self.counters.used += 1

    def _count_reports(self) -> None:
        for fate in self.afterwards.sightings.drain_fates():
            if fate == "used":
                self._used_message()
            elif fate == "duplicate":
                self.counters.received += 1
                self.counters.duplicate += 1
            else:
                self.counters.reject(fate)

    def _answer(self, now_us: int) -> list[Event]:
        events: list[Event] = []
        for command in self._commands:
            if command.verb == "mode":
                events.append(self._set_mode(command))
                continue
            answer, changed, told = self.incidents.command(command, self.watch, now_us)
            events += [AlertChanged(alert) for alert in changed]
            events += [IncidentChanged(incident, self.afterwards.before(incident)) for incident in told]
            events.append(answer)
        self._commands.clear()
        return events

    def _set_mode(self, command: Command) -> Answer:
        refused = refusal(command)
        if not refused and command.to != self.watch.mode:
            self.watch.set_mode(command.to)
            self.incidents.set_mode(command.to)
        return Answer(command, not refused, refused or f"mode is {command.to}")

    def _fuse(self, now_us: int) -> None:
        for load in sorted(self._loads, key=lambda item: (item.rx_us, item.level)):
            self.thinning.set(load)
        self._loads.clear()
        drained = self.order.drain()
        batches, shed = self.thinning.thin(drained.batches)
        used = self.tracker.step(self.claims.hear(batches), now_us)
        assert used + shed == drained.used
        # An item is counted as received when its fate is known, so that the sum balances between any two calls.
        self.counters.received += used + shed + drained.late
        self.counters.used += used
        self.counters.late += drained.late
        if shed:
            self.counters.shed[CLASS] = self.counters.shed.get(CLASS, 0) + shed
        self._dropped += self.tracker.drain_dropped()

    def _show(self, now_us: int) -> list[Event]:
        tracks = self.tracker.table(now_us)
        words = self.config.ruleset.words
        facts = self.zones.facts(tracks)
        forecast = self.forecaster.step(tracks, facts, now_us)
        listened_us = self.health.listened_us(now_us)
        sensors, claims, behaviour = self.config.sensors, self.claims, self.behaviour
        assessment = forecast.onto(assess(tracks, facts, words, sensors, claims, behaviour, listened_us))
        between = self._is_between(now_us)
        self.thinning.look(tracks, assessment, words, self.watch.open_tracks())
        crowds = self.crowds.step(tracks, assessment, now_us) if between else []
        changed = self.watch.step(tracks, assessment, now_us, forecast, self.crowds.member(tracks.id))
        self.incidents.found(self.watch.drain_found())
        self.afterwards.look(tracks, assessment, forecast, self._tracked(), now_us)
        self._count_reports()
        self.afterwards.ended(self._dropped, tracks.epoch, now_us, self.crowds)
        changed += self.watch.ended(self._dropped, tracks.epoch, now_us)
        events: list[Event] = [*(AlertChanged(a) for a in changed), *self.watch.drain_withheld()]
        dropped = tuple(self._dropped)
        events += crowds
        passed = self.ledger.step(tracks, assessment, now_us) if between else []
        events += [PassageNoted(entry, self._passages(entry.track)) for entry in passed]
        after = self.afterwards.take()
        events += after
        heard = Heard(changed, dropped, passed, areas(after), cited(after, self.afterwards.sightings.params.p_found))
        told = self.incidents.step(tracks, assessment, heard, now_us)
        events += [IncidentChanged(incident, self.afterwards.before(incident)) for incident in told]
        self.ledger.ended(dropped)
        self._dropped.clear()
        slot = now_us // self.config.full_us
        full = slot != self._full_slot
        self._full_slot = slot
        rows = np.ones(len(tracks), np.bool_) if full else self._changed(tracks)
        self._shown_id, self._shown_hits, self._shown_status = tracks.id, tracks.hits, tracks.status
        picture = Picture(now_us, full, tracks, assessment, dropped, forecast, self.watch.mode)
        events.append(picture if full else _delta(picture, rows))
        return events

    def _is_between(self, now_us: int) -> bool:
        """Once a second, between two full ones, when a tick has least to do: time for the ledger and for crowds."""
        slot = (now_us + US_PER_S // 2) // US_PER_S
        due = slot != self._between_slot
        self._between_slot = slot
        return due

    def _passages(self, track: str) -> tuple[Passage, ...]:
        epoch, _, counter = track.rpartition(":")
        return self.ledger.entries(int(counter)) if int(epoch) == self.config.epoch else ()

    def _tracked(self) -> list[Alert]:
        """Open alerts of tracks of this epoch."""
        head = f"{self.config.epoch}:"
        return [alert for alert in self.open_alerts() if alert.track.startswith(head)]

    def _changed(self, tracks: Tracks) -> B1:
        """Rows that are new, were updated, or changed status since the picture before."""
        if len(self._shown_id) == 0:
            return np.ones(len(tracks), np.bool_)
        at = np.minimum(np.searchsorted(self._shown_id, tracks.id), len(self._shown_id) - 1)
        same = self._shown_id[at] == tracks.id
        same &= self._shown_hits[at] == tracks.hits
        same &= self._shown_status[at] == tracks.status
        changed: B1 = ~same
        return changed


def _delta(whole: Picture, rows: B1) -> Picture:
    parts = (take(whole.tracks, rows), take(whole.assessment, rows))
    return Picture(whole.t_us, False, *parts, whole.dropped, whole.forecast and take(whole.forecast, rows), whole.mode)
