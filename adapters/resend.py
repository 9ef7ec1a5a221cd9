"""What a sensor's side does so that nothing is lost between it and the service: keep, listen, send again.

A broker that took a message may die with it, and no setting of a broker cures that. So whoever numbers its messages
keeps each until the service's watermark (`in/{sensor}/watermark`) covers its number, and sends again what it does not
cover for longer than it usually takes: at most `window` messages at once, after a pause that doubles while
nothing moves. Before the first watermark of this start there may be no service at all: then the pause is the longest.
What lies before the first number of a watermark does not wait for a standstill: the service goes on without it, and
would never ask. The newest of it goes first, since a watermark grows downwards from there; its pauses double until it
does. What arrives twice falls at the service by (sensor, boot, seq).

Room is bounded: the oldest message of the sensor that holds most falls, counted as `fell`; what is older than `keep_s`
falls too, since the service would find it too late for anything. This file knows no clock and no broker.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from adapters.broker import Outgoing

Number = tuple[int, int]  # boot, seq


@dataclass(frozen=True, slots=True)
class ResendParams:
    """The numbers of this file, each with its unit and reason."""

    keep_s: float = 120.0  # the service fuses what is 10 s late, and more of it after an outage
    keep_messages: int = 20_000  # of all sensors: a minute of 300 messages a second
    keep_bytes: int = 64_000_000
    patience_s: float = 3.0  # a watermark comes every second, and a tick may be slow
    most_pause_s: float = 30.0
    window: int = 200


@dataclass(slots=True)
class _Kept:
    number: Number
    message: Outgoing
    first_s: float  # when it was sent first ...
    last_s: float  # ... and last


def _turn(item: _Kept) -> tuple[float, int, int]:
    """Who was sent again longest ago, or never, is first; then the newest: one that the service refuses blocks none."""
    return item.last_s if item.last_s > item.first_s else 0.0, -item.number[0], -item.number[1]


@dataclass(slots=True)
class _Pace:
    """When it is a turn's time, and how long until the one after."""

    pause_s: float = 0.0
    due_s: float = 0.0

    def begin(self, now_s: float, pause_s: float) -> None:
        self.pause_s, self.due_s = pause_s, now_s + pause_s

    def take(self, now_s: float, most_pause_s: float) -> bool:
        if now_s < self.due_s:
            return False
        self.due_s = now_s + self.pause_s
        self.pause_s = min(2.0 * self.pause_s, most_pause_s)
        return True


@dataclass(slots=True)
class _Sensor:
    boot: int = -1  # of the newest message
    kept: deque[_Kept] = field(default_factory=deque)  # in order of sending
    first: Number = (-1, 0)  # of the newest watermark: the service goes on without what is before it
    after: _Pace = field(default_factory=_Pace)  # of what a watermark will reach
    before: _Pace = field(default_factory=_Pace)  # of what it has passed over


class Unfused:
    """Messages that no watermark covers yet. All times in seconds of one clock that never runs back."""

    def __init__(self, params: ResendParams | None = None) -> None:
        self.params = params or ResendParams()
        self.fell = 0  # given up: too old, or no room
        self.again = 0  # sent again
        self.is_heard = False  # a watermark of a start of ours came: there is a service that answers
        self._sensors: dict[str, _Sensor] = {}
        self._count = self._bytes = 0

    def __len__(self) -> int:
        return self._count

    def sent(self, sensor: str, number: Number, message: Outgoing, now_s: float) -> None:
        """A message of this number was handed to the broker."""
        mine = self._sensors.setdefault(sensor, _Sensor())
        mine.boot = number[0]
        if not mine.kept:
            self._moved(mine, now_s)
        mine.kept.append(_Kept(number, message, now_s, now_s))
        self._count += 1
        self._bytes += len(message.payload)
        while self._count > self.params.keep_messages or self._bytes > self.params.keep_bytes:
            most = max(self._sensors, key=lambda name: len(self._sensors[name].kept))
            self._drop(self._sensors[most])
            self.fell += 1

    def heard(self, now_s: float, sensor: str, boot: int, seq: int, first_seq: int = 0) -> None:
        """The service has fused everything of this start from `first_seq` to `seq`."""
        mine = self._sensors.get(sensor)
        if mine is None:
            return
        if boot == mine.boot and not self.is_heard:
            self.is_heard = True
            for each in self._sensors.values():
                self._moved(each, now_s)
        fused = range(first_seq, seq + 1)
        rest = deque(item for item in mine.kept if item.number[0] != boot or item.number[1] not in fused)
        if len(rest) < len(mine.kept):
            self._count -= len(mine.kept) - len(rest)
            self._bytes += sum(len(k.message.payload) for k in rest) - sum(len(k.message.payload) for k in mine.kept)
            mine.kept = rest
            mine.after.begin(now_s, self._pause_s())
        if boot == mine.boot and mine.first != (boot, first_seq):  # it began, or came down to what was sent again
            mine.first = boot, first_seq
            mine.before.begin(now_s, self._pause_s())

    def due(self, now_s: float) -> list[Outgoing]:
        """What is to be sent again now, in order of sensor and number."""
        messages: list[Outgoing] = []
        for name in sorted(self._sensors):
            mine = self._sensors[name]
            while mine.kept and now_s - mine.kept[0].first_s > self.params.keep_s:
                self._drop(mine)
                self.fell += 1
            if mine.kept:
                messages += self._due_of(mine, now_s)
        self.again += len(messages)
        return messages

    def _due_of(self, mine: _Sensor, now_s: float) -> list[Outgoing]:
        before = mine.before.take(now_s, self.params.most_pause_s)
        after = mine.after.take(now_s, self.params.most_pause_s)
        if not (before or after):
            return []
        old = [item for item in mine.kept if now_s - item.last_s >= self.params.patience_s]
        passed = sorted((item for item in old if item.number < mine.first), key=_turn)
        ahead = [item for item in old if item.number >= mine.first]
        chosen = passed[: self.params.window] if before else []
        chosen += ahead[: self.params.window - len(chosen)] if after else []
        for item in chosen:
            item.last_s = now_s
        return [item.message for item in sorted(chosen, key=lambda item: item.number)]

    def _moved(self, mine: _Sensor, now_s: float) -> None:
        mine.after.begin(now_s, self._pause_s())
        mine.before.begin(now_s, self._pause_s())

    def _pause_s(self) -> float:
        return self.params.patience_s if self.is_heard else self.params.most_pause_s

    def _drop(self, mine: _Sensor) -> None:
        gone = mine.kept.popleft()
        self._count -= 1
        self._bytes -= len(gone.message.payload)
