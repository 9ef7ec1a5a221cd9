"""CAT065 beside an independent decoder: random messages, real ones, and what we wrote ourselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import cat065
from adapters.formats.cat065 import Status
from tests.asterixjudge import JUDGES, anything, judged, ours, part, quantity, theirs, whole

BITS = {"state": "NOGO", "overload": "OVL", "bad_clock": "TSV"}
ITEMS = {"kind": "000", "service": "015", "batch": "020", "report": "050"}


def check(status: Status, record: Any) -> None:
    for field, name in ITEMS.items():
        item = record.get_item(name)
        assert getattr(status, field) == (-1 if item is None else item.as_uint()), field
    for field, name in BITS.items():
        said = part(record.get_item("040"), name)
        assert getattr(status, field) == ((-1 if field == "state" else False) if said is None else said), field
    for field, name in {"sac": "SAC", "sic": "SIC"}.items():
        assert getattr(status, field) == (part(record.get_item("010"), name) or 0)
    if (time := record.get_item("030")) is not None:
        assert status.day_us / 1e6 == pytest.approx(quantity(time, "s"), abs=1e-6)


def test_any_message_says_what_the_other_decoder_reads() -> None:
    assert sorted(cat065.LAYOUT.column) == sorted(JUDGES[65].cv_record.cv_items_dict)
    data = anything(cat065.LAYOUT, 40, seed=6)
    assert ours(cat065.LAYOUT, data) == theirs(cat065.LAYOUT, data)
    found, faults = cat065.decode(data)
    assert not faults
    for status, record in zip(found, judged(65, data), strict=True):
        check(status, record)


@pytest.mark.real_data
def test_real_messages_are_read_as_the_other_decoder_reads_them(data: Path) -> None:
    octets = whole(data / "recordings/asterix-croatia-samples/cat062cat065.raw")
    found, faults = cat065.decode(octets)
    assert not faults
    assert len(found) >= 1
    for status, record in zip(found, judged(65, octets), strict=True):
        check(status, record)


OCTET = st.integers(-1, 255)
STATUSES = st.builds(
    Status, kind=st.integers(0, 255), sac=st.integers(0, 255), sic=st.integers(0, 255), service=OCTET, batch=OCTET,
    day_us=st.integers(0, 86_400 * 128 - 1).map(lambda ticks: ticks * 15_625 // 2), report=OCTET,
    state=st.integers(0, 3), overload=st.booleans(), bad_clock=st.booleans(),
)  # fmt: skip


@settings(max_examples=25)
@given(STATUSES)
def test_what_is_written_reads_back_here_and_there(status: Status) -> None:
    octets = cat065.encode(status)
    assert cat065.decode(octets) == ([status], {})
    (record,) = judged(65, octets)
    check(status, record)
