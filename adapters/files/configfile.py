"""What may stand in `service.toml` and `sensors.toml`, as strict models. The descriptions are the cures people read.

Strict means: a number in quotes, `true` for 1, NaN, infinity and unknown keys are refused, never guessed.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

# One level of an MQTT topic, a metric label and a file name at once: no separators, wildcards or blanks.
Word = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$")]
Port = Annotated[int, Field(ge=0, le=65_535)]
MAX_SENSORS = 64  # a track keeps the sensors that see it as bits of one uint64


class Strict(BaseModel):
    """Base of all file models."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class BrokerFile(Strict):
    """`[broker]` of service.toml."""

    # No URL: one with a user and a password in it would be told by whoever says that it does not answer.
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        pattern=r"^[^\s/@]+$",
        description="host name or address of the MQTT 5 broker, no URL",
    )
    port: Port = Field(default=1883, description="port of the broker: usually 1883, with TLS 8883")
    client_id: str = Field(
        default="", max_length=64, description='fixed MQTT client id; empty: "vedette-" and the site'
    )
    username: str = Field(default="", description="user name at the broker; empty: none")
    password: str = Field(default="", description="password; better in password_file or VEDETTE_BROKER_PASSWORD")
    password_file: str = Field(default="", description="file whose first line is the password")
    tls: bool = Field(default=False, description="true: talk TLS to the broker")
    tls_ca: str = Field(
        default="", description="PEM file with the authority that signed the broker; empty: the system's"
    )
    tls_cert: str = Field(default="", description="PEM file with our client certificate")
    tls_key: str = Field(default="", description="PEM file with the key of our client certificate")


class HttpFile(Strict):
    """`[http]` of service.toml."""

    host: str = Field(
        default="127.0.0.1", min_length=1, description="address that /metrics, /healthz and /readyz listen on"
    )
    port: Port = Field(default=9464, description="their port; 0 takes any free one")


class PublishFile(Strict):
    """`[publish]` of service.toml."""

    picture_ms: int = Field(
        default=100, ge=100, le=5_000, description="time between two pictures, a multiple of 100 ms"
    )
    full_ms: int = Field(default=5_000, ge=1_000, le=60_000, description="time between two full pictures")
    partners: list[Word] = Field(
        default=[],
        max_length=16,
        description="neighbours who get every alert and its track below partner/{name}/: letters, digits, _ . -",
    )


class ZonesFile(Strict):
    """`[zones]` of service.toml."""

    borders: list[str] = Field(min_length=1, max_length=100, description="GeoJSON files, or folders full of them")
    terrain: str = Field(min_length=1, description="TIFF with the height of the ground above mean sea level, metres")
    geoid: str = Field(min_length=1, description="TIFF with the height of the geoid above the ellipsoid, centimetres")
    dem: str = Field(
        default="",
        description="TIFF like terrain at steps of 1 km or finer, around all radars: what they cannot see behind hills;"
        " empty: unknown",
    )
    accuracy_m: float = Field(default=25.0, gt=0, le=5_000, description="how far a border line may be off, metres")
    protected: list[str] = Field(
        default=[], max_length=100, description="files with protected areas: TOML, or GeoJSON by its ending"
    )


class RulesFile(Strict):
    """`[rules]` of service.toml."""

    base: str = Field(default="rules.toml", min_length=1, description="the rule file")
    overlays: list[str] = Field(default=[], max_length=20, description="rule files laid over it, in this order")
    volumes: list[str] = Field(default=[], max_length=20, description="files with notified activities")


class StoreFile(Strict):
    """`[store]` of service.toml."""

    quarantine_bytes: int = Field(
        default=10_000_000,
        ge=10_000,
        le=10_000_000_000,
        description="most that samples of refused input may take on disk",
    )


class RecordFile(Strict):
    """`[record]` of service.toml."""

    enabled: bool = Field(default=True, description="false: nothing is recorded, and nothing can be replayed")
    folder: str = Field(default="", description="folder of the recordings; empty: recordings/ in data_dir")
    file_s: int = Field(
        default=3_600, ge=10, le=86_400, description="a new file after so many seconds: one can be copied away"
    )
    file_bytes: int = Field(
        default=250_000_000,
        ge=1_000_000,
        le=10_000_000_000,
        description="a new file after so many bytes, where that comes first: a viewer opens it at once",
    )
    budget_bytes: int = Field(
        default=20_000_000_000,
        ge=10_000_000,
        le=100_000_000_000_000,
        description="most that recordings may take on disk; before that the oldest files go, and are counted",
    )


