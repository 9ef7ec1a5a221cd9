"""The types that cross a border inside Vedette, and the checks at the door.

Everything is SI inside: metres, seconds, radians, int64 microseconds UTC. The unit is the last word of a name and the
shape stands in the comment. A value that was not measured is NaN (floats) or -1 (integers); b"" for text.
Two times are on everything: `t_us` when it was measured (the sensor's clock), `rx_us` when it reached us.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fusion import columns
from fusion.bias.sensorbias import SensorBias
from fusion.cases.record import Noted, Sighting
from fusion.claims.gnss import Interference
from fusion.columns import COLUMNS, columns_of, unmeasured

if TYPE_CHECKING:
    from fusion.borders.outlook import Forecast

F8 = NDArray[np.float64]
F4 = NDArray[np.float32]
I8 = NDArray[np.int64]
I4 = NDArray[np.int32]
I2 = NDArray[np.int16]
I1 = NDArray[np.int8]
U8 = NDArray[np.uint64]
B1 = NDArray[np.bool_]
S = NDArray[np.bytes_]

US_PER_S = 1_000_000
F8_FIELDS, INT_FIELDS, LIMITS = columns.F8_FIELDS, columns.INT_FIELDS, columns.LIMITS

Table = TypeVar("Table")  # a frozen dataclass whose arrays all have the same first axis


class Invalid(ValueError):
    """An item that breaks the contract at the door; `reason` is a short, countable word such as `out-of-range`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Frame:
    """What came through the door, untouched: one message from one source, or a tick (source `tick`, empty payload)."""

    seq: int
    rx_us: int
    source: str  # topic below vedette/v1/{site}/, for example "in/R1/plots"; "tick" for the clock
    payload: bytes


class PlotKind(IntEnum):
    """What geometry the plots of a batch carry."""

    POSITION = 0  # latitude, longitude (ADS-B, Remote ID, neighbour's track, human sighting)
    POLAR = 1  # slant range, azimuth, perhaps elevation, from the sensor's site
    BEARING = 2  # azimuth, perhaps elevation, from the sensor's site


class SensorKind(IntEnum):
    """What a sensor is: this decides which of its claims count as independent evidence."""

    RADAR_2D = 0  # primary or secondary, no elevation; a secondary one adds Mode 3/A and pressure height
    RADAR_3D = 1
    ADSB = 2  # a claim by the aircraft itself
    REMOTE_ID = 3  # a claim by the aircraft itself
    TRACK = 4  # a neighbour's track
    BEARING = 5  # acoustic, radio direction finder
    SIGHTING = 6  # a person


INDEPENDENT = (SensorKind.RADAR_2D, SensorKind.RADAR_3D)  # sees the object itself, whatever the object says
CLAIM = (SensorKind.ADSB, SensorKind.REMOTE_ID)  # repeats what the object says of itself


@dataclass(frozen=True, slots=True)
class SensorSpec:
    """One sensor as configured or registered. `index` is its row in every per-sensor array, in order of id."""

    id: str
    index: int
    kind: SensorKind
    lat_rad: float = np.nan  # site, WGS84; NaN for sensors without one (an ADS-B network)
    lon_rad: float = np.nan
    height_m: float = np.nan  # antenna above the ellipsoid
    period_s: float = 1.0  # scan or report period
    range_max_m: float = 400_000.0
    sigma_range_m: float = 100.0
    sigma_azimuth_rad: float = 0.0026
    sigma_elevation_rad: float = np.nan  # NaN: none measured
    sigma_position_m: float = 100.0  # POSITION kinds: default per horizontal axis when the message declares none
    sigma_height_m: float = 50.0  # geometric height, default
    sigma_velocity_mps: float = 2.0  # default
    detection_probability: float = 0.9  # of an ordinary target in full view
    clutter_per_scan: float = 10.0  # expected false plots in one period
    latency_s: float = 0.5  # typical measurement-to-arrival delay
    reference_rcs_m2: float = 1.0  # radars: of a target seen with detection_probability at range_max_m
    sigma_doppler_mps: float = 2.0  # radars: of a range rate, where plots carry one

    @property
    def has_site(self) -> bool:
        """True where the sensor has a declared place."""
        return bool(np.isfinite(self.lat_rad) and np.isfinite(self.lon_rad))


