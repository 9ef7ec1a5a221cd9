"""A scenario as written: sensors, objects, traffic, and what is expected to happen, from one TOML file.

The file says degrees, because people write it; everything read from it is SI and radians (see `replay.plan`).
Unknown keys, wrong types, numbers out of range and references to nothing are refused with file, key and cure.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from pathlib import Path
from typing import TypeVar

import msgspec

from fusion.schema import US_PER_S, SensorKind, SensorSpec
from replay import objects, traffic
from replay.motion import Agility, Waypoint, fly
from replay.plan import (
    Beacon,
    ClaimFault,
    ClutterSector,
    Expect,
    Interference,
    Passed,
    Plan,
    SimObject,
    SimSensor,
    Transponder,
)
from replay.scenefile import (
    MAX_SENSORS,
    MAX_TRAFFIC,
    InterferenceFile,
    LedgerFile,
    ObjectFile,
    PlanFile,
    SectorFile,
    SensorFile,
    TheatreFile,
    TrafficFile,
    TransponderFile,
)
from replay.traffic import Traffic

__all__ = ["BadScenario", "Expect", "Plan", "SimObject", "SimSensor", "Transponder", "load_plan", "names", "theatre"]

SHIPPED = Path(__file__).parent / "scenarios"
THEATRES = SHIPPED / "theatres"
_KINDS = {
    "radar-2d": SensorKind.RADAR_2D,
    "radar-3d": SensorKind.RADAR_3D,
    "adsb": SensorKind.ADSB,
    "remote-id": SensorKind.REMOTE_ID,
    "bearing": SensorKind.BEARING,
    "sighting": SensorKind.SIGHTING,
}
_HEARS = {"remote-id": ("remote-id", "flarm"), "bearing": ("sound", "radio")}
_SITED = ("radar-2d", "radar-3d", "bearing", "sighting")
_CLUTTER_PER_SCAN = {"radar-2d": 10.0, "radar-3d": 10.0}  # 0 for the others


_File = TypeVar("_File", PlanFile, TheatreFile)


class BadScenario(ValueError):
    """A scenario that cannot be used: file, key, problem and cure."""

    def __init__(self, file: str, key: str, problem: str, cure: str) -> None:
        super().__init__(f"{file}: {key}: {problem}. Cure: {cure}")
        self.file = file
        self.key = key
        self.problem = problem
        self.cure = cure


def names() -> tuple[str, ...]:
    """The shipped scenarios, in order of name."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.toml")))


