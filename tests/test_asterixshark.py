"""Wireshark reads what we write, in every category, field by field."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.formats import cat004, cat021, cat048, cat062, cat063, cat065
from fusion.schema import take
from tests.asterixshark import differences, read
from tests.test_asterixpeer import TABLES, rows
from tests.test_formats_cat062 import random_tracks

SAMPLE = 60
ENCODERS: dict[int, Callable[[Any, int], list[bytes]]] = {
    21: cat021.encode,
    48: cat048.encode,
    62: cat062.encode,
    63: cat063.encode,
}
ONE_EACH = 1  # octets of a data block at most: less than any record, so each has its own


@pytest.mark.parametrize("category", sorted(ENCODERS))
def test_it_reads_what_we_write(category: int, tmp_path: Path) -> None:
    make, _ = TABLES[category]
    table = take(make(np.random.default_rng(category + 1)), np.arange(SAMPLE))
    records = read(ENCODERS[category](table, ONE_EACH), tmp_path / "sent.pcap")
    for own, record in zip(rows(table), records, strict=True):
        assert differences(category, own, record) == [], record


def test_it_reads_messages_of_state_and_alerts(tmp_path: Path) -> None:
    states = [cat065.Status(n % 3 + 1, 25, 100, 1_000_000, n, n, n % 4, n % 2 == 0, n % 3 == 0, n) for n in range(30)]
    warned = [
        cat004.Warned(99, 25, 100, 1_000_000, 900 * n, n % 8, n, "LOT12", n, n % 2 == 0, n % 3 == 0, n / 4.0, "LT")
        for n in range(30)
    ]
    sent = {65: list(map(cat065.encode, states)), 4: list(map(cat004.encode, warned))}
    said: dict[int, list[Any]] = {65: states, 4: warned}
    for category, messages in said.items():
        records = read(sent[category], tmp_path / f"{category}.pcap")
        for message, record in zip(messages, records, strict=True):
            own = {name: getattr(message, name) for name in type(message).__dataclass_fields__}
            assert differences(category, own, record) == [], record


def test_a_difference_is_seen(tmp_path: Path) -> None:
    table = random_tracks(np.random.default_rng(1), 1)
    (record,) = read(cat062.encode(table), tmp_path / "one.pcap")
    (own,) = rows(table)
    changed = {"number": own["number"] ^ 1, "climb_mps": 1.0, "begun": 1 - own["begun"], "callsign": b"NOBODY"}
    assert sorted(differences(62, {**own, **changed}, record)) == sorted(changed)
