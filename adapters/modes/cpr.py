"""Compact position reporting: the 17 bits of latitude and longitude of ADS-B (DO-260B, appendix A.1.7), whole arrays.

An even and an odd message together tell the place anywhere on earth; one alone tells it near a place that is known.
Degrees here: that is what the code is made of.
"""

from __future__ import annotations

import numpy as np

from fusion.schema import B1, F8, I8

ONE = 131_072.0  # 2**17
ZONES = 60  # of latitude, of even messages
# Latitude up to which there are 59, 58 ... 2 zones of longitude; beyond the last there is one.
_LATITUDES_DEG = np.degrees(
    np.arccos(np.sqrt((1.0 - np.cos(np.pi / 30.0)) / (1.0 - np.cos(2.0 * np.pi / np.arange(59, 1, -1)))))
)
_LATITUDES_DEG[-1] = 87.0  # exactly


def zones_of_longitude(lat_deg: F8) -> I8:
    """NL (n,): 59 at the equator, 1 at the poles."""
    return 59 - np.searchsorted(_LATITUDES_DEG, np.abs(lat_deg), side="right")


def encode(lat_deg: F8, lon_deg: F8, odd: I8, span_deg: F8) -> tuple[I8, I8]:
    """The 17 bits each of places (n,); `odd` is 1 for odd messages; `span_deg` is 360, and 90 for surface messages."""
    size_deg = span_deg / (ZONES - odd)
    lat = np.floor(ONE * np.mod(lat_deg, size_deg) / size_deg + 0.5)
    decoded_deg = size_deg * (lat / ONE + np.floor(lat_deg / size_deg))
    width_deg = span_deg / np.maximum(zones_of_longitude(decoded_deg) - odd, 1)
    lon = np.floor(ONE * np.mod(lon_deg, width_deg) / width_deg + 0.5)
    return lat.astype(np.int64) & 0x1FFFF, lon.astype(np.int64) & 0x1FFFF


def anywhere(even: tuple[I8, I8], odd: tuple[I8, I8], newest_odd: B1) -> tuple[F8, F8, B1]:
    """Where an aircraft was at the newer of an even and an odd airborne message (latitude, longitude; 17 bits each).

    Returns degrees (n,) and where they hold: not where the two were in different zones of longitude, or nowhere.
    """
    y0, x0, y1, x1 = even[0] / ONE, even[1] / ONE, odd[0] / ONE, odd[1] / ONE
    j = np.floor((ZONES - 1) * y0 - ZONES * y1 + 0.5)
    lat0 = _signed(360.0 / ZONES * (np.mod(j, ZONES) + y0))
    lat1 = _signed(360.0 / (ZONES - 1) * (np.mod(j, ZONES - 1) + y1))
    nl = zones_of_longitude(lat0)
    ok = (np.abs(lat0) <= 90.0) & (np.abs(lat1) <= 90.0) & (nl == zones_of_longitude(lat1))
    count = np.maximum(nl - newest_odd, 1)
    m = np.floor(x0 * (nl - 1) - x1 * nl + 0.5)
    lon = 360.0 / count * (np.mod(m, count) + np.where(newest_odd, x1, x0))
    return np.where(newest_odd, lat1, lat0), _signed(lon, 180.0), ok


def near(lat: I8, lon: I8, odd: B1, lat_deg: F8, lon_deg: F8, span_deg: F8) -> tuple[F8, F8, B1]:
    """The place of one message (17 bits each) that is nearest to a known one (n,), in degrees, and where it holds.

    Right within 166 km for airborne messages, 41 km for surface ones; `span_deg` as for `encode`.
    """
    y, x = lat / ONE, lon / ONE
    size_deg = span_deg / (ZONES - odd)
    zone = np.floor(lat_deg / size_deg - y + 0.5)
    found_lat = size_deg * (zone + y)
    width_deg = span_deg / np.maximum(zones_of_longitude(found_lat) - odd, 1)
    column = np.floor(lon_deg / width_deg - x + 0.5)
    found_lon = width_deg * (column + x)
    return found_lat, (found_lon + 180.0) % 360.0 - 180.0, np.abs(found_lat) <= 90.0


def _signed(angle_deg: F8, most_deg: float = 270.0) -> F8:
    """Angles of 0 to 360 degrees as negative ones from `most_deg` on."""
    return np.where(angle_deg >= most_deg, angle_deg - 360.0, angle_deg)
