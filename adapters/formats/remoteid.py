"""Remote ID of drones (ASTM F3411, ASD-STAN 4709-002; opendroneid.h), as receivers hear it: raw, or taken apart.

    {"schema": "vedette.remoteid.v1", "sensor": "RID1", "boot": 3, "seq": 7, "heard": [
      {"time": "2026-11-23T06:15:00.100Z", "transmitter": "60:60:1f:01:17:95", "raw": "8BkC..."},
      {"transmitter": "60:60:1f:01:17:95", "basic_id": {"id_type": 1, "ua_type": 2, "uas_id": "MFG1A01234567"},
       "location": {"status": 2, "lat_deg": 54.5, "lon_deg": 25.2, "altitude_geo_m": 160.0, "time_s": 900.1}}]}

`raw` is one message of 25 octets, or a pack of up to nine, as hex or base64. `time` is when it was heard. Taken apart,
the fields are those of opendroneid.h with their units, and so are its values for "not known": a direction of 361,
speeds of 255 and 63, heights of -1000, latitude and longitude both 0, a time of 6553.5.

Of the six types of message, basic id and location make a plot. The others are not read: authentication and free text
have no place in one, and where the operator stands, and the operator's id, are data of a person.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from adapters.modes.accuracies import EPU_M, NM_M, NORMAL_95, RAYLEIGH_95
from adapters.wire import (
    BAD_JSON,
    EARLIEST_US,
    LATEST_US,
    Decoded,
    Number,
    check_kind,
    dump,
    parse_time,
    read_batch,
    reason_of,
    stand,
    without_none,
)
from fusion.schema import US_PER_S, Invalid, PlotKind, SensorSpec

SCHEMA = "vedette.remoteid.v1"
OCTETS = 25
BASIC_ID, LOCATION, PACK = 0, 1, 0xF
OTHERS = (2, 3, 4, 5)  # authentication, free text, the operator's place, the operator's id
MOST_IN_PACK = 9
SERIAL, REGISTRATION = (
    1,
    2,
)  # kinds of id that are text; of UTM and of a session they are numbers, and say nothing lasting
NO_DIRECTION_DEG, NO_SPEED_MPS, NO_CLIMB_MPS, NO_HEIGHT_M, NO_TIME_S = 361.0, 255.0, 63.0, -1000.0, 6553.5
NAMED_US = 60 * US_PER_S  # the id is sent every three seconds; later the transmitter may be another's
CLOCK_WRONG_US = 10 * US_PER_S  # a drone's time further from when it was heard is not believed
MOST_TRANSMITTERS = 4_096
_HOUR_US = 3_600 * US_PER_S
# 95 % bounds by category, of one horizontal axis, of height and of speed (F3411 tables of accuracies); 0: not known.
_PLACE_M = (np.nan, *(nm * NM_M for nm in EPU_M), 30.0, 10.0, 3.0, 1.0)
SIGMA_PLACE_M = np.array([*_PLACE_M, *[np.nan] * 3]) / RAYLEIGH_95
SIGMA_HEIGHT_M = np.array([np.nan, 150.0, 45.0, 25.0, 10.0, 3.0, 1.0, *[np.nan] * 9]) / NORMAL_95
SIGMA_SPEED_MPS = np.array([np.nan, 10.0, 3.0, 1.0, 0.3, *[np.nan] * 11]) / RAYLEIGH_95
# By type of aircraft, as CAT021 I020 has it: unmanned; lighter than air; an obstacle. 0: not said.
CATEGORY = (-1, *[13] * 7, 12, 12, 12, 13, 13, 13, 22, 13)
_ON_GROUND = (-1, 1, 0, 0)  # by status: undeclared, ground, airborne, emergency
_BASIC, _LOCATION = struct.Struct("<BB20s3x"), struct.Struct("<BBBBbiiHHHBBHBx")
Nibble = Annotated[int, Meta(ge=0, le=15)]


class BasicId(msgspec.Struct, frozen=True):
    """Who it is."""

    id_type: Nibble
    ua_type: Nibble
    uas_id: Annotated[str, Meta(max_length=40)]


class Location(msgspec.Struct, frozen=True, kw_only=True):
    """Where it is. Fields and values for "not known" as in opendroneid.h."""

    status: Nibble = 0
    direction_deg: float = NO_DIRECTION_DEG
    speed_horizontal_mps: float = NO_SPEED_MPS
    speed_vertical_mps: float = NO_CLIMB_MPS
    lat_deg: float
    lon_deg: float
    altitude_baro_m: float = NO_HEIGHT_M
    altitude_geo_m: float = NO_HEIGHT_M
    height_m: float = NO_HEIGHT_M
    height_type: Annotated[int, Meta(ge=0, le=1)] = 0  # above take-off, above ground
    horizontal_accuracy: Nibble = 0
    vertical_accuracy: Nibble = 0
    baro_accuracy: Nibble = 0
    speed_accuracy: Nibble = 0
    time_s: float = NO_TIME_S  # after the full hour, UTC
    time_accuracy: Nibble = 0  # tenths of a second


class Heard(msgspec.Struct, frozen=True):
    """What a receiver heard of one transmitter at a time."""

    transmitter: Annotated[str, Meta(max_length=64)]
    time: str = ""  # "": when it came
    raw: Annotated[str, Meta(max_length=1_000)] = ""
    basic_id: BasicId | None = None
    location: Location | None = None


class _Message(msgspec.Struct, gc=False):
    schema: str
    sensor: str
    heard: list[Heard]
    boot: Number = -1
    seq: Number = -1


class _Envelope(msgspec.Struct):
    schema: str
    sensor: str
    heard: list[msgspec.Raw]
    boot: Number = -1
    seq: Number = -1


_MESSAGE, _ENVELOPE = msgspec.json.Decoder(_Message), msgspec.json.Decoder(_Envelope)
_ONE = msgspec.json.Decoder(Heard)


class Transmitters:
    """Who each transmitter said that it is: messages of Bluetooth 4 come one by one. At most `MOST_TRANSMITTERS`."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[int, bytes, int]] = {}  # when, serial, category
        self._last: dict[str, Location] = {}

    def __len__(self) -> int:
        return len(self._said)

    def named(self, transmitter: str, basic: BasicId, t_us: int) -> None:
        """It said so."""
        _room(self._said)
        said = basic.uas_id.strip("\0 ")
        text = basic.id_type in (SERIAL, REGISTRATION) and len(said) <= 20 and said.isascii() and said.isprintable()
        self._said.pop(transmitter, None)
        self._said[transmitter] = (t_us, said.encode() if text else b"", CATEGORY[basic.ua_type])

    def who(self, transmitter: str, t_us: int) -> tuple[bytes, int]:
        """Serial and category; b"" and -1 where it did not say, or too long ago."""
        said_us, serial, category = self._said.get(transmitter, (-NAMED_US, b"", -1))
        return (serial, category) if t_us - said_us <= NAMED_US else (b"", -1)

    def is_new(self, transmitter: str, location: Location) -> bool:
        """False for the message that was the last one: a transmitter repeats each several times."""
        if self._last.get(transmitter) == location and location.time_s != NO_TIME_S:
            return False
        _room(self._last)
        self._last.pop(transmitter, None)
        self._last[transmitter] = location
        return True


