"""What options of `vedette out asterix` say, checked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from adapters.errors import ConfigError

_SOURCE = re.compile(r"(\d{1,3})/(\d{1,3})")
_SENSOR = re.compile(r"(\d{1,3}/\d{1,3})=([A-Za-z0-9_-]{1,32})")


def source_of(text: str, option: str = "--source") -> tuple[int, int]:
    """SAC and SIC of `SAC/SIC`. Raises ConfigError."""
    found = _SOURCE.fullmatch(text)
    if found is None or max(int(found[1]), int(found[2])) > 255:
        raise ConfigError("command line", option, f"{text!r} is not SAC/SIC, each 0 to 255", "write for example 25/100")
    return int(found[1]), int(found[2])


def senders(texts: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Sensors by id, with SAC and SIC, of `SAC/SIC=SENSOR` each. Raises ConfigError."""
    named: dict[str, tuple[int, int]] = {}
    for text in texts:
        found = _SENSOR.fullmatch(text)
        if found is None or found[2] in named:
            raise ConfigError(
                "command line",
                "--sensor",
                f"{text!r} is not SAC/SIC=SENSOR, or that again",
                "write for example 25/201=R1",
            )
        named[found[2]] = source_of(found[1], "--sensor")
    return named


def plane(text: str) -> tuple[float, float] | None:
    """Latitude and longitude in radians of `LAT,LON` in degrees; None of nothing. Raises ConfigError."""
    if not text:
        return None
    try:
        lat, lon = (float(part) for part in text.split(","))
    except ValueError:
        lat, lon = math.nan, math.nan
    if not (abs(lat) < 90.0 and abs(lon) <= 180.0):
        raise ConfigError(
            "command line", "--centre", f"{text!r} is not LAT,LON in degrees", "write for example 54.6,25.3"
        )
    return math.radians(lat), math.radians(lon)
