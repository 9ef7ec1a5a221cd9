"""Small tables of tracks and facts for tests of what comes after the tracker: every field has a plain default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fusion import geo
from fusion.schema import Assessment, SensorKind, SensorSpec, Tracks, TrackStatus
from fusion.zones import ZoneFacts

T0_US = 1_795_414_500_000_000
S = 1_000_000
CODES = ("LT", "BY", "RS", "HU")
NAMES = ("Lithuania", "Belarus", "Serbia", "Hungary")
SENSORS = (
    SensorSpec("A1", 0, SensorKind.ADSB),
    SensorSpec("R1", 1, SensorKind.RADAR_2D, 0.95, 0.44, 200.0),
    SensorSpec("R2", 2, SensorKind.RADAR_3D, 0.95, 0.45, 200.0),
)
SENSOR_IDS = tuple(sensor.id for sensor in SENSORS)
RADARS, CLAIMS = 0b110, 0b001

# A drone over Belarus, 23 km outside Lithuania, that two radars see and that says nothing of itself.
DRONE: dict[str, Any] = {
    "birth_us": T0_US - 20 * S,
    "confirmed_us": T0_US - 10 * S,
    "update_us": T0_US,
    "rx_us": T0_US,
    "radar_us": T0_US,
    "claim_us": -1,
    "height_us": T0_US,
    "pressure_height_m": np.nan,
    "pressure_height_us": -1,
    "existence": 0.99,
    "status": TrackStatus.CONFIRMED,
    "address": -1,
    "mode3a": -1,
    "mode3a_us": -1,
    "category": -1,
    "callsign": b"",
    "serial": b"",
    "hits": 12,
    "unseen": 0.0,
    "sensors": RADARS,
    "lat_rad": np.radians(54.25),
    "lon_rad": np.radians(26.10),
    "height_m": 330.0,
    "sigma_height_m": 60.0,
    "sigma_horizontal_m": 120.0,
    "speed_mps": 42.0,
    "sigma_speed_mps": 3.0,
    "course_rad": np.radians(300.0),
    "climb_mps": 0.0,
    "state": 1,
    "p_state": 0.99,
    "disputed": False,
    "near_state": 0,
    "distance_m": 23_000.0,
    "sigma_distance_m": 150.0,
    "p_inside": 0.0,
    "time_to_border_s": 190.0,
    "sigma_time_s": 20.0,
    "crossing_lat_rad": np.nan,
    "crossing_lon_rad": np.nan,
    "agl_m": 150.0,
    "sigma_agl_m": 60.0,
    "height_known": True,
}
# The same place and motion, but with a live ADS-B report and a Mode 3/A reply.
AIRCRAFT: dict[str, Any] = {
    "claim_us": T0_US,
    "address": 0x503CAB,
    "mode3a": 0o7000,
    "mode3a_us": T0_US,
    "sensors": RADARS | CLAIMS,
}
_FIELDS: dict[str, Any] = {
    "birth_us confirmed_us update_us rx_us mode3a_us claim_us radar_us height_us pressure_height_us": np.int64,
    "existence unseen pressure_height_m": np.float64,
    "status category": np.int8,
    "address mode3a hits": np.int32,
    "callsign": "S8",
    "serial": "S20",
    "sensors": np.uint64,
}
_PLACE_TYPES: dict[str, Any] = {
    "state": np.int16,
    "near_state": np.int16,
    "disputed": np.bool_,
    "height_known": np.bool_,
}


def picture(
    rows: Sequence[Mapping[str, Any]], t_us: int = T0_US, ids: Sequence[int] | None = None, epoch: int = 7
) -> tuple[Tracks, ZoneFacts]:
    """Tracks and their facts. A row gives what differs from `DRONE`; ids count from 1 when not given."""
    n = len(rows)
    full = [{**DRONE, **row} for row in rows]
    columns: dict[str, Any] = {}
    for names, dtype in _FIELDS.items():
        for name in names.split():
            columns[name] = np.array([row[name] for row in full], dtype)
    place: dict[str, Any] = {
        name: np.array([row[name] for row in full], _PLACE_TYPES.get(name, np.float64))
        for name in ZoneFacts.__dataclass_fields__
    }
    state = np.zeros((n, 6))
    if n:
        state[:, :3] = geo.ecef(place["lat_rad"], place["lon_rad"], np.nan_to_num(place["height_m"]))
    tracks = Tracks(
        epoch=epoch,
        t_us=t_us,
        id=np.array(range(1, n + 1) if ids is None else ids, np.int64),
        state=state,
        cov=np.tile(np.eye(6), (n, 1, 1)),
        mode=np.full((n, 3), 1 / 3),
        **columns,
    )
    return tracks, ZoneFacts(**place)


def at(t_us: int, row: Mapping[str, Any]) -> dict[str, Any]:
    """The row as it is at `t_us`, seen and heard just then where the row says nothing else."""
    fresh = {"update_us": t_us, "rx_us": t_us, "radar_us": t_us, "height_us": t_us, **row}
    return {**fresh, "claim_us": t_us} if row.get("claim_us", -1) >= 0 else fresh


def row(assessment: Assessment, name: str) -> Any:
    """The one value of a table of one row."""
    (value,) = getattr(assessment, name)
    return value
