"""`vedette run`: the loop of service.py under a broker and a clock.

Three connections, so that a flood of plots never delays an alert: `in` (sensors), `out` (pictures, health, status,
commands) and `alerts`. One engine thread fuses, one writer thread syncs the alert journal; the event loop only moves
bytes. The order of one tick is the promise of the service:

    frames of the tick -> engine -> alerts journalled and synced -> alerts published -> pictures -> inputs acknowledged
                      `-> recorded, before anything of the tick is published

A crash anywhere in it leaves the inputs unacknowledged: the broker sends them again. A start goes on from the newest
checkpoint and what was recorded after it (starting.py). Where that cannot be, it is a cold one: the epoch of the track
ids is raised, and alerts that the journal holds open wait to be found again (fusion/redlines/adrift.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog
import uvloop

from adapters import http
from adapters.broker import Outgoing, PublishDenied, Will, now_us
from adapters.config import Config, load_zones
from adapters.decode import TICK
from adapters.feed import CLOCK_TOPIC, REPLAYED
from adapters.formats import status, watermark
from adapters.incidents.database import IncidentDb
from adapters.metrics import Metrics
from adapters.mqtt import Connection
from adapters.payloadschema import schemas
from adapters.running import checkpoint, memory, standby, startframe
from adapters.running.alertline import AlertLine
from adapters.running.checkpoint import Kept
from adapters.running.intake import Arrived, Intake
from adapters.running.keeping import Keeper, Left, closings
from adapters.running.outbox import Turn, joined
from adapters.running.outputs import CHECKPOINT, transitions
from adapters.running.recorder import Recorder
from adapters.running.starting import Marks, Saver, inherited, journal_rest, start, unknown
from adapters.running.told import Told
from adapters.running.wallclock import WallClock
from adapters.service import Core, Seen, Spent, names_of
from adapters.store import AlertJournal, DataDir, Quarantine
from adapters.version import package_version
from fusion.cases.record import Incident, IncidentChanged
from fusion.numbers import Run
from fusion.schema import US_PER_S, Alert, Event, Frame, HealthChanged
from fusion.zones import Zones
from replay.log import START
from replay.mcapfile import Output

STATUS_EVERY_US = US_PER_S
FAREWELL_S = 1.0
SILENT_S = 5.0  # without a tick the service is not ready, whatever else it says
ANSWERS_MAX = 1_000  # answers to commands kept for the next connection

T = TypeVar("T")
_log = structlog.get_logger("vedette")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the configuration."""

    clock: str = "live"  # "live": our own; "feed": time and ticks come from a replay through the broker
    standby: bool = False  # wait until the data folder is free, instead of refusing


