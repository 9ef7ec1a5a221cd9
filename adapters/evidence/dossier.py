"""Everything about one incident as one file that a third party can check and run again (adapters/evidence/bundle.py).

    README.txt        what this is, how to check it without us, whose borders it shows
    report.html       the incident to read
    start.json        who ran: versions, processor, and every file of the configuration by its sha256
    incident.jsonl    every transition of the incident
    journal.jsonl     the alert journal from the first to the last entry about it, chained as it stands there
    ledger.jsonl, actions.jsonl, searches.jsonl, reports.jsonl, trails.jsonl    what the database has of it
    config/           the configuration as it was, without passwords; rerun.toml is its service.toml without the broker
    recording.mcap    inputs and outputs, from a state before its first plot to its end
    earlier/          the same of the runs before a cold start that it went on over, an epoch each

The same data folder gives the same bytes: nothing of a clock, a user or a place goes into it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from adapters.config import SERVICE_FILE, Config
from adapters.errors import ConfigError
from adapters.evidence import bundle
from adapters.evidence.bundle import BadBundle, Source
from adapters.evidence.slices import Slice, cold_start_after, earlier, slice_of
from adapters.formats import incident as incident_format
from adapters.incidents.borderlines import drawn
from adapters.incidents.drawing import ATTRIBUTION
from adapters.incidents.reading import Dossier
from adapters.incidents.recorded import Recorded, recorded
from adapters.incidents.report import report
from adapters.payloadschema import schemas
from adapters.running import startframe
from adapters.running.checkpoint import code
from adapters.store import Entry, lines
from adapters.version import package_version
from adapters.wire import Names, rfc3339
from fusion.schema import Invalid
from replay import recording

RECORDING = "recording.mcap"
EARLIER = "earlier/"
RERUN = "rerun.toml"
CONFIG = "config/"
UNTOLD = ("broker", "http", "store", "record", "data_dir")  # of service.toml: cannot change an answer, may be secret
RESET = "picture reset"  # how a closing begins that the service said, and no engine
README = f"""A dossier of Vedette about one incident.

report.html is the incident to read. recording.mcap opens in MCAP tools (Foxglove). vedette verify FILE checks every
record and runs the recording again; its exit status and its last line say what came out.

Without Vedette: manifest.txt names every member with size and sha256, so that sha256sum compares them. Its lines are
"chain json", where chain = sha256(chain of the line before + newline + json), 64 zeros before the first. The chain of
the last line is the head: two dossiers with one head are the same. Whoever can write this file can write another with
another head: compare it with a copy that was kept or signed elsewhere.

What the recording proves when it is run again: tracks, alerts and incidents. Ledger, actions, searches, reports and
trails are copies out of the incident database.

