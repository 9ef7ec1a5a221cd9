"""What tests on a real broker share: a connection that runs, waiting with a limit, a scene in the loop we run in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop

from adapters.broker import BrokerSettings, Incoming
from adapters.mqtt import Connection
from tests.mosquitto import Mosquitto

PATIENCE_S = 15.0


def settings_of(broker: Mosquitto, client_id: str = "vedette") -> BrokerSettings:
    """Settings for a broker of a test: patient, since the machine may be busy."""
    return BrokerSettings("127.0.0.1", broker.port, client_id=client_id, timeout_s=5.0, publish_timeout_s=10.0)


@asynccontextmanager
async def running(connection: Connection) -> AsyncIterator[Connection]:
    """A connection that runs, connected."""
    task = asyncio.create_task(connection.run())
    try:
        await asyncio.wait_for(connection.wait_connected(), PATIENCE_S)
        yield connection
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def take(connection: Connection, count: int) -> list[Incoming]:
    """The next messages of the inbox."""
    return [await asyncio.wait_for(connection.inbox.get(), PATIENCE_S) for _ in range(count)]


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def silence(connection: Connection, seconds: float = 0.4) -> None:
    """Fail when anything arrives."""
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.inbox.get(), seconds)


def play(scene: Awaitable[None]) -> None:
    """Run a scene, with a limit."""

    async def bounded() -> None:
        await asyncio.wait_for(scene, 60.0)

    uvloop.run(bounded())
