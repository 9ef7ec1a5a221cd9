"""The operator's page as an officer meets it: in a real browser, with a real broker, before a sky that only plays."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.airshow import Show, showing
from tests.browsing import PATIENCE_MS, Ui, chromium, tab
from tests.conftest import ROOT
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.alone

AXE = ROOT / ".venv" / "node" / "node_modules" / "axe-core" / "axe.min.js"
LIVE = "() => document.body.dataset.state === 'live'"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Ui]:
    with Ui(tmp_path_factory.mktemp("ui"), broker.port) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture(scope="module")
def show(broker: Mosquitto) -> Iterator[Show]:
    with showing(broker.port, civils=30, drones=8, alerts=3) as playing:
        yield playing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def watched(browser: Browser, ui: Ui, show: Show) -> Iterator[Page]:
    """A page that is live; nothing left the machine and nothing went wrong until its end."""
    with tab(browser, ui.url, reduced_motion="reduce") as (opened, seen):
        opened.wait_for_function(LIVE)
        opened.wait_for_function("() => document.querySelectorAll('.card').length >= 3")
        expect(opened.locator("#credit")).to_contain_text("Borders")  # partners and sensors come with the map
        yield opened
        assert seen.strays == []
        # That a server is away is shown by the page, and told by the browser too.
        away = ("Failed to load resource: net::ERR_", "WebSocket connection to")
        # What was typed wrong is refused by the page's server.
        refused = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
        assert [error for error in seen.errors if not error.startswith(away) and error != refused] == []


@pytest.fixture
def page(watched: Page) -> Page:
    """The same page for every test, with nothing chosen and nothing open."""
    for _ in range(2):
        watched.keyboard.press("Escape")
    watched.wait_for_function(LIVE)
    return watched


def fired(show: Show, verb: str) -> list[dict[str, Any]]:
    """What the service was told, once it was told anything of this kind.

    Ask the page before whether it was done: while this waits, nothing that the page asks for is let through the fence.
    """
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not (found := [said for name, said in show.said if name == verb]):
        assert time.monotonic() < deadline, f"no {verb} came"
        time.sleep(0.05)
    return found


def test_an_alert_is_acknowledged_by_keyboard_and_the_service_hears_it(page: Page, show: Show) -> None:
    ours = show.raise_alert(4, severity=1)
    card = page.locator(".card[data-track='1:90004']")
    expect(card).to_contain_text("low-slow-near")
    expect(page.locator("#said")).to_contain_text("Alert, severity 1")
    for _ in range(10):
        page.keyboard.press("n")
        if "track=1:90004" in page.evaluate("() => location.hash"):
            break
    page.keyboard.press("a")
    expect(page.locator("#toast")).to_have_text(re.compile(": done$"))
    (said,) = fired(show, "acknowledge")
    assert (said["alert_id"], said["operator"]) == (ours, "J. Petraitis")
    expect(card).to_contain_text("acknowledged by J. Petraitis")
    expect(card).to_have_class("card severity-1 acknowledged chosen")


def test_an_object_is_identified_with_a_reason(page: Page, show: Show) -> None:
    page.locator(".card[data-track='1:90001'] .name").click()
    expect(page.locator(".card[data-track='1:90001']")).to_have_class(re.compile("chosen"))
    page.keyboard.press("d")
    expect(page.locator("#ask-title")).to_have_text("Identify 1:90001")
    page.locator("#ask-identity").select_option("suspect")
    page.locator("#ask-reason").fill("seen by patrol")
    page.locator("#ask-reason").press("Enter")
    expect(page.locator("#toast")).to_contain_text("Identify 1:90001: done")
    (said,) = fired(show, "identify")
    assert (said["identity"], said["reason"]) == ("suspect", "seen by patrol")
    expect(page.locator(".card[data-track='1:90001']")).to_contain_text("suspect, says J. Petraitis: seen by patrol")


def test_an_incident_is_handed_over_and_then_said_to_be_taken(page: Page, show: Show) -> None:
    page.locator(".card[data-track='1:90002'] .name").click()
    page.locator(".card[data-track='1:90002'] button", has_text="Hand over").click()
    assert page.locator("#ask-to-hints option").evaluate_all("(all) => all.map((one) => one.value)") == ["latvia"]
    page.locator("#ask-to").fill("latvia")
    page.locator("#ask-reason").fill("on its way to you")
    page.locator("#ask-reason").press("Enter")
    expect(page.locator("#toast")).to_contain_text("Hand over 1:90002: done")
    (said,) = fired(show, "hand-over")
    incident = f"{0xB0002:016x}"
    assert (said["incident_id"], said["to"], said["reason"]) == (incident, "latvia", "on its way to you")
    card = page.locator(".card[data-track='1:90002']")
    expect(card).to_contain_text("handed over to latvia")
    page.keyboard.press("h")
    expect(page.locator("#ask-title")).to_have_text("Taken over: 1:90002")
    expect(page.locator("#ask-to")).to_have_value("latvia")
    page.locator("#ask-to").press("Enter")
    expect(page.locator("#toast")).to_contain_text("Taken over 1:90002: done")
    (taken,) = fired(show, "take")
    assert (taken["incident_id"], taken["to"], taken["operator"]) == (incident, "latvia", "J. Petraitis")
    expect(card).to_contain_text("taken by latvia, says J. Petraitis")


def test_a_dossier_that_cannot_be_made_says_why(browser: Browser, ui: Ui, show: Show) -> None:
    """This page has neither database nor recordings: the service runs on another machine."""
    with tab(browser, ui.url) as (page, _):
        page.locator(".card[data-track='1:90001'] button", has_text="Dossier").click()
        card = page.locator(".card[data-track='1:90001'] .dossier")
        expect(card).to_contain_text("Dossier NOT made: ")
        expect(card).to_contain_text("incident database cannot be read here (does not exist): does it run elsewhere?")
        expect(page.locator("#toast")).to_contain_text("Dossier of 1:90001: NOT made")


def test_what_somebody_saw_is_reported_where_the_pointer_is(page: Page, show: Show) -> None:
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    expect(page.locator("#cursor")).to_contain_text("35U")
    page.keyboard.press("g")
    place = page.locator("#ask-place").input_value()
    assert re.fullmatch(r"5\d\.\d{5}, 2\d\.\d{5}", place)
    page.locator("#ask-bearing").fill("400")
    page.locator("#ask-words").fill("like a moped")
    page.locator("#ask-words").press("Enter")
    expect(page.locator("#toast")).to_contain_text("NOT taken, bearing: 0 to 360")
    page.keyboard.press("g")
    expect(page.locator("#ask-words")).to_have_value("like a moped")
    page.locator("#ask-bearing").fill("95")
    page.locator("#ask-words").press("Enter")
    expect(page.locator("#toast")).to_contain_text("Sighting: taken, joined 1:90000")
    (said,) = fired(show, "sighting")
    assert (said["sensor"], said["bearing_deg"], said["words"]) == ("G1", 95.0, "like a moped")
    assert place == f"{said['lat_deg']:.5f}, {said['lon_deg']:.5f}"


def test_a_note_in_the_watch_log_is_read_by_who_comes_after(page: Page, browser: Browser, ui: Ui) -> None:
    page.keyboard.press("w")
    page.locator("#watch-words").fill("R2 is moved <b>north</b> at noon")
    page.locator("#watch-form").evaluate("form => { form.requestSubmit(); form.requestSubmit(); }")  # Enter, twice
    expect(page.locator("#watch-lines")).to_contain_text("J. PetraitisR2 is moved <b>north</b> at noon")
    expect(page.locator("#watch-words")).to_have_value("")
    expect(page.locator("#watch-lines .note")).to_have_count(1)
    page.keyboard.press("Escape")
    with tab(browser, ui.url, name="A. Kalnins") as (other, _):
        other.locator("#log").click()
        expect(other.locator("#watch-lines .note")).to_contain_text("R2 is moved")
        assert "J. Petraitis: R2 is moved" in other.request.get(f"{ui.url}watch.txt").text()


def test_a_detection_is_on_the_screen_within_a_second(page: Page, show: Show) -> None:
    """From the moment a picture is of until it is drawn: p95 by the page's clock, which is the sender's."""
    lags = page.evaluate(
        """() => new Promise((done) => {
          const lags = [], canvas = document.querySelector("canvas.tracks"), socket = new WebSocket(`ws://${location.host}/feed`);
          let newest_us = 0;
          socket.onmessage = (event) => { newest_us = JSON.parse(event.data).pulse.picture_us ?? newest_us; };
          const context = canvas.getContext("2d"), was = context.setTransform;
          context.setTransform = function (...how) {
            if (newest_us > 0) lags.push(Date.now() - newest_us / 1000);
            if (lags.length === 16) { context.setTransform = was; socket.close(); done(lags); }
            return was.apply(this, how);
          };
        })"""
    )
    assert np.percentile(lags, 95) <= 1_000.0, sorted(lags)[-5:]


def test_the_most_urgent_stands_first(page: Page) -> None:
    classes = page.evaluate("() => [...document.querySelectorAll('.card')].map((card) => card.className)")
    ranks = [(int(name.split("severity-")[1][0]), "waiting" not in name) for name in classes]
    assert ranks == sorted(ranks)


def test_a_late_joiner_has_the_whole_picture_with_the_first_message(
    browser: Browser, ui: Ui, show: Show, page: Page
) -> None:
    with tab(browser, "about:blank") as (second, _):
        second.goto(f"{ui.url}login")
        told = second.evaluate(
            """() => new Promise((done) => {
              const opened = performance.now();
              const socket = new WebSocket(`ws://${location.host}/feed`);
              socket.onmessage = (event) => { done([event.data, performance.now() - opened]); socket.close(); };
            })"""
        )
    assert told[0].startswith('{"kind":"whole"')
    whole = json.loads(told[0])
    # All that a page needs is in that message: what is left is to read it and to draw it.
    shown_ms = page.evaluate(
        """async (text) => {
          const { Sky } = await import("/web/sky.js");
          const began = performance.now(), sky = new Sky();
          sky.take(JSON.parse(text), began);
          return [performance.now() - began, sky.tracks.size];
        }""",
        told[0],
    )
    assert shown_ms[0] <= 200.0 and shown_ms[1] == len(whole["rows"])
    assert len(whole["rows"]) == show.civils + show.drones
    assert {name for kind, name, _ in whole["things"] if kind == "alert"} == {*show.alerts}


def test_names_full_of_markup_are_only_text(page: Page, show: Show) -> None:
    evil = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
    show.names[0] = evil
    show.raise_alert(5, sentence=evil, rule=evil, acknowledged_by=evil, clears=evil)
    expect(page.locator(".card[data-track='1:90005'] .why")).to_contain_text("<img src=x")
    expect(page.locator(".card[data-track='1:90000'] .name")).to_contain_text("onerror")
    page.locator(".card[data-track='1:90000'] .name").click()
    expect(page.locator("#selected-facts")).to_contain_text("<script>")
    assert page.evaluate("() => [document.title, document.querySelectorAll('#side img, #side script').length]") == [
        "Vedette",
        0,
    ]
    show.names.clear()


def test_filters_low_and_slow_and_search(page: Page) -> None:
    page.keyboard.press("f")
    page.keyboard.type("id:civil alt>9000")
    expect(page.locator("#filter-said")).to_contain_text("of 38")
    expect(page.locator("#counts")).to_contain_text("filtered out")
    page.locator("#filter").fill("colour<3")
    expect(page.locator("#filter-said")).to_contain_text("known: alt")
    page.locator("#filter").fill("")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    expect(page.locator("#counts")).to_contain_text("30 filtered out")
    assert "low=1" in page.url
    page.keyboard.press("l")
    page.keyboard.press("/")
    page.keyboard.type("ltv007")
    page.keyboard.press("Enter")
    expect(page.locator("#selected-facts")).to_contain_text("LTV007")


def test_every_key_is_on_the_sheet_and_the_address_brings_the_view_back(page: Page, browser: Browser, ui: Ui) -> None:
    page.keyboard.press("?")
    expect(page.locator("#sheet")).to_contain_text("acknowledge the chosen alert")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    page.keyboard.press("i")
    page.locator(".card[data-track='1:90002'] .name").click()
    expect(page.locator("#selected-facts")).to_contain_text("1:90002")
    page.wait_for_function("() => location.hash.includes('track=1:90002') && location.hash.includes('off=ellipses')")
    with tab(browser, page.url) as (other, _):
        expect(other.locator("#selected-facts")).to_contain_text("1:90002")
        expect(other.locator("body")).to_have_attribute("data-theme", "day")


def test_coverage_at_a_height_is_asked_for_and_named(page: Page) -> None:
    page.keyboard.press("v")
    expect(page.locator("#covering")).to_contain_text("Coverage at 50 m above ground: R1, R2")
    page.keyboard.press("v")
    expect(page.locator("#covering")).to_contain_text("Coverage at 150 m above ground: R1, R2; dotted: seen so far")
    assert "cover=150" in page.url
    for _ in range(3):
        page.keyboard.press("v")
    expect(page.locator("#covering")).to_be_hidden()


def test_sound_is_blocked_visibly_until_a_click_and_one_key_mutes(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, ui.url) as (page, _):
        expect(page.locator("#blocked")).to_be_visible()
        page.locator("#blocked").click()
        expect(page.locator("#blocked")).to_be_hidden()
        page.keyboard.press("s")
        expect(page.locator("#mute")).to_contain_text("Muted 5 min")


def test_a_bad_sensor_is_a_chip_with_its_name(page: Page, show: Show) -> None:
    show.bad_sensor = True
    expect(page.locator("#sensor-chips")).to_contain_text("R2 stale")
    expect(page.locator("#sensor-count")).to_have_text("sensors 2/3")
    show.bad_sensor = False
    expect(page.locator("#sensor-count")).to_have_text("sensors 3/3")


def test_exercise_and_overload_are_marks_that_stay(page: Page, show: Show) -> None:
    expect(page.locator("#mark")).to_have_text("SIMULATION")
    show.mode, show.load_level = "exercise", 2
    for mark in ("#mark", "#watermark"):
        expect(page.locator(mark)).to_have_text("SIMULATION · EXERCISE")
    expect(page.locator("#overload")).to_contain_text("OVERLOAD level 2")
    show.mode, show.load_level = "peace", 0
    expect(page.locator("#overload")).to_be_hidden()
    expect(page.locator("#mark")).to_have_text("SIMULATION")


TONES = """() => { window.tones = []; const was = window.OscillatorNode;
  window.OscillatorNode = class extends was {
    constructor(audio, how) { super(audio, how); window.tones.push(how.frequency); } }; }"""


def test_severities_sound_apart_and_the_first_again_and_again_until_acknowledged(
    browser: Browser, ui: Ui, show: Show
) -> None:
    with tab(browser, "about:blank") as (page, _):
        page.clock.install()
        page.add_init_script(f"({TONES})()")
        page.goto(ui.url)
        page.wait_for_function(LIVE)
        page.locator("#blocked").click()
        expect(page.locator("#blocked")).to_be_hidden()
        for one in range(10):  # nothing waits any more
            page.wait_for_function("() => document.querySelectorAll('.card').length > 0")
            if page.locator(".card.waiting").count() == 0:
                break
            page.locator(".card.waiting").first.locator("button", has_text="Ack").click()
            expect(page.locator("#toast")).to_contain_text("done")
            page.wait_for_timeout(300)
            assert one < 9
        for n, severity, heard in ((10, 3, [440]), (11, 2, [660]), (12, 1, [880, 880, 1175])):
            page.evaluate("() => { window.tones.length = 0; }")
            show.raise_alert(n, severity=severity)
            page.wait_for_function("(many) => window.tones.length >= many", arg=len(heard))
            assert page.evaluate("() => window.tones") == heard
        page.clock.fast_forward(11_000)
        page.wait_for_function("() => window.tones.length === 6")
        page.locator(".card[data-track='1:90012'] button", has_text="Ack").click()
        expect(page.locator(".card[data-track='1:90012']")).to_contain_text("acknowledged by")
        page.clock.fast_forward(11_000)
        page.wait_for_timeout(600)
        assert len(page.evaluate("() => window.tones")) == 6


def test_no_serious_finding_about_accessibility_in_any_theme(page: Page) -> None:
    page.locator(".card .name").first.click()
    client = page.context.new_cdp_session(page)  # past the policy, which lets no script in
    client.send("Runtime.evaluate", {"expression": AXE.read_text("utf-8")})
    client.detach()
    themes = []
    for _ in range(3):
        themes.append(page.locator("body").get_attribute("data-theme"))
        assert serious(page) == [], themes
        page.keyboard.press("w")
        expect(page.locator("#watch")).to_be_visible()
        assert serious(page) == [], themes
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        expect(page.locator("#ask")).to_be_visible()
        assert serious(page) == [], themes
        page.keyboard.press("Escape")
        page.keyboard.press("b")
    assert {*themes} == {"dark", "day", "contrast"}


def serious(page: Page) -> list[Any]:
    """What axe finds that bars somebody."""
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [(v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")]


def test_severities_can_be_told_apart_under_colour_deficiencies(page: Page) -> None:
    """By shape, all of them; and by colour those that do not stand for the same haste."""
    client = page.context.new_cdp_session(page)
    for deficiency in ("protanopia", "deuteranopia", "tritanopia", "none"):
        client.send("Emulation.setEmulatedVisionDeficiency", {"type": deficiency})
        shapes, colours = {}, {}
        for severity in (1, 2, 3):
            card = page.locator(f".card.severity-{severity}").first
            card.scroll_into_view_if_needed()
            shapes[severity] = card.locator(".head").inner_text()[0]
            box = card.bounding_box()
            assert box is not None
            shot = page.screenshot(
                clip={"x": box["x"], "y": box["y"] + 8, "width": 4, "height": 4}, animations="disabled"
            )
            edge = Image.open(io.BytesIO(shot))
            colours[severity] = np.asarray(edge.convert("RGB"), np.float64).reshape(-1, 3).max(axis=0)
        assert len({*shapes.values()}) == 3
        for a, b in ((1, 3), (2, 3)):
            assert np.abs(colours[a] - colours[b]).max() > 40, (deficiency, colours)
    client.detach()


def test_stale_and_broker_lost_are_said_and_it_comes_back_without_a_reload(
    browser: Browser, show: Show, broker: Mosquitto, ui: Ui
) -> None:
    with tab(browser, ui.url) as (page, seen):
        page.wait_for_function(LIVE)
        lost_and_found(page, show, broker, ui)
        assert seen.strays == []


def lost_and_found(page: Page, show: Show, broker: Mosquitto, ui: Ui) -> None:
    """Everything goes away, one after the other, and comes back."""
    page.evaluate("() => { window.stayed = true; }")
    show.silent = True
    expect(page.locator("#state")).to_contain_text("STALE")
    show.silent = False
    page.wait_for_function(LIVE)
    broker.stop()
    expect(page.locator("#state")).to_contain_text("BROKER LOST")
    broker.start()
    page.wait_for_function(LIVE)
    ui.stop()
    expect(page.locator("#state")).to_contain_text("PAGE SERVER LOST")
    ui.start()
    page.wait_for_function(LIVE)
    expect(page.locator(".card[data-track='1:90002']")).to_be_visible()
    assert page.evaluate("() => window.stayed") is True


def test_a_phone_can_acknowledge(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, ui.url, is_mobile=True, has_touch=True) as (phone, _):
        phone.set_viewport_size({"width": 390, "height": 780})
        show.raise_alert(6)
        phone.wait_for_function(LIVE)
        for one, other in (
            ("#credit", ".ol-scale-line"), ("#watermark", ".ol-scale-line"), ("#mute", "#state"), ("#mute", "#mark"),
        ):  # fmt: skip
            assert apart(phone, one, other), (one, other)
        phone.locator("#mute").tap()
        expect(phone.locator("#mute")).to_contain_text("Muted")
        expect(phone.locator("#mute")).to_be_in_viewport(ratio=1)
        phone.locator(".card[data-track='1:90006'] button", has_text="Ack").tap()
        expect(phone.locator(".card[data-track='1:90006']")).to_contain_text("acknowledged by J. Petraitis")


def apart(page: Page, one: str, other: str) -> bool:
    """Neither of two lies over the other."""
    a, b = page.locator(one).bounding_box(), page.locator(other).bounding_box()
    assert a is not None
    assert b is not None
    beside = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
    return beside or a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]


def test_screens_from_small_to_a_wall(browser: Browser, ui: Ui, show: Show, tmp_path: Path) -> None:
    with tab(browser, ui.url) as (page, _):
        page.wait_for_function(LIVE)
        for width, height in ((1280, 720), (3840, 2160)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function(
                """() => ["#map", "#side", "#timeline", "#state", "#ticks"].every((name) => {
                  const box = document.querySelector(name).getBoundingClientRect();
                  return box.width > 20 && box.right <= innerWidth + 1 && box.bottom <= innerHeight + 1;
                })"""
            )
            page.screenshot(path=tmp_path / f"{width}.png")
            expect(page.locator("#state")).to_be_in_viewport()