def _room(kept: dict[str, Any]) -> None:
    """The older half is forgotten."""
    if len(kept) >= MOST_TRANSMITTERS:
        for old in list(kept)[: MOST_TRANSMITTERS // 2]:
            del kept[old]


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
    """One message of the receiver `spec`. What it heard of one transmitter belongs together; nothing is kept.

    Raises:
        Invalid: for the whole message: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field,
            out-of-range, unknown-sensor, wrong-sensor-kind, too-many-plots.
    """
    message, heard, rejected = read_batch(payload, "heard", _MESSAGE, _ENVELOPE, _ONE, SCHEMA)
    if message.schema != SCHEMA:
        raise Invalid("wrong-schema", f"{message.schema[:60]!r}, expected {SCHEMA!r}")
    if message.sensor != spec.id:
        raise Invalid("unknown-sensor", f"{message.sensor[:60]!r} on the topic of {spec.id!r}")
    return gathered([(rx_us, one) for one in heard], spec, rx_us, Transmitters(), rejected, message.boot, message.seq)


def decode_line(line: bytes) -> Heard:
    """One object of `heard` as a line by itself.

    Raises:
        Invalid: malformed, missing-field, out-of-range, not-finite.
    """
    try:
        return _ONE.decode(line)
    except BAD_JSON as error:
        raise Invalid(reason_of(error), str(error)[:120]) from None


def gathered(
    heard: Sequence[tuple[int, Heard]],
    spec: SensorSpec,
    rx_us: int,
    transmitters: Transmitters,
    rejected: dict[str, int],
    boot: int = -1,
    seq: int = -1,
) -> Decoded:
    """Plots of what was heard (arrival, what), in its order, under the names that transmitters gave themselves.

    Raises:
        Invalid: wrong-sensor-kind.
    """
    check_kind(spec, PlotKind.POSITION)
    rows, times = list[tuple[Any, ...]](), list[int]()

    def count(reason: str) -> None:
        rejected[reason] = rejected.get(reason, 0) + 1

    for came_us, one in heard:
        try:
            heard_us = parse_time(one.time) if one.time else came_us
            said = [m for m in (one.basic_id, one.location) if m is not None]
            said += messages(octets_of(one.raw)) if one.raw else []
        except Invalid as fault:
            count(fault.reason)
            continue
        for basic in said:
            if isinstance(basic, BasicId):
                transmitters.named(one.transmitter, basic, heard_us)
        for place in said:
            if not isinstance(place, Location) or not transmitters.is_new(one.transmitter, place):
                continue
            if place.lat_deg == 0.0 and place.lon_deg == 0.0:
                count("no-position")
                continue
            t_us = measured_us(place.time_s, heard_us)
            if t_us < 0:
                count("clock-not-believed")
            times.append(min(t_us, came_us) if t_us >= 0 else heard_us)
            rows.append(_row(place, *transmitters.who(one.transmitter, heard_us)))
    columns = dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)) if rows else {}
    arrays = {name: np.array(columns.get(name, []), kind) for name, kind in _COLUMNS.items()}
    t_all_us = np.clip(np.array(times, np.int64), EARLIEST_US - 1, LATEST_US)
    return stand(spec, PlotKind.POSITION, rx_us, t_all_us, boot, seq, arrays, rejected)


