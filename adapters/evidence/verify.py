"""A dossier run again: do its inputs come to its tracks and alerts, bit for bit, after rounding, or not?

Bit for bit is what equal versions on equal processors owe. Another processor may round differently in the last bits;
then every track must be within 1 m and 0.1 m/s of the one that was recorded, and alerts and incidents must be the same.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec

from adapters import config as configuration
from adapters.config import SERVICE_FILE, Config
from adapters.errors import ConfigError
from adapters.evidence import bundle
from adapters.evidence.bundle import Checked
from adapters.evidence.dossier import CONFIG, RECORDING, RERUN, RESET, UNTOLD, member_of
from adapters.kernelcache import processor
from adapters.running.checkpoint import code
from adapters.running.offline import Offline, Verdict
from adapters.running.startframe import decode, versions
from adapters.store import piece_of
from adapters.wire import parse_time, rfc3339
from fusion.schema import US_PER_S, Frame, Invalid
from replay import recording
from replay.mcapfile import Output
from replay.mcapread import Item

METRES, MPS = 1.0, 0.1  # what another processor may move a track by, and its velocity
STEP_M, STEP_MPS = 0.2, 0.15  # of the numbers as published: one step of each may turn over as well
ALERT_US = US_PER_S  # what an alert may move by in time
COMPARED = ("picture", "alert", "incident")
M_PER_DEG = 111_320.0
FILES = {  # of service.toml: what names files
    "zones": ("terrain", "geoid", "dem", "borders", "protected"),
    "rules": ("base", "overlays", "volumes"),
}


class Result(IntEnum):
    """What came out; the number is the exit status."""

    IDENTICAL = 0
    DIFFERENT = 1
    ROUNDED = 3
    NOT_RUN = 4


@dataclass(slots=True)
class Outcome:
    """The answer, in words; `lines` say why a difference would be no wonder, or what could not be compared."""

    result: Result
    words: str
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """Where what was recorded and what came out part."""

    record: int
    t_us: int
    words: str

    def __str__(self) -> str:
        where = f"record {self.record} of {RECORDING}" if self.record >= 0 else "nothing that was recorded"
        return f"at {rfc3339(self.t_us)}, {where}: {self.words}"


class Comparison:
    """What was recorded of each tick beside what comes out of it."""

    def __init__(self) -> None:
        self.exact = True  # apart from the running numbers of messages
        self.inexact: Difference | None = None  # the first that is not
        self.far: Difference | None = None  # the first beyond what rounding explains
        self.recorded_entries: list[bytes] = []  # alerts and incidents
        self.first_us = self.last_us = -1
        self._theirs: list[tuple[int, Output]] = []
        self._ours: Sequence[Output] | None = None
        self._told: tuple[dict[str, list[_Step]], dict[str, list[_Step]]] = ({}, {})

    def recorded(self, record: int, output: Output) -> None:
        """One output of the recording."""
        if output.topic in COMPARED and _by_engine(output):
            self._theirs.append((record, output))

    def ours(self, outputs: Sequence[Output]) -> None:
        """What the engine says at a tick."""
        self._ours = [output for output in outputs if output.topic in COMPARED and _by_engine(output)]

    def settle(self) -> None:
        """The tick is over: compare."""
        theirs, ours = self._theirs, self._ours
        self._theirs, self._ours = [], None
        if ours is None:
            return  # no engine yet: before the place at which the recording is entered
        for _, output in theirs:
            self.last_us = output.t_us
            self.first_us = output.t_us if self.first_us < 0 else self.first_us
            if output.topic != "picture":
                self.recorded_entries.append(output.payload)
        for side, outputs in ((0, [o for _, o in theirs]), (1, ours)):
            for number, output in enumerate(outputs):
                if output.topic != "picture":
                    step = _Step(theirs[number][0] if side == 0 else -1, output.t_us, _said(output.payload))
                    self._told[side].setdefault(step.said[1], []).append(step)
        if [_unnumbered(o) for _, o in theirs] == [_unnumbered(o) for o in ours]:
            return
        self.exact = False
        first = theirs[0] if theirs else (-1, ours[0])
        found = _pictures(theirs, ours)
        self.inexact = self.inexact or found or Difference(first[0], first[1].t_us, _unlike(theirs, ours))
        if found is not None and self.far is None:
            self.far = found

    def alerts_differ(self) -> Difference | None:
        """The first alert or incident, in order of time, that only one side has, or has otherwise."""
        found = []
        theirs, ours = self._told
        for name in sorted({*theirs, *ours}):
            pair = _steps(theirs.get(name, [])), _steps(ours.get(name, []))
            for number in range(max(map(len, pair))):
                a, b = (side[number] if number < len(side) else None for side in pair)
                if a is None or b is None or a.said != b.said or abs(a.t_us - b.t_us) > ALERT_US:
                    found.append(_alert_difference(a, b))
                    break
        return min(found, key=lambda one: one.t_us, default=None)


@dataclass(frozen=True, slots=True)
class _Step:
    """One transition of an alert or incident."""

    record: int
    t_us: int
    said: tuple[str, str, str, str]  # schema, id, state or change, rule


def rerun(path: Path, found: Checked, folder: Path, given: Path | None = None) -> Outcome:
    """Run the recording of a checked bundle again, in `folder`. `given`: a configuration for files that it lacks.

    Raises:
        OSError: the disk refuses.
    """
    if RECORDING not in found.members:
        return Outcome(Result.NOT_RUN, "it holds no recording")
    try:
        return _rerun(path, found, folder, given)
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError, AttributeError) as error:
        # Whole by its chain, and still not what a dossier holds: whoever wrote it wrote it so.
        return Outcome(Result.DIFFERENT, f"it holds what no service records: {error}")


def _rerun(path: Path, found: Checked, folder: Path, given: Path | None) -> Outcome:
    if not found.about["recording"]["entered"]:
        return Outcome(Result.NOT_RUN, "its recording cannot be entered")
    try:
        start = decode(bundle.read(path, found, "start.json"))
        config = _configured(path, found, start, folder, given)
        zones = configuration.load_zones(config)
    except (ConfigError, Invalid) as error:
        return Outcome(Result.NOT_RUN, f"its configuration cannot be used: {error}")
    bundle.extract(path, found, [RECORDING], folder)
    comparison = Comparison()
    run = Offline(config, zones, tell=comparison.ours)
    verdict = run.run(_watched(folder / RECORDING, comparison))
    comparison.settle()
    notes = _notes(found, start) + [note for note in dict.fromkeys(verdict.notes) if "checkpoint" in note]
    if not verdict.compared:
        return Outcome(Result.NOT_RUN, "nothing of it could be compared", notes)
    return _judged(path, found, verdict, comparison, notes)


def _judged(path: Path, found: Checked, verdict: Verdict, comparison: Comparison, notes: list[str]) -> Outcome:
    alerts, kept = comparison.alerts_differ(), _journal_differs(path, found, comparison)
    far = min(filter(None, (comparison.far, alerts)), key=lambda one: one.t_us, default=None)
    if kept:
        return Outcome(Result.DIFFERENT, kept, notes)
    if far is not None:
        return Outcome(Result.DIFFERENT, str(far), notes)
    if verdict.differs_us < 0 and comparison.exact:
        words = (
            f"{verdict.compared} seconds, {verdict.frames} frames: tracks, alerts and incidents come out bit for bit"
        )
        return Outcome(Result.IDENTICAL, words, notes)
    if verdict.differs_us < 0:
        return Outcome(Result.DIFFERENT, f"{comparison.inexact}; its digests say that it was said otherwise", notes)
    if not notes:
        notes.append("processor and versions are the same, so every bit should be: somebody may have changed it")
    words = (
        f"within {METRES:g} m and {MPS:g} m/s, the same alerts; not bit for bit from {rfc3339(verdict.differs_us)} on"
    )
    return Outcome(Result.ROUNDED, words, notes)


def _watched(path: Path, comparison: Comparison) -> Iterator[Item]:
    for number, item in enumerate(recording.items(path)):
        if isinstance(item, Frame):
            comparison.settle()
        else:
            comparison.recorded(number, item)
        yield item


def _notes(found: Checked, start: dict[str, Any]) -> list[str]:
    notes = []
    if start.get("processor") != processor():
        notes.append(f"recorded on another processor: {start.get('processor')}; here: {processor()}")
    if start.get("versions") != versions():
        notes.append(f"recorded with other versions: {start.get('versions')}; here: {versions()}")
    if found.about.get("made_with", {}).get("code") != code():
        notes.append("the dossier was made with another version of the program than this one")
    return notes


# --- the configuration of the bundle ---


def _configured(path: Path, found: Checked, start: dict[str, Any], folder: Path, given: Path | None) -> Config:
    """The bundle's own configuration, every file as it was by its hash. Raises ConfigError."""
    here = {} if given is None else _by_hash(given)
    target = folder / "config"
    for told in start.get("files", []):
        name = member_of(str(told.get("name")))
        content = bundle.read(path, found, name)
        fits = hashlib.sha256(content).hexdigest() == told.get("sha256")
        if name == CONFIG + SERVICE_FILE:
            continue  # without its password it has another hash; rerun.toml takes its place
        if not fits:
            content = here[told["sha256"]].read_bytes() if told.get("sha256") in here else b""
        if not fits and not content:
            problem = f"is not in it as it was (sha256 {told.get('sha256')})"
            raise ConfigError(str(path), name, problem, "name a folder that has it: --config")
        if bundle.NAME.fullmatch(name) is None:
            raise ConfigError(str(path), name[:60], "is no plain name", "do not trust where this came from")
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    service = bundle.read(path, found, RERUN)
    _same_service(path, service, bundle.read(path, found, CONFIG + SERVICE_FILE))
    _inside(path, tomllib.loads(service.decode()))
    target.mkdir(exist_ok=True)
    (target / SERVICE_FILE).write_bytes(service)
    loaded = configuration.load(target, environ={})
    return replace(loaded, hash=str(start.get("config_hash")))


