"""A real Mosquitto for a test: its own folder, its own free port on 127.0.0.1, ended by its pid, never by its name."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

INSTALL = "sudo apt-get install -y mosquitto mosquitto-clients"
SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"  # Debian puts the broker in sbin
START_TIMEOUT_S = 20.0  # a machine shared by many starts slowly


def find(program: str) -> str:
    """The path of a program that the tests need; an error with the line that installs it, never a skip."""
    path = shutil.which(program, path=SYSTEM_PATH)
    if path is None:
        raise RuntimeError(f"{program} is not installed, and these tests need it. Install it with: {INSTALL}")
    return path


_NEXT = itertools.count(os.getpid())  # two runs of the tests at once begin at different ports


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody holds, from a range of this process of the tests.

    Below those that the system hands out, so that nothing takes it before whoever asked has bound it.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw9").removeprefix("gw")) % 10
    for at in itertools.islice(_NEXT, 1_000):
        port = 20_000 + 1_000 * worker + at % 1_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port in the thousand of worker {worker}")


class Mosquitto:
    """One broker. Sessions and retained messages survive `stop` and `start` (and `kill`, as far as they were saved).

    Args:
        folder: where configuration, log and persistence go (a test's tmp_path).
        extra_conf: lines appended to the configuration; `allow_anonymous` and `listener` there replace the defaults.
        port: a fixed port; 0 takes a free one.

    Use as a context manager, or call `start` and `stop`.
    """

    def __init__(self, folder: Path, extra_conf: str = "", port: int = 0) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.extra_conf = extra_conf
        self.host = "127.0.0.1"
        self._process: subprocess.Popen[bytes] | None = None

    def _configuration(self) -> str:
        words = {line.split()[0] for line in self.extra_conf.splitlines() if line.split()}
        lines = ["per_listener_settings false", "persistence true", f"persistence_location {self.folder}/"]
        lines += ["max_queued_messages 100000", "max_inflight_messages 1000", "set_tcp_nodelay true"]
        lines += ["log_type error", "log_type warning", "log_type notice", f"log_dest file {self.log_path}"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it drops its rights and cannot write into the test's folder
        if "allow_anonymous" not in words:
            lines.append("allow_anonymous true")
        if "listener" not in words:
            lines.append(f"listener {self.port} 127.0.0.1")
        return "\n".join([*lines, self.extra_conf, ""])

    @property
    def log_path(self) -> Path:
        """Where the broker logs."""
        return self.folder / "mosquitto.log"

    @property
    def pid(self) -> int:
        """Process id of the running broker."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> Mosquitto:
        """Start and wait until it takes connections; on the same port at every start."""
        assert self._process is None, "already started"
        program = find("mosquitto")
        self.folder.mkdir(parents=True, exist_ok=True)
        conf = self.folder / "mosquitto.conf"
        conf.write_text(self._configuration(), encoding="utf-8")
        # DEVNULL, not a pipe: nobody would read it, and a full pipe stops the broker.
        self._process = subprocess.Popen(
            [program, "-c", str(conf)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                with socket.create_connection((self.host, self.port), timeout=1.0):
                    return self
            except OSError:
                time.sleep(0.02)
        log = self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else "(no log)"
        self.kill()
        raise RuntimeError(f"Mosquitto did not start on port {self.port}:\n{conf.read_text()}\n{log}")

    def stop(self) -> None:
        """End it the orderly way: it saves its sessions. Nothing happens when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it with SIGKILL: what it had not saved is lost."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it in the middle (SIGSTOP): connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def save(self) -> None:
        """Make it write sessions and retained messages to disk now (SIGUSR1), and wait until it did."""
        assert self._process is not None
        database = self.folder / "mosquitto.db"
        before = database.stat().st_mtime_ns if database.exists() else 0
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if database.exists() and database.stat().st_mtime_ns > before:
                return
            time.sleep(0.01)
        raise RuntimeError("Mosquitto did not save its state")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(timeout=START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process = None

    def __enter__(self) -> Mosquitto:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def passwords(folder: Path, users: dict[str, str]) -> Path:
    """A password file for the broker (option `password_file`)."""
    path = folder / "passwords"
    path.touch(mode=0o600)
    for user, password in users.items():
        subprocess.run(
            [find("mosquitto_passwd"), "-b", str(path), user, password], check=True, capture_output=True, timeout=30
        )
    return path
