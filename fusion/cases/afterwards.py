"""What is remembered of flights and what people report, looked at once a second: trails, searches, sightings.

One look of the engine asks this file three things in order: `look` with the picture, `ended` with the tracks that
ended, `take` for what is to be told. Kept apart from `fusion/engine.py`, which only says when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fusion.borders.outlook import Forecast
from fusion.cases.lost import Lost
from fusion.cases.record import Incident, Point, SearchArea, SearchChanged, Sighting, SightingJudged
from fusion.cases.sightings import Event, Sightings
from fusion.cases.trail import Trails
from fusion.cases.whereabouts import Wind
from fusion.redlines.crowds import Crowds
from fusion.schema import US_PER_S, Alert, Assessment, Met, Tracks
from fusion.zones import Zones

SLOT_US = US_PER_S // 4  # after the full second: the ledger takes the half, the rest of the second is for pictures


class Afterwards:
    """Trails, searches and sightings of one picture."""

    def __init__(self, zones: Zones) -> None:
        self.trails = Trails()
        self.lost = Lost(lambda lat_rad, lon_rad: zones.at(lat_rad, lon_rad)[0])
        self.sightings = Sightings(zones.at)
        self._slot = -1
        self._events: list[Event] = []

    def heard(self, word: Met) -> None:
        """A report of weather: the wind, where there is one."""
        wind = Wind(*word.wind_mps)
        if wind.known:
            self.lost.set_wind(wind, word.sensor)

    def look(self, tracks: Tracks, a: Assessment, forecast: Forecast, alerts: Sequence[Alert], now_us: int) -> None:
        """One look at the picture; `alerts` are those open before tracks that ended closed theirs."""
        slot = (now_us - SLOT_US) // US_PER_S
        if slot == self._slot:
            return
        self._slot = slot
        alerted = sorted({int(alert.track.rpartition(":")[2]): 0 for alert in alerts})
        self.trails.step(tracks, a, now_us)
        self.trails.mark(alerted)
        turn = np.where(forecast.p_turn >= 0.5, forecast.turn_radps, 0.0)
        self._events += self.lost.step(tracks, a, now_us, alerted, turn)
        self._events += self.sightings.step(self.trails, self.lost, now_us)

    def ended(self, dropped: Sequence[tuple[int, str]], epoch: int, now_us: int, crowds: Crowds) -> None:
        """Tracks that ended since the look before. Nobody looks for one bird of a flock."""
        if dropped:
            ordered = sorted(dropped)
            of = crowds.member(np.array([counter for counter, _ in ordered], np.int64))
            self.trails.end(dropped, epoch)
            alone = [item for item, crowd in zip(ordered, of.tolist(), strict=True) if crowd < 0]
            self._events += self.lost.ended(alone, epoch, now_us)

    def before(self, incident: Incident) -> tuple[tuple[str, tuple[Point, ...]], ...]:
        """Where the objects had been that have just entered this incident, as far as it is remembered."""
        if incident.change not in ("raised", "reopened", "joined") or not incident.members:
            return ()
        newest_us = max(member.alert_us for member in incident.members)
        entered = [m.track for m in incident.members if incident.change != "joined" or m.alert_us == newest_us]
        trails = [(track, self.trails.of(int(track.rpartition(":")[2]))) for track in entered]
        return tuple(
            (track, tuple(zip(*(c.tolist() for c in (t.t_us, t.lat_rad, t.lon_rad, t.height_m)), strict=True)))
            for track, t in trails
            if t is not None and self.trails.name(t.track_id) == track
        )

    def take(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def snapshot(self) -> dict[str, Any]:
        """Everything that can change a later answer."""
        parts = {"trails": self.trails.snapshot(), "lost": self.lost.snapshot()}
        return {**parts, "sightings": self.sightings.snapshot(), "slot": self._slot, "events": list(self._events)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `snapshot`."""
        self.trails.restore(state["trails"])
        self.lost.restore(state["lost"])
        self.sightings.restore(state["sightings"])
        self._slot, self._events = state["slot"], list(state["events"])


def areas(events: Sequence[Event]) -> list[SearchArea]:
    """Search areas among events, for the incidents of their objects."""
    return [event.area for event in events if isinstance(event, SearchChanged)]


def cited(events: Sequence[Event], p_found: float) -> list[tuple[str, Sighting]]:
    """Reports among events that belong to a track, with it; a find that is less sure than `p_found` decides nothing."""
    return [
        (event.track, replace(event.sighting, found=event.sighting.found and event.matches[0].probability >= p_found))
        for event in events
        if isinstance(event, SightingJudged) and event.matches and event.track == event.matches[0].track
        if event.matches[0].rests_on != "sighting"
    ]
