"""What flies near a border: every class of object with its speed, height, manner of moving, echo and voice.

The numbers are of the literature and of real recordings: paraglider, sailplane, helicopter, light aircraft and the
AR5-class drone fly as measured (percentiles of speed, climb and turn in tests/test_objects.py); drones after what
authorities published of them; radar cross-sections at S and X band are the weakest part, good to a factor of three.

    spec = objects.CATALOGUE["gerbera"]
    flight = objects.draw(spec, rng, Start(lat_rad, lon_rad, heading_rad), duration_s=900.0)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from replay import manners
from replay.manners import Drift, Fixed, Legs, Limits, Manner, Soar, Span, Start
from replay.motion import Flight


@dataclass(frozen=True, slots=True)
class Emits:
    """How probable it is that an object of the class says something of itself. The first three exclude each other."""

    adsb: float = 0.0  # ADS-B, and with it Mode S
    mode_s: float = 0.0  # answers Mode S interrogation, broadcasts nothing
    mode_ac: float = 0.0  # answers Mode A/C only
    flarm: float = 0.0
    remote_id: float = 0.0
    data_link: float = 0.0  # a radio link that a direction finder hears


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """One class of objects."""

    name: str
    speed_mps: tuple[float, float, float]  # slowest, usual, fastest; of what soars and what flocks: airspeed
    bands_m: tuple[tuple[float, float, float], ...]  # lowest, highest above ground, weight
    climb_mps: Span  # most down (negative), most up
    rcs_m2: Span  # radar cross-section, spread evenly on a logarithmic scale
    manner: Manner
    emits: Emits = Emits()
    category: int = -1  # emitter category, CAT021 I020 numbering
    lens_rcs_m2: Span | None = None  # with a Luneburg lens, which half of them carry
    heard_m: float = 0.0  # a quiet-weather acoustic node hears it so far; 0: not at all
    blade_mps: float = 0.0  # tip speed of rotor or blades; 0: none that a radar would see


def _deg(low: float, high: float) -> Span:
    return math.radians(low), math.radians(high)


def _drone(turn_degps: float, **more: object) -> Legs:
    """Long legs on an autopilot that is programmed with waypoints."""
    given: dict[str, object] = {
        "leg_s": (180.0, 900.0),
        "turn_radps": _deg(0.5 * turn_degps, turn_degps),
        "bank_rad": math.radians(35.0),
        "change_rad": math.radians(70.0),
        "hold_s": (200.0, 1_200.0),
        "level_step_m": 800.0,
        "follows_ground": True,
    }
    return Legs(**(given | more))  # type: ignore[arg-type]


_LOW_OR_HIGH = ((50.0, 300.0, 0.6), (300.0, 2_000.0, 0.15), (2_000.0, 4_000.0, 0.25))  # as seen over Ukraine
_CIVIL = Emits(adsb=0.55, mode_s=0.2, mode_ac=0.15, flarm=0.1)  # general aviation: equipment differs
_AIRLINER_SPEED = ((0.0, 72.0), (1_000.0, 100.0), (3_000.0, 140.0), (6_000.0, 190.0), (10_000.0, 235.0))

_ALL = (
    ClassSpec(  # Shahed-136, Geran-2: 3.5 m x 2.5 m, 200 kg
        "shahed", (40.0, 47.0, 51.0), _LOW_OR_HIGH, (-4.0, 4.0), (0.01, 0.1), _drone(3.0), heard_m=4_000.0
    ),
    ClassSpec(  # 18 kg, 160 km/h; half of them with a lens, to look larger
        "gerbera",
        (33.0, 43.0, 45.0),
        ((50.0, 300.0, 0.6), (300.0, 1_500.0, 0.2), (1_500.0, 3_000.0, 0.2)),
        (-4.0, 4.0),
        (0.01, 0.1),
        _drone(5.0),
        lens_rcs_m2=(0.5, 5.0),
        heard_m=3_000.0,
    ),
    ClassSpec(
        "parodiya",
        (33.0, 40.0, 45.0),
        ((50.0, 500.0, 0.5), (500.0, 3_000.0, 0.5)),
        (-4.0, 4.0),
        (0.5, 5.0),
        _drone(5.0),
        heard_m=3_000.0,
    ),
    ClassSpec(
        "tu-141",
        (190.0, 265.0, 305.0),
        ((50.0, 1_000.0, 0.6), (1_000.0, 6_000.0, 0.4)),
        (-30.0, 30.0),
        (1.0, 5.0),
        _drone(2.0, bank_rad=math.radians(50.0), level_step_m=3_000.0),
        heard_m=8_000.0,
    ),
    ClassSpec(
        "orlan-10",
        (25.0, 31.0, 42.0),
        ((200.0, 1_000.0, 0.2), (1_000.0, 5_000.0, 0.8)),
        (-5.0, 5.0),
        (0.01, 0.05),
        _drone(8.0, leg_s=(60.0, 400.0), orbits=0.3, follows_ground=False, change_rad=math.radians(150.0)),
        Emits(data_link=0.95),
        heard_m=1_500.0,
    ),
    ClassSpec(
        "forpost",
        (33.0, 40.0, 55.0),
        ((1_000.0, 5_500.0, 1.0),),
        (-3.0, 3.0),
        (0.3, 1.0),
        _drone(5.0, leg_s=(120.0, 600.0), orbits=0.3, follows_ground=False, change_rad=math.radians(150.0)),
        Emits(data_link=0.95),
        heard_m=2_000.0,
    ),
    ClassSpec(  # loiters, then dives
        "lancet",
        (22.0, 28.0, 31.0),
        ((100.0, 1_000.0, 0.5), (1_000.0, 4_000.0, 0.5)),
        (-5.0, 5.0),
        (0.005, 0.02),
        _drone(15.0, leg_s=(20.0, 200.0), orbits=0.3, bank_rad=math.radians(45.0), dive_mps=80.0, roll_s=2),
        Emits(data_link=0.95),
        heard_m=800.0,
    ),
    ClassSpec(  # 24 GHz: -19.1 to -8.1 dBsm
        "quadcopter",
        (0.0, 11.0, 20.0),
        ((10.0, 120.0, 0.7), (120.0, 500.0, 0.3)),
        (-4.0, 5.0),
        (0.012, 0.155),
        Legs(
            leg_s=(5.0, 60.0),
            turn_radps=_deg(8.0, 90.0),
            bank_rad=math.radians(60.0),
            change_rad=math.pi,
            stops=0.35,
            hold_s=(20.0, 200.0),
            level_step_m=60.0,
            roll_s=1,
            wander_radps=math.radians(0.4),
            accelerate_mps2=3.0,
        ),
        Emits(remote_id=0.5, data_link=0.9),
        heard_m=400.0,
        blade_mps=90.0,
    ),
    ClassSpec(  # measured: 4 h
        "ar5-drone",
        (12.0, 25.0, 43.0),
        ((240.0, 310.0, 1.0),),
        (-2.3, 1.2),
        (0.1, 0.5),
        Legs(
            leg_s=(40.0, 220.0),
            turn_radps=_deg(2.0, 9.0),
            bank_rad=math.radians(35.0),
            change_rad=math.pi,
            hold_s=(60.0, 400.0),
            level_step_m=40.0,
            roll_s=3,
            wander_radps=math.radians(0.15),
            speed_sigma=0.25,
        ),
        Emits(adsb=0.9, data_link=1.0),
        category=13,
        heard_m=1_500.0,
    ),
    ClassSpec(  # cigarettes hang below it; its GPS tracker talks by telephone
        "smuggling-balloon",
        (0.0, 0.0, 0.0),
        ((200.0, 3_000.0, 0.5), (3_000.0, 8_000.0, 0.5)),
        (-1.0, 6.0),
        (0.01, 0.3),
        Drift((2.0, 6.0)),
    ),
    ClassSpec(  # measured: 157 h of 31 flights
        "paraglider",
        (8.0, 11.0, 15.0),
        ((300.0, 2_600.0, 1.0),),
        (-3.6, 4.2),
        (0.5, 1.0),
        Soar(
            circle_radps=(math.radians(16.0), math.radians(6.0), math.radians(7.0)),
            circle_s=(60.0, 420.0),
            glide_s=(80.0, 700.0),
            circle_mps=(8.5, 11.5),
            lift_mps=(0.4, 3.6),
            sink_mps=(0.5, 2.8),
            wander_radps=math.radians(1.5),
        ),
        Emits(flarm=0.5),
        category=15,
    ),
    ClassSpec(  # measured: 43 h of 7 flights
        "sailplane",
        (26.0, 38.0, 62.0),
        ((300.0, 2_600.0, 1.0),),
        (-8.8, 9.2),
        (0.5, 2.0),
        Soar(
            circle_radps=(math.radians(8.0), math.radians(2.6), math.radians(4.0)),
            circle_s=(60.0, 300.0),
            glide_s=(200.0, 1_300.0),
            circle_mps=(22.0, 28.0),
            lift_mps=(0.8, 6.0),
            sink_mps=(0.3, 2.0),
            wander_radps=math.radians(0.6),
            zooms=0.06,
        ),
        Emits(adsb=0.1, mode_s=0.2, flarm=0.6),
        category=11,
    ),
    ClassSpec(
        "ultralight",
        (18.0, 30.0, 45.0),
        ((50.0, 600.0, 0.6), (600.0, 2_000.0, 0.4)),
        (-4.0, 4.0),
        (0.5, 2.0),
        Legs(
            leg_s=(40.0, 400.0),
            turn_radps=_deg(2.0, 10.0),
            bank_rad=math.radians(40.0),
            change_rad=math.radians(120.0),
            orbits=0.05,
            hold_s=(60.0, 600.0),
            level_step_m=300.0,
            wander_radps=math.radians(0.4),
        ),
        Emits(adsb=0.15, mode_s=0.2, mode_ac=0.1, flarm=0.15),
        category=15,
        heard_m=2_000.0,
    ),
    ClassSpec(  # measured: 19.5 h of 6 light and survey aircraft
        "light-aircraft",
        (32.0, 56.0, 88.0),
        ((100.0, 600.0, 0.2), (600.0, 2_400.0, 0.7), (2_400.0, 3_500.0, 0.1)),
        (-5.0, 5.0),
        (1.0, 5.0),
        Legs(
            leg_s=(60.0, 400.0),
            turn_radps=_deg(1.5, 6.5),
            bank_rad=math.radians(35.0),
            change_rad=math.radians(180.0),
            orbits=0.03,
            hold_s=(120.0, 1_200.0),
            level_step_m=900.0,
            wander_radps=math.radians(0.12),
            speed_sigma=0.2,
        ),
        _CIVIL,
        category=1,
        heard_m=3_000.0,
    ),
    ClassSpec(  # measured: rescue helicopters
        "helicopter",
        (30.0, 58.0, 75.0),
        ((100.0, 600.0, 0.5), (600.0, 1_500.0, 0.5)),
        (-8.3, 7.6),
        (3.0, 30.0),
        Legs(
            leg_s=(20.0, 150.0),
            turn_radps=_deg(2.0, 10.0),
            bank_rad=math.radians(45.0),
            change_rad=math.radians(140.0),
            stops=0.03,
            hold_s=(60.0, 500.0),
            level_step_m=500.0,
            roll_s=3,
            wander_radps=math.radians(0.25),
            accelerate_mps2=1.5,
            speed_sigma=0.25,
        ),
        Emits(adsb=0.75, mode_s=0.2),
        category=10,
        heard_m=5_000.0,
        blade_mps=210.0,
    ),
    ClassSpec(
        "airliner",
        (0.92, 1.0, 1.08),  # of the speed usual at its height
        ((600.0, 9_000.0, 0.3), (9_000.0, 12_500.0, 0.7)),
        (-20.0, 20.0),
        (10.0, 100.0),
        Legs(
            leg_s=(120.0, 1_200.0),
            turn_radps=_deg(1.0, 3.0),
            bank_rad=math.radians(25.0),
            change_rad=math.radians(60.0),
            hold_s=(200.0, 1_500.0),
            level_step_m=9_000.0,
            roll_s=8,
            wander_radps=math.radians(0.02),
            accelerate_mps2=0.02,  # of a factor: reached within seconds to minutes
            speed_at=_AIRLINER_SPEED,
        ),
        Emits(adsb=0.98, mode_s=0.02),
        category=5,
        heard_m=0.0,
    ),
    ClassSpec(
        "fast-jet",
        (110.0, 240.0, 550.0),
        ((100.0, 3_000.0, 0.4), (3_000.0, 13_000.0, 0.6)),
        (-150.0, 150.0),
        (1.0, 10.0),
        Legs(
            leg_s=(20.0, 300.0),
            turn_radps=_deg(2.0, 15.0),
            bank_rad=math.radians(81.0),  # 6.4 g
            change_rad=math.pi,
            orbits=0.1,
            hold_s=(30.0, 300.0),
            level_step_m=6_000.0,
            roll_s=3,
            wander_radps=math.radians(0.2),
            accelerate_mps2=6.0,
        ),
        Emits(adsb=0.1, mode_s=0.4),
        category=6,
        heard_m=10_000.0,
    ),
    ClassSpec(  # Kalibr, Kh-101: 222 m/s at 400 m over Poland
        "cruise-missile",
        (190.0, 222.0, 270.0),
        ((30.0, 500.0, 0.8), (500.0, 6_000.0, 0.2)),
        (-20.0, 20.0),
        (0.01, 0.5),
        _drone(5.0, bank_rad=math.radians(60.0), leg_s=(60.0, 400.0)),
        heard_m=6_000.0,
    ),
    ClassSpec(
        "geese",
        (13.0, 18.0, 25.0),
        ((50.0, 600.0, 0.6), (600.0, 3_000.0, 0.4)),
        (-1.0, 1.0),
        (0.05, 1.0),
        Legs(
            leg_s=(200.0, 900.0),
            turn_radps=_deg(0.5, 3.0),
            change_rad=math.radians(30.0),
            hold_s=(300.0, 1_500.0),
            level_step_m=200.0,
            wander_radps=math.radians(0.5),
            wander_s=20.0,
            in_wind=True,
        ),
    ),
    ClassSpec(
        "wind-turbine", (0.0, 0.0, 0.0), ((80.0, 150.0, 1.0),), (0.0, 0.0), (100.0, 1_000.0), Fixed(), blade_mps=75.0
    ),
)
CATALOGUE: Mapping[str, ClassSpec] = MappingProxyType({spec.name: spec for spec in _ALL})


def draw(spec: ClassSpec, rng: np.random.Generator, start: Start, duration_s: float) -> Flight:
    """One flight of this class in its own manner, a knot a second, from the start for `duration_s` (2 s at least).

    The same generator state gives the same flight. Speed and levels of the object are drawn first.
    """
    slowest, usual, fastest = spec.speed_mps
    own = float(rng.triangular(slowest, usual, fastest)) if fastest > slowest else usual
    limits = Limits(own, slowest, fastest, spec.bands_m, -spec.climb_mps[0], spec.climb_mps[1])
    return manners.fly(spec.manner, limits, start, duration_s, rng)


def draw_rcs(spec: ClassSpec, rng: np.random.Generator) -> float:
    """Radar cross-section of one object in m^2: log-uniform in the range of its class."""
    span = spec.lens_rcs_m2 if spec.lens_rcs_m2 is not None and rng.random() < 0.5 else spec.rcs_m2
    return float(math.exp(rng.uniform(math.log(span[0]), math.log(span[1]))))
