"""Several hundred simulated crossings of the shipped border, straight and with a turn, tracked and looked ahead of.

Objects start 8 to 20 km outside at 30 to 60 m/s, roughly towards the border, and wander as the simulator's autopilots
do (0.1 degrees a second for 8 s) with 2 % of their speed over a minute. Two of three turn once, by 20 to 100 degrees
at 1 to 4 degrees a second. One sensor gives positions with 60 m of noise every 2 s, as two radars of the shipped scene
do together; the real tracker makes tracks of them, with its own covariances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from fusion import geo
from fusion.borders import border
from fusion.borders.forecast import Forecaster
from fusion.borders.outlook import Forecast
from fusion.schema import US_PER_S, PlotKind, SensorKind, SensorSpec, Tracks, fill
from fusion.tracker import Tracker
from fusion.zones import Zones
from replay.manners import wander
from replay.motion import Fleet, Flight, from_points
from tests import shipped

F8 = np.ndarray
SECONDS = 480
STRAIGHT_PART = 3  # one in three flies straight
PERIOD_S, SIGMA_M = 2.0, 60.0
MATCH_M = 800.0
START_US = 1_774_000_000_000_000


@dataclass(frozen=True)
class Run:
    """What was predicted, one row a look and object: (m,) each; and what came true."""

    who: F8
    t_s: F8
    left_s: F8  # until the object really crosses; NaN: it never does
    turns: F8  # whether it is one that turns, and began to
    low_s: F8
    time_s: F8
    high_s: F8
    straight_s: F8  # what `zones` says of the straight path
    p_crossing: F8
    band_m: F8
    time_band_s: F8
    off_m: F8  # of the place predicted from that of the crossing
    place_m: F8  # its sigma
    diverged: F8  # newly
    since_turn_s: F8  # NaN before, and of those that fly straight


def flights(n: int, rng: np.random.Generator, zones: Zones) -> tuple[list[Flight], F8]:
    """n flights, and when each begins to turn (NaN: never)."""
    pieces = np.flatnonzero(zones.facing == border.OTHER)
    lat: list[float] = []
    lon: list[float] = []
    head: list[float] = []
    taken: dict[tuple[int, int], int] = {}
    while len(lat) < n:
        a = zones.edge[int(rng.choice(pieces))]
        at = 0.5 * (a[0] + a[2]), 0.5 * (a[1] + a[3])
        cell = (round(at[0] / math.radians(0.15)), round(at[1] / math.radians(0.25)))
        if taken.get(cell, 0) >= 3:
            continue  # crowds are the tracker's business, not ours
        taken[cell] = taken.get(cell, 0) + 1
        outward = math.atan2((a[3] - a[1]) * math.cos(at[0]), a[2] - a[0]) + math.pi / 2
        begin = geo.direct_1(*at, outward + rng.normal(0.0, 0.4), rng.uniform(8e3, 20e3))
        lat.append(begin[0])
        lon.append(begin[1])
        head.append(geo.inverse_1(begin[0], begin[1], *at)[1])
    speed = rng.uniform(30.0, 60.0, n)
    turn_s = np.where(np.arange(n) < n // STRAIGHT_PART, np.nan, rng.uniform(60.0, 160.0, n))
    rates = np.stack([wander(rng, SECONDS, math.radians(0.1), 8.0) for _ in range(n)])
    speeds = np.stack([v + wander(rng, SECONDS, 0.02 * v, 60.0) for v in speed])
    for i in np.flatnonzero(~np.isnan(turn_s)):
        rate, by = math.radians(rng.uniform(1.0, 4.0)), math.radians(rng.uniform(20.0, 100.0))
        first = int(turn_s[i])
        rates[i, first : first + max(2, round(by / rate))] += rate * rng.choice([-1.0, 1.0])
    heads = np.array(head)[:, None] + np.cumsum(rates, axis=1)
    places = [(np.array(lat), np.array(lon))]
    for k in range(SECONDS - 1):
        places.append(geo.direct(*places[-1], heads[:, k] % math.tau, speeds[:, k])[:2])
    lats, lons = (np.stack([p[axis] for p in places]) for axis in (0, 1))
    when, high = np.arange(SECONDS, dtype=float), np.full(SECONDS, 400.0)
    return [from_points(when, lats[:, i], lons[:, i], high) for i in range(n)], turn_s


def table_of(xyz: F8, velocity: F8, like: Tracks) -> Tracks:
    """A table of exactly known objects."""
    n = len(xyz)
    values = {name: np.resize(getattr(like, name), (n, *getattr(like, name).shape[1:])) for name in _ARRAYS}
    values |= {"state": np.hstack([xyz, velocity]), "cov": np.zeros((n, 6, 6)), "id": np.arange(n)}
    return Tracks(like.epoch, like.t_us, **values)


_ARRAYS = [name for name in Tracks.__dataclass_fields__ if name not in ("epoch", "t_us")]


def crossed(fleet: Fleet, zones: Zones, like: Tracks) -> tuple[F8, F8]:
    """((n,) second at which each first gets over the border, NaN never; (SECONDS, n) signed distance)."""
    distance = np.stack([
        zones.facts(table_of(*fleet.at(float(t))[:2], like)).distance_m for t in range(SECONDS)
    ])  # fmt: skip
    over = (distance[1:] <= 0.0) & (distance[:-1] > 0.0)
    first, who = np.argmax(over, axis=0), np.arange(len(fleet))
    d, e = distance[first, who], distance[first + 1, who]
    return np.where(over.any(axis=0), first + d / (d - e), np.nan), distance


@cache
def run(n: int = 270, seed: int = 7) -> Run:
    """Fly, track, look ahead once a second."""
    rng, zones = np.random.default_rng(seed), shipped.zones()
    flown, turn_s = flights(n, rng, zones)
    fleet = Fleet(flown, 0.0, SECONDS)
    spec = SensorSpec("N1", 0, SensorKind.TRACK, period_s=PERIOD_S, sigma_position_m=SIGMA_M)
    tracker = Tracker([spec], None, 1, zones.geoid)
    ahead = Forecaster(zones)
    phase = rng.uniform(0.0, PERIOD_S, n)
    rows: list[F8] = []
    cross_s = distance = place = None
    for t in range(1, SECONDS):
        _plots(tracker, fleet, phase, t, rng)
        now_us = START_US + t * US_PER_S
        tracks = tracker.table(now_us)
        if not len(tracks):
            continue
        if cross_s is None or distance is None or place is None:
            cross_s, distance = crossed(fleet, zones, tracks)
            place = np.stack(geo.geodetic(fleet.at(np.nan_to_num(cross_s), np.arange(n))[0])[:2])
        facts = zones.facts(tracks)
        forecast = ahead.step(tracks, facts, now_us)
        gap, near = cKDTree(tracks.state[:, :3]).query(fleet.at(float(t))[0])
        at = np.asarray(near)
        who = np.flatnonzero((gap < MATCH_M) & (tracks.status[at] == 1) & (distance[t] > 0.0) & (t < SECONDS - 2))
        rows.append(_seen(who, at[who], t, cross_s, turn_s, forecast, facts.time_to_border_s, place))
    return Run(*np.vstack(rows).T)


def _plots(tracker: Tracker, fleet: Fleet, phase: F8, t: int, rng: np.random.Generator) -> None:
    """What the sensor measured in the second before t."""
    when = phase + np.ceil((t - 1 - phase) / PERIOD_S) * PERIOD_S
    who = np.flatnonzero((when >= t - 1) & (when < t))
    if not len(who):
        return
    who = who[np.argsort(when[who], kind="stable")]
    lat, lon, height = geo.geodetic(fleet.at(when[who], who)[0])
    lat = lat + rng.normal(0.0, SIGMA_M, len(who)) / 6.37e6
    lon = lon + rng.normal(0.0, SIGMA_M, len(who)) / (6.37e6 * np.cos(lat))
    t_us = START_US + np.round(when[who] * 1e6).astype(np.int64)
    sigma = np.full(len(who), SIGMA_M)
    batch = fill("N1", PlotKind.POSITION, START_US + t * US_PER_S, t_us, lat_rad=lat, lon_rad=lon, height_m=height,
                 sigma_position_m=sigma, sigma_height_m=sigma)  # fmt: skip
    tracker.step([batch], START_US + t * US_PER_S)


def _seen(who: F8, at: F8, t: int, cross_s: F8, turn_s: F8, forecast: Forecast, straight_s: F8, place: F8) -> F8:
    """`place` (2, n): latitude and longitude where each crosses."""
    left, since = cross_s[who] - t, t - turn_s[who]
    lat, lon = place[:, who]
    f = forecast
    off = geo.inverse(
        lat, lon, np.nan_to_num(f.crossing_lat_rad[at], nan=1.0), np.nan_to_num(f.crossing_lon_rad[at], nan=0.0)
    )[0]
    off = np.where(np.isnan(f.crossing_lat_rad[at]), np.nan, off)
    columns = (
        who, np.full(len(who), t), left, since >= 0.0, f.time_low_s[at], f.time_s[at], f.time_high_s[at],
        straight_s[at], f.p_crossing[at], f.band_m[at], f.time_band_s[at], off, f.sigma_place_m[at],
        f.diverged_s[at] == 0.0, np.where(since >= 0.0, since, np.nan),
    )  # fmt: skip
    return np.column_stack([np.asarray(c, float) for c in columns])
