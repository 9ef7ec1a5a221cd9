"""OpenSky's answers: values by their place in the list, what is null, what was told before, and back again."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from adapters.formats import opensky
from fusion.schema import Invalid, PlotKind, SensorKind, SensorSpec, plots

SPEC = SensorSpec("O1", 0, SensorKind.ADSB, period_s=10.0)
NOW_S = 1_795_000_500


def state(**changed: Any) -> list[Any]:
    """An aircraft of which all is known."""
    known = {
        "icao24": "4ca2d6", "callsign": "RYR1427 ", "country": "Ireland", "time_position": NOW_S - 2, "contact": NOW_S,
        "lon": 25.25, "lat": 54.5, "baro_altitude": 9_000.0, "on_ground": False, "velocity": 120.5, "track": 90.0,
        "climb": -3.2, "sensors": None, "geo_altitude": 9_100.0, "squawk": "7000", "spi": False, "source": 0,
        "category": 14,
    }  # fmt: skip
    return list((known | changed).values())


def answer(*states: list[Any]) -> bytes:
    return json.dumps({"time": NOW_S, "states": states}).encode()


def test_a_state_is_a_plot() -> None:
    batch = opensky.decode(answer(state()), SPEC, 5).batch
    assert np.degrees([batch.lat_rad[0], batch.lon_rad[0]]) == pytest.approx([54.5, 25.25])
    assert (batch.height_m[0], batch.pressure_height_m[0], batch.velocity_up_mps[0]) == (9_100.0, 9_000.0, -3.2)
    assert batch.velocity_east_mps[0] == pytest.approx(120.5)
    assert (batch.address[0], batch.mode3a[0], batch.callsign[0]) == (0x4CA2D6, 0o7000, b"RYR1427")
    assert (batch.category[0], batch.on_ground[0], batch.t_us[0]) == (13, 0, (NOW_S - 2) * 1_000_000)


def test_what_is_null_or_strange_is_not_measured_and_what_is_old_is_no_new_plot() -> None:
    nothing = dict.fromkeys(("callsign", "baro_altitude", "velocity", "track", "climb", "geo_altitude", "squawk"))
    decoded = opensky.decode(
        answer(
            state(**nothing, icao24="~1", category=99), state()[:12], state(lat=None), state(time_position=None),
            state(time_position=NOW_S - 10), state(lat=91.0), state(on_ground=None),
        ),
        SPEC,
        5,
    )  # fmt: skip
    batch = decoded.batch
    assert len(batch) == 2  # an older version of the interface has no category
    assert (batch.address[0], batch.mode3a[0], batch.category[0], batch.callsign[0]) == (-1, -1, -1, b"")
    assert np.isnan([batch.height_m[0], batch.pressure_height_m[0], batch.velocity_east_mps[0]]).all()
    assert decoded.rejected == {"out-of-range": 1, "malformed": 1}


def test_a_batch_reads_back() -> None:
    n, luck = 50, np.random.default_rng(7)
    sent = plots(
        "O1", PlotKind.POSITION, 5, (NOW_S - luck.integers(0, 9, n)) * 1_000_000,
        lat_rad=luck.uniform(-1.5, 1.5, n), lon_rad=luck.uniform(-3.1, 3.1, n), height_m=luck.uniform(0, 9e3, n),
        pressure_height_m=luck.uniform(0, 9e3, n), velocity_east_mps=luck.uniform(-200, 200, n),
        velocity_north_mps=luck.uniform(-200, 200, n), velocity_up_mps=luck.uniform(-20, 20, n),
        address=luck.integers(0, 1 << 24, n), mode3a=luck.integers(-1, 4096, n), on_ground=luck.integers(0, 2, n),
        category=luck.choice([-1, 1, 5, 13, 24], n), callsign=luck.choice(np.array([b"", b"LOT12"], "S8"), n),
    )  # fmt: skip
    got = opensky.decode(opensky.encode(sent), SPEC, 5).batch
    for name in ("t_us", "address", "mode3a", "on_ground", "category", "callsign"):
        assert getattr(got, name).tolist() == getattr(sent, name).tolist(), name
    for name in ("height_m", "pressure_height_m", "velocity_east_mps", "velocity_north_mps", "velocity_up_mps"):
        np.testing.assert_allclose(getattr(got, name), getattr(sent, name), rtol=0, atol=0.02, err_msg=name)
    np.testing.assert_allclose(got.lat_rad, sent.lat_rad, rtol=0, atol=2e-9)
    with pytest.raises(ValueError, match="positions"):
        opensky.encode(plots("O1", PlotKind.POSITION, 5, np.empty(0, np.int64)))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"time": NaN, "states": []}', "not-finite"), (b"\xff", "not-utf8"), (b"[1]", "malformed"),
        (b'{"states": []}', "missing-field"), (b'{"time": 1, "states": []}', "bad-time"), (b" " * 70_000, "oversized"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused_by_its_reason(payload: bytes, reason: str) -> None:
    with pytest.raises(Invalid) as fault:
        opensky.decode(payload, SPEC, 5)
    assert fault.value.reason == reason


def test_nobody_in_the_sky_is_an_answer() -> None:
    assert len(opensky.decode(b'{"time": 1795000500, "states": null}', SPEC, 5).batch) == 0
