"""Hostile bytes on every decoder: a countable reason comes out, or nothing wrong was in it; never anything else."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.envelope import enveloped, opened
from adapters.formats import (
    alert,
    area,
    clock,
    command,
    incident,
    ledger,
    met,
    opensky,
    plots,
    readsb,
    remoteid,
    search,
    sensorstatus,
    sighting,
    track,
    watermark,
)
from adapters.samples import crowd, happened, passages, reported, sought
from fusion.numbers import Run
from fusion.schema import Frame, Invalid, Met, SensorKind, SensorSpec, SensorStatus
from tests.samples import ADSB, AIRCRAFT, GOOD, ORDER, RADAR, T_US, feed, message
from tests.scene import NAMES, table

REASONS = {
    *("oversized", "not-utf8", "malformed", "wrong-schema", "unknown-sensor", "wrong-sensor-kind", "missing-field"),
    *("not-finite", "out-of-range", "length", "future", "unknown-topic", "unknown-command", "bad-time"),
    *("too-many-plots", "doubled-key"),
}


STATES = (
    b'{"time":1795000500,"states":[["4ca2d6","RYR1427 ","Ireland",1795000500,1795000500,25.25,54.5,9000.0,false,120.5,'
    b'90.0,-3.2,null,9100.0,"7000",false,0,3],["~1",null,"",1795000500,1795000500,1,2,null,true,null,null,null]]}'
)
BEACON = SensorSpec("D1", 1, SensorKind.REMOTE_ID)
PLACE = remoteid.Location(status=2, lat_deg=54.5, lon_deg=25.1, altitude_geo_m=160.0, speed_horizontal_mps=11.5)
NAME = remoteid.BasicId(1, 2, "MFG1A0123456789")
DRONES = [
    remoteid.Heard("60:60:1f:01:17:95", "2026-11-23T06:15:00Z", remoteid.pack([NAME, PLACE]).hex()),
    remoteid.Heard("60:60:1f:01:17:96", "", "", NAME, PLACE),
]
DECODERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "plots": (lambda p: plots.decode(p, RADAR, 5), message([GOOD, {**GOOD, "mode3a": "7700", "address": "4ca123"}])),
    "opensky": (lambda p: opensky.decode(p, ADSB, 5), STATES),
    "readsb": (lambda p: readsb.decode(p, ADSB, 5), feed(AIRCRAFT, {"hex": "~1", "lat": 1, "lon": 2})),
    "remoteid": (lambda p: remoteid.decode(p, BEACON, 5), remoteid.encode("D1", DRONES, 1, 2)),
    "track": (lambda p: track.decode(p, ADSB, 5), track.encode(*table(1, seed=3), 0, NAMES, 1)),
    "met": (lambda p: met.decode(p, RADAR, 5), met.encode(Met("R1", 5, T_US, 1000.5))),
    "status": (lambda p: sensorstatus.decode(p, RADAR, 5), sensorstatus.encode(SensorStatus("R1", 5, T_US, "ok", "x"))),
    "clock": (clock.decode, clock.encode(T_US)),
    "watermark": (watermark.decode, watermark.encode("R1", [Run(1, 1, 2), Run(1, 0, 0)])),
    "command": (lambda p: command.decode(p, "identify", 5), command.encode(ORDER)),
    "envelope": (
        lambda p: command.decode(p, "identify", 5),
        enveloped(Frame(1, 5, "cmd/identify", command.encode(ORDER)), (), "a/b", b"1").payload,
    ),
    "alert": (
        alert.decode,
        b'{"schema":"vedette.alert.v1","id":"a","rule":"r","rule_version":1,"severity":1,"state":"raised","track":"1:1",'
        b'"episode":0,"raised_time":"2026-11-23T06:15:00Z","time":"2026-11-23T06:15:00Z","lat_deg":54.5,"lon_deg":25.1,'
        b'"quantities":[{"name":"speed_mps","value":41.5,"sigma":1.5}],"sensors":["R1"]}',
    ),
}
GUARD = SensorSpec("G1", 3, SensorKind.SIGHTING)
DECODERS["sighting"] = (lambda p: sighting.decode(p, GUARD, 5), sighting.encode(reported()))
DECODERS["search"] = (search.decode, search.encode(sought(), NAMES, 3))
DECODERS["incident"] = (incident.decode, incident.encode(happened(), NAMES, 3))
DECODERS["area"] = (area.decode, area.encode(crowd(), NAMES, 3))
DECODERS["ledger"] = (ledger.decode, ledger.encode(passages(), NAMES, 3))
SPICE = [b"null", b"NaN", b"1e999", b"-1", b'""', b"[]", b"{}", b"true", b"1e-400", b"9" * 400, b"\xff", b'"\\ud800"']
SPICE += [b"\x00", b",", b'"', b"}", b"[" * 500, b'"NaN"', b"0.1e1", b"99999999999999999999", b'"1e99999999999"']


def refused_or_fine(decode: Callable[[bytes], object], payload: bytes) -> str:
    """The reason, or "fine"; every other way out fails the test."""
    try:
        decode(payload)
    except Invalid as invalid:
        return invalid.reason
    return "fine"


@pytest.mark.parametrize("name", ["command", "envelope", "met", "sighting", "status"])
def test_what_somebody_says_with_a_key_twice_is_refused(name: str) -> None:
    decode, payload = DECODERS[name]
    said = opened(payload)[0]
    first, _, _ = said[1:].partition(b",")
    twice = b"{" + first + b"," + said[1:]
    if said != payload:
        twice = enveloped(Frame(1, 5, "cmd/identify", twice), (), "a/b", b"1").payload
    assert refused_or_fine(decode, payload) == "fine"
    assert refused_or_fine(decode, twice) == "doubled-key"


def mutated(payload: bytes, luck: random.Random) -> bytes:
    """The payload after one to four random injuries."""
    body = bytearray(payload)
    for _ in range(luck.randint(1, 4)):
        at = luck.randrange(len(body) + 1)
        kind = luck.randrange(4)
        if kind == 0:
            body[at:at] = luck.choice(SPICE)
        elif kind == 1:
            del body[at : at + luck.randint(1, 12)]
        elif kind == 2 and at < len(body):
            body[at] = luck.randrange(256)
        else:
            values = [i for i, b in enumerate(body) if b == ord(":")]
            if values:
                start = luck.choice(values) + 1
                end = min((e for e in (body.find(c, start) for c in (b",", b"}", b"]")) if e > 0), default=len(body))
                body[start:end] = luck.choice(SPICE)
    return bytes(body)


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_the_sample_of_every_decoder_is_fine(name: str) -> None:
    decode, sample = DECODERS[name]
    assert refused_or_fine(decode, sample) == "fine"


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_nothing_but_a_countable_reason_escapes_a_decoder(name: str) -> None:
    decode, sample = DECODERS[name]
    luck = random.Random(f"{name}-2026")
    seen = {refused_or_fine(decode, mutated(sample, luck)) for _ in range(1_000)}
    assert seen <= REASONS | {"fine"}
    assert len(seen) >= 4, "the injuries were too kind to prove anything"


@settings(max_examples=60)
@given(st.binary(max_size=200), st.sampled_from(sorted(DECODERS)))
def test_no_bytes_at_all_break_a_decoder(payload: bytes, name: str) -> None:
    ended = name == "track" and not payload  # a neighbour's track that ended is no fault
    assert refused_or_fine(DECODERS[name][0], payload) in ({"fine"} if ended else REASONS)


@settings(max_examples=80)
@given(st.sampled_from(sorted(DECODERS)), st.data())
def test_no_json_value_in_any_field_breaks_a_decoder(name: str, data: st.DataObject) -> None:
    decode, sample = DECODERS[name]
    body = json.loads(sample)
    target = body
    for key in ("plots", "aircraft", "heard", "quantities", "features"):
        if key in body and data.draw(st.booleans()):
            target = body[key][0]
    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=5,
    )
    target[data.draw(st.sampled_from(sorted(target)))] = data.draw(anything)
    assert refused_or_fine(decode, json.dumps(body).encode()) in REASONS | {"fine"}
