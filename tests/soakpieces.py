"""Small campaigns to test the soak with, each piece in a process that must start quickly."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

BLOCKED = "SOAK_TEST_BLOCKED"  # names a file: while it is there, the piece that waits for it does not end


def numbers(piece: str) -> Counts:
    return {"tries": 10, "sum": float(piece)}


def judge(found: Sequence[Counts]) -> list[Verdict]:
    return [Verdict(total(found, "sum") <= 6.0, f"{total(found, 'sum'):g} in all; at most 6")]


def troubles(piece: str) -> Counts:
    if piece == "wrong":
        assert [1, 2] == [1, 3], "the sky has fallen | today"
    if piece == "dead":
        os.kill(os.getpid(), signal.SIGKILL)
    if piece == "endless":
        time.sleep(600.0)
    return {"empty": {}, "not a number": {"tries": float("nan")}}.get(piece, {"tries": 1})


def waiting(piece: str) -> Counts:
    block = Path(os.environ[BLOCKED])
    block.with_name(f"began-{piece}").touch()
    while piece == "2" and block.exists():
        time.sleep(0.05)
    return {"tries": 1}


CAMPAIGNS = (
    Campaign("numbers", "Seeds are added up.", seeds(3), numbers, judge),
    Campaign("waiting", "Pieces that wait.", seeds(3), waiting),
    Campaign("troubles", "Pieces of all kinds.", ("good", "wrong", "dead", "empty", "not a number"), troubles),
    Campaign("endless", "It never ends.", ("endless",), troubles, patience_s=8.0),
)
