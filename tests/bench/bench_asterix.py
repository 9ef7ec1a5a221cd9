"""ASTERIX records per CPU-second: plots of radars read, system tracks written; beside two decoders of others."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from msgspec.structs import replace

from adapters.formats import cat048, cat062, track
from adapters.outlets.systemtracks import Sender, system_tracks
from fusion.schema import take
from tests.asterixjudge import JUDGES, judged
from tests.asterixpeer import PYTHON
from tests.bench.table import OURS
from tests.conftest import ROOT
from tests.test_bridges_asterix import targets
from tests.test_formats_cat062 import random_tracks
from tests.test_outlets_held import track_payload

TOGETHER = 2_000  # records in one call: what a bridge hears in 0.1 s of a busy sky, and a picture's tracks
FEW = 300  # for libasterix
LEAST_S = 1.0  # of CPU, of ours; what is shorter is repeated


def measure(least_s: float = LEAST_S, few: int = FEW) -> dict[str, dict[str, float]]:
    """Records per CPU-second, by what is done and who does it."""
    plots, tracks = cat048.encode(targets(TOGETHER)), random_tracks(np.random.default_rng(1), TOGETHER)
    said = track.told(track_payload())
    rows = [replace(said, id=f"5:{n}") for n in range(TOGETHER)]
    numbers, no, sender = list(range(1, TOGETHER + 1)), [False] * TOGETHER, Sender(25, 100)
    whole, some = b"".join(plots), b"".join(cat048.encode(targets(few)))
    there = judged(62, b"".join(cat062.encode(take(tracks, np.arange(few)))))
    return {
        "CAT048 records read": {
            OURS: _rate(lambda: cat048.decode(whole), TOGETHER, least_s),
            "asterix-decoder": peer(plots, least_s),
            "libasterix": _rate(lambda: judged(48, some), few, 0.0),
        },
        "CAT062 records written": {
            OURS: _rate(lambda: cat062.encode(tracks), TOGETHER, least_s),
            "libasterix": _rate(lambda: [_again(record) for record in there], few, 0.0),
        },
        "published tracks into CAT062, as the outlet does it": {
            OURS: _rate(lambda: cat062.encode(system_tracks(rows, numbers, no, no, sender)), TOGETHER, least_s),
        },
    }


def _rate(work: Callable[[], object], records: int, least_s: float) -> float:
    work()
    start, times = time.process_time(), 0
    while times == 0 or time.process_time() - start < least_s:
        work()
        times += 1
    return records * times / (time.process_time() - start)


def _again(record: Any) -> bytes:
    """A record that libasterix read, written by it: assembled of its items anew."""
    kind = JUDGES[62].cv_record
    items = {name: record.get_item(name) for name in kind.cv_items_dict}
    made: bytes = kind.create({name: item for name, item in items.items() if item is not None}).unparse().to_bytes()
    return made


def peer(blocks: list[bytes], least_s: float) -> float:
    """Of asterix-decoder, by its own process's clock, without what it costs to tell us."""
    line = [str(PYTHON), str(ROOT / "tests" / "judges" / "decoder.py"), str(least_s)]
    text = "\n".join(block.hex() for block in blocks)
    done = subprocess.run(line, input=text, capture_output=True, text=True, check=True)
    return float(done.stdout)
