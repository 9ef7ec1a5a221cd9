"""The one loop: frames in, events out. Live, replay and test differ only in who yields the frames.

A `Core` is an engine with its door and its outbox: everything between the bytes of a tick's frames and the bytes that
follow from them. It knows no clock and no network, so the service runs it on its engine thread, and a test in a loop.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.broker import Outgoing
from adapters.config import Config, load_coverage
from adapters.decode import TICK, Door, Refused
from adapters.running.outbox import Outbox, Turn
from adapters.running.outputs import Digest, Outputs
from adapters.wire import Names
from fusion.engine import Engine, EngineConfig
from fusion.schema import Event, Frame
from fusion.zones import Zones
from replay.log import START

Sink = Callable[[Frame, list[Event]], None]  # the tick, and what followed from it


def engine_of(config: Config, zones: Zones, epoch: int) -> Engine:
    """An engine as configured."""
    return Engine(
        EngineConfig(
            sensors=config.sensors,
            ruleset=config.rules,
            zones=zones,
            tracker=config.tracker,
            protected=config.protected,
            declared=config.declared,
            coverage=load_coverage(config, zones),
            epoch=epoch,
            simulated=config.simulated,
            mode=config.mode,
            picture_us=config.picture_ms * 1000,
        )
    )


def names_of(config: Config, zones: Zones) -> Names:
    """The words that stand for numbers in what this service publishes."""
    return Names(
        config.site, zones.codes, zones.names, tuple(spec.id for spec in config.sensors), config.simulated, config.mode
    )


def run(frames: Iterable[Frame], engine: Engine, door: Door, sink: Sink) -> None:
    """Decode every frame into the engine; at every tick hand the events to `sink`."""
    for frame in frames:
        if frame.source == TICK:
            sink(frame, engine.tick(frame.rx_us))
        elif frame.source != START:
            door.enter(frame)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of work in one tick, by stage."""

    decode_s: float
    fuse_s: float
    encode_s: float


@dataclass(slots=True)
class Seen:
    """What the last tick knew, for the status."""

    tracks: dict[str, int] = field(default_factory=dict)
    sensors: dict[str, int] = field(default_factory=dict)
    alerts: int = 0


class Core:
    """Engine, door and outbox of one service. One caller at a time."""

    def __init__(self, config: Config, zones: Zones, epoch: int, refused: Refused) -> None:
        self.engine = engine_of(config, zones, epoch)
        self.door = Door(self.engine, config.formats, refused, config.partners)
        self.outbox = Outbox(names_of(config, zones), config.full_ms * 1000, config.partners)
        self.outputs = Outputs()

    def snapshot(self) -> dict[str, Any]:
        """All that can change what comes later, between two ticks."""
        digest = self.outputs.digest
        told = (digest.tracks, digest.alerts, digest.incidents)
        return {"engine": self.engine.snapshot(), "outbox": self.outbox.snapshot(), "digest": told}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot` of a core of the same configuration and epoch."""
        self.engine.restore(state["engine"])
        self.outbox.restore(state["outbox"])
        self.outputs = Outputs(Digest(*state["digest"]))

    def enter(self, frames: Sequence[Frame]) -> None:
        """Take frames in ahead of their tick: a recording may hold more between two ticks than the broker hands out."""
        for frame in frames:
            self.door.enter(frame)

    def open_again(self) -> list[Outgoing]:
        """The messages of every open alert, incident and search as it stands."""
        searches = self.engine.afterwards.lost.open()
        return self.outbox.again(self.engine.open_alerts(), self.engine.incidents.open_incidents(), searches)

    def work(self, frames: Sequence[Frame], tick: Frame) -> tuple[list[Event], Turn, Spent]:
        """One tick of the live service: all frames that arrived before it, then the tick."""
        start_s = time.perf_counter()
        events: list[Event] = []
        decoded_s = start_s

        def watched() -> Iterator[Frame]:
            nonlocal decoded_s
            yield from frames
            decoded_s = time.perf_counter()
            yield tick

        run(watched(), self.engine, self.door, lambda _tick, said: events.extend(said))
        fused_s = time.perf_counter()
        turn = self.outbox.turn(events)
        turn.others += self.outbox.refusals(self.door.take_unfit())
        turn.outputs = self.outputs.of(tick.rx_us, events, turn)
        return events, turn, Spent(decoded_s - start_s, fused_s - decoded_s, time.perf_counter() - fused_s)
