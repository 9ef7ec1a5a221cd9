"""What a sensor's side does so that nothing is lost between it and the service: keep, listen, send again.

A broker that took a message may die with it, and no setting of a broker cures that. So whoever numbers its messages
keeps each until the service's watermark (`in/{sensor}/watermark`) covers its number, and sends again what it does not
cover for longer than it usually takes, at most `window` messages at once:

- What is higher than all that the service has heard waits for a standstill, and its pauses double until the watermark
  rises. Before the first watermark of this start there may be no service at all: then the pause is the longest.
- What is lower than something that the service has heard is lost, or was before its time: the service goes on without
  it, and no standstill would ever tell. Each such message has pauses of its own, which double. The newest goes first:
  what the service refuses for ever holds up nothing else.

What arrives twice falls at the service by (sensor, boot, seq).

Room is bounded: the oldest message of the sensor that holds most falls, counted as `fell`; what is older than `keep_s`
falls too, since the service would find it too late for anything. This file knows no clock and no broker.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from adapters.broker import Outgoing
from fusion.numbers import Run

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
    pause_s: float  # until it may be sent again


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


class _Told:
    """What a watermark says is fused."""

    def __init__(self, runs: Sequence[Run]) -> None:
        rising = sorted(runs)
        self._first = [(run.boot, run.first) for run in rising]
        self._last = [(run.boot, run.last) for run in rising]
        self.highest: Number = max(self._last, default=(-1, 0))

    def __contains__(self, number: Number) -> bool:
        at = bisect_right(self._first, number) - 1
        return at >= 0 and number <= self._last[at]


@dataclass(slots=True)
class _Sensor:
    boot: int = -1  # of the newest message
    kept: deque[_Kept] = field(default_factory=deque)  # in order of sending
    told: _Told = field(default_factory=lambda: _Told(()))  # by the newest watermark
    ahead: _Pace = field(default_factory=_Pace)  # of what is higher than all that is told
    passed_s: float = 0.0  # until then nothing more is sent again of what is lower


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
        if number in mine.told:  # its watermark was quicker than its acknowledgement
            return
        if not mine.kept:
            mine.ahead.begin(now_s, self._pause_s())
        mine.kept.append(_Kept(number, message, now_s, now_s, self.params.patience_s))
        self._count += 1
        self._bytes += len(message.payload)
        while self._count > self.params.keep_messages or self._bytes > self.params.keep_bytes:
            most = max(self._sensors, key=lambda name: len(self._sensors[name].kept))
            self._drop(self._sensors[most])
            self.fell += 1

    def heard(self, now_s: float, sensor: str, runs: Sequence[Run]) -> None:
        """The service has fused everything of these runs."""
        mine = self._sensors.get(sensor)
        if mine is None:
            return
        if not self.is_heard and any(run.boot == mine.boot for run in runs):
            self.is_heard = True
            for each in self._sensors.values():
                each.ahead.begin(now_s, self._pause_s())
        told, rest = _Told(runs), deque[_Kept]()
        for item in mine.kept:
            if item.number in told:
                self._forget(item)
            else:
                rest.append(item)
        if len(rest) < len(mine.kept) and told.highest != mine.told.highest:
            mine.ahead.begin(now_s, self._pause_s())
        mine.kept, mine.told = rest, told

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
        chosen: list[_Kept] = []
        if now_s >= mine.passed_s:
            passed = (k for k in mine.kept if k.number < mine.told.highest and now_s - k.last_s >= k.pause_s)
            chosen = sorted(passed, key=_turn)[: self.params.window]
            if chosen:
                mine.passed_s = now_s + self.params.patience_s
        if mine.ahead.take(now_s, self.params.most_pause_s):
            old_s = now_s - self.params.patience_s
            ahead = [k for k in mine.kept if k.number > mine.told.highest and k.last_s <= old_s]
            chosen += ahead[: self.params.window - len(chosen)]
        for item in chosen:
            item.last_s = now_s
            item.pause_s = min(2.0 * item.pause_s, self.params.most_pause_s)
        return [item.message for item in sorted(chosen, key=lambda item: item.number)]

    def _pause_s(self) -> float:
        return self.params.patience_s if self.is_heard else self.params.most_pause_s

    def _drop(self, mine: _Sensor) -> None:
        self._forget(mine.kept.popleft())

    def _forget(self, item: _Kept) -> None:
        self._count -= 1
        self._bytes -= len(item.message.payload)
