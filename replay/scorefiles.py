"""Truth and tracks as files, read into columns for the scorer.

Truth is JSON lines, a header `{"truth":1}` and then one line per object and second as `vedette simulate --truth` writes
it, or a NumPy archive `.npz` with arrays T_lat, T_lon, T_ve, T_vn, T_cls, T_cov, T_alive (degrees, m/s, a row per
object, a column per second) and meas (fields t and truth). Tracks are what `vedette track` writes. Text may be
compressed (`.gz`, `.zst`).

A malformed line of tracks is counted and skipped: tracks are what is examined. Truth is the measure, so whatever is
wrong with it is refused: a measure with a hole would give a wrong score in silence.
"""

from __future__ import annotations

import zipfile
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import numpy as np
import zstandard
from msgspec import Meta

from fusion.schema import B1, F8, I8
from replay import log

MAX_LINE_BYTES = 65_536
MOST_ROWS = 50_000_000  # states in one file: 2.4 GB in memory; longer recordings are judged in parts
MS_PER_S = 1_000
MAX_TIME_S = 1e11  # the year 5138: in milliseconds still exact in int64 and float64
NAN = float("nan")
ARCHIVE = ("T_lat", "T_lon", "T_ve", "T_vn", "T_cov", "T_alive", "T_cls", "meas")
CLASSES = ("airliner", "ga", "shahed", "slow")  # what the numbers in T_cls stand for
CLAIMS = ("ghost", "replayed")  # faults of what was only ever broadcast: nothing is there, and its track is false
UNNAMED = "unnamed"  # class of objects that are given none
GONE = zipfile.BadZipFile, zlib.error, zstandard.ZstdError, EOFError

_Latitude = Annotated[float, Meta(ge=-90, le=90)]
_Longitude = Annotated[float, Meta(ge=-180, le=180)]
_Speed = Annotated[float, Meta(ge=-1e5, le=1e5)]
_Time = Annotated[float, Meta(ge=-MAX_TIME_S, le=MAX_TIME_S)]


class BadTruth(ValueError):
    """A truth that cannot be judged by: which file, where in it, and what is wrong."""

    def __init__(self, path: Path, where: str, problem: str) -> None:
        super().__init__(f"{path}: {where}: {problem}")
        self.path, self.where, self.problem = path, where, problem


class BadTracks(ValueError):
    """Tracks that cannot be read at all, or are too many."""


@dataclass(frozen=True, slots=True)
class States:
    """States of many objects or tracks, a row each, in order of time."""

    time_ms: I8  # (n,)
    who: I8  # (n,) number of the object or track
    lat_rad: F8  # (n,)
    lon_rad: F8  # (n,)
    east_mps: F8  # (n,) NaN not known
    north_mps: F8  # (n,)

    def __len__(self) -> int:
        return len(self.time_ms)

    def at(self, time_ms: int) -> slice:
        """The rows of one time."""
        return slice(*np.searchsorted(self.time_ms, (time_ms, time_ms + 1)))

    def take(self, rows: I8) -> States:
        """Some of the states, in the same order."""
        return States(
            self.time_ms[rows],
            self.who[rows],
            self.lat_rad[rows],
            self.lon_rad[rows],
            self.east_mps[rows],
            self.north_mps[rows],
        )


@dataclass(frozen=True, slots=True)
class TruthFile:
    """Everything that was there, with what the sensors had a chance to see."""

    states: States
    seen: B1  # (n,) of each state: some sensor has a chance to see it
    names: tuple[str, ...]  # of the objects
    classes: tuple[str, ...]  # names of the classes
    class_of: I8  # (objects,)
    first_hit_s: F8  # (objects,) first detection by a sensor, else the first second seen; NaN never


@dataclass(frozen=True, slots=True)
class TracksFile:
    """What a tracker said, and what of it could not be read."""

    states: States
    names: tuple[str, ...]  # of the tracks, in order of appearance
    covariance_m2: F8  # (n, 3) east-east, east-north, north-north; NaN where a track gives none
    malformed: int


class _Header(msgspec.Struct):
    truth: int


class _TruthLine(msgspec.Struct, gc=False):
    time: _Time
    id: Annotated[str, Meta(min_length=1, max_length=200)] | int
    kind: Annotated[str, Meta(max_length=100)] = msgspec.field(name="class")
    lat: _Latitude
    lon: _Longitude
    ve: _Speed
    vn: _Speed
    seen: bool
    first_hit: _Time | None = None
    fault: str = ""


