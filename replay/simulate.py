"""The simulator: a scenario becomes batches of plots in order of arrival, and the truth to judge by.

    scenario = Scenario.load("lithuania-2025-07-28")
    for batch in scenario.batches(): ...            # schema.Plots, rx_us never falls
    truth = scenario.truth(scenario.start_us + 60_000_000)

Radars turn: an object is hit when the beam passes it, measured in range, azimuth and perhaps elevation with the noise
of the sensor, and reported a tenth of a second's sector at a time. Transponders answer secondary radar and broadcast
ADS-B once a second. All chance comes from generators seeded by the scenario and the sensor's id: the same scenario
gives the same batches, and another sensor more or less changes nothing for the rest.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fusion import coverage, geo
from fusion.schema import B1, F8, I8, US_PER_S, Frame, PlotKind, Plots, SensorKind, SensorSpec, plots
from replay import player
from replay.motion import Fleet
from replay.scenario import Plan, SimSensor, load_plan

SECTOR_S = 0.1  # a message holds what was measured in this time
SECONDARY_DETECTION = 0.97  # of a transponder in view: EUROCONTROL radar surveillance standard (1997), SSR
FALSE_ALARM = 1e-6  # of one radar cell: ties probability of detection to the signal in the Swerling 1 law
FEET_25_M = 7.62  # step of a reported pressure height
GEOMETRIC_SIGMA_M = 15.0  # of ADS-B geometric height: GVA 2 is 45 m, 95 %, and receivers are better than they say
CLUTTER_TOP_M = 3_000.0  # birds, weather and ground echoes lie below this
CLUTTER_NEAREST_M = 1_000.0
SEEN_PROBABILITY = 0.05  # less than this from every sensor: nobody could know of the object
_95_TO_SIGMA = 2.448  # radius that holds 95 % of a circular normal distribution
NACP_95_M = (18_520.0, 18_520.0, 7_408.0, 3_704.0, 1_852.0, 926.0, 555.6, 185.2, 92.6, 30.0, 10.0, 3.0)  # ED-102A, EPU
NACV_95_MPS = (10.0, 10.0, 3.0, 1.0, 0.3)


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


class Scenario:
    """A scenario that can be run, any number of times and with the same outcome."""

    def __init__(self, plan: Plan, boot: int = 1) -> None:
        """`boot` is the start number that the sensors give with their messages: raise it to feed a service again."""
        self.plan = plan
        self.boot = boot
        self.sensors: tuple[SensorSpec, ...] = tuple(s.spec for s in plan.sensors)
        self.start_us = plan.start_us
        self.end_us = plan.start_us + round(plan.duration_s * US_PER_S)
        self._fleet = Fleet([o.flight for o in plan.objects], 0.0, plan.duration_s)
        self._table = coverage.sensor_table(self.sensors, plan.ground_m)
        self._sites = geo.site_table(self.sensors)
        said = [o.transponder for o in plan.objects]
        self._rcs = np.array([o.rcs_m2 for o in plan.objects], np.float64)
        self._talks = np.array([t is not None for t in said], np.bool_)
        self._adsb = np.array([t is not None and t.adsb for t in said], np.bool_)
        self._address = np.array([-1 if t is None else t.address for t in said], np.int32)
        self._mode3a = np.array([-1 if t is None else t.mode3a for t in said], np.int32)
        self._callsign = np.array([b"" if t is None else t.callsign for t in said], "S8")
        self._small = {
            name: np.array([-1 if t is None else getattr(t, name) for t in said], np.int8)
            for name in ("nic", "nacp", "nacv", "sil", "category")
        }

    @classmethod
    def load(
        cls, name_or_path: str | Path, start_us: int | None = None, seed: int | None = None, boot: int = 1
    ) -> Self:
        """A shipped scenario by name or a file by path, perhaps moved to another start time or given another seed.

        Raises:
            replay.scenario.BadScenario: not known or refused; says file, key, problem and cure.
        """
        plan = load_plan(name_or_path)
        return cls(replace(plan, start_us=start_us or plan.start_us, seed=plan.seed if seed is None else seed), boot)

    def batches(self) -> Iterator[Plots]:
        """All batches of all sensors in order of arrival (rx_us, then sensor id)."""
        streams = [self._claims(s) if s.spec.kind == SensorKind.ADSB else self._scans(s) for s in self.plan.sensors]
        return heapq.merge(*streams, key=lambda batch: (batch.rx_us, batch.sensor))

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
        xyz, velocity, alive = self._fleet.at(t_s)
        lat, lon, height = geo.geodetic(xyz)
        visible = np.zeros(len(xyz), np.bool_)
        for sensor in self.plan.sensors:
            if not _is_out(sensor, np.full(1, t_s))[0]:
                visible |= self._chance(sensor, xyz)[2] >= SEEN_PROBABILITY
        return Truth(
            t_us,
            tuple(o.id for o, there in zip(self.plan.objects, alive, strict=True) if there),
            lat[alive],
            lon[alive],
            height[alive],
            xyz[alive],
            velocity[alive],
            self._talks[alive],
            visible[alive],
        )

    def _chance(self, sensor: SimSensor, xyz: F8) -> tuple[F8, F8, F8]:
        """Probability that the sensor sees each object itself, hears its transponder, and either, each (n,)."""
        spec = sensor.spec
        row = slice(spec.index, spec.index + 1)
        view = coverage.visibility(self._table[row], self._sites[row], xyz)[:, 0]  # 1 for a receiver without a site
        if spec.kind == SensorKind.ADSB:
            heard = np.where(self._adsb, view * spec.detection_probability, 0.0)
            return np.zeros(len(xyz)), heard, heard
        range_m = np.linalg.norm(xyz - self._sites[spec.index, :3], axis=1)
        weak = _swerling(self._rcs, range_m / spec.range_max_m, spec.detection_probability)
        own = view * spec.detection_probability * weak * float(sensor.primary)
        reply = np.where(self._talks, view * SECONDARY_DETECTION, 0.0) * float(sensor.secondary)
        return own, reply, 1.0 - (1.0 - own) * (1.0 - reply)

    def _pressure_height(self, xyz: F8, rng: np.random.Generator, sigma_m: float) -> F8:
        above_sea = geo.geodetic(xyz)[2] - self.plan.geoid_m
        measured = above_sea - geo.pressure_height_correction(self.plan.qnh_hpa) + rng.normal(0.0, sigma_m, len(xyz))
        rounded: F8 = np.round(measured / FEET_25_M) * FEET_25_M
        return rounded

    def _scans(self, sensor: SimSensor) -> Iterator[Plots]:
        """The batches of one turning radar."""
        rng = _generator(self.plan.seed, sensor.spec.id)
        period, phase = sensor.spec.period_s, sensor.rpm_phase
        door = _Door(sensor, self.start_us, self.boot, rng)
        for scan in range(int(self.plan.duration_s / period) + 2):
            north_s = (scan - phase) * period
            yield from door.messages(self._scan(sensor, rng, north_s), SECTOR_S, self.plan.duration_s)

    def _scan(self, sensor: SimSensor, rng: np.random.Generator, north_s: float) -> Look:
        """One turn of the beam that passes north at `north_s`: hits and false plots, not yet in order."""
        spec = sensor.spec
        site = self._sites[spec.index]
        n = len(self._fleet)
        t_s = np.full(n, north_s + spec.period_s / 2)
        for _ in range(3):  # the beam meets the object where the object is then
            xyz, _, alive = self._fleet.at(t_s)
            range_m, azimuth, elevation = geo.polar(site, xyz)
            t_s = north_s + spec.period_s * azimuth / (2 * np.pi)
        own, reply, _ = self._chance(sensor, xyz)
        seen = rng.random(n) < own
        heard = rng.random(n) < reply
        address = np.where(heard & sensor.mode_s, self._address, -1)
        look: Look = {
            "t_s": t_s,
            "range_m": range_m + sensor.bias_range_m + rng.normal(0.0, spec.sigma_range_m, n),
            "azimuth_rad": azimuth + sensor.bias_azimuth_rad + rng.normal(0.0, spec.sigma_azimuth_rad, n),
            "elevation_rad": elevation + rng.normal(size=n) * spec.sigma_elevation_rad,  # NaN where none is measured
            "pressure_height_m": np.where(heard, self._pressure_height(xyz, rng, sensor.sigma_pressure_m), np.nan),
            "mode3a": np.where(heard, self._mode3a, -1),
            "address": address,
            "callsign": np.where(address >= 0, self._callsign, b""),
        }
        look = _joined(_only(look, (seen | heard) & alive), _clutter(sensor, rng, north_s))
        look["range_m"] = np.clip(look["range_m"], 0.0, None)
        look["azimuth_rad"] = np.mod(look["azimuth_rad"], 2 * np.pi)
        for axis in ("range_m", "azimuth_rad", "elevation_rad"):
            look[f"sigma_{axis}"] = np.full(len(look["t_s"]), getattr(spec, f"sigma_{axis}"))
        return look

    def _claims(self, sensor: SimSensor) -> Iterator[Plots]:
        """The batches of one ADS-B receiver: every object's broadcast once a period."""
        rng = _generator(self.plan.seed, sensor.spec.id)
        period = sensor.spec.period_s
        n = len(self._fleet)
        offset_s = rng.random(n) * period
        sigma = np.array(NACP_95_M)[np.maximum(self._small["nacp"], 0)] / _95_TO_SIGMA
        sigma_velocity = np.array(NACV_95_MPS)[np.maximum(self._small["nacv"], 0)] / _95_TO_SIGMA
        door = _Door(sensor, self.start_us, self.boot, rng)
        together_s = period if sensor.format == "readsb" else SECTOR_S  # readsb tells all it knows at once
        for turn in range(int(self.plan.duration_s / period) + 1):
            t_s = turn * period + offset_s
            xyz, velocity, alive = self._fleet.at(t_s)
            lat, lon, height = geo.geodetic(xyz)
            axes = geo.enu_axes(lat, lon)
            east, north = rng.normal(0.0, sigma), rng.normal(0.0, sigma)
            lat, lon, height = geo.geodetic(xyz + axes[:, 0] * east[:, None] + axes[:, 1] * north[:, None])
            enu = np.einsum("nij,nj->ni", axes, velocity) + rng.normal(0.0, sigma_velocity[:, None], (n, 3))
            look: Look = {
                "t_s": t_s,
                "lat_rad": lat,
                "lon_rad": lon,
                "sigma_position_m": sigma,
                "height_m": height + rng.normal(0.0, GEOMETRIC_SIGMA_M, n),
                "sigma_height_m": np.full(n, GEOMETRIC_SIGMA_M),
                "pressure_height_m": self._pressure_height(xyz, rng, sensor.sigma_pressure_m),
                "velocity_east_mps": enu[:, 0],
                "velocity_north_mps": enu[:, 1],
                "velocity_up_mps": enu[:, 2],
                "sigma_velocity_mps": sigma_velocity,
                "address": self._address,
                "mode3a": self._mode3a,
                "callsign": self._callsign,
                "on_ground": np.zeros(n, np.int8),
                **self._small,
            }
            heard = rng.random(n) < self._chance(sensor, xyz)[1]
            yield from door.messages(_only(look, heard & alive), together_s, self.plan.duration_s)


