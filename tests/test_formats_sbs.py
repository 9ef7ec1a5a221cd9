"""SBS lines: what Kinetic's own document and readers of it show, and back again."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import sbs

# The examples that readers of the format publish, as a receiver of Kinetic sent them (MSG 2 had a comma too many).
LINES = (
    b"MSG,1,145,256,7404F2,11267,2008/11/28,23:48:18.611,2008/11/28,23:53:19.161,RJA1118,,,,,,,,,,,",
    b"MSG,2,496,603,400CB6,13168,2008/10/13,12:24:32.414,2008/10/13,12:28:52.074,,0,76.4,258.3,54.05735,-4.38826,,,,,,0",
    b"MSG,3,496,211,4CA2D6,10057,2008/11/28,14:53:50.594,2008/11/28,14:58:51.153,,37000,,,51.45735,-1.02826,,,0,0,0,0",
    b"MSG,4,496,469,4CA767,27854,2010/02/19,17:58:13.039,2010/02/19,17:58:13.368,,,288.6,103.2,,,-832,,,,,",
    b"MSG,5,496,329,394A65,27868,2010/02/19,17:58:12.644,2010/02/19,17:58:13.368,,10000,,,,,,,0,,0,0",
    b"MSG,6,496,237,4CA215,27864,2010/02/19,17:58:12.846,2010/02/19,17:58:13.368,,33325,,,,,,0271,0,0,0,-1",
    b"MSG,7,496,742,51106E,27929,2011/03/06,07:57:36.523,2011/03/06,07:57:37.054,,3775,,,,,,,,,,0",
    b"MSG,8,496,194,405F4E,27884,2010/02/19,17:58:13.244,2010/02/19,17:58:13.368,,,,,,,,,,,,0",
)
SCREEN = (
    b"SEL,,496,2286,4CA4E5,27215,2010/02/19,18:06:07.710,2010/02/19,18:06:07.710,RYR1427",
    b"CLK,,496,-1,,-1,2010/02/19,18:18:19.036,2010/02/19,18:18:19.036",
)
POSITION = LINES[2]


def changed(number: int, value: bytes, line: bytes = POSITION) -> bytes:
    """A line with one field another, counted from 1 as the document does."""
    parts = line.split(b",")
    parts[number - 1] = value
    return b",".join(parts)


def test_every_message_is_read_into_si_and_radians() -> None:
    m, number, faults = sbs.decode([SCREEN[0], *LINES, SCREEN[1]])
    assert faults == {"not-a-message": 2}
    assert number.tolist() == list(range(1, 9))
    assert m.kind.tolist() == list(range(1, 9))
    assert [f"{a:06X}" for a in m.address[:3]] == ["7404F2", "400CB6", "4CA2D6"]
    assert m.callsign.tolist() == [b"RJA1118", *[b""] * 7]
    assert m.pressure_height_m[2] == pytest.approx(37_000 * 0.3048)
    assert np.degrees([m.lat_rad[2], m.lon_rad[2]]) == pytest.approx([51.45735, -1.02826])
    assert m.speed_mps[3] == pytest.approx(288.6 * 1852 / 3600)
    assert np.degrees(m.track_rad[3]) == pytest.approx(103.2)
    assert m.climb_mps[3] == pytest.approx(-832 * 0.3048 / 60)
    assert m.mode3a.tolist() == [-1] * 5 + [0o271] + [-1] * 2
    assert m.on_ground.tolist() == [-1, 0, 0, -1, 0, 1, 0, 0]
    assert np.isnan(m.height_m).all()
    moment = datetime(2008, 11, 28, 14, 53, 50, 594_000, tzinfo=UTC)
    assert m.local_us[2] == round(moment.timestamp() * 1e6)


def test_a_geometric_height_is_told_by_its_letter() -> None:
    m, _, _ = sbs.decode([changed(12, b"36925H")])
    assert m.height_m[0] == pytest.approx(36_925 * 0.3048)
    assert np.isnan(m.pressure_height_m[0])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "malformed"),
        (b"MSG", "malformed"),
        (POSITION + b",", "malformed"),
        (changed(2, b"9"), "malformed"),
        (changed(5, b"4CA2"), "malformed"),
        (changed(5, b"GGGGGG"), "malformed"),
        (changed(15, b"nan"), "malformed"),
        (changed(15, b"1_0"), "malformed"),
        (changed(12, b"1e99999"), "out-of-range"),
        (changed(15, b"90.5"), "out-of-range"),
        (changed(16, b"-181"), "out-of-range"),
        (b"STA,,5,179,400AE7,10103,2008/11/28,14:58:51.153,2008/11/28,14:58:51.153,RM", "not-a-message"),
    ],
)
def test_what_is_no_message_falls_by_reason(line: bytes, reason: str) -> None:
    m, number, faults = sbs.decode([line, POSITION])
    assert faults == {reason: 1}
    assert number.tolist() == [1]
    assert len(m) == 1


def test_what_a_message_says_badly_costs_only_that() -> None:
    m, _, faults = sbs.decode([changed(18, b"9999"), changed(7, b"2008-11-28"), changed(11, b"TOOLONGNAME")])
    assert not faults
    assert m.mode3a[0] == -1
    assert m.local_us[1] == -1
    assert m.callsign[2] == b""


NUMBER = st.none() | st.integers(-9_999, 99_999)


@settings(max_examples=60)
@given(
    st.integers(1, 8), st.integers(0, 0xFFFFFF), st.integers(0, 4_102_444_800_000), st.none() | st.integers(0, 0o7777),
    st.tuples(NUMBER, NUMBER, NUMBER, NUMBER), st.booleans(), st.integers(-1, 1),
)  # fmt: skip
def test_what_is_encoded_reads_back(
    kind: int,
    address: int,
    local_ms: int,
    mode3a: int | None,
    numbers: tuple[int | None, ...],
    geometric: bool,
    flag: int,
) -> None:
    feet, knots, climb, place = (np.nan if n is None else float(n) for n in numbers)
    height, pressure = (feet * 0.3048, np.nan) if geometric else (np.nan, feet * 0.3048)
    values = (
        kind, address, local_ms * 1000, b"LOT 12", height, pressure, knots * 1852 / 3600, np.radians(place % 360.0),
        np.radians(place / 2_000.0), np.radians(place / 1_000.0), climb * 0.3048 / 60, -1 if mode3a is None else mode3a,
        flag, flag, flag,
    )  # fmt: skip
    sent = sbs.Messages(*(np.array([v], kind) for v, kind in zip(values, sbs._TYPES, strict=True)))
    got, _, faults = sbs.decode(sbs.encode(sent))
    assert not faults
    for field in fields(sbs.Messages):
        a, b = getattr(got, field.name), getattr(sent, field.name)
        if a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-8, err_msg=field.name)
        else:
            assert a.tolist() == b.tolist(), field.name


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=120) | st.sampled_from(LINES), max_size=6), st.data())
def test_no_bytes_at_all_break_it(lines: list[bytes], data: st.DataObject) -> None:
    torn = [line[: data.draw(st.integers(0, len(line)))] for line in lines]
    m, number, faults = sbs.decode(torn)
    assert len(m) == len(number)
    assert len(m) + sum(faults.values()) == len(torn)


def test_a_clock_without_a_zone_is_read_in_the_zone_that_fits() -> None:
    rx_us = np.full(5, 1_795_000_000_000_000)
    zones_us = np.array([0, 2 * 3_600, -(3 * 3_600 + 1_800), 20, 0]) * 1_000_000
    local_us = rx_us + zones_us - 300_000
    local_us[4] = -1
    t_us, fine = sbs.utc(local_us, rx_us, 10_000_000)
    assert fine.tolist() == [True, True, True, False, False]
    assert (rx_us - t_us).tolist() == [300_000, 300_000, 300_000, 0, 0]
    ahead, _ = sbs.utc(rx_us + 500_000, rx_us, 10_000_000)
    assert (ahead == rx_us).all()  # nothing was measured after it came
