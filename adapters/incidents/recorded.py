"""What the recordings hold of an incident: how its tracks were fed, with which configuration, and in which files.

A report is asked for while people watch: a recording of hours is looked into at `LOOKS_MAX` moments and not read whole.
The number of fused plots only grows, so what lies between two looks is counted exactly. Which single plot went into
which track is not recorded: running the recording again tells it (adapters/evidence/).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec

from adapters.formats.picture import SCHEMA
from adapters.incidents.reading import Dossier
from adapters.running import startframe
from adapters.wire import parse_time, read
from fusion.cases.record import Member
from fusion.schema import US_PER_S, Invalid
from replay.log import START, BadLog
from replay.mcapfile import Output
from replay.mcapread import McapReader

LOOKS_MAX = 60  # moments of an incident that are looked at ...
LINES_MAX = 1_200  # ... and lines in all: of a swarm there are fewer moments
FILES_MAX = 100  # recordings of an epoch whose beginning is read, the first
LATE_S = 5  # a picture so long after a moment still stands for it
START_WITHIN = 1_000  # items; a recording begins with who started


@dataclass(frozen=True, slots=True)
class Look:
    """One track at one moment at which it had taken plots since the look before, as the picture told it."""

    track: str
    t_us: int  # of the picture
    plots: int  # fused so far
    more: int  # of these since the look before
    newest_us: int  # measured time of the newest plot; -1 not told
    sensors: tuple[str, ...]  # that saw it in the 30 s before
    lat_deg: float | None
    lon_deg: float | None
    sigma_m: float | None
    height_m: float | None  # above the ellipsoid
    speed_mps: float | None


@dataclass(frozen=True, slots=True)
class Run:
    """With what a recording says that the service started."""

    epoch: int
    file: str  # that said it first
    config_hash: str
    versions: tuple[tuple[str, str], ...]
    processor: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is left of an incident in a folder of recordings."""

    looks: tuple[Look, ...]  # by time, then by order of joining
    step_s: int  # between two looks
    runs: tuple[Run, ...]  # where anything changed, in order
    files: tuple[str, ...]  # names of recordings of its time, in order
    piece_sha256: str = ""  # of the recording in the dossier that the report is part of


class _Row(msgspec.Struct, gc=False):
    id: str
    plots_count: int = 0
    sensors: tuple[str, ...] = ()
    last_plot_time: str = ""
    lat_deg: float | None = None
    lon_deg: float | None = None
    sigma_horizontal_m: float | None = None
    height_m: float | None = None
    speed_mps: float | None = None


class _Picture(msgspec.Struct, gc=False):
    schema: str
    tracks: list[_Row] = []


_PICTURE = msgspec.json.Decoder(_Picture)


