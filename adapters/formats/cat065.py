"""ASTERIX CAT065, status of a data processing system (EUROCONTROL-SPEC-0149-15, edition 1.6): that we are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapters.asterix import (
    NOTHING,
    Layout,
    Part,
    Walked,
    blocks,
    explicit,
    fixed,
    octets,
    packed,
    records,
    walk,
)
from adapters.asterixitems import day_part

CATEGORY = 65
LAYOUT = Layout(
    CATEGORY,
    fixed("010", 2),  # data source identifier
    fixed("000", 1),  # message type
    fixed("015", 1),  # service
    fixed("030", 3),  # time of message
    fixed("020", 1),  # batch number
    fixed("040", 1),  # configuration and status
    fixed("050", 1),  # service status report
    *[NOTHING] * 5,
    explicit("RE"),
    explicit("SP"),
)
SDPS_STATUS, END_OF_BATCH, SERVICE_STATUS = 1, 2, 3  # I000
OPERATIONAL, DEGRADED, NOT_CONNECTED, UNKNOWN = range(4)  # NOGO of I040
ENDED_BY_OPERATOR = 7  # I050


@dataclass(frozen=True, slots=True)
class Status:
    """One message. -1: not said."""

    kind: int  # I000
    sac: int
    sic: int
    day_us: int  # since midnight UTC
    service: int = -1
    batch: int = -1  # 0 to 255, of END_OF_BATCH
    state: int = -1  # NOGO of I040; -1: I040 is not there
    overload: bool = False
    bad_clock: bool = False
    report: int = -1  # I050, of SERVICE_STATUS


def decode(data: bytes) -> tuple[list[Status], dict[str, int]]:
    """The messages of all blocks of this category in a datagram or file, and faults by reason.

    Raises:
        Invalid: `truncated`, when the lengths of the blocks do not fit.
    """
    return of(walk(LAYOUT, data, [block for block in blocks(data) if block.category == CATEGORY]))


def of(found: Walked) -> tuple[list[Status], dict[str, int]]:
    """What the records that were found say."""

    def column(name: str) -> list[int]:
        values: list[int] = np.where(found.has(name), found.unsigned(name, 1), -1).tolist()
        return values

    state = column("040")
    columns = (
        column("000"),
        found.unsigned("010", 1).tolist(),
        found.unsigned("010", 1, skip=1).tolist(),
        found.day_us("030").tolist(),
        column("015"),
        column("020"),
        [word >> 6 if word >= 0 else -1 for word in state],
        [word >= 0 and bool(word & 0x20) for word in state],
        [word >= 0 and bool(word & 0x10) for word in state],
        column("050"),
    )
    return list(map(Status, *columns)), dict(found.faults)


def encode(status: Status) -> bytes:
    """One data block that reads back as this message."""

    def part(value: int) -> Part:
        return Part(np.array([value >= 0]), octets(np.array([value]), 1))

    flags = status.overload << 5 | status.bad_clock << 4
    said = {
        "010": Part(np.array([True]), octets(np.array([status.sac << 8 | status.sic]), 2)),
        "000": part(status.kind),
        "015": part(status.service),
        "030": day_part(np.array([status.day_us])),
        "020": part(status.batch),
        "040": part(status.state << 6 | flags if status.state >= 0 else -1),
        "050": part(status.report),
    }
    (block,) = packed(CATEGORY, *records(LAYOUT, said, 1))
    return block
