"""The entry point: `vedette track` starts without the command line, everything else goes through it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

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


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    ticks = b"".join(b'{"tick":%d}\n' % t for t in range(20_000))
    (tmp_path / "plots").write_bytes(json.dumps(HEADER).encode() + b"\n" + ticks)
    with (
        (tmp_path / "plots").open("rb") as plots,
        subprocess.Popen(
            [sys.executable, "-c", RUN, "track"], cwd=ROOT, stdin=plots, stdout=PIPE, stderr=PIPE
        ) as process,
    ):
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read().decode() == "0 []\n"


def test_a_full_disk_is_said_in_a_line() -> None:
    given = json.dumps(HEADER).encode() + b'\n{"tick":1}\n'
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", RUN, "track"],
            cwd=ROOT,
            input=given,
            stdout=full,
            stderr=PIPE,
            timeout=300,
            check=False,
        )
    assert done.stderr.decode() == "vedette track: No space left on device\n1 []\n"


def test_ctrl_c_ends_it_without_a_traceback() -> None:
    # What a shell has put into the background ignores it, and so would what the tests start there.
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", heed + RUN, "track"]
    with subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(HEADER).encode() + b'\n{"tick":1}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert err.decode() == "130 []\n"


def test_a_bad_header_is_status_two() -> None:
    out, err = vedette("track", given=b"{}\n")
    assert out == ""
    assert err.startswith("line 1: bad header: malformed")
    assert err.endswith("\n2 []\n")


def test_everything_else_is_the_command_line() -> None:
    out, err = vedette("track", "--help")
    assert "Fuse plain JSON lines" in out
    assert err.startswith("0 ['typer'")