def recorded(folder: Path, of: Dossier, piece_sha256: str = "") -> Recorded:
    """What `folder` has of an incident; what is gone or cannot be read is left out."""
    members = of.incident.members
    count = max(2, min(LOOKS_MAX, LINES_MAX // len(members)))
    begin_us = min(m.confirmed_us for m in members)
    end_us = max(begin_us, *(m.t_us for m in members))
    step_s = max(1, -(-(end_us - begin_us) // (US_PER_S * (count - 1))))
    looks: list[Look] = []
    runs: list[Run] = []
    names: list[str] = []
    for epoch in sorted({_epoch(m) for m in members}):
        ours = [m for m in members if _epoch(m) == epoch]
        first_us, last_us = min(m.first_plot_us for m in ours), max(m.t_us for m in ours)
        files = _files(folder, epoch, first_us, last_us)
        names += [path.name for _, path in files]
        runs += _runs(epoch, [path for _, path in files[:FILES_MAX]])
        moments = [*range(min(m.confirmed_us for m in ours), last_us, step_s * US_PER_S), last_us]
        looks += _looks(files, moments[: count + 1], ours)
    return Recorded(tuple(looks), step_s, tuple(runs), tuple(names), piece_sha256)


def _epoch(member: Member) -> int:
    return int(member.track.partition(":")[0])


def _files(folder: Path, epoch: int, first_us: int, last_us: int) -> list[tuple[int, Path]]:
    """Recordings of that time with the time of their first frame, in order."""
    found = [(_began_us(path), path) for path in sorted(folder.glob(f"e{epoch:06d}-*.mcap"))]
    begins = [began for began, _ in found]
    return found[max(bisect_right(begins, first_us) - 1, 0) : bisect_right(begins, last_us)]


def _began_us(path: Path) -> int:
    """By its name, to the second; -1 for a name that is none of ours."""
    try:
        text = path.name.partition("-")[2][:16]
        return int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * US_PER_S
    except ValueError:
        return -1


def _runs(epoch: int, files: Sequence[Path]) -> list[Run]:
    runs: list[Run] = []
    for path in files:
        try:
            said = startframe.decode(_start(path))
            told = Run(
                epoch, path.name, str(said["config_hash"]), tuple(sorted(said["versions"].items())), said["processor"]
            )
        except (BadLog, OSError, Invalid, KeyError, AttributeError):
            continue  # `vedette record info` says what is wrong with it
        before = runs[-1] if runs else None
        if before is None or (before.config_hash, before.versions, before.processor) != (
            told.config_hash, told.versions, told.processor,
        ):  # fmt: skip
            runs.append(told)
    return runs


def _start(path: Path) -> bytes:
    for item in islice(McapReader(path), START_WITHIN):
        if (item.topic if isinstance(item, Output) else item.source) == START:
            return item.payload
    return b""


def _looks(files: Sequence[tuple[int, Path]], moments: Sequence[int], members: Sequence[Member]) -> list[Look]:
    looks: list[Look] = []
    plots = {m.track: 0 for m in members}
    newest_us = -1
    for moment in moments:
        at_us, rows = _picture_at(files, moment)
        if at_us <= newest_us:
            continue
        newest_us = at_us
        for member in members:
            row = rows.get(member.track)
            if row is not None and row.plots_count > plots[row.id]:  # silence shows as the time between two lines
                looks.append(_look(row, at_us, plots[row.id]))
                plots[row.id] = row.plots_count
    return looks


def _look(row: _Row, t_us: int, before: int) -> Look:
    try:
        newest_us = parse_time(row.last_plot_time) if row.last_plot_time else -1
    except Invalid:
        newest_us = -1
    return Look(
        row.id, t_us, row.plots_count, row.plots_count - before, newest_us, row.sensors, row.lat_deg, row.lon_deg,
        row.sigma_horizontal_m, row.height_m, row.speed_mps,
    )  # fmt: skip


def _picture_at(files: Sequence[tuple[int, Path]], t_us: int) -> tuple[int, dict[str, _Row]]:
    """The first whole picture of the `LATE_S` from `t_us` on, by track, and its time; -1: none was recorded."""
    newest = max(bisect_right([began for began, _ in files], t_us) - 1, 0)
    for _, path in files[newest : newest + 2]:  # the one before may have ended just now
        try:
            found = _first_picture(path, t_us)
        except (BadLog, OSError, Invalid):
            continue
        if found[0] >= 0:
            return found
    return -1, {}


def _first_picture(path: Path, t_us: int) -> tuple[int, dict[str, _Row]]:
    """Raises BadLog, OSError, Invalid."""
    at_us, rows = -1, dict[str, _Row]()
    for item in McapReader(path, t_us):
        if not isinstance(item, Output) or item.topic != "picture" or item.t_us < t_us:
            continue
        if item.t_us > t_us + LATE_S * US_PER_S or (at_us >= 0 and item.t_us != at_us):
            break
        at_us = item.t_us  # a large picture is told in parts of one time
        rows |= {row.id: row for row in read(_PICTURE, item.payload, SCHEMA).tracks}
    return at_us, rows
