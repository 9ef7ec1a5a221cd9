"""`vedette.alert.v1` on `alert/{id}` (retained until closed) and `alert-log` (every transition), and in the journal.

What is written reads back to the same alert: the journal is where open alerts come from after a restart. Times keep
their microseconds and a latitude as many decimals as its radians need; where they are short, so is the text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from adapters import exact
from adapters.wire import Names, dump, finite, parse_time, read, rfc3339_exact, without_none
from fusion.schema import Alert, Quantity

__all__ = ["SCHEMA", "Alert", "decode", "encode"]

SCHEMA = "vedette.alert.v1"


class _Quantity(msgspec.Struct):
    name: str
    value: float | bool | str | None = None
    sigma: float | None = None
    condition: str = ""


class _Message(msgspec.Struct):
    schema: str
    id: str
    rule: str
    rule_version: int
    severity: int
    state: str
    track: str
    episode: int
    raised_time: str
    time: str
    lat_deg: Decimal | None = None
    lon_deg: Decimal | None = None
    first_plot_time: str = ""
    confirmed_time: str = ""
    overflown: str = ""
    near_state: str = ""
    disputed: bool = False
    quantities: list[_Quantity] = []
    sensors: list[str] = []
    sentence: str = ""
    clears: str = ""
    recipients: list[str] = []
    delayed: bool = False
    acknowledged_by: str = ""
    acknowledged_time: str = ""
    identity: str = "unknown"
    identity_by: str = ""
    identity_reason: str = ""
    close_reason: str = ""
    simulated: bool = False
    mode: str = "peace"


_MESSAGE = msgspec.json.Decoder(_Message)


def _quantity(quantity: Quantity) -> dict[str, Any]:
    value: float | bool | str | None = quantity.value
    if isinstance(value, float):
        value = finite(value)
    return without_none(
        {
            "name": quantity.name,
            "value": value,
            "sigma": None if quantity.sigma is None else finite(quantity.sigma),
            "condition": quantity.condition or None,
        }
    )


def _word(names: Names, code: str) -> str | None:
    """The readable name of a state, where there is one."""
    return names.state_names[names.codes.index(code)] if code in names.codes[: len(names.state_names)] else None


def encode(alert: Alert, names: Names, seq: int) -> bytes:
    """The message of one transition."""
    message: dict[str, Any] = {
        "schema": SCHEMA,
        "site": names.site,
        "seq": seq,
        "time": rfc3339_exact(alert.t_us),
        "id": alert.id,
        "state": alert.state,
        "severity": alert.severity,
        "sentence": alert.sentence,
        "rule": alert.rule,
        "rule_version": alert.rule_version,
        "track": alert.track,
        "episode": alert.episode,
        "raised_time": rfc3339_exact(alert.raised_us),
        "first_plot_time": exact.time(alert.first_plot_us),
        "confirmed_time": exact.time(alert.confirmed_us),
        "lat_deg": exact.degrees(alert.lat_rad),
        "lon_deg": exact.degrees(alert.lon_rad),
        "overflown": alert.overflown or None,
        "overflown_name": _word(names, alert.overflown),
        "near_state": alert.near_state or None,
        "near_state_name": _word(names, alert.near_state),
        "disputed": alert.disputed,
        "quantities": [_quantity(q) for q in alert.quantities],
        "sensors": alert.sensors,
        "clears": alert.clears or None,
        "recipients": alert.recipients or None,
        "delayed": alert.delayed,
        "acknowledged_by": alert.acknowledged_by or None,
        "acknowledged_time": exact.time(alert.acknowledged_us),
        "identity": alert.identity,
        "identity_by": alert.identity_by or None,
        "identity_reason": alert.identity_reason or None,
        "close_reason": alert.close_reason or None,
        "simulated": alert.simulated or names.simulated,
        "mode": alert.mode,
    }
    return dump(without_none(message))


def decode(payload: bytes) -> Alert:
    """The alert of a message, exactly as it was encoded. A number that was not finite comes back as NaN, or no sigma.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, bad-time.
    """
    message = read(_MESSAGE, payload, SCHEMA)
    nan = float("nan")
    return Alert(
        id=message.id,
        rule=message.rule,
        rule_version=message.rule_version,
        severity=message.severity,
        state=message.state,
        track=message.track,
        episode=message.episode,
        raised_us=parse_time(message.raised_time),
        t_us=parse_time(message.time),
        first_plot_us=exact.us(message.first_plot_time),
        confirmed_us=exact.us(message.confirmed_time),
        lat_rad=exact.radians(message.lat_deg),
        lon_rad=exact.radians(message.lon_deg),
        overflown=message.overflown,
        near_state=message.near_state,
        disputed=message.disputed,
        quantities=tuple(
            Quantity(q.name, nan if q.value is None else q.value, q.sigma, q.condition) for q in message.quantities
        ),
        sensors=tuple(message.sensors),
        sentence=message.sentence,
        clears=message.clears,
        recipients=tuple(message.recipients),
        delayed=message.delayed,
        acknowledged_by=message.acknowledged_by,
        acknowledged_us=exact.us(message.acknowledged_time),
        identity=message.identity,
        identity_by=message.identity_by,
        identity_reason=message.identity_reason,
        close_reason=message.close_reason,
        simulated=message.simulated,
        mode=message.mode,
    )
