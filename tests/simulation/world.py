"""The shell of the service between a simulated broker, disk and clock, and the account at the end.

    .venv/bin/python -m tests.simulation 4711

runs one seed again, with its schedule, what the service logged, and the least schedule that still fails.
"""

from __future__ import annotations

import asyncio
import gc
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import structlog

from adapters import http, mqtt, store
from adapters.broker import Outgoing
from adapters.config import Config, load_zones
from adapters.feed import NoBroker, Sender, connected
from adapters.formats import alert, command, watermark
from adapters.incidents.database import IncidentDb
from adapters.resend import ResendParams, Unfused
from adapters.running import live
from adapters.service import names_of
from adapters.store import AlertJournal, DataDir
from fusion.schema import US_PER_S, Alert, Command, Frame
from fusion.zones import Zones
from tests.chaos import accountant, sky
from tests.chaos.accountant import Books
from tests.running import BASE, SITE
from tests.simulation import checks
from tests.simulation.broker import Net
from tests.simulation.disk import Disk
from tests.simulation.loop import LIFE, START_US, Killed, Life, Thread, VirtualLoop
from tests.simulation.strikes import DEATHS, Strike, schedule

FIRST_S, LAST_S = 0.3, 3.5  # the sensors speak from then on, and at least until then
MOST_S = 45.0  # then everything must long be over
SPOKEN_S = 0.25  # from one message to the next
LATENCY_S = 0.1
FAR_BACK_US = 2_600_000  # more than the service's clock can absorb
FLIGHTS = (
    sky.Flight(0, low=True, from_us=START_US + 500_000),
    sky.Flight(1, low=False, from_us=START_US + 500_000),
    sky.Flight(2, low=True, from_us=START_US + 500_000),  # two alerts in one tick
    sky.Flight(3, low=True, from_us=START_US + 1_500_000),
)
FASTER = "\n[publish]\npicture_ms = 500\n\n[record]\nfile_bytes = 1_000_000\nfile_s = 10\n"


@dataclass(slots=True)
class Outcome:
    """What became of one simulation."""

    seed: int
    strikes: list[Strike]
    faults: list[str]
    log: list[str]  # with the time: what happened, and what the service said of it
    deaths: int = 0
    ends: int = 0  # of lives that ended by themselves, loudly
    cold: int = 0  # starts that did not go on
    passed_s: float = 0.0
    points: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Place:
    """What all simulations of a process share: reading borders takes seconds."""

    text: tuple[tuple[str, str], ...]  # name and content of each file of configuration
    zones: Zones
    expected: tuple[Alert, ...]


@cache
def place() -> Place:
    """Made once."""
    with tempfile.TemporaryDirectory() as folder:
        config = sky.write(Path(folder) / "config", 1883, 9464)
        path = config / "service.toml"
        path.write_text(path.read_text(encoding="utf-8") + FASTER, encoding="utf-8")
        loaded = sky.loaded(config)
        text = tuple((path.name, path.read_text(encoding="utf-8")) for path in sorted(config.iterdir()))
        sent = [spoken(turn)[0] for turn in range(60)]
        return Place(text, load_zones(loaded), tuple(sky.undisturbed(loaded, sent)))


