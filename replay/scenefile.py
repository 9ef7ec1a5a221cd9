"""The keys of a scenario file, with their types and limits: msgspec refuses everything else."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec

MAX_OBJECTS = 5_000  # written one by one
MAX_DURATION_S = 86_400.0
MAX_SENSORS = 64  # a sensor is a bit of a track's mask
MAX_TRAFFIC = 8
MAX_LATE_S = 900.0  # people report a quarter of an hour later

Finite = Annotated[float, msgspec.Meta(gt=-1e9, lt=1e9)]
Positive = Annotated[float, msgspec.Meta(gt=0.0, lt=1e9)]
Part = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Lat = Annotated[float, msgspec.Meta(ge=-90.0, le=90.0)]
Lon = Annotated[float, msgspec.Meta(ge=-180.0, le=180.0)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,40}$")]
Spans = list[tuple[Finite, Finite]]
Fault = Literal["degraded", "outage", "late", "jump", "drift", "frozen"]
DrawnFault = Literal["degraded", "outage", "late", "jump", "drift", "frozen", "duplicate", "ghost", "replayed"]


class SectorFile(msgspec.Struct, forbid_unknown_fields=True):
    """False plots of one part of a radar's field."""

    per_scan: Annotated[float, msgspec.Meta(gt=0.0, le=5_000.0)]
    from_azimuth_deg: Finite
    until_azimuth_deg: Finite
    from_m: Positive
    until_m: Positive


class SensorFile(msgspec.Struct, forbid_unknown_fields=True):
    """One sensor: what Vedette is told, then what it is like in truth."""

    id: Name
    kind: Literal["radar-2d", "radar-3d", "adsb", "remote-id", "bearing", "sighting"]
    format: Literal["plots", "readsb"] = "plots"
    hears: Literal["", "sound", "radio", "remote-id", "flarm"] = ""
    lat_deg: Lat | None = None
    lon_deg: Lon | None = None
    height_m: Finite | None = None
    period_s: Annotated[float, msgspec.Meta(ge=0.2, le=60.0)] = 1.0
    range_max_m: Positive = 400_000.0
    sigma_range_m: Positive = 100.0
    sigma_azimuth_deg: Positive = 0.15
    sigma_elevation_deg: Positive | None = None
    sigma_doppler_mps: Positive | None = None
    sigma_position_m: Positive = 100.0
    detection_probability: Part = 0.9
    clutter_per_scan: Annotated[float, msgspec.Meta(ge=0.0, le=5_000.0)] | None = None
    latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_LATE_S)] = 0.5
    primary: bool = True
    secondary: bool = False
    mode_s: bool = False
    rpm_phase: Part = 0.0
    jitter_s: Annotated[float, msgspec.Meta(ge=0.0, le=MAX_LATE_S)] = 0.05
    overtakes: bool = False
    loss: Part = 0.0
    garble: Part = 0.0
    bias_range_m: Finite = 0.0
    gain_range: Annotated[float, msgspec.Meta(gt=-0.1, lt=0.1)] = 0.0
    bias_azimuth_deg: Finite = 0.0
    bias_elevation_deg: Finite = 0.0
    bias_time_s: Annotated[float, msgspec.Meta(ge=-60.0, le=60.0)] = 0.0
    outages_s: Spans = []
    frozen_s: Spans = []
    clock_steps_s: Spans = []
    north_turns_deg: Spans = []
    sector: Annotated[list[SectorFile], msgspec.Meta(max_length=32)] = []


class TransponderFile(msgspec.Struct, forbid_unknown_fields=True):
    """What the object says of itself."""

    address: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{6}$")] | None = None
    callsign: Annotated[str, msgspec.Meta(pattern=r"^[A-Z0-9]{0,8}$")] = ""
    mode3a: Annotated[str, msgspec.Meta(pattern=r"^[0-7]{4}$")] | None = None
    category: Annotated[int, msgspec.Meta(ge=0, le=24)] | None = None
    adsb: bool = True
    nacp: Annotated[int, msgspec.Meta(ge=1, le=11)] = 9
    nacv: Annotated[int, msgspec.Meta(ge=1, le=4)] = 2
    nic: Annotated[int, msgspec.Meta(ge=0, le=11)] = 8
    sil: Annotated[int, msgspec.Meta(ge=0, le=3)] = 3
    gva: Annotated[int, msgspec.Meta(ge=0, le=2)] | None = None


