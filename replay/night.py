"""A mixed night at a border, drawn from a seed: drones on all their courses, and everything harmless among them.

    plan = night("baltic", zones.at, seed=7)
    for batch in Scenario(plan).batches(): ...

What flies, how many, and from where to where is data: a tuple of `Flock`, of which `MIXED` is the night that alerts are
judged by (tests/nights.py, docs/explanation/false-alarms.md) and `CIVIL` a busy day without a single drone. Places are
found by their distance to the border, which the caller's zones know; the sensors are those of a theatre of
`replay/scenarios`. Every object has a generator of its own, seeded by night, flock and number.
"""

from __future__ import annotations

import datetime
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fusion import geo
from fusion.schema import SensorKind
from replay import company, objects, scenario, traffic
from replay.manners import Span, Start
from replay.motion import Flight
from replay.objects import ClassSpec, Emits
from replay.plan import Plan, SimObject, SimSensor

At = Callable[[float, float], tuple[str, float]]  # (lat, lon) in radians -> (state, distance to the border in m, out +)

START = datetime.datetime(2026, 5, 20, 20, 0, tzinfo=datetime.UTC)
NEAR_RADAR_M = 100_000.0  # range up to which a radar is there to see what flies low: places are drawn around these
AROUND_M = 75_000.0  # about one of them: as far as it sees 100 to 200 m high
TRIES = 4_000  # places drawn before one is given up
STAY_TRIES, STAY_M, STAY_S = 40, 2_000.0, 20.0  # flights drawn, kept off the border by so much, looked at so often
SLOPE_M = 1_500.0  # over which the way to the border is felt
SPEAKS, SILENT = Emits(adsb=1.0), Emits()
_PLACE = ("lat_rad", "lon_rad", "height_m")
LOW = ((60.0, 300.0, 1.0),)
HIGH = ((1_800.0, 3_500.0, 1.0),)


@dataclass(frozen=True, slots=True)
class Flock:
    """Objects of one class that begin in like places and fly in like ways."""

    name: str
    kind: str  # of objects.CATALOGUE
    count: tuple[int, int]  # least, most
    out_m: Span  # distance to the border where it begins: positive outside, negative inside
    course: str = "any"  # "in" across the border, "along" it, "with" the others of the night, "any"
    spread_rad: float = math.pi  # evenly to both sides of that course
    together_m: float = 0.0  # all within this of one place; 0: each somewhere else
    group: int = 1  # so many on one way, one after the other
    bands_m: tuple[tuple[float, float, float], ...] = ()  # instead of the heights of its class
    speed_mps: float = 0.0  # instead of the speed of its class
    emits: Emits | None = None  # instead of the voice of its class
    stays: bool = False  # on its side of the border: pilots know where it is
    when: Span = (-1.0, -1.0)  # begins within this part of the night; negative: is there before it


