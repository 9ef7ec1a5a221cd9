"""CAT015 beside independent decoders: random messages, what we wrote ourselves, and what reports become, by whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asterixitems import ANGLE_UNIT_RAD
from adapters.bridges.asterix import Ear
from adapters.bridges.common import Heard
from adapters.formats import cat015
from adapters.formats.cat015 import (
    FINE_UNIT,
    PLACE_UNIT_RAD,
    RANGE_UNIT_M,
    SIGMA_ANGLE_UNIT_RAD,
    SIGMA_PLACE_UNIT_M,
    Reports,
)
from fusion.schema import PlotKind, SensorKind, SensorSpec
from tests.asterixjudge import JUDGES, anything, judged, ours, part, quantity, theirs

RX_US = 1_774_000_000_000_000
DAY_US = 86_400_000_000
RADAR = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.95, 0.44, 100.0)
FINDER = SensorSpec("SOUND1", 0, SensorKind.BEARING, 0.95, 0.44, 100.0)
NEIGHBOUR = SensorSpec("PASSIVE", 0, SensorKind.TRACK)
RAD = np.pi / 180.0
NUMBERS = {  # field: item, parts, the other decoder's unit, that in ours
    "lat_rad": ("600", ("P84", "LATITUDE"), "°", RAD), "lon_rad": ("600", ("P84", "LONGITUDE"), "°", RAD),
    "sigma_x_m": ("600", ("HPP", "SDHPX"), "m", 1.0), "sigma_y_m": ("600", ("HPP", "SDHPY"), "m", 1.0),
    "height_m": ("601", ("GH",), "m", 1.0), "sigma_height_m": ("601", ("SDGH",), "m", 1.0),
    "velocity_x_mps": ("602", ("HV", "X"), "m/s", 1.0), "velocity_y_mps": ("602", ("HV", "Y"), "m/s", 1.0),
    "sigma_velocity_x_mps": ("602", ("SDHV", "X"), "m/s", 1.0),
    "sigma_velocity_y_mps": ("602", ("SDHV", "Y"), "m/s", 1.0),
    "climb_mps": ("604", ("VV",), "m/s", 1.0), "range_m": ("625", ("R",), "m", 1.0),
    "sigma_range_m": ("625", ("SDR",), "m", 1.0), "range_rate_mps": ("625", ("RR",), "m/s", 1.0),
    "azimuth_rad": ("627", ("AZ",), "°", RAD), "sigma_azimuth_rad": ("627", ("SDASZ",), "°", RAD),
    "elevation_rad": ("628", ("EL",), "°", RAD), "sigma_elevation_rad": ("628", ("SDEL",), "°", RAD),
}  # fmt: skip
WORDS = {
    "sac": ("010", ("SAC",)), "sic": ("010", ("SIC",)), "kind": ("000", ("MT",)), "arrangement": ("020", ("MOMU",)),
    "taxonomy": ("020", ("TTAX",)), "number": ("161", ()), "coasting": ("170", ("CSTP",)),
    "tentative": ("170", ("CNF",)),
}  # fmt: skip


def check(r: Reports, row: int, record: Any) -> None:
    """One report beside the other decoder's."""
    for field, (name, parts, unit, scale) in NUMBERS.items():
        item = record.get_item(name)
        there = item is not None and item.variation.get_item(parts[0]) is not None
        value = quantity(item, unit, *parts) * scale if there else np.nan
        assert getattr(r, field)[row] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), field
    for field, (name, parts) in WORDS.items():
        said = part(record.get_item(name), *parts)
        missing = 0 if field in ("sac", "sic") else -1
        assert getattr(r, field)[row] == (missing if said is None else said), field
    if record.get_item("145") is not None:
        assert r.day_us[row] / 1e6 == pytest.approx(quantity(record.get_item("145"), "s"), abs=1e-6)


def test_any_message_says_what_the_other_decoder_reads() -> None:
    assert sorted(name for name in cat015.LAYOUT.column if "/" not in name) == sorted(
        JUDGES[15].cv_record.cv_items_dict
    )
    data = anything(cat015.LAYOUT, 50, seed=8)
    assert ours(cat015.LAYOUT, data) == theirs(cat015.LAYOUT, data)
    found, faults = cat015.decode(data)
    assert not faults
    assert len(found) == 50
    for row, record in enumerate(judged(15, data)):
        check(found, row, record)


