"""How probable every class of object is, from how it flew and from what it says of itself. Able to abstain.

    weight(class) = prior * density(features | class, how well they are known) ** TEMPER * P(voice | class) * ...

The densities are mixtures of Gaussians with independent features, fitted on labelled simulation (`classtable.py`). The
two features that say how well a track is known choose between the parts of a mixture and are no evidence themselves: a
class is not likelier because a far radar sees it. A feature that is not known is left out. `TEMPER` below one makes up
for features that are not independent after all; it is fitted too, on flights the densities have not seen.

What an object says of itself is strong and not absolute: no single word of it weighs more than about fifty to one, and
it counts only while integrity does not doubt it. UNKNOWN is a class here too, "none of these", flat over all features.
No class says what an object is built for or carries: all fixed-wing drones are one.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fusion import classtable
from fusion.schema import B1, F8, I1, I4, ObjectClass, S

FEATURES = ("speed", "speed_spread", "turn", "crooked", "net", "height", "climb", "climb_spread", "noise", "age")
EVIDENCE = 8  # the first so many are evidence, the rest say how well it is known (fusion/behaviour.py)
CLASSES = tuple(ObjectClass)
K = len(CLASSES)
ABSTAIN_BELOW = 0.6  # probability of the best class under which none is named
NAMES = tuple(kind.name.lower().replace("_", "-") for kind in ObjectClass)  # in messages and rules
WORDS = {  # in a sentence
    ObjectClass.UNKNOWN: "",
    ObjectClass.FIXED_WING_DRONE: "a fixed-wing drone",
    ObjectClass.SMALL_MULTICOPTER: "a small multicopter",
    ObjectClass.LIGHT_AIRCRAFT: "a light aircraft",
    ObjectClass.ULTRALIGHT: "an ultralight",
    ObjectClass.GLIDER: "a glider",
    ObjectClass.PARAGLIDER: "a paraglider or hang glider",
    ObjectClass.AIRLINER: "an airliner",
    ObjectClass.FAST_JET: "a fast jet",
    ObjectClass.ROTORCRAFT: "a rotorcraft",
    ObjectClass.FAST_LOW_FLYER: "a fast low flyer",
    ObjectClass.BALLOON: "a balloon",
    ObjectClass.BIRD_FLOCK: "a flock of birds",
    ObjectClass.FIXED_ECHO: "a fixed echo such as a wind turbine",
}

SILENT, TRANSPONDER, FLARM, REMOTE_ID = range(4)
# Per class: prior probability; the probabilities of the four voices; of a callsign in an airline's form, and of a
# visual flight code, when there is one. Priors are half way (by the square root) between the shares of a busy day of
# migration and of drones (replay/scenarios/mixed-sky.toml) and equal shares: no two skies are alike, and a prior that
# is too sure of its sky is bold in every other. Voices are those of the reference catalogue (replay/objects.py), none
# below 0.5 %: reports are wrong, and plots go to the wrong track.
TABLE = (
    # prior, silent, transponder, flarm, remote id, airline form, visual code
    ("UNKNOWN", 0.002, 0.700, 0.200, 0.050, 0.050, 0.30, 0.3),
    ("FIXED_WING_DRONE", 0.11, 0.930, 0.050, 0.005, 0.015, 0.10, 0.3),
    ("SMALL_MULTICOPTER", 0.05, 0.680, 0.010, 0.010, 0.300, 0.10, 0.3),
    ("LIGHT_AIRCRAFT", 0.11, 0.400, 0.540, 0.050, 0.010, 0.15, 0.6),
    ("ULTRALIGHT", 0.065, 0.550, 0.340, 0.100, 0.010, 0.10, 0.7),
    ("GLIDER", 0.065, 0.350, 0.240, 0.400, 0.010, 0.10, 0.7),
    ("PARAGLIDER", 0.065, 0.600, 0.040, 0.350, 0.010, 0.10, 0.5),
    ("AIRLINER", 0.158, 0.030, 0.955, 0.010, 0.005, 0.90, 0.02),
    ("FAST_JET", 0.05, 0.450, 0.540, 0.005, 0.005, 0.60, 0.1),
    ("ROTORCRAFT", 0.06, 0.200, 0.780, 0.015, 0.005, 0.30, 0.5),
    ("FAST_LOW_FLYER", 0.03, 0.970, 0.020, 0.005, 0.005, 0.10, 0.3),
    ("BALLOON", 0.075, 0.960, 0.030, 0.005, 0.005, 0.10, 0.3),
    ("BIRD_FLOCK", 0.095, 0.970, 0.015, 0.010, 0.005, 0.10, 0.3),
    ("FIXED_ECHO", 0.065, 0.970, 0.015, 0.005, 0.010, 0.10, 0.3),
)
_ROWS = np.array([row[1:] for row in TABLE], np.float64)
_LN_PRIOR = np.log(_ROWS[:, 0])
_LN_VOICE = np.log(_ROWS[:, 1:5].T)  # (4, K)
_LN_AIRLINE = np.log(np.stack([1.0 - _ROWS[:, 5], _ROWS[:, 5]]))  # (2, K): another form, an airline's
_LN_VISUAL = np.log(np.stack([1.0 - _ROWS[:, 6], _ROWS[:, 6]]))
# How much likelier an emitter category (CAT021 I020) makes a class than one that it does not name.
_NAMED = {
    1: {"LIGHT_AIRCRAFT": 50.0, "ULTRALIGHT": 10.0, "ROTORCRAFT": 2.0, "FAST_JET": 2.0, "GLIDER": 2.0},
    2: {"AIRLINER": 50.0, "LIGHT_AIRCRAFT": 5.0, "FAST_JET": 5.0},
    3: {"AIRLINER": 50.0},
    4: {"AIRLINER": 50.0},
    5: {"AIRLINER": 50.0},
    6: {"FAST_JET": 50.0},
    10: {"ROTORCRAFT": 50.0},
    11: {"GLIDER": 50.0},
    12: {"BALLOON": 50.0},
    13: {"FIXED_WING_DRONE": 50.0, "SMALL_MULTICOPTER": 50.0},
    15: {"ULTRALIGHT": 50.0, "PARAGLIDER": 50.0},
    22: {"FIXED_ECHO": 50.0},
    23: {"FIXED_ECHO": 50.0},
    24: {"FIXED_ECHO": 50.0},
}
_LN_CATEGORY = np.zeros((128, K))
for _category, _named in _NAMED.items():
    for _name, _times in _named.items():
        _LN_CATEGORY[_category, ObjectClass[_name]] = math.log(_times)
VISUAL_CODES = (0o7000, 0o1200)  # conspicuity codes of visual flight: Europe, North America
NO_CODES = (0, 0o7500, 0o7600, 0o7700)  # say nothing of who flies
_BEACONS = (b"FLR", b"ICA", b"OGN", b"PAW")  # how receivers of gliders' beacons begin an identity
SPANS = np.array([6.5, 5.0, 5.5, 4.6, 7.0, 6.0, 10.0, 6.0])  # of each feature that is evidence, flat under "none"


def log_densities(features: F8) -> F8:
    """(n, K) tempered log density of the features (n, 10) of each row under each class; zero where none is known."""
    out = np.zeros((len(features), K))
    _densities_n(np.ascontiguousarray(features), _MEAN, _INVERSE, _WEIGHT, EVIDENCE, out)
    known = ~np.isnan(features[:, :EVIDENCE])
    out[:, ObjectClass.UNKNOWN] = -(known * np.log(SPANS)).sum(axis=1)
    return np.asarray(classtable.TEMPER * out, np.float64)


def voices(claiming: B1, replying: B1, serial: S) -> I1:
    """(n,) how each object speaks; a serial counts while a claim is live."""
    named = claiming & (serial != b"")
    form = serial.astype("S3")
    beacon = np.isin(form, np.array(_BEACONS))
    speaks = np.where(claiming | replying, TRANSPONDER, SILENT)
    return np.where(named, np.where(beacon, FLARM, REMOTE_ID), speaks).astype(np.int8)


def log_identity(voice: I1, heard: B1, category: I1, callsign: S, mode3a: I4) -> F8:
    """(n, K) log likelihood of what each object says of itself.

    `heard` (n,) is where it says anything that is not doubted, or where its silence means something; elsewhere all
    classes are alike.
    """
    says = heard & (voice != SILENT)
    out = np.where(heard[:, None], _LN_VOICE[voice], 0.0)
    out += np.where(says[:, None], _LN_CATEGORY[np.clip(category, 0, 127)], 0.0)
    out += np.where((says & (callsign != b""))[:, None], _LN_AIRLINE[airline_form(callsign)], 0.0)
    visual = np.isin(mode3a, VISUAL_CODES).astype(np.int8)
    told = says & (mode3a >= 0) & ~np.isin(mode3a, NO_CODES)
    return np.asarray(out + np.where(told[:, None], _LN_VISUAL[visual], 0.0), np.float64)


def airline_form(callsign: S) -> I1:
    """(n,) 1 where a callsign is three letters and a digit first: designator and flight number (ICAO Doc 8585)."""
    text = np.ascontiguousarray(callsign.astype("S8")).view(np.uint8).reshape(-1, 8)
    letters = ((text[:, :3] >= ord("A")) & (text[:, :3] <= ord("Z"))).all(axis=1)
    return (letters & (text[:, 3] >= ord("0")) & (text[:, 3] <= ord("9"))).astype(np.int8)


def posterior(log_density: F8, log_identity: F8) -> F8:
    """(n, K) probability of each class."""
    weight = _LN_PRIOR + log_density + log_identity
    weight = np.exp(weight - weight.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True), np.float64)


def name(probability: F8) -> tuple[I1, F8]:
    """The class of each row of (n, K) and its probability; UNKNOWN and NaN where the best is not good enough."""
    best = np.argmax(probability, axis=1)
    top = probability[np.arange(len(best)), best]
    sure = (top >= ABSTAIN_BELOW) & (best != ObjectClass.UNKNOWN)
    return np.where(sure, best, ObjectClass.UNKNOWN).astype(np.int8), np.where(sure, top, np.nan)


_PARTS = np.array(classtable.PARTS.split(), np.float64).reshape((K - 1) * classtable.PARTS_OF_CLASS, -1)
_WEIGHT = np.ascontiguousarray(_PARTS[:, 0])  # ln
_MEAN = np.ascontiguousarray(_PARTS[:, 1 : 1 + len(FEATURES)].T)  # (features, parts), of class after class
_INVERSE = np.ascontiguousarray(1.0 / _PARTS[:, 1 + len(FEATURES) :].T)
LN_SQRT_TAU = 0.5 * math.log(2.0 * math.pi)


@njit("float64(float64)", cache=True, nogil=True)
def _exp_1(z: float) -> float:
    """exp(z) of z <= 0; what is less than 2e-9 of the largest is nothing."""
    return 1.0 if z == 0.0 else math.exp(z) if z > -20.0 else 0.0


@njit(
    "void(float64[:, ::1], float64[:, ::1], float64[:, ::1], float64[::1], int64, float64[:, ::1])",
    cache=True,
    nogil=True,
)
def _densities_n(features: F8, mean: F8, inverse: F8, weight: F8, evidence: int, out: F8) -> None:
    """Column 1 + c of `out` (n, K) becomes ln p(evidence | class c, quality).

    `mean` and the `inverse` sigma are (features, parts), `weight` the ln weight of each part; the parts of all classes
    stand beside each other, so that the inner loop is one over neighbours.
    """
    columns, parts = mean.shape
    classes = out.shape[1] - 1
    count = parts // classes
    norm = np.log(inverse) - LN_SQRT_TAU
    joint = np.empty(parts)
    quality = np.empty(parts)
    for row in range(len(features)):
        joint[:] = 0.0
        quality[:] = weight
        for f in range(columns):
            x = features[row, f]
            if math.isnan(x):
                continue
            if f < evidence:
                for k in range(parts):
                    z = (x - mean[f, k]) * inverse[f, k]
                    joint[k] += norm[f, k] - 0.5 * z * z
            else:
                for k in range(parts):
                    z = (x - mean[f, k]) * inverse[f, k]
                    quality[k] += norm[f, k] - 0.5 * z * z
        joint += quality
        for c in range(classes):
            most = given = -math.inf
            for k in range(c * count, (c + 1) * count):
                most = max(most, joint[k])
                given = max(given, quality[k])
            above = below = 0.0
            for k in range(c * count, (c + 1) * count):
                above += _exp_1(joint[k] - most)
                below += _exp_1(quality[k] - given)
            out[row, 1 + c] = most - given + math.log(above / below)
