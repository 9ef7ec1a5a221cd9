"""The types of what is ahead, and what an open alert makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fusion.borders.outlook import NEAR_AREA_M, blank
from fusion.identity import assess
from tests.airpicture import SENSORS, at, picture
from tests.test_alerts import RULES, TICK_US, Night


def test_a_nearer_band_is_told_at_once_and_told_in_the_sentence() -> None:
    night = Night()
    (raised,) = night.run(5.4, [{}])
    assert "band" not in raised.sentence
    night.now_us += TICK_US
    tracks, facts = picture([at(night.now_us, {})], night.now_us)
    assessment = assess(tracks, facts, RULES.words, SENSORS)
    nearer = replace(blank(1), band_m=np.array([30_000.0]), changed=np.array([True]))
    (told,) = night.watch.step(tracks, assessment, night.now_us, nearer)
    assert (told.id, told.state) == (raised.id, "updated"), "half a second after it was raised"
    assert "23 km outside Lithuania (30 km band)" in told.sentence
    assert next(q.value for q in told.quantities if q.name == "band_m") == 30_000.0
    no_news = replace(nearer, changed=np.array([False]))
    assert night.watch.step(tracks, assessment, night.now_us + TICK_US, no_news) == []


def test_the_area_that_matters_is_the_one_within_or_near_else_the_one_ahead() -> None:
    distance = np.array([-10.0, NEAR_AREA_M, NEAR_AREA_M + 1.0, 40_000.0, np.nan])
    ahead = np.array([7, 7, 7, -1, -1], np.int16)
    made = replace(blank(5), area=np.array([1, 2, 3, 4, -1], np.int16), ahead=ahead, area_distance_m=distance)
    assert made.concerned().tolist() == [1, 2, 7, -1, -1]


def test_a_blank_forecast_leaves_an_assessment_alone() -> None:
    tracks, facts = picture([{}, {}])
    assessment = assess(tracks, facts, RULES.words, SENSORS)
    onto = blank(2).onto(assessment)
    np.testing.assert_array_equal(onto.time_to_border_s, assessment.time_to_border_s)
    known = replace(blank(2), p_crossing=np.array([0.2, np.nan])).onto(assessment)
    assert np.isnan(known.time_to_border_s[0]), "unlikely to cross"
    assert known.time_to_border_s[1] == assessment.time_to_border_s[1]
