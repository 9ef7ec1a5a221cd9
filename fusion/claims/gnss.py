"""The event that `fusion/claims/interference.py` finds, as it leaves the engine. Apart, because `schema.py` names
it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interference:
    """A GNSS interference event: many aircraft of one area lost position accuracy, or jumped, together.

    The engine hands it out once a second while it is open, and once when it is over.
    """

    number: int  # counts up from 1; never used twice in one epoch
    state: str  # open, over
    since_us: int  # when the first of those aircraft was hit
    t_us: int
    lat_rad: float  # centre of the area
    lon_rad: float
    radius_m: float
    hit: int  # aircraft hit now
    aircraft: int  # aircraft in the area that are watched, the hit ones among them
    most_hit: int  # the most that were hit at one time
