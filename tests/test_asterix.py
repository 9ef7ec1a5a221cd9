"""The walk over ASTERIX records against a slow and obvious one, on anything; and what is assembled is found again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import asterix
from adapters.asterix import COMPOUND, EXPLICIT, EXTENDED, FIXED, REPEATED, SPARE, Block, Layout, Part, Walked, walk
from adapters.formats.cat048 import LAYOUT
from fusion.schema import Invalid


class Bad(Exception):
    """A record cannot be followed."""


def bits(data: bytes, at: int) -> tuple[list[int], int]:
    """Numbers of the bits that are set in octets of seven, and where what follows them begins."""
    found, base = [], 0
    while True:
        if at >= len(data):
            raise Bad("truncated")
        octet = data[at]
        found += [base + k for k in range(7) if octet & (0x80 >> k)]
        at, base = at + 1, base + 7
        if not octet & 1:
            return found, at


def length(form: int, octets: int, data: bytes, at: int) -> int:
    """Of one item that has no parts."""
    if form == FIXED:
        size = octets
    elif form in (REPEATED, EXPLICIT):
        if at >= len(data) or (form == EXPLICIT and data[at] == 0):
            raise Bad("truncated")
        size = data[at] if form == EXPLICIT else 1 + octets * data[at]
    else:
        assert form == EXTENDED
        size = octets
        while at + size <= len(data) and data[at + size - 1] & 1:
            size += octets
    if at + size > len(data):
        raise Bad("truncated")
    return size


def slowly(layout: Layout, data: bytes) -> tuple[list[dict[int, tuple[int, int]]], str]:
    """Every record as {column: (at, size)}, and why the end was not reached."""
    found: list[dict[int, tuple[int, int]]] = []
    at = 0
    try:
        while at < len(data):
            record: dict[int, tuple[int, int]] = {}
            items, at = bits(data, at)
            for k in items:
                begin = at
                if k >= layout.items or layout.form[k] == SPARE:
                    raise Bad("unknown-item")
                if layout.form[k] == COMPOUND:
                    parts, at = bits(data, at)
                    for j in parts:
                        row = int(layout.first_part[k]) + j
                        if j >= layout.parts[k] or layout.form[row] == SPARE:
                            raise Bad("unknown-item")
                        size = length(int(layout.form[row]), int(layout.octets[row]), data, at)
                        record[row] = (at, size)
                        at += size
                else:
                    at += length(int(layout.form[k]), int(layout.octets[k]), data, at)
                record[k] = (begin, at - begin)
            found.append(record)
    except Bad as bad:
        return found, str(bad)
    return found, ""


def as_dicts(walked: Walked) -> list[dict[int, tuple[int, int]]]:
    rows = zip(walked.at.tolist(), walked.size.tolist(), strict=True)
    return [{c: (a, s) for c, (a, s) in enumerate(zip(at, size, strict=True)) if a >= 0} for at, size in rows]


def one_block(data: bytes) -> list[Block]:
    return [Block(LAYOUT.category, 0, len(data))]


FSPEC = st.sampled_from([b"\x80", b"\xfd\x02", b"\xff\xff\x02", b"\xff\xf7\x02", b"\x13\x11\x0c"])


@settings(max_examples=400)
@given(st.lists(st.one_of(st.binary(max_size=40), FSPEC, st.just(bytes(30))), max_size=6).map(b"".join))
def test_anything_is_walked_as_slowly_as_obviously(data: bytes) -> None:
    expected, fault = slowly(LAYOUT, data)
    walked = walk(LAYOUT, data, one_block(data))
    assert as_dicts(walked) == expected
    assert walked.faults == ({fault: 1} if fault else {})


def test_room_is_made_where_records_are_short() -> None:
    data = bytes([0x80, 25, 201]) * 5_000  # three octets each
    walked = walk(LAYOUT, data, one_block(data))
    assert len(walked) == 5_000
    assert walked.unsigned("010", 2).tolist() == [25 << 8 | 201] * 5_000
    assert walked.start.tolist() == list(range(0, 15_000, 3))


@st.composite
def sayings(draw: st.DrawFn) -> tuple[dict[str, Part], int]:
    """Some items in some of up to five records, with octets that keep each item's form."""
    n = draw(st.integers(1, 5))
    said: dict[str, Part] = {}
    for name, column in LAYOUT.column.items():
        form, count = int(LAYOUT.form[column]), int(LAYOUT.octets[column])
        if form != FIXED or not draw(st.booleans()):
            continue
        there = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        octets = draw(st.lists(st.binary(min_size=count, max_size=count), min_size=n, max_size=n))
        said[name] = Part(there, np.array([list(o) for o in octets], np.uint8).reshape(n, count))
    if draw(st.booleans()):
        long = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        words = np.column_stack([np.where(long, 0x21, 0x20), np.full(n, 0x80)]).astype(np.uint8)
        said["020"] = Part(np.ones(n, np.bool_), words, np.where(long, 2, 1))
    return said, n


@given(sayings())
def test_what_is_assembled_is_found_again(saying: tuple[dict[str, Part], int]) -> None:
    said, n = saying
    data, lengths = asterix.records(LAYOUT, said, n)
    assert lengths.sum() == len(data)
    blocks = asterix.packed(LAYOUT.category, data, lengths)
    whole = b"".join(blocks)
    walked = walk(LAYOUT, whole, list(asterix.blocks(whole)))
    assert not walked.faults
    some = lengths > 0
    assert len(walked) == some.sum()
    for name, part in said.items():
        column = LAYOUT.column[name]
        sizes = np.where(part.there, part.octets.shape[1] if part.length is None else part.length, 0)[some]
        assert walked.size[:, column].tolist() == sizes.tolist()
        for row, octets in enumerate(part.octets[some]):
            at, size = int(walked.at[row, column]), int(walked.size[row, column])
            assert whole[at : at + size] == octets[:size].tobytes()


def test_blocks_keep_their_limit_and_every_record() -> None:
    n = 700
    part = Part(np.ones(n, np.bool_), asterix.octets(np.arange(n), 2))
    data, lengths = asterix.records(LAYOUT, {"010": part}, n)
    blocks = asterix.packed(48, data, lengths, most=100)
    assert max(map(len, blocks)) <= 100
    whole = b"".join(blocks)
    assert walk(LAYOUT, whole, list(asterix.blocks(whole))).unsigned("010", 2).tolist() == list(range(n))


@pytest.mark.parametrize("data", [b"\x30", b"\x30\x00", b"\x30\x00\x02", b"\x30\x00\x05\x80", b"\x30\xff\xff\x80"])
def test_a_block_whose_length_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(Invalid, match="truncated"):
        list(asterix.blocks(data))


def test_numbers_with_a_sign_and_without() -> None:
    value: Any = np.array([-1, -8192, 8191, 0])
    part = Part(np.array([True, True, True, False]), asterix.octets(value & 0x3FFF, 2))
    said = {"090": part, "010": Part(np.ones(4, np.bool_), np.zeros((4, 2), np.uint8))}
    data, _ = asterix.records(LAYOUT, said, 4)
    walked = walk(LAYOUT, data.tobytes(), one_block(data.tobytes()))
    assert walked.signed("090", 2, bits=14).tolist() == [-1, -8192, 8191, 0]
    assert walked.has("090").tolist() == [True, True, True, False]
    assert np.isnan(walked.scaled("090", walked.signed("090", 2), 1.0)).tolist() == [False, False, False, True]
