"""What travels beside a payload comes out of its envelope as it went in. Hostile ones: tests/test_formats_in.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.envelope import enveloped, opened
from adapters.wire import MAX_PAYLOAD_BYTES
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
