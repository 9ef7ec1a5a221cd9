"""Campaign of replays: an hour with every type of sensor comes out to the bit at any speed, hash seed and entry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.log import prepare_numerics
from tests.conftest import ROOT
from tests.soak.campaign import Campaign, Counts, Verdict, total

if TYPE_CHECKING:
    from tests.recorded import Recorded

HOUR_S = 3_600
# What is recorded once, in seconds of the feed, and each replay of it: speed, hash seed, entered at this second (-1: at
# the beginning).
PIECES: dict[str, tuple[int, tuple[tuple[str, str, int], ...]]] = {
    "two-minutes": (120, (("1", "0", -1),)),
    "hour": (HOUR_S, (("max", "0", -1), ("20", "0", -1), ("max", "4242", -1), ("max", "0", HOUR_S // 2))),
}


def replayed(piece: str) -> Counts:
    """Record it, and replay it in processes of their own as a user would."""
    seconds, replays = PIECES[piece]
    prepare_numerics()
    from tests.recorded import record

    with tempfile.TemporaryDirectory() as folder:
        made = record(Path(folder) / "config", seconds)
        compared = [_again(made, *how) for how in replays]
    counts = {"replays": len(replays), "feed_s": seconds * len(replays), "digests": sum(compared)}
    return counts | {"alert_transitions": made.raised}


def _again(made: Recorded, speed: str, seed: str, from_s: int) -> int:
    """How many digests were compared; all of them were the same."""
    part = ["--from", f"+{from_s}"] if from_s >= 0 else []
    done = subprocess.run(
        [sys.executable, "-m", "adapters.cli", "replay", str(made.path), "--offline", "--speed", speed,
         "--config", str(made.config.folder), *part],
        cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False,
    )  # fmt: skip
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "identical: " in said, said
    digest = made.digest
    ends = ["tracks", digest.tracks, "alerts", digest.alerts, "incidents", digest.incidents]
    assert done.stdout.decode().split() == ends
    return int(said.rsplit("identical: ", 1)[1].split()[0])


def judge_replays(found: Sequence[Counts]) -> list[Verdict]:
    """Each is right by itself; nothing is claimed of a sky without alerts."""
    n, digests, alerts = (total(found, name) for name in ("replays", "digests", "alert_transitions"))
    words = f"{n:g} replays came out to the bit: {digests:,.0f} digests, {alerts:,.0f} transitions of alerts"
    return [Verdict(alerts > 0, words)]


CAMPAIGNS = (
    Campaign(
        "replays",
        "An hour with every type of sensor, replayed at max, at x20, under another hash seed, entered in the middle; "
        "and two minutes at x1.",
        tuple(PIECES),
        replayed,
        judge_replays,
        patience_s=14_400.0,
    ),
)
