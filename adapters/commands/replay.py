"""`vedette replay`: a frame log to a broker, at its own speed or faster, with its recorded time as the clock."""

from __future__ import annotations

import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from adapters import feed
from adapters.broker import BrokerSettings, PublishDenied
from adapters.deck import HELP, Deck, keys
from adapters.errors import ConfigError
from adapters.wire import parse_time, rfc3339
from fusion.schema import US_PER_S, Frame, Invalid
from replay import log, player
from replay.mcapread import Item
from replay.recording import MCAP, Contents, contents, frames

SAY_EVERY_S = 10.0  # where there is no terminal to draw a bar on
T = TypeVar("T")
CATCH_UP_S = 20.0  # longest silence of a service that is still working
FIRST_PICTURE_S = 2.0  # of a short recording the last frame may be sent before a service shows anything


def replay(
    path: Path,
    settings: BrokerSettings,
    site: str,
    speed: str = "1",
    wait: bool = True,
    err: TextIO | None = None,
    start: str = "",
    end: str = "",
    loop: bool = False,
) -> int:
    """Publish the frames of `path` under `vedette/v1/{site}/`, with ticks every 100 ms of feed time on `in/clock`.

    `vedette run --clock feed` on the same broker takes its time from them. With `wait` it ends when the service has
    shown everything; without a service it ends when the broker has everything. `start` and `end` choose a part (a time,
    or +SECONDS after the beginning); with `loop` it begins again for ever, and the service with it. On a terminal it
    listens to keys (adapters/deck.py).

    Returns:
        0; 1 when the broker does not answer, refuses, or the service stopped showing anything new.

    Raises:
        ConfigError: the file cannot be read or is not a frame log, or the speed is none.
    """
    out = sys.stderr if err is None else err
    factor = parsed(speed)
    found, _ = recording(path)
    from_us, to_us = stretch(path, found, start, end)
    out.write(_what(path, found, speed) + "\n")
    try:
        while True:
            code = asyncio.run(_replay(path, found, (from_us, to_us), settings, site, factor, wait, out))
            if code or not loop:
                return code
    except KeyboardInterrupt:
        out.write("stopped\n")
        return 1


def offline(
    path: Path, folder: Path, speed: str = "max", err: TextIO | None = None, start: str = "", end: str = ""
) -> int:
    """Run a recording through an engine of this process; 1 where it does not say what the service said.

    Raises:
        ConfigError: the file cannot be read, the configuration is wrong, or the speed is none.
    """
    from adapters import config as configuration
    from adapters.commands.record import piece
    from adapters.running.offline import Offline

    out = sys.stderr if err is None else err
    factor = parsed(speed)
    found, _ = recording(path)
    from_us, to_us = stretch(path, found, start, end)
    out.write(_what(path, found, speed) + "\n")
    loaded = configuration.load(folder)
    run = Offline(loaded, configuration.load_zones(loaded))
    span = max(from_us, found.first_us), found.last_us if to_us < 0 else min(to_us, found.last_us)
    with _Shown(found, out, span) as shown:
        items = piece(path, from_us, to_us) if found.ticks else _between(recording(path)[1], from_us, to_us)
        run.run(_paced(items, factor, shown))
    verdict = run.verdict
    for note in verdict.notes:
        out.write(f"note: {note}\n")
    out.write(f"{verdict.frames} frames, {verdict.ticks} ticks; {verdict.words()}\n")
    for name in ("tracks", "alerts", "incidents"):
        print(f"{name} {getattr(verdict.digest, name)}")
    return 1 if verdict.differs_us >= 0 else 0


def _paced(items: Iterable[Item], factor: float, shown: _Shown) -> Iterator[Item]:
    """Items when they are due: outputs at once after their tick."""
    begun_s, first_us, sent = time.monotonic(), -1, 0
    for item in items:
        if isinstance(item, Frame):
            sent += 1
            first_us = item.rx_us if first_us < 0 else first_us
            wait_s = begun_s + (item.rx_us - first_us) / US_PER_S / factor - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            shown.newest(item, sent)
        yield item


