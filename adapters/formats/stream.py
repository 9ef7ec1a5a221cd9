"""The plain stream of `vedette track`: JSON lines in, JSON lines out. Pure: text to types and back.

A header line, then plots and ticks in order of arrival; see docs/reference for every key. Degrees and seconds end
here: what comes out is radians and microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from fusion import schema
from fusion.geo import enu_axes, geodetic
from fusion.schema import F8, Invalid, PlotKind, Plots, SensorKind, SensorSpec, Tracks

MAX_LINE_BYTES = 65_536
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


class _Line(msgspec.Struct):
    tick: float | None = None
    t: float | None = None
    arr: float | None = None
    s: str = ""
    k: str = ""
    rng: float | None = None
    az: float | None = None
    el: float | None = None
    icao: str | None = None
    lat: float | None = None
    lon: float | None = None
    alt: float | None = None
    ve: float | None = None
    vn: float | None = None
    vu: float | None = None
    sp: float | None = None
    sa: float | None = None
    sv: float | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """The arrival clock has reached this time."""

    t_us: int


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot: sensor, times, and its numbers in the order that `batch` knows."""

    sensor: str
    t_us: int
    rx_us: int
    kind: PlotKind
    address: int
    values: tuple[float, ...]  # POLAR: range, azimuth, elevation; POSITION: lat, lon, height, ve, vn, vu, sp, sa, sv


_header = msgspec.json.Decoder(_Header)
_line = msgspec.json.Decoder(_Line)
_POLAR = ("range_m", "azimuth_rad", "elevation_rad")
_POSITION = (
    "lat_rad lon_rad height_m velocity_east_mps velocity_north_mps velocity_up_mps "
    "sigma_position_m sigma_height_m sigma_velocity_mps"
).split()


