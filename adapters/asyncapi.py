"""The AsyncAPI 3 document of every topic, made from the samples and from the types that read the messages.

`python -m adapters.docs` writes it to docs/reference/asyncapi.json. A schema names every field of the type that decodes
the message, with its limits, and what the example has beyond; it forbids nothing more, since readers ignore what they
do not know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from adapters.formats import (
    alert,
    area,
    clock,
    command,
    health,
    incident,
    ledger,
    met,
    picture,
    plots,
    readsb,
    search,
    sensorstatus,
    sighting,
    status,
)
from adapters.payloadschema import type_of
from adapters.rows import Told
from adapters.samples import Sample, samples
from adapters.version import package_version

BASE = "vedette/v1/{site}/"
MODELS: dict[str, type[msgspec.Struct]] = {
    "vedette.track.v1": Told,
    picture.SCHEMA: picture.Part,
    alert.SCHEMA: alert._Message,
    incident.SCHEMA: incident._Message,
    ledger.SCHEMA: ledger._Message,
    search.SCHEMA: search._Message,
    area.SCHEMA: area._Message,
    health.SCHEMA: health._Message,
    status.SCHEMA: status._Message,
    plots.SCHEMA: plots._Message,
    sensorstatus.SCHEMA: sensorstatus._Message,
    met.SCHEMA: met._Message,
    sighting.SCHEMA: sighting._Message,
    command.SCHEMA: command._Message,
    clock.SCHEMA: clock._Message,
    "readsb": readsb._Message,
}
# What stands for a part of a topic, by the word before it.
PARAMETERS = {
    "site": "Site of the service, as its service.toml names it.",
    "sensor": "Id of a sensor in sensors.toml, which is its account at the broker too.",
    "track": "Epoch and number of a track, 5:17.",
    "alert": "Id of an alert: 16 hex digits, the same in every format.",
    "incident": "Id of an incident.",
    "part": "Number of a part, from 0.",
    "number": "Number of an area.",
    "neighbour": "Name of a neighbour in `partners` of service.toml, which is its account too.",
    "verb": "acknowledge, identify, close, hand-over or mode.",
    "reply": "Whatever the asker named as its response topic, below `answer/`.",
}
_AFTER = {
    "in": "sensor", "track": "track", "ledger": "track", "search": "track", "alert": "alert", "incident": "incident",
    "picture": "part", "sensor": "sensor", "area": "number", "interference": "number", "partner": "neighbour",
    "cmd": "verb", "answer": "reply",
}  # fmt: skip
_FIXED = ("in/clock", "cmd/take")
RESERVED = ("in/{sensor}/registration",)  # may be said, and is refused as an unknown topic: no format for it yet


def address(topic: str) -> str:
    """The address of an example's topic, below the site: `track/5:17` is of `track/{track}`."""
    parts = topic.split("/")
    found: list[str] = []
    for before, part in zip(["", *parts], parts, strict=False):
        fixed = f"{before}/{part}" in _FIXED or before not in _AFTER or (found and found[-1].startswith("{"))
        found.append(part if fixed else f"{{{_AFTER[before]}}}")
    return "/".join(found)


def document() -> str:
    """The whole document as JSON text."""
    grouped: dict[str, list[Sample]] = {}
    for sample in samples():
        grouped.setdefault(address(sample.topic), []).append(sample)
    messages = {_name(sample): _message(sample) for some in grouped.values() for sample in some if sample.payload}
    channels = {_key(where): _channel(where, some, messages) for where, some in grouped.items()}
    channels |= {_key(where): _channel(where, (), {}) for where in RESERVED}
    whole = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Vedette",
            "version": package_version(),
            "description": "Everything that the service hears and says over MQTT 5. Written by `make docs` from the "
            "code; docs/reference/messages.md tells the same for people.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "127.0.0.1:1883",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "description": "The broker of service.toml; config/mosquitto.acl says who may say and hear what.",
            }
        },
        "channels": channels,
        "operations": {name: one for where, some in grouped.items() for name, one in _operations(where, some)},
        "components": {"messages": messages},
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _key(where: str) -> str:
    return "-".join(part for part in where.split("/") if not part.startswith("{")) or where


