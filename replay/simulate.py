"""The simulator: a scenario becomes batches of plots in order of arrival, and the truth to judge by.

    scenario = Scenario.load("lithuania-2025-07-28")
    for batch in scenario.batches(): ...            # schema.Plots, rx_us never falls
    truth = scenario.truth(scenario.start_us + 60_000_000)

Radars turn: an object is hit when the beam passes it, measured in range, azimuth and perhaps elevation with the noise
of the sensor, and reported a tenth of a second's sector at a time (`radar`). Transponders answer secondary radar and
broadcast ADS-B once a second (`claims`). Microphones hear where things were, and people tell late (`listeners`). Every
message goes through a `door` that numbers, delays and perhaps loses it. All chance comes from generators seeded by the
scenario and the sensor's id: the same scenario gives the same batches, and another sensor more or less changes nothing
for the rest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from fusion import geo
from fusion.schema import B1, CLAIM, F8, US_PER_S, Frame, Plots, SensorKind, SensorSpec
from replay import claims, listeners, player, radar
from replay.door import Owned
from replay.plan import Plan, SimSensor
from replay.scenario import load_plan
from replay.sky import Sky, is_blind

SEEN_PROBABILITY = 0.05  # less than this from every sensor: nobody could know of the object


@dataclass(frozen=True, slots=True)
class Truth:
    """Where everything is at one time. Rows are the objects that exist then, in the order of the scenario."""

    t_us: int
    id: tuple[str, ...]
    lat_rad: F8  # (n,)
    lon_rad: F8  # (n,)
    height_m: F8  # (n,) above the ellipsoid
    xyz_m: F8  # (n, 3) ECEF
    velocity_mps: F8  # (n, 3) ECEF
    cooperative: B1  # (n,) it says who it is
    visible: B1  # (n,) some sensor has a chance to see it
    kind: tuple[str, ...] = ()  # class of replay.objects, "" not said
    fault: tuple[str, ...] = ()  # what is wrong with what it says of itself, commas between; "" nothing


class Scenario:
    """A scenario that can be run, any number of times and with the same outcome."""

    def __init__(self, plan: Plan, boot: int = 1) -> None:
        """`boot` is the start number that the sensors give with their messages: raise it to feed a service again."""
        self.plan = plan
        self.boot = boot
        self.sensors: tuple[SensorSpec, ...] = tuple(s.spec for s in plan.sensors)
        self.start_us = plan.start_us
        self.end_us = plan.start_us + round(plan.duration_s * US_PER_S)
        self._sky = Sky(plan)
        self._faulty = [(row, o) for row, o in enumerate(plan.objects) if o.nothing or o.faults]

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        start_us: int | None = None,
        seed: int | None = None,
        boot: int = 1,
        total: int | None = None,
    ) -> Self:
        """A shipped scenario by name or a file by path, perhaps moved to another start time or given another seed.

        With `total` its traffic has so many objects.
        Raises:
            replay.scenario.BadScenario: not known or refused; says file, key, problem and cure.
        """
        plan = load_plan(name_or_path, seed, total)
        return cls(replace(plan, start_us=start_us or plan.start_us), boot)

    def batches(self) -> Iterator[Plots]:
        """All batches of all sensors in order of arrival (rx_us, then sensor id)."""
        return (batch for batch, _ in self.owned())

    def owned(self) -> Iterator[Owned]:
        """The same, each with the place in `plan.objects` of the object that each plot is of, -1 for none: (n,).

        For judges: a tracker never learns it.
        """
        streams = [_stream(self._sky, s, self.start_us, self.boot) for s in self.plan.sensors]
        return heapq.merge(*streams, key=lambda pair: (pair[0].rx_us, pair[0].sensor))

    def frames(self, encode: Callable[[SimSensor, Plots], bytes], ticks: bool = True) -> Iterator[Frame]:
        """All batches as the raw frames of the door, numbered from 0; with ticks every 100 ms from start to end."""
        sensors = {s.spec.id: s for s in self.plan.sensors}
        raw = (
            Frame(seq, batch.rx_us, f"in/{batch.sensor}/plots", encode(sensors[batch.sensor], batch))
            for seq, batch in enumerate(self.batches())
        )
        return player.with_ticks(raw, from_us=self.start_us, until_us=self.end_us) if ticks else raw

    def truth(self, t_us: int) -> Truth:
        """The objects in the air at `t_us`."""
        t_s = (t_us - self.start_us) / US_PER_S
        xyz, velocity, alive = self._sky.fleet.at(t_s)
        lat, lon, height = geo.geodetic(xyz)
        visible, silent = np.zeros(len(xyz), np.bool_), np.zeros(len(xyz), np.bool_)
        for row, thing in self._faulty:
            silent[row] = any(f.kind == "outage" and f.from_s <= t_s < f.until_s for f in thing.faults)
        for sensor in self.plan.sensors:
            if not is_blind(sensor, t_s):
                mute = silent if sensor.spec.kind in CLAIM else np.zeros_like(silent)
                visible |= (self._sky.visible(sensor, xyz) >= SEEN_PROBABILITY) & ~mute
        objects = self.plan.objects
        rows = np.flatnonzero(alive).tolist()
        fault = self._faults(t_s, xyz)
        return Truth(
            t_us,
            tuple(objects[n].id for n in rows),
            lat[alive],
            lon[alive],
            height[alive],
            xyz[alive],
            velocity[alive],
            np.array([objects[n].cooperative for n in rows], np.bool_),
            visible[alive],
            tuple(objects[n].kind for n in rows),
            tuple(fault.get(n, "") for n in rows),
        )

    def _faults(self, t_s: float, xyz: F8) -> dict[int, str]:
        """What is wrong with the claims of each object that has something wrong, by row."""
        found: dict[int, list[str]] = {}
        for row, thing in self._faulty:
            words = [f.kind for f in thing.faults if f.from_s <= t_s < f.until_s]
            if thing.nothing:
                words = [thing.nothing]
            if words:
                found[row] = words
        for area in self.plan.interference:
            inside = claims.in_area(area, xyz, np.full(len(xyz), t_s)) & self._sky.adsb & self._sky.real
            for row in np.flatnonzero(inside).tolist():
                found.setdefault(row, []).append("interference")
        return {row: ",".join(words) for row, words in found.items()}


def _stream(sky: Sky, sensor: SimSensor, start_us: int, boot: int) -> Iterator[Owned]:
    """The messages of one sensor."""
    kind = sensor.spec.kind
    if kind in CLAIM:
        return claims.claims(sky, sensor, start_us, boot)
    if kind == SensorKind.BEARING:
        return listeners.bearings(sky, sensor, start_us, boot)
    if kind == SensorKind.SIGHTING:
        return listeners.sightings(sky, sensor, start_us, boot)
    return radar.scans(sky, sensor, start_us, boot)
