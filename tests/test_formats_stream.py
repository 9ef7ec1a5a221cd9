"""The plain stream as text: header, lines by the block, and that a block says the same as its lines one by one."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.formats import stream
from fusion.geo import ecef, enu_axes
from fusion.schema import Invalid, PlotKind, SensorKind, check_plots
from tests.scene import table
from tests.test_stream import HEADER

SENSORS = stream.decode_header(json.dumps(HEADER).encode())
DECODER = stream.Decoder(SENSORS)
A0, R1, R2 = range(3)
POLAR = b'{"t":12.3456,"arr":12.7012,"s":"R1","k":"r3","rng":83211.4,"az":-90,"el":1.5}'
FLAT = b'{"t":1,"arr":1,"s":"R2","k":"r2","rng":5,"az":1}'
CLAIM = b'{"t":1,"arr":2,"s":"A0","k":"adsb","icao":"48a1f3","lat":54.5,"lon":-24,"alt":3e3,"ve":80,"sp":10}'
TICK = b'{"tick":15}'


def reason(line: bytes) -> str:
    lines, refused = DECODER.decode(line)
    assert len(lines) + len(refused) == 1
    return str(refused[0][1]) if refused else ""


def test_header_becomes_sensors_in_order_of_id() -> None:
    adsb, three, two = SENSORS
    assert [s.id for s in (adsb, three, two)] == ["A0", "R1", "R2"]
    assert [s.kind for s in (adsb, three, two)] == [SensorKind.ADSB, SensorKind.RADAR_3D, SensorKind.RADAR_2D]
    assert (two.detection_probability, two.clutter_per_scan, two.latency_s) == (0.8, 12.0, 0.3)
    assert three.sigma_elevation_rad == pytest.approx(np.radians(0.3))
    assert np.isnan(two.sigma_elevation_rad)
    assert not adsb.has_site


def test_a_receiver_may_declare_what_a_radar_may() -> None:
    head = {"hdr": 1, "sensors": [{"s": "A0", "adsb": True, "pd": 0.7, "clutter_per_scan": 3, "lat_s": 1.3}]}
    (spec,) = stream.decode_header(json.dumps(head).encode())
    assert (spec.detection_probability, spec.clutter_per_scan, spec.latency_s) == (0.7, 3.0, 1.3)
    with pytest.raises(Invalid, match=r"out-of-range: pd 1\.7 of sensor 'A0'"):
        stream.decode_header(json.dumps(head).replace("0.7", "1.7").encode())


def test_what_is_null_in_a_header_is_not_given() -> None:
    bare = {
        "hdr": 1.0,
        "sensors": [{"s": "A0", "adsb": True}, {"s": "R1", "lat": 54.5, "lon": 24.0, "dims": 3.0, "s_el": 0.3}],
    }
    null = dict.fromkeys("lat lon alt rmax s_rng s_az s_el pd clutter_per_scan lat_s period dims adsb".split())
    full = {**bare, "tick": None, "origin": None, "sensors": [{**null, **given} for given in bare["sensors"]]}  # type: ignore[attr-defined]
    assert stream.decode_header(json.dumps(full).encode()) == stream.decode_header(json.dumps(bare).encode())
    assert stream.decode_header(b"\xef\xbb\xbf" + json.dumps(bare).encode())[1].kind == SensorKind.RADAR_3D


@pytest.mark.parametrize(
    ("sensor", "why"),
    [
        ({}, "missing-field: lat or lon of sensor 'R1'"),
        ({"lat": "x"}, "malformed: Expected `float | null`, got `str` - at `$.lat`, sensor 'R1'"),
        ({"lat": 1, "lon": 200.0}, "out-of-range: lon 200 of sensor 'R1', expected -180 to 180"),
        ({"lat": 1, "lon": 2, "alt": 1e300}, "out-of-range: alt 1e+300 of sensor 'R1', expected -1500 to 60000"),
        ({"lat": 1, "lon": 2, "dims": 3, "s_el": 0}, "out-of-range: s_el 0 of sensor 'R1', expected 0.0001 to 180"),
    ],
)  # fmt: skip
def test_a_bad_sensor_is_named_with_its_key(sensor: dict[str, object], why: str) -> None:
    with pytest.raises(Invalid) as refused:
        stream.decode_header(json.dumps({"hdr": 1, "sensors": [{"s": "R1", **sensor}]}).encode())
    assert str(refused.value) == why


def test_an_input_without_a_header_line_is_told_so() -> None:
    for line in (b"", b"\r\n"):
        with pytest.raises(Invalid, match="missing-field: the input is empty"):
            stream.decode_header(line)


@pytest.mark.parametrize("icao", ["", "~48a1f3"])
def test_a_report_without_an_address_of_icao_is_a_plot_without_address(icao: str) -> None:
    lines, refused = DECODER.decode(CLAIM.replace(b"48a1f3", icao.encode()))
    assert (lines.address.tolist(), refused) == ([-1], [])


def test_a_number_out_of_range_is_named() -> None:
    assert reason(CLAIM.replace(b'"sp"', b'"sp":0,"x"')) == "out-of-range: sp 0"
    assert reason(POLAR.replace(b'"rng"', b'"rng":-5,"x"')) == "out-of-range: rng -5"
    assert reason(CLAIM.replace(b"48a1f3", b"148a1f3")) == "out-of-range: icao '148a1f3' is no address of 24 bits"


def test_lines_arrive_in_radians_and_microseconds() -> None:
    lines, refused = DECODER.decode(b"\n".join([POLAR, CLAIM, FLAT, TICK]) + b"\n")
    assert refused == []
    assert lines.sensor.tolist() == [R1, A0, R2, stream.TICK]
    assert lines.t_us.tolist() == [12_345_600, 1_000_000, 1_000_000, 15_000_000]
    assert lines.rx_us.tolist() == [12_701_200, 2_000_000, 1_000_000, 15_000_000]
    assert lines.address.tolist() == [-1, 0x48A1F3, -1, -1]
    step = np.array([0, 0, 0, 1])
    (_, claim), (_, polar), (_, flat) = DECODER.batches(lines, step)
    assert (polar.sensor, polar.kind, polar.rx_us) == ("R1", PlotKind.POLAR, 12_701_200)
    assert polar.range_m.tolist() == [83211.4]
    assert polar.azimuth_rad.tolist() == [math.radians(270.0)]
    assert polar.elevation_rad.tolist() == [math.radians(1.5)]
    assert np.isnan(flat.elevation_rad).all()
    assert (claim.sensor, claim.kind, claim.rx_us) == ("A0", PlotKind.POSITION, 2_000_000)
    assert [claim.lat_rad[0], claim.lon_rad[0]] == [math.radians(54.5), math.radians(-24.0)]
    assert [claim.height_m[0], claim.velocity_east_mps[0], claim.sigma_position_m[0]] == [3e3, 80.0, 10.0]
    assert np.isnan([claim.velocity_north_mps[0], claim.sigma_height_m[0]]).all()
    assert claim.address.tolist() == [0x48A1F3]


@pytest.mark.parametrize(
    "line, expected",
    [
        (POLAR, ""),
        (POLAR.replace(b"1.5", b"null"), "missing-field: rng, az or el"),
        (POLAR.replace(b"1.5", b"91"), "out-of-range: el 91"),
        (POLAR.replace(b"-90", b"720.1"), "out-of-range: az 720.1"),
        (POLAR.replace(b"83211.4", b"-1"), "out-of-range: rng -1"),
        (POLAR.replace(b"12.7012", b"1e10"), "out-of-range: time 10000000000.0"),
        (POLAR.replace(b'"t"', b'"u"'), "missing-field: t or arr"),
        (POLAR.replace(b"r3", b"r4"), "wrong-schema: kind 'r4', expected r2, r3 or adsb"),
        (POLAR.replace(b"R1", b"R9"), "unknown-sensor: R9"),
        (POLAR.replace(b"R1", b"A0"), "wrong-sensor-kind: A0"),
        (POLAR.replace(b"}", b',"lat":1e308,"ve":-1e308,"icao":"zz"}'), ""),  # not its business
        (FLAT.replace(b"}", b',"el":-30}'), ""),
        (FLAT.replace(b"}", b',"el":null,"tick":null}'), ""),
        (CLAIM, ""),
        (CLAIM.replace(b"A0", b"R1"), "wrong-sensor-kind: R1"),
        (CLAIM.replace(b"54.5", b"90.1"), "out-of-range: lat 90.1"),
        (CLAIM.replace(b"80", b"3001"), "out-of-range: ve 3001"),
        (CLAIM.replace(b"48a1f3", b"1000000"), "out-of-range: icao '1000000' is no address of 24 bits"),
        (CLAIM.replace(b"48a1f3", b"f" * 40), f"out-of-range: icao '{'f' * 40}' is no address of 24 bits"),
        (CLAIM.replace(b"48a1f3", b"48A1G3"), "malformed: icao '48A1G3'"),
        (CLAIM.replace(b"48a1f3", b"-1"), ""),
        (CLAIM.replace(b'"lon":-24', b'"lon":null'), "missing-field: lat or lon"),
        (CLAIM.replace(b'"48a1f3"', b"null"), ""),
        (TICK, ""),
        (b'{"tick":1e10}', "out-of-range: time 10000000000.0"),
        (b'{"tick":3,"t":null,"s":"R9","k":"x","icao":"zz"}', ""),
        (b"7", "malformed: Expected `object`, got `int`"),
        (b'{"t":1}{"t":2}', "malformed: JSON is malformed: trailing characters (byte 8)"),
        (b"{" + b"x" * stream.MAX_LINE_BYTES, "oversized: more than 65536 bytes"),
    ],
)
def test_what_may_be_used_and_why_not(line: bytes, expected: str) -> None:
    assert reason(line) == expected


def one_by_one(block: bytes) -> tuple[list[Any], list[tuple[int, str]]]:
    """What the block holds and what it refuses, each line decoded alone."""
    kept, refused = [], []
    for at, line in enumerate(block.split(b"\n")):
        lines, why = DECODER.decode(line)
        kept += rows(lines)
        refused += [(at, str(reason)) for _, reason in why]
    return kept, refused


def rows(lines: stream.Lines) -> list[Any]:
    head = zip(lines.sensor.tolist(), lines.t_us.tolist(), lines.rx_us.tolist(), lines.address.tolist(), strict=True)
    return [(*one, str(values)) for one, values in zip(head, lines.values.T.tolist(), strict=True)]


def check_block(block: bytes) -> None:
    lines, refused = DECODER.decode(block)
    assert (rows(lines), [(at, str(why)) for at, why in refused]) == one_by_one(block)


@pytest.mark.parametrize(
    "block",
    [
        b'{"x":[{}\n{}]}\n{"tick":1}{"tick":2}\n',  # one value on two lines, two on one: as many as lines
        b'{"x":{}\n{"tick":1}\n{"tick":2}{"tick":3}\n',
        b'{"s":"}\n{"}\n{"tick":1}{"tick":2}\n',
        b'{"tick":1},\n{"tick":2}\n',
        b'{"tick":1}\r\n{"tick":2}\r\n',
        b'\n \n{"tick":1}\n\n{"tick":2}\n\n',
        b'{"tick":1}\n{"tick":true}\n{"tick":2}',
        b'{"tick":1}\n{"tick":null,"t":1}\n{"tick":2}',
        b"[" * 5_000 + b'\n{"tick":1}\n' + b'{"x":' + b"[" * 5_000 + b'}\n{"tick":2}',
        b"\xef\xbb\xbf" + TICK + b"\n" + TICK,
        b"",
        b"\n",
    ],
)
def test_a_block_is_its_lines(block: bytes) -> None:
    check_block(block)


_good = st.sampled_from([POLAR, FLAT, CLAIM, TICK])
_junk = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b'"', b"\n", b" ", b"\\", b"null", b"1e999", b"-", b"NaN", b"\xff", b"9"]
)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    line = draw(_good)
    for _ in range(draw(st.integers(0, 2))):
        at, cut = draw(st.integers(0, len(line))), draw(st.integers(0, 3))
        line = line[:at] + draw(_junk | st.binary(max_size=3) | st.just(b"")) + line[at + cut :]
    return line


@settings(max_examples=400, deadline=None)
@given(st.lists(_good | _mutated(), max_size=8).map(b"\n".join))
def test_mutated_lines_cost_themselves_only(block: bytes) -> None:
    check_block(block)


_keys = st.sampled_from("tick t arr rng az el lat lon alt ve vn vu sp sa sv".split())
_values = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([0, 1, -1, 90, 360, 720, 1e6, 1e10])
)


@settings(max_examples=400, deadline=None)
@given(_good, st.dictionaries(_keys, _values, max_size=4), st.sampled_from(["R1", "R2", "A0", "X"]))
@example(POLAR, {"rng": 1e308, "az": 1e308}, "R1")
def test_a_block_obeys_the_law_for_one_line(line: bytes, changes: dict[str, Any], sensor: str) -> None:
    line = json.dumps({**json.loads(line), **changes, "s": sensor}).encode()
    law = ""
    try:
        DECODER.check(msgspec.json.decode(line, type=stream._Line))
    except Invalid as refused:
        law = str(refused)
    assert reason(line) == law
    lines, _ = DECODER.decode(b"\n".join([TICK, line, FLAT]))
    assert len(lines) == 3 - bool(law)
    for _, batch in DECODER.batches(lines, np.zeros(len(lines), np.int64)):
        check_plots(batch)  # what passes here, the core takes


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80) | _mutated())
def test_no_header_raises_anything_but_invalid(line: bytes) -> None:
    why = "malformed"
    try:
        stream.decode_header(line)
    except Invalid as refused:
        why = refused.reason
    assert why in {"malformed", "wrong-schema", "missing-field", "out-of-range"}


def test_batches_by_step_then_sensor_each_in_order_of_arrival() -> None:
    given_ = [("R2", 5.0), ("R1", 4.0), ("R2", 3.0), ("R1", 6.0), ("R2", 7.0)]
    text = "".join(
        json.dumps({"t": t, "arr": t + 0.1, "s": s, "k": "r2", "rng": 5.0, "az": 1.0}) + "\n" for s, t in given_
    )
    lines, _ = DECODER.decode(text.encode())
    found = DECODER.batches(lines, np.array([0, 0, 0, 1, 1]))
    assert [(step, b.sensor, b.rx_us, (b.t_us // 1_000_000).tolist()) for step, b in found] == [
        (0, "R1", 4_100_000, [4]),
        (0, "R2", 5_100_000, [5, 3]),
        (1, "R1", 6_100_000, [6]),
        (1, "R2", 7_100_000, [7]),
    ]


def test_an_answer_reads_back() -> None:
    lat, lon = np.radians([54.5, -10.25]), np.radians([24.0, -170.5])
    state = np.hstack([ecef(lat, lon, np.array([3_000.04, 50.0])), np.zeros((2, 3))])
    state[:, 3:] = np.einsum("nij,i->nj", enu_axes(lat, lon), [80.0, -12.344, 0.5])
    tracks = replace(table(2)[0], t_us=15_500_000, state=state, address=np.array([0x00A1F3, -1], np.int32))
    tracks.existence[:] = 0.98766, 1.0
    assert stream.encode(tracks) == (
        '{"time":15.5,"track_id":"1","lat":54.5,"lon":24.0,"alt":3000.0,"ve":80.0,"vn":-12.34,"vu":0.5,'
        '"existence":0.9877,"icao":"00a1f3"}\n'
        '{"time":15.5,"track_id":"2","lat":-10.25,"lon":-170.5,"alt":50.0,"ve":80.0,"vn":-12.34,"vu":0.5,'
        '"existence":1.0}\n'
        '{"tick":15.5,"n":2}\n'
    )
