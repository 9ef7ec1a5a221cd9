"""ASTERIX CAT062, system tracks (EUROCONTROL-SPEC-0149-9, edition 1.21): what a tracker tells an air traffic display.

Both ways: our tracks to others, and a neighbour's tracks to us. Feet, flight levels and the time since midnight end
here. Accuracies are one standard deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.asterix import (
    MOST_OCTETS,
    NOTHING,
    Layout,
    Part,
    Walked,
    blocks,
    compound,
    explicit,
    extended,
    fixed,
    near,
    octets,
    packed,
    records,
    repeated,
    walk,
)
from adapters.asterixitems import (
    CLIMB_UNIT_MPS,
    HEIGHT_UNIT_M,
    LEVEL_UNIT_M,
    callsign_of,
    day_part,
    fallen,
    signed_part,
    six_bits,
    unsigned_part,
)
from adapters.wire import Decoded, stand
from fusion.schema import B1, F8, I1, I4, I8, PlotKind, S, SensorSpec

CATEGORY = 62
_AGES = (
    "MFL MD1 MD2 MDA MD4 MD5 MHG IAS TAS SAL FSS TID COM SAB ACS BVR GVR RAN TAR TAN GSP VUN MET EMC POS GAL PUN MB "
    "IAR MAC BPS"
).split()
_PLAN = "TAG:2 CS:7 IFI:4 FCT:1 TAC:4 WTC:1 DEP:4 DST:4 RDS:3 CFL:2 CTL:2 TOD* AST:6 STS:1 STD:7 STA:7 PEM:2 PEC:7"
_AIRCRAFT = (
    "ADR:3 ID:6 MHG:2 IAS:2 TAS:2 SAL:2 FSS:2 TIS+ TID* COM:2 SAB:2 ACS:7 BVR:2 GVR:2 RAN:2 TAR:2 TAN:2 GS:2 VUN:1 "
    "MET:8 EMC:1 POS:6 GAL:2 PUN:1 BDSDATA* IAR:2 MAC:2 BPS:2"
)
_REPEATED = {"TOD": 4, "TID": 15, "BDSDATA": 8}


def _parts(words: str) -> list[Any]:
    """NAME:OCTETS, NAME+ in octets that say whether another follows, NAME* repeated."""
    found = []
    for word in words.split():
        name, _, count = word.partition(":")
        if count:
            found.append(fixed(name, int(count)))
        elif name.endswith("+"):
            found.append(extended(name[:-1]))
        else:
            found.append(repeated(name[:-1], _REPEATED[name[:-1]]))
    return found


LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    NOTHING,
    fixed("015", 1),  # service
    fixed("070", 3),  # time of the track's state
    fixed("105", 8),  # position, WGS84
    fixed("100", 6),  # position, Cartesian
    fixed("185", 4),  # velocity, Cartesian
    fixed("210", 2),  # acceleration, Cartesian
    fixed("060", 2),  # Mode 3/A
    fixed("245", 7),  # target identification
    compound("380", *_parts(_AIRCRAFT)),  # what the aircraft says
    fixed("040", 2),  # track number
    extended("080"),  # track status
    compound("290", *_parts("TRK:1 PSR:1 SSR:1 MDS:1 ADS:2 ES:1 VDL:1 UAT:1 LOP:1 MLT:1")),  # ages of updates
    fixed("200", 1),  # mode of movement
    compound("295", *(fixed(name, 1) for name in _AGES)),  # ages of data
    fixed("136", 2),  # measured flight level
    fixed("130", 2),  # geometric altitude
    fixed("135", 2),  # barometric altitude
    fixed("220", 2),  # rate of climb
    compound("390", *_parts(_PLAN)),  # flight plan
    extended("270"),  # size and orientation
    fixed("300", 1),  # vehicle fleet
    compound("110", *_parts("SUM:1 PMN:4 POS:6 GA:2 EM1:2 TOS:1 XP:1")),  # Mode 5
    fixed("120", 2),  # Mode 2
    extended("510", 3),  # composed track number
    compound("500", *_parts("APC:4 COV:2 APW:4 AGA:1 ABA:1 ATV:2 AA:2 ARC:1")),  # accuracies
    compound("340", *_parts("SID:2 POS:4 HEIGHT:2 MDC:2 MDA:2 TYP:1")),  # last measurement
    *[NOTHING] * 5,
    explicit("RE"),
    explicit("SP"),
)
PLACE_UNIT_RAD = np.pi / (1 << 25)
PLANE_UNIT_M = 0.5
VELOCITY_UNIT_MPS = 0.25
AGE_UNIT_S = 0.25  # and no age over 63.75 s: that says "or more"
# Bits of I080 by octet, as (field, shift, bits); a shift counts from the lowest bit, which says that another follows
STATUS: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("mono", 7, 1), ("spi", 6, 1), ("geometric", 5, 1), ("height_source", 2, 3), ("tentative", 1, 1)),
    (("simulated", 7, 1), ("ended", 6, 1), ("begun", 5, 1), ("inconsistent", 3, 1)),
    (),
    (("coasting", 7, 1), ("psr_old", 6, 1), ("ssr_old", 5, 1), ("modes_old", 4, 1), ("adsb_old", 3, 1)),
    (("sensing", 6, 2), ("emergency", 3, 3), ("doubtful", 2, 1)),
    (("on_surface", 4, 1),),
)
FROM_GNSS, FROM_3D_RADAR, NO_SOURCE = 1, 2, 0  # of the height, SRC of I080
COMBINED, COOPERATIVE, NOT_COOPERATIVE, NOT_DEFINED = range(4)  # SDS of I080
LEVEL, CLIMB, DESCENT, UNDETERMINED = range(4)  # VERT of I200; TRANS and LONG: none, right or more, left or less


@dataclass(frozen=True, slots=True)
class SystemTracks:
    """n tracks, all arrays (n,). NaN and -1: not said. A status bit that is not there is 0."""

    sac: I4
    sic: I4
    service: I4
    number: I4
    day_us: I8  # since midnight UTC
    lat_rad: F8
    lon_rad: F8
    x_m: F8  # in the sender's plane, as its velocity is
    y_m: F8
    velocity_x_mps: F8
    velocity_y_mps: F8
    acceleration_x_mps2: F8
    acceleration_y_mps2: F8
    height_m: F8  # geometric, above WGS84
    level_m: F8  # barometric, calculated
    pressure_height_m: F8  # as last measured
    climb_mps: F8
    mode3a: I4
    callsign: S
    address: I4
    category: I1
    turn: I1  # 0 none, 1 right, 2 left, 3 undetermined; -1: I200 is not there
    pace: I1  # 0 constant, 1 faster, 2 slower, 3 undetermined
    vertical: I1  # 0 level, 1 climb, 2 descent, 3 undetermined
    mono: I1  # from here to `on_surface`: I080
    spi: I1
    geometric: I1  # the geometric height is the more reliable one
    height_source: I1
    tentative: I1
    simulated: I1
    ended: I1  # last message of this track
    begun: I1  # first message of it
    inconsistent: I1  # AFF: ADS-B contradicts other surveillance
    coasting: I1
    psr_old: I1  # no update by a primary radar for too long; the others alike
    ssr_old: I1
    modes_old: I1
    adsb_old: I1
    sensing: I1  # SDS
    emergency: I1
    doubtful: I1  # PFT: potentially a false track
    on_surface: I1
    age_s: F8  # of the track, since its first plot; no age says more than 63.75 s
    psr_age_s: F8
    ssr_age_s: F8
    modes_age_s: F8
    adsb_age_s: F8  # 1090 MHz extended squitter
    pressure_height_age_s: F8
    sigma_x_m: F8
    sigma_y_m: F8
    cov_xy_m2: F8
    sigma_lat_rad: F8
    sigma_lon_rad: F8
    sigma_height_m: F8
    sigma_velocity_x_mps: F8
    sigma_velocity_y_mps: F8
    sigma_climb_mps: F8

    def __len__(self) -> int:
        return len(self.number)


AGES = {  # octets of I290 and I295
    "290/TRK": "age_s",
    "290/PSR": "psr_age_s",
    "290/SSR": "ssr_age_s",
    "290/MDS": "modes_age_s",
    "290/ES": "adsb_age_s",
    "295/MFL": "pressure_height_age_s",
}


def decode(data: bytes) -> tuple[SystemTracks, dict[str, int]]:
    """The tracks of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[SystemTracks, dict[str, int]]:
    """What the records that were found say."""
    moving, callsign = found.unsigned("200", 1), callsign_of(found, "245", skip=1)
    said: dict[str, NDArray[Any]] = {
        "sac": found.unsigned("010", 1).astype(np.int32),
        "sic": found.unsigned("010", 1, skip=1).astype(np.int32),
        "service": _said(found, "015", found.unsigned("015", 1)).astype(np.int32),
        "number": _said(found, "040", found.unsigned("040", 2)).astype(np.int32),
        "day_us": found.day_us("070"),
        "height_m": found.scaled("130", found.signed("130", 2), HEIGHT_UNIT_M),
        "level_m": found.scaled("135", found.signed("135", 2, bits=15), LEVEL_UNIT_M),
        "pressure_height_m": found.scaled("136", found.signed("136", 2), LEVEL_UNIT_M),
        "climb_mps": found.scaled("220", found.signed("220", 2), CLIMB_UNIT_MPS),
        "mode3a": _said(found, "060", found.unsigned("060", 2) & 0xFFF).astype(np.int32),
        "callsign": np.where(callsign == b"", callsign_of(found, "380/ID"), callsign),
        "address": _said(found, "380/ADR", found.unsigned("380/ADR", 3)).astype(np.int32),
        "category": _said(found, "380/EMC", np.minimum(found.unsigned("380/EMC", 1), 127)).astype(np.int8),
        "turn": _said(found, "200", moving >> 6).astype(np.int8),
        "pace": _said(found, "200", (moving >> 4) & 3).astype(np.int8),
        "vertical": _said(found, "200", (moving >> 2) & 3).astype(np.int8),
        "sigma_height_m": found.scaled("500/AGA", found.unsigned("500/AGA", 1), HEIGHT_UNIT_M),
        "sigma_climb_mps": found.scaled("500/ARC", found.unsigned("500/ARC", 1), CLIMB_UNIT_MPS),
        "cov_xy_m2": _squared(found.scaled("500/COV", found.signed("500/COV", 2), PLANE_UNIT_M)),
    }
    for item, count, unit, names, signed in _PAIRS:
        read = found.signed if signed else found.unsigned
        for n, name in enumerate(names):
            said[name] = found.scaled(item, read(item, count, skip=n * count), unit)
    for part, name in AGES.items():
        said[name] = found.scaled(part, found.unsigned(part, 1), AGE_UNIT_S)
    for n, fields in enumerate(STATUS):
        octet = found.unsigned("080", 1, skip=n)
        said |= {name: ((octet >> shift) & ((1 << bits) - 1)).astype(np.int8) for name, shift, bits in fields}
    return SystemTracks(**said), dict(found.faults)


