"""readsb's `aircraft.json`, as receivers of 1090 MHz send it (README-json.md of readsb; also dump1090, tar1090).

    {"now": 1584445210.0, "messages": 1234, "aircraft": [{"hex": "473f9a", "flight": "HAYCG", "lat": 46.88, ...}]}

Feet, knots and feet per minute end here. A message repeats every aircraft's last position with its age, `seen_pos`; a
position as old as the sensor's period (`period_s`: the time between two messages) was in the message before and is not
a new plot. Neither is an aircraft without a position. Neither is counted.

`boot` and `seq` beside `now` are ours: an adapter that numbers its messages may add them.

A bridge asks for the whole file, which no broker would take as one message, or listens to `--json-port`, where every
line is one aircraft with its own `now`. It knows by `Passed` which positions it has had.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.modes.accuracies import SIGMA_BY_GVA_M, SIGMA_BY_NACP_M, SIGMA_BY_NACV_MPS
from adapters.modes.fields import CATEGORY, FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS
from adapters.passed import Passed
from adapters.rows import Told
from adapters.wire import (
    BAD_JSON,
    EARLIEST_US,
    LATEST_US,
    MOST_ANSWER_OCTETS,
    Decoded,
    check_kind,
    dump,
    parse_time,
    read_batch,
    read_rows,
    reason_of,
    rounded,
    stand,
    without_none,
)
from fusion.schema import I8, Invalid, PlotKind, Plots, SensorSpec

_LETTERS = {number: letters for letters, number in CATEGORY.items() if number > 0}
_HEX = frozenset("0123456789abcdefABCDEF")
_OCTAL = frozenset("01234567")


class _Aircraft(msgspec.Struct, gc=False):
    """What is read of one aircraft; readsb leaves out what it does not know."""

    hex: str
    lat: float | None = None
    lon: float | None = None
    seen_pos: float = 0.0
    flight: str = ""
    alt_baro: float | str | None = None  # feet, or "ground"
    alt_geom: float | None = None  # feet above the WGS84 ellipsoid
    gs: float | None = None  # knots
    track: float | None = None  # degrees from true north
    baro_rate: float | None = None  # feet per minute
    geom_rate: float | None = None
    altitude: float | str | None = None  # alt_baro, gs and baro_rate in dump1090-mutability and older ones
    speed: float | None = None
    vert_rate: float | None = None
    squawk: str = ""
    category: str = ""
    nic: int = -1
    nac_p: int = -1
    nac_v: int = -1
    sil: int = -1
    gva: int = -1


class _Message(msgspec.Struct, gc=False):
    now: float
    aircraft: list[_Aircraft]
    boot: int = -1
    seq: int = -1


class _Line(_Aircraft, kw_only=True):
    """An aircraft of `--json-port`."""

    now: float


class _Envelope(msgspec.Struct):
    now: float
    aircraft: list[msgspec.Raw]
    boot: int = -1
    seq: int = -1


_MESSAGE = msgspec.json.Decoder(_Message)
_ENVELOPE = msgspec.json.Decoder(_Envelope)
_ONE = msgspec.json.Decoder(_Aircraft)
_LINE = msgspec.json.Decoder(_Line)
CLOCK_WRONG_US = 10_000_000  # further from ours than that, a receiver's clock is not believed


def _floats(values: list[float | None], unit: float = 1.0) -> NDArray[np.float64]:
    return np.array([np.nan if v is None else v for v in values], np.float64) * unit


def _small(values: list[int], highest: int) -> NDArray[np.int8]:
    """Integrity categories; one that DO-260B does not know counts as not given: the format is not ours to refuse."""
    return np.array([v if 0 <= v <= highest else -1 for v in values], np.int8)


def _address(text: str) -> int:
    """24-bit address; -1 for the "~" of addresses that ICAO did not give, and for anything unreadable."""
    return int(text, 16) if len(text) == 6 and _HEX.issuperset(text) else -1


def _mode3a(text: str) -> int:
    return int(text, 8) if len(text) == 4 and _OCTAL.issuperset(text) else -1


def _callsign(text: str) -> bytes:
    text = text.strip()
    return text.encode() if len(text) <= 8 and text.isascii() and text.isprintable() else b""


def _columns(rows: list[_Aircraft]) -> dict[str, NDArray[Any]]:
    gs, track = (
        _floats([r.speed if r.gs is None else r.gs for r in rows], KNOT_MPS),
        np.radians(_floats([r.track for r in rows])),
    )
    baro = [r.altitude if r.alt_baro is None else r.alt_baro for r in rows]
    climb = _floats([r.vert_rate if r.baro_rate is None else r.baro_rate for r in rows])
    geometric = _floats([r.geom_rate for r in rows])
    nacp, nacv = _small([r.nac_p for r in rows], 11), _small([r.nac_v for r in rows], 4)
    gva = _small([r.gva for r in rows], 2)
    return {
        "lat_rad": np.radians(_floats([r.lat for r in rows])),
        "lon_rad": np.radians(_floats([r.lon for r in rows])),
        "sigma_position_m": SIGMA_BY_NACP_M[nacp + 1],
        "height_m": _floats([r.alt_geom for r in rows], FOOT_M),
        "sigma_height_m": SIGMA_BY_GVA_M[gva + 1],
        "pressure_height_m": _floats([None if isinstance(b, str) else b for b in baro], FOOT_M),
        "velocity_east_mps": gs * np.sin(track),
        "velocity_north_mps": gs * np.cos(track),
        "velocity_up_mps": np.where(np.isnan(geometric), climb, geometric) * FOOT_PER_MINUTE_MPS,
        "sigma_velocity_mps": SIGMA_BY_NACV_MPS[nacv + 1],
        "address": np.array([_address(r.hex) for r in rows], np.int32),
        "mode3a": np.array([_mode3a(r.squawk) for r in rows], np.int32),
        "nic": _small([r.nic for r in rows], 11),
        "nacp": nacp,
        "nacv": nacv,
        "sil": _small([r.sil for r in rows], 3),
        "category": np.array([CATEGORY.get(r.category, -1) for r in rows], np.int8),
        "on_ground": np.array([-1 if b is None else int(b == "ground") for b in baro], np.int8),
        "callsign": np.array([_callsign(r.flight) for r in rows], "S8"),
    }


def decode(payload: bytes, spec: SensorSpec, rx_us: int) -> Decoded:
    """One message of the receiver `spec`: the positions that are new in it. Position time = now - seen_pos.

    Raises:
        Invalid: for the whole message: oversized, not-utf8, malformed, not-finite, missing-field, bad-time,
            wrong-sensor-kind, too-many-plots.
    """
    check_kind(spec, PlotKind.POSITION)
    message, rows, rejected = read_batch(payload, "aircraft", _MESSAGE, _ENVELOPE, _ONE)
    now_us = parse_time(message.now)
    boot, seq = (n if -1 <= n < 2**53 else -1 for n in (message.boot, message.seq))
    new = [r for r in rows if r.lat is not None and r.lon is not None and not r.seen_pos >= spec.period_s]
    t_us = _times_us(np.full(len(new), now_us), new)
    return stand(spec, PlotKind.POSITION, rx_us, t_us, boot, seq, _columns(new), rejected)


def _times_us(now_us: I8, rows: Sequence[_Aircraft]) -> I8:
    """When each was measured; what lies outside is refused as bad-time."""
    age_us = np.rint(np.clip(np.array([r.seen_pos for r in rows], np.float64), -1e10, 1e10) * 1e6).astype(np.int64)
    t_us: I8 = np.clip(now_us - age_us, EARLIEST_US - 1, LATEST_US)
    return t_us


def decode_answer(body: bytes, spec: SensorSpec, rx_us: int, passed: Passed) -> tuple[Decoded, int]:
    """The whole file as a server answers it: the positions that were not passed on yet, and the file's own time.

    Where that is not believed it is when the answer came, counted as `clock-not-believed`.

    Raises:
        Invalid: for the whole answer: oversized, malformed, not-finite, missing-field, bad-time.
    """
    if len(body) > MOST_ANSWER_OCTETS:
        raise Invalid("oversized", f"{len(body)} octets, at most {MOST_ANSWER_OCTETS}")
    try:
        message = _MESSAGE.decode(body)
        now_s, rows, rejected = message.now, message.aircraft, dict[str, int]()
    except BAD_JSON:
        try:
            envelope = _ENVELOPE.decode(body)
        except BAD_JSON as error:
            raise Invalid(reason_of(error), str(error)[:120]) from None
        rows, rejected = read_rows(_ONE, envelope.aircraft)
        now_s = envelope.now
    now_us = parse_time(now_s)
    return _unpassed(rows, np.full(len(rows), now_us), spec, rx_us, passed, rejected), now_us


def decode_lines(lines: Sequence[bytes], spec: SensorSpec, rx_us: int, passed: Passed) -> Decoded:
    """Lines of `--json-port` that came together: the positions that were not passed on yet."""
    rows, rejected, times = list[_Aircraft](), dict[str, int](), list[int]()
    for line in lines:
        try:
            row = _LINE.decode(line)
            times.append(parse_time(row.now))
            rows.append(row)
        except Invalid as fault:
            rejected[fault.reason] = rejected.get(fault.reason, 0) + 1
        except BAD_JSON as error:
            reason = reason_of(error)
            rejected[reason] = rejected.get(reason, 0) + 1
    return _unpassed(rows, np.array(times, np.int64), spec, rx_us, passed, rejected)


def _unpassed(
    rows: Sequence[_Aircraft], now_us: I8, spec: SensorSpec, rx_us: int, passed: Passed, rejected: dict[str, int]
) -> Decoded:
    wrong = np.abs(now_us - rx_us) > CLOCK_WRONG_US
    if wrong.any():
        rejected["clock-not-believed"] = int(np.count_nonzero(wrong))  # told, and used all the same
    t_us = _times_us(np.where(wrong, rx_us, now_us), rows)
    new = [
        n
        for n, r in enumerate(rows)
        if r.lat is not None and r.lon is not None and passed.is_new(r.hex, r.lat, r.lon, int(t_us[n]))
    ]
    columns = _columns([rows[n] for n in new])
    return stand(spec, PlotKind.POSITION, rx_us, t_us[new], -1, -1, columns, rejected)


def _aircraft(batch: Plots, i: int, now_us: int) -> dict[str, Any]:
    east, north = float(batch.velocity_east_mps[i]), float(batch.velocity_north_mps[i])
    address, code = int(batch.address[i]), int(batch.mode3a[i])
    ground = int(batch.on_ground[i]) == 1
    small = {"nic": batch.nic, "nac_p": batch.nacp, "nac_v": batch.nacv, "sil": batch.sil}
    return without_none(
        {
            "hex": f"{address:06x}" if address >= 0 else f"~{i:06x}",
            "flight": batch.callsign[i].decode("ascii") or None,
            "alt_baro": "ground" if ground else rounded(batch.pressure_height_m[i] / FOOT_M, 2),
            "alt_geom": rounded(batch.height_m[i] / FOOT_M, 2),
            "gs": rounded(np.hypot(east, north) / KNOT_MPS, 2),
            "track": rounded(np.degrees(np.arctan2(east, north)) % 360.0, 3),
            "geom_rate": rounded(batch.velocity_up_mps[i] / FOOT_PER_MINUTE_MPS, 1),
            "squawk": f"{code:04o}" if code >= 0 else None,
            "category": _LETTERS.get(int(batch.category[i])),
            "lat": rounded(np.degrees(batch.lat_rad[i]), 7),
            "lon": rounded(np.degrees(batch.lon_rad[i]), 7),
            **{name: int(column[i]) if column[i] >= 0 else None for name, column in small.items()},
            "seen_pos": (now_us - int(batch.t_us[i])) / 1e6,
        }
    )


def encode(batch: Plots) -> bytes:
    """The message of a batch of positions. Accuracy is carried as NACp, NACv only: the format has no sigmas.

    Raises:
        ValueError: the batch carries no positions, or is empty: a message must have a time.
    """
    if batch.kind is not PlotKind.POSITION or not len(batch):
        raise ValueError("readsb carries positions, at least one")
    now_us = int(batch.t_us.max())
    numbers = without_none(
        {"boot": batch.boot if batch.boot >= 0 else None, "seq": batch.seq if batch.seq >= 0 else None}
    )
    aircraft = [_aircraft(batch, i, now_us) for i in range(len(batch))]
    return dump({"now": now_us / 1e6, **numbers, "aircraft": aircraft})


# --- our picture, for maps that read aircraft.json ---

LEVEL_KEPT_US = 30_000_000  # readsb gives a field up that it has not heard for so long
INTERESTING = 2  # of dbFlags: such maps list and filter these; we say it of what has an open alert


def picture(
    tracks: Sequence[Told], now_us: int, alerts: Mapping[str, Sequence[str]], messages: int, replayed: bool = False
) -> bytes:
    """`aircraft.json` of fused tracks, as tar1090 and its like read it. `alerts`: ids of open ones by track.

    A map knows an aircraft by `hex`: the 24-bit address where a track has one, the first of those that claim the same;
    for all others `~` and the number of the track. `type` is "other", since no receiver heard a fused track. What the
    format has no word for stands in `vedette`, which such maps pass over: id, status, class, sigmas, alerts. Nor has it
    one for what is simulated or replayed: `flight`, which is what a map shows, begins with SIM or REP then.
    """
    taken: dict[str, None] = {}
    aircraft = [
        _shown(told, now_us, alerts.get(told.id, ()), taken, replayed) for told in tracks if told.lat_deg is not None
    ]
    return dump({"now": now_us / 1e6, "messages": messages, "aircraft": aircraft})


def _shown(told: Told, now_us: int, alerts: Sequence[str], taken: dict[str, None], replayed: bool) -> dict[str, Any]:
    heard_us = parse_time(told.last_plot_time) if told.last_plot_time else told.t_us
    known = told.height_known
    climb_mps = told.climb_mps if known else None
    mark, named = "SIM" if told.simulated else "REP" if replayed else "", told.callsign or ""
    return without_none(
        {
            "hex": _hex(told, taken),
            "type": "other",
            "flight": f"{mark}{named}"[:8].ljust(8) if mark or named else None,
            "alt_baro": _level_ft(told),
            "alt_geom": None if told.height_m is None or not known else round(told.height_m / FOOT_M),
            "gs": None if told.speed_mps is None else round(told.speed_mps / KNOT_MPS, 1),
            "track": None if told.course_deg is None else told.course_deg % 360.0,
            "geom_rate": None if climb_mps is None else round(climb_mps / FOOT_PER_MINUTE_MPS),
            "squawk": told.mode3a,
            "category": None if told.category is None else _LETTERS.get(told.category),
            "lat": told.lat_deg,
            "lon": told.lon_deg,
            "seen_pos": max(0.0, round((now_us - told.t_us) / 1e6, 3)),
            "seen": max(0.0, round((now_us - heard_us) / 1e6, 3)),
            "dbFlags": INTERESTING if alerts else None,
            "vedette": without_none(
                {
                    "id": told.id,
                    "status": told.status,
                    "object_class": told.object_class,
                    "sigma_horizontal_m": told.sigma_horizontal_m,
                    "var_east_m2": told.var_east_m2,
                    "var_north_m2": told.var_north_m2,
                    "cov_east_north_m2": told.cov_east_north_m2,
                    "sigma_height_m": told.sigma_height_m,
                    "alerts": list(alerts) or None,
                    "simulated": told.simulated or None,
                }
            ),
        }
    )


def _level_ft(told: Told) -> int | None:
    """The level as last measured, where that is not longer ago than such maps keep what they heard."""
    if told.pressure_height_m is None or told.pressure_height_time is None:
        return None
    old = told.t_us - parse_time(told.pressure_height_time) > LEVEL_KEPT_US
    return None if old else round(told.pressure_height_m / FOOT_M)


def _hex(told: Told, taken: dict[str, None]) -> str:
    name = told.address or ""
    if not name or name in taken:
        counter = told.id.rpartition(":")[2]
        name = f"~{int(counter) & 0xFFFFFF:06x}" if counter.isdigit() else "~ffffff"
    taken[name] = None
    return name


def receiver(version: str, refresh_ms: int, lat_deg: float | None = None, lon_deg: float | None = None) -> bytes:
    """`receiver.json`: how often to ask, and the place that a map begins at, where one is known. No history."""
    place = without_none({"lat": lat_deg, "lon": lon_deg})
    return dump({"version": version, "refresh": refresh_ms, "history": 0, **place})


def outline(rings: Sequence[Sequence[tuple[float, float]]]) -> bytes:
    """`outline.json`: rings of (lat, lon), degrees, one a sensor."""
    return dump({"multiRange": [[[lat, lon] for lat, lon in ring] for ring in rings]})
