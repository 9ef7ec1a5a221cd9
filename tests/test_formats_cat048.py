"""CAT048 and CAT034 beside an independent decoder, on real recordings and on what we wrote ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asterix import DAY_US, Layout, near
from adapters.asterixitems import ANGLE_UNIT_RAD, LEVEL_UNIT_M, NM_M
from adapters.formats import cat034, cat048
from adapters.formats.cat048 import RANGE_UNIT_M, Reports
from fusion.schema import SensorKind, SensorSpec
from tests import recordings
from tests.asterixjudge import JUDGES, anything, judged, ours, quantity, theirs, whole

RADAR = SensorSpec("R1", 0, SensorKind.RADAR_2D, 0.9, 0.4, 100.0)
CROATIA = "recordings/asterix-croatia-samples"
SAN_LUIS = "recordings/asterix-argentina-sanluis/UIS.pcap"


def test_the_table_names_every_item_of_the_edition() -> None:
    """Items, in order, as the other decoder has them from the specification."""
    for category, layout in ((48, cat048.LAYOUT), (34, cat034.LAYOUT)):
        names = [name for name in layout.column if "/" not in name]
        record = JUDGES[category].cv_record
        assert sorted(names) == sorted(record.cv_items_dict)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "category", "count"),
    [
        (f"{CROATIA}/cat_034_048.pcap", 48, 128),
        (f"{CROATIA}/cat_034_048.pcap", 34, 34),
        (f"{CROATIA}/cat048.raw", 48, 1),
        (f"{CROATIA}/cat034.raw", 34, 1),
        (f"{CROATIA}/goasterix_sample.ast", 48, 11),
        (f"{CROATIA}/goasterix_sample.ast", 34, 1),
        (SAN_LUIS, 48, 1_640),
        (SAN_LUIS, 34, 5_936),
    ],
)
def test_every_item_of_real_recordings_lies_where_the_other_decoder_finds_it(
    data: Path, name: str, category: int, count: int
) -> None:
    octets = whole(data / name)
    layout = {48: cat048.LAYOUT, 34: cat034.LAYOUT}[category]
    mine = ours(layout, octets)
    assert len(mine) == count
    assert mine == theirs(layout, octets)


@pytest.mark.parametrize("layout", [cat048.LAYOUT, cat034.LAYOUT], ids=["48", "34"])
def test_any_item_lies_where_the_other_decoder_finds_it(layout: Layout) -> None:
    later = [name for name in ("130/SCO", "130/SCR", "130/RW", "130/AR") if name in layout.column]
    data = anything(layout, 40, seed=1, without=later)
    assert ours(layout, data) == theirs(layout, data)


@pytest.mark.real_data
def test_what_the_items_say_is_what_the_other_decoder_reads(data: Path) -> None:
    octets = whole(data / f"{CROATIA}/cat_034_048.pcap")
    reports, faults = cat048.decode(octets)
    assert not faults
    kinds: set[str] = set()
    for row, record in enumerate(judged(48, octets)):
        kinds |= check(reports, row, record)
    assert {"040", "070", "090", "140", "220", "240", "161", "200"} <= kinds


def check(r: Reports, row: int, record: Any) -> set[str]:
    """One report beside the other decoder's; the items that it has."""
    had: set[str] = set()
    if (polar := record.get_item("040")) is not None:
        had.add("040")
        assert r.range_m[row] == pytest.approx(quantity(polar, "NM", "RHO") * NM_M, abs=1e-6)
        assert np.degrees(r.azimuth_rad[row]) == pytest.approx(quantity(polar, "°", "THETA"), abs=1e-9)
    if (code := record.get_item("070")) is not None:
        had.add("070")
        assert f"{r.mode3a[row]:04o}" == code.variation.get_item("MODE3A").variation.content.as_string()
    if (level := record.get_item("090")) is not None:
        had.add("090")
        assert r.pressure_height_m[row] == pytest.approx(quantity(level, "FL", "FL") * 100.0 * 0.3048, abs=1e-6)
    if (time := record.get_item("140")) is not None:
        had.add("140")
        assert r.day_us[row] / 1e6 == pytest.approx(float(time.variation.content.as_quantity("s")), abs=1e-6)
    if (address := record.get_item("220")) is not None:
        had.add("220")
        assert r.address[row] == address.as_uint()
    if (callsign := record.get_item("240")) is not None:
        had.add("240")
        assert r.callsign[row].decode() == callsign.variation.content.as_string().rstrip()
    if (track := record.get_item("161")) is not None:
        had.add("161")
        assert r.track[row] == track.variation.get_item("TRN").as_uint()
    if (velocity := record.get_item("200")) is not None:
        had.add("200")
        assert r.speed_mps[row] == pytest.approx(quantity(velocity, "NM/s", "GSP") * NM_M, abs=1e-6)
        assert np.degrees(r.heading_rad[row]) == pytest.approx(quantity(velocity, "°", "HDG"), abs=1e-9)
    for missing, value in (("040", r.range_m), ("090", r.pressure_height_m), ("200", r.speed_mps)):
        assert (missing in had) == bool(np.isfinite(value[row]))
    return had


