"""A receiver that sends raw 1090 MHz in the Beast format: what each aircraft said in pieces, as plots of its positions.

A position needs an even and an odd message within ten seconds, or one and a place where that aircraft was at most ten
minutes ago. Where it disagrees with the place of the last half minute it is refused: two aircraft under one address, or
an error that parity did not see. After half a minute of that a new beginning is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.bridges.common import Heard
from adapters.bridges.source import Piece
from adapters.formats import beast
from adapters.modes import cpr, squitter
from adapters.modes.accuracies import SIGMA_BY_GVA_M, SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS
from adapters.modes.latest import Columns, Known, Latest
from adapters.modes.squitter import NOT_ICAO, Said
from adapters.wire import stand
from fusion.schema import B1, F8, I8, US_PER_S, PlotKind, SensorKind, SensorSpec

PAIR_US = 10 * US_PER_S  # DO-260B: airborne messages further apart are no pair
FRESH_US = 30 * US_PER_S  # a place that a new one must agree with
PLACE_US = 600 * US_PER_S  # a place that one message alone is read by: 166 km in ten minutes is faster than sound
AGREE_DEG = 0.02  # 2 km of latitude: the two readings differ by nothing, or by a whole zone
VELOCITY_US = 5 * US_PER_S
HEIGHT_US = 10 * US_PER_S
QUALITY_US = 60 * US_PER_S  # told every 2.5 s
NAME_US = 600 * US_PER_S
MOST_TORN_OCTETS = 64  # of the beginning of a frame: more is none
NEAR_US = US_PER_S  # a usual delay differs by less
BACKLOG_US = 10 * US_PER_S  # what waited on the way; a counter further off has begun anew
DRIFT = 100e-6  # of a receiver's oscillator against our clock, at most
GROUPS = {
    "even": {"lat": "i8", "lon": "i8"},
    "odd": {"lat": "i8", "lon": "i8"},
    "name": {"callsign": "S8", "category": "i1"},
    "velocity": {"east_mps": "f8", "north_mps": "f8", "up_mps": "f8", "nacv": "i1"},
    "height": {"pressure_height_m": "f8"},
    "above": {"above_pressure_m": "f8"},
    "status": {"version": "i1", "supplement_a": "i1", "supplement_c": "i1", "nacp": "i1", "sil": "i1", "gva": "i1"},
    "code": {"mode3a": "i4"},
}


class Ticks:
    """When frames were received, by the receiver's own counter of 12 MHz, whose beginning nobody says.

    The least delay seen tells where it began; the counter then tells a frame's time better than its arrival, also of a
    backlog that comes late. A counter that began anew is believed at once when it is far off, else after half a minute.
    """

    def __init__(self) -> None:
        self._began_us: float | None = None  # on our clock
        self._last_us = 0.0  # the newest frame, on the counter
        self._near_us = 0  # the last arrival without a backlog

    def times_us(self, ticks: I8, rx_us: int) -> I8:
        """(n,) of frames that arrived together; never after they did."""
        told = ticks >= 0
        if not told.any():
            return np.full(len(ticks), rx_us, np.int64)
        on_us = ticks / beast.TICKS_PER_US
        newest_us = float(on_us[told].max())
        began_us = rx_us - newest_us
        if self._began_us is not None:
            late_us = began_us - self._began_us
            waited = 0.0 < late_us <= BACKLOG_US and rx_us - self._near_us <= FRESH_US
            if abs(late_us) <= NEAR_US or waited:
                began_us = min(began_us, self._began_us + DRIFT * max(newest_us - self._last_us, 0.0))
            if abs(late_us) <= NEAR_US or not waited:
                self._near_us = rx_us
        else:
            self._near_us = rx_us
        self._began_us, self._last_us = began_us, newest_us
        t_us = np.rint(on_us + began_us).astype(np.int64)
        fine = told & (np.abs(t_us - rx_us) <= BACKLOG_US)
        return np.where(fine, np.minimum(t_us, rx_us), rx_us)


class Beast:
    """Octets in, plots of one sensor out."""

    def __init__(self, sensor: str) -> None:
        self._spec = SensorSpec(sensor, 0, SensorKind.ADSB)
        self._torn = b""
        self._ticks = Ticks()
        self._latest = Latest(GROUPS)
        self._places = Latest({"place": {"lat_deg": "f8", "lon_deg": "f8"}, "sure": {}})

    def cut(self) -> None:
        """The connection ended; who comes after it may be another, with a counter of its own."""
        self._torn, self._ticks = b"", Ticks()

    def hear(self, pieces: Sequence[Piece], heard: Heard) -> None:
        """Add the plots of these pieces."""
        if not pieces:
            return
        rx_us = pieces[-1][0]
        data = self._torn + b"".join(octets for _, octets in pieces)
        frames, used, faults = beast.decode(data)
        self._torn = data[used:]
        if len(self._torn) > MOST_TORN_OCTETS:
            self._torn = b""
            faults["not-a-frame"] = faults.get("not-a-frame", 0) + 1
        heard.pieces += len(frames)
        heard.refused.update(faults)
        mode_s = (frames.kind == beast.SHORT) | (frames.kind == beast.LONG)
        octets, long = frames.octets[mode_s], frames.kind[mode_s] == beast.LONG
        t_us = self._ticks.times_us(frames.ticks[mode_s], rx_us)
        if len(octets):
            self.read(octets, long, t_us, rx_us, heard)

    def read(self, octets: NDArray[np.uint8], long: B1, t_us: I8, rx_us: int, heard: Heard) -> None:
        """Add the plots of Mode S messages (n, 14) that were received at `t_us` (n,)."""
        said = squitter.messages(octets, long)
        squitters = np.isin(said.format, squitter.EXTENDED)
        reply = np.isin(said.format, (*squitter.ALTITUDE, *squitter.CODE))
        broken = int(np.count_nonzero(squitters & ~said.sound))
        if broken:  # or a part of extended squitter that is no ADS-B
            heard.refused["parity"] += broken
        rows = np.flatnonzero(said.sound | (reply & self._latest.holds(said.key)))
        if not len(rows):
            return
        said, t_us = _rows(said, rows), t_us[rows]
        known = self._latest.follow(said.key, t_us, _groups(said))
        lat_deg, lon_deg, placed = self._place(said, known, t_us, heard)
        for latest in (self._latest, self._places):
            if latest.forgotten:
                heard.refused["too-many-aircraft"] += latest.forgotten
                latest.forgotten = 0
        columns = _columns(said, known)
        columns |= {"lat_rad": np.radians(lat_deg), "lon_rad": np.radians(lon_deg)}
        chosen = {name: column[placed] for name, column in columns.items()}
        made = stand(self._spec, PlotKind.POSITION, rx_us, t_us[placed], -1, -1, chosen, {})
        heard.refused.update(made.rejected)
        if len(made.batch):
            heard.batches.append(made.batch)

    def _place(self, said: Said, known: dict[str, Known], t_us: I8, heard: Heard) -> tuple[F8, F8, B1]:
        """Where (degrees), and where that is known."""
        has, odd = said.odd >= 0, said.odd == 1
        even, odd_one = known["even"], known["odd"]
        paired = has & ~said.surface & even.within(PAIR_US) & odd_one.within(PAIR_US)
        pair = [(one.values["lat"], one.values["lon"]) for one in (even, odd_one)]
        lat_deg, lon_deg, fine = cpr.anywhere(pair[0], pair[1], odd)
        paired &= fine
        # What was known before this batch: nobody flies out of the reach of that in a tenth of a second.
        nowhere = np.zeros(len(said), np.bool_)
        before = self._places.follow(
            said.key, t_us, {"place": (nowhere, _degrees(lat_deg, lon_deg)), "sure": (nowhere, {})}
        )
        place, span_deg = before["place"], np.where(said.surface, 90.0, 360.0)
        by_lat_deg, by_lon_deg, ok = cpr.near(
            said.lat, said.lon, odd, place.values["lat_deg"], place.values["lon_deg"], span_deg
        )
        apart_deg = np.maximum(np.abs(by_lat_deg - lat_deg), np.abs((by_lon_deg - lon_deg + 180.0) % 360.0 - 180.0))
        doubtful = paired & before["sure"].within(FRESH_US) & (apart_deg > AGREE_DEG)
        if doubtful.any():
            heard.refused["ambiguous-position"] += int(np.count_nonzero(doubtful))
        sure = paired & ~doubtful
        placed = sure | (has & ~paired & ok & place.within(PLACE_US))
        lat_deg, lon_deg = np.where(paired, lat_deg, by_lat_deg), np.where(paired, lon_deg, by_lon_deg)
        self._places.follow(said.key, t_us, {"place": (placed, _degrees(lat_deg, lon_deg)), "sure": (sure, {})})
        return lat_deg, lon_deg, placed


def _degrees(lat_deg: F8, lon_deg: F8) -> Columns:
    return {"lat_deg": lat_deg, "lon_deg": lon_deg}


def _rows(said: Said, rows: I8) -> Said:
    return Said(*(getattr(said, field.name)[rows] for field in fields(Said)))


def _groups(said: Said) -> dict[str, tuple[B1, Columns]]:
    """What every message says, by group."""
    place = {"lat": said.lat, "lon": said.lon}
    has = {
        "even": ((said.odd == 0) & ~said.surface, place),
        "odd": ((said.odd == 1) & ~said.surface, place),
    }
    told = {
        "name": said.callsign != b"",
        "velocity": ~np.isnan(said.east_mps),
        "height": ~np.isnan(said.pressure_height_m),
        "above": ~np.isnan(said.above_pressure_m),
        "status": said.version >= 0,
        "code": said.mode3a >= 0,
    }
    return has | {group: (there, {c: getattr(said, c) for c in GROUPS[group]}) for group, there in told.items()}


def _columns(said: Said, known: dict[str, Known]) -> dict[str, NDArray[Any]]:
    """What a plot of each message would carry beside its place."""

    def fresh(group: str, name: str, most_us: int, otherwise: float | bytes) -> NDArray[Any]:
        return np.where(known[group].within(most_us), known[group].values[name], otherwise)

    pressure_m = fresh("height", "pressure_height_m", HEIGHT_US, np.nan)
    geometric_m = pressure_m + fresh("above", "above_pressure_m", QUALITY_US, np.nan)
    version, a, c = (fresh("status", f, QUALITY_US, -1) for f in ("version", "supplement_a", "supplement_c"))
    new = version >= 1  # of the first version these four bits meant other things
    nacp = np.where(new, fresh("status", "nacp", QUALITY_US, -1), -1)
    nacp = np.where(nacp <= 11, nacp, -1)
    nacv = np.where(new, fresh("velocity", "nacv", VELOCITY_US, -1), -1)
    nacv = np.where(nacv <= 4, nacv, -1)
    gva = fresh("status", "gva", QUALITY_US, -1)
    gva = np.where(gva <= 2, gva, -1)
    return {
        "sigma_position_m": SIGMA_BY_NACP_M[nacp + 1],
        "height_m": np.where(np.isnan(said.height_m), geometric_m, said.height_m),
        "sigma_height_m": SIGMA_BY_GVA_M[gva + 1],
        "pressure_height_m": pressure_m,
        "velocity_east_mps": fresh("velocity", "east_mps", VELOCITY_US, np.nan),
        "velocity_north_mps": fresh("velocity", "north_mps", VELOCITY_US, np.nan),
        "velocity_up_mps": fresh("velocity", "up_mps", VELOCITY_US, np.nan),
        "sigma_velocity_mps": SIGMA_BY_NACV_MPS[nacv + 1],
        "address": np.where(said.key & NOT_ICAO, -1, said.key).astype(np.int32),
        "mode3a": fresh("code", "mode3a", QUALITY_US, -1).astype(np.int32),
        "nic": squitter.nic(said.kind, version, a, said.supplement_b, c),
        "nacp": nacp.astype(np.int8),
        "nacv": nacv.astype(np.int8),
        "sil": np.where(new, fresh("status", "sil", QUALITY_US, -1), -1).astype(np.int8),
        "category": fresh("name", "category", NAME_US, -1).astype(np.int8),
        "on_ground": said.surface.astype(np.int8),
        "callsign": fresh("name", "callsign", NAME_US, b"").astype("S8"),
    }
