"""Who speaks ASTERIX, over UDP or from a recording, as batches and words of our sensors: radars (CAT048 and CAT034),
ADS-B ground stations (CAT021), neighbours' trackers (CAT062), radio direction finders (CAT205), and sensors of what
does not answer (CAT015), which are radars, finders or trackers as they are named.

Which of them is which sensor is told by SAC and SIC. One that nobody named, a category that is none of these, and a
datagram that is none at all are counted by reason and skipped. A message does not say where its radar is: that stands
in the service's sensors.toml; where CAT034 says it, it is logged once, to compare.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import dpkt
import numpy as np
import structlog

from adapters.asterix import Block, Layout, Walked, blocks, near, walk
from adapters.bridges.common import Heard, Numbered, Tally
from adapters.formats import cat015, cat021, cat034, cat048, cat062, cat205
from adapters.wire import Decoded
from fusion.schema import I4, I8, US_PER_S, Frame, Invalid, SensorKind, SensorSpec, SensorStatus, take

STATUS_EVERY_US = 10 * US_PER_S
Named = Mapping[tuple[int, ...], str]  # (SAC, SIC): sensor; of finders also (SAC, SIC, identification)
_log = structlog.get_logger("vedette.bridge")


class _Reading(NamedTuple):
    """A category whose records are reports; `of` and `plots` are those of its format."""

    layout: Layout
    of: Callable[[Walked], tuple[Any, dict[str, int]]]
    plots: Callable[[Any, SensorSpec, int], Decoded]
    senders: tuple[str, ...]  # who may send it: the first that has the SAC and SIC


KINDS = {
    "radar": SensorKind.RADAR_2D,
    "station": SensorKind.ADSB,
    "neighbour": SensorKind.TRACK,
    "finder": SensorKind.BEARING,
}
REPORTS = {
    cat015.CATEGORY: _Reading(cat015.LAYOUT, cat015.of, cat015.plots, ("radar", "finder", "neighbour")),
    cat021.CATEGORY: _Reading(cat021.LAYOUT, cat021.of, cat021.plots, ("station",)),
    cat048.CATEGORY: _Reading(cat048.LAYOUT, cat048.of, cat048.plots, ("radar",)),
    cat062.CATEGORY: _Reading(cat062.LAYOUT, cat062.of, cat062.plots, ("neighbour",)),
    cat205.CATEGORY: _Reading(cat205.LAYOUT, cat205.of, cat205.plots, ("finder",)),
}


_NOBODY: Named = MappingProxyType({})


class Ear:
    """Datagrams in, what they say out; keeps only what was said last of each radar's state and place."""

    def __init__(self, radars: Named, stations: Named = _NOBODY, neighbours: Named = _NOBODY, finders: Named = _NOBODY):
        self._named = {"radar": radars, "station": stations, "neighbour": neighbours, "finder": finders}
        self._said: dict[str, tuple[str, int]] = {}  # state, and when it was told
        self._placed: list[str] = []

    def sensors(self) -> list[str]:
        """Whom it listens to, in order."""
        return sorted(dict.fromkeys(name for named in self._named.values() for name in named.values()))

    def hear(self, datagrams: Sequence[tuple[int, bytes]], heard: Heard) -> None:
        """Add what these (arrival, octets) say; of each sensor they become one batch, that arrived with the last."""
        heard.pieces += len(datagrams)
        found: dict[int, list[Block]] = {}
        data, rx_us = b"".join(octets for _, octets in datagrams), max((us for us, _ in datagrams), default=0)
        at = 0
        for _, octets in datagrams:
            try:
                for block in blocks(octets):
                    moved = Block(block.category, at + block.start, at + block.stop)
                    found.setdefault(block.category, []).append(moved)
            except Invalid as fault:
                heard.refused[fault.reason] += 1
            at += len(octets)
        for category, some in sorted(found.items()):
            if (reading := REPORTS.get(category)) is not None:
                reports, faults = reading.of(walk(reading.layout, data, some))
                heard.refused.update(faults)
                self._reports(reading, reports, rx_us, heard)
            elif category == cat034.CATEGORY:
                services, faults = cat034.of(walk(cat034.LAYOUT, data, some))
                heard.refused.update(faults)
                self._services(services, rx_us, heard)
            else:
                heard.refused[f"category-{category}"] += len(some)

    def _reports(self, reading: _Reading, reports: Any, rx_us: int, heard: Heard) -> None:
        own = getattr(reports, "finder", None)
        for sender, name, rows in self._owners(reading.senders, reports.sac, reports.sic, heard.refused, own):
            decoded = reading.plots(take(reports, rows), SensorSpec(name, 0, KINDS[sender]), rx_us)
            heard.refused.update(decoded.rejected)
            if len(decoded.batch):
                heard.batches.append(decoded.batch)

    def _services(self, services: cat034.Services, rx_us: int, heard: Heard) -> None:
        for _, name, rows in self._owners(("radar",), services.sac, services.sic, heard.refused):
            for row in rows.tolist():
                self._place(name, services, row)
                if not services.told[row]:
                    continue
                state = "off" if services.no_go[row] else "degraded" if services.overload[row] else "ok"
                before, said_us = self._said.get(name, ("", -STATUS_EVERY_US))
                if state != before or rx_us - said_us >= STATUS_EVERY_US:
                    self._said[name] = (state, rx_us)
                    t_us = int(near(services.day_us[[row]], rx_us)[0]) if services.day_us[row] >= 0 else rx_us
                    heard.words.append(SensorStatus(name, rx_us, t_us, state, _DETAIL[state]))

    def _place(self, name: str, services: cat034.Services, row: int) -> None:
        if name not in self._placed and np.isfinite(services.lat_rad[row]):
            self._placed.append(name)
            lat, lon = np.degrees([services.lat_rad[row], services.lon_rad[row]])
            height_m = float(services.height_m[row])
            where = {"lat_deg": round(float(lat), 5), "lon_deg": round(float(lon), 5), "height_m": height_m}
            _log.info("the radar says where it is", sensor=name, **where)

    def _owners(
        self, senders: tuple[str, ...], sac: I4, sic: I4, refused: Counter[str], own: I4 | None = None
    ) -> Iterator[tuple[str, str, I8]]:
        """What they are, their sensor, and the rows that are theirs. `own`: an identification beside SAC and SIC, -1
        where there is none; then it is part of who speaks."""
        own = np.full(len(sac), -1, np.int32) if own is None else own
        code = sac.astype(np.int64) << 17 | sic.astype(np.int64) << 9 | (own + 1)
        for one in np.unique(code).tolist():
            rows = np.flatnonzero(code == one)
            who: tuple[int, ...] = (one >> 17, one >> 9 & 0xFF, (one & 0x1FF) - 1)
            who = who if who[2] >= 0 else who[:2]
            known = ((sender, self._named[sender].get(who)) for sender in senders)
            found = next(((sender, name) for sender, name in known if name is not None), None)
            if found is not None:
                yield *found, rows
            else:
                refused[f"{senders[0] if len(senders) == 1 else 'sensor'}-{'/'.join(map(str, who))}"] += len(rows)


