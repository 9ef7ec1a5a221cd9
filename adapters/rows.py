"""One track as it is published: the same row in a picture and on its own topic. Pure, and made a column at a time.

A picture of two thousand tracks leaves ten times a second: a Python loop over rows and names would cost more than the
tracker. So every column becomes a Python list once, and the rows are made and encoded in C.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from adapters.wire import Names, address, mode3a, number, rfc3339, rfc3339_column, text
from fusion import classes, geo
from fusion.borders.outlook import Forecast
from fusion.integrity import Reason
from fusion.schema import F8, I8, US_PER_S, Alert, Assessment, Invalid, Tracks, TrackStatus

_STATUS = [status.name.lower() for status in TrackStatus]
_CLASS = classes.NAMES
MOST_OTHERS = 3  # classes told beside the one that is named
LEAST_OTHER = 0.05  # probability from which a class is told
_MOST_VARIANCE_M2 = 1e16  # of the sigma that is the most, 1e8 m
_ROUNDED_M2 = 0.2  # what rounding three numbers to a tenth may take from the least variance, twice over


_DOUBT = [None, *(reason.name.lower().replace("_", "-") for reason in Reason if reason)]


class OtherClass(msgspec.Struct, frozen=True, gc=False):
    """A class that it may be too."""

    object_class: str
    p_class: float


class Row(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What is published of a track; None is absent. Flags that are usually false are absent when they are false."""

    id: str  # "epoch:counter"
    status: str  # confirmed, coasting
    cooperative: bool
    height_known: bool
    sensors: tuple[str, ...]  # fused in the last 30 s
    plots_count: int
    existence: float | None = None
    lat_deg: float | None = None
    lon_deg: float | None = None
    height_m: float | None = None  # above the WGS84 ellipsoid; absent, like all of the vertical, when it is not known
    sigma_horizontal_m: float | None = None  # one number for both axes; how it lies is in the three that follow
    var_east_m2: float | None = None  # covariance of the place along the ground there, as of the two axes
    var_north_m2: float | None = None
    cov_east_north_m2: float | None = None
    speed_mps: float | None = None  # over ground
    course_deg: float | None = None  # from true north
    climb_mps: float | None = None
    agl_m: float | None = None  # above ground
    contradicted: bool | None = None  # only when true
    doubt: str | None = None  # why its own report is contradicted, or does not exempt it
    disputed: bool | None = None  # only when true
    object_class: str | None = None  # absent: no class is probable enough to be named
    p_low: float | None = None
    p_slow: float | None = None
    p_inside: float | None = None
    state: str | None = None  # ISO code of the state overflown
    near_state: str | None = None  # ISO code of the allied state that the nearest border belongs to
    border_distance_m: float | None = None  # negative inside
    time_to_border_s: float | None = None
    address: str | None = None
    callsign: str | None = None
    mode3a: str | None = None
    category: int | None = None  # emitter category, CAT021 I020 numbering
    last_plot_time: str | None = None  # measured
    # From here on not in a picture, only on the track's own topic.
    sigma_height_m: float | None = None
    sigma_speed_mps: float | None = None
    sigma_velocity_east_mps: float | None = None
    sigma_velocity_north_mps: float | None = None
    sigma_climb_mps: float | None = None
    sigma_agl_m: float | None = None
    p_class: float | None = None  # of the class named
    other_classes: tuple[OtherClass, ...] | None = None  # the next probable; all of them when none is named
    p_state: float | None = None
    sigma_border_distance_m: float | None = None
    sigma_time_s: float | None = None
    crossing_lat_deg: float | None = None
    crossing_lon_deg: float | None = None
    serial: str | None = None
    first_plot_time: str | None = None
    last_arrival_time: str | None = None
    last_radar_time: str | None = None
    last_claim_time: str | None = None
    pressure_height_m: float | None = None  # above 1013.25 hPa, as last measured
    pressure_height_time: str | None = None
    p_crossing: float | None = None  # of crossing the border inwards within half an hour
    earliest_crossing_s: float | None = None  # 5 % of the crossings are earlier
    latest_crossing_s: float | None = None  # 5 % are later
    sigma_crossing_m: float | None = None  # of the place, along the border
    turn_deg_s: float | None = None  # rate of turn, to the right; absent when it more likely flies straight
    band_m: float | None = None  # limit of the warning band it is in
    time_band_s: float | None = None
    depth_band_m: float | None = None  # depth that it has passed
    diverged_m: float | None = None  # from its predicted path, in the last two minutes
    diverged_s: float | None = None  # how long ago
    protected_area: str | None = None  # that it is in, near, or flies towards
    protected_distance_m: float | None = None  # of the nearest; negative within
    time_to_protected_s: float | None = None


OWN = Row.__struct_fields__[Row.__struct_fields__.index("sigma_height_m") :]  # on the track's own topic alone


