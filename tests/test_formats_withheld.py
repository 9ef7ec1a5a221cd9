"""What was withheld, as a message: read back exactly, journalled, and no alert to those who read the journal."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import withheld
from adapters.incidents.database import entry_of
from adapters.running.keeping import left_of
from adapters.running.outbox import Outbox
from adapters.wire import Names
from fusion.cases.record import Withheld
from fusion.schema import Invalid

NAMES = Names("test")
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
TIME = st.integers(1_000_000_000_000_000, 4_000_000_000_000_000)
ANGLE = st.floats(-math.pi, math.pi) | st.just(math.nan)
HELD = st.builds(
    Withheld, TEXT, TEXT, st.integers(1, 99), st.integers(1, 3), TEXT, TEXT, TEXT, TIME, TIME, ANGLE, ANGLE, TEXT
)
ONE = Withheld(
    "7:1",
    "low-slow-near",
    2,
    2,
    "range",
    "Army",
    "flights",
    1_795_414_500_000_000,
    1_795_414_501_000_000,
    0.95,
    0.44,
    "",
)


@given(HELD)
def test_what_is_encoded_is_read_back_to_the_bit(held: Withheld) -> None:
    assert repr(asdict(withheld.decode(withheld.encode(held, NAMES, 3)))) == repr(asdict(held))


@given(st.binary(max_size=200) | TEXT.map(str.encode))
def test_what_is_none_is_refused_by_a_reason(payload: bytes) -> None:
    with pytest.raises(Invalid):
        withheld.decode(payload)


def test_it_is_journalled_and_published_once_and_not_kept_by_the_broker() -> None:
    turn = Outbox(NAMES).turn([ONE])
    assert [(m.topic, m.qos, m.retain) for m in turn.alerts] == [("vedette/v1/test/withheld", 1, False)]
    assert turn.journal == [turn.alerts[0].payload]
    said = json.loads(turn.journal[0])
    assert (said["state"], said["owner"], said["reason"]) == ("began", "Army", "flights")


def test_those_who_read_the_journal_know_it_is_no_alert() -> None:
    payload = withheld.encode(ONE, NAMES, 1)
    assert entry_of(payload) == ONE
    assert left_of([payload]).open_alerts == []
