"""The past on the page: what it shows of a second is the picture that was recorded in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from adapters.ui.picture import COLUMNS
from fusion.schema import US_PER_S, Frame
from replay import recording
from tests.browsing import Ui, chromium, tab
from tests.mosquitto import Mosquitto
from tests.test_ui_past import NAME, T0_S, recorded, recorded_rows

pytestmark = pytest.mark.alone

AT = 50  # second of the recording


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("ui")
    with Mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        served = Ui(folder, broker.port)
        (served.data / "recordings").mkdir(parents=True)
        recorded(served.data / "recordings")
        (served.data / "recordings" / "alerts.jsonl").rename(served.data / "alerts.jsonl")
        with served:
            yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser, ui: Ui) -> Iterator[Page]:
    with tab(browser, f"{ui.url}#time=2025-07-28T02:40:{AT}.000Z&track=1:3") as (opened, seen):
        yield opened
        assert (seen.strays, seen.errors) == ([], [])


def recorded_place(page: Page, ui: Ui, second: int) -> str:
    """The oracle: read from the file from its beginning, said by the page's own words for places."""
    row = dict(zip(COLUMNS, recorded_rows(ui.data / "recordings" / NAME, second)[2], strict=True))
    assert row["id"] == "1:3"
    said: str = page.evaluate(
        "async ([lat, lon]) => (await import('/web/coordinates.js')).both(lat, lon)", [row["lat_deg"], row["lon_deg"]]
    )
    return said


def test_a_second_is_shown_as_it_was_recorded_and_stepped_played_and_looped(page: Page, ui: Ui) -> None:
    expect(page.locator("#state")).to_contain_text(f"REPLAY 2025-07-28 02:40:{AT} paused")
    expect(page.locator("body")).to_have_class(re.compile("replaying"))
    expect(page.locator("#counts")).to_contain_text("tracks 4")
    expect(page.locator("#mark")).to_have_text("SIMULATION")
    expect(page.locator("#selected-facts")).to_contain_text(recorded_place(page, ui, AT))
    expect(page.locator(".card")).to_have_count(1)  # the other was closed ten seconds before
    expect(page.locator(".card .head")).to_have_text("■ 2")  # no border is near: nothing stands for it
    expect(page.locator("#sensors-title")).to_have_text("Sensors, as they are now")
    page.locator("#map").focus()
    page.locator("#state").click()
    page.keyboard.press("[")
    for second in (AT + 5, AT + 10):
        page.locator("#ticks").press("ArrowRight")
        expect(page.locator("#state")).to_contain_text(f":{second % 60:02d} paused")
        expect(page.locator("#selected-facts")).to_contain_text(recorded_place(page, ui, second))
    page.locator("#ticks").press("]")
    expect(page.locator("#loop")).to_have_attribute("aria-pressed", "true")
    page.locator("#speed").select_option("20")
    page.locator("#ticks").press("Space")
    seen = page.evaluate(
        """() => new Promise((done) => {
          const seen = [], slider = document.getElementById("ticks");
          const timer = setInterval(() => {
            seen.push(Number(slider.getAttribute("aria-valuenow")));
            const back = seen.findIndex((second, n) => n > 0 && second < seen[n - 1]);
            if (back > 0 && seen.length > back + 20) { clearInterval(timer); done(seen); }
          }, 50);
        })"""
    )  # until it has begun again
    assert min(seen) >= T0_S + AT and max(seen) <= T0_S + AT + 10
    assert len({*seen}) >= 3
    page.locator("#loop").click()
    page.locator("#ticks").press("End")
    expect(page.locator("#shown")).to_have_text("live")
    expect(page.locator("#sensors-title")).to_have_text("Sensors")
    expect(page.locator("body")).not_to_have_class(re.compile("replaying"))


def test_the_line_goes_back_to_older_recordings_and_forth(browser: Browser, ui: Ui) -> None:
    newer_s = T0_S + 7_200
    path = ui.data / "recordings" / "e000008-20250728T044000Z.mcap"
    recording.write(path, iter([Frame(1, newer_s * US_PER_S, "start", b"start")]))
    os.utime(path, (newer_s + 300, newer_s + 300))
    try:
        with tab(browser, ui.url) as (page, _):
            ticks = page.locator("#ticks")
            expect(ticks).to_have_attribute("aria-valuemax", str(newer_s + 300))
            for _back in range(8):
                if page.locator("#earlier").is_disabled():
                    break
                before = ticks.get_attribute("aria-valuemax")
                page.locator("#earlier").click()
                expect(ticks).not_to_have_attribute("aria-valuemax", before or "")
            expect(ticks).to_have_attribute("aria-valuemin", str(T0_S))
            ticks.press("Home")
            expect(page.locator("#state")).to_contain_text("REPLAY 2025-07-28 02:40:00")
            ticks.press("End")
            expect(ticks).to_have_attribute("aria-valuemax", str(newer_s + 300))
            page.goto(f"{ui.url}#time=2025-07-28T02:40:30.000Z")
            page.reload()
            expect(page.locator("#state")).to_contain_text("REPLAY 2025-07-28 02:40:30")
            expect(page.locator("#counts")).to_contain_text("tracks 4")
    finally:
        path.unlink()


def test_nobody_orders_anything_of_the_past(page: Page) -> None:
    expect(page.locator(".card")).to_have_count(1)
    page.keyboard.press("a")
    expect(page.locator("#toast")).to_contain_text("this is the past")
    for key in ("d", "h", "x", "g"):  # nobody types a reason that nobody takes
        page.keyboard.press(key)
        expect(page.locator("#ask")).to_be_hidden()
