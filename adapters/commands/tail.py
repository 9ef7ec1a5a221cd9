"""`vedette tail`: what the service publishes, one JSON object a line on standard output, to read or to pipe on."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from dataclasses import replace
from typing import TextIO, TypeVar

import msgspec

from adapters import log
from adapters.broker import BrokerSettings, Incoming
from adapters.mqtt import Connection

SUBJECTS = ("tracks", "alerts", "status")
T = TypeVar("T")
CONNECT_PATIENCE_S = 5.0  # after which a person wants to hear that nothing answers


def topics(site: str, what: str) -> tuple[tuple[str, int], ...]:
    """Topic filters and QoS of one subject. Raises KeyError for an unknown one."""
    base = f"vedette/v1/{site}"
    return {
        "tracks": ((f"{base}/track/+", 0),),
        "alerts": ((f"{base}/alert/+", 1),),
        "status": (
            (f"{base}/status", 1),
            (f"{base}/sensor/+/health", 0),
            (f"{base}/interference/+", 1),
            (f"{base}/area/+", 1),
        ),
    }[what]


def line(topic: str, payload: bytes) -> str:
    """One message as one line of JSON. An empty payload, which ends a retained topic, becomes a line of its own.

    Raises:
        ValueError: the payload is not JSON.
    """
    if not payload:
        gone = {"schema": "vedette.gone.v1", "topic": topic, "id": topic.rsplit("/", 1)[-1]}
        return msgspec.json.encode(gone).decode()
    try:
        msgspec.json.decode(payload)  # format() alone lets some broken text through
        return msgspec.json.format(payload, indent=-1).decode("utf-8")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not JSON: {error}") from error


async def follow(
    site: str,
    broker: BrokerSettings,
    what: str,
    out: TextIO,
    count: int | None = None,
    seconds: float | None = None,
) -> int:
    """Write until `count` lines are out, `seconds` have passed, or the reader has gone; None: no such end.

    Returns:
        0, or 1 when the broker never answered within `seconds`.
    """
    logger = log.get("tail")
    # A listener of its own beside the service: another client id, and nothing kept for it while it is away.
    own_id = f"{broker.client_id}-tail-{os.getpid()}"
    settings = replace(broker, client_id=own_id, session_expiry_s=0, clean_start=True)
    filters = topics(site, what)
    connection = Connection(settings, filters)
    runner = asyncio.create_task(connection.run(), name="tail-connection")
    patience = asyncio.create_task(_say_when_slow(connection, broker), name="tail-patience")
    written, connected = 0, False
    try:
        async with asyncio.timeout(seconds):
            await _first(connection.wait_connected(), runner)
            connected = True
            logger.info("listening", subject=what, topics=[name for name, _ in filters])
            while count is None or written < count:
                batch = [await _first(connection.inbox.get(), runner)]
                while not connection.inbox.empty():
                    batch.append(connection.inbox.get_nowait())
                for incoming in batch[: None if count is None else count - written]:
                    written += _write(incoming, out)
                out.flush()
                for incoming in batch:
                    connection.ack(incoming)
    except TimeoutError:
        if not connected:
            logger.error("no connection", host=broker.host, port=broker.port, problem=connection.problem)
    except BrokenPipeError:
        pass  # `vedette tail tracks | head` has seen enough
    finally:
        for task in (runner, patience):
            task.cancel()
        await asyncio.gather(runner, patience, return_exceptions=True)
    return 0 if connected else 1


def listen(
    site: str, broker: BrokerSettings, what: str, out: TextIO, count: int | None = None, seconds: float | None = None
) -> int:
    """`follow` as a program: SIGINT and SIGTERM end it, and that is a good end."""

    async def main() -> int:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        try:
            return await follow(site, broker, what, out, count, seconds)
        except asyncio.CancelledError:
            return 0

    return asyncio.run(main())


def _write(incoming: Incoming, out: TextIO) -> int:
    try:
        text = line(incoming.topic, incoming.payload)
    except ValueError as error:
        log.get("tail").warning("left out a message", topic=incoming.topic, reason=str(error))
        return 0
    out.write(text + "\n")
    return 1


async def _first(awaited: Coroutine[None, None, T], runner: asyncio.Task[None]) -> T:
    """The result of `awaited`, unless the connection gives up for good before; then its error."""
    task = asyncio.ensure_future(awaited)
    try:
        await asyncio.wait({task, runner}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        runner.result()
        raise ConnectionError("the connection to the broker ended")
    finally:
        task.cancel()


async def _say_when_slow(connection: Connection, broker: BrokerSettings) -> None:
    await asyncio.sleep(CONNECT_PATIENCE_S)
    if not connection.connected:
        problem = connection.problem
        log.get("tail").warning("no connection yet, still trying", host=broker.host, port=broker.port, problem=problem)
