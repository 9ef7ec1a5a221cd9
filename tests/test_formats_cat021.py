"""CAT021 beside an independent decoder: random records, real ones, and what we wrote ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.asterix import DAY_US
from adapters.asterixitems import (
    ANGLE_UNIT_RAD,
    CLIMB_UNIT_MPS,
    FOOT_M,
    HEIGHT_UNIT_M,
    LEVEL_UNIT_M,
    NM_M,
    SPEED_UNIT_MPS,
)
from adapters.formats import cat021
from adapters.formats.cat021 import FINE_UNIT_RAD, Reports
from adapters.modes.accuracies import SIGMA_BY_NACP_M
from fusion.schema import SensorKind, SensorSpec, take
from tests.asterixjudge import JUDGES, anything, content, judged, ours, part, quantity, text, theirs, whole

STATION = SensorSpec("A1", 0, SensorKind.ADSB)
RX_US = 20_500 * DAY_US + 40_000_000_000
FEET = {"140": "height_m", "145": "pressure_height_m"}


def test_the_table_names_every_item_of_the_edition() -> None:
    names = [name for name in cat021.LAYOUT.column if "/" not in name]
    assert sorted(names) == sorted(JUDGES[21].cv_record.cv_items_dict)


def check(r: Reports, row: int, record: Any) -> set[str]:
    """One report beside the other decoder's; the items that it has."""
    items = {name: item for name in cat021.LAYOUT.column if "/" not in name and (item := record.get_item(name))}
    assert r.address[row] == (items["080"].as_uint() if "080" in items else -1)
    assert r.category[row] == (min(items["020"].as_uint(), 127) if "020" in items else -1)
    assert r.track[row] == (part(items["161"], "TRNUM") if "161" in items else -1)
    for name, field in FEET.items():
        unit, scale = ("ft", FOOT_M) if name == "140" else ("FL", 100.0 * FOOT_M)
        value = quantity(items[name], unit) * scale if name in items else np.nan
        assert getattr(r, field)[row] == pytest.approx(value, abs=1e-6, nan_ok=True)
    _check_place(r, row, items)
    _check_speed(r, row, items)
    _check_words(r, row, items)
    quality = items.get("090")
    for name, column in (("NUCPNIC", r.integrity), ("NUCRNACV", r.velocity_accuracy), ("NACP", r.nacp),
                         ("SIL", r.sil), ("GVA", r.gva)):  # fmt: skip
        said = part(quality, name)
        assert column[row] == (-1 if said is None else said), name
    return {*items}


def _check_place(r: Reports, row: int, items: dict[str, Any]) -> None:
    place = items.get("131") or items.get("130")
    for name, column in (("LAT", r.lat_rad), ("LON", r.lon_rad)):
        value = quantity(place, "°", name) if place else np.nan
        assert np.degrees(column[row]) == pytest.approx(value, abs=1e-9, nan_ok=True)
    if "071" in items:
        assert r.day_us[row] / 1e6 == pytest.approx(quantity(items["071"], "s"), abs=1e-6)
    elif "073" in items and "074" in items:
        second = int(quantity(items["073"], "s")) + {0: 0, 1: 1, 2: -1, 3: 0}[part(items["074"], "FSI")]
        fraction = quantity(items["074"], "s", "TOMRP")
        assert r.day_us[row] / 1e6 == pytest.approx(second % 86_400 + fraction, abs=2e-6)


def _check_speed(r: Reports, row: int, items: dict[str, Any]) -> None:
    for name, parts, unit, scale, column in (
        ("160", "GS", "NM/s", NM_M, r.speed_mps),
        ("155", "BVR", "ft/min", FOOT_M / 60.0, r.pressure_climb_mps),
        ("157", "GVR", "ft/min", FOOT_M / 60.0, r.climb_mps),
    ):
        there = name in items and part(items[name], "RE") == 0
        value = quantity(items[name], unit, parts) * scale if there else np.nan
        assert column[row] == pytest.approx(value, abs=1e-6, nan_ok=True), name
    if "160" in items:
        assert np.degrees(r.course_rad[row]) == pytest.approx(quantity(items["160"], "°", "TA"), abs=1e-9)