class ServiceFile(Strict):
    """service.toml."""

    site: Word = Field(description="short name of this place, the {site} of every topic: letters, digits, _ . -")
    clock: Literal["live", "feed"] = Field(
        default="live", description="live: our own clock; feed: replay, time from in/clock"
    )
    simulated: bool = Field(
        default=False, description="true: simulated data may come in, and everything that leaves is marked simulated"
    )
    mode: Literal["peace", "tension", "exercise"] = Field(
        default="peace", description="peace, tension or exercise at the start: which texts and recipients alerts have"
    )
    data_dir: str = Field(
        default="../var", min_length=1, description="folder for journal, recordings, quarantine and epoch"
    )
    broker: BrokerFile = BrokerFile()
    http: HttpFile = HttpFile()
    publish: PublishFile = PublishFile()
    zones: ZonesFile = Field(description="a [zones] section with borders, terrain and geoid")
    rules: RulesFile = RulesFile()
    store: StoreFile = StoreFile()
    record: RecordFile = RecordFile()
    tracker: dict[str, Any] = Field(default={}, description="numbers of fusion.tracker.TrackerParams, by name")


Kind = Literal["radar-2d", "radar-3d", "adsb", "remote-id", "track", "bearing", "sighting"]
Sigma = Annotated[float, Field(ge=0.1, le=50_000.0)]
SigmaAngle = Annotated[float, Field(ge=0.0001, le=90.0)]


class SensorFile(Strict):
    """One `[[sensors]]` block of sensors.toml. Left out means the default of `fusion.schema.SensorSpec`."""

    id: Word = Field(description="name of the sensor in its topics: letters, digits, _ . -")
    kind: Kind = Field(description="what it is: radar-2d, radar-3d, adsb, remote-id, track, bearing or sighting")
    format: Literal["opensky", "plots", "readsb", "remoteid", "track"] = Field(
        default="plots",
        description="what it sends: plots, opensky, readsb, remoteid, or track for a neighbour's tracks",
    )
    lat_deg: float | None = Field(default=None, ge=-90, le=90, description="latitude of the antenna, WGS84 degrees")
    lon_deg: float | None = Field(default=None, ge=-180, le=180, description="longitude of the antenna, WGS84 degrees")
    height_m: float | None = Field(
        default=None, ge=-500, le=10_000, description="antenna above the WGS84 ellipsoid (not above sea level), metres"
    )
    period_s: float = Field(default=1.0, ge=0.01, le=3_600, description="scan or report period, seconds")
    range_max_m: float = Field(default=400_000.0, gt=0, le=1_000_000, description="how far it sees, metres")
    range_sigma_m: Sigma = Field(default=100.0, description="one sigma of range, metres")
    azimuth_sigma_deg: SigmaAngle = Field(default=0.15, description="one sigma of azimuth, degrees")
    elevation_sigma_deg: SigmaAngle | None = Field(default=None, description="one sigma of elevation, degrees")
    position_sigma_m: Sigma = Field(default=100.0, description="one sigma of each horizontal axis, metres")
    height_sigma_m: Annotated[float, Field(ge=0.1, le=20_000.0)] = Field(
        default=50.0, description="one sigma of geometric height, metres"
    )
    velocity_sigma_mps: Annotated[float, Field(ge=0.01, le=1_000.0)] = Field(
        default=2.0, description="one sigma of each axis of velocity, m/s"
    )
    detection_probability: float = Field(
        default=0.9, gt=0, lt=1, description="how often it sees an ordinary target in full view, in one period"
    )
    reference_rcs_m2: float = Field(
        default=1.0,
        ge=0.0001,
        le=10_000,
        description="radars: radar cross-section of the target they see that often at range_max_m, square metres",
    )
    doppler_sigma_mps: float = Field(
        default=2.0, ge=0.01, le=1_000, description="radars: one sigma of a range rate, where plots carry one, m/s"
    )
    clutter_per_scan: float = Field(default=10.0, ge=0, le=100_000, description="false plots expected in one period")
    latency_s: float = Field(default=0.5, ge=0, le=60, description="typical delay from measurement to arrival, seconds")


