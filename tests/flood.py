"""Five times the load for a minute at a real service: are drones told, how late, and how much memory does it take."""

from __future__ import annotations

import asyncio
import json
import math
import multiprocessing
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho

from adapters import feed
from adapters.broker import BrokerSettings, now_us
from adapters.commands import simulate
from adapters.wire import parse_time
from fusion.schema import US_PER_S, Frame
from replay import player, recording
from replay.log import TICK
from replay.motion import Flight, from_points
from replay.scenario import SimObject
from replay.simulate import Scenario
from tests.bench import bench_live
from tests.running import Ear, Mosquitto, Service, ports, write_config

PATIENCE_S = 300.0
DRONES = 16


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a flood: plots a second before and after it, how many times as many in it, and how long all that lasts."""

    plots_per_s: int = 2_000
    factor: int = 5
    warm_s: float = 25.0
    flood_s: float = 60.0
    after_s: float = 25.0
    prepare_s: float = 150.0  # to draw the scene before its first message is due

    @property
    def seconds(self) -> float:
        """From the first message to the last."""
        return self.warm_s + self.flood_s + self.after_s


def scene(shape: Shape, seed: int, start_us: int) -> Scenario:
    """Airliners, many times as many during the flood, and drones that come to Lithuania all the while."""
    full = bench_live.scene(shape.plots_per_s * shape.factor, shape.seconds)
    always = len(full.plan.objects) // shape.factor
    from_s, until_s = shape.warm_s, shape.warm_s + shape.flood_s
    objects = list(full.plan.objects[:always])
    objects += [replace(o, flight=part(o.flight, from_s, until_s)) for o in full.plan.objects[always:]]
    rng = random.Random(seed)
    for n in range(DRONES):
        begins_s = rng.uniform(5.0, shape.warm_s + shape.flood_s - 25.0)
        lat = math.radians(54.25 + 0.05 * n)
        course_s = np.array([begins_s, begins_s + 400.0])
        lons = np.radians([25.95, 25.95 - 400.0 * 50.0 / 65_000.0])
        flight = from_points(course_s, np.full(2, lat), lons, np.full(2, rng.uniform(350.0, 600.0)))
        objects.append(SimObject(f"drone{n}", flight, 0.5))
    return Scenario(replace(full.plan, objects=tuple(objects), start_us=start_us), boot=start_us // US_PER_S)


def part(flight: Flight, from_s: float, until_s: float) -> Flight:
    """The same flight, only between these times."""
    t_s = np.array([from_s, until_s])
    return Flight(t_s, np.column_stack([np.interp(t_s, flight.t_s, flight.xyz_m[:, axis]) for axis in range(3)]))


def send(port: int, shape: Shape, seed: int, start_us: int) -> None:
    """Draw all messages, then send each when it is due; in a process of its own."""
    made = scene(shape, seed, start_us)
    frames = list(takewhile(lambda f: f.rx_us <= made.end_us, made.frames(simulate.encode, ticks=False)))
    assert now_us() < start_us, f"the scene took {(now_us() - start_us) / 1e6:.0f} s longer to draw than there was time"
    asyncio.run(_send(port, frames))


async def _send(port: int, frames: Sequence[Frame]) -> None:
    settings = BrokerSettings("127.0.0.1", port, client_id="flood")
    async with feed.connected(settings, "flood") as connection:
        sender = feed.Sender(connection, "test", recorded=False)
        await feed.play(sender, player.pace(frames, 1.0, start_us=now_us()), lambda frame, sent: None)


class Stamped(Ear):
    """An ear that notes when it heard."""

    def __init__(self, port: int, *topics: str) -> None:
        self.heard_us: list[tuple[int, bytes]] = []
        super().__init__(port, *topics)

    def _on_message(self, client: object, userdata: object, message: paho.MQTTMessage) -> None:
        self.heard_us.append((now_us(), bytes(message.payload)))
        super()._on_message(client, userdata, message)


@dataclass(frozen=True, slots=True)
class Flooded:
    """What came of it."""

    plots_per_s: float  # fused and left out, in the flood
    drones_told: int
    alert_s: tuple[float, ...]  # of each alert: from the tick before the one that raised it until somebody heard it
    memory_mb: float  # the most that the service had resident
    shed: float
    unaccounted: float
    level: int  # the highest
    normal_s: float  # after the flood until nothing is left out; infinite: not while we looked


def flood(folder: Path, seed: int, shape: Shape | None = None) -> Flooded:
    """One flood, from the start of its broker to the end of its service."""
    shape = shape or Shape()
    start_us = now_us() + round(shape.prepare_s * US_PER_S)
    http_port, _ = ports()
    few = scene(replace(shape, factor=1), seed, start_us)
    with Mosquitto(folder / "broker") as broker:
        formats = simulate.formats(few)
        config = write_config(folder / "config", broker.port, few.sensors, formats, http_port)
        sender = multiprocessing.Process(target=send, args=(broker.port, shape, seed, start_us))
        sender.start()
        with Service(config, http_port) as service, Stamped(broker.port, "alert-log", "status") as ear:
            _until(start_us, shape.warm_s + 2.0)
            begun = _taken(service)
            _until(start_us, shape.warm_s + shape.flood_s)
            rate = (_taken(service) - begun) / (shape.flood_s - 2.0)
            sender.join(shape.after_s + PATIENCE_S)
            assert sender.exitcode == 0, "the scene was not sent"
            memory_mb = service.peak_bytes() / 2**20
            shed = sum(service.metrics("vedette_items_shed_total").values())
            unaccounted = service.metric("vedette_items_unaccounted")
            assert service.stop() == 0
            said = [(us, json.loads(payload)) for us, payload in ear.heard_us if payload]
    statuses = [(us, told["load_level"]) for us, told in said if "load_level" in told]
    raised = [(us, told) for us, told in said if told.get("state") == "raised" and "track" in told]
    over_us = start_us + round((shape.warm_s + shape.flood_s) * US_PER_S)
    files = sorted((config / "var" / "recordings").glob("*.mcap"))
    return Flooded(
        plots_per_s=rate,
        drones_told=len({told["track"] for _, told in raised}),
        alert_s=_late(raised, files),
        memory_mb=memory_mb,
        shed=shed,
        unaccounted=unaccounted,
        level=max(level for _, level in statuses),
        normal_s=_normal(statuses, over_us),
    )


def _until(start_us: int, after_s: float) -> None:
    time.sleep(max(0.0, (start_us - now_us()) / US_PER_S + after_s))


def _taken(service: Service) -> float:
    return service.metric("vedette_items_used_total") + sum(service.metrics("vedette_items_shed_total").values())


def _normal(statuses: Sequence[tuple[int, int]], over_us: int) -> float:
    """Seconds after `over_us` from which on no status tells of a load."""
    loaded = [us for us, level in statuses if level]
    if not loaded or loaded[-1] < over_us:
        return 0.0
    after = [us for us, level in statuses if us > loaded[-1]]
    return (after[0] - over_us) / US_PER_S if after else math.inf


def _late(raised: Sequence[tuple[int, dict[str, str]]], files: Sequence[Path]) -> tuple[float, ...]:
    """An alert may rest on a plot that came right after the tick before its own, so it is counted from there."""
    items = (item for file in files for item in recording.items(file))
    ticks = np.array([item.rx_us for item in items if isinstance(item, Frame) and item.source == TICK])
    found = []
    for heard_us, told in raised:
        own = int(np.searchsorted(ticks, parse_time(told["raised_time"])))
        found.append((heard_us - int(ticks[max(own - 1, 0)])) / US_PER_S)
    return tuple(found)
