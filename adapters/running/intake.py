"""What comes in between two ticks, as frames: by our own clock, or by the clock of a replay.

Nothing is lost on the way: every message becomes a frame of a tick, or is refused by reason; both are acknowledged, the
frames after their tick.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace

import structlog

from adapters.broker import Incoming, now_us
from adapters.envelope import ORDERS, enveloped, feed_of
from adapters.feed import ANOTHER_REPLAY_US, CLOCK_TOPIC, REPLAYED
from adapters.formats import clock, load
from adapters.mqtt import Connection
from adapters.running.overload import LoadMeter
from adapters.running.wallclock import WallClock
from fusion.engine import Engine
from fusion.schema import US_PER_S, Frame, Invalid
from fusion.thinning import Load

TICK_US = 100_000
EARLY = 500  # messages of a replay before its tick that are taken in at once: half of what the broker hands out
_log = structlog.get_logger("vedette.intake")


@dataclass(slots=True)
class Arrived:
    """The messages before one tick. `tick_us` -1: no tick yet, take them in; `anew`: another replay has begun."""

    tick_us: int = -1
    frames: list[Frame] = field(default_factory=list)
    taken: list[tuple[Connection, Incoming]] = field(default_factory=list)
    anew: bool = False
    busy_s: float = 0.0  # what its tick cost, told by whoever worked on it

    def acknowledge(self) -> None:
        """Tell the broker that all of it was worked on."""
        for link, incoming in self.taken:
            link.ack(incoming)


class Intake:
    """Turns messages into frames, to be numbered when they are recorded.

    `inputs` carries sensors and the replay's clock, `commands` the operators' orders; `engine` is that of now; `clock`
    is also what stamped the messages.
    """

    def __init__(
        self,
        base: str,
        inputs: Connection,
        commands: Connection,
        refuse: Callable[[Frame, str, str], None],
        engine: Callable[[], Engine],
        clock: WallClock,
    ) -> None:
        self._base, self._inputs, self._commands, self._refuse = base, inputs, commands, refuse
        self._engine = engine
        self._clock = clock

    async def by_clock(self) -> AsyncIterator[Arrived]:
        """What arrived, every 100 ms of our own clock; a tick that was missed is not made up for.

        Raises:
            adapters.running.wallclock.ClockSteppedBack: the machine's clock was set back too far.
        """
        meter = LoadMeter()
        while True:
            await asyncio.sleep((TICK_US - now_us() % TICK_US) / US_PER_S)
            arrived = Arrived()
            for incoming in _drain(self._inputs):
                self._take_live(incoming, arrived)
            self._take_commands(arrived)
            arrived.tick_us = self._clock.at(now_us(), time.monotonic_ns() // 1000)
            if meter.level != self._engine().thinning.level:
                asked = Load(arrived.tick_us, meter.level)
                arrived.frames.append(Frame(0, arrived.tick_us, load.SOURCE, load.encode(asked, meter.busy_s)))
            used, shed = self._used_and_shed()
            yield arrived
            now_used, now_shed = self._used_and_shed()
            meter.turned(arrived.busy_s, now_used - used, now_shed - shed)

    async def by_feed(self) -> AsyncIterator[Arrived]:
        """What the replay sent before each of its ticks."""
        newest_us = -1
        arrived = Arrived()
        while True:
            incoming = await self._inputs.inbox.get()
            if incoming.topic != self._base + CLOCK_TOPIC:
                self._take_replayed(incoming, arrived)
                if len(arrived.taken) >= EARLY:
                    yield arrived
                    arrived = Arrived()
                continue
            arrived.taken.append((self._inputs, incoming))
            try:
                tick_us = clock.decode(incoming.payload)
            except Invalid as fault:
                self._refuse(self._frame(incoming, now_us()), fault.reason, fault.detail)
                continue
            self._take_commands(arrived)
            arrived.anew = tick_us < newest_us - ANOTHER_REPLAY_US
            newest_us = tick_us if arrived.anew else max(tick_us, newest_us)
            arrived.tick_us = newest_us
            yield arrived
            arrived = Arrived()

    def _used_and_shed(self) -> tuple[int, int]:
        counters = self._engine().counters
        return counters.used, sum(counters.shed.values())

    def _take_live(self, incoming: Incoming, arrived: Arrived) -> None:
        arrived.taken.append((self._inputs, incoming))
        if incoming.topic == self._base + CLOCK_TOPIC or _is_recorded(incoming):
            self._refuse(self._frame(incoming, incoming.rx_us), "bad-time", "replayed input under --clock live")
        else:
            arrived.frames.append(self._answerable(incoming, incoming.rx_us))

    def _take_replayed(self, incoming: Incoming, arrived: Arrived) -> None:
        try:
            rx_us, _ = feed_of(incoming.user)
        except Invalid as fault:
            detail = fault.detail if _is_recorded(incoming) else "a live sensor under --clock feed"
            self._refuse(self._frame(incoming, now_us()), fault.reason, detail)
            self._inputs.ack(incoming)  # at once: it must not take the place of what the tick waits for
        else:
            arrived.taken.append((self._inputs, incoming))
            arrived.frames.append(self._answerable(incoming, rx_us))

    def _take_commands(self, arrived: Arrived) -> None:
        for incoming in _drain(self._commands):
            arrived.taken.append((self._commands, incoming))
            frame = self._frame(incoming, incoming.rx_us)
            if incoming.retain:
                # An order is for now: one that the broker kept would be carried out again at every reconnect.
                self._refuse(frame, "bad-time", "a retained command")
            else:
                arrived.frames.append(enveloped(frame, incoming.user, incoming.response_topic, incoming.correlation))

    def _answerable(self, incoming: Incoming, rx_us: int) -> Frame:
        """A frame; a person's report keeps with it where the person wants to hear what became of it.

        What a person asked for in a recording comes among its inputs, so that it keeps its place among them.
        """
        frame = self._frame(incoming, rx_us)
        order = frame.source.removeprefix(REPLAYED)
        if frame.source == REPLAYED + load.SOURCE:
            return replace(frame, source=load.SOURCE)
        if order != frame.source and order.startswith(ORDERS):
            frame = replace(frame, source=order)
            return enveloped(frame, incoming.user, incoming.response_topic, incoming.correlation)
        if incoming.response_topic and frame.source.endswith("/sighting"):
            return enveloped(frame, incoming.user, incoming.response_topic, incoming.correlation)
        return frame

    def _frame(self, incoming: Incoming, rx_us: int) -> Frame:
        return Frame(0, rx_us, incoming.topic.removeprefix(self._base), incoming.payload)


def _is_recorded(incoming: Incoming) -> bool:
    return any(key == "rx_us" for key, _ in incoming.user)


def _drain(link: Connection) -> list[Incoming]:
    return [link.inbox.get_nowait() for _ in range(link.inbox.qsize())]
