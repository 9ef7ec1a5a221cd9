"""Keys of somebody who watches a replay: pause, go on, go to another moment, end.

    space  pause and go on      left, right  10 s back, 10 s on      down, up  a minute back, a minute on      q  end

The service is told nothing of it: its clock is the feed. A pause is a feed that brings nothing; what is jumped over is
not fused, and after a jump back the service begins anew, as it does with another replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TextIO

from fusion.schema import US_PER_S

HELP = "space: pause, arrows: 10 s and a minute back or on, q: end"
BACK_US = 2 * US_PER_S  # the least jump back: what falls by less than a second is no new replay (adapters/feed.py)
LOOK_EVERY_S = 0.05  # during a pause
JUMPS_US = {
    b"\x1b[C": 10 * US_PER_S,  # right
    b"\x1b[D": -10 * US_PER_S,  # left
    b"\x1b[A": 60 * US_PER_S,  # up
    b"\x1b[B": -60 * US_PER_S,  # down
}
PAUSE, END = b" ", b"q"


class Deck:
    """What the keys asked for. `first_us` and `last_us`: the part that is played."""

    def __init__(self, first_us: int, last_us: int) -> None:
        self.paused = False
        self.ended = False
        self.target_us = -1  # to go to; -1 nowhere
        self.changed: Callable[[], None] = lambda: None  # told of every key of ours
        self._first_us, self._last_us = first_us, last_us
        self._at_us = first_us
        self._begun = b""  # of a key that is several bytes

    @property
    def interrupted(self) -> bool:
        """The timetable that is played is not to be played on."""
        return self.ended or self.target_us >= 0

    def at(self, t_us: int) -> None:
        """The feed has come so far."""
        self._at_us = t_us

    def press(self, typed: bytes) -> None:
        """Bytes of a terminal. What is no key of ours does nothing."""
        self._begun += typed
        while self._begun:
            if any(key != self._begun and key.startswith(self._begun) for key in JUMPS_US):
                return  # the rest is to come
            key = next((key for key in JUMPS_US if self._begun.startswith(key)), self._begun[:1])
            self._begun = self._begun[len(key) :]
            if key == PAUSE:
                self.paused = not self.paused
            elif key == END:
                self.ended = True
            elif key in JUMPS_US:
                self._jump(JUMPS_US[key])
            else:
                continue
            self.changed()

    def take_target(self) -> int:
        """Where to go on from; -1 nowhere."""
        found, self.target_us = self.target_us, -1
        if found >= 0:
            self._at_us = found
        return found

    async def held(self) -> float:
        """Wait while it is paused; the seconds that took."""
        loop = asyncio.get_running_loop()
        since_s = loop.time()
        while self.paused and not self.interrupted:
            await asyncio.sleep(LOOK_EVERY_S)
        return loop.time() - since_s

    def _jump(self, by_us: int) -> None:
        from_us = self.target_us if self.target_us >= 0 else self._at_us
        to_us = max(self._first_us, min(from_us + by_us, self._last_us))
        far = to_us > self._at_us or self._at_us - to_us >= BACK_US
        self.target_us = to_us if far else -1


@contextlib.contextmanager
def keys(terminal: TextIO, deck: Deck) -> Iterator[bool]:
    """Keys pressed on a terminal go to the deck, until the end; False: it is none of ours. Within a running loop."""
    if not terminal.isatty() or not _in_front(terminal.fileno()):
        yield False
        return
    number, loop = terminal.fileno(), asyncio.get_running_loop()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    loop.add_reader(number, lambda: deck.press(os.read(number, 64)))
    try:
        yield True
    finally:
        loop.remove_reader(number)
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _in_front(number: int) -> bool:
    """Who works behind the shell must not touch its terminal: it would be stopped."""
    try:
        return os.tcgetpgrp(number) == os.getpgrp()
    except OSError:  # not the terminal of this session: nobody else works on it
        return True
