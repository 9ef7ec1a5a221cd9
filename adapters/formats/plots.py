"""`vedette.plots.v1`: a batch of plots of one sensor, as our own sensors and adapters send it.

    {"schema": "vedette.plots.v1", "sensor": "R1", "boot": 3, "seq": 1234, "kind": "polar",
     "plots": [{"time": "2026-11-23T06:15:00.123Z", "range_m": 41250.0, "azimuth_deg": 73.2, "mode3a": "7700"}]}

`kind` is polar (range, azimuth, perhaps elevation from the sensor's site), position (latitude, longitude) or bearing.
Angles are degrees from true north at the site. `boot` is raised at every start of the sensor and `seq` with every
message: by both a repeated message is known. Fields that this file does not know are ignored; null is refused.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from adapters.wire import (
    Callsign,
    Decoded,
    Hex24,
    Number,
    Octal12,
    Serial,
    address,
    check_kind,
    dump,
    mode3a,
    read_batch,
    rfc3339_exact,
    stand,
    text,
    without_none,
)
from fusion.schema import Invalid, PlotKind, Plots, SensorSpec

SCHEMA = "vedette.plots.v1"
_NAN = float("nan")
_KINDS = {"polar": PlotKind.POLAR, "position": PlotKind.POSITION, "bearing": PlotKind.BEARING}
_KIND_WORDS = {kind: word for word, kind in _KINDS.items()}


class _Plot(msgspec.Struct, gc=False, frozen=True):
    """One plot on the wire. The order of the fields is that of `_FLOATS`, then of `_columns`."""

    time: Annotated[datetime, Meta(tz=True)]
    range_m: float = _NAN
    azimuth_deg: float = _NAN
    elevation_deg: float = _NAN
    sigma_range_m: float = _NAN
    sigma_azimuth_deg: float = _NAN
    sigma_elevation_deg: float = _NAN
    doppler_mps: float = _NAN
    lat_deg: float = _NAN
    lon_deg: float = _NAN
    sigma_position_m: float = _NAN
    height_m: float = _NAN
    sigma_height_m: float = _NAN
    pressure_height_m: float = _NAN
    velocity_east_mps: float = _NAN
    velocity_north_mps: float = _NAN
    velocity_up_mps: float = _NAN
    sigma_velocity_mps: float = _NAN
    address: Hex24 = ""
    mode3a: Octal12 = ""
    callsign: Callsign = ""
    serial: Serial = ""
    nic: Annotated[int, Meta(ge=0, le=11)] = -1
    nacp: Annotated[int, Meta(ge=0, le=11)] = -1
    nacv: Annotated[int, Meta(ge=0, le=7)] = -1
    sil: Annotated[int, Meta(ge=0, le=3)] = -1
    category: Annotated[int, Meta(ge=0, le=24)] = -1
    on_ground: bool | None = None


_WIRE = _Plot.__struct_fields__
_FIRST_TEXT = _WIRE.index("address")
_FLOATS = tuple(name.replace("_deg", "_rad") for name in _WIRE[1:_FIRST_TEXT])  # as fusion.schema.Plots names them
_IS_ANGLE = np.array([name.endswith("_deg") for name in _WIRE[1:_FIRST_TEXT]])


class _Message(msgspec.Struct, gc=False):
    schema: str
    sensor: str
    kind: Literal["polar", "position", "bearing"]
    plots: list[_Plot]
    boot: Number = -1
    seq: Number = -1


class _Envelope(msgspec.Struct):
    """The same with its plots unread: for finding the bad one."""

    schema: str
    sensor: str
    kind: Literal["polar", "position", "bearing"]
    plots: list[msgspec.Raw]
    boot: Number = -1
    seq: Number = -1


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ONE = msgspec.json.Decoder(_Plot)


def _columns(rows: list[_Plot]) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]]]:
    """Rows to arrays (n,), degrees to radians."""
    if not rows:
        return np.empty(0, np.int64), {}
    fields = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
    # float64 seconds hold this century's times to 0.24 us: exact after rounding
    t_us = np.rint(np.array([t.timestamp() for t in fields[0]]) * 1e6).astype(np.int64)
    floats = np.array(fields[1:_FIRST_TEXT], np.float64)
    floats[_IS_ANGLE] = np.radians(floats[_IS_ANGLE])
    columns: dict[str, NDArray[Any]] = dict(zip(_FLOATS, floats, strict=True))
    addresses, codes, callsigns, serials, nic, nacp, nacv, sil, category, on_ground = fields[_FIRST_TEXT:]
    columns["address"] = np.array([int(a, 16) if a else -1 for a in addresses], np.int32)
    columns["mode3a"] = np.array([int(c, 8) if c else -1 for c in codes], np.int32)
    columns["callsign"] = np.array([c.strip() for c in callsigns], "S8")
    columns["serial"] = np.array([s.strip() for s in serials], "S20")
    for name, values in (("nic", nic), ("nacp", nacp), ("nacv", nacv), ("sil", sil), ("category", category)):
        columns[name] = np.array(values, np.int8)
    columns["on_ground"] = np.array([-1 if g is None else int(g) for g in on_ground], np.int8)
    return t_us, columns


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
    """One message of the sensor `spec`. A bad plot costs that plot only.

    Raises:
        Invalid: for the whole message: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field,
            out-of-range, unknown-sensor (it names another sensor than its topic), wrong-sensor-kind, too-many-plots.
    """
    message, rows, rejected = read_batch(payload, "plots", _MESSAGE, _ENVELOPE, _ONE, SCHEMA)
    if message.schema != SCHEMA:
        raise Invalid("wrong-schema", f"{message.schema[:60]!r}, expected {SCHEMA!r}")
    if message.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{message.sensor[:60]!r} on the topic of {spec.id!r}")
    kind = _KINDS[message.kind]
    check_kind(spec, kind)
    t_us, columns = _columns(rows)
    return stand(spec, kind, rx_us, t_us, message.boot, message.seq, columns, rejected)


# Decimals on the wire: 1 mm, 1e-7 degrees (1 cm on the ground), 1e-6 degrees of bearing (7 mm at 400 km). The smallest
# sigma allowed, 1e-6 rad, must keep its digits.
_DECIMALS = {name: 6 for name in _WIRE if name.endswith("_deg")} | {"lat_deg": 7, "lon_deg": 7}
_DECIMALS |= {"sigma_azimuth_deg": 9, "sigma_elevation_deg": 9}


def _float_column(batch: Plots, wire: str, name: str) -> list[float | None] | None:
    values = getattr(batch, name)
    known = ~np.isnan(values)
    if not known.any():
        return None
    values = np.degrees(values) if wire.endswith("_deg") else values
    column: list[float] = (np.round(values, _DECIMALS.get(wire, 3)) + 0.0).tolist()
    return [v if k else None for v, k in zip(column, known.tolist(), strict=True)]


def encode(batch: Plots) -> bytes:
    """The message of a batch; numbers are rounded to what no sensor resolves (1 mm, 1e-6 degrees), times are exact."""
    columns: dict[str, list[Any]] = {"time": [rfc3339_exact(t) for t in batch.t_us.tolist()]}
    for wire, name in zip(_WIRE[1:_FIRST_TEXT], _FLOATS, strict=True):
        column = _float_column(batch, wire, name)
        if column is not None:
            columns[wire] = column
    columns["address"] = address(batch.address.tolist())
    columns["mode3a"] = mode3a(batch.mode3a.tolist())
    columns["callsign"] = text(batch.callsign)
    columns["serial"] = text(batch.serial)
    for name in ("nic", "nacp", "nacv", "sil", "category"):
        columns[name] = [v if v >= 0 else None for v in getattr(batch, name).tolist()]
    columns["on_ground"] = [bool(v) if v >= 0 else None for v in batch.on_ground.tolist()]
    names = list(columns)
    rows = [without_none(dict(zip(names, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    head: dict[str, Any] = {"schema": SCHEMA, "sensor": batch.sensor}
    if batch.boot >= 0:
        head["boot"] = batch.boot
    if batch.seq >= 0:
        head["seq"] = batch.seq
    return dump({**head, "kind": _KIND_WORDS[batch.kind], "plots": rows})
