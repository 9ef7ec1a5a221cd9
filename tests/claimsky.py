"""Clean traffic and what radars see of it, for tests of integrity: seeded, vectorised, a second a step.

Honest aircraft are not perfect: their positions carry the noise that their NACp declares, time stamps are late by up to
half a second, velocities are rounded, a receiver loses them for a minute, a position is now and then decoded wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fusion.coverage import detection_probability, sensor_table
from fusion.filters.params import SITE
from fusion.geo import ecef, polar, site_table
from fusion.schema import B1, F8, I8, US_PER_S, PlotKind, Plots, SensorKind, SensorSpec, plots, take

START_US = 1_774_000_000 * US_PER_S
LAT_DEG, LON_DEG = 55.0, 23.5
EARTH_M = 6_371_008.8
SIGMA_BY_NACP_M = {6: 227.0, 7: 75.6, 8: 37.8, 9: 12.2, 10: 4.1}


@dataclass(frozen=True)
class Kind:
    """How one kind of aircraft flies."""

    category: int
    share: float
    speed_mps: tuple[float, float]
    height_m: tuple[float, float]
    turn_deg_s: float  # one sigma of the turn rate of a leg
    circles: bool = False  # as gliders do in lift


KINDS = (
    Kind(5, 0.4, (180.0, 250.0), (7_000.0, 12_000.0), 0.2),
    Kind(3, 0.1, (75.0, 130.0), (500.0, 3_000.0), 1.5),
    Kind(1, 0.2, (30.0, 85.0), (200.0, 1_500.0), 3.0),
    Kind(10, 0.1, (0.0, 70.0), (100.0, 900.0), 5.0),
    Kind(11, 0.1, (20.0, 45.0), (500.0, 2_500.0), 8.0, circles=True),
    Kind(15, 0.1, (6.0, 15.0), (200.0, 1_500.0), 12.0, circles=True),
)


def receiver(index: int = 0) -> SensorSpec:
    """An ADS-B network."""
    return SensorSpec("A0", index, SensorKind.ADSB)


def radars(*periods_s: float) -> tuple[SensorSpec, ...]:
    """3D radars 60 km around the middle, one for each period, after the receiver in index."""
    made = []
    for n, period_s in enumerate(periods_s):
        turn = 2.0 * np.pi * n / max(len(periods_s), 1)
        lat = np.radians(LAT_DEG) + 60_000.0 * np.cos(turn) / EARTH_M
        lon = np.radians(LON_DEG) + 60_000.0 * np.sin(turn) / (EARTH_M * np.cos(np.radians(LAT_DEG)))
        spec = SensorSpec(f"R{n + 1}", n + 1, SensorKind.RADAR_3D, lat, lon, 250.0, period_s, 250_000.0, 60.0)
        angles = {"sigma_azimuth_rad": np.radians(0.1), "sigma_elevation_rad": np.radians(0.3)}
        made.append(replace(spec, clutter_per_scan=2.0, **angles))
    return tuple(made)


@dataclass
class Sky:
    """n honest aircraft; `step` moves them by a second. All arrays (n,)."""

    n: int
    seed: int = 1
    spread_m: float = 150_000.0
    outages: float = 1 / 1_200  # per second and aircraft
    bad_decodes: float = 1e-4  # per claim
    kinds: tuple[Kind, ...] = KINDS
    t_s: float = 0.0
    quality: I8 = field(init=False)

    def __post_init__(self) -> None:
        """Draw the aircraft."""
        self.luck = luck = np.random.default_rng(self.seed)
        share = np.array([kind.share for kind in self.kinds])
        self.kind = luck.choice(len(self.kinds), self.n, p=share / share.sum())
        self.low, self.high = self._of("speed_mps")[:, 0], self._of("speed_mps")[:, 1]
        self.east, self.north = luck.uniform(-self.spread_m, self.spread_m, (2, self.n))
        floor, ceiling = self._of("height_m").T
        self.height = luck.uniform(floor, ceiling)
        self.floor, self.ceiling = floor, ceiling
        self.speed = luck.uniform(self.low, self.high)
        self.wanted = self.speed.copy()
        self.course = luck.uniform(0.0, 2.0 * np.pi, self.n)
        self.turn = np.zeros(self.n)
        self.climb = np.zeros(self.n)
        self.quality = luck.choice([6, 7, 8, 9, 10], self.n, p=[0.02, 0.08, 0.2, 0.4, 0.3])
        self.silent_until = np.full(self.n, -1.0)
        self.address = np.arange(self.n) + 0x400000
        self.stamp = luck.uniform(0.0, 1.0, self.n)  # when in a second it sends

    def _of(self, name: str) -> F8:
        return np.array([getattr(kind, name) for kind in self.kinds], np.float64)[self.kind]

    def step(self) -> None:
        """One second on."""
        luck = self.luck
        legs = luck.random(self.n) < 1 / 20
        rate = np.radians(self._of("turn_deg_s"))
        straight = (luck.random(self.n) < 0.5) & ~self._of("circles").astype(bool)
        self.turn = np.where(legs, np.where(straight, 0.0, luck.normal(0.0, rate)), self.turn)
        self.turn = np.clip(self.turn, -9.0 / np.maximum(self.speed, 9.0), 9.0 / np.maximum(self.speed, 9.0))
        self.wanted = np.where(legs, luck.uniform(self.low, self.high), self.wanted)
        self.climb = np.where(legs, luck.normal(0.0, 3.0, self.n), self.climb)
        self.speed += np.clip(self.wanted - self.speed, -1.5, 1.5)
        self.course += self.turn
        self.east += self.speed * np.sin(self.course)
        self.north += self.speed * np.cos(self.course)
        self.height = np.clip(self.height + self.climb, self.floor, self.ceiling)
        fails = luck.random(self.n) < self.outages
        self.silent_until = np.where(fails, self.t_s + luck.uniform(15.0, 100.0, self.n), self.silent_until)
        self.t_s += 1.0

    def at(self, dt_s: F8) -> tuple[F8, F8, F8]:
        """Latitude, longitude, height so many seconds from now, each (n,)."""
        north = self.north + dt_s * self.speed * np.cos(self.course)
        east = self.east + dt_s * self.speed * np.sin(self.course)
        return *place(east, north), self.height + dt_s * self.climb

    def claims(self, which: B1 | None = None) -> Plots:
        """What the aircraft (or those of `which`) say in this second."""
        luck, n = self.luck, self.n
        stamp = self.stamp - 0.5
        lat, lon, height = self.at(stamp)
        sigma = np.array([SIGMA_BY_NACP_M[q] for q in range(6, 11)])[self.quality - 6]
        noise = luck.normal(0.0, 1.0, (2, n)) * sigma
        wrong = np.where(luck.random(n) < self.bad_decodes, 0.02, 0.0)
        speed = np.round(self.speed / 0.514444) * 0.514444
        given: dict[str, Any] = {
            "lat_rad": lat + noise[0] / EARTH_M + wrong,
            "lon_rad": lon + noise[1] / (EARTH_M * np.cos(lat)),
            "height_m": height + luck.normal(0.0, 10.0, n),
            "velocity_east_mps": speed * np.sin(self.course) + luck.normal(0.0, 0.5, n),
            "velocity_north_mps": speed * np.cos(self.course) + luck.normal(0.0, 0.5, n),
            "velocity_up_mps": self.climb,
            "sigma_position_m": sigma,
            "sigma_velocity_mps": np.full(n, 1.5),
            "address": self.address,
            "category": self._of("category"),
            "nic": np.full(n, 8),
            "nacp": self.quality,
        }
        t_us = START_US + np.round((self.t_s + stamp + luck.uniform(0.0, 0.5, n)) * US_PER_S).astype(np.int64)
        batch = plots("A0", PlotKind.POSITION, START_US + round((self.t_s + 1.0) * US_PER_S), t_us, **given)
        heard = self.silent_until <= self.t_s
        return take(batch, heard if which is None else heard & which)

    def seen(self, spec: SensorSpec, sensors: tuple[SensorSpec, ...], which: B1 | None = None) -> Plots:
        """Plots of one radar in this second: each aircraft once a period."""
        luck = self.luck
        lat, lon, height = self.at(np.zeros(self.n))
        xyz = ecef(lat, lon, height)
        site = site_table(sensors).reshape(-1, SITE)
        ours = luck.random(self.n) < detection_probability(sensor_table(sensors), site, xyz)[:, spec.index]
        _, azimuth, _ = polar(site[spec.index], xyz)
        due = (self.t_s - azimuth / (2.0 * np.pi) * spec.period_s) % spec.period_s
        ours &= due < 1.0
        if which is not None:
            ours &= which
        rows = np.flatnonzero(ours)
        back = -due[rows]
        full = np.zeros(self.n)
        full[rows] = back
        lat, lon, height = self.at(full)
        return radar_plots(spec, sensors, ecef(lat, lon, height)[rows], self.t_s + back, luck)


def place(east_m: F8, north_m: F8) -> tuple[F8, F8]:
    """Latitude and longitude of places around the middle."""
    lat = np.radians(LAT_DEG) + np.asarray(north_m) / EARTH_M
    return lat, np.radians(LON_DEG) + np.asarray(east_m) / (EARTH_M * np.cos(lat))


def radar_plots(
    spec: SensorSpec, sensors: tuple[SensorSpec, ...], xyz: F8, t_s: F8, luck: np.random.Generator
) -> Plots:
    """Noisy plots of ECEF places (k, 3)."""
    site = site_table(sensors).reshape(-1, SITE)[spec.index]
    found, azimuth, elevation = polar(site, xyz)
    k = len(xyz)
    t_us = START_US + np.round(np.asarray(t_s) * US_PER_S).astype(np.int64)
    rx_us = int(t_us.max()) + US_PER_S // 2 if k else START_US
    return plots(
        spec.id, PlotKind.POLAR, rx_us, t_us,
        range_m=found + luck.normal(0.0, spec.sigma_range_m, k),
        azimuth_rad=(azimuth + luck.normal(0.0, spec.sigma_azimuth_rad, k)) % (2.0 * np.pi),
        elevation_rad=elevation + luck.normal(0.0, spec.sigma_elevation_rad, k),
    )  # fmt: skip
