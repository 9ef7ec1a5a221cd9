"""The account of a scenario while it runs: tracks and alerts against its truth, sample by sample.

All distances are horizontal. Truth counts while some sensor has a chance to see the object; a track near an object that
nobody could see is neither good nor bad. One track per object: a second track on the same object is spurious.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from fusion import geo
from fusion.schema import F8, Alert
from replay import pairing
from replay.scenario import Expect
from replay.simulate import Scenario, Truth

CUT_OFF_M = 1_000.0  # further away than this, a track is not of this object
GOSPA_ORDER = 2.0
ALERT_REACH_M = 3_000.0  # an alert is about the nearest object within this: an ellipse of a far radar is that long


def distances(lat1_rad: F8, lon1_rad: F8, lat2_rad: F8, lon2_rad: F8) -> F8:
    """Horizontal distances (n, m) in metres, as chords of the ellipsoid: exact to 1e-6 within 50 km."""
    one = geo.ecef(lat1_rad, lon1_rad, np.zeros(len(lat1_rad)))
    two = geo.ecef(lat2_rad, lon2_rad, np.zeros(len(lat2_rad)))
    apart: F8 = np.linalg.norm(one[:, None, :] - two[None, :, :], axis=2)
    return apart


@dataclass(slots=True)
class ObjectScore:
    """What became of one object."""

    id: str
    samples: int = 0  # at which it was visible
    tracked: int = 0  # of these, at which a track was on it
    tracks: tuple[str, ...] = ()  # in order of time; one is perfect
    error_sum_m: float = 0.0
    first_us: int = -1  # first sample with a track
    longest_gap: int = 0  # samples in a row without a track, after the first one with
    _gap: int = 0

    @property
    def changes(self) -> int:
        """How often its track number changed."""
        return max(0, len(self.tracks) - 1)

    @property
    def completeness(self) -> float:
        """Part of the visible time with a track on it; NaN when never visible."""
        return self.tracked / self.samples if self.samples else float("nan")


@dataclass(frozen=True, slots=True)
class Result:
    """Means over all samples, and every object."""

    samples: int
    mean_objects: float  # visible ones per sample
    mean_tracks: float
    gospa_m: float
    completeness: float  # matched over visible
    spurious: float  # tracks on nothing, or doubled, over all tracks
    changes: int
    mean_error_m: float
    objects: tuple[ObjectScore, ...]  # in order of first appearance

    @property
    def count_error(self) -> float:
        """Tracks too many (+) or too few (-), as a part of the objects."""
        return self.mean_tracks / self.mean_objects - 1.0 if self.mean_objects else float("nan")


class Scorer:
    """Takes a sample now and then and keeps the account. A pairing stays while it is within the cut-off (CLEAR MOT)."""

    def __init__(self, cut_off_m: float = CUT_OFF_M) -> None:
        self._cut_off_m = cut_off_m
        self._objects: dict[str, ObjectScore] = {}
        self._on: dict[str, str] = {}  # object -> track
        self._samples = self._visible = self._tracks = self._matched = self._spurious = 0
        self._gospa_sum = 0.0

    def add(self, truth: Truth, tracks: Sequence[str], lat_rad: F8, lon_rad: F8) -> None:
        """One sample: confirmed tracks by name with their places, at the time of the truth."""
        away = distances(truth.lat_rad, truth.lon_rad, lat_rad, lon_rad)
        pairs = self._pair(truth, tracks, away)
        visible = np.flatnonzero(truth.visible)
        used = set(pairs.values())
        free = [c for c in range(len(tracks)) if c not in used]
        shadow = ~truth.visible
        excused = [c for c in free if shadow.any() and away[shadow, c].min() < self._cut_off_m]
        judged = [c for c in range(len(tracks)) if c not in excused]
        self._samples += 1
        self._visible += len(visible)
        self._tracks += len(judged)
        self._matched += len(pairs)
        self._spurious += len(free) - len(excused)
        self._gospa_sum += self._gospa(away[visible][:, judged])
        for row in visible:
            self._note(truth, int(row), tracks, pairs, away)

    def _gospa(self, away: F8) -> float:
        pairs = pairing.assign(pairing.near_of(away, self._cut_off_m), self._cut_off_m, GOSPA_ORDER)
        n, m = (np.array([size]) for size in away.shape)
        sample = np.zeros(len(pairs.truth), np.int64)
        return float(pairing.gospa(pairs, sample, n, m, self._cut_off_m, GOSPA_ORDER).total_m[0])

    def _pair(self, truth: Truth, tracks: Sequence[str], away: F8) -> dict[int, int]:
        """Row of a visible object -> column of its track: old pairs first, the rest by least squares."""
        column_of = {name: column for column, name in enumerate(tracks)}
        pairs: dict[int, int] = {}
        for row in np.flatnonzero(truth.visible):
            column = column_of.get(self._on.get(truth.id[row], ""), -1)
            if column >= 0 and away[row, column] < self._cut_off_m:
                pairs[int(row)] = column
        taken = set(pairs.values())
        rows = [int(row) for row in np.flatnonzero(truth.visible) if int(row) not in pairs]
        columns = [c for c in range(len(tracks)) if c not in taken]
        rest = away[rows][:, columns]
        for i, j in zip(*linear_sum_assignment(np.minimum(rest, self._cut_off_m) ** 2), strict=True):
            if rest[i, j] < self._cut_off_m:
                pairs[rows[i]] = columns[j]
        return pairs

    def _note(self, truth: Truth, row: int, tracks: Sequence[str], pairs: dict[int, int], away: F8) -> None:
        name = truth.id[row]
        found = self._objects.setdefault(name, ObjectScore(name))
        found.samples += 1
        if row not in pairs:
            found._gap += 1
            if found.tracked:
                found.longest_gap = max(found.longest_gap, found._gap)
            return
        track = tracks[pairs[row]]
        found._gap = 0
        found.tracked += 1
        found.error_sum_m += float(away[row, pairs[row]])
        found.first_us = truth.t_us if found.first_us < 0 else found.first_us
        if found.tracks[-1:] != (track,):
            found.tracks += (track,)
        self._on[name] = track

    def result(self) -> Result:
        """The account so far. Raises ValueError before the first sample."""
        if not self._samples:
            raise ValueError("no sample yet")
        objects = tuple(self._objects.values())
        error = sum(o.error_sum_m for o in objects)
        return Result(
            samples=self._samples,
            mean_objects=self._visible / self._samples,
            mean_tracks=self._tracks / self._samples,
            gospa_m=self._gospa_sum / self._samples,
            completeness=self._matched / self._visible if self._visible else float("nan"),
            spurious=self._spurious / self._tracks if self._tracks else 0.0,
            changes=sum(o.changes for o in objects),
            mean_error_m=error / self._matched if self._matched else float("nan"),
            objects=objects,
        )


@dataclass(frozen=True, slots=True)
class AlertScore:
    """Which expected alerts came, and which alerts nobody expected."""

    met: tuple[tuple[Expect, Alert], ...]
    unmet: tuple[Expect, ...]
    wrong: tuple[tuple[Alert, str], ...]  # raised for a quiet object, or for nothing ("")

    @property
    def passed(self) -> bool:
        """True when every expected alert came and no wrong one."""
        return not self.unmet and not self.wrong


def about(scenario: Scenario, alert: Alert) -> str:
    """The object an alert is about: the nearest within reach at the alert's time; "" none."""
    truth = scenario.truth(alert.t_us)
    if not len(truth.id):
        return ""
    away = distances(truth.lat_rad, truth.lon_rad, np.array([alert.lat_rad]), np.array([alert.lon_rad]))[:, 0]
    nearest = int(away.argmin())
    return truth.id[nearest] if away[nearest] <= ALERT_REACH_M else ""


def meets(scenario: Scenario, expect: Expect, alert: Alert) -> bool:
    """True when this alert is the expected one: object, rule, time raised and state concerned."""
    raised_s = (alert.raised_us - scenario.start_us) / 1e6
    return (
        alert.state == "raised"
        and alert.rule in expect.rules
        and expect.from_s <= raised_s <= expect.until_s
        and expect.near_state in ("", alert.near_state)
        and about(scenario, alert) == expect.object
    )


def judge_alerts(scenario: Scenario, alerts: Iterable[Alert]) -> AlertScore:
    """Compare raised alerts with what the scenario expects."""
    raised = [a for a in alerts if a.state == "raised"]
    met: list[tuple[Expect, Alert]] = []
    unmet: list[Expect] = []
    for expect in scenario.plan.expect:
        fitting = [a for a in raised if meets(scenario, expect, a)]
        if fitting:
            met.append((expect, min(fitting, key=lambda a: (a.raised_us, a.id))))
        else:
            unmet.append(expect)
    named = [(a, about(scenario, a)) for a in raised]
    wrong = [(a, name) for a, name in named if name == "" or name in scenario.plan.quiet]
    return AlertScore(tuple(met), tuple(unmet), tuple(wrong))
