"""A file that somebody else writes to: what is added is heard once, whatever becomes of the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

from adapters.bridges import growing
from adapters.bridges.common import Heard
from adapters.bridges.growing import Growing, from_file
from adapters.bridges.source import PIECE_OCTETS, Piece


class Ear:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.octets, self.cuts = b"", 0

    def cut(self) -> None:
        self.cuts += 1

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        self.octets += b"".join(octets for _, octets in pieces)


def all_of(file: Growing) -> bytes:
    """What it gives until there is nothing more."""
    found, octets = b"", b"x"
    while octets:
        octets, _, why = file.read()
        assert not why
        found += octets
    return found


def test_what_is_there_already_is_left_but_for_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_bytes(b"head\nold\nolder\n")
    tables = [Growing(path, True), Growing(path, False), Growing(path, False, header=True)]
    assert tables[0].read() == (b"", False, "")
    assert [all_of(one) for one in tables] == [b"head\nold\nolder\n", b"", b"head\n"]
    with path.open("ab") as file:
        file.write(b"new\n")
    assert [all_of(one) for one in tables] == [b"new\n"] * 3
    for one in tables:
        one.close()


def test_a_file_that_is_cut_replaced_or_comes_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    file = Growing(path, False)
    assert file.read() == (b"", False, "No such file or directory")
    path.write_bytes(b"one\n")
    assert file.read()[1:] == (True, "")
    assert all_of(file) == b"one\n"
    path.write_bytes(b"a\n")  # cut
    assert file.read() == (b"", True, "")
    assert all_of(file) == b"a\n"
    other = tmp_path / "other.csv"
    other.write_bytes(b"a much longer one\n")
    other.rename(path)  # as logrotate and editors do
    assert file.read() == (b"", True, "")
    assert all_of(file) == b"a much longer one\n"
    path.unlink()
    assert file.read()[2]
    path.write_bytes(b"x" * (PIECE_OCTETS + 5) + b"\n")
    assert file.read() == (b"", True, "")
    assert len(file.read()[0]) == PIECE_OCTETS
    assert all_of(file) == b"x" * 5 + b"\n"
    file.close()


def test_it_says_how_it_is_and_goes_on_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    ear, states = Ear(), list[str]()

    async def play() -> None:
        source = cast(AsyncGenerator[Heard, None], from_file(Growing(path, False), ear, "S1", "S2"))
        async with aclosing(source) as heard, asyncio.timeout(30.0):
            async for one in heard:
                states.extend(f"{word.sensor} {word.state}" for word in one.words)
                if len(states) == 2:
                    path.write_bytes(b"hello\n")
                if ear.octets == b"hello\n" and len(states) == 4:
                    path.unlink()
                if len(states) == 6:
                    break

    growing_s, growing.LOOK_EVERY_S = growing.LOOK_EVERY_S, 0.01
    try:
        asyncio.run(play())
    finally:
        growing.LOOK_EVERY_S = growing_s
    assert states == ["S1 off", "S2 off", "S1 ok", "S2 ok", "S1 off", "S2 off"]
    assert ear.cuts >= 2
