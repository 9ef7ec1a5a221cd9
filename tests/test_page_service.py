"""The operator's page before a service that really tracks: `vedette run`, `vedette ui` and a scene on one broker.

What a person tells on the page reaches the service, its answer is shown, and the record tells it. How long a plot takes
from the sensor to the screen is measured from its message at the broker to the frame after the one that drew it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from playwright.sync_api import Browser, Page, expect

from adapters.commands import simulate
from adapters.formats import plots, readsb
from fusion.schema import SensorKind, SensorSpec
from replay.simulate import Scenario
from tests.browsing import Ui, chromium, tab
from tests.conftest import ROOT
from tests.mosquitto import Mosquitto
from tests.running import COMMAND, Ear, Service, ports, vedette, write_config

pytestmark = pytest.mark.alone

SCENE = "lithuania-2025-07-28"
LIVE = "() => document.body.dataset.state === 'live'"
PLOTS_MIN = 150  # of as many the lag is judged
LAG_MAX_MS = 1_000.0
# Before anything of the page runs: what its socket brings waits until the tracks are drawn, and is on the screen with
# the frame after that.
WATCH = """(() => {
  const shown = window.plotsShown = [], waiting = new Map();
  let track = -1, plot = -1;
  const heard = (text) => {
    const said = JSON.parse(text);
    if (said.columns) [track, plot] = [said.columns.indexOf("id"), said.columns.indexOf("last_plot_us")];
    if (said.kind === "news") for (const row of said.rows ?? []) {
      if (row[plot] !== null) waiting.set(`${row[track]} ${row[plot]}`, row[plot]);
    }
  };
  const listen = WebSocket.prototype.addEventListener;
  WebSocket.prototype.addEventListener = function (kind, hear, ...more) {
    const both = kind === "message" ? (event) => { heard(event.data); hear(event); } : hear;
    return listen.call(this, kind, both, ...more);
  };
  const draw = CanvasRenderingContext2D.prototype.setTransform, told = new Set();
  CanvasRenderingContext2D.prototype.setTransform = function (...how) {
    if (this.canvas.className === "tracks" && waiting.size > 0) {
      const drawn = [...waiting].filter(([name]) => !told.has(name));
      waiting.clear();
      for (const [name] of drawn) told.add(name);
      requestAnimationFrame(() => requestAnimationFrame(() => {
        for (const [, plot_us] of drawn) shown.push([plot_us, Date.now()]);
      }));
    }
    return draw.apply(this, how);
  };
})()"""


class PlotEar(Ear):
    """Hears the sensors, and when: the clock is the browser's, since both run on this machine."""

    def __init__(self, port: int, sensors: Sequence[SensorSpec]) -> None:
        self.published_ms: dict[int, float] = {}  # by when it was measured, in whole milliseconds as tracks tell it
        self._sensors = {sensor.id: sensor for sensor in sensors}
        super().__init__(port, "in/+/plots")

    def _on_message(self, _client: object, _userdata: object, message: paho.MQTTMessage) -> None:
        now_us = time.time_ns() // 1_000
        spec = self._sensors[message.topic.split("/")[-2]]
        read = readsb.decode if spec.kind == SensorKind.ADSB else plots.decode
        for t_us in read(bytes(message.payload), spec, now_us).batch.t_us.tolist():
            self.published_ms.setdefault(t_us // 1_000, now_us / 1_000)


@dataclass
class Stand:
    """All that runs."""

    broker: Mosquitto
    service: Service
    ui: Ui
    config: Path
    sensors: PlotEar

    def heals(self) -> None:
        """Wait until the service has its broker again."""
        deadline = time.monotonic() + 60.0
        while (told := self.service.get("/readyz"))[0] != 200:
            assert time.monotonic() < deadline, told
            time.sleep(0.2)

    def record(self, incident: str) -> str:
        """What the service wrote of it, as `vedette incidents show` tells it."""
        line = ("incidents", "show", incident, "--db", str(self.config / "var" / "incidents.db"))
        told = subprocess.run([sys.executable, *COMMAND, *line], cwd=ROOT, capture_output=True, text=True, check=True)
        return told.stdout

    def record_with(self, incident: str, words: str) -> str:
        """The same, once it holds these words: it is written a moment after it is told."""
        deadline = time.monotonic() + 30.0
        while words not in (told := self.record(incident)):
            assert time.monotonic() < deadline, told
            time.sleep(0.5)
        return told


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("page-service")
    http_port, _ = ports()
    scene = Scenario.load(SCENE)
    with Mosquitto(folder / "broker") as broker:
        partners = '[publish]\npartners = ["latvia"]'
        config = write_config(
            folder / "config", broker.port, scene.sensors, simulate.formats(scene), http_port, partners
        )
        with (config / "sensors.toml").open("a", encoding="utf-8") as people:
            people.write('\n[[sensors]]\nid = "G1"\nkind = "sighting"\n')
        with (
            Service(config, http_port) as service,
            Ui(folder, broker.port, config=config) as ui,
            PlotEar(broker.port, scene.sensors) as ear,
        ):
            line = ("simulate", SCENE, "--publish", "--broker", f"127.0.0.1:{broker.port}", "--site", "test")
            playing = vedette(*line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                yield Stand(broker, service, ui, config, ear)
            finally:
                playing.terminate()
                playing.wait(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, stand: Stand) -> Iterator[Page]:
    with tab(browser, "about:blank", reduced_motion="reduce") as (opened, seen):
        opened.add_init_script(WATCH)
        opened.goto(stand.ui.url)
        opened.wait_for_function(LIVE)
        yield opened
        assert seen.strays == []


@pytest.fixture(scope="module")
def incident(page: Page, stand: Stand) -> str:
    """The drone's, raised while the page looks on."""
    with Ear(stand.broker.port, "incident/+") as ear:
        ear.wait_for(lambda heard: bool(heard.of("incident/")))
        return str(ear.of("incident/")[0]["id"])


def test_a_plot_is_on_the_screen_within_a_second_of_leaving_its_sensor(page: Page, stand: Stand) -> None:
    page.wait_for_function("(many) => window.plotsShown.length >= many", arg=PLOTS_MIN, polling=500)
    published = stand.sensors.published_ms
    shown = [(plot_us // 1_000, shown_ms) for plot_us, shown_ms in page.evaluate("() => window.plotsShown")]
    lags = [shown_ms - published[plot_ms] for plot_ms, shown_ms in shown if plot_ms in published]
    assert len(lags) > 0.9 * PLOTS_MIN
    assert min(lags) > 0.0
    assert np.percentile(lags, 95) <= LAG_MAX_MS, sorted(lags)[-10:]


def test_a_sighting_on_the_page_joins_the_track_and_the_record_tells_it(
    page: Page, stand: Stand, incident: str
) -> None:
    expect(page.locator(".card")).to_have_count(1)
    page.keyboard.press("n")
    expect(page.locator(".card")).to_have_class(re.compile("chosen"))
    page.keyboard.press("c")
    page.keyboard.press("g")  # no pointer was ever on the map: the place is its middle, where the drone is
    page.locator("#ask-words").fill("a motor <i>overhead</i>, going west")
    page.locator("#ask-reporter").fill("border guard post 4")
    page.locator("#ask-reporter").press("Enter")
    track = page.locator(".card").get_attribute("data-track") or ""
    expect(page.locator("#toast")).to_contain_text(f"Sighting: taken, joined to track {track}")
    told = stand.record_with(incident, "a motor <i>overhead</i>, going west")
    assert re.search(rf"border guard post 4 .*joined to track {track}, probability", told), told


def test_a_service_that_is_killed_is_seen_and_an_order_that_nobody_heard_is_not_done_later(
    page: Page, stand: Stand, incident: str
) -> None:
    page.evaluate("() => { window.stayed = true; }")
    stand.service.kill()
    expect(page.locator("#state")).to_contain_text("STALE")
    page.keyboard.press("a")
    expect(page.locator("#toast")).to_contain_text("NOT done, the service did not answer")
    stand.service.start()
    page.wait_for_function(LIVE)
    expect(page.locator(".card.waiting")).to_have_count(1)
    stand.broker.kill()
    expect(page.locator("#state")).to_contain_text("BROKER LOST")
    stand.broker.start()
    stand.heals()
    page.wait_for_function(LIVE)
    expect(page.locator(".card.waiting")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator("#toast")).to_contain_text(": done")
    expect(page.locator(".card .who")).to_contain_text("acknowledged by J. Petraitis")
    assert page.evaluate("() => window.stayed") is True
    told = stand.record_with(incident, "acknowledged")
    assert len(re.findall(r"J\. Petraitis +acknowledge ", told)) == 1, told


def test_a_hand_over_on_the_page_is_answered_and_the_record_tells_it(page: Page, stand: Stand, incident: str) -> None:
    page.keyboard.press("h")
    page.locator("#ask-to").fill("latvia")
    page.locator("#ask-reason").fill("on its way to you")
    page.locator("#ask-reason").press("Enter")
    expect(page.locator("#toast")).to_contain_text(": done")
    expect(page.locator(".card .who")).to_contain_text("handed over to latvia")
    page.keyboard.press("h")
    page.locator("#ask-to").fill("poland")
    page.locator("#ask-to").press("Enter")
    expect(page.locator("#toast")).to_contain_text("NOT done, handed over to latvia, not to poland")
    page.keyboard.press("h")
    page.locator("#ask-to").press("Enter")
    expect(page.locator("#toast")).to_contain_text(": done")
    expect(page.locator(".card .who")).to_contain_text("taken by latvia, says J. Petraitis")
    told = stand.record_with(incident, "taken from J. Petraitis")
    assert re.search(r"handed over +to latvia, .* \(by J\. Petraitis: on its way to you\)", told), told
    assert re.search(r"J\. Petraitis +take to poland .* refused: handed over to latvia, not to poland", told), told
    assert re.search(r"taken +\d{4}-.* by J\. Petraitis", told), told


def test_the_report_opens_from_the_card_and_its_files_are_saved(page: Page, incident: str) -> None:
    with page.expect_popup() as opened:
        page.keyboard.press("r")
    report = opened.value
    expect(report.locator("h1")).to_contain_text("Object near Lithuania")
    expect(report.locator("body")).to_contain_text("low-slow-near version")
    expect(report.locator("h2:text-is('Detections') + table tr").nth(1)).to_contain_text(re.compile(r"\d+ of \d+"))
    expect(report.locator("nav")).to_contain_text(f"vedette dossier {incident}")
    beginnings = {"html": b"<!doctype html>", "geojson": b'{"type":"FeatureC', "kml": b"<?xml", "czml": b"[{"}
    for ending, beginning in beginnings.items():
        with report.expect_download() as saved:
            report.locator(f"nav a[href$='.{ending}']").click()
        assert saved.value.suggested_filename == f"incident-{incident}.{ending}"
        assert saved.value.path().read_bytes().startswith(beginning)
    report.close()


def test_the_dossier_is_saved_from_the_card_and_verifies(page: Page, stand: Stand, incident: str) -> None:
    """Of an incident that goes on, while service and page go on too."""
    with page.expect_download() as saved:
        page.keyboard.press("e")
        expect(page.locator(".card .dossier")).to_contain_text("being made")
    assert saved.value.suggested_filename == f"incident-{incident}.zip"
    card = page.locator(".card .dossier")
    expect(card).to_contain_text("Dossier saved, ")
    expect(card).to_contain_text("Note: the incident is open")
    expect(page.locator("#toast")).to_contain_text("saved, ")
    assert page.evaluate("() => document.body.dataset.state") == "live"
    found = re.search(r"Keep its head elsewhere: ([0-9a-f]{64})\.", card.inner_text())
    assert found is not None
    line = ("verify", str(saved.value.path()), "--no-rerun", "--head", found[1])
    checked = subprocess.run([sys.executable, *COMMAND, *line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "every one in its place and unchanged" in checked.stderr
