"""A neighbour's track as a sensor: what we publish of a track reads back as a position, and only that gets in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.decode import PLOT_FORMATS, Door
from adapters.formats import track
from fusion import geo
from fusion.schema import Assessment, Frame, Picture, PlotKind, Plots, SensorKind, SensorSpec, Tracks
from tests import shipped
from tests.samples import RADAR, reason
from tests.scene import NAMES, T_US, table

NEIGHBOUR = SensorSpec("LV", 0, SensorKind.TRACK, period_s=1.0)
SAID: dict[str, Any] = {
    "schema": track.SCHEMA,
    "site": "lv-south",
    "seq": 4711,
    "time": "2026-11-23T06:15:00.123Z",
    "id": "5:17",
    "status": "confirmed",
    "cooperative": False,
    "height_known": True,
    "sensors": ["R1"],
    "plots_count": 14,
    "lat_deg": 54.5431,
    "lon_deg": 25.7298,
    "height_m": 371.0,
    "sigma_height_m": 55.0,
    "sigma_horizontal_m": 64.0,
    "speed_mps": 40.0,
    "course_deg": 300.0,
    "climb_mps": 0.2,
    "sigma_speed_mps": 2.4,
    "address": "503c01",
    "mode3a": "7700",
    "callsign": "LTV01",
    "serial": "1596F3",
    "category": 13,
}


def said(**changed: Any) -> bytes:
    """The message with some fields changed; `...` takes one out."""
    return json.dumps({k: v for k, v in {**SAID, **changed}.items() if v is not ...}).encode()


def read(payload: bytes) -> Plots:
    """The one plot of a message that stands."""
    decoded = track.decode(payload, NEIGHBOUR, 77)
    assert decoded.rejected == {}
    assert len(decoded.batch) == 1
    return decoded.batch


def test_a_neighbours_track_is_a_position_in_si() -> None:
    batch = read(said())
    assert (batch.sensor, batch.kind, batch.rx_us) == ("LV", PlotKind.POSITION, 77)
    assert batch.t_us.tolist() == [T_US]
    assert batch.lat_rad[0] == np.radians(54.5431)
    assert batch.lon_rad[0] == np.radians(25.7298)
    assert (batch.sigma_position_m[0], batch.height_m[0], batch.sigma_height_m[0]) == (64.0, 371.0, 55.0)
    assert batch.velocity_east_mps[0] == pytest.approx(-40.0 * np.sqrt(3) / 2)  # 300 degrees: north-west by west
    assert batch.velocity_north_mps[0] == pytest.approx(20.0)
    assert (batch.velocity_up_mps[0], batch.sigma_velocity_mps[0]) == (0.2, 2.4)
    assert (batch.address[0], batch.mode3a[0], batch.category[0]) == (0x503C01, 0o7700, 13)
    assert (batch.callsign[0], batch.serial[0]) == (b"LTV01", b"1596F3")


def test_what_the_neighbour_does_not_know_is_not_measured() -> None:
    names = ("height_m", "sigma_height_m", "sigma_horizontal_m", "climb_mps", "sigma_speed_mps", "course_deg")
    words = ("address", "mode3a", "callsign", "serial", "category")
    batch = read(said(**dict.fromkeys((*names, *words), ...)))
    unknown = ("height_m", "sigma_height_m", "sigma_position_m", "velocity_east_mps", "velocity_north_mps")
    for name in (*unknown, "velocity_up_mps", "sigma_velocity_mps", "pressure_height_m"):
        assert np.isnan(getattr(batch, name)).all(), name
    assert (batch.address[0], batch.mode3a[0], batch.category[0]) == (-1, -1, -1)
    assert (batch.callsign[0], batch.serial[0]) == (b"", b"")


def test_a_sigma_that_was_rounded_to_nothing_is_not_taken_for_certainty() -> None:
    batch = read(said(sigma_horizontal_m=0.0, sigma_height_m=0, sigma_speed_mps=0.0))
    assert (batch.sigma_position_m[0], batch.sigma_height_m[0], batch.sigma_velocity_mps[0]) == (0.1, 0.1, 0.1)


def test_a_message_is_numbered_only_by_boot_and_seq_together() -> None:
    assert (read(said()).boot, read(said()).seq) == (-1, -1)
    assert (read(said(boot=3, seq=...)).boot, read(said(boot=3, seq=...)).seq) == (-1, -1)
    assert (read(said(boot=3)).boot, read(said(boot=3)).seq) == (3, 4711)


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"schema": "vedette.plots.v1"}, "wrong-schema"),
        ({"schema": ...}, "wrong-schema"),
        ({"time": ...}, "missing-field"),
        ({"lat_deg": ...}, "missing-field"),
        ({"lon_deg": ...}, "missing-field"),
        ({"time": "2026-11-23T06:15:00"}, "bad-time"),
        ({"time": "yesterday"}, "bad-time"),
        ({"lat_deg": "54"}, "malformed"),
        ({"lat_deg": None}, "malformed"),
        ({"height_m": None}, "malformed"),
        ({"speed_mps": -1.0}, "out-of-range"),
        ({"course_deg": 361.0}, "out-of-range"),
        ({"sigma_horizontal_m": -1.0}, "out-of-range"),
        ({"mode3a": "7800"}, "out-of-range"),
        ({"address": "~503c0"}, "out-of-range"),
        ({"category": 25}, "out-of-range"),
        ({"callsign": "K\u00d6LN"}, "out-of-range"),
        ({"lat_deg": float("nan")}, "not-finite"),
    ],
)
def test_a_fault_of_the_message_refuses_it(changed: dict[str, Any], expected: str) -> None:
    assert reason(track.decode, said(**changed), NEIGHBOUR, 5) == expected


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({"lat_deg": 90.1}, "out-of-range"),
        ({"lon_deg": -181.0}, "out-of-range"),
        ({"speed_mps": 5_000.0}, "out-of-range"),
        ({"height_m": 1e9}, "out-of-range"),
        ({"time": "1999-12-31T23:59:59Z"}, "bad-time"),
    ],
)
def test_an_impossible_state_is_a_rejected_plot(changed: dict[str, Any], expected: str) -> None:
    decoded = track.decode(said(**changed), NEIGHBOUR, 5)
    assert (len(decoded.batch), decoded.rejected) == (0, {expected: 1})


def test_bytes_that_are_no_track_are_refused_by_their_reason() -> None:
    assert reason(track.decode, b"[]", NEIGHBOUR, 5) == "malformed"
    assert reason(track.decode, b" ", NEIGHBOUR, 5) == "malformed"
    assert reason(track.decode, b"\xff", NEIGHBOUR, 5) == "not-utf8"
    assert reason(track.decode, b"x" * 70_000, NEIGHBOUR, 5) == "oversized"
    assert reason(track.decode, said(height_m=1.0).replace(b"1.0", b"1e999"), NEIGHBOUR, 5) == "not-finite"
    assert reason(track.decode, said(), RADAR, 5) == "wrong-sensor-kind"
    assert reason(track.decode, b"", RADAR, 5) == "wrong-sensor-kind"


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[Tracks, Assessment]:
    """One track anywhere on earth, at any speed that a track of ours can have."""
    tracks, assessment = table(1, draw(st.integers(0, 50)))
    drawn = {
        "lat_rad": numbers(-np.pi / 2, np.pi / 2),
        "lon_rad": numbers(-np.pi, np.pi),
        "height_m": numbers(-400.0, 30_000.0),
        "sigma_height_m": numbers(0.0, 5_000.0),
        "sigma_horizontal_m": numbers(0.0, 20_000.0),
        "speed_mps": numbers(0.0, 700.0),
        "sigma_speed_mps": numbers(0.0, 100.0),
        "course_rad": numbers(0.0, 2 * np.pi),
        "climb_mps": numbers(-200.0, 200.0),
    }
    changed: dict[str, Any] = {name: np.array([draw(numbers_)]) for name, numbers_ in drawn.items()}
    changed["height_known"] = np.array([draw(st.booleans())])
    words: dict[str, Any] = {
        "address": np.array([draw(st.integers(-1, 0xFFFFFF))], np.int32),
        "mode3a": np.array([draw(st.integers(-1, 0o7777))], np.int32),
        "category": np.array([draw(st.integers(-1, 24))], np.int8),
        "callsign": np.array([draw(st.text("ABCXYZ019", max_size=8))], "S8"),
        "serial": np.array([draw(st.text("ABCXYZ019", max_size=20))], "S20"),
    }
    t_us = T_US + draw(st.integers(-5 * 10**14, 5 * 10**14))
    return replace(tracks, t_us=t_us, **words), replace(assessment, **changed)


@settings(max_examples=200)
@given(pictures())
def test_a_track_of_ours_reads_back_as_the_same_place_and_velocity(shown: tuple[Tracks, Assessment]) -> None:
    tracks, a = shown
    batch = read(track.encode(tracks, a, 0, NAMES, 3))
    assert 0 <= tracks.t_us - int(batch.t_us[0]) < 1_000  # times are cut to milliseconds
    known = bool(a.height_known[0])
    height = batch.height_m if known else a.height_m
    sent, got = geo.ecef(a.lat_rad, a.lon_rad, a.height_m), geo.ecef(batch.lat_rad, batch.lon_rad, height)
    assert np.linalg.norm(got - sent) < 1.0
    assert np.isnan(batch.height_m[0]) == (not known)
    velocity = (batch.velocity_east_mps, batch.velocity_north_mps, batch.velocity_up_mps)
    east, north = a.speed_mps * np.sin(a.course_rad), a.speed_mps * np.cos(a.course_rad)
    errors = np.array(velocity)[:, 0] - np.array((east, north, a.climb_mps))[:, 0]
    assert np.linalg.norm(errors[:2]) < 0.1
    assert abs(errors[2]) < 0.1 if known else np.isnan(errors[2])
    sigmas = (("sigma_position_m", a.sigma_horizontal_m), ("sigma_velocity_mps", a.sigma_speed_mps))
    for name, sigma in sigmas:
        assert getattr(batch, name)[0] == pytest.approx(max(sigma[0], 0.1), abs=0.051)
    for name in ("address", "mode3a", "category", "callsign", "serial"):
        assert getattr(batch, name).tolist() == getattr(tracks, name).tolist(), name


def frames(count: int) -> list[Frame]:
    """A neighbour's track of a drone as it flies west, once a second."""
    made = []
    for i in range(count):
        lon_deg = 26.3 - 0.00062 * i  # 40 m/s
        at_us = T_US + i * 1_000_000
        time = str(np.datetime64(at_us // 1000, "ms")) + "Z"
        payload = said(time=time, lat_deg=54.25, lon_deg=lon_deg, course_deg=270.0, seq=i, address=..., mode3a=...)
        made.append(Frame(i, at_us + 200_000, "in/LV/plots", payload))
    return made


def test_what_comes_in_is_one_more_sensor() -> None:
    refused: list[str] = []
    engine = shipped.engine((NEIGHBOUR,))
    door = Door(engine, {"LV": "track"}, lambda _frame, why, _detail: refused.append(why))
    assert PLOT_FORMATS["track"] is track.decode
    shown = None
    for frame in frames(30):
        door.enter(frame)
        events = engine.tick(frame.rx_us + 50_000)
        shown = next((event for event in events if isinstance(event, Picture) and len(event.tracks)), shown)
    assert refused == []
    assert engine.counters.used == 30
    assert shown is not None
    assert len(shown.tracks) == 1
    assert np.degrees(shown.assessment.lat_rad[0]) == pytest.approx(54.25, abs=1e-3)
    assert shown.assessment.speed_mps[0] == pytest.approx(40.0, abs=3.0)
    before = (engine.counters.received, engine.counters.used)
    door.enter(Frame(99, T_US + 31_000_000, "in/LV/plots", b""))
    assert (engine.counters.received, engine.counters.used) == (before[0] + 1, before[1] + 1)
    door.enter(Frame(100, T_US + 31_000_000, "in/LV/plots", b"{}"))
    assert refused == ["wrong-schema"]
    engine.tick(T_US + 31_100_000)
    assert engine.counters.balance() == 0


def test_an_empty_message_of_any_other_format_stays_a_fault() -> None:
    for name, decode in PLOT_FORMATS.items():
        if name != "track":
            spec = replace(NEIGHBOUR, kind=SensorKind.ADSB)
            assert reason(decode, b"", spec, 5) == "malformed"
