"""What objects say of themselves, as a receiver hears it: ADS-B, Remote ID, FLARM, and all that can be wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fusion import geo
from fusion.schema import B1, F8, I8, SensorKind
from replay.door import Door, Look, Owned, only
from replay.plan import Interference, SimSensor
from replay.radar import SECTOR_S
from replay.sky import Sky, generator

GEOMETRIC_SIGMA_M = 15.0  # of ADS-B geometric height: GVA 2 is 45 m, 95 %, and receivers are better than they say
GVA_95_M = (300.0, 150.0, 45.0)  # DO-260B 2.2.3.2.7.2.8; 0 is worse than 150 m or not known
_95_TO_SIGMA = 2.448  # radius that holds 95 % of a circular normal distribution
_95_TO_SIGMA_1 = 1.96  # and of a normal distribution
NACP_95_M = (18_520.0, 18_520.0, 7_408.0, 3_704.0, 1_852.0, 926.0, 555.6, 185.2, 92.6, 30.0, 10.0, 3.0)  # ED-102A, EPU
NACV_95_MPS = (10.0, 10.0, 3.0, 1.0, 0.3)
_FULL_DRIFT_S = 600.0  # a disturbed position does not wander further than it gets in this time


@dataclass(slots=True)
class _Said:
    """What the objects that broadcast tell at one turn. Rows are those of `who`."""

    t_s: F8  # (k,) as stamped
    from_s: F8  # (k,) when the position was true
    off_east_m: F8  # (k,) wrong by
    off_north_m: F8
    nacp: I8  # (k,) accuracy that the position has, and declares
    nic: I8
    silent: B1  # (k,)


class Faults:
    """All faults of claims of one plan as arrays, applied once a turn."""

    def __init__(self, sky: Sky, rng: np.random.Generator) -> None:
        rows = [(row, f) for row, o in enumerate(sky.plan.objects) for f in o.faults]
        self._row = np.array([row for row, _ in rows], np.int64)
        self._kind = np.array([f.kind for _, f in rows], "U12")
        self._span = np.array([(f.from_s, f.until_s, f.value, f.bearing_rad) for _, f in rows]).reshape(-1, 4)
        self._areas = sky.plan.interference
        self._drift_rad = rng.uniform(0.0, 2 * np.pi, len(sky))
        self._since_s = np.full((len(self._areas), len(sky)), np.nan)  # when each object came into each area

    def apply(self, said: _Said, who: I8, xyz: F8, rng: np.random.Generator) -> None:
        """Make wrong what is wrong; `xyz` is where the objects are."""
        if not len(who):
            return
        place = np.full(len(self._drift_rad), -1)
        place[who] = np.arange(len(who))
        at = place[self._row] if len(self._row) else self._row
        t_s = said.t_s[at]
        from_s, until_s, value, bearing = self._span.T
        active = (at >= 0) & (t_s >= from_s) & (t_s < until_s)
        for kind in np.unique(self._kind[active]).tolist():
            k = active & (self._kind == kind)
            rows = at[k]
            if kind == "outage":
                said.silent[rows] = True
            elif kind == "late":
                said.from_s[rows] -= value[k]
            elif kind == "frozen":
                said.from_s[rows] = from_s[k]
            elif kind == "degraded":
                said.nacp[rows] = value[k].astype(np.int64)
                said.nic[rows] = np.minimum(said.nic[rows], said.nacp[rows])
            elif kind in ("jump", "drift"):
                far = value[k] * (t_s[k] - from_s[k] if kind == "drift" else 1.0)
                said.off_east_m[rows] += far * np.sin(bearing[k])
                said.off_north_m[rows] += far * np.cos(bearing[k])
        for number, area in enumerate(self._areas):
            self._disturb(number, area, said, who, xyz, rng)

    def _disturb(
        self, number: int, area: Interference, said: _Said, who: I8, xyz: F8, rng: np.random.Generator
    ) -> None:
        lost = rng.random(len(said.t_s)) < area.loss
        inside = in_area(area, xyz, said.t_s)
        since = self._since_s[number]
        since[who] = np.where(inside, np.fmin(since[who], said.t_s), np.nan)
        far = np.where(inside, area.drift_mps * np.minimum(said.t_s - since[who], _FULL_DRIFT_S), 0.0)
        said.off_east_m += far * np.sin(self._drift_rad[who])
        said.off_north_m += far * np.cos(self._drift_rad[who])
        said.silent |= inside & lost
        if area.declared:
            said.nacp[inside] = 0
            said.nic[inside] = 0


def in_area(area: Interference, xyz: F8, t_s: F8) -> B1:
    """Which places (k, 3) lie in the disturbed area at these times (k,)."""
    centre = geo.ecef(area.lat_rad, area.lon_rad, 0.0)[0]
    away = np.linalg.norm(xyz - centre, axis=1)
    return np.asarray((away < area.radius_m) & (t_s >= area.from_s) & (t_s < area.until_s), np.bool_)


def claims(sky: Sky, sensor: SimSensor, start_us: int, boot: int) -> Iterator[Owned]:
    """The messages of one receiver: every object's broadcast once a period, in order of arrival."""
    plan, spec, n = sky.plan, sensor.spec, len(sky)
    rng, extra = generator(plan.seed, spec.id), generator(plan.seed, spec.id, 1)
    faults = Faults(sky, generator(plan.seed, "claims"))  # what is wrong in an object is wrong for every receiver
    door = Door(sensor, start_us, boot, rng, generator(plan.seed, spec.id, 2))
    together_s = spec.period_s if sensor.format == "readsb" else SECTOR_S  # readsb tells all it knows at once
    who = sky.claims(sensor)
    offset_s = (rng.random(n) * spec.period_s)[who]
    for turn in range(int(plan.duration_s / spec.period_s) + 1):
        t_s = turn * spec.period_s + offset_s
        true, _, alive = sky.fleet.at(t_s, who)
        zero = np.zeros(len(who))
        nacp, nic = sky.small["nacp"][who].astype(np.int64), sky.small["nic"][who].astype(np.int64)
        said = _Said(t_s, t_s.copy(), zero.copy(), zero.copy(), nacp, nic, np.zeros(len(who), np.bool_))
        faults.apply(said, who, true, extra)
        look = _told(sky, sensor, who, said, rng)
        chance = sky.view(spec, true) * spec.detection_probability
        heard = rng.random(n)[who] < np.where(said.silent, 0.0, chance)
        yield from door.messages(only(look, heard & alive), together_s, plan.duration_s, (turn + 1) * spec.period_s)
    yield from door.rest()


