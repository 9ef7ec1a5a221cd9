"""What can go wrong, and schedules of it that follow from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos import hooks

BROKER = (
    "broker killed", "broker killed and emptied", "broker stopped", "refused", "reset", "black hole", "slow line",
    "name taken", "rubbish retained", "poison",
)  # fmt: skip
SERVICE = (
    "killed", *(f"killed when {place}" for place in hooks.PLACES), "stopped", "slow disk", "full disk",
    "clock forward", "clock back", "sensor clock",
)  # fmt: skip
LATEST_S = 2.5  # after an object appeared: its alert is due a second after


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: when it begins, after the objects of the schedule appeared, and how long it lasts."""

    kind: str
    after_s: float
    lasts_s: float


def schedule(seed: int, kinds: Sequence[str]) -> list[Fault]:
    """One or two faults; seeds in a row have every kind."""
    rng = random.Random(seed)
    first = kinds[seed % len(kinds)]
    others = [k for k in BROKER if k != first and not k.startswith("broker")] if rng.random() < 0.4 else []
    chosen = [first, *([rng.choice(others)] if others else [])]
    return [Fault(kind, rng.uniform(0.0, LATEST_S), rng.uniform(0.3, 2.5)) for kind in chosen]
