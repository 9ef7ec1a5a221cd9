"""`vedette score`: tracks against the truth, as a table, as JSON and as pictures."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from adapters.errors import ConfigError
from replay import log, scorefiles
from replay.score import Part, Rules, Score
from replay.score import score as judge

MOST_REPORTS = 20  # malformed lines told one by one; the rest are only counted
WIDTH = 140  # room for every column: a number that is cut off is worse than a long line


def score(
    truth_path: Path,
    tracks_path: str,
    rules: Rules,
    json_path: Path | None = None,
    plots: Path | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> int:
    """Judge tracks and show the result on `out`; what could not be read goes to `err`.

    Returns:
        0.

    Raises:
        ConfigError: truth that cannot be judged by, tracks that cannot be read, a file that cannot be written.
    """
    if plots is not None:
        from adapters.commands import (
            score_plots,  # first of all: a missing library is no reason to compute for a minute
        )
    out, err = out or sys.stdout, err or sys.stderr
    truth, tracks = _truth(truth_path), _tracks(tracks_path, err)
    try:
        found = judge(truth, tracks, rules)
    except ValueError as error:
        raise ConfigError(str(truth_path), "samples", str(error), "give other --start, --end or --step") from error
    show(found, rules, out)
    if json_path is not None:
        with _writing(json_path, "--json"):
            json_path.write_bytes(as_json(found, rules, truth_path, tracks.malformed))
    if plots is not None:
        with _writing(plots, "--plots"):
            plots.mkdir(parents=True, exist_ok=True)
            score_plots.draw(found, truth.classes, plots)
    return 0


def origin(text: str) -> tuple[float, float] | None:
    """LAT,LON in degrees as radians; None of an empty text. Raises ConfigError."""
    if not text:
        return None
    try:
        lat, lon = (float(part) for part in text.split(","))
    except ValueError:
        lat = lon = math.nan
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        raise ConfigError("command line", "--origin", f"{text!r} is no place", "give LAT,LON in degrees: 54.5,23.5")
    return math.radians(lat), math.radians(lon)


def _truth(path: Path) -> scorefiles.TruthFile:
    cure = "give what `vedette simulate --truth` writes, or a .npz"
    try:
        return scorefiles.read_truth(path)
    except scorefiles.BadTruth as error:
        raise ConfigError(str(path), error.where, error.problem, cure) from error
    except OSError as error:
        raise ConfigError(str(path), "TRUTH", error.strerror or str(error), cure) from error


def _tracks(path: str, err: TextIO) -> scorefiles.TracksFile:
    told = 0

    def report(number: int, reason: str) -> None:
        nonlocal told
        told += 1
        if told <= MOST_REPORTS:
            err.write(f"{path}: line {number}: {reason}\n")

    try:
        with _opened(path) as stream:
            tracks = scorefiles.read_tracks(stream, report)
    except scorefiles.BadTracks as error:
        raise ConfigError(path, "TRACKS", str(error), "give a whole file, or a shorter one") from error
    except OSError as error:
        cure = "give what `vedette track` writes, or - for standard input"
        raise ConfigError(path, "TRACKS", error.strerror or str(error), cure) from error
    if tracks.malformed:
        err.write(f"{path}: {tracks.malformed} malformed lines skipped\n")
    return tracks


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
    else:
        with log.open_read(Path(path)) as stream:
            yield stream


@contextmanager
def _writing(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(str(path), key, error.strerror or str(error), "give a path that can be written") from error


# --- the table --------------------------------------------------------------------------------------------------------


def show(found: Score, rules: Rules, out: TextIO) -> None:
    """The whole picture in a few lines, then a row per class."""
    gospa, overall = found.gospa, found.overall.siap
    away = "true distances" if rules.origin_rad is None else "distances in the plane of the origin"
    span = f"{len(found.time_s)} samples, {found.time_s[0]:g} to {found.time_s[-1]:g} s"
    lines = [
        ("GOSPA", f"{gospa.total_m.mean():.1f} m", "mean of the samples, p = 2, alpha = 2"),
        ("  localisation", f"{_number(found.rms_localisation_m, 1)} m", "root mean square of the pairs"),
        ("  missed", f"{gospa.missed.mean():.2f}", "objects per sample"),
        ("  false", f"{gospa.false.mean():.2f}", "tracks per sample"),
        ("OSPA", f"{found.ospa_m.mean():.1f} m", "mean of the samples, p = 1"),
        ("spuriousness", _number(overall.spuriousness, 4), "part of the tracks that are on nothing"),
        ("ignored", f"{found.ignored}", "states of tracks near what nobody could see"),
    ]
    head = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    head.add_column(no_wrap=True)
    head.add_column(no_wrap=True, justify="right")
    head.add_column(no_wrap=True)
    for line in lines:
        head.add_row(*line)
    page = StringIO()
    console = Console(file=page, width=WIDTH, force_terminal=out.isatty())
    for part in (f"{span}; threshold {rules.threshold_m:g} m, {away}", head, _by_class(found)):
        console.print(part, highlight=False, markup=False)
    text = page.getvalue()
    out.write("\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n")


def _by_class(found: Score) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("class", no_wrap=True, vertical="bottom")
    columns = list(_cells(found.overall))
    parts = (*found.classes, found.overall)
    if all(math.isnan(part.nees) for part in parts):
        columns.remove("NEES")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True, vertical="bottom")
    for part in parts:
        if part is found.overall:
            table.add_section()
        cells = _cells(part)
        table.add_row(part.name, *(cells[name] for name in columns))
    return table


def _cells(part: Part) -> dict[str, str]:
    siap, delays = part.siap, part.delays
    return {
        "objects": str(siap.objects),
        "complete": _number(siap.completeness, 4),
        "ambi-\nguity": _number(siap.ambiguity, 4),
        "missed": _number(part.missed, 2),
        "position\nmean\nm": _number(siap.position_accuracy_m, 1),
        "position\nrms\nm": _number(siap.rms_position_m, 1),
        "velocity\nrms\nm/s": _number(siap.rms_velocity_mps, 1),
        "number\nchanges\n/h": _number(siap.number_changes_per_s * 3_600, 2),
        "longest\nsegment": _number(siap.longest_segment, 4),
        "first track\np50\ns": _number(delays.p50_s, 1),
        "p95\ns": _number(delays.p95_s, 1),
        "never": f"{delays.never}/{delays.of}",
        "NEES": _number(part.nees, 2),
    }


def _number(value: float, digits: int) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


# --- the file ---------------------------------------------------------------------------------------------------------


def as_json(found: Score, rules: Rules, truth: Path, malformed: int) -> bytes:
    """All numbers of a score as one JSON object; what could not be counted is null."""
    gospa = found.gospa
    value = {
        "score": 1,
        "truth": truth.name,
        "rules": asdict(rules),
        "samples": len(found.time_s),
        "malformed_lines": malformed,
        "ignored_states": found.ignored,
        "gospa_m": float(gospa.total_m.mean()),
        "gospa_localisation_rms_m": found.rms_localisation_m,
        "gospa_missed": float(gospa.missed.mean()),
        "gospa_false": float(gospa.false.mean()),
        "ospa_m": float(found.ospa_m.mean()),
        "overall": _part(found.overall),
        "classes": {part.name: _part(part) for part in found.classes},
        "series": {
            "time_s": found.time_s.tolist(),
            "gospa_m": gospa.total_m.tolist(),
            "localisation_m": gospa.localisation_m.tolist(),
            "missed": gospa.missed.tolist(),
            "false": gospa.false.tolist(),
            "ospa_m": found.ospa_m.tolist(),
        },
    }
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


def _part(part: Part) -> dict[str, Any]:
    delays = {f"first_track_{name}": value for name, value in asdict(part.delays).items()}
    return {**asdict(part.siap), "missed": part.missed, **delays, "nees": part.nees}
