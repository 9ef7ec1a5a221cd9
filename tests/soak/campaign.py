"""What a campaign is. A file of tests/soak that has some lists them in `CAMPAIGNS` and is named in `registry.MODULES`.

    def piece(key: str) -> Counts:
        night = watched(seed=int(key))
        assert night.lost == 0  # an assertion that fails, any other exception and a death are a failed piece
        return {"hours": night.hours, "false_alarms": night.false_alarms}

    def judge(found: Sequence[Counts]) -> list[Verdict]:
        hours, alarms = total(found, "hours"), total(found, "false_alarms")
        return [Verdict(alarms <= 0.5 * hours, f"{alarms:g} false alarms in {hours:g} hours; at most 0.5 an hour")]

    CAMPAIGNS = (Campaign("false-alarms", "Quiet nights raise next to no alerts.", seeds(200), piece, judge),)

A piece runs in a process of its own, so it owes nothing to the pieces before it; starting one takes some five seconds.
Let it take a minute or so: a stop loses the piece that runs, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

Counts = Mapping[str, float]
"""What a piece counted, by name, unit last: {"examples": 2000, "flown_s": 3600.0}. The page shows the sums."""


class Verdict(NamedTuple):
    """One thing that was asked of the counts: whether it holds, and the sentence with the numbers."""

    holds: bool
    words: str


def no_verdict(found: Sequence[Counts]) -> list[Verdict]:
    """Of a campaign whose pieces are right or wrong each by itself."""
    del found
    return []


@dataclass(frozen=True, slots=True)
class Campaign:
    """`run` takes one of `pieces`; `judge` takes the counts of the finished ones, in the order of `pieces`.

    `judge` must be right about any number of finished pieces from one on: the page says how many there were.
    """

    name: str
    about: str
    pieces: tuple[str, ...]
    run: Callable[[str], Counts]
    judge: Callable[[Sequence[Counts]], Sequence[Verdict]] = no_verdict
    patience_s: float = 3_600.0  # a piece that takes longer has failed


def seeds(count: int, first: int = 1) -> tuple[str, ...]:
    """`count` seeds as pieces, from `first` on."""
    return tuple(str(seed) for seed in range(first, first + count))


def total(found: Sequence[Counts], name: str) -> float:
    """Sum of one count over the pieces."""
    return sum(counts.get(name, 0.0) for counts in found)
