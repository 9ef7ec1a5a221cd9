"""The plain stream of `vedette track`: JSON lines in, JSON lines out. Pure: text to types and back.

A header line, then plots and ticks in order of arrival; see docs/reference for every key. Degrees and seconds end
here: what comes out is radians and microseconds.

Lines are decoded by the block: one call for their text, and one array operation for a column of all of them. Which
line may be used is decided by `Decoder.check`, line by line; the arrays only find the lines that are beyond doubt.
"""

from __future__ import annotations

import math
import struct
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import msgspec
import numpy as np

from fusion.geo import enu_axes, geodetic
from fusion.schema import B1, F8, I8, LIMITS, Invalid, PlotKind, Plots, SensorKind, SensorSpec, Tracks, fill

MAX_LINE_BYTES = 65_536  # without the newline
MAX_HEADER_BYTES = 1_048_576  # thousands of sensors
DEFAULT_CLUTTER = 30.0  # false plots a scan where the header says nothing: the tracker estimates it from there
HORIZON_RANGE_M = 450_000.0  # of an ADS-B receiver: line of sight to an airliner
_OF_ALL = ("period", "lat_s", "pd", "clutter_per_scan")
_OF_RADARS = ("lat", "lon", "alt", "rmax", "s_rng", "s_az")
_SENSOR_LIMITS = {  # inclusive, in the units of the header
    "period": (1e-3, 3_600.0),
    "lat_s": (0.0, 3_600.0),
    "pd": (1e-6, 1.0),
    "clutter_per_scan": (0.0, 1e6),
    "lat": (-90.0, 90.0),
    "lon": (-180.0, 180.0),
    "alt": LIMITS["height_m"],
    "rmax": (1.0, 1e6),
    "s_rng": (0.1, 50_000.0),
    "s_az": (1e-4, 180.0),
    "s_el": (1e-4, 180.0),
}


class _Sensor(msgspec.Struct):
    s: str
    adsb: bool = False
    lat: float | None = None
    lon: float | None = None
    alt: float = 0.0
    dims: float = 2
    period: float = 1.0
    rmax: float = 400_000.0
    s_rng: float = 100.0
    s_az: float = 0.15
    s_el: float | None = None
    pd: float = 0.9
    clutter_per_scan: float = DEFAULT_CLUTTER
    lat_s: float = 0.5


class _Header(msgspec.Struct):
    hdr: float
    sensors: list[dict[str, Any]]  # of _Sensor, once what is null is left out
    tick: float | None = None
    origin: list[float] | None = None


_Number = float | None  # null is the same as nothing
_NAN = math.nan
TICK = -1  # in place of a sensor's index


class _Line(msgspec.Struct, gc=False):
    tick: _Number = _NAN
    t: _Number = _NAN
    arr: _Number = _NAN
    rng: _Number = _NAN
    az: _Number = _NAN
    el: _Number = _NAN
    lat: _Number = _NAN
    lon: _Number = _NAN
    alt: _Number = _NAN
    ve: _Number = _NAN
    vn: _Number = _NAN
    vu: _Number = _NAN
    sp: _Number = _NAN
    sa: _Number = _NAN
    sv: _Number = _NAN
    s: str = ""
    k: str = ""
    icao: str | None = None


