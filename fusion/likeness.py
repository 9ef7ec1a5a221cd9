"""What an object has looked like over minutes: how far it is like something that no one steers across a border.

The class of a moment (fusion/classes.py) rests on a minute of flight and flickers where classes are alike; birds look
like an ultralight in one minute and like a balloon in the next. A mean over minutes does not. It begins with a stretch
of nothing, so that what was just seen is told first and judged later: three plots cannot tell a drone from a goose.

    mean = sum of dt p exp(-age / FORGET_S) / (START_S + sum of dt exp(-age / FORGET_S))

`dt` is the time since the plot before, so silence is no evidence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fusion.schema import F8, I8, US_PER_S, ObjectClass, Tracks

FORGET_S = 150.0  # a few turns, a thermal and a glide; short against the hour that a flight lasts
START_S = 20.0  # of nothing: the time in which a drone has to be told
WEIGHT_S = 10.0  # one plot stands for no more time than this: the turn of a long-range radar
QUANTITIES = ("probability_unpowered", "probability_bird", "probability_soaring")
_PARTS = (
    (ObjectClass.BIRD_FLOCK, ObjectClass.BALLOON, ObjectClass.FIXED_ECHO, ObjectClass.PARAGLIDER),
    (ObjectClass.BIRD_FLOCK,),
    (ObjectClass.PARAGLIDER,),
)


class Likeness:
    """Memory of as many rows as the table has."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._id: I8 = np.empty(0, np.int64)
        self._plot_us: I8 = np.empty(0, np.int64)
        self._sums: F8 = np.empty((0, 1 + len(_PARTS)))  # seconds, and seconds times each probability

    def look(self, tracks: Tracks, p_classes: F8) -> dict[str, F8]:
        """Take in the probabilities (n, K) of this moment; each of QUANTITIES (n,)."""
        self._align(tracks)
        dt_s = np.minimum((tracks.update_us - self._plot_us) / US_PER_S, WEIGHT_S)
        new = dt_s > 0.0
        parts = np.stack([p_classes[:, list(part)].sum(axis=1) for part in _PARTS], axis=1)
        added = np.concatenate([np.ones((len(tracks), 1)), parts], axis=1) * dt_s[:, None]
        faded = self._sums * np.exp(-dt_s / FORGET_S)[:, None]
        self._sums = np.where(new[:, None], faded + added, self._sums)
        self._plot_us = np.where(new, tracks.update_us, self._plot_us)
        means = self._sums[:, 1:] / (START_S + self._sums[:, :1])
        return {name: np.ascontiguousarray(means[:, k]) for k, name in enumerate(QUANTITIES)}

    def snapshot(self) -> dict[str, Any]:
        """JSON-able."""
        return {"id": self._id.tolist(), "plot_us": self._plot_us.tolist(), "sums": self._sums.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self._id, self._plot_us = np.array(state["id"], np.int64), np.array(state["plot_us"], np.int64)
        self._sums = np.array(state["sums"], np.float64).reshape(-1, 1 + len(_PARTS))

    def _align(self, tracks: Tracks) -> None:
        """Rows in the order of the table; one that is new has seen nothing before its newest plot."""
        if np.array_equal(self._id, tracks.id):
            return
        plot_us, sums = tracks.update_us.copy(), np.zeros((len(tracks), 1 + len(_PARTS)))
        if len(self._id):
            at = np.minimum(np.searchsorted(self._id, tracks.id), len(self._id) - 1)
            old = self._id[at] == tracks.id
            plot_us[old], sums[old] = self._plot_us[at[old]], self._sums[at[old]]
        self._id, self._plot_us, self._sums = tracks.id.copy(), plot_us, sums
