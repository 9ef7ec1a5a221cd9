"""Lines of JSON from whoever hears or finds directions: microphones, radio direction finders, cameras. Ours.

    {"time": "2026-11-23T06:15:00.123Z", "azimuth_deg": 73.2, "sigma_azimuth_deg": 4.0, "source": "mic-3"}
    {"state": "degraded", "detail": "wind", "source": "mic-3"}

A bearing is from true north, clockwise, at the place of the sensor. `time` is RFC 3339 with its zone, or seconds of the
Unix clock. Elevation, the sigmas and `source`, which tells several senders of one line apart, may be left out. A line
with a `state` says how its source is. Keys that this file does not know are passed over.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from adapters.wire import BAD_JSON, Decoded, check_envelope, dump, finite, parse_time, reason_of, rfc3339_exact, stand
from adapters.wire import without_none as said
from fusion.schema import Invalid, PlotKind, SensorSpec

Source = Annotated[str, Meta(max_length=64)]


@dataclass(frozen=True, slots=True)
class Bearing:
    """One direction, as it was heard."""

    t_us: int
    azimuth_rad: float
    elevation_rad: float = math.nan
    sigma_azimuth_rad: float = math.nan
    sigma_elevation_rad: float = math.nan
    source: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How a source says that it is: ok, degraded, off."""

    state: str
    detail: str = ""
    source: str = ""


class _Line(msgspec.Struct, gc=False):
    time: float | str = ""
    azimuth_deg: float = math.nan
    elevation_deg: float = math.nan
    sigma_azimuth_deg: float = math.nan
    sigma_elevation_deg: float = math.nan
    source: Source = ""
    state: Literal["", "ok", "degraded", "off"] = ""
    detail: str = ""


_LINE = msgspec.json.Decoder(_Line)


def decode_line(line: bytes) -> Bearing | State:
    """What one line says.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, missing-field (time, azimuth), bad-time, out-of-range.
    """
    check_envelope(line)
    try:
        found = _LINE.decode(line)
    except BAD_JSON as error:
        raise Invalid(reason_of(error), str(error)[:120]) from None
    if found.state:
        return State(found.state, found.detail, found.source)
    if found.time == "" or math.isnan(found.azimuth_deg):
        raise Invalid("missing-field", "time" if found.time == "" else "azimuth_deg")
    if not 0.0 <= found.azimuth_deg <= 360.0:
        raise Invalid("out-of-range", "azimuth_deg")
    return Bearing(
        parse_time(found.time),
        math.radians(found.azimuth_deg),
        math.radians(found.elevation_deg),
        math.radians(found.sigma_azimuth_deg),
        math.radians(found.sigma_elevation_deg),
        found.source,
    )


def encode_line(one: Bearing | State) -> bytes:
    """A line that reads back as this."""
    if isinstance(one, State):
        return dump(said({"state": one.state, "detail": one.detail or None, "source": one.source or None})) + b"\n"
    message = {
        "time": rfc3339_exact(one.t_us),
        "azimuth_deg": finite(math.degrees(one.azimuth_rad)),
        "elevation_deg": finite(math.degrees(one.elevation_rad)),
        "sigma_azimuth_deg": finite(math.degrees(one.sigma_azimuth_rad)),
        "sigma_elevation_deg": finite(math.degrees(one.sigma_elevation_rad)),
        "source": one.source or None,
    }
    return dump(said(message)) + b"\n"


def plots(found: Sequence[Bearing], spec: SensorSpec, rx_us: int) -> Decoded:
    """Bearings of one sensor as a batch. Sigmas that are not said are those of the service's sensors.toml.

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    columns = {
        name: np.array([getattr(one, name) for one in found])
        for name in ("azimuth_rad", "elevation_rad", "sigma_azimuth_rad", "sigma_elevation_rad")
    }
    t_us = np.array([one.t_us for one in found], np.int64)
    return stand(spec, PlotKind.BEARING, rx_us, t_us, -1, -1, columns, {})