def parsed(speed: str) -> float:
    """The factor of a speed. Raises ConfigError."""
    try:
        return player.parse_speed(speed)
    except ValueError as error:
        raise ConfigError("--speed", speed, str(error), "give 1, 10 or max") from error


def moment(text: str, option: str, first_us: int) -> int:
    """A time of a recording, microseconds UTC; -1 for none.

    Raises:
        ConfigError: neither RFC 3339 nor seconds after the beginning.
    """
    if not text:
        return -1
    try:
        return first_us + round(float(text[1:]) * US_PER_S) if text.startswith("+") else parse_time(text)
    except (Invalid, ValueError, OverflowError):
        cure = "give a time such as 2026-11-26T02:10:00Z, or +90 for 90 s after the beginning"
        raise ConfigError("command line", option, f"is {text!r}", cure) from None


def stretch(path: Path, found: Contents, start: str, end: str) -> tuple[int, int]:
    """The part of a recording that `--from` and `--to` name, microseconds UTC; -1: to its ends.

    Raises:
        ConfigError: as `moment`, or there is nothing in that part.
    """
    from_us, to_us = moment(start, "--from", found.first_us), moment(end, "--to", found.first_us)
    cure = f"{path} goes from {rfc3339(found.first_us)} to {rfc3339(found.last_us)}: name a part of that"
    if from_us > found.last_us:
        raise ConfigError("command line", "--from", f"{rfc3339(from_us)} is after the end", cure)
    if 0 <= to_us < found.first_us:
        raise ConfigError("command line", "--to", f"{rfc3339(to_us)} is before the beginning", cure)
    if 0 <= to_us < from_us:
        raise ConfigError("command line", "--to", f"{rfc3339(to_us)} is before --from {rfc3339(from_us)}", cure)
    return from_us, to_us


def recording(path: Path) -> tuple[Contents, Iterator[Frame]]:
    """What a recording holds, and its frames, with ticks every 100 ms where it has none of its own.

    Raises:
        ConfigError: the file cannot be read or is not a frame log.
    """
    found = readable(path, contents)
    if not found.frames:
        raise ConfigError(str(path), "file", "no frames in it", "record or simulate one first")
    return found, frames(path) if found.ticks else player.with_ticks(frames(path))


def readable(path: Path, read: Callable[[Path], T]) -> T:
    """What `read` makes of a recording.

    Raises:
        ConfigError: the file cannot be read, or is no recording.
    """
    try:
        return read(path)
    except (log.BadLog, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: log.BadLog | OSError) -> ConfigError:
    """Why a recording cannot be read."""
    if isinstance(error, OSError):
        return ConfigError(str(path), "file", error.strerror or str(error), "give a file that can be read")
    if path.suffix == MCAP:
        return ConfigError(str(path), "file", error.problem, "give a recording of vedette run")
    return ConfigError(str(path), f"line {error.line}", error.problem, "give a whole, undamaged frame log")


def _what(path: Path, found: Contents, speed: str) -> str:
    ticks = f"{found.ticks} ticks" if found.ticks else "no ticks: one every 100 ms is added"
    factor = player.parse_speed(speed)
    pace = "as fast as it goes" if math.isinf(factor) else f"{factor:g} times real time"
    return (
        f"{path}: {found.frames} frames ({ticks}) from {rfc3339(found.first_us)} to {rfc3339(found.last_us)}, "
        f"{found.duration_s:.0f} s of feed, {pace}" + ("" if found.damage.harmless else f"; {found.damage.words()}")
    )


