"""Real flights moved to a border: simulated radars look at them, and those that had a transponder keep speaking.

Every flight is a window of a recording, cut where it has no gap, moved as it is, without a turn, so that its first
point comes to a drawn place 5 to 30 km inside the border: the offset is that place, printed by `offsets`. Paragliders
say nothing; their lowest point comes to 300 m above ground. Recordings stay where they are; tests only.
"""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from fusion import geo
from fusion.schema import F8
from replay import night
from replay.motion import Agility, Waypoint, fly, from_points
from replay.plan import Plan, SimObject, Transponder
from replay.simulate import Scenario
from replay.sky import Sky
from tests import shipped
from tests.nights import THEATRES, covered, told

FOOT_M = 0.3048
LONGEST_GAP_S = 60.0
LEAST_S = 240.0  # a shorter piece of a recording shows nothing
INSIDE_M = (-30_000.0, -5_000.0)
STAYS_M = -1_000.0  # a flight that comes no nearer to the border than this stays inside
HIGHEST_M, FASTEST_MPS = 14_000.0, 330.0  # what is beyond is an error of the recording
LOWEST_M = 300.0  # of a moved paraglider, above ground
TRIES = 400
STAYING, FLOWN_IN = 15, 2  # paragliders of a scene
GERBERA_MPS, GERBERA_M = 15.0, 100.0  # of 10 July 2025


@dataclass(frozen=True, slots=True)
class Piece:
    """A window of one recorded flight."""

    name: str
    t_s: F8  # (k,) from 0
    lat_rad: F8
    lon_rad: F8
    height_m: F8  # above the sea, as recorded


@cache
def paragliders(data: Path, lasts_s: float) -> list[Piece]:
    """Windows of the recorded paragliders, one after the other, while they fly (faster than 4 m/s in the mean)."""
    found = []
    for path in sorted((data / "recordings/igc-paraglider").glob("*.igc.gz")):
        lines = [line for line in _text(path).splitlines() if line.startswith("B")]
        found += _pieces(path.name.split(".")[0], np.array([_igc(line) for line in lines]), lasts_s, 4.0)
    return found


