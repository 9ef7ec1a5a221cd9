"""A second decoder of others reads what we write, in every category, field by field."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from adapters.formats import cat004, cat015, cat021, cat048, cat062, cat063, cat065, cat205
from tests import test_formats_cat015, test_formats_cat205
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


def random_plots(rng: np.random.Generator, n: int) -> cat048.Reports:
    """Of a radar, in the units of CAT048."""
    plots = replace(
        targets(n), range_m=rng.uniform(1e3, 4e5, n), azimuth_rad=rng.uniform(0.0, 6.28, n),
        mode3a=rng.integers(-1, 0o10000, n).astype(np.int32), pressure_height_m=rng.uniform(-300.0, 2e4, n),
        height_m=rng.uniform(-300.0, 2e4, n), doppler_mps=rng.integers(-500, 500, n).astype(np.float64),
        speed_mps=rng.uniform(0.0, 900.0, n), heading_rad=rng.uniform(0.0, 6.28, n),
        kind=rng.integers(0, 8, n).astype(np.int8), simulated=rng.random(n) < 0.3,
    )  # fmt: skip
    return cat048.decode(b"".join(cat048.encode(plots)))[0]


TABLES: dict[int, tuple[Callable[[np.random.Generator, int], Any], Callable[[Any], list[bytes]]]] = {
    15: (test_formats_cat015.random_reports, cat015.encode),
    21: (random_reports, cat021.encode),
    48: (random_plots, cat048.encode),
    62: (random_tracks, cat062.encode),
    63: (random_sensors, cat063.encode),
    205: (test_formats_cat205.random_reports, cat205.encode),
}


@pytest.mark.parametrize("category", sorted(TABLES))
def test_it_reads_what_we_write(peer: Peer, category: int) -> None:
    make, encode = TABLES[category]
    table = make(np.random.default_rng(category), SAMPLE)
    records = peer.read(encode(table))
    assert [record["category"] for record in records] == [category] * SAMPLE
    for own, record in zip(rows(table), records, strict=True):
        assert differences(category, own, record) == [], record


def random_state(rng: np.random.Generator) -> cat065.Status:
    """A message of CAT065."""
    octet, other = (int(value) for value in rng.integers(-1, 256, 2))
    flags = rng.random(2) < 0.5
    return cat065.Status(
        int(rng.integers(1, 4)), 25, 100, int(rng.integers(0, 86_400 * 128)) * 15_625 // 2, octet, other,
        int(rng.integers(0, 4)), bool(flags[0]), bool(flags[1]), octet,
    )  # fmt: skip


def random_alert(rng: np.random.Generator) -> cat004.Warned:
    """A message of CAT004."""
    flags = rng.random(3) < 0.5
    ahead_s = int(rng.integers(0, 1 << 20)) * cat004.TIME_UNIT_S if flags[2] else math.nan
    return cat004.Warned(
        99, 25, 100, int(rng.integers(0, 86_400 * 128)) * 15_625 // 2, int(rng.integers(-1, 65_536)),
        int(rng.integers(-1, 8)), int(rng.integers(-1, 65_536)), "LOT12"[: int(rng.integers(0, 6))],
        int(rng.integers(-1, 0o10000)), bool(flags[0]), bool(flags[1]), ahead_s, "LT",
    )  # fmt: skip


MESSAGES: dict[int, tuple[Callable[[np.random.Generator], Any], Callable[[Any], bytes]]] = {
    4: (random_alert, cat004.encode),
    65: (random_state, cat065.encode),
}


@pytest.mark.parametrize("category", sorted(MESSAGES))
def test_it_reads_messages_of_state_and_alerts(peer: Peer, category: int) -> None:
    make, encode = MESSAGES[category]
    rng = np.random.default_rng(9)
    for _ in range(SAMPLE):
        message = make(rng)
        (record,) = peer.read([encode(message)])
        assert differences(category, asdict(message), record) == [], record


def test_a_difference_is_seen(peer: Peer) -> None:
    table = random_tracks(np.random.default_rng(1), 1)
    (record,) = peer.read(cat062.encode(table))
    (own,) = rows(table)
    changed = {"number": own["number"] ^ 1, "climb_mps": 1.0, "begun": 1 - own["begun"], "callsign": b"NOBODY"}
    assert sorted(differences(62, {**own, **changed}, record)) == sorted(changed)
