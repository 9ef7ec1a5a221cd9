"""Decoded batches to updated tracks, in steps of 100 ms: plots per CPU-second and the longest steps.

A sky of airliners and light aircraft on straight paths, all with ADS-B at 1 Hz and seen by two rotating radars with
clutter; noise is drawn from a seed.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fusion.geo import ecef, enu_axes, geodetic, polar, site_table
from fusion.schema import F8, US_PER_S, PlotKind, Plots, SensorKind, SensorSpec, plots
from fusion.tracker import Tracker

SECONDS, WARM_S, TICK_S = 30, 10, 0.1
LAT, LON = np.radians(54.5), np.radians(24.0)


def _radar(name: str, index: int, east: float, period_s: float) -> SensorSpec:
    return SensorSpec(
        name, index, SensorKind.RADAR_3D, LAT, LON + east, 150.0, period_s, 400_000.0, 60.0, 0.0017, 0.005,
        clutter_per_scan=50.0,
    )  # fmt: skip


SENSORS = (
    SensorSpec("A0", 0, SensorKind.ADSB, period_s=1.0),
    _radar("R1", 1, 0.0, 5.0),
    _radar("R2", 2, 0.01, 10.0),
)


def sky(objects: int, seconds: float, rng: np.random.Generator) -> list[list[Plots]]:
    """Batches for every tick of 100 ms."""
    sites = site_table(SENSORS)
    lat = LAT + rng.uniform(-0.045, 0.045, objects)
    lon = LON + rng.uniform(-0.075, 0.075, objects)
    start = ecef(lat, lon, rng.uniform(500.0, 11_000.0, objects))
    axes = enu_axes(lat, lon)
    speed, course = rng.uniform(50.0, 230.0, objects), rng.uniform(0.0, 2 * np.pi, objects)
    east, north = speed * np.sin(course), speed * np.cos(course)
    velocity = axes[:, 0] * east[:, None] + axes[:, 1] * north[:, None]
    phase = rng.random(objects)
    ticks = []
    for tick in range(round(seconds / TICK_S)):
        t = tick * TICK_S
        due = np.flatnonzero((phase >= t % 1.0) & (phase < t % 1.0 + TICK_S))
        batches = [_claims(due, start[due] + velocity[due] * t, east[due], north[due], t, rng)] if len(due) else []
        for spec in SENSORS[1:]:
            batches += _looks(spec, sites[spec.index], start + velocity * t, t, rng)
        ticks.append(batches)
    return ticks


def _claims(who: np.ndarray, place: F8, east: F8, north: F8, t: float, rng: np.random.Generator) -> Plots:
    lat, lon, height = geodetic(place + rng.normal(size=place.shape) * 10.0)
    n, t_us = len(who), round(t * US_PER_S)
    return plots(
        "A0", PlotKind.POSITION, t_us + 300_000, np.full(n, t_us), lat_rad=lat, lon_rad=lon, height_m=height,
        sigma_position_m=np.full(n, 12.0), sigma_height_m=np.full(n, 15.0), sigma_velocity_mps=np.full(n, 1.0),
        velocity_east_mps=east, velocity_north_mps=north, velocity_up_mps=np.zeros(n), address=who + 1,
    )  # fmt: skip


def _looks(spec: SensorSpec, site: F8, place: F8, t: float, rng: np.random.Generator) -> list[Plots]:
    r, az, el = polar(site, place)
    beam = 2 * np.pi * (t % spec.period_s) / spec.period_s
    width = 2 * np.pi * TICK_S / spec.period_s
    seen = (az >= beam) & (az < beam + width) & (r < spec.range_max_m) & (rng.random(len(r)) < 0.9)
    false = int(rng.poisson(spec.clutter_per_scan * width / (2 * np.pi)))
    n = int(seen.sum()) + false
    if n == 0:
        return []
    reach = np.append(r[seen], np.sqrt(rng.random(false)) * spec.range_max_m)
    azimuth = np.append(az[seen], beam + width * rng.random(false))
    elevation = np.append(el[seen], rng.random(false) * 0.1)
    given: dict[str, Any] = {
        "range_m": np.abs(reach + rng.normal(size=n) * spec.sigma_range_m),
        "azimuth_rad": (azimuth + rng.normal(size=n) * spec.sigma_azimuth_rad) % (2 * np.pi),
        "elevation_rad": elevation + rng.normal(size=n) * spec.sigma_elevation_rad,
    }
    t_us = round(t * US_PER_S)
    return [plots(spec.id, PlotKind.POLAR, t_us + 200_000, np.full(n, t_us), **given)]


def main() -> None:
    """Print the rates for 1,000 and 5,000 objects."""
    for objects in (1_000, 5_000):
        ticks = sky(objects, SECONDS, np.random.default_rng(1))
        tracker, used, took = Tracker(SENSORS), 0, []
        for tick, batches in enumerate(ticks):
            start = time.perf_counter()
            count = tracker.step(batches, round((tick + 1) * TICK_S * US_PER_S))
            if tick * TICK_S >= WARM_S:
                took.append(time.perf_counter() - start)
                used += count
        p50, p99 = np.percentile(took, [50, 99]) * 1e3
        rate = used / (SECONDS - WARM_S)
        print(
            f"{objects:6d} objects, {len(tracker.table(round(SECONDS * 1e6))):6d} tracks, {rate:6.0f} plots/s fed: "
            f"{used / sum(took):8.0f} plots per second of one core; step of 100 ms p50 {p50:.1f} ms, p99 {p99:.1f} ms, "
            f"longest {max(took) * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    main()