def _check_words(r: Reports, row: int, items: dict[str, Any]) -> None:
    if "070" in items:
        assert f"{r.mode3a[row]:04o}" == content(items["070"], "MODE3A").as_string()
    if "170" in items:
        assert r.callsign[row].decode() == text(items["170"])
    if "210" in items:
        assert r.version[row] == part(items["210"], "VN")
    descriptor = items.get("040")
    for name, column in (("ATP", r.address_kind), ("GBS", r.on_ground)):
        said = part(descriptor, name)
        assert column[row] == (-1 if said is None else said)
    bits = {name: bool(part(descriptor, name)) for name in ("RAB", "TST", "SIM", "NOGO", "CPR", "LDPJ")}
    assert r.test[row] == (bits["RAB"] or bits["TST"])
    assert r.simulated[row] == bits["SIM"]
    assert r.no_go[row] == bits["NOGO"]
    assert r.misread[row] == (bits["CPR"] or bits["LDPJ"])


def test_any_record_says_what_the_other_decoder_reads() -> None:
    data = anything(cat021.LAYOUT, 60, seed=3)
    assert ours(cat021.LAYOUT, data) == theirs(cat021.LAYOUT, data)
    reports, faults = cat021.decode(data)
    assert not faults
    had: set[str] = set()
    for row, record in enumerate(judged(21, data)):
        had |= check(reports, row, record)
    assert had == {name for name in cat021.LAYOUT.column if "/" not in name}


@pytest.mark.real_data
def test_real_reports_are_read_as_the_other_decoder_reads_them(data: Path) -> None:
    octets = whole(data / "recordings/asterix-croatia-samples/cat21_re.ast")
    reports, faults = cat021.decode(octets)
    others = judged(21, octets)
    assert not faults
    assert len(reports) == len(others) == 2
    assert ours(cat021.LAYOUT, octets) == theirs(cat021.LAYOUT, octets)
    for row, record in enumerate(others):
        check(reports, row, record)


@st.composite
def made(draw: st.DrawFn) -> Reports:
    """Reports as a station could send them, in its units."""
    n = draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    return random_reports(rng, n)