def _by_hash(folder: Path) -> dict[str, Path]:
    loaded = configuration.load(folder)
    return {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in loaded.files}


def _same_service(path: Path, service: bytes, as_it_was: bytes) -> None:
    """What is run with says what was said then, apart from where files lie. Raises ConfigError."""
    try:
        ours, theirs = (tomllib.loads(text.decode()) for text in (service, as_it_was))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), RERUN, f"is not TOML ({error})", "ask for the dossier again") from error
    for data in (ours, theirs):
        for key in (*UNTOLD, "site"):
            data.pop(key, None)
        for section, keys in FILES.items():
            part = data.setdefault(section, {})
            for key in keys:
                part.pop(key, None)
    if as_it_was and ours != theirs:
        raise ConfigError(str(path), RERUN, "is not the service.toml beside it", "do not trust where this came from")


def _inside(path: Path, service: dict[str, Any]) -> None:
    """No file is named but those of the bundle: a stranger's must not open ours. Raises ConfigError."""
    cure = "do not trust where this came from"
    for key in UNTOLD:
        if key in service:
            raise ConfigError(str(path), f"{RERUN} {key}", "is given, which no dossier has", cure)
    for section, keys in FILES.items():
        for key in keys:
            given = service.get(section, {}).get(key, [])
            for name in filter(None, given if isinstance(given, list) else [given]):
                if not isinstance(name, str) or bundle.NAME.fullmatch(name) is None:
                    raise ConfigError(str(path), f"{RERUN} {section}.{key}", "names a file outside of it", cure)


