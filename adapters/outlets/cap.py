"""Drafts of CAP warnings into a folder, one file a message, for civil protection. Nothing is sent to anybody.

An open alert has a draft of one of two levels: red (take shelter) when its object is inside the border or crosses it
within `red_s`, yellow (be ready) before that. It is drafted anew, as an update, when the level or the codes of areas
change, when the object has left the polygon, and before the last draft expires. When the alert closes, the last draft
is an all-clear; when a person closed it, or said that the object is a friend or neutral, it is a cancel.

The folder is the memory: a service that starts anew finds there what it wrote, and refers to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from adapters import log
from adapters.broker import now_us
from adapters.formats import cap
from adapters.formats.cap import Area, Draft, Level, Sent, Status
from adapters.outlets.geojson import replace_file
from adapters.outlets.held import NO_LONGER_HELD, Held
from adapters.outlets.listener import Listener
from adapters.outlets.reach import Reach, polygon
from adapters.played import marks
from adapters.rows import Told
from fusion.schema import US_PER_S, Alert, Invalid

LOOK_EVERY_S = 5.0
LASTS_S = 900.0
AGAIN_S = 600.0  # an open draft is renewed so long after the last: five minutes before it expires
LEAST_S = 60.0  # between two drafts of one alert on the same level
MOST_REFERENCES = 20  # the newest: an alert of a day would name a hundred
MOST_FILES = 100_000
_FILE = re.compile(r"([0-9a-f]{16})\.(\d{1,6})\.xml")
_BY_PERSON = "closed by "
_HARMLESS = ("friend", "neutral")


@dataclass(frozen=True, slots=True)
class Place:
    """An area of the user's file."""

    words: str
    code: tuple[str, str]
    shape: shapely.Geometry


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is drafted, and as whom."""

    site: str
    sender: str
    status: Status = "Test"
    sender_name: str = ""
    red_s: float = 300.0  # to the border: an alarm needs two minutes to be heard, and a person two to be indoors
    least_severity: int = 2  # alerts as severe as that, or more
    states: tuple[str, ...] = ()  # only alerts that concern one of these; none: all
    reach: Reach = field(default_factory=Reach)
    places: tuple[Place, ...] = ()


@dataclass(slots=True)
class _Written:
    """What was drafted of one alert."""

    count: int = 0
    sent: list[Sent] = field(default_factory=list)  # the newest, as many as a draft may refer to
    last: Draft | None = None


class Drafter:
    """Drafts of all alerts. Times are handed in, microseconds."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._written: dict[str, _Written] = {}

    def remember(self, name: str, count: int, draft: Draft) -> None:
        """One that was written before, in the order in which they were."""
        self.taken(name, count)
        found = self._written[name]
        found.last = None if is_end(draft) else draft
        found.sent = [] if is_end(draft) else [*found.sent, draft.id][-MOST_REFERENCES:]

    def taken(self, name: str, count: int) -> None:
        """A number that is not to be given again, whatever stands under it: a person may have written there."""
        found = self._written.setdefault(name, _Written())
        found.count = max(found.count, count)

    def incident(self, name: str) -> str:
        """What all drafts of an alert have in common."""
        return f"vedette.{self._wanted.site}.{name}"

    def due(self, held: Held, connected: bool, t_us: int) -> Iterator[tuple[str, int, Draft]]:
        """(alert, number of its draft, draft) of what is to be written now."""
        there = {said.id: said for said in held.alerts()}
        for said in there.values():
            told = held.track(said.track)
            if not self._is_wanted(said):
                yield from self.ended(said.id, "No warning is needed.", said.identity, t_us)
            elif told is not None:  # else it coasted away: its last draft stands until it expires
                yield from self._of(said, told, held.replayed, t_us)
        # Without the service nobody knows that an alert has ended, and a replay knows nothing of the sky.
        open_ones = [(name, one.last) for name, one in self._written.items() if one.last is not None]
        for name, last in open_ones:
            if name not in there and connected and held.watched and (last.status == "Test" or not held.replayed):
                yield from self.ended(name, "", "", t_us)

    def ended(self, name: str, why: str, identity: str, t_us: int) -> Iterator[tuple[str, int, Draft]]:
        """The last word of an alert that has a draft; nothing of another."""
        one = self._written.get(name)
        if one is None or one.last is None:
            return
        cancelled = _BY_PERSON in why or identity in _HARMLESS
        draft = replace(
            one.last,
            id=self._sent(name, one.count + 1, t_us),
            type="Cancel" if cancelled else "Update",
            level="clear",
            references=tuple(one.sent),
            description=why or "The alert has ended.",
            expires_us=t_us + round(LASTS_S * US_PER_S),
        )
        yield self._next(name, draft)

    def _next(self, name: str, draft: Draft) -> tuple[str, int, Draft]:
        one = self._written.setdefault(name, _Written())
        self.remember(name, one.count + 1, draft)
        return name, one.count, draft

    def _sent(self, name: str, count: int, t_us: int) -> Sent:
        return Sent(self._wanted.sender, f"{self.incident(name)}.{count}", t_us)

    def _is_wanted(self, said: Alert) -> bool:
        wanted = self._wanted
        concerned = not wanted.states or said.near_state in wanted.states
        return concerned and said.severity <= wanted.least_severity and said.identity not in _HARMLESS

    def _of(self, said: Alert, told: Told, replayed: bool, t_us: int) -> Iterator[tuple[str, int, Draft]]:
        """What the alert deserves now; nothing where nothing new is to be said."""
        before = self._written.get(said.id, _Written())
        shape = polygon(told, self._wanted.reach)
        if shape is None:
            return  # nobody knows where it is: what was said stands until it expires
        areas = self._areas(shape)
        if not areas:
            yield from self.ended(said.id, "It can reach no area of ours any more.", "", t_us)
            return
        level = level_of(said, told, self._wanted.red_s)
        draft = Draft(
            self._sent(said.id, before.count + 1, t_us),
            status_of(self._wanted.status, said, replayed),
            "Alert" if before.last is None else "Update",
            self.incident(said.id),
            tuple(before.sent),
            level,
            "en",  # as the sentences of alerts are
            self._wanted.sender_name,
            " ".join((*marks(said.simulated, said.mode, replayed), said.sentence)),
            t_us + round(LASTS_S * US_PER_S),
            areas,
            (("vedette.severity", str(said.severity)), ("vedette.rule", said.rule), ("vedette.track", said.track)),
        )
        if before.last is None or _is_news(before.last, draft, told):
            yield self._next(said.id, draft)

    def _areas(self, shape: BaseGeometry) -> tuple[Area, ...]:
        """What it can reach, as a polygon or two, or the user's areas that this touches."""
        if self._wanted.places:
            touched = [place for place in self._wanted.places if place.shape.intersects(shape)]
            return tuple(Area(place.words, (), (place.code,)) for place in touched)
        minutes = self._wanted.reach.seconds / 60.0
        words = f"where the object can be within {minutes:.0f} minutes"
        return (Area(words, tuple(cap.ring_of(part.exterior.coords) for part in shapely.get_parts(shape))),)


