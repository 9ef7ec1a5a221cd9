"""Where two sets of rules differ: what stands in them, and in which situations they decide differently.

The comparison is one of meaning: 30 km is 30,000 m, and the order of conditions says nothing. Beside it, situations are
drawn from a seed around every limit that either set names, and put to both. One on which they differ is shown, with no
more in it than it needs, as the `given` of a test, ready to be pasted into a rule file. What no situation drawn shows
may still differ.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from adapters.files.textlines import line_of
from fusion.rules import CLASS_NAMES, QUANTITIES, Condition, Kind, Rule, RuleSet, Scene, Words, holds_all, with_words
from fusion.schema import B1, F8

SITUATIONS = 20_000
UNITS = {"mps": "m/s", "m": "m", "s": "s"}
DERIVED = (  # follow from what is drawn, so that no situation contradicts itself
    *("slow", "low", "near", "inside", "within_border", "exempt", "depth"),
    *("unpowered", "birdlike", "soaring", "planelike", "skimming"),
    *("probability_slow", "probability_low", "probability_inside", "protected_name"),
)
COUNTS = ("plots", "protected_severity")  # whole numbers
FIELDS = ("version", "severity", "title", "dwell_s", "hold_s", "recipients", "sentence")


@dataclass(frozen=True, slots=True)
class Side:
    """One set of rules, and where each rule stands."""

    name: str
    paths: tuple[Path, ...]
    rules: RuleSet
    places: dict[str, str]  # rule id -> file:line

    def rule(self, rule_id: str) -> Rule | None:
        """The rule of this id."""
        return next((rule for rule in self.rules.rules if rule.id == rule_id), None)


@dataclass(frozen=True, slots=True)
class Example:
    """A situation on which the two sides differ."""

    given: str
    what: str  # "raises" or "keeps": what the one does and the other does not
    by: str  # "a" or "b": which one does


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs about one rule, or about the words or bands (`rule` is "[words]", "[bands]")."""

    rule: str
    kind: str  # added, removed, changed, or meaning (same text, other words)
    place_a: str
    place_b: str
    changes: tuple[str, ...]  # a line each
    example: Example | None


def places(paths: Sequence[Path]) -> dict[str, str]:
    """Where the rule that counts of each id stands: in the last file that has it. The files are known to be good."""
    found = {}
    for path in paths:
        text = path.read_text(encoding="utf-8")
        for row, block in enumerate(tomllib.loads(text).get("rule", [])):
            found[block["id"]] = f"{path}:{line_of(text, f'rule[{row}]')}"
    return found


def compare(a: Side, b: Side, seed: int = 1, situations: int = SITUATIONS) -> list[Difference]:
    """Every difference, in the order of A's rules, then of B's."""
    found = [
        Difference(head, "changed", a.name, b.name, changes, None)
        for head, changes in (("[words]", _values(a.rules.words, b.rules.words)),
                              ("[bands]", _values(a.rules.bands, b.rules.bands)))
        if changes
    ]  # fmt: skip
    drawn = _Drawn(a.rules, b.rules, seed, situations)
    for rule_id in dict.fromkeys(rule.id for side in (a, b) for rule in side.rules.rules):
        one, other = a.rule(rule_id), b.rule(rule_id)
        where = a.places.get(rule_id, "") if one else "", b.places.get(rule_id, "") if other else ""
        if one is None or other is None:
            whole = one or other
            assert whole is not None
            kind = "removed" if other is None else "added"
            found.append(Difference(rule_id, kind, *where, _whole(whole), drawn.example(one, other)))
            continue
        changes, example = _changes(one, other), drawn.example(one, other)
        if changes or example:
            found.append(Difference(rule_id, "changed" if changes else "meaning", *where, changes, example))
    return found


def _values(one: object, other: object) -> tuple[str, ...]:
    """What differs between two dataclasses of numbers whose names end in their unit."""
    lines = []
    for item in fields(one):  # type: ignore[arg-type]
        was, now = getattr(one, item.name), getattr(other, item.name)
        if was != now:
            lines.append(f"{item.name}: {_value(item.name, was)} -> {_value(item.name, now)}")
    return tuple(lines)


def _value(name: str, value: object) -> str:
    unit = UNITS.get(name.rsplit("_", 1)[-1], "")
    if isinstance(value, tuple):
        return "[" + ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in value) + f"] {unit}".rstrip()
    return f"{value:g} {unit}".strip() if isinstance(value, float) else repr(value)


def _whole(rule: Rule) -> tuple[str, ...]:
    return (f"severity {rule.severity}, {rule.title}", f"when: {'; '.join(c.text for c in rule.when)}")


