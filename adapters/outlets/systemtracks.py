"""Our published tracks as the columns of CAT062. Pure.

What the published message does not say is not made up: no calculated pressure height, no channel (a radar's plot is
told as one of a primary radar). It says how it turns, and so what it is accelerated by to the side, not whether it
gains speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.asterix import DAY_US
from adapters.formats.cat062 import (
    COMBINED,
    COOPERATIVE,
    FROM_GNSS,
    NO_SOURCE,
    NOT_COOPERATIVE,
    NOT_DEFINED,
    STATUS,
    SystemTracks,
)
from adapters.rows import Told
from fusion.geo import ecef, enu_axes
from fusion.schema import F8, I1, I8, US_PER_S

OLD_S = 30.0  # without an update by a kind of sensor: as `sensors` of a published track, which names those of 30 s
# A track is first told at 0.95, one false in twenty (fusion/tracker.py, p_confirm). Where its sensors miss it so often
# that one such track in five is false, a display should mark it (PFT of I080) before it goes.
LEAST_EXISTENCE = 0.8
STEADY_MPS = 1.5  # of climb, 300 ft/min: what displays take for level
STEADY_CLASSES = ("fixed-echo",)  # real, but nothing that flies: potentially false too
UNDETERMINED = 3
_KINDS = {field.name: str(field.type) for field in fields(SystemTracks)}
_EMPTY: dict[str, Any] = {"I4": -1, "I8": -1, "I1": -1, "F8": np.nan, "S": b""}
_TYPES = {"I4": "i4", "I8": "i8", "I1": "i1", "F8": "f8", "S": "S8"}
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who tells: SAC, SIC and service of the messages, and the middle of its plane where it has one."""

    sac: int
    sic: int
    service: int = 1
    centre_rad: tuple[float, float] | None = None  # latitude, longitude
    least_existence: float = LEAST_EXISTENCE  # below it a track is told as potentially false


def nothing(n: int) -> dict[str, NDArray[Any]]:
    """All columns of n tracks that say nothing; the status bits are 0."""
    bits = [name for octet in STATUS for name, _, _ in octet]
    columns = {name: np.full(n, _EMPTY[kind], _TYPES[kind]) for name, kind in _KINDS.items()}
    return columns | {name: np.zeros(n, np.int8) for name in bits}


def system_tracks(
    rows: Sequence[Told], numbers: Sequence[int], begun: Sequence[bool], simulated: Sequence[bool], sender: Sender
) -> SystemTracks:
    """These tracks, in this order, with these numbers; `begun`: told for the first time."""
    n, t_us = len(rows), np.array([row.t_us for row in rows], np.int64)
    columns = nothing(n) | _who(rows) | _where(rows, sender) | _seen(rows, t_us)
    columns |= {
        "sac": np.full(n, sender.sac, np.int32),
        "sic": np.full(n, sender.sic, np.int32),
        "service": np.full(n, sender.service, np.int32),
        "number": np.array(numbers, np.int32),
        "day_us": t_us % DAY_US,
        "begun": np.array(begun, np.int8),
        "simulated": np.array(simulated, np.int8),
        "coasting": _flags([row.status == "coasting" for row in rows]),
        "inconsistent": _flags([bool(row.contradicted) for row in rows]),
        "doubtful": _flags(
            [(row.existence or 0.0) < sender.least_existence or row.object_class in STEADY_CLASSES for row in rows]
        ),
        "mono": _flags([len(row.sensors) == 1 for row in rows]),
    }
    return SystemTracks(**columns)


def ended_tracks(numbers: Sequence[int], t_us: int, simulated: bool, sender: Sender) -> SystemTracks:
    """The last message of tracks that are no more."""
    n = len(numbers)
    one = np.ones(n, np.int8)
    return SystemTracks(
        **nothing(n)
        | {
            "sac": np.full(n, sender.sac, np.int32),
            "sic": np.full(n, sender.sic, np.int32),
            "service": np.full(n, sender.service, np.int32),
            "number": np.array(numbers, np.int32),
            "day_us": np.full(n, t_us % DAY_US),
            "ended": one,
            "simulated": one * simulated,
        }
    )


