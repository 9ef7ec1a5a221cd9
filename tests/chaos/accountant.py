"""Who counts afterwards: what was to be said, what was journalled, what a third party heard, and every plot.

Each fault is a sentence; none means that nothing was lost, invented or told in two ways.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from adapters.formats import alert as alert_format
from adapters.incidents.database import entry_of
from fusion import geo
from fusion.schema import Alert
from tests.chaos.sky import Flight

NEAR_M = 3_000.0  # an alert is of a flight this near; the next one is 25 km away
WRONG_US = 3_000_000  # so far behind may the host's clock be at a start, and alerts are told by it
RESET = "picture reset"  # a cold start closes what is open by name, and raises again what is still true


@dataclass(slots=True)
class Books:
    """What is compared."""

    flights: Sequence[Flight]
    expected: Sequence[Alert]  # transitions of the undisturbed run
    journal: Sequence[bytes]
    log_heard: Sequence[bytes]  # on alert-log
    heard: Mapping[str, Sequence[bytes]]  # by alert id, on alert/{id}; b"" is a cleared one
    kept: Mapping[str, bytes]  # retained at the end
    counters: Mapping[str, float]  # of the service: used, late, future
    items: int  # plots, messages without any, and orders that were sent
    wrong: int = 0  # of these, with a wrong clock
    last: Mapping[str, int] = field(default_factory=dict)  # sensor -> newest number sent
    marks: Mapping[str, int] = field(default_factory=dict)  # sensor -> watermark
    cold: bool = False  # a cold start was to be expected: counters begin anew, alerts may be raised again


def faults(books: Books) -> list[str]:
    """All that does not balance."""
    alerts = [entry for entry in map(entry_of, books.journal) if isinstance(entry, Alert)]
    return [*_raised(books, alerts), *_lives(books, alerts), *_heard(books, alerts), *_plots(books)]


def flight_of(alert: Alert, flights: Sequence[Flight]) -> Flight | None:
    """The flight that was there."""
    for flight in flights:
        lat, lon = flight.at(alert.t_us)
        lived = flight.from_us - WRONG_US <= alert.t_us <= flight.until_us + 30_000_000
        if lived and geo.inverse_1(lat, lon, alert.lat_rad, alert.lon_rad)[0] < NEAR_M:
            return flight
    return None


def _raised(books: Books, alerts: Sequence[Alert]) -> list[str]:
    """By flight and rule: as often as undisturbed."""
    found: list[str] = []
    wanted: dict[tuple[int, str], int] = {}
    for alert in books.expected:
        if alert.state == "raised":
            flight = flight_of(alert, books.flights)
            assert flight is not None, "the undisturbed run is wrong"
            wanted[flight.number, alert.rule] = wanted.get((flight.number, alert.rule), 0) + 1
    resets: dict[tuple[int, str], int] = {}
    raised: dict[tuple[int, str], int] = {}
    owner: dict[str, tuple[int, str]] = {}
    for alert in alerts:
        if alert.state == "raised":
            flight = flight_of(alert, books.flights)
            if flight is None:
                found.append(f"invented: {alert.rule} {alert.id} where nothing flew")
                continue
            owner[alert.id] = (flight.number, alert.rule)
            raised[owner[alert.id]] = raised.get(owner[alert.id], 0) + 1
        elif alert.state == "closed" and RESET in alert.close_reason and alert.id in owner:
            resets[owner[alert.id]] = resets.get(owner[alert.id], 0) + 1
    if resets and not books.cold:
        found.append(f"reset without need: {resets}")
    for key in {**wanted, **raised}:
        want, have, again = wanted.get(key, 0), raised.get(key, 0), resets.get(key, 0)
        if have < want:
            found.append(f"lost: flight {key[0]} raised {have} of {want}")
        elif have > want + again:
            found.append(f"invented: flight {key[0]} raised {have} times, {want} wanted, {again} resets")
    return found


def _lives(books: Books, alerts: Sequence[Alert]) -> list[str]:
    """Each alert is raised once, first, and nothing follows its end."""
    found: list[str] = []
    state: dict[str, str] = {}
    for alert in alerts:
        before = state.get(alert.id, "")
        if (before == "") != (alert.state == "raised") or before == "closed":
            found.append(f"conflicting: {alert.id} {alert.state} after {before or 'nothing'}")
        state[alert.id] = alert.state
    open_ = [name for name, newest in state.items() if newest != "closed"]
    if sorted(open_) != sorted(books.kept):
        found.append(f"conflicting: open in the journal {sorted(open_)}, at the broker {sorted(books.kept)}")
    return found


def _heard(books: Books, alerts: Sequence[Alert]) -> list[str]:
    """What anybody heard stands in the journal, and every alert of the journal was heard."""
    found: list[str] = []
    journalled = [*books.journal]
    known = {*journalled}
    for payload in books.log_heard:
        if payload not in known:
            found.append(f"conflicting: heard and not journalled: {payload[:200]!r}")
    for name, payloads in books.heard.items():
        if name not in {alert.id for alert in alerts}:
            found.append(f"invented: {name} was heard and is in no journal")
        for payload in payloads:
            if payload and alert_format.decode(payload).id != name:
                found.append(f"conflicting: {name} carries another alert")
    heard = {alert_format.decode(payload).id for payload in books.log_heard if b'"vedette.alert.v1"' in payload}
    for name in dict.fromkeys(alert.id for alert in alerts):
        if name not in heard and not any(books.heard.get(name, ())):
            found.append(f"lost: {name} was journalled and nobody heard it")
    return found


def _plots(books: Books) -> list[str]:
    found: list[str] = []
    if books.marks != books.last:
        found.append(f"messages: watermarks {dict(books.marks)}, sent {dict(books.last)}")
    if not books.cold:
        told = sum(books.counters.get(name, math.nan) for name in ("used", "late", "future"))
        if told != books.items:
            found.append(f"items: {books.items} sent, accounted {dict(books.counters)}")
        if books.counters.get("future", 0.0) > books.wrong:
            found.append(f"plots: {books.counters['future']} from the future, {books.wrong} with a wrong clock")
    if books.counters.get("unaccounted", 0.0):
        found.append(f"plots: {books.counters['unaccounted']} unaccounted")
    return found
