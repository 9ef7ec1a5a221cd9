"""A night of alerts and the incidents that they become: a watch, a ledger of passages, a clock, and persons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from adapters.files import rulefile
from fusion import geo
from fusion.cases.record import (
    Contour,
    Incident,
    IncidentChanged,
    Passage,
    PassageKind,
    PassageNoted,
    SearchArea,
    SearchChanged,
    Sighting,
)
from fusion.identity import assess
from fusion.incidents import Heard, IncidentParams, Incidents
from fusion.redlines.alerts import Watch
from fusion.schema import Alert, AlertChanged, Answer, Command, Event
from tests import states
from tests.airpicture import CODES, DRONE, NAMES, SENSOR_IDS, SENSORS, T0_US, S, at, picture

RULES = rulefile.load(Path(__file__).parent.parent / "config" / "rules.toml")
TICK_US = S // 2
INSIDE = {"distance_m": -4_000.0, "p_inside": 1.0, "state": 0, "time_to_border_s": np.nan}
AWAY = {"distance_m": 60_000.0}
Row = Mapping[str, Any]


def beside(north_m: float = 0.0, east_m: float = 0.0, **row: Any) -> Row:
    """A drone so far from the one of `DRONE`."""
    bearing, distance_m = np.arctan2(east_m, north_m), np.hypot(north_m, east_m)
    lat, lon, _ = geo.direct(DRONE["lat_rad"], DRONE["lon_rad"], bearing, distance_m)
    return {"lat_rad": float(lat[0]), "lon_rad": float(lon[0]), **row}


def passage(track: str, number: int, kind: PassageKind, state: str, t_us: int, other: str = "") -> Passage:
    place = {"sigma_t_s": 2.0, "told_us": t_us, "lat_rad": 0.9, "lon_rad": 0.4, "sigma_m": 80.0}
    rest = {"probability": 0.97, "disputed": False, "sea": False, "sensors": ("R1",), "plots": 12}
    return Passage(track, number, kind, state, other, t_us, **place, **rest)  # type: ignore[arg-type]


def area(track: str, number: int, t_us: int, why: str = "left coverage", ended: bool = False) -> SearchArea:
    return SearchArea(
        track,
        number,
        t_us,
        t_us,
        why,
        0.95,
        0.44,
        300.0,
        42.0,
        5.2,
        contours=(),
        states=("LT",),
        assumed=(),
        ended=ended,
    )


class Night:
    """`run` looks at a picture twice a second, with a fresh plot each second; what was said is kept in `said`."""

    def __init__(
        self, params: IncidentParams | None = None, simulated: bool = False, shuffle: int | None = None
    ) -> None:
        self.watch = Watch(RULES, CODES, NAMES, SENSOR_IDS, simulated)
        self.passages: list[Passage] = []
        self.params = params
        self.incidents = self.fresh()
        self.now_us = T0_US
        self.said: list[Incident] = []
        self.alerts: list[Alert] = []
        self._luck = None if shuffle is None else np.random.default_rng(shuffle)

    def fresh(self) -> Incidents:
        def ledger(track: str) -> Sequence[Passage]:
            return [item for item in self.passages if item.track == track]

        return Incidents(CODES, NAMES, self.params, ledger)

    def restart(self) -> None:
        """Go on in new objects from a snapshot that went through a checkpoint."""
        kept = states.kept([self.watch.snapshot(), self.incidents.snapshot()])
        self.watch = Watch(RULES, CODES, NAMES, SENSOR_IDS, self.watch.simulated)
        self.watch.restore(kept[0])
        self.incidents = self.fresh()
        self.incidents.restore(kept[1])

    def run(self, seconds: float, rows: Mapping[int, Row], epoch: int = 7, **heard: Any) -> list[Incident]:
        """`rows` by track counter. `heard` comes with the first look."""
        said: list[Incident] = []
        for _ in range(round(seconds * S / TICK_US)):
            self.now_us += TICK_US
            ids = sorted(rows)
            fresh = [at(self.now_us // S * S, rows[i]) for i in ids]
            tracks, facts = picture(fresh, self.now_us, ids, epoch)
            assessment = assess(tracks, facts, RULES.words, SENSORS)
            alerts = self.watch.step(tracks, assessment, self.now_us)
            alerts += self.watch.ended(heard.get("dropped", ()), epoch, self.now_us)
            self.alerts += alerts
            told = Heard(alerts=self._mixed(alerts), **{name: self._mixed(given) for name, given in heard.items()})
            said += self.incidents.step(tracks, assessment, told, self.now_us)
            heard = {}
        self.said += said
        return said

    def say(self, verb: str, about: str, **more: Any) -> tuple[Answer, list[Incident]]:
        """A person's command: `about` is an incident, or an alert where `alert=True`."""
        values = {"operator": "Lt Jonaitis", "reason": "seen by patrol", **more}
        alert = values.pop("alert", False)
        name = {"alert_id": about} if alert else {"alert_id": "", "incident_id": about}
        command = Command(self.now_us, verb, **name, **values)  # type: ignore[arg-type]
        answer, alerts, said = self.incidents.command(command, self.watch, self.now_us)
        self.alerts += alerts
        self.said += said
        return answer, said

    def _mixed(self, items: Sequence[Any]) -> Sequence[Any]:
        return items if self._luck is None else [items[i] for i in self._luck.permutation(len(items))]


def changes(said: Sequence[Incident]) -> list[str]:
    """What happened, without the repeats."""
    return [item.change for item in said if item.change != "updated"]


def report(track: str, found: bool = False) -> tuple[str, Sighting]:
    """What a border guard said of a track."""
    return track, Sighting("G1", T0_US, T0_US, "17", 0.95, 0.44, 500.0, words="low, loud", found=found)


RING = ((0.951, 0.441), (0.952, 0.441), (0.952, 0.442), (0.951, 0.441))


@cache
def eventful() -> tuple[Night, list[Event]]:
    """A swarm of two that crosses, is acknowledged, handed over, lost and closed; everything that follows from it."""
    night = Night()
    rows = {1: {}, 2: beside(2_000.0)}
    night.run(7.0, rows)
    events: list[Event] = []
    identifier = night.incidents.open_incidents()[0].id
    for verb, more in (
        ("acknowledge", {}),
        ("hand-over", {"to": "LV"}),
        ("take", {"to": "EE"}),
        ("take", {"to": "LV"}),
    ):
        events.append(night.say(verb, identifier, **more)[0])
    night.run(20.0, {i: {**row, **INSIDE} for i, row in rows.items()}, sightings=[report("7:1")])
    night.run(330.0, {}, dropped=[(1, "left coverage"), (2, "dropped")])
    entries = [
        passage("7:1", 1, PassageKind.FIRST, "BY", T0_US),
        passage("7:1", 2, PassageKind.ENTER, "LT", T0_US + 8 * S),
        passage("7:9", 1, PassageKind.FIRST, "BY", T0_US),
    ]
    lost = replace(area("7:1", 3, night.now_us), contours=(Contour(0.9, 2e6, (RING,)),))
    events += [AlertChanged(item) for item in night.alerts] + [IncidentChanged(item) for item in night.said]
    events += [PassageNoted(item, (item,)) for item in entries] + [SearchChanged(lost)]
    return night, events
