"""`vedette top`: the sky in a terminal, for who comes by ssh. The same listener as the page's, drawn by Textual."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import ClassVar

import msgspec
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static

from adapters.formats import command
from adapters.ui.glance import Glance
from adapters.ui.listener import Listener, NoAnswer
from fusion.schema import Command, Invalid

LOOK_S = 0.5
NAME_MOST = 64
TABLES = {
    "alerts": ("", "Track", "Border", "What", "Acknowledged"),
    "tracks": ("", "Track", "Name", "Identity", "Likely", "Above ground", "Speed", "Border", "Status", "Sensors"),
    "sensors": ("Sensor", "State", "Newest", "Rate", "Seen", "Detail"),
}


class WhoAreYou(ModalScreen[str]):
    """Asks for the name that goes into the records."""

    CSS = "WhoAreYou { align: center middle; } WhoAreYou Input { width: 60; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss('')", "Cancel")]

    def compose(self) -> ComposeResult:
        """One line."""
        yield Input(placeholder="Your name, for the record (Enter)", max_length=NAME_MOST)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter."""
        self.dismiss(event.value.strip())


class Top(App[None]):
    """Alerts, tracks and sensors in the order of urgency; A acknowledges the alert under the cursor."""

    TITLE = "Vedette"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #state { height: 1; padding: 0 1; text-style: bold; }
    #state.bad { background: $warning; color: black; }
    #alerts { height: 30%; } #sensors { height: auto; max-height: 25%; } #tracks { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "acknowledge", "Acknowledge"),
        Binding("l", "low", "Low and slow only"),
        Binding("tab", "app.focus_next", "Next table", show=True),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, listener: Listener, operator: str = "") -> None:
        """`operator`: who acknowledges; empty: he is asked the first time."""
        super().__init__()
        self._listener, self._operator = listener, operator
        self._glance, self._told_s, self._low = Glance(), 0.0, False
        self._drawn: dict[str, Sequence[object]] = {}
        self._listening: asyncio.Task[None] | None = None

    def compose(self) -> ComposeResult:
        """A line of state, three tables, the keys."""
        yield Static("WAITING", id="state", markup=False)
        for name, columns in TABLES.items():
            table: DataTable[Text] = DataTable(id=name, cursor_type="row", zebra_stripes=True)
            table.add_columns(*columns)
            yield table
        yield Footer()

    def on_mount(self) -> None:
        """Begin to listen."""
        self._listening = asyncio.create_task(self._listener.run(), name="top")
        self.query_one("#alerts").focus()
        self.set_interval(LOOK_S, self.look)

    async def on_unmount(self) -> None:
        """End it."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening

    def look(self) -> None:
        """Show what is new."""
        if not self.query("#state"):  # the screen is not up yet, or is going
            return
        glance, now_s = self._glance, time.monotonic()
        message, _ = self._listener.sky.since(glance.version, self._listener.pulse(), now_s)
        glance.take(msgspec.json.decode(message))
        state = self.query_one("#state", Static)
        words = glance.state(0.0)
        state.update(words)
        state.set_class(not words.startswith("LIVE"), "bad")
        self._fill("alerts", glance.alerts())
        self._fill("tracks", glance.lines(self._low))
        self._fill("sensors", glance.sensors())

    def _fill(self, name: str, lines: list[tuple[str, tuple[str, ...]]]) -> None:
        """The cursor stays on what it was on, not on the line where that was."""
        if self._drawn.get(name) == lines:
            return
        table: DataTable[Text] = self.query_one(f"#{name}", DataTable)
        at = self._under(name)
        self._drawn[name] = lines
        table.clear()
        for key, cells in lines:
            table.add_row(*(Text(cell) for cell in cells), key=key)  # never markup: it comes from the network
        row = next((row for row, (key, _) in enumerate(lines) if key == at), min(table.cursor_row, len(lines) - 1))
        table.move_cursor(row=max(row, 0), scroll=False)

    def _under(self, name: str) -> str:
        """What the cursor of a table is on; empty: nothing."""
        table: DataTable[Text] = self.query_one(f"#{name}", DataTable)
        if not 0 <= table.cursor_row < table.row_count:
            return ""
        return str(table.coordinate_to_cell_key((table.cursor_row, 0)).row_key.value)  # type: ignore[arg-type]

    def action_low(self) -> None:
        """Low and slow only, or all."""
        self._low = not self._low
        self.look()

    def action_acknowledge(self) -> None:
        """The alert under the cursor, with a name."""
        alert = self._under("alerts")
        if not alert:
            self.notify("no alert is open")
        elif self._operator:
            self.run_worker(self._acknowledge(alert))
        else:
            self.push_screen(WhoAreYou(), lambda name: self._named(name or "", alert))

    def _named(self, name: str, alert: str) -> None:
        self._operator = name
        if name:
            self.run_worker(self._acknowledge(alert))

    async def _acknowledge(self, alert: str) -> None:
        given = Command(-1, "acknowledge", alert, self._operator)
        try:
            command.decode(command.encode(given), given.verb, 0)  # what the door of the service refuses, we do not send
            answer = await self._listener.say(given)
            ok, detail = bool(answer.get("ok")), str(answer.get("detail", ""))
        except NoAnswer as error:
            ok, detail = False, str(error)
        except Invalid:
            self._operator = ""  # and the next key asks for it
            ok, detail = False, f"a name has 1 to {NAME_MOST} characters that can be printed"
        words = f"Acknowledge: {'done' if ok else 'NOT done'}{f', {detail}' if detail else ''}"
        self.notify(words, severity="information" if ok else "error", markup=False)
