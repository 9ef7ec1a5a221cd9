"""`vedette.track.v1` on `track/{id}`: everything that is published of one track."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from adapters.rows import Row, rows_of
from adapters.wire import Names, dump, rfc3339
from fusion.schema import Assessment, Tracks

SCHEMA = "vedette.track.v1"
_ROW = msgspec.json.Encoder()


def encode_rows(tracks: Tracks, assessment: Assessment, rows: Sequence[int], names: Names, seq: int) -> list[bytes]:
    """The messages of some rows of a table, numbered from `seq` on: many cost far less together than one by one."""
    made: list[Row] = rows_of(tracks, assessment, names, np.asarray(rows, np.int64))
    time = rfc3339(tracks.t_us)
    payloads = []
    for i, row in enumerate(made):
        head = dump({"schema": SCHEMA, "site": names.site, "seq": seq + i, "time": time})
        payloads.append(head[:-1] + b"," + _ROW.encode(row)[1:])
    return payloads


def encode(tracks: Tracks, assessment: Assessment, row: int, names: Names, seq: int) -> bytes:
    """The message of one row of a table. `time` is the moment for which the state holds."""
    return encode_rows(tracks, assessment, (row,), names, seq)[0]