@dataclass(frozen=True, slots=True)
class Plots:
    """One homogeneous batch of n plots from one sensor. All arrays have shape (n,).

    Height has three sources that never mix: `height_m` geometric above the ellipsoid, `pressure_height_m` as the
    transponder reports it (ISA, 1013.25 hPa), and `elevation_rad` of a 3D radar.
    Angles are from true north, clockwise, at the site's ellipsoid normal; straight-line geometry.
    """

    sensor: str
    kind: PlotKind
    rx_us: int
    t_us: I8
    boot: int = -1  # the sensor's start number and
    seq: int = -1  # message number within it: duplicates fall by (sensor, boot, seq); -1: not numbered
    range_m: F8 = field(default_factory=lambda: np.empty(0))
    azimuth_rad: F8 = field(default_factory=lambda: np.empty(0))
    elevation_rad: F8 = field(default_factory=lambda: np.empty(0))
    sigma_range_m: F8 = field(default_factory=lambda: np.empty(0))
    sigma_azimuth_rad: F8 = field(default_factory=lambda: np.empty(0))
    sigma_elevation_rad: F8 = field(default_factory=lambda: np.empty(0))
    doppler_mps: F8 = field(default_factory=lambda: np.empty(0))  # range rate, positive away
    lat_rad: F8 = field(default_factory=lambda: np.empty(0))
    lon_rad: F8 = field(default_factory=lambda: np.empty(0))
    sigma_position_m: F8 = field(default_factory=lambda: np.empty(0))  # one sigma of each horizontal axis
    height_m: F8 = field(default_factory=lambda: np.empty(0))
    sigma_height_m: F8 = field(default_factory=lambda: np.empty(0))
    pressure_height_m: F8 = field(default_factory=lambda: np.empty(0))
    velocity_east_mps: F8 = field(default_factory=lambda: np.empty(0))
    velocity_north_mps: F8 = field(default_factory=lambda: np.empty(0))
    velocity_up_mps: F8 = field(default_factory=lambda: np.empty(0))
    sigma_velocity_mps: F8 = field(default_factory=lambda: np.empty(0))
    address: I4 = field(default_factory=lambda: np.empty(0, np.int32))  # 24-bit ICAO; -1 none
    mode3a: I4 = field(default_factory=lambda: np.empty(0, np.int32))  # 12-bit value (0o7700 == 4032); -1 none
    nic: I1 = field(default_factory=lambda: np.empty(0, np.int8))
    nacp: I1 = field(default_factory=lambda: np.empty(0, np.int8))
    nacv: I1 = field(default_factory=lambda: np.empty(0, np.int8))
    sil: I1 = field(default_factory=lambda: np.empty(0, np.int8))
    category: I1 = field(default_factory=lambda: np.empty(0, np.int8))  # emitter category, CAT021 I020 numbering
    on_ground: I1 = field(default_factory=lambda: np.empty(0, np.int8))  # 1 yes, 0 no, -1 unknown
    callsign: S = field(default_factory=lambda: np.empty(0, "S8"))
    serial: S = field(default_factory=lambda: np.empty(0, "S20"))  # Remote ID

    def __len__(self) -> int:
        return len(self.t_us)


def plots(sensor: str, kind: PlotKind, rx_us: int, t_us: I8, boot: int = -1, seq: int = -1, **given: object) -> Plots:
    """Build a batch as `fill` does; then checked by `check_plots`."""
    batch = fill(sensor, kind, rx_us, t_us, boot, seq, **given)
    check_plots(batch)
    return batch


def fill(sensor: str, kind: PlotKind, rx_us: int, t_us: I8, boot: int = -1, seq: int = -1, **given: object) -> Plots:
    """Build a batch whose values the caller has checked: fields not given become "not measured".

    These fields are read-only and shared between batches, because most fields of most plots are of this sort.

    Raises:
        TypeError: a field that `Plots` does not have.
    """
    values = columns_of(len(t_us), given).values()
    return Plots(sensor, kind, rx_us, np.asarray(t_us, np.int64), boot, seq, *values)


