"""Aircraft that squitter on 1090 MHz as a receiver of Beast passes them on: for tests and for the bench."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapters.formats import beast
from adapters.modes import cpr, squitter
from adapters.modes.fields import FOOT_M, KNOT_MPS
from fusion.schema import F8, I8

U1 = NDArray[np.uint8]
_CHARACTERS = "#ABCDEFGHIJKLMNOPQRSTUVWXYZ##### ###############0123456789######"


def extended(address: I8, me: I8) -> U1:
    """DF17 messages (n, 14) of these 56 bits."""
    made = np.zeros((len(address), 14), np.uint8)
    made[:, 0] = 17 << 3 | 5
    for n in range(3):
        made[:, 1 + n] = address >> (16 - 8 * n) & 0xFF
    for n in range(7):
        made[:, 4 + n] = me >> (48 - 8 * n) & 0xFF
    return squitter.sealed(made)


def altitude12(height_m: F8) -> I8:
    """In steps of 25 feet."""
    steps = np.rint((height_m / FOOT_M + 1000.0) / 25.0).astype(np.int64)
    return (steps & 0x7F0) << 1 | 0x10 | steps & 0xF


def positions(address: I8, lat_deg: F8, lon_deg: F8, height_m: F8, odd: I8, kind: int = 11) -> U1:
    """Airborne positions."""
    lat, lon = cpr.encode(lat_deg, lon_deg, odd, np.full(len(odd), 360.0))
    return extended(address, (kind << 51) | altitude12(height_m) << 36 | odd << 34 | lat << 17 | lon)


def velocities(address: I8, east_mps: F8, north_mps: F8, nacv: int = 2) -> U1:
    """Over the ground, level flight, geometric height 100 feet above pressure height."""
    east, north = (np.rint(v / KNOT_MPS).astype(np.int64) for v in (east_mps, north_mps))
    me = np.int64(19 << 51 | 1 << 48 | nacv << 43) | (east < 0).astype(np.int64) << 42 | (np.abs(east) + 1) << 32
    return extended(address, me | (north < 0).astype(np.int64) << 31 | (np.abs(north) + 1) << 21 | 1 << 10 | 5)


def names(address: I8, callsign: str, category: int = 3) -> U1:
    """Identifications, category A3."""
    me = 4 << 51 | category << 48
    for n, letter in enumerate(callsign.ljust(8)):
        me |= _CHARACTERS.index(letter) << (42 - 6 * n)
    return extended(address, np.full(len(address), me))


def states(address: I8, version: int = 2, nacp: int = 9, sil: int = 3, gva: int = 2) -> U1:
    """Operational status, airborne."""
    me = 31 << 51 | version << 13 | nacp << 8 | gva << 6 | sil << 4
    return extended(address, np.full(len(address), me))


def frames(octets: U1, ticks: I8) -> bytes:
    """Long messages as a receiver sends them."""
    n = len(octets)
    return beast.encode(beast.Frames(np.full(n, beast.LONG, np.uint8), ticks, np.full(n, 200, np.uint8), octets))


def traffic(aircraft: int, seconds: int) -> list[tuple[int, bytes]]:
    """(microseconds, octets) of every tenth of a second: two positions and two velocities a second and aircraft."""
    address = np.arange(aircraft) + 0x480000
    lat, lon = 54.0 + np.arange(aircraft) % 40 * 0.05, 24.0 + np.arange(aircraft) // 40 * 0.05
    found = []
    for n in range(seconds * 10):
        mine = address % 5 == n % 5
        t_us, a = n * 100_000, address[mine]
        height, odd = np.full(len(a), 3_000.0), (a // 5 + n // 5) % 2
        told = [
            positions(a, lat[mine] + n * 2e-4, lon[mine], height, odd),
            velocities(a, np.full(len(a), 5.0), np.full(len(a), 222.0)),
        ]
        if n % 50 < 5:
            told += [names(a, "LOT12"), states(a)]
        octets = np.concatenate(told)
        ticks = 1_000 + 12 * (t_us + np.arange(len(octets)) * 50)
        found.append((t_us + 100_000, frames(octets, ticks)))
    return found
