"""The sky at a glance, for a terminal: what a viewer of the page is told, as lines in the order of urgency. Pure."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from adapters.envelope import printable
from adapters.wire import parse_time
from fusion.schema import US_PER_S, Invalid

STALE_S = 3.0  # as the page says it
TRACKS_MAX = 200  # lines; the others are counted
SHAPE = {1: "▲", 2: "■", 3: "●"}
UNKNOWN = ""

Thing = dict[str, Any]


class Glance:
    """What the newest messages told. `take` them in order."""

    def __init__(self) -> None:
        self.version = -1
        self.tracks: dict[str, Thing] = {}
        self._things: dict[tuple[str, str], Thing] = {}
        self._columns: list[str] = []
        self.pulse: Thing = {}

    def take(self, message: Thing) -> None:
        """One message as `adapters.ui.sky.Sky.since` makes it."""
        if message["kind"] == "whole":
            self._columns = message["columns"]
            self.tracks.clear()
            self._things.clear()
        for row in message.get("rows", ()):
            self.tracks[row[0]] = dict(zip(self._columns, row, strict=True))
        for name in message.get("gone", ()):
            self.tracks.pop(name, None)
        for kind, name, body in message.get("things", ()):
            if body is None:
                self._things.pop((kind, name), None)
            else:
                self._things[(kind, name)] = body
        self.version, self.pulse = message["version"], message["pulse"]

    def all(self, kind: str) -> list[Thing]:
        """Everything of one kind."""
        return [body for (of, _), body in self._things.items() if of == kind]

    # --- lines ---

    def state(self, since_s: float) -> str:
        """What the picture is, in words that cannot be mistaken; `since_s`: since the pulse was made."""
        status = next(iter(self.all("status")), {})
        marks = ["SIMULATION"] * bool(status.get("simulated")) + ["EXERCISE"] * (status.get("mode") == "exercise")
        low = sum(1 for t in self.tracks.values() if t["low_slow"] and not t["cooperative"])
        counts = f"tracks {len(self.tracks)}, low and slow {low}"
        return "  ".join([self._how(status, since_s), *marks, counts])

    def _how(self, status: Thing, since_s: float) -> str:
        if not self.pulse.get("connected"):
            return "BROKER LOST"
        if "age_s" not in self.pulse:
            return "WAITING"
        age_s = self.pulse["age_s"] + since_s
        if status.get("state") == "offline":
            return f"STALE {age_s:.0f} s, service offline"
        if age_s > STALE_S:
            return f"STALE {age_s:.0f} s"
        if status.get("state") == "replay":
            return "REPLAY"
        shown_s = age_s + max(0.0, self.pulse.get("lag_s", 0.0))
        return f"{'LATE' if shown_s > STALE_S else 'LIVE'} {shown_s:.1f} s"

    def alerts(self) -> list[tuple[str, tuple[str, ...]]]:
        """Id and cells of every alert that is open, the most urgent first."""
        found = [alert for alert in self.all("alert") if alert.get("state") != "closed"]
        found.sort(key=lambda a: (self._rank(a), a["id"]))
        return [(a["id"], self._alert(a)) for a in found]

    def _rank(self, alert: Thing) -> tuple[bool, int, float]:
        track = self.tracks.get(alert.get("track", ""), {})
        return bool(alert.get("acknowledged_by")), int(alert.get("severity", 9)), _until_s(track)

    def _alert(self, alert: Thing) -> tuple[str, ...]:
        track, severity = self.tracks.get(alert.get("track", ""), {}), int(alert.get("severity", 0))
        by = alert.get("acknowledged_by", "")
        return (
            f"{SHAPE.get(severity, '')} {severity}",
            printable(str(alert.get("track", ""))),
            urgency(track) if track else "not seen now",
            printable(str(alert.get("sentence", ""))),
            f"{printable(by)} {_clock(alert.get('acknowledged_time', ''))}" if by else "NO",
        )

    def lines(self, low_only: bool) -> list[tuple[str, tuple[str, ...]]]:
        """Id and cells of tracks, the most urgent first, `TRACKS_MAX` at most."""
        severities: dict[str, int] = {}
        for alert in self.all("alert"):
            if alert.get("state") != "closed":
                severities[alert["track"]] = min(int(alert["severity"]), severities.get(alert["track"], 9))

        def rank(track: Thing) -> tuple[int, bool, float, str]:
            silent = track["low_slow"] and not track["cooperative"]
            return severities.get(track["id"], 9), not silent, _until_s(track), track["id"]

        shown = [t for t in self.tracks.values() if not low_only or rank(t)[0] < 9 or not rank(t)[1]]
        return [(t["id"], _line(t, severities.get(t["id"], 0))) for t in sorted(shown, key=rank)[:TRACKS_MAX]]

    def sensors(self) -> list[tuple[str, tuple[str, ...]]]:
        """Id and cells of sensors: the bad ones first."""
        found = sorted(self.all("sensor"), key=lambda s: (s.get("state") == "ok", s["sensor"]))
        return [(s["sensor"], _sensor(s)) for s in found]


def urgency(track: Thing) -> str:
    """What is most urgent about a track."""
    distance, time_s = track.get("border_distance_m"), track.get("time_to_border_s")
    if distance is not None and distance < 0.0:
        return f"{'inside' if track.get('cooperative') else 'INSIDE'} {-distance / 1e3:.1f} km"
    if time_s is not None:
        return f"border {int(time_s) // 60}:{int(time_s) % 60:02d}"
    return UNKNOWN if distance is None else f"near {distance / 1e3:.1f} km"


def _until_s(track: Thing) -> float:
    distance, time_s = track.get("border_distance_m"), track.get("time_to_border_s")
    if distance is not None and distance < 0.0 and not track.get("cooperative"):
        return 0.0
    return math.inf if time_s is None else float(time_s)


def _line(track: Thing, severity: int) -> tuple[str, ...]:
    return (
        f"{SHAPE.get(severity, '')} {severity}" if severity else UNKNOWN,
        printable(track["id"]),
        printable(track["callsign"] or track["address"] or UNKNOWN),
        "says who it is" if track["cooperative"] else "unknown",
        track["object_class"].replace("-", " "),
        _number(track["agl_m"], "m"),
        _number(track["speed_mps"], "m/s"),
        urgency(track),
        track["status"],
        " ".join(printable(name) for name in track["sensors"]),
    )


def _sensor(sensor: Thing) -> tuple[str, ...]:
    hits, misses = sensor.get("hits_count") or 0, sensor.get("misses_count") or 0
    return (
        printable(sensor["sensor"]),
        "ok" if sensor.get("state") == "ok" else f"▲ {printable(str(sensor.get('state', '?')))}",
        _clock(sensor.get("last_arrival_time", "")),
        _number(sensor.get("rate_hz"), "/s", 1),
        f"{100 * hits / (hits + misses):.0f} %" if hits + misses else UNKNOWN,
        printable(str(sensor.get("detail", ""))),
    )


def _number(value: float | None, unit: str, digits: int = 0) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f} {unit}"


def _clock(time: str) -> str:
    try:
        return datetime.fromtimestamp(parse_time(time) / US_PER_S, UTC).strftime("%H:%M:%S")
    except Invalid:
        return UNKNOWN
