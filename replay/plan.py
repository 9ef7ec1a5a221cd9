"""What a scene is made of: objects, what they say of themselves, sensors as they truly are, and what is expected.

Everything is SI and radians; times are seconds of the scene. `replay.scenario` reads these from a file, and
`replay.traffic` draws them; a program may as well build them itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from fusion.schema import SensorSpec
from replay.motion import Flight

# What a claim can have wrong, and what the fault's `value` says.
FAULTS = {
    "degraded": "NACp declared, and the accuracy that the position then has",
    "outage": "nothing: the object does not broadcast",
    "late": "seconds by which the position is older than it says: latency that nobody made good",
    "jump": "metres by which the position is wrong, in one direction",
    "drift": "metres a second by which the error grows, in one direction",
    "frozen": "nothing: the position of the beginning is told again and again",
    "duplicate": "nothing: another object uses the same address (a label; the address itself is the transponder's)",
}


@dataclass(frozen=True, slots=True)
class Transponder:
    """What the object says of itself."""

    address: int = -1  # 24-bit ICAO
    callsign: bytes = b""
    mode3a: int = -1
    category: int = -1  # emitter category, CAT021 I020 numbering
    adsb: bool = True  # also broadcasts its place; without: answers secondary radar only
    mode_s: bool = True  # False: answers Mode A/C, so that no radar learns its address
    nacp: int = 9  # position accuracy category (ED-102A): 9 = 30 m, 95 %
    nacv: int = 2  # velocity accuracy category: 2 = 3 m/s, 95 %
    nic: int = 8
    sil: int = 3
    gva: int = -1  # geometric vertical accuracy: 1 = 150 m, 2 = 45 m, 95 %; -1: 15 m, one sigma


@dataclass(frozen=True, slots=True)
class Beacon:
    """A short-range broadcast of its own place."""

    kind: str  # "remote-id" or "flarm"
    serial: bytes  # at most 20


@dataclass(frozen=True, slots=True)
class ClaimFault:
    """One thing wrong with what an object says of itself, from..until."""

    kind: str  # of FAULTS
    from_s: float
    until_s: float
    value: float = math.nan
    bearing_rad: float = 0.0  # of a jump or a drift


@dataclass(frozen=True, slots=True)
class SimObject:
    """One thing in the air."""

    id: str
    flight: Flight
    rcs_m2: float = 3.0  # radar cross-section
    transponder: Transponder | None = None  # None: silent
    kind: str = ""  # class of replay.objects; "" not said
    beacon: Beacon | None = None
    data_link: bool = False  # a direction finder hears it
    heard_m: float = 0.0  # an acoustic node hears it so far
    blade_mps: float = 0.0  # tip speed of rotor or blades that flash in Doppler; 0 none
    nothing: str = ""  # "ghost" or "replayed": a broadcast with no object behind it, which no radar sees
    faults: tuple[ClaimFault, ...] = ()

    @property
    def cooperative(self) -> bool:
        """True for an object that says who it is."""
        return self.transponder is not None or self.beacon is not None


@dataclass(frozen=True, slots=True)
class ClutterSector:
    """False plots of one part of a radar's field, on top of its even clutter: the sea, a town, a ridge."""

    per_scan: float  # false plots a turn
    from_azimuth_rad: float  # clockwise to
    until_azimuth_rad: float
    from_m: float
    until_m: float  # spread evenly over the area


@dataclass(frozen=True, slots=True)
class SimSensor:
    """One sensor: what Vedette is told of it (`spec`), and what it is like in truth."""

    spec: SensorSpec
    format: str = "plots"  # wire format of its messages
    primary: bool = True  # a radar that sees the object itself
    secondary: bool = False  # a radar that also interrogates transponders: Mode 3/A and pressure height
    mode_s: bool = False  # and reads their 24-bit address and callsign
    rpm_phase: float = 0.0  # part of a turn past north at the start of the scene
    sigma_pressure_m: float = 8.0  # of a reported pressure height before its rounding to 25 ft
    jitter_s: float = 0.05  # mean of the exponential extra delay of a message
    bias_range_m: float = 0.0  # true registration error, unknown to Vedette
    bias_azimuth_rad: float = 0.0
    outages_s: tuple[tuple[float, float], ...] = ()  # says nothing from..until, seconds of the scene
    hears: str = ""  # of BEARING: "sound" or "radio"; of REMOTE_ID: the kind of beacon
    sigma_doppler_mps: float = math.nan  # of the range rate; NaN: none measured
    gain_range: float = 0.0  # range is measured too long by this part of itself
    bias_elevation_rad: float = 0.0
    bias_time_s: float = 0.0  # its clock is ahead
    clock_steps_s: tuple[tuple[float, float], ...] = ()  # from this second on, the clock is ahead by so much more
    north_turns: tuple[tuple[float, float], ...] = ()  # from this second on, north is turned by so many radians more
    frozen_s: tuple[tuple[float, float], ...] = ()  # repeats its last turn before `from`, until
    overtakes: bool = False  # a message that is delayed less may arrive before an earlier one
    loss: float = 0.0  # part of its messages that never arrives
    garble: float = 0.0  # part of the Mode 3/A codes read with a wrong bit
    sectors: tuple[ClutterSector, ...] = ()


@dataclass(frozen=True, slots=True)
class Interference:
    """GNSS is disturbed around a place for a time: positions drift away, each its own way, and many are not sent."""

    lat_rad: float
    lon_rad: float
    radius_m: float
    from_s: float
    until_s: float
    drift_mps: float = 20.0
    loss: float = 0.3
    declared: bool = True  # NIC and NACp fall to 0; False: the receivers do not notice (spoofing)


@dataclass(frozen=True, slots=True)
class Expect:
    """An alert that must come: for this object, by one of these rules, raised within this time of the scene."""

    object: str
    rules: tuple[str, ...]
    from_s: float
    until_s: float
    near_state: str = ""  # ISO code of the allied state concerned; "" any


@dataclass(frozen=True, slots=True)
class Passed:
    """The states that an object flies over, in order ("" the open sea), and how long it is inside some of them."""

    object: str
    states: tuple[str, ...]
    inside_s: tuple[tuple[str, float, float], ...] = ()  # state, least and most seconds in all


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole scene, ready to be simulated."""

    name: str
    title: str
    about: tuple[str, ...]  # what you see, a line each
    seed: int
    start_us: int
    duration_s: float
    geoid_m: float  # height of mean sea level above the ellipsoid, for pressure heights
    qnh_hpa: float
    ground_m: float  # height above the ellipsoid of the surface that makes the radio horizon
    sensors: tuple[SimSensor, ...]  # in order of id; spec.index is the place in this tuple
    objects: tuple[SimObject, ...]
    expect: tuple[Expect, ...] = ()
    ledger: tuple[Passed, ...] = ()
    quiet: tuple[str, ...] = ()  # ids of objects that must not raise any alert
    warmer_k: float = 0.0  # than the standard atmosphere: a pressure height is then too small by about 0.4 % a kelvin
    interference: tuple[Interference, ...] = ()