class FaultFile(msgspec.Struct, forbid_unknown_fields=True):
    """One thing wrong with what an object says."""

    kind: Fault
    from_s: Finite
    until_s: Finite
    value: Finite = 0.0
    bearing_deg: Finite = 0.0


class ObjectFile(msgspec.Struct, forbid_unknown_fields=True):
    """One thing in the air, on a way that is written down."""

    id: Name
    speed_mps: Annotated[float, msgspec.Meta(ge=0.5, le=1_000.0)]
    way: Annotated[list[list[Finite]], msgspec.Meta(min_length=2, max_length=1_000)]
    kind: str = ""
    nothing: Literal["", "ghost", "replayed"] = ""
    departs_s: Finite = 0.0
    repeat: bool = False
    rcs_m2: Positive = 3.0
    turn_degps: Positive = 3.0
    climb_mps: Positive = 8.0
    accelerate_mps2: Positive = 1.5
    transponder: TransponderFile | None = None
    remote_id: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9]{0,20}$")] = ""
    fault: Annotated[list[FaultFile], msgspec.Meta(max_length=32)] = []


class TrafficFile(msgspec.Struct, forbid_unknown_fields=True):
    """So many of each class around a place, drawn from the seed."""

    lat_deg: Lat
    lon_deg: Lon
    radius_m: Positive
    count: dict[str, Annotated[int, msgspec.Meta(ge=0, le=8_000)]]
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._]{1,12}$")] = ""
    come_and_go: Part = 0.0
    course_deg: Finite = 0.0
    spread_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)] = 180.0
    group: tuple[Annotated[int, msgspec.Meta(ge=1)], Annotated[int, msgspec.Meta(ge=1, le=20)]] = (1, 1)
    escorts: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    wind_mps: Annotated[float, msgspec.Meta(ge=0.0, le=40.0)] = 0.0
    wind_from_deg: Finite = 270.0
    faults: dict[DrawnFault, Part] = {}


class InterferenceFile(msgspec.Struct, forbid_unknown_fields=True):
    """GNSS is disturbed around a place for a time."""

    lat_deg: Lat
    lon_deg: Lon
    radius_m: Positive
    from_s: Finite
    until_s: Finite
    drift_mps: Annotated[float, msgspec.Meta(ge=0.0, le=1_000.0)] = 20.0
    loss: Part = 0.3
    declared: bool = True


class ExpectFile(msgspec.Struct, forbid_unknown_fields=True):
    """An alert that must come."""

    object: Name
    rules: Annotated[list[str], msgspec.Meta(min_length=1)]
    from_s: Finite
    until_s: Finite
    near_state: str = ""


class LedgerFile(msgspec.Struct, forbid_unknown_fields=True):
    """States that an object flies over, in order; with the least and most seconds inside those that are named."""

    object: Name
    states: Annotated[list[str], msgspec.Meta(min_length=1, max_length=50)]
    inside_s: dict[str, tuple[Positive, Positive]] = {}


class TheatreFile(msgspec.Struct, forbid_unknown_fields=True):
    """What several scenes of one region share: sensors and the traffic of an ordinary day."""

    about: str
    geoid_m: Finite
    ground_m: Finite
    sensor: Annotated[list[SensorFile], msgspec.Meta(min_length=1, max_length=MAX_SENSORS)]
    traffic: Annotated[list[TrafficFile], msgspec.Meta(max_length=MAX_TRAFFIC)] = []


class PlanFile(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    title: str
    about: list[str]
    start: datetime.datetime
    duration_s: Annotated[float, msgspec.Meta(ge=1.0, le=MAX_DURATION_S)]
    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    theatre: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9-]{0,40}$")] = ""
    geoid_m: Finite | None = None
    qnh_hpa: Annotated[float, msgspec.Meta(ge=850.0, le=1_100.0)] = 1013.25
    warmer_k: Annotated[float, msgspec.Meta(ge=-60.0, le=40.0)] = 0.0
    ground_m: Finite | None = None
    sensor: Annotated[list[SensorFile], msgspec.Meta(max_length=MAX_SENSORS)] = []
    object: Annotated[list[ObjectFile], msgspec.Meta(max_length=MAX_OBJECTS)] = []
    traffic: Annotated[list[TrafficFile], msgspec.Meta(max_length=MAX_TRAFFIC)] = []
    interference: Annotated[list[InterferenceFile], msgspec.Meta(max_length=16)] = []
    expect: list[ExpectFile] = []
    ledger: list[LedgerFile] = []
    quiet: list[Name] = []
    others_quiet: bool = False