async def _replay(
    path: Path,
    found: Contents,
    part: tuple[int, int],
    settings: BrokerSettings,
    site: str,
    factor: float,
    wait: bool,
    out: TextIO,
) -> int:
    pictures = [(f"vedette/v1/{site}/picture-delta", 0)]
    first_us, last_us = max(part[0], found.first_us), found.last_us if part[1] < 0 else min(part[1], found.last_us)
    deck = Deck(first_us, last_us)
    try:
        async with feed.connected(settings, "replay", pictures) as connection:
            seen = feed.Progress()
            follower = asyncio.create_task(seen.follow(connection), name="replay-progress")
            try:
                sender = feed.Sender(connection, site, recorded=True, progress=seen)
                with keys(sys.stdin, deck) as watched, _Shown(found, out, (first_us, last_us), deck, watched) as shown:
                    await _play(path, part, factor, sender, shown, deck)
                if deck.ended:
                    out.write(f"ended by a key: {sender.sent} frames published\n")
                    return 1
                if wait and await seen.began(FIRST_PICTURE_S) and not await sender.caught_up(CATCH_UP_S):
                    out.write(f"the service showed nothing new for {CATCH_UP_S:.0f} s; it may not have seen the end\n")
                    return 1
            finally:
                follower.cancel()
                await asyncio.gather(follower, return_exceptions=True)
    except feed.NoBroker as error:
        out.write(f"vedette: {error}\n")
        return 1
    except PublishDenied as error:
        out.write(f"vedette: the broker refused a frame: {error}\n")
        return 1
    out.write(f"done: {sender.sent} frames published\n")
    return 0


async def _play(
    path: Path, part: tuple[int, int], factor: float, sender: feed.Sender, shown: _Shown, deck: Deck
) -> None:
    """Play a part, and again from wherever the keys go."""
    at_us, to_us = part
    while True:
        played = _between(recording(path)[1], at_us, to_us)
        await feed.play(sender, player.pace(played, factor), shown.newest, deck)
        at_us = -1 if deck.ended else deck.take_target()
        if at_us < 0:
            return
        sender.jumped()


def _between(frames: Iterable[Frame], from_us: int, to_us: int) -> Iterator[Frame]:
    """Frames of this time, ends included; -1: to the end. Arrival times may step back."""
    return (frame for frame in frames if frame.rx_us >= from_us and (to_us < 0 or frame.rx_us <= to_us))


class _Shown:
    """A progress bar on a terminal, a line now and then elsewhere. `span`: first and last moment that are played."""

    def __init__(
        self,
        found: Contents,
        out: TextIO,
        span: tuple[int, int] | None = None,
        deck: Deck | None = None,
        watched: bool = False,
    ) -> None:
        self._first_us, self._last_us = span or (found.first_us, found.last_us)
        self._out, self._deck = out, deck
        self._bar: Progress | None = None
        self._said_s = time.monotonic()
        self._at = ""
        if deck is not None:
            deck.changed = self._describe
        if out.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %"))
            self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(file=out))
            self._task = self._bar.add_task("replay", total=max(1, self._last_us - self._first_us))
            if watched:
                out.write(f"{HELP}\n")

    def newest(self, frame: Frame, sent: int) -> None:
        """Show how far the feed has come."""
        done_us = frame.rx_us - self._first_us
        if self._deck is not None:
            self._deck.at(frame.rx_us)
        if self._bar is not None:
            self._at = rfc3339(frame.rx_us)
            self._bar.update(self._task, completed=done_us)
            self._describe()
        elif time.monotonic() - self._said_s >= SAY_EVERY_S:
            self._said_s = time.monotonic()
            part = done_us / max(1, self._last_us - self._first_us)
            self._out.write(f"{rfc3339(frame.rx_us)}  {part:4.0%}  {done_us / US_PER_S:.0f} s  {sent} frames\n")

    def _describe(self) -> None:
        if self._bar is not None:
            paused = " (paused)" if self._deck is not None and self._deck.paused else ""
            self._bar.update(self._task, description=self._at + paused)

    def __enter__(self) -> _Shown:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
