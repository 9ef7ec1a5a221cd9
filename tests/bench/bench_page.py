"""The operator's page at 2,000 and 5,000 tracks: pictures a second and CPU, live and while the map is dragged.

Chromium without a GPU, as on a thin client; CPU is that of all its processes (page, compositor, network), by /proc.
The page draws when something is new, twice a second; what is dragged is moved as it was drawn. Of 0.36 core while it is
dragged at 60 fps (1440x860), 0.23 go with one canvas of the map's size that is moved by hand and never drawn, and 0.11
with the same frames while it is hidden. By thread: main thread 0.14, composition in software 0.15, compositor 0.05.
Fewer elements, containment, nearest pixels and a pen for reading change nothing; a bitmap instead of a canvas saves
less than the noise; half the resolution while it is dragged costs twice as much, as it is filtered then
(docs/explanation/page.md). So 0.15 at 60 fps is below what composition in software takes for a window of this size.
`python -m tests.bench.bench_page [tracks] [seconds]`
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page

from adapters import lean, log

log.prepare_numerics()
lean.install_with_numba()

from tests.airshow import showing  # noqa: E402
from tests.browsing import Ui, chromium, tab  # noqa: E402
from tests.mosquitto import Mosquitto  # noqa: E402

SECONDS = 10.0
SILENT = 60  # of the tracks
ALERTS = 12
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_COUNT = """() => { const mine = window.frames_seen = [];
  const next = (t) => { mine.push(t); if (window.frames_seen === mine) requestAnimationFrame(next); };
  requestAnimationFrame(next); }"""
_COUNTED = "() => { const seen = window.frames_seen; window.frames_seen = null; return seen; }"
_DREW = """() => { window.drew = 0; const was = CanvasRenderingContext2D.prototype.setTransform;
  CanvasRenderingContext2D.prototype.setTransform = function (...how) {
    if (this.canvas.className === "tracks") window.drew += 1;
    return was.apply(this, how);
  }; }"""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a while of watching cost."""

    frames_per_s: float  # the browser could show
    drawn_per_s: float  # of them the tracks were drawn anew
    longest_ms: float  # between two frames, 99 of 100 are below
    cores: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A page with so many tracks."""

    tracks: int
    live: Pace
    dragging: Pace


def measure(tracks: int, seconds: float = SECONDS) -> Measured:
    """One page before one show."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker, Ui(Path(name), broker.port) as ui:
        show = showing(broker.port, civils=tracks - SILENT, drones=SILENT, alerts=ALERTS)
        with show, chromium() as browser, tab(browser, ui.url) as (page, _):
            page.wait_for_function("() => document.body.dataset.state === 'live'")
            page.wait_for_function("() => document.getElementById('credit').textContent.startsWith('Borders')")
            page.wait_for_timeout(5_000)
            page.evaluate(_DREW)
            live = _pace(page, lambda: page.wait_for_timeout(1_000 * seconds), seconds)
            dragging = _pace(page, lambda: _drag(page, seconds), seconds)
    return Measured(tracks, live, dragging)


def _pace(page: Page, act: Callable[[], None], seconds: float) -> Pace:
    # Counting frames asks for every frame, which a quiet page does not draw: CPU is measured apart from it.
    before_s, drawn = cpu_s(), page.evaluate("() => { const n = window.drew; return n; }")
    act()
    spent_s, drew = cpu_s() - before_s, page.evaluate("() => window.drew") - drawn
    page.evaluate(_COUNT)
    act()
    times = page.evaluate(_COUNTED)
    gaps = [b - a for a, b in pairwise(times)]
    longest = statistics.quantiles(gaps, n=100)[98]
    return Pace(1_000 * len(gaps) / (times[-1] - times[0]), drew / seconds, longest, spent_s / seconds)


def _drag(page: Page, seconds: float) -> None:
    """Round and round with the button down, sixty moves a second."""
    box = page.locator("#map").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(
        """([x, y, seconds]) => new Promise((done) => {
          const at = document.querySelector("#map canvas, #map .ol-viewport"), began = performance.now();
          const move = (t) => {
            const s = (t - began) / 1000;
            const where = { clientX: x + 200 * Math.sin(2 * s), clientY: y + 120 * Math.sin(3 * s), bubbles: true,
              pointerId: 1, pointerType: "mouse", buttons: 1, isPrimary: true };
            at.dispatchEvent(new PointerEvent("pointermove", where));
            if (s < seconds) requestAnimationFrame(move); else done();
          };
          requestAnimationFrame(move);
        })""",
        [x, y, seconds],
    )
    page.mouse.up()


def cpu_s() -> float:
    """CPU that all processes of the browsers below this one have used."""
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    names: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, rest = (entry / "stat").read_text("utf-8", "replace").rsplit(")", 1)
        except OSError:
            continue
        fields, pid = rest.split(), int(entry.name)
        parents[pid], names[pid] = int(fields[1]), name.split("(", 1)[1]
        spent[pid] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def ours(pid: int) -> bool:
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()

    return sum(s for pid, s in spent.items() if "chrom" in names[pid] and ours(pid))


def main(arguments: Sequence[str]) -> int:
    """One line for each size, live and dragging."""
    sizes = (int(arguments[0]),) if arguments else (2_000, 5_000)
    for tracks in sizes:
        got = measure(tracks, float(arguments[1]) if len(arguments) > 1 else SECONDS)
        for what, pace in (("live", got.live), ("dragging", got.dragging)):
            print(
                f"{tracks:,} tracks, {what}: {pace.frames_per_s:.0f} fps, 99 % of gaps below {pace.longest_ms:.0f} ms, "
                f"tracks drawn {pace.drawn_per_s:.1f}/s, {pace.cores:.2f} cores, "
                f"{1_000 * pace.cores / pace.frames_per_s:.1f} ms of CPU a frame, load average {os.getloadavg()[0]:.1f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
