"""What every wire format shares: time, JSON at the door and on the way out, and the words of a published track.

Pure: no clock, no I/O. What a decoder refuses, it refuses as `fusion.schema.Invalid` with a countable reason; nothing
else may escape. On the wire angles are degrees, times are RFC 3339 UTC, a name ends in its unit, and what is missing is
absent: there is no null, no NaN and no sentinel in a message of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any, NoReturn, Protocol, TypeVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from fusion import schema
from fusion.schema import I8, Invalid, PlotKind, Plots, SensorKind, SensorSpec

MAX_PAYLOAD_BYTES = 65_536  # the broker's own max_packet_size: what is larger never was one of our messages
MOST_ANSWER_OCTETS = 16 << 20  # of a web server: 600 of each of 25,000 aircraft, more than ever flew at once
MAX_PLOTS = 2_000  # plots in one message: a scan of the busiest radar, and a bound on the work one message can ask for
MAX_PART_BYTES = 48 * 1024  # one part of a picture, well under the broker's limit with topic and properties

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
EARLIEST_US = 946_684_800_000_000  # 2000-01-01: a clock before it was never set
LATEST_US = 4_102_444_800_000_000  # 2100-01-01
_TIME = msgspec.json.Decoder(datetime)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


NO_MARKS: Mapping[str, bool | str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Names:
    """The words that stand for numbers in a published message.

    `codes` are the ISO codes by the index of `Assessment.state`, `state_names` their readable names in the same order,
    `sensor_ids` the sensor ids by bit of `Tracks.sensors`.
    """

    site: str
    codes: tuple[str, ...] = ()
    state_names: tuple[str, ...] = ()
    sensor_ids: tuple[str, ...] = ()
    simulated: bool = False
    mode: str = "peace"  # peace, tension, exercise

    def marks(self) -> dict[str, bool | str]:
        """What every message that leaves carries beside its own: nothing simulated or exercised passes for real."""
        simulated: dict[str, bool | str] = {"simulated": True} if self.simulated else {}
        return simulated if self.mode == "peace" else {**simulated, "mode": self.mode}


@dataclass(frozen=True, slots=True)
class Decoded:
    """One message of plots after the door: the plots that stand, and how many fell by reason."""

    batch: Plots  # may be empty
    rejected: dict[str, int] = field(default_factory=dict)


# --- time -------------------------------------------------------------------------------------------------------------


def rfc3339(us: int) -> str:
    """Microseconds UTC as "2026-11-23T06:15:00.123Z", cut to milliseconds: never rounded up, so never in the future."""
    moment = _EPOCH + timedelta(microseconds=us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def rfc3339_exact(us: int) -> str:
    """The same with microseconds where they are not zero: for what must read back to the same number."""
    if us % 1000 == 0:
        return rfc3339(us)
    moment = _EPOCH + timedelta(microseconds=us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def rfc3339_column(us: I8) -> list[str | None]:
    """A column of times as `rfc3339` writes them; -1 becomes None (absent)."""
    texts = np.datetime_as_string(us.astype("datetime64[us]"), unit="ms").tolist()
    return [f"{text}Z" if t >= 0 else None for text, t in zip(texts, us.tolist(), strict=True)]


def parse_time(value: object) -> int:
    """Microseconds UTC of an RFC 3339 text with zone, or of a number of Unix seconds.

    Raises:
        Invalid: `bad-time` when it is neither, or not between the years 2000 and 2100.
    """
    if isinstance(value, str):
        try:
            moment = _TIME.decode(json.dumps(value))
        except (msgspec.MsgspecError, ValueError):
            raise Invalid("bad-time", repr(value[:40])) from None
        if moment.tzinfo is None:
            raise Invalid("bad-time", "no time zone")
        us = (moment - _EPOCH) // _US
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if not EARLIEST_US // 1_000_000 <= value < LATEST_US // 1_000_000:  # false for NaN too
            raise Invalid("bad-time", "not between the years 2000 and 2100")
        us = round(value * 1e6)
    else:
        raise Invalid("bad-time", f"a {type(value).__name__}")
    if not EARLIEST_US <= us < LATEST_US:
        raise Invalid("bad-time", "not between the years 2000 and 2100")
    return us


# --- JSON in ----------------------------------------------------------------------------------------------------------


class _HasSchema(Protocol):
    @property
    def schema(self) -> str: ...


M = TypeVar("M", bound=_HasSchema)
# What the decoders below raise on hostile bytes; a RecursionError is a payload of brackets.
BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError)


def check_envelope(payload: bytes) -> None:
    """Refuse what no decoder should look at.

    Raises:
        Invalid: `oversized`, `not-utf8`.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Invalid("oversized", f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES}")
    if not payload.isascii():
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Invalid("not-utf8", f"byte {error.start}") from None


