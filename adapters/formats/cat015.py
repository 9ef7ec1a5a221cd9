"""ASTERIX CAT015, target reports of independent non-cooperative sensors (EUROCONTROL, edition 1.2): passive and
mono-static radars, cameras, sound, as they see what does not answer.

What a report becomes is told by what its sensor is here. A radar's is a polar plot, where its range is the distance
from the sensor: a multi-static sensor's range is that of a path over a transmitter, and is not taken. A finder's is a
bearing. A neighbour's is a position: worked out over there, and no evidence of its own. Tracks of a radar or a finder
are not taken, since what they say was said before. Degrees and the time since midnight end here.
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
from adapters.asterixitems import ANGLE_UNIT_RAD, day_part, fallen, signed_part, units, unsigned_part
from adapters.wire import Decoded, stand
from fusion.schema import F8, I1, I4, I8, LIMITS, PlotKind, SensorKind, SensorSpec

CATEGORY = 15
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("000", 1),  # message type
    fixed("015", 1),  # service
    extended("020"),  # target report descriptor
    extended("030"),  # warnings and errors
    fixed("145", 3),  # time of applicability
    fixed("161", 2),  # track or plot number
    extended("170"),  # its status
    fixed("050", 2),  # update period
    compound("270", fixed("LEN", 2), fixed("WDT", 2), fixed("HGT", 2), fixed("ORT", 2)),  # size, orientation
    repeated("300", 2),  # classes, each with its probability
    fixed("400", 5),  # measurement identifier
    compound("600", fixed("P84", 8), fixed("HPR", 5), fixed("HPP", 5)),  # horizontal position
    compound(
        "601", fixed("GH", 3), fixed("RSGH", 3), fixed("SDGH", 3), fixed("CI6", 3), fixed("CI9", 3),
        fixed("COGHHP", 2), fixed("COGHHV", 2), fixed("COGHHA", 2),
    ),  # height above the ellipsoid
    compound("602", fixed("HV", 5), fixed("RSHV", 5), fixed("SDHV", 5), fixed("COHVHP", 4)),  # horizontal velocity
    compound("603", fixed("HA", 3), fixed("SDHA", 4), fixed("COHAHP", 4), fixed("COHAHV", 4)),  # its acceleration
    compound(
        "604", fixed("VV", 3), fixed("RSVV", 2), fixed("SDVV", 3), fixed("COVVHP", 2), fixed("COVVHV", 2),
        fixed("COVVHA", 2),
    ),  # climb
    compound(
        "605", fixed("VA", 2), fixed("RSVA", 4), fixed("COVAHP", 2), fixed("COVAHV", 2), fixed("COVAHA", 2)
    ),  # its acceleration
    repeated("480", 5),  # associations
    compound(
        "625", fixed("R", 3), fixed("RSR", 3), fixed("SDR", 3), fixed("RR", 3), fixed("RSRR", 3), fixed("SDRR", 4),
        fixed("RA", 2), fixed("SDRA", 4),
    ),  # range
    compound(
        "626", fixed("DV", 3), fixed("SDDV", 2), fixed("DA", 2), fixed("SDDA", 3), fixed("CODVR", 1),
        fixed("CODVRR", 1), fixed("CODVRA", 1), fixed("CODAR", 1), fixed("CODARR", 1), fixed("CODARA", 1),
    ),  # Doppler
    compound(
        "627", fixed("AZ", 2), fixed("RSAZ", 2), fixed("SDASZ", 2), fixed("AZR", 2), fixed("SDAZR", 3), fixed("AZEX", 4)
    ),  # azimuth
    compound(
        "628", fixed("EL", 2), fixed("RSEL", 2), fixed("SDEL", 2), fixed("ER", 2), fixed("SDER", 3), fixed("ELEX", 4)
    ),  # elevation
    compound("630", fixed("DPP", 1), fixed("DPS", 1), fixed("RPP", 2), fixed("RPS", 1)),  # quality of the path
    repeated("631", 8),  # contour
    explicit("SP"),
)  # fmt: skip
PLOT, TRACK, SENSOR_PLOT, SENSOR_TRACK, END = range(1, 6)  # I000
MONO_STATIC = 0  # I020
REFERENCE, SYNTHETIC, SIMULATED = 1, 2, 3  # I020, what kind of target
PLACE_UNIT_RAD = np.pi / (1 << 31)
SIGMA_PLACE_UNIT_M = 0.25
FINE_UNIT = 0.01  # metres, metres per second
RANGE_UNIT_M = 0.1
SIGMA_ANGLE_UNIT_RAD = np.pi / 4.0 / (1 << 16)
_NUMBERS = (  # items of one number: field, subfield, octets, unit, whether there is a sign
    ("height_m", "601/GH", 3, FINE_UNIT, True),
    ("sigma_height_m", "601/SDGH", 3, FINE_UNIT, False),
    ("climb_mps", "604/VV", 3, FINE_UNIT, True),
    ("range_m", "625/R", 3, RANGE_UNIT_M, True),
    ("sigma_range_m", "625/SDR", 3, RANGE_UNIT_M, False),
    ("range_rate_mps", "625/RR", 3, RANGE_UNIT_M, True),
    ("azimuth_rad", "627/AZ", 2, ANGLE_UNIT_RAD, False),
    ("sigma_azimuth_rad", "627/SDASZ", 2, SIGMA_ANGLE_UNIT_RAD, False),
    ("elevation_rad", "628/EL", 2, ANGLE_UNIT_RAD / 2.0, True),
    ("sigma_elevation_rad", "628/SDEL", 2, SIGMA_ANGLE_UNIT_RAD, False),
)
_PAIRS = (  # of two: fields, subfield, octets of each, unit, whether there is a sign; a correlation behind two sigmas
    (("lat_rad", "lon_rad"), "600/P84", 4, PLACE_UNIT_RAD, True),
    (("sigma_x_m", "sigma_y_m"), "600/HPP", 2, SIGMA_PLACE_UNIT_M, False),
    (("sigma_velocity_x_mps", "sigma_velocity_y_mps"), "602/SDHV", 2, FINE_UNIT, False),
)
_VELOCITY_BITS = 20  # of each of two that share five octets


@dataclass(frozen=True, slots=True)
class Reports:
    """n reports of any type, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    kind: I1  # I000
    arrangement: I1  # I020: 0 mono-static, 1 multi-static, 2 other, 3 unknown
    taxonomy: I1  # I020: 0 an actual target
    number: I4  # I161
    coasting: I1  # I170: the position is extrapolated
    tentative: I1  # I170
    day_us: I8  # since midnight UTC
    lat_rad: F8
    lon_rad: F8
    sigma_x_m: F8
    sigma_y_m: F8
    height_m: F8  # above the ellipsoid
    sigma_height_m: F8
    velocity_x_mps: F8
    velocity_y_mps: F8
    sigma_velocity_x_mps: F8
    sigma_velocity_y_mps: F8
    climb_mps: F8
    range_m: F8  # of a multi-static sensor the path over the transmitter, less that from it to here
    sigma_range_m: F8
    range_rate_mps: F8
    azimuth_rad: F8
    sigma_azimuth_rad: F8
    elevation_rad: F8
    sigma_elevation_rad: F8

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

    def word(name: str, octet: I8) -> I1:
        return np.where(found.has(name), octet, -1).astype(np.int8)

    what, how = found.unsigned("020", 1), found.unsigned("170", 1)
    said: dict[str, NDArray[Any]] = {
        "sac": found.unsigned("010", 1).astype(np.int32),
        "sic": found.unsigned("010", 1, skip=1).astype(np.int32),
        "kind": word("000", found.unsigned("000", 1) >> 1),
        "arrangement": word("020", what >> 6),
        "taxonomy": word("020", (what >> 4) & 3),
        "number": np.where(found.has("161"), found.unsigned("161", 2), -1).astype(np.int32),
        "coasting": word("170", (how >> 3) & 1),
        "tentative": word("170", (how >> 1) & 1),
        "day_us": found.day_us("145"),
    }
    for name, item, count, unit, signed in _NUMBERS:
        read = found.signed if signed else found.unsigned
        said[name] = found.scaled(item, read(item, count), unit)
    for names, item, count, unit, signed in _PAIRS:
        read = found.signed if signed else found.unsigned
        for n, name in enumerate(names):
            said[name] = found.scaled(item, read(item, count, skip=n * count), unit)
    east = found.signed("602/HV", 5, bits=2 * _VELOCITY_BITS) >> _VELOCITY_BITS
    said["velocity_x_mps"] = found.scaled("602/HV", east, FINE_UNIT)
    said["velocity_y_mps"] = found.scaled("602/HV", found.signed("602/HV", 5, bits=_VELOCITY_BITS), FINE_UNIT)
    return Reports(**said), dict(found.faults)