def load_plan(name_or_path: str | Path, seed: int | None = None, total: int | None = None) -> Plan:
    """Read a shipped scenario by name, or any scenario file by path.

    `seed` replaces that of the file; with `total` the drawn traffic has so many objects, in the file's proportions.
    Raises:
        BadScenario: there is no such scenario, or the file is refused; says key, problem and cure.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml" and not path.exists():
        path = SHIPPED / f"{name_or_path}.toml"
        if not path.is_file():
            cure = f"one of {', '.join(names())}, or a .toml file"
            raise BadScenario(str(name_or_path), "scenario", "not known", cure)
    parsed = _placed(path, _parse(path, PlanFile))
    return _plan(path, parsed, parsed.seed if seed is None else seed, total)


def theatre(name: str, start: datetime.datetime, duration_s: float, seed: int) -> Plan:
    """The sensors of a shipped theatre, at work from `start` (with a time zone), with nothing in the air.

    Raises:
        BadScenario: there is no such theatre.
    """
    bare = PlanFile(title=name, about=[], start=start, duration_s=duration_s, seed=seed, theatre=name)
    path = THEATRES / f"{name}.toml"
    return _plan(path, msgspec.structs.replace(_placed(path, bare), traffic=[]), seed, None)


def _parse(path: Path, kind: type[_File]) -> _File:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind)
    except OSError as error:
        raise BadScenario(str(path), "file", error.strerror or str(error), "give a file that can be read") from error
    except UnicodeDecodeError as error:
        raise BadScenario(str(path), "file", "not UTF-8", "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise BadScenario(str(path), "file", f"not TOML: {error}", "correct the line named") from error
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at ")
        raise BadScenario(
            str(path), where.replace("`key` in ", "").strip("`$.") or "file", problem, "see docs on scenarios"
        ) from error


def _placed(path: Path, file: PlanFile) -> PlanFile:
    """With the sensors and the traffic of its theatre before its own; its own numbers win."""
    if file.theatre:
        if not (THEATRES / f"{file.theatre}.toml").is_file():
            cure = f"one of {', '.join(sorted(p.stem for p in THEATRES.glob('*.toml')))}"
            raise BadScenario(str(path), "theatre", f"{file.theatre!r} is not known", cure)
        shared = _parse(THEATRES / f"{file.theatre}.toml", TheatreFile)
        file = msgspec.structs.replace(
            file,
            sensor=[*shared.sensor, *file.sensor],
            traffic=[*shared.traffic, *file.traffic],
            geoid_m=shared.geoid_m if file.geoid_m is None else file.geoid_m,
            ground_m=shared.ground_m if file.ground_m is None else file.ground_m,
        )
    if not file.sensor:
        raise BadScenario(str(path), "sensor", "no sensor", "add a [[sensor]], or name a theatre")
    for key, there, most in (("sensor", file.sensor, MAX_SENSORS), ("traffic", file.traffic, MAX_TRAFFIC)):
        if len(there) > most:
            raise BadScenario(str(path), key, f"{len(there)} with those of its theatre", f"leave at most {most}")
    if file.quiet and file.others_quiet:
        raise BadScenario(str(path), "quiet", "others_quiet says it of all", "delete one of the two")
    return file


def _plan(path: Path, file: PlanFile, seed: int, total: int | None) -> Plan:
    _refuse_doubles(path, "sensor", [s.id for s in file.sensor])
    _refuse_doubles(path, "object", [o.id for o in file.object])
    known = {o.id for o in file.object}
    named = {
        "expect": [e.object for e in file.expect],
        "ledger": [e.object for e in file.ledger],
        "quiet": file.quiet,
    }
    for key, wanted in named.items():
        for number, name in enumerate(wanted):
            if name not in known:
                raise BadScenario(str(path), f"{key}[{number}]", f"there is no object {name!r}", "name an object above")
    if file.start.tzinfo is None:
        raise BadScenario(str(path), "start", "no time zone", "end it with Z")
    ordered = sorted(enumerate(file.sensor), key=lambda pair: pair[1].id)
    written = [_object(path, at, o, file.duration_s) for at, o in enumerate(file.object)]
    everything = (*written, *_drawn(path, file, seed, total))
    loud = frozenset(named["expect"])
    return Plan(
        name=path.stem,
        title=file.title,
        about=tuple(file.about),
        seed=seed,
        start_us=round(file.start.timestamp() * US_PER_S),
        duration_s=file.duration_s,
        geoid_m=file.geoid_m or 0.0,
        qnh_hpa=file.qnh_hpa,
        ground_m=file.ground_m or 0.0,
        sensors=tuple(_sensor(path, at, index, s) for index, (at, s) in enumerate(ordered)),
        objects=everything,
        expect=tuple(Expect(e.object, tuple(e.rules), e.from_s, e.until_s, e.near_state) for e in file.expect),
        ledger=tuple(_passed(e) for e in file.ledger),
        quiet=tuple(o.id for o in everything if o.id not in loud) if file.others_quiet else tuple(file.quiet),
        warmer_k=file.warmer_k,
        interference=tuple(_interference(i) for i in file.interference),
    )


def _refuse_doubles(path: Path, key: str, ids: list[str]) -> None:
    for number, name in enumerate(ids):
        if name in ids[:number]:
            raise BadScenario(str(path), f"{key}[{number}].id", f"{name!r} is there twice", "give each its own id")


def _check_sensor(path: Path, at: int, s: SensorFile) -> None:
    radar = s.kind in ("radar-2d", "radar-3d")
    if s.kind in _SITED and None in (s.lat_deg, s.lon_deg, s.height_m):
        kind = "radar" if radar else s.kind
        raise BadScenario(str(path), f"sensor[{at}]", f"a {kind} without a site", "give lat_deg, lon_deg and height_m")
    if s.kind != "adsb" and s.format != "plots":
        what = "radar plots" if radar else s.kind
        raise BadScenario(str(path), f"sensor[{at}].format", f"readsb carries no {what}", 'use "plots"')
    if s.kind == "radar-3d" and s.sigma_elevation_deg is None:
        raise BadScenario(str(path), f"sensor[{at}]", "a 3D radar without elevation", "give sigma_elevation_deg")
    if s.kind not in ("radar-3d", "bearing") and s.sigma_elevation_deg is not None:
        raise BadScenario(str(path), f"sensor[{at}].sigma_elevation_deg", "not a 3D radar", "remove the key")
    if s.hears not in _HEARS.get(s.kind, ("",)):
        choice = " or ".join(repr(word) for word in _HEARS.get(s.kind, ("nothing",)))
        raise BadScenario(str(path), f"sensor[{at}].hears", f"a {s.kind} does not hear {s.hears!r}", f"write {choice}")


def _sensor(path: Path, at: int, index: int, s: SensorFile) -> SimSensor:
    _check_sensor(path, at, s)
    clutter = _CLUTTER_PER_SCAN.get(s.kind, 0.0) if s.clutter_per_scan is None else s.clutter_per_scan
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
        sigma_position_m=s.sigma_position_m,
        detection_probability=s.detection_probability,
        clutter_per_scan=clutter,
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
        hears=s.hears,
        sigma_doppler_mps=math.nan if s.sigma_doppler_mps is None else s.sigma_doppler_mps,
        gain_range=s.gain_range,
        bias_elevation_rad=math.radians(s.bias_elevation_deg),
        bias_time_s=s.bias_time_s,
        clock_steps_s=tuple(s.clock_steps_s),
        north_turns=tuple((from_s, math.radians(turn)) for from_s, turn in s.north_turns_deg),
        frozen_s=tuple(s.frozen_s),
        overtakes=s.overtakes,
        loss=s.loss,
        garble=s.garble,
        sectors=tuple(_sector(path, f"sensor[{at}].sector[{n}]", c) for n, c in enumerate(s.sector)),
    )


def _sector(path: Path, key: str, s: SectorFile) -> ClutterSector:
    if s.until_m <= s.from_m:
        raise BadScenario(str(path), f"{key}.until_m", "not further than from_m", "give the further range")
    low, high = math.radians(s.from_azimuth_deg), math.radians(s.until_azimuth_deg)
    return ClutterSector(s.per_scan, low, high, s.from_m, s.until_m)


def _object(path: Path, at: int, o: ObjectFile, duration_s: float) -> SimObject:
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
    if o.kind:
        _known(path, f"object[{at}].kind", o.kind)
    try:
        flight = fly(way, o.departs_s, duration_s, agility, o.repeat)
    except ValueError as error:
        raise BadScenario(str(path), f"object[{at}]", str(error), "correct way, departs_s or duration_s") from error
    spec = objects.CATALOGUE.get(o.kind)
    return SimObject(
        id=o.id,
        flight=flight,
        rcs_m2=o.rcs_m2,
        transponder=None if o.transponder is None else _transponder(o.transponder),
        kind=o.kind,
        beacon=None if not o.remote_id else Beacon("remote-id", o.remote_id.encode("ascii")),
        data_link=bool(spec and spec.emits.data_link > 0),
        heard_m=spec.heard_m if spec else 0.0,
        blade_mps=spec.blade_mps if spec else 0.0,
        nothing=o.nothing,
        faults=tuple(ClaimFault(f.kind, f.from_s, f.until_s, f.value, math.radians(f.bearing_deg)) for f in o.fault),
    )


def _known(path: Path, key: str, name: str) -> None:
    if name not in objects.CATALOGUE:
        cure = f"one of {', '.join(sorted(objects.CATALOGUE))}"
        raise BadScenario(str(path), key, f"there is no class {name!r}", cure)


def _transponder(t: TransponderFile) -> Transponder:
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
        gva=-1 if t.gva is None else t.gva,
    )


def _drawn(path: Path, file: PlanFile, seed: int, total: int | None) -> list[SimObject]:
    """The objects of all blocks of traffic."""
    blocks = tuple(_traffic(path, at, t) for at, t in enumerate(file.traffic))
    if total is not None:
        if not blocks:
            raise BadScenario(str(path), "traffic", "no traffic to draw more or less of", "take another scenario")
        blocks = traffic.scaled(blocks, total)
    drawn: list[SimObject] = []
    for block, wanted in enumerate(blocks):
        for name, count in wanted.counts:
            if count > traffic.MAX_OF_CLASS:
                cure = f"at most {traffic.MAX_OF_CLASS} of a class"
                raise BadScenario(str(path), f"traffic[{block}].count.{name}", f"{count} are too many", cure)
        drawn += traffic.draw(wanted, block, seed, file.duration_s, file.ground_m or 0.0)
    return drawn


def _traffic(path: Path, at: int, t: TrafficFile) -> Traffic:
    for name in t.count:
        _known(path, f"traffic[{at}].count", name)
    if t.group[1] < t.group[0]:
        raise BadScenario(str(path), f"traffic[{at}].group", "more at least than at most", "write [least, most]")
    to_rad = math.radians(t.wind_from_deg) + math.pi
    return Traffic(
        name=t.name or f"t{at + 1}",
        lat_rad=math.radians(t.lat_deg),
        lon_rad=math.radians(t.lon_deg),
        radius_m=t.radius_m,
        counts=tuple(sorted(t.count.items())),
        come_and_go=t.come_and_go,
        course_rad=math.radians(t.course_deg),
        spread_rad=math.radians(t.spread_deg),
        group=t.group,
        escorts=t.escorts,
        wind_east_mps=t.wind_mps * math.sin(to_rad),
        wind_north_mps=t.wind_mps * math.cos(to_rad),
        faults=tuple(sorted((str(kind), part) for kind, part in t.faults.items())),
    )


def _passed(e: LedgerFile) -> Passed:
    inside = tuple((state, least, most) for state, (least, most) in sorted(e.inside_s.items()))
    return Passed(e.object, tuple(e.states), inside)


def _interference(i: InterferenceFile) -> Interference:
    lat, lon = math.radians(i.lat_deg), math.radians(i.lon_deg)
    return Interference(lat, lon, i.radius_m, i.from_s, i.until_s, i.drift_mps, i.loss, i.declared)


def _radians(degrees: float | None) -> float:
    return math.nan if degrees is None else math.radians(degrees)