def _who(rows: Sequence[Told]) -> dict[str, NDArray[Any]]:
    return {
        "mode3a": np.array([_number(row.mode3a, 8, 12) for row in rows], np.int32),
        "callsign": np.array([(row.callsign or "").upper().encode("ascii", "replace") for row in rows], "S8"),
        "address": np.array([_number(row.address, 16, 24) for row in rows], np.int32),
        "category": np.array([-1 if row.category is None else row.category for row in rows], np.int8),
    }


def _number(text: str | None, base: int, bits: int) -> int:
    """-1 where there is none, or none that fits."""
    try:
        value = int(text or "-1", base)
    except ValueError:
        return -1
    return value if value < 1 << bits else -1


def _where(rows: Sequence[Told], sender: Sender) -> dict[str, NDArray[Any]]:
    lat, lon = np.radians(_numbers([row.lat_deg for row in rows])), np.radians(_numbers([row.lon_deg for row in rows]))
    height, climb = _numbers([row.height_m for row in rows]), _numbers([row.climb_mps for row in rows])
    speed, course = _numbers([row.speed_mps for row in rows]), np.radians(_numbers([row.course_deg for row in rows]))
    turn = np.radians(_numbers([row.turn_deg_s for row in rows]))
    columns = {
        "lat_rad": lat,
        "lon_rad": lon,
        "height_m": height,
        "climb_mps": climb,
        "velocity_x_mps": speed * np.sin(course),
        "velocity_y_mps": speed * np.cos(course),
        "acceleration_x_mps2": speed * turn * np.cos(course),
        "acceleration_y_mps2": -speed * turn * np.sin(course),
        "sigma_height_m": _numbers([row.sigma_height_m for row in rows]),
        "sigma_climb_mps": _numbers([row.sigma_climb_mps for row in rows]),
        "geometric": (~np.isnan(height)).astype(np.int8),
        "turn": np.where(turn > 0.0, 1, np.where(turn < 0.0, 2, 0)).astype(np.int8),
        "pace": np.full(len(rows), UNDETERMINED, np.int8),
        "vertical": _vertical(climb),
    }
    spread = _spread(rows)
    if sender.centre_rad is None:
        return columns | _accuracies(*spread)
    return columns | _in_plane(columns, spread, sender.centre_rad)


def _spread(rows: Sequence[Told]) -> tuple[F8, F8]:
    """Covariances along east and north: of place (n, 2, 2), m^2, and of velocity (n, 2, 2), m^2/s^2.

    What says one sigma alone is as unsure along both. Of the velocity only the variances are said.
    """
    both = _numbers([row.sigma_horizontal_m for row in rows]) ** 2
    place = np.empty((len(rows), 2, 2))
    names = ("var_east_m2", "cov_east_north_m2", "var_north_m2")
    for (i, j), name, instead in zip(
        ((0, 0), (0, 1), (1, 1)), names, (both, np.where(both >= 0.0, 0.0, both), both), strict=True
    ):
        said = _numbers([getattr(row, name) for row in rows])
        place[:, i, j] = place[:, j, i] = np.where(np.isnan(said), instead, said)
    velocity = np.zeros((len(rows), 2, 2))
    speed = _numbers([row.sigma_speed_mps for row in rows])
    for i, name in enumerate(("sigma_velocity_east_mps", "sigma_velocity_north_mps")):
        said = _numbers([getattr(row, name) for row in rows])
        velocity[:, i, i] = np.where(np.isnan(said), speed, said) ** 2
    return place, velocity


def _accuracies(place_m2: F8, velocity_m2ps2: F8) -> dict[str, NDArray[Any]]:
    """One sigma of each axis of the plane, and how the axes of the place go together."""
    return {
        "sigma_x_m": np.sqrt(place_m2[:, 0, 0]),
        "sigma_y_m": np.sqrt(place_m2[:, 1, 1]),
        "cov_xy_m2": place_m2[:, 0, 1],
        "sigma_velocity_x_mps": np.sqrt(velocity_m2ps2[:, 0, 0]),
        "sigma_velocity_y_mps": np.sqrt(velocity_m2ps2[:, 1, 1]),
    }


def _vertical(climb_mps: F8) -> I1:
    moving = np.where(climb_mps > STEADY_MPS, 1, np.where(climb_mps < -STEADY_MPS, 2, 0))
    return np.where(np.isnan(climb_mps), UNDETERMINED, moving).astype(np.int8)


