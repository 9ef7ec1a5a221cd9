"""The jurisdiction ledger at work: CPU of one look, once a second, at thousands of tracks over the shipped map."""

from __future__ import annotations

import time

import numpy as np

from fusion.borders.ledger import Ledger
from fusion.schema import Tracks
from tests import shipped
from tests.overflight import SENSOR_IDS, fly, sky

OBJECTS = 5_000
WARM_UP, LOOKS = 5, 20


def measure(objects: int = OBJECTS, border_km: float = 0.0) -> tuple[float, float]:
    """(median, greatest) milliseconds of CPU of a look, every track with a new plot, the first looks left out.

    `border_km`: no track further from the allied border than this; 0: anywhere.
    """
    spent, _ = looked(objects, border_km)
    return float(np.median(spent)) * 1e3, max(spent) * 1e3


def looked(objects: int = OBJECTS, border_km: float = 0.0) -> tuple[list[float], list[float]]:
    """Seconds of CPU of each look: of the ledger, and of what it is told (`Zones.facts`), which the engine has anyway,
    ten times a second."""
    ledger = Ledger(shipped.zones(), SENSOR_IDS)
    looks = list(sky(objects, WARM_UP + LOOKS, border_km))
    fly(ledger, iter(looks[:WARM_UP]))
    rows = [_one(ledger, tracks) for tracks in looks[WARM_UP:]]
    return [row[0] for row in rows], [row[1] for row in rows]


def _one(ledger: Ledger, tracks: Tracks) -> tuple[float, float]:
    start = time.process_time()
    facts = ledger.zones.facts(tracks)
    between = time.process_time()
    ledger.step(tracks, facts, tracks.t_us)
    return time.process_time() - between, between - start
