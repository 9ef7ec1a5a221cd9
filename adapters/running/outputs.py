"""What a recording keeps of what the service said, so that a replay can be compared with it.

    out/picture    the whole picture, once a second, as it was published
    out/alert, out/incident, out/area, out/withheld    every transition, as it stands in the journal
    out/checkpoint  the state, every minute and soon after a file has begun, in parts (adapters/running/checkpoint.py)
    out/digest     once a second, three chains of sha256: over pictures, alerts and incidents, bit for bit

Two runs whose digests of one moment are equal have said the same until then.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from adapters.running.outbox import Turn
from adapters.wire import dump, load_json, rfc3339_exact
from fusion.cases.record import IncidentChanged
from fusion.schema import AlertChanged, Event, Picture
from replay.mcapfile import Output

DIGEST = "digest"
CHECKPOINT = "checkpoint"
DIGEST_SCHEMA = "vedette.digest.v1"
NOTHING = "0" * 64
_NAMED = re.compile(rb'\{"schema":"vedette\.([a-z-]+)\.v[0-9]+"')


@dataclass(frozen=True, slots=True)
class Digest:
    """Where the three chains stand, in hexadecimal."""

    tracks: str = NOTHING
    alerts: str = NOTHING
    incidents: str = NOTHING


class Outputs:
    """Turns what one tick brought into what is recorded of it. `digest` is state that a checkpoint keeps."""

    def __init__(self, digest: Digest | None = None) -> None:
        self.digest = digest or Digest()

    def hear(self, tick_us: int, events: Sequence[Event]) -> list[Output]:
        """Take in what the engine said; the digest, once a second."""
        tracks, alerts, incidents = self.digest.tracks, self.digest.alerts, self.digest.incidents
        whole = False
        for event in events:
            if isinstance(event, AlertChanged):
                alerts = _chained(alerts, _bits(event.alert))
            elif isinstance(event, IncidentChanged):
                incidents = _chained(incidents, _bits(event.incident))
            elif isinstance(event, Picture) and event.full:
                tracks, whole = _chained(tracks, _picture(event)), True
        self.digest = Digest(tracks, alerts, incidents)
        return [Output(tick_us, DIGEST, _encode(tick_us, self.digest))] if whole else []

    def of(self, tick_us: int, events: Sequence[Event], turn: Turn) -> list[Output]:
        """All that is recorded of a tick."""
        told = [Output(tick_us, "picture", part) for part in turn.pictures]
        return [*transitions(tick_us, turn.journal), *told, *self.hear(tick_us, events)]


def transitions(t_us: int, journal: Sequence[bytes]) -> list[Output]:
    """Entries of the journal as outputs, by their schema."""
    return [Output(t_us, found[1].decode(), entry) for entry in journal if (found := _NAMED.match(entry))]


def read_digest(payload: bytes) -> Digest:
    """What was recorded. Raises Invalid: not a digest."""
    message = load_json(payload, DIGEST_SCHEMA)
    return Digest(*(str(message.get(name, "")) for name in ("tracks", "alerts", "incidents")))


def _encode(t_us: int, digest: Digest) -> bytes:
    chains = {"tracks": digest.tracks, "alerts": digest.alerts, "incidents": digest.incidents}
    return dump({"schema": DIGEST_SCHEMA, "time": rfc3339_exact(t_us), **chains})


def _chained(head: str, bits: bytes) -> str:
    return hashlib.sha256(head.encode() + bits).hexdigest()


def _picture(event: Picture) -> bytes:
    parts = [event.tracks, event.assessment]
    return b"".join([b"%d" % event.t_us, repr(event.dropped).encode(), *map(_bits, parts)])


def _bits(told: object) -> bytes:
    """All bits of a frozen record of numbers, texts and arrays."""
    bits = []
    for item in fields(told):  # type: ignore[arg-type]
        value = getattr(told, item.name)
        bits.append(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
    return b"\0".join(bits)
