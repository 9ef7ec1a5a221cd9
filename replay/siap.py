"""The single integrated air picture (SIAP): how complete, clear, true and continuous a set of tracks is.

Votruba et al., *Single Integrated Air Picture (SIAP) Metrics Implementation* (2001), in the form of Stone Soup's
SIAPMetrics, counted over all samples: sums of numerators over sums of denominators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusion.schema import B1, F8, I8
from replay.pairing import Association, Continuity, continuity


@dataclass(frozen=True, slots=True)
class Siap:
    """Of one class of objects, or of all. NaN where there was nothing to count."""

    objects: int  # stretches of objects in view
    completeness: float  # part of the objects that are tracked; 1 is best
    ambiguity: float  # tracks per tracked object; 1 is best
    spuriousness: float  # part of the tracks that are on nothing; 0 is best; NaN of a class: they have none
    position_accuracy_m: float  # mean error of tracks on objects
    velocity_accuracy_mps: float
    rms_position_m: float
    rms_velocity_mps: float
    number_changes_per_s: float  # per second that an object was tracked
    longest_segment: float  # part of an object's time with its longest track


@dataclass(frozen=True, slots=True)
class Sampled:
    """States at the samples, a row each: of stretches of objects, or of tracks."""

    who: I8  # (n,) number of the stretch or track
    sample: I8  # (n,)
    place_m: F8  # (n, d)
    velocity_mps: F8  # (n, 2) east, north

    def __len__(self) -> int:
        return len(self.who)

    def rows(self, who: I8, sample: I8, samples: int) -> I8:
        """The row of each (who, sample), -1 where there is none."""
        keys = self.who * samples + self.sample
        order = np.argsort(keys, kind="stable")
        wanted = who * samples + sample
        found = np.searchsorted(keys, wanted, sorter=order)
        row = order[np.minimum(found, len(keys) - 1)] if len(keys) else np.zeros(len(wanted), np.int64)
        there = (found < len(keys)) & (keys[row] == wanted) if len(keys) else np.zeros(len(wanted), np.bool_)
        return np.where(there, row, -1)


@dataclass(frozen=True, slots=True)
class Matches:
    """A row per association and sample at which both its track and its object have a state."""

    truth: I8  # (k,) row of the object's state
    track: I8  # (k,) row of the track's state
    position_error_m: F8  # (k,)
    velocity_error_mps: F8  # (k,) NaN where a track has no velocity
    truth_is_tracked: B1  # of each state of an object: an association holds then, even if its track says nothing
    track_is_used: B1  # of each state of a track


def match(truth: Sampled, tracks: Sampled, associations: Sequence[Association], samples: int) -> Matches:
    """Lay associations over the states."""
    lengths = np.array([a.last - a.first + 1 for a in associations], np.int64)
    sample = np.concatenate([np.arange(a.first, a.last + 1) for a in associations] or [np.empty(0, np.int64)])
    truth_row = truth.rows(np.repeat([a.truth for a in associations], lengths).astype(np.int64), sample, samples)
    track_row = tracks.rows(np.repeat([a.track for a in associations], lengths).astype(np.int64), sample, samples)
    tracked, used = np.zeros(len(truth), np.bool_), np.zeros(len(tracks), np.bool_)
    tracked[truth_row[truth_row >= 0]] = True
    used[track_row[track_row >= 0]] = True
    both = (truth_row >= 0) & (track_row >= 0)
    one, other = truth_row[both], track_row[both]
    off_m = np.linalg.norm(truth.place_m[one] - tracks.place_m[other], axis=1)
    off_mps = np.linalg.norm(truth.velocity_mps[one] - tracks.velocity_mps[other], axis=1)
    return Matches(one, other, off_m, off_mps, tracked, used)


@dataclass(frozen=True, slots=True)
class Whole:
    """How whole the tracks on each stretch of an object are; all (stretches,), in steps between samples."""

    needed: I8
    tracked_steps: I8
    longest_steps: I8
    life_steps: I8


def wholeness(truth: Sampled, stretches: int, associations: Sequence[Association]) -> Whole:
    """Continuity of every stretch."""
    first, last = np.full(stretches, np.iinfo(np.int64).max), np.full(stretches, -1)
    np.minimum.at(first, truth.who, truth.sample)
    np.maximum.at(last, truth.who, truth.sample)
    spans: list[list[tuple[int, int]]] = [[] for _ in range(stretches)]
    for one in associations:
        spans[one.truth].append((one.first, one.last))
    found = [
        continuity(s, int(a), int(b)) if s else Continuity(0, 0, 0) for s, a, b in zip(spans, first, last, strict=True)
    ]
    columns = [(c.needed, c.tracked_steps, c.longest_steps) for c in found]
    needed, tracked, longest = np.array(columns, np.int64).reshape(-1, 3).T
    return Whole(needed, tracked, longest, np.where(last >= 0, last - first, 0))


def siap(matches: Matches, whole: Whole, of: B1, truth_who: I8, step_s: float, all_of_them: bool) -> Siap:
    """SIAP of the stretches that `of` (stretches,) marks; `truth_who` is the stretch of each state of an object.

    Per class, ambiguity counts pairs of track and object; over all, a track that is on two objects counts once.
    """
    states = of[truth_who]
    counted = of[truth_who[matches.truth]]
    objects, tracked = int(states.sum()), int((states & matches.truth_is_tracked).sum())
    tracks, used = len(matches.track_is_used), int(matches.track_is_used.sum())
    on = used if all_of_them else int(counted.sum())
    off_m, off_mps = matches.position_error_m[counted], matches.velocity_error_mps[counted]
    off_mps = off_mps[np.isfinite(off_mps)]
    silent = int(counted.sum()) - len(off_mps)
    changes = int(np.maximum(whole.needed[of] - 1, 0).sum())
    return Siap(
        objects=int((of & (np.bincount(truth_who, minlength=len(of)) > 0)).sum()),
        completeness=_ratio(tracked, objects),
        ambiguity=_ratio(on, tracked),
        spuriousness=_ratio(tracks - used, tracks) if all_of_them else float("nan"),
        position_accuracy_m=_ratio(float(off_m.sum()), on),
        velocity_accuracy_mps=_ratio(float(off_mps.sum()), on - silent),
        rms_position_m=_ratio(float((off_m**2).sum()), len(off_m)) ** 0.5,
        rms_velocity_mps=_ratio(float((off_mps**2).sum()), len(off_mps)) ** 0.5,
        number_changes_per_s=_ratio(changes, float(whole.tracked_steps[of].sum()) * step_s),
        longest_segment=_ratio(int(whole.longest_steps[of].sum()), int(whole.life_steps[of].sum())),
    )


def _ratio(one: float, other: float) -> float:
    return one / other if other else float("nan")
