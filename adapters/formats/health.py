"""`vedette.health.v1` on `sensor/{id}/health`: what we know of one sensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from adapters.wire import NO_MARKS, dump, parse_time, read, rfc3339, rounded, without_none
from fusion.bias.sensorbias import SensorBias
from fusion.schema import Health

SCHEMA = "vedette.health.v1"


def _time(us: int) -> str | None:
    return rfc3339(us) if us >= 0 else None


def _bias(bias: SensorBias | None) -> dict[str, Any] | None:
    """Systematic errors found by registration, measured minus true, each with one sigma."""
    if bias is None:
        return None
    return without_none(
        {
            "state": bias.state,
            "applied": bias.applied,
            "believed": bias.believed,
            "plots_count": bias.pairs,
            "aircraft_count": bias.aircraft,
            "range_m": rounded(bias.range_m, 1),
            "sigma_range_m": rounded(bias.sigma_range_m, 1),
            "range_gain_ppm": rounded(bias.range_gain * 1e6, 1),
            "sigma_range_gain_ppm": rounded(bias.sigma_range_gain * 1e6, 1),
            "azimuth_deg": rounded(math.degrees(bias.azimuth_rad), 4),
            "sigma_azimuth_deg": rounded(math.degrees(bias.sigma_azimuth_rad), 4),
            "elevation_deg": rounded(math.degrees(bias.elevation_rad), 4),
            "sigma_elevation_deg": rounded(math.degrees(bias.sigma_elevation_rad), 4),
            "time_s": rounded(bias.time_s, 3),
            "sigma_time_s": rounded(bias.sigma_time_s, 3),
            "pressure_height_m": rounded(bias.pressure_height_m, 1),
            "sigma_pressure_height_m": rounded(bias.sigma_pressure_height_m, 1),
            "detail": bias.detail or None,
        }
    )


def encode(health: Health, seq: int, marks: Mapping[str, bool | str] = NO_MARKS) -> bytes:
    """The message of a sensor's health."""
    return dump(
        without_none(
            {
                "schema": SCHEMA,
                "sensor": health.sensor,
                "seq": seq,
                "time": rfc3339(health.t_us),
                **marks,
                "state": health.state,
                "last_plot_time": _time(health.last_us),
                "last_arrival_time": _time(health.last_rx_us),
                "rate_hz": rounded(health.rate_hz, 2),
                "lag_s": rounded(health.lag_s, 3),
                "nis": rounded(health.nis, 3),
                "hits_count": health.hits,
                "misses_count": health.misses,
                "detail": health.detail or None,
                "bias": _bias(health.bias),
            }
        )
    )


_NAN = float("nan")


class _Bias(msgspec.Struct):
    state: str
    applied: bool = False
    believed: bool = True
    plots_count: int = 0
    aircraft_count: int = 0
    range_m: float = _NAN
    sigma_range_m: float = _NAN
    range_gain_ppm: float = _NAN
    sigma_range_gain_ppm: float = _NAN
    azimuth_deg: float = _NAN
    sigma_azimuth_deg: float = _NAN
    elevation_deg: float = _NAN
    sigma_elevation_deg: float = _NAN
    time_s: float = _NAN
    sigma_time_s: float = _NAN
    pressure_height_m: float = _NAN
    sigma_pressure_height_m: float = _NAN
    detail: str = ""


class _Message(msgspec.Struct):
    schema: str
    sensor: str
    time: str
    state: str
    hits_count: int = 0
    misses_count: int = 0
    last_plot_time: str = ""
    last_arrival_time: str = ""
    rate_hz: float = _NAN
    lag_s: float = _NAN
    nis: float = _NAN
    detail: str = ""
    bias: _Bias | None = None


_MESSAGE = msgspec.json.Decoder(_Message)


def decode(payload: bytes) -> Health:
    """The health of a message, to the decimals that are published.

    Raises:
        Invalid: oversized, not-utf8, malformed, not-finite, wrong-schema, missing-field, bad-time.
    """
    m = read(_MESSAGE, payload, SCHEMA)
    return Health(
        m.sensor,
        parse_time(m.time),
        m.state,
        parse_time(m.last_plot_time) if m.last_plot_time else -1,
        parse_time(m.last_arrival_time) if m.last_arrival_time else -1,
        m.rate_hz,
        m.lag_s,
        m.nis,
        m.hits_count,
        m.misses_count,
        m.detail,
        None if m.bias is None else _read_bias(m.sensor, m.bias),
    )


def _read_bias(sensor: str, m: _Bias) -> SensorBias:
    return SensorBias(
        sensor,
        m.state,
        m.applied,
        m.believed,
        m.plots_count,
        m.aircraft_count,
        m.range_m,
        m.sigma_range_m,
        m.range_gain_ppm * 1e-6,
        m.sigma_range_gain_ppm * 1e-6,
        math.radians(m.azimuth_deg),
        math.radians(m.sigma_azimuth_deg),
        math.radians(m.elevation_deg),
        math.radians(m.sigma_elevation_deg),
        m.time_s,
        m.sigma_time_s,
        m.pressure_height_m,
        m.sigma_pressure_height_m,
        m.detail,
    )
