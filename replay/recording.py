"""A recording in any of its forms, by the ending of its name: MCAP (`.mcap`), or lines (`.jsonl`, `.gz`, `.zst`).

MCAP is what `vedette run` writes and keeps; lines are for exchange, and hold frames without what the service said.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from fusion.schema import Frame
from replay import log
from replay.log import TICK, Summary
from replay.mcapfile import McapWriter, Output, SchemaOf, tails_of
from replay.mcapread import Damage, Item, McapReader

MCAP = ".mcap"
FLUSH_EVERY = 100  # frames of a file that is written at leisure


@dataclass(frozen=True, slots=True)
class Contents(Summary):
    """What a recording holds, found by reading it once."""

    outputs: dict[str, int] = field(default_factory=dict)  # messages by topic, in order of name
    damage: Damage = field(default_factory=lambda: Damage(finished=True))


def items(path: Path, damage: Damage | None = None) -> Iterator[Item]:
    """Frames and outputs of a recording, in order. `damage` is filled where it is given; lines know none.

    Raises:
        BadLog: lines that cannot be read, or no MCAP file.
        OSError: the file cannot be opened.
    """
    if path.suffix != MCAP:
        yield from log.read(path)
        if damage is not None:
            damage.finished = True
        return
    reader = McapReader(path)
    yield from reader
    if damage is not None:
        found = reader.damage
        damage.frames, damage.unread_bytes = found.frames, found.unread_bytes
        damage.places, damage.finished = found.places, found.finished


def frames(path: Path) -> Iterator[Frame]:
    """The frames alone. Raises as `items`."""
    return (item for item in items(path) if isinstance(item, Frame))


def contents(path: Path) -> Contents:
    """Read a recording through and say what is in it. Raises as `items`."""
    sources: dict[str, int] = {}
    outputs: dict[str, int] = {}
    damage = Damage()
    first, last = -1, -1
    for item in items(path, damage):
        if isinstance(item, Output):
            outputs[item.topic] = outputs.get(item.topic, 0) + 1
            continue
        sources[item.source] = sources.get(item.source, 0) + 1
        first = item.rx_us if first < 0 else first
        last = max(last, item.rx_us)
    total, ticks = sum(sources.values()), sources.get(TICK, 0)
    return Contents(total, ticks, first, last, dict(sorted(sources.items())), dict(sorted(outputs.items())), damage)


def write(path: Path, what: Iterator[Item], schema_of: SchemaOf = lambda _topic, _payload: None) -> int:
    """A whole recording in the form of its ending; returns the number of frames. It appears only when it is complete.

    Lines hold frames only: outputs are left out. Raises ValueError when `seq` does not rise, OSError of the disk.
    """
    if path.suffix != MCAP:
        return log.write(path, (item for item in what if isinstance(item, Frame)))
    part = path.with_name(path.name + ".part")
    for old in (part, *tails_of(part)):
        old.unlink(missing_ok=True)
    began = list(islice(what, 4))  # a piece may begin with what the service said
    first = next((item.seq for item in began if isinstance(item, Frame)), 0)
    writer = McapWriter(part, schema_of, first)
    try:
        for count, item in enumerate(chain(began, what)):
            if isinstance(item, Output):
                writer.add_output(item)
            else:
                writer.add(item)
            if count % FLUSH_EVERY == 0:
                writer.cut()
        writer.finish()
    except BaseException:
        writer.abandon()
        for left in (part, *tails_of(part)):
            left.unlink(missing_ok=True)
        raise
    part.replace(path)
    return writer.frames
