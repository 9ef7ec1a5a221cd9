"""What every `vedette out` shares: a listener of its own beside the service, and what it says of itself.

It connects under a client id of its own, keeps nothing at the broker while it is away, and holds the present picture
(`adapters/outlets/held.py`). An outlet is told that something changed and asks what, in its own time, so that a slow or
dead client delays nobody.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from adapters import log
from adapters.broker import BrokerSettings, now_us
from adapters.mqtt import Connection
from adapters.outlets.held import Held

SAY_EVERY_S = 10.0
LOOK_EVERY_S = 1.0
# Acknowledged by the hundred: a backlog of retained messages must not keep an outlet from its clients.
MOST_AT_ONCE = 200
# The status first: it says whether all the rest is played.
_TOPICS = (("status", 1), ("track/+", 0), ("picture-delta", 0), ("alert/+", 1), ("sensor/+/health", 0))


class Bell:
    """Wakes all who wait, and nobody who comes later."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Wake them."""
        rung, self._event = self._event, asyncio.Event()
        rung.set()

    async def wait(self) -> None:
        """Until the next ring."""
        await self._event.wait()


class Listener:
    """A connection and the picture that it brings. `await run()` in a task of its own, until cancelled."""

    def __init__(self, settings: BrokerSettings, site: str, name: str) -> None:
        own = replace(
            settings, client_id=f"{settings.client_id}-{name}-{os.getpid()}", session_expiry_s=0, clean_start=True
        )
        topics = [(f"vedette/v1/{site}/{topic}", qos) for topic, qos in _TOPICS]
        self.site = site
        self.held = Held(site)
        self.connection = Connection(own, topics, on_change=self._changed)
        self._any, self._alerts = Bell(), Bell()
        self._numbers = (0, 0)

    async def run(self) -> None:
        """Listen, for ever; a lost connection comes back by itself."""
        runner = asyncio.create_task(self.connection.run(), name="outlet-connection")
        looking = asyncio.create_task(self._look(), name="outlet-expiry")
        reading = asyncio.create_task(self._read(), name="outlet-reading")
        try:
            done, _ = await asyncio.wait({runner, looking, reading}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # none of them ends by itself: this is its error
        finally:
            for task in (runner, looking, reading):
                task.cancel()
            await asyncio.gather(runner, looking, reading, return_exceptions=True)

    async def changed(self, number: int) -> None:
        """Until tracks, health or status changed after that number of `held`."""
        while self.held.number <= number:
            await self._any.wait()

    async def alerted(self, number: int) -> None:
        """Until an alert changed after that number of `held`."""
        while self.held.alert_number <= number:
            await self._alerts.wait()

    def words(self) -> str:
        """One line for people."""
        if not self.connection.connected:
            where = f"{self.connection.settings.host}:{self.connection.settings.port}"
            return f"no connection to {where}: {self.connection.problem}; {self.held.words()}"
        dropped = self.connection.traffic.overflow
        return self.held.words() + (f"; {dropped} messages dropped, too many at once" if dropped else "")

    def _changed(self, connected: bool, _why: str) -> None:
        if connected:
            self.held.connected(now_us())

    async def _read(self) -> None:
        inbox = self.connection.inbox
        while True:
            batch = [await inbox.get()]
            while not inbox.empty() and len(batch) < MOST_AT_ONCE:
                batch.append(inbox.get_nowait())
            for incoming in batch:
                self.held.take(incoming.topic, incoming.payload, incoming.retain, incoming.rx_us)
                self.connection.ack(incoming)
            self.ring()
            await asyncio.sleep(0)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.held.expire(now_us())
            self.ring()

    def ring(self) -> None:
        """Tell who waits that something changed, where it has."""
        any_number, alert_number = self._numbers
        self._numbers = (self.held.number, self.held.alert_number)
        if self.held.number != any_number:
            self._any.ring()
        if self.held.alert_number != alert_number:
            self._alerts.ring()


Serve = Callable[[Listener], Awaitable[None]]


class Outlet(Protocol):
    """What speaks one format."""

    async def serve(self, listener: Listener) -> None:
        """Until cancelled; raises what it cannot do."""

    def words(self) -> str:
        """One line for people."""
        ...


async def attend(listener: Listener, serve: Serve, words: Callable[[], str]) -> None:
    """Listen and serve until cancelled, with a word about both every ten seconds.

    Raises:
        Whatever `serve` raises: an outlet that has failed ends, it does not go on half.
    """
    tasks = [
        asyncio.create_task(listener.run(), name="listener"),
        asyncio.ensure_future(serve(listener)),
        asyncio.create_task(_talk(listener, words), name="talk"),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _talk(listener: Listener, words: Callable[[], str]) -> None:
    logger = log.get("out")
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        say = logger.info if listener.connection.connected else logger.warning
        say("passed on", out=words(), held=listener.words())
