"""`vedette record`: look into recordings, mend torn ones, cut, join, and exchange them as lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters.errors import ConfigError, refusals

if TYPE_CHECKING:
    from replay.mcapread import Damage, Item
    from replay.recording import Contents

DONE, FAILED = 0, 1
LINES = (".jsonl", ".gz", ".zst")

record = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Recordings of `vedette run`, in recordings/ of its data folder: info, recover, cut, merge, export, import.",
)
File = Annotated[Path, typer.Argument(help="Recording: .mcap, or lines .jsonl, .jsonl.gz, .jsonl.zst.")]
Out = Annotated[Path, typer.Argument(help="File to write; it must not exist.")]


@record.command()
def info(file: File) -> None:
    """What is in a recording: times, frames by source, what the service said, damage. Status 1 when some of it is lost.

    \b
    Example:
      vedette record info var/recordings/e000001-20261126T060000Z.mcap
    """
    with refusals():
        found = _contents(file)
        print(described(file, found))
    raise typer.Exit(DONE if found.damage.harmless else FAILED)


@record.command()
def recover(file: File, out: Out) -> None:
    """Write what can be read of a torn or damaged recording as a whole one, and say what is missing.

    \b
    Example:
      vedette record recover torn.mcap whole.mcap
    """
    with refusals():
        from replay.mcapread import Damage

        damage = Damage()
        count = _write(out, lambda: _items(file, damage))
        print(f"{out}: {count} frames; {file} was: {damage.words()}")
    raise typer.Exit(DONE)


@record.command()
def cut(
    file: File,
    out: Out,
    start: Annotated[str, typer.Option("--from", help="RFC 3339 time, or +SECONDS after the beginning.")] = "",
    end: Annotated[str, typer.Option("--to", help="The same; what is later is left out.")] = "",
) -> None:
    """Cut a piece out. It begins at the newest checkpoint before --from, so that a replay knows every track.

    Status 1 when some of the recording is lost, 2 when nothing of it lies in that time.

    \b
    Example:
      vedette record cut night.mcap incident.mcap --from 2026-11-26T02:10:00Z --to 2026-11-26T02:30:00Z
    """
    with refusals():
        from adapters.commands.replay import recording, stretch

        found, _ = recording(file)
        from_us, to_us = stretch(file, found, start, end)
        count = _write(out, lambda: piece(file, from_us, to_us))
        print(f"{out}: {count} frames")
    raise typer.Exit(_whole({file: found.damage}))


@record.command()
def merge(
    out: Out, files: Annotated[list[Path], typer.Argument(help="Recordings of one service, in any order.")]
) -> None:
    """Join recordings that follow each other. Frames keep their numbers where these rise, else go on from the last.

    Status 1 when some of one is lost.

    \b
    Example:
      vedette record merge night.mcap var/recordings/e000007-*.mcap
    """
    with refusals():
        ordered = sorted(((_contents(file), file) for file in files), key=lambda one: (one[0].first_us, one[1]))
        for (before, one), (after, other) in pairwise(ordered):
            if after.first_us < before.last_us:
                cure = "cut one of the two first: frames of one moment have one order only"
                raise ConfigError(str(other), "file", f"begins before {one} ends", cure)
        count = _write(out, lambda: _joined([file for _, file in ordered]))
        print(f"{out}: {count} frames of {len(files)} recording{'s' * (len(files) > 1)}")
    raise typer.Exit(_whole({file: found.damage for found, file in ordered}))


@record.command("export")
def export_(file: File, out: Out) -> None:
    """Write the frames as lines, for exchange: one JSON object a frame, compressed by the ending. Nothing is lost.

    Status 1 when some of the recording was lost before.

    \b
    Example:
      vedette record export night.mcap night.jsonl.zst
    """
    with refusals():
        if out.suffix not in LINES:
            raise ConfigError("command line", "OUT", f"is {out}", "end its name in .jsonl, .jsonl.gz or .jsonl.zst")
        from replay.mcapread import Damage

        damage = Damage()
        print(f"{out}: {_write(out, lambda: _items(file, damage))} frames")
    raise typer.Exit(_whole({file: damage}))


@record.command("import")
def import_(file: File, out: Out) -> None:
    """Make a recording of lines: of an export, a simulated scene, or frames that somebody else kept.

    \b
    Example:
      vedette record import night.jsonl.zst night.mcap
    """
    with refusals():
        from replay.recording import MCAP

        if out.suffix != MCAP:
            raise ConfigError("command line", "OUT", f"is {out}", f"end its name in {MCAP}")
        print(f"{out}: {_write(out, lambda: _items(file))} frames")
    raise typer.Exit(DONE)


def _whole(found: dict[Path, Damage]) -> int:
    """Say what is lost of recordings of which a copy was made; the exit status."""
    for file, damage in found.items():
        if not damage.harmless:
            print(f"note: {file} was: {damage.words()}", file=sys.stderr)
    return DONE if all(damage.harmless for damage in found.values()) else FAILED


def described(file: Path, found: Contents) -> str:
    """A recording in lines for people."""
    from adapters.wire import rfc3339

    span = "empty"
    if found.frames:
        span = f"from {rfc3339(found.first_us)} to {rfc3339(found.last_us)}, {found.duration_s:.1f} s"
    lines = [f"{file}: {found.frames} frames ({found.ticks} ticks), {span}; {found.damage.words()}"]
    lines += [f"  in   {source}: {count}" for source, count in found.sources.items()]
    lines += [f"  out  {topic}: {count}" for topic, count in found.outputs.items()]
    return "\n".join(lines)


def piece(file: Path, from_us: int, to_us: int) -> Iterator[Item]:
    """The items of a recording from the newest checkpoint at or before `from_us` to `to_us`; -1: to its ends.

    Where there is no such checkpoint: from the beginning of the run where that lies within, else from `from_us` on.
    """
    from adapters.running.checkpoint import Parts
    from adapters.running.outputs import CHECKPOINT
    from replay.mcapfile import Output

    first, parts = -1, Parts()
    if from_us >= 0:
        for number, item in enumerate(_items(file)):
            if isinstance(item, Output):
                if item.topic == CHECKPOINT and item.t_us <= from_us:
                    begun = parts.hear(item.payload, number)
                    first = begun if begun >= 0 else first
            elif item.rx_us > from_us:
                break
    for number, item in enumerate(_items(file)):
        if 0 <= to_us < _time(item):
            return
        if number >= first if first >= 0 else _time(item) >= from_us:
            yield item


def _joined(files: list[Path]) -> Iterator[Item]:
    from dataclasses import replace

    from replay.mcapfile import Output

    newest = -1
    for file in files:
        shift = 0
        for item in _items(file):
            if isinstance(item, Output):
                yield item
                continue
            if item.seq + shift <= newest:
                shift = newest + 1 - item.seq
            newest = item.seq + shift
            yield replace(item, seq=newest) if shift else item


def _time(item: Item) -> int:
    from replay.mcapfile import Output

    return item.t_us if isinstance(item, Output) else item.rx_us


def _items(file: Path, damage: Damage | None = None) -> Iterator[Item]:
    """The items of a recording. Raises ConfigError, which names it, whatever is written of it elsewhere."""
    from adapters.commands.replay import unreadable
    from replay import recording
    from replay.log import BadLog

    try:
        yield from recording.items(file, damage)
    except (BadLog, OSError) as error:
        raise unreadable(file, error) from error


def _contents(file: Path) -> Contents:
    from adapters.commands.replay import readable
    from replay import recording

    return readable(file, recording.contents)


def _write(out: Path, items: Callable[[], Iterator[Item]]) -> int:
    """Write `out` whole or not at all; the number of frames."""
    from adapters.payloadschema import schemas
    from replay import recording

    if out.exists():
        raise ConfigError("command line", "OUT", f"{out} is there already", "give another name, or remove it")
    try:
        return recording.write(out, items(), schemas())
    except OSError as error:
        cure = "name a file in a folder that you may write, on a disk with room"
        problem = f"{out} cannot be written ({error.strerror or error})"
        raise ConfigError("command line", "OUT", problem, cure) from error