NEEDED = {
    PlotKind.POSITION: ("lat_rad", "lon_rad"),
    PlotKind.POLAR: ("range_m", "azimuth_rad"),
    PlotKind.BEARING: ("azimuth_rad",),
}


def check_plots(batch: Plots) -> None:
    """Refuse a batch that breaks the contract.

    Raises:
        Invalid: `length` (arrays differ), `missing-field` (the geometry of its kind is not there),
            `not-finite` (infinity anywhere), `out-of-range` (outside the physical limits).
    """
    n = len(batch)
    for name in ("t_us", *COLUMNS):
        shape = getattr(batch, name).shape
        if shape != (n,):
            raise Invalid("length", f"{name} has shape {shape}, expected ({n},)")
    if n == 0:
        return
    for name in NEEDED[batch.kind]:
        if math.isnan(np.minimum.reduce(getattr(batch, name))):
            raise Invalid("missing-field", name)
    for name, (low, high) in LIMITS.items():
        value = getattr(batch, name)
        if not unmeasured(value) and (np.fmin.reduce(value) < low or np.fmax.reduce(value) > high):
            if np.isinf(value).any():
                raise Invalid("not-finite", name)
            raise Invalid("out-of-range", f"{name} outside {low:g}..{high:g}")
    for name, bits in (("address", 24), ("mode3a", 12)):
        value = getattr(batch, name)
        if not unmeasured(value) and ((value < -1) | (value >= 1 << bits)).any():
            raise Invalid("out-of-range", f"{name} is {bits} bits")


@dataclass(frozen=True, slots=True)
class SensorStatus:
    """A sensor's own word about itself (`in/{sensor}/status`)."""

    sensor: str
    rx_us: int
    t_us: int
    state: str  # "ok", "degraded", "off"
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Met:
    """Weather at a place: here the pressure at mean sea level, which turns pressure height into height."""

    sensor: str
    rx_us: int
    t_us: int
    qnh_hpa: float
    wind_mps: tuple[float, float] = (np.nan, np.nan)  # towards east and north; NaN not reported


@dataclass(frozen=True, slots=True)
class Command:
    """What an operator asked for (`cmd/...`). Effective, and answered, at the next tick."""

    rx_us: int
    verb: str  # one of fusion.cases.orders.VERBS
    alert_id: str  # "" when it is about an incident
    operator: str  # verified name
    reason: str = ""
    identity: str = ""  # for "identify": friend, neutral, suspect, hostile, unknown; only a person may say so
    correlation: bytes = b""
    response_topic: str = ""
    incident_id: str = ""
    to: str = ""  # for "hand-over": the neighbour or recipient who shall take it


Item = Plots | SensorStatus | Met | Command | Sighting


class TrackStatus(IntEnum):
    """Life of a track. Only CONFIRMED and COASTING are published."""

    TENTATIVE = 0
    CONFIRMED = 1
    COASTING = 2  # confirmed, and not seen for longer than its sensors' periods explain


