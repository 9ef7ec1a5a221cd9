"""ASTERIX CAT034, monoradar service messages (EUROCONTROL-SPEC-0149-2b, ed. 1.29): north and sector marks, state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.asterix import (
    NOTHING,
    Layout,
    Walked,
    blocks,
    compound,
    explicit,
    fixed,
    repeated,
    walk,
)
from fusion.schema import B1, F8, I1, I4, I8

CATEGORY = 34
_STATE = (fixed("COM", 1), NOTHING, NOTHING, fixed("PSR", 1), fixed("SSR", 1), fixed("MDS", 2))
_MODE = (fixed("COM", 1), NOTHING, NOTHING, fixed("PSR", 1), fixed("SSR", 1), fixed("MDS", 1))
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("000", 1),  # message type
    fixed("030", 3),  # time of day
    fixed("020", 1),  # sector number
    fixed("041", 2),  # antenna rotation period
    compound("050", *_STATE),  # system configuration and status
    compound("060", *_MODE),  # system processing mode
    repeated("070", 2),  # message counts
    fixed("100", 8),  # polar window
    fixed("110", 1),  # data filter
    fixed("120", 8),  # position of the source
    fixed("090", 2),  # collimation error
    explicit("RE"),
    explicit("SP"),
)
NORTH, SECTOR = 1, 2
JAMMING = (4, 6, 7)  # strobes: of the primary, the secondary and the Mode S channel
ANGLE_UNIT_RAD = np.pi / (1 << 23)  # of latitude and longitude: 180 degrees / 2^23
SECTOR_RAD = 2.0 * np.pi / 256.0


@dataclass(frozen=True, slots=True)
class Services:
    """n service messages, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    kind: I1  # I000: 1 north mark, 2 sector, 3 filter, 4 jamming strobe, ...
    day_us: I8  # since midnight UTC
    sector_rad: F8  # azimuth at which the sector that was just entered begins
    period_s: F8  # of the antenna
    told: B1  # whether the next two are said
    no_go: B1  # not to be used operationally
    overload: B1  # of the radar's data processor
    lat_rad: F8
    lon_rad: F8
    height_m: F8  # of the source, above WGS84

    def __len__(self) -> int:
        return len(self.sac)


def decode(data: bytes) -> tuple[Services, dict[str, int]]:
    """The service messages of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[Services, dict[str, int]]:
    """What the records that were found say."""
    common = found.unsigned("050/COM", 1)
    services = Services(
        sac=found.unsigned("010", 1).astype(np.int32),
        sic=found.unsigned("010", 1, skip=1).astype(np.int32),
        kind=np.where(found.has("000"), found.unsigned("000", 1), -1).astype(np.int8),
        day_us=found.day_us("030"),
        sector_rad=found.scaled("020", found.unsigned("020", 1), SECTOR_RAD),
        period_s=found.scaled("041", found.unsigned("041", 2), 1.0 / 128.0),
        told=found.has("050/COM"),
        no_go=(common & 0x80) != 0,
        overload=(common & 0x30) != 0,
        lat_rad=found.scaled("120", found.signed("120", 3, skip=2), ANGLE_UNIT_RAD),
        lon_rad=found.scaled("120", found.signed("120", 3, skip=5), ANGLE_UNIT_RAD),
        height_m=found.scaled("120", found.signed("120", 2), 1.0),
    )
    return services, dict(found.faults)