def encode(tracks: SystemTracks, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks of at most `most` octets that read back as these tracks, in their order, to the unit of each item.

    The callsign is told as I245 and in I380. Numbers beyond what an item can say are as much as it can.
    """
    t, n = tracks, len(tracks)
    sure = np.ones(n, np.bool_)
    named = t.callsign != b""
    letters = six_bits(t.callsign)
    moving = (np.maximum(value, 0).astype(np.int64) for value in (t.turn, t.pace, t.vertical))
    turn, pace, vertical = moving
    said = {
        "010": Part(sure, octets(t.sac << 8 | t.sic, 2)),
        "015": Part(t.service >= 0, octets(t.service, 1)),
        "070": day_part(t.day_us),
        "060": Part(t.mode3a >= 0, octets(t.mode3a, 2)),
        "245": Part(named, np.column_stack([np.zeros((n, 1), np.uint8), letters])),
        "380/ADR": Part(t.address >= 0, octets(t.address, 3)),
        "380/ID": Part(named, letters),
        "380/EMC": Part(t.category >= 0, octets(t.category, 1)),
        "040": Part(t.number >= 0, octets(t.number, 2)),
        "080": _status(t),
        "200": Part(t.turn >= 0, octets(turn << 6 | pace << 4 | vertical << 2, 1)),
        "136": signed_part(t.pressure_height_m, LEVEL_UNIT_M, 2),
        "130": signed_part(t.height_m, HEIGHT_UNIT_M, 2),
        "135": signed_part(t.level_m, LEVEL_UNIT_M, 2, 15),
        "220": signed_part(t.climb_mps, CLIMB_UNIT_MPS, 2),
        "500/AGA": unsigned_part(t.sigma_height_m, HEIGHT_UNIT_M, 1),
        "500/ARC": unsigned_part(t.sigma_climb_mps, CLIMB_UNIT_MPS, 1),
        "500/COV": signed_part(np.sign(t.cov_xy_m2) * np.sqrt(np.abs(t.cov_xy_m2)), PLANE_UNIT_M, 2),
    }
    for item, count, unit, names, signed in _PAIRS:
        made = [(signed_part if signed else unsigned_part)(getattr(t, name), unit, count) for name in names]
        said[item] = Part(made[0].there & made[1].there, np.column_stack([part.octets for part in made]))
    for part, name in AGES.items():
        said[part] = unsigned_part(getattr(t, name), AGE_UNIT_S, 1)
    return packed(CATEGORY, *records(LAYOUT, said, n), most)


_PAIRS = (  # items of two numbers: octets and unit of each, fields, whether there is a sign
    ("105", 4, PLACE_UNIT_RAD, ("lat_rad", "lon_rad"), True),
    ("100", 3, PLANE_UNIT_M, ("x_m", "y_m"), True),
    ("185", 2, VELOCITY_UNIT_MPS, ("velocity_x_mps", "velocity_y_mps"), True),
    ("210", 1, VELOCITY_UNIT_MPS, ("acceleration_x_mps2", "acceleration_y_mps2"), True),
    ("500/APC", 2, PLANE_UNIT_M, ("sigma_x_m", "sigma_y_m"), False),
    ("500/APW", 2, PLACE_UNIT_RAD, ("sigma_lat_rad", "sigma_lon_rad"), False),
    ("500/ATV", 1, VELOCITY_UNIT_MPS, ("sigma_velocity_x_mps", "sigma_velocity_y_mps"), False),
)


def plots(tracks: SystemTracks, spec: SensorSpec, rx_us: int, boot: int = -1, seq: int = -1) -> Decoded:
    """A neighbour's tracks as the engine takes them: positions of a sensor of the kind `track`, which is no evidence of
    its own. What says nothing new falls by reason: `ended`, `coasting`, `tentative`, `doubtful` (a potentially false
    track), `simulated`, `missing-field` (no position, no time).

    The velocity counts as east and north: the sender's plane is not known here. Where ADS-B contradicts what others
    saw (AFF), the address and callsign are left out: that identity is the one that is in doubt.

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    t = tracks
    nothing_new = tuple(
        (name, getattr(t, name) == 1) for name in ("simulated", "ended", "coasting", "tentative", "doubtful")
    )
    left, rejected = fallen((*nothing_new, ("missing-field", np.isnan(t.lat_rad) | (t.day_us < 0))), len(t))
    sure = t.inconsistent == 0
    columns: dict[str, NDArray[Any]] = {
        "lat_rad": t.lat_rad,
        "lon_rad": t.lon_rad,
        "sigma_position_m": _sigma(t.sigma_x_m, t.sigma_y_m),
        "height_m": t.height_m,
        "sigma_height_m": np.maximum(t.sigma_height_m, HEIGHT_UNIT_M),
        "pressure_height_m": t.pressure_height_m,
        "velocity_east_mps": t.velocity_x_mps,
        "velocity_north_mps": t.velocity_y_mps,
        "velocity_up_mps": t.climb_mps,
        "sigma_velocity_mps": _sigma(t.sigma_velocity_x_mps, t.sigma_velocity_y_mps),
        "address": np.where(sure, t.address, -1).astype(np.int32),
        "mode3a": t.mode3a,
        "callsign": np.where(sure, t.callsign, b"").astype("S8"),
        "category": np.where(t.category <= 24, t.category, -1).astype(np.int8),
        "on_ground": np.where(t.on_surface == 1, 1, -1).astype(np.int8),
    }
    columns = {name: column[left] for name, column in columns.items()}
    return stand(spec, PlotKind.POSITION, rx_us, near(t.day_us[left], rx_us), boot, seq, columns, rejected)


def _sigma(x: F8, y: F8) -> F8:
    """One for both axes; what reads as nothing was rounded, and is no better than half a metre (a second)."""
    return np.maximum(np.sqrt((x * x + y * y) / 2.0), PLANE_UNIT_M)


def _squared(root: F8) -> F8:
    """A covariance is told as its root, with its sign."""
    return np.sign(root) * root * root


def _said(found: Walked, name: str, value: I8) -> I8:
    return np.where(found.has(name), value, -1)


def _status(t: SystemTracks) -> Part:
    """I080, as many octets as say something."""
    words = np.zeros((len(t), len(STATUS)), np.int64)
    for n, fields in enumerate(STATUS):
        for name, shift, _ in fields:
            words[:, n] |= getattr(t, name).astype(np.int64) << shift
    said = (words != 0) * np.arange(1, len(STATUS) + 1)
    length = np.maximum(said.max(axis=1), 1)
    words |= np.arange(1, len(STATUS) + 1) < length[:, None]
    there: B1 = np.ones(len(t), np.bool_)
    return Part(there, words.astype(np.uint8), length)