def random_reports(rng: np.random.Generator, n: int) -> Reports:
    def column(low: int, high: int, kind: Any = np.int32) -> Any:
        return rng.integers(low, high, n, endpoint=True).astype(kind)

    def measured(low: int, high: int, unit: float, where: Any = None) -> Any:
        there = rng.random(n) < 0.7 if where is None else where
        return np.where(there, column(low, high, np.int64) * unit, np.nan)

    def flag() -> Any:
        return rng.random(n) < 0.2

    placed, moving, third, second, first = (rng.random(n) < 0.7 for _ in range(5))
    second, first = second | third, first | second | third
    letters = np.frombuffer(b"ABCXYZ0189", "S1")
    names = [b"".join(rng.choice(letters, rng.integers(0, 9)).tolist()) for _ in range(n)]
    no_go, misread = flag(), flag()
    simulated, test = flag(), flag()
    ground = np.where(no_go | misread | simulated | test, column(0, 1), column(-1, 1)).astype(np.int8)
    return Reports(
        sac=column(0, 255), sic=column(0, 255),
        day_us=np.where(flag(), -1, column(0, 86_400 * 128 - 1, np.int64) * 15_625 // 2),
        address=column(-1, (1 << 24) - 1),
        address_kind=np.where(ground >= 0, column(0, 3), column(-1, 3)).astype(np.int8),
        on_ground=ground, simulated=simulated, test=test, no_go=no_go, misread=misread,
        lat_rad=measured(-(1 << 29), 1 << 29, FINE_UNIT_RAD, placed),
        lon_rad=measured(-(1 << 30), (1 << 30) - 1, FINE_UNIT_RAD, placed),
        height_m=measured(-240, 32_000, HEIGHT_UNIT_M), pressure_height_m=measured(-40, 5_000, LEVEL_UNIT_M),
        speed_mps=measured(0, 0x7FFF, SPEED_UNIT_MPS, moving), course_rad=measured(0, 65_535, ANGLE_UNIT_RAD, moving),
        climb_mps=measured(-16_384, 16_383, CLIMB_UNIT_MPS),
        pressure_climb_mps=measured(-16_384, 16_383, CLIMB_UNIT_MPS),
        mode3a=column(-1, 0o7777), callsign=np.array(names, "S8"), category=column(-1, 24, np.int8),
        version=column(-1, 3, np.int8),
        integrity=np.where(first, column(0, 15), -1).astype(np.int8),
        velocity_accuracy=np.where(first, column(0, 7), -1).astype(np.int8),
        nacp=np.where(second, column(0, 15), -1).astype(np.int8),
        sil=np.where(second, column(0, 3), -1).astype(np.int8),
        gva=np.where(third, column(0, 3), -1).astype(np.int8), track=column(-1, 4_095),
    )  # fmt: skip


def same(one: Reports, other: Reports) -> None:
    """Field by field."""
    for name in Reports.__dataclass_fields__:
        own, back = getattr(one, name), getattr(other, name)
        equal = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert equal.all(), name


@settings(max_examples=15)
@given(made())
def test_what_is_written_reads_back_here_and_there(reports: Reports) -> None:
    octets = b"".join(cat021.encode(reports))
    again, faults = cat021.decode(octets)
    assert not faults
    same(reports, again)
    others = judged(21, octets)
    assert len(others) == len(reports)
    for row, record in enumerate(others):
        check(reports, row, record)


def plain(n: int = 6, **given: Any) -> Reports:
    """Good reports of one aircraft, with these columns instead."""
    template = random_reports(np.random.default_rng(1), n)
    columns = {name: np.full(n, -1, getattr(template, name).dtype) for name in Reports.__dataclass_fields__}
    columns |= {name: np.full(n, np.nan) for name, column in columns.items() if column.dtype.kind == "f"}
    columns |= {name: np.zeros(n, np.bool_) for name in ("simulated", "test", "no_go", "misread")}
    columns["callsign"] = np.full(n, b"LOT1", "S8")
    columns |= {"lat_rad": np.full(n, 0.9), "lon_rad": np.full(n, 0.4), "address": np.full(n, 0x489ABC, np.int32)}
    columns |= {"day_us": np.full(n, RX_US % DAY_US - 500_000), "address_kind": np.zeros(n, np.int8)}
    columns |= {name: np.asarray(value, columns[name].dtype) for name, value in given.items()}
    return Reports(**columns)


def test_only_what_an_aircraft_says_becomes_a_claim_and_the_others_are_counted() -> None:
    on = np.eye(6, dtype=bool)
    reports = plain(test=on[0], simulated=on[1], no_go=on[2], misread=on[3], lat_rad=np.where(on[4], np.nan, 0.9))
    decoded = cat021.plots(reports, STATION, RX_US)
    assert decoded.rejected == {"test-target": 1, "simulated": 1, "no-go": 1, "misread": 1, "missing-field": 1}
    assert len(decoded.batch) == 1
    assert decoded.batch.t_us.tolist() == [RX_US - 500_000]


def test_quality_is_told_by_the_edition_of_the_transponder() -> None:
    reports = plain(version=[2, 0, -1, -1, 1, 2], integrity=[8, 7, 7, 8, 9, 14], velocity_accuracy=[2, 2, 2, 2, 2, 6],
                    nacp=[9, 9, -1, 9, 10, 12], sil=[3, 3, -1, 3, 2, 3])  # fmt: skip
    batch = cat021.plots(reports, STATION, RX_US).batch
    assert batch.nic.tolist() == [8, 8, -1, 8, 9, -1]
    assert batch.nacp.tolist() == [9, -1, -1, 9, 10, -1]
    assert batch.nacv.tolist() == [2, 2, 2, 2, 2, -1]
    assert batch.sil.tolist() == [3, -1, -1, 3, 2, 3]
    np.testing.assert_array_equal(batch.sigma_position_m, SIGMA_BY_NACP_M[batch.nacp + 1])


def test_an_anonymous_address_is_none_and_a_vector_has_parts() -> None:
    reports = plain(address_kind=[0, 1, 2, 3, -1, 0], speed_mps=np.full(6, 100.0), course_rad=np.full(6, np.pi / 2),
                    pressure_climb_mps=np.full(6, 3.0), climb_mps=[1.0, *[np.nan] * 5])  # fmt: skip
    batch = cat021.plots(reports, STATION, RX_US).batch
    assert batch.address.tolist() == [0x489ABC, 0x489ABC, 0x489ABC, -1, 0x489ABC, 0x489ABC]
    assert batch.velocity_east_mps.tolist() == [100.0] * 6
    assert abs(batch.velocity_north_mps).max() < 1e-9
    assert batch.velocity_up_mps.tolist() == [1.0, *[3.0] * 5]
    assert len(take(reports, np.array([0, 1]))) == 2