class Told(Row, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """A track as it is read back by who passes it on, with what its message says of all in it."""

    schema: str
    time: Annotated[datetime, Meta(tz=True)]  # the moment for which it holds
    simulated: bool = False
    mode: str = "peace"

    @property
    def t_us(self) -> int:
        """The moment for which it holds, microseconds UTC."""
        return round(self.time.timestamp() * US_PER_S)


def check_row(row: Row) -> None:
    """Refuse what no track can be: whoever passes it on relies on these.

    Raises:
        Invalid: `out-of-range`.
    """
    for value, most in ((row.lat_deg, 90.0), (row.lon_deg, 180.0), (row.height_m, 1e5), (row.climb_mps, 1e4)):
        if value is not None and not -most <= value <= most:
            raise Invalid("out-of-range", f"track {row.id[:20]!r}")
    for value, most in ((row.sigma_horizontal_m, 1e8), (row.speed_mps, 1e5), (row.course_deg, 360.0)):
        if value is not None and not 0.0 <= value <= most:
            raise Invalid("out-of-range", f"track {row.id[:20]!r}")
    if row.cov_east_north_m2 is not None:
        ellipse(row)
    if not 0 < len(row.id) <= 40:
        raise Invalid("length", "id of a track")


class Ellipse(NamedTuple):
    """Where an object is with one sigma: half axes, and where the longer one points from true north, 0 to 180."""

    major_m: float
    minor_m: float
    azimuth_deg: float


def ellipse(row: Row) -> Ellipse | None:
    """That of a track; None where its covariance is not said.

    Raises:
        Invalid: `out-of-range`, what no covariance can be.
    """
    if row.var_east_m2 is None or row.var_north_m2 is None or row.cov_east_north_m2 is None:
        return None
    mean, half = (row.var_north_m2 + row.var_east_m2) / 2.0, (row.var_north_m2 - row.var_east_m2) / 2.0
    reach = math.hypot(half, row.cov_east_north_m2)
    least = mean - reach
    if not (mean <= _MOST_VARIANCE_M2 and least >= -_ROUNDED_M2 - 1e-9 * mean):
        raise Invalid("out-of-range", f"covariance of track {row.id[:20]!r}")
    azimuth = math.degrees(math.atan2(row.cov_east_north_m2, half)) / 2.0 % 180.0
    return Ellipse(math.sqrt(max(mean + reach, 0.0)), math.sqrt(max(least, 0.0)), azimuth)


def outline(row: Row, corners: int = 24) -> list[tuple[float, float]]:
    """The ellipse of a track's place as a closed ring of (latitude, longitude), degrees; empty where not known."""
    found = ellipse(row)
    if found is None or row.lat_deg is None or row.lon_deg is None:
        return []
    turned = np.arange(corners + 1) % corners * (2.0 * math.pi / corners)
    along, across = found.major_m * np.cos(turned), found.minor_m * np.sin(turned)
    azimuth = math.radians(found.azimuth_deg) + np.arctan2(across, along)
    n = np.ones(corners + 1)
    lat, lon, _ = geo.direct(
        n * math.radians(row.lat_deg), n * math.radians(row.lon_deg), azimuth % (2.0 * math.pi), np.hypot(along, across)
    )
    return list(zip(np.degrees(lat).round(6).tolist(), np.degrees(lon).round(6).tolist(), strict=True))


def facts(said: Alert) -> dict[str, Any]:
    """What a map's reader is told of an alert beside its sentence, under our own names."""
    return {
        "id": said.id, "state": said.state, "severity": said.severity, "rule": said.rule, "track": said.track,
        "near_state": said.near_state, "raised_time": rfc3339(said.raised_us), "identity": said.identity,
        "identity_by": said.identity_by, "acknowledged_by": said.acknowledged_by, "mode": said.mode,
        "simulated": said.simulated or None,
    }  # fmt: skip


def _words(index: NDArray[Any], words: tuple[str, ...] | list[str]) -> list[str | None]:
    return [words[i] if 0 <= i < len(words) else None for i in index.tolist()]


def _where(flags: NDArray[np.bool_], values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(flags, values, np.nan)


def _angle(radians: NDArray[np.float64]) -> list[float | None]:
    return number(np.degrees(radians), 6)  # 0.1 m on the ground


def _true_only(flags: NDArray[np.bool_]) -> list[bool | None]:
    return [True if flag else None for flag in flags.tolist()]


def _sensors(masks: NDArray[np.uint64], ids: tuple[str, ...]) -> list[tuple[str, ...]]:
    seen: dict[int, tuple[str, ...]] = {}
    for mask in masks.tolist():
        if mask not in seen:
            seen[mask] = tuple(name for i, name in enumerate(ids) if mask >> i & 1)
    return [seen[mask] for mask in masks.tolist()]


def _others(probability: F8, named: NDArray[np.int8]) -> list[tuple[OtherClass, ...] | None]:
    """The likeliest classes of each row of (n, K) that are not the one named, most probable first."""
    rest = probability.copy()
    rest[:, 0] = 0.0  # "none of these" is no class
    rest[np.arange(len(named)), named] = 0.0
    order = np.argsort(-rest, axis=1, kind="stable")[:, :MOST_OTHERS]
    value = np.take_along_axis(rest, order, axis=1).round(2)
    return [
        tuple(OtherClass(_CLASS[k], p) for k, p in zip(ks, ps, strict=True) if p >= LEAST_OTHER) or None
        for ks, ps in zip(order.tolist(), value.tolist(), strict=True)
    ]


def _ahead(f: Forecast, at: Any) -> list[list[Any]]:
    """The last columns of a row: what is ahead."""
    turns = f.p_turn[at] >= 0.5
    return [
        number(f.p_crossing[at], 2),
        number(f.time_low_s[at], 0),
        number(f.time_high_s[at], 0),
        number(f.sigma_place_m[at], 0),
        number(_where(turns, np.degrees(f.turn_radps[at])), 1),
        number(f.band_m[at], 0),
        number(f.time_band_s[at], 0),
        number(f.depth_band_m[at], 0),
        number(_where(f.diverged[at], f.diverged_m[at]), 0),
        number(_where(f.diverged[at], f.diverged_s[at]), 0),
        _words(f.concerned()[at], f.area_names),
        number(f.area_distance_m[at], 0),
        number(f.area_time_s[at], 0),
    ]


def _own(tracks: Tracks, a: Assessment, at: Any) -> list[list[Any]]:
    """The columns that only a track's own topic has."""
    kind, known = a.object_class[at], a.height_known[at]
    moving = geo.enu_covariance(a.lat_rad[at], a.lon_rad[at], tracks.cov[at, 3:, 3:])
    sigma_velocity = np.sqrt(np.maximum(np.diagonal(moving, axis1=1, axis2=2), 0.0))
    return [
        number(_where(known, a.sigma_height_m[at]), 1),
        number(a.sigma_speed_mps[at], 1),
        number(sigma_velocity[:, 0], 1),
        number(sigma_velocity[:, 1], 1),
        number(_where(known, sigma_velocity[:, 2]), 1),
        number(_where(known, a.sigma_agl_m[at]), 1),
        number(_where(kind > 0, a.p_class[at]), 2),
        _others(a.p_classes[at], kind),
        number(_where(a.state[at] >= 0, a.p_state[at]), 3),
        number(a.sigma_distance_m[at], 0),
        number(a.sigma_time_s[at], 1),
        _angle(a.crossing_lat_rad[at]),
        _angle(a.crossing_lon_rad[at]),
        text(tracks.serial[at]),
        rfc3339_column(tracks.birth_us[at]),
        rfc3339_column(tracks.rx_us[at]),
        rfc3339_column(tracks.radar_us[at]),
        rfc3339_column(tracks.claim_us[at]),
        number(tracks.pressure_height_m[at], 1),
        rfc3339_column(tracks.pressure_height_us[at]),
    ]


def rows_of(
    tracks: Tracks,
    assessment: Assessment,
    names: Names,
    which: I8 | None = None,
    brief: bool = False,
    forecast: Forecast | None = None,
) -> list[Row]:
    """The published rows of a table, or of those of its rows that `which` names, in that order."""
    at = slice(None) if which is None else which
    a = assessment
    place = geo.enu_covariance(a.lat_rad[at], a.lon_rad[at], tracks.cov[at, :3, :3])
    kind = a.object_class[at]
    known = a.height_known[at]
    columns: list[list[Any]] = [
        [f"{tracks.epoch}:{counter}" for counter in tracks.id[at].tolist()],
        _words(tracks.status[at], _STATUS),
        a.cooperative[at].tolist(),
        known.tolist(),
        _sensors(tracks.sensors[at], names.sensor_ids),
        tracks.hits[at].tolist(),
        number(tracks.existence[at], 3),
        _angle(a.lat_rad[at]),
        _angle(a.lon_rad[at]),
        number(_where(known, a.height_m[at]), 1),
        number(a.sigma_horizontal_m[at], 1),
        number(place[:, 0, 0], 1),
        number(place[:, 1, 1], 1),
        number(place[:, 0, 1], 1),
        number(a.speed_mps[at], 1),
        number(np.round(np.degrees(a.course_rad[at]), 2) % 360.0, 2),  # 359.996 is north, not 360
        number(_where(known, a.climb_mps[at]), 1),
        number(_where(known, a.agl_m[at]), 1),
        _true_only(a.contradicted[at]),
        [_DOUBT[reason] for reason in a.doubt[at].tolist()],
        _true_only(a.disputed[at]),
        [_CLASS[k] if k > 0 else None for k in kind.tolist()],
        number(a.p_low[at], 3),
        number(a.p_slow[at], 3),
        number(a.p_inside[at], 3),
        _words(a.state[at], names.codes),
        _words(a.near_state[at], names.codes),
        number(a.distance_m[at], 0),
        number(a.time_to_border_s[at], 1),
        address(tracks.address[at].tolist()),
        text(tracks.callsign[at]),
        mode3a(tracks.mode3a[at].tolist()),
        [c if c >= 0 else None for c in tracks.category[at].tolist()],
        rfc3339_column(tracks.update_us[at]),
    ]
    if not brief:
        columns += _own(tracks, a, at)
        if forecast is not None:
            columns += _ahead(forecast, at)
    return list(map(Row, *columns))
