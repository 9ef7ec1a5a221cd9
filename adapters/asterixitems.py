"""What items of several ASTERIX categories have in common: their units, the time that is nearest, and six-bit text."""

from __future__ import annotations

import numpy as np

from adapters.asterix import U1, Part, Walked, octets
from fusion.schema import B1, F8, I8, US_PER_S, S

NM_M = 1852.0
FOOT_M = 0.3048
LEVEL_UNIT_M = 25.0 * FOOT_M  # a quarter of a flight level
HEIGHT_UNIT_M = 6.25 * FOOT_M
CLIMB_UNIT_MPS = 6.25 * FOOT_M / 60.0
ANGLE_UNIT_RAD = 2.0 * np.pi / 65_536.0
SPEED_UNIT_MPS = NM_M / 16_384.0
# Six bits each, ICAO Annex 10 IV 3.1.2.9.1.2: letters from 1, the blank at 32, digits from 48; the others mean nothing.
CHARACTERS = b" " + bytes(range(ord("A"), ord("Z") + 1)) + b" " * 21 + b"0123456789" + b" " * 6
_CODES = np.array([max(CHARACTERS.find(bytes([c])), 0) or 32 for c in range(256)], np.int64)
_LETTERS = np.frombuffer(CHARACTERS, np.uint8)
_SHIFTS = np.arange(42, -1, -6)


def units(value: F8, unit: float, low: int = -(1 << 62), high: int = 1 << 62) -> I8:
    """(n,) whole units, the nearest, within these; 0 for NaN."""
    return np.clip(np.rint(np.nan_to_num(value) / unit), low, high).astype(np.int64)


def signed_part(value: F8, unit: float, count: int, bits: int = 0) -> Part:
    """An item that is one number, two's complement of `bits` (all of its octets); absent where it is NaN."""
    most = 1 << ((bits or 8 * count) - 1)
    return Part(~np.isnan(value), octets(units(value, unit, -most, most - 1) & (2 * most - 1), count))


def unsigned_part(value: F8, unit: float, count: int) -> Part:
    """The same without a sign; what is beyond is as much as it can say."""
    return Part(~np.isnan(value), octets(units(value, unit, 0, (1 << (8 * count)) - 1), count))


def day_part(day_us: I8) -> Part:
    """The time since midnight, up to the next 1/128 s: what `Walked.day_us` read comes back. Absent where it is -1."""
    return Part(day_us >= 0, octets(-(-day_us * 2 // (US_PER_S // 64)), 3))


def callsign_of(found: Walked, name: str, skip: int = 0) -> S:
    """(n,) eight characters after `skip` octets, without the blanks at the end; no character reads as a blank."""
    value = found.unsigned(name, 6, skip)
    letters = _LETTERS[(value[:, None] >> _SHIFTS) & 0x3F]
    blank_from_here = np.logical_and.accumulate((letters == ord(" "))[:, ::-1], axis=1)[:, ::-1]
    letters = np.where(blank_from_here | ~found.has(name)[:, None], 0, letters).astype(np.uint8)
    return np.ascontiguousarray(letters).view("S8").reshape(-1)


def six_bits(callsign: S) -> U1:
    """(n, 6) octets of eight characters."""
    letters = np.ascontiguousarray(callsign.astype("S8")).view(np.uint8).reshape(-1, 8)
    codes = _CODES[np.where(letters == 0, ord(" "), letters)]
    return octets((codes << _SHIFTS).sum(axis=1), 6)


def fallen(why: tuple[tuple[str, B1], ...], n: int) -> tuple[B1, dict[str, int]]:
    """Of n reports those that stand, and how many fell for each reason: each for the first that is true of it."""
    left = np.ones(n, np.bool_)
    rejected: dict[str, int] = {}
    for reason, bad in why:
        count = int(np.count_nonzero(left & bad))
        if count:
            rejected[reason] = count
        left &= ~bad
    return left, rejected
