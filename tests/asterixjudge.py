"""An independent decoder beside ours: records by item, and what items say; and records at random, of any category."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asterix.generated as gen
import dpkt
import numpy as np
from asterix.base import Bits, RawDatablock, StringICAO

from adapters.asterix import COMPOUND, EXPLICIT, EXTENDED, FIXED, HEADER, REPEATED, SPARE, Layout, blocks, walk
from fusion.schema import I8

JUDGES: dict[int, Any] = {
    4: gen.Cat_004_1_13,
    15: gen.Cat_015_1_2,
    21: gen.Cat_021_2_7,
    34: gen.Cat_034_1_29,
    48: gen.Cat_048_1_32,
    62: gen.Cat_062_1_21,
    63: gen.Cat_063_1_7,
    65: gen.Cat_065_1_6,
    205: gen.Cat_205_1_0,
}


def judged(category: int, data: bytes) -> list[Any]:
    """Every record of a category, as the other decoder has it, block by block: its stack holds no more."""
    found: list[Any] = []
    for where in blocks(data):
        parsed = RawDatablock.parse(Bits.from_bytes(data[where.start - HEADER : where.stop]))
        assert not isinstance(parsed, ValueError)
        (block,) = parsed
        if block.get_category() == category:
            records = JUDGES[category].cv_uap.parse(block.get_raw_records())
            assert not isinstance(records, ValueError)
            found += records
    return found


def follows(category: int, block: bytes) -> bool:
    """Whether the other decoder finds its way to the end of a block."""
    parsed = RawDatablock.parse(Bits.from_bytes(block))
    assert not isinstance(parsed, ValueError)
    return not isinstance(JUDGES[category].cv_uap.parse(parsed[0].get_raw_records()), ValueError)


def ours(layout: Layout, data: bytes) -> list[dict[str, bytes]]:
    """Every record as {item: octets}."""
    walked = walk(layout, data, [block for block in blocks(data) if block.category == layout.category])
    assert not walked.faults
    items = {name: column for name, column in layout.column.items() if "/" not in name}
    found = []
    for row in range(len(walked)):
        places = {name: (int(walked.at[row, c]), int(walked.size[row, c])) for name, c in items.items()}
        found.append({name: data[at : at + size] for name, (at, size) in places.items() if at >= 0})
    return found


def theirs(layout: Layout, data: bytes) -> list[dict[str, bytes]]:
    """The same, of the other decoder."""
    names = [name for name in layout.column if "/" not in name]
    records = [{name: record.get_item(name) for name in names} for record in judged(layout.category, data)]
    return [{name: item.unparse().to_bytes() for name, item in one.items() if item is not None} for one in records]


def datagrams(path: Path) -> Iterator[bytes]:
    """What a capture holds, of UDP."""
    with path.open("rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            yield bytes(dpkt.ethernet.Ethernet(frame).data.data.data)


def whole(path: Path) -> bytes:
    """A capture or a plain file."""
    return b"".join(datagrams(path)) if path.suffix == ".pcap" else path.read_bytes()


def content(item: Any, *names: str) -> Any:
    """What stands in an item, in a part of one, or in a part of that."""
    for name in names:
        item = item.variation.get_item(name)
        assert item is not None, names
    return item.variation.content


def quantity(item: Any, unit: str | None, *names: str) -> float:
    """A number of an item, or of its part, in this unit of its own."""
    return float(content(item, *names).as_quantity(unit))


def text(item: Any, *names: str) -> str:
    """Six-bit characters, as the other decoder has each; a blank where it has none."""
    value = part(item, *names)
    letters = [StringICAO.to_char(value >> shift & 0x3F) for shift in range(42, -1, -6)]
    return "".join(letter if letter.isalnum() else " " for letter in letters).rstrip()


def part(item: Any, *names: str) -> Any:
    """A part of an item as a whole number; None where it is not there."""
    for name in names:
        item = None if item is None else item.variation.get_item(name)
    return None if item is None else item.as_uint()


def anything(layout: Layout, n: int, seed: int, without: Sequence[str] = ()) -> bytes:
    """A block of n records of random items with random octets, each in the form that the layout says.

    `without` names parts that are never there: those that are newer than the judge's edition.
    """
    rng = np.random.default_rng(seed)
    form = layout.form.copy()
    form[[layout.column[name] for name in without]] = SPARE
    made = b"".join(_record(layout, form, rng) for _ in range(n))
    return bytes([layout.category]) + (len(made) + HEADER).to_bytes(2, "big") + made


def _record(layout: Layout, form: I8, rng: np.random.Generator) -> bytes:
    rows = [k for k in range(layout.items) if form[k] != SPARE and rng.random() < rng.choice((0.1, 0.5, 0.9))]
    return _bits(rows or [0]) + b"".join(_item(layout, form, k, rng) for k in rows or [0])


def _item(layout: Layout, form: I8, k: int, rng: np.random.Generator) -> bytes:
    octets = int(layout.octets[k])
    if form[k] == FIXED:
        return rng.bytes(octets)
    if form[k] == REPEATED:
        count = int(rng.integers(1, 4))
        return bytes([count]) + rng.bytes(count * octets)
    if form[k] == EXPLICIT:
        count = int(rng.integers(1, 6))
        return bytes([count]) + rng.bytes(count - 1)
    if form[k] == EXTENDED:
        return rng.bytes(octets - 1) + bytes([int(rng.integers(0, 128)) * 2])
    assert form[k] == COMPOUND
    first = int(layout.first_part[k])
    parts = [j for j in range(int(layout.parts[k])) if form[first + j] != SPARE and rng.random() < 0.5]
    return _bits(parts or [0]) + b"".join(_item(layout, form, first + j, rng) for j in parts or [0])


def _bits(rows: list[int]) -> bytes:
    """Which of them are there, in octets of seven."""
    count = max(rows) // 7 + 1
    found = [0] * count
    for row in rows:
        found[row // 7] |= 0x80 >> row % 7
    return bytes([octet | (n < count - 1) for n, octet in enumerate(found)])
