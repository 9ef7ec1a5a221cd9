"""`vedette.sensor-status.v1`: a sensor's own word about itself.

{"schema": "vedette.sensor-status.v1", "sensor": "R1", "time": "2026-11-23T06:15:00.000Z", "state": "degraded",
 "detail": "channel B"}
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.wire import dump, parse_time, read_once, rfc3339_exact, without_none
from fusion.schema import Invalid, SensorSpec, SensorStatus

SCHEMA = "vedette.sensor-status.v1"


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    time: str
    state: Literal["ok", "degraded", "off"]
    detail: Annotated[str, Meta(max_length=500)] = ""


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> SensorStatus:
    """One status of the sensor `spec`.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time,
            unknown-sensor (it names another sensor than its topic).
    """
    message = read_once(_MESSAGE, payload, SCHEMA)
    if message.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{message.sensor[:60]!r} on the topic of {spec.id!r}")
    return SensorStatus(spec.id, rx_us, parse_time(message.time), message.state, message.detail)


def encode(status: SensorStatus) -> bytes:
    """The message of a status; reads back exactly."""
    head = {"schema": SCHEMA, "sensor": status.sensor, "time": rfc3339_exact(status.t_us), "state": status.state}
    return dump(without_none({**head, "detail": status.detail or None}))
