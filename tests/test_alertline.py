"""Alerts leave in order: what waited first, then open alerts as they stand, then what is new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from adapters.broker import BrokerSettings, NotConnected, Outgoing, PublishDenied, PublishError
from adapters.running import alertline
from adapters.running.alertline import AlertLine


class Wire:
    """Stands in for the connection: takes messages while it is up, and may break after so many."""

    def __init__(self) -> None:
        self.up = True
        self.breaks_after = 10**9
        self.took: list[bytes] = []

    async def publish_many(self, messages: Iterable[Outgoing]) -> list[PublishError | None]:
        """Each message's error, as the connection says it."""
        found: list[PublishError | None] = []
        for message in messages:
            await asyncio.sleep(0)
            if message.payload == b"denied":
                found.append(PublishDenied("not authorised"))
            elif not self.up or self.breaks_after <= 0:
                found.append(NotConnected("gone"))
            else:
                self.breaks_after -= 1
                self.took.append(message.payload)
                found.append(None)
        return found


class Stand:
    """A line on such a wire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wire = Wire()
        self.denied: list[bytes] = []
        self.open: list[Outgoing] = []
        monkeypatch.setattr(alertline, "Connection", lambda *_, **__: self.wire)
        self.line = AlertLine(BrokerSettings("x"), self._again, self._deny, lambda up, why: None)

    async def _again(self) -> list[Outgoing]:
        await asyncio.sleep(0)
        return list(self.open)

    def _deny(self, message: Outgoing, _why: PublishDenied) -> None:
        self.denied.append(message.payload)

    async def born(self) -> None:
        """The connection came back."""
        await self.line._born(self.line.link)


def messages(*payloads: str) -> list[Outgoing]:
    return [Outgoing("t", payload.encode(), qos=1) for payload in payloads]


def test_what_found_no_connection_goes_first_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        stand.wire.up = False
        await stand.line.send(messages("raised", "updated"))
        await stand.line.send(messages("closed", ""))
        stand.wire.up = True
        stand.open = messages("other, open")
        await stand.born()
        await stand.line.send(messages("new"))

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.wire.took == [b"raised", b"updated", b"closed", b"", b"other, open", b"new"]


def test_a_line_that_breaks_in_the_middle_keeps_the_rest_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        stand.wire.breaks_after = 2
        await stand.line.send(messages("1", "2", "3", "4"))
        stand.wire.breaks_after = 10**9
        await stand.line.send(messages("5"))

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.wire.took == [b"1", b"2", b"3", b"4", b"5"]


def test_a_birth_and_a_tick_at_once_never_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        stand.wire.up = False
        await stand.line.send(messages(*(f"old {i}" for i in range(3))))
        stand.wire.up = True
        stand.open = messages("raised")
        await asyncio.gather(stand.born(), stand.line.send(messages("closed", "")))

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.wire.took == [b"old 0", b"old 1", b"old 2", b"raised", b"closed", b""]


def test_a_refused_message_is_told_and_not_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene(stand: Stand) -> None:
        await stand.line.send(messages("a", "denied", "b"))
        await stand.line.send(messages("c"))

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.denied == [b"denied"]
    assert stand.wire.took == [b"a", b"b", b"c"]


def test_what_is_kept_is_bounded_and_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertline, "KEPT_MAX", 3)

    async def scene(stand: Stand) -> None:
        stand.wire.up = False
        await stand.line.send(messages("1", "2", "3", "4", "5"))
        stand.wire.up = True
        await stand.line.send([])

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.wire.took == [b"3", b"4", b"5"]


def test_what_was_taken_off_the_broker_is_taken_off_again_after_a_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker killed with SIGKILL comes back with what it had saved: an alert that has ended since."""
    monkeypatch.setattr(alertline, "CLEARED_MAX", 2)

    def kept(topic: str, payload: bytes) -> Outgoing:
        return Outgoing(topic, payload, qos=1, retain=True)

    async def scene(stand: Stand) -> None:
        for name in ("a", "b", "c", "d"):
            await stand.line.send([kept(name, b"raised"), kept(name, b"")])
        await stand.line.send([kept("d", b"raised again")])
        stand.wire.took.clear()
        stand.open = [kept("d", b"d, open")]
        await stand.born()

    stand = Stand(monkeypatch)
    asyncio.run(scene(stand))
    assert stand.wire.took == [b"", b"d, open"]  # c; of the four, b and a are forgotten