Look = dict[str, NDArray[Any]]  # columns of plots in the making: "t_s" (seconds of the scene), then as schema.Plots


class _Door:
    """Turns what one sensor measured into its messages: cut by time, numbered, delayed, never overtaking each other."""

    def __init__(self, sensor: SimSensor, start_us: int, boot: int, rng: np.random.Generator) -> None:
        self._sensor = sensor
        self._boot = boot
        self._start_us = start_us
        self._rng = rng
        self._seq = 0
        self._newest_us = 0

    def messages(self, look: Look, together_s: float, until_s: float) -> Iterator[Plots]:
        """The messages of one look; what was measured outside the scene or in an outage is not there."""
        t_s = look["t_s"]
        look = _only(look, (t_s >= 0.0) & (t_s <= until_s) & ~_is_out(self._sensor, t_s))
        look = _only(look, np.argsort(look["t_s"], kind="stable"))
        slot = np.floor(look["t_s"] / together_s).astype(np.int64)
        for number in np.unique(slot):
            part = _only(look, slot == number)
            delay_s = self._sensor.spec.latency_s + self._rng.exponential(self._sensor.jitter_s)
            rx_us = self._start_us + round(((int(number) + 1) * together_s + delay_s) * US_PER_S)
            self._newest_us = max(self._newest_us, rx_us)
            t_us: I8 = self._start_us + np.round(part.pop("t_s") * US_PER_S).astype(np.int64)
            name = self._sensor.spec.id
            yield plots(name, self._kind, self._newest_us, t_us, boot=self._boot, seq=self._seq, **part)
            self._seq += 1

    @property
    def _kind(self) -> PlotKind:
        return PlotKind.POSITION if self._sensor.spec.kind == SensorKind.ADSB else PlotKind.POLAR


