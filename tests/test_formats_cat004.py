"""CAT004 beside an independent decoder: random messages, and what we wrote ourselves."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.formats import cat004
from adapters.formats.cat004 import ALIVE, TIME_UNIT_S, Warned
from tests.asterixjudge import JUDGES, anything, content, judged, ours, part, quantity, text, theirs

WORDS = {"kind": ("000", ()), "alert": ("040", ()), "status": ("045", ("STAT",)), "track": ("030", ()),
         "mode3a": ("170", ("M31", "MODE3A"))}  # fmt: skip


def check(message: Warned, record: Any) -> None:
    for field, (name, parts) in WORDS.items():
        said = part(record.get_item(name), *parts)
        assert getattr(message, field) == (-1 if said is None else said), field
    if (time := record.get_item("020")) is not None:
        assert message.day_us / 1e6 == pytest.approx(quantity(time, "s"), abs=1e-6)
    timing = record.get_item("070")
    ahead = math.nan if part(timing, "TC") is None else quantity(timing, "s", "TC")
    assert message.time_to_s == pytest.approx(ahead, nan_ok=True)
    area = record.get_item("100")
    assert message.area == ("" if part(area, "AN") is None else text(area, "AN"))
    nature = record.get_item("120")
    assert message.severe == bool(part(nature, "CC", "CS"))
    assert message.predicted == bool(part(nature, "CN", "AIW"))
    if message.callsign:
        assert content(record.get_item("170"), "AI1").as_string().rstrip() == message.callsign


def test_any_message_says_what_the_other_decoder_reads() -> None:
    names = [name for name in cat004.LAYOUT.column if "/" not in name]
    assert sorted(names) == sorted(JUDGES[4].cv_record.cv_items_dict)
    data = anything(cat004.LAYOUT, 60, seed=8)
    assert ours(cat004.LAYOUT, data) == theirs(cat004.LAYOUT, data)
    found, faults = cat004.decode(data)
    assert not faults
    assert len(found) == 60
    for message, record in zip(found, judged(4, data), strict=True):
        if all(character.isprintable() for character in message.callsign):
            check(_without_name(message), record)


def _without_name(message: Warned) -> Warned:
    """Any seven octets are no text that two readers must show alike."""
    return Warned(**{name: getattr(message, name) for name in Warned.__dataclass_fields__} | {"callsign": ""})


WARNED = st.builds(
    Warned, kind=st.just(99), sac=st.integers(0, 255), sic=st.integers(0, 255), alert=st.integers(-1, 65_535),
    day_us=st.integers(0, 86_400 * 128 - 1).map(lambda ticks: ticks * 15_625 // 2), status=st.integers(-1, 7),
    track=st.integers(-1, 65_535), callsign=st.text("ABCXYZ019", max_size=7), mode3a=st.integers(-1, 0o7777),
    predicted=st.booleans(), severe=st.booleans(), area=st.text("ABCXYZ019", max_size=6),
    time_to_s=st.one_of(st.just(math.nan), st.integers(0, 1 << 20).map(lambda ticks: ticks * TIME_UNIT_S)),
)  # fmt: skip


@settings(max_examples=25)
@given(WARNED)
def test_what_is_written_reads_back_here_and_there(message: Warned) -> None:
    octets = cat004.encode(message)
    ((again,), faults) = cat004.decode(octets)
    assert not faults
    assert repr(again) == repr(message)  # a NaN is not itself
    (record,) = judged(4, octets)
    check(message, record)


def test_a_sign_of_life_says_nothing_else() -> None:
    ((again,), _) = cat004.decode(cat004.encode(Warned(ALIVE, 25, 100, 1_000_000)))
    assert repr(again) == repr(Warned(ALIVE, 25, 100, 1_000_000))
