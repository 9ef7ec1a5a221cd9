"""`vedette.track.v1` on `track/{id}`: everything that is published of one track, and a neighbour's track coming in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from adapters.rows import Row, Told, check_row, rows_of
from adapters.wire import (
    Callsign,
    Decoded,
    Hex24,
    Names,
    Number,
    Octal12,
    Serial,
    check_kind,
    dump,
    read,
    rfc3339,
    stand,
)
from fusion import schema
from fusion.borders.outlook import Forecast
from fusion.schema import Assessment, PlotKind, SensorSpec, Tracks

SCHEMA = "vedette.track.v1"
_ROW = msgspec.json.Encoder()
_NAN = float("nan")
_NotNegative = Annotated[float, Meta(ge=0)]


class _Message(msgspec.Struct, gc=False, frozen=True):
    """What is read of a neighbour's track; what it says of borders and words is its own view, and we form ours."""

    schema: str
    time: Annotated[datetime, Meta(tz=True)]
    lat_deg: float
    lon_deg: float
    sigma_horizontal_m: _NotNegative = _NAN
    height_m: float = _NAN
    sigma_height_m: _NotNegative = _NAN
    speed_mps: _NotNegative = _NAN
    course_deg: Annotated[float, Meta(ge=0, le=360)] = _NAN
    climb_mps: float = _NAN
    sigma_speed_mps: _NotNegative = _NAN
    address: Hex24 = ""
    mode3a: Octal12 = ""
    callsign: Callsign = ""
    serial: Serial = ""
    category: Annotated[int, Meta(ge=0, le=24)] = -1
    boot: Number = -1
    seq: Number = -1


_MESSAGE = msgspec.json.Decoder(_Message)
_TOLD = msgspec.json.Decoder(Told)
# Sigmas are on the wire to a tenth: what reads as less than that was rounded, and is no better than its last digit.
_LEAST_SIGMA = 0.1


def encode_rows(
    tracks: Tracks,
    assessment: Assessment,
    rows: Sequence[int],
    names: Names,
    seq: int,
    forecast: Forecast | None = None,
) -> list[bytes]:
    """The messages of some rows of a table, numbered from `seq` on: many cost far less together than one by one."""
    made: list[Row] = rows_of(tracks, assessment, names, np.asarray(rows, np.int64), forecast=forecast)
    time = rfc3339(tracks.t_us)
    payloads = []
    for i, row in enumerate(made):
        head = dump({"schema": SCHEMA, "site": names.site, "seq": seq + i, "time": time, **names.marks()})
        payloads.append(head[:-1] + b"," + _ROW.encode(row)[1:])
    return payloads


def encode(
    tracks: Tracks, assessment: Assessment, row: int, names: Names, seq: int, forecast: Forecast | None = None
) -> bytes:
    """The message of one row of a table. `time` is the moment for which the state holds."""
    return encode_rows(tracks, assessment, (row,), names, seq, forecast)[0]


def told(payload: bytes) -> Told:
    """All of a message of ours, for who passes it on in another format.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time, out-of-range,
            length.
    """
    row = read(_TOLD, payload, SCHEMA)
    check_row(row)
    return row


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
    """One message of a neighbour's track as one position, measured at the message's `time`.

    An empty payload says that the track has ended: no plot, and no fault. A track is numbered by `seq` alone, which
    starts anew with its publisher, so a message counts as numbered only when it carries `boot` too.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time, out-of-range,
            wrong-sensor-kind.
    """
    check_kind(spec, PlotKind.POSITION)
    if not payload:
        return Decoded(schema.plots(spec.id, PlotKind.POSITION, rx_us, np.empty(0, np.int64)))
    said = read(_MESSAGE, payload, SCHEMA)
    t_us = np.rint(np.array([said.time.timestamp()]) * 1e6).astype(np.int64)
    course_rad = np.radians(said.course_deg)
    given = {
        "lat_rad": np.radians(said.lat_deg),
        "lon_rad": np.radians(said.lon_deg),
        "sigma_position_m": np.maximum(said.sigma_horizontal_m, _LEAST_SIGMA),
        "height_m": said.height_m,
        "sigma_height_m": np.maximum(said.sigma_height_m, _LEAST_SIGMA),
        "velocity_east_mps": said.speed_mps * np.sin(course_rad),
        "velocity_north_mps": said.speed_mps * np.cos(course_rad),
        "velocity_up_mps": said.climb_mps,
        "sigma_velocity_mps": np.maximum(said.sigma_speed_mps, _LEAST_SIGMA),
    }
    columns = {name: np.array([value], np.float64) for name, value in given.items()}
    columns["address"] = np.array([int(said.address, 16) if said.address else -1], np.int32)
    columns["mode3a"] = np.array([int(said.mode3a, 8) if said.mode3a else -1], np.int32)
    columns["callsign"] = np.array([said.callsign.strip()], "S8")
    columns["serial"] = np.array([said.serial.strip()], "S20")
    columns["category"] = np.array([said.category], np.int8)
    boot, seq = (said.boot, said.seq) if said.boot >= 0 and said.seq >= 0 else (-1, -1)
    return stand(spec, PlotKind.POSITION, rx_us, t_us, boot, seq, columns, {})
