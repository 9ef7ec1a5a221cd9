"""What all wire formats share: time, JSON at the door, JSON on the way out, rows that stand, parts that fit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import wire
from fusion.schema import Invalid, PlotKind, SensorKind, SensorSpec

TIMES = st.integers(wire.EARLIEST_US, wire.LATEST_US - 1)
RADAR = SensorSpec("R1", 0, SensorKind.RADAR_2D, lat_rad=0.96, lon_rad=0.44, height_m=120.0)


def reason(call: object, *args: object) -> str:
    """The reason for which a call refuses its input."""
    with pytest.raises(Invalid) as caught:
        call(*args)  # type: ignore[operator]
    return caught.value.reason


# --- time ---


def test_a_time_is_written_as_rfc3339_with_milliseconds() -> None:
    assert wire.rfc3339(1_795_414_500_123_000) == "2026-11-23T06:15:00.123Z"


def test_a_time_is_cut_and_never_in_the_future() -> None:
    assert wire.rfc3339(1_795_414_500_123_999) == "2026-11-23T06:15:00.123Z"
    assert wire.rfc3339_exact(1_795_414_500_123_999) == "2026-11-23T06:15:00.123999Z"
    assert wire.rfc3339_exact(1_795_414_500_123_000) == "2026-11-23T06:15:00.123Z"


@given(TIMES)
def test_an_exact_time_reads_back_to_itself_and_agrees_with_the_standard_library(us: int) -> None:
    text = wire.rfc3339_exact(us)
    assert wire.parse_time(text) == us
    moment = datetime.fromisoformat(text)
    assert moment.tzinfo == UTC
    assert round(Decimal(moment.timestamp()) * 1_000_000) == us


@given(st.lists(TIMES | st.just(-1), min_size=1))
def test_a_column_of_times_is_written_like_single_ones(times: list[int]) -> None:
    expected = [wire.rfc3339(t) if t >= 0 else None for t in times]
    assert wire.rfc3339_column(np.array(times, np.int64)) == expected


@pytest.mark.parametrize(
    "value, us",
    [
        ("2026-11-23T06:15:00Z", 1_795_414_500_000_000),
        ("2026-11-23T08:15:00.123+02:00", 1_795_414_500_123_000),
        ("2026-11-23T06:15:00.123456Z", 1_795_414_500_123_456),
        (1_795_414_500, 1_795_414_500_000_000),
        (1_584_445_210.25, 1_584_445_210_250_000),
    ],
)
def test_times_in_all_allowed_forms(value: object, us: int) -> None:
    assert wire.parse_time(value) == us


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-11-23", "2026-11-23T06:15:00", "2026-13-01T00:00:00Z", "1999-12-31T23:59:59Z"),
        *("2100-01-01T00:00:00Z", '"', "2026-11-23T06:15:00Z\n", "\ud800"),
        *(True, None, [], float("nan"), float("inf"), -1, 0),
        pytest.param(10**400, id="beyond float64"),
    ],
)
def test_what_is_no_time_is_refused_as_bad_time(value: object) -> None:
    assert reason(wire.parse_time, value) == "bad-time"


# --- JSON in ---


@pytest.mark.parametrize(
    "payload, expected",
    [
        (b'{"schema":"a.v1","x":"' + b"y" * wire.MAX_PAYLOAD_BYTES + b'"}', "oversized"),
        (b'{"schema":"a.v1","x":"\xff\xfe"}', "not-utf8"),
        (b"", "malformed"),
        (b"{", "malformed"),
        (b"[" * 60_000, "malformed"),
        (b"[1]", "malformed"),
        (b"null", "malformed"),
        (b'{"schema":"a.v1"} x', "malformed"),
        (b'\xef\xbb\xbf{"schema":"a.v1"}', "malformed"),
        (b'{"schema":"a.v1","x":"\\ud800"}', "malformed"),
        (b'{"schema":"a.v1","x":NaN}', "not-finite"),
        (b'{"schema":"a.v1","x":[-Infinity]}', "not-finite"),
        (b'{"schema":"a.v1","x":1e999}', "not-finite"),
        (b'{"x":1}', "wrong-schema"),
        (b'{"schema":"a.v2"}', "wrong-schema"),
        (b'{"schema":1}', "wrong-schema"),
    ],
)
def test_bad_json_is_refused_by_reason(payload: bytes, expected: str) -> None:
    assert reason(wire.load_json, payload, "a.v1") == expected


def test_good_json_is_read_up_to_the_limit() -> None:
    filling = wire.MAX_PAYLOAD_BYTES - len(b'{"schema":"a.v1","x":""}')
    assert len(wire.load_json(b'{"schema":"a.v1","x":"' + b"y" * filling + b'"}', "a.v1")["x"]) == filling


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_nothing_but_invalid_escapes_load_json(payload: bytes) -> None:
    try:
        message = wire.load_json(payload)
    except Invalid:
        return
    assert message == json.loads(payload)


class Sample(msgspec.Struct):
    """One field of every kind that our messages have."""

    schema: str
    count: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    code: Annotated[str, msgspec.Meta(pattern=r"\A[0-7]{4}\Z")] = ""
    text: Annotated[str, msgspec.Meta(min_length=1, max_length=3)] = "x"
    ratio: float = 0.0
    word: Literal["a", "b"] = "a"
    moment: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


@pytest.mark.parametrize(
    "fields, expected",
    [
        ('"count":10', "out-of-range"),
        ('"count":-1', "out-of-range"),
        ('"count":1e30', "malformed"),
        ('"count":99999999999999999999999', "out-of-range"),
        ('"count":"1"', "malformed"),
        ('"count":true', "malformed"),
        ('"code":"8000"', "out-of-range"),
        ('"code":"7700\\n"', "out-of-range"),
        ('"text":""', "out-of-range"),
        ('"text":"abcd"', "out-of-range"),
        ('"ratio":"1.0"', "malformed"),
        ('"ratio":null', "malformed"),
        ('"ratio":1e999', "not-finite"),
        ('"ratio":NaN', "not-finite"),
        ('"word":"c"', "out-of-range"),
        ('"moment":"yesterday"', "bad-time"),
        ('"moment":"2026-11-23T06:15:00"', "bad-time"),
    ],
)
def test_every_kind_of_bad_field_has_its_reason(fields: str, expected: str) -> None:
    decoder = msgspec.json.Decoder(Sample)
    payload = b'{"schema":"a.v1",' + fields.encode() + b"}"
    assert reason(wire.read, decoder, payload, "a.v1") == expected


def test_a_missing_field_and_a_wrong_schema_have_their_reasons() -> None:
    decoder = msgspec.json.Decoder(Sample)
    assert reason(wire.read, decoder, b'{"count":1}', None) == "missing-field"
    assert reason(wire.read, decoder, b'{"count":1}', "a.v1") == "wrong-schema"
    assert reason(wire.read, decoder, b'{"schema":"b.v1","count":77}', "a.v1") == "wrong-schema"
    assert wire.read(decoder, b'{"schema":"a.v1","count":7,"new":[]}', "a.v1").count == 7


@pytest.mark.parametrize(
    "fields",
    [
        '"count":1,"count":2',
        '"new":[{"a":1,"\\u0061":2}]',  # the same key, written otherwise, in a field nobody reads
        '"schema":"a.v1"',
    ],
)
def test_a_key_that_stands_twice_is_refused_as_readers_differ_in_which_counts(fields: str) -> None:
    payload = b'{"schema":"a.v1",' + fields.encode() + b"}"
    assert reason(wire.read_once, msgspec.json.Decoder(Sample), payload, "a.v1") == "doubled-key"


def test_a_key_may_stand_once_in_each_of_many_objects() -> None:
    payload = b'{"schema":"a.v1","count":7,"new":[{"a":1,"count":1},{"a":2}]}'
    assert wire.read_once(msgspec.json.Decoder(Sample), payload, "a.v1").count == 7


# --- plots ---


def test_a_sensor_sends_only_what_its_kind_can() -> None:
    adsb = SensorSpec("A1", 1, SensorKind.ADSB)
    wire.check_kind(RADAR, PlotKind.POLAR)
    wire.check_kind(adsb, PlotKind.POSITION)
    assert reason(wire.check_kind, RADAR, PlotKind.POSITION) == "wrong-sensor-kind"
    assert reason(wire.check_kind, adsb, PlotKind.POLAR) == "wrong-sensor-kind"
    siteless = SensorSpec("R9", 0, SensorKind.RADAR_2D)
    assert reason(wire.check_kind, siteless, PlotKind.POLAR) == "wrong-sensor-kind"


def test_bad_rows_fall_alone_and_are_counted_by_their_first_fault() -> None:
    t_us = np.full(6, 1_795_414_500_000_000)
    t_us[5] = 5
    columns = {
        "range_m": np.array([1e4, np.nan, 1e4, 2e6, 1e4, 1e4]),
        "azimuth_rad": np.array([1.0, 1.0, np.inf, 1.0, 7.0, 1.0]),
        "mode3a": np.arange(6, dtype=np.int32),
    }
    decoded = wire.stand(RADAR, PlotKind.POLAR, 7, t_us, 1, 2, columns, {"malformed": 3})
    expected = {"malformed": 3, "missing-field": 1, "not-finite": 1, "out-of-range": 2, "bad-time": 1}
    assert decoded.rejected == expected
    assert decoded.batch.mode3a.tolist() == [0]
    assert (decoded.batch.boot, decoded.batch.seq, decoded.batch.rx_us) == (1, 2, 7)


# --- JSON out ---


@pytest.mark.parametrize("message", [{"x": float("nan")}, {"x": float("inf")}, {"x": None}, [{"y": [None]}]])
def test_neither_null_nor_nan_leaves_the_house(message: object) -> None:
    with pytest.raises(ValueError, match="null"):
        wire.dump(message)


def test_the_word_null_in_a_text_is_no_null() -> None:
    assert json.loads(wire.dump({"x": "annulled: null"})) == {"x": "annulled: null"}


def test_numbers_are_rounded_without_negative_zero() -> None:
    assert wire.dump({"x": wire.rounded(-0.0001, 2)}) == b'{"x":0.0}'
    assert wire.number(np.array([-0.0001, 1.256, np.nan, np.inf]), 2) == [0.0, 1.26, None, None]
    assert str(wire.number(np.array([-0.0001]), 2)[0]) == "0.0"
    assert wire.rounded(float("nan"), 2) is None


def test_codes_and_texts_of_a_column() -> None:
    assert wire.address([0x4CA123, -1, 0]) == ["4ca123", None, "000000"]
    assert wire.mode3a([0o7700, -1, 0]) == ["7700", None, "0000"]
    assert wire.text(np.array([b"LOT1 ", b""], "S8")) == ["LOT1", None]


@given(st.lists(st.text(max_size=60), max_size=60), st.lists(st.integers(), max_size=60), st.integers(300, 2_000))
def test_parts_hold_everything_once_in_order_within_the_limit(texts: list[str], ends: list[int], limit: int) -> None:
    head = {"schema": "a.v1", "seq": 5}
    lists = (("texts", [wire.dump(t) for t in texts]), ("ends", [wire.dump(e) for e in ends]))
    longest = max((len(v) for _, values in lists for v in values), default=0)
    parts = wire.pack(head, lists, limit + longest)
    messages = [json.loads(part) for part in parts]
    assert all(len(part) <= limit + longest for part in parts)
    assert [m["part"] for m in messages] == list(range(len(parts)))
    assert all(m["parts"] == len(parts) and m["seq"] == 5 for m in messages)
    assert [t for m in messages for t in m.get("texts", [])] == texts
    assert [e for m in messages for e in m.get("ends", [])] == ends
