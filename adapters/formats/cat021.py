"""ASTERIX CAT021, ADS-B target reports (EUROCONTROL-SPEC-0149-12, edition 2.7; all of 2.x have the same first items).

A ground station passes on what aircraft say of themselves: claims, with the accuracy and integrity that they claim.
Feet, flight levels, miles a second and the time since midnight end here.
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
    ANGLE_UNIT_RAD,
    CLIMB_UNIT_MPS,
    HEIGHT_UNIT_M,
    LEVEL_UNIT_M,
    SPEED_UNIT_MPS,
    callsign_of,
    day_part,
    fallen,
    signed_part,
    six_bits,
    units,
)
from adapters.modes.accuracies import NIC_BY_NUCP, SIGMA_BY_GVA_M, SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS
from adapters.wire import Decoded, stand
from fusion.schema import B1, F8, I1, I4, I8, US_PER_S, PlotKind, S, SensorSpec

CATEGORY = 21
_AGES = "AOS TRD M3A QI TI1 MAM GH FL SAL FSA AS TAS MH BVR GVR GV TAR TI2 TS MET ROA ARA SCC".split()
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    extended("040"),  # target report descriptor
    fixed("161", 2),  # track number
    fixed("015", 1),  # service
    fixed("071", 3),  # time of applicability of the position
    fixed("130", 6),  # position
    fixed("131", 8),  # the same, finer
    fixed("072", 3),  # time of applicability of the velocity
    fixed("150", 2),  # air speed
    fixed("151", 2),  # true air speed
    fixed("080", 3),  # target address
    fixed("073", 3),  # time of reception of the position
    fixed("074", 4),  # the same, finer
    fixed("075", 3),  # time of reception of the velocity
    fixed("076", 4),  # the same, finer
    fixed("140", 2),  # geometric height
    extended("090"),  # quality indicators
    fixed("210", 1),  # MOPS version
    fixed("070", 2),  # Mode 3/A
    fixed("230", 2),  # roll angle
    fixed("145", 2),  # flight level
    fixed("152", 2),  # magnetic heading
    fixed("200", 1),  # target status
    fixed("155", 2),  # barometric vertical rate
    fixed("157", 2),  # geometric vertical rate
    fixed("160", 4),  # airborne ground vector
    fixed("165", 2),  # rate of turn
    fixed("077", 3),  # time of transmission of the report
    fixed("170", 6),  # target identification
    fixed("020", 1),  # emitter category
    compound("220", fixed("WS", 2), fixed("WD", 2), fixed("TMP", 2), fixed("TRB", 1)),  # weather
    fixed("146", 2),  # selected altitude
    fixed("148", 2),  # final selected altitude
    compound("110", extended("TIS"), repeated("TID", 15)),  # trajectory intent
    fixed("016", 1),  # service management
    fixed("008", 1),  # aircraft operational status
    extended("271"),  # surface capabilities
    fixed("132", 1),  # message amplitude
    repeated("250", 8),  # Mode S MB data
    fixed("260", 7),  # ACAS resolution advisory
    fixed("400", 1),  # receiver
    compound("295", *(fixed(name, 1) for name in _AGES)),
    NOTHING,
    NOTHING,
    NOTHING,
    NOTHING,
    NOTHING,
    explicit("RE"),
    explicit("SP"),
)
COARSE_UNIT_RAD = np.pi / (1 << 23)
FINE_UNIT_RAD = np.pi / (1 << 30)
ANONYMOUS = 3  # ATP of I040: an address that nobody gave
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Reports:
    """n target reports, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    day_us: I8  # since midnight UTC, when the position held; -1 not said
    address: I4
    address_kind: I1  # ATP of I040: 0 of ICAO, 1 there twice, 2 of a surface vehicle, 3 anonymous
    on_ground: I1
    simulated: B1
    test: B1  # a test target, or the station's own fixed transponder
    no_go: B1  # the station says: not to be used
    misread: B1  # CPR validation failed, or the position jumped: the station's decoding, not the aircraft, is wrong
    lat_rad: F8
    lon_rad: F8
    height_m: F8  # geometric, above WGS84
    pressure_height_m: F8
    speed_mps: F8  # over ground
    course_rad: F8
    climb_mps: F8  # geometric
    pressure_climb_mps: F8
    mode3a: I4
    callsign: S
    category: I1
    version: I1  # of the transponder's MOPS: 0 DO-260, 1 DO-260A, 2 DO-260B, 3 DO-260C
    integrity: I1  # NUCp where the version is 0, else NIC
    velocity_accuracy: I1  # NUCr, NACv
    nacp: I1
    sil: I1
    gva: I1
    track: I4

    def __len__(self) -> int:
        return len(self.sac)


