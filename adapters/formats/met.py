"""`vedette.met.v1`: pressure at mean sea level near a sensor, which turns pressure height into height, and the wind.

    {"schema": "vedette.met.v1", "sensor": "R1", "time": "2026-11-23T06:00:00.000Z", "qnh_hpa": 1008.2,
     "wind_east_mps": 6.1, "wind_north_mps": -2.3}

The wind is where the air goes, not where it comes from: a west wind is positive to the east. Both parts, or none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.wire import dump, finite, parse_time, read_once, rfc3339_exact, without_none
from fusion.schema import Invalid, Met, SensorSpec

SCHEMA = "vedette.met.v1"
_Wind = Annotated[float, Meta(ge=-120.0, le=120.0)]  # a jet stream is 110


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    time: str
    qnh_hpa: Annotated[float, Meta(ge=850.0, le=1_100.0)]  # records on earth: 870 (typhoon Tip) to 1,085 (Mongolia)
    wind_east_mps: _Wind | None = None
    wind_north_mps: _Wind | None = None


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Met:
    """One report of weather from the sensor `spec`.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time,
            unknown-sensor (it names another sensor than its topic).
    """
    message = read_once(_MESSAGE, payload, SCHEMA)
    if message.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{message.sensor[:60]!r} on the topic of {spec.id!r}")
    east, north = message.wind_east_mps, message.wind_north_mps
    if (east is None) != (north is None):
        raise Invalid("missing-field", "wind_east_mps and wind_north_mps, both or none")
    report = Met(spec.id, rx_us, parse_time(message.time), message.qnh_hpa)
    return report if east is None or north is None else replace(report, wind_mps=(east, north))


def encode(met: Met) -> bytes:
    """The message of a report; reads back exactly."""
    message = {"schema": SCHEMA, "sensor": met.sensor, "time": rfc3339_exact(met.t_us), "qnh_hpa": met.qnh_hpa}
    east, north = met.wind_mps
    return dump(without_none({**message, "wind_east_mps": finite(east), "wind_north_mps": finite(north)}))
