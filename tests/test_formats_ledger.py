"""A ledger reads back as it was written, to the bit; only one too long for a message is cut, and says so."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.formats import ledger
from adapters.samples import passages
from fusion.borders.ledger import MAX_ENTRIES
from fusion.cases.record import Passage, PassageKind
from fusion.schema import Invalid
from tests.scene import NAMES
from tests.test_formats_out import PLACES, TEXTS, values

TIMES = st.integers(wire.EARLIEST_US, wire.LATEST_US - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
ENTRIES = st.builds(
    Passage,
    track=st.just("7:1"),
    number=st.integers(1, 2**40),
    kind=st.sampled_from(PassageKind),
    state=st.sampled_from(["", "BY", "LT"]) | TEXTS,
    other=st.sampled_from(["", "BY", "LT"]) | TEXTS,
    t_us=TIMES,
    sigma_t_s=NUMBERS | st.just(np.nan),
    told_us=TIMES,
    lat_rad=PLACES | st.just(np.nan),
    lon_rad=PLACES | st.just(np.nan),
    sigma_m=NUMBERS | st.just(np.nan),
    probability=st.floats(0.0, 1.0),
    disputed=st.booleans(),
    sea=st.booleans(),
    sensors=st.lists(TEXTS, max_size=3).map(tuple),
    plots=st.integers(0, 2**31),
)


@given(st.lists(ENTRIES, min_size=1, max_size=4))
def test_every_ledger_reads_back_exactly(made: list[Passage]) -> None:
    payload = ledger.encode(made, NAMES, 3)
    got = ledger.decode(payload)
    assert repr(got) == repr(tuple(made))  # NaN equals NaN here
    assert ledger.encode(got, NAMES, 3) == payload


def test_a_ledger_names_states_and_has_no_nulls() -> None:
    said = json.loads(ledger.encode(passages(), NAMES, 3))
    assert (next(iter(said)), said["schema"], said["site"], said["seq"]) == (
        "schema", "vedette.ledger.v1", NAMES.site, 3,
    )  # fmt: skip
    assert [(entry["kind"], entry["state"], entry.get("other")) for entry in said["entries"]] == [
        ("first", "BY", None), ("exit", "BY", "LT"), ("enter", "LT", "BY"),
    ]  # fmt: skip
    assert said["entries"][2]["state_name"] == "Lithuania"
    assert said["entries"][2]["lat_deg"] == pytest.approx(54.5772)
    assert said["time"] == said["entries"][2]["told_time"]
    assert None not in values(said)
    assert "shortened" not in said


def test_the_longest_ledger_fits_a_message() -> None:
    long = replace(
        passages()[0], lat_rad=0.9512345678901234, sensors=tuple(f"sensor-{i:02}-{'x' * 32}" for i in range(63))
    )
    payload = ledger.encode([replace(long, number=i + 1) for i in range(MAX_ENTRIES)], NAMES, 1)
    assert len(payload) <= wire.MAX_PAYLOAD_BYTES
    assert json.loads(payload)["shortened"] is True
    got = ledger.decode(payload)
    assert [len(entry.sensors) for entry in got] == [0] * (MAX_ENTRIES - 1) + [63]
    assert [replace(entry, sensors=long.sensors, number=1) for entry in got] == [long] * MAX_ENTRIES


@pytest.mark.parametrize("change, reason", [
    ({"entries": []}, "missing-field"),
    ({"schema": "vedette.alert.v1"}, "wrong-schema"),
    ({"kind": "sideways"}, "out-of-range"),
    ({"probability": 1.5}, "out-of-range"),
    ({"lat_deg": 400}, "out-of-range"),
    ({"time": "2026-11-23T06:15:00"}, "bad-time"),
])  # fmt: skip
def test_what_no_ledger_says_is_refused(change: dict[str, object], reason: str) -> None:
    said = json.loads(ledger.encode(passages(), NAMES, 3))
    (said if next(iter(change)) in said and "time" not in change else said["entries"][0]).update(change)
    with pytest.raises(Invalid, match=reason):
        ledger.decode(json.dumps(said).encode())
