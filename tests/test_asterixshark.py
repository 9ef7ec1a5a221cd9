"""Wireshark reads what we write, in every category, field by field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from adapters.formats import cat004, cat015, cat021, cat048, cat062, cat063, cat065
from tests.asterixshark import differences, read
from tests.test_asterixpeer import TABLES, rows
from tests.test_formats_cat062 import random_tracks

SAMPLE = 40
ENCODERS: dict[int, Callable[[Any, int], list[bytes]]] = {
    15: cat015.encode,
    21: cat021.encode,
    48: cat048.encode,
    62: cat062.encode,
    63: cat063.encode,
}
ONE_EACH = 1  # octets of a data block at most: less than any record, so each has its own


def sent() -> list[tuple[int, dict[str, Any], bytes]]:
    """Records of every category: what they shall say, and their blocks."""
    made: list[tuple[int, dict[str, Any], bytes]] = []
    for category, encode in ENCODERS.items():
        table = TABLES[category][0](np.random.default_rng(category + 1), SAMPLE)
        made += [(category, own, block) for own, block in zip(rows(table), encode(table, ONE_EACH), strict=True)]
    for n in range(30):
        one, other = n % 2 == 0, n % 3 == 0
        state = cat065.Status(n % 3 + 1, 25, 100, 1_000_000, n, n, n % 4, one, other, n)
        warned = cat004.Warned(99, 25, 100, 1_000_000, 900 * n, n % 8, n, "LOT12", n, one, other, n / 4.0, "LT")
        made += [(65, asdict(state), cat065.encode(state)), (4, asdict(warned), cat004.encode(warned))]
    return made


def test_it_reads_what_we_write(tmp_path: Path) -> None:
    made = sent()
    records = read([block for _, _, block in made], tmp_path / "sent.pcap")
    for (category, own, _), record in zip(made, records, strict=True):
        assert differences(category, own, record) == [], record


def test_a_difference_is_seen(tmp_path: Path) -> None:
    table = random_tracks(np.random.default_rng(1), 1)
    (record,) = read(cat062.encode(table), tmp_path / "one.pcap")
    (own,) = rows(table)
    changed = {"number": own["number"] ^ 1, "climb_mps": 1.0, "begun": 1 - own["begun"], "callsign": b"NOBODY"}
    assert sorted(differences(62, {**own, **changed}, record)) == sorted(changed)
