"""A scenario as written: sensors, objects, and what is expected to happen, from one TOML file.

The file says degrees, because people write it; everything read from it is SI and radians (see `fusion.schema`).
Unknown keys, wrong types, numbers out of range and references to nothing are refused with file, key and cure.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fusion.schema import US_PER_S, SensorKind, SensorSpec
from replay.motion import Agility, Waypoint, fly
from replay.plan import Expect, Plan, SimObject, SimSensor, Transponder

__all__ = ["BadScenario", "Expect", "Plan", "SimObject", "SimSensor", "Transponder", "load_plan", "names"]

SHIPPED = Path(__file__).parent / "scenarios"
MAX_OBJECTS = 5_000
MAX_DURATION_S = 86_400.0
_KINDS = {"radar-2d": SensorKind.RADAR_2D, "radar-3d": SensorKind.RADAR_3D, "adsb": SensorKind.ADSB}


class BadScenario(ValueError):
    """A scenario that cannot be used: file, key, problem and cure."""

    def __init__(self, file: str, key: str, problem: str, cure: str) -> None:
        super().__init__(f"{file}: {key}: {problem}. Cure: {cure}")
        self.file = file
        self.key = key
        self.problem = problem
        self.cure = cure


Finite = Annotated[float, msgspec.Meta(gt=-1e9, lt=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0.0, lt=1e9)]
Part = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Lat = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
Lon = Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class _SensorFile(msgspec.Struct, forbid_unknown_fields=True):
    id: Name
    kind: Literal["radar-2d", "radar-3d", "adsb"]
    format: Literal["plots", "readsb"] = "plots"
    lat_deg: Lat | None = None
    lon_deg: Lon | None = None
    height_m: Finite | None = None
    period_s: Annotated[float, msgspec.Meta(ge=0.2, le=60.0)] = 1.0
    range_max_m: Positive = 400_000.0
    sigma_range_m: Positive = 100.0
    sigma_azimuth_deg: Positive = 0.15
    sigma_elevation_deg: Positive | None = None
    detection_probability: Part = 0.9
    clutter_per_scan: Annotated[float, msgspec.Meta(ge=0.0, le=5_000.0)] = 10.0
    latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=60.0)] = 0.5
    primary: bool = True
    secondary: bool = False
    mode_s: bool = False
    rpm_phase: Part = 0.0
    jitter_s: Annotated[float, msgspec.Meta(ge=0.0, le=10.0)] = 0.05
    bias_range_m: Finite = 0.0
    bias_azimuth_deg: Finite = 0.0
    outages_s: list[tuple[Finite, Finite]] = []


class _TransponderFile(msgspec.Struct, forbid_unknown_fields=True):
    address: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{6}$")] | None = None
    callsign: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{0,8}$")] = ""
    mode3a: Annotated[str, msgspec.Meta(pattern=r"^[0-7]{4}$")] | None = None
    category: Annotated[int, msgspec.Meta(ge=0, le=24)] | None = None
    adsb: bool = True
    nacp: Annotated[int, msgspec.Meta(ge=1, le=11)] = 9
    nacv: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    nic: Annotated[int, msgspec.Meta(ge=0, le=11)] = 8
    sil: Annotated[int, msgspec.Meta(ge=0, le=3)] = 3


class _ObjectFile(msgspec.Struct, forbid_unknown_fields=True):
    id: Name
    speed_mps: Annotated[float, msgspec.Meta(ge=0.5, le=1_000.0)]
    way: Annotated[list[list[Finite]], msgspec.Meta(min_length=2, max_length=1_000)]
    departs_s: Finite = 0.0
    repeat: bool = False
    rcs_m2: Positive = 3.0
    turn_degps: Positive = 3.0
    climb_mps: Positive = 8.0
    accelerate_mps2: Positive = 1.5
    transponder: _TransponderFile | None = None


class _ExpectFile(msgspec.Struct, forbid_unknown_fields=True):
    object: Name
    rules: Annotated[list[str], msgspec.Meta(min_length=1)]
    from_s: Finite
    until_s: Finite
    near_state: str = ""


class _PlanFile(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    about: list[str]
    start: datetime.datetime
    duration_s: Annotated[float, msgspec.Meta(ge=1.0, le=MAX_DURATION_S)]
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    geoid_m: Finite = 0.0
    qnh_hpa: Annotated[float, msgspec.Meta(ge=850.0, le=1_100.0)] = 1013.25
    ground_m: Finite = 0.0
    sensor: Annotated[list[_SensorFile], msgspec.Meta(min_length=1, max_length=64)] = []
    object: Annotated[list[_ObjectFile], msgspec.Meta(max_length=MAX_OBJECTS)] = []
    expect: list[_ExpectFile] = []
    quiet: list[Name] = []


def names() -> tuple[str, ...]:
    """The shipped scenarios, in order of name."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_plan(name_or_path: str | Path) -> Plan:
    """Read a shipped scenario by name, or any scenario file by path.

    Raises:
        BadScenario: there is no such scenario, or the file is refused; says key, problem and cure.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        path = SHIPPED / f"{name_or_path}.toml"
        if not path.is_file():
            cure = f"one of {', '.join(names())}, or a .toml file"
            raise BadScenario(str(name_or_path), "scenario", "not known", cure)
    try:
        table = tomllib.loads(path.read_text("utf-8"))
        parsed = msgspec.convert(table, _PlanFile)
    except OSError as error:
        raise BadScenario(str(path), "file", error.strerror or str(error), "give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise BadScenario(str(path), "file", "not UTF-8", "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(str(path), "file", f"not TOML: {error}", "correct the line named") from error
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise BadScenario(str(path), where.strip("`$.") or "file", problem, "see docs on scenarios") from error
    return _plan(path, parsed)


def _plan(path: Path, file: _PlanFile) -> Plan:
    _refuse_doubles(path, "sensor", [s.id for s in file.sensor])
    _refuse_doubles(path, "object", [o.id for o in file.object])
    known = {o.id for o in file.object}
    for key, wanted in (("expect", [e.object for e in file.expect]), ("quiet", file.quiet)):
        for number, name in enumerate(wanted):
            if name not in known:
                raise BadScenario(str(path), f"{key}[{number}]", f"there is no object {name!r}", "name an object above")
    if file.start.tzinfo is None:
        raise BadScenario(str(path), "start", "no time zone", "end it with Z")
    ordered = sorted(enumerate(file.sensor), key=lambda pair: pair[1].id)
    return Plan(
        name=path.stem,
        title=file.title,
        about=tuple(file.about),
        seed=file.seed,
        start_us=round(file.start.timestamp() * US_PER_S),
        duration_s=file.duration_s,
        geoid_m=file.geoid_m,
        qnh_hpa=file.qnh_hpa,
        ground_m=file.ground_m,
        sensors=tuple(_sensor(path, at, index, s) for index, (at, s) in enumerate(ordered)),
        objects=tuple(_object(path, at, o, file.duration_s) for at, o in enumerate(file.object)),
        expect=tuple(Expect(e.object, tuple(e.rules), e.from_s, e.until_s, e.near_state) for e in file.expect),
        quiet=tuple(file.quiet),
    )


def _refuse_doubles(path: Path, key: str, ids: list[str]) -> None:
    for number, name in enumerate(ids):
        if name in ids[:number]:
            raise BadScenario(str(path), f"{key}[{number}].id", f"{name!r} is there twice", "give each its own id")


def _sensor(path: Path, at: int, index: int, s: _SensorFile) -> SimSensor:
    radar = s.kind != "adsb"
    if radar and None in (s.lat_deg, s.lon_deg, s.height_m):
        raise BadScenario(str(path), f"sensor[{at}]", "a radar without a site", "give lat_deg, lon_deg and height_m")
    if radar and s.format != "plots":
        raise BadScenario(str(path), f"sensor[{at}].format", "readsb carries no radar plots", 'use "plots"')
    if s.kind == "radar-3d" and s.sigma_elevation_deg is None:
        raise BadScenario(str(path), f"sensor[{at}]", "a 3D radar without elevation", "give sigma_elevation_deg")
    if s.kind != "radar-3d" and s.sigma_elevation_deg is not None:
        raise BadScenario(str(path), f"sensor[{at}].sigma_elevation_deg", "not a 3D radar", "remove the key")
    spec = SensorSpec(
        id=s.id,
        index=index,
        kind=_KINDS[s.kind],
        lat_rad=_radians(s.lat_deg),
        lon_rad=_radians(s.lon_deg),
        height_m=math.nan if s.height_m is None else s.height_m,
        period_s=s.period_s,
        range_max_m=s.range_max_m,
        sigma_range_m=s.sigma_range_m,
        sigma_azimuth_rad=math.radians(s.sigma_azimuth_deg),
        sigma_elevation_rad=_radians(s.sigma_elevation_deg),
        detection_probability=s.detection_probability,
        clutter_per_scan=s.clutter_per_scan,
        latency_s=s.latency_s,
    )
    return SimSensor(
        spec=spec,
        format=s.format,
        primary=s.primary,
        secondary=s.secondary,
        mode_s=s.mode_s,
        rpm_phase=s.rpm_phase,
        jitter_s=s.jitter_s,
        bias_range_m=s.bias_range_m,
        bias_azimuth_rad=math.radians(s.bias_azimuth_deg),
        outages_s=tuple(s.outages_s),
    )


def _object(path: Path, at: int, o: _ObjectFile, duration_s: float) -> SimObject:
    way = []
    for number, point in enumerate(o.way):
        key = f"object[{at}].way[{number}]"
        if len(point) not in (3, 4):
            raise BadScenario(str(path), key, "not 3 or 4 numbers", "write [lat_deg, lon_deg, height_m, speed_mps]")
        if abs(point[0]) > 90 or abs(point[1]) > 180:
            raise BadScenario(str(path), key, "no place on earth", "latitude first, then longitude, in degrees")
        speed = point[3] if len(point) == 4 else o.speed_mps
        if speed <= 0:
            raise BadScenario(str(path), key, "speed is not above 0", "give speed_mps above 0")
        way.append(Waypoint(math.radians(point[0]), math.radians(point[1]), point[2], speed))
    agility = Agility(math.radians(o.turn_degps), o.climb_mps, o.accelerate_mps2)
    try:
        flight = fly(way, o.departs_s, duration_s, agility, o.repeat)
    except ValueError as error:
        raise BadScenario(str(path), f"object[{at}]", str(error), "correct way, departs_s or duration_s") from error
    return SimObject(o.id, flight, o.rcs_m2, None if o.transponder is None else _transponder(o.transponder))


def _transponder(t: _TransponderFile) -> Transponder:
    return Transponder(
        address=-1 if t.address is None else int(t.address, 16),
        callsign=t.callsign.encode("ascii"),
        mode3a=-1 if t.mode3a is None else int(t.mode3a, 8),
        category=-1 if t.category is None else t.category,
        adsb=t.adsb,
        nacp=t.nacp,
        nacv=t.nacv,
        nic=t.nic,
        sil=t.sil,
    )


def _radians(degrees: float | None) -> float:
    return math.nan if degrees is None else math.radians(degrees)
