"""`vedette incidents`: ask the incident database: list, show, export, statistics; and make it anew from the journal."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from adapters.config import Config
    from adapters.incidents.reading import Dossier
    from adapters.incidents.recorded import Recorded
    from adapters.incidents.report import Borders
    from fusion.cases.record import Incident

DONE, FAILED = 0, 1
ALL = 10_000

incidents = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="What happened, from the incident database of the service: list, show, export, stats, rebuild.",
)
Folder = Annotated[Path, typer.Option("--config", "-c", help="Folder with service.toml: where data and borders are.")]
Database = Annotated[Path | None, typer.Option("--db", help="An incidents.db instead of the configured one.")]
Since = Annotated[str, typer.Option("--since", help="Raised at or after: 2026-11-23 or 2026-11-23T06:15:00Z.")]
Until = Annotated[str, typer.Option("--until", help="Raised before.")]
Near = Annotated[str, typer.Option("--near-state", help="ISO code of the state concerned, such as LT.")]


class State(StrEnum):
    """How far incidents are."""

    any = "any"
    open = "open"  # everything that is not closed
    acknowledged = "acknowledged"
    handed_over = "handed-over"
    closed = "closed"


class Format(StrEnum):
    """What an export is."""

    html = "html"
    geojson = "geojson"
    kml = "kml"
    czml = "czml"
    csv = "csv"


@incidents.command("list")
def list_(
    config: Folder = Path("config"),
    database: Database = None,
    since: Since = "",
    until: Until = "",
    state: Annotated[State, typer.Option(help="open: everything that is not closed.")] = State.any,
    near: Near = "",
    limit: Annotated[int, typer.Option(min=1, max=ALL, help="Only the newest so many.")] = 100,
) -> None:
    """List incidents, the newest last.

    \b
    Examples:
      vedette incidents list --state open
      vedette incidents list --since 2026-11-01 --until 2026-12-01 --near-state LT
    """
    with refusals():
        from adapters.incidents.reading import Filters
        from adapters.incidents.reading import incidents as listed
        from adapters.incidents.words import when

        wanted = Filters(
            _us("--since", since), _us("--until", until), "" if state is State.any else state.value, near.upper(), limit
        )
        with _opened(config, database) as db:
            found = listed(db, wanted)
        if found:
            print(f"{'incident':<16}  {'raised':<23}  {'state':<12}  severity  near  title", file=sys.stderr)
        for i in found:
            marks = f"{'SIMULATED ' * i.simulated}{f'acknowledged by {i.acknowledged_by}' if i.acknowledged_by else ''}"
            line = f"{i.id}  {when(i.raised_us)}  {i.state:<12}  {i.severity:<8}  {i.near_state:<4}  {i.title}  {marks}"
            print(_plain(line.rstrip()))
        if not found:
            print("no incident fits", file=sys.stderr)


@incidents.command()
def show(
    incident: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
    config: Folder = Path("config"),
    database: Database = None,
) -> None:
    """Show the whole record of one incident in words, with what the recordings have of it (not with --db).

    \b
    Example:
      vedette incidents show 5b0c3d1e
    """
    with refusals():
        from adapters.incidents.reading import dossier
        from adapters.incidents.words import sections

        with _opened(config, database) as db:
            of = dossier(db, _one(db, incident))
        print(_plain(of.incident.title))
        for part in sections(of, _recorded(config, database, of)):
            print(f"\n{part.title}")
            rows = ([part.columns] if part.columns else []) + list(part.rows)
            widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
            for row in rows:
                cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
                print(_plain("  " + "  ".join([*cells, row[-1]])).rstrip())


@incidents.command()
def export(
    incident: Annotated[str, typer.Argument(help="Its id, or the beginning of it; leave it out with --all.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every incident: geojson and csv.")] = False,
    form: Annotated[Format, typer.Option("--format", help="html: a report to read and print.")] = Format.html,
    out: Annotated[Path | None, typer.Option(help="Write to this file; default: standard output.")] = None,
    config: Folder = Path("config"),
    database: Database = None,
) -> None:
    """Export incidents: a report with a map, GeoJSON, KML, CZML, or CSV.

    \b
    Examples:
      vedette incidents export 5b0c3d1e --out report.html
      vedette incidents export 5b0c3d1e --format kml --out incident.kml
      vedette incidents export --all --format geojson --out incidents.geojson
      vedette incidents export --all --format csv
    """
    if bool(incident) == every:
        raise typer.BadParameter("name one incident, or --all")
    if every and form not in (Format.geojson, Format.csv):
        raise typer.BadParameter(f"{form.value} is of one incident: name it, or take --format geojson or csv")
    with refusals():
        text = _exported(incident, form, config, database)
        if out is None:
            sys.stdout.write(text)
        else:
            _write(out, text)


def _exported(incident: str, form: Format, config: Path, database: Path | None) -> str:
    import msgspec

    from adapters.incidents import report
    from adapters.incidents.reading import Filters, dossier
    from adapters.incidents.reading import incidents as listed

    with _opened(config, database) as db:
        names = [_one(db, incident)] if incident else [i.id for i in listed(db, Filters(limit=ALL))]
        if form is Format.csv:
            return report.table([dossier(db, name).incident for name in names])
        dossiers = [dossier(db, name) for name in names]
    if form is Format.geojson:
        return msgspec.json.encode(report.geojson(dossiers)).decode() + "\n"
    if form in (Format.kml, Format.czml):
        from adapters.incidents import mapfiles

        return (mapfiles.kml if form is Format.kml else mapfiles.czml)(dossiers[0]).decode()
    of = dossiers[0]
    return report.report(of, _borders(config, database), seen=_recorded(config, database, of))


@incidents.command()
def stats(
    config: Folder = Path("config"),
    database: Database = None,
    since: Since = "",
    until: Until = "",
    near: Near = "",
) -> None:
    """Count incidents by border sector and ISO week: where they come again.

    A sector is a stretch of the border of about 25 km, named by the state and its middle.

    \b
    Example:
      vedette incidents stats --since 2026-09-01
    """
    with refusals():
        from adapters import config as configuration
        from adapters.incidents.reading import Filters, first_told
        from adapters.incidents.reading import incidents as listed
        from adapters.incidents.statistics import counted, table

        wanted = Filters(_us("--since", since), _us("--until", until), "", near.upper(), ALL)
        with _opened(config, database) as db:
            first: list[Incident] = [first_told(db, i.id) for i in listed(db, wanted)]
        if not first:
            print("no incident fits", file=sys.stderr)
            return
        zones = configuration.load_zones(configuration.load(config))
        print(table(counted(first, zones.edge, zones.facing)), end="")


@incidents.command()
def rebuild(
    journal: Annotated[Path, typer.Argument(help="Alert journal, alerts.jsonl in the data folder.")],
    database: Annotated[Path, typer.Argument(help="The new database: it must not be there yet.")],
    config: Folder = Path("config"),
) -> None:
    """Make the incident database anew from the journal.

    Incidents, transitions, members and alerts come back. What only the database held does not: states passed, search
    areas, trails, reports by people, and the actions of operators as such: what they changed stands in the transitions.

    \b
    Example:
      vedette incidents rebuild var/alerts.jsonl var/incidents.db
    """
    with refusals():
        from adapters import config as configuration
        from adapters.incidents.database import IncidentDb
        from adapters.incidents.database import rebuild as refill
        from adapters.service import names_of
        from adapters.store import AlertJournal, JournalError

        if database.exists() or not journal.is_file():
            problem = f"{database} is there already" if database.exists() else f"{journal} is not a file"
            raise ConfigError("command line", "FILES", problem, "name a journal, and a database that is not there yet")
        loaded = configuration.load(config)
        with IncidentDb(database, names_of(loaded, configuration.load_zones(loaded))) as fresh:
            try:
                alerts, happened = refill(fresh, AlertJournal(journal).entries())
            except (JournalError, sqlite3.Error) as error:
                print(f"vedette: {error}", file=sys.stderr)
                raise typer.Exit(FAILED) from error
        print(f"{alerts} transitions of alerts and {happened} of incidents")


# --- what they share ---


def _opened(folder: Path, database: Path | None) -> closing[sqlite3.Connection]:
    """The database asked for, open for reading. Raises ConfigError, also at the end of its `with`."""
    from adapters.incidents.database import read_only

    return read_only(database or _configured(folder).data_dir / "incidents.db")


def _configured(folder: Path) -> Config:
    from adapters import config as configuration

    return configuration.load(folder)


def _borders(folder: Path, database: Path | None) -> Borders | None:
    """The configured borders; none for a database that stands alone, without a configuration beside it."""
    from adapters.incidents.borderlines import drawn

    if database is not None and not folder.is_dir():
        return None
    paths = _configured(folder).zone_paths
    return lambda box: drawn(paths, box)


def _recorded(folder: Path, database: Path | None, of: Dossier) -> Recorded | None:
    """What the configured recordings have of it; a database that was named may be of another service."""
    from adapters.incidents.recorded import recorded

    return None if database is not None else recorded(_configured(folder).record_dir, of)


def _one(db: sqlite3.Connection, beginning: str) -> str:
    """The incident whose id begins so. Raises ConfigError."""
    from adapters.incidents.reading import find

    found = find(db, beginning.lower())
    if len(found) == 1:
        return found[0]
    problem = f"{beginning!r} is the beginning of {len(found)} incidents"
    raise ConfigError("command line", "INCIDENT", problem, "give an id of `vedette incidents list`, or more of it")


def _us(option: str, text: str) -> int:
    """A time of the command line in microseconds; -1 where none is given. Raises ConfigError."""
    from adapters.wire import parse_time
    from fusion.schema import Invalid

    if not text:
        return -1
    try:
        return parse_time(f"{text}T00:00:00Z" if len(text) == 10 else text)
    except Invalid as fault:
        cure = "give 2026-11-23, or 2026-11-23T06:15:00Z"
        raise ConfigError("command line", option, f"{text!r} is no time ({fault.reason})", cure) from fault


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        cure = "name a file in a folder that you may write"
        raise ConfigError("command line", "--out", f"{path} cannot be written ({error.strerror})", cure) from error


def _plain(line: str) -> str:
    """What came from the network may not command a terminal: control characters are shown as what they are."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
