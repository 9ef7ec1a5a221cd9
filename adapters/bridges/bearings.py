"""Who hears or finds directions, as bearings of our sensors: lines of JSON, or a KrakenSDR that is asked.

Which source is which sensor is told by name; with one sensor and no names every line is its own. A bearing of a
KrakenSDR is told once, however often it stands in an answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import structlog

from adapters.bridges.common import Heard
from adapters.bridges.source import Lines, Piece
from adapters.formats import bearing, kraken
from adapters.formats.bearing import Bearing, State
from fusion.schema import Invalid, SensorKind, SensorSpec, SensorStatus

MOST_TOLD = 1_024  # frequencies may be tuned through: then all is forgotten, and a bearing told twice
ANY = ""  # the name of every source, where one sensor is all of them
_log = structlog.get_logger("vedette.bridge")


class Named:
    """Sensors by the names that their sources give themselves."""

    def __init__(self, named: Mapping[str, str]) -> None:
        self._named = dict(named)
        self._said: dict[str, State] = {}  # what each sensor's source said last of itself

    def sensors(self) -> list[str]:
        """All of them, in order."""
        return sorted(dict.fromkeys(self._named.values()))

    def of(self, source: str) -> str:
        """The sensor of a source. Raises Invalid: `unknown-source`."""
        sensor = self._named.get(ANY) or self._named.get(source)
        if sensor is None:
            raise Invalid("unknown-source", source)
        return sensor

    def say(self, said: State, rx_us: int, heard: Heard) -> None:
        """Add what a source says of itself. Raises Invalid: `unknown-source`."""
        sensor = self.of(said.source)
        self._said[sensor] = said
        heard.words.append(SensorStatus(sensor, rx_us, rx_us, said.state, said.detail[:500]))

    def forget(self) -> None:
        """The connection ended: what they said of themselves holds no more."""
        self._said.clear()

    async def heard(self, source: AsyncGenerator[Heard, None]) -> AsyncIterator[Heard]:
        """The same, where a connection that stands calls no sensor well that says otherwise of itself."""
        async with aclosing(source) as pieces:
            async for heard in pieces:
                for n, word in enumerate(heard.words):
                    own = self._said.get(word.sensor)
                    if own is not None and word.state == "ok":
                        heard.words[n] = replace(word, state=own.state, detail=own.detail[:500])
                yield heard

    def add(self, found: Sequence[Bearing], rx_us: int, heard: Heard) -> None:
        """Add bearings to what was heard, one batch a sensor."""
        batches: dict[str, list[Bearing]] = {}
        for one in found:
            try:
                batches.setdefault(self.of(one.source), []).append(one)
            except Invalid as fault:
                heard.refused[fault.reason] += 1
        for sensor, some in sorted(batches.items()):
            made = bearing.plots(some, SensorSpec(sensor, 0, SensorKind.BEARING), rx_us)
            heard.refused.update(made.rejected)
            if len(made.batch):
                heard.batches.append(made.batch)


class Bearings:
    """Lines in, bearings and states of sensors out. `whole`: every piece is a datagram, and ends its last line."""

    def __init__(self, named: Named, whole: bool = False) -> None:
        self._named, self._lines, self._end = named, Lines(), b"\n" if whole else b""

    def cut(self) -> None:
        """The connection ended."""
        self._lines.cut()
        self._named.forget()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add what these pieces say."""
        found, last_us = list[Bearing](), 0
        for rx_us, line in self._lines.of([(us, octets + self._end) for us, octets in pieces], heard):
            try:
                said = bearing.decode_line(line)
                if isinstance(said, State):
                    self._named.say(said, rx_us, heard)
                else:
                    found.append(said)
                    last_us = rx_us
            except Invalid as fault:
                heard.refused[fault.reason] += 1
        self._named.add(found, last_us, heard)


class Kraken:
    """Answers of a KrakenSDR in, bearings out."""

    def __init__(self, named: Named) -> None:
        self._named = named
        self._told: dict[tuple[str, int], int] = {}  # (station, frequency): the newest time that was passed on
        self._placed: list[str] = []

    def answer(self, rx_us: int, body: bytes, heard: Heard) -> str:
        """Add the bearings of an answer; says what is wrong with it, or nothing."""
        heard.pieces += 1
        lines, rejected = kraken.decode(body)
        heard.refused.update(rejected)
        new = [one for one in lines if one.t_ms > self._told.get((one.station, one.frequency_hz), -1)]
        if len(self._told) > MOST_TOLD:
            self._told.clear()
        self._told |= {(one.station, one.frequency_hz): one.t_ms for one in new}
        for one in new:
            if one.station not in self._placed and len(self._placed) < kraken.MOST_CHANNELS:
                self._placed.append(one.station)
                where = {"lat_deg": one.lat_deg, "lon_deg": one.lon_deg, "heading_deg": one.heading_deg}
                _log.info("the finder says where it is", station=one.station, **where)
        self._named.add([Bearing(one.t_us, one.azimuth_rad(), source=one.station) for one in new], rx_us, heard)
        return "its answer holds no bearing" if rejected and not lines else ""
