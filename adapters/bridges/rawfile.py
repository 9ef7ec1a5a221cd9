"""A plain file of ASTERIX data blocks, as recorders of others and `vedette out asterix --file` write it.

It says neither a date nor when anything arrived. The day is given; a block arrived when the newest of its records says
that it was measured or sent, and never before the block in front of it. A day that wraps goes on as the next; a gap of
half a day cannot be told from none.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from adapters.asterix import DAY_US, HEADER, Block, Layout, blocks, near, walk
from adapters.formats import cat015, cat021, cat034, cat048, cat062, cat205
from fusion.schema import US_PER_S, Invalid

MOST_BYTES = 1 << 30  # it is read whole; a day of ten radars has half of that
# The items of a category that say when, the latest last
TIMES: dict[int, tuple[Layout, tuple[str, ...]]] = {
    cat015.CATEGORY: (cat015.LAYOUT, ("145",)),
    cat021.CATEGORY: (cat021.LAYOUT, ("071", "073", "077")),
    cat034.CATEGORY: (cat034.LAYOUT, ("030",)),
    cat048.CATEGORY: (cat048.LAYOUT, ("140",)),
    cat062.CATEGORY: (cat062.LAYOUT, ("070",)),
    cat205.CATEGORY: (cat205.LAYOUT, ("030",)),
}


def day_of(text: str) -> int:
    """Microseconds UTC of the midnight with which a day such as 2026-03-20 begins.

    Raises:
        ValueError: it is none.
    """
    return round(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * US_PER_S


def datagrams(path: Path, day_us: int) -> Iterator[tuple[int, bytes]]:
    """(microseconds UTC, octets) of every data block; what cannot be cut into blocks at the end is one piece.

    Raises:
        OSError: it cannot be read.
        ValueError: larger than `MOST_BYTES`.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"larger than {MOST_BYTES >> 20} MB")
    data = path.read_bytes()
    rx_us, behind, first = day_us, 0, True
    try:
        for block in blocks(data):
            said_us = _latest(data, block)
            if said_us >= 0:
                # The first is of the day that was given, and so nearest to its noon; the others follow on it.
                at_us = int(near(np.array([said_us]), day_us + DAY_US // 2 if first else rx_us)[0])
                rx_us, first = max(rx_us, at_us), False
            behind = block.stop
            yield rx_us, data[block.start - HEADER : block.stop]
    except Invalid:
        yield rx_us, data[behind:]


def _latest(data: bytes, block: Block) -> int:
    """Of all times of day in the block; -1: it says none that is known here."""
    layout, names = TIMES.get(block.category, (None, ()))
    if layout is None:
        return -1
    octets = data[block.start : block.stop]
    found = walk(layout, octets, [Block(block.category, 0, len(octets))])
    return max((int(found.day_us(name).max(initial=-1)) for name in names), default=-1)
