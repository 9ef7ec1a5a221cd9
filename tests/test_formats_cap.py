"""CAP: every message is what the schema of OASIS asks for, as a validator of others says, and reads back as it was."""

from __future__ import annotations

import random
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.formats import cap
from adapters.formats.cap import LEVELS, STATUSES, Area, Draft, Sent
from fusion.schema import Invalid
from tests.capjudge import verdicts

T_US = 1_795_414_500_000_000
RING = ((54.5, 25.5), (54.6, 25.5), (54.6, 25.7), (54.5, 25.5))
DRAFT = Draft(
    Sent("warnings@example.org", "vedette.lt-east.8c1f0a52d3b94e67.1", T_US), "Test", "Alert",
    "vedette.lt-east.8c1f0a52d3b94e67", description="Slow, low object <unknown> & near; \u201cseen\u201d by R1.",
    expires_us=T_US + 900_000_000, areas=(Area("within 10 minutes", (RING,)),), parameters=(("vedette.rule", "low"),),
)  # fmt: skip
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=40).map(str.strip)


def drafts() -> list[Draft]:
    """Every level, status and type there is, with and without what may be left out."""
    before = (DRAFT.id, replace(DRAFT.id, identifier="vedette.lt-east.8c1f0a52d3b94e67.2"))
    coded = Area("Vilnius", (), (("EMMA_ID", "LT001"),))
    return [
        *(replace(DRAFT, level=level) for level in LEVELS),
        *(replace(DRAFT, status=status) for status in STATUSES),
        replace(DRAFT, type="Update", references=before),
        replace(DRAFT, type="Cancel", references=before, level="clear"),
        replace(DRAFT, areas=(coded, coded), sender_name="Civil protection", language="lt"),
        replace(DRAFT, areas=(), description="", expires_us=-1, parameters=()),
    ]  # fmt: skip


def test_every_message_is_what_the_schema_asks_for_and_a_wrong_one_is_not() -> None:
    made = [cap.encode(draft) for draft in drafts()]
    wrong = [
        made[0].replace(b"<status>Test</status>", b"<status>test</status>"),
        made[0].replace(b"+00:00</sent>", b"Z</sent>"),
        made[0].replace(b"<scope>Restricted</scope>", b""),
    ]
    said = verdicts([*made, *wrong])
    assert said[: len(made)] == ["fine"] * len(made)
    assert len(said) == len(made) + 3
    assert all(word != "fine" for word in said[len(made) :])


def test_a_message_reads_back_as_it_was() -> None:
    for draft in drafts():
        assert cap.decode(cap.encode(draft)) == draft


@given(WORDS, WORDS, st.sampled_from(sorted(LEVELS)), st.integers(1_700_000_000, 1_900_000_000))
def test_any_words_come_back(description: str, name: str, level: cap.Level, second: int) -> None:
    draft = replace(
        DRAFT, description=description, sender_name=name, level=level, id=replace(DRAFT.id, sent_us=second * 1_000_000)
    )
    assert cap.decode(cap.encode(draft)) == draft


def test_a_draft_says_that_it_is_one_and_is_for_civil_protection_alone() -> None:
    text = cap.encode(DRAFT)
    assert b"<scope>Restricted</scope>" in text
    assert b"It was sent to nobody" in text
    assert b"<status>Test</status>" in text


@pytest.mark.parametrize("word", ["", "a b", "a,b", "a<b", "a&b"])
def test_what_cap_does_not_allow_is_not_written(word: str) -> None:
    for wrong in (replace(DRAFT.id, sender=word), replace(DRAFT.id, identifier=word)):
        with pytest.raises(Invalid, match="malformed"):
            cap.encode(replace(DRAFT, id=wrong))
    for ring in (RING[:3], RING[:-1], ((91.0, 0.0), *RING[1:]), ((float("nan"), 25.5), *RING[1:])):
        with pytest.raises(Invalid, match="out-of-range"):
            cap.encode(replace(DRAFT, areas=(Area("x", (ring,)),)))


def test_a_ring_of_a_map_is_turned_closed_and_rid_of_what_is_twice() -> None:
    assert cap.ring_of([(25.5, 54.5), (25.5, 54.50001), (25.5, 54.6), (25.7, 54.6)]) == RING
    with pytest.raises(Invalid, match="out-of-range"):
        cap.ring_of([(25.5, 54.5), (25.50001, 54.5), (25.6, 54.5), (25.5, 54.5)])


def test_injured_messages_are_refused_for_a_reason() -> None:
    luck, reasons = random.Random(4), set[str]()
    whole = [cap.encode(draft) for draft in drafts()]
    for n in range(2_000):
        injured = bytearray(whole[n % len(whole)])
        for _ in range(luck.randint(1, 3)):
            injured[luck.randrange(len(injured))] = ord(luck.choice(string.printable))
        try:
            cap.decode(bytes(injured[: luck.randint(1, len(injured))]) if n % 2 else bytes(injured))
        except Invalid as fault:
            reasons.add(fault.reason)
    assert reasons <= {"malformed", "missing-field", "bad-time", "out-of-range", "wrong-schema"}
    assert len(reasons) >= 3
    with pytest.raises(Invalid, match="malformed"):
        cap.decode(b'<!DOCTYPE x [<!ENTITY a "b">]>' + whole[0])
