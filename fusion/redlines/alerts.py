"""The life of an alert: raised, updated, acknowledged, closed.

Policies, in one place:
- One open alert per track. A more severe rule that becomes true takes over: the old alert is closed with the new one
  named as the reason. A rule of equal severity takes over only when the open one no longer holds; a milder one waits
  until it is closed. So an officer is never told twice of one thing, and always told when it gets worse.
- What a person said of an object (identity) goes with the track to its next alert; an acknowledgement does not.
- A person's close silences every rule that holds at that moment and is not more severe, until it has cleared.
- At most `max_open` alerts are open. When full, a more severe alert displaces the mildest, newest one; a milder one
  waits. `refused` counts ticks of waiting.
- What is in a notified activity (volumes.py) is exempt: what it would have raised is told as withheld, and an
  open alert closes by its rule, with the activity named.
- What belongs to a crowd (crowds.py) is exempt too, and its open alert closes with the crowd named: the crowd is
  told instead. What a person has identified is not lost in a crowd.
- Open alerts of an earlier epoch wait to be found again (adrift.py); they count as open.
- The same ticks give the same alerts with the same ids: nothing here depends on order of arrival or on the clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fusion import integrity
from fusion.borders.outlook import Forecast
from fusion.cases.orders import MAX_TEXT, refusal
from fusion.cases.record import Withheld
from fusion.redlines import adrift
from fusion.redlines.declared import Declared
from fusion.redlines.describe import Tables, describe
from fusion.redlines.dwell import Dwell
from fusion.redlines.likeness import Likeness
from fusion.redlines.volumes import Notified, Withholding
from fusion.rules import Rule, RuleSet, Scene, exempted, holds, scene_of
from fusion.schema import (
    B1,
    I2,
    I8,
    US_PER_S,
    Alert,
    Answer,
    Assessment,
    Command,
    Quantity,
    Tracks,
    TrackStatus,
)

UPDATE_US = 5 * US_PER_S  # an open alert is told anew at most this often
BACKLOG_US = 10 * US_PER_S  # a plot this much older than its arrival comes from a backlog
MILDEST = 1_000_000  # rank of "no alert open"


@dataclass(slots=True)
class _Open:
    """One open alert and what is needed to go on with it."""

    alert: Alert
    track_id: int  # negative: adrift, it has no track
    column: int  # of its rule
    sent_us: int  # last transition; adrift: first look
    plot_us: int  # last plot then


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at the picture: the table and what follows from it."""

    tracks: Tracks
    assessment: Assessment
    scene: Scene
    at: I8  # (n,) rows in memory
    now_us: int
    urgent: B1  # (n,) something changed that is told at once
    volume: I2  # (n,) notified activity that it is in, -1 none
    crowd: I8  # (n,) number of the crowd that it belongs to, -1 none