def _only(look: Look, rows: NDArray[Any]) -> Look:
    return {name: column[rows] for name, column in look.items()}


def _joined(look: Look, more: Look) -> Look:
    """Both, one after the other; what `more` does not have stands as not measured."""
    count = len(more["t_s"])
    out: Look = {}
    for name, column in look.items():
        empty = np.nan if column.dtype.kind == "f" else b"" if column.dtype.kind == "S" else -1
        out[name] = np.concatenate([column, more.get(name, np.full(count, empty, column.dtype))])
    return out


def _clutter(sensor: SimSensor, rng: np.random.Generator, north_s: float) -> Look:
    """False plots of one turn, uniform in azimuth and range: denser near the radar, as birds and ground echoes are."""
    spec = sensor.spec
    count = int(rng.poisson(spec.clutter_per_scan)) if sensor.primary else 0
    turn = rng.random(count)
    range_m = rng.uniform(min(CLUTTER_NEAREST_M, spec.range_max_m), spec.range_max_m, count)
    height_m = rng.uniform(0.0, CLUTTER_TOP_M, count)
    return {
        "t_s": north_s + spec.period_s * turn,
        "range_m": range_m,
        "azimuth_rad": 2 * np.pi * turn,
        "elevation_rad": np.arcsin(np.clip(height_m / range_m, 0.0, 0.95)) + 0.0 * spec.sigma_elevation_rad,
    }


def _swerling(rcs_m2: F8, part_of_range: F8, detection_probability: float) -> F8:
    """How much less than an ordinary target (1 m^2) at the same place the object is seen, 0..1.

    Swerling 1: Pd = Pfa^(1/(1+SNR)), SNR proportional to rcs / range^4, tied to the sensor's own probability at its
    full range for 1 m^2. Nearer or larger than that, the object is an ordinary target: the factor is 1.
    """
    reference = np.log(FALSE_ALARM) / np.log(min(max(detection_probability, 0.01), 0.999)) - 1.0
    snr = reference * rcs_m2 / np.maximum(part_of_range, 1e-3) ** 4
    found: F8 = np.minimum(np.exp(np.log(FALSE_ALARM) / (1.0 + snr)) / max(detection_probability, 0.01), 1.0)
    return found


def _is_out(sensor: SimSensor, t_s: F8) -> B1:
    out = np.zeros(len(t_s), np.bool_)
    for from_s, until_s in sensor.outages_s:
        out |= (t_s >= from_s) & (t_s < until_s)
    return out


def _generator(seed: int, sensor: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(sensor.encode())])
