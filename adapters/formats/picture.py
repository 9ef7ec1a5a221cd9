"""`vedette.picture.v1`: the air picture at one moment, in parts of at most 48 KiB.

    {"schema": "vedette.picture.v1", "site": "lt-east", "seq": 77, "time": "...", "full": true, "part": 0, "parts": 2,
     "tracks": [...], "dropped": [{"id": "7:12", "reason": "left coverage"}]}

All parts of a picture carry the same `seq`. A delta ("full": false) holds the tracks that changed and those that ended
since the picture before; what it does not name goes on as before.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from adapters.rows import Row, rows_of
from adapters.wire import Names, dump, pack, read, rfc3339
from fusion.schema import Picture

SCHEMA = "vedette.picture.v1"
_ROW = msgspec.json.Encoder()


class Ended(msgspec.Struct, frozen=True, gc=False):
    """A track that is no more, and why."""

    id: str
    reason: str = ""


class Part(msgspec.Struct, frozen=True, gc=False):
    """One message of a picture as it is read back; the rows are not checked one by one."""

    schema: str
    time: Annotated[datetime, Meta(tz=True)]
    full: bool
    seq: int = -1
    part: int = 0
    parts: int = 1
    tracks: tuple[Row, ...] = ()
    dropped: tuple[Ended, ...] = ()
    simulated: bool = False
    mode: str = "peace"


_PART = msgspec.json.Decoder(Part)


def encode(picture: Picture, names: Names, seq: int) -> list[bytes]:
    """The messages of a picture, at least one, in order of their `part`."""
    epoch = picture.tracks.epoch
    rows = [_ROW.encode(row) for row in rows_of(picture.tracks, picture.assessment, names, brief=True)]
    dropped = [dump({"id": f"{epoch}:{counter}", "reason": reason}) for counter, reason in picture.dropped]
    head = {
        "schema": SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339(picture.t_us),
        **names.marks(),
        "full": picture.full,
    }
    return pack(head, (("tracks", rows), ("dropped", dropped)))


def decode(payload: bytes) -> Part:
    """One message of a picture.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time, out-of-range.
    """
    return read(_PART, payload, SCHEMA)
