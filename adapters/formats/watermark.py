"""`vedette.watermark.v1` on `in/{sensor}/watermark`, retained: what a numbering sensor need not send again.

    {"schema": "vedette.watermark.v1", "sensor": "R1", "boot": 3, "seq": 1234}

Every message of that start up to and with `seq` was fused; an adapter sends again what is above it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.wire import dump, read

SCHEMA = "vedette.watermark.v1"


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    boot: Annotated[int, Meta(ge=0, le=2**53)]
    seq: Annotated[int, Meta(ge=0, le=2**53)]


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(sensor: str, boot: int, seq: int) -> bytes:
    """The message for one sensor; a sensor that does not number its starts has boot 0."""
    return dump({"schema": SCHEMA, "sensor": sensor, "boot": max(boot, 0), "seq": seq})


def decode(payload: bytes) -> tuple[str, int, int]:
    """(sensor, boot, seq).

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range.
    """
    message = read(_MESSAGE, payload, SCHEMA)
    return message.sensor, message.boot, message.seq
