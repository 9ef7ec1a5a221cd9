"""Lines of JSON that tell a direction or a state: there and back, and what is wrong falls by its reason."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import bearing
from adapters.formats.bearing import Bearing, State
from adapters.wire import EARLIEST_US, LATEST_US
from fusion.schema import Invalid, PlotKind, SensorKind, SensorSpec

FINDER = SensorSpec("SOUND1", 0, SensorKind.BEARING, 0.95, 0.44, 100.0)
NOON_US = 1_795_435_200_000_000
DEG = math.pi / 180.0


def test_a_line_is_read_by_the_names_of_its_page() -> None:
    line = '{"time": "2026-11-23T14:00:00.250+02:00", "azimuth_deg": 73.2, "sigma_azimuth_deg": 4, "source": "mic-3"'
    said = bearing.decode_line(f'{line}, "loud_db": 61.5}}'.encode())
    assert isinstance(said, Bearing)
    assert said.t_us == NOON_US + 250_000
    assert (said.azimuth_rad, said.sigma_azimuth_rad) == pytest.approx((73.2 * DEG, 4.0 * DEG))
    assert math.isnan(said.elevation_rad)
    assert said.source == "mic-3"
    later = bearing.decode_line(b'{"time": 1795435200.5, "azimuth_deg": 0, "elevation_deg": -2}')
    assert isinstance(later, Bearing)
    assert later.t_us == NOON_US + 500_000
    assert later.elevation_rad == pytest.approx(-2.0 * DEG)
    assert bearing.decode_line(b'{"state": "degraded", "detail": "wind"}') == State("degraded", "wind")


angles = st.floats(0.0, 6.28)
maybe = st.one_of(st.just(math.nan), st.floats(1e-5, 1.5))
NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
SAID = st.builds(Bearing, st.integers(EARLIEST_US, LATEST_US - 1), angles, maybe, maybe, maybe, NAMES)
STATES = st.builds(State, st.sampled_from(["ok", "degraded", "off"]), NAMES, NAMES)


@given(st.one_of(SAID, STATES))
def test_what_is_written_reads_back(said: Bearing | State) -> None:
    line = bearing.encode_line(said)
    assert line.endswith(b"\n")
    assert json.loads(line)
    again = bearing.decode_line(line)
    if isinstance(said, State) or isinstance(again, State):
        assert again == said
        return
    assert (again.t_us, again.source) == (said.t_us, said.source)
    for name in ("azimuth_rad", "elevation_rad", "sigma_azimuth_rad", "sigma_elevation_rad"):
        assert getattr(again, name) == pytest.approx(getattr(said, name), rel=1e-12, nan_ok=True)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"nonsense", "malformed"), (b"[]", "malformed"), (b"{}", "missing-field"), (b"\xff", "not-utf8"),
        (b'{"azimuth_deg": 1}', "missing-field"), (b'{"time": 1795435200}', "missing-field"),
        (b'{"time": "noon", "azimuth_deg": 1}', "bad-time"), (b'{"time": 7, "azimuth_deg": 1}', "bad-time"),
        (b'{"time": "2026-11-23T14:00:00", "azimuth_deg": 1}', "bad-time"),
        (b'{"time": 1795435200, "azimuth_deg": 361}', "out-of-range"),
        (b'{"time": 1795435200, "azimuth_deg": -1}', "out-of-range"),
        (b'{"time": 1795435200, "azimuth_deg": "1"}', "malformed"), (b'{"state": "well"}', "out-of-range"),
        (b'{"time": 1795435200, "azimuth_deg": 1, "source": "' + b"x" * 65 + b'"}', "out-of-range"),
    ],
)  # fmt: skip
def test_what_is_wrong_falls_by_its_reason(line: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as fault:
        bearing.decode_line(line)
    assert fault.value.reason == reason


def test_bearings_are_one_batch_and_a_bad_sigma_costs_its_own_alone() -> None:
    good = Bearing(NOON_US, 1.0, sigma_azimuth_rad=0.05)
    made = bearing.plots([good, Bearing(NOON_US, 2.0), Bearing(NOON_US, 1.0, elevation_rad=2.0)], FINDER, NOON_US + 1)
    assert made.rejected == {"out-of-range": 1}
    assert made.batch.kind is PlotKind.BEARING
    assert made.batch.azimuth_rad.tolist() == [1.0, 2.0]
    assert made.batch.sigma_azimuth_rad[0] == 0.05
    assert np.isnan(made.batch.sigma_azimuth_rad[1])
