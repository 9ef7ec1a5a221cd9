"""`vedette.status.v1` on `status`, retained: is the service there, and how is it.

    {"schema": "vedette.status.v1", "site": "lt-east", "time": "...", "state": "live", "epoch": 3, ...}

The last will on the same topic says "offline"; a will cannot carry the time at which it is published.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from adapters.wire import dump, parse_time, read, rfc3339, without_none

SCHEMA = "vedette.status.v1"


@dataclass(frozen=True, slots=True)
class StatusInfo:
    """The service's own state. Times in microseconds UTC; -1 and "" are not known."""

    site: str
    t_us: int
    state: str  # starting, live, replay, catching-up, offline
    epoch: int = -1
    simulated: bool = False
    mode: str = "peace"
    version: str = ""
    config_hash: str = ""
    started_us: int = -1
    tracks: dict[str, int] = field(default_factory=dict)  # by status
    open_alerts: int = -1
    sensors: dict[str, int] = field(default_factory=dict)  # by health state
    received: int = -1  # plots and other inputs since the start
    used: int = -1
    load_level: int = -1  # 0: it keeps up; above, what known airliners repeat is thinned
    shed: int = -1  # items left out for it since the start
    seq: int = -1
    detail: str = ""


def _known(value: int) -> int | None:
    return value if value >= 0 else None


def encode(info: StatusInfo) -> bytes:
    """The message of the service's state."""
    return dump(
        without_none(
            {
                "schema": SCHEMA,
                "site": info.site,
                "seq": _known(info.seq),
                "time": rfc3339(info.t_us),
                "state": info.state,
                "simulated": info.simulated,
                "mode": info.mode,
                "version": info.version or None,
                "epoch": _known(info.epoch),
                "config_hash": info.config_hash or None,
                "started_time": rfc3339(info.started_us) if info.started_us >= 0 else None,
                "tracks_count": dict(sorted(info.tracks.items())) or None,
                "open_alerts_count": _known(info.open_alerts),
                "sensors_count": dict(sorted(info.sensors.items())) or None,
                "received_count": _known(info.received),
                "used_count": _known(info.used),
                "load_level": _known(info.load_level),
                "shed_count": _known(info.shed),
                "detail": info.detail or None,
            }
        )
    )


def will(site: str) -> bytes:
    """What the broker says for us when we are gone."""
    return dump({"schema": SCHEMA, "site": site, "state": "offline"})


class _Message(msgspec.Struct):
    schema: str
    site: str
    state: str
    time: str = ""
    simulated: bool = False
    mode: str = "peace"
    version: str = ""
    epoch: int = -1
    config_hash: str = ""
    started_time: str = ""
    tracks_count: dict[str, int] = {}
    open_alerts_count: int = -1
    sensors_count: dict[str, int] = {}
    received_count: int = -1
    used_count: int = -1
    load_level: int = -1
    shed_count: int = -1
    seq: int = -1
    detail: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes) -> StatusInfo:
    """The state of a message; of a will, which has no time, with -1.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return StatusInfo(
        m.site,
        parse_time(m.time) if m.time else -1,
        m.state,
        m.epoch,
        m.simulated,
        m.mode,
        m.version,
        m.config_hash,
        parse_time(m.started_time) if m.started_time else -1,
        m.tracks_count,
        m.open_alerts_count,
        m.sensors_count,
        m.received_count,
        m.used_count,
        m.load_level,
        m.shed_count,
        m.seq,
        m.detail,
    )
