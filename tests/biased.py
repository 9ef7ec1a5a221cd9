"""A sky of aircraft, radars that measure it wrongly in known ways, and the plots of both: for tests of registration.

Everything is straight flight in ECEF and plain noise, so that what is wrong is only what the test asked for. The plots
come as `fusion.kernels.PLOT`, as the tracker makes them, in order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fusion.bias.sensorbias import SensorBias
from fusion.filters.params import M_A, M_B, M_C, M_KIND, M_SA, M_SB, M_SC, M_SITE, M_SV, M_VE, M_VU
from fusion.geo import ecef, enu_axes, geodetic, polar, site_table
from fusion.kernels import PLOT, Rec
from fusion.registration import Registration, RegistrationParams
from fusion.schema import F8, US_PER_S, PlotKind, Plots, SensorKind, SensorSpec
from fusion.schema import plots as make

T0_US = 1_795_414_500_000_000


@dataclass(frozen=True)
class Radar:
    """A radar and what is wrong with it. `wrong` may change its plots (columns of `Radar.scan`) after a time."""

    spec: SensorSpec
    range_m: float = 0.0
    gain: float = 0.0
    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    time_s: float = 0.0
    clutter: float = 40.0
    latency_s: tuple[float, float] = (0.2, 0.5)
    detection: float = 0.9
    mode_s: bool = False
    changes: dict[float, dict[str, float]] = field(default_factory=dict)  # from second: fields that change
    north_deg: tuple[float, float, float] = (0.0, 0.0, 0.0)  # turned by, from, until second
    clock_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    frozen_s: tuple[float, float] = (0.0, 0.0)

    def at(self, t_s: float) -> Radar:
        """As it is at a time."""
        now = self
        for since, what in sorted(self.changes.items()):
            if t_s >= since:
                now = replace(now, **cast(Any, what))
        return now


def radar(index: int, lat: float, lon: float, period_s: float = 5.0, dims: int = 2, **wrong: object) -> Radar:
    """A radar with sigmas that go with its period."""
    slow = period_s > 7.0
    spec = SensorSpec(
        f"R{index}",
        index,
        SensorKind.RADAR_3D if dims == 3 else SensorKind.RADAR_2D,
        np.radians(lat),
        np.radians(lon),
        100.0,
        period_s,
        250_000.0,
        100.0 if slow else 60.0,
        np.radians(0.15 if slow else 0.1),
        np.radians(0.3) if dims == 3 else np.nan,
    )
    return Radar(spec, **wrong)  # type: ignore[arg-type]


@dataclass
class Sky:
    """Aircraft (n,) with a share of them silent, and what goes wrong with their reports."""

    n: int = 60
    silent: float = 0.5
    seed: int = 1
    centre: tuple[float, float] = (54.5, 23.5)
    extent_m: float = 200_000.0
    claim_latency_s: tuple[float, float] = (0.1, 1.0)
    degraded: float = 0.04  # share whose declared sigma is 200 m
    ghosts: int = 0  # claims without an aircraft
    shared: int = 0  # addresses used by two aircraft
    claims: bool = True
    claims_until_s: float = 1e9
    claim_clock_s: tuple[float, float] = (0.0, 1e9)  # reports carry a time that is wrong by so much, from a second on

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        n = self.n + self.ghosts
        where = np.radians(self.centre)
        e, north = rng.uniform(-self.extent_m, self.extent_m, (2, n))
        lat = where[0] + north / 6.37e6
        lon = where[1] + e / 6.37e6 / np.cos(where[0])
        height = rng.uniform(1_000.0, 11_000.0, n)
        speed, course = rng.uniform(60.0, 240.0, n), rng.uniform(0.0, 2 * np.pi, n)
        self.x0 = ecef(lat, lon, height)
        enu = np.stack([speed * np.sin(course), speed * np.cos(course), np.zeros(n)], axis=1)
        self.v = np.einsum("nij,ni->nj", enu_axes(lat, lon), enu)
        self.talks = rng.random(n) >= self.silent
        self.talks[self.n :] = True
        self.sigma = np.where(rng.random(n) < self.degraded, 200.0, 15.0)
        self.address = 0x400000 + np.arange(n)
        for k in range(self.shared):
            self.address[2 * k] = self.address[2 * k + 1]
        self.rng = rng


def scan(sky: Sky, spec: Radar, number: int) -> dict[str, F8]:
    """One turn of a radar: columns t (measured), true_t, range, azimuth, elevation, address."""
    rng, row = sky.rng, spec.spec
    site = site_table([row])[0]
    start = number * row.period_s
    t = np.full(sky.n, start)
    for _ in range(3):
        x = sky.x0[: sky.n] + sky.v[: sky.n] * t[:, None]
        r, az, el = polar(site, x)
        t = start + az / (2 * np.pi) * row.period_s
    now = spec.at(start)
    seen = (r < row.range_max_m) & (el > -0.01) & (rng.random(sky.n) < now.detection)
    r, az, el, t = r[seen], az[seen], el[seen], t[seen]
    r = r * (1.0 + now.gain) + now.range_m + rng.normal(0.0, row.sigma_range_m, len(r))
    az = az + np.radians(now.azimuth_deg) + rng.normal(0.0, row.sigma_azimuth_rad, len(r))
    el = el + np.radians(now.elevation_deg) + np.nan_to_num(rng.normal(0.0, 1.0, len(r)) * row.sigma_elevation_rad)
    k = rng.poisson(now.clutter)
    u = rng.random(k) * 2 * np.pi
    found = {
        "true_t": np.concatenate([t, start + u / (2 * np.pi) * row.period_s]),
        "range": np.concatenate([r, np.sqrt(rng.random(k)) * row.range_max_m]),
        "azimuth": np.concatenate([az, u]),
        "elevation": np.concatenate([el, rng.uniform(0.0, 0.1, k)]),
        "address": np.concatenate([np.where(now.mode_s, sky.address[: sky.n][seen], -1), np.full(k, -1)]),
    }
    found["t"] = found["true_t"] + now.time_s
    turned, since, until = spec.north_deg
    if since <= start < until:
        found["azimuth"] = found["azimuth"] + np.radians(turned)
    stepped, since, until = spec.clock_s
    if since <= start < until:
        found["t"] = found["t"] + stepped
    found["azimuth"] = np.mod(found["azimuth"], 2 * np.pi)
    return found


def radar_plots(sky: Sky, spec: Radar, duration_s: float) -> Rec:
    """All plots of one radar."""
    turns: list[dict[str, F8]] = []
    for number in range(int(duration_s / spec.spec.period_s)):
        turn = scan(sky, spec, number)
        since, until = spec.frozen_s
        start = number * spec.spec.period_s
        if turns and since <= start < until:
            old = {key: value.copy() for key, value in turns[-1].items()}
            for key in ("t", "true_t"):
                old[key] += spec.spec.period_s
            turn = old
        turns.append(turn)
    c = {key: np.concatenate([turn[key] for turn in turns]) for key in turns[0]}
    n = len(c["t"])
    out = np.zeros(n, PLOT)
    row = np.full((n, out["row"].shape[1]), np.nan)
    row[:, M_KIND], row[:, M_SITE] = int(PlotKind.POLAR), spec.spec.index
    row[:, M_A], row[:, M_B] = c["range"], c["azimuth"]
    row[:, M_SA], row[:, M_SB] = spec.spec.sigma_range_m, spec.spec.sigma_azimuth_rad
    if spec.spec.kind == SensorKind.RADAR_3D:
        row[:, M_C], row[:, M_SC] = c["elevation"], spec.spec.sigma_elevation_rad
    delay = sky.rng.uniform(*spec.latency_s, n)
    return _filled(out, row, spec.spec.index, PlotKind.POLAR, c["t"], c["true_t"] + delay, c["address"])


def claim_plots(sky: Sky, index: int, duration_s: float, period_s: float = 1.0) -> Rec:
    """All reports of the aircraft that talk."""
    who = np.flatnonzero(sky.talks) if sky.claims else np.empty(0, np.int64)
    t = (np.arange(int(duration_s / period_s)) * period_s)[:, None] + sky.rng.random(len(who)) * period_s
    i = np.broadcast_to(who, t.shape)[t < sky.claims_until_s]
    t = t[t < sky.claims_until_s]
    x = sky.x0[i] + sky.v[i] * t[:, None]
    lat, lon, height = geodetic(x)
    axes = enu_axes(lat, lon)
    n = len(t)
    off = sky.rng.normal(0.0, 1.0, (n, 2)) * sky.sigma[i][:, None]
    lat, lon, height = geodetic(x + axes[:, 0] * off[:, :1] + axes[:, 1] * off[:, 1:])
    out = np.zeros(n, PLOT)
    row = np.full((n, out["row"].shape[1]), np.nan)
    row[:, M_KIND], row[:, M_SITE] = int(PlotKind.POSITION), -1
    row[:, M_A], row[:, M_B], row[:, M_C] = lat, lon, height + sky.rng.normal(0.0, 15.0, n)
    row[:, M_SA], row[:, M_SC], row[:, M_SV] = sky.sigma[i], 15.0, 1.0
    row[:, M_VE : M_VU + 1] = np.einsum("nij,nj->ni", axes, sky.v[i]) + sky.rng.normal(0.0, 1.0, (n, 3))
    delay = sky.rng.uniform(*sky.claim_latency_s, n)
    wrong_s, since = sky.claim_clock_s
    stamped = t + np.where(t >= since, wrong_s, 0.0)
    return _filled(out, row, index, PlotKind.POSITION, stamped, t + delay, sky.address[i])


def _filled(out: Rec, row: F8, sensor: int, kind: PlotKind, t_s: F8, rx_s: F8, address: NDArray[Any]) -> Rec:
    out["row"], out["sensor"], out["kind"] = row, sensor, int(kind)
    out["t_us"] = T0_US + np.round(t_s * US_PER_S).astype(np.int64)
    out["rx_us"] = T0_US + np.round(rx_s * US_PER_S).astype(np.int64)
    out["address"] = address.astype(np.int64)
    out["mode3a"] = out["category"] = out["on_ground"] = -1
    return out


def batches(plots: Rec, sensors: Sequence[SensorSpec]) -> list[Plots]:
    """Plots of one tick as the tracker takes them, one batch a sensor."""
    found = []
    for spec in sensors:
        mine = plots[plots["sensor"] == spec.index]
        if len(mine) == 0:
            continue
        row = mine["row"].T
        rx_us = int(mine["rx_us"].max())
        if spec.kind == SensorKind.ADSB:
            found.append(
                make(
                    spec.id, PlotKind.POSITION, rx_us, mine["t_us"], lat_rad=row[M_A], lon_rad=row[M_B],
                    height_m=row[M_C], sigma_position_m=row[M_SA], sigma_height_m=row[M_SC],
                    velocity_east_mps=row[M_VE], velocity_north_mps=row[M_VE + 1], velocity_up_mps=row[M_VU],
                    sigma_velocity_mps=row[M_SV], address=mine["address"],
                )
            )  # fmt: skip
        else:
            height = {"elevation_rad": row[M_C]} if spec.kind == SensorKind.RADAR_3D else {}
            range_m = np.maximum(row[M_A], 0.0)
            found.append(
                make(spec.id, PlotKind.POLAR, rx_us, mine["t_us"], range_m=range_m, azimuth_rad=row[M_B], **height)
            )
    return found


class Run:
    """One registration over a sky and its radars, step by step."""

    def __init__(
        self, sky: Sky, radars: list[Radar], duration_s: float, params: RegistrationParams | None = None
    ) -> None:
        receiver = SensorSpec("Z", len(radars), SensorKind.ADSB)
        self.sensors = (*(r.spec for r in radars), receiver)
        self.registration = Registration(self.sensors, site_table(self.sensors), params)
        parts = [radar_plots(sky, r, duration_s) for r in radars]
        parts.append(claim_plots(sky, len(radars), duration_s))
        self.plots = np.concatenate(parts)
        self.plots = self.plots[np.argsort(self.plots["rx_us"], kind="stable")]
        self.duration_s = duration_s

    def ticks(self, step_s: float = 0.5) -> Iterator[tuple[float, Rec]]:
        """Seconds of arrival and the plots that arrived since."""
        at = 0
        for k in range(1, int(self.duration_s / step_s) + 1):
            end = int(np.searchsorted(self.plots["rx_us"], T0_US + round(k * step_s * US_PER_S)))
            yield k * step_s, self.plots[at:end].copy()
            at = end

    def report(self) -> tuple[SensorBias, ...]:
        """Of the radars."""
        return tuple(bias for bias in self.registration.report() if bias is not None)

    def through(self, look: Callable[[float, tuple[SensorBias, ...]], None] | None = None) -> tuple[SensorBias, ...]:
        """All of it; `look` sees the report of every second."""
        for t_s, plots in self.ticks():
            self.registration.observe(plots, T0_US + round(t_s * US_PER_S))
            self.registration.correct(plots)
            if look is not None and t_s == int(t_s):
                look(t_s, self.report())
        return self.report()
