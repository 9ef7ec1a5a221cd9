"""The broker's port on a real Mosquitto: what is lost, what comes again, what is refused, and how it comes back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters import broker as words
from adapters import mqtt
from adapters.broker import BrokerSettings, NotConnected, Outgoing, PublishDenied, Will
from adapters.mqtt import Connection
from tests.broker_scene import PATIENCE_S, play, running, settings_of, silence, take, until
from tests.mosquitto import Mosquitto
from tests.relay import Relay

pytestmark = pytest.mark.alone


@pytest.fixture(name="broker")
def _broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path / "broker") as running:
        yield running


def test_what_is_published_arrives_with_all_that_travels_beside_it(broker: Mosquitto) -> None:
    async def scene() -> None:
        listener = Connection(settings_of(broker, "l"), [("t/#", 1)], clock=lambda: 42)
        async with running(listener), running(Connection(settings_of(broker, "p"))) as publisher:
            user = (("rx_us", "7"), ("seq", "1"), ("rx_us", "8"))
            await publisher.publish(
                "t/1",
                b"\x00\xff",
                1,
                False,
                expiry_s=60,
                user_properties=user,
                correlation=b"\x01",
                response_topic="r/1",
            )
            await publisher.publish("t/2", b"", qos=0)
            first, second = await take(listener, 2)
        assert (first.topic, first.payload, first.qos, first.retain) == ("t/1", b"\x00\xff", 1, False)
        assert (first.user, first.correlation, first.response_topic) == (user, b"\x01", "r/1")
        assert (first.rx_us, first.generation) == (42, 1)
        assert (second.topic, second.payload, second.qos, second.user) == ("t/2", b"", 0, ())

    play(scene())


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker: Mosquitto) -> None:
    async def scene() -> None:
        listener = Connection(settings_of(broker, "l"), [("t", 1)])
        async with running(Connection(settings_of(broker, "p"))) as publisher:
            async with running(listener):
                await publisher.publish_many([Outgoing("t", b"%d" % n, 1) for n in range(10)])
                for incoming in (await take(listener, 10))[:4]:
                    listener.ack(incoming)
                await publisher.publish("t", b"last", 1)  # the acknowledgements before it have left too
                await take(listener, 1)
            await publisher.publish("t", b"while away", 1)
            again = Connection(settings_of(broker, "l"), [("t", 1)])
            async with running(again):
                got = await take(again, 8)
                for incoming in got:
                    again.ack(incoming)
                await silence(again)
            assert [i.payload for i in got] == [b"4", b"5", b"6", b"7", b"8", b"9", b"last", b"while away"]
            async with running(third := Connection(settings_of(broker, "l"), [("t", 1)])):
                await silence(third)

    play(scene())


def test_the_session_lives_only_as_long_as_it_was_asked_to(broker: Mosquitto) -> None:
    async def scene() -> None:
        for settings, kept in (
            (settings_of(broker, "keeps"), True),
            (replace(settings_of(broker, "none"), session_expiry_s=0), False),
            (replace(settings_of(broker, "clean"), clean_start=True), False),
        ):
            async with running(Connection(settings, [("t", 1)])):
                pass
            async with running(Connection(settings_of(broker, "p"))) as publisher:
                await publisher.publish("t", b"x", 1)
            async with running(back := Connection(settings, [("t", 1)])):
                if kept:
                    (incoming,) = await take(back, 1)
                    back.ack(incoming)
                else:
                    await silence(back)

    play(scene())


def test_a_killed_broker_is_found_again_and_saved_messages_come_again(broker: Mosquitto) -> None:
    async def scene() -> None:
        changes: list[bool] = []
        listener = Connection(settings_of(broker, "l"), [("t", 1)], on_change=lambda up, _: changes.append(up))
        async with running(listener), running(Connection(settings_of(broker, "p"))) as publisher:
            await publisher.publish_many([Outgoing("t", b"%d" % n, 1) for n in range(5)])
            before = await take(listener, 5)
            await asyncio.to_thread(broker.save)
            broker.kill()
            await until(lambda: not publisher.connected and not listener.connected)
            with pytest.raises(NotConnected):
                await publisher.publish("t", b"x", 1)
            with pytest.raises(NotConnected):
                await publisher.publish("t", b"x", 0)
            listener.ack(before[0])
            await asyncio.sleep(0.3)
            await asyncio.to_thread(broker.start)
            await asyncio.wait_for(listener.wait_connected(), PATIENCE_S)
            await asyncio.wait_for(publisher.wait_connected(), PATIENCE_S)
            again = await take(listener, 5)
            assert [i.payload for i in again] == [i.payload for i in before]
            listener.ack(before[1])
            assert (listener.traffic.stale_acks, listener.traffic.acked) == (2, 0)
            assert {i.generation for i in before} == {1}
            assert {i.generation for i in again} == {listener.generation}
            await publisher.publish("t", b"after", 1)
            assert (await take(listener, 1))[0].payload == b"after"
        assert [up for i, up in enumerate(changes) if i == 0 or up != changes[i - 1]] == [True, False, True, False]

    play(scene())


def test_a_broker_that_hangs_is_noticed_and_publishing_does_not_hang_with_it(broker: Mosquitto) -> None:
    async def scene() -> None:
        settings = replace(settings_of(broker), keepalive_s=1, timeout_s=1.0, publish_timeout_s=0.5)
        async with running(Connection(settings, [("t", 1)])) as connection:
            broker.pause()
            try:
                with pytest.raises(NotConnected, match=r"within 0\.5 s"):
                    await connection.publish("t", b"x", 1)
                (error,) = await connection.publish_many([Outgoing("t", b"y", 1)])
                assert isinstance(error, NotConnected)
                await until(lambda: not connection.connected)
            finally:
                broker.resume()
            await asyncio.wait_for(connection.wait_connected(), PATIENCE_S)
            await connection.publish("t", b"z", 1)

    play(scene())


@pytest.mark.parametrize("busy", [False, True])
def test_a_link_that_swallows_everything_is_noticed_and_made_again(broker: Mosquitto, busy: bool) -> None:
    """Half open: no byte comes, no socket breaks, whether something was going in and out until then or not."""

    async def scene(relay: Relay) -> None:
        settings = replace(settings_of(broker), port=relay.port)
        async with running(Connection(settings, [("echo", 1)])) as connection:
            if busy:
                await connection.publish("echo", b"before", 1)
                connection.ack((await take(connection, 1))[0])
            relay.hold()
            lost = asyncio.gather(*(connection.post(Outgoing("echo", b"%d" % n, 1)) for n in range(3 * busy)))
            await until(lambda: not connection.connected)
            if busy:
                with pytest.raises(NotConnected):
                    await lost
            relay.open()
            await asyncio.wait_for(connection.wait_connected(), PATIENCE_S)
            await connection.publish("echo", b"after", 1)

    with Relay(broker.port) as relay:
        play(scene(relay))


def test_a_publish_under_way_when_the_broker_dies_fails_at_once(broker: Mosquitto) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker))) as connection:
            broker.pause()
            futures = [connection.post(Outgoing("t", b"x", 1)) for _ in range(3)]
            await asyncio.sleep(0.05)
            broker.kill()
            for future in futures:
                with pytest.raises(NotConnected):
                    await asyncio.wait_for(future, PATIENCE_S)

    play(scene())


def test_a_message_larger_than_the_broker_takes_is_refused_here_and_the_connection_lives(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker), [("t", 1)])) as connection:
            with pytest.raises(PublishDenied, match="at most 20000"):
                await connection.publish("t", b"x" * 20_000, 1)
            await connection.publish("t", b"x" * 19_000, 1)
            assert len((await take(connection, 1))[0].payload) == 19_000
            assert connection.generation == 1

    with Mosquitto(tmp_path / "broker", "max_packet_size 20000") as broker:
        play(scene())


def test_a_retained_message_is_there_until_it_expires(broker: Mosquitto) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker, "p"))) as publisher:
            await publisher.publish("r/short", b"x", 1, retain=True, expiry_s=1)
            await publisher.publish("r/long", b"y", 1, retain=True, expiry_s=600)
            await publisher.publish("r/gone", b"z", 1, retain=True)
            await publisher.publish("r/gone", b"", 1, retain=True)
            async with running(early := Connection(settings_of(broker, "early"), [("r/#", 1)])):
                assert {(i.topic, i.retain) for i in await take(early, 2)} == {("r/short", True), ("r/long", True)}
            await asyncio.sleep(2.1)
            async with running(late := Connection(settings_of(broker, "late"), [("r/#", 1)])):
                assert [i.topic for i in await take(late, 1)] == ["r/long"]
                await silence(late)

    play(scene())


def test_the_last_will_is_published_when_we_vanish_and_not_when_we_say_goodbye(broker: Mosquitto) -> None:
    async def scene() -> None:
        async def birth(connection: Connection) -> None:
            await connection.publish("status", b"online", 1, retain=True)

        async with running(watch := Connection(settings_of(broker, "w"), [("status", 1)])):
            will = Will("status", b"offline")
            async with running(Connection(settings_of(broker, "s"), will=will, birth=birth)) as service:
                assert (await take(watch, 1))[0].payload == b"online"
                link = service._link
                assert link is not None
                link._client._sock_close()  # the cable is cut: no farewell
                link.abandon(OSError("cut"))
                assert {i.payload for i in await take(watch, 2)} == {b"offline", b"online"}
                await until(lambda: service.connected)
                assert service.generation == 2
            await silence(watch)

    play(scene())


def test_the_broker_holds_back_what_we_have_not_acknowledged(broker: Mosquitto) -> None:
    async def scene() -> None:
        settings = replace(settings_of(broker, "l"), receive_max=20)
        listener, publisher = Connection(settings, [("t", 1)]), Connection(settings_of(broker, "p"))
        async with running(publisher), running(listener):
            errors = await publisher.publish_many([Outgoing("t", b"%d" % n, 1) for n in range(100)])
            assert errors == [None] * 100
            await until(lambda: listener.inbox.qsize() == 20)
            await asyncio.sleep(0.2)
            assert listener.inbox.qsize() == 20
            got: list[bytes] = []
            while len(got) < 100:
                (incoming,) = await take(listener, 1)
                got.append(incoming.payload)
                listener.ack(incoming)
            # Mosquitto does not keep the order of what it held back
            assert sorted(got) == sorted(b"%d" % n for n in range(100))
            assert listener.traffic.overflow == 0

    play(scene())


def test_qos_0_is_dropped_and_counted_when_nobody_works_and_qos_1_still_fits(broker: Mosquitto) -> None:
    async def scene() -> None:
        settings = replace(settings_of(broker, "l"), receive_max=20)
        listener, publisher = Connection(settings, [("t", 1)]), Connection(settings_of(broker, "p"))
        async with running(publisher), running(listener):
            await publisher.publish_many([Outgoing("t", b"0", 0) for _ in range(50)])
            await until(lambda: listener.traffic.received == 50)
            await publisher.publish_many([Outgoing("t", b"1", 1) for _ in range(30)])
            await until(lambda: listener.inbox.qsize() == 40)
            assert listener.traffic.overflow == 30
            got = await take(listener, 40)
            assert [i.qos for i in got] == [0] * 20 + [1] * 20
            for incoming in got:
                listener.ack(incoming)
            assert len(await take(listener, 10)) == 10

    play(scene())


def test_no_new_connection_is_made_while_the_old_inbox_is_full(broker: Mosquitto) -> None:
    async def scene() -> None:
        settings = replace(settings_of(broker, "l"), receive_max=20)
        listener, publisher = Connection(settings, [("t", 1)]), Connection(settings_of(broker, "p"))
        async with running(publisher), running(listener):
            await publisher.publish_many([Outgoing("t", b"0", 0) for _ in range(15)])
            await publisher.publish_many([Outgoing("t", b"%d" % n, 1) for n in range(20)])
            await until(lambda: listener.inbox.qsize() == 35)
            link = listener._link
            assert link is not None
            link.abandon(OSError("cut"))
            await until(lambda: not listener.connected)
            await asyncio.sleep(0.5)
            assert listener.generation == 1
            old = await take(listener, 35)
            await asyncio.wait_for(listener.wait_connected(), PATIENCE_S)
            again = await take(listener, 20)
            assert [i.payload for i in again] == [i.payload for i in old[15:]]

    play(scene())


def test_more_publishes_than_the_brokers_receive_maximum_do_not_end_the_connection(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker), [("t", 1)])) as connection:
            errors = await connection.publish_many([Outgoing("t", b"x", 1) for _ in range(500)])
            assert errors == [None] * 500
            assert connection.generation == 1

    with Mosquitto(tmp_path / "broker", "max_inflight_messages 5") as broker:
        play(scene())


def test_a_loop_of_qos_0_publishes_lets_the_socket_write(broker: Mosquitto) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker))) as connection:
            for _ in range(3_000):
                await connection.publish("t", b"x" * 200, 0)
            assert connection.traffic.published == 3_000
            assert connection.generation == 1

    play(scene())


def test_reading_stops_at_so_many_bytes_too(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages may have 64 KiB: a thousand of them would be most of what the service may hold."""
    monkeypatch.setattr(mqtt, "INBOX_BYTES", 300_000)

    async def scene() -> None:
        listener = Connection(settings_of(broker, "l"), [("t", 1)])
        async with running(listener), running(Connection(settings_of(broker, "p"))) as publisher:
            await publisher.publish_many([Outgoing("t", bytes(50_000), 1) for _ in range(40)])
            await asyncio.sleep(0.5)
            most = listener.inbox.size_bytes
            for _ in range(40):
                (incoming,) = await take(listener, 1)
                listener.ack(incoming)
                most = max(most, listener.inbox.size_bytes)
            assert 300_000 <= most < 1_000_000  # what one turn of reading brings comes on top
            assert listener.inbox.size_bytes == 0
            assert listener.traffic.held > 0
            assert listener.generation == 1

    play(scene())


