"""The measurements of a bench: a scene of the simulator, cut into windows of arrival, with its truth beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion import geo
from fusion.schema import F8, I8, US_PER_S, PlotKind, Plots, SensorSpec
from replay.plan import SimSensor
from replay.scenario import load_plan
from replay.scorefiles import States, TruthFile
from replay.simulate import Scenario

SKY = Path(__file__).with_name("sky.toml")
WINDOW_US = 100_000
ORIGIN = (math.radians(54.5), math.radians(23.5))
OWN_SIGMAS = 5.0  # a plot this near to where an object truly was is the object's
DRONES, SLOW = ("shahed",), ("quadcopter", "smuggling-balloon")


@dataclass(frozen=True, slots=True)
class Scene:
    """Windows of 0.1 s of arrival, times from 0; `owners` names the object of each plot, -1 for none."""

    sensors: tuple[SensorSpec, ...]
    windows: list[list[Plots]]
    owners: list[list[I8]]
    truth: TruthFile
    seconds: float

    @property
    def plots(self) -> int:
        """All of them."""
        return sum(len(batch) for window in self.windows for batch in window)

    def first(self, seconds: float) -> Scene:
        """Its beginning."""
        last = round(seconds * US_PER_S / WINDOW_US)
        return replace(self, windows=self.windows[:last], owners=self.owners[:last], seconds=seconds)


def scene(objects: int, seconds: float, seed: int = 1, mixed_latency: bool = False, told: bool = False) -> Scene:
    """So many objects for so long.

    Args:
        objects: in the air in all, in the proportions of sky.toml.
        seconds: to simulate.
        seed: another sky, and other luck of the sensors.
        mixed_latency: sensors are 0.2 s and 1.3 s late by turns, instead of as in sky.toml.
        told: work out truth and owners; costs time, and only quality needs them.
    """
    plan = replace(load_plan(SKY, seed, objects), start_us=0, duration_s=seconds)
    if mixed_latency:
        plan = replace(plan, sensors=tuple(_late(s, 0.2 if i % 2 else 1.3) for i, s in enumerate(plan.sensors)))
    scenario = Scenario(plan)
    count = round(seconds * US_PER_S / WINDOW_US)
    windows: list[list[Plots]] = [[] for _ in range(count)]
    for batch in scenario.batches():
        if batch.rx_us < count * WINDOW_US:
            windows[batch.rx_us // WINDOW_US].append(batch)
    if not told:
        nothing = np.empty(0, np.int64)
        states = States(nothing, nothing, *(np.empty(0) for _ in range(4)))
        nobody = TruthFile(states, np.empty(0, np.bool_), (), (), nothing, np.empty(0))
        return Scene(scenario.sensors, windows, [], nobody, seconds)
    return _told(scenario, windows, seconds)


def _late(sensor: SimSensor, latency_s: float) -> SimSensor:
    return replace(sensor, spec=replace(sensor.spec, latency_s=latency_s), jitter_s=0.03)


def _told(scenario: Scenario, windows: list[list[Plots]], seconds: float) -> Scene:
    objects = scenario.plan.objects
    row_of = {thing.id: row for row, thing in enumerate(objects)}
    steps = int(seconds) + 1
    place = np.full((len(objects), steps, 3), np.nan)
    columns: list[list[NDArray[Any]]] = []
    for second in range(steps):
        at = scenario.truth(second * US_PER_S)
        rows = np.array([row_of[name] for name in at.id], np.int64)
        place[rows, second] = at.xyz_m
        east, north = np.einsum("nij,nj->in", geo.enu_axes(at.lat_rad, at.lon_rad)[:, :2], at.velocity_mps)
        stamp = np.full(len(rows), second * 1_000)
        columns.append([stamp, rows, at.lat_rad, at.lon_rad, east, north, at.visible])
    merged = [np.concatenate(column) for column in zip(*columns, strict=True)]
    kinds = sorted(dict.fromkeys(_group(thing.kind) for thing in objects))
    first = np.full(len(objects), np.nan)
    owner_of = _Owners(scenario, place)
    owners = [[owner_of(batch) for batch in window] for window in windows]
    for window, theirs in zip(windows, owners, strict=True):
        for batch, own in zip(window, theirs, strict=True):
            found = own >= 0
            np.fmin.at(first, own[found], batch.t_us[found] / US_PER_S)
    truth = TruthFile(
        States(*merged[:6]),
        merged[6].astype(np.bool_),
        tuple(thing.id for thing in objects),
        tuple(kinds),
        np.array([kinds.index(_group(thing.kind)) for thing in objects], np.int64),
        first,
    )
    return Scene(scenario.sensors, windows, owners, truth, seconds)


def _group(kind: str) -> str:
    return "drones" if kind in DRONES else "slow" if kind in SLOW else kind


class _Owners:
    """Whose plot is it? The simulator does not say; the truth at the time of the plot does, to a few sigma."""

    def __init__(self, scenario: Scenario, place: F8) -> None:
        self._place = place
        self._sites = geo.site_table(scenario.sensors)
        self._specs = {spec.id: spec for spec in scenario.sensors}
        said = [(o.transponder.address, row) for row, o in enumerate(scenario.plan.objects) if o.transponder]
        self._by_address = dict(said)

    def __call__(self, batch: Plots) -> I8:
        if batch.kind != PlotKind.POLAR:
            return np.array([self._by_address.get(int(a), -1) for a in batch.address], np.int64)
        spec = self._specs[batch.sensor]
        steps = self._place.shape[1]
        t_s = np.clip(float(batch.t_us.mean()) / US_PER_S, 0.0, steps - 1.001)
        second, part = int(t_s), t_s % 1.0
        there = self._place[:, second] * (1.0 - part) + self._place[:, second + 1] * part
        known = np.flatnonzero(~np.isnan(there[:, 0]))
        owners = np.full(len(batch), -1)
        if not len(known):
            return owners
        ranges, azimuths, elevations = geo.polar(self._sites[spec.index], there[known])
        turn = np.pi - np.abs(np.abs(batch.azimuth_rad[:, None] - azimuths) - np.pi)
        away = ((batch.range_m[:, None] - ranges) / (spec.sigma_range_m + 15.0)) ** 2
        away += (turn / spec.sigma_azimuth_rad) ** 2
        if not np.isnan(spec.sigma_elevation_rad):
            away += ((batch.elevation_rad[:, None] - elevations) / spec.sigma_elevation_rad) ** 2
        for flat in np.argsort(away, axis=None)[: 2 * len(batch)]:
            plot, thing = divmod(int(flat), len(known))
            if away[plot, thing] < OWN_SIGMAS**2 and owners[plot] < 0 and known[thing] not in owners:
                owners[plot] = known[thing]
        return owners
