"""The sentence, word for word, and what it may never say."""

from __future__ import annotations

from dataclasses import replace
from math import nan, radians

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusion.redlines.sentence import (
    NEVER,
    Story,
    check_template,
    check_words,
    distance_text,
    join_text,
    tell,
    time_text,
)
from fusion.rules import SENTENCE

STORY = Story(
    inside=False,
    distance_m=23_040.0,
    sigma_distance_m=150.0,
    near_name="Lithuania",
    over_name="Belarus",
    p_state=0.99,
    course_rad=radians(299.7),
    speed_mps=42.3,
    sigma_speed_mps=3.0,
    agl_m=152.0,
    sigma_agl_m=58.0,
    time_to_border_s=192.0,
    sigma_time_s=21.0,
    sensors=("R1", "R2"),
    since_s=0.4,
    slow=True,
    low=True,
)


def test_sentence_reads_as_a_person_would_say_it() -> None:
    assert tell(SENTENCE, STORY) == (
        "Slow, low object, unknown, 23 km outside Lithuania over Belarus, course 300 degrees at 42 m/s, "
        "150 m above ground (plus or minus 60), predicted to cross in 3 min 10 s (plus or minus 20 s); "
        "seen by R1 and R2."
    )


@pytest.mark.parametrize(
    "changed, template, expected",
    [
        ({"inside": True, "distance_m": -4_230.0, "over_name": "Lithuania"}, "{place}", "4.2 km inside Lithuania"),
        ({"distance_m": 90.0}, "{place}", "at the border of Lithuania (plus or minus 150 m)"),
        ({"band_m": 30_000.0}, "{place}", "23 km outside Lithuania (30 km band) over Belarus"),
        (
            {"inside": True, "distance_m": -26_000.0, "depth_band_m": 25_000.0, "over_name": "Lithuania"},
            "{place}",
            "26 km inside Lithuania (past 25 km)",
        ),
        (
            {"time_band_s": 300.0},
            "{crossing}",
            ", predicted to cross in 3 min 10 s (plus or minus 20 s, 5 min band)",
        ),
        (
            {"diverged_m": 1_230.0, "diverged_s": 21.0},
            "{motion}",
            "course 300 degrees at 42 m/s, diverged from its predicted path by 1.2 km 20 s ago",
        ),
        ({"inside": True, "area_name": "Kaunas", "area_distance_m": -10.0}, "{crossing}", ", within Kaunas"),
        (
            {"inside": True, "area_name": "Kaunas", "area_distance_m": 9_000.0, "area_time_s": 211.0},
            "{crossing}",
            ", towards Kaunas (in 3 min 30 s)",
        ),
        ({"inside": True, "area_name": "Kaunas", "area_distance_m": 4_000.0}, "{crossing}", ", 4.0 km from Kaunas"),
        ({"p_state": 0.6}, "{place}", "23 km outside Lithuania probably over Belarus"),
        ({"over_name": ""}, "{place}", "23 km outside Lithuania"),
        ({"near_name": "", "over_name": ""}, "{place}", "23 km outside the allied border"),
        ({"disputed": True}, "{place}", "23 km outside Lithuania over Belarus, over disputed territory"),
        ({"distance_m": nan}, "{place}", "outside Lithuania over Belarus"),
        ({"distance_m": nan, "inside": True}, "{place}", "inside Lithuania"),
        ({"agl_m": nan}, "{height}", "height unknown"),
        ({"agl_m": -4.0, "sigma_agl_m": 2.0}, "{height}", "0 m above ground (plus or minus 10)"),
        ({"sigma_agl_m": nan}, "{height}", "150 m above ground"),
        ({"time_to_border_s": nan}, "[{crossing}]", "[]"),
        ({"inside": True}, "[{crossing}]", "[]"),
        ({"sigma_time_s": nan}, "{crossing}", ", predicted to cross in 3 min 10 s"),
        ({"speed_mps": 2.0}, "{motion}", "hardly moving"),
        ({"speed_mps": 17.9, "sigma_speed_mps": 9.4}, "{motion}", "18 m/s (plus or minus 9), course not known yet"),
        ({"speed_mps": nan}, "{motion}", "speed unknown"),
        ({"course_rad": radians(359.8)}, "{motion}", "course 000 degrees at 42 m/s"),
        ({"course_rad": nan}, "{motion}", "42 m/s, course unknown"),
        ({"sensors": ()}, "{seen}", "last seen 0 s ago"),
        ({"sensors": (), "since_s": 75.0}, "{seen}", "last seen 1 min 20 s ago"),
        ({"sensors": ("R1",)}, "{seen}", "seen by R1"),
        ({"slow": False, "low": False}, "{object}", "Object"),
        ({"low": False, "high": True}, "{object}", "Slow, high object"),
        ({"object_class": "a balloon", "p_class": 0.8}, "{identity}", "unknown, probably a balloon"),
        ({"object_class": "a balloon", "p_class": 0.79}, "{identity}", "unknown, perhaps a balloon"),
        ({"identity": "neutral", "identity_by": "Lt Jonaitis"}, "{identity}", "neutral (set by Lt Jonaitis)"),
        ({"identity": "hostile", "identity_by": "Lt Jonaitis"}, "{identity}", "identified (set by Lt Jonaitis)"),
        (
            {"doubt": "its own report contradicted because radar that covers the place does not see it"},
            "{identity}",
            "unknown, its own report contradicted because radar that covers the place does not see it",
        ),
        ({"simulated": True}, "{object}", "Simulated: Slow, low object"),
    ],
)
def test_pieces(changed: dict[str, object], template: str, expected: str) -> None:
    assert tell(template, replace(STORY, **changed)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "metres, expected",
    [
        (0, "50 m"),
        (330, "350 m"),
        (974, "950 m"),
        (975, "1.0 km"),
        (9_949, "9.9 km"),
        (9_950, "10 km"),
        (23_499, "23 km"),
    ],
)
def test_distance_is_rounded_as_it_is_said(metres: float, expected: str) -> None:
    assert distance_text(metres) == expected


