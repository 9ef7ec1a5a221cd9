"""Campaigns of recordings: a service that dies anywhere goes on as if nothing had happened; damage invents nothing."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from fusion.schema import Frame
from replay.log import BadLog
from replay.mcapfile import tail_of
from replay.mcapread import McapReader
from tests.soak.campaign import Campaign, Counts, Verdict, seeds, total

SPOILT = 200  # files of one piece


def died(key: str) -> Counts:
    """A scene whose service dies at a tick of chance, with a checkpoint of some ticks before, and goes on."""
    from tests.crashes import crash

    with tempfile.TemporaryDirectory() as folder:
        found = crash(Path(folder), int(key))
    assert found.reason == ""
    assert found.digest_after == found.digest_whole, "another picture, alert or incident after the restart"
    return {"restarts": 1, "ticks": found.ticks, "ticks_again": found.ticks_again}


def damaged(key: str) -> Counts:
    """Recordings with flipped bits, cut off, or with a hole: whatever is read was written, and what is not is said."""
    from tests.test_mcapfile import feed, written

    rng = random.Random(int(key))
    read = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mcap"
        frames = feed(150)
        true = {frame.seq: frame for frame in frames}
        written(path, frames).finish()
        data = path.read_bytes()
        for _ in range(SPOILT):
            path.write_bytes(spoilt(data, rng))
            reader = McapReader(path)
            try:
                found = [item for item in reader if isinstance(item, Frame)]
            except BadLog:
                found = []
            assert not tail_of(path).exists()
            assert all(true.get(frame.seq) == frame for frame in found)
            assert len(found) == len(frames) or not (reader.damage.harmless and reader.damage.finished)
            read, lost = read + len(found), lost + len(frames) - len(found)
    return {"files": SPOILT, "frames_read": read, "frames_lost": lost}


def spoilt(data: bytes, rng: random.Random) -> bytes:
    """One kind of damage at a place of chance."""
    at = rng.randrange(len(data))
    kind = rng.randrange(3)
    if kind == 0:
        return data[:at]
    whole = bytearray(data)
    if kind == 1:
        whole[at : at + rng.randrange(1, 4_096)] = bytes(rng.randrange(1, 4_096))
    else:
        for _ in range(rng.randrange(1, 8)):
            whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    return bytes(whole)


def judge_restarts(found: Sequence[Counts]) -> list[Verdict]:
    """Each one is right by itself; the page shows how many there were."""
    count = total(found, "restarts")
    return [Verdict(count > 0, f"{count:g} services died and went on to the bit")]


CAMPAIGNS = (
    Campaign("restarts", "A service that dies at any tick goes on to the bit.", seeds(200), died, judge_restarts),
    Campaign("damaged-recordings", "Damage of recordings is noticed and invents no frame.", seeds(50), damaged),
)