def _told(sky: Sky, sensor: SimSensor, who: I8, said: _Said, rng: np.random.Generator) -> Look:
    """The columns of one turn, with the noise of what the object declares."""
    spec, n = sensor.spec, len(sky)
    adsb = spec.kind == SensorKind.ADSB
    if adsb:
        sigma = np.array(NACP_95_M)[np.maximum(said.nacp, 0)] / _95_TO_SIGMA
        sigma_velocity = np.array(NACV_95_MPS)[np.maximum(sky.small["nacv"][who], 0)] / _95_TO_SIGMA
        gva = sky.gva[who]
        sigma_height = np.where(gva < 0, GEOMETRIC_SIGMA_M, np.array(GVA_95_M)[np.maximum(gva, 0)] / _95_TO_SIGMA_1)
    else:
        sigma, sigma_velocity, sigma_height = (
            np.full(len(who), v) for v in (spec.sigma_position_m, spec.sigma_velocity_mps, spec.sigma_height_m)
        )
    xyz, velocity, _ = sky.fleet.at(said.from_s, who)
    lat, lon, height = geo.geodetic(xyz)
    axes = geo.enu_axes(lat, lon)
    east = rng.standard_normal(n)[who] * sigma + said.off_east_m
    north = rng.standard_normal(n)[who] * sigma + said.off_north_m
    lat, lon, height = geo.geodetic(xyz + axes[:, 0] * east[:, None] + axes[:, 1] * north[:, None])
    enu = np.einsum("nij,nj->ni", axes, velocity) + rng.standard_normal((n, 3))[who] * sigma_velocity[:, None]
    look: Look = {
        "t_s": said.t_s,
        "owner": who,
        "lat_rad": lat,
        "lon_rad": lon,
        "sigma_position_m": sigma,
        "height_m": height + rng.standard_normal(n)[who] * sigma_height,
        "sigma_height_m": sigma_height,
        "pressure_height_m": sky.pressure_height(xyz, rng.normal(0.0, sensor.sigma_pressure_m, n)[who]),
        "velocity_east_mps": enu[:, 0],
        "velocity_north_mps": enu[:, 1],
        "velocity_up_mps": enu[:, 2],
        "sigma_velocity_mps": sigma_velocity,
        "on_ground": np.zeros(len(who), np.int8),
    }
    if not adsb:
        return look | {"serial": sky.serial[who]}
    identity: Look = {"address": sky.address[who], "mode3a": sky.mode3a[who], "callsign": sky.callsign[who]}
    small: Look = {name: column[who] for name, column in sky.small.items()}
    return look | identity | small | {"nacp": said.nacp.astype(np.int8), "nic": said.nic.astype(np.int8)}