def decode(data: bytes) -> tuple[Reports, dict[str, int]]:
    """The reports of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[Reports, dict[str, int]]:
    """What the records that were found say."""
    first, second, third = (found.unsigned("040", 1, skip=n) for n in range(3))
    quality, accuracy, more = (found.unsigned("090", 1, skip=n) for n in range(3))
    size = found.size[:, found.layout.column["090"]]
    reports = Reports(
        sac=found.unsigned("010", 1).astype(np.int32),
        sic=found.unsigned("010", 1, skip=1).astype(np.int32),
        day_us=_day_us(found),
        address=_said(found.has("080"), found.unsigned("080", 3)).astype(np.int32),
        address_kind=_said(found.has("040"), first >> 5).astype(np.int8),
        on_ground=_said(found.size[:, found.layout.column["040"]] >= 2, (second >> 6) & 1).astype(np.int8),
        simulated=(second & 0x20) != 0,
        test=((second & 0x10) != 0) | ((first & 0x02) != 0),
        no_go=(third & 0x10) != 0,
        misread=(third & 0x0C) != 0,
        lat_rad=_angle(found, 0),
        lon_rad=_angle(found, 1),
        height_m=found.scaled("140", found.signed("140", 2), HEIGHT_UNIT_M),
        pressure_height_m=found.scaled("145", found.signed("145", 2), LEVEL_UNIT_M),
        speed_mps=_within(found, "160", found.unsigned("160", 2) & 0x7FFF, SPEED_UNIT_MPS),
        course_rad=found.scaled("160", found.unsigned("160", 2, skip=2), ANGLE_UNIT_RAD),
        climb_mps=_within(found, "157", found.signed("157", 2, bits=15), CLIMB_UNIT_MPS),
        pressure_climb_mps=_within(found, "155", found.signed("155", 2, bits=15), CLIMB_UNIT_MPS),
        mode3a=_said(found.has("070"), found.unsigned("070", 2) & 0xFFF).astype(np.int32),
        callsign=callsign_of(found, "170"),
        category=_said(found.has("020"), np.minimum(found.unsigned("020", 1), 127)).astype(np.int8),
        version=_said(found.has("210"), (found.unsigned("210", 1) >> 3) & 7).astype(np.int8),
        integrity=_said(size >= 1, (quality >> 1) & 15).astype(np.int8),
        velocity_accuracy=_said(size >= 1, quality >> 5).astype(np.int8),
        nacp=_said(size >= 2, (accuracy >> 1) & 15).astype(np.int8),
        sil=_said(size >= 2, (accuracy >> 5) & 3).astype(np.int8),
        gva=_said(size >= 3, (more >> 1) & 3).astype(np.int8),
        track=_said(found.has("161"), found.unsigned("161", 2) & 0xFFF).astype(np.int32),
    )
    return reports, dict(found.faults)


def encode(reports: Reports, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks that read back as these reports, to the unit of each item; the position is the fine one."""
    r, n = reports, len(reports)
    sure = np.ones(n, np.bool_)
    vector = ~np.isnan(r.speed_mps)
    ground = units(r.speed_mps, SPEED_UNIT_MPS, 0, 0x7FFF) << 16 | units(r.course_rad, ANGLE_UNIT_RAD) & 0xFFFF
    place = np.column_stack([octets(units(angle, FINE_UNIT_RAD), 4) for angle in (r.lat_rad, r.lon_rad)])
    said = {
        "010": Part(sure, octets(r.sac << 8 | r.sic, 2)),
        "040": _descriptor(r),
        "161": Part(r.track >= 0, octets(r.track, 2)),
        "071": day_part(r.day_us),
        "131": Part(~np.isnan(r.lat_rad), place),
        "080": Part(r.address >= 0, octets(r.address, 3)),
        "140": signed_part(r.height_m, HEIGHT_UNIT_M, 2),
        "090": _quality(r),
        "210": Part(r.version >= 0, octets(r.version.astype(np.int64) << 3 | 2, 1)),
        "070": Part(r.mode3a >= 0, octets(r.mode3a, 2)),
        "145": signed_part(r.pressure_height_m, LEVEL_UNIT_M, 2),
        "155": signed_part(r.pressure_climb_mps, CLIMB_UNIT_MPS, 2, 15),
        "157": signed_part(r.climb_mps, CLIMB_UNIT_MPS, 2, 15),
        "160": Part(vector, octets(ground, 4)),
        "170": Part(r.callsign != b"", six_bits(r.callsign)),
        "020": Part(r.category >= 0, octets(r.category, 1)),
    }
    return packed(CATEGORY, *records(LAYOUT, said, n), most)


