"""Labelled skies for the evidence on classes: simulated flights seen through the engine, each track with its truth.

A sky is the sensors of the scene `mixed-sky` with as many objects of each class as asked for, drawn from a seed. Once
a second every published track is paired with the object it is on; what is on nothing has no class and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fusion import classes
from fusion.engine import Engine, EngineConfig
from fusion.schema import F8, US_PER_S, Assessment, ObjectClass, Picture, Tracks
from fusion.zones import ZoneFacts
from replay import traffic
from replay.plan import SimObject
from replay.scenario import load_plan
from replay.simulate import Scenario, Truth
from replay.traffic import Traffic
from tests import shipped

KIND_CLASS = {
    **dict.fromkeys(
        ("shahed", "gerbera", "parodiya", "orlan-10", "forpost", "lancet", "ar5-drone"), "FIXED_WING_DRONE"
    ),
    **dict.fromkeys(("tu-141", "cruise-missile"), "FAST_LOW_FLYER"),
    "quadcopter": "SMALL_MULTICOPTER",
    "light-aircraft": "LIGHT_AIRCRAFT",
    "ultralight": "ULTRALIGHT",
    "sailplane": "GLIDER",
    "paraglider": "PARAGLIDER",
    "airliner": "AIRLINER",
    "fast-jet": "FAST_JET",
    "helicopter": "ROTORCRAFT",
    "smuggling-balloon": "BALLOON",
    "geese": "BIRD_FLOCK",
    "wind-turbine": "FIXED_ECHO",
}
REACH_M, REACH_S = 300.0, 7.0  # from an object, and as far as it flies in 7 s (a north mark half a degree wrong, far
# away), and three sigmas of the track: further than all of that together, a track is on nothing
SECONDS_APART = 15.0  # how far a difference in velocity counts as distance, so that crossings are not mixed up
CENTRE = (np.radians(54.5), np.radians(24.6))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a class flies in a drawn sky: centre, radius, wind."""

    lat_deg: float
    lon_deg: float
    radius_m: float
    wind_mps: float = 0.0
    wind_to_deg: float = 0.0


PLACES = {  # where the sensors of the scene can see the class
    "quadcopter": Place(54.65, 25.18, 8_000.0),
    "ar5-drone": Place(54.55, 25.4, 30_000.0),
    "smuggling-balloon": Place(54.4, 25.5, 50_000.0, 9.0, 300.0),
    "wind-turbine": Place(54.75, 24.6, 15_000.0),
    "paraglider": Place(54.7, 24.9, 40_000.0, 5.0, 80.0),
    "sailplane": Place(54.7, 24.7, 60_000.0, 5.0, 80.0),
    "geese": Place(54.7, 24.6, 60_000.0, 5.0, 240.0),
}
ANYWHERE = Place(54.5, 24.8, 90_000.0)


def sky(counts: Mapping[str, int], seed: int, seconds: float, sensors: tuple[str, ...] = ()) -> Scenario:
    """A scene with so many of each class, over the sensors of `mixed-sky`, or those of them that are named."""
    plan = load_plan("mixed-sky", seed=seed)
    blocks: dict[Place, list[tuple[str, int]]] = {}
    for kind, count in counts.items():
        blocks.setdefault(PLACES.get(kind, ANYWHERE), []).append((kind, count))
    drawn: list[SimObject] = []
    for number, (place, wanted) in enumerate(blocks.items()):
        to = np.radians(place.wind_to_deg)
        block = Traffic(
            f"b{number}",
            np.radians(place.lat_deg),
            np.radians(place.lon_deg),
            place.radius_m,
            tuple(wanted),
            come_and_go=0.3,
            group=(1, 4),
            wind_east_mps=place.wind_mps * float(np.sin(to)),
            wind_north_mps=place.wind_mps * float(np.cos(to)),
        )
        drawn += traffic.draw(block, number, seed, seconds, plan.ground_m)
    kept = [s for s in plan.sensors if not sensors or s.spec.id in sensors]
    numbered = tuple(replace(s, spec=replace(s.spec, index=n)) for n, s in enumerate(kept))
    return Scenario(replace(plan, sensors=numbered, objects=tuple(drawn), duration_s=seconds, interference=()))


@dataclass(frozen=True, slots=True)
class Look:
    """One picture with the truth: each row's object (row of the truth, -1 none)."""

    t_us: int
    tracks: Tracks
    assessment: Assessment
    truth: Truth
    owner: np.ndarray  # (n,)
    features: F8  # (n, 10) of fusion.behaviour

    def label(self) -> np.ndarray:
        """(n,) the true ObjectClass; UNKNOWN of a track on nothing."""
        classes = [ObjectClass[KIND_CLASS[kind]] if kind else ObjectClass.UNKNOWN for kind in self.truth.kind]
        table = np.array([*classes, ObjectClass.UNKNOWN], np.int8)
        return np.asarray(table[self.owner])


