"""How the page looks where it has least and most room: a small screen that has everything to say, a phone, and a wall.

What is drawn on the map is heard from the canvas itself: every text of the last drawing, in pixels of the screen.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.airshow import Show, showing
from tests.browsing import Ui, chromium, tab
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.alone

LIVE = "() => document.body.dataset.state === 'live'"
TRACKS, SILENT, ALERTS = 2_000, 40, 12
DESK_PX = 12  # of labels
# Before anything of the page runs: the texts of the newest drawing of the tracks, with the box of each in it.
HEAR = """(() => {
  let now = [];
  window.drawn = [];
  const begin = CanvasRenderingContext2D.prototype.setTransform, fill = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.setTransform = function (...how) {
    if (this.canvas.className === "tracks") { window.drawn = now; now = []; }
    return begin.apply(this, how);
  };
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    if (this.canvas.className === "tracks" && text.trim()) {
      const by = this.getTransform(), ratio = devicePixelRatio;
      const size = parseFloat(this.font) * by.a / ratio, width = this.measureText(text).width * by.a / ratio;
      now.push([text, (x * by.a + by.e) / ratio, (y * by.d + by.f) / ratio - size / 2, width, size]);
    }
    return fill.call(this, text, x, y);
  };
})()"""


@dataclass(frozen=True)
class Word:
    """One text on the map."""

    text: str
    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Word) -> bool:
        """Both lie on one place."""
        beside = self.x + self.width <= other.x or other.x + other.width <= self.x
        return not beside and self.y < other.y + other.height and other.y < self.y + self.height


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto) -> Iterator[Ui]:
    with Ui(tmp_path_factory.mktemp("ui"), broker.port) as running:
        yield running


@pytest.fixture(scope="module")
def show(broker: Mosquitto) -> Iterator[Show]:
    with showing(broker.port, civils=TRACKS - SILENT, drones=SILENT, alerts=ALERTS) as playing:
        yield playing


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def looking(page: Page, ui: Ui, width: int, height: int) -> None:
    """Open the page on a screen of this size, and wait for all of it."""
    page.add_init_script(HEAR)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(ui.url)
    page.wait_for_function(LIVE)
    expect(page.locator("#credit")).to_contain_text("Borders")
    page.wait_for_function("(many) => document.querySelectorAll('.card').length === many", arg=ALERTS)
    page.wait_for_function("() => window.drawn.length > 0")


def drawn(page: Page) -> list[Word]:
    """The words on the map as they lie on the screen now: a drawing that is dragged is moved as a whole."""
    said = page.evaluate(
        """() => {
          const { left, top } = document.querySelector("canvas.tracks").getBoundingClientRect();
          return window.drawn.map(([text, x, y, ...size]) => [text, left + x, top + y, ...size]);
        }"""
    )
    return [Word(*one) for one in said]


@pytest.mark.parametrize(("width", "height", "scale"), [(1280, 720, 1.0), (2560, 1440, 1.3333), (3840, 2160, 2.0)])
def test_on_every_screen_labels_are_readable_apart_and_on_it(
    browser: Browser, ui: Ui, show: Show, width: int, height: int, scale: float
) -> None:
    with tab(browser, "about:blank") as (page, seen):
        looking(page, ui, width, height)
        sized = page.locator("#side").bounding_box()
        assert sized is not None
        assert sized["width"] == pytest.approx(360 * scale, abs=2)
        for _look in range(3):
            words = drawn(page)
            map_box = page.locator("#map").bounding_box()
            assert map_box is not None
            assert len(words) > SILENT // 2
            assert {round(word.height, 1) for word in words} == {round(DESK_PX * scale, 1)}
            assert [(a.text, b.text) for a, b in combinations(words, 2) if a.meets(b)] == []
            flagged = [word for word in words if word.text[0] in "▲■●"]
            assert len(flagged) == ALERTS  # all of them are in the middle of the map
            for word in flagged:
                assert word.x >= map_box["x"] and word.x + word.width <= map_box["x"] + map_box["width"], word
                assert word.y >= map_box["y"] and word.y + word.height <= map_box["y"] + map_box["height"], word
            page.wait_for_timeout(1_000)
        nothing_is_cut(page)
        assert seen.strays == []


def test_the_pointer_finds_what_it_points_at_on_a_wall(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, "about:blank") as (page, _):
        looking(page, ui, 3840, 2160)
        page.locator("#blocked").click()
        page.locator(".card[data-track='1:90000'] .name").click()
        page.wait_for_function("() => location.hash.includes('track=1:90000')")
        page.keyboard.press("Escape")
        expect(page.locator("#none-selected")).to_be_visible()
        box = page.locator("#map").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] / 2 + 20, box["y"] + box["height"] / 2)  # beside its middle
        expect(page.locator("#selected-facts .name")).to_have_text("1:90000")
        ticks = page.evaluate("() => [ticks.width / ticks.getBoundingClientRect().width, devicePixelRatio]")
        assert ticks[0] == pytest.approx(ticks[1], rel=0.02)  # sharp, and not stretched


def test_what_is_drawn_anew_while_it_is_dragged_lies_where_the_hand_holds_it(
    browser: Browser, ui: Ui, show: Show
) -> None:
    with tab(browser, "about:blank") as (page, _):
        looking(page, ui, 1440, 860)
        page.locator("#blocked").click()
        page.locator(".card[data-track='1:90000'] .name").click()
        page.wait_for_timeout(1_500)
        box = page.locator("#map").bounding_box()
        assert box is not None
        x, y = box["x"] + 250, box["y"] + 500
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 60, y - 40, steps=4)
        page.mouse.move(x + 120, y - 80, steps=4)
        before = labels(page)
        page.wait_for_timeout(1_500)  # drawn anew, two times or three
        held = labels(page)
        page.mouse.up()
        page.wait_for_timeout(1_500)
        after = labels(page)
        assert shift(held, after) < 20, "what was held stays where it was"
        assert shift(before, held) < 20
        moved = {name: (at_x + 120, at_y - 80) for name, (at_x, at_y) in held.items()}
        assert shift(moved, after) > 100, "the look can fail"


def labels(page: Page) -> dict[str, tuple[float, float]]:
    """Where the label of every track stands on the screen; names that two have are left out."""
    found = [(name[0], word) for word in drawn(page) if (name := re.search(r"1:\d+|LTV\d+", word.text)) is not None]
    often = Counter(name for name, _ in found)
    return {name: (word.x, word.y) for name, word in found if often[name] == 1}


def shift(one: dict[str, tuple[float, float]], other: dict[str, tuple[float, float]]) -> float:
    """How far the picture as a whole moved: tracks fly on, every way, and labels change sides; the median does not."""
    names = one.keys() & other.keys()
    assert len(names) > 20
    return math.hypot(*(statistics.median(other[name][axis] - one[name][axis] for name in names) for axis in (0, 1)))


def nothing_is_cut(page: Page) -> None:
    """Whatever the bar shows is on the screen, whole, and one beside the other."""
    cut = page.evaluate(
        """() => {
          const seen = [...document.querySelectorAll("#bar > *")].filter((at) => at.getBoundingClientRect().width > 0);
          const boxes = seen.map((at) => [at.id, at.getBoundingClientRect()]);
          return boxes.filter(([, box], n) => box.left < -0.5 || box.right > innerWidth + 0.5
            || (n > 0 && box.left < boxes[n - 1][1].right - 0.5)).map(([id]) => id);
        }"""
    )
    assert cut == []


def test_a_small_screen_says_everything_at_once(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, "about:blank") as (page, _):
        looking(page, ui, 1280, 720)
        show.bad_sensor, show.load_level, show.mode = True, 2, "exercise"
        try:
            page.locator("#blocked").click()
            page.keyboard.press("s")
            page.keyboard.press("l")
            expect(page.locator("#overload")).to_be_visible()
            expect(page.locator("#mark")).to_have_text("SIMULATION · EXERCISE")
            expect(page.locator("#mute")).to_contain_text("Muted")
            expect(page.locator("#sensor-chips > *").first).to_contain_text("R2 stale")
            nothing_is_cut(page)
            assert whole(page, "#sensor-chips > *", "#sensor-chips")
            for part in ("#overload", "#mark", "#clock", "#mute", "#keys"):
                expect(page.locator(part)).to_be_in_viewport(ratio=1)
            expect(page.locator("#counts")).to_contain_text(f"tracks {TRACKS} ({TRACKS - SILENT} filtered out)")
        finally:
            show.bad_sensor, show.load_level, show.mode = False, 0, "peace"
        page.locator(".card .name").first.click()
        expect(page.locator(".card.chosen")).to_have_count(1)
        assert whole(page, ".card.chosen", "#side")


def whole(page: Page, one: str, around: str) -> bool:
    """The first of these is not cut by what is around it."""
    inside: bool = page.evaluate(
        """([one, around]) => {
          const [a, b] = [one, around].map((name) => document.querySelector(name).getBoundingClientRect());
          return a.left >= b.left - 0.5 && a.right <= b.right + 0.5 && a.width > 0;
        }""",
        [one, around],
    )
    return inside


def test_the_sheet_shows_every_key_at_once_and_an_empty_log_says_so(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, "about:blank") as (page, _):
        looking(page, ui, 1280, 720)
        page.locator("#map").focus()
        page.keyboard.press("?")
        sheet = page.locator("#sheet")
        expect(sheet).to_be_visible()
        for key in ("N / P", "V", "I", "?"):
            expect(sheet.locator("kbd", has_text=key).filter(visible=True).first).to_be_in_viewport(ratio=1)
        assert sheet.evaluate("(at) => at.scrollHeight <= at.clientHeight && at.scrollTop === 0")
        page.keyboard.press("Escape")
        page.keyboard.press("w")
        expect(page.locator("#watch-lines")).to_have_text("Nothing was noted, and no alert was told, in this time.")
        page.set_viewport_size({"width": 3840, "height": 2160})
        for dialog in ("#watch", "#sheet"):
            expect(page.locator(dialog)).to_be_in_viewport(ratio=1)
            page.keyboard.press("Escape")
            page.locator("#map").focus()
            page.keyboard.press("?")


def test_a_phone_breaks_no_word_and_every_button_can_be_hit(browser: Browser, ui: Ui, show: Show) -> None:
    with tab(browser, "about:blank", is_mobile=True, has_touch=True) as (phone, _):
        looking(phone, ui, 390, 780)
        for width in (390, 360):
            phone.set_viewport_size({"width": width, "height": 780})
            buttons = phone.evaluate(
                """() => [...document.querySelector(".card").querySelectorAll(".row button")].map((at) => {
                  const words = document.createRange();
                  words.selectNodeContents(at);
                  const box = at.getBoundingClientRect();
                  return [at.textContent, words.getClientRects().length, box.width, box.height, box.right];
                })"""
            )
            assert len(buttons) == 6
            for text, lines, wide, high, right in buttons:
                assert (lines, wide >= 44, high >= 40, right <= width) == (1, True, True, True), (text, width)
        ticks, line = phone.locator("#ticks").bounding_box(), phone.locator("#timeline").bounding_box()
        assert ticks is not None
        assert line is not None
        assert ticks["y"] >= line["y"] and ticks["y"] + ticks["height"] <= 780


def test_signing_in_stands_in_the_middle(browser: Browser, ui: Ui) -> None:
    with tab(browser, f"{ui.url}login") as (page, _):
        for width, height in ((390, 780), (1280, 720), (3840, 2160)):
            page.set_viewport_size({"width": width, "height": height})
            box = page.locator("main").bounding_box()
            assert box is not None
            assert box["x"] + box["width"] / 2 == pytest.approx(width / 2, abs=2)
            assert box["y"] + box["height"] / 2 == pytest.approx(height / 2, abs=2)