def _text(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")


def _igc(line: str) -> tuple[float, float, float, float]:
    """Second of the day, latitude, longitude, height of one B record (FAI sporting code, IGC file format)."""
    t_s = int(line[1:3]) * 3_600 + int(line[3:5]) * 60 + int(line[5:7])
    lat = (int(line[7:9]) + int(line[9:14]) / 60_000) * (1 if line[14] == "N" else -1)
    lon = (int(line[15:18]) + int(line[18:23]) / 60_000) * (1 if line[23] == "E" else -1)
    return float(t_s), lat, lon, float(line[30:35])


@cache
def speaking(data: Path, lasts_s: float) -> list[Piece]:
    """Windows of recorded aircraft with ADS-B: airliners, light and survey aircraft, gliders, helicopters.

    The sample with a faulty clock is left out: nobody knows where that aircraft was, so no radar can look at it.
    """
    found = []
    for path in sorted((data / "recordings/adsb-traffic-samples").glob("*.csv*")):
        if path.name.startswith(("noisy", "onground")):
            continue
        rows: dict[str, list[tuple[float, float, float, float]]] = {}
        for row in csv.DictReader(_text(path).splitlines()):
            words = [row[name] for name in ("t_unix", "lat", "lon", "baro_alt_ft")]
            if all(words) and row.get("onground") not in ("True", "true", "1"):
                t_s, lat, lon, feet = (float(word) for word in words)
                rows.setdefault(row["icao24"], []).append((t_s, lat, lon, feet * FOOT_M))
        for address in sorted(rows):
            found += _pieces(f"{path.name.split('.')[0]}-{address}", np.array(rows[address]), lasts_s, 15.0)[:2]
    return found


def _pieces(name: str, fixes: np.ndarray, lasts_s: float, least_mps: float) -> list[Piece]:
    """Windows of `lasts_s` (the last of a stretch may be shorter) without gaps, jumps or ground."""
    order = np.argsort(fixes[:, 0], kind="stable")
    fixes = fixes[order][np.diff(fixes[order, 0], prepend=-np.inf) > 0.0]
    fixes = fixes[(fixes[:, 3] > -100.0) & (fixes[:, 3] < HIGHEST_M)]
    if len(fixes) < 2:
        return []
    dt_s, step_m = np.diff(fixes[:, 0]), _steps(fixes)
    climb = np.abs(np.diff(fixes[:, 3])) / dt_s
    broken = (dt_s > LONGEST_GAP_S) | (step_m / dt_s > FASTEST_MPS) | (climb > 60.0)
    found = []
    for stretch in np.split(fixes, np.flatnonzero(broken) + 1):
        for first_s in np.arange(stretch[0, 0], stretch[-1, 0], lasts_s):
            part = stretch[(stretch[:, 0] >= first_s) & (stretch[:, 0] < first_s + lasts_s)]
            if len(part) < 10 or part[-1, 0] - part[0, 0] < LEAST_S:
                continue
            if _steps(part).sum() / (part[-1, 0] - part[0, 0]) >= least_mps:
                lat, lon = np.radians(part[:, 1]), np.radians(part[:, 2])
                found.append(Piece(name, part[:, 0] - part[0, 0], lat, lon, part[:, 3]))
    return found


def _steps(fixes: np.ndarray) -> F8:
    xyz = geo.ecef(np.radians(fixes[:, 1]), np.radians(fixes[:, 2]), np.zeros(len(fixes)))
    return np.asarray(np.linalg.norm(np.diff(xyz, axis=0), axis=1), np.float64)


def placed(piece: Piece, lat: float, lon: float) -> tuple[F8, F8]:
    """The same way, metre by metre and course by course, from another place: (latitudes, longitudes)."""
    way = [geo.inverse_1(piece.lat_rad[0], piece.lon_rad[0], a, o)[:2] for a, o in zip(*_places(piece), strict=True)]
    ends = [geo.direct_1(lat, lon, bearing, away) for away, bearing in way]
    return np.array([end[0] for end in ends]), np.array([end[1] for end in ends])


def _places(piece: Piece) -> tuple[list[float], list[float]]:
    return piece.lat_rad.tolist(), piece.lon_rad.tolist()


def _out_m(lat: F8, lon: F8) -> F8:
    at = shipped.zones().at
    every = max(1, len(lat) // 90)
    return np.array([at(a, o)[1] for a, o in zip(lat[::every].tolist(), lon[::every].tolist(), strict=True)])


@dataclass(frozen=True, slots=True)
class Moved:
    """A scene of moved flights, and which objects are what."""

    plan: Plan
    staying: tuple[str, ...]
    flown_in: tuple[str, ...]
    speaking: tuple[str, ...]
    drone: str
    hours: float  # of the staying paragliders
    offsets: tuple[tuple[str, float, float], ...]  # name, degrees north, degrees east


def scene(data: Path, number: int, duration_s: float, most: int = 40) -> Moved:
    """Scene `number` in the theatres by turns: paragliders that stay, some that are flown in, a Gerbera, and `most`
    aircraft that speak."""
    base = night.night(THEATRES[number % len(THEATRES)], shipped.zones().at, number, duration_s, mix=())
    rng = np.random.default_rng([number, 99])
    drawn = night.Places(base, shipped.zones().at)
    silent, loud = paragliders(data, duration_s), speaking(data, duration_s)
    silent = [silent[k] for k in rng.permutation(len(silent)).tolist()]
    loud = [loud[k] for k in rng.permutation(len(loud)).tolist()][:most]
    made: list[SimObject] = []
    offsets: list[tuple[str, float, float]] = []

    def put(piece: Piece, name: str, span: tuple[float, float], fits: tuple[float, float, float]) -> bool:
        """From a place within `span`; its last point within fits[0:2], and no point further out than fits[2]."""
        for _ in range(TRIES // 10):
            lat, lon = drawn.draw(rng, *span)
            lats, lons = placed(piece, lat, lon)
            out_m = _out_m(lats, lons)
            if fits[0] <= out_m[-1] <= fits[1] and out_m.max() <= fits[2]:
                break
        else:
            return False
        made.append(_object(piece, name, lats, lons, base))
        north, east = (math.degrees(v) for v in (lat - piece.lat_rad[0], lon - piece.lon_rad[0]))
        offsets.append((name, round(north, 4), round(east, 4)))
        return True

    staying, flown_in = _sort(silent, put)
    spoken = [f"adsb-{k}-{piece.name}" for k, piece in enumerate(loud)]
    for piece, name in zip(loud, spoken, strict=True):
        put(piece, name, INSIDE_M, (-math.inf, math.inf, math.inf))
    made.append(gerbera(base, drawn, rng))
    known = {o.id: o for o in made}
    hours = sum(float(known[n].flight.t_s[-1] - known[n].flight.t_s[0]) for n in staying) / 3_600
    plan = replace(base, name=f"moved-{number}", objects=tuple(made))
    return Moved(plan, tuple(staying), tuple(flown_in), tuple(spoken), "gerbera", hours, tuple(offsets))


def _sort(silent: Sequence[Piece], put: object) -> tuple[list[str], list[str]]:
    """The first that can be flown in are; those that can stay, stay."""
    assert callable(put)
    staying: list[str] = []
    flown_in: list[str] = []
    for k, piece in enumerate(silent):
        name = f"para-{k}-{piece.name}"
        inward = len(flown_in) < FLOWN_IN and piece.t_s[-1] > 270.0
        if inward and put(piece, name, (1_000.0, 4_000.0), (-math.inf, -1_500.0, 6_000.0)):
            flown_in.append(name)
        elif len(staying) < STAYING and put(piece, name, INSIDE_M, (-math.inf, STAYS_M, STAYS_M)):
            staying.append(name)
        if len(staying) == STAYING and len(flown_in) == FLOWN_IN:
            break
    return staying, flown_in


def _object(piece: Piece, name: str, lat: F8, lon: F8, base: Plan) -> SimObject:
    number = int(name.split("-")[1])
    says = Transponder(address=0x4B0000 + number, callsign=f"T{number:04d}".encode(), mode3a=0o7000, category=1)
    if name.startswith("adsb"):
        height_m = piece.height_m + base.geoid_m
        return SimObject(name, from_points(piece.t_s, lat, lon, height_m), 3.0, says, kind="light-aircraft")
    height_m = piece.height_m - piece.height_m.min() + base.ground_m + LOWEST_M
    return SimObject(name, from_points(piece.t_s, lat, lon, height_m), 0.7, None, kind="paraglider")


def gerbera(base: Plan, drawn: night.Places, rng: np.random.Generator) -> SimObject:
    """The Gerbera of 10 July 2025: 15 m/s at 100 m, from 3 km outside to 1 km inside, and down.

    From the first place drawn on whose whole way some radar sees it with an even chance.
    """
    at = shipped.zones().at
    for _ in range(TRIES):
        lat, lon = drawn.draw(rng, 2_500.0, 3_500.0)
        inward = night.inward(at, lat, lon)
        end = geo.direct_1(lat, lon, inward, 4_200.0)
        height_m = base.ground_m + GERBERA_M
        way = [Waypoint(a, o, height_m, GERBERA_MPS) for a, o in ((lat, lon), end[:2])]
        flight = fly(way, 60.0, base.duration_s, Agility(math.radians(5.0), 4.0))
        made = SimObject("gerbera", flight, 0.1, None, kind="gerbera", heard_m=3_000.0)
        if _seen(base, made):
            return made
    raise ValueError("no place at the border where a radar sees so low")


def _seen(base: Plan, drone: SimObject) -> bool:
    """Some radar could see it on all its way: what none can see, none can tell of."""
    plan = replace(base, objects=(drone,))
    sky, row = Sky(plan), np.array([0])
    knots = drone.flight.xyz_m[:: max(1, len(drone.flight.xyz_m) // 20)]
    return all(bool(covered(sky, plan, row, xyz[None, :]).all()) for xyz in knots)


def run(data: Path, number: int, duration_s: float = 1_800.0, most: int = 40) -> dict[str, int]:
    """One moved scene: what was alerted, and for how long paragliders stayed."""
    found = scene(data, number, duration_s, most)
    alerts = told(Scenario(found.plan), 0.0)
    of = {
        name: [n for n in getattr(found, name) if n in alerts.counted] for name in ("staying", "flown_in", "speaking")
    }
    return {
        "paraglider_seconds": round(found.hours * 3_600),
        "flown_in": len(found.flown_in),
        "spoken": len(found.speaking),
        "drones": 1,
        "alerted_staying": len(of["staying"]),
        "alerted_flown_in": len(of["flown_in"]),
        "alerted_speaking": len(of["speaking"]),
        "alerted_drones": int(found.drone in alerts.counted),
        "alerted_nothing": sum(name.startswith("nothing") for name in alerts.counted),
    }