class _TrackLine(msgspec.Struct, gc=False):
    tick: float | None = None
    track_id: Annotated[str, Meta(min_length=1, max_length=200)] | int | None = None
    time: _Time | None = None
    lat: _Latitude | None = None
    lon: _Longitude | None = None
    ve: _Speed | None = None
    vn: _Speed | None = None
    cov: tuple[float, float, float] | None = None


class _Columns:
    """States while they are read: flat arrays that grow, and the numbers given to names."""

    def __init__(self) -> None:
        self.time_ms, self.who = array("q"), array("q")
        self.lat, self.lon, self.east, self.north = array("d"), array("d"), array("d"), array("d")
        self.names: dict[str, int] = {}
        self.newest_ms = array("q")  # by number

    def add(self, name: str, time_s: float, lat: float, lon: float, east: float, north: float) -> int:
        """One state; the number of its object. Raises ValueError when time does not rise or there is no room."""
        time_ms = round(time_s * MS_PER_S)
        number = self.names.get(name)
        if number is not None and time_ms <= self.newest_ms[number]:
            raise ValueError(f"time {time_s:g} of {name} does not rise")
        if len(self.who) >= MOST_ROWS:
            raise OverflowError(f"more than {MOST_ROWS} states")
        if number is None:
            number = self.names[name] = len(self.newest_ms)
            self.newest_ms.append(time_ms)
        self.newest_ms[number] = time_ms
        self.time_ms.append(time_ms)
        self.who.append(number)
        self.lat.append(lat)
        self.lon.append(lon)
        self.east.append(east)
        self.north.append(north)
        return number

    def states(self) -> tuple[States, I8 | slice]:
        """The states in order of time, and what puts other columns in that order. Nothing is copied without need."""
        lat, lon, east, north = (np.frombuffer(c, np.float64) for c in (self.lat, self.lon, self.east, self.north))
        np.radians(lat, out=lat)
        np.radians(lon, out=lon)
        time_ms = np.frombuffer(self.time_ms, np.int64)
        states = States(time_ms, np.frombuffer(self.who, np.int64), lat, lon, east, north)
        if (np.diff(time_ms) >= 0).all():
            return states, slice(None)
        order = np.argsort(time_ms, kind="stable")
        return states.take(order), order


