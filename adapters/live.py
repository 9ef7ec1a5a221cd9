"""`vedette run`: the loop of service.py under a broker and a clock.

Three connections, so that a flood of plots never delays an alert: `in` (sensors), `out` (pictures, health, status,
commands) and `alerts`. One engine thread fuses, one writer thread syncs the alert journal; the event loop only moves
bytes. The order of one tick is the promise of the service:

    frames of the tick -> engine -> alerts journalled and synced -> alerts published -> pictures -> inputs acknowledged

A crash anywhere in it leaves the inputs unacknowledged: the broker sends them again. A start is a cold start: the
epoch of the track ids is raised, and alerts that the journal holds open are closed by name.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NoReturn

import structlog
import uvloop

from adapters import http
from adapters.broker import Incoming, Outgoing, PublishDenied, PublishError, Will, now_us
from adapters.config import Config, load_zones
from adapters.decode import TICK
from adapters.formats import alert, clock, status, watermark
from adapters.formats.command import enveloped
from adapters.metrics import Metrics, package_version
from adapters.mqtt import Connection
from adapters.outbox import newest
from adapters.service import Core, newest_picture
from adapters.store import AlertJournal, DataDir, Quarantine
from adapters.wire import feed_of
from fusion.schema import US_PER_S, AlertChanged, Event, Frame, HealthChanged, Invalid
from fusion.zones import Zones

TICK_US = 100_000
STATUS_EVERY_US = US_PER_S
FAREWELL_S = 1.0
UNSENT_ALERTS = 20_000  # alert messages kept while there is no broker
CLOCK_TOPIC = "in/clock"

_log = structlog.get_logger("vedette")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the command line adds to the configuration."""

    clock: str = "live"  # "live": our own; "feed": time and ticks come from a replay through the broker


def run_live(config: Config, options: RunOptions) -> int:
    """Run until SIGTERM or SIGINT; returns the exit status.

    Raises:
        ConfigError: borders, data folder or HTTP address cannot be used.
    """
    with DataDir(config.data_dir) as folder, AlertJournal(folder.journal_path) as journal:
        _log.info("loading borders and terrain", folder=str(config.folder))
        zones = load_zones(config)
        live = _Live(config, options, zones, folder, journal)
        uvloop.run(live.main())
    return 0


