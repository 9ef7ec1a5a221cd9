"""Numbers and texts as ASTERIX items, against an independent table of characters and plain arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from asterix.base import StringICAO
from hypothesis import given
from hypothesis import strategies as st

from adapters.asterix import Layout, Part, blocks, fixed, packed, records, walk
from adapters.asterixitems import callsign_of, day_part, fallen, signed_part, six_bits, units, unsigned_part

LAYOUT = Layout(255, fixed("010", 2), fixed("020", 6), fixed("030", 3))
ALL = np.ones(1, np.bool_)


def through(said: dict[str, Part]) -> bytes:
    (block,) = packed(255, *records(LAYOUT, {"010": Part(ALL, np.zeros((1, 2), np.uint8)), **said}, 1))
    return block


@pytest.mark.parametrize("code", range(64))
def test_a_character_is_read_as_the_other_decoder_has_it(code: int) -> None:
    raw = (1 << 42 | code << 36 | 1).to_bytes(6, "big")  # A?.....A, so that no blank is at an end
    block = through({"020": Part(ALL, np.frombuffer(raw, np.uint8).reshape(1, 6))})
    mine = callsign_of(walk(LAYOUT, block, list(blocks(block))), "020")[0].decode()
    other = StringICAO.to_char(code)
    assert mine[0] + mine[2:] == "A     A"
    assert mine[1] == (other if other.isalnum() else " ")


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ", max_size=8))
def test_a_callsign_is_written_as_the_other_decoder_reads_it(text: str) -> None:
    octets = six_bits(np.array([text.encode()], "S8")).tobytes()
    assert StringICAO.to_string(48, int.from_bytes(octets, "big")).rstrip() == text.rstrip()


def test_what_is_too_much_is_as_much_as_can_be_said() -> None:
    value = np.array([-1e9, -2.6, 2.4, 1e9, np.nan])
    assert signed_part(value, 1.0, 2).octets.astype(int).tolist() == [
        [0x80, 0],
        [255, 253],
        [0, 2],
        [0x7F, 255],
        [0, 0],
    ]
    assert signed_part(value, 1.0, 2, 15).octets[3].astype(int).tolist() == [0x3F, 255]
    assert unsigned_part(value, 1.0, 1).octets[:, 0].astype(int).tolist() == [0, 0, 2, 255, 0]
    assert signed_part(value, 1.0, 2).there.tolist() == [True, True, True, True, False]
    assert units(value, 2.0, -5, 5).tolist() == [-5, -1, 1, 5, 0]


@given(st.integers(0, 86_400 * 128 - 1))
def test_a_time_of_day_reads_back(ticks: int) -> None:
    block = through({"030": day_part(np.array([ticks * 15_625 // 2]))})
    assert walk(LAYOUT, block, list(blocks(block))).unsigned("030", 3).tolist() == [ticks]


def test_each_falls_for_the_first_reason_that_is_true_of_it() -> None:
    why = (("one", np.array([True, True, False, False])), ("two", np.array([True, False, True, False])))
    left, rejected = fallen(why, 4)
    assert left.tolist() == [False, False, False, True]
    assert rejected == {"one": 2, "two": 1}
