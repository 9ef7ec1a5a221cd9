"""What a radar measures: the beam goes round, meets objects where they are, and finds what is not there too."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from fusion import geo
from fusion.schema import F8, I8
from replay.door import Door, Look, Owned, joined, only
from replay.plan import ClutterSector, SimSensor
from replay.sky import Sky, generator, steps_at

SECTOR_S = 0.1  # a message holds what was measured in this time
CLUTTER_TOP_M = 3_000.0  # birds, weather and ground echoes lie below this
CLUTTER_NEAREST_M = 1_000.0
CLUTTER_DOPPLER_MPS = 8.0  # one sigma: birds, rain and waves in moderate wind
FLASH = 0.3  # part of the looks in which a blade stands across the beam
CODE_BITS = 12


def scans(sky: Sky, sensor: SimSensor, start_us: int, boot: int) -> Iterator[Owned]:
    """The messages of one turning radar, in order of arrival."""
    plan, spec = sky.plan, sensor.spec
    rng, extra = generator(plan.seed, spec.id), generator(plan.seed, spec.id, 1)
    door = Door(sensor, start_us, boot, rng, generator(plan.seed, spec.id, 2))
    before: Look | None = None
    for scan in range(int(plan.duration_s / spec.period_s) + 2):
        north_s = (scan - sensor.rpm_phase) * spec.period_s
        look = _errors(sensor, _scan(sky, sensor, rng, extra, north_s))
        if before is not None and any(a <= north_s < b for a, b in sensor.frozen_s):
            look = before | {"t_s": before["t_s"] + spec.period_s, "owner": np.full(len(before["t_s"]), -1)}
        before = look
        yield from door.messages(look, SECTOR_S, plan.duration_s, north_s + spec.period_s)
    yield from door.rest()


def _scan(sky: Sky, sensor: SimSensor, rng: np.random.Generator, extra: np.random.Generator, north_s: float) -> Look:
    """One turn of the beam that passes north at `north_s`: hits and false plots, not yet in order."""
    spec, n = sensor.spec, len(sky)
    site = sky.sites[spec.index]
    rows = sky.in_reach(spec, north_s + spec.period_s / 2)
    t_s = np.full(len(rows), north_s + spec.period_s / 2)
    for _ in range(3):  # the beam meets the object where the object is then
        xyz, velocity, alive = sky.fleet.at(t_s, rows)
        range_m, azimuth, elevation = geo.polar(site, xyz)
        t_s = north_s + spec.period_s * azimuth / (2 * np.pi)
    own, reply = sky.radar_chance(sensor, rows, xyz)
    seen = rng.random(n)[rows] < own  # drawn for all, so that who is in reach changes nothing
    heard = rng.random(n)[rows] < reply
    address = np.where(heard & sensor.mode_s & sky.mode_s[rows], sky.address[rows], -1)
    look: Look = {
        "t_s": t_s,
        "owner": rows,
        "range_m": range_m + sensor.bias_range_m + rng.normal(0.0, spec.sigma_range_m, n)[rows],
        "azimuth_rad": azimuth + sensor.bias_azimuth_rad + rng.normal(0.0, spec.sigma_azimuth_rad, n)[rows],
        # NaN where none is measured
        "elevation_rad": elevation + rng.normal(size=n)[rows] * spec.sigma_elevation_rad,
    }
    pressure = sky.pressure_height(xyz, rng.normal(0.0, sensor.sigma_pressure_m, n)[rows])
    look["pressure_height_m"] = np.where(heard, pressure, np.nan)
    look["mode3a"] = np.where(heard, _read(sensor, sky.mode3a[rows].astype(np.int64), extra), -1)
    look["address"] = address
    look["callsign"] = np.where(address >= 0, sky.callsign[rows], b"")
    if math.isfinite(spec.sigma_elevation_rad):
        look["elevation_rad"] += sensor.bias_elevation_rad
    if math.isfinite(sensor.sigma_doppler_mps):
        look["doppler_mps"] = _doppler(sky, sensor, rows, xyz, velocity, extra)
    return joined(only(look, (seen | heard) & alive), _clutter(sensor, rng, extra, north_s))


def _errors(sensor: SimSensor, look: Look) -> Look:
    """The same turn as a sensor with its true errors tells it, with the noise that it declares."""
    azimuth = look["azimuth_rad"] + steps_at(sensor.north_turns, look["t_s"])
    told = look | {
        "range_m": np.clip(look["range_m"] * (1.0 + sensor.gain_range), 0.0, None),
        "azimuth_rad": np.mod(azimuth, 2 * np.pi),
    }
    if math.isfinite(sensor.spec.sigma_elevation_rad):
        told["elevation_rad"] = np.clip(look["elevation_rad"], -np.pi / 2, np.pi / 2)
    for axis in ("range_m", "azimuth_rad", "elevation_rad"):
        told[f"sigma_{axis}"] = np.full(len(look["t_s"]), getattr(sensor.spec, f"sigma_{axis}"))
    return told


def _doppler(sky: Sky, sensor: SimSensor, rows: I8, xyz: F8, velocity: F8, extra: np.random.Generator) -> F8:
    """Range rate, positive away; now and then that of a blade."""
    n = len(sky)
    noise, flash = extra.normal(0.0, sensor.sigma_doppler_mps, n)[rows], extra.random(n)[rows] < FLASH
    tip = extra.uniform(-1.0, 1.0, n)[rows] * sky.blade_mps[rows]
    away = xyz - sky.sites[sensor.spec.index, :3]
    rate = (away * velocity).sum(axis=1) / np.maximum(np.linalg.norm(away, axis=1), 1.0)
    return np.asarray(rate + noise + np.where(flash, tip, 0.0), np.float64)


def _read(sensor: SimSensor, codes: I8, extra: np.random.Generator) -> I8:
    """Mode 3/A codes as read: where replies overlap, a bit is wrong."""
    if not sensor.garble:
        return codes
    wrong = extra.random(len(codes)) < sensor.garble
    return np.where(wrong & (codes >= 0), codes ^ (1 << extra.integers(0, CODE_BITS, len(codes))), codes)


def _clutter(sensor: SimSensor, rng: np.random.Generator, extra: np.random.Generator, north_s: float) -> Look:
    """False plots of one turn, uniform in azimuth and range: denser near the radar, as birds and ground echoes are."""
    spec = sensor.spec
    count = int(rng.poisson(spec.clutter_per_scan)) if sensor.primary else 0
    turn = rng.random(count)
    range_m = rng.uniform(min(CLUTTER_NEAREST_M, spec.range_max_m / 10), spec.range_max_m, count)
    height_m = rng.uniform(0.0, CLUTTER_TOP_M, count)
    for sector in sensor.sectors if sensor.primary else ():
        there = _sector(sector, extra)
        turn, range_m = np.concatenate([turn, there[0]]), np.concatenate([range_m, there[1]])
        height_m = np.concatenate([height_m, np.zeros(len(there[0]))])  # the surface itself
    look: Look = {
        "t_s": north_s + spec.period_s * turn,
        "range_m": range_m,
        "azimuth_rad": 2 * np.pi * turn,
        "elevation_rad": np.arcsin(np.clip(height_m / range_m, 0.0, 0.95)) + 0.0 * spec.sigma_elevation_rad,
    }
    if math.isfinite(sensor.sigma_doppler_mps):
        look["doppler_mps"] = extra.normal(0.0, CLUTTER_DOPPLER_MPS, len(turn))
    return look


def _sector(sector: ClutterSector, extra: np.random.Generator) -> tuple[F8, F8]:
    """Parts of a turn and ranges of the false plots of one sector."""
    count = int(extra.poisson(sector.per_scan))
    width = (sector.until_azimuth_rad - sector.from_azimuth_rad) % math.tau or math.tau
    turn = ((sector.from_azimuth_rad + width * extra.random(count)) % math.tau) / math.tau
    square = extra.uniform(sector.from_m**2, sector.until_m**2, count)
    return turn, np.sqrt(square)
