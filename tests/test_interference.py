"""GNSS interference is an event of an area: many aircraft together, compared with their past and with elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fusion.claims.gnss import Interference
from fusion.claims.history import ClaimWatch
from fusion.claims.interference import WIDE_M, Aircraft, InterferenceWatch
from fusion.schema import US_PER_S, Plots
from tests import claimsky
from tests.claimsky import START_US, Sky


def seen(hit: int, of: int, elsewhere: int = 20, hit_elsewhere: int = 0, since_us: int = START_US) -> Aircraft:
    """Aircraft around the middle, and others 500 km away."""
    n = of + elsewhere
    luck = np.random.default_rng(1)
    east, north = luck.uniform(-40_000.0, 40_000.0, (2, n))
    lat, lon = claimsky.place(east + np.where(np.arange(n) < of, 0.0, 500_000.0), north)
    struck = np.r_[np.arange(of) < hit, np.arange(elsewhere) < hit_elsewhere]
    return Aircraft(np.arange(n), lat, lon, struck, np.full(n, since_us))


def states(found: list[Interference]) -> list[str]:
    return [event.state for event in found]


def test_many_aircraft_hit_together_are_an_event_with_area_time_and_count() -> None:
    made = InterferenceWatch()
    (event,) = made.look(seen(8, 10), START_US + 5 * US_PER_S)
    assert (event.state, event.hit, event.aircraft, event.since_us) == ("open", 8, 10, START_US)
    assert 20_000 < event.radius_m < 90_000
    assert abs(np.degrees(event.lat_rad) - claimsky.LAT_DEG) < 0.4
    assert made.within(*claimsky.place(np.array([0.0, 400_000.0]), np.zeros(2))).tolist() == [True, False]


def test_few_or_a_minority_or_as_many_elsewhere_are_none() -> None:
    assert not InterferenceWatch().look(seen(3, 4), START_US)
    assert not InterferenceWatch().look(seen(6, 30), START_US)
    assert not InterferenceWatch().look(seen(8, 10, 20, 3 * 5), START_US)


def test_one_after_the_other_over_an_hour_is_no_event() -> None:
    spread = replace(seen(8, 10), hit_us=START_US + np.arange(30) * 400 * US_PER_S)
    assert not InterferenceWatch().look(spread, START_US)


def test_an_event_keeps_its_number_and_ends_when_nobody_was_hit_for_a_minute() -> None:
    made = InterferenceWatch()
    for second in range(200):
        found = made.look(seen(8 if second < 100 else 0, 10), START_US + second * US_PER_S)
        assert states(found) == (["open"] if second < 160 else ["over"] if second == 160 else [])
        assert all(event.number == 1 for event in found)
    other = InterferenceWatch()
    other.restore(made.snapshot())
    assert other.look(seen(8, 10), START_US + 300 * US_PER_S)[0].number == 2


def jammed(sky: Sky, second: int, from_s: int) -> Plots:
    batch = sky.claims()
    struck = (batch.address % 4 != 0) & (second >= from_s)
    return replace(batch, nic=np.where(struck, 0, batch.nic), nacp=np.where(struck, 0, batch.nacp))


def test_lost_nic_and_nacp_widen_positions_and_brand_nobody() -> None:
    made = ClaimWatch((claimsky.receiver(),))
    sky = Sky(40, seed=7, spread_m=60_000.0, outages=0.0)
    old = sky.address[1]  # whose NIC was never good
    found: list[Interference] = []
    for second in range(110):
        sky.step()
        batch = jammed(sky, second, 80)
        batch = replace(batch, nic=np.where(batch.address == old, 0, batch.nic))
        (screened,) = made.hear([batch])
        found += made.report(screened.rx_us)
    assert found
    assert found[0].since_us >= START_US + 80 * US_PER_S
    assert found[0].t_us <= START_US + 90 * US_PER_S
    assert made.events == 1
    struck = (batch.address % 4 != 0) & (batch.address != old)
    assert (screened.sigma_position_m[struck] >= WIDE_M).all()
    assert np.array_equal(screened.sigma_position_m[~struck], batch.sigma_position_m[~struck])
