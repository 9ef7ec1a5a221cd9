"""Sources that come, go and come again; lines that are torn or have no end; a state that is told and not repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bridges import source
from adapters.bridges.common import Heard
from adapters.bridges.source import MOST_LINE_OCTETS, STATUS_EVERY_US, Health, Lines, Piece, from_tcp
from tests.running import PATIENCE_S

RX_US = 1_795_000_000_000_000


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=30).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=5)))
    pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True)]
    splitter, heard = Lines(), Heard()
    found = [line for n, piece in enumerate(pieces) for _, line in splitter.of([(RX_US + n, piece)], heard)]
    assert found == [line.rstrip(b"\r") for line in lines if line.strip()]
    assert heard.pieces == len(lines)


def test_a_line_without_an_end_is_not_kept() -> None:
    splitter, heard = Lines(), Heard()
    for n in range(40):
        assert splitter.of([(RX_US + n, b"x" * 1_000)], heard) == []
    assert heard.refused == {"oversized": 1}
    assert splitter.of([(RX_US, b"y\ngood\nto")], heard) == [(RX_US, b"good")]
    splitter.cut()
    assert splitter.of([(RX_US, b"rn\n")], heard) == [(RX_US, b"rn")]
    long = b"z" * (MOST_LINE_OCTETS + 1)
    assert splitter.of([(RX_US, long + b"\nfine\n")], heard) == [(RX_US, b"fine")]
    assert heard.refused == {"oversized": 2}


def test_a_state_is_told_when_it_changes_and_now_and_then() -> None:
    health = Health("A1")
    told = [(w.rx_us - RX_US, w.state) for n in range(25) for w in health.words(RX_US + n * 1_000_000, "ok")]
    assert told == [(0, "ok"), (STATUS_EVERY_US, "ok"), (2 * STATUS_EVERY_US, "ok")]
    (word,) = health.words(RX_US + 24_500_000, "off", "x" * 900)
    assert (word.state, len(word.detail)) == ("off", 500)


class Ear:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.octets, self.cuts = b"", 0

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Octets as they come."""
        heard.pieces += len(pieces)
        self.octets += b"".join(octets for _, octets in pieces)

    def cut(self) -> None:
        """The connection ended."""
        self.cuts += 1


def listening(port: int, ear: Ear) -> AsyncGenerator[Heard, None]:
    """What the bridge hears, to be closed at the end."""
    return cast(AsyncGenerator[Heard, None], from_tcp("127.0.0.1", port, "A1", ear))


async def until_heard(octets: bytes, states: list[str], ear: Ear, port: int) -> None:
    """Listen until it said so much."""
    async with asyncio.timeout(PATIENCE_S), aclosing(listening(port, ear)) as said:
        async for heard in said:
            states += [word.state for word in heard.words]
            if ear.octets.endswith(octets):
                return


@pytest.mark.alone
def test_a_source_that_goes_is_found_again() -> None:
    async def run() -> tuple[Ear, list[str]]:
        ear, states = Ear(), list[str]()
        sent = [b"one", b"two", b"three"]

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(sent.pop(0))
            await writer.drain()
            if not sent:
                await reader.read()  # it says something and goes away twice, and stays the third time
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            await until_heard(b"three", states, ear, server.sockets[0].getsockname()[1])
        return ear, states

    ear, states = asyncio.run(run())
    assert (ear.octets, ear.cuts) == (b"onetwothree", 2)
    assert states[-1] == "ok"


@pytest.mark.alone
def test_a_source_that_is_not_there_is_off() -> None:
    async def first() -> str:
        async with asyncio.timeout(PATIENCE_S), aclosing(listening(1, Ear())) as said:
            async for heard in said:
                if any(w.detail not in ("", "not connected yet") for w in heard.words):
                    return heard.words[0].state
        return ""

    assert asyncio.run(first()) == "off"


@pytest.mark.alone
def test_who_sends_more_than_we_look_at_is_read_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "MOST_OCTETS", 50_000)
    ear, most = Ear(), 0

    async def run() -> None:
        nonlocal most

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(20):
                writer.write(b"x" * 40_000)
                await writer.drain()
            await reader.read()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            before, port = 0, server.sockets[0].getsockname()[1]
            async with asyncio.timeout(PATIENCE_S), aclosing(listening(port, ear)) as said:
                async for _ in said:
                    most = max(most, len(ear.octets) - before)
                    before = len(ear.octets)
                    if before == 800_000:
                        return

    asyncio.run(run())
    assert most <= 50_000 + source.PIECE_OCTETS
