"""The entry point: `vedette track` starts without the command line, everything else goes through it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.test_stream import HEADER

ROOT = Path(__file__).resolve().parent.parent
RUN = """
import sys
from adapters.main import main
status = None
try:
    main()
except SystemExit as end:
    status = end.code
heavy = [name for name in ("typer", "rich", "structlog", "pydantic", "shapely", "asyncio") if name in sys.modules]
print(status, heavy, file=sys.stderr)
"""


def vedette(*arguments: str, given: bytes = b"") -> tuple[str, str]:
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, timeout=300, check=True)
    return done.stdout.decode(), done.stderr.decode()


def test_track_needs_no_command_line() -> None:
    out, err = vedette("track", given=json.dumps(HEADER).encode() + b'\n{"tick":1}\n')
    assert (json.loads(out), err) == ({"tick": 1.0, "n": 0}, "0 []\n")


def test_a_bad_header_is_status_two() -> None:
    out, err = vedette("track", given=b"{}\n")
    assert out == ""
    assert err.startswith("line 1: bad header: malformed")
    assert err.endswith("\n2 []\n")


def test_everything_else_is_the_command_line() -> None:
    out, err = vedette("track", "--help")
    assert "Fuse plain JSON lines" in out
    assert err.startswith("0 ['typer'")
