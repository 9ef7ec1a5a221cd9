"""What the demo shows: a few lines that move on a terminal, plain lines elsewhere, and every alert in words."""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import sys
import time
import webbrowser
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from adapters.broker import now_us
from adapters.formats import alert as alert_format
from adapters.wire import load_json
from fusion.schema import US_PER_S, Alert, Invalid, Quantity
from replay import account
from replay.plan import Expect
from replay.simulate import Scenario

LINE_EVERY_S = 5.0  # between two plain lines of counts
ROWS = 8  # of the table on a terminal
FORGET_S = 30.0  # a track that no picture has named for so long is not drawn any more


class View:
    """Keeps what the service published, and writes it to `out`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = Console(file=out, highlight=False, no_color=bool(os.environ.get("NO_COLOR")) or None)
        self._live: Live | None = None
        self._scene: Scenario | None = None
        self._rows: dict[str, tuple[dict[str, Any], float]] = {}
        self._status: dict[str, Any] = {}
        self._alerts: dict[str, Alert] = {}
        self._met: dict[int, Alert] = {}  # number of the expectation -> first alert that met it
        self._wrong: list[Alert] = []
        self._said_s = -math.inf

    # --- words ---

    def say(self, text: str) -> None:
        """A paragraph, above whatever moves."""
        self._console.print(text, markup=False, soft_wrap=not self._console.is_terminal)
        self._out.flush()

    def introduce(self, scene: Scenario, host: str, port: int, site: str, page: str, metrics: str) -> None:
        """What you are looking at, and where to look at the same yourself."""
        self.say(f"\nVedette demo: {scene.plan.title}\n")
        for line in scene.plan.about:
            self.say(f"  {line}")
        vedette = _command(Path(sys.executable).parent / "vedette")
        self.say(f"\nThe operator's page, a few seconds from now:\n\n  {page}")
        self.say("\nSee the same from another terminal:\n")
        self.say(f"  mosquitto_sub -V 5 -h {host} -p {port} -t 'vedette/v1/{site}/alert/+' -F '%t %p'")
        self.say(f"  {vedette} tail alerts --broker {host}:{port} --site {site}")
        self.say(f"  {metrics}\n")

    @contextlib.contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what is awaited, with something that moves on a terminal."""
        start_s = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(what):
                yield
        else:
            self.say(f"{what} ...")
            yield
        self.say(f"ready after {time.monotonic() - start_s:.0f} s")

    def open(self, page: str) -> None:
        """The page is there: shown to whoever looks at a terminal with a screen beside it, named to all others."""
        shown = self._console.is_terminal and bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
        if shown:
            webbrowser.open(page)
        self.say(f"The page is open: {page}" if shown else f"The page is there, open it: {page}")
        self.say("Now the scene begins. Ctrl-C ends it.\n")

    def begin(self, scene: Scenario) -> None:
        """The scene starts."""
        self._scene = scene
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()

    def close(self) -> None:
        """Nothing moves any more; what was last drawn stays as a line."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._scene is not None:
            self.say(self._counts())

    def verdict(self, interrupted: bool) -> int:
        """Say what came of it; the exit status. `interrupted`: the viewer has seen enough, which is no failure."""
        expected = self._scene.plan.expect if self._scene is not None else ()
        for number, expect in enumerate(expected):
            found = self._met.get(number)
            if found is not None and self._scene is not None:
                when = _clock((found.raised_us - self._scene.start_us) / US_PER_S)
                self.say(f"The expected alert for {expect.object} came {when} into the scene ({found.rule}).")
            else:
                self.say(
                    f"The expected alert for {expect.object} ({' or '.join(expect.rules)}) {self._missing(expect)}."
                )
        for wrong in self._wrong:
            self.say(f"Not expected: {wrong.rule} for {wrong.track}.")
        if interrupted:
            return 0
        return 0 if self._scene is not None and len(self._met) == len(expected) else 1

    def _missing(self, expect: Expect) -> str:
        """What there is to say of an alert that is not there: its time may be still to come."""
        shown_s = (now_us() - self._scene.start_us) / US_PER_S if self._scene is not None else 0.0
        if shown_s > expect.until_s:
            return "did not come"
        due = f"{_clock(expect.from_s)} and {_clock(expect.until_s)}"
        return f"is due between {due} of the scene, which was shown up to {_clock(shown_s)}"

    # --- what arrives ---

    def take(self, subject: str, payload: bytes) -> None:
        """One message of the service; `subject` is its topic below the site."""
        if not payload:
            return
        with contextlib.suppress(Invalid):
            if subject.startswith("alert/"):
                self._take_alert(alert_format.decode(payload))
            elif subject == "status":
                self._status = load_json(payload)
            else:
                self._take_picture(load_json(payload))

    def _take_picture(self, picture: dict[str, Any]) -> None:
        now_s = time.monotonic()
        for row in picture.get("tracks", ()):
            self._rows[row["id"]] = (row, now_s)
        for dropped in picture.get("dropped", ()):
            self._rows.pop(dropped["id"], None)

    def _take_alert(self, found: Alert) -> None:
        known = found.id in self._alerts
        self._alerts[found.id] = found
        if self._scene is None or known:
            return
        self.say("\n".join(alert_lines(found, (now_us() - self._scene.start_us) / US_PER_S)) + "\n")
        first = _as_raised(found)
        for number, expect in enumerate(self._scene.plan.expect):
            if number not in self._met and account.meets(self._scene, expect, first):
                self._met[number] = found
        about = account.about(self._scene, first)
        if about == "" or about in self._scene.plan.quiet:
            self._wrong.append(found)

    # --- what is shown ---

    def refresh(self) -> None:
        """Draw, or write a line when it is time for one."""
        now_s = time.monotonic()
        self._rows = {name: kept for name, kept in self._rows.items() if now_s - kept[1] <= FORGET_S}
        if self._live is not None:
            self._live.update(Group(Text(self._counts()), self._table()), refresh=True)
        elif now_s - self._said_s >= LINE_EVERY_S:
            self._said_s = now_s
            self.say(self._counts())

    def _counts(self) -> str:
        scene_s = (now_us() - self._scene.start_us) / US_PER_S if self._scene else 0.0
        rows = [row for row, _ in self._rows.values()]
        talking = sum(bool(row.get("cooperative")) for row in rows)
        tentative = self._status.get("tracks_count", {}).get("tentative", 0)
        opened = sum(a.state != "closed" for a in self._alerts.values())
        return (
            f"{_clock(scene_s)}  tracks: {len(rows)} (say who they are: {talking}, do not: {len(rows) - talking}, "
            f"not confirmed yet: {tentative})  plots used: {self._status.get('used_count', 0)}  alerts open: {opened}"
        )

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("track", "who", "m/s", "above ground m", "over", "to the border km", "crosses in s"):
            table.add_column(title, justify="left" if title in ("track", "who", "over") else "right")
        rows = sorted((row for row, _ in self._rows.values()), key=_interest)
        for row in rows[:ROWS]:
            table.add_row(*_cells(row), style="bold" if not row.get("cooperative") else "")
        return table


def alert_lines(found: Alert, scene_s: float) -> list[str]:
    """An alert in words: what, why, and what would clear it."""
    mark = "SIMULATED ALERT" if found.simulated else "ALERT"
    lines = [f"{mark}  {_clock(scene_s)}  severity {found.severity}  rule {found.rule} version {found.rule_version}"]
    lines.append(f"  {found.sentence}")
    lines += [f"  because {_reason(quantity)}" for quantity in found.quantities if quantity.condition]
    rest = [_reason(quantity) for quantity in found.quantities if not quantity.condition]
    if rest:
        lines.append(f"  also: {'; '.join(rest)}")
    if found.clears:
        lines.append(f"  {found.clears}")
    return lines


def _as_raised(found: Alert) -> Alert:
    """The alert as the judge wants it: we may first see it as an update, when it was raised between two messages."""
    return replace(found, state="raised")


def _reason(quantity: Quantity) -> str:
    value = quantity.value
    text = _plain(value) if isinstance(value, float) else str(value)
    spread = f" (plus or minus {_plain(quantity.sigma)})" if quantity.sigma is not None else ""
    condition = f"; the rule says {quantity.condition}" if quantity.condition else ""
    return f"{quantity.name} {text}{spread}{condition}"


def _plain(value: float) -> str:
    """Three digits and no exponent: people read this."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: dict[str, Any]) -> list[str]:
    distance_m = row.get("border_distance_m")
    return [
        str(row["id"]),
        str(row.get("callsign") or row.get("address") or ("unknown" if not row.get("cooperative") else "replies")),
        _number(row.get("speed_mps")),
        _number(row.get("agl_m")),
        str(row.get("state", "")),
        "" if distance_m is None else f"{distance_m / 1_000:.1f}",
        _number(row.get("time_to_border_s")),
    ]


def _interest(row: dict[str, Any]) -> tuple[bool, float, str]:
    """Silent objects first, then the nearest to the border."""
    return bool(row.get("cooperative")), abs(float(row.get("border_distance_m", math.inf))), str(row["id"])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _clock(seconds: float) -> str:
    whole = max(0, int(seconds))
    return f"{whole // 60:02d}:{whole % 60:02d}"


def _command(path: Path) -> str:
    """A program as one would type it here."""
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return shlex.quote(str(path))