def lines(stream: BinaryIO, number: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers; of one that is too long its beginning, which no decoder takes."""
    while text := stream.readline(MAX_LINE_BYTES):
        number += 1
        rest = text
        while len(rest) == MAX_LINE_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES)
        if not text.isspace():
            yield number, text


def read_tracks(stream: BinaryIO, report: Callable[[int, str], None]) -> TracksFile:
    """Read what `vedette track` wrote, to its end. Every malformed line is reported with its number and reason.

    Raises:
        BadTracks: a compressed file that is damaged, or more states than there is room for.
    """
    decode = msgspec.json.Decoder(_TrackLine).decode
    columns, with_covariance, covariance, malformed = _Columns(), array("q"), array("d"), 0
    try:
        for number, text in lines(stream):
            try:
                got = decode(text)
                if _is_track(got):
                    columns.add(str(got.track_id), got.time, got.lat, got.lon, _known(got.ve), _known(got.vn))  # type: ignore[arg-type]
                    if got.cov is not None:
                        with_covariance.append(len(columns.who) - 1)
                        covariance.extend(got.cov)
            except ValueError as error:  # msgspec's errors are ValueErrors too
                malformed += 1
                report(number, str(error))
    except OverflowError as error:
        raise BadTracks(str(error)) from error
    except (*GONE, OSError) as error:
        raise BadTracks(f"damaged or cut off ({error})") from error
    states, order = columns.states()
    known: F8 = np.broadcast_to(np.full((1, 3), NAN), (len(states), 3))  # takes no room
    if with_covariance:
        known = known.copy()
        known[np.frombuffer(with_covariance, np.int64)] = np.frombuffer(covariance).reshape(-1, 3)
    return TracksFile(states, tuple(columns.names), known[order], malformed)


def _is_track(got: _TrackLine) -> bool:
    """False of a closing line. Raises ValueError for what is neither."""
    if got.track_id is None:
        if got.tick is None:
            raise ValueError("neither a track nor a tick")
        return False
    missing = [name for name in ("time", "lat", "lon") if getattr(got, name) is None]
    if missing:
        raise ValueError(f"{', '.join(missing)} missing")
    return True


def _known(value: float | None) -> float:
    return NAN if value is None else value


def read_truth(path: Path) -> TruthFile:
    """Read a truth, `.npz` or JSON lines. Raises BadTruth, and OSError when the file cannot be opened."""
    return _read_archive(path) if path.suffix == ".npz" else _read_lines(path)


def _read_lines(path: Path) -> TruthFile:
    decode = msgspec.json.Decoder(_TruthLine).decode
    columns, seen = _Columns(), array("b")
    classes: dict[str, int] = {}
    class_of, first_hit_s = array("q"), array("d")
    number = 1
    with log.open_read(path) as stream:
        try:
            head = stream.readline(MAX_LINE_BYTES)
            if not head.strip():
                raise ValueError("there is no header: the file is empty, or begins with an empty line")
            if msgspec.json.decode(head, type=_Header).truth != 1:
                raise ValueError("is not a truth of version 1")
            for number, text in lines(stream, 1):  # noqa: B007 (it names the line of an error)
                got = decode(text)
                if got.fault in CLAIMS:
                    continue
                who = columns.add(str(got.id), got.time, got.lat, got.lon, got.ve, got.vn)
                kind = classes.setdefault(got.kind or UNNAMED, len(classes))
                if who == len(class_of):
                    class_of.append(kind)
                    first_hit_s.append(NAN)
                elif class_of[who] != kind:
                    raise ValueError(f"the class of {got.id} changes")
                seen.append(got.seen)
                if got.first_hit is not None:
                    first_hit_s[who] = got.first_hit
        except (*GONE, OSError, OverflowError, ValueError) as error:
            raise BadTruth(path, f"line {number}", str(error)) from error
    states, order = columns.states()
    about = tuple(columns.names), tuple(classes), np.array(class_of, np.int64)
    return _checked(path, TruthFile(states, np.frombuffer(seen, np.bool_)[order], *about, np.array(first_hit_s)))


def _read_archive(path: Path) -> TruthFile:
    """A row per object and a column per second from 0 on. Classes may be names or numbers (CLASSES)."""
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):  # numpy would take it for Python objects, and advise to load them
            raise BadTruth(path, "archive", "it is no archive of NumPy")
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            part = {name: archive[name] for name in ARCHIVE}
        return _checked(path, _from_arrays(part))
    except (*GONE, ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, BadTruth):
            raise
        raise BadTruth(path, "archive", f"{error}") from error


def _from_arrays(part: dict[str, Any]) -> TruthFile:
    alive = np.asarray(part["T_alive"], np.bool_)
    grids = [part[name] for name in ("T_lat", "T_lon", "T_ve", "T_vn", "T_cov")]
    if alive.ndim != 2 or any(grid.shape != alive.shape for grid in grids) or part["T_cls"].shape != alive.shape[:1]:
        raise ValueError("T_lat, T_lon, T_ve, T_vn, T_cov and T_alive differ in shape, or T_cls in length")
    second, who = np.nonzero(alive.T)
    lat, lon, east, north = (np.asarray(grid[who, second], np.float64) for grid in grids[:4])
    numbers, class_of = np.unique(part["T_cls"], return_inverse=True)
    return TruthFile(
        States(second * MS_PER_S, who, np.radians(lat), np.radians(lon), east, north),
        np.asarray(grids[4][who, second], np.bool_),
        tuple(str(number) for number in range(len(alive))),
        tuple(_class_name(number) for number in numbers),
        class_of.astype(np.int64),
        _first_hits(part["meas"], len(alive)),
    )


def _class_name(value: Any) -> str:
    known = isinstance(value, np.integer) and 0 <= value < len(CLASSES)
    return CLASSES[int(value)] if known else str(value)


def _first_hits(measured: Any, objects: int) -> F8:
    """Time of the first measurement of each object; NaN never."""
    if not {"t", "truth"} <= set(measured.dtype.names or ()) or measured["truth"].max(initial=-1) >= objects:
        raise ValueError("meas must have fields t and truth, and truth must be the row of an object, or -1")
    first = np.full(objects, np.inf)
    real = measured["truth"] >= 0
    np.minimum.at(first, measured["truth"][real], measured["t"][real])
    first[np.isinf(first)] = NAN
    return first


def _checked(path: Path, truth: TruthFile) -> TruthFile:
    """The truth, with the first second seen where nobody said when an object was first hit. Raises BadTruth."""
    states = truth.states
    if not truth.seen.any():
        raise BadTruth(path, "everywhere", "no object is ever seen by a sensor")
    if not all(
        np.isfinite(column).all() for column in (states.lat_rad, states.lon_rad, states.east_mps, states.north_mps)
    ):
        raise BadTruth(path, "somewhere", "a position or velocity is not finite")
    if np.isfinite(truth.first_hit_s).any():
        return truth
    first = np.full(len(truth.names), np.inf)
    np.minimum.at(first, states.who[truth.seen], states.time_ms[truth.seen] / MS_PER_S)
    return replace(truth, first_hit_s=np.where(np.isinf(first), NAN, first))
