"""Whether the service keeps up, and how much it leaves out until it does.

A tick takes in all that arrived since the one before, so a service that is too slow has ticks that grow. Work of more
than `HOT_S` twice between two pictures, which cost most, asks for one level more of fusion/thinning.py. A level goes
when for `CALM_S` the work, with what was left out added in proportion, was `FINE_S` in the mean and never hot: a
picture of thousands of tracks takes longer than that long after a flood, and the ticks between do not. Time spent
waiting for a disk or for the broker is no work: leaving out plots would not shorten it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from fusion.thinning import MOST, PICTURES

HOT_S = 0.25  # an alert waits for the tick that runs and is told by the next: half a second
FINE_S = 0.12
CALM_S = 1.0  # three levels are gone within 4 s of the end of a flood
TICK_S = 0.1


@dataclass(slots=True)
class LoadMeter:
    """Told of every turn; says the level for the next one."""

    level: int = 0
    busy_s: float = 0.0  # of the last turn
    _hot: deque[bool] = field(default_factory=lambda: deque(maxlen=PICTURES[MOST] + 1))  # of each turn, at this level
    _lately: deque[tuple[float, float]] = field(default_factory=deque)  # turns of CALM_S: work, and how long they took

    def turned(self, busy_s: float, used: int, shed: int) -> int:
        """One tick took `busy_s` of work for `used` plots; `shed` were left out. Returns the level from now on."""
        self.busy_s = busy_s
        self._hot.append(busy_s > HOT_S)
        self._lately.append((busy_s * (used + shed) / max(used, 1), max(busy_s, TICK_S)))
        if sum(list(self._hot)[-PICTURES[self.level] - 1 :]) >= 2 and self.level < MOST:
            self._change(1)
            self._hot.clear()
        elif self.level and self._calm():
            self._change(-1)
        return self.level

    def _calm(self) -> bool:
        """Whether a level less would do, by the turns of the last CALM_S."""
        took_s = sum(took for _, took in self._lately)
        while took_s - self._lately[0][1] >= CALM_S - 1e-9:
            took_s -= self._lately.popleft()[1]
        works_s = [work for work, _ in self._lately]
        return took_s >= CALM_S - 1e-9 and max(works_s) <= HOT_S and sum(works_s) <= FINE_S * len(works_s)

    def _change(self, by: int) -> None:
        self.level += by
        self._lately.clear()
