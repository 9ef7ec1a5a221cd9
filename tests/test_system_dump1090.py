"""What we write as Beast, a receiver's own program reads; what it then says in three formats, our bridges read.

dump1090 is fed frames of five aircraft and serves them as Beast, as SBS lines in the zone of Nepal, and as
aircraft.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.server
import os
import subprocess
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from adapters.bridges.asked import Page, from_http
from adapters.bridges.beast import Beast
from adapters.bridges.common import Heard
from adapters.bridges.readsb import Readsb
from adapters.bridges.sbs import Sbs
from adapters.bridges.source import from_tcp
from fusion.schema import Plots
from tests import squitters
from tests.conftest import need
from tests.mosquitto import free_port
from tests.running import PATIENCE_S

pytestmark = pytest.mark.alone
AIRCRAFT = 5
NAMED = {0x480000 + n for n in range(AIRCRAFT)}


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def web(folder: Path) -> Iterator[int]:
    """A web server of a folder; its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            serving.join()


@contextlib.contextmanager
def dump1090(folder: Path) -> Iterator[tuple[int, int, int]]:
    """The program without an antenna: where it takes Beast, gives Beast, gives SBS; it writes aircraft.json too."""
    takes, gives, sbs = free_port(), free_port(), free_port()
    line = [
        need("dump1090-mutability"), "--net-only", "--quiet", "--net-bind-address", "127.0.0.1",
        "--net-ri-port", "0", "--net-ro-port", "0", "--net-bi-port", str(takes), "--net-bo-port", str(gives),
        "--net-sbs-port", str(sbs), "--write-json", str(folder), "--write-json-every", "0.2",
    ]  # fmt: skip
    running = subprocess.Popen(line, env={**os.environ, "TZ": "Asia/Kathmandu"}, stderr=subprocess.DEVNULL)
    try:
        yield takes, gives, sbs
    finally:
        running.terminate()
        running.wait(PATIENCE_S)


async def feed(port: int) -> None:
    """Frames in real time, from the moment at which somebody takes them."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        break
    try:
        for _, octets in squitters.traffic(AIRCRAFT, 600):
            writer.write(octets)
            await writer.drain()
            await asyncio.sleep(0.1)
        await reader.read()
    finally:
        writer.close()


async def heard_of(source: AsyncIterator[Heard]) -> list[Plots]:
    """Batches until every aircraft told its name and its velocity at ten places."""
    found, told = list[Plots](), dict[int, int]()
    async with aclosing(cast(AsyncGenerator[Heard, None], source)) as looks:
        async for heard in looks:
            assert not {*heard.refused} - {"not-a-message", "not-a-frame", "clock-not-believed"}, heard.refused
            for batch in heard.batches:
                found.append(batch)
                whole = (batch.callsign == b"LOT12") & np.isfinite(batch.velocity_north_mps)
                for address in batch.address[whole].tolist():
                    told[address] = told.get(address, 0) + 1
            if {address for address, count in told.items() if count >= 10} >= NAMED:
                return found
    raise AssertionError("the source ended")


def test_a_receivers_own_program_reads_our_frames_and_we_read_what_it_says(tmp_path: Path) -> None:
    async def run(takes: int, gives: int, sbs: int, web_port: int) -> list[list[Plots]]:
        url = f"http://127.0.0.1:{web_port}/aircraft.json"
        sources = (
            from_tcp("127.0.0.1", gives, "A1", Beast("A1")),
            from_tcp("127.0.0.1", sbs, "A1", Sbs("A1")),
            from_http(Page(url), 0.2, Readsb("A1"), "A1"),
        )
        feeding = asyncio.create_task(feed(takes))
        try:
            async with asyncio.timeout(PATIENCE_S):
                return list(await asyncio.gather(*map(heard_of, sources)))
        finally:
            feeding.cancel()
            await asyncio.wait([feeding])

    with web(tmp_path) as web_port, dump1090(tmp_path) as ports:
        heard = asyncio.run(run(*ports, web_port))
    for batches in heard:
        assert {a for batch in batches for a in batch.address.tolist()} == NAMED
        for batch in batches:
            start_deg = 54.0 + (batch.address - 0x480000) * 0.05
            north_deg = np.degrees(batch.lat_rad) - start_deg
            assert ((north_deg > -1e-4) & (north_deg < 0.3)).all()
            assert np.degrees(batch.lon_rad) == pytest.approx(np.full(len(batch), 24.0), abs=1e-4)
            assert batch.pressure_height_m == pytest.approx(np.full(len(batch), 3_000.0), abs=4.0)
            moving = np.isfinite(batch.velocity_north_mps)
            # Whole knots in SBS, whole degrees in some answers
            assert batch.velocity_north_mps[moving] == pytest.approx(np.full(moving.sum(), 222.0), abs=1.0)
            age_s = (batch.rx_us - batch.t_us) / 1e6
            assert ((age_s >= 0.0) & (age_s < 60.0)).all()  # in its own zone, 5 h 45 min from ours
