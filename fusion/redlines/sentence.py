"""One alert as a sentence that a person can read aloud: what, who, where, how fast, how high, when, seen by whom.

It says what was measured and how surely, and nothing about intent: the words in `NEVER` cannot stand in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

PIECES = ("object", "identity", "place", "motion", "height", "crossing", "seen")
NEVER = (
    *("hostile", "armed", "deliberate", "deliberately", "intentional", "enemy", "attack", "weapon"),
    *("missile", "warhead", "decoy", "munition", "bomb"),
)
_NEVER = re.compile(r"\b(" + "|".join(NEVER) + r")\b", re.IGNORECASE)
SURE = 0.8  # probability of the state overflown from which it is said without "probably", and of the class from which
# it is said with "probably" and not with "perhaps"
STILL_MPS = 3.0  # below this a course means nothing, and below two sigmas of the speed


@dataclass(frozen=True, slots=True)
class Story:
    """What the sentence tells, of one object. NaN and "" are not known."""

    inside: bool
    distance_m: float  # signed, positive outside
    sigma_distance_m: float
    near_name: str  # readable name of the allied state concerned
    over_name: str  # readable name of the state overflown
    p_state: float
    course_rad: float
    speed_mps: float
    sigma_speed_mps: float
    agl_m: float  # NaN: height not known
    sigma_agl_m: float
    time_to_border_s: float
    sigma_time_s: float
    sensors: tuple[str, ...]  # that saw it in the last 30 s
    since_s: float  # since the last plot
    slow: bool = False
    low: bool = False
    high: bool = False  # known not to be low
    disputed: bool = False
    identity: str = "unknown"  # as set by a person
    identity_by: str = ""
    object_class: str = ""  # in words, with its article
    p_class: float = np.nan
    doubt: str = ""  # what is to be said of its own report of itself, see fusion.integrity.doubt_text
    simulated: bool = False
    exercise: bool = False
    band_m: float = np.nan  # warning bands, as fusion.borders.bands has them
    time_band_s: float = np.nan
    depth_band_m: float = np.nan
    diverged_m: float = np.nan  # from its predicted path, when it last was; NaN: not of late
    diverged_s: float = np.nan  # how long ago
    area_name: str = ""  # of the protected area that it is in, near, or flies towards
    area_distance_m: float = np.nan
    area_time_s: float = np.nan


def check_template(template: str) -> None:
    """Refuse a template that names a piece that is not there, or a word that we never say.

    Raises:
        ValueError: with the reason in words.
    """
    for _, name, spec, conversion in Formatter().parse(template):
        if name is not None and (name not in PIECES or spec or conversion):
            raise ValueError(f"{{{name}}} is not one of {', '.join('{' + piece + '}' for piece in PIECES)}")
    check_words(template)


def check_words(text: str) -> None:
    """Refuse a text that claims to know intent (ValueError)."""
    found = _NEVER.search(text)
    if found:
        raise ValueError(f"the word '{found.group(0)}' says more than sensors can know")


def tell(template: str, story: Story) -> str:
    """The sentence."""
    pieces = {
        "object": object_text(story),
        "identity": identity_text(story),
        "place": place_text(story),
        "motion": motion_text(story),
        "height": height_text(story),
        "crossing": crossing_text(story),
        "seen": seen_text(story),
    }
    return marked(template.format(**pieces), story.simulated, story.exercise)


def marked(text: str, simulated: bool, exercise: bool) -> str:
    """A text that says first what is not real about it."""
    return f"{'Simulated: ' * simulated}{'Exercise: ' * exercise}{text}"


def object_text(story: Story) -> str:
    """Such as "Slow, low object"."""
    words = [word for word, true in (("slow", story.slow), ("low", story.low), ("high", story.high)) if true]
    return f"{', '.join(words)} object".strip().capitalize()


def identity_text(story: Story) -> str:
    """Unknown, unless a person said otherwise; "hostile" is a person's word and stays in the record, not here."""
    text = story.identity
    if _NEVER.search(text):
        text = "identified"
    if story.identity_by:
        text += f" (set by {story.identity_by})"
    if story.object_class:
        text += f", {'probably' if story.p_class >= SURE else 'perhaps'} {story.object_class}"
    if story.doubt:
        text += f", {story.doubt}"
    return text