def _in_plane(
    columns: dict[str, NDArray[Any]], spread: tuple[F8, F8], centre_rad: tuple[float, float]
) -> dict[str, NDArray[Any]]:
    """All of it along the east and north of the centre: its tangent plane, seen from straight above."""
    height = np.nan_to_num(columns["height_m"])
    axes = enu_axes(columns["lat_rad"], columns["lon_rad"])[:, :2]
    plane = enu_axes(*centre_rad)[0, :2]
    away = (ecef(columns["lat_rad"], columns["lon_rad"], height) - ecef(*centre_rad, 0.0)) @ plane.T
    turned = plane @ axes.transpose(0, 2, 1)  # (n, 2, 2): plane from local

    def vector(name: str) -> F8:
        local = np.column_stack([columns[name.format(axis)] for axis in "xy"])
        return np.asarray(np.einsum("nij,nj->ni", turned, local))

    velocity, acceleration = vector("velocity_{}_mps"), vector("acceleration_{}_mps2")
    return {
        "x_m": away[:, 0],
        "y_m": away[:, 1],
        "velocity_x_mps": velocity[:, 0],
        "velocity_y_mps": velocity[:, 1],
        "acceleration_x_mps2": acceleration[:, 0],
        "acceleration_y_mps2": acceleration[:, 1],
        **_accuracies(*(turned @ cov @ turned.transpose(0, 2, 1) for cov in spread)),
    }


def _seen(rows: Sequence[Told], t_us: I8) -> dict[str, NDArray[Any]]:
    """By which kind of sensor, and how long ago."""
    radar_s, claim_s = _ages(rows, "last_radar_time", t_us), _ages(rows, "last_claim_time", t_us)
    adsb_s = np.where([row.address is not None for row in rows], claim_s, np.nan)
    # A level that is as old is not told: displays show the last one they had, and do not look at its age.
    level_s = _ages(rows, "pressure_height_time", t_us)
    by_radar, by_claim = radar_s <= OLD_S, claim_s <= OLD_S
    answers = np.array([row.mode3a is not None or row.address is not None for row in rows], np.bool_)
    # A radar that hears answers may be a secondary one alone: then it cannot be told which.
    alone = np.where(by_claim, COOPERATIVE, np.where(by_radar & ~answers, NOT_COOPERATIVE, NOT_DEFINED))
    known = ~np.isnan(_numbers([row.height_m for row in rows]))
    return {
        "age_s": _ages(rows, "first_plot_time", t_us),
        "psr_age_s": radar_s,
        "adsb_age_s": adsb_s,
        "pressure_height_m": np.where(level_s <= OLD_S, _numbers([row.pressure_height_m for row in rows]), np.nan),
        "pressure_height_age_s": np.where(level_s <= OLD_S, level_s, np.nan),
        "psr_old": (~by_radar).astype(np.int8),
        "ssr_old": np.ones(len(rows), np.int8),
        "modes_old": np.ones(len(rows), np.int8),
        "adsb_old": (~(adsb_s <= OLD_S)).astype(np.int8),
        "sensing": np.where(by_radar & by_claim, COMBINED, alone).astype(np.int8),
        "height_source": np.where(known & by_claim, FROM_GNSS, NO_SOURCE).astype(np.int8),
    }


def _ages(rows: Sequence[Told], name: str, t_us: I8) -> F8:
    """Seconds from a time of each row to the moment for which the row holds; NaN where it is not said."""
    texts = [getattr(row, name) or "" for row in rows]
    try:  # nearly always all are as we write them, and are read in one go
        moments = np.array([_utc(text) for text in texts], "M8[us]")
    except ValueError:
        moments = np.array([_moment(text) for text in texts], "M8[us]")
    age_s = (t_us - moments.astype(np.int64)) / US_PER_S
    return np.where(np.isnat(moments), np.nan, np.maximum(age_s, 0.0))


def _utc(text: str) -> str:
    """What numpy reads. Raises ValueError where it is no time in UTC as we write it."""
    if text and not text.endswith("Z"):
        raise ValueError(text)
    return text[:-1] or "NaT"


def _moment(text: str) -> np.datetime64:
    try:
        moment = datetime.fromisoformat(text)
        return np.datetime64(moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).replace(tzinfo=None), "us")
    except (ValueError, OverflowError):
        return np.datetime64("NaT", "us")


def _numbers(values: list[float | None]) -> F8:
    return np.array([_NAN if value is None else value for value in values], np.float64)


def _flags(values: list[bool]) -> I1:
    return np.array(values, np.int8)
