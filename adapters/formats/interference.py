"""`vedette.interference.v1` on `interference/{number}`: GNSS interference seen from the aircraft of an area."""

from __future__ import annotations

import math
from collections.abc import Mapping

from adapters.wire import NO_MARKS, dump, rfc3339, rounded
from fusion.claims.gnss import Interference

SCHEMA = "vedette.interference.v1"


def encode(event: Interference, site: str, seq: int, marks: Mapping[str, bool | str] = NO_MARKS) -> bytes:
    """The message of one event."""
    return dump(
        {
            "schema": SCHEMA,
            "site": site,
            "seq": seq,
            "number": event.number,
            "time": rfc3339(event.t_us),
            **marks,
            "state": event.state,
            "since_time": rfc3339(event.since_us),
            "lat_deg": rounded(math.degrees(event.lat_rad), 4),
            "lon_deg": rounded(math.degrees(event.lon_rad), 4),
            "radius_m": rounded(event.radius_m, 0),
            "hit_count": event.hit,
            "aircraft_count": event.aircraft,
            "most_hit_count": event.most_hit,
            "sentence": sentence(event),
        }
    )


def sentence(event: Interference) -> str:
    """What happened, to read aloud."""
    lat, lon = math.degrees(event.lat_rad), math.degrees(event.lon_rad)
    where = f"within {event.radius_m / 1_000:.0f} km of {abs(lat):.1f} {'NS'[lat < 0]} {abs(lon):.1f} {'EW'[lon < 0]}"
    if event.state == "over":
        return f"GNSS interference {where} is over; {event.most_hit} aircraft had lost position accuracy."
    return (
        f"GNSS interference {where}: {event.hit} of {event.aircraft} aircraft have lost position accuracy; "
        "positions that they report are not relied on, and are no fault of theirs."
    )
