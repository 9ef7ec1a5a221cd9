"""`vedette.ledger.v1` on `ledger/{track}`: which states a track came over and left so far, all of it with each entry.

What is written reads back to the same entries. Only a list that would not fit a message is cut, and says so
(`shortened`): the sensors stay with the newest entry alone. A gap in the numbers: the ledger was full, and made room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec

from adapters import exact
from adapters.wire import MAX_PAYLOAD_BYTES, Names, dump, finite, parse_time, read, rfc3339_exact, without_none
from fusion.cases.record import Passage, PassageKind
from fusion.schema import Invalid

SCHEMA = "vedette.ledger.v1"


class _Entry(msgspec.Struct):
    number: int
    kind: PassageKind
    time: str
    told_time: str
    probability: float
    plots_count: int
    state: str = ""
    other: str = ""
    sigma_time_s: float = float("nan")
    lat_deg: Decimal | None = None
    lon_deg: Decimal | None = None
    sigma_m: float = float("nan")
    disputed: bool = False
    sea: bool = False
    sensors: list[str] = []


class _Message(msgspec.Struct):
    schema: str
    track: str
    entries: list[_Entry]


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(entries: Sequence[Passage], names: Names, seq: int) -> bytes:
    """The message of one track: all its entries, in order, at least one. At most 64 KiB."""
    payload = _encode(entries, names, seq)
    if len(payload) <= MAX_PAYLOAD_BYTES:
        return payload
    return _encode([*(replace(entry, sensors=()) for entry in entries[:-1]), entries[-1]], names, seq, shortened=True)


def _encode(entries: Sequence[Passage], names: Names, seq: int, shortened: bool = False) -> bytes:
    message = {
        "schema": SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339_exact(entries[-1].told_us),
        **names.marks(),
        "track": entries[-1].track,
        "shortened": shortened or None,
        "entries": [_entry(entry, dict(zip(names.codes, names.state_names, strict=False))) for entry in entries],
    }
    return dump(without_none(message))


def _entry(entry: Passage, known: dict[str, str]) -> dict[str, Any]:
    return without_none(
        {
            "number": entry.number,
            "kind": entry.kind,
            "time": rfc3339_exact(entry.t_us),
            "sigma_time_s": finite(entry.sigma_t_s),
            "told_time": rfc3339_exact(entry.told_us),
            "state": entry.state or None,
            "state_name": known.get(entry.state),
            "other": entry.other or None,
            "other_name": known.get(entry.other),
            "lat_deg": exact.degrees(entry.lat_rad),
            "lon_deg": exact.degrees(entry.lon_rad),
            "sigma_m": finite(entry.sigma_m),
            "probability": entry.probability,
            "disputed": entry.disputed,
            "sea": entry.sea,
            "sensors": entry.sensors or None,
            "plots_count": entry.plots,
        }
    )


def decode(payload: bytes) -> tuple[Passage, ...]:
    """The entries of a message, exactly as they were encoded. A number that was not finite comes back as NaN.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field (no entries too), out-of-range
            (an unknown kind, a place or a probability that is none), bad-time.
    """
    message = read(_MESSAGE, payload, SCHEMA)
    if not message.entries:
        raise Invalid("missing-field", "no entries")
    return tuple(_passage(entry, message.track) for entry in message.entries)


def _passage(entry: _Entry, track: str) -> Passage:
    if not 0.0 <= entry.probability <= 1.0:
        raise Invalid("out-of-range", "probability")
    return Passage(
        track=track,
        number=entry.number,
        kind=entry.kind,
        state=entry.state,
        other=entry.other,
        t_us=parse_time(entry.time),
        sigma_t_s=entry.sigma_time_s,
        told_us=parse_time(entry.told_time),
        lat_rad=exact.radians(entry.lat_deg),
        lon_rad=exact.radians(entry.lon_deg),
        sigma_m=entry.sigma_m,
        probability=entry.probability,
        disputed=entry.disputed,
        sea=entry.sea,
        sensors=tuple(entry.sensors),
        plots=entry.plots_count,
    )
