"""Keys of somebody who watches a replay: in pieces, beside rubbish, at the ends; on a real terminal."""

from __future__ import annotations

import asyncio
import math
import os
import termios
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import feed
from adapters.deck import BACK_US, JUMPS_US, Deck, keys
from fusion.schema import US_PER_S, Frame
from replay import player

FIRST_US, LAST_US = 10**15, 10**15 + 600 * US_PER_S
UP, DOWN, RIGHT, LEFT = b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D"


def deck_at(seconds: float) -> Deck:
    deck = Deck(FIRST_US, LAST_US)
    deck.at(FIRST_US + round(seconds * US_PER_S))
    return deck


@pytest.mark.parametrize(
    ("at_s", "typed", "target_s"),
    [
        (100, RIGHT, 110),
        (100, LEFT, 90),
        (100, UP, 160),
        (100, DOWN, 40),
        (100, RIGHT + RIGHT + UP, 180),  # they add up until they are done
        (100, LEFT + RIGHT, None),  # back where it is
        (5, LEFT, 0),
        (595, RIGHT, 600),
        (1, LEFT, None),  # a service would not take it for another replay
        (100, b"x\x1b[Zy\x00", None),
        (100, b"\x1b" + LEFT, 90),
    ],
)
def test_jumps(at_s: float, typed: bytes, target_s: float | None) -> None:
    deck = deck_at(at_s)
    deck.press(typed)
    assert deck.target_us == (-1 if target_s is None else FIRST_US + target_s * US_PER_S)
    assert deck.interrupted is (target_s is not None)
    assert deck.take_target() == (-1 if target_s is None else FIRST_US + target_s * US_PER_S)
    assert deck.target_us == -1


def test_a_jump_back_is_one_that_the_service_takes_for_another_replay() -> None:
    assert BACK_US > feed.ANOTHER_REPLAY_US
    assert all(abs(by_us) >= BACK_US for by_us in JUMPS_US.values())


@given(st.lists(st.sampled_from([UP, DOWN, RIGHT, LEFT, b" ", b"z"])), st.data())
def test_keys_may_come_in_pieces(pressed: list[bytes], data: st.DataObject) -> None:
    whole, pieces = deck_at(100), deck_at(100)
    typed = b"".join(pressed)
    whole.press(typed)
    while typed:
        cut = data.draw(st.integers(1, len(typed)))
        pieces.press(typed[:cut])
        typed = typed[cut:]
    assert (pieces.paused, pieces.target_us) == (whole.paused, whole.target_us)
    assert whole.paused is (pressed.count(b" ") % 2 == 1)


@given(st.binary())
def test_no_rubbish_breaks_it_or_leaves_the_part(typed: bytes) -> None:
    deck = deck_at(100)
    deck.press(typed)
    assert deck.target_us == -1 or FIRST_US <= deck.target_us <= LAST_US


class Taken:
    """Stands for a sender."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.sent = 0

    async def send(self, frames: list[Frame]) -> None:
        self.frames += frames
        self.sent += len(frames)
        await asyncio.sleep(0)


def played(deck: Deck, then: Callable[[Taken], None], count: int = 2_000) -> list[Frame]:
    """A feed of so many frames as fast as it goes; `then` is called after every chunk."""
    frames = [Frame(n, FIRST_US + n * 1_000, "in/R1/plots", b"") for n in range(count)]
    sender = Taken()

    async def run() -> None:
        async with asyncio.timeout(60):
            await feed.play(sender, player.pace(frames, math.inf), lambda *_: then(sender), deck)  # type: ignore[arg-type]

    asyncio.run(run())
    return sender.frames


def test_a_pause_holds_everything_back_and_loses_nothing() -> None:
    deck = deck_at(0)
    held: list[int] = []

    def pause(sender: Taken) -> None:
        if sender.sent == 500:
            deck.press(b" ")
            for n in range(5):
                asyncio.get_running_loop().call_later(0.05 * n, lambda: held.append(sender.sent))
            asyncio.get_running_loop().call_later(0.3, lambda: deck.press(b" "))

    frames = played(deck, pause)
    assert [frame.seq for frame in frames] == list(range(2_000))
    assert held == [500] * 5


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("key", [b"q", RIGHT])
def test_a_timetable_is_broken_off_between_two_frames(key: bytes, paused: bool) -> None:
    deck = deck_at(0)

    def break_off(sender: Taken) -> None:
        if sender.sent == 500:
            deck.press(b" " + key if paused else key)

    assert [frame.seq for frame in played(deck, break_off)] == list(range(500))
    assert deck.ended is (key == b"q")


def test_a_pause_is_not_caught_up_with() -> None:
    """What is due after a pause is due later by as much: the feed goes on at its speed."""
    deck = deck_at(0)
    frames = [Frame(n, FIRST_US + n * 100_000, "tick", b"") for n in range(4)]
    at_s: list[float] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def shown(_frame: Frame, sent: int) -> None:
            at_s.append(loop.time())
            if sent == 2:
                deck.press(b" ")
                loop.call_later(0.5, lambda: deck.press(b" "))

        async with asyncio.timeout(60):
            await feed.play(Taken(), player.pace(frames, 1.0), shown, deck)  # type: ignore[arg-type]

    asyncio.run(run())
    assert len(at_s) == 4
    assert at_s[3] - at_s[1] >= 0.5


def test_keys_are_heard_on_a_terminal_that_is_left_as_it_was() -> None:
    master, slave = os.openpty()
    deck = deck_at(100)

    async def pressed() -> None:
        with open(slave, closefd=False) as terminal:
            before = termios.tcgetattr(slave)
            with keys(terminal, deck) as watched:
                assert watched
                os.write(master, RIGHT + b" ")
                async with asyncio.timeout(60):
                    while not deck.paused:
                        await asyncio.sleep(0.01)
            assert termios.tcgetattr(slave) == before

    try:
        asyncio.run(pressed())
    finally:
        os.close(master)
        os.close(slave)
    assert deck.target_us == FIRST_US + 110 * US_PER_S


def test_what_is_no_terminal_has_no_keys() -> None:
    async def nothing() -> None:
        with open(os.devnull) as file, keys(file, deck_at(0)) as watched:
            assert not watched

    asyncio.run(nothing())
