"""Campaign of replays: an hour with every type of sensor comes out to the bit at any speed, hash seed and entry."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from adapters.log import prepare_numerics
from tests.conftest import ROOT
from tests.soak.campaign import Campaign, Counts, Verdict, total

HOUR_S = 3_600
# speed, seconds of the feed, hash seed, entered at this second (-1 at the beginning)
PIECES = {
    "max": ("max", HOUR_S, "0", -1),
    "x20": ("20", HOUR_S, "0", -1),
    "x1": ("1", 120, "0", -1),
    "hash-seed": ("max", HOUR_S, "4242", -1),
    "cut": ("max", HOUR_S, "0", HOUR_S // 2),
}


def replayed(piece: str) -> Counts:
    """Record it, and replay it in a process of its own as a user would."""
    speed, seconds, seed, from_s = PIECES[piece]
    prepare_numerics()
    from tests.recorded import record

    with tempfile.TemporaryDirectory() as folder:
        made = record(Path(folder) / "config", seconds)
        part = ["--from", f"+{from_s}"] if from_s >= 0 else []
        done = subprocess.run(
            [sys.executable, "-m", "adapters.cli", "replay", str(made.path), "--offline", "--speed", speed,
             "--config", str(made.config.folder), *part],
            cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b"identical: " in done.stderr, done.stderr.decode()
    digest = made.digest
    ends = ["tracks", digest.tracks, "alerts", digest.alerts, "incidents", digest.incidents]
    assert done.stdout.decode().split() == ends
    compared = int(done.stderr.decode().rsplit("identical: ", 1)[1].split()[0])
    return {"replays": 1, "feed_s": seconds, "digests": compared, "alert_transitions": made.raised}


def judge_replays(found: Sequence[Counts]) -> list[Verdict]:
    """Each is right by itself; nothing is claimed of a sky without alerts."""
    n, digests, alerts = (total(found, name) for name in ("replays", "digests", "alert_transitions"))
    words = f"{n:g} replays came out to the bit: {digests:,.0f} digests, {alerts:,.0f} transitions of alerts"
    return [Verdict(alerts > 0, words)]


CAMPAIGNS = (
    Campaign(
        "replays",
        "An hour with every type of sensor, replayed at max and x20, two minutes at x1, under another hash seed, and "
        "entered in the middle.",
        tuple(PIECES),
        replayed,
        judge_replays,
        patience_s=7_200.0,
    ),
)
