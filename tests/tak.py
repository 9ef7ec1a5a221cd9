"""A real TAK server (taky) and a real TAK client (pytak) for a test, each a process in an environment apart."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.conftest import ROOT
from tests.mosquitto import free_port

PYTHON = ROOT / ".venv" / "judges" / "tak" / "bin" / "python"
START_TIMEOUT_S = 60.0


def python() -> str:
    """The interpreter of the judges; an error with the line that installs them, never a skip."""
    if not PYTHON.exists():
        raise RuntimeError(f"taky and pytak are not installed at {PYTHON}. Cure: make test")
    return str(PYTHON)


class Taky:
    """A server on a port of its own; a context manager that waits until it takes connections."""

    def __init__(self, folder: Path, port: int = 0, keys: Path | None = None) -> None:
        """With `keys`, a folder of `vedette pki`, it speaks TLS and asks for a certificate of that authority."""
        self.port = port or free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._conf = folder / "taky.conf"
        text = f"[taky]\nbind_ip=127.0.0.1\nroot_dir={folder}\n[cot_server]\nport={self.port}\n"
        if keys is not None:
            text += f"[ssl]\nenabled=true\nca={keys}/ca.pem\ncert={keys}/broker.pem\nkey={keys}/broker.key\n"
            text += f"cert_db={folder}/cert-db.txt\n"
        self._conf.write_text(text, encoding="utf-8")
        self._log = folder / "taky.log"

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            line = [python(), "-m", "taky.cot", "-c", str(self._conf)]
            self._process = subprocess.Popen(line, cwd=self._conf.parent, stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1.0):
                    return self
            except OSError:
                time.sleep(0.05)
        self.kill()
        raise RuntimeError(f"taky did not start: {self._log.read_text(encoding='utf-8')}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


class Reader:
    """pytak at a server; a context manager that waits until it listens."""

    def __init__(self, url: str, count: int, patience_s: float = 30.0, pytak: Mapping[str, str] | None = None) -> None:
        """`pytak`: settings of it, PYTAK_TLS_CLIENT_CERT and so on."""
        script = ROOT / "tests" / "judges" / "tak.py"
        line = [python(), str(script), url, str(count), str(patience_s)]
        self._process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(pytak or {})}
        )
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        if first != "listening\n":
            raise RuntimeError(f"pytak did not start: {self._process.communicate()[1]}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def stop(self) -> None:
        """Read no more."""
        self._process.kill()

    def next(self) -> dict[str, Any]:
        """The next event; fails where none comes in time."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"no more events after {len(self.seen)}"
        self.seen.append(json.loads(line))
        return self.seen[-1]

    def all(self, count: int) -> None:
        """So many events; fails where they do not come in time."""
        for _ in range(count):
            self.next()

    def until(self, uid: str, kind: str) -> dict[str, Any]:
        """The next event with this uid and type."""
        while True:
            event = self.next()
            if (event["uid"], event["type"]) == (uid, kind):
                return event
