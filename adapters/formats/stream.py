"""The plain stream of `vedette track`: JSON lines in, JSON lines out. Pure: text to types and back.

A header line, then plots and ticks in order of arrival; see docs/reference for every key. Degrees and seconds end
here: what comes out is radians and microseconds.

Lines are decoded by the block: one call for their text, and one array operation for a column of all of them. Which
line may be used is decided by `Decoder.check`, line by line; the arrays only find the lines that are beyond doubt.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import msgspec
import numpy as np

from fusion.geo import enu_axes, geodetic
from fusion.schema import B1, F8, I8, LIMITS, Invalid, PlotKind, Plots, SensorKind, SensorSpec, Tracks, fill

MAX_LINE_BYTES = 65_536  # without the newline
MAX_HEADER_BYTES = 1_048_576  # thousands of sensors
DEFAULT_CLUTTER = 30.0  # false plots a scan where the header says nothing: the tracker estimates it from there
HORIZON_RANGE_M = 450_000.0  # of an ADS-B receiver: line of sight to an airliner


class _Sensor(msgspec.Struct):
    s: str
    adsb: bool = False
    lat: float | None = None
    lon: float | None = None
    alt: float = 0.0
    dims: int = 2
    period: float = 1.0
    rmax: float = 400_000.0
    s_rng: float = 100.0
    s_az: float = 0.15
    s_el: float | None = None
    pd: float | None = None
    clutter_per_scan: float | None = None
    lat_s: float | None = None


class _Header(msgspec.Struct):
    hdr: int
    sensors: list[_Sensor]
    tick: float = 1.0
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
_NUMBERS = 3 + len(_POLAR) + len(_POSITION)  # the fields of _Line before `s`; the first three are times
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
    """The sensors of a header line, in order of id.

    Raises:
        Invalid: `malformed` (not JSON of this shape), `wrong-schema` (not `"hdr":1`, or a sensor twice),
            `missing-field` (a radar without a place), `out-of-range`.
    """
    try:
        head = _HEADER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", str(error)) from None
    if head.hdr != 1:
        raise Invalid("wrong-schema", f"hdr {head.hdr}, expected 1")
    ids = [sensor.s for sensor in head.sensors]
    if len(dict.fromkeys(ids)) != len(ids):
        raise Invalid("wrong-schema", "a sensor is named twice")
    ordered = sorted(head.sensors, key=lambda sensor: sensor.s)
    return tuple(_spec(sensor, index) for index, sensor in enumerate(ordered))


def _spec(sensor: _Sensor, index: int) -> SensorSpec:
    latency_s = 0.5 if sensor.lat_s is None else sensor.lat_s
    detection = 0.9 if sensor.pd is None else sensor.pd
    clutter = DEFAULT_CLUTTER if sensor.clutter_per_scan is None else sensor.clutter_per_scan
    if not (0.0 < sensor.period < 3_600.0 and 0.0 <= latency_s < 3_600.0):
        raise Invalid("out-of-range", f"period or lat_s of sensor {sensor.s}")
    if not (0.0 < detection <= 1.0 and 0.0 <= clutter < 1e6):
        raise Invalid("out-of-range", f"pd or clutter_per_scan of sensor {sensor.s}")
    if sensor.adsb:
        return SensorSpec(
            sensor.s,
            index,
            SensorKind.ADSB,
            period_s=sensor.period,
            range_max_m=HORIZON_RANGE_M,
            detection_probability=detection,
            clutter_per_scan=clutter,
            latency_s=latency_s,
        )
    if sensor.lat is None or sensor.lon is None:
        raise Invalid("missing-field", f"lat or lon of sensor {sensor.s}")
    three = sensor.dims == 3 and sensor.s_el is not None
    fine = (
        abs(sensor.lat) <= 90.0
        and abs(sensor.lon) <= 180.0
        and 0.0 < sensor.rmax <= 1e6
        and 0.1 <= sensor.s_rng <= 50_000.0
        and 1e-4 <= sensor.s_az <= 180.0
    )
    if not fine or (three and not 1e-4 <= float(sensor.s_el or 0.0) <= 180.0):
        raise Invalid("out-of-range", f"a number of sensor {sensor.s}")
    return SensorSpec(
        sensor.s,
        index,
        SensorKind.RADAR_3D if three else SensorKind.RADAR_2D,
        math.radians(sensor.lat),
        math.radians(sensor.lon),
        sensor.alt,
        sensor.period,
        sensor.rmax,
        sensor.s_rng,
        math.radians(sensor.s_az),
        math.radians(float(sensor.s_el or 0.0)) if three else math.nan,
        detection_probability=detection,
        clutter_per_scan=clutter,
        latency_s=latency_s,
    )


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
        (tick, t, arr), values = numbers[:3], numbers[3:]
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
    return Lines(none, none, none, none, np.empty((_NUMBERS - 3, 0)))


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
        value = -1 if text is None else int(text, 16)
    except ValueError:
        return -2
    return value if -1 <= value <= 0xFFFFFF else -2


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
    if not _within((line.rng, line.az, line.el), 0):
        raise Invalid("out-of-range", "rng, az or el")


def _check_position(line: _Line) -> None:
    if not (_given(line.lat) and _given(line.lon)):
        raise Invalid("missing-field", "lat or lon")
    address = -1
    if line.icao is not None:
        try:
            address = int(line.icao, 16)
        except ValueError:
            raise Invalid("malformed", f"icao {line.icao!r}") from None
    values = (line.lat, line.lon, line.alt, line.ve, line.vn, line.vu, line.sp, line.sa, line.sv)
    if not (-1 <= address <= 0xFFFFFF and _within(values, _LAT)):
        raise Invalid("out-of-range", "a number of the report")


def _within(values: Sequence[_Number], first: int) -> bool:
    """Is every number given within its limits? `values` are rows `first` and on of Lines.values, still in degrees."""
    for row, value in enumerate(values, first):
        if value is not None:
            number = math.radians(value) if row in (_EL, _LAT, _LON) else value
            if number < _LOW[row, 0] or number > _HIGH[row, 0]:
                return False
    return True


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
