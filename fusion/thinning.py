"""What is left out while there is more than can be fused: what known airliners repeat of themselves, and nothing else.

How much is asked for comes as an item (`Load`), which is recorded like every other: the same log sheds the same plots.
A claim falls only where its address belongs to a known airliner: one confirmed track that speaks, that nothing doubts,
that is surely neither low nor slow, not near a border and without an alert. Of such an aircraft the newest claim of a
tick is fused, and one every few seconds. What radars say is never left out: a plot that is not fused would count as a
look that missed, and it is what claims are checked against. Pictures, and with them looks at the rules, come less often
meanwhile: of thousands of tracks they cost more than the plots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusion.integrity import Reason
from fusion.rules import Words
from fusion.schema import B1, I4, I8, US_PER_S, Assessment, ObjectClass, Plots, SensorKind, SensorSpec, Tracks, take
from fusion.schema import TrackStatus as Status

CLASS = "known-airliner"  # the only class that is shed, as it is counted
# Of one aircraft a claim is fused this often at each level. A claim of 30 s ago is a live identity still, and two alike
# addresses are looked for among claims of the last 10 s.
EVERY_S = (0.0, 2.0, 4.0, 6.0)
PICTURES = (1, 2, 3, 5)  # of how many one is made
MOST = len(EVERY_S) - 1
SURELY_NOT = 0.01  # at most this probability to be low, or slow
DISTRESS = (
    0o7500,
    0o7600,
    0o7700,
)  # Mode 3/A: unlawful interference, radio, emergency (ICAO Annex 10 IV 2.1.4)


@dataclass(frozen=True, slots=True)
class Load:
    """From this tick on, leave out as much as this level says. Made by the service, never received."""

    rx_us: int
    level: int  # 0 nothing .. MOST


def known_airliners(tracks: Tracks, assessment: Assessment, words: Words, alerted: I8) -> B1:
    """(n,) rows whose claims may be thinned. `alerted`: counters of the tracks that have an open alert."""
    a = assessment
    near = np.abs(a.distance_m) <= words.near_m  # NaN: there is no border
    high_and_fast = a.height_known & (a.p_low <= SURELY_NOT) & (a.p_slow <= SURELY_NOT)
    sure = (tracks.status == Status.CONFIRMED) & a.cooperative & (a.doubt == Reason.NONE)
    jet = (a.object_class == ObjectClass.AIRLINER) | (a.object_class == ObjectClass.FAST_JET)  # flown alike high up
    known: B1 = sure & jet & high_and_fast & ~near & (tracks.address >= 0)
    return known & ~np.isin(tracks.mode3a, DISTRESS) & ~np.isin(tracks.id, alerted)


class Thinning:
    """How much is left out now, and of whom."""

    def __init__(self, sensors: Sequence[SensorSpec]) -> None:
        self._claims = tuple(spec.id for spec in sensors if spec.kind == SensorKind.ADSB)
        self.level = 0
        self._address = np.empty(0, np.int32)  # of known airliners, rising, each on one track only
        self._kept_us = np.empty(0, np.int64)  # measured time of the newest claim of each that was fused

    def set(self, load: Load) -> None:
        """Asked for from now on.

        Raises:
            ValueError: not one of our levels; the caller makes these, so this is a broken invariant.
        """
        if not 0 <= load.level <= MOST:
            raise ValueError(f"load level {load.level} is not one of 0..{MOST}")
        self.level = load.level
        if not self.level:
            self._address, self._kept_us = np.empty(0, np.int32), np.empty(0, np.int64)

    def look(self, tracks: Tracks, assessment: Assessment, words: Words, alerted: I8) -> None:
        """Note who is a known airliner now. A no-op while nothing is left out."""
        if not self.level:
            return
        address, count = np.unique(tracks.address, return_counts=True)
        once = np.isin(tracks.address, address[count == 1])
        known = np.sort(tracks.address[known_airliners(tracks, assessment, words, alerted) & once])
        kept_us = np.full(len(known), -1, np.int64)
        at, there = _find(self._address, known)
        kept_us[there] = self._kept_us[at[there]]
        self._address, self._kept_us = known, kept_us

    def thin(self, batches: list[Plots]) -> tuple[list[Plots], int]:
        """Batches in the order in which they are fused, without what is left out, and how many plots that was."""
        if not self.level or not len(self._address):
            return batches, 0
        speaking = [n for n, batch in enumerate(batches) if batch.sensor in self._claims]
        if not speaking:
            return batches, 0
        keep = self._keep(
            np.concatenate([batches[n].address for n in speaking]), np.concatenate([batches[n].t_us for n in speaking])
        )
        left, start = list(batches), 0
        for n in speaking:
            rows = keep[start : start + len(batches[n])]
            start += len(rows)
            if not rows.all():
                left[n] = take(batches[n], rows)
        return [batch for batch in left if len(batch)], int(np.count_nonzero(~keep))

    def _keep(self, address: I4, t_us: I8) -> B1:
        """(n,) what is fused; notes the newest of each that is."""
        at, known = _find(self._address, address)
        keep = ~known
        rows = np.flatnonzero(known)
        rows = rows[np.lexsort((rows, t_us[rows], at[rows]))]
        newest = rows[np.append(np.diff(at[rows]) != 0, True)] if len(rows) else rows
        due = t_us[newest] >= self._kept_us[at[newest]] + round(EVERY_S[self.level] * US_PER_S)
        due |= self._kept_us[at[newest]] < 0
        keep[newest[due]] = True
        self._kept_us[at[newest[due]]] = t_us[newest[due]]
        return keep

    def snapshot(self) -> dict[str, Any]:
        """All that can change a later answer."""
        return {"level": self.level, "address": self._address.copy(), "kept_us": self._kept_us.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.level = state["level"]
        self._address, self._kept_us = state["address"].copy(), state["kept_us"].copy()


def _find(table: I4, wanted: I4) -> tuple[I8, B1]:
    """Place of each in a rising table, and whether it is there at all."""
    if not len(table):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return at, table[at] == wanted