class _Live:
    """One running service."""

    def __init__(
        self, config: Config, options: RunOptions, zones: Zones, folder: DataDir, journal: AlertJournal
    ) -> None:
        self._config, self._options, self._journal = config, options, journal
        self._base = f"vedette/v1/{config.site}/"
        self._epoch = folder.raise_epoch()
        self._metrics = Metrics(config_hash=config.hash)
        self._quarantine = Quarantine(folder.quarantine_path, config.quarantine_bytes)
        self._core = Core(config, zones, self._epoch, self._refused)
        self._left_open = _open_in(journal)
        self._engine_thread = ThreadPoolExecutor(1, "engine")
        self._writer_thread = ThreadPoolExecutor(1, "writer")
        self._stop = asyncio.Event()
        self._ready = ""  # why not, once the first tick is through: "ready"
        self._seq = 0
        self._started_us = now_us()
        self._sensor_states: dict[str, int] = {}
        self._track_counts: dict[str, int] = {}
        self._open_count = 0
        self._clock_us = 0
        self._status_us = 0
        self._unsent_alerts: list[Outgoing] = []
        self._watermarks: dict[str, tuple[int, int]] = {}
        offline = Will(f"{self._base}status", status.will(config.site))
        seen = self._link_changed
        self._in = Connection(config.broker, self._inputs(), name="in", on_change=lambda up, why: seen("in", up, why))
        self._out = Connection(
            config.broker,
            [(f"{self._base}cmd/+", 1)],
            will=offline,
            name="out",
            birth=self._born,
            on_change=lambda up, why: seen("out", up, why),
        )
        self._alerts = Connection(
            config.broker, name="alerts", birth=self._again, on_change=lambda up, why: seen("alerts", up, why)
        )
        self._links = (self._in, self._out, self._alerts)

    async def main(self) -> None:
        """Run until stopped."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)
        address = self._config.http
        async with http.serve(address.host, address.port, self._metrics, self._is_ready) as port:
            _log.info("serving /metrics, /healthz, /readyz", address=f"http://{address.host}:{port}/metrics")
            tasks = [asyncio.create_task(link.run(), name=link.name) for link in self._links]
            tasks.append(asyncio.create_task(self._turns(), name="ticks"))
            stopped = asyncio.create_task(self._stop.wait(), name="stop")
            try:
                await asyncio.wait([*tasks, stopped], return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    if task.done():
                        _failed(task)
                await self._farewell()
            finally:
                await _end([*tasks, stopped])
                self._engine_thread.shutdown()
                self._writer_thread.shutdown()

    # --- ticks ---

    async def _turns(self) -> None:
        await self._close_left_open()
        self._ready = "ready"
        async for arrived, tick_us in self._by_feed() if self._options.clock == "feed" else self._by_clock():
            await self._turn(arrived, tick_us)

    async def _by_clock(self) -> AsyncIterator[tuple[list[tuple[Connection, Incoming]], int]]:
        """What arrived, every 100 ms of our own clock; a tick that was missed is not made up for."""
        while True:
            wait_us = TICK_US - now_us() % TICK_US
            await asyncio.sleep(wait_us / US_PER_S)
            arrived = [(link, incoming) for link in (self._in, self._out) for incoming in _drain(link)]
            # Clocks are set back now and then; ours only stands still meanwhile.
            self._clock_us = max([self._clock_us, now_us(), *(incoming.rx_us for _, incoming in arrived)])
            yield arrived, self._clock_us

    async def _by_feed(self) -> AsyncIterator[tuple[list[tuple[Connection, Incoming]], int]]:
        """What the replay sent before each of its ticks."""
        arrived: list[tuple[Connection, Incoming]] = []
        while True:
            incoming = await self._in.inbox.get()
            arrived.append((self._in, incoming))
            if incoming.topic != self._base + CLOCK_TOPIC:
                continue
            arrived += [(self._out, command) for command in _drain(self._out)]
            try:
                tick_us = clock.decode(incoming.payload)
            except Invalid as fault:
                arrived.pop()
                self._core.door.refuse(self._frame(incoming, now_us()), fault.reason, fault.detail)
                self._in.ack(incoming)
                continue
            if tick_us < self._clock_us:
                _log.warning("the replay's clock stepped back: tick ignored", tick_us=tick_us, clock_us=self._clock_us)
                tick_us = self._clock_us
            self._clock_us = tick_us
            yield arrived, tick_us
            arrived = []

    async def _turn(self, arrived: Sequence[tuple[Connection, Incoming]], tick_us: int) -> None:
        loop = asyncio.get_running_loop()
        frames = [frame for link, incoming in arrived if (frame := self._admitted(link, incoming, tick_us))]
        tick = Frame(self._number(), tick_us, TICK, b"")
        events, turn, spent = await loop.run_in_executor(self._engine_thread, self._core.work, frames, tick)
        if turn.journal:
            start_s = time.perf_counter()
            await loop.run_in_executor(self._writer_thread, self._journal.append, turn.journal)
            await self._send_alerts(turn.alerts)
            self._metrics.stage("alert", time.perf_counter() - start_s)
            for changed in turn.changed:
                say = _log.info if changed.state == "updated" else _log.warning
                say("alert", state=changed.state, rule=changed.rule, id=changed.id, sentence=changed.sentence)
        start_s = time.perf_counter()
        await self._send(self._out, turn.others, "picture")
        for link, incoming in arrived:
            link.ack(incoming)
        await self._watermark(tick_us)
        self._measure(events, spent.decode_s, spent.fuse_s, spent.encode_s, time.perf_counter() - start_s)
        if self._options.clock == "live":
            for waited_us in (now_us() - newest(turn.arrivals_us)).tolist():
                self._metrics.stage("arrival_to_published", waited_us / US_PER_S)
        if tick_us - self._status_us >= STATUS_EVERY_US:
            self._status_us = tick_us
            await self._send(self._out, [self._status_message()], "status")

    def _admitted(self, link: Connection, incoming: Incoming, tick_us: int) -> Frame | None:
        """The frame of a message; None when it is the clock, or must not be decoded."""
        if incoming.topic == self._base + CLOCK_TOPIC:
            if self._options.clock == "live":
                detail = "a replay's clock under --clock live"
                self._core.door.refuse(self._frame(incoming, tick_us), "bad-time", detail)
            return None
        if link is self._out and incoming.retain:
            # An order is for now: one that the broker kept would be carried out again at every reconnect.
            self._core.door.refuse(self._frame(incoming, tick_us), "bad-time", "a retained command")
            return None
        if link is self._out:
            frame = self._frame(incoming, tick_us)
            return enveloped(frame, incoming.user, incoming.response_topic, incoming.correlation)
        replayed = any(key == "rx_us" for key, _ in incoming.user)
        if self._options.clock == "live":
            if replayed:
                self._core.door.refuse(self._frame(incoming, tick_us), "bad-time", "replayed input under --clock live")
                return None
            return self._frame(incoming, incoming.rx_us)
        try:
            rx_us, _ = feed_of(incoming.user)
        except Invalid as fault:
            detail = "a live sensor under --clock feed" if not replayed else fault.detail
            self._core.door.refuse(self._frame(incoming, tick_us), fault.reason, detail)
            return None
        return self._frame(incoming, min(rx_us, tick_us))

    def _frame(self, incoming: Incoming, rx_us: int) -> Frame:
        return Frame(self._number(), rx_us, incoming.topic.removeprefix(self._base), incoming.payload)

    def _number(self) -> int:
        self._seq += 1
        return self._seq

    # --- sending ---

    async def _send(self, link: Connection, messages: Sequence[Outgoing], kind: str) -> list[Outgoing]:
        """Publish in order; returns what the broker did not get for want of a connection.

        A refused message is counted and logged and not sent again: the broker's answer would be the same.
        """
        if not messages or not link.connected:
            return list(messages)
        unsent: list[Outgoing] = []
        for message, error in zip(messages, await link.publish_many(messages), strict=True):
            if isinstance(error, PublishDenied):
                self._metrics.publish_denied(kind)
                _log.error("the broker refused a message", topic=message.topic, reason=str(error))
            elif error is not None:
                unsent.append(message)
        return unsent

    async def _send_alerts(self, messages: Sequence[Outgoing]) -> None:
        """Publish alerts, or keep them for the next connection. The journal holds them all already."""
        self._unsent_alerts += await self._send(self._alerts, messages, "alert")
        if len(self._unsent_alerts) > UNSENT_ALERTS:
            lost = len(self._unsent_alerts) - UNSENT_ALERTS
            del self._unsent_alerts[:lost]
            _log.error("alert messages dropped after a long time without broker; the journal holds them", count=lost)

    async def _born(self, link: Connection) -> None:
        """Replace the last will as soon as there is a connection."""
        await link.publish(f"{self._base}status", self._status(self._word()), qos=1, retain=True)

    async def _again(self, link: Connection) -> None:
        """What could not be sent, then open alerts again: the broker may have lost what it held."""
        waiting, self._unsent_alerts = self._unsent_alerts, []
        alerts = await asyncio.get_running_loop().run_in_executor(self._engine_thread, self._core.engine.open_alerts)
        messages = [*waiting, *self._core.outbox.again(alerts)]
        for message, error in zip(messages, await link.publish_many(messages), strict=True):
            if error is not None and not isinstance(error, PublishDenied):
                self._unsent_alerts.append(message)

    async def _close_left_open(self) -> None:
        """A cold start has no tracks: alerts that the journal holds open are closed by name, never silently."""
        if not self._left_open:
            return
        await self._alerts.wait_connected()
        when_us = now_us()
        reason = "picture reset: the service started anew; raised again if still true"
        closed = [replace(a, state="closed", t_us=when_us, close_reason=reason) for a in self._left_open]
        self._left_open = []
        turn = self._core.outbox.turn([AlertChanged(a) for a in closed])
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer_thread, self._journal.append, turn.journal)
        await self._send_alerts(turn.alerts)

    async def _watermark(self, tick_us: int) -> None:
        """Once a second, tell each sensor what it need not send again."""
        if tick_us - self._status_us < STATUS_EVERY_US:
            return
        messages = []
        for spec in self._config.sensors:
            mark = self._core.engine.contiguous(spec.id)
            if mark[1] >= 0 and self._watermarks.get(spec.id) != mark:
                self._watermarks[spec.id] = mark
                topic = f"{self._base}in/{spec.id}/watermark"
                messages.append(Outgoing(topic, watermark.encode(spec.id, *mark), qos=1, retain=True))
        await self._send(self._out, messages, "watermark")

    async def _farewell(self) -> None:
        """Say that we go, while the connection is still there."""
        with contextlib.suppress(PublishError, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._out.publish(f"{self._base}status", self._status("offline"), qos=1, retain=True)
        _log.info("stopped")

    # --- state, numbers ---

    def _inputs(self) -> list[tuple[str, int]]:
        kinds = ("plots", "status", "met", "sighting", "registration")
        topics = [(f"{self._base}in/+/{kind}", 1) for kind in kinds]
        return [*topics, (f"{self._base}{CLOCK_TOPIC}", 1)]

    def _word(self) -> str:
        if self._ready != "ready":
            return "starting"
        return "replay" if self._options.clock == "feed" else "live"

    def _status(self, word: str) -> bytes:
        engine = self._core.engine
        return status.encode(
            status.StatusInfo(
                site=self._config.site,
                t_us=now_us(),
                state=word,
                epoch=self._epoch,
                simulated=self._config.simulated,
                version=package_version(),
                config_hash=self._config.hash,
                started_us=self._started_us,
                tracks=self._track_counts,
                open_alerts=self._open_count,
                sensors=self._sensor_states,
                received=engine.counters.received,
                used=engine.counters.used,
            )
        )

    def _status_message(self) -> Outgoing:
        return Outgoing(f"{self._base}status", self._status(self._word()), qos=1, retain=True)

    def _is_ready(self) -> tuple[bool, str]:
        if self._ready != "ready":
            return False, "starting"
        down = [f"{link.name}: {link.problem}" for link in self._links if not link.connected]
        return not down, "; ".join(down) or "ready"

    def _link_changed(self, name: str, up: bool, why: str) -> None:
        self._metrics.broker(name, up)
        _log.info("broker connected" if up else "broker lost", connection=name, why=why)

    def _refused(self, frame: Frame, reason: str, detail: str) -> None:
        written = self._quarantine.add(frame.rx_us, reason, frame.source, frame.payload)
        self._metrics.quarantine(written)
        if written:
            _log.warning("input refused", reason=reason, detail=detail, topic=frame.source)

    def _measure(self, events: Sequence[Event], decode_s: float, fuse_s: float, encode_s: float, send_s: float) -> None:
        engine, metrics = self._core.engine, self._metrics
        for name, seconds in (("decode", decode_s), ("fuse", fuse_s), ("encode", encode_s), ("publish", send_s)):
            metrics.stage(name, seconds)
        metrics.accounting(engine.counters)
        states = Counter(event.health.state for event in events if isinstance(event, HealthChanged))
        self._sensor_states = dict(states) or self._sensor_states
        for event in events:
            if isinstance(event, HealthChanged):
                metrics.health(event.health)
            elif isinstance(event, AlertChanged):
                changed = event.alert
                metrics.alert_transition(changed.rule, changed.severity, changed.state)
        shown = newest_picture(events)
        if shown is None:
            return
        self._track_counts = engine.tracker.counts
        metrics.tracks(self._track_counts)
        open_: dict[tuple[str, int], int] = {}
        for item in engine.open_alerts():
            open_[item.rule, item.severity] = open_.get((item.rule, item.severity), 0) + 1
        metrics.open_alerts(open_)
        self._open_count = sum(open_.values())
        if engine.health.newest_us() >= 0:
            metrics.data_age((shown.t_us - engine.health.newest_us()) / US_PER_S)


def _open_in(journal: AlertJournal) -> list[alert.Alert]:
    """The alerts whose newest entry in the journal is not `closed`, in order of first entry."""
    newest_by_id: dict[str, alert.Alert] = {}
    for payload in journal.entries():
        entry = alert.decode(payload)
        newest_by_id[entry.id] = entry
    return [entry for entry in newest_by_id.values() if entry.state != "closed"]


def _drain(link: Connection) -> list[Incoming]:
    return [link.inbox.get_nowait() for _ in range(link.inbox.qsize())]


def _failed(task: asyncio.Task[None]) -> NoReturn:
    """A part of the service that ends by itself has failed: crash loudly, the last will tells the others."""
    error = task.exception()
    raise RuntimeError(f"{task.get_name()} ended") from error


async def _end(tasks: Sequence[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
