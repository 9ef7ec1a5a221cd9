"""The service's own clock: the machine's, but it never runs backwards.

A machine's clock is set now and then. Forward it is followed at once. Set back a little, ours goes on at half speed
until the machine has caught up, so that nothing stands still meanwhile. Set back by more than that, no answer would be
right: what was measured before and after cannot be told apart any more, and the service ends loudly to start anew.
"""

from __future__ import annotations

import time

from adapters.broker import now_us

MAX_BACK_US = 2_000_000


class ClockSteppedBack(RuntimeError):
    """The machine's clock was set back by more than the service can absorb."""


class WallClock:
    """Give it both clocks of the machine, get microseconds UTC that never fall."""

    def __init__(self) -> None:
        self._us = 0
        self._steady_us = 0

    def at(self, wall_us: int, steady_us: int) -> int:
        """The time for these readings of the wall clock and of a clock that nobody sets.

        Raises:
            ClockSteppedBack: the wall clock is more than `MAX_BACK_US` behind what was said before.
        """
        behind_us = self._us - wall_us
        if behind_us > MAX_BACK_US:
            raise ClockSteppedBack(f"the machine's clock was set back by {behind_us / 1e6:.1f} s")
        return self.stamp(wall_us, steady_us)

    def now_us(self) -> int:
        """`stamp` of this moment."""
        return self.stamp(now_us(), time.monotonic_ns() // 1000)

    def stamp(self, wall_us: int, steady_us: int) -> int:
        """The same for what arrives between two looks at `at`, which is where the end is decided on: a clock that was
        wrong for a moment must not make plots of that moment come from the future."""
        passed_us, self._steady_us = steady_us - self._steady_us, steady_us
        self._us = max(wall_us, self._us + passed_us // 2) if self._us else wall_us
        return self._us
