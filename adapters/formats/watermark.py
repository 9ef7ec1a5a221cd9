"""`vedette.watermark.v1` on `in/{sensor}/watermark`, retained: what a numbering sensor need not send again.

    {"schema": "vedette.watermark.v1", "sensor": "R1", "boot": 3, "seq": 1234, "first_seq": 17, "also": [[3, 5, 9]]}

Every message of that start from `first_seq` (0 where it is left out) to `seq` was fused, and so was every one of each
run in `also`: [boot, first, last], newest first. An adapter sends again what lies in none of them and it still has: the
service never heard of it (it was not there, or a broker lost it). Who does not read `also` may send again what is fused
and loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.wire import dump, read
from fusion.numbers import MAX_RUNS, Run

SCHEMA = "vedette.watermark.v1"


Number = Annotated[int, Meta(ge=0, le=2**53)]


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    boot: Number
    seq: Number
    first_seq: Number = 0
    also: Annotated[list[tuple[Number, Number, Number]], Meta(max_length=MAX_RUNS)] = []


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(sensor: str, runs: Sequence[Run]) -> bytes:
    """The message for one sensor, of at least one run; a sensor that does not number its starts has boot 0."""
    (boot, first, last), *others = runs
    told: dict[str, object] = {"schema": SCHEMA, "sensor": sensor, "boot": max(boot, 0), "seq": last}
    if first > 0:
        told["first_seq"] = first
    if others:
        told["also"] = [(max(run.boot, 0), run.first, run.last) for run in others]
    return dump(told)


def decode(payload: bytes) -> tuple[str, list[Run]]:
    """The sensor, and the runs that were fused of it.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range.
    """
    message = read(_MESSAGE, payload, SCHEMA)
    told = Run(message.boot, message.first_seq, message.seq)
    return message.sensor, [told, *(Run(*run) for run in message.also)]
