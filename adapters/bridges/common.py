"""From somebody else's wire to MQTT: what every `vedette bridge` shares, whatever it reads.

Batches are numbered, sent, and sent again until the service's watermark covers them (`adapters/resend.py`). While the
broker is away the newest `MOST_WAITING` messages are kept and the older ones fall, counted; a source that is silent is
said, and is no reason to end.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import structlog

from adapters import feed
from adapters.broker import BrokerSettings, now_us
from adapters.formats import plots, sensorstatus
from adapters.resend import Unfused
from fusion.cases.record import Sighting
from fusion.schema import US_PER_S, Frame, Plots, SensorStatus
from fusion.schema import take as rows
from replay.door import MOST_PLOTS

TOGETHER_S = 0.1  # of arrivals in one message: one plot per message costs ten times as much
MOST_REASONS = 50  # told by name, the first that came: a stranger's datagrams can name 65,536 radars
OTHERS = "others"
MOST_WAITING = 6_000  # messages: a minute of ten sensors
SAY_EVERY_S = 10.0
SILENT_S = 30.0
_log = structlog.get_logger("vedette.bridge")


@dataclass(slots=True)
class Heard:
    """What came in between two looks: batches without numbers, words of sensors, and what was refused by reason."""

    batches: list[Plots] = field(default_factory=list)
    words: list[SensorStatus] = field(default_factory=list)
    reports: list[Sighting] = field(default_factory=list)  # of people
    refused: Counter[str] = field(default_factory=Counter)
    pieces: int = 0  # datagrams, lines or answers


@dataclass(slots=True)
class Tally:
    """Since the start."""

    pieces: int = 0
    plots: int = 0
    reports: int = 0
    messages: int = 0
    fell: int = 0  # messages that waited for the broker too long
    refused: Counter[str] = field(default_factory=Counter)

    def note(self, heard: Heard, messages: int) -> None:
        """Add what came in, and how many messages became of it."""
        self.pieces += heard.pieces
        self.plots += sum(map(len, heard.batches))
        self.reports += len(heard.reports)
        self.messages += messages
        for reason, count in heard.refused.items():
            known = reason in self.refused or len(self.refused) < MOST_REASONS
            self.refused[reason if known else OTHERS] += count

    def words(self) -> str:
        """One line for people."""
        refused = ", ".join(f"{count} {reason}" for reason, count in sorted(self.refused.items())) or "none"
        fell = f"; {self.fell} messages fell, nobody took them for too long" if self.fell else ""
        what = f"{self.reports} reports" if self.reports else f"{self.plots} plots"
        return f"{self.pieces} received, {what} in {self.messages} messages; refused: {refused}{fell}"


class Numbered:
    """Gives batches and words to frames, every sensor's numbered from 0; `boot` tells one start from another."""

    def __init__(self, boot: int) -> None:
        self._boot = boot
        self._seq: dict[str, int] = {}

    def frames(self, heard: Heard) -> list[Frame]:
        """In the order in which they came."""
        found = [Frame(0, w.rx_us, f"in/{w.sensor}/status", sensorstatus.encode(w)) for w in heard.words]
        for batch in heard.batches:
            for part in parts(batch):
                seq = self._seq.get(part.sensor, 0)
                self._seq[part.sensor] = seq + 1
                payload = plots.encode(replace(part, boot=self._boot, seq=seq))
                found.append(Frame(0, part.rx_us, f"in/{part.sensor}/plots", payload))
        return sorted(found, key=lambda frame: frame.rx_us)


async def bridge(
    source: AsyncIterator[Heard], settings: BrokerSettings, site: str, names: Sequence[str], tally: Tally
) -> None:
    """Pass on what comes, until cancelled or the source ends.

    `source` gives what came within `TOGETHER_S`, or an empty `Heard` when nothing did; `names` are the sensors.

    Raises:
        adapters.broker.PublishDenied: the broker refuses a message: wrong account or topic.
        feed.NoBroker: it was never there.
    """
    marks = [(f"vedette/v1/{site}/in/{name}/watermark", 1) for name in names]
    numbers, waiting = Numbered(now_us() // US_PER_S), deque[Frame]()
    async with feed.connected(settings, "bridge", marks) as connection:
        sender = feed.Sender(connection, site, recorded=False, unfused=Unfused())
        async with sender.watched():
            passing = asyncio.create_task(_pass_on(sender, waiting), name="bridge")
            talking = asyncio.create_task(_talk(tally), name="talk")
            try:
                async for heard in source:
                    if passing.done():
                        break
                    take(heard, numbers.frames(heard), waiting, tally)
                while waiting and not passing.done():
                    await asyncio.sleep(TOGETHER_S)
            finally:
                for task in (passing, talking):
                    task.cancel()
                await asyncio.wait([passing, talking])
            if not passing.cancelled():
                passing.result()
            await sender.fused(feed.HEARD_WITHIN_S)


def take(heard: Heard, frames: Sequence[Frame], waiting: deque[Frame], tally: Tally) -> None:
    """Count, and let wait what is to be sent; past the limit the oldest fall."""
    tally.note(heard, len(frames))
    waiting.extend(frames)
    while len(waiting) > MOST_WAITING:
        waiting.popleft()
        tally.fell += 1


async def _pass_on(sender: feed.Sender, waiting: deque[Frame]) -> None:
    while True:
        some = [waiting[n] for n in range(min(len(waiting), feed.CHUNK))]
        if not some:
            await asyncio.sleep(TOGETHER_S / 2.0)
            continue
        try:
            await sender.send(some)
        except feed.NoBroker as away:
            _log.warning("broker away, messages wait", waiting=len(waiting), why=str(away))
            continue
        for frame in some:
            if waiting and waiting[0] is frame:  # it may have fallen meanwhile
                waiting.popleft()


async def _talk(tally: Tally) -> None:
    """Say every ten seconds how it goes, and when a source has fallen silent and come back."""
    seen, silent_s = -1, 0.0
    while True:
        await asyncio.sleep(SAY_EVERY_S)
        silent_s = silent_s + SAY_EVERY_S if tally.pieces == seen else 0.0
        seen = tally.pieces
        if silent_s >= SILENT_S:
            _log.warning("nothing comes from the source", silent_s=silent_s, so_far=tally.words())
        else:
            _log.info("passed on", so_far=tally.words())


def parts(batch: Plots) -> list[Plots]:
    """No more plots in one message than its limit of bytes allows."""
    cuts = range(0, len(batch), MOST_PLOTS)
    return [rows(batch, np.arange(first, min(first + MOST_PLOTS, len(batch)))) for first in cuts]
