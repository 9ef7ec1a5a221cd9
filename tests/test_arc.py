"""When and where a turning object crosses: against many flights drawn at random and flown in small steps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fusion import geo
from fusion.borders import arc
from fusion.zones import ZoneFacts
from tests.test_zones import square, table

F8 = np.ndarray
SPEED, TURN_S, MOST_S = 50.0, 20.0, 60.0


def ways(drift_q: float = 0.0) -> arc.Ways:
    return arc.Ways(square().border_tree, np.array([1_800.0, 1.0, drift_q, 1.0, TURN_S, MOST_S, 0.08, 150_000.0]))


def predicted(
    metres: float, course_deg: float, p_turn: float, turn_deg_s: float, sigma_deg_s: float, sigma_mps: float = 0.3,
    drift_q: float = 0.0,
) -> tuple[F8, ZoneFacts]:  # fmt: skip
    """The answer for one object that far west of the border of `square`, and the facts it rests on."""
    lat, lon, _ = geo.direct_1(math.radians(51.0), math.radians(20.0), math.radians(270.0), metres)
    tracks = table([(math.degrees(lat), math.degrees(lon))], speed_mps=SPEED, course_deg=course_deg, sigma_m=30.0,
                   sigma_mps=sigma_mps)  # fmt: skip
    facts = square().facts(tracks)
    row = np.array([[lat, lon, SPEED, math.radians(course_deg), facts.distance_m[0], p_turn,
                     math.radians(turn_deg_s), math.radians(sigma_deg_s)]])  # fmt: skip
    out, line = np.full((1, 8), np.nan), np.full(1, -1, np.int64)
    arc.predict(ways(drift_q), np.ascontiguousarray(tracks.cov), row, np.zeros(1, np.int64), out, line)
    return out[0], facts


def drawn(metres: float, course_deg: float, turn_deg_s: float, sigma_deg_s: float, n: int = 20_000) -> tuple[F8, F8]:
    """(seconds until each of n flights crosses, NaN never; metres north of its start): small steps in a plane."""
    rng = np.random.default_rng(8)
    rate = np.radians(rng.normal(turn_deg_s, sigma_deg_s, n))
    part = rng.uniform(0.0, 1.0 - math.exp(-MOST_S / TURN_S), n)
    ends = np.minimum(-TURN_S * np.log(1.0 - part), math.pi / np.abs(rate))
    x, y, head = np.full(n, -metres), np.zeros(n), np.full(n, math.radians(course_deg))
    found, place, dt = np.full(n, np.nan), np.full(n, np.nan), 0.5
    for step in range(int(1_800 / dt)):
        head = head + np.where(step * dt < ends, rate * dt, 0.0)
        x, y = x + SPEED * dt * np.sin(head), y + SPEED * dt * np.cos(head)
        now = np.isnan(found) & (x >= 0.0) & (np.abs(y) < 100_000.0)
        found[now], place[now] = (step + 1) * dt, y[now]
        if step * dt > MOST_S and (~np.isnan(found) | (np.sin(head) <= 0.0)).all():
            break
    return found, place


@pytest.mark.parametrize(
    "metres, course_deg, turn_deg_s, sigma_deg_s",
    [(8_000.0, 0.0, 2.0, 0.5), (8_000.0, 90.0, 2.0, 0.5), (3_000.0, 120.0, -3.0, 0.7), (1_000.0, 10.0, 4.0, 1.0)],
)
def test_a_turn_is_flown_out_as_many_random_flights_are(
    metres: float, course_deg: float, turn_deg_s: float, sigma_deg_s: float
) -> None:
    out, _ = predicted(metres, course_deg, 1.0, turn_deg_s, sigma_deg_s)
    seconds, place = drawn(metres, course_deg, turn_deg_s, sigma_deg_s)
    hits = seconds[~np.isnan(seconds)]
    assert out[arc.P] == pytest.approx(len(hits) / len(seconds), abs=0.1)
    earlier = [(hits <= out[column]).mean() for column in (arc.LOW, arc.TIME, arc.HIGH)]
    assert earlier[0] <= 0.12
    assert 0.38 <= earlier[1] <= 0.62
    assert earlier[2] >= 0.88
    assert out[arc.PLACE] > 0.3 * np.median(np.abs(place - np.nanmedian(place))[~np.isnan(place)])


@pytest.mark.parametrize("course_deg", [90.0, 60.0, 130.0])
def test_straight_flight_crosses_where_the_straight_path_does(course_deg: float) -> None:
    out, facts = predicted(12_000.0, course_deg, 0.02, 0.0, 0.3, sigma_mps=1.0, drift_q=0.2)
    assert out[arc.P] == pytest.approx(1.0)
    assert out[arc.TIME] == pytest.approx(facts.time_to_border_s[0], rel=1e-3)
    assert out[arc.SIGMA] == pytest.approx(facts.sigma_time_s[0], rel=0.2)
    assert math.degrees(out[arc.CROSSING_LON]) == pytest.approx(20.0, abs=1e-6)
    assert out[arc.CROSSING_LAT] == pytest.approx(facts.crossing_lat_rad[0], abs=1e-6)
    assert out[arc.LOW] == pytest.approx(out[arc.TIME] - 1.645 * out[arc.SIGMA], rel=0.1)


def test_the_place_is_as_unsure_as_the_course() -> None:
    out, _ = predicted(12_000.0, 90.0, 0.0, 0.0, 0.3, sigma_mps=1.0)
    assert out[arc.PLACE] == pytest.approx(math.hypot(30.0, 240.0 * 1.0), rel=0.15)


def test_a_path_along_the_border_may_cross_or_not() -> None:
    out, _ = predicted(1_500.0, 0.0, 0.0, 0.0, 0.3, sigma_mps=2.0)
    assert 0.1 < out[arc.P] < 0.7


@pytest.mark.parametrize("metres, course_deg", [(12_000.0, 270.0), (100_000.0, 270.0), (12_000.0, 300.0)])
def test_what_flies_away_does_not_cross(metres: float, course_deg: float) -> None:
    out, _ = predicted(metres, course_deg, 0.0, 0.0, 0.3)
    assert out[arc.P] == 0.0
    assert np.isnan(out[arc.TIME])


def test_what_surely_turns_away_crosses_nothing_even_if_it_would_straight_on() -> None:
    out, _ = predicted(30_000.0, 92.0, 1.0, 0.001, 1e-6)
    assert out[arc.P] == pytest.approx(1.0), "hardly a turn: all the same"
    away, _ = predicted(60_000.0, 179.0, 1.0, 4.0, 1e-6)
    assert away[arc.P] < 0.2
