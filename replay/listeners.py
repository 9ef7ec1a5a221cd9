"""Sensors that know only a direction, late: microphones, direction finders; and people, later still."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fusion import geo
from replay.door import Door, Look, Owned, joined, only
from replay.plan import SimSensor
from replay.radar import SECTOR_S
from replay.sky import SOUND_MPS, Sky, generator

SIGHTING_SIGMA_HEIGHT_M = 300.0  # of a height said by a person


def bearings(sky: Sky, sensor: SimSensor, start_us: int, boot: int) -> Iterator[Owned]:
    """The messages of one acoustic array or direction finder: a direction to each thing heard, once a period.

    Sound points to where the object was when it made it: 2.9 s ago for each kilometre. The time stamped is that of
    hearing, because nothing else is known where the distance is not.
    """
    plan, spec, n = sky.plan, sensor.spec, len(sky)
    rng = generator(plan.seed, spec.id)
    door = Door(sensor, start_us, boot, rng, generator(plan.seed, spec.id, 2))
    site = sky.sites[spec.index]
    for turn in range(int(plan.duration_s / spec.period_s) + 1):
        t_s = (turn + sensor.rpm_phase) * spec.period_s
        rows = sky.in_reach(spec, t_s)
        made_s = np.full(len(rows), t_s)
        for _ in range(3 if sensor.hears == "sound" else 1):
            xyz, _, alive = sky.fleet.at(made_s, rows)
            range_m, azimuth, elevation = geo.polar(site, xyz)
            made_s = t_s - range_m / SOUND_MPS
        heard = rng.random(n)[rows] < sky.heard(sensor, rows, xyz)
        noise = rng.normal(0.0, spec.sigma_azimuth_rad, n)[rows] + sensor.bias_azimuth_rad
        look: Look = {
            "t_s": np.full(len(rows), t_s),
            "owner": rows,
            "azimuth_rad": azimuth + noise,
            "elevation_rad": elevation + rng.normal(size=n)[rows] * spec.sigma_elevation_rad,
        }
        count = int(rng.poisson(spec.clutter_per_scan))
        false: Look = {"t_s": np.full(count, t_s), "azimuth_rad": rng.uniform(0.0, 2 * np.pi, count)}
        look = joined(only(look, heard & alive), false)
        look["azimuth_rad"] = np.mod(look["azimuth_rad"], 2 * np.pi)
        look["elevation_rad"] = np.clip(look["elevation_rad"], -np.pi / 2, np.pi / 2)
        for axis in ("azimuth_rad", "elevation_rad"):
            look[f"sigma_{axis}"] = np.full(len(look["t_s"]), getattr(spec, f"sigma_{axis}"))
        yield from door.messages(look, SECTOR_S, plan.duration_s, t_s + spec.period_s)
    yield from door.rest()


def sightings(sky: Sky, sensor: SimSensor, start_us: int, boot: int) -> Iterator[Owned]:
    """The reports of people around one place: each object that passes is reported once, coarsely, minutes later."""
    plan, spec, n = sky.plan, sensor.spec, len(sky)
    rng = generator(plan.seed, spec.id)
    door = Door(sensor, start_us, boot, rng, generator(plan.seed, spec.id, 2))
    told = np.zeros(n, np.bool_)
    for turn in range(int(plan.duration_s / spec.period_s) + 1):
        t_s = turn * spec.period_s
        rows = sky.in_reach(spec, t_s)
        xyz, _, alive = sky.fleet.at(t_s, rows)
        seen = (rng.random(n)[rows] < sky.heard(sensor, rows, xyz)) & alive & ~told[rows]
        told[rows[seen]] = True
        lat, lon, height = geo.geodetic(xyz)
        axes = geo.enu_axes(lat, lon)
        off = rng.normal(0.0, spec.sigma_position_m, (n, 2))[rows]
        lat, lon, _ = geo.geodetic(xyz + axes[:, 0] * off[:, :1] + axes[:, 1] * off[:, 1:])
        look: Look = {
            "t_s": t_s + rng.random(n)[rows] * SECTOR_S,
            "owner": rows,
            "lat_rad": lat,
            "lon_rad": lon,
            "sigma_position_m": np.full(len(rows), spec.sigma_position_m),
            "height_m": height + rng.normal(0.0, SIGHTING_SIGMA_HEIGHT_M, n)[rows],
            "sigma_height_m": np.full(len(rows), SIGHTING_SIGMA_HEIGHT_M),
        }
        # each report is a message of its own: people do not tell together
        for row in np.flatnonzero(seen).tolist():
            one = only(look, np.array([row]))
            yield from door.messages(one, SECTOR_S, plan.duration_s, t_s)
    yield from door.rest()
