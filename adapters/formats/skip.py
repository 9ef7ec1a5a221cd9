"""`vedette.skip.v1`, a frame of a recording and never published: track ids that are passed over from here on."""

from __future__ import annotations

import msgspec

from adapters.wire import dump, read
from fusion.schema import Invalid

SCHEMA = "vedette.skip.v1"
MAX_IDS = 10**9


class _Message(msgspec.Struct):
    schema: str
    ids: int


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(ids: int) -> bytes:
    """The frame's payload."""
    return dump({"schema": SCHEMA, "ids": ids})


def decode(payload: bytes) -> int:
    """How many. Raises Invalid."""
    ids = read(_MESSAGE, payload, SCHEMA).ids
    if not 0 <= ids <= MAX_IDS:
        raise Invalid("out-of-range", "ids")
    return ids