def random_reports(rng: np.random.Generator, n: int) -> Reports:
    """Reports in the units of CAT015."""

    def column(low: int, high: int) -> Any:
        return rng.integers(low, high, n, endpoint=True)

    def word(high: int, there: Any) -> Any:
        return np.where(there, column(0, high), -1).astype(np.int8)

    def measured(low: int, high: int, unit: float, there: Any = None) -> Any:
        there = rng.random(n) < 0.7 if there is None else there
        return np.where(there, column(low, high) * unit, np.nan)

    placed, spread, moving, unsteady, described, standing = (rng.random(n) < 0.7 for _ in range(6))
    long, short = (1 << 23) - 1, (1 << 19) - 1
    return Reports(
        sac=column(0, 255).astype(np.int32), sic=column(0, 255).astype(np.int32), kind=word(127, rng.random(n) < 0.9),
        arrangement=word(3, described), taxonomy=word(3, described), number=column(-1, 0xFFFF).astype(np.int32),
        coasting=word(1, standing), tentative=word(1, standing),
        day_us=np.where(rng.random(n) < 0.1, -1, column(0, 86_400 * 128 - 1) * 15_625 // 2),
        lat_rad=measured(-(1 << 30), 1 << 30, PLACE_UNIT_RAD, placed),
        lon_rad=measured(-(1 << 31), (1 << 31) - 1, PLACE_UNIT_RAD, placed),
        sigma_x_m=measured(0, 0xFFFF, SIGMA_PLACE_UNIT_M, spread),
        sigma_y_m=measured(0, 0xFFFF, SIGMA_PLACE_UNIT_M, spread),
        height_m=measured(-long, long, FINE_UNIT), sigma_height_m=measured(0, long, FINE_UNIT),
        velocity_x_mps=measured(-short, short, FINE_UNIT, moving),
        velocity_y_mps=measured(-short, short, FINE_UNIT, moving),
        sigma_velocity_x_mps=measured(0, 0xFFFF, FINE_UNIT, unsteady),
        sigma_velocity_y_mps=measured(0, 0xFFFF, FINE_UNIT, unsteady),
        climb_mps=measured(-long, long, FINE_UNIT), range_m=measured(-long, long, RANGE_UNIT_M),
        sigma_range_m=measured(0, long, RANGE_UNIT_M), range_rate_mps=measured(-long, long, RANGE_UNIT_M),
        azimuth_rad=measured(0, 0xFFFF, ANGLE_UNIT_RAD), sigma_azimuth_rad=measured(0, 0xFFFF, SIGMA_ANGLE_UNIT_RAD),
        elevation_rad=measured(-0x8000, 0x7FFF, ANGLE_UNIT_RAD / 2.0),
        sigma_elevation_rad=measured(0, 0xFFFF, SIGMA_ANGLE_UNIT_RAD),
    )  # fmt: skip


def same(one: Reports, other: Reports) -> None:
    """Equal to the last digit that a number has."""
    for name in Reports.__dataclass_fields__:
        own, back = getattr(one, name), getattr(other, name)
        equal = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert equal.all(), name


@settings(max_examples=10)
@given(st.integers(0, 1 << 32), st.integers(1, 40))
def test_what_is_written_reads_back_here_and_there(seed: int, n: int) -> None:
    reports = random_reports(np.random.default_rng(seed), n)
    octets = b"".join(cat015.encode(reports))
    again, faults = cat015.decode(octets)
    assert not faults
    same(reports, again)
    for row, record in enumerate(judged(15, octets)):
        check(reports, row, record)


def blank(n: int, **given: Any) -> Reports:
    """Good plots of a mono-static sensor with all that one can measure, with these columns instead."""
    columns: dict[str, Any] = {
        "sac": np.full(n, 25, np.int32), "sic": np.full(n, 60, np.int32), "kind": np.full(n, 3, np.int8),
        "arrangement": np.zeros(n, np.int8), "taxonomy": np.zeros(n, np.int8), "number": np.arange(n, dtype=np.int32),
        "coasting": np.zeros(n, np.int8), "tentative": np.zeros(n, np.int8),
        "day_us": np.full(n, RX_US % DAY_US - 500_000),
    }  # fmt: skip
    measured = {
        "lat_rad": 0.95, "lon_rad": 0.44, "sigma_x_m": 30.0, "sigma_y_m": 40.0, "height_m": 250.0,
        "sigma_height_m": 20.0,
        "velocity_x_mps": 30.0, "velocity_y_mps": -40.0, "sigma_velocity_x_mps": 3.0, "sigma_velocity_y_mps": 4.0,
        "climb_mps": 1.5, "range_m": 12_345.6, "sigma_range_m": 15.0, "range_rate_mps": -42.5,
        "azimuth_rad": np.radians(73.25), "sigma_azimuth_rad": np.radians(0.5), "elevation_rad": np.radians(-1.25),
        "sigma_elevation_rad": np.radians(1.0),
    }  # fmt: skip
    columns |= {name: np.full(n, value) for name, value in measured.items()}
    return Reports(**columns | {name: np.asarray(value, columns[name].dtype) for name, value in given.items()})


def test_a_radars_plots_are_polar_and_a_range_that_is_no_distance_is_not_taken() -> None:
    reports = blank(
        8, kind=[1, 3, 2, 4, 5, 3, 3, 3], arrangement=[0, 0, 0, 0, 0, 1, 3, -1],
    )  # fmt: skip
    decoded = cat015.plots(reports, RADAR, RX_US)
    assert decoded.rejected == {"track": 2, "ended": 1, "multi-static": 2, "missing-field": 1}
    batch = decoded.batch
    assert batch.kind is PlotKind.POLAR
    assert batch.t_us.tolist() == [RX_US - 500_000] * 2
    assert batch.range_m.tolist() == [12_345.6] * 2
    assert np.degrees(batch.azimuth_rad) == pytest.approx([73.25] * 2)
    assert np.degrees(batch.elevation_rad) == pytest.approx([-1.25] * 2)
    assert batch.doppler_mps.tolist() == [-42.5] * 2
    assert batch.sigma_range_m.tolist() == [15.0] * 2
    assert np.degrees(batch.sigma_azimuth_rad) == pytest.approx([0.5] * 2)


def test_what_is_no_target_or_was_not_measured_now_is_counted() -> None:
    reports = blank(
        7, taxonomy=[0, 1, 2, 3, 0, 0, 0], coasting=[0, 0, 0, 0, 1, 0, 0], tentative=[0, 0, 0, 0, 0, 1, 0],
        range_m=[100.0, 1.0, 1.0, 1.0, 1.0, 1.0, -5.0], sigma_range_m=[0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
    )  # fmt: skip
    decoded = cat015.plots(reports, RADAR, RX_US)
    assert decoded.rejected == {"test-target": 2, "simulated": 1, "coasting": 1, "tentative": 1, "out-of-range": 1}
    assert np.isnan(decoded.batch.sigma_range_m).all()  # nothing is no sigma: that of sensors.toml stands


def test_a_finders_reports_are_bearings_whatever_their_range() -> None:
    reports = blank(4, arrangement=[1, 0, 2, 0], azimuth_rad=[0.0, 1.0, 2.0, np.nan], kind=[1, 3, 4, 3])
    decoded = cat015.plots(reports, FINDER, RX_US)
    assert decoded.rejected == {"track": 1, "missing-field": 1}
    assert decoded.batch.kind is PlotKind.BEARING
    assert decoded.batch.azimuth_rad.tolist() == [0.0, 1.0]
    assert np.isnan(decoded.batch.range_m).all()
    assert np.degrees(decoded.batch.sigma_azimuth_rad) == pytest.approx([0.5] * 2)


def test_a_neighbours_reports_are_positions_its_tracks_too() -> None:
    reports = blank(
        3, kind=[4, 3, 4], arrangement=[1, 1, 1], lat_rad=[0.95, 0.95, np.nan], sigma_height_m=[0.01, 20.0, 20.0]
    )
    decoded = cat015.plots(reports, NEIGHBOUR, RX_US)
    assert decoded.rejected == {"missing-field": 1}
    batch = decoded.batch
    assert batch.kind is PlotKind.POSITION
    assert batch.sigma_position_m == pytest.approx([np.sqrt((900 + 1600) / 2)] * 2)
    assert batch.sigma_height_m == pytest.approx([0.1, 20.0])  # none is better than any that the engine takes
    assert batch.sigma_velocity_mps == pytest.approx([np.sqrt((9 + 16) / 2)] * 2)
    assert batch.velocity_north_mps.tolist() == [-40.0] * 2


def test_whose_reports_they_are_tells_what_they_become() -> None:
    ear = Ear({(25, 60): "R1"}, neighbours={(25, 62): "PASSIVE"}, finders={(25, 61): "SOUND1"})
    octets = b"".join(cat015.encode(blank(5, sic=[60, 61, 62, 63, 60])))
    heard = Heard()
    ear.hear([(RX_US, octets)], heard)
    found = {batch.sensor: (batch.kind, len(batch)) for batch in heard.batches}
    assert found == {
        "R1": (PlotKind.POLAR, 2), "SOUND1": (PlotKind.BEARING, 1), "PASSIVE": (PlotKind.POSITION, 1),
    }  # fmt: skip
    assert dict(heard.refused) == {"sensor-25/63": 1}
