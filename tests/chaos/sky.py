"""The sky of the chaos: objects low inside the border, each of which must raise one alert, and others that must not.

Everything about a flight follows from its number, so any run of the same flights is a run of the same feed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from adapters import config as configuration
from adapters.config import Config, load_zones
from adapters.formats import plots
from adapters.service import Core
from fusion import geo
from fusion.schema import US_PER_S, Alert, AlertChanged, Frame, PlotKind, SensorKind, SensorSpec, fill
from replay.log import TICK
from tests.running import write_config

STEP_US = US_PER_S // 2  # between two messages of a sensor
TICK_US = US_PER_S // 10
GONE_US = 5 * US_PER_S  # after the last message: what was to be raised is raised
SENSORS = ("A", "B")  # B measures a quarter second after A
SPECS = tuple(
    SensorSpec(name, n, SensorKind.TRACK, period_s=0.5, sigma_position_m=30.0, clutter_per_scan=0.1, latency_s=0.2)
    for n, name in enumerate(SENSORS)
)
RULE = """
[[rule]]
id = "low-inside"
version = 1
severity = 1
title = "Low inside the border"
when = ["low", "probability_inside >= 0.5", "existence >= 0.9", "plots >= 3"]
keep = ["existence >= 0.5"]
dwell_s = 0.5
hold_s = 3.0
recipients = ["watch"]

[[rule.test]]
name = "low"
given = { height_above_ground = "150 m +- 30", distance = "-40 km", existence = 0.999, plots = 6 }
expect = true

[[rule.test]]
name = "high"
given = { height_above_ground = "4000 m +- 30", distance = "-40 km", existence = 0.999, plots = 6 }
expect = false
"""


@dataclass(frozen=True, slots=True)
class Flight:
    """One object on a straight way. `low`: it must raise an alert."""

    number: int
    low: bool
    from_us: int
    until_us: int = 2**62

    def at(self, t_us: int) -> tuple[float, float]:
        """Where it is, radians: ways 25 km apart, in the middle of Poland."""
        n = self.number % 120
        lat, lon = math.radians(51.2 + 0.23 * (n // 12)), math.radians(17.5 + 0.38 * (n % 12))
        course = random.Random(self.number).uniform(0.0, math.tau)
        there = geo.direct_1(lat, lon, course, 45.0 * (t_us - self.from_us) / US_PER_S)
        return there[0], there[1]

    @property
    def height_m(self) -> float:
        """Above the ellipsoid; the ground there lies at 100 to 300 m."""
        return 450.0 if self.low else 6_000.0


def message(flights: Sequence[Flight], sensor: str, t_us: int, seq: int, clock_us: int = 0) -> tuple[bytes, int]:
    """(what `sensor` says of the time `t_us`, how many plots that is); its clock is `clock_us` ahead."""
    seen = [flight for flight in flights if flight.from_us <= t_us < flight.until_us]
    luck = random.Random(f"{sensor} {t_us}")
    places = np.array([flight.at(t_us) for flight in seen]).reshape(-1, 2)
    places += np.array([luck.gauss(0.0, 20.0 / 6.37e6) for _ in range(places.size)]).reshape(-1, 2)
    sigma = np.full(len(seen), 30.0)
    batch = fill(
        sensor, PlotKind.POSITION, t_us, np.full(len(seen), t_us + clock_us), 1, seq,
        lat_rad=places[:, 0], lon_rad=places[:, 1], height_m=np.array([f.height_m for f in seen], np.float64),
        sigma_position_m=sigma, sigma_height_m=sigma,
    )  # fmt: skip
    return plots.encode(batch), len(seen)


def write(folder: Path, port: int, http_port: int, more: str = "") -> Path:
    """A configuration for this sky: coarse borders, which load quickly, and one rule, which is soon true."""
    config = write_config(folder, port, SPECS, dict.fromkeys(SENSORS, "plots"), http_port, more)
    rules = (config / "rules.toml").read_text(encoding="utf-8")
    (config / "rules.toml").write_text(rules[: rules.index("[[rule]]")] + RULE, encoding="utf-8")
    service = (config / "service.toml").read_text(encoding="utf-8")
    service = service.replace("zones/osm", "zones/naturalearth").replace("accuracy_m = 25.0", "accuracy_m = 3000.0")
    (config / "service.toml").write_text(service, encoding="utf-8")
    return config


def loaded(config: Path) -> Config:
    """The configuration that `write` wrote."""
    return configuration.load(config, environ={})


def undisturbed(config: Config, sent: Sequence[Frame]) -> list[Alert]:
    """Every alert transition of the same feed where nothing goes wrong: each message is there in the next tick."""
    core = Core(config, load_zones(config), 1, lambda _frame, _reason, _detail: None)
    found: list[Alert] = []
    waiting: list[Frame] = []
    frames = sorted(sent, key=lambda frame: frame.rx_us)
    now_us = frames[0].rx_us // TICK_US * TICK_US
    at = 0
    until_us = frames[-1].rx_us + GONE_US
    while now_us < until_us:
        now_us += TICK_US
        while at < len(frames) and frames[at].rx_us <= now_us:
            waiting.append(replace(frames[at], seq=at))
            at += 1
        events, _, _ = core.work(waiting, Frame(0, now_us, TICK, b""))
        found += [event.alert for event in events if isinstance(event, AlertChanged)]
        waiting = []
    return found
