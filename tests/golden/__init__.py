"""The golden run: four minutes of the shipped drone on Lithuania as rounded text, reviewed as a diff.

`python -m tests.golden` writes it anew after a change that is meant to change the picture. Rounded to what another
machine's last bits cannot move: 0.01 degrees, 5 m/s, half a kilometre.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fusion.schema import AlertChanged, Picture, TrackStatus
from replay.account import about
from replay.simulate import Scenario
from tests import shipped

FILE = Path(__file__).with_name("lithuania-2025-07-28.txt")
SECONDS = 240.0
EVERY_S = 20
PICTURE_US = 500_000


def render() -> str:
    """The text of the run as the code is now."""
    scenario = Scenario.load("lithuania-2025-07-28", start_us=shipped.START_US)
    engine = shipped.engine(scenario.sensors, picture_us=PICTURE_US)
    lines = ["# second  what: tracks as id status lat lon speed distance, alerts as transition rule object"]
    for tick_us, events in shipped.play(engine, scenario, SECONDS):
        second = (tick_us - scenario.start_us) / 1e6
        for event in events:
            if isinstance(event, AlertChanged) and event.alert.state != "updated":
                name = about(scenario, event.alert) or "nothing"
                lines.append(f"{round(second / 2) * 2:5d}  {event.alert.state} {event.alert.rule} {name}")
            elif isinstance(event, Picture) and event.full and second % EVERY_S == 0:
                lines += [f"{second:5.0f}  {row}" for row in rows(event)]
    c = engine.counters
    lines.append(f"end    received {c.received} used {c.used} late {c.late} rejected {sum(c.rejected.values())}")
    return "\n".join(lines) + "\n"


def rows(picture: Picture) -> list[str]:
    """One line a track."""
    tracks, a = picture.tracks, picture.assessment
    found = []
    for i in range(len(tracks)):
        name = tracks.callsign[i].decode() or "-"
        status = TrackStatus(int(tracks.status[i])).name.lower()
        lat, lon = np.degrees(a.lat_rad[i]), np.degrees(a.lon_rad[i])
        speed = round(float(a.speed_mps[i]) / 5) * 5
        away_km = round(float(a.distance_m[i]) / 500) / 2
        found.append(f"{tracks.name(i)} {name} {status} {lat:.2f} {lon:.2f} {speed} m/s {away_km:.1f} km")
    return found
