"""What travels beside a payload comes out of its envelope as it went in. Hostile ones: tests/test_formats_in.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.envelope import enveloped, feed_of, feed_properties, opened
from adapters.wire import EARLIEST_US, LATEST_US, MAX_PAYLOAD_BYTES
from fusion.schema import Frame, Invalid


@given(st.binary(max_size=300), st.from_regex(r"\Aops/[a-z0-9]{1,8}\Z"), st.binary(max_size=256))
def test_payload_topic_and_correlation_come_out_as_they_went_in(payload: bytes, topic: str, correlation: bytes) -> None:
    frame = enveloped(Frame(4, 5, "in/G1/sighting", payload), [("a", "b")], topic, correlation)
    assert (frame.seq, frame.rx_us, frame.source) == (4, 5, "in/G1/sighting")
    assert opened(frame.payload) == (payload, topic, correlation)


def test_a_bare_payload_is_its_own_and_one_too_long_stays_bare() -> None:
    assert opened(b"{}") == (b"{}", "", b"")
    long = Frame(1, 5, "cmd/close", b"x" * (MAX_PAYLOAD_BYTES + 1))
    assert enveloped(long, (), "a/b") is long


def test_correlation_data_are_bounded() -> None:
    frame = enveloped(Frame(1, 5, "cmd/close", b"{}"), (), "a/b", b"x" * 257)
    with pytest.raises(Invalid, match="out-of-range"):
        opened(frame.payload)


@given(st.integers(EARLIEST_US, LATEST_US - 1), st.integers(-1, 10**12))
def test_feed_properties_read_back(rx_us: int, seq: int) -> None:
    assert feed_of([("other", "x"), *feed_properties(rx_us, seq)]) == (rx_us, seq)


@given(st.lists(st.tuples(st.sampled_from(["rx_us", "seq", "x"]), st.text(max_size=20)), max_size=4))
def test_no_user_property_gets_past_the_door(user: list[tuple[str, str]]) -> None:
    try:
        rx_us, seq = feed_of(user)
    except Invalid as invalid:
        found = invalid.reason
    else:
        found = "fine"
        assert EARLIEST_US <= rx_us < LATEST_US
        assert seq >= -1
    assert found in ("fine", "bad-time")
