"""OpenSky's state vectors, as its REST interface answers (`/states/all`): values without names for each aircraft.

    {"time": 1795000500, "states": [["4ca2d6", "RYR1427 ", "Ireland", 1795000499, 1795000500, 25.25, 54.5, 9000.0,
                                     false, 120.5, 90.0, -3.2, null, 9100.0, "7000", false, 0, 3]]}

Metres and metres per second, as here. An answer repeats every position with the second in which it was measured. Who
sends answers as they are (`decode`) says with the sensor's `period_s` how far apart they are: what is as old as that
was in the answer before, and is no new plot. A bridge (`decode_answer`) knows what it has passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from adapters.passed import Passed
from adapters.wire import (
    BAD_JSON,
    MOST_ANSWER_OCTETS,
    Decoded,
    check_count,
    check_envelope,
    check_kind,
    load_json,
    parse_time,
    read_rows,
    reason_of,
    rounded,
    stand,
)
from fusion.schema import F8, I8, US_PER_S, Invalid, PlotKind, Plots, SensorSpec

CATEGORY = (-1, -1, 1, 2, 3, 4, 5, 6, 10, 11, 12, 16, 15, -1, 13, 14, 20, 21, 22, 23, 24)  # to CAT021 I020
_HEX, _OCTAL = frozenset("0123456789abcdefABCDEF"), frozenset("01234567")


class _State(msgspec.Struct, array_like=True, gc=False):
    """One aircraft; null is what OpenSky does not know."""

    icao24: str
    callsign: str | None
    origin_country: str | None
    time_position: float | None
    last_contact: float | None
    longitude: float | None
    latitude: float | None
    baro_altitude: float | None  # metres
    on_ground: bool
    velocity: float | None  # metres per second
    true_track: float | None
    vertical_rate: float | None
    sensors: list[int] | None = None
    geo_altitude: float | None = None
    squawk: str | None = None
    spi: bool = False
    position_source: int = 0
    category: int = 0


class _Message(msgspec.Struct, gc=False):
    time: float
    states: list[_State] | None  # null where nobody flies


class _Envelope(msgspec.Struct):
    time: float
    states: list[msgspec.Raw] | None


_MESSAGE, _ENVELOPE = msgspec.json.Decoder(_Message), msgspec.json.Decoder(_Envelope)
_ONE = msgspec.json.Decoder(_State)


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
    """One answer: the positions that are new in it.

    Raises:
        Invalid: for the whole message: oversized, not-utf8, malformed, not-finite, missing-field, bad-time,
            wrong-sensor-kind, too-many-plots.
    """
    check_kind(spec, PlotKind.POSITION)
    check_envelope(payload)
    try:
        message, rows, rejected = _read(payload)
    except Invalid:
        load_json(payload)  # says what is wrong with the whole, where that is it
        raise
    check_count(len(rows) + sum(rejected.values()))
    now_us = parse_time(message.time)
    new = [row for row in rows if _placed(row) and now_us / US_PER_S - (row.time_position or 0.0) < spec.period_s]
    return _stand(new, spec, rx_us, rejected)


def decode_answer(body: bytes, spec: SensorSpec, rx_us: int, passed: Passed) -> tuple[Decoded, int]:
    """A whole answer of the server: the positions that were not passed on yet, and the answer's own time.

    Raises:
        Invalid: for the whole answer: oversized, malformed, missing-field, bad-time.
    """
    if len(body) > MOST_ANSWER_OCTETS:
        raise Invalid("oversized", f"{len(body)} octets, at most {MOST_ANSWER_OCTETS}")
    message, rows, rejected = _read(body)
    now_us = parse_time(message.time)
    placed = [row for row in rows if _placed(row)]
    new = [
        row
        for row, t_us in zip(placed, _times_us(placed).tolist(), strict=True)
        if passed.is_new(row.icao24, row.latitude or 0.0, row.longitude or 0.0, t_us)
    ]
    return _stand(new, spec, rx_us, rejected), now_us


def _read(body: bytes) -> tuple[_Message | _Envelope, list[_State], dict[str, int]]:
    """All rows at once, and one by one only where that fails."""
    try:
        message = _MESSAGE.decode(body)
    except BAD_JSON:
        pass
    else:
        return message, message.states or [], {}
    try:
        envelope = _ENVELOPE.decode(body)
    except BAD_JSON as error:
        raise Invalid(reason_of(error), str(error)[:120]) from None
    rows, rejected = read_rows(_ONE, envelope.states or [])
    return envelope, rows, rejected


def _placed(row: _State) -> bool:
    return row.latitude is not None and row.longitude is not None and row.time_position is not None


def _times_us(rows: Sequence[_State]) -> I8:
    return np.rint(np.clip([row.time_position or 0.0 for row in rows], -1e10, 1e10) * 1e6).astype(np.int64)


def _stand(new: Sequence[_State], spec: SensorSpec, rx_us: int, rejected: dict[str, int]) -> Decoded:
    t_us = _times_us(new)
    speed, track = _floats([row.velocity for row in new]), np.radians(_floats([row.true_track for row in new]))
    columns: dict[str, Any] = {
        "lat_rad": np.radians(_floats([row.latitude for row in new])),
        "lon_rad": np.radians(_floats([row.longitude for row in new])),
        "height_m": _floats([row.geo_altitude for row in new]),
        "pressure_height_m": _floats([row.baro_altitude for row in new]),
        "velocity_east_mps": speed * np.sin(track),
        "velocity_north_mps": speed * np.cos(track),
        "velocity_up_mps": _floats([row.vertical_rate for row in new]),
        "address": np.array([_code(row.icao24, 6, _HEX, 16) for row in new], np.int32),
        "mode3a": np.array([_code(row.squawk or "", 4, _OCTAL, 8) for row in new], np.int32),
        "category": np.array([CATEGORY[c] if 0 <= (c := row.category) < len(CATEGORY) else -1 for row in new], np.int8),
        "on_ground": np.array([row.on_ground for row in new], np.int8),
        "callsign": np.array([_name(row.callsign or "") for row in new], "S8"),
    }
    return stand(spec, PlotKind.POSITION, rx_us, t_us, -1, -1, columns, rejected)


def encode(batch: Plots) -> bytes:
    """The answer that holds a batch of positions, to the second; accuracy has no place in it.

    Raises:
        ValueError: the batch carries no positions, or is empty: an answer must have a time.
    """
    if batch.kind is not PlotKind.POSITION or not len(batch):
        raise ValueError("OpenSky carries positions, at least one")
    states = []
    for n in range(len(batch)):
        east, north = float(batch.velocity_east_mps[n]), float(batch.velocity_north_mps[n])
        code, seconds = int(batch.mode3a[n]), int(batch.t_us[n]) // US_PER_S
        category = int(batch.category[n])
        states.append(
            [
                f"{int(batch.address[n]):06x}" if batch.address[n] >= 0 else "000000",
                batch.callsign[n].decode("ascii").ljust(8), "", seconds, seconds,
                rounded(np.degrees(batch.lon_rad[n]), 7), rounded(np.degrees(batch.lat_rad[n]), 7),
                rounded(batch.pressure_height_m[n], 2), bool(batch.on_ground[n] == 1),
                rounded(np.hypot(east, north), 3), rounded(np.degrees(np.arctan2(east, north)) % 360.0, 3),
                rounded(batch.velocity_up_mps[n], 3), None, rounded(batch.height_m[n], 2),
                f"{code:04o}" if code >= 0 else None, False, 0, CATEGORY.index(category) if category in CATEGORY else 0,
            ]
        )  # fmt: skip
    return msgspec.json.encode({"time": int(batch.t_us.max()) // US_PER_S, "states": states})


def _floats(values: list[float | None]) -> F8:
    return np.array([np.nan if v is None else v for v in values], np.float64)


def _code(text: str, length: int, digits: frozenset[str], base: int) -> int:
    return int(text, base) if len(text) == length and digits.issuperset(text) else -1


def _name(text: str) -> bytes:
    text = text.strip()
    return text.encode() if len(text) <= 8 and text.isascii() and text.isprintable() else b""