class SensorsFile(Strict):
    """sensors.toml."""

    sensors: list[SensorFile] = Field(
        min_length=1, max_length=MAX_SENSORS, description="one [[sensors]] block for every sensor"
    )


def tls_faults(folder: Path, broker: BrokerFile) -> list[tuple[str, str, str]]:
    """(key, problem, cure) of certificates, opened now: a wrong one would only show as no connection, ever."""
    context = ssl.create_default_context()
    cure = "name a PEM file, relative to the configuration folder"
    faults = []
    if broker.tls_ca:
        try:
            context.load_verify_locations(folder / broker.tls_ca)
        except OSError as error:  # ssl.SSLError is one
            problem = f"names {folder / broker.tls_ca}, which cannot be used ({error.strerror or error})"
            faults.append(("tls_ca", problem, cure))
    if broker.tls_cert:
        try:
            context.load_cert_chain(folder / broker.tls_cert, folder / broker.tls_key, password="")
        except (OSError, ValueError) as error:
            problem = f"names {folder / broker.tls_cert}, which cannot be used with its key ({error})"
            faults.append(("tls_cert", problem, cure))
    return faults


def service_faults(service: ServiceFile) -> list[tuple[str, str, str]]:
    """(key, problem, cure) of what the model cannot say of `[publish]` and `[record]`."""
    publish, record = service.publish, service.record
    faults = []
    if record.budget_bytes < 2 * record.file_bytes:
        problem = f"is {record.budget_bytes}, less than two files of record.file_bytes"
        faults.append(("record.budget_bytes", problem, "give room for two files: one that is written, one to look at"))
    if publish.picture_ms % 100:
        cure = "take 100, 200, 300 ...: a picture comes with a tick, and ticks come every 100 ms"
        faults.append(("publish.picture_ms", f"is {publish.picture_ms}", cure))
    for row, name in enumerate(publish.partners):
        if name in publish.partners[:row]:
            faults.append((f"publish.partners[{row}]", f'is "{name}" a second time', "name every neighbour once"))
    return faults


def sensor_faults(sensor: SensorFile) -> list[tuple[str, str, str]]:
    """(key, problem, cure) of what no single key can show."""
    faults = []
    site = {"lat_deg": sensor.lat_deg, "lon_deg": sensor.lon_deg, "height_m": sensor.height_m}
    missing = [key for key, value in site.items() if value is None]
    needs_site = sensor.kind in ("radar-2d", "radar-3d", "bearing")
    if missing and (needs_site or len(missing) < len(site)):
        why = f"a {sensor.kind} sensor measures from its place" if needs_site else "a place needs all three"
        faults.append((missing[0], "is missing", f"add {', '.join(missing)}: {why}"))
    if sensor.kind == "radar-3d" and sensor.elevation_sigma_deg is None:
        cure = "add it, or say radar-2d if it measures no elevation"
        faults.append(("elevation_sigma_deg", "is missing", cure))
    if sensor.kind not in ("radar-3d", "bearing") and sensor.elevation_sigma_deg is not None:
        cure = "take it out, or say radar-3d if it measures elevation"
        faults.append(("elevation_sigma_deg", f"does not belong to a {sensor.kind} sensor", cure))
    if sensor.format in ("opensky", "readsb") and sensor.kind != "adsb":
        cure = 'say kind = "adsb", or format = "plots"'
        faults.append(("format", f"{sensor.format} carries ADS-B, not {sensor.kind}", cure))
    if sensor.format == "remoteid" and sensor.kind != "remote-id":
        faults.append(("format", f"remoteid carries Remote ID, not {sensor.kind}", 'say kind = "remote-id"'))
    if sensor.format == "track" and sensor.kind != "track":
        faults.append(("format", f"track carries a neighbour's tracks, not {sensor.kind}", 'say kind = "track"'))
    return faults
