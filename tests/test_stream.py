"""`vedette track`: answers to ticks, whatever way the bytes come, and that a bad line changes nothing but a count."""

from __future__ import annotations

import io
import json
import os
import select
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import stream as command
from adapters.formats import stream
from fusion.geo import geodetic, polar
from fusion.schema import Plots
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
    return run_from(io.BytesIO(data))


def run_from(inp: io.BytesIO | io.BufferedReader) -> tuple[int, list[dict[str, object]], str]:
    out, err = io.StringIO(), io.StringIO()
    status = command.run(inp, out, err)
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


WILD = b'{"t":%s,"arr":%s,"s":"R1","k":"r3","rng":30000,"az":1,"el":1}\n'


@pytest.mark.parametrize("at", [1, 20, 60])
@pytest.mark.parametrize("ahead_s", [7.0, 60.0, 1e9])
def test_one_wrong_clock_changes_nothing(at: int, ahead_s: float) -> None:
    """A plot that says that it arrived long after the tick that follows it: else all behind it would be late."""
    lines = text(scene()).splitlines(keepends=True)
    _, clean, _ = run(b"".join(lines))
    when = str(40.0 + ahead_s).encode()
    status, out, err = run(b"".join([*lines[:at], WILD % (when, when), *lines[at:]]))
    assert (status, out) == (0, clean)
    assert err == "1 plots skipped that say they arrived long after the tick behind them\n"


def test_without_a_tick_no_more_waits_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_PLOTS", 150)
    decoder, leaps = stream.Decoder(stream.decode_header(json.dumps(HEADER).encode())), command.Leaps()
    plots = [decoder.decode(WILD % ((b"%d" % t,) * 2))[0] for t in range(200)]
    came = [len(leaps.without(one)) for one in plots]
    assert came[:150] == [0] * 150
    assert (came[150], leaps.wrong) == (151, 0), "all of them, when there are too many"


def test_a_gap_of_hours_is_one_and_its_first_plots_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(got: dict[str, Any]) -> dict[str, Any]:
        return {name: value + 7_200.0 if name in ("t", "arr", "tick") else value for name, value in got.items()}

    later = [moved(got) for got in scene()[1:]]
    later.pop(next(k for k, got in enumerate(later) if "tick" in got))
    whole = text([*scene(), *later])
    _, out, err = run(whole)
    assert err == ""
    assert [got["n"] for got in out if "n" in got][-1] == 2
    monkeypatch.setattr(command, "READ_BYTES", 100)
    assert run(whole) == (0, out, "")


@pytest.mark.parametrize("head", [b"", b"{}\n", b'{"hdr":2,"sensors":[]}\n', b'{"hdr":1,"sensors":[{"s":"R"}]}\n'])
def test_a_bad_header_ends_with_two(head: bytes) -> None:
    status, out, err = run(head)
    assert (status, out) == (2, [])
    assert err.startswith("line 1: bad header: ")