def run_live(config: Config, options: RunOptions) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConfigError: borders, data folder or HTTP address cannot be used.
    """
    folder = DataDir(config.data_dir)
    ready = standby.wait(config, folder) if options.standby else standby.Ready()
    with folder, AlertJournal(folder.journal_path, ready.journal) as journal:
        _log.info("loading borders and terrain", folder=str(config.folder))
        zones = ready.zones or load_zones(config)
        with IncidentDb(folder.incidents_path, names_of(config, zones)) as database:
            live = _Live(config, options, zones, folder, journal, database, ready.core)
            if ready.core is None:
                memory.settle()  # a spare did while it waited: it costs a tenth of the second that a takeover may last
            uvloop.run(live.main())
    return 0


class _Live:
    """One running service."""

    def __init__(
        self,
        config: Config,
        options: RunOptions,
        zones: Zones,
        folder: DataDir,
        journal: AlertJournal,
        database: IncidentDb,
        spare: Core | None = None,
    ) -> None:
        self._config, self._zones, self._folder, self._journal = config, zones, folder, journal
        self._keeper, self._told = Keeper(database, journal), Told(folder.told_path, len(journal))
        self._feed = options.clock == "feed"
        self._base = f"vedette/v1/{config.site}/"
        self._metrics = Metrics(config_hash=config.hash)
        self._quarantine = Quarantine(folder.quarantine_path, config.quarantine_bytes)
        self._start = start(config, zones, folder, self._refused, self._feed, spare)
        self._epoch, self._core = self._start.epoch, self._start.core
        self._engine_thread, self._writer_thread = ThreadPoolExecutor(1, "engine"), ThreadPoolExecutor(1, "writer")
        self._sync_thread = ThreadPoolExecutor(1, "sync")  # a slow disk delays no tick
        self._recorder = Recorder(config.record_dir, config.record, schemas(), self._sync_thread)
        self._frames = self._start.seq  # numbered so far: as recorded, so that a replay sees what is missing
        self._begun = False  # the start is recorded
        goes_on = not self._feed and config.record.enabled
        kept = folder.checkpoint_path if goes_on else None
        self._saver = Saver(kept, config.hash, self._sync_thread, self._start.boots)
        self._tick = Frame(0, -1, TICK, b"")  # the newest
        self._outputs: list[Output] = []  # said before there was a recording
        self._unrecorded = ""  # why, as last logged
        self._stop = asyncio.Event()
        self._ready = False
        self._turned_s = 0.0  # when the last tick was through
        self._started_us = now_us()
        self._status_seq = self._started_us  # never falls, as those of the outbox
        self._status_us = 0  # tick time of the last status
        self._seen = Seen()
        self._answers = self._start.owed  # and what found no connection
        self._watermarks: dict[str, tuple[Run, ...]] = {}  # as last told
        self._links = self._connect()

    def _connect(self) -> tuple[Connection, ...]:
        """The three connections. A replay is nobody's session: it must not find what sensors left for the service."""
        broker = self._config.broker
        if self._feed:
            name = f"{broker.client_id}-feed"
            broker = replace(broker, client_id=name, clean_start=True, session_expiry_s=0)

        def noting(name: str) -> Callable[[bool, str], None]:
            return lambda up, why: self._link_changed(name, up, why)

        will = Will(f"{self._base}status", status.will(self._config.site))
        commands = [(f"{self._base}cmd/+", 1)]
        commands += [(f"{self._base}partner/{name}/cmd/+", 1) for name in self._config.partners]
        own = WallClock()
        self._in = Connection(broker, self._inputs(), name="in", clock=own.now_us, on_change=noting("in"))
        self._out = Connection(broker, commands, will, "out", own.now_us, self._born, noting("out"))
        self._alerts = AlertLine(
            broker, self._open_again, lambda message, why: self._denied(message, why, "alert"), noting("alerts")
        )
        self._intake = Intake(self._base, self._in, self._out, self._refuse, lambda: self._core.engine, own)
        return self._in, self._out, self._alerts.link

    async def main(self) -> None:
        """Run until stopped."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        left = journal_rest(self._start, self._journal, self._told)
        address = self._config.http
        async with http.serve(address.host, address.port, self._metrics, self._is_ready) as port:
            _log.info("serving /metrics, /healthz, /readyz", address=f"http://{address.host}:{port}/metrics")
            tasks = [asyncio.create_task(link.run(), name=link.name) for link in self._links]
            tasks.append(asyncio.create_task(self._turns(left), name="ticks"))
            stopped = asyncio.create_task(self._stop.wait(), name="stop")
            try:
                await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
                failed = next((task for task in tasks if task.done()), None)
                # A connection that is closed in order takes its last will with it: the end is said here, always.
                await self._farewell("failed" if failed else "")
                if failed:
                    raise RuntimeError(f"{failed.get_name()} ended") from failed.exception()
            finally:
                await _end([*tasks, stopped])
                self._keeper.keep_rest(self._writer_thread)
                self._writer_thread.submit(self._recorder.close)
                for thread in (self._engine_thread, self._writer_thread, self._sync_thread):
                    thread.shutdown()

    # --- ticks ---

    async def _turns(self, left: Left) -> None:
        self._keeper.catch_up(left.recent, self._writer_thread)
        await self._alerts.link.wait_connected()
        outbox = self._core.outbox
        closed = outbox.cleared(left.closed_alerts, left.closed_incidents)
        await self._alerts.send([*outbox.said_again(left.unsaid), *closed])
        if self._start.reason:
            gone = inherited(self._start, left, self._config.simulated, self._feed)
            await self._close(gone.open_alerts, gone.open_incidents, self._start.reason)
        else:
            await self._go_on()
            gone = unknown(self._start, left, self._config.simulated)
            await self._close(gone.open_alerts, gone.open_incidents, "the moments before a crash are lost")
        self._turned_s = time.monotonic()
        self._ready = True
        async for arrived in self._intake.by_feed() if self._feed else self._intake.by_clock():
            if arrived.anew:
                await self._start_anew()
            if not self._begun:
                await self._begin(arrived.frames[0].rx_us if arrived.frames else arrived.tick_us)
            if arrived.tick_us < 0:
                frames = self._numbered(arrived.frames)
                recorded = self._on_writer(self._recorder.write, frames, frames[-1].rx_us if frames else -1)
                await self._on_engine(self._core.enter, frames)
                await recorded
                arrived.acknowledge()
            else:
                await self._turn(arrived)

    async def _go_on(self) -> None:
        """Tell what has just been journalled."""
        for tick_us, events, turn in self._start.turns:
            await self._alerts.send(turn.alerts)
            self._keep(tick_us, events)
        self._start.turns.clear()

    async def _begin(self, t_us: int) -> None:
        """The first frame of a run says who started with what; one that goes on says it beside its frames."""
        self._begun = True
        said = Frame(0, max(t_us, 0), START, startframe.encode(self._config, self._epoch, max(t_us, 0)))
        begin, left = self._recorder.go_on, self._numbered(self._start.first(said))
        if self._start.reason:
            begin, said, left = self._recorder.begin, left[0], left[1:]
        await self._on_writer(begin, self._epoch, said, left)
        await self._on_engine(self._core.enter, left)
        self._start.left.clear()

    def _numbered(self, frames: Sequence[Frame], until_us: int = 2**62) -> list[Frame]:
        """Frames as they are recorded: numbered without a gap, none of them later than its tick."""
        first = self._frames + 1
        self._frames += len(frames)
        return [replace(f, seq=first + n, rx_us=min(f.rx_us, until_us)) for n, f in enumerate(frames)]

    async def _turn(self, arrived: Arrived) -> None:
        tick_us = arrived.tick_us
        *frames, tick = self._numbered([*arrived.frames, Frame(0, tick_us, TICK, b"")], tick_us)
        recorded = self._on_writer(self._recorder.write, [*frames, tick], tick_us)
        events, turn, spent = await self._on_engine(self._core.work, frames, tick)
        await recorded
        await self._publish_alerts(turn)
        self._keep(tick_us, events)
        before = [replace(output, t_us=tick_us) for output in self._outputs]  # said when there was no tick yet
        self._on_writer(self._recorder.say, [*before, *turn.outputs])
        self._outputs = []
        start_s = time.perf_counter()
        unsent = await self._send([*self._answers, *turn.others], "picture")
        self._answers = [m for m in unsent if m.qos and not m.retain][:ANSWERS_MAX]
        arrived.acknowledge()
        self._tick = tick
        await self._checkpoint()
        sent_s = time.perf_counter() - start_s
        arrived.busy_s = spent.decode_s + spent.fuse_s + spent.encode_s
        if tick_us - self._status_us >= STATUS_EVERY_US:
            self._status_us = tick_us
            await self._send([*self._due_watermarks(), self._status_message()], "status")
        self._measure(events, turn, spent, sent_s)
        self._turned_s = time.monotonic()

    async def _checkpoint(self) -> None:
        """Keep the state, where it is due: for the next start, and as a place at which the recording can be entered."""
        saver, tick_us = self._saver, self._tick.rx_us
        is_due, in_recording = saver.is_due(tick_us), saver.is_due_in_recording(tick_us, self._recorder.is_fresh)
        if not is_due and not in_recording:
            return
        kept = Kept(saver.about(self._epoch, self._tick), await self._on_engine(saver.freeze, self._core))
        if in_recording:
            self._recorder.is_fresh = False
            self._on_writer(self._record_checkpoint, kept)
        if is_due:
            saver.keep(kept, self._fused())

    def _record_checkpoint(self, kept: Kept) -> None:
        for part in checkpoint.messages(kept.packed(), kept.about.tick_us):  # one by one: together they fill the memory
            self._recorder.say([Output(kept.about.tick_us, CHECKPOINT, part)])

    async def _publish_alerts(self, turn: Turn) -> None:
        """Journal, sync, then publish; note what the broker has, also of what waited for it before."""
        if turn.journal:
            start_s = time.perf_counter()
            await self._on_writer(self._journal.append, turn.journal)
            await self._alerts.send(turn.alerts)
            self._metrics.stage("alert", time.perf_counter() - start_s)
        if self._alerts.is_through and self._told.count != len(self._journal):
            self._on_writer(self._told.note, len(self._journal))
        for changed in turn.changed:
            say = _log.info if changed.state == "updated" else _log.warning
            say("alert", state=changed.state, rule=changed.rule, id=changed.id, sentence=changed.sentence)

    def _keep(self, tick_us: int, events: Sequence[Event]) -> None:
        """Behind the journal, on the same thread, and never waited for: the database may fail, fusion may not."""
        if not self._keeper.keep(tick_us, events, self._writer_thread):
            self._metrics.database_failed()
            _log.error("the incident database did not take it; the journal has it", problem=self._keeper.problem)

    async def _close(self, alerts: Sequence[Alert], incidents: Sequence[Incident], why: str) -> None:
        """There are no tracks any more: what is open is closed by name, never silently."""
        reason = f"picture reset: {why}; raised again if still true"
        when_us = now_us()
        turn = self._core.outbox.turn(closed := closings(alerts, incidents, when_us, reason))
        await self._publish_alerts(turn)
        self._keep(when_us, closed)
        self._outputs += transitions(when_us, turn.journal)

    async def _start_anew(self) -> None:
        """Another replay began: its tracks are other tracks, so the picture begins anew, with an epoch of its own."""
        _log.warning("another replay has begun: the picture is reset")
        engine = self._core.engine
        await self._close(engine.open_alerts(), engine.incidents.open_incidents(), "another replay began")
        self._epoch = self._folder.raise_epoch()
        self._core = Core(self._config, self._zones, self._epoch, self._refused)
        self._start.reason = "another replay began"
        self._status_us = 0
        self._begun = False
        self._watermarks.clear()

    def _on_writer(self, work: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._writer_thread, work, *arguments)

    async def _on_engine(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._engine_thread, work, *arguments)

    # --- sending ---

    async def _send(self, messages: Sequence[Outgoing], kind: str) -> list[Outgoing]:
        """Publish in order; returns what the broker did not get for want of a connection.

        A refused message is counted and logged and not sent again: the broker's answer would be the same.
        """
        if not messages or not self._out.connected:
            return list(messages)
        unsent: list[Outgoing] = []
        for message, error in zip(messages, await self._out.publish_many(messages), strict=True):
            if isinstance(error, PublishDenied):
                self._denied(message, error, kind)
            elif error is not None:
                unsent.append(message)
        return unsent

    def _denied(self, message: Outgoing, why: PublishDenied, kind: str) -> None:
        self._metrics.publish_denied(kind)
        _log.error("the broker refused a message", topic=message.topic, reason=str(why))

    async def _open_again(self) -> list[Outgoing]:
        return await self._on_engine(self._core.open_again)

    async def _born(self, _link: Connection) -> None:
        """Replace the last will as soon as there is a connection; a new broker knows no watermarks."""
        self._watermarks.clear()
        await self._send([self._status_message()], "status")

    def _due_watermarks(self) -> list[Outgoing]:
        """Once a second, tell each sensor what it need not send again."""
        messages: list[Outgoing] = []
        for sensor, runs in self._saver.sure(self._fused()).items():
            if runs and self._watermarks.get(sensor) != runs:
                self._watermarks[sensor] = runs
                topic = f"{self._base}in/{sensor}/watermark"
                messages.append(Outgoing(topic, watermark.encode(sensor, runs), qos=1, retain=True))
        return messages

    def _fused(self) -> Marks:
        return {spec.id: self._core.engine.fused(spec.id) for spec in self._config.sensors}

    async def _farewell(self, why: str) -> None:
        """Say that we go, while the connection is still there."""
        last = Outgoing(f"{self._base}status", self._status("offline", why), qos=1, retain=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._send([last], "status")
        _log.info("stopped")

    # --- state, numbers ---

    def _inputs(self) -> list[tuple[str, int]]:
        kinds = ("plots", "status", "met", "sighting", "registration")
        topics = [(f"{self._base}in/+/{kind}", 1) for kind in kinds]
        recorded = [(f"{self._base}{REPLAYED}{who}", 1) for who in ("cmd/+", "partner/+/cmd/+", "load") if self._feed]
        return [*topics, *recorded, (f"{self._base}{CLOCK_TOPIC}", 1)]

    def _word(self) -> str:
        if not self._ready:
            return "starting"
        return "replay" if self._feed else "live"

    def _status(self, word: str, detail: str = "") -> bytes:
        counters = self._core.engine.counters
        self._status_seq += 1
        return status.encode(
            status.StatusInfo(
                site=self._config.site,
                t_us=now_us(),
                state=word,
                epoch=self._epoch,
                simulated=self._config.simulated,
                mode=self._core.engine.watch.mode,
                version=package_version(),
                config_hash=self._config.hash,
                started_us=self._started_us,
                tracks=self._seen.tracks,
                open_alerts=self._seen.alerts,
                sensors=self._seen.sensors,
                received=counters.received,
                used=counters.used,
                load_level=self._core.engine.thinning.level,
                shed=sum(counters.shed.values()),
                seq=self._status_seq,
                detail=detail,
            )
        )

    def _status_message(self) -> Outgoing:
        detail = "; ".join(filter(None, [self._recording(), self._start.words(now_us() - self._started_us)]))
        return Outgoing(f"{self._base}status", self._status(self._word(), detail), qos=1, retain=True)

    def _recording(self) -> str:
        """What is wrong with the recording and the checkpoints, "" while nothing is."""
        faults = [f"not recorded: {self._recorder.problem}"] if self._recorder.problem else []
        faults += [f"no checkpoint: {self._saver.problem}"] if self._saver.problem else []
        return "; ".join(faults)

    def _is_ready(self) -> tuple[bool, str]:
        if not self._ready:
            return False, "starting"
        silent_s = time.monotonic() - self._turned_s
        if not self._feed and silent_s > SILENT_S:
            return False, f"no tick for {silent_s:.0f} s"
        down = [f"{link.name}: {link.problem}" for link in self._links if not link.connected]
        return not down, "; ".join([*(down or ["ready"]), *filter(None, [self._recording()])])

    def _link_changed(self, name: str, up: bool, why: str) -> None:
        self._metrics.broker(name, up)
        _log.info("broker connected" if up else "broker lost", connection=name, why=why)

    def _refuse(self, frame: Frame, reason: str, detail: str) -> None:
        self._core.door.refuse(frame, reason, detail)  # of the core as it is then: a new replay brings a new one

    def _refused(self, frame: Frame, reason: str, detail: str) -> None:
        written = self._quarantine.add(frame.rx_us, reason, frame.source, frame.payload)
        self._metrics.quarantine(written)
        if written:
            _log.warning("input refused", reason=reason, detail=detail, topic=frame.source)

    def _measure(self, events: Sequence[Event], turn: Turn, spent: Spent, sent_s: float) -> None:
        """Between two ticks, when the engine rests."""
        engine, metrics = self._core.engine, self._metrics
        metrics.recording(self._recorder)
        if self._recorder.problem != self._unrecorded:
            self._unrecorded = self._recorder.problem
            self._saver.is_sure = not self._unrecorded
            say = _log.error if self._unrecorded else _log.info
            say("nothing is recorded" if self._unrecorded else "recording again", problem=self._unrecorded)
        stages = (("decode", spent.decode_s), ("fuse", spent.fuse_s), ("encode", spent.encode_s), ("publish", sent_s))
        for name, seconds in stages:
            metrics.stage(name, seconds)
        metrics.accounting(engine.counters, engine.thinning.level)
        metrics.alerts_untold(engine.watch.refused, engine.watch.withholding.count)
        claims = engine.claims
        metrics.integrity(claims.events, len(claims.interference.open), claims.unwatched)
        metrics.pressure(engine.tracker.pressure.estimate)
        metrics.limits(engine.tracker.limits)
        after, lost = engine.afterwards, engine.afterwards.lost
        gone = (lost.gave_way, lost.unweighed, after.trails.taken, engine.ledger.left_out, *engine.order.let_go)
        metrics.memory(gone, after.sightings.refused)
        healths = [event.health for event in events if isinstance(event, HealthChanged)]
        for health in healths:
            metrics.health(health)
        if healths:
            self._seen.sensors = dict(Counter(health.state for health in healths))
        for event in events:
            if isinstance(event, IncidentChanged):
                metrics.incident(event.incident)
        book = engine.incidents
        metrics.incidents(len(book.open_incidents()), book.refused, book.overflowed, self._keeper.lost)
        for changed in turn.changed:
            metrics.alert_transition(changed.rule, changed.severity, changed.state)
        for age_us in joined(turn.ages_us).tolist():
            metrics.data_age(age_us / US_PER_S)
        if not self._feed:
            for waited_us in (now_us() - joined(turn.arrivals_us)).tolist():
                metrics.stage("arrival_to_published", waited_us / US_PER_S)
        open_ = Counter((alert.rule, alert.severity) for alert in engine.open_alerts())
        metrics.open_alerts(open_)
        self._seen.alerts = sum(open_.values())
        self._seen.tracks = engine.tracker.counts
        metrics.tracks(self._seen.tracks)


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
