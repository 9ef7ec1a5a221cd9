"""Red lines as data: named quantities with units, conditions on them, and rules made of conditions.

A rule is true of a track when all its conditions are. Every quantity is a column over the rows of a `Tracks` table and
is one of three kinds: a number (SI, perhaps with one sigma), a flag (1 true, 0 false, NaN not known) or a name. What
is not known satisfies no condition, neither the condition nor its opposite, unless the rule asks for `unknown`: an
object of unknown height is neither low nor high.

The words slow, low, near, inside and exempt are flags like any other; their numbers are `Words`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from scipy.special import ndtr

from fusion import classes
from fusion.borders import outlook
from fusion.borders.bands import Bands
from fusion.borders.outlook import Forecast
from fusion.schema import B1, F8, I2, I8, US_PER_S, Assessment, ObjectClass, Tracks, TrackStatus


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of the rules mean (DESIGN 5). Data: `[words]` of rules.toml sets them."""

    slow_mps: float = 80.0  # ground speed at most this is slow: drones 14-60, light aircraft 31-88, airliners above
    p_slow: float = 0.8  # probability asked for
    low_m: float = 1_000.0  # height above ground at most this is low
    p_low: float = 0.5  # smaller than p_slow: height is the least certain number there is
    near_m: float = 30_000.0  # outside the border by at most this is near: ten minutes at 50 m/s
    p_inside: float = 0.5  # probability of being within the border from which an object counts as inside
    p_outside: float = 0.2  # at most this probability of being within is clearly outside, so that noise at the
    # border does not turn a local flight into one that came from outside
    first_seen_m: float = 10_000.0  # first seen within the border by at most this may have come from outside unseen
    first_seen_s: float = 240.0  # ... as deep as it flies in this time, unseen: 10 km at 42 m/s, 2.6 km at 11 m/s
    first_seen_always_m: float = 2_000.0  # ... or this deep, however slow: what hovers came before it was seen
    origin_s: float = 30.0  # ... by the speed known this long after it was first seen; before, by what is known then
    p_unpowered: float = 0.3  # mean probability from which it is like birds, balloons, echoes, paragliders
    p_bird: float = 0.2  # the same of birds alone
    p_soaring: float = 0.2  # the same of a paraglider: smaller, one flown in must be told
    soaring_over_birds: float = 1.5  # ... and so many times that of birds: geese that circle are taken for one, too
    p_light_aircraft: float = 0.35  # the same of a light aircraft: drones of a propeller stay below 0.32
    skim_m: float = 200.0  # height above ground at most this skims: most birds that travel fly higher
    p_skim: float = 0.4  # mean probability, over two minutes: what flies at skim_m has half of it, less some noise
    live_s: float = 30.0  # a claim or a reply older than this is no live identity: six turns of a 5 s radar


class Kind(StrEnum):
    """What a quantity is made of."""

    NUMBER = "number"
    FLAG = "flag"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class QuantitySpec:
    """One quantity that a rule may name."""

    name: str
    kind: Kind
    unit: str  # SI unit of a number: "m", "m/s", "s", or "" without one
    key: str  # its name in an alert, unit last
    meaning: str
    has_sigma: bool = False


def _number(name: str, unit: str, key: str, meaning: str, has_sigma: bool = False) -> QuantitySpec:
    return QuantitySpec(name, Kind.NUMBER, unit, key, meaning, has_sigma)


def _flag(name: str, meaning: str) -> QuantitySpec:
    return QuantitySpec(name, Kind.FLAG, "", name, meaning)


