"""Lines and answers become bearings of the sensors that their sources are; what nobody named is counted."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bridges.bearings import ANY, MOST_TOLD, Bearings, Kraken, Named
from adapters.bridges.common import Heard
from adapters.formats import bearing, kraken
from adapters.formats.bearing import Bearing, State
from fusion.schema import PlotKind, SensorStatus
from tests.test_formats_kraken import T_MS, line

RX_US = 1_795_435_201_000_000
BOTH = Named({"mic-1": "SOUND1", "mic-2": "SOUND2"})


def hear(ear: Bearings, *pieces: bytes) -> Heard:
    """What pieces add."""
    heard = Heard()
    ear.hear([(RX_US + n, octets) for n, octets in enumerate(pieces)], heard)
    return heard


def at(second: int, degrees: float, source: str = "") -> bytes:
    """A line."""
    return bearing.encode_line(Bearing(RX_US - 1_000_000 * second, math.radians(degrees), source=source))


def test_each_source_is_its_sensor_and_what_came_together_is_one_batch() -> None:
    lines = at(3, 10, "mic-1") + at(2, 20, "mic-2") + at(1, 30, "mic-1") + at(1, 40, "mic-3") + at(1, 50)
    heard = hear(Bearings(BOTH), lines[:77], lines[77:])
    assert [(b.sensor, b.kind, b.rx_us) for b in heard.batches] == [
        ("SOUND1", PlotKind.BEARING, RX_US + 1), ("SOUND2", PlotKind.BEARING, RX_US + 1),
    ]  # fmt: skip
    assert [round(math.degrees(a)) for a in heard.batches[0].azimuth_rad.tolist()] == [10, 30]
    assert dict(heard.refused) == {"unknown-source": 2}
    assert heard.pieces == 5
    assert len(hear(Bearings(Named({ANY: "S"})), lines).batches[0]) == 5  # one sensor, whoever it says that it is


def test_a_state_is_the_sensors_own_word() -> None:
    octets = bearing.encode_line(State("degraded", "wind", "mic-2")) + bearing.encode_line(State("ok", source="mic-9"))
    heard = hear(Bearings(BOTH), octets)
    assert [(word.sensor, word.state, word.detail) for word in heard.words] == [("SOUND2", "degraded", "wind")]
    assert dict(heard.refused) == {"unknown-source": 1}


def test_a_connection_that_stands_calls_no_sensor_well_that_says_otherwise() -> None:
    named = Named({"mic-1": "SOUND1", "mic-2": "SOUND2"})
    ear = Bearings(named)

    async def connection() -> AsyncGenerator[Heard, None]:
        for said in (b"", bearing.encode_line(State("degraded", "wind", "mic-2")), b"", None):
            heard = hear(ear, said or b"")
            if said is None:
                ear.cut()
            heard.words += [SensorStatus(name, RX_US, RX_US, "ok") for name in ("SOUND1", "SOUND2")]
            yield heard

    async def play() -> list[list[tuple[str, str]]]:
        return [[(w.state, w.detail) for w in one.words] async for one in named.heard(connection())]

    worse = ("degraded", "wind")
    assert asyncio.run(play()) == [
        [("ok", "")] * 2, [worse, ("ok", ""), worse], [("ok", ""), worse], [("ok", "")] * 2,
    ]  # fmt: skip


def test_a_datagram_ends_its_line_and_a_connection_that_ends_tears_it() -> None:
    torn = at(1, 10, "mic-1")[:-1]
    assert len(hear(Bearings(BOTH, whole=True), torn, torn).batches[0]) == 2
    ear = Bearings(BOTH)
    assert not hear(ear, torn[:20]).batches
    ear.cut()
    assert hear(ear, torn + b"\n").batches


def test_what_is_wrong_is_counted_and_stops_nothing() -> None:
    heard = hear(Bearings(BOTH), b"nonsense\n\xff\n{}\n" + at(1, 10, "mic-1"))
    assert dict(heard.refused) == {"malformed": 1, "not-utf8": 1, "missing-field": 1}
    assert len(heard.batches) == 1


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_octets_at_all_stop_it(pieces: list[bytes]) -> None:
    ear = Bearings(BOTH)
    hear(ear, *pieces)
    ear.cut()
    assert hear(ear, at(1, 10, "mic-1")).batches


def test_a_finder_that_is_asked_often_is_heard_once() -> None:
    ear, heard = Kraken(Named({ANY: "RDF1"})), Heard()
    first, second = line(), line(frequency_hz=868_000_000)
    assert ear.answer(RX_US, kraken.encode([first, second]), heard) == ""
    assert ear.answer(RX_US + 1, kraken.encode([first, second]), heard) == ""
    assert ear.answer(RX_US + 2, kraken.encode([line(t_ms=T_MS + 500)]), heard) == ""
    assert [(b.sensor, len(b)) for b in heard.batches] == [("RDF1", 2), ("RDF1", 1)]
    assert math.degrees(heard.batches[0].azimuth_rad[0]) == pytest.approx(60.0)
    assert heard.batches[1].t_us.tolist() == [(T_MS + 500) * 1_000]
    assert ear.answer(RX_US + 3, b"<html>not found</html>", heard) == "its answer holds no bearing"
    assert ear.answer(RX_US + 3, b"", heard) == ""  # it hears nobody
    assert dict(heard.refused) == {"missing-field": 1}
    assert heard.pieces == 5


def test_a_finder_that_sweeps_fills_no_memory() -> None:
    ear, heard = Kraken(Named({"RDF-hill": "RDF1"})), Heard()
    for n in range(2 * MOST_TOLD // 50):
        lines = [line(frequency_hz=430_000_000 + 50 * n + k) for k in range(50)]
        ear.answer(RX_US, kraken.encode(lines), heard)
    assert len(ear._told) <= MOST_TOLD + kraken.MOST_CHANNELS
    assert sum(map(len, heard.batches)) == 2 * MOST_TOLD // 50 * 50
