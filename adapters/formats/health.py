"""`vedette.health.v1` on `sensor/{id}/health`: what we know of one sensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from adapters.wire import NO_MARKS, dump, rfc3339, rounded, without_none
from fusion.schema import Health
from fusion.sensorbias import SensorBias

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
