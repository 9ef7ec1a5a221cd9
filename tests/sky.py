"""A small sky for tests of the tracker: objects on straight paths, radars and a receiver that look at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fusion.filters.params import SITE
from fusion.geo import ecef, enu_axes, geodetic, polar, site_table
from fusion.order import Order
from fusion.schema import F8, US_PER_S, PlotKind, Plots, SensorKind, SensorSpec, plots, take
from fusion.tracker import Tracker

LAT, LON = np.radians(54.5), np.radians(24.0)
START_US = 1_700_000_000 * US_PER_S
RADAR = SensorSpec(
    "R1", 1, SensorKind.RADAR_3D, LAT, LON, 150.0, 5.0, 200_000.0, 60.0, np.radians(0.1), np.radians(0.3),
    detection_probability=0.95, clutter_per_scan=20.0,
)  # fmt: skip
FLAT = SensorSpec(
    "R2", 2, SensorKind.RADAR_2D, LAT, LON - 0.012, 150.0, 5.0, 200_000.0, 60.0, np.radians(0.1),
    detection_probability=0.95, clutter_per_scan=20.0,
)  # fmt: skip
ADSB = SensorSpec("A0", 0, SensorKind.ADSB, period_s=1.0)
SENSORS = (ADSB, RADAR, FLAT)
SITES = site_table(SENSORS).reshape(-1, SITE)
AXES = enu_axes(np.array([LAT]), np.array([LON]))[0]
ORIGIN = ecef(np.array([LAT]), np.array([LON]), np.array([0.0]))[0]

Path = Callable[[float], tuple[float, float, float]]  # seconds to east, north (m) of the origin, height (m)


def line(east_m: float, north_m: float, height_m: float, ve: float, vn: float) -> Path:
    """A level, straight path."""
    return lambda t: (east_m + ve * t, north_m + vn * t, height_m)


def place(path: Path, t: float) -> F8:
    """ECEF place of a path at t seconds, its height kept above the ellipsoid."""
    east, north, height = path(t)
    lat, lon, _ = geodetic((ORIGIN + AXES[0] * east + AXES[1] * north)[None])
    return np.asarray(ecef(lat, lon, np.array([height]))[0])


def radar_plots(
    spec: SensorSpec, found: list[F8], times: list[float], rng: np.random.Generator, delay_s: float
) -> Plots:
    """Noisy plots of ECEF places, seen at the given seconds."""
    r, az, el = polar(SITES[spec.index], np.array(found))
    n = len(r)
    given: dict[str, Any] = {
        "range_m": r + rng.normal(size=n) * spec.sigma_range_m,
        "azimuth_rad": (az + rng.normal(size=n) * spec.sigma_azimuth_rad) % (2 * np.pi),
    }
    if spec.kind == SensorKind.RADAR_3D:
        given["elevation_rad"] = el + rng.normal(size=n) * spec.sigma_elevation_rad
    t_us = START_US + np.round(np.array(times) * US_PER_S).astype(np.int64)
    return plots(spec.id, PlotKind.POLAR, int(t_us.max()) + round(delay_s * US_PER_S), t_us, **given)


def clutter(spec: SensorSpec, t: float, rng: np.random.Generator, number: float) -> list[Plots]:
    """False plots of one scan that starts at t, in ten sectors, spread evenly over the area."""
    batches = []
    for sector in range(10):
        n = int(rng.poisson(number / 10))
        if n == 0:
            continue
        at = t + spec.period_s * (sector + rng.random(n)) / 10
        given: dict[str, Any] = {
            "range_m": np.sqrt(rng.random(n)) * spec.range_max_m,
            "azimuth_rad": 2 * np.pi * (at - t) / spec.period_s % (2 * np.pi),
        }
        if spec.kind == SensorKind.RADAR_3D:
            given["elevation_rad"] = rng.random(n) * 0.1
        t_us = START_US + np.round(at * US_PER_S).astype(np.int64)
        batches.append(plots(spec.id, PlotKind.POLAR, int(t_us.max()) + US_PER_S // 5, t_us, **given))
    return batches


def claim(path: Path, t: float, address: int, rng: np.random.Generator, **more: Any) -> Plots:
    """One ADS-B report of an object on a path."""
    here, then = place(path, t), place(path, t + 1.0)
    lat, lon, height = geodetic((here + rng.normal(size=3) * 8.0)[None])
    axes = enu_axes(lat, lon)[0]
    ve, vn, vu = axes @ (then - here)
    t_us = np.array([START_US + round(t * US_PER_S)])
    return plots(
        "A0", PlotKind.POSITION, int(t_us[0]) + 300_000, t_us, lat_rad=lat, lon_rad=lon, height_m=height,
        sigma_position_m=[10.0], sigma_height_m=[15.0], sigma_velocity_mps=[1.0], velocity_east_mps=[ve],
        velocity_north_mps=[vn], velocity_up_mps=[vu], address=[address], **more,
    )  # fmt: skip


def scan(spec: SensorSpec, paths: list[Path], t: float, rng: np.random.Generator, pd: float = 1.0) -> list[Plots]:
    """What one scan that starts at t sees of the paths: each at the moment the beam points there, one batch each."""
    batches = []
    for path in paths:
        _, az, _ = polar(SITES[spec.index], place(path, t)[None])
        at = t + spec.period_s * float(az[0]) / (2 * np.pi)
        if rng.random() < pd:
            batches.append(radar_plots(spec, [place(path, at)], [at], rng, 0.2))
    return batches


def play(tracker: Tracker, batches: list[Plots], until_s: float, tick_s: float = 0.1) -> Tracker:
    """Feed batches by their arrival time, tick by tick, up to `until_s`; those that arrive later are left out."""
    order = Order()
    waiting = sorted(batches, key=lambda b: (b.rx_us, b.sensor, int(b.t_us[0])))
    at = 0
    for tick in range(1, round(until_s / tick_s) + 1):
        now_us = START_US + round(tick * tick_s * US_PER_S)
        while at < len(waiting) and waiting[at].rx_us <= now_us:
            order.admit(waiting[at])
            at += 1
        tracker.step(order.drain().batches, now_us)
    return tracker


def one_by_one(batch: Plots) -> list[Plots]:
    """A batch as batches of one plot."""
    return [take(batch, np.array([i])) for i in range(len(batch))]
