"""What the page shows, kept from what the service publishes, and told to every viewer as what is new since he was told.

Nothing is queued for a viewer. Everything that changes gets the next number of one counter, and a viewer is told what
has a higher number than what he has had: a slow one is told less often, never something old, and holds up nobody.

    {"kind": "whole", "version": 812, "columns": ["id", "lat_deg", ...], "units": ["", "deg", ...],
     "rows": [["5:17", 54.5431, ...]], "trails": {"5:17": [[54.54, 25.73], ...]}, "lost": [...],
     "things": [["alert", "8c1f0a52d3b94e67", {...}]], "pulse": {...}}
    {"kind": "news", "version": 815, "rows": [...], "gone": ["5:12"], "lost": [...], "things": [...], "pulse": {...}}

A thing is one retained topic beside the tracks as it was published (`null`: it is no more): alerts, incidents, sensors,
search areas and so on, and as "detail" the whole message of tracks with an open alert.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from adapters.ui.picture import COLUMNS, UNITS, Message, Row, compact, decode
from adapters.wholepicture import WholePicture
from adapters.wire import load_json
from fusion.schema import Invalid

THINGS_MAX = 5_000  # beside tracks; what comes beyond is counted and not shown
TRACKS_MAX = 65_536  # what the tracker itself may hold, as in adapters/outlets/held.py
TOMBSTONES_MAX = 4_000  # of what is gone; a viewer further behind is told the whole
TRAIL_EVERY_S, TRAIL_POINTS = 6.0, 10
LOST_FOR_S = 600.0
CLOSED_FOR_S = 300.0  # a closed alert stays so long in the list
KINDS = {"alert": "alert", "incident": "incident", "search": "search", "area": "area", "interference": "interference"}


class _Alert(msgspec.Struct):
    """What is read of an alert."""

    track: str = ""
    state: str = ""


_ALERT = msgspec.json.Decoder(_Alert)


def _checked(payload: bytes) -> msgspec.Raw:
    """A message that is sound JSON, as it stands. Raises Invalid."""
    load_json(payload)
    return msgspec.Raw(payload)


@dataclass(slots=True)
class _Track:
    version: int
    row: list[Any]
    seen_s: float  # when a picture named it
    trail: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=TRAIL_POINTS))
    trail_s: float = float("-inf")


@dataclass(slots=True)
class _Thing:
    version: int
    body: msgspec.Raw | None  # None: gone
    until_s: float = float("inf")


class Sky:
    """The present as the topics tell it. Times `now_s` are seconds of one clock that never falls."""

    def __init__(self) -> None:
        self.version = 0
        self.urgent = 0  # rises with every change that is told at once
        self.refused: dict[str, int] = {}
        self.picture_us = -1  # moment of the newest picture
        self.picture_s = float("-inf")  # when it came
        self._tracks: dict[str, _Track] = {}
        self._gone: deque[tuple[int, str]] = deque()
        self._forgotten = 0  # versions up to here cannot be told as news any more
        self._things: dict[tuple[str, str], _Thing] = {}
        self._details: dict[str, bytes] = {}  # newest message of each track
        self._ledgers: dict[str, msgspec.Raw] = {}
        self._alerted: dict[str, str] = {}  # open alert -> track
        self._watched: dict[str, None] = {}  # tracks with an open alert
        self._lost: dict[str, tuple[int, float, dict[str, Any]]] = {}
        self._whole_picture = WholePicture()
        self._told: dict[int, bytes] = {}  # since -> news, of the present version
        self.see: Callable[[Sequence[Row]], None] = lambda rows: None  # told of the tracks of every picture

    # --- what comes ---

    def take(self, subject: str, payload: bytes, now_s: float) -> None:
        """One message; `subject` is its topic below the site. What cannot be read is counted."""
        kind, _, name = subject.partition("/")
        try:
            if kind in ("picture", "picture-delta"):
                if payload:
                    self._picture(decode(payload), now_s)
            elif kind == "track":
                self._detail(name, payload)
            elif kind == "ledger":
                self._ledger(name, payload)
            elif kind == "status":
                self._put("status", "", payload, now_s)
            elif kind == "sensor":
                self._put("sensor", name.removesuffix("/health"), payload, now_s)
            elif kind in KINDS:
                self._put(kind, name, payload, now_s)
                if kind == "alert":
                    self._alert(name, payload)
        except (Invalid, msgspec.DecodeError):
            self.refused[kind] = self.refused.get(kind, 0) + 1

    def _next(self) -> int:
        self.version += 1
        self._told.clear()
        return self.version

    def _picture(self, message: Message, now_s: float) -> None:
        version = self._next()
        self.picture_us, self.picture_s = message.t_us, now_s
        self.see(message.tracks)
        for row in message.tracks:
            if len(self._tracks) >= TRACKS_MAX and row.id not in self._tracks:
                self.refused["too many tracks"] = self.refused.get("too many tracks", 0) + 1
                continue
            track = self._tracks.get(row.id)
            if track is None:
                track = self._tracks[row.id] = _Track(version, [], now_s)
            track.version, track.row, track.seen_s = version, compact(row), now_s
            if now_s - track.trail_s >= TRAIL_EVERY_S and row.lat_deg is not None and row.lon_deg is not None:
                track.trail_s = now_s
                track.trail.append((row.lat_deg, row.lon_deg))
            self._lost.pop(row.id, None)
        for gone in message.dropped:
            self._drop(gone.id, gone.reason, now_s)
        if message.full:
            self._settle(message, now_s)

    def _settle(self, message: Message, now_s: float) -> None:
        """A whole picture ends what it does not name."""
        ids = (row.id for row in message.tracks)
        named = self._whole_picture.take(message.seq, message.time, message.part, message.parts, ids)
        if named is not None:
            for name in [name for name in self._tracks if name not in named]:
                self._drop(name, "not in the picture", now_s)

    def _drop(self, name: str, reason: str, now_s: float) -> None:
        track = self._tracks.pop(name, None)
        self._details.pop(name, None)
        if track is None:
            return
        self._gone.append((self.version, name))
        if len(self._gone) > TOMBSTONES_MAX:
            self._forgotten = self._gone.popleft()[0]
        said = dict(zip(COLUMNS, track.row, strict=True))
        watched = said["low_slow"] or name in self._watched
        if watched and not said["cooperative"] and said["lat_deg"] is not None and reason != "merged":
            last = {name: said[name] for name in ("id", "lat_deg", "lon_deg", "speed_mps", "course_deg", "height_m")}
            self._lost[name] = (self.version, now_s, {**last, "reason": reason})

    def _detail(self, name: str, payload: bytes) -> None:
        if not payload:
            self._details.pop(name, None)
            return
        _checked(payload)
        self._details[name] = payload
        if name in self._watched:
            self._things[("detail", name)] = _Thing(self._next(), msgspec.Raw(payload))

    def _ledger(self, name: str, payload: bytes) -> None:
        if not payload:
            self._ledgers.pop(name, None)
        elif name in self._ledgers or len(self._ledgers) < TRACKS_MAX:
            self._ledgers[name] = _checked(payload)

    def _alert(self, name: str, payload: bytes) -> None:
        self.urgent += 1
        said = _ALERT.decode(payload) if payload else _Alert()
        if said.state in ("", "closed"):
            track = self._alerted.pop(name, "")
            self._watched = dict.fromkeys(self._alerted.values())
            if track and track not in self._watched and ("detail", track) in self._things:
                self._things[("detail", track)] = _Thing(self._next(), None)
            return
        self._alerted[name] = said.track
        self._watched = dict.fromkeys(self._alerted.values())
        if said.track in self._details:
            self._detail(said.track, self._details[said.track])

    def _put(self, kind: str, name: str, payload: bytes, now_s: float) -> None:
        key = (kind, name)
        held = self._things.get(key)
        if payload:
            if held is None and len(self._things) >= THINGS_MAX:
                self.refused["too many"] = self.refused.get("too many", 0) + 1
                return
            self._things[key] = _Thing(self._next(), _checked(payload))
        elif held is not None and held.body is not None:
            closed = kind in ("alert", "incident") and _ALERT.decode(held.body).state == "closed"
            if closed:
                held.until_s = min(held.until_s, now_s + CLOSED_FOR_S)
            else:
                held.version, held.body = self._next(), None

    def tidy(self, now_s: float) -> None:
        """Let go of what is over; once a second is enough."""
        for name in [name for name, (_, at_s, _) in self._lost.items() if now_s - at_s > LOST_FOR_S]:
            del self._lost[name]
        for thing in self._things.values():
            if thing.until_s <= now_s:
                thing.version, thing.body, thing.until_s = self._next(), None, float("inf")
        dead = [key for key, thing in self._things.items() if thing.body is None]
        if len(dead) > TOMBSTONES_MAX:
            for key in dead:
                self._forgotten = max(self._forgotten, self._things.pop(key).version)

    def reset(self) -> None:
        """The broker was away: its retained messages tell everything anew, and what they do not tell is no more."""
        self._forgotten = self._next()
        self.picture_us, self.picture_s = -1, float("-inf")  # an empty map is no picture of three seconds ago
        self._tracks.clear()
        self._things.clear()
        self._details.clear()
        self._ledgers.clear()
        self._alerted.clear()
        self._watched.clear()
        self._gone.clear()

    # --- what is told ---

    def since(self, version: int, pulse: dict[str, Any], now_s: float) -> tuple[bytes, int]:
        """What a viewer who was told everything up to `version` (-1: nothing yet) needs, and the new version."""
        if version < self._forgotten or version < 0 or version > self.version:
            return self._whole(pulse, now_s), self.version
        told = self._told.get(version)
        if told is None:
            told = self._told[version] = msgspec.json.encode(self._news(version, now_s))[:-1]
        return told + b',"pulse":' + msgspec.json.encode(pulse) + b"}", self.version

    def track(self, name: str) -> bytes | None:
        """The newest whole message of a track, and the states that it passed as its `ledger`."""
        whole, ledger = self._details.get(name), self._ledgers.get(name)
        if whole is None or ledger is None:
            return whole
        return msgspec.json.encode({**msgspec.json.decode(whole), "ledger": ledger})

    @property
    def count(self) -> int:
        """Tracks in the picture."""
        return len(self._tracks)

    def _whole(self, pulse: dict[str, Any], now_s: float) -> bytes:
        return msgspec.json.encode(
            {
                "kind": "whole",
                "version": self.version,
                "columns": COLUMNS,
                "units": UNITS,
                "rows": [track.row for track in self._tracks.values()],
                "trails": {
                    name: list(track.trail)
                    for name, track in self._tracks.items()
                    if len(track.trail) > 1 and not track.row[COLUMNS.index("cooperative")]
                },
                "lost": self._last_seen(-1, now_s),
                "things": [[*key, t.body] for key, t in self._things.items() if t.body is not None],
                "pulse": pulse,
            }
        )

    def _news(self, version: int, now_s: float) -> dict[str, Any]:
        rows = [track.row for track in self._tracks.values() if track.version > version]
        gone = [name for at, name in self._gone if at > version and name not in self._tracks]
        things = [[*key, thing.body] for key, thing in self._things.items() if thing.version > version]
        lost = self._last_seen(version, now_s)
        parts = (("rows", rows), ("gone", gone), ("lost", lost), ("things", things))
        return {"kind": "news", "version": self.version, **{name: part for name, part in parts if part}}

    def _last_seen(self, version: int, now_s: float) -> list[dict[str, Any]]:
        return [{**last, "ago_s": round(now_s - at_s, 1)} for told, at_s, last in self._lost.values() if told > version]
