"""Places in a running service at which a test makes it die, and ways in which its disk and its clock go wrong.

Nothing of this is in the product: functions are replaced in the process that the test starts. A datagram to the socket
arms a place or sets a value: `{"die": "journalled"}`, `{"sync_s": 0.5}`, `{"clock_s": -1.0}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

PLACES = (
    "batch", "recorded", "unjournalled", "journalled", "posted", "published", "half-acknowledged", "half-checkpoint",
    "checkpoint",
)  # fmt: skip


class Told:
    """What the test wants."""

    def __init__(self) -> None:
        self.die = ""  # at which place
        self.sync_s = 0.0  # every sync of the disk takes this much longer
        self.clock_s = 0.0  # the machine's clock is set this much ahead

    def at(self, place: str) -> None:
        """Die as with kill -9, if this is the place."""
        if self.die == place:
            os.kill(os.getpid(), signal.SIGKILL)


def install(path: Path) -> None:
    """Replace what is to go wrong, and listen."""
    told = Told()
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))

    def listen() -> None:
        while True:
            for name, value in json.loads(listener.recv(4_096)).items():
                assert hasattr(told, name), name
                setattr(told, name, value)

    threading.Thread(target=listen, name="hooks", daemon=True).start()
    _clock(told)
    _disk(told)
    _ways(told)


def _clock(told: Told) -> None:
    real = time.time_ns
    time.time_ns = lambda: real() + round(told.clock_s * 1e9)


def _disk(told: Told) -> None:
    for name in ("fsync", "fdatasync"):
        real: Callable[[int], None] = getattr(os, name)

        def slow(fd: int, real: Callable[[int], None] = real) -> None:
            if told.sync_s:
                time.sleep(told.sync_s)
            real(fd)

        setattr(os, name, slow)


def _ways(told: Told) -> None:
    from adapters.broker import Outgoing
    from adapters.decode import Door
    from adapters.link import Link
    from adapters.running.alertline import AlertLine
    from adapters.running.intake import Arrived
    from adapters.running.recorder import Recorder
    from adapters.store import AlertJournal

    starting: Any = import_module("adapters.running.starting")
    _around(AlertJournal, "append", told, "unjournalled", "journalled")
    _around(Recorder, "write", told, "", "recorded")
    _around(Door, "enter", told, "", "batch")
    _around(starting, "save", told, "", "checkpoint")
    post, send = Link.post, AlertLine.send

    def posting(self: Link, message: Outgoing) -> asyncio.Future[None]:
        done = post(self, message)
        if "/alert" in message.topic:
            told.at("posted")
        return done

    async def sending(self: AlertLine, messages: Sequence[Outgoing]) -> None:
        await send(self, messages)
        if messages:
            told.at("published")

    def acknowledge(self: Arrived) -> None:
        for n, (link, incoming) in enumerate(self.taken):
            if n:
                told.at("half-acknowledged")
            link.ack(incoming)

    saved = starting.save

    def saving(path: Path, data: bytes) -> None:
        if told.die == "half-checkpoint":
            path.with_name(path.name + ".new").write_bytes(data[: len(data) // 2])
            told.at("half-checkpoint")
        saved(path, data)

    replaced: dict[tuple[Any, str], Callable[..., Any] | Callable[..., Awaitable[Any]]] = {
        (Link, "post"): posting,
        (AlertLine, "send"): sending,
        (Arrived, "acknowledge"): acknowledge,
        (starting, "save"): saving,
    }
    for (owner, name), ours in replaced.items():
        setattr(owner, name, ours)


def _around(owner: Any, name: str, told: Told, before: str, after: str) -> None:
    real = getattr(owner, name)

    def ours(*arguments: Any) -> Any:
        if before:
            told.at(before)
        result = real(*arguments)
        told.at(after)
        return result

    setattr(owner, name, ours)