_SPECS = (
    _number("speed", "m/s", "speed_mps", "speed over ground", True),
    _number("climb", "m/s", "climb_mps", "vertical speed, positive up"),
    _number("height", "m", "height_m", "height above the ellipsoid", True),
    _number("height_above_ground", "m", "height_above_ground_m", "height above ground; unknown without a height", True),
    _number("distance", "m", "distance_m", "distance to the allied border, positive outside, negative inside", True),
    _number(
        "time_to_border",
        "s",
        "time_to_border_s",
        "predicted time until it crosses inwards, straight or in a turn",
        True,
    ),
    _number("probability_crossing", "", "probability_crossing", "probability of crossing inwards within half an hour"),
    _number("band", "m", "band_m", "limit of the warning band it is in, outside the border"),
    _number("time_band", "s", "time_band_s", "limit of the warning band its time to the border is in"),
    _number("depth", "m", "depth_m", "how far it is inside the border; unknown outside", True),
    _number("depth_band", "m", "depth_band_m", "depth that it has passed, inside the border"),
    _number("diverged_by", "m", "diverged_by_m", "how far it was from its predicted path when it last diverged"),
    _number("diverged_age", "s", "diverged_age_s", "time since it last diverged from its predicted path"),
    _number("protected_distance", "m", "protected_distance_m", "to the nearest protected area; negative within", True),
    _number("time_to_protected", "s", "time_to_protected_s", "predicted time until it enters a protected area", True),
    _number("protected_severity", "", "protected_severity", "most severe of the areas within 5 km and the one ahead"),
    _number("existence", "", "existence", "probability that the object exists"),
    _number("probability_inside", "", "probability_inside", "probability of being within the allied border"),
    _number("probability_slow", "", "probability_slow", "probability of being slow"),
    _number("probability_low", "", "probability_low", "probability of being low"),
    _number("class_probability", "", "class_probability", "probability of the class named; unknown when none is"),
    _number("probability_unpowered", "", "probability_unpowered", "mean over minutes of being one of `unpowered`"),
    _number("probability_bird", "", "probability_bird", "mean over minutes of being a flock of birds"),
    _number("probability_soaring", "", "probability_soaring", "mean over minutes of being a paraglider"),
    _number(
        "probability_light_aircraft", "", "probability_light_aircraft", "mean over minutes of being a light aircraft"
    ),
    _number("probability_skimming", "", "probability_skimming", "mean over 2 min of being lower than words.skim_m"),
    _number("age", "s", "age_s", "time since the first plot"),
    _number("data_age", "s", "data_age_s", "time since the last plot"),
    _number("plots", "", "plots", "number of plots fused"),
    _flag("slow", "ground speed at most words.slow_mps with probability words.p_slow"),
    _flag("low", "height above ground at most words.low_m with probability words.p_low; unknown without a height"),
    _flag("near", "outside the border by at most words.near_m"),
    _flag("inside", "within the border, unless it was seen only within (departed inside and never out)"),
    _flag("within_border", "within the border, wherever it came from"),
    _flag("from_outside", "was seen outside near the border, or first seen no deeper than it may have come unseen"),
    _flag("unpowered", "like birds, a balloon, a fixed echo or a paraglider, for minutes: words.p_unpowered"),
    _flag("birdlike", "like a flock of birds, for minutes: words.p_bird"),
    _flag("soaring", "like a paraglider, and more than like birds, for minutes: words.p_soaring, soaring_over_birds"),
    _flag("planelike", "like a light aircraft, for minutes: words.p_light_aircraft"),
    _flag("skimming", "lower than words.skim_m for two minutes: words.p_skim; unknown without a height"),
    _flag("exempt", "cooperative, or within a declared volume"),
    _flag("cooperative", "a live cooperative identity that radar does not contradict"),
    _flag("contradicted", "its own report of itself is contradicted"),
    _flag("claim_only", "reported only by itself: no independent sensor ever saw it"),
    _flag("disputed", "over disputed territory"),
    _flag("turning", "in a turn, more likely than not"),
    _flag("diverged", "left the region of its predicted path within the last two minutes"),
    _flag("within_protected", "within a protected area, at a height that it protects or unknown"),
    _flag("coasting", "not seen for longer than the periods of its sensors explain"),
    QuantitySpec("class", Kind.NAME, "", "class", "what kinematics and identity suggest; unknown when they abstain"),
    QuantitySpec("state", Kind.NAME, "", "state", "ISO code of the state overflown"),
    QuantitySpec("near_state", Kind.NAME, "", "near_state", "ISO code of the allied state concerned"),
    QuantitySpec(
        "protected_kind", Kind.NAME, "", "protected_kind", "kind of the protected area within 5 km, ahead, or nearest"
    ),
)
QUANTITIES: Mapping[str, QuantitySpec] = {spec.name: spec for spec in _SPECS}
_LIKE = {  # word: the mean that it goes by, and the field of `Words` that says from where on
    "unpowered": ("probability_unpowered", "p_unpowered"),
    "birdlike": ("probability_bird", "p_bird"),
    "soaring": ("probability_soaring", "p_soaring"),
    "planelike": ("probability_light_aircraft", "p_light_aircraft"),
}
CLASS_NAMES = classes.NAMES
ORDERINGS = ("<=", ">=", "<", ">")
SENTENCE = "{object}, {identity}, {place}, {motion}, {height}{crossing}; {seen}."  # of a rule that brings none


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition. `op` is <=, >=, <, > (numbers), is, is-not (flags, names), unknown, known, or any (alternatives).

    A number with `p` asks for the probability that the ordering holds, by a normal model with the quantity's sigma.
    """

    quantity: str
    op: str
    value: float | str = np.nan  # SI; 1.0 or 0.0 for flags; text for names
    p: float = np.nan
    text: str = ""  # as the rule writes it
    either: tuple[Condition, ...] = ()  # for `any`: true when one of these is

    def __post_init__(self) -> None:
        """Refuse what could never be evaluated (ValueError); the rule file refuses it earlier and more kindly."""
        if self.op == "any":
            if len(self.either) < 2 or any(part.op == "any" for part in self.either):
                raise ValueError("'any' needs at least two plain conditions")
            return
        spec = QUANTITIES.get(self.quantity)
        if spec is None:
            raise ValueError(f"unknown quantity {self.quantity!r}")
        allowed = (*ORDERINGS, "unknown", "known") if spec.kind is Kind.NUMBER else ("is", "is-not", "unknown", "known")
        if self.op not in allowed:
            raise ValueError(f"{self.op!r} does not fit {self.quantity!r}, a {spec.kind}")
        if not np.isnan(self.p) and not spec.has_sigma:
            raise ValueError(f"{self.quantity!r} carries no uncertainty, so it takes no probability")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a rule is told in one mode: other texts and recipients, and nothing else. None: as in peace."""

    mode: str
    sentence: str | None = None
    recipients: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One red line. `when` raises after `dwell_s`; an alert lives on while `keep` holds and closes after `hold_s`."""

    id: str
    version: int
    severity: int  # 1 highest .. 3
    title: str
    when: tuple[Condition, ...]
    dwell_s: float = 0.0  # true without a break for this long before it is raised
    hold_s: float = 10.0  # not true for this long before it is closed
    recipients: tuple[str, ...] = ()
    sentence: str = SENTENCE
    keep: tuple[Condition, ...] = ()  # looser conditions that keep an alert open; empty: those of `when`
    manners: tuple[Manner, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a rule that could not work (ValueError)."""
        if not self.when:
            raise ValueError(f"rule {self.id!r} has no condition")
        if self.severity not in (1, 2, 3):
            raise ValueError(f"rule {self.id!r}: severity is 1, 2 or 3")
        if not (self.dwell_s >= 0 and self.hold_s >= 0):
            raise ValueError(f"rule {self.id!r}: dwell_s and hold_s are not negative")

    def told_in(self, mode: str) -> tuple[str, tuple[str, ...]]:
        """Its sentence and its recipients in a mode."""
        manner = next((m for m in self.manners if m.mode == mode), Manner(mode))
        sentence = self.sentence if manner.sentence is None else manner.sentence
        return sentence, self.recipients if manner.recipients is None else manner.recipients


