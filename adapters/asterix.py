"""ASTERIX as such (EUROCONTROL-SPEC-0149, part 1): data blocks, records, and where each item of a record lies.

    CAT (1)  LEN (2)  { FSPEC (1+)  items in the order of the category's UAP }*

A category is described by a table of its items, and one compiled walk finds them all, so no object is made per record:
what an item says is then read of all records at once. Where a record cannot be followed (it runs over the end of its
block, or has an item that the UAP does not know) the rest of the block is lost, since nothing says where the next
record begins; the records before it stand.

What an item means is told in `adapters/formats/cat*.py`; here is only where it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusion.bare import BARE
from fusion.schema import B1, F8, I4, I8, US_PER_S, Invalid

U1 = NDArray[np.uint8]
HEADER = 3  # octets of CAT and LEN
USUAL_OCTETS = 16  # of a short record: where more come in less, room is made for them

# How an item's length is told (part 1, 5.2.4)
SPARE, FIXED, EXTENDED, REPEATED, EXPLICIT, COMPOUND = range(6)
# Why the walk of a block ended early
WHOLE, TRUNCATED, UNKNOWN_ITEM, FULL = range(4)
REASONS = {TRUNCATED: "truncated", UNKNOWN_ITEM: "unknown-item"}


class Item(NamedTuple):
    """One item of a UAP. `octets` of FIXED: its length; of EXTENDED and REPEATED: of each part."""

    name: str  # "040", or "SP", "RE", "" for a spare one
    form: int
    octets: int = 0
    parts: tuple[Item, ...] = ()  # of COMPOUND: subfields in order, with forms of their own but no COMPOUND


def fixed(name: str, octets: int) -> Item:
    """Always so long."""
    return Item(name, FIXED, octets)


def extended(name: str, octets: int = 1) -> Item:
    """In parts of `octets`, and another follows while the lowest bit of a part is set."""
    return Item(name, EXTENDED, octets)


def repeated(name: str, octets: int) -> Item:
    """An octet that says how many parts of `octets` follow."""
    return Item(name, REPEATED, octets)


def compound(name: str, *parts: Item) -> Item:
    """Octets of bits that say which parts follow, as FSPEC does for items."""
    return Item(name, COMPOUND, 0, parts)


def explicit(name: str) -> Item:
    """Its first octet is its length: SP and RE."""
    return Item(name, EXPLICIT)


NOTHING = Item("", SPARE)


class Layout:
    """A category as tables for the walk: items in the order of the UAP, then the parts of compound ones."""

    def __init__(self, category: int, *uap: Item) -> None:
        rows = list(uap)
        first = []
        for item in uap:
            first.append(len(rows) if item.parts else -1)
            rows += item.parts
        assert all(not part.parts for item in uap for part in item.parts), "a part has no parts"
        self.category = category
        self.items = len(uap)
        self.form = np.array([row.form for row in rows], np.int64)
        self.octets = np.array([row.octets for row in rows], np.int64)
        self.first_part = np.array(first + [-1] * (len(rows) - len(uap)), np.int64)
        self.parts = np.array([len(row.parts) for row in rows], np.int64)
        self.column: dict[str, int] = {row.name: n for n, row in enumerate(uap) if row.name}
        for item in uap:
            names = [part.name for part in item.parts]
            at = self.column[item.name] if item.parts else 0
            self.column |= {f"{item.name}/{name}": int(self.first_part[at]) + n for n, name in enumerate(names) if name}


class Block(NamedTuple):
    """One data block: its category, and where its records begin and end in the buffer."""

    category: int
    start: int
    stop: int


def blocks(data: bytes) -> Iterator[Block]:
    """The data blocks of a datagram or a file.

    Raises:
        Invalid: `truncated` where a length is shorter than its header or runs over the end; those before it stand.
    """
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at + 1 : at + HEADER], "big") if at + HEADER <= len(data) else 0
        if length < HEADER or at + length > len(data):
            raise Invalid("truncated", f"block of {length} octets at {at} of {len(data)}")
        yield Block(data[at], at + HEADER, at + length)
        at += length


@dataclass(frozen=True, slots=True)
class Walked:
    """The records of one category. `at`, `size`: (n, columns of the layout), in octets of `data`; -1, 0: absent."""

    layout: Layout
    data: U1  # with eight octets of zero behind, so that reading ahead never runs over the end
    start: I4  # (n,) of each record, its FSPEC
    stop: I4  # (n,)
    at: I4
    size: I4
    faults: Mapping[str, int]  # blocks that could not be followed to their end, by reason

    def __len__(self) -> int:
        return len(self.start)

    def has(self, name: str) -> B1:
        """(n,) where the item is there."""
        there: B1 = self.at[:, self.layout.column[name]] >= 0
        return there

    def unsigned(self, name: str, octets: int, skip: int = 0) -> I8:
        """(n,) `octets` of the item after `skip`, big endian; 0 where it is absent or shorter than that."""
        column = self.layout.column[name]
        at = np.where(self.size[:, column] >= skip + octets, self.at[:, column] + skip, len(self.data) - 8)
        value = np.zeros(len(self), np.int64)
        for n in range(octets):
            value = (value << 8) | self.data[at + n]
        return value

    def signed(self, name: str, octets: int, skip: int = 0, bits: int = 0) -> I8:
        """(n,) the same as two's complement, of the lowest `bits` where given."""
        bits = bits or 8 * octets
        value = self.unsigned(name, octets, skip) & ((1 << bits) - 1)
        return np.asarray(value - ((value >> (bits - 1)) << bits), np.int64)

    def day_us(self, name: str) -> I8:
        """(n,) microseconds since midnight UTC, of an item in 1/128 s; -1 where it is absent."""
        return np.where(self.has(name), self.unsigned(name, 3) * (US_PER_S // 64) // 2, -1)

    def scaled(self, name: str, value: I8, unit: float) -> F8:
        """(n,) as a number of `unit`; NaN where the item is absent."""
        return np.where(self.has(name), value * unit, np.nan)


def walk(layout: Layout, data: bytes, found: Sequence[Block]) -> Walked:
    """Find every item of every record of these blocks, which are of the layout's category."""
    buffer = np.frombuffer(bytearray(data) + bytes(8), np.uint8)  # writable, as the compiled walk has it
    tables = (layout.form, layout.octets, layout.first_part, layout.parts, layout.items)
    room = sum(block.stop - block.start for block in found) // USUAL_OCTETS + 8
    while True:
        at, size = (np.full((room, len(layout.form)), empty, np.int32) for empty in (-1, 0))
        bounds = np.zeros((room, 2), np.int32)
        n, faults = 0, dict.fromkeys(REASONS.values(), 0)
        for block in found:
            assert block.category == layout.category
            n, ended = walk_1(buffer, block.start, block.stop, *tables, at, size, bounds, n)
            if ended == FULL:
                break
            if ended != WHOLE:
                faults[REASONS[ended]] += 1
        else:
            told = {reason: count for reason, count in faults.items() if count}
            return Walked(layout, buffer, bounds[:n, 0], bounds[:n, 1], at[:n], size[:n], told)
        room *= 4


@njit("i8(u1[::1], i8, i8, i8, i8)", nogil=True, cache=True, **BARE)
def length_1(data: U1, at: int, stop: int, form: int, octets: int) -> int:
    """Octets of the item at `at`, which is no COMPOUND; -1: it runs over `stop`, or cannot be followed."""
    if form == FIXED:
        size = octets
    elif form == REPEATED:
        if at >= stop:
            return -1
        size = 1 + int(data[at]) * octets
    elif form == EXPLICIT:
        if at >= stop or data[at] == 0:
            return -1
        size = int(data[at])
    else:
        size = octets
        while at + size <= stop and data[at + size - 1] & 1:
            size += octets
    return size if at + size <= stop else -1


@njit("i8(i4[:, ::1], i4[:, ::1], i8)", nogil=True, cache=True, **BARE)
def _forget_1(found: I4, sizes: I4, n: int) -> int:
    """Take back what was found of a record that could not be followed."""
    for column in range(found.shape[1]):
        found[n, column], sizes[n, column] = -1, 0
    return n


@njit(
    "UniTuple(i8, 2)(u1[::1], i8, i8, i8[::1], i8[::1], i8[::1], i8[::1], i8, i4[:, ::1], i4[:, ::1], i4[:, ::1], i8)",
    nogil=True,
    cache=True,
    **BARE,
)
def walk_1(
    data: U1,
    start: int,
    stop: int,
    form: I8,
    octets: I8,
    first_part: I8,
    parts: I8,
    items: int,
    found: I4,
    sizes: I4,
    bounds: I4,
    n: int,
) -> tuple[int, int]:
    """The records of one block from row `n` on. Returns the next free row, and how the block ended."""
    at = start
    while at < stop:
        if n == found.shape[0]:
            return n, FULL
        begin = at
        size = length_1(data, at, stop, EXTENDED, 1)  # FSPEC, and the head of a compound item, are of this form
        if size < 0:
            return n, TRUNCATED
        at += size
        for k in range(7 * size):
            if not (data[begin + k // 7] >> (7 - k % 7)) & 1:
                continue
            if k >= items or form[k] == SPARE:
                return _forget_1(found, sizes, n), UNKNOWN_ITEM
            size = -1
            if form[k] != COMPOUND:
                size = length_1(data, at, stop, form[k], octets[k])
            else:
                head = length_1(data, at, stop, EXTENDED, 1)
                if head < 0:
                    return _forget_1(found, sizes, n), TRUNCATED
                inner = at + head
                for j in range(7 * head):
                    if not (data[at + j // 7] >> (7 - j % 7)) & 1:
                        continue
                    row = first_part[k] + j
                    if j >= parts[k] or form[row] == SPARE:
                        return _forget_1(found, sizes, n), UNKNOWN_ITEM
                    part = length_1(data, inner, stop, form[row], octets[row])
                    if part < 0:
                        return _forget_1(found, sizes, n), TRUNCATED
                    found[n, row], sizes[n, row] = inner, part
                    inner += part
                size = inner - at
            if size < 0:
                return _forget_1(found, sizes, n), TRUNCATED
            found[n, k], sizes[n, k] = at, size
            at += size
        bounds[n, 0], bounds[n, 1] = begin, at
        n += 1
    return n, WHOLE


# --- time -------------------------------------------------------------------------------------------------------------

DAY_US = 86_400 * US_PER_S


def near(day_us: I8, rx_us: int) -> I8:
    """(n,) microseconds UTC: the time of day on the day that brings it nearest to `rx_us`; it wraps at midnight."""
    t_us = rx_us - rx_us % DAY_US + day_us
    t_us = np.where(t_us - rx_us > DAY_US // 2, t_us - DAY_US, t_us)
    return np.where(rx_us - t_us > DAY_US // 2, t_us + DAY_US, t_us)


# --- out --------------------------------------------------------------------------------------------------------------

MOST_OCTETS = 1_400  # of a block, where nothing else is asked for: a datagram that no network cuts


def octets(value: NDArray[Any], count: int) -> U1:
    """(n, count) whole numbers, big endian, two's complement; what does not fit is cut off above."""
    shifts = np.arange(8 * (count - 1), -1, -8)
    return np.asarray((np.asarray(value, np.int64)[:, None] >> shifts) & 0xFF, np.uint8)


class Part(NamedTuple):
    """What an item says in each record: whether it is there, and its octets."""

    there: B1  # (n,)
    octets: U1  # (n, as many as it may have)
    length: I8 | None = None  # (n,) how many of them; None: all


def records(layout: Layout, said: Mapping[str, Part], n: int) -> tuple[U1, I8]:
    """All octets of n records, one after the other, and the length of each. Names as in `Layout.column`.

    Raises:
        KeyError: an item that the layout does not have.
    """
    for name in said:
        layout.column[name]
    own = {name: part for name, part in said.items() if "/" not in name}
    pieces: dict[str, list[tuple[U1, I8]]] = {name: [_piece(part)] for name, part in own.items()}
    there = {name: part.there for name, part in own.items()}
    for name in dict.fromkeys(part.partition("/")[0] for part in said if "/" in part):
        first, count = int(layout.first_part[layout.column[name]]), int(layout.parts[layout.column[name]])
        columns = {layout.column[part]: said[part] for part in said if part.startswith(f"{name}/")}
        rows = [columns.get(first + n) for n in range(count)]
        head, has = _presence([row.there if row is not None else None for row in rows], n)
        pieces[name] = [head, *(_piece(row) for row in rows if row is not None)]
        there[name] = has
    order = sorted(there, key=layout.column.__getitem__)
    masks: list[B1 | None] = [None] * layout.items
    for name in order:
        masks[layout.column[name]] = there[name]
    return _joined([_presence(masks, n)[0], *(piece for name in order for piece in pieces[name])], n)


def packed(category: int, data: U1, lengths: I8, most: int = MOST_OCTETS) -> list[bytes]:
    """Records as data blocks of at most `most` octets each."""
    ends = np.cumsum(lengths)
    found, first = [], 0
    while first < len(lengths):
        begin = int(ends[first] - lengths[first])
        last = int(np.searchsorted(ends, begin + most - HEADER, side="right"))
        last = max(last, first + 1)
        stop = int(ends[last - 1])
        found.append(bytes([category]) + (stop - begin + HEADER).to_bytes(2, "big") + data[begin:stop].tobytes())
        first = last
    return found


def _piece(part: Part) -> tuple[U1, I8]:
    length = part.octets.shape[1] if part.length is None else part.length
    return part.octets, np.where(part.there, length, 0)


def _presence(there: Sequence[B1 | None], n: int) -> tuple[tuple[U1, I8], B1]:
    """Octets of seven bits, as many as are needed, the lowest bit of each saying that another follows."""
    count = -(-len(there) // 7)
    bits = np.zeros((n, count), np.uint8)
    used = np.zeros(n, np.int64)
    for k, mask in enumerate(there):
        if mask is not None:
            bits[:, k // 7] |= np.where(mask, np.uint8(0x80 >> (k % 7)), np.uint8(0))
            used = np.where(mask, k // 7 + 1, used)
    follows = np.arange(1, count + 1) < used[:, None]
    return (bits | follows.astype(np.uint8), used), used > 0


def _joined(pieces: Sequence[tuple[U1, I8]], n: int) -> tuple[U1, I8]:
    lengths: I8 = np.zeros(n, np.int64)
    for _, length in pieces:
        lengths = lengths + length
    at = np.cumsum(lengths) - lengths
    data = np.zeros(int(lengths.sum()), np.uint8)
    for values, length in pieces:
        for k in range(values.shape[1]):
            rows = length > k
            data[at[rows] + k] = values[rows, k]
        at = at + length
    return data, lengths
