"""A report of a person reads back as it was; what is wrong is refused by its reason, and its sender hears it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from adapters.envelope import Reply, Unfit, enveloped, printable
from adapters.formats import sighting
from adapters.samples import joined, reported
from fusion.cases.record import Sighting
from fusion.schema import Frame, Invalid, SensorKind, SensorSpec
from tests.samples import RADAR, reason
from tests.scene import NAMES
from tests.test_formats_out import same, values

GUARD = SensorSpec("G1", 3, SensorKind.SIGHTING)
RX_US = reported().rx_us
NONE = st.just(np.nan)
TEXTS = st.text(max_size=64).map(printable)


def _radians(degrees: float) -> float:
    """Within what a message can hold; nearer to zero than a millimetre is zero, and zero has no sign."""
    radians = float(np.radians(degrees))
    return radians if abs(radians) > 1e-8 and abs(degrees) not in (90.0, 180.0) else 0.0


REPORTS = st.builds(
    Sighting,
    sensor=st.just("G1"),
    rx_us=st.just(RX_US),
    t_us=st.integers(wire.EARLIEST_US, wire.LATEST_US - 1),
    id=st.from_regex(r"\A[0-9A-Za-z._:-]{1,40}\Z"),
    lat_rad=st.floats(-90.0, 90.0).map(_radians),
    lon_rad=st.floats(-180.0, 180.0).map(_radians),
    sigma_m=st.floats(1.0, 1e5),
    bearing_rad=st.floats(1e-8, 6.28) | NONE,
    sigma_bearing_rad=st.floats(1e-8, 3.14) | NONE,
    distance_m=st.floats(0.0, 1e5) | NONE,
    height_m=st.floats(-500.0, 3e4) | NONE,
    words=TEXTS,
    reporter=TEXTS,
    found=st.booleans(),
    elevation_rad=st.floats(1e-8, 1.57) | NONE,
    sigma_t_s=st.floats(0.001, 86_400.0),
)


@given(REPORTS)
def test_every_report_reads_back_exactly(report: Sighting) -> None:
    payload = sighting.encode(report)
    assert same(sighting.decode(payload, GUARD, RX_US), report)
    assert None not in values(json.loads(payload))


def test_where_to_answer_travels_with_the_report() -> None:
    frame = enveloped(Frame(1, RX_US, "in/G1/sighting", sighting.encode(reported())), (), "ops/answers", b"\x00\xff")
    got = sighting.decode(frame.payload, GUARD, RX_US)
    assert same(got, replace(reported(), response_topic="ops/answers", correlation=b"\x00\xff"))
    told = sighting.reply(replace(joined(), sighting=got), NAMES, 9)
    assert told is not None
    assert (told.topic, told.correlation) == ("ops/answers", b"\x00\xff")
    said = json.loads(told.payload)
    assert (said["ok"], said["track"], said["id"], said["seq"]) == (True, "5:17", "17", 9)
    assert said["matches"][0] == {
        "track": "5:17", "probability": 0.983, "away_m": 410.0, "away_s": 0.0, "rests_on": "track",
    }  # fmt: skip
    assert sighting.reply(joined(), NAMES, 9) is None


def changed(**values_: Any) -> bytes:
    return json.dumps({**json.loads(sighting.encode(reported())), **values_}).encode()


def test_bad_reports_are_refused_by_reason() -> None:
    def refused(**values_: Any) -> str:
        return reason(sighting.decode, changed(**values_), GUARD, RX_US)

    assert refused(lat_deg=91) == "out-of-range"
    assert refused(lon_deg=-181) == "out-of-range"
    assert refused(bearing_deg=400) == "out-of-range"
    assert refused(elevation_deg=95) == "out-of-range"
    assert refused(sigma_m=-1) == "out-of-range"
    assert refused(id="a b") == "out-of-range"
    assert refused(id="") == "out-of-range"
    assert refused(words="x" * 1_001) == "out-of-range"
    assert refused(time="yesterday") == "bad-time"
    assert refused(time="2026-11-23T06:13:00") == "bad-time"  # no zone
    assert refused(sensor="G2") == "unknown-sensor"
    assert refused(schema="vedette.plots.v1") == "wrong-schema"
    radar = changed(sensor="R1")
    assert reason(sighting.decode, radar, RADAR, RX_US) == "wrong-sensor-kind"
    short = json.loads(changed())
    del short["lat_deg"]
    assert reason(sighting.decode, json.dumps(short).encode(), GUARD, RX_US) == "missing-field"


@pytest.mark.parametrize("bad", ["\x00", "\x1b[31m", "\n\r", "\u202e", "\u2066", "\u2028", "\x9b"])
def test_no_control_character_gets_in(bad: str) -> None:
    got = sighting.decode(changed(words=f"low{bad}slow", reporter=f"{bad}guard"), GUARD, RX_US)
    assert not set(bad[:1]) & set(got.words + got.reporter)
    assert got.words.startswith("low ")
    assert got.words.endswith("slow")


def test_the_sender_hears_why_a_report_was_refused() -> None:
    bad = changed(lat_deg=99)
    fault = Invalid("out-of-range", "lat_deg")

    def refused(frame: Frame) -> Reply | None:
        return sighting.refusal(Unfit(frame, fault), NAMES, 3)

    told = refused(enveloped(Frame(1, RX_US, "in/G1/sighting", bad), (), "ops/a", b"7"))
    assert told is not None
    assert (told.topic, told.correlation) == ("ops/a", b"7")
    said = json.loads(told.payload)
    assert (said["ok"], said["sensor"], said["id"], said["detail"]) == (False, "G1", "17", "out-of-range: lat_deg")
    assert refused(Frame(1, RX_US, "in/G1/sighting", bad)) is None  # nobody asked
    assert refused(enveloped(Frame(1, RX_US, "in/G1/sighting", bad), (), "vedette/v1/x/alert/1")) is None
    answer = refused(enveloped(Frame(1, RX_US, "in/G1/sighting", b"{"), (), "ops/a"))
    assert answer is not None
    assert "id" not in json.loads(answer.payload)
