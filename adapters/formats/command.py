"""`vedette.command.v1` on `cmd/{verb}`, and `vedette.answer.v1` to its response topic.

    {"schema": "vedette.command.v1", "alert_id": "0123456789abcdef", "operator": "J. Petraitis",
     "identity": "hostile", "reason": "seen by patrol"}

The verb is the last level of the topic: acknowledge, identify, close, hand-over, take, mode. A command is about an
alert (`alert_id`) or about an incident (`incident_id`), which acknowledges, identifies or closes all its alerts; only
an incident is handed over (`to` whom) and taken. `cmd/mode` is about the whole service: `to` is peace, tension or
exercise. What an object *is* only a person may say.

Response topic and correlation data travel beside the payload in MQTT. A frame has nothing beside its payload, and a
replay must answer as the service did: so at the door the message is put into an envelope, `vedette.command-frame.v1`,
which `decode` opens. An envelope inside an envelope is only a command of the wrong schema.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.wire import BAD_JSON, MAX_PAYLOAD_BYTES, Names, check_envelope, dump, read, rfc3339, without_none
from fusion.orders import VERBS
from fusion.schema import Answer, Command, Frame, Invalid

SCHEMA = "vedette.command.v1"
ANSWER_SCHEMA = "vedette.answer.v1"
_ID = r"\A[0-9a-f]{16}\Z"


class _Message(msgspec.Struct):
    schema: str
    operator: Annotated[str, Meta(min_length=1, max_length=64)]
    alert_id: Annotated[str, Meta(pattern=_ID)] = ""
    incident_id: Annotated[str, Meta(pattern=_ID)] = ""
    to: Annotated[str, Meta(max_length=64)] = ""
    reason: Annotated[str, Meta(max_length=500)] = ""
    identity: Literal["friend", "neutral", "suspect", "hostile", "unknown", ""] = ""


class _Envelope(msgspec.Struct):
    schema: str
    payload: bytes  # base64, as msgspec reads and writes bytes
    response_topic: str = ""
    correlation: bytes = b""


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ENVELOPE_SCHEMA = "vedette.command-frame.v1"
_ENVELOPE_START = b'{"schema":"vedette.command-frame.v1",'
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_response_topic(topic: str) -> None:
    """Refuse to answer where an answer would pass for something else: we may write where the asker may not.

    Raises:
        Invalid: `out-of-range`: wildcards, the broker's own topics, or ours outside `vedette/v1/{site}/answer/`.
    """
    levels = topic.split("/")
    foreign = levels[0] != "vedette"
    if len(topic) > 200 or "+" in topic or "#" in topic or topic.startswith("$") or _NOT_PRINTABLE.search(topic):
        raise Invalid("out-of-range", "response topic")
    if topic and not foreign and (len(levels) < 5 or levels[3] != "answer"):
        raise Invalid("out-of-range", "response topic outside vedette/v1/{site}/answer/")


def enveloped(
    frame: Frame, user: Sequence[tuple[str, str]] = (), response_topic: str = "", correlation: bytes = b""
) -> Frame:
    """The frame of a command with what travelled beside its payload; `user` is kept for the record."""
    if len(frame.payload) > MAX_PAYLOAD_BYTES:
        return frame  # refused as oversized whatever stands beside it
    envelope = {
        "schema": _ENVELOPE_SCHEMA,
        "payload": base64.b64encode(frame.payload).decode(),
        "response_topic": response_topic,
        "correlation": base64.b64encode(correlation).decode(),
        "user": [list(pair) for pair in user],
    }
    return replace(frame, payload=dump(envelope))


def _opened(payload: bytes) -> tuple[bytes, str, bytes]:
    """(payload, response topic, correlation); a payload without an envelope is returned as it is."""
    if not payload.startswith(_ENVELOPE_START):
        return payload, "", b""
    try:
        envelope = _ENVELOPE.decode(payload)
    except BAD_JSON:
        check_envelope(payload)
        raise Invalid("wrong-schema", "broken command frame") from None
    check_response_topic(envelope.response_topic)
    if len(envelope.correlation) > 256:
        raise Invalid("out-of-range", "correlation data of more than 256 bytes")
    return envelope.payload, envelope.response_topic, envelope.correlation


def decode(payload: bytes, verb: str, rx_us: int) -> Command:
    """One command of an operator, bare or in its envelope.

    Raises:
        Invalid: unknown-command, oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field,
            out-of-range. What a command needs beyond its form (a reason, an identity) its answer says.
    """
    if verb not in VERBS:
        raise Invalid("unknown-command", verb[:60])
    payload, response_topic, correlation = _opened(payload)
    message = read(_MESSAGE, payload, SCHEMA)
    if verb != "mode" and bool(message.alert_id) == bool(message.incident_id):
        raise Invalid("missing-field", "alert_id or incident_id, one of the two")
    if _NOT_PRINTABLE.search(message.operator) or not message.operator.strip():
        raise Invalid("out-of-range", "operator")
    if _NOT_PRINTABLE.search(message.to):
        raise Invalid("out-of-range", "to")
    return Command(
        rx_us=rx_us,
        verb=verb,
        alert_id=message.alert_id,
        operator=message.operator.strip(),
        reason=message.reason.strip(),
        identity=message.identity if verb == "identify" else "",
        correlation=correlation,
        response_topic=response_topic,
        incident_id=message.incident_id,
        to=message.to.strip(),
    )


def encode(command: Command) -> bytes:
    """The message of a command; verb, response topic and correlation travel outside the payload."""
    message = {
        "schema": SCHEMA,
        "alert_id": command.alert_id or None,
        "incident_id": command.incident_id or None,
        "operator": command.operator,
        "to": command.to or None,
        "reason": command.reason or None,
        "identity": command.identity or None,
    }
    return dump(without_none(message))


def encode_answer(answer: Answer, names: Names, seq: int) -> bytes:
    """What became of a command."""
    command = answer.command
    return dump(
        without_none(
            {
                "schema": ANSWER_SCHEMA,
                "site": names.site,
                "seq": seq,
                "command_time": rfc3339(command.rx_us),
                "verb": command.verb,
                "alert_id": command.alert_id or None,
                "incident_id": command.incident_id or None,
                "operator": command.operator,
                **names.marks(),
                "ok": answer.ok,
                "detail": answer.detail or None,
            }
        )
    )
