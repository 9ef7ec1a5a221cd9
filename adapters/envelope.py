"""What travels beside a payload in MQTT, kept with it: where the sender wants an answer, and its correlation data.

A frame has nothing beside its payload, and a replay must answer as the service did: so at the door a message that may
be answered (a command, a sighting) is put into an envelope, `vedette.command-frame.v1`, which its decoder opens. An
envelope inside an envelope is only a message of the wrong schema.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from adapters.wire import BAD_JSON, EARLIEST_US, LATEST_US, MAX_PAYLOAD_BYTES, check_envelope, dump
from fusion.schema import Frame, Invalid


class _Envelope(msgspec.Struct):
    schema: str
    payload: bytes  # base64, as msgspec reads and writes bytes
    response_topic: str = ""
    correlation: bytes = b""


ORDERS = ("cmd/", "partner/")  # topics of commands: from our operators, and from neighbours
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ENVELOPE_SCHEMA = "vedette.command-frame.v1"
_ENVELOPE_START = b'{"schema":"vedette.command-frame.v1",'
_NOT_PRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Control characters, line and paragraph separators, and what turns the direction of text around.
_NO_WRITING = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A message to whoever sent a report or a command."""

    topic: str
    payload: bytes
    correlation: bytes


@dataclass(frozen=True, slots=True)
class Unfit:
    """A report or a command that the door refused, in its envelope, and why."""

    frame: Frame
    fault: Invalid

    @property
    def last_level(self) -> str:
        """The last level of its topic: `sighting`, or the verb of a command."""
        return printable(self.frame.source.rpartition("/")[2])[:60]

    @property
    def detail(self) -> str:
        """Why, as its sender is told."""
        return f"{self.fault.reason}: {printable(self.fault.detail)}" if self.fault.detail else self.fault.reason

    def asked(self) -> tuple[bytes, str, bytes] | None:
        """(payload, response topic, correlation); None where the sender asked for no answer, or for one where none may
        go."""
        try:
            found = opened(self.frame.payload)
        except Invalid:
            return None
        return found if found[1] else None


def printable(text: str) -> str:
    """The text without what is no writing: a stretch of it becomes one blank."""
    return _NO_WRITING.sub(" ", text).strip()


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
    """The frame with what travelled beside its payload; `user` is kept for the record."""
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


def opened(payload: bytes) -> tuple[bytes, str, bytes]:
    """(payload, response topic, correlation); a payload without an envelope is returned as it is.

    Raises:
        Invalid: oversized, not-utf8, wrong-schema (a broken envelope), out-of-range (where to answer).
    """
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


def feed_properties(rx_us: int, seq: int) -> tuple[tuple[str, str], ...]:
    """The user properties that carry the recorded arrival time and number of a frame replayed through a broker."""
    return (("rx_us", str(rx_us)), ("seq", str(seq)))


def feed_of(user: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """(rx_us, seq) out of user properties; the seq is -1 where there is none.

    Raises:
        Invalid: `bad-time` without a usable rx_us.
    """
    found = {"seq": "-1"}
    found.update((key, value) for key, value in user if key in ("rx_us", "seq"))
    text, seq = found.get("rx_us", ""), found["seq"]
    if not re.fullmatch(r"[0-9]{1,17}", text) or not re.fullmatch(r"-1|[0-9]{1,17}", seq):
        raise Invalid("bad-time", "user property rx_us or seq")
    if not EARLIEST_US <= int(text) < LATEST_US:
        raise Invalid("bad-time", "user property rx_us is not between the years 2000 and 2100")
    return int(text), int(seq)