def measured_us(time_s: float, heard_us: int) -> int:
    """Seconds after the full hour as the time nearest to when it was heard; -1 where that is too far from it."""
    if time_s == NO_TIME_S:
        return heard_us
    if not 0.0 <= time_s <= 3_600.0:
        return -1
    into_us = round(time_s * US_PER_S)
    t_us = into_us + (heard_us - into_us + _HOUR_US // 2) // _HOUR_US * _HOUR_US
    return t_us if abs(t_us - heard_us) <= CLOCK_WRONG_US else -1


_COLUMNS = {
    "lat_rad": "f8", "lon_rad": "f8", "sigma_position_m": "f8", "height_m": "f8", "sigma_height_m": "f8",
    "pressure_height_m": "f8", "velocity_east_mps": "f8", "velocity_north_mps": "f8", "velocity_up_mps": "f8",
    "sigma_velocity_mps": "f8", "on_ground": "i1", "serial": "S20", "category": "i1",
}  # fmt: skip


def _row(place: Location, serial: bytes, category: int) -> tuple[Any, ...]:
    def known(value: float, nothing: float) -> float:
        return np.nan if value == nothing else value

    speed, climb = known(place.speed_horizontal_mps, NO_SPEED_MPS), known(place.speed_vertical_mps, NO_CLIMB_MPS)
    track = np.radians(np.nan if place.direction_deg > 360.0 else place.direction_deg)
    return (
        np.radians(place.lat_deg), np.radians(place.lon_deg), SIGMA_PLACE_M[place.horizontal_accuracy],
        known(place.altitude_geo_m, NO_HEIGHT_M), SIGMA_HEIGHT_M[place.vertical_accuracy],
        known(place.altitude_baro_m, NO_HEIGHT_M),
        speed * np.sin(track), speed * np.cos(track), climb, SIGMA_SPEED_MPS[place.speed_accuracy],
        _ON_GROUND[place.status] if place.status < len(_ON_GROUND) else -1, serial, category,
    )  # fmt: skip


# --- raw --------------------------------------------------------------------------------------------------------------


def octets_of(raw: str) -> bytes:
    """Hex or base64. What is both is hex: a message of 25 octets has 50 digits of it.

    Raises:
        Invalid: malformed.
    """
    try:
        return bytes.fromhex(raw)
    except ValueError:
        try:
            return base64.b64decode(raw, validate=True)
        except (binascii.Error, ValueError):
            raise Invalid("malformed", "neither hex nor base64") from None


def messages(octets: bytes) -> list[BasicId | Location]:
    """Those that a plot is made of in one message, or in a pack; what follows a pack is not looked at.

    Raises:
        Invalid: malformed: torn, of no known type, a pack in a pack.
    """
    if len(octets) >= 3 and octets[0] >> 4 == PACK:
        size, count = octets[1], octets[2]
        if size != OCTETS or count > MOST_IN_PACK or len(octets) < 3 + size * count:
            raise Invalid("malformed", f"a pack of {count} times {size} octets in {len(octets)}")
        found = [_message(octets[3 + n * size : 3 + (n + 1) * size]) for n in range(count)]
    elif len(octets) == OCTETS:
        found = [_message(octets)]
    else:
        raise Invalid("malformed", f"{len(octets)} octets are no message")
    return [one for one in found if one is not None]


def pack(said: Sequence[BasicId | Location]) -> bytes:
    """A pack of these; it reads back to the steps that the format has.

    Raises:
        ValueError: more than a pack holds.
    """
    if len(said) > MOST_IN_PACK:
        raise ValueError(f"{len(said)} messages, at most {MOST_IN_PACK}")
    return bytes([PACK << 4 | 2, OCTETS, len(said)]) + b"".join(map(encode_message, said))


def encode_message(said: BasicId | Location) -> bytes:
    """25 octets."""
    if isinstance(said, BasicId):
        return _BASIC.pack(BASIC_ID << 4 | 2, said.id_type << 4 | said.ua_type, said.uas_id.encode("latin-1")[:20])
    m = said
    west = m.direction_deg >= 180.0
    fast = m.speed_horizontal_mps > 63.75
    speed = (m.speed_horizontal_mps - 63.75) / 0.75 if fast else m.speed_horizontal_mps / 0.25
    heights = (round((h - NO_HEIGHT_M) * 2.0) for h in (m.altitude_baro_m, m.altitude_geo_m, m.height_m))
    return _LOCATION.pack(
        LOCATION << 4 | 2, m.status << 4 | m.height_type << 2 | west << 1 | fast,
        round(m.direction_deg) - 180 * west, round(speed), round(m.speed_vertical_mps * 2.0),
        round(m.lat_deg * 1e7), round(m.lon_deg * 1e7), *heights,
        m.vertical_accuracy << 4 | m.horizontal_accuracy, m.baro_accuracy << 4 | m.speed_accuracy,
        round(m.time_s * 10.0), m.time_accuracy,
    )  # fmt: skip


def encode(sensor: str, heard: Sequence[Heard], boot: int = -1, seq: int = -1) -> bytes:
    """The message of what was heard; reads back exactly."""
    numbers = without_none({"boot": boot if boot >= 0 else None, "seq": seq if seq >= 0 else None})
    told = [
        without_none({**msgspec.to_builtins(one), "raw": one.raw or None, "time": one.time or None}) for one in heard
    ]
    return dump({"schema": SCHEMA, "sensor": sensor, **numbers, "heard": told})


def _message(octets: bytes) -> BasicId | Location | None:
    kind = octets[0] >> 4
    if kind == BASIC_ID:
        _, kinds, text = _BASIC.unpack(octets)
        return BasicId(kinds >> 4, kinds & 15, text.decode("latin-1").rstrip("\0"))
    if kind in OTHERS:
        return None
    if kind != LOCATION:
        raise Invalid("malformed", f"no message of type {kind}")
    _, flags, way, speed, climb, lat, lon, baro, geo, height, accuracies, more, tenths, tick = _LOCATION.unpack(octets)
    fast, west = flags & 1, flags >> 1 & 1
    return Location(
        status=flags >> 4,
        direction_deg=float(way + 180 * west),
        speed_horizontal_mps=speed * 0.75 + 63.75 if fast else speed * 0.25,
        speed_vertical_mps=climb * 0.5,
        lat_deg=lat / 1e7,
        lon_deg=lon / 1e7,
        altitude_baro_m=baro * 0.5 + NO_HEIGHT_M,
        altitude_geo_m=geo * 0.5 + NO_HEIGHT_M,
        height_m=height * 0.5 + NO_HEIGHT_M,
        height_type=flags >> 2 & 1,
        horizontal_accuracy=accuracies & 15,
        vertical_accuracy=accuracies >> 4,
        baro_accuracy=more >> 4,
        speed_accuracy=more & 15,
        time_s=tenths / 10.0,
        time_accuracy=tick & 15,
    )
