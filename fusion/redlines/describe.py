"""Fill an alert with what is measured now: place, states, sensors, the numbers with their limits, and the sentence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fusion import classes
from fusion.redlines.sentence import Story, tell
from fusion.rules import QUANTITIES, Condition, Kind, Rule, Scene, Words, holds
from fusion.schema import US_PER_S, Alert, Assessment, ObjectClass, Quantity, Tracks

DECIMALS = 3  # of numbers in an alert: finer than any sensor
CONTEXT = (  # told with every alert, whether the rule asks or not
    "speed",
    "height_above_ground",
    "distance",
    "time_to_border",
    "probability_crossing",
    "band",
    "time_band",
    "depth_band",
    "climb",
    "probability_inside",
    "existence",
    "class_probability",
)


@dataclass(frozen=True, slots=True)
class Tables:
    """What indices mean, and what the words mean."""

    codes: tuple[str, ...]
    names: tuple[str, ...]
    sensor_ids: tuple[str, ...]
    words: Words
    doubt: str = ""  # what is to be said of the object's own report


def describe(
    alert: Alert, rule: Rule, tracks: Tracks, assessment: Assessment, scene: Scene, here: int, tables: Tables
) -> Alert:
    """`alert` as it is now for row `here` of the table."""
    a = assessment
    sensors = seen_by(int(tracks.sensors[here]), tables.sensor_ids)
    return replace(
        alert,
        lat_rad=float(a.lat_rad[here]),
        lon_rad=float(a.lon_rad[here]),
        overflown=_entry(tables.codes, int(a.state[here])),
        near_state=_entry(tables.codes, int(a.near_state[here])),
        disputed=bool(a.disputed[here]),
        quantities=quantities(rule, scene, here, tables),
        sensors=sensors,
        sentence=tell(rule.told_in(alert.mode)[0], story(alert, tracks, assessment, scene, here, tables)),
    )


def story(alert: Alert, tracks: Tracks, assessment: Assessment, scene: Scene, here: int, tables: Tables) -> Story:
    """What the sentence tells."""
    a = assessment
    kind = ObjectClass(int(a.object_class[here]))
    known = bool(a.height_known[here])
    return Story(
        inside=scene.flags["within_border"][here] == 1.0,
        distance_m=float(a.distance_m[here]),
        sigma_distance_m=float(a.sigma_distance_m[here]),
        near_name=_entry(tables.names, int(a.near_state[here])),
        over_name=_entry(tables.names, int(a.state[here])),
        p_state=float(a.p_state[here]),
        course_rad=float(a.course_rad[here]),
        speed_mps=float(a.speed_mps[here]),
        sigma_speed_mps=float(a.sigma_speed_mps[here]),
        agl_m=float(a.agl_m[here]) if known else np.nan,
        sigma_agl_m=float(a.sigma_agl_m[here]),
        time_to_border_s=float(a.time_to_border_s[here]),
        sigma_time_s=float(a.sigma_time_s[here]),
        sensors=seen_by(int(tracks.sensors[here]), tables.sensor_ids),
        since_s=max(0.0, (tracks.t_us - int(tracks.update_us[here])) / US_PER_S),
        slow=scene.flags["slow"][here] == 1.0,
        low=scene.flags["low"][here] == 1.0,
        high=scene.flags["low"][here] == 0.0,
        disputed=bool(a.disputed[here]),
        identity=alert.identity,
        identity_by=alert.identity_by,
        object_class=classes.WORDS[kind],
        p_class=float(a.p_class[here]),
        doubt=tables.doubt,
        simulated=alert.simulated,
        exercise=alert.mode == "exercise",
        **_ahead(scene, here),
    )


def _ahead(scene: Scene, here: int) -> dict[str, Any]:
    """What the sentence tells of `fusion.borders.forecast`."""
    pairs = (
        ("band_m", "band"),
        ("time_band_s", "time_band"),
        ("depth_band_m", "depth_band"),
        ("area_distance_m", "protected_distance"),
        ("area_time_s", "time_to_protected"),
    )
    blank = np.full(scene.n, np.nan)
    told: dict[str, Any] = {name: float(scene.numbers.get(quantity, blank)[here]) for name, quantity in pairs}
    if scene.flags.get("diverged", blank)[here] == 1.0:
        told["diverged_m"] = float(scene.numbers["diverged_by"][here])
        told["diverged_s"] = float(scene.numbers["diverged_age"][here])
    index, texts = scene.names.get("protected_name", (np.full(scene.n, -1, np.int16), ()))
    return {**told, "area_name": _entry(texts, int(index[here]))}


def quantities(rule: Rule, scene: Scene, here: int, tables: Tables) -> tuple[Quantity, ...]:
    """The numbers the alert rests on, in the order of the rule's conditions, then the rest of `CONTEXT`."""
    told: dict[str, Quantity] = {}
    for condition in (part for whole in rule.when for part in _grounds(whole, scene, here)):
        for quantity, text in basis(condition, tables.words):
            _add(told, quantity, text, scene, here)
    for quantity in CONTEXT:
        _add(told, quantity, "", scene, here)
    for name, (index, texts) in scene.names.items():
        told.setdefault(name, Quantity(name, _entry(texts, int(index[here]))))
    if tables.doubt:
        told["own_report"] = Quantity("own_report", tables.doubt)
    return tuple(quantity for quantity in told.values() if quantity.value != "")


