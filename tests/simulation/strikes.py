"""What goes wrong in a simulation, and schedules of it that follow from a seed.

A strike comes at a time, or at a point: the n-th time that a process of the service does something of one kind (takes
a step of the event loop, writes, syncs, publishes, acknowledges).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

LINES = ("in", "out", "alerts", "sensors", "")  # whose connection; "" is all
POINTS = {  # kind -> how many of them a life of some seconds has, roughly
    "step": 1_800, "write": 150, "sync": 40, "make": 6, "rename": 5, "unlink": 4, "truncate": 4, "connect": 4,
    "post": 30, "post alert": 14, "ack": 24, "write journal": 4, "sync journal": 5,
}  # fmt: skip
OFTEN = ("post alert", "write journal", "sync journal")  # where most can be lost: three times as often as another
DEATHS = ("killed", "power cut")
OTHERS = (
    "line cut", "black hole", "refused", "slow line", "broker killed", "broker killed and emptied", "full disk",
    "slow disk", "sync refused", "clock forward", "clock back", "clock far back",
)  # fmt: skip
EARLY_S, LATE_S = 0.5, 4.0


@dataclass(frozen=True, slots=True)
class Strike:
    """One of them. `point` and `nth` of the life `life`, or, where there is no point, `at_s` after the beginning."""

    kind: str
    at_s: float = 0.0
    lasts_s: float = 0.0
    life: int = 1
    point: str = ""
    nth: int = 0
    line: str = ""

    def __str__(self) -> str:
        when = f"at {self.point} {self.nth} of life {self.life}" if self.point else f"at {self.at_s:.3f} s"
        where = f" of {self.line or 'all'}" if self.kind in ("line cut", "black hole") else ""
        return f"{self.kind}{where} {when}, for {self.lasts_s:.3f} s"


def schedule(seed: int) -> list[Strike]:
    """One to three strikes, most of them with a death."""
    luck = random.Random(f"strikes {seed}")
    found = []
    lives = 1
    for _ in range(luck.choice((1, 2, 2, 3))):
        if luck.random() < 0.65:
            found.append(_death(luck, lives))
            lives += 1
        else:
            found.append(_other(luck))
    return found


def _death(luck: random.Random, life: int) -> Strike:
    kind = DEATHS[luck.random() < 0.4]
    lasts_s = luck.uniform(0.02, 0.6)
    if luck.random() < 0.2:
        return Strike(kind, luck.uniform(EARLY_S, LATE_S), lasts_s)
    point = luck.choice([*POINTS, *OFTEN, *OFTEN])
    return Strike(kind, 0.0, lasts_s, life, point, luck.randint(1, POINTS[point]))


def _other(luck: random.Random) -> Strike:
    kind = luck.choice(OTHERS)
    lasts_s = luck.uniform(0.1, 5.5 if kind == "black hole" else 2.5)
    return Strike(kind, luck.uniform(EARLY_S, LATE_S), lasts_s, line=luck.choice(LINES))