def test_a_connection_that_is_held_for_long_is_not_given_up(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a service that is behind would get the same messages again and again, and never come to the new ones."""
    monkeypatch.setattr(mqtt, "INBOX_BYTES", 300_000)

    async def scene() -> None:
        listener = Connection(replace(settings_of(broker, "l"), keepalive_s=1), [("t", 1)])
        async with running(listener), running(Connection(settings_of(broker, "p"))) as publisher:
            await publisher.publish_many([Outgoing("t", bytes(50_000), 1) for _ in range(100)])
            await until(lambda: listener.traffic.held > 0)
            await asyncio.sleep(3.0)
            for _ in range(100):
                (incoming,) = await take(listener, 1)
                listener.ack(incoming)
            assert listener.generation == 1

    play(scene())


def test_reading_stops_while_the_inbox_is_full_and_goes_on_after(broker: Mosquitto) -> None:
    """Mosquitto sends all that it saved at once after its restart, whatever our Receive Maximum says."""

    async def scene() -> None:
        settings = replace(settings_of(broker, "l"), receive_max=20)
        async with running(Connection(settings, [("t", 1)])):
            pass
        async with running(Connection(settings_of(broker, "p"))) as publisher:
            await publisher.publish_many([Outgoing("t", b"%d" % n, 1) for n in range(200)])
        await asyncio.to_thread(broker.stop)
        await asyncio.to_thread(broker.start)
        async with running(listener := Connection(settings, [("t", 1)])):
            await asyncio.sleep(0.5)
            assert listener.inbox.qsize() <= 40
            got: set[bytes] = set()
            while len(got) < 200:
                (incoming,) = await take(listener, 1)
                got.add(incoming.payload)
                listener.ack(incoming)
            assert got == {b"%d" % n for n in range(200)}
            assert listener.generation == 1
            assert listener.traffic.held > 0

    play(scene())


def test_names_make_separate_clients(broker: Mosquitto) -> None:
    async def scene() -> None:
        a, b = Connection(settings_of(broker), name="in"), Connection(settings_of(broker), name="out")
        async with running(a), running(b):
            await a.publish("t", b"", 1)
            await b.publish("t", b"", 1)
            assert (a.client_id, b.client_id) == ("vedette-in", "vedette-out")
            assert (a.generation, b.generation) == (1, 1)

    play(scene())


def test_small_messages_do_not_wait_for_each_other_in_the_socket(broker: Mosquitto) -> None:
    async def scene() -> None:
        async with running(Connection(settings_of(broker))) as connection:
            link = connection._link
            assert link is not None
            sock = link._client.socket()
            assert isinstance(sock, socket.socket)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0

    play(scene())


def test_pauses_are_short_in_a_restart_and_grow_to_five_seconds() -> None:
    pauses = words.Pauses(100.0)
    assert [pauses.next_s(100.0, 0.0, 1.0) for _ in range(4)] == [0.05, 0.1, 0.2, 0.2]
    assert pauses.next_s(109.0, 0.0, 0.0) == 0.1
    assert [pauses.next_s(111.0, 0.0, 1.0) for _ in range(4)] == [1.6, 3.2, 5.0, 5.0]
    assert pauses.next_s(300.0, 60.0, 1.0) == 0.05
    assert words.QUICK_CAP_S < 0.25


def test_two_with_one_name_do_not_throw_each_other_out_all_the_time() -> None:
    pauses, now, since, flips = [words.Pauses(0.0), words.Pauses(0.0)], 0.0, 0.0, 0
    turn = 0
    while now < 120.0:
        began = now
        now += pauses[turn].next_s(now, now - since, 1.0)  # the one that was thrown out comes back and throws
        since, turn, flips = began, 1 - turn, flips + 1
    assert flips < 120


def test_a_hanging_broker_costs_the_patience_once_and_not_for_every_message() -> None:
    async def scene() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        messages = [Outgoing("t", b"", 1) for _ in range(500)]
        errors = await words.windowed(lambda _: loop.create_future(), messages, 10, 0.2)
        assert len(errors) == 500
        assert all(isinstance(error, NotConnected) for error in errors)
        assert loop.time() - began < 5.0

    play(scene())


def test_subscriptions_of_qos_2_are_refused() -> None:
    with pytest.raises(ValueError, match="QoS"):
        Connection(BrokerSettings("x"), [("t", 2)])