_POLAR = "range_m azimuth_rad elevation_rad".split()
_POSITION = (
    "lat_rad lon_rad height_m velocity_east_mps velocity_north_mps velocity_up_mps "
    "sigma_position_m sigma_height_m sigma_velocity_mps"
).split()
_TIMES = 3  # the first fields of _Line
_NUMBERS = _TIMES + len(_POLAR) + len(_POSITION)  # the fields of _Line before `s`
_RNG, _AZ, _EL, _LAT, _LON = range(5)  # rows of Lines.values
_MAX_TIME_S = 1e10
_MAX_AZIMUTH_DEG = 720.0
_LIMITS = np.array([LIMITS[name] for name in (*_POLAR, *_POSITION)])
_LIMITS[_AZ] = -_MAX_AZIMUTH_DEG, _MAX_AZIMUTH_DEG
_LOW, _HIGH = _LIMITS[:, :1], _LIMITS[:, 1:]
_HEADER = msgspec.json.Decoder(_Header)
_LINE = msgspec.json.Decoder(_Line)
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Lines:
    """Plots and ticks in order of arrival, n of them."""

    sensor: I8  # (n,) index; TICK for a tick
    t_us: I8  # (n,) measured; a tick's own time
    rx_us: I8  # (n,) arrived; a tick's own time
    address: I8  # (n,) -1 none
    values: F8  # (12, n) what _POLAR and _POSITION name; NaN: not given

    def __len__(self) -> int:
        return len(self.t_us)

    def part(self, rows: I8 | B1 | slice) -> Lines:
        """Only these rows."""
        return Lines(self.sensor[rows], self.t_us[rows], self.rx_us[rows], self.address[rows], self.values[:, rows])


def join(parts: Sequence[Lines]) -> Lines:
    """One after the other."""
    if len(parts) == 1:
        return parts[0]
    return Lines(
        np.concatenate([part.sensor for part in parts]),
        np.concatenate([part.t_us for part in parts]),
        np.concatenate([part.rx_us for part in parts]),
        np.concatenate([part.address for part in parts]),
        np.concatenate([part.values for part in parts], axis=1),
    )


def decode_header(line: bytes) -> tuple[SensorSpec, ...]:
    """The sensors of a header line, in order of id. What is null counts as not given.

    Raises:
        Invalid: `malformed` (not JSON of this shape), `wrong-schema` (not `"hdr":1`, or a sensor twice),
            `missing-field` (no line at all, or a radar without a place), `out-of-range`.
    """
    if not line.strip():
        raise Invalid("missing-field", "the input is empty, or begins with an empty line")
    try:
        head = _HEADER.decode(line.removeprefix(BOM_UTF8))
    except _UNREADABLE as error:
        raise Invalid("malformed", str(error)) from None
    if head.hdr != 1:
        raise Invalid("wrong-schema", f"hdr {head.hdr:g}, expected 1")
    sensors = [_sensor(number, given) for number, given in enumerate(head.sensors)]
    for name, times in Counter(sensor.s for sensor in sensors).items():
        if times > 1:
            raise Invalid("wrong-schema", f"a sensor is named twice: {name!r}")
    ordered = sorted(sensors, key=lambda sensor: sensor.s)
    return tuple(_spec(sensor, index) for index, sensor in enumerate(ordered))


def _sensor(number: int, given: Mapping[str, object]) -> _Sensor:
    try:
        return msgspec.convert({name: value for name, value in given.items() if value is not None}, _Sensor)
    except msgspec.ValidationError as error:
        raise Invalid("malformed", f"{error}, sensor {given.get('s', number)!r}") from None


def _spec(sensor: _Sensor, index: int) -> SensorSpec:
    three = sensor.dims == 3 and sensor.s_el is not None
    _check_sensor(sensor, three)
    common = {
        "period_s": sensor.period,
        "detection_probability": sensor.pd,
        "clutter_per_scan": sensor.clutter_per_scan,
        "latency_s": sensor.lat_s,
    }
    if sensor.adsb:
        return SensorSpec(sensor.s, index, SensorKind.ADSB, range_max_m=HORIZON_RANGE_M, **common)
    if sensor.lat is None or sensor.lon is None:
        raise Invalid("missing-field", f"lat or lon of sensor {sensor.s!r}")
    return SensorSpec(
        sensor.s,
        index,
        SensorKind.RADAR_3D if three else SensorKind.RADAR_2D,
        math.radians(sensor.lat),
        math.radians(sensor.lon),
        sensor.alt,
        range_max_m=sensor.rmax,
        sigma_range_m=sensor.s_rng,
        sigma_azimuth_rad=math.radians(sensor.s_az),
        sigma_elevation_rad=math.radians(float(sensor.s_el or 0.0)) if three else math.nan,
        **common,
    )


