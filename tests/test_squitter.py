"""Mode S messages: examples that textbooks work out, and real flights as an independent decoder reads them (rs1090)."""

from __future__ import annotations

import gzip
import math
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import rs1090
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.modes import squitter
from adapters.modes.fields import FOOT_M, FOOT_PER_MINUTE_MPS, KNOT_MPS
from adapters.modes.squitter import NOT_ICAO, Said
from tests import squitters

FLIGHT = "recordings/adsb-raw-1090/rs1090_full_flight_short.frames.csv.gz"
STATUS = "recordings/adsb-raw-1090/pymodes_sample_data_adsb.csv"


def octets_of(messages: list[str]) -> tuple[squitters.U1, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Hex as arrays; a short message stands behind seven zeros."""
    raw = [bytes.fromhex(message) for message in messages]
    raw = [one if one[0] >= 0x80 else bytes(7) + one[:7] for one in raw]
    octets = np.frombuffer(b"".join(raw), np.uint8).reshape(-1, 14)
    return octets, octets[:, 0] != 0


def said(*messages: str) -> Said:
    return squitter.messages(*octets_of(list(messages)))


def test_the_examples_of_the_textbook() -> None:
    """J. Sun, The 1090 megahertz riddle, chapters 4 to 7 and 9."""
    s = said(
        "8D4840D6202CC371C32CE0576098", "8D40621D58C382D690C8AC2863A7", "8D485020994409940838175B284F",
        "8D4840D6202CC371C32CE0576099", "A05F21029B06B6AF189400CBC33F",
    )  # fmt: skip
    assert s.sound.tolist() == [True, True, True, False, False]
    assert [f"{key:06X}" for key in s.key[:3]] == ["4840D6", "40621D", "485020"]
    assert (s.callsign[0], s.odd.tolist()) == (b"KLM1023", [-1, 0, -1, -1, -1])
    assert s.pressure_height_m[1] == pytest.approx(38_000 * FOOT_M)
    assert (s.lat[1], s.lon[1]) == (93_000, 51_372)
    assert np.hypot(s.east_mps[2], s.north_mps[2]) / KNOT_MPS == pytest.approx(159.2, abs=0.01)
    assert np.degrees(np.arctan2(s.east_mps[2], s.north_mps[2])) % 360 == pytest.approx(182.88, abs=0.01)
    assert s.up_mps[2] / FOOT_PER_MINUTE_MPS == pytest.approx(-832)
    assert s.above_pressure_m[2] == pytest.approx(550 * FOOT_M)


def judged(hexes: list[str]) -> list[dict[str, Any]]:
    """As rs1090 reads them."""
    return cast(list[dict[str, Any]], rs1090.decode(hexes, [0.0] * len(hexes)))


def same(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """The fields of one message in which we differ."""
    found: dict[str, tuple[object, object]] = {
        "df": (str(ours["format"]), theirs["df"]),
        "icao24": (f"{ours['key']:06x}", theirs["icao24"]),
    }
    if theirs.get("squawk"):
        found["squawk"] = f"{ours['mode3a']:04o}", theirs["squawk"]
    if theirs.get("altitude") is not None:
        height_m = ours["height_m"] if math.isnan(ours["pressure_height_m"]) else ours["pressure_height_m"]
        found["altitude"] = round(height_m / FOOT_M), theirs["altitude"]
    if "callsign" in theirs:
        found["callsign"] = ours["callsign"].decode().strip(), theirs["callsign"].strip()
    if "lat_cpr" in theirs:
        told = theirs["lat_cpr"], theirs["lon_cpr"], ("even", "odd").index(theirs["parity"])
        found["cpr"] = (ours["lat"], ours["lon"], ours["odd"]), told
    if theirs.get("bds") in ("06", "09") and None not in (theirs.get("groundspeed"), theirs.get("track")):
        knots = math.hypot(ours["east_mps"], ours["north_mps"]) / KNOT_MPS
        track = math.degrees(math.atan2(ours["east_mps"], ours["north_mps"])) % 360.0
        found["speed"] = abs(knots - theirs["groundspeed"]) < 1e-4, True
        found["track"] = not theirs["groundspeed"] or abs(track - theirs["track"]) < 1e-3, True
    if theirs.get("vertical_rate") is not None:
        found["climb"] = round(ours["up_mps"] / FOOT_PER_MINUTE_MPS), theirs["vertical_rate"]
    if theirs.get("geo_minus_baro") is not None:
        found["above"] = round(ours["above_pressure_m"] / FOOT_M), theirs["geo_minus_baro"]
    if "NACv" in theirs:
        found["nacv"] = ours["nacv"], theirs["NACv"]
    if theirs.get("bds") == "65":
        told = theirs["version"], theirs.get("NACp", 0), theirs.get("SIL", 0)
        found["status"] = (ours["version"], ours["nacp"], ours["sil"]), told
    return [f"{name}: {a} not {b}" for name, (a, b) in found.items() if a != b]


@pytest.mark.real_data
@pytest.mark.parametrize(("file", "count"), [(FLIGHT, 57_793), (STATUS, 2_000)])
def test_real_messages_are_read_as_an_independent_decoder_reads_them(data: Path, file: str, count: int) -> None:
    path = data / file
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    hexes = [line.split(",")[1].strip('"').lower() for line in text.splitlines() if line[:1].isdigit()]
    assert len(hexes) == count
    ours, theirs = said(*hexes), judged(hexes)
    names = [field.name for field in fields(Said)]
    columns = [getattr(ours, name).tolist() for name in names]  # an element of an array costs ten of a list
    differing = list[tuple[str, list[str]]]()
    for message, said_by_us, said_by_them in zip(hexes, zip(*columns, strict=True), theirs, strict=True):
        wrong = same(dict(zip(names, said_by_us, strict=True)), said_by_them)
        if wrong:
            differing.append((message, wrong))
    assert not differing


def test_every_altitude_and_code_is_read_as_an_independent_decoder_reads_it() -> None:
    """All 8,192 of each, in replies DF4 and DF5 to an interrogator, of the address that their parity makes."""
    values = np.arange(8192)
    octets = np.zeros((2 * 8192, 14), np.uint8)
    octets[:, 7] = np.repeat([4 << 3, 5 << 3], 8192)
    octets[:, 9], octets[:, 10] = np.tile(values >> 8, 2), np.tile(values & 0xFF, 2)
    octets = squitter.sealed(octets)
    ours = squitter.messages(octets, np.zeros(len(octets), np.bool_))
    theirs = judged([row[7:].tobytes().hex() for row in octets])
    for n in range(8192):
        told = theirs[n].get("altitude")
        metric = n >> 6 & 1
        if told is not None and not metric:
            assert round(ours.pressure_height_m[n] / FOOT_M) == told, n
        elif not metric and not np.isnan(ours.pressure_height_m[n]):
            assert ours.pressure_height_m[n] <= 0.0, n  # they tell none below the sea
        assert f"{ours.mode3a[8192 + n]:04o}" == theirs[8192 + n]["squawk"], n


def test_who_has_no_address_of_icao_is_another_than_who_has() -> None:
    octets = np.repeat(squitters.names(np.array([0x4840D6]), "LOT12"), 8, axis=0)
    octets[:, 0] = 18 << 3 | np.arange(8)
    s = squitter.messages(squitter.sealed(octets), np.ones(8, np.bool_))
    assert s.sound.tolist() == [True, True, True, False, False, True, True, False]
    assert (s.key[[0, 1, 2, 5, 6]] == 0x4840D6 + NOT_ICAO * np.array([0, 1, 0, 1, 0])).all()


def test_status_tells_what_the_aircraft_promises() -> None:
    s = squitter.messages(squitters.states(np.array([1]), version=2, nacp=10, sil=2, gva=1), np.ones(1, np.bool_))
    assert (s.version[0], s.nacp[0], s.sil[0], s.gva[0], s.supplement_a[0]) == (2, 10, 2, 1, 0)
    s = squitter.messages(squitters.states(np.array([1]), version=1), np.ones(1, np.bool_))
    assert s.gva[0] == -1  # of an older version these bits meant something else


@pytest.mark.parametrize(
    ("kind", "version", "a", "b", "nic"),
    [
        (9, 2, 0, 0, 11), (11, 2, 1, 1, 9), (11, 2, 1, 0, 8), (11, 1, 1, 0, 9), (11, -1, 1, 1, 8), (13, 2, 0, 1, 6),
        (16, 2, 1, 1, 3), (16, 2, 0, 0, 2), (18, 2, 0, 0, 0), (21, 2, 0, 0, 10), (19, 2, 0, 0, -1),
    ],
)  # fmt: skip
def test_integrity_by_the_kind_of_position(kind: int, version: int, a: int, b: int, nic: int) -> None:
    values = (np.array([v], np.int8) for v in (kind, version, a, b, 0))
    assert squitter.nic(*values) == nic


@settings(max_examples=100)
@given(st.lists(st.binary(min_size=14, max_size=14), min_size=1, max_size=8), st.booleans())
def test_no_octets_at_all_break_it(rows: list[bytes], long: bool) -> None:
    octets = np.frombuffer(b"".join(rows), np.uint8).reshape(-1, 14)
    s = squitter.messages(octets, np.full(len(rows), long))
    assert len(s) == len(rows)
    assert ((s.key >= 0) & (s.key < 2 * NOT_ICAO)).all()
    assert (s.mode3a < 4096).all()