# --- comparing ---


def _by_engine(output: Output) -> bool:
    """Closings after a cold start are the service's own, or of what no engine found again: compared on neither side."""
    return output.topic == "picture" or f'"close_reason":"{RESET}'.encode() not in output.payload


def _unnumbered(output: Output) -> object:
    told = msgspec.json.decode(output.payload)
    told.pop("seq", None)
    return output.topic, told


def _said(payload: bytes) -> tuple[str, str, str, str]:
    told = msgspec.json.decode(payload)
    return str(told.get("schema")), str(told.get("id")), str(told.get("change") or told.get("state")), _rule(told)


def _rule(told: dict[str, Any]) -> str:
    rule = told.get("rule")
    return str(rule.get("id") if isinstance(rule, dict) else rule)


def _steps(told: list[_Step]) -> list[_Step]:
    return [step for step in told if step.said[2] != "updated"]  # numbers that moved are not a change of state


def _alert_difference(theirs: _Step | None, ours: _Step | None) -> Difference:
    one = theirs or ours
    assert one is not None
    kind = "incident" if "incident" in one.said[0] else "alert"
    if theirs is None:
        assert ours is not None
        return Difference(-1, ours.t_us, f"{kind} {ours.said[1]} is {ours.said[2]} when run again, and was not")
    became = f"{ours.said[2]} at {rfc3339(ours.t_us)}" if ours else "not"
    words = f"{kind} {theirs.said[1]} was {theirs.said[2]}, and is {became} when run again"
    return Difference(theirs.record, theirs.t_us, words)


