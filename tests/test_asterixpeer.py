"""A second decoder of others reads what we write, in every category, field by field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from adapters.formats import cat004, cat021, cat048, cat062, cat063, cat065
from tests.asterixpeer import Peer, differences
from tests.test_bridges_asterix import targets
from tests.test_formats_cat021 import random_reports
from tests.test_formats_cat062 import random_tracks
from tests.test_formats_cat063 import random_sensors

SAMPLE = 80  # records of each; tests/soak has the long form


@pytest.fixture(scope="module")
def peer() -> Iterator[Peer]:
    with Peer() as one:
        yield one


def rows(table: Any) -> list[dict[str, Any]]:
    """A table of arrays as one mapping a row."""
    names = list(type(table).__dataclass_fields__)
    columns = [getattr(table, name).tolist() for name in names]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def random_plots(rng: np.random.Generator) -> cat048.Reports:
    """Of a radar, in the units of CAT048."""
    plots = replace(
        targets(SAMPLE), range_m=rng.uniform(1e3, 4e5, SAMPLE), azimuth_rad=rng.uniform(0.0, 6.28, SAMPLE),
        mode3a=rng.integers(-1, 0o10000, SAMPLE).astype(np.int32), pressure_height_m=rng.uniform(-300.0, 2e4, SAMPLE),
        height_m=rng.uniform(-300.0, 2e4, SAMPLE), doppler_mps=rng.integers(-500, 500, SAMPLE).astype(np.float64),
        speed_mps=rng.uniform(0.0, 900.0, SAMPLE), heading_rad=rng.uniform(0.0, 6.28, SAMPLE),
        kind=rng.integers(0, 8, SAMPLE).astype(np.int8), simulated=rng.random(SAMPLE) < 0.3,
    )  # fmt: skip
    return cat048.decode(b"".join(cat048.encode(plots)))[0]


TABLES: dict[int, tuple[Callable[[np.random.Generator], Any], Callable[[Any], list[bytes]]]] = {
    21: (lambda rng: random_reports(rng, SAMPLE), cat021.encode),
    48: (random_plots, cat048.encode),
    62: (lambda rng: random_tracks(rng, SAMPLE), cat062.encode),
    63: (lambda rng: random_sensors(rng, SAMPLE), cat063.encode),
}


@pytest.mark.parametrize("category", sorted(TABLES))
def test_it_reads_what_we_write(peer: Peer, category: int) -> None:
    make, encode = TABLES[category]
    table = make(np.random.default_rng(category))
    records = peer.read(encode(table))
    assert [record["category"] for record in records] == [category] * SAMPLE
    for own, record in zip(rows(table), records, strict=True):
        assert differences(category, own, record) == [], record


def test_it_reads_messages_of_state_and_alerts(peer: Peer) -> None:
    rng = np.random.default_rng(9)
    for n in range(40):
        number, octet, flag, other = int(rng.integers(0, 1 << 16)), int(rng.integers(0, 256)), n % 2 == 0, n % 3 == 0
        state = cat065.Status(n % 3 + 1, 25, 100, 1_000_000, octet, octet, n % 4, flag, other, octet)
        warned = cat004.Warned(
            99, 25, 100, 1_000_000, number, n % 8, number, "LOT12", octet, flag, other, n / 4.0, "LT"
        )
        for category, message, block in ((65, state, cat065.encode(state)), (4, warned, cat004.encode(warned))):
            (record,) = peer.read([block])
            own = {name: getattr(message, name) for name in type(message).__dataclass_fields__}
            assert differences(category, own, record) == [], record


def test_a_difference_is_seen(peer: Peer) -> None:
    table = random_tracks(np.random.default_rng(1), 1)
    (record,) = peer.read(cat062.encode(table))
    (own,) = rows(table)
    changed = {"number": own["number"] ^ 1, "climb_mps": 1.0, "begun": 1 - own["begun"], "callsign": b"NOBODY"}
    assert sorted(differences(62, {**own, **changed}, record)) == sorted(changed)