def _not_finite(word: str) -> NoReturn:
    raise Invalid("not-finite", f"{word} is not JSON")


def _malformed(payload: bytes, error: Exception) -> Invalid:
    """`not-finite` where NaN or Infinity stands in otherwise readable JSON, else `malformed`."""
    try:
        json.loads(payload, parse_constant=_not_finite)
    except Invalid as invalid:
        return invalid
    except (ValueError, RecursionError):
        pass
    return Invalid("malformed", str(error)[:120])


def _once(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise Invalid("doubled-key", f"{key[:40]!r} stands twice in one object")
        seen.add(key)


def load_json(payload: bytes, expected: str | None = None) -> dict[str, Any]:
    """A message as a plain dict, its `schema` checked where one is expected.

    Raises:
        Invalid: `oversized`, `not-utf8`, `malformed` (also: not an object), `not-finite`, `wrong-schema`.
    """
    check_envelope(payload)
    try:
        message = msgspec.json.decode(payload)
    except BAD_JSON as error:
        if "Number out of range" in str(error):
            raise Invalid("not-finite", "a number beyond float64") from None
        raise _malformed(payload, error) from None
    if not isinstance(message, dict):
        raise Invalid("malformed", "not a JSON object")
    if expected is not None and message.get("schema") != expected:
        raise Invalid("wrong-schema", f"{str(message.get('schema'))[:60]!r}, expected {expected!r}")
    return message


_REASONS = (  # of the text of a msgspec.ValidationError; its wording is pinned by tests/test_wire.py
    ("missing required field", "missing-field"),
    ("datetime", "bad-time"),
    ("Number out of range", "not-finite"),
    ("matching regex", "out-of-range"),
    ("of length", "out-of-range"),
    ("<=", "out-of-range"),
    (">=", "out-of-range"),
    ("out of range", "out-of-range"),
    ("Invalid enum value", "out-of-range"),
)


def reason_of(error: Exception) -> str:
    """The countable reason for what a typed decoder refused; `malformed` for a wrong type."""
    text = str(error)
    return next((reason for words, reason in _REASONS if words in text), "malformed")


def read(decoder: msgspec.json.Decoder[M], payload: bytes, expected: str | None) -> M:
    """Decode a small typed message and check its `schema` (None: the format has none).

    Raises:
        Invalid: as `load_json`, and `missing-field`, `bad-time`, `out-of-range`, `malformed` for its fields.
    """
    check_envelope(payload)
    try:
        message = decoder.decode(payload)
    except BAD_JSON as error:
        load_json(payload, expected)  # says what is wrong with the envelope, where that is it
        raise Invalid(reason_of(error), str(error)[:120]) from None
    if expected is not None and message.schema != expected:
        raise Invalid("wrong-schema", f"{message.schema[:60]!r}, expected {expected!r}")
    return message


def read_once(decoder: msgspec.json.Decoder[M], payload: bytes, expected: str) -> M:
    """As `read`, for what people and sensors say beside plots: readers differ in which of two equal keys counts.

    It takes five times as long, so not for what comes by the thousand.

    Raises:
        Invalid: as `read`, and `doubled-key`.
    """
    message = read(decoder, payload, expected)
    try:
        json.loads(payload, object_pairs_hook=_once)
    except Invalid:
        raise
    except (ValueError, RecursionError) as error:  # in a field that nobody reads: too deep, or too many digits
        raise Invalid("malformed", str(error)[:120]) from None
    return message


class _Decoder(Protocol[T_co]):
    def decode(self, buf: msgspec.Raw, /) -> T_co: ...


def read_rows(decoder: _Decoder[T], rows: Sequence[msgspec.Raw]) -> tuple[list[T], dict[str, int]]:
    """Decode one by one after a whole message failed: one bad row costs that row only."""
    kept: list[T] = []
    rejected: dict[str, int] = {}
    for row in rows:
        try:
            kept.append(decoder.decode(row))
        except BAD_JSON as error:
            reason = reason_of(error)
            rejected[reason] = rejected.get(reason, 0) + 1
    return kept, rejected


W = TypeVar("W")


def read_batch(
    payload: bytes,
    rows: str,
    whole: msgspec.json.Decoder[W],
    outer: msgspec.json.Decoder[Any],
    one: _Decoder[T],
    expected: str | None = None,
) -> tuple[W, list[T], dict[str, int]]:
    """A message with many rows under the key `rows`: all at once, and one by one only where that fails.

    `outer` decodes the same message with its rows unread. Returns the message (take nothing from it but the fields that
    both have), the rows that stand, and how many fell by reason. `expected` is the schema that the message must name,
    where it names one.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, out-of-range, too-many-plots.
    """
    check_envelope(payload)
    try:
        message = whole.decode(payload)
    except BAD_JSON:
        pass
    else:
        check_count(len(getattr(message, rows)))
        return message, getattr(message, rows), {}
    try:
        envelope = outer.decode(payload)
    except BAD_JSON as error:
        load_json(payload, expected)  # says what is wrong with the whole, where that is it
        raise Invalid(reason_of(error), str(error)[:120]) from None
    named = str(getattr(envelope, "schema", expected))
    if expected is not None and named != expected:
        raise Invalid("wrong-schema", f"{named[:60]!r}, expected {expected!r}")
    check_count(len(getattr(envelope, rows)))
    kept, rejected = read_rows(one, getattr(envelope, rows))
    return envelope, kept, rejected


class _Numbers(msgspec.Struct):
    seq: Annotated[int, Meta(ge=0, le=2**53)]
    boot: Annotated[int, Meta(ge=-1, le=2**53)] = -1
    sensor: str = ""


_NUMBERS = msgspec.json.Decoder(_Numbers)


def number_of(payload: bytes, sensor: str) -> tuple[int, int] | None:
    """(boot, seq) of a message that was refused as a whole, where it can be read and names no other sensor."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return None
    try:
        found = _NUMBERS.decode(payload)
    except BAD_JSON:
        return None
    return (found.boot, found.seq) if found.sensor in ("", sensor) else None


# --- plots ------------------------------------------------------------------------------------------------------------

Number = Annotated[int, Meta(ge=0, le=2**53)]  # what every JSON library keeps exactly
Callsign = Annotated[str, Meta(pattern=r"\A[ -~]{1,8}\Z")]
Serial = Annotated[str, Meta(pattern=r"\A[ -~]{1,20}\Z")]
Hex24 = Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{6}\Z")]
Octal12 = Annotated[str, Meta(pattern=r"\A[0-7]{4}\Z")]

GEOMETRY: dict[SensorKind, tuple[PlotKind, ...]] = {  # what each kind of sensor may send
    SensorKind.RADAR_2D: (PlotKind.POLAR,),
    SensorKind.RADAR_3D: (PlotKind.POLAR,),
    SensorKind.ADSB: (PlotKind.POSITION,),
    SensorKind.REMOTE_ID: (PlotKind.POSITION,),
    SensorKind.TRACK: (PlotKind.POSITION,),
    SensorKind.BEARING: (PlotKind.BEARING,),
    SensorKind.SIGHTING: (PlotKind.POSITION, PlotKind.BEARING),
}


def check_kind(spec: SensorSpec, kind: PlotKind) -> None:
    """Refuse plots of a geometry that this sensor cannot have.

    Raises:
        Invalid: `wrong-sensor-kind`, also for polar and bearing plots of a sensor without a declared site.
    """
    if kind not in GEOMETRY[spec.kind]:
        raise Invalid("wrong-sensor-kind", f"{kind.name.lower()} plots from {spec.kind.name.lower()} {spec.id}")
    if kind is not PlotKind.POSITION and not spec.has_site:
        raise Invalid("wrong-sensor-kind", f"{spec.id} has no declared site")


def check_count(count: int) -> None:
    """Refuse a message that asks for more work than one message may.

    Raises:
        Invalid: `too-many-plots`.
    """
    if count > MAX_PLOTS:
        raise Invalid("too-many-plots", f"{count}, at most {MAX_PLOTS}")


def _row_faults(kind: PlotKind, t_us: I8, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.object_]:
    """The first reason for which each row would be refused by `schema.check_plots`; "" where it stands."""
    fault = np.full(len(t_us), "", object)

    def mark(bad: NDArray[np.bool_], reason: str) -> None:
        fault[bad & (fault == "")] = reason

    mark((t_us < EARLIEST_US) | (t_us >= LATEST_US), "bad-time")
    for name in schema.NEEDED[kind]:
        mark(np.isnan(columns[name]) if name in columns else np.ones(len(t_us), bool), "missing-field")
    for name, (low, high) in schema.LIMITS.items():
        if name in columns:
            mark(np.isinf(columns[name]), "not-finite")
            mark((columns[name] < low) | (columns[name] > high), "out-of-range")
    return fault


def stand(
    spec: SensorSpec,
    kind: PlotKind,
    rx_us: int,
    t_us: I8,
    boot: int,
    seq: int,
    columns: dict[str, NDArray[Any]],
    rejected: dict[str, int],
) -> Decoded:
    """Build the batch of the rows that stand, and count the others by reason (added to `rejected`).

    `columns` are arrays (n,) by the names of `fusion.schema.Plots`; the integers among them must be within their types.

    Raises:
        Invalid: only what `schema.check_plots` finds beyond single rows.
    """
    if ((t_us >= EARLIEST_US) & (t_us < LATEST_US)).all():
        with suppress(Invalid):  # nearly always the whole message stands: look at single rows only when it does not
            return Decoded(schema.plots(spec.id, kind, rx_us, t_us, boot, seq, **columns), rejected)
    fault = _row_faults(kind, t_us, columns)
    bad = fault != ""
    for reason in fault[bad].tolist():
        rejected[reason] = rejected.get(reason, 0) + 1
    t_us = t_us[~bad]
    columns = {name: column[~bad] for name, column in columns.items()}
    return Decoded(schema.plots(spec.id, kind, rx_us, t_us, boot, seq, **columns), rejected)


# --- JSON out ---------------------------------------------------------------------------------------------------------

_ENCODER = msgspec.json.Encoder()


def finite(value: float) -> float | None:
    """The number, or None (absent) where it is NaN or infinite."""
    return value if np.isfinite(value) else None


def rounded(value: float, digits: int) -> float | None:
    """The number to so many decimals, without a negative zero; None (absent) where it is not finite."""
    return round(float(value), digits) + 0.0 if np.isfinite(value) else None


def without_none(message: dict[str, Any]) -> dict[str, Any]:
    """What is missing is absent."""
    return {key: value for key, value in message.items() if value is not None}


def _nulls(value: object) -> bool:
    if isinstance(value, dict):
        return any(_nulls(v) for v in value.values())
    if isinstance(value, list):
        return any(_nulls(v) for v in value)
    return value is None


def dump(message: object) -> bytes:
    """A message as UTF-8 JSON.

    Raises:
        ValueError: it holds None, NaN or infinity: a fault of ours, never of the input.
    """
    payload = _ENCODER.encode(message)
    # msgspec writes NaN as null: look only where the word stands, since it may be part of a text
    if b"null" in payload and _nulls(msgspec.json.decode(payload)):
        raise ValueError("a message of ours may hold neither null nor NaN")
    return payload


def number(values: NDArray[Any], digits: int) -> list[float | None]:
    """A column to so many decimals as Python floats, without negative zeros; None (absent) where it is not finite."""
    values = np.round(values, digits) + 0.0
    known = np.isfinite(values)
    column: list[float | None] = values.tolist()
    return column if known.all() else [v if k else None for v, k in zip(column, known.tolist(), strict=True)]


def text(values: NDArray[np.bytes_]) -> list[str | None]:
    """A column of texts; None (absent) where it is empty. Every text is decoded once."""
    seen = {v: v.decode("ascii", "replace").strip() or None for v in set(values.tolist())}
    return [seen[v] for v in values.tolist()]


def address(values: Iterable[int]) -> list[str | None]:
    """A column of 24-bit addresses as six lower-case hex digits; None (absent) for -1."""
    return [f"{v:06x}" if v >= 0 else None for v in values]


def mode3a(values: Iterable[int]) -> list[str | None]:
    """A column of Mode 3/A codes as four octal digits; None (absent) for -1."""
    return [f"{v:04o}" if v >= 0 else None for v in values]


def pack(
    head: dict[str, Any], lists: Sequence[tuple[str, Sequence[bytes]]], limit: int = MAX_PART_BYTES
) -> list[bytes]:
    """Split lists of encoded JSON values over as many messages as keep each within `limit` bytes; at least one.

    Every message repeats `head`, with `part` and `parts` added, and holds its share of each list, in order.
    """
    room = limit - len(dump(head)) - 64 - sum(len(name) + 6 for name, _ in lists)
    parts: list[dict[str, list[bytes]]] = [{}]
    used = 0
    for name, values in lists:
        for value in values:
            if used and used + len(value) + 1 > room:
                parts.append({})
                used = 0
            parts[-1].setdefault(name, []).append(value)
            used += len(value) + 1
    payloads = []
    for i, part in enumerate(parts):
        body = b"".join(b',"%s":[%s]' % (name.encode(), b",".join(values)) for name, values in part.items())
        payloads.append(dump({**head, "part": i, "parts": len(parts)})[:-1] + body + b"}")
    return payloads
