"""Real flights moved to a border: who speaks is never alerted; who is flown in is, and so is a Gerbera among them.

A sample of the campaign in tests/soak/nights.py. Needs the recordings; what they show is also shown on drawn nights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fusion import geo
from replay.simulate import Scenario
from tests import moved
from tests.nights import told

LASTS_S = 300.0


@pytest.fixture(scope="module")
def scene(data: Path) -> moved.Moved:
    return moved.scene(data, 0, LASTS_S, most=8)


def test_a_moved_flight_is_the_same_flight_elsewhere(data: Path) -> None:
    piece = moved.paragliders(data, LASTS_S)[0]
    lat, lon = moved.placed(piece, np.radians(54.5), np.radians(25.2))
    assert (lat[0], lon[0]) == pytest.approx((np.radians(54.5), np.radians(25.2)), abs=1e-12)
    here = np.linalg.norm(np.diff(geo.ecef(piece.lat_rad, piece.lon_rad, 0.0 * lat), axis=0), axis=1)
    there = np.linalg.norm(np.diff(geo.ecef(lat, lon, 0.0 * lat), axis=0), axis=1)
    assert there == pytest.approx(here, abs=0.2, rel=0.01)


def test_windows_are_whole_and_plausible(data: Path) -> None:
    for piece in (*moved.paragliders(data, LASTS_S), *moved.speaking(data, LASTS_S)):
        assert np.diff(piece.t_s).min() > 0.0
        assert np.diff(piece.t_s).max() <= moved.LONGEST_GAP_S
        assert moved.LEAST_S <= piece.t_s[-1] <= LASTS_S


def test_paragliders_that_stay_stay_and_those_flown_in_come_from_outside(scene: moved.Moved) -> None:
    flights = {o.id: o.flight for o in scene.plan.objects}
    assert len(scene.staying) >= 10
    for name in (*scene.staying, *scene.flown_in):
        lat, lon, _ = geo.geodetic(flights[name].xyz_m)
        out_m = moved._out_m(lat, lon)
        assert out_m.max() < 0.0 if name in scene.staying else out_m[0] > 0.0 > out_m[-1], name


def test_nobody_is_alerted_but_the_drone_and_who_is_flown_in(scene: moved.Moved) -> None:
    alerted = told(Scenario(scene.plan), 0.0).counted
    print(alerted)
    assert scene.drone in alerted
    assert [name for name in scene.flown_in if name not in alerted] == []
    assert [name for name in scene.speaking if name in alerted] == []
    assert [name for name in scene.staying if name in alerted] == []
