"""What the project ships, loaded once for all tests: zones, rules, and an engine on a simulated scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from adapters import config
from adapters.formats import plots as plots_format
from adapters.formats import readsb
from fusion.engine import Engine, EngineConfig
from fusion.rules import RuleSet
from fusion.schema import Event, Plots, SensorSpec
from fusion.zones import Zones
from replay.scenario import SimSensor
from replay.simulate import Scenario

ROOT = Path(__file__).resolve().parent.parent
START_US = 1_774_000_000_000_000
TICK_US = 100_000


@cache
def configuration() -> config.Config:
    """The shipped configuration."""
    return config.load(ROOT / "config", environ={})


@cache
def zones() -> Zones:
    """The shipped borders, terrain and geoid."""
    return config.load_zones(configuration())


def rules() -> RuleSet:
    """The shipped rules."""
    return configuration().rules


def engine(sensors: Sequence[SensorSpec], epoch: int = 1, picture_us: int = 100_000) -> Engine:
    """An engine with the shipped zones and rules; with a longer `picture_us` it costs less and alerts later."""
    made = EngineConfig(tuple(sensors), rules(), zones(), epoch=epoch, simulated=True, picture_us=picture_us)
    return Engine(made)


def play(
    made: Engine, scenario: Scenario, seconds: float, batches: Sequence[Plots] = ()
) -> Iterator[tuple[int, list[Event]]]:
    """Drive an engine through the first seconds of a scene: (tick time, events) every 100 ms."""
    waiting = iter(batches or scenario.batches())
    batch = next(waiting, None)
    for tick_us in range(scenario.start_us + TICK_US, scenario.start_us + round(seconds * 1e6) + 1, TICK_US):
        while batch is not None and batch.rx_us <= tick_us:
            made.feed(batch)
            batch = next(waiting, None)
        yield tick_us, made.tick(tick_us)


def encode(sensor: SimSensor, batch: Plots) -> bytes:
    """A simulated batch in its sensor's own wire format."""
    return {"plots": plots_format.encode, "readsb": readsb.encode}[sensor.format](batch)
