"""`vedette demo`: everything on one machine, nothing installed, nothing left behind.

An embedded MQTT 5 broker on 127.0.0.1, a simulated scene that starts now, `vedette run` and the page of `vedette ui` as
they are in operation; this process plays the sensors and shows what the service publishes. Whichever way it ends, its
children end with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from iotcore import Broker

from adapters import config as configuration
from adapters import feed
from adapters.broker import BrokerSettings, now_us
from adapters.commands import simulate
from adapters.commands.demo_view import View
from adapters.errors import ConfigError
from adapters.mqtt import Connection
from fusion.schema import US_PER_S
from replay.simulate import Scenario

SCENARIO = "lithuania-2025-07-28"
SITE = "demo"
CONFIG = Path(__file__).resolve().parent.parent.parent / "config"
BROKER_PORT, HTTP_PORT, UI_PORT = (
    18830,
    18964,
    18980,
)  # taken when they are free, so that a second look finds the same addresses
READY_PATIENCE_S = 240.0  # the first start compiles everything on what may be a slow, busy machine
END_PATIENCE_S = 10.0
SUBJECTS = ("status", "picture/+", "picture-delta", "alert/+")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# The children must not outlive this process even when that is killed: Linux sends them SIGTERM then (prctl(2), 1 is
# PR_SET_PDEATHSIG). Each has a session of its own, so that Ctrl-C reaches only this process, which ends them in order.
_CHILD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit(1)
from adapters.cli import main
main()
"""

_BROKER = """
id = 0
[router]
id = 0
max_connections = 100
max_outgoing_packet_count = 1000
max_segment_size = 16777216
max_segment_count = 10
[v5.1]
name = "v5-1"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
[v5.1.connections]
connection_timeout_ms = 60000
max_payload_size = 262144
max_inflight_count = 1000
dynamic_filters = true
"""


class ServiceEnded(Exception):
    """`vedette run` ended, or never became ready; carries the end of its log."""


def demo(
    seconds: float | None = None,
    scenario: str | Path = SCENARIO,
    config: Path = CONFIG,
    out: TextIO | None = None,
) -> int:
    """Run the demo until Ctrl-C, for `seconds` from the start of the scene, or to the end of the scene.

    Args:
        scenario: a shipped scenario by name, or a file.
        config: folder whose rules, borders and terrain are used; sensors and addresses are the scene's own.

    Returns:
        0 when every alert that the scenario expects came, 1 when not, or when the service failed. Ctrl-C without
        `seconds` is the usual end: 0.

    Raises:
        ConfigError: no such scenario, or no usable configuration folder.
    """
    scene = simulate.load(scenario)
    view = View(sys.stdout if out is None else out)
    with tempfile.TemporaryDirectory(prefix="vedette-demo-") as name:
        folder = Path(name)
        settings = BrokerSettings("127.0.0.1", _free_port(BROKER_PORT), client_id="vedette-demo")
        http_port, ui_port = _free_port(HTTP_PORT), _free_port(UI_PORT)
        _write_config(folder, config, scene, settings, http_port)
        with _deaf(_ENDING):  # the broker inherits this: Ctrl-C must not end it before the service has said farewell
            broker = _broker(folder, settings.port)
        with broker:
            return asyncio.run(_Demo(folder, scene, scenario, settings, (http_port, ui_port), view, seconds).main())