def is_end(draft: Draft) -> bool:
    """Nothing comes after it."""
    return draft.level == "clear"


def level_of(said: Alert, told: Told, red_s: float) -> Level:
    """How near it is to people of ours."""
    numbers = {one.name: one.value for one in said.quantities}
    distance = told.border_distance_m if told.border_distance_m is not None else numbers.get("distance_m")
    inside = isinstance(distance, float | int) and distance <= 0.0
    soon = told.time_to_border_s is not None and told.time_to_border_s <= red_s
    return "red" if inside or soon else "yellow"


def status_of(wanted: Status, said: Alert, replayed: bool) -> Status:
    """What is played is never Actual."""
    if said.simulated or replayed:
        return "Test"
    return "Exercise" if said.mode == "exercise" else wanted


def _is_news(before: Draft, now: Draft, told: Told) -> bool:
    if now.level != before.level or now.status != before.status:
        return True
    age_s = (now.id.sent_us - before.id.sent_us) / US_PER_S
    if age_s >= AGAIN_S:
        return True
    codes = [area.codes for area in now.areas] != [area.codes for area in before.areas]
    rings = [shapely.Polygon([(lon, lat) for lat, lon in ring]) for area in before.areas for ring in area.rings]
    place = shapely.Point(told.lon_deg, told.lat_deg)
    return age_s >= LEAST_S and (codes or (bool(rings) and not any(ring.contains(place) for ring in rings)))


class CapFiles:
    """Writes what is due into the folder, until cancelled."""

    def __init__(self, drafter: Drafter, folder: Path, now: Callable[[], int] = now_us) -> None:
        self._drafter, self._folder, self._now = drafter, folder, now
        self._number = 0
        self.written, self.refused = 0, 0
        self._recall()

    def words(self) -> str:
        """One line for people."""
        wrong = f", {self.refused} that cannot be written or read" if self.refused else ""
        return f"{self.written} drafts written to {self._folder}{wrong}; none was sent"

    def _recall(self) -> None:
        """What is in the folder already, in the order of its numbers; drafts of other sites are not ours to end."""
        self._folder.mkdir(parents=True, exist_ok=True)
        named = [(path, match) for path in self._folder.iterdir() if (match := _FILE.fullmatch(path.name))]
        for _, match in named:
            self._drafter.taken(match[1], int(match[2]))
        for path, match in sorted(named, key=lambda pair: (pair[1][1], int(pair[1][2])))[:MOST_FILES]:
            try:
                draft = cap.decode(path.read_bytes())
                if draft.incident == self._drafter.incident(match[1]):
                    self._drafter.remember(match[1], int(match[2]), draft)
            except Invalid as fault:
                self.refused += 1
                log.get("out").warning("a draft cannot be read", file=str(path), why=fault.reason)

    async def serve(self, listener: Listener) -> None:
        """Raises OSError where the folder cannot be written."""
        while True:
            if listener.held.status is not None:  # else nobody knows whether it is played
                await asyncio.to_thread(self._write, self._due(listener))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    if listener.held.status is None:
                        await listener.changed(listener.held.number)
                    else:
                        await listener.alerted(self._number)

    def _due(self, listener: Listener) -> list[tuple[str, int, Draft]]:
        found = listener.held.alert_changes(self._number)
        self._number = found.number
        due = list[tuple[str, int, Draft]]()
        for said in found.alerts if not found.whole else ():
            # That the broker does not hold it any more is no word of the service: `due` looks whether there is one.
            if said.state == "closed" and said.close_reason != NO_LONGER_HELD:
                due += self._drafter.ended(said.id, said.close_reason, said.identity, self._now())
        return due + list(self._drafter.due(listener.held, self._settled(listener), self._now()))

    @staticmethod
    def _settled(listener: Listener) -> bool:
        return listener.connection.connected and listener.held.settled

    def _write(self, due: Sequence[tuple[str, int, Draft]]) -> None:
        for name, count, draft in due:
            try:
                payload = cap.encode(draft)
            except Invalid as fault:
                self.refused += 1
                log.get("out").warning("a draft cannot be written", alert=name, why=str(fault))
                continue
            replace_file(self._folder / f"{name}.{count}.xml", payload)
            self.written += 1