def plots(reports: Reports, spec: SensorSpec, rx_us: int, boot: int = -1, seq: int = -1) -> Decoded:
    """Those of a station as the engine takes them. What is no aircraft's own word falls by reason: `test-target`,
    `simulated`, `no-go`, `misread` (the station's decoding), `missing-field` (no position, no time).

    An anonymous address is none. A report that the station calls suspect, or whose position its own check contradicts,
    stays: whether a claim is true is for the fusion to say. NUCp of old transponders is told as NIC (`NIC_BY_NUCP`).

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    r = reports
    unusable = (("test-target", r.test), ("simulated", r.simulated), ("no-go", r.no_go), ("misread", r.misread))
    left, rejected = fallen((*unusable, ("missing-field", np.isnan(r.lat_rad) | (r.day_us < 0))), len(r))
    old = r.version == 0
    unknown = (r.version < 0) & (r.nacp < 0)  # NUCp or NIC: without the version only a NACp beside it tells
    nic = np.where(old, NIC_BY_NUCP[r.integrity], np.where(unknown | (r.integrity > 11), -1, r.integrity))
    nacv = np.where(r.velocity_accuracy <= 4, r.velocity_accuracy, -1).astype(np.int8)
    nacp = np.where((r.nacp <= 11) & ~old, r.nacp, -1).astype(np.int8)
    gva = np.where(r.gva <= 2, r.gva, -1)
    columns: dict[str, NDArray[Any]] = {
        "lat_rad": r.lat_rad,
        "lon_rad": r.lon_rad,
        "sigma_position_m": SIGMA_BY_NACP_M[nacp + 1],
        "height_m": r.height_m,
        "sigma_height_m": SIGMA_BY_GVA_M[gva + 1],
        "pressure_height_m": r.pressure_height_m,
        "velocity_east_mps": r.speed_mps * np.sin(r.course_rad),
        "velocity_north_mps": r.speed_mps * np.cos(r.course_rad),
        "velocity_up_mps": np.where(np.isnan(r.climb_mps), r.pressure_climb_mps, r.climb_mps),
        "sigma_velocity_mps": SIGMA_BY_NACV_MPS[nacv + 1],
        "address": np.where(r.address_kind == ANONYMOUS, -1, r.address).astype(np.int32),
        "mode3a": r.mode3a,
        "nic": np.where(r.integrity < 0, -1, nic).astype(np.int8),
        "nacp": nacp,
        "nacv": nacv,
        "sil": np.where(old, -1, r.sil).astype(np.int8),
        "category": np.where(r.category <= 24, r.category, -1).astype(np.int8),
        "on_ground": r.on_ground,
        "callsign": r.callsign,
    }
    columns = {name: column[left] for name, column in columns.items()}
    return stand(spec, PlotKind.POSITION, rx_us, near(r.day_us[left], rx_us), boot, seq, columns, rejected)


def _said(there: B1, value: I8) -> I8:
    return np.where(there, value, -1)


def _within(found: Walked, name: str, value: I8, unit: float) -> F8:
    """NaN also where the item says that its range was too small."""
    return np.where(found.unsigned(name, 2) & 0x8000, np.nan, found.scaled(name, value, unit))


def _angle(found: Walked, which: int) -> F8:
    """Latitude (0) or longitude (1): the fine one where it is there."""
    coarse = found.scaled("130", found.signed("130", 3, skip=3 * which), COARSE_UNIT_RAD)
    return np.where(found.has("131"), found.signed("131", 4, skip=4 * which) * FINE_UNIT_RAD, coarse)


def _day_us(found: Walked) -> I8:
    """When the position held: as the station says so, else when it heard it, else when it wrote the report."""
    heard = found.day_us("073")
    fine = found.unsigned("074", 4)
    second = heard // US_PER_S + np.array([0, 1, -1, 0])[fine >> 30]
    # The 30 bits of the fraction are cut to microseconds: in whole numbers, so that it is the same everywhere.
    heard_us = second % DAY_S * US_PER_S + ((fine & 0x3FFF_FFFF) * US_PER_S >> 30)
    heard = np.where(found.has("074") & (heard >= 0), heard_us, heard)
    told = found.day_us("071")
    return np.where(told >= 0, told, np.where(heard >= 0, heard, found.day_us("077")))


def _descriptor(r: Reports) -> Part:
    """I040. A test target is told as one, not as the station's transponder; `misread` as a failed CPR validation."""
    third = np.where(r.no_go, 0x10, 0) | np.where(r.misread, 0x08, 0)
    second = np.where(r.on_ground == 1, 0x40, 0) | np.where(r.simulated, 0x20, 0) | np.where(r.test, 0x10, 0)
    length = np.where(third > 0, 3, np.where((second > 0) | (r.on_ground >= 0), 2, 1))
    first = np.maximum(r.address_kind, 0).astype(np.int64) << 5 | (length > 1)
    words = np.column_stack([octets(first, 1), octets(second | (length > 2), 1), octets(third, 1)])
    return Part((r.address_kind >= 0) | (length > 1), words, length)


def _quality(r: Reports) -> Part:
    """I090. A later octet needs those before it, which then say 0: unknown."""
    known = {
        name: np.maximum(getattr(r, name), 0).astype(np.int64)
        for name in ("integrity", "velocity_accuracy", "nacp", "sil", "gva")
    }
    length = np.where(r.gva >= 0, 3, np.where((r.nacp >= 0) | (r.sil >= 0), 2, 1))
    first = known["velocity_accuracy"] << 5 | known["integrity"] << 1 | (length > 1)
    second = known["sil"] << 5 | known["nacp"] << 1 | (length > 2)
    words = np.column_stack([octets(first, 1), octets(second, 1), octets(known["gva"] << 1, 1)])
    return Part((r.integrity >= 0) | (r.velocity_accuracy >= 0) | (length > 1), words, length)
