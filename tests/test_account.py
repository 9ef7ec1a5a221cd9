"""The account of a picture whose faults are known, and of alerts that came, failed to come, or were wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fusion import geo
from fusion.schema import Alert
from replay import account
from replay.simulate import Scenario, Truth

LAT, LON = math.radians(54.6), math.radians(25.3)


def places(*east_north_m: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    ends = [geo.direct_1(LAT, LON, math.atan2(e, n), math.hypot(e, n))[:2] for e, n in east_north_m]
    return np.array([e[0] for e in ends]), np.array([e[1] for e in ends])


def truth(t_s: float, *east_north_m: tuple[float, float], visible: tuple[bool, ...] | None = None) -> Truth:
    lat, lon = places(*east_north_m)
    n = len(lat)
    return Truth(
        round(t_s * 1e6),
        tuple("abcdef"[:n]),
        lat,
        lon,
        np.zeros(n),
        np.zeros((n, 3)),
        np.zeros((n, 3)),
        np.ones(n, np.bool_),
        np.array(visible if visible is not None else (True,) * n, np.bool_),
    )


def test_distances_are_horizontal_metres() -> None:
    one, two = places((0.0, 0.0), (3_000.0, 0.0)), places((0.0, 4_000.0))
    away = account.distances(*one, *two)
    assert away[:, 0] == pytest.approx([4_000.0, 5_000.0], rel=1e-6)


def test_a_perfect_picture_scores_perfectly() -> None:
    judge = account.Scorer()
    for t in range(5):
        judge.add(truth(t, (t * 100.0, 0.0), (0.0, 9_000.0)), ["0:1", "0:2"], *places((t * 100.0, 0.0), (0.0, 9_000.0)))
    result = judge.result()
    assert (result.completeness, result.spurious, result.changes, result.count_error) == (1.0, 0.0, 0, 0.0)
    assert result.gospa_m == pytest.approx(0.0, abs=1e-6)
    assert [o.tracks for o in result.objects] == [("0:1",), ("0:2",)]


def test_gaps_doubles_ghosts_and_new_numbers_are_each_counted() -> None:
    judge = account.Scorer()
    here, far = (0.0, 0.0), (50_000.0, 0.0)
    judge.add(truth(0, here), [], *places())  # not yet there
    judge.add(truth(1, here), ["0:1"], *places((300.0, 400.0)))  # 500 m off
    judge.add(truth(2, here), ["0:1", "0:2"], *places((300.0, 400.0), (10.0, 0.0)))  # a double, nearer: no swap
    judge.add(truth(3, here), [], *places())
    judge.add(truth(4, here), [], *places())
    judge.add(truth(5, here), ["0:3", "0:4"], *places(here, far))  # new number, and a ghost
    result = judge.result()
    (found,) = result.objects
    assert found.tracks == ("0:1", "0:3")
    assert (found.samples, found.tracked, found.changes, found.longest_gap) == (6, 3, 1, 2)
    assert found.first_us == 1_000_000
    assert result.completeness == pytest.approx(0.5)
    assert result.spurious == pytest.approx(2 / 5)
    assert result.mean_error_m == pytest.approx(1_000.0 / 3, rel=1e-6)
    assert result.count_error == pytest.approx(5 / 6 - 1)
    miss = math.sqrt(1_000.0**2 / 2)
    expected = [miss, 500.0, math.sqrt(10.0**2 + 1_000.0**2 / 2), miss, miss, miss]
    assert result.gospa_m == pytest.approx(sum(expected) / 6, rel=1e-6)


def test_a_track_on_something_nobody_could_see_is_neither_good_nor_bad() -> None:
    judge = account.Scorer()
    judge.add(truth(0, (0.0, 0.0), (9_000.0, 0.0), visible=(True, False)), ["0:1"], *places((9_000.0, 0.0)))
    result = judge.result()
    assert (result.mean_objects, result.mean_tracks, result.spurious, result.completeness) == (1.0, 0.0, 0.0, 0.0)


def test_two_that_cross_keep_their_numbers() -> None:
    judge = account.Scorer()
    for t in range(-5, 6):
        spots = ((t * 100.0, 50.0), (-t * 100.0, -50.0))
        judge.add(truth(t + 5, *spots), ["0:1", "0:2"], *places(*spots))
    assert judge.result().changes == 0


def test_no_sample_is_no_result() -> None:
    with pytest.raises(ValueError, match="no sample"):
        account.Scorer().result()


@pytest.fixture(scope="module")
def scene() -> Scenario:
    return Scenario.load("lithuania-2025-07-28")


def alert(scene: Scenario, name: str, at_s: float, off_m: float = 0.0, rule: str = "low-slow-near") -> Alert:
    t_us = scene.start_us + round(at_s * 1e6)
    now = scene.truth(t_us)
    row = now.id.index(name)
    lat, lon, _ = geo.direct_1(float(now.lat_rad[row]), float(now.lon_rad[row]), 1.0, off_m)
    return Alert(
        id=f"{name}{at_s}",
        rule=rule,
        rule_version=1,
        severity=1,
        state="raised",
        track="0:1",
        episode=0,
        raised_us=t_us,
        t_us=t_us,
        first_plot_us=t_us,
        confirmed_us=t_us,
        lat_rad=lat,
        lon_rad=lon,
        overflown="BY",
        near_state="LT",
        disputed=False,
        quantities=(),
        sensors=("R1",),
        sentence="",
        clears="",
    )


def test_the_expected_alert_passes_and_names_its_object(scene: Scenario) -> None:
    good = alert(scene, "gerbera", 20.0, 900.0)
    assert account.about(scene, good) == "gerbera"
    found = account.judge_alerts(scene, [good, replace(good, state="updated")])
    assert found.passed
    assert found.met == ((scene.plan.expect[0], good),)


@pytest.mark.parametrize(
    "change",
    [
        {"rule": "slow-high"},
        {"near_state": "PL"},
        {"raised_us": 0},
        {"state": "updated"},
    ],
)
def test_an_alert_that_differs_is_not_the_expected_one(scene: Scenario, change: dict[str, object]) -> None:
    other = replace(alert(scene, "gerbera", 20.0), **change)  # type: ignore[arg-type]
    found = account.judge_alerts(scene, [other])
    assert found.unmet == scene.plan.expect
    assert not found.passed


def test_an_alert_for_a_quiet_object_or_for_nothing_is_wrong(scene: Scenario) -> None:
    good, light = alert(scene, "gerbera", 20.0), alert(scene, "light-1", 20.0)
    nothing = replace(good, lat_rad=math.radians(58.0), id="n")
    found = account.judge_alerts(scene, [good, light, nothing])
    assert found.wrong == ((light, "light-1"), (nothing, ""))
    assert not found.passed