@dataclass(frozen=True, slots=True)
class Tracks:
    """Struct of arrays, one row a track, rows in order of id. No history inside: history is the log.

    State is WGS84 earth-centred earth-fixed (ECEF), extrapolated to `t_us` of the whole table.
    """

    epoch: int
    t_us: int  # the time for which state and cov hold
    id: I8  # (n,) counter; a track's name is "epoch:counter"
    birth_us: I8  # (n,) time of the first plot
    confirmed_us: I8  # (n,) -1 before
    update_us: I8  # (n,) measured time of the last plot
    rx_us: I8  # (n,) arrival time of the last plot
    state: F8  # (n, 6) x y z m, vx vy vz m/s, ECEF
    cov: F8  # (n, 6, 6)
    mode: F8  # (n, 3) probabilities: cruise, manoeuvre, slow
    existence: F8  # (n,)
    status: I1  # (n,) TrackStatus
    address: I4  # (n,) 24-bit ICAO or -1
    mode3a: I4  # (n,)
    mode3a_us: I8  # (n,) last plot that carried a Mode 3/A code; -1 never
    category: I1  # (n,) emitter category or -1
    callsign: S  # (n,) S8
    serial: S  # (n,) S20
    claim_us: I8  # (n,) last plot of a CLAIM sensor (ADS-B, Remote ID); -1 never
    radar_us: I8  # (n,) last plot of an INDEPENDENT sensor that would do without claims; -1 never
    height_us: I8  # (n,) last measurement that carried height (elevation, geometric or pressure); -1 never
    pressure_height_m: F8  # (n,) above 1013.25 hPa, as the newest plot that carried it measured it; NaN never
    pressure_height_us: I8  # (n,) when that was; -1 never
    hits: I4  # (n,) plots fused
    unseen: F8  # (n,) log-probability that radar that should see this object kept missing it; 0 = seen or not covered
    sensors: U8  # (n,) bit mask by sensor index of sensors fused in the last 30 s

    def __len__(self) -> int:
        return len(self.id)

    def name(self, row: int) -> str:
        """The public track id "epoch:counter"."""
        return f"{self.epoch}:{int(self.id[row])}"


class ObjectClass(IntEnum):
    """What kinematics and identity suggest; UNKNOWN is a real answer, not a failure."""

    UNKNOWN = 0
    FIXED_WING_DRONE = 1  # one class, whatever it carries or is built for: kinematics cannot tell, and we do not guess
    SMALL_MULTICOPTER = 2
    LIGHT_AIRCRAFT = 3
    ULTRALIGHT = 4
    GLIDER = 5
    PARAGLIDER = 6  # and hang gliders
    AIRLINER = 7
    FAST_JET = 8
    ROTORCRAFT = 9
    FAST_LOW_FLYER = 10  # 190-305 m/s, low, silent
    BALLOON = 11
    BIRD_FLOCK = 12
    FIXED_ECHO = 13  # a wind turbine, or anything else that stands and echoes


@dataclass(frozen=True, slots=True)
class Assessment:
    """What place, identity and behaviour mean for every row of a `Tracks` table (same n, same order).

    Positive distance is outside the allied border, negative inside. NaN: does not apply or not known.
    """

    lat_rad: F8  # (n,)
    lon_rad: F8  # (n,)
    height_m: F8  # (n,) above the ellipsoid
    sigma_height_m: F8  # (n,)
    sigma_horizontal_m: F8  # (n,) sqrt of the mean of the two horizontal variances
    speed_mps: F8  # (n,) over ground
    sigma_speed_mps: F8  # (n,)
    course_rad: F8  # (n,) 0..2pi from true north
    climb_mps: F8  # (n,)
    state: I2  # (n,) index into Zones.codes of the state overflown; -1 none (open sea or no data)
    p_state: F8  # (n,) probability of that state
    disputed: B1  # (n,)
    near_state: I2  # (n,) allied state that the nearest border point belongs to; -1 none
    distance_m: F8  # (n,) signed geodesic distance to the allied border
    sigma_distance_m: F8  # (n,)
    p_inside: F8  # (n,) probability to be inside the allied border
    time_to_border_s: F8  # (n,) predicted time until the straight path crosses inwards; NaN: not within the horizon
    sigma_time_s: F8  # (n,)
    crossing_lat_rad: F8  # (n,) where
    crossing_lon_rad: F8  # (n,)
    agl_m: F8  # (n,) height above ground
    sigma_agl_m: F8  # (n,)
    height_known: B1  # (n,) False: neither low nor high, a case of its own
    p_low: F8  # (n,) probability of height above ground <= the word "low"; NaN when height is not known
    p_slow: F8  # (n,) probability of ground speed <= the word "slow"
    cooperative: B1  # (n,) a live cooperative identity that radar does not contradict
    contradicted: B1  # (n,) the claim is contradicted
    doubt: I1  # (n,) fusion.integrity.Reason why the claim is contradicted, or does not exempt; 0 none
    object_class: I1  # (n,) ObjectClass; UNKNOWN where no class is probable enough
    p_class: F8  # (n,) its probability, NaN where UNKNOWN
    p_classes: F8  # (n, len(ObjectClass)) of every class; UNKNOWN here is "none of these"