_WIDE, _DEEP, _FIELD = (-60_000.0, 40_000.0), (-60_000.0, -12_000.0), (-40_000.0, -5_000.0)
_COMES = (33_000.0, 48_000.0)  # beyond near: what comes is seen coming, where anything sees it
_SOON, _LATER = (0.0, 0.4), (0.1, 0.5)
_SIDE = math.radians(40.0)
# The drones of one night: two dozen, as in the largest. Two thirds come over the border low.
_DRONES = (
    Flock("single", "shahed", (2, 3), _COMES, "in", _SIDE, bands_m=LOW, when=_SOON),
    Flock("pair", "gerbera", (2, 2), _COMES, "in", _SIDE, group=2, bands_m=LOW, when=_SOON),
    Flock("group", "shahed", (3, 6), _COMES, "in", _SIDE, group=6, bands_m=LOW, when=_SOON),
    Flock("decoy", "parodiya", (2, 3), _COMES, "in", _SIDE, bands_m=((100.0, 800.0, 1.0),), when=_SOON),
    Flock("along", "gerbera", (2, 3), (4_000.0, 18_000.0), "along", 0.3, bands_m=LOW, when=_SOON),
    Flock("scout", "orlan-10", (1, 2), (3_000.0, 15_000.0), "along", 0.6, bands_m=((300.0, 900.0, 1.0),), when=_LATER),
    Flock("loiter", "lancet", (1, 2), (5_000.0, 15_000.0), "in", _SIDE, bands_m=((150.0, 800.0, 1.0),), when=_LATER),
    Flock(
        "dying",
        "gerbera",
        (1, 1),
        (4_000.0, 7_000.0),
        "in",
        0.5,
        bands_m=((90.0, 120.0, 1.0),),
        speed_mps=15.0,
        when=_LATER,
    ),
    Flock("copter", "quadcopter", (2, 3), (1_000.0, 4_000.0), "in", _SIDE, emits=SILENT, when=_LATER),
    Flock("high", "shahed", (1, 2), _COMES, "in", _SIDE, bands_m=HIGH, when=_SOON),
)
# What is in the air of a border region besides. Who says nothing flies on both sides of the border, as birds do, or, as
# people do, where it took off: mostly at home, some beyond.
_HARMLESS = (
    Flock("geese", "geese", (18, 30), _WIDE, "with", math.radians(25.0)),
    Flock("club", "sailplane", (4, 6), _DEEP, together_m=25_000.0, stays=True),
    Flock("hill", "paraglider", (4, 6), _FIELD, together_m=12_000.0, emits=SILENT, stays=True),
    Flock("abroad", "paraglider", (1, 2), (4_000.0, 30_000.0), emits=SILENT, stays=True),
    Flock("field", "ultralight", (3, 5), _DEEP, together_m=20_000.0, stays=True),
    Flock("quiet", "light-aircraft", (3, 4), _DEEP, emits=SILENT, stays=True),
    Flock("foreign", "light-aircraft", (1, 1), (8_000.0, 40_000.0), emits=SILENT, stays=True),
    Flock("tourer", "light-aircraft", (8, 12), _WIDE, emits=SPEAKS),
    Flock("rescue", "helicopter", (4, 6), _FIELD, emits=SPEAKS, stays=True),
    Flock("liner", "airliner", (10, 14), (-90_000.0, 70_000.0), emits=SPEAKS),
    Flock("pleasure", "smuggling-balloon", (2, 3), _DEEP, bands_m=((300.0, 1_500.0, 1.0),)),
    Flock("smuggler", "smuggling-balloon", (1, 2), (2_000.0, 20_000.0)),
    Flock("farm", "wind-turbine", (8, 20), _FIELD, together_m=3_000.0),
    Flock("far-farm", "wind-turbine", (3, 6), (4_000.0, 28_000.0), together_m=2_000.0),
)
MIXED = (*_DRONES, *_HARMLESS)
# Five hundred that are what they seem, at the border: those that answer fly on both sides and across it; light aircraft
# and gliders without a transponder take off at home.
CIVIL = (
    Flock("liner", "airliner", (220, 220), (-60_000.0, 40_000.0), emits=SPEAKS),
    Flock("tourer", "light-aircraft", (130, 130), (-50_000.0, 30_000.0), emits=SPEAKS),
    Flock("answers", "light-aircraft", (30, 30), (-50_000.0, 30_000.0), emits=Emits(mode_ac=1.0)),
    Flock("copter", "helicopter", (40, 40), (-50_000.0, 20_000.0), emits=SPEAKS),
    Flock("ultra", "ultralight", (20, 20), (-50_000.0, 20_000.0), emits=SPEAKS),
    Flock("quiet", "light-aircraft", (30, 30), _DEEP, emits=SILENT, stays=True),
    Flock("club", "sailplane", (30, 30), _DEEP, stays=True),
)


def night(
    name: str, at: At, seed: int, duration_s: float = 1_500.0, mix: Sequence[Flock] = MIXED, before_s: float = 300.0
) -> Plan:
    """One night over the sensors of the theatre `name`; `at` is that of the zones the alerts are judged by.

    The first `before_s` of the scene are the time before: what is there already flies, and nothing comes. Raises
    replay.scenario.BadScenario for a theatre that is not there.
    """
    plan = _heard_everywhere(scenario.theatre(name, START, duration_s, seed))
    draw = _Draw(plan, at, seed, before_s)
    made = [thing for number, flock in enumerate(mix) for thing in draw.flock(flock, number)]
    return replace(plan, name=f"night-{name}-{seed}", title=f"A night drawn from seed {seed}", objects=tuple(made))


def _heard_everywhere(plan: Plan) -> Plan:
    """With a receiver of ADS-B and an interrogator at every radar: who speaks low is silent to those far away."""
    first = next(s for s in plan.sensors if s.spec.kind == SensorKind.ADSB)
    masts = [s.spec for s in plan.sensors if s.spec.kind in (SensorKind.RADAR_2D, SensorKind.RADAR_3D)]
    beside = [
        replace(first, spec=replace(first.spec, id=f"A-{m.id}", **{n: getattr(m, n) for n in _PLACE})) for m in masts
    ]
    asking = [replace(s, secondary=True, mode_s=True) if s.spec in masts else s for s in plan.sensors]
    ordered = sorted([*asking, *beside], key=lambda s: s.spec.id)
    return replace(plan, sensors=tuple(replace(s, spec=replace(s.spec, index=i)) for i, s in enumerate(ordered)))


class Places:
    """Where something may begin: anywhere around the radars that see low, as far from the border as asked for."""

    def __init__(self, plan: Plan, at: At) -> None:
        near = [s for s in plan.sensors if s.primary and s.spec.has_site and s.spec.range_max_m <= NEAR_RADAR_M]
        self._at = at
        self._sites: Sequence[SimSensor] = near or plan.sensors

    def draw(
        self, rng: np.random.Generator, least_m: float, most_m: float, around: tuple[float, float, float] | None = None
    ) -> tuple[float, float]:
        """Latitude and longitude of a place so far from the border, in the disc `around` (lat, lon, radius) or any.

        Raises ValueError when there is none to be found.
        """
        for _ in range(TRIES):
            site = self._sites[int(rng.integers(len(self._sites)))].spec
            lat, lon, _ = _disc(rng, *(around or (site.lat_rad, site.lon_rad, AROUND_M)))
            if least_m <= self._at(lat, lon)[1] <= most_m:
                return lat, lon
        raise ValueError(f"no place between {least_m} and {most_m} m from the border")