class _Demo:
    """One run of it, inside an event loop."""

    def __init__(
        self,
        folder: Path,
        scene: Scenario,
        scenario: str | Path,
        settings: BrokerSettings,
        ports: tuple[int, int],
        view: View,
        seconds: float | None,
    ) -> None:
        self._folder, self._scene, self._scenario = folder, scene, scenario
        self._settings, self._view, self._seconds = settings, view, seconds
        self._base = f"http://127.0.0.1:{ports[0]}"
        self._ui_port = ports[1]
        self._page = f"http://127.0.0.1:{ports[1]}/"
        self._ui: subprocess.Popen[bytes] | None = None
        self._stop = asyncio.Event()

    async def main(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._stop.set)
        tasks: list[asyncio.Task[None]] = []
        stopped = asyncio.create_task(self._stop.wait(), name="stop")
        addresses = (self._page, f"{self._base}/metrics")
        self._view.introduce(self._scene, self._settings.host, self._settings.port, SITE, *addresses)
        child = _start(self._folder, "run")
        try:
            tasks.append(asyncio.create_task(self._show(child), name="demo"))
            await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            if tasks[0].done():
                tasks[0].result()
        except (ServiceEnded, feed.NoBroker) as error:
            self._view.say(f"The demo failed: {error}")
            return 1
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            await asyncio.gather(stopped, *tasks, return_exceptions=True)
            self._view.close()
            await asyncio.to_thread(_end, self._ui, child)
        interrupted = self._stop.is_set()
        return self._view.verdict(interrupted and self._seconds is None)

    async def _show(self, child: subprocess.Popen[bytes]) -> None:
        """Wait for the service, then play the scene and show what comes, until the time is over."""
        topics = [(f"vedette/v1/{SITE}/{subject}", 1 if subject == "alert/+" else 0) for subject in SUBJECTS]
        async with feed.connected(self._settings, "view", topics) as connection:
            with self._view.waiting("starting the service: kernels, borders and terrain (longest the first time)"):
                await self._answer(child, "run", f"{self._base}/readyz")
            # After the service: it has compiled what both need.
            with self._view.waiting("starting the page"):
                self._ui = _start(self._folder, "ui", "--port", str(self._ui_port))
                await self._answer(self._ui, "ui", f"{self._page}healthz")
            self._view.open(self._page)
            scene = simulate.load_now(self._scenario)
            self._view.begin(scene)
            end_us = scene.end_us
            if self._seconds is not None:
                end_us = min(end_us, scene.start_us + round(self._seconds * US_PER_S))
            tasks = [
                asyncio.create_task(self._play(connection, scene, end_us), name="demo-player"),
                asyncio.create_task(self._read(connection), name="demo-reader"),
                asyncio.create_task(self._watch(child), name="demo-watcher"),
            ]
            try:
                ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, connection: Connection, scene: Scenario, end_us: int) -> None:
        sender = feed.Sender(connection, SITE, recorded=False)
        await feed.play(sender, simulate.live_schedule(scene, end_us), lambda frame, sent: None)
        await asyncio.sleep(max(0.0, (end_us - now_us()) / US_PER_S))

    async def _answer(self, child: subprocess.Popen[bytes], command: str, url: str) -> None:
        """Wait until a child answers there. Raises ServiceEnded."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READY_PATIENCE_S
        while not await asyncio.to_thread(_answers, url):
            if child.poll() is not None or loop.time() > deadline:
                raise ServiceEnded(self._last_words(command))
            await asyncio.sleep(0.2)

    async def _read(self, connection: Connection) -> None:
        while True:
            incoming = await connection.inbox.get()
            connection.ack(incoming)
            self._view.take(incoming.topic.split("/", 3)[3], incoming.payload)

    async def _watch(self, child: subprocess.Popen[bytes]) -> None:
        while True:
            for one, command in ((child, "run"), (self._ui, "ui")):
                if one is not None and one.poll() is not None:
                    raise ServiceEnded(self._last_words(command))
            self._view.refresh()
            await asyncio.sleep(0.25)

    def _last_words(self, command: str) -> str:
        lines = (self._folder / f"{command}.log").read_text("utf-8", "replace").splitlines()[-15:]
        return "\n".join([f"vedette {command} did not stay up. The end of its log:", *(f"  {line}" for line in lines)])


def _start(folder: Path, name: str, *more: str) -> subprocess.Popen[bytes]:
    """A command on the generated folder, free of the user's own VEDETTE_ settings; it logs beside it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VEDETTE_")}
    command = [sys.executable, "-P", "-c", _CHILD, str(os.getpid()), name, "--config", str(folder)]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [*command, "--log-style", "text", *more],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _end(*children: subprocess.Popen[bytes] | None) -> None:
    """End them in order, all at once; kill what does not end."""
    there = [child for child in children if child is not None]
    for child in there:
        if child.poll() is None:
            child.terminate()
    for child in there:
        try:
            child.wait(END_PATIENCE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise ConfigError("this machine", "ports", "no free TCP port on 127.0.0.1", "end what holds them")


def _broker(folder: Path, port: int) -> Broker:
    path = folder / "broker.toml"
    path.write_text(_BROKER.format(port=port), encoding="utf-8")
    return Broker(config_path=str(path)).start()


@contextlib.contextmanager
def _deaf(numbers: tuple[signal.Signals, ...]) -> Iterator[None]:
    """Ignore SIGINT, and put the others off, for a moment; children started inside keep ignoring SIGINT."""
    later: list[signal.Signals] = []

    def note(number: int, _frame: object) -> None:
        later.append(signal.Signals(number))

    before: list[tuple[signal.Signals, Callable[..., object] | int | None]] = []
    for number in numbers:
        before.append((number, signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else note)))
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        for number in later:
            signal.raise_signal(number)


def _write_config(folder: Path, config: Path, scene: Scenario, settings: BrokerSettings, http_port: int) -> None:
    """A configuration folder for the scene: its sensors, our addresses, and rules, borders and terrain of `config`."""
    if not (config / "rules.toml").is_file():
        raise ConfigError(
            str(config), "rules.toml", "is not there", "run the demo from a checkout, or name its config/"
        )
    shutil.copy(config / "rules.toml", folder)

    def quoted(path: Path) -> str:
        return json.dumps(str(path.resolve()))

    (folder / "sensors.toml").write_text(
        configuration.sensors_toml(scene.sensors, simulate.formats(scene)), encoding="utf-8"
    )
    (folder / "service.toml").write_text(
        f"""site = "{SITE}"
simulated = true
data_dir = "var"
[broker]
host = "{settings.host}"
port = {settings.port}
[http]
host = "127.0.0.1"
port = {http_port}
[zones]
borders = [{quoted(config / "zones" / "osm")}]
terrain = {quoted(config / "terrain" / "etopo5_5min_35-72N_0-50E.tif")}
geoid = {quoted(config / "terrain" / "egm2008_undulation_5min_cm_40-72N_4-45E.tif")}
protected = [{", ".join(quoted(path) for path in sorted((config / "zones").glob("protected.*")))}]
""",
        encoding="utf-8",
    )
