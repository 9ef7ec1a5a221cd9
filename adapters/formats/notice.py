"""`vedette.notice.v1`: one word of one alert, as a web hook is told it.

    {"schema": "vedette.notice.v1", "key": "6f1c2a90d3b4e587.raised.1.unknown", "notice": "raised", "replayed": false,
     "text": "Alert, severity 1: ...", "alert": {"schema": "vedette.alert.v1", "id": "6f1c2a90d3b4e587", ...}}

`alert` is the message of the alert as the service publishes it, without the names of states. `text` is one line for
people, and begins with SIMULATED, EXERCISE or REPLAY where it is no real one. The same news has the same `key`.
"""

from __future__ import annotations

import msgspec

from adapters.wire import dump, read

SCHEMA = "vedette.notice.v1"
KINDS = ("raised", "changed", "acknowledged", "closed")


class _Message(msgspec.Struct):
    schema: str
    key: str
    notice: str
    text: str
    alert: msgspec.Raw
    replayed: bool = False


_MESSAGE = msgspec.json.Decoder(_Message)


def encode(kind: str, key: str, text: str, alert: bytes, replayed: bool) -> bytes:
    """The body of a request. `alert`: the message of the alert (adapters/formats/alert.py)."""
    inner = msgspec.Raw(alert)
    return dump({"schema": SCHEMA, "key": key, "notice": kind, "text": text, "replayed": replayed, "alert": inner})


def decode(payload: bytes) -> tuple[str, str, str, bytes, bool]:
    """(kind, key, text, message of the alert, replayed) of a body. Raises Invalid."""
    said = read(_MESSAGE, payload, SCHEMA)
    return said.notice, said.key, said.text, bytes(said.alert), said.replayed