def _changes(one: Rule, other: Rule) -> tuple[str, ...]:
    lines = [
        f"{name}: {_value(name, was)} -> {_value(name, now)}"
        for name in FIELDS
        if (was := getattr(one, name)) != (now := getattr(other, name))
    ]
    lines += _conditions("when", one.when, other.when) + _conditions("keep", one.keep, other.keep)
    for mode in ("tension", "exercise"):
        for name, was, now in zip(("sentence", "recipients"), one.told_in(mode), other.told_in(mode), strict=True):
            in_peace = getattr(one, name) != getattr(other, name) and (was, now) == (
                getattr(one, name),
                getattr(other, name),
            )
            if was != now and not in_peace:
                lines.append(f"mode.{mode}.{name}: {_value(name, was)} -> {_value(name, now)}")
    return tuple(lines)


def _meaning(condition: Condition) -> str:
    """The same for two conditions that mean the same."""
    parts = sorted(_meaning(part) for part in condition.either)
    return f"{condition.quantity} {condition.op} {condition.value!r} {condition.p!r} {parts}"


def _conditions(name: str, one: Sequence[Condition], other: Sequence[Condition]) -> list[str]:
    mine, yours = {_meaning(c): c for c in one}, {_meaning(c): c for c in other}
    gone = [c for key, c in mine.items() if key not in yours]
    new = [c for key, c in yours.items() if key not in mine]
    lines = []
    for condition in gone:
        kin = next((c for c in new if (c.quantity, c.op) == (condition.quantity, condition.op)), None)
        if kin is None:
            lines.append(f'{name}: without "{condition.text}"')
        else:
            new.remove(kin)
            lines.append(f'{name}: "{condition.text}" -> "{kin.text}"')
    return [*lines, *(f'{name}: also "{condition.text}"' for condition in new)]