@dataclass(frozen=True, slots=True)
class Scene:
    """Every quantity as a column over n objects. A column that is missing is not known."""

    n: int
    numbers: Mapping[str, F8] = field(default_factory=dict)  # each (n,)
    sigmas: Mapping[str, F8] = field(default_factory=dict)  # each (n,), one sigma
    flags: Mapping[str, F8] = field(default_factory=dict)  # each (n,), 1, 0 or NaN
    names: Mapping[str, tuple[I2, tuple[str, ...]]] = field(default_factory=dict)  # index (n,), -1 none; and its texts


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their file, and the words they use."""

    rules: tuple[Rule, ...]
    words: Words = field(default_factory=Words)
    bands: Bands = field(default_factory=Bands)

    def __post_init__(self) -> None:
        """Refuse two rules of one id (ValueError): an alert id could not tell them apart."""
        ids = [rule.id for rule in self.rules]
        if len(ids) != len(frozenset(ids)):
            raise ValueError("two rules have the same id")

    def evaluate(self, scene: Scene) -> tuple[B1, B1]:
        """Which rules hold: (when, keep), each (n, rules). `keep` is never false where `when` is true."""
        when = np.zeros((scene.n, len(self.rules)), np.bool_)
        keep = np.zeros_like(when)
        for column, rule in enumerate(self.rules):
            when[:, column] = holds_all(rule.when, scene)
            keep[:, column] = when[:, column] | holds_all(rule.keep, scene) if rule.keep else when[:, column]
        return when, keep


def holds_all(conditions: Sequence[Condition], scene: Scene) -> B1:
    """(n,) where every condition is true."""
    result = np.ones(scene.n, np.bool_)
    for condition in conditions:
        result &= holds(condition, scene)
    return result


def holds(condition: Condition, scene: Scene) -> B1:
    """(n,) where the condition is true. What is not known makes it false, except for `unknown`."""
    if condition.op == "any":
        result = np.zeros(scene.n, np.bool_)
        for part in condition.either:
            result |= holds(part, scene)
        return result
    spec = QUANTITIES[condition.quantity]
    if spec.kind is Kind.NAME:
        return _name_holds(condition, scene)
    columns = scene.numbers if spec.kind is Kind.NUMBER else scene.flags
    value = columns.get(condition.quantity)
    if value is None:
        value = np.full(scene.n, np.nan)
    if condition.op in ("unknown", "known"):
        return np.asarray(np.isnan(value) == (condition.op == "unknown"), np.bool_)
    limit = float(condition.value)
    if spec.kind is Kind.FLAG:
        same = value == limit
        return np.asarray(same if condition.op == "is" else ~same & ~np.isnan(value), np.bool_)
    if not np.isnan(condition.p):
        below = probability_at_most(value, scene.sigmas.get(condition.quantity), limit)
        reached = below if condition.op in ("<=", "<") else 1.0 - below
        return np.asarray(reached >= condition.p, np.bool_)
    ordering = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater}[condition.op]
    return np.asarray(ordering(value, limit), np.bool_)


def _name_holds(condition: Condition, scene: Scene) -> B1:
    index, texts = scene.names.get(condition.quantity, (np.full(scene.n, -1, np.int16), ()))
    if condition.op in ("unknown", "known"):
        return np.asarray((index < 0) == (condition.op == "unknown"), np.bool_)
    wanted = texts.index(condition.value) if condition.value in texts else -2
    return np.asarray(index == wanted if condition.op == "is" else (index >= 0) & (index != wanted), np.bool_)


def probability_at_most(value: F8, sigma: F8 | None, limit: float) -> F8:
    """(n,) probability that a normal quantity is at most `limit`. Sigma zero or None: certain. NaN stays NaN."""
    spread = np.zeros_like(value) if sigma is None else sigma
    certain = spread <= 0.0
    z = (limit - value) / np.where(certain, 1.0, spread)
    exact = np.where(np.isnan(value), np.nan, np.where(value <= limit, 1.0, 0.0))
    return np.asarray(np.where(certain, exact, ndtr(z)), np.float64)


def _flag_where(truth: B1, known: B1) -> F8:
    return np.where(known, truth.astype(np.float64), np.nan)


def with_words(scene: Scene, words: Words) -> Scene:
    """Add what follows from other columns: the probabilities and the words. A column that is given is not touched.

    This is the only place where the words are worked out, for the live picture and for the tests in a rule file alike.
    """
    blank = np.full(scene.n, np.nan)
    numbers, flags = dict(scene.numbers), dict(scene.flags)

    def at_most(quantity: str, limit: float) -> F8:
        return probability_at_most(numbers.get(quantity, blank), scene.sigmas.get(quantity), limit)

    distance = numbers.get("distance", blank)
    sigmas = dict(scene.sigmas)
    if "depth" not in numbers:
        numbers["depth"] = np.where(distance <= 0.0, -distance, np.nan)
        sigmas["depth"] = sigmas.get("distance", np.zeros(scene.n))
    numbers.setdefault("probability_slow", at_most("speed", words.slow_mps))
    numbers.setdefault("probability_low", at_most("height_above_ground", words.low_m))
    numbers.setdefault("probability_inside", at_most("distance", 0.0))
    slow, low, within = (numbers[f"probability_{word}"] for word in ("slow", "low", "inside"))
    flags.setdefault("slow", _flag_where(slow >= words.p_slow, ~np.isnan(slow)))
    flags.setdefault("low", _flag_where(low >= words.p_low, ~np.isnan(low)))
    flags.setdefault("within_border", _flag_where(within >= words.p_inside, ~np.isnan(within)))
    outside = within < words.p_inside
    flags.setdefault("near", _flag_where(outside & (distance <= words.near_m), ~np.isnan(within) & ~np.isnan(distance)))
    both = flags["within_border"] * flags.get("from_outside", blank)
    flags.setdefault("inside", np.where(flags["within_border"] == 0.0, 0.0, both))
    soars, bird = (np.nan_to_num(numbers.get(f"probability_{like}", blank)) for like in ("soaring", "bird"))
    flags.setdefault(
        "soaring", ((soars >= words.p_soaring) & (soars >= words.soaring_over_birds * bird)).astype(np.float64)
    )
    for word, (mean, limit) in _LIKE.items():
        numbers[mean] = np.nan_to_num(numbers.get(mean, blank))  # without evidence it is none of these
        flags.setdefault(word, (numbers[mean] >= getattr(words, limit)).astype(np.float64))
    skims = numbers.get("probability_skimming", blank)
    skims = np.where(np.isnan(skims), at_most("height_above_ground", words.skim_m), skims)
    numbers["probability_skimming"] = skims
    flags.setdefault("skimming", _flag_where(skims >= words.p_skim, ~np.isnan(skims)))
    flags.setdefault("exempt", flags.get("cooperative", blank))  # `exempted` adds notified activities
    return Scene(scene.n, numbers, sigmas, flags, scene.names)


def exempted(scene: Scene, rows: B1) -> Scene:
    """The same scene with these rows (n,) exempt."""
    return replace(scene, flags={**scene.flags, "exempt": np.where(rows, 1.0, scene.flags["exempt"])})


def scene_of(
    tracks: Tracks,
    assessment: Assessment,
    from_outside: B1,
    ruleset: RuleSet,
    codes: Sequence[str],
    forecast: Forecast | None = None,
    likeness: Mapping[str, F8] | None = None,
) -> Scene:
    """Every quantity of every row. `from_outside` (n,) is what the watch remembers of where each object came from.

    `likeness`: what it remembers of what each looked like (fusion/redlines/likeness.py).
    """
    a = assessment
    f = outlook.blank(len(tracks)) if forecast is None else forecast
    t_us = tracks.t_us
    known_agl = np.where(a.height_known, a.agl_m, np.nan)
    numbers: dict[str, F8] = {
        "speed": a.speed_mps,
        "climb": a.climb_mps,
        "height": np.where(a.height_known, a.height_m, np.nan),
        "height_above_ground": known_agl,
        "distance": a.distance_m,
        "time_to_border": a.time_to_border_s,
        "existence": tracks.existence,
        "probability_inside": a.p_inside,
        "probability_slow": a.p_slow,
        "probability_low": np.where(a.height_known, a.p_low, np.nan),
        "class_probability": a.p_class,
        "age": seconds_since(tracks.birth_us, t_us),
        "data_age": seconds_since(tracks.update_us, t_us),
        "plots": tracks.hits.astype(np.float64),
        "depth": np.where(a.distance_m <= 0.0, -a.distance_m, np.nan),
        **_numbers_ahead(f),
        **(likeness or {}),
    }
    sigmas = {
        "speed": a.sigma_speed_mps,
        "height": a.sigma_height_m,
        "height_above_ground": a.sigma_agl_m,
        "distance": a.sigma_distance_m,
        "time_to_border": a.sigma_time_s,
        "depth": a.sigma_distance_m,
        "protected_distance": f.sigma_area_m,
        "time_to_protected": f.sigma_area_time_s,
    }
    flags = {
        "from_outside": from_outside.astype(np.float64),
        "cooperative": a.cooperative.astype(np.float64),
        "contradicted": a.contradicted.astype(np.float64),
        "claim_only": ((tracks.claim_us >= 0) & (tracks.radar_us < 0)).astype(np.float64),
        "disputed": a.disputed.astype(np.float64),
        "turning": _flag_where(f.p_turn >= 0.5, ~np.isnan(f.p_turn)),
        "diverged": f.diverged.astype(np.float64),
        "within_protected": f.within_area.astype(np.float64),
        "coasting": (tracks.status == TrackStatus.COASTING).astype(np.float64),
    }
    names = {
        "class": (np.where(a.object_class == ObjectClass.UNKNOWN, -1, a.object_class).astype(np.int16), CLASS_NAMES),
        "state": (a.state, tuple(codes)),
        "near_state": (a.near_state, tuple(codes)),
        "protected_kind": (f.area_kind, outlook.KINDS),
        "protected_name": (f.concerned(), f.area_names),  # told, and not asked for
    }
    return with_words(Scene(len(tracks), numbers, sigmas, flags, names), ruleset.words)


def _numbers_ahead(f: Forecast) -> dict[str, F8]:
    return {
        "probability_crossing": f.p_crossing,
        "band": f.band_m,
        "time_band": f.time_band_s,
        "depth_band": f.depth_band_m,
        "diverged_by": f.diverged_m,
        "diverged_age": f.diverged_s,
        "protected_distance": f.area_distance_m,
        "time_to_protected": f.area_time_s,
        "protected_severity": f.area_severity,
    }


def seconds_since(earlier_us: I8, t_us: int) -> F8:
    """(n,) seconds from each time to `t_us`; NaN where there is none (-1)."""
    return np.where(earlier_us >= 0, (t_us - earlier_us) / US_PER_S, np.nan)
