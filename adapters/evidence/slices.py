"""The piece of a service's recordings that one incident needs: from a state before its first plot to its end.

A run is entered at its start, or at a checkpoint: the state there knows every plot before it. Recordings are files of
one epoch; the oldest go when the disk budget is used up, so the beginning may be gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from adapters.errors import ConfigError
from adapters.running.checkpoint import Parts
from adapters.running.outputs import CHECKPOINT
from adapters.wire import rfc3339
from fusion.schema import US_PER_S, Frame
from replay.log import START, BadLog
from replay.mcapfile import Output
from replay.mcapread import Damage, Item
from replay.recording import items

BEFORE_US = 60 * US_PER_S  # enter so long before the first plot, where that can be
NEAR_START_US = 600 * US_PER_S  # a start so shortly before is taken instead of a checkpoint: it needs no state
AFTER_US = 2 * US_PER_S  # the digest of the last second comes with the second after it


@dataclass(slots=True)
class Slice:
    """Which items of which files. `entered` is "start", "checkpoint", or "" where nothing can be run again."""

    files: list[Path] = field(default_factory=list)
    skip: int = 0  # items of the first file
    entered: str = ""
    entered_us: int = -1
    to_us: int = 2**62
    start: bytes = b""  # payload of the start frame of the run
    last_us: int = -1  # of the newest item in it; set by `read`
    notes: list[str] = field(default_factory=list)

    def read(self) -> Iterator[Item]:
        """The items, in order. What is missing or happened on the way is added to `notes`.

        Raises:
            ConfigError: a file went away meanwhile.
        """
        newest = -1
        for number, file in enumerate(self.files):
            damage = Damage()
            for item in islice(_items(file, damage), 0 if number else self.skip, None):
                t_us = _time(item)
                if t_us > self.to_us:
                    return
                if isinstance(item, Frame):
                    if newest >= 0 and item.seq > newest + 1:
                        self.notes.append(f"{item.seq - newest - 1} frames before {rfc3339(t_us)} were not recorded")
                    newest = item.seq
                elif item.topic == START and newest >= 0 and number and file.name[:7] == self.files[0].name[:7]:
                    self._restarted(item, t_us)
                self.last_us = max(self.last_us, t_us)
                yield item
            if damage.unread_bytes:
                self.notes.append(f"of {file.name}, {damage.unread_bytes} bytes cannot be read")

    def _restarted(self, item: Output, t_us: int) -> None:
        """A file that is only the next one of the same process begins with the same words."""
        if item.payload != self.start:
            self.notes.append(f"the service was restarted at {rfc3339(t_us)} and went on from its checkpoint")


def slice_of(folder: Path, epoch: int, first_us: int, to_us: int) -> Slice:
    """What to take for an incident of `epoch` from its first plot to `to_us` (2**62: it is open)."""
    found = Slice(to_us=to_us + AFTER_US if to_us < 2**61 else to_us)
    files = sorted(folder.glob(f"e{epoch:06d}-*.mcap"))
    if not files:
        found.notes.append(
            "no recording of its time is left (the disk budget takes the oldest) or was made: it cannot be run again"
        )
        return found
    newest = max((n for n, file in enumerate(files) if _stamp_us(file) <= first_us), default=0)
    for before_us in (first_us - BEFORE_US, first_us):
        for number in range(newest, -1, -1):
            if _enter(found, files, number, before_us):
                return found
    for number in range(newest, len(files)):
        if _enter(found, files, number, found.to_us, first=True):
            found.notes.append(_late(found, first_us))
            return found
    found.files = files[newest:]
    found.notes.append("the recording holds neither its start nor a checkpoint before the end: it cannot be run again")
    return found


def _late(found: Slice, first_us: int) -> str:
    """Why it begins after the first plot."""
    at, first = rfc3339(found.entered_us), rfc3339(first_us)
    if found.entered == "start" and found.skip == 0:  # a run of its own begins so, and nothing before it is missing
        return f"the service started anew at {at}, without the picture, after the first plot at {first}"
    return (
        f"the recording can be entered from {at} on only, after the first plot at {first}: what was before is gone, "
        "the disk budget takes the oldest"
    )


def earlier(folder: Path, epoch: int, first_us: int) -> list[tuple[int, Slice]]:
    """What the epochs before this one recorded since the first plot, the oldest first: an incident goes on over a cold
    start where its object is found again."""
    began_us: dict[int, int] = {}
    for file in sorted(folder.glob("e[0-9]*.mcap")):
        number = file.name[1:].partition("-")[0]
        if number.isdigit() and int(number) <= epoch:
            began_us.setdefault(int(number), _stamp_us(file))
    runs = zip(began_us, [*began_us.values()][1:], strict=False)  # each ends where the next begins
    return [(run, slice_of(folder, run, first_us, 2**62)) for run, end_us in runs if end_us > first_us]


def _enter(found: Slice, files: list[Path], number: int, before_us: int, first: bool = False) -> bool:
    """Enter in this file at or before `before_us`: the newest place, or the `first` one."""
    starts: list[tuple[int, int]] = []
    checkpoints: list[tuple[int, int]] = []
    parts = Parts()
    for at, item in enumerate(_items(files[number], Damage())):
        t_us = _time(item)
        if isinstance(item, Frame):
            if item.source == START:
                starts.append((at, t_us))
                found.start = item.payload
            elif t_us > before_us:
                break
        elif item.topic == START:
            found.start = item.payload
        elif item.topic == CHECKPOINT and t_us <= before_us and (begun := parts.hear(item.payload, at)) >= 0:
            checkpoints.append((begun, t_us))
            if first:
                break
    starts = [one for one in starts if one[1] <= before_us]
    near = [one for one in starts if before_us - one[1] <= NEAR_START_US or (first and one[0] == 0)]
    chosen = near or checkpoints or starts
    if not chosen:
        return False
    found.files, found.entered = files[number:], "checkpoint" if chosen is checkpoints else "start"
    found.skip, found.entered_us = chosen[0] if first else chosen[-1]
    return True


def cold_start_after(folder: Path, epoch: int, to_us: int) -> int:
    """When the service started anew after this epoch, at or before `to_us`; -1 not that we know."""
    later = [_stamp_us(file) for file in sorted(folder.glob("e*.mcap")) if file.name > f"e{epoch:06d}-~"]
    return next((at_us for at_us in later if at_us <= to_us), -1)


def _items(file: Path, damage: Damage) -> Iterator[Item]:
    try:
        yield from items(file, damage)
    except FileNotFoundError:
        problem = f"{file} is gone: the disk budget took it meanwhile"
        raise ConfigError(str(file), "file", problem, "run it again; raise record.budget_bytes to keep more") from None
    except (OSError, BadLog) as error:
        problem = f"cannot be read ({error})"
        raise ConfigError(str(file), "file", problem, "look into it: vedette record info") from error


def _time(item: Item) -> int:
    return item.t_us if isinstance(item, Output) else item.rx_us


def _stamp_us(file: Path) -> int:
    """When a recording began, by its name, to the second."""
    text = file.name.partition("-")[2][:16]
    try:
        return int(datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()) * US_PER_S
    except ValueError:
        return -1