@pytest.mark.real_data
def test_san_luis_gives_the_plots_of_its_list(data: Path) -> None:
    """1,640 plots of one radar, beside the list that somebody else's decoder made of them."""
    reports, _ = cat048.decode(whole(data / SAN_LUIS))
    lines = [line.split(",") for line in (data / recordings.SAN_LUIS).read_text("utf-8").splitlines()]
    names, rows = lines[0], lines[1:]
    table = {name: [row[n] for row in rows] for n, name in enumerate(names)}
    assert len(reports) == len(rows)
    assert np.allclose(reports.range_m / NM_M, [float(v) for v in table["rho_nm"]])
    assert np.allclose(np.degrees(reports.azimuth_rad), [float(v) for v in table["theta_deg"]])
    assert [f"{code:04o}" if code >= 0 else "" for code in reports.mode3a.tolist()] == table["mode3a"]


@st.composite
def made(draw: st.DrawFn) -> Reports:
    """Reports as a radar could send them, in its units."""
    n = draw(st.integers(1, 20))

    def column(low: int, high: int, none: float | None = None) -> Any:
        return np.array([draw(st.sampled_from([none, draw(st.integers(low, high))]) if none is not None
                              else st.integers(low, high)) for _ in range(n)])  # fmt: skip

    there = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    moving = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))

    def measured(low: int, high: int, unit: float, where: Any = None) -> Any:
        return np.where(there if where is None else where, column(low, high) * unit, np.nan)

    texts = st.text("ABCXYZ0189 ", max_size=8).map(lambda t: t.rstrip().encode())
    code, level = column(-1, 0o7777), measured(-400, 8_000, LEVEL_UNIT_M)
    return Reports(
        sac=column(0, 255).astype(np.int32),
        sic=column(0, 255).astype(np.int32),
        day_us=np.where(there, column(0, 86_400 * 128 - 1) * 15_625 // 2, -1),
        kind=column(0, 7).astype(np.int8),
        simulated=column(0, 1) == 1,
        test=column(0, 1) == 1,
        range_m=measured(0, 65_535, RANGE_UNIT_M),
        azimuth_rad=measured(0, 65_535, ANGLE_UNIT_RAD),
        mode3a=code.astype(np.int32),
        mode3a_sure=(column(0, 1) == 1) & (code >= 0),
        pressure_height_m=level,
        level_sure=(column(0, 1) == 1) & ~np.isnan(level),
        height_m=measured(-8_192, 8_191, LEVEL_UNIT_M),
        address=column(-1, (1 << 24) - 1).astype(np.int32),
        callsign=np.array([draw(texts) for _ in range(n)], "S8"),
        track=column(-1, 4_095).astype(np.int32),
        doppler_mps=measured(-512, 511, 1.0),
        speed_mps=measured(0, 65_535, NM_M / 16_384.0, moving),
        heading_rad=measured(0, 65_535, ANGLE_UNIT_RAD, moving),
    )


@settings(max_examples=60)
@given(made())
def test_what_is_written_reads_back_here_and_there(reports: Reports) -> None:
    octets = b"".join(cat048.encode(reports))
    again, faults = cat048.decode(octets)
    assert not faults
    for name in Reports.__dataclass_fields__:
        own, back = getattr(reports, name), getattr(again, name)
        same = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert same.all(), name
    others = judged(48, octets)
    assert len(others) == len(reports)
    for row, record in enumerate(others):
        check(reports, row, record)


def test_only_targets_become_plots_and_the_others_are_counted() -> None:
    rows = 5
    none, nan = np.full(rows, -1, np.int32), np.full(rows, np.nan)
    reports = Reports(
        sac=np.zeros(rows, np.int32), sic=np.zeros(rows, np.int32), day_us=np.array([10, 20, 30, 40, -1]),
        kind=np.array([1, 0, 2, 5, 1], np.int8), simulated=np.array([0, 0, 0, 1, 0], bool),
        test=np.array([0, 0, 1, 0, 0], bool), range_m=np.full(rows, 5e4), azimuth_rad=np.full(rows, 1.0),
        mode3a=np.array([0o1234, 1, 1, 1, 1], np.int32), mode3a_sure=np.zeros(rows, bool), pressure_height_m=nan,
        level_sure=np.zeros(rows, bool), height_m=nan, address=none, callsign=np.full(rows, b"", "S8"), track=none,
        doppler_mps=nan, speed_mps=nan, heading_rad=nan,
    )  # fmt: skip
    decoded = cat048.plots(reports, RADAR, 1_774_000_000_000_000)
    assert decoded.rejected == {"no-detection": 1, "test-target": 1, "simulated": 1, "missing-field": 1}
    assert len(decoded.batch) == 1
    assert decoded.batch.mode3a.tolist() == [-1]  # the radar is not sure of it


def test_the_time_of_day_is_of_the_day_that_is_near() -> None:
    midnight_us = 20_000 * DAY_US
    second, late = 1_000_000, DAY_US - 1_000_000
    found = near(np.array([second, late]), midnight_us + 2 * second)
    assert found.tolist() == [midnight_us + second, midnight_us - second]
    found = near(np.array([second, late]), midnight_us - 2 * second)
    assert found.tolist() == [midnight_us + second, midnight_us - second]
