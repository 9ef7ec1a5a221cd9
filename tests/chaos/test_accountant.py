"""The accountant finds every kind of false entry: balanced books with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters.formats import alert as alert_format
from adapters.wire import Names
from fusion.schema import Alert, Frame
from tests.chaos import sky
from tests.chaos.accountant import Books, faults
from tests.chaos.faults import BROKER, SERVICE, schedule

START_US = 1_795_000_000_000_000
NAMES = Names("test")
FLIGHTS = [sky.Flight(n, low=n != 1, from_us=START_US) for n in range(3)]


@pytest.fixture(name="alerts", scope="module")
def _alerts(tmp_path_factory: pytest.TempPathFactory) -> list[Alert]:
    config = sky.loaded(sky.write(tmp_path_factory.mktemp("books"), 1883, 9464))
    frames = []
    for n in range(16):
        t_us = START_US + n * sky.STEP_US // 2
        sensor = sky.SENSORS[n % 2]
        payload, _ = sky.message(FLIGHTS, sensor, t_us, n // 2)
        frames.append(Frame(0, t_us, f"in/{sensor}/plots", payload))
    found = sky.undisturbed(config, frames)
    assert [alert.state for alert in found].count("raised") == 2
    return found


def books(alerts: list[Alert]) -> Books:
    """As they should be."""
    entries = [alert_format.encode(alert, NAMES, n) for n, alert in enumerate(alerts)]
    heard: dict[str, list[bytes]] = {}
    for alert, entry in zip(alerts, entries, strict=True):
        heard.setdefault(alert.id, []).append(entry)
    kept = {name: payloads[-1] for name, payloads in heard.items()}
    counters = {"used": 48.0, "late": 0.0, "future": 0.0, "unaccounted": 0.0}
    return Books(FLIGHTS, alerts, entries, entries, heard, kept, counters, 48, 0, {"A": 7}, {"A": 7})


def test_balanced_books_have_no_fault(alerts: list[Alert]) -> None:
    assert faults(books(alerts)) == []


FALSE: dict[str, Callable[[Books, list[Alert]], Books]] = {
    "lost: flight": lambda b, a: replace(b, journal=[e for e, x in zip(b.journal, a, strict=True) if x.id != a[0].id]),
    "invented: flight": lambda b, a: replace(
        b, journal=[*b.journal, alert_format.encode(replace(a[0], id="another"), NAMES, 9)]
    ),
    "where nothing flew": lambda b, a: replace(b, flights=b.flights, expected=[], journal=[
        alert_format.encode(replace(a[0], lat_rad=a[0].lat_rad + 0.1), NAMES, 9), *b.journal[1:]
    ]),
    "raised after raised": lambda b, a: replace(b, journal=[b.journal[0], *b.journal]),
    "at the broker": lambda b, a: replace(b, kept={}),
    "heard and not journalled": lambda b, a: replace(b, log_heard=[alert_format.encode(a[0], NAMES, 77)]),
    "nobody heard": lambda b, a: replace(b, log_heard=[], heard={}),
    "in no journal": lambda b, a: replace(b, heard={**b.heard, "stranger": []}),
    "carries another": lambda b, a: replace(b, heard={a[0].id: b.heard[a[1].id], a[1].id: b.heard[a[1].id]}),
    "watermarks": lambda b, a: replace(b, marks={"A": 6}),
    "items": lambda b, a: replace(b, items=49),
    "unaccounted": lambda b, a: replace(b, counters={**b.counters, "unaccounted": 1.0}),
    "reset without need": lambda b, a: replace(b, journal=[*b.journal, alert_format.encode(
        replace(a[0], state="closed", close_reason="picture reset: x"), NAMES, 9)]),
}  # fmt: skip


@pytest.mark.parametrize("words", FALSE)
def test_every_false_entry_is_found(words: str, alerts: list[Alert]) -> None:
    found = faults(FALSE[words](books(alerts), alerts))
    assert any(words in fault for fault in found), found


def test_a_schedule_follows_from_its_seed_and_seeds_in_a_row_have_every_kind() -> None:
    for kinds in (BROKER, SERVICE):
        drawn = [schedule(seed, kinds) for seed in range(40, 40 + len(kinds))]
        assert drawn == [schedule(seed, kinds) for seed in range(40, 40 + len(kinds))]
        assert {found[0].kind for found in drawn} == {*kinds}
        assert all(len({fault.kind for fault in found}) == len(found) for found in drawn)


def test_a_flight_is_where_its_number_says() -> None:
    once, again = (sky.message(FLIGHTS, "A", START_US + 5 * sky.STEP_US, 3) for _ in range(2))
    assert once == again
    assert once[1] == 3
