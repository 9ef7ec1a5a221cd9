"""Ghosts among aircraft: claims of objects that are not there, where radars of 4, 6 and 10 s would see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fusion.engine import Engine, EngineConfig
from fusion.schema import F8, US_PER_S, Picture
from tests import claimsky, shipped
from tests.claimsky import START_US

AIRCRAFT, GHOSTS = 60, 15
FROM_S = 20  # radars know the aircraft by then


@dataclass(slots=True)
class Haunted:
    """What was said of them."""

    named_s: F8  # (GHOSTS,) from a ghost's first claim until it was called contradicted; inf: never
    wronged: int = 0  # rows of aircraft called contradicted
    doubted: int = 0  # rows of aircraft with any doubt
    rows: int = 0  # of aircraft that speak, over all pictures, two a second


def fly(seed: int, seconds: int = 50) -> Haunted:
    """One sky of this seed, with ghosts from `FROM_S` on."""
    used = (claimsky.receiver(), *claimsky.radars(4.0, 6.0, 10.0))
    sky = claimsky.Sky(AIRCRAFT, seed, spread_m=70_000.0)
    ghosts = claimsky.Sky(GHOSTS, seed + 4_000, spread_m=60_000.0)
    ghosts.address = ghosts.address + 0x100000
    ghosts.height = np.clip(ghosts.height, 1_000.0, 3_000.0)  # over every horizon, out of the cones of silence
    ghosts.ceiling = np.full(GHOSTS, 3_000.0)
    ghosts.outages = 0.0  # a ghost that says nothing is none
    engine = Engine(EngineConfig(used, shipped.rules(), shipped.zones(), epoch=1, picture_us=500_000))
    told = Haunted(np.full(GHOSTS, np.inf))
    for second in range(seconds):
        sky.step()
        ghosts.step()
        batches = [sky.claims(), *(sky.seen(spec, used) for spec in used[1:])]
        if second >= FROM_S:
            batches.append(ghosts.claims())
        for batch in batches:
            if len(batch):
                engine.feed(batch)
        for half in (1.0, 1.5):
            for event in engine.tick(START_US + round((sky.t_s + half) * US_PER_S)):
                if isinstance(event, Picture):
                    _note(told, event, sky.address, ghosts.address)
    return told


def _note(told: Haunted, picture: Picture, honest: np.ndarray, made_up: np.ndarray) -> None:
    address, a = picture.tracks.address, picture.assessment
    late_s = (picture.t_us - START_US) / US_PER_S - FROM_S - 1.0
    hit = np.isin(made_up, address[a.contradicted]) & np.isinf(told.named_s)
    told.named_s = np.where(hit, late_s, told.named_s)
    mine = np.isin(address, honest)
    told.rows += int(mine.sum())
    told.wronged += int((mine & a.contradicted).sum())
    told.doubted += int((mine & (a.doubt != 0)).sum())
