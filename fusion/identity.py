"""Who and what is it: from state, place and claims to an `Assessment`.

The default identity is unknown. Cooperative means a live claim or a live Mode 3/A reply that nothing contradicts; it
says that an object answers, not that it is a friend. The class is a suggestion that may abstain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from fusion import integrity
from fusion.claims import ClaimWatch, Doubts
from fusion.rules import Words, probability_at_most
from fusion.schema import B1, F8, I1, INDEPENDENT, Assessment, ObjectClass, SensorSpec, Tracks

if TYPE_CHECKING:
    from fusion.zones import ZoneFacts

ABSTAIN_BELOW = 0.6  # probability of the best class under which no class is named


@dataclass(frozen=True, slots=True)
class ClassModel:
    """What is usual for one class; ranges from recordings and published data (reference: objects and sensors)."""

    kind: ObjectClass
    prior: float  # share among objects in the lower airspace along the border
    speed_mps: tuple[float, float]
    agl_m: tuple[float, float]
    answers: float  # probability of a live cooperative identity
    categories: tuple[int, ...]  # emitter categories (CAT021 I020) that name it


CLASSES = (
    ClassModel(ObjectClass.DRONE_LIKE, 0.15, (14.0, 60.0), (0.0, 3_000.0), 0.03, (13,)),
    ClassModel(ObjectClass.LIGHT_AIRCRAFT, 0.25, (20.0, 95.0), (0.0, 4_000.0), 0.75, (1, 11, 15)),
    ClassModel(ObjectClass.AIRLINER, 0.35, (70.0, 300.0), (0.0, 13_000.0), 0.99, (2, 3, 4, 5)),
    ClassModel(ObjectClass.FAST_JET, 0.05, (120.0, 650.0), (0.0, 16_000.0), 0.40, (6,)),
    ClassModel(ObjectClass.BALLOON_LIKE, 0.05, (0.0, 30.0), (0.0, 20_000.0), 0.05, (12,)),
    ClassModel(ObjectClass.ROTORCRAFT, 0.15, (0.0, 85.0), (0.0, 3_000.0), 0.80, (10,)),
)
SPEED_FLOOR_MPS = 5.0  # wind and gusts blur the edges of every speed range by this much
AGL_FLOOR_M = 200.0  # terrain and height sources blur heights by this much
CATEGORY_WEIGHT = 50.0  # how much likelier a matching reported category makes a class: reports are wrong at times


def assess(
    tracks: Tracks,
    facts: ZoneFacts,
    words: Words,
    sensors: Sequence[SensorSpec],
    claims: ClaimWatch | None = None,
) -> Assessment:
    """Join the facts of place with what identity and behaviour mean, row by row of `tracks`.

    `p_low` is NaN where the height is not known; `p_class` is NaN where the class is UNKNOWN. With `claims` the history
    of every claim counts; without, only the table. A claim that is unproven (fusion/witness.py) makes its object no
    less low and no less slow than radar alone had it.
    """
    p_low = np.where(facts.height_known, probability_at_most(facts.agl_m, facts.sigma_agl_m, words.low_m), np.nan)
    p_slow = probability_at_most(facts.speed_mps, facts.sigma_speed_mps, words.slow_mps)
    claiming = integrity.live(tracks.claim_us, tracks.t_us, words.live_s)
    replies = replying(tracks, words, sensors)
    doubts: Doubts | None = None
    height_known = facts.height_known
    if claims is not None:
        doubts = claims.look(tracks, facts, claiming, p_low, p_slow)
        replies = doubts.replying
        height_known = height_known & ~(doubts.unproven & np.isnan(doubts.p_low))
        p_low = np.where(doubts.unproven, np.maximum(doubts.p_low, np.nan_to_num(p_low)), p_low)
        p_slow = np.where(doubts.unproven, np.fmax(doubts.p_slow, p_slow), p_slow)
    checked = integrity.check(tracks, facts, doubts=doubts)
    proven = replies | (claiming & (checked.reason != integrity.Reason.UNPROVEN))
    cooperative = proven & ~checked.contradicted
    object_class, p_class = classify(tracks, facts, cooperative)
    placed = {f.name: getattr(facts, f.name) for f in fields(Assessment) if hasattr(facts, f.name)}
    return Assessment(
        **{**placed, "height_known": height_known},
        p_low=p_low,
        p_slow=p_slow,
        cooperative=cooperative,
        contradicted=checked.contradicted,
        doubt=checked.reason,
        object_class=object_class,
        p_class=p_class,
    )


def replying(tracks: Tracks, words: Words, sensors: Sequence[SensorSpec]) -> B1:
    """(n,) where the object answers radar with a Mode 3/A code, live.

    A Mode 3/A code is live as long as plots carry it: a code that a track keeps from its ADS-B days, or from a
    transponder that fell silent, does not exempt what only radar sees now. The table does not say who reported the
    code; `ClaimWatch` knows, and is asked instead where there is one.
    """
    radars = sum(1 << sensor.index for sensor in sensors if sensor.kind in INDEPENDENT)
    by_radar = (tracks.sensors & np.uint64(radars)) != 0
    heard = integrity.live(tracks.mode3a_us, tracks.t_us, words.live_s)
    seen = integrity.live(tracks.radar_us, tracks.t_us, words.live_s)
    return np.asarray((tracks.mode3a >= 0) & by_radar & heard & seen, np.bool_)


def classify(tracks: Tracks, facts: ZoneFacts, cooperative: B1) -> tuple[I1, F8]:
    """Posterior over `CLASSES` from speed, height above ground, answering and category: (class, its probability).

    Within its range a class is taken as uniform, blurred by the quantity's own sigma. Unknown height says nothing.
    Below `ABSTAIN_BELOW` the answer is UNKNOWN with NaN.
    """
    speed_sigma = np.hypot(facts.sigma_speed_mps, SPEED_FLOOR_MPS)
    agl_sigma = np.hypot(facts.sigma_agl_m, AGL_FLOOR_M)
    weight = np.empty((len(tracks), len(CLASSES)))
    for column, model in enumerate(CLASSES):
        by_speed = _in_range(facts.speed_mps, speed_sigma, model.speed_mps)
        by_height = np.where(facts.height_known, _in_range(facts.agl_m, agl_sigma, model.agl_m), 1.0)
        by_answer = np.where(cooperative, model.answers, 1.0 - model.answers)
        named = cooperative & np.isin(tracks.category, model.categories)
        weight[:, column] = model.prior * by_speed * by_height * by_answer * np.where(named, CATEGORY_WEIGHT, 1.0)
    total = weight.sum(axis=1)
    best = np.argmax(weight, axis=1)
    top = weight[np.arange(len(tracks)), best]
    p = np.where(total > 0.0, top / np.where(total > 0.0, total, 1.0), np.nan)
    sure = p >= ABSTAIN_BELOW
    kinds = np.array([model.kind for model in CLASSES], np.int8)
    return np.where(sure, kinds[best], np.int8(ObjectClass.UNKNOWN)), np.where(sure, p, np.nan)


def _in_range(value: F8, sigma: F8, limits: tuple[float, float]) -> F8:
    """(n,) density of a value under a uniform range blurred by sigma; NaN in, NaN out."""
    low, high = limits
    return np.asarray((ndtr((high - value) / sigma) - ndtr((low - value) / sigma)) / (high - low), np.float64)
