"""readsb asked over HTTP and heard over TCP: every position once, and a server that fails, lies or hangs is no end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, cast

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import passed as passing
from adapters.bridges import asked
from adapters.bridges.asked import Answer, Page, from_http, is_address
from adapters.bridges.common import Heard
from adapters.bridges.readsb import STALE_US, Readsb
from adapters.passed import Passed
from fusion.schema import Plots
from tests.running import PATIENCE_S
from tests.samples import AIRCRAFT

RX_US = 1_795_000_000_000_000
STRANGE = st.dictionaries(st.text(max_size=5), st.integers())
LAT = 46.5


def body(after_s: float, *aircraft: dict[str, Any]) -> bytes:
    """An aircraft.json of that moment."""
    return json.dumps({"now": RX_US / 1e6 + after_s, "messages": 1, "aircraft": aircraft}).encode()


def one(seen_pos: float, **other: Any) -> dict[str, Any]:
    """The aircraft of the samples, its place so old."""
    return {**AIRCRAFT, "lat": LAT, "seen_pos": seen_pos, **other}


def ask(receiver: Readsb, after_s: float, octets: bytes) -> tuple[Plots | None, dict[str, int], str]:
    """What an answer adds."""
    heard = Heard()
    why = receiver.answer(RX_US + round(after_s * 1e6), octets, heard)
    return (heard.batches[0] if heard.batches else None), dict(heard.refused), why


def test_a_position_is_passed_on_once() -> None:
    receiver = Readsb("A1")
    batch, _, _ = ask(receiver, 0.1, body(0, one(0.3), {"hex": "~abcdef", "lat": 1.0, "lon": 2.0}, {"hex": "4ca123"}))
    assert batch is not None
    assert (batch.t_us - RX_US).tolist() == [-300_000, 0]
    assert batch.address.tolist() == [int(str(AIRCRAFT["hex"]), 16), -1]
    for after_s, seen_pos in ((1.0, 1.3), (2.0, 2.2), (3.0, 3.4)):  # the same message, its age rounded
        assert ask(receiver, after_s, body(after_s, one(seen_pos)))[0] is None
    batch, _, _ = ask(receiver, 4.0, body(4.0, one(0.1, lat=LAT + 0.001)))
    assert batch is not None
    batch, _, _ = ask(receiver, 5.0, body(5.0, one(0.1, lat=LAT + 0.001)))
    assert batch is not None  # it hovers, and says so again
    assert ask(receiver, 6.0, body(6.0, one(2.5)))[0] is None  # an older one
    assert ask(receiver, 7.0, body(6.0, one(0.0)))[0] is None  # the same file


def test_an_answer_larger_than_a_message_is_read() -> None:
    many = [one(0.1, hex=f"{n:06x}", flight=f"LOT{n}") for n in range(3_000)]
    batch, refused, why = ask(Readsb("A1"), 0.0, body(0.0, *many))
    assert batch is not None
    assert (len(batch), refused, why) == (3_000, {}, "")


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "malformed"), (b"<html>", "malformed"), (b"[]", "malformed"), (b"{}", "missing-field"),
        (b'{"now": 1, "aircraft": []}', "bad-time"), (b'{"now": 1795000000, "aircraft": [', "malformed"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_told(octets: bytes, reason: str) -> None:
    batch, refused, why = ask(Readsb("A1"), 0.0, octets)
    assert batch is None
    assert refused == {reason: 1}
    assert reason in why


def test_one_bad_aircraft_costs_only_itself() -> None:
    batch, refused, _ = ask(
        Readsb("A1"), 0.0, body(0.0, one(0.0), one(0.0, hex="4ca123", lat=99.0), {"lat": 1, "lon": 2})
    )
    assert batch is not None
    assert (len(batch), refused) == (1, {"out-of-range": 1, "missing-field": 1})


def test_a_file_that_is_not_written_any_more_is_told() -> None:
    receiver = Readsb("A1")
    ask(receiver, 0.0, body(0.0, one(0.0)))
    assert ask(receiver, 10.0, body(0.0, one(0.0)))[2] == ""
    assert "not written" in ask(receiver, STALE_US / 1e6 + 1.0, body(0.0, one(0.0)))[2]
    assert ask(receiver, 20.0, body(20.0, one(0.0)))[2] == ""


def test_a_clock_that_nobody_can_believe_is_told_and_the_arrival_taken() -> None:
    batch, refused, _ = ask(Readsb("A1"), 0.0, body(-3_600.0, one(0.5)))
    assert batch is not None
    assert batch.t_us[0] == RX_US - 500_000
    assert refused == {"clock-not-believed": 1}


def test_lines_of_one_aircraft_each() -> None:
    receiver, heard = Readsb("A1"), Heard()
    lines = [{**one(0.2), "now": RX_US / 1e6 + n} for n in (0.0, 0.05, 1.0)]
    lines[2]["lat"] += 0.01
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    receiver.hear(
        [(RX_US + 1_000_000, text[:50]), (RX_US + 1_100_000, text[50:] + b'{"hex":1}\n{"now":5}\nno\n')], heard
    )
    assert [len(batch) for batch in heard.batches] == [2]
    assert (heard.batches[0].t_us - RX_US).tolist() == [-200_000, 800_000]
    assert heard.refused == {"malformed": 2, "missing-field": 1}
    receiver.cut()


def test_what_was_passed_on_is_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "MOST_PASSED", 8)
    passed = Passed()
    assert all(passed.is_new(f"{n}", 1.0, 2.0, RX_US) for n in range(100))
    assert len(passed) <= 8
    assert not passed.is_new("99", 1.0, 2.0, RX_US)


@settings(max_examples=80)
@given(
    st.binary(max_size=100) | st.builds(body, st.just(0.0), st.dictionaries(st.text(max_size=5), st.integers())),
    st.data(),
)
def test_no_octets_at_all_stop_it(octets: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(octets)))
    receiver = Readsb("A1")
    ask(receiver, 0.0, octets[:cut])
    heard = Heard()
    receiver.hear([(RX_US, octets[:cut] + b"\n" + octets[cut:] + b"\n")], heard)
    assert all(count > 0 for count in heard.refused.values())
    batch, _, why = ask(receiver, 1.0, body(1.0, one(0.0)))
    assert batch is not None
    assert (len(batch), why) == (1, "")


async def served(replies: list[bytes], done: Callable[[list[Heard]], bool]) -> list[Heard]:
    """What is heard of a server that answers these one after the other, the last for ever."""
    left = list(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()
        writer.close()

    heard = list[Heard]()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/data/aircraft.json"
        source = cast(AsyncGenerator[Heard, None], from_http(Page(url), 0.1, Readsb("A1"), "A1"))
        async with asyncio.timeout(PATIENCE_S), aclosing(source) as said:
            async for one_look in said:
                heard.append(one_look)
                if done(heard):
                    break
    return heard


def answer(octets: bytes, status: str = "200 OK") -> bytes:
    """HTTP around it."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(octets)}\r\nConnection: close\r\n\r\n".encode() + octets


