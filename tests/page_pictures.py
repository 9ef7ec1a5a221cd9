"""Take the README's pictures of the page: `python -m tests.page_pictures` keeps three states of it.

The alert as it comes, the past on the timeline, and a busy sky in the day theme.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from adapters import lean, log

log.prepare_numerics()
lean.install_with_numba()

from tests.airshow import showing  # noqa: E402
from tests.browsing import Ui, chromium, tab  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.mosquitto import Mosquitto  # noqa: E402

OUT = ROOT / "docs" / "images"
CODE = "import sys; from adapters.commands.demo import demo; sys.exit(demo(seconds=150.0))"
BEFORE = "from adapters import lean, log; log.prepare_numerics(); lean.install_with_numba(); "


def of_the_demo() -> None:
    """The alert live, and the same a minute later on the timeline."""
    line = [sys.executable, "-c", BEFORE + CODE]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=ROOT) as demo:
        assert demo.stdout is not None
        address = next(found[1] for said in demo.stdout if (found := re.search(r"open it: (\S+)", said)))
        with chromium() as browser, tab(browser, address) as (page, _):
            page.wait_for_function("() => document.getElementById('credit').textContent.startsWith('Borders')")
            page.keyboard.press("Escape")
            page.wait_for_selector(".card")
            page.locator(".card .name").click()
            time.sleep(20.0)
            for _zoom in range(2):
                page.keyboard.press("-")
                time.sleep(1.0)
            page.screenshot(path=OUT / "page-alert.png")
            for _step in range(3):
                page.keyboard.press("ArrowLeft")
                time.sleep(2.0)
            page.screenshot(path=OUT / "page-replay.png")
        demo.terminate()


def of_a_busy_sky() -> None:
    """Two thousand tracks, and a dozen alerts that keep their labels."""
    with tempfile.TemporaryDirectory() as name, Mosquitto(Path(name)) as broker, Ui(Path(name), broker.port) as ui:
        show = showing(broker.port, civils=1_950, drones=24, alerts=9)
        with show, chromium() as browser, tab(browser, f"{ui.url}#theme=day") as (page, _):
            page.wait_for_function("() => document.getElementById('credit').textContent.startsWith('Borders')")
            page.keyboard.press("Escape")
            time.sleep(10.0)
            page.screenshot(path=OUT / "page-busy.png")


def main() -> int:
    """All of them."""
    of_the_demo()
    of_a_busy_sky()
    return 0


if __name__ == "__main__":
    sys.exit(main())
