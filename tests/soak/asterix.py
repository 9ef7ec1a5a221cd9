"""ASTERIX there and back, a hundred thousand records: by our own decoder and by two of others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapters.formats import cat021, cat062
from tests import test_formats_cat021, test_formats_cat062
from tests.asterixjudge import judged
from tests.asterixpeer import Peer, differences
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total
from tests.test_asterixpeer import rows

RECORDS = 1_000  # of each of two categories, a piece
PIECES = 50


def there_and_back(piece: str) -> Counts:
    """Random system tracks and ADS-B reports of this seed."""
    rng = np.random.default_rng(int(piece))
    tracks, reports = test_formats_cat062.random_tracks(rng, RECORDS), test_formats_cat021.random_reports(rng, RECORDS)
    sent, heard = cat062.encode(tracks), cat021.encode(reports)
    test_formats_cat062.same(tracks, cat062.decode(b"".join(sent))[0])
    test_formats_cat021.same(reports, cat021.decode(b"".join(heard))[0])
    for row, record in enumerate(judged(62, b"".join(sent))):
        test_formats_cat062.check(tracks, row, record)
    for row, record in enumerate(judged(21, b"".join(heard))):
        test_formats_cat021.check(reports, row, record)
    wrong = 0
    with Peer() as peer:
        for category, table, blocks in ((62, tracks, sent), (21, reports, heard)):
            records = peer.read(blocks)
            wrong += sum(
                bool(differences(category, own, record)) for own, record in zip(rows(table), records, strict=True)
            )
    return {"records": 2 * RECORDS, "otherwise_count": wrong}


def all_alike(found: Sequence[Counts]) -> list[Verdict]:
    n, wrong = total(found, "records"), total(found, "otherwise_count")
    words = (
        f"{n:,.0f} records there and back, by our decoder and two of others; {wrong:,.0f} read otherwise; none may be"
    )
    return [Verdict(wrong == 0, words)]


CAMPAIGNS = (
    Campaign("asterix", "Random CAT062 and CAT021 records, with every item there or not: what we write is read back by "
             "us and by two decoders of others, field by field.", seeds(PIECES), there_and_back, all_alike),
)  # fmt: skip