class Watch:
    """Holds every open alert. `codes` and `names` are those of the zones, `sensor_ids` by sensor index."""

    def __init__(
        self,
        ruleset: RuleSet,
        codes: Sequence[str],
        names: Sequence[str],
        sensor_ids: Sequence[str],
        simulated: bool = False,
        max_open: int = 1000,
        notified: Notified | None = None,
        mode: str = "peace",
    ) -> None:
        self.ruleset = ruleset
        self.codes = tuple(codes)
        self.names = tuple(names)
        self.sensor_ids = tuple(sensor_ids)
        self.simulated = simulated
        self.max_open = max_open
        self.refused = 0
        self.mode = mode  # peace, tension, exercise: which texts and recipients alerts have, and nothing else
        self._retell = False  # the mode has changed since the last look
        self._epoch = -1
        self._dwell = Dwell(ruleset)
        self._likeness = Likeness(ruleset.words.skim_m)
        self._open: dict[int, _Open] = {}  # by track id
        self._said: dict[int, tuple[str, str, str]] = {}  # by track id: identity, by whom, reason
        self._found: list[tuple[str, str]] = []  # tracks of alerts adrift, and those that they go on as
        order = sorted(range(len(ruleset.rules)), key=lambda i: (ruleset.rules[i].severity, i))
        self._rank = np.empty(len(order), np.int64)  # (rules,) 0 is told before all others
        self._rank[order] = np.arange(len(order))
        self._severity = np.array([rule.severity for rule in ruleset.rules], np.int64)
        self._notified = notified or Notified(Declared())
        self.withholding = Withholding(ruleset, self._notified.volumes, self._rank)
        self._withheld: list[Withheld] = []

    def step(
        self,
        tracks: Tracks,
        assessment: Assessment,
        now_us: int,
        forecast: Forecast | None = None,
        crowd: I8 | None = None,
    ) -> list[Alert]:
        """Look at the picture: every alert closed, then raised (the most severe first), then updated by it."""
        changed = self._change_epoch(tracks.epoch, now_us) + self._drift(now_us)
        a = assessment
        at = self._dwell.align(tracks.id, a.distance_m, a.p_inside, a.speed_mps - a.sigma_speed_mps, now_us)
        like = self._likeness.look(tracks, a)
        scene = scene_of(tracks, a, self._dwell.from_outside[at], self.ruleset, self.codes, forecast, like)
        published = (tracks.status != TrackStatus.TENTATIVE)[:, None]
        volume = self._notified.within(tracks, a)
        crowd = self._crowded(tracks.id, crowd)
        notified, exempt = volume >= 0, (volume >= 0) | (crowd >= 0)
        bare = self.ruleset.evaluate(scene)[0] if notified.any() else None  # what no activity had kept from alerting
        scene = exempted(scene, exempt) if exempt.any() else scene
        when, keep = self.ruleset.evaluate(scene)
        held = np.zeros_like(when) if bare is None else bare & ~when & published & notified[:, None]
        self._withheld += self.withholding.look(tracks, a, held, volume, now_us)
        self._dwell.update(at, when & published, keep & published, now_us)
        urgent = np.zeros(len(tracks), np.bool_) if forecast is None else forecast.changed
        look = _Look(tracks, a, scene, at, now_us, urgent, volume, crowd)
        changed += self._close_cleared(look)
        changed += self._raise_ready(look)
        changed += self._update_open(look)
        self._retell = False
        self._forget_absent(now_us)
        return changed

    def ended(self, dropped: Sequence[tuple[int, str]], epoch: int, now_us: int) -> list[Alert]:
        """Tracks ended (counter, why): their alerts close with that reason."""
        if epoch != self._epoch:
            return []
        changed = []
        for track_id, why in sorted(dropped):
            if track_id in self._open:
                changed.append(self._close(track_id, f"track ended: {why}", now_us))
            self._said.pop(track_id, None)
        self._withheld += self.withholding.ended(dropped, now_us)
        if dropped:
            self._dwell.forget([track_id for track_id, _ in dropped])
        return changed

    def command(self, command: Command, now_us: int) -> tuple[Answer, list[Alert]]:
        """Carry out what a person asked for. Refusals are answers, never exceptions."""
        refused = refusal(command)
        found = next((item for item in self._open.values() if item.alert.id == command.alert_id), None)
        if not refused and found is None:
            refused = f"no open alert {command.alert_id[:MAX_TEXT]!r}"
        if refused or found is None:
            return Answer(command, False, refused), []
        if command.verb == "acknowledge":
            return self._acknowledge(command, found, now_us)
        if command.verb == "identify":
            return self._identify(command, found, now_us)
        if found.track_id >= 0:
            self._dwell.mute(self._dwell.row(found.track_id), found.alert.severity)
        closed = self._close(found.track_id, f"closed by {command.operator}: {command.reason}", now_us)
        return Answer(command, True, "closed"), [closed]

    def set_mode(self, mode: str) -> None:
        """Open alerts go to the recipients of this mode from now on, and are told anew with the next look."""
        self.mode, self._retell = mode, True
        for item in self._in_order():
            recipients = item.alert.recipients
            if item.column >= 0:
                recipients = self.ruleset.rules[item.column].told_in(mode)[1]
            item.alert = replace(item.alert, mode=mode, recipients=recipients)

    def inherit(self, alert: Alert) -> None:
        """An alert of an earlier epoch, still open: the next look tells it."""
        key = min(0, *self._open) - 1 if self._open else -1
        self._open[key] = _Open(alert, key, self._column(alert), -1, -1)

    def end(self, alert: Alert) -> None:
        """It was closed after the state was kept that we went on from, and told: nothing more is said of it."""
        for item in [item for item in self._in_order() if item.alert.id == alert.id]:
            if item.track_id >= 0 and "closed by " in alert.close_reason:  # by a person
                self._dwell.mute(self._dwell.row(item.track_id), alert.severity)
            del self._open[item.track_id]

    def drain_found(self) -> list[tuple[str, str]]:
        """Tracks of alerts that went on as others since it was last asked for: of the old epoch, of this one."""
        found, self._found = self._found, []
        return found

    def drain_withheld(self) -> list[Withheld]:
        """What was withheld, or is not any more, since it was last asked for."""
        told, self._withheld = self._withheld, []
        return told

    def remember(self, track: str, command: Command) -> None:
        """What a person said of an object that has no open alert now, for its next one."""
        epoch, counter = track.split(":")
        if int(epoch) == self._epoch and self._dwell.row(int(counter)) >= 0:
            self._said[int(counter)] = (command.identity, command.operator, command.reason)

    def open_tracks(self) -> I8:
        """(n,) counters of the tracks that have an open alert, rising."""
        return np.array(sorted(self._open), np.int64)

    def open_alerts(self) -> list[Alert]:
        """Every open alert, in order of raising, then of id."""
        return sorted((item.alert for item in self._open.values()), key=lambda alert: (alert.raised_us, alert.id))

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later alert."""
        return {
            "epoch": self._epoch,
            "refused": self.refused,
            "mode": [self.mode, self._retell],
            "dwell": self._dwell.snapshot(),
            "likeness": self._likeness.snapshot(),
            "open": [[asdict(item.alert), item.track_id, item.sent_us, item.plot_us] for item in self._in_order()],
            "withholding": self.withholding.snapshot(),
            "found": [list(pair) for pair in self._found],
            "said": [[track_id, *self._said[track_id]] for track_id in sorted(self._said)],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`. An alert of a rule that is gone closes at the next step."""
        self._epoch = state["epoch"]
        self.refused = state["refused"]
        self.mode, self._retell = state["mode"]
        self._dwell.restore(state["dwell"])
        self._likeness.restore(state["likeness"])
        self.withholding.restore(state["withholding"])
        self._open = {}
        for plain, track_id, sent_us, plot_us in state["open"]:
            alert = alert_from(plain)
            self._open[track_id] = _Open(alert, track_id, self._column(alert), sent_us, plot_us)
        self._said = {track_id: (what, who, why) for track_id, what, who, why in state["said"]}
        self._found = [(old, new) for old, new in state["found"]]

    def _column(self, alert: Alert) -> int:
        """Of its rule in this version; -1 when it is gone."""
        keys = [(rule.id, rule.version) for rule in self.ruleset.rules]
        key = (alert.rule, alert.rule_version)
        return keys.index(key) if key in keys else -1

    def _in_order(self) -> Iterator[_Open]:
        return iter([self._open[track_id] for track_id in sorted(self._open)])

    def _change_epoch(self, epoch: int, now_us: int) -> list[Alert]:
        """Track numbers of another epoch mean other objects: close all, remember nothing."""
        if epoch == self._epoch:
            return []
        tracked = [item.track_id for item in self._in_order() if item.track_id >= 0]
        changed = [self._close(track_id, "tracks were numbered anew", now_us) for track_id in tracked]
        self._dwell.clear()
        self._likeness.clear()
        self._said.clear()
        self._withheld += self.withholding.clear("tracks were numbered anew", now_us)
        self._epoch = epoch
        return changed

    def _drift(self, now_us: int) -> list[Alert]:
        """Alerts adrift: each told once, and closed when they cannot be found any more."""
        changed = []
        for item in [item for item in self._in_order() if item.track_id < 0 <= item.column]:
            why = adrift.unfit(item.alert, now_us) if item.sent_us < 0 else ""
            if item.sent_us < 0 and not why:
                item.alert, item.sent_us = adrift.told(item.alert, now_us), now_us
                changed.append(item.alert)
            elif why or now_us - item.sent_us >= adrift.LINK_S * US_PER_S:
                changed.append(self._close(item.track_id, why or adrift.not_found(), now_us))
        return changed

    def _go_on(self, fresh: Alert, track_id: int) -> Alert:
        """The alert just raised, or the one adrift that goes on as it."""
        waiting = {item.alert.id: item for item in self._in_order() if item.track_id < 0}
        old = adrift.nearest([item.alert for item in waiting.values()], fresh) if waiting else None
        if old is None:
            return fresh
        del self._open[waiting[old.id].track_id]
        self._found.append((old.track, fresh.track))
        if old.identity_by:
            self._said[track_id] = (old.identity, old.identity_by, old.identity_reason)
        return adrift.gone_on(old, fresh)

    def _close_cleared(self, look: _Look) -> list[Alert]:
        cleared = self._dwell.cleared(look.now_us)
        changed = []
        for item in self._in_order():
            row = self._dwell.row(item.track_id)
            if item.column < 0:
                changed.append(self._close(item.track_id, "the rule was withdrawn", look.now_us))
            elif item.track_id >= 0 and (row < 0 or cleared[row, item.column]):
                changed.append(self._close(item.track_id, self._why_cleared(item, look), look.now_us))
        return changed

    def _why_cleared(self, item: _Open, look: _Look) -> str:
        here = int(np.searchsorted(look.tracks.id, item.track_id))
        if here >= len(look.tracks) or look.tracks.id[here] != item.track_id:
            return "not in the picture any more"
        rule = self.ruleset.rules[item.column]
        failing = [c.text or c.quantity for c in rule.keep or rule.when if not holds(c, look.scene)[here]]
        inside = int(look.volume[here])
        why = f"; {self._notified.volumes[inside].text}" if inside >= 0 else ""
        if not why and look.crowd[here] >= 0:
            why = f"; one of many alike, told as area event {int(look.crowd[here])}"
        return f"no longer: {', '.join(failing)}{why}"

    def _crowded(self, ids: I8, crowd: I8 | None) -> I8:
        """(n,) the crowd of each track, but of none that a person has identified."""
        if crowd is None:
            return np.full(len(ids), -1, np.int64)
        named = [*self._said, *(item.track_id for item in self._open.values() if item.alert.identity_by)]
        return np.where(np.isin(ids, named), -1, crowd)

    def _raise_ready(self, look: _Look) -> list[Alert]:
        """Raise the most severe ready rule of every track whose open alert, if any, it may replace."""
        ready = self._dwell.ready(look.now_us)[look.at]
        if not ready.any():
            return []
        severity = np.full(len(look.tracks), MILDEST, np.int64)
        lapsed = np.zeros(len(look.tracks), np.bool_)
        for here, item in self._open_here(look):
            severity[here] = item.alert.severity
            lapsed[here] = self._dwell.false_us[look.at[here], item.column] >= 0
        may: B1 = ready & (self._severity[None, :] < (severity + lapsed)[:, None])
        for here, item in self._open_here(look):
            may[here, item.column] = False
        best = np.argmin(np.where(may, self._rank, MILDEST), axis=1)
        rows = [int(here) for here in np.flatnonzero(may.any(axis=1))]
        rows.sort(key=lambda here: (int(self._rank[best[here]]), here))  # the worst first, should room run out
        changed: list[Alert] = []
        for here in rows:
            rule = self.ruleset.rules[int(best[here])]
            track_id = int(look.tracks.id[here])
            if track_id in self._open:
                changed.append(self._close(track_id, f"superseded by {rule.id}", look.now_us))
            elif len(self._open) >= self.max_open:
                victim = max(self._in_order(), key=_mildness)
                if victim.alert.severity <= rule.severity:
                    self.refused += 1
                    continue
                changed.append(self._close(victim.track_id, f"displaced: {self.max_open} alerts are open", look.now_us))
            changed.append(self._raise(look, here, int(best[here])))
        return changed

    def _open_here(self, look: _Look) -> list[tuple[int, _Open]]:
        """(row of the table, open alert) of every open alert whose track is in the table."""
        if not self._open:
            return []
        ids = np.array(sorted(self._open), np.int64)
        at = np.searchsorted(look.tracks.id, ids)
        inside = at < len(look.tracks)
        found = [(int(row), int(i)) for row, i in zip(at[inside], ids[inside], strict=True)]
        return [(row, self._open[i]) for row, i in found if look.tracks.id[row] == i]

    def _raise(self, look: _Look, here: int, column: int) -> Alert:
        tracks, rule = look.tracks, self.ruleset.rules[column]
        track_id = int(tracks.id[here])
        memory = int(look.at[here])
        self._dwell.episode[memory, column] += 1
        episode = int(self._dwell.episode[memory, column])
        birth_us = int(tracks.birth_us[here])
        identity, identity_by, identity_reason = self._said.get(track_id, ("unknown", "", ""))
        blank = Alert(
            id=alert_id(rule, birth_us, tracks.name(here), episode),
            rule=rule.id,
            rule_version=rule.version,
            severity=rule.severity,
            state="raised",
            track=tracks.name(here),
            episode=episode,
            raised_us=look.now_us,
            t_us=look.now_us,
            first_plot_us=birth_us,
            confirmed_us=int(tracks.confirmed_us[here]),
            lat_rad=np.nan,
            lon_rad=np.nan,
            overflown="",
            near_state="",
            disputed=False,
            quantities=(),
            sensors=(),
            sentence="",
            clears=clears_text(rule),
            recipients=rule.told_in(self.mode)[1],
            delayed=bool(tracks.rx_us[here] - tracks.update_us[here] > BACKLOG_US),
            identity=identity,
            identity_by=identity_by,
            identity_reason=identity_reason,
            simulated=self.simulated,
            mode=self.mode,
        )
        alert = self._go_on(self._describe(blank, look, here, column), track_id)
        self._open[track_id] = _Open(alert, track_id, column, look.now_us, int(tracks.update_us[here]))
        return alert

    def _describe(self, alert: Alert, look: _Look, here: int, column: int) -> Alert:
        """The alert with everything that is measured as it is now."""
        doubt = integrity.doubt_text(int(look.assessment.doubt[here]))
        return describe(
            alert,
            self.ruleset.rules[column],
            look.tracks,
            look.assessment,
            look.scene,
            here,
            Tables(self.codes, self.names, self.sensor_ids, self.ruleset.words, doubt),
        )

    def _update_open(self, look: _Look) -> list[Alert]:
        """Tell open alerts anew when there is something new: a plot since the last time, and not too often; a nearer
        band, or a path left, at once."""
        changed = []
        for here, item in self._open_here(look):
            plot_us = int(look.tracks.update_us[here])
            usual = look.now_us - item.sent_us >= UPDATE_US and plot_us != item.plot_us
            if not usual and not ((look.urgent[here] or self._retell) and look.now_us > item.sent_us):
                continue
            fresh = replace(item.alert, state="updated", t_us=look.now_us)
            item.alert = self._describe(fresh, look, here, item.column)
            item.sent_us, item.plot_us = look.now_us, plot_us
            changed.append(item.alert)
        return changed

    def _close(self, track_id: int, why: str, now_us: int) -> Alert:
        return replace(self._open.pop(track_id).alert, state="closed", t_us=now_us, close_reason=why)

    def _acknowledge(self, command: Command, item: _Open, now_us: int) -> tuple[Answer, list[Alert]]:
        if item.alert.acknowledged_by:
            return Answer(command, True, f"already acknowledged by {item.alert.acknowledged_by}"), []
        item.alert = replace(
            item.alert, state="acknowledged", t_us=now_us, acknowledged_by=command.operator, acknowledged_us=now_us
        )
        return Answer(command, True, "acknowledged"), [item.alert]

    def _identify(self, command: Command, item: _Open, now_us: int) -> tuple[Answer, list[Alert]]:
        said = (command.identity, command.operator, command.reason)
        if (item.alert.identity, item.alert.identity_by, item.alert.identity_reason) == said:
            return Answer(command, True, f"already identified as {command.identity}"), []
        self._said[item.track_id] = said
        item.alert = replace(
            item.alert, state="updated", t_us=now_us, identity=said[0], identity_by=said[1], identity_reason=said[2]
        )
        # Its sentence still has the identity of before: it is told anew with the next look, and not in five seconds.
        item.sent_us, item.plot_us = now_us - UPDATE_US, -1
        return Answer(command, True, f"identified as {command.identity}"), [item.alert]

    def _forget_absent(self, now_us: int) -> None:
        self._dwell.forget_absent(now_us)
        for track_id in [i for i in sorted(self._said) if i not in self._open and self._dwell.row(i) < 0]:
            del self._said[track_id]


def _mildness(item: _Open) -> tuple[int, int, int]:
    """Greatest for the alert that gives way first: the mildest, and of these the newest."""
    return item.alert.severity, item.alert.raised_us, item.track_id


def alert_id(rule: Rule, birth_us: int, track: str, episode: int) -> str:
    """16 hex digits that a restart or a replay finds again."""
    key = f"{rule.id}|{rule.version}|{birth_us}|{track}|{episode}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def clears_text(rule: Rule) -> str:
    """What would close an alert of this rule, in words."""
    wanted = "; ".join(condition.text or condition.quantity for condition in rule.keep or rule.when)
    return (
        f"closes when not all of this holds for {rule.hold_s:g} s: {wanted}; "
        "or when the track ends, or a person closes it"
    )


def alert_from(state: dict[str, Any]) -> Alert:
    """An alert from its plain form (`dataclasses.asdict`, perhaps by way of JSON)."""
    quantities = tuple(Quantity(**quantity) for quantity in state["quantities"])
    texts = {name: tuple(state[name]) for name in ("sensors", "recipients")}
    return Alert(**{**state, **texts, "quantities": quantities})
