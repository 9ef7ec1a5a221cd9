"""The state beside the one overflown: against many drawn places, and at edges, gaps, corners and the sea."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
import shapely

from fusion import geo, zones
from fusion.borders.beside import Beside, beside
from fusion.borders.border import State
from fusion.schema import F8, take
from tests import shipped
from tests.overflight import east_of, level, sky, table, three, zigzag

STRAIGHT = (0.001, 5_000.0)
REACH_M = 3_600.0


def one(
    place: list[float],
    sigma_m: float = 60.0,
    course_deg: float = 90.0,
    cov: F8 | None = None,
    of: zones.Zones | None = None,
) -> tuple[str, str, Beside]:
    """(state overflown, state beside it, all of it) of one object at 50 m/s."""
    of = of or zigzag(*STRAIGHT)
    at_lat, at_lon = np.radians(place[:1]), np.radians(place[1:])
    axes = geo.enu_axes(at_lat, at_lon)
    course = math.radians(course_deg)
    velocity = 50.0 * (math.sin(course) * axes[:, 0] + math.cos(course) * axes[:, 1])
    state = np.hstack([geo.ecef(at_lat, at_lon, np.full(1, 400.0)), velocity])
    tracks = table(0.0, state, np.diag([sigma_m**2] * 3 + [4.0] * 3)[None] if cov is None else cov, 5)
    facts = of.facts(tracks)
    found = beside(of, tracks, facts, REACH_M)
    codes = (*of.codes, "")
    return codes[facts.state[0]], codes[found.other[0]], found


@pytest.mark.parametrize("border_km", [-2.0, -0.1, -0.03, 0.03, 0.1, 2.0])
def test_both_probabilities_are_those_of_many_drawn_places(border_km: float) -> None:
    own, other, found = one(east_of(border_km), sigma_m=80.0)
    assert (own, other) == (("OO", "AA") if border_km < 0 else ("AA", "OO"))
    rng = np.random.default_rng(3)
    away_m = abs(border_km) * 1e3 + rng.normal(0.0, 80.0, 100_000) + rng.normal(0.0, 25.0, 100_000)
    assert found.p_state[0] == pytest.approx(np.mean(away_m > 0.0), abs=0.01)
    assert found.p_other[0] == pytest.approx(1.0 - found.p_state[0], abs=1e-12)
    assert found.edge_m[0] == pytest.approx(abs(border_km) * 1e3, rel=0.01)


def test_what_counts_is_the_sigma_across_the_edge() -> None:
    lat, lon = east_of(-1.0)
    east, north, up = geo.enu_axes(np.radians([lat]), np.radians([lon]))[0]
    cov = np.diag([1.0] * 6)[None]
    cov[0, :3, :3] = 40.0**2 * np.outer(east, east) + 900.0**2 * np.outer(north, north) + 700.0**2 * np.outer(up, up)
    _, _, found = one([lat, lon], cov=cov)
    assert found.sigma_edge_m[0] == pytest.approx(math.hypot(40.0, 25.0), rel=0.02)


@pytest.mark.parametrize("border_km", [-1.0, -2e-5, 2e-5, 1.0])
@pytest.mark.parametrize("course_deg", [90.0, 270.0, 0.0])
def test_closing_is_the_speed_towards_the_edge_from_either_side(border_km: float, course_deg: float) -> None:
    own, other, found = one(east_of(border_km), course_deg=course_deg)
    towards = math.sin(math.radians(course_deg)) * (1.0 if own == "OO" else -1.0)
    assert found.closing_mps[0] == pytest.approx(50.0 * towards, abs=0.5)
    assert {own, other} == {"AA", "OO"}, "on the very edge too"


def test_far_from_any_edge_there_is_no_other() -> None:
    own, other, found = one([50.5, 19.0])
    assert (own, other) == ("OO", "OO")
    assert (found.p_state[0], found.p_other[0]) == (1.0, 0.0)
    assert found.edge_m[0] >= REACH_M


def test_the_sea_is_beside_a_coast_and_the_coast_beside_the_sea() -> None:
    own, other, found = one([51.49, 21.0], of=three())
    assert (own, other) == ("AA", "")
    assert found.p_other[0] == pytest.approx(0.0, abs=1e-6)
    assert one([51.501, 21.0], of=three())[:2] == ("", "AA")


def test_an_edge_within_what_is_claimed_twice_is_no_edge_of_the_first_claimant() -> None:
    """The ally has the strip: where the other's claim ends within it, nothing changes hands."""
    assert one([50.5, 20.045], of=three())[:2] == ("AA", "AA")
    assert one([50.5, 19.999], of=three())[:2] == ("CC", "AA")


def test_neighbours_drawn_apart_are_neighbours() -> None:
    drawn = [
        State("AA", "Aland", "ally", shapely.box(20.0, 50.0, 22.0, 51.0)),
        State("OO", "Otherland", "other", shapely.box(18.0, 50.0, 19.9997, 51.0)),  # 21 m apart
    ]
    apart = zones.build(drawn, level(100.0), level(30.0), 25.0)
    assert one(east_of(1.0), of=apart)[:2] == ("AA", "OO")
    assert one(east_of(-1.0), of=apart)[:2] == ("OO", "AA")


def test_a_row_does_not_depend_on_its_neighbours() -> None:
    (tracks,) = sky(200, 1, 20.0)
    whole = beside(shipped.zones(), tracks, shipped.zones().facts(tracks), REACH_M)
    assert len(np.unique(whole.other)) > 5
    for row in (0, 17, 199):
        mine = take(tracks, np.arange(200) == row)
        alone = beside(shipped.zones(), mine, shipped.zones().facts(mine), REACH_M)
        for f in fields(Beside):
            assert getattr(whole, f.name)[row].tobytes() == getattr(alone, f.name)[0].tobytes()


def test_no_tracks_and_broken_tracks_are_borne() -> None:
    (tracks,) = sky(3, 1)
    tracks.state[1] = np.nan
    found = beside(shipped.zones(), tracks, shipped.zones().facts(tracks), REACH_M)
    assert (found.other[1], found.p_state[1], found.edge_m[1]) == (-1, 0.0, 0.0)
    none = take(tracks, np.zeros(3, np.bool_))
    assert len(beside(shipped.zones(), none, shipped.zones().facts(none), REACH_M).other) == 0
