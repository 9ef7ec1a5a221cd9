"""`vedette.health.v1` on `sensor/{id}/health`: what we know of one sensor."""

from __future__ import annotations

from adapters.wire import dump, rfc3339, rounded, without_none
from fusion.schema import Health

SCHEMA = "vedette.health.v1"


def _time(us: int) -> str | None:
    return rfc3339(us) if us >= 0 else None


def encode(health: Health, seq: int) -> bytes:
    """The message of a sensor's health."""
    return dump(
        without_none(
            {
                "schema": SCHEMA,
                "sensor": health.sensor,
                "seq": seq,
                "time": rfc3339(health.t_us),
                "state": health.state,
                "last_plot_time": _time(health.last_us),
                "last_arrival_time": _time(health.last_rx_us),
                "rate_hz": rounded(health.rate_hz, 2),
                "lag_s": rounded(health.lag_s, 3),
                "nis": rounded(health.nis, 3),
                "hits_count": health.hits,
                "misses_count": health.misses,
                "detail": health.detail or None,
            }
        )
    )