def take(table: Table, rows: B1 | I8) -> Table:
    """The same table with only these rows: a mask of shape (n,), or row numbers. Scalars stay."""
    chosen: dict[str, Any] = {}
    for f in fields(table):  # type: ignore[arg-type]
        value = getattr(table, f.name)
        chosen[f.name] = value[rows] if isinstance(value, np.ndarray) else value
    return type(table)(**chosen)


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number an alert rests on, with its uncertainty and its limit."""

    name: str  # with the unit as last word, for example "speed_mps"
    value: float | bool | str
    sigma: float | None = None  # one sigma, same unit
    condition: str = ""  # the rule's own condition in words, for example "<= 80 with p >= 0.8"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert at one moment of its life. The id is the same after a restart and in a replay."""

    id: str  # hash of rule, rule version, track birth, episode
    rule: str
    rule_version: int
    severity: int  # 1 highest .. 3
    state: str  # raised, updated, acknowledged, closed
    track: str  # "epoch:counter"
    episode: int
    raised_us: int  # when the rule became true (tick time)
    t_us: int  # this transition
    first_plot_us: int
    confirmed_us: int
    lat_rad: float
    lon_rad: float
    overflown: str  # ISO code of the state overflown, "" none
    near_state: str  # ISO code of the allied state concerned
    disputed: bool
    quantities: tuple[Quantity, ...]
    sensors: tuple[str, ...]
    sentence: str  # readable aloud
    clears: str  # what would clear it
    recipients: tuple[str, ...] = ()
    delayed: bool = False  # raised from a backlog
    acknowledged_by: str = ""
    acknowledged_us: int = -1
    identity: str = "unknown"  # set only by a person
    identity_by: str = ""
    identity_reason: str = ""
    close_reason: str = ""
    simulated: bool = False
    mode: str = "peace"  # of the service: peace, tension, exercise


@dataclass(frozen=True, slots=True)
class Health:
    """What we know of one sensor."""

    sensor: str
    t_us: int
    state: str  # never, ok, stale, degraded, off
    last_us: int  # newest measured time; -1 never
    last_rx_us: int
    rate_hz: float  # plots per second over the last 30 s
    lag_s: float  # median of arrival minus measurement; NaN unknown
    nis: float  # mean normalised innovation squared per degree of freedom; NaN unknown
    hits: int
    misses: int
    detail: str = ""
    bias: SensorBias | None = None  # of a radar


@dataclass(frozen=True, slots=True)
class Picture:
    """The published air picture at `t_us`. A delta holds the rows changed since the picture before it."""

    t_us: int
    full: bool
    tracks: Tracks
    assessment: Assessment
    dropped: tuple[tuple[int, str], ...] = ()  # (counter, why it ended) since the picture before
    forecast: Forecast | None = None  # same rows
    mode: str = "peace"


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """An alert was raised or changed: journalled, then published at once."""

    alert: Alert


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """A sensor's health, once a second per sensor."""

    health: Health


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a command."""

    command: Command
    ok: bool
    detail: str


Event = Picture | AlertChanged | HealthChanged | Interference | Answer | Noted


@dataclass(slots=True)
class Counters:
    """Accounts of plots and of messages without any. Always received == used + rejected + shed + duplicate + late."""

    received: int = 0
    used: int = 0
    duplicate: int = 0
    late: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    shed: dict[str, int] = field(default_factory=dict)

    def reject(self, reason: str, count: int = 1) -> None:
        """Count `count` received items as rejected for `reason`."""
        self.received += count
        self.rejected[reason] = self.rejected.get(reason, 0) + count

    def balance(self) -> int:
        """Zero when every received item is accounted for."""
        spent = self.used + self.duplicate + self.late + sum(self.rejected.values()) + sum(self.shed.values())
        return self.received - spent