Vedette detects, identifies and warns. It says nothing of intent.
Borders: {ATTRIBUTION}.
"""


@dataclass(slots=True)
class Made:
    """What was made."""

    head: str
    records: int
    size_bytes: int
    about: dict[str, Any]


@dataclass(slots=True)
class _Configured:
    """The configuration as it was when the incident was recorded."""

    sources: list[Source] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # files that nobody here has any more
    notes: list[str] = field(default_factory=list)


def make(of: Dossier, config: Config, names: Names, out: Path) -> Made:
    """Write the dossier of one incident to `out`.

    Raises:
        ConfigError: `out` is there, a recording went away meanwhile, or there is too much for one file.
        JournalError: the journal is damaged.
    """
    if out.exists():
        raise ConfigError("command line", "--out", f"{out} is there already", "give another name, or remove it")
    i = of.incident
    epoch = int(i.members[0].track.partition(":")[0])
    first_us = min(member.first_plot_us for member in i.members)
    closed = i.state == "closed"
    part = slice_of(config.record_dir, epoch, first_us, i.t_us if closed else 2**62)
    journal, before = _journal(config.data_dir / "alerts.jsonl", of)
    start = _start(part)
    configured = _configuration(start, config) if start else _Configured()
    with tempfile.TemporaryDirectory(prefix="vedette-") as folder, _written(out):
        piece, sha = _piece(part, Path(folder))
        seen = recorded(config.record_dir, of, sha)
        sources = [*_told(of, config, names, seen), *_kept(of)]
        sources += [Source("journal.jsonl", b"".join(e.line for e in journal)), Source("start.json", part.start)]
        sources += [*configured.sources, *piece]
        sources += _earlier(part, earlier(config.record_dir, epoch, first_us), Path(folder))
        about = _about(of, config, part, start, configured)
        about["journal"] = {
            "first": journal[0].n if journal else -1, "last": journal[-1].n if journal else -1,
            "before": journal[0].previous if journal else "", "head": journal[-1].hash if journal else "",
            "entries_then": before,
        }  # fmt: skip
        head = bundle.write(out, about, sources)
    return Made(head, bundle.check(out).records, out.stat().st_size, about)


@contextmanager
def _written(out: Path) -> Iterator[None]:
    """Why it could not be, as a refusal. Its recordings are written twice: to a temporary folder, and into `out`."""
    try:
        yield
    except BadBundle as error:
        cure = "cut the recording by hand: vedette record cut, and keep it beside the report"
        raise ConfigError("command line", "INCIDENT", str(error), cure) from error
    except OSError as error:
        cure = "name a file in a folder that you may write, on a disk with room; TMPDIR names that of what is temporary"
        problem = f"{out} cannot be written ({error.strerror})"
        raise ConfigError("command line", "--out", problem, cure) from error


def _piece(part: Slice, folder: Path) -> tuple[list[Source], str]:
    """The recording of its epoch, where there is one, and its sha256."""
    if not part.files:
        return [], ""
    path = folder / RECORDING
    recording.write(path, part.read(), schemas())
    with path.open("rb") as file:
        return [Source(RECORDING, path)], hashlib.file_digest(file, "sha256").hexdigest()


def _earlier(part: Slice, runs: Sequence[tuple[int, Slice]], folder: Path) -> list[Source]:
    """The recordings of the runs before, and a note of each with the last."""
    found = []
    for epoch, run in runs:
        part.notes += [f"epoch {epoch}: {note}" for note in run.notes]
        if run.files:
            name = f"{EARLIER}e{epoch:06d}.mcap"
            path = folder / f"e{epoch:06d}.mcap"
            recording.write(path, run.read(), schemas())
            found.append(Source(name, path))
            part.notes.append(
                f"before the cold start it was watched in epoch {epoch}: {name} has it to {rfc3339(run.last_us)}, "
                "checked by its hash and not run again"
            )
    return found


def _about(of: Dossier, config: Config, part: Slice, start: dict[str, Any], configured: _Configured) -> dict[str, Any]:
    i = of.incident
    epoch = int(i.members[0].track.partition(":")[0])
    notes = [*part.notes, *configured.notes]
    if i.state != "closed":
        notes.append(f"the incident is open: this is how it stood at {rfc3339(max(part.last_us, i.t_us))}")
    anew_us = cold_start_after(config.record_dir, epoch, part.to_us)
    if i.close_reason.startswith(RESET) or anew_us >= 0:
        when = f" at {rfc3339(anew_us)}" if anew_us >= 0 else ""
        notes.append(
            f"the service started anew{when}, without the picture: its tracks, and the recording of it, end there"
        )
    if configured.missing:
        notes.append(f"the configuration has changed since, and is not whole here: {', '.join(configured.missing)}")
    return {
        "incident": i.id,
        "site": start.get("site", config.site),
        "simulated": i.simulated,
        "state": i.state,
        "epoch": epoch,
        "first_plot": rfc3339(min(member.first_plot_us for member in i.members)),
        "last_change": rfc3339(i.t_us),
        "recording": {
            "entered": part.entered,
            "from": rfc3339(part.entered_us) if part.entered else "",
            "to": rfc3339(part.last_us) if part.last_us >= 0 else "",
        },
        "config_hash": start.get("config_hash", ""),
        "processor": start.get("processor", ""),
        "versions": start.get("versions", {}),
        "made_with": {"vedette": package_version(), "code": code()},
        "missing": configured.missing,
        "notes": notes,
    }


# --- what was said and kept ---


def _told(of: Dossier, config: Config, names: Names, seen: Recorded) -> list[Source]:
    page = report(of, lambda box: drawn(config.zone_paths, box), seen=seen)
    told = [incident_format.encode(item.incident, names, item.incident.number) for item in of.transitions]
    return [
        Source("README.txt", README.encode()),
        Source("report.html", page.encode()),
        Source("incident.jsonl", b"".join(line + b"\n" for line in told)),
    ]


def _kept(of: Dossier) -> list[Source]:
    trails = [{"track": track, "points": points} for track, points in of.trails.items()]
    parts: list[tuple[str, Sequence[Any]]] = [
        ("ledger", of.passages), ("actions", of.actions), ("searches", of.searches), ("reports", of.reports),
        ("trails", trails),
    ]  # fmt: skip
    return [Source(f"{name}.jsonl", b"".join(msgspec.json.encode(row) + b"\n" for row in rows)) for name, rows in parts]


class _Id(msgspec.Struct):
    id: str = ""


def _journal(path: Path, of: Dossier) -> tuple[list[Entry], int]:
    """The entries from the first to the last about the incident, and how many the journal has. Raises JournalError."""
    wanted = [of.incident.id, *(alert.id for alert in of.alerts)]
    held: list[Entry] = []
    until = count = 0
    for entry in lines(path):
        count += 1
        about = msgspec.json.decode(entry.payload, type=_Id).id in wanted
        if held or about:
            held.append(entry)
        until = len(held) if about else until
    return held[:until], count


def _start(part: Slice) -> dict[str, Any]:
    try:
        return startframe.decode(part.start) if part.start else {}
    except Invalid:
        part.notes.append("the start of the run cannot be read: with which configuration it ran is not known")
        return {}


# --- the configuration as it was ---


def member_of(name: str) -> str:
    """Where a file of the configuration stands in a dossier: files outside of its folder below `config/outside`."""
    parts = [part for part in Path(name).parts if part not in ("..", "/")]
    return CONFIG + "/".join(["outside"] * (name.startswith(("..", "/"))) + parts)


def _configuration(start: dict[str, Any], config: Config) -> _Configured:
    found = _Configured()
    here = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in config.files}
    service = b""
    known: list[str] = []
    for told in start.get("files", []):
        name, sha = told["name"], told["sha256"]
        content = told["text"].encode() if "text" in told else None
        masked = content is not None and hashlib.sha256(content).hexdigest() != sha
        if content is None and sha in here and name != SERVICE_FILE:
            content = here[sha].read_bytes()
        if name == SERVICE_FILE:
            service = content or (here[sha].read_bytes() if sha in here else b"")
            found.notes += ["service.toml is here without its password"] * (masked or content is None)
        known.append(name)
        if content is not None:
            found.sources.append(Source(member_of(name), content))
        elif name != SERVICE_FILE:
            found.missing.append(f"{name} with sha256 {sha}")
    rerun = rerun_service(service, start, config.folder, known) if service else None
    if rerun is None:
        found.missing.append(SERVICE_FILE)
    else:
        found.sources.append(Source(RERUN, rerun))
    return found


def rerun_service(service: bytes, start: dict[str, Any], folder: Path, names: Sequence[str]) -> bytes | None:
    """service.toml for an engine that runs again: without broker and store, paths as in a dossier. None: cannot be."""
    data = {key: value for key, value in tomllib.loads(service.decode()).items() if key not in UNTOLD}
    data["site"] = start.get("site", data.get("site"))

    def inside(given: str) -> list[str]:
        name = os.path.relpath(folder / given, folder)
        files = [n for n in names if n == name or n.startswith(f"{name}/")]
        return [member_of(n).removeprefix(CONFIG) for n in files]

    zones, rules = data.setdefault("zones", {}), data.setdefault("rules", {})
    lost = False
    for section, key in ((zones, "terrain"), (zones, "geoid"), (zones, "dem"), (rules, "base")):
        if section.get(key):
            found = inside(section[key])
            section[key] = found[0] if found else ""
            lost |= not found
    for section, key in ((zones, "borders"), (zones, "protected"), (rules, "overlays"), (rules, "volumes")):
        if key in section:
            several = [inside(given) for given in section[key]]
            lost |= not all(several)
            section[key] = [name for one in several for name in one]
    return None if lost else toml(data).encode()


def toml(data: dict[str, Any], section: str = "") -> str:
    """TOML of plain values, lists of them, and tables; strings as JSON writes them, which TOML reads."""
    encode: Callable[[object], str] = lambda value: msgspec.json.encode(value).decode()  # noqa: E731
    plain = [f"{encode(key)} = {encode(value)}\n" for key, value in data.items() if not isinstance(value, dict)]
    tables = [(f"{section}{encode(key)}", value) for key, value in data.items() if isinstance(value, dict)]
    return "".join([*plain, *(f"\n[{name}]\n{toml(value, f'{name}.')}" for name, value in tables)])
