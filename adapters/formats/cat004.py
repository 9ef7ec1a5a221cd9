"""ASTERIX CAT004, safety net messages (EUROCONTROL-SPEC-0149-17, edition 1.13): alerts, and that we are there to give
them. Of its many kinds the airspace infringement warning, its end, and the sign of life.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.asterix import (
    NOTHING,
    Item,
    Layout,
    Part,
    Walked,
    blocks,
    compound,
    explicit,
    extended,
    fixed,
    octets,
    packed,
    records,
    repeated,
    walk,
)
from adapters.asterixitems import callsign_of, day_part, six_bits, units
from fusion.schema import I8

CATEGORY = 4


def _fixed(words: str) -> list[Item]:
    """NAME:OCTETS of each."""
    return [fixed(name, int(count)) for name, _, count in (word.partition(":") for word in words.split())]


LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("000", 1),  # message type
    repeated("015", 2),  # SDPS identifier
    fixed("020", 3),  # time of message
    fixed("040", 2),  # alert identifier
    fixed("045", 1),  # area and alert status
    extended("060"),  # function and system status
    fixed("030", 2),  # track number 1
    compound(
        "170",  # aircraft 1
        *_fixed("AI1:7 M31:2 CPW:10 CPC:8 TT1:3 DT1:2"),
        extended("AC1"),
        *_fixed("MS1:6 FP1:4 CF1:2"),
    ),
    compound("120", extended("CN"), fixed("CC", 1), fixed("CP", 1), fixed("CD", 3)),  # characteristics
    compound(
        "070",  # timing and separation
        *_fixed("TC:3 TCA:3 CHS:3 MHS:2 CVS:2 MVS:2"),
    ),
    fixed("076", 2),  # vertical deviation
    fixed("074", 2),  # longitudinal deviation
    fixed("075", 3),  # transversal deviation
    compound("100", *_fixed("AN:6 CAN:7 RT1:7 RT2:7 SB:7 G:7")),  # area
    fixed("035", 2),  # track number 2
    compound(
        "171",  # aircraft 2
        *_fixed("AI2:7 M32:2 CPW:10 CPL:8 TT2:3 DT2:2"),
        extended("AC2"),
        *_fixed("MS2:6 FP2:4 CF2:2"),
    ),
    repeated("110", 2),  # sectors
    NOTHING,
    explicit("RE"),
    explicit("SP"),
)
ALIVE, END_OF_CONFLICT, AIRSPACE_INFRINGEMENT = 1, 17, 99  # I000
OPEN, ACKNOWLEDGED = 1, 2  # STAT of I045, whose meaning each system states
TIME_UNIT_S = 1.0 / 128.0
PREDICTED = 0x04  # of the third octet of CN: not yet within


@dataclass(frozen=True, slots=True)
class Warned:
    """One message. -1, NaN and "": not said."""

    kind: int  # I000
    sac: int
    sic: int
    day_us: int  # since midnight UTC
    alert: int = -1  # 16 bits, the same through all messages of an alert
    status: int = -1  # STAT of I045
    track: int = -1  # number in CAT062
    callsign: str = ""  # seven characters, as the item has
    mode3a: int = -1
    predicted: bool = False  # the infringement lies ahead
    severe: bool = False
    time_to_s: float = float("nan")  # until it happens
    area: str = ""  # six characters


def decode(data: bytes) -> tuple[list[Warned], dict[str, int]]:
    """The messages of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[list[Warned], dict[str, int]]:
    """What the records that were found say."""

    def said(name: str, value: I8) -> list[int]:
        values: list[int] = np.where(found.has(name), value, -1).tolist()
        return values

    columns = (
        said("000", found.unsigned("000", 1)),
        found.unsigned("010", 1).tolist(),
        found.unsigned("010", 1, skip=1).tolist(),
        found.day_us("020").tolist(),
        said("040", found.unsigned("040", 2)),
        said("045", (found.unsigned("045", 1) >> 1) & 7),
        said("030", found.unsigned("030", 2)),
        _texts(found, "170/AI1"),
        said("170/M31", found.unsigned("170/M31", 2) & 0xFFF),
        ((found.unsigned("120/CN", 1, skip=2) & PREDICTED) != 0).tolist(),
        ((found.unsigned("120/CC", 1) & 1) != 0).tolist(),
        found.scaled("070/TC", found.unsigned("070/TC", 3), TIME_UNIT_S).tolist(),
        [text.decode() for text in callsign_of(found, "100/AN").tolist()],
    )
    return list(map(Warned, *columns)), dict(found.faults)


def _texts(found: Walked, name: str) -> list[str]:
    """Seven octets of ASCII; what is no character that can be read is left out."""
    raw = [found.unsigned(name, 1, skip=n).astype(np.uint8) for n in range(7)]
    texts = np.column_stack(raw) if len(found) else np.empty((0, 7), np.uint8)
    return ["".join(chr(c) for c in row if 32 <= c < 127).rstrip() for row in texts.tolist()]


def encode(message: Warned) -> bytes:
    """One data block that reads back as this message."""
    m = message

    def part(value: int, count: int) -> Part:
        return Part(np.array([value >= 0]), octets(np.array([value]), count))

    there = m.kind == AIRSPACE_INFRINGEMENT
    nature = bytes([1, 1, PREDICTED if m.predicted else 0])  # the third octet is there after the first two
    seconds = units(np.array([m.time_to_s]), TIME_UNIT_S, 0, 0xFFFFFF)
    name = m.callsign.encode("ascii", "replace")[:7].ljust(7)
    said = {
        "010": part(m.sac << 8 | m.sic, 2),
        "000": part(m.kind, 1),
        "015": Part(np.array([True]), np.array([[1, m.sac, m.sic]], np.uint8)),
        "020": day_part(np.array([m.day_us])),
        "040": part(m.alert, 2),
        "045": part(m.status << 1 if m.status >= 0 else -1, 1),
        "030": part(m.track, 2),
        "170/AI1": Part(np.array([m.callsign != ""]), np.frombuffer(name, np.uint8).reshape(1, 7)),
        "170/M31": part(m.mode3a, 2),
        "120/CN": Part(np.array([there]), np.frombuffer(nature, np.uint8).reshape(1, 3)),
        "120/CC": Part(np.array([there]), octets(np.array([int(m.severe)]), 1)),
        "070/TC": Part(np.array([not np.isnan(m.time_to_s)]), octets(seconds, 3)),
        "100/AN": Part(np.array([m.area != ""]), six_bits(np.array([m.area.upper()[:8].encode()], "S8"))),
    }
    (block,) = packed(CATEGORY, *records(LAYOUT, said, 1))
    return block
