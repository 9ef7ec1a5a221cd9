"""What a sensor's side keeps until it is fused, and sends again; against a broker that dies with messages."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import feed
from adapters.broker import BrokerSettings, Outgoing
from adapters.commands import simulate
from adapters.formats import watermark
from adapters.resend import ResendParams, Unfused
from adapters.wire import number_of
from fusion.numbers import Numbers, Run
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
    kept.heard(101.0, "R1", [Run(7, 3, 4)])
    assert len(kept) == 4
    assert [m.payload for m in kept.due(105.0)] == [message(n).payload for n in (0, 1, 2, 5)]
    kept.heard(106.0, "R1", [Run(7, 0, 5)])
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
        kept.heard(100.5 + second, "R1", [Run(7, first, 29 + second)])
        if again := seqs(kept.due(100.75 + second)):
            told[second] = again
            fused |= {number for number in again if number != 20}  # which it refuses
    assert list(told.items())[:4] == [(3, [26, 27, 28, 29]), (6, [22, 23, 24, 25]), (9, [18, 19, 20, 21]),
                                      (12, [14, 15, 16, 17])]  # fmt: skip
    assert fused >= set(range(30)) - {20}
    of_20 = [second for second, again in told.items() if 20 in again]
    gaps = [b - a for a, b in itertools.pairwise(of_20)]
    assert gaps == sorted(gaps) and gaps[-1] >= PARAMS.most_pause_s  # no storm of what is refused


def test_nothing_is_sent_again_while_watermarks_keep_up() -> None:
    kept = Unfused(PARAMS)
    for second in range(120):
        kept.sent("R1", (7, second), message(second), second)
        kept.heard(second + 0.5, "R1", [Run(7, 0, second - 2)])
        assert kept.due(second + 0.6) == []
    assert (len(kept), kept.again, kept.fell) == (2, 0, 0)


def test_what_stays_above_the_watermark_is_sent_again_in_a_window_after_pauses_that_double() -> None:
    kept = filled(9)
    kept.heard(100.5, "R1", [Run(7, 0, 1)])
    told = {t / 2: seqs(kept.due(t / 2)) for t in range(200, 280)}
    assert [(t, numbers) for t, numbers in told.items() if numbers] == [
        (103.5, [2, 3, 4, 5]), (106.5, [2, 3, 4, 5]), (112.5, [2, 3, 4, 5]), (122.5, [2, 3, 4, 5]),
        (132.5, [2, 3, 4, 5]),
    ]  # fmt: skip
    kept.heard(133.0, "R1", [Run(7, 0, 4)])
    assert seqs(kept.due(135.9)) == []
    assert seqs(kept.due(136.0)) == [5, 6, 7, 8]


def test_without_a_service_the_pause_is_the_longest_from_the_start() -> None:
    kept = filled(2)
    kept.heard(100.0, "R1", [Run(6, 0, 99)])  # retained, of a start before this one
    assert [t for t in range(100, 140) if kept.due(t)] == [110, 120, 130]


def test_another_start_of_the_sensor_covers_nothing_of_this_one() -> None:
    kept = filled(3)
    kept.heard(101.0, "R1", [Run(6, 0, 99)])
    kept.heard(101.0, "R2", [Run(7, 0, 99)])
    assert len(kept) == 3
    kept.heard(101.0, "R1", [Run(7, 0, 99)])
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
            before = len(kept) + kept.fell
            kept.sent(str(which), (1, next_of[which]), message(next_of[which] % 1000, "R", max(number, 3)), now_s)
            next_of[which] += 1
            sent += 1
            covered += before + 1 - len(kept) - kept.fell
        elif what == "heard":
            before = len(kept)
            kept.heard(now_s, str(which), [Run(1, 0, number)])
            covered += before - len(kept)
        else:
            now_s += which
            again = kept.due(now_s)
            assert len(again) <= 3 * PARAMS.window
    assert sent == covered + len(kept) + kept.fell
    assert len(kept) <= PARAMS.keep_messages


def test_between_runs_only_what_is_missing_is_sent_again_while_the_stream_goes_on() -> None:
    """3 was given away as fused to a service that has forgotten it, and 6 is lost: nothing waits behind them."""
    kept = Unfused(PARAMS)
    told: dict[int, list[int]] = {}
    for second in range(40):
        kept.sent("R1", (7, second), message(second), 100.0 + second)
        if second == 3:
            kept.heard(100.5 + second, "R1", [Run(7, 0, 3)])
        if second >= 7:
            kept.heard(100.5 + second, "R1", [Run(7, 4, 5), Run(7, 7, second)])
        if again := seqs(kept.due(100.75 + second)):
            told[second] = again
    assert told == {9: [6], 15: [6], 25: [6], 35: [6]}
    kept.heard(141.0, "R1", [Run(7, 4, 39)])
    assert (len(kept), kept.fell) == (0, 0)


def test_a_message_lost_behind_many_that_are_refused_is_sent_again_in_time() -> None:
    kept = filled(20)
    kept.heard(101.0, "R1", [Run(7, 20, 20)])
    for second in range(104, 130):
        kept.due(second)
    kept.sent("R1", (7, 21), message(21), 130.0)
    kept.heard(130.0, "R1", [Run(7, 20, 20), Run(7, 22, 22)])
    told = [seqs(kept.due(130.0 + second)) for second in range(7)]
    assert any(21 in again for again in told)


def test_a_watermark_that_is_quicker_than_the_acknowledgement_counts() -> None:
    """The broker took it, the line broke before it said so, and the service had it before the sender was told."""
    kept = filled(1)
    kept.heard(101.0, "R1", [Run(7, 0, 2)])
    for number in (1, 2):
        kept.sent("R1", (7, number), message(number), 102.0)
    assert (len(kept), kept.due(200.0)) == (0, [])


class _Service:
    """What a service knows of one sensor's messages: now, on its disk, and what any of its disks ever held."""

    def __init__(self) -> None:
        self.now, self.turn = Numbers(), 0
        self.heard = set[tuple[int, int]]()
        self.saved: tuple[tuple[object, ...], int, set[tuple[int, int]]] = (self.now.snapshot(), 0, set())
        self.durable = set[tuple[int, int]]()

    def hear(self, number: tuple[int, int]) -> None:
        if self.now.add(*number, self.turn):
            self.heard.add(number)

    def tick(self) -> None:
        if self.heard:
            self.now.settle(self.turn)
        self.turn += 1

    def save(self) -> None:
        self.saved = self.now.snapshot(), self.turn, set(self.heard)
        self.durable |= self.heard

    def tell(self) -> bytes:
        told = Numbers.restored(self.saved[0]).told
        return watermark.encode("R1", told) if told else b""

    def power_cut(self) -> None:
        state, self.turn, heard = self.saved
        self.now, self.heard = Numbers.restored(state), set(heard)

    def cold(self) -> None:
        self.now, self.heard = Numbers(), set()
        self.save()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_lost_and_forgotten_every_message_is_fused_and_nothing_is_sent_again_for_ever(
    data: st.DataObject,
) -> None:
    """A sensor that starts again, a broker that loses, and a service that is cut off from power and forgets."""
    service, kept = _Service(), Unfused(ResendParams(window=8))
    boot, seq, now_s = 1, 0, 0.0
    times: dict[tuple[int, int], int] = {}
    losses = data.draw(st.lists(st.booleans(), min_size=1, max_size=40), "which are lost, in turn")
    happens = st.sampled_from(("", "", "", "save", "save", "told", "told", "power cut", "cold", "sensor restarts"))
    for step, what in enumerate(data.draw(st.lists(happens, max_size=60))):
        now_s += 0.5
        out = [Outgoing("", f"{boot} {seq}".encode())]
        kept.sent("R1", (boot, seq), out[0], now_s)
        times[boot, seq] = 1
        seq += 1
        for again in kept.due(now_s):
            out.append(again)
            times[_number(again)] += 1
        for n, each in enumerate(out):
            if not losses[(step + n) % len(losses)]:
                service.hear(_number(each))
        service.tick()
        if what == "save":
            service.save()
        elif what == "told":
            _tell(service, kept, now_s)
        elif what == "power cut":
            service.power_cut()
        elif what == "cold":
            service.cold()
        elif what == "sensor restarts":
            boot, seq = boot + 1, 0
        assert {number for number in times if not _holds(kept, number)} <= service.durable, "dropped and not kept"
    for _ in range(150):  # nothing more goes wrong, and the sensor says a last word now and then
        now_s += 0.5
        for again in kept.due(now_s):
            times[_number(again)] += 1
            service.hear(_number(again))
        service.tick()
        service.save()
        _tell(service, kept, now_s)
    assert (len(kept), kept.fell) == (0, 0)
    assert service.durable == {*times}
    assert max(times.values(), default=0) <= 12


def _number(message: Outgoing) -> tuple[int, int]:
    boot, seq = message.payload.split()
    return int(boot), int(seq)


def _tell(service: _Service, kept: Unfused, now_s: float) -> None:
    if payload := service.tell():
        kept.heard(now_s, *watermark.decode(payload))


def _holds(kept: Unfused, number: tuple[int, int]) -> bool:
    return any(item.number == number for item in kept._sensors["R1"].kept)


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
    boot, seq = number_of(frames[-1].payload, "R1") or (-1, -1)
    assert last == ("R1", [Run(boot, 0, seq)])


async def _lose(broker: Mosquitto, relay: Relay, frames: list[Frame]) -> tuple[int, int]:
    account = BrokerSettings("127.0.0.1", broker.port, client_id="sensor")
    unfused = Unfused(ResendParams(patience_s=1.5))
    async with feed.connected(account, "sensor", [("vedette/v1/test/in/R1/watermark", 1)]) as link:
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
