"""`vedette.load.v1`: from this tick on the service leaves out what its level says (fusion/thinning.py).

A frame that the service makes itself, source `load`, recorded among its inputs so that a replay leaves out the same;
no topic of a live service carries it.

    {"schema": "vedette.load.v1", "level": 2, "busy_ms": 310.5}
"""

from __future__ import annotations

import msgspec

from adapters.wire import dump, read, rounded
from fusion.schema import Invalid
from fusion.thinning import MOST, Load

SCHEMA = "vedette.load.v1"
SOURCE = "load"


class _Message(msgspec.Struct):
    schema: str
    level: int


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes, rx_us: int) -> Load:
    """What is asked for.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range.
    """
    level = read(_MESSAGE, payload, SCHEMA).level
    if not 0 <= level <= MOST:
        raise Invalid("out-of-range", f"level is not one of 0..{MOST}")
    return Load(rx_us, level)


def encode(load: Load, busy_s: float) -> bytes:
    """The frame's payload. `busy_s`: what the tick before cost, for readers."""
    return dump({"schema": SCHEMA, "level": load.level, "busy_ms": rounded(1e3 * busy_s, 1)})
