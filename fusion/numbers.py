"""Which numbered messages of a sensor were heard, as runs: what comes twice falls, and the sensor is told.

A sensor numbers its messages from each of its starts (`boot`) on. What was heard of a start is kept as disjoint runs.
All of them are told, and not how far the first of them goes: a sensor that gave a message away as fused to a service
that has forgotten it would leave a gap for ever, and all that it sent later would stand behind that gap.

Memory is bounded, and every bound has its policy:

- A gap that stays open for `GIVE_UP_TURNS` ticks after something later was heard is given up, from the lowest on:
  no sender keeps a message for so long, and what would still fill it is too late to be fused.
- A sensor has at most `MAX_RUNS` runs, over all its starts. Past that the lowest gap of the oldest start that has one
  is given up.
- `MAX_BOOTS` starts are known; the one that was silent for longest gives way. While all of them are heard, what comes
  from a still lower one counts as a duplicate. Afterwards it is a start as any other: a machine without a clock of its
  own may number its starts by a clock that has fallen back.

A number that was given up counts as heard: told as such, and a duplicate when it comes. `given_up` counts them.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

MAX_RUNS = 1_024  # of all starts: as many as a message of 64 KiB can tell, whatever their numbers
MAX_BOOTS = 4
GIVE_UP_TURNS = 1_500  # 150 s of the service's ticks; senders keep their messages for two minutes


class Run(NamedTuple):
    """Every message of one start of a sensor from `first` to `last` went through a drain, or was given up."""

    boot: int
    first: int
    last: int


@dataclass(slots=True)
class _Start:
    """The numbers of one start, as runs [first, last] in rising order."""

    anchor: int  # the number heard first
    newest: int = 0  # turn in which one was heard last
    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    since: list[int] = field(default_factory=list)  # turn from which on the gap below is open; of no use at the lowest

    def add(self, seq: int, turn: int) -> bool:
        """Note a number; False when it was there."""
        at = bisect_right(self.first, seq)
        if at > 0 and seq <= self.last[at - 1]:
            return False
        self.newest = turn
        joins_left = at > 0 and self.last[at - 1] == seq - 1
        joins_right = at < len(self.first) and self.first[at] == seq + 1
        if joins_left and joins_right:
            self.last[at - 1] = self.last[at]
            del self.first[at], self.last[at], self.since[at]
        elif joins_left:
            self.last[at - 1] = seq
        elif joins_right:
            self.first[at] = seq
        else:
            self._insert(at, seq, turn)
        return True

    def _insert(self, at: int, seq: int, turn: int) -> None:
        since = turn
        if at == 0 and self.first:
            self.since[0] = turn  # what lay below the lowest was before our time: now it is a gap
        elif at < len(self.first):
            since = self.since[at]  # a part of a gap that has been open for so long
        self.first.insert(at, seq)
        self.last.insert(at, seq)
        self.since.insert(at, since)

    def give_up(self) -> int:
        """Count the lowest gap as heard; returns how many numbers that is."""
        missing = self.first[1] - self.last[0] - 1
        self.last[0] = self.last[1]
        del self.first[1], self.last[1], self.since[1]
        return missing

    def runs(self, boot: int) -> list[Run]:
        """The highest numbers first."""
        return [Run(boot, first, last) for first, last in zip(self.first[::-1], self.last[::-1], strict=True)]

    def around_anchor(self, boot: int) -> Run:
        """The run of the number that was heard first."""
        at = bisect_right(self.first, self.anchor) - 1
        return Run(boot, self.first[at], self.last[at])


class Numbers:
    """What was heard of one sensor. A turn is a drain, counted by the caller: no clock can step over it."""

    def __init__(self) -> None:
        self.given_up = 0  # numbers
        self.told: tuple[Run, ...] = ()  # as of the last drain
        self._starts: list[tuple[int, _Start]] = []  # boots in rising order

    def add(self, boot: int, seq: int, turn: int) -> bool:
        """Note a message; False when it was heard or given up before."""
        start = self._start(boot, seq, turn)
        runs = len(start.first) if start is not None else 0
        if start is None or not start.add(seq, turn):
            return False
        if len(start.first) > runs and sum(len(start.first) for _, start in self._starts) > MAX_RUNS:
            self.given_up += next(start.give_up() for _, start in self._starts if len(start.first) > 1)
        return True

    def settle(self, turn: int) -> None:
        """All that was noted has been drained: it can be told.

        The first of `told` is the run around the number that was heard first of the newest start, for senders that read
        nothing else: what is below it was before our time, or is lost on its way. The others follow, newest first, as
        long as anybody can still keep their messages.
        """
        boot, start = self._starts[-1]
        if len(start.first) == len(self._starts) == 1:  # as nearly always
            self.told = (Run(boot, start.first[0], start.last[0]),)
            return
        for _, start in self._starts:
            while len(start.first) > 1 and start.since[1] <= turn - GIVE_UP_TURNS:
                self.given_up += start.give_up()
        newest = self._starts[-1][1].around_anchor(self._starts[-1][0])
        told = [newest]
        for boot, start in reversed(self._starts):
            if start.newest > turn - GIVE_UP_TURNS:
                told += [run for run in start.runs(boot) if run != newest]
        self.told = tuple(told)

    def snapshot(self) -> tuple[object, ...]:
        """As plain values."""
        starts = [(boot, s.anchor, s.newest, list(s.first), list(s.last), list(s.since)) for boot, s in self._starts]
        return self.given_up, [tuple(run) for run in self.told], starts

    @classmethod
    def restored(cls, state: tuple[object, ...]) -> Numbers:
        """From a `snapshot`."""
        given_up, told, starts = state
        assert isinstance(given_up, int) and isinstance(told, list) and isinstance(starts, list)
        numbers = cls()
        numbers.given_up = given_up
        numbers.told = tuple(Run(*run) for run in told)
        numbers._starts = [
            (boot, _Start(anchor, newest, list(first), list(last), list(since)))
            for boot, anchor, newest, first, last, since in starts
        ]
        return numbers

    def _start(self, boot: int, seq: int, turn: int) -> _Start | None:
        for known, start in self._starts:
            if known == boot:
                return start
        if len(self._starts) == MAX_BOOTS:
            silent = min(self._starts, key=lambda pair: (pair[1].newest, pair[0]))
            if boot < self._starts[0][0] and silent[1].newest > turn - GIVE_UP_TURNS:
                return None
            self._starts.remove(silent)
        start = _Start(seq)
        self._starts.append((boot, start))
        self._starts.sort(key=lambda pair: pair[0])
        return start
