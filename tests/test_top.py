"""The terminal view as an officer meets it: keys by Textual's pilot, a real broker, a sky that only plays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static
from typer.testing import CliRunner

from adapters.broker import BrokerSettings
from adapters.cli import app
from adapters.ui.glance import TRACKS_MAX, Glance, urgency
from adapters.ui.listener import Listener
from adapters.ui.picture import COLUMNS
from adapters.ui.top import Top
from tests.airshow import Show, showing
from tests.mosquitto import Mosquitto

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture
def show(broker: Mosquitto) -> Iterator[Show]:
    with showing(broker.port, civils=12, drones=6, alerts=3) as playing:
        yield playing


def cells(top: Top, table: str) -> list[list[str]]:
    """What a table shows."""
    shown: DataTable[object] = top.query_one(f"#{table}", DataTable)
    return [[str(cell) for cell in shown.get_row_at(row)] for row in range(shown.row_count)]


async def until(pilot: Pilot[None], there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not there():
        assert time.monotonic() < deadline
        await pilot.pause(0.1)


def watch(broker: Mosquitto, act: Callable[[Top, Pilot[None]], object], operator: str = "J. Petraitis") -> None:
    """One terminal before the broker."""

    async def go() -> None:
        top = Top(Listener("demo", BrokerSettings("127.0.0.1", broker.port)), operator)
        async with top.run_test(size=(150, 40)) as pilot:
            await until(pilot, lambda: len(cells(top, "alerts")) >= 3 and len(cells(top, "tracks")) == 18)
            await act(top, pilot)  # type: ignore[misc]

    asyncio.run(go())


def test_the_most_urgent_stands_first_and_a_key_acknowledges_it(broker: Mosquitto, show: Show) -> None:
    async def act(top: Top, pilot: Pilot[None]) -> None:
        assert str(top.query_one("#state", Static).render()).startswith("LIVE")
        assert "SIMULATION" in str(top.query_one("#state", Static).render())
        assert [row[:2] for row in cells(top, "alerts")] == [["▲ 1", "1:90000"], ["■ 2", "1:90001"], ["● 3", "1:90002"]]
        assert [row[1] for row in cells(top, "tracks")][:3] == ["1:90000", "1:90001", "1:90002"]
        assert [row[1] for row in cells(top, "sensors")] == ["ok", "ok", "ok"]
        await pilot.press("down", "a")
        await until(pilot, lambda: cells(top, "alerts")[-1][4].startswith("J. Petraitis"))
        assert cells(top, "alerts")[-1][1] == "1:90001"
        assert cells(top, "alerts")[0][1] == "1:90000"

    watch(broker, act)
    ((verb, said),) = show.said
    assert (verb, said["alert_id"], said["operator"]) == ("acknowledge", f"{0xA0001:016x}", "J. Petraitis")


def test_who_has_no_name_is_asked_and_escape_acknowledges_nothing(broker: Mosquitto, show: Show) -> None:
    async def act(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        await pilot.press("escape")
        await pilot.press("a")
        await until(pilot, lambda: isinstance(top.focused, Input))
        await pilot.press("O", "n", "a", "enter")
        await until(pilot, lambda: cells(top, "alerts")[-1][4].startswith("Ona"))

    watch(broker, act, operator="")
    assert [said["operator"] for _, said in show.said] == ["Ona"]


def test_a_name_that_the_service_would_refuse_is_asked_for_again(broker: Mosquitto, show: Show) -> None:
    async def act(top: Top, pilot: Pilot[None]) -> None:
        await pilot.press("a")
        await until(pilot, lambda: any("a name has 1 to 64" in str(n.message) for n in top._notifications))
        await pilot.press("a")
        await until(pilot, lambda: isinstance(top.focused, Input))

    watch(broker, act, operator="J\x1b[2J")
    assert show.said == []


def test_low_and_slow_only_names_full_of_markup_and_a_lost_broker(broker: Mosquitto, show: Show) -> None:
    async def act(top: Top, pilot: Pilot[None]) -> None:
        show.names[0] = "[red]x[/]"
        await until(pilot, lambda: cells(top, "tracks")[0][2] == "[red]x[/]")
        await pilot.press("l")
        await until(pilot, lambda: len(cells(top, "tracks")) == 6)
        broker.stop()
        try:
            await until(pilot, lambda: str(top.query_one("#state", Static).render()).startswith("BROKER LOST"))
            await pilot.press("a")
            await until(pilot, lambda: any("NOT done" in str(n.message) for n in top._notifications))
        finally:
            broker.start()
        await until(pilot, lambda: str(top.query_one("#state", Static).render()).startswith("LIVE"))

    watch(broker, act)
    assert show.said == []


def glance(rows: int) -> Glance:
    found = Glance()
    one = dict.fromkeys(COLUMNS) | {"cooperative": True, "low_slow": False, "callsign": "", "address": "a"}
    one |= {"object_class": "", "status": "confirmed", "sensors": []}
    told = [[{**one, "id": f"1:{n}"}[name] for name in COLUMNS] for n in range(rows)]
    found.take({"kind": "whole", "version": 1, "columns": list(COLUMNS), "rows": told, "pulse": {"connected": True}})
    return found


def test_a_crowd_is_cut_and_counted() -> None:
    found = glance(TRACKS_MAX + 50)
    assert len(found.lines(low_only=False)) == TRACKS_MAX
    assert f"tracks {TRACKS_MAX + 50}" in found.state(0.0)
    found.take({"kind": "news", "version": 2, "gone": ["1:0"], "pulse": {"connected": True, "age_s": 9.0}})
    assert f"STALE 9 s  tracks {TRACKS_MAX + 49}" in found.state(0.0)


def test_what_is_most_urgent_of_a_track() -> None:
    assert urgency({"border_distance_m": -1_240.0, "time_to_border_s": None}) == "INSIDE 1.2 km"
    civil = {"border_distance_m": -40_000.0, "time_to_border_s": None, "cooperative": True}
    assert urgency(civil) == "inside 40.0 km"
    assert urgency({"border_distance_m": 900.0, "time_to_border_s": 250.0}) == "border 4:10"
    assert urgency({"border_distance_m": 12_000.0, "time_to_border_s": None}) == "near 12.0 km"
    assert urgency({"border_distance_m": None, "time_to_border_s": None}) == ""


def test_without_a_terminal_it_says_so() -> None:
    done = CliRunner().invoke(app, ["top"])
    assert done.exit_code == 2
    assert "needs a terminal" in done.stderr