class Dribble(io.RawIOBase):
    """A source that gives few bytes at once, as a pipe may."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._at, self._turn = data, sizes, 0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = min(self._sizes[self._turn % len(self._sizes)], len(buffer))
        piece = self._data[self._at : self._at + size]
        self._turn += 1
        self._at += len(piece)
        buffer[: len(piece)] = piece
        return len(piece)


def dribble(data: bytes, sizes: list[int]) -> io.BufferedReader:
    return io.BufferedReader(Dribble(data, sizes))


def test_how_the_bytes_arrive_does_not_matter() -> None:
    data = text(scene())
    lines = data.splitlines(keepends=True)
    data = b"".join([*lines[:20], b"{oops\n", *lines[20:]])
    whole = run(data)
    assert "line 21: malformed" in whole[2]
    for sizes in ([1], [7, 300], [50_000], [2, 1_000]):
        assert run_from(dribble(data, sizes)) == whole


def test_an_answer_comes_before_anything_more_is_sent() -> None:
    lines = text(scene()).splitlines(keepends=True)
    tick = next(k for k, got in enumerate(lines) if got.startswith(b'{"tick": 20'))
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err = io.StringIO()
    with open(in_read, "rb") as inp, open(out_write, "w", encoding="utf-8") as out:
        thread = threading.Thread(target=command.run, args=(inp, out, err))
        thread.start()
        got = b""
        try:
            os.write(in_write, b"".join(lines[: tick + 1]) + b'{"t": 20.1, "ar')  # half a line, and silence
            while b'"tick":20.0' not in got:
                assert select.select([out_read], [], [], 30.0)[0], f"no answer, only {got[-200:]!r}"
                got += os.read(out_read, 65_536)
            assert got.endswith(b'{"tick":20.0,"n":2}\n')
        finally:
            os.close(in_write)
            thread.join(30.0)
            os.close(out_read)
    assert "malformed" in err.getvalue()


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MAX_LINE_BYTES", 200)
    longest = 0
    for block in command.blocks(dribble(b"x" * 5_000 + b"\n" + b"y" * 200 + b"\nz", [90])):
        longest = max(longest, len(block))
    assert longest < 300
    data = text([HEADER]) + b'{"tick":1}\n' + b"{" * 5_000 + b'\n{"tick":2}\n' + b"}" * 201
    status, out, err = run_from(dribble(data, [100]))
    assert (status, [got["tick"] for got in out]) == (0, [1.0, 2.0])
    assert err.splitlines()[:2] == [f"line {n}: oversized: more than 200 bytes" for n in (3, 5)]


def test_hundreds_of_sensors() -> None:
    many = [{**HEADER["sensors"][0], "s": f"R{k:03d}"} for k in range(800)]  # type: ignore[index]
    data = text(
        [{"hdr": 1, "sensors": many}, {"t": 0.0, "arr": 0.1, "s": "R700", "k": "r3", "rng": 9e3, "az": 1, "el": 1}]
    )
    assert len(data) > stream.MAX_LINE_BYTES
    assert run(data + b'{"tick":1}\n') == (0, [{"tick": 1.0, "n": 0}], "")


class Recorder:
    """In place of the tracker: notes what every step got."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, list[tuple[str, int, list[int]]]]] = []

    def step(self, batches: list[Plots], now_us: int) -> int:
        self.steps.append((now_us, sorted((b.sensor, b.rx_us, b.t_us.tolist()) for b in batches)))
        return 0

    def table(self, t_us: int) -> None:
        return None


def by_hand(lines: list[dict[str, Any]], most: int) -> list[tuple[int, list[tuple[str, int, list[int]]]]]:
    """The steps of a stream, line by line."""
    steps: list[tuple[int, list[tuple[str, int, list[int]]]]] = []
    kept: dict[str, list[dict[str, Any]]] = {}
    window, age = -1, 0

    def step(now_us: int) -> None:
        found = [(s, max(p["arr"] for p in got), [p["t"] for p in got]) for s, got in sorted(kept.items())]
        steps.append((now_us, [(s, round(arr * 1e6), [round(t * 1e6) for t in ts]) for s, arr, ts in found]))
        kept.clear()

    for got in lines:
        if "tick" in got:
            step(round(got["tick"] * 1e6))
            age = 1
            continue
        mine = round(got["arr"] * 1e6) // command.WINDOW_US
        if mine > window or (age > 0 and age % most == 0):
            window = max(window, mine)
            step(window * command.WINDOW_US)
            age = 0
        kept.setdefault(got["s"], []).append(got)
        age += 1
    return steps


_plot = st.builds(
    lambda arr, late, s: {"t": (arr - late) / 100, "arr": arr / 100, "s": s, "k": "r2", "rng": 9e3, "az": 1.0},
    st.integers(100, 160), st.integers(0, 50), st.sampled_from(["R1", "R2"]),
)  # fmt: skip
_tick = st.builds(lambda t: {"tick": t / 100}, st.integers(100, 160))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(_plot | _plot | _plot | _tick, max_size=40), st.lists(st.integers(1, 400), min_size=1), st.integers(2, 9)
)
def test_windows_ticks_and_bounds_are_those_of_a_plain_loop(
    lines: list[dict[str, Any]], sizes: list[int], most: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder()
        patch.setattr(command, "MOST_PLOTS", most)
        patch.setattr(command, "MOST_PARTS", 2)
        patch.setattr(command, "Tracker", lambda sensors, params: recorder)
        patch.setattr(stream, "encode", lambda table: "")
        patch.setattr(command.Leaps, "without", lambda _, lines: lines)  # some have no tick
        assert command.run(dribble(text([HEADER, *lines]), sizes), io.StringIO(), io.StringIO()) == 0
    assert recorder.steps == by_hand(lines, most)
