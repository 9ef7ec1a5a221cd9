"""The plain stream: header, plots, ticks, answers, and that a bad line changes nothing but a count."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import stream as command
from adapters.formats import stream
from fusion.geo import geodetic, polar
from fusion.schema import Invalid, PlotKind, SensorKind
from tests.sky import RADAR, SITES, line, place

HEADER = {
    "hdr": 1,
    "tick": 1.0,
    "origin": [54.5, 24.0],
    "sensors": [
        {"s": "R1", "lat": 54.5, "lon": 24.0, "alt": 150.0, "dims": 3, "period": 5.0, "rmax": 200000.0,
         "s_rng": 60.0, "s_az": 0.1, "s_el": 0.3},
        {"s": "R2", "lat": 54.6, "lon": 24.1, "dims": 2, "period": 4.0, "rmax": 100000.0, "s_rng": 50.0, "s_az": 0.08,
         "s_el": None, "pd": 0.8, "clutter_per_scan": 12, "lat_s": 0.3},
        {"s": "A0", "adsb": True, "period": 1.0},
    ],
}  # fmt: skip


def scene(seconds: int = 40) -> list[dict[str, object]]:
    """An aircraft with ADS-B and a drone without, both in view of R1; ticks every five seconds."""
    rng = np.random.default_rng(1)
    aircraft, drone = line(-40_000, 30_000, 3_000, 80, 20), line(30_000, 40_000, 400, -40, -30)
    lines: list[tuple[float, dict[str, object]]] = []
    for t in range(seconds):
        lat, lon, alt = (float(v[0]) for v in geodetic(place(aircraft, float(t))[None]))
        report: dict[str, object] = {"icao": "48a1f3", "lat": np.degrees(lat), "lon": np.degrees(lon), "alt": alt}
        report |= {"ve": 80.0, "vn": 20.0, "vu": 0.0, "sp": 10.0, "sa": 15.0, "sv": 1.0}
        lines.append((t + 0.4, {"t": float(t), "arr": t + 0.4, "s": "A0", "k": "adsb", **report}))
        if t % 5 == 0:
            lines.append((float(t) + 1e-3, {"tick": float(t)}))
            for path in (aircraft, drone):
                r, az, el = (float(v[0]) for v in polar(SITES[RADAR.index], place(path, float(t))[None]))
                noise = rng.normal(size=3) * (60.0, 0.1, 0.3)
                plot = {"rng": r + noise[0], "az": (np.degrees(az) + noise[1]) % 360, "el": np.degrees(el) + noise[2]}
                lines.append((t + 0.3, {"t": float(t), "arr": t + 0.3, "s": "R1", "k": "r3", **plot}))
    lines.append((float(seconds), {"tick": float(seconds)}))
    return [HEADER, *(got for _, got in sorted(lines, key=lambda pair: pair[0]))]


def text(lines: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(got) + "\n" for got in lines).encode()


def run(data: bytes) -> tuple[int, list[dict[str, object]], str]:
    out, err = io.StringIO(), io.StringIO()
    status = command.run(io.BytesIO(data), out, err)
    return status, [json.loads(got) for got in out.getvalue().splitlines()], err.getvalue()


def test_two_objects_two_tracks_with_place_and_velocity() -> None:
    status, out, err = run(text(scene()))
    assert (status, err) == (0, "")
    ends = [got for got in out if "tick" in got]
    assert [got["tick"] for got in ends] == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]
    last = [got for got in out if got.get("time") == 40.0]
    assert ends[-1]["n"] == len(last) == 2
    (plane,) = (got for got in last if got.get("icao") == "48a1f3")
    assert (plane["ve"], plane["vn"]) == (pytest.approx(80.0, abs=2.0), pytest.approx(20.0, abs=2.0))
    (drone,) = (got for got in last if "icao" not in got)
    lat, lon, _ = (float(v[0]) for v in geodetic(place(line(30_000, 40_000, 400, -40, -30), 40.0)[None]))
    assert drone["lat"] == pytest.approx(np.degrees(lat), abs=0.004)
    assert drone["lon"] == pytest.approx(np.degrees(lon), abs=0.007)


def test_only_what_came_before_a_tick_is_used_for_its_answer() -> None:
    lines = scene()
    cut = next(k for k, got in enumerate(lines) if got.get("tick") == 25.0)
    _, whole, _ = run(text(lines))
    _, part, _ = run(text(lines[: cut + 1]))
    assert part == whole[: len(part)]


def test_a_bad_line_is_reported_once_and_changes_nothing() -> None:
    lines = text(scene()).splitlines(keepends=True)
    _, clean, _ = run(b"".join(lines))
    bad = [
        b"{nonsense\n", b'{"t":1,"arr":1,"s":"R9","k":"r2","rng":1,"az":1}\n', b"\xff\xfe\n", b"\n",
        b'{"t":1,"arr":1,"s":"R1","k":"r3","rng":1,"az":1}\n', b'{"t":1,"arr":1,"s":"R1","k":"r2","rng":-5,"az":1}\n',
        b'{"t":NaN,"arr":1,"s":"R1","k":"r2","rng":5,"az":1}\n', b'{"t":1,"arr":1,"s":"A0","k":"r2","rng":5,"az":1}\n',
        b'{"t":1,"arr":1,"s":"A0","k":"adsb","lat":95,"lon":1}\n', b'{"t":1,"arr":1,"s":"R1","k":"sonar"}\n', b"7\n",
    ]  # fmt: skip
    status, out, err = run(b"".join([lines[0], *bad, *lines[1:]]))
    assert status == 0
    assert out == clean
    assert err.count("\n") == len(bad)  # one each but for the empty line, and the sum
    assert err.endswith(f"{len(bad) - 1} malformed lines skipped\n")
    for number, reason in ((2, "malformed"), (3, "unknown-sensor"), (6, "missing-field"), (7, "out-of-range")):
        assert f"line {number}: {reason}" in err
    assert "line 9: wrong-sensor-kind" in err


@pytest.mark.parametrize("head", [b"", b"{}\n", b'{"hdr":2,"sensors":[]}\n', b'{"hdr":1,"sensors":[{"s":"R"}]}\n'])
def test_a_bad_header_ends_with_two(head: bytes) -> None:
    status, out, err = run(head)
    assert (status, out) == (2, [])
    assert err.startswith("line 1: bad header: ")


def test_header_becomes_sensors_in_order_of_id() -> None:
    adsb, three, two = stream.decode_header(json.dumps(HEADER).encode())
    assert [s.id for s in (adsb, three, two)] == ["A0", "R1", "R2"]
    assert [s.kind for s in (adsb, three, two)] == [SensorKind.ADSB, SensorKind.RADAR_3D, SensorKind.RADAR_2D]
    assert (two.detection_probability, two.clutter_per_scan, two.latency_s) == (0.8, 12.0, 0.3)
    assert three.sigma_elevation_rad == pytest.approx(np.radians(0.3))
    assert np.isnan(two.sigma_elevation_rad)
    assert not adsb.has_site


def test_plots_arrive_in_radians_and_microseconds() -> None:
    got = stream.decode_line(b'{"t":12.3456,"arr":12.7012,"s":"R1","k":"r3","rng":83211.4,"az":-90,"el":1.5}')
    assert isinstance(got, stream.Plot)
    assert (got.t_us, got.rx_us, got.kind) == (12_345_600, 12_701_200, PlotKind.POLAR)
    assert got.values == pytest.approx((83211.4, np.radians(270.0), np.radians(1.5)))
    assert stream.decode_line(b'{"tick":15}') == stream.Tick(15_000_000)


_numbers = st.one_of(st.floats(), st.integers(), st.text(max_size=5), st.none(), st.booleans())
_keys = st.sampled_from("tick t arr s k rng az el icao lat lon alt ve vn vu sp sa sv x".split())


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.dictionaries(_keys, _numbers).map(lambda d: json.dumps(d).encode())))
def test_no_line_raises_anything_but_invalid(line_of: bytes) -> None:
    for decode in (stream.decode_line, stream.decode_header):
        reason, got = "", None
        try:
            got = decode(line_of)
        except Invalid as refused:
            reason = refused.reason
        assert reason in {"", "oversized", "malformed", "wrong-schema", "missing-field", "out-of-range"}
        assert (got is None) == bool(reason)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["r2", "r3", "adsb"]),
    st.dictionaries(_keys, st.floats(allow_nan=False, allow_infinity=False, width=32), min_size=8),
)
def test_whatever_decodes_makes_a_valid_batch(kind: str, numbers: dict[str, float]) -> None:
    numbers.pop("icao", None)
    numbers.pop("tick", None)
    try:
        got = stream.decode_line(json.dumps({**numbers, "s": "R1", "k": kind}).encode())
    except Invalid:
        return
    assert isinstance(got, stream.Plot)
    assert len(stream.batch("R1", [got])) == 1
