"""The picture as a listener holds it: built from what the service publishes, and given out as what changed since. Pure.

Every change has a rising number. Whoever passes the picture on asks for what changed since the number that it has, in
its own time: a slow reader costs nothing here, and finds the newest state instead of every one that it missed.

Nothing is kept that is no more: a track goes when it is said to have ended, when a whole picture does not name it, or
when nothing was said of it for `EXPIRY_US`; an alert goes when it is closed, or when the broker does not hold it any
more after a new connection on which the service is at work.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

from adapters.formats import alert, health, picture, status, track
from adapters.rows import OWN, Row, Told, check_row
from adapters.wholepicture import WholePicture
from fusion.schema import US_PER_S, Alert, Health, Invalid

# What the tracker itself may hold (fusion/bank.py: to import it would load the kernels, so a test compares the two); of
# more, the newest are refused and counted.
MOST_TRACKS = 65_536
MOST_ALERTS = 5_000
MOST_SENSORS = 200
MOST_GONE = 50_000  # tracks that ended, and transitions, kept for readers: who is further behind starts anew
EXPIRY_US = 15 * US_PER_S  # of what the service repeats every 5 s, as at the broker
SETTLE_US = 10 * US_PER_S  # after a connection: by then retained messages are here, and a service has told them again
AT_WORK = ("live", "replay")
OTHERS = "others"
MOST_REASONS = 30
NO_LONGER_HELD = "no longer held by the broker"


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed after the number `since`. `whole`: this is all there is, and what it does not name is gone."""

    number: int  # to ask with the next time
    whole: bool
    changed: tuple[Told, ...]  # in order of change
    gone: tuple[str, ...]  # ids


@dataclass(frozen=True, slots=True)
class AlertChanges:
    """Transitions in their order; with `whole` the open alerts as they stand, and what they do not name is closed."""

    number: int
    whole: bool
    alerts: tuple[Alert, ...]  # state "closed" ends one


@dataclass(slots=True)
class _Held:
    number: int
    told: Told
    own: Told | None  # what its own topic said last: a picture has only a part of it
    rx_us: int


