"""Names as numbers: one name one number, nobody else's, and not again too soon."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.outlets.numbering import HIGHEST, NONE, REST_US, Numbers, wished


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("5:17", 17),
        ("6:65535", 65_535),
        ("5:65536", 1),
        ("5:131087", 17),
        ("nonsense", 1),
        ("5:", 1),
        ("0000000f9", 15),
    ],
)
def test_a_name_wishes_for_the_number_of_its_counter(name: str, number: int) -> None:
    assert wished(name) == number


def test_a_restart_finds_the_same_numbers() -> None:
    names = [f"5:{n}" for n in range(1, 400, 7)]
    one, other = Numbers(), Numbers()
    assert [one.of(name, 0) for name in names] == [other.of(name, 9) for name in names]


def test_a_number_rests_before_another_has_it_and_goes_back_to_its_own() -> None:
    numbers = Numbers()
    assert numbers.of("5:17", 0) == 17
    assert numbers.end("5:17", 100) == 17
    assert numbers.of("6:17", REST_US) == 18
    assert numbers.of("5:17", REST_US) == 17  # the same track again
    assert numbers.end("5:17", REST_US) == 17
    assert numbers.of(f"7:{HIGHEST + 17}", 2 * REST_US) == 17
    assert numbers.end("5:17", REST_US) == NONE


def test_when_all_are_taken_the_newest_has_none_and_is_counted() -> None:
    numbers = Numbers(highest=3, rest_us=10)
    assert sorted(numbers.of(f"1:{n}", 0) for n in range(3)) == [1, 2, 3]
    assert numbers.of("1:9", 0) == NONE
    numbers.end("1:0", 5)
    assert numbers.of("1:9", 14) == NONE
    assert numbers.of("1:9", 15) == 3
    assert numbers.refused == 2


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(0, 4)), max_size=60))
def test_no_number_is_ever_two_names_or_changes_hands_too_soon(acts: list[tuple[int, bool, int]]) -> None:
    numbers, now_us = Numbers(highest=8, rest_us=5), 0
    held: dict[str, int] = {}
    ended: dict[int, tuple[str, int]] = {}
    for counter, begins, passed_us in acts:
        now_us += passed_us
        name = f"1:{counter}"
        if begins:
            number = numbers.of(name, now_us)
            if number == NONE:
                assert name not in held
                continue
            assert held.get(name, number) == number
            assert number not in [other for who, other in held.items() if who != name]
            who, until_us = ended.get(number, (name, 0))
            assert who == name or now_us >= until_us
            held[name] = number
        else:
            assert numbers.end(name, now_us) == held.get(name, NONE)
            if name in held:
                ended[held.pop(name)] = (name, now_us + 5)