def spoken(turn: int) -> tuple[Frame, int]:
    """(what is said in this turn, how many items that is)."""
    sensor = sky.SENSORS[turn % len(sky.SENSORS)]
    t_us = START_US + round((FIRST_S + turn * SPOKEN_S) * US_PER_S)
    payload, count = sky.message(FLIGHTS, sensor, t_us, turn // len(sky.SENSORS))
    return Frame(0, t_us + round(LATENCY_S * US_PER_S), f"in/{sensor}/plots", payload), max(1, count)


def simulate(seed: int, strikes: Sequence[Strike] | None = None) -> Outcome:
    """Run the seed's schedule, or another one with the luck of that seed."""
    chosen = schedule(seed) if strikes is None else [*strikes]
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for name, text in place().text:
            (Path(folder) / name).write_text(text, encoding="utf-8")
        world = World(seed, chosen, Path(folder))
        with world.installed():
            world.run()
        outcome = world.outcome
    del world
    gc.collect()  # the tables of every life hang in circles of few objects: left alone, a hundred seeds hold 4 GB
    return outcome


def least(seed: int, strikes: Sequence[Strike]) -> list[Strike]:
    """The strikes without those that the failure does not need."""
    left = [*strikes]
    for strike in strikes:
        fewer = [other for other in left if other is not strike]
        if fewer and simulate(seed, fewer).faults:
            left = fewer
    return left


class World:
    """One simulation."""

    def __init__(self, seed: int, strikes: list[Strike], folder: Path) -> None:
        self.outcome = Outcome(seed, strikes, [], [])
        self.loop = VirtualLoop()
        self.context: Context = copy_context()
        self.config: Config = sky.loaded(folder)
        self.zones = place().zones
        self.luck = random.Random(f"world {seed}")
        self.disk = Disk(self.config.data_dir, self.luck)
        self.net = Net(self.loop, self.luck, self._hear)
        self.clock_us = 0  # the machine's clock is set this much ahead
        self.boot = folder / "boot_id"
        self.boot.write_text("0", encoding="ascii")
        self.life: Life | None = None
        self.service: live._Live | None = None
        self.lives = 0
        self.struck: list[Strike] = []  # deaths at a point that have been
        self.busy = 0  # strikes that last
        self.due_s = 0.0  # when the next life begins
        self.log_heard: list[bytes] = []
        self.heard: dict[str, list[bytes]] = {}
        self.incidents_heard: dict[str, list[bytes]] = {}
        self.flights_heard: dict[int, str] = {}
        self.turn = self.items = 0
        self.buried: list[asyncio.Task[Any]] = []
        self.quiet = False
        self.over = False  # nobody dies any more
        self.unfused = Unfused(ResendParams(patience_s=1.5, most_pause_s=4.0))

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Clock, luck, broker, threads and disk are those of the simulation within."""
        before: list[tuple[Any, str, Any]] = []

        def put(owner: Any, name: str, ours: Any) -> None:
            before.append((owner, name, getattr(owner, name)))
            setattr(owner, name, ours)

        @asynccontextmanager
        async def serve(*_: object) -> AsyncIterator[int]:
            yield 0

        loop, state, said = self.loop, random.getstate(), structlog.get_config()
        random.seed(self.outcome.seed)
        put(time, "time_ns", lambda: 1000 * self.wall_us())
        put(time, "time", lambda: self.wall_us() / US_PER_S)
        put(time, "monotonic", lambda: 1000.0 + loop.now_s)
        put(time, "perf_counter", lambda: 1000.0 + loop.now_s)
        put(time, "monotonic_ns", lambda: round((1000.0 + loop.now_s) * 1e9))
        put(mqtt, "Link", self.net.make)
        put(live, "ThreadPoolExecutor", lambda _count, name: Thread(loop, lambda: self._pace(name)))
        put(http, "serve", serve)
        put(store, "BOOT_ID", self.boot)
        structlog.configure(processors=[self._note], cache_logger_on_first_use=False)
        try:
            with self.disk.installed():
                yield
        finally:
            structlog.configure(**said)
            random.setstate(state)
            for owner, name, value in reversed(before):
                setattr(owner, name, value)
            loop.close()

    def wall_us(self) -> int:
        """The machine's clock."""
        return START_US + round(self.loop.now_s * US_PER_S) + self.clock_us

    def _pace(self, name: str) -> float:
        slow_s = self.disk.sync_s if name == "sync" else 0.0  # the disk has it late, and says so later still
        return slow_s + self.luck.uniform(0.001, {"engine": 0.02, "writer": 0.003}.get(name, 0.03))

    def tell(self, words: str) -> None:
        """Put down what happened."""
        self.outcome.log.append(f"{self.loop.now_s:8.3f} {words}")

    def _note(self, _logger: object, level: str, event: Any) -> Any:
        life = LIFE.get()
        if life is not None and life.alive:
            words = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("event", "sentence"))
            self.tell(f"  life {life.number} {level}: {event['event']} {words}")
        raise structlog.DropEvent

    # --- one run ---

    def run(self) -> None:
        """From the beginning to the account."""
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(self._wrong)
        try:
            self.loop.run_until_complete(self._course())
        except AssertionError as stuck:
            self.outcome.faults.append(f"stuck: {stuck}")
        finally:
            self.outcome.passed_s = self.loop.now_s
            if self.life is not None and self.life.alive:
                self._put_down(self.life, "over")
                self._bury(self.life)
            rest = [task for task in asyncio.all_tasks(self.loop) if task not in self.buried]
            for task in rest:
                task.cancel()
            self.loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
            asyncio.set_event_loop(None)

    def _wrong(self, _loop: object, context: dict[str, Any]) -> None:
        error = context.get("exception")
        of_dead = (context.get("task") or context.get("future")) in self.buried
        if not of_dead and not isinstance(error, Killed | None):
            self.outcome.faults.append(f"nobody caught: {context['message']} {error!r}")

    async def _course(self) -> None:
        for strike in self.outcome.strikes:
            if not strike.point:
                self.loop.call_at(strike.at_s, self._strike, strike)
        for n in range(1, 8):
            self.loop.call_at(n * 0.9, self.net.save)
        work = [asyncio.create_task(self._revive()), asyncio.create_task(self._sensors())]
        assert work, "a task that nobody holds may vanish"
        await self._until(lambda: self.loop.now_s > LAST_S and not self.busy, "the strikes are over")
        await self._until(lambda: len(self.flights_heard) == 3, "an alert of each low flight is heard")
        self.quiet = True
        await self._until(lambda: not len(self.unfused) and self.marks() == self.last(), "all is fused")
        await self._closed(self.flights_heard[0])
        await self._until(self._settled, "ready, with nothing to wait for")
        self.over = True
        await self._until(lambda: checks.status(self) == "live", "the status says live")
        await asyncio.sleep(0.2)
        self.outcome.faults += self._account()

    async def _until(self, what: Any, words: str) -> None:
        while not what():
            assert self.loop.now_s < MOST_S, f"not within {MOST_S:g} s: {words}"
            for task in asyncio.all_tasks(self.loop):
                if task.done() and not task.cancelled() and task.exception():
                    raise AssertionError(repr(task.exception()))
            await asyncio.sleep(0.1)

    def _settled(self) -> bool:
        service = self.service
        return service is not None and service._is_ready()[0] and not service._answers

    async def _closed(self, name: str) -> None:
        """A person closes the alert, and asks once: orders have no number, so nobody sends one again that was lost."""
        order = command.encode(Command(0, "close", name, "watch", "seen enough"))
        await self._until(self._settled, "the service hears orders")
        self.tell("a person closes an alert")
        self.net.take(Outgoing(f"{BASE}cmd/close", order, 1))
        await self._until(lambda: b"" in self.heard[name], "the order is done")

    # --- the service ---

    async def _revive(self) -> None:
        while True:
            if self.life is None or not self.life.alive:
                await asyncio.sleep(max(0.0, self.due_s - self.loop.now_s))
                self._begin()
            await asyncio.sleep(0.01)

    def _begin(self) -> None:
        self.lives += 1
        life = self.life = Life(self.lives, self._dies)
        context = copy_context()
        context.run(LIFE.set, life)
        self.tell(f"life {life.number} begins")
        self.loop.call_soon(self._live, life, context=context)

    def _live(self, life: Life) -> None:
        """As `adapters.running.live.run_live`, in a loop that is not its own."""
        task = self.loop.create_task(self._service(life))
        task.add_done_callback(lambda done: self._ended(life, done), context=self.context)

    async def _service(self, life: Life) -> None:
        folder = DataDir(self.config.data_dir)
        names = names_of(self.config, self.zones)
        with (
            folder,
            AlertJournal(folder.journal_path) as journal,
            IncidentDb(folder.incidents_path, names) as database,
        ):
            service = live._Live(self.config, live.RunOptions(), self.zones, folder, journal, database)
            self.service = service
            self.outcome.cold += bool(service._start.reason) and life.number > 1
            if "the checkpoint is refused" in service._start.reason:  # there is the old one or the new one, whole
                self.outcome.faults.append(f"damaged: {service._start.reason}")
            await service.main()

    def _ended(self, life: Life, done: asyncio.Task[None]) -> None:
        if life.alive and not done.cancelled():
            self.outcome.ends += 1
            self.tell(f"life {life.number} ended by itself: {done.exception()!r}")
            self._put_down(life, "ended")
            self.due_s = self.loop.now_s + 0.5

    def _dies(self, life: Life, kind: str, count: int) -> bool:
        self.outcome.points[kind] += 1
        for strike in () if self.over else self.outcome.strikes:
            if (strike.life, strike.point, strike.nth) == (life.number, kind, count) and strike not in self.struck:
                self.struck.append(strike)
                self._kill(life, strike)
                return True
        return False

    def _kill(self, life: Life, strike: Strike) -> None:
        self.outcome.deaths += 1
        self.tell(str(strike))
        self.due_s = self.loop.now_s + strike.lasts_s
        self._put_down(life, strike.kind)

    def _put_down(self, life: Life, why: str) -> None:
        life.alive = False
        self.disk.let_go(life)
        for link in [*self.net.links]:
            if link.life is life:
                link.vanish(quiet=why == "power cut")
        self.buried += life.tasks
        self.loop.call_soon(self._bury, life, context=self.context)
        if why == "power cut":
            for words in self.disk.power_cut():
                self.tell(f"  {words}")
            self.boot.write_text(str(self.lives), encoding="ascii")

    def _bury(self, life: Life) -> None:
        """Whatever its tasks would still do comes to nothing."""
        for task in life.tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                context = copy_context()
                context.run(LIFE.set, life)
                with suppress(BaseException):
                    context.run(task.get_coro().close)

    # --- strikes ---

    def _strike(self, strike: Strike) -> None:
        if strike.kind in DEATHS:
            if self.life is not None and self.life.alive:
                self._kill(self.life, strike)
            return
        self.tell(str(strike))
        self.busy += 1
        end = self._begun(strike)

        def over() -> None:
            self.busy -= 1
            self.tell(f"over: {strike.kind}")
            if end is not None:
                end()

        self.loop.call_later(strike.lasts_s, over)

    def _begun(self, strike: Strike) -> Any:
        """Let it begin; what ends it."""
        net, disk, kind = self.net, self.disk, strike.kind
        if kind == "line cut":
            for link in net.named(strike.line):
                link.cut("the line broke")
        elif kind == "black hole":
            held = net.hold(strike.line)

            def well() -> None:
                for link in held:
                    link.release()

            return well
        elif kind == "refused":
            net.refuses = True
            return lambda: setattr(net, "refuses", False)
        elif kind == "slow line":
            net.lag_s = 0.2
            return lambda: setattr(net, "lag_s", 0.002)
        elif kind.startswith("broker"):
            net.kill()
            return lambda: net.start(empty=kind.endswith("emptied"))
        elif kind == "full disk":
            disk.full = True
            return lambda: setattr(disk, "full", False)
        elif kind == "slow disk":
            disk.sync_s = 0.4
            return lambda: setattr(disk, "sync_s", 0.0)
        elif kind == "sync refused":
            disk.broken_syncs = 1
        elif kind == "clock far back":
            self.clock_us -= FAR_BACK_US
            return lambda: setattr(self, "clock_us", self.clock_us + FAR_BACK_US)
        else:
            self.clock_us += {"clock forward": 700_000, "clock back": -700_000}[kind]
        return None

    # --- the sensors, and what anybody hears ---

    async def _sensors(self) -> None:
        marks = [(f"{BASE}in/{name}/watermark", 1) for name in sky.SENSORS]
        async with connected(self.config.broker, "sensors", marks) as link:
            sender = Sender(link, SITE, recorded=False, unfused=self.unfused)
            async with sender.watched():
                while not self.quiet:
                    await asyncio.sleep(max(0.0, FIRST_S + self.turn * SPOKEN_S + LATENCY_S - self.loop.now_s))
                    frame, count = spoken(self.turn)
                    self.items += count
                    self.turn += 1
                    while True:
                        with suppress(NoBroker):
                            await sender.send([frame])
                            break
                await asyncio.Event().wait()

    def last(self) -> dict[str, int]:
        """Number of the newest message of each."""
        count = len(sky.SENSORS)
        return {name: (self.turn - 1 - n) // count for n, name in enumerate(sky.SENSORS)}

    def marks(self) -> dict[str, int]:
        """The highest number of each in the watermarks at the broker."""
        kept = (self.net.retained.get(f"{BASE}in/{name}/watermark") for name in sky.SENSORS)
        told = [watermark.decode(message.payload) for message in kept if message is not None]
        return {sensor: max(runs).last for sensor, runs in told}

    def _hear(self, message: Outgoing) -> None:
        topic = message.topic.removeprefix(BASE)
        if topic == "alert-log":
            self.log_heard.append(message.payload)
        elif topic.startswith("alert/"):
            name = topic.removeprefix("alert/")
            # What a cold start found in the journal is told first as it stood, perhaps by a clock that was wrong.
            if message.payload and name not in self.flights_heard.values():
                flight = accountant.flight_of(alert.decode(message.payload), FLIGHTS)
                if flight is not None:
                    self.flights_heard[flight.number] = name
                self.tell(f"heard: alert {name} of {flight.number if flight else None}")
            self.heard.setdefault(name, []).append(message.payload)
        elif topic.startswith("incident/"):
            self.incidents_heard.setdefault(topic.removeprefix("incident/"), []).append(message.payload)

    def _account(self) -> list[str]:
        assert self.service is not None
        counters = self.service._core.engine.counters
        told = {
            "used": counters.used, "late": counters.late, "future": counters.rejected.get("future", 0),
            "unaccounted": counters.balance(),
        }  # fmt: skip
        told["used"] -= max(0, min(self.net.delivered.get(f"{BASE}cmd/close", 0), sum(told.values()) - self.items))
        journal = list(AlertJournal(self.config.data_dir / "alerts.jsonl").entries())
        cold = int((self.config.data_dir / "epoch").read_text(encoding="ascii")) > 1
        kept = {t.removeprefix(f"{BASE}alert/"): m.payload for t, m in self.net.retained.items() if "/alert/" in t}
        until_us = START_US + round((FIRST_S + self.turn * SPOKEN_S) * US_PER_S)
        books = Books(
            [replace(flight, until_us=until_us) for flight in FLIGHTS], place().expected, journal, self.log_heard,
            self.heard, kept, told, self.items, 0, self.last(), self.marks(), cold,
        )  # fmt: skip
        return [*accountant.faults(books), *checks.more(self, journal, kept)]
