"""A drawn night: the same from the same seed, everything where it is said to begin, and pilots on their own side."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from fusion import geo
from replay import night
from replay.plan import Plan, SimObject
from replay.scenario import BadScenario
from tests import shipped

BEFORE_S, LASTS_S = 300.0, 900.0


@cache
def drawn(seed: int = 5) -> Plan:
    return night.night("baltic", shipped.zones().at, seed, LASTS_S, before_s=BEFORE_S)


def out_m(thing: SimObject, every: int = 1) -> np.ndarray:
    """Distance to the border at its knots."""
    lat, lon, _ = geo.geodetic(thing.flight.xyz_m[::every])
    return np.array([shipped.zones().at(*place)[1] for place in zip(lat.tolist(), lon.tolist(), strict=True)])


def flock(name: str) -> night.Flock:
    return next(f for f in night.MIXED if f.name == name)


def members(plan: Plan, name: str) -> list[SimObject]:
    return [o for o in plan.objects if o.id.startswith(f"{name}-{flock(name).kind}-")]


def test_a_seed_is_a_night_and_another_seed_another() -> None:
    again = night.night("baltic", shipped.zones().at, 5, LASTS_S, before_s=BEFORE_S)
    assert [o.id for o in again.objects] == [o.id for o in drawn().objects]
    assert all((a.flight.xyz_m == b.flight.xyz_m).all() for a, b in zip(again.objects, drawn().objects, strict=True))
    other = night.night("baltic", shipped.zones().at, 6, LASTS_S)
    assert any(
        not np.array_equal(a.flight.xyz_m, b.flight.xyz_m) for a, b in zip(other.objects, drawn().objects, strict=False)
    )


def test_everything_is_there_that_is_asked_for() -> None:
    plan = drawn()
    assert len({o.id for o in plan.objects}) == len(plan.objects)
    for wanted in night.MIXED:
        assert wanted.count[0] <= len(members(plan, wanted.name)) <= wanted.count[1], wanted.name
    said = [o.transponder.address for o in plan.objects if o.transponder is not None and o.transponder.address >= 0]
    assert max(Counter(said).values()) == 1


def test_objects_begin_as_far_from_the_border_as_their_flock() -> None:
    for wanted in night.MIXED:
        lead = members(drawn(), wanted.name)[0]
        assert wanted.out_m[0] - 100.0 <= out_m(lead)[0] <= wanted.out_m[1] + 100.0, wanted.name


def test_what_comes_comes_after_the_time_before_and_the_rest_is_there() -> None:
    for wanted in night.MIXED:
        first_s = min(o.flight.t_s[0] for o in members(drawn(), wanted.name))
        assert first_s >= BEFORE_S if wanted.when[0] >= 0.0 else first_s == 0.0, wanted.name


def test_drones_sent_over_the_border_head_for_it() -> None:
    for thing in members(drawn(), "group"):
        away = out_m(thing, 10)
        assert away[min(12, len(away) - 1)] < away[0] - 2_000.0


def test_pilots_stay_on_their_side_and_birds_do_not_know_it() -> None:
    for wanted in night.MIXED:
        if wanted.stays:
            for thing in members(drawn(), wanted.name):
                away = out_m(thing, 5)
                assert (away > 0.0).all() or (away < 0.0).all(), thing.id


def test_a_receiver_and_an_interrogator_stand_at_every_radar() -> None:
    sensors = drawn().sensors
    places = {(s.spec.lat_rad, s.spec.lon_rad) for s in sensors if s.spec.id.startswith("A-")}
    assert places == {(s.spec.lat_rad, s.spec.lon_rad) for s in sensors if s.primary and not s.spec.id.startswith("A")}
    assert all(s.secondary and s.mode_s for s in sensors if s.spec.id.startswith("R"))
    assert [s.spec.index for s in sensors] == list(range(len(sensors)))


def test_five_hundred_civil_flights_without_a_drone() -> None:
    assert sum(f.count[0] for f in night.CIVIL) == sum(f.count[1] for f in night.CIVIL) == 500
    assert not {f.kind for f in night.CIVIL} & {"shahed", "gerbera", "parodiya", "quadcopter", "orlan-10", "lancet"}


def test_an_unknown_theatre_and_a_place_that_is_not_there_are_refused() -> None:
    with pytest.raises(BadScenario, match="atlantis"):
        night.night("atlantis", shipped.zones().at, 1)
    nowhere = (night.Flock("x", "geese", (1, 1), (9e6, 9.1e6)),)
    with pytest.raises(ValueError, match="no place"):
        night.night("baltic", shipped.zones().at, 1, mix=nowhere)