def _check_sensor(sensor: _Sensor, three: bool) -> None:
    names = _OF_ALL if sensor.adsb else (*_OF_ALL, *_OF_RADARS, "s_el") if three else (*_OF_ALL, *_OF_RADARS)
    for name in names:
        value, (low, high) = getattr(sensor, name), _SENSOR_LIMITS[name]
        if value is not None and not low <= value <= high:
            raise Invalid("out-of-range", f"{name} {value:g} of sensor {sensor.s!r}, expected {low:g} to {high:g}")


class Decoder:
    """Lines after the header, for the sensors that the header named (in order of index)."""

    def __init__(self, sensors: Sequence[SensorSpec]) -> None:
        self._sensors = tuple(sensors)
        self._polar = {spec.id: spec.has_site for spec in sensors}
        self._is_polar = np.array([*self._polar.values(), False])  # the last is for what no sensor sent
        self._codes: dict[tuple[str, str], int] = {}  # twice the sensor's index, and one where there must be elevation
        for spec in sensors:
            for kind in ("r2", "r3") if spec.has_site else ("adsb",):
                self._codes[spec.id, kind] = 2 * spec.index + (kind == "r3")

    def decode(self, block: bytes) -> tuple[Lines, list[tuple[int, Invalid]]]:
        """Whole lines: those that can be used, and of the others the place in the block (from 0) and why not.

        Why not: `oversized`, `malformed`, `wrong-schema` (unknown kind of plot), `missing-field`, `out-of-range`,
            `unknown-sensor`, `wrong-sensor-kind`. An empty line is nothing.
        """
        rows, at, refused = _read(block)
        if not rows:
            return _nothing(), refused
        columns = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        numbers = _floats(columns[:_NUMBERS])
        s, k, icao = columns[_NUMBERS:]
        code = np.array([self._codes.get(pair, -1) for pair in zip(s, k, strict=True)])
        address = _addresses(icao)
        (tick, t, arr), values = numbers[:_TIMES], numbers[_TIMES:]
        values[_EL : _LON + 1] = np.radians(values[_EL : _LON + 1])
        is_tick = ~np.isnan(tick)
        t, arr = np.where(is_tick, tick, t), np.where(is_tick, tick, arr)
        fine = (is_tick | self._sure(code, address, values)) & (np.abs(t) < _MAX_TIME_S) & (np.abs(arr) < _MAX_TIME_S)
        if not fine.all():
            for row in np.flatnonzero(~fine).tolist():
                try:
                    self.check(rows[row])
                except Invalid as why:
                    refused.append((at[row], why))
                else:
                    fine[row] = True
            refused.sort(key=lambda pair: pair[0])
            code, t, arr, address, values = code[fine], t[fine], arr[fine], address[fine], values[:, fine]
            is_tick = is_tick[fine]
        values[_AZ] = np.radians(values[_AZ] % 360.0)
        sensor = np.where(is_tick, TICK, code >> 1)
        return Lines(sensor, _us(t), _us(arr), address, values), refused

    def _sure(self, code: I8, address: I8, values: F8) -> B1:
        """(n,) plots that `check` would certainly pass, but for their times."""
        polar = self._is_polar[code >> 1]
        given = ~np.isnan(values[: _LON + 1])
        complete = np.where(polar, given[_RNG] & given[_AZ], given[_LAT] & given[_LON])
        complete &= given[_EL] | (code & 1 == 0)
        outside = ((values < _LOW) | (values > _HIGH)).any(axis=0) | (address < -1) | (address > 0xFFFFFF)
        return np.asarray((code >= 0) & complete & ~outside)

    def check(self, line: _Line) -> None:
        """The law for one line that could be read.

        Raises:
            Invalid: see `decode`.
        """
        if _given(line.tick):
            return _check_time(line.tick)
        if not (_given(line.t) and _given(line.arr)):
            raise Invalid("missing-field", "t or arr")
        if line.k not in {"r2", "r3", "adsb"}:
            raise Invalid("wrong-schema", f"kind {line.k!r}, expected r2, r3 or adsb")
        _check_time(line.t)
        _check_time(line.arr)
        if line.k == "adsb":
            _check_position(line)
        else:
            _check_polar(line)
        if line.s not in self._polar:
            raise Invalid("unknown-sensor", line.s)
        if self._polar[line.s] != (line.k != "adsb"):
            raise Invalid("wrong-sensor-kind", line.s)
        return None

    def batches(self, lines: Lines, step: I8) -> Iterator[tuple[int, Plots]]:
        """(step, batch) for every sensor within every step, by step, then sensor; ticks fall.

        Args:
            lines: as `decode` gives them.
            step: (n,) to which step each line belongs, rising, from 0.

        A batch arrived when the last of its plots did. Its plots are in order of arrival.
        """
        many = len(self._sensors)
        rows = np.flatnonzero(lines.sensor != TICK)
        if len(rows) == 0:
            return
        key = step[rows] * many + lines.sensor[rows]
        order = np.argsort(key, kind="stable")
        lines, key = lines.part(rows[order]), key[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        arrived = np.maximum.reduceat(lines.rx_us, first).tolist()
        columns = list(lines.values)
        ends = [*first[1:].tolist(), len(key)]
        for a, b, number, rx_us in zip(first.tolist(), ends, key[first].tolist(), arrived, strict=True):
            spec, t_us = self._sensors[number % many], lines.t_us[a:b]
            if self._polar[spec.id]:
                r, az, el = (column[a:b] for column in columns[: len(_POLAR)])
                batch = fill(spec.id, PlotKind.POLAR, rx_us, t_us, range_m=r, azimuth_rad=az, elevation_rad=el)
            else:
                given = {name: column[a:b] for name, column in zip(_POSITION, columns[len(_POLAR) :], strict=True)}
                address = lines.address[a:b]
                batch = fill(spec.id, PlotKind.POSITION, rx_us, t_us, -1, -1, address=address, **given)
            yield number // many, batch


def _nothing() -> Lines:
    none = np.empty(0, np.int64)
    return Lines(none, none, none, none, np.empty((_NUMBERS - _TIMES, 0)))


def _read(block: bytes) -> tuple[list[_Line], Sequence[int], list[tuple[int, Invalid]]]:
    """The lines that can be read, their places in the block, and why the others cannot.

    The quick way reads the whole block in one call. That would also take two values on a line, or one that goes on
    over a newline. Where every line begins with a brace and ends with one, the second cannot be: a string holds no
    newline, and inside an object or array no brace may open after one that closes. So there is a value on each line,
    and as many values as lines means one on each.
    """
    text = block[:-1] if block.endswith(b"\n") else block
    newlines = text.count(b"\n")
    braced = text.startswith(b"{") and text.endswith(b"}") and newlines == text.count(b"}\n{")
    if braced and len(text) <= MAX_LINE_BYTES:
        try:
            rows = _LINE.decode_lines(text)
        except _UNREADABLE:
            rows = []
        if len(rows) == newlines + 1:
            return rows, range(len(rows)), []
    return _read_slowly(text)


def _read_slowly(text: bytes) -> tuple[list[_Line], list[int], list[tuple[int, Invalid]]]:
    rows: list[_Line] = []
    at: list[int] = []
    refused: list[tuple[int, Invalid]] = []
    for number, line in enumerate(text.split(b"\n")):
        if len(line) > MAX_LINE_BYTES:
            refused.append((number, Invalid("oversized", f"more than {MAX_LINE_BYTES} bytes")))
        elif line.strip():
            try:
                rows.append(_LINE.decode(line))
                at.append(number)
            except _UNREADABLE as error:
                refused.append((number, Invalid("malformed", str(error))))
    return rows, at, refused


def _floats(columns: Sequence[tuple[_Number, ...]]) -> F8:
    """Columns of numbers as an array (columns, n). `struct` takes a number in 4 ns, numpy in 25."""
    n = len(columns[0])
    pack = struct.Struct(f"{n}d").pack
    try:
        packed = bytearray().join([pack(*column) for column in columns])
    except struct.error:  # a null
        return np.array(columns, np.float64)
    return np.frombuffer(packed).reshape(len(columns), n)


def _addresses(icao: Sequence[str | None]) -> I8:
    try:
        return np.array([-1 if text is None else int(text, 16) for text in icao], np.int64)
    except (ValueError, OverflowError):
        return np.array([_address(text) for text in icao], np.int64)


def _address(text: str | None) -> int:
    """-1 for none; far outside for what is not a 24-bit number."""
    try:
        value = _icao(text)
    except ValueError:
        return -2
    return value if -1 <= value <= 0xFFFFFF else -2


def _icao(text: str | None) -> int:
    """-1 for none, also where it is empty or marked with `~`: an address that ICAO did not give. Raises ValueError."""
    return int(text, 16) if text and not text.startswith("~") else -1


def _us(seconds: F8) -> I8:
    return np.rint(seconds * 1e6).astype(np.int64)


def _given(value: _Number) -> bool:
    return value is not None and not math.isnan(value)


def _check_time(seconds: _Number) -> None:
    if seconds is None or not abs(seconds) < _MAX_TIME_S:
        raise Invalid("out-of-range", f"time {seconds}")


def _check_polar(line: _Line) -> None:
    if not (_given(line.rng) and _given(line.az)) or (line.k == "r3" and not _given(line.el)):
        raise Invalid("missing-field", "rng, az or el")
    _check_limits((line.rng, line.az, line.el), 0)


def _check_position(line: _Line) -> None:
    if not (_given(line.lat) and _given(line.lon)):
        raise Invalid("missing-field", "lat or lon")
    try:
        address = _icao(line.icao)
    except ValueError:
        raise Invalid("malformed", f"icao {line.icao!r}") from None
    values = (line.lat, line.lon, line.alt, line.ve, line.vn, line.vu, line.sp, line.sa, line.sv)
    if not -1 <= address <= 0xFFFFFF:
        raise Invalid("out-of-range", f"icao {line.icao!r} is no address of 24 bits")
    _check_limits(values, _LAT)


def _check_limits(values: Sequence[_Number], first: int) -> None:
    """Is every number given within its limits? `values` are rows `first` and on of Lines.values, still in degrees."""
    for row, value in enumerate(values, first):
        if value is not None:
            number = math.radians(value) if row in (_EL, _LAT, _LON) else value
            if number < _LOW[row, 0] or number > _HIGH[row, 0]:
                raise Invalid("out-of-range", f"{_Line.__struct_fields__[_TIMES + row]} {value:g}")


class _Track(msgspec.Struct, gc=False, omit_defaults=True):
    """One line of an answer."""

    time: float
    track_id: str
    lat: float
    lon: float
    alt: float
    ve: float
    vn: float
    vu: float
    existence: float
    icao: str | None = None


class _End(msgspec.Struct, gc=False):
    """The last line of an answer."""

    tick: float
    n: int


_ENCODER = msgspec.json.Encoder()


def encode(tracks: Tracks) -> str:
    """The answer to a tick: one line a track, then the closing line."""
    seconds = tracks.t_us / 1e6
    lat, lon, alt = geodetic(tracks.state[:, :3])
    ve, vn, vu = _local(tracks.state[:, 3:], lat, lon)
    columns = (
        map(str, tracks.id.tolist()),
        np.round(np.degrees(lat), 7).tolist(),
        np.round(np.degrees(lon), 7).tolist(),
        np.round(alt, 1).tolist(),
        np.round(ve, 2).tolist(),
        np.round(vn, 2).tolist(),
        np.round(vu, 2).tolist(),
        np.round(tracks.existence, 4).tolist(),
        [f"{address:06x}" if address >= 0 else None for address in tracks.address.tolist()],
    )
    lines: list[_Track | _End] = list(map(_Track, repeat(seconds), *columns))
    lines.append(_End(seconds, len(tracks)))
    return _ENCODER.encode_lines(lines).decode()


def _local(velocity: F8, lat_rad: F8, lon_rad: F8) -> Iterator[F8]:
    """ECEF velocity (n, 3) along east, north, up at each place; plain sums, so that no BLAS enters the output."""
    axes = enu_axes(lat_rad, lon_rad)
    return ((axes[:, k] * velocity).sum(axis=1) for k in range(3))
