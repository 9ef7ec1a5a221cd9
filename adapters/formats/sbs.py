"""SBS-1 "BaseStation" lines, as receivers send them on TCP port 30003 (Kinetic; also readsb, dump1090, tar1090).

    MSG,3,1,1,4CA2D6,1,2026/11/23,06:15:00.123,2026/11/23,06:15:00.150,,37000,,,51.45735,-1.02826,,,0,0,0,0

22 fields. MSG 1 says who, 2 and 3 where, 4 how fast, 5 to 8 the rest; other first fields (SEL, ID, AIR, STA, CLK) are
the operator's screen, and are no messages of aircraft. The time is the receiver's own, without a zone. Feet, knots and
feet per minute end here. No field says how accurate any other is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from adapters.modes.fields import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS
from fusion.schema import B1, F8, I1, I4, I8, US_PER_S, S

FIELDS = 22
OTHERS = (b"SEL", b"ID", b"AIR", b"STA", b"CLK")
IDENTITY, SURFACE, AIRBORNE, VELOCITY, HEIGHT, SQUAWK, AIR_TO_AIR, ALL_CALL = range(1, 9)
_ZONE_US = 15 * 60 * US_PER_S  # every zone of the world is a multiple of it from UTC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_OCTAL = frozenset(b"01234567")
_NUMBER = frozenset(b"0123456789+-.eE")
_KINDS = tuple(b"%d" % kind for kind in range(IDENTITY, ALL_CALL + 1))
_FLAG = {b"": -1, b"0": 0, b"1": 1, b"-1": 1}  # BaseStation's own true is -1


@dataclass(frozen=True, slots=True)
class Messages:
    """n messages of aircraft, all arrays (n,). NaN, -1 and b"": not said."""

    kind: I1  # 1 to 8
    address: I4  # 24 bits
    local_us: I8  # microseconds since 1970 on the receiver's clock, in whatever zone that is; -1 not said
    callsign: S
    height_m: F8  # geometric: the suffix H of readsb
    pressure_height_m: F8
    speed_mps: F8  # over the ground
    track_rad: F8  # from true north
    lat_rad: F8
    lon_rad: F8
    climb_mps: F8
    mode3a: I4
    emergency: I1
    ident: I1  # the pilot's SPI
    on_ground: I1

    def __len__(self) -> int:
        return len(self.kind)


Row = tuple[int, int, int, bytes, float, float, float, float, float, float, float, int, int, int, int]
_TYPES = ("i1", "i4", "i8", "S8", "f8", "f8", "f8", "f8", "f8", "f8", "f8", "i4", "i1", "i1", "i1")


def decode(lines: Sequence[bytes]) -> tuple[Messages, I8, dict[str, int]]:
    """Messages of lines, the number (m,) of the line that each is from, and how many fell by reason.

    Reasons: `not-a-message` for the lines of an operator's screen, `malformed`, `out-of-range`.
    """
    rows, numbers, faults = list[Row](), list[int](), dict[str, int]()
    for n, line in enumerate(lines):
        try:
            rows.append(_row(line.strip().split(b",")))
            numbers.append(n)
        except ValueError as error:
            reason = str(error) if str(error) in ("not-a-message", "out-of-range") else "malformed"
            faults[reason] = faults.get(reason, 0) + 1
    columns = zip(*rows, strict=True) if rows else [()] * len(_TYPES)
    arrays = [np.array(column, kind) for column, kind in zip(columns, _TYPES, strict=True)]
    return Messages(*arrays), np.array(numbers, np.int64), faults


def utc(local_us: I8, rx_us: I8, most_us: int) -> tuple[I8, B1]:
    """Times in UTC of a clock whose zone nobody says, and where they can be believed.

    The zone is the multiple of a quarter hour that brings the time nearest to when the message came. Where that leaves
    more than `most_us`, or no time was said, it is when the message came.
    """
    t_us = local_us + (rx_us - local_us + _ZONE_US // 2) // _ZONE_US * _ZONE_US
    fine = (local_us >= 0) & (np.abs(t_us - rx_us) <= most_us)
    return np.where(fine, np.minimum(t_us, rx_us), rx_us), fine


def encode(messages: Messages) -> list[bytes]:
    """A line of each, without its end; reads back to the digits that the format has."""
    m = messages
    made = []
    for n in range(len(m)):
        moment = _EPOCH + timedelta(microseconds=int(m.local_us[n]))
        when = f"{moment:%Y/%m/%d,%H:%M:%S}.{moment.microsecond // 1000:03d}" if m.local_us[n] >= 0 else ","
        geometric = not math.isnan(m.height_m[n])
        feet = (m.height_m[n] if geometric else m.pressure_height_m[n]) / FOOT_M
        fields = [
            "MSG", str(int(m.kind[n])), "1", "1", f"{int(m.address[n]):06X}", "1", when, when,
            m.callsign[n].decode("ascii"), _said(feet, 0) + ("H" if geometric else ""),
            _said(m.speed_mps[n] / KNOT_MPS, 1), _said(math.degrees(m.track_rad[n]), 1),
            _said(math.degrees(m.lat_rad[n]), 6), _said(math.degrees(m.lon_rad[n]), 6),
            _said(m.climb_mps[n] / FOOT_PER_MINUTE_MPS, 0),
            f"{int(m.mode3a[n]):04o}" if m.mode3a[n] >= 0 else "",
            "", *("" if flag < 0 else str(int(flag)) for flag in (m.emergency[n], m.ident[n], m.on_ground[n])),
        ]  # fmt: skip
        made.append(",".join(fields).encode())
    return made


def _row(fields: list[bytes]) -> Row:
    if fields[0] in OTHERS:
        raise ValueError("not-a-message")
    if (
        fields[0] != b"MSG"
        or len(fields) != FIELDS
        or fields[1] not in (b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8")
    ):
        raise ValueError("malformed")
    if not fields[4].isalnum() or len(fields[4]) != 6:
        raise ValueError("malformed")
    height = fields[11].strip()
    geometric = height[-1:] in (b"H", b"h")
    feet = _number(height.rstrip(b"Hh")) * FOOT_M
    squawk = fields[17].strip()
    code = int(squawk, 8) if len(squawk) == 4 and _OCTAL.issuperset(squawk) else -1
    track, lat, lon = (_number(fields[n]) for n in (13, 14, 15))
    if abs(lat) > 90.0 or abs(lon) > 180.0 or abs(track) > 360.0:
        raise ValueError("out-of-range")
    emergency, ident, ground = (_FLAG.get(fields[n].strip(), -1) for n in (19, 20, 21))
    name = fields[10].strip()
    return (
        int(fields[1]), int(fields[4], 16), _time_us(fields[6].strip(), fields[7].strip()),
        name if len(name) <= 8 and name.isascii() and name.decode("ascii").isprintable() else b"",
        feet if geometric else math.nan, math.nan if geometric else feet,
        _number(fields[12]) * KNOT_MPS, math.radians(track), math.radians(lat), math.radians(lon),
        _number(fields[16]) * FOOT_PER_MINUTE_MPS, code,
        emergency, ident, ground,
    )  # fmt: skip


def _number(text: bytes) -> float:
    """Raises ValueError for what is none, or none that a receiver would write."""
    text = text.strip()
    if not text:
        return math.nan
    if not _NUMBER.issuperset(text) or len(text) > 16:
        raise ValueError("malformed")
    value = float(text)
    if not abs(value) < 1e9:
        raise ValueError("out-of-range")
    return value


def _time_us(day: bytes, time: bytes) -> int:
    """`2026/11/23` and `06:15:00.123`; -1 for anything else: a time is not worth a message."""
    try:
        moment = datetime.strptime(f"{day.decode()} {time.decode()}", "%Y/%m/%d %H:%M:%S.%f")
    except ValueError:
        return -1
    us = (moment.replace(tzinfo=UTC) - _EPOCH) // _US
    return max(us, -1)


def _said(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"
