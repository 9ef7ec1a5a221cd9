"""Two sensors in a thread, as adapters are written: numbered messages, kept and sent again until they are fused."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from adapters import feed
from adapters.broker import BrokerSettings
from adapters.resend import ResendParams, Unfused
from fusion.schema import US_PER_S, Frame
from tests.chaos import sky
from tests.running import SITE

LATENCY_US = 100_000
QUARTER_US = sky.STEP_US // len(sky.SENSORS)


class Sensors:
    """They say what `flights` holds, twice a second each, from `with` to `stop`."""

    def __init__(self, port: int) -> None:
        self.flights: list[sky.Flight] = []
        self.sent: list[Frame] = []  # each message once, when it was to leave
        self.items = 0  # plots, and messages without any
        self.clock_us = 0  # sensor B's clock is so much ahead
        self.wrong = 0  # plots told with a wrong clock
        self.unfused = Unfused(ResendParams(patience_s=1.5, most_pause_s=4.0))
        self._settings = BrokerSettings("127.0.0.1", port, client_id="sensors")
        self._stop = threading.Event()
        self._quiet = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="sensors")
        self._seq = dict.fromkeys(sky.SENSORS, -1)
        self.problem: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    def be_quiet(self) -> None:
        """Say nothing new, and go on sending again what is not fused."""
        self._quiet.set()

    @property
    def last(self) -> dict[str, int]:
        """Number of the newest message of each."""
        return dict(self._seq)

    async def _run(self) -> None:
        try:
            marks = [(f"vedette/v1/{SITE}/in/{name}/watermark", 1) for name in sky.SENSORS]
            async with feed.connected(self._settings, "chaos", marks) as link:
                sender = feed.Sender(link, SITE, recorded=False, unfused=self.unfused)
                async with sender.watched():
                    await self._say(sender)
        except BaseException as error:
            self.problem = error
            raise

    async def _say(self, sender: feed.Sender) -> None:
        turn = time.time_ns() // 1000 // QUARTER_US + 1
        while not self._quiet.is_set() and not self._stop.is_set():
            t_us = turn * QUARTER_US
            await asyncio.sleep(max(0.0, (t_us + LATENCY_US) / US_PER_S - time.time()))
            if self._quiet.is_set():
                break
            name = sky.SENSORS[turn % len(sky.SENSORS)]
            self._seq[name] += 1
            wrong_us = self.clock_us if name == "B" else 0
            payload, count = sky.message(self.flights, name, t_us, self._seq[name], wrong_us)
            frame = Frame(0, t_us + LATENCY_US, f"in/{name}/plots", payload)
            self.items += max(1, count)
            if wrong_us:
                self.wrong += count
            else:
                self.sent.append(frame)
            while True:
                with suppress(feed.NoBroker):
                    await sender.send([frame])
                    break
            turn += 1
        while not self._stop.is_set():
            await asyncio.sleep(0.05)
