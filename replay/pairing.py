"""Distances between a picture and the truth, and which track is on which object: pure functions on arrays.

GOSPA, OSPA, and the association of tracks to truth over time as Stone Soup defines it, on which SIAP rests. Nothing
here knows of files, classes of objects or places on the earth: positions are points in metres, times are numbers of
samples. tests/test_score.py holds every number against Stone Soup's own metric generators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fusion.schema import B1, F8, I8

NONE = -1  # no object


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs closer than a cut-off, each a truth and a track with their distance; all (k,)."""

    truth: I8
    track: I8
    distance_m: F8

    def take(self, which: B1) -> Near:
        """Some of the pairs."""
        return Near(self.truth[which], self.track[which], self.distance_m[which])


@dataclass(frozen=True, slots=True)
class Gospa:
    """Generalised optimal sub-pattern assignment, alpha = 2 (Rahmathullah, Garcia-Fernandez, Svensson 2017).

    All (samples,).
    """

    total_m: F8
    localisation_m: F8  # p-th root of the sum of distances to the p of the pairs
    missed: I8
    false: I8


@dataclass(frozen=True, slots=True)
class Association:
    """A track was on an object from one sample to another, both included."""

    track: int
    truth: int
    first: int
    last: int


def near_pairs(truth_m: F8, tracks_m: F8, cut_off_m: float) -> Near:
    """All pairs of points (n, d) and (m, d) that are closer than the cut-off, in order of truth, then track."""
    if not len(truth_m) or not len(tracks_m):
        return Near(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found = cKDTree(truth_m).sparse_distance_matrix(cKDTree(tracks_m), cut_off_m, output_type="ndarray")
    found = found[found["v"] < cut_off_m]
    found = found[np.lexsort((found["j"], found["i"]))]
    return Near(found["i"].astype(np.int64), found["j"].astype(np.int64), found["v"].astype(np.float64))


def near_of(distance_m: F8, cut_off_m: float) -> Near:
    """The same from a matrix of distances (n truths, m tracks)."""
    truth, track = np.nonzero(distance_m < cut_off_m)
    return Near(truth, track, distance_m[truth, track])


def assign(near: Near, cut_off_m: float, order: float) -> Near:
    """The pairs of the best assignment: the least sum of d^p, where an object left alone costs c^p with its track.

    Groups that share no pair are solved one by one, so the work grows with the crowd of the largest group and not with
    the whole picture, and many samples can be solved in one call. A pair that nobody contests, which most are, needs
    no solving.
    """
    if not len(near.truth):
        return near
    objects, tracks = near.truth.max() + 1, near.track.max() + 1
    ends = (near.truth, near.track + objects)
    graph = coo_matrix((np.ones(len(near.truth)), ends), shape=(objects + tracks,) * 2)
    group = connected_components(graph, directed=False)[1][near.truth]
    chosen = np.bincount(group)[group] == 1
    contested = np.flatnonzero(~chosen)
    contested = contested[np.argsort(group[contested], kind="stable")]
    for members in np.split(contested, np.flatnonzero(np.diff(group[contested])) + 1) if len(contested) else ():
        chosen[members[_best(near, members, cut_off_m, order)]] = True
    return near.take(chosen)


def _best(near: Near, members: I8, cut_off_m: float, order: float) -> I8:
    """Which of the members of one group are in its best assignment."""
    rows, row = np.unique(near.truth[members], return_inverse=True)
    columns, column = np.unique(near.track[members], return_inverse=True)
    gain = np.zeros((len(rows), len(columns)))
    gain[row, column] = near.distance_m[members] ** order - cut_off_m**order
    member = np.full(gain.shape, NONE)
    member[row, column] = np.arange(len(members))
    found = member[linear_sum_assignment(gain)]
    return np.asarray(found[found != NONE], np.int64)


def gospa(pairs: Near, sample: I8, objects: I8, tracks: I8, cut_off_m: float, order: float = 2.0) -> Gospa:
    """GOSPA of samples with so many objects and tracks, from the pairs that `assign` chose with the same order.

    `sample` is that of each pair, `objects` and `tracks` are (samples,).
    """
    paired = np.bincount(sample, minlength=len(objects))
    missed, false = objects - paired, tracks - paired
    localisation = np.bincount(sample, pairs.distance_m**order, len(objects))
    total = (localisation + cut_off_m**order / 2 * (missed + false)) ** (1 / order)
    return Gospa(np.asarray(total), np.asarray(localisation ** (1 / order)), missed, false)


def ospa(pairs: Near, sample: I8, objects: I8, tracks: I8, cut_off_m: float, order: float = 1.0) -> F8:
    """OSPA (Schuhmacher, Vo, Vo 2008) of samples, (samples,), as `gospa`. It is 0 where there is nothing at all."""
    most = np.maximum(objects, tracks)
    alone = cut_off_m**order * (most - np.bincount(sample, minlength=len(objects)))
    summed = np.bincount(sample, pairs.distance_m**order, len(objects)) + alone
    return np.asarray((summed / np.maximum(most, 1)) ** (1 / order))


def associate(track: I8, sample: I8, truth: I8, confirm: int = 3, end: int = 2) -> list[Association]:
    """Which track was on which object when, from the nearest object of each track at each sample; all (n,).

    `truth` is NONE where no object is within the threshold. The rules are those of Stone Soup's TrackToTruth: an
    association begins when `confirm` states in a row have one object as their nearest, from the first of them on; it
    ends, with its last match, after `end` states in a row that have not.
    """
    by_track = np.lexsort((sample, track))
    edges = np.flatnonzero(np.diff(track[by_track])) + 1
    found: list[Association] = []
    for rows in np.split(by_track, edges) if len(by_track) else ():
        spans = _spans(sample[rows].tolist(), truth[rows].tolist(), confirm, end)
        found += [Association(int(track[rows[0]]), *span) for span in spans]
    return found


def _spans(samples: Sequence[int], nearest_to: Sequence[int], confirm: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(truth, first, last) of one track. As in Stone Soup, misses are forgotten at a match only, not at a new start."""
    on, first, last = NONE, 0, 0
    rival, run, since = NONE, 0, 0  # what it may be on instead, for how many states, since when
    misses = 0
    for sample, truth in zip(samples, nearest_to, strict=True):
        if on != NONE and truth == on:
            misses, last = 0, sample
            continue
        if on == NONE and truth == NONE:
            rival, run = NONE, 0
            continue
        if truth != NONE and truth == rival:
            run += 1
        else:
            rival, run, since = truth, 1, sample
        if on != NONE:
            misses += 1
            if misses < end:
                continue
            yield on, first, last
            on = NONE
            if run >= confirm:
                on, first, last = rival, since, sample
        elif run >= confirm:
            on, first, last = truth, since, sample
            rival, run = NONE, 0
    if on != NONE:
        yield on, first, last


@dataclass(frozen=True, slots=True)
class Continuity:
    """How whole the tracks on one object are, in numbers of samples and steps between them."""

    needed: int  # least number of tracks that cover what was covered at all; 0 never tracked
    tracked_steps: int  # steps with a track
    longest_steps: int  # of one association


def continuity(spans: Iterable[tuple[int, int]], first: int, last: int) -> Continuity:
    """Of the associations (first, last) with one object that was there from sample `first` to `last`.

    The least number of tracks is counted as Stone Soup does: from the first covered sample take the association that
    lasts longest, go on after its end.
    """
    longest_first = sorted(spans, key=lambda span: span[1], reverse=True)
    needed, sample = 0, first
    while sample <= last:
        reaching = next((until for since, until in longest_first if since <= sample <= until), None)
        needed += reaching is not None
        sample = (sample if reaching is None else reaching) + 1
    steps = set(chain.from_iterable(range(*span) for span in longest_first))
    longest = max((until - since for since, until in longest_first), default=0)
    return Continuity(needed, len(steps), longest)
