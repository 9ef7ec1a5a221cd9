"""The map of dump1090, from which tar1090 descends, in a real browser: it lists what we say, under our numbers.

Debian's package has the page; tar1090 itself is in none. This older one knows `altitude` and `speed`, not `alt_geom`
and `gs`, so who, where and code are what it can judge.
"""

from __future__ import annotations

import asyncio
import functools
import http.server
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.broker import BrokerSettings, now_us
from adapters.outlets.listener import Listener
from adapters.outlets.web import Web, tar1090_pages
from adapters.samples import NAMES
from adapters.wire import rfc3339
from tests.conftest import need
from tests.test_outlets_held import BASE, track_payload
from tests.test_outlets_web import RADAR

pytestmark = pytest.mark.alone
PAGE = Path("/usr/share/dump1090-mutability/html")


class _Both(http.server.SimpleHTTPRequestHandler):
    """The page's files, and below data/ what we answer."""

    data = ""

    def do_GET(self) -> None:
        """Ours or theirs."""
        if not self.path.startswith("/data/"):
            super().do_GET()
            return
        try:
            with urllib.request.urlopen(self.data + self.path.partition("?")[0], timeout=30) as answer:
                body = answer.read()
            self.send_response(200)
        except OSError:
            body = b""
            self.send_response(404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@contextmanager
def pages(data: str) -> Iterator[int]:
    """A server of the page with our data; its port."""
    handler = functools.partial(type("Both", (_Both,), {"data": data}), directory=str(PAGE))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def shown(url: str, profile: Path) -> str:
    """The page as the browser has it after a few seconds of its own time."""
    line = [
        need("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-component-update",
        "--disable-background-networking", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={profile}", "--virtual-time-budget=8000", "--dump-dom", url,
    ]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout


def test_the_map_of_dump1090_lists_our_tracks(tmp_path: Path) -> None:
    need("dump1090-mutability")
    listener, t_us = Listener(BrokerSettings("127.0.0.1"), NAMES.site, "test"), now_us()
    heard = f'"last_plot_time":"{rfc3339(t_us)}"'.encode()  # the page lists nothing that is a minute old
    for counter, more in ((17, b""), (18, b'"address":"503c01","callsign":"LTV01","mode3a":"4521",')):
        payload = re.sub(rb'"last_plot_time":"[^"]*"', heard, track_payload(counter, t_us))
        listener.held.take(f"{BASE}track/5:{counter}", payload.replace(b'"id":', more + b'"id":'), False, t_us)
    assert listener.held.count() == 2

    async def play() -> str:
        web = Web("127.0.0.1", 0, tar1090_pages([RADAR]))
        task = asyncio.create_task(web.serve(listener))
        await asyncio.wait_for(web.ready.wait(), 30)
        with pages(f"http://127.0.0.1:{web.port}") as port:
            dom = await asyncio.to_thread(shown, f"http://127.0.0.1:{port}/gmap.html", tmp_path)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return dom

    dom = asyncio.run(play())
    rows = re.findall(r"<tr([^>]*plane_table_row vPosition[^>]*)>(.*?)</tr>", dom, re.DOTALL)
    cells = {re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)[0]: (head, row) for head, row in rows}
    assert sorted(cells) == ["000011", "503c01"], "both are placed, each under its number"
    assert "italic" in cells["000011"][0], "the page's sign of an address that is none"
    assert "LTV01" in cells["503c01"][1]
    assert "4521" in cells["503c01"][1]
