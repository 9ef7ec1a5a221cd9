"""Names as the 16-bit numbers that ASTERIX has for tracks and alerts. Pure: time is given.

A track "epoch:counter" gets the number that its counter is on a wheel of 1 to 65,535, or the next free one, so that a
restart of the outlet finds the same. What has ended keeps its number for `REST_US`: a display that shows a track for
some minutes after its last message must not see another object take its place. When all are taken, the newest name has
none, and is counted.
"""

from __future__ import annotations

from fusion.schema import US_PER_S

HIGHEST = 65_535  # 0 is left out: displays take it for "no number"
REST_US = 600 * US_PER_S
NONE = -1


def wished(name: str) -> int:
    """The number of a name where it is free: by the digits behind a colon, or by its first hexadecimal ones."""
    head, colon, counter = name.partition(":")
    digits, base = (counter, 10) if colon else (head[:8], 16)
    try:
        return (int(digits, base) - 1) % HIGHEST + 1
    except ValueError:
        return 1


class Numbers:
    """One name has one number as long as it is there, and nobody else has it."""

    def __init__(self, highest: int = HIGHEST, rest_us: int = REST_US) -> None:
        self._highest, self._rest_us = highest, rest_us
        self._of: dict[str, int] = {}
        self._taken: dict[int, None] = {}  # also those at rest
        self._resting: dict[str, tuple[int, int]] = {}  # name: until when, number; the first to be free first
        self.refused = 0  # times that a name had to go without

    def of(self, name: str, now_us: int) -> int:
        """Its number, that it had before where it is back in time; `NONE` when all are taken."""
        known = self._of.get(name, NONE)
        if known != NONE:
            return known
        _, number = self._resting.pop(name, (0, NONE))
        if number == NONE:
            number = self._new(name, now_us)
        if number != NONE:
            self._of[name], self._taken[number] = number, None
        return number

    def end(self, name: str, now_us: int) -> int:
        """The name is no more; its number, or `NONE` where it had none."""
        number = self._of.pop(name, NONE)
        if number != NONE:
            self._resting[name] = (now_us + self._rest_us, number)
        return number

    def _new(self, name: str, now_us: int) -> int:
        for rested, (until_us, number) in list(self._resting.items()):
            if until_us > now_us:
                break
            del self._resting[rested], self._taken[number]
        if len(self._taken) >= self._highest:
            self.refused += 1
            return NONE
        number = (wished(name) - 1) % self._highest + 1
        while number in self._taken:
            number = number % self._highest + 1
        return number
