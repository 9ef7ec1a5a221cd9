"""`vedette.picture.v1`: the air picture at one moment, in parts of at most 48 KiB.

    {"schema": "vedette.picture.v1", "site": "lt-east", "seq": 77, "time": "...", "full": true, "part": 0, "parts": 2,
     "tracks": [...], "dropped": [{"id": "7:12", "reason": "left coverage"}]}

All parts of a picture carry the same `seq`. A delta ("full": false) holds the tracks that changed and those that ended
since the picture before; what it does not name goes on as before.
"""

from __future__ import annotations

import msgspec

from adapters.rows import rows_of
from adapters.wire import Names, dump, pack, rfc3339
from fusion.schema import Picture

SCHEMA = "vedette.picture.v1"
_ROW = msgspec.json.Encoder()


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
