"""How good are these tracks? A recording of tracks against the truth, as `vedette score` shows it.

Distances are horizontal. A sample is taken every few seconds. An object counts while sensors have a chance to see it;
short gaps are bridged, what is in view too briefly is left out. Such a stretch is one object to SIAP: who was out of
sight and comes back may have a new number. A track near an object that exists but is not in view, and near none that
is, is neither good nor bad and left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.schema import B1, F8, I8
from replay import pairing, sampling
from replay.pairing import NONE, Gospa
from replay.sampling import Grid, Origin, Side, Stretches
from replay.scorefiles import MS_PER_S, States, TracksFile, TruthFile
from replay.siap import Matches, Siap, Whole, match, siap, wholeness

MOST_SAMPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """How it is judged."""

    threshold_m: float = 1_000.0  # further away, a track is not on an object; cut-off of GOSPA and OSPA too
    step_s: float = 5.0  # between samples
    warm_up_s: float = 30.0  # from the first state of the truth to the first sample, where start_s is not given
    start_s: float | None = None  # first sample
    end_s: float | None = None  # what is later does not count; None: the last state of the truth
    confirm: int = 3  # samples in a row until a track is on an object
    end: int = 2  # samples in a row until it is no more
    origin_rad: Origin = None  # reckon in the plane that touches the earth here; None: true distances


@dataclass(frozen=True, slots=True)
class Delays:
    """From the first hit by a sensor to the first confirmed track within the threshold. NaN when none was found."""

    p50_s: float
    p95_s: float
    never: int
    of: int


@dataclass(frozen=True, slots=True)
class Part:
    """The score of one class, or of all."""

    name: str
    siap: Siap
    missed: float  # objects without a track of their own, per sample (GOSPA)
    delays: Delays
    nees: float  # mean normalised estimation error squared of position, 2 when consistent; NaN without covariances


@dataclass(frozen=True, slots=True)
class Scene:
    """What pictures are drawn from: states at the samples, errors, delays."""

    truth: States  # in view
    truth_is_tracked: B1
    tracks: States  # without the ignored
    track_is_used: B1
    error_m: F8  # of each match of a track and an object
    error_class: I8
    delay_s: F8  # of each object that was hit; NaN never
    delay_class: I8


@dataclass(frozen=True, slots=True)
class Score:
    """All of it."""

    time_s: F8  # (samples,)
    overall: Part
    classes: tuple[Part, ...]
    gospa: Gospa
    ospa_m: F8  # (samples,)
    scene: Scene
    ignored: int  # states of tracks near what exists and is not in view

    @property
    def rms_localisation_m(self) -> float:
        """Root mean square distance of the pairs of GOSPA; NaN without a pair."""
        pairs = len(self.scene.truth) - int(self.gospa.missed.sum())
        return float(((self.gospa.localisation_m**2).sum() / pairs) ** 0.5) if pairs else float("nan")


@dataclass(frozen=True, slots=True)
class _Judged:
    """What every part of the score is counted from. Rows are states in view, or states of tracks not ignored."""

    rules: Rules
    samples: int
    stretch: I8  # of each state in view
    class_of: I8  # of each stretch
    object_class: I8
    matches: Matches
    whole: Whole
    paired: B1  # of each state in view
    delay_s: F8  # of each object
    hit: B1  # of each object, before the end
    nees: F8  # of each match

    def part(self, name: str, kind: int | None) -> Part:
        """The score of one class; None: of all."""
        of = np.ones(len(self.class_of), np.bool_) if kind is None else self.class_of == kind
        waiting = self.hit if kind is None else self.hit & (self.object_class == kind)
        return Part(
            name,
            siap(self.matches, self.whole, of, self.stretch, self.rules.step_s, kind is None),
            float((of[self.stretch] & ~self.paired).sum() / self.samples),
            _delays(self.delay_s[waiting]),
            _mean(self.nees[of[self.stretch[self.matches.truth]]]),
        )


def score(truth: TruthFile, tracks: TracksFile, rules: Rules) -> Score:
    """Judge tracks by the truth. Raises ValueError when the rules leave nothing to judge."""
    grid = _grid(truth.states, rules)
    found = sampling.stretches(truth, grid.end_ms)
    there = Side.cut(truth.states, grid, rules.origin_rad)
    said = Side.cut(tracks.states, grid, rules.origin_rad)
    stretch = found.of(truth.states.who[there.row], truth.states.time_ms[there.row])
    in_view = stretch != NONE
    if not in_view.any():
        raise ValueError("no object is in view at any sample")
    nearest, ignored = sampling.near_what(there, stretch, said, rules.threshold_m)
    there, stretch = there.take(in_view), stretch[in_view]
    said, nearest = said.take(~ignored), nearest[~ignored]
    gospa, ospa_m, paired = sampling.compare(there, said, grid.samples, rules.threshold_m)
    matches, whole = _associate(there, stretch, said, tracks.states.who[said.row], nearest, found, grid, rules)
    end_ms, threshold_m = grid.end_ms, rules.threshold_m
    tracked_s = sampling.first_tracked(truth, tracks.states, end_ms, threshold_m, rules.origin_rad)
    judged = _Judged(
        rules,
        grid.samples,
        stretch,
        truth.class_of[found.who],
        truth.class_of,
        matches,
        whole,
        paired,
        tracked_s - truth.first_hit_s,
        truth.first_hit_s * MS_PER_S <= end_ms,
        _nees(truth.states, there.row[matches.truth], tracks, said.row[matches.track]),
    )
    return Score(
        (grid.start_ms + grid.step_ms * np.arange(grid.samples)) / MS_PER_S,
        judged.part("all", None),
        tuple(judged.part(name, kind) for kind, name in enumerate(truth.classes)),
        gospa,
        ospa_m,
        _scene(judged, truth.states.take(there.row), tracks.states.take(said.row)),
        int(ignored.sum()),
    )


def _grid(states: States, rules: Rules) -> Grid:
    first_ms, last_ms = int(states.time_ms[0]), int(states.time_ms[-1])
    start_ms = first_ms + round(rules.warm_up_s * MS_PER_S) if rules.start_s is None else _ms(rules.start_s)
    end_ms = last_ms if rules.end_s is None else min(last_ms, _ms(rules.end_s))
    grid = Grid(start_ms, _ms(rules.step_s), end_ms)
    if not 1 <= grid.samples <= MOST_SAMPLES:
        span = f"from {start_ms / MS_PER_S:g} to {end_ms / MS_PER_S:g} s"
        raise ValueError(f"{grid.samples} samples {span}: there must be 1 to {MOST_SAMPLES}")
    return grid


def _ms(seconds: float) -> int:
    return round(seconds * MS_PER_S)


def _associate(
    there: Side, stretch: I8, said: Side, track: I8, nearest: I8, found: Stretches, grid: Grid, rules: Rules
) -> tuple[Matches, Whole]:
    """Which track was on which stretch, laid over the states."""
    objects, tracks = there.known_as(stretch), said.known_as(track)
    associations = pairing.associate(track, said.sample, nearest, rules.confirm, rules.end)
    return match(objects, tracks, associations, grid.samples), wholeness(objects, len(found.who), associations)


def _nees(truth: States, truth_row: I8, tracks: TracksFile, track_row: I8) -> F8:
    """e' P^-1 e of each match, e the error in east and north and P the track's covariance of it; NaN without one."""
    lat, lon = truth.lat_rad[truth_row], truth.lon_rad[truth_row]
    feet = geo.ecef(tracks.states.lat_rad[track_row], tracks.states.lon_rad[track_row], 0.0) - geo.ecef(lat, lon, 0.0)
    east, north = np.einsum("nij,nj->in", geo.enu_axes(lat, lon)[:, :2], feet)
    ee, en, nn = tracks.covariance_m2[track_row].T
    determinant = ee * nn - en**2
    positive = (ee > 0) & (determinant > 0)
    squared = nn * east**2 - 2 * en * east * north + ee * north**2
    return np.where(positive, squared / np.where(positive, determinant, 1.0), np.nan)


def _delays(waited_s: F8) -> Delays:
    found = waited_s[np.isfinite(waited_s)]
    p50, p95 = np.percentile(found, (50, 95)) if len(found) else (np.nan, np.nan)
    return Delays(float(p50), float(p95), len(waited_s) - len(found), len(waited_s))


def _mean(values: F8) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _scene(judged: _Judged, truth: States, tracks: States) -> Scene:
    return Scene(
        truth,
        judged.matches.truth_is_tracked,
        tracks,
        judged.matches.track_is_used,
        judged.matches.position_error_m,
        judged.class_of[judged.stretch[judged.matches.truth]],
        judged.delay_s[judged.hit],
        judged.object_class[judged.hit],
    )