def decode_header(line: bytes) -> tuple[SensorSpec, ...]:
    """The sensors of a header line, in order of id.

    Raises:
        Invalid: `malformed` (not JSON of this shape), `wrong-schema` (not `"hdr":1`, or a sensor twice),
            `missing-field` (a radar without a place), `out-of-range`.
    """
    try:
        head = _header.decode(line)
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
    if not (0.0 < sensor.period < 3_600.0 and 0.0 <= latency_s < 3_600.0):
        raise Invalid("out-of-range", f"period or lat_s of sensor {sensor.s}")
    if sensor.adsb:
        return SensorSpec(
            sensor.s, index, SensorKind.ADSB, period_s=sensor.period, range_max_m=HORIZON_RANGE_M, latency_s=latency_s
        )
    if sensor.lat is None or sensor.lon is None:
        raise Invalid("missing-field", f"lat or lon of sensor {sensor.s}")
    three = sensor.dims == 3 and sensor.s_el is not None
    detection = 0.9 if sensor.pd is None else sensor.pd
    clutter = DEFAULT_CLUTTER if sensor.clutter_per_scan is None else sensor.clutter_per_scan
    fine = (
        abs(sensor.lat) <= 90.0
        and abs(sensor.lon) <= 180.0
        and 0.0 < sensor.rmax <= 1e6
        and 0.1 <= sensor.s_rng <= 50_000.0
        and 1e-4 <= sensor.s_az <= 180.0
        and 0.0 < detection <= 1.0
        and 0.0 <= clutter < 1e6
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


def decode_line(line: bytes) -> Tick | Plot:
    """One line after the header.

    Raises:
        Invalid: `oversized`, `malformed`, `wrong-schema` (unknown kind of plot), `missing-field`, `out-of-range`.
    """
    if len(line) > MAX_LINE_BYTES:
        raise Invalid("oversized", f"{len(line)} bytes")
    try:
        got = _line.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid("malformed", str(error)) from None
    if got.tick is not None:
        return Tick(_us(got.tick))
    if got.t is None or got.arr is None:
        raise Invalid("missing-field", "t or arr")
    if got.k in ("r2", "r3"):
        return _polar(got, _us(got.t), _us(got.arr))
    if got.k == "adsb":
        return _position(got, _us(got.t), _us(got.arr))
    raise Invalid("wrong-schema", f"kind {got.k!r}, expected r2, r3 or adsb")


def _us(seconds: float) -> int:
    if not -1e10 < seconds < 1e10:
        raise Invalid("out-of-range", f"time {seconds}")
    return round(seconds * 1e6)


def _polar(got: _Line, t_us: int, rx_us: int) -> Plot:
    if got.rng is None or got.az is None or (got.k == "r3" and got.el is None):
        raise Invalid("missing-field", "rng, az or el")
    elevation = math.nan if got.el is None else math.radians(got.el)
    if not (0.0 <= got.rng <= 1e6 and abs(got.az) <= 720.0) or abs(elevation) > math.pi / 2:
        raise Invalid("out-of-range", "rng, az or el")
    return Plot(got.s, t_us, rx_us, PlotKind.POLAR, -1, (got.rng, math.radians(got.az % 360.0), elevation))


def _position(got: _Line, t_us: int, rx_us: int) -> Plot:
    if got.lat is None or got.lon is None:
        raise Invalid("missing-field", "lat or lon")
    try:
        address = -1 if got.icao is None else int(got.icao, 16)
    except ValueError:
        raise Invalid("malformed", f"icao {got.icao!r}") from None
    others = [math.nan if v is None else v for v in (got.alt, got.ve, got.vn, got.vu, got.sp, got.sa, got.sv)]
    values = (math.radians(got.lat), math.radians(got.lon), *others)
    limits = zip(_POSITION, values, strict=True)
    if not -1 <= address <= 0xFFFFFF or any(v < _low(name) or v > _high(name) for name, v in limits):
        raise Invalid("out-of-range", "a number of the report")
    return Plot(got.s, t_us, rx_us, PlotKind.POSITION, address, values)


def _low(name: str) -> float:
    return schema.LIMITS[name][0]


def _high(name: str) -> float:
    return schema.LIMITS[name][1]


def batch(sensor: str, kept: list[Plot]) -> Plots:
    """Plots of one sensor and one kind as a batch, arrived when the last of them did."""
    kind = kept[0].kind
    columns = zip(*(plot.values for plot in kept), strict=True)
    names = _POLAR if kind == PlotKind.POLAR else _POSITION
    given: dict[str, Any] = dict(zip(names, map(np.array, columns), strict=True))
    if kind == PlotKind.POSITION:
        given["address"] = np.array([plot.address for plot in kept], np.int32)
    t_us = np.array([plot.t_us for plot in kept], np.int64)
    return schema.plots(sensor, kind, max(plot.rx_us for plot in kept), t_us, **given)


def encode(tracks: Tracks) -> str:
    """The answer to a tick: one line a track, then the closing line."""
    seconds = tracks.t_us / 1e6
    lat, lon, alt = geodetic(tracks.state[:, :3])
    velocity = _local(tracks.state[:, 3:], lat, lon)
    lines = []
    columns = (
        tracks.id.tolist(),
        np.round(np.degrees(lat), 7).tolist(),
        np.round(np.degrees(lon), 7).tolist(),
        np.round(alt, 1).tolist(),
        np.round(velocity, 2).tolist(),
        np.round(tracks.existence, 4).tolist(),
        tracks.address.tolist(),
    )
    for number, la, lo, height, (ve, vn, vu), existence, address in zip(*columns, strict=True):
        icao = f',"icao":"{address:06x}"' if address >= 0 else ""
        lines.append(
            f'{{"time":{seconds},"track_id":"{number}","lat":{la},"lon":{lo},"alt":{height},'
            f'"ve":{ve},"vn":{vn},"vu":{vu},"existence":{existence}{icao}}}\n'
        )
    lines.append(f'{{"tick":{seconds},"n":{len(tracks)}}}\n')
    return "".join(lines)


def _local(velocity: F8, lat_rad: F8, lon_rad: F8) -> F8:
    """ECEF velocity (n, 3) along east, north, up at each place; plain sums, so that no BLAS enters the output."""
    axes = enu_axes(lat_rad, lon_rad)
    return np.stack([(axes[:, k] * velocity).sum(axis=1) for k in range(3)], axis=1)
