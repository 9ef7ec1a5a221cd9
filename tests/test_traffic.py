"""Claims are put at the time of a plot and seen as the radar sees; what cannot be one aircraft is not used."""

from __future__ import annotations

import numpy as np

from fusion.bias.traffic import (
    C_DOUBT,
    C_USED,
    R_SH,
    R_SP,
    R_SV,
    R_T,
    R_V,
    R_X,
    REPORT,
    REPORTS,
    Claims,
    expect_1,
    seen_from_1,
)
from fusion.geo import ecef, enu_axes, polar, site_row
from fusion.schema import US_PER_S

SITE = site_row(0.95, 0.41, 100.0)
PLACE = ecef(0.955, 0.42, 9_000.0)[0]
EAST, NORTH, _ = enu_axes(0.955, 0.42)[0]


def turning(t_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Place and velocity of an aircraft that turns at 1.5 degrees a second, 200 m/s."""
    w, speed = np.radians(1.5), 200.0
    place = PLACE + speed / w * (np.sin(w * t_s)[:, None] * EAST + (1.0 - np.cos(w * t_s))[:, None] * NORTH)
    return place, speed * (np.cos(w * t_s)[:, None] * EAST + np.sin(w * t_s)[:, None] * NORTH)


def reports(t_s: np.ndarray, velocity: bool = True) -> np.ndarray:
    """Reports of that aircraft without noise."""
    place, v = turning(t_s)
    out = np.full((len(t_s), REPORT), np.nan)
    out[:, R_T] = t_s * US_PER_S
    out[:, R_X : R_X + 3] = place
    out[:, R_SP], out[:, R_SH], out[:, R_SV] = 10.0, 15.0, 1.0
    if velocity:
        out[:, R_V : R_V + 3] = v
    return out


def test_between_reports_a_turn_is_followed_to_metres() -> None:
    ring = reports(np.arange(0.0, 8.0))
    out = np.empty(8)
    for t_s in (0.5, 3.25, 6.9):
        assert expect_1(ring, 8, t_s * US_PER_S, out)
        place, velocity = turning(np.array([t_s]))
        assert np.linalg.norm(out[:3] - place[0]) < 0.1
        assert np.linalg.norm(out[3:6] - velocity[0]) < 3.0


def test_what_is_hidden_between_reports_is_in_the_variance() -> None:
    out = np.empty(8)
    for ring, t_s in (
        (reports(np.array([0.0, 8.0])), 4.0),
        (reports(np.array([0.0, 8.0]), velocity=False), 4.0),
        (reports(np.array([0.0])), 3.0),
    ):
        assert expect_1(ring, len(ring), t_s * US_PER_S, out)
        error = np.linalg.norm(out[:3] - turning(np.array([t_s]))[0][0])
        assert error < 4.0 * np.sqrt(out[6] + out[7])


def test_a_claim_is_not_carried_on_for_ever_and_not_without_velocity() -> None:
    out = np.empty(8)
    assert not expect_1(reports(np.array([0.0])), 1, 9.0 * US_PER_S, out)
    assert not expect_1(reports(np.array([0.0]), velocity=False), 1, 0.5 * US_PER_S, out)
    assert not expect_1(reports(np.array([0.0, 20.0]), velocity=False), 2, 10.0 * US_PER_S, out)


def test_rates_are_those_of_differences() -> None:
    (place,), (velocity,) = turning(np.array([2.0]))
    r, azimuth, elevation, range_rate, azimuth_rate = seen_from_1(SITE, np.concatenate([place, velocity]))
    before, after = polar(SITE, place - 0.01 * velocity), polar(SITE, place + 0.01 * velocity)
    assert np.allclose([r, azimuth, elevation], np.concatenate(polar(SITE, place)))
    assert abs(range_rate - (after[0][0] - before[0][0]) / 0.02) < 1e-3
    assert abs(azimuth_rate - (after[1][0] - before[1][0]) / 0.02) < 1e-7


def told(made: np.ndarray, key: np.ndarray) -> np.ndarray:
    """Time, address and no code of reports."""
    return np.stack([made[:, R_T].astype(np.int64), key, np.full(len(made), -1)])


def add(claims: Claims, t_s: np.ndarray, key: int, shift_m: float = 0.0) -> np.ndarray:
    """Add reports of one address; returns the slots given away."""
    made = reports(t_s)
    made[:, R_X] += shift_m
    return claims.add(told(made, np.full(len(t_s), key)), made)


def test_reports_of_an_address_are_kept_in_a_ring_and_those_that_say_the_same_once() -> None:
    claims = Claims()
    add(claims, np.arange(0.0, 40.0), 7)
    add(claims, np.arange(30.0, 40.0) + 0.1, 7)
    assert claims.state[:, C_USED].tolist() == [REPORTS]
    assert sorted(claims.ring[0, :, R_T] / US_PER_S) == list(range(24, 40))
    assert claims.state[0, C_DOUBT] < 0


def test_an_address_at_two_places_is_in_doubt() -> None:
    claims = Claims()
    add(claims, np.arange(0.0, 5.0), 7)
    add(claims, np.array([5.5]), 7, shift_m=20_000.0)
    assert claims.state[0, C_DOUBT] == 35.5 * US_PER_S


def test_the_table_is_bounded_and_gives_up_who_was_heard_longest_ago() -> None:
    claims = Claims(most=3)
    for number in range(3):
        add(claims, np.array([float(number)]), number)
    given = add(claims, np.array([9.0]), 100)
    assert given.tolist() == [0]
    assert sorted(claims.key.tolist()) == [1, 2, 100]
    many = np.arange(1_000, 1_010)
    crowd = reports(np.full(10, 10.0))
    claims.add(told(crowd, many), crowd)
    assert len(claims.key) == 3
