"""Everything in the air as arrays, and what each sensor's place lets it know of it."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion import coverage, geo
from fusion.schema import B1, CLAIM, F8, I8, SensorKind, SensorSpec
from replay.motion import Fleet
from replay.plan import Plan, SimSensor

SECONDARY_DETECTION = 0.97  # of a transponder in view: EUROCONTROL radar surveillance standard (1997), SSR
FALSE_ALARM = 1e-6  # of one radar cell: ties probability of detection to the signal in the Swerling 1 law
FEET_25_M = 7.62  # step of a reported pressure height
FASTEST_MPS = 700.0  # nothing simulated flies further than this while a beam goes round
SOUND_MPS = 340.0  # 2.9 s/km
HEARING_EDGE = 0.2  # last part of its range over which a sound fades into the noise
SEEN_BELOW_M = 3_000.0  # people see no higher
_T0_K, _LAPSE_K_PER_M = 288.15, 0.0065  # standard atmosphere, ICAO Doc 7488


def swerling(rcs_m2: F8, part_of_range: F8, detection_probability: float) -> F8:
    """How much less than an ordinary target (1 m^2) at the same place the object is seen, 0..1.

    Swerling 1: Pd = Pfa^(1/(1+SNR)), SNR proportional to rcs / range^4, tied to the sensor's own probability at its
    full range for 1 m^2. Nearer or larger than that, the object is an ordinary target: the factor is 1.
    """
    reference = np.log(FALSE_ALARM) / np.log(min(max(detection_probability, 0.01), 0.999)) - 1.0
    snr = reference * rcs_m2 / np.maximum(part_of_range, 1e-3) ** 4
    found: F8 = np.minimum(np.exp(np.log(FALSE_ALARM) / (1.0 + snr)) / max(detection_probability, 0.01), 1.0)
    return found


def generator(seed: int, name: str, stream: int = 0) -> np.random.Generator:
    """The chance of one sensor; further streams are for what was added later, so that the first stays as it was."""
    key = [seed, zlib.crc32(name.encode())]
    return np.random.default_rng([*key, stream] if stream else key)


class Sky:
    """The objects of a plan, and the sensors' places."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.fleet = Fleet([o.flight for o in plan.objects], 0.0, plan.duration_s)
        specs = tuple(s.spec for s in plan.sensors)
        self._table = coverage.sensor_table(specs, plan.ground_m)
        self.sites = geo.site_table(specs)
        said = [o.transponder for o in plan.objects]
        real = np.array([o.nothing == "" for o in plan.objects], np.bool_)
        self.real = real
        self.rcs = np.array([o.rcs_m2 for o in plan.objects], np.float64)
        self.talks = np.array([t is not None for t in said], np.bool_) & real
        self.adsb = np.array([t is not None and t.adsb for t in said], np.bool_)
        self.address = np.array([-1 if t is None else t.address for t in said], np.int32)
        self.mode_s = np.array([t is not None and t.mode_s for t in said], np.bool_)
        self.mode3a = np.array([-1 if t is None else t.mode3a for t in said], np.int32)
        self.callsign = np.array([b"" if t is None else t.callsign for t in said], "S8")
        self.gva = np.array([-1 if t is None else t.gva for t in said], np.int64)
        self.small: dict[str, NDArray[Any]] = {
            name: np.array([-1 if t is None else getattr(t, name) for t in said], np.int8)
            for name in ("nic", "nacp", "nacv", "sil", "category")
        }
        beacons = [o.beacon for o in plan.objects]
        self.beacon = np.array(["" if b is None else b.kind for b in beacons], "U12")
        self.serial = np.array([b"" if b is None else b.serial for b in beacons], "S20")
        self.data_link = np.array([o.data_link for o in plan.objects], np.bool_) & real
        self.heard_m = np.array([o.heard_m for o in plan.objects], np.float64) * real
        self.blade_mps = np.array([o.blade_mps for o in plan.objects], np.float64)

    def __len__(self) -> int:
        return len(self.fleet)

    def in_reach(self, spec: SensorSpec, t_s: float) -> I8:
        """Rows of the objects that may come into a sensor's range within its period around `t_s`."""
        if not spec.has_site:
            return np.arange(len(self))
        away = np.linalg.norm(self.fleet.about(t_s) - self.sites[spec.index, :3], axis=1)
        return np.flatnonzero(away < spec.range_max_m + FASTEST_MPS * (spec.period_s + 1.0))

    def view(self, spec: SensorSpec, xyz: F8) -> F8:
        """Range, horizon and cone of silence of the sensor's place: 0..1 for each place (k, 3)."""
        row = slice(spec.index, spec.index + 1)
        return coverage.visibility(self._table[row], self.sites[row], xyz)[:, 0]  # 1 for a receiver without a site

    def radar_chance(self, sensor: SimSensor, rows: I8, xyz: F8) -> tuple[F8, F8]:
        """Probability that a look finds each of the objects itself, and hears its transponder, each (k,)."""
        spec = sensor.spec
        view = self.view(spec, xyz)
        range_m = np.linalg.norm(xyz - self.sites[spec.index, :3], axis=1)
        weak = swerling(self.rcs[rows], range_m / spec.range_max_m, spec.detection_probability)
        own = view * spec.detection_probability * weak * float(sensor.primary) * self.real[rows]
        reply = np.where(self.talks[rows], view * SECONDARY_DETECTION, 0.0) * float(sensor.secondary)
        return own, reply

    def claims(self, sensor: SimSensor) -> I8:
        """Rows of the objects that broadcast what this receiver hears."""
        told = self.adsb if sensor.spec.kind == SensorKind.ADSB else self.beacon == sensor.hears
        return np.flatnonzero(told)

    def heard(self, sensor: SimSensor, rows: I8, xyz: F8) -> F8:
        """Probability that a listening or watching sensor notices each of the objects, (k,)."""
        spec = sensor.spec
        if spec.kind == SensorKind.BEARING and sensor.hears == "radio":
            return self.view(spec, xyz) * spec.detection_probability * self.data_link[rows]
        range_m = np.linalg.norm(xyz - self.sites[spec.index, :3], axis=1)
        if spec.kind == SensorKind.SIGHTING:
            low = geo.geodetic(xyz)[2] < self.plan.ground_m + SEEN_BELOW_M
            return self.view(spec, xyz) * spec.detection_probability * self.real[rows] * low
        reach = np.minimum(self.heard_m[rows], spec.range_max_m)
        fade = np.clip((reach - range_m) / (HEARING_EDGE * np.maximum(reach, 1.0)), 0.0, 1.0)
        return np.asarray(fade * spec.detection_probability, np.float64)

    def visible(self, sensor: SimSensor, xyz: F8) -> F8:
        """Probability that one look of the sensor gives the place of each object (n, 3), (n,).

        A bearing is no place, and people are no cover: their sensors give 0.
        """
        rows = np.arange(len(self))
        if sensor.spec.kind in (SensorKind.RADAR_2D, SensorKind.RADAR_3D):
            own, reply = self.radar_chance(sensor, rows, xyz)
            return np.asarray(1.0 - (1.0 - own) * (1.0 - reply), np.float64)
        if sensor.spec.kind in CLAIM:
            told = np.isin(rows, self.claims(sensor)) & self.real
            return np.where(told, self.view(sensor.spec, xyz) * sensor.spec.detection_probability, 0.0)
        return np.zeros(len(self))

    def pressure_height(self, xyz: F8, error_m: F8) -> F8:
        """What the altimeters of objects at these places report, with an error each, in steps of 25 ft.

        Warm air is thicker: between two pressures lies more height, in the proportion of absolute temperatures
        (hypsometric equation; ICAO Doc 8168 gives 4 % for 10 K). `warmer_k` is against the standard atmosphere.
        """
        above_sea = geo.geodetic(xyz)[2] - self.plan.geoid_m
        if self.plan.warmer_k:
            mean_k = _T0_K - _LAPSE_K_PER_M * np.clip(above_sea, 0.0, 11_000.0) / 2
            above_sea = above_sea * mean_k / (mean_k + self.plan.warmer_k)
        measured = above_sea - geo.pressure_height_correction(self.plan.qnh_hpa) + error_m
        rounded: F8 = np.round(measured / FEET_25_M) * FEET_25_M
        return rounded


def is_out(sensor: SimSensor, t_s: F8) -> B1:
    """True where the sensor is silent."""
    out = np.zeros(len(t_s), np.bool_)
    for from_s, until_s in sensor.outages_s:
        out |= (t_s >= from_s) & (t_s < until_s)
    return out


def is_blind(sensor: SimSensor, t_s: float) -> bool:
    """True while the sensor is silent, or frozen: what it repeats is no news."""
    return any(from_s <= t_s < until_s for from_s, until_s in (*sensor.outages_s, *sensor.frozen_s))


def steps_at(steps: tuple[tuple[float, float], ...], t_s: F8) -> F8:
    """Sum of the steps that have happened by each time."""
    total = np.zeros(len(t_s))
    for from_s, size in steps:
        total += np.where(t_s >= from_s, size, 0.0)
    return total
