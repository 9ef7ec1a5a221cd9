"""The operator's page in Debian's Chromium, beside a broker, a show and `vedette ui` of a test's own.

Every request that leaves 127.0.0.1 is stopped and kept in `strays`; so is every error that the page says.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from tests.conftest import ROOT, need
from tests.mosquitto import free_port

PATIENCE_MS = 60_000.0  # of a machine shared by many
expect.set_options(timeout=PATIENCE_MS)  # its own is five seconds, whatever the page's is


@dataclass
class Seen:
    """What a page did that it should not."""

    strays: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """The browser, without a screen."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=need("chromium"),
            args=["--no-sandbox", "--disable-gpu", *arguments],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, url: str, name: str = "J. Petraitis", **more: Any) -> Iterator[tuple[Page, Seen]]:
    """A page with the address, of an operator who has said his name before."""
    seen = Seen()
    context = browser.new_context(viewport={"width": 1440, "height": 860}, **more)
    context.set_default_timeout(PATIENCE_MS)
    _fence(context, seen)
    if name:
        context.add_init_script(f"localStorage.setItem('vedette-operator', {name!r})")
    page = context.new_page()
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda said: seen.errors.append(said.text) if said.type == "error" else None)
    try:
        page.goto(url)
        yield page, seen
    finally:
        context.close()


def _fence(context: BrowserContext, seen: Seen) -> None:
    def judge(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            seen.strays.append(route.request.url)
            route.abort()

    context.route("**/*", judge)


class Ui:
    """`vedette ui` on a folder of its own, at one port however often it starts."""

    def __init__(self, folder: Path, broker_port: int, extra: str = "", config: Path | None = None) -> None:
        """`config`: the folder of a service that runs, instead of one made here; its data folder is `var` in it."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.data = folder / "var" if config is None else config / "var"
        self._folder = folder / "config" if config is None else config
        if config is None:
            self._make(broker_port)
        if extra:
            (self._folder / "ui.toml").write_text(extra, "utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def _make(self, broker_port: int) -> None:
        shutil.copytree(ROOT / "config", self._folder)
        text = (self._folder / "service.toml").read_text("utf-8")
        text = text.replace("port = 1883", f"port = {broker_port}").replace("zones/osm", "zones/naturalearth")
        text = text.replace("accuracy_m = 25.0", "accuracy_m = 3000.0")
        text = text.replace("partners = []", 'partners = ["latvia"]')
        (self._folder / "service.toml").write_text(text, "utf-8")
        with (self._folder / "sensors.toml").open("a", encoding="utf-8") as sensors:
            sensors.write('\n[[sensors]]\nid = "G1"\nkind = "sighting"\n')

    def start(self) -> None:
        """Start, and wait until it answers."""
        line = [sys.executable, "-m", "adapters.main", "ui", "--config", str(self._folder), "--port", str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self._folder / "ui.log").open("ab") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log, cwd=ROOT, env=environment)
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while not self.answers():
            assert self.process.poll() is None, (self._folder / "ui.log").read_text("utf-8")
            assert time.monotonic() < deadline, (self._folder / "ui.log").read_text("utf-8")
            time.sleep(0.1)

    def answers(self) -> bool:
        """Is it there?"""
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> int:
        """End it in order; its status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def __enter__(self) -> Ui:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