class Held:
    """Tracks, open alerts, health of sensors and status of one site. Times are those of arrival, microseconds."""

    def __init__(
        self, site: str, tracks: int = MOST_TRACKS, alerts: int = MOST_ALERTS, remembered: int = MOST_GONE
    ) -> None:
        self._base = f"vedette/v1/{site}/"
        self._most_tracks, self._most_alerts = tracks, alerts
        self.number = 0  # of the newest change of tracks, health or status
        self.alert_number = 0  # of the newest transition of an alert
        self.refused: Counter[str] = Counter()
        self.health: dict[str, Health] = {}
        self.status: status.StatusInfo | None = None
        self._status_here = False  # said on this connection
        self._health_rx_us: dict[str, int] = {}
        self._tracks: dict[str, _Held] = {}  # the newest change last
        self._alerts: dict[str, Alert] = {}
        self._unheard: dict[str, None] = {}  # alerts that this connection has not brought yet
        self._since_us = -1  # of this connection; -1 none, or settled
        self._gone: deque[tuple[int, str]] = deque()
        self._transitions: deque[tuple[int, Alert]] = deque()
        self._gone_from, self._transitions_from = 0, 0  # what happened after these numbers is remembered
        self._remembered = remembered
        self._said_us = -1  # the service's newest word, by its own clock
        self._whole = WholePicture()

    # --- what comes in ---

    def connected(self, now_us: int) -> None:
        """A new connection: alerts that it does not bring again are closed when it has settled."""
        self._since_us, self._status_here = now_us, False
        self._unheard = dict.fromkeys(self._alerts)
        self._whole = WholePicture()

    def take(self, topic: str, payload: bytes, retained: bool, rx_us: int) -> None:
        """One message. What cannot be used is counted by reason and left out."""
        name = topic.removeprefix(self._base)
        kind, _, rest = name.partition("/")
        try:
            if kind == "track":
                self._track(rest, payload, retained, rx_us)
            elif name == "picture-delta":
                self._picture(picture.decode(payload), rx_us)
            elif kind == "alert":
                self._alert(rest, payload)
            elif kind == "sensor":
                self._sensor(rest.removesuffix("/health"), payload, rx_us)
            elif name == "status":
                self.status, self._status_here = status.decode(payload), True
                self.number += 1
            else:
                raise Invalid("unknown-topic", topic[:80])
        except Invalid as fault:
            known = fault.reason in self.refused or len(self.refused) < MOST_REASONS
            self.refused[fault.reason if known else OTHERS] += 1

    def expire(self, now_us: int) -> None:
        """Let go of what nothing was said of for too long; to be called every second or so."""
        old_us = now_us - EXPIRY_US
        for name in [name for name, held in self._tracks.items() if self._is_old(held, old_us)]:
            self._end(name)
        for sensor in [sensor for sensor, rx_us in self._health_rx_us.items() if rx_us < old_us]:
            del self._health_rx_us[sensor], self.health[sensor]
            self.number += 1
        # A broker that lost its memory beside a service that is away: nobody knows then that an alert has ended.
        if 0 <= self._since_us <= now_us - SETTLE_US and self.watched:
            self._since_us = -1
            for name in list(self._unheard):
                self._close(name, now_us)

    def _is_old(self, held: _Held, old_us: int) -> bool:
        # Retained messages say nothing about when they came to the broker: they are as old as their own time says,
        # beside the service's newest one, whatever our clock shows.
        return held.rx_us < old_us or (self._said_us >= 0 and self._said_us - held.told.t_us > EXPIRY_US)

    def _track(self, name: str, payload: bytes, retained: bool, rx_us: int) -> None:
        if not payload:
            self._end(name)
            return
        told = track.told(payload)
        if told.id != name:
            raise Invalid("malformed", "another track than its topic names")
        if not retained:
            self._said_us = told.t_us
        before = self._tracks.get(name)
        if before is not None and told.time < before.told.time:
            # It waited for its turn among others: what a picture said meanwhile is newer.
            self._put(_with_own(before.told, told, before.told), told, rx_us)
        else:
            self._put(told, told, rx_us)

    def _picture(self, part: picture.Part, rx_us: int) -> None:
        self._said_us = round(part.time.timestamp() * US_PER_S)
        for row in part.tracks:
            try:
                check_row(row)
                before = self._tracks.get(row.id)
                own = None if before is None else before.own
                self._put(_with_own(row, own, part), own, rx_us)
            except Invalid as fault:
                self.refused[fault.reason] += 1
        for ended in part.dropped:
            self._end(ended.id)
        if part.full:
            self._complete(part)

    def _complete(self, part: picture.Part) -> None:
        """Once all parts of a whole picture are here, what they do not name is no more."""
        ids = (row.id for row in part.tracks)
        named = self._whole.take(part.seq, part.time.isoformat(), part.part, part.parts, ids)
        if named is not None:
            for name in [n for n, h in self._tracks.items() if n not in named and h.told.time <= part.time]:
                self._end(name)

    def _put(self, told: Told, own: Told | None, rx_us: int) -> None:
        if self._tracks.pop(told.id, None) is None and len(self._tracks) >= self._most_tracks:
            raise Invalid("too-many-tracks")
        self.number += 1
        self._tracks[told.id] = _Held(self.number, told, own, rx_us)

    def _end(self, name: str) -> None:
        if self._tracks.pop(name, None) is not None:
            self.number += 1
            self._gone.append((self.number, name))
            while len(self._gone) > self._remembered:
                self._gone_from = self._gone.popleft()[0]

    def _alert(self, name: str, payload: bytes) -> None:
        if not payload:
            self._close(name, -1)
            return
        said = alert.decode(payload)
        if said.id != name:
            raise Invalid("malformed", "another alert than its topic names")
        self._unheard.pop(name, None)
        if said.state == "closed":
            if self._alerts.pop(name, None) is not None:
                self._tell(said)
        elif self._alerts.get(name) != said:
            if name not in self._alerts and len(self._alerts) >= self._most_alerts:
                raise Invalid("too-many-alerts")
            self._alerts[name] = said
            self._tell(said)

    def _close(self, name: str, now_us: int) -> None:
        """An alert that ended without a word to us."""
        held = self._alerts.pop(name, None)
        self._unheard.pop(name, None)
        if held is not None:
            t_us = held.t_us if now_us < 0 else max(held.t_us, now_us)
            self._tell(replace(held, state="closed", t_us=t_us, close_reason=NO_LONGER_HELD))

    def _tell(self, said: Alert) -> None:
        self.alert_number += 1
        self._transitions.append((self.alert_number, said))
        while len(self._transitions) > self._remembered:
            self._transitions_from = self._transitions.popleft()[0]

    def _sensor(self, name: str, payload: bytes, rx_us: int) -> None:
        said = health.decode(payload)
        if said.sensor != name:
            raise Invalid("malformed", "another sensor than its topic names")
        if name not in self.health and len(self.health) >= MOST_SENSORS:
            raise Invalid("too-many-sensors")
        self.health[name], self._health_rx_us[name] = said, rx_us
        self.number += 1

    # --- what readers ask ---

    def tracks(self) -> Iterator[Told]:
        """All of them, those that changed last at the end."""
        return (held.told for held in self._tracks.values())

    def track(self, name: str) -> Told | None:
        """One of them."""
        held = self._tracks.get(name)
        return None if held is None else held.told

    def alerts(self) -> tuple[Alert, ...]:
        """Those that are open, in order of their first word to us."""
        return tuple(self._alerts.values())

    def count(self) -> int:
        """How many tracks."""
        return len(self._tracks)

    def changes(self, since: int) -> Changes:
        """What changed after that number; 0 for all there is."""
        if since < max(self._gone_from, 1):
            return Changes(self.number, True, tuple(self.tracks()), ())
        found = []
        for held in reversed(self._tracks.values()):
            if held.number <= since:
                break
            found.append(held.told)
        ended = []
        for number, name in reversed(self._gone):
            if number <= since:
                break
            if name not in self._tracks:
                ended.append(name)
        return Changes(self.number, False, tuple(reversed(found)), tuple(dict.fromkeys(reversed(ended))))

    def alert_changes(self, since: int) -> AlertChanges:
        """The transitions after that number; 0 for the alerts that are open."""
        if since < max(self._transitions_from, 1):
            return AlertChanges(self.alert_number, True, self.alerts())
        found = []
        for number, said in reversed(self._transitions):
            if number <= since:
                break
            found.append(said)
        return AlertChanges(self.alert_number, False, tuple(reversed(found)))

    @property
    def watched(self) -> bool:
        """The service said on this connection that it is at work: an alert that is not here then is not open."""
        return self._status_here and self.status is not None and self.status.state in AT_WORK

    @property
    def settled(self) -> bool:
        """What the broker holds is here, as far as it can be known: what is not named now is not there."""
        return self._since_us < 0

    @property
    def replayed(self) -> bool:
        """The service plays a recording: nothing of it is of now."""
        return self.status is not None and self.status.state == "replay"

    def words(self) -> str:
        """One line for people."""
        state = "no word of the service" if self.status is None else f"service {self.status.state}"
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(self.refused.items())) or "none"
        held = f"{len(self._tracks)} tracks, {len(self._alerts)} open alerts, {len(self.health)} sensors"
        return f"{held}; {state}; refused: {refused}"


def _with_own(row: Row, own: Told | None, head: picture.Part | Told) -> Told:
    """A row of a picture, completed by what only the track's own topic says."""
    said = {name: getattr(row, name) for name in Row.__struct_fields__}
    if own is not None:
        said |= {name: getattr(own, name) for name in OWN}
    return Told(**said, schema=track.SCHEMA, time=head.time, simulated=head.simulated, mode=head.mode)