def encode(reports: Reports, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks of at most `most` octets that read back as these reports, in their order, to each item's unit."""
    r, n = reports, len(reports)
    what = np.maximum(r.arrangement, 0).astype(np.int64) << 6 | np.maximum(r.taxonomy, 0).astype(np.int64) << 4
    how = np.maximum(r.coasting, 0).astype(np.int64) << 3 | np.maximum(r.tentative, 0).astype(np.int64) << 1
    said = {
        "010": Part(np.ones(n, np.bool_), octets(r.sac << 8 | r.sic, 2)),
        "000": Part(r.kind >= 0, octets(r.kind.astype(np.int64) << 1, 1)),
        "020": Part((r.arrangement >= 0) & (r.taxonomy >= 0), octets(what, 1)),
        "145": day_part(r.day_us),
        "161": Part(r.number >= 0, octets(r.number, 2)),
        "170": Part((r.coasting >= 0) & (r.tentative >= 0), octets(how, 1)),
        "602/HV": _velocity(r),
    }
    for name, item, count, unit, signed in _NUMBERS:
        said[item] = (signed_part if signed else unsigned_part)(getattr(r, name), unit, count)
    for names, item, count, unit, signed in _PAIRS:
        made = [(signed_part if signed else unsigned_part)(getattr(r, name), unit, count) for name in names]
        correlation = np.zeros((n, 0 if signed else 1), np.uint8)
        said[item] = Part(made[0].there & made[1].there, np.column_stack([*(one.octets for one in made), correlation]))
    return packed(CATEGORY, *records(LAYOUT, said, n), most)


def _velocity(r: Reports) -> Part:
    most = 1 << (_VELOCITY_BITS - 1)
    east, north = (units(value, FINE_UNIT, -most, most - 1) for value in (r.velocity_x_mps, r.velocity_y_mps))
    both = east << _VELOCITY_BITS | north & (2 * most - 1)
    return Part(~np.isnan(r.velocity_x_mps) & ~np.isnan(r.velocity_y_mps), octets(both, 5))


def plots(reports: Reports, spec: SensorSpec, rx_us: int, boot: int = -1, seq: int = -1) -> Decoded:
    """What this sensor's reports say, by its kind: polar plots of a radar, bearings of a finder, positions of a
    neighbour. What is none falls by reason: `ended`, `simulated`, `test-target` (reference and synthetic targets),
    `coasting`, `tentative`, `track` (of a radar or a finder), `multi-static` (a range that is no distance),
    `missing-field` (no time, or not the geometry), `out-of-range` (such as a negative range).

    Sigmas are those that the report states, where they are not nothing; else those of the service's sensors.toml.

    Raises:
        Invalid: only what `fusion.schema.check_plots` finds beyond single plots.
    """
    r = reports
    kind, needed, columns = _geometry(r, spec.kind)
    tracked = (r.kind == TRACK) | (r.kind == SENSOR_TRACK)
    own, polar = (np.full(len(r), is_so) for is_so in (kind is not PlotKind.POSITION, kind is PlotKind.POLAR))
    left, rejected = fallen(
        (
            ("ended", r.kind == END),
            ("simulated", r.taxonomy == SIMULATED),
            ("test-target", (r.taxonomy == REFERENCE) | (r.taxonomy == SYNTHETIC)),
            ("track", own & tracked),
            ("coasting", r.coasting == 1),
            ("tentative", r.tentative == 1),
            ("multi-static", polar & (r.arrangement > MONO_STATIC)),
            ("missing-field", np.isnan(needed) | (r.day_us < 0) | (polar & (r.arrangement < MONO_STATIC))),
        ),
        len(r),
    )
    columns = {name: (_stated(name, col) if "sigma" in name else col)[left] for name, col in columns.items()}
    return stand(spec, kind, rx_us, near(r.day_us[left], rx_us), boot, seq, columns, rejected)


def _geometry(r: Reports, sensor: SensorKind) -> tuple[PlotKind, F8, dict[str, NDArray[Any]]]:
    """The kind of plot, a column that is NaN where the report does not have it, and the columns of all reports."""
    if sensor is SensorKind.TRACK:
        return PlotKind.POSITION, r.lat_rad + r.lon_rad, {
            "lat_rad": r.lat_rad,
            "lon_rad": r.lon_rad,
            "sigma_position_m": np.sqrt((r.sigma_x_m**2 + r.sigma_y_m**2) / 2.0),
            "height_m": r.height_m,
            "sigma_height_m": r.sigma_height_m,
            "velocity_east_mps": r.velocity_x_mps,
            "velocity_north_mps": r.velocity_y_mps,
            "velocity_up_mps": r.climb_mps,
            "sigma_velocity_mps": np.sqrt((r.sigma_velocity_x_mps**2 + r.sigma_velocity_y_mps**2) / 2.0),
        }  # fmt: skip
    angles: dict[str, NDArray[Any]] = {
        "azimuth_rad": r.azimuth_rad,
        "sigma_azimuth_rad": r.sigma_azimuth_rad,
        "elevation_rad": r.elevation_rad,
        "sigma_elevation_rad": r.sigma_elevation_rad,
    }
    if sensor is SensorKind.BEARING:
        return PlotKind.BEARING, r.azimuth_rad, angles
    ranges: dict[str, NDArray[Any]] = {
        "range_m": r.range_m,
        "sigma_range_m": r.sigma_range_m,
        "doppler_mps": r.range_rate_mps,
    }
    return PlotKind.POLAR, r.azimuth_rad + r.range_m, angles | ranges


def _stated(name: str, sigma: F8) -> F8:
    """A sigma of nothing was not measured, or rounded away; none is better than any that the engine takes."""
    return np.where(sigma > 0.0, np.maximum(sigma, LIMITS[name][0]), np.nan)