def watch(scene: Scenario, seconds: float) -> Iterator[Look]:
    """The scene through an engine, a look a second."""
    config = EngineConfig(scene.sensors, shipped.rules(), shipped.zones(), epoch=1, picture_us=US_PER_S)
    engine = Engine(config)
    for tick_us, events in shipped.play(engine, scene, seconds):
        for event in events:
            if isinstance(event, Picture):
                truth = scene.truth(tick_us)
                features = engine.behaviour.features.copy()
                yield Look(tick_us, event.tracks, event.assessment, truth, owners(event, truth), features)


def owners(picture: Picture, truth: Truth) -> np.ndarray:
    """(n,) row of the object that each track of a picture is on, -1 none."""
    return paired(picture.tracks, picture.assessment, truth)


def paired(tracks: Tracks, a: Assessment | ZoneFacts, truth: Truth) -> np.ndarray:
    """(n,) row of the object that each track is on, -1 none: nearest in place, and in velocity."""
    n = len(tracks)
    real = np.array([not {"ghost", "replayed"} & set(fault.split(",")) for fault in truth.fault], np.bool_)
    if not n or not real.any():
        return np.full(n, -1)
    up = truth.xyz_m / np.linalg.norm(truth.xyz_m, axis=1)[:, None]
    apart = tracks.state[:, None, :3] - truth.xyz_m[None]
    height = np.einsum("nkd,kd->nk", apart, up)
    flat = np.sqrt(np.maximum((apart**2).sum(axis=2) - height**2, 0.0))
    speed: F8 = np.linalg.norm(tracks.state[:, None, 3:] - truth.velocity_mps[None], axis=2)
    away = flat + SECONDS_APART * speed
    away += np.where(a.height_known[:, None], np.maximum(np.abs(height) - 3.0 * a.sigma_height_m[:, None], 0.0), 0.0)
    best = np.where(real, away, np.inf).argmin(axis=1)
    flies: F8 = np.linalg.norm(truth.velocity_mps, axis=1)
    near = flat[np.arange(n), best] <= REACH_M + REACH_S * flies[best] + 3.0 * a.sigma_horizontal_m
    return np.where(near, best, -1)


@dataclass(frozen=True, slots=True)
class Bin:
    """Of the samples whose best class had a probability within a tenth: how many, of how many tracks, and how right."""

    samples: int
    tracks: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Judged:
    """Samples of tracks on objects: the probabilities given, the true class, the track."""

    p: F8  # (m, K)
    label: np.ndarray  # (m,)
    track: np.ndarray  # (m,)

    def sharpened(self, power: float) -> Judged:
        """The same answers, bolder (power above 1) than they should be."""
        p = self.p**power
        return Judged(p / p.sum(axis=1, keepdims=True), self.label, self.track)

    def bins(self) -> list[Bin]:
        """Ten bins of the probability of the best class, whether it is named or not; the empty ones are left out."""
        top, hit = self.p.max(axis=1), self.p.argmax(axis=1) == self.label
        number = np.minimum((top * 10).astype(np.int64), 9)
        return [
            Bin(int(mine.sum()), len(np.unique(self.track[mine])), float(top[mine].mean()), float(hit[mine].mean()))
            for mine in (number == one for one in range(10))
            if mine.any()
        ]

    def error(self) -> float:
        """Expected calibration error (Naeini, Cooper, Hauskrecht 2015): mean gap of confidence and accuracy."""
        return sum(b.samples * abs(b.confidence - b.accuracy) for b in self.bins()) / len(self.label)

    def chance(self) -> float:
        """The error that perfectly calibrated answers would show: the mean deviation of as many tosses as tracks.

        Samples of one track are no new tosses, and a track may fall in several bins.
        """
        gap = [np.sqrt(2.0 / np.pi * b.confidence * (1.0 - b.confidence) / b.tracks) * b.samples for b in self.bins()]
        return float(sum(gap) / len(self.label))

    def confusion(self) -> np.ndarray:
        """(K, K) samples by true class and class named; column 0 where none is."""
        named, _ = classes.name(self.p)
        table = np.zeros((classes.K, classes.K), np.int64)
        np.add.at(table, (self.label, named), 1)
        return table


def judged(looks: Iterator[Look], every: int = 5) -> Judged:
    """One look in so many, of tracks on objects. What broadcasts with no object behind it is left out."""
    p, label, track = [], [], []
    for number, look in enumerate(looks):
        if number % every:
            continue
        truth = look.label()
        good = (truth > 0) & ~np.isnan(look.features[:, 0])
        p.append(look.assessment.p_classes[good])
        label.append(truth[good])
        track.append(look.tracks.id[good])
    return Judged(np.concatenate(p), np.concatenate(label), np.concatenate(track))
