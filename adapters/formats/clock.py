"""`vedette.clock.v1`: the tick of a replayed feed, which is the clock of `vedette run --clock feed`.

{"schema": "vedette.clock.v1", "time": "2026-11-23T06:15:00.100Z"}
"""

from __future__ import annotations

import msgspec

from adapters.wire import dump, parse_time, read, rfc3339_exact

SCHEMA = "vedette.clock.v1"


class _Message(msgspec.Struct):
    schema: str
    time: str


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes) -> int:
    """The time of the tick, microseconds UTC.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time.
    """
    return parse_time(read(_MESSAGE, payload, SCHEMA).time)


def encode(rx_us: int) -> bytes:
    """The message of a tick; reads back exactly."""
    return dump({"schema": SCHEMA, "time": rfc3339_exact(rx_us)})
