"""CAT205 beside two independent decoders: random messages, what we wrote ourselves, and bearings of whom they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bridges.asterix import Ear
from adapters.bridges.common import Heard
from adapters.formats import cat205
from adapters.formats.cat205 import ANGLE_UNIT_RAD, PLACE_UNIT_RAD, Bearings
from fusion.schema import PlotKind, SensorKind, SensorSpec
from tests.asterixjudge import JUDGES, anything, judged, ours, part, quantity, theirs
from tests.asterixpeer import Peer

RX_US = 1_774_000_000_000_000
DAY_US = 86_400_000_000
FINDER = SensorSpec("RDF1", 0, SensorKind.BEARING, 0.95, 0.44, 100.0)
NUMBERS = {
    "lat_rad": ("050", ("LAT",)), "lon_rad": ("050", ("LON",)), "bearing_rad": ("070", ()),
    "elevation_rad": ("200", ()),
}  # fmt: skip
WORDS = {"kind": "000", "finder": "170", "quality": "190"}


def check(r: Bearings, row: int, record: Any) -> None:
    """One report beside the other decoder's."""
    for field, (name, parts) in NUMBERS.items():
        item = record.get_item(name)
        value = np.nan if item is None else np.radians(quantity(item, "°", *parts))
        assert getattr(r, field)[row] == pytest.approx(value, abs=1e-9, nan_ok=True), field
    for field, name in WORDS.items():
        said = part(record.get_item(name))
        expected = -1 if said is None else said
        assert getattr(r, field)[row] == (np.int8(expected - 256) if field == "kind" and expected > 127 else expected)
    if record.get_item("030") is not None:
        assert r.day_us[row] / 1e6 == pytest.approx(quantity(record.get_item("030"), "s"), abs=1e-6)


def test_any_message_says_what_the_other_decoder_reads() -> None:
    assert sorted(cat205.LAYOUT.column) == sorted(JUDGES[205].cv_record.cv_items_dict)
    data = anything(cat205.LAYOUT, 50, seed=8)
    assert ours(cat205.LAYOUT, data) == theirs(cat205.LAYOUT, data)
    found, faults = cat205.decode(data)
    assert not faults
    for row, record in enumerate(judged(205, data)):
        check(found, row, record)


def random_reports(rng: np.random.Generator, n: int) -> Bearings:
    """Reports in the units of CAT205."""

    def column(low: int, high: int) -> Any:
        return rng.integers(low, high, n, endpoint=True)

    def measured(low: int, high: int, unit: float, there: Any) -> Any:
        return np.where(there, column(low, high) * unit, np.nan)

    placed, pointing, raised = (rng.random(n) < 0.7 for _ in range(3))
    return Bearings(
        sac=column(0, 255).astype(np.int32), sic=column(0, 255).astype(np.int32), kind=column(1, 5).astype(np.int8),
        day_us=np.where(rng.random(n) < 0.1, -1, column(0, 86_400 * 128 - 1) * 15_625 // 2),
        lat_rad=measured(-(1 << 24), 1 << 24, PLACE_UNIT_RAD, placed),
        lon_rad=measured(-(1 << 25), (1 << 25) - 1, PLACE_UNIT_RAD, placed),
        bearing_rad=measured(0, 36_000, ANGLE_UNIT_RAD, pointing),
        elevation_rad=measured(-900, 9_000, ANGLE_UNIT_RAD, raised),
        finder=column(-1, 255).astype(np.int32), quality=column(-1, 255).astype(np.int32),
    )  # fmt: skip


def same(one: Bearings, other: Bearings) -> None:
    for name in Bearings.__dataclass_fields__:
        own, back = getattr(one, name), getattr(other, name)
        equal = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert equal.all(), name


@settings(max_examples=10)
@given(st.integers(0, 1 << 32), st.integers(1, 40))
def test_what_is_written_reads_back_here_and_there(seed: int, n: int) -> None:
    reports = random_reports(np.random.default_rng(seed), n)
    octets = b"".join(cat205.encode(reports))
    again, faults = cat205.decode(octets)
    assert not faults
    same(reports, again)
    for row, record in enumerate(judged(205, octets)):
        check(reports, row, record)


def test_a_second_decoder_of_others_finds_the_same_bearings() -> None:
    reports = random_reports(np.random.default_rng(9), 200)
    with Peer() as peer:
        records = peer.read(cat205.encode(reports))
    assert len(records) == 200
    for row, record in enumerate(records):
        said = record.get("I070", {}).get("THETA")
        bearing = np.nan if said is None else float(said)
        assert np.degrees(reports.bearing_rad[row]) == pytest.approx(bearing, abs=1e-6, nan_ok=True)
        (kind,) = record["I000"].values()
        assert int(kind) == reports.kind[row]


def blank(n: int, **given: Any) -> Bearings:
    """Good bearings, with these columns instead."""
    columns: dict[str, Any] = {
        "sac": np.full(n, 25, np.int32), "sic": np.full(n, 40, np.int32), "kind": np.full(n, 2, np.int8),
        "day_us": np.full(n, RX_US % DAY_US - 500_000), "lat_rad": np.full(n, 0.95), "lon_rad": np.full(n, 0.44),
        "bearing_rad": np.radians(np.full(n, 73.25)), "elevation_rad": np.full(n, np.nan),
        "finder": np.full(n, -1, np.int32), "quality": np.full(n, -1, np.int32),
    }  # fmt: skip
    return Bearings(**columns | {name: np.asarray(value, columns[name].dtype) for name, value in given.items()})


def test_bearings_become_plots_and_positions_do_not() -> None:
    bearings = [73.25, 360, 1, 1, 1, np.nan, 5, 655.35]
    reports = blank(8, kind=[2, 5, 1, 3, 4, 2, 2, 2], bearing_rad=np.radians(bearings))
    decoded = cat205.plots(reports, FINDER, RX_US)
    assert decoded.rejected == {"no-bearing": 3, "missing-field": 1, "out-of-range": 1}
    assert decoded.batch.kind is PlotKind.BEARING
    assert np.degrees(decoded.batch.azimuth_rad) == pytest.approx([73.25, 0.0, 5.0], abs=1e-9)
    assert decoded.batch.t_us.tolist() == [RX_US - 500_000] * 3


def test_finders_that_share_a_number_are_told_apart_by_their_identification() -> None:
    """Bearings from two places under one sensor would cross where nothing is."""
    ear = Ear({}, finders={(25, 40, 7): "RDF7", (25, 41): "RDF1"})
    octets = b"".join(cat205.encode(blank(4, sic=[40, 40, 41, 40], finder=[7, 8, -1, -1], kind=[5, 5, 2, 2])))
    heard = Heard()
    ear.hear([(RX_US, octets)], heard)
    assert sorted((batch.sensor, len(batch)) for batch in heard.batches) == [("RDF1", 1), ("RDF7", 1)]
    assert dict(heard.refused) == {"finder-25/40/8": 1, "finder-25/40": 1}
