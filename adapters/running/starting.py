"""How `vedette run` starts: from its newest checkpoint and the frames recorded after it, or cold, with the reason.

A crash and an orderly end are followed by the same start. What goes on has the epoch, tracks, alerts and incidents that
it had, so nothing is raised twice and no track id is used for another object. A cold start raises the epoch.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from adapters.broker import Outgoing, now_us
from adapters.config import Config
from adapters.decode import Refused
from adapters.formats import skip
from adapters.running import startframe
from adapters.running.checkpoint import About, BadCheckpoint, Kept, State, code, epoch_of, frozen, save, unpacked
from adapters.running.keeping import Left, Reading, adrift
from adapters.running.outbox import Turn
from adapters.running.told import Told
from adapters.service import Core
from adapters.store import AlertJournal, DataDir
from adapters.wire import rfc3339
from fusion.numbers import Run
from fusion.redlines.adrift import LINK_S
from fusion.schema import US_PER_S, Event, Frame, Invalid
from fusion.zones import Zones
from replay.log import LEFT, START, TICK, BadLog
from replay.mcapread import McapReader

SAVE_EVERY_US = US_PER_S
SAVE_SHARE = 10  # ... or so many times as long as it takes to freeze the state: a tenth of the engine's time at most
RECORD_EVERY_US = 60 * US_PER_S  # in the recording: it can be entered within a minute of any moment
MOST_TICKS = 1_200  # recorded after a checkpoint: two minutes, worked on for seconds; more means that no state was kept
LOST_IDS = 100_000  # passed over for each power cut that the state does not know of: more than a second gives out
FILES_READ = 3  # newest recordings looked into: a checkpoint is seconds old, a file at least ten
Marks = Mapping[str, tuple[Run, ...]]  # by sensor: which of its numbered messages
_log = structlog.get_logger("vedette.start")


@dataclass(slots=True)
class Start:
    """What a service begins with."""

    core: Core
    epoch: int
    seq: int = 0  # of the newest frame that the core knows; frames are numbered on from there
    reason: str = ""  # why the start is a cold one; "" for one that goes on
    turns: list[tuple[int, list[Event], Turn]] = field(default_factory=list)  # of ticks recorded after the checkpoint
    owed: list[Outgoing] = field(default_factory=list)  # answers and cleared topics of these ticks: perhaps never sent
    left: list[Frame] = field(default_factory=list)  # after a cold one: what waits to be found, behind its `start`
    boots: int = 0  # of the machine, that are known of

    def first(self, said: Frame) -> list[Frame]:
        """The first frames of a run, or what this start adds to one that goes on. `said`: who starts with what."""
        return [*([said] if self.reason else []), *(replace(frame, rx_us=said.rx_us) for frame in self.left)]

    def words(self, since_us: int) -> str:
        """What the status says of a cold start, as long as anything may wait to be found again."""
        return f"picture reset: {self.reason}" if self.reason and since_us < 2 * LINK_S * US_PER_S else ""


def start(
    config: Config, zones: Zones, folder: DataDir, refused: Refused, is_feed: bool, spare: Core | None = None
) -> Start:
    """Go on where that is possible. A replay through the broker always begins anew: it has a clock of its own.

    `spare`: a core that was made before and never used; it serves where its epoch is the right one.
    """
    reason, boots = "a replay begins", folder.boots()
    if not is_feed:
        try:
            found = gone_on(config, zones, folder, refused, spare)
            lost, found.boots = abs(boots - found.boots), boots
            if lost:
                _log.warning("the machine was started anew: track ids of a second that may be lost are passed over")
                found.left = [Frame(0, 0, LEFT, skip.encode(min(lost * LOST_IDS, skip.MAX_IDS)))]
            return found
        except BadCheckpoint as error:
            reason = f"the service started anew, {error}"
        except Exception as error:  # what killed the service is on record: going on would kill every start
            _log.exception("going on from the checkpoint failed")
            reason = f"the service started anew, going on failed ({type(error).__name__})"
    epoch = folder.raise_epoch(_claimed(folder))
    _log.warning("a cold start: the picture is reset", reason=reason, epoch=epoch)
    core = Core(config, zones, epoch, refused)
    if not is_feed:
        core.outbox.number_after(now_us())
    return Start(core, epoch, reason=reason, boots=boots)


def _claimed(folder: DataDir) -> int:
    """The epoch of a checkpoint that was refused: its track ids were published, so ours come after them."""
    try:
        return epoch_of(folder.checkpoint_path.read_bytes())
    except OSError:
        return 0


def gone_on(
    config: Config, zones: Zones, folder: DataDir, refused: Refused, spare: Core | None = None, say: bool = True
) -> Start:
    """Take up the state of the checkpoint and what was recorded after it. Writes nothing; logs where `say`.

    Raises:
        BadCheckpoint: there is nothing to go on from; says why.
    """
    begun_s = time.monotonic()
    if not config.record.enabled:
        raise BadCheckpoint("nothing is recorded, so nobody knows what came after a checkpoint")
    try:
        data = folder.checkpoint_path.read_bytes()
    except FileNotFoundError:
        raise BadCheckpoint("there is no checkpoint") from None
    except OSError as error:
        raise BadCheckpoint(f"the checkpoint cannot be read ({error.strerror})") from error
    try:
        about, state = unpacked(data, config.hash)
    except BadCheckpoint as error:
        raise BadCheckpoint(f"the checkpoint is refused: {error}") from error
    if about.epoch != folder.epoch():
        raise BadCheckpoint(f"the checkpoint is of epoch {about.epoch}, the newest is {folder.epoch()}")
    if about.tick_us > now_us():
        raise BadCheckpoint("the checkpoint is of a time that our clock has not reached")
    if say:
        _log.info("going on from a checkpoint and the recording after it", epoch=about.epoch, at=rfc3339(about.tick_us))
    core = _core(config, zones, about.epoch, refused, spare)
    core.restore(state)
    found = Start(core, about.epoch, about.seq, boots=about.boots)
    waiting: list[Frame] = []
    missing = 0
    for frame in _recorded_after(about, config):
        missing += frame.seq - found.seq - 1
        found.seq = frame.seq
        if frame.source != TICK:
            waiting.append(frame)
            continue
        if len(found.turns) >= MOST_TICKS:
            raise BadCheckpoint(f"more than {MOST_TICKS} ticks were recorded after the checkpoint")
        events, turn, _ = core.work(waiting, frame)
        waiting = []
        found.turns.append((frame.rx_us, events, turn))
        found.owed += [
            m for m in turn.others if (m.qos and not m.retain) or not m.payload
        ]  # the rest is told again anyway
    core.enter([frame for frame in waiting if frame.source != START])
    core.outbox.number_after(now_us())
    if not say:
        return found
    tell = _log.warning if missing else _log.info
    tell(
        "going on from the checkpoint",
        epoch=about.epoch,
        age_s=round((now_us() - about.tick_us) / US_PER_S, 1),
        ticks_after=len(found.turns),
        frames_missing=missing,
        took_s=round(time.monotonic() - begun_s, 3),
    )
    return found


def _core(config: Config, zones: Zones, epoch: int, refused: Refused, spare: Core | None) -> Core:
    if spare is None or spare.engine.config.epoch != epoch:
        return Core(config, zones, epoch, refused)
    spare.door.report_to(refused)
    return spare


def inherited(begun: Start, left: Left, simulated: bool, is_feed: bool) -> Left:
    """After a cold start: puts into `begun.left` what waits to be found again, and returns what is closed by name.

    A replay through the broker inherits nothing: what the journal holds open is of another replay.
    """
    if is_feed:
        return left
    gone, entries = adrift(left, simulated)
    begun.left = [Frame(0, 0, LEFT, entry) for entry in entries]
    return gone


def unknown(begun: Start, left: Left, simulated: bool) -> Left:
    """After a power cut the journal knows more than the state. Puts into `begun.left` what there is to tell it: what it
    holds open and has ended since, and what it does not know, which waits to be found again. Returns the rest of that,
    to be closed by name.

    A track may go on from the checkpoint and raise the same alert once more: it must not have ended before.
    """
    engine = begun.core.engine
    open_ = [*(a.id for a in engine.open_alerts()), *(i.id for i in engine.incidents.open_incidents())]
    lost = Left(
        [a for a in left.open_alerts if a.id not in open_],
        [i for i in left.open_incidents if i.id not in open_],
        entries=left.entries,
    )
    gone, entries = adrift(lost, simulated)
    ended = [left.ended[name] for name in open_ if name in left.ended]
    begun.left += [Frame(0, 0, LEFT, entry) for entry in [*ended, *entries]]
    return gone


def journal_rest(begun: Start, journal: AlertJournal, told: Told) -> Left:
    """Journal what was recorded and never journalled, before a connection can tell anybody what is open.

    Turns that the journal had taken before go from `begun`; of one that a crash tore in two, the part that it had.
    Returns what the journal knows now.

    Raises:
        JournalError: the disk refuses.
    """
    reading = Reading()
    for payload in journal.entries():
        reading.hear(payload)
    newest_us, had, entries = reading.newest_us, reading.of_newest, len(journal)
    unsaid = told.unsaid(reading.left().recent, entries)
    rest = []
    for at_us, events, turn in begun.turns:
        if at_us // 1000 * 1000 == newest_us and len(turn.journal) > had:
            taken, turn.journal = turn.journal[:had], turn.journal[had:]
            turn.alerts = [message for message in turn.alerts if message.payload not in taken]
        elif at_us // 1000 * 1000 <= newest_us:
            continue
        rest.append((at_us, events, turn))
        journal.append(turn.journal)
        for payload in turn.journal:
            reading.hear(payload)
    begun.turns[:] = rest
    return replace(reading.left(), unsaid=unsaid)


def _recorded_after(about: About, config: Config) -> Iterator[Frame]:
    """Frames of the same epoch with higher numbers, in order, from recordings that are ours."""
    newest = about.seq
    for path in sorted(config.record_dir.glob(f"e{about.epoch:06d}-*.mcap"))[-FILES_READ:]:
        try:
            if not _is_ours(path, about, config):
                _log.warning("a recording of somebody else is let be", file=str(path))
                continue
            for item in McapReader(path, about.tick_us):
                if isinstance(item, Frame) and item.seq > newest and item.rx_us >= about.tick_us:
                    newest = item.seq
                    yield item
        except (OSError, BadLog) as error:
            _log.warning("a recording cannot be read", file=str(path), problem=str(error))


def _is_ours(path: Path, about: About, config: Config) -> bool:
    """Its first word says who recorded it: this site, epoch and configuration. A name says nothing."""
    first = next(iter(McapReader(path)), None)
    if first is None or (first.source if isinstance(first, Frame) else first.topic) != START:
        return False
    try:
        told = startframe.decode(first.payload)
    except Invalid:
        return False
    return (told.get("site"), told.get("epoch"), told.get("config_hash")) == (config.site, about.epoch, config.hash)


class Saver:
    """Decides when the state is kept, and keeps it for the next start. `problem` is why that failed, else ""."""

    def __init__(self, path: Path | None, config_hash: str, syncer: Executor, boots: int = 0) -> None:
        """`path` None: nothing goes on after a replay. `boots`: of the machine, that the state knows of."""
        self.problem = ""
        self.is_sure = True  # what follows is recorded; else a start cannot go on, and the kept state goes
        self._path, self._config_hash, self._syncer, self._boots = path, config_hash, syncer, boots
        self._saved_us = self._recorded_us = -1
        self._marks: Marks = {}  # of the newest state on the disk
        self._every_us = SAVE_EVERY_US
        self._save: Future[None] | None = None

    def is_due(self, tick_us: int) -> bool:
        """For the next start. A slow disk is not asked again before it has answered."""
        idle = self._save is None or self._save.done()
        if idle and self._path is not None and not self.is_sure:
            with contextlib.suppress(OSError):  # of the same disk that refuses to record
                self._path.unlink(missing_ok=True)
            return False
        return self._path is not None and idle and tick_us - self._saved_us >= self._every_us

    def sure(self, fused: Marks) -> Marks:
        """What sensors need not send again: what is in a state on the disk, so that a power cut cannot take it. Where
        no state is kept, what is fused."""
        return self._marks if self._path is not None else fused

    def is_due_in_recording(self, tick_us: int, is_fresh: bool) -> bool:
        """For the recording; `is_fresh`: a file has begun in the middle of the run."""
        if self._recorded_us < 0 and not is_fresh:
            self._recorded_us = tick_us  # a run that begins is entered at its beginning
        if not is_fresh and 0 <= tick_us - self._recorded_us < RECORD_EVERY_US:
            return False
        self._recorded_us = tick_us
        return True

    def freeze(self, core: Core) -> State:
        """The state as bytes; on the engine's thread."""
        begun_s = time.perf_counter()
        state = frozen(core.snapshot())
        self._every_us = max(SAVE_EVERY_US, round(SAVE_SHARE * (time.perf_counter() - begun_s) * US_PER_S))
        return state

    def about(self, epoch: int, tick: Frame) -> About:
        """What a checkpoint after this tick is of."""
        return About(epoch, tick.seq, tick.rx_us, self._config_hash, code(), self._boots)

    def keep(self, kept: Kept, marks: Marks) -> None:
        """Save it behind our back; `marks`: which messages of each sensor are in it."""
        self._saved_us = kept.about.tick_us
        self._save = self._syncer.submit(self._write, kept, marks)

    def _write(self, kept: Kept, marks: Marks) -> None:
        assert self._path is not None
        try:
            save(self._path, kept.packed())
            self.problem, self._marks = "", marks
        except OSError as error:
            self.problem = error.strerror or str(error)
