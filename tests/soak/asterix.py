"""ASTERIX there and back, a hundred thousand records of every category that we write: by us and by two of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from adapters.formats import cat004, cat015, cat021, cat048, cat062, cat063, cat065, cat205
from tests import (
    test_formats_cat004,
    test_formats_cat015,
    test_formats_cat021,
    test_formats_cat048,
    test_formats_cat062,
    test_formats_cat063,
    test_formats_cat065,
    test_formats_cat205,
)
from tests.asterixjudge import judged
from tests.asterixpeer import Peer, differences
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total
from tests.test_asterixpeer import MESSAGES, TABLES, rows

RECORDS = 5_000  # of each category, a piece
PIECES = 20
DECODERS: dict[int, Callable[[bytes], tuple[Any, Any]]] = {
    4: cat004.decode, 15: cat015.decode, 21: cat021.decode, 48: cat048.decode, 62: cat062.decode, 63: cat063.decode,
    65: cat065.decode, 205: cat205.decode,
}  # fmt: skip
CHECKS: dict[int, Callable[..., Any]] = {  # beside the first of the others
    4: test_formats_cat004.check, 15: test_formats_cat015.check, 21: test_formats_cat021.check,
    48: test_formats_cat048.check, 62: test_formats_cat062.check, 63: test_formats_cat063.check,
    65: test_formats_cat065.check, 205: test_formats_cat205.check,
}  # fmt: skip


def there_and_back(categories: tuple[int, ...], piece: str) -> Counts:
    """Random records of this seed."""
    wrong = 0
    with Peer() as peer:
        for category in categories:
            rng = np.random.default_rng((int(piece), category))
            wrong += (_table if category in TABLES else _messages)(category, rng, peer)
    return {"records": len(categories) * RECORDS, "otherwise_count": wrong}


def _table(category: int, rng: np.random.Generator, peer: Peer) -> int:
    """How many records of a category that leaves in batches the second of the others reads otherwise."""
    make, encode = TABLES[category]
    table = make(rng, RECORDS)
    sent = encode(table)
    octets = b"".join(sent)
    same(table, DECODERS[category](octets)[0])
    found = judged(category, octets)
    assert len(found) == RECORDS
    for row, record in enumerate(found):
        CHECKS[category](table, row, record)
    pairs = zip(rows(table), peer.read(sent), strict=True)
    return sum(bool(differences(category, own, record)) for own, record in pairs)


def _messages(category: int, rng: np.random.Generator, peer: Peer) -> int:
    """The same of one whose messages leave one by one."""
    make, encode = MESSAGES[category]
    made = [make(rng) for _ in range(RECORDS)]
    sent = [encode(message) for message in made]
    octets = b"".join(sent)
    assert repr(DECODERS[category](octets)[0]) == repr(made)  # a NaN is not itself
    for message, record in zip(made, judged(category, octets), strict=True):
        CHECKS[category](message, record)
    pairs = zip(made, peer.read(sent), strict=True)
    return sum(bool(differences(category, asdict(own), record)) for own, record in pairs)


def same(one: Any, other: Any) -> None:
    """Two tables of arrays are equal to the last digit that a number has."""
    for name in type(one).__dataclass_fields__:
        own, back = getattr(one, name), getattr(other, name)
        equal = np.isclose(own, back, rtol=1e-12, equal_nan=True) if own.dtype.kind == "f" else own == back
        assert equal.all(), name


def tracks_and_claims(piece: str) -> Counts:
    """The two categories that carry aircraft."""
    return there_and_back((21, 62), piece)


def all_others(piece: str) -> Counts:
    """Plots, bearings, states and alerts."""
    return there_and_back((4, 15, 48, 63, 65, 205), piece)


def all_alike(found: Sequence[Counts]) -> list[Verdict]:
    n, wrong = total(found, "records"), total(found, "otherwise_count")
    words = (
        f"{n:,.0f} records there and back, by our decoder and two of others; {wrong:,.0f} read otherwise; none may be"
    )
    return [Verdict(wrong == 0, words)]


CAMPAIGNS = (
    Campaign("asterix", "Random CAT062 and CAT021 records, with every item there or not: what we write is read back by "
             "us and by two decoders of others, field by field.", seeds(PIECES), tracks_and_claims, all_alike),
    Campaign("asterix-others", "The same of CAT004, CAT015, CAT048, CAT063, CAT065 and CAT205.", seeds(PIECES),
             all_others, all_alike),
)  # fmt: skip