@pytest.mark.parametrize(
    "seconds, expected",
    [
        (0, "0 s"),
        (44, "45 s"),
        (57.4, "55 s"),
        (57.5, "1 min"),
        (192, "3 min 10 s"),
        (1_199, "20 min"),
        (1_530, "26 min"),
    ],
)
def test_time_is_rounded_as_it_is_said(seconds: float, expected: str) -> None:
    assert time_text(seconds) == expected


def test_list_reads_aloud() -> None:
    assert [join_text(parts) for parts in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize("text", ["{nothing}", "{}", "{place!r}", "{place:>9}", "{place.upper}", "{broken", "hostile"])
def test_template_with_what_is_not_there_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        check_template(text)


@pytest.mark.parametrize("word", NEVER)
def test_words_of_intent_are_refused_and_words_that_contain_them_are_not(word: str) -> None:
    with pytest.raises(ValueError, match=f"(?i){word}"):
        check_words(f"This is {word.upper()}.")
    check_words("Nobody was alarmed; farmed land; an attackless reply.")


@given(
    st.builds(
        Story,
        inside=st.booleans(),
        distance_m=st.floats(-1e6, 1e6) | st.just(nan),
        sigma_distance_m=st.floats(0, 1e5) | st.just(nan),
        near_name=st.sampled_from(["", "Lithuania"]),
        over_name=st.sampled_from(["", "Belarus"]),
        p_state=st.floats(0, 1),
        course_rad=st.floats(0, 6.2831) | st.just(nan),
        speed_mps=st.floats(0, 2_000) | st.just(nan),
        sigma_speed_mps=st.floats(0, 500) | st.just(nan),
        agl_m=st.floats(-500, 60_000) | st.just(nan),
        sigma_agl_m=st.floats(0, 20_000) | st.just(nan),
        time_to_border_s=st.floats(0, 1e5) | st.just(nan),
        sigma_time_s=st.floats(0, 1e4) | st.just(nan),
        sensors=st.sampled_from([(), ("R1",), ("R1", "R2")]),
        since_s=st.floats(0, 1e5) | st.just(nan),
        identity=st.sampled_from(["unknown", "friend", "neutral", "suspect", "hostile"]),
    )
)
def test_every_story_can_be_told_without_saying_more_than_is_known(story: Story) -> None:
    sentence = tell(SENTENCE, story)
    check_words(sentence)
    assert "nan" not in sentence
    assert "  " not in sentence
    assert sentence.endswith(".")
