"""`vedette.met.v1`: pressure at mean sea level near a sensor, which turns pressure height into height.

{"schema": "vedette.met.v1", "sensor": "R1", "time": "2026-11-23T06:00:00.000Z", "qnh_hpa": 1008.2}
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.wire import dump, parse_time, read, rfc3339_exact
from fusion.schema import Invalid, Met, SensorSpec

SCHEMA = "vedette.met.v1"


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    time: str
    qnh_hpa: Annotated[float, Meta(ge=850.0, le=1_100.0)]  # records on earth: 870 (typhoon Tip) to 1,085 (Mongolia)


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Met:
    """One report of weather from the sensor `spec`.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time,
            unknown-sensor (it names another sensor than its topic).
    """
    message = read(_MESSAGE, payload, SCHEMA)
    if message.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{message.sensor[:60]!r} on the topic of {spec.id!r}")
    return Met(spec.id, rx_us, parse_time(message.time), message.qnh_hpa)


def encode(met: Met) -> bytes:
    """The message of a report; reads back exactly."""
    return dump({"schema": SCHEMA, "sensor": met.sensor, "time": rfc3339_exact(met.t_us), "qnh_hpa": met.qnh_hpa})
