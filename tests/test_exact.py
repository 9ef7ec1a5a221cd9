"""What is written reads back to the same bits, and is short where it can be."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import exact, wire
from fusion.schema import Invalid


@given(st.floats(-2 * math.pi, 2 * math.pi))
def test_an_angle_reads_back_to_its_bits(radians: float) -> None:
    text = exact.degrees(radians)
    assert text is not None
    assert exact.radians(Decimal(bytes(text).decode())) == radians


def test_a_short_angle_is_short_and_none_is_absent() -> None:
    assert bytes(exact.degrees(math.radians(54.5)) or b"") == b"54.5"
    assert exact.degrees(math.nan) is None
    assert math.isnan(exact.radians(None))


@given(st.integers(wire.EARLIEST_US, wire.LATEST_US - 1) | st.just(-1))
def test_a_time_reads_back_and_none_is_absent(us: int) -> None:
    assert exact.us(exact.time(us) or "") == us


@pytest.mark.parametrize("value", ["361", "-360.5", "NaN", "Infinity"])
def test_what_is_no_angle_is_refused(value: str) -> None:
    assert exact.radians(Decimal(360)) == pytest.approx(2 * math.pi)
    with pytest.raises(Invalid, match="out-of-range"):
        exact.radians(Decimal(value))
