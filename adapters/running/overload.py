"""Whether the service keeps up, and how much it leaves out until it does.

A tick takes in all that arrived since the one before, so a service that is too slow has ticks that grow. Work of more
than `HOT_S` twice between two pictures, which cost most, asks for one level more of fusion/thinning.py. A level goes
when for `CALM_S` the work, with what was left out added in proportion, would have stayed below `FINE_S`. Time spent
waiting for a disk or for the broker is no work: leaving out plots would not shorten it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from fusion.thinning import MOST, PICTURES

HOT_S = 0.25  # an alert waits for the tick that runs and is told by the next: half a second
FINE_S = 0.12
CALM_S = 1.5  # three levels are gone within 5 s of the end of a flood
TICK_S = 0.1


@dataclass(slots=True)
class LoadMeter:
    """Told of every turn; says the level for the next one."""

    level: int = 0
    busy_s: float = 0.0  # of the last turn
    _hot: deque[bool] = field(default_factory=lambda: deque(maxlen=PICTURES[MOST] + 1))  # of each turn, at this level
    _calm_s: float = 0.0

    def turned(self, busy_s: float, used: int, shed: int) -> int:
        """One tick took `busy_s` of work for `used` plots; `shed` were left out. Returns the level from now on."""
        self.busy_s = busy_s
        whole_s = busy_s * (used + shed) / max(used, 1)
        self._hot.append(busy_s > HOT_S)
        self._calm_s = self._calm_s + max(busy_s, TICK_S) if whole_s <= FINE_S else 0.0
        if sum(list(self._hot)[-PICTURES[self.level] - 1 :]) >= 2 and self.level < MOST:
            self.level, self._calm_s = self.level + 1, 0.0
            self._hot.clear()
        elif self._calm_s >= CALM_S and self.level:
            self.level, self._calm_s = self.level - 1, 0.0
        return self.level