@pytest.mark.alone
def test_a_server_that_fails_is_asked_again() -> None:
    replies = [
        answer(body(0.0, one(0.0))), answer(b"no", "500 Oops"), b"", answer(b"<html>"), b"HTTP/1.1 nonsense\r\n\r\n",
        answer(body(9.0, one(0.0, lat=50.0))),
    ]  # fmt: skip
    heard = asyncio.run(served(replies, lambda looks: sum(len(look.batches) for look in looks) == 2))
    words = [(w.state, w.detail) for look in heard for w in look.words]
    assert [state for state, _ in words] == ["ok", "off", "degraded", "off", "ok"]
    assert words[1][1] == "it answers 500"
    assert np.degrees([b.lat_rad[0] for look in heard for b in look.batches])[1] == pytest.approx(50.0)


@pytest.mark.alone
@pytest.mark.parametrize(
    ("response", "why"),
    [
        (
            httpx.Response(301, headers={"location": "/tar1090/data/" + "x" * 900}),
            "it answers 301: ask '/tar1090/data/x",
        ),
        (httpx.Response(304), "it answers 304"),
        (
            httpx.Response(200, headers={"content-encoding": "br"}, stream=httpx.ByteStream(b"")),
            "its answer is compressed (br), and was",
        ),
        (httpx.Response(200, headers={"content-encoding": "Identity"}, stream=httpx.ByteStream(b"{}")), ""),
    ],
)
def test_what_a_server_says_instead_is_told(response: httpx.Response, why: str) -> None:
    async def ask_it() -> Answer:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: response)) as client:
            return await Page("http://receiver.example/aircraft.json").ask(client)

    told = asyncio.run(ask_it()).why
    assert told.startswith(why)
    assert bool(told) == bool(why)
    assert len(told) < 300


def test_an_answer_without_an_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "MOST_ANSWER_OCTETS", 10_000)
    heard = asyncio.run(served([answer(b" " * 20_000)], lambda looks: any(look.words for look in looks)))
    (word,) = (w for look in heard for w in look.words)
    assert (word.state, "longer" in word.detail) == ("off", True)


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("http://192.0.2.7/data/aircraft.json", True),
        ("https://[::1]:8080/", True),
        ("ftp://192.0.2.7/", False),
        ("http://", False),
        ("http://[", False),
        ("http://192.0.2.7:99999/", False),
        ("192.0.2.7/data", False),
    ],
)
def test_what_is_no_address_of_a_web_server_is_refused_before_it_is_asked(url: str, good: bool) -> None:
    assert is_address(url) is good
