"""The configuration folder: read once, checked whole, frozen.

A folder holds `service.toml` (who we are, where the broker is) and `sensors.toml` (one `[[sensors]]` block a sensor);
rules, borders and terrain are named by path. Every path is relative to the folder. Degrees exist here and nowhere
further in; the unit is the last word of every key. Whatever is wrong is refused as a `ConfigError` that names file,
key, problem and cure. The file models are in `adapters/files/configfile.py`.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.errors import UNREADABLE, ConfigError, unreadable
from adapters.files import configfile, redlines
from adapters.files.configfile import RecordFile, SensorFile, SensorsFile, ServiceFile
from adapters.files.redlines import existing
from adapters.files.refuse import did_you_mean, shown, validate
from adapters.files.textlines import located
from fusion.schema import SensorKind, SensorSpec

if TYPE_CHECKING:
    from adapters.broker import BrokerSettings
    from fusion.borders.outlook import Area
    from fusion.coverage import Coverage
    from fusion.redlines.declared import Declared
    from fusion.rules import RuleSet
    from fusion.tracker import TrackerParams
    from fusion.zones import Zones

SERVICE_FILE = "service.toml"
SENSORS_FILE = "sensors.toml"
DEFAULT_SITE = "demo"  # of commands that name a broker and no site
ENVIRONMENT = {  # variable -> key of service.toml that it overrides; ports are numbers
    "VEDETTE_SITE": ("site",),
    "VEDETTE_DATA_DIR": ("data_dir",),
    "VEDETTE_BROKER_HOST": ("broker", "host"),
    "VEDETTE_BROKER_PORT": ("broker", "port"),
    "VEDETTE_BROKER_USER": ("broker", "username"),
    "VEDETTE_BROKER_PASSWORD": ("broker", "password"),
    "VEDETTE_BROKER_PASSWORD_FILE": ("broker", "password_file"),
    "VEDETTE_HTTP_HOST": ("http", "host"),
    "VEDETTE_HTTP_PORT": ("http", "port"),
}
_KINDS = {
    "radar-2d": SensorKind.RADAR_2D,
    "radar-3d": SensorKind.RADAR_3D,
    "adsb": SensorKind.ADSB,
    "remote-id": SensorKind.REMOTE_ID,
    "track": SensorKind.TRACK,
    "bearing": SensorKind.BEARING,
    "sighting": SensorKind.SIGHTING,
}
_KIND_NAMES = {kind: name for name, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class HttpAddress:
    """Where `/metrics`, `/healthz` and `/readyz` are served. Port 0 takes any free one."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Config:
    """Everything a service needs to start, checked. Angles are radians, lengths metres, as everywhere inside."""

    folder: Path
    site: str  # topic part: vedette/v1/{site}/...
    clock: str  # "live" or "feed"
    simulated: bool  # marks everything that leaves as simulated
    mode: str  # peace, tension, exercise: what a start begins with
    broker: BrokerSettings
    http: HttpAddress
    data_dir: Path
    sensors: tuple[SensorSpec, ...]  # in order of id; index is the position
    formats: dict[str, str]  # sensor id -> "plots", "readsb" or "track"
    rules: RuleSet
    rule_paths: tuple[Path, ...]  # the base first
    declared: Declared  # notified activities
    zone_paths: tuple[Path, ...]
    terrain_path: Path
    geoid_path: Path
    dem_path: Path | None  # terrain fine enough to hide what is behind it
    border_accuracy_m: float
    protected: tuple[Area, ...]
    tracker: TrackerParams
    picture_ms: int
    full_ms: int
    partners: tuple[str, ...]  # neighbours who are told of alerts and their tracks; topic parts
    quarantine_bytes: int
    record: RecordFile
    record_dir: Path
    hash: str  # sha256 over name and content of every file that can change an answer
    files: tuple[Path, ...]  # what the hash covers


