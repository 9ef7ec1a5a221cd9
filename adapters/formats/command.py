"""`vedette.command.v1` on `cmd/{verb}`, and `vedette.answer.v1` to its response topic.

    {"schema": "vedette.command.v1", "alert_id": "0123456789abcdef", "operator": "J. Petraitis",
     "identity": "hostile", "reason": "seen by patrol"}

The verb is the last level of the topic: acknowledge, identify, close, hand-over, take, mode. A command is about an
alert (`alert_id`) or about an incident (`incident_id`), which acknowledges, identifies or closes all its alerts; only
an incident is handed over (`to` whom) and taken: by the neighbour itself on `partner/{neighbour}/cmd/take`, where its
account vouches for it, or by an operator who heard of it in another way. `cmd/mode` is about the whole service: `to` is
peace, tension or exercise. What an object *is* only a person may say.

Response topic and correlation data travel beside the payload in MQTT: `adapters/envelope.py` keeps them with it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from adapters.envelope import Reply, Unfit, opened, printable
from adapters.wire import BAD_JSON, Names, dump, read_once, rfc3339, without_none
from fusion.cases.orders import VERBS
from fusion.schema import Answer, Command, Invalid

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


class _Names(msgspec.Struct):
    operator: str = ""
    alert_id: str = ""
    incident_id: str = ""


_MESSAGE = msgspec.json.Decoder(_Message)
_NAMES = msgspec.json.Decoder(_Names)
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def decode(payload: bytes, verb: str, rx_us: int) -> Command:
    """One command of an operator, bare or in its envelope.

    Raises:
        Invalid: unknown-command, oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field,
            out-of-range. What a command needs beyond its form (a reason, an identity) its answer says.
    """
    if verb not in VERBS:
        raise Invalid("unknown-command", verb[:60])
    payload, response_topic, correlation = opened(payload)
    message = read_once(_MESSAGE, payload, SCHEMA)
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


def decode_from(neighbour: str, payload: bytes, verb: str, rx_us: int) -> Command:
    """What a neighbour says under its own account, on `partner/{neighbour}/cmd/take`: for itself, and nothing else.

    Raises:
        Invalid: as `decode`; unknown-command for every other verb, missing-field for what is not about an incident.
    """
    if verb != "take":
        raise Invalid("unknown-command", f"a neighbour takes what was handed over to it, {verb[:60]} is not its to say")
    given = decode(payload, verb, rx_us)
    if not given.incident_id:
        raise Invalid("missing-field", "incident_id")
    return replace(given, to=neighbour, operator=f"{neighbour}: {given.operator}")


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


def refusal(unfit: Unfit, names: Names, seq: int) -> Reply | None:
    """The answer to a command that was refused at the door, where its envelope can be read and asks for one.

    Whoever acknowledges with a spelling mistake must not take the silence for consent.
    """
    asked = unfit.asked()
    if asked is None:
        return None
    inner, topic, correlation = asked
    try:
        given = _NAMES.decode(inner)
    except BAD_JSON:
        given = _Names()
    message = {
        "schema": ANSWER_SCHEMA,
        "site": names.site,
        "seq": seq,
        "command_time": rfc3339(unfit.frame.rx_us),
        "verb": unfit.last_level,
        "alert_id": printable(given.alert_id)[:64] or None,
        "incident_id": printable(given.incident_id)[:64] or None,
        "operator": printable(given.operator)[:64] or None,
        **names.marks(),
        "ok": False,
        "detail": unfit.detail,
    }
    return Reply(topic, dump(without_none(message)), correlation)
