"""A SAPIENT peer of others for a test, a process in an environment apart."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.conftest import ROOT

PYTHON = ROOT / ".venv" / "judges" / "sapient" / "bin" / "python"
NODE = "11111111-2222-4333-8444-555555555555"  # as the script names itself
SCRIPT = ROOT / "tests" / "judges" / "sapient.py"


def _line(*words: str) -> list[str]:
    """How it is started; an error with the line that installs it, never a skip."""
    if not PYTHON.exists():
        raise RuntimeError(f"sapient-py is not installed at {PYTHON}. Cure: make test")
    return [str(PYTHON), str(SCRIPT), *words]


class Peer:
    """What nodes connect to: it answers registrations and reads all that they say."""

    def __init__(self, accepts: bool = True) -> None:
        self._mode = "listen" if accepts else "refuse"
        self.port = 0
        self.seen: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(_line(self._mode), stdin=pipe, stdout=pipe, text=True, bufsize=1)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def cut(self) -> None:
        """End the connection of this moment."""
        assert self._process.stdin is not None
        self._process.stdin.write("cut\n")
        self._process.stdin.flush()

    def next(self, kind: str) -> dict[str, Any]:
        """The next message of that kind, with the others before it kept in `seen`."""
        assert self._process.stdout is not None
        while True:
            line = self._process.stdout.readline()
            assert line, "it ended"
            self.seen.append(json.loads(line))
            if kind in self.seen[-1]:
                return self.seen[-1]


def frames(messages: Sequence[dict[str, Any]]) -> list[bytes]:
    """Messages in the JSON of protobuf, as it puts them on the wire."""
    text = "".join(json.dumps(message) + "\n" for message in messages)
    done = subprocess.run(_line("frames"), input=text, capture_output=True, text=True, timeout=60, check=True)
    return [bytes.fromhex(line) for line in done.stdout.split()]
