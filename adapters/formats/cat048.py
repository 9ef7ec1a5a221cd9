"""ASTERIX CAT048, monoradar target reports (EUROCONTROL-SPEC-0149-4, edition 1.32): what a radar says of a target.

Slant range, and azimuth from true north, as the radar has them: the message does not say where the radar is. Nautical
miles, feet, flight levels and the time since midnight end here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.asterix import (
    MOST_OCTETS,
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
    LEVEL_UNIT_M,
    NM_M,
    SPEED_UNIT_MPS,
    callsign_of,
    day_part,
    fallen,
    signed_part,
    six_bits,
    units,
)
from adapters.wire import Decoded, stand
from fusion.schema import B1, F8, I1, I4, I8, PlotKind, S, SensorSpec

CATEGORY = 48
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("140", 3),  # time of day
    extended("020"),  # target report descriptor
    fixed("040", 4),  # measured position, polar
    fixed("070", 2),  # Mode 3/A
    fixed("090", 2),  # flight level
    compound(
        "130",  # radar plot characteristics
        *(fixed(name, 1) for name in ("SRL", "SRR", "SAM", "PRL", "PAM", "RPD", "APD")),
        *(fixed(name, octets) for name, octets in (("SCO", 1), ("SCR", 2), ("RW", 2), ("AR", 2))),
    ),
    fixed("220", 3),  # aircraft address
    fixed("240", 6),  # aircraft identification
    repeated("250", 8),  # Mode S MB data
    fixed("161", 2),  # track number
    fixed("042", 4),  # calculated position, Cartesian
    fixed("200", 4),  # calculated velocity, polar
    extended("170"),  # track status
    fixed("210", 4),  # track quality
    extended("030"),  # warnings
    fixed("080", 2),  # Mode 3/A confidence
    fixed("100", 4),  # Mode C code and confidence
    fixed("110", 2),  # height of a 3D radar
    compound("120", fixed("CAL", 2), repeated("RDS", 6)),  # radial Doppler speed
    fixed("230", 2),  # communications, capability, flight status
    fixed("260", 7),  # ACAS resolution advisory
    fixed("055", 1),
    fixed("050", 2),
    fixed("065", 1),
    fixed("060", 2),
    explicit("SP"),
    explicit("RE"),
)
RANGE_UNIT_M = NM_M / 256.0
NO_DETECTION = 0  # TYP of I020: a track without a plot
ROLL_CALL = 4  # and above: Mode S


@dataclass(frozen=True, slots=True)
class Reports:
    """n target reports, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    day_us: I8  # since midnight UTC; -1 not said
    kind: I1  # TYP of I020: 0 no detection, 1 primary, 2 secondary, 3 both, 4 to 7 Mode S
    simulated: B1
    test: B1
    range_m: F8  # slant
    azimuth_rad: F8
    mode3a: I4
    mode3a_sure: B1  # validated, not garbled, not smoothed from earlier ones
    pressure_height_m: F8
    level_sure: B1
    height_m: F8  # of a 3D radar, above mean sea level
    address: I4
    callsign: S
    track: I4
    doppler_mps: F8  # away from the radar
    speed_mps: F8  # as the radar's own tracker has it
    heading_rad: F8

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
    descriptor, more = found.unsigned("020", 1), found.unsigned("020", 1, skip=1)
    code, level = found.unsigned("070", 2), found.unsigned("090", 2)
    calculated = found.unsigned("120/CAL", 2)
    reports = Reports(
        sac=found.unsigned("010", 1).astype(np.int32),
        sic=found.unsigned("010", 1, skip=1).astype(np.int32),
        day_us=found.day_us("140"),
        kind=(descriptor >> 5).astype(np.int8),
        simulated=(descriptor & 0x10) != 0,
        test=(more & 0x80) != 0,
        range_m=found.scaled("040", found.unsigned("040", 2), RANGE_UNIT_M),
        azimuth_rad=found.scaled("040", found.unsigned("040", 2, skip=2), ANGLE_UNIT_RAD),
        mode3a=np.where(found.has("070"), code & 0xFFF, -1).astype(np.int32),
        mode3a_sure=found.has("070") & (code >> 13 == 0),
        pressure_height_m=found.scaled("090", found.signed("090", 2, bits=14), LEVEL_UNIT_M),
        level_sure=found.has("090") & (level >> 14 == 0),
        height_m=found.scaled("110", found.signed("110", 2, bits=14), LEVEL_UNIT_M),
        address=np.where(found.has("220"), found.unsigned("220", 3), -1).astype(np.int32),
        callsign=callsign_of(found, "240"),
        track=np.where(found.has("161"), found.unsigned("161", 2) & 0xFFF, -1).astype(np.int32),
        doppler_mps=np.where(
            calculated & 0x8000 == 0, found.scaled("120/CAL", found.signed("120/CAL", 2, bits=10), 1.0), np.nan
        ),
        speed_mps=found.scaled("200", found.unsigned("200", 2), SPEED_UNIT_MPS),
        heading_rad=found.scaled("200", found.unsigned("200", 2, skip=2), ANGLE_UNIT_RAD),
    )
    return reports, dict(found.faults)