def load(folder: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read and check a configuration folder.

    `environ` defaults to the process environment; see `ENVIRONMENT` for the variables that override the files.

    Raises:
        ConfigError: the first problem found; `problems` returns all of them.
    """
    config, found = _load(folder, os.environ if environ is None else environ)
    if config is None:
        raise found[0]
    return config


def problems(folder: Path, environ: Mapping[str, str] | None = None) -> list[ConfigError]:
    """Everything wrong with a configuration folder, in order of file and key; empty when it may start."""
    return _load(folder, os.environ if environ is None else environ)[1]


def load_broker(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[str, BrokerSettings]:
    """Site and broker alone, for commands that only listen or publish. Raises ConfigError."""
    found: list[ConfigError] = []
    service = _read_service(folder, os.environ if environ is None else environ, found)
    if service is not None:
        broker = _broker(folder, service, found)
        if broker is not None:
            return service.site, broker
    raise located(found[0])


def rule_paths(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """The rule files of a folder, the base first, for commands that only read rules. Raises ConfigError."""
    found: list[ConfigError] = []
    service = _read_service(folder, os.environ if environ is None else environ, found)
    paths = redlines.rule_paths(folder, service, found) if service is not None else ()
    if found:
        raise located(found[0])
    return paths


def broker_at(address: str, site: str = "", environ: Mapping[str, str] | None = None) -> tuple[str, BrokerSettings]:
    """Site and broker from `HOST`, `HOST:PORT` or `[IPv6]:PORT` and the environment alone; no folder is read.

    Raises:
        ConfigError: the address is none.
    """
    from adapters.broker import BrokerSettings

    given = os.environ if environ is None else environ
    found = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%]+)\]|(?P<name>[^\s:\[\]/@]+))(?::(?P<port>[0-9]{1,5}))?", address)
    port = int(found["port"] or 1883) if found else 0
    if found is None or not 0 < port <= 65_535:
        raise ConfigError(
            "command line", "--broker", f"is {shown('', address)}", "give HOST or HOST:PORT, such as 127.0.0.1:1883"
        )
    settings = BrokerSettings(
        host=found["six"] or found["name"],
        port=port,
        client_id="vedette-command",
        username=given.get("VEDETTE_BROKER_USER", ""),
        password=given.get("VEDETTE_BROKER_PASSWORD", ""),
    )
    return site or given.get("VEDETTE_SITE", "") or DEFAULT_SITE, settings


def load_zones(config: Config) -> Zones:
    """Borders, terrain and geoid: seconds of work, so apart from `load`. Raises ConfigError, for a rule, too, that asks
    for a state which the borders do not have."""
    from adapters.files import polygonfile, rulefile, zonefiles

    box = polygonfile.beside(config.sensors)
    zones = zonefiles.load(config.zone_paths, config.terrain_path, config.geoid_path, config.border_accuracy_m, box)
    rulefile.refuse_states(config.rule_paths, config.rules, zones.codes)
    return zones


def load_coverage(config: Config, zones: Zones) -> Coverage:
    """What each sensor can see, from its place and the terrain: a second of work. Raises ConfigError."""
    from adapters.files import zonefiles
    from fusion.coverage import Coverage

    dem = zonefiles.load_dem(config.dem_path, config.sensors) if config.dem_path else None
    return Coverage(config.sensors, dem, zones.terrain, zones.geoid)


def sensors_toml(sensors: Sequence[SensorSpec], formats: Mapping[str, str]) -> str:
    """The text of a `sensors.toml` that `load` reads back as these sensors (angles to the last bit or two)."""
    blocks = []
    for spec in sensors:
        given: dict[str, float] = {
            "lat_deg": math.degrees(spec.lat_rad),
            "lon_deg": math.degrees(spec.lon_rad),
            "height_m": spec.height_m,
            "period_s": spec.period_s,
            "range_max_m": spec.range_max_m,
            "range_sigma_m": spec.sigma_range_m,
            "azimuth_sigma_deg": math.degrees(spec.sigma_azimuth_rad),
            "elevation_sigma_deg": math.degrees(spec.sigma_elevation_rad),
            "position_sigma_m": spec.sigma_position_m,
            "height_sigma_m": spec.sigma_height_m,
            "velocity_sigma_mps": spec.sigma_velocity_mps,
            "detection_probability": spec.detection_probability,
            "reference_rcs_m2": spec.reference_rcs_m2,
            "doppler_sigma_mps": spec.sigma_doppler_mps,
            "clutter_per_scan": spec.clutter_per_scan,
            "latency_s": spec.latency_s,
        }
        lines = [
            "[[sensors]]",
            f'id = "{spec.id}"',
            f'kind = "{_KIND_NAMES[spec.kind]}"',
            f'format = "{formats[spec.id]}"',
            *(f"{key} = {float(value)!r}" for key, value in given.items() if math.isfinite(value)),
        ]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _load(folder: Path, environ: Mapping[str, str]) -> tuple[Config | None, list[ConfigError]]:
    found: list[ConfigError] = []
    service = _read_service(folder, environ, found)
    sensors, formats = _read_sensors(folder, found)
    if service is None:
        return None, [located(error) for error in found]
    broker = _broker(folder, service, found)
    borders = _borders(folder, service, found)
    terrain = existing(folder, service.zones.terrain, "zones.terrain", found)
    geoid = existing(folder, service.zones.geoid, "zones.geoid", found)
    dem = existing(folder, service.zones.dem, "zones.dem", found) if service.zones.dem else None
    lines = redlines.read(folder, service, sensors, found)
    tracker = _tracker(folder, service.tracker, found)
    for key, problem, cure in configfile.service_faults(service):
        found.append(_wrong(folder, key, problem, cure))
    if found or broker is None or lines is None or tracker is None:
        return None, [located(error) for error in found]
    files = (
        folder / SERVICE_FILE,
        folder / SENSORS_FILE,
        *lines.paths,
        *borders,
        terrain,
        geoid,
        *([dem] if dem else []),
    )
    config = Config(
        folder=folder,
        site=service.site,
        clock=service.clock,
        simulated=service.simulated,
        mode=service.mode,
        broker=broker,
        http=HttpAddress(service.http.host, service.http.port),
        data_dir=folder / service.data_dir,
        sensors=sensors,
        formats=formats,
        rules=lines.rules,
        rule_paths=lines.rule_paths,
        declared=lines.declared,
        zone_paths=borders,
        terrain_path=terrain,
        geoid_path=geoid,
        dem_path=dem,
        border_accuracy_m=service.zones.accuracy_m,
        protected=lines.protected,
        tracker=tracker,
        picture_ms=service.publish.picture_ms,
        full_ms=service.publish.full_ms,
        partners=tuple(service.publish.partners),
        quarantine_bytes=service.store.quarantine_bytes,
        record=service.record,
        record_dir=folder / (service.record.folder or Path(service.data_dir) / "recordings"),
        hash=_hash(folder, files),
        files=files,
    )
    return config, []


def _wrong(folder: Path, key: str, problem: str, cure: str, file: str = SERVICE_FILE) -> ConfigError:
    return ConfigError(str(folder / file), key, problem, cure)


def _read_toml(path: Path, found: list[ConfigError]) -> dict[str, Any] | None:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        found.append(
            ConfigError(str(path), "file", "does not exist", "name the folder that holds it, for example config/")
        )
    except UNREADABLE as error:
        found.append(unreadable(path, error))
    return None


def _read_service(folder: Path, environ: Mapping[str, str], found: list[ConfigError]) -> ServiceFile | None:
    data = _read_toml(folder / SERVICE_FILE, found)
    if data is None:
        return None
    origins: dict[tuple[str | int, ...], str] = {}
    for variable, keys in ENVIRONMENT.items():
        text = environ.get(variable, "")
        if not text:  # compose files pass unset variables on as empty ones
            continue
        section = data
        for key in keys[:-1]:
            section = section.setdefault(key, {})
            if not isinstance(section, dict):
                break  # the file itself is wrong there, and the model will say so
        else:
            section[keys[-1]] = _environment_value(keys, text)
            origins[keys] = variable
            for other in _REPLACED.get(variable, ()):
                section.pop(other, None)
    service, wrong = validate(ServiceFile, data, str(folder / SERVICE_FILE), origins)
    found += wrong
    return service


_REPLACED = {"VEDETTE_BROKER_PASSWORD": ("password_file",), "VEDETTE_BROKER_PASSWORD_FILE": ("password",)}


def _environment_value(keys: tuple[str, ...], text: str) -> str | int:
    if keys[-1] == "port":
        return int(text) if text.isascii() and text.isdigit() else text
    if keys[-1] in ("password_file", "data_dir"):
        return str(Path(text).absolute())  # relative to where the command runs, not to the folder
    return text


def _read_sensors(folder: Path, found: list[ConfigError]) -> tuple[tuple[SensorSpec, ...], dict[str, str]]:
    data = _read_toml(folder / SENSORS_FILE, found)
    if data is None:
        return (), {}
    path = str(folder / SENSORS_FILE)
    file, wrong = validate(SensorsFile, data, path)
    found += wrong
    if file is None:
        return (), {}
    first: dict[str, int] = {}
    for row, sensor in enumerate(file.sensors):
        for key, problem, cure in configfile.sensor_faults(sensor):
            found.append(ConfigError(path, f"sensors[{row}].{key}", f'{problem} (sensor "{sensor.id}")', cure))
        if sensor.id in first:
            problem = f'"{sensor.id}" is the id of sensors[{first[sensor.id]}] too'
            found.append(ConfigError(path, f"sensors[{row}].id", problem, "give every sensor an id of its own"))
        first.setdefault(sensor.id, row)
    ordered = sorted(file.sensors, key=lambda sensor: sensor.id)
    return tuple(_spec(sensor, index) for index, sensor in enumerate(ordered)), {s.id: s.format for s in ordered}


def _spec(sensor: SensorFile, index: int) -> SensorSpec:
    def radians(degrees: float | None) -> float:
        return math.nan if degrees is None else math.radians(degrees)

    return SensorSpec(
        id=sensor.id,
        index=index,
        kind=_KINDS[sensor.kind],
        lat_rad=radians(sensor.lat_deg),
        lon_rad=radians(sensor.lon_deg),
        height_m=math.nan if sensor.height_m is None else float(sensor.height_m),
        period_s=float(sensor.period_s),
        range_max_m=float(sensor.range_max_m),
        sigma_range_m=float(sensor.range_sigma_m),
        sigma_azimuth_rad=radians(sensor.azimuth_sigma_deg),
        sigma_elevation_rad=radians(sensor.elevation_sigma_deg),
        sigma_position_m=float(sensor.position_sigma_m),
        sigma_height_m=float(sensor.height_sigma_m),
        sigma_velocity_mps=float(sensor.velocity_sigma_mps),
        detection_probability=float(sensor.detection_probability),
        reference_rcs_m2=float(sensor.reference_rcs_m2),
        sigma_doppler_mps=float(sensor.doppler_sigma_mps),
        clutter_per_scan=float(sensor.clutter_per_scan),
        latency_s=float(sensor.latency_s),
    )


def _borders(folder: Path, service: ServiceFile, found: list[ConfigError]) -> tuple[Path, ...]:
    """The border files named, folders opened, in a fixed order."""
    paths: list[Path] = []
    for row, name in enumerate(service.zones.borders):
        path = folder / name
        inside = sorted(path.glob("*.geojson")) if path.is_dir() else [path]
        if not inside or not all(file.is_file() for file in inside):
            cure = "name a GeoJSON file or a folder with *.geojson in it, relative to the configuration folder"
            found.append(_wrong(folder, f"zones.borders[{row}]", f"names {path}, where no borders are", cure))
        paths += inside
    return tuple(paths)


def _tracker(folder: Path, given: Mapping[str, Any], found: list[ConfigError]) -> TrackerParams | None:
    """TrackerParams with the numbers of `[tracker]` put in: the kind and the sign of the default must be kept."""
    from fusion.tracker import TrackerParams

    default = TrackerParams()
    numbers = {
        f.name: getattr(default, f.name)
        for f in fields(default)
        if isinstance(getattr(default, f.name), bool | int | float)
    }
    values: dict[str, Any] = {}
    before = len(found)
    for key, value in given.items():
        where = f"tracker.{key}"
        if key not in numbers:
            found.append(_wrong(folder, where, "is not a known key", did_you_mean(key, list(numbers))))
            continue
        usual = numbers[key]
        want = (bool,) if isinstance(usual, bool) else (int,) if isinstance(usual, int) else (int, float)
        if not isinstance(value, want) or (isinstance(value, bool) and not isinstance(usual, bool)):
            kind = "true or false" if want == (bool,) else "a whole number" if want == (int,) else "a number"
            found.append(_wrong(folder, where, f"is {value!r}, not {kind}", f"the default is {usual}"))
        elif not math.isfinite(value) or (usual > 0) != (value > 0):
            problem = f"is {value}, but must be finite and {'above' if usual > 0 else 'not above'} 0"
            found.append(_wrong(folder, where, problem, f"the default is {usual}"))
        elif key.startswith("p_") and value >= 1:
            found.append(_wrong(folder, where, f"is {value}, but is a probability, below 1", f"the default is {usual}"))
        else:
            values[key] = float(value) if isinstance(usual, float) else value
    return None if len(found) > before else TrackerParams(**values)


def _broker(folder: Path, service: ServiceFile, found: list[ConfigError]) -> BrokerSettings | None:
    from adapters.broker import BrokerSettings

    file, before = service.broker, len(found)
    password = file.password

    def wrong(key: str, problem: str, cure: str) -> None:
        found.append(_wrong(folder, f"broker.{key}", problem, cure))

    if file.port == 0:
        wrong("port", "is 0", "the broker listens on a port: 1883, or 8883 with TLS")
    if file.password and file.password_file:
        wrong("password", "stands beside password_file", "give one of the two")
    elif file.password_file:
        try:
            password = (folder / file.password_file).read_text("utf-8").splitlines()[0]
        except (OSError, UnicodeDecodeError, IndexError):
            problem = f"names {folder / file.password_file}, which holds no readable first line"
            wrong("password_file", problem, "write the password as the first line of that file")
    if password and not file.username:
        wrong("username", "is missing although there is a password", "name the user, or take the password out")
    for key in ("tls_ca", "tls_cert", "tls_key"):
        if getattr(file, key) and not file.tls:
            wrong(key, "is given although tls is false", "set tls = true, or take the key out")
    if bool(file.tls_cert) != bool(file.tls_key):
        wrong("tls_cert" if file.tls_key else "tls_key", "is missing", "a client certificate needs its key")
    if len(found) == before and file.tls:
        for fault in configfile.tls_faults(folder, file):
            wrong(*fault)
    if len(found) > before:
        return None
    return BrokerSettings(
        host=file.host,
        port=file.port,
        client_id=file.client_id or f"vedette-{service.site}",
        username=file.username,
        password=password,
        tls=file.tls,
        tls_ca=str(folder / file.tls_ca) if file.tls_ca else "",
        tls_cert=str(folder / file.tls_cert) if file.tls_cert else "",
        tls_key=str(folder / file.tls_key) if file.tls_key else "",
    )


def _hash(folder: Path, files: Sequence[Path]) -> str:
    """sha256 over name and content of every file, in order of name; where the folder lies does not matter."""
    named = {os.path.relpath(file, folder): file for file in files}
    total = hashlib.sha256()
    for name in sorted(named):
        content = named[name].read_bytes()
        total.update(f"{name}\n{len(content)}\n".encode())
        total.update(content)
    return total.hexdigest()