def _unlike(theirs: Sequence[tuple[int, Output]], ours: Sequence[Output]) -> str:
    return f"{len(theirs)} messages were recorded, {len(ours)} come out, and they are not the same"


def _pictures(theirs: Sequence[tuple[int, Output]], ours: Sequence[Output]) -> Difference | None:
    """The first track that is further off than rounding explains."""
    rows: list[dict[str, tuple[int, dict[str, Any]]]] = [{}, {}]
    t_us, record = -1, -1
    for side, told in ((0, theirs), (1, [(-1, output) for output in ours])):
        for number, output in told:
            if output.topic == "picture":
                t_us = output.t_us
                record = number if record < 0 else record
                for row in msgspec.json.decode(output.payload).get("tracks", []):
                    rows[side][row["id"]] = (number, row)
    for name in [*rows[0], *(name for name in rows[1] if name not in rows[0])]:
        if name not in rows[1] or name not in rows[0]:
            only = "was recorded, and does not come out" if name in rows[0] else "comes out, and was not recorded"
            return Difference(rows[0].get(name, (record, {}))[0], t_us, f"track {name} {only}")
        number, row = rows[0][name]
        away_m, away_mps = _away(row, rows[1][name][1])
        if not (away_m <= METRES + STEP_M and away_mps <= MPS + STEP_MPS):
            return Difference(number, t_us, f"track {name} comes out {away_m:.1f} m and {away_mps:.2f} m/s away")
    return None


def _away(a: dict[str, Any], b: dict[str, Any]) -> tuple[float, float]:
    """Distance of two rows of a picture, metres, and of their velocities, m/s. What one lacks the other must lack."""
    keys = ("lat_deg", "lon_deg", "height_m", "speed_mps", "course_deg", "climb_mps")
    if any((key in a) != (key in b) for key in keys):
        return math.inf, math.inf
    d = {key: float(b.get(key, 0.0)) - float(a.get(key, 0.0)) for key in keys}
    east_m = d["lon_deg"] * M_PER_DEG * math.cos(math.radians(float(a.get("lat_deg", 0.0))))
    away_m = math.hypot(d["lat_deg"] * M_PER_DEG, east_m, d["height_m"])
    across = 2.0 * float(a.get("speed_mps", 0.0)) * math.sin(math.radians(d["course_deg"]) / 2.0)
    return away_m, math.hypot(d["speed_mps"], across, d["climb_mps"])


def _journal_differs(path: Path, found: Checked, comparison: Comparison) -> str:
    """An entry of the journal about this incident, of the time compared, that was never recorded; and back."""
    entries, problem = piece_of(bundle.read(path, found, "journal.jsonl"))
    if problem:
        return f"record {len(entries)} of journal.jsonl: {problem}"
    incident = str(found.about.get("incident"))
    journalled = [entry.payload for entry in entries]
    for number, payload in enumerate(journalled):
        told = msgspec.json.decode(payload)
        t_us = _time_us(told)
        within = comparison.first_us <= t_us <= comparison.last_us - US_PER_S
        ours = told.get("id") == incident and not str(told.get("close_reason", "")).startswith(RESET)
        if ours and within and payload not in comparison.recorded_entries:
            return f"record {number} of journal.jsonl says what was not recorded: {told.get('change')} of the incident"
    for payload in comparison.recorded_entries:
        told = msgspec.json.decode(payload)
        if told.get("id") == incident and payload not in journalled:
            return (
                f"{told.get('change')} of the incident at {told.get('time')} was recorded, and is not in journal.jsonl"
            )
    return ""


def _time_us(told: dict[str, Any]) -> int:
    try:
        return parse_time(told.get("time"))
    except Invalid:
        return -1