def encode(reports: Reports, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks that read back as these reports, to the unit of each item."""
    r, n = reports, len(reports)
    polar = ~np.isnan(r.range_m)
    sure = np.ones(n, np.bool_)
    range_units = units(r.range_m, RANGE_UNIT_M, 0, 0xFFFF)
    level = units(r.pressure_height_m, LEVEL_UNIT_M) & 0x3FFF
    said = {
        "010": Part(sure, octets(r.sac << 8 | r.sic, 2)),
        "140": day_part(r.day_us),
        "040": Part(polar, octets(range_units << 16 | units(r.azimuth_rad, ANGLE_UNIT_RAD) & 0xFFFF, 4)),
        "070": Part(r.mode3a >= 0, octets((r.mode3a & 0xFFF) | np.where(r.mode3a_sure, 0, 0x8000), 2)),
        "090": Part(~np.isnan(r.pressure_height_m), octets(level | np.where(r.level_sure, 0, 0x8000), 2)),
        "220": Part(r.address >= 0, octets(r.address, 3)),
        "240": Part(r.callsign != b"", six_bits(r.callsign)),
        "161": Part(r.track >= 0, octets(r.track, 2)),
        "200": Part(
            ~np.isnan(r.speed_mps),
            octets(units(r.speed_mps, SPEED_UNIT_MPS) << 16 | units(r.heading_rad, ANGLE_UNIT_RAD) & 0xFFFF, 4),
        ),
        "110": signed_part(r.height_m, LEVEL_UNIT_M, 2, 14),
        "120/CAL": Part(~np.isnan(r.doppler_mps), octets(units(r.doppler_mps, 1.0) & 0x3FF, 2)),
    }
    first = (r.kind.astype(np.int64) << 5) | np.where(r.simulated, 0x10, 0) | r.test
    words = np.column_stack([octets(first, 1), octets(np.where(r.test, 0x80, 0), 1)])
    said["020"] = Part(sure, words, np.where(r.test, 2, 1))
    return packed(CATEGORY, *records(LAYOUT, said, n), most)


def plots(reports: Reports, spec: SensorSpec, rx_us: int, boot: int = -1, seq: int = -1) -> Decoded:
    """Those of a sensor as the engine takes them. What is no plot, or no target of flesh and metal, falls by reason:
    `no-detection`, `test-target`, `simulated` (where the radar says so itself), `missing-field`.

    Mode 3/A and level only where the radar is sure of them. The time of day becomes the time that is nearest to when
    the message came.

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    r = reports
    no_target = (("no-detection", r.kind == NO_DETECTION), ("test-target", r.test), ("simulated", r.simulated))
    left, rejected = fallen((*no_target, ("missing-field", np.isnan(r.range_m) | (r.day_us < 0))), len(r))
    columns: dict[str, NDArray[Any]] = {
        "range_m": r.range_m[left],
        "azimuth_rad": r.azimuth_rad[left],
        "pressure_height_m": np.where(r.level_sure, r.pressure_height_m, np.nan)[left],
        "doppler_mps": r.doppler_mps[left],
        "address": r.address[left],
        "mode3a": np.where(r.mode3a_sure, r.mode3a, -1).astype(np.int32)[left],
        "callsign": r.callsign[left],
    }
    return stand(spec, PlotKind.POLAR, rx_us, near(r.day_us[left], rx_us), boot, seq, columns, rejected)