def place_text(story: Story) -> str:
    """Such as "23 km outside Lithuania over Belarus" or "4.2 km inside Lithuania"."""
    near = story.near_name or "the allied border"
    sigma = story.sigma_distance_m
    if np.isnan(story.distance_m):
        text = f"inside {near}" if story.inside else f"outside {near}"
    elif sigma > abs(story.distance_m):
        return f"at the border of {near} (plus or minus {distance_text(sigma)}){_disputed(story)}"
    else:
        side = "inside" if story.inside else "outside"
        text = f"{distance_text(abs(story.distance_m))} {side} {near}{_band(story)}"
    if story.over_name and not story.inside:
        text += f" {'over' if story.p_state >= SURE else 'probably over'} {story.over_name}"
    return text + _disputed(story)


def _band(story: Story) -> str:
    """Such as " (15 km band)", or " (past 25 km)" inside."""
    if story.inside and not np.isnan(story.depth_band_m):
        return f" (past {distance_text(story.depth_band_m)})"
    if not story.inside and not np.isnan(story.band_m):
        return f" ({distance_text(story.band_m)} band)"
    return ""


def _disputed(story: Story) -> str:
    return ", over disputed territory" if story.disputed else ""


def motion_text(story: Story) -> str:
    """Such as "course 300 degrees at 42 m/s", and that it left its predicted path."""
    if np.isnan(story.speed_mps):
        return "speed unknown"
    if story.speed_mps < STILL_MPS:
        return "hardly moving"
    if story.speed_mps < 2.0 * story.sigma_speed_mps:  # whoever was just found may well be fast
        return f"{story.speed_mps:.0f} m/s (plus or minus {story.sigma_speed_mps:.0f}), course not known yet"
    if np.isnan(story.course_rad):
        return f"{story.speed_mps:.0f} m/s, course unknown"
    course_deg = round(float(np.degrees(story.course_rad))) % 360
    return f"course {course_deg:03d} degrees at {story.speed_mps:.0f} m/s{_diverged(story)}"


def _diverged(story: Story) -> str:
    if np.isnan(story.diverged_m):
        return ""
    return f", diverged from its predicted path by {distance_text(story.diverged_m)} {time_text(story.diverged_s)} ago"


def height_text(story: Story) -> str:
    """Such as "150 m above ground (plus or minus 60)"."""
    if np.isnan(story.agl_m):
        return "height unknown"
    spread = "" if np.isnan(story.sigma_agl_m) else f" (plus or minus {_tens(story.sigma_agl_m, 10)})"
    return f"{_tens(story.agl_m, 0)} m above ground{spread}"


def crossing_text(story: Story) -> str:
    """Such as ", predicted to cross in 3 min 10 s (plus or minus 20 s, 5 min band)", and the protected area that it is
    in or comes to; empty when neither is predicted."""
    if story.inside or np.isnan(story.time_to_border_s):
        return _area(story)
    notes = []
    if not np.isnan(story.sigma_time_s):
        notes.append(f"plus or minus {time_text(max(story.sigma_time_s, 5.0))}")
    if not np.isnan(story.time_band_s):
        notes.append(f"{time_text(story.time_band_s)} band")
    spread = f" ({', '.join(notes)})" if notes else ""
    return f", predicted to cross in {time_text(story.time_to_border_s)}{spread}{_area(story)}"


def _area(story: Story) -> str:
    if not story.area_name:
        return ""
    if story.area_distance_m <= 0.0:
        return f", within {story.area_name}"
    if not np.isnan(story.area_time_s):
        return f", towards {story.area_name} (in {time_text(story.area_time_s)})"
    return f", {distance_text(story.area_distance_m)} from {story.area_name}"


def seen_text(story: Story) -> str:
    """Such as "seen by R1 and R2"."""
    if story.sensors:
        return f"seen by {join_text(story.sensors)}"
    return "last seen at an unknown time" if np.isnan(story.since_s) else f"last seen {time_text(story.since_s)} ago"


def distance_text(distance_m: float) -> str:
    """Rounded as it would be said: 23 km, 4.2 km, 350 m."""
    if distance_m >= 9_950:
        return f"{distance_m / 1_000:.0f} km"
    if distance_m >= 975:
        return f"{distance_m / 1_000:.1f} km"
    return f"{max(50, round(distance_m / 50) * 50)} m"


def time_text(time_s: float) -> str:
    """Rounded as it would be said: 45 s, 3 min 10 s, 25 min."""
    if time_s < 57.5:
        return f"{round(time_s / 5) * 5} s"
    tens = round(time_s / 10) * 10
    minutes, seconds = divmod(tens, 60)
    if minutes >= 20:
        return f"{round(time_s / 60)} min"
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


def join_text(parts: Sequence[str]) -> str:
    """Such as "R1, R2 and R3"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _tens(value_m: float, least: int) -> int:
    return max(least, round(value_m / 10) * 10)
