"""Facts on invented squares against geographiclib and Monte Carlo, and on the shipped map at known places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely
from geographiclib.geodesic import Geodesic

from adapters.files import zonefiles
from fusion import geo, zones
from fusion.borders import border
from fusion.borders.border import State
from fusion.borders.terrain import Grid
from fusion.schema import Assessment, Tracks
from fusion.zones import ZoneFacts, ZoneParams, Zones
from tests import shipped

F8 = np.ndarray
CONFIG = Path(__file__).parent.parent / "config"
NOW_US = 1_753_660_800_000_000
WGS84 = Geodesic.WGS84


def level(height_m: float) -> Grid:
    return Grid(np.radians(45.0), np.radians(15.0), np.radians(0.5), np.full((31, 41), height_m, np.float32))


@cache
def square(accuracy_m: float = 1.0, other_west_deg: float = 19.0) -> Zones:
    """One ally from 20 to 22 E and 50 to 52 N, one other to the west of it, open sea elsewhere but ground at 100 m."""
    ally = State("AA", "Aland", "ally", shapely.box(20.0, 50.0, 22.0, 52.0))
    other = State("OO", "Otherland", "other", shapely.box(other_west_deg, 50.0, 20.0, 52.0))
    made = zones.build([other, ally], level(0.0), level(30.0), accuracy_m)
    return zones.assemble({"AA": ("Aland", "ally"), "OO": ("Otherland", "other")}, zones.outline(
        [ally, other], level(0.0), accuracy_m), level(100.0), level(30.0), accuracy_m, params=made.params)  # fmt: skip


def table(
    places: Sequence[tuple[float, float]],
    height_m: float = 500.0,
    speed_mps: float = 40.0,
    course_deg: float = 90.0,
    sigma_m: float = 50.0,
    sigma_mps: float = 1.0,
    height_us: int = NOW_US,
) -> Tracks:
    """Tracks at places (degrees), all moving alike."""
    n = len(places)
    lat, lon = np.radians(np.asarray(places, float).reshape(-1, 2)).T
    axes = geo.enu_axes(lat, lon)
    velocity = speed_mps * (
        math.sin(math.radians(course_deg)) * axes[:, 0] + math.cos(math.radians(course_deg)) * axes[:, 1]
    )
    state = np.hstack([geo.ecef(lat, lon, np.full(n, height_m)), velocity])
    cov = np.tile(np.diag([sigma_m**2] * 3 + [sigma_mps**2] * 3), (n, 1, 1))
    whole, none = np.full(n, NOW_US), np.full(n, -1, np.int32)
    return Tracks(
        0, NOW_US, np.arange(n), whole, whole, whole, whole, state,
        cov, np.full((n, 3), 1 / 3), np.ones(n), np.ones(n, np.int8), none, none, np.full(n, -1),
        np.full(n, -1, np.int8), np.zeros(n, "S8"),
        np.zeros(n, "S20"), np.full(n, -1), whole, np.full(n, height_us), np.full(n, np.nan),
        np.full(n, -1), np.ones(n, np.int32), np.zeros(n),
        np.zeros(n, np.uint64),
    )  # fmt: skip


def with_cov(tracks: Tracks, cov: F8) -> Tracks:
    values = {f.name: getattr(tracks, f.name) for f in fields(tracks)}
    return Tracks(**{**values, "cov": cov})


def test_the_fields_are_those_of_the_assessment() -> None:
    left_out = {"p_low", "p_slow", "cooperative", "contradicted", "doubt", "object_class", "p_class", "p_classes"}
    ours = [f.name for f in fields(ZoneFacts)]
    assert sorted(ours) == sorted({f.name for f in fields(Assessment)} - left_out)


def test_motion_comes_back_as_it_was_put_in() -> None:
    found = square().facts(table([(51.0, 19.5), (51.5, 23.0)], 700.0, 40.0, 300.0, 50.0, 1.5))
    np.testing.assert_allclose(np.degrees(found.lat_rad), [51.0, 51.5], atol=1e-11)
    np.testing.assert_allclose(np.degrees(found.lon_rad), [19.5, 23.0], atol=1e-11)
    np.testing.assert_allclose(found.height_m, 700.0, atol=1e-6)
    np.testing.assert_allclose(found.speed_mps, 40.0)
    np.testing.assert_allclose(np.degrees(found.course_rad), 300.0)
    np.testing.assert_allclose(found.climb_mps, 0.0, atol=1e-9)
    np.testing.assert_allclose(found.sigma_height_m, 50.0)
    np.testing.assert_allclose(found.sigma_horizontal_m, 50.0)
    np.testing.assert_allclose(found.sigma_speed_mps, 1.5)


def test_what_stands_has_no_course_and_no_crossing() -> None:
    found = square().facts(table([(51.0, 19.9)], speed_mps=0.0))
    assert found.speed_mps[0] == 0.0
    assert np.isnan(found.course_rad[0])
    assert np.isnan(found.time_to_border_s[0])
    assert found.sigma_speed_mps[0] == pytest.approx(1.0)


@pytest.mark.parametrize("lon", [19.2, 19.9, 19.999, 20.001, 20.3])
def test_distance_is_geographiclibs_with_the_sign_of_the_side(lon: float) -> None:
    found = square().facts(table([(51.0, lon)]))
    # The nearest point of a meridian lies on the geodesic that meets it at a right angle: search it.
    metres = min(WGS84.Inverse(51.0, lon, lat, 20.0)["s12"] for lat in np.arange(50.98, 51.02, 2e-5))
    assert abs(found.distance_m[0]) == pytest.approx(metres, abs=0.05)
    assert np.sign(found.distance_m[0]) == (1 if lon < 20.0 else -1)
    assert found.near_state[0] == 0
    assert found.state[0] == (1 if lon < 20.0 else 0)


def test_sigma_of_the_distance_is_the_sigma_across_the_border() -> None:
    tracks = table([(51.0, 19.9)])
    east, north, up = geo.enu_axes(np.radians([51.0]), np.radians([19.9]))[0]
    cov = tracks.cov.copy()
    cov[0, :3, :3] = 30.0**2 * np.outer(east, east) + 900.0**2 * np.outer(north, north) + 5.0**2 * np.outer(up, up)
    found = square().facts(with_cov(tracks, cov))
    assert found.sigma_distance_m[0] == pytest.approx(math.hypot(30.0, 1.0), rel=1e-3)
    assert found.sigma_horizontal_m[0] == pytest.approx(math.sqrt((30**2 + 900**2) / 2), rel=1e-6)


@pytest.mark.parametrize("metres", [-300.0, -100.0, 0.0, 50.0, 250.0])
def test_probability_inside_is_that_of_many_drawn_places(metres: float) -> None:
    at = WGS84.Direct(51.0, 20.0, 270.0, metres)
    found = square().facts(table([(at["lat2"], at["lon2"])], sigma_m=120.0))
    rng = np.random.default_rng(11)
    lon = at["lon2"] + np.degrees(rng.normal(0, 120.0, 40_000) / (6_388_000 * math.cos(math.radians(51.0))))
    assert found.p_inside[0] == pytest.approx(np.mean(lon > 20.0), abs=0.01)
    own = found.p_inside[0] if metres < 0 else 1 - found.p_inside[0]
    assert found.p_state[0] == pytest.approx(max(own, 0.5), abs=0.01)


def test_time_to_the_border_is_distance_over_speed_along_the_course() -> None:
    found = square().facts(table([(51.0, 19.8)], course_deg=70.0, speed_mps=42.0))
    seconds, here = found.time_to_border_s[0], WGS84.Direct(51.0, 19.8, 70.0, 42.0 * found.time_to_border_s[0])
    assert here["lon2"] == pytest.approx(20.0, abs=1e-6)
    assert np.degrees(found.crossing_lat_rad[0]) == pytest.approx(here["lat2"], abs=1e-6)
    assert np.degrees(found.crossing_lon_rad[0]) == pytest.approx(20.0, abs=1e-9)
    assert seconds > found.distance_m[0] / 42.0


@pytest.mark.parametrize("course_deg", [90.0, 60.0, 130.0, 30.0])
def test_sigma_of_the_time_is_that_of_many_flights(course_deg: float) -> None:
    tracks = table([(51.0, 19.9)], course_deg=course_deg, speed_mps=42.0, sigma_m=120.0, sigma_mps=2.0)
    found = square().facts(tracks)
    seconds = found.time_to_border_s[0]
    rng = np.random.default_rng(12)
    n = 20_000
    east = rng.normal(0, 120.0, n)
    v_east = 42.0 * math.sin(math.radians(course_deg)) + rng.normal(0, 2.0, n)
    # White acceleration of density q for t seconds moves an object by sqrt(q t^3 / 3).
    wander = rng.normal(0, math.sqrt(ZoneParams().drift_q * seconds**3 / 3), n)
    flights = (found.distance_m[0] - east - wander) / v_east
    flights = flights[(v_east > 0) & (flights < 1800)]
    assert found.sigma_time_s[0] == pytest.approx(np.std(flights), rel=0.15)


@pytest.mark.parametrize("lat, lon, course_deg, speed", [
    (51.0, 19.8, 270.0, 40.0),  # flies away
    (51.0, 20.2, 90.0, 40.0),  # inside
    (51.0, 20.2, 270.0, 40.0),  # leaves
    (51.0, 15.5, 90.0, 40.0),  # beyond the horizon
    (51.0, 19.9, 90.0, 0.5),  # hardly moves
])  # fmt: skip
def test_no_crossing_where_none_is_ahead(lat: float, lon: float, course_deg: float, speed: float) -> None:
    found = square().facts(table([(lat, lon)], course_deg=course_deg, speed_mps=speed))
    for value in (found.time_to_border_s, found.sigma_time_s, found.crossing_lat_rad, found.crossing_lon_rad):
        assert np.isnan(value[0])


def test_a_grazing_path_says_how_unsure_it_is() -> None:
    found = square().facts(table([(49.99, 21.5)], course_deg=85.0, speed_mps=40.0, sigma_m=300.0, sigma_mps=3.0))
    assert found.sigma_time_s[0] > 0.5 * found.time_to_border_s[0]


def test_height_above_ground_and_its_parts() -> None:
    found = square().facts(table([(51.0, 20.5)], height_m=280.0, sigma_m=50.0))
    assert found.agl_m[0] == pytest.approx(280.0 - 30.0 - 100.0, abs=1e-4)
    assert found.sigma_agl_m[0] == pytest.approx(math.sqrt(50**2 + 40**2 + 0.5**2), rel=1e-6)


def test_the_sea_floor_is_no_ground() -> None:
    ally = State("AA", "Aland", "ally", shapely.box(20.0, 50.0, 22.0, 52.0))
    found = zones.build([ally], level(-80.0), level(30.0), 1.0).facts(table([(51.0, 25.0)], height_m=180.0))
    assert found.agl_m[0] == pytest.approx(150.0, abs=1e-4)


def test_off_the_grids_height_is_not_known() -> None:
    found = square().facts(table([(40.0, 20.0)]))
    assert np.isnan(found.agl_m[0])
    assert np.isnan(found.sigma_agl_m[0])
    assert not found.height_known[0]


@pytest.mark.parametrize("height_us, sigma_m, known", [
    (NOW_US, 50.0, True),
    (NOW_US - 60_000_000, 50.0, True),
    (NOW_US - 60_000_001, 50.0, False),
    (-1, 50.0, False),
    (NOW_US, 290.0, True),
    (NOW_US, 310.0, False),
])  # fmt: skip
def test_height_is_known_when_measured_lately_and_well(height_us: int, sigma_m: float, known: bool) -> None:
    found = square().facts(table([(51.0, 20.5)], height_us=height_us, sigma_m=sigma_m))
    assert found.height_known.tolist() == [known]


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(13)
    places = np.column_stack([rng.uniform(49, 53, 60), rng.uniform(18, 24, 60)]).tolist()
    whole = square().facts(table(places))
    for row in (0, 17, 59):
        alone = square().facts(table(places[row : row + 1]))
        for f in fields(ZoneFacts):
            assert getattr(whole, f.name)[row].tobytes() == getattr(alone, f.name)[0].tobytes()


def test_no_tracks_and_broken_tracks_are_borne() -> None:
    assert len(square().facts(table([])).state) == 0
    tracks = table([(51.0, 20.5)] * 2)
    tracks.state[0] = np.nan
    found = square().facts(tracks)
    assert np.isnan(found.distance_m[0])
    assert (found.state[0], found.state[1]) == (-1, 0)


def test_without_a_border_there_is_no_distance() -> None:
    other = State("OO", "Otherland", "other", shapely.box(20.0, 50.0, 22.0, 52.0))
    found = zones.build([other], level(0.0), level(30.0), 1.0).facts(table([(51.0, 21.0)]))
    assert np.isnan(found.distance_m[0])
    assert (found.near_state[0], found.p_inside[0], found.state[0]) == (-1, 0.0, 0)


def test_a_gap_of_drawing_belongs_to_the_nearer_state() -> None:
    ally = State("AA", "Aland", "ally", shapely.box(20.0, 50.0, 22.0, 52.0))
    other = State("OO", "Otherland", "other", shapely.box(18.0, 50.0, 19.9997, 52.0))  # 21 m apart
    found = zones.build([ally, other], level(0.0), level(30.0), 50.0)
    assert [found.at(math.radians(51.0), math.radians(lon))[0] for lon in (19.99973, 19.99996)] == ["OO", "AA"]


@pytest.mark.parametrize("states, problem", [("AB", None), ("BA", "order"), ("AA", "one entry")])
def test_an_outline_wants_its_states_in_order(states: str, problem: str | None) -> None:
    made = [State(c * 2, c, "ally", shapely.box(20 + i, 50, 21 + i, 51)) for i, c in enumerate(states)]
    if problem is None:
        assert len(zones.outline(made, level(0.0), 1.0).order) == 2
        return
    with pytest.raises(ValueError, match=problem):
        zones.outline(made, level(0.0), 1.0)
    with pytest.raises(ValueError, match="accuracy"):
        zones.outline(sorted(made[:1], key=lambda s: s.code), level(0.0), 0.0)


PLACES = [  # on the shipped map: name, lat, lon, state, lowest and highest signed distance in km, nearest ally or ""
    ("Munich: far from any border, for Austria is a partner", 48.137, 11.575, "DE", -400, -250, ""),
    ("Flensburg: Denmark is not in the data, so that edge is no border", 54.780, 9.440, "DE", -80, -40, "DE"),
    ("Trieste: Italy is not in the data", 45.650, 13.770, "", 20, 80, "HR"),
    ("Kaliningrad: other, between two allies", 54.710, 20.510, "RU", 30, 40, "PL"),
    ("Sulina in the Danube delta", 45.160, 29.650, "RO", -6, -3, "RO"),
    ("Izmail, across the Danube", 45.350, 28.840, "UA", 0.5, 4, "RO"),
    ("Narva, on the river", 59.377, 28.190, "EE", -1.5, -0.2, "EE"),
    ("Ivangorod, across it", 59.376, 28.220, "RU", 0.2, 2, "EE"),
    ("Vilnius", 54.687, 25.280, "LT", -32, -26, "LT"),
    ("Minsk", 53.900, 27.560, "BY", 100, 140, "LT"),
    ("the open Baltic", 56.0, 18.5, "", 50, 110, ""),
    ("Vienna: partner, no border of ours around it", 48.2, 16.37, "AT", 200, 400, ""),
    ("Gdansk, a coast with its territorial sea", 54.35, 18.65, "PL", -70, -40, "PL"),
]


@pytest.mark.parametrize("what, lat, lon, code, low_km, high_km, near", PLACES, ids=[p[0] for p in PLACES])
def test_places_that_people_know(
    what: str, lat: float, lon: float, code: str, low_km: float, high_km: float, near: str
) -> None:
    found, metres = shipped.zones().at(math.radians(lat), math.radians(lon))
    assert found == code
    assert low_km <= metres / 1e3 <= high_km
    if near:
        facts = shipped.zones().facts(table([(lat, lon)]))
        assert shipped.zones().codes[facts.near_state[0]] == near


NEAREST = [(54.71, 20.51, "PL"), (53.9, 27.56, "LT"), (45.35, 28.84, "RO"), (59.376, 28.22, "EE"),
           (54.687, 25.28, "LT"), (45.0, 21.0, "RO"), (46.0, 19.3, "HU")]  # fmt: skip


@pytest.mark.parametrize("lat, lon, code", NEAREST)
def test_distance_is_geographiclibs_least_over_the_polygon_as_given(lat: float, lon: float, code: str) -> None:
    """The nearest state's own ring, dense, by another geodesic: good where no other ally's edge is nearer."""
    ring = shapely.get_coordinates(zonefiles._states([CONFIG / "zones" / "osm" / f"{code}.geojson"], 25.0)[0][0].shape)
    scale = np.array([math.cos(math.radians(lat)), 1.0])
    close = np.argsort(np.linalg.norm((ring - [lon, lat]) * scale, axis=1))[:12]
    least = math.inf
    for i in close:
        for a, b in ((ring[i - 1], ring[i]), (ring[i], ring[(i + 1) % len(ring)])):
            if np.linalg.norm(b - a) < 1.0:
                for t in np.linspace(0, 1, 200):
                    x, y = a + t * (b - a)
                    least = min(least, WGS84.Inverse(lat, lon, y, x)["s12"])
    assert abs(shipped.zones().at(math.radians(lat), math.radians(lon))[1]) == pytest.approx(least, abs=25.0)


@pytest.mark.parametrize("lat, lon, code", [(59.716, 26.692, "EE"), (45.888, 18.863, "HR"), (45.263, 19.245, "HR")])
def test_disputed_ground_counts_as_allied_and_says_so(lat: float, lon: float, code: str) -> None:
    found = shipped.zones().facts(table([(lat, lon)]))
    assert shipped.zones().codes[found.state[0]] == code
    assert found.disputed[0]
    assert found.distance_m[0] < 0


def test_undisputed_ground_is_not_disputed() -> None:
    assert not shipped.zones().facts(table([(54.687, 25.28), (48.137, 11.575), (53.9, 27.56)])).disputed.any()


def test_no_border_runs_through_allied_land() -> None:
    """Slivers between two allies, or towards a partner, must not raise alarms far inland."""
    inland = {
        "Zittau": (50.9, 14.8),
        "Teschen": (49.75, 18.63),
        "Komarno": (47.76, 18.12),
        "Rousse": (43.85, 25.95),
        "Valga": (57.78, 26.03),
        "Haparanda": (65.83, 24.14),
        "Freilassing": (47.84, 12.96),
        "Sopron": (47.68, 16.59),
    }
    for lat, lon in inland.values():
        assert shipped.zones().at(math.radians(lat), math.radians(lon))[1] < -40e3


FLIGHTS = [  # real incidents, estimated waypoints; seconds in each state as measured by others on the same polygons
    ("zagreb-tu141", 262.0, [(48.25, 24.30), (48.00, 23.40), (47.90, 22.92), (47.93, 22.70), (47.60, 21.40),
      (46.35, 17.02), (45.7844, 15.95)], [("UA", 277), ("RO", 164), ("HU", 1868), ("HR", 348)]),
    ("grindu", 48.0, [(45.75, 29.20), (45.42, 28.45), (45.375, 28.235)], [("UA", None), ("RO", 100)]),
    ("poland-missile", 222.0, [(50.50, 24.55), (50.435, 24.06), (50.430, 23.97), (50.425, 23.90), (50.385, 23.86)],
      [("UA", None), ("PL", 41), ("UA", None)]),
    ("rezekne", 48.0, [(52.12, 26.10), (53.60, 25.83), (54.50, 26.95), (55.55, 27.55), (56.74, 27.07)],
      [("BY", None), ("LV", 2250)]),
    ("lithuania-2025-07-28", 40.0, [(54.25, 26.10), (54.55, 25.72), (54.70, 25.33), (55.02, 24.45)],
      [("BY", None), ("LT", 2400)]),
]  # fmt: skip


@pytest.mark.parametrize("name, speed, way, expected", FLIGHTS, ids=[f[0] for f in FLIGHTS])
def test_flights_cross_states_in_order_and_time(
    name: str, speed: float, way: list[tuple[float, float]], expected: list[tuple[str, int | None]]
) -> None:
    seen: list[list[object]] = []
    for start, end in pairwise(way):
        line = WGS84.InverseLine(*start, *end)
        for second in range(int(line.s13 / speed)):
            at = line.Position(second * speed)
            code, _ = shipped.zones().at(math.radians(at["lat2"]), math.radians(at["lon2"]))
            if not seen or seen[-1][0] != code:
                seen.append([code, 0])
            seen[-1][1] += 1  # type: ignore[operator]
    assert [code for code, _ in seen] == [code for code, _ in expected]
    for (_, seconds), (_, wanted) in zip(seen, expected, strict=True):
        if wanted is not None:
            assert seconds == pytest.approx(wanted, abs=max(3.0, 0.02 * wanted))


def test_a_drone_on_the_path_of_vilnius_2025_is_outside_and_predicted_to_cross() -> None:
    course = (WGS84.Inverse(54.25, 26.10, 54.55, 25.72)["azi1"]) % 360
    found = shipped.zones().facts(table([(54.45, 25.848)], height_m=400.0, speed_mps=42.0, course_deg=course))
    assert shipped.zones().codes[found.state[0]] == "BY"
    assert shipped.zones().codes[found.near_state[0]] == "LT"
    crossing = WGS84.Direct(54.45, 25.848, course, 42.0 * found.time_to_border_s[0])
    assert abs(shipped.zones().at(math.radians(crossing["lat2"]), math.radians(crossing["lon2"]))[1]) < 30.0
    assert 0.0 < found.sigma_time_s[0] < 0.5 * found.time_to_border_s[0]


def test_every_facing_occurs_on_the_shipped_map() -> None:
    assert sorted(set(shipped.zones().facing.tolist())) == [border.OTHER, border.SEA, border.PARTNER, border.NO_DATA]
