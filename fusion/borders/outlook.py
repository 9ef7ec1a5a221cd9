"""What is ahead of a track, as types: the forecast of a whole table, and the protected areas. Worked out elsewhere.

`fusion/borders/forecast.py` fills a `Forecast`, `fusion/borders/protected.py` lays `Area`s out for looking up; nothing
here is compiled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fusion import geo
from fusion.schema import B1, F8, I2, Assessment

KINDS = ("airport", "base", "city", "training-area", "other")
MOST_AREAS = 10_000  # indices are int16
CORNERS = 72  # of a circle: off by at most a thousandth of its radius
NEAR_AREA_M = 5_000.0  # an area this near concerns an object although it does not fly towards it
INDICES = ("area", "area_kind", "ahead")  # fields of a forecast that are -1 where there is none
_FLAGS = ("changed", "diverged", "within_area")


@dataclass(frozen=True, slots=True)
class Area:
    """One protected area."""

    id: str
    name: str  # readable, as it is said
    kind: str  # one of KINDS
    severity: int  # 1 highest .. 3
    shape: BaseGeometry  # valid polygons in degrees, longitude first
    state: str = ""  # ISO code
    accuracy_m: float = 0.0  # how far its line may be off
    floor_m: float = -math.inf  # above ground
    ceiling_m: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what could not be watched (ValueError); the file refuses it earlier and more kindly."""
        if self.kind not in KINDS:
            raise ValueError(f"area {self.id!r}: kind is one of {', '.join(KINDS)}")
        if self.severity not in (1, 2, 3):
            raise ValueError(f"area {self.id!r}: severity is 1, 2 or 3")
        if self.shape.is_empty or not self.shape.is_valid:
            raise ValueError(f"area {self.id!r}: its polygon is empty or crosses itself")
        if not self.floor_m < self.ceiling_m or not self.accuracy_m >= 0.0:
            raise ValueError(f"area {self.id!r}: floor below ceiling, accuracy not negative")


def circle(lat_rad: float, lon_rad: float, radius_m: float) -> BaseGeometry:
    """A circle on the ellipsoid as a polygon in degrees; its corners lie so that the area is that of the circle."""
    turn = 2.0 * math.pi / CORNERS
    out_m = radius_m * math.sqrt(turn / math.sin(turn))
    n = np.full(CORNERS, 1.0)
    lat, lon, _ = geo.direct(n * lat_rad, n * lon_rad, -turn * np.arange(CORNERS) % (2.0 * math.pi), n * out_m)
    return shapely.Polygon(np.degrees(np.column_stack([lon, lat])))


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is ahead of every row of a `Tracks` table (same n, same order). NaN: does not apply or not known."""

    p_crossing: F8  # (n,) probability to cross the allied border inwards within the horizon; NaN inside, or too far
    time_s: F8  # (n,) median time until it crosses, where it is likelier than not
    time_low_s: F8  # (n,) 5 % of the crossings are earlier
    time_high_s: F8  # (n,) 5 % are later
    sigma_time_s: F8  # (n,)
    crossing_lat_rad: F8  # (n,)
    crossing_lon_rad: F8  # (n,)
    sigma_place_m: F8  # (n,) how far along the border the place of the crossing may be off
    turn_radps: F8  # (n,) rate of turn, positive to the right
    sigma_turn_radps: F8  # (n,)
    p_turn: F8  # (n,) probability that it turns
    band_m: F8  # (n,) limit of the warning band it is in; NaN inside or in none
    time_band_s: F8  # (n,)
    depth_band_m: F8  # (n,) depth that it has passed, inside
    changed: B1  # (n,) since the look before it entered a nearer or deeper band, or diverged: to be told at once
    diverged: B1  # (n,) of late
    diverged_m: F8  # (n,) by how much, when it last did
    diverged_s: F8  # (n,) how long ago
    area: I2  # (n,) protected area that holds it, else the nearest; -1 none
    area_kind: I2  # (n,) index into protected.KINDS: of the one within or near, else ahead, else the nearest
    area_severity: F8  # (n,) the most severe of the area within or near, and the one ahead
    area_distance_m: F8  # (n,) negative within
    sigma_area_m: F8  # (n,)
    within_area: B1  # (n,) at a height that it protects
    ahead: I2  # (n,) area that it will enter, -1 none
    area_time_s: F8  # (n,) median time until then
    sigma_area_time_s: F8  # (n,)
    area_names: tuple[str, ...] = ()

    def concerned(self) -> I2:
        """(n,) the area within or near, else the one ahead; -1: none that matters now."""
        near = self.within_area | (self.area_distance_m <= NEAR_AREA_M)
        return np.where(near, self.area, self.ahead).astype(np.int16)

    def onto(self, assessment: Assessment) -> Assessment:
        """The assessment with the time and place of the crossing as they are here, wherever they were worked out."""
        known = ~np.isnan(self.p_crossing)
        pairs = (
            ("time_to_border_s", self.time_s),
            ("sigma_time_s", self.sigma_time_s),
            ("crossing_lat_rad", self.crossing_lat_rad),
            ("crossing_lon_rad", self.crossing_lon_rad),
        )
        return replace(assessment, **{name: np.where(known, value, getattr(assessment, name)) for name, value in pairs})


def blank(n: int) -> Forecast:
    """A forecast that knows nothing, for n rows."""
    values: dict[str, Any] = {f.name: np.full(n, np.nan) for f in fields(Forecast)}
    values.update({name: np.zeros(n, np.bool_) for name in _FLAGS})
    values.update({name: np.full(n, -1, np.int16) for name in INDICES})
    values["area_names"] = ()
    return Forecast(**values)