class _Draw:
    """What is common to one night: where one may begin, the wind, the course of the birds."""

    def __init__(self, plan: Plan, at: At, seed: int, before_s: float) -> None:
        self._plan, self._at, self._seed, self._before_s = plan, at, seed, before_s
        self._places = Places(plan, at)
        rng = np.random.default_rng([seed, 0])
        self._wind_mps, self._wind_rad = float(rng.uniform(2.0, 8.0)), float(rng.uniform(0.0, math.tau))
        self._course_rad = float(rng.uniform(0.0, math.tau))

    def flock(self, flock: Flock, number: int) -> Iterator[SimObject]:
        """Every object of one flock."""
        count = int(self._rng(flock, 0).integers(flock.count[0], flock.count[1] + 1))
        centre: tuple[float, float] | None = None
        if flock.together_m:
            centre = self._place(flock, self._rng(flock, 1), None)
        made = 0
        while made < count:
            rng = self._rng(flock, 2 + made)
            size = min(flock.group, count - made)
            spec = self._spec(flock)
            for flight in self._flights(flock, spec, size, centre, rng):
                yield traffic.dressed(flock.name, number, spec, made, flight, rng)
                made += 1

    def _rng(self, flock: Flock, number: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, zlib.crc32(flock.name.encode()), number])

    def _spec(self, flock: Flock) -> ClassSpec:
        spec = objects.CATALOGUE[flock.kind]
        if flock.speed_mps:
            spec = replace(spec, speed_mps=(flock.speed_mps * 0.95, flock.speed_mps, flock.speed_mps * 1.05))
        emits = spec.emits if flock.emits is None else flock.emits
        return replace(spec, bands_m=flock.bands_m or spec.bands_m, emits=emits)

    def _flights(
        self, flock: Flock, spec: ClassSpec, size: int, centre: tuple[float, float] | None, rng: np.random.Generator
    ) -> list[Flight]:
        for _ in range(STAY_TRIES):
            flights = self._drawn(flock, spec, size, centre, rng)
            if not flock.stays or self._one_side(flights[0]):
                break
        return flights

    def _one_side(self, flight: Flight) -> bool:
        """Never over the border, nor so near that a radar might think so."""
        lat, lon, _ = geo.geodetic(flight.xyz_m[:: round(STAY_S)])
        far = np.array([self._at(*place)[1] for place in zip(lat.tolist(), lon.tolist(), strict=True)])
        return bool((far > STAY_M).all() or (far < -STAY_M).all())

    def _drawn(
        self, flock: Flock, spec: ClassSpec, size: int, centre: tuple[float, float] | None, rng: np.random.Generator
    ) -> list[Flight]:
        lat, lon = self._place(flock, rng, centre)
        lasts_s = self._plan.duration_s - self._before_s
        from_s = self._before_s + float(rng.uniform(*flock.when)) * lasts_s if flock.when[0] >= 0.0 else 0.0
        east, north = (self._wind_mps * f(self._wind_rad) for f in (math.sin, math.cos))
        start = Start(lat, lon, self._heading(flock, lat, lon, rng), from_s, self._plan.ground_m, east, north)
        lead = objects.draw(spec, rng, start, self._plan.duration_s - from_s)
        return company.group(lead, size, rng) if size > 1 else [lead]

    def _place(self, flock: Flock, rng: np.random.Generator, centre: tuple[float, float] | None) -> tuple[float, float]:
        around = None if centre is None else (*centre, flock.together_m)
        return self._places.draw(rng, *flock.out_m, around)

    def _heading(self, flock: Flock, lat: float, lon: float, rng: np.random.Generator) -> float:
        off = float(rng.uniform(-1.0, 1.0)) * flock.spread_rad
        if flock.course == "any":
            return float(rng.uniform(0.0, math.tau))
        if flock.course == "with":
            return (self._course_rad + off) % math.tau
        ahead = inward(self._at, lat, lon)
        side = float(rng.choice((-1.0, 1.0))) * math.pi / 2 if flock.course == "along" else 0.0
        return (ahead + side + off) % math.tau


def _disc(rng: np.random.Generator, lat: float, lon: float, radius_m: float) -> tuple[float, float, float]:
    return geo.direct_1(lat, lon, float(rng.uniform(0.0, math.tau)), radius_m * math.sqrt(float(rng.random())))


def inward(at: At, lat: float, lon: float) -> float:
    """The course on which the distance to the border falls fastest."""
    steps = []
    for axis in (math.pi / 2, 0.0):  # east, north
        there, back = (geo.direct_1(lat, lon, (axis + turn) % math.tau, SLOPE_M) for turn in (0.0, math.pi))
        steps.append(at(there[0], there[1])[1] - at(back[0], back[1])[1])
    return math.atan2(-steps[0], -steps[1]) % math.tau
