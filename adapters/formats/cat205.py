"""ASTERIX CAT205, radio direction finder reports (EUROCONTROL, edition 1.0): where transmissions come from.

Read for their bearings: system bearing reports (type 2) and sensor data reports (5), whose I070 is from geographic
north at the finder itself. Positions that a system worked out of several bearings (1, 3) are its opinion and are not
taken; neither is the projected bearing I080. Degrees and the time since midnight end here.
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
    explicit,
    fixed,
    near,
    octets,
    packed,
    records,
    repeated,
    walk,
)
from adapters.asterixitems import day_part, fallen, signed_part, unsigned_part
from adapters.wire import Decoded, stand
from fusion.schema import F8, I1, I4, I8, PlotKind, SensorSpec

CATEGORY = 205
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("015", 1),  # service
    fixed("000", 1),  # message type
    fixed("030", 3),  # time of day
    fixed("040", 1),  # report number
    fixed("090", 7),  # radio channel
    fixed("050", 8),  # position, WGS84
    fixed("060", 6),  # position, Cartesian
    fixed("070", 2),  # local bearing
    fixed("080", 2),  # system bearing
    fixed("100", 1),  # quality of measurement
    fixed("110", 1),  # estimated uncertainty
    repeated("120", 1),  # contributing sensors
    fixed("130", 8),  # position of a conflicting transmitter, WGS84
    fixed("140", 6),  # the same, Cartesian
    fixed("150", 1),  # its estimated uncertainty
    fixed("160", 2),  # track number
    fixed("170", 1),  # sensor identification
    fixed("180", 2),  # signal level
    fixed("190", 1),  # signal quality
    fixed("200", 2),  # signal elevation
    explicit("SP"),
)
POSITION, BEARING, CONFLICT, END, SENSOR_DATA = range(1, 6)  # I000
ANGLE_UNIT_RAD = np.radians(0.01)
PLACE_UNIT_RAD = np.pi / (1 << 25)


@dataclass(frozen=True, slots=True)
class Bearings:
    """n reports of any type, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    kind: I1  # I000
    day_us: I8  # since midnight UTC
    lat_rad: F8  # of the finder in reports of type 2 and 5, of the transmitter in 1 and 3
    lon_rad: F8
    bearing_rad: F8  # local, from geographic north
    elevation_rad: F8
    finder: I4  # I170, where one SAC and SIC speak for several finders
    quality: I4  # of the signal, 0 to 255 the best

    def __len__(self) -> int:
        return len(self.sac)


def decode(data: bytes) -> tuple[Bearings, dict[str, int]]:
    """The reports of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[Bearings, dict[str, int]]:
    """What the records that were found say."""

    def word(name: str) -> I8:
        return np.where(found.has(name), found.unsigned(name, 1), -1)

    bearings = Bearings(
        sac=found.unsigned("010", 1).astype(np.int32),
        sic=found.unsigned("010", 1, skip=1).astype(np.int32),
        kind=word("000").astype(np.int8),
        day_us=found.day_us("030"),
        lat_rad=found.scaled("050", found.signed("050", 4), PLACE_UNIT_RAD),
        lon_rad=found.scaled("050", found.signed("050", 4, skip=4), PLACE_UNIT_RAD),
        bearing_rad=found.scaled("070", found.unsigned("070", 2), ANGLE_UNIT_RAD),
        elevation_rad=found.scaled("200", found.signed("200", 2), ANGLE_UNIT_RAD),
        finder=word("170").astype(np.int32),
        quality=word("190").astype(np.int32),
    )
    return bearings, dict(found.faults)


def encode(reports: Bearings, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks of at most `most` octets that read back as these reports, in their order, to each item's unit."""
    r, n = reports, len(reports)
    place = [signed_part(value, PLACE_UNIT_RAD, 4) for value in (r.lat_rad, r.lon_rad)]
    said = {
        "010": Part(np.ones(n, np.bool_), octets(r.sac << 8 | r.sic, 2)),
        "000": Part(r.kind >= 0, octets(r.kind.astype(np.int64), 1)),
        "030": day_part(r.day_us),
        "050": Part(place[0].there & place[1].there, np.column_stack([part.octets for part in place])),
        "070": unsigned_part(r.bearing_rad, ANGLE_UNIT_RAD, 2),
        "170": Part(r.finder >= 0, octets(r.finder, 1)),
        "190": Part(r.quality >= 0, octets(r.quality, 1)),
        "200": signed_part(r.elevation_rad, ANGLE_UNIT_RAD, 2),
    }
    return packed(CATEGORY, *records(LAYOUT, said, n), most)


def plots(reports: Bearings, spec: SensorSpec, rx_us: int, boot: int = -1, seq: int = -1) -> Decoded:
    """Bearings of one finder. What is none falls by reason: `no-bearing` (a position, the end of a detection), and
    `missing-field` (no bearing said, no time), `out-of-range` (a bearing beyond the circle).

    How sure a bearing is is not said in any unit: that stands in the service's sensors.toml.

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    r = reports
    other = (r.kind != BEARING) & (r.kind != SENSOR_DATA)
    left, rejected = fallen(
        (
            ("no-bearing", other),
            ("missing-field", np.isnan(r.bearing_rad) | (r.day_us < 0)),
            ("out-of-range", r.bearing_rad > 2.0 * np.pi + 1e-9),
        ),
        len(r),
    )
    columns: dict[str, NDArray[Any]] = {
        "azimuth_rad": r.bearing_rad[left] % (2.0 * np.pi),
        "elevation_rad": r.elevation_rad[left],
    }
    return stand(spec, PlotKind.BEARING, rx_us, near(r.day_us[left], rx_us), boot, seq, columns, rejected)
