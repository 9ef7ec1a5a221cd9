"""ASTERIX CAT063, status of the sensors that a tracker uses (EUROCONTROL-SPEC-0149-10, edition 1.7), with their biases.

A bias is what the sensor measures minus what is true. Nautical miles and the time since midnight end here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapters.asterix import (
    MOST_OCTETS,
    NOTHING,
    Layout,
    Part,
    Walked,
    blocks,
    explicit,
    extended,
    fixed,
    octets,
    packed,
    records,
    walk,
)
from adapters.asterixitems import ANGLE_UNIT_RAD, NM_M, day_part, signed_part
from fusion.schema import B1, F8, I1, I4, I8

CATEGORY = 63
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier: who tells
    fixed("015", 1),  # service
    fixed("030", 3),  # time of message
    fixed("050", 2),  # sensor identifier: of whom
    extended("060"),  # configuration and status
    fixed("070", 2),  # time stamping bias
    fixed("080", 4),  # SSR range gain and bias
    fixed("081", 2),  # SSR azimuth bias
    fixed("090", 4),  # PSR range gain and bias
    fixed("091", 2),  # PSR azimuth bias
    fixed("092", 2),  # PSR elevation bias
    NOTHING,
    explicit("RE"),
    explicit("SP"),
)
OPERATIONAL, DEGRADED, INITIALIZING, NOT_CONNECTED = range(4)  # CON of I060
TIME_UNIT_S = 1e-3
GAIN_UNIT = 1e-5
RANGE_UNIT_M = NM_M / 128.0


@dataclass(frozen=True, slots=True)
class Sensors:
    """n sensors, all arrays (n,). NaN and -1: not said."""

    sac: I4
    sic: I4
    service: I4
    day_us: I8  # since midnight UTC
    sensor_sac: I4
    sensor_sic: I4
    state: I1  # CON of I060
    inhibited: B1  # not released for operational use
    silent: B1  # no plots come
    time_bias_s: F8
    range_gain: F8  # of the primary channel, as all below; ours do not tell channels apart
    range_bias_m: F8
    azimuth_bias_rad: F8
    elevation_bias_rad: F8

    def __len__(self) -> int:
        return len(self.sac)


def decode(data: bytes) -> tuple[Sensors, dict[str, int]]:
    """The sensors of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[Sensors, dict[str, int]]:
    """What the records that were found say."""

    def said(name: str, value: I8) -> NDArray[np.int64]:
        return np.where(found.has(name), value, -1)

    second = found.unsigned("060", 1, skip=1)
    sensors = Sensors(
        sac=found.unsigned("010", 1).astype(np.int32),
        sic=found.unsigned("010", 1, skip=1).astype(np.int32),
        service=said("015", found.unsigned("015", 1)).astype(np.int32),
        day_us=found.day_us("030"),
        sensor_sac=said("050", found.unsigned("050", 1)).astype(np.int32),
        sensor_sic=said("050", found.unsigned("050", 1, skip=1)).astype(np.int32),
        state=said("060", found.unsigned("060", 1) >> 6).astype(np.int8),
        inhibited=(second & 0x80) != 0,
        silent=(second & 0x04) != 0,
        time_bias_s=found.scaled("070", found.signed("070", 2), TIME_UNIT_S),
        range_gain=found.scaled("090", found.signed("090", 2), GAIN_UNIT),
        range_bias_m=found.scaled("090", found.signed("090", 2, skip=2), RANGE_UNIT_M),
        azimuth_bias_rad=found.scaled("091", found.signed("091", 2), ANGLE_UNIT_RAD),
        elevation_bias_rad=found.scaled("092", found.signed("092", 2), ANGLE_UNIT_RAD),
    )
    return sensors, dict(found.faults)


def encode(sensors: Sensors, most: int = MOST_OCTETS) -> list[bytes]:
    """Data blocks that read back as these sensors. Where only one of gain and bias of the range is known, the other is
    told as 0: the item has both.
    """
    s, n = sensors, len(sensors)
    sure = np.ones(n, np.bool_)
    second = np.where(s.inhibited, 0x80, 0) | np.where(s.silent, 0x04, 0)
    first = np.maximum(s.state, 0).astype(np.int64) << 6 | (second != 0)
    gain, bias = signed_part(s.range_gain, GAIN_UNIT, 2), signed_part(s.range_bias_m, RANGE_UNIT_M, 2)
    said = {
        "010": Part(sure, octets(s.sac << 8 | s.sic, 2)),
        "015": Part(s.service >= 0, octets(s.service, 1)),
        "030": day_part(s.day_us),
        "050": Part(s.sensor_sac >= 0, octets(s.sensor_sac << 8 | s.sensor_sic, 2)),
        "060": Part(
            (s.state >= 0) | (second != 0),
            np.column_stack([octets(first, 1), octets(second, 1)]),
            np.where(second != 0, 2, 1),
        ),
        "070": signed_part(s.time_bias_s, TIME_UNIT_S, 2),
        "090": Part(gain.there | bias.there, np.column_stack([gain.octets, bias.octets])),
        "091": signed_part(s.azimuth_bias_rad, ANGLE_UNIT_RAD, 2),
        "092": signed_part(s.elevation_bias_rad, ANGLE_UNIT_RAD, 2),
    }
    return packed(CATEGORY, *records(LAYOUT, said, n), most)
