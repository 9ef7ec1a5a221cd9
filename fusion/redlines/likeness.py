"""What an object has looked like over minutes: how far it is like something that no one steers across a border.

The class of a moment (fusion/classes.py) rests on a minute of flight and flickers where classes are alike; birds look
like an ultralight in one minute and like a balloon in the next. A mean over minutes does not. It begins with a stretch
of nothing, so that what was just seen is told first and judged later: three plots cannot tell a drone from a goose.

    mean = sum of dt p exp(-age / FORGET_S) / (START_S + sum of dt exp(-age / FORGET_S))

`dt` is the time since the plot before, so silence is no evidence.

How low it flies is a mean as well, of the probability of being lower than `skim_m`: the height of a moment is off by
hundreds of metres far from a radar, for a minute and more, so that birds at 350 m seem to skim the ground every few
minutes. What does skim keeps its mean, however long it is looked at.

A track that ends leaves what it looked like to the one that begins where it would be (fusion/redlines/bygone.py), with
the weight of `HEIR_S`: the heir's own flight soon weighs more, and at once when it moves otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from fusion.redlines.bygone import ALIKE_MPS, STOOD_M, STOOD_S, Bygone, Past, heirs
from fusion.schema import B1, F8, I8, US_PER_S, Assessment, ObjectClass, Tracks

FORGET_S = 600.0  # what an object is does not change, but a track may go over to another object: then it is learnt anew
START_S = 20.0  # of nothing: the time in which a drone has to be told
WEIGHT_S = 5.0  # one plot stands for no more time than this: four plots do not tell, however slowly they come
SKIM_FORGET_S = 120.0  # errors of a height last for 20 s near a radar, and for a minute and more far from one
KNOWN_S = 60.0  # what was looked at for shorter leaves nothing
HEIR_S = 60.0  # an heir begins with the weight of so much time at most
TRIAL_S = 60.0  # and has to move as what it goes on from for so long: birds turn later, its speed is known by then
QUANTITIES = (
    *("probability_unpowered", "probability_bird", "probability_soaring", "probability_light_aircraft"),
    "probability_skimming",
)
_PARTS = (
    (ObjectClass.BIRD_FLOCK, ObjectClass.BALLOON, ObjectClass.FIXED_ECHO, ObjectClass.PARAGLIDER),
    (ObjectClass.BIRD_FLOCK,),
    (ObjectClass.PARAGLIDER,),
    (ObjectClass.LIGHT_AIRCRAFT,),
)
_SECONDS, _LIKE, _HIGH, _SKIM, _WIDTH = 0, 1, 1 + len(_PARTS), 2 + len(_PARTS), 3 + len(_PARTS)
_FADES = np.array([FORGET_S] * _HIGH + [SKIM_FORGET_S] * 2)


class Likeness:
    """Memory of as many rows as the table has, and of those that ended. `skim_m` is that of the words."""

    def __init__(self, skim_m: float) -> None:
        self._skim_m = skim_m
        self._bygone = Bygone(_WIDTH)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._bygone.clear()
        self._id: I8 = np.empty(0, np.int64)
        self._plot_us: I8 = np.empty(0, np.int64)
        self._first_us: I8 = np.empty(0, np.int64)
        self._first: F8 = np.empty((0, 3))  # where it was first seen, ECEF
        self._sums: F8 = np.empty((0, _WIDTH))  # seconds, seconds times each probability, the same of the height
        self._trial: B1 = np.empty(0, np.bool_)  # it is an heir, and may still prove to be none
        self._as: F8 = np.empty((0, 3))  # velocity of what it is the heir of
        self._look_us = -1
        self._state: F8 = np.empty((0, 6))  # of the last look
        self._sigma: F8 = np.empty(0)

    def look(self, tracks: Tracks, a: Assessment) -> dict[str, F8]:
        """Take in this moment; each of QUANTITIES (n,). That of the height is NaN where no height was ever known."""
        self._align(tracks, a)
        self._doubt(tracks, a)
        dt_s = np.minimum((tracks.update_us - self._plot_us) / US_PER_S, WEIGHT_S)
        new = dt_s > 0.0
        parts = np.stack([a.p_classes[:, list(part)].sum(axis=1) for part in _PARTS], axis=1)
        known = a.height_known & ~np.isnan(a.agl_m)
        below_m = self._skim_m - np.where(known, a.agl_m, 0.0)
        skims = np.where(known, ndtr(below_m / np.maximum(a.sigma_agl_m, 1.0)), 0.0)
        added = np.concatenate([np.ones((len(tracks), 1)), parts, known[:, None], skims[:, None]], axis=1)
        faded = self._sums * np.exp(-dt_s[:, None] / _FADES)
        self._sums = np.where(new[:, None], faded + added * dt_s[:, None], self._sums)
        self._plot_us = np.where(new, tracks.update_us, self._plot_us)
        means = self._sums[:, _LIKE:_HIGH] / (START_S + self._sums[:, :1])
        high = self._sums[:, _HIGH]
        low = np.where(high > 0.0, self._sums[:, _SKIM] / np.maximum(high, 1e-9), np.where(known, skims, np.nan))
        self._look_us, self._state, self._sigma = tracks.t_us, tracks.state, a.sigma_horizontal_m
        columns = (*(np.ascontiguousarray(means[:, k]) for k in range(len(_PARTS))), low)
        return dict(zip(QUANTITIES, columns, strict=True))

    def snapshot(self) -> dict[str, Any]:
        """All that it remembers."""
        rows = {name: getattr(self, f"_{name}").copy() for name in _ROWS}
        return {"rows": rows, "look_us": self._look_us, "bygone": self._bygone.snapshot()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        for name in _ROWS:
            setattr(self, f"_{name}", state["rows"][name].copy())
        self._look_us = int(state["look_us"])
        self._bygone.restore(state["bygone"])

    def _align(self, tracks: Tracks, a: Assessment) -> None:
        """Rows in the order of the table; one that is new has seen nothing before its newest plot."""
        if np.array_equal(self._id, tracks.id):
            return
        n = len(tracks)
        at = np.minimum(np.searchsorted(self._id, tracks.id), max(0, len(self._id) - 1))
        old = self._id[at] == tracks.id if len(self._id) else np.zeros(n, np.bool_)
        past = self._pasts(~np.isin(self._id, tracks.id, assume_unique=True))
        fresh: dict[str, NDArray[Any]] = {
            "plot_us": tracks.update_us,
            "first_us": np.full(n, tracks.t_us),
            "first": tracks.state[:, :3],
            "sums": np.zeros((n, _WIDTH)),
            "trial": np.zeros(n, np.bool_),
            "as": np.zeros((n, 3)),
        }
        for name, blank in fresh.items():
            kept = blank.copy()
            kept[old] = getattr(self, f"_{name}")[at[old]]
            setattr(self, f"_{name}", kept)
        self._id = tracks.id.copy()
        self._inherit(np.flatnonzero(~old), past, tracks, a)

    def _pasts(self, gone: B1) -> Past:
        """What a new track may go on from. Those that are gone are remembered, if they were looked at long enough."""
        moved_m = np.sqrt(((self._state[:, :3] - self._first) ** 2).sum(axis=1))
        long = self._look_us - self._first_us >= STOOD_S * US_PER_S
        stood = long & (moved_m <= STOOD_M + 3.0 * self._sigma)
        known = self._sums[:, _SECONDS] >= KNOWN_S
        xyz_m, velocity = self._state[:, :3], self._state[:, 3:]
        end_us = np.full(len(self._id), self._look_us)
        rows = Past(end_us, xyz_m, velocity, self._sigma, stood, self._sums)
        if (gone & known).any():
            self._bygone.add(rows.take(gone & known), self._look_us)
        return self._bygone.past.with_rows(rows.take(~gone & known & stood))

    def _inherit(self, rows: I8, past: Past, tracks: Tracks, a: Assessment) -> None:
        heir_of = heirs(past, tracks.state[rows, :3], a.sigma_horizontal_m[rows], tracks.t_us)
        new, of = rows[heir_of >= 0], heir_of[heir_of >= 0]
        weight = np.minimum(1.0, HEIR_S / np.maximum(past.sums[of, _SECONDS], 1e-9))
        self._sums[new] = past.sums[of] * weight[:, None]
        self._trial[new] = True
        self._as[new] = np.where(past.stood[of, None], 0.0, past.velocity_mps[of])

    def _doubt(self, tracks: Tracks, a: Assessment) -> None:
        """An heir that moves otherwise is none: what it looks like begins anew."""
        self._trial &= tracks.t_us - self._first_us <= TRIAL_S * US_PER_S
        off_mps = np.sqrt(((tracks.state[:, 3:] - self._as) ** 2).sum(axis=1))
        other = self._trial & (off_mps > ALIKE_MPS + 3.0 * a.sigma_speed_mps)
        self._sums[other] = 0.0
        self._trial &= ~other


_ROWS = ("id", "plot_us", "first_us", "first", "sums", "trial", "as", "state", "sigma")
