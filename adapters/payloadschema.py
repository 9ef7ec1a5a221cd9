"""JSON schemas of payloads for recordings, so that viewers can offer their fields: drawn from the documented examples.

They name fields and types, forbid nothing and require nothing: the decoders in `adapters/formats/` say what is valid.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from adapters.samples import samples
from replay.log import TICK
from replay.mcapfile import NamedSchema, SchemaOf, tick_data

_NAMED = re.compile(rb'"schema"\s*:\s*"([a-z0-9.-]{1,60})"')
_HEAD_BYTES = 200  # of a payload in which its schema is looked for: it stands first, or behind a mark or two
_READSB = re.compile(r"in/[^/]+/plots")  # readsb's own words: the only input that names no schema


def schemas() -> SchemaOf:
    """The schema of a topic by its first payload; None where no example is known."""
    known: dict[str, bytes] = {}
    for sample in samples():
        payload = sample.payload() if sample.payload else b""
        if payload:
            known.setdefault(_name(payload) or "readsb", _schema(payload))
    known["tick"] = _schema(tick_data(1))

    def schema_of(topic: str, payload: bytes) -> NamedSchema | None:
        name = _name(payload)
        if topic == TICK:
            name = "tick"
        elif not name and _READSB.fullmatch(topic):
            name = "readsb"
        if name not in known:
            if not name.startswith("vedette.") or not _is_object(payload):
                return None
            known[name] = _schema(payload)  # of what is recorded and never published: the first one is the example
        return name, known[name]

    return schema_of


def _name(payload: bytes) -> str:
    found = _NAMED.search(payload, 0, _HEAD_BYTES)
    return found[1].decode() if found else ""


def _is_object(payload: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(payload), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _schema(payload: bytes) -> bytes:
    return msgspec.json.encode(type_of(msgspec.json.decode(payload)))


def type_of(value: Any) -> dict[str, Any]:
    """The JSON schema that an example suggests: names and types."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {key: type_of(item) for key, item in value.items()}}
    if isinstance(value, list):
        return {"type": "array", "items": _merged([type_of(item) for item in value])}
    if isinstance(value, bool):
        return {"type": "boolean"}
    return {"type": "number" if isinstance(value, int | float) else "string"}


def _merged(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for all items of a list: of objects every property that any of them has."""
    whole = dict(kinds[0]) if kinds else {}
    for kind in kinds[1:]:
        if "properties" in whole and "properties" in kind:
            whole["properties"] = whole["properties"] | kind["properties"]
    return whole
