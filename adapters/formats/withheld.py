"""`vedette.withheld.v1` on `withheld` and in the journal: a red line held, and notified activity was the reason why no
alert was raised. Told when it begins (`state` "began") and when it ends ("ended", with why)."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from adapters import exact
from adapters.wire import Names, dump, parse_time, read, rfc3339_exact, without_none
from fusion.cases.record import Withheld

SCHEMA = "vedette.withheld.v1"


class _Message(msgspec.Struct):
    schema: str
    track: str
    rule: str
    rule_version: int
    severity: int
    volume: str
    owner: str
    reason: str
    since_time: str
    time: str
    lat_deg: Decimal | None = None
    lon_deg: Decimal | None = None
    ended: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(held: Withheld, names: Names, seq: int) -> bytes:
    """The message of one beginning or end."""
    return dump(
        without_none(
            {
                "schema": SCHEMA,
                "site": names.site,
                "seq": seq,
                "time": rfc3339_exact(held.t_us),
                **names.marks(),
                "state": "ended" if held.ended else "began",
                "track": held.track,
                "rule": held.rule,
                "rule_version": held.rule_version,
                "severity": held.severity,
                "volume": held.volume,
                "owner": held.owner,
                "reason": held.reason,
                "since_time": rfc3339_exact(held.since_us),
                "lat_deg": exact.degrees(held.lat_rad),
                "lon_deg": exact.degrees(held.lon_rad),
                "ended": held.ended or None,
            }
        )
    )


def decode(payload: bytes) -> Withheld:
    """What was encoded, exactly.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return Withheld(
        m.track, m.rule, m.rule_version, m.severity, m.volume, m.owner, m.reason,
        parse_time(m.since_time), parse_time(m.time), exact.radians(m.lat_deg), exact.radians(m.lon_deg), m.ended,
    )  # fmt: skip
