"""Notified activities as types: looked up by `fusion/redlines/volumes.py`; nothing here is compiled."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shapely.geometry.base import BaseGeometry

REFERENCES = ("ground", "sea", "ellipsoid")
MOST_VOLUMES = 1_000


@dataclass(frozen=True, slots=True)
class Volume:
    """One notified activity."""

    id: str
    owner: str
    reason: str
    shape: BaseGeometry  # valid polygons in degrees, longitude first
    from_us: int
    until_us: int  # not part of it any more
    floor_m: float = -math.inf
    ceiling_m: float = math.inf
    above: str = "ground"  # one of REFERENCES: what floor and ceiling are above
    address: int = -1  # only this object
    serial: bytes = b""

    def __post_init__(self) -> None:
        """Refuse what could not be looked at (ValueError); the file refuses it earlier and more kindly."""
        if self.above not in REFERENCES or not self.floor_m < self.ceiling_m or not self.from_us < self.until_us:
            raise ValueError(f"volume {self.id!r}: floor below ceiling, start before end, above {REFERENCES}")

    @property
    def text(self) -> str:
        """Whose it is, and why."""
        return f"notified activity {self.id} ({self.owner}: {self.reason})"


@dataclass(frozen=True, slots=True)
class Declared:
    """All notified activities, and how sure it must be that an object is within one."""

    volumes: tuple[Volume, ...] = ()
    p_within: float = 0.95  # one missed alert in twenty at the very edge, none further in
