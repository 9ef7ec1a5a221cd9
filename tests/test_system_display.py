"""`vedette out asterix` beside a real Mosquitto: a display is told what the topics hold, and when it is no more."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import samples
from adapters.broker import now_us
from adapters.formats import alert, cat004, cat062, cat065, status
from adapters.samples import NAMES
from tests.mosquitto import Mosquitto
from tests.test_outlets_held import track_payload
from tests.test_outlets_listener import scene

pytestmark = pytest.mark.alone
PATIENCE_S = 90.0


def test_a_display_is_told_what_is_there_and_what_is_no_more(tmp_path: Path) -> None:
    display = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    display.bind(("127.0.0.1", 0))
    display.setblocking(False)
    file = tmp_path / "told.ast"

    async def play(broker: Mosquitto) -> bytes:
        loop, told = asyncio.get_running_loop(), bytearray()

        async def until(is_there: Callable[[], bool]) -> None:
            while not is_there():
                told.extend(await loop.sock_recv(display, 65_536))

        async with scene(broker, "display") as (_listener, say):
            await say("status", status.encode(status.StatusInfo("display", now_us(), "live", 5)))
            await say("track/5:17", track_payload(17, now_us()))
            await say(f"alert/{samples.alarm().id}", alert.encode(samples.alarm(), NAMES, 1))
            words = ["out", "asterix", "--source", "25/100", "--udp", f"127.0.0.1:{display.getsockname()[1]}"]
            words += [
                "--file",
                str(file),
                "--every",
                "0.2",
                "--broker",
                f"127.0.0.1:{broker.port}",
                "--site",
                "display",
            ]
            run = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "adapters.cli", *words, "--site", "display", stderr=asyncio.subprocess.DEVNULL
            )
            async with asyncio.timeout(PATIENCE_S):
                await until(lambda: 17 in cat062.decode(bytes(told))[0].number.tolist())
                await until(lambda: 99 in [m.kind for m in cat004.decode(bytes(told))[0]])
                await until(lambda: cat065.OPERATIONAL in [s.state for s in cat065.decode(bytes(told))[0]])
                await say("track/5:17", b"")
                await say(f"alert/{samples.alarm().id}", b"")
                await until(lambda: 1 in cat062.decode(bytes(told))[0].ended.tolist())
                await until(lambda: 17 in [m.kind for m in cat004.decode(bytes(told))[0]])
                run.terminate()
                assert await run.wait() == 0
        return bytes(told)

    with Mosquitto(tmp_path / "broker") as broker, display:
        told = asyncio.run(play(broker))
    written = file.read_bytes()
    assert written.startswith(told)
    assert {*cat062.decode(written)[0].number.tolist()} == {17}


@pytest.mark.parametrize(
    "words",
    [["--source", "25/100"], ["--source", "300/1", "--udp", "127.0.0.1:8600"], ["--source", "25/1", "--udp", "nowhere"],
     ["--source", "25/1", "--udp", "127.0.0.1:8600", "--centre", "north"]],
)  # fmt: skip
def test_wrong_words_are_refused_with_a_cure(words: list[str]) -> None:
    from typer.testing import CliRunner

    from adapters.outlets.command import out

    done = CliRunner().invoke(out, ["asterix", *words])
    assert done.exit_code == 2
    assert "--" in done.output
