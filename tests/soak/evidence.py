"""A campaign of manipulated dossiers: every one is found, and the first bad record is named."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from adapters.evidence import bundle
from replay import recording
from tests.manipulated import KINDS, RECORDING, as_named, other_items, rewritten, small, spoilt
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

OF_BYTES, OF_RECORDS = 20, 5  # of each kind in a piece


def manipulated(piece: str) -> Counts:
    """Changes of the file, and of the frames in its recording: how many were found, and named right."""
    made = found = named = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = small(folder)
        data = path.read_bytes()
        bundle.extract(path, bundle.check(path), [RECORDING], folder)
        items = list(recording.items(folder / RECORDING))
        for kind in KINDS:
            rng = random.Random(f"{piece} {kind}")
            for number in range(OF_BYTES + OF_RECORDS):
                made += 1
                if number < OF_BYTES:
                    changed, at = spoilt(data, rng, kind), -1
                else:
                    other, at = other_items(items, rng, kind)
                    changed = rewritten(data, other, folder)
                (folder / "changed.zip").write_bytes(changed)
                fault = bundle.check(folder / "changed.zip").fault
                found += fault is not None
                right = fault is not None and (
                    (fault.member, fault.record) == (RECORDING, at) if at >= 0 else as_named(data, changed, fault)
                )
                named += right
    return {"manipulations": made, "found_count": found, "named_count": named}


def judge(found: Sequence[Counts]) -> list[Verdict]:
    made = total(found, "manipulations")
    return [
        Verdict(total(found, name) == made, f"{total(found, name):,.0f} of {made:,.0f} manipulations are {word}; all")
        for name, word in (("found_count", "found"), ("named_count", "named where they are"))
    ]


CAMPAIGNS = (
    Campaign(
        "manipulated-dossiers",
        "Dossiers with flipped, deleted, inserted, swapped or cut bytes and frames: each is found and the first bad "
        "record named.",
        seeds(10),
        manipulated,
        judge,
    ),
)