def _grounds(whole: Condition, scene: Scene, here: int) -> tuple[Condition, ...]:
    """Of alternatives those that are true now: what is not true is no reason. All of them where an alert lives on its
    `keep` alone."""
    return tuple(part for part in whole.either if holds(part, scene)[here]) or whole.either or (whole,)


def basis(condition: Condition, words: Words) -> tuple[tuple[str, str], ...]:
    """(quantity, limit in words) that a condition rests on: a word rests on the number behind it."""
    wanted = condition.op in ("is", "is-not") and (condition.op == "is") == (condition.value == 1.0)
    within = (("distance", "inside"), ("probability_inside", f">= {words.p_inside:g}"))
    behind: dict[str, tuple[tuple[str, str], ...]] = {
        "slow": (("speed", f"<= {words.slow_mps:g} with p >= {words.p_slow:g}"),),
        "low": (("height_above_ground", f"<= {words.low_m:g} with p >= {words.p_low:g}"),),
        "near": (("distance", f"<= {words.near_m:g}, outside"),),
        "inside": (*within, ("from_outside", "is true")),
        "within_border": within,
    }
    if condition.op in ("is", "is-not") and condition.quantity in behind:
        return tuple((name, text if wanted else f"not {text}") for name, text in behind[condition.quantity])
    return ((condition.quantity, limit_text(condition)),)


def limit_text(condition: Condition) -> str:
    """The limit alone, such as "<= 80 with p >= 0.8"."""
    if condition.op in ("unknown", "known"):
        return condition.op
    if QUANTITIES[condition.quantity].kind is Kind.FLAG:
        return f"is {'true' if (condition.value == 1.0) == (condition.op == 'is') else 'false'}"
    if isinstance(condition.value, str):
        return f"{condition.op.replace('-', ' ')} {condition.value}"
    text = f"{condition.op} {condition.value:g}"
    return text if np.isnan(condition.p) else f"{text} with p >= {condition.p:g}"


def _add(told: dict[str, Quantity], quantity: str, text: str, scene: Scene, here: int) -> None:
    spec = QUANTITIES[quantity]
    if spec.key in told:
        told[spec.key] = replace(told[spec.key], condition=_join(told[spec.key].condition, text))
        return
    if spec.kind is Kind.NAME:
        index, texts = scene.names.get(quantity, (np.full(scene.n, -1, np.int16), ()))
        told[spec.key] = Quantity(spec.key, _entry(texts, int(index[here])) or "unknown", None, text)
        return
    column = (scene.numbers if spec.kind is Kind.NUMBER else scene.flags).get(quantity)
    value = np.nan if column is None else float(column[here])
    if np.isnan(value):
        if text == "unknown":
            told[spec.key] = Quantity(spec.key, "unknown", None, text)
        return
    if spec.kind is Kind.FLAG:
        told[spec.key] = Quantity(spec.key, value == 1.0, None, text)
        return
    sigmas = scene.sigmas.get(quantity)
    sigma = np.nan if sigmas is None else float(sigmas[here])
    spread = None if np.isnan(sigma) else round(sigma, DECIMALS)
    told[spec.key] = Quantity(spec.key, round(value, DECIMALS), spread, text)


def _join(earlier: str, text: str) -> str:
    return " and ".join(dict.fromkeys(part for part in (earlier, text) if part))


def seen_by(mask: int, sensor_ids: tuple[str, ...]) -> tuple[str, ...]:
    """The sensors of a bit mask, in order of index."""
    return tuple(name for index, name in enumerate(sensor_ids) if mask >> index & 1)


def _entry(texts: tuple[str, ...], index: int) -> str:
    return texts[index] if 0 <= index < len(texts) else ""