_DETAIL = {"ok": "", "degraded": "the radar's data processor is overloaded", "off": "the radar says: not to be used"}


def _raw(octets: bytes) -> dpkt.Packet:
    """A packet that begins with its IP header."""
    return _Bare(dpkt.ip6.IP6(octets) if octets[:1] and octets[0] >> 4 == 6 else dpkt.ip.IP(octets))


class _Bare(NamedTuple):
    data: dpkt.Packet


_LINKS: dict[int, Callable[[bytes], Any]] = {  # what lies before IP in a packet of each link type
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,  # what tcpdump writes of `-i any` since 4.99
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_LOOP: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_RAW: _raw,
    101: _raw,  # LINKTYPE_RAW, as files have it
}


def from_pcap(path: Path) -> Iterator[tuple[int, bytes]]:
    """(microseconds UTC, payload) of every UDP datagram of a capture (pcap or pcapng). Of one that was cut off within a
    packet, what lies before it.

    Raises:
        ValueError: it is none, or of links whose packets are not known here.
    """
    with path.open("rb") as file:
        reader = dpkt.pcap.UniversalReader(file)
        link = _LINKS.get(reader.datalink())
        if link is None:
            raise ValueError(f"link type {reader.datalink()} is not known here")
        try:
            for time_s, octets in reader:
                try:
                    packet = link(octets).data.data
                except (dpkt.UnpackError, AttributeError):
                    continue  # no IP in it
                if isinstance(packet, dpkt.udp.UDP):
                    yield round(time_s * US_PER_S), bytes(packet.data)
        except dpkt.NeedData:
            _log.warning("the capture ends within a packet, what lies before it is read", capture=str(path))


def frames(heard_at: Iterable[tuple[int, bytes]], ear: Ear, tally: Tally, shift_us: int = 0) -> Iterator[Frame]:
    """A capture as frames of a log, every datagram by itself; `shift_us` is added to the times of arrival."""
    numbers, seq = Numbered(boot=1), 0
    for rx_us, data in heard_at:
        heard = Heard()
        ear.hear([(rx_us + shift_us, data)], heard)
        made = numbers.frames(heard)
        tally.note(heard, len(made))
        for frame in made:
            yield replace(frame, seq=seq)
            seq += 1
