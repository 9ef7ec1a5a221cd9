"""`vedette.watermark.v1` on `in/{sensor}/watermark`, retained: what a numbering sensor need not send again.

    {"schema": "vedette.watermark.v1", "sensor": "R1", "boot": 3, "seq": 1234}

Every message of that start up to and with `seq` was fused; an adapter sends again what is above it. With `first_seq`
that holds from this number on: of those before it the service knows nothing (it was not there, or a broker lost them),
and an adapter sends again which of them it still has.
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
    first_seq: Annotated[int, Meta(ge=0, le=2**53)] = 0


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(sensor: str, boot: int, seq: int, first_seq: int = 0) -> bytes:
    """The message for one sensor; a sensor that does not number its starts has boot 0."""
    told = {"schema": SCHEMA, "sensor": sensor, "boot": max(boot, 0), "seq": seq}
    return dump(told | {"first_seq": first_seq} if first_seq > 0 else told)


def decode(payload: bytes) -> tuple[str, int, int, int]:
    """(sensor, boot, seq, first_seq).

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range.
    """
    message = read(_MESSAGE, payload, SCHEMA)
    return message.sensor, message.boot, message.seq, message.first_seq
