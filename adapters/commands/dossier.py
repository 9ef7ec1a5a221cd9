"""`vedette dossier` and `vedette verify`: one incident as one file, and whether it is whole and comes out the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from adapters.errors import ConfigError, refusals

FAILED = 1


def dossier(
    incident: Annotated[str, typer.Argument(help="Its id, or the beginning of it: vedette incidents list.")],
    out: Annotated[Path, typer.Option(help="File to write, such as incident.zip; it must not exist.")],
    config: Annotated[Path, typer.Option("--config", "-c", help="Folder with service.toml.")] = Path("config"),
    database: Annotated[
        Path | None, typer.Option("--db", help="An incidents.db instead of the configured one.")
    ] = None,
) -> None:
    """Make one file of everything about an incident: report, journal, ledger, actions of people, the configuration as
    it was, and the recording from before its first plot to its end, every record of it in a chain of hashes.

    The same data gives the same bytes. The head that it prints stands for the whole file: keep it, or sign it. What is
    missing (the incident is open, the recording is gone, the service started anew) is said, and stands in the file.

    \b
    Example:
      vedette dossier 5b0c3d1e --out incident.zip
    """
    with refusals():
        from adapters import config as configuration
        from adapters.commands.incidents import _one, _opened
        from adapters.evidence.dossier import make
        from adapters.incidents.reading import dossier as all_of
        from adapters.service import names_of
        from adapters.store import JournalError

        loaded = configuration.load(config)
        with _opened(config, database) as db:
            of = all_of(db, _one(db, incident))
        names = names_of(loaded, configuration.load_zones(loaded))
        try:
            made = make(of, loaded, names, out)
        except JournalError as error:
            print(f"vedette: the alert journal is damaged: {error}", file=sys.stderr)
            raise typer.Exit(FAILED) from error
        for note in made.about["notes"]:
            print(f"note: {_plain(note)}", file=sys.stderr)
        part = made.about["recording"]
        if part["entered"]:
            print(f"recording from {part['from']} ({part['entered']}) to {part['to']}", file=sys.stderr)
        print(f"{out}: {made.records} records, {made.size_bytes} bytes", file=sys.stderr)
        print(f"head {made.head}")


def verify(
    bundle: Annotated[Path, typer.Argument(help="A file that vedette dossier wrote.")],
    head: Annotated[str, typer.Option(help="The head as it was kept elsewhere: anything else is a fault.")] = "",
    rerun: Annotated[bool, typer.Option(help="Run the recording again; else only look at the chain.")] = True,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Folder with files of the configuration that it lacks.")
    ] = None,
) -> None:
    """Check every record of a dossier, and run its recording again: do tracks and alerts come out as recorded?

    It needs nothing but the file. Status 0: whole, and identical bit for bit. 1: changed (the first bad record is
    named) or different (which record, which track, when). 2: no dossier, or refused for its sizes or names. 3: whole,
    and equal after rounding, as on another processor: within 1 m and 0.1 m/s, the same alerts. 4: whole, but not run.

    Who can write a dossier can write another one whole: keep the head elsewhere, or sign it.

    \b
    Examples:
      vedette verify incident.zip
      vedette verify incident.zip --head 3fd1c2...
      vedette verify incident.zip --no-rerun
    """
    with refusals():
        from adapters.evidence.bundle import BadBundle, check

        try:
            found = check(bundle)
        except BadBundle as error:
            cure = "give a file that vedette dossier wrote"
            raise ConfigError(str(bundle), "file", _plain(str(error)), cure) from error
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
            raise ConfigError(str(bundle), "file", problem, "give a file that can be read") from error
        if found.fault is None and head and found.head != head.strip().lower():
            print(f"CHANGED: the head is {found.head}, not the one that was kept", file=sys.stderr)
            raise typer.Exit(FAILED)
        if found.fault is not None:
            print(f"CHANGED: {_plain(str(found.fault))}", file=sys.stderr)
            raise typer.Exit(FAILED)
        for note in found.about.get("notes", []):
            print(f"note: {_plain(str(note))}", file=sys.stderr)
        print(f"{found.records} records, every one in its place and unchanged", file=sys.stderr)
        print(f"head {found.head}")
        code = _run_again(bundle, found, config) if rerun else 0
    raise typer.Exit(code)


def _run_again(path: Path, found: object, config: Path | None) -> int:
    import tempfile

    from adapters.evidence.bundle import Checked
    from adapters.evidence.verify import rerun as again
    from adapters.warm import warm

    assert isinstance(found, Checked)
    warm(lambda line: print(line, file=sys.stderr, flush=True))
    with tempfile.TemporaryDirectory(prefix="vedette-") as folder:
        outcome = again(path, found, Path(folder), config)
    for line in outcome.lines:
        print(f"note: {_plain(line)}", file=sys.stderr)
    print(f"{outcome.result.name.replace('_', ' ')}: {_plain(outcome.words)}")
    return int(outcome.result)


def _plain(line: str) -> str:
    """What a stranger wrote may not command a terminal."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)
