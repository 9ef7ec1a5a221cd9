"""OpenSky asked over HTTP: a position once, an account's token, credits that are used up, and servers that fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from adapters.bridges import opensky as bridge
from adapters.bridges.asked import Answers, from_http
from adapters.bridges.common import Heard
from adapters.bridges.opensky import STALE_US, STATES_URL, States, box_of, credits_a_day, receiver, say_cost
from adapters.cli import app
from fusion.schema import Plots
from tests.mosquitto import Mosquitto
from tests.running import PATIENCE_S, Ear, vedette
from tests.test_formats_opensky import NOW_S, answer, state

RX_US = (NOW_S + 1) * 1_000_000
SECRET = "not-for-any-log"


def ask(answers: Answers, after_s: float, octets: bytes) -> tuple[Plots | None, dict[str, int], str]:
    """What an answer adds."""
    heard = Heard()
    why = answers.answer(RX_US + round(after_s * 1e6), octets, heard)
    return (heard.batches[0] if heard.batches else None), dict(heard.refused), why


def at(time_s: int, *states: list[Any] | None) -> bytes:
    return json.dumps({"time": time_s, "states": states if states != (None,) else None}).encode()


def test_a_position_is_passed_on_once() -> None:
    answers = receiver("O1")
    batch, refused, why = ask(answers, 0, answer(state(), state(icao24="4ca123", time_position=NOW_S - 12)))
    assert batch is not None
    assert (batch.t_us - RX_US).tolist() == [-3_000_000, -13_000_000]  # however old: it was not passed on yet
    assert (refused, why) == ({}, "")
    assert ask(answers, 10, at(NOW_S + 10, state(), state(icao24="4ca123", time_position=NOW_S - 20)))[0] is None
    batch, _, _ = ask(answers, 20, at(NOW_S + 20, state(time_position=NOW_S + 19), state(icao24="4ca123", lat=None)))
    assert batch is not None
    assert batch.address.tolist() == [0x4CA2D6]


def test_a_sky_in_which_nobody_flies_is_no_fault() -> None:
    assert ask(receiver("O1"), 0, at(NOW_S, None)) == (None, {}, "")
    assert ask(receiver("O1"), 0, at(NOW_S)) == (None, {}, "")


def test_the_same_answer_for_long_is_told() -> None:
    answers = receiver("O1")
    ask(answers, 0, answer(state()))
    assert ask(answers, 50, answer(state()))[2] == ""
    assert "same" in ask(answers, STALE_US / 1e6 + 1, answer(state()))[2]
    assert ask(answers, 80, at(NOW_S + 80))[2] == ""


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "malformed"),
        (b"<html>", "malformed"),
        (b"{}", "missing-field"),
        (b'{"time": 1, "states": []}', "bad-time"),
    ],
)
def test_an_answer_that_is_none_is_told(octets: bytes, reason: str) -> None:
    batch, refused, why = ask(receiver("O1"), 0, octets)
    assert (batch, refused) == (None, {reason: 1})
    assert reason in why


def test_an_answer_of_the_whole_world_is_read_and_one_bad_state_costs_only_itself() -> None:
    many = [state(icao24=f"{n:06x}") for n in range(9_000)]
    batch, refused, why = ask(receiver("O1"), 0, answer(*many, ["4ca123"], state(icao24="4ca124", lat=99.0)))
    assert batch is not None
    assert (len(batch), refused, why) == (9_000, {"malformed": 1, "out-of-range": 1}, "")


@given(st.binary(max_size=100) | st.builds(answer, st.lists(st.none() | st.integers() | st.text(max_size=5))))
def test_no_octets_at_all_stop_it(octets: bytes) -> None:
    answers = receiver("O1")
    _, refused, _ = ask(answers, 0, octets)
    assert all(count > 0 for count in refused.values())
    batch, _, why = ask(answers, 1, at(NOW_S + 1, state(icao24="4cafff")))
    assert batch is not None
    assert why == ""


@pytest.mark.parametrize(
    ("box", "credits_each"),
    [
        ((49.7, 3.2, 50.5, 4.6), 1), ((46.5, -1.4, 49.9, 6.8), 2), ((42.2, -4.7, 49.8, 10.9), 3),
        ((35.0, -10.0, 60.0, 30.0), 4), (None, 4),
    ],
)  # fmt: skip
def test_credits_are_those_of_the_examples_of_its_documentation(box: bridge.Box | None, credits_each: int) -> None:
    assert credits_a_day(box, 86_400.0) == credits_each
    assert credits_a_day(box, 10.0) == 8_640 * credits_each


def test_a_rate_that_a_day_cannot_pay_is_warned_of_with_one_that_it_can() -> None:
    box = box_of([53.5, 22.5, 56.5, 28.0])
    assert box is not None
    for account, cure in (("", "--every 216"), ("me", "--every 22")):
        with structlog.testing.capture_logs() as said:
            say_cost(States(STATES_URL, box, account, SECRET), 10.0)
        assert (said[0]["log_level"], said[0]["cure"]) == ("warning", cure)
        with structlog.testing.capture_logs() as said:
            say_cost(States(STATES_URL, box, account, SECRET), float(cure.split()[1]))
        assert said[0]["log_level"] == "info"
    with structlog.testing.capture_logs() as said:
        say_cost(States("http://127.0.0.1/states/own"), 5.0)  # of one's own receivers nothing is counted
    assert said == []


@pytest.mark.parametrize(
    "numbers", [[1.0], [50, 20, 49, 21], [50, 21, 51, 20], [-91, 0, 0, 1], [0, 0, 1, float("nan")]]
)
def test_what_is_no_box_is_none(numbers: list[float]) -> None:
    assert box_of(numbers) is None


class Server:
    """Answers states and tokens from lists, the last for ever, and keeps what was asked."""

    def __init__(self, states: list[bytes], tokens: list[bytes]) -> None:
        self.left = {"/states/all": list(states), "/token": list(tokens)}
        self.asked: list[tuple[float, str, dict[str, str], bytes]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = head.split("\r\n")
        headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in rest if one)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        target = line.split()[1]
        self.asked.append((asyncio.get_running_loop().time(), target, headers, body))
        replies = self.left[urlsplit(target).path]
        writer.write(replies.pop(0) if len(replies) > 1 else replies[0])
        await writer.drain()
        writer.close()

    def of(self, path: str) -> list[tuple[float, str, dict[str, str], bytes]]:
        return [one for one in self.asked if urlsplit(one[1]).path == path]


def reply(octets: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(octets)}\r\n{more}Connection: close\r\n\r\n".encode() + octets


def token(name: str) -> bytes:
    return reply(json.dumps({"access_token": name, "expires_in": 1_800, "token_type": "Bearer"}).encode())


async def listened(
    server: Server, done: Callable[[list[Heard]], bool], account: str = "", box: bridge.Box | None = None
) -> list[Heard]:
    heard = list[Heard]()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        root = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        question = States(f"{root}/states/all", box, account, SECRET if account else "", f"{root}/token")
        source = cast(AsyncGenerator[Heard, None], from_http(question, 0.1, receiver("O1"), "O1"))
        async with asyncio.timeout(PATIENCE_S), aclosing(source) as said:
            async for look in said:
                heard.append(look)
                if done(heard):
                    break
    return heard


def batches(looks: list[Heard]) -> list[Plots]:
    return [batch for look in looks for batch in look.batches]


def words(looks: list[Heard]) -> list[tuple[str, str]]:
    return [(word.state, word.detail) for look in looks for word in look.words]


@pytest.mark.alone
def test_a_box_is_asked_for_without_an_account() -> None:
    server = Server([reply(answer(state()))], [])
    (batch,) = batches(asyncio.run(listened(server, lambda looks: bool(batches(looks)), box=(53.5, 22.5, 56.5, 28.0))))
    assert np.degrees(batch.lat_rad[0]) == pytest.approx(54.5)
    asked = server.asked[0]
    assert {k: v[0] for k, v in parse_qs(urlsplit(asked[1]).query).items()} == {
        "lamin": "53.5", "lomin": "22.5", "lamax": "56.5", "lomax": "28.0", "extended": "1",
    }  # fmt: skip
    assert "authorization" not in asked[2]


@pytest.mark.alone
def test_a_token_is_asked_for_once_and_anew_when_it_is_refused() -> None:
    states = [
        reply(answer(state())), reply(b"", "401 Unauthorized"), reply(at(NOW_S + 10, state(time_position=NOW_S + 9))),
    ]  # fmt: skip
    server = Server(states, [reply(b"no", "503 Busy"), reply(b"{}"), token("first"), token("second")])
    with structlog.testing.capture_logs() as said:
        looks = asyncio.run(listened(server, lambda looks: len(batches(looks)) == 2, account="me"))
    assert [state for state, _ in words(looks)] == ["off", "ok", "off", "ok"]
    assert words(looks)[0][1] == "no token: it answers 503"
    assert [one[2]["authorization"] for one in server.of("/states/all")] == ["Bearer first"] * 2 + ["Bearer second"]
    asked = {k: v[0] for k, v in parse_qs(server.of("/token")[0][3].decode()).items()}
    assert asked == {"grant_type": "client_credentials", "client_id": "me", "client_secret": SECRET}
    assert SECRET not in repr(said) + repr(words(looks)) + repr(States(STATES_URL, None, "me", SECRET))
    assert "first" not in repr(said)


@pytest.mark.alone
def test_without_credits_it_is_asked_again_when_there_are_more() -> None:
    refusal = reply(b"", "429 Too Many Requests", "X-Rate-Limit-Retry-After-Seconds: 2\r\n")
    server = Server([refusal, reply(answer(state()))], [])
    looks = asyncio.run(listened(server, lambda looks: bool(batches(looks))))
    assert words(looks) == [("off", "its credits are used up, there are more in 2 s"), ("ok", "")]
    assert server.asked[1][0] - server.asked[0][0] >= 2.0


@pytest.mark.alone
@pytest.mark.parametrize("header", ["", "X-Rate-Limit-Retry-After-Seconds: soon\r\n"])
def test_without_a_word_of_when_it_is_let_alone_for_a_minute(header: str) -> None:
    server = Server([reply(b"", "429 Too Many Requests", header)], [])
    looks = asyncio.run(listened(server, lambda looks: len(looks) > 20))  # two seconds, asked ten times a second
    assert words(looks)[0] == ("off", "its credits are used up, there are more in 60 s")
    assert len(server.asked) == 1


@pytest.mark.alone
def test_the_command_passes_it_on_to_a_broker(tmp_path: Path) -> None:
    async def run() -> None:
        server = Server([reply(answer(state(time_position=None), state()))], [])
        async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
            url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/states/all"
            await asyncio.to_thread(passed_on, url)

    def passed_on(url: str) -> None:
        with Mosquitto(tmp_path / "broker") as broker, Ear(broker.port, "in/O1/plots", "in/O1/status") as ear:
            address = f"127.0.0.1:{broker.port}"
            options = ("--url", url, "--sensor", "O1", "--every", "5", "--broker", address, "--site", "test")
            process = vedette("bridge", "opensky", *options)
            try:
                ear.wait_for(lambda heard: bool(heard.of("in/O1/plots") and heard.of("in/O1/status")))
            finally:
                process.terminate()
                process.wait(PATIENCE_S)
            assert ear.of("in/O1/plots")[0]["plots"][0]["callsign"] == "RYR1427"
            assert ear.of("in/O1/status")[0]["state"] == "ok"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("options", "environ", "words_of"),
    [
        (("--box", "1,2,3"), {}, "no box of the earth"),
        (("--box", "a,b,c,d"), {}, "no box of the earth"),
        (("--url", "opensky"), {}, "no address of a web server"),
        (("--token-url", "opensky"), {}, "no address of a web server"),
        ((), {"VEDETTE_OPENSKY_CLIENT": "me"}, "VEDETTE_OPENSKY_SECRET"),
        ((), {"VEDETTE_OPENSKY_SECRET": SECRET}, "VEDETTE_OPENSKY_CLIENT"),
        (("--sensor", "no/id"), {}, "no sensor's id"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: tuple[str, ...], environ: dict[str, str], words_of: str) -> None:
    result = CliRunner().invoke(app, ["bridge", "opensky", "--sensor", "O1", *options], env=environ)
    assert result.exit_code == 2
    assert words_of in result.output
    assert SECRET not in result.output
