"""Mode S as such (ICAO Annex 10 IV; DO-260B): parity, and what the replies and squitters of 1090 MHz say, whole arrays.

Read: identification, airborne and surface position, velocity, operational and emergency status of DF17 and DF18;
altitude of DF0, 4, 16 and 20; the code of DF5 and 21. Feet and knots end here; positions stay as sent, since one
message alone does not tell a place (`adapters/modes/cpr.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.modes.fields import CATEGORY, FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS
from fusion.schema import B1, F8, I1, I4, I8, S

OCTETS = 14
GENERATOR = 0xFFF409
NOT_ICAO = 1 << 24  # beside an address that ICAO did not give: another sender than that address alone
EXTENDED = (17, 18)
ALTITUDE = (0, 4, 16, 20)
CODE = (5, 21)
_CHARACTERS = np.frombuffer(b"#ABCDEFGHIJKLMNOPQRSTUVWXYZ##### ###############0123456789######", np.uint8)
_LETTERS = {1: "D", 2: "C", 3: "B", 4: "A"}
_CATEGORIES = np.full((32, 8), -1, np.int8)
for _type, _letter in _LETTERS.items():
    for _number in range(8):
        _CATEGORIES[_type, _number] = CATEGORY.get(f"{_letter}{_number}", -1)
U1 = NDArray[np.uint8]


def _parities() -> NDArray[np.int32]:
    """What each value of each of 14 octets adds to the parity; it is linear."""
    table = np.zeros((OCTETS, 256), np.int32)
    values = np.arange(256)
    table[-1], table[-2], table[-3] = values, values << 8, values << 16
    for place in range(OCTETS - 4, -1, -1):
        after = table[place + 1]
        for _ in range(8):
            after = np.where(after & 0x800000, (after << 1) ^ (GENERATOR | 0x1000000), after << 1)
        table[place] = after
    return table


def _heights_m() -> F8:
    """By the 13 bits of an altitude: C1 A1 C2 A2 C4 A4 M B1 Q B2 D2 B4 D4. NaN: none, or in metres (nobody does)."""
    code = np.arange(8192)
    bit = [(code >> (12 - n)) & 1 for n in range(13)]
    c1, a1, c2, a2, c4, a4, metric, b1, quarter, b2, d2, b4, d4 = bit
    steps = (code >> 7) << 5 | (code >> 5 & 1) << 4 | code & 0xF
    fine_ft = steps * 25.0 - 1000.0
    hundreds, gray = _from_gray(c1, c2, c4), _from_gray(d2, d4, a1, a2, a4, b1, b2, b4)
    known = (hundreds != 0) & (hundreds != 5) & (hundreds != 6)
    hundreds = np.where(hundreds == 7, 5, hundreds)
    hundreds = np.where(gray % 2 == 1, 6 - hundreds, hundreds)
    coarse_ft = np.where(known, gray * 500.0 + hundreds * 100.0 - 1300.0, np.nan)
    feet = np.where(quarter == 1, fine_ft, coarse_ft)
    return np.where((metric == 1) | (code == 0), np.nan, feet) * FOOT_M


def _from_gray(*bits: NDArray[np.int64]) -> I8:
    value = total = np.zeros_like(bits[0])
    for one in bits:
        value = value ^ one
        total = total << 1 | value
    return total


def _codes() -> I4:
    """By the 13 bits of an identity, C1 A1 C2 A2 C4 A4 X B1 D1 B2 D2 B4 D4: Mode 3/A as twelve bits A B C D."""
    order = "C1 A1 C2 A2 C4 A4 X B1 D1 B2 D2 B4 D4".split()
    code = np.arange(8192)
    value = np.zeros(8192, np.int64)
    for letter in "ABCD":
        for weight in "421":
            value = value << 1 | (code >> (12 - order.index(letter + weight))) & 1
    return value.astype(np.int32)


_PARITY, _HEIGHTS_M, _CODES = _parities(), _heights_m(), _codes()
_PLACES = np.arange(OCTETS)
# Movement of DO-260B, table A-2: from this value on, so many knots, and so many more a step.
_STEPS = np.array([2, 9, 13, 39, 94, 109, 124])
_FROM_KT = np.array([0.125, 1.0, 2.0, 15.0, 70.0, 100.0, 175.0])
_STEP_KT = np.array([0.125, 0.25, 0.5, 1.0, 2.0, 5.0, 0.0])


@dataclass(frozen=True, slots=True)
class Said:
    """What n messages say, all arrays (n,). NaN, -1 and b"": not said."""

    format: I1  # DF
    key: I8  # address, with NOT_ICAO where it is no address of ICAO's
    sound: B1  # parity says that it came as it was sent; never said of replies, whose parity is their address
    kind: I1  # type code of DF17 and 18
    callsign: S
    category: I1  # as CAT021 I020
    odd: I1  # 1 odd, 0 even: here is a position
    surface: B1  # of a position
    lat: I8  # 17 bits each
    lon: I8
    supplement_b: I1  # of NIC
    pressure_height_m: F8
    height_m: F8  # above the ellipsoid
    east_mps: F8
    north_mps: F8
    up_mps: F8
    nacv: I1
    above_pressure_m: F8  # geometric less pressure height
    version: I1
    supplement_a: I1
    supplement_c: I1
    nacp: I1
    sil: I1
    gva: I1
    mode3a: I4

    def __len__(self) -> int:
        return len(self.key)


def parity(octets: U1) -> I4:
    """(n,) of messages (n, 14), short ones behind seven zeros: 0 for whole ones of DF17 and 18, else the address."""
    found: I4 = np.bitwise_xor.reduce(_PARITY[_PLACES, octets], axis=1)
    return found


def sealed(octets: U1) -> U1:
    """Messages whose last three octets are the parity of those before."""
    made = octets.copy()
    made[:, -3:] = 0
    rest = parity(made)
    made[:, -3:] = rest[:, None] >> np.array([16, 8, 0]) & 0xFF
    return made


def messages(octets: U1, long: B1) -> Said:
    """What messages (n, 14) say, of which some are long and the others stand behind seven zeros."""
    o = octets.astype(np.int64)
    first = np.where(long, o[:, 0], o[:, 7])
    form = first >> 3
    rest = parity(octets).astype(np.int64)
    extended = long & ((form == 17) | (form == 18))
    control = np.where(form == 18, first & 7, 0)  # CF: 0, 1 ADS-B; 2, 5 TIS-B; 6 ADS-R; 3, 4, 7 are other things
    extended &= (control != 3) & (control != 4) & (control != 7)
    me = np.zeros(len(o), np.int64)
    for n in range(7):
        me = me << 8 | o[:, 4 + n]
    kind = np.where(extended, me >> 51, -1)
    address = o[:, 1] << 16 | o[:, 2] << 8 | o[:, 3]
    airborne = ((kind >= 9) & (kind <= 18)) | ((kind >= 20) & (kind <= 22))
    surface = (kind >= 5) & (kind <= 8)
    ground = (kind == 19) & (_bits(me, 6, 3) >= 1) & (_bits(me, 6, 3) <= 2)
    relayed = (control == 2) | (control == 6)
    imf = np.where(kind == 19, _bits(me, 9, 1), _bits(me, 8, 1)) == 1
    foreign = (control == 1) | (control == 5) | (relayed & imf & (airborne | (kind == 19)))
    reply = ((o[:, 2] << 8 | o[:, 3]) * long + (o[:, 9] << 8 | o[:, 10]) * ~long) & 0x1FFF
    height = _height(me, airborne, kind, reply, form, extended)
    speed = _speed(me, ground, surface)
    status = (kind == 31) & (_bits(me, 6, 3) <= 1)
    emergency = (kind == 28) & (_bits(me, 6, 3) == 1)
    code = np.where(emergency, _CODES[_bits(me, 12, 13)], np.where(np.isin(form, CODE), _CODES[reply], -1))
    above = _bits(me, 50, 7)
    has_above = (kind == 19) & (above > 0)
    placed = airborne | surface
    return Said(
        format=form.astype(np.int8),
        key=np.where(extended, address | np.where(foreign, NOT_ICAO, 0), rest),
        sound=extended & (rest == 0),
        kind=kind.astype(np.int8),
        callsign=_callsigns(me, (kind >= 1) & (kind <= 4)),
        category=_CATEGORIES[np.maximum(kind, 0), _bits(me, 6, 3)],
        odd=_where(placed, _bits(me, 22, 1)),
        surface=surface,
        lat=_bits(me, 23, 17),
        lon=_bits(me, 40, 17),
        supplement_b=_where(airborne, np.where(relayed, 0, _bits(me, 8, 1))),
        pressure_height_m=np.where((kind >= 20) & (kind <= 22), np.nan, height),
        height_m=np.where((kind >= 20) & (kind <= 22), height, np.nan),
        east_mps=speed[0],
        north_mps=speed[1],
        up_mps=speed[2],
        nacv=_where(kind == 19, _bits(me, 11, 3)),
        above_pressure_m=np.where(has_above, (above - 1) * 25.0 * FOOT_M * (1 - 2 * _bits(me, 49, 1)), np.nan),
        version=_where(status, _bits(me, 41, 3)),
        supplement_a=_where(status, _bits(me, 44, 1)),
        supplement_c=_where(status & (_bits(me, 6, 3) == 1), _bits(me, 20, 1)),
        nacp=_where(status, _bits(me, 45, 4)),
        sil=_where(status, _bits(me, 51, 2)),
        gva=_where(status & (_bits(me, 6, 3) == 0) & (_bits(me, 41, 3) >= 2), _bits(me, 49, 2)),
        mode3a=code.astype(np.int32),
    )


def nic(kind: I1, version: I1, a: I1, b: I1, c: I1) -> I1:
    """Integrity category by the type code of a position and the supplements (DO-260B, table 2-200); -1: no position.

    Before an aircraft has told its version it counts as the oldest: no more is promised than it may have meant.
    """
    two, one = version >= 2, version >= 1
    either = (a == 1) & np.where(two, b == 1, True) & one
    small = np.select([(a == 1) & (c == 1) & two, ((a == 1) | (c == 1)) & two], [7, 6], 0)
    by_kind: list[tuple[int, NDArray[np.int64] | int]] = [
        (5, 11), (6, 10), (7, np.where(one & (a == 1) & (~two | (c != 1)), 9, 8)), (8, small), (9, 11), (10, 10),
        (11, np.where(either, 9, 8)), (12, 7), (13, 6), (14, 5), (15, 4), (16, np.where(either, 3, 2)),
        (17, 1), (18, 0), (20, 11), (21, 10), (22, 0),
    ]  # fmt: skip
    found = np.full(len(kind), -1, np.int64)
    for number, value in by_kind:
        found = np.where(kind == number, value, found)
    return found.astype(np.int8)


def _bits(me: I8, first: int, count: int) -> I8:
    """Of the 56 bits, counted from 1 as the standard does."""
    return me >> (57 - first - count) & ((1 << count) - 1)


def _where(has: B1, value: I8) -> I1:
    return np.where(has, value, -1).astype(np.int8)


def _height(me: I8, airborne: B1, kind: I8, reply: I8, form: I8, extended: B1) -> F8:
    twelve = _bits(me, 9, 12)
    thirteen = (twelve & 0xFC0) << 1 | twelve & 0x3F
    has = airborne | (kind == 0)
    code = np.where(has, thirteen, np.where(np.isin(form, ALTITUDE) & ~extended, reply, 0))
    return _HEIGHTS_M[code]


def _speed(me: I8, ground: B1, surface: B1) -> tuple[F8, F8, F8]:
    """East, north and up."""
    factor = np.where(_bits(me, 6, 3) == 2, 4.0, 1.0) * KNOT_MPS  # the second kind is for what is faster than sound
    east, north, climb = _bits(me, 15, 10), _bits(me, 26, 10), _bits(me, 38, 9)
    has = ground & (east > 0) & (north > 0)
    movement, there = _bits(me, 6, 7), _bits(me, 13, 1) == 1
    step = np.maximum(np.searchsorted(_STEPS, movement, side="right") - 1, 0)
    knots = np.where(movement == 1, 0.0, _FROM_KT[step] + (movement - _STEPS[step]) * _STEP_KT[step])
    rolls = surface & (movement >= 1) & (movement <= 124) & (there | (movement == 1))
    track = np.radians(_bits(me, 14, 7) * 360.0 / 128.0)
    nan = np.full(len(me), np.nan)
    return (
        np.where(
            has,
            (east - 1) * factor * (1 - 2 * _bits(me, 14, 1)),
            np.where(rolls, knots * KNOT_MPS * np.sin(track), nan),
        ),
        np.where(
            has,
            (north - 1) * factor * (1 - 2 * _bits(me, 25, 1)),
            np.where(rolls, knots * KNOT_MPS * np.cos(track), nan),
        ),
        np.where(ground & (climb > 0), (climb - 1) * 64.0 * FOOT_PER_MINUTE_MPS * (1 - 2 * _bits(me, 37, 1)), nan),
    )


def _callsigns(me: I8, named: B1) -> S:
    """Eight characters of six bits; b"" where one of them is none."""
    letters = _CHARACTERS[me[:, None] >> np.arange(42, -1, -6) & 0x3F]
    fine = named & (letters != ord("#")).all(axis=1)
    blank = np.logical_and.accumulate((letters == ord(" "))[:, ::-1], axis=1)[:, ::-1]
    letters = np.where(blank | ~fine[:, None], 0, letters).astype(np.uint8)
    return np.ascontiguousarray(letters).view("S8").reshape(-1)
