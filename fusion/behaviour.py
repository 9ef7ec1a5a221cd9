"""How every track has flown so far, in eight numbers that do not grow: the evidence of kinematics for its class.

At most once a second, and only when a plot has come since, a row of the table is added to running means that forget
over a minute. From them follow the features below. A feature that is not known yet is NaN and says nothing. The last
two are no evidence: they say how well the track is known, and so which densities the other eight are held against.

    speed          ln(1 + mean ground speed)                         m/s
    speed_spread   ln(0.3 + standard deviation of the speed)         m/s
    turn           ln(0.003 + root mean square rate of turn)         rad/s
    crooked        ln(0.01 + 1 - |mean velocity| / mean speed)       0: straight, 1: round and round
    net            ln(0.3 + distance from where it was first seen / time since)  m/s; what stands has none
    height         ln(30 + mean height above ground)                 m; only while height is known
    climb          asinh(mean climb)                                 m/s; "
    climb_spread   ln(0.1 + standard deviation of the climb)         m/s; "
    noise          ln(0.1 + mean sigma of the speed)                 m/s
    age            ln(2 + time since it was first seen, at most 300 s)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fusion import classes
from fusion.classes import FEATURES
from fusion.schema import B1, F8, I8, US_PER_S, Tracks

if TYPE_CHECKING:
    from fusion.zones import ZoneFacts

FORGET_S = 60.0  # a leg, a thermal, a pattern: longer than the noise of the filter, shorter than a change of plan
SAMPLE_US = 950_000  # a row is looked at no more often: neighbouring looks hold the same plots
WEIGHT_S = 10.0  # one look stands for no more time than this, however long the silence before it
SPREADS_FROM = 4  # looks from which a spread is more than chance
NET_FROM_S = 15.0  # from which a distance is more than the error of a place
OLDEST_S = 300.0
TURN_MOST_RADPS = 1.0  # more is noise about a velocity that is none

# Columns of the memory of one track.
(
    WEIGHT, SPEED, SPEED2, EAST, NORTH, TURN_W, TURN2, HEIGHT_W, HEIGHT, CLIMB, CLIMB2, NOISE, COURSE,
    X, Y, Z,
) = range(16)  # fmt: skip
MEANS = 12  # the first so many are sums that forget
FIRST_US, LOOK_US, PLOT_US, LOOKS, HEIGHTS = range(5)


class Behaviour:
    """Memory of as many rows as the table has: sixteen sums, five times, ten features and fourteen densities each."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self.epoch = -1
        self._id: I8 = np.empty(0, np.int64)
        self._sums: F8 = np.empty((0, 16))
        self._whens: I8 = np.empty((0, 5), np.int64)
        self.features: F8 = np.empty((0, len(FEATURES)))  # (n, 10) in the order of the table looked at last
        self.densities: F8 = np.empty((0, classes.K))  # (n, K) log densities of the features under each class

    def look(self, tracks: Tracks, facts: ZoneFacts) -> None:
        """Take in the table of this moment."""
        if tracks.epoch != self.epoch:
            self._clear()
            self.epoch = tracks.epoch
        new = self._align(tracks)
        due = new | (
            (tracks.update_us > self._whens[:, PLOT_US]) & (tracks.t_us - self._whens[:, LOOK_US] >= SAMPLE_US)
        )
        rows = np.flatnonzero(due & ~np.isnan(facts.speed_mps))
        if len(rows):
            self._add(rows, tracks, facts)
            self.features[rows] = _features(self._sums[rows], self._whens[rows], tracks, rows)
            self.densities[rows] = classes.log_densities(self.features[rows])

    def _align(self, tracks: Tracks) -> B1:
        """Rows of the memory in the order of the table; (n,) where a row is new."""
        n, known = len(tracks), len(self._id)
        at = np.minimum(np.searchsorted(self._id, tracks.id), max(known - 1, 0))
        old = self._id[at] == tracks.id if known else np.zeros(n, np.bool_)
        sums, whens = np.zeros((n, 16)), np.full((n, 5), -1, np.int64)
        features, densities = np.full((n, len(FEATURES)), np.nan), np.zeros((n, classes.K))
        for array, kept in (
            (sums, self._sums),
            (whens, self._whens),
            (features, self.features),
            (densities, self.densities),
        ):
            array[old] = kept[at[old]]
        self._id, self._sums, self._whens = tracks.id.copy(), sums, whens
        self.features, self.densities = features, densities
        return ~old

    def _add(self, rows: I8, tracks: Tracks, facts: ZoneFacts) -> None:
        sums, whens = self._sums[rows], self._whens[rows]
        fresh = whens[:, LOOK_US] < 0
        dt_s = np.where(fresh, 1.0, (tracks.t_us - whens[:, LOOK_US]) / US_PER_S)
        weight = np.minimum(dt_s, WEIGHT_S)
        sums[:, :MEANS] *= np.exp(-dt_s / FORGET_S)[:, None]
        speed, course = facts.speed_mps[rows], np.nan_to_num(facts.course_rad[rows])
        turned = np.abs((course - sums[:, COURSE] + np.pi) % (2.0 * np.pi) - np.pi) / dt_s
        turned = np.where(fresh, 0.0, np.minimum(turned, TURN_MOST_RADPS))
        known = facts.height_known[rows] & ~np.isnan(facts.agl_m[rows])
        agl = np.where(known, np.clip(facts.agl_m[rows], 0.0, 30_000.0), 0.0)
        climb = np.where(known, np.clip(facts.climb_mps[rows], -200.0, 200.0), 0.0)
        high = np.where(known, weight, 0.0)
        for column, share, value in (
            (WEIGHT, weight, 1.0),
            (SPEED, weight, speed),
            (SPEED2, weight, speed**2),
            (EAST, weight, speed * np.sin(course)),
            (NORTH, weight, speed * np.cos(course)),
            (TURN_W, np.where(fresh, 0.0, weight), 1.0),
            (TURN2, weight, turned**2),
            (HEIGHT_W, high, 1.0),
            (HEIGHT, high, agl),
            (CLIMB, high, climb),
            (CLIMB2, high, climb**2),
            (NOISE, weight, facts.sigma_speed_mps[rows]),
        ):
            sums[:, column] += share * value
        sums[:, COURSE] = course
        sums[:, X:] = np.where(fresh[:, None], tracks.state[rows, :3], sums[:, X:])
        whens[:, FIRST_US] = np.where(fresh, tracks.t_us, whens[:, FIRST_US])
        whens[:, LOOKS] = np.where(fresh, 1, whens[:, LOOKS] + 1)
        whens[:, HEIGHTS] = np.where(fresh, 0, whens[:, HEIGHTS]) + known
        whens[:, LOOK_US] = tracks.t_us
        whens[:, PLOT_US] = tracks.update_us[rows]
        self._sums[rows], self._whens[rows] = sums, whens

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        arrays = (self._id, self._sums, self._whens, self.features, self.densities)
        return {"epoch": self.epoch, "arrays": tuple(array.copy() for array in arrays)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.epoch = state["epoch"]
        copies = (array.copy() for array in state["arrays"])
        self._id, self._sums, self._whens, self.features, self.densities = copies


def _features(sums: F8, whens: I8, tracks: Tracks, rows: I8) -> F8:
    """(m, 10) features of the rows just added to."""
    weight = sums[:, WEIGHT]
    speed = sums[:, SPEED] / weight
    age_s = (tracks.t_us - whens[:, FIRST_US]) / US_PER_S
    moved_m = np.sqrt(((tracks.state[rows, :3] - sums[:, X:]) ** 2).sum(axis=1))
    straight = np.hypot(sums[:, EAST], sums[:, NORTH]) / np.maximum(sums[:, SPEED], 1e-9)
    turn = np.sqrt(sums[:, TURN2] / np.maximum(sums[:, TURN_W], 1e-9))
    high = np.maximum(sums[:, HEIGHT_W], 1e-9)
    enough, tall = whens[:, LOOKS] >= SPREADS_FROM, sums[:, HEIGHT_W] > 0.5
    tall_enough = tall & (whens[:, HEIGHTS] >= SPREADS_FROM)
    found = (
        np.log(1.0 + speed),
        np.where(enough, np.log(0.3 + _deviation(sums[:, SPEED2] / weight, speed)), np.nan),
        np.where(enough, np.log(0.003 + turn), np.nan),
        np.where(enough, np.log(0.01 + np.maximum(1.0 - straight, 0.0)), np.nan),
        np.where(age_s >= NET_FROM_S, np.log(0.3 + moved_m / np.maximum(age_s, 1.0)), np.nan),
        np.where(tall, np.log(30.0 + sums[:, HEIGHT] / high), np.nan),
        np.where(tall, np.arcsinh(sums[:, CLIMB] / high), np.nan),
        np.where(tall_enough, np.log(0.1 + _deviation(sums[:, CLIMB2] / high, sums[:, CLIMB] / high)), np.nan),
        np.log(0.1 + sums[:, NOISE] / weight),
        np.log(2.0 + np.minimum(age_s, OLDEST_S)),
    )
    return np.stack(found, axis=1)


def _deviation(square: F8, mean: F8) -> F8:
    return np.sqrt(np.maximum(square - mean**2, 0.0))