class _Drawn:
    """Situations around every limit, and what the words of either side make of them."""

    def __init__(self, a: RuleSet, b: RuleSet, seed: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        limits, names = _limits((a, b))
        self._numbers: dict[str, F8] = {}
        self._sigmas: dict[str, F8] = {}
        self._flags: dict[str, F8] = {}
        self._names: dict[str, list[str]] = {}
        self._words = a.words, b.words
        for spec in QUANTITIES.values():
            if spec.name in DERIVED:
                continue
            if spec.kind is Kind.NUMBER:
                around = _short(_around(limits.get(spec.name, [])))
                around = np.unique(np.round(around)) if spec.name in COUNTS else around
                self._numbers[spec.name] = np.where(rng.random(count) < 0.1, np.nan, rng.choice(around, count))
                scale = rng.choice([0.0, 0.0, 0.01, 0.1, 0.5], count) if spec.has_sigma else np.zeros(count)
                self._sigmas[spec.name] = _short(np.abs(np.nan_to_num(self._numbers[spec.name])) * scale)
            elif spec.kind is Kind.FLAG:
                self._flags[spec.name] = rng.choice([0.0, 1.0, np.nan], count, p=[0.45, 0.45, 0.1])
            else:
                known = [*dict.fromkeys(names.get(spec.name, [])), _another(spec.name, names.get(spec.name, [])), ""]
                self._names[spec.name] = [known[i] for i in rng.integers(0, len(known), count)]
        self._scenes = tuple(self._scene(words, np.arange(count), frozenset()) for words in self._words)

    def example(self, one: Rule | None, other: Rule | None) -> Example | None:
        """A situation on which two versions of a rule decide differently, with no more in it than it needs."""
        for what in ("raises", "keeps"):
            sides = tuple(_decides(rule, scene, what) for rule, scene in zip((one, other), self._scenes, strict=True))
            differ = np.flatnonzero(sides[0] != sides[1])
            if len(differ):
                row = int(differ[0])
                blank = self._needless(one, other, row, what)
                return Example(self._given(row, blank), what, "a" if sides[0][row] else "b")
        return None

    def _needless(self, one: Rule | None, other: Rule | None, row: int, what: str) -> frozenset[str]:
        """Quantities that may be unknown in this situation without changing what is decided."""
        at = np.array([row])
        blank: frozenset[str] = frozenset()

        def decided(without: frozenset[str]) -> tuple[bool, ...]:
            scenes = (self._scene(words, at, without) for words in self._words)
            return tuple(bool(_decides(r, s, what)[0]) for r, s in zip((one, other), scenes, strict=True))

        wanted = decided(blank)
        for name in [*self._names, *self._flags, *self._numbers]:
            if decided(blank | {name}) == wanted:
                blank |= {name}
        for name in self._numbers:  # an uncertainty that decides nothing is not shown
            if name not in blank and decided(blank | {f"sigma {name}"}) == wanted:
                blank |= {f"sigma {name}"}
        return blank

    def _scene(self, words: Words, rows: np.ndarray, blank: frozenset[str]) -> Scene:
        n = len(rows)
        unknown = np.full(n, np.nan)
        numbers = {name: unknown if name in blank else v[rows] for name, v in self._numbers.items()}
        sigmas = {name: np.zeros(n) if f"sigma {name}" in blank else v[rows] for name, v in self._sigmas.items()}
        flags = {name: unknown if name in blank else v[rows] for name, v in self._flags.items()}
        names = {}
        for name, column in self._names.items():
            said = ["" if name in blank else column[row] for row in rows]
            texts = tuple(dict.fromkeys(text for text in said if text))
            names[name] = np.array([texts.index(text) if text else -1 for text in said], np.int16), texts
        return with_words(Scene(n, numbers, sigmas, flags, names), words)

    def _given(self, row: int, blank: frozenset[str]) -> str:
        parts = []
        for name, column in self._numbers.items():
            if name not in blank and not np.isnan(column[row]):
                sigma = 0.0 if f"sigma {name}" in blank else float(self._sigmas[name][row])
                unit = f" {QUANTITIES[name].unit}".rstrip()
                parts.append(f'{name} = "{column[row]:.10g}{unit}{f" +- {sigma:.10g}" * bool(sigma)}"')
        flags = ((name, column[row]) for name, column in self._flags.items() if name not in blank)
        parts += [f"{name} = {'true' if value else 'false'}" for name, value in flags if not np.isnan(value)]
        parts += [f'{name} = "{c[row]}"' for name, c in self._names.items() if name not in blank and c[row]]
        return f"given = {{ {', '.join(parts)} }}"


def _decides(rule: Rule | None, scene: Scene, what: str) -> B1:
    if rule is None:
        return np.zeros(scene.n, np.bool_)
    when = holds_all(rule.when, scene)
    return when if what == "raises" or not rule.keep else when | holds_all(rule.keep, scene)


def _limits(sides: Sequence[RuleSet]) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """Every limit of a number, and every name, that a condition or a word of either side has."""
    limits: dict[str, list[float]] = {}
    names: dict[str, list[str]] = {}
    for ruleset in sides:
        words = ruleset.words
        for quantity, value in (
            ("speed", words.slow_mps), ("height_above_ground", words.low_m), ("distance", words.near_m),
            ("distance", 0.0), ("probability_unpowered", words.p_unpowered), ("probability_bird", words.p_bird),
            ("probability_soaring", words.p_soaring), ("probability_skimming", words.p_skim),
            ("probability_light_aircraft", words.p_light_aircraft),
        ):  # fmt: skip
            limits.setdefault(quantity, []).append(value)
        for condition in (
            c for rule in ruleset.rules for line in (*rule.when, *rule.keep) for c in (line, *line.either)
        ):
            if isinstance(condition.value, str):
                names.setdefault(condition.quantity, []).append(condition.value)
            elif condition.op in ("<=", ">=", "<", ">"):
                limits.setdefault(condition.quantity, []).append(float(condition.value))
                if condition.quantity == "depth":
                    limits["distance"].append(-float(condition.value))
    return limits, names


def _around(limits: Sequence[float]) -> F8:
    """Values at, between and beyond limits; counts and probabilities stay what they are."""
    known = np.unique(np.array(limits or [1.0]))
    beyond = [known[0] - abs(known[0]) / 2 - (1.0 if known[0] <= 0 else 0.0), known[-1] + abs(known[-1]) / 2]
    if 0.0 < known[-1] <= 1.0:
        beyond[1] = (1.0 + known[-1]) / 2
    return np.unique(np.concatenate([known, (known[1:] + known[:-1]) / 2, beyond]))


def _short(values: F8) -> F8:
    """Rounded so that the text of an example reads back to exactly the same number."""
    return np.array([float(f"{value:.10g}") for value in values])


def _another(quantity: str, known: Sequence[str]) -> str:
    """A name that no condition asks for."""
    choice = [name for name in CLASS_NAMES if name != "unknown"] if quantity == "class" else ["LT", "PL", "DE", "other"]
    return next((name for name in choice if name not in known), "")


def side_of(name: str, paths: Sequence[Path], rules: RuleSet) -> Side:
    """One side, with where its rules stand."""
    return Side(name, tuple(paths), rules, places(paths))
