"""Messages that are right, for tests of the formats that come in, and the sensors that send them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from adapters.formats import plots
from fusion.schema import Command, Invalid, SensorKind, SensorSpec

T_US = 1_795_414_500_123_000
RADAR = SensorSpec("R1", 1, SensorKind.RADAR_3D, lat_rad=0.96, lon_rad=0.44, height_m=120.0)
BEARING = SensorSpec("B1", 2, SensorKind.BEARING, lat_rad=0.96, lon_rad=0.44, height_m=120.0)
ADSB = SensorSpec("A1", 0, SensorKind.ADSB, period_s=1.0)

ORDER = Command(5, "identify", "0123456789abcdef", "J. Petraitis", "seen by patrol", "hostile", b"\x00\xff", "ops/a")


def reason(call: Callable[..., object], *args: object) -> str:
    """The reason for which a call refuses its input."""
    with pytest.raises(Invalid) as caught:
        call(*args)
    return caught.value.reason


def message(plot_list: list[Any], **changed: Any) -> bytes:
    """A message of polar plots from R1."""
    body = {"schema": plots.SCHEMA, "sensor": "R1", "boot": 3, "seq": 9, "kind": "polar", "plots": plot_list}
    return json.dumps({k: v for k, v in {**body, **changed}.items() if v is not ...}).encode()


GOOD = {"time": "2026-11-23T06:15:00.123Z", "range_m": 41250.0, "azimuth_deg": 90.0}


AIRCRAFT = {
    "hex": "473f9a",
    "flight": "HAYCG   ",
    "alt_baro": 1000,
    "alt_geom": 1100,
    "gs": 100.0,
    "track": 90.0,
    "baro_rate": 600,
    "squawk": "7000",
    "category": "A1",
    "lat": 46.885757,
    "lon": 18.03495,
    "nic": 8,
    "nac_p": 9,
    "nac_v": 2,
    "sil": 3,
    "gva": 2,
    "seen_pos": 0.25,
    "seen": 0.1,
    "rssi": -20.1,
    "mlat": [],
}


def feed(*aircraft: object, now: object = 1584445210.5) -> bytes:
    """One aircraft.json."""
    return json.dumps({"now": now, "messages": 12, "aircraft": aircraft}).encode()