def _name(sample: Sample) -> str:
    """Of the message: its schema, or `readsb`, the one that has none."""
    assert sample.payload is not None
    named: str = msgspec.json.decode(sample.payload()).get("schema", "readsb")
    return named


def _message(sample: Sample) -> dict[str, Any]:
    assert sample.payload is not None
    example = msgspec.json.decode(sample.payload())
    model, shown = MODELS.get(_name(sample)), type_of(example)
    schema = schema_of(model) if model is not None else {}
    properties = schema.get("properties", {})
    shown["properties"] = {name: properties.get(name, kind) for name, kind in shown["properties"].items()} | properties
    if "required" in schema:
        shown["required"] = schema["required"]
    return {"name": _name(sample), "summary": sample.about, "payload": shown, "examples": [{"payload": example}]}


def _channel(where: str, some: Sequence[Sample], messages: dict[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(name for sample in some for name in _names(sample, messages)))
    described = [sample.about for sample in some] or ["Nothing reads it yet: refused as an unknown topic."]
    return {
        "address": BASE + where,
        "description": "; ".join(described),
        "parameters": {name: {"description": PARAMETERS[name]} for name in re.findall(r"\{(\w+)\}", BASE + where)},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
    }


def _names(sample: Sample, messages: dict[str, Any]) -> list[str]:
    """Which message a sample is; one without a payload is the same as on the topic that its own names in short."""
    if sample.payload:
        return [_name(sample)]
    if sample.topic.startswith("in/"):
        return ["vedette.track.v1"]
    kind = sample.topic.removeprefix("partner/LV/").partition("/")[0].removesuffix("-log")
    return [name for name in messages if name == f"vedette.{kind}.v1"]


def _operations(where: str, some: Sequence[Sample]) -> list[tuple[str, dict[str, Any]]]:
    """What the service does there: `send` what it says, `receive` what others say."""
    found = []
    for says in dict.fromkeys(sample.sender == "Vedette" for sample in some):
        travels = next(sample.travels for sample in some if (sample.sender == "Vedette") == says)
        senders = sorted({sample.sender for sample in some})
        binding: dict[str, Any] = {"qos": int(travels[4]), "retain": "retained" in travels}
        expiry = re.search(r"retained (\d+) (s|min)", travels)
        if expiry is not None:
            binding["messageExpiryInterval"] = int(expiry[1]) * (60 if expiry[2] == "min" else 1)
        operation = {
            "action": "send" if says else "receive",
            "channel": {"$ref": f"#/channels/{_key(where)}"},
            "summary": f"{'Said by Vedette' if says else 'Said by ' + ' or '.join(senders)}, {travels}.",
            "bindings": {"mqtt": {**binding, "bindingVersion": "0.2.0"}},
        }
        found.append((f"{operation['action']}-{_key(where)}", operation))
    return found


def schema_of(model: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schema (draft 7) of what a message of this type may hold on the wire, in one piece."""
    whole = msgspec.json.schema(model)
    schema: dict[str, Any] = _plain(whole, whole.get("$defs", {}))
    return schema


def _plain(node: Any, parts: dict[str, Any]) -> Any:
    """Without references, defaults (what is not known is absent) and nulls (no message holds one)."""
    if isinstance(node, list):
        return [_plain(item, parts) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _plain(parts[node["$ref"].rpartition("/")[2]], parts)
    if "anyOf" in node:
        kinds = [kind for kind in node["anyOf"] if kind != {"type": "null"}]
        return _plain(kinds[0], parts) if len(kinds) == 1 else {"anyOf": _plain(kinds, parts)}
    if node.get("format") == "decimal":
        return {"type": "number"}  # read as text for its exact digits, written as a number
    found = {}
    for key, value in node.items():
        if key == "properties":
            found[key] = {name: _plain(item, parts) for name, item in value.items()}
        elif key == "prefixItems":
            found["items"] = _plain(value, parts)
        elif key == "pattern":
            found[key] = value.replace(r"\A", "^").replace(r"\Z", "$")
        elif key not in ("$defs", "default", "title", "description") and not (key == "items" and value is False):
            found[key] = _plain(value, parts)
    return found
