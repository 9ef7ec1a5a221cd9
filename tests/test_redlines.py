"""The shipped rules and borders on the paths of real incidents: the right rule, at the second it should speak.

The oracle is the time inside each state, measured for these paths apart from this code (incidents of the reference).
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from adapters.files import rulefile, zonefiles
from fusion import geo
from fusion.borders import terrain
from fusion.identity import assess
from fusion.redlines.alerts import Watch
from fusion.schema import Alert, Tracks
from fusion.zones import Zones
from tests.airpicture import SENSOR_IDS, SENSORS, T0_US, S, at, picture

CONFIG = Path(__file__).parent.parent / "config"
RULES = rulefile.load(CONFIG / "rules.toml")
DWELL_S = 3.0  # of both rules that speak inside
BEFORE_S = 60.0  # watched from so long before the crossing
TOLERANCE_S = 6.0  # 2 s steps, dwell between steps, and the 25 m of the simplified border
MINUTE_S = 30.0  # where the reference gives whole minutes

# Way, m/s, metres above ground, seconds inside by the reference, tolerance. Bistrita's height is only known as
# 1,000 to 3,000 m, which is the very edge of the word low; it flies clearly low here, because the second is at issue.
PATHS: dict[str, tuple[list[list[float]], float, float, float, float]] = {
    "plauru-2023": ([[45.70, 29.75], [45.48, 29.10], [45.35, 28.88], [45.305, 28.845]], 48, 150, 27, TOLERANCE_S),
    "grindu-2023": ([[45.75, 29.20], [45.42, 28.45], [45.375, 28.235]], 48, 120, 100, TOLERANCE_S),
    "tyszowce-2024": ([[50.20, 24.55], [50.43, 24.05], [50.62, 23.70], [50.64, 23.45]], 27, 200, 1_800, MINUTE_S),
    "lithuania-2025-07-10": ([[54.58, 25.95], [54.60, 25.74], [54.602, 25.70]], 15, 100, 236, TOLERANCE_S),
    "lithuania-2025-07-28": (
        [[54.25, 26.10], [54.55, 25.72], [54.70, 25.33], [55.02, 24.45]],
        40,
        200,
        2_400,
        MINUTE_S,
    ),
    "rezekne-2024": ([[54.50, 26.95], [55.55, 27.55], [56.74, 27.07]], 48, 200, 2_250, TOLERANCE_S),
    "bistrita-2022": ([[48.20, 25.30], [47.95, 24.90], [47.18, 24.43]], 30, 300, 2_571, TOLERANCE_S),
}
THROUGH: dict[str, tuple[list[list[float]], float, float, float]] = {  # in and out again
    "forpost-2022": ([[49.98, 23.70], [50.02, 23.25], [49.93, 22.95], [49.90, 23.30], [49.95, 23.80]], 45, 2_500, 602),
    "missile-2024": ([[50.50, 24.55], [50.435, 24.06], [50.43, 23.97], [50.425, 23.90], [50.385, 23.86]], 222, 400, 41),
}


@cache
def zones() -> Zones:
    """The shipped borders and heights."""
    heights = CONFIG / "terrain"
    return zonefiles.load(
        sorted((CONFIG / "zones" / "osm").glob("*.geojson")),
        next(heights.glob("etopo5*.tif")),
        next(heights.glob("egm2008*.tif")),
        25.0,
    )


class Flight:
    """An object flying along a way at one speed and one height above ground."""

    def __init__(self, way: list[list[float]], speed_mps: float, agl_m: float) -> None:
        self.lat, self.lon = np.radians(np.array(way)).T
        legs, self.azimuth, _ = geo.inverse(self.lat[:-1], self.lon[:-1], self.lat[1:], self.lon[1:])
        self.start_m = np.concatenate([[0.0], np.cumsum(legs)])
        self.speed_mps, self.agl_m = speed_mps, agl_m
        self.end_s = float(self.start_m[-1]) / speed_mps

    def tracks(self, time_s: float) -> Tracks:
        """The table of one row at a time."""
        gone_m = time_s * self.speed_mps
        leg = min(int(np.searchsorted(self.start_m, gone_m, side="right")) - 1, len(self.azimuth) - 1)
        first = self.lat[leg], self.lon[leg], self.azimuth[leg], gone_m - self.start_m[leg]
        lat, lon, course = geo.direct(*(np.array([value]) for value in first))
        ground_m = np.nan_to_num(terrain.sample(zones().terrain, lat, lon)).clip(min=0.0)
        place = geo.ecef(lat, lon, ground_m + np.nan_to_num(terrain.sample(zones().geoid, lat, lon)) + self.agl_m)
        east, north, _ = geo.enu_axes(lat, lon)[0]
        velocity = self.speed_mps * (np.sin(course[0]) * east + np.cos(course[0]) * north)
        now_us = T0_US + round(time_s * S)
        tracks, _ = picture([at(now_us, {"birth_us": T0_US})], now_us)
        cov = np.diag([30.0, 30.0, 30.0, 2.0, 2.0, 2.0])[None] ** 2
        return replace(tracks, state=np.concatenate([place[0], velocity])[None], cov=cov)


def fly(flight: Flight, from_s: float, until_s: float) -> list[Alert]:
    """Every alert raised or closed on the way, looked at every two seconds."""
    watch = Watch(RULES, zones().codes, zones().names, SENSOR_IDS)
    found: list[Alert] = []
    for time_s in np.arange(max(0.0, from_s), until_s, 2.0):
        tracks = flight.tracks(float(time_s))
        found += watch.step(tracks, assess(tracks, zones().facts(tracks), RULES.words, SENSORS), tracks.t_us)
    return [alert for alert in found if alert.state in ("raised", "closed")]


def second(alert: Alert) -> float:
    return (alert.t_us - T0_US) / S


@pytest.mark.parametrize("name", PATHS)
def test_drone_is_told_before_it_crosses_and_told_inside_within_seconds(name: str) -> None:
    way, speed_mps, agl_m, inside_s, tolerance_s = PATHS[name]
    flight = Flight(way, speed_mps, agl_m)
    crossing_s = flight.end_s - inside_s
    alerts = fly(flight, crossing_s - BEFORE_S, min(crossing_s + 2.0 * MINUTE_S, flight.end_s))
    assert [(alert.rule, alert.state) for alert in alerts] == [
        ("low-slow-near", "raised"),
        ("low-slow-near", "closed"),
        ("low-slow-inside", "raised"),
    ]
    assert second(alerts[0]) < crossing_s - MINUTE_S, "warned before it crossed"
    assert second(alerts[2]) - DWELL_S == pytest.approx(crossing_s, abs=tolerance_s)
    assert alerts[2].near_state == alerts[2].overflown


@pytest.mark.parametrize("name", THROUGH)
def test_object_that_crosses_a_corner_is_an_incursion_for_as_long_as_it_is_inside(name: str) -> None:
    way, speed_mps, agl_m, inside_s = THROUGH[name]
    flight = Flight(way, speed_mps, agl_m)
    raised = [alert for alert in fly(flight, 0.0, flight.end_s) if (alert.rule, alert.state) == ("incursion", "raised")]
    assert [(alert.near_state, alert.overflown) for alert in raised] == [("PL", "PL")]
    left_s = second(raised[0]) - DWELL_S + inside_s
    within, out = (zones().facts(flight.tracks(left_s + off)).distance_m[0] for off in (-TOLERANCE_S, TOLERANCE_S))
    assert within < 0.0 < out
