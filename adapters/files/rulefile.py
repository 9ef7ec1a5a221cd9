"""rules.toml: the red lines of a site as a file, its overlays, and the tests inside it.

A condition is a line of text, so that a duty officer can read it:

    "slow"                                          a flag that has to be true
    "not exempt"                                    a flag that has to be false: what is not known is neither
    "distance <= 30 km"                             a number with its unit
    "speed <= 80 m/s with p >= 0.8"                 the same, asking for a probability
    "height_above_ground unknown"                   not known (or: known)
    "class is balloon", "state is not BY"        a name
    "near or inside"                                alternatives

`[[rule.test]]` gives quantities and says whether the rule is true of them; every load runs these tests.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from adapters.errors import UNREADABLE, ConfigError, unreadable
from adapters.files.configfile import Strict, Word
from adapters.files.refuse import did_you_mean, validate
from adapters.files.textlines import located
from fusion.borders.bands import MOST_BANDS, Bands
from fusion.borders.outlook import KINDS
from fusion.redlines.sentence import check_template, check_words
from fusion.rules import (
    CLASS_NAMES,
    QUANTITIES,
    SENTENCE,
    Condition,
    Kind,
    Manner,
    QuantitySpec,
    Rule,
    RuleSet,
    Scene,
    Words,
    holds_all,
    with_words,
)
from fusion.schema import F8, I2

UNITS = {  # as written -> SI unit, factor
    "m": ("m", 1.0),
    "km": ("m", 1_000.0),
    "NM": ("m", 1_852.0),
    "ft": ("m", 0.3048),
    "m/s": ("m/s", 1.0),
    "km/h": ("m/s", 1.0 / 3.6),
    "kn": ("m/s", 1_852.0 / 3_600.0),
    "s": ("s", 1.0),
    "min": ("s", 60.0),
}
MAX_RULES = 100
_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_UNIT = r"[A-Za-z]+(?:/[A-Za-z]+)?"
_ORDERING = re.compile(
    rf"(?P<name>\w+)\s*(?P<op><=|>=|<|>)\s*(?P<value>{_NUMBER})(?:\s*(?P<unit>(?!with\b){_UNIT}))?"
    rf"(?:\s+with\s+p\s*>=\s*(?P<p>{_NUMBER}))?"
)
_KNOWN = re.compile(r"(?P<name>\w+)\s+(?:is\s+)?(?P<op>unknown|known)")
_FLAG = re.compile(r"(?P<negated>not\s+)?(?P<name>\w+)")
_NAME = re.compile(r"(?P<name>\w+)\s+is\s+(?P<negated>not\s+)?(?P<value>[\w-]+)")
_GIVEN = re.compile(rf"(?P<value>{_NUMBER})(?:\s*(?P<unit>{_UNIT}))?(?:\s*\+-\s*(?P<sigma>\d+(?:\.\d+)?))?")

Probability = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(ge=0, le=3_600)]
Text = Annotated[str, Field(min_length=1, max_length=500)]


class WordsFile(Strict):
    """`[words]`: what the words mean; what is left out keeps its meaning."""

    slow_mps: float | None = Field(default=None, gt=0, le=400, description="ground speed up to which it is slow, m/s")
    p_slow: Probability | None = Field(default=None, description="probability asked for to be slow, 0 to 1")
    low_m: float | None = Field(default=None, gt=0, le=20_000, description="height above ground up to which it is low")
    p_low: Probability | None = Field(default=None, description="probability asked for to be low, 0 to 1")
    near_m: float | None = Field(default=None, gt=0, le=500_000, description="distance outside up to which it is near")
    p_inside: Probability | None = Field(default=None, description="probability from which it counts as inside")
    p_outside: Probability | None = Field(default=None, description="probability inside up to which it is clearly out")
    first_seen_m: float | None = Field(
        default=None, ge=0, le=500_000, description="first seen this deep inside may still have come from outside"
    )
    first_seen_s: float | None = Field(
        default=None, ge=0, le=3_600, description="and no deeper than it flies in this time, seconds"
    )
    first_seen_always_m: float | None = Field(
        default=None, ge=0, le=500_000, description="or this deep, however slow it flies"
    )
    origin_s: float | None = Field(
        default=None, ge=0, le=600, description="time after which where it came from stands, seconds"
    )
    p_unpowered: Probability | None = Field(
        default=None, description="mean probability from which it is unpowered: birds, balloon, echo, paraglider"
    )
    p_bird: Probability | None = Field(default=None, description="mean probability from which it is birdlike")
    p_light_aircraft: Probability | None = Field(
        default=None, description="mean probability from which it is planelike"
    )
    p_soaring: Probability | None = Field(default=None, description="mean probability from which it is soaring")
    soaring_over_birds: float | None = Field(
        default=None, ge=0, le=100, description="and so many times the probability of birds"
    )
    skim_m: float | None = Field(
        default=None, ge=0, le=10_000, description="height above ground at most this skims, metres"
    )
    p_skim: Probability | None = Field(default=None, description="mean probability from which it is skimming")
    live_s: float | None = Field(default=None, ge=1, le=30, description="age up to which an identity is live, seconds")


Limits = Annotated[list[Annotated[float, Field(gt=0)]], Field(max_length=MOST_BANDS)]


class BandsFile(Strict):
    """`[bands]`: limits of the warning bands; what is left out keeps its limits, and [] has none."""

    distance_m: Limits | None = Field(default=None, description="outside the border, from the widest, metres")
    time_s: Limits | None = Field(default=None, description="until the border is crossed, from the longest, seconds")
    depth_m: Limits | None = Field(default=None, description="inside the border, from the shallowest, metres")
    leave_distance: float | None = Field(
        default=None, ge=0, le=1, description="a distance or depth band is left this part of its limit beyond it"
    )
    leave_time: float | None = Field(default=None, ge=0, le=1, description="the same of a time band")
    p_time: Probability | None = Field(default=None, description="probability to cross from which a time counts")


class CheckFile(Strict):
    """`[[rule.test]]`: quantities, and whether the rule is true of them."""

    name: Text = Field(description="what this test shows")
    given: dict[str, str | float | int | bool] = Field(description='quantities, such as speed = "45 m/s +- 2"')
    expect: bool = Field(description="true or false: what the rule has to say")


class MannerFile(Strict):
    """`[rule.mode.tension]`, `[rule.mode.exercise]`: what a mode changes of a rule; conditions are the same in all."""

    recipients: list[Word] | None = Field(default=None, max_length=30, description="who is told in this mode")
    sentence: Text | None = Field(default=None, description="the sentence in this mode")


class ModesFile(Strict):
    """`[rule.mode]`. What a rule says without it, it says in peace and wherever a mode says nothing else."""

    tension: MannerFile = Field(default=MannerFile(), description="a section [rule.mode.tension]")
    exercise: MannerFile = Field(default=MannerFile(), description="a section [rule.mode.exercise]")


class RuleFile(Strict):
    """`[[rule]]`."""

    id: Word = Field(description="name of the rule: letters, digits, _ . -")
    version: int = Field(ge=1, le=1_000_000, description="raised with every change, because alerts carry it")
    severity: int = Field(ge=1, le=3, description="1 highest to 3")
    title: Text = Field(description="what it is, in a few words")
    when: list[Text] = Field(min_length=1, max_length=30, description="conditions; all have to be true")
    keep: list[Text] = Field(
        default=[], max_length=30, description="looser conditions that keep an alert open; empty: those of when"
    )
    dwell_s: Seconds = Field(default=0.0, description="true for this long before it is raised, seconds")
    hold_s: Seconds = Field(default=10.0, description="not true for this long before it is closed, seconds")
    recipients: list[Word] = Field(default=[], max_length=30, description="who is told")
    sentence: Text | None = Field(default=None, description="the sentence, with pieces such as {place}")
    mode: ModesFile = ModesFile()
    test: list[CheckFile] = Field(default=[], max_length=100, description="tests of this rule")


class RulesFile(Strict):
    """A rule file: the base, or an overlay."""

    words: WordsFile = WordsFile()
    bands: BandsFile = BandsFile()
    disable: list[Word] = Field(default=[], max_length=MAX_RULES, description="rules of the files below, switched off")
    rule: list[RuleFile] = Field(default=[], max_length=MAX_RULES, description="the red lines")


@dataclass(slots=True)
class Fault(Exception):
    """A line that cannot be read, and its cure; `load` adds file and key."""

    problem: str
    cure: str


def load(path: Path, overlays: Sequence[Path] = ()) -> RuleSet:
    """The rules of `path` with the overlays laid over it, in order.

    An overlay may set words, replace a rule of the same id (with a higher version), add rules, and switch rules off.
    The tests of a file run with the words as they are once that file is laid on.

    Raises:
        ConfigError: anything wrong in a file, a test that fails among it.
    """
    ruleset, tested = load_tested(path, overlays)
    for test in tested:
        if test.fault is not None:
            raise test.fault
    return ruleset


def refuse_states(paths: Sequence[Path], ruleset: RuleSet, codes: Sequence[str]) -> None:
    """A rule about a state that no border file has would never be true, and nobody would know.

    `paths`: the files that the rules come from, the base first. Raises ConfigError for the first such condition.
    """
    for rule in ruleset.rules:
        if not any(_strange(part, codes) for part in (*rule.when, *rule.keep)):
            continue
        for path in reversed(paths):
            blocks = [(row, block) for row, block in enumerate(_read(path).rule) if block.id == rule.id]
            for row, block in blocks:
                for key, lines in (("when", block.when), ("keep", block.keep)):
                    for at, line in enumerate(lines):
                        for value in _strange(condition(line), codes):
                            problem = f"no border file has a state {value!r}"
                            cure = did_you_mean(value, list(codes))
                            raise located(ConfigError(str(path), f"rule[{row}].{key}[{at}]", problem, cure))


def _strange(part: Condition, codes: Sequence[str]) -> list[str]:
    """The states that a condition names and nobody knows."""
    if part.op == "any":
        return [value for other in part.either for value in _strange(other, codes)]
    asks = part.quantity in ("state", "near_state") and part.op in ("is", "is-not")
    return [str(part.value)] if asks and part.value not in codes else []


@dataclass(frozen=True, slots=True)
class Tested:
    """One test of a rule file, run."""

    rule: str
    name: str
    expect: bool
    fault: ConfigError | None  # why it fails; None: it does not


def load_tested(path: Path, overlays: Sequence[Path] = ()) -> tuple[RuleSet, list[Tested]]:
    """The same, with every test that was run, and those that fail among them. Raises ConfigError otherwise."""
    ruleset = RuleSet(())
    tested: list[Tested] = []
    try:
        for layer, file in enumerate((path, *overlays)):
            ruleset = _lay(ruleset, _read(file), str(file), layer, tested)
    except ConfigError as error:
        raise located(error) from error
    if not ruleset.rules:
        raise ConfigError(str(path), "rule", "no rule is left", "add a [[rule]] block, or disable fewer")
    return ruleset, tested


def _read(path: Path) -> RulesFile:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    model, faults = validate(RulesFile, data, str(path))
    if model is None:
        raise faults[0]
    return model


def _lay(below: RuleSet, file: RulesFile, name: str, layer: int, tested: list[Tested]) -> RuleSet:
    words = _words(below.words, file.words, name)
    rules = {rule.id: rule for rule in below.rules}
    for row, rule_id in enumerate(file.disable):
        if rules.pop(rule_id, None) is None:
            cure = did_you_mean(rule_id, list(rules)) if layer else "remove it: the base file has no file below it"
            raise ConfigError(name, f"disable[{row}]", f"there is no rule {rule_id!r} below", cure)
    own: set[str] = set()
    for row, block in enumerate(file.rule):
        rule = _rule(block, name, f"rule[{row}]")
        if rule.id in own:
            raise ConfigError(name, f"rule[{row}].id", f"{rule.id!r} stands twice", "give every rule its own id")
        if rule.id in rules and rule.version <= rules[rule.id].version:
            cure = f"set version = {rules[rule.id].version + 1}"
            raise ConfigError(name, f"rule[{row}].version", "is not higher than that of the rule it replaces", cure)
        own.add(rule.id)
        rules[rule.id] = rule
        for at, check in enumerate(block.test):
            fault = _run(check, rule, words, name, f"rule[{row}].test[{at}]")
            tested.append(Tested(rule.id, check.name, check.expect, fault and located(fault)))
    bands = _bands(below.bands, file.bands, name)
    return RuleSet(tuple(rules.values()), words, bands)


def _words(below: Words, file: WordsFile, name: str) -> Words:
    words = replace(below, **file.model_dump(exclude_none=True))
    if words.p_outside >= words.p_inside:
        raise ConfigError(name, "words.p_outside", "is not smaller than p_inside", f"give less than {words.p_inside:g}")
    return words


def _bands(below: Bands, file: BandsFile, name: str) -> Bands:
    given: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in file.model_dump(exclude_none=True).items()
    }
    try:
        return replace(below, **given)
    except ValueError as error:
        cure = "give distances and times from the largest to the smallest, depths from the smallest to the largest"
        raise ConfigError(name, "bands", str(error), cure) from error


def _rule(block: RuleFile, file: str, key: str) -> Rule:
    sentence = SENTENCE if block.sentence is None else block.sentence
    manners = tuple(_manner(name, getattr(block.mode, name)) for name in ModesFile.model_fields)
    said = [(f"mode.{m.mode}.sentence", check_template, m.sentence) for m in manners if m.sentence is not None]
    for part, check, text in (("sentence", check_template, sentence), ("title", check_words, block.title), *said):
        try:
            check(text)
        except ValueError as error:
            raise ConfigError(file, f"{key}.{part}", str(error), "say only what is measured") from error
    return Rule(
        id=block.id,
        version=block.version,
        severity=block.severity,
        title=block.title,
        when=_conditions(block.when, file, f"{key}.when"),
        keep=_conditions(block.keep, file, f"{key}.keep"),
        dwell_s=block.dwell_s,
        hold_s=block.hold_s,
        recipients=tuple(block.recipients),
        sentence=sentence,
        manners=tuple(manner for manner in manners if manner != Manner(manner.mode)),
    )


def _manner(mode: str, block: MannerFile) -> Manner:
    return Manner(mode, block.sentence, None if block.recipients is None else tuple(block.recipients))


def _conditions(lines: Iterable[str], file: str, key: str) -> tuple[Condition, ...]:
    found = []
    for row, line in enumerate(lines):
        try:
            found.append(condition(line))
        except Fault as fault:
            raise ConfigError(file, f"{key}[{row}]", fault.problem, fault.cure) from fault
    return tuple(found)


def condition(line: str) -> Condition:
    """One condition from its line of text.

    Raises:
        Fault: the line is not a condition, or names a quantity or unit that is not known.
    """
    parts = [part.strip() for part in re.split(r"\s+or\s+", line.strip())]
    plain = [_plain(part) for part in parts]
    if len(plain) == 1:
        return plain[0]
    return Condition("", "any", text=" or ".join(part.text for part in plain), either=tuple(plain))


def _plain(text: str) -> Condition:
    """A condition without alternatives."""
    text = " ".join(text.split())
    if match := _ORDERING.fullmatch(text):
        return _ordering(match, text)
    if match := _KNOWN.fullmatch(text):
        return Condition(_spec(match["name"]).name, match["op"], text=text)
    if match := _FLAG.fullmatch(text):
        spec = _spec(match["name"])
        if spec.kind is not Kind.FLAG:
            raise Fault(f"{text!r} has no limit", _example(spec))
        return Condition(spec.name, "is", 0.0 if match["negated"] else 1.0, text=text)
    if match := _NAME.fullmatch(text):
        return _named(match, text)
    raise Fault(f"{text!r} is not a condition", 'write it like "slow", "not exempt" or "distance <= 30 km"')


def _ordering(match: re.Match[str], text: str) -> Condition:
    spec = _spec(match["name"])
    if spec.kind is not Kind.NUMBER:
        raise Fault(f"{spec.name!r} is a {spec.kind}, not a number", _example(spec))
    value = _si(spec, float(match["value"]), match["unit"])
    if match["p"] is None:
        return Condition(spec.name, match["op"], value, text=text)
    p = float(match["p"])
    if not 0.0 < p < 1.0:
        raise Fault(f"the probability {match['p']} is not between 0 and 1", 'write it like "with p >= 0.8"')
    if not spec.has_sigma:
        raise Fault(f"{spec.name!r} carries no uncertainty", 'leave out "with p >= ..."')
    return Condition(spec.name, match["op"], value, p, text)


def _named(match: re.Match[str], text: str) -> Condition:
    spec = _spec(match["name"])
    if spec.kind is not Kind.NAME:
        raise Fault(f"{spec.name!r} is a {spec.kind}, not a name", _example(spec))
    return Condition(spec.name, "is-not" if match["negated"] else "is", _name_value(spec, match["value"]), text=text)


def _name_value(spec: QuantitySpec, value: str) -> str:
    if spec.name == "class":
        known = [name for name in CLASS_NAMES if name != "unknown"]
        if value not in known:
            raise Fault(f"{value!r} is not a class", did_you_mean(value, known))
    elif spec.name == "protected_kind":
        if value not in KINDS:
            raise Fault(f"{value!r} is not a kind of area", did_you_mean(value, list(KINDS)))
    elif not re.fullmatch(r"[A-Z]{2}", value):
        raise Fault(f"{value!r} is not a state", "give its ISO code of two capital letters, such as LT")
    return value


def _spec(name: str) -> QuantitySpec:
    spec = QUANTITIES.get(name)
    if spec is None:
        raise Fault(f"{name!r} is not a known quantity", did_you_mean(name, list(QUANTITIES)))
    return spec


def _si(spec: QuantitySpec, value: float, unit: str | None) -> float:
    """A number with its unit in SI."""
    if not math.isfinite(value):
        raise Fault(f"the number for {spec.name!r} is too large", "give a finite number")
    fitting = [written for written, (si, _) in UNITS.items() if si == spec.unit]
    if unit is None:
        if spec.unit:
            raise Fault(f"{spec.name!r} needs a unit", f"write it like {value:g} {fitting[0]} ({', '.join(fitting)})")
        return value
    if unit not in fitting:
        cure = f"take one of {', '.join(fitting)}" if fitting else "leave the unit out: this number has none"
        raise Fault(f"{unit!r} is not a unit of {spec.name!r}", cure)
    return value * UNITS[unit][1]


def _example(spec: QuantitySpec) -> str:
    if spec.kind is Kind.FLAG:
        return f'write "{spec.name}" or "not {spec.name}"'
    if spec.kind is Kind.NAME:
        example = {"class": "balloon", "protected_kind": "airport"}.get(spec.name, "LT")
        return f'write "{spec.name} is {example}" or "{spec.name} unknown"'
    unit = next((f" {written}" for written, (si, _) in UNITS.items() if si == spec.unit), "")
    return f'write "{spec.name} <= 1{unit}"'


def _run(check: CheckFile, rule: Rule, words: Words, file: str, key: str) -> ConfigError | None:
    """Run one test of a rule; one that fails comes back as a refusal that says which condition decided."""
    scene = _scene(check.given, words, file, f"{key}.given")
    failing = [part.text for part in rule.when if not holds_all((part,), scene)[0]]
    if (not failing) is not check.expect:
        why = f"these do not hold: {'; '.join(failing)}" if failing else "every condition holds"
        wanted = "true" if check.expect else "false"
        return ConfigError(
            file, key, f"test {check.name!r} expects {wanted}, but {why}", "correct the rule or the test"
        )
    return None


def _scene(given: dict[str, str | float | int | bool], words: Words, file: str, key: str) -> Scene:
    """One object with the given quantities; all others are not known."""
    numbers: dict[str, F8] = {}
    sigmas: dict[str, F8] = {}
    flags: dict[str, F8] = {}
    names: dict[str, tuple[I2, tuple[str, ...]]] = {}
    for name, value in given.items():
        try:
            spec = _spec(name)
            if spec.kind is Kind.FLAG:
                if not isinstance(value, bool):
                    raise Fault(f"is {value!r}, but {name!r} is a flag", "write true or false")
                flags[name] = np.array([float(value)])
            elif spec.kind is Kind.NAME:
                names[name] = np.zeros(1, np.int16), (_name_value(spec, str(value)),)
            else:
                numbers[name], sigmas[name] = _given_number(spec, value)
        except Fault as fault:
            raise ConfigError(file, f"{key}.{name}", fault.problem, fault.cure) from fault
    return with_words(Scene(1, numbers, sigmas, flags, names), words)


def _given_number(spec: QuantitySpec, value: str | float | int | bool) -> tuple[F8, F8]:
    """(value, sigma), each (1,), from text such as "45 m/s +- 2"; sigma 0 when none is given."""
    match = None if isinstance(value, bool) else _GIVEN.fullmatch(str(value).strip())
    if match is None:
        raise Fault(f"is {value!r}, not a number with its unit", 'write it like "45 m/s" or "45 m/s +- 2"')
    if match["sigma"] and not spec.has_sigma:
        raise Fault(f"{spec.name!r} carries no uncertainty", 'leave out "+- ..."')
    sigma = _si(spec, float(match["sigma"] or 0.0), match["unit"])
    return np.array([_si(spec, float(match["value"]), match["unit"])]), np.array([sigma])
