"""Who and what is it: from state, place and claims to an `Assessment`.

The default identity is unknown. Cooperative means a live claim or a live Mode 3/A reply that nothing contradicts; it
says that an object answers, not that it is a friend. Of every class there is a probability, and a class is named only
when it is probable enough (`fusion/classes.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from fusion import classes, integrity
from fusion.behaviour import Behaviour
from fusion.claims.history import ClaimWatch, Doubts
from fusion.rules import Words, probability_at_most
from fusion.schema import B1, F8, INDEPENDENT, Assessment, SensorKind, SensorSpec, Tracks

if TYPE_CHECKING:
    from fusion.zones import ZoneFacts


def assess(
    tracks: Tracks,
    facts: ZoneFacts,
    words: Words,
    sensors: Sequence[SensorSpec],
    claims: ClaimWatch | None = None,
    behaviour: Behaviour | None = None,
    listened_us: int = -1,
) -> Assessment:
    """Join the facts of place with what identity and behaviour mean, row by row of `tracks`.

    `p_low` is NaN where the height is not known; `p_class` is NaN where the class is UNKNOWN. With `claims` the history
    of every claim counts, with `behaviour` how each object flew until now; without, only the table. A claim that is
    unproven (fusion/claims/witness.py) makes its object no less low and no less slow than radar alone had it.
    `listened_us` is the time by which silence counts (`SensorWatch.listened_us`); -1 that of the table.
    """
    listened_us = tracks.t_us if listened_us < 0 else listened_us
    p_low = np.where(facts.height_known, probability_at_most(facts.agl_m, facts.sigma_agl_m, words.low_m), np.nan)
    p_slow = probability_at_most(facts.speed_mps, facts.sigma_speed_mps, words.slow_mps)
    claiming = integrity.live(tracks.claim_us, listened_us, words.live_s)
    replies = replying(tracks, words, sensors, listened_us)
    doubts: Doubts | None = None
    height_known = facts.height_known
    if claims is not None:
        doubts = claims.look(tracks, facts, claiming, p_low, p_slow, listened_us)
        replies = doubts.replying
        height_known = height_known & ~(doubts.unproven & np.isnan(doubts.p_low))
        p_low = np.where(doubts.unproven, np.maximum(doubts.p_low, np.nan_to_num(p_low)), p_low)
        p_slow = np.where(doubts.unproven, np.fmax(doubts.p_slow, p_slow), p_slow)
    checked = integrity.check(tracks, facts, doubts=doubts)
    proven = replies | (claiming & (checked.reason != integrity.Reason.UNPROVEN))
    cooperative = proven & ~checked.contradicted
    behaviour = behaviour or Behaviour()
    behaviour.look(tracks, facts)
    p_classes = classify(tracks, behaviour.densities, claiming, replies, checked, sensors)
    object_class, p_class = classes.name(p_classes)
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
        p_classes=p_classes,
    )


def replying(tracks: Tracks, words: Words, sensors: Sequence[SensorSpec], listened_us: int) -> B1:
    """(n,) where the object answers radar with a Mode 3/A code, live.

    A Mode 3/A code is live as long as plots carry it: a code that a track keeps from its ADS-B days, or from a
    transponder that fell silent, does not exempt what only radar sees now. The table does not say who reported the
    code; `ClaimWatch` knows, and is asked instead where there is one.
    """
    radars = sum(1 << sensor.index for sensor in sensors if sensor.kind in INDEPENDENT)
    by_radar = (tracks.sensors & np.uint64(radars)) != 0
    heard = integrity.live(tracks.mode3a_us, listened_us, words.live_s)
    seen = integrity.live(tracks.radar_us, listened_us, words.live_s)
    return np.asarray((tracks.mode3a >= 0) & by_radar & heard & seen, np.bool_)


def classify(
    tracks: Tracks,
    densities: F8,
    claiming: B1,
    replying: B1,
    checked: integrity.Integrity,
    sensors: Sequence[SensorSpec],
) -> F8:
    """(n, K) probability of every class: how it flew (`Behaviour.densities`), and what it says where nobody doubts it.

    Silence means something only where there is a receiver that could have heard.
    """
    listens = any(spec.kind == SensorKind.ADSB for spec in sensors)
    speaks = claiming | replying
    heard = (speaks | listens) & ~(speaks & (checked.reason != integrity.Reason.NONE))
    voice = classes.voices(claiming, replying, tracks.serial)
    said = classes.log_identity(voice, heard, tracks.category, tracks.callsign, tracks.mode3a)
    return classes.posterior(densities, said)
