"""What a sensor's side keeps until it is fused, and sends again; against a broker that dies with messages."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import feed
from adapters.broker import BrokerSettings, Outgoing
from adapters.commands import simulate
from adapters.formats import watermark
from adapters.resend import ResendParams, Unfused
from adapters.wire import number_of
from fusion.schema import Frame
from replay.simulate import Scenario
from tests.relay import Relay
from tests.running import Ear, Mosquitto, Service, ports, write_config

PARAMS = ResendParams(keep_s=60.0, keep_messages=50, keep_bytes=5_000, patience_s=3.0, most_pause_s=10.0, window=4)


def message(seq: int, sensor: str = "R1", size: int = 10) -> Outgoing:
    return Outgoing(f"in/{sensor}/plots", b"%03d" % seq + b"x" * (size - 3), qos=1)


def filled(count: int, sensor: str = "R1") -> Unfused:
    kept = Unfused(PARAMS)
    for seq in range(count):
        kept.sent(sensor, (7, seq), message(seq, sensor), 100.0)
    return kept


def seqs(messages: list[Outgoing]) -> list[int]:
    return [int(m.payload[:3]) for m in messages]


def test_what_the_service_never_heard_of_is_sent_again_though_later_ones_are_fused() -> None:
    """It began in the middle: the broker that held 0 to 2 has died."""
    kept = Unfused()
    for number in range(6):
        kept.sent("R1", (7, number), message(number), 100.0)
    kept.heard(101.0, "R1", 7, 4, 3)
    assert len(kept) == 4
    assert [m.payload for m in kept.due(105.0)] == [message(n).payload for n in (0, 1, 2, 5)]
    kept.heard(106.0, "R1", 7, 5, 0)
    assert len(kept) == 0


def test_what_a_watermark_passed_over_is_sent_again_while_the_stream_goes_on() -> None:
    """The service began in the middle of a stream that never rests: a watermark that moves is no answer to the rest."""
    kept, fused, first = Unfused(PARAMS), set[int](), 30
    for number in range(30):
        kept.sent("R1", (7, number), message(number), 100.0)
    told: dict[int, list[int]] = {}
    for second in range(1, 50):
        kept.sent("R1", (7, 29 + second), message(29 + second), 100.0 + second)
        fused.add(29 + second)
        while first - 1 in fused:
            first -= 1
        kept.heard(100.5 + second, "R1", 7, 29 + second, first)
        if again := seqs(kept.due(100.6 + second)):
            told[second] = again
            fused |= {number for number in again if number != 20}  # which it refuses
    assert list(told.items())[:4] == [(4, [26, 27, 28, 29]), (8, [22, 23, 24, 25]), (12, [18, 19, 20, 21]),
                                      (16, [14, 15, 16, 17])]  # fmt: skip
    assert fused >= set(range(30)) - {20}
    gaps = [b - a for a, b in itertools.pairwise(told)]
    assert max(gaps) <= PARAMS.most_pause_s + 1 and gaps[-1] >= PARAMS.most_pause_s  # and no storm of what is refused


def test_nothing_is_sent_again_while_watermarks_keep_up() -> None:
    kept = Unfused(PARAMS)
    for second in range(120):
        kept.sent("R1", (7, second), message(second), second)
        kept.heard(second + 0.5, "R1", 7, second - 2)
        assert kept.due(second + 0.6) == []
    assert (len(kept), kept.again, kept.fell) == (2, 0, 0)


def test_what_stays_above_the_watermark_is_sent_again_in_a_window_after_pauses_that_double() -> None:
    kept = filled(9)
    kept.heard(100.5, "R1", 7, 1)
    told = {t / 2: seqs(kept.due(t / 2)) for t in range(200, 280)}
    assert [(t, numbers) for t, numbers in told.items() if numbers] == [
        (103.5, [2, 3, 4, 5]), (106.5, [2, 3, 4, 5]), (112.5, [2, 3, 4, 5]), (122.5, [2, 3, 4, 5]),
        (132.5, [2, 3, 4, 5]),
    ]  # fmt: skip
    kept.heard(133.0, "R1", 7, 4)
    assert seqs(kept.due(135.9)) == []
    assert seqs(kept.due(136.0)) == [5, 6, 7, 8]


def test_without_a_service_the_pause_is_the_longest_from_the_start() -> None:
    kept = filled(2)
    kept.heard(100.0, "R1", 6, 99)  # retained, of a start before this one
    assert [t for t in range(100, 140) if kept.due(t)] == [110, 120, 130]


def test_another_start_of_the_sensor_covers_nothing_of_this_one() -> None:
    kept = filled(3)
    kept.heard(101.0, "R1", 6, 99)
    kept.heard(101.0, "R2", 7, 99)
    assert len(kept) == 3
    kept.heard(101.0, "R1", 7, 99)
    assert len(kept) == 0


def test_what_falls_is_the_oldest_of_who_holds_most_and_what_is_too_old_and_it_is_counted() -> None:
    kept = filled(40)
    for seq in range(20):
        kept.sent("R2", (1, seq), message(seq, "R2"), 100.0)
    assert (len(kept), kept.fell) == (50, 10)
    kept.sent("R3", (1, 0), message(0, "R3", 4_900), 101.0)
    assert (len(kept) < 12, kept.fell) == (True, 61 - len(kept))
    fallen = kept.fell
    assert kept.due(170.0) == []
    assert (len(kept), kept.fell > fallen) == (0, True)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sent"), st.integers(0, 2), st.integers(1, 400)),
            st.tuples(st.just("heard"), st.integers(0, 2), st.integers(0, 60)),
            st.tuples(st.just("due"), st.integers(0, 8), st.just(0)),
        ),
        max_size=120,
    )
)
def test_every_message_is_covered_kept_or_counted_and_the_bounds_hold(steps: list[tuple[str, int, int]]) -> None:
    kept, now_s = Unfused(PARAMS), 0.0
    sent, covered = 0, 0
    next_of = [0, 0, 0]
    for what, which, number in steps:
        if what == "sent":
            kept.sent(str(which), (1, next_of[which]), message(next_of[which] % 1000, "R", max(number, 3)), now_s)
            next_of[which] += 1
            sent += 1
        elif what == "heard":
            before = len(kept)
            kept.heard(now_s, str(which), 1, number)
            covered += before - len(kept)
        else:
            now_s += which
            again = kept.due(now_s)
            assert len(again) <= 3 * PARAMS.window
    assert sent == covered + len(kept) + kept.fell
    assert len(kept) <= PARAMS.keep_messages


@pytest.mark.alone
def test_a_broker_that_dies_with_what_it_took_loses_nothing(tmp_path: Path) -> None:
    """The broker takes messages while the service cannot be reached, and is killed with them."""
    scenario = Scenario.load("lithuania-2025-07-28")
    frames = [f for f in scenario.frames(simulate.encode, ticks=False) if f.source == "in/R1/plots"][:30]
    formats = simulate.formats(scenario)
    http_port, _ = ports()
    with Mosquitto(tmp_path / "broker") as broker, Relay(broker.port) as relay:
        config = write_config(tmp_path / "config", relay.port, scenario.sensors, formats, http_port)
        with Service(config, http_port):
            missing, again = asyncio.run(_lose(broker, relay, frames))
            assert (missing, again >= 20) == (0, True)
            with Ear(broker.port, "in/+/watermark") as ear:
                ear.wait_for(lambda heard: bool(heard.of("in/R1/watermark")), 10)
                last = watermark.decode(ear.heard[-1][1])
    assert last == ("R1", *(number_of(frames[-1].payload, "R1") or ()), 0)


async def _lose(broker: Mosquitto, relay: Relay, frames: list[Frame]) -> tuple[int, int]:
    settings = BrokerSettings("127.0.0.1", broker.port, client_id="sensor")
    unfused = Unfused(ResendParams(patience_s=1.5))
    async with feed.connected(settings, "sensor", [("vedette/v1/test/in/R1/watermark", 1)]) as link:
        sender = feed.Sender(link, "test", recorded=False, unfused=unfused)
        async with sender.watched():
            await sender.send(frames[:5])
            assert await sender.fused(20.0)
            await asyncio.to_thread(relay.cut)
            await sender.send(frames[5:25])
            await asyncio.to_thread(broker.kill)
            (broker.folder / "mosquitto.db").unlink(missing_ok=True)
            await asyncio.to_thread(broker.start)
            await link.wait_connected()
            relay.open()
            await sender.send(frames[25:])
            await sender.fused(40.0)
    return len(unfused), unfused.again
