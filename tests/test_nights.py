"""A drawn night through the whole engine with the shipped rules, and the counting itself, tried on one drone.

`make soak` runs the campaigns (tests/soak/nights.py); here a short night in one theatre is a sample of them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from replay import night
from replay.motion import Agility, Waypoint, fly
from replay.plan import Plan, SimObject, Transponder
from replay.simulate import Scenario
from tests import nights, shipped
from tests.nights import Account, Told

SEED, BEFORE_S, LASTS_S = 3, 120.0, 280.0


@cache
def alone(speed_mps: float = 45.0, height_m: float = 150.0, **changed: object) -> Plan:
    """One drone that comes over the Lithuanian border from 6 km outside, a minute after the time before is over."""
    base = night.night("baltic", shipped.zones().at, 1, 700.0, mix=())
    ends = [(math.radians(lat), math.radians(lon)) for lat, lon in ((54.45, 25.75), (54.46, 25.40))]
    way = [Waypoint(*end, base.ground_m + height_m, speed_mps) for end in ends]
    drone = SimObject("gerbera", fly(way, 360.0, 700.0, Agility()), 1.0, kind="gerbera")
    return replace(base, objects=(replace(drone, **changed),))  # type: ignore[arg-type]


def judged(first_s: float, plan: Plan | None = None, **others: tuple[float, str]) -> Account:
    """The account when the drone is first alerted then, and others as said."""
    first = {"gerbera": first_s} if math.isfinite(first_s) else {}
    counted = {n: (t, "low-slow-near") for n, t in first.items()} | others
    return nights.account_of(plan or alone(), Told(first, counted, len(counted)))


def test_a_drone_is_a_positive_ten_seconds_after_it_is_seen_low_slow_and_near() -> None:
    (found,) = nights.met(alone()).values()
    assert found.from_s == pytest.approx(370.0, abs=2 * nights.STEP_S)
    assert 400.0 < found.crosses_s < 690.0
    assert found.foreseeable == (found.crosses_s > 360.0 + nights.WARNING_S + nights.SETTLED_S)


@pytest.mark.parametrize(
    "plan",
    [
        lambda: alone(speed_mps=95.0),
        lambda: alone(height_m=1_900.0),
        lambda: alone(transponder=Transponder(address=1)),
        lambda: alone(rcs_m2=1e-9),
    ],
    ids=["fast", "high", "speaking", "too small to be seen"],
)
def test_what_is_not_silent_slow_low_and_seen_is_no_positive(plan: object) -> None:
    assert callable(plan)
    assert nights.met(plan()) == {}


def test_a_hit_is_an_alert_within_twenty_seconds() -> None:
    (met,) = nights.met(alone()).values()
    assert judged(met.from_s + 20.0).hit == ("gerbera",)
    assert judged(met.from_s + 20.5).hit == ()
    assert judged(met.from_s + 20.5).late == (("gerbera", met.from_s, met.from_s + 20.5),)
    assert judged(met.from_s + 10.0).quick == ("gerbera",)
    assert judged(met.from_s + 10.5).quick == ()
    assert judged(math.inf).late == (("gerbera", met.from_s, math.inf),)


def test_a_warning_comes_a_minute_before_the_crossing() -> None:
    (met,) = nights.met(alone()).values()
    assert met.foreseeable
    assert judged(met.crosses_s - 60.0).warned == ("gerbera",)
    assert judged(met.crosses_s - 59.0).warned == ()


def test_every_other_alerted_object_is_false_and_so_is_a_track_on_nothing() -> None:
    others = {"geese-geese-1": (400.0, "low-slow-near"), "nothing:1:7": (410.0, "incursion")}
    found = judged(380.0, None, **others)
    assert found.false == (("geese-geese-1", "low-slow-near", 400.0), ("nothing:1:7", "incursion", 410.0))
    assert judged(380.0).false == ()


def test_a_drone_that_is_no_positive_is_neither_hit_nor_false() -> None:
    found = judged(500.0, alone(height_m=1_900.0))
    assert (found.positives, found.false, found.other) == ((), (), ("gerbera",))


def test_wilsons_interval() -> None:
    """The example of Newcombe 1998, table I: 81 of 263 is .2553 to .3662, 0 of 20 is 0 to .1611."""
    assert nights.interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert nights.interval(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_a_short_night_hits_its_drones_and_little_else() -> None:
    plan = night.night("baltic", shipped.zones().at, SEED, LASTS_S, before_s=BEFORE_S)
    found = nights.account_of(plan, nights.told(Scenario(plan), BEFORE_S), BEFORE_S)
    print(found.counts(), found.false, found.late)
    assert len(found.positives) >= 5
    assert len(found.hit) >= 0.8 * len(found.positives)
    harmless = sum(not np.isin(o.kind, ["shahed", "gerbera", "parodiya"]) for o in plan.objects)
    assert harmless > 80
    assert len(found.false) <= 6  # of the hundred; five when this was written
