"""A receiver that sends SBS lines: what each aircraft said in pieces, put together into plots at every position.

What belongs to a position and came in other messages is used up to an age: velocity five seconds, height ten, the code
a minute, the name ten minutes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.bridges.common import Heard
from adapters.bridges.source import Lines, Piece
from adapters.formats import sbs
from adapters.modes.latest import Latest
from adapters.wire import stand
from fusion.schema import US_PER_S, PlotKind, SensorKind, SensorSpec

CLOCK_WRONG_US = 10 * US_PER_S  # further from ours than that, a receiver's clock is not believed
VELOCITY_US = 5 * US_PER_S  # an airliner turns 15 degrees in it
HEIGHT_US = 10 * US_PER_S  # 150 m at 3,000 feet per minute
SQUAWK_US = 60 * US_PER_S
NAME_US = 600 * US_PER_S
GROUPS = {
    "name": {"callsign": "S8"},
    "height": {"height_m": "f8", "pressure_height_m": "f8"},
    "velocity": {"east_mps": "f8", "north_mps": "f8", "up_mps": "f8"},
    "squawk": {"mode3a": "i4"},
}


class Sbs:
    """Lines in, plots of one sensor out."""

    def __init__(self, sensor: str) -> None:
        self._spec = SensorSpec(sensor, 0, SensorKind.ADSB)
        self._lines = Lines()
        self._latest = Latest(GROUPS)

    def cut(self) -> None:
        """The connection ended."""
        self._lines.cut()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of these pieces."""
        lines = self._lines.of(pieces, heard)
        if not lines:
            return
        m, number, faults = sbs.decode([line for _, line in lines])
        heard.refused.update(faults)
        if not len(m):
            return
        rx_us = np.array([us for us, _ in lines], np.int64)[number]
        t_us, fine = sbs.utc(m.local_us, rx_us, CLOCK_WRONG_US)
        if not fine.all():
            heard.refused["clock-not-believed"] += int(np.count_nonzero(~fine))  # the message is used, its time is not
        moving = ~np.isnan(m.speed_mps) & ~np.isnan(m.track_rad)
        known = self._latest.follow(
            m.address.astype(np.int64),
            t_us,
            {
                "name": (m.callsign != b"", {"callsign": m.callsign}),
                "height": (
                    ~np.isnan(m.height_m) | ~np.isnan(m.pressure_height_m),
                    {"height_m": m.height_m, "pressure_height_m": m.pressure_height_m},
                ),
                "velocity": (
                    moving,
                    {
                        "east_mps": m.speed_mps * np.sin(m.track_rad),
                        "north_mps": m.speed_mps * np.cos(m.track_rad),
                        "up_mps": m.climb_mps,
                    },
                ),
                "squawk": (m.mode3a >= 0, {"mode3a": m.mode3a}),
            },
        )
        height, velocity = known["height"], known["velocity"]
        high, fast = height.within(HEIGHT_US), velocity.within(VELOCITY_US)
        placed = ~np.isnan(m.lat_rad) & ~np.isnan(m.lon_rad)
        columns = {
            "lat_rad": m.lat_rad,
            "lon_rad": m.lon_rad,
            "height_m": np.where(high, height.values["height_m"], np.nan),
            "pressure_height_m": np.where(high, height.values["pressure_height_m"], np.nan),
            "velocity_east_mps": np.where(fast, velocity.values["east_mps"], np.nan),
            "velocity_north_mps": np.where(fast, velocity.values["north_mps"], np.nan),
            "velocity_up_mps": np.where(fast, velocity.values["up_mps"], np.nan),
            "address": m.address,
            "mode3a": np.where(known["squawk"].within(SQUAWK_US), known["squawk"].values["mode3a"], -1),
            "callsign": np.where(known["name"].within(NAME_US), known["name"].values["callsign"], b""),
            "on_ground": m.on_ground,
        }
        if self._latest.forgotten:
            heard.refused["too-many-aircraft"] += self._latest.forgotten
            self._latest.forgotten = 0
        rows = {name: column[placed] for name, column in columns.items()}
        made = stand(self._spec, PlotKind.POSITION, int(rx_us.max()), t_us[placed], -1, -1, rows, {})
        heard.refused.update(made.rejected)
        if len(made.batch):
            heard.batches.append(made.batch)
